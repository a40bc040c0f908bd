"""What an anomaly detector is given, cut into windows, and how the errors of windows become one of each step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from .. import _arrays
from ..training.evaluation import predictions
from .inputs import Scaler, Sequences, check_not_empty, check_values, names_of, real

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..layer import Layer

BLOCK = 2048  # windows that are judged at a time: it bounds memory


class Watched(NamedTuple):
    """What is judged: `x` (N, T, C) float64, one series being N = 1; NaN where values are missing.

    `axes` is how many the caller's array has: 1 or 2 for a series, 3 for windows that are judged as wholes. `names` are
    those of the columns of a DataFrame, or None.
    """

    x: np.ndarray
    axes: int
    names: np.ndarray | None = None


def watched(X: Any, missing: bool) -> Watched:
    """X, checked: a series (n,) or (n, C), or windows (N, T, C).

    Raises
    ------
    TypeError, ValueError
        It is no such thing, is empty, or has values that are not finite, or missing where that is not allowed.
    """
    if hasattr(X, "tocsr"):
        raise _arrays.wrong(TypeError, "X", "a dense array", f"sparse {_arrays.kind(X)}")
    array = real("X", X)
    if array.ndim not in (1, 2, 3):
        raise _arrays.wrong(ValueError, "X", "a series (n,) or (n, C), or windows (N, T, C)", f"shape {array.shape}")
    check_not_empty(array)
    series = array[:, None] if array.ndim == 1 else array
    x = array if array.ndim == 3 else series[None]
    check_values(x, missing)
    return Watched(x, array.ndim, names_of(X))


def check_varying(x: np.ndarray) -> None:
    """Raises for a channel of x (N, T, C) in which nothing ever happens, so that nothing can be learnt of it."""
    for channel in range(x.shape[2]):
        known = x[:, :, channel][~np.isnan(x[:, :, channel])]
        if not known.size or known.min() == known.max():
            got = f"{known[0]} only" if known.size else "missing values only"
            raise _arrays.wrong(ValueError, "X", "channels that vary", f"{got} in channel {channel}")


def exogenous(exog: Any, x: np.ndarray, axes: int) -> np.ndarray:
    """What else is known of each step, (N, T, E), to fit x (N, T, C)."""
    array = real("exog", exog)
    if array.ndim == 1 and axes == 1:
        array = array[:, None]
    lead = x.shape[:2] if axes == 3 else x.shape[1:2]
    if array.ndim != len(lead) + 1 or array.shape[:-1] != lead or not array.shape[-1]:
        expected = f"shape {(*lead, 'E')}, a row for each step of X".replace("'", "")
        raise _arrays.wrong(ValueError, "exog", expected, f"shape {array.shape}")
    if not np.isfinite(array).all():
        at = [int(axis) for axis in np.argwhere(~np.isfinite(array))[0]]
        raise _arrays.wrong(ValueError, "exog", "finite values", f"{array[tuple(at)]} at {at}")
    return array if axes == 3 else array[None]


class Task(NamedTuple):
    """What a network does with a window: it sees `window` steps and gives `length` steps, from step `start` on.

    A forecaster starts at `window`; an autoencoder at 0, with the length of the window.
    """

    window: int
    start: int
    length: int

    @property
    def reach(self) -> int:
        """Steps that a window and what is given take together."""
        return max(self.window, self.start + self.length)

    def inputs(self, x: np.ndarray) -> np.ndarray:
        """What a network sees of x (N, T, F): (N, K, window, F), of one step after another; a view."""
        return cut(x[:, : x.shape[1] - self.reach + self.window], self.window)

    def targets(self, z: np.ndarray) -> np.ndarray:
        """What it is to give of z (N, T, C): (N, K, length, C); a view."""
        return cut(z[:, self.start :], self.length)


def cut(x: np.ndarray, length: int) -> np.ndarray:
    """All windows of x (N, T, F), (N, K, length, F); a view."""
    return sliding_window_view(x, length, axis=1).swapaxes(2, 3)


def rows(windows: np.ndarray) -> np.ndarray:
    """Windows (N, K, length, F) below each other; of one series still a view."""
    return windows.reshape(-1, *windows.shape[2:])


def errors(net: Layer, task: Task, x: np.ndarray, z: np.ndarray) -> np.ndarray:
    """How far z (N, T, C) is from what the network gives of x (N, T, F): (N, T, C), the mean of the absolute error over
    all windows that give a step; NaN where none does, or where z is missing."""
    inputs, targets = task.inputs(x), task.targets(z)
    total, count = np.zeros(z.shape), np.zeros((1, z.shape[1], 1))
    for series, windows in blocks(*inputs.shape[:2]):
        target = targets[series, windows]
        given = predictions(net, rows(inputs[series, windows]), None, None, 256)
        error = np.abs(given.reshape(target.shape) - target)
        for k in range(task.length):
            first = task.start + windows.start + k
            total[series, first : first + error.shape[1]] += error[:, :, k]
    for k in range(task.length):
        count[:, task.start + k : task.start + k + inputs.shape[1]] += 1
    return np.where(count > 0, total, np.nan) / np.maximum(count, 1)


def blocks(N: int, K: int) -> Iterator[tuple[slice, slice]]:
    """Parts of N series of K windows each, about BLOCK windows in each."""
    some = max(1, BLOCK // K)
    for first in range(0, N, some):
        for start in range(0, K, BLOCK):
            yield slice(first, first + some), slice(start, min(start + BLOCK, K))


def trailing_mean(x: np.ndarray, steps: int) -> np.ndarray:
    """The mean of x (N, T) over each step and those before it, `steps` in all; NaN does not count, but stays."""
    known = ~np.isnan(x)
    values = np.pad(np.where(known, x, 0), ((0, 0), (steps - 1, 0)))
    counts = np.pad(known, ((0, 0), (steps - 1, 0)))
    total = sliding_window_view(values, steps, axis=1).sum(axis=2)
    count = sliding_window_view(counts, steps, axis=1).sum(axis=2)
    return np.where(known, total, np.nan) / np.maximum(count, 1)


def root_mean_square(x: np.ndarray) -> np.ndarray:
    """Over the last axis, of what is known there; NaN if nothing is."""
    known = ~np.isnan(x)
    count = known.sum(axis=-1)
    total = np.square(np.where(known, x, 0)).sum(axis=-1)
    return np.where(count > 0, np.sqrt(total / np.maximum(count, 1)), np.nan)


def scaled(scaler: Scaler, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """x (N, T, C) as the network takes it, and as it is compared: what is missing is filled in, or NaN."""
    z = scaler(Sequences(x))
    return z, np.where(np.isnan(x), np.float32(np.nan), z)
