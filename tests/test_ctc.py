"""Connectionist temporal classification: loss, gradient, targets, and errors."""

import copy
import pickle

import numpy as np
import pytest
import reference
import reference_ctc
from hypothesis import given
from hypothesis import strategies as st

import clstm
from clstm.losses import CTC, ctc
from clstm.losses.targets import Ragged

TOLERANCE = {"float32": 1e-5, "float64": 1e-12}

# N, T, C, S: single ones, blocks of eight states and their neighbours, as many labels as steps
SIZES = [
    (1, 1, 2, 1),
    (2, 4, 3, 2),
    (3, 9, 5, 4),
    (2, 30, 6, 7),
    (2, 30, 17, 8),
    (2, 31, 9, 9),
    (4, 20, 30, 20),
    (3, 70, 4, 17),
]


def size_id(size):
    return "N{}-T{}-C{}-S{}".format(*size)


def some_labels(rng, S, C, blank, repeats=True):
    """Labels without the blank; if they may repeat, a third of them do."""
    labels = rng.integers(C - 1, size=S)
    if repeats:
        again = rng.random(S) < 1 / 3
        labels[1:][again[1:]] = labels[:-1][again[1:]]
    else:
        labels = np.arange(S) % (C - 1)
    return labels + (labels >= blank)


def needed(labels):
    """The steps that labels need."""
    return len(labels) + int((labels[1:] == labels[:-1]).sum())


def problem(rng, size, blank, *, scale=2):
    """Logits, targets of all lengths, and lengths with room for them; row 0 has exactly the steps it needs."""
    N, T, C, S = size
    targets = []
    for n in range(N):
        labels = some_labels(rng, S if n == 0 else rng.integers(S + 1), C, blank)
        while needed(labels) > T:
            labels = labels[:-1]
        targets.append(labels)
    lengths = np.array([rng.integers(max(needed(labels), 1), T + 1) for labels in targets])
    lengths[0] = max(needed(targets[0]), 1)
    return scale * rng.standard_normal((N, T, C)), targets, lengths


def relative_error(found, expected):
    return np.abs(found - expected).max() / max(np.abs(expected).max(), 1e-300)


# The reference


@pytest.mark.parametrize("blank", [0, 1, 2])
def test_the_reference_adds_up_all_paths(rng, blank):
    logits = rng.standard_normal((4, 3))
    found = reference_ctc.readings(logits, blank)
    assert sum(found.values()) == pytest.approx(1, rel=1e-14)
    assert len(found) > 10
    for labels, probability in found.items():
        assert reference_ctc.row_loss(logits, labels, blank) == pytest.approx(-np.log(probability), rel=1e-13)


@pytest.mark.parametrize("labels", [[], [1], [1, 1], [2, 1, 2], [1, 1, 1], [2, 2, 1]])
def test_the_gradient_of_the_reference_is_that_of_the_complex_step(rng, labels):
    logits = rng.standard_normal((5, 3))
    (expected,) = reference.complex_step(lambda x: reference_ctc.row_loss(x, labels, 0), logits)
    loss, gradient = reference_ctc.row_gradient(logits, labels, 0)
    assert loss == pytest.approx(reference_ctc.row_loss(logits, labels, 0), rel=1e-13)
    np.testing.assert_allclose(gradient, expected, rtol=0, atol=1e-14)


# Loss and gradient


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("size", SIZES, ids=size_id)
def test_loss_and_gradient_are_those_of_the_reference(isa, rng, size, dtype, reduction):
    for blank in {0, size[2] // 2, size[2] - 1}:
        logits, targets, lengths = problem(rng, size, blank)
        logits = logits.astype(dtype)
        weight = rng.random(size[0]).astype(dtype)
        loss, gradient = ctc(logits, targets, lengths, blank=blank, weight=weight, reduction=reduction)
        how = {"blank": blank, "weight": weight, "reduction": reduction}
        expected_loss, expected = reference_ctc.loss_and_gradient(logits.astype(float), targets, lengths, **how)
        assert loss == pytest.approx(expected_loss, rel=TOLERANCE[dtype])
        assert gradient.dtype == dtype
        assert relative_error(gradient, expected) < TOLERANCE[dtype]
        assert CTC(blank=blank, reduction=reduction)(logits, Ragged.of("y", targets), lengths, weight, False)[0] == loss


@given(st.data())
def test_any_small_problem_is_the_sum_over_all_paths(data):
    T, C = data.draw(st.integers(1, 5), "T"), data.draw(st.integers(2, 3), "C")
    blank = data.draw(st.integers(0, C - 1), "blank")
    logits = np.random.default_rng(data.draw(st.integers(0, 99), "seed")).standard_normal((1, T, C))
    classes = [label for label in range(C) if label != blank]
    labels = np.array(data.draw(st.lists(st.sampled_from(classes), max_size=T + 1), "labels"), int)
    probability = reference_ctc.readings(logits[0], blank).get(tuple(labels.tolist()), 0)
    if needed(labels) > T:
        assert probability == 0
        with pytest.raises(ValueError, match=rf"row 0 of length {T}, which needs {needed(labels)}"):
            ctc(logits, [labels], blank=blank)
        return
    loss, gradient = ctc(logits, [labels], blank=blank, reduction="sum")
    assert loss == pytest.approx(-np.log(probability), rel=1e-12, abs=1e-14)
    (expected,) = reference.complex_step(lambda x: reference_ctc.row_loss(x[0], labels, blank), logits)
    np.testing.assert_allclose(gradient, expected, rtol=0, atol=1e-13)


@pytest.mark.parametrize("scale", [1, 30, 1000, 1e6])
@pytest.mark.parametrize(("T", "S"), [(60, 60), (61, 60), (60, 1), (200, 40), (40, 0), (1, 1), (1, 0), (300, 150)])
def test_weights_of_paths_may_lie_apart_as_far_as_they_like(isa, rng, T, S, scale):
    """Far beyond the range of a double; without repeats, so that T may equal S."""
    C = 12
    logits = scale * rng.standard_normal((1, T, C))
    labels = some_labels(rng, S, C, 5, repeats=False)
    expected, expected_gradient = reference_ctc.row_gradient(logits[0], labels, 5)
    loss, gradient = ctc(logits, [labels], blank=5, reduction="sum")
    assert loss == pytest.approx(expected, rel=1e-12)
    rounding = 1e-15 * max(abs(expected), 1)  # of the logarithms that the reference subtracts
    np.testing.assert_allclose(gradient[0], expected_gradient, rtol=0, atol=1e-12 + rounding)
    np.testing.assert_allclose(gradient.sum(axis=2), np.zeros((1, T)), rtol=0, atol=1e-11)


def test_the_gradient_of_a_sure_model_is_exact_in_float32(isa, rng):
    """Where softmax and occupancy agree in all digits of float32, their difference still has most of its own."""
    path = np.array([0, 2, 0, 2, 2, 1, 0])
    logits = np.float32(18) * np.eye(3, dtype=np.float32)[path][np.newaxis] + rng.random((1, 7, 3), np.float32)
    _, expected = reference_ctc.row_gradient(logits[0].astype(float), [2, 2, 1], 0)
    _, gradient = ctc(logits, [[2, 2, 1]], reduction="sum")
    assert np.abs(expected).max() < 1e-6
    assert relative_error(gradient[0], expected) < 1e-6


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_masked_classes_have_no_part(isa, rng, dtype):
    """Logits of -infinity, and finite ones that mean the same, as long as the target does without them."""
    logits = rng.standard_normal((1, 6, 4)).astype(dtype)
    loss, gradient = ctc(logits[:, :, :3], [[1, 2]])
    for masked in (-np.inf, -1e30, np.finfo(dtype).min):
        logits[:, :, 3] = masked
        found, found_gradient = ctc(logits, [[1, 2]])
        assert found == pytest.approx(loss, rel=1e-15)
        np.testing.assert_allclose(found_gradient[:, :, :3], gradient, rtol=1e-6 if dtype == "float32" else 1e-13)
        assert not found_gradient[:, :, 3].any()


@pytest.mark.parametrize("masked", [-np.inf, -2000.0])
def test_a_blank_that_cannot_be_said_leaves_the_labels(isa, rng, masked):
    logits = rng.standard_normal((1, 5, 4))
    logits[:, :, 0] = masked
    loss, gradient = ctc(logits, [[1, 2, 3]], reduction="sum")
    expected, expected_gradient = reference_ctc.row_gradient(np.maximum(logits[0], -2000), [1, 2, 3], 0)
    assert loss == pytest.approx(expected, rel=1e-14)
    np.testing.assert_allclose(gradient[0], expected_gradient, rtol=0, atol=1e-13)
    loss, _ = ctc(logits, [[1, 1]], reduction="sum")  # needs one blank
    assert loss == np.inf if np.isinf(masked) else loss == pytest.approx(2000, abs=10)


# Rows with infinite losses, without weight, without steps


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_an_impossible_target_is_infinite_or_left_out(isa, rng, dtype):
    logits = rng.standard_normal((3, 4, 3)).astype(dtype)
    logits[1, :, 2] = -np.inf
    targets = [[1], [1, 2], [2, 1]]
    loss, gradient = ctc(logits, targets)
    assert loss == np.inf
    assert np.isnan(gradient[1]).all()
    assert np.isfinite(gradient[[0, 2]]).all()
    loss, left = ctc(logits, targets, zero_infinity=True)
    others, _ = ctc(logits[[0, 2]], [[1], [2, 1]])
    assert loss == pytest.approx(others * 2 / 3, rel=1e-14)  # as in PyTorch, the row counts in the mean
    assert not left[1].any()
    np.testing.assert_array_equal(left[[0, 2]], gradient[[0, 2]])


def test_zero_infinity_also_takes_targets_that_do_not_fit(isa, rng):
    logits = rng.standard_normal((3, 4, 3))
    loss, gradient = ctc(logits, [[1, 1, 1], [1, 2, 1, 2, 1], [1]], [4, 4, 0], zero_infinity=True)
    assert loss == 0
    assert not gradient.any()
    assert ctc(logits[:1], [[1, 1, 2]], zero_infinity=True)[0] == ctc(logits[:1], [[1, 1, 2]])[0] > 0


def test_a_row_without_steps_says_nothing_and_is_sure_of_it(isa, rng):
    loss, gradient = ctc(rng.standard_normal((2, 3, 4)), [[], []], [0, 3], reduction="sum")
    assert loss == pytest.approx(ctc(np.zeros((1, 3, 4)), [[]])[0], abs=10)
    assert not gradient[0].any()
    assert ctc(np.ones((1, 3, 4)), [[]], [0])[0] == 0


def test_a_row_without_weight_has_no_part(isa, rng):
    logits = rng.standard_normal((3, 5, 4))
    logits[1] = np.nan
    targets = [[1, 2], [3], [2]]
    loss, gradient = ctc(logits, targets, weight=[1, 0, 2])
    expected, expected_gradient = ctc(logits[[0, 2]], [[1, 2], [2]], weight=[1, 2])
    assert loss == expected
    np.testing.assert_array_equal(gradient[[0, 2]], expected_gradient)
    assert not gradient[1].any()
    loss, gradient = ctc(logits, targets, weight=[0, 0, 0])
    assert loss == 0
    assert not gradient.any()


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_nan_goes_through(isa, rng, bad):
    logits = rng.standard_normal((2, 5, 4))
    logits[0, 3, 3] = bad  # no class of the target
    loss, gradient = ctc(logits, [[1], [2]])
    assert np.isnan(loss)
    assert np.isnan(gradient[0]).all()
    assert np.isfinite(gradient[1]).all()
    assert np.isnan(ctc(logits, [[1], [2]], zero_infinity=True)[0])


# Bits


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_bits_depend_neither_on_threads_nor_on_padding_nor_on_neighbours(isa, rng, dtype):
    logits, targets, lengths = problem(rng, (9, 60, 20, 11), 3)
    logits = logits.astype(dtype)
    loss, gradient = ctc(logits, targets, lengths, blank=3)
    assert np.isfinite(gradient).all()
    padding = np.arange(60) >= lengths[:, np.newaxis]
    assert padding.any()
    assert not gradient[padding].any()
    logits[padding] = np.nan
    padded = np.full((9, 15), -7)
    for n, labels in enumerate(targets):
        padded[n, : len(labels)] = labels
    clstm.set_num_threads(2)
    found, found_gradient = ctc(logits, padded, lengths, [len(labels) for labels in targets], blank=3)
    assert found == loss
    np.testing.assert_array_equal(found_gradient, gradient)
    loss, gradient = ctc(logits, targets, lengths, blank=3, reduction="sum")
    alone = [ctc(logits[n : n + 1, : lengths[n]], [targets[n]], blank=3, reduction="sum") for n in range(9)]
    assert loss == sum(row for row, _ in alone)
    for n, (_, row) in enumerate(alone):
        np.testing.assert_array_equal(gradient[n, : lengths[n]], row[0])


def test_a_gradient_of_the_sum_is_linear_in_the_weights(rng):
    logits, targets, lengths = problem(rng, (4, 12, 5, 3), 0)
    one = ctc(logits, targets, lengths, reduction="sum")
    two = ctc(logits, targets, lengths, reduction="sum", weight=[2, 2, 2, 2])
    assert two[0] == 2 * one[0]
    np.testing.assert_array_equal(two[1], 2 * one[1])


# Targets


def test_targets_of_all_forms_are_taken(rng):
    logits = rng.standard_normal((3, 6, 5))
    rows = [[1, 2, 2], [4], []]
    array, ends = np.array([[1, 2, 2], [4, 9, 9], [-1, 0, 0]]), [3, 1, 0]
    expected = ctc(logits, rows)
    for target in (
        [np.array(row, np.uint8) for row in rows],
        [np.array(rows[0], np.uint64), np.array(rows[1], np.int16), rows[2]],
        (array, ends),
        (array.astype(np.uint64), np.array(ends, np.uint8)),
        Ragged.of("y", rows),
    ):
        loss, gradient = ctc(logits, target)
        assert loss == expected[0]
        np.testing.assert_array_equal(gradient, expected[1])
    assert ctc(logits, array, None, ends)[0] == expected[0]
    assert ctc(logits, array.tolist(), None, ends)[0] == expected[0]
    assert ctc(logits, array[:1].repeat(3, axis=0))[0] == ctc(logits, [rows[0]] * 3)[0]
    assert ctc(logits, np.zeros((3, 0), int))[0] == ctc(logits, [[], [], []])[0]
    assert ctc(logits.astype(int).tolist(), rows)[1].dtype == np.float32


def test_rows_of_ragged_targets():
    target = Ragged.of("y", [[1, 2, 3], [], [4], [5, 6]])
    assert len(target) == 4
    assert [row.tolist() for row in target] == [[1, 2, 3], [], [4], [5, 6]]
    assert target[-1].tolist() == [5, 6]
    assert target[np.int64(2)].tolist() == [4]
    for rows in (slice(2, 4), [2, 3], np.array([2, 3]), np.array([False, False, True, True])):
        part = target[rows]
        np.testing.assert_array_equal(part.values, [[4, 0], [5, 6]])
        np.testing.assert_array_equal(part.lengths, [1, 2])
        assert part.values.flags.c_contiguous
    assert target[1:2].values.shape == (1, 0)
    assert len(target[:0]) == 0
    assert repr(target) == "Ragged([[1, 2, 3], [], [4]] and more)"


def test_the_class_is_that_of_its_name_and_can_be_copied(rng):
    loss = CTC(blank=2, reduction="sum", zero_infinity=True)
    assert loss.config() == {"blank": 2, "reduction": "sum", "zero_infinity": True}
    assert repr(loss) == "CTC(blank=2, reduction='sum', zero_infinity=True)"
    assert repr(CTC()) == "CTC()"
    assert not loss.aligned
    for same in (copy.deepcopy(loss), pickle.loads(pickle.dumps(loss)), CTC(**loss.config())):
        assert same.config() == loss.config()
    assert clstm.losses.make("ctc").config() == CTC().config()
    logits, target = rng.standard_normal((3, 4, 3)), loss.checked([[0], [1, 0], []], (3, 4, 3))
    assert loss.compute(logits, target).weight == 3
    assert loss.compute(logits, target, weight=np.array([1.5, 0, 1])).weight == 2.5
    assert loss.compute(logits, target, gradient=False).gradient is None
    copied = pickle.loads(pickle.dumps(target))
    assert loss(logits, copied)[0] == loss(logits, target)[0]


def call(*args, **options):
    return lambda: ctc(*args, **options)


X = np.zeros((2, 3, 4))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (call(X, [[1], [4]]), ValueError, r"target: .*4 classes, from 0 to 3, got 4 at \[1, 0\]"),
        (call(X, [[1], [2, -1]]), ValueError, r"target: .*got -1 at \[1, 1\]"),
        (call(X, [[1], [2, 0]]), ValueError, r"target: expected labels without the blank, 0, got it at \[1, 1\]"),
        (call(X, [[1, 3], [2]], blank=3), ValueError, r"without the blank, 3, got it at \[0, 1\]"),
        (call(X, []), ValueError, "target: expected labels for each of 2 rows, got those of 0"),
        (call(X, [[1]]), ValueError, "each of 2 rows, got those of 1"),
        (call(X, [[1], [1, 2, 3, 1]]), ValueError, "row 1 of length 3, which needs 4: 4 labels, 0 repeated"),
        (call(X, [[1, 1, 2], [1]]), ValueError, "row 0 of length 3, which needs 4: 3 labels, 1 repeated"),
        (call(X, [[1], [1, 2]], [0, 3]), ValueError, "row 0 of length 0, which needs 1"),
        (call(X, [[1], [1.5]]), TypeError, r"target\[1\]: .*integers"),
        (call(X, [[1], [[1]]]), ValueError, r"target\[1\]: expected labels of shape \(S,\), got shape \(1, 1\)"),
        (call(X, [1, 2]), ValueError, r"target\[0\]: .*got shape \(\)"),
        (call(X, np.array([1, 2])), ValueError, r"target: .*shape \(N, S\), got shape \(2,\)"),
        (call(X, np.array([[1.0], [2.0]])), TypeError, "target: .*integers"),
        (call(X, (np.array([[1], [2]]),)), ValueError, "target: .*got a tuple of 1"),
        (call(X, (np.array([[1], [2]]), [1, 1]), None, [1, 1]), ValueError, "target: .*got lengths beside a tuple"),
        (call(X, np.array([[1], [2]]), None, [1, 2]), ValueError, r"target_lengths: .*0 to 1, got 2 at \[1\]"),
        (call(X, np.array([[1], [2]]), None, [1]), ValueError, r"target_lengths: expected shape \(2,\)"),
        (call(X, np.array([[1], [2]]), None, [1.0, 1.0]), TypeError, "target_lengths: .*integers"),
        (call(X, np.array([[1], [2**64 - 1]], np.uint64)), ValueError, "target: "),
        (call(X, [[1], [2]], [3, 4]), ValueError, r"lengths: .*0 to 3, got 4 at \[1\]"),
        (call(X, [[1], [2]], blank=4), ValueError, "blank: expected one of 4 classes, from 0 to 3, got 4"),
        (call(X, [[1], [2]], blank=-1), ValueError, "blank: expected an int of at least 0, got -1"),
        (call(X, [[1], [2]], blank=1.0), TypeError, "blank: expected an int"),
        (call(X, [[1], [2]], blank=True), TypeError, "blank: expected an int"),
        (call(X, [[1], [2]], reduction="none"), ValueError, "reduction: expected one of 'mean', 'sum', got 'none'"),
        (call(X, [[1], [2]], zero_infinity=1), TypeError, "zero_infinity: expected True or False"),
        (call(X, [[1], [2]], weight=[1]), ValueError, r"weight: expected shape \(2,\)"),
        (call(X, [[1], [2]], weight=[1, -1]), ValueError, r"weight: .*got -1.0 at \[1\]"),
        (call(X, [[1], [2]], weight=[np.nan, 1]), ValueError, r"weight: .*got nan at \[0\]"),
        (call(X[0], [[1]]), ValueError, r"logits: expected shape \(N, T, C\).*got shape \(3, 4\)"),
        (call(X[:, :0], [[], []]), ValueError, "logits: expected shape"),
        (call(X.astype(complex), [[1], [2]]), TypeError, "logits: .*real"),
        (lambda: CTC().checked([[1]], (1, 3)), ValueError, r"prediction: expected shape \(N, T, C\) for CTC"),
        (
            lambda: CTC().compute(X, Ragged.of("y", [[1], [2]]), weight=np.ones((2, 3))),
            ValueError,
            r"weight: expected shape \(2,\), one for each row",
        ),
    ],
)
def test_bad_arguments_are_named(call, error, message):
    with pytest.raises(error, match=message):
        call()
