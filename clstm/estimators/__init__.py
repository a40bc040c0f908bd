"""Estimators in scikit-learn's style: what people do with LSTMs, each in a call of `fit` and one of `predict`.

scikit-learn is not needed to use them. Where it is installed, its tools take them: `clone`, `GridSearchCV`, pipelines.
"""

from .anomaly import LSTMAnomalyDetector
from .base import Estimator, NotFittedError, load
from .char_lm import CharLM
from .classifier import LSTMClassifier
from .forecaster import LSTMForecaster
from .regressor import LSTMRegressor
from .seq2seq import Seq2Seq
from .speech import SpeechRecognizer
from .tagger import LSTMTagger
from .text_classifier import LSTMTextClassifier
from .word_lm import WordLM

__all__ = [
    "CharLM",
    "Estimator",
    "LSTMAnomalyDetector",
    "LSTMClassifier",
    "LSTMForecaster",
    "LSTMRegressor",
    "LSTMTagger",
    "LSTMTextClassifier",
    "NotFittedError",
    "Seq2Seq",
    "SpeechRecognizer",
    "WordLM",
    "load",
]
