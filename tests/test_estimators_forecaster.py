"""LSTMForecaster: against slow twins, by properties (nothing of the future is seen), on series whose laws are known."""

import pickle
import re

import numpy as np
import pytest

import clstm
from clstm.estimators import LSTMForecaster, NotFittedError, load
from clstm.estimators.forecaster_parts import skill
from clstm.estimators.state import read, written
from clstm.forecasting.channels import Channels, plans_of
from clstm.forecasting.series import Preparation, make_plan
from clstm.forecasting.steps_ahead import Shape, errors_ahead, examples

QUICK = {"networks": 1, "epochs": 1, "random_state": 0}  # where the quality of the networks does not matter
BOTH = pytest.mark.parametrize("strategy", ["recursive", "direct"])


def passengers():
    """The airline series that comes with clstm."""
    from importlib.resources import files

    lines = files("clstm").joinpath("data/airline.csv").read_text(encoding="utf-8").split()[1:]
    return np.array([float(line.split(",")[1]) for line in lines])


def wandering(n, channels, seed=0):
    """Channels of different kinds: a growing one with a season, noise, a random walk."""
    rng = np.random.default_rng(seed)
    t = np.arange(n)
    growing = np.exp(0.01 * t + 0.3 * np.sin(2 * np.pi * t / 12) + 0.02 * rng.standard_normal(n))
    return np.stack([growing, rng.standard_normal(n), np.cumsum(rng.standard_normal(n))], axis=1)[:, :channels]


def rmse(guess, truth):
    return float(np.sqrt(np.nanmean((guess - truth) ** 2)))


# The preparation of several channels


@pytest.mark.parametrize("difference", [None, False, True])
def test_channels_are_prepared_as_each_alone(difference):
    values = wandering(90, 3)
    plans = plans_of(values, 4, None, None, difference, 7)
    channels = Channels.learn(values, plans)
    rest = channels.rest(values, 0)
    inputs = channels.inputs(rest)
    outputs = np.random.default_rng(1).normal(size=(2, 4, 3))
    origins = np.array([50, 90])
    paths = channels.paths(outputs, rest[origins - 1], origins, at_once=False)
    for c, channel in enumerate(values.T):
        plan = make_plan(channel, 4, None, None, 7)
        plan = plan if difference is None else plan._replace(difference=difference)
        alone = Preparation.learn(channel, plan)
        assert plans[c] == plan
        r = alone.transformed(channel) - alone.season(0, 90)
        u = (np.diff(r) if plan.difference else r[1:]) / alone.deviation - alone.mean / alone.deviation
        np.testing.assert_allclose(rest[:, c], r, rtol=0, atol=1e-12)
        np.testing.assert_allclose(inputs[:, c], u, rtol=0, atol=1e-9)
        for k, origin in enumerate(origins):
            level = r[origin - 1]
            for h, output in enumerate(outputs[k, :, c]):
                level = output * alone.deviation + alone.mean + (level if plan.difference else 0)
                path = level + alone.season(origin + h, origin + h + 1)[0]
                assert paths[k, h, c] == pytest.approx(path, rel=1e-12, abs=1e-12)
                assert channels.values(paths)[k, h, c] == pytest.approx(alone.values(path), rel=1e-12)
    if difference is None:
        assert {plan.difference for plan in plans} == {True, False}


def test_targets_at_once_are_undone_by_their_paths():
    values = wandering(80, 3)
    channels = Channels.learn(values, plans_of(values, 5, None, None, None, 6))
    rest = channels.rest(values, 0)
    origins = np.array([20, 33, 75])
    targets = channels.targets(rest, origins, 5)
    back = channels.values(channels.paths(targets, rest[origins - 1], origins, at_once=True))
    np.testing.assert_allclose(back, values[origins[:, None] + np.arange(5)], rtol=1e-9)


def test_targets_at_once_of_a_random_walk_have_deviation_1_at_each_step(rng):
    walk = np.cumsum(rng.standard_normal((4000, 1)) + 0.3, axis=0)
    channels = Channels.learn(walk, plans_of(walk, 9, 0, False, True, 6))
    targets = channels.targets(channels.rest(walk, 0), np.arange(1, 3990), 9)
    np.testing.assert_allclose(targets.mean(axis=0), 0, atol=0.1)
    np.testing.assert_allclose(targets.std(axis=0), 1, atol=0.1)


@pytest.mark.parametrize(
    ("impute", "expected"),
    [("forward", [1, 1, 2, 2, 2, 5]), ("linear", [1, 1, 2, 3, 4, 5]), ("mean", [1, 1, 2, 9, 9, 5])],
)
def test_gaps_are_filled_by_the_stated_rule(impute, expected):
    plan = make_plan(np.arange(30) % 7.0, 1, 0, False, 4)._replace(difference=False)
    channels = Channels([Preparation(plan, np.zeros(0), 9.0, 1.0)])
    rest = np.array([np.nan, 1, 2, np.nan, np.nan, 5])[:, None]
    assert channels.filled(rest, impute)[:, 0].tolist() == expected


def test_gaps_in_changes_go_on_with_the_mean_change():
    plan = make_plan(np.arange(30) % 7.0, 1, 0, False, 4)._replace(difference=True)
    channels = Channels([Preparation(plan, np.zeros(0), 0.5, 2.0)])
    rest = np.array([1, np.nan, np.nan, 5.0])[:, None]
    filled = channels.filled(rest, "mean")
    assert filled[:, 0].tolist() == [1, 1.5, 2, 5]
    assert channels.inputs(filled)[:2, 0].tolist() == [0, 0]


def test_a_preparation_survives_a_file():
    values = wandering(60, 3)
    channels = Channels.learn(values, plans_of(values, 2, None, None, None, 5))
    again = read(written(channels))
    np.testing.assert_array_equal(again.rest(values, 3), channels.rest(values, 3), strict=True)
    state = channels.state()
    state["parts"][1]["deviation"] = 0.0
    with pytest.raises(ValueError, match="deviation: expected a number above 0, got 0"):
        Channels.from_state(state)


# What networks see


@pytest.mark.parametrize("at_once", [False, True])
@pytest.mark.parametrize("inputs", [0, 2])
def test_windows_and_targets_are_those_of_a_loop(at_once, inputs, rng):
    horizon, window, n = 3, 4, 30
    values, known = wandering(n, 2), rng.normal(size=(n, inputs))
    channels = Channels.learn(values, plans_of(values, horizon, None, None, None, window))
    rest = channels.rest(values, 0)
    x, y = examples(Shape(horizon, window, at_once, (), 4, 1, 0.0), channels, rest, known)
    u, ahead = channels.inputs(rest), horizon if at_once else 1
    slow_x, slow_y = [], []
    for origin in range(window + 1, n - ahead + 1):
        steps = range(origin - window, origin)
        # u begins at step 1; of what is known in advance, a column of its own for each step ahead
        slow_x.append([[*u[s - 1], *known[s + 1 : s + 1 + ahead].T.ravel()] for s in steps])
        slow_y.append(channels.targets(rest, np.array([origin]), horizon).ravel() if at_once else u[origin - 1])
    np.testing.assert_allclose(x, np.array(slow_x), rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(y, np.array(slow_y), rtol=1e-6, atol=1e-7)


def test_the_loss_with_quantiles_is_the_sum_of_both(rng):
    prediction, target = rng.normal(size=(5, 8)).astype("f"), rng.normal(size=(5, 2)).astype("f")
    loss, gradient = Shape(1, 4, True, (0.1, 0.5, 0.9), 4, 1, 0.0).loss(2)(prediction, target)
    quantile = prediction[:, 2:].reshape(5, 2, 3) - target[:, :, None]
    pinball = np.where(quantile > 0, [0.9, 0.5, 0.1], [0.1, 0.5, 0.9]) * np.abs(quantile)
    assert loss == pytest.approx(np.mean((prediction[:, :2] - target) ** 2) + pinball.mean(), rel=1e-6)
    np.testing.assert_allclose(gradient[:, :2], 2 * (prediction[:, :2] - target) / 10, rtol=1e-5)
    slope = np.where(quantile > 0, [0.9, 0.5, 0.1], [-0.1, -0.5, -0.9]) / quantile.size
    np.testing.assert_allclose(gradient[:, 2:], slope.reshape(5, 6), rtol=1e-5)


# The forecaster as a whole


@BOTH
def test_the_airline_passengers(strategy):
    y = passengers()
    model = LSTMForecaster(24, strategy=strategy, networks=3, random_state=0).fit(y[:120])
    assert rmse(model.predict(), y[120:]) < 20  # the same months of the last year: 77
    assert model.predict().shape == (24,)


@BOTH
def test_a_forecast_is_that_of_a_loop_over_the_networks(strategy):
    y = wandering(70, 2)
    model = LSTMForecaster(4, 6, strategy=strategy, **(QUICK | {"networks": 2})).fit(y)
    channels = model.preparation_
    rest = channels.rest(y, 0)
    seen = channels.inputs(rest)[-6:].astype("f")
    if strategy == "direct":
        outputs = np.mean([net(seen[None]) for net in model.net_.layers], axis=0).reshape(1, 4, 2)
    else:
        for _ in range(4):
            guess = np.mean([net(seen[None, -6:]) for net in model.net_.layers], axis=0)
            seen = np.concatenate([seen, guess])
        outputs = seen[None, -4:]
    path = channels.paths(outputs, rest[-1:], np.array([70]), at_once=strategy == "direct")
    np.testing.assert_allclose(model.predict(), channels.values(path)[0], rtol=1e-5)


@BOTH
@pytest.mark.parametrize("impute", ["forward", "mean"])
def test_rolling_forecasts_are_those_after_each_update(strategy, impute, rng):
    y, exog = wandering(80, 2), rng.normal(size=(83, 2))
    y[rng.random(y.shape) < 0.1] = np.nan
    options = {"strategy": strategy, "impute": impute, "quantiles": (0.2, 0.8), **QUICK}
    model = LSTMForecaster(3, **options).fit(y[:70], exog[:70])
    rolled, spread = model.rolling(y, exog=exog[:80]), model.rolling_quantiles(y, exog=exog[:80])
    assert rolled.shape == (8, 3, 2)
    assert spread.shape == (8, 3, 2, 2)
    for origin in range(70, 78):
        future = exog[origin : origin + 3]
        np.testing.assert_allclose(model.predict(future), rolled[origin - 70], rtol=1e-9)
        np.testing.assert_allclose(model.predict_quantiles(future), spread[origin - 70], rtol=1e-9)
        model.update(y[origin : origin + 1], exog[origin : origin + 1])
    assert model.count_ == 78


@BOTH
@pytest.mark.parametrize("impute", ["forward", "mean", "linear"])
def test_no_forecast_depends_on_what_comes_later(strategy, impute, rng):
    y, exog = wandering(90, 3), rng.normal(size=(90, 1))
    y[rng.random(y.shape) < 0.2] = np.nan
    y[76:79] = np.nan  # at an origin too
    model = LSTMForecaster(2, strategy=strategy, impute=impute, **QUICK).fit(y[:60], exog[:60])
    rolled = model.rolling(y, exog=exog)
    for origin in (60, 70, 77, 78, 79, 80):
        other, inputs = y.copy(), exog.copy()
        other[origin:] = np.abs(rng.normal(size=other[origin:].shape)) * 5
        inputs[origin + 2 :] += 7
        again = model.rolling(other, exog=inputs)
        np.testing.assert_array_equal(again[: origin - 59], rolled[: origin - 59], strict=True)
        assert not np.array_equal(again[origin - 58 :], rolled[origin - 58 :])


def test_scores_compare_with_the_last_value():
    y = passengers()
    model = LSTMForecaster(3, **QUICK).fit(y[:120])
    rolled = model.rolling(y)
    wrong = naive = 0.0
    for k, guess in enumerate(rolled):
        truth = y[120 + k : 123 + k]
        wrong += np.sum((truth - guess) ** 2)
        naive += np.sum((truth - y[119 + k]) ** 2)
    assert model.score(y[120:]) == pytest.approx(1 - wrong / naive, rel=1e-9)


def test_the_skill_of_perfect_forecasts_and_of_the_last_value():
    values = np.array([[1.0, 5], [2, 5], [np.nan, 5], [4, 5]])
    truth, last = np.array([[[2.0, 5]], [[9, 5]], [[4, 5]]]), np.array([[[1.0, 5]], [[2, 5]], [[2, 5]]])
    assert skill(truth, values) == 1
    assert skill(last, values) == (0 + 1) / 2  # the second channel never changes
    assert skill(last + 1, values) == pytest.approx((1 - (0 + 1) / (1 + 4) + 0) / 2)


def test_exogenous_inputs_of_the_step_itself_are_used(rng):
    exog = rng.normal(size=(400, 2))
    y = 5 + 3 * exog[:, 0] - 2 * exog[:, 1] + 0.3 * rng.normal(size=400)
    for strategy, horizon in (("recursive", 1), ("recursive", 2), ("direct", 2)):
        options = {"strategy": strategy, "window": 4, "networks": 1, "epochs": 20, "random_state": 0}
        with_exog = LSTMForecaster(horizon, **options).fit(y[:300], exog[:300])
        without = LSTMForecaster(horizon, **options).fit(y[:300])
        assert with_exog.score(y[300:], exog[300:]) > 0.9
        assert without.score(y[300:]) < 0.6


def test_other_channels_are_used(rng):
    leader = rng.normal(size=501)
    y = np.stack([leader[1:], leader[:-1]], axis=1)  # the second channel repeats the first, one step later
    model = LSTMForecaster(1, window=4, networks=1, epochs=20, random_state=0).fit(y[:400])
    rolled = model.rolling(y)[:, 0]
    assert rmse(rolled[:, 1], y[400:, 1]) < 0.3
    assert rmse(rolled[:, 0], y[400:, 0]) > 0.8


@BOTH
def test_quantiles_hold_the_share_they_name(strategy):
    rng = np.random.default_rng(3)
    y = np.zeros(1200)
    for t in range(1, 1200):
        y[t] = 0.8 * y[t - 1] + rng.normal()
    quantiles = (0.9, 0.1, 0.5)
    model = LSTMForecaster(3, 6, strategy=strategy, quantiles=quantiles, networks=1, random_state=0).fit(y[:600])
    spread = model.rolling_quantiles(y)
    truth = np.lib.stride_tricks.sliding_window_view(y[600:], 3)
    below = (truth[:, :, None] < spread).mean(axis=0)
    np.testing.assert_allclose(below, np.broadcast_to(quantiles, (3, 3)), atol=0.08)
    width = (spread[..., 0] - spread[..., 1]).mean(axis=0)
    assert (np.diff(width) > 0).all()


def test_learning_goes_on_with_new_values(rng):
    def of_sign(sign, n):
        y = np.zeros(n)
        for t in range(1, n):
            y[t] = sign * 0.9 * y[t - 1] + rng.normal()
        return y

    y = np.concatenate([of_sign(1, 300), of_sign(-1, 600)])
    options = {"window": 4, "season": 0, "log": False, "difference": False, "networks": 2, "random_state": 0}
    model = LSTMForecaster(1, **options).partial_fit(y[:300])
    for start in range(300, 700, 40):
        model.partial_fit(y[start : start + 40])
    stale = LSTMForecaster(1, **options).fit(y[:300]).update(y[300:700])
    assert model.count_ == stale.count_ == 700
    assert model.score(y[700:]) > stale.score(y[700:]) + 0.1


@pytest.fixture
def noted_fits(monkeypatch):
    """What each training is given: inputs, targets, validation."""
    seen, fit = [], clstm.Trainer.fit

    def noted(self, x, y, *, validation=None, **options):
        seen.append((np.array(x), np.array(y), validation))
        return fit(self, x, y, validation=validation, **options)

    monkeypatch.setattr(clstm.Trainer, "fit", noted)
    return seen


@BOTH
def test_each_new_value_makes_one_example(strategy, noted_fits):
    y = wandering(70, 2)
    whole = LSTMForecaster(3, 5, strategy=strategy, **QUICK).fit(y[:60])
    parts = pickle.loads(pickle.dumps(whole))
    before = parts.net_.flat_parameters.copy()
    noted_fits.clear()
    for t in range(60, 70):
        parts.partial_fit(y[t : t + 1])
    one_by_one = [np.concatenate(part) for part in list(zip(*noted_fits, strict=True))[:2]]
    assert not np.array_equal(parts.net_.flat_parameters, before)
    noted_fits.clear()
    whole.partial_fit(y[60:])
    for together, apart in zip(noted_fits[0], one_by_one):
        assert len(together) == 10
        np.testing.assert_allclose(together, apart, rtol=0, atol=1e-6)


def test_parameters_changed_after_fit_count_from_the_next_one():
    y = wandering(60, 1)[:, 0]
    model = LSTMForecaster(3, 5, quantiles=(0.5,), **QUICK).fit(y)
    before = model.predict()
    model.set_params(horizon=2, window=7, strategy="direct", quantiles=None, impute="mean")
    np.testing.assert_array_equal(model.predict(), before, strict=True)
    assert model.predict_quantiles().shape == (3, 1)
    assert model.fit(y).predict().shape == (2,)


def test_early_stopping_looks_at_the_last_part(noted_fits):
    y = wandering(100, 1)[:, 0]
    model = LSTMForecaster(1, 5, patience=2, epochs=50, validation_fraction=0.2, networks=2, random_state=0).fit(y)
    assert max(len(history["val_loss"]) for history in model.history_) < 50
    noted_fits.clear()
    LSTMForecaster(1, 5, **QUICK).fit(y)
    *everything, validation = noted_fits.pop()
    assert validation is None
    LSTMForecaster(1, 5, patience=2, validation_fraction=0.2, **QUICK).fit(y)
    x, target, (x_late, target_late) = noted_fits[0]
    assert len(x_late) == round(0.2 * 94)
    np.testing.assert_array_equal(np.concatenate([x, x_late]), everything[0], strict=True)
    np.testing.assert_array_equal(np.concatenate([target, target_late]), everything[1], strict=True)


def test_the_band_is_made_by_networks_that_know_three_quarters(rng):
    seen = []

    def noted(preparation, rest, known):
        seen.append((rest, known, preparation.state()))
        return shape.network(3, 2, np.random.default_rng(0))

    values, known = wandering(80, 2), rng.normal(size=(80, 1))
    values[rng.random(values.shape) < 0.2] = np.nan
    values[58:61] = np.nan  # around the cut
    plans = plans_of(values, 2, None, None, None, 4)
    shape = Shape(2, 4, False, (), 3, 1, 0.0)
    found = []
    for change in (0, 5):
        values[61:] += change
        known[60:] += change
        found.append(errors_ahead(shape, values, known, plans, "linear", noted))
    for one, other in zip(*seen, strict=True):
        assert np.array_equal(one, other) if isinstance(one, np.ndarray) else one == other
    assert len(seen[0][0]) == 60
    assert found[0].shape == (20, 2, 2)
    assert np.isnan(found[0][-1, 1]).all()
    assert not np.array_equal(found[0], found[1], equal_nan=True)


def test_the_networks_are_as_the_parameters_say():
    model = LSTMForecaster(2, 5, num_layers=2, hidden_size=7, dropout=0.3, **QUICK).fit(wandering(60, 2))
    lstm, _, dropout, dense = model.net_.layers
    assert (lstm.input_size, lstm.hidden_size, lstm.num_layers, lstm.dropout) == (2, 7, 2, 0.3)
    assert (dropout.rate, dense.output_size) == (0.3, 2)
    assert len(LSTMForecaster(2, 5, dropout=0.3, **QUICK).fit(wandering(60, 2)).net_.layers) == 4
    assert len(LSTMForecaster(2, 5, num_layers=2, **QUICK).fit(wandering(60, 2)).net_.layers) == 3


@BOTH
def test_results_do_not_depend_on_threads_and_repeat(strategy):
    y = wandering(120, 2)
    found = []
    for threads in (1, 2, 2):
        clstm.set_num_threads(threads)
        model = LSTMForecaster(2, strategy=strategy, quantiles=(0.1, 0.9), networks=2, epochs=2, random_state=5).fit(y)
        found.append((model.predict(), model.predict_quantiles()))
    for other in found[1:]:
        for one, two in zip(found[0], other, strict=True):
            np.testing.assert_array_equal(one, two, strict=True)


@BOTH
def test_files_and_pickles_hold_everything(strategy, tmp_path, rng):
    y, exog = wandering(60, 2), rng.normal(size=(63, 1))
    y[30] = np.nan
    times = np.datetime64("2020-01-01") + np.arange(60)
    options = {"strategy": strategy, "quantiles": (0.1, 0.9), "impute": "linear", **QUICK}
    model = LSTMForecaster(3, 5, **options).fit(y, exog[:60], times=times)
    model.save(tmp_path / "model.safetensors")
    for again in (load(tmp_path / "model.safetensors"), pickle.loads(pickle.dumps(model))):
        for call in ("predict", "predict_quantiles"):
            np.testing.assert_array_equal(getattr(again, call)(exog[60:]), getattr(model, call)(exog[60:]), strict=True)
        np.testing.assert_array_equal(again.rolling(y, 20, exog[:60]), model.rolling(y, 20, exog[:60]), strict=True)
        with pytest.raises(ValueError, match="times: expected steps that follow the last known one, 2020-02-29"):
            again.update(y[:1], exog[:1], times=times[-1:])


# Other libraries


def test_grid_search_with_a_split_in_time(rng):
    from sklearn import model_selection as selection

    exog = rng.normal(size=(150, 1))
    y = 3 * exog[:, 0] + 0.3 * rng.normal(size=150)
    search = selection.GridSearchCV(
        LSTMForecaster(1, 4, networks=1, random_state=0),
        {"epochs": [1, 20], "strategy": ["direct", "recursive"]},
        cv=selection.TimeSeriesSplit(2),
        error_score="raise",
    )
    search.fit(y, exog)
    assert search.best_params_["epochs"] == 20
    assert search.best_score_ > 0.5
    assert search.best_estimator_.count_ == 150


# What scikit-learn's checks want and a forecaster is not: its `predict` takes the future of exogenous inputs, not rows
# like those of `fit`, and the rows of `fit` are one series, whose order counts.
NO_ROWS = "predict says what follows the rows of fit; it takes no rows"
FEW = "10 rows are too few to learn a series from"
EXCLUDED = {
    "check_fit_score_takes_y": "the second argument of fit and score is exog, which GridSearchCV passes on as y",
    "check_estimators_dtypes": NO_ROWS,
    "check_f_contiguous_array_estimator": NO_ROWS,
    "check_estimators_pickle": NO_ROWS,
    "check_methods_sample_order_invariance": NO_ROWS,
    "check_methods_subset_invariance": NO_ROWS,
    "check_dict_unchanged": NO_ROWS,
    "check_dtype_object": NO_ROWS,
    "check_fit_idempotent": NO_ROWS,
    "check_fit2d_predict1d": NO_ROWS,
    "check_n_features_in_after_fitting": NO_ROWS,
    "check_fit2d_1feature": FEW,
    "check_estimators_nan_inf": FEW,
    "check_fit1d": "a series of one channel is one-dimensional",
}


@pytest.mark.filterwarnings("ignore:Estimator LSTMForecaster does not inherit:UserWarning")
def test_scikit_learns_checks():
    from sklearn.utils.estimator_checks import check_estimator

    results = check_estimator(LSTMForecaster(**QUICK), expected_failed_checks=EXCLUDED, on_skip=None, on_fail=None)
    by_status = {
        status: {one["check_name"] for one in results if one["status"] == status} for status in ("failed", "xfail")
    }
    assert by_status == {"failed": set(), "xfail": set(EXCLUDED)}


def test_pandas_series_and_frames():
    import pandas

    y = wandering(80, 2)
    index = pandas.date_range("2020-01-31", periods=80, freq="D", tz="Europe/Berlin")
    frame = pandas.DataFrame(y, index=index, columns=["sales", "heat"])
    plain = LSTMForecaster(2, 4, **QUICK).fit(y[:70])
    model = LSTMForecaster(2, 4, **QUICK).fit(frame[:70])
    np.testing.assert_array_equal(model.predict(), plain.predict(), strict=True)
    assert model.score(frame[70:]) == plain.score(y[70:])
    np.testing.assert_array_equal(model.rolling(frame), plain.rolling(y), strict=True)
    with pytest.raises(ValueError, match="times: expected steps that follow the last known one"):
        model.score(frame[60:])
    with pytest.raises(ValueError, match="times: expected the first timestamp of fit"):
        model.rolling(frame[1:])
    one = LSTMForecaster(2, 4, **QUICK).fit(frame["sales"][:70])
    assert one.predict().shape == (2,)
    months = pandas.Series(y[:, 0], index=pandas.period_range("2000-01", periods=80, freq="M"))
    assert LSTMForecaster(1, 4, **QUICK).fit(months).last_time_ == np.datetime64("2006-08-01")
    nullable = pandas.Series([None, *y[1:, 0]], dtype="Float64")
    with pytest.raises(ValueError, match=re.escape("series: expected values without gaps, or impute=")):
        LSTMForecaster(2, 4, **QUICK).fit(nullable)
    assert LSTMForecaster(2, 4, impute="forward", **QUICK).fit(nullable).predict().shape == (2,)
    with pytest.raises(TypeError, match="series: expected columns of real numbers, got column 'sky' of"):
        LSTMForecaster(2, 4, **QUICK).fit(frame.assign(sky="blue"))
    with pytest.raises(ValueError, match="exog: expected the timestamps of the series, got others"):
        LSTMForecaster(2, 4, **QUICK).fit(frame["sales"], frame["heat"].shift(1, freq="D"))


# Bad input

Y = np.cumsum(np.random.default_rng(7).normal(size=60)) + 20
HOLE = np.where(np.arange(60) == 7, np.nan, Y)
DAYS = np.datetime64("2024-01-01") + np.arange(60)
SWAPPED = DAYS[[0, 1, 3, 2, *range(4, 60)]]
TWICE = DAYS[[0, 1, 1, *range(3, 60)]]
BAD_FITS = {
    "too few rows": ({}, (Y[:13],), ValueError, "series: expected at least 14 rows for horizon=1, got 13 samples"),
    "one row": ({}, (Y[:1],), ValueError, "series: expected at least 14 rows for horizon=1, got 1 sample"),
    "no rows": ({}, (Y[:0],), ValueError, "series: expected at least one row, got none"),
    "two horizons": ({"horizon": 31}, (Y,), ValueError, "series: expected at least 62 rows for horizon=31, got 60"),
    "window": (
        {"window": 51},
        (Y,),
        ValueError,
        "series: expected at least 61 rows for a window of 51 and 1 steps ahead, got 60",
    ),
    "window of the band": (
        {"window": 40, "quantiles": [0.5]},
        (Y,),
        ValueError,
        "series: expected at least 50 rows for a window of 40 and 1 steps ahead in the three quarters that the "
        "quantiles are learnt from, got 45",
    ),
    "constant": (
        {},
        (Y * 0 + 3,),
        ValueError,
        "series: expected values that differ in each channel, got 3.0 everywhere",
    ),
    "constant column": (
        {},
        (np.stack([Y, Y * 0], axis=1),),
        ValueError,
        "series: expected values that differ in each channel, got 0.0 everywhere in channel 1",
    ),
    "all missing": (
        {"impute": "mean"},
        (np.stack([Y, Y * np.nan], axis=1),),
        ValueError,
        "series: expected at least some known values in each channel, got only missing ones in channel 1",
    ),
    "missing": (
        {},
        (HOLE,),
        ValueError,
        "series: expected values without gaps, or impute= one of 'forward', 'mean', 'lin",
    ),
    "infinite": (
        {"impute": "mean"},
        (Y + np.inf,),
        ValueError,
        "series: expected finite values, got inf at [0, 0]",
    ),
    "impute": ({"impute": "zero"}, (Y,), ValueError, "impute: expected one of 'forward', 'mean', 'linear', got 'zero'"),
    "axes": ({}, (Y.reshape(4, 15, 1),), ValueError, "series: expected shape (n,) or (n, C), got shape (4, 15, 1)"),
    "text": ({}, (["a"] * 60,), TypeError, "series: expected numbers, got dtype <U1"),
    "strategy": ({"strategy": "both"}, (Y,), ValueError, "strategy: expected one of 'recursive', 'direct', got 'both'"),
    "quantiles": ({"quantiles": [0.5, 1]}, (Y,), ValueError, "quantiles: expected one or more numbers between 0 and 1"),
    "horizon": ({"horizon": 0}, (Y,), ValueError, "horizon: expected an int of at least 1, got 0"),
    "season": ({"season": 40}, (Y,), ValueError, "season: expected at most 30, half of the 60 rows, got 40"),
    "log": ({"log": True}, (Y - 20,), ValueError, "series: expected values above 0 for log=True"),
    "epochs": ({"epochs": 0}, (Y,), ValueError, "epochs: expected an int of at least 1, got 0"),
    "seed": ({"random_state": -1}, (Y,), ValueError, "random_state: expected a seed of at least 0, got -1"),
    "exog rows": ({}, (Y, Y[:5]), ValueError, "exog: expected 60 rows, one for each step, got 5"),
    "exog gaps": ({"impute": "mean"}, (Y, HOLE), ValueError, "exog: expected finite values, got nan at [7, 0]"),
    "unsorted": (
        {},
        (Y, None, SWAPPED),
        ValueError,
        "times: expected timestamps in order, got 2024-01-03 behind 2024-01-04",
    ),
    "duplicate": (
        {},
        (Y, None, TWICE),
        ValueError,
        "times: expected each timestamp once, got 2024-01-02 twice, at [1] and [2]",
    ),
    "no time": ({}, (Y, None, np.append(DAYS[1:], np.datetime64("NaT"))), ValueError, "got NaT at [59]"),
    "times of numbers": (
        {},
        (Y, None, np.arange(60)),
        TypeError,
        "times: expected an array of datetime64, got dtype int64",
    ),
    "times too few": (
        {},
        (Y, None, DAYS[1:]),
        ValueError,
        "times: expected shape (60,), one for each row, got shape (59,)",
    ),
}


@pytest.mark.parametrize("case", BAD_FITS)
def test_bad_input_is_named(case):
    options, (series, *more), error, message = BAD_FITS[case]
    exog, times = (*more, None, None)[:2]
    model = LSTMForecaster(**(QUICK | options))
    with pytest.raises(error, match=re.escape(message)):
        model.fit(series, exog, times=times)
    assert not [name for name in vars(model) if name.endswith("_")]


def test_an_unfitted_forecaster_says_so():
    for call in ("predict", "predict_quantiles"):
        with pytest.raises((NotFittedError, ValueError), match="this LSTMForecaster has learnt nothing yet"):
            getattr(LSTMForecaster(), call)()
    for call in ("rolling", "rolling_quantiles", "score", "update"):
        with pytest.raises((NotFittedError, ValueError), match="this LSTMForecaster has learnt nothing yet"):
            getattr(LSTMForecaster(), call)(Y)


BAD_CALLS = {
    "channels": (
        lambda model: model.score(np.ones((9, 3)), np.ones(9)),
        "series: expected shape (n, 2) as in fit, got shape (n, 3)",
    ),
    "axis": (
        lambda model: model.update(np.ones(9), np.ones(9)),
        "series: expected shape (n, 2) as in fit, got shape (n,)",
    ),
    "no exog": (lambda model: model.predict(), "exog: expected shape (2, 1), columns as in fit, got (2, 0)"),
    "exog rows": (lambda model: model.predict(np.ones(3)), "exog: expected 2 rows, one for each step, got 3"),
    "exog columns": (
        lambda model: model.update(np.ones((3, 2)), np.ones((3, 2))),
        "exog: expected 1 columns as in fit, got 2",
    ),
    "short": (
        lambda model: model.score(np.ones((1, 2)), [1.0]),
        "series: expected at least 2 rows for horizon=2, got 1",
    ),
    "start": (
        lambda model: model.rolling(np.ones((90, 2)), 4, np.ones(90)),
        "start: expected at least window + 1 = 5, got 4",
    ),
    "end": (
        lambda model: model.rolling(np.ones((61, 2)), None, np.ones(61)),
        "series: expected at least 62 rows for start=60",
    ),
    "all missing": (
        lambda model: setattr(model, "impute_", "mean") or model.score([[np.nan, 1], [np.nan, 2]], [1.0, 1]),
        "series: expected at least some known values in each channel, got only missing ones in channel 0",
    ),
    "gaps": (lambda model: model.update(np.full((1, 2), np.nan), [1.0]), "series: expected values without gaps"),
    "log": (
        lambda model: model.update([[1.0, 2], [0, 1]], [1.0, 1]),
        "series: expected values above 0, as all of fit were: it takes logarithms, got 0.0 at [1, 0]",
    ),
    "quantiles": (
        lambda model: model.predict_quantiles([1.0, 1]),
        "quantiles: expected some, given before fit, got None",
    ),
}


@pytest.mark.parametrize("case", BAD_CALLS)
def test_what_does_not_fit_later_is_named_and_changes_nothing(case):
    call, message = BAD_CALLS[case]
    model = LSTMForecaster(2, 4, log=True, **QUICK).fit(np.abs(wandering(60, 2)) + 0.1, np.arange(60.0))
    before = model.predict([1.0, 2.0])
    with pytest.raises(ValueError, match=re.escape(message)):
        call(model)
    np.testing.assert_array_equal(model.predict([1.0, 2.0]), before, strict=True)
