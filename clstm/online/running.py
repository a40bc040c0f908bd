"""Numbers of a stream that are brought up to date by each event, and forget its past if they are told to."""

from __future__ import annotations

from typing import Any

import numpy as np

TO_NORMAL = np.sqrt(np.pi / 2)  # the deviation of normal errors by the mean of their absolute values
LIMIT = 4.0  # deviations beyond which an error counts as so many, so that one anomaly does not hide the next


ALL = slice(None)


class Running:
    """A weight for each channel: how many values have been seen, the older ones counting less.

    Parameters
    ----------
    channels : int
    keep : float
        What is left of a weight after each event: 1 forgets nothing, 0.5 ** (1 / h) half of it in h events.

    Attributes
    ----------
    deviation : ndarray, (channels,)
        What can be divided by: 1 where there is no deviation yet.
    """

    arrays: tuple[str, ...] = ("weight",)
    weight: np.ndarray
    mean: np.ndarray
    squares: np.ndarray

    def __init__(self, channels: int, keep: float) -> None:
        self.keep = keep
        for name in self.arrays:
            setattr(self, name, np.zeros(channels))
        self.deviation = np.ones(channels)

    def update(self, values: np.ndarray, known: np.ndarray) -> None:
        """Adds an event (channels,); channels that are not known stay as they are."""
        if len(values):
            self._add(values, ALL if known.all() else known)
            deviation = self._deviation()
            self.deviation = np.where(deviation > 0, deviation, 1.0)

    def _add(self, values, known):
        raise NotImplementedError

    def _deviation(self):
        raise NotImplementedError

    def state(self) -> dict[str, Any]:
        """What a file keeps."""
        return {name: getattr(self, name) for name in (*self.arrays, "deviation")}

    def load(self, state: dict[str, Any]) -> None:
        """Takes what `state` gave."""
        for name, old in self.state().items():
            value = np.array(state[name], np.float64)
            if value.shape != old.shape:
                raise ValueError(f"{name}: expected shape {old.shape}, got {value.shape}")
            setattr(self, name, value)


class Moments(Running):
    """Mean and deviation of each channel (Welford 1962; with weights, West 1979).

        W <- k W + 1    m' = m + (v - m) / W    S <- k S + (v - m) (v - m')    deviation = sqrt(S / W)

    It subtracts no large numbers from each other, so that it holds for values far from 0.
    """

    arrays = ("weight", "mean", "squares")

    def _add(self, values, known):
        self.weight[known] = self.keep * self.weight[known] + 1
        away = values[known] - self.mean[known]
        self.mean[known] += away / self.weight[known]
        self.squares[known] = self.keep * self.squares[known] + away * (values[known] - self.mean[known])

    def _deviation(self):
        return np.sqrt(self.squares / np.maximum(self.weight, 1))

    def scaled(self, values: np.ndarray) -> np.ndarray:
        """Values with mean 0 and deviation 1."""
        return (values - self.mean) / self.deviation


class Size(Running):
    """The root of the mean square of each channel: W <- k W + 1, m <- m + (v^2 - m) / W."""

    arrays = ("weight", "mean")

    def _add(self, values, known):
        self.weight[known] = self.keep * self.weight[known] + 1
        self.mean[known] += (values[known] ** 2 - self.mean[known]) / self.weight[known]

    def _deviation(self):
        return np.sqrt(self.mean)


class Errors(Running):
    """The deviation of errors, as their mean absolute value says it, where no error counts as more than LIMIT."""

    arrays = ("weight", "mean")

    def _add(self, values, known):
        limit = np.where(self.mean[known] > 0, LIMIT * TO_NORMAL * self.mean[known], np.inf)
        self.weight[known] = self.keep * self.weight[known] + 1
        self.mean[known] += (np.minimum(values[known], limit) - self.mean[known]) / self.weight[known]

    def _deviation(self):
        return TO_NORMAL * self.mean
