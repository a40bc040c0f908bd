"""Metrics of classes."""

from __future__ import annotations

import math

import numpy as np

from .. import _arrays
from .base import Metric, does_not_fit, importance, prediction_of, ratio

AVERAGES = ("macro", "micro", "weighted", "binary")


class _OfClasses(Metric):
    """What is common: scores and class numbers of the positions that count."""

    greater_is_better = True

    def __init__(self, ignore_index: int | None = None) -> None:
        self.ignore_index = None if ignore_index is None else _arrays.integers("ignore_index", ignore_index).item()
        self.reset()

    def update(self, prediction, target, lengths=None, weight=None):
        """See `Metric`; without its last axis, or with one of 1, a prediction is logits of class 1 against class 0."""
        scores = prediction_of(prediction)
        target = _arrays.array_of("target", target)
        if scores.ndim == target.ndim + 1 and scores.shape[:-1] == target.shape and scores.shape[-1] > 1:
            target = _arrays.integers("target", target)
        else:
            scores, target = _binary(scores, target)
        weights = importance(target.shape, lengths, weight)
        if self.ignore_index is not None:
            weights = np.where(target == self.ignore_index, 0.0, weights)
        counts = weights > 0
        count = scores.shape[-1] if scores.ndim > target.ndim else 2
        with np.errstate(invalid="ignore"):
            _arrays.in_range("target", target, count, f"one of {count} classes,", counts)
            if (counts & (target != np.floor(target))).any():
                raise _arrays.wrong(ValueError, "target", "class numbers 0 and 1", "others")
        self._take(scores[counts], target[counts].astype(np.intp), weights[counts], count)

    def _take(self, scores, target, weights, count):
        """Adds M positions: scores (M, count), or (M,) for two classes; target and weights (M,)."""
        raise NotImplementedError

    def __repr__(self):
        return f"{type(self).__name__}({'' if self.ignore_index is None else f'ignore_index={self.ignore_index}'})"


def _binary(scores, target):
    """Logits and targets 0 or 1 in one shape."""
    if target.dtype.kind not in _arrays.REAL_KINDS:
        raise _arrays.wrong(TypeError, "target", "an array of numbers", f"dtype {target.dtype}")
    if scores.shape == (*target.shape, 1):
        scores = scores[..., 0]
    if scores.shape != target.shape:
        raise does_not_fit(scores.shape, target)
    return scores, target


def _chosen(scores):
    """The class with the largest score, the first of equal ones; of one logit, 1 where it is above 0."""
    return scores.argmax(axis=-1) if scores.ndim == 2 else (scores > 0).astype(np.intp)


class Accuracy(_OfClasses):
    """The share of positions whose class is right.

    Parameters
    ----------
    top_k : int, default 1
        Right is a position where fewer than `top_k` other classes have a larger score, or an equal one and a smaller
        number.
    ignore_index : int, optional
        Positions with this target do not count.

    Examples
    --------
    >>> from clstm.metrics import Accuracy
    >>> metric = Accuracy()
    >>> metric.update([[2.0, 1.0], [0.0, 3.0]], [0, 0])
    >>> metric.result()
    0.5
    """

    name = "accuracy"

    def __init__(self, top_k: int = 1, *, ignore_index: int | None = None) -> None:
        self.top_k = _arrays.size("top_k", top_k)
        if self.top_k > 1:
            self.name = f"top_{self.top_k}_accuracy"
        super().__init__(ignore_index)

    def reset(self):
        """See `Metric`."""
        self._right = self._all = 0.0

    def _take(self, scores, target, weights, count):
        if self.top_k > count:
            raise _arrays.wrong(ValueError, "top_k", f"at most {count}, the number of classes", self.top_k)
        if self.top_k == 1 or scores.ndim == 1:
            right = (_chosen(scores) == target) | (self.top_k > 1)
        else:
            own = np.take_along_axis(scores, target[:, np.newaxis], axis=1)
            before = (scores == own) & (np.arange(count) < target[:, np.newaxis])
            right = (scores > own).sum(axis=1) + before.sum(axis=1) < self.top_k
            right &= ~np.isnan(own[:, 0])
        self._right += float(weights[right].sum())
        self._all += float(weights.sum())

    def result(self):
        """See `Metric`."""
        return ratio(self._right, self._all)


class _OfCounts(_OfClasses):
    """What is worked out from how often each class was found, missed and wrongly said.

    Averages are scikit-learn's: classes that neither occur nor are said are left out, and 0 / 0 is 0.
    """

    def __init__(self, average: str = "macro", *, ignore_index: int | None = None) -> None:
        self.average = _arrays.choice("average", average, AVERAGES)
        if self.average != "macro":
            self.name = f"{self.name}_{average}"
        super().__init__(ignore_index)

    def reset(self):
        """See `Metric`."""
        self._found = self._said = self._there = np.zeros(0)

    def _take(self, scores, target, weights, count):
        if self.average == "binary" and count != 2:
            raise _arrays.wrong(ValueError, "average", "one for several classes, such as 'macro'", "'binary'")
        if len(self._there) not in (0, count):
            raise _arrays.wrong(ValueError, "prediction", f"{len(self._there)} classes, as before", count)
        chosen = _chosen(scores)

        def sums(classes, weights):
            return np.bincount(classes, weights, count)

        right = chosen == target
        old = (self._found, self._said, self._there) if len(self._there) else (0, 0, 0)
        new = sums(target[right], weights[right]), sums(chosen, weights), sums(target, weights)
        self._found, self._said, self._there = (a + b for a, b in zip(old, new))

    def result(self):
        """See `Metric`."""
        if not self._there.any():
            return float("nan")
        counts = np.stack([self._found, self._said, self._there])
        if self.average == "micro":
            counts = counts.sum(axis=1, keepdims=True)
        elif self.average == "binary":
            counts = counts[:, 1:]
        else:
            counts = counts[:, counts[1:].any(axis=0)]
        over, under = self._fraction(*counts)
        each = np.divide(over, under, out=np.zeros_like(over), where=under > 0)
        return float(np.average(each, weights=counts[2] if self.average == "weighted" else None))

    @staticmethod
    def _fraction(found, said, there):
        raise NotImplementedError

    def __repr__(self):
        ignored = "" if self.ignore_index is None else f", ignore_index={self.ignore_index}"
        return f"{type(self).__name__}({self.average!r}{ignored})"


class Precision(_OfCounts):
    """Of all positions that are said to be of a class, the share that is.

    Parameters
    ----------
    average : str, default "macro"
        "macro": the mean over classes. "weighted": that by how often each occurs. "micro": of all positions together.
        "binary": of class 1, of two.
    ignore_index : int, optional
        Positions with this target do not count.
    """

    name = "precision"

    @staticmethod
    def _fraction(found, said, there):
        return found, said


class Recall(_OfCounts):
    """Of all positions of a class, the share that is found. Parameters as of `Precision`."""

    name = "recall"

    @staticmethod
    def _fraction(found, said, there):
        return found, there


class F1(_OfCounts):
    """The harmonic mean of precision and recall of each class, averaged. Parameters as of `Precision`.

    Examples
    --------
    >>> from clstm.metrics import F1
    >>> metric = F1("binary")
    >>> metric.update([0.5, 0.5, -1.0], [1, 0, 0])  # logits of class 1
    >>> print(f"{metric.result():.4f}")
    0.6667
    """

    name = "f1"

    @staticmethod
    def _fraction(found, said, there):
        return 2 * found, said + there


class Perplexity(_OfClasses):
    """exp of the mean of -log softmax(prediction)[target], which is the cross-entropy.

    Parameters
    ----------
    ignore_index : int, optional
        Positions with this target do not count.
    """

    name = "perplexity"
    greater_is_better = False

    def __init__(self, *, ignore_index: int | None = None) -> None:
        super().__init__(ignore_index)

    def reset(self):
        """See `Metric`."""
        self._sum = self._all = 0.0

    def _take(self, scores, target, weights, count):
        scores = scores.astype(np.float64)
        if scores.ndim == 1:  # of class 1; that of class 0 is 0
            scores = np.stack([np.zeros_like(scores), scores], axis=1)
        own = np.take_along_axis(scores, target[:, np.newaxis], axis=1)[:, 0]
        top = scores.max(axis=1)
        losses = np.log(np.exp(scores - top[:, np.newaxis]).sum(axis=1)) + top - own
        self._sum += float((weights * losses).sum())
        self._all += float(weights.sum())

    def result(self):
        """See `Metric`."""
        mean = ratio(self._sum, self._all)
        return math.exp(mean) if not mean > 700 else float("inf")
