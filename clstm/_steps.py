"""Layers without memory compute valid steps only: they are put side by side, and the results put in their places."""

import numpy as np

from . import _arrays


def valid_steps(lengths, shape):
    """Mask of the steps (N, T) that are no padding; None if all are valid or if there is no time axis."""
    if len(shape) == 1:
        _arrays.absent("lengths", lengths, "x has no time axis")
        return None
    lengths = _arrays.lengths(lengths, *shape)
    if lengths is None or (lengths == shape[1]).all():
        return None
    return np.arange(shape[1]) < lengths[:, None]


def rows_of(x, valid):
    """The features at all valid steps with three axes: (N, T, F), (N, 1, F) or (1, valid steps, F)."""
    if valid is not None:
        return x[valid][None]
    return x if x.ndim == 3 else x[:, None]


def placed(rows, valid, shape):
    """`rows_of` undone: an array of this shape, zero at steps that are not valid."""
    return rows.reshape(shape) if valid is None else scattered(rows[0], valid)


def scattered(rows, valid):
    """Rows (valid steps, F) at their places in (N, T, F), zero elsewhere."""
    found = np.zeros((*valid.shape, rows.shape[-1]), rows.dtype)
    found[valid] = rows
    return found
