"""`clstm transcribe`: folders of recordings, features, the test beside its baseline, and what is refused."""

import json
import os
from pathlib import Path

import command_line_files
import numpy as np
import pytest
from command_line_files import never, recording, refused, run, table

import clstm
from clstm import estimators, speech

SMALL = ["--epochs", "60", *(f"--set={text}" for text in ("hidden_size=16", "num_layers=1", "batch_size=4"))]
SMALL += [f"--set={text}" for text in ("learning_rate=0.03", "stretch=0", "noise=0", "dropout=0", "cmvn=false")]


@pytest.fixture(autouse=True)
def _files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    command_line_files.transcribe_files()


def test_recordings_are_learnt_and_others_transcribed():
    code, out, err = run("transcribe", "digits", *SMALL, "--json", "--save", "m.safetensors")
    assert (code, err) == (0, "")
    found = json.loads(out)
    assert (found["data"]["recordings"], found["data"]["samples_per_second"]) == (20, 8000)
    test = found["test"]
    assert test["where"] == "4 recordings held out of digits"
    assert (test["usual"], test["baseline_exact"], test["baseline_label_error_rate"]) == ("high", 0.5, 0.5)
    assert test["exact"] == 1 - len(test["mistakes"]) / 4 > 0.5
    model = estimators.load("m.safetensors")
    said = [model.predict([speech.mfcc(*speech.read_wav(path))])[0] for path in ("one.wav", "two.wav")]
    text = f"one.wav\t{said[0]}\ntwo.wav\t{said[1]}\n"
    assert run("transcribe", "--model", "m.safetensors", "one.wav", "two.wav") == (0, text, "")
    folder = run("transcribe", "--model", "m.safetensors", "names")[1].splitlines()
    assert len(folder) == 20
    assert folder[0].startswith(f"{os.path.join('names', '0.wav')}\t")
    rng = np.random.default_rng(0)
    recording("fast.wav", 300, rng, rate=16000)
    words = ["transcribe", "--model", "m.safetensors"]
    refused(
        1, "fast.wav: expected 8000 samples per second, as in the recordings learnt, got 16000", [*words, "fast.wav"]
    )
    refused(1, "text.wav", [*words, "text.wav"])
    Path("text.wav").write_text("no sound")
    refused(1, "text.wav: ", [*words, "text.wav"])
    Path("nothing").mkdir()
    refused(1, "nothing: no .wav files in this folder", [*words, "nothing"])


def test_features():
    words = ["transcribe", "features.npz", "--target", "digit", "--epochs", "1"]
    code, out, err = run(*words, "--save", "m.safetensors")
    assert (code, err) == (0, "")
    assert max(map(len, out.splitlines())) <= 80
    assert "20 of " in out
    assert "3 features" in out
    assert "--set batch_size=4" in out  # it is no better than the most frequent text
    found = json.loads(run("transcribe", "--model", "m.safetensors", "features.npz", "--json")[1])
    assert [one["file"] for one in found["transcriptions"][:2]] == ["features.npz[0]", "features.npz[1]"]
    assert {one["text"] for one in found["transcriptions"]} <= {"", "0", "1", "0 1", "1 0", "1 1", "0 0"}
    np.savez("wide.npz", x=np.zeros((8, 4)), length=[8])
    refused(
        1,
        "wide.npz: wide.npz[0]: expected 3 features a frame, as were learnt, got 4",
        ["transcribe", "--model", "m.safetensors", "wide.npz"],
    )


LIVELY = ["--epochs", "40", "--set=hidden_size=16", "--set=learning_rate=0.02", "--set=batch_size=4"]


def test_speakers_are_told_apart():
    """Two of them in the table; a voice that is known, and one that it gets used to."""
    words = ["transcribe", "digits", "--speaker", "speaker", *LIVELY, "--json", "--save", "m.safetensors"]
    code, out, err = run(*words)
    assert (code, err) == (0, "")
    assert json.loads(out)["data"]["speakers"] == {"ann": 10, "bob": 10}
    model = estimators.load("m.safetensors")
    assert set(model.front_end_.known) == {"ann", "bob"}
    x = [speech.mfcc(*speech.read_wav(path)) for path in ("one.wav", "two.wav")]
    said = "".join(f"{name}\t{text}\n" for name, text in zip(("one.wav", "two.wav"), model.predict(x, ["ann"] * 2)))
    assert run("transcribe", "--model", "m.safetensors", "--voice", "ann", "one.wav", "two.wav") == (0, said, "")
    words = ["transcribe", "--model", "m.safetensors", "--voice", "cid", "--adapt", "cids", "--save", "cid.safetensors"]
    code, out, err = run(*words)
    assert (code, err) == (0, "")
    assert out.endswith("\nwrote cid.safetensors\n")
    adapted = estimators.load("cid.safetensors")
    assert set(adapted.front_end_.known) == {"ann", "bob", "cid"}
    assert not adapted.progress
    paths = sorted(os.path.join("cids", f"{k}.wav") for k in range(20))
    x = [speech.mfcc(*speech.read_wav(path)) for path in paths]
    expected = model.adapt(x, ["cid"] * 20)
    np.testing.assert_array_equal(adapted.net_.flat_parameters, expected.net_.flat_parameters)
    told = dict(line.split("\t") for line in out.splitlines()[:20])
    assert [told[path] for path in paths] == expected.predict(x, ["cid"] * 20)
    np.savez("features.npz", **np.load("features.npz"), who=["a", "b"] * 10)
    words = ["transcribe", "features.npz", "--target", "digit", "--epochs", "1"]
    assert "speakers     2: a 10, b 10" in run(*words, "--speaker", "who")[1]
    refused(1, "features.npz: no array 'whom'; there are", [*words, "--speaker", "whom"])


def test_adaptation_needs_to_hear_something():
    run("transcribe", "digits", "--epochs", "1", "--set=learning_rate=1e-9", "--save", "m.safetensors", "--quiet")
    model = estimators.load("m.safetensors")
    model.net_.layers[-1].parameters()["bias"][0] = 100  # nothing but blanks
    model.save("deaf.safetensors")
    words = ["transcribe", "--model", "deaf.safetensors", "--adapt", "one.wav", "--save", "new.safetensors"]
    refused(1, "argument --adapt: expected recordings in which something is heard, got none", words)


BAD = [
    (2, "the following arguments are required: FILE", []),
    (2, "expected one folder or .npz file to learn, got 2", ["digits", "names"]),
    (2, "argument --labels: goes with a folder of recordings", ["features.npz", "--labels", "digits/labels.csv"]),
    (2, "argument --target: not with --model", ["one.wav", "--model", "m", "--target", "x"]),
    (2, "argument --speaker: not with --model", ["one.wav", "--model", "m", "--speaker", "x"]),
    (2, "argument --save: not with --model", ["one.wav", "--model", "m", "--save", "x.safetensors"]),
    (2, "argument --voice: goes with --model", ["digits", "--voice", "x"]),
    (2, "argument --adapt: goes with --model", ["digits", "--adapt"]),
    (1, "labels.csv: no column 'who'; there are 'file', 'label', 'speaker'", ["digits", "--speaker", "who"]),
    (1, "few.npz: expected a who for each of the 2 recordings, got 1", ["few.npz", "--speaker", "who"]),
    (1, "cannot read 'absent': no such file or directory", ["absent"]),
    (1, "labels.csv': no such file or directory", ["empty"]),
    (1, "labels.csv: no column 'text'; there are 'file', 'label', 'speaker'", ["digits", "--target", "text"]),
    (1, "lacks.csv: line 3: expected a file and its label, got 'b.wav' and ''", ["digits", "--labels", "lacks.csv"]),
    (1, "no.wav': no such file or directory", ["digits", "--labels", "absent.csv"]),
    (
        1,
        "mixed: expected the same number of samples per second everywhere, got 8000 in 'a.wav' and 16000 in 'b.wav'",
        ["mixed"],
    ),
    (1, "one.wav: expected a folder or an .npz file, got neither", ["one.wav"]),
    (1, "features.npz: no array 'label'; there are 'x', 'length', 'digit'", ["features.npz"]),
    (1, "sum.npz: expected lengths of at least 1 that sum to the 4 frames of x", ["sum.npz"]),
    (1, "nan.npz: expected finite features, got nan", ["nan.npz"]),
    (1, "shape.npz: expected x (frames, features) and length (recordings,) of whole numbers", ["shape.npz"]),
    (1, "count.npz: expected a label for each of the 2 recordings, got 1", ["count.npz"]),
    (1, "long.npz: long.npz[0]: expected at least ", ["long.npz", "--hold-out", "0"]),
    (1, "object.npz: ", ["object.npz"]),
    (1, "few.npz: expected more recordings of each of 2 kinds to hold some out, got 2 in all", ["few.npz"]),
    (
        1,
        "few.npz: few.npz[0]: expected 3 features a frame, as were learnt, got 1",
        ["features.npz", "--target", "digit", "--test", "digit.npz"],
    ),
]


@pytest.mark.parametrize(("code", "message", "words"), BAD, ids=str)
def test_bad_input_is_one_line_and_leaves_everything_as_it_was(code, message, words, monkeypatch):
    monkeypatch.setattr(clstm.Trainer, "fit", never)
    rng = np.random.default_rng(0)
    for folder in ("empty", "mixed"):
        Path(folder).mkdir()
    table("lacks.csv", ["file", "label"], [("0.wav", "x"), ("b.wav", "")])
    table("absent.csv", ["file", "label"], [("no.wav", "x")])
    table("mixed/labels.csv", ["file", "label"], [("a.wav", "x"), ("b.wav", "y")])
    recording("mixed/a.wav", 300, rng)
    recording("mixed/b.wav", 300, rng, rate=16000)
    x, good = np.ones((4, 1)), {"length": [2, 2], "label": ["a", "b"]}
    np.savez("sum.npz", x=x, length=[2, 3], label=["a", "b"])
    np.savez("nan.npz", x=np.nan * x, **good)
    np.savez("shape.npz", x=x[:, 0], **good)
    np.savez("count.npz", x=x, length=[2, 2], label=["a"])
    np.savez("object.npz", x=x, length=[2, 2], label=np.array([{}, "b"], object))
    np.savez("few.npz", x=x, **good, who=["a"])
    np.savez("long.npz", x=np.ones((16, 1)), length=[4] * 4, label=["a b c d e f", "c", "a b c d e f", "c"])
    np.savez("digit.npz", x=x, length=[2, 2], digit=[0, 1])
    refused(code, message.replace("few.npz: few.npz[0]", "digit.npz: digit.npz[0]"), ["transcribe", *words])
