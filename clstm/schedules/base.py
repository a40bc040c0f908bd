"""What all schedules share, and the two simplest: always the same, and any function."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from .. import _arrays
from ..optimizers.hyperparameters import Number, not_negative

if TYPE_CHECKING:
    from collections.abc import Callable

UNITS = ("step", "epoch")


def share(optional: bool = False) -> Any:
    """An attribute from 0 to 1."""
    return Number("from 0 to 1", lambda value: 0 <= value <= 1, optional)


class Schedule:
    """What all schedules share; the base class for schedules of your own, which write `rate`.

    Parameters
    ----------
    per : str
        "step": `rate` is asked before each step of the optimiser, with the number of steps done. "epoch": before each
        epoch, with the number of epochs done.

    Examples
    --------
    >>> import clstm
    >>> class InverseRoot(clstm.schedules.Schedule):
    ...     def rate(self, step):
    ...         return (1 + step) ** -0.5
    >>> InverseRoot("step").rate(3)
    0.5
    """

    arguments: tuple[str, ...] = ("per",)  # and attributes, which make an equal schedule

    def __init__(self, per: str = "step") -> None:
        self.per = _arrays.choice("per", per, UNITS)

    def rate(self, step: int) -> float:
        """The factor of the learning rate.

        Parameters
        ----------
        step : int
            How many steps have been done, or epochs, as `per` says.

        Returns
        -------
        float
            At least 0.
        """
        raise NotImplementedError(f"{type(self).__name__} has no rate")

    def observe(self, value: float) -> None:
        """To be called with what a validation gave; only some schedules look at it."""

    def state(self) -> dict[str, Any]:
        """What it remembers, of what JSON knows; most remember nothing."""
        return {}

    def load_state(self, state: dict[str, Any]) -> None:
        """Takes back what `state` gave; raises ValueError if that was of another kind of schedule."""
        if state != {}:
            raise _arrays.wrong(ValueError, "state", f"an empty dict, because {self!r} remembers nothing", state)

    def config(self) -> dict[str, Any]:
        """The arguments that make an equal schedule, of what JSON knows; see `from_config`."""
        return {name: getattr(self, name) for name in self.arguments}

    def __repr__(self):
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in self.config().items())})"


class Constant(Schedule):
    """Always the same factor.

    Parameters
    ----------
    factor : float, default 1.0
        At least 0.
    per : str
        See `Schedule`; it makes no difference here.

    Examples
    --------
    >>> import clstm
    >>> clstm.schedules.Constant().rate(1000)
    1.0
    """

    arguments = ("factor", "per")
    factor = not_negative()

    def __init__(self, factor: float = 1.0, *, per: str = "step") -> None:
        super().__init__(per)
        self.factor = factor

    def rate(self, step: int) -> float:
        """See `Schedule.rate`."""
        return self.factor


class Function(Schedule):
    """Any function of the number of steps, or epochs, that have been done.

    Parameters
    ----------
    function : callable
        Of an int; returns the factor, a finite number of at least 0.
    per : str
        See `Schedule`.

    Notes
    -----
    A function cannot be stored: who goes on from a file gives it again.

    Examples
    --------
    >>> import clstm
    >>> clstm.schedules.Function(lambda epoch: 0.5**epoch, per="epoch").rate(2)
    0.25
    """

    def __init__(self, function: Callable[[int], float], *, per: str = "step") -> None:
        if not callable(function):
            got = f"{function!r} ({_arrays.kind(function)})"
            raise _arrays.wrong(TypeError, "function", "a function of the step", got)
        super().__init__(per)
        self.function = function

    def rate(self, step: int) -> float:
        """See `Schedule.rate`."""
        expected = "a function that returns finite numbers of at least 0"
        found = _arrays.number("function", self.function(step), expected)
        if not 0 <= found < math.inf:
            raise _arrays.wrong(ValueError, "function", expected, f"{found} for {step}")
        return found

    def config(self) -> dict[str, Any]:
        """What can be said of it: the name of the function, which does not make an equal schedule."""
        name = getattr(self.function, "__qualname__", _arrays.kind(self.function))
        return {"function": name, "per": self.per}
