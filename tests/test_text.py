"""Vocabularies, tokens, and files of text."""

import json
from collections import Counter

import numpy as np
import pytest

from clstm.text import Vocabulary, characters, read_tagged, read_text, words

TEXT = words("the cat saw the dog and the dog saw a cat")


@pytest.mark.parametrize("min_count", [1, 2, 3])
@pytest.mark.parametrize("max_size", [None, 3, 4, 100])
def test_a_vocabulary_counts_as_a_counter_does(min_count, max_size):
    counts = Counter(TEXT)
    expected = [s for s in sorted(sorted(counts), key=counts.get, reverse=True) if counts[s] >= min_count]
    expected = ["<pad>", "<unk>", *expected][:max_size]
    found = Vocabulary.count(TEXT, min_count=min_count, max_size=max_size, special=("<pad>", "<unk>"), unknown="<unk>")
    assert list(found) == expected
    known = [s if s in expected else "<unk>" for s in TEXT]
    assert found.decode(found.encode(TEXT)) == known
    assert found.encode(TEXT).dtype == np.int64
    assert [found.number(s) for s in TEXT] == [expected.index(s) for s in known]


def test_the_order_of_the_text_does_not_matter():
    assert Vocabulary.count(TEXT) == Vocabulary.count(reversed(TEXT))
    assert Vocabulary.count(TEXT) != Vocabulary.count([*TEXT, "cat"])


def test_a_special_symbol_of_the_text_is_the_special_one():
    found = Vocabulary.count(["a", "<unk>", "<unk>"], special=("<unk>",), unknown="<unk>")
    assert found.symbols == ("<unk>", "a")


def test_a_vocabulary_comes_back_from_its_state():
    for made in (Vocabulary("abc"), Vocabulary("abc", unknown="b"), Vocabulary(["ü", "\n"])):
        again = Vocabulary.from_state(json.loads(json.dumps(made.state())))
        assert again == made
        assert hash(again) == hash(made)
        assert again.unknown == made.unknown


def test_an_unknown_symbol_is_an_error_with_its_place_without_a_symbol_for_it():
    with pytest.raises(ValueError, match=r"symbols\[2\]: expected symbols among 'a', 'b', got 'c'"):
        Vocabulary("ab").encode("abcd")
    assert "c" not in Vocabulary("ab")
    assert 3 not in Vocabulary("ab")


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: Vocabulary([]), ValueError, "symbols: expected at least one, got none"),
        (lambda: Vocabulary(b"ab"), TypeError, "symbols: expected a list of str, got bytes"),
        (lambda: Vocabulary(["a", "b", "a"]), ValueError, "symbols: expected each once, got 'a' again"),
        (lambda: Vocabulary(["a", 1]), TypeError, r"symbols\[1\]: expected a str, got 1 \(int\)"),
        (lambda: Vocabulary(["a"], unknown="b"), ValueError, "unknown: expected one of the symbols"),
        (lambda: Vocabulary.count([["a"]]), TypeError, r"symbols\[0\]: expected a str, got \['a'\] \(list\)"),
        (lambda: Vocabulary.count(["a"], min_count=0), ValueError, "min_count: expected an int of at least 1, got 0"),
        (lambda: Vocabulary.count(["a"], min_count=2), ValueError, "symbols: expected one 2 times or more"),
        (lambda: Vocabulary.count(["a"], max_size=1, special=["_"]), ValueError, "max_size: expected more than the 1"),
        (lambda: Vocabulary.count(["a"], unknown="_"), ValueError, "unknown: expected one of special"),
        (lambda: Vocabulary.count(["a"], special="_"), TypeError, "special: expected a list of str, got str"),
        (lambda: Vocabulary(["a"]).encode(5), TypeError, "symbols: expected a list of str, got int"),
        (lambda: Vocabulary(["a"]).encode(["a", None]), TypeError, r"symbols\[1\]: expected a str"),
        (
            lambda: Vocabulary(["a"]).decode([0, 1]),
            ValueError,
            r"numbers: expected a symbol from 0 to 0, got 1 at \[1\]",
        ),
        (lambda: Vocabulary(["a"]).decode([0.5]), TypeError, "numbers: expected an array of integers"),
        (lambda: Vocabulary(["a"]).decode([[0]]), ValueError, r"numbers: expected shape \(n,\), got shape \(1, 1\)"),
        (lambda: words(["a"]), TypeError, "text: expected a str, got list"),
        (lambda: characters(b"a"), TypeError, "text: expected a str, got bytes"),
        (lambda: words("a", lower=1), TypeError, "lower: expected True or False"),
    ],
)
def test_bad_input_is_named(make, error, message):
    with pytest.raises(error, match=message):
        make()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        (" \n\t ", []),
        ("It's 3.14, isn’t it?", ["It's", "3.14", ",", "isn’t", "it", "?"]),
        ("1,000,000 well-known 3rd-rate", ["1,000,000", "well-known", "3rd-rate"]),
        ("end.Begin a.b 'quoted' -5 - x-", [*"end|.|Begin|a|.|b|'|quoted|'|-|5|-|x|-".split("|")]),
        ("Größe 東京 :-)", ["Größe", "東京", ":", "-", ")"]),
    ],
)
def test_words(text, expected):
    assert words(text) == expected
    assert words(text, lower=True) == [word.lower() for word in expected]
    assert "".join(words(text)) == "".join(text.split())


def test_characters():
    assert characters("a\nÄ") == ["a", "\n", "Ä"]
    assert characters("a\nÄ", lower=True) == ["a", "\n", "ä"]


# Files


@pytest.mark.parametrize(
    ("data", "options", "expected"),
    [
        ("Größe\n".encode(), {}, "Größe\n"),
        ("\ufeffGröße".encode(), {}, "Größe"),
        (b"a\r\nb\rc\n", {}, "a\nb\nc\n"),
        ("Größe".encode("latin-1"), {"encoding": "latin-1"}, "Größe"),
        ("Größe".encode("utf-16"), {"encoding": "utf-16"}, "Größe"),
    ],
)
def test_read_text(tmp_path, data, options, expected):
    (tmp_path / "text").write_bytes(data)
    assert read_text(tmp_path / "text", **options) == expected


@pytest.mark.parametrize(
    ("data", "options", "message"),
    [
        (b"", {}, "text: expected text, got an empty file"),
        (b" \n\n", {}, "text: expected text, got an empty file"),
        (b"\xef\xbb\xbf", {}, "text: expected text, got an empty file"),
        (
            "one\nGröße\n".encode() + "Größe".encode("latin-1"),
            {},
            r"text: expected text in utf-8, got byte 0xf6 at position 14 \(line 3\)",
        ),
        ("ab".encode("utf-16"), {}, r"text: expected text in utf-8, got byte 0xff at position 0 \(line 1\)"),
        (b"a", {"encoding": "utf-9"}, "encoding: expected the name of an encoding, got 'utf-9'"),
    ],
)
def test_what_is_wrong_in_a_file_is_said_with_its_place(tmp_path, data, options, message):
    (tmp_path / "text").write_bytes(data)
    for read in (read_text, read_tagged):
        with pytest.raises(ValueError, match=message):
            read(tmp_path / "text", **options)


def test_no_file_and_no_name_of_an_encoding(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_text(tmp_path / "text")
    (tmp_path / "text").write_bytes(b"a")
    with pytest.raises(TypeError, match="encoding: expected the name of an encoding, got int"):
        read_text(tmp_path / "text", encoding=8)


@pytest.mark.parametrize(
    "data",
    [b"a\tX\nb c\tY\n\nd\tX\n", b"\n\na\tX\r\nb c\tY\r\n\t\r\n\r\nd\tX", b"a\t1\tX\nb c\t2\tY\n\nd\t\tX\n\n\n"],
)
def test_read_tagged(tmp_path, data):
    (tmp_path / "text").write_bytes(data)
    assert read_tagged(tmp_path / "text") == ([["a", "b c"], ["d"]], [["X", "Y"], ["X"]])


def test_read_tagged_of_other_columns(tmp_path):
    (tmp_path / "text").write_bytes(b"a X\nb  Y\n")
    assert read_tagged(tmp_path / "text") == ([["a", "b"]], [["X", "Y"]])
    (tmp_path / "text").write_bytes(b"a\n\nb\nc")
    assert read_tagged(tmp_path / "text") == ([["a"], ["b", "c"]], None)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"a\tX\nb\n", r"line 2: expected 2 columns, a token first and its tag last, got 'b'"),
        (b"a\tX\n\n\tX\n", r"line 3: expected 2 columns"),
        (b"a\tX\nb\t\n", r"line 2: expected 2 columns"),
        (b"a\nb X\n", r"line 2: expected one token, got 'b X'"),
    ],
)
def test_a_line_without_token_or_tag_is_an_error(tmp_path, data, message):
    (tmp_path / "text").write_bytes(data)
    with pytest.raises(ValueError, match=message):
        read_tagged(tmp_path / "text")
