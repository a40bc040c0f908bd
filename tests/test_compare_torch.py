"""LSTM, GRU and RNN against PyTorch: forward and all gradients in float64. PyTorch's two biases are our one and zero,
but for that of n inside the reset of a GRU."""

from itertools import product

import numpy as np
import pytest
from cases import given, members

import clstm

pytestmark = pytest.mark.compare
torch = pytest.importorskip("torch")

KINDS = {
    "lstm": (clstm.LSTM, clstm.LSTMCell, {}),
    "gru": (clstm.GRU, clstm.GRUCell, {}),
    "tanh": (clstm.RNN, clstm.RNNCell, {"activation": "tanh"}),
    "relu": (clstm.RNN, clstm.RNNCell, {"activation": "relu"}),
}
PROJECTED = "projected"  # for which PyTorch has no cell
LAYERS = {**KINDS, PROJECTED: (clstm.LSTM, None, {"proj_size": 5})}
OPTIONS = list(product(LAYERS, (1, 2, 3), (False, True), (1, 5), (False, True), (None, "ragged"), (True, False)))


def twin_of(layer, name):
    """The same layer or cell in PyTorch."""
    options = {"bias": layer.bias, "dtype": torch.float64}
    if name in ("tanh", "relu"):
        options["nonlinearity"] = name
    if name == PROJECTED:
        options["proj_size"] = layer.proj_size
    if isinstance(layer, clstm.LSTM | clstm.GRU | clstm.RNN):
        options.update(num_layers=layer.num_layers, bidirectional=layer.bidirectional, batch_first=True)
    twin = getattr(torch.nn, type(layer).__name__)(layer.input_size, layer.hidden_size, **options)
    with torch.no_grad():
        for name, parameter in twin.named_parameters():
            parameter.copy_(torch.from_numpy(theirs(layer.parameters(), name)))
    return twin


def theirs(ours, name):
    """A parameter of PyTorch's by its name."""
    if "bias" not in name:
        return ours[name]
    if "bias_ih" in name:
        return ours[name.replace("bias_ih", "bias")]
    bias = np.zeros_like(ours[name.replace("bias_hh", "bias")])
    inside = ours.get(name.replace("bias_hh", "bias_hn"))
    if inside is not None:
        bias[-len(inside) :] = inside
    return bias


def same_gradients(grads, twin):
    """PyTorch's bias_hh has the gradient of bias_ih, but for the last block of a GRU."""
    for name, parameter in twin.named_parameters():
        gradient = theirs(grads, name)
        if "bias_hh" in name:
            inside = len(grads.get(name.replace("bias_hh", "bias_hn"), ()))
            gradient[: len(gradient) - inside] = grads[name.replace("bias_hh", "bias")][: len(gradient) - inside]
        close(gradient, parameter.grad)


def leaf(array):
    return torch.tensor(array, requires_grad=True)


def close(actual, expected):
    np.testing.assert_allclose(actual, expected.detach().numpy(), rtol=0, atol=1e-10, strict=True)


@pytest.mark.parametrize(("kind", "num_layers", "bidirectional", "N", "with_state", "lengths", "bias"), OPTIONS)
def test_forward_and_all_gradients_are_those_of_pytorch(kind, num_layers, bidirectional, N, with_state, lengths, bias):
    T, I, H = 7, 4, 9
    rng = np.random.default_rng(OPTIONS.index((kind, num_layers, bidirectional, N, with_state, lengths, bias)))
    make, _, options = LAYERS[kind]
    layer = make(
        I, H, num_layers=num_layers, bidirectional=bidirectional, bias=bias, dtype="float64", rng=rng, **options
    )
    layer.flat_parameters += rng.normal(size=layer.flat_parameters.size) / 5
    lead = num_layers * (1 + bidirectional), N
    sizes = (layer.proj_size or H, H) if make is clstm.LSTM else (H,)
    x, dy = rng.normal(size=(N, T, I)), rng.normal(size=(N, T, layer.output_size))
    state, dstate = (tuple(rng.normal(size=(*lead, size)) for size in sizes) for _ in range(2))
    if lengths:
        lengths = [3] if N == 1 else [2, 7, 1, 4, 7]  # not sorted; PyTorch has no length 0
    y, final, tape = layer.forward(x, given(state) if with_state else None, lengths)
    dx, dinitial, grads = layer.backward(tape, dy, given(dstate))

    twin = twin_of(layer, kind)
    tx, tstate = leaf(x), tuple(map(leaf, state))
    packed = tx
    if lengths:
        pack = torch.nn.utils.rnn.pack_padded_sequence
        packed = pack(tx, torch.tensor(lengths), batch_first=True, enforce_sorted=False)
    ty, tfinal = twin(packed, given(tstate) if with_state else None)
    if lengths:
        ty, _ = torch.nn.utils.rnn.pad_packed_sequence(ty, batch_first=True, total_length=T)
    pairs = zip((ty, *members(tfinal)), (dy, *dstate), strict=True)
    sum((a * torch.from_numpy(b)).sum() for a, b in pairs).backward()

    close(y, ty)
    close(dx, tx.grad)
    for found, expected in zip(members(final), members(tfinal), strict=True):
        close(found, expected)
    for found, expected in zip(members(dinitial), tstate, strict=True):
        if with_state:
            close(found, expected.grad)
    same_gradients(grads, twin)


@pytest.mark.parametrize("kind", KINDS)
def test_the_cell_is_that_of_pytorch(kind):
    rng = np.random.default_rng(0)
    cell = KINDS[kind][1](3, 5, dtype="float64", rng=rng, **KINDS[kind][2])
    cell.flat_parameters += rng.normal(size=cell.flat_parameters.size) / 5
    count = 2 if kind == "lstm" else 1
    x, (state, dstate) = rng.normal(size=(4, 3)), (tuple(rng.normal(size=(4, 5)) for _ in range(count)) for _ in "ab")
    _, final, tape = cell.forward(x, given(state))
    dx, dinitial, grads = cell.backward(tape, None, given(dstate))

    twin, tx, tstate = twin_of(cell, kind), leaf(x), tuple(map(leaf, state))
    tfinal = members(twin(tx, given(tstate)))
    sum((a * torch.from_numpy(b)).sum() for a, b in zip(tfinal, dstate, strict=True)).backward()
    close(dx, tx.grad)
    for found, expected in zip(members(final), tfinal, strict=True):
        close(found, expected)
    for found, expected in zip(members(dinitial), tstate, strict=True):
        close(found, expected.grad)
    same_gradients(grads, twin)
