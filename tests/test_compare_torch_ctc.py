"""Connectionist temporal classification as PyTorch computes it, from the logits."""

import numpy as np
import pytest

from clstm.losses import CTC, ctc

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.compare

TOLERANCE = {"float32": 1e-4, "float64": 1e-8}


@pytest.fixture(autouse=True)
def one_thread():
    """The threads of PyTorch wait by spinning, and then neither library gets on."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def theirs(logits, target, lengths, ends, **options):
    """Loss and gradient with respect to the logits."""
    leaf = torch.from_numpy(logits.copy()).requires_grad_()
    log_y = torch.nn.functional.log_softmax(leaf, 2).transpose(0, 1)
    loss = torch.nn.functional.ctc_loss(
        log_y, *(torch.from_numpy(array) for array in (target, lengths, ends)), **options
    )
    loss.backward()
    return loss.item(), leaf.grad.numpy()


def check(logits, target, lengths, ends, **options):
    """That both agree; returns our loss."""
    tolerance = TOLERANCE[logits.dtype.name]
    expected, expected_gradient = theirs(logits, target, lengths, ends, **options)
    loss, gradient = ctc(logits, target, lengths, ends, **options)
    assert loss == pytest.approx(expected, rel=tolerance, abs=tolerance)
    scale = np.abs(expected_gradient).max()
    np.testing.assert_allclose(gradient, expected_gradient, rtol=0, atol=tolerance * max(scale, 1e-3))
    return loss


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("blank", [0, 7, 19])
@pytest.mark.parametrize("dtype", TOLERANCE)
def test_batches_of_all_lengths(isa, rng, dtype, blank, reduction):
    N, T, C, S = 6, 50, 20, 17
    logits = (3 * rng.standard_normal((N, T, C))).astype(dtype)
    target = (blank + rng.integers(1, 4, size=(N, S))) % C  # few classes, so that neighbours are often equal
    lengths, ends = rng.integers(2 * S, T + 1, N), rng.integers(0, S + 1, N)
    ends[:2] = 0, S
    assert check(logits, target, lengths, ends, blank=blank, reduction=reduction) > 0


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize(
    ("steps", "labels"),
    [
        (5, [1, 2, 3, 1, 2]),  # as many steps as labels
        (9, [1, 1, 2, 2, 2, 1]),  # .. and as the repeats need
        (10, [1, 1, 2, 2, 2, 1]),
        (6, []),  # all blanks
        (1, [2]),
        (1, []),
        (7, [3]),
        (3, [1, 1]),
    ],
)
def test_extremes(isa, rng, dtype, steps, labels):
    logits = (2 * rng.standard_normal((2, 10, 4))).astype(dtype)
    target = np.zeros((2, 8), np.int64)
    target[0, : len(labels)] = labels
    target[1, :2] = 3, 1
    for reduction in ("mean", "sum"):
        check(logits, target, np.array([steps, 10]), np.array([len(labels), 2]), reduction=reduction)


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_impossible_rows(isa, rng, dtype):
    logits = rng.standard_normal((3, 4, 4)).astype(dtype)
    target = np.array([[1, 1, 1], [1, 2, 3], [2, 2, 0]])
    arguments = logits, target, np.array([4, 4, 4]), np.array([3, 3, 2])
    check(*arguments, zero_infinity=True)
    check(*arguments, zero_infinity=True, reduction="sum")
    expected, expected_gradient = theirs(*arguments)
    refused = CTC(zero_infinity=True).checked((target, arguments[3]), logits.shape)
    loss, gradient = CTC()(logits, refused)
    assert loss == expected == np.inf
    np.testing.assert_array_equal(np.isnan(gradient), np.isnan(expected_gradient))
    np.testing.assert_allclose(gradient[1:], expected_gradient[1:], rtol=0, atol=1e-6)


def test_long_rows_and_logits_far_apart(isa, rng):
    logits = rng.standard_normal((2, 600, 30)) * np.array([5, 200]).reshape(2, 1, 1)
    target = rng.integers(1, 30, (2, 120))
    check(logits, target, np.array([600, 500]), np.array([120, 90]), reduction="sum")
