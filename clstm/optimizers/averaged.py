"""Averaged stochastic gradient descent: steps are made as always, and what is used is the mean of many weights.

During a training, between `begin` and `end`, the network holds the weights that steps are made with, and the state
their average; in between, the two have changed places.
"""

from __future__ import annotations

import math
import sys
from typing import TYPE_CHECKING

from .. import _arrays, _core
from .base import CoreOptimizer
from .hyperparameters import not_negative

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy as np

    from .base import OptimizerState
    from .groups import Group


class Averaged(CoreOptimizer):
    """Keeps an average of the weights in the buffer "average", or, while it is what the network holds, the weights in
    the buffer "raw"."""

    def update(self, weights: np.ndarray, gradient: np.ndarray, state: OptimizerState) -> None:
        """One step, see `Optimizer.update`; after `end`, it begins again."""
        self.begin(weights, state)
        super().update(weights, gradient, state)

    def begin(self, weights: np.ndarray, state: OptimizerState) -> None:
        """See `Optimizer.begin`. What was written into the weights since `end` is lost."""
        exchange(weights, state, "raw", "average")

    def end(self, weights: np.ndarray, state: OptimizerState) -> None:
        """See `Optimizer.end`."""
        exchange(weights, state, "average", "raw")

    def averaged(self, state: OptimizerState) -> np.ndarray | None:
        """See `Optimizer.averaged`."""
        return state.buffers.get("average")

    def is_ordinary(self, rate: float = 1.0) -> bool:
        """See `Optimizer.is_ordinary`."""
        return self._is_moderate(rate, self.weight_decay)


def exchange(weights, state, name, new_name):
    """The weights and the buffer of this name, if there is one, change places; it has a new name then."""
    buffer = state.buffers.pop(name, None)
    if buffer is not None:
        held = weights.copy()
        weights[...] = buffer
        buffer[...] = held
        state.buffers[new_name] = buffer


class ASGD(Averaged):
    """Averaged stochastic gradient descent (Polyak and Juditsky 1992): the mean of the weights after many steps.

    The network has the average after training, and in each validation; steps go on from the weights before averaging.

    Parameters
    ----------
    learning_rate : float
        At least 0.
    lambd : float
        The learning rate of step k is ``learning_rate / (1 + lambd learning_rate (k - 1)) ** alpha`` (Bottou 2012), and
        in each step the parameters lose that rate times `lambd` of their size; at least 0.
    alpha : float
        The power in it; at least 0.
    t0 : float
        Averaging begins after so many steps; until then the average is the last weights. At least 0.
    weight_decay : float
        Times each parameter it is added to the gradient (an L2 penalty); at least 0.
    decay_biases, groups
        As in `SGD`; the factor of weight decay is one of `lambd` too.

    Examples
    --------
    >>> import numpy as np, clstm
    >>> asgd = clstm.ASGD(0.5, lambd=0, t0=1)
    >>> weights, state = np.array([0.0]), asgd.state_for({"weight": (1,)})
    >>> for gradient in (-2.0, -2.0, 2.0, -2.0):
    ...     asgd.update(weights, np.array([gradient]), state)
    ...     print(weights, asgd.averaged(state))
    [1.] [1.]
    [2.] [2.]
    [1.] [1.]
    [2.] [1.5]
    >>> asgd.end(weights, state)
    >>> weights
    array([1.5])
    """

    name = "asgd"
    hyperparameters = ("learning_rate", "lambd", "alpha", "t0", "weight_decay")
    lambd = not_negative()
    alpha = not_negative()
    t0 = not_negative()

    def __init__(
        self,
        learning_rate: float = 0.01,
        *,
        lambd: float = 1e-4,
        alpha: float = 0.75,
        t0: float = 1e6,
        weight_decay: float = 0.0,
        decay_biases: bool = True,
        groups: Iterable[Group] = (),
    ) -> None:
        super().__init__(learning_rate, weight_decay, decay_biases, groups)
        self.lambd = lambd
        self.alpha = alpha
        self.t0 = t0

    def _buffers(self, weights, state):
        return (state.buffer("average", weights, weights),)

    def _step(self, weights, gradient, buffers, rate, decay, state):
        _core.asgd_update(
            weights,
            gradient,
            *buffers,
            learning_rate=rate,
            lambd=self.lambd * decay,
            alpha=self.alpha,
            t0=self.t0,
            weight_decay=self.weight_decay * decay,
            step=state.step + 1,
        )

    def is_ordinary(self, rate: float = 1.0) -> bool:
        """See `Optimizer.is_ordinary`."""
        return self._is_moderate(rate, self.weight_decay + self.lambd)


class NTASGD(Averaged):
    """Stochastic gradient descent whose averaging is triggered by the validation loss (Merity, Keskar and Socher 2018).

    Steps are those of `SGD`. As soon as a validation loss is worse than the best one of more than `patience`
    validations ago, all weights from then on are averaged. Without validation it is `SGD`.

    Parameters
    ----------
    learning_rate : float
        At least 0. It stays as it is when averaging begins.
    patience : int
        The "non-monotone interval" of the article: so many validations may pass without a better loss. At least 1.
    weight_decay : float
        Times each parameter it is added to the gradient (an L2 penalty); at least 0.
    decay_biases, groups
        As in `SGD`.

    Notes
    -----
    A validation loss that is not finite counts as the worst of all.

    References
    ----------
    S. Merity, N. S. Keskar and R. Socher, *Regularizing and optimizing LSTM language models*. ICLR 2018. The condition
    is that of their program; the article's algorithm 1 compares with the losses within the interval.

    Examples
    --------
    >>> import numpy as np, clstm
    >>> ntasgd = clstm.NTASGD(1.0, patience=2)
    >>> state = ntasgd.state_for({"weight": (1,)})
    >>> for loss in (3.0, 2.0, 2.2, 2.1, 2.3):
    ...     ntasgd.validated(loss, state)
    ...     print(ntasgd.is_averaging(state))
    False
    False
    False
    False
    True
    """

    name = "ntasgd"
    hyperparameters = ("learning_rate", "patience", "weight_decay")

    def __init__(
        self,
        learning_rate: float = 0.01,
        *,
        patience: int = 5,
        weight_decay: float = 0.0,
        decay_biases: bool = True,
        groups: Iterable[Group] = (),
    ) -> None:
        super().__init__(learning_rate, weight_decay, decay_biases, groups)
        self.patience = patience

    @property
    def patience(self) -> int:
        """How many validations may pass without a better loss."""
        return self._patience

    @patience.setter
    def patience(self, patience: int) -> None:
        self._patience = _arrays.size("patience", patience)

    def validated(self, loss: float, state: OptimizerState) -> None:
        """See `Optimizer.validated`; it may start the averaging."""
        loss = loss if math.isfinite(loss) else sys.float_info.max  # which JSON knows
        extra = state.extra
        best, recent = extra.get("best"), [*extra.get("recent", ()), loss]
        if not self.is_averaging(state) and best is not None and loss > best:
            extra["trigger"] = state.step
        while len(recent) > self.patience:
            oldest = recent.pop(0)
            best = oldest if best is None else min(best, oldest)
        extra["best"], extra["recent"] = best, recent

    def is_averaging(self, state: OptimizerState) -> bool:
        """Whether the averaging has begun."""
        return "trigger" in state.extra

    def _buffers(self, weights, state):
        return (state.buffer("average", weights, weights) if self.is_averaging(state) else None,)

    def _step(self, weights, gradient, buffers, rate, decay, state):
        _core.asgd_update(
            weights,
            gradient,
            *buffers,
            learning_rate=rate,
            # Two less than the step of the trigger, so that its weights are the first of the mean
            t0=state.extra.get("trigger", 0) - 2.0,
            weight_decay=self.weight_decay * decay,
            step=state.step + 1,
        )
