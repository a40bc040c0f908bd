"""Learning from a stream: one event at a time, each for the same small cost, in the style of river.

An event is foretold by `predict_one`, or judged by `score_one`, and then learnt by `learn_one`. What was learnt is in
the weights, in a state that is carried on, and in running means; the events themselves are forgotten, but for the last
few.
"""

from .detector import OnlineAnomalyDetector
from .forecaster import OnlineForecaster

__all__ = ["OnlineAnomalyDetector", "OnlineForecaster"]
