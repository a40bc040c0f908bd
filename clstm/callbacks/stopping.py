"""Callbacks that end a training: early stopping, a time limit, Ctrl-C."""

from __future__ import annotations

import math
import sys
from time import monotonic
from typing import TYPE_CHECKING, Any

from .. import _arrays
from .base import Callback

if TYPE_CHECKING:
    from ..training.trainer import Trainer


def value_of(logs: dict[str, Any], name: str) -> float:
    """What is monitored, or a ValueError that lists what there is."""
    if name not in logs:
        known = ", ".join(sorted(key for key, value in logs.items() if isinstance(value, (int, float))))
        raise _arrays.wrong(ValueError, "monitor", f"one of {known}", repr(name))
    return float(logs[name])


def rises(trainer: Trainer, monitor: str, mode: str) -> bool:
    """Whether larger values are better, which for "auto" the metric of that name says."""
    if mode != "auto":
        return mode == "max"
    name = monitor.removeprefix("val_")
    return any(metric.name == name and metric.greater_is_better for metric in trainer.metrics)


class Best:
    """The best of the values of one name, so far.

    Parameters
    ----------
    monitor : str
    mode : str
    least : float
        By how much a value has to be better.
    """

    def __init__(self, monitor: str, mode: str, least: float) -> None:
        self.monitor = monitor
        if not isinstance(monitor, str):
            raise _arrays.wrong(TypeError, "monitor", "a str", _arrays.kind(monitor))
        self.mode = _arrays.choice("mode", mode, ("auto", "min", "max"))
        self.least = _arrays.deviation("min_delta", least)
        self.clear()

    def clear(self) -> None:
        """Forgets all values."""
        self.value: float | None = None

    def is_new(self, trainer: Trainer, logs: dict[str, Any]) -> bool:
        """Whether the value in some logs is better than all before, which it replaces then. NaN never is."""
        value = value_of(logs, self.monitor)
        sign = -1 if rises(trainer, self.monitor, self.mode) else 1
        better = not math.isnan(value) and (self.value is None or sign * (self.value - value) > self.least)
        if better:
            self.value = value
        return better

    @property
    def event(self) -> str:
        """When there is a value."""
        return "on_validation_end" if self.monitor.startswith("val_") else "on_epoch_end"


class EarlyStopping(Callback):
    """Ends a training that gets no better (Prechelt 1998), and gives the network the weights that were the best.

    Parameters
    ----------
    monitor : str, default "val_loss"
        A name in the history. Names with ``val_`` are looked at after each validation, others after each epoch.
    patience : int, default 10
        After so many values in a row that are no better than the best, training ends.
    min_delta : float, default 0
        By how much a value has to be better.
    mode : str, default "auto"
        "min", "max", or "auto": what the metric of that name says, and "min" for losses.
    restore_best : bool, default True
        Whether the network has the best weights at the end of `fit`.

    Attributes
    ----------
    best : float or None
        The best value.
    best_epoch : int or None
    stopped_epoch : int or None
        The epoch in which training was ended; None if it was not.

    Examples
    --------
    >>> import numpy as np, clstm
    >>> x = np.random.default_rng(0).normal(size=(8, 5, 1))
    >>> trainer = clstm.Trainer(clstm.LSTM(1, 1, rng=0), learning_rate=0.3, rng=0)
    >>> stopping = clstm.callbacks.EarlyStopping(patience=2)
    >>> history = trainer.fit(x[:6], x[:6], epochs=100, validation=(x[6:], x[6:]), callbacks=[stopping])
    >>> bool(trainer.evaluate(x[6:], x[6:]) == min(history["val_loss"]))
    True
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        *,
        patience: int = 10,
        min_delta: float = 0.0,
        mode: str = "auto",
        restore_best: bool = True,
    ) -> None:
        self._best = Best(monitor, mode, min_delta)
        self.patience = _arrays.size("patience", patience)
        self.restore_best = _arrays.flag("restore_best", restore_best)
        self._clear()

    def _clear(self):
        self._best.clear()
        self.best_epoch = self.stopped_epoch = None
        self.waited, self._weights = 0, None

    @property
    def best(self) -> float | None:
        """The best value."""
        return self._best.value

    def listens_to(self, event: str) -> bool:
        """To the one event at which there is a value."""
        return event == self._best.event

    def on_fit_begin(self, trainer):
        """Forgets an earlier training."""
        self._clear()

    def on_fit_resume(self, trainer, state):
        """Goes on from a state."""
        self._best.value, self.best_epoch, self.waited = state["best"], state["best_epoch"], state["waited"]
        self._weights = state.get("weights")

    def state(self):
        """What a checkpoint keeps."""
        found = {"best": self.best, "best_epoch": self.best_epoch, "waited": self.waited}
        return found if self._weights is None else {**found, "weights": self._weights}

    def _look(self, trainer, logs):
        if self._best.is_new(trainer, logs):
            self.waited, self.best_epoch = 0, logs["epoch"]
            if self.restore_best:
                with trainer._averaged():
                    self._weights = trainer.net.flat_parameters.copy()
            return False
        self.waited += 1
        if self.waited >= self.patience:
            self.stopped_epoch = logs["epoch"]
        return self.waited >= self.patience

    on_epoch_end = on_validation_end = _look

    def on_fit_end(self, trainer):
        """Gives the best weights to the network."""
        if self._weights is not None and trainer.is_complete:
            trainer.net.flat_parameters[...] = self._weights

    def __repr__(self):
        return f"EarlyStopping({self._best.monitor!r}, patience={self.patience})"


class TimeLimit(Callback):
    """Stops a training after some time, at the end of the step that is being made.

    `fit` with the same arguments goes on from there, and so does `Trainer.resume` from a checkpoint; time that was used
    before counts.

    Parameters
    ----------
    seconds : float
        Above 0.

    Examples
    --------
    >>> import clstm
    >>> clstm.callbacks.TimeLimit(600)
    TimeLimit(600.0)
    """

    pauses = True

    def __init__(self, seconds: float) -> None:
        found = _arrays.limit("seconds", seconds)
        if found is None:
            raise _arrays.wrong(TypeError, "seconds", "a positive number", "None")
        self.seconds = found
        self._used, self._since = 0.0, monotonic()

    def on_fit_begin(self, trainer):
        """Starts the clock."""
        self._used, self._since = 0.0, monotonic()

    def on_fit_resume(self, trainer, state):
        """Goes on with the time that was used, unless it was used up: then it starts anew."""
        self._used, self._since = state["used"] if state["used"] < self.seconds else 0.0, monotonic()

    def state(self):
        """What a checkpoint keeps."""
        return {"used": self.used}

    @property
    def used(self) -> float:
        """Seconds since the training began."""
        return self._used + monotonic() - self._since

    def on_step_end(self, trainer, logs):
        """Whether the time is over."""
        return self.used >= self.seconds

    def __repr__(self):
        return f"TimeLimit({self.seconds})"


class StopOnInterrupt(Callback):
    """At Ctrl-C, `fit` ends after the step that is being made, says so on stderr, and returns as usual.

    The network is a usable one, as that step has left it; `fit` with the same arguments goes on. Without this callback,
    `fit` raises KeyboardInterrupt, also after that step. A second Ctrl-C raises at once.

    Examples
    --------
    >>> import clstm
    >>> clstm.callbacks.StopOnInterrupt()
    StopOnInterrupt()
    """

    def on_interrupt(self, trainer):
        """Says what happens."""
        if sys.stderr is not None:
            print(
                f"\nstopped by Ctrl-C in epoch {trainer.epoch + 1}, after step {trainer.steps}; the network is usable, "
                "and fit with the same arguments goes on",
                file=sys.stderr,
            )
        return True


__all__ = ["Best", "EarlyStopping", "StopOnInterrupt", "TimeLimit"]
