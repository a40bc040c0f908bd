"""What estimators of whole sequences take, how it is scaled and filled, and what they refuse, by name."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clstm.estimators import LSTMClassifier, LSTMRegressor, load
from clstm.estimators import state as states
from clstm.estimators.inputs import IMPUTE, Scaler, Sequences, checked, filled, moments

TINY = {"hidden_size": 3, "epochs": 2, "random_state": 0}


@pytest.mark.parametrize(
    ("X", "shape", "windows", "features"),
    [
        ([[1, 2, 3], [4, 5, 6]], (2, 3, 1), True, 3),
        (np.ones((2, 3)), (2, 3, 1), True, 3),
        (np.ones((2, 3)).astype(object), (2, 3, 1), True, 3),
        (np.ones((2, 3, 4), np.int8), (2, 3, 4), False, 4),
        (np.ones((2, 3, 4)).tolist(), (2, 3, 4), False, 4),
        ([np.ones(3), np.ones(3)], [(3, 1), (3, 1)], False, 1),
        ([np.ones(3), [1.0]], [(3, 1), (1, 1)], False, 1),
        ([[1, 2], [3]], [(2, 1), (1, 1)], False, 1),
        ([[[1, 2], [3, 4]], [[5, 6]]], [(2, 2), (1, 2)], False, 2),
        ((np.ones((2, 4)), np.ones((5, 4))), [(2, 4), (5, 4)], False, 4),
        (np.array([np.ones((2, 4)), np.ones((5, 4))], object), [(2, 4), (5, 4)], False, 4),
    ],
    ids=str,
)
def test_forms(X, shape, windows, features):
    found = checked(X)
    assert (found.windows, found.features) == (windows, features)
    assert (found.x.shape if isinstance(found.x, np.ndarray) else [part.shape for part in found.x]) == shape
    assert all(part.dtype == np.float64 for part in found.x)


@pytest.mark.parametrize(
    ("X", "error", "message"),
    [
        (3, ValueError, r"X: expected a 2-D array.*got shape \(\)"),
        ([1.0, 2.0], ValueError, r"X: expected a 2-D array.*got shape \(2,\). Reshape your data"),
        (np.ones((1, 2, 3, 4)), ValueError, r"X: expected a 2-D array.*got shape \(1, 2, 3, 4\)"),
        ([], ValueError, "X: expected"),
        (np.ones((0, 3)), ValueError, r"X: expected at least 1 sequence, got 0 sample\(s\) \(shape=\(0, 3\)\)"),
        (np.ones((2, 0, 3)), ValueError, r"X: expected at least 1 step of 1 channel"),
        ([np.ones(3), np.ones(0)], ValueError, r"X\[1\]: expected an array \(T, C\).*got shape \(0,\)"),
        ([np.ones((3, 2)), np.ones((3, 1))], ValueError, r"X\[1\]: expected 2 channels, as X\[0\] has, got 1"),
        ([np.ones((3, 2)), np.ones((3, 2, 1))], ValueError, r"X\[1\]: expected an array \(T, C\)"),
        ([np.ones(2), np.array(["a", "b"])], TypeError, r"X\[1\]: expected numbers, got dtype <U1"),
        ([["a", "b"]], TypeError, "X: expected numbers, got dtype <U1"),
        (np.array([["a", 1.0]], object), ValueError, "X: expected numbers, got an array of objects"),
        (np.ones((2, 2)) * 1j, ValueError, "X: expected real numbers, got Complex data not supported"),
        (np.ma.masked_array(np.ones((2, 2))), TypeError, "X: expected an array without a mask"),
        ([[1.0, np.nan]], ValueError, r"X: expected finite values, got NaN at \[0, 1, 0\].*impute="),
        ([np.ones(2), np.array([1, -np.inf])], ValueError, r"X: expected finite values, got -inf at \[1, 1, 0\]"),
    ],
    ids=str,
)
def test_what_is_refused(X, error, message):
    with pytest.raises(error, match=message):
        checked(X)


def test_missing_values_are_taken_where_they_are_filled_in_but_infinity_is_not():
    assert np.isnan(checked([[1.0, np.nan]], missing=True).x).sum() == 1
    with pytest.raises(
        ValueError, match=r"or NaN for missing ones, got inf at \[0, 1, 0\] \(sequence, step, channel\)$"
    ):
        checked([[np.nan, np.inf]], missing=True)


def test_scaling_is_that_of_all_valid_steps(rng):
    X = [rng.normal(5, [1, 3], (rng.integers(2, 9), 2)) for _ in range(20)]
    X[3][0, 1] = np.nan
    scaler = Scaler.learn(checked(X, missing=True), "mean")
    steps = np.concatenate(X)
    np.testing.assert_allclose(scaler.mean, np.nanmean(steps, axis=0))
    np.testing.assert_allclose(scaler.deviation, np.nanstd(steps, axis=0))
    scaled = scaler(checked(X, missing=True))
    np.testing.assert_allclose(scaled[5], (X[5] - scaler.mean) / scaler.deviation, rtol=1e-5)
    assert scaled[3][0, 1] == 0
    assert {part.dtype for part in scaled} == {np.dtype(np.float32)}


def test_weights_of_the_scaling_are_repetitions(rng):
    X, weight = rng.normal(size=(6, 4, 2)), np.array([0, 1, 3, 0, 2, 1])
    found = Scaler.learn(checked(X), None, weight.astype(float))
    expected = Scaler.learn(checked(np.repeat(X, weight, axis=0)), None)
    np.testing.assert_allclose(found.mean, expected.mean)
    np.testing.assert_allclose(found.deviation, expected.deviation)


@pytest.mark.parametrize("value", [0.0, 0.1, 1e300, -5e-324])
def test_a_constant_channel_becomes_zero(value):
    X = np.full((5, 4, 1), value)
    np.testing.assert_allclose(Scaler.learn(checked(X), None)(checked(X)), 0, atol=1e-6)


def test_large_values_are_scaled_and_what_no_float_holds_is_refused():
    X = np.array([[1e300, -1e300], [1e300, 5e299]])
    scaler = Scaler.learn(checked(X), None)
    assert np.isfinite(scaler(checked(X))).all()
    small = Scaler.learn(checked(X / 1e300), None)
    with pytest.raises(ValueError, match=r"X: expected values near those that fit saw, got 1e\+300 at \[0, 0, 0\]"):
        small(checked(X))


def test_a_channel_without_a_value_is_refused_by_its_number():
    X = np.ones((3, 4, 2))
    X[:, :, 1] = np.nan
    with pytest.raises(ValueError, match="X: expected a value in channel 1, got none: all are missing"):
        LSTMRegressor(impute="forward", **TINY).fit(X, [1, 2, 3])


@given(st.lists(st.one_of(st.none(), st.integers(-9, 9)), min_size=1, max_size=12))
def test_filling_step_by_step(values):
    """A slow twin: one channel, value by value."""
    x = np.array([np.nan if value is None else value for value in values], np.float32)
    known = [t for t, value in enumerate(values) if value is not None]
    forward, linear = [], []
    for t in range(len(values)):
        before, after = [k for k in known if k <= t], [k for k in known if k >= t]
        forward.append(x[before[-1]] if before else 0)
        if before and after and before[-1] != after[0]:
            a, b = before[-1], after[0]
            linear.append(x[a] + (x[b] - x[a]) * (t - a) / (b - a))
        else:
            linear.append(x[before[-1]] if before else x[after[0]] if after else 0)
    both = np.stack([x, np.zeros_like(x)], axis=1)
    for impute, expected in (("forward", forward), ("linear", linear), ("mean", np.where(np.isnan(x), 0, x))):
        for form in (both, np.stack([both, both])):
            found = filled(form.copy(), impute)
            np.testing.assert_allclose(found.reshape(-1, len(x), 2)[-1, :, 0], expected, rtol=1e-6, atol=1e-6)
            assert not found[..., 1].any()


def test_a_scaler_comes_back_from_a_file_and_no_other_does():
    scaler = Scaler(np.array([1.0, 2.0]), np.array([3.0, 1.0]), "linear")
    back = states.read(states.written(scaler))
    np.testing.assert_array_equal(back.mean, scaler.mean)
    assert back.impute == "linear"
    good = scaler.state()
    for change in (
        {"mean": np.array([np.nan, 1])},
        {"deviation": np.array([0.0, 1])},
        {"impute": "x"},
        {"mean": np.ones(1)},
    ):
        with pytest.raises(ValueError, match="no "):
            Scaler.from_state(good | change)


def test_moments_name_what_they_are_of():
    with pytest.raises(ValueError, match="y: expected a value in column 1"):
        moments("y", np.array([[1.0, np.nan]]), None, "column")


@pytest.fixture
def data(rng):
    """Sequences of two channels, and what they are called."""
    return [rng.normal(size=(rng.integers(3, 7), 2)) for _ in range(12)], np.tile(["a", "b", "c"], 4)


@pytest.mark.parametrize("impute", IMPUTE)
def test_missing_values(data, impute):
    X, y = data
    X[0][1, 0] = np.nan
    model = LSTMClassifier(impute=impute, **TINY).fit(X, y)
    assert np.isfinite(model.predict_proba(X)).all()
    with pytest.raises(ValueError, match=r"X: expected finite values, got NaN at \[0, 1, 0\]"):
        LSTMClassifier(**TINY).fit(X, y)


@pytest.mark.parametrize(
    ("X", "message"),
    [
        ([np.ones((4, 1))], "X: expected sequences of 2 channels, as fit saw, got 1"),
        (np.ones((3, 4, 3)), "X: expected sequences of 2 channels, as fit saw, got 3"),
        (np.ones((3, 2)), "X: expected sequences of 2 channels, as fit saw, got 1"),
        ([np.array([[np.nan, 1]])], "X: expected finite values, got NaN"),
        (np.ones((0, 4, 2)), "X: expected at least 1 sequence"),
    ],
    ids=str,
)
def test_what_is_refused_after_training(data, X, message):
    model = LSTMClassifier(**TINY).fit(*data)
    for method in (model.predict, model.predict_proba, lambda X: model.score(X, ["a"] * len(X))):
        with pytest.raises(ValueError, match=message):
            method(X)


def test_forms_after_training_on_windows(rng):
    X = rng.normal(size=(6, 5))
    model = LSTMRegressor(**TINY).fit(X, X.sum(axis=1))
    assert (model.n_features_in_, model.n_steps_in_) == (5, 5)
    np.testing.assert_array_equal(model.predict(X), model.predict(X[:, :, None]))
    np.testing.assert_array_equal(model.predict(X), model.predict(list(X)))
    assert model.predict([np.ones(3), np.ones(9)]).shape == (2,)
    with pytest.raises(ValueError, match="X has 4 features, but LSTMRegressor is expecting 5 features as input"):
        model.predict(X[:, :4])


def test_a_sequence_does_not_depend_on_the_others_nor_on_padding(data):
    X, y = data
    model = LSTMClassifier(networks=2, **TINY).fit(X, y)
    together = model.predict_proba(X)
    for n, part in enumerate(X):
        np.testing.assert_array_equal(model.predict_proba([part])[0], together[n])


@pytest.mark.parametrize("kind", [LSTMClassifier, LSTMRegressor])
def test_files(kind, data, tmp_path):
    X, y = data
    y = y if kind is LSTMClassifier else np.arange(24.0).reshape(12, 2)
    model = kind(networks=2, impute="linear", **TINY).fit(X, y)
    model.save(tmp_path / "model.safetensors")
    same = load(tmp_path / "model.safetensors")
    np.testing.assert_array_equal(same.predict(X), model.predict(X), strict=True)
    assert same.score(X, y) == model.score(X, y)
    np.testing.assert_array_equal(same.partial_fit(X, y).predict(X).shape, np.shape(y))


def test_columns_of_a_table_have_names(rng):
    pandas = pytest.importorskip("pandas")
    X = pandas.DataFrame(rng.normal(size=(6, 3)), columns=["a", "b", "c"])
    model = LSTMRegressor(**TINY).fit(X, X["c"])
    assert model.feature_names_in_.tolist() == ["a", "b", "c"]
    with pytest.raises(ValueError, match="must be in the same order"):
        model.predict(X[["c", "b", "a"]])
    with pytest.warns(UserWarning, match="X does not have valid feature names, but LSTMRegressor was fitted with"):
        plain = model.predict(X.to_numpy())
    np.testing.assert_array_equal(plain, model.predict(X))
    model.fit(X.to_numpy(), X["c"])
    with pytest.warns(UserWarning, match="X has feature names, but LSTMRegressor was fitted without"):
        model.predict(X)
    assert Sequences(np.ones((2, 3, 1))).names is None
