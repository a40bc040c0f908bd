"""`clstm tag`: learning, the test beside its baseline, tagging files and the standard input, and what is refused."""

import json
import re
import sys
from pathlib import Path
from types import SimpleNamespace

import command_line_files
import pytest
from command_line_files import never, refused, run

import clstm
from clstm import estimators

SMALL = ["--epochs", "8", "--set", "hidden_size=8", "--set", "batch_size=4"]


@pytest.fixture(autouse=True)
def _files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    command_line_files.tag_files()


def test_the_test_beside_its_baseline():
    code, out, err = run("tag", "train.tsv", "--test", "dev.tsv", *SMALL, "--json", "--save", "m.safetensors")
    assert (code, err) == (0, "")
    found = json.loads(out)
    assert found["data"] == {
        "file": "train.tsv",
        "sentences": 40,
        "words": 240,
        "tags": {"DET": 80, "NOUN": 80, "VERB": 40, "PUNCT": 40},
    }
    test = found["test"]
    assert (test["where"], test["tokens"], test["unseen"], test["entities"]) == (
        "8 sentences of dev.tsv",
        48,
        None,
        None,
    )
    assert test["baseline"] == 1  # no word has two tags
    assert test["accuracy"] > 0.9
    assert sum(count for _, count, _, _ in test["by_tag"]) == 48
    assert Path("m.safetensors").exists()
    code, out, _ = run("tag", "train.tsv", "--test", "dev.tsv", *SMALL)
    assert code == 0
    assert re.search(rf"^  LSTM +{test['accuracy']:.3f}$", out, re.MULTILINE)
    assert ("no better than each word's most frequent tag" in out) == (test["accuracy"] <= 1)


def test_the_baseline_counts_words_and_unseen_ones():
    Path("a.tsv").write_text("a\tX\na\tX\na\tY\nb\tY\n\n" * 4)
    Path("b.tsv").write_text("a\tX\na\tY\nb\tY\nc\tX\nd\tY\n")
    found = json.loads(run("tag", "a.tsv", "--test", "b.tsv", *SMALL, "--json")[1])["test"]
    assert found["baseline"] == 3 / 5  # a is X, b is Y, others are X: as frequent as Y, but first
    assert found["unseen"] in (0, 0.5, 1)


def test_names_are_judged_as_wholes_by_seqeval(monkeypatch):
    """What seqeval is given, and what becomes of what it says; and that nothing is told without it."""
    Path("names.tsv").write_text("Anna\tB-PER\nLee\tI-PER\nis\tO\nin\tO\nRome\tB-LOC\n\n" * 10)
    seen = []

    def score(number):
        return lambda true, said, zero_division: seen.append((true, said)) or number

    metrics = SimpleNamespace(f1_score=score(0.3), precision_score=score(0.1), recall_score=score(0.2))
    monkeypatch.setitem(sys.modules, "seqeval.metrics", metrics)
    words = ["tag", "names.tsv", *SMALL, "--hold-out", "0.2"]
    code, out, _ = run(*words)
    assert code == 0
    assert "Whole names, by seqeval: F1 0.300, precision 0.100, recall 0.200" in out
    true, said = seen[0]
    assert true == [["B-PER", "I-PER", "O", "O", "B-LOC"]] * 2
    assert [len(row) for row in said] == [5, 5]
    monkeypatch.setitem(sys.modules, "seqeval.metrics", None)
    assert "seqeval" not in run(*words)[1]


def test_a_file_and_the_standard_input_are_tagged_alike():
    assert run("tag", "train.tsv", *SMALL, "--hold-out", "0", "--save", "m.safetensors", "--quiet")[0] == 0
    model = estimators.load("m.safetensors")
    sentence = ["the", "cat", "likes", "a", "ship", "."]
    (tags,) = model.predict([sentence])
    text = "".join(f"{word}\t{tag}\n" for word, tag in zip(sentence, tags, strict=True)) + "\n"
    for stdin in (
        "the cat likes a ship.\n",
        "\n".join(sentence),
        "".join(f"{word}\tX\n" for word in sentence) + "\n\n",
    ):
        assert run("tag", "--model", "m.safetensors", stdin=stdin) == (0, text, "")
    Path("text.txt").write_text("the cat likes a ship.\n")
    assert run("tag", "--model", "m.safetensors", "text.txt") == (0, text, "")
    found = json.loads(run("tag", "--model", "m.safetensors", "text.txt", "--json")[1])
    assert found == {"sentences": [{"tokens": sentence, "tags": tags}]}
    refused(1, "standard input: the file is empty", ["tag", "--model", "m.safetensors"], stdin=" \n")
    refused(
        1, "standard input: line 2: expected text in UTF-8", ["tag", "--model", "m.safetensors"], stdin=b"a\n\xff\n"
    )


BAD = [
    (2, "the following arguments are required: FILE to learn from, or --model", []),
    (1, "cannot read 'absent.tsv': no such file or directory", ["absent.tsv"]),
    (1, "empty.tsv: expected text, got an empty file", ["empty.tsv"]),
    (1, "latin.tsv: expected text in utf-8, got byte 0xfc at position 12 (line 3)", ["latin.tsv"]),
    (1, "words.tsv: expected lines with a word, a tab and its tag, got one column", ["words.tsv"]),
    (1, "half.tsv, line 2: expected 2 columns, a token first and its tag last, got 'b'", ["half.tsv"]),
    (1, "one.tsv: expected at least 2 tags, got 'X' everywhere", ["one.tsv"]),
    (1, "few.tsv: expected more sentences to hold some out, got 1 in all (--hold-out 0", ["few.tsv"]),
    (1, "empty.tsv: expected text, got an empty file", ["train.tsv", "--test", "empty.tsv"]),
    (2, "argument --test: not with --model, which learns nothing", ["--model", "m", "--test", "dev.tsv"]),
    (2, "argument --set: LSTMTagger has no parameter 'size'", ["train.tsv", "--set", "size=3"]),
    (1, "--save: 'train.tsv' is the file to read", ["train.tsv", "--save", "train.tsv"]),
]


@pytest.mark.parametrize(("code", "message", "words"), BAD, ids=str)
def test_bad_input_is_one_line_and_leaves_everything_as_it_was(code, message, words, monkeypatch):
    monkeypatch.setattr(clstm.Trainer, "fit", never)
    Path("empty.tsv").write_text("\n\n")
    Path("latin.tsv").write_bytes("a\tX\nb\tY\nc\tgrün\n".encode("latin-1"))
    Path("words.tsv").write_text("a\nb\n")
    Path("half.tsv").write_text("a\tX\nb\n")
    Path("one.tsv").write_text("a\tX\nb\tX\n")
    Path("few.tsv").write_text("a\tX\nb\tY\n")
    refused(code, message, ["tag", *words])
