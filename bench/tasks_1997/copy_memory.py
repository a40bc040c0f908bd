"""Copy ten symbols after a long pause (Arjovsky, Shah and Bengio 2016, Unitary Evolution Recurrent Neural Networks).

The input is ten random symbols of eight, T-1 blanks, a delimiter, and ten blanks; the target is T+10 blanks, and the
ten symbols in their order.
"""

from __future__ import annotations

import math

import numpy as np

from .sequences import Sequences, at_least, one_hot

COPIED = 10
ALPHABET = 8
BLANK, DELIMITER = 8, 9
SYMBOLS = 10


def copying(count, rng, T=100) -> Sequences:
    """Sequences of T + 20 steps.

    Parameters
    ----------
    count : int
    rng : numpy.random.Generator
    T : int
        A symbol is copied T + 10 steps after it came.

    Returns
    -------
    Sequences
        x (N, T+20) are symbols 0 to 9, labels (N, T+20) those to be given, 0 to 8, and y (N, T+20, 9) the same as
        vectors. Errors count at every step.
    """
    at_least("T", T, 1)
    steps = T + 2 * COPIED
    symbols = rng.integers(ALPHABET, size=(count, COPIED))
    x, labels = np.full((2, count, steps), BLANK, np.int64)
    x[:, :COPIED] = labels[:, -COPIED:] = symbols
    x[:, -COPIED - 1] = DELIMITER
    lengths = np.full(count, steps, np.int64)
    return Sequences(x, one_hot(labels, BLANK + 1), lengths, np.ones(x.shape, bool), labels)


def baseline(T) -> float:
    """The mean cross-entropy, in nats, of the best strategy without memory: 10 log(8) / (T + 20).

    It gives blanks, and at the end each of the eight symbols with the same probability.
    """
    return COPIED * math.log(ALPHABET) / (T + 2 * COPIED)


def share_copied(outputs, data) -> float:
    """Which share of the symbols after the delimiter is right; 1/8 is chance.

    Parameters
    ----------
    outputs : ndarray, (N, T+20, 9)
        Scores or probabilities.
    data : Sequences
    """
    return float(np.mean(np.argmax(outputs[:, -COPIED:], axis=-1) == data.labels[:, -COPIED:]))
