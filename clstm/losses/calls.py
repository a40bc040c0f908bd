"""Losses as functions of arrays that nobody has checked."""

from __future__ import annotations

import numpy as np

from .. import _arrays


def checked_call(loss, name, prediction, target, lengths):
    """Loss and gradient of arguments that come from anywhere."""
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
