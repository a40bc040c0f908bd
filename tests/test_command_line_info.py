"""`clstm info` and `clstm bench`: what they tell."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from command_line_files import refused, run

import clstm
from clstm import estimators, safetensors
from clstm.commands import bench
from clstm.commands.bench import duration
from clstm.forecasting import Forecaster


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def info(path):
    """What is told of a file as JSON, and as text."""
    (code, out, err), (again, text, _) = run("info", path, "--json"), run("info", path)
    assert (code, again, err) == (0, 0, "")
    assert max(map(len, text.splitlines())) <= 80
    return json.loads(out), text


def test_a_network():
    net = clstm.Network([clstm.LSTM(3, 8, bidirectional=True, rng=0), clstm.Pool("mean"), clstm.Dense(16, 2, rng=0)])
    net.save("net.safetensors")
    found, text = info("net.safetensors")
    count = sum(value.size for value in net.parameters().values())
    assert (found["holds"], found["clstm"], found["parameters"]) == ("Network", clstm.__version__, count)
    assert (found["bytes"], found["dtypes"]) == (Path("net.safetensors").stat().st_size, ["float32"])
    assert found["tensors"] == {name: list(value.shape) for name, value in net.parameters().items()}
    assert [(layer["place"], layer["name"]) for layer in found["layers"]] == [
        ("", "Network"),
        ("0", "LSTM"),
        ("1", "Pool"),
        ("2", "Dense"),
    ]
    assert sum(layer["parameters"] for layer in found["layers"][1:]) == count
    assert "LSTM(input_size=3, hidden_size=8, bidirectional=True)" in text
    assert f"{count:,} parameters, float32" in text


def test_an_estimator_and_its_options():
    x = np.random.default_rng(0).normal(size=(8, 5))
    model = estimators.LSTMClassifier(hidden_size=4, epochs=1, networks=2, random_state=0).fit(
        x, np.array(["a", "b"] * 4)
    )
    model.save("m.safetensors")
    found, text = info("m.safetensors")
    assert found["holds"] == "LSTMClassifier"
    assert found["options"] == json.loads(json.dumps(model.get_params()))
    assert found["learnt"]["classes_"] == ["a", "b"]
    assert "Ensemble(2 networks, of which the first follows)" in text
    assert " 0.0 LSTM(" in text
    assert " 1.0 LSTM(" not in text


def test_a_forecaster_a_checkpoint_and_what_is_not_ours():
    t = np.arange(48)
    Forecaster(3, networks=1, epochs=1).fit(np.sin(t) + t).save("f.safetensors")
    found, _ = info("f.safetensors")
    assert (found["holds"], found["options"]["horizon"]) == ("Forecaster", 3)
    trainer = clstm.Trainer(clstm.Network([clstm.LSTM(1, 2), clstm.Dense(2, 1)]), rng=0)
    trainer.save("c.safetensors")
    assert info("c.safetensors")[0]["holds"] == "checkpoint of a training"
    safetensors.write("other.safetensors", {"w": np.zeros((2, 3), np.float64)})
    found, text = info("other.safetensors")
    assert (found["holds"], found["parameters"], found["tensors"]) == (None, 6, {"w": [2, 3]})
    assert "tensors, which clstm has not written" in text


def test_a_layer_that_is_not_known_is_told_about():
    class Own(clstm.Dense):
        """A layer of somebody."""

    Own(2, 3).save("own.safetensors")
    from clstm import model_file

    del model_file._registry["Own"]
    assert info("own.safetensors")[0]["holds"] == "Own"


def test_bad_files():
    Path("short.safetensors").write_bytes(b"123")
    safetensors.write("odd.safetensors", {}, {"clstm": "[1, 2"})
    safetensors.write("odder.safetensors", {}, {"clstm": "[1, 2]"})
    refused(1, "cannot read 'absent': no such file or directory", ["info", "absent"])
    refused(1, "cannot read '.': is a directory", ["info", "."])
    refused(
        1, "short.safetensors: no safetensors file: expected at least 8 bytes, got 3", ["info", "short.safetensors"]
    )
    for name in ("odd.safetensors", "odder.safetensors"):
        refused(1, f"{name}: damaged, or written by a newer clstm", ["info", name])
    refused(2, "the following arguments are required: MODEL", ["info"])


@pytest.fixture
def _small(monkeypatch):
    monkeypatch.setattr(bench, "SIZES", (bench.Size(5, 2, 3, 4),))
    monkeypatch.setattr(bench, "STREAMS", (4,))
    monkeypatch.setattr(bench, "MATRIX", 16)


@pytest.mark.usefixtures("_small")
def test_bench_measures():
    before = clstm.get_num_threads()
    code, out, _ = run("bench", "--seconds", "0.01", "--threads", "1", "--json")
    assert code == 0
    found = json.loads(out)
    (row,), (step,) = found["layers"], found["steps"]
    flops = 2 * 4 * 4 * (3 + 4) * 5 * 2
    assert row["train_gflops"] * row["train_seconds"] * 1e9 == pytest.approx(3 * flops)
    assert row["infer_gflops"] * row["infer_seconds"] * 1e9 == pytest.approx(flops)
    assert 0 < step["seconds"] < row["train_seconds"] * 100
    assert found["numpy_sgemm_gflops"] > 0
    assert found["machine"]["threads"] == 1
    assert clstm.get_num_threads() == before
    code, out, _ = run("bench", "--seconds", "0.01")
    assert code == 0
    assert max(map(len, out.splitlines())) <= 80
    assert re.search(r"^  5 +2 +3 +4 +[\d.]+ [mun]?s +[\d.]+ +\d+ % +[\d.]+ [mun]?s +[\d.]+$", out, re.MULTILINE)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(12.345, "12.3 s"), (0.5, "500 ms"), (9.996e-3, "10.0 ms"), (1.5943e-4, "159 us"), (6.14e-7, "614 ns")],
)
def test_times_have_three_digits(seconds, text):
    assert duration(seconds) == text


def test_bench_refuses():
    refused(2, "argument --threads: expected a whole number of at least 1, got '0'", ["bench", "--threads", "0"])
    refused(2, "argument --threads: expected at most 1024, got 2000", ["bench", "--threads", "2000"])
    refused(2, "argument --seconds: expected a number above 0, got 'nan'", ["bench", "--seconds", "nan"])
