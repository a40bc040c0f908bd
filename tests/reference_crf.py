"""A conditional random field in plain NumPy: over all paths one by one, and in log space step by step."""

from itertools import product
from typing import NamedTuple

import numpy as np


class Field(NamedTuple):
    """Transitions (C, C) from and to, start and end (C,)."""

    transitions: np.ndarray
    start: np.ndarray
    end: np.ndarray


def score(field, emissions, path):
    """That of a path through the emissions (T, C)."""
    path = np.asarray(path)
    between = field.transitions[path[:-1], path[1:]].sum()
    return field.start[path[0]] + emissions[np.arange(len(path)), path].sum() + between + field.end[path[-1]]


def log_sum(x, axis):
    """log sum exp, of complex numbers too, and of nothing but -infinity."""
    top = x.real.max(axis=axis, keepdims=True)
    top = np.where(np.isfinite(top), top, 0)
    with np.errstate(divide="ignore"):
        return np.log(np.exp(x - top).sum(axis=axis)) + np.squeeze(top, axis)


def log_partition(field, emissions):
    """log Z by the forward recursion; complex numbers too, and any precision."""
    alpha = field.start + emissions[0]
    for own in emissions[1:]:
        alpha = own + log_sum(alpha[:, np.newaxis] + field.transitions, 0)
    return log_sum(alpha + field.end, 0)


class Summed(NamedTuple):
    """What all paths of a row say together."""

    log_z: float
    marginals: np.ndarray  # (T, C)
    pairs: np.ndarray  # (C, C) how often a transition is expected
    path: tuple  # the best one, of equal ones that with the lowest last tag, then the lowest before it, ..
    score: float  # of it


def over_all_paths(field, emissions):
    """By going through all of them."""
    T, C = emissions.shape
    paths = sorted(product(range(C), repeat=T), key=lambda path: path[::-1])
    scores = np.array([score(field, emissions, path) for path in paths])
    log_z = log_sum(scores, 0)
    marginals, pairs = np.zeros((T, C)), np.zeros((C, C))
    for path, p in zip(paths, np.exp(scores - log_z), strict=True):
        path = np.array(path)
        marginals[np.arange(T), path] += p
        np.add.at(pairs, (path[:-1], path[1:]), p)
    best = int(scores.argmax())
    return Summed(log_z, marginals, pairs, paths[best], scores[best])


def loss(field, emissions, tags, lengths, weights, reduction):
    """The reduced -log p of a batch and its divisor, in which rows without steps have no part."""
    total, divisor = 0, 0
    for n, length in enumerate(lengths):
        if length > 0:
            row = emissions[n, :length]
            total = total + weights[n] * (log_partition(field, row) - score(field, row, tags[n, :length]))
            divisor += weights[n] * (length if reduction == "token_mean" else 1)
    return (total if reduction == "sum" else total / divisor), divisor
