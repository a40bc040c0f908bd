"""The networks of a forecaster: what they are trained with, and what they say of the steps ahead.

row of step s    what networks see of it, and what is known in advance of the steps s + 1 .. s + A
window           the W rows before an origin
output           of the next step (A = 1, fed back for the steps behind it), or of the whole horizon at once (A = H)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from .. import losses
from ..dense import Dense
from ..dropout import Dropout
from ..layer import Layer
from ..lstm import LSTM
from ..network import Network
from ..pool import Pool
from .channels import Channels

if TYPE_CHECKING:
    from collections.abc import Callable

HELD_OUT = 0.25  # of the series, to see how large the errors are
MOST_ORIGINS = 100  # from which the networks for that forecast; fewer for a long horizon
MOST_FORECASTS = 10_000
LEAST_ORIGINS = 20
LEAST_WINDOWS = 9  # to train on
ROWS = 1024  # origins that are forecast from at a time


class Shape(NamedTuple):
    """What the networks look like, and what they give.

    Attributes
    ----------
    horizon, window : int
    at_once : bool
        Whether they say the whole horizon, not the next step.
    quantiles : tuple of float
        That they say besides; empty for none.
    hidden_size, num_layers, dropout
    """

    horizon: int
    window: int
    at_once: bool
    quantiles: tuple
    hidden_size: int
    num_layers: int
    dropout: float

    @property
    def ahead(self) -> int:
        """Steps that an output speaks of."""
        return self.horizon if self.at_once else 1

    def network(self, inputs: int, outputs: int, rng: np.random.Generator) -> Network:
        """A new one, for so many numbers a row and targets."""
        dropout = self.dropout if self.num_layers > 1 else 0.0
        lstm = LSTM(inputs, self.hidden_size, num_layers=self.num_layers, dropout=dropout, rng=rng)
        between = [Dropout(self.dropout)] if self.dropout else []
        last = Dense(self.hidden_size, outputs * (1 + len(self.quantiles)), rng=rng)
        return Network([lstm, Pool("last"), *between, last])

    def loss(self, outputs: int) -> Any:
        """Mean squared error of the forecast; with quantiles, which stand behind it, plus their pinball loss."""
        if not self.quantiles:
            return "mse"
        pinball = losses.Quantile(quantiles=self.quantiles)

        def point_and_quantiles(prediction, target):
            target = target.astype(prediction.dtype)
            point, slope = losses.mse(prediction[:, :outputs], target)
            spread = pinball.compute(np.ascontiguousarray(prediction[:, outputs:]), target)
            return point + spread.loss, np.concatenate([slope, spread.gradient], axis=1)

        return point_and_quantiles


def rows_of(inputs: np.ndarray, known: np.ndarray, ahead: int) -> np.ndarray:
    """Rows (..., n, C + ahead E) of inputs (..., n, C) and of what is known (..., n + ahead - 1, E), one step later."""
    if not known.shape[-1]:
        return inputs.astype(np.float32)
    later = np.lib.stride_tricks.sliding_window_view(known, ahead, axis=-2)  # (..., n, E, ahead)
    return np.concatenate([inputs, later.reshape(*inputs.shape[:-1], -1)], axis=-1, dtype=np.float32)


def examples(shape: Shape, preparation: Channels, rest: np.ndarray, known: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Windows (N, window, F) and targets (N, outputs) of all origins in a rest (n, C) without gaps.

    `known` (n, E) are exogenous inputs of the same steps.
    """
    window, ahead = shape.window, shape.ahead
    origins = np.arange(window + 1, len(rest) - ahead + 1)
    inputs = preparation.inputs(rest)  # of the steps from the second on
    rows = rows_of(inputs[: len(inputs) - ahead], known[2:], ahead)
    x = np.lib.stride_tricks.sliding_window_view(rows, window, axis=0).transpose(0, 2, 1)
    y = preparation.targets(rest, origins, ahead) if shape.at_once else inputs[origins - 1]
    return x, y.reshape(len(origins), -1).astype(np.float32)


class Model(NamedTuple):
    """Trained networks with all that makes forecasts of what they say."""

    shape: Shape
    preparation: Channels
    net: Layer
    impute: str | None

    def paths(self, rest: np.ndarray, known: np.ndarray, ends: np.ndarray, first: int) -> tuple:
        """Forecasts on the transformed scale.

        Parameters
        ----------
        rest : ndarray, (n, C)
            Of the steps from `first` on, NaN for gaps.
        known : ndarray, (m, E)
            Exogenous inputs of these steps, up to the last that is forecast.
        ends : ndarray of int, (K,)
            The rows behind which forecasts begin.

        Returns
        -------
        path : ndarray, (K, horizon, C)
        quantiles : ndarray, (K, horizon, C, Q), or None
        """
        pieces = [self._paths(rest, known, ends[k : k + ROWS], first) for k in range(0, len(ends), ROWS)]
        paths, quantiles = zip(*pieces, strict=True)
        return np.concatenate(paths), None if quantiles[0] is None else np.concatenate(quantiles)

    def _paths(self, rest, known, ends, first):
        shape, preparation = self.shape, self.preparation
        blocks = preparation.blocks(rest, ends, shape.window, self.impute)
        steps = ends[:, None] + np.arange(1 - shape.window, shape.horizon)
        return self.said(preparation.inputs(blocks), known[steps], blocks[:, -1], ends + first)

    def said(self, inputs: np.ndarray, known: np.ndarray, levels: np.ndarray, origins: np.ndarray) -> tuple:
        """The same from what the networks see (K, window, C), what is known of the steps behind the first of it
        (K, window + horizon - 1, E), the rest at the step before each origin (K, C), and the origins (K,)."""
        shape, preparation = self.shape, self.preparation
        if not shape.at_once:
            return preparation.paths(self.fed_back(inputs, known), levels, origins, at_once=False), None
        outputs = self.net(rows_of(inputs, known, shape.horizon))
        sizes = len(inputs), shape.horizon, inputs.shape[2]
        point, more = np.split(outputs.astype(float), [sizes[1] * sizes[2]], axis=1)
        path = preparation.paths(point.reshape(sizes), levels, origins, at_once=True)
        if not shape.quantiles:
            return path, None
        spread = np.moveaxis(more.reshape(*sizes, -1), -1, 0)
        sorted_ = np.sort([preparation.paths(one, levels, origins, at_once=True) for one in spread], axis=0)
        rank = np.argsort(np.argsort(shape.quantiles))  # crossed ones change places
        return path, np.moveaxis(sorted_[rank], 0, -1)

    def fed_back(self, inputs, known):
        """What the networks say (K, horizon, C), each step from those before it."""
        window, horizon = self.shape.window, self.shape.horizon
        seen = np.concatenate([inputs, np.zeros((len(inputs), horizon, inputs.shape[2]))], axis=1)
        for k in range(horizon):
            rows = rows_of(seen[:, k : k + window], known[:, k : k + window], 1)
            seen[:, window + k] = self.net(rows)
        return seen[:, window:]


def errors_ahead(
    shape: Shape,
    values: np.ndarray,
    known: np.ndarray,
    plans: list,
    impute: str | None,
    learn: Callable[[Channels, np.ndarray, np.ndarray], Layer],
) -> np.ndarray:
    """Errors on the transformed scale, of networks that have not seen the last quarter of a series, there.

    Parameters
    ----------
    shape : Shape
    values : ndarray, (n, C)
    known : ndarray, (n, E)
    plans : list of Plan
    impute : str or None
    learn : callable
        Trains networks, by preparation, rest without gaps, and exogenous inputs.

    Returns
    -------
    ndarray, (origins, horizon, C)
        NaN where there is no truth.
    """
    n = len(values)
    cut = n - int(HELD_OUT * n)
    preparation = Channels.learn(values[:cut], plans)
    rest = preparation.rest(values, 0)
    net = learn(preparation, preparation.filled(rest[:cut], impute), known[:cut])
    count = min(n - cut, MOST_ORIGINS, max(LEAST_ORIGINS, MOST_FORECASTS // shape.horizon))
    ends = np.unique(np.linspace(cut, n - 1, count).astype(int))
    beyond = np.zeros((shape.horizon, known.shape[1]))  # never looked at: there is no truth
    path, _ = Model(shape, preparation, net, impute).paths(rest, np.concatenate([known, beyond]), ends, 0)
    truth = np.full((n + shape.horizon, len(plans)), np.nan)
    truth[:n] = rest + preparation.seasons(0, n)
    return truth[ends[:, None] + np.arange(shape.horizon)] - path
