"""The command `clstm`, also `python -m clstm`: which subcommand, and what becomes of an error.

Exit codes: 0 all is well; 1 the data or files do not fit; 2 the command line does not; 130 interrupted; 141 nobody
reads the output any more. An error is one line on stderr.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from typing import TYPE_CHECKING, NoReturn

from . import __version__
from .commands import COMMANDS
from .commands.errors import CommandError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

DATA, USAGE, INTERRUPTED, PIPE = 1, 2, 130, 141


class Parser(argparse.ArgumentParser):
    """Raises where argparse would print its usage and leave."""

    def error(self, message: str) -> NoReturn:
        """Raises `UsageError`."""
        raise UsageError(f"{self.prog}: {message} (see {self.prog} --help)")


def parser(words):
    """The parser of a command line; the modules of the subcommands that its words do not name are not imported."""
    raw = argparse.RawDescriptionHelpFormatter
    listed = "\n".join(f"  {name:<12}{what}" for name, what in COMMANDS.items())
    text = f"LSTM networks on a CPU.\n\ncommands:\n{listed}"
    top = Parser(prog="clstm", description=text, formatter_class=raw, allow_abbrev=False)
    top.add_argument("--version", action="version", version=f"clstm {__version__}")
    more = "what to do; `clstm COMMAND --help` says what it takes, with examples"
    options = {"metavar": "COMMAND", "dest": "command", "required": True, "help": more}
    commands = top.add_subparsers(parser_class=Parser, **options)
    for name in COMMANDS:
        subparser = commands.add_parser(name, formatter_class=raw, allow_abbrev=False)
        if name in words:
            module = importlib.import_module(f"{__package__}.commands.{name}")
            subparser.description, subparser.epilog = module.DESCRIPTION, module.EXAMPLES
            module.add_arguments(subparser)
            subparser.set_defaults(run=module.run)
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command line.

    Parameters
    ----------
    argv : sequence of str, optional
        Without the name of the command; None: those of the process.

    Returns
    -------
    int
        The exit code.
    """
    show_all_characters()
    words = sys.argv[1:] if argv is None else list(argv)
    try:
        args = parser(words).parse_args(words)
    except UsageError as error:
        return failed(error, USAGE)
    name = f"clstm {args.command}"
    try:
        args.run(args)
        sys.stdout.flush()
    except UsageError as error:
        return failed(f"{name}: {error} (see {name} --help)", USAGE)
    except CommandError as error:
        return failed(f"{name}: {error}", DATA)
    except KeyboardInterrupt:
        return failed("clstm: interrupted", INTERRUPTED)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the interpreter flushes once more at its end
        return PIPE
    return 0


def failed(message, code):
    """Says what went wrong, in one line, and returns the exit code."""
    print(" ".join(str(message).split()), file=sys.stderr)
    return code


def show_all_characters():
    """A name that the terminal has no letters for is written with escapes, instead of an error."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


if __name__ == "__main__":
    sys.exit(main())
