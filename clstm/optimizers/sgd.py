"""Stochastic gradient descent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from .. import _arrays, _core
from .base import CoreOptimizer
from .hyperparameters import flag, fraction

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .groups import Group


class SGD(CoreOptimizer):
    """Stochastic gradient descent, with momentum or Nesterov's look-ahead.

    Parameters
    ----------
    learning_rate : float
        At least 0.
    momentum : float
        The share of the last step that goes into this one; at least 0 and below 1.
    nesterov : bool
        Whether each step is taken from where the momentum alone would lead; needs a momentum, and no dampening.
    weight_decay : float
        Times each parameter it is added to the gradient (an L2 penalty); at least 0.
    dampening : float
        The share of each gradient, but for the first, that the momentum leaves out; at least 0 and below 1.
    decay_biases : bool
        Whether parameters with one axis (biases, gains) are decayed too.
    groups : sequence of Group
        Parameters with factors of their own for learning rate and weight decay.

    Examples
    --------
    >>> import clstm
    >>> sgd = clstm.SGD(0.1, momentum=0.9)
    >>> sgd.learning_rate = 0.05
    >>> sgd
    SGD(learning_rate=0.05, momentum=0.9, nesterov=False, weight_decay=0.0)
    """

    name = "sgd"
    hyperparameters = ("learning_rate", "momentum", "nesterov", "weight_decay")
    options: ClassVar[dict[str, Any]] = {"dampening": 0.0, **CoreOptimizer.options}
    momentum = fraction()
    dampening = fraction()
    nesterov = flag()

    def __init__(
        self,
        learning_rate: float = 0.01,
        *,
        momentum: float = 0.0,
        nesterov: bool = False,
        weight_decay: float = 0.0,
        dampening: float = 0.0,
        decay_biases: bool = True,
        groups: Iterable[Group] = (),
    ) -> None:
        super().__init__(learning_rate, weight_decay, decay_biases, groups)
        self.momentum = momentum
        self.nesterov = nesterov
        self.dampening = dampening
        if self.nesterov and self.momentum == 0:
            raise _arrays.wrong(ValueError, "momentum", "more than 0 for nesterov", momentum)
        if self.nesterov and self.dampening != 0:
            raise _arrays.wrong(ValueError, "dampening", "0 for nesterov", dampening)

    def _buffers(self, weights, state):
        return (state.buffer("velocity", weights) if self.momentum else None,)

    def _step(self, weights, gradient, buffers, rate, decay, state):
        _core.sgd_update(
            weights,
            gradient,
            *buffers,
            learning_rate=rate,
            momentum=self.momentum,
            dampening=self.dampening,
            weight_decay=self.weight_decay * decay,
            nesterov=self.nesterov,
            step=state.step + 1,
        )

    def is_ordinary(self, rate: float = 1.0) -> bool:
        """See `Optimizer.is_ordinary`."""
        return self._is_moderate(rate, self.weight_decay) and self.momentum <= 0.9999
