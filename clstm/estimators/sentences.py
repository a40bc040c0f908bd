"""Sentences and their tags as people write them: checked, and as numbers for a `clstm.WordEncoder`."""

from __future__ import annotations

import re
from collections import Counter

import numpy as np

from .. import _arrays
from ..text import Vocabulary

MAX_CHARACTERS = 20  # of longer words the first and the last ten are read
UNKNOWN, NONE = "<unk>", "<pad>"
SHAPES = [  # what a word looks like: the first that fits, if one does
    re.compile(r"https?:|www\.").match,
    re.compile(r"@\w").match,
    re.compile(r"#\w").match,
    re.compile(r"[\d.,:/-]*\d[\d.,:/-]*$").match,  # numbers, dates, times
    re.compile(r".*\d").match,
    re.compile(r"\W+$").match,  # signs
    str.islower,
    lambda word: word[0].isupper() and word[1:] == word[1:].lower(),  # a capital in front
    str.isupper,
]


# Words as numbers


def normal(word):
    """A word as vocabularies know it: in small letters, with 0 for each digit."""
    return re.sub(r"\d", "0", word.lower())


def shape_of(word):
    """The number of the first of SHAPES that a word has; the number of them, if it has none."""
    return next((k for k, fits in enumerate(SHAPES) if fits(word)), len(SHAPES))


def vocabulary_of(sentences, min_count, known):
    """The words of the training data, by frequency, then those of known vectors; and the number of the first word that
    occurs once, or not at all."""
    counts: Counter[str] = Counter()
    for word, count in Counter(word for row in sentences for word in row).items():
        counts[word if word in known else normal(word)] += count
    del counts[UNKNOWN]
    frequent = sorted((w for w in counts if counts[w] >= min_count), key=lambda word: (-counts[word], word))
    first_rare = 1 + sum(counts[word] > 1 for word in frequent)
    others = sorted(word for word in known if counts[word] < min_count and word != UNKNOWN)
    return Vocabulary([UNKNOWN, *frequent, *others], unknown=UNKNOWN), first_rare


def start_of(words, known):
    """The vectors (W, D) of words, NaN where there is none."""
    size = len(next(iter(known.values())))
    return np.array([known.get(word, np.full(size, np.nan)) for word in words])


def encoded(sentences, words, characters):
    """What a `WordEncoder` takes: for each sentence (T_n, 2 + MAX_CHARACTERS) numbers."""
    number: dict[str, int] = {}
    rows = [[number.setdefault(word, len(number)) for word in row] for row in sentences]
    table = np.zeros((len(number), 2 + MAX_CHARACTERS), np.int32)
    table[:, 0] = words.encode([word if word in words else normal(word) for word in number])
    half = MAX_CHARACTERS // 2
    for line, word in zip(table, number, strict=True):
        spelt = word if len(word) <= MAX_CHARACTERS else word[:half] + word[-half:]
        line[1] = shape_of(word)
        line[2 : 2 + len(spelt)] = characters.encode(spelt)
    return [table[row] for row in rows]


# Arguments


def checked_sentences(name, sentences):
    """A list of lists of tokens, none of them empty."""
    rows = checked_rows(name, sentences, "tokens (clstm.text.words makes one of a text)")
    for n, row in enumerate(rows):
        if not row:
            raise _arrays.wrong(ValueError, f"{name}[{n}]", "at least one token", "none")
        for t, token in enumerate(row):
            if not isinstance(token, str):
                raise _arrays.wrong(TypeError, f"{name}[{n}][{t}]", "a str", f"{token!r} ({_arrays.kind(token)})")
            if not token:
                raise _arrays.wrong(ValueError, f"{name}[{n}][{t}]", "a token", "an empty str")
    return rows


def checked_tags(tags, sentences, known=None):
    """A list of lists of tags that fit the sentences, and are known."""
    rows = checked_rows("tags", tags, "tags, one for each token")
    if len(rows) != len(sentences):
        raise _arrays.wrong(ValueError, "tags", f"{len(sentences)} lists, one for each sentence", len(rows))
    for n, (row, sentence) in enumerate(zip(rows, sentences, strict=True)):
        if len(row) != len(sentence):
            raise _arrays.wrong(ValueError, f"tags[{n}]", f"{len(sentence)} tags, one for each token", len(row))
        for t, tag in enumerate(row):
            if not isinstance(tag, str):
                raise _arrays.wrong(TypeError, f"tags[{n}][{t}]", "a str", f"{tag!r} ({_arrays.kind(tag)})")
            if known is not None and tag not in known:
                expected = f"a tag of the training data: {_arrays.some(sorted(known))}"
                raise _arrays.wrong(ValueError, f"tags[{n}][{t}]", expected, repr(tag))
    return rows


def checked_rows(name, rows, what):
    """A list of lists."""
    if isinstance(rows, (str, bytes, dict)) or not hasattr(rows, "__iter__"):
        raise _arrays.wrong(TypeError, name, f"a list of lists of {what}", _arrays.kind(rows))
    found = []
    for n, row in enumerate(rows):
        if isinstance(row, (str, bytes, dict)) or not hasattr(row, "__iter__"):
            raise _arrays.wrong(TypeError, f"{name}[{n}]", f"a list of {what}", _arrays.kind(row))
        found.append(list(row))
    if not found:
        raise _arrays.wrong(ValueError, name, "at least one sentence", "none")
    return found


def checked_vectors(vectors):
    """A dict of vectors of one size."""
    if not hasattr(vectors, "keys") or not hasattr(vectors, "__getitem__"):
        raise _arrays.wrong(TypeError, "vectors", "a mapping from words to their vectors", _arrays.kind(vectors))
    found: dict[str, np.ndarray] = {}
    for word in vectors.keys():
        if not isinstance(word, str):
            raise _arrays.wrong(TypeError, "vectors", "words as str", f"{word!r} ({_arrays.kind(word)})")
        name = f"vectors[{word!r}]"
        found[word] = vector = _arrays.real(name, vectors[word], np.dtype(np.float32))
        size = next(iter(found.values())).size
        if vector.shape != (size,) or not size:
            raise _arrays.wrong(ValueError, name, f"shape ({max(1, size)},)", f"shape {vector.shape}")
        _arrays.finite(name, vector)
    if not found:
        raise _arrays.wrong(ValueError, "vectors", "at least one word", "none")
    return found
