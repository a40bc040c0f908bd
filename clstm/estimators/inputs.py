"""Sequences as estimators are given them: what forms they may have, how they are scaled, how gaps are filled.

Three forms: 2-D, where each row is a window of one channel; 3-D (N, T, C); and a list of arrays of unequal length,
(T_n, C) each, or (T_n,) for one channel.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from .. import _arrays
from . import state

if TYPE_CHECKING:
    from collections.abc import Sequence

IMPUTE = ("forward", "mean", "linear")
EXPECTED = "a 2-D array of windows, a 3-D array (N, T, C), or a list of arrays (T_n, C)"


class Sequences(NamedTuple):
    """Sequences that were checked.

    Attributes
    ----------
    x : ndarray (N, T, C), or list of ndarray (T_n, C)
        float64; NaN where values are missing.
    windows : bool
        Whether they were the rows of a table.
    names : ndarray of str, or None
        Of the columns of a DataFrame.
    """

    x: np.ndarray | list[np.ndarray]
    windows: bool = False
    names: np.ndarray | None = None

    @property
    def channels(self) -> int:
        """C."""
        return self.x[0].shape[-1]

    @property
    def features(self) -> int:
        """What scikit-learn calls so: the columns of a table, otherwise the channels."""
        return self.x.shape[1] if self.windows else self.channels

    @property
    def lengths(self) -> np.ndarray:
        """Steps of each sequence (N,)."""
        return np.array([len(part) for part in self.x])

    def steps(self) -> np.ndarray:
        """All steps below each other (steps, C)."""
        return self.x.reshape(-1, self.channels) if isinstance(self.x, np.ndarray) else np.concatenate(self.x)

    def take(self, rows: np.ndarray) -> Sequences:
        """Some of the sequences."""
        x = self.x[rows] if isinstance(self.x, np.ndarray) else [self.x[n] for n in rows]
        return self._replace(x=x)


def checked(X: Any, *, missing: bool = False) -> Sequences:
    """Sequences in one of the three forms.

    Parameters
    ----------
    X : array_like, DataFrame, or list of array_like
    missing : bool
        Whether NaN is taken, for a value that is missing.

    Raises
    ------
    TypeError, ValueError
        X is no such thing, is empty, has unequal numbers of channels, or values that are not finite.
    """
    if hasattr(X, "tocsr"):
        raise _arrays.wrong(TypeError, "X", f"{EXPECTED} that is dense", f"sparse {_arrays.kind(X)}")
    if is_listed(X):
        found = Sequences(listed(X))
    else:
        array = real("X", X)
        if array.ndim not in (2, 3):
            advice = ". Reshape your data: one sequence is X[np.newaxis]" if array.ndim == 1 else ""
            raise _arrays.wrong(ValueError, "X", EXPECTED, f"shape {array.shape}{advice}")
        check_not_empty(array)
        found = Sequences(array[:, :, None] if array.ndim == 2 else array, array.ndim == 2, names_of(X))
    check_values(found.x, missing)
    return found


def is_listed(X: Any) -> bool:
    """Whether X is a list of sequences: of arrays, or of lists that are no table."""
    if isinstance(X, np.ndarray):
        return X.dtype == object and X.ndim == 1 and len(X) > 0 and all(np.ndim(part) for part in X)
    if not isinstance(X, (list, tuple)) or not X:
        return False
    if any(hasattr(part, "ndim") and part.ndim for part in X):
        return True
    return all(isinstance(part, (list, tuple)) for part in X) and len({len(part) for part in X}) > 1


def real(name: str, value: Any) -> np.ndarray:
    """Numbers as an array of float64; objects that are numbers will do."""
    array = _arrays.array_of(name, value)
    if array.dtype.kind == "c":
        raise _arrays.wrong(ValueError, name, "real numbers", "Complex data not supported")
    if array.dtype.kind not in _arrays.REAL_KINDS + "O":
        raise _arrays.wrong(TypeError, name, "numbers", f"dtype {array.dtype}")
    try:
        return np.asarray(array, np.float64)
    except (TypeError, ValueError) as error:
        raise _arrays.wrong(type(error), name, "numbers", f"an array of objects: {error}") from error


def listed(X: Sequence[Any]) -> list[np.ndarray]:
    """Each sequence as (T_n, C), of one C."""
    found: list[np.ndarray] = []
    for n, part in enumerate(X):
        array = real(f"X[{n}]", part)
        if array.ndim not in (1, 2) or 0 in array.shape:
            expected = "an array (T, C), or (T,) for one channel, with at least 1 step"
            raise _arrays.wrong(ValueError, f"X[{n}]", expected, f"shape {array.shape}")
        array = array[:, None] if array.ndim == 1 else array
        if found and array.shape[1] != found[0].shape[1]:
            expected = f"{found[0].shape[1]} channels, as X[0] has"
            raise _arrays.wrong(ValueError, f"X[{n}]", expected, f"{array.shape[1]}, in shape {array.shape}")
        found.append(array)
    return found


def check_not_empty(array: np.ndarray) -> None:
    """Raises in scikit-learn's words for no row, no step or no channel."""
    if len(array) == 0:
        got = f"0 sample(s) (shape={array.shape}) while a minimum of 1 is required."
        raise _arrays.wrong(ValueError, "X", "at least 1 sequence", got)
    if array.size == 0:
        got = f"0 feature(s) (shape={array.shape}) while a minimum of 1 is required."
        raise _arrays.wrong(ValueError, "X", "at least 1 step of 1 channel", got)


def check_values(x: np.ndarray | list[np.ndarray], missing: bool) -> None:
    """Raises for the first value that is infinite, or missing if that is not allowed, with its place."""
    wanted = "finite values, or NaN for missing ones" if missing else "finite values"
    parts = [((), x)] if isinstance(x, np.ndarray) else [((n,), part) for n, part in enumerate(x)]
    for place, part in parts:
        bad = np.isinf(part) if missing else ~np.isfinite(part)
        if bad.any():
            at = tuple(int(axis) for axis in np.argwhere(bad)[0])
            text = f"{part[at]} at {[*place, *at]} (sequence, step, channel)".replace("nan", "NaN")
            advice = "" if missing or np.isinf(part[at]) else "; impute= fills in what is missing"
            raise _arrays.wrong(ValueError, "X", wanted, text + advice)


def names_of(X: Any) -> np.ndarray | None:
    """The names of the columns of a DataFrame, if they are texts."""
    columns = getattr(X, "columns", None)
    if columns is None or not len(columns) or not all(isinstance(name, str) for name in columns):
        return None
    return np.array(list(columns), object)


class Scaler:
    """Brings each channel to mean 0 and deviation 1, and fills in what is missing.

    A channel that was constant in training is only shifted, to 0. What is missing is filled in after scaling, within
    each sequence: "forward" repeats the last value before it, "linear" draws a line between its neighbours and repeats
    the ends, "mean" takes the mean of the training data; so do the others where a sequence has no value to go by.

    Parameters
    ----------
    mean, deviation : ndarray, (C,)
    impute : str or None
    """

    def __init__(self, mean: np.ndarray, deviation: np.ndarray, impute: str | None) -> None:
        self.mean, self.deviation, self.impute = mean, deviation, impute

    @classmethod
    def learn(cls, sequences: Sequences, impute: str | None, weight: np.ndarray | None = None) -> Scaler:
        """Means and deviations over all steps; `weight` (N,) is how often each sequence counts."""
        weights = None if weight is None else np.repeat(weight, sequences.lengths)[:, None]
        return cls(*moments("X", sequences.steps(), weights, "channel"), impute)

    def __call__(self, sequences: Sequences) -> np.ndarray | list[np.ndarray]:
        """The sequences as a network takes them, float32."""
        if isinstance(sequences.x, np.ndarray):
            return self._scaled(sequences.x, "X")
        return [self._scaled(part, f"X[{n}]") for n, part in enumerate(sequences.x)]

    def _scaled(self, x, name):
        with np.errstate(over="ignore"):  # is found as infinity below
            scaled = ((x - self.mean) / self.deviation).astype(np.float32)
        if np.isinf(scaled).any():
            at = [int(axis) for axis in np.argwhere(np.isinf(scaled))[0]]
            raise _arrays.wrong(ValueError, name, "values near those that fit saw", f"{x[tuple(at)]} at {at}")
        if self.impute is None or not np.isnan(scaled).any():
            return scaled
        return filled(scaled, self.impute)

    def state(self) -> dict[str, Any]:
        """What a file keeps."""
        return {"mean": self.mean, "deviation": self.deviation, "impute": self.impute}

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Scaler:
        """The scaler with this state, checked."""
        mean, deviation, impute = state["mean"], state["deviation"], state["impute"]
        for array in (mean, deviation):
            if array.dtype != np.float64 or array.ndim != 1 or not np.isfinite(array).all():
                raise ValueError(f"no means and deviations of channels: {array!r:.80}")
        if mean.shape != deviation.shape or not (deviation > 0).all() or impute not in (None, *IMPUTE):
            raise ValueError(f"no scaler: deviation {deviation!r:.80}, impute {impute!r:.40}")
        return cls(mean, deviation, impute)


state.registered(Scaler)


def moments(name: str, values: np.ndarray, weights: np.ndarray | None, what: str) -> tuple[np.ndarray, np.ndarray]:
    """Mean and deviation of each column of values (n, C), by weights (n, 1); NaN does not count.

    The deviation of a constant column is taken for 1. Values are divided by the largest before they are squared, which
    would not hold otherwise.
    """
    known = ~np.isnan(values)
    counts = known if weights is None else known * weights
    total = counts.sum(axis=0)
    if not total.all():
        raise _arrays.wrong(ValueError, name, f"a value in {what} {int(np.argmin(total))}", "none: all are missing")
    peak = np.abs(values).max(axis=0, initial=0, where=known)
    unit = np.where(peak == 0, 1.0, peak)
    parts = np.where(known, values, 0) / unit
    mean = (counts * parts).sum(axis=0) / total
    deviation = np.sqrt((counts * (parts - mean) ** 2).sum(axis=0) / total)
    # The deviation of equal numbers is not 0, but a few roundings
    constant = deviation <= 1e-14
    return mean * unit, np.where(constant, 1.0, deviation * unit)


def filled(x: np.ndarray, impute: str) -> np.ndarray:
    """Scaled values (.., T, C) without NaN, see `Scaler`."""
    if impute == "forward":
        T = x.shape[-2]
        steps = np.where(np.isnan(x), -1, np.arange(T)[:, None])
        last = np.maximum.accumulate(steps, axis=-2)  # the step of the last known value; -1: none
        x = np.where(last < 0, np.float32(0), np.take_along_axis(x, np.maximum(last, 0), axis=-2))
    elif impute == "linear":
        columns = np.moveaxis(x, -2, -1).reshape(-1, x.shape[-2]).copy()
        for column in columns:
            known = np.flatnonzero(~np.isnan(column))
            if 0 < len(known) < len(column):
                column[:] = np.interp(np.arange(len(column)), known, column[known])
        x = np.moveaxis(columns.reshape(*x.shape[:-2], x.shape[-1], x.shape[-2]), -1, -2)
    return np.nan_to_num(x, nan=0.0, copy=False)
