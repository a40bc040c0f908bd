"""Attributes that are checked whenever they are set.

They have no `__get__`: Python finds the value in the object itself then, as fast as that of any attribute. For
checkers of types, the functions that make them return Any.
"""

from __future__ import annotations

import math
import numbers
from typing import TYPE_CHECKING, Any

from .. import _arrays

if TYPE_CHECKING:
    from collections.abc import Callable


class Number:
    """An attribute that is a finite number with a rule of its own, checked whenever it is set."""

    def __init__(self, rule: str, holds: Callable[[float], bool], optional: bool = False) -> None:
        self.expected = f"a finite number, {rule}{', or None' * optional}"
        self.holds = holds
        self.optional = optional

    def __set_name__(self, owner, name):
        self.name = name

    def __set__(self, instance: Any, value: Any) -> None:
        instance.__dict__[self.name] = self.checked(value)

    def checked(self, value: Any) -> float | None:
        """The number as a float; raises TypeError or ValueError where it is none that fits."""
        if value is None and self.optional:
            return None
        if isinstance(value, bool) or not isinstance(value, numbers.Real):
            raise _arrays.wrong(TypeError, self.name, self.expected, f"{value!r} ({_arrays.kind(value)})")
        try:
            number = float(value)
        except OverflowError:  # an int or a fraction of more than 300 digits
            number = math.inf
        if not (math.isfinite(number) and self.holds(number)):
            raise _arrays.wrong(ValueError, self.name, self.expected, number)
        return number


class Flag:
    """An attribute that is True or False, checked whenever it is set."""

    def __set_name__(self, owner, name):
        self.name = name

    def __set__(self, instance: Any, value: Any) -> None:
        instance.__dict__[self.name] = _arrays.flag(self.name, value)


def not_negative() -> Any:
    """An attribute that is at least 0."""
    return Number("at least 0", lambda value: value >= 0)


def positive(optional: bool = False) -> Any:
    """An attribute above 0."""
    return Number("above 0", lambda value: value > 0, optional)


def fraction() -> Any:
    """An attribute that is at least 0 and below 1."""
    return Number("at least 0 and below 1", lambda value: 0 <= value < 1)


def flag() -> Any:
    """An attribute that is True or False."""
    return Flag()
