"""Sequences of symbols, cut into rows for the training of a language model."""

from __future__ import annotations

import numpy as np

from .. import _arrays
from ..training.order import Plan
from .fitting import held_out

PADDING = 0.25  # the largest share of a batch


def split(sequences, fraction, rng):
    """Sequences to train on, and those to validate with: the last part of a single one, else some at random."""
    if len(sequences) > 1:
        train, rest = held_out(len(sequences), fraction, rng)
        return [sequences[k] for k in train], [sequences[k] for k in rest]
    (sequence,) = sequences
    cut = len(sequence) - max(2, round(fraction * len(sequence)))
    if cut < 2:
        raise _arrays.wrong(
            ValueError, "X", "at least 3 symbols, to train on some and validate on others", len(sequence)
        )
    return [sequence[:cut]], [sequence[cut - 1 :]]


def rows_of(sequences, count=1, shortest=1, longest=None):
    """Pairs of what is read and what comes next, in about `count` rows together: long sequences are cut.

    Where there are as many sequences, each is a row; a single one gives `count` rows of nearly equal length, unless
    they were shorter than `shortest`. With `longest` they are cut to that length instead.
    """
    total = sum(len(sequence) - 1 for sequence in sequences)
    found = []
    for sequence in sequences:
        n = len(sequence) - 1
        pieces = min(count * n // total, n // shortest) if longest is None else -(-n // longest)
        ends = np.arange(1, max(1, pieces) + 1) * n // max(1, pieces)
        for begin, end in zip([0, *ends[:-1]], ends, strict=True):
            found.append((sequence[begin:end], sequence[begin + 1 : end + 1]))
    return found


def side_by_side(rows):
    """Lists of what is read, and of what comes next."""
    return [x for x, _ in rows], [y for _, y in rows]


def steps_of_epoch(x, batch_size, bptt):
    """How many steps an epoch makes: as of the first one, where the order of rows of unequal length changes it."""
    lengths = np.array([len(part) for part in x])
    batches = Plan(batch_size, True, PADDING).batches(len(x), lengths, np.random.default_rng(0))
    return int(sum(-(-lengths[rows].max() // bptt) for rows in batches))
