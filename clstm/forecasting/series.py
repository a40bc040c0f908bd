"""A series taken apart for a network: gaps, power, season, differences, scale; and put together again.

    y  --choose_power-->  x = log y, sqrt y or y
    x  --find_season--->  a part that repeats, as Fourier terms, if it foretells cycles that it has not seen
    r = x - season        what is left: trend and dynamics
    u = changes of r, or r itself: whichever of "last level plus drift" and "mean" foretells better; mean 0, deviation 1

(a) A `Plan` holds the choices, a `Preparation` the numbers that go with them for some values of the series. So numbers
    can be learnt from the first part of a series, with the choices made from all of it.
(b) Each choice is a small contest: later parts of the series are foretold from earlier ones. The time that takes is
    bounded: by sums that grow with the origin instead of a fit at each, and by a largest number of origins.
(c) Time is counted in steps from the first value, so that a season goes on in phase behind the last one.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from .season import NO_SEASON, find_season, fourier, season_weights

MOST_GAPS = 0.2  # of all values
MOST_ORIGINS = 200  # from which a contest foretells
CLEARLY = 0.95  # a transform has to be better than none by this factor
SEASON_SKILL = 0.5  # a period is a season if it foretells more than this share of the variance around the trend
LEAST_WINDOW, MOST_WINDOW = 12, 48  # steps that the network sees, if there are values enough


class Plan(NamedTuple):
    """The choices for a series.

    Attributes
    ----------
    unit : float
        A power of two by which the values are divided first, so that squares do not overflow.
    power : float
        Of the transform: 1, 0.5, or 0 for the logarithm.
    period : float or None
        Steps after which the series repeats itself most; None if it never does.
    terms : int
        Harmonics of that period.
    skill : float
        Share of the variance around the trend that they foretell in cycles they have not seen; negative: they do harm.
    seasonal : bool
        Whether a season is taken out: the skill is high enough, or the period was given.
    difference : bool
        Whether the network sees changes from step to step.
    window : int
        Steps that the network sees.
    """

    unit: float
    power: float
    period: float | None
    terms: int
    skill: float
    seasonal: bool
    difference: bool
    window: int


# Gaps and powers


def fill_gaps(y):
    """Missing values (NaN) interpolated; those before the first and after the last known value are equal to it."""
    known = np.isfinite(y)
    if known.all():
        return y
    t = np.arange(len(y))
    return np.interp(t, t[known], y[known])


def unit_of(y):
    """The power of two that brings the largest value to between 1 and 2."""
    return math.ldexp(1.0, math.frexp(float(np.nanmax(np.abs(y))))[1] - 1)


def transform(y, power):
    """Box and Cox's family, without its scaling: y ** power, the logarithm for 0."""
    return np.log(y) if power == 0 else np.sqrt(y) if power == 0.5 else y


def inverse(x, power):
    """The y whose transform is x, or the nearest there is."""
    with np.errstate(over="ignore"):
        return np.exp(x) if power == 0 else np.maximum(x, 0) ** 2 if power == 0.5 else x


def choose_power(y, cycle=12):
    """The power that makes the spread within a cycle depend least on its level (Guerrero 1993).

    Of 1, 0.5 and 0 that for which spread / level ** (1 - power), over the cycles of the series, has the smallest
    coefficient of variation, if it is clearly smaller than for 1. It is 1 if there are fewer than three cycles, or
    anything is negative.
    """
    steps = max(2, round(cycle))
    cycles = y[len(y) % steps :].reshape(-1, steps)
    level, spread = cycles.mean(axis=1), cycles.std(axis=1, ddof=1)
    if len(cycles) < 3 or y.min() < 0 or level.min() <= 0:
        return 1.0

    def unevenness(power):
        ratio = spread / level ** (1 - power)
        return ratio.std() / max(ratio.mean(), 1e-300)

    best = min((0.5, 0.0) if y.min() > 0 else (0.5,), key=unevenness)
    return best if unevenness(best) < CLEARLY * unevenness(1.0) else 1.0


# Differences


def needs_difference(r, horizon):
    """Whether "the last level, and the drift so far" foretells the second half of r better than "the mean so far"."""
    n = len(r)
    origins = np.unique(np.linspace(n // 2, n - 1, min(MOST_ORIGINS, n - n // 2)).astype(int))[:, None]
    steps = np.arange(1, horizon + 1)
    places = origins + steps - 1
    future = np.where(places < n, r[np.minimum(places, n - 1)], np.nan)
    mean = (np.cumsum(r)[origins - 1]) / origins
    last = r[origins - 1]
    drift = (last - r[0]) / (origins - 1) * steps
    wrong_mean, wrong_drift = (np.nanmean((future - guess) ** 2, axis=1).sum() for guess in (mean, last + drift))
    return bool(wrong_drift < wrong_mean)


# All of it


def make_plan(y, horizon, season=None, log=None, window=None):
    """All choices for a series.

    Parameters
    ----------
    y : ndarray, (n,)
        NaN for missing values.
    horizon : int
    season : float, optional
        None finds it, 0 or 1 means none, a larger number is taken as it is.
    log : bool, optional
        Whether the power is 0 or 1; None: the best of 0, 0.5 and 1.
    window : int, optional
        Steps that the network sees; None: one period, but 12 to 48, and no more than a quarter of the series.

    Returns
    -------
    Plan
    """
    unit = unit_of(y)
    y = fill_gaps(y) / unit
    given = season if season is not None and season > 1 else None
    none = season is not None and given is None
    if log is not None:
        power = 0.0 if log else 1.0
    else:
        first = NO_SEASON if none else find_season(y, given)  # as well as it can be seen before the transform
        is_season = first.period is not None and first.skill > SEASON_SKILL
        power = choose_power(y, first.period if is_season else 12)
    found = NO_SEASON if none else find_season(transform(y, power), given)
    seasonal = given is not None or found.skill > SEASON_SKILL
    if window is None:
        one_period = min(max(found.period or LEAST_WINDOW, LEAST_WINDOW), MOST_WINDOW)
        window = max(4, min(round(one_period), len(y) // 4))
    plan = Plan(unit, power, *found, seasonal, False, window)
    rest = fill_gaps(Preparation.learn(y * unit, plan).rest(y * unit))
    return plan._replace(difference=needs_difference(rest, horizon))


class Preparation(NamedTuple):
    """The way from the values of a series to what the network sees, and back.

    Attributes
    ----------
    plan : Plan
    weights : ndarray
        Of the Fourier terms of the season; empty if there is none.
    mean, deviation : float
        Of what the network sees, before it is scaled.
    """

    plan: Plan
    weights: np.ndarray
    mean: float
    deviation: float

    @classmethod
    def learn(cls, y, plan):
        """Season and scale from the values y, the first of a series."""
        self = cls(plan, np.zeros(0), 0.0, 1.0)
        if plan.seasonal:
            x = self.transformed(y)
            self = self._replace(weights=season_weights(fill_gaps(x), plan.period, plan.terms))
            if not np.isfinite(x).all():  # once more, with gaps that follow the season
                x = fill_gaps(self.rest(y)) + self.season(0, len(y))
                self = self._replace(weights=season_weights(x, plan.period, plan.terms))
        rest = fill_gaps(self.rest(y))
        seen = np.diff(rest) if plan.difference else rest
        return self._replace(mean=float(seen.mean()), deviation=float(seen.std()) + 1e-12)

    def transformed(self, y):
        """Values on the scale on which seasons add up; NaN stays."""
        return transform(y / self.plan.unit, self.plan.power)

    def season(self, start, stop):
        """The repeating part at the steps start .. stop - 1."""
        if not self.plan.seasonal:
            return np.zeros(stop - start)
        return fourier(np.arange(start, stop), self.plan.period, self.plan.terms) @ self.weights

    def rest(self, y, first=0):
        """What is left of values that begin at the step `first`: transformed, without season; gaps stay."""
        return self.transformed(y) - self.season(first, first + len(y))

    def values(self, x):
        """The values of a series from the transformed scale."""
        with np.errstate(over="ignore"):
            return inverse(x, self.plan.power) * self.plan.unit
