"""Dates as they stand in a file: read, found to be evenly spaced, and continued.

The year comes first (1949, 1949-01, 1949-01-31, 19490131, with or without 13:45:00) or last (31.1.1949, 1/31/1949).
Where day and month could be either, the reading that is evenly spaced is taken.
"""

from __future__ import annotations

import re
from calendar import monthrange
from datetime import datetime, timedelta
from typing import NamedTuple

TIME = r"(?:[T ](?P<hour>\d{1,2}):(?P<minute>\d\d)(?::(?P<second>\d\d)(?:\.\d*)?)?Z?)?"
FORMS = tuple(
    re.compile(form)
    for form in (
        r"(?P<year>\d{4})(?:(?P<sep>[-/.])(?P<month>\d{1,2})(?:(?P=sep)(?P<day>\d{1,2})" + TIME + ")?)?",
        r"(?P<year>\d{4})(?P<month>\d\d)(?P<day>\d\d)?",
        r"(?P<day>\d{1,2})(?P<sep>[-/.])(?P<month>\d{1,2})(?P=sep)(?P<year>\d{4})" + TIME,
        r"(?P<month>\d{1,2})(?P<sep>[-/.])(?P<day>\d{1,2})(?P=sep)(?P<year>\d{4})" + TIME,
    )
)
PARTS = ("year", "month", "day", "hour", "minute", "second")
STYLES = {1: "%Y", 2: "%Y-%m", 3: "%Y-%m-%d", 5: "%Y-%m-%d %H:%M", 6: "%Y-%m-%d %H:%M:%S"}  # by the number of parts
EARLIEST, LATEST = 1000, 2999  # years; four digits may be something else

MONTHS = {1: "monthly", 3: "quarterly", 12: "yearly"}
SPANS = {604800: "weekly", 86400: "daily", 3600: "hourly", 60: "every minute", 1: "every second"}
UNITS = ((86400, "days"), (3600, "hours"), (60, "minutes"), (1, "seconds"))


class Step(NamedTuple):
    """From one date to the next: a number of months (those at the end of a month stay there), or of seconds."""

    months: int = 0
    at_end: bool = False
    seconds: float = 0.0

    def __str__(self):
        if self.months:
            return MONTHS.get(self.months, f"every {self.months} months")
        if self.seconds in SPANS:
            return SPANS[self.seconds]
        size, unit = next((size, unit) for size, unit in UNITS if self.seconds % size == 0)
        return f"every {self.seconds / size:g} {unit}"


class Dates(NamedTuple):
    """The dates of all rows.

    Attributes
    ----------
    times : list of datetime
    style : str
        How they are written, for strftime.
    step : Step or None
        None if they are not evenly spaced.
    """

    times: list[datetime]
    style: str
    step: Step | None

    def text(self, time):
        """One of them, or of those that follow, as text."""
        return f"{time.year:04}{time.strftime(self.style[2:])}"  # of %Y, strftime may leave out zeros

    def following(self, count):
        """The dates behind the last, so many; raises OverflowError beyond the year 9999."""
        rows = len(self.times)
        return [later(self.times[0], self.step, k) for k in range(rows, rows + count)]


def read_dates(texts):
    """Dates from texts, or None if these are no dates, all of one form.

    Texts of digits alone are taken for dates only if they are evenly spaced.

    Parameters
    ----------
    texts : list of str

    Returns
    -------
    Dates or None
    """
    readings = [found for found in (read_as(form, texts) for form in FORMS) if found is not None]
    even = [found for found in readings if found.step is not None]
    if even or all(text.isdigit() for text in texts):
        return even[0] if even else None
    ascending = [found for found in readings if found.times == sorted(found.times)]
    return next(iter(ascending + readings), None)


def read_as(form, texts):
    """The dates, if all texts have this form and the same parts."""
    times, parts = [], None
    for text in texts:
        match = form.fullmatch(text)
        if match is None:
            return None
        found = {name: value for name, value in match.groupdict().items() if name in PARTS and value is not None}
        if parts is None:
            parts = len(found)
        if len(found) != parts or not EARLIEST <= int(found["year"]) <= LATEST:
            return None
        try:
            times.append(datetime(**{"month": 1, "day": 1, **{name: int(value) for name, value in found.items()}}))
        except ValueError:  # the 31st of June
            return None
    return Dates(times, STYLES[parts], step_of(times)) if times else None


def step_of(times):
    """The step between them if it is always the same, forward in time, and there are three at least."""
    if len(times) < 3:
        return None
    for step in (months_between(*times[:2]), Step(seconds=(times[1] - times[0]).total_seconds())):
        if step is not None and max(step.months, step.seconds) > 0:
            if all(later(times[0], step, k) == time for k, time in enumerate(times)):
                return step
    return None


def months_between(first, second):
    """The step of whole months from one date to another, or None."""
    months = 12 * (second.year - first.year) + second.month - first.month
    for at_end in (is_month_end(first) and is_month_end(second), False):
        step = Step(months, at_end)
        if months > 0 and later(first, step, 1) == second:
            return step
    return None


def is_month_end(time):
    return time.day == monthrange(time.year, time.month)[1]


def later(time, step, count):
    """The date so many steps later; raises OverflowError beyond the year 9999."""
    if not step.months:
        return time + timedelta(seconds=step.seconds * count)
    year, month = divmod(12 * time.year + time.month - 1 + step.months * count, 12)
    if year > 9999:
        raise OverflowError("date value out of range")
    last = monthrange(year, month + 1)[1]
    return time.replace(year=year, month=month + 1, day=last if step.at_end else min(time.day, last))
