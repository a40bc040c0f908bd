"""What the file of a forecaster says beside its networks, and how that is read without being trusted."""

from __future__ import annotations

import json
import sys

import numpy as np

from .. import _arrays
from ..ensemble import Ensemble
from .results import LEVELS, Band, Fitted, least_values
from .season import TERMS, columns
from .series import Plan, Preparation

ENTRY = "clstm.forecaster"  # its name among the metadata of the file
FORMAT = 1
OPTIONS = ("horizon", "season", "log", "networks", "hidden_size", "window", "epochs", "seed")
LARGEST = sys.float_info.max
MOST_VALUES = 10**8  # that a series in a file may have had


def written(options, fitted):
    """The text of the entry; numbers in it come back as the same bits."""
    preparation, band, count, level, tail = fitted
    state = {
        "format": FORMAT,
        "options": options,
        "plan": preparation.plan._asdict(),
        "weights": preparation.weights.tolist(),
        "mean": preparation.mean,
        "deviation": preparation.deviation,
        "growth": band.growth,
        "sizes": band.sizes.tolist(),
        "count": count,
        "level": level,
        "tail": tail.tolist(),
    }
    return json.dumps(state, allow_nan=False)


def read(text):
    """Options and `Fitted` from the text of an entry.

    Raises
    ------
    TypeError, ValueError, KeyError, AttributeError, RecursionError
        Something is not what it should be.
    """
    state = json.loads(text)
    if state["format"] != FORMAT:
        raise ValueError(f"format {state['format']!r:.40}; this clstm reads {FORMAT}")
    plan = Plan(**state["plan"])
    check_plan(plan)
    width = columns(plan.period, plan.terms) if plan.seasonal else 0
    mean, deviation, growth, level = (number(state[name], name) for name in ("mean", "deviation", "growth", "level"))
    preparation = Preparation(plan, floats(state["weights"], "weights", width), mean, deviation)
    band = Band(growth, floats(state["sizes"], "sizes", len(LEVELS)))
    tail = floats(state["tail"], "tail", plan.window)
    options = {name: state["options"][name] for name in OPTIONS}
    return options, Fitted(preparation, band, _arrays.size("count", state["count"]), level, tail)


def check(horizon, fitted, net):
    """Raises ValueError unless horizon, `Fitted` and networks go together."""
    if not least_values(horizon) <= fitted.count <= MOST_VALUES:
        raise _arrays.wrong(ValueError, "count", f"{least_values(horizon)} to {MOST_VALUES}", fitted.count)
    if not isinstance(net, Ensemble) or (net.input_size, net.output_size, net.removes_time) != (1, 1, True):
        raise ValueError(f"the network {net!r:.80} makes no forecasts")


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
