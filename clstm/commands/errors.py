"""What a subcommand raises when it cannot go on."""

from __future__ import annotations

import re
from contextlib import contextmanager


class UsageError(Exception):
    """The command line does not fit."""


class CommandError(Exception):
    """Data or files do not fit."""


@contextmanager
def refused_in(where):
    """A ValueError inside becomes a CommandError that says in which file; an OSError, that it is unreadable."""
    try:
        yield
    except OSError as error:
        raise CommandError(f"cannot read {where!r}: {reason(error)}") from error
    except ValueError as error:
        text = without_name(error)
        raise CommandError(text if text.startswith(where) else f"{where}: {text}") from error


def without_name(error, names=()):
    """The message of a ValueError without the name that the data have in Python; X[k] has the name k of those given."""
    text = re.sub(r"^(X|series): ", "", str(error))
    place = re.match(r"X\[(\d+)\]: ", text)
    return f"{names[int(place[1])]}: {text[place.end() :]}" if place and int(place[1]) < len(names) else text


def reason(error):
    """What the system says about a file, in small letters, without number and name."""
    text = getattr(error, "strerror", None) or str(error)
    return text[:1].lower() + text[1:]
