"""LSTMClassifier and LSTMRegressor: what they learn, from what, and what they refuse."""

import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import clstm
from clstm.estimators import LSTMClassifier, LSTMRegressor
from clstm.estimators.fitting import stratified

QUICK = {"hidden_size": 8, "epochs": 30, "batch_size": 8, "learning_rate": 2e-2, "dropout": 0.0, "random_state": 0}


@pytest.fixture
def signs(rng):
    """Sequences of unequal length in three classes: what the first step says, or whether there is a peak."""
    X = [0.3 * rng.normal(size=(rng.integers(4, 9), 2)) for _ in range(60)]
    y = np.tile([0, 1, 2], 20)
    for part, code in zip(X, y, strict=True):
        part[0, 0] += 2 * (code == 1)
        part[len(part) // 2, 1] += 2 * (code == 2)
    return X, y


@pytest.mark.parametrize("labels", [[3, 1, 2], ["c", "a", "b"], [0.0, 5.0, -1.0]], ids=str)
def test_labels_come_back_as_they_were(signs, labels):
    X, codes = signs
    y = np.array(labels)[codes]
    model = LSTMClassifier(**QUICK).fit(X, y)
    np.testing.assert_array_equal(model.classes_, np.sort(labels), strict=True)
    assert model.predict(X).dtype == y.dtype
    assert model.score(X, y) > 0.9
    p = model.predict_proba(X)
    np.testing.assert_allclose(p.sum(axis=1), 1)
    np.testing.assert_array_equal(model.classes_[p.argmax(axis=1)], model.predict(X))


@pytest.mark.parametrize("pooling", ["last", "mean", "max", "attention"])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_poolings_learn(signs, pooling, bidirectional):
    X, y = signs
    options = {"pooling": pooling, "bidirectional": bidirectional, "num_layers": 2, "dropout": 0.1}
    model = LSTMClassifier(**(QUICK | options)).fit(X[:45], y[:45])
    assert model.score(X[45:], y[45:]) > 0.8
    lstm, pool, dropout, dense = model.net_.layers
    assert (lstm.num_layers, lstm.bidirectional, lstm.dropout, dropout.rate) == (2, bidirectional, 0.1, 0.1)
    assert dense.input_size == 8 * (1 + bidirectional)
    assert type(pool) is (clstm.AttentionPool if pooling == "attention" else clstm.Pool)


def test_probabilities_are_those_of_the_mean_of_the_scores(signs):
    X, y = signs
    model = LSTMClassifier(**(QUICK | {"networks": 2, "epochs": 3})).fit(X, y)
    x = [((part - model.scaler_.mean) / model.scaler_.deviation).astype(np.float32) for part in X]
    scores = np.mean([net(x).astype(np.float64) for net in model.net_.layers], axis=0)
    expected = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(model.predict_proba(X), expected, rtol=1e-5)
    assert [len(history["loss"]) for history in model.history_] == [3, 3]


@pytest.mark.parametrize("kind", [LSTMClassifier, LSTMRegressor])
def test_a_seed_gives_the_same_bits_with_any_number_of_threads(signs, kind):
    X, y = signs
    found = []
    for threads in (1, 2):
        clstm.set_num_threads(threads)
        found.append(kind(**(QUICK | {"epochs": 2, "dropout": 0.3})).fit(X, y).net_.flat_parameters)
    np.testing.assert_array_equal(*found)
    other = kind(**(QUICK | {"epochs": 2, "random_state": 1})).fit(X, y)
    assert (other.net_.flat_parameters != found[0]).any()


@pytest.mark.parametrize("kind", [LSTMClassifier, LSTMRegressor])
def test_a_sequence_of_weight_0_is_as_if_it_was_not_there(signs, kind):
    X, y = signs
    weight = np.arange(60) % 4 > 0
    options = QUICK | {"epochs": 2, "patience": 2}
    found = kind(**options).fit(X, y, weight * 1.0)
    expected = kind(**options).fit([X[n] for n in np.flatnonzero(weight)], y[weight], np.ones(45))
    np.testing.assert_array_equal(found.net_.flat_parameters, expected.net_.flat_parameters)
    np.testing.assert_array_equal(found.scaler_.mean, expected.scaler_.mean)


def test_early_stopping_takes_the_best_weights(signs):
    X, y = signs
    model = LSTMClassifier(**(QUICK | {"epochs": 200, "patience": 3, "learning_rate": 0.1})).fit(X, y)
    losses = model.history_[0]["val_loss"]
    assert len(losses) < 200
    assert len(losses) - 1 - int(np.argmin(losses)) == 3


def test_the_validation_part_has_each_class():
    codes = np.repeat([0, 1, 2], [20, 10, 1])
    train, held = stratified(np.arange(31), codes, 0.2, np.random.default_rng(0))
    assert np.bincount(codes[held], minlength=3).tolist() == [4, 2, 0]
    assert sorted([*train, *held]) == list(range(31))
    with pytest.raises(ValueError, match="y: expected a class with at least 2 sequences"):
        stratified(np.arange(2), np.arange(2), 0.2, np.random.default_rng(0))


def test_weights_of_classes_are_weights_of_their_sequences(signs):
    X, y = signs
    short = QUICK | {"epochs": 2}
    found = LSTMClassifier(class_weight={1: 3.0}, **short).fit(X, y)
    expected = LSTMClassifier(**short).fit(X, y, np.where(y == 1, 3.0, 1.0))
    np.testing.assert_array_equal(found.net_.flat_parameters, expected.net_.flat_parameters)
    few = np.array([0, 0, 0, 1])
    weights = LSTMClassifier(class_weight="balanced")._weights(None, few, np.array([0, 1]))
    np.testing.assert_allclose(weights, [2 / 3, 2 / 3, 2 / 3, 2])


def test_partial_fit_learns_and_goes_on(signs):
    X, y = signs
    options = QUICK | {"networks": 2}
    model = LSTMClassifier(**options)
    for _ in range(15):
        assert model.partial_fit(X[:30], y[:30], classes=[0, 1, 2]) is model
    copy = pickle.loads(pickle.dumps(model))
    for one in (model, copy):
        one.partial_fit(X[30:], y[30:])
    np.testing.assert_array_equal(model.predict_proba(X), copy.predict_proba(X))
    assert [len(history["loss"]) for history in model.history_] == [16, 16]
    assert model.score(X, y) > 0.8
    scale = model.scaler_
    model.partial_fit([X[0] + 100], y[:1])
    assert model.scaler_ is scale
    before = model.fit(X, y).predict_proba(X)
    assert np.abs(model.partial_fit(X, y).predict_proba(X) - before).max() > 0


def test_partial_fit_of_numbers(signs):
    X, _ = signs
    y = np.array([part[-1] for part in X])
    model = LSTMRegressor(**QUICK)
    for _ in range(30):
        model.partial_fit(X, y)
    assert model.score(X, y) > 0.7
    with pytest.raises(ValueError, match=r"y: expected shape \(N, 2\), as in the first call, got shape \(60,\)"):
        model.partial_fit(X, y[:, 0])


@pytest.mark.parametrize("form", ["one", "column", "two"])
def test_numbers_in_their_units(signs, form):
    X, _ = signs
    last = np.array([part[-1] for part in X])
    y = {"one": last[:, 0], "column": last[:, :1], "two": last}[form] * 1000 - 5000
    model = LSTMRegressor(**QUICK).fit(X[:45], y[:45])
    assert model.predict(X).shape == y.shape
    assert model.score(X[45:], y[45:]) > 0.7
    predicted = model.predict(X)
    expected = 1 - ((y - predicted) ** 2).sum(axis=0) / ((y - y.mean(axis=0)) ** 2).sum(axis=0)
    assert model.score(X, y) == pytest.approx(np.mean(expected))


def test_a_constant_target(signs):
    X, _ = signs
    model = LSTMRegressor(**(QUICK | {"epochs": 1})).fit(X, np.full(60, 7.0))
    np.testing.assert_allclose(model.predict(X), 7, atol=1)
    assert model.score(X, np.full(60, 7.0)) in (0, 1)


def test_r2_by_weights(signs):
    X, _ = signs
    y, weight = np.array([part[-1, 0] for part in X]), np.arange(60) % 3
    model = LSTMRegressor(**(QUICK | {"epochs": 3})).fit(X, y)
    repeated = model.score([X[n] for n in np.repeat(np.arange(60), weight)], np.repeat(y, weight))
    assert model.score(X, y, weight) == pytest.approx(repeated)


BAD = [
    ({"pooling": "sum"}, "pooling: expected one of 'last', 'mean', 'max', 'attention', got 'sum'"),
    ({"hidden_size": 0}, "hidden_size: expected an int of at least 1"),
    ({"num_layers": "2"}, "num_layers: expected an int"),
    ({"bidirectional": 1}, "bidirectional: expected True or False"),
    ({"dropout": 1.0}, r"dropout: expected a number in \[0, 1\)"),
    ({"epochs": 0}, "epochs: expected an int of at least 1"),
    ({"batch_size": 2.5}, "batch_size: expected an int"),
    ({"learning_rate": -1}, "learning_rate: expected a finite number above 0"),
    ({"weight_decay": -1}, "weight_decay: expected a number of at least 0"),
    ({"clip_norm": 0}, "clip_norm: expected a finite number above 0"),
    ({"validation_fraction": 1}, "validation_fraction: expected a number between 0 and 1"),
    ({"patience": 0}, "patience: expected an int of at least 1"),
    ({"networks": 0}, "networks: expected an int of at least 1"),
    ({"impute": "zero"}, "impute: expected one of 'forward', 'mean', 'linear', got 'zero'"),
    ({"random_state": "x"}, "random_state: expected an int"),
    ({"progress": None}, "progress: expected True or False"),
]


@pytest.mark.parametrize("kind", [LSTMClassifier, LSTMRegressor])
@pytest.mark.parametrize(("params", "message"), BAD, ids=str)
def test_parameters_that_are_refused(signs, kind, params, message):
    X, y = signs
    model = kind(**(QUICK | {"epochs": 1})).fit(X, y)
    before = model.predict(X)
    with pytest.raises((TypeError, ValueError), match=message):
        model.set_params(**params).fit(X, y)
    np.testing.assert_array_equal(model.predict(X), before)


@pytest.mark.parametrize(
    ("y", "error", "message"),
    [
        (None, ValueError, "y: LSTMClassifier requires y to be passed"),
        (np.zeros(60), ValueError, "y: expected at least 2 classes, got 1 class"),
        (np.zeros(59), ValueError, r"y: expected 60 labels, one for each sequence of X, got shape \(59,\)"),
        (np.zeros((60, 2)), ValueError, r"y: expected shape \(N,\), got shape \(60, 2\)"),
        (np.linspace(0, 1, 60), ValueError, "y: expected labels of classes, got Unknown label type: continuous"),
        (np.full(60, np.nan), ValueError, "y: expected finite values"),
        (
            np.array(["a", None] * 30, object),
            TypeError,
            "y: expected labels of one type, got a mixture of NoneType, str",
        ),
        (np.ones(60) * 1j, TypeError, "y: expected labels: ints, texts or booleans, got dtype complex128"),
    ],
    ids=str,
)
def test_labels_that_are_refused(signs, y, error, message):
    with pytest.raises(error, match=message):
        LSTMClassifier(**QUICK).fit(signs[0], y)


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (None, "y: LSTMRegressor requires y to be passed"),
        (["a"] * 60, "y: expected numbers, got dtype <U1"),
        (np.zeros((60, 0)), r"y: expected shape \(N,\) or \(N, K\)"),
        (np.full(60, np.inf), "y: expected finite values, got inf"),
        (np.zeros(61), "y: expected 60 targets, one for each sequence of X"),
    ],
    ids=str,
)
def test_numbers_that_are_refused(signs, y, message):
    with pytest.raises((TypeError, ValueError), match=message):
        LSTMRegressor(**QUICK).fit(signs[0], y)


def test_unknown_labels_are_named(signs):
    X, y = signs
    model = LSTMClassifier(**(QUICK | {"epochs": 1})).fit(X, y)
    with pytest.raises(ValueError, match=r"y: expected labels of the classes 0, 1, 2, got 7 at \[1\]"):
        model.score(X[:2], [0, 7])
    with pytest.raises(ValueError, match=r"y: expected labels of the classes 0, 1, 2, got 7 at \[1\]"):
        model.partial_fit(X[:2], [0, 7])
    with pytest.raises(ValueError, match=r"classes: expected those of the first call, \[0, 1, 2\]"):
        model.partial_fit(X[:2], [0, 1], classes=[0, 1])
    with pytest.raises(ValueError, match="classes: expected all classes that there are, in the first call, got None"):
        LSTMClassifier().partial_fit(X, y)


@pytest.mark.parametrize(
    ("class_weight", "message"),
    [
        ({9: 1.0}, r"class_weight: expected labels of the classes 0, 1, 2, got 9 at \[0\]"),
        ({0: -1.0}, r"class_weight\[0\]: expected a number of at least 0, got -1"),
        ({0: 0, 1: 0, 2: 0}, "class_weight: expected at least one weight above 0 for a label in y"),
        ("even", "class_weight: expected one of 'balanced', got 'even'"),
    ],
    ids=str,
)
def test_weights_of_classes_that_are_refused(signs, class_weight, message):
    with pytest.raises((TypeError, ValueError), match=message):
        LSTMClassifier(class_weight=class_weight, **QUICK).fit(*signs)
    with pytest.raises(ValueError, match="class_weight: expected None or a dict for partial_fit"):
        LSTMClassifier(class_weight="balanced", **QUICK).partial_fit(*signs, classes=[0, 1, 2])


def test_sample_weights_that_are_refused(signs):
    for weight, message in (
        (np.ones(3), "sample_weight: expected shape"),
        (-np.ones(60), "sample_weight: expected finite weights of at least 0"),
        (np.zeros(60), "sample_weight: expected at least one weight above 0"),
    ):
        with pytest.raises(ValueError, match=message):
            LSTMRegressor(**QUICK).fit(*signs, sample_weight=weight)


def test_a_channel_without_values_leaves_an_estimator_as_it_was(signs):
    X, y = signs
    model = LSTMClassifier(impute="mean", **(QUICK | {"epochs": 1})).fit(X, y)
    before = model.predict_proba(X)
    with pytest.raises(ValueError, match="X: expected a value in channel 0, got none"):
        model.fit(np.full((60, 3, 2), np.nan), y)
    np.testing.assert_array_equal(model.predict_proba(X), before)


ALONE = """
import sys
for name in ("sklearn", "pandas", "optuna", "joblib", "matplotlib", "tqdm"):
    sys.modules[name] = None
import numpy as np
from clstm.estimators import LSTMClassifier, LSTMRegressor, NotFittedError, load
X, y = np.random.default_rng(0).normal(size=(9, 4, 2)), np.arange(9) % 3
model = LSTMClassifier(epochs=1, hidden_size=2).fit(X, y[:, None]).partial_fit(X, y)
model.save("model.safetensors")
assert (load("model.safetensors").predict(X) == model.predict(X)).all() and 0 <= model.score(X, y) <= 1
try:
    LSTMRegressor().predict(X)
except NotFittedError:
    print("well")
"""


def test_nothing_else_is_needed(tmp_path):
    environment = os.environ | {"PYTHONPATH": str(Path(clstm.__file__).parent.parent)}
    options = {"capture_output": True, "text": True, "cwd": tmp_path, "check": True}
    ran = subprocess.run([sys.executable, "-c", ALONE], env=environment, **options)
    assert ran.stdout == "well\n"
    assert "DataConversionWarning: A column-vector y was passed" in ran.stderr


def test_partial_fit_goes_on_with_the_networks_that_there_are(signs):
    X, y = signs
    model = LSTMRegressor(**(QUICK | {"epochs": 1, "networks": 2})).fit(X, y)
    assert len(model.set_params(networks=5).partial_fit(X, y).net_.layers) == 2


def test_without_training(signs):
    for call in (LSTMClassifier().predict, LSTMClassifier().predict_proba, LSTMRegressor().predict):
        with pytest.raises(ValueError, match="has learnt nothing yet: call fit first"):
            call(signs[0])


def test_a_training_that_fails_leaves_nothing_half_done(signs):
    X, y = signs
    model = LSTMRegressor(**(QUICK | {"epochs": 1})).fit(X, y)
    with pytest.raises(FloatingPointError):
        model.set_params(learning_rate=1e30, clip_norm=None, epochs=20).fit(X, y)
    with pytest.raises(ValueError, match="has learnt nothing yet"):
        model.predict(X)
