"""Kinds of arguments, and arguments that several subcommands have."""

from __future__ import annotations

import argparse
import json


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


def positive_number(text):
    """A finite number above 0."""
    return checked(text, float, lambda value: 0 < value < float("inf"), "a number above 0")


def share_or_0(text):
    """A number between 0 and 1, or 0."""
    return checked(text, float, lambda value: 0 <= value < 1, "a number from 0 up to 1, such as 0.2")


def share_up_to_1(text):
    """A number above 0, up to 1."""
    return checked(text, float, lambda value: 0 < value <= 1, "a number above 0 and up to 1, such as 0.5")


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


def assignment(text):
    """NAME=VALUE as a pair; the value is a number, true, false, null, or text."""
    name, sign, value = text.partition("=")
    if not (sign and name.isidentifier()):
        raise argparse.ArgumentTypeError(f"expected NAME=VALUE, such as hidden_size=64, got {text!r}")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


def add_model(parser, what):
    """--model and --save; `what` it is used for instead of learning."""
    parser.add_argument("--model", metavar="FILE", help=f"learn nothing: {what} with the model in this file")
    parser.add_argument("--save", metavar="FILE", help="write the trained model: .safetensors")


def add_training(parser, hold_out):
    """How an estimator is trained, and which share is held out unless there is a file for the test."""
    add = parser.add_argument
    if hold_out is not None:
        text = f"share of the data that is not learnt but tested on; 0: no test ({hold_out})"
        add("--hold-out", type=share_or_0, metavar="P", help=text)
        parser.set_defaults(usual_hold_out=hold_out)
    add("--epochs", type=positive, metavar="N", help="how often all data are used")
    text = "any other parameter of the estimator, such as hidden_size=64; may be repeated"
    add("--set", type=assignment, action="append", default=[], metavar="NAME=VALUE", help=text)
    add("--seed", type=natural, metavar="N", help="of the random numbers (0)")


def add_impute(parser):
    """--impute"""
    text = "what missing values become: the last one, the mean, or on a line between neighbours; default: an error"
    parser.add_argument("--impute", choices=("forward", "mean", "linear"), help=text)


def add_report(parser, plot=None):
    """--json, --quiet, and --plot if there is something to draw."""
    if plot is not None:
        parser.add_argument("--plot", metavar="FILE", help=f"draw {plot}: .png, .svg or .pdf")
    parser.add_argument("--json", action="store_true", help="print everything as JSON, and nothing else")
    parser.add_argument("--quiet", action="store_true", help="print results only, and show no progress")
