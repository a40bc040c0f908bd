"""Pictures as bytes; matplotlib is imported when one is asked for."""

from __future__ import annotations

import io
import os

from .errors import CommandError


def check_picture(path):
    """Raises CommandError if matplotlib is not there, or cannot draw a file of this kind."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        hint = 'pip install "clstm-toolkit[plot]"'
        raise CommandError(f"--plot needs matplotlib, which is not installed: {hint}") from error
    if ending(path) not in Figure().canvas.get_supported_filetypes():
        raise CommandError(f"--plot: expected a name that ends in .png, .svg or .pdf, got {path!r}")


def new_figure(width=9, height=5):
    """A figure that no window shows."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def picture(path, figure):
    """The bytes of a figure in the format that the name of the file says."""
    file = io.BytesIO()
    figure.savefig(file, format=ending(path), dpi=150)
    return file.getvalue()


def ending(path):
    """The ending of a name, in small letters, without its dot."""
    return os.path.splitext(path)[1].lower().removeprefix(".")
