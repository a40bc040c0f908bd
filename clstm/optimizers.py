"""Optimisers: one pass in C over the one flat buffer of all parameters.

An optimiser is a handful of numbers. What it remembers from step to step, the count of steps and buffers as large as
the parameters, is an `OptimizerState` of its own, so that one optimiser may serve several networks, and a trainer can
go back to the state before a step that failed. The formulas stand in the C header; they are those of PyTorch.
"""

from __future__ import annotations

import math
import numbers
from typing import TYPE_CHECKING, Any

import numpy as np

from . import _arrays, _core

if TYPE_CHECKING:
    from collections.abc import Callable

# A gradient whose norm is above the root of the largest number cannot be squared
LARGEST_NORM = {real: float(np.sqrt(np.finfo(real).max)) for real in _arrays.DTYPES.values()}


class Number:
    """An attribute that is a finite number with a rule of its own, checked whenever it is set."""

    def __init__(self, rule: str, holds: Callable[[float], bool], optional: bool = False) -> None:
        self.expected = f"a finite number, {rule}{', or None' * optional}"
        self.holds = holds
        self.optional = optional

    def __set_name__(self, owner, name):
        self.name = name

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        return self if instance is None else instance.__dict__[self.name]

    def __set__(self, instance: Any, value: Any) -> None:
        if value is None and self.optional:
            instance.__dict__[self.name] = None
            return
        if isinstance(value, bool) or not isinstance(value, numbers.Real):
            raise _arrays.wrong(TypeError, self.name, self.expected, f"{value!r} ({_arrays.kind(value)})")
        try:
            number = float(value)
        except OverflowError:  # an int or a fraction of more than 300 digits
            number = math.inf
        if not (math.isfinite(number) and self.holds(number)):
            raise _arrays.wrong(ValueError, self.name, self.expected, number)
        instance.__dict__[self.name] = number


def not_negative():
    """An attribute that is at least 0."""
    return Number("at least 0", lambda value: value >= 0)


def positive(optional=False):
    """An attribute above 0."""
    return Number("above 0", lambda value: value > 0, optional)


def fraction():
    """An attribute that is at least 0 and below 1."""
    return Number("at least 0 and below 1", lambda value: 0 <= value < 1)


class OptimizerState:
    """What an optimiser remembers: the number of steps done, and buffers laid out as the parameters are.

    Parameters
    ----------
    step : int
    buffers : dict of ndarray, optional
    """

    def __init__(self, step: int = 0, buffers: dict[str, np.ndarray] | None = None) -> None:
        self.step = step
        self.buffers = {} if buffers is None else buffers

    def buffer(self, name: str, like: np.ndarray) -> np.ndarray:
        """The buffer of this name, made of zeros when it is first asked for."""
        if name not in self.buffers:
            self.buffers[name] = _arrays.aligned_zeros(like.size, like.dtype)
        return self.buffers[name]

    def copy(self) -> OptimizerState:
        """A state that shares nothing with this one."""
        return OptimizerState(self.step, {name: buffer.copy() for name, buffer in self.buffers.items()})

    def is_finite(self) -> bool:
        """Whether no buffer holds NaN or an infinity."""
        return all(bool(np.isfinite(buffer).all()) for buffer in self.buffers.values())

    def __repr__(self):
        return f"<OptimizerState after {self.step} steps, with {', '.join(self.buffers) or 'no buffer'}>"


class Optimizer:
    """What all optimisers share; the base class for optimisers of your own, which write `update`.

    Hyperparameters are attributes that may be changed between two steps. Each is checked when it is set.

    Examples
    --------
    One that follows only the signs of the gradient:

    >>> import numpy as np, clstm
    >>> from clstm.optimizers import Optimizer, OptimizerState
    >>> class SignDescent(Optimizer):
    ...     def update(self, weights, gradient, state):
    ...         weights -= 0.25 * np.sign(gradient)
    ...         state.step += 1
    >>> weights = np.array([1.0, 2.0])
    >>> SignDescent().update(weights, np.array([30.0, -0.1]), OptimizerState())
    >>> weights
    array([0.75, 2.25])
    """

    hyperparameters: tuple[str, ...] = ()  # the arguments, and attributes, that make an equal optimiser
    learning_rate: float = math.nan  # what a history shows; NaN where there is none

    def update(self, weights: np.ndarray, gradient: np.ndarray, state: OptimizerState) -> None:
        """One step, which changes `weights` and `state` in place.

        Parameters
        ----------
        weights, gradient : ndarray, one axis, float32 or float64
            Of the same size and dtype, contiguous.
        state : OptimizerState
            Before the first step a new one.
        """
        raise NotImplementedError(f"{type(self).__name__} has no update")

    def is_ordinary(self) -> bool:
        """Whether a step surely leaves finite weights finite, while gradients have norms below `LARGEST_NORM`.

        Where it says False, a trainer keeps a copy of the weights during the step, and looks at the new ones.
        """
        return False

    def __repr__(self):
        return f"{type(self).__name__}({', '.join(f'{name}={getattr(self, name)!r}' for name in self.hyperparameters)})"


def ordinary(learning_rate: float, weight_decay: float) -> bool:
    """Far outside of this nothing is trained, and far inside of it nothing overflows, even in float32."""
    return learning_rate <= 1e3 and weight_decay <= 1e3 and learning_rate * weight_decay <= 1


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
            learning_rate=self.learning_rate,
            momentum=self.momentum,
            weight_decay=self.weight_decay,
            nesterov=self.nesterov,
            step=state.step + 1,
        )
        state.step += 1

    def is_ordinary(self) -> bool:
        """See `Optimizer.is_ordinary`."""
        return ordinary(self.learning_rate, self.weight_decay) and self.momentum <= 0.9999


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
            learning_rate=self.learning_rate,
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
