"""Experiment 1: the embedded Reber grammar. Predict the next symbol of a string, at every step.

A string is B, T or P, a string of the Reber grammar, the same T or P again, and E. Where the grammar leaves a choice,
both ways are equally likely. The last symbol but one can be known only from the second one. (Reber 1967; Smith and
Zipser 1989; Cleeremans, Servan-Schreiber and McClelland 1989; Fahlman 1991; the paper, section 5.1.)
"""

from __future__ import annotations

import numpy as np

from .criteria import most_active
from .sequences import Sequences, one_hot, valid

SYMBOLS = "BTPSXVE"
B, T, P, S, X, V, E = range(len(SYMBOLS))
STRINGS = 256  # in the training set, and as many in the test set
END = 6

# The two ways out of each state: the symbols, and the states where they lead; between B and E of the inner string.
CHOICES = np.array([[T, P], [S, X], [T, V], [X, S], [P, V], [E, E]])
NEXT = np.array([[1, 2], [1, 3], [2, 4], [2, 5], [3, 5], [END, END]])


def strings(count, rng) -> Sequences:
    """Random strings of the embedded grammar.

    Parameters
    ----------
    count : int
    rng : numpy.random.Generator

    Returns
    -------
    Sequences
        x (N, T) are the symbols but the last one, labels (N, T) those but the first one, y (N, T, 7) the same as
        vectors, and expected (N, T, 7) bool says which symbols are possible next. Errors count at every step.
    """
    inner, choices, inner_lengths = walk(count, rng)
    branch = rng.choice([T, P], size=count)
    rows, lengths = np.arange(count), inner_lengths + 4
    symbols = np.zeros((count, inner.shape[1] + 4), np.int64)
    possible = np.zeros((*symbols.shape, len(SYMBOLS)), bool)
    symbols[:, 2:-2], possible[:, 2:-2] = inner, choices
    symbols[:, 0], symbols[:, 1] = B, branch
    possible[:, 1, [T, P]] = True
    for place, symbol in ((lengths - 2, branch), (lengths - 1, np.full(count, E))):
        symbols[rows, place] = symbol
        possible[rows, place, symbol] = True
    return predictions(symbols, possible, lengths)


def walk(count, rng):
    """Strings of the Reber grammar itself.

    Returns
    -------
    symbols : ndarray, (count, L) int64
        From B to E; zero beyond.
    possible : ndarray, (count, L, 7) bool
        The symbols that the grammar allows at each place.
    lengths : ndarray, (count,) int64
    """
    state, rows = np.zeros(count, np.int64), np.arange(count)
    symbols, possible = [np.full(count, B)], [one_hot(np.full(count, B), len(SYMBOLS)) > 0]
    lengths = np.ones(count, np.int64)
    while np.any(state < END):
        going = state < END
        here = np.where(going, state, 0)
        way = rng.integers(2, size=count)
        allowed = np.zeros((count, len(SYMBOLS)), bool)
        allowed[rows[:, np.newaxis], CHOICES[here]] = going[:, np.newaxis]
        symbols.append(np.where(going, CHOICES[here, way], 0))
        possible.append(allowed)
        lengths += going
        state = np.where(going, NEXT[here, way], END)
    return np.stack(symbols, axis=1), np.stack(possible, axis=1), lengths


def predictions(symbols, possible, lengths):
    """The task of predicting each next symbol of strings (N, T)."""
    labels = symbols[:, 1:] * valid(lengths - 1, symbols.shape[1] - 1)
    steps = lengths - 1
    mask = valid(steps, labels.shape[1])
    x = symbols[:, :-1] * mask
    return Sequences(x, one_hot(labels, len(SYMBOLS), steps), steps, mask, labels, possible[:, 1:] & mask[..., None])


def training_and_test(rng, count=STRINGS):
    """A training set, and a test set without any string of the training set. Strings may be in a set several times.

    Parameters
    ----------
    rng : numpy.random.Generator
    count : int
        Of strings in each set.

    Returns
    -------
    training, test : Sequences
        A network is trained with strings picked at random from the training set, one after the other.
    """
    training = strings(count, rng)
    known = set(texts(training))
    enough = count
    while True:
        enough *= 2
        test = strings(enough, rng)
        new = [row for row, text in enumerate(texts(test)) if text not in known]
        if len(new) >= count:
            return training, test.take(np.array(new[:count]))


def texts(data) -> list[str]:
    """The strings as text, such as ``"BTBPVVETE"``."""
    ends = [(row[:steps], after[steps - 1]) for row, after, steps in zip(data.x, data.labels, data.lengths)]
    return ["".join(SYMBOLS[k] for k in (*row, end)) for row, end in ends]


def is_solved(outputs, data) -> bool:
    """Whether all symbols of all strings are predicted: those that are possible next are always the most active ones.

    The paper asks this of the training set and of the test set.

    Parameters
    ----------
    outputs : ndarray, (N, T, 7)
    data : Sequences
    """
    return most_active(outputs, data.expected, data.mask)
