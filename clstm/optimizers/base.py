"""What all optimisers share: checked numbers, what is remembered from step to step, and the protocol."""

from __future__ import annotations

import math
import numbers
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import _arrays

if TYPE_CHECKING:
    from collections.abc import Callable

# A gradient whose norm is above the root of the largest number cannot be squared
LARGEST_NORM = {real: float(np.sqrt(np.finfo(real).max)) for real in _arrays.DTYPES.values()}


class Number:
    """An attribute that is a finite number with a rule of its own, checked whenever it is set."""

    def __init__(self, rule: str, holds: Callable[[float], bool], optional: bool = False) -> None:
        self.expected = f"a finite number, {rule}{', or None' * optional}"
        self.holds = holds
        self.optional = optional

    def __set_name__(self, owner, name):
        self.name = name

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        return self if instance is None else instance.__dict__[self.name]

    def __set__(self, instance: Any, value: Any) -> None:
        if value is None and self.optional:
            instance.__dict__[self.name] = None
            return
        if isinstance(value, bool) or not isinstance(value, numbers.Real):
            raise _arrays.wrong(TypeError, self.name, self.expected, f"{value!r} ({_arrays.kind(value)})")
        try:
            number = float(value)
        except OverflowError:  # an int or a fraction of more than 300 digits
            number = math.inf
        if not (math.isfinite(number) and self.holds(number)):
            raise _arrays.wrong(ValueError, self.name, self.expected, number)
        instance.__dict__[self.name] = number


def not_negative():
    """An attribute that is at least 0."""
    return Number("at least 0", lambda value: value >= 0)


def positive(optional=False):
    """An attribute above 0."""
    return Number("above 0", lambda value: value > 0, optional)


def fraction():
    """An attribute that is at least 0 and below 1."""
    return Number("at least 0 and below 1", lambda value: 0 <= value < 1)


class OptimizerState:
    """What an optimiser remembers: the number of steps done, and buffers laid out as the parameters are.

    Parameters
    ----------
    step : int
    buffers : dict of ndarray, optional

    Attributes
    ----------
    rate : float
        Times `learning_rate` it is the rate of the next step: the factor of a schedule.
    """

    def __init__(self, step: int = 0, buffers: dict[str, np.ndarray] | None = None, rate: float = 1.0) -> None:
        self.step = step
        self.buffers = {} if buffers is None else buffers
        self.rate = rate

    def buffer(self, name: str, like: np.ndarray) -> np.ndarray:
        """The buffer of this name, made of zeros when it is first asked for."""
        if name not in self.buffers:
            self.buffers[name] = _arrays.aligned_zeros(like.size, like.dtype)
        return self.buffers[name]

    def copy(self) -> OptimizerState:
        """A state that shares nothing with this one."""
        buffers = {name: buffer.copy() for name, buffer in self.buffers.items()}
        return OptimizerState(self.step, buffers, self.rate)

    def is_finite(self) -> bool:
        """Whether no buffer holds NaN or an infinity."""
        return all(bool(np.isfinite(buffer).all()) for buffer in self.buffers.values())

    def __repr__(self):
        return f"<OptimizerState after {self.step} steps, with {', '.join(self.buffers) or 'no buffer'}>"


class Optimizer:
    """What all optimisers share; the base class for optimisers of your own, which write `update`.

    Hyperparameters are attributes that may be changed between two steps. Each is checked when it is set.

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

    hyperparameters: tuple[str, ...] = ()  # the arguments, and attributes, that make an equal optimiser
    learning_rate: float = math.nan  # what a history shows; NaN where there is none

    def update(self, weights: np.ndarray, gradient: np.ndarray, state: OptimizerState) -> None:
        """One step, which changes `weights` and `state` in place.

        Parameters
        ----------
        weights, gradient : ndarray, one axis, float32 or float64
            Of the same size and dtype, contiguous.
        state : OptimizerState
            Before the first step a new one.
        """
        raise NotImplementedError(f"{type(self).__name__} has no update")

    def is_ordinary(self) -> bool:
        """Whether a step surely leaves finite weights finite, while gradients have norms below `LARGEST_NORM`.

        Where it says False, a trainer keeps a copy of the weights during the step, and looks at the new ones.
        """
        return False

    def __repr__(self):
        return f"{type(self).__name__}({', '.join(f'{name}={getattr(self, name)!r}' for name in self.hyperparameters)})"


def ordinary(learning_rate: float, weight_decay: float) -> bool:
    """Far outside of this nothing is trained, and far inside of it nothing overflows, even in float32."""
    return learning_rate <= 1e3 and weight_decay <= 1e3 and learning_rate * weight_decay <= 1
