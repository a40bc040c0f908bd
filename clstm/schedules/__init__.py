"""Schedules of the learning rate: a factor for each step, or for each epoch.

A schedule says by what the learning rate of the optimiser is multiplied, after so many steps or epochs have been
completed. It is an object of its own, which knows neither optimiser nor network:

>>> import clstm
>>> schedule = clstm.schedules.Cosine(10, warmup=2)
>>> for step in range(11):
...     print(f"{schedule.rate(step):.3f}", end=" ")
0.333 0.667 1.000 0.962 0.854 0.691 0.500 0.309 0.146 0.038 0.000
"""

from __future__ import annotations

from typing import Any

from .. import _arrays
from .base import Constant, Function, Schedule
from .cosine import Cosine, CosineRestarts
from .decay import Exponential, Step
from .one_cycle import OneCycle
from .plateau import ReduceOnPlateau

NAMED: dict[str, type[Schedule]] = {
    kind.__name__: kind for kind in (Constant, Step, Exponential, Cosine, CosineRestarts, OneCycle, ReduceOnPlateau)
}


def make(schedule: Any) -> Schedule:
    """The schedule that a trainer was given: None for none, an object, or a function of the number of steps done.

    Examples
    --------
    >>> import clstm
    >>> clstm.schedules.make(lambda step: 1 / (1 + step)).rate(3)
    0.25
    """
    if schedule is None:
        return Constant()
    if isinstance(schedule, Schedule):
        return schedule
    if callable(schedule) and not isinstance(schedule, type):
        return Function(schedule)
    known = ", ".join(f"clstm.schedules.{name}(...)" for name in NAMED)
    expected = f"None, a function of the step, or a schedule: {known}"
    got = f"the class {schedule.__name__}" if isinstance(schedule, type) else f"{schedule!r} ({_arrays.kind(schedule)})"
    raise _arrays.wrong(TypeError, "schedule", expected, got)


def from_config(name: str, config: dict[str, Any]) -> Schedule:
    """The schedule with this name and configuration; its state is loaded apart, see `Schedule.load_state`.

    Parameters
    ----------
    name : str
        Of its class.
    config : dict
        What its `config` returned, perhaps by way of JSON.

    Raises
    ------
    TypeError, ValueError
        There is no schedule of this name, or it has not these arguments. A `Function` cannot be made so, because no
        file holds its function.

    Examples
    --------
    >>> import clstm
    >>> clstm.schedules.from_config("Step", clstm.schedules.Step(5, factor=0.5).config())
    Step(every=5, milestones=None, factor=0.5, per='epoch')
    """
    if name == Function.__name__:
        raise _arrays.wrong(ValueError, "name", "a schedule that a file can hold", "Function: give the function again")
    kind = NAMED[_arrays.choice("name", name, tuple(NAMED))]
    if not isinstance(config, dict):
        raise _arrays.wrong(TypeError, "config", "a dict", _arrays.kind(config))
    _arrays.same_names("config", config, dict.fromkeys(kind.arguments))
    return kind(**config)


__all__ = [
    "Constant",
    "Cosine",
    "CosineRestarts",
    "Exponential",
    "Function",
    "OneCycle",
    "ReduceOnPlateau",
    "Schedule",
    "Step",
    "from_config",
    "make",
]
