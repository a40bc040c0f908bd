"""The values of an event: a number, a dict of numbers, or an array; and forecasts in the same form."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from .. import _arrays

LARGEST = 1e100  # of a value, whose square is taken
FORMS = "a number, a dict of numbers, or an array (C,)"


class Form(NamedTuple):
    """How the values of a stream are given, as its first event shows.

    `names` are those of a dict, in the order of the first event; None for a number and for an array.
    """

    kind: str
    channels: int
    names: tuple[str, ...] | None = None

    @classmethod
    def of(cls, name: str, value: Any) -> Form:
        """The form of a value."""
        if isinstance(value, dict):
            if not value or not all(isinstance(key, str) for key in value):
                raise _arrays.wrong(TypeError, name, "a dict with at least one name, all of them str", value)
            return cls("dict", len(value), tuple(value))
        if is_number(value):
            return cls("number", 1)
        array = real(name, value)
        if array.ndim != 1 or not array.size:
            raise _arrays.wrong(ValueError, name, FORMS, f"shape {array.shape}")
        return cls("array", len(array))

    def values(self, name: str, value: Any, missing: bool) -> np.ndarray:
        """The values (C,) in float64; NaN for what is missing, if that is allowed.

        Raises
        ------
        TypeError, ValueError
            The value has another form, or is not finite.
        """
        values = self._plain(name, value)
        bad = ~(np.abs(values) <= LARGEST)  # NaN, too
        if missing:
            bad &= ~np.isnan(values)
        if bad.any():
            k = int(np.argmax(bad))
            place = "" if self.kind == "number" else f" in {self.names[k]!r}" if self.names else f" at [{k}]"
            advice = "; impute= says what to do" if np.isnan(values[k]) and name != "x" else ""
            raise _arrays.wrong(ValueError, name, "finite values below 1e100", f"{values[k]}{place}{advice}")
        return values

    def _plain(self, name, value):
        if self.kind == "dict":
            if not isinstance(value, dict):
                raise _arrays.wrong(TypeError, name, "a dict, as the first event had", _arrays.kind(value))
            unknown = [key for key in value if key not in self.names]
            if unknown:
                raise _arrays.wrong(ValueError, name, f"the names {_arrays.some(list(self.names))}", unknown[0])
            return np.array([number(f"{name}[{key!r}]", value.get(key)) for key in self.names])
        if self.kind == "number":
            if not is_number(value):
                raise _arrays.wrong(TypeError, name, "a number, as the first event was", _arrays.kind(value))
            return np.array([number(name, value)])
        array = real(name, value)
        if array.shape != (self.channels,):
            raise _arrays.wrong(ValueError, name, f"shape ({self.channels},), as first", f"shape {array.shape}")
        return array

    def give(self, values: np.ndarray) -> Any:
        """Values (C,) in this form."""
        if self.kind == "dict":
            return dict(zip(self.names, values.tolist(), strict=True))
        return float(values[0]) if self.kind == "number" else values.copy()


def is_number(value: Any) -> bool:
    """Whether a value is one number, or None, which stands for a missing one."""
    return value is None or isinstance(value, (int, float, np.number, bool)) or np.ndim(value) == 0


def number(name: str, value: Any) -> float:
    """A float; NaN for None."""
    if value is None:
        return np.nan
    if isinstance(value, np.ndarray) and value.ndim == 0:
        value = value[()]
    return _arrays.number(name, value, "a number")


def real(name: str, value: Any) -> np.ndarray:
    """An array of float64, a copy."""
    array = _arrays.array_of(name, value)
    if array.dtype.kind not in _arrays.REAL_KINDS:
        raise _arrays.wrong(TypeError, name, FORMS, f"{_arrays.kind(value)} of {array.dtype}")
    return array.astype(np.float64)
