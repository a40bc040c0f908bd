"""What a forecaster's parameters and data have to be, how its networks are trained, and how good its forecasts are."""

from __future__ import annotations

import numpy as np

from .. import _arrays
from ..forecasting.channels import latest_known
from ..forecasting.forecaster import season_of
from ..forecasting.results import Band
from ..forecasting.steps_ahead import HELD_OUT, LEAST_WINDOWS, Shape, errors_ahead, examples
from .fitting import trained

STRATEGIES = ("recursive", "direct")
LEAST_ROWS = LEAST_WINDOWS + 5  # a window of 4 steps, and one ahead


# Parameters


def shape_of(estimator):
    """What an estimator's parameters say of its networks; the window may still be None."""
    return Shape(
        horizon=_arrays.size("horizon", estimator.horizon),
        window=None if estimator.window is None else _arrays.size("window", estimator.window),
        at_once=_arrays.choice("strategy", estimator.strategy, STRATEGIES) == "direct",
        quantiles=(),
        hidden_size=_arrays.size("hidden_size", estimator.hidden_size),
        num_layers=_arrays.size("num_layers", estimator.num_layers),
        dropout=_arrays.rate("dropout", estimator.dropout),
    )


def preparation_of(estimator):
    """Season, log and difference."""
    season = None if estimator.season is None else season_of(estimator.season)
    given = ((name, getattr(estimator, name)) for name in ("log", "difference"))
    return season, *(None if value is None else _arrays.flag(name, value) for name, value in given)


def quantiles_of(value):
    """A tuple of numbers between 0 and 1."""
    quantiles = _arrays.real("quantiles", value, np.dtype(np.float64))
    if quantiles.ndim != 1 or not quantiles.size or not ((quantiles > 0) & (quantiles < 1)).all():
        raise _arrays.wrong(ValueError, "quantiles", "one or more numbers between 0 and 1", value)
    return tuple(quantiles.tolist())


# The data


def scale_of(exog):
    """Mean and deviation of exogenous inputs; 1 for those that never change."""
    deviation = exog.std(axis=0)
    return exog.mean(axis=0), np.where(deviation > 0, deviation, 1.0)


def check_rows(values, shape, season, log):
    """Raises if there are too few rows for horizon and season, or values at or below 0 for logarithms."""
    rows, least = len(values), max(LEAST_ROWS, 2 * shape.horizon)
    if rows < least:
        got = f"{rows} sample{'s' * (rows > 1)}"
        raise _arrays.wrong(ValueError, "series", f"at least {least} rows for horizon={shape.horizon}", got)
    if season is not None and season > rows / 2:
        raise _arrays.wrong(ValueError, "season", f"at most {rows // 2}, half of the {rows} rows", season)
    if log and np.nanmin(values) <= 0:
        place = [int(axis) for axis in np.argwhere(values <= 0)[0]]
        raise _arrays.wrong(ValueError, "series", "values above 0 for log=True", f"{values[tuple(place)]} at {place}")


def check_domain(values, preparation):
    """Raises for later values of which the transform that `fit` has chosen can make nothing."""
    for column, (part, channel) in enumerate(zip(preparation.parts, values.T, strict=True)):
        power = part.plan.power
        bad = channel <= 0 if power == 0 else channel < 0 if power == 0.5 else np.zeros(len(channel), bool)
        if bad.any():
            place = int(np.argmax(bad))
            expected = (
                "values above 0, as all of fit were: it takes logarithms"
                if power == 0
                else ("values of at least 0, as all of fit were: it takes roots")
            )
            raise _arrays.wrong(ValueError, "series", expected, f"{channel[place]} at [{place}, {column}]")


def check_windows(rows, shape, held_out):
    """Raises if there are too few windows to learn from."""
    least = shape.window + shape.ahead + LEAST_WINDOWS
    known = rows - int(HELD_OUT * rows) * held_out
    if known < least:
        part = " in the three quarters that the quantiles are learnt from" if held_out else ""
        what = f"at least {least} rows for a window of {shape.window} and {shape.ahead} steps ahead{part}"
        raise _arrays.wrong(ValueError, "series", what, known)


# Learning


def learnt(shape, preparation, rest, known, recipe, rng):
    """Networks that were trained with a rest, and their histories. The last part validates, if anything does."""
    x, y = examples(shape, preparation, rest, known)
    cut = len(x) if recipe.patience is None else len(x) - max(1, round(recipe.validation_fraction * len(x)))
    validation = None if cut == len(x) else (x[cut:], y[cut:])

    def make(rng):
        return shape.network(x.shape[2], y.shape[1], rng)

    def fit(trainer, arguments):
        trainer.fit(x[:cut], y[:cut], validation=validation, **arguments)

    return trained(make, fit, recipe, rng, loss=shape.loss(y.shape[1]))


def bands(shape, values, known, plans, impute, recipe, rng):
    """Growth and sizes of the `Band` of each channel, from networks that have not seen the last quarter."""

    def learn(preparation, rest, known):
        return learnt(shape, preparation, rest, known, recipe, rng)[0]

    errors = errors_ahead(shape, values, known, plans, impute, learn)
    return [tuple(Band.of(errors[..., c])) for c in range(len(plans))]


def skill(guess, values):
    """1 - (squared errors) / (those of repeating the last value).

    Forecast k of `guess` (K, horizon, C) begins at the row 1 + k of `values`, and knows the rows before that.
    """
    carried = np.stack([channel[latest_known(channel)] for channel in values.T], axis=1)
    count, horizon, _ = guess.shape
    truth = values[1 + np.arange(count)[:, None] + np.arange(horizon)]
    wrong, naive = (np.nansum((truth - one) ** 2, axis=(0, 1)) for one in (guess, carried[:count, None]))
    saved = 1 - wrong / np.where(naive > 0, naive, 1)
    return float(np.mean(np.where(naive > 0, saved, wrong == 0)))
