"""What recurrent layers start from and what they give: directions that are merged, outputs of the end, the learned
initial state. Merged layers against the NumPy twin; all of it, alone and together, against complex-step derivatives of
the twin's forward; and the properties that no twin is needed for."""

import copy
import pickle
import tracemalloc
from dataclasses import dataclass, replace
from itertools import cycle, product

import numpy as np
import pytest
import reference_cells as twin
import test_cells
from cases import TOLERANCE, close, native, normal, same_bits, same_results, settings
from test_cells import CELLS, LAYERS, given, members, prove, run

import clstm
from clstm import _core

MERGES = ("sum", "mean", "product")
OUTPUTS = ("h", "last", "state")  # "c", which only an LSTM has, is known to the twin: test_cells.py
NOISE = {"dropout": 0.3, "input_dropout": 0.2, "recurrent_dropout": 0.25, "weight_drop": 0.3, "zoneout_h": 0.2}
SEED = 20260713


@dataclass(frozen=True)
class Case(test_cells.Case):
    """The same with the options of this page."""

    def build(self, dtype):
        """The layer, and x, state, dy, dstate; dy in the shape of y."""
        rng = np.random.default_rng(self.seed)
        layer = self.layer(dtype, rng)
        D, sizes = 1 + self.bidirectional, self.twin().state_sizes
        x = self.pad(normal(rng, dtype, self.N, self.T, self.I))
        if layer.output in ("h", "c"):
            dy = self.pad(normal(rng, dtype, self.N, self.T, layer.output_size))
        else:
            dy = normal(rng, dtype, self.N, layer.output_size)
        state, dstate = (tuple(normal(rng, dtype, self.L * D, self.N, size) for size in sizes) for _ in range(2))
        return layer, x, state if self.with_state else None, dy, dstate


# Merged directions against the twin

SIZES = cycle(
    [(3, 5, 6, 9), (1, 4, 1, 1), (7, 3, 16, 17), (2, 1, 17, 33), (5, 6, 3, 16), (6, 4, 5, 20), (40, 12, 3, 8)]
)
MERGED = [
    Case(
        kind,
        (("merge", merge), *more),
        *sizes,
        L=L,
        bidirectional=True,
        lengths=tuple((sizes[1], 0, 1, sizes[1] - 1)[n % 4] for n in range(sizes[0])) if k % 3 else None,
        with_state=k % 4 > 0,
        seed=7050 + k,
    )
    for k, ((merge, kind, L), more, sizes) in enumerate(
        zip(
            product(MERGES, LAYERS, (1, 2, 3)),
            cycle([(), (), (("clip", 0.7),), (), (("gradient_clip", 0.3),)]),
            SIZES,
            strict=False,
        )
    )
]
MERGED += [
    Case("lstm", (("merge", merge), *more), L=2, bidirectional=True, seed=7100)
    for merge in MERGES
    for more in ((("peephole", True), ("coupled", True)), (("output", "c"),), (("output", "c"), ("proj_size", 5)))
]


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("case", MERGED, ids=str)
def test_merged_directions_are_those_of_the_twin(machine, case, dtype):
    prove(case, dtype)
    layer, x, state, _, _ = case.build(dtype)
    y, final, _ = layer.forward(x, given(state), case.lengths)
    assert y.shape[2] == layer.output_size == case.twin().y_size
    same_results(layer(x, given(state), case.lengths), (y, final))
    shapes = {name: values.shape for name, values in layer.parameters().items()}
    assert shapes == dict(twin.parameter_shapes(case.twin(), case.I))
    assert shapes == dict(type(layer).parameter_shapes(**layer.config()))


@pytest.mark.parametrize("case", MERGED[::4], ids=str)
def test_truncated_gradients_are_those_of_the_twin(machine, case):
    prove(case, "float64", bptt=2)


@pytest.mark.parametrize("merge", MERGES)
def test_a_merge_is_what_its_name_says(merge):
    layer = clstm.LSTM(3, 4, bidirectional=True, merge=merge, dtype="float64", rng=0)
    apart = clstm.LSTM(3, 4, bidirectional=True, dtype="float64", rng=0)
    x = np.random.default_rng(1).normal(size=(2, 5, 3))
    ahead, back = np.split(apart(x)[0], 2, axis=2)
    expected = {"sum": ahead + back, "mean": (ahead + back) / 2, "product": ahead * back}[merge]
    same_bits(layer(x)[0], expected)
    same_results(layer(x)[1], apart(x)[1])


@pytest.mark.parametrize("options", [{}, {"proj_size": 5}, {"layer_norm": True}, {"zoneout_c": 0.3}], ids=str)
@pytest.mark.parametrize("bidirectional", [False, True])
def test_all_c_are_those_of_the_trace(bidirectional, options):
    sizes = {"num_layers": 2, "bidirectional": bidirectional, "dtype": "float64", **options}
    layer, usual = clstm.LSTM(3, 4, output="c", **sizes, rng=0), clstm.LSTM(3, 4, **sizes, rng=0)
    x, lengths = np.random.default_rng(1).normal(size=(3, 5, 3)), [5, 0, 2]
    y, state = layer(x, lengths=lengths)
    c = usual.trace(x, lengths=lengths).c[-(1 + bidirectional) :]
    same_bits(y, np.concatenate(list(c), axis=2))
    same_results(state, usual(x, lengths=lengths)[1])
    assert y.shape[2] == layer.output_size == 4 * (1 + bidirectional)


# All options, alone and together, against complex steps

EVERYTHING = {**NOISE, "zoneout_c": 0.2, "input_noise": 0.3}
TOGETHER = [
    Case(
        kind,
        tuple({**({"merge": merge} if D else {}), "output": output, "learned_state": learned, **more}.items()),
        N=4,
        T=5,
        I=3,
        H=3 + k % 3,
        L=1 + k % 2,
        bidirectional=D,
        lengths=(5, 2, 0, 4) if k % 4 < 2 else None,
        with_state=k % 5 == 4,
        seed=7200 + k,
    )
    for k, ((kind, (merge, D), output, learned), more) in enumerate(
        zip(
            product(
                LAYERS,
                [("concat", False), ("concat", True), *((merge, True) for merge in MERGES)],
                OUTPUTS,
                (False, True),
            ),
            cycle([{}, NOISE, {"zoneout_h": 0.4}, {}, {"dropout": 0.5}, {"recurrent_dropout": 0.5, "clip": 2.0}, {}]),
            strict=False,
        )
    )
]
TOGETHER += [
    Case("lstm", (*EVERYTHING.items(), ("peephole", True), ("merge", "product"), ("output", output),
                  ("learned_state", True)), H=5, L=2, bidirectional=True, with_state=False, seed=7300)
    for output in OUTPUTS
]  # fmt: skip
TOGETHER += [
    Case(kind, (("go_backwards", True), ("output", output), ("learned_state", True)), N=4, L=2, lengths=(5, 0, 3, 1),
         with_state=False, seed=7301)
    for kind in LAYERS for output in OUTPUTS
]  # fmt: skip


def start_of(case, params, state):
    """What the twin starts from: what is given, or the parameters for it."""
    if state is not None or not dict(case.options).get("learned_state"):
        return state
    suffixes = [f"_l{k}{suffix}" for k in range(case.L) for suffix in case.twin().suffixes]
    names = ("h0", "c0") if case.kind == "lstm" else ("h0",)
    rows = np.ones((1, case.N, 1))
    return tuple(np.stack([params[name + suffix] for suffix in suffixes])[:, None] * rows for name in names)


def output_of(case, y, final):
    """y as the option `output` wants it."""
    output, merge = dict(case.options)["output"], case.twin().merge
    if output in ("h", "c"):
        return y
    if output == "state":
        return np.concatenate([row for member in final for row in member], axis=1)
    last = final[0][-(1 + case.bidirectional) :]
    if merge == "concat":
        return np.concatenate(list(last), axis=1)
    return {"sum": last[0] + last[-1], "mean": (last[0] + last[-1]) / 2, "product": last[0] * last[-1]}[merge]


def loss_of(case, x, params, state, dy, dstate, noise):
    """sum(dy y) + sum(dstate state), by the twin; and y."""
    own = {name: values for name, values in params.items() if name[:2] not in ("h0", "c0")}
    y, final, _ = twin.forward(
        x, own, case.twin(), state=start_of(case, params, state), lengths=case.lengths, noise=noise
    )
    y = output_of(case, y, final)
    terms = [(y * dy).sum(), *((a * b).sum() for a, b in zip(final, dstate, strict=True))]
    return sum(terms), y


@pytest.mark.parametrize("case", TOGETHER, ids=str)
def test_gradients_are_those_of_complex_steps(case):
    layer, x, state, dy, dstate = case.build("float64")
    y, _, tape = layer.forward(x, given(state), case.lengths, noise=SEED)
    dx, dinitial, grads = layer.backward(tape, dy, given(dstate))
    assert list(grads) == list(layer.parameters())
    assert not np.isnan(dx).any()
    noise = {}
    if layer.takes_noise:
        noise = {k: tuple(m) if isinstance(m, list) else m for k, m in layer.masks(case.N, case.T, SEED).items()}

    x, dy, params = np.nan_to_num(x), np.nan_to_num(dy), layer.parameters()
    close(y, loss_of(case, x, params, state, dy, dstate, noise)[1], 1e-10)
    rng = np.random.default_rng(case.seed)
    for _ in range(3):
        ways = {name: rng.normal(size=values.shape) for name, values in params.items()}
        way, way_of_state = rng.normal(size=x.shape), [rng.normal(size=s.shape) for s in dstate]
        at = {name: values + 1e-30j * ways[name] for name, values in params.items()}
        initial = state and tuple(s + 1e-30j * w for s, w in zip(state, way_of_state, strict=True))
        slope = loss_of(case, x + 1e-30j * way, at, initial, dy, dstate, noise)[0].imag / 1e-30
        found = [(gradient * ways[name]).sum() for name, gradient in grads.items()] + [(dx * way).sum()]
        if state is not None:
            found += [(a * b).sum() for a, b in zip(members(dinitial), way_of_state, strict=True)]
        assert abs(sum(found) - slope) <= 1e-10 * max(1, np.abs(found).sum())


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("case", TOGETHER[::3], ids=str)
def test_every_machine_computes_the_same(machine, case, dtype):
    layer, x, state, dy, dstate = case.build("float64")
    with settings("baseline" if "baseline" in _core.available_isas() else None, "native", 1):
        expected = run(layer, x, state, dy, dstate, case.lengths, noise=SEED)
    layer, *arrays = case.build(dtype)
    x, state, dy, dstate = arrays
    found = run(layer, x, state, dy, dstate, case.lengths, noise=SEED)
    for a, b in zip((found[0], found[2], *members(found[3])), (expected[0], expected[2], *members(expected[3])),
                    strict=True):  # fmt: skip
        close(a, b, TOLERANCE[dtype])
    for name, gradient in found[4].items():
        assert gradient.dtype == dtype
        np.testing.assert_allclose(gradient, expected[4][name], rtol=0, atol=TOLERANCE[dtype] * 10)


LARGE = [
    Case(kind, (("merge", merge), ("output", output), ("learned_state", True), *NOISE.items()), N=32, T=12, I=24, H=48,
         L=2, bidirectional=True, with_state=False, lengths=(12, 5, 9, 0) * 8, seed=7400)
    for (kind, merge), output in zip(product(LAYERS, MERGES), cycle(OUTPUTS), strict=False)
]  # fmt: skip


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("case", LARGE, ids=str)
def test_bits_do_not_depend_on_threads(isa, case, dtype):
    layer, x, state, dy, dstate = case.build(dtype)
    with settings(isa, "native", threads=1):
        alone = run(layer, x, state, dy, dstate, case.lengths, noise=SEED)
        quiet = layer(x, lengths=case.lengths)
    for threads in (2, 3, 8):
        with settings(isa, "native", threads):
            same_results(run(layer, x, state, dy, dstate, case.lengths, noise=SEED), alone)
            same_results(layer(x, lengths=case.lengths), quiet)


@pytest.mark.parametrize("case", [replace(case, options=case.options[:3]) for case in LARGE], ids=str)
def test_rows_do_not_depend_on_the_rest_of_the_batch(isa, case):
    layer, x, state, dy, dstate = case.build("float32")
    with native():
        y, final, dx, dinitial, grads = run(layer, x, state, dy, dstate, case.lengths)
        sums = layer.zeros_like_parameters()[1]
        for rows in (slice(0, 5), slice(5, None)):
            part = run(layer, x[rows], None, dy[rows], tuple(s[:, rows] for s in dstate), case.lengths[rows])
            same_bits(part[0], y[rows])
            same_bits(part[2], dx[rows])
            for found, whole in ((part[1], final), (part[3], dinitial)):
                for a, b in zip(members(found), members(whole), strict=True):
                    same_bits(a, b[:, rows])
            for name in sums:
                sums[name] += part[4][name]
    for name in grads:
        close(sums[name], grads[name], 1e-5)


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize(("merge", "output"), [*product(("concat", *MERGES), OUTPUTS)])
def test_symbols_are_their_vectors(machine, kind, merge, output):
    rng = np.random.default_rng(3)
    embedding = clstm.Embedding(5, 6, dtype="float64", rng=0)
    options = {"merge": merge, "output": output, "learned_state": True}
    layer = LAYERS[kind](6, 7, num_layers=2, bidirectional=True, **options, dtype="float64", rng=1)
    layer.flat_parameters += rng.normal(size=layer.flat_parameters.size) / 5
    alone, net = copy.deepcopy(layer), clstm.Network([embedding, layer])
    symbols, lengths = rng.integers(5, size=(4, 9)), [9, 3, 0, 6]
    y, _, tape = net.forward(symbols, lengths=lengths)
    expected, _, alone_tape = alone.forward(embedding(symbols), lengths=lengths)
    close(y, expected, 1e-12)
    dy = rng.normal(size=y.shape)
    _, _, grads = net.backward(tape, dy)
    dx, _, alone_grads = alone.backward(alone_tape, dy)
    for name, gradient in alone_grads.items():
        close(grads[f"1.{name}"], gradient, 1e-12)
    dvectors = np.zeros((5, 6))
    for n, length in enumerate(lengths):
        np.add.at(dvectors, symbols[n, :length], dx[n, :length])
    close(grads["0.weight"], dvectors, 1e-12)


# The learned initial state


@pytest.mark.parametrize("kind", LAYERS)
def test_the_initial_state_starts_at_zero_and_stands_behind_all_parameters(kind):
    sizes = {"num_layers": 2, "bidirectional": True, "dtype": "float64"}
    plain = LAYERS[kind](3, 4, **sizes, rng=0)
    layer = LAYERS[kind](3, 4, **sizes, learned_state=True, rng=0)
    names, own = list(layer.parameters()), list(plain.parameters())
    assert names[: len(own)] == own
    each = ("h0", "c0") if kind == "lstm" else ("h0",)
    assert names[len(own) :] == [
        f"{name}_{place}" for place in ("l0", "l0_reverse", "l1", "l1_reverse") for name in each
    ]
    assert all(layer.parameters()[name].shape == (4,) for name in names[len(own) :])
    for init in ("keras", "pytorch", {"weight_hh": 1.0}):
        started = LAYERS[kind](3, 4, **sizes, learned_state=True, init=init, rng=0)
        assert not any(started.parameters()[name].any() for name in names[len(own) :])
    x = np.random.default_rng(0).normal(size=(2, 5, 3))
    same_results(layer(x), plain(x))
    started = LAYERS[kind](3, 4, **sizes, learned_state=True, init={"h0": 0.5}, rng=0)
    assert (started.parameters()["h0_l1_reverse"] == 0.5).all()
    assert not clstm.LSTM(3, 4, learned_state=True, init={"h0": "zeros", "c0": 1}).parameters()["h0_l0"].any()
    with pytest.raises(ValueError, match="a key of init: expected one of"):
        LAYERS[kind](3, 4, init={"h0": 0.5})


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("kind", LAYERS)
def test_streams_and_cells_start_from_it(isa, kind, dtype):
    case = Case(kind, (("learned_state", True),), N=3, T=6, seed=7500)
    layer, x, _, _, dstate = case.build(dtype)
    y, final = layer(x)
    assert any(name.startswith("h0") and values.all() for name, values in layer.parameters().items())
    stream = layer.stream(case.N)
    cell = CELLS[kind](case.I, case.H, learned_state=True, dtype=dtype, rng=0)
    cell.load_parameters({name.removesuffix("_l0"): values for name, values in layer.parameters().items()})
    for _ in range(2):
        carried = None
        for t in range(case.T):
            same_bits(stream.step(x[:, t]), y[:, t])
            carried = cell(x[:, t], carried)
            same_bits(members(carried)[0], y[:, t])
        same_results(members(stream.state), members(final))
        stream.reset()
    same_bits(members(stream.state)[0], np.repeat(layer.parameters()["h0_l0"][None, None], case.N, axis=1))
    stream.reset(given(tuple(np.zeros_like(s) for s in dstate)))
    same_bits(stream.step(x[:, 0]), layer(x[:, :1], given(tuple(np.zeros_like(s) for s in dstate)))[0][:, 0])

    out = given(tuple(np.empty((case.N, case.H), dtype) for _ in dstate))
    assert cell(x[:, 0], out=out) is out
    same_bits(members(out)[0], y[:, 0])
    h, after, tape = cell.forward(x[:, 0])
    same_bits(h, y[:, 0])
    _, dinitial, grads = cell.backward(tape, h)
    for name, gradient in zip(("h0", "c0"), members(dinitial), strict=False):
        close(grads[name], gradient.sum(axis=0), 1e-5)
    h, _, tape = cell.forward(x[:, 1], after)
    assert not cell.backward(tape, h)[2]["h0"].any()
    assert repr(cell) == f"{CELLS[kind].__name__}(6, 9, learned_state=True{', dtype=' * (dtype != 'float32')}" + (
        "'float64')" if dtype == "float64" else ")"
    )


def test_a_given_state_takes_no_notice_of_it():
    case = Case("lstm", (("learned_state", True),), seed=7501)
    layer, x, state, dy, _ = case.build("float64")
    _, _, tape = layer.forward(x, state)
    _, _, grads = layer.backward(tape, dy)
    assert grads["weight_ih_l0"].any()
    assert not grads["h0_l0"].any()
    assert not grads["c0_l0"].any()
    zeros = tuple(np.zeros_like(s) for s in state)
    same_results(layer(x, zeros), layer(x, (None, zeros[1])))  # a member that is None is zero, as ever
    before = {name: np.ones_like(values) for name, values in grads.items()}
    _, dstate, added = layer.backward(layer.forward(x)[2], dy, grads=before)
    close(added["c0_l0"], 1 + dstate[1].sum(axis=(0, 1)), 1e-13)


# Copies, files, networks, training

LAYER = {"num_layers": 2, "bidirectional": True, "merge": "mean", "output": "last", "learned_state": True}


@pytest.mark.parametrize("kind", LAYERS)
def test_layers_are_copied_and_saved_with_these_options(kind, tmp_path):
    layer = LAYERS[kind](3, 4, **LAYER, rng=0)
    layer.flat_parameters += np.random.default_rng(0).normal(size=layer.flat_parameters.size).astype("float32")
    x = np.random.default_rng(1).normal(size=(2, 5, 3)).astype("float32")
    layer.save(tmp_path / "layer.safetensors")
    for other in (
        copy.deepcopy(layer),
        pickle.loads(pickle.dumps(layer)),
        clstm.load(tmp_path / "layer.safetensors"),
    ):
        assert repr(other) == repr(layer)
        assert other.config() == layer.config()
        same_results(other(x), layer(x))
    assert {**layer.config(), **LAYER} == layer.config()
    assert {"merge", "output", "learned_state"}.isdisjoint(LAYERS[kind](3, 4, rng=0).config())
    cell = CELLS[kind](3, 4, learned_state=True, rng=0)
    cell.save(tmp_path / "cell.safetensors")
    assert clstm.load(tmp_path / "cell.safetensors").config() == cell.config()


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("merge", ["concat", *MERGES])
def test_the_last_is_what_each_direction_ends_with(kind, merge):
    options = {"num_layers": 2, "bidirectional": True, "merge": merge, "dtype": "float64", "rng": 0}
    x, lengths = np.random.default_rng(0).normal(size=(4, 6, 3)), [6, 1, 0, 4]
    every, last = LAYERS[kind](3, 5, **options), LAYERS[kind](3, 5, output="last", **options)
    y, state = last(x, lengths=lengths)
    same_results(state, every(x, lengths=lengths)[1])
    h = every.trace(x, lengths=lengths).h
    same_results(last.trace(x, lengths=lengths).h, h)
    for n, length in enumerate(lengths):
        ahead, back = (h[-2, n, length - 1], h[-1, n, 0]) if length else (np.zeros(5), np.zeros(5))
        both = {"sum": ahead + back, "mean": (ahead + back) / 2, "product": ahead * back}
        same_bits(y[n], both.get(merge, np.concatenate([ahead, back])))
    if merge == "concat":
        pooled = clstm.Network([every, clstm.Pool("last")])
        same_bits(pooled(x, lengths=lengths), y)


def test_inference_of_the_end_does_without_the_steps():
    lstm = clstm.LSTM(2, 32, output="last", rng=0)
    x = np.zeros((4, 5000, 2), np.float32)
    lstm(x)
    tracemalloc.start()
    lstm.infer(x)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 4 * 5000 * 32 * 4 / 4


def test_a_network_knows_that_there_is_no_time_any_more():
    rng = np.random.default_rng(0)
    x, lengths = rng.normal(size=(6, 7, 3)).astype("float32"), [7, 2, 0, 5, 7, 1]
    for output, size in (("last", 8), ("state", 2 * 2 * 2 * 8)):
        options = {"num_layers": 2, "bidirectional": True, "merge": "sum", "output": output}
        net = clstm.Network([clstm.LSTM(3, 8, rng=0, **options), clstm.Dense(size, 2, rng=1)])
        assert (net.removes_time, net.axes, net.output_size) == (True, "sequence", 2)
        assert not net.bidirectional
        y, _, tape = net.forward(x, lengths=lengths)
        assert y.shape == (6, 2)
        assert net.backward(tape, y)[0].shape == x.shape
        ensemble = clstm.Ensemble([net, copy.deepcopy(net)])
        same_bits(ensemble(x, lengths=lengths), y)
    with pytest.raises(ValueError, match="takes sequences, but no time axis arrives"):
        clstm.Network([clstm.LSTM(3, 8, output="last", rng=0), clstm.Pool("mean")])
    with pytest.raises(ValueError, match="takes 16 features, but 8 arrive"):
        clstm.Network([clstm.LSTM(3, 8, bidirectional=True, merge="sum", rng=0), clstm.Dense(16, 2, rng=0)])
    lstm = clstm.LSTM(3, 8, output="last", rng=0)
    tape = lstm.forward(x)[2]
    with pytest.raises(ValueError, match=r"dy: expected shape \(6, 8\), got shape \(6, 7, 8\)"):
        lstm.backward(tape, np.zeros((6, 7, 8)))


@pytest.mark.parametrize(("merge", "output"), [("mean", "last"), ("product", "last"), ("sum", "state"), ("sum", "h")])
def test_training_learns_all_of_it(merge, output):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(64, 8, 2)).astype("float32")
    target = x[:, :, 0].sum(axis=1, keepdims=True) if output != "h" else x.cumsum(axis=1)[..., :1]
    lstm = clstm.LSTM(2, 6, bidirectional=True, merge=merge, output=output, learned_state=True, dropout=0.1, rng=0,
                      num_layers=2)  # fmt: skip
    net = clstm.Network([lstm, clstm.Dense(lstm.output_size, 1, rng=1)])
    trainer = clstm.Trainer(net, loss="mse", optimizer=clstm.Adam(0.02), rng=0)
    before = trainer.evaluate(x, target)
    trainer.fit(x, target, epochs=20, batch_size=16, progress=False)
    assert trainer.evaluate(x, target) < before / 3
    assert all(values.any() for name, values in net.parameters().items() if "0_l" in name)


# What is refused


@pytest.mark.parametrize("kind", LAYERS)
def test_options_are_checked(kind):
    layer = LAYERS[kind]
    nothing = "merge: expected 'concat', because bidirectional=False leaves nothing to merge, got 'sum'"
    with pytest.raises(ValueError, match=nothing):
        layer(2, 3, merge="sum")
    with pytest.raises(ValueError, match=nothing):
        dict(layer.parameter_shapes(2, 3, merge="sum"))
    with pytest.raises(ValueError, match="merge: expected one of 'concat', 'sum', 'mean', 'product', got 'ave'"):
        layer(2, 3, bidirectional=True, merge="ave")
    with pytest.raises(ValueError, match="output: expected one of 'h', 'c', 'last', 'state', got 'all'"):
        layer(2, 3, output="all")
    if kind != "lstm":
        message = f"output: expected one of 'h', 'last', 'state', because {layer.__name__} has no c, got 'c'"
        with pytest.raises(ValueError, match=message):
            layer(2, 3, output="c")
        with pytest.raises(ValueError, match=message):
            dict(layer.parameter_shapes(2, 3, output="c"))
    with pytest.raises(TypeError, match="output: expected one of"):
        layer(2, 3, output=True)
    with pytest.raises(TypeError, match="learned_state: expected True or False"):
        layer(2, 3, learned_state=1)
    for name, value in (("merge", "sum"), ("output", "last")):
        with pytest.raises(TypeError, match=f"unexpected .*argument '{name}'"):
            CELLS[kind](2, 3, **{name: value})
    for output in ("state", "c") if kind == "lstm" else ("state",):
        message = r"layer: expected one whose output is 'h' or 'last' \(the stream has a state"
        with pytest.raises(ValueError, match=message):
            layer(2, 3, output=output, rng=0).stream()
    stream = layer(2, 3, output="last", rng=0).stream()
    assert stream.step(np.ones(2, np.float32)).shape == (3,)


def test_no_step_is_the_last_of_both_directions_that_are_merged():
    def merged():
        return clstm.GRU(2, 3, bidirectional=True, merge="sum", rng=0)

    message = 'mode: expected "mean" or "max" after a layer with merge .its output="last" merges what each direction'
    layer, pool = merged(), clstm.Pool("last")
    for layers in (
        [layer, pool],
        [clstm.Network([merged()]), clstm.Network([clstm.Pool("last")])],
        [merged(), clstm.Network([clstm.Network([clstm.Pool("last")]), clstm.Dense(3, 2, rng=0)])],
        [clstm.Ensemble([merged(), merged()]), clstm.Pool("last")],
        [merged(), clstm.Ensemble([clstm.Pool("last"), clstm.Pool("last")])],
    ):
        with pytest.raises(ValueError, match=message):
            clstm.Network(layers)
    net = clstm.Network([layer, clstm.LSTM(3, 2, rng=0), pool])  # both are free, and time goes ahead again
    assert net(np.ones((1, 4, 2))).shape == (1, 2)
    for free in (clstm.Pool("mean"), clstm.Pool("max"), clstm.Pool("last", bidirectional=False)):
        assert clstm.Network([merged(), free])(np.ones((1, 4, 2))).shape == (1, 3)
    clstm.Ensemble([merged(), clstm.Network([merged()])])
    with pytest.raises(ValueError, match=r"layers\[1\]: expected a layer whose directions stand in y as"):
        clstm.Ensemble([merged(), clstm.Network([merged(), clstm.GRU(3, 3, bidirectional=True, merge="sum", rng=0),
                                                 clstm.GRU(3, 3, rng=0)])])  # fmt: skip
