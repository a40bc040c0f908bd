"""What `clstm forecast` tells, as lines of text for 80 columns."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from .text import field, formatter, less, paragraph, percent

if TYPE_CHECKING:
    from ..forecasting import Backtest, Forecast
    from ..forecasting.series import Plan
    from .tables import Series

HORIZON, LEVEL = 24, 0.8  # unless told otherwise
POWERS = {0: "logarithm", 0.5: "square root", 1: "none"}
ROWS = {
    "lstm": "LSTM",
    "preparation_alone": "preparation alone, no network",
    "seasonal_naive": "seasonal-naive",
    "last_value": "last value repeated",
}
WORDS = {
    "preparation_alone": "the preparation alone",
    "seasonal_naive": "seasonal-naive",
    "last_value": "the last value repeated",
}


class Result(NamedTuple):
    """What there is to tell of a column.

    Attributes
    ----------
    series : Series
    plan : Plan
    season : float or None
        As it was given.
    networks : str
        What was trained.
    forecast : Forecast
    level : float
        Of its band.
    backtest : Backtest or None
    """

    series: Series
    plan: Plan
    season: float | None
    networks: str
    forecast: Forecast
    level: float
    backtest: Backtest | None


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


def document(results):
    """All of it, for JSON."""
    told = []
    for result in results:
        series, test, rows = result.series, result.backtest, len(result.series.values)
        steps = steps_of(series, len(result.forecast.mean))[1][rows:]
        values = zip(steps, *result.forecast, strict=True)
        entry = {
            "column": series.name,
            "rows": rows,
            "missing": int(np.isnan(series.values).sum()),
            "plan": result.plan._asdict(),
            "backtest": None,
            "level": result.level,
            "forecast": [dict(zip(("step", "mean", "low", "high"), row, strict=True)) for row in values],
        }
        if test is not None:
            scores = {name: {"rmse": rmse, "mae": mae} for name, (rmse, mae) in test.scores().items()}
            entry["backtest"] = {"origin": test.origin, "inside_band": test.inside(), "scores": scores}
        told.append(entry)
    return {"columns": told}


def report_lines(results, quiet):
    """Everything behind what was read; or the tables of the forecasts only."""
    lines = []
    for result in results:
        series, rows = result.series, len(result.series.values)
        title, labels, _ = steps_of(series, len(result.forecast.mean))
        if len(results) > 1:
            lines += ["", f"Column {series.name}"] if not quiet else ["", f"  {series.name}"]
        if not quiet:
            lines += plan_lines(result)
            lines += backtest_lines(result.backtest, result.level) if result.backtest is not None else []
            lines += ["", f"Forecast, with the band that should hold {100 * result.level:g} % of the values", ""]
        lines += forecast_lines(labels[rows:], result.forecast, title)
    return lines


def series_lines(name, series):
    """What was read."""
    lines = [textwrap.fill(f"{name}, column {series.name}", 78)]
    rows, gaps = len(series.values), int(np.isnan(series.values).sum())
    lines.append(field("rows", ", ".join([str(rows), *when(series.dates)])))
    if series.trimmed:
        lines.append(field("left out", f"{series.trimmed} at the ends, without a value"))
    if gaps:
        lines.append(field("gaps", f"{gaps} missing ({percent(gaps / rows)}), interpolated"))
    return lines


def when(dates):
    """From when to when, and how often."""
    if dates is None:
        return ["no dates: steps are counted"]
    how_often = "not evenly spaced: steps are counted" if dates.step is None else str(dates.step)
    return [f"{dates.text(dates.times[0])} to {dates.text(dates.times[-1])}", how_often]


def plan_lines(result):
    """What the preparation found, and what was trained on it."""
    plan = result.plan
    sees = "changes from step to step" if plan.difference else "values, not their changes"
    return [
        field("transform", POWERS[plan.power]),
        field("season", season_text(result.season, plan)),
        field("differences", f"{'yes' if plan.difference else 'no'}: the networks see {sees}"),
        field("networks", f"{result.networks}; their mean counts"),
    ]


def season_text(given, plan):
    """The season, and how much it is worth."""
    if plan.period is None:
        return "none, as given" if given is not None else "none found"
    told = percent(max(plan.skill, 0))
    if plan.seasonal:
        return f"{plan.period:g} steps; it foretells {told} of the variance around the trend"
    return f"none that is regular; the best, {plan.period:g} steps, foretells {told} of the variance around the trend"


def backtest_lines(test, level):
    """The table of errors, who wins, and how good the band was."""
    rows = {**ROWS, "seasonal_naive": f"seasonal-naive, {round(test.period or 1)} steps back"}
    scores = test.scores()
    show = formatter(np.array(list(scores.values())), min(map(min, scores.values())), 4)
    known = int(np.isfinite(test.truth).sum())
    text = f"Back-test: the last {len(test.truth)} values, forecast from the {test.origin} before them"
    lines = ["", text, "", f"  {'':<36}{'RMSE':>12}{'MAE':>12}"]
    lines += [f"  {rows[name]:<36}{show(rmse):>12}{show(mae):>12}" for name, (rmse, mae) in scores.items()]
    inside = (
        f"{test.inside()} of {known} values ({percent(test.inside() / known)}) are inside the {100 * level:g} % band."
    )
    words = verdict({name: rmse for name, (rmse, _) in scores.items()})
    return [*lines, "", *paragraph(words), *paragraph(inside)]


def verdict(rmses):
    """A sentence that says who wins; the LSTM only if it has the smallest error."""
    others = {name: rmse for name, rmse in rmses.items() if name != "lstm"}
    best = min(others, key=others.get)
    lstm, next_best, naive = rmses["lstm"], others[best], others.get("seasonal_naive", others["last_value"])
    if lstm > next_best:
        text = f"The LSTM loses: {WORDS[best]} is better, with a RMSE {less(next_best, lstm)} its own."
        if best == "preparation_alone" and lstm < naive:
            text += f" Both beat the naive forecast, the LSTM with a RMSE {less(lstm, naive)}."
        return text
    if lstm == next_best:
        return f"The LSTM is no better than {WORDS[best]}."
    text = f"The LSTM wins: its RMSE is {less(lstm, next_best)} that of the next best, {WORDS[best]}"
    return text + ("." if next_best == naive else f", and {less(lstm, naive)} that of the naive forecast.")


def forecast_lines(labels, forecast, title):
    """The table of the forecast, a row for each label."""
    with np.errstate(invalid="ignore"):  # infinite, where a series grows beyond all numbers
        size = np.median(forecast.high - forecast.low)
    show = formatter(np.concatenate(forecast), size, 3)
    rows = [[label, *map(show, values)] for label, values in zip(labels, zip(*forecast, strict=True), strict=True)]
    rows.insert(0, [title, "forecast", "low", "high"])
    first = max(len(row[0]) for row in rows)
    width = max(11, *(len(text) + 2 for row in rows for text in row[1:]))
    return [f"  {row[0]:<{first}}" + "".join(f"{text:>{width}}" for text in row[1:]) for row in rows]
