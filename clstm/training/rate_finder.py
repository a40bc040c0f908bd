"""A learning rate found by trying: it rises from step to step until training fails (Smith 2017, section 3.3)."""

from __future__ import annotations

import copy
import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from .. import _arrays
from ..schedules import Constant

if TYPE_CHECKING:
    from .trainer import Trainer

LEAST_STEPS = 20  # of a search: with fewer, chance decides
MEMORY = 0.9  # of the smoothed loss, for each step
DIVERGED = 4.0  # times its least value, the smoothed loss ends the search


class RateFinding(NamedTuple):
    """What `Trainer.find_learning_rate` has found; `clstm.plot.learning_rates` draws it.

    Attributes
    ----------
    rates : ndarray, (steps,)
    losses : ndarray, (steps,)
        Of the batch, before the step at that rate.
    smoothed : ndarray, (steps,)
        A running mean of them.
    suggestion : float
        The rate at which the smoothed loss falls fastest, by the logarithm of the rate.
    """

    rates: np.ndarray
    losses: np.ndarray
    smoothed: np.ndarray
    suggestion: float

    def __repr__(self):
        return f"RateFinding(suggestion={self.suggestion:.2g}, {len(self.rates)} steps)"


def search(trainer: Trainer, source: Any, plan: Any, low: float, high: float, steps: int) -> RateFinding:
    """Trains a copy of the trainer for some steps with a rising rate."""
    twin = copy.deepcopy(trainer)
    twin.schedule = Constant()
    rates, losses = low * (high / low) ** np.linspace(0, 1, steps), []
    smoothed, running, best = [], 0.0, math.inf
    batches = endless(source, plan, twin)
    for k, rate in enumerate(rates):
        twin.optimizer.learning_rate = float(rate)
        try:
            done, *_ = twin._stepper.run(first_piece(next(batches), twin.bptt), None, twin._stepper.seed())
        except FloatingPointError:
            break
        running = MEMORY * running + (1 - MEMORY) * done.loss
        losses.append(done.loss)
        smoothed.append(running / (1 - MEMORY ** (k + 1)))
        best = min(best, smoothed[-1])
        if smoothed[-1] > DIVERGED * best and k > steps // 10:
            break
    if len(losses) < LEAST_STEPS // 2:
        raise FloatingPointError(f"training fails after {len(losses)} steps: a smaller `low` may help, it is {low}")
    rates, values = rates[: len(losses)], np.array(smoothed)
    return RateFinding(rates, np.array(losses), values, suggested(rates, values))


def suggested(rates: np.ndarray, smoothed: np.ndarray) -> float:
    """Where the smoothed loss falls fastest, up to its least value.

    Over a fifth of all steps, so that the noise of single batches does not decide; the first ones, whose mean is one of
    few, do not count.
    """
    half = max(1, len(smoothed) // 10)
    middle = np.arange(2 * half, max(2 * half + 1, min(int(smoothed.argmin()) + 1, len(smoothed) - half)))
    slope = smoothed[middle + half] - smoothed[middle - half]
    return float(rates[middle[int(slope.argmin())]])


def endless(source: Any, plan: Any, trainer: Trainer) -> Any:
    """Batches, epoch after epoch."""
    while True:
        yield from source.epoch(1, trainer.rng, plan, 0)[1]


def first_piece(rows: Any, bptt: int | None) -> Any:
    """A batch, or the first piece of it."""
    return rows.batch(0, None if bptt is None else min(bptt, rows.steps))


def checked_rates(low: Any, high: Any) -> tuple[float, float]:
    """Two positive numbers, of which the second is larger."""
    low, high = (_arrays.number(name, value, "a positive number") for name, value in (("low", low), ("high", high)))
    if not 0 < low < math.inf:
        raise _arrays.wrong(ValueError, "low", "a positive number", low)
    if not low < high < math.inf:
        raise _arrays.wrong(ValueError, "high", f"a number above low, which is {low}", high)
    return low, high
