"""LSTMAnomalyDetector: the layer between its halves, the errors of windows, what it finds, and what it refuses."""

import pickle
import warnings

import numpy as np
import pytest

import clstm
from clstm.estimators import LSTMAnomalyDetector, NotFittedError, load
from clstm.estimators.anomaly import NORMAL, intervals, robust_deviation
from clstm.estimators.watching import Task, blocks, cut, errors, root_mean_square, rows, trailing_mean
from clstm.repeat import RepeatLast

QUICK = {"epochs": 4, "hidden_size": 8, "window": 8, "random_state": 0}
METHODS = ["forecast", "autoencoder"]


@pytest.fixture
def wave(rng):
    """A wave that stands still for a while."""
    series = np.sin(np.arange(400) / 3) + 0.03 * rng.standard_normal(400)
    series[300:312] = 0.7
    return series


# RepeatLast


def repeated(x, lengths, bidirectional):
    """The slow twin."""
    N, T, F = x.shape
    y = np.zeros_like(x)
    for n in range(N):
        last = T if lengths is None else lengths[n]
        for t in range(last):
            for k in range(F):
                y[n, t, k] = x[n, 0 if bidirectional and k >= F // 2 else last - 1, k]
    return y


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("lengths", [None, [5, 1, 0, 3]])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_last_step_is_at_each_step(lengths, bidirectional, dtype, rng):
    x = rng.normal(size=(4, 5, 6)).astype(dtype)
    layer = RepeatLast(bidirectional=bidirectional)
    y = layer(x, lengths=lengths)
    np.testing.assert_array_equal(y, repeated(x, lengths, bidirectional), strict=True)


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("lengths", [None, [5, 1, 0, 3]])
def test_its_backward_is_the_adjoint_of_its_forward(lengths, bidirectional, rng):
    """The layer is linear: <dy, y(v)> = <dx(dy), v> for all v and dy is all there is to its gradient."""
    layer = RepeatLast(bidirectional=bidirectional)
    for _ in range(10):
        v, dy = rng.normal(size=(2, 4, 5, 6))
        y, _, tape = layer.forward(v, lengths=lengths)
        dx = layer.backward(tape, dy)[0]
        assert abs((dy * y).sum() - (dx * v).sum()) < 1e-12
        invalid = np.zeros((4, 5), bool) if lengths is None else np.arange(5) >= np.array(lengths)[:, None]
        assert not dx[invalid].any()


@pytest.mark.parametrize("bidirectional", [False, True])
def test_gradients_of_an_autoencoder_are_those_of_its_layers(bidirectional, rng):
    H, N, T = 3, 4, 6
    encoder = clstm.LSTM(2, H, bidirectional=bidirectional, dtype="float64", rng=0)
    decoder = clstm.LSTM(H * (1 + bidirectional), H, dtype="float64", rng=1)
    dense = clstm.Dense(H, 2, dtype="float64", rng=2)
    x, dy = rng.normal(size=(2, N, T, 2))
    # By hand, through layers whose gradients other tests prove
    h, _, tapes = (*encoder.forward(x),)
    ends = h[:, -1].copy()
    if bidirectional:
        ends[:, H:] = h[:, 0, H:]
    z, _, tape_z = decoder.forward(np.repeat(ends[:, None], T, axis=1))
    y, _, tape_y = dense.forward(z)
    dz, _, dense_grads = dense.backward(tape_y, dy)
    drepeated, _, decoder_grads = decoder.backward(tape_z, dz)
    dh = np.zeros_like(h)
    dh[:, -1, :H] = drepeated.sum(axis=1)[:, :H]
    dh[:, 0 if bidirectional else -1, H:] += drepeated.sum(axis=1)[:, H:]
    dx, _, encoder_grads = encoder.backward(tapes, dh)
    # In one
    net = clstm.Network([encoder, RepeatLast(bidirectional=bidirectional), decoder, dense])
    found, _, tape = net.forward(x)
    np.testing.assert_allclose(found, y, rtol=0, atol=1e-14)
    found_dx, _, grads = net.backward(tape, dy)
    np.testing.assert_allclose(found_dx, dx, rtol=0, atol=1e-12)
    expected = {0: encoder_grads, 2: decoder_grads, 3: dense_grads}
    for name, gradient in grads.items():
        k, _, own = name.partition(".")
        np.testing.assert_allclose(gradient, expected[int(k)][own], rtol=0, atol=1e-12, err_msg=name)


def test_gradients_of_an_autoencoder_are_those_of_differences(rng):
    layers = [clstm.LSTM(2, 3, dtype="float64", rng=0), RepeatLast(), clstm.LSTM(3, 2, dtype="float64", rng=1)]
    net = clstm.Network(layers)
    x, dy = rng.normal(size=(2, 3, 5, 2))
    _, _, tape = net.forward(x)
    grads = net.zeros_like_parameters()
    net.backward(tape, dy, None, grads[1])
    direction = rng.normal(size=net.flat_parameters.shape)
    start, h = net.flat_parameters.copy(), 1e-3
    # Central differences of order 8, whose error is h^8: below the rounding of float64 at this h
    total = 0.0
    for k, weight in zip((1, 2, 3, 4), (4 / 5, -1 / 5, 4 / 105, -1 / 280), strict=True):
        for sign in (1, -1):
            net.flat_parameters = start + sign * k * h * direction
            total += sign * weight * (net(x) * dy).sum() / h
    assert abs(total - grads[0] @ direction) < 1e-10


def test_repeat_last_in_networks(tmp_path, rng):
    net = clstm.Network([clstm.LSTM(2, 4, rng=0), RepeatLast(), clstm.Dense(4, 2, rng=0)])
    net.save(tmp_path / "net.safetensors")
    x = rng.normal(size=(3, 5, 2))
    again = clstm.load(tmp_path / "net.safetensors")
    np.testing.assert_array_equal(again(x), net(x))
    parts = [x[0, :4].astype(np.float32), x[1].astype(np.float32)]
    for part, y in zip(parts, net(parts), strict=True):
        np.testing.assert_allclose(y, net(part[None])[0], rtol=0, atol=1e-6)
    with pytest.raises(ValueError, match="looks at several steps at once"):
        clstm.Trainer(net, bptt=2)


# Errors of windows


@pytest.mark.parametrize("task", [Task(3, 3, 2), Task(3, 3, 1), Task(4, 0, 4), Task(1, 1, 3)], ids=str)
@pytest.mark.parametrize("N", [1, 3])
def test_errors_are_means_over_all_windows_that_give_a_step(task, N, rng, monkeypatch):
    monkeypatch.setattr("clstm.estimators.watching.BLOCK", 4)
    T, C = 9, 2
    x, z = rng.normal(size=(N, T, 3)).astype(np.float32), rng.normal(size=(N, T, C)).astype(np.float32)
    z[0, 6, 1] = np.nan
    if task.start:
        layers = [clstm.LSTM(3, 4, rng=0), clstm.Pool("last"), clstm.Dense(4, task.length * C, rng=0)]
    else:
        layers = [clstm.LSTM(3, C, rng=0)]
    net = clstm.Network(layers)
    found = [[[[] for _ in range(C)] for _ in range(T)] for _ in range(N)]
    for n in range(N):
        for k in range(T - task.reach + 1):
            given = net(x[n : n + 1, k : k + task.window]).reshape(task.length, C)
            for j in range(task.length):
                t = k + task.start + j
                for c in range(C):
                    found[n][t][c].append(abs(given[j, c] - z[n, t, c]))
    expected = [[[np.mean(e) if e else np.nan for e in step] for step in series] for series in found]
    np.testing.assert_allclose(errors(net, task, x, z), expected, rtol=1e-5)


def test_windows_of_one_series_are_no_copies(rng):
    x = rng.normal(size=(1, 50, 3)).astype(np.float32)
    windows = rows(cut(x, 7))
    assert windows.shape == (44, 7, 3)
    assert np.shares_memory(windows, x)
    np.testing.assert_array_equal(windows[5], x[0, 5:12])


@pytest.mark.parametrize(("N", "K"), [(1, 5), (1, 5000), (3, 5000), (500, 30)])
def test_blocks_cover_each_window_once(N, K):
    seen = np.zeros((N, K), int)
    for series, windows in blocks(N, K):
        seen[series, windows] += 1
        assert seen[series, windows].size <= max(2048, K)
    assert (seen == 1).all()


def test_means_leave_out_what_is_not_known():
    x = np.array([[1.0, np.nan, 3.0, 5.0], [np.nan, np.nan, 2.0, 4.0]])
    np.testing.assert_allclose(trailing_mean(x, 2), [[1, np.nan, 3, 4], [np.nan, np.nan, 2, 3]])
    np.testing.assert_allclose(trailing_mean(x, 9), [[1, np.nan, 2, 3], [np.nan, np.nan, 2, 3]])
    values = np.array([[3.0, 4.0], [np.nan, 2.0], [np.nan, np.nan]])
    np.testing.assert_allclose(root_mean_square(values), [np.sqrt(12.5), 2.0, np.nan])


def test_the_robust_deviation(rng):
    normal = np.abs(rng.normal(scale=3.0, size=(1, 20000, 1)))
    assert robust_deviation(normal)[0] == pytest.approx(3.0, rel=0.03)
    sparse = np.zeros((1, 10, 2))
    sparse[0, 0, 0] = 5.0
    np.testing.assert_allclose(robust_deviation(sparse), NORMAL * np.array([0.5, 1.0]))


# What is found


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("smooth", [1, None])
def test_it_finds_what_is_unusual(method, smooth, wave):
    detector = LSTMAnomalyDetector(method, smooth=smooth, contamination=0.03, **(QUICK | {"epochs": 30}))
    alarms = detector.fit_predict(wave)
    assert alarms.dtype.kind == "i"
    assert set(alarms) == {-1, 1}
    events = intervals(alarms == -1, gap=8)
    assert ((events[:, 0] < 325) & (events[:, 1] >= 298)).any()
    assert (alarms[:290] == 1).mean() > 0.97
    score = detector.score_samples(wave)
    assert 292 < score.argmin() < 325


def test_scores_and_threshold_are_what_they_say(wave):
    detector = LSTMAnomalyDetector(smooth=2, contamination=0.05, horizon=3, **QUICK).fit(wave)
    score = detector.score_samples(wave)
    assert detector.threshold_ == -detector.offset_ == pytest.approx(np.quantile(-score, 0.95))
    assert (detector.predict(wave) == -1).sum() == pytest.approx(0.05 * 400, abs=1)
    np.testing.assert_array_equal(detector.decision_function(wave), score - detector.offset_)
    np.testing.assert_array_equal(detector.predict(wave) == -1, detector.decision_function(wave) < 0)
    np.testing.assert_array_equal(score[:8], -detector.typical_)
    # By hand
    scaler = detector.scaler_
    z = ((wave - scaler.mean) / scaler.deviation).astype(np.float32)[None, :, None]
    error = errors(detector.net_, Task(8, 8, 3), z, z)
    np.testing.assert_allclose(detector.scale_, NORMAL * np.nanmedian(error), rtol=1e-12)
    single = error[0, :, 0] / detector.scale_[0]
    np.testing.assert_allclose(-score[20:], (single[20:] + single[19:-1]) / 2, rtol=1e-12)
    assert detector.typical_ == pytest.approx(np.nanmedian(-score[8:]), rel=1e-12)


def test_a_forecaster_judges_by_the_past_alone(wave):
    detector = LSTMAnomalyDetector(**QUICK).fit(wave)
    changed = wave.copy()
    changed[200:] = wave[::-1][:200]
    np.testing.assert_array_equal(detector.score_samples(wave)[:200], detector.score_samples(changed)[:200])
    assert (detector.score_samples(wave)[201:205] != detector.score_samples(changed)[201:205]).all()


def test_what_lasts_is_unusual_to_a_forecaster_of_many_steps(wave):
    """Seen from just before, a standing value is as foretold; seen from before it began, it is not."""
    one, many = (LSTMAnomalyDetector(horizon=h, smooth=1, **QUICK).fit(wave) for h in (1, 8))
    late = slice(306, 312)
    assert -many.score_samples(wave)[late].mean() > -one.score_samples(wave)[late].mean()


@pytest.mark.parametrize("method", METHODS)
def test_windows_are_judged_as_wholes(method, rng):
    phase = rng.uniform(0, 6, size=(80, 1))
    X = np.sin(phase + np.arange(16) / 2)[:, :, None] + 0.03 * rng.standard_normal((80, 16, 1))
    X[70:] = rng.normal(size=(10, 16, 1))
    options = QUICK | {"window": None if method == "autoencoder" else 8, "epochs": 15}
    detector = LSTMAnomalyDetector(method, contamination=0.1, **options).fit(X[:70])
    score = detector.score_samples(X)
    assert score.shape == (80,)
    assert np.median(score[70:]) < np.median(score[:70])
    assert (detector.predict(X[70:]) == -1).mean() > 0.5
    assert detector.window_ == (16 if method == "autoencoder" else 8)
    with pytest.raises(ValueError, match=r"^X: expected windows \(N, T, C\), as in fit"):
        detector.score_samples(X[0])
    with pytest.raises(ValueError, match=r"^X: expected at least 16 steps, for windows of"):
        detector.score_samples(X[:, :15])
    with pytest.raises(ValueError, match=r"^smooth: expected None for windows"):
        LSTMAnomalyDetector(method, smooth=2, **options).fit(X)


@pytest.mark.parametrize("method", METHODS)
def test_what_is_known_besides_is_no_anomaly_but_helps(method, rng):
    n = 300
    known = (rng.uniform(size=n) < 0.5).astype(float)
    series = 2 * np.roll(known, 1) + 0.05 * rng.standard_normal(n)
    options = QUICK | {"window": 4, "horizon": 1 if method == "forecast" else None, "smooth": 1, "epochs": 40}
    with_it = LSTMAnomalyDetector(method, **options).fit(series, exog=known)
    without = LSTMAnomalyDetector(method, **options).fit(series)
    assert with_it.n_features_in_ == 1
    if method == "forecast":
        assert with_it.history_[0]["loss"][-1] < 0.5 * without.history_[0]["loss"][-1]
    assert with_it.net_.input_size == 2
    two = with_it.score_samples(series[:, None], exog=known[:, None])
    np.testing.assert_array_equal(with_it.score_samples(series, exog=known), two)
    for exog, message in [
        (None, "expected what fit took, for the steps of X, got None"),
        (known[1:], r"expected shape \(300, E\), a row for each step of X"),
        (np.stack([known, known], axis=1), "expected 1 columns, got 2"),
        (np.where(known > 0, np.nan, 0), "expected finite values, got nan at"),
    ]:
        with pytest.raises(ValueError, match=f"^exog: {message}"):
            with_it.score_samples(series, exog=exog)
    with pytest.raises(ValueError, match=r"^exog: expected None, as in fit"):
        without.score_samples(series, exog=known)


def test_channels_count_by_the_root_mean_square_of_their_deviations(wave, rng):
    X = np.stack([wave, 100 + 10 * np.cos(np.arange(400) / 3)], axis=1)
    detector = LSTMAnomalyDetector(smooth=1, **QUICK).fit(X)
    z = ((X - detector.scaler_.mean) / detector.scaler_.deviation).astype(np.float32)[None]
    error = errors(detector.net_, Task(8, 8, 8), z, z)[0] / detector.scale_
    np.testing.assert_allclose(-detector.score_samples(X)[8:], np.sqrt((error[8:] ** 2).mean(axis=1)), rtol=1e-12)
    assert detector.scale_.shape == (2,)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("impute", ["forward", "mean", "linear"])
def test_missing_values(method, impute, wave):
    gaps = wave.copy()
    gaps[50:60] = np.nan
    with pytest.raises(ValueError, match=r"^X: expected finite values, got NaN at \[0, 50, 0\].*; impute= fills in"):
        LSTMAnomalyDetector(method, **QUICK).fit(gaps)
    detector = LSTMAnomalyDetector(method, impute=impute, smooth=1, **QUICK).fit(gaps)
    score = detector.score_samples(gaps)
    assert np.isfinite(score).all()
    np.testing.assert_array_equal(score[50:60], -detector.typical_)
    assert (score[30:50] != -detector.typical_).all()


@pytest.mark.parametrize(
    "options",
    [{"networks": 2}, {"num_layers": 2, "dropout": 0.2}, {"bidirectional": True, "dropout": 0.2}, {"patience": 2}],
    ids=str,
)
@pytest.mark.parametrize("method", METHODS)
def test_options(method, options, wave):
    detector = LSTMAnomalyDetector(method, **(QUICK | options)).fit(wave[:200])
    assert np.isfinite(detector.score_samples(wave)).all()
    assert len(detector.history_) == options.get("networks", 1)
    assert ("val_loss" in detector.history_[0]) == ("patience" in options)
    if "bidirectional" in options:
        assert detector.net_.layers[0].bidirectional


@pytest.mark.parametrize("method", METHODS)
def test_windows_held_out_share_no_step_with_those_that_train(method, monkeypatch):
    seen = {}
    fit = clstm.Trainer.fit

    def spy(trainer, x, y, **options):
        seen.update(x=x, y=y, held_out=options["validation"])
        return fit(trainer, x, y, **options)

    monkeypatch.setattr(clstm.Trainer, "fit", spy)
    LSTMAnomalyDetector(method, patience=1, validation_fraction=0.2, **(QUICK | {"epochs": 1})).fit(np.arange(100.0))
    trained_on = {*seen["x"].ravel(), *seen["y"].ravel()}
    held_out = {*seen["held_out"][0].ravel(), *seen["held_out"][1].ravel()}
    assert len(held_out) >= 20
    assert min(held_out) > max(trained_on)
    assert len(trained_on | held_out) >= 99


def test_the_same_bits_again_and_with_any_number_of_threads(wave):
    first = LSTMAnomalyDetector(**QUICK).fit(wave)
    clstm.set_num_threads(2)
    second = LSTMAnomalyDetector(**QUICK).fit(wave)
    np.testing.assert_array_equal(first.score_samples(wave), second.score_samples(wave))
    other = LSTMAnomalyDetector(**(QUICK | {"random_state": 1})).fit(wave)
    assert (other.score_samples(wave) != first.score_samples(wave))[8:].any()


@pytest.mark.parametrize("method", METHODS)
def test_files_and_copies(method, wave, tmp_path):
    known = np.cos(np.arange(400) / 3)
    detector = LSTMAnomalyDetector(method, networks=2, **QUICK).fit(wave, exog=known)
    detector.save(tmp_path / "detector.safetensors")
    for copy in (load(tmp_path / "detector.safetensors"), pickle.loads(pickle.dumps(detector))):
        assert copy.get_params() == detector.get_params()
        np.testing.assert_array_equal(copy.predict(wave, exog=known), detector.predict(wave, exog=known))
        np.testing.assert_array_equal(copy.score_samples(wave, exog=known), detector.score_samples(wave, exog=known))
    np.testing.assert_array_equal(
        clstm.load(tmp_path / "detector.safetensors").flat_parameters[:5], detector.net_.flat_parameters[:5]
    )


def test_a_series_too_short_to_judge_is_typical(wave):
    detector = LSTMAnomalyDetector(**QUICK).fit(wave)
    np.testing.assert_array_equal(detector.score_samples(wave[:15]), np.full(15, -detector.typical_))
    assert (detector.predict(wave[:15]) == 1).all()
    assert (detector.score_samples(wave[:16])[8:] != -detector.typical_).all()


# Intervals


def test_intervals_against_a_slow_twin(rng):
    for gap in (0, 1, 2, 5):
        for _ in range(50):
            flags = rng.uniform(size=rng.integers(0, 20)) < 0.4
            found, last = [], None
            for t in range(len(flags)):
                if flags[t]:
                    if last is not None and t - last - 1 <= gap:
                        found[-1][1] = t
                    else:
                        found.append([t, t])
                    last = t
            np.testing.assert_array_equal(intervals(flags, gap), np.array(found, int).reshape(-1, 2))


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (([1, -1],), TypeError, "alarms: expected one axis of True and False, .*, got 1 axes of int"),
        (([[True]],), TypeError, "alarms: .* got 2 axes"),
        (([True], -1), ValueError, "gap: expected an int of at least 1, got -1"),
        (([True], 0.5), TypeError, "gap: "),
    ],
)
def test_intervals_refuse(arguments, error, message):
    with pytest.raises(error, match=f"^{message}"):
        intervals(*arguments)


# Bad input


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"method": "magic"}, ValueError, "method: expected one of 'forecast', 'autoencoder', got 'magic'"),
        ({"window": 0}, ValueError, "window: expected an int of at least 1, got 0"),
        ({"window": 2.0}, TypeError, "window: "),
        ({"horizon": 0}, ValueError, "horizon: "),
        ({"smooth": 0}, ValueError, "smooth: "),
        (
            {"method": "autoencoder", "horizon": 2},
            ValueError,
            'horizon: expected None with method="autoencoder", got 2',
        ),
        ({"contamination": 0.0}, ValueError, r"contamination: expected a number in \(0, 0.5\], got 0.0"),
        ({"contamination": 0.6}, ValueError, "contamination: "),
        ({"contamination": "auto"}, TypeError, "contamination: "),
        ({"hidden_size": -1}, ValueError, "hidden_size: "),
        ({"num_layers": 0}, ValueError, "num_layers: "),
        ({"bidirectional": 1}, TypeError, "bidirectional: "),
        ({"dropout": 1.0}, ValueError, "dropout: "),
        ({"epochs": 0}, ValueError, "epochs: "),
        ({"networks": 0}, ValueError, "networks: "),
        ({"impute": "zero"}, ValueError, "impute: expected one of 'forward', 'mean', 'linear', got 'zero'"),
        ({"random_state": "a"}, TypeError, "random_state: "),
        ({"window": 201}, ValueError, "X: expected at least 403 steps, for windows of 201, got n_samples = 400"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_parameters_that_do_not_fit(options, error, message, wave):
    detector = LSTMAnomalyDetector(**(QUICK | options))
    with pytest.raises(error, match=f"^{message}"):
        detector.fit(wave)
    assert not hasattr(detector, "net_")


@pytest.mark.parametrize(
    ("X", "error", "message"),
    [
        (np.zeros((0, 2)), ValueError, "X: expected at least 1 sequence, got 0 sample"),
        (np.zeros((2, 2, 2, 2)), ValueError, r"X: expected a series \(n,\) or \(n, C\), or windows"),
        (np.ones(50), ValueError, "X: expected channels that vary, got 1.0 only in channel 0"),
        (np.stack([np.arange(50.0), np.full(50, 3.0)], 1), ValueError, "X: .* got 3.0 only in channel 1"),
        (np.append(np.arange(50.0), np.inf), ValueError, r"X: expected finite values, got inf at \[0, 50, 0\]"),
        (np.array(["a"] * 50), TypeError, "X: expected numbers, got dtype <U1"),
        (np.arange(50) * 1j, ValueError, "X: expected real numbers"),
        (5.0, ValueError, r"X: expected a series"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_data_that_do_not_fit(X, error, message):
    with pytest.raises(error, match=f"^{message}"):
        LSTMAnomalyDetector(**QUICK).fit(X)


def test_a_channel_of_which_nothing_is_known():
    X = np.stack([np.arange(50.0), np.full(50, np.nan)], axis=1)
    with pytest.raises(ValueError, match=r"^X: expected channels that vary, got missing values only in channel 1"):
        LSTMAnomalyDetector(impute="mean", **QUICK).fit(X)


def test_before_fit_and_with_other_channels(wave):
    with pytest.raises(NotFittedError, match="this LSTMAnomalyDetector has learnt nothing yet"):
        LSTMAnomalyDetector().predict(wave)
    detector = LSTMAnomalyDetector(**QUICK).fit(wave)
    with pytest.raises(ValueError, match=r"^X: expected the channels of fit, got X has 2 features, but .* 1 features"):
        detector.predict(np.stack([wave, wave], axis=1))
    with pytest.raises(ValueError, match=r"^X: expected a series \(n,\) or \(n, C\), as in fit"):
        detector.predict(wave.reshape(4, 100, 1))


# scikit-learn

NOT_FOR_SERIES = {
    "check_fit1d": "A 1-D array is a series of one channel, the most usual input, and not an error.",
    "check_methods_sample_order_invariance": "Rows are steps in time: in another order they are another series.",
    "check_methods_subset_invariance": "A step is judged by the steps before it, which a subset does not have.",
}


def checks():
    """The checks of scikit-learn, without the warning that the detector has another base class."""
    from sklearn.utils.estimator_checks import estimator_checks_generator

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*does not inherit from", UserWarning)
        for method in METHODS:
            detector = LSTMAnomalyDetector(method, window=2, smooth=1, hidden_size=4, epochs=1, batch_size=256)
            for estimator, check in estimator_checks_generator(detector):
                name = getattr(check, "func", check).__name__
                marks = [pytest.mark.xfail(reason=NOT_FOR_SERIES[name], strict=True)] if name in NOT_FOR_SERIES else []
                marks += [pytest.mark.slow] if method == "autoencoder" else []
                options = "".join(f"-{value}" for value in getattr(check, "keywords", {}).values())
                yield pytest.param(estimator, check, marks=marks, id=f"{method}-{name}{options}")


@pytest.mark.parametrize(("estimator", "check"), list(checks()))
def test_conformance(estimator, check):
    check(estimator)


def test_copies_and_frames_of_scikit_learn_and_pandas(wave):
    from sklearn.base import clone, is_outlier_detector

    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"load": wave, "heat": np.cos(np.arange(400) / 3)})
    detector = clone(LSTMAnomalyDetector(**QUICK)).fit(frame)
    assert is_outlier_detector(detector)
    np.testing.assert_array_equal(detector.feature_names_in_, ["load", "heat"])
    assert detector.fit(wave).n_features_in_ == 1
    assert not hasattr(detector, "feature_names_in_")
