"""The plots for the documentation, as SVG files that differ only where figures differ."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from . import sweeps
from .results import Results, best_peer, seconds_of

OWN, PEER, OTHERS, LIMIT = "#0059a0", "#d9730d", "#b5b5b5", "#3a3a3a"
STEP_ENGINES = {"clstm": (OWN, "o-"), "ort": (PEER, "s--"), "numpy": (OTHERS, "^-"), "torch-cell": (OTHERS, "v-")}
DIFFERENT = ["o-", "s--"]  # lines of a sweep differ in form, too
SETTINGS = {"svg.hashsalt": "clstm", "font.size": 9, "axes.spines.top": False, "axes.spines.right": False}


def draw(results: Results, folder: Path) -> list[Path]:
    """Draws every plot for which there are rows.

    Parameters
    ----------
    results : Results
    folder : Path
        Is made if it is missing.

    Returns
    -------
    list of Path
        The files.
    """
    folder.mkdir(parents=True, exist_ok=True)
    drawings = {f"speed-{kind}": shares(results, kind) for kind in ("train", "forward", "float64")}
    drawings["speed-step"] = steps(results)
    for sweep in sweeps.SWEEPS:
        drawings[f"speed-{sweep.kind}"] = swept(results, sweep)
    written = []
    for name, figure in drawings.items():
        if figure is not None:
            written.append(folder / f"{name}.svg")
            with mpl.rc_context(SETTINGS):
                figure.savefig(written[-1], metadata={"Date": None})
    return written


def figure_of(panels, height):
    with mpl.rc_context(SETTINGS):
        figure = Figure(figsize=(7, height), layout="constrained")
        return figure, figure.subplots(1, panels, squeeze=False, sharey=True)[0]


def shares(results, kind):
    """Bars: how near to the peak of the machine clstm and the best peer come; a panel for each number of threads."""
    panels = [threads for threads in results.threads if str(threads) in results.found["limits"]]
    panels = [threads for threads in panels if results.of_kind(kind, threads)]
    if not panels:
        return None
    figure, axes = figure_of(len(panels), 1.2 + 0.36 * len(results.of_kind(kind, panels[0])))
    for ax, threads in zip(axes, panels):
        rows = results.of_kind(kind, threads)
        bars(ax, results, rows)
        ax.set_title(f"{threads} thread{'s' * (threads > 1)}")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=2, frameon=False)
    return figure


def bars(ax, results, rows):
    place = np.arange(len(rows))
    both = (("clstm", OWN, -0.2, ["clstm"] * len(rows)), ("best peer", PEER, 0.2, [best_peer(row) for row in rows]))
    for label, colour, shift, engines in both:
        share = [100 * ((name and results.fraction(row, name)) or 0) for row, name in zip(rows, engines)]
        drawn = ax.barh(place + shift, share, 0.38, color=colour, label=label)
        if label != "clstm":
            ax.bar_label(drawn, [name or "" for name in engines], padding=2, fontsize=7, color=LIMIT)
    ax.axvline(100, color=LIMIT, linewidth=0.8)
    ax.set_xlim(0, 118)
    ax.set_yticks(place, [row["name"] for row in rows])
    if not ax.yaxis_inverted():
        ax.invert_yaxis()
    ax.set_xlabel("% of the matrix product's peak")


def steps(results):
    """Lines: the time of one step against the size of the layer, and the time of reading its weights."""
    rows = results.of_kind("step", 1)
    if not rows:
        return None
    figure, (ax,) = figure_of(1, 3.6)
    sizes = [row["shape"][3] for row in rows]
    for name, (colour, form) in STEP_ENGINES.items():
        times = [seconds_of(row, name) for row in rows]
        if any(times):
            ax.plot(sizes, [np.nan if t is None else 1e6 * t for t in times], form, color=colour, label=name)
    limits = [results.limit_seconds(row) for row in rows]
    if None not in limits:
        ax.plot(sizes, [1e6 * t for t in limits], ":", color=LIMIT, label="reading the weights")
    ax.set(xscale="log", yscale="log", xlabel="H = I", ylabel="µs for one step")
    ax.set_xticks(sizes, sizes, minor=False)
    ax.minorticks_off()
    ax.legend(frameon=False)
    return figure


def swept(results, sweep):
    """Cost of a step of one sequence against T or N; for H, where work grows with the size, the rate."""
    names = sweeps.engines(results, sweep, 1)
    if not names:
        return None
    figure, (ax,) = figure_of(1, 3.2)
    for name, form, colour in zip(names, DIFFERENT, (OWN, PEER)):
        points = sweeps.points(results, sweep, 1, name)
        values = [1e9 * point.cost if sweep.is_linear else point.rate for point in points]
        ax.plot([point.size for point in points], values, form, color=colour, label=name, markersize=3, linewidth=1)
    ax.set_ylim(bottom=0)
    ax.set_xscale("log" if sweep.is_linear else "linear")
    ax.set(xlabel=sweep.symbol, ylabel="ns per step of a sequence" if sweep.is_linear else "GFLOP/s")
    ax.set_title(sweep.title)
    ax.legend(loc="lower right", frameon=False)
    return figure
