"""The options of losses, checked whenever they are set."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import _arrays

if TYPE_CHECKING:
    from collections.abc import Callable

REDUCTIONS = ("mean", "sum")


class Option:
    """An attribute that is what `check` makes of a value, or an error that has its name."""

    def __init__(self, check: Callable[[str, Any], Any]) -> None:
        self.check = check

    def __set_name__(self, owner, name):
        self.name = name

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        return self if instance is None else instance.__dict__[self.name]

    def __set__(self, instance: Any, value: Any) -> None:
        instance.__dict__[self.name] = self.check(self.name, value)


def reduction(name, value):
    """ "mean" or "sum"."""
    return _arrays.choice(name, value, REDUCTIONS)


def share(name, value):
    """A number from 0 to 1."""
    found = _arrays.number(name, value, "a number from 0 to 1")
    if not 0 <= found <= 1:
        raise _arrays.wrong(ValueError, name, "a number from 0 to 1", value)
    return found


def quantiles(name, value):
    """One or several numbers between 0 and 1, as a vector."""
    found = vector(name, np.atleast_1d(_arrays.array_of(name, value)), "numbers between 0 and 1")
    if not ((found > 0) & (found < 1)).all():
        raise _arrays.wrong(ValueError, name, "numbers between 0 and 1", value)
    return found


def class_weight(name, value):
    """None, or one number of at least 0 for each class, as a vector; not all of them 0."""
    if value is None:
        return None
    expected = "a weight of at least 0 for each class, not all of them 0"
    found = vector(name, _arrays.array_of(name, value), expected)
    if not ((found >= 0) & (found < np.inf)).all() or not found.any():
        raise _arrays.wrong(ValueError, name, expected, value)
    return found


def pos_weight(name, value):
    """None, a number of at least 0, or one for each feature."""
    if value is None or np.ndim(_arrays.array_of(name, value)) == 1:
        return class_weight(name, value)
    found = _arrays.number(name, value, "a number of at least 0, or one for each feature")
    if not 0 <= found < np.inf:
        raise _arrays.wrong(ValueError, name, "a number of at least 0, or one for each feature", value)
    return found


def index(name, value):
    """An int that fits 64 bits, or None."""
    if value is None:
        return None
    if isinstance(value, (bool, np.bool_)) or not hasattr(value, "__index__"):
        raise _arrays.wrong(TypeError, name, "an int or None", f"{value!r} ({_arrays.kind(value)})")
    found = operator.index(value)
    if not -(2**63) <= found < 2**63:
        raise _arrays.wrong(ValueError, name, "an int of 64 bits", value)
    return found


def vector(name, array, expected):
    """A contiguous copy of float64 with one axis, that nobody can write to."""
    if array.dtype.kind not in _arrays.REAL_KINDS or array.dtype.kind == "b":
        raise _arrays.wrong(TypeError, name, expected, f"dtype {array.dtype}")
    if array.ndim != 1 or array.size == 0:
        raise _arrays.wrong(ValueError, name, f"{expected}, in one axis", f"shape {array.shape}")
    found = array.astype(np.float64)
    found.flags.writeable = False
    return found
