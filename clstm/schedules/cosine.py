"""Cosine schedules, with warm-up (Loshchilov and Hutter, *SGDR*, ICLR 2017)."""

from __future__ import annotations

import math

from .. import _arrays
from ..optimizers.hyperparameters import not_negative
from .base import Schedule, share


def warm(step: int, warmup: int, start: float | None) -> float:
    """The rate in the warm-up: a straight line from `start` to 1; without `start` one whose first step is not lost."""
    first = 1 / (warmup + 1) if start is None else start
    return first + (1 - first) * step / warmup


def half_wave(done: float, end: float) -> float:
    """From 1, where `done` is 0, to `end`, where it is 1."""
    return end + (1 - end) * (1 + math.cos(math.pi * done)) / 2


class Cosine(Schedule):
    """Half a wave of a cosine, from 1 down to `end`, after a straight line up.

    Parameters
    ----------
    steps : int
        Of the whole, warm-up included. Afterwards the rate stays at `end`.
    warmup : int, default 0
        Steps in which the rate rises; fewer than `steps`.
    end : float, default 0.0
        The factor at the end; at least 0.
    start : float, optional
        The factor of the first step of the warm-up, from 0 to 1. None: 1 / (warmup + 1), so that no step is lost.
    per : str
        See `Schedule`.

    Examples
    --------
    >>> import clstm
    >>> schedule = clstm.schedules.Cosine(6, warmup=2, end=0.1, start=0)
    >>> [round(schedule.rate(step), 3) for step in range(8)]
    [0.0, 0.5, 1.0, 0.868, 0.55, 0.232, 0.1, 0.1]
    """

    arguments = ("steps", "warmup", "end", "start", "per")
    end = not_negative()
    start = share(optional=True)

    def __init__(
        self,
        steps: int,
        *,
        warmup: int = 0,
        end: float = 0.0,
        start: float | None = None,
        per: str = "step",
    ) -> None:
        super().__init__(per)
        self.steps = _arrays.size("steps", steps)
        self.warmup = _arrays.whole("warmup", warmup, self.steps)
        self.end = end
        self.start = start

    def rate(self, step: int) -> float:
        """See `Schedule.rate`."""
        if step < self.warmup:
            return warm(step, self.warmup, self.start)
        return half_wave(min(1.0, (step - self.warmup) / (self.steps - self.warmup)), self.end)


class CosineRestarts(Schedule):
    """One half wave of a cosine after another, each from 1 down to `end`.

    Parameters
    ----------
    period : int
        Steps of the first of them.
    growth : int, default 1
        Each takes so many times as many steps as the one before it.
    warmup, end, start, per
        As in `Cosine`; the warm-up comes before the first period.

    Examples
    --------
    >>> import clstm
    >>> schedule = clstm.schedules.CosineRestarts(2, growth=2)
    >>> [round(schedule.rate(step), 2) for step in range(8)]
    [1.0, 0.5, 1.0, 0.85, 0.5, 0.15, 1.0, 0.96]
    """

    arguments = ("period", "growth", "warmup", "end", "start", "per")
    end = not_negative()
    start = share(optional=True)

    def __init__(
        self,
        period: int,
        *,
        growth: int = 1,
        warmup: int = 0,
        end: float = 0.0,
        start: float | None = None,
        per: str = "step",
    ) -> None:
        super().__init__(per)
        self.period = _arrays.size("period", period)
        self.growth = _arrays.size("growth", growth)
        self.warmup = _arrays.size_or_0("warmup", warmup)
        self.end = end
        self.start = start

    def rate(self, step: int) -> float:
        """See `Schedule.rate`."""
        if step < self.warmup:
            return warm(step, self.warmup, self.start)
        step, period = step - self.warmup, self.period
        if self.growth == 1:
            step %= period
        while step >= period:
            step, period = step - period, period * self.growth
        return half_wave(step / period, self.end)
