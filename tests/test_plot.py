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
from clstm.plot.style import LINES

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


# Inside a network


@pytest.fixture
def trace():
    """Of an LSTM with two layers; row 0 is 9 steps long, row 1 6, row 2 has none."""
    layer = clstm.LSTM(3, 7, num_layers=2, init="pytorch", rng=0)
    layer.flat_parameters *= 6
    return layer.trace(np.random.default_rng(1).normal(size=(3, 9, 3)), lengths=[9, 6, 0])


def panels(count):
    return Figure(figsize=(7, 2 * count), layout="constrained").subplots(count, sharex=True, squeeze=False)[:, 0]


def heat_map(ax):
    return next(iter(ax.images))


def bars_of(ax):
    """Axes of colour bars in the figure."""
    return [other for other in ax.figure.axes if other.get_label() == "<colorbar>"]


def test_gates_are_those_of_the_trace(trace):
    axes = plot.gates(trace, row=1, index=1, axes=panels(4))
    assert [ax.get_ylabel().split("\n")[0] for ax in axes] == [
        "input gate i",
        "forget gate f",
        "output gate o",
        "candidate g",
    ]
    assert axes[-1].get_xlabel() == "step t"
    for name, ax in zip("ifog", axes, strict=True):
        image = heat_map(ax)
        np.testing.assert_array_equal(image.get_array(), getattr(trace, name)[1, 1, :6].T)  # no padding
        assert image.get_extent() == [-0.5, 5.5, 6.5, -0.5]
        assert image.get_clim() == ((-1, 1) if name == "g" else (0, 1))
    assert len(bars_of(axes[0])) == 2  # the gates share one
    picture(axes[0])


def test_gates_can_be_chosen_with_units(trace):
    axes = plot.gates(trace, "cf", units=[5, 2], axes=panels(2))
    np.testing.assert_array_equal(heat_map(axes[0]).get_array(), trace.c[0, 0][:, [5, 2]].T)
    assert [label.get_text() for label in axes[1].get_yticklabels()] == ["5", "2"]
    low, high = heat_map(axes[0]).get_clim()
    assert low == -high  # white is zero
    assert high == np.abs(trace.c[0, 0][:, [5, 2]]).max()
    (only,) = plot.gates(trace, ["h"], axes=panels(1)[0])
    assert heat_map(only).get_clim() == (-1, 1)


def test_gates_that_leave_0_to_1_have_a_sign():
    trace = clstm.LSTM(2, 3, gate_activation="tanh", init="pytorch", rng=0).trace(np.ones((1, 5, 2)))
    (ax,) = plot.gates(trace, "f", axes=panels(1))
    assert heat_map(ax).get_clim() == (-1, 1)


@pytest.mark.parametrize(("make", "names"), [(clstm.GRU, "rzn"), (clstm.RNN, "h")])
def test_gates_of_other_cells(make, names):
    axes = plot.gates(make(2, 3, rng=0).trace(np.ones((1, 5, 2))), axes=panels(len(names)))
    assert [ax.get_ylabel().split("\n")[0][-1] for ax in axes] == list(names)


def test_colours_keep_their_order_in_grey(trace):
    """Lightness grows with the number where it is a share, and with its distance from zero it falls."""
    axes = plot.gates(trace, "fg", axes=panels(2))
    share, signed = (lightness(heat_map(ax).get_cmap()(np.linspace(0, 1, 101))[:, :3]) for ax in axes)
    assert (np.diff(share) > 0).all()
    assert (np.diff(signed[:51]) > -1e-3).all()
    assert (np.diff(signed[50:]) < 1e-3).all()
    assert signed[50] > 0.95


def lightness(colours):
    return np.asarray(colours) @ [0.2126, 0.7152, 0.0722]


def test_states_are_those_of_the_trace(trace, ax):
    assert plot.states(trace, units=[4, 0], row=1, index=1, ax=ax) is ax
    for unit, label in ((4, "unit 4"), (0, "unit 0")):
        np.testing.assert_array_equal(line(ax, label).get_ydata(), trace.c[1, 1, :6, unit])
        assert line(ax, label).get_xdata().tolist() == list(range(6))
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("step t", "cell state c")
    picture(ax)


def test_states_that_move_most_are_drawn(trace, ax):
    plot.states(trace, "h", ax=ax)
    moves = trace.h[0, 0].std(axis=0)
    units = sorted(np.argsort(-moves)[:5])
    assert [text.get_text() for text in ax.get_legend().get_texts()] == [f"unit {unit}" for unit in units]
    assert ax.get_ylabel() == "hidden state h"
    lines = [line(ax, f"unit {unit}") for unit in units]
    assert len({(str(look["linestyle"]), look["color"]) for look in LINES}) == len(LINES)
    assert [one.get_color() for one in lines] == [look["color"] for look in LINES[:5]]
    for one in lines:
        assert lightness(colors.to_rgb(one.get_color())) < 0.6


def test_saturation_is_that_of_the_trace(trace, ax):
    assert plot.saturation(trace, "o", low=0.2, ax=ax) is ax
    left, right = trace.saturation("o", low=0.2)
    for k, points in enumerate(ax.collections):
        np.testing.assert_array_equal(points.get_offsets(), np.stack([right[k], left[k]], axis=1))
    assert ax.get_xlabel() == "share of steps with o > 0.9"
    assert ax.get_ylabel() == "share of steps with o < 0.2"
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["index 0", "index 1"]
    plot.saturation(trace[:1], "g", ax=Figure().add_subplot())  # one layer needs no legend
    picture(ax)


def test_gradient_flow_is_drawn_on_a_logarithmic_scale(ax):
    x, dy = np.ones((2, 9, 3)), np.zeros((2, 9, 4))
    dy[:, 6] = 1
    flows = {name: make(3, 4, rng=0).gradient_flow(x, dy) for name, make in (("LSTM", clstm.LSTM), ("RNN", clstm.RNN))}
    assert plot.gradient_flow(flows, ax=ax) is ax
    for name, flow in flows.items():
        drawn, expected = line(ax, name).get_ydata(), flow.over_batch("h")[0]
        np.testing.assert_array_equal(drawn[:7], expected[:7])
        assert np.isnan(drawn[7:]).all()  # 0 has no place there
    assert ax.get_yscale() == "log"
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("step t", "norm of ∂L/∂h$_t$")
    picture(ax)


def test_layers_of_a_gradient_flow_have_lines_of_their_own():
    layer = clstm.LSTM(3, 4, bidirectional=True, rng=0)
    flow = layer.gradient_flow(np.ones((2, 9, 3)), np.ones((2, 9, 8)))
    ax = plot.gradient_flow(flow, "c", ax=Figure().add_subplot())
    assert [line.get_label() for line in ax.lines] == ["index 0", "index 1"]
    ax = plot.gradient_flow(flow, "c", index=1, relative=True, ax=Figure().add_subplot())
    expected = flow.over_batch("c")[1]
    np.testing.assert_array_equal(ax.lines[0].get_ydata(), expected / expected.max())
    assert ax.get_ylabel() == "norm of ∂L/∂c$_t$, relative to the largest"
    silent = layer.gradient_flow(np.ones((2, 9, 3)), np.zeros((2, 9, 8)))
    ax = plot.gradient_flow(silent, relative=True, ax=Figure().add_subplot())
    assert np.isnan(ax.lines[0].get_ydata()).all()


def test_history_shows_losses_and_the_best(ax):
    history = {"epoch": [1, 2, 3, 4], "loss": [4.0, 3, 2, 1], "val_loss": [4.0, np.nan, 2.5, 3], "seconds": [1.0] * 4}
    assert plot.history(history, log=True, ax=ax) is ax
    assert line(ax, "training").get_xydata().tolist() == [[1, 4], [2, 3], [3, 2], [4, 1]]
    assert line(ax, "validation").get_xydata().tolist() == [[1, 4], [3, 2.5], [4, 3]]
    (best,) = ax.collections
    assert best.get_offsets().tolist() == [[3, 2.5]]
    assert best.get_label() == "best: 2.5 at epoch 3"
    assert (ax.get_xlabel(), ax.get_ylabel(), ax.get_yscale()) == ("epoch", "loss", "log")
    picture(ax)


def test_history_of_other_names(ax):
    plot.history({"epoch": [1, 2], "loss": [2, 1], "gradient_norm": [5, 4]}, "gradient_norm", ax=ax)
    assert ax.get_ylabel() == "gradient_norm"
    assert [line.get_label() for line in ax.lines] == ["gradient_norm"]


def test_a_trainer_has_a_history_to_draw(ax):
    trainer = clstm.Trainer(clstm.RNN(2, 1, rng=0), rng=0)
    history = trainer.fit(np.ones((4, 3, 2)), np.ones((4, 3, 1)), epochs=2, progress=False)
    plot.history(history, ax=ax)
    assert line(ax, "training").get_ydata().tolist() == history["loss"]


def test_drawing_changes_no_setting_and_opens_nothing(trace):
    code = """if True:
        import sys
        import matplotlib as mpl, numpy as np, clstm
        from clstm import plot
        from matplotlib.figure import Figure
        before = dict(mpl.rcParams)
        layer = clstm.LSTM(2, 3, rng=0)
        trace = layer.trace(np.ones((1, 5, 2)))
        plot.gates(trace, axes=Figure().subplots(4))
        plot.states(trace, ax=Figure().add_subplot())
        plot.saturation(trace, "f", ax=Figure().add_subplot())
        plot.gradient_flow(layer.gradient_flow(np.ones((1, 5, 2)), np.ones((1, 5, 3))), ax=Figure().add_subplot())
        plot.history({"epoch": [1], "loss": [1.0]}, ax=Figure().add_subplot())
        assert dict(mpl.rcParams) == before
        assert not sys.modules.get("matplotlib.pyplot") or not mpl.pyplot.get_fignums()
    """
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(clstm.__file__).parent.parent)


def test_without_axes_there_are_new_ones(trace, monkeypatch):
    monkeypatch.setenv("MPLBACKEND", "agg")
    import matplotlib.pyplot as plt

    axes = plot.gates(trace, "fc")
    assert axes.shape == (2,)
    assert plot.gates(trace, "f").shape == (1,)
    flow = clstm.RNN(3, 4, rng=0).gradient_flow(np.ones((2, 9, 3)), np.ones((2, 9, 4)))
    drawn = [
        plot.states(trace),
        plot.saturation(trace, "f"),
        plot.gradient_flow(flow),
        plot.history({"epoch": [1], "loss": [1.0]}),
    ]
    assert len({ax.figure for ax in [*axes, *drawn]}) == 5
    plt.close("all")


def test_without_matplotlib_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    message = r'clstm.plot needs matplotlib, which is not installed: pip install "clstm-toolkit\[plot\]"'
    with pytest.raises(ImportError, match=message):
        plot.history({"epoch": [1], "loss": [1.0]})


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda trace: plot.gates(3), TypeError, "trace: expected a Trace, got int"),
        (lambda trace: plot.states(trace[0]), ValueError, r"trace: expected one of a whole layer, \(L\*D, N, T, H\)"),
        (lambda trace: plot.gates(trace, "fx"), ValueError, "names: expected one of 'i', .*, got 'x'"),
        (lambda trace: plot.gates(trace, []), ValueError, "names: expected at least one name, got none"),
        (lambda trace: plot.gates(trace, row=3), ValueError, "row: expected an int from 0 to 2, got 3"),
        (lambda trace: plot.gates(trace, row=2), ValueError, "row: expected one with valid steps, got 2"),
        (lambda trace: plot.states(trace, index=2), ValueError, "index: expected an int from 0 to 1, got 2"),
        (lambda trace: plot.states(trace, "q"), ValueError, "name: expected one of 'i', .*, got 'q'"),
        (lambda trace: plot.states(trace, units=[7]), ValueError, "units: expected a unit from 0 to 6, got 7"),
        (lambda trace: plot.states(trace, units=[]), ValueError, "units: expected a list of at least one unit"),
        (lambda trace: plot.states(trace, units=[0.5]), TypeError, "units: expected an array of integers"),
        (lambda trace: plot.gates(trace, "fi", axes=[1]), ValueError, "axes: expected 2, one for each of f, i, got 1"),
        (lambda trace: plot.saturation(trace, "q"), ValueError, "name: expected one of 'i', .*, got 'q'"),
        (lambda trace: plot.saturation(trace[0], "f"), ValueError, "trace: expected one of a whole layer"),
        (lambda trace: plot.gradient_flow({}), ValueError, "flow: expected at least one GradientFlow, got an empty"),
        (lambda trace: plot.gradient_flow({"a": trace}), TypeError, "flow: expected a GradientFlow, .*, got Trace"),
        (lambda trace: plot.gradient_flow(a_flow(), "c"), ValueError, "name: expected one of 'h', got 'c'"),
        (lambda trace: plot.gradient_flow(a_flow(), index=1), ValueError, "index: expected an int from 0 to 0, got 1"),
        (lambda trace: plot.gradient_flow(a_flow()[0]), ValueError, r"flow: expected one of a whole layer, \(L\*D, N"),
        (lambda trace: plot.gradient_flow(a_flow(), relative=1), TypeError, "relative: expected True or False"),
        (
            lambda trace: plot.history([1]),
            TypeError,
            "history: expected a mapping, as Trainer.fit returns it, got list",
        ),
        (lambda trace: plot.history({"loss": [1]}), ValueError, "history: expected one with \"epoch\", got 'loss'"),
        (lambda trace: plot.history({"epoch": [], "loss": []}), ValueError, "history: expected at least one epoch"),
        (lambda trace: plot.history({"epoch": [1]}), ValueError, "history: expected one with a loss, got 'epoch'"),
        (lambda trace: plot.history({"epoch": [1], "loss": [1, 2]}), ValueError, r"history\['loss'\]: expected 1 val"),
        (
            lambda trace: plot.history({"epoch": [1], "loss": ["x"]}),
            TypeError,
            r"history\['loss'\]: expected a list of",
        ),
        (lambda trace: plot.history({"epoch": [1], "loss": [1]}, ["a"]), ValueError, "names: expected one of 'loss'"),
        (lambda trace: plot.history({"epoch": [1], "loss": [1]}, log="y"), TypeError, "log: expected True or False"),
    ],
)
def test_bad_input(trace, call, error, message):
    with pytest.raises(error, match=message):
        call(trace)


def a_flow():
    return clstm.RNN(3, 4, rng=0).gradient_flow(np.ones((2, 9, 3)), np.ones((2, 9, 4)))
