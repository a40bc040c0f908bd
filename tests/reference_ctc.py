"""Connectionist temporal classification in plain NumPy: the slow, obviously right twin of the C core's.

Three ways to the same number: all paths one by one, the forward recursion on probabilities, which runs in complex
numbers, and the forward-backward recursions on logarithms, which give the gradient too and do not underflow.
"""

import itertools

import numpy as np


def log_softmax(logits):
    """Over the last axis; the largest real part is a safe one to take away, and the function stays analytic."""
    shifted = logits - logits.real.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


def read(path, blank):
    """What a path reads as: equal neighbours merged, then blanks removed."""
    return tuple(label for label, _ in itertools.groupby(path) if label != blank)


def readings(logits, blank):
    """The probability of each labelling of one row (T, C), over all C^T paths, as a dict."""
    T, C = logits.shape
    y = np.exp(log_softmax(logits))
    found = {}
    for path in itertools.product(range(C), repeat=T):
        labels = read(path, blank)
        found[labels] = found.get(labels, 0) + y[np.arange(T), list(path)].prod()
    return found


def with_blanks(labels, blank):
    """The labels with a blank before each, and one at the end; and where a path may leave out a blank: (2S+1,) each."""
    states = np.full(2 * len(labels) + 1, blank)
    states[1::2] = labels
    skips = np.zeros(len(states), bool)
    skips[3::2] = states[3::2] != states[1:-2:2]
    return states, skips


def row_loss(logits, labels, blank):
    """-log of the probability of the labels of one row (T, C), by the forward recursion (equation 6 of the article)."""
    states, skips = with_blanks(labels, blank)
    y = np.exp(log_softmax(logits))[:, states]
    alpha = np.zeros(len(states), logits.dtype)
    if len(logits) == 0:
        return 0.0 if len(labels) == 0 else np.inf
    alpha[:2] = y[0, :2]
    for t in range(1, len(logits)):
        one, two = np.zeros_like(alpha), np.zeros_like(alpha)
        one[1:] = alpha[:-1]
        two[2:] = alpha[:-2]
        alpha = (alpha + one + np.where(skips, two, 0)) * y[t]
    return -np.log(alpha[-2:].sum())


def loss_and_gradient(logits, targets, lengths, *, blank=0, weight=None, reduction="mean"):
    """Of a batch (N, T, C): the sum of w l, or the mean of w l / max(1, labels), by the weights."""
    total, gradient = 0.0, np.zeros_like(logits)
    weight = np.ones(len(logits)) if weight is None else np.asarray(weight, float)
    for n, labels in enumerate(targets):
        factor = weight[n] if reduction == "sum" else weight[n] / max(1, len(labels)) / weight.sum()
        loss, row = row_gradient(logits[n, : lengths[n]], labels, blank)
        total += factor * loss
        gradient[n, : lengths[n]] = factor * row
    return total, gradient


def log_alphas(log_y, skips):
    """Logarithms of the forward variables (T, states); a state is reached from itself, the one before, or over it."""
    alphas = np.full(log_y.shape, -np.inf)
    alphas[0, :2] = log_y[0, :2]
    for t in range(1, len(log_y)):
        before = np.concatenate([[-np.inf, -np.inf], alphas[t - 1]])
        two = np.where(skips, before[:-2], -np.inf)
        alphas[t] = np.logaddexp(np.logaddexp(before[2:], before[1:-1]), two) + log_y[t]
    return alphas


def row_gradient(logits, labels, blank):
    """Loss and gradient of one row (T, C), in logarithms: softmax - occupancy (equation 16).

    The backward recursion is the forward one over the reversed row; both have the y of step t: one is taken away.
    """
    log_y = log_softmax(logits)
    states, skips = with_blanks(labels, blank)
    _, back_skips = with_blanks(labels[::-1], blank)
    alphas = log_alphas(log_y[:, states], skips)
    betas = log_alphas(log_y[::-1, states[::-1]], back_skips)[::-1, ::-1]
    total = np.logaddexp.reduce(alphas[-1, -2:])
    occupancy = np.zeros_like(logits)
    both = alphas + betas - np.where(np.isinf(log_y[:, states]), 0, log_y[:, states]) - total
    for state, label in enumerate(states):
        occupancy[:, label] += np.exp(both[:, state])
    return -total, np.exp(log_y) - occupancy
