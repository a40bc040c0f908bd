"""Callbacks that keep records: of the learning rate, and of the history in a CSV file."""

from __future__ import annotations

import os
from typing import Any

from .base import Callback


class LearningRateLog(Callback):
    """Keeps the learning rate of every step, for a look at a schedule.

    Attributes
    ----------
    steps : list of int
    rates : list of float

    Examples
    --------
    >>> import numpy as np, clstm
    >>> log = clstm.callbacks.LearningRateLog()
    >>> trainer = clstm.Trainer(
    ...     clstm.LSTM(1, 2, rng=0), learning_rate=0.1, schedule=lambda step: 0.5**step, rng=0
    ... )
    >>> history = trainer.fit(np.ones((4, 3, 1)), np.zeros((4, 3, 2)), epochs=3, callbacks=[log])
    >>> log.steps, log.rates
    ([1, 2, 3], [0.1, 0.05, 0.025])
    """

    def __init__(self) -> None:
        self.steps: list[int] = []
        self.rates: list[float] = []

    def on_fit_begin(self, trainer):
        """Forgets an earlier training."""
        self.steps, self.rates = [], []

    def on_fit_resume(self, trainer, state):
        """Goes on from a state."""
        self.steps, self.rates = list(state["steps"]), list(state["rates"])

    def state(self):
        """What a checkpoint keeps."""
        return {"steps": self.steps, "rates": self.rates}

    def on_step_end(self, trainer, logs):
        """Adds a step."""
        self.steps.append(logs["step"])
        self.rates.append(logs["learning_rate"])


class CSVLog(Callback):
    """Writes the history to a CSV file, a line after each epoch, which is on disk at once.

    A new training starts a new file. One that goes on from a checkpoint takes away what was written after it, and goes
    on below. The columns are those of the first epoch.

    Parameters
    ----------
    path : str or path-like

    Raises
    ------
    OSError
        The file cannot be written (as the cause of a `CallbackError`).

    Examples
    --------
    >>> import os, tempfile, numpy as np, clstm
    >>> folder = tempfile.TemporaryDirectory()
    >>> path = os.path.join(folder.name, "log.csv")
    >>> trainer = clstm.Trainer(clstm.LSTM(1, 2, rng=0), rng=0)
    >>> history = trainer.fit(
    ...     np.ones((4, 3, 1)), np.zeros((4, 3, 2)), epochs=2, callbacks=[clstm.callbacks.CSVLog(path)]
    ... )
    >>> with open(path) as file:
    ...     print(file.readline().strip())
    epoch,loss,gradient_norm,learning_rate,seconds
    >>> folder.cleanup()
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = os.fspath(path)
        self._columns: list[str] | None = None
        self._end = 0  # bytes that are written

    def on_fit_begin(self, trainer):
        """Starts an empty file."""
        self._columns, self._end = None, 0
        with open(self.path, "w", encoding="utf-8", newline=""):
            pass

    def on_fit_resume(self, trainer, state):
        """Cuts the file where the checkpoint was."""
        self._columns, self._end = state["columns"], state["end"]
        with open(self.path, "a", encoding="utf-8", newline="") as file:
            file.truncate(min(self._end, file.tell()))

    def state(self):
        """What a checkpoint keeps."""
        return {"columns": self._columns, "end": self._end}

    def on_epoch_end(self, trainer, logs: dict[str, Any]):
        """Writes a line."""
        import csv  # not every training writes one

        with open(self.path, "a", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            if self._columns is None:
                self._columns = list(logs)
                writer.writerow(self._columns)
            writer.writerow([logs.get(name, "") for name in self._columns])
            file.flush()
            os.fsync(file.fileno())
            self._end = file.tell()

    def __repr__(self):
        return f"CSVLog({self.path!r})"
