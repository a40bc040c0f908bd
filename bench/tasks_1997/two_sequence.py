"""Experiment 3: noise and signal on the same channel, after the 2-sequence problem of Bengio and others (1994).

The first elements of a sequence are 1 for class 1 and -1 for class 2; whatever follows is noise. Tell the class at the
end. The paper, section 5.3.
"""

from __future__ import annotations

import numpy as np

from .criteria import mean_errors, wrong
from .sequences import Sequences, at_least, last, random_lengths, valid

NOISE = 0.2**0.5  # standard deviation in the sequences; the paper gives variances
TARGET_NOISE = 0.1**0.5  # of the targets in 3c
TESTED_IN_TRAINING = 256  # sequences of the test set that says when training ends


def clean(count, rng, T=100, N=3) -> Sequences:
    """Task 3a: the N first elements are exact; the target is 1 for class 1 and 0 for class 2.

    Parameters
    ----------
    count : int
    rng : numpy.random.Generator
    T : int
        The shortest length; the longest is T + T/10.
    N : int
        How many elements tell the class.

    Returns
    -------
    Sequences
        x (count, T', 1), y (count, 1); labels (count,) are 0 for class 1 and 1 for class 2.
    """
    x, lengths, labels = signals(count, rng, T, N, noise=0)
    return judged_at_end(x, lengths, labels, target=1 - labels)


def noisy(count, rng, T=100, N=3) -> Sequences:
    """Task 3b: as 3a, with noise on the N first elements, too."""
    x, lengths, labels = signals(count, rng, T, N, noise=NOISE)
    return judged_at_end(x, lengths, labels, target=1 - labels)


def noisy_targets(count, rng, T=100, N=3) -> Sequences:
    """Task 3c: inputs as in 3a, targets 0.2 for class 1 and 0.8 for class 2, with noise of their own.

    Returns
    -------
    Sequences
        y has the noise; expected is without, and it is what outputs are judged by.
    """
    x, lengths, labels = signals(count, rng, T, N, noise=0)
    target = 0.2 + 0.6 * labels
    return judged_at_end(x, lengths, labels, target + TARGET_NOISE * rng.standard_normal(count), expected=target)


def signals(count, rng, T, N, noise):
    """x (count, T', 1), lengths, and the class of each sequence, 0 or 1."""
    at_least("N", N, 1)
    at_least("T", T, N + 1)
    lengths = random_lengths(count, rng, T)
    labels = rng.integers(2, size=count)
    x = NOISE * rng.standard_normal((count, lengths.max()))
    told = 1.0 - 2.0 * labels[:, np.newaxis]
    x[:, :N] = told + noise * rng.standard_normal((count, N))
    x[~valid(lengths, x.shape[1])] = 0
    return x[..., np.newaxis].astype(np.float32), lengths, labels


def judged_at_end(x, lengths, labels, target, expected=None):
    if expected is not None:
        expected = expected[:, np.newaxis].astype(np.float32)
    return Sequences(x, target[:, np.newaxis].astype(np.float32), lengths, last(lengths, x.shape[1]), labels, expected)


def st1(outputs, data, noisy=False) -> bool:
    """The first stopping criterion, ST1: of 256 test sequences none is misclassified; with noise (3b), fewer than 6.

    Parameters
    ----------
    outputs : ndarray, (256, 1)
    data : Sequences
    noisy : bool
        Task 3b, not 3a.
    """
    return misclassified(outputs, data) < (6 if noisy else 1)


def st2(outputs, data, noisy=False) -> bool:
    """The second one, ST2: ST1, and a mean absolute error below 0.01; with noise (3b), below 0.04."""
    mean = np.mean(mean_errors(outputs, data.judged))
    return st1(outputs, data, noisy) and bool(mean < (0.04 if noisy else 0.01))


def misclassified(outputs, data, tolerance=0.2) -> int:
    """How many sequences have an error that is not below the tolerance: 0.2 for 3a and 3b, 0.1 for 3c."""
    return wrong(outputs, data.judged, tolerance)


def is_solved_noisy_targets(outputs, data) -> bool:
    """Task 3c: none misclassified, and a mean absolute difference from the targets without noise below 0.015."""
    mean = np.mean(mean_errors(outputs, data.judged))
    return misclassified(outputs, data, 0.1) == 0 and bool(mean < 0.015)
