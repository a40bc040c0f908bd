"""Several series of the same steps, each with its `Preparation`; with gaps, and with steps ahead.

    rest     what transform and season leave, (n, C), NaN where a value is missing
    inputs   what networks see: changes of the rest or the rest itself, mean 0 and deviation 1, (n - 1, C)
    block    the W + 1 steps of the rest before an origin, without gaps: W inputs, and the level they end at

(a) An origin is the first step that is forecast. What its block holds was known before it: a gap that is not over yet
    is filled by what lies before it, even where gaps are interpolated.
(b) Steps are counted from the first value that was fitted, so that the season goes on in phase.
"""

from __future__ import annotations

import numpy as np

from .checks import preparation_of, state_of
from .series import Plan, Preparation, fill_gaps, make_plan


class Channels:
    """The preparations of C channels.

    Parameters
    ----------
    parts : list of Preparation
    """

    def __init__(self, parts: list[Preparation]) -> None:
        self.parts = parts

    @classmethod
    def learn(cls, values: np.ndarray, plans: list[Plan]) -> Channels:
        """Seasons and scales from the first values (n, C) of a series."""
        return cls([Preparation.learn(channel, plan) for channel, plan in zip(values.T, plans, strict=True)])

    def state(self) -> dict:
        """For a file."""
        return {"parts": [state_of(part) for part in self.parts]}

    @classmethod
    def from_state(cls, state: dict) -> Channels:
        """Of a file; raises where something is not what it should be."""
        return cls([preparation_of(part) for part in state["parts"]])

    # The way to the networks

    def rest(self, values: np.ndarray, first: int) -> np.ndarray:
        """What transform and season leave of values (n, C), the first of which belongs to the step `first`."""
        parts = zip(self.parts, values.T, strict=True)
        return np.stack([part.rest(channel, first) for part, channel in parts], axis=1)

    def seasons(self, start: int, stop: int) -> np.ndarray:
        """The repeating parts of the steps start .. stop - 1, (stop - start, C)."""
        return np.stack([part.season(start, stop) for part in self.parts], axis=1)

    def filled(self, rest: np.ndarray, impute: str | None) -> np.ndarray:
        """The rest without gaps. Before the first known value it is equal to it.

        "forward" carries the last value on, "mean" has the network see its mean (so that changes go on with the mean
        change), "linear" interpolates; all of them follow the season, which is no part of the rest.
        """
        if not np.isnan(rest).any():
            return rest
        return np.stack([self._filled(part, r, impute) for part, r in zip(self.parts, rest.T, strict=True)], axis=1)

    def _filled(self, part, rest, impute):
        if impute == "linear":
            return fill_gaps(rest)
        latest = latest_known(rest)
        carried, age = rest[latest], np.maximum(np.arange(len(rest)) - latest, 0)
        if impute == "forward":
            return carried
        return carried + age * part.mean if part.plan.difference else np.where(age > 0, part.mean, carried)

    def inputs(self, rest: np.ndarray) -> np.ndarray:
        """What the networks see (..., n - 1, C) of a rest (..., n, C) without gaps."""
        changes = self.by_channel(lambda part: part.plan.difference)
        seen = np.where(changes, np.diff(rest, axis=-2), rest[..., 1:, :])
        return (seen - self._means) / self._deviations

    def by_channel(self, value) -> np.ndarray:
        """One number of each part, (C,)."""
        return np.array([value(part) for part in self.parts])

    @property
    def _means(self):
        return self.by_channel(lambda part: part.mean)

    @property
    def _deviations(self):
        return self.by_channel(lambda part: part.deviation)

    def blocks(self, rest: np.ndarray, ends: np.ndarray, window: int, impute: str | None) -> np.ndarray:
        """The window + 1 steps before each of the rows `ends` of a rest, (K, window + 1, C)."""
        filled = self.filled(rest, impute)
        blocks = np.lib.stride_tricks.sliding_window_view(filled, window + 1, axis=0)[ends - window - 1]
        blocks = blocks.transpose(0, 2, 1)
        if impute != "linear" or not np.isnan(rest[ends - 1]).any():
            return blocks
        blocks, rows = blocks.copy(), ends[:, None] - window - 1 + np.arange(window + 1)
        for c, channel in enumerate(rest.T):
            last = latest_known(channel)[ends - 1, None]
            blocks[..., c] = np.where(rows > last, channel[last], blocks[..., c])
        return blocks

    # And back

    def targets(self, rest: np.ndarray, origins: np.ndarray, horizon: int) -> np.ndarray:
        """What networks have to say at once of the steps origin .. origin + horizon - 1: (K, horizon, C).

        For changes it is the sum of them, less the mean drift, over its deviation if they were independent, which
        grows with the square root of the step.
        """
        levels = rest[origins - 1][:, None]
        ahead = rest[origins[:, None] + np.arange(horizon)]
        center, scale, from_level = self._scale_ahead(horizon)
        return (ahead - from_level * levels - center) / scale

    def paths(self, outputs: np.ndarray, levels: np.ndarray, origins: np.ndarray, at_once: bool) -> np.ndarray:
        """Forecasts on the transformed scale from what networks say.

        Parameters
        ----------
        outputs : ndarray, (K, horizon, C)
        levels : ndarray, (K, C)
            The rest at the step before each origin.
        origins : ndarray of int, (K,)
        at_once : bool
            Whether outputs are like `targets`; otherwise they are like `inputs`, step by step.
        """
        horizon = outputs.shape[1]
        center, scale, from_level = self._scale_ahead(horizon)
        levels = levels[:, None]
        if at_once:
            path = outputs * scale + center + from_level * levels
        else:
            path = outputs * self._deviations + self._means
            path = np.where(from_level, levels + np.cumsum(path, axis=1), path)
        first = origins.min()
        seasons = self.seasons(first, origins.max() + horizon)
        return path + seasons[origins[:, None] - first + np.arange(horizon)]

    def _scale_ahead(self, horizon):
        """Mean and deviation of what lies 1 .. horizon steps ahead (horizon, C); whether it is seen from the level."""
        changes = self.by_channel(lambda part: part.plan.difference)
        steps = np.arange(1, horizon + 1)[:, None]
        center = np.where(changes, steps * self._means, self._means)
        return center, np.where(changes, np.sqrt(steps), 1.0) * self._deviations, changes

    def values(self, transformed: np.ndarray) -> np.ndarray:
        """Values of the series (..., C) from the transformed scale."""
        return np.stack([part.values(transformed[..., c]) for c, part in enumerate(self.parts)], axis=-1)


def plans_of(values, horizon, season, log, difference, window):
    """A plan for each channel; all have the widest window."""
    plans = [make_plan(channel, horizon, season, log, window) for channel in values.T]
    change = {"window": max(plan.window for plan in plans)}
    if difference is not None:
        change["difference"] = difference
    return [plan._replace(**change) for plan in plans]


def latest_known(rest):
    """Of each step the last one up to it with a known value; before the first known value that one."""
    known = np.flatnonzero(np.isfinite(rest))
    return known[np.maximum(np.searchsorted(known, np.arange(len(rest)), side="right") - 1, 0)]
