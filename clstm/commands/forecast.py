"""`clstm forecast`: the next values of a column, and a back-test that says how far to trust them."""

from __future__ import annotations

import argparse
import importlib.resources
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from .arguments import add_seed, positive, season, share
from .errors import CommandError, refused_in
from .files import check_outputs, read_bytes, write_outputs
from .forecast_report import backtest_lines, forecast_lines, plan_lines, series_lines
from .pictures import new_figure, picture
from .tables import Series, read_series

if TYPE_CHECKING:
    from ..forecasting import Backtest, Forecast, Forecaster

SAMPLE = "airline.csv"  # monthly airline passengers; clstm/data/README.md says where it comes from

DESCRIPTION = """\
Forecast a column of a CSV file with an LSTM.

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
      goes to a file: clstm.forecasting.Forecaster.load reads it
  clstm forecast sales.csv --column units --quiet > next.txt
      only the table of the forecast, for another program
"""


def add_arguments(parser):
    """What `clstm forecast` takes."""
    add = parser.add_argument
    add("csv", nargs="?", metavar="CSV", help="the file; without it, the airline passengers that come with clstm")
    add("--column", metavar="NAME", help="what to forecast; needed if several columns hold numbers")
    add("--date", metavar="NAME", help="the column of the dates, or none; default: the first that holds dates")
    add("--horizon", type=positive, default=24, metavar="N", help="how many values to forecast (%(default)s)")
    add("--season", type=season, metavar="S", help="steps after which it repeats, or none; default: found in the data")
    log = "see logarithms, for changes that grow with the level; default: found in the data"
    add("--log", action=argparse.BooleanOptionalAction, default=None, help=log)
    add("--level", type=share, default=0.8, metavar="P", help="share of the values inside the band (%(default)s)")
    add_seed(parser)
    add("--plot", metavar="FILE", help="draw history, back-test and forecast: .png, .svg or .pdf")
    add("--save", metavar="FILE", help="write the trained model: .safetensors")
    add("--quiet", action="store_true", help="print the table of the forecast only, without back-test and progress")


class Result(NamedTuple):
    """What `clstm forecast` has to tell."""

    series: Series
    model: Forecaster
    forecast: Forecast
    backtest: Backtest | None


def run(args):
    """The command; raises `CommandError`."""
    check_outputs(args, args.csv)
    name, data = input_of(args.csv)
    with refused_in(name):
        series = read_series(data, args.column, args.date)
    check_above_zero(args, name, series)
    if not args.quiet:
        print(*series_lines(name, series), sep="\n", flush=True)
    result = learn(args, name, series)
    written = write_outputs(args, result.model, drawn(args, result))
    if not args.quiet:
        print(*plan_lines(result.model), *backtest_lines(result.backtest, args.level), sep="\n")
        print(f"\nForecast, with the band that should hold {100 * args.level:g} % of the values\n")
    title, labels, _ = steps_of(series, args.horizon)
    print(*forecast_lines(labels[len(series.values) :], result.forecast, title), sep="\n")
    if written and not args.quiet:
        print(f"\nwrote {' and '.join(written)}")


def steps_of(series, horizon):
    """What the steps of series and forecast are called, as title, labels, and values for an axis.

    They are dates if these are evenly spaced, and do not leave the calendar; otherwise numbers from 1.
    """
    dates, rows = series.dates, len(series.values)
    if dates is not None and dates.step is not None:
        try:
            times = dates.times + dates.following(horizon)
            return "date", [dates.text(time) for time in times], times
        except OverflowError:
            pass
    numbers = range(1, rows + horizon + 1)
    return "step", list(map(str, numbers)), numbers


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


def learn(args, name, series):
    """Back-test and forecast."""
    from ..forecasting import Forecaster  # not before it is clear that there is something to learn

    model = Forecaster(args.horizon, season=args.season, log=args.log, seed=args.seed)
    needs_test = not args.quiet or args.plot is not None
    check_length(args.horizon, name, series, needs_test)
    try:
        test = model.backtest(series.values, level=args.level, progress=not args.quiet) if needs_test else None
        model.fit(series.values, progress=not args.quiet)
    except ValueError as error:
        text = str(error)
        text = f"column {series.name!r}: {text[3:]}" if text.startswith("y: ") else text
        raise CommandError(f"{name}: {text}") from error
    return Result(series, model, model.predict(args.level), test)


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


def drawn(args, result):
    """The picture as bytes; None if there is to be none."""
    if args.plot is None:
        return None
    from .. import plot

    figure = new_figure()
    plot.forecast(
        result.series.values,
        result.forecast,
        backtest=result.backtest,
        steps=steps_of(result.series, args.horizon)[2],
        level=args.level,
        name=result.series.name,
        ax=figure.add_subplot(),
    )
    return picture(args.plot, figure)
