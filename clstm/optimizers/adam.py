"""Adam and its variants."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from .. import _core
from .base import CoreOptimizer
from .hyperparameters import flag, fraction, positive

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .groups import Group


class Adam(CoreOptimizer):
    """Adam (Kingma and Ba 2015): steps scaled by running means of the gradient and of its square.

    Parameters
    ----------
    learning_rate : float
        About the largest change of a parameter in one step; at least 0.
    beta1, beta2 : float
        How much of the running mean of the gradient, and of its square, a step keeps; at least 0 and below 1.
    epsilon : float
        Added to the root of the mean square; above 0.
    weight_decay : float
        Times each parameter it is added to the gradient (an L2 penalty); at least 0.
    amsgrad : bool
        Whether steps are scaled by the largest mean square so far, so that they never grow (AMSGrad; Reddi, Kale and
        Kumar 2018).
    decay_biases, groups
        As in `SGD`.

    Examples
    --------
    >>> import clstm
    >>> clstm.Adam(0.01)
    Adam(learning_rate=0.01, beta1=0.9, beta2=0.999, epsilon=1e-08, weight_decay=0.0)
    """

    name = "adam"
    hyperparameters = ("learning_rate", "beta1", "beta2", "epsilon", "weight_decay")
    options: ClassVar[dict[str, Any]] = {"amsgrad": False, **CoreOptimizer.options}
    decoupled = False
    beta1 = fraction()
    beta2 = fraction()
    epsilon = positive()
    amsgrad = flag()

    def __init__(
        self,
        learning_rate: float = 0.001,
        *,
        beta1: float = 0.9,
        beta2: float = 0.999,
        epsilon: float = 1e-8,
        weight_decay: float = 0.0,
        amsgrad: bool = False,
        decay_biases: bool = True,
        groups: Iterable[Group] = (),
    ) -> None:
        super().__init__(learning_rate, weight_decay, decay_biases, groups)
        self.beta1 = beta1
        self.beta2 = beta2
        self.epsilon = epsilon
        self.amsgrad = amsgrad

    def _buffers(self, weights, state):
        largest = state.buffer("largest", weights) if self.amsgrad else None
        return state.buffer("mean", weights), state.buffer("square", weights), largest

    def _step(self, weights, gradient, buffers, rate, decay, state):
        _core.adam_update(
            weights,
            gradient,
            *buffers,
            learning_rate=rate,
            beta1=self.beta1,
            beta2=self.beta2,
            epsilon=self.epsilon,
            weight_decay=self.weight_decay * decay,
            decoupled=self.decoupled,
            step=state.step + 1,
        )

    def is_ordinary(self, rate: float = 1.0) -> bool:
        """See `Optimizer.is_ordinary`."""
        return (
            self._is_moderate(rate, self.weight_decay)
            and self.epsilon >= 1e-12
            and self.beta1**2 <= 0.99 * self.beta2  # so that the root of the mean square bounds the mean
            and self.beta2 <= 1 - 1e-8
        )


class AdamW(Adam):
    """Adam with a weight decay of its own (Loshchilov and Hutter 2019), which the running means do not see.

    Parameters
    ----------
    learning_rate, beta1, beta2, epsilon : float
        As in `Adam`.
    weight_decay : float
        Times `learning_rate` it is the share that each parameter loses in a step; at least 0.
    amsgrad, decay_biases, groups
        As in `Adam`.

    Examples
    --------
    >>> import clstm
    >>> clstm.AdamW().weight_decay
    0.01
    """

    name = "adamw"
    decoupled = True

    def __init__(
        self,
        learning_rate: float = 0.001,
        *,
        beta1: float = 0.9,
        beta2: float = 0.999,
        epsilon: float = 1e-8,
        weight_decay: float = 0.01,
        amsgrad: bool = False,
        decay_biases: bool = True,
        groups: Iterable[Group] = (),
    ) -> None:
        super().__init__(
            learning_rate,
            beta1=beta1,
            beta2=beta2,
            epsilon=epsilon,
            weight_decay=weight_decay,
            amsgrad=amsgrad,
            decay_biases=decay_biases,
            groups=groups,
        )
