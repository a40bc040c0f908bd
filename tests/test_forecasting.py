"""Forecasting: the preparation against slow twins and properties, the forecaster as a whole, its file, the ensemble."""

import json
import math
import subprocess
import sys

import numpy as np
import pytest

import clstm
from clstm import Ensemble, safetensors
from clstm.forecasting import Forecaster, forecaster, least_values, season, series
from clstm.forecasting.channels import Channels
from clstm.forecasting.results import LEVELS, Band
from clstm.forecasting.series import Plan, Preparation
from clstm.forecasting.steps_ahead import Model, Shape

SMALL = {"networks": 1, "epochs": 1}  # where the quality of the networks does not matter


def waves(n, period, noise=0.0, seed=0):
    """A level, two harmonics of a period, and noise."""
    t = np.arange(n)
    wave = 3 * np.sin(2 * np.pi * t / period) + np.cos(4 * np.pi * t / period + 1)
    return 20 + wave + noise * np.random.default_rng(seed).standard_normal(n)


def airline():
    text = (clstm_folder() / "data" / "airline.csv").read_text(encoding="utf-8")
    return np.array([float(line.split(",")[1]) for line in text.split()[1:]])


def clstm_folder():
    from pathlib import Path

    return Path(clstm.__file__).parent


# Gaps, scale, power


def test_gaps_are_interpolated_and_the_ends_continued():
    y = np.array([np.nan, 1, np.nan, np.nan, 4, np.nan])
    assert series.fill_gaps(y).tolist() == [1, 1, 2, 3, 4, 4]


@pytest.mark.parametrize("largest", [5e-324, 1e-300, 0.3, 1.0, 144.0, 1e300, 1.7e308])
def test_the_unit_is_a_power_of_two_just_below_the_largest_value(largest):
    unit = series.unit_of(np.array([0.0, np.nan, -largest]))
    assert math.frexp(unit)[0] == 0.5
    assert 1 <= largest / unit < 2


@pytest.mark.parametrize("power", [0, 0.5, 1])
def test_the_power_is_that_which_makes_the_spread_even(power, rng):
    level = np.repeat(np.linspace(20, 80, 30), 12)
    x = series.transform(level, power) * (1 + 0 * level)
    x = x + 0.1 * series.transform(20.0, power) * np.tile(np.sin(np.arange(12)), 30) + 0.01 * rng.standard_normal(360)
    assert series.choose_power(series.inverse(x, power)) == power


def test_there_is_no_transform_for_even_spread_negative_values_or_too_few_cycles(rng):
    even = 50 + rng.standard_normal(360)
    growing = np.exp(np.linspace(0, 3, 360)) * (1 + 0.1 * np.sin(np.arange(360)))
    assert series.choose_power(growing) == 0
    for y in (even, growing - 2, growing[:35]):
        assert series.choose_power(y) == 1
    assert series.choose_power(np.where(np.arange(360) == 5, 0, growing)) == 0.5


@pytest.mark.parametrize("power", [0, 0.5, 1])
def test_a_transform_and_its_inverse(power, rng):
    y = rng.uniform(0.1, 9, 100)
    np.testing.assert_allclose(series.inverse(series.transform(y, power), power), y, rtol=1e-14)


# Season


@pytest.mark.parametrize("period", [4, 7, 12, 24, 52.18])
@pytest.mark.parametrize("noise", [0.0, 0.5])
def test_a_season_is_found(period, noise):
    found = season.find_season(waves(round(10 * period), period, noise))
    assert found.period == pytest.approx(period, rel=2e-3)
    assert found.skill > 0.9


@pytest.mark.parametrize("seed", range(10))
def test_noise_and_random_walks_have_no_season(seed):
    noise = np.random.default_rng(seed).standard_normal(200)
    for x in (noise, np.cumsum(noise)):
        assert season.find_season(x).skill < series.SEASON_SKILL


@pytest.mark.parametrize("x", [np.arange(60.0), np.arange(60.0) ** 2], ids=["line", "parabola"])
def test_a_trend_has_no_season(x):
    assert season.find_season(x) == season.NO_SEASON


@pytest.mark.parametrize(("n", "period"), [(90, 12.0), (100, 7.0), (61, 2.0), (80, 24.01), (300, 52.18)])
def test_the_skill_of_a_season_is_that_of_a_fit_at_each_origin(n, period):
    x = waves(n, period, noise=1.0) + np.linspace(0, 5, n) ** 2
    counts = [terms for terms in season.TERMS if 2 * terms <= period]
    fast = season.season_skills(x, period, counts)

    def detrended(x):
        t = np.linspace(-1, 1, len(x))
        return x - np.polyval(np.polyfit(t, x, 2), t)

    for terms, skill in zip(counts, fast, strict=True):
        table, z = season.fourier(np.arange(n), period, terms), detrended(x)
        wrong = 0.0
        for start in range(n // 2, n, round(period)):
            now = slice(start, start + round(period))
            weights = np.linalg.lstsq(table[:start], detrended(x[:start]), rcond=None)[0]
            wrong += np.sum((z[now] - table[now] @ weights) ** 2)
        assert skill == pytest.approx(1 - wrong / np.sum(z[n // 2 :] ** 2), abs=1e-7)


def test_the_waves_of_half_the_period_have_no_sine():
    assert season.fourier(np.arange(8), 4, 2).shape == (8, 3)
    assert np.linalg.matrix_rank(season.fourier(np.arange(8), 4, 2)) == 3


@pytest.mark.parametrize("n", [60, 600], ids="n={}".format)
def test_the_season_weights_are_those_of_weighted_least_squares(n, rng):
    x = waves(n, 12, noise=0.3) + np.cumsum(rng.standard_normal(n))
    age = (n - 1 - np.arange(1, n)) / 12
    rows = np.column_stack([np.ones(n - 1), np.diff(season.fourier(np.arange(n), 12, 3), axis=0)])
    root = np.sqrt(season.MEMORY**age)
    slow = np.linalg.lstsq(rows * root[:, None], np.diff(x) * root, rcond=None)[0][1:]
    np.testing.assert_allclose(season.season_weights(x, 12, 3), slow, rtol=0, atol=1e-5)


def test_a_pure_season_is_learnt_exactly_whatever_the_drift():
    x = waves(80, 12) + 0.7 * np.arange(80)
    found = season.fourier(np.arange(100), 12, 2) @ season.season_weights(x, 12, 2)
    np.testing.assert_allclose(np.diff(waves(100, 12)), np.diff(found), rtol=0, atol=1e-9)


# Differences


@pytest.mark.parametrize("seed", range(5))
def test_random_walks_need_differences_and_noise_does_not(seed):
    noise = np.random.default_rng(seed).standard_normal(200)
    assert series.needs_difference(np.cumsum(noise + 0.2), 12)
    assert not series.needs_difference(noise, 12)


@pytest.mark.parametrize("seed", range(12))
def test_the_need_for_differences_is_that_of_a_loop_over_the_origins(seed):
    rng = np.random.default_rng(seed)
    r = np.convolve(rng.standard_normal(80), np.ones(1 + seed))[:80]  # between noise and random walk
    level = drift = 0.0
    steps = np.arange(1, 8)
    for i in range(40, 80):
        future = r[i : i + 7]
        level += np.mean((future - r[:i].mean()) ** 2)
        drift += np.mean((future - r[i - 1] - (r[i - 1] - r[0]) / (i - 1) * steps[: len(future)]) ** 2)
    assert series.needs_difference(r, 7) == (drift < level)


# Plan and preparation


@pytest.mark.parametrize("difference", [False, True])
@pytest.mark.parametrize("seasonal", [False, True])
@pytest.mark.parametrize("power", [0, 0.5, 1])
def test_a_preparation_undoes_what_it_does(power, seasonal, difference, rng):
    y = np.exp(0.01 * np.arange(100)) * waves(100, 12, noise=0.5)
    plan = Plan(16.0, power, 12.0 if seasonal else None, 2 * seasonal, 0.0, seasonal, difference, 12)
    channels = Channels.learn(y[:80, None], [plan])
    rest = channels.rest(y[:, None], 0)
    future = channels.inputs(rest)[-20:]
    path = channels.paths(future[None], rest[[79]], np.array([80]), at_once=False)[0]
    np.testing.assert_allclose(channels.values(path)[:, 0], y[80:], rtol=1e-12)
    first = channels.rest(y[:80, None], 0)
    seen = channels.inputs(first if difference else np.concatenate([first[:1], first]))
    assert (abs(seen.mean()), seen.std()) == pytest.approx((0, 1), abs=1e-9)


def test_gaps_follow_the_season():
    y = waves(96, 12)
    gappy = y.copy()
    gappy[[30, 31, 32, 60, 61]] = np.nan
    plan = Plan(16.0, 1, 12.0, 2, 1.0, True, False, 12)
    rest = series.fill_gaps(Preparation.learn(gappy, plan).rest(gappy))
    straight = series.fill_gaps(gappy) - (y - 20)
    assert np.ptp(rest) < 0.3 * np.ptp(straight)


def test_what_is_known_about_a_season_is_taken():
    y = waves(120, 12, noise=0.5)
    found = series.make_plan(y, 6)
    assert (found.period, found.seasonal, found.window) == (12, True, 12)
    given = series.make_plan(y, 6, season=7)
    assert (given.period, given.seasonal) == (7, True)
    for none in (0, 1):
        plan = series.make_plan(y, 6, season=none)
        assert (plan.period, plan.terms, plan.seasonal) == (None, 0, False)
    assert series.make_plan(y, 6, log=True).power == 0
    assert series.make_plan(np.exp(y), 6, log=False).power == 1
    assert series.make_plan(y, 6, window=5).window == 5


# Networks


def test_what_a_network_says_is_what_it_sees_next():
    def fibonacci(x):
        return x[:, -1] + x[:, -2]

    model = Model(Shape(5, 3, False, (), 1, 1, 0.0), None, fibonacci, None)
    told = model.fed_back(np.array([[9.0, 1, 1], [9, 2, 1]])[:, :, None], np.empty((2, 7, 0)))
    assert told[:, :, 0].tolist() == [[2, 3, 5, 8, 13], [3, 4, 7, 11, 18]]


@pytest.mark.parametrize("rows", [40, 320, 5_000, 50_000])
def test_the_steps_of_a_training_are_bounded(rows, monkeypatch):
    steps = []

    def fit(self, x, y, epochs, batch_size, progress):
        steps.append(epochs * math.ceil(len(x) / batch_size))

    monkeypatch.setattr(forecaster.Trainer, "fit", fit)
    net = Shape(1, 12, False, (), 4, 1, 0.0).network(1, 1, np.random.default_rng(0))
    forecaster.trained(net, np.zeros((rows, 12, 1)), np.zeros((rows, 1)), 10, np.random.default_rng(0))
    assert steps == [min(10 * math.ceil(rows / 32), forecaster.MOST_STEPS)] or 150 < steps[0] <= forecaster.MOST_STEPS


# Band


def test_the_band_holds_the_share_of_the_errors_it_was_made_from(rng):
    errors = np.cumsum(rng.standard_normal((400, 20)), axis=1)
    errors[rng.random(errors.shape) < 0.1] = np.nan
    band = Band.of(errors)
    assert band.growth == pytest.approx(0.5, abs=0.1)  # of a random walk
    for level in LEVELS[[5, 50, 80, 95]]:
        inside = (
            np.abs(errors[np.isfinite(errors)])
            <= np.broadcast_to(band.half_widths(level, 20), errors.shape)[np.isfinite(errors)]
        )
        assert inside.mean() == pytest.approx(level, abs=2e-3)


def test_a_band_does_not_shrink_with_the_step(rng):
    errors = rng.standard_normal((100, 5)) / np.arange(1, 6)
    assert Band.of(errors).growth == 0
    assert Band.of(errors[:, :1]).growth == 0  # a horizon of one step


# The forecaster


def test_a_season_without_noise_is_forecast_exactly():
    y = waves(140, 12)
    forecast = Forecaster(20, **SMALL).fit(y[:120]).predict()
    np.testing.assert_allclose(forecast.mean, y[120:], rtol=0, atol=1e-6)
    assert np.ptp(forecast.high - forecast.low) < 1e-6


def test_a_line_is_forecast_exactly():
    y = 5 + 3.0 * np.arange(60)
    np.testing.assert_allclose(Forecaster(10, **SMALL).fit(y[:50]).predict().mean, y[50:], rtol=1e-9)


def test_what_only_a_network_can_learn_is_learnt():
    """A logistic map: no season, no trend, unpredictable for anything linear."""
    y = np.empty(400)
    y[0] = 0.3
    for t in range(399):
        y[t + 1] = 3.9 * y[t] * (1 - y[t])
    scores = Forecaster(1, season=0, log=False, epochs=40).backtest(y).scores()
    assert scores["lstm"][0] < 0.25 * scores["preparation_alone"][0]


@pytest.mark.parametrize("horizon", [1, 2, 12])
def test_the_smallest_series_that_is_accepted_works(horizon, rng):
    n = least_values(horizon)
    model = Forecaster(horizon, **SMALL).fit(rng.standard_normal(n))
    assert all(np.isfinite(line).all() and line.shape == (horizon,) for line in model.predict())
    test = Forecaster(horizon, **SMALL).backtest(rng.standard_normal(n + horizon))
    assert test.origin == n


@pytest.mark.parametrize("scale", [2.0**-1000, 2.0**-30, 2.0**900])
def test_the_scale_of_a_series_changes_no_bit(scale):
    y = waves(72, 12, noise=0.5)
    one, other = Forecaster(6, **SMALL).fit(y).predict(), Forecaster(6, **SMALL).fit(y * scale).predict()
    for line, scaled in zip(one, other, strict=True):
        assert np.array_equal(line * scale, scaled)


def test_the_same_seed_gives_the_same_bits_with_any_number_of_threads():
    y = waves(100, 12, noise=0.5)
    before, found = clstm.get_num_threads(), []
    try:
        for threads, seed in ((1, 0), (2, 0), (2, 0), (2, 1)):
            clstm.set_num_threads(threads)
            found.append(np.concatenate(Forecaster(12, networks=2, seed=seed).fit(y).predict()))
    finally:
        clstm.set_num_threads(before)
    assert np.array_equal(found[0], found[1])
    assert np.array_equal(found[1], found[2])
    assert not np.array_equal(found[2], found[3])


def test_a_wider_level_gives_a_wider_band():
    model = Forecaster(6, **SMALL).fit(waves(100, 12, noise=0.5))
    narrow, wide = model.predict(0.5), model.predict(0.95)
    assert np.array_equal(narrow.mean, wide.mean)
    assert (wide.low < narrow.low).all()
    assert (narrow.low < narrow.mean).all()
    assert (narrow.high < wide.high).all()


def test_a_back_test_sees_nothing_of_what_it_forecasts():
    y = waves(100, 12, noise=0.5)
    other = y.copy()
    other[88:] = other[88:][::-1] + 7
    one, two = (Forecaster(12, **SMALL).backtest(series) for series in (y, other))
    assert one.origin == two.origin == 88
    for name, guess in one.guesses().items():
        assert np.array_equal(guess, two.guesses()[name])
    assert np.array_equal(one.forecast.low, two.forecast.low)
    assert one.scores() != two.scores()


def test_the_simple_forecasts_of_a_back_test():
    y = waves(100, 12, noise=0.1)
    test = Forecaster(15, **SMALL).backtest(y)
    assert list(test.guesses()) == ["lstm", "preparation_alone", "seasonal_naive", "last_value"]
    assert test.seasonal_naive.tolist() == [*y[73:85], *y[73:76]]
    assert test.last_value.tolist() == [y[84]] * 15
    assert test.truth.tolist() == y[85:].tolist()
    error = y[85:] - y[84]
    assert test.scores()["last_value"] == pytest.approx((np.sqrt(np.mean(error**2)), np.mean(np.abs(error))))
    model = Forecaster(15, **SMALL).fit(y[:85])
    assert np.array_equal(model.predict().mean, test.forecast.mean)


def test_gaps_in_and_before_the_held_out_values():
    y = waves(100, 12, noise=0.1)
    y[[85, 86, 87, 90, 95]] = np.nan
    test = Forecaster(12, **SMALL).backtest(y)
    assert test.origin == 85  # behind the last known value
    assert np.isnan(test.truth).sum() == 5
    assert np.isfinite(test.scores()["lstm"]).all()
    assert 0 <= test.inside() <= 7


def test_another_origin():
    y = waves(100, 12, noise=0.1)
    assert Forecaster(12, **SMALL).backtest(y, origin=60).truth.tolist() == y[60:72].tolist()
    with pytest.raises(ValueError, match="origin: expected less than the 100 values, got 100"):
        Forecaster(12, **SMALL).backtest(y, origin=100)


def test_airline_passengers():
    """The back-test of the last two years, five seeds."""
    scores = [Forecaster(24, seed=seed).backtest(airline()).scores() for seed in range(5)]
    rmse = [score["lstm"][0] for score in scores]
    print("airline, RMSE of the last 24 months, seeds 0 to 4:", *(f"{error:.2f}" for error in rmse))
    print(f"median {np.median(rmse):.2f}, seasonal-naive {scores[0]['seasonal_naive'][0]:.2f}")
    assert np.median(rmse) < 20


# Bad input


@pytest.mark.parametrize(
    ("error", "message", "options"),
    [
        (ValueError, "horizon: expected an int of at least 1, got 0", {"horizon": 0}),
        (TypeError, "horizon", {"horizon": 2.5}),
        (ValueError, "season: expected a number of steps, at least 2, or 0 for none, got 1.5", {"season": 1.5}),
        (ValueError, "season", {"season": math.inf}),
        (ValueError, "season", {"season": math.nan}),
        (ValueError, "season", {"season": -3}),
        (TypeError, "season", {"season": "year"}),
        (TypeError, "log", {"log": 1}),
        (ValueError, "networks", {"networks": 0}),
        (ValueError, "hidden_size", {"hidden_size": 0}),
        (ValueError, "window", {"window": 0}),
        (ValueError, "epochs", {"epochs": 0}),
        (ValueError, "seed: expected an int of at least 0, got -1", {"seed": -1}),
        (TypeError, "seed", {"seed": 0.5}),
    ],
    ids=str,
)
def test_a_bad_option_is_named(error, message, options):
    with pytest.raises(error, match=message):
        Forecaster(**{"horizon": 3, **options})


def with_value(value, place=50):
    y = waves(100, 12)
    y[place] = value
    return y


@pytest.mark.parametrize(
    ("error", "message", "options", "y"),
    [
        (ValueError, r"y: expected at least 24 values to forecast 3, got 23", {}, waves(23, 12)),
        (ValueError, r"y: expected at least 80 values to forecast 40, got 79", {"horizon": 40}, waves(79, 12)),
        (ValueError, r"y: expected at least 24 values", {}, []),
        (ValueError, r"y: expected shape \(n,\), got shape \(100, 1\)", {}, waves(100, 12)[:, None]),
        (ValueError, r"y: expected finite values, or NaN for missing ones, got inf at \[50\]", {}, with_value(np.inf)),
        (ValueError, r"y: expected a last value that is known", {}, with_value(np.nan, -1)),
        (ValueError, r"at most a fifth of the values missing, got 21 of 100", {}, with_value(np.nan, slice(21))),
        (ValueError, r"y: expected values that differ, got 3.0 everywhere", {}, np.full(100, 3.0)),
        (ValueError, r"y: expected values above 0 for log=True, got 0.0 at \[50\]", {"log": True}, with_value(0)),
        (ValueError, r"season: expected at most 50, half of the 100 values", {"season": 51}, waves(100, 12)),
        (ValueError, r"window: expected at most 66 steps for 100 values", {"window": 67}, waves(100, 12)),
        (TypeError, r"y: expected an array of real numbers", {}, ["a"] * 100),
        (TypeError, r"y: expected an array of real numbers", {}, np.ones(100, complex)),
        (TypeError, r"y: expected an array of real numbers", {}, [None] * 100),
    ],
    ids=str,
)
def test_a_series_that_does_not_fit_is_refused_and_changes_nothing(error, message, options, y):
    model = Forecaster(**{"horizon": 3, **SMALL, **options})
    with pytest.raises(error, match=message):
        model.fit(y)
    with pytest.raises(RuntimeError, match="call fit first"):
        model.predict()


def test_a_series_too_short_for_a_back_test_is_told_so():
    with pytest.raises(ValueError, match="at least 27 values to forecast 3 and to test that on the last 3, got 26"):
        Forecaster(3).backtest(waves(26, 12))
    with pytest.raises(ValueError, match=r"everywhere \(in the back-test, which knows the first 97 of 100 values"):
        Forecaster(3).backtest(with_value(7, slice(97)))


@pytest.mark.parametrize("level", [0, 1, -0.5, math.nan])
def test_a_level_is_between_0_and_1(level):
    model = Forecaster(3, **SMALL).fit(waves(50, 12))
    with pytest.raises(ValueError, match="level: expected a number between 0 and 1"):
        model.predict(level)


# Files


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "model.safetensors"
    model = Forecaster(12, networks=2, seed=3).fit(airline())
    model.save(path)
    return model, path


def test_a_saved_forecaster_gives_the_same_bits(saved):
    model, path = saved
    again = Forecaster.load(path)
    assert repr(again) == repr(model) == "Forecaster(12, networks=2, seed=3)"
    assert again.plan == model.plan
    for level in (0.5, 0.8, 0.95):
        for one, other in zip(model.predict(level), again.predict(level), strict=True):
            assert np.array_equal(one, other)


def test_the_networks_of_a_saved_forecaster_open_without_it(saved):
    model, path = saved
    code = (
        "import sys, clstm; net = clstm.load(sys.argv[1]); "
        "assert 'clstm.forecasting' not in sys.modules; print(repr(net), float(net([[[0.0]] * 12])[0, 0]))"
    )
    folder = str(clstm_folder().parent)
    told = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True, cwd=folder
    ).stdout
    assert told == f"{model.net!r} {float(model.net(np.zeros((1, 12, 1)))[0, 0])}\n"


def changed(path, target, change):
    """Writes the file anew with a change in what it says about the forecaster."""
    tensors, metadata = safetensors.read(path)
    state = json.loads(metadata["clstm.forecaster"])
    change(state)
    safetensors.write(target, tensors, {**metadata, "clstm.forecaster": json.dumps(state)})


@pytest.mark.parametrize(
    "change",
    [
        lambda state: state.update(format=2),
        lambda state: state.update(format=[]),
        lambda state: state.pop("plan"),
        lambda state: state["plan"].update(period="12"),
        lambda state: state["plan"].update(period=1e-300),
        lambda state: state["plan"].update(period=None),
        lambda state: state["plan"].update(terms=10**9),
        lambda state: state["plan"].update(power=2),
        lambda state: state["plan"].update(window=13),
        lambda state: state["plan"].update(window=-1),
        lambda state: state["plan"].update(unit=0),
        lambda state: state["plan"].update(more=1),
        lambda state: state["plan"].update(seasonal=1),
        lambda state: state["options"].update(horizon=10**12),
        lambda state: state["options"].update(horizon=-1),
        lambda state: state["options"].pop("seed"),
        lambda state: state.update(options=[]),
        lambda state: state.update(weights=[]),
        lambda state: state.update(weights={}),
        lambda state: state["weights"].append(0.0),
        lambda state: state["tail"].pop(),
        lambda state: state["tail"].__setitem__(0, math.nan),
        lambda state: state["sizes"].__setitem__(0, "1"),
        lambda state: state.update(mean=math.inf),
        lambda state: state.update(deviation=None),
        lambda state: state.update(level=True),
        lambda state: state.update(count=10**15),
        lambda state: state.update(count=3),
        lambda state: state.update(growth=10**400),
    ],
)
def test_a_file_that_says_something_impossible_is_refused(saved, change, tmp_path):
    target = tmp_path / "bad.safetensors"
    changed(saved[1], target, change)
    with pytest.raises(ValueError, match=r"bad\.safetensors: the entry 'clstm.forecaster' does not fit"):
        Forecaster.load(target)


def test_other_models_are_no_forecasters(saved, tmp_path):
    clstm.Dense(1, 1, rng=0).save(tmp_path / "dense.safetensors")
    with pytest.raises(ValueError, match=r"dense\.safetensors: no forecaster"):
        Forecaster.load(tmp_path / "dense.safetensors")
    entry = safetensors.read(saved[1])[1]["clstm.forecaster"]
    clstm.Dense(1, 1, rng=0).save(tmp_path / "other.safetensors", metadata={"clstm.forecaster": entry})
    with pytest.raises(ValueError, match=r"Dense\(1, 1\) makes no forecasts"):
        Forecaster.load(tmp_path / "other.safetensors")
    with pytest.raises(FileNotFoundError):
        Forecaster.load(tmp_path / "absent.safetensors")


# The ensemble


def members(count=3, dtype="float64"):
    return [
        clstm.Network([clstm.LSTM(2, 3, dtype=dtype, rng=k), clstm.Pool("last"), clstm.Dense(3, 2, dtype=dtype, rng=k)])
        for k in range(count)
    ]


def test_an_ensemble_is_the_mean_of_its_members(rng):
    x, dy, lengths = rng.standard_normal((4, 5, 2)), rng.standard_normal((4, 2)), [5, 3, 1, 2]
    single, ensemble = members(), Ensemble(members())
    y, _, tape = ensemble.forward(x, lengths=lengths)
    expected = [member.forward(x, lengths=lengths) for member in single]
    np.testing.assert_allclose(y, np.mean([one[0] for one in expected], axis=0), rtol=1e-12)
    assert np.array_equal(ensemble(x, lengths=lengths), y)
    dx, _, grads = ensemble.backward(tape, dy)
    parts = [member.backward(one[2], dy / 3) for member, one in zip(single, expected, strict=True)]
    np.testing.assert_allclose(dx, np.sum([part[0] for part in parts], axis=0), rtol=1e-12)
    flat = {f"{k}.{name}": grad for k, part in enumerate(parts) for name, grad in part[2].items()}
    assert flat.keys() == grads.keys() == ensemble.parameters().keys()
    for name, grad in grads.items():
        np.testing.assert_allclose(grad, flat[name], rtol=1e-12)


def test_an_ensemble_is_a_layer_like_any_other(rng, tmp_path):
    net = clstm.Network([Ensemble(members(dtype="float32")), clstm.Dense(2, 1, rng=0)])
    x = rng.standard_normal((4, 5, 2))
    names = vars(clstm) | {"Ensemble": Ensemble}
    assert repr(eval(repr(net), names)) == repr(net)
    net.save(tmp_path / "net.safetensors")
    assert np.array_equal(clstm.load(tmp_path / "net.safetensors")(x), net(x))
    before = net.parameters()["0.1.2.bias"].copy()
    clstm.Trainer(net, rng=0).fit(x, np.ones((4, 1)), epochs=1, progress=False)
    assert not np.array_equal(net.parameters()["0.1.2.bias"], before)
    y, _, tape = net.forward(x)
    assert net.backward(tape, np.ones_like(y), need_dx=False)[0] is None


@pytest.mark.parametrize(
    ("message", "layers"),
    [
        (r"layers\[1\].output_size: expected 3 as layers\[0\] has, got 4", [clstm.LSTM(2, 3), clstm.LSTM(2, 4)]),
        (r"layers\[1\].input_size", [clstm.LSTM(2, 3), clstm.LSTM(1, 3)]),
        (r"layers\[1\].removes_time", [clstm.LSTM(2, 3), clstm.Network([clstm.LSTM(2, 3), clstm.Pool("mean")])]),
        (r"layers\[1\]: expected dtype", [clstm.LSTM(2, 3), clstm.LSTM(2, 3, dtype="float64")]),
        (r"at least one layer", []),
    ],
    ids=str,
)
def test_members_that_differ_make_no_ensemble(message, layers):
    with pytest.raises(ValueError, match=message):
        Ensemble(layers)
    for layer in layers:
        assert layer._network() is None


def test_a_forecaster_that_follows_forecasts_from_the_new_end():
    y = waves(120, 12, noise=0.3)
    model = Forecaster(3, **SMALL).fit(y[:100])
    weights, before = model.net.flat_parameters.copy(), model.predict().mean
    assert model.follow(y[:100]).predict().mean.tolist() == before.tolist()
    found = model.follow(y).predict().mean
    assert model.count == 120
    np.testing.assert_array_equal(model.net.flat_parameters, weights)
    longer = Forecaster(3, **SMALL)
    longer.net = model.net
    preparation = model._fitted.preparation
    u = Channels([preparation]).inputs(Channels([preparation]).rest(y[:, None], 0))[:, 0]
    longer._fitted = model._fitted._replace(tail=u[-len(model._fitted.tail) :])
    np.testing.assert_array_equal(longer.predict().mean, found)
    with pytest.raises(ValueError, match="y: expected the 120 values that were learnt, and more, got 119"):
        model.follow(y[:119])
