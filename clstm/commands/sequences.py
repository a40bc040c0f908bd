"""Sequences and their labels from a file: CSV, a row or several for each sequence, JSON lines, or texts in a CSV file.

What a label stands for is not known: labels are texts. Lines are counted as an editor does.
"""

from __future__ import annotations

import json
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from .dates import read_dates
from .tables import ABSENT, TableError, check_names, numbers_of, read_table, text_of
from .text import listed

JSON_ENDINGS = (".jsonl", ".ndjson")


class Form(NamedTuple):
    """How a file is to be read.

    Attributes
    ----------
    target : str or None
        The column, or key, of the labels; None: there are none.
    id, time : str or None
        Columns of a file with a row for each step: which sequence it belongs to, and when it was.
    text : str or None
        The column, or key, of the texts.
    channels : list of str or None
        Columns of the numbers that make a step, once they are known; None: all others.
    """

    target: str
    id: str | None = None
    time: str | None = None
    text: str | None = None
    channels: list[str] | None = None


class Sequences(NamedTuple):
    """What was read.

    Attributes
    ----------
    x : list of ndarray (T, C), or of str
        NaN for missing values.
    labels : list of str, or None
        None if the file has none.
    names : list of str
        What each sequence is called: its id, or its line.
    lines : list of int
        Where each begins.
    channels : list of str or None
    """

    x: list
    labels: list[str] | None
    names: list[str]
    lines: list[int]
    channels: list[str] | None

    def take(self, rows):
        """Some of them."""
        parts = ([part[row] for row in rows] if part is not None else None for part in self[:4])
        return Sequences(*parts, self.channels)


def read_sequences(path, data, form, labels=True):
    """Sequences from the bytes of a file.

    Parameters
    ----------
    path : str
        Its ending tells JSON lines from CSV.
    data : bytes
    form : Form
    labels : bool
        Whether the file must have labels.

    Raises
    ------
    TableError
    """
    read = from_json if path.lower().endswith(JSON_ENDINGS) else from_table
    found = read(data, form, labels)
    if found.labels is not None:
        for line, label in zip(found.lines, found.labels, strict=True):
            if label.lower() in ABSENT - {"none", "-", "?"}:
                raise TableError(f"line {line}: expected a label in {form.target!r}, got none")
    return found


# CSV


def from_table(data, form, labels):
    """Sequences of a CSV file."""
    table = read_table(data)
    needed = [form.id, form.time, form.text, *(form.channels or []), form.target if labels else None]
    check_names(table, needed)
    read = texts if form.text else (long if form.id else wide)
    return read(table, form)


def labels_of(table, form):
    """The labels of all rows, or None if there is no such column."""
    return table.column(form.target) if form.target in table.header else None


def line_names(lines):
    """Sequences that have no names are called by their lines."""
    return [f"line {line}" for line in lines]


def texts(table, form):
    """A text in each row."""
    found = table.column(form.text)
    for line, text in zip(table.lines, found, strict=True):
        if not text:
            raise TableError(f"line {line}, column {form.text!r}: expected a text, got none")
    return Sequences(found, labels_of(table, form), line_names(table.lines), table.lines, None)


def wide(table, form):
    """A sequence of one channel in each row, which ends before the empty fields at its end."""
    columns = [name for name in table.header if name != form.target]
    if not columns:
        raise TableError(f"no columns besides {form.target!r}")
    values = np.stack([numbers_of(table, name) for name in columns], axis=1)
    places = [table.header.index(name) for name in columns]
    x = []
    for row, fields, line in zip(values, table.rows, table.lines, strict=True):
        count = max((k for k, place in enumerate(places, 1) if fields[place]), default=0)
        if not count:
            raise TableError(f"line {line}: expected a sequence of numbers, got none")
        x.append(row[:count, None])
    return Sequences(x, labels_of(table, form), line_names(table.lines), table.lines, None)


def long(table, form):
    """A step in each row; those with the same id make a sequence."""
    others = (form.id, form.time, form.target)
    channels = form.channels or [name for name in table.header if name not in others]
    if not channels:
        raise TableError(f"no columns of numbers besides {listed([name for name in others if name])}")
    values = np.stack([numbers_of(table, name) for name in channels], axis=1)
    rows = {}
    for row, name in enumerate(table.column(form.id)):
        if not name:
            raise TableError(f"line {table.lines[row]}, column {form.id!r}: expected the id of a sequence, got none")
        rows.setdefault(name, []).append(row)
    if form.time is not None:
        check_times(table, form.time, rows)
    every, labels = labels_of(table, form), None
    if every is not None:
        labels = [label_of(table, form, every, places) for places in rows.values()]
    lines = [table.lines[places[0]] for places in rows.values()]
    return Sequences([values[places] for places in rows.values()], labels, list(rows), lines, channels)


def label_of(table, form, labels, places):
    """The one label of all rows of a sequence."""
    for row in places:
        if labels[row] != labels[places[0]]:
            where = f"line {table.lines[row]}, column {form.target!r}"
            name = table.column(form.id)[row]
            raise TableError(f"{where}: {labels[row]!r}, but {name!r} has been {labels[places[0]]!r} before")
    return labels[places[0]]


def check_times(table, column, rows):
    """Raises TableError unless the times of each sequence grow."""
    fields = table.column(column)
    dates = read_dates(fields)
    times = numbers_of(table, column) if dates is None else dates.times
    for name, places in rows.items():
        for before, now in pairwise(places):
            if not times[before] < times[now]:
                what = "the same time again" if times[before] == times[now] else f"not later than {fields[before]}"
                where = f"line {table.lines[now]}, column {column!r}"
                raise TableError(f"{where}: {fields[now] or 'no time'} is {what} in the sequence {name!r}")


# JSON lines


def from_json(data, form, labels):
    """Sequences of a file with an object in each line."""
    x, found, lines = [], [], []
    for line, text in enumerate(text_of(data, header=False).splitlines(), 1):
        if not text.strip():
            continue
        try:
            entry = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise TableError(f"line {line}: no valid JSON: {error}") from error
        if not isinstance(entry, dict):
            raise TableError(f"line {line}: expected an object such as {{...}}, got {text!r:.60}")
        x.append(json_text(entry, form.text, line) if form.text else json_sequence(entry, line))
        found.append(json_label(entry, form.target, line, labels))
        lines.append(line)
    if not form.text:
        check_channels(x, lines, form.channels)
    given = [label is not None for label in found]
    if any(given) and not all(given):
        raise TableError(f"line {lines[given.index(False)]}: no {form.target!r}, which other lines have")
    channels = None if form.text else [str(k) for k in range(x[0].shape[1])]
    return Sequences(x, found if all(given) else None, line_names(lines), lines, channels)


def json_text(entry, key, line):
    """The text of an object."""
    text = entry.get(key)
    if not (isinstance(text, str) and text.strip()):
        raise TableError(f"line {line}: expected a text in {key!r}, got {text!r:.60}")
    return text


def json_label(entry, key, line, needed):
    """The label of an object as a text; None if it has none and needs none."""
    label = entry.get(key)
    if label is None and not needed:
        return None
    if not isinstance(label, (str, int)):
        keys = f"; there are {listed(list(entry))}" if key not in entry else ""
        raise TableError(f"line {line}: expected a label in {key!r}, a text or a whole number, got {label!r:.60}{keys}")
    return label if isinstance(label, str) else json.dumps(label)


def json_sequence(entry, line):
    """The steps of an object: a list of numbers, or of lists of numbers of the same length; null is missing."""
    expected = f"line {line}: expected a list of steps in 'x', each a number or a list of numbers"
    steps = entry.get("x")
    if not isinstance(steps, list) or not steps:
        raise TableError(f"{expected}, got {steps!r:.60}")
    rows = [step if isinstance(step, list) else [step] for step in steps]
    for k, row in enumerate(rows):
        if len(row) != len(rows[0]) or not row:
            channels = f"{len(rows[0]) or 1} channels as in the first step"
            raise TableError(f"line {line}: expected {channels}, got {len(row)} in step {k + 1}")
        for value in row:
            if not (value is None or (type(value) in (int, float) and abs(value) < 1e300)):
                raise TableError(f"{expected}, got {value!r:.60} in step {k + 1}")
    return np.array([[np.nan if value is None else value for value in row] for row in rows], float)


def check_channels(x, lines, known):
    """Raises TableError unless all sequences have as many channels."""
    count = len(known) if known else x[0].shape[1]
    for sequence, line in zip(x, lines, strict=True):
        if sequence.shape[1] != count:
            raise TableError(f"line {line}: expected {count} channels, got {sequence.shape[1]}")


def check_complete(found):
    """Raises TableError for the first missing value, with its place."""
    for sequence, name in zip(found.x, found.names, strict=True):
        if not isinstance(sequence, str) and np.isnan(sequence).any():
            step, channel = np.argwhere(np.isnan(sequence))[0]
            of = f" of {found.channels[channel]!r}" if found.channels and len(found.channels) > 1 else ""
            raise TableError(f"{name}: a missing value{of} in step {step + 1} (--impute fills it)")


def check_varied(found):
    """Raises TableError for a channel that has the same value everywhere, or none: it says nothing of any class."""
    if isinstance(found.x[0], str):
        return
    steps = np.concatenate(found.x)
    for channel, values in enumerate(steps.T):
        known = values[~np.isnan(values)]
        if not len(known) or (known == known[0]).all():
            name = f"column {found.channels[channel]!r}" if found.channels else "the sequences"
            got = f"{known[0]:g} everywhere" if len(known) else "missing ones only"
            raise TableError(f"{name}: expected values that differ, got {got}")
