"""The numbers that all engines work on: inputs, gradients and weights, the same ones for every engine and every run.

Sequences are time-major here, (T, N, F); an engine turns them into the form it likes best before it is timed.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from .rows import VOCABULARY

SEED = 7
LEAST = 1e-40  # what fades ends here: below the least normal float32, 1.2e-38, and above zero
LETTERS = 26


class Data(NamedTuple):
    """x (T, N, I), dy (T, N, D*H) and weights[layer][direction] = w_ih (4H, I), w_hh (4H, H), b (4H); gates i f g o."""

    x: np.ndarray
    dy: np.ndarray
    weights: list


class EpochData(NamedTuple):
    """Characters x and y (batches*N, T), the weights of the LSTM as in `Data`, and those of the layers around it."""

    x: np.ndarray
    y: np.ndarray
    weights: list
    embedding: np.ndarray  # (V, I)
    dense: np.ndarray  # (V, H)


def normal(rng, scale, shape, dtype="float32"):
    return (scale * rng.standard_normal(shape)).astype(dtype)


def lstm_weights(rng, shape, dtype="float32"):
    _, _, I, H, L, D = shape

    def one(width):
        return tuple(
            normal(rng, scale, s, dtype)
            for scale, s in ((H**-0.5, (4 * H, width)), (H**-0.5, (4 * H, H)), (0.1, 4 * H))
        )

    return [[one(I if layer == 0 else D * H) for _ in range(D)] for layer in range(L)]


def make(row) -> Data | EpochData:
    """The data of a row."""
    rng = np.random.default_rng(SEED)
    if row.work == "epoch":
        return epoch_data(rng, row)
    T, N, I, H, _, D = row.shape
    weights = lstm_weights(rng, row.shape, row.dtype)
    x, dy = normal(rng, 1, (T, N, I), row.dtype), normal(rng, 1, (T, N, D * H), row.dtype)
    if row.data != "usual":
        weights = [[fading(w) for w in layer] for layer in weights]
    if row.data == "decaying":
        backwards = decay(T)[::-1].copy()
        backwards[: T // 10] = 1  # where x is large, too: gradients of weights that are zero could not be compared
        x, dy = x * decay(T), dy * backwards
    if row.lengths is not None:
        dy[np.arange(T)[:, np.newaxis] >= np.array(row.lengths)] = 0  # as if the loss were masked
    return Data(x, dy, weights)


def fading(weights):
    """Weights with which states and gradients fade: small matrices, no bias, but f = sigmoid(2) = 0.88.

    c then falls by 0.88 a step until rounding stops it at a few times the least positive number: it never gets to 0.
    """
    w_ih, w_hh, b = weights
    H = len(b) // 4
    b = np.zeros_like(b)
    b[H : 2 * H] = 2
    return w_ih * w_ih.dtype.type(0.1), w_hh * w_hh.dtype.type(0.1), b


def decay(T):
    """Factors (T, 1, 1) that reach the denormal numbers at half of the sequence, and stay there."""
    return np.maximum(LEAST ** np.linspace(0, 2, T), LEAST).astype(np.float32)[:, np.newaxis, np.newaxis]


def epoch_data(rng, row):
    T, N, I, H = row.shape[:4]
    rows = row.batches * N
    symbols = characters(rng, row.text, rows * T + 1)
    x, y = symbols[:-1].reshape(rows, T), symbols[1:].reshape(rows, T)
    weights = lstm_weights(rng, row.shape)
    return EpochData(x, y, weights, normal(rng, 1, (VOCABULARY, I)), normal(rng, H**-0.5, (VOCABULARY, H)))


def characters(rng, path, count):
    """A text as numbers below the size of the vocabulary; rare characters of a longer alphabet share one number."""
    text = invented_text(rng, count) if path is None else Path(path).read_text(encoding="utf-8")
    if len(text) < count:
        raise ValueError(
            f"{path}: expected at least {count} characters, got {len(text)}; --epoch-batches asks for fewer"
        )
    found, frequency = np.unique(list(text), return_counts=True)
    number = dict(zip(found[np.argsort(-frequency, kind="stable")], range(len(found))))
    return np.array([min(number[c], VOCABULARY - 1) for c in text[:count]], np.int64)


def invented_text(rng, count):
    """Words of a small language, the frequent ones often, as in a text (Zipf): it can be learnt, but not wholly."""
    alphabet = np.array([chr(ord("a") + k) for k in range(LETTERS)])
    common = 1 / np.arange(1, LETTERS + 1)
    letters = [rng.choice(alphabet, size, p=common / common.sum()) for size in rng.integers(1, 9, 2000)]
    words = np.array(["".join(word) for word in letters])
    rank = 1 / np.arange(1, len(words) + 1)
    chosen = rng.choice(words, count // 2 + 1, p=rank / rank.sum())  # a word and its space are two characters at least
    return " ".join(chosen) + " "
