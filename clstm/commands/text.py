"""What a command prints: lines for 80 columns, tables, numbers; JSON."""

from __future__ import annotations

import json
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


def table(rows):
    """Rows of texts in columns, two spaces apart; the first is flush left, the others are flush right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for first, *others in rows:
        cells = [f"{text:>{width}}" for text, width in zip(others, widths[1:], strict=True)]
        lines.append("  ".join(["", f"{first:<{widths[0]}}", *cells]).rstrip())
    return lines


def shortened(text, width):
    """Text that is no longer than `width`, in one line of letters that a terminal can show."""
    text = "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in text)
    return text if len(text) <= width else f"{text[: width - 3]}..."


def listed(names, most=12):
    """Names for a message, not too many."""
    shown = ", ".join(map(repr, names[:most]))
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"


def counted(counts, most=12):
    """How many there are of each: "3: a 40, b 30, c 2"."""
    shown = ", ".join(f"{shortened(name, 24)} {count}" for name, count in list(counts.items())[:most])
    return f"{len(counts)}: {shown}" + (f" and {len(counts) - most} more" if len(counts) > most else "")


def begin(args, first, *lines):
    """Prints what was read, unless only results are wanted."""
    if not (args.quiet or args.json):
        print(first, *lines, sep="\n", flush=True)


def finish(args, lines, document, written=()):
    """Prints what was found, as lines or as JSON, and the names of the files that were written."""
    if args.json:
        print_json({**document, "written": list(written)})
        return
    lines = [*lines[args.quiet and lines[:1] == [""] :]]
    if written and not args.quiet:
        lines += ["", f"wrote {' and '.join(written)}"]
    if lines:
        print(*lines, sep="\n")


def print_json(value):
    """Prints a value as JSON: arrays as lists, and null for what is no number."""
    print(json.dumps(plain(value), indent=2, ensure_ascii=False, allow_nan=False))


def plain(value):
    """A value of those that JSON knows."""
    if isinstance(value, dict):
        return {str(key): plain(part) for key, part in value.items()}
    if isinstance(value, (list, tuple, np.ndarray)):
        return [plain(part) for part in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value
