"""Frames of speech: with slopes, stacked; and changed at random in training, so that a network hears more speakers than
there are."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

BANDS = 64  # points of the axis of frequency on which spectra are warped


def with_deltas(x: np.ndarray) -> np.ndarray:
    """(T, 2 F): x and its slope over five frames, d_t = sum_k k (x_{t+k} - x_{t-k}) / (2 sum_k k^2), k = 1, 2."""
    padded = np.concatenate([x[:1], x[:1], x, x[-1:], x[-1:]])
    slope = (padded[3:-1] - padded[1:-3] + 2 * (padded[4:] - padded[:-4])) / 10
    return np.concatenate([x, slope], axis=1)


def stacked(x: np.ndarray, count: int) -> np.ndarray:
    """(ceil(T / count), count F): `count` frames side by side make a step; the last frame fills up the last step."""
    missing = -len(x) % count
    return np.concatenate([x, np.repeat(x[-1:], missing, axis=0)]).reshape(-1, count * x.shape[1])


def stretched(x: np.ndarray, factor: float) -> np.ndarray:
    """x (T, F), `factor` as long, by linear interpolation between its frames."""
    places = np.linspace(0, len(x) - 1, max(1, round(factor * len(x))))
    first = places.astype(int)
    second = np.minimum(first + 1, len(x) - 1)
    share = (places - first)[:, np.newaxis].astype(x.dtype)
    return (1 - share) * x[first] + share * x[second]


def warp_matrix(count: int, factor: float) -> np.ndarray:
    """(count, count): takes cepstra to those of the spectrum S(factor u), u in 0 to 1 the axis of frequency.

    S(u) = sum_j c_j b_j(u) with b_j(u) = sqrt(2) cos(pi j u), b_0 = 1; what is wanted is its scalar product with each
    b_k, here a mean over `BANDS` points. Beyond its end a spectrum goes on as it ends.
    """
    u = (np.arange(BANDS) + 0.5) / BANDS
    k = np.arange(count)
    weight = np.where(k == 0, 1, np.sqrt(2))
    before = weight * np.cos(np.pi * k * np.minimum(factor * u, 1)[:, np.newaxis])
    after = weight * np.cos(np.pi * k * u[:, np.newaxis])
    return after.T @ before / BANDS


class Augmentation(NamedTuple):
    """How recordings are changed at random, see `SpeechRecognizer`."""

    noise: float
    offset: float
    stretch: float
    warp: float
    mix: float
    mask: float

    def of_frames(self, x: np.ndarray, unit: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Another length, another throat, and features mixed: x (T, F) in units (F,) of what came from outside."""
        if self.stretch:
            x = stretched(x, np.exp(rng.uniform(-1, 1) * np.log1p(self.stretch)))
        matrix = np.eye(x.shape[1])
        if self.warp:
            factor = np.exp(rng.uniform(-1, 1) * np.log1p(self.warp))
            matrix = unit[:, np.newaxis] * warp_matrix(x.shape[1], factor).T / unit
        if self.mix:
            matrix = matrix @ (
                np.eye(len(matrix)) + self.mix / np.sqrt(len(matrix)) * rng.standard_normal(matrix.shape)
            )
        return (x @ matrix).astype(np.float32) if self.warp or self.mix else x

    def of_features(self, x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Another place and size of each feature, noise, and a gap: x (T, F) as a network reads it."""
        if self.offset:
            size, place = rng.standard_normal((2, x.shape[1]), x.dtype)
            x = np.exp(self.offset / 2 * size) * x + self.offset * place
        if self.noise:
            x = x + self.noise * rng.standard_normal(x.shape, x.dtype)
        if self.mask:
            length = int(rng.uniform(0, self.mask) * len(x))
            begin = rng.integers(0, len(x) - length + 1)
            x = x.copy()
            x[begin : begin + length] = 0
        return x
