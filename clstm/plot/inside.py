"""Pictures of a trace: what gates and states did over time, and how often gates are shut or open."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .. import _arrays
from ..trace import BETWEEN_0_AND_1, Trace, saturation_limits
from . import style

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes

NAMES = {
    "i": "input gate i",
    "f": "forget gate f",
    "o": "output gate o",
    "g": "candidate g",
    "r": "reset gate r",
    "z": "update gate z",
    "n": "candidate n",
    "c": "cell state c",
    "h": "hidden state h",
}
STATES = "ch"
FEW = 5  # lines of `states`, unless told otherwise
SHARES, SIGNED = "cividis", "PuOr"  # colours of numbers from 0 to 1, and of numbers around 0


def gates(
    trace: Trace,
    names: str | Sequence[str] | None = None,
    *,
    row: int = 0,
    index: int = 0,
    units: Sequence[int] | None = None,
    axes: Sequence[Axes] | None = None,
) -> np.ndarray:
    """Heat maps: the value of each gate for each unit, over the steps of one row.

    Values between 0 and 1 go from dark (shut) to light (open). Others (candidates, states, gates with activations that
    leave 0 to 1) go from white, which is zero, to violet above and brown below. Padding is not shown.

    Parameters
    ----------
    trace : Trace
    names : sequence of str, optional
        Which of "i", "f", "c" .. to draw, from the top. None: all gates, those between 0 and 1 first.
    row : int, default 0
        Of the batch.
    index : int, default 0
        Of layer and direction: the first axis of the trace.
    units : sequence of int, optional
        Which units to draw, from the top. None: all.
    axes : sequence of matplotlib.axes.Axes, optional
        One for each name. None: a new figure of pyplot.

    Returns
    -------
    axes : ndarray of matplotlib.axes.Axes

    Examples
    --------
    >>> import numpy as np, clstm
    >>> from matplotlib.figure import Figure  # without pyplot, so that no window can open
    >>> from clstm import plot
    >>> trace = clstm.LSTM(3, 8, rng=0).trace(np.ones((2, 30, 3)))
    >>> axes = Figure(layout="constrained").subplots(2, sharex=True)
    >>> [ax.get_ylabel() for ax in plot.gates(trace, ["f", "o"], axes=axes)]
    ['forget gate f\\nunit', 'output gate o\\nunit']
    """
    steps, units = shown(trace, row, index, units)
    names = gates_of(trace) if names is None else [_arrays.choice("names", name, tuple(trace)) for name in names]
    if not names:
        raise _arrays.wrong(ValueError, "names", "at least one name", "none")
    if axes is None:
        axes = np.atleast_1d(style.new_axes(len(names), figsize=(7, 0.6 + 1.5 * len(names))))
    elif np.size(axes) != len(names):
        raise _arrays.wrong(ValueError, "axes", f"{len(names)}, one for each of {', '.join(names)}", np.size(axes))
    axes = np.atleast_1d(np.array(axes, dtype=object)).ravel()
    bars: dict[tuple, tuple] = {}  # by colours and limits, the picture and all axes that have them
    for name, ax in zip(names, axes, strict=True):
        values = getattr(trace, name)[index, row, :steps][:, units].T
        colours = colours_of(name, values)
        picture = ax.imshow(values, **colours, aspect="auto", interpolation="nearest", extent=extent_of(values))
        bars.setdefault(tuple(colours.values()), (picture, []))[1].append(ax)
        unit_axis(ax, units)
        ax.set_ylabel(f"{NAMES.get(name, name)}\nunit")
    for picture, sharing in bars.values():
        ticks = np.linspace(*picture.get_clim(), 5 if len(sharing) > 1 else 3)
        bar = sharing[0].figure.colorbar(picture, ax=sharing, aspect=12 * len(sharing), pad=0.02, fraction=0.05)
        bar.set_ticks(ticks, labels=[f"{tick:.2g}".replace("-", "\N{MINUS SIGN}") for tick in ticks])
    for ax in axes[:-1]:
        if ax.get_subplotspec() is not None and ax.get_shared_x_axes().joined(ax, axes[-1]):
            ax.tick_params(labelbottom=False)
    axes[-1].set_xlabel("step t")
    style.whole_steps(axes[-1].xaxis)
    return axes


def states(
    trace: Trace,
    name: str | None = None,
    *,
    units: Sequence[int] | None = None,
    row: int = 0,
    index: int = 0,
    ax: Axes | None = None,
) -> Axes:
    """Lines: the trajectories of some units over the steps of one row.

    Parameters
    ----------
    trace : Trace
    name : str, optional
        "c", "h" or a gate. None: "c" or, where there is none, "h".
    units : sequence of int, optional
        None: the five that move most, in their order.
    row, index : int, default 0
        As for `gates`.
    ax : matplotlib.axes.Axes, optional
        None: a new figure of pyplot.

    Returns
    -------
    matplotlib.axes.Axes

    Examples
    --------
    >>> import numpy as np, clstm
    >>> from matplotlib.figure import Figure
    >>> from clstm import plot
    >>> trace = clstm.GRU(3, 8, rng=0).trace(np.ones((2, 30, 3)))
    >>> ax = plot.states(trace, units=[0, 5], ax=Figure().add_subplot())
    >>> [line.get_label() for line in ax.lines[:2]], ax.get_ylabel()
    (['unit 0', 'unit 5'], 'hidden state h')
    """
    steps, chosen = shown(trace, row, index, units)
    if name is None:
        name = "c" if "c" in trace else "h"
    values = getattr(trace, _arrays.choice("name", name, tuple(trace)))[index, row, :steps]
    if units is None:
        chosen = np.sort(np.argsort(-values.std(axis=0), kind="stable")[:FEW])
    ax = style.new_axes(figsize=(7, 3.5)) if ax is None else ax
    for k, unit in enumerate(chosen):
        ax.plot(np.arange(steps), values[:, unit], **style.line(k), label=f"unit {unit}")
    if values[:, chosen].min() < 0:
        ax.axhline(0, color=style.DARK, linewidth=0.6, zorder=0)
    style.frame(ax)
    ax.margins(x=0.01)
    ax.set_xlabel("step t")
    ax.set_ylabel(NAMES.get(name, name))
    style.whole_steps(ax.xaxis)
    style.legend_above(ax)
    return ax


def saturation(
    trace: Trace, name: str, *, low: float | None = None, high: float | None = None, ax: Axes | None = None
) -> Axes:
    """Points: for each unit, how often a gate is nearly open against how often it is nearly shut.

    This is the picture of Karpathy, Johnson and Fei-Fei (2015). A unit in the lower right corner is always open, one in
    the upper left corner always shut; one on the dashed line is always one of both, one at the origin never.

    Parameters
    ----------
    trace : Trace
    name, low, high
        As for `Trace.saturation`.
    ax : matplotlib.axes.Axes, optional
        None: a new figure of pyplot.

    Returns
    -------
    matplotlib.axes.Axes

    Examples
    --------
    >>> import numpy as np, clstm
    >>> from matplotlib.figure import Figure
    >>> from clstm import plot
    >>> trace = clstm.LSTM(3, 8, rng=0).trace(np.ones((2, 30, 3)))
    >>> ax = plot.saturation(trace, "f", ax=Figure().add_subplot())
    >>> ax.get_xlabel(), ax.get_ylabel()
    ('share of steps with f > 0.9', 'share of steps with f < 0.1')
    """
    checked_trace(trace)
    left, right = trace.saturation(name, low, high)
    low, high = saturation_limits(name, low, high)
    ax = style.new_axes(figsize=(4.5, 4.5)) if ax is None else ax
    ax.plot([0, 1], [1, 0], color=style.DARK, linewidth=0.8, linestyle="--", zorder=1)
    for k in range(len(left)):
        colour = style.line(k)["color"]
        mark = {"marker": style.MARKS[k % len(style.MARKS)], "s": 34, "facecolor": "none", "edgecolor": colour}
        ax.scatter(right[k], left[k], **mark, linewidth=1.1, label=f"index {k}", clip_on=False, zorder=2)
    style.frame(ax, "both")
    ax.set(xlim=(0, 1), ylim=(0, 1), aspect="equal")
    ax.set_xlabel(f"share of steps with {name} > {high:g}")
    ax.set_ylabel(f"share of steps with {name} < {low:g}")
    if len(left) > 1:
        style.legend_above(ax)
    return ax


# Checks, and what is drawn


def checked_trace(trace):
    """A trace with all its axes."""
    if not isinstance(trace, Trace):
        raise _arrays.wrong(TypeError, "trace", "a Trace", _arrays.kind(trace))
    if getattr(trace, next(iter(trace))).ndim != 4:
        raise _arrays.wrong(ValueError, "trace", "one of a whole layer, (L*D, N, T, H)", repr(trace))


def shown(trace, row, index, units):
    """How many steps the row has, and the units that are drawn."""
    checked_trace(trace)
    values = getattr(trace, next(iter(trace)))
    index = _arrays.whole("index", index, values.shape[0])
    row = _arrays.whole("row", row, values.shape[1])
    steps = values.shape[2] if trace._valid is None else int(trace._valid["h"][index, row, :, 0].sum())
    if steps == 0:
        raise _arrays.wrong(ValueError, "row", "one with valid steps", row)
    if units is None:
        return steps, np.arange(values.shape[3])
    chosen = _arrays.integers("units", units)
    if chosen.ndim != 1 or chosen.size == 0:
        raise _arrays.wrong(ValueError, "units", "a list of at least one unit", f"shape {chosen.shape}")
    _arrays.in_range("units", chosen, values.shape[3], "a unit")
    return steps, chosen


def gates_of(trace):
    """Names of the gates of a trace, those between 0 and 1 first; of a plain RNN, which has none, the state."""
    names = [name for name in trace if name not in STATES]
    return sorted(names, key=lambda name: name not in BETWEEN_0_AND_1) or ["h"]


def colours_of(name, values):
    """Map and limits: 0 to 1 for gates that stay there, else symmetric around 0."""
    low, high = float(values.min()), float(values.max())
    if name in BETWEEN_0_AND_1 and low >= 0 and high <= 1:
        return {"cmap": SHARES, "vmin": 0, "vmax": 1}
    bound = max(abs(low), abs(high))
    bound = 1 if bound <= 1 and name != "c" else bound or 1
    return {"cmap": SIGNED, "vmin": -bound, "vmax": bound}


def extent_of(values):
    """Edges of a picture whose columns are steps and whose rows are units."""
    units, steps = values.shape
    return -0.5, steps - 0.5, units - 0.5, -0.5


def unit_axis(ax, units):
    """Ticks that name the units: all of a few, or some of many."""
    every = max(1, -(-len(units) // 8))
    places = np.arange(0, len(units), every)
    ax.set_yticks(places, [str(units[place]) for place in places])
