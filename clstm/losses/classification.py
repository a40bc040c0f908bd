"""Losses of classes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .. import _arrays, _core
from .base import Computed, Loss, check_shape
from .calls import checked_call

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


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
    return checked_call(CrossEntropy(), "logits", logits, target, lengths)


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

    def compute(self, prediction, target, lengths=None, weight=None, *, gradient=True, grads=None):
        """See `cross_entropy`."""
        target = np.ascontiguousarray(target, np.int64)
        loss, found = _core.cross_entropy(_arrays.contiguous(prediction), target, lengths, gradient)
        return Computed(loss, found, len(prediction) if lengths is None else int(lengths.sum()))
