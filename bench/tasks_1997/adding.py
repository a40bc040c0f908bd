"""Experiments 4 and 5: add, or multiply, two numbers that are marked in a long sequence. The paper, 5.4 and 5.5."""

from __future__ import annotations

import numpy as np

from .criteria import Recent
from .sequences import Sequences, at_least, last, random_lengths, valid

TOLERANCE = 0.04
FIRST = 10  # among so many pairs is the first mark


def addition(count, rng, T=100) -> Sequences:
    """Experiment 4: the target is 0.5 + (X1 + X2) / 4, where X1 and X2 are the marked numbers, all from -1 to 1.

    Parameters
    ----------
    count : int
    rng : numpy.random.Generator
    T : int
        The shortest length; the longest is T + T/10. The shortest time lag is T/2.

    Returns
    -------
    Sequences
        x (N, T', 2): number and mark; y (N, 1).

    Notes
    -----
    The first mark is on one of the first ten pairs, the second on one of the first T/2 - 1 pairs that are left: so it
    is at most the pair T/2, and the lag is the one of the paper's table. The marks of the first and the last pair are
    -1. In the rare case that the first pair is marked, its mark stays -1, and its number becomes 0, that does not
    change the sum.
    """
    x, lengths, marked = pairs(count, rng, T, rng.uniform(-1, 1, (count, T + T // 10)), neutral=0)
    return Sequences(x, 0.5 + marked.sum(axis=1, keepdims=True) / 4, lengths, last(lengths, x.shape[1]))


def multiplication(count, rng, T=100) -> Sequences:
    """Experiment 5: the target is X1 * X2, where all numbers are from 0 to 1; the number of a marked first pair is 1.

    Parameters, result and notes are those of `addition`.
    """
    x, lengths, marked = pairs(count, rng, T, rng.uniform(0, 1, (count, T + T // 10)), neutral=1)
    return Sequences(x, marked.prod(axis=1, keepdims=True), lengths, last(lengths, x.shape[1]))


def pairs(count, rng, T, numbers, neutral):
    """x (N, T', 2), lengths, and the marked numbers (N, 2), as float32."""
    at_least("T", T, 2 * FIRST)
    lengths = random_lengths(count, rng, T)
    rows, places = np.arange(count)[:, np.newaxis], marks(count, rng, T)
    x = np.zeros((count, lengths.max(), 2), np.float32)
    x[..., 0] = numbers[:, : x.shape[1]]
    x[np.any(places == 0, axis=1), 0, 0] = neutral
    x[rows, places, 1] = 1
    x[:, 0, 1] = x[rows[:, 0], lengths - 1, 1] = -1
    x[~valid(lengths, x.shape[1])] = 0
    return x, lengths, x[rows, places, 0]


def marks(count, rng, T):
    """The places (count, 2) of the marked pairs, from 0."""
    first = rng.integers(FIRST, size=count)
    second = rng.integers(T // 2 - 1, size=count)
    return np.stack([first, second + (second >= first)], axis=1)


def addition_criterion() -> Recent:
    """Experiment 4: the average training error is below 0.01, and the 2000 most recent sequences were right."""
    return Recent(TOLERANCE, mean_below=0.01)


def multiplication_criterion(n_seq=13) -> Recent:
    """Experiment 5: fewer than n_seq of the 2000 most recent sequences were wrong; the paper takes 140 and 13."""
    return Recent(TOLERANCE, wrong_below=n_seq)
