"""Texts as lists of tokens. A regular expression stands here and no more: a library such as spaCy or NLTK knows
languages; its tokens, lists of strings, are taken everywhere."""

from __future__ import annotations

import re

from .. import _arrays

# Letters and digits, with apostrophes and hyphens inside (don't, well-known); numbers (3.14); each other sign alone
WORD = re.compile(r"\w+(?:['’-]\w+|(?<=\d)[.,]\d+)*|[^\w\s]")


def words(text: str, *, lower: bool = False) -> list[str]:
    r"""The words, numbers and signs of a text, by the expression ``\w+(?:['’-]\w+|(?<=\d)[.,]\d+)*|[^\w\s]``.

    Parameters
    ----------
    text : str
    lower : bool
        Whether to make letters small.

    Returns
    -------
    list of str

    Raises
    ------
    TypeError
        Another type.

    Examples
    --------
    >>> from clstm.text import words
    >>> words("Don't pay 3.50 for well-known jokes!", lower=True)
    ["don't", 'pay', '3.50', 'for', 'well-known', 'jokes', '!']
    """
    text = checked_text("text", text)
    return WORD.findall(text.lower() if _arrays.flag("lower", lower) else text)


def characters(text: str, *, lower: bool = False) -> list[str]:
    """The characters of a text: Unicode code points, white space included.

    Parameters
    ----------
    text : str
    lower : bool
        Whether to make letters small.

    Returns
    -------
    list of str

    Raises
    ------
    TypeError
        Another type.

    Examples
    --------
    >>> from clstm.text import characters
    >>> characters("a b")
    ['a', ' ', 'b']
    """
    text = checked_text("text", text)
    return list(text.lower() if _arrays.flag("lower", lower) else text)


def checked_text(name: str, value: object) -> str:
    """A str; bytes and lists are refused by name."""
    if not isinstance(value, str):
        raise _arrays.wrong(TypeError, name, "a str", _arrays.kind(value))
    return value
