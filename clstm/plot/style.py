"""What all pictures share: colours, forms of lines, frames, legends."""

from __future__ import annotations

from .. import _arrays

DARK = "#3a3a3a"
BLUE = "#0059a0"
ORANGE = "#d9730d"

# Colour, dashes and width, so that neighbours differ in each
LINES = (
    {"color": BLUE, "linestyle": "-", "linewidth": 1.8},
    {"color": ORANGE, "linestyle": (0, (5, 1.5)), "linewidth": 1.6},
    {"color": DARK, "linestyle": (0, (1, 1.2)), "linewidth": 1.6},
    {"color": "#3f8f5f", "linestyle": (0, (6, 1.5, 1, 1.5)), "linewidth": 1.4},
    {"color": "#7a3b8f", "linestyle": (0, (3, 1, 1, 1, 1, 1)), "linewidth": 1.2},
    {"color": "#8a6d3b", "linestyle": (0, (9, 3)), "linewidth": 1.2},
)
MARKS = ("o", "s", "^", "D", "v", "P")


def line(k):
    """The style of line k."""
    return LINES[k % len(LINES)]


def new_axes(rows=1, figsize=(9, 5)):
    """Axes of a new figure of pyplot: one, or an array of `rows` of them below each other, with one axis of x."""
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        hint = 'pip install "clstm-toolkit[plot]"'
        raise ImportError(f"clstm.plot needs matplotlib, which is not installed: {hint}") from error
    return plt.subplots(rows, sharex=True, figsize=figsize, layout="constrained")[1]


def frame(ax, grid="y"):
    """No box, and a faint grid."""
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(axis=grid, linewidth=0.5, alpha=0.4)


def legend_above(ax, columns=5):
    """A legend above the picture, where it hides nothing."""
    ax.legend(loc="lower left", bbox_to_anchor=(0, 1.01), ncols=columns, frameon=False, borderaxespad=0)


def whole_steps(axis):
    """Ticks at whole numbers only."""
    from matplotlib.ticker import MaxNLocator

    axis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10], min_n_ticks=1))


def numbers(name, value):
    """A list of numbers as an array of float."""
    array = _arrays.array_of(name, value)
    if array.dtype.kind not in _arrays.REAL_KINDS or array.ndim != 1:
        raise _arrays.wrong(TypeError, name, "a list of numbers", f"shape {array.shape} of {array.dtype}")
    return array.astype(float)
