"""Optimisers: one pass in C over the one flat buffer of all parameters.

An optimiser is a handful of numbers. What it remembers from step to step, the count of steps and buffers as large as
the parameters, is an `OptimizerState` of its own, so that one optimiser may serve several networks, and a trainer can
go back to the state before a step that failed. The formulas stand in the C header; they are those of PyTorch.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from .. import _arrays
from .adagrad import Adagrad
from .adam import Adam, AdamW
from .averaged import ASGD, NTASGD
from .base import LARGEST_NORM, Optimizer, OptimizerState
from .clipping import Clipping, clip_each_norm, clip_norm, clip_value
from .groups import Group
from .hyperparameters import Flag, Number, positive
from .rmsprop import RMSprop
from .sgd import SGD

if TYPE_CHECKING:
    from collections.abc import Callable

NAMED: dict[str, Callable[..., Optimizer]] = {
    "sgd": SGD,
    "rmsprop": RMSprop,
    "adagrad": Adagrad,
    "adam": Adam,
    "adamw": AdamW,
    "amsgrad": partial(Adam, amsgrad=True),
    "asgd": ASGD,
    "ntasgd": NTASGD,
}


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


def from_config(name: str, config: dict[str, Any]) -> Optimizer:
    """The optimiser with this name and configuration.

    Parameters
    ----------
    name : str
        Its attribute `name`.
    config : dict
        What its `config` returned, perhaps by way of JSON.

    Raises
    ------
    TypeError, ValueError
        No optimiser has this name, or it has not these arguments.

    Examples
    --------
    >>> import clstm
    >>> adam = clstm.Adam(0.01, groups=[clstm.optimizers.Group("0.*", rate=0.1)])
    >>> clstm.optimizers.from_config(adam.name, adam.config()).groups
    (Group('0.*', rate=0.1),)
    """
    named = NAMED[_arrays.choice("name", name, tuple(NAMED))]
    if not isinstance(config, dict):
        raise _arrays.wrong(TypeError, "config", "a dict", _arrays.kind(config))
    _arrays.same_names("config", config, named().config())
    return named(**{**config, "groups": [Group(**group) for group in config["groups"]]})


__all__ = [
    "ASGD",
    "LARGEST_NORM",
    "NTASGD",
    "SGD",
    "Adagrad",
    "Adam",
    "AdamW",
    "Clipping",
    "Flag",
    "Group",
    "Number",
    "Optimizer",
    "OptimizerState",
    "RMSprop",
    "clip_each_norm",
    "clip_norm",
    "clip_value",
    "from_config",
    "make",
    "positive",
]
