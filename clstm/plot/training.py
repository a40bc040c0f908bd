"""Pictures of learning: losses over the epochs, and how far back the gradient reaches."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .. import _arrays
from ..gradient_flow import GradientFlow
from . import style

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.axes import Axes
    from numpy.typing import ArrayLike

    from ..training.rate_finder import RateFinding

LOSSES = {"loss": "training", "val_loss": "validation"}


def gradient_flow(
    flow: GradientFlow | Mapping[str, GradientFlow],
    name: str = "h",
    *,
    index: int | None = None,
    relative: bool = False,
    ax: Axes | None = None,
) -> Axes:
    """Lines: how much of the gradient of the loss arrives at each step, on a logarithmic scale.

    Where a line goes down to the left, the gradient vanishes on its way back; where it goes up, it explodes. Norms are
    over the units and all rows. Where one is exactly 0, as beyond the lengths, there is no line.

    Parameters
    ----------
    flow : GradientFlow, or mapping of str to GradientFlow
        Several, with names for the legend: ``{"LSTM": one, "RNN": other}``, or what `Network.gradient_flow` returns.
    name : str, default "h"
        "h" or, of an LSTM, "c".
    index : int, optional
        Of layer and direction. None: a line for each.
    relative : bool, default False
        Whether each line is divided by its largest value, so that the slopes of networks with different losses can be
        compared.
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
    >>> x, dh = np.ones((2, 30, 3)), np.ones((1, 2, 8))
    >>> lstm, rnn = clstm.LSTM(3, 8, rng=0), clstm.RNN(3, 8, rng=0)
    >>> flows = {
    ...     "LSTM": lstm.gradient_flow(x, None, dstate=(dh, dh)),
    ...     "RNN": rnn.gradient_flow(x, None, dstate=dh),
    ... }
    >>> ax = plot.gradient_flow(flows, ax=Figure().add_subplot())
    >>> [line.get_label() for line in ax.lines], ax.get_yscale()
    (['LSTM', 'RNN'], 'log')
    """
    lines = list(flow_lines(flow, name, index))
    relative = _arrays.flag("relative", relative)
    ax = style.new_axes(figsize=(7, 3.5)) if ax is None else ax
    for k, (label, norms) in enumerate(lines):
        scale = norms.max() if relative and norms.max() > 0 else 1
        values = np.where(norms > 0, norms, np.nan) / scale
        ax.plot(np.arange(len(values)), values, **style.line(k), label=label)
    ax.set_yscale("log")
    style.frame(ax)
    ax.margins(x=0.01)
    ax.set_xlabel("step t")
    of_largest = ", relative to the largest" if relative else ""
    ax.set_ylabel(f"norm of ∂L/∂{name}$_t${of_largest}")
    style.whole_steps(ax.xaxis)
    if len(lines) > 1:
        style.legend_above(ax)
    return ax


def flow_lines(flow, name, index):
    """The label and the norms (T,) of each line."""
    flows = flow if hasattr(flow, "items") else {"": flow}
    if not flows:
        raise _arrays.wrong(ValueError, "flow", "at least one GradientFlow", "an empty mapping")
    for title, one in flows.items():
        if not isinstance(one, GradientFlow):
            raise _arrays.wrong(TypeError, "flow", "a GradientFlow, or a mapping to some", _arrays.kind(one))
        norms = one.over_batch(name)
        if norms.ndim != 2:
            raise _arrays.wrong(ValueError, "flow", "one of a whole layer, (L*D, N, T)", repr(one))
        wanted = range(len(norms)) if index is None else [_arrays.whole("index", index, len(norms))]
        for k in wanted:
            place = f"index {k}" if len(norms) > 1 else ""
            yield f"{title} {place}".strip(), norms[k]


def history(
    history: Mapping[str, ArrayLike], names: Sequence[str] | None = None, *, log: bool = False, ax: Axes | None = None
) -> Axes:
    """Lines: the losses of training and validation over the epochs. A ring is around the best of the validation.

    Parameters
    ----------
    history : mapping of str to list
        What `Trainer.fit` returns, or `Trainer.history`.
    names : sequence of str, optional
        What to draw. None: "loss" and, if it is there, "val_loss".
    log : bool, default False
        Whether the axis of the loss is logarithmic.
    ax : matplotlib.axes.Axes, optional
        None: a new figure of pyplot.

    Returns
    -------
    matplotlib.axes.Axes

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> from clstm import plot
    >>> history = {"epoch": [1, 2, 3], "loss": [3.0, 2.0, 1.0], "val_loss": [3.1, 2.2, 2.5]}
    >>> ax = plot.history(history, ax=Figure().add_subplot())
    >>> [text.get_text() for text in ax.legend_.get_texts()]
    ['training', 'validation', 'best: 2.2 at epoch 2']
    """
    lines = history_lines(history, names)
    log = _arrays.flag("log", log)
    ax = style.new_axes(figsize=(7, 3.5)) if ax is None else ax
    epochs = style.numbers('history["epoch"]', history["epoch"])
    for k, (name, values) in enumerate(lines.items()):
        known = np.isfinite(values)
        few = {"marker": style.MARKS[k % len(style.MARKS)], "markersize": 4} if known.sum() <= 12 else {}
        ax.plot(epochs[known], values[known], **style.line(k), **few, label=LOSSES.get(name, name))
        if name == "val_loss" and known.any():
            best = np.nanargmin(values)
            label = f"best: {values[best]:.3g} at epoch {epochs[best]:.0f}"
            ring = {"marker": "o", "s": 60, "facecolor": "none", "edgecolor": style.DARK, "linewidth": 1.2}
            ax.scatter(epochs[best], values[best], **ring, label=label, zorder=5)
    if log:
        ax.set_yscale("log")
    style.frame(ax)
    ax.set_xlabel("epoch")
    ax.set_ylabel("loss" if set(lines) <= set(LOSSES) else ", ".join(lines))
    style.whole_steps(ax.xaxis)
    style.legend_above(ax)
    return ax


def learning_rates(finding: RateFinding, *, ax: Axes | None = None) -> Axes:
    """Lines: the loss over the learning rate, as `Trainer.find_learning_rate` has seen it, and what it suggests.

    Parameters
    ----------
    finding : RateFinding
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
    >>> trainer = clstm.Trainer(clstm.LSTM(1, 4, rng=0), rng=0)
    >>> found = trainer.find_learning_rate(np.ones((8, 5, 1)), np.zeros((8, 5, 4)), steps=30)
    >>> ax = plot.learning_rates(found, ax=Figure().add_subplot())
    >>> ax.get_xscale()
    'log'
    """
    ax = style.new_axes(figsize=(7, 3.5)) if ax is None else ax
    ax.plot(finding.rates, finding.losses, color="#b8b8b8", linewidth=1, label="loss of the batch")
    ax.plot(finding.rates, finding.smoothed, **style.line(0), label="smoothed")
    label = f"suggestion: {finding.suggestion:.2g}"
    ax.axvline(finding.suggestion, color=style.DARK, linestyle=":", linewidth=1.2, label=label)
    ax.set_xscale("log")
    least = float(finding.smoothed.min())
    room = max(float(finding.smoothed[0]) - least, 1e-12)
    ax.set_ylim(least - 0.3 * room, float(finding.smoothed[0]) + 0.7 * room)
    style.frame(ax)
    ax.set_xlabel("learning rate")
    ax.set_ylabel("loss")
    style.legend_above(ax)
    return ax


def history_lines(history, names):
    """The values of each line by name."""
    if not hasattr(history, "keys"):
        raise _arrays.wrong(TypeError, "history", "a mapping, as Trainer.fit returns it", _arrays.kind(history))
    if "epoch" not in history:
        raise _arrays.wrong(ValueError, "history", 'one with "epoch"', f"{', '.join(map(repr, history))}")
    if len(history["epoch"]) == 0:
        raise _arrays.wrong(ValueError, "history", "at least one epoch", "none")
    names = [name for name in LOSSES if name in history] if names is None else names
    known = tuple(name for name in history if name != "epoch")
    names = [_arrays.choice("names", name, known) for name in ([names] if isinstance(names, str) else names)]
    if not names:
        raise _arrays.wrong(ValueError, "history", "one with a loss", f"{', '.join(map(repr, history))}")
    lines = {name: style.numbers(f"history[{name!r}]", history[name]) for name in names}
    for name, values in lines.items():
        if len(values) != len(history["epoch"]):
            raise _arrays.wrong(ValueError, f"history[{name!r}]", f"{len(history['epoch'])} values", len(values))
    return lines
