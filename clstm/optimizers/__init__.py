"""Optimisers: one pass in C over the one flat buffer of all parameters.

An optimiser is a handful of numbers. What it remembers from step to step, the count of steps and buffers as large as
the parameters, is an `OptimizerState` of its own, so that one optimiser may serve several networks, and a trainer can
go back to the state before a step that failed. The formulas stand in the C header; they are those of PyTorch.
"""

from __future__ import annotations

from typing import Any

from .. import _arrays
from .adam import Adam, AdamW
from .base import LARGEST_NORM, Number, Optimizer, OptimizerState, positive
from .sgd import SGD

NAMED = {"sgd": SGD, "adam": Adam, "adamw": AdamW}


def make(optimizer: Any, learning_rate: Any = None) -> Optimizer:
    """The optimiser that a trainer was given: an object as it is, or a name, with that learning rate or its own."""
    if isinstance(optimizer, Optimizer):
        if learning_rate is not None:
            raise _arrays.wrong(ValueError, "learning_rate", f"None, because {optimizer!r} has its own", learning_rate)
        return optimizer
    if isinstance(optimizer, type):
        raise _arrays.wrong(TypeError, "optimizer", "a name or an object", f"the class {optimizer.__name__}")
    named = NAMED[_arrays.choice("optimizer", optimizer, tuple(NAMED))]
    return named() if learning_rate is None else named(learning_rate)


__all__ = ["LARGEST_NORM", "SGD", "Adam", "AdamW", "Number", "Optimizer", "OptimizerState", "make", "positive"]
