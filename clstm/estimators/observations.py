"""What a forecaster is given: series, exogenous inputs and timestamps, checked; nothing of pandas is imported."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from .. import _arrays
from .inputs import IMPUTE, real

POLICY = "values without gaps, or impute= one of " + ", ".join(map(repr, IMPUTE))


class Observations(NamedTuple):
    """Steps of a series.

    Attributes
    ----------
    values : ndarray, (n, C)
        float64; NaN for missing ones.
    exog : ndarray, (n, E)
        What is known of each step in advance; E may be 0.
    times : ndarray of datetime64, (n,), or None
    flat : bool
        Whether the series came as (n,), so that its forecasts have no axis of channels either.
    """

    values: np.ndarray
    exog: np.ndarray
    times: np.ndarray | None
    flat: bool


def observed(series: Any, exog: Any, times: Any, impute: str | None) -> Observations:
    """Series, exogenous inputs and timestamps of the same steps.

    Raises
    ------
    TypeError, ValueError
        The message names the argument and the place.
    """
    flat, values = table("series", series)
    check_gaps("series", values, impute)
    stamps = timestamps(index_of(series) if times is None else times, len(values))
    if exog is None:
        return Observations(values, np.empty((len(values), 0)), stamps, flat)
    known = exogenous(exog, len(values))
    own = index_of(exog)
    if stamps is not None and own is not None and not np.array_equal(np.asarray(own), stamps):
        raise _arrays.wrong(ValueError, "exog", "the timestamps of the series", "others")
    return Observations(values, known, stamps, flat)


def exogenous(exog: Any, rows: int) -> np.ndarray:
    """Exogenous inputs (rows, E), all of them known."""
    values = table("exog", exog)[1]
    if len(values) != rows:
        raise _arrays.wrong(ValueError, "exog", f"{rows} rows, one for each step", len(values))
    _arrays.finite("exog", values)
    return values


def table(name: str, value: Any) -> tuple[bool, np.ndarray]:
    """Whether there is no axis of channels, and the values (n, C)."""
    array = real(name, plain(name, value))
    if array.ndim not in (1, 2):
        raise _arrays.wrong(ValueError, name, "shape (n,) or (n, C)", f"shape {array.shape}")
    if array.shape[1:] == (0,):
        got = f"0 feature(s) (shape={array.shape}) while a minimum of 1 is required."  # scikit-learn's words
        raise _arrays.wrong(ValueError, name, "at least one column", got)
    if not len(array):
        raise _arrays.wrong(ValueError, name, "at least one row", "none")
    return array.ndim == 1, array.reshape(len(array), -1)


def plain(name: str, value: Any) -> Any:
    """The array of a pandas Series or DataFrame, whose missing values become NaN; anything else as it is."""
    if hasattr(value, "toarray"):
        raise _arrays.wrong(TypeError, name, "a dense array", f"a sparse one ({_arrays.kind(value)})")
    if not (hasattr(value, "to_numpy") and hasattr(value, "index")):
        return value
    columns = value.dtypes.items() if hasattr(value, "columns") else [(value.name, value.dtype)]
    for column, dtype in columns:
        if getattr(dtype, "kind", "O") not in _arrays.REAL_KINDS:
            raise _arrays.wrong(TypeError, name, "columns of real numbers", f"column {column!r} of {dtype}")
    return value.to_numpy(dtype=float, na_value=np.nan)


def check_gaps(name: str, values: np.ndarray, impute: str | None) -> None:
    """Raises for infinite values, and for missing ones unless they are imputed."""
    bad = np.isinf(values) if impute is not None else ~np.isfinite(values)
    if bad.any():
        place = tuple(int(axis) for axis in np.argwhere(bad)[0])
        expected = "finite values" if np.isinf(values[place]) else POLICY
        got = "NaN" if np.isnan(values[place]) else values[place]
        raise _arrays.wrong(ValueError, name, expected, f"{got} at {list(place)}")


def check_known(values: np.ndarray) -> None:
    """Raises for a channel of which nothing is known."""
    missing = np.isnan(values).all(axis=0)
    if missing.any():
        expected = "at least some known values in each channel"
        got = f"only missing ones in channel {int(np.argmax(missing))}"
        raise _arrays.wrong(ValueError, "series", expected, got)


def check_columns(values: np.ndarray) -> None:
    """Raises for a channel from which nothing can be learnt."""
    check_known(values)
    low = np.nanmin(values, axis=0)
    same = low == np.nanmax(values, axis=0)
    if same.any():
        column = int(np.argmax(same))
        got = f"{low[column]} everywhere in channel {column}"
        raise _arrays.wrong(ValueError, "series", "values that differ in each channel", got)


# Time


def index_of(value: Any) -> Any:
    """The timestamps that a pandas object carries as its index, or None."""
    index = getattr(value, "index", None)
    if hasattr(index, "to_timestamp"):  # periods, such as months
        index = index.to_timestamp()
    dtype = getattr(index, "dtype", None)
    if getattr(dtype, "kind", None) != "M":
        return None
    return (index if getattr(index, "tz", None) is None else index.tz_convert(None)).to_numpy()


def timestamps(times: Any, rows: int) -> np.ndarray | None:
    """Timestamps as datetime64, each later than the one before it."""
    if times is None:
        return None
    array = np.asarray(times)
    if array.dtype.kind == "O":  # datetime objects
        try:
            array = array.astype("datetime64[us]")
        except (TypeError, ValueError):
            pass
    if array.dtype.kind != "M":
        raise _arrays.wrong(TypeError, "times", "an array of datetime64", f"dtype {array.dtype}")
    if array.shape != (rows,):
        raise _arrays.wrong(ValueError, "times", f"shape ({rows},), one for each row", f"shape {array.shape}")
    if np.isnat(array).any():
        raise _arrays.wrong(ValueError, "times", "timestamps", f"NaT at [{int(np.argmax(np.isnat(array)))}]")
    late = array[1:] <= array[:-1]
    if late.any():
        place = int(np.argmax(late)) + 1
        before, now = array[place - 1], array[place]
        if before == now:
            raise _arrays.wrong(
                ValueError, "times", "each timestamp once", f"{now} twice, at [{place - 1}] and [{place}]"
            )
        raise _arrays.wrong(ValueError, "times", "timestamps in order", f"{now} behind {before} at [{place}]")
    return array


def check_follows(times: np.ndarray | None, last: np.ndarray | None) -> None:
    """Raises unless timestamps, where both sides have them, begin behind the last one that is known."""
    if times is not None and last is not None and times[0] <= last:
        expected = f"steps that follow the last known one, {last}"
        raise _arrays.wrong(ValueError, "times", expected, f"{times[0]} at [0]")
