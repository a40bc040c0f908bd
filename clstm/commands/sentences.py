"""Texts and sentences: of files, and of the standard input."""

from __future__ import annotations

import sys

from .errors import CommandError, refused_in
from .files import read_bytes
from .tables import TableError, text_of


def read_input(path):
    """Name and text of a file, or of standard input if there is no path or it is "-"; raises CommandError."""
    if path not in (None, "-"):
        with refused_in(path):
            return path, text_of(read_bytes(path), header=False)
    if sys.stdin is None or sys.stdin.isatty():
        raise CommandError("nothing to read: name a file, or give text on the standard input")
    data = sys.stdin.buffer.read() if hasattr(sys.stdin, "buffer") else sys.stdin.read().encode()
    with refused_in("standard input"):
        return "standard input", text_of(data, header=False)


def read_learnt(path):
    """Sentences and tags of a file: a word, a tab and its tag in each line, an empty line between sentences."""
    from ..text import read_tagged

    with refused_in(path):
        sentences, tags = read_tagged(path)
        if tags is None:
            raise TableError("expected lines with a word, a tab and its tag, got one column")
    return sentences, tags


def read_sentences(path):
    """Sentences without tags, of a file or of standard input.

    A line with spaces, but no tab, is a sentence of its own; otherwise a line is a token, up to its first tab, and an
    empty line ends a sentence.
    """
    from ..text import words

    _, text = read_input(path)
    lines = text.splitlines()
    if any(" " in line.strip() and "\t" not in line for line in lines):
        return [tokens for line in lines if (tokens := words(line))]
    sentences = [[]]
    for line in lines:
        token = line.partition("\t")[0].strip()
        if token:
            sentences[-1].append(token)
        elif sentences[-1]:
            sentences.append([])
    return [one for one in sentences if one]
