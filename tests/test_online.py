"""Online learning: what each event costs, what is carried on, what is learnt, and what is refused."""

import copy
import math
import pickle

import numpy as np
import pytest

import clstm
from clstm.online import OnlineAnomalyDetector, OnlineForecaster
from clstm.online.running import LIMIT, Errors, Moments, Size
from clstm.online.values import Form

SMALL = {"hidden_size": 4, "bptt": 8, "rng": 0}


def wave(n, period=12):
    return np.sin(2 * np.pi * np.arange(n) / period)


def learnt(model, values, exogs=None):
    """The model, having learnt these."""
    for t, value in enumerate(values):
        model.learn_one(value, *(() if exogs is None else (exogs[t],)))
    return model


# Running numbers


@pytest.mark.parametrize("half_life", [None, 5.0])
def test_moments_are_those_of_all_values_by_their_weights(half_life, rng):
    keep = 1.0 if half_life is None else 0.5 ** (1 / half_life)
    values, known = 1e6 + rng.normal(size=(50, 3)), rng.uniform(size=(50, 3)) < 0.7
    moments, size = Moments(3, keep), Size(3, keep)
    for row, flags in zip(values, known, strict=True):
        moments.update(np.where(flags, row, np.nan), flags)
        size.update(np.where(flags, row, np.nan), flags)
    for k in range(3):
        seen = values[known[:, k], k]
        weight = keep ** np.arange(len(seen))[::-1]
        mean = np.average(seen, weights=weight)
        assert moments.mean[k] == pytest.approx(mean, rel=1e-13)
        deviation = np.sqrt(np.average((seen - mean) ** 2, weights=weight))
        assert moments.deviation[k] == pytest.approx(deviation, rel=1e-8)
        assert size.deviation[k] == pytest.approx(np.sqrt(np.average(seen**2, weights=weight)), rel=1e-12)
    assert (Moments(2, 1.0).deviation == 1).all()


def test_the_deviation_of_errors(rng):
    errors, all_known = Errors(1, 1.0), np.array([True])
    for value in np.abs(rng.normal(scale=3.0, size=3000)):
        errors.update(np.array([value]), all_known)
    before = errors.deviation[0]
    assert before == pytest.approx(3.0, rel=0.05)
    errors.update(np.array([1e9]), all_known)
    assert errors.deviation[0] <= before * (1 + LIMIT * np.sqrt(np.pi / 2) / 3000)
    errors.update(np.array([np.nan]), np.array([False]))
    assert errors.weight[0] == 3001


# The cost of an event


class Meter:
    """Counts the steps of sequences that a network runs, and runs back."""

    def __init__(self, net):
        self.forward, self.infer, self.back = net.forward, net.infer, net.backward
        net.forward, net.infer, net.backward = self.count_forward, self.count_infer, self.count_back
        self.start()

    def start(self):
        self.steps = self.steps_back = 0

    def count_forward(self, x, *rest):
        self.steps += x.shape[1]
        return self.forward(x, *rest)

    def count_infer(self, x, *rest):
        self.steps += x.shape[1]
        return self.infer(x, *rest)

    def count_back(self, tape, dy, *rest):
        self.steps_back += dy.shape[1]
        return self.back(tape, dy, *rest)


@pytest.mark.parametrize("every", [1, 3])
def test_the_cost_of_an_event_does_not_grow_with_the_stream(every, rng):
    model = learnt(OnlineForecaster(every=every, **SMALL), rng.normal(size=40))
    meter = Meter(model._learner.net)

    def costs():
        found = []
        for _ in range(3 * every):
            meter.start()
            model.learn_one(rng.normal())
            found.append((meter.steps, meter.steps_back))
        return found

    early = costs()
    learnt(model, rng.normal(size=300))
    late = costs()
    assert sorted(early) == sorted(late)
    # A step of the state before the window; with a step of the optimiser the window forward and back, otherwise one
    assert set(early) == ({(1 + 8, 8)} if every == 1 else {(1 + 8, 8), (2, 0)})
    assert sum(back > 0 for _, back in early) == 3
    for horizon in (1, 5):
        meter.start()
        model.forecast(horizon)
        assert (meter.steps, meter.steps_back) == (horizon, 0)
    meter.start()
    model.predict_one()
    assert meter.steps == 1


def test_nothing_kept_grows(rng):
    model = learnt(OnlineForecaster(**SMALL), rng.normal(size=50))
    before = len(pickle.dumps(model))
    learnt(model, rng.normal(size=500))
    assert abs(len(pickle.dumps(model)) - before) <= 16  # numbers that are written with more digits


# The gradient and the state


def test_the_state_is_carried_on(rng):
    """With weights that stay, what is foretold is what the network gives of the whole history."""
    model = OnlineForecaster(hidden_size=4, bptt=5, every=10**6, warm_up=1, rng=0)
    values = rng.normal(size=40)
    seen = []
    model._input_of = model._input
    model._input = lambda *given: seen.append(model._input_of(*given)) or seen[-1]
    learnt(model, values)
    model._learner.net.layers[1].flat_parameters = rng.normal(size=5)
    inputs = np.array(seen)
    foretold = model.predict_one()
    whole = model._learner.net(np.concatenate([inputs, [seen[-1]]])[None])[0, -1, 0]
    assert foretold == values[-1] + np.float64(whole) * model._changes.deviation[0]


def test_the_gradient_goes_back_over_the_last_events(rng):
    """A step of the optimiser is that of the window, by a trainer, from the state before it."""
    model = learnt(OnlineForecaster(clip_norm=None, **SMALL), rng.normal(size=60))
    learner = model._learner
    twin = copy.deepcopy(learner)
    x, target = rng.normal(size=2).astype(np.float32), np.float32(rng.normal())
    learner.learn(x, target)
    inputs = np.concatenate([twin.inputs, [x]])
    targets = np.concatenate([twin.targets, [[target]]])
    before = twin.net.infer(inputs[None, :1], twin.before)[1]
    y, state, tape = twin.net.forward(inputs[None, 1:], before)
    dy = clstm.losses.Huber().compute(y, targets[None, 1:]).gradient
    flat, grads = twin.net.zeros_like_parameters()
    twin.net.backward(tape, dy, None, grads)
    twin.optimizer.update(twin.net.flat_parameters, flat, twin.optimizer_state)
    np.testing.assert_array_equal(twin.net.flat_parameters, learner.net.flat_parameters)
    for ours, theirs in zip(learner.state[0], state[0], strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert np.abs(flat).max() > 0


def test_what_is_missing_has_no_error(rng):
    model = learnt(OnlineForecaster(impute="forward", weight_decay=0.0, **SMALL), rng.normal(size=(30, 2)))
    learner = model._learner
    learner.targets[:] = np.nan
    learner.learn(np.zeros(4, np.float32), np.array([np.nan, 1.0]))
    bias = learner.gradients["1.bias"]
    assert bias[0] == 0
    assert bias[1] != 0


# Learning


def test_a_new_forecaster_repeats_the_last_value(rng):
    model = OnlineForecaster(**SMALL)
    assert math.isnan(model.predict_one())
    for value in rng.normal(size=16):
        model.learn_one(value)
        assert model.predict_one() == value
        assert model.forecast(3) == [value] * 3
    assert model._learner.events == 0
    model.learn_one(0.5)
    assert model._learner.events == 1
    assert model.predict_one() != 0.5


def test_it_learns_a_wave_and_foretells_it_steps_ahead():
    model = learnt(OnlineForecaster(learning_rate=1e-2, rng=0), wave(1000))
    expected = wave(1012)[1000:]
    np.testing.assert_allclose(model.forecast(12), expected, atol=0.25)
    assert model.events == 1000


def test_after_a_change_it_learns_anew():
    model, errors = OnlineForecaster(learning_rate=1e-2, half_life=200, rng=0), []
    for value in np.concatenate([wave(500), 5 + 3 * wave(700, period=9)]):
        errors.append(abs(model.predict_one() - value))
        model.learn_one(value)
    before, at, after = np.mean(errors[400:500]), np.mean(errors[500:530]), np.mean(errors[-100:])
    assert at > 5 * before
    assert after < at / 3


def test_what_is_known_of_the_next_event_is_used(rng):
    flags = rng.integers(0, 2, size=600).astype(float)
    model = OnlineForecaster(hidden_size=8, bptt=8, learning_rate=1e-2, rng=0)
    errors = []
    for flag in flags:
        errors.append(abs(model.predict_one(flag) - 3 * flag))
        model.learn_one(3 * flag, flag)
    assert np.mean(errors[-100:]) < 0.3
    assert len(model.forecast(2, [0.0, 1.0])) == 2
    near, far = model.forecast(2, [1.0, 0.0])
    assert near > far + 1.5


# Forms


def test_numbers_dicts_and_arrays_are_the_same(rng):
    values = rng.normal(size=(60, 2))
    as_dict = learnt(OnlineForecaster(**SMALL), [{"a": a, "b": b} for a, b in values])
    as_array = learnt(OnlineForecaster(**SMALL), values)
    found = as_dict.predict_one()
    assert list(found) == ["a", "b"]
    assert all(type(value) is float for value in found.values())
    np.testing.assert_array_equal(as_array.predict_one(), list(found.values()), strict=True)
    as_dict.learn_one({"b": 1.0, "a": 2.0})
    as_array.learn_one([2.0, 1.0])
    np.testing.assert_array_equal(as_array.predict_one(), list(as_dict.predict_one().values()))
    single, one = (learnt(OnlineForecaster(**SMALL), v) for v in (values[:, 0], values[:, :1]))
    assert type(single.predict_one()) is float
    assert single.predict_one() == one.predict_one()[0]
    assert learnt(OnlineForecaster(**SMALL), [np.float32(1), 2, np.array(3.0)]).predict_one() == 3.0


def test_forms():
    assert Form.of("y", {"a": 1, "b": None}) == Form("dict", 2, ("a", "b"))
    assert Form.of("y", np.int64(3)) == Form.of("y", None) == Form("number", 1)
    assert Form.of("y", [1, 2, 3]) == Form("array", 3)


# Missing values


@pytest.mark.parametrize("impute", ["forward", "mean", "forecast"])
def test_missing_values_stand_for_themselves(impute, rng):
    model = learnt(OnlineForecaster(impute=impute, **SMALL), rng.normal(size=(40, 2)))
    expected = {
        "forward": model._last[1],
        "mean": model._moments.mean[1],
        "forecast": model.predict_one()[1],
    }
    weight = model._moments.weight.copy()
    model.learn_one([1.0, np.nan])
    assert model._last.tolist() == [1.0, expected[impute]]
    assert (model._moments.weight - weight).tolist() == [1.0, 0.0]
    assert np.isfinite(model.predict_one()).all()


@pytest.mark.parametrize("impute", ["forward", "mean", "forecast"])
def test_a_channel_may_be_missing_from_the_start(impute, rng):
    model = OnlineForecaster(impute=impute, **SMALL)
    for t, value in enumerate(rng.normal(size=60)):
        model.learn_one({"a": value} if 0 < t < 30 else {"a": value, "b": None if t < 30 else value})
        assert model._moments.weight.tolist() == [t + 1, max(0, t - 29)]
        assert model._changes.weight.tolist() == [t, max(0, t - 30)]
        assert math.isfinite(model.predict_one()["a"])
        assert math.isnan(model.predict_one()["b"]) == (t < 30)


def test_an_event_of_which_nothing_is_known(rng):
    model = learnt(OnlineAnomalyDetector(impute="forward", grace=20, **SMALL), rng.normal(size=40))
    assert model.score_one(None) == 0.0
    model.learn_one(None)
    assert model.score_one(100.0) > 10


# Anomalies


def test_scores_are_errors_in_running_deviations(rng):
    model = learnt(OnlineAnomalyDetector(grace=20, **SMALL), rng.normal(size=(60, 2)))
    x = rng.normal(size=2)
    error = np.abs(x - model.forecaster.predict_one()) / model._errors.deviation
    assert model.score_one(x) == pytest.approx(np.sqrt((error**2).mean()), rel=1e-12)
    before = model._errors.mean.copy()
    model.score_one(x)
    np.testing.assert_array_equal(model._errors.mean, before)
    model.learn_one(x)
    assert (model._errors.mean != before).all()
    assert model.events == 61


def test_it_finds_what_is_unusual(rng):
    stream = wave(700) + 0.05 * rng.standard_normal(700)
    stream[[450, 600]] += 2
    model, found = OnlineAnomalyDetector(learning_rate=1e-2, rng=0), []
    for t, value in enumerate(stream):
        if model.predict_one(value):
            found.append(t)
        model.learn_one(value)
    assert {450, 600} <= set(found)
    # What follows an anomaly is foretold from it, and may be one too
    assert all(any(0 <= t - at <= 10 for at in (450, 600)) for t in found)


def test_within_the_grace_nothing_is_an_anomaly(rng):
    model = OnlineAnomalyDetector(grace=30, warm_up=5, **SMALL)
    for t in range(40):
        score = model.score_one(1e6)
        assert (score == 0) == (t < 30)
        model.learn_one(rng.normal())
    assert not OnlineAnomalyDetector(grace=0).predict_one(5.0)


def test_what_is_known_besides_an_event(rng):
    flags = rng.integers(0, 2, size=600).astype(float)
    model = OnlineAnomalyDetector(hidden_size=8, bptt=8, learning_rate=1e-2, rng=0)
    for flag in flags:
        model.learn_one({"load": 3 * flag + 0.05 * rng.normal()}, {"on": flag})
    assert model.score_one({"load": 3.0}, {"on": 1.0}) < 6 < model.score_one({"load": 3.0}, {"on": 0.0})


# Copies and files


def as_pickle(model, path):
    return pickle.loads(pickle.dumps(model))


def as_file(model, path):
    model.save(path / "model.safetensors")
    return type(model).load(path / "model.safetensors")


def as_copy(model, path):
    return copy.deepcopy(model)


@pytest.mark.parametrize("copied", [as_pickle, as_file, as_copy])
@pytest.mark.parametrize("at", [1, 10, 20, 50], ids="after {} events".format)
@pytest.mark.parametrize("every", [1, 4])
def test_a_copy_goes_on_to_the_same_bits(copied, at, every, rng, tmp_path):
    values, hours = rng.normal(size=(100, 2)), rng.normal(size=100)
    values[::17, 1] = np.nan
    model = OnlineForecaster(num_layers=2, every=every, half_life=50, impute="forecast", **SMALL)
    learnt(model, values[:at], hours)
    again = copied(model, tmp_path)
    learnt(model, values[at:], hours[at:])
    learnt(again, values[at:], hours[at:])
    np.testing.assert_array_equal(again._learner.net.flat_parameters, model._learner.net.flat_parameters)
    np.testing.assert_array_equal(again.forecast(5, [0.0] * 5), model.forecast(5, [0.0] * 5))
    assert again.events == model.events == 100
    whole = OnlineForecaster(num_layers=2, every=every, half_life=50, impute="forecast", **SMALL)
    np.testing.assert_array_equal(learnt(whole, values, hours).predict_one(0.0), model.predict_one(0.0))


def test_copies_of_a_detector_go_on_to_the_same_bits(rng, tmp_path):
    events = [{"a": a, "b": b} for a, b in rng.normal(size=(1000, 2))]
    model = learnt(OnlineAnomalyDetector(grace=20, threshold=3, **SMALL), events[:500])
    copies = [copied(model, tmp_path) for copied in (as_pickle, as_file)]
    learnt(model, events[500:])
    for again in copies:
        learnt(again, events[500:])
        assert again.score_one(events[0]) == model.score_one(events[0]) > 0
        assert (again.threshold, again.grace) == (3.0, 20)
        assert repr(again) == repr(model)


def test_a_copy_before_the_first_event_draws_the_same_weights(rng):
    model = OnlineForecaster(**SMALL)
    again = pickle.loads(pickle.dumps(model))
    values = rng.normal(size=30)
    assert learnt(again, values).predict_one() == learnt(model, values).predict_one()


def test_any_number_of_threads(rng):
    values = rng.normal(size=60)
    first = learnt(OnlineForecaster(**SMALL), values).predict_one()
    clstm.set_num_threads(2)
    assert learnt(OnlineForecaster(**SMALL), values).predict_one() == first


def test_files_that_do_not_fit(tmp_path, rng):
    path = tmp_path / "model.safetensors"
    for model in (OnlineForecaster(), OnlineAnomalyDetector()):
        with pytest.raises(ValueError, match="expected a model that has learnt an event"):
            model.save(path)
    assert not path.exists()
    learnt(OnlineForecaster(**SMALL), rng.normal(size=20)).save(path)
    with pytest.raises(
        ValueError, match=r"no OnlineAnomalyDetector can be made of it: .*it holds a 'OnlineForecaster'"
    ):
        OnlineAnomalyDetector.load(path)
    clstm.Trainer(clstm.LSTM(1, 2, rng=0)).save(path)
    with pytest.raises(ValueError, match=r"model\.safetensors: no OnlineForecaster can be made of it"):
        OnlineForecaster.load(path)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ValueError, match=r"model\.safetensors"):
        OnlineForecaster.load(path)
    with pytest.raises(OSError, match="nowhere"):
        OnlineForecaster.load(tmp_path / "nowhere")


# Bad input


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"hidden_size": 0}, ValueError, "hidden_size: expected an int of at least 1, got 0"),
        ({"num_layers": 1.5}, TypeError, "num_layers: "),
        ({"bptt": 0}, ValueError, "bptt: "),
        ({"every": 0}, ValueError, "every: "),
        ({"warm_up": 0}, ValueError, "warm_up: "),
        ({"learning_rate": 0.0}, ValueError, "learning_rate: expected a number above 0, at most 1, got 0.0"),
        ({"learning_rate": 2}, ValueError, "learning_rate: "),
        ({"learning_rate": "fast"}, TypeError, "learning_rate: "),
        ({"weight_decay": -1.0}, ValueError, "weight_decay: "),
        ({"clip_norm": 0.0}, ValueError, "clip_norm: "),
        ({"half_life": 0.0}, ValueError, "half_life: expected a positive number or None, got 0.0"),
        ({"impute": "linear"}, ValueError, "impute: expected one of 'forward', 'mean', 'forecast', got 'linear'"),
        ({"rng": -1}, ValueError, "rng: "),
        ({"rng": "a"}, TypeError, "rng: "),
        ({"threshold": 0}, ValueError, "threshold: expected a finite number above 0, got 0"),
        ({"threshold": None}, TypeError, "threshold: "),
        ({"grace": -1}, ValueError, "grace: "),
    ],
    ids=str,
)
def test_parameters_that_do_not_fit(options, error, message):
    kind = OnlineAnomalyDetector if options.keys() & {"threshold", "grace"} else OnlineForecaster
    with pytest.raises(error, match=f"^{message}"):
        kind(**options)
    with pytest.raises(error, match=f"^{message}"):
        OnlineAnomalyDetector(**options)


@pytest.mark.parametrize(
    ("first", "then", "error", "message"),
    [
        (1.0, [1.0], TypeError, "y: expected a number, as the first event was, got list"),
        (1.0, {"a": 1.0}, TypeError, "y: expected a number"),
        (1.0, "2", TypeError, "y: expected a number, got '2'"),
        (1.0, True, TypeError, "y: expected a number, got True"),
        (1.0, math.nan, ValueError, "y: expected finite values below 1e100, got nan; impute= says what to do"),
        (1.0, None, ValueError, "y: .* got nan; impute="),
        (1.0, math.inf, ValueError, "y: expected finite values below 1e100, got inf"),
        (1.0, 1e200, ValueError, r"y: .* got 1e\+200"),
        ({"a": 1.0}, 1.0, TypeError, "y: expected a dict, as the first event had, got float"),
        ({"a": 1.0}, {"a": 1.0, "b": 2.0}, ValueError, "y: expected the names 'a', got b"),
        ({"a": 1.0, "b": 2.0}, {"a": 1.0}, ValueError, "y: expected finite .* got nan in 'b'; impute="),
        ({"a": 1.0}, {"a": "x"}, TypeError, r"y\['a'\]: expected a number, got 'x'"),
        ([1.0, 2.0], [1.0], ValueError, r"y: expected shape \(2,\), as first, got shape \(1,\)"),
        ([1.0, 2.0], [1.0, np.nan], ValueError, r"y: expected finite .* got nan at \[1\]"),
        ([1.0, 2.0], ["a", "b"], TypeError, "y: expected a number, a dict of numbers, or an array"),
    ],
    ids=lambda value: str(value)[:24],
)
def test_events_that_do_not_fit_change_nothing(first, then, error, message):
    model = learnt(OnlineForecaster(warm_up=1, **SMALL), [first] * 5)
    before = pickle.dumps(model)
    with pytest.raises(error, match=f"^{message}"):
        model.learn_one(then)
    assert pickle.dumps(model) == before


@pytest.mark.parametrize(
    ("first", "error", "message"),
    [
        ({}, TypeError, "y: expected a dict with at least one name"),
        ({1: 2.0}, TypeError, "y: expected a dict with at least one name, all of them str"),
        ([], ValueError, "y: .* got shape"),
        ([[1.0]], ValueError, r"y: .* got shape \(1, 1\)"),
        (["a"], TypeError, "y: .* got list of"),
        ("a", TypeError, "y: expected a number"),
        (1j, TypeError, "y: expected a number"),
    ],
    ids=str,
)
def test_first_events_that_do_not_fit(first, error, message):
    model = OnlineForecaster()
    with pytest.raises(error, match=f"^{message}"):
        model.learn_one(first)
    assert model.events == 0
    model.learn_one(1.0)


def test_what_is_known_of_events_is_there_always_or_never():
    model = learnt(OnlineForecaster(**SMALL), [1.0, 2.0], [{"hour": 1.0}, {"hour": 2.0}])
    for call in (model.predict_one, lambda: model.learn_one(1.0), lambda: model.forecast(2)):
        with pytest.raises(ValueError, match=r"^x: expected a value, as before, got None"):
            call()
    with pytest.raises(ValueError, match=r"^x: expected finite values below 1e100, got nan in 'hour'"):
        model.predict_one({})
    with pytest.raises(ValueError, match=r"^xs: expected a list of 2, one for each step, got list"):
        model.forecast(2, [{"hour": 1.0}])
    with pytest.raises(ValueError, match=r"^horizon: expected an int of at least 1, got 0"):
        model.forecast(0)
    with pytest.raises(ValueError, match=r"^x: expected None, as before, got 1.0"):
        learnt(OnlineForecaster(**SMALL), [1.0]).predict_one(1.0)
