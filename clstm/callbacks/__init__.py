"""Callbacks of a training: what `Trainer.fit` takes as `callbacks`.

A callback is an object of a class that writes some methods of `Callback`, or a plain function ``(trainer, logs)``,
which is called after each epoch. Both stop the training by returning a true value.
"""

from .base import Callback, CallbackError, checked
from .logs import CSVLog, LearningRateLog
from .saving import Checkpoint, SaveBest
from .stopping import EarlyStopping, StopOnInterrupt, TimeLimit

__all__ = [
    "CSVLog",
    "Callback",
    "CallbackError",
    "Checkpoint",
    "EarlyStopping",
    "LearningRateLog",
    "SaveBest",
    "StopOnInterrupt",
    "TimeLimit",
    "checked",
]
