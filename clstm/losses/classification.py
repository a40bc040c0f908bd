"""Losses of classes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .. import _arrays, _core
from . import options
from .base import Loss, check_axes, check_shape, check_values
from .calls import INT64, checked_call, computed
from .regression import RealLoss

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

BINARY, CLASSES, PROBABILITIES = map(_core.LOSSES.index, ("binary", "classes", "class_probabilities"))


def binary_cross_entropy(
    logits: ArrayLike,
    target: ArrayLike,
    lengths: ArrayLike | None = None,
    weight: ArrayLike | None = None,
    *,
    pos_weight: float | ArrayLike | None = None,
    label_smoothing: float = 0.0,
    reduction: str = "mean",
) -> tuple[float, np.ndarray]:
    """-(w t log sigmoid(x) + (1 - t) log(1 - sigmoid(x))), for questions with the answers yes and no.

    Parameters
    ----------
    logits : array_like, (N, F) or (N, T, F)
        One score x for each of F questions. An array of float64 stays float64, whatever else becomes float32.
    target : array_like, the shape of `logits`
        The probability t of yes, from 0 to 1; booleans will do. With one question the last axis may be missing.
    lengths, weight, reduction
        As for `mse`.
    pos_weight : float or array_like, (F,), optional
        w, of at least 0: how often a yes counts. With the number of no / the number of yes, both have the same say.
    label_smoothing : float, default 0.0
        From 0 to 1: t is taken for (1 - label_smoothing) t + label_smoothing / 2.

    Returns
    -------
    loss : float
    gradient : ndarray, the shape of `logits`

    Examples
    --------
    >>> import numpy as np
    >>> from clstm.losses import binary_cross_entropy
    >>> loss, gradient = binary_cross_entropy(np.array([[0.0, 0.0]]), [[True, False]])
    >>> print(f"{loss:.6f}, log 2 is {np.log(2):.6f}")
    0.693147, log 2 is 0.693147
    >>> gradient
    array([[-0.25,  0.25]])
    """
    loss = BinaryCrossEntropy(pos_weight=pos_weight, label_smoothing=label_smoothing, reduction=reduction)
    return checked_call(loss, "logits", logits, target, lengths, weight)


class BinaryCrossEntropy(RealLoss):
    """Cross-entropy of answers yes or no, see `binary_cross_entropy`.

    Parameters
    ----------
    pos_weight : float or array_like, (F,), optional
    label_smoothing : float, default 0.0
    reduction : str, default "mean"
    """

    name = "binary_cross_entropy"
    pos_weight = options.Option(options.pos_weight)
    label_smoothing = options.Option(options.share)

    def __init__(
        self,
        *,
        pos_weight: float | ArrayLike | None = None,
        label_smoothing: float = 0.0,
        reduction: str = "mean",
    ) -> None:
        super().__init__(reduction=reduction)
        self.pos_weight: Any = pos_weight
        self.label_smoothing = label_smoothing

    def checked(self, target, shape, lengths=None, name="target"):
        """An array of numbers from 0 to 1, of the shape of the prediction."""
        target = super().checked(target, shape, lengths, name)
        if self.pos_weight is not None:
            check_axes(shape, "F")
            if np.ndim(self.pos_weight) == 1:
                check_count("pos_weight", self.pos_weight, shape)
        check_values(name, target, lengths, not_a_probability, "numbers from 0 to 1")
        return target

    def compute(self, prediction, target, lengths=None, weight=None, *, gradient=True, grads=None):
        """See `binary_cross_entropy`."""
        given = self.pos_weight
        if type(given) is float:
            given = np.full(prediction.shape[-1], given)
        options = given, self.label_smoothing
        return computed(self, BINARY, prediction, target, prediction.dtype, lengths, weight, gradient, *options)


def cross_entropy(
    logits: ArrayLike,
    target: ArrayLike,
    lengths: ArrayLike | None = None,
    weight: ArrayLike | None = None,
    *,
    class_weight: ArrayLike | None = None,
    label_smoothing: float = 0.0,
    ignore_index: int | None = None,
    reduction: str = "mean",
) -> tuple[float, np.ndarray]:
    """-log softmax(logits)[target], or the same for targets that are probabilities of the classes.

    Parameters
    ----------
    logits : array_like, (N, C) or (N, T, C)
        One score for each of C classes. An array of float64 stays float64, whatever else becomes float32.
    target : array_like of int, (N,) or (N, T), or array_like of float, the shape of `logits`
        The right class, 0 to C-1, or the probability of each class, from 0 to 1. Not read beyond the lengths.
    lengths, weight, reduction
        As for `mse`.
    class_weight : array_like, (C,), optional
        At least 0. With class numbers it is a factor of the weight of a step; with probabilities, and of what
        `label_smoothing` gives the other classes, it is one of each term, as in PyTorch.
    label_smoothing : float, default 0.0
        The share, from 0 to 1, of a target that all classes get alike.
    ignore_index : int, optional
        Steps with this target do not count, whatever their logits are; for class numbers only. (In PyTorch it is -100
        if it is not given.)

    Returns
    -------
    loss : float
        0 where no step counts.
    gradient : ndarray, the shape of `logits`
        Without further options (softmax(logits) - one_hot(target)) / number of valid steps; zero beyond the lengths.

    Examples
    --------
    >>> import numpy as np
    >>> from clstm.losses import cross_entropy
    >>> loss, gradient = cross_entropy(np.zeros((1, 4)), [2])
    >>> print(f"{loss:.6f}, log 4 is {np.log(4):.6f}")
    1.386294, log 4 is 1.386294
    >>> gradient
    array([[ 0.25,  0.25, -0.75,  0.25]])
    """
    loss = CrossEntropy(
        class_weight=class_weight, label_smoothing=label_smoothing, ignore_index=ignore_index, reduction=reduction
    )
    return checked_call(loss, "logits", logits, target, lengths, weight)


class CrossEntropy(Loss):
    """Cross-entropy of class numbers or probabilities of classes, see `cross_entropy`.

    Parameters
    ----------
    class_weight : array_like, (C,), optional
    label_smoothing : float, default 0.0
    ignore_index : int, optional
    reduction : str, default "mean"
    """

    name = "cross_entropy"
    least_axes = 2
    class_weight = options.Option(options.class_weight)
    label_smoothing = options.Option(options.share)
    ignore_index = options.Option(options.index)

    def __init__(
        self,
        *,
        class_weight: ArrayLike | None = None,
        label_smoothing: float = 0.0,
        ignore_index: int | None = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(reduction=reduction)
        self.class_weight: Any = class_weight
        self.label_smoothing, self.ignore_index = label_smoothing, ignore_index

    def checked(self, target, shape, lengths=None, name="target"):
        """An array of class numbers, of the shape of the prediction without its last axis, or of probabilities."""
        check_axes(shape, "C")
        if self.class_weight is not None:
            check_count("class_weight", self.class_weight, shape)
        array = _arrays.array_of(name, target)
        if array.dtype.kind == "f" and array.shape == shape:
            if self.ignore_index is not None:
                because = f"None, because {name} holds probabilities, not class numbers"
                raise _arrays.wrong(ValueError, "ignore_index", because, self.ignore_index)
            check_values(name, array, lengths, not_a_probability, "probabilities from 0 to 1")
            return array
        array = _arrays.integers(name, array)
        check_shape(array, shape[:-1], name)
        classes, ignored = shape[-1], self.ignore_index
        check_values(
            name,
            array,
            lengths,
            lambda part: ((part < 0) | (part >= classes)) & (True if ignored is None else part != ignored),
            f"one of {classes} classes, from 0 to {classes - 1}",
        )
        return array

    def compute(self, prediction, target, lengths=None, weight=None, *, gradient=True, grads=None):
        """See `cross_entropy`."""
        given = self.class_weight, self.label_smoothing
        if target.dtype.kind == "f":
            return computed(
                self, PROBABILITIES, prediction, target, prediction.dtype, lengths, weight, gradient, *given
            )
        given = *given, False, self.ignore_index
        return computed(self, CLASSES, prediction, target, INT64, lengths, weight, gradient, *given)


def not_a_probability(values):
    """Where numbers are outside of 0 to 1; a NaN is found by the loss."""
    return (values < 0) | (values > 1)


def check_count(name, weights, shape):
    """Raises unless there is one weight for each feature of a prediction."""
    if len(weights) != shape[-1]:
        raise _arrays.wrong(ValueError, name, f"shape ({shape[-1]},), to fit the prediction", f"shape {weights.shape}")
