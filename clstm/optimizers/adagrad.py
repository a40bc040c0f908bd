"""Adagrad."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .. import _core
from .base import CoreOptimizer
from .hyperparameters import not_negative, positive

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .groups import Group


class Adagrad(CoreOptimizer):
    """Adagrad (Duchi, Hazan and Singer 2011): the gradient over the root of the sum of all its squares so far.

    Parameters
    ----------
    learning_rate : float
        At least 0.
    learning_rate_decay : float
        Step k has the learning rate ``learning_rate / (1 + (k - 1) learning_rate_decay)``; at least 0.
    initial_accumulator : float
        Where the sums of squares begin; at least 0.
    epsilon : float
        Added to the root of the sum; above 0.
    weight_decay : float
        Times each parameter it is added to the gradient (an L2 penalty); at least 0.
    decay_biases, groups
        As in `SGD`.

    Notes
    -----
    A parameter whose sum overflows, after gradients of 1e19 in float32, rests from then on.

    Examples
    --------
    >>> import clstm
    >>> clstm.Adagrad(0.1).initial_accumulator
    0.0
    """

    name = "adagrad"
    hyperparameters = ("learning_rate", "learning_rate_decay", "initial_accumulator", "epsilon", "weight_decay")
    learning_rate_decay = not_negative()
    initial_accumulator = not_negative()
    epsilon = positive()

    def __init__(
        self,
        learning_rate: float = 0.01,
        *,
        learning_rate_decay: float = 0.0,
        initial_accumulator: float = 0.0,
        epsilon: float = 1e-10,
        weight_decay: float = 0.0,
        decay_biases: bool = True,
        groups: Iterable[Group] = (),
    ) -> None:
        super().__init__(learning_rate, weight_decay, decay_biases, groups)
        self.learning_rate_decay = learning_rate_decay
        self.initial_accumulator = initial_accumulator
        self.epsilon = epsilon

    def _buffers(self, weights, state):
        return (state.buffer("total", weights, self.initial_accumulator),)

    def _step(self, weights, gradient, buffers, rate, decay, state):
        _core.adagrad_update(
            weights,
            gradient,
            *buffers,
            learning_rate=rate,
            learning_rate_decay=self.learning_rate_decay,
            epsilon=self.epsilon,
            weight_decay=self.weight_decay * decay,
            step=state.step + 1,
        )

    def is_ordinary(self, rate: float = 1.0) -> bool:
        """See `Optimizer.is_ordinary`."""
        return self._is_moderate(rate, self.weight_decay) and self.epsilon >= 1e-12
