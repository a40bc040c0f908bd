"""The picture of a series and its forecast."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from . import style

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from numpy.typing import ArrayLike

    from ..forecasting import Backtest, Forecast

HISTORY, FORECAST, BACKTEST = style.DARK, style.BLUE, style.ORANGE
SHOWN = 6  # horizons of history, unless told otherwise
LEAST_SHOWN = 100


def forecast(
    history: ArrayLike,
    forecast: Forecast,
    *,
    backtest: Backtest | None = None,
    steps: Sequence[Any] | None = None,
    last: int | None = None,
    level: float | None = None,
    name: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draws a series and what comes next: history, back-test, forecast and its band.

    Parameters
    ----------
    history : array_like, (n,)
        The series; NaN leaves a gap.
    forecast : Forecast
        From `Forecaster.predict`.
    backtest : Backtest, optional
        From `Forecaster.backtest`.
    steps : sequence, optional
        Where the n values and those of the forecast lie: numbers or datetimes. None: 1, 2, ...
    last : int, optional
        How many values of the history to show. None: six horizons, but at least 100 and the whole back-test.
    level : float, optional
        Of the band, for the legend.
    name : str, optional
        Of the series, for the axis.
    ax : matplotlib.axes.Axes, optional
        None: a new figure of pyplot.

    Returns
    -------
    matplotlib.axes.Axes

    Examples
    --------
    >>> import numpy as np
    >>> from matplotlib.figure import Figure  # without pyplot, so that no window can open
    >>> from clstm import plot
    >>> from clstm.forecasting import Forecaster
    >>> y = 10 + np.sin(2 * np.pi * np.arange(60) / 12)
    >>> model = Forecaster(horizon=6, networks=1).fit(y)
    >>> figure = Figure()
    >>> ax = plot.forecast(y, model.predict(), name="waves", ax=figure.add_subplot())
    >>> ax.get_ylabel()
    'waves'
    """
    history = np.asarray(history, dtype=float)
    count, horizon = len(history), len(forecast.mean)
    steps = np.arange(1, count + horizon + 1) if steps is None else np.asarray(steps)
    if len(steps) != count + horizon:
        raise ValueError(f"steps: expected {count + horizon}, for history and forecast, got {len(steps)}")
    ax = style.new_axes() if ax is None else ax
    first = first_shown(count, horizon, last, backtest)
    ax.plot(steps[first:count], history[first:], color=HISTORY, linewidth=1.2, label="history", zorder=5)
    if backtest is not None:
        draw_backtest(ax, steps, backtest)
    draw_forecast(ax, steps[count - 1 :], history[-1], forecast, level)
    finish(ax, name)
    return ax


def first_shown(count, horizon, last, backtest):
    """The first step of the history that is drawn."""
    if last is not None:
        return max(0, count - last)
    first = max(0, count - max(SHOWN * horizon, LEAST_SHOWN))
    return first if backtest is None else min(first, max(0, backtest.origin - horizon))


def draw_backtest(ax, steps, backtest):
    """The forecast of what is known: a dashed line with hollow marks, under the line of the truth."""
    where = steps[backtest.origin : backtest.origin + len(backtest.truth)]
    values, low, high = backtest.forecast
    style = {"facecolor": "none", "edgecolor": BACKTEST, "linewidth": 0, "alpha": 0.45, "hatch": "/////"}
    ax.fill_between(where, low, high, zorder=1, **style)
    marks = {"marker": "o", "markersize": 3.5, "markerfacecolor": "white", "markeredgewidth": 0.9}
    every = max(1, len(where) // 30)
    ax.plot(where, values, "--", color=BACKTEST, linewidth=1.3, markevery=every, label="back-test", zorder=4, **marks)


def draw_forecast(ax, steps, start, forecast, level):
    """The forecast, tied to the last value, which stands first in `steps`."""
    text = "band" if level is None else f"{100 * level:g} % band"
    values, low, high = (np.concatenate([[start], line]) for line in forecast)
    ax.plot(steps, values, color=FORECAST, linewidth=2.2, label="forecast", zorder=4)
    ax.fill_between(steps, low, high, facecolor=FORECAST, alpha=0.22, linewidth=0, label=text, zorder=1)
    ax.axvline(steps[0], color=HISTORY, linewidth=0.8, linestyle=":", zorder=2)


def finish(ax, name):
    """Frame, grid, and a legend above the picture, where it hides nothing."""
    style.frame(ax)
    ax.margins(x=0.01)
    if name is not None:
        ax.set_ylabel(name)
    style.legend_above(ax)
