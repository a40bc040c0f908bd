"""When a prediction is right, and when a task is solved: what the experiments of the paper have in common.

Comparisons are written such that a NaN among the outputs is an error, never a success.
"""

from __future__ import annotations

import numpy as np

RECENT = 2000  # sequences that a network has to process correctly while it trains (experiments 4 to 6)
TESTED = 2560  # sequences of the test after that (experiments 3 to 6)


def largest_errors(outputs, targets, mask=None) -> np.ndarray:
    """The largest absolute error in each sequence, over its outputs and steps.

    Parameters
    ----------
    outputs, targets : ndarray, (N, K) or (N, T, K)
    mask : ndarray, (N, T) bool, optional
        The steps that count; None: all of them.

    Returns
    -------
    ndarray, (N,)
    """
    errors = np.abs(np.asarray(outputs, np.float64) - targets)
    if mask is not None:
        errors = np.where(mask[..., np.newaxis], errors, 0)
    return errors.max(axis=tuple(range(1, errors.ndim)))


def mean_errors(outputs, targets) -> np.ndarray:
    """The mean absolute error of each sequence (N,) of (N, K) outputs and targets."""
    return np.abs(np.asarray(outputs, np.float64) - targets).mean(axis=1)


def wrong(outputs, targets, tolerance, mask=None) -> int:
    """How many sequences have an absolute error that is not below the tolerance, ABS of the paper's table 11.

    Parameters
    ----------
    outputs, targets, mask
        As in `largest_errors`.
    tolerance : float
    """
    return int(np.sum(~(largest_errors(outputs, targets, mask) < tolerance)))


def most_active(outputs, possible, mask) -> bool:
    """Whether every possible output is larger than every impossible one, at all steps that count.

    Parameters
    ----------
    outputs : ndarray, (N, T, K)
    possible : ndarray, (N, T, K) bool
    mask : ndarray, (N, T) bool
    """
    least = np.where(possible, outputs, np.inf).min(axis=-1)
    most = np.where(possible, -np.inf, outputs).max(axis=-1)
    return bool(np.all((least > most)[mask]))


class Recent:
    """The most recent sequences of a training, and whether they end it.

    Takes the outputs that a network gave before it learnt from the sequence, as on-line learning has them.

    Parameters
    ----------
    tolerance : float
        A sequence is right if the absolute errors of all its outputs are below this.
    mean_below : float
        The mean absolute error, over outputs and recent sequences, has to be below this. The paper speaks of "the
        average training error", and says neither which measure it is, nor over how many sequences.
    wrong_below : int
        Fewer of the recent sequences than this have to be wrong; 1: all have to be right.
    size : int
        How many sequences are recent.

    Attributes
    ----------
    seen : int
        How many sequences came so far.
    solved_after : int or None
        How many had come when the criterion was met for the first time.
    """

    def __init__(self, tolerance, mean_below=np.inf, wrong_below=1, size=RECENT):
        self.tolerance, self.mean_below, self.wrong_below = tolerance, mean_below, wrong_below
        self.largest = np.full(size, np.inf)
        self.mean = np.full(size, np.inf)
        self.seen = 0
        self.solved_after = None

    def add(self, outputs, targets) -> bool:
        """Looks at the next sequences.

        Parameters
        ----------
        outputs, targets : ndarray, (N, K)
            A batch of at most `size` sequences; the criterion is looked at after its last one.

        Returns
        -------
        bool
            Whether the criterion is met now.
        """
        places = np.arange(self.seen, self.seen + len(outputs)) % len(self.largest)
        self.largest[places] = largest_errors(outputs, targets)
        self.mean[places] = mean_errors(outputs, targets)
        self.seen += len(outputs)
        met = self.is_met()
        if met and self.solved_after is None:
            self.solved_after = self.seen
        return met

    def is_met(self) -> bool:
        """Whether the sequences that are recent now meet the criterion."""
        # Errors of sequences that have not come yet are infinite, and so is the mean then.
        return self.count_wrong() < self.wrong_below and bool(np.mean(self.mean) < self.mean_below)

    def count_wrong(self) -> int:
        """How many of the recent sequences are wrong; those that have not come yet are."""
        return int(np.sum(~(self.largest < self.tolerance)))
