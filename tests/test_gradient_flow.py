"""Gradient flow: against the NumPy twin for every kind of cell and every option, on every instruction set and backend;
and what holds of it without a twin. Padding that goes in is full of NaN."""

import copy
import pickle
from dataclasses import replace

import numpy as np
import pytest
import reference_cells as twin
from cases import TOLERANCE, close, doubles, normal, same_bits, settings, tolerance_of
from test_cells import BACKWARDS, EDGES, EVERY_OPTION, LAYERS, TYPICAL, Case, given
from test_noise import CASES as EVERY_NOISE
from test_noise import EVERYTHING, SEED

import clstm
from clstm import _core

# Sizes through the edges of vectors, both directions of time, lengths, noise
SOME = [EVERY_OPTION[3], EVERY_OPTION[5], *EDGES[1::11], *BACKWARDS[::5], *TYPICAL]


def expected_norms(case, layer, x, state, dy, dstate, bptt=None, seed=None):
    """For each layer and direction h and c, (N, T) each, of the twin."""
    masks = layer.masks(case.N, case.T, seed) if seed else expected_zones(case)
    noise = {name: doubles(tuple(m) if isinstance(m, list) else m) for name, m in masks.items()}
    plain = replace(case, options=tuple((name, value) for name, value in case.options if name not in EVERYTHING))
    weights, options = doubles(layer.parameters()), replace(plain.twin(), bptt=bptt)
    _, _, tape = twin.forward(doubles(x), weights, options, state=doubles(state), lengths=case.lengths, noise=noise)
    gradients = twin.state_gradients(tape, doubles(dy), doubles(dstate))
    return [[np.sqrt((part**2).sum(axis=2)) for part in parts] for parts in gradients]


def expected_zones(case):
    """In inference, zoneout takes its expectation."""
    rates = {"zone_h": dict(case.options).get("zoneout_h"), "zone_c": dict(case.options).get("zoneout_c")}
    shape = case.L * (1 + case.bidirectional), case.N, case.T, case.H
    return {name: list(np.full(shape, rate)) for name, rate in rates.items() if rate}


def check(flow, expected, tolerance):
    names = "hc"[: len(expected[0])]
    assert list(flow) == list(names)
    for k, name in enumerate(names):
        found = getattr(flow, name)
        assert found.dtype == np.float64
        close(found, np.stack([parts[k] for parts in expected]), tolerance)


def prove(case, dtype, seed=None):
    layer, x, state, dy, dstate = case.build(dtype)
    flow = layer.gradient_flow(x, dy, given(state), case.lengths, dstate=given(dstate), noise=seed)
    check(flow, expected_norms(case, layer, x, state, dy, dstate, seed=seed), tolerance_of(case, dtype))


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("case", EVERY_OPTION + EDGES[::2] + BACKWARDS[::2] + EVERY_NOISE, ids=str)
def test_flow_is_that_of_the_twin(case, dtype):
    prove(case, dtype)


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("case", SOME, ids=str)
def test_flow_on_every_machine(machine, case, dtype):
    prove(case, dtype)


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("case", EVERY_NOISE, ids=str)
def test_flow_with_noise_is_that_of_the_twin(case, dtype):
    prove(case, dtype, seed=SEED)


def test_over_the_batch_it_is_that_of_the_twin():
    case = TYPICAL[3]
    layer, x, state, dy, dstate = case.build("float64")
    flow = layer.gradient_flow(x, dy, given(state), case.lengths, dstate=given(dstate))
    _, _, tape = twin.forward(x, doubles(layer.parameters()), case.twin(), state=state, lengths=case.lengths)
    for k, (h, c) in enumerate(twin.gradient_norms(tape, doubles(dy), dstate)):
        close(flow.over_batch("h")[k], h, 1e-10)
        close(flow[k].over_batch("c"), c, 1e-10)


@pytest.mark.parametrize("bptt", [1, 3])
@pytest.mark.parametrize("case", TYPICAL, ids=str)
def test_truncated_flow_is_that_of_the_twin(case, bptt):
    layer, x, state, dy, dstate = case.build("float64")
    flow = layer.gradient_flow(x, dy, given(state), case.lengths, dstate=given(dstate), bptt=bptt)
    check(flow, expected_norms(case, layer, x, state, dy, dstate, bptt), 1e-10)


@pytest.mark.parametrize("kind", LAYERS)
def test_it_is_a_derivative(kind):
    """dL/dh_t is that of the loss of the steps after t, by the state that they start from, and that of y_t."""
    case = Case(kind, N=3, T=6, H=5, seed=5100)
    layer, x, state, dy, dstate = case.build("float64")
    flow = layer.gradient_flow(x, dy, given(state), dstate=given(dstate))
    for t in range(5):
        _, middle, _ = layer.forward(x[:, : t + 1], given(state))
        _, _, tape = layer.forward(x[:, t + 1 :], middle)
        _, dmiddle, _ = layer.backward(tape, dy[:, t + 1 :], given(dstate))
        dh = (dmiddle[0] if kind == "lstm" else dmiddle)[0] + dy[:, t]
        close(flow.h[0, :, t], np.linalg.norm(dh, axis=1), 1e-12)


@pytest.mark.parametrize("isa", _core.available_isas())
@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize(
    "case", [replace(case, N=32, T=12, I=24, H=48, lengths=(12, 5, 9, 0) * 8) for case in TYPICAL], ids=str
)
def test_bits_do_not_depend_on_threads(isa, dtype, case):
    layer, x, state, dy, dstate = case.build(dtype)
    flows = []
    for threads in (1, 2, 3):
        with settings(isa, "native", threads):
            flows.append(layer.gradient_flow(x, dy, given(state), case.lengths, dstate=given(dstate)))
    for flow in flows[1:]:
        for name in flow:
            same_bits(getattr(flow, name), getattr(flows[0], name))


def test_what_has_almost_vanished_is_still_seen():
    """1e-30 is a number in float32, but its square is not."""
    rnn = clstm.RNN(1, 1, rng=0)
    rnn.load_parameters({"weight_ih_l0": [[0]], "weight_hh_l0": [[0.1]], "bias_l0": [0]})
    flow = rnn.gradient_flow(np.zeros((1, 31, 1)), None, dstate=np.ones((1, 1, 1)))
    np.testing.assert_allclose(flow.h[0, 0], 0.1 ** np.arange(30.0, -1, -1), rtol=1e-4)


# Networks


def a_network(dtype="float64", **options):
    layers = [clstm.LSTM(3, 6, num_layers=2, rng=0, **options), clstm.Dense(6, 4, rng=1), clstm.GRU(4, 5, rng=2)]
    layers = [clstm.Network(layers[:2]), layers[2], clstm.Pool("last"), clstm.Dense(5, 2, rng=3)]
    return astype(layers, dtype)


def astype(layers, dtype):
    """The same with float64 parameters, from their configurations."""
    return clstm.Network([copy_as(layer, dtype) for layer in layers])


def copy_as(layer, dtype):
    if isinstance(layer, clstm.Network):
        return astype(layer.layers, dtype)
    if not layer.parameters():
        return copy.deepcopy(layer)
    new = type(layer)(**{**layer.config(), "dtype": dtype}, rng=0)
    new.load_parameters(layer.parameters())
    return new


def test_flow_of_a_network_is_that_of_its_layers():
    net, rng = a_network(), np.random.default_rng(0)
    lengths = [8, 0, 3, 7]
    x, y = normal(rng, "float64", 4, 8, 3), normal(rng, "float64", 4, 2)
    flows = net.gradient_flow(x, y, lengths=lengths)
    assert list(flows) == ["0.0", "1"]
    assert {name: list(flow) for name, flow in flows.items()} == {"0.0": ["h", "c"], "1": ["h"]}

    # By hand: layer by layer, from the loss back
    (lower, dense), gru, pool, head = net.layers
    a = lower.infer(x, None, lengths)[0]
    b, _, dense_tape = dense.forward(a, None, lengths)
    c, _, gru_tape = gru.forward(b, None, lengths)
    d, _, pool_tape = pool.forward(c, None, lengths)
    e, _, head_tape = head.forward(d)
    de = clstm.losses.mse(e, y)[1]
    dc = pool.backward(pool_tape, head.backward(head_tape, de)[0])[0]
    same_bits(flows["1"].h, gru.gradient_flow(b, dc, lengths=lengths).h)
    da = dense.backward(dense_tape, gru.backward(gru_tape, dc)[0])[0]
    expected = lower.gradient_flow(x, da, lengths=lengths)
    close(flows["0.0"].h, expected.h, 1e-13)
    close(flows["0.0"].c, expected.c, 1e-13)


def test_flow_of_an_ensemble_is_that_of_its_members():
    rng = np.random.default_rng(4)
    members = [clstm.LSTM(3, 4, rng=k, dtype="float64") for k in range(3)]
    x, dy = rng.normal(size=(2, 6, 3)), rng.normal(size=(2, 6, 4))
    alone = [member.gradient_flow(x, dy / 3) for member in members]
    net = clstm.Network([clstm.Ensemble(members)])
    flows = net.gradient_flow(x, net(x) - dy * dy.size / 2)  # so that the gradient of the loss is dy
    assert list(flows) == ["0.0", "0.1", "0.2"]
    for found, expected in zip(flows.values(), alone, strict=True):
        close(found.h, expected.h, 1e-12)
        close(found.c, expected.c, 1e-12)


def test_symbols_of_an_embedding_have_the_same_flow():
    rng = np.random.default_rng(1)
    x = rng.integers(3, size=(4, 9))
    net = clstm.Network([clstm.Embedding(3, 5, rng=0), clstm.LSTM(5, 6, rng=1), clstm.Dense(6, 3, rng=2)])
    lengths = [9, 2, 5, 0]
    found = net.gradient_flow(x, x, "cross_entropy", lengths)["1"]
    rest = clstm.Network(copy.deepcopy(net.layers[1:]))
    expected = rest.gradient_flow(net[0](x), x, "cross_entropy", lengths)["0"]
    close(found.c, expected.c, 1e-6)
    close(found.h, expected.h, 1e-6)
    assert not found.h[0, 1, 2:].any()


def test_flow_of_a_trainer_uses_its_loss():
    rng = np.random.default_rng(2)
    x, y = rng.normal(size=(6, 7, 3)), rng.integers(2, size=6)
    net = clstm.Network([clstm.LSTM(3, 4, rng=0), clstm.Pool("last"), clstm.Dense(4, 2, rng=1)])
    before = net.flat_parameters.copy()
    found = clstm.Trainer(net, "cross_entropy").gradient_flow(x, y)["0"]
    same_bits(found.h, net.gradient_flow(x, y, "cross_entropy")["0"].h)
    same_bits(net.flat_parameters, before)
    alone = clstm.RNN(3, 2, rng=0)
    y, _, _ = alone.forward(x)
    target = rng.normal(size=y.shape)
    flow = clstm.Trainer(alone).gradient_flow(x, target)["0"]
    same_bits(flow.h, alone.gradient_flow(x, clstm.losses.mse(y, target)[1]).h)


def test_noise_and_truncation_reach_the_layers_of_a_network():
    net, rng = a_network(dropout=0.4, zoneout_h=0.3), np.random.default_rng(3)
    x, y = normal(rng, "float64", 4, 8, 3), normal(rng, "float64", 4, 2)
    quiet = net.gradient_flow(x, y)["0.0"].h
    same_bits(net.gradient_flow(x, y)["0.0"].h, quiet)
    noisy = [net.gradient_flow(x, y, noise=seed)["0.0"].h for seed in (1, 1, 2)]
    same_bits(noisy[0], noisy[1])
    assert not np.array_equal(noisy[0], quiet)
    assert not np.array_equal(noisy[0], noisy[2])
    cut = net.gradient_flow(x, y, bptt=2)["1"].h[0]
    assert (cut[:, 6:] > 0).all()
    assert not cut[:, :6].any()  # the loss reads the last step alone


def test_a_flow_is_looked_at_and_copied():
    layer = clstm.LSTM(2, 3, num_layers=2, rng=0)
    flow = layer.gradient_flow(np.ones((4, 5, 2)), np.ones((4, 5, 3)))
    assert {"h", "c", "over_batch"} <= set(dir(flow))
    assert repr(flow) == "GradientFlow(h c, each (2, 4, 5) float64)"
    for other in (copy.deepcopy(flow), pickle.loads(pickle.dumps(flow))):
        same_bits(other.c, flow.c)
    np.testing.assert_allclose(flow.over_batch("h"), np.sqrt((flow.h**2).sum(axis=1)))
    with pytest.raises(AttributeError, match="this gradient flow has h, c, but no i"):
        flow.i  # noqa: B018
    with pytest.raises(ValueError, match="name: expected one of 'h', 'c', got 'o'"):
        flow.over_batch("o")
    with pytest.raises(ValueError, match="flow: expected one with the axes of rows and steps"):
        flow[0, 0].over_batch("h")


def test_bad_input():
    layer, x = clstm.GRU(2, 3, rng=0), np.ones((4, 5, 2))
    with pytest.raises(ValueError, match=r"dy: expected shape \(4, 5, 3\), got shape \(4, 5, 2\)"):
        layer.gradient_flow(x, x)
    with pytest.raises(TypeError, match="dy: expected an array, or None if dstate is given, got None"):
        layer.gradient_flow(x, None)
    with pytest.raises(ValueError, match="bptt: expected an int of at least 1, got 0"):
        layer.gradient_flow(x, np.ones((4, 5, 3)), bptt=0)
    with pytest.raises(ValueError, match="noise: expected an int from 0"):
        layer.gradient_flow(x, np.ones((4, 5, 3)), noise=-1)
    net = clstm.Network([layer, clstm.Dense(3, 1, rng=0)])
    with pytest.raises(ValueError, match=r"loss: expected one of 'mse', 'mae', .*'cross_entropy'.*, got 'rmse'"):
        net.gradient_flow(x, x, "rmse")
    with pytest.raises(ValueError, match=r"y: expected shape \(4, 5, 1\), to fit the prediction"):
        net.gradient_flow(x, x)
    with pytest.raises(ValueError, match="bptt: expected an int of at least 1, got 0"):
        net.gradient_flow(x, np.ones((4, 5, 1)), bptt=0)
    with pytest.raises(TypeError, match="noise: expected an int"):
        net.gradient_flow(x, np.ones((4, 5, 1)), noise="x")
    with pytest.raises(ValueError, match="net: expected a network with a recurrent layer, got Network"):
        clstm.Network([clstm.Dense(2, 1, rng=0)]).gradient_flow(x, np.ones((4, 5, 1)))
