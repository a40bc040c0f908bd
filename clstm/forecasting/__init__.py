"""Forecasts of a series: the preparation takes out what repeats, networks learn what is left, a back-test judges.

>>> import numpy as np
>>> from clstm.forecasting import Forecaster
>>> t = np.arange(120)
>>> y = np.exp(0.01 * t) * (10 + np.sin(2 * np.pi * t / 12))
>>> model = Forecaster(horizon=6).fit(y)
>>> forecast = model.predict(level=0.9)
>>> true = np.exp(0.01 * np.arange(120, 126)) * (10 + np.sin(2 * np.pi * np.arange(120, 126) / 12))
>>> bool(np.abs(forecast.mean / true - 1).max() < 0.01)
True

(a) `Preparation` (in `series.py`) makes the series small and even. The networks learn its next value from a
    window of the last ones; the mean of several networks is the forecast, and is fed back for the steps behind it.
    `channels.py` and `steps_ahead.py` do that for several series at once; `clstm.estimators.LSTMForecaster` uses all
    that they can do, `Forecaster` needs one channel of it.
(b) The band comes from errors on values that networks of their own, trained for that, have not seen.
(c) Everything that `predict` needs is a handful of numbers beside the networks, so that a saved forecaster gives the
    same bits as the one that was fitted.
"""

from .forecaster import Forecaster
from .results import Backtest, Forecast, least_values, mae, rmse

__all__ = ["Backtest", "Forecast", "Forecaster", "least_values", "mae", "rmse"]
