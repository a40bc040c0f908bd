"""What a subcommand raises when it cannot go on."""

from __future__ import annotations

from contextlib import contextmanager


class UsageError(Exception):
    """The command line does not fit."""


class CommandError(Exception):
    """Data or files do not fit."""


@contextmanager
def refused_in(where):
    """A ValueError inside becomes a CommandError that says where: the name of a file, perhaps with its column."""
    try:
        yield
    except ValueError as error:
        raise CommandError(f"{where}: {error}") from error
