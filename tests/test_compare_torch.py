"""LSTM against PyTorch: forward and all gradients in float64. PyTorch's two biases are our one and zero."""

from itertools import product

import numpy as np
import pytest

import clstm

pytestmark = pytest.mark.compare
torch = pytest.importorskip("torch")

OPTIONS = list(product((1, 2, 3), (False, True), (1, 5), (False, True), (None, "ragged")))


def torch_lstm(lstm):
    """The same LSTM in PyTorch."""
    twin = torch.nn.LSTM(
        lstm.input_size,
        lstm.hidden_size,
        num_layers=lstm.num_layers,
        bidirectional=lstm.bidirectional,
        batch_first=True,
        dtype=torch.float64,
    )
    parameters = dict(twin.named_parameters())
    with torch.no_grad():
        for name, values in lstm.parameters().items():
            parameters[name.replace("bias", "bias_ih")].copy_(torch.from_numpy(values))
            if "bias" in name:
                parameters[name.replace("bias", "bias_hh")].zero_()
    return twin


def leaf(array):
    return torch.tensor(array, requires_grad=True)


@pytest.mark.parametrize(("num_layers", "bidirectional", "N", "with_state", "lengths"), OPTIONS)
def test_forward_and_all_gradients_are_those_of_pytorch(num_layers, bidirectional, N, with_state, lengths):
    T, I, H = 7, 4, 9
    seed = OPTIONS.index((num_layers, bidirectional, N, with_state, lengths))
    rng = np.random.default_rng(seed)
    lstm = clstm.LSTM(I, H, num_layers=num_layers, bidirectional=bidirectional, dtype="float64", rng=rng)
    states = (num_layers * lstm.output_size // H, N, H)
    x, dy = rng.normal(size=(N, T, I)), rng.normal(size=(N, T, lstm.output_size))
    h0, c0, dh, dc = (rng.normal(size=states) for _ in range(4))
    if lengths:
        lengths = [3] if N == 1 else [2, 7, 1, 4, 7]  # not sorted; PyTorch has no length 0
    y, (h, c), tape = lstm.forward(x, (h0, c0) if with_state else None, lengths)
    dx, (dh0, dc0), grads = lstm.backward(tape, dy, (dh, dc))

    twin = torch_lstm(lstm)
    tx, th0, tc0 = leaf(x), leaf(h0), leaf(c0)
    given = tx
    if lengths:
        pack = torch.nn.utils.rnn.pack_padded_sequence
        given = pack(tx, torch.tensor(lengths), batch_first=True, enforce_sorted=False)
    ty, (th, tc) = twin(given, (th0, tc0) if with_state else None)
    if lengths:
        ty, _ = torch.nn.utils.rnn.pad_packed_sequence(ty, batch_first=True, total_length=T)
    loss = sum((a * torch.from_numpy(b)).sum() for a, b in ((ty, dy), (th, dh), (tc, dc)))
    loss.backward()

    def close(actual, expected):
        np.testing.assert_allclose(actual, expected.detach().numpy(), rtol=0, atol=1e-10, strict=True)

    close(y, ty)
    close(h, th)
    close(c, tc)
    close(dx, tx.grad)
    if with_state:
        close(dh0, th0.grad)
        close(dc0, tc0.grad)
    parameters = dict(twin.named_parameters())
    assert len(grads) == len(parameters) * 3 // 4
    for name, gradient in grads.items():
        close(gradient, parameters[name.replace("bias", "bias_ih")].grad)


def test_the_cell_is_that_of_pytorch():
    rng = np.random.default_rng(0)
    cell = clstm.LSTMCell(3, 5, dtype="float64", rng=rng)
    x, h, c, dh, dc = rng.normal(size=(4, 3)), *(rng.normal(size=(4, 5)) for _ in range(4))
    _, (h_1, c_1), tape = cell.forward(x, (h, c))
    dx, dstate, grads = cell.backward(tape, None, (dh, dc))

    twin = torch.nn.LSTMCell(3, 5, dtype=torch.float64)
    with torch.no_grad():
        twin.weight_ih.copy_(torch.from_numpy(cell.parameters()["weight_ih"]))
        twin.weight_hh.copy_(torch.from_numpy(cell.parameters()["weight_hh"]))
        twin.bias_ih.copy_(torch.from_numpy(cell.parameters()["bias"]))
        twin.bias_hh.zero_()
    tx, th, tc = leaf(x), leaf(h), leaf(c)
    th_1, tc_1 = twin(tx, (th, tc))
    ((th_1 * torch.from_numpy(dh)).sum() + (tc_1 * torch.from_numpy(dc)).sum()).backward()
    pairs = [(h_1, th_1), (c_1, tc_1), (dx, tx.grad), (dstate[0], th.grad), (dstate[1], tc.grad)]
    pairs += [(grads[name], getattr(twin, name).grad) for name in ("weight_ih", "weight_hh")]
    pairs += [(grads["bias"], twin.bias_ih.grad)]
    for actual, expected in pairs:
        np.testing.assert_allclose(actual, expected.detach().numpy(), rtol=0, atol=1e-12, strict=True)
