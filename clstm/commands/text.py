"""Lines of text for 80 columns: descriptions, paragraphs, numbers."""

from __future__ import annotations

import math
import textwrap

import numpy as np


def field(name, text):
    """A line of a description, or several."""
    return textwrap.fill(text, 78, initial_indent=f"  {name:<13}", subsequent_indent=" " * 15)


def paragraph(text):
    """Text with an indent, in lines."""
    return textwrap.wrap(text, 76, initial_indent="  ", subsequent_indent="  ")


def percent(share):
    """A share as text."""
    return f"{100 * share:.0f} %"


def less(small, large):
    """How much less one number is than another."""
    share = 1 - small / large
    return f"{percent(share)} below" if share >= 0.01 else "less than 1 % below"


def formatter(values, size, digits):
    """How to write numbers so that one of this size shows so many digits; but the largest at most six."""
    largest = np.abs(values).max()
    if not (1e-4 <= largest < 1e9 and size >= 0):
        return lambda value: f"{value:.5g}"
    decimals = digits - 1 - math.floor(math.log10(max(size, 1e-9)))
    decimals = max(0, min(decimals, 5 - math.floor(math.log10(largest))))
    return lambda value: f"{value:.{decimals}f}"
