"""Schedules that multiply by a factor now and then."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .. import _arrays
from ..optimizers.hyperparameters import positive
from .base import Schedule

if TYPE_CHECKING:
    from collections.abc import Sequence


class Step(Schedule):
    """A factor after every so many epochs, or at milestones.

    Parameters
    ----------
    every : int, optional
        After so many epochs each time.
    factor : float
        What the rate is multiplied by; above 0.
    milestones : sequence of int, optional
        Instead of `every`: after so many epochs, in ascending order.
    per : str
        See `Schedule`.

    Examples
    --------
    >>> import clstm
    >>> halved = clstm.schedules.Step(2, factor=0.5)
    >>> [halved.rate(epoch) for epoch in range(6)]
    [1.0, 1.0, 0.5, 0.5, 0.25, 0.25]
    >>> late = clstm.schedules.Step(milestones=[3, 5], factor=0.1)
    >>> [round(late.rate(epoch), 3) for epoch in range(6)]
    [1.0, 1.0, 1.0, 0.1, 0.1, 0.01]
    """

    arguments = ("every", "milestones", "factor", "per")
    factor = positive()

    def __init__(
        self,
        every: int | None = None,
        *,
        factor: float = 0.1,
        milestones: Sequence[int] | None = None,
        per: str = "epoch",
    ) -> None:
        super().__init__(per)
        if (every is None) == (milestones is None):
            got = "neither" if every is None else "both"
            raise _arrays.wrong(ValueError, "every", "either it or milestones", got)
        self.every = None if every is None else _arrays.size("every", every)
        self.milestones = None if milestones is None else checked_milestones(milestones)
        self.factor = factor

    def rate(self, step: int) -> float:
        """See `Schedule.rate`."""
        reached = sum(step >= milestone for milestone in self.milestones or ())
        done = reached if self.every is None else step // self.every
        return self.factor**done


def checked_milestones(milestones: Any) -> list[int]:
    """Numbers of steps in ascending order."""
    if isinstance(milestones, str) or not hasattr(milestones, "__iter__"):
        got = f"{milestones!r} ({_arrays.kind(milestones)})"
        raise _arrays.wrong(TypeError, "milestones", "a sequence of ints", got)
    found = [_arrays.size(f"milestones[{k}]", milestone) for k, milestone in enumerate(milestones)]
    if found != sorted(found):
        raise _arrays.wrong(ValueError, "milestones", "ints in ascending order", found)
    return found


class Exponential(Schedule):
    """A factor after each epoch.

    Parameters
    ----------
    factor : float
        What the rate is multiplied by; above 0.
    per : str
        See `Schedule`.

    Examples
    --------
    >>> import clstm
    >>> clstm.schedules.Exponential(0.5).rate(3)
    0.125
    """

    arguments = ("factor", "per")
    factor = positive()

    def __init__(self, factor: float, *, per: str = "epoch") -> None:
        super().__init__(per)
        self.factor = factor

    def rate(self, step: int) -> float:
        """See `Schedule.rate`."""
        return self.factor**step
