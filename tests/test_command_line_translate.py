"""`clstm translate`: learning pairs, the test beside its baseline, translating, and what is refused."""

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import command_line_files
import pytest
from command_line_files import never, refused, run

import clstm
from clstm import estimators
from clstm.commands.translate import most_similar, scored

SMALL = [
    f"--set={text}"
    for text in ("dim=16", "hidden_size=16", "batch_size=4", "learning_rate=0.02", "beam_width=1", "dropout=0")
]


@pytest.fixture(autouse=True)
def _files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    command_line_files.translate_files()


def test_the_test_beside_its_baseline(monkeypatch):
    words = ["translate", "pairs.tsv", "--epochs", "30", *SMALL, "--hold-out", "0.2"]
    code, out, err = run(*words, "--json", "--save", "m.safetensors", "--plot", "a.png")
    assert (code, err) == (0, "")
    found = json.loads(out)
    assert found["data"] == {"file": "pairs.tsv", "pairs": 27, "sources": 27}
    test = found["test"]
    assert test["where"] == "5 pairs held out of pairs.tsv"
    assert test["scores"]["lstm"]["exact"] >= 0.6
    assert test["scores"]["most_similar"]["exact"] == 0  # no two sources are translated alike
    assert test["scores"]["lstm"]["character_error_rate"] < test["scores"]["most_similar"]["character_error_rate"]
    model = estimators.load("m.safetensors")
    for example in test["examples"]:
        assert model.predict([example["source"]]) == [example["written"]]
    assert found["written"] == ["m.safetensors", "a.png"]
    monkeypatch.setitem(sys.modules, "sacrebleu", None)
    code, out, _ = run(*words)
    assert code == 0
    assert max(map(len, out.splitlines())) <= 80
    assert "BLEU" not in out
    said = model.predict(["one two two", "ten ten one"])
    assert run("translate", "--model", "m.safetensors", *["one two two", "ten ten one"]) == (
        0,
        "\n".join(said) + "\n",
        "",
    )
    lines = Path("english.txt").read_text()
    assert run("translate", "--model", "m.safetensors", stdin=lines) == (0, "\n".join(said) + "\n", "")
    refused(1, "expected a text to translate, got an empty one", ["translate", "--model", "m.safetensors", " "])
    refused(1, "standard input: the file is empty", ["translate", "--model", "m.safetensors"])


def test_no_source_of_the_test_is_learnt():
    lines = ["a b\tx", "a b\ty", "c d\tz", "e f\tw"]
    Path("twice.tsv").write_text("\n".join(lines))
    words = ["translate", "twice.tsv", "--epochs", "1", *SMALL, "--hold-out", "0.4", "--json"]
    wheres = {json.loads(run(*words, "--seed", str(seed))[1])["test"]["where"] for seed in range(5)}
    assert wheres == {"1 pairs held out of twice.tsv", "2 pairs held out of twice.tsv"}


def test_bleu_gets_all_translations_of_a_source(monkeypatch):
    def corpus_bleu(written, references):
        assert (written, references) == (["a", "b"], [["x", "b"], ["a", None]])
        return SimpleNamespace(score=12.5)

    monkeypatch.setitem(sys.modules, "sacrebleu", SimpleNamespace(corpus_bleu=corpus_bleu))
    assert scored(["a", "b"], [["x", "a"], ["b"]]) == {"exact": 1, "character_error_rate": 0.5, "bleu": 12.5}


def test_the_most_similar_source():
    learnt = [("the cat sees", "A"), ("the dog", "B"), ("a big dog sees the cat", "C")]
    assert most_similar(learnt, ["the dog sees", "THE CAT", "x y"]) == ["B", "A", "A"]


BAD = [
    (2, "expected one file of pairs, or --model, got none", []),
    (2, "expected one file of pairs, or --model, got 2", ["pairs.tsv", "dates.tsv"]),
    (1, "cannot read 'absent.tsv'", ["absent.tsv"]),
    (1, "empty.tsv: the file is empty", ["empty.tsv"]),
    (1, "latin.tsv: line 2: expected text in UTF-8, got the byte 0xfc", ["latin.tsv"]),
    (1, "half.tsv: line 2: expected a text, a tab and another text, got 'two'", ["half.tsv"]),
    (1, "half.tsv: line 2: expected a text, a tab and another text", ["pairs.tsv", "--test", "half.tsv"]),
    (1, "one.tsv: expected more different sources to hold some out, got 1 in all", ["one.tsv"]),
    (2, "argument --set: Seq2Seq has no parameter 'beam', but ", ["pairs.tsv", "--set", "beam=2"]),
    (
        2,
        "argument --set: tokens: expected one of 'words', 'characters', got 'bytes'",
        ["pairs.tsv", "--set", "tokens=bytes"],
    ),
    (2, "argument --plot: there is nothing to draw", ["pairs.tsv", "--plot", "a.png", "--set", "attention_score=null"]),
    (2, "argument --hold-out: not with --test", ["pairs.tsv", "--test", "pairs.tsv", "--hold-out", "0"]),
    (1, "--save: 'pairs.tsv' is the file to read", ["pairs.tsv", "--save", "pairs.tsv"]),
]


@pytest.mark.parametrize(("code", "message", "words"), BAD, ids=str)
def test_bad_input_is_one_line_and_leaves_everything_as_it_was(code, message, words, monkeypatch):
    monkeypatch.setattr(clstm.Trainer, "fit", never)
    Path("empty.tsv").write_text("\n")
    Path("latin.tsv").write_bytes("a\tb\ngreen\tgrün\n".encode("latin-1"))
    Path("half.tsv").write_text("one\teins\ntwo\n")
    Path("one.tsv").write_text("one\teins\none\teine\n")
    refused(code, message, ["translate", *words])
