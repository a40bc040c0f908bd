"""RMSprop."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from .. import _core
from .base import CoreOptimizer
from .hyperparameters import flag, fraction, positive

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .groups import Group


class RMSprop(CoreOptimizer):
    """RMSprop (Tieleman and Hinton 2012): the gradient over the root of the running mean of its square.

    Parameters
    ----------
    learning_rate : float
        At least 0.
    alpha : float
        How much of the running mean a step keeps; at least 0 and below 1.
    epsilon : float
        Added to the root of the mean square; above 0.
    momentum : float
        The share of the last step that goes into this one; at least 0 and below 1.
    weight_decay : float
        Times each parameter it is added to the gradient (an L2 penalty); at least 0.
    centered : bool
        Whether the gradient is divided by its running standard deviation instead (Graves 2013).
    decay_biases, groups
        As in `SGD`.

    Examples
    --------
    >>> import clstm
    >>> clstm.RMSprop(0.001, momentum=0.9)
    RMSprop(learning_rate=0.001, alpha=0.99, epsilon=1e-08, momentum=0.9, weight_decay=0.0)
    """

    name = "rmsprop"
    hyperparameters = ("learning_rate", "alpha", "epsilon", "momentum", "weight_decay")
    options: ClassVar[dict[str, Any]] = {"centered": False, **CoreOptimizer.options}
    alpha = fraction()
    epsilon = positive()
    momentum = fraction()
    centered = flag()

    def __init__(
        self,
        learning_rate: float = 0.01,
        *,
        alpha: float = 0.99,
        epsilon: float = 1e-8,
        momentum: float = 0.0,
        weight_decay: float = 0.0,
        centered: bool = False,
        decay_biases: bool = True,
        groups: Iterable[Group] = (),
    ) -> None:
        super().__init__(learning_rate, weight_decay, decay_biases, groups)
        self.alpha = alpha
        self.epsilon = epsilon
        self.momentum = momentum
        self.centered = centered

    def _buffers(self, weights, state):
        return (
            state.buffer("square", weights),
            state.buffer("mean", weights) if self.centered else None,
            state.buffer("velocity", weights) if self.momentum else None,
        )

    def _step(self, weights, gradient, buffers, rate, decay, state):
        _core.rmsprop_update(
            weights,
            gradient,
            *buffers,
            learning_rate=rate,
            alpha=self.alpha,
            epsilon=self.epsilon,
            momentum=self.momentum,
            weight_decay=self.weight_decay * decay,
        )

    def is_ordinary(self, rate: float = 1.0) -> bool:
        """See `Optimizer.is_ordinary`."""
        return (
            self._is_moderate(rate, self.weight_decay)
            and self.epsilon >= 1e-12
            and self.alpha <= 1 - 1e-8  # so that the root of the mean square bounds the gradient
            and self.momentum <= 0.9999
            and (not self.centered or self._is_moderate_without_variance(rate))
        )

    def _is_moderate_without_variance(self, rate):
        """Where a gradient is always the same, its deviation is 0, and nothing but epsilon bounds the step."""
        largest = self.learning_rate * rate * self._largest_rate / (self.epsilon * (1 - self.momentum))
        return self.weight_decay == 0 and largest <= 1e10
