"""Losses that the core computes: the call for checked arrays, and for arrays that nobody has checked."""

from __future__ import annotations

import numpy as np

from .. import _arrays, _core
from .base import Computed, checked_weight

INT64 = np.dtype(np.int64)


def computed(loss, kind, prediction, target, dtype, lengths, weight, gradient, *options):
    """What `Loss.compute` returns, by the core; `options` are those of `_core.loss` for this kind of loss."""
    target = _arrays.contiguous(target) if target.dtype == dtype else target.astype(dtype, order="C")
    summed = loss.reduction == "sum"
    prediction = _arrays.contiguous(prediction)
    return Computed._make(_core.loss(kind, prediction, target, lengths, weight, summed, gradient, *options))


def checked_call(loss, name, prediction, target, lengths, weight):
    """Loss and gradient of arguments that come from anywhere."""
    prediction = _arrays.array_of(name, prediction)
    prediction = _arrays.real(
        name, prediction, _arrays.DTYPES["float64" if prediction.dtype == np.float64 else "float32"]
    )
    axes = loss.least_axes + (lengths is not None)
    if prediction.ndim < axes or 0 in prediction.shape:
        expected = f"at least {axes} axes{', with time as the second,' * (lengths is not None)} and no empty one"
        raise _arrays.wrong(ValueError, name, expected, f"shape {prediction.shape}")
    shape = prediction.shape
    if weight is not None:
        weight = checked_weight("weight", weight, shape[0], time_of(loss, shape), prediction.dtype)
    if prediction.ndim == 2 and (lengths is not None or (weight is not None and weight.ndim == 2)):
        prediction = prediction[:, :, np.newaxis]  # (N, T): each step is one feature
    if lengths is not None:
        lengths = _arrays.lengths(lengths, *shape[:2])
    found = loss(prediction, loss.checked(target, prediction.shape, lengths), lengths, weight)
    return found[0], found[1].reshape(shape)


def time_of(loss, shape):
    """The number of steps of a prediction, or None; one that may have no axis of features has two for (N, T)."""
    return shape[1] if len(shape) > loss.least_axes else None
