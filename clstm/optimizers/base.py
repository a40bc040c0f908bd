"""What all optimisers share: the protocol, what is remembered from step to step, and steps span by span."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from .. import _arrays
from .groups import Group, Span, checked_groups, spans_of
from .hyperparameters import not_negative

if TYPE_CHECKING:
    from collections.abc import Iterable

# A gradient whose norm is above the root of the largest number cannot be squared
LARGEST_NORM = {real: float(np.sqrt(np.finfo(real).max)) for real in _arrays.DTYPES.values()}


class OptimizerState:
    """What an optimiser remembers: the number of steps done, and buffers laid out as the parameters are.

    `Optimizer.state_for` makes the one before the first step. `arrays` and `numbers` give all that is in it, for a
    checkpoint, and `restored` makes an equal one of them.

    Parameters
    ----------
    step : int
    buffers : dict of ndarray, optional
    rate : float
    spans : list of Span, optional
    extra : dict, optional

    Attributes
    ----------
    rate : float
        Times `learning_rate` it is the rate of the next step: the factor of a schedule.
    spans : list of Span, or None
        Parts of the flat buffer with factors of their own, ``(start, stop, rate, decay)``. None: there are none.
    extra : dict
        What else an optimiser remembers; of what JSON knows.

    Examples
    --------
    >>> import json
    >>> import numpy as np, clstm
    >>> from clstm.optimizers import OptimizerState
    >>> adam, weights = clstm.Adam(), np.ones(3)
    >>> state = adam.state_for({"weight": (3,)})
    >>> adam.update(weights, np.array([0.1, 0.2, 0.3]), state)
    >>> state
    <OptimizerState after 1 steps, with mean, square>
    >>> text = json.dumps(state.numbers())
    >>> twin = OptimizerState.restored(state.arrays(), json.loads(text))
    >>> bool((twin.buffers["mean"] == state.buffers["mean"]).all())
    True
    """

    def __init__(
        self,
        step: int = 0,
        buffers: dict[str, np.ndarray] | None = None,
        rate: float = 1.0,
        *,
        spans: list[Span] | None = None,
        extra: dict[str, Any] | None = None,
    ) -> None:
        self.step = step
        self.buffers = {} if buffers is None else buffers
        self.rate = rate
        self.spans = spans
        self.extra = {} if extra is None else extra

    def buffer(self, name: str, like: np.ndarray, fill: Any = None) -> np.ndarray:
        """The buffer of this name, made of zeros, or of `fill`, when it is first asked for."""
        if name not in self.buffers:
            buffer = _arrays.aligned_zeros(like.size, like.dtype)
            if fill is not None:
                buffer[...] = fill
            self.buffers[name] = buffer
        return self.buffers[name]

    def copy(self) -> OptimizerState:
        """A state that shares nothing with this one."""
        return self.restored(self.buffers, self.numbers())

    def is_finite(self) -> bool:
        """Whether no buffer holds NaN or an infinity."""
        return all(bool(np.isfinite(buffer).all()) for buffer in self.buffers.values())

    def arrays(self) -> dict[str, np.ndarray]:
        """The buffers by name; they are no copies."""
        return dict(self.buffers)

    def numbers(self) -> dict[str, Any]:
        """Everything else, of what JSON knows; a copy."""
        return {
            "step": self.step,
            "rate": self.rate,
            "spans": None if self.spans is None else [list(span) for span in self.spans],
            "extra": {name: list(value) if isinstance(value, list) else value for name, value in self.extra.items()},
        }

    @classmethod
    def restored(cls, arrays: dict[str, np.ndarray], numbers: dict[str, Any]) -> OptimizerState:
        """A state with copies of these arrays and numbers.

        Parameters
        ----------
        arrays, numbers : dict
            From the methods of these names, perhaps by way of a file.

        Raises
        ------
        ValueError
            Something is missing, or not of the kind it should be.
        """
        if not isinstance(numbers, dict) or numbers.keys() != {"step", "rate", "spans", "extra"}:
            got = sorted(numbers) if isinstance(numbers, dict) else _arrays.kind(numbers)
            raise _arrays.wrong(ValueError, "numbers", "a dict of step, rate, spans and extra", got)
        buffers = {}
        for name, array in arrays.items():
            if not isinstance(array, np.ndarray) or array.ndim != 1 or array.dtype not in _arrays.DTYPES.values():
                raise _arrays.wrong(ValueError, f"arrays[{name!r}]", "one axis of float32 or float64", repr(array))
            buffers[name] = _arrays.aligned_zeros(array.size, array.dtype)
            buffers[name][...] = array
        spans = numbers["spans"]
        state = cls(numbers["step"], buffers, numbers["rate"], extra=numbers["extra"])
        state.spans = None if spans is None else [Span(*span) for span in spans]
        state.extra = state.numbers()["extra"]  # lists of its own
        return state

    def __repr__(self):
        return f"<OptimizerState after {self.step} steps, with {', '.join(self.buffers) or 'no buffer'}>"


class Optimizer:
    """What all optimisers share; the base class for optimisers of your own, which write `update`.

    Hyperparameters are attributes that may be changed between two steps. Each is checked when it is set.

    Attributes
    ----------
    learning_rate : float
        What a history shows; NaN where there is none.
    name : str or None
        By which a trainer, and a checkpoint, know it.

    Examples
    --------
    One that follows only the signs of the gradient:

    >>> import numpy as np, clstm
    >>> from clstm.optimizers import Optimizer, OptimizerState
    >>> class SignDescent(Optimizer):
    ...     def update(self, weights, gradient, state):
    ...         weights -= 0.25 * np.sign(gradient)
    ...         state.step += 1
    >>> weights = np.array([1.0, 2.0])
    >>> SignDescent().update(weights, np.array([30.0, -0.1]), OptimizerState())
    >>> weights
    array([0.75, 2.25])
    """

    name: str | None = None
    hyperparameters: tuple[str, ...] = ()  # the arguments, and attributes, that make an equal optimiser ..
    options: ClassVar[dict[str, Any]] = {}  # .. and those that repr shows where they differ from these defaults
    learning_rate: float = math.nan

    def update(self, weights: np.ndarray, gradient: np.ndarray, state: OptimizerState) -> None:
        """One step, which changes `weights` and `state` in place.

        Parameters
        ----------
        weights, gradient : ndarray, one axis, float32 or float64
            Of the same size and dtype, contiguous.
        state : OptimizerState
            Before the first step a new one, from `state_for`.
        """
        raise NotImplementedError(f"{type(self).__name__} has no update")

    def state_for(self, shapes: dict[str, tuple[int, ...]]) -> OptimizerState:
        """The state before the first step.

        Parameters
        ----------
        shapes : dict of tuple
            The shape of each parameter by its name, in their order in the flat buffer.

        Raises
        ------
        ValueError
            A group of the optimiser matches none of the names.
        """
        return OptimizerState()

    def is_ordinary(self, rate: float = 1.0) -> bool:
        """Whether a step surely leaves finite weights finite, while gradients have norms below `LARGEST_NORM`.

        Where it says False, a trainer keeps a copy of the weights during the step, and looks at the new ones.

        Parameters
        ----------
        rate : float
            The largest `OptimizerState.rate` that is asked about.
        """
        return False

    def config(self) -> dict[str, Any]:
        """The arguments that make an equal optimiser, of what JSON knows; see `from_config`."""
        return {name: getattr(self, name) for name in (*self.hyperparameters, *self.options)}

    # For optimisers that average

    def validated(self, loss: float, state: OptimizerState) -> None:
        """To be called with the loss after each validation; some optimisers decide by it."""

    def begin(self, weights: np.ndarray, state: OptimizerState) -> None:
        """To be called before the first step of a training: the weights become those that steps are made with."""

    def end(self, weights: np.ndarray, state: OptimizerState) -> None:
        """To be called after the last step of a training: the weights become those to be used, an average say."""

    def averaged(self, state: OptimizerState) -> np.ndarray | None:
        """Between `begin` and `end`, what `end` would make the weights; None: what they are."""
        return None

    def __repr__(self):
        given = {name: getattr(self, name) for name in self.hyperparameters}
        further = {name: getattr(self, name) for name in self.options}
        given |= {name: value for name, value in further.items() if value != self.options[name]}
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in given.items())})"


class CoreOptimizer(Optimizer):
    """An optimiser whose step is one call into the core for each span of parameters.

    A subclass names its buffers in `_buffers` and makes the call in `_step`.
    """

    options: ClassVar[dict[str, Any]] = {"decay_biases": True, "groups": ()}
    learning_rate = not_negative()
    weight_decay = not_negative()

    def __init__(self, learning_rate: float, weight_decay: float, decay_biases: bool, groups: Iterable[Group]) -> None:
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self._decay_biases = _arrays.flag("decay_biases", decay_biases)
        self._groups = checked_groups(groups)
        # Of the parameters that no group matches, too
        self._largest_rate = max([1.0, *(group.rate for group in self._groups)])
        self._largest_decay = max([1.0, *(group.decay for group in self._groups)])

    @property
    def decay_biases(self) -> bool:
        """Whether parameters with one axis are decayed too; states are made for it, so that it cannot be set."""
        return self._decay_biases

    @property
    def groups(self) -> tuple[Group, ...]:
        """The groups; states are made for them, so that they cannot be set."""
        return self._groups

    def config(self) -> dict[str, Any]:
        """See `Optimizer.config`."""
        return {**super().config(), "groups": [group.config() for group in self._groups]}

    def state_for(self, shapes: dict[str, tuple[int, ...]]) -> OptimizerState:
        """See `Optimizer.state_for`."""
        if self._decay_biases and not self._groups:
            return OptimizerState()
        return OptimizerState(spans=spans_of(shapes, self._groups, self._decay_biases))

    def update(self, weights: np.ndarray, gradient: np.ndarray, state: OptimizerState) -> None:
        """One step, see `Optimizer.update`."""
        spans, rate = state.spans, self.learning_rate * state.rate
        if spans is None:
            if self._groups or not self._decay_biases:
                raise _arrays.wrong(
                    ValueError,
                    "state",
                    "one from state_for, because groups and decay_biases need the names of the parameters",
                    repr(state),
                )
            self._step(weights, gradient, self._buffers(weights, state), rate, 1.0, state)
        else:
            check_sizes(spans, weights=weights, gradient=gradient)
            buffers = self._buffers(weights, state)
            check_sizes(spans, **state.buffers)
            for start, stop, factor, decay in spans:
                if factor:
                    own = [buffer if buffer is None else buffer[start:stop] for buffer in buffers]
                    self._step(weights[start:stop], gradient[start:stop], own, rate * factor, decay, state)
        state.step += 1

    def _buffers(self, weights: np.ndarray, state: OptimizerState) -> tuple[np.ndarray | None, ...]:
        raise NotImplementedError

    def _step(self, weights, gradient, buffers, rate, decay, state):
        """One call into the core, with this learning rate and this factor of the weight decay."""
        raise NotImplementedError

    def _is_moderate(self, rate: float, weight_decay: float) -> bool:
        """Far outside of this nothing is trained, and far inside of it nothing overflows, even in float32."""
        learning_rate = self.learning_rate * rate * self._largest_rate
        weight_decay *= self._largest_decay
        return learning_rate <= 1e3 and weight_decay <= 1e3 and learning_rate * weight_decay <= 1


def check_sizes(spans, **arrays):
    """Raises unless all arrays have the size for which the spans were made."""
    size = spans[-1].stop if spans else 0
    for name, array in arrays.items():
        if array.size != size:
            raise _arrays.wrong(ValueError, name, f"{size} elements, as the state was made for", array.size)
