"""A column of numbers and its dates from a CSV file, with errors that name the line.

Lines are counted as an editor does, so that the header is line 1. What is in a file but cannot be used is an error;
only empty fields, and what stands for them (NA, null, ...), are gaps.
"""

from __future__ import annotations

import csv
import io
import re
from typing import NamedTuple

import numpy as np

from .dates import Dates, read_dates
from .text import listed

DELIMITERS = ",;\t|"
ABSENT = {"", "na", "n/a", "nan", "null", "none", "-", "?"}
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
INFINITE = re.compile(r"[+-]?inf(inity)?", re.IGNORECASE)
WITH_COMMA = re.compile(r"[+-]?[\d. ]*,[\d,]+")


class TableError(ValueError):
    """A file, or a column of it, that cannot be used."""


class Table(NamedTuple):
    """The fields of a file.

    Attributes
    ----------
    header : list of str
    rows : list of list of str
        Each as long as the header.
    lines : list of int
        Where each row ends in the file.
    """

    header: list[str]
    rows: list[list[str]]
    lines: list[int]

    def column(self, name):
        """The fields of a column."""
        place = self.header.index(name)
        return [row[place] for row in self.rows]


class Series(NamedTuple):
    """A column of numbers, from its first to its last known value.

    Attributes
    ----------
    name : str
    values : ndarray
        NaN for gaps.
    lines : list of int
        Of the file, for each value.
    dates : Dates or None
    trimmed : int
        How many rows without a value there were before the first and behind the last.
    """

    name: str
    values: np.ndarray
    lines: list[int]
    dates: Dates | None
    trimmed: int


def read_table(data: bytes) -> Table:
    """All fields of a CSV file, without spaces around them.

    Parameters
    ----------
    data : bytes
        UTF-8; separated by commas, semicolons, tabs or bars, whichever makes most of the first line.

    Raises
    ------
    TableError
    """
    text = text_of(data)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter_of(text), strict=True)
    rows, lines = [], []
    try:
        for row in reader:
            rows.append([field.strip() for field in row])
            lines.append(reader.line_num)
    except csv.Error as error:
        raise TableError(f"line {reader.line_num}: {error}") from error
    header = [name or f"column {k}" for k, name in enumerate(rows[0], 1)]
    check_header(header)
    while not rows[-1]:
        del rows[-1], lines[-1]
    body = [(row or [""], line) for row, line in zip(rows[1:], lines[1:], strict=True) if row or len(header) == 1]
    if not body:
        raise TableError("no rows below the header")
    for row, line in body:
        if len(row) != len(header):
            raise TableError(f"line {line}: expected {len(header)} fields as in the header, got {len(row)}")
    return Table(header, [row for row, _ in body], [line for _, line in body])


def text_of(data, header=True):
    """The file as text that has at least one line, which is not empty if it is a header."""
    if b"\0" in data:
        raise TableError("expected text, got binary data (or UTF-16: save it as UTF-8)")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise TableError(f"line {line}: expected text in UTF-8, got the byte {data[error.start]:#x}") from error
    if not text.strip():
        raise TableError("the file is empty")
    if header and not text.splitlines()[0].strip():
        raise TableError("line 1: expected a header with the names of the columns, got an empty line")
    return text


def delimiter_of(text):
    """What separates the fields of the first line."""
    first = text.splitlines()[0]
    return max(DELIMITERS, key=lambda delimiter: len(next(csv.reader([first], delimiter=delimiter))))


def check_header(header):
    """Raises TableError if these are no names, or not all different."""
    if all(NUMBER.fullmatch(name) for name in header):
        raise TableError("line 1: expected a header with the names of the columns, got numbers")
    again = [name for k, name in enumerate(header) if name in header[:k]]
    if again:
        raise TableError(f"line 1: the column {again[0]!r} is there twice")


class Columns(NamedTuple):
    """Columns of numbers.

    Attributes
    ----------
    names : list of str
    values : ndarray, (n, C)
        NaN for gaps.
    lines : list of int
        Of the file, for each row.
    dates : Dates or None
    """

    names: list[str]
    values: np.ndarray
    lines: list[int]
    dates: Dates | None

    def labels(self):
        """What the rows are called: their dates, or numbers from 1."""
        if self.dates is None:
            return list(map(str, range(1, len(self.values) + 1)))
        return list(map(self.dates.text, self.dates.times))

    def check_complete(self):
        """Raises TableError for the first gap."""
        gaps = np.argwhere(np.isnan(self.values))
        if len(gaps):
            row, column = gaps[0]
            where = f"line {self.lines[row]}, column {self.names[column]!r}"
            raise TableError(f"{where}: a missing value (--impute fills it)")


def read_columns(data: bytes, columns: list[str] | None = None, date: str | None = None) -> Columns:
    """Columns of numbers from a CSV file, with its dates.

    Parameters
    ----------
    data : bytes
    columns : list of str, optional
        None: the only one that holds numbers.
    date : str, optional
        As for `read_series`.

    Raises
    ------
    TableError
    """
    table = read_table(data)
    check_names(table, [*(columns or []), None if date == "none" else date])
    date, dates = find_dates(table, columns[0] if columns else None, date)
    if dates is not None:
        check_ascending(table, date, dates)
    names = list(dict.fromkeys(columns)) if columns else [only_numbers(table, date)]
    values = np.stack([numbers_of(table, name) for name in names], axis=1)
    empty = np.isnan(values).all(axis=0)
    if empty.any():
        raise TableError(f"the column {names[empty.argmax()]!r} has no values")
    return Columns(names, values, table.lines, dates)


def check_names(table, names):
    """Raises TableError for the first of the names that is not None and no column."""
    for name in names:
        if name is not None and name not in table.header:
            raise TableError(f"no column {name!r}; there are {listed(table.header)}")


def read_series(data: bytes, column: str | None = None, date: str | None = None) -> Series:
    """One column of numbers from a CSV file, with its dates.

    Parameters
    ----------
    data : bytes
    column : str, optional
        None: the only one that holds numbers.
    date : str, optional
        The column of the dates, "none" for none. None: the first that holds dates, if any does.

    Raises
    ------
    TableError
    """
    table = read_table(data)
    check_names(table, [column, None if date == "none" else date])
    date, dates = find_dates(table, column, date)
    column = column or only_numbers(table, date)
    values = numbers_of(table, column)
    known = np.flatnonzero(np.isfinite(values))
    if not len(known):
        raise TableError(f"the column {column!r} has no values")
    inner = slice(known[0], known[-1] + 1)
    if dates is not None:
        check_ascending(table, date, dates)
        dates = dates._replace(times=dates.times[inner])
    return Series(column, values[inner], table.lines[inner], dates, len(values) - len(values[inner]))


def find_dates(table, column, date):
    """Name and dates of the column of dates, or two None."""
    if date == "none" and date not in table.header:
        return None, None
    if date is not None:
        dates = read_dates(table.column(date))
        if dates is None:
            raise TableError(f"the column {date!r} does not hold dates, all of one form, such as 1949-01 or 1949-01-31")
        return date, dates
    for name in table.header if len(table.header) > 1 else ():
        dates = None if name == column else read_dates(table.column(name))
        if dates is not None:
            return name, dates
    return None, None


def check_ascending(table, date, dates):
    """Raises TableError unless each date is later than the one before it."""
    for k in range(1, len(dates.times)):
        before, now = map(dates.text, dates.times[k - 1 : k + 1])
        if dates.times[k] <= dates.times[k - 1]:
            what = "the same date again" if before == now else f"not later than {before} before it"
            hint = "rows have to be in the order of time (--date names the column of the dates, or none)"
            raise TableError(f"line {table.lines[k]}, column {date!r}: {now} is {what}; {hint}")


def only_numbers(table, date):
    """The one column besides the dates that holds numbers."""
    others = [name for name in table.header if name != date]
    if len(others) == 1:
        return others[0]
    found = [name for name in others if has_numbers(table.column(name))]
    if len(found) > 1:
        found = [name for name in found if not is_counter(table.column(name))]
    if not found:
        raise TableError(f"no column holds numbers only; there are {listed(table.header)}")
    if len(found) > 1:
        raise TableError(f"several columns hold numbers: {listed(found)}; say which with --column")
    return found[0]


def has_numbers(fields):
    """Whether there are numbers and gaps, and nothing else."""
    present = [field for field in fields if field.lower() not in ABSENT]
    return bool(present) and all(NUMBER.fullmatch(field) for field in present)


def is_counter(fields):
    """Whether fields number the rows, from 0 or 1."""
    return any(all(field == str(k) for k, field in enumerate(fields, start)) for start in (0, 1))


def numbers_of(table, column):
    """The values of a column, NaN for gaps."""
    values = np.full(len(table.rows), np.nan)
    for k, field in enumerate(table.column(column)):
        if field.lower() in ABSENT:
            continue
        where = f"line {table.lines[k]}, column {column!r}"
        if INFINITE.fullmatch(field):
            raise TableError(f"{where}: expected a finite number, got {field}")
        if not NUMBER.fullmatch(field):
            hint = " (decimals need a point, thousands nothing)" if WITH_COMMA.fullmatch(field) else ""
            raise TableError(f"{where}: expected a number, got {field!r:.60}{hint}")
        values[k] = float(field)
        if not np.isfinite(values[k]):
            raise TableError(f"{where}: expected a number that fits into 64 bits, got {field:.60}")
    return values
