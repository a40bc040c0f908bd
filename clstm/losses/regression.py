"""Losses of real numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .. import _arrays, _core
from .base import Computed, Loss, check_shape
from .calls import checked_call

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
    return checked_call(MSE(), "prediction", prediction, target, lengths)


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

    def compute(self, prediction, target, lengths=None, weight=None, *, gradient=True, grads=None):
        """See `mse`."""
        target = np.ascontiguousarray(target, prediction.dtype)
        loss, found = _core.mse(_arrays.contiguous(prediction), target, lengths, gradient)
        return Computed(loss, found, len(prediction) if lengths is None else int(lengths.sum()))
