"""`clstm generate`: learning a text, the test beside counting, writing, and what is refused."""

import json
import math
from pathlib import Path

import command_line_files
import numpy as np
import pytest
from command_line_files import never, refused, run

import clstm
from clstm import estimators
from clstm.commands.generate import baseline

SMALL = ["--epochs", "2", "--set", "hidden_size=16", "--set", "embedding_size=16", "--length", "30"]


@pytest.fixture(autouse=True)
def _files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    command_line_files.generate_files()


def test_it_learns_tests_and_writes():
    words = ["generate", "poems.txt", *SMALL, "--seed", "3", "--save", "m.safetensors"]
    code, out, err = run(*words, "--json")
    assert (code, err) == (0, "")
    found = json.loads(out)
    text = Path("poems.txt").read_text()
    cut = text.rfind("\n", 0, round(0.9 * len(text))) + 1
    model = estimators.load("m.safetensors")
    assert found["data"] == {"file": "poems.txt", "characters": len(text), "distinct_characters": len(set(text))}
    assert found["test"]["where"] == f"the last {len(text) - cut:,} characters"
    assert found["test"]["perplexity"] == pytest.approx(model.perplexity(text[cut:]), rel=1e-12)
    assert found["test"]["baseline"] == baseline(text[:cut], text[cut:])
    assert found["text"] == model.generate(30, random_state=3)
    code, again, _ = run("generate", "--model", "m.safetensors", "--prompt", "the ", "--length", "30", "--seed", "3")
    assert again == "the " + model.generate(30, "the ", random_state=3) + "\n"
    code, out, _ = run("generate", "poems.txt", *SMALL)
    assert code == 0
    assert "no better than counting" in out
    assert max(map(len, out.splitlines())) <= 80


def test_words():
    found = json.loads(run("generate", "poems.txt", "--words", *SMALL, "--json")[1])
    assert found["test"]["per"] == "word"
    assert "baseline" not in found["test"]
    assert len(found["text"].split()) > 15
    words = ["generate", "poems.txt", "--words", *SMALL, "--json", "--prompt"]
    assert json.loads(run(*words, "the cat")[1])["text"].startswith("the cat ")


def test_counting_is_that_of_witten_and_bell():
    """Probabilities sum to 1 over the symbols; those of "ab" again and again are known."""
    learnt = "abab"
    # order 0: a 2, b 2, two kinds; b behind a: 2 of 2, one kind; b behind xa: ba 1 time, then b
    uniform = 1 / 2
    zero = (2 + 2 * uniform) / (4 + 2)
    first = (2 + zero) / (2 + 1)
    assert baseline(learnt, "ab") == pytest.approx(math.exp(-(math.log(zero) + math.log(first)) / 2))
    rng = np.random.default_rng(0)
    learnt = "".join(rng.choice(list("abc"), 60))
    for context in ("", "a", "cb"):
        # baseline is exp(-mean of log p), so that the last p is a quotient
        ps = [baseline(learnt, context + c) ** -(len(context) + 1) for c in "abc"]
        before = baseline(learnt, context) ** -len(context) if context else 1
        assert sum(ps) == pytest.approx(before)


BAD = [
    (2, "expected a FILE to learn from, or --model, and not both", []),
    (2, "expected a FILE to learn from, or --model, and not both", ["poems.txt", "--model", "m"]),
    (2, "argument --temperature: expected a number above 0, got '0'", ["poems.txt", "--temperature", "0"]),
    (2, "argument --length: expected a whole number of at least 1, got '0'", ["poems.txt", "--length", "0"]),
    (2, "argument --hold-out: not with --model", ["--model", "m", "--hold-out", "0.1"]),
    (1, "cannot read 'absent.txt': no such file or directory", ["absent.txt"]),
    (1, "cannot read '.': it is a folder", ["."]),
    (1, "empty.txt: the file is empty", ["empty.txt"]),
    (1, "latin.txt: line 2: expected text in UTF-8, got the byte 0xfc", ["latin.txt"]),
    (1, "wide.txt: expected text, got binary data (or UTF-16: save it as UTF-8)", ["wide.txt"]),
    (1, "short.txt: expected a longer text to hold some out, got 2 characters (--hold-out 0", ["short.txt"]),
    (1, "--save: './poems.txt' is the file to read", ["poems.txt", "--save", "./poems.txt"]),
]


@pytest.mark.parametrize(("code", "message", "words"), BAD, ids=str)
def test_bad_input_is_one_line_and_leaves_everything_as_it_was(code, message, words, monkeypatch):
    monkeypatch.setattr(clstm.Trainer, "fit", never)
    Path("empty.txt").write_text(" \n")
    Path("latin.txt").write_bytes("a\ngrün\n".encode("latin-1"))
    Path("wide.txt").write_bytes("abc".encode("utf-16"))
    Path("short.txt").write_text("ab")
    refused(code, message, ["generate", *words])


def test_a_prompt_of_other_characters():
    assert run("generate", "poems.txt", *SMALL, "--save", "m.safetensors")[0] == 0
    refused(
        1,
        "prompt: expected only characters that fit has seen",
        ["generate", "--model", "m.safetensors", "--prompt", "☂"],
    )
    refused(1, "expected a model of words for --words", ["generate", "--model", "m.safetensors", "--words"])
