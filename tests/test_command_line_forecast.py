"""`clstm forecast`: JSON, saved models, several columns, what is known in advance (test_command_line.py: the rest)."""

import json
from pathlib import Path

import command_line_files
import numpy as np
import pytest
from command_line_files import never, refused, run, table

import clstm
from clstm import estimators
from clstm.commands.tables import read_columns, read_series
from clstm.forecasting import Forecaster

SMALL = ["--epochs", "1", "--set", "networks=1"]


@pytest.fixture(autouse=True)
def _files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    command_line_files.forecast_files()


def told(*words):
    """What a command prints as JSON: what it says of each column, and the files that were written."""
    code, out, err = run("forecast", *words, "--json")
    assert (code, err) == (0, "")
    found = json.loads(out)
    return found["columns"], found["written"]


def means(entry):
    return [row["mean"] for row in entry["forecast"]]


def test_json_says_what_the_text_says():
    (found,), written = told("sales.csv", "--horizon", "6", *SMALL, "--save", "m.safetensors")
    values = read_series(Path("sales.csv").read_bytes()).values
    model = Forecaster.load("m.safetensors")
    test = model.backtest(values, progress=False)
    assert written == ["m.safetensors"]
    assert (found["column"], found["rows"], found["missing"], found["level"]) == ("units", 84, 0, 0.8)
    assert found["plan"] == model.plan._asdict()
    assert found["backtest"]["origin"] == 78
    assert found["backtest"]["scores"]["lstm"] == dict(zip(("rmse", "mae"), test.scores()["lstm"]))
    assert found["backtest"]["inside_band"] == test.inside()
    assert [row["step"] for row in found["forecast"]] == [f"2022-{month:02}" for month in range(1, 7)]
    assert means(found) == model.predict().mean.tolist()
    assert [row["low"] for row in found["forecast"]] == model.predict().low.tolist()


def test_a_saved_model_goes_on_where_a_longer_file_ends():
    assert run("forecast", "power.csv", "--column", "kW", "--horizon", "5", *SMALL, "--save", "m.safetensors")[0] == 0
    (found,), _ = told("--model", "m.safetensors")
    model = Forecaster.load("m.safetensors")
    assert means(found) == model.predict().mean.tolist()
    assert [row["step"] for row in found["forecast"]] == ["97", "98", "99", "100", "101"]
    (same,), _ = told("power.csv", "--column", "kW", "--model", "m.safetensors")
    assert same == {**found, "column": "kW", "missing": 0}
    (later,), _ = told("newer.csv", "--column", "kW", "--model", "m.safetensors", "--plot", "a.png")
    longer = read_series(Path("newer.csv").read_bytes(), "kW").values
    assert later["forecast"][0]["step"] == "105"
    assert means(later) == model.follow(longer).predict().mean.tolist() != means(found)
    code, out, _ = run("forecast", "newer.csv", "--column", "kW", "--model", "m.safetensors")
    assert code == 0
    assert "Back-test" not in out
    table("short.csv", ["kW"], [(k,) for k in range(50)])
    words = ["forecast", "--model", "m.safetensors"]
    refused(
        1, "short.csv: column 'kW': expected the 96 values that were learnt, and more, got 50", [*words, "short.csv"]
    )
    refused(2, "argument --plot: needs the file with the history", [*words, "--plot", "b.png"])
    refused(
        2, "argument --exog: not with this model, which has learnt one column", [*words, "newer.csv", "--exog", "x"]
    )
    refused(2, "argument --horizon: not with --model, which learns nothing", [*words, "--horizon", "3"])


def test_several_columns():
    words = ["weather.csv", "--column", "max", "--column", "min", "--horizon", "4", *SMALL]
    found, _ = told(*words, "--save", "m.safetensors", "--plot", "a.png")
    model = estimators.load("m.safetensors")
    values = read_columns(Path("weather.csv").read_bytes(), ["max", "min"]).values
    assert [entry["column"] for entry in found] == ["max", "min"]
    np.testing.assert_array_equal(np.transpose([means(entry) for entry in found]), model.predict())
    bands = np.array([[[row["low"], row["high"]] for row in entry["forecast"]] for entry in found])
    np.testing.assert_array_equal(bands.transpose(1, 0, 2), model.predict_quantiles())
    assert model.quantiles_ == pytest.approx((0.1, 0.9))
    for k, entry in enumerate(found):
        rmse = np.sqrt(np.mean((values[-4:, k] - values[-5, k]) ** 2))
        assert entry["backtest"]["scores"]["last_value"]["rmse"] == pytest.approx(rmse)
        assert entry["forecast"][0]["step"] == "2020-01"
    again, _ = told("--model", "m.safetensors")
    assert [means(entry) for entry in again] == [means(entry) for entry in found]
    code, out, _ = run("forecast", *words)
    assert code == 0
    assert max(map(len, out.splitlines())) <= 80
    assert out.count("\nBack-test: the last 4 values, forecast from the 56 before them\n") == 2
    assert "\nColumn max\n" in out
    longer = [*Path("weather.csv").read_text().splitlines(), "2020-01,130,131"]
    Path("longer.csv").write_text("\n".join(longer))
    later, _ = told("longer.csv", "--model", "m.safetensors")
    assert [means(entry) for entry in later] == model.update([[130.0, 131.0]]).predict().T.tolist()
    words = ["forecast", "--model", "m.safetensors"]
    refused(2, "argument --level: not with this model", [*words, "--level", "0.9"])
    refused(
        2,
        "argument --column: not with this model, which knows how to read its files",
        [*words, "longer.csv", "--column", "max"],
    )
    Path("short.csv").write_text("\n".join(longer[:40]))
    refused(1, "short.csv: expected the 60 rows that were learnt, and more, got 39", [*words, "short.csv"])


def test_what_is_known_in_advance():
    words = ["shop.csv", "--column", "units", "--exog", "promotion"]
    (found,), _ = told(*words, *SMALL, "--save", "m.safetensors")
    columns = read_columns(Path("shop.csv").read_bytes(), ["units", "promotion"]).values
    assert len(found["forecast"]) == 6
    assert found["rows"] == 60
    model = estimators.load("m.safetensors")
    assert means(found) == model.predict(columns[60:, 1:]).tolist()
    assert means(found) != model.predict(1 - columns[60:, 1:]).tolist()
    assert means(told("shop.csv", "--model", "m.safetensors")[0][0]) == means(found)
    refused(
        2, "argument CSV: needed, for 'promotion' in the rows to forecast", ["forecast", "--model", "m.safetensors"]
    )


def test_gaps_are_filled_as_one_wishes():
    lines = Path("sales.csv").read_text().splitlines()
    lines[20] = lines[20].split(",")[0] + ","
    Path("gaps.csv").write_text("\n".join(lines))
    filled = {
        impute: means(told("gaps.csv", *SMALL, "--horizon", "3", "--impute", impute)[0][0])
        for impute in ("forward", "linear")
    }
    assert filled["forward"] != filled["linear"]
    refused(
        1,
        "gaps.csv: line 21, column 'units': a missing value (--impute fills it)",
        ["forecast", "gaps.csv", "--column", "units", "--column", "units", *SMALL],
    )


BAD = [
    (2, "argument CSV: needed with several columns, --exog or --impute", ["--column", "a", "--column", "b"]),
    (2, "argument --exog: goes with --column, which says what to forecast", ["shop.csv", "--exog", "promotion"]),
    (2, "argument --exog: 'units' is to be forecast", ["shop.csv", "--column", "units", "--exog", "units"]),
    (2, "argument --set: Forecaster has no parameter 'size'", ["sales.csv", "--set", "size=3"]),
    (2, "argument --set: networks: expected an int of at least 1, got 0", ["sales.csv", "--set", "networks=0"]),
    (1, "weather.csv: no column 'mean'", ["weather.csv", "--column", "max", "--column", "mean"]),
    (1, "expected at least 86 rows for a horizon of 24, got 60", ["weather.csv", "--column", "max", "--column", "min"]),
    (
        1,
        "expected --exog for all of the 9 rows to forecast, got 6 rows behind the last known value",
        ["shop.csv", "--column", "units", "--exog", "promotion", "--horizon", "9"],
    ),
    (
        1,
        "expected --exog for all of the 24 rows to forecast, got 0 rows",
        ["weather.csv", "--column", "max", "--exog", "min"],
    ),
    (
        1,
        "holes.csv: line 3, column 'b': expected what is known in advance, got none",
        ["holes.csv", "--column", "a", "--exog", "b"],
    ),
    (1, "cannot read 'm': no such file or directory", ["--model", "m"]),
]


@pytest.mark.parametrize(("code", "message", "words"), BAD, ids=str)
def test_bad_input_is_one_line_and_leaves_everything_as_it_was(code, message, words, monkeypatch):
    monkeypatch.setattr(clstm.Trainer, "fit", never)
    table("holes.csv", ["a", "b"], [(1, 2), (3, ""), ("", 4)])
    refused(code, message, ["forecast", *words])


def test_a_forecaster_follows_no_other_series():
    y = 100 + np.arange(60.0) + 10 * np.sin(np.arange(60) / 2)
    model = Forecaster(3, networks=1, epochs=1, log=True).fit(y[:50])
    before = model.predict().mean
    for bad, message in ((y[:40], "expected the 50 values that were learnt"), (y - 120, "expected values above 0")):
        with pytest.raises(ValueError, match=message):
            model.follow(bad)
        assert model.count == 50
        np.testing.assert_array_equal(model.predict().mean, before)
    np.testing.assert_array_equal(model.follow(y[:50]).predict().mean, before)
    assert model.follow(y).count == 60
