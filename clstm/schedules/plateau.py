"""A schedule that looks at the validation loss."""

from __future__ import annotations

import math
from typing import Any

from .. import _arrays
from ..optimizers.hyperparameters import Number, not_negative
from .base import Schedule


class ReduceOnPlateau(Schedule):
    """Multiplies the rate by a factor when the validation loss does not get better any more.

    Parameters
    ----------
    factor : float, default 0.1
        At least 0 and below 1.
    patience : int, default 10
        So many validations in a row may not be better; the rate is reduced at the next.
    threshold : float, default 1e-4
        What counts as better; at least 0.
    threshold_mode : str
        "rel": better by this share of the best value. "abs": better by this much.
    cooldown : int, default 0
        So many validations after a reduction are not counted.
    least : float, default 0.0
        The rate does not fall below this.
    mode : str
        "min": small values are good, as of a loss. "max": large ones.
    per : str
        See `Schedule`.

    Notes
    -----
    `observe` is to be called with the value of each validation; `rate` gives the current rate, whatever the step. A
    schedule remembers what it saw: each training needs one of its own. A value that is not finite is never better.

    As ``ReduceLROnPlateau`` of PyTorch with ``eps=0``, but that "rel" is a share of the size of the best value, so that
    it means the same for negative losses.

    Examples
    --------
    >>> import clstm
    >>> schedule = clstm.schedules.ReduceOnPlateau(0.5, patience=1)
    >>> for loss in (1.0, 0.8, 0.9, 0.85, 0.7):
    ...     schedule.observe(loss)
    ...     print(schedule.rate(0), end=" ")
    1.0 1.0 1.0 0.5 0.5
    """

    arguments = ("factor", "patience", "threshold", "threshold_mode", "cooldown", "least", "mode", "per")
    factor: Any = Number("at least 0 and below 1", lambda value: 0 <= value < 1)
    threshold = not_negative()
    least = not_negative()

    def __init__(
        self,
        factor: float = 0.1,
        *,
        patience: int = 10,
        threshold: float = 1e-4,
        threshold_mode: str = "rel",
        cooldown: int = 0,
        least: float = 0.0,
        mode: str = "min",
        per: str = "epoch",
    ) -> None:
        super().__init__(per)
        self.factor = factor
        self.patience = _arrays.size_or_0("patience", patience)
        self.threshold = threshold
        self.threshold_mode = _arrays.choice("threshold_mode", threshold_mode, ("rel", "abs"))
        self.cooldown = _arrays.size_or_0("cooldown", cooldown)
        self.least = least
        self.mode = _arrays.choice("mode", mode, ("min", "max"))
        self._rate, self._best, self._bad, self._cooling = 1.0, self._worst(), 0, 0

    def _worst(self) -> float:
        return math.inf if self.mode == "min" else -math.inf

    def rate(self, step: int) -> float:
        """See `Schedule.rate`."""
        return self._rate

    def observe(self, value: float) -> None:
        """Looks at the value of a validation, and may reduce the rate."""
        value = _arrays.number("value", value, "a real number")
        if self._is_better(value):
            self._best, self._bad = value, 0
        else:
            self._bad += 1
        if self._cooling > 0:
            self._cooling -= 1
            self._bad = 0
        if self._bad > self.patience:
            self._rate = min(self._rate, max(self._rate * self.factor, self.least))
            self._cooling, self._bad = self.cooldown, 0

    def _is_better(self, value):
        if not math.isfinite(value) or self._best == self._worst():
            return math.isfinite(value)
        margin = self.threshold * (abs(self._best) if self.threshold_mode == "rel" else 1)
        return value < self._best - margin if self.mode == "min" else value > self._best + margin

    def state(self) -> dict[str, Any]:
        """See `Schedule.state`."""
        best = None if self._best == self._worst() else self._best
        return {"rate": self._rate, "best": best, "bad": self._bad, "cooling": self._cooling}

    def load_state(self, state: dict[str, Any]) -> None:
        """See `Schedule.load_state`."""
        if not isinstance(state, dict) or state.keys() != self.state().keys():
            raise _arrays.wrong(ValueError, "state", f"a dict of {', '.join(self.state())}", state)
        self._rate, self._bad, self._cooling = state["rate"], state["bad"], state["cooling"]
        self._best = self._worst() if state["best"] is None else state["best"]
