"""Files of text, with errors that have the place of what is wrong."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from .. import _arrays

if TYPE_CHECKING:
    import os


def read_text(path: str | os.PathLike[str], *, encoding: str = "utf-8") -> str:
    r"""A file of text.

    Parameters
    ----------
    path : str or path-like
    encoding : str
        Of the file, all of it; "utf-8" takes files with a byte order mark too, which is left out.

    Returns
    -------
    str
        Lines end with "\\n", whatever they end with in the file.

    Raises
    ------
    ValueError
        The file has nothing but white space, the encoding is unknown, or a byte does not fit it; the message has the
        place.
    OSError
        The file cannot be read.
    """
    if not isinstance(encoding, str):
        raise _arrays.wrong(TypeError, "encoding", "the name of an encoding", _arrays.kind(encoding))
    text = decoded(Path(path).read_bytes(), str(path), encoding)
    if not text.strip():
        raise _arrays.wrong(ValueError, str(path), "text", "an empty file")
    return text


def decoded(data: bytes, name: str, encoding: str = "utf-8") -> str:
    r"""Text from bytes, with "\\n" for all line ends; `name` is that of the file, for messages."""
    try:
        text = data.decode(encoding)
    except LookupError:
        raise _arrays.wrong(ValueError, "encoding", "the name of an encoding", repr(encoding)) from None
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        got = f"byte 0x{data[error.start]:02x} at position {error.start} (line {line}): {error.reason}"
        raise _arrays.wrong(ValueError, name, f"text in {encoding}", got) from error
    return text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")


def read_tagged(
    path: str | os.PathLike[str], *, encoding: str = "utf-8"
) -> tuple[list[list[str]], list[list[str]] | None]:
    """Sentences and their tags, from a file with a token in each line and an empty line between sentences (CoNLL).

    Parameters
    ----------
    path : str or path-like
        Its lines have columns with tabs between them, or spaces if there is no tab in the file. The first is the token,
        the last its tag.
    encoding : str
        As for `read_text`.

    Returns
    -------
    sentences : list of list of str
    tags : list of list of str, or None
        None if there is one column.

    Raises
    ------
    ValueError
        As for `read_text`; or a line has another number of columns, or an empty one. The message has its number.
    OSError
        The file cannot be read.
    """
    text = read_text(path, encoding=encoding)
    separator = "\t" if "\t" in text else None
    sentences: list[list[list[str]]] = [[]]
    width = None
    for line, content in enumerate(text.split("\n"), 1):
        if not content.strip():
            if sentences[-1]:
                sentences.append([])
            continue
        columns = [column.strip() for column in content.split(separator)]
        width = width or len(columns)
        if len(columns) != width or not columns[0] or not columns[-1]:
            expected = "one token" if width == 1 else f"{width} columns, a token first and its tag last"
            raise _arrays.wrong(ValueError, f"{path}, line {line}", expected, repr(content))
        sentences[-1].append(columns)
    found = [sentence for sentence in sentences if sentence]
    tokens = [[columns[0] for columns in sentence] for sentence in found]
    return tokens, None if width == 1 else [[columns[-1] for columns in sentence] for sentence in found]
