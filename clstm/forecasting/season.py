"""The season of a series: how long it is, how many harmonics it has, and what it looks like.

A season is a sum of Fourier terms, found by least squares. Every fit goes through the normal equations, whose sums are
small whatever the length of the series, and grow from one origin to the next.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

TERMS = (1, 2, 3, 4, 5, 6, 8, 10, 12)  # how many harmonics a season may have
MEMORY = 0.7  # weight of a cycle relative to the one after it
REMEMBERED = 40  # cycles; the weight of what is older is below 1e-6
MOST_CYCLES = 200  # that are foretold, to see how well that goes; longer pieces in long series


class Season(NamedTuple):
    """What `find_season` found.

    Attributes
    ----------
    period : float or None
        Steps after which the series repeats itself most; None if it never does.
    terms : int
        Harmonics of that period.
    skill : float
        Share of the variance around the trend that they foretell in cycles they have not seen; negative: they do harm.
    """

    period: float | None
    terms: int
    skill: float


NO_SEASON = Season(None, 0, 0.0)


def least_squares(a, b):
    """The weights w that bring a w closest to b, by the normal equations: one product, however many the rows."""
    return solve(a.T @ a, a.T @ b)


def solve(gram, right):
    """Solves the normal equations; the diagonal gets a touch more, for columns that depend on each other."""
    return np.linalg.solve(gram + np.diag(1e-12 * gram.diagonal()), right)


def parabola(n):
    """The columns 1, t and t^2 for n steps, t from -1 to 1: what counts as trend."""
    t = np.linspace(-1, 1, n)
    return np.stack([np.ones(n), t, t * t], axis=1)


def detrended(x):
    """x without its best parabola."""
    trend = parabola(len(x))
    return x - trend @ least_squares(trend, x)


def fourier(t, period, terms):
    """The columns cos and sin of 2 pi k t / period for k = 1 .. terms, at the steps t."""
    angles = 2 * np.pi * np.outer(t, np.arange(1, terms + 1)) / period
    waves = np.stack([np.cos(angles), np.sin(angles)], axis=2).reshape(len(t), 2 * terms)
    return waves[:, : columns(period, terms)]


def columns(period, terms):
    """How many columns `fourier` has: the sine of half the period is zero at each whole step, and is left out."""
    return 2 * terms - (2 * terms > period - 1e-9)


def find_season(x, given=None):
    """The period of x, with the number of its harmonics that foretells best.

    Parameters
    ----------
    x : ndarray, (n,)
    given : float, optional
        The period, if it is known. None: it is the highest peak of the autocorrelation of the detrended series,
        beyond its first zero and up to a third of the series.

    Returns
    -------
    Season
        `NO_SEASON` if there is no such peak above 2 / sqrt(n), what noise would have.
    """
    period = float(given) if given is not None else refined(x, highest_peak(x))
    if period is None:
        return NO_SEASON
    counts = [terms for terms in TERMS if 2 * terms <= period]
    skills = season_skills(x, period, counts)
    best = int(np.argmax(skills))
    return Season(period, counts[best], float(skills[best]))


def highest_peak(x):
    """The lag at which the detrended series is most like itself, or None."""
    n, z = len(x), detrended(x)
    if np.sum(z**2) <= 1e-20 * np.sum(x**2):  # rounding errors around a parabola
        return None
    spectrum = np.fft.rfft(z - z.mean(), 2 * n)
    likeness = np.fft.irfft(np.abs(spectrum) ** 2)[: n // 3 + 2]
    likeness /= likeness[0]
    first = max(2, int(np.argmax(likeness < 0))) if likeness.min() < 0 else len(likeness)
    inner = likeness[first:-1]
    is_peak = (inner > likeness[first - 1 : -2]) & (inner >= likeness[first + 1 :]) & (inner > 2 / math.sqrt(n))
    return first + int(np.argmax(np.where(is_peak, inner, -1))) if is_peak.any() else None


def refined(x, lag):
    """The period near a lag, as a fraction if it is long: a year has 52.18 weeks."""
    if lag is None or lag < 24:
        return None if lag is None else float(lag)
    z, t = detrended(x), np.arange(len(x))

    def unexplained(period):
        waves = fourier(t, period, 3)
        return np.sum((z - waves @ least_squares(waves, z)) ** 2)

    return float(min(np.linspace(0.97 * lag, 1.03 * lag, 61), key=unexplained))


def season_skills(x, period, counts):
    """For each number of harmonics the share of the variance around the trend, in the second half of x, that they
    explain in each cycle when they are fitted, with a trend of their own, to what lies before it.

    The sums that the normal equations need grow from cycle to cycle, and are the same for all numbers of harmonics.
    """
    n = len(x)
    z, trend, waves = detrended(x), parabola(n), fourier(np.arange(n), period, counts[-1])
    table = np.column_stack([trend, z, waves])
    gram = table[: n // 2].T @ table[: n // 2]
    wrong = np.zeros(len(counts))
    step = max(round(period), math.ceil(n / (2 * MOST_CYCLES)))
    for start in range(n // 2, n, step):
        now = slice(start, start + step)
        slope = solve(gram[:3, :3], gram[:3, 3])
        right = gram[4:, 3] - gram[4:, :3] @ slope
        for k, terms in enumerate(counts):
            width = columns(period, terms)
            weights = solve(gram[4 : 4 + width, 4 : 4 + width], right[:width])
            wrong[k] += np.sum((z[now] - waves[now, :width] @ weights) ** 2)
        gram += table[now].T @ table[now]
    total = np.sum(z[n // 2 :] ** 2)
    return 1 - wrong / total if total > 0 else wrong


def season_weights(x, period, terms):
    """The weights of the Fourier terms, from the changes of x, later cycles counting more.

    Changes leave out the level, whatever it does; its drift is fitted along.
    """
    n = len(x)
    t = np.arange(max(0, n - math.ceil(REMEMBERED * period)), n)
    weight = MEMORY ** ((n - 1 - t[1:]) / period / 2)  # a square root: rows, not squares, are weighted
    changes = np.diff(fourier(t, period, terms), axis=0)
    rows = np.column_stack([np.ones(len(changes)), changes]) * weight[:, None]
    return least_squares(rows, np.diff(x[t]) * weight)[1:]
