"""Metrics of decoded sequences: how much would have to be edited."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .. import _arrays
from ..decoding import ctc_greedy
from .base import Metric, ratio


def edit_distance(a: Sequence, b: Sequence) -> int:
    """The least number of insertions, deletions and substitutions that turn `a` into `b`.

    Parameters
    ----------
    a, b : str or sequence of hashable

    Returns
    -------
    int

    References
    ----------
    Levenshtein, "Binary codes capable of correcting deletions, insertions, and reversals", Soviet Physics Doklady
    10(8), 1966; table by Wagner and Fischer, Journal of the ACM 21(1), 1974.

    Examples
    --------
    >>> from clstm.metrics import edit_distance
    >>> edit_distance("kitten", "sitting")
    3
    """
    numbers: dict[Any, int] = {}
    a, b = (np.array([numbers.setdefault(token, len(numbers)) for token in tokens], np.intp) for tokens in (a, b))
    places = np.arange(len(b) + 1)
    row = places
    for i, token in enumerate(a, 1):
        # d[i, j] = min(d[i-1, j] + 1, d[i-1, j-1] + (a_i != b_j), d[i, j-1] + 1); the last, for all j at once, is a
        # running minimum of d[i, j] - j
        best = np.concatenate([[i], np.minimum(row[1:] + 1, row[:-1] + (b != token))])
        row = np.minimum.accumulate(best - places) + places
    return int(row[-1])


class CER(Metric):
    """The character error rate: edits that turn the predictions into the targets, per character (label) of those.

    It can be above 1.

    Parameters
    ----------
    decode : callable, optional
        ``decode(prediction, lengths)`` returns a list of sequences of labels, or of strings, for a prediction that is
        an array (N, T, C). Default: `clstm.decoding.ctc_greedy`, with blank 0. A prediction that is a list is decoded
        already.

    Examples
    --------
    >>> from clstm.metrics import CER
    >>> metric = CER()
    >>> metric.update(["hallo"], ["hello"])
    >>> metric.result()
    0.2
    """

    name = "cer"

    def __init__(self, decode: Callable[..., Sequence] | None = None) -> None:
        if decode is not None and not callable(decode):
            raise _arrays.wrong(TypeError, "decode", "a function (prediction, lengths) or None", repr(decode))
        self.decode = decode
        self.reset()

    def reset(self):
        """See `Metric`."""
        self._edits = self._tokens = 0

    def update(self, prediction, target, lengths=None, weight=None):
        """See `Metric`; `target` is a list of strings or of sequences of labels. Weights are refused."""
        _arrays.absent("weight", weight, f"{self.name} counts edits")
        if isinstance(prediction, np.ndarray) and prediction.ndim == 3:
            prediction = (self.decode or ctc_greedy)(prediction, lengths)
        else:
            _arrays.absent("lengths", lengths, "the prediction is decoded already")
        pairs = [
            [self._tokens_of(name, row) for row in rows]
            for name, rows in (("prediction", _rows("prediction", prediction)), ("target", _rows("target", target)))
        ]
        if len(pairs[0]) != len(pairs[1]):
            raise _arrays.wrong(ValueError, "target", f"{len(pairs[0])} sequences", len(pairs[1]))
        for said, right in zip(*pairs):
            self._edits += edit_distance(said, right)
            self._tokens += len(right)

    def _tokens_of(self, name, row):
        if isinstance(row, str):
            return list(row)
        labels = _arrays.integers(f"{name}, a sequence of it", row)
        if labels.ndim != 1:
            raise _arrays.wrong(ValueError, name, "sequences of labels", f"one of shape {labels.shape}")
        return labels.tolist()

    def result(self):
        """See `Metric`; NaN where the targets are empty."""
        return ratio(self._edits, self._tokens)

    def __repr__(self):
        return f"{type(self).__name__}()"


def _rows(name, rows):
    """The sequences of a list, or of padded rows with their lengths: a tuple, or what `losses.CTC` keeps."""
    if hasattr(rows, "values") and hasattr(rows, "lengths"):
        rows = (rows.values, rows.lengths)
    if isinstance(rows, tuple) and len(rows) == 2 and np.ndim(rows[0]) == 2:
        return [row[:count] for row, count in zip(*rows)]
    if isinstance(rows, str) or not hasattr(rows, "__len__"):
        raise _arrays.wrong(TypeError, name, "a list of strings or of sequences of labels", _arrays.kind(rows))
    return rows


class WER(CER):
    """The word error rate: as `CER`, of words.

    Parameters
    ----------
    decode : callable, optional
        As of `CER`.
    separator : int, optional
        The label that separates words. None: each label is a word. The words of strings are separated by white space.

    Examples
    --------
    >>> from clstm.metrics import WER
    >>> metric = WER()
    >>> metric.update(["the cat sat"], ["the cat sat down"])
    >>> metric.result()
    0.25
    """

    name = "wer"

    def __init__(self, decode: Callable[..., Sequence] | None = None, *, separator: int | None = None) -> None:
        self.separator = None if separator is None else _arrays.integers("separator", separator).item()
        super().__init__(decode)

    def _tokens_of(self, name, row):
        if isinstance(row, str):
            return row.split()
        labels = super()._tokens_of(name, row)
        if self.separator is None:
            return labels
        words: list[tuple] = [()]
        for label in labels:
            if label == self.separator:
                words.append(())
            else:
                words[-1] += (label,)
        return [word for word in words if word]
