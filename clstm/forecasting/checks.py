"""What a file says of a preparation, and whether that can be: nothing that is read is trusted."""

from __future__ import annotations

import sys

import numpy as np

from .. import _arrays
from .season import TERMS, columns
from .series import Plan, Preparation

LARGEST = sys.float_info.max


def state_of(preparation):
    """A preparation as a dict for a file."""
    return {
        "plan": preparation.plan._asdict(),
        "weights": preparation.weights.tolist(),
        "mean": preparation.mean,
        "deviation": preparation.deviation,
    }


def preparation_of(state):
    """The preparation of a dict that `state_of` gave.

    Raises
    ------
    TypeError, ValueError, KeyError, AttributeError
        Something is not what it should be.
    """
    plan = Plan(**state["plan"])
    check_plan(plan)
    width = columns(plan.period, plan.terms) if plan.seasonal else 0
    mean, deviation = (number(state[name], name) for name in ("mean", "deviation"))
    if deviation <= 0:
        raise _arrays.wrong(ValueError, "deviation", "a number above 0", deviation)
    return Preparation(plan, floats(state["weights"], "weights", width), mean, deviation)


def check_plan(plan):
    """Raises ValueError unless all parts of a plan are what they should be."""
    period, terms = plan.period, plan.terms
    has_period = is_number(period) and period >= 2 and type(terms) is int and 1 <= terms <= min(period / 2, TERMS[-1])
    good = {
        "unit": is_number(plan.unit) and plan.unit > 0,
        "power": plan.power in (0, 0.5, 1),
        "period": has_period or (period is None and terms == 0 and plan.seasonal is False),
        "skill": is_number(plan.skill),
        "seasonal": isinstance(plan.seasonal, bool),
        "difference": isinstance(plan.difference, bool),
        "window": type(plan.window) is int and plan.window >= 1,
    }
    for name, fits in good.items():
        if not fits:
            raise ValueError(f"{name} is {getattr(plan, name)!r:.40}")


def is_number(value):
    """Whether a value is a finite int or float."""
    return type(value) in (int, float) and abs(value) <= LARGEST


def number(value, name):
    """A finite float."""
    if not is_number(value):
        raise _arrays.wrong(ValueError, name, "a finite number", f"{value!r:.40}")
    return float(value)


def floats(values, name, count):
    """An array of so many finite floats."""
    if not isinstance(values, list) or len(values) != count:
        raise _arrays.wrong(ValueError, name, f"a list of {count} numbers", f"{values!r:.40}")
    return np.array([number(value, name) for value in values])
