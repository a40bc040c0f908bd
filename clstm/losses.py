"""Losses: how far a prediction is from its target, and the gradient of that with respect to the prediction.

They are means over all elements that count: with lengths, steps beyond the end of a row do not, whatever stands there.
`mse` and `cross_entropy` are for training loops of your own. A trainer uses the classes: they check all targets once,
before the first step.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from . import _arrays, _core

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


def mse(prediction: ArrayLike, target: ArrayLike, lengths: ArrayLike | None = None) -> tuple[float, np.ndarray]:
    """Mean squared error over all valid elements, summed in double precision.

    Parameters
    ----------
    prediction : array_like, (N, ...), or (N, T, ...) with `lengths`
        An array of float64 stays float64, whatever else becomes float32.
    target : array_like, the shape of `prediction`
        Where the last axis of `prediction` is 1, `target` may come without it.
    lengths : array_like of int, (N,), optional
        Valid steps of each row.

    Returns
    -------
    loss : float
        0 where no step is valid.
    gradient : ndarray, the shape of `prediction`
        Zero beyond the lengths.

    Examples
    --------
    >>> import numpy as np
    >>> from clstm.losses import mse
    >>> mse(np.array([[1.0, 2.0]]), np.array([[1.0, 4.0]]))
    (2.0, array([[ 0., -2.]]))
    """
    return _checked_call(MSE(), "prediction", prediction, target, lengths)


def cross_entropy(logits: ArrayLike, target: ArrayLike, lengths: ArrayLike | None = None) -> tuple[float, np.ndarray]:
    """Mean over all valid positions of -log softmax(logits)[target], summed in double precision.

    Parameters
    ----------
    logits : array_like, (N, C) or (N, T, C)
        One score for each of C classes. An array of float64 stays float64, whatever else becomes float32.
    target : array_like of int, (N,) or (N, T)
        The right class, 0 to C-1. Not read beyond the lengths.
    lengths : array_like of int, (N,), optional
        Valid steps of each row, for logits with a time axis.

    Returns
    -------
    loss : float
        0 where no step is valid.
    gradient : ndarray, the shape of `logits`
        (softmax(logits) - one_hot(target)) / number of valid positions; zero beyond the lengths.

    Examples
    --------
    >>> import numpy as np
    >>> from clstm.losses import cross_entropy
    >>> loss, gradient = cross_entropy(np.zeros((1, 4)), [2])
    >>> print(f"{loss:.6f}, log 4 is {np.log(4):.6f}")
    1.386294, log 4 is 1.386294
    >>> gradient
    array([[ 0.25,  0.25, -0.75,  0.25]])
    """
    return _checked_call(CrossEntropy(), "logits", logits, target, lengths)


class Loss:
    """What a trainer needs of a loss: `checked` once for all targets, then a call for each batch."""

    name: str
    least_axes: int  # of a prediction, without the axis of time

    def checked(
        self, target: Any, shape: tuple[int, ...], lengths: np.ndarray | None = None, name: str = "target"
    ) -> np.ndarray:
        """The target as an array whose rows can be taken for batches, or an error that names it.

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

    def __call__(
        self, prediction: np.ndarray, target: np.ndarray, lengths: np.ndarray | None = None, gradient: bool = True
    ) -> tuple[float, np.ndarray | None]:
        """The loss of a batch and, if wanted, its gradient. Target and lengths have to be checked."""
        raise NotImplementedError


class MSE(Loss):
    """Mean squared error, see `mse`."""

    name = "mse"
    least_axes = 1

    def checked(self, target, shape, lengths=None, name="target"):
        """An array of real numbers, of the shape of the prediction."""
        target = _arrays.array_of(name, target)
        if target.dtype.kind not in _arrays.REAL_KINDS:
            raise _arrays.wrong(TypeError, name, "an array of real numbers", f"dtype {target.dtype}")
        if shape[-1] == 1 and target.shape == shape[:-1]:
            target = target[..., np.newaxis]
        check_shape(target, shape, name)
        return target

    def __call__(self, prediction, target, lengths=None, gradient=True):
        """See `mse`."""
        target = np.ascontiguousarray(target, prediction.dtype)
        return _core.mse(_arrays.contiguous(prediction), target, lengths, gradient)


class CrossEntropy(Loss):
    """Cross-entropy of class numbers, see `cross_entropy`."""

    name = "cross_entropy"
    least_axes = 2

    def checked(self, target, shape, lengths=None, name="target"):
        """An array of class numbers, of the shape of the prediction without its last axis."""
        target = _arrays.integers(name, target)
        check_shape(target, shape[:-1], name)
        valid = True if lengths is None else np.arange(shape[1]) < lengths[:, np.newaxis]
        _arrays.in_range(name, target, shape[-1], f"one of {shape[-1]} classes,", valid)
        return target

    def __call__(self, prediction, target, lengths=None, gradient=True):
        """See `cross_entropy`."""
        target = np.ascontiguousarray(target, np.int64)
        return _core.cross_entropy(_arrays.contiguous(prediction), target, lengths, gradient)


NAMED = {loss.name: loss for loss in (MSE, CrossEntropy)}


def make(loss: Any) -> Loss:
    """The loss that a trainer was given."""
    return loss if isinstance(loss, Loss) else NAMED[_arrays.choice("loss", loss, tuple(NAMED))]()


def check_shape(target, shape, name):
    """Raises unless the target has the shape that fits the prediction."""
    if target.shape != shape:
        raise _arrays.wrong(ValueError, name, f"shape {shape}, to fit the prediction", f"shape {target.shape}")


def _checked_call(loss, name, prediction, target, lengths):
    """A loss of arguments that come from anywhere."""
    prediction = _arrays.array_of(name, prediction)
    prediction = _arrays.real(
        name, prediction, _arrays.DTYPES["float64" if prediction.dtype == np.float64 else "float32"]
    )
    axes = loss.least_axes + (lengths is not None)
    if prediction.ndim < axes or 0 in prediction.shape:
        expected = f"at least {axes} axes{', with time as the second,' * (lengths is not None)} and no empty one"
        raise _arrays.wrong(ValueError, name, expected, f"shape {prediction.shape}")
    if lengths is not None:
        lengths = _arrays.lengths(lengths, *prediction.shape[:2])
    return loss(prediction, loss.checked(target, prediction.shape, lengths), lengths)
