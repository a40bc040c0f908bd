"""What a task gives: padded sequences, their targets, and the steps at which the error counts."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np


@dataclass(frozen=True)
class Sequences:
    """N sequences of up to T steps, one behind the other, with zeros beyond their ends.

    Attributes
    ----------
    x : ndarray, (N, T, F) float32, or (N, T) int64
        Inputs; integers are numbers of symbols, see `one_hot`.
    y : ndarray, float32, (N, K) or (N, T, K)
        Targets of the K outputs: (N, K) where there is an error at the end of a sequence only.
    lengths : ndarray, (N,) int64
    mask : ndarray, (N, T) bool
        The steps at which outputs are compared with targets; of an (N, K) target, the last step of each sequence.
    labels : ndarray, int64, (N,) or (N, T), or None
        Numbers of the classes, for a cross-entropy; None where targets are real numbers.
    expected : ndarray or None
        What outputs are judged by, where this is not y; see `judged`.
    """

    x: np.ndarray
    y: np.ndarray
    lengths: np.ndarray
    mask: np.ndarray
    labels: np.ndarray | None = None
    expected: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.lengths)

    @property
    def judged(self) -> np.ndarray:
        """What outputs are judged by: `expected`, or else y."""
        return self.y if self.expected is None else self.expected

    def take(self, rows) -> Sequences:
        """Some of the sequences.

        Parameters
        ----------
        rows : slice or ndarray
            As an index of the first axis.
        """
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return Sequences(**{name: None if value is None else value[rows] for name, value in values.items()})


def one_hot(symbols, size, lengths=None) -> np.ndarray:
    """Each symbol as a vector with a single 1: the "local" representation of the paper.

    Parameters
    ----------
    symbols : ndarray of int, any shape
    size : int
        How many symbols there are.
    lengths : ndarray of int, (N,), optional
        Symbols (N, T) beyond them become zeros.

    Returns
    -------
    ndarray, float32, one more axis than `symbols`
    """
    vectors = np.eye(size, dtype=np.float32)[symbols]
    if lengths is not None:
        vectors[~valid(lengths, symbols.shape[1])] = 0
    return vectors


def valid(lengths, steps) -> np.ndarray:
    """Which steps are within the lengths (N,): (N, steps) bool."""
    return np.arange(steps) < lengths[:, np.newaxis]


def last(lengths, steps) -> np.ndarray:
    """The last step of each sequence: (N, steps) bool."""
    return np.arange(steps) == lengths[:, np.newaxis] - 1


def at_end(outputs, lengths) -> np.ndarray:
    """The outputs (N, T, K) of the last step of each sequence: (N, K)."""
    return outputs[np.arange(len(lengths)), lengths - 1]


def random_lengths(count, rng, T) -> np.ndarray:
    """Lengths (count,) from T to T + T/10, all equally likely."""
    return rng.integers(T, T + T // 10, size=count, endpoint=True)


def at_least(name, value, least):
    """Raises ValueError if a size is too small for its task."""
    if value < least:
        raise ValueError(f"{name}: expected at least {least}, got {value}")
