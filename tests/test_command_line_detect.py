"""`clstm detect`: events, scores and picture, saved models, and what is refused."""

import json
from pathlib import Path

import command_line_files
import numpy as np
import pytest
from command_line_files import never, refused, run, table

import clstm
from clstm import estimators
from clstm.commands.tables import read_columns

SMALL = ["--epochs", "5", "--set", "hidden_size=8", "--window", "12", "--smooth", "1"]


@pytest.fixture(autouse=True)
def _files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    command_line_files.detect_files()


def told(*words):
    """What a command prints as JSON."""
    code, out, err = run("detect", *words, "--json")
    assert (code, err) == (0, "")
    return json.loads(out)


def test_the_event_that_is_there_is_found():
    found = told("taxi.csv", *SMALL, "--contamination", "0.02", "--save", "m.safetensors")
    scores = np.array(found["scores"])
    assert (len(scores), found["columns"], found["rows"]) == (240, ["value"], 240)
    assert found["alarms"] == (scores > found["threshold"]).sum() <= 6
    best = max(found["events"], key=lambda event: event["score"])
    assert 149 <= best["first_row"] <= best["last_row"] <= 165
    assert best["score"] == scores.max()
    days = np.datetime64("2024-01-01T00:00") + np.arange(240) * np.timedelta64(1, "h")
    assert best["start"] == str(days[best["first_row"]]).replace("T", " ")
    assert best["highest"] == str(days[scores.argmax()]).replace("T", " ")
    model = estimators.load("m.safetensors")
    series = read_columns(Path("taxi.csv").read_bytes()).values[:, 0]
    np.testing.assert_array_equal(-model.score_samples(series), scores)
    again = told("taxi.csv", "--model", "m.safetensors")
    assert again["events"] == found["events"]
    code, out, _ = run("detect", "taxi.csv", "--model", "m.safetensors", "--quiet")
    assert code == 0
    assert out.startswith(f"{len(found['events'])} event")
    assert f"; {found['alarms']} of 240 steps are above the threshold" in out
    assert best["start"] in out


def test_alarms_near_each_other_are_one_event():
    words = ["taxi.csv", *SMALL, "--contamination", "0.1"]
    wide, narrow = (told(*words, "--gap", gap) for gap in ("239", "0"))
    assert len(wide["events"]) == 1 < len(narrow["events"])
    assert sum(event["last_row"] - event["first_row"] + 1 for event in narrow["events"]) == narrow["alarms"]


@pytest.mark.parametrize("gap", [0, 7, 8, 9])
def test_a_gap_is_so_many_steps_without_an_alarm(gap):
    found = told("taxi.csv", *SMALL, "--contamination", "0.3", "--gap", str(gap))
    steps = np.flatnonzero(np.array(found["scores"]) > found["threshold"])
    events = [[steps[0], steps[0]]]
    for step in steps[1:]:
        if step - events[-1][1] - 1 <= gap:
            events[-1][1] = step
        else:
            events.append([step, step])
    assert [[event["first_row"], event["last_row"]] for event in found["events"]] == events


def test_the_first_part_alone_is_learnt():
    whole = Path("taxi.csv").read_text().splitlines()
    Path("first.csv").write_text("\n".join(whole[:121]))
    words = [*SMALL, "--calendar"]
    assert run("detect", "first.csv", *words, "--save", "first.safetensors", "--quiet")[0] == 0
    found = told("taxi.csv", *words, "--learn", "0.5")
    assert found["scores"] == told("taxi.csv", "--model", "first.safetensors")["scores"]


def test_several_columns_and_an_autoencoder():
    words = ["machine.csv", "--column", "volt", "--column", "ampere", *SMALL, "--method", "autoencoder"]
    code, out, _ = run("detect", *words, "--plot", "a.svg", "--save", "m.safetensors")
    assert code == 0
    assert "columns      volt, ampere\n" in out
    assert "240, 1 to 240\n" in out
    assert Path("a.svg").read_text().startswith("<?xml")
    assert told("tomorrow.csv", "--model", "m.safetensors")["columns"] == ["volt", "ampere"]
    refused(1, "taxi.csv: no column 'volt'", ["detect", "taxi.csv", "--model", "m.safetensors"])
    refused(
        2,
        "argument --column: not with this model",
        ["detect", "tomorrow.csv", "--model", "m.safetensors", "--column", "volt"],
    )


@pytest.mark.parametrize("reading", [5, {}, {"columns": 5.0, "time": None, "calendar": None}], ids=str)
def test_a_file_that_says_something_odd_about_reading(reading):
    model = estimators.LSTMAnomalyDetector(window=3, epochs=1, hidden_size=4, random_state=0).fit(np.arange(20.0) % 3)
    model.reading_ = reading
    model.save("odd.safetensors")
    refused(
        1,
        "odd.safetensors: expected a model that knows columns, time, calendar",
        ["detect", "taxi.csv", "--model", "odd.safetensors"],
    )


def test_the_calendar_is_known():
    minutes = np.datetime64("2024-02-27T12:00") + np.arange(400) * np.timedelta64(90, "m")
    value = np.round(np.random.default_rng(0).normal(size=400), 3)
    table("week.csv", ["time", "value"], zip(np.datetime_as_string(minutes, unit="m"), value))
    known = told("week.csv", *SMALL, "--calendar", "--save", "m.safetensors")
    angle = 2 * np.pi * ((minutes - minutes.astype("M8[D]")) / np.timedelta64(1, "D"))
    weekday = (minutes.astype("M8[D]").astype(int) + 3) % 7  # 1970 began on a Thursday
    exog = np.column_stack([np.sin(angle), np.cos(angle), weekday[:, None] == np.arange(7)])
    scores = -estimators.load("m.safetensors").score_samples(value, exog=exog.astype(float))
    np.testing.assert_allclose(known["scores"], scores, rtol=1e-6)
    assert known["scores"] != told("week.csv", *SMALL)["scores"]
    assert told("week.csv", "--model", "m.safetensors")["scores"] == known["scores"]
    refused(
        2, "argument --calendar: not with this model", ["detect", "week.csv", "--model", "m.safetensors", "--calendar"]
    )
    refused(
        1,
        "machine.csv: expected a column of dates for --calendar",
        ["detect", "machine.csv", "--column", "volt", "--calendar"],
    )


def test_gaps_are_filled_if_one_wishes():
    lines = Path("taxi.csv").read_text().splitlines()
    lines[20] = lines[20].split(",")[0] + ","
    Path("taxi.csv").write_text("\n".join(lines))
    refused(1, "taxi.csv: line 21, column 'value': a missing value (--impute fills it)", ["detect", "taxi.csv"])
    assert told("taxi.csv", *SMALL, "--impute", "linear")["rows"] == 240


BAD = [
    (2, "the following arguments are required: CSV", []),
    (2, "argument --contamination: expected a number between 0 and 1", ["taxi.csv", "--contamination", "2"]),
    (2, "argument --learn: expected a number above 0 and up to 1, such as 0.5, got '0'", ["taxi.csv", "--learn", "0"]),
    (2, "argument --method: invalid choice: 'guess'", ["taxi.csv", "--method", "guess"]),
    (2, "argument --window: not with --model", ["taxi.csv", "--model", "m", "--window", "3"]),
    (1, "cannot read 'absent.csv'", ["absent.csv"]),
    (1, "empty.csv: the file is empty", ["empty.csv"]),
    (1, "latin.csv: line 2: expected text in UTF-8, got the byte 0xfc", ["latin.csv"]),
    (1, "machine.csv: several columns hold numbers: 'volt', 'ampere'; say which with --column", ["machine.csv"]),
    (1, "machine.csv: no column 'watt'", ["machine.csv", "--column", "watt"]),
    (1, "machine.csv: line 2, column 'kind': expected a number, got 'x'", ["machine.csv", "--column", "kind"]),
    (1, "days.csv: line 4, column 'day': 2024-01-01 is not later than 2024-01-02 before it", ["days.csv"]),
    (1, "again.csv: line 3, column 'day': 2024-01-01 is the same date again", ["again.csv"]),
    (1, "few.csv: expected at least ", ["few.csv", "--window", "12", "--smooth", "1"]),
    (1, "few.csv: expected more rows to learn from, got 1 of 3", ["few.csv", "--learn", "0.4"]),
    (1, "same.csv: expected ", ["same.csv"]),
    (1, "gone.csv: the column 'x' has no values", ["gone.csv"]),
    (1, "--plot: expected a name that ends in .png, .svg or .pdf", ["taxi.csv", "--plot", "a.txt"]),
]


@pytest.mark.parametrize(("code", "message", "words"), BAD, ids=str)
def test_bad_input_is_one_line_and_leaves_everything_as_it_was(code, message, words, monkeypatch):
    monkeypatch.setattr(clstm.Trainer, "fit", never)
    Path("empty.csv").write_text("")
    Path("latin.csv").write_bytes("day,x\n1.1.2024,grün\n".encode("latin-1"))
    table("days.csv", ["day", "x"], [("2024-01-01", 1), ("2024-01-02", 2), ("2024-01-01", 3)])
    table("again.csv", ["day", "x"], [("2024-01-01", 1), ("2024-01-01", 2)])
    table("few.csv", ["x"], [(1,), (2,), (3,)])
    table("same.csv", ["x"], [(1,)] * 100)
    table("gone.csv", ["x", "y"], [("", "a"), ("", "b")])
    words = [*words, "--column", "x"] if words == ["gone.csv"] else words
    refused(code, message, ["detect", *words])
