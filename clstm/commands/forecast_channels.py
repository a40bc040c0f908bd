"""`clstm forecast` for several columns, for what is known in advance, and for gaps that are filled as one wishes."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from . import models
from .errors import CommandError, UsageError, refused_in
from .files import read_bytes
from .forecast_report import HORIZON, LEVEL, Result
from .tables import Columns, Series, TableError, read_columns
from .text import begin, field, percent

BAND = "this band was chosen when the model learnt"


class Given(NamedTuple):
    """What was read: names and values (n, C) of what is forecast, and (n, E) and (horizon, E) of what is known."""

    columns: Columns
    exog: np.ndarray | None
    future: np.ndarray | None

    def series(self):
        """A `Series` for each column."""
        columns = self.columns
        pairs = zip(columns.names, columns.values.T, strict=True)
        return [Series(name, values, columns.lines, columns.dates, 0) for name, values in pairs]

    def values(self, start=0, stop=None):
        """What an estimator takes: (n,), or (n, C)."""
        values = self.columns.values[start:stop]
        return values[:, 0] if values.shape[1] == 1 else values


def read(args, names, exog, date, impute):
    """The file; raises CommandError."""
    if args.csv is None:
        raise UsageError("argument CSV: needed with several columns, --exog or --impute")
    data = read_bytes(args.csv)
    with refused_in(args.csv):
        columns = read_columns(data, [*names, *exog] or None, date)
        count = len(columns.names) - len(exog)
        known = np.flatnonzero(np.isfinite(columns.values[:, :count]).any(axis=1))
        rows = known[-1] + 1
        dates = None if columns.dates is None else columns.dates._replace(times=columns.dates.times[:rows])
        given = Columns(columns.names[:count], columns.values[:rows, :count], columns.lines[:rows], dates)
        if impute is None:
            given.check_complete()
        if not exog:
            return Given(given, None, None)
        gaps = np.argwhere(np.isnan(columns.values[:, count:]))
        if len(gaps):
            row, column = gaps[0]
            where = f"line {columns.lines[row]}, column {exog[column]!r}"
            raise TableError(f"{where}: expected what is known in advance, got none")
        return Given(given, columns.values[:rows, count:], columns.values[rows:, count:])


def with_horizon(args, given, horizon):
    """The same with as many rows of what is known in advance as are forecast."""
    if given.future is None:
        return given
    if len(given.future) < horizon or not horizon:
        rows = f"{len(given.future)} rows behind the last known value"
        raise CommandError(
            f"{args.csv}: expected --exog for all of the {horizon or HORIZON} rows to forecast, got {rows}"
        )
    return given._replace(future=given.future[:horizon])


def learnt(args):
    """Back-test and forecast of all columns; and the model."""
    if args.exog and not args.column:
        raise UsageError("argument --exog: goes with --column, which says what to forecast")
    if set(args.exog) & set(args.column):
        raise UsageError(f"argument --exog: {args.exog[0]!r} is to be forecast")
    exog = list(dict.fromkeys(args.exog))
    given = read(args, args.column, exog, args.date, args.impute)
    horizon, level = args.horizon or (len(given.future) if exog else HORIZON), args.level or LEVEL
    given = with_horizon(args, given, horizon)
    begin(args, *data_lines(args, given, exog))
    rows = len(given.columns.values)
    if rows < 3 * horizon + 14:
        text = f"expected at least {3 * horizon + 14} rows for a horizon of {horizon}, got {rows}"
        raise CommandError(f"{args.csv}: {text}")
    test = None
    if not args.quiet or args.plot is not None:
        start = rows - horizon
        future = None if given.exog is None else given.exog[start:]
        before = None if given.exog is None else given.exog[:start]
        test = forecasts(fitted(args, horizon, level, given.values(0, start), before), future, level)
    model = fitted(args, horizon, level, given.values(), given.exog)
    model.reading_ = {"columns": given.columns.names, "exog": exog, "date": args.date}
    return results(given, model, forecasts(model, given.future, level), level, test), model


def fitted(args, horizon, level, values, exog):
    """A forecaster that has learnt some rows."""
    quantiles = ((1 - level) / 2, (1 + level) / 2)
    options = {"season": args.season, "log": args.log, "impute": args.impute, "quantiles": quantiles}
    model = models.make(args, "LSTMForecaster", horizon=horizon, **options)
    return models.learn(args, model, args.csv, values, exog)


def forecasts(model, future, level):
    """A `Forecast` for each column."""
    from ..forecasting import Forecast

    mean, bands = model.predict(future), model.predict_quantiles(future)
    if mean.ndim == 1:
        mean, bands = mean[:, None], bands[:, None]
    return [Forecast(mean[:, k], bands[:, k, 0], bands[:, k, 1]) for k in range(mean.shape[1])]


def results(given, model, told, level, tests):
    """What there is to tell of each column."""
    found = []
    for k, series in enumerate(given.series()):
        plan = model.preparation_.parts[k].plan
        networks = f"{model.networks} LSTMs of {model.hidden_size} units, which see the last {plan.window}"
        test = None if tests is None else backtest(series.values, tests[k], plan.period)
        found.append(Result(series, plan, model.season, networks, told[k], level, test))
    return found


def backtest(values, forecast, period):
    """The forecast of the last rows beside simpler ones."""
    from ..forecasting import Backtest
    from ..forecasting.series import fill_gaps

    horizon = len(forecast.mean)
    origin = len(values) - horizon
    known, truth, steps = fill_gaps(values[:origin]), values[origin:], np.arange(horizon)
    naive = None
    if period is not None and round(period) <= origin:
        naive = known[origin - round(period) + steps % round(period)]
    return Backtest(origin, truth, forecast, None, naive, np.full(horizon, known[-1]), period)


def saved(args, model):
    """Forecasts of a saved model, of what a file has if there is one."""
    if args.level is not None:
        raise UsageError(f"argument --level: not with this model, {BAND}")
    columns = models.reading_of(args, model, columns="column", exog="exog", date="date")
    if len(columns["columns"]) != model.n_features_in_ or len(columns["exog"]) != model.n_exog_in_:
        count = f"{model.n_features_in_} and {model.n_exog_in_}"
        raise UsageError(f"arguments --column and --exog: expected {count} of them, as the model has learnt")
    if model.quantiles_ is None or len(model.quantiles_) != 2:
        raise CommandError(f"{args.model}: expected a model with two quantiles, the edges of a band")
    low, high = model.quantiles_
    if args.csv is None and columns["exog"]:
        raise UsageError(f"argument CSV: needed, for {columns['exog'][0]!r} in the rows to forecast")
    if args.csv is None:
        names = columns["columns"]
        given = Given(Columns(names, np.full((model.count_, len(names)), np.nan), [], None), None, None)
    else:
        given = read(args, columns["columns"], columns["exog"], columns["date"], model.impute)
        given = with_horizon(args, given, model.horizon)
        begin(args, *data_lines(args, given, columns["exog"]))
        rows = len(given.columns.values)
        if rows < model.count_:
            text = f"expected the {model.count_} rows that were learnt, and more, got {rows}"
            raise CommandError(f"{args.csv}: {text}")
        if rows > model.count_:
            with refused_in(args.csv):
                since = None if given.exog is None else given.exog[model.count_ :]
                model.update(given.values(model.count_), since)
    return results(given, model, forecasts(model, given.future, high - low), high - low, None)


def data_lines(args, given, exog):
    """What was read."""
    labels, values = given.columns.labels(), given.columns.values
    lines = [args.csv, field("rows", f"{len(labels)}, {labels[0]} to {labels[-1]}")]
    lines.append(field("columns", ", ".join(given.columns.names)))
    if exog:
        lines.append(field("known", ", ".join(exog)))
    gaps = np.isnan(values).sum()
    return [*lines, field("gaps", f"{gaps} missing ({percent(gaps / values.size)}), filled")] if gaps else lines
