"""Pictures: that they show what they should, where they should, in any light."""

import io
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from matplotlib import colors, dates
from matplotlib.figure import Figure

import clstm
from clstm import plot
from clstm.forecasting import Backtest, Forecast

HORIZON = 12


def forecast_of(start, horizon=HORIZON):
    mean = start + np.arange(horizon, dtype=float)
    return Forecast(mean, mean - 2, mean + 3)


@pytest.fixture
def history():
    return 50 + np.arange(150.0)


@pytest.fixture
def backtest(history):
    origin = len(history) - HORIZON
    guess = np.zeros(HORIZON)
    return Backtest(origin, history[origin:], forecast_of(187), guess, guess, guess, 12.0)


@pytest.fixture
def ax():
    return Figure(figsize=(9, 5), layout="constrained").add_subplot()


def line(ax, label):
    return next(line for line in ax.lines if line.get_label() == label)


def picture(ax, **options):
    file = io.BytesIO()
    ax.figure.savefig(file, **options)
    return file.getvalue()


def test_everything_is_where_it_should_be(history, backtest, ax):
    assert plot.forecast(history, forecast_of(200), backtest=backtest, name="units", level=0.9, ax=ax) is ax
    assert line(ax, "history").get_xydata().tolist() == [[51 + k, 100 + k] for k in range(100)]
    assert line(ax, "back-test").get_xydata().tolist() == [[139 + k, 187 + k] for k in range(12)]
    assert line(ax, "forecast").get_xydata().tolist() == [[150 + k, 199 + k] for k in range(13)]
    known, ahead = (band.get_datalim(ax.transData) for band in ax.collections)
    assert (known.x0, known.x1, known.y0, known.y1) == (139, 150, 185, 201)
    assert (ahead.x0, ahead.x1, ahead.y0, ahead.y1) == (150, 162, 198, 214)
    assert ax.get_ylabel() == "units"
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert labels == ["history", "back-test", "forecast", "90 % band"]


def test_only_what_is_given_is_drawn(history, ax):
    plot.forecast(history, forecast_of(200), last=20, ax=ax)
    assert [line.get_label() for line in ax.lines if not line.get_label().startswith("_")] == ["history", "forecast"]
    assert len(line(ax, "history").get_xdata()) == 20
    assert len(ax.collections) == 1
    assert ax.get_ylabel() == ""


def test_the_whole_back_test_is_shown(ax):
    history = np.arange(5000.0)
    early = Backtest(1000, history[1000:1012], forecast_of(1000), *[np.zeros(12)] * 3, 12.0)
    plot.forecast(history, forecast_of(5000), backtest=early, ax=ax)
    assert line(ax, "history").get_xdata()[0] == 989


def test_dates_make_an_axis_of_dates(history, ax):
    steps = [datetime(2000 + k // 12, k % 12 + 1, 1) for k in range(162)]
    plot.forecast(history, forecast_of(200), steps=steps, ax=ax)
    assert isinstance(ax.xaxis.get_major_locator(), dates.AutoDateLocator)
    picture(ax)
    assert "2010" in [text.get_text() for text in ax.get_xticklabels()]
    with pytest.raises(ValueError, match="steps: expected 162, for history and forecast, got 161"):
        plot.forecast(history, forecast_of(200), steps=steps[1:], ax=ax)


def test_a_gap_in_the_history_stays_a_gap(history, ax):
    history[100] = np.nan
    plot.forecast(history, forecast_of(200), ax=ax)
    assert np.isnan(line(ax, "history").get_ydata()).sum() == 1


def test_the_legend_covers_nothing_and_fits(history, backtest, ax):
    plot.forecast(history, forecast_of(200), backtest=backtest, ax=ax)
    picture(ax)
    legend = ax.get_legend().get_window_extent()
    assert legend.y0 >= ax.get_window_extent().y1
    assert legend.x1 <= ax.figure.bbox.x1
    assert legend.y1 <= ax.figure.bbox.y1


def test_lines_can_be_told_apart_without_colour(history, backtest, ax):
    plot.forecast(history, forecast_of(200), backtest=backtest, ax=ax)
    lines = [line(ax, label) for label in ("history", "back-test", "forecast")]
    assert len({(one.get_linestyle(), one.get_linewidth(), one.get_marker()) for one in lines}) == 3
    for one in lines:  # each is dark enough on white paper
        assert np.dot(colors.to_rgb(one.get_color()), [0.2126, 0.7152, 0.0722]) < 0.6
    assert ax.collections[0].get_hatch()
    assert not ax.collections[1].get_hatch()


@pytest.mark.parametrize(("kind", "start"), [("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF")])
def test_kinds_of_files(history, backtest, ax, kind, start):
    plot.forecast(history, forecast_of(200), backtest=backtest, ax=ax)
    assert picture(ax, format=kind).startswith(start)


def test_without_axes_there_is_a_new_figure(history, monkeypatch):
    monkeypatch.setenv("MPLBACKEND", "agg")
    import matplotlib.pyplot as plt

    one, two = (plot.forecast(history, forecast_of(200)) for _ in range(2))
    assert one.figure is not two.figure
    plt.close("all")


def test_importing_the_module_does_not_import_matplotlib():
    code = "import sys, clstm.plot; sys.exit('matplotlib' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(clstm.__file__).parent.parent)
