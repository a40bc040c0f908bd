"""What all losses share: the protocol by which a trainer uses them."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from .. import _arrays
from . import options

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ..layer import Layer

BLOCK = 1 << 16  # elements of a target that are checked at a time: it may be larger than memory


class Computed(NamedTuple):
    """What `Loss.compute` returns.

    `loss` is the mean or the sum, `gradient` (or None) that with respect to the prediction, `weight` what the mean is
    divided by: the sum of the weights of all that counts. Means of several batches are added by it.
    """

    loss: float
    gradient: np.ndarray | None
    weight: float


class Loss:
    """What a trainer needs of a loss: `checked` once for all targets, then `compute` for each batch.

    The arguments of the constructor are attributes of the same names. Those of our own losses may be changed, and are
    checked then.

    Parameters
    ----------
    reduction : str, default "mean"
        "mean": the sum of w l / the sum of w, over all steps that count, with l the loss of a step, itself the mean
        over its features, and w its weight. "sum": the sum of w l.

    Attributes
    ----------
    name : str
        By which a trainer knows it.
    least_axes : int
        Of a prediction, without the axis of time.
    aligned : bool
        Whether a target has the axis of time of the prediction, and is cut with it.
    of_sequences : bool
        Whether it is one of whole sequences, which cannot be cut in time and have one weight each.
    layer : Layer or None
        The layer that holds parameters of the loss, after `attach`.
    """

    name: str
    least_axes: int = 1
    aligned: bool = True
    of_sequences: bool = False
    layer: Layer | None = None
    reduction = options.Option(options.reduction)

    def __init__(self, *, reduction: str = "mean") -> None:
        self.reduction = reduction

    def attach(self, net: Layer) -> None:
        """Finds in a network what the loss needs of it; raises ValueError if it is not there."""

    def checked(
        self, target: Any, shape: tuple[int, ...], lengths: np.ndarray | None = None, name: str = "target"
    ) -> Any:
        """The target as something whose rows can be taken for batches by ``target[rows]``, or an error that names it.

        Parameters
        ----------
        target : array_like
        shape : tuple of int
            Of the prediction for all rows of `target`.
        lengths : ndarray of int, (N,), optional
            Checked already. None: all of `target` counts.
        name : str
            What an error calls the target.
        """
        raise NotImplementedError

    def compute(
        self,
        prediction: np.ndarray,
        target: Any,
        lengths: np.ndarray | None = None,
        weight: np.ndarray | None = None,
        *,
        gradient: bool = True,
        grads: dict[str, np.ndarray] | None = None,
    ) -> Computed:
        """The loss of a batch.

        Parameters
        ----------
        prediction : ndarray
        target
            Rows of what `checked` has returned.
        lengths : ndarray of intp, (N,), optional
            Checked already.
        weight : ndarray, (N,) or (N, T), optional
            Of each row or step, of the dtype of the prediction; checked already: finite and at least 0.
        gradient : bool
            Whether that with respect to the prediction is wanted.
        grads : dict of ndarray, optional
            To which the gradients of the parameters of `layer` are added, by their names there.
        """
        raise NotImplementedError

    def __call__(
        self,
        prediction: np.ndarray,
        target: Any,
        lengths: np.ndarray | None = None,
        weight: np.ndarray | None = None,
        gradient: bool = True,
    ) -> tuple[float, np.ndarray | None]:
        """Loss and gradient of `compute`."""
        return self.compute(prediction, target, lengths, weight, gradient=gradient)[:2]

    def config(self) -> dict[str, Any]:
        """The arguments that make an equal loss, in numbers, texts and lists: ``type(loss)(**loss.config())``."""
        return {name: plain(getattr(self, name)) for name in self._arguments()}

    def _arguments(self) -> dict[str, Any]:
        """The names of the arguments of the constructor, with their defaults."""
        every = inspect.signature(type(self)).parameters.values()
        return {one.name: one.default for one in every if one.kind not in (one.VAR_POSITIONAL, one.VAR_KEYWORD)}

    def __repr__(self):
        config = self.config()
        given = [f"{name}={config[name]!r}" for name, default in self._arguments().items() if config[name] != default]
        return f"{type(self).__name__}({', '.join(given)})"


def plain(value: Any) -> Any:
    """A value that JSON has; a function becomes its name."""
    if isinstance(value, np.ndarray):
        return value.tolist()
    return f"{value.__module__}.{value.__qualname__}" if inspect.isroutine(value) else value


# Checks


def check_shape(target, shape, name):
    """Raises unless the target has the shape that fits the prediction."""
    if target.shape != shape:
        raise _arrays.wrong(ValueError, name, f"shape {shape}, to fit the prediction", f"shape {target.shape}")


def check_axes(shape: tuple[int, ...], form: str) -> None:
    """Raises unless a prediction is (N, form) or (N, T, form)."""
    if len(shape) not in (2, 3):
        raise _arrays.wrong(ValueError, "prediction", f"shape (N, {form}) or (N, T, {form})", f"shape {shape}")


def check_values(
    name: str, target: np.ndarray, lengths: np.ndarray | None, is_bad: Callable[[np.ndarray], Any], expected: str
) -> None:
    """Raises for the first bad one of the values that count, with its place."""
    for place in blocks(target.shape):
        bad = is_bad(target[place])
        if lengths is not None:
            rows, steps = place
            valid = np.arange(steps.start, min(steps.stop, target.shape[1])) < lengths[rows, np.newaxis]
            bad &= valid.reshape(valid.shape + (1,) * (bad.ndim - 2))
        if bad.any():
            first = np.argwhere(bad)[0]
            first[: len(place)] += [part.start for part in place]
            where = tuple(int(axis) for axis in first)
            raise _arrays.wrong(ValueError, name, expected, f"{target[where]} at {list(where)}")


def blocks(shape: tuple[int, ...]) -> Iterator[tuple[slice, ...]]:
    """The places of parts of an array, cut along its first two axes."""
    step = _arrays.count_of(shape[2:])
    row = step * _arrays.count_of(shape[1:2])
    rows, steps = max(1, BLOCK // max(row, 1)), max(1, BLOCK // max(step, 1))
    for n in range(0, shape[0], rows):
        if len(shape) == 1:
            yield (slice(n, n + rows),)
        else:
            for t in range(0, shape[1], steps):
                yield slice(n, n + rows), slice(t, t + steps)


def checked_weight(name: str, value: Any, N: int, T: int | None, dtype: np.dtype) -> np.ndarray:
    """Sample weights as a contiguous array of `dtype`: finite, at least 0 and not all 0.

    Parameters
    ----------
    name : str
        What an error calls them.
    value : array_like, (N,) or (N, T)
        Of each row, or of each step.
    N : int
        Rows.
    T : int or None
        Steps; None: there is no axis of time, and weights are (N,).
    dtype : dtype
    """
    with np.errstate(over="ignore"):  # is found as infinity below
        weight = _arrays.real(name, value, dtype)
    if weight.shape != (N,) and (T is None or weight.shape != (N, T)):
        expected = f"shape ({N},)" if T is None else f"shape ({N},) or ({N}, {T})"
        raise _arrays.wrong(ValueError, name, expected, f"shape {weight.shape}")
    check_values(name, weight, None, lambda part: ~((part >= 0) & (part < np.inf)), "finite weights of at least 0")
    if not weight.any():
        raise _arrays.wrong(ValueError, name, "at least one weight above 0", "zeros only")
    return _arrays.contiguous(weight)
