"""Adam and its variants."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .. import _core
from .base import Optimizer, fraction, not_negative, ordinary, positive

if TYPE_CHECKING:
    import numpy as np

    from .base import OptimizerState


class Adam(Optimizer):
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

    Examples
    --------
    >>> import clstm
    >>> clstm.Adam(0.01)
    Adam(learning_rate=0.01, beta1=0.9, beta2=0.999, epsilon=1e-08, weight_decay=0.0)
    """

    hyperparameters = ("learning_rate", "beta1", "beta2", "epsilon", "weight_decay")
    decoupled = False
    learning_rate = not_negative()
    beta1 = fraction()
    beta2 = fraction()
    epsilon = positive()
    weight_decay = not_negative()

    def __init__(
        self,
        learning_rate: float = 0.001,
        *,
        beta1: float = 0.9,
        beta2: float = 0.999,
        epsilon: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        self.learning_rate = learning_rate
        self.beta1 = beta1
        self.beta2 = beta2
        self.epsilon = epsilon
        self.weight_decay = weight_decay

    def update(self, weights: np.ndarray, gradient: np.ndarray, state: OptimizerState) -> None:
        """One step, see `Optimizer.update`."""
        _core.adam_update(
            weights,
            gradient,
            state.buffer("mean", weights),
            state.buffer("square", weights),
            learning_rate=self.learning_rate * state.rate,
            beta1=self.beta1,
            beta2=self.beta2,
            epsilon=self.epsilon,
            weight_decay=self.weight_decay,
            decoupled=self.decoupled,
            step=state.step + 1,
        )
        state.step += 1

    def is_ordinary(self) -> bool:
        """See `Optimizer.is_ordinary`."""
        return (
            ordinary(self.learning_rate, self.weight_decay)
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

    Examples
    --------
    >>> import clstm
    >>> clstm.AdamW().weight_decay
    0.01
    """

    decoupled = True

    def __init__(
        self,
        learning_rate: float = 0.001,
        *,
        beta1: float = 0.9,
        beta2: float = 0.999,
        epsilon: float = 1e-8,
        weight_decay: float = 0.01,
    ) -> None:
        super().__init__(learning_rate, beta1=beta1, beta2=beta2, epsilon=epsilon, weight_decay=weight_decay)
