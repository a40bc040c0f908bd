"""Dropout, zoneout, weight drop and noise: the generator against one written in NumPy, all results and gradients
against the twin with the masks that were drawn, and what masks may not depend on."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
import reference_cells as twin
from cases import TOLERANCE, Case, close, doubles, given, members, native, same_bits, same_results, settings
from test_cells import run

import clstm
from clstm import _core

SEED = 0x0123456789ABCDEF


# The generator


def philox(counter, key):
    """Philox-4x32-10 of Salmon, Moraes, Dror and Shaw (2011): four words from a counter of four and a key of two."""
    c, k = [int(word) for word in counter], [int(word) for word in key]
    for _ in range(10):
        p0, p1 = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [(p1 >> 32) ^ c[1] ^ k[0], p1 % 2**32, (p0 >> 32) ^ c[3] ^ k[1], p0 % 2**32]
        k = [(k[0] + 0x9E3779B9) % 2**32, (k[1] + 0xBB67AE85) % 2**32]
    return c


def words(n, seed, stream, row, step):
    """The n words of a place, in their order."""
    key = seed % 2**32, seed >> 32
    blocks = [philox((b, step, row, stream), key) for b in range((n + 3) // 4)]
    return np.array(blocks, np.uint64).ravel()[:n]


def test_the_generator_written_here_is_philox():
    """The known answers of the authors' library (Random123, kat_vectors)."""
    assert philox([0] * 4, [0] * 2) == [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]
    assert philox([2**32 - 1] * 4, [2**32 - 1] * 2) == [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]
    counter, key = (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344), (0xA4093822, 0x299F31D0)
    assert philox(counter, key) == [0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1]


KINDS = {name: k for k, name in enumerate(_core.NOISES)}
RATES = {"dropout": 0.3, "input_dropout": 0.4, "recurrent_dropout": 0.25, "weight_drop": 0.5, "zoneout_h": 0.2}
EVERYTHING = {**RATES, "zoneout_c": 0.6, "input_noise": 0.5}


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("n", [1, 15, 16, 17, 63, 64, 65, 200])
def test_masks_are_made_of_those_words(dtype, n):
    layer = clstm.LSTM(3, 4, num_layers=2, bidirectional=True, dtype=dtype, rng=0, **EVERYTHING)
    index, row, step = 3, 2**40 + 7, 11
    rates = {"dropout": 0.3, "input": 0.4, "recurrent": 0.25, "weight": 0.5, "zone_h": 0.2, "zone_c": 0.6}
    for kind, rate in rates.items():
        found = np.empty(n, dtype)
        layer._core.noise(kind, index, SEED, row, step, found)
        of_all_steps = kind in ("input", "recurrent", "weight")
        drawn = words(n, SEED, KINDS[kind] << 24 | index, 7, 2**32 - 1 if of_all_steps else step)
        dropped = drawn < int(rate * 2**32)
        zones = kind.startswith("zone")
        same_bits(found, np.where(dropped, zones, 0 if zones else 1 / (1 - rate)).astype(dtype))


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_what_is_added_is_normal(dtype):
    layer = clstm.RNN(1, 1, input_noise=2.0, dtype=dtype, rng=0)
    found = np.empty(100_000, dtype)
    layer._core.noise("added", 0, SEED, 0, 0, found)
    first, second = words(2, SEED, KINDS["added"] << 24, 0, 0).astype(float)
    radius, angle = np.sqrt(-2 * np.log((first + 0.5) / 2**32)), 2 * np.pi * second / 2**32
    np.testing.assert_allclose(found[:2], [2 * radius * np.cos(angle), 2 * radius * np.sin(angle)], rtol=1e-6)
    moments = [np.mean(found**k) / 2**k for k in (1, 2, 3, 4)]
    np.testing.assert_allclose(moments, [0, 1, 0, 3], atol=0.05)
    assert abs(np.mean(found[:-1] * found[1:])) < 0.05


def test_rates_are_those_asked_for():
    layer = clstm.GRU(500, 500, num_layers=2, rng=0, **RATES)
    masks = layer.masks(4, 9, SEED)
    assert abs(np.mean(masks["recurrent"][0] == 0) - 0.25) < 0.02
    assert abs(np.mean(masks["weight"][1] == 0) - 0.5) < 0.002
    assert abs(np.mean(masks["zone_h"][1] == 1) - 0.2) < 0.01
    assert abs(np.mean(masks["input"][0] == 0) - 0.4) < 0.03
    assert abs(np.mean(masks["input"][1] == 0) - (1 - 0.6 * 0.7)) < 0.03
    assert abs(np.mean(masks["input"][1]) - 1) < 0.1


# Results and gradients against the twin

ALONE = [
    (kind, {name: rate})
    for kind in ("lstm", "gru", "rnn")
    for name, rate in EVERYTHING.items()
    if kind == "lstm" or name != "zoneout_c"
]
OPTIONS = [
    *ALONE,
    ("lstm", EVERYTHING),
    ("gru", {**RATES, "input_noise": 0.5}),
    ("rnn", {**RATES, "input_noise": 0.5, "clip": 0.8}),
    ("lstm", {**EVERYTHING, "peephole": True, "coupled": True, "cell_clip": 0.5}),
    ("lstm", {"zoneout_c": 0.5, "zoneout_h": 0.5, "forget_gate": False, "output_activation": "identity"}),
]
SIZES = itertools.cycle([(3, 5, 6, 9), (1, 4, 1, 1), (7, 3, 16, 17), (2, 5, 17, 33), (5, 6, 3, 16), (13, 4, 70, 70)])
CASES = [
    Case(
        kind,
        tuple(options.items()),
        *sizes,
        L=1 + (k % 3 > 0),
        bidirectional=k % 4 < 2,
        lengths=tuple((sizes[1], 0, 1, sizes[1] - 1)[n % 4] for n in range(sizes[0])) if k % 2 else None,
        seed=5000 + k,
    )
    for k, ((kind, options), sizes) in enumerate(zip(OPTIONS, SIZES, strict=False))
]


def prove(case, dtype):
    layer, x, state, dy, dstate = case.build(dtype)
    assert layer.takes_noise
    y, final, tape = layer.forward(x, given(state), case.lengths, noise=SEED)
    dx, dinitial, grads = layer.backward(tape, dy, given(dstate))
    masks = layer.masks(case.N, case.T, SEED)
    noise = doubles(masks)
    expected_y, expected_final, twin_tape = twin.forward(
        doubles(x), doubles(layer.parameters()), case.twin(), state=doubles(state), lengths=case.lengths, noise=noise
    )
    expected_dx, expected_dinitial, expected_grads = twin.backward(twin_tape, doubles(dy), doubles(dstate))
    results = (y, *members(final), dx, *members(dinitial), *grads.values())
    expected = (expected_y, *expected_final, expected_dx, *expected_dinitial, *(expected_grads[name] for name in grads))
    for found, exact in zip(results, expected, strict=True):
        assert found.dtype == dtype
        close(found, exact, TOLERANCE[dtype])


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_everything_is_that_of_the_twin(machine, case, dtype):
    prove(case, dtype)


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_in_inference_zoneout_is_its_expectation_and_nothing_else_is_left(machine, case, dtype):
    layer, x, state, _, _ = case.build(dtype)
    count = case.L * (1 + case.bidirectional)
    noise = {f"zone_{k}": [getattr(layer, f"zoneout_{k}", 0.0)] * count for k in ("hc" if case.kind == "lstm" else "h")}
    expected, final, _ = twin.forward(
        doubles(x), doubles(layer.parameters()), case.twin(), state=doubles(state), lengths=case.lengths, noise=noise
    )
    y, found = layer(x, given(state), case.lengths)
    close(y, expected, TOLERANCE[dtype])
    for a, b in zip(members(found), final, strict=True):
        close(a, b, TOLERANCE[dtype])
    if machine.endswith("native") and not case.bidirectional and case.lengths is None:
        stream = layer.stream(case.N)
        stream.reset(given(state))
        for t in range(case.T):
            same_bits(stream.step(x[:, t]), y[:, t])


# What masks do not depend on

ALL = Case(
    "lstm", (*EVERYTHING.items(), ("peephole", True)), N=32, T=12, I=24, H=48, L=2, bidirectional=True, seed=6000
)
RAGGED = replace(ALL, lengths=(12, 5, 9, 0) * 8)


@pytest.mark.parametrize("isa", _core.available_isas())
@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("case", [ALL, RAGGED, replace(ALL, N=1, H=160, L=1, bidirectional=False)], ids=str)
def test_bits_do_not_depend_on_threads(isa, dtype, case):
    layer, x, state, dy, dstate = case.build(dtype)
    with settings(isa, "native", threads=1):
        alone = run(layer, x, state, dy, dstate, case.lengths, noise=SEED)
    for threads in (2, 3):
        with settings(isa, "native", threads):
            same_results(run(layer, x, state, dy, dstate, case.lengths, noise=SEED), alone)


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("case", [ALL, RAGGED], ids=str)
@pytest.mark.parametrize("first", [1, 7])
def test_a_batch_can_be_split(dtype, case, first):
    layer, x, state, dy, dstate = case.build(dtype)
    lengths = np.full(case.N, case.T) if case.lengths is None else np.array(case.lengths)
    with native():
        y, final, dx, _, grads = run(layer, x, state, dy, dstate, lengths, noise=SEED)
        sums = layer.zeros_like_parameters()[1]
        for rows in (slice(0, first), slice(first, None)):
            noise = clstm.Noise(SEED, rows=np.arange(case.N)[rows])
            at = tuple(s[:, rows] for s in state), dy[rows], tuple(s[:, rows] for s in dstate)
            part = run(layer, x[rows], *at, lengths[rows], noise=noise)
            same_bits(part[0], y[rows])
            same_bits(part[2], dx[rows])
            same_bits(part[1][1], final[1][:, rows])
            for name in sums:
                sums[name] += part[4][name]
    for name in grads:
        close(sums[name], grads[name], 1e-5 if dtype == "float32" else 1e-13)


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_time_can_be_cut(dtype):
    case = replace(ALL, bidirectional=False, L=1)
    layer, x, state, dy, dstate = case.build(dtype)
    with native():
        y, final, dx, dinitial, _ = run(layer, x, state, dy, dstate, noise=SEED)
        y_1, between, tape_1 = layer.forward(x[:, :5], state, noise=SEED)
        y_2, end, tape_2 = layer.forward(x[:, 5:], between, noise=clstm.Noise(SEED, first_step=5))
        dx_2, dbetween, _ = layer.backward(tape_2, dy[:, 5:], dstate)
        dx_1, dstart, _ = layer.backward(tape_1, dy[:, :5], dbetween)
    same_bits(np.concatenate([y_1, y_2], axis=1), y)
    same_bits(np.concatenate([dx_1, dx_2], axis=1), dx)
    same_results(end, final)
    same_results(dstart, dinitial)


@pytest.mark.parametrize("kind", ["lstm", "gru", "rnn"])
def test_a_cell_has_the_masks_of_the_layer(kind):
    rates = {
        name: rate for name, rate in EVERYTHING.items() if name != "dropout" and (kind == "lstm" or name != "zoneout_c")
    }
    case = Case(kind, tuple(rates.items()), N=4, T=5, seed=6100)
    layer, x, state, _, _ = case.build("float64")
    y, _, _ = layer.forward(x, given(state), noise=SEED)
    make = {"lstm": clstm.LSTMCell, "gru": clstm.GRUCell, "rnn": clstm.RNNCell}[kind]
    cell = make(case.I, case.H, **rates, dtype="float64", rng=0)
    cell.load_parameters({name.removesuffix("_l0"): values for name, values in layer.parameters().items()})
    carried = given(tuple(s[0] for s in state))
    for t in range(case.T):
        h, carried, _ = cell.forward(x[:, t], carried, noise=clstm.Noise(SEED, first_step=t))
        same_bits(h, y[:, t])


# In networks, and in training


def a_network(**rates):
    layers = [clstm.Embedding(5, 8, rng=0), clstm.LSTM(8, 16, num_layers=2, rng=1, **rates), clstm.Dense(16, 5, rng=2)]
    return clstm.Network(layers)


@pytest.mark.parametrize(
    "rates", [{"dropout": 0.5}, {"input_dropout": 0.5}, {"weight_drop": 0.5, "zoneout_h": 0.3}], ids=str
)
def test_a_network_hands_noise_on(rates):
    net, symbols = a_network(**rates), np.random.default_rng(0).integers(5, size=(6, 20))
    y, _, tape = net.forward(symbols, noise=3)
    x = net.layers[0](symbols)
    h, _, _ = net.layers[1].forward(x, noise=clstm.Noise(3).for_layer(1))
    close(y, net.layers[2](h), 1e-6)
    _, _, grads = net.backward(tape, np.ones_like(y))
    assert all(np.isfinite(gradient).all() for gradient in grads.values())
    same_bits(net.forward(symbols, noise=3)[0], y)
    assert (net.forward(symbols, noise=4)[0] != y).any()
    assert (net.forward(symbols)[0] != net.forward(symbols)[0]).any()
    same_bits(net(symbols), net(symbols))
    assert not a_network().takes_noise


def test_members_of_an_ensemble_have_noise_of_their_own():
    ensemble = clstm.Ensemble([clstm.Network([clstm.GRU(3, 4, zoneout_h=0.5, rng=0)]) for _ in range(2)])
    x = np.ones((2, 6, 3), np.float32)
    y, _, tape = ensemble.forward(x, noise=5)
    parts = [net.forward(x, noise=clstm.Noise(5).for_layer(k))[0] for k, net in enumerate(ensemble.layers)]
    close(y, (parts[0] + parts[1]) / 2, 1e-6)
    assert (parts[0] != parts[1]).any()
    assert ensemble.backward(tape, np.ones_like(y), bptt=2)[0].shape == x.shape


def test_no_two_places_of_nested_networks_share_their_masks():
    noise = clstm.Noise(5)
    inner = [noise.for_layer(i).for_layer(k) for i in range(6) for k in range(6)]
    places = [noise, *(noise.for_layer(k) for k in range(6)), *inner]
    assert len({place.seed for place in places}) == len(places)
    assert all(0 <= place.seed < 2**64 for place in places)


def test_training_is_repeatable():
    symbols = np.random.default_rng(0).integers(5, size=(40, 12))
    results = []
    for seed in (1, 1, 2):
        net = a_network(dropout=0.3, recurrent_dropout=0.3, weight_drop=0.2)
        trainer = clstm.Trainer(net, loss="cross_entropy", rng=seed)
        trainer.fit(symbols[:, :-1], symbols[:, 1:], epochs=2, batch_size=16, progress=False)
        results.append(net.flat_parameters.copy())
    same_bits(results[0], results[1])
    assert (results[0] != results[2]).any()


# Wrong input


@pytest.mark.parametrize("name", [*RATES, "zoneout_c"])
def test_rates_are_checked(name):
    for wrong, error in (
        (1, ValueError),
        (-0.1, ValueError),
        (np.nan, ValueError),
        ("0.5", TypeError),
        (True, TypeError),
    ):
        with pytest.raises(error, match=rf"{name}: expected a number in \[0, 1\), got"):
            clstm.LSTM(2, 3, **{name: wrong})


def test_noise_is_checked():
    gru, x = clstm.GRU(2, 3, zoneout_h=0.5, rng=0), np.zeros((4, 5, 2), np.float32)
    for wrong, error in ((-1, ValueError), (2**64, ValueError), (1.5, TypeError), ("1", TypeError), (True, TypeError)):
        with pytest.raises(error, match="noise: expected an int from 0 to 18446744073709551615, got"):
            gru.forward(x, noise=wrong)
    with pytest.raises(ValueError, match="noise: expected 4 rows, got 3"):
        gru.forward(x, noise=clstm.Noise(1, rows=[0, 1, 2]))
    with pytest.raises(ValueError, match=r"rows: expected shape \(N,\), got shape \(1, 2\)"):
        clstm.Noise(1, rows=[[0, 1]])
    with pytest.raises(ValueError, match="first_step"):
        clstm.Noise(1, first_step=-1)
    with pytest.raises(ValueError, match="zoneout_c: expected a layer that has it, an LSTM"):
        clstm.GRU(2, 3, zoneout_c=0.1)
    with pytest.raises(ValueError, match="input_noise: expected a number of at least 0, got -1"):
        clstm.RNN(2, 3, input_noise=-1)
