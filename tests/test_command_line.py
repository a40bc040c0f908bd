"""The command `clstm forecast`: reading files and dates, what it prints and writes, and what it refuses."""

import argparse
import contextlib
import errno
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

import clstm
from clstm import forecasting
from clstm.__main__ import main
from clstm.commands import COMMANDS, files, forecast_report
from clstm.commands.dates import read_dates
from clstm.commands.models import hold_out
from clstm.commands.tables import TableError, read_series
from clstm.commands.text import formatter, plain
from clstm.forecasting import Forecaster

FOLDER = Path(clstm.__file__).parent


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def quick(monkeypatch):
    """One network, one epoch: where the forecast itself does not matter."""
    monkeypatch.setitem(Forecaster.__init__.__kwdefaults__, "networks", 1)
    monkeypatch.setitem(Forecaster.__init__.__kwdefaults__, "epochs", 1)


def csv(rows, header="month,units"):
    return "\n".join([header, *rows, ""])


def months(values, first=2015):
    return [f"{first + k // 12}-{k % 12 + 1:02},{value}" for k, value in enumerate(values)]


def waves(n):
    return [f"{100 + k + 20 * np.sin(2 * np.pi * k / 12):.3f}" for k in range(n)]


def series(text, **options):
    return read_series(text.encode(), **options)


# Dates


@pytest.mark.parametrize(
    ("texts", "step", "following"),
    [
        (["1999", "2000", "2001"], "yearly", ["2002", "2003"]),
        (["1949-10", "1949-11", "1949-12"], "monthly", ["1950-01", "1950-02"]),
        (["1949/10", "1949/11", "1949/12"], "monthly", ["1950-01", "1950-02"]),
        (["2020-01-01", "2020-04-01", "2020-07-01"], "quarterly", ["2020-10-01", "2021-01-01"]),
        (["2020-01-31", "2020-02-29", "2020-03-31"], "monthly", ["2020-04-30", "2020-05-31"]),
        (["2020-01-30", "2020-02-29"] + ["2020-03-30"], "monthly", ["2020-04-30", "2020-05-30"]),
        (["2020-02-27", "2020-02-28", "2020-02-29"], "daily", ["2020-03-01", "2020-03-02"]),
        (["19580329", "19580405", "19580412"], "weekly", ["1958-04-19", "1958-04-26"]),
        (
            ["2020-02-28T22:00", "2020-02-28T23:00", "2020-02-29T00:00"],
            "hourly",
            ["2020-02-29 01:00", "2020-02-29 02:00"],
        ),
        (["2020-01-01 00:00:00Z", "2020-01-01 00:00:30Z", "2020-01-01 00:01:00Z"], "every 30 seconds", None),
        (["2020-01-01 00:00", "2020-01-01 00:15", "2020-01-01 00:30"], "every 15 minutes", None),
        (["2020-01-01", "2020-01-03", "2020-01-05"], "every 2 days", None),
        (["1.1.2020", "1.2.2020", "1.3.2020"], "monthly", ["2020-04-01", "2020-05-01"]),
        (["1/14/2020", "1/15/2020", "1/16/2020"], "daily", ["2020-01-17", "2020-01-18"]),
        (["2020-01-02", "2020-01-03", "2020-01-06"], "None", None),
        (["2020-01-01", "2020-01-02"], "None", None),
    ],
    ids=str,
)
def test_dates_are_read_and_continued(texts, step, following):
    dates = read_dates(texts)
    assert str(dates.step) == step
    if following is not None:
        assert [dates.text(time) for time in dates.following(2)] == following


@pytest.mark.parametrize(
    "texts",
    [
        [],
        ["112", "118", "132"],
        ["1999", "2000", "2002"],
        ["9999", "9998", "9997"],
        ["2020-01", "2020-13", "2020-14"],
        ["2020-01-01", "2020-02", "2020-03"],
        ["2020-06-30", "2020-06-31", "2020-07-01"],
        ["2020-01-01 25:00", "2020-01-01 26:00"],
        ["Monday", "Tuesday"],
        ["2020-01-01", "", "2020-01-03"],
    ],
    ids=str,
)
def test_what_is_no_date(texts):
    assert read_dates(texts) is None


def test_a_calendar_that_ends_counts_steps(quick, capsys):
    Path("late.csv").write_text(csv([f"{2800 + k},{value}" for k, value in enumerate(waves(60))]))
    assert main(["forecast", "late.csv", "--horizon", "6", "--quiet"]) == 0
    assert capsys.readouterr().out.split()[4] == "2860"
    dates = read_dates(["9990-01", "9991-01", "9992-01"])
    assert dates is None  # later than what is taken for a year


# Files


@pytest.mark.parametrize("delimiter", list(",;\t|"), ids=["comma", "semicolon", "tab", "bar"])
@pytest.mark.parametrize("start", ["", "\ufeff"], ids=["", "BOM"])
@pytest.mark.parametrize("end", ["\n", "\r\n"], ids=["LF", "CRLF"])
def test_ways_to_write_a_file(delimiter, start, end):
    rows = (
        ['"a, b; c|d"', "1949-01", " 112 ", "x"],
        ["", "1949-02", "-1.5e2", "y"],
        ["", "1949-03", "+.5", "z"],
        [""] * 4,
    )
    lines = [["text", "Date", '"the ""units"""', "more"], *rows]
    text = start + end.join(delimiter.join(line) for line in lines) + end + end
    found = series(text, column='the "units"')
    assert found.values.tolist() == [112, -150, 0.5]
    assert found.lines == [2, 3, 4]
    assert found.trimmed == 1


def test_gaps_and_what_stands_for_them():
    fields = ["1", "", "NA", "nan", "null", "None", "n/a", "-", "?", "2"]
    for text in (csv(["x," + field for field in fields], "a,b"), csv(fields, "b")):
        found = series(text)
        assert (found.name, found.values[[0, -1]].tolist(), np.isnan(found.values).sum()) == ("b", [1, 2], 8)


def test_rows_without_a_value_at_the_ends_are_left_out():
    text = csv(["2000-01,", "2000-02,5", "2000-03,6", "2000-04,7", "2000-05,", "2000-06,"])
    found = series(text)
    assert found.values.tolist() == [5, 6, 7]
    assert found.lines == [3, 4, 5]
    assert found.trimmed == 3
    assert found.dates.text(found.dates.times[0]) == "2000-02"
    assert found.dates.text(found.dates.following(1)[0]) == "2000-05"


@pytest.mark.parametrize(
    ("text", "options", "column", "dates"),
    [
        ("year,spots\n1700,5\n1701,11\n1702,16\n", {}, "spots", True),
        ("spots,year\n5,1700\n11,1701\n16,1702\n", {}, "spots", True),
        ("year,spots\n1700,5\n1701,11\n1702,16\n", {"column": "year"}, "year", False),
        ("year,spots\n1700,5\n1701,11\n1702,16\n", {"date": "none", "column": "spots"}, "spots", False),
        ("spots\n1700\n1701\n1702\n", {}, "spots", False),
        (",x\n0,5\n1,6\n2,7\n", {}, "x", False),
        ("t,x,label\n1,5,a\n2,6,b\n3,7,c\n", {}, "x", False),
        ("x,day,again\n5,2020-01-01,3000-01-01\n6,2020-01-02,1\n", {}, "x", True),
    ],
    ids=str,
)
def test_the_columns_are_found(text, options, column, dates):
    found = series(text, **options)
    assert found.name == column
    assert (found.dates is not None) == dates


@pytest.mark.parametrize(
    ("data", "options", "message"),
    [
        (b"", {}, "the file is empty"),
        (b"\n\n  \n", {}, "the file is empty"),
        (b"\na,b\n1,2\n", {}, "line 1: expected a header .* got an empty line"),
        (b"a,b\n", {}, "no rows below the header"),
        (b"1,2\n3,4\n", {}, "line 1: expected a header .* got numbers"),
        (b"a,a\n3,4\n", {}, "line 1: the column 'a' is there twice"),
        (b"a,b\n1,2\n3\n", {}, "line 3: expected 2 fields as in the header, got 1"),
        (b"a,b\n1,2\n3,4,5\n", {}, "line 3: expected 2 fields as in the header, got 3"),
        (b'a,b\n1,"2\n', {}, "line 2: unexpected end of data"),
        (b"a,b\n1,\xff\n", {}, "line 2: expected text in UTF-8, got the byte 0xff"),
        (b"\x89PNG\r\n\x00\x00", {}, "expected text, got binary data"),
        ("a,b\n1,2".encode("utf-16"), {}, "binary data .or UTF-16"),
        (b"a,b\n1,2\n", {"column": "c"}, "no column 'c'; there are 'a', 'b'"),
        (b"a,b\n1,2\n", {"date": "c"}, "no column 'c'; there are 'a', 'b'"),
        (b"a,b\n5,2\n", {}, "several columns hold numbers: 'a', 'b'; say which with --column"),
        (b"a,b,c\nx,2x,y\n", {}, "no column holds numbers only; there are 'a', 'b', 'c'"),
        (b"a,b\n,\n,\n", {"column": "a"}, "the column 'a' has no values"),
        (b"a,b\nx,1\n\ny,2 units\n", {"column": "b"}, "line 4, column 'b': expected a number, got '2 units'"),
        (b"a;b\nx;1,5\n", {"column": "b"}, "got '1,5' .decimals need a point"),
        (b"a,b\nx,1_000\n", {"column": "b"}, "expected a number, got '1_000'"),
        (b"a,b\nx,-inf\n", {"column": "b"}, "line 2, column 'b': expected a finite number, got -inf"),
        (b"a,b\nx,1e999\n", {"column": "b"}, "a number that fits into 64 bits, got 1e999"),
        (b"a,b\nx,1\n", {"date": "a"}, "the column 'a' does not hold dates"),
        (b"a,b\n2020-01,1\n2020-03,2\n2020-02,3\n", {}, "line 4, column 'a': 2020-02 is not later than 2020-03 before"),
        (b"a,b\n2020-01,1\n2020-02,2\n2020-02,3\n", {}, "line 4, column 'a': 2020-02 is the same date again"),
    ],
    ids=str,
)
def test_a_bad_file_is_told_where_it_is_bad(data, options, message):
    with pytest.raises(TableError, match=message):
        read_series(data, **options)


PIECES = st.sampled_from([*'ab1,;\n\r" ', "-2.5", "3e400", "2020-01", "2020-02-30", "31.12.1999", "NA", "inf"])


@hypothesis.given(
    data=st.lists(PIECES, max_size=40).map(lambda pieces: "".join(pieces).encode()) | st.binary(max_size=40)
)
def test_any_bytes_are_a_series_or_an_error(data):
    with contextlib.suppress(TableError):
        found = read_series(data)
        assert np.isfinite(found.values[[0, -1]]).all()
        assert len(found.lines) == len(found.values)


def test_a_message_names_no_hundreds_of_columns():
    with pytest.raises(TableError) as caught:
        series(",".join(f"c{k}" for k in range(500)) + "\n" + ",".join("5" * 500) + "\n", column="x")
    assert str(caught.value).endswith("'c11' and 488 more")


# What it prints


def test_the_main_job(capsys):
    """The airline series: description, back-test, forecast, files."""
    assert main(["forecast", "--plot", "airline.png", "--save", "airline.safetensors"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert max(map(len, out.splitlines())) <= 80
    for pattern in (
        r"^airline\.csv \(comes with clstm\), column Passengers$",
        r"^  rows +144, 1949-01 to 1960-12, monthly$",
        r"^  transform +logarithm$",
        r"^  season +12 steps; it foretells 89 % of the variance around the trend$",
        r"^  differences +yes",
        r"^Back-test: the last 24 values, forecast from the 120 before them$",
        r"^  seasonal-naive, 12 steps back +76\.99 +71\.25$",
        r"^  last value repeated +137\.33 +115\.25$",
        r"^  The LSTM wins: its RMSE is \d+ % below that of the next best, the$",
        r"^  \d+ of 24 values \(\d+ %\) are inside the 80 % band\.$",
        r"^  date +forecast +low +high$",
        r"^  1961-01( +\d+\.\d){3}$",
        r"^  1962-12( +\d+\.\d){3}$",
        r"^wrote airline\.safetensors and airline\.png$",
    ):
        assert re.search(pattern, out, re.MULTILINE), pattern
    assert float(re.search(r"^  LSTM +([\d.]+)", out, re.MULTILINE).group(1)) < 30
    assert Path("airline.png").read_bytes().startswith(b"\x89PNG")
    told = [float(text) for text in re.findall(r"^  196\d-\d\d +([\d.]+)", out, re.MULTILINE)]
    again = Forecaster.load("airline.safetensors").predict().mean
    np.testing.assert_allclose(told, again, atol=0.0501)
    assert isinstance(clstm.load("airline.safetensors"), clstm.Layer)
    assert sorted(os.listdir()) == ["airline.png", "airline.safetensors"]


def test_quiet_prints_the_table_only(quick, capsys):
    Path("units.csv").write_text(csv(months(waves(48))))
    assert main(["forecast", "units.csv", "--horizon", "3", "--quiet", "--save", "m.safetensors"]) == 0
    out, err = capsys.readouterr()
    assert [line.split()[0] for line in out.splitlines()] == ["date", "2019-01", "2019-02", "2019-03"]
    assert err == ""
    assert Path("m.safetensors").exists()


def test_options_reach_the_forecaster(capsys, quick):
    Path("units.csv").write_text(csv(months(waves(60)), "month;a,units;b".replace(";", "")))
    options = ["--horizon", "4", "--season", "7", "--no-log", "--seed", "5", "--level", "0.95", "--date", "none"]
    assert main(["forecast", "units.csv", "--save", "m.safetensors", "--column", "unitsb", *options]) == 0
    model = Forecaster.load("m.safetensors")
    assert (model.horizon, model.season, model.log, model.seed) == (4, 7, False, 5)
    out = capsys.readouterr().out
    assert "60, no dates: steps are counted" in out
    assert "transform    none" in out
    assert "season       7 steps" in out
    assert "95 % band" in out
    assert re.search(r"^  61 ", out, re.MULTILINE)


def test_gaps_are_told(quick, capsys):
    values = waves(60)
    values[5] = values[17] = values[59] = ""
    Path("units.csv").write_text(csv(months(values)))
    assert main(["forecast", "units.csv", "--horizon", "6", "--season", "none"]) == 0
    out = capsys.readouterr().out
    assert "rows         59, 2015-01 to 2019-11, monthly" in out
    assert "left out     1 at the ends, without a value" in out
    assert "gaps         2 missing (3 %), interpolated" in out
    assert "season       none, as given" in out
    assert "last value repeated" in out
    assert "seasonal-naive" not in out


def test_uneven_dates_are_told(quick, capsys):
    days = [f"2020-{1 + k // 28:02}-{1 + k % 28:02},{value}" for k, value in enumerate(waves(60))]
    Path("days.csv").write_text(csv(days))
    assert main(["forecast", "days.csv", "--horizon", "6"]) == 0
    out = capsys.readouterr().out
    assert "60, 2020-01-01 to 2020-03-04, not evenly spaced: steps are counted" in " ".join(out.split())
    assert re.search(r"^  66( +[\d.]+){3}$", out, re.MULTILINE)


TIE = "The LSTM is no better than the preparation alone."


@pytest.mark.parametrize(
    ("rmses", "sentence"),
    [
        (
            {"lstm": 14.0, "preparation_alone": 28.0, "seasonal_naive": 70.0, "last_value": 140.0},
            "The LSTM wins: its RMSE is 50 % below that of the next best, the preparation alone, "
            "and 80 % below that of the naive forecast.",
        ),
        (
            {"lstm": 14.0, "preparation_alone": 28.0, "seasonal_naive": 20.0, "last_value": 140.0},
            "The LSTM wins: its RMSE is 30 % below that of the next best, seasonal-naive.",
        ),
        (
            {"lstm": 99.5, "preparation_alone": 100.0, "last_value": 100.0},
            "The LSTM wins: its RMSE is less than 1 % below that of the next best, the preparation alone.",
        ),
        (
            {"lstm": 10.0, "preparation_alone": 9.0, "seasonal_naive": 20.0, "last_value": 40.0},
            "The LSTM loses: the preparation alone is better, with a RMSE 10 % below its own. "
            "Both beat the naive forecast, the LSTM with a RMSE 50 % below.",
        ),
        (
            {"lstm": 10.0, "preparation_alone": 9.0, "seasonal_naive": 5.0, "last_value": 40.0},
            "The LSTM loses: seasonal-naive is better, with a RMSE 50 % below its own.",
        ),
        (
            {"lstm": 10.0, "preparation_alone": 9.0, "last_value": 0.0},
            "The LSTM loses: the last value repeated is better, with a RMSE 100 % below its own.",
        ),
        (
            {"lstm": 0.0, "preparation_alone": 0.0, "last_value": 1.0},
            "The LSTM is no better than the preparation alone.",
        ),
    ],
    ids=str,
)
def test_the_verdict_is_honest(rmses, sentence):
    assert forecast_report.verdict(rmses) == sentence


def test_a_loss_is_printed(quick, capsys):
    rng = np.random.default_rng(3)
    walk = np.cumsum(rng.standard_normal(80))
    walk[60:] = walk[59] + 1e-3 * rng.standard_normal(20)
    Path("walk.csv").write_text(csv(months(walk)))
    assert main(["forecast", "walk.csv", "--horizon", "20", "--season", "none"]) == 0
    assert "The LSTM loses: the last value repeated is better" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("values", "size", "texts"),
    [
        ([451.52, 9.0], 46.0, ["451.5", "9.0"]),
        ([371.514, 1.0], 1.234, ["371.51", "1.00"]),
        ([123456.7, 1.0], 0.1, ["123457", "1"]),
        ([5.0, 1.0], 0.0, ["5.00000", "1.00000"]),
        ([0.0012345, 0.001], 1e-4, ["0.001234", "0.001000"]),
        ([1e12, 1.0], 1e11, ["1e+12", "1"]),
        ([3e-9, 0.0], 1e-9, ["3e-09", "0"]),
        ([0.0, 0.0], 0.0, ["0", "0"]),
        ([np.inf, 1.0], 1.0, ["inf", "1"]),
    ],
    ids=str,
)
def test_numbers_show_what_matters(values, size, texts):
    assert list(map(formatter(np.array(values), size, 3), values)) == texts


def test_json_knows_no_numpy_and_no_infinity():
    value = {"a": np.float32(0.5), 2: (np.int64(3), np.bool_(True)), "c": np.array([[1.0, np.nan], [np.inf, 2.0]])}
    assert plain(value) == {"a": 0.5, "2": [3, True], "c": [[1.0, None], [None, 2.0]]}


def test_what_is_held_out():
    """Of each group its share, but never all of it; a seed says which."""
    groups = ["a"] * 10 + ["b"] * 5 + ["c"]
    args = argparse.Namespace(test=None, hold_out=0.9, usual_hold_out=0.2, seed=None)
    learnt, tested = hold_out(args, "x.csv", "rows", groups)
    assert sorted(learnt + tested) == list(range(16))
    assert [groups[row] for row in learnt] == ["a", "b", "c"]
    args.hold_out = None
    usual = hold_out(args, "x.csv", "rows", groups)[1]
    assert [groups[row] for row in usual] == ["a", "a", "b"]
    assert hold_out(args, "x.csv", "rows", groups)[1] == usual
    args.seed = 1
    assert hold_out(args, "x.csv", "rows", groups)[1] != usual
    args.hold_out = 0
    assert hold_out(args, "x.csv", "rows", groups)[1] == []


# Bad input


UNITS = months(waves(60))
BAD = [
    (2, "clstm: the following arguments are required: COMMAND", []),
    (2, "clstm: argument COMMAND: invalid choice: 'foretell'", ["foretell"]),
    (2, "clstm forecast: argument --horizon: expected a whole number of at least 1, got '0'", ["--horizon", "0"]),
    (2, "argument --horizon: expected a whole number of at least 1, got '1.5'", ["--horizon", "1.5"]),
    (2, "argument --season: expected a number of at least 2, or none, got '1'", ["--season", "1"]),
    (2, "argument --season: expected a number of at least 2, or none, got 'nan'", ["--season", "nan"]),
    (2, "argument --level: expected a number between 0 and 1, such as 0.8, got '80'", ["--level", "80"]),
    (2, "argument --seed: expected a whole number of at least 0, got '-1'", ["--seed", "-1"]),
    (2, "unrecognized arguments: --horizons", ["--horizons", "3"]),
    (1, "cannot read 'absent.csv': no such file or directory", ["absent.csv"]),
    (1, "cannot read 'folder': it is a folder", ["folder"]),
    (1, "cannot read 'a\\x00b'", ["a\0b"]),
    (1, "picture.png: expected text, got binary data", ["picture.png"]),
    (1, "units.csv: no column 'sales'; there are 'month', 'units'", ["units.csv", "--column", "sales"]),
    (1, "text.csv: line 11, column 'units': expected a number, got 'many'", ["text.csv"]),
    (1, "infinite.csv: line 12, column 'units': expected a finite number, got inf", ["infinite.csv"]),
    (1, "column 'units': expected at most a fifth of the values missing, got 20 of 60", ["gaps.csv"]),
    (
        1,
        "column 'units': expected at least 72 values for a horizon of 24, got 1",
        ["one.csv"],
    ),
    (
        1,
        "column 'units': expected at least 72 values for a horizon of 24, got 60, enough for --horizon 20",
        ["units.csv"],
    ),
    (1, "column 'units': expected values that differ, got 5.0 everywhere", ["constant.csv", "--horizon", "6"]),
    (1, "zero.csv: line 13, column 'units': --log needs values above 0, got 0", ["zero.csv", "--log"]),
    (1, "season: expected at most 27, half of the 54 values", ["units.csv", "--horizon", "6", "--season", "28"]),
    (1, "got 60, enough for --horizon 20", ["units.csv", "--horizon", "1000000000000"]),
    (1, "--plot: cannot write 'folder': it is a folder", ["--plot", "folder"]),
    (1, "--plot: cannot write 'absent/a.png': there is no such folder", ["--plot", "absent/a.png"]),
    (1, "--plot: cannot write ''", ["--plot", ""]),
    (1, "--save: cannot write 'a\\x00b'", ["--save", "a\0b"]),
    (1, "--plot: expected a name that ends in .png, .svg or .pdf, got 'a.xyz'", ["--plot", "a.xyz"]),
    (1, "--plot: expected a name that ends in .png, .svg or .pdf, got 'png'", ["--plot", "png"]),
    (1, "--save: cannot write 'absent/m': there is no such folder", ["--save", "absent/m"]),
    (1, "--save: 'units.csv' is the file to read", ["units.csv", "--save", "units.csv"]),
    (1, "--plot and --save: both are './a.png'", ["--plot", "a.png", "--save", "./a.png"]),
]


@pytest.fixture
def _files():
    Path("folder").mkdir()
    Path("picture.png").write_bytes(b"\x89PNG\r\n\x1a\n\x00\x00")
    Path("units.csv").write_text(csv(UNITS))
    Path("text.csv").write_text(csv([*UNITS[:9], "2015-10,many", *UNITS[10:]]))
    Path("infinite.csv").write_text(csv([*UNITS[:10], "2015-11,inf", *UNITS[11:]]))
    Path("zero.csv").write_text(csv([*UNITS[:11], "2015-12,0", *UNITS[12:]]))
    Path("gaps.csv").write_text(csv([row if k % 3 != 1 else row.split(",")[0] + "," for k, row in enumerate(UNITS)]))
    Path("one.csv").write_text(csv(UNITS[:1]))
    Path("constant.csv").write_text(csv(months([5] * 60)))


@pytest.mark.usefixtures("_files")
@pytest.mark.parametrize(("code", "message", "words"), BAD, ids=str)
def test_bad_input_is_one_line_and_leaves_everything_as_it_was(code, message, words, capsys, monkeypatch):
    def learn(*args):
        raise AssertionError("learns before everything is checked")

    monkeypatch.setattr(forecasting.Forecaster, "_fit", learn)
    before = {path: path.read_bytes() for path in Path().iterdir() if path.is_file()}
    if words and words[0] not in ("foretell",):
        words = ["forecast", *words]
        if "gaps.csv" in words:
            words += ["--horizon", "6"]
    assert main(words) == code
    out, err = capsys.readouterr()
    assert message in err
    assert err.count("\n") == 1
    assert err.startswith("clstm")
    assert "wrote" not in out
    assert {path: path.read_bytes() for path in Path().iterdir() if path.is_file()} == before


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has other permissions")
def test_files_that_may_not_be_written(capsys, monkeypatch):
    Path("mine.png").write_text("old")
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # root may write everything
    assert main(["forecast", "--plot", "mine.png"]) == 1
    assert "--plot: cannot write 'mine.png': permission denied" in capsys.readouterr().err

    def refuse(dir):
        raise OSError(errno.EROFS, "Read-only file system", str(dir))

    monkeypatch.setattr(files.tempfile, "TemporaryFile", refuse)
    assert main(["forecast", "--save", "new.safetensors"]) == 1
    assert "--save: cannot write 'new.safetensors': read-only file system" in capsys.readouterr().err
    assert os.listdir() == ["mine.png"]
    assert Path("mine.png").read_text() == "old"


def test_a_disk_that_fills_up_leaves_the_old_file(quick, capsys, monkeypatch):
    Path("units.csv").write_text(csv(UNITS))
    Path("old.png").write_text("old")

    def full(source, target):
        raise OSError(errno.ENOSPC, "No space left on device", source, target)

    monkeypatch.setattr(files.os, "replace", full)
    assert main(["forecast", "units.csv", "--horizon", "6", "--plot", "old.png"]) == 1
    assert "cannot write 'old.png': no space left on device" in capsys.readouterr().err
    assert Path("old.png").read_text() == "old"
    assert sorted(os.listdir()) == ["old.png", "units.csv"]


def test_without_matplotlib_the_extra_is_named(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    assert main(["forecast", "--plot", "a.png"]) == 1
    assert 'needs matplotlib, which is not installed: pip install "clstm-toolkit[plot]"' in capsys.readouterr().err


def test_interrupted(capsys, monkeypatch):
    def interrupt(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(forecasting.Forecaster, "_fit", interrupt)
    assert main(["forecast", "--save", "m.safetensors"]) == 130
    assert capsys.readouterr().err == "clstm: interrupted\n"
    assert os.listdir() == []


# As a program


def run(*words, **options):
    """`python -m clstm` in the current folder, with this clstm."""
    environment = {**os.environ, "PYTHONPATH": str(FOLDER.parent), "COLUMNS": "80", **options.pop("env", {})}
    command = [sys.executable, "-m", "clstm", *words]
    return subprocess.run(command, capture_output=True, text=True, env=environment, **options)


def test_version_and_help():
    assert run("--version").stdout == f"clstm {clstm.__version__}\n"
    for words in (["--help"], ["forecast", "--help"]):
        told = run(*words)
        assert (told.returncode, told.stderr) == (0, "")
        assert max(map(len, told.stdout.splitlines())) <= 80
    assert "clstm forecast sales.csv --column units --horizon 12 --plot sales.png" in told.stdout


def test_a_subcommand_is_imported_when_it_is_named():
    code = "import sys; from clstm.__main__ import main; main(sys.argv[1:]); print(*sys.modules)"
    for words in (["forecast", "absent.csv"], ["forecast", "--horizon", "0"], ["nothing"]):
        told = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, cwd=FOLDER.parent)
        modules = {name.removeprefix("clstm.commands.") for name in told.stdout.split()}
        assert modules & COMMANDS.keys() == set(words) & COMMANDS.keys()
        assert not modules & {"matplotlib", "sklearn", "pandas", "scipy.optimize"}


def test_errors_of_the_program_have_exit_codes():
    told = run("forecast", "absent.csv")
    assert (told.returncode, told.stdout, told.stderr) == (
        1,
        "",
        "clstm forecast: cannot read 'absent.csv': no such file or directory\n",
    )
    told = run("forecast", "--horizon", "no")
    assert (told.returncode, told.stdout) == (2, "")
    assert told.stderr.endswith("got 'no' (see clstm forecast --help)\n")


def test_names_that_the_terminal_has_no_letters_for():
    Path("units.csv").write_text(csv(UNITS, "month,Stück ☂"), encoding="utf-8")
    told = run("forecast", "units.csv", "--horizon", "3", env={"PYTHONIOENCODING": "ascii"})
    assert (told.returncode, told.stderr) == (0, "")
    assert "column St\\xfcck \\u2602" in told.stdout


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no broken pipes")
def test_nobody_reads_the_output():
    command = [sys.executable, "-m", "clstm", "forecast", "--plot", "a.png"]
    environment = {**os.environ, "PYTHONPATH": str(FOLDER.parent)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment) as process:
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 141


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT for one process")
def test_control_c_ends_the_program():
    command = [sys.executable, "-m", "clstm", "forecast", "--save", "m.safetensors"]
    environment = {**os.environ, "PYTHONPATH": str(FOLDER.parent)}
    # Where tests run in the background, they ignore the signal, and so would the program.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment)
    finally:
        signal.signal(signal.SIGINT, before)
    with process:
        process.stdout.readline()  # it has begun
        process.send_signal(signal.SIGINT)
        assert process.stderr.read() == b"clstm: interrupted\n"
    assert process.returncode == 130
    assert os.listdir() == []
