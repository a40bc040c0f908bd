"""The forecaster: prepares, trains, predicts, and judges itself by a back-test."""

from __future__ import annotations

import math
import numbers
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import _arrays, safetensors
from ..ensemble import Ensemble
from ..model_file import load
from ..optimizers import AdamW
from ..progress import bar as bar_of
from ..training.trainer import Trainer
from . import file
from .channels import Channels
from .results import Backtest, Band, Fitted, Forecast, least_values
from .series import MOST_GAPS, Plan, fill_gaps, make_plan
from .steps_ahead import HELD_OUT, LEAST_WINDOWS, Model, Shape, errors_ahead, examples

if TYPE_CHECKING:
    import os

    from numpy.typing import ArrayLike

IMPUTE = "linear"
BATCH = 32
MOST_STEPS = 300  # of training for one network, so that the time is bounded for long series


class Forecaster:
    """Forecasts the next values of one evenly spaced series.

    All choices are made from the series itself: whether to take logarithms or roots, the period of a season and
    whether there is one, whether to look at values or at their changes, how many steps the networks see.

    Parameters
    ----------
    horizon : int
        How many values to forecast.
    season : float, optional
        Steps after which the series repeats itself; need not be whole. None finds it; 0 or 1: there is none.
    log : bool, optional
        Whether the networks see logarithms. None: logarithms, square roots or the values, whichever is most even.
    networks : int
        How many are trained, from different starting weights; their mean is the forecast.
    hidden_size : int
        Units of the LSTM of each.
    window : int, optional
        Steps that they see. None: one period, but 12 to 48.
    epochs : int
        How often each window is used; less often in a long series.
    seed : int
        For starting weights and the order of the windows; the same seed gives the same bits.

    Attributes
    ----------
    plan : Plan
        The choices that `fit` made: power, period, terms, skill, seasonal, difference, window.
    net : Ensemble
        The trained networks: (N, window, 1) to (N, 1).

    Notes
    -----
    The transform is chosen by Guerrero's method (1993). The period is the highest peak of the autocorrelation; it
    counts as a season if its harmonics, fitted to the past, foretell more than half of the variance of later cycles
    around the trend. Each network is LSTM, `Pool` ("last") and `Dense`, trained by `AdamW` with the gradient clipped
    to norm 1. The band is made from the errors of networks that have not seen the last quarter of the series: half its
    width grows with a power of the step ahead, fitted to them.

    Examples
    --------
    A series that is told by its past, but not by a season: the width of the band says how well.

    >>> import numpy as np
    >>> from clstm.forecasting import Forecaster
    >>> rng = np.random.default_rng(0)
    >>> y = np.zeros(300)
    >>> for t in range(2, 300):
    ...     y[t] = 1.6 * y[t - 1] - 0.9 * y[t - 2] + rng.normal()
    >>> model = Forecaster(horizon=5, networks=3, seed=1)
    >>> test = model.backtest(y)
    >>> scores = test.scores()
    >>> scores["lstm"] < scores["last_value"]
    True
    >>> model.fit(y).predict().mean.shape
    (5,)
    """

    net: Ensemble

    def __init__(
        self,
        horizon: int,
        *,
        season: float | None = None,
        log: bool | None = None,
        networks: int = 10,
        hidden_size: int = 16,
        window: int | None = None,
        epochs: int = 10,
        seed: int = 0,
    ) -> None:
        self.horizon = _arrays.size("horizon", horizon)
        self.season = None if season is None else season_of(season)
        self.log = None if log is None else _arrays.flag("log", log)
        self.networks = _arrays.size("networks", networks)
        self.hidden_size = _arrays.size("hidden_size", hidden_size)
        self.window = None if window is None else _arrays.size("window", window)
        self.epochs = _arrays.size("epochs", epochs)
        self.seed = seed_of(seed)
        self._fitted: Fitted | None = None

    def __repr__(self):
        defaults = type(self).__init__.__kwdefaults__
        options = self.options()
        given = [str(options.pop("horizon"))]
        given += [f"{name}={value!r}" for name, value in options.items() if value != defaults[name]]
        return f"Forecaster({', '.join(given)})"

    def options(self) -> dict[str, Any]:
        """The arguments that make a forecaster like this one, not fitted.

        Returns
        -------
        dict
        """
        return {name: getattr(self, name) for name in file.OPTIONS}

    @property
    def plan(self) -> Plan:
        """The choices that `fit` made."""
        return self._learnt().preparation.plan

    @property
    def count(self) -> int:
        """How many values of the series are known; the forecast begins behind them."""
        return self._learnt().count

    # Learning

    def fit(self, y: ArrayLike, *, progress: bool = True) -> Forecaster:
        """Learns a series.

        Parameters
        ----------
        y : array_like, (n,)
            Real values at even steps, the last one known; NaN for those that are missing, at most a fifth. At least
            24 values, two horizons and two seasons.
        progress : bool
            Whether to show a bar on stderr, where somebody sees it.

        Returns
        -------
        Forecaster
            Itself.

        Raises
        ------
        TypeError, ValueError
            The series does not fit; nothing has changed then.
        """
        self._fit(self._checked(y), _arrays.flag("progress", progress), "learning")
        return self

    def _fit(self, y, progress, name):
        """The same for a checked series; `name` stands in front of the bar."""
        plan = make_plan(y, self.horizon, self.season, self.log, self.window)
        values, nothing = y[:, None], np.empty((len(y), 0))  # one channel, and no exogenous inputs
        with bar_of(2 * self.networks, progress, unit="network") as bar:
            bar.set_description(name, refresh=False)

            def learn(preparation, rest, known):
                return self._learn(plan, *examples(self._shape(plan), preparation, rest, known), bar)

            errors = errors_ahead(self._shape(plan), values, nothing, [plan], IMPUTE, learn)
            channels = Channels.learn(values, [plan])
            net = learn(channels, channels.filled(channels.rest(values, 0), IMPUTE), nothing)
        self.net, self._fitted = net, self._at_the_end(channels, Band.of(errors[..., 0]), y)

    def _shape(self, plan):
        return Shape(self.horizon, plan.window, False, (), self.hidden_size, 1, 0.0)

    def _learn(self, plan, x, target, bar):
        """Networks that were trained with some windows."""
        members = []
        for k in range(self.networks):
            rng = np.random.default_rng([self.seed, k])
            members.append(trained(self._shape(plan).network(1, 1, rng), x, target, self.epochs, rng))
            bar.update()
        return Ensemble(members)

    def follow(self, y: ArrayLike) -> Forecaster:
        """Takes note of what has come since, without learning: the next forecast begins behind it.

        Parameters
        ----------
        y : array_like, (n,)
            The series from the first value that `fit` saw on; as for `fit`.

        Returns
        -------
        Forecaster
            Itself.

        Raises
        ------
        TypeError, ValueError
            The series does not fit, or is shorter than the one that was learnt; nothing has changed then.
        """
        fitted, y = self._learnt(), self._checked(y)
        preparation, power = fitted.preparation, fitted.preparation.plan.power
        if len(y) < fitted.count:
            raise _arrays.wrong(ValueError, "y", f"the {fitted.count} values that were learnt, and more", len(y))
        if (power < 1 and np.nanmin(y) < 0) or (power == 0 and np.nanmin(y) == 0):
            expected = f"values {'above 0' if power == 0 else 'of at least 0'}, as those that were learnt"
            raise _arrays.wrong(ValueError, "y", expected, np.nanmin(y))
        self._fitted = self._at_the_end(Channels([preparation]), fitted.band, y)
        return self

    @staticmethod
    def _at_the_end(channels, band, y):
        """What a forecast behind y is made of."""
        rest = channels.filled(channels.rest(y[:, None], 0), IMPUTE)
        (preparation,) = channels.parts
        tail = channels.inputs(rest[-preparation.plan.window - 1 :])[:, 0]
        return Fitted(preparation, band, len(y), float(rest[-1, 0]), tail)

    # Telling

    def predict(self, level: float = 0.8) -> Forecast:
        """The values behind the last one that `fit` saw.

        Parameters
        ----------
        level : float
            The share of values that is expected inside the band; between 0 and 1.

        Returns
        -------
        Forecast
            ``mean``, ``low`` and ``high``, each (horizon,), in the units of the series.
        """
        level = _arrays.share("level", level)
        fitted = self._learnt()
        model = Model(self._shape(fitted.preparation.plan), Channels([fitted.preparation]), self.net, IMPUTE)
        nothing = np.empty((1, len(fitted.tail) + self.horizon - 1, 0))
        path = fitted.path(model.fed_back(fitted.tail[None, :, None], nothing)[0, :, 0])
        half = fitted.band.half_widths(level, self.horizon)
        return Forecast(*map(fitted.preparation.values, (path, path - half, path + half)))

    def _learnt(self):
        if self._fitted is None:
            raise RuntimeError("this forecaster has learnt nothing yet: call fit first")
        return self._fitted

    def backtest(
        self, y: ArrayLike, *, origin: int | None = None, level: float = 0.8, progress: bool = True
    ) -> Backtest:
        """Forecasts values that are known, from those before them, with a new forecaster of the same options.

        Parameters
        ----------
        y : array_like, (n,)
            As for `fit`.
        origin : int, optional
            The first step to forecast; None: of the last `horizon` ones. It moves back until the value before it is
            known, and one behind it.
        level : float
            As for `predict`.
        progress : bool
            As for `fit`.

        Returns
        -------
        Backtest

        Raises
        ------
        TypeError, ValueError
            The series does not fit, or what lies before the origin does not.
        """
        level, progress = _arrays.share("level", level), _arrays.flag("progress", progress)
        y = self._checked(y, held_out=self.horizon)
        origin = len(y) - self.horizon if origin is None else _arrays.size("origin", origin)
        if origin >= len(y):
            raise _arrays.wrong(ValueError, "origin", f"less than the {len(y)} values", origin)
        while origin > 1 and (np.isnan(y[origin - 1]) or np.isnan(y[origin : origin + self.horizon]).all()):
            origin -= 1
        model = Forecaster(**self.options())
        try:
            model._fit(model._checked(y[:origin]), progress, "back-test")
        except ValueError as error:
            where = f"in the back-test, which knows the first {origin} of {len(y)} values"
            raise ValueError(f"{error} ({where})") from error
        steps = np.arange(self.horizon)
        truth = np.append(y, np.full(self.horizon, np.nan))[origin + steps]
        fitted, known, period = model._learnt(), fill_gaps(y[:origin]), model.plan.period
        alone = fitted.preparation.values(fitted.path(np.zeros(self.horizon)))
        naive = None if period is None else known[origin - round(period) + steps % round(period)]
        last = np.full(self.horizon, known[-1])
        return Backtest(origin, truth, model.predict(level), alone, naive, last, period)

    def _checked(self, y, held_out=0):
        """The series as float64, if there is anything to learn from it."""
        y = _arrays.real("y", y, np.dtype(np.float64))
        if y.ndim != 1:
            raise _arrays.wrong(ValueError, "y", "shape (n,)", f"shape {y.shape}")
        infinite = np.isinf(y)
        if infinite.any():
            place = int(np.argmax(infinite))
            raise _arrays.wrong(ValueError, "y", "finite values, or NaN for missing ones", f"{y[place]} at [{place}]")
        self._check_count(len(y), held_out)
        gaps = int(np.isnan(y).sum())
        if gaps > MOST_GAPS * len(y):
            raise _arrays.wrong(ValueError, "y", "at most a fifth of the values missing", f"{gaps} of {len(y)}")
        if np.isnan(y[-1]):
            raise _arrays.wrong(ValueError, "y", "a last value that is known, where the forecast starts", "NaN")
        if np.nanmin(y) == np.nanmax(y):
            raise _arrays.wrong(ValueError, "y", "values that differ", f"{y[-1]} everywhere")
        if self.log and np.nanmin(y) <= 0:
            place = int(np.nanargmin(y))
            raise _arrays.wrong(ValueError, "y", "values above 0 for log=True", f"{y[place]} at [{place}]")
        return y

    def _check_count(self, n, held_out):
        """Raises if n values are too few for the options."""
        least = least_values(self.horizon) + held_out
        if n < least:
            why = f"to forecast {self.horizon}" + f" and to test that on the last {held_out}" * bool(held_out)
            raise _arrays.wrong(ValueError, "y", f"at least {least} values {why}", n)
        known = n - held_out
        if self.season is not None and self.season > known / 2:
            why = f"half of the {known} values to learn from"
            raise _arrays.wrong(ValueError, "season", f"at most {known // 2}, {why}", self.season)
        most = known - int(HELD_OUT * known) - LEAST_WINDOWS
        if self.window is not None and self.window > most:
            why = f"for {known} values to learn from"
            raise _arrays.wrong(ValueError, "window", f"at most {most} steps {why}", self.window)

    # Files

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes a .safetensors file, from which `load` makes this forecaster and `clstm.load` its networks.

        Parameters
        ----------
        path : str or path-like

        Raises
        ------
        OSError
            The file cannot be written; an older one is as it was.
        """
        text = file.written(self.options(), self._learnt())
        self.net.save(path, metadata={file.ENTRY: text})

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Forecaster:
        """The forecaster that `save` wrote, whose forecasts are the same bits.

        Parameters
        ----------
        path : str or path-like

        Returns
        -------
        Forecaster

        Raises
        ------
        ValueError
            The file is damaged, or holds no forecaster; the message has the file and the reason.
        OSError
            The file cannot be read.
        """
        net = load(path)
        with safetensors.Reader(path) as reader:
            if file.ENTRY not in reader.metadata:
                raise reader.error(f"no forecaster: its metadata have no entry {file.ENTRY!r}")
            try:
                options, fitted = file.read(reader.metadata[file.ENTRY])
                self = cls(**options)
                file.check(self.horizon, fitted, net)
            except (TypeError, ValueError, KeyError, AttributeError, RecursionError) as error:
                raise reader.error(f"the entry {file.ENTRY!r} does not fit: {error!r:.200}") from error
        self.net, self._fitted = net, fitted
        return self


# Networks


def trained(net, x, y, epochs, rng):
    """A network that has learnt to say y (n, 1) from x (n, width, 1)."""
    optimizer = AdamW(5e-3, weight_decay=1e-2)
    latest = slice(-MOST_STEPS * BATCH, None)
    steps = math.ceil(len(x[latest]) / BATCH)
    Trainer(net, "mse", optimizer, clip_norm=1.0, rng=rng).fit(
        x[latest], y[latest], epochs=max(1, min(epochs, MOST_STEPS // steps)), batch_size=BATCH, progress=False
    )
    return net


# Arguments


def season_of(value):
    """A number of steps; 0 and 1 say that there is none."""
    expected = "a number of steps, at least 2, or 0 for none"
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise _arrays.wrong(TypeError, "season", expected, f"{value!r} ({_arrays.kind(value)})")
    if not (value in (0, 1) or 2 <= value < math.inf):
        raise _arrays.wrong(ValueError, "season", expected, value)
    return int(value) if value == int(value) else float(value)


def seed_of(value):
    """An int of at least 0."""
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        raise _arrays.wrong(TypeError, "seed", "an int of at least 0", f"{value!r} ({_arrays.kind(value)})")
    if value < 0:
        raise _arrays.wrong(ValueError, "seed", "an int of at least 0", value)
    return int(value)
