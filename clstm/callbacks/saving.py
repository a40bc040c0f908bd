"""Callbacks that write files: checkpoints to go on from, and the best network so far."""

from __future__ import annotations

import os
from time import monotonic
from typing import Any

from .. import _arrays, safetensors
from .base import Callback
from .stopping import Best


class Checkpoint(Callback):
    """Writes checkpoints, from which `Trainer.resume` goes on to the same bits.

    The file at `path` is always a whole one, the newest: each is written under another name, synced, and then takes the
    place of the one before. If that fails, for a full disk or whatever reason, the one before stays, and `fit` ends
    with a `CallbackError`.

    Parameters
    ----------
    path : str or path-like
        One training at a time may use it.
    steps : int, optional
        Write one after so many steps of the optimiser.
    seconds : float, optional
        Write one at the end of the first step after so many seconds. With neither, one is written after each epoch;
        one is written at the end of `fit` in any case.
    keep : int, default 1
        How many are kept. Older ones stay beside the newest under names with the number of their step:
        ``run.ckpt``, ``run.ckpt.400``, ``run.ckpt.300``.

    Examples
    --------
    >>> import os, tempfile, numpy as np, clstm
    >>> folder = tempfile.TemporaryDirectory()
    >>> path = os.path.join(folder.name, "run.ckpt")
    >>> x, y = np.ones((4, 3, 1)), np.zeros((4, 3, 2))
    >>> trainer = clstm.Trainer(clstm.LSTM(1, 2, rng=0), rng=0)
    >>> history = trainer.fit(x, y, epochs=3, callbacks=[clstm.callbacks.Checkpoint(path)])
    >>> again = clstm.Trainer.resume(path)
    >>> again.epoch
    3
    >>> folder.cleanup()
    """

    runs_last = True

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        steps: int | None = None,
        seconds: float | None = None,
        keep: int = 1,
    ) -> None:
        self.path = os.fsdecode(path)
        self.steps = None if steps is None else _arrays.size("steps", steps)
        self.seconds = _arrays.limit("seconds", seconds)
        self.keep = _arrays.size("keep", keep)
        self._written: list[int] = []  # the steps of those that are kept, the newest last
        self._since = monotonic()

    def on_fit_begin(self, trainer):
        """Removes what a killed writer has left, and forgets an earlier training."""
        safetensors.remove_temporaries(self.path)
        self._written, self._since = [], monotonic()

    def on_fit_resume(self, trainer, state):
        """Removes what a killed writer has left."""
        safetensors.remove_temporaries(self.path)
        self._written, self._since = list(state["written"]), monotonic()

    def state(self):
        """What a checkpoint keeps."""
        return {"written": self._written}

    def on_step_end(self, trainer, logs):
        """Writes, if it is time."""
        late = self.seconds is not None and monotonic() - self._since >= self.seconds
        if late or (self.steps is not None and logs["step"] % self.steps == 0):
            self._write(trainer)

    def on_epoch_end(self, trainer, logs):
        """Writes, if nothing else was asked for."""
        if self.steps is None and self.seconds is None:
            self._write(trainer)

    def on_fit_end(self, trainer):
        """Writes the last one, with what other callbacks have made of the network at the end."""
        if trainer.is_sound:
            self._write(trainer)

    def _write(self, trainer):
        """Writes one, and lets the one before stay under another name, if older ones are wanted."""
        before = [step for step in self._written if step != trainer.steps]
        new, self._written = before == self._written, [*before, trainer.steps][-self.keep :]
        try:
            if self.keep > 1 and before and new:
                self._keep_newest(before[-1])
            trainer.save(self.path)
        except BaseException:
            self._written = before if new else [*before, trainer.steps]
            raise
        for step in set(before) - set(self._written):
            safetensors.remove(self._older(step))
        self._since = monotonic()

    def _older(self, step):
        return f"{self.path}.{step}"

    def _keep_newest(self, step):
        """Gives the newest file a second name."""
        older = self._older(step)
        if not os.path.exists(self.path):
            return
        safetensors.remove(older)
        try:
            os.link(self.path, older)
        except OSError:  # a file system that knows no second names
            from shutil import copyfile

            copyfile(self.path, f"{older}.tmp")
            os.replace(f"{older}.tmp", older)

    def __repr__(self):
        return f"Checkpoint({self.path!r})"


class SaveBest(Callback):
    """Saves the network whenever it is the best so far.

    Parameters
    ----------
    path : str or path-like
        See `Layer.save`.
    monitor, min_delta, mode
        As for `EarlyStopping`.

    Examples
    --------
    >>> import clstm
    >>> clstm.callbacks.SaveBest("best.safetensors")
    SaveBest('best.safetensors', 'val_loss')
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        monitor: str = "val_loss",
        *,
        min_delta: float = 0.0,
        mode: str = "auto",
    ) -> None:
        self.path = os.fsdecode(path)
        self._best = Best(monitor, mode, min_delta)

    @property
    def best(self) -> float | None:
        """The best value."""
        return self._best.value

    def listens_to(self, event: str) -> bool:
        """To the one event at which there is a value."""
        return event == self._best.event

    def on_fit_begin(self, trainer):
        """Forgets an earlier training."""
        self._best.clear()

    def on_fit_resume(self, trainer, state):
        """Goes on from a state."""
        self._best.value = state["best"]

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        return {"best": self.best}

    def _look(self, trainer, logs):
        if self._best.is_new(trainer, logs):
            with trainer._averaged():
                trainer.net.save(self.path)

    on_epoch_end = on_validation_end = _look

    def __repr__(self):
        return f"SaveBest({self.path!r}, {self._best.monitor!r})"
