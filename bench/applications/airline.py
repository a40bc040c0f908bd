"""Airline passengers: the last 24 months, forecast at once from those before.

The 144 months of 1949 to 1960; 120 train. The defaults of `LSTMForecaster` were chosen on the first 120 of them and on
other series, see docs/howto/forecasting_with_estimators.md; nothing else is chosen here.
"""

import datasets
import numpy as np

from clstm.estimators import LSTMForecaster

TARGET = "RMSE <= 20"
UNIT = "thousands"
BASELINES = {"Holt-Winters": 13.9, "SARIMA on logarithms": 43.2}
HELD_OUT = 24


def run(seed):
    """Root mean square error of the two years, and how many of the months the band of 80 % holds."""
    y = datasets.airline().values
    truth = y[-HELD_OUT:]
    model = LSTMForecaster(HELD_OUT, quantiles=(0.1, 0.9), random_state=seed).fit(y[:-HELD_OUT])
    low, high = model.predict_quantiles().T
    return {
        "RMSE": np.sqrt(np.mean((model.predict() - truth) ** 2)),
        "months inside the band": np.sum((low <= truth) & (truth <= high)),
    }
