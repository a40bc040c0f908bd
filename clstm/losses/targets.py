"""Targets that are no plain arrays."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from .. import _arrays


class Ragged:
    """Sequences of labels of unequal length, one for each row: what `CTC.checked` gives, of which a trainer takes rows.

    Parameters
    ----------
    values : ndarray of int64, (N, S)
        The labels of row n are ``values[n, :lengths[n]]``.
    lengths : ndarray of intp, (N,)
        Each 0 to S.

    Examples
    --------
    >>> from clstm.losses.targets import Ragged
    >>> target = Ragged.of("target", [[3, 1, 2], [], [1]])
    >>> len(target), target.lengths.tolist(), target[0].tolist()
    (3, [3, 0, 1], [3, 1, 2])
    >>> target[1:].values.tolist()
    [[0], [1]]
    """

    def __init__(self, values: np.ndarray, lengths: np.ndarray) -> None:
        self.values = values
        self.lengths = lengths

    @classmethod
    def of(cls, name: str, target: Any, lengths: Any = None) -> Ragged:
        """From a list of sequences of integers, an array (N, S), a tuple (array, lengths), or a `Ragged`.

        Parameters
        ----------
        name : str
            What an error calls the target.
        target : Ragged, tuple, array_like of int, (N, S), or list of array_like of int
            What stands beyond the lengths is not looked at, and zero in the result.
        lengths : array_like of int, (N,), optional
            Labels of each row of an array; None: S.
        """
        if isinstance(target, tuple):
            if len(target) != 2 or lengths is not None:
                got = "lengths beside a tuple" if lengths is not None else f"a tuple of {len(target)}"
                raise _arrays.wrong(ValueError, name, "a list of labels, an array, or a tuple (array, lengths)", got)
            target, lengths = target
        if isinstance(target, Ragged) or (isinstance(target, list) and lengths is None):
            _arrays.absent("target_lengths", lengths, "the target has its own")
            return target if isinstance(target, Ragged) else cls._of_list(name, target)
        values = _arrays.integers(name, target)
        if values.ndim != 2:
            raise _arrays.wrong(
                ValueError, name, "a list of labels for each row, or shape (N, S)", f"shape {values.shape}"
            )
        return cls._of_array(name, values, _target_lengths(lengths, *values.shape))

    @classmethod
    def _of_array(cls, name: str, values: np.ndarray, lengths: np.ndarray) -> Ragged:
        valid = np.arange(values.shape[1]) < lengths[:, np.newaxis]
        if values.dtype == np.uint64 and (values[valid] > np.iinfo(np.int64).max).any():
            raise _arrays.wrong(ValueError, name, "class numbers", values[valid].max())
        return cls(np.where(valid, values, 0).astype(np.int64), lengths)

    @classmethod
    def _of_list(cls, name: str, rows: list) -> Ragged:
        labels = [_arrays.integers(f"{name}[{n}]", row) for n, row in enumerate(rows)]
        for n, row in enumerate(labels):
            if row.ndim != 1:
                raise _arrays.wrong(ValueError, f"{name}[{n}]", "labels of shape (S,)", f"shape {row.shape}")
        lengths = np.array([len(row) for row in labels], np.intp)
        kinds = {row.dtype for row in labels if row.dtype.kind != "f"} or {np.dtype(np.int64)}
        values = np.zeros((len(rows), max(lengths, default=0)), np.uint64 if np.dtype(np.uint64) in kinds else np.int64)
        for n, row in enumerate(labels):
            values[n, : len(row)] = row
        return cls._of_array(name, values, lengths)

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, rows: Any) -> Any:
        """The labels of one row as an array, or some rows as a `Ragged`, as wide as the longest of them."""
        if hasattr(rows, "__index__") and not isinstance(rows, np.ndarray):
            row = operator.index(rows)
            return self.values[row, : self.lengths[row]]
        lengths = self.lengths[rows]
        return Ragged(np.ascontiguousarray(self.values[rows, : max(lengths, default=0)]), lengths)

    def __repr__(self):
        return f"Ragged({[row.tolist() for row in self][:3]}{' and more' * (len(self) > 3)})"


def _target_lengths(value: Any, N: int, S: int) -> np.ndarray:
    """Labels of each row, each 0 .. S."""
    if value is None:
        return np.full(N, S, np.intp)
    lengths = _arrays.integers("target_lengths", value)
    if lengths.shape != (N,):
        raise _arrays.wrong(ValueError, "target_lengths", f"shape ({N},), one for each row", f"shape {lengths.shape}")
    _arrays.in_range("target_lengths", lengths, S + 1, "a number of labels")
    return lengths.astype(np.intp)
