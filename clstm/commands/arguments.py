"""Kinds of arguments, and arguments that several subcommands have."""

from __future__ import annotations

import argparse


def positive(text):
    """An int of at least 1."""
    return checked(text, int, lambda value: value >= 1, "a whole number of at least 1")


def natural(text):
    """An int of at least 0."""
    return checked(text, int, lambda value: value >= 0, "a whole number of at least 0")


def season(text):
    """A number of steps; 0 for none."""
    if text.lower() == "none":
        return 0
    value = checked(text, float, lambda value: 2 <= value < float("inf"), "a number of at least 2, or none")
    return int(value) if value == int(value) else value


def share(text):
    """A number between 0 and 1."""
    return checked(text, float, lambda value: 0 < value < 1, "a number between 0 and 1, such as 0.8")


def checked(text, kind, fits, expected):
    """A number from text, if it fits."""
    try:
        value = kind(text)
        if fits(value):
            return value
    except ValueError:
        pass
    raise argparse.ArgumentTypeError(f"expected {expected}, got {text!r}")


def add_seed(parser):
    """--seed"""
    parser.add_argument("--seed", type=natural, default=0, metavar="N", help="of the random numbers (%(default)s)")
