"""LSTMForecaster: the next values of one or several series, with the season, the trend and the scale taken out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .. import _arrays
from ..ensemble import Ensemble
from ..forecasting.channels import Channels, plans_of
from ..forecasting.results import Band
from ..forecasting.steps_ahead import Model, Shape, examples
from .base import Estimator, generator_of
from .fitting import Recipe, children, trainer_of
from .forecaster_parts import (
    bands,
    check_domain,
    check_rows,
    check_windows,
    learnt,
    preparation_of,
    quantiles_of,
    scale_of,
    shape_of,
    skill,
)
from .observations import IMPUTE, check_columns, check_follows, check_known, exogenous, observed
from .state import registered

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from .observations import Observations

registered(Channels)  # files hold it


class LSTMForecaster(Estimator):
    """Forecasts one or several evenly spaced series.

    Each series (channel) is prepared as `clstm.forecasting` does it: logarithms or roots if they make its swings even,
    the season out, changes instead of values if its level wanders, all of it chosen from the series itself. Networks
    see a window of what is left, of all channels together, and say what comes next.

    Parameters
    ----------
    horizon : int, default 1
        How many steps are forecast.
    window : int, optional
        Steps that the networks see. None: one period, but 12 to 48.
    season : float, optional
        Steps after which the series repeat themselves; need not be whole. None finds it; 0 or 1: there is none.
    log : bool, optional
        Whether logarithms are taken. None: logarithms, square roots or neither, whichever is most even.
    difference : bool, optional
        Whether the networks see changes from step to step. None: what foretells the series better.
    strategy : str, default "recursive"
        "recursive": the networks say the next step, which is fed back for the ones behind it. "direct": they say all
        steps of the horizon at once.
    quantiles : sequence of float, optional
        Between 0 and 1, for `predict_quantiles`. With "direct" the networks learn them, by the pinball loss, along with
        the forecast. With "recursive" they come from errors on the last quarter of the series, of networks of their own
        that have not seen it, which takes about as long again.
    hidden_size, num_layers : int, default 16 and 1
    dropout : float, default 0
        Between the layers, and behind the last one.
    epochs : int, default 10
    batch_size : int, default 32
    learning_rate, weight_decay : float, default 1e-2
        Of AdamW.
    clip_norm : float or None, default 1
    validation_fraction : float, default 0.1
        The last part of the series, which does not train if `patience` is given.
    patience : int, optional
        Epochs without a better validation loss after which training ends, with the best weights. None: all epochs.
    networks : int, default 5
        How many are trained, from different starting weights; their mean is the forecast.
    impute : str, optional
        What becomes of missing values (NaN). None: they are an error. "forward": the last value is carried on.
        "mean": the networks see their mean, which for changes is the drift. "linear": interpolation; a gap that is not
        over at the first step of a forecast is carried on. All of them follow the season.
    random_state : int, Generator, RandomState or None
    progress : bool, default False
        Whether to show a bar.

    Attributes
    ----------
    net_ : Network or Ensemble
    preparation_ : Channels
        ``parts`` has the `Preparation` of each channel, whose ``plan`` says what was chosen.
    count_ : int
        Steps that are known, all of `fit`, `partial_fit` and `update`.
    history_ : list of dict
        What `Trainer.fit` gave for each network.
    n_features_in_ : int
        Channels.

    Notes
    -----
    A series is (n,), or (n, C) for C channels, also as a pandas Series or DataFrame. Rows are even steps; timestamps
    (`times`, or a DatetimeIndex) are only asked to rise, and to go on behind those that are known. Exogenous inputs
    (n, E) are numbers that are known of each step in advance: for `predict` those of the steps to be forecast.

    The preparation is described in `clstm.forecasting`. The mean of networks that differ by chance errs less than each
    of them. The pinball loss is of Koenker and Bassett (1978); quantiles that cross are sorted (Chernozhukov,
    Fernandez-Val and Galichon 2010).

    Examples
    --------
    >>> import numpy as np
    >>> from clstm.estimators import LSTMForecaster
    >>> t = np.arange(160)
    >>> sales = np.exp(0.01 * t) * (10 + np.sin(2 * np.pi * t / 12))
    >>> model = LSTMForecaster(horizon=6, networks=2, random_state=0).fit(sales[:148])
    >>> bool(np.abs(model.predict() / sales[148:154] - 1).max() < 0.01)
    True

    Forecasts of one series that comes later, without learning anew: from each step of it the six that follow.

    >>> model.rolling(sales).shape
    (7, 6)
    """

    def __init__(
        self,
        horizon=1,
        window=None,
        season=None,
        log=None,
        difference=None,
        strategy="recursive",
        quantiles=None,
        hidden_size=16,
        num_layers=1,
        dropout=0.0,
        epochs=10,
        batch_size=32,
        learning_rate=1e-2,
        weight_decay=1e-2,
        clip_norm=1.0,
        validation_fraction=0.1,
        patience=None,
        networks=5,
        impute=None,
        random_state=None,
        progress=False,
    ):
        self.horizon = horizon
        self.window = window
        self.season = season
        self.log = log
        self.difference = difference
        self.strategy = strategy
        self.quantiles = quantiles
        self.hidden_size = hidden_size
        self.num_layers = num_layers
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

    def fit(
        self, series: ArrayLike, exog: ArrayLike | None = None, *, times: ArrayLike | None = None
    ) -> LSTMForecaster:
        """Learns series.

        Parameters
        ----------
        series : array_like, (n,) or (n, C)
            At least 14 rows and two horizons, and more for a large window.
        exog : array_like, (n, E), optional
            What is known in advance of each of these steps.
        times : array_like of datetime64, (n,), optional
            Timestamps of the rows; those of a pandas index are found.

        Returns
        -------
        LSTMForecaster
            Itself.

        Raises
        ------
        TypeError, ValueError
            A parameter or the data do not fit; nothing has changed then.
        """
        recipe, shape = Recipe.of(self), shape_of(self)
        season, log, difference = preparation_of(self)
        impute = None if self.impute is None else _arrays.choice("impute", self.impute, IMPUTE)
        quantiles = None if self.quantiles is None else quantiles_of(self.quantiles)
        given = observed(series, exog, times, impute)
        values = given.values
        check_rows(values, shape, season, log)
        check_columns(values)
        plans = plans_of(values, shape.horizon, season, log, difference, shape.window)
        shape = shape._replace(window=plans[0].window, quantiles=quantiles if quantiles and shape.at_once else ())
        held_out = quantiles is not None and not shape.at_once
        check_windows(len(values), shape, held_out)
        scale = scale_of(given.exog)
        known = (given.exog - scale[0]) / scale[1]
        main, other = children(generator_of(self.random_state), 2)
        band = bands(shape, values, known, plans, impute, recipe, other) if held_out else None
        preparation = Channels.learn(values, plans)
        rest = preparation.filled(preparation.rest(values, 0), impute)
        self.net_, self.history_ = learnt(shape, preparation, rest, known, recipe, main)
        self.preparation_, self.band_, self.exog_scale_ = preparation, band, scale
        self.shape_, self.quantiles_, self.impute_, self.flat_ = tuple(shape), quantiles, impute, given.flat
        self.n_features_in_, self.n_exog_in_ = values.shape[1], given.exog.shape[1]
        self.count_ = 0
        self.first_time_ = None if given.times is None else given.times[0]
        self._move_on(rest, known, given)
        return self

    def partial_fit(
        self, series: ArrayLike, exog: ArrayLike | None = None, *, times: ArrayLike | None = None
    ) -> LSTMForecaster:
        """Learns from values that follow the known ones, in one epoch; preparation and band stay as they are.

        Parameters
        ----------
        series, exog, times
            As for `fit`, which is called if nothing has been learnt yet; as few as one row.

        Returns
        -------
        LSTMForecaster
            Itself.
        """
        if not self.__sklearn_is_fitted__():
            return self.fit(series, exog, times=times)
        recipe, shape = Recipe.of(self), self._shape
        rng = generator_of(self.random_state)
        rest, known, given = self._continued(series, exog, times)
        filled = self.preparation_.filled(rest, self.impute_)
        x, y = examples(shape, self.preparation_, filled, known)
        members = self.net_.layers if isinstance(self.net_, Ensemble) else [self.net_]
        for member, child in zip(members, children(rng, len(members)), strict=True):
            trainer = trainer_of(member, shape.loss(y.shape[1]), recipe, child)
            trainer.fit(x, y, epochs=1, batch_size=recipe.batch_size, progress=recipe.progress)
        self._move_on(filled, known, given)
        return self

    def update(
        self, series: ArrayLike, exog: ArrayLike | None = None, *, times: ArrayLike | None = None
    ) -> LSTMForecaster:
        """Takes note of values that follow the known ones, without learning: the next forecast begins behind them.

        Parameters
        ----------
        series, exog, times
            As for `fit`; as few as one row.

        Returns
        -------
        LSTMForecaster
            Itself.
        """
        self._check_fitted()
        rest, known, given = self._continued(series, exog, times)
        self._move_on(self.preparation_.filled(rest, self.impute_), known, given)
        return self

    @property
    def _shape(self):
        return Shape(*self.shape_)

    def _continued(self, series, exog, times):
        """The rest, with gaps, and the exogenous inputs of the last known steps and those that follow; the latter."""
        given = self._observed(series, exog, times)
        check_follows(given.times, self.last_time_)
        rest = np.concatenate([self.rest_, self.preparation_.rest(given.values, self.count_)])
        return rest, np.concatenate([self.exog_, self._scaled(given.exog)]), given

    def _move_on(self, rest, known, given):
        """Keeps as many steps as the next new one makes an example with."""
        keep = slice(len(rest) - self._shape.window - self._shape.ahead, None)
        self.rest_, self.exog_ = rest[keep].copy(), known[keep].copy()
        self.count_ += len(given.values)
        self.last_time_ = None if given.times is None else given.times[-1]

    def _observed(self, series, exog, times) -> Observations:
        """The same series further on."""
        given = observed(series, exog, times, self.impute_)
        channels, inputs = given.values.shape[1], given.exog.shape[1]
        if (channels, given.flat) != (self.n_features_in_, self.flat_):
            expected = "shape (n,) as in fit" if self.flat_ else f"shape (n, {self.n_features_in_}) as in fit"
            got = "(n,)" if given.flat else f"(n, {channels})"
            raise _arrays.wrong(ValueError, "series", expected, f"shape {got}")
        if inputs != self.n_exog_in_:
            raise _arrays.wrong(ValueError, "exog", f"{self.n_exog_in_} columns as in fit", inputs)
        check_domain(given.values, self.preparation_)
        return given

    def _scaled(self, exog):
        return (exog - self.exog_scale_[0]) / self.exog_scale_[1]

    # Telling

    def predict(self, exog: ArrayLike | None = None) -> np.ndarray:
        """The steps behind the last known one.

        Parameters
        ----------
        exog : array_like, (horizon, E), optional
            What is known of the steps to be forecast, if `fit` was given exogenous inputs.

        Returns
        -------
        ndarray, (horizon,) or (horizon, C)
        """
        return self._shaped(self._next(exog)[0])[0]

    def predict_quantiles(self, exog: ArrayLike | None = None) -> np.ndarray:
        """The quantiles of the steps behind the last known one.

        Parameters
        ----------
        exog : array_like, (horizon, E), optional
            As for `predict`.

        Returns
        -------
        ndarray, (horizon, Q) or (horizon, C, Q)
            Of the Q parameters `quantiles`, in their order.

        Raises
        ------
        ValueError
            `quantiles` was None.
        """
        self._check_quantiles()
        return self._shaped(self._next(exog)[1])[0]

    def rolling(
        self,
        series: ArrayLike,
        start: int | None = None,
        exog: ArrayLike | None = None,
        *,
        times: ArrayLike | None = None,
    ) -> np.ndarray:
        """Forecasts from each step of a series on, as if nothing behind it were known, without learning anew.

        Parameters
        ----------
        series : array_like, (n,) or (n, C)
            The whole series, from the first step that `fit` has seen.
        start : int, optional
            The first step that is forecast, at least window + 1. None: the one behind the last that is known.
        exog, times
            As for `fit`, of the whole series.

        Returns
        -------
        ndarray, (n - start - horizon + 1, horizon) or (n - start - horizon + 1, horizon, C)
            The forecasts of the steps start .. start + horizon - 1, then those one step later, and so on.
        """
        return self._shaped(self._rolled(series, start, exog, times)[0])

    def rolling_quantiles(
        self,
        series: ArrayLike,
        start: int | None = None,
        exog: ArrayLike | None = None,
        *,
        times: ArrayLike | None = None,
    ) -> np.ndarray:
        """The quantiles that belong to `rolling`.

        Parameters
        ----------
        series, start, exog, times
            As for `rolling`.

        Returns
        -------
        ndarray, (n - start - horizon + 1, horizon, Q) or (n - start - horizon + 1, horizon, C, Q)
        """
        self._check_quantiles()
        return self._shaped(self._rolled(series, start, exog, times)[1])

    def score(self, series: ArrayLike, exog: ArrayLike | None = None, *, times: ArrayLike | None = None) -> float:
        """How much better forecasts of values that follow the known ones are than repeating the last value.

        Parameters
        ----------
        series, exog, times
            As for `fit`: what follows the last known step, at least `horizon` rows.

        Returns
        -------
        float
            1 - (sum of squared errors) / (that of repeating the last value), over all forecasts that lie in `series`,
            without learning anew; the mean over the channels. 1 is perfect, 0 as good as repeating.
        """
        self._check_fitted()
        rest, known, given = self._continued(series, exog, times)
        horizon, context = self._shape.horizon, len(self.rest_)
        self._check_rows(len(given.values), horizon, f"horizon={horizon}")
        check_known(given.values)
        ends = np.arange(context, len(rest) - horizon + 1)
        guess, _ = self._ahead(rest, known, ends, self.count_ - context)
        last = self.preparation_.values(self.rest_[-1] + self.preparation_.seasons(self.count_ - 1, self.count_)[0])
        return skill(guess, np.concatenate([[last], given.values]))

    def _check_quantiles(self):
        self._check_fitted()
        if self.quantiles_ is None:
            raise _arrays.wrong(ValueError, "quantiles", "some, given before fit", "None")

    @staticmethod
    def _check_rows(rows, least, what):
        if rows < least:
            raise _arrays.wrong(ValueError, "series", f"at least {least} rows for {what}", rows)

    def _next(self, exog):
        """Forecast and quantiles from the one origin behind all that is known."""
        self._check_fitted()
        horizon, inputs = self._shape.horizon, self.n_exog_in_
        future = np.empty((horizon, 0)) if exog is None else exogenous(exog, horizon)
        if future.shape[1] != inputs:
            raise _arrays.wrong(ValueError, "exog", f"shape ({horizon}, {inputs}), columns as in fit", future.shape)
        rows = len(self.rest_)
        known = np.concatenate([self.exog_, self._scaled(future)])
        return self._ahead(self.rest_, known, np.array([rows]), self.count_ - rows)

    def _rolled(self, series, start, exog, times):
        """Forecasts and quantiles of all origins from `start` on."""
        self._check_fitted()
        given, horizon, window = self._observed(series, exog, times), self._shape.horizon, self._shape.window
        if given.times is not None and self.first_time_ is not None and given.times[0] != self.first_time_:
            expected = f"the first timestamp of fit, {self.first_time_}"
            raise _arrays.wrong(ValueError, "times", expected, f"{given.times[0]} at [0]")
        start = self.count_ if start is None else _arrays.size("start", start)
        if start <= window:
            raise _arrays.wrong(ValueError, "start", f"at least window + 1 = {window + 1}", start)
        self._check_rows(len(given.values), start + horizon, f"start={start} and horizon={horizon}")
        ends = np.arange(start, len(given.values) - horizon + 1)
        return self._ahead(self.preparation_.rest(given.values, 0), self._scaled(given.exog), ends, 0)

    def _ahead(self, rest, known, ends, first):
        """Forecasts (K, horizon, C) and quantiles (K, horizon, C, Q), or None; see `Model.paths`."""
        model = Model(self._shape, self.preparation_, self.net_, self.impute_)
        path, quantiles = model.paths(rest, known, ends, first)
        if self.band_ is not None:
            quantiles = self._from_band(path)
        values = self.preparation_.values
        if quantiles is not None:
            quantiles = np.stack([values(quantiles[..., q]) for q in range(quantiles.shape[-1])], axis=-1)
        return values(path), quantiles

    def _from_band(self, path):
        """Quantiles around a path: as far from it as held-out errors were, by symmetry."""
        found = []
        for q in self.quantiles_:
            half = [Band(*one).half_widths(abs(2 * q - 1), path.shape[1]) for one in self.band_]
            found.append(path + np.sign(q - 0.5) * np.stack(half, axis=1))
        return np.stack(found, axis=-1)

    def _shaped(self, found):
        """Without the axis of channels, where the series had none."""
        return found[:, :, 0] if self.flat_ else found
