"""`clstm classify`: the forms of files, what is told of a test and of new sequences, and what is refused."""

import json
import re
from pathlib import Path

import command_line_files
import numpy as np
import pytest
from command_line_files import gestures, never, refused, run, table

import clstm
from clstm import estimators
from clstm.commands.sequences import Form, read_sequences
from clstm.commands.tables import TableError

SMALL = ["--epochs", "12", "--set", "hidden_size=8", "--set", "batch_size=8"]


@pytest.fixture(autouse=True)
def _files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    command_line_files.classify_files()


def told(*words):
    """What a command prints as JSON."""
    code, out, err = run("classify", *words, "--json")
    assert (code, err) == (0, "")
    return json.loads(out)


def test_three_forms_of_a_file_are_one():
    """The same sequences as rows, as steps and as JSON lines make the same network, and the same test."""
    data = list(gestures(30, np.random.default_rng(0)))
    table("wide.csv", [*"abcdefg", "label"], [(*steps, *[""] * (7 - len(steps)), label) for label, steps in data])
    rows = [(f"s{k}", t, value, label) for k, (label, steps) in enumerate(data) for t, value in enumerate(steps)]
    table("long.csv", ["name", "t", "value", "label"], rows)
    lines = [json.dumps({"label": label, "x": [[value] for value in steps]}) for label, steps in data]
    lines[3] = json.dumps({"label": data[3][0], "x": data[3][1].tolist()})
    Path("lines.jsonl").write_text("\n".join(lines) + "\n")
    found = [
        told(name, *SMALL, "--target", "label", *more)
        for name, more in (("wide.csv", []), ("long.csv", ["--id", "name", "--time", "t"]), ("lines.jsonl", []))
    ]
    for one in found:
        assert one["data"].pop("file") == one["test"].pop("where").rpartition(" ")[2]
        assert one == found[0]
    assert found[0]["data"] == {
        "sequences": 30,
        "classes": {"down": 15, "up": 15},
        "shortest": 5,
        "longest": 7,
        "channels": 1,
    }


def test_the_test_beside_its_baseline():
    found = told("gestures.csv", *SMALL, "--hold-out", "0.25")["test"]
    confusion = np.array(found["confusion"])
    assert found["classes"] == ["down", "up"]
    assert confusion.sum(axis=1).tolist() == [5, 5]
    assert found["accuracy"] == np.trace(confusion) / 10
    assert found["baseline"] == 0.5
    assert found["accuracy"] > 0.8
    code, out, _ = run("classify", "gestures.csv", *SMALL, "--hold-out", "0.25", "--quiet")
    assert code == 0
    assert out.startswith("  Test: 10 sequences held out of gestures.csv\n")
    assert re.search(rf"^  LSTM +{found['accuracy']:.3f}$", out, re.MULTILINE)
    assert re.search(r"^  most frequent class, down +0\.500$", out, re.MULTILINE)
    assert re.search(rf"^  down +{confusion[0, 0]} +{confusion[0, 1]}$", out, re.MULTILINE)


def test_a_saved_model_knows_its_files():
    words = ["walks.csv", "--target", "room", "--id", "walk", "--time", "t", "--predict", "new_walks.csv"]
    learnt = told(*words, *SMALL, "--hold-out", "0", "--save", "m.safetensors")
    assert "test" not in learnt
    assert learnt["written"] == ["m.safetensors"]
    again = told("new_walks.csv", "--model", "m.safetensors")
    assert again["predictions"] == learnt["predictions"]
    model = estimators.load("m.safetensors")
    form = Form("room", "walk", "t", None, ["left", "right"])
    new = read_sequences("new_walks.csv", Path("new_walks.csv").read_bytes(), form, labels=False)
    assert new.labels is None
    assert [one["sequence"] for one in again["predictions"]] == new.names
    for one, row in zip(again["predictions"], model.predict_proba(new.x), strict=True):
        assert list(one["probabilities"].values()) == row.tolist()
        assert one["label"] == model.classes_[row.argmax()]


def test_a_model_of_python_is_told_how_to_read():
    rng = np.random.default_rng(0)
    x = [np.stack([steps, -steps], axis=1) for _, steps in gestures(12, rng)]
    model = estimators.LSTMClassifier(hidden_size=4, epochs=1, random_state=0).fit(x, np.array(["a", "b"] * 6))
    model.save("own.safetensors")
    assert len(told("new_walks.csv", "--model", "own.safetensors", "--id", "walk", "--time", "t")["predictions"]) == 4


def test_texts():
    found = told("reviews.csv", "--target", "stars", "--text", "review", "--test", "more.csv", "--epochs", "15")
    assert found["data"] == {"file": "reviews.csv", "sequences": 40, "classes": {"1": 20, "5": 20}}
    assert found["test"]["where"] == "10 sequences of more.csv"
    assert found["test"]["accuracy"] == 1


def test_many_classes_have_a_line_each():
    rows = [(f"class{k % 15}", *np.round(np.random.default_rng(k).normal(size=4), 2)) for k in range(60)]
    table("many.csv", ["label", *"abcd"], rows)
    code, out, _ = run("classify", "many.csv", "--epochs", "1", "--plot", "many.png")
    assert code == 0
    assert max(map(len, out.splitlines())) <= 80
    assert "class    tested  right  most often taken for\n" in out
    assert out.count("\n  class1") == 6  # 1, and 10 to 14
    assert "and 3 more" in out
    assert Path("many.png").read_bytes().startswith(b"\x89PNG")


def test_missing_values_are_filled_if_one_wishes():
    text = Path("gestures.csv").read_text().splitlines()
    text[5] = "down,NA,-0.2,,-0.6,-0.8,,"
    Path("gestures.csv").write_text("\n".join(text))
    refused(1, "gestures.csv: line 6: a missing value in step 1 (--impute fills it)", ["classify", "gestures.csv"])
    assert told("gestures.csv", "--impute", "linear", "--epochs", "1")["data"]["shortest"] == 5


BAD = [
    (2, "the following arguments are required: FILE", []),
    (2, "argument --epochs: expected a whole number of at least 1, got '0'", ["gestures.csv", "--epochs", "0"]),
    (
        2,
        "argument --hold-out: expected a number from 0 up to 1, such as 0.2, got '1'",
        ["gestures.csv", "--hold-out", "1"],
    ),
    (2, "argument --hold-out: not with --test", ["gestures.csv", "--test", "gestures.csv", "--hold-out", "0.1"]),
    (2, "argument --set: expected NAME=VALUE, such as hidden_size=64, got 'x'", ["gestures.csv", "--set", "x"]),
    (2, "argument --set: LSTMClassifier has no parameter 'size', but pooling, ", ["gestures.csv", "--set", "size=3"]),
    (
        2,
        "argument --set: hidden_size: expected an int of at least 1, got 0",
        ["gestures.csv", "--set", "hidden_size=0"],
    ),
    (2, "argument --set: hidden_size: expected an int", ["gestures.csv", "--set", "hidden_size=big"]),
    (2, "argument --time: goes with --id", ["gestures.csv", "--time", "a"]),
    (2, "argument --text: a text has no --id, --time or --impute", ["reviews.csv", "--text", "review", "--id", "x"]),
    (2, "argument --plot: there is no test to draw", ["gestures.csv", "--plot", "a.png", "--hold-out", "0"]),
    (1, "cannot read 'absent.csv': no such file or directory", ["absent.csv"]),
    (1, "cannot read 'absent.csv': no such file or directory", ["gestures.csv", "--test", "absent.csv"]),
    (1, "empty.csv: the file is empty", ["empty.csv"]),
    (1, "empty.jsonl: the file is empty", ["empty.jsonl"]),
    (1, "same.csv: the sequences: expected values that differ, got 3 everywhere", ["same.csv"]),
    (1, "dull.csv: column 'b': expected values that differ, got 7 everywhere", ["dull.csv", "--id", "id"]),
    (
        1,
        "void.csv: column 'b': expected values that differ, got missing ones only",
        ["void.csv", "--id", "id", "--impute", "mean"],
    ),
    (1, "latin.csv: line 3: expected text in UTF-8, got the byte 0xfc", ["latin.csv"]),
    (1, "gestures.csv: no column 'class'; there are 'label', 'a', 'b'", ["gestures.csv", "--target", "class"]),
    (1, "walks.csv: no column 'who'", ["walks.csv", "--target", "room", "--id", "who"]),
    (1, "gestures.csv: line 2, column 'label': expected a number, got 'down'", ["gestures.csv", "--target", "a"]),
    (1, "label.csv: line 3: expected a label in 'label', got none", ["label.csv"]),
    (1, "nothing.csv: line 3: expected a sequence of numbers, got none", ["nothing.csv"]),
    (1, "one.csv: expected at least 2 classes, got 'up' everywhere", ["one.csv"]),
    (1, "few.csv: expected more sequences of each of 2 kinds to hold some out, got 2 in all", ["few.csv"]),
    (
        1,
        "test.csv: line 2: expected a label that was learnt, 'down', 'up', got 'left'",
        ["gestures.csv", "--test", "test.csv"],
    ),
    (
        1,
        "walks2.csv: line 3, column 't': 0 is the same time again in the sequence 'w'",
        ["walks2.csv", "--id", "walk", "--time", "t"],
    ),
    (
        1,
        "walks2.csv: line 5, column 't2': 1 is not later than 2 in the sequence 'v'",
        ["walks2.csv", "--id", "walk", "--time", "t2"],
    ),
    (1, "walks2.csv: line 5, column 'label': 'b', but 'v' has been 'a' before", ["walks2.csv", "--id", "walk"]),
    (1, "a.jsonl: line 2: expected 1 channels, got 2", ["a.jsonl"]),
    (1, "b.jsonl: line 1: expected 2 channels as in the first step, got 1 in step 2", ["b.jsonl"]),
    (1, "c.jsonl: line 2: no valid JSON", ["c.jsonl"]),
    (1, "d.jsonl: line 1: expected a label in 'label', a text or a whole number, got None; there are 'x'", ["d.jsonl"]),
    (
        1,
        "e.jsonl: line 1: expected a list of steps in 'x', each a number or a list of numbers, got 'x' in step 1",
        ["e.jsonl"],
    ),
    (1, "reviews.csv: no column 'text'", ["reviews.csv", "--target", "stars", "--text", "text"]),
    (1, "cannot read 'm.safetensors': no such file or directory", ["gestures.csv", "--model", "m.safetensors"]),
    (1, "gestures.csv: no safetensors file", ["new.csv", "--model", "gestures.csv"]),
    (2, "argument --epochs: not with --model, which learns nothing", ["new.csv", "--model", "m", "--epochs", "3"]),
    (1, "--save: 'gestures.csv' is the file to read", ["gestures.csv", "--save", "gestures.csv"]),
    (1, "--plot: cannot write 'absent/a.png': there is no such folder", ["gestures.csv", "--plot", "absent/a.png"]),
]


@pytest.mark.parametrize(("code", "message", "words"), BAD, ids=str)
def test_bad_input_is_one_line_and_leaves_everything_as_it_was(code, message, words, monkeypatch):
    monkeypatch.setattr(clstm.Trainer, "fit", never)
    Path("empty.csv").write_text("")
    Path("empty.jsonl").write_text("\n")
    Path("same.csv").write_text("label,a,b\nx,3,3\ny,3,3\n")
    Path("dull.csv").write_text("id,label,a,b\nu,x,1,7\nv,y,2,7\n")
    Path("void.csv").write_text("id,label,a,b\nu,x,1,\nv,y,2,\n")
    Path("latin.csv").write_bytes("a,label\n1,x\n2,grün\n".encode("latin-1"))
    Path("label.csv").write_text("label,a\nup,1\n,2\ndown,3\n")
    Path("nothing.csv").write_text("label,a\nup,1\ndown,\n")
    Path("one.csv").write_text("label,a\nup,1\nup,2\n")
    Path("few.csv").write_text("label,a\nup,1\ndown,2\n")
    Path("test.csv").write_text("label,a\nleft,1\n")
    Path("walks2.csv").write_text("walk,t,t2,x,label\nw,0,0,1,a\nw,0,1,1,a\nv,1,2,1,a\nv,2,1,1,b\n")
    Path("a.jsonl").write_text('{"x": [1, 2], "label": 1}\n{"x": [[1, 2]], "label": 2}\n')
    Path("b.jsonl").write_text('{"x": [[1, 2], [1]], "label": 1}\n')
    Path("c.jsonl").write_text('{"x": [1], "label": 1}\n{"x": [1}\n')
    Path("d.jsonl").write_text('{"x": [1]}\n')
    Path("e.jsonl").write_text('{"x": ["x"], "label": 1}\n')
    refused(code, message, ["classify", *words])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("label,a\nx,1\ny,1e999\n", "line 3, column 'a': expected a number that fits into 64 bits"),
        ("walk,label\nw,x\n", "no columns of numbers besides 'walk', 'label'"),
        ("walk,label,a\n,x,1\n", "line 2, column 'walk': expected the id of a sequence, got none"),
    ],
)
def test_a_bad_file_is_told_where_it_is_bad(text, message):
    form = Form("label", "walk" if text.startswith("walk") else None)
    with pytest.raises(TableError, match=message):
        read_sequences("a.csv", text.encode(), form)


def test_new_sequences_have_the_channels_that_were_learnt():
    words = ["walks.csv", "--target", "room", "--id", "walk", "--time", "t", "--epochs", "1"]
    assert run("classify", *words, "--save", "m.safetensors")[0] == 0
    table("other.csv", ["walk", "t", "left"], [("w", 0, 1)])
    refused(
        1,
        "other.csv: no column 'right'; there are 'walk', 't', 'left'",
        ["classify", "other.csv", "--model", "m.safetensors"],
    )
    refused(
        2,
        "argument --id: not with this model, which knows how to read its files",
        ["classify", "new_walks.csv", "--model", "m.safetensors", "--id", "walk"],
    )
    refused(
        1,
        "m.safetensors: expected a model of clstm tag, got LSTMClassifier; clstm classify uses it",
        ["tag", "--model", "m.safetensors"],
    )
