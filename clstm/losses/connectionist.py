"""Connectionist temporal classification: sequences of labels for sequences of steps, without knowing when."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import _arrays, _core
from .base import Computed, Loss
from .targets import Ragged

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


def ctc(
    logits: ArrayLike,
    target: Any,
    lengths: ArrayLike | None = None,
    target_lengths: ArrayLike | None = None,
    *,
    blank: int = 0,
    weight: ArrayLike | None = None,
    reduction: str = "mean",
    zero_infinity: bool = False,
) -> tuple[float, np.ndarray]:
    """Minus the logarithm of the probability of the labels of each row, over all their alignments with the steps.

    At each step a network says one class, or that there is none, the blank. A path of T classes reads as its labels
    once equal neighbours are merged and then blanks removed: ``a a - b`` and ``- a b b`` both read as ``a b``. The
    probability of a target is the sum over all paths that read as it, each the product of its softmaxes (Graves,
    Fernández, Gomez and Schmidhuber 2006).

    Parameters
    ----------
    logits : array_like, (N, T, C)
        Scores, not normalised: the logarithm of the softmax is taken inside. An array of float64 stays float64,
        whatever else becomes float32; sums over paths are in double precision in any case.
    target : list of array_like of int, or array_like of int, (N, S)
        The labels of each row, 0 to C-1 without the blank; a row may have none. Also a tuple (array, target_lengths).
    lengths : array_like of int, (N,), optional
        Valid steps of each row; default: T.
    target_lengths : array_like of int, (N,), optional
        Labels of each row of an array; default: S. What stands beyond is not looked at.
    blank : int, default 0
        The class that stands for none.
    weight : array_like, (N,), optional
        Of each row, at least 0.
    reduction : str, default "mean"
        "mean": the loss of each row is divided by its number of labels (or 1), then the mean over rows is taken, by
        their weights, as PyTorch does. "sum": of weight times loss.
    zero_infinity : bool, default False
        Whether a row whose target is impossible has loss and gradient 0. Else, a target with more labels than fit
        into the steps is a ValueError, and one that logits of -infinity exclude has an infinite loss and a gradient
        of NaN.

    Returns
    -------
    loss : float
    gradient : ndarray, (N, T, C)
        With respect to the logits; zero beyond the lengths.

    Examples
    --------
    Two steps and two classes, all paths equally probable. Three of the four read as "1":

    >>> import numpy as np
    >>> from clstm.losses import ctc
    >>> loss, gradient = ctc(np.zeros((1, 2, 2)), [[1]])
    >>> print(f"{loss:.6f}, log 4/3 is {np.log(4 / 3):.6f}")
    0.287682, log 4/3 is 0.287682
    >>> gradient[0].round(4)
    array([[ 0.1667, -0.1667],
           [ 0.1667, -0.1667]])
    """
    logits = _arrays.array_of("logits", logits)
    logits = _arrays.real("logits", logits, _arrays.DTYPES["float64" if logits.dtype == np.float64 else "float32"])
    if logits.ndim != 3 or 0 in logits.shape:
        raise _arrays.wrong(ValueError, "logits", "shape (N, T, C) with at least 1 of each", f"shape {logits.shape}")
    lengths = _arrays.lengths(lengths, *logits.shape[:2])
    loss = CTC(blank=blank, reduction=reduction, zero_infinity=zero_infinity)
    if target_lengths is not None:
        target = Ragged.of("target", target, target_lengths)
    target = loss.checked(target, logits.shape, lengths)
    return loss(logits, target, lengths, None if weight is None else row_weights(weight, logits))


def row_weights(value: ArrayLike, logits: np.ndarray) -> np.ndarray:
    """A weight for each row, of the dtype of the logits."""
    weight = _arrays.of_shape("weight", value, logits.dtype, logits.shape[:1])
    bad = ~((weight >= 0) & (weight < np.inf))
    if bad.any():
        place = int(np.argmax(bad))
        raise _arrays.wrong(ValueError, "weight", "finite numbers of at least 0", f"{weight[place]} at [{place}]")
    return weight


class CTC(Loss):
    """Connectionist temporal classification, see `ctc`.

    Parameters
    ----------
    blank : int, default 0
    reduction : str, default "mean"
        "mean" or "sum".
    zero_infinity : bool, default False

    Examples
    --------
    >>> import numpy as np
    >>> from clstm.losses import CTC
    >>> loss = CTC(blank=3)
    >>> target = loss.checked([[0, 0], [2]], (2, 5, 4))
    >>> loss.compute(np.zeros((2, 5, 4)), target).weight
    2.0
    >>> loss.checked([[0, 0], [2]], (2, 5, 4), np.array([2, 5]))
    Traceback (most recent call last):
    ...
    ValueError: target: expected labels that fit into the steps (zero_infinity=True leaves other rows out), \
got row 0 of length 2, which needs 3: 2 labels, 1 repeated
    """

    name = "ctc"
    least_axes = 2
    aligned = False
    of_sequences = True

    def __init__(self, *, blank: int = 0, reduction: str = "mean", zero_infinity: bool = False) -> None:
        super().__init__(reduction=reduction)
        self.blank = class_number("blank", blank)
        self.zero_infinity = _arrays.flag("zero_infinity", zero_infinity)

    def config(self) -> dict[str, Any]:
        """The arguments of the constructor."""
        return {"blank": self.blank, "reduction": self.reduction, "zero_infinity": self.zero_infinity}

    def checked(self, target, shape, lengths=None, name="target"):
        """A `Ragged` of labels that fit into the steps; shape is (N, T, C)."""
        if len(shape) != 3:
            raise _arrays.wrong(ValueError, "prediction", "shape (N, T, C) for CTC", f"shape {tuple(shape)}")
        N, T, C = shape
        if self.blank >= C:
            raise _arrays.wrong(ValueError, "blank", f"one of {C} classes, from 0 to {C - 1}", self.blank)
        target = Ragged.of(name, target)
        if len(target) != N:
            raise _arrays.wrong(ValueError, name, f"labels for each of {N} rows", f"those of {len(target)}")
        valid = np.arange(target.values.shape[1]) < target.lengths[:, np.newaxis]
        _arrays.in_range(name, target.values, C, f"one of {C} classes,", valid)
        self._refuse_blanks(target.values, valid, name)
        if not self.zero_infinity:
            self._refuse_long(target, valid, np.full(N, T) if lengths is None else lengths, name)
        return target

    def _refuse_blanks(self, values, valid, name):
        blanks = np.argwhere((values == self.blank) & valid)
        if len(blanks):
            got = f"it at {blanks[0].tolist()}"
            raise _arrays.wrong(ValueError, name, f"labels without the blank, {self.blank}", got)

    def _refuse_long(self, target, valid, steps, name):
        repeats = ((target.values[:, 1:] == target.values[:, :-1]) & valid[:, 1:]).sum(axis=1)
        bad = np.flatnonzero(target.lengths + repeats > steps)
        if len(bad):
            n = bad[0]
            labels, again = int(target.lengths[n]), int(repeats[n])
            expected = "labels that fit into the steps (zero_infinity=True leaves other rows out)"
            got = f"row {n} of length {int(steps[n])}, which needs {labels + again}: {labels} labels, {again} repeated"
            raise _arrays.wrong(ValueError, name, expected, got)

    def compute(self, prediction, target, lengths=None, weight=None, *, gradient=True, grads=None):
        """See `ctc`; a weight is that of a row, (N,)."""
        N = len(prediction)
        if weight is not None and weight.shape != (N,):
            expected = f"shape ({N},), one for each row: CTC has no loss of single steps"
            raise _arrays.wrong(ValueError, "weight", expected, f"shape {weight.shape}")
        loss, found = _core.ctc(
            _arrays.contiguous(prediction),
            lengths,
            target.values,
            target.lengths,
            None if weight is None else _arrays.contiguous(weight),
            self.blank,
            self.reduction == "sum",
            self.zero_infinity,
            gradient,
        )
        return Computed(loss, found, float(N if weight is None else weight.sum(dtype=np.float64)))

    def __repr__(self):
        defaults = CTC().config()
        given = ", ".join(f"{key}={value!r}" for key, value in self.config().items() if value != defaults[key])
        return f"{type(self).__name__}({given})"


def class_number(name: str, value: Any) -> int:
    """An int of at least 0."""
    if isinstance(value, (bool, np.bool_)) or not hasattr(value, "__index__"):
        raise _arrays.wrong(TypeError, name, "an int of at least 0", f"{value!r} ({_arrays.kind(value)})")
    if operator.index(value) < 0:
        raise _arrays.wrong(ValueError, name, "an int of at least 0", operator.index(value))
    return operator.index(value)
