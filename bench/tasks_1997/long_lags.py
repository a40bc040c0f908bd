"""Experiment 2: long time lags without noise (2a), without regularities (2b), and with many distractors (2c).

The last symbol of a sequence is x or y, as was the first one (2a, 2b), or the second one (2c). The paper, section 5.2.
"""

from __future__ import annotations

import numpy as np

from .criteria import wrong
from .sequences import Sequences, at_end, at_least, last, one_hot

TOLERANCE = 0.25  # of 2a and 2b
TOLERANCE_DISTRACTING = 0.2  # of 2c
TESTED = 10_000  # successive sequences, all of which have to be right
GOING_ON = 0.9  # probability of one more distractor in 2c


def regular(count, rng, p=100) -> Sequences:
    """Task 2a: (y, a_1, a_2, ..., a_p-1, y) or (x, a_1, a_2, ..., a_p-1, x); predict every next symbol.

    Parameters
    ----------
    count : int
    rng : numpy.random.Generator
    p : int
        The time lag. Symbols 0 to p-2 are a_1 to a_p-1, p-1 is x, and p is y.

    Returns
    -------
    Sequences
        x (N, p) without the last symbol, labels (N, p) without the first one, y (N, p, p+1) the same as vectors.
        Errors count at every step.
    """
    at_least("p", p, 2)
    return framed(np.broadcast_to(np.arange(p - 1), (count, p - 1)), rng, p)


def irregular(count, rng, p=100) -> Sequences:
    """Task 2b: as 2a, with a random sequence of p-1 symbols, each a_1 to a_p-1, between x and x, or y and y.

    Parameters
    ----------
    count, rng, p
        As in `regular`.

    Returns
    -------
    Sequences
        As `regular` does; errors count at every step, but only the last step can be learnt, and is judged.
    """
    at_least("p", p, 2)
    return framed(rng.integers(p - 1, size=(count, p - 1)), rng, p)


def framed(middle, rng, p):
    """Sequences with these symbols (N, p-1) in the middle."""
    frame = rng.integers(p - 1, p, size=(len(middle), 1), endpoint=True)
    symbols = np.concatenate([frame, middle, frame], axis=1)
    x, labels = symbols[:, :-1].copy(), symbols[:, 1:].copy()
    lengths = np.full(len(x), p, np.int64)
    return Sequences(x, one_hot(labels, p + 1), lengths, np.ones(x.shape, bool), labels)


def distracting(count, rng, q=50, p=50) -> Sequences:
    """Task 2c: (b, y, q+k distractors, e, y) or (b, x, q+k distractors, e, x); predict the last symbol after the e.

    After q distractors, there is another one with probability 9/10, again and again, or else the e.

    Parameters
    ----------
    count : int
    rng : numpy.random.Generator
    q : int
        Distractors at least; the shortest time lag is q+1.
    p : int
        Number of distractor symbols. Symbols 0 to p-1 are a_1 to a_p, then come e, b, x, y.

    Returns
    -------
    Sequences
        x (N, T) from b to e, labels (N,) 0 for x and 1 for y, and y (N, 2) the same as vectors.

    Notes
    -----
    The paper writes the distractors as a_i with i up to q. It has to be p, the size of its alphabet: they differ in the
    second half of its table 3, and each a_i shall occur (q+10)/p times.
    """
    at_least("q", q, 1)
    at_least("p", p, 1)
    e, b = p, p + 1
    more = rng.geometric(1 - GOING_ON, size=count) - 1
    lengths = q + more + 3
    x = rng.integers(p, size=(count, lengths.max()))
    labels = rng.integers(2, size=count)
    x[:, 0], x[:, 1] = b, p + 2 + labels
    x[np.arange(count), lengths - 1] = e
    x[np.arange(x.shape[1]) >= lengths[:, np.newaxis]] = 0
    return Sequences(x, one_hot(labels, 2), lengths, last(lengths, x.shape[1]), labels)


def is_solved_regular(outputs, data) -> bool:
    """Task 2a: whether all absolute errors are below 0.25, of every output at every step.

    Parameters
    ----------
    outputs : ndarray, (N, p, p+1)
    data : Sequences
    """
    return wrong(outputs, data.y, TOLERANCE) == 0


def is_solved_irregular(outputs, data) -> bool:
    """Task 2b: whether all absolute errors at the end of the sequences are below 0.25.

    Parameters
    ----------
    outputs : ndarray, (N, p, p+1)
    data : Sequences
    """
    return wrong(at_end(outputs, data.lengths), at_end(data.y, data.lengths), TOLERANCE) == 0


def is_solved_distracting(outputs, data) -> bool:
    """Task 2c: whether all absolute errors of both outputs are below 0.2.

    Parameters
    ----------
    outputs : ndarray, (N, 2)
    data : Sequences
    """
    return wrong(outputs, data.y, TOLERANCE_DISTRACTING) == 0
