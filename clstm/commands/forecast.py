"""`clstm forecast`: the next values of a column, and a back-test that says how far to trust them."""

from __future__ import annotations

import argparse
import importlib.resources
from contextlib import contextmanager

import numpy as np

from . import forecast_channels, models
from .arguments import add_impute, add_model, add_report, add_training, positive, season, share
from .errors import CommandError, UsageError, refused_in
from .files import check_outputs, read_bytes, write_outputs
from .forecast_report import HORIZON, LEVEL, Result, document, report_lines, series_lines, steps_of
from .pictures import new_figure, picture
from .tables import Series, read_series
from .text import begin, finish

SAMPLE = "airline.csv"  # monthly airline passengers; clstm/data/README.md says where it comes from

DESCRIPTION = """\
Forecast columns of a CSV file with an LSTM.

The rows are evenly spaced steps in time, oldest first. Logarithm, season and
differences are found from the data. The last values are held out first, and
forecast from those before them: this back-test says how far to trust the
forecast, and whether the LSTM is better than something simpler.
"""
EXAMPLES = """\
examples:
  clstm forecast
      the airline passengers of 1949 to 1960, which come with clstm
  clstm forecast sales.csv --column units --horizon 12 --plot sales.png
      the next 12 values of the column "units", and a picture of them
  clstm forecast power.csv --column kW --season 24 --save power.safetensors
      hourly values of which you know that they repeat every day; the model
      goes to a file
  clstm forecast --model power.safetensors newer.csv --column kW
      later, when newer.csv has the same rows and some more: what comes next,
      without learning anew
  clstm forecast weather.csv --column max --column min --horizon 7
      two columns, each of which may help to foretell the other
  clstm forecast shop.csv --column units --exog promotion
      what is known in advance helps: the last rows have a promotion, and no
      units yet; as many are forecast
  clstm forecast sales.csv --column units --json > next.json
      everything for another program; --quiet prints the table only
"""


def add_arguments(parser):
    """What `clstm forecast` takes."""
    add = parser.add_argument
    add("csv", nargs="?", metavar="CSV", help="the file; without it, the airline passengers that come with clstm")
    text = "what to forecast; needed if several columns hold numbers, may be repeated"
    add("--column", metavar="NAME", action="append", default=[], help=text)
    text = "a column that is known in advance, also in the rows to forecast; may be repeated"
    add("--exog", metavar="NAME", action="append", default=[], help=text)
    add("--date", metavar="NAME", help="the column of the dates, or none; default: the first that holds dates")
    add("--horizon", type=positive, metavar="N", help=f"how many values to forecast ({HORIZON})")
    add("--season", type=season, metavar="S", help="steps after which it repeats, or none; default: found in the data")
    log = "see logarithms, for changes that grow with the level; default: found in the data"
    add("--log", action=argparse.BooleanOptionalAction, default=None, help=log)
    add("--level", type=share, metavar="P", help=f"share of the values inside the band ({LEVEL})")
    add_training(parser, hold_out=None)
    add_impute(parser)
    add_model(parser, "forecast")
    add_report(parser, "history, back-test and forecast")


def run(args):
    """The command; raises `CommandError`."""
    check_outputs(args, args.csv, args.model)
    if args.model:
        results, model = saved(args), None
    elif len(args.column) > 1 or args.exog or args.impute:
        results, model = forecast_channels.learnt(args)
    else:
        results, model = learnt(args)
    written = write_outputs(args, model, drawn(args, results))
    finish(args, report_lines(results, args.quiet), document(results), written)


def learnt(args):
    """Back-test and forecast of one column; and the model."""
    name, data = input_of(args.csv)
    horizon, level = args.horizon or HORIZON, args.level or LEVEL
    with refused_in(name):
        series = read_series(data, *(args.column or [None]), args.date)
    check_above_zero(args, name, series)
    begin(args, *series_lines(name, series))

    from ..forecasting import Forecaster  # not before it is clear that there is something to learn

    epochs = {} if args.epochs is None else {"epochs": args.epochs}
    options = {**epochs, **models.chosen(args, "Forecaster", Forecaster.__init__.__kwdefaults__)}
    try:
        model = Forecaster(horizon, **{"season": args.season, "log": args.log, "seed": args.seed or 0, **options})
    except (TypeError, ValueError) as error:
        raise UsageError(f"argument --set: {error}") from error
    progress, needs_test = not args.quiet, not args.quiet or args.plot is not None
    check_length(horizon, name, series, needs_test)
    with values_refused_in(name, series):
        test = model.backtest(series.values, level=level, progress=progress) if needs_test else None
        model.fit(series.values, progress=progress)
    networks = f"{model.networks} LSTMs of {model.hidden_size} units, which see the last {model.plan.window}"
    result = Result(series, model.plan, model.season, networks, model.predict(level), level, test)
    return [result], model


def saved(args):
    """Forecasts of a saved model."""
    model = models.load(args, "horizon", "season", "log", "impute", "seed")
    if args.csv is None and args.plot is not None:
        raise UsageError("argument --plot: needs the file with the history")
    if type(model).__name__ != "Forecaster":
        return forecast_channels.saved(args, model)
    models.refuse(args, "not with this model, which has learnt one column", "exog")
    level = args.level or LEVEL
    if args.csv is None:
        series = Series("value", np.full(model.count, np.nan), [], None, 0)
    else:
        data = read_bytes(args.csv)
        with refused_in(args.csv):
            series = read_series(data, *(args.column or [None]), args.date)
        begin(args, *series_lines(args.csv, series))
        with values_refused_in(args.csv, series):
            model.follow(series.values)
    networks = f"{model.networks} LSTMs of {model.hidden_size} units, which see the last {model.plan.window}"
    return [Result(series, model.plan, model.season, networks, model.predict(level), level, None)]


def input_of(path):
    """Name and bytes of the file, or of the one that comes with the package."""
    if path is None:
        sample = importlib.resources.files("clstm").joinpath("data", SAMPLE)
        return f"{SAMPLE} (comes with clstm)", sample.read_bytes()
    return path, read_bytes(path)


def check_above_zero(args, name, series):
    """With --log all values have to be positive; says which is not."""
    bad = np.flatnonzero(series.values <= 0)
    if args.log and len(bad):
        where = f"line {series.lines[bad[0]]}, column {series.name!r}"
        raise CommandError(f"{name}: {where}: --log needs values above 0, got {series.values[bad[0]]:g}")


@contextmanager
def values_refused_in(name, series):
    """A ValueError about the values y becomes a CommandError that says which column it is."""
    try:
        yield
    except ValueError as error:
        text = str(error)
        text = f"column {series.name!r}: {text[3:]}" if text.startswith("y: ") else text
        raise CommandError(f"{name}: {text}") from error


def check_length(horizon, name, series, needs_test):
    """Raises CommandError if there are too few values; says for which horizon they would do."""
    from ..forecasting import least_values

    def needed(horizon):
        return least_values(horizon) + horizon * needs_test

    rows = len(series.values)
    if rows < needed(horizon):
        text = f"expected at least {needed(horizon)} values for a horizon of {horizon}, got {rows}"
        fitting = [shorter for shorter in range(1, min(horizon, rows)) if needed(shorter) <= rows]
        text += f", enough for --horizon {fitting[-1]}" if fitting else ""
        raise CommandError(f"{name}: column {series.name!r}: {text}")


def drawn(args, results):
    """The picture as bytes; None if there is to be none."""
    if args.plot is None:
        return None
    from .. import plot

    figure = new_figure(9, 5 if len(results) == 1 else 1 + 3 * len(results))
    panels = figure.subplots(len(results), squeeze=False, sharex=True)[:, 0]
    for ax, result in zip(panels, results, strict=True):
        plot.forecast(
            result.series.values,
            result.forecast,
            backtest=result.backtest,
            steps=steps_of(result.series, len(result.forecast.mean))[2],
            level=result.level,
            name=result.series.name,
            ax=ax,
        )
    return picture(args.plot, figure)
