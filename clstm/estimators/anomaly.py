"""LSTMAnomalyDetector: which steps of a series, or which windows, a network did not expect."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np

from .. import _arrays
from ..dense import Dense
from ..dropout import Dropout
from ..lstm import LSTM
from ..network import Network
from ..pool import Pool
from ..repeat import RepeatLast
from ..schedules import Cosine
from .base import Estimator, generator_of
from .fitting import Recipe, trained
from .inputs import IMPUTE, Scaler, Sequences
from .watching import (
    Task,
    check_varying,
    errors,
    exogenous,
    root_mean_square,
    rows,
    scaled,
    trailing_mean,
    watched,
)

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

METHODS = ("forecast", "autoencoder")
WINDOW = 32  # steps, where there are three times as many
NORMAL = 1.4826  # the deviation of normal errors by the median of their absolute values


class LSTMAnomalyDetector(Estimator):
    """Finds what is unusual in a series, or in windows, without having been told what is.

    A network learns what the data are like: to foretell the steps that follow a window ("forecast"; Malhotra et al.
    2015), or to put a window into one vector and make the window of it again ("autoencoder"; Malhotra et al. 2016).
    What it does badly is unusual. The score of a step is the mean absolute error over all windows that give this step,
    divided by a robust deviation of such errors in training; over several channels, the root mean square of that.

    Parameters
    ----------
    method : str, default "forecast"
        "forecast" judges a step by what came before it alone; "autoencoder" by windows around it.
    window : int, optional
        Steps that the network sees. None: 32, or a third of the steps if that is less; for an autoencoder of windows
        (N, T, C), T.
    horizon : int, optional
        How many steps a forecaster foretells at once. With more than 1, what has lasted for a while is still unusual,
        because it was not foretold before it began. None: as many as it sees. An autoencoder has none.
    smooth : int, optional
        The score of a step is the mean of so many steps, up to this one. 1 finds single odd values; more, what lasts.
        None: as many as a window has. Windows (N, T, C), of which each has one score, have none.
    contamination : float, default 0.01
        The share of the training data that is beyond the threshold, above 0 and at most 0.5.
    hidden_size, num_layers, bidirectional, dropout
        Of the layers that see a window; an autoencoder has as many to make it again, which are never bidirectional.
    epochs, batch_size, learning_rate, weight_decay, clip_norm
        Of training, by AdamW on the absolute error; the learning rate falls along half a cosine.
    validation_fraction, patience
        With patience, training stops when the last windows, which are not trained on then, have not become better for
        so many epochs. None: all epochs.
    networks : int
        How many are trained; the mean of what they give counts.
    impute : str, optional
        What stands for missing values: "forward", the last known one, "mean", or "linear" between its neighbours. Steps
        of which nothing is known have no error. None: missing values are refused.
    random_state : int, numpy.random.Generator, numpy.random.RandomState or None
        An int makes `fit` give the same bits again.
    progress : bool
        Whether to show a bar on stderr.

    Attributes
    ----------
    net_ : Layer
    window_, horizon_ : int
        As they were chosen; for an autoencoder both are the same.
    scale_ : ndarray, (C,)
        The robust deviation of the errors of each channel: 1.4826 times their median.
    threshold_ : float
        Scores above it, in deviations, are alarms.
    offset_ : float
        The same for `score_samples`: minus the threshold.
    typical_ : float
        The median score in training, which steps have that cannot be judged: the first `window_` of a series for a
        forecaster, and those of which nothing is known.
    n_features_in_ : int
        C.
    history_ : list of dict
        What training gave, for each network.

    Notes
    -----
    Everything is learnt from X, also the threshold; anomalies in it do little harm while they are rare, because neither
    the absolute error nor a median is drawn far by them.

    Examples
    --------
    >>> import numpy as np
    >>> from clstm.estimators import LSTMAnomalyDetector
    >>> from clstm.estimators.anomaly import intervals
    >>> series = np.sin(np.arange(600) / 4) + 0.05 * np.random.default_rng(0).standard_normal(600)
    >>> series[400:405] = 0
    >>> detector = LSTMAnomalyDetector(window=24, smooth=1, epochs=5, random_state=0).fit(series)
    >>> first, last = intervals(detector.predict(series) == -1, gap=10)[0]
    >>> bool(395 < first < 405)
    True
    """

    kind: ClassVar[str | None] = "outlier_detector"

    def __init__(
        self,
        method="forecast",
        window=None,
        horizon=None,
        smooth=None,
        contamination=0.01,
        hidden_size=32,
        num_layers=1,
        bidirectional=False,
        dropout=0.0,
        epochs=10,
        batch_size=64,
        learning_rate=5e-3,
        weight_decay=1e-2,
        clip_norm=1.0,
        validation_fraction=0.1,
        patience=None,
        networks=1,
        impute=None,
        random_state=None,
        progress=False,
    ):
        self.method = method
        self.window = window
        self.horizon = horizon
        self.smooth = smooth
        self.contamination = contamination
        self.hidden_size = hidden_size
        self.num_layers = num_layers
        self.bidirectional = bidirectional
        self.dropout = dropout
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.clip_norm = clip_norm
        self.validation_fraction = validation_fraction
        self.patience = patience
        self.networks = networks
        self.impute = impute
        self.random_state = random_state
        self.progress = progress

    # Learning

    def fit(self, X: ArrayLike, y: None = None, *, exog: ArrayLike | None = None) -> LSTMAnomalyDetector:
        """Learns what is usual, and the threshold.

        Parameters
        ----------
        X : array_like, (n,), (n, C) or (N, T, C)
            A series of one channel or of several, or windows that are judged as wholes.
        y : None
            There for scikit-learn.
        exog : array_like, (n, E) or (N, T, E), optional
            What else is known of each step, such as the hour and the day of the week; the network sees it, but nothing
            in it is an anomaly. For X (n,) also (n,).

        Returns
        -------
        LSTMAnomalyDetector
            Itself.

        Raises
        ------
        TypeError, ValueError
            A parameter does not fit, or X: too few steps, a channel that never changes, values that are not finite.
        """
        recipe, contamination = self._checked()
        given = watched(X, self.impute is not None)
        task = self._task(given)
        check_varying(given.x)
        if given.axes == 3 and self.smooth is not None:
            expected = "None for windows (N, T, C), each of which has one score"
            raise _arrays.wrong(ValueError, "smooth", expected, self.smooth)
        known = None if exog is None else exogenous(exog, given.x, given.axes)
        rng = generator_of(self.random_state)
        scaler = Scaler.learn(Sequences(given.x), self.impute)
        known_scaler = None if known is None else Scaler.learn(Sequences(known), None)
        inputs, z = self._inputs(scaler, known_scaler, given.x, known)
        net, history = self._trained(recipe, task, inputs, scaler(Sequences(given.x)), rng)
        error = errors(net, task, inputs, z)
        scale = robust_deviation(error)
        self.net_, self.history_ = net, history
        self.n_features_in_, self.axes_ = given.x.shape[2], given.axes
        self.window_, self.horizon_ = task.window, task.length
        self.start_ = task.start
        self.scaler_, self.exog_scaler_ = scaler, known_scaler
        self.scale_, self.smooth_ = scale, self.smooth or task.window
        if given.names is not None:
            self.feature_names_in_ = given.names
        elif hasattr(self, "feature_names_in_"):
            del self.feature_names_in_
        found = self._scores(error)
        self.typical_ = float(np.nanmedian(found))
        self.threshold_ = float(np.quantile(self._filled(found), 1 - contamination))
        self.offset_ = -self.threshold_
        return self

    def fit_predict(self, X: ArrayLike, y: None = None, *, exog: ArrayLike | None = None) -> np.ndarray:
        """`fit`, then `predict` of the same.

        Parameters
        ----------
        X, y, exog
            As for `fit`.

        Returns
        -------
        ndarray of int
        """
        return self.fit(X, exog=exog).predict(X, exog=exog)

    def _checked(self):
        """The parameters, without the data; the recipe and the contamination."""
        _arrays.choice("method", self.method, METHODS)
        for name in ("window", "horizon", "smooth"):
            if getattr(self, name) is not None:
                _arrays.size(name, getattr(self, name))
        if self.horizon is not None and self.method == "autoencoder":
            raise _arrays.wrong(ValueError, "horizon", 'None with method="autoencoder"', self.horizon)
        contamination = _arrays.number("contamination", self.contamination, "a number in (0, 0.5]")
        if not 0 < contamination <= 0.5:
            raise _arrays.wrong(ValueError, "contamination", "a number in (0, 0.5]", self.contamination)
        _arrays.size("hidden_size", self.hidden_size)
        _arrays.size("num_layers", self.num_layers)
        _arrays.flag("bidirectional", self.bidirectional)
        _arrays.rate("dropout", self.dropout)
        if self.impute is not None:
            _arrays.choice("impute", self.impute, IMPUTE)
        return Recipe.of(self), contamination

    def _task(self, given):
        """What the network is to do with windows of the data."""
        T = given.x.shape[1]
        if self.method == "autoencoder":
            window = self.window or (T if given.axes == 3 else min(WINDOW, max(1, T // 3)))
            task = Task(window, 0, window)
        else:
            window = self.window or min(WINDOW, max(1, T // 3))
            task = Task(window, window, self.horizon or window)
        count = given.x.shape[0] * (T - task.reach + 1)
        if T < task.reach or count < 2:
            need = task.reach + (given.x.shape[0] == 1)
            got = f"n_samples = {T}"  # scikit-learn's words
            raise _arrays.wrong(ValueError, "X", f"at least {need} steps, for windows of {window}", got)
        return task

    def _inputs(self, scaler, known_scaler, x, known):
        """What the network sees (N, T, C + E), and what errors are taken of (N, T, C)."""
        filled, z = scaled(scaler, x)
        if known is None:
            return filled, z
        return np.concatenate([filled, known_scaler(Sequences(known))], axis=2), z

    def _trained(self, recipe, task, inputs, z, rng):
        x, y = rows(task.inputs(inputs)), rows(task.targets(z))
        if self.method == "forecast":
            y = y.reshape(len(y), -1)
        keep, held_out = len(x), None
        if recipe.patience is not None:
            keep = len(x) - max(1, round(recipe.validation_fraction * len(x)))
            # Windows that overlap those held out would show them
            train = max(1, keep - (task.reach - 1 if len(inputs) == 1 else 0))
            held_out, x, y = (x[keep:], y[keep:]), x[:train], y[:train]
        steps = recipe.epochs * -(-len(x) // recipe.batch_size)

        def fit(trainer, arguments):
            trainer.fit(x, y, validation=held_out, **arguments)

        return trained(
            lambda child: self._network(task, inputs.shape[2], z.shape[2], child),
            fit,
            recipe,
            rng,
            loss="mae",
            schedule=Cosine(steps),
        )

    def _network(self, task, features, channels, rng):
        sizes = {"num_layers": self.num_layers, "dropout": self.dropout if self.num_layers > 1 else 0.0}
        H = self.hidden_size
        layers = [LSTM(features, H, bidirectional=self.bidirectional, rng=rng, **sizes)]
        width = 2 * H if self.bidirectional else H
        between = [Dropout(self.dropout)] if self.dropout else []
        if self.method == "forecast":
            return Network([*layers, Pool("last"), *between, Dense(width, task.length * channels, rng=rng)])
        layers += [RepeatLast(bidirectional=self.bidirectional), *between, LSTM(width, H, rng=rng, **sizes)]
        return Network([*layers, Dense(H, channels, rng=rng)])

    # Judging

    def score_samples(self, X: ArrayLike, *, exog: ArrayLike | None = None) -> np.ndarray:
        """How usual each step is, or each window: minus its score in deviations, so that larger is more normal.

        Parameters
        ----------
        X : array_like, (n,), (n, C) or (N, T, C)
            In the form that `fit` took.
        exog : array_like, optional
            If `fit` took it.

        Returns
        -------
        ndarray, (n,) or (N,)

        Raises
        ------
        TypeError, ValueError
            X or exog do not fit. NotFittedError before `fit`.
        """
        self._check_fitted()
        given = self._given(X)
        if (exog is None) != (self.exog_scaler_ is None):
            expected = "None, as in fit" if self.exog_scaler_ is None else "what fit took, for the steps of X"
            raise _arrays.wrong(ValueError, "exog", expected, "None" if exog is None else _arrays.kind(exog))
        known = None if exog is None else exogenous(exog, given.x, given.axes)
        if known is not None and known.shape[2] != len(self.exog_scaler_.mean):
            raise _arrays.wrong(ValueError, "exog", f"{len(self.exog_scaler_.mean)} columns", known.shape[2])
        inputs, z = self._inputs(self.scaler_, self.exog_scaler_, given.x, known)
        task = Task(self.window_, self.start_, self.horizon_)
        if given.x.shape[1] < task.reach:
            if given.axes == 3:
                got = f"{given.x.shape[1]} in X"
                raise _arrays.wrong(ValueError, "X", f"at least {task.reach} steps, for windows of {self.window_}", got)
            return np.full(given.x.shape[1], -self.typical_)
        return -self._filled(self._scores(errors(self.net_, task, inputs, z)))

    def decision_function(self, X: ArrayLike, *, exog: ArrayLike | None = None) -> np.ndarray:
        """`score_samples` minus `offset_`: negative where there is an alarm.

        Parameters
        ----------
        X, exog
            As for `score_samples`.

        Returns
        -------
        ndarray, (n,) or (N,)
        """
        return self.score_samples(X, exog=exog) - self.offset_

    def predict(self, X: ArrayLike, *, exog: ArrayLike | None = None) -> np.ndarray:
        """-1 where there is an alarm, 1 elsewhere.

        Parameters
        ----------
        X, exog
            As for `score_samples`.

        Returns
        -------
        ndarray of int, (n,) or (N,)
        """
        return np.where(self.decision_function(X, exog=exog) < 0, -1, 1)

    def _given(self, X):
        given = watched(X, self.impute is not None)
        if (given.axes == 3) != (self.axes_ == 3):
            expected = "windows (N, T, C)" if self.axes_ == 3 else "a series (n,) or (n, C)"
            raise _arrays.wrong(ValueError, "X", f"{expected}, as in fit", f"shape {np.shape(X)}")
        if given.x.shape[2] != self.n_features_in_:
            got = f"{given.x.shape[2]} features, but {type(self).__name__} is expecting {self.n_features_in_} features"
            advice = ". Reshape your data: one step is x[np.newaxis]" if given.axes == 1 else ""
            raise _arrays.wrong(ValueError, "X", "the channels of fit", f"X has {got} as input{advice}")
        return given

    def _scores(self, error):
        """In deviations, of errors (N, T, C): (n,) of a series, (N,) of windows; NaN where nothing is known."""
        score = root_mean_square(error / self.scale_)
        if self.axes_ != 3:
            return trailing_mean(score, self.smooth_)[0]
        return trailing_mean(score, score.shape[1])[:, -1] if not np.isnan(score).any() else mean_known(score)

    def _filled(self, score):
        return np.where(np.isnan(score), self.typical_, score)


def mean_known(score):
    """The mean of each row of what is known there; NaN if nothing is."""
    known = ~np.isnan(score)
    return np.where(known.any(axis=1), np.where(known, score, 0).sum(axis=1) / np.maximum(known.sum(axis=1), 1), np.nan)


def robust_deviation(error: np.ndarray) -> np.ndarray:
    """Of absolute errors (N, T, C) for each channel; where more than half of them are 0, of their mean."""
    flat = error.reshape(-1, error.shape[2])
    middle, mean = np.nanmedian(flat, axis=0), np.nanmean(flat, axis=0)
    return NORMAL * np.where(middle > 0, middle, np.where(mean > 0, mean, 1.0))


def intervals(alarms: ArrayLike, gap: int = 0) -> np.ndarray:
    """Joins alarms that are near each other to events.

    Parameters
    ----------
    alarms : array_like of bool, (n,)
        Whether there is an alarm at each step, such as ``detector.predict(series) == -1``.
    gap : int, default 0
        Two alarms with at most so many steps without one between them belong to one event.

    Returns
    -------
    ndarray of int, (k, 2)
        The first and the last step of each event.

    Examples
    --------
    >>> from clstm.estimators.anomaly import intervals
    >>> intervals([False, True, True, False, True, False, False, True], gap=1)
    array([[1, 4],
           [7, 7]])
    """
    flags = _arrays.array_of("alarms", alarms)
    if flags.dtype != bool or flags.ndim != 1:
        expected = "one axis of True and False, such as detector.predict(series) == -1"
        raise _arrays.wrong(TypeError, "alarms", expected, f"{flags.ndim} axes of {flags.dtype}")
    gap = _arrays.size_or_0("gap", gap)
    steps = np.flatnonzero(flags)
    if not len(steps):
        return np.empty((0, 2), int)
    breaks = np.flatnonzero(np.diff(steps) > gap + 1)
    return np.stack([steps[np.append(0, breaks + 1)], steps[np.append(breaks, len(steps) - 1)]], axis=1)
