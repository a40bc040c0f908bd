"""The losses: values and gradients against the NumPy reference, the complex step, and numbers worked out by hand."""

import numpy as np
import pytest
import reference
import reference_training

import clstm
from clstm.losses import cross_entropy, mse

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
