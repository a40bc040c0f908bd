"""`clstm detect`: what is unusual in a series, and when."""

from __future__ import annotations

import numpy as np

from . import models
from .arguments import add_impute, add_model, add_report, add_training, natural, positive, share, share_up_to_1
from .errors import CommandError, refused_in
from .files import check_outputs, read_bytes, write_outputs
from .pictures import new_figure, picture
from .tables import read_columns
from .text import begin, field, finish, shortened, table

DESCRIPTION = """\
Find what is unusual in a series.

A network learns to foretell the next values, or to put a window of values
together again; what it does badly is unusual. The rows are evenly spaced steps
in time, oldest first. A score is so many times the usual error, on average
over the last --smooth steps: what lasts counts more than a single odd value,
and is seen a little later. The threshold is the score that a share of the
steps learnt, --contamination, is above. So many alarms there will be: look at
the scores.
"""
EXAMPLES = """\
examples:
  clstm detect taxi.csv --column value --calendar --plot taxi.png
      events with their scores, and a picture of them; the network knows hours
      and days of the week
  clstm detect taxi.csv --smooth 1 --learn 0.5 --contamination 0.002
      single odd values; learns the first half, which is known to be in order
  clstm detect machine.csv --column volt --column ampere --save m.safetensors
      several columns together; the model goes to a file
  clstm detect --model m.safetensors tomorrow.csv --json
      looks at other values, for another program
"""
METHODS = ("forecast", "autoencoder")


def add_arguments(parser):
    """What `clstm detect` takes."""
    add = parser.add_argument
    add("file", metavar="CSV", help="the file; with --model: values to look at")
    text = "what to look at; needed if several columns hold numbers, may be repeated"
    add("--column", metavar="NAME", action="append", help=text)
    add("--time", metavar="NAME", help="the column of the dates, or none; default: the first that holds dates")
    text = "forecast looks at what came before, autoencoder at windows around (forecast)"
    add("--method", choices=METHODS, help=text)
    add("--window", type=positive, metavar="N", help="steps that the network sees (32)")
    text = "steps up to each whose mean is its score; 1 finds single values (as many as --window)"
    add("--smooth", type=positive, metavar="N", help=text)
    add("--contamination", type=share, metavar="P", help="share of the steps learnt that is above the threshold (0.01)")
    add("--learn", type=share_up_to_1, metavar="P", help="learn the first share of the rows only (1)")
    text = "the network knows time of day and day of the week, so that a quiet Monday is as odd as a busy night"
    add("--calendar", action="store_true", default=None, help=text)
    text = "alarms with at most so many steps between them are one event (%(default)s)"
    add("--gap", type=natural, default=12, metavar="N", help=text)
    add_model(parser, "look")
    add_impute(parser)
    add_training(parser, hold_out=None)
    add_report(parser, "the series with its events, and the scores")


def run(args):
    """The command; raises `CommandError`."""
    check_outputs(args, args.file, args.model)
    if args.model:
        model = models.load(args, "method", "window", "smooth", "contamination", "learn", "impute", "seed")
        known = models.reading_of(args, model, columns="column", time="time", calendar="calendar")
        found = read(args, known["columns"], known["time"], model.impute)
        exog = calendar(args, found) if known["calendar"] else None
        begin(args, args.file, *data_lines(found, 0))
    else:
        found = read(args, args.column, args.time, args.impute)
        count = len(found.values) if args.learn is None else round(args.learn * len(found.values))
        exog = calendar(args, found) if args.calendar else None
        begin(args, args.file, *data_lines(found, count))
        model = learnt(args, found, exog, count)
    with refused_in(args.file):
        scores = -model.score_samples(series_of(found), exog=exog)
    result = document(args, model, found, scores)
    written = write_outputs(args, model, drawn(args, found, scores, result))
    finish(args, ["", *lines(result)], result, written)


def read(args, columns, time, impute):
    """The file, complete or to be filled; raises CommandError."""
    data = read_bytes(args.file)
    with refused_in(args.file):
        found = read_columns(data, columns, time)
        if impute is None:
            found.check_complete()
    return found


def series_of(found):
    """The values as estimators take them: (n,), or (n, C)."""
    return found.values[:, 0] if len(found.names) == 1 else found.values


def calendar(args, found):
    """What is known of each date (n, 9): sine and cosine of the time of day, and which day of the week it is."""
    if found.dates is None:
        raise CommandError(f"{args.file}: expected a column of dates for --calendar, got none (--time names it)")
    times = found.dates.times
    angle = 2 * np.pi * np.array([(time.hour * 60 + time.minute) / 1440 for time in times])
    days = np.eye(7)[[time.weekday() for time in times]]
    return np.column_stack([np.sin(angle), np.cos(angle), days])


def learnt(args, found, exog, count):
    """A model of the first rows."""
    names = ("method", "window", "smooth", "contamination", "impute")
    options = {name: getattr(args, name) for name in names if getattr(args, name) is not None}
    if count < 2:
        raise CommandError(f"{args.file}: expected more rows to learn from, got {count} of {len(found.values)}")
    model = models.make(args, "LSTMAnomalyDetector", **options)
    known = None if exog is None else exog[:count]
    model = models.learn(args, model, args.file, series_of(found)[:count], exog=known)
    model.reading_ = {"columns": found.names, "time": args.time, "calendar": args.calendar}
    return model


def document(args, model, found, scores):
    """What was found, as a dict for JSON."""
    from ..estimators.anomaly import intervals

    labels, threshold = found.labels(), model.threshold_
    events = []
    for first, last in intervals(scores > threshold, gap=args.gap):
        highest = first + int(np.argmax(scores[first : last + 1]))
        events.append(
            {
                "start": labels[first],
                "end": labels[last],
                "first_row": int(first),
                "last_row": int(last),
                "highest": labels[highest],
                "score": scores[highest],
            }
        )
    return {
        "file": args.file,
        "columns": found.names,
        "rows": len(scores),
        "threshold": threshold,
        "alarms": int((scores > threshold).sum()),
        "events": events,
        "scores": scores,
    }


# Text and a picture


def data_lines(found, count):
    """What was read; `count` rows of it are learnt."""
    labels = found.labels()
    rows = f"{len(labels):,}, {labels[0]} to {labels[-1]}"
    names = f"column{'s' * (len(found.names) > 1)}"
    told = [field("rows", rows), field(names, shortened(", ".join(found.names), 300))]
    return told + (
        [field("learnt", f"the first {count:,}, up to {labels[count - 1]}")] if 0 < count < len(labels) else []
    )


def lines(result):
    """The events, in their order."""
    alarms = f"{result['alarms']:,} of {result['rows']:,} steps are above the threshold, {result['threshold']:.2f}"
    if not result["events"]:
        return [f"No events: {alarms}."]
    rows = [["event", "to", "steps", "highest score", "at"]]
    for event in result["events"]:
        steps = str(event["last_row"] - event["first_row"] + 1)
        rows.append([event["start"], event["end"], steps, f"{event['score']:.2f}", event["highest"]])
    widest = max(map(len, table(rows)))
    if widest > 80:
        rows = [row[:4] for row in rows]
    count = len(result["events"])
    return [f"{count} event{'s' * (count > 1)}; {alarms}.", "", *table(rows)]


def drawn(args, found, scores, result):
    """The picture; None if there is to be none."""
    if args.plot is None:
        return None
    from ..plot import style

    steps = np.arange(1, len(scores) + 1) if found.dates is None else np.array(found.dates.times)
    figure = new_figure(10, 5.5)
    above, below = figure.subplots(2, sharex=True, height_ratios=(2, 1))
    for k, name in enumerate(found.names):
        above.plot(steps, found.values[:, k], **{**style.line(k), "linewidth": 0.8}, label=name)
    below.plot(steps, scores, color=style.DARK, linewidth=0.8, label="score")
    below.axhline(result["threshold"], color=style.ORANGE, linestyle="--", linewidth=1.2, label="threshold")
    for ax in (above, below):
        style.frame(ax)
        ax.margins(x=0.01)
        for event in result["events"]:
            first, last = steps[event["first_row"]], steps[event["last_row"]]
            ax.axvspan(first, last, color=style.ORANGE, alpha=0.3, linewidth=1.5)
        style.legend_above(ax)
    below.set_ylabel("score")
    if len(found.names) == 1:
        above.set_ylabel(found.names[0])
    return picture(args.plot, figure)
