"""The conditional random field of pytorch-crf: losses, gradients and best paths, with lengths as masks."""

import numpy as np
import pytest
from cases import TOLERANCE

import clstm
from clstm.losses import CRFLoss

torch = pytest.importorskip("torch")
torchcrf = pytest.importorskip("torchcrf")
pytestmark = pytest.mark.compare

REDUCTIONS = ("mean", "token_mean", "sum")
SIZES = [
    # N, T, C, lengths; pytorch-crf knows no rows of length 0
    (3, 1, 1, None),
    (4, 6, 5, (6, 1, 3, 2)),
    (16, 30, 20, None),
    (9, 25, 33, (25, 7, 1, 24, 2, 25, 3, 9, 11)),
]


@pytest.fixture(autouse=True)
def one_thread():
    """The threads of PyTorch wait by spinning, and then neither library gets on."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def pair(dtype, N, T, C, lengths, scale=1.0):
    """Ours and theirs with the same random parameters, emissions, tags, and the mask of lengths."""
    rng = np.random.default_rng(0)
    ours = clstm.CRF(C, dtype=dtype, rng=0)
    ours.flat_parameters = scale * rng.normal(size=ours.flat_parameters.size)
    theirs = torchcrf.CRF(C, batch_first=True).to(getattr(torch, dtype))
    parameters = theirs.transitions, theirs.start_transitions, theirs.end_transitions
    with torch.no_grad():
        for parameter, values in zip(parameters, ours.parameters().values(), strict=True):
            parameter.copy_(torch.from_numpy(values.copy()))
    emissions, tags = (scale * rng.normal(size=(N, T, C))).astype(dtype), rng.integers(C, size=(N, T))
    lengths = np.full(N, T) if lengths is None else np.array(lengths)
    return ours, theirs, parameters, emissions, tags, lengths, torch.from_numpy(np.arange(T) < lengths[:, None])


def agree(found, expected, dtype):
    expected = expected.detach().numpy()
    np.testing.assert_allclose(found, expected, rtol=0, atol=TOLERANCE[dtype] * max(1, np.abs(expected).max()))


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_loss_and_gradients(size, dtype, reduction):
    ours, theirs, parameters, emissions, tags, lengths, mask = pair(dtype, *size)
    leaf = torch.from_numpy(emissions).requires_grad_()
    expected = -theirs(leaf, torch.from_numpy(tags), mask=mask, reduction=reduction)
    expected.backward()
    loss, (_, grads) = CRFLoss(reduction=reduction), ours.zeros_like_parameters()
    loss.attach(ours)
    found = loss.compute(emissions, tags, lengths.astype(np.intp), grads=grads)
    agree(np.array(found.loss), expected, dtype)
    agree(found.gradient, leaf.grad, dtype)
    for own, parameter in zip(grads.values(), parameters, strict=True):
        agree(own, torch.zeros_like(parameter) if parameter.grad is None else parameter.grad, dtype)


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_log_likelihood_of_each_row(size):
    ours, theirs, _, emissions, tags, lengths, mask = pair("float64", *size)
    expected = theirs(torch.from_numpy(emissions), torch.from_numpy(tags), mask=mask, reduction="none")
    agree(ours.log_likelihood(emissions, tags, lengths), expected, "float64")


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("scale", [1.0, 100.0])
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_best_paths(size, scale, dtype):
    ours, theirs, _, emissions, _, lengths, mask = pair(dtype, *size, scale)
    expected = theirs.decode(torch.from_numpy(emissions), mask=mask)
    assert [path.tolist() for path in ours.decode(emissions, lengths)] == expected
