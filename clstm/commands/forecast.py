"""What the subcommands do: arguments, checks before the work, the work, the report."""

from __future__ import annotations

import argparse
import importlib.resources
import io
import os
import tempfile
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from .report import backtest_lines, forecast_lines, plan_lines, series_lines
from .tables import Series, TableError, read_series

if TYPE_CHECKING:
    from ..forecasting import Backtest, Forecast, Forecaster

SAMPLE = "airline.csv"  # monthly airline passengers; clstm/data/README.md says where it comes from

FORECAST_HELP = """\
Forecast a column of a CSV file with an LSTM.

The rows are evenly spaced steps in time, oldest first. Logarithm, season and
differences are found from the data. The last values are held out first, and
forecast from those before them: this back-test says how far to trust the
forecast, and whether the LSTM is better than something simpler.
"""
FORECAST_EXAMPLES = """\
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


class CommandError(Exception):
    """Data or files do not fit; the message begins with the name of the subcommand."""


def add_forecast(commands):
    """Adds `clstm forecast` to the parsers of the subcommands."""
    parser = commands.add_parser(
        "forecast",
        help="forecast a column of a CSV file",
        description=FORECAST_HELP,
        epilog=FORECAST_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("csv", nargs="?", metavar="CSV", help="the file; without it, the airline passengers that come with clstm")
    add("--column", metavar="NAME", help="what to forecast; needed if several columns hold numbers")
    add("--date", metavar="NAME", help="the column of the dates, or none; default: the first that holds dates")
    add("--horizon", type=positive, default=24, metavar="N", help="how many values to forecast (%(default)s)")
    add("--season", type=season, metavar="S", help="steps after which it repeats, or none; default: found in the data")
    log = "see logarithms, for changes that grow with the level; default: found in the data"
    add("--log", action=argparse.BooleanOptionalAction, default=None, help=log)
    add("--level", type=level, default=0.8, metavar="P", help="share of the values inside the band (%(default)s)")
    add("--seed", type=natural, default=0, metavar="N", help="of the random numbers (%(default)s)")
    add("--plot", metavar="FILE", help="draw history, back-test and forecast: .png, .svg or .pdf")
    add("--save", metavar="FILE", help="write the trained model: .safetensors")
    add("--quiet", action="store_true", help="print the table of the forecast only, without back-test and progress")
    parser.set_defaults(run=forecast)


# Arguments


def positive(text):
    """An int of at least 1."""
    return checked(text, int, lambda value: value >= 1, "a whole number of at least 1")


def natural(text):
    """An int of at least 0."""
    return checked(text, int, lambda value: value >= 0, "a whole number of at least 0")


def season(text):
    """A number of steps; 0 for none."""
    if text.lower() == "none":
        return 0
    value = checked(text, float, lambda value: 2 <= value < float("inf"), "a number of at least 2, or none")
    return int(value) if value == int(value) else value


def level(text):
    """A number between 0 and 1."""
    return checked(text, float, lambda value: 0 < value < 1, "a number between 0 and 1, such as 0.8")


def checked(text, kind, fits, expected):
    """A number from text, if it fits."""
    try:
        value = kind(text)
        if fits(value):
            return value
    except ValueError:
        pass
    raise argparse.ArgumentTypeError(f"expected {expected}, got {text!r}")


# clstm forecast


class Result(NamedTuple):
    """What `clstm forecast` has to tell."""

    series: Series
    model: Forecaster
    forecast: Forecast
    backtest: Backtest | None


def forecast(args):
    """The command; raises `CommandError`."""
    check_outputs(args)
    name, data = input_of(args.csv)
    try:
        series = read_series(data, args.column, args.date)
    except TableError as error:
        raise CommandError(f"forecast: {name}: {error}") from error
    check_above_zero(args, name, series)
    if not args.quiet:
        print(*series_lines(name, series), sep="\n", flush=True)
    result = learn(args, name, series)
    written = write_outputs(args, result)
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
    try:
        if os.path.isdir(path):
            raise IsADirectoryError(0, "it is a folder")
        with open(path, "rb") as file:
            return path, file.read()
    except (OSError, ValueError) as error:  # a ValueError is a name with a zero in it
        raise CommandError(f"forecast: cannot read {path!r}: {reason(error)}") from error


def check_above_zero(args, name, series):
    """With --log all values have to be positive; says which is not."""
    bad = np.flatnonzero(series.values <= 0)
    if args.log and len(bad):
        where = f"line {series.lines[bad[0]]}, column {series.name!r}"
        raise CommandError(f"forecast: {name}: {where}: --log needs values above 0, got {series.values[bad[0]]:g}")


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
        raise CommandError(f"forecast: {name}: {text}") from error
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
        raise CommandError(f"forecast: {name}: column {series.name!r}: {text}")


# Files that are written


def check_outputs(args):
    """Raises CommandError if a file could not be written, before any work is done for it."""
    for option, path in (("--plot", args.plot), ("--save", args.save)):
        if path is not None:
            check_writable(option, path)
            if args.csv is not None and same_file(path, args.csv):
                raise CommandError(f"forecast: {option}: {path!r} is the file to read")
    if args.plot is not None and args.save is not None and same_file(args.plot, args.save):
        raise CommandError(f"forecast: --plot and --save: both are {args.save!r}")
    if args.plot is not None:
        check_picture(args.plot)


def check_writable(option, path):
    """Raises CommandError if there can be no such file; leaves none behind."""
    try:
        folder = os.path.dirname(os.path.realpath(path))
        if os.path.isdir(path) or not os.path.basename(path):
            raise IsADirectoryError(0, "it is a folder")
        if not os.path.isdir(folder):
            raise NotADirectoryError(0, "there is no such folder")
        if os.path.exists(path) and not os.access(path, os.W_OK):
            raise PermissionError(0, "permission denied")
        with tempfile.TemporaryFile(dir=folder):
            pass
    except (OSError, ValueError) as error:
        raise CommandError(f"forecast: {option}: cannot write {path!r}: {reason(error)}") from error


def check_picture(path):
    """Raises CommandError if matplotlib is not there, or cannot draw a file of this kind."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        hint = 'pip install "clstm-toolkit[plot]"'
        raise CommandError(f"forecast: --plot needs matplotlib, which is not installed: {hint}") from error
    ending = os.path.splitext(path)[1].lower().removeprefix(".")
    if ending not in Figure().canvas.get_supported_filetypes():
        raise CommandError(f"forecast: --plot: expected a name that ends in .png, .svg or .pdf, got {path!r}")


def same_file(one, other):
    """Whether two paths name one file, which need not exist."""
    return os.path.realpath(one) == os.path.realpath(other)


def write_outputs(args, result):
    """Writes what was asked for, and returns the names."""
    picture = None if args.plot is None else drawn(args, result)
    written = []
    try:
        if args.save is not None:
            result.model.save(args.save)
            written.append(args.save)
        if picture is not None:
            replace_file(args.plot, picture)
            written.append(args.plot)
    except OSError as error:
        raise CommandError(f"forecast: cannot write {error.filename!r}: {reason(error)}") from error
    return written


def drawn(args, result):
    """The picture as bytes."""
    from matplotlib.figure import Figure

    from .. import plot

    figure = Figure(figsize=(9, 5), layout="constrained")
    plot.forecast(
        result.series.values,
        result.forecast,
        backtest=result.backtest,
        steps=steps_of(result.series, args.horizon)[2],
        level=args.level,
        name=result.series.name,
        ax=figure.add_subplot(),
    )
    file = io.BytesIO()
    figure.savefig(file, format=os.path.splitext(args.plot)[1].lower().removeprefix("."), dpi=150)
    return file.getvalue()


def replace_file(path, data):
    """Writes a file that is complete or not there at all."""
    folder, name = os.path.split(os.path.realpath(path))
    temporary = os.path.join(folder, f".clstm-{os.urandom(8).hex()}.tmp")
    try:
        with open(temporary, "xb") as file:
            file.write(data)
        os.replace(temporary, os.path.join(folder, name))
    except BaseException as error:
        if os.path.exists(temporary):
            os.remove(temporary)
        if isinstance(error, OSError):
            error.filename, error.filename2 = path, None
        raise


def reason(error):
    """What the system says about a file, in small letters, without number and name."""
    text = getattr(error, "strerror", None) or str(error)
    return text[:1].lower() + text[1:]
