"""The losses: values and gradients against the NumPy reference, the complex step, and numbers worked out by hand."""

import copy
import json
import pickle
import tracemalloc
from typing import NamedTuple

import hypothesis
import numpy as np
import pytest
import reference
import reference_losses as twin
import reference_training
from hypothesis import strategies as st

import clstm
from clstm import losses
from clstm.losses import cross_entropy, mse

# Those that say something of each step by itself
STEPWISE = [name for name, loss in losses.NAMED.items() if not loss.of_sequences]
TOLERANCE = {"float32": 1e-5, "float64": 1e-12}

# N, T and features; T None: no axis of time. Sizes around those of vectors, one element, many blocks of rows.
SHAPES = [(1, None, 1), (5, None, 3), (3, 1, 1), (2, 5, 4), (7, 3, 17), (4, 6, 16), (300, 2, 15), (1, 2, 1025)]


def shape_id(shape):
    return "N{}-T{}-F{}".format(*shape)


def array_shape(shape):
    N, T, F = shape
    return (N, F) if T is None else (N, T, F)


def some_lengths(rng, shape):
    """Lengths of all kinds, with at least one valid step."""
    lengths = rng.integers(0, shape[1] + 1, shape[0])
    lengths[-1] = shape[1]
    return lengths


def relative_error(found, expected):
    return np.abs(found - expected).max() / max(np.abs(expected).max(), 1e-300)


@pytest.fixture
def threads():
    """Sets the number of threads, and sets it back."""
    before = clstm.get_num_threads()
    yield clstm.set_num_threads
    clstm.set_num_threads(before)


# Numbers worked out by hand


def test_mse_by_hand():
    # errors 1, -2, 0, 3: (1 + 4 + 0 + 9) / 4, and 2 / 4 times each
    loss, gradient = mse(np.array([[2.0, 0.0], [5.0, 1.0]]), np.array([[1.0, 2.0], [5.0, -2.0]]))
    assert loss == 3.5
    np.testing.assert_array_equal(gradient, [[0.5, -1.0], [0.0, 1.5]])


def test_mse_by_hand_with_lengths():
    # two valid steps with errors 1 and -3; the third is padding
    prediction = np.array([[[1.0], [7.0]], [[2.0], [9.0]]])
    loss, gradient = mse(prediction, np.array([[[0.0], [7.0]], [[5.0], [0.0]]]), lengths=[2, 1])
    assert loss == pytest.approx((1 + 0 + 9) / 3, rel=1e-15)
    np.testing.assert_allclose(gradient[:, :, 0], [[2 / 3, 0], [-2, 0]], rtol=1e-15)


def test_cross_entropy_by_hand():
    # probabilities 1/4 and 3/4, then three times 1/3
    logits = np.array([[0.0, np.log(3.0), -np.inf], [5.0, 5.0, 5.0]])
    loss, gradient = cross_entropy(logits, np.array([1, 0]))
    assert loss == pytest.approx((np.log(4 / 3) + np.log(3)) / 2, rel=1e-14)
    np.testing.assert_allclose(gradient, [[1 / 8, -1 / 8, 0], [-1 / 3, 1 / 6, 1 / 6]], rtol=1e-14, atol=1e-17)


# Against the reference


@pytest.mark.parametrize("padded", [False, True], ids=["full", "padded"])
@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("shape", SHAPES, ids=shape_id)
def test_mse_is_that_of_the_reference(isa, rng, shape, dtype, padded):
    if padded and shape[1] is None:
        shape = (shape[0], 4, shape[2])
    prediction, target = rng.standard_normal((2, *array_shape(shape))).astype(dtype)
    lengths = some_lengths(rng, shape) if padded else None
    loss, gradient = mse(prediction, target, lengths)
    expected, expected_gradient = reference_training.mse(prediction.astype(float), target.astype(float), lengths)
    assert loss == pytest.approx(expected, rel=TOLERANCE[dtype])
    assert gradient.dtype == dtype
    assert gradient.shape == prediction.shape
    assert relative_error(gradient, expected_gradient) < TOLERANCE[dtype]


@pytest.mark.parametrize("padded", [False, True], ids=["full", "padded"])
@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("shape", SHAPES, ids=shape_id)
def test_cross_entropy_is_that_of_the_reference(isa, rng, shape, dtype, padded):
    if padded and shape[1] is None:
        shape = (shape[0], 4, shape[2])
    logits = (3 * rng.standard_normal(array_shape(shape))).astype(dtype)
    target = rng.integers(shape[2], size=logits.shape[:-1])
    lengths = some_lengths(rng, shape) if padded else None
    loss, gradient = cross_entropy(logits, target, lengths)
    expected, expected_gradient = reference_training.cross_entropy(logits.astype(float), target, lengths)
    assert loss == pytest.approx(expected, rel=TOLERANCE[dtype], abs=1e-15)
    assert gradient.dtype == dtype
    assert gradient.shape == logits.shape
    if shape[2] > 1:
        assert relative_error(gradient, expected_gradient) < TOLERANCE[dtype]
    else:
        assert not gradient.any()  # with one class there is nothing to learn


@pytest.mark.parametrize("lengths", [None, [3, 0, 1]], ids=["full", "padded"])
def test_gradients_are_those_of_the_complex_step(isa, rng, lengths):
    """The reference only computes the value here; its own gradient is not used."""
    logits, target = rng.standard_normal((2, 3, 3, 4))
    labels = rng.integers(4, size=(3, 3))
    (expected,) = reference.complex_step(lambda p: reference_training.mse(p, target, lengths)[0], logits)
    assert relative_error(mse(logits, target, lengths)[1], expected) < 1e-13
    (expected,) = reference.complex_step(lambda z: reference_training.cross_entropy(z, labels, lengths)[0], logits)
    assert relative_error(cross_entropy(logits, labels, lengths)[1], expected) < 1e-13


# Padding, extremes, bits


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_padding_is_never_read_and_gets_no_gradient(isa, rng, dtype):
    lengths = [2, 0, 5]
    padding = np.arange(5) >= np.array(lengths)[:, None]
    prediction, target = rng.standard_normal((2, 3, 5, 4)).astype(dtype)
    labels = rng.integers(4, size=(3, 5))
    clean = mse(prediction, target, lengths), cross_entropy(prediction, labels, lengths)
    prediction[padding], target[padding], labels[padding] = np.nan, np.inf, -(10**9)
    for (loss, gradient), (clean_loss, clean_gradient) in zip(
        (mse(prediction, target, lengths), cross_entropy(prediction, labels, lengths)), clean, strict=True
    ):
        assert loss == clean_loss
        np.testing.assert_array_equal(gradient, clean_gradient)
        assert not gradient[padding].any()
        assert gradient[~padding].all()


def test_without_a_valid_step_loss_and_gradient_are_zero():
    prediction = np.full((2, 3, 2), np.nan)
    for loss, gradient in (
        mse(prediction, prediction, [0, 0]),
        cross_entropy(prediction, np.full((2, 3), 7), [0, 0]),
    ):
        assert loss == 0
        np.testing.assert_array_equal(gradient, np.zeros((2, 3, 2)))


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_cross_entropy_of_huge_logits_neither_overflows_nor_vanishes(isa, dtype):
    logits = np.array([[1e4, -1e4, 0], [-3e4, -3e4, -4e4]], dtype)
    loss, gradient = cross_entropy(logits, [2, 0])
    assert loss == pytest.approx((1e4 + np.log(2)) / 2, rel=1e-6)
    np.testing.assert_allclose(gradient, [[0.5, 0, -0.5], [-0.25, 0.25, 0]], rtol=1e-6)


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_nan_goes_through(isa, dtype):
    prediction = np.array([[1, np.nan, 2]], dtype)
    assert np.isnan(mse(prediction, np.zeros((1, 3)))[0])
    assert np.isnan(mse(np.zeros((1, 3), dtype), prediction)[0])
    assert np.isnan(cross_entropy(prediction, [0])[0])
    assert np.isinf(cross_entropy(np.array([[-np.inf, 0]], dtype), [0])[0])


def test_a_million_float32_elements_are_summed_in_double():
    prediction = np.full((1000, 1000), np.float32(0.1))
    loss, _ = mse(prediction, np.zeros_like(prediction))
    assert loss == pytest.approx(float(np.float32(0.1)) ** 2, rel=1e-7)


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_bits_do_not_depend_on_threads(isa, rng, threads, dtype):
    prediction, target = rng.standard_normal((2, 500, 40, 11)).astype(dtype)
    labels, lengths = rng.integers(11, size=(500, 40)), rng.integers(0, 41, 500)
    found = []
    for count in (1, 2):
        threads(count)
        found.append((mse(prediction, target, lengths), cross_entropy(prediction, labels, lengths)))
    for (loss_1, gradient_1), (loss_2, gradient_2) in zip(*found, strict=True):
        assert loss_1 == loss_2
        np.testing.assert_array_equal(gradient_1, gradient_2)


# What may come in


def test_targets_of_other_layouts_and_types_are_taken(rng):
    prediction = rng.standard_normal((4, 3, 2))
    target = rng.integers(2, size=(4, 3, 2))
    expected = mse(prediction, target.astype(float))
    for same in (target.astype(np.int8), np.asfortranarray(target), target.tolist(), target.astype(bool)):
        loss, gradient = mse(np.asfortranarray(prediction), same)
        assert loss == expected[0]
        np.testing.assert_array_equal(gradient, expected[1])
    labels = target[:, :, 0]
    expected = cross_entropy(prediction, labels)
    for same in (labels.astype(np.uint8), np.asfortranarray(labels), labels.tolist(), labels.astype(np.uint64)):
        loss, gradient = cross_entropy(prediction, same)
        assert loss == expected[0]
        np.testing.assert_array_equal(gradient, expected[1])


def test_a_last_axis_of_one_may_be_missing_in_the_target_of_mse(rng):
    prediction = rng.standard_normal((6, 1))
    target = rng.standard_normal(6)
    loss, gradient = mse(prediction, target)  # NumPy would compare each with each
    assert loss == pytest.approx(((prediction[:, 0] - target) ** 2).mean(), rel=1e-14)
    assert gradient.shape == (6, 1)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: mse(np.ones((2, 3)), np.ones((2, 4))), ValueError, r"target: expected shape \(2, 3\).*got.*\(2, 4\)"),
        (lambda: mse(np.ones((2, 3)), np.ones((1, 3))), ValueError, "target: expected shape"),
        (lambda: mse(np.ones((2, 3)), np.ones((2, 3), complex)), TypeError, "target: .*real.*complex128"),
        (lambda: mse(np.ones((2, 3)), [["a"] * 3] * 2), TypeError, "target: .*real"),
        (lambda: mse(np.ones((2, 3), object), np.ones((2, 3))), TypeError, "prediction: .*real.*object"),
        (lambda: mse(np.ones((0, 3)), np.ones((0, 3))), ValueError, r"prediction: .*got shape \(0, 3\)"),
        (lambda: mse(np.float64(1), np.float64(1)), ValueError, r"prediction: .*got shape \(\)"),
        (lambda: mse(np.ones((2, 3, 1)), np.ones((2, 3, 1)), [1, 4]), ValueError, r"lengths: .*0 to 3, got 4 at \[1\]"),
        (lambda: mse(np.ones((2, 3, 1)), np.ones((2, 3, 1)), [1.0, 2.0]), TypeError, "lengths: .*integers"),
        (lambda: mse(np.ones(2), np.ones(2), [1, 1]), ValueError, "prediction: .*time"),
        (lambda: cross_entropy(np.ones((2, 3)), [0, 3]), ValueError, r"target: .*3 classes.*got 3 at \[1\]"),
        (lambda: cross_entropy(np.ones((2, 3)), [-1, 0]), ValueError, r"target: .*3 classes.*got -1 at \[0\]"),
        (lambda: cross_entropy(np.ones((2, 3)), [0.0, 1.0]), TypeError, "target: .*integers.*float64"),
        (
            lambda: cross_entropy(np.ones((2, 3)), np.eye(3, dtype=int)[:2]),
            ValueError,
            r"target: expected shape \(2,\)",
        ),
        (lambda: cross_entropy(np.ones(3), 0), ValueError, "logits: .*2 axes"),
        (lambda: cross_entropy(np.ones((2, 3)), [0, 1], [1, 1]), ValueError, "logits: .*3 axes.*time"),
        (lambda: cross_entropy(np.ones((1, 3)), np.array([2**64 - 1])), ValueError, "target: .*3 classes"),
    ],
)
def test_bad_arguments_are_named(call, error, message):
    with pytest.raises(error, match=message):
        call()


# All losses with their options. VECTOR stands for one number for each feature or class.

VECTOR = "vector"


class Variant(NamedTuple):
    """A loss with options, its twin, and how many numbers of a prediction belong to one of a target."""

    twin: str
    make: type
    options: dict
    outputs: int = 1

    def loss(self, F, **more):
        return self.make(**self.given(F), **more)

    def twin_options(self, F):
        return twin.Options(**self.given(F))

    def given(self, F):
        vector = np.linspace(0.3, 2, F)
        return {name: vector if value is VECTOR else value for name, value in self.options.items()}

    def problem(self, rng, shape, dtype):
        """Prediction and target."""
        N, T, F = shape
        steps = (N,) if T is None else (N, T)
        prediction = (2 * rng.standard_normal((*steps, F * self.outputs))).astype(dtype)
        if self.twin == "cross_entropy":
            target = rng.integers(F, size=steps)
            ignored = self.options.get("ignore_index")
            return prediction, target if ignored is None else np.where(rng.random(steps) < 0.3, ignored, target)
        if self.twin == "cross_entropy-probabilities":
            return prediction, rng.dirichlet(np.ones(F), steps).astype(dtype)
        if self.twin == "binary_cross_entropy":
            return prediction, rng.random((*steps, F)).astype(dtype)
        return prediction, rng.standard_normal((*steps, F)).astype(dtype)


VARIANTS = {
    "mse": Variant("mse", losses.MSE, {}),
    "mae": Variant("mae", losses.MAE, {}),
    "huber": Variant("huber", losses.Huber, {}),
    "huber-0.3": Variant("huber", losses.Huber, {"delta": 0.3}),
    "quantile": Variant("quantile", losses.Quantile, {}, 3),
    "quantile-0.7": Variant("quantile", losses.Quantile, {"quantiles": (0.7,)}),
    "gaussian": Variant("gaussian_nll", losses.GaussianNLL, {}, 2),
    "gaussian-full": Variant("gaussian_nll", losses.GaussianNLL, {"full": True, "eps": 0.5}, 2),
    "binary": Variant("binary_cross_entropy", losses.BinaryCrossEntropy, {}),
    "binary-weight": Variant("binary_cross_entropy", losses.BinaryCrossEntropy, {"pos_weight": 2.5}),
    "binary-all": Variant(
        "binary_cross_entropy", losses.BinaryCrossEntropy, {"pos_weight": VECTOR, "label_smoothing": 0.2}
    ),
    "classes": Variant("cross_entropy", losses.CrossEntropy, {}),
    "classes-weight": Variant("cross_entropy", losses.CrossEntropy, {"class_weight": VECTOR}),
    "classes-smooth": Variant("cross_entropy", losses.CrossEntropy, {"label_smoothing": 0.1}),
    "classes-ignore": Variant("cross_entropy", losses.CrossEntropy, {"ignore_index": -100}),
    "classes-all": Variant(
        "cross_entropy", losses.CrossEntropy, {"class_weight": VECTOR, "label_smoothing": 0.1, "ignore_index": 0}
    ),
    "probabilities": Variant("cross_entropy-probabilities", losses.CrossEntropy, {}),
    "probabilities-all": Variant(
        "cross_entropy-probabilities", losses.CrossEntropy, {"class_weight": VECTOR, "label_smoothing": 0.3}
    ),
}
EVERY = pytest.mark.parametrize("variant", VARIANTS.values(), ids=VARIANTS)

# Around the widths of pairs and chunks of 64
SIZES = [(1, None, 1), (5, None, 3), (3, 5, 4), (2, 3, 17), (2, 2, 65), (1, 2, 200), (7, 64, 1)]


def some_weights(rng, shape, dtype):
    """None, of rows, and of steps; each with a 0, and of steps some that are alike."""
    N, T, _ = shape
    rows = rng.uniform(0.1, 2, N).astype(dtype)
    rows[: N // 3] = 0
    if T is None:
        return [None, rows]
    steps = rng.integers(0, 3, (N, T)).astype(dtype)
    steps[-1, 0] = 1
    return [None, rows, steps]


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("shape", SIZES, ids=shape_id)
@EVERY
def test_every_loss_is_that_of_its_twin(isa, rng, variant, shape, dtype):
    """With lengths, weights and both reductions."""
    prediction, target = variant.problem(rng, shape, dtype)
    exact_target = target if variant.twin == "cross_entropy" else target.astype(float)
    options = variant.twin_options(shape[2])
    for lengths in [None] if shape[1] is None else [None, some_lengths(rng, shape)]:
        for weight in some_weights(rng, shape, dtype):
            for reduction in ("mean", "sum"):
                loss = variant.loss(shape[2], reduction=reduction)
                checked = loss.checked(target, prediction.shape, lengths)
                found = loss.compute(prediction, checked, lengths, weight)
                expected, gradient, divisor = twin.total(
                    variant.twin, prediction.astype(float), exact_target, lengths, weight, reduction, options
                )
                assert found.loss == pytest.approx(expected, rel=TOLERANCE[dtype], abs=1e-14)
                assert found.weight == pytest.approx(divisor, rel=1e-14, abs=0)
                assert (found.gradient.dtype, found.gradient.shape) == (dtype, prediction.shape)
                np.testing.assert_allclose(
                    found.gradient, gradient, rtol=0, atol=TOLERANCE[dtype] * max(1e-3, np.abs(gradient).max())
                )
                without = loss.compute(prediction, checked, lengths, weight, gradient=False)
                assert without == (found.loss, None, found.weight)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@EVERY
def test_twins_and_losses_have_the_gradient_of_the_complex_step(isa, rng, variant, reduction):
    shape, lengths = (3, 4, 3), [4, 0, 2]
    prediction, target = variant.problem(rng, shape, "float64")
    weight = rng.uniform(0.1, 2, (3, 4))
    given = (lengths, weight, reduction, variant.twin_options(3))
    (expected,) = reference.complex_step(lambda p: twin.total(variant.twin, p, target, *given)[0], prediction)
    assert np.abs(expected).max() > 0.01
    assert relative_error(twin.total(variant.twin, prediction, target, *given)[1], expected) < 1e-13
    found = variant.loss(3, reduction=reduction).compute(prediction, target, np.array(lengths), weight)
    assert relative_error(found.gradient, expected) < 1e-13


# By hand


def test_mae_by_hand():
    loss, gradient = losses.mae(np.array([[1.0, 5.0, 2.0, 0.0]]), np.array([[2.0, 2.0, 2.0, 4.0]]))
    assert loss == (1 + 3 + 0 + 4) / 4
    np.testing.assert_array_equal(gradient, [[-0.25, 0.25, 0, -0.25]])


def test_huber_by_hand():
    loss, gradient = losses.huber(np.array([[1.0, 5.0], [2.0, -3.0]]), np.zeros((2, 2)), delta=2.0)
    assert loss == (1 / 2 + 2 * (5 - 1) + 4 / 2 + 2 * (3 - 1)) / 4
    np.testing.assert_array_equal(gradient, np.array([[1, 2], [2, -2]]) / 4)


def test_quantile_by_hand():
    """Two features, two quantiles each, side by side."""
    prediction = np.array([[1.0, 5.0, 0.0, 3.0]])
    loss, gradient = losses.quantile(prediction, [[2.0, 3.0]], quantiles=[0.1, 0.8])
    assert loss == pytest.approx((0.1 * 1 + 0.2 * 3 + 0.1 * 3 + 0) / 4, rel=1e-15)
    np.testing.assert_allclose(gradient, np.array([[-0.1, 0.2, -0.1, 0]]) / 4, rtol=1e-15)


def test_gaussian_by_hand():
    """Standard deviation 2, error 3: log 2 + 9 / 8; `full` adds log(2 pi) / 2."""
    prediction, target = np.array([[4.0, np.log(4)]]), np.array([[1.0]])
    loss, gradient = losses.gaussian_nll(prediction, target, eps=1e-300)
    assert loss == pytest.approx(np.log(2) + 9 / 8, rel=1e-15)
    np.testing.assert_allclose(gradient, [[3 / 4, (1 - 9 / 4) / 2]], rtol=1e-15)
    more = losses.gaussian_nll(prediction, target, eps=1e-300, full=True)
    assert more[0] - loss == pytest.approx(np.log(2 * np.pi) / 2, rel=1e-14)
    np.testing.assert_array_equal(more[1], gradient)


def test_binary_cross_entropy_by_hand():
    """A probability of 3/4: log(4/3) for a yes, log 4 for a no."""
    logits = np.array([[np.log(3), np.log(3)]])
    loss, gradient = losses.binary_cross_entropy(logits, [[True, False]])
    assert loss == pytest.approx((np.log(4 / 3) + np.log(4)) / 2, rel=1e-15)
    np.testing.assert_allclose(gradient, [[-1 / 8, 3 / 8]], rtol=1e-15)
    loss, gradient = losses.binary_cross_entropy(logits, [[1, 0]], pos_weight=5)
    assert loss == pytest.approx((5 * np.log(4 / 3) + np.log(4)) / 2, rel=1e-15)
    np.testing.assert_allclose(gradient, [[-5 / 8, 3 / 8]], rtol=1e-15)


def test_weights_by_hand():
    """Errors 1, 2, 3, 4 with the weights 0, 3, 1, 4: the sum of w l by the sum of w, and the sum."""
    prediction, target = np.array([[[1.0], [2.0]], [[3.0], [4.0]]]), np.zeros((2, 2, 1))
    weight = [[0, 3], [1, 4]]
    assert mse(prediction, target, weight=weight)[0] == (3 * 4 + 9 + 4 * 16) / 8
    assert mse(prediction, target, weight=weight, reduction="sum")[0] == 3 * 4 + 9 + 4 * 16
    assert mse(prediction, target, [2, 1], weight)[0] == (3 * 4 + 9) / 4
    assert mse(prediction, target, weight=[1, 3])[0] == (1 + 4 + 3 * 9 + 3 * 16) / (1 + 1 + 3 + 3)
    np.testing.assert_array_equal(mse(prediction, target, weight=weight)[1].ravel(), np.array([0, 12, 6, 32]) / 8)


def test_class_weights_by_hand():
    """Equal logits of 4 classes lose log 4, whatever the target is, so that only the weights are seen."""
    logits, target, class_weight = np.zeros((3, 4)), np.array([0, 1, 3]), np.array([1.0, 2, 5, 0])
    for reduction, expected in (("mean", np.log(4)), ("sum", 3 * np.log(4))):
        loss, gradient = cross_entropy(logits, target, class_weight=class_weight, reduction=reduction)
        assert loss == pytest.approx(expected, rel=1e-15)
    expected = class_weight[target, None] * (0.25 - np.eye(4)[target])
    np.testing.assert_allclose(gradient, expected, rtol=1e-15)
    assert losses.CrossEntropy(class_weight=class_weight).compute(logits, target).weight == 3


# Weights


@EVERY
def test_weights_of_one_change_no_bit(isa, rng, variant):
    prediction, target = variant.problem(rng, (4, 5, 3), "float32")
    loss, lengths = variant.loss(3), np.array([5, 0, 3, 2])
    for rows in (None, lengths):
        plain = loss.compute(prediction, target, rows)
        for weight in (np.ones(4, "f4"), np.ones((4, 5), "f4"), np.full(4, 4, "f4"), np.full((4, 5), 0.25, "f4")):
            found = loss.compute(prediction, target, rows, weight)
            assert found.loss == plain.loss
            assert found.weight == plain.weight * weight.flat[0]
            np.testing.assert_array_equal(found.gradient, plain.gradient)


@EVERY
def test_a_weight_of_zero_is_as_good_as_a_length(isa, rng, variant):
    prediction, target = variant.problem(rng, (4, 5, 3), "float32")
    loss, lengths = variant.loss(3), np.array([5, 0, 3, 2])
    valid = np.arange(5) < lengths[:, None]
    expected = loss.compute(prediction, target, lengths)
    prediction[~valid] = np.nan  # is not read
    found = loss.compute(prediction, target, None, valid.astype("f4"))
    assert (found.loss, found.weight) == (expected.loss, expected.weight)
    np.testing.assert_array_equal(found.gradient, expected.gradient)


@hypothesis.given(st.lists(st.integers(0, 4), min_size=3, max_size=3).filter(any), st.sampled_from(list(VARIANTS)))
def test_a_weight_is_a_repetition(weight, name):
    """A row of weight 3 is three rows."""
    variant, rng = VARIANTS[name], np.random.default_rng(sum(weight))
    prediction, target = variant.problem(rng, (3, 2, 4), "float64")
    loss = variant.loss(4)
    weighted = loss.compute(prediction, target, None, np.array(weight, float))
    repeated = loss.compute(np.repeat(prediction, weight, axis=0), np.repeat(target, weight, axis=0))
    assert weighted.loss == pytest.approx(repeated.loss, rel=1e-13)
    assert weighted.weight == pytest.approx(repeated.weight, rel=1e-13, abs=0)


@EVERY
def test_batches_add_up_by_their_weights(rng, variant):
    prediction, target = variant.problem(rng, (6, 3, 4), "float64")
    weight, loss = rng.uniform(0, 2, (6, 3)), variant.loss(4)
    whole = loss.compute(prediction, target, None, weight)
    parts = [loss.compute(prediction[k : k + 2], target[k : k + 2], None, weight[k : k + 2]) for k in (0, 2, 4)]
    assert sum(part.loss * part.weight for part in parts) == pytest.approx(whole.loss * whole.weight, rel=1e-13)
    assert sum(part.weight for part in parts) == pytest.approx(whole.weight, rel=1e-13)


@pytest.mark.parametrize("value", [[1, 2], [[1, 0], [0.5, 1]], np.ones(2, bool), np.array([1, 3], np.uint8)])
@pytest.mark.parametrize("dtype", TOLERANCE)
def test_checked_weights(value, dtype):
    found = losses.checked_weight("weight", value, 2, 2, np.dtype(dtype))
    assert found.dtype == dtype
    assert found.flags.c_contiguous
    np.testing.assert_array_equal(found, np.array(value, float))


@pytest.mark.parametrize(
    ("value", "T", "error", "message"),
    [
        ([1, 2, 3], 4, ValueError, r"sample_weight: expected shape \(2,\) or \(2, 4\), got shape \(3,\)"),
        (np.ones((2, 4)), None, ValueError, r"sample_weight: expected shape \(2,\), got shape \(2, 4\)"),
        ([1, -2], 4, ValueError, r"sample_weight: expected finite weights of at least 0, got -2.0 at \[1\]"),
        ([1, np.nan], 4, ValueError, "sample_weight: .*got nan"),
        ([[1, 1, np.inf, 1], [1] * 4], 4, ValueError, r"sample_weight: .*got inf at \[0, 2\]"),
        ([1, 1e300], 4, ValueError, "sample_weight: .*got inf"),
        ([0, 0], 4, ValueError, "sample_weight: expected at least one weight above 0, got zeros only"),
        (["a", "b"], 4, TypeError, "sample_weight: expected an array of real numbers"),
    ],
)
def test_bad_weights_are_named(value, T, error, message):
    with pytest.raises(error, match=message):
        losses.checked_weight("sample_weight", value, 2, T, np.dtype("float32"))


# Padding, extremes, bits of all losses


@EVERY
def test_no_loss_reads_padding_or_what_is_ignored(isa, rng, variant):
    prediction, target = variant.problem(rng, (3, 5, 4), "float32")
    loss, lengths = variant.loss(4), np.array([2, 0, 5])
    padding = np.arange(5) >= lengths[:, None]
    clean = loss.compute(prediction, target, lengths)
    prediction[padding], target[padding] = np.nan, -999 if target.dtype.kind == "i" else np.nan
    ignored = target == variant.options.get("ignore_index", -999)
    if ignored.shape == padding.shape:
        prediction[ignored] = np.nan
        padding |= ignored
    found = loss.compute(prediction, loss.checked(target, prediction.shape, lengths), lengths)
    assert found.loss == clean.loss
    np.testing.assert_array_equal(found.gradient, clean.gradient)
    assert not found.gradient[padding].any()
    assert found.gradient[~padding].all()


@EVERY
def test_where_nothing_counts_all_is_zero(isa, rng, variant):
    prediction, target = variant.problem(rng, (2, 3, 4), "float64")
    prediction[:] = np.nan
    for reduction in ("mean", "sum"):
        loss = variant.loss(4, reduction=reduction)
        found = [
            loss.compute(prediction, target, np.zeros(2, np.intp)),
            loss.compute(prediction, target, None, np.zeros(2)),
            loss.compute(prediction, target, None, np.zeros((2, 3))),
        ]
        if "ignore_index" in variant.options:
            found.append(loss.compute(prediction, np.full_like(target, variant.options["ignore_index"])))
        for each in found:
            assert (each.loss, each.weight) == (0, 0)
            np.testing.assert_array_equal(each.gradient, np.zeros(prediction.shape))


def test_a_batch_of_ignored_targets_has_no_loss(isa):
    loss, gradient = cross_entropy(np.full((2, 3), np.nan), [-1, -1], ignore_index=-1)
    assert loss == 0
    np.testing.assert_array_equal(gradient, np.zeros((2, 3)))


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("F", [1, 3, 70])
@EVERY
def test_nan_goes_through_every_loss(isa, rng, variant, F, dtype):
    prediction, target = variant.problem(rng, (2, 2, F), dtype)
    if target.dtype.kind == "i":
        target[:] = min(1, F - 1)
        if F == 1 and variant.options.get("ignore_index") == 0:
            return  # all are ignored
    prediction[1, 0, -1] = np.nan
    found = variant.loss(F).compute(prediction, target)
    assert np.isnan(found.loss)
    assert np.isnan(found.gradient[1, 0, -1])
    assert not np.isnan(found.gradient[[0, 0, 1], [0, 1, 1]]).any()
    if target.dtype.kind == "f":
        prediction, target = variant.problem(rng, (2, 2, F), dtype)
        target[0, 1, 0] = np.nan
        found = variant.loss(F).compute(prediction, target)
        assert np.isnan(found.loss)
        assert np.isnan(found.gradient[0, 1]).any()


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_binary_cross_entropy_at_the_ends(isa, dtype):
    """log(1 + exp(-40)) is exp(-40) to the last digit; infinities are certain."""
    x = np.array([[40], [-40], [1e4], [-1e4], [np.inf], [-np.inf]], dtype)
    for sure in (losses.BinaryCrossEntropy(), losses.BinaryCrossEntropy(pos_weight=1.0)):
        for k, expected in enumerate([np.exp(-40.0), np.exp(-40.0), 0, 0, 0, 0]):
            right, wrong = [sure.compute(x[k : k + 1], np.array([[answer]], dtype)) for answer in (k % 2 == 0, k % 2)]
            assert right.loss == pytest.approx(expected, rel=1e-14)
            assert right.gradient[0, 0] == pytest.approx(-expected if k % 2 == 0 else expected, rel=1e-6)
            assert wrong.loss == pytest.approx(abs(float(x[k, 0])), rel=1e-14)
            assert wrong.gradient[0, 0] == (1 if k % 2 == 0 else -1)


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_gaussian_at_the_ends(isa, dtype):
    """The variance goes from eps to infinity, and neither end makes a NaN."""
    prediction = np.array([[3, -1e4], [3, -np.inf], [3, 1e4], [5, 1e4]], dtype)
    expected = [(np.log(0.01) + 4 / 0.01) / 2] * 2 + [5e3] * 2
    for k in range(4):
        loss, gradient = losses.gaussian_nll(prediction[k : k + 1], np.array([[5]], dtype), eps=0.01)
        assert loss == pytest.approx(expected[k], rel=1e-14)
        np.testing.assert_allclose(gradient, [[-200, 0]] if k < 2 else [[0, 0.5]], rtol=1e-6)


@pytest.mark.parametrize("C", [3, 20, 130])
@pytest.mark.parametrize("dtype", TOLERANCE)
def test_probabilities_with_huge_logits(isa, dtype, C):
    """A class of logit -infinity and target 0 loses nothing; one that the model is sure of has an exact gradient."""
    logits = np.full((2, C), -np.inf, dtype)
    logits[0, :2], logits[1, :2] = [1e4, 1e4 - 20], [-1e4, -3e4]
    target = np.zeros((2, C), dtype)
    target[0, 0], target[1, 1] = 1, 1
    loss, gradient = cross_entropy(logits, target)
    assert loss == pytest.approx((np.log1p(np.exp(-20.0)) + 2e4) / 2, rel=1e-12)
    tail = np.exp(-20.0) / (1 + np.exp(-20.0)) / 2
    np.testing.assert_allclose(gradient[0, :2], [-tail, tail], rtol=1e-6)
    np.testing.assert_allclose(gradient[1, :2], [0.5, -0.5], rtol=1e-6)
    assert not gradient[:, 2:].any()


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("weighted", [False, True], ids=["plain", "weighted"])
@EVERY
def test_no_bit_depends_on_threads(rng, threads, variant, weighted, dtype):
    prediction, target = variant.problem(rng, (300, 20, 12), dtype)
    lengths = rng.integers(0, 21, 300)
    weight = rng.uniform(0, 2, (300, 20)).astype(dtype) if weighted else None
    found = []
    for count in (1, 2):
        threads(count)
        found.append(variant.loss(12).compute(prediction, target, lengths, weight))
    assert (found[0].loss, found[0].weight) == (found[1].loss, found[1].weight)
    np.testing.assert_array_equal(found[0].gradient, found[1].gradient)


def test_a_million_weights_are_summed_in_double():
    prediction = np.full((1000, 1000, 1), np.float32(0.1))
    weight = np.full((1000, 1000), np.float32(0.1))
    weight[::2] = np.float32(0.3)
    found = losses.MSE().compute(prediction, np.zeros_like(prediction), None, weight)
    assert found.loss == pytest.approx(float(np.float32(0.1)) ** 2, rel=1e-12)
    assert found.weight == pytest.approx(5e5 * (float(np.float32(0.1)) + float(np.float32(0.3))), rel=1e-12)


# What may come in


@EVERY
def test_other_layouts_and_types_are_taken(rng, variant):
    prediction, target = variant.problem(rng, (4, 3, 2), "float64")
    loss = variant.loss(2)
    expected = loss.compute(prediction, target)
    views = [np.asfortranarray(prediction), np.repeat(prediction, 2, axis=-1)[..., ::2]]
    targets = [np.asfortranarray(target), target[::-1].copy()[::-1]]
    if variant.twin == "cross_entropy":
        targets += [target.astype(np.int8), target.astype(np.int32)]
    for view in views:
        for same in targets:
            found = loss.compute(view, loss.checked(same, view.shape))
            assert found.loss == expected.loss
            np.testing.assert_array_equal(found.gradient, expected.gradient)
            assert found.gradient.flags.c_contiguous


@pytest.mark.parametrize("name", STEPWISE)
def test_a_target_of_one_feature_may_come_without_its_axis(rng, name):
    loss = losses.NAMED[name]()
    if name == "cross_entropy":
        return
    features = {"quantile": 3, "gaussian_nll": 2}.get(name, 1)
    prediction, target = rng.standard_normal((6, 4, features)), rng.random((6, 4))
    call = getattr(losses, name)
    with_axis, without = call(prediction, target[..., None]), call(prediction, target)
    assert with_axis[0] == without[0]
    np.testing.assert_array_equal(with_axis[1], without[1])
    assert loss.checked(target, prediction.shape).shape == (6, 4, 1)


def test_sequences_without_an_axis_of_features(rng):
    """(N, T) with lengths, or with a weight of each step."""
    prediction, target = rng.standard_normal((2, 3, 4))
    weight, lengths = rng.random((3, 4)), [4, 2, 1]
    for given in ((lengths, None), (None, weight), (lengths, weight)):
        found = mse(prediction, target, *given)
        expected = mse(prediction[..., None], target[..., None], *given)
        assert found[0] == expected[0]
        np.testing.assert_array_equal(found[1], expected[1][..., 0])


@pytest.mark.parametrize("name", STEPWISE)
def test_functions_and_objects_are_the_same(rng, name):
    variant = next(variant for variant in VARIANTS.values() if variant.make is losses.NAMED[name])
    prediction, target = variant.problem(rng, (3, 4, 5), "float64")
    lengths, weight = np.array([4, 1, 2]), rng.uniform(0.1, 1, (3, 4))
    loss, gradient = getattr(losses, name)(prediction.tolist(), target.tolist(), lengths.tolist(), weight.tolist())
    expected = variant.loss(5).compute(prediction, target, lengths, weight)
    assert loss == expected.loss
    np.testing.assert_array_equal(gradient, expected.gradient)
    assert losses.make(name).name == name


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: losses.quantile(np.ones((2, 4)), np.ones((2, 1))), ValueError, "prediction: expected a multiple of 3"),
        (lambda: losses.quantile(np.ones((2, 3)), np.ones((2, 3))), ValueError, r"target: expected shape \(2, 1\)"),
        (lambda: losses.quantile(np.ones((2, 3)), np.ones(2), quantiles=[0, 0.5]), ValueError, "quantiles: .*0 and 1"),
        (lambda: losses.quantile(np.ones((2, 3)), np.ones(2), quantiles=[np.nan]), ValueError, "quantiles: .*0 and 1"),
        (lambda: losses.quantile(np.ones((2, 3)), np.ones(2), quantiles=[]), ValueError, r"quantiles: .*shape \(0,\)"),
        (lambda: losses.quantile(np.ones((2, 3)), np.ones(2), quantiles="half"), TypeError, "quantiles: "),
        (lambda: losses.quantile(np.ones(3), 1), ValueError, "prediction: .*2 axes"),
        (lambda: losses.gaussian_nll(np.ones((2, 3)), np.ones((2, 1))), ValueError, "prediction: .*multiple of 2"),
        (lambda: losses.gaussian_nll(np.ones((2, 2)), np.ones((2, 2))), ValueError, r"target: expected shape \(2, 1\)"),
        (lambda: losses.gaussian_nll(np.ones((2, 2, 2, 2)), np.ones((2, 2, 2, 1))), ValueError, "prediction: .*2 F"),
        (lambda: losses.gaussian_nll(np.ones((2, 2)), np.ones(2), eps=0), ValueError, "eps: .*above 0, got 0"),
        (lambda: losses.gaussian_nll(np.ones((2, 2)), np.ones(2), full=1), TypeError, "full: expected True or False"),
        (lambda: losses.huber(np.ones((2, 2)), np.ones((2, 2)), delta=-1), ValueError, "delta: .*above 0, got -1"),
        (lambda: losses.huber(np.ones((2, 2)), np.ones((2, 2)), delta=np.inf), ValueError, "delta: .*got inf"),
        (lambda: losses.huber(np.ones((2, 2)), np.ones((2, 2)), delta="1"), TypeError, "delta: "),
        (lambda: mse(np.ones((2, 2)), np.ones((2, 2)), reduction="none"), ValueError, "reduction: .*'mean', 'sum'"),
        (lambda: mse(np.ones((2, 2)), np.ones((2, 2)), weight=[1, -1]), ValueError, "weight: .*got -1"),
        (lambda: mse(np.ones((2, 2)), np.ones((2, 2)), weight=[0, 0]), ValueError, "weight: .*zeros only"),
        (lambda: cross_entropy(np.ones((2, 2)), [0, 1], weight=np.ones((2, 2))), ValueError, r"weight: .*\(2,\), got"),
        (
            lambda: losses.binary_cross_entropy(np.ones((2, 2)), [[0, 1], [1, 1.5]]),
            ValueError,
            r"target: expected numbers from 0 to 1, got 1.5 at \[1, 1\]",
        ),
        (
            lambda: losses.binary_cross_entropy(np.ones((2, 2)), np.ones((2, 2)), pos_weight=[1, 2, 3]),
            ValueError,
            r"pos_weight: expected shape \(2,\).*got shape \(3,\)",
        ),
        (lambda: losses.BinaryCrossEntropy(pos_weight=-1), ValueError, "pos_weight: .*at least 0"),
        (lambda: losses.BinaryCrossEntropy(pos_weight=[1, -1]), ValueError, "pos_weight: .*at least 0"),
        (lambda: losses.BinaryCrossEntropy(pos_weight="2"), TypeError, "pos_weight: "),
        (lambda: losses.BinaryCrossEntropy(label_smoothing=1.1), ValueError, "label_smoothing: .*from 0 to 1"),
        (
            lambda: cross_entropy(np.ones((2, 3)), [0, 1], class_weight=[1, 2]),
            ValueError,
            r"class_weight: expected shape \(3,\).*got shape \(2,\)",
        ),
        (lambda: losses.CrossEntropy(class_weight=[0, 0]), ValueError, "class_weight: .*not all of them 0"),
        (lambda: losses.CrossEntropy(class_weight=[1, np.inf]), ValueError, "class_weight: "),
        (lambda: losses.CrossEntropy(class_weight="balanced"), TypeError, "class_weight: "),
        (lambda: losses.CrossEntropy(label_smoothing=-0.1), ValueError, "label_smoothing: "),
        (lambda: losses.CrossEntropy(ignore_index=1.0), TypeError, "ignore_index: expected an int or None"),
        (lambda: losses.CrossEntropy(ignore_index=2**63), ValueError, "ignore_index: "),
        (lambda: cross_entropy(np.ones((2, 3)), [0, -100]), ValueError, r"target: .*got -100 at \[1\]"),
        (lambda: cross_entropy(np.ones((2, 3)), [0, 3], ignore_index=-100), ValueError, r"target: .*got 3 at \[1\]"),
        (lambda: cross_entropy(np.ones((2, 3)), np.full((2, 3), 1.5)), ValueError, "target: .*from 0 to 1, got 1.5"),
        (
            lambda: cross_entropy(np.ones((2, 3)), np.full((2, 3), 0.5), ignore_index=1),
            ValueError,
            "ignore_index: expected None, because target holds probabilities",
        ),
        (
            lambda: cross_entropy(np.ones((2, 3, 4, 5)), np.ones((2, 3, 4), int)),
            ValueError,
            r"prediction: .*\(N, T, C\)",
        ),
    ],
)
def test_bad_arguments_of_all_losses_are_named(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_options_are_attributes_that_are_checked_when_they_are_set():
    loss = losses.Huber(delta=2)
    assert (loss.delta, loss.reduction) == (2.0, "mean")
    loss.delta, loss.reduction = 3, "sum"
    assert loss.compute(np.full((1, 1), 9.0), np.zeros((1, 1))).loss == 3 * (9 - 1.5)
    for name, value in (("delta", 0), ("reduction", "none")):
        with pytest.raises(ValueError, match=f"{name}: "):
            setattr(loss, name, value)
    assert (loss.delta, loss.reduction) == (3.0, "sum")
    weights = losses.CrossEntropy(class_weight=[1, 2]).class_weight
    with pytest.raises(ValueError, match="read-only"):
        weights[0] = -1


@EVERY
def test_losses_are_copied_pickled_and_written_as_json(rng, variant):
    prediction, target = variant.problem(rng, (3, 2, 4), "float64")
    loss = variant.loss(4, reduction="sum")
    expected = loss.compute(prediction, target)
    config = json.loads(json.dumps(loss.config()))
    assert set(variant.options) <= set(config)
    for same in (copy.deepcopy(loss), pickle.loads(pickle.dumps(loss)), type(loss)(**config)):
        assert repr(same) == repr(loss)
        assert same.config() == config
        found = same.compute(prediction, target)
        assert found.loss == expected.loss
        np.testing.assert_array_equal(found.gradient, expected.gradient)


def test_a_repr_shows_what_is_not_the_default():
    assert repr(losses.MSE()) == "MSE()"
    assert repr(losses.Huber(delta=2, reduction="sum")) == "Huber(delta=2.0, reduction='sum')"
    assert repr(losses.CrossEntropy(class_weight=[1, 2])) == "CrossEntropy(class_weight=[1.0, 2.0])"
    assert repr(losses.Quantile(quantiles=0.5)) == "Quantile(quantiles=[0.5])"


@pytest.mark.parametrize("shape", [(1 << 18, 4, 1), (2, 1 << 19, 1), (1 << 20,)], ids=["rows", "steps", "numbers"])
def test_targets_are_checked_in_blocks(tmp_path, shape):
    """A mapped file of a megabyte and more is not copied, and what is wrong at its end is found."""
    target = np.memmap(tmp_path / "target", np.uint8, "w+", shape=shape)
    loss = losses.BinaryCrossEntropy() if len(shape) == 3 else losses.CrossEntropy()
    prediction_shape = shape if len(shape) == 3 else (*shape, 2)
    tracemalloc.start()
    same = loss.checked(target, prediction_shape)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert np.shares_memory(same, target)
    assert most < target.size / 2
    last = tuple(axis - 1 for axis in shape)
    target[last] = 2
    with pytest.raises(ValueError, match=rf"target: .*got 2 at \[{', '.join(map(str, last))}\]"):
        loss.checked(target, prediction_shape)


# Losses of one's own


def lopsided(prediction, target):
    """Squares, of which those of too much cost three times as much."""
    error = prediction - target
    cost = np.where(error > 0, 3.0, 1.0)
    return (cost * error**2).mean(), 2 * cost * error / error.size


def weighted_squares(prediction, target, *, lengths=None, weight=None):
    return losses.mse(prediction, target, lengths, weight)


def test_a_function_is_a_loss(rng):
    prediction, target = rng.standard_normal((2, 3, 4, 2)).astype("f4")
    loss = losses.make(lopsided)
    assert isinstance(loss, losses.OwnLoss)
    assert (loss.name, loss.takes_lengths, loss.takes_weight) == ("lopsided", False, False)
    found = loss.compute(prediction, loss.checked(target, prediction.shape))
    expected = lopsided(prediction, target)
    assert (found.loss, found.weight) == (pytest.approx(expected[0]), 12)
    assert found.gradient.dtype == "f4"
    np.testing.assert_array_equal(found.gradient, expected[1].astype("f4"))
    assert loss.compute(prediction, target, gradient=False).gradient is None
    assert loss.config() == {"function": f"{__name__}.lopsided", "aligned": True, "reduction": "mean"}
    for same in (copy.deepcopy(loss), pickle.loads(pickle.dumps(loss))):
        assert same.compute(prediction, target).loss == found.loss


def test_a_function_gets_lengths_and_weights_if_it_has_parameters_for_them(rng):
    prediction, target = rng.standard_normal((2, 3, 4, 2))
    own, lengths = losses.OwnLoss(weighted_squares), np.array([4, 1, 2])
    assert own.takes_lengths
    assert own.takes_weight
    for weight in (None, rng.random(3), rng.random((3, 4))):
        for given in (None, lengths):
            found, expected = (each.compute(prediction, target, given, weight) for each in (own, losses.MSE()))
            assert found.loss == expected.loss
            assert found.weight == pytest.approx(expected.weight, rel=1e-14)
            np.testing.assert_array_equal(found.gradient, expected.gradient)
    assert losses.OwnLoss(lambda prediction, target, **more: None).takes_weight
    assert not losses.OwnLoss(lambda prediction, lengths, /: None).takes_lengths


@pytest.mark.parametrize(
    "function", [abs, lambda prediction: None, lambda p, t, scale: None, lambda weight, lengths: None]
)
def test_a_function_has_to_take_prediction_and_target(function):
    with pytest.raises(TypeError, match=r"function: expected a function \(prediction, target\), got the parameters \("):
        losses.OwnLoss(function)


def test_lengths_and_weights_for_a_function_that_takes_none_are_refused():
    loss, x = losses.OwnLoss(lopsided), np.ones((2, 3, 1))
    for call in (loss.checked, loss.compute):
        with pytest.raises(
            ValueError, match="lengths: expected None, because the loss lopsided has no parameter 'lengths'"
        ):
            call(x, x.shape if call == loss.checked else x, np.array([1, 2]))
    with pytest.raises(ValueError, match="weight: expected None, because the loss lopsided has no parameter 'weight'"):
        loss.compute(x, x, None, np.ones(2))


@pytest.mark.parametrize(
    ("returned", "error", "message"),
    [
        (1.0, TypeError, r"the loss own: expected to return \(loss, gradient\), got float"),
        ((1.0, np.ones((2, 3)), 2), TypeError, "the loss own: expected to return .*got tuple of 3"),
        ((None, np.ones((2, 3))), TypeError, "loss of the loss own: expected a real number, got None"),
        ((1j, np.ones((2, 3))), TypeError, "loss of the loss own: expected a real number"),
        ((np.ones(1), np.ones((2, 3))), TypeError, "loss of the loss own: expected a real number"),
        ((1.0, None), TypeError, r"gradient of the loss own: expected an array of shape \(2, 3\), got NoneType"),
        ((1.0, np.ones((3, 2))), ValueError, r"gradient of the loss own: expected shape \(2, 3\), got shape \(3, 2\)"),
        ((1.0, np.ones((2, 3), complex)), TypeError, "gradient of the loss own: .*real numbers.*complex"),
    ],
)
def test_what_a_function_returns_is_checked(returned, error, message):
    def own(prediction, target):
        return returned

    with pytest.raises(error, match=message):
        losses.OwnLoss(own).compute(np.ones((2, 3)), np.ones((2, 3)))


def test_targets_of_a_function_have_the_rows_and_steps_of_the_prediction():
    aligned, free = losses.OwnLoss(lopsided), losses.OwnLoss(lopsided, aligned=False)
    assert aligned.checked(np.ones((2, 3, 7)), (2, 3, 1)).shape == (2, 3, 7)
    assert free.checked(np.ones((2, 7)), (2, 3, 1)).shape == (2, 7)
    with pytest.raises(ValueError, match=r"y: expected shape \(2, 3, ...\) \(or a loss with aligned=False\), got .*7"):
        aligned.checked(np.ones((2, 7)), (2, 3, 1), None, "y")
    with pytest.raises(ValueError, match=r"y: expected shape \(2, ...\), got shape \(3, 7\)"):
        free.checked(np.ones((3, 7)), (2, 3, 1), None, "y")


@pytest.mark.parametrize(
    ("loss", "error", "message"),
    [
        ("rmse", ValueError, "loss: expected one of 'mse', 'mae', .*'cross_entropy'.*, got 'rmse'"),
        (losses.MSE, TypeError, r"loss: expected .*a Loss or a function .*got the class MSE"),
        (3, TypeError, "loss: expected .*got 3 .int."),
        (None, TypeError, "loss: expected .*got None"),
    ],
)
def test_what_is_no_loss_is_named(loss, error, message):
    with pytest.raises(error, match=message):
        losses.make(loss)
    if not isinstance(loss, str):
        with pytest.raises(TypeError, match="function: expected a function"):
            losses.OwnLoss(loss)


@pytest.mark.parametrize(
    "loss", [*STEPWISE, lopsided, losses.Huber(delta=0.1)], ids=lambda loss: losses.make(loss).name
)
def test_a_trainer_lowers_every_loss(loss):
    made = losses.make(loss)
    features = {"quantile": 6, "gaussian_nll": 4}.get(made.name, 2)
    rng = np.random.default_rng(0)
    net = clstm.Network([clstm.LSTM(3, 8, rng=1), clstm.Dense(8, features, rng=2)])
    x = rng.standard_normal((8, 5, 3))
    y = (x[..., :2] > 0).astype(float)
    trainer = clstm.Trainer(net, loss, learning_rate=0.02, rng=3)
    history = trainer.fit(x, y[..., 0].astype(int) if made.name == "cross_entropy" else y, epochs=20, progress=False)
    assert history["loss"][-1] < history["loss"][0] - 0.02
