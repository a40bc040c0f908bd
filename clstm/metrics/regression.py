"""Metrics of real numbers."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .. import _arrays
from .base import Metric, does_not_fit, importance, prediction_of, ratio


class _OfNumbers(Metric):
    """The mean of something over all elements that count."""

    def __init__(self) -> None:
        self.reset()

    def reset(self):
        """See `Metric`."""
        self._sum = self._all = 0.0

    def update(self, prediction, target, lengths=None, weight=None):
        """See `Metric`."""
        prediction, target = _alike(prediction, target)
        weights = importance(prediction.shape, lengths, weight)
        counts = weights > 0
        each = self._each(np.where(counts, prediction, 0.0), np.where(counts, target, 0.0))
        self._sum += float((weights * each).sum())
        self._all += float(weights.sum())

    def _each(self, prediction, target):
        raise NotImplementedError

    def result(self):
        """See `Metric`."""
        return ratio(self._sum, self._all)

    def __repr__(self):
        return f"{type(self).__name__}()"


def _alike(prediction, target):
    """Both in double precision and in one shape."""
    prediction = prediction_of(prediction).astype(np.float64)
    target = _arrays.real("target", target, np.dtype(np.float64))
    if prediction.shape == (*target.shape, 1):
        target = target[..., np.newaxis]
    if target.shape != prediction.shape:
        raise does_not_fit(prediction.shape, target)
    return prediction, target


class MAE(_OfNumbers):
    """The mean absolute error."""

    name = "mae"

    def _each(self, prediction, target):
        return np.abs(prediction - target)


class RMSE(_OfNumbers):
    """The square root of the mean squared error."""

    name = "rmse"

    def _each(self, prediction, target):
        return (prediction - target) ** 2

    def result(self):
        """See `Metric`."""
        return math.sqrt(super().result())


class SMAPE(_OfNumbers):
    """The symmetric mean absolute percentage error, the mean of ``200 |p - y| / (|p| + |y|)``: 0 to 200 per cent.

    Where both are 0, it is 0.
    """

    name = "smape"

    def _each(self, prediction, target):
        size = np.abs(prediction) + np.abs(target)
        return 200 * np.divide(np.abs(prediction - target), size, out=np.zeros_like(size), where=size != 0)


class MASE(_OfNumbers):
    """The mean absolute scaled error: in units of the error that a naive forecast makes in the training series.

    That forecast is the value of a season before. Below 1 is better than it.

    Parameters
    ----------
    series : array_like, (T,) or (T, F)
        The training series, in the units of the predictions; with F features, each has its own scale.
    season : int, default 1
        Steps of a season.

    References
    ----------
    Hyndman and Koehler, "Another look at measures of forecast accuracy", International Journal of Forecasting 22(4),
    2006.

    Examples
    --------
    >>> from clstm.metrics import MASE
    >>> metric = MASE([1.0, 3.0, 5.0])
    >>> metric.update([8.0], [7.0])
    >>> metric.result()
    0.5
    """

    name = "mase"

    def __init__(self, series: Any, season: int = 1) -> None:
        series = _arrays.real("series", series, np.dtype(np.float64))
        season = _arrays.size("season", season)
        if series.ndim not in (1, 2) or len(series) <= season:
            expected = f"shape (T,) or (T, F) with T above the season of {season}"
            raise _arrays.wrong(ValueError, "series", expected, f"shape {series.shape}")
        self.scale = np.abs(series[season:] - series[:-season]).mean(axis=0)
        if not (np.isfinite(self.scale) & (self.scale > 0)).all():
            raise _arrays.wrong(
                ValueError, "series", "finite values that are not all those of a season before", "others"
            )
        super().__init__()

    def update(self, prediction, target, lengths=None, weight=None):
        """See `Metric`."""
        shape = np.shape(prediction)
        if self.scale.ndim and shape[-1:] != self.scale.shape:
            expected = f"a last axis of {len(self.scale)}, the features of the series"
            raise _arrays.wrong(ValueError, "prediction", expected, f"shape {shape}")
        super().update(prediction, target, lengths, weight)

    def _each(self, prediction, target):
        return np.abs(prediction - target) / self.scale


class R2(Metric):
    """The share of the variance that is explained: 1 - sum (y - p)^2 / sum (y - mean y)^2, of each feature, averaged.

    A feature is an element of the last axis; of a prediction with one axis, there is one. Where targets do not vary,
    it is 1 if the prediction is exact, else 0, as in scikit-learn.
    """

    name = "r2"
    greater_is_better = True

    def __init__(self) -> None:
        self.reset()

    def reset(self):
        """See `Metric`."""
        self._weight = self._mean = self._spread = self._error = np.zeros(0)

    def update(self, prediction, target, lengths=None, weight=None):
        """See `Metric`."""
        prediction, target = _alike(prediction, target)
        weights = importance(prediction.shape, lengths, weight)
        features = prediction.shape[-1] if prediction.ndim > 1 else 1
        if len(self._weight) not in (0, features):
            raise _arrays.wrong(ValueError, "prediction", f"{len(self._weight)} features, as before", features)
        w, p, y = (np.where(weights > 0, a, 0.0).reshape(-1, features) for a in (weights, prediction, target))
        total = w.sum(axis=0)
        safe = np.where(total > 0, total, 1.0)
        mean = (w * y).sum(axis=0) / safe
        self._merge(total, mean, (w * (y - mean) ** 2).sum(axis=0), (w * (y - p) ** 2).sum(axis=0))

    def _merge(self, weight, mean, spread, error):
        """Sums of squares of two sets about their common mean (Chan, Golub and LeVeque 1983)."""
        if not len(self._weight):
            self._weight, self._mean, self._spread, self._error = weight, mean, spread, error
            return
        total = self._weight + weight
        share = weight / np.where(total > 0, total, 1.0)
        apart = mean - self._mean
        self._spread = self._spread + spread + apart**2 * self._weight * share
        self._mean = self._mean + apart * share
        self._weight, self._error = total, self._error + error

    def result(self):
        """See `Metric`."""
        if not self._weight.any():
            return float("nan")
        unexplained = np.divide(self._error, self._spread, out=(self._error > 0).astype(float), where=self._spread > 0)
        return float(np.mean(1 - unexplained))

    def __repr__(self):
        return "R2()"
