"""Losses that are Python functions of a user."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import _arrays
from .base import Computed, Loss

if TYPE_CHECKING:
    from collections.abc import Callable

PASSED_ON = ("lengths", "weight")


class OwnLoss(Loss):
    """A function ``(prediction, target) -> (loss, gradient)`` as a loss.

    A trainer makes one of the function that it is given as `loss`; make it yourself where the defaults do not fit.

    Parameters
    ----------
    function : callable
        It gets the prediction (N, F) or (N, T, F) and the rows of the target that belong to it, and returns the loss, a
        real number, and its gradient, an array of the shape of the prediction. If it has parameters of the name
        `lengths` or `weight`, these are passed to it, None or as `Loss.compute` has them; if it has not, a trainer that
        is given lengths or weights raises an error. It should change none of its arguments.
    aligned : bool, default True
        Whether a target has the axis of time of the prediction, if that has one, and is cut with it.
    reduction : str, default "mean"
        What the function returns: the mean over all steps that count, by their weights, or the sum. The means of
        several batches are put together by that.

    Attributes
    ----------
    function : callable
    name : str
        That of the function.
    takes_lengths, takes_weight : bool
        Whether the function has such a parameter.

    Examples
    --------
    An error of too much costs more than one of too little:

    >>> import numpy as np, clstm
    >>> def lopsided(prediction, target):
    ...     error = prediction - target
    ...     cost = np.where(error > 0, 3.0, 1.0)
    ...     return (cost * error**2).mean(), 2 * cost * error / error.size
    >>> x, y = np.ones((4, 5, 2)), np.zeros((4, 5, 3))
    >>> trainer = clstm.Trainer(clstm.LSTM(2, 3, rng=0), loss=lopsided)
    >>> trainer.step(x, y) > trainer.step(x, y)
    True
    """

    def __init__(
        self, function: Callable[..., tuple[float, np.ndarray]], *, aligned: bool = True, reduction: str = "mean"
    ) -> None:
        super().__init__(reduction=reduction)
        if isinstance(function, type) or not callable(function):
            raise _arrays.wrong(TypeError, "function", "a function (prediction, target)", described(function))
        self.function, self.aligned = function, _arrays.flag("aligned", aligned)
        self.name = getattr(function, "__name__", type(function).__name__)
        self.takes_lengths, self.takes_weight = (takes(function, name) for name in PASSED_ON)
        check_parameters(function, [name for name in PASSED_ON if takes(function, name)])

    def checked(self, target, shape, lengths=None, name="target"):
        """The target as an array, which the function has to understand."""
        self._refuse("lengths", lengths, self.takes_lengths)
        target = _arrays.array_of(name, target)
        axes = 2 if self.aligned and len(shape) > 2 else 1
        if target.shape[:axes] != shape[:axes]:
            form = ", ".join(map(str, shape[:axes]))
            hint = " (or a loss with aligned=False)" if axes == 2 else ""
            raise _arrays.wrong(ValueError, name, f"shape ({form}, ...){hint}", f"shape {target.shape}")
        return target

    def compute(self, prediction, target, lengths=None, weight=None, *, gradient=True, grads=None):
        """What the function returns, checked."""
        self._refuse("lengths", lengths, self.takes_lengths)
        self._refuse("weight", weight, self.takes_weight)
        more = {"lengths": lengths} if self.takes_lengths else {}
        if self.takes_weight:
            more["weight"] = weight
        found = self.function(prediction, target, **more)
        what = f"the loss {self.name}"
        if not isinstance(found, (tuple, list)) or len(found) != 2:
            raise _arrays.wrong(TypeError, what, "to return (loss, gradient)", described(found))
        loss, slope = real_number(f"loss of {what}", found[0]), None
        if gradient:
            slope = self._gradient(f"gradient of {what}", found[1], prediction)
        return Computed(loss, slope, total_weight(prediction, lengths, weight))

    def _refuse(self, name, value, taken):
        if value is not None and not taken:
            because = f"None, because the loss {self.name} has no parameter {name!r}"
            raise _arrays.wrong(ValueError, name, because, _arrays.kind(value))

    @staticmethod
    def _gradient(name, value, prediction):
        if not isinstance(value, np.ndarray):
            raise _arrays.wrong(TypeError, name, f"an array of shape {prediction.shape}", described(value))
        return _arrays.of_shape(name, value, prediction.dtype, prediction.shape)


def signature_of(function: Callable[..., Any]) -> inspect.Signature | None:
    """None of some functions that are written in C."""
    try:
        return inspect.signature(function)
    except (TypeError, ValueError):
        return None


def check_parameters(function: Callable[..., Any], more: list[str]) -> None:
    """Raises unless a function can be called with a prediction, a target, and arguments of these names."""
    signature = signature_of(function)
    try:
        if signature is not None:
            signature.bind(None, None, **dict.fromkeys(more))
    except TypeError:
        got = f"the parameters {signature} of {function!r}"
        raise _arrays.wrong(TypeError, "function", "a function (prediction, target)", got) from None


def takes(function: Callable[..., Any], name: str) -> bool:
    """Whether a function can be called with an argument of this name."""
    signature = signature_of(function)
    if signature is None:
        return False
    parameters = signature.parameters
    if name in parameters:
        return parameters[name].kind in (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return any(one.kind == inspect.Parameter.VAR_KEYWORD for one in parameters.values())


def real_number(name: str, value: Any) -> float:
    """A real number, also as an array without axes."""
    if isinstance(value, np.ndarray) and value.ndim == 0:
        value = value[()]
    return _arrays.number(name, value, "a real number")


def total_weight(prediction: np.ndarray, lengths: np.ndarray | None, weight: np.ndarray | None) -> float:
    """The sum of the weights of all steps that count."""
    steps = prediction.shape[1] if prediction.ndim > 2 else 1
    if weight is None:
        return float(len(prediction) * steps if lengths is None else lengths.sum())
    if weight.ndim == 1:
        return float(np.dot(weight.astype(float), np.full(len(weight), steps) if lengths is None else lengths))
    return float(np.sum(weight, dtype=float, where=True if lengths is None else valid_steps(lengths, steps)))


def valid_steps(lengths: np.ndarray, steps: int) -> np.ndarray:
    """(N, T): which steps count."""
    return np.arange(steps) < lengths[:, np.newaxis]


def described(value: Any) -> str:
    """What a value is, for a message."""
    if isinstance(value, type):
        return f"the class {value.__name__}"
    if isinstance(value, np.ndarray):
        return f"an array of shape {value.shape}"
    size = f" of {len(value)}" if isinstance(value, (tuple, list)) else ""
    return f"{_arrays.kind(value)}{size}"
