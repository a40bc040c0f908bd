"""Experiment 6: tell in which order X and Y came, far from each other, among random symbols. The paper, section 5.6."""

from __future__ import annotations

import numpy as np

from .criteria import Recent
from .sequences import Sequences, last, one_hot, random_lengths

SYMBOLS = "abcdXYEB"
X, START, TRIGGER = SYMBOLS.index("X"), SYMBOLS.index("E"), SYMBOLS.index("B")
DISTRACTORS = 4
SHORTEST = 100
PLACES = {2: ((10, 20), (50, 60)), 3: ((10, 20), (33, 43), (66, 76))}  # counted from 1; both ends are possible
CLASSES = {2: "QRSU", 3: "QRSUVABC"}
TOLERANCE = 0.3


def order(count, rng, relevant=2) -> Sequences:
    """Sequences that start with E, end with B, and have 2 (task 6a) or 3 (task 6b) symbols X or Y in them.

    Parameters
    ----------
    count : int
    rng : numpy.random.Generator
    relevant : int
        2 or 3.

    Returns
    -------
    Sequences
        x (N, T) are symbols of ``"abcdXYEB"``, T from 100 to 110; labels (N,) are the classes in the order of the
        paper, XX, XY, YX, YY and so on; y (N, 4 or 8) are the same as vectors.

    Notes
    -----
    Places are counted from 1, because the last lag of the paper's table 10 comes out right then: 100 - 60 = 40 steps.
    """
    if relevant not in PLACES:
        raise ValueError(f"relevant: expected 2 or 3, got {relevant!r}")
    lengths = random_lengths(count, rng, SHORTEST)
    rows = np.arange(count)
    x = rng.integers(DISTRACTORS, size=(count, lengths.max()))
    chosen = rng.integers(2, size=(count, relevant))
    for k, (low, high) in enumerate(PLACES[relevant]):
        x[rows, rng.integers(low, high, size=count, endpoint=True) - 1] = X + chosen[:, k]
    x[:, 0] = START
    x[rows, lengths - 1] = TRIGGER
    x[np.arange(x.shape[1]) >= lengths[:, np.newaxis]] = 0
    labels = chosen @ (2 ** np.arange(relevant)[::-1])
    return Sequences(x, one_hot(labels, 2**relevant), lengths, last(lengths, x.shape[1]), labels)


def criterion() -> Recent:
    """The average training error is below 0.1, and the 2000 most recent sequences were right: all errors below 0.3."""
    return Recent(TOLERANCE, mean_below=0.1)
