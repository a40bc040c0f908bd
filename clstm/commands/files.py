"""Files that are read, and files that are written: checked before the work, complete or not there at all."""

from __future__ import annotations

import os
import tempfile

from .errors import CommandError, reason
from .pictures import check_picture


def read_bytes(path):
    """The bytes of a file; raises CommandError."""
    try:
        if os.path.isdir(path):
            raise IsADirectoryError(0, "it is a folder")
        with open(path, "rb") as file:
            return file.read()
    except (OSError, ValueError) as error:  # a ValueError is a name with a zero in it
        raise CommandError(f"cannot read {path!r}: {reason(error)}") from error


def check_outputs(args, *inputs):
    """Raises CommandError if what --plot and --save name could not be written, before any work is done for it."""
    outputs = [(f"--{name}", getattr(args, name, None)) for name in ("plot", "save")]
    outputs = [(option, path) for option, path in outputs if path is not None]
    for option, path in outputs:
        check_writable(option, path)
        if any(same_file(path, other) for other in inputs if other is not None):
            raise CommandError(f"{option}: {path!r} is the file to read")
    if len(outputs) == 2 and same_file(args.plot, args.save):
        raise CommandError(f"--plot and --save: both are {args.save!r}")
    if getattr(args, "plot", None) is not None:
        check_picture(args.plot)


def check_writable(option, path):
    """Raises CommandError if there can be no such file; leaves none behind."""
    try:
        folder = os.path.dirname(os.path.realpath(path))
        if os.path.isdir(path) or not os.path.basename(path):
            raise IsADirectoryError(0, "it is a folder")
        if not os.path.isdir(folder):
            raise NotADirectoryError(0, "there is no such folder")
        if os.path.exists(path) and not os.access(path, os.W_OK):
            raise PermissionError(0, "permission denied")
        with tempfile.TemporaryFile(dir=folder):
            pass
    except (OSError, ValueError) as error:
        raise CommandError(f"{option}: cannot write {path!r}: {reason(error)}") from error


def same_file(one, other):
    """Whether two paths name one file, which need not exist."""
    return os.path.realpath(one) == os.path.realpath(other)


def write_outputs(args, model, picture=None):
    """Saves the model if --save is given, writes the bytes of the picture if there are any; returns the names."""
    written = []
    try:
        if getattr(args, "save", None) is not None:
            model.save(args.save)
            written.append(args.save)
        if picture is not None:
            replace_file(args.plot, picture)
            written.append(args.plot)
    except OSError as error:
        raise CommandError(f"cannot write {error.filename!r}: {reason(error)}") from error
    return written


def replace_file(path, data):
    """Writes a file that is complete or not there at all."""
    folder, name = os.path.split(os.path.realpath(path))
    temporary = os.path.join(folder, f".clstm-{os.urandom(8).hex()}.tmp")
    try:
        with open(temporary, "xb") as file:
            file.write(data)
        os.replace(temporary, os.path.join(folder, name))
    except BaseException as error:
        if os.path.exists(temporary):
            os.remove(temporary)
        if isinstance(error, OSError):
            error.filename, error.filename2 = path, None
        raise
