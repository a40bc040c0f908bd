"""EncoderDecoder against a twin in plain NumPy, whose gradient is that of complex steps; scheduled sampling against the
same step by step; and what it writes without a target against exhaustive search."""

import copy
import itertools
import pickle

import numpy as np
import pytest
from cases import TOLERANCE, close, native, same_bits, settings
from reference_attention import encoder_decoder

import clstm
from clstm import _core
from clstm.sampling import log_softmax

LENGTHS = {"lengths": (5, 2, 0, 5), "target_lengths": (6, 1, 3, 0)}
FULL = {"lengths": None, "target_lengths": None}
CASES = [
    ({}, LENGTHS),
    ({"attention": None}, LENGTHS),
    ({"attention": "dot", "cell": "gru"}, FULL),
    ({"attention": "additive", "num_layers": 2}, LENGTHS),
    ({"bidirectional": True}, LENGTHS),
    ({"bidirectional": True, "cell": "gru", "num_layers": 2, "attention": "additive"}, LENGTHS),
    ({"bidirectional": True, "merge": "sum", "attention": "dot", "num_layers": 2}, FULL),
    ({"bidirectional": True, "attention": None, "cell": "gru"}, LENGTHS),
    ({"bidirectional": True, "merge": "product", "attention": "general"}, LENGTHS),
]
SIZES = (7, 6, 4, 9)  # symbols of source and target, dim, hidden_size
NOISE = {"dropout": 0.4, "recurrent_dropout": 0.3, "input_dropout": 0.2, "weight_drop": 0.3, "input_noise": 0.1}


def build(options, dtype="float64", N=4, S=5, T=6, seed=0):
    """The network with random parameters, x and target, of symbols that are none of padding, start and end."""
    rng = np.random.default_rng(seed)
    net = clstm.EncoderDecoder(*SIZES, dtype=dtype, padding=None, rng=rng, **options)
    net.flat_parameters = rng.normal(size=net.flat_parameters.size) / 2
    return net, rng.integers(0, SIZES[0], (N, S)), rng.integers(0, SIZES[1], (N, T))


def spoilt(symbols, lengths):
    """The symbols, but none where they are not valid."""
    return (
        symbols
        if lengths is None
        else np.where(np.arange(symbols.shape[1]) < np.reshape(lengths, (-1, 1)), symbols, -7)
    )


def shifted(net, target):
    return np.concatenate([np.full((len(target), 1), net.start), target[:, :-1]], axis=1)


def run(net, x, target, steps, **options):
    """y and the tape."""
    y, state, tape = net.forward(
        spoilt(x, steps["lengths"]),
        None,
        steps["lengths"],
        target=spoilt(target, steps["target_lengths"]),
        target_lengths=steps["target_lengths"],
        **options,
    )
    assert state is None
    return y, tape


def check_gradients(net, grads, dy, twin):
    """Of each parameter, and of all together, the slope along a random way."""
    assert list(grads) == list(net.parameters())
    rng = np.random.default_rng(3)
    for only in (*grads, "all"):
        slope, at = 0, {}
        for name, values in net.parameters().items():
            way = rng.normal(size=values.shape) if only in (name, "all") else np.zeros(values.shape)
            at[name] = values + 1e-30j * way
            slope += (grads[name] * way).sum()
        wanted = (twin(at) * dy).sum().imag / 1e-30
        assert abs(slope - wanted) <= 1e-10 * max(1, abs(wanted)), only


@pytest.mark.parametrize(("options", "steps"), CASES, ids=str)
def test_values_and_gradients_are_those_of_the_twin(machine, options, steps):
    net, x, target = build(options)
    y, tape = run(net, x, target, steps)
    inputs = shifted(net, target)

    def twin(parameters):
        return encoder_decoder(net.config(), parameters, x, steps["lengths"], inputs, steps["target_lengths"])

    wanted, weights = twin(net.parameters())
    close(y, wanted.real, 1e-10)
    lengths = steps["lengths"], steps["target_lengths"]
    same_bits(net.infer(x, None, lengths[0], target=target, target_lengths=lengths[1])[0], y)
    same_bits(net(x, None, lengths[0], target=target, target_lengths=lengths[1]), y)
    if weights is not None:
        close(net.attention_weights(x, target, *lengths), weights.real, 1e-10)
    dy = np.random.default_rng(1).normal(size=y.shape)
    dx, dstate, grads = net.backward(tape, dy)
    assert (dx, dstate) == (None, None)
    if lengths[1] is not None:
        dy = np.where((np.arange(6) < np.reshape(lengths[1], (-1, 1)))[..., np.newaxis], dy, 0)
    check_gradients(net, grads, dy, lambda parameters: twin(parameters)[0])


@pytest.mark.parametrize("options", [{}, {"bidirectional": True, "num_layers": 2, "cell": "gru"}], ids=str)
def test_gradients_with_noise_are_those_of_the_twin_with_its_masks(options):
    net, x, target = build({**options, **NOISE, "zoneout_h": 0.3})
    seed = clstm.Noise(11)
    y, tape = run(net, x, target, LENGTHS, noise=11)
    noise = {}
    for part, steps in (("encoder", 5), ("decoder", 6)):
        k = net._labels.index(part)
        noise[part] = net.part(part).layers[1].masks(4, steps, seed.for_layer(k).for_layer(1))

    def twin(parameters):
        lengths = LENGTHS["lengths"], LENGTHS["target_lengths"]
        return encoder_decoder(net.config(), parameters, x, lengths[0], shifted(net, target), lengths[1], noise)[0]

    close(y, twin(net.parameters()).real, 1e-10)
    dy = np.where(y != 0, np.random.default_rng(1).normal(size=y.shape), 0)
    check_gradients(net, net.backward(tape, dy)[2], dy, twin)
    same_bits(run(net, x, target, LENGTHS, noise=11)[0], y)
    assert (run(net, x, target, LENGTHS, noise=12)[0] != y).any()


@pytest.mark.parametrize(("options", "steps"), CASES, ids=str)
def test_single_precision_follows_double(options, steps):
    net, x, target = build(options, "float32")
    results = []
    for dtype in TOLERANCE:
        twin = clstm.EncoderDecoder(**{**net.config(), "dtype": dtype}, rng=0)
        twin.load_parameters(net.parameters())
        y, tape = run(twin, x, target, steps)
        grads = twin.backward(tape, np.sin(np.arange(y.size)).reshape(y.shape).astype(dtype))[2]
        assert {array.dtype for array in (y, *grads.values())} == {np.dtype(dtype)}
        results.append((y, *grads.values()))
    for wanted, found in zip(*results, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-4 * np.abs(wanted).max() + 1e-6)


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("options", [{"attention": "additive", "bidirectional": True}, {"cell": "gru"}], ids=str)
def test_bits_depend_neither_on_threads_nor_on_other_rows(isa, dtype, options):
    net, x, target = build(options, dtype, N=30, S=40, T=50)
    lengths, target_lengths = np.arange(30) % 41, 50 - np.arange(30)
    results = []
    for threads in (1, 2, 3):
        with settings(backend="native", threads=threads):
            y, _, tape = net.forward(x, None, lengths, target=target, target_lengths=target_lengths)
            results.append((y, *net.backward(tape, np.ones_like(y))[2].values()))
    for other in results[1:]:
        for found, wanted in zip(other, results[0], strict=True):
            same_bits(found, wanted)
    with native():
        part = net(x[3:7], None, lengths[3:7], target=target[3:7], target_lengths=target_lengths[3:7])
        same_bits(part, results[0][0][3:7])
        whole = net.greedy(x, lengths, max_steps=9)
        part = net.greedy(x[3:7], lengths[3:7], max_steps=9)
    same_bits(part.scores, whole.scores[3:7])
    for found, wanted in zip(part.symbols, whole.symbols[3:7], strict=True):
        same_bits(found, wanted)


def test_gradients_are_added():
    net, x, target = build({})
    y, tape = run(net, x, target, LENGTHS)
    once = net.backward(tape, np.ones_like(y))[2]
    flat, grads = net.zeros_like_parameters()
    flat += 1
    y, tape = run(net, x, target, LENGTHS)
    assert net.backward(tape, np.ones_like(y), None, grads)[2] is grads
    for name in grads:
        np.testing.assert_allclose(grads[name], once[name] + 1, rtol=1e-12)


# Padding and lists


def test_lengths_are_found_by_the_padding():
    net = clstm.EncoderDecoder(*SIZES, rng=0)
    x, target = [[5, 0, 4, 0, 0], [0, 0, 0, 0, 0], [3, 3, 3, 3, 3]], [[4, 2, 0], [0, 0, 2], [3, 5, 4]]
    wanted = net(x, None, [3, 0, 5], target=target, target_lengths=[2, 3, 3])
    same_bits(net(x, target=target), wanted)
    assert not wanted[0, 2].any()
    lists = [np.array(row, int) for row in ([5, 0, 4], [], [3, 3, 3, 3, 3])]
    same_bits(net(lists, target=[np.array(row) for row in ([4, 2], [0, 0, 2], [3, 5, 4])]), wanted)
    for found, row in zip(net.greedy(lists, max_steps=4).symbols, net.greedy(x, max_steps=4).symbols, strict=True):
        same_bits(found, row)


# Scheduled sampling


@pytest.mark.parametrize("temperature", [0.0, 1.0])
@pytest.mark.parametrize("options", [{}, {"bidirectional": True, "cell": "gru", "attention": None}], ids=str)
def test_scheduled_sampling_takes_its_own_symbols(options, temperature):
    net, x, target = build(options)
    target_lengths = LENGTHS["target_lengths"]
    y, tape = run(net, x, target, LENGTHS, scheduled=0.6, temperature=temperature, rng=5)

    rng = np.random.default_rng(5)
    own = rng.random(target.shape) < 0.6
    inputs = shifted(net, target)
    inputs[np.arange(6) >= np.reshape(target_lengths, (-1, 1))] = net.start
    for t in range(1, 6):  # the whole prefix, anew at each step
        to_come = np.concatenate([inputs[:, 1:], inputs[:, :1]], axis=1)
        logits = net(x, None, LENGTHS["lengths"], target=to_come)[:, t - 1]
        logits[:, net.start] = -np.inf
        if own[:, t:].any():
            chosen = clstm.sampling.sample(logits, temperature=temperature, rng=rng)
            inputs[:, t] = np.where(own[:, t], chosen, inputs[:, t])
    assert (inputs != shifted(net, target))[:, :3].any()

    wanted, wanted_tape = run(net, x, np.concatenate([inputs[:, 1:], inputs[:, :1]], axis=1), LENGTHS)
    same_bits(y, wanted)
    for found, other in zip(
        net.backward(tape, np.ones_like(y))[2].values(),
        net.backward(wanted_tape, np.ones_like(y))[2].values(),
        strict=True,
    ):
        same_bits(found, other)


def test_scheduled_sampling_repeats_by_its_seeds():
    net, x, target = build({})
    assert not net.takes_noise
    net.scheduled = 0.5
    assert net.takes_noise
    y = run(net, x, target, FULL, noise=3)[0]
    same_bits(run(net, x, target, FULL, noise=3)[0], y)
    same_bits(run(net, x, target, FULL, scheduled=0.5, rng=3)[0], y)
    others = [run(net, x, target, FULL, noise=seed)[0] for seed in range(4, 8)]
    assert any((other != y).any() for other in others)
    same_bits(run(net, x, target, FULL, scheduled=0.0)[0], net(x, target=target))
    assert copy.deepcopy(net).scheduled == 0.5
    for bad in (1.0, -0.1, "often"):
        with pytest.raises((ValueError, TypeError), match=r"^scheduled: expected a number in \[0, 1\)"):
            net.scheduled = bad


# Without a target


def log_probability(net, x, symbols, ended):
    """Of one row, by the network with the target: what is never written has no part in it."""
    target = [*symbols, net.end] if ended else list(symbols)
    y = net(x, target=[target])[0].copy()
    y[:, net._never] = -np.inf
    return log_softmax(y)[np.arange(len(target)), target].sum()


@pytest.mark.parametrize(
    "options", [{}, {"attention": "additive", "bidirectional": True}, {"attention": None}], ids=str
)
def test_greedy_writes_the_greatest_scores(options):
    net, x, _ = build(options, N=6)
    found = net.greedy(x, max_steps=7)
    assert len(found.symbols) == 6
    for n, symbols in enumerate(found.symbols):
        ended = len(symbols) < 7
        target = [*symbols, net.end] if ended else list(symbols)
        y = net(x[n : n + 1], target=[target])[0].copy()
        y[:, net.start] = -np.inf
        assert y.argmax(axis=1).tolist() == target
        assert abs(found.scores[n] - log_probability(net, x[n : n + 1], symbols, ended)) < 1e-12
    beam = net.beam(x, width=1, max_steps=7)
    cold = net.sample(x, temperature=0, max_steps=7)
    for other in (beam, cold):
        for symbols, wanted in zip(other.symbols, found.symbols, strict=True):
            same_bits(symbols, wanted)
        np.testing.assert_allclose(other.scores, found.scores, rtol=1e-13)


@pytest.mark.parametrize("penalty", [0.0, 0.7, 2.0])
def test_a_wide_beam_is_an_exhaustive_search(penalty):
    net, x, _ = build({}, N=3)
    letters = [symbol for symbol in range(SIZES[1]) if symbol not in (net.start, net.end)]
    found = net.beam(x, width=5 * 4**3, length_penalty=penalty, max_steps=4, best=9)
    for n in range(3):
        every = []
        for length in range(4):
            for symbols in itertools.product(letters, repeat=length):
                score = log_probability(net, x[n : n + 1], symbols, True) / ((6 + length) / 6) ** penalty
                every.append((score, symbols))
        every.sort(reverse=True)
        assert [tuple(symbols.tolist()) for symbols in found.symbols[n]] == [symbols for _, symbols in every[:9]]
        np.testing.assert_allclose(found.scores[n], [score for score, _ in every[:9]], rtol=1e-12)


def test_beams_of_a_batch_are_those_of_its_rows():
    net, x, _ = build({"bidirectional": True, "num_layers": 2}, N=5)
    lengths = np.array([5, 3, 0, 1, 5])
    whole = net.beam(x, lengths, width=3, length_penalty=0.6, max_steps=8, best=2)
    for n in range(5):
        own = net.beam(x[n : n + 1], lengths[n : n + 1], width=3, length_penalty=0.6, max_steps=8, best=2)
        np.testing.assert_allclose(own.scores[0], whole.scores[n], rtol=1e-12)
        for found, wanted in zip(own.symbols[0], whole.symbols[n], strict=True):
            same_bits(found, wanted)
    best = net.beam(x, lengths, width=3, length_penalty=0.6, max_steps=8)
    for found, wanted in zip(best.symbols, whole.symbols, strict=True):
        same_bits(found, wanted[0])


def test_samples_are_as_frequent_as_they_are_probable():
    stats = pytest.importorskip("scipy.stats")
    net, x, _ = build({}, N=1)
    count = 4000
    found = net.sample(np.repeat(x, count, axis=0), rng=0, max_steps=2)
    names = [tuple(symbols.tolist()) for symbols in found.symbols]
    for n in (0, 17):
        assert abs(found.scores[n] - log_probability(net, x, names[n], len(names[n]) < 2)) < 1e-12
    letters = [symbol for symbol in range(SIZES[1]) if symbol not in (net.start, net.end)]
    every = [(), *itertools.product(letters, repeat=1), *itertools.product(letters, repeat=2)]
    expected = count * np.exp([log_probability(net, x, symbols, len(symbols) < 2) for symbols in every])
    assert abs(expected.sum() - count) < 1e-6
    assert set(names) <= set(every)
    seen = np.array([names.count(symbols) for symbols in every])
    rare = expected < 5
    pooled = [np.append(array[~rare], array[rare].sum() + 1e-9) for array in (seen, expected)]
    assert stats.chisquare(pooled[0], pooled[1] * pooled[0].sum() / pooled[1].sum()).pvalue > 1e-3


def test_sampling_repeats_and_takes_its_options():
    net, x, _ = build({})
    found = net.sample(x, rng=1, max_steps=6)
    again = net.sample(x, rng=np.random.default_rng(1), max_steps=6)
    greedy = net.greedy(x, max_steps=6)
    for options in ({"top_k": 1}, {"top_p": 1e-9}):
        for symbols, wanted in zip(net.sample(x, rng=2, max_steps=6, **options).symbols, greedy.symbols, strict=True):
            same_bits(symbols, wanted)
    for symbols, wanted in zip(again.symbols, found.symbols, strict=True):
        same_bits(symbols, wanted)
    for symbols in found.symbols:
        assert not np.isin(symbols, [net.start, net.end]).any()


def test_neither_start_nor_padding_is_written():
    net = clstm.EncoderDecoder(*SIZES, rng=0)
    net.parameters()["output.bias"][:] = [9, 9, -9, 0, 0, 0]
    for found in (net.greedy([[3]], max_steps=20), net.sample([[3]], max_steps=20), net.beam([[3]], max_steps=20)):
        assert set(found.symbols[0].tolist()) <= {3, 4, 5}
    assert len(net.greedy([[3, 4, 5]]).symbols[0]) == 16  # twice the source and 10


# What all layers have


@pytest.mark.parametrize(("options", "steps"), CASES, ids=str)
def test_files_and_copies(tmp_path, options, steps):
    net, x, target = build({**options, "dropout": 0.25 if "num_layers" in options else 0.0})
    y = net(x, target=target)
    net.save(tmp_path / "net.safetensors")
    for other in (clstm.load(tmp_path / "net.safetensors"), copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert repr(other) == repr(net)
        assert other.config() == net.config()
        same_bits(other(x, target=target), y)
        other.flat_parameters *= 0
        same_bits(net(x, target=target), y)
    shapes = dict(clstm.EncoderDecoder.parameter_shapes(**net.config()))
    assert shapes == {name: values.shape for name, values in net.parameters().items()}
    same_bits(np.concatenate([values.ravel() for values in net.parameters().values()]), net.flat_parameters)


def test_starting_weights_come_from_the_seed():
    a, b, c = (clstm.EncoderDecoder(*SIZES, bidirectional=True, rng=seed) for seed in (1, 1, 2))
    same_bits(a.flat_parameters, b.flat_parameters)
    assert (a.flat_parameters != c.flat_parameters).any()
    a.reset_parameters(2)
    same_bits(a.flat_parameters, c.flat_parameters)
    for name, values in a.parameters().items():
        assert values.any() or name.endswith("bias"), name


def test_gradient_flow_arrives_at_both():
    net, x, target = build({"bidirectional": True})
    flows = net.gradient_flow(x, target, LENGTHS["lengths"], target_lengths=LENGTHS["target_lengths"])
    assert sorted(flows) == ["decoder.1", "encoder.1"]
    assert flows["encoder.1"].h.shape == (2, 4, 5)
    assert flows["decoder.1"].c.shape == (1, 4, 6)
    assert flows["encoder.1"].h[0, 0].all()
    assert not flows["encoder.1"].h[:, 3].any()  # a row without a target


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"attention": "dot", "bidirectional": True},
            "attention: expected 'general' or 'additive' with two directions",
        ),
        ({"attention": "cosine"}, "attention: expected one of 'dot', 'general', 'additive', got 'cosine'"),
        ({"cell": "rnn"}, "cell: expected one of 'lstm', 'gru', got 'rnn'"),
        ({"cell": "gru", "zoneout_c": 0.1}, "zoneout_c: expected a layer that has it, an LSTM"),
        ({"merge": "sum"}, "merge: expected 'concat', because bidirectional=False"),
        ({"end": 1}, "end: expected another symbol than the start, got 1"),
        ({"padding": 2}, "padding: expected another symbol than start and end, or None, got 2"),
        ({"start": 6}, "start: expected"),
        ({"num_layers": 0}, "num_layers: expected"),
        ({"dropout": 1.0}, r"dropout: expected a number in \[0, 1\)"),
    ],
)
def test_bad_configurations_are_refused(options, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        clstm.EncoderDecoder(*SIZES, **options)


def test_sources_may_be_empty():
    net = clstm.EncoderDecoder(*SIZES, bidirectional=True, rng=0)
    one = net.greedy([[0, 0], [0, 0]], max_steps=3)
    same_bits(one.symbols[0], one.symbols[1])
    same_bits(one.symbols[0], net.beam([[0]], width=1, max_steps=3).symbols[0])
    y, _, tape = net.forward([[0, 0]], target=[[3, 2]])
    grads = net.backward(tape, np.ones_like(y))[2]
    assert not any(grads[name].any() for name in grads if name.startswith(("encoder", "attention")))
    assert grads["decoder.0.weight"].any()


def test_bad_arguments_are_refused():
    net, x, target = build({})
    rows = list(target)
    for error, given, options, message in [
        (TypeError, (x,), {}, "target: expected the symbols to be written"),
        (TypeError, (x,), {"target": [*rows[:3], rows[3] / 2]}, r"target\[3\]: expected an array of integers"),
        (ValueError, (x,), {"target": [*rows[:3], x]}, r"target\[3\]: expected shape \(T,\)"),
        (ValueError, (x,), {"target": rows, "target_lengths": [1] * 4}, "target_lengths: expected None"),
        (ValueError, (x,), {"target": target[:2]}, "target: expected 4 rows, as x has, got 2"),
        (ValueError, (x,), {"target": target + 6}, "target: expected a symbol from 0 to 5, got"),
        (ValueError, (x + 7,), {"target": target}, "x: expected a symbol from 0 to 6, got"),
        (ValueError, (x[0],), {"target": target}, r"x: expected shape \(N, T\)"),
        (TypeError, (x + 0.5,), {"target": target}, "x: expected an array of integers"),
        (ValueError, (x, [0]), {"target": target}, "state: expected None"),
        (ValueError, (x, None, [9, 1, 1, 1]), {"target": target}, "lengths: expected a number of steps from 0 to 5"),
        (ValueError, (x,), {"target": target, "target_lengths": [1]}, r"target_lengths: expected shape \(4,\)"),
        (ValueError, (x,), {"target": target, "temperature": -1.0}, "temperature: expected"),
    ]:
        with pytest.raises(error, match=f"^{message}"):
            net.forward(*given, **options)
    with pytest.raises(ValueError, match=r"^max_steps: expected"):
        net.greedy(x, max_steps=0)
    with pytest.raises(ValueError, match=r"^best: expected at most 2, which is the width, got 3"):
        net.beam(x, width=2, best=3)
    with pytest.raises(ValueError, match=r"^attention: expected one of 'dot', 'general', 'additive', got None"):
        build({"attention": None})[0].attention_weights(x, target)
    y, tape = run(net, x, target, FULL)
    with pytest.raises(ValueError, match=r"^dy: expected shape"):
        net.backward(tape, y[:1])
    net.backward(tape, y)
    with pytest.raises(ValueError, match="used up"):
        net.backward(tape, y)
    with pytest.raises(ValueError, match=r"part|name"):
        net.part("heart")


# Learning


def digits(rng, count):
    """Strings of 3 to 6 digits, and the same backwards with the end; digits begin at 3."""
    lengths = rng.integers(3, 7, count)
    x, target = np.zeros((count, 6), np.int64), np.zeros((count, 7), np.int64)
    for n, length in enumerate(lengths):
        x[n, :length] = rng.integers(3, 13, length)
        target[n, :length], target[n, length] = x[n, :length][::-1], 2
    return x, target


@pytest.mark.parametrize("scheduled", [0.0, 0.3])
def test_reversing_strings_is_learnt(scheduled):
    rng = np.random.default_rng(0)
    net = clstm.EncoderDecoder(13, 13, 16, 32, attention="dot", rng=1)
    net.scheduled = scheduled
    optimizer, state = clstm.Adam(0.02), clstm.optimizers.OptimizerState()
    flat, grads = net.zeros_like_parameters()
    for step in range(250):
        x, target = digits(rng, 32)
        y, _, tape = net.forward(x, target=target, noise=step)
        _, dy = clstm.losses.cross_entropy(y, target, lengths=(target != 0).sum(axis=1))
        flat.fill(0)
        net.backward(tape, dy, None, grads)
        flat *= min(1, 1 / _core.global_norm(flat))
        optimizer.update(net.flat_parameters, flat, state)
    x, target = digits(np.random.default_rng(1), 100)
    for found in (net.greedy(x), net.beam(x)):
        right = [
            symbols.tolist() == row[(row != 0) & (row != 2)].tolist() for symbols, row in zip(found.symbols, target)
        ]
        assert np.mean(right) > 0.95
    weights = net.attention_weights(x, target)
    length = int((x[0] != 0).sum())
    assert weights[0, :length, :length].argmax(axis=1).tolist() == list(range(length))[::-1]
