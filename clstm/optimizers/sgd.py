"""Stochastic gradient descent."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .. import _arrays, _core
from .base import Optimizer, fraction, not_negative, ordinary

if TYPE_CHECKING:
    import numpy as np

    from .base import OptimizerState


class SGD(Optimizer):
    """Stochastic gradient descent, with momentum or Nesterov's look-ahead.

    Parameters
    ----------
    learning_rate : float
        At least 0.
    momentum : float
        The share of the last step that goes into this one; at least 0 and below 1.
    nesterov : bool
        Whether each step is taken from where the momentum alone would lead; needs a momentum.
    weight_decay : float
        Times each parameter it is added to the gradient (an L2 penalty); at least 0.

    Examples
    --------
    >>> import clstm
    >>> sgd = clstm.SGD(0.1, momentum=0.9)
    >>> sgd.learning_rate = 0.05
    >>> sgd
    SGD(learning_rate=0.05, momentum=0.9, nesterov=False, weight_decay=0.0)
    """

    hyperparameters = ("learning_rate", "momentum", "nesterov", "weight_decay")
    learning_rate = not_negative()
    momentum = fraction()
    weight_decay = not_negative()

    def __init__(
        self,
        learning_rate: float = 0.01,
        *,
        momentum: float = 0.0,
        nesterov: bool = False,
        weight_decay: float = 0.0,
    ) -> None:
        self.learning_rate = learning_rate
        self.momentum = momentum
        self.nesterov = _arrays.flag("nesterov", nesterov)
        self.weight_decay = weight_decay
        if self.nesterov and self.momentum == 0:
            raise _arrays.wrong(ValueError, "momentum", "more than 0 for nesterov", momentum)

    def update(self, weights: np.ndarray, gradient: np.ndarray, state: OptimizerState) -> None:
        """One step, see `Optimizer.update`."""
        _core.sgd_update(
            weights,
            gradient,
            state.buffer("velocity", weights) if self.momentum else None,
            learning_rate=self.learning_rate * state.rate,
            momentum=self.momentum,
            weight_decay=self.weight_decay,
            nesterov=self.nesterov,
            step=state.step + 1,
        )
        state.step += 1

    def is_ordinary(self) -> bool:
        """See `Optimizer.is_ordinary`."""
        return ordinary(self.learning_rate, self.weight_decay) and self.momentum <= 0.9999
