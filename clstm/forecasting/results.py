"""What a forecast is and what it is made of, how wide its band, and how good it was where the truth is known."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .channels import Channels
from .series import Preparation

LEAST_VALUES = 24  # to learn from
LEVELS = np.linspace(0, 1, 101)


def least_values(horizon: int) -> int:
    """How many values of a series a forecaster needs to learn from.

    Parameters
    ----------
    horizon : int

    Returns
    -------
    int
    """
    return max(LEAST_VALUES, 2 * horizon)


class Forecast(NamedTuple):
    """What is said about the next values.

    Attributes
    ----------
    mean : ndarray, (horizon,)
    low, high : ndarray, (horizon,)
        The band in which a share `level` of the values is expected.
    """

    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray


class Backtest(NamedTuple):
    """A forecast of values that are known, made from those before them only, beside simpler ones.

    Attributes
    ----------
    origin : int
        The step with which the forecasts begin.
    truth : ndarray, (horizon,)
        NaN where a value is missing.
    forecast : Forecast
        Of the networks.
    preparation_alone : ndarray, (horizon,)
        The same without networks: season, and the last level with its drift or the mean.
    seasonal_naive : ndarray, (horizon,), or None
        The values of the last period again; None if no period was found.
    last_value : ndarray, (horizon,)
        The last value again and again.
    period : float or None
        As it was found in the values before the origin.
    """

    origin: int
    truth: np.ndarray
    forecast: Forecast
    preparation_alone: np.ndarray
    seasonal_naive: np.ndarray | None
    last_value: np.ndarray
    period: float | None

    def guesses(self) -> dict[str, np.ndarray]:
        """All forecasts by name: "lstm", "preparation_alone", "seasonal_naive" if there is one, "last_value"."""
        named = {"lstm": self.forecast.mean, **{name: getattr(self, name) for name in self._fields[3:6]}}
        return {name: guess for name, guess in named.items() if guess is not None}

    def scores(self) -> dict[str, tuple[float, float]]:
        """Root mean square and mean absolute error of each of them."""
        return {name: (rmse(guess, self.truth), mae(guess, self.truth)) for name, guess in self.guesses().items()}

    def inside(self) -> int:
        """How many of the known true values are inside the band."""
        return int(np.sum((self.forecast.low <= self.truth) & (self.truth <= self.forecast.high)))


class Band(NamedTuple):
    """How far from a forecast the truth may be, on the transformed scale: size * step ** growth.

    Attributes
    ----------
    growth : float
        0 to 1.
    sizes : ndarray
        The size that holds each of the shares `LEVELS` of the errors it was made from.
    """

    growth: float
    sizes: np.ndarray

    @classmethod
    def of(cls, errors):
        """The band of errors (origins, horizon), NaN where there is no truth.

        The growth is the slope of the root mean square error over the step, both as logarithms, where there are
        three errors or more; the sizes are quantiles of what all errors are without it.
        """
        step = np.arange(1, errors.shape[1] + 1)
        count = np.isfinite(errors).sum(axis=0)
        use = count >= 3
        growth = 0.0
        if use.sum() > 2:
            size = np.sqrt(np.nansum(errors[:, use] ** 2, axis=0) / count[use]) + 1e-12
            slope = np.polyfit(np.log(step[use]), np.log(size), 1, w=np.sqrt(count[use]))[0]
            growth = float(np.clip(slope, 0, 1))
        return cls(growth, np.nanquantile(np.abs(errors) / step**growth, LEVELS))

    def half_widths(self, level, horizon):
        """Half the width of the band at each step, to hold a share `level` of the values."""
        return np.interp(level, LEVELS, self.sizes) * np.arange(1, horizon + 1) ** self.growth


class Fitted(NamedTuple):
    """All that a forecast is made of, but for the networks.

    Attributes
    ----------
    preparation : Preparation
    band : Band
    count : int
        Values of the series.
    level : float
        The rest (see `Preparation`) at the last of them.
    tail : ndarray, (window,)
        The last inputs of the networks.
    """

    preparation: Preparation
    band: Band
    count: int
    level: float
    tail: np.ndarray

    def path(self, outputs):
        """The forecast on the transformed scale, from what the networks say (horizon,)."""
        level, origin = np.array([[self.level]]), np.array([self.count])
        return Channels([self.preparation]).paths(outputs[None, :, None], level, origin, at_once=False)[0, :, 0]


def rmse(guess: np.ndarray, truth: np.ndarray) -> float:
    """Root mean square error, over the values that are known."""
    error = np.abs(guess - truth)
    largest = float(np.nanmax(error))
    if largest == 0 or np.isinf(largest):
        return largest
    return largest * float(np.sqrt(np.nanmean((error / largest) ** 2)))  # squares of the errors may overflow


def mae(guess: np.ndarray, truth: np.ndarray) -> float:
    """Mean absolute error, over the values that are known."""
    return float(np.nanmean(np.abs(guess - truth)))
