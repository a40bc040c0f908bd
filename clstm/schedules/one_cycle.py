"""The one-cycle schedule (Smith and Topin, *Super-convergence*, 2018)."""

from __future__ import annotations

import math

from .. import _arrays
from ..optimizers.hyperparameters import positive
from .base import Schedule, share


class OneCycle(Schedule):
    """Up to the learning rate of the optimiser, which is the largest, and then far down.

    Parameters
    ----------
    steps : int
        Of the whole, at least 2. Afterwards the rate stays at its last value.
    pct_start : float, default 0.3
        The share of the steps in which the rate rises.
    anneal : str
        "cos" or "linear": the form of rise and fall.
    div_factor : float, default 25.0
        The first rate is the largest divided by it; above 0.
    final_div_factor : float, default 1e4
        The last rate is the first divided by it; above 0.
    three_phase : bool
        Whether the rate falls to the first one as long as it rose, and only then to the last one. Its `pct_start` is
        at most 0.5.
    per : str
        See `Schedule`.

    Notes
    -----
    As ``OneCycleLR`` of PyTorch with ``cycle_momentum=False``: there is no cycle of the momentum.

    Examples
    --------
    >>> import clstm
    >>> schedule = clstm.schedules.OneCycle(8, pct_start=0.5, div_factor=10, final_div_factor=10, anneal="linear")
    >>> [round(schedule.rate(step), 2) for step in range(9)]
    [0.1, 0.4, 0.7, 1.0, 0.75, 0.51, 0.26, 0.01, 0.01]
    """

    arguments = ("steps", "pct_start", "anneal", "div_factor", "final_div_factor", "three_phase", "per")
    pct_start = share()
    div_factor = positive()
    final_div_factor = positive()

    def __init__(
        self,
        steps: int,
        *,
        pct_start: float = 0.3,
        anneal: str = "cos",
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        three_phase: bool = False,
        per: str = "step",
    ) -> None:
        super().__init__(per)
        self.steps = _arrays.size("steps", steps)
        self.pct_start = pct_start
        self.anneal = _arrays.choice("anneal", anneal, ("cos", "linear"))
        self.div_factor = div_factor
        self.final_div_factor = final_div_factor
        self.three_phase = _arrays.flag("three_phase", three_phase)
        if self.steps == 1:
            raise _arrays.wrong(ValueError, "steps", "an int of at least 2", steps)
        if self.three_phase and self.pct_start > 0.5:
            raise _arrays.wrong(ValueError, "pct_start", "at most 0.5, because of three_phase", pct_start)

    def rate(self, step: int) -> float:
        """See `Schedule.rate`."""
        # Straight lines, or half waves, between these points of (step, rate)
        first, last = 1 / self.div_factor, 1 / self.div_factor / self.final_div_factor
        rise = self.pct_start * self.steps
        points = [(0.0, first), (rise - 1, 1.0), (self.steps - 1.0, last)]
        if self.three_phase:
            points.insert(2, (2 * rise - 2, first))
        step = min(step, self.steps - 1)
        k = 1
        while step > points[k][0] and k + 1 < len(points):
            k += 1
        (begin, start), (stop, end) = points[k - 1 : k + 1]
        done = (step - begin) / (stop - begin) if stop != begin else 1.0
        if self.anneal == "linear":
            return start + (end - start) * done
        return end + (start - end) * (1 + math.cos(math.pi * done)) / 2
