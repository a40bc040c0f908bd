"""Metrics: figures worked out by hand, batches and padding that do not matter, and what is refused."""

import copy
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clstm import metrics

METRICS = {
    "accuracy": metrics.Accuracy,
    "top-2": lambda: metrics.Accuracy(2),
    **{f"f1-{a}": lambda a=a: metrics.F1(a) for a in ("macro", "micro", "weighted")},
    "precision": metrics.Precision,
    "recall": metrics.Recall,
    "perplexity": metrics.Perplexity,
    "rmse": metrics.RMSE,
    "mae": metrics.MAE,
    "mase": lambda: metrics.MASE([[1.0, 2, 3], [2, 4, 5], [0, 1, 2]]),
    "smape": metrics.SMAPE,
    "r2": metrics.R2,
}
OF_CLASSES = ("accuracy", "top-2", "f1-macro", "f1-micro", "f1-weighted", "precision", "recall", "perplexity")


def data(name, rng, N=7, T=5):
    """Predictions (N, T, 3), targets, lengths and weights."""
    prediction = rng.normal(size=(N, T, 3))
    target = rng.integers(3, size=(N, T)) if name in OF_CLASSES else prediction + rng.normal(size=prediction.shape)
    return prediction, target, rng.integers(T + 1, size=N), rng.uniform(0, 2, (N, T))


@pytest.mark.parametrize("name", METRICS)
@given(seed=st.integers(0, 10**6), cut=st.integers(1, 6))
def test_batches_do_not_matter(name, seed, cut):
    whole, parts = METRICS[name](), METRICS[name]()
    arrays = data(name, np.random.default_rng(seed))
    whole.update(*arrays)
    parts.update(*(a[:cut] for a in arrays))
    for later in (copy.deepcopy(parts), pickle.loads(pickle.dumps(parts))):
        later.update(*(a[cut:] for a in arrays))
        np.testing.assert_allclose(later.result(), whole.result(), rtol=1e-11)
    whole.reset()
    assert np.isnan(whole.result())


@pytest.mark.parametrize("name", METRICS)
@given(seed=st.integers(0, 10**6))
def test_padding_is_not_read(name, seed):
    prediction, target, lengths, weight = data(name, np.random.default_rng(seed))
    a, b = METRICS[name](), METRICS[name]()
    alive = np.arange(5) < lengths[:, np.newaxis]
    a.update(prediction[alive], target[alive], None, weight[alive])
    prediction[~alive] = np.nan
    target[~alive] = -100 if name in OF_CLASSES else np.nan
    b.update(prediction, target, lengths, weight)
    np.testing.assert_allclose(a.result(), b.result(), rtol=1e-11, equal_nan=True)


@pytest.mark.parametrize("name", METRICS)
def test_whole_weights_are_repeated_rows(name):
    prediction, target, _, _ = data(name, np.random.default_rng(0))
    times = np.array([1, 0, 2, 3, 1, 1, 2])
    a, b = METRICS[name](), METRICS[name]()
    a.update(prediction, target, None, times)
    b.update(np.repeat(prediction, times, axis=0), np.repeat(target, times, axis=0))
    np.testing.assert_allclose(a.result(), b.result(), rtol=1e-11)


def test_classes_by_hand():
    logits = np.eye(3)[[0, 0, 1, 2]]
    target = [0, 1, 1, 1]
    assert metrics.accuracy(logits, target) == 0.5
    assert metrics.precision(logits, target) == pytest.approx((1 / 2 + 1 + 0) / 3)
    assert metrics.recall(logits, target) == pytest.approx((1 + 1 / 3 + 0) / 3)
    assert metrics.f1(logits, target) == pytest.approx((2 / 3 + 1 / 2 + 0) / 3)
    assert metrics.f1(logits, target, average="micro") == 0.5
    assert metrics.f1(logits, target, average="weighted") == pytest.approx((2 / 3 + 3 * 1 / 2) / 4)
    assert metrics.accuracy(logits, [0, -1, 1, -1], ignore_index=-1) == 1.0
    assert metrics.accuracy([[1.0, 1.0, 1.0]], [1], top_k=2) == 1.0
    assert metrics.accuracy([[1.0, 1.0, 1.0]], [2], top_k=2) == 0.0
    assert metrics.perplexity(np.zeros((4, 3)), target) == pytest.approx(3)


@pytest.mark.parametrize("form", [lambda a: a, lambda a: a[:, np.newaxis]])
def test_one_logit_is_class_one_against_zero(form):
    logits, target = form(np.array([1.0, 2.0, -1.0, -2.0])), [1.0, 0.0, 1.0, 0.0]
    two = np.stack([np.zeros(4), logits.ravel()], axis=1)
    assert metrics.accuracy(logits, target) == 0.5
    assert (
        metrics.f1(logits, target, average="binary") == metrics.f1(two, np.array(target, int), average="binary") == 0.5
    )
    assert metrics.perplexity(logits, target) == pytest.approx(metrics.perplexity(two, np.array(target, int)))


def test_numbers_by_hand():
    prediction, target = [[3.0], [0.0], [1.0]], [1.0, 0.0, 2.0]
    assert metrics.mae(prediction, target) == 1.0
    assert metrics.rmse(prediction, target) == pytest.approx(np.sqrt(5 / 3))
    assert metrics.smape(prediction, target) == pytest.approx(200 * (2 / 4 + 0 + 1 / 3) / 3)
    assert metrics.mase(prediction, target, series=[0.0, 1.0, 4.0, 1.0], season=2) == 0.5
    assert metrics.r2(prediction, target) == pytest.approx(1 - 5 / 2)
    assert metrics.r2([1.0, 1.0], [1.0, 1.0]) == 1.0
    assert metrics.r2([1.0, 2.0], [1.0, 1.0]) == 0.0


def slow_distance(a, b):
    if not a or not b:
        return len(a) + len(b)
    return min(slow_distance(a[1:], b) + 1, slow_distance(a, b[1:]) + 1, slow_distance(a[1:], b[1:]) + (a[0] != b[0]))


@given(st.text("abc", max_size=5), st.text("abc", max_size=5))
def test_edit_distance_is_the_recursion(a, b):
    assert metrics.edit_distance(a, b) == slow_distance(a, b)


def test_error_rates():
    assert metrics.cer(["abc", ""], ["abx", "x"]) == 2 / 4
    assert metrics.wer(["a b  c"], ["a c"]) == 1 / 2
    assert metrics.wer([[1, 0, 2, 3]], [[1, 0, 2, 4]], separator=0) == 1 / 2
    assert metrics.wer([[1, 0, 2, 3]], [[1, 0, 2, 4]]) == 1 / 4
    path = np.eye(3)[[[1, 1, 0, 1, 2], [2, 2, 2, 1, 1]]]
    assert metrics.cer(path, [[1, 1, 2], [2]], [5, 3]) == 0
    assert metrics.cer(path, (np.array([[1, 1, 2], [2, 0, 0]]), [3, 1])) == 1 / 4
    assert metrics.cer(path, ["x", "y"], decode=lambda prediction, lengths: ["x", "z"]) == 1 / 2
    assert np.isnan(metrics.cer([""], [""]))


def test_functions_become_metrics():
    def last(prediction, target, lengths):
        return float(lengths.sum())

    metric = metrics.make(last)
    metric.update(np.zeros((2, 3)), np.zeros((2, 3)), np.array([1, 2]))
    assert (metric.name, metric.result(), metric.greater_is_better) == ("last", 3.0, False)
    with pytest.raises(ValueError, match="lengths: expected None"):
        metrics.Function(lambda p, t: 0.0, "mine").update(np.zeros((1, 3)), np.zeros((1, 3)), [2])
    with pytest.raises(TypeError, match="mine: expected a function that returns a number"):
        metrics.Function(lambda p, t: "no", "mine").update(np.zeros((1, 3)), np.zeros((1, 3)))


def test_every_name_makes_its_metric():
    for name in metrics.NAMED:
        assert metrics.make(name).name == name
    assert metrics.F1("micro").name == "f1_micro"
    assert metrics.Accuracy(5).name == "top_5_accuracy"


@pytest.mark.parametrize(
    ("error", "match", "call"),
    [
        (ValueError, "metrics: expected one of 'accuracy', 'f1'", lambda: metrics.make("rightness")),
        (ValueError, r"metrics: expected MASE\(series\)", lambda: metrics.make("mase")),
        (TypeError, "metrics: expected an object F1", lambda: metrics.make(metrics.F1)),
        (TypeError, "metrics: ", lambda: metrics.make(3)),
        (ValueError, "target: expected one of 2 classes", lambda: metrics.accuracy(np.zeros((1, 2)), [2])),
        (ValueError, "target: expected class numbers 0 and 1", lambda: metrics.accuracy([0.0], [0.5])),
        (TypeError, "target: expected an array of integers", lambda: metrics.accuracy(np.zeros((1, 2)), [1.0])),
        (ValueError, "target: expected a shape that fits", lambda: metrics.accuracy(np.zeros((2, 2)), [1])),
        (ValueError, "target: expected a shape that fits", lambda: metrics.mae([1.0], [1.0, 2.0])),
        (ValueError, "top_k: expected at most 2", lambda: metrics.accuracy(np.zeros((1, 2)), [1], top_k=3)),
        (ValueError, "average: ", lambda: metrics.f1(np.zeros((1, 3)), [1], average="binary")),
        (ValueError, "average: ", lambda: metrics.F1("mean")),
        (ValueError, "weight: expected finite", lambda: metrics.mae([1.0], [1.0], weight=[-1.0])),
        (ValueError, "weight: expected shape", lambda: metrics.mae([1.0], [1.0], weight=[1.0, 1.0])),
        (ValueError, "lengths: expected None", lambda: metrics.mae([1.0], [1.0], lengths=[1])),
        (ValueError, "series: expected finite", lambda: metrics.MASE([1.0, 1.0])),
        (ValueError, "series: expected shape", lambda: metrics.MASE([1.0])),
        (ValueError, "weight: expected None", lambda: metrics.CER().update(["a"], ["a"], weight=[1.0])),
        (ValueError, "target: expected 1 sequences", lambda: metrics.cer(["a"], ["a", "b"])),
        (TypeError, "target: expected a list of strings", lambda: metrics.cer(["a"], "a")),
    ],
)
def test_what_is_refused(error, match, call):
    with pytest.raises(error, match=match):
        call()


@pytest.mark.compare
@pytest.mark.parametrize("average", ["macro", "micro", "weighted"])
@pytest.mark.parametrize("name", ["f1", "precision", "recall"])
def test_averages_are_those_of_scikit_learn(name, average):
    sklearn = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(5)
    logits, target, weight = rng.normal(size=(50, 6)), rng.integers(4, size=50), rng.uniform(size=50)
    theirs = getattr(sklearn, f"{name}_score")(
        target, logits.argmax(1), average=average, sample_weight=weight, zero_division=0.0
    )
    ours = getattr(metrics, name)(logits, target, weight=weight, average=average)
    np.testing.assert_allclose(ours, theirs, rtol=1e-12)
