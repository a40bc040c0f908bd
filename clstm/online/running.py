"""Numbers of a stream that are brought up to date by each event, and forget its past if they are told to."""

from __future__ import annotations

from typing import Any

import numpy as np

TO_NORMAL = np.sqrt(np.pi / 2)  # the deviation of normal errors by the mean of their absolute values
LIMIT = 4.0  # deviations beyond which an error counts as so many, so that one anomaly does not hide the next


class Running:
    """A weight for each channel: how many values have been seen, the older ones counting less.

    Parameters
    ----------
    channels : int
    keep : float
        What is left of a weight after each event: 1 forgets nothing, 0.5 ** (1 / h) half of it in h events.
    """

    arrays: tuple[str, ...] = ("weight",)

    def __init__(self, channels: int, keep: float) -> None:
        self.keep = keep
        for name in self.arrays:
            setattr(self, name, np.zeros(channels))

    def state(self) -> dict[str, Any]:
        """What a file keeps."""
        return {name: getattr(self, name) for name in self.arrays}

    def load(self, state: dict[str, Any]) -> None:
        """Takes what `state` gave."""
        for name in self.arrays:
            value = np.array(state[name], np.float64)
            if value.shape != self.weight.shape:
                raise ValueError(f"{name}: expected shape {self.weight.shape}, got {value.shape}")
            setattr(self, name, value)


class Moments(Running):
    """Mean and deviation of each channel (Welford 1962; with weights, West 1979).

        W <- k W + 1    m' = m + (v - m) / W    S <- k S + (v - m) (v - m')    deviation = sqrt(S / W)

    It subtracts no large numbers from each other, so that it holds for values far from 0.
    """

    arrays = ("weight", "mean", "squares")
    weight: np.ndarray
    mean: np.ndarray
    squares: np.ndarray

    def update(self, values: np.ndarray, known: np.ndarray) -> None:
        """Adds an event (channels,); channels that are not known stay as they are."""
        weight = np.where(known, self.keep * self.weight + 1, self.weight)
        away = np.where(known, values - self.mean, 0)
        mean = self.mean + away / np.maximum(weight, 1)
        added = self.keep * self.squares + away * (values - mean)
        self.weight, self.mean, self.squares = weight, mean, np.where(known, added, self.squares)

    @property
    def deviation(self) -> np.ndarray:
        """1 where nothing has varied yet."""
        return or_1(np.sqrt(self.squares / np.maximum(self.weight, 1)))

    def scaled(self, values: np.ndarray) -> np.ndarray:
        """Values with mean 0 and deviation 1."""
        return (values - self.mean) / self.deviation


class Size(Running):
    """The root of the mean square of each channel: W <- k W + 1, s <- s + (v^2 - s) / W."""

    arrays = ("weight", "square")
    weight: np.ndarray
    square: np.ndarray

    def update(self, values: np.ndarray, known: np.ndarray) -> None:
        """Adds an event (channels,); channels that are not known stay as they are."""
        self.weight = np.where(known, self.keep * self.weight + 1, self.weight)
        step = (np.where(known, values, 0) ** 2 - self.square) / np.maximum(self.weight, 1)
        self.square = np.where(known, self.square + step, self.square)

    @property
    def deviation(self) -> np.ndarray:
        """1 where all was 0."""
        return or_1(np.sqrt(self.square))


class Errors(Running):
    """The deviation of errors, as their mean absolute value says it, where no error counts as more than LIMIT."""

    arrays = ("weight", "mean")
    weight: np.ndarray
    mean: np.ndarray

    def update(self, errors: np.ndarray, known: np.ndarray) -> None:
        """Adds the absolute errors of an event (channels,); channels that are not known stay as they are."""
        errors = np.where(known, errors, 0)
        limited = np.where(self.mean > 0, np.minimum(errors, LIMIT * TO_NORMAL * self.mean), errors)
        self.weight = np.where(known, self.keep * self.weight + 1, self.weight)
        self.mean = np.where(known, self.mean + (limited - self.mean) / np.maximum(self.weight, 1), self.mean)

    @property
    def deviation(self) -> np.ndarray:
        """1 where there was no error yet."""
        return or_1(TO_NORMAL * self.mean)


def or_1(deviation: np.ndarray) -> np.ndarray:
    """Deviations by which one can divide."""
    return np.where(deviation > 0, deviation, 1.0)
