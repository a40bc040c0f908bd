"""Conv1d, LayerNorm, Dropout, activations of Dense, and what an Embedding can: against twins in plain NumPy, whose
gradients are those of complex steps, and the properties that no twin is needed for."""

import copy
import pickle

import numpy as np
import pytest
from cases import TOLERANCE, close, doubles, normal, pad, same_bits, settings

import clstm

LENGTHS = [None, (7, 3, 0, 1), (0, 0, 0, 0), (7, 7, 7, 7)]
ACTIVATIONS = ["sigmoid", "tanh", "relu", "hard_sigmoid", "hard_sigmoid_0.2", "centered_sigmoid_2", "identity"]
N, T = 4, 7

# Twins, of complex numbers too; rows by themselves, of valid steps alone


def activated(name, z):
    sigmoid = 1 / (1 + np.exp(-z))
    if name.startswith("hard"):
        ramp = z / (5 if name.endswith("0.2") else 6) + 0.5
        return np.where(ramp.real < 0, 0, np.where(ramp.real > 1, 1, ramp))
    return {
        "sigmoid": sigmoid,
        "tanh": np.tanh(z),
        "relu": np.where(z.real > 0, z, 0),
        "centered_sigmoid_2": 4 * sigmoid - 2,
        "identity": z,
    }[name]


def dense_twin(layer, row, parameters):
    z = row @ parameters["weight"].T + parameters.get("bias", 0)
    return activated(layer.activation or "identity", z)


def norm_twin(layer, row, parameters):
    centred = row - row.mean(axis=1, keepdims=True)
    unit = centred / np.sqrt((centred**2).mean(axis=1, keepdims=True) + layer.epsilon)
    return unit * parameters.get("weight", 1) + parameters.get("bias", 0)


def conv_twin(layer, row, parameters):
    """Window by window, step by step."""
    reach = (layer.width - 1) * layer.dilation + 1
    left = {"same": (reach - 1) // 2, "causal": reach - 1, "valid": 0}[layer.padding]
    last = len(row) - reach if layer.padding == "valid" else len(row) - 1
    found = []
    for start in range(0, last + 1, layer.stride):
        z = parameters.get("bias", np.zeros(layer.output_size)).astype(complex)
        for k in range(layer.width):
            t = start - left + k * layer.dilation
            if 0 <= t < len(row):
                z = z + parameters["weight"][:, k] @ row[t]
        found.append(z)
    y = np.reshape(found, (-1, layer.output_size))
    y = activated(layer.activation or "identity", y)
    return y if np.iscomplexobj(row) or any(map(np.iscomplexobj, parameters.values())) else y.real


def rows_of_twin(twin, layer, x, parameters, lengths):
    """y of each row, in an array as `layer` gives it."""
    lengths = [x.shape[1]] * len(x) if lengths is None else lengths
    steps = max(1, int(layer.lengths_after(np.array(x.shape[1]))))
    y = np.zeros((len(x), steps, layer.output_size), complex)
    for n, length in enumerate(lengths):
        found = twin(layer, x[n, :length], parameters) if length else np.zeros((0, layer.output_size))
        y[n, : len(found)] = found
    return y


CASES = {
    **{f"dense-{name}": (clstm.Dense, (3, 5), {"activation": name}, dense_twin) for name in ACTIVATIONS},
    "dense-wide-tanh": (clstm.Dense, (17, 33), {"activation": "tanh", "bias": False}, dense_twin),
    "norm": (clstm.LayerNorm, (6,), {}, norm_twin),
    "norm-1": (clstm.LayerNorm, (1,), {"epsilon": 0.5}, norm_twin),
    "norm-33": (clstm.LayerNorm, (33,), {"epsilon": 0.1, "bias": False}, norm_twin),
    "norm-plain": (clstm.LayerNorm, (17,), {"scale": False, "bias": False}, norm_twin),
    "norm-no-scale": (clstm.LayerNorm, (5,), {"scale": False}, norm_twin),
}
for padding in ("same", "causal", "valid"):
    for width, stride, dilation in (
        (1, 1, 1),
        (3, 1, 1),
        (4, 1, 1),
        (3, 2, 1),
        (2, 3, 1),
        (3, 1, 2),
        (2, 2, 3),
        (1, 2, 5),
    ):
        options = {"stride": stride, "dilation": dilation, "padding": padding}
        CASES[f"conv-{padding}-w{width}-s{stride}-d{dilation}"] = (clstm.Conv1d, (3, 5, width), options, conv_twin)
CASES["conv-tanh"] = (clstm.Conv1d, (2, 17, 3), {"activation": "tanh", "bias": False, "stride": 2}, conv_twin)
CASES["conv-wide"] = (clstm.Conv1d, (16, 9, 9), {"padding": "causal"}, conv_twin)


def build(case, dtype, lengths, seed=0):
    """The layer with random parameters, x and dy with NaN in the padding, the twin."""
    cls, sizes, options, twin = CASES[case]
    rng = np.random.default_rng(seed)
    layer = cls(*sizes, **options, dtype=dtype)
    layer.flat_parameters = rng.normal(size=layer.flat_parameters.size)
    x = normal(rng, dtype, N, T, layer.input_size)
    after = layer.lengths_after(np.array(T))
    dy = normal(rng, dtype, N, max(1, int(after)), layer.output_size)
    if lengths is not None:
        x, dy = pad(x, lengths), pad(dy, layer.lengths_after(np.array(lengths)))
    return layer, x, dy, twin


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("lengths", LENGTHS, ids=str)
@pytest.mark.parametrize("case", CASES)
def test_values_are_those_of_the_equations(machine, case, lengths, dtype):
    layer, x, _, twin = build(case, dtype, lengths)
    y, state, _ = layer.forward(x, lengths=lengths)
    assert (y.dtype, state) == (dtype, None)
    expected = rows_of_twin(twin, layer, doubles(x), doubles(layer.parameters()), lengths).real
    close(y, expected, TOLERANCE[dtype])
    same_bits(layer(x, lengths=lengths), y)


@pytest.mark.parametrize("lengths", LENGTHS[:3], ids=str)
@pytest.mark.parametrize("case", CASES)
def test_gradients_are_those_of_complex_steps(machine, case, lengths):
    layer, x, dy, twin = build(case, "float64", lengths)
    dx, dstate, grads = layer.backward(layer.forward(x, lengths=lengths)[2], dy)
    assert dstate is None
    assert list(grads) == list(layer.parameters())
    if lengths is not None:
        assert (dx[np.arange(T) >= np.reshape(lengths, (-1, 1))] == 0).all()
    x, dy, rng = np.nan_to_num(x), np.nan_to_num(dy), np.random.default_rng(1)
    for only in ("x", *grads, "all"):
        way = rng.normal(size=x.shape) if only in ("x", "all") else np.zeros(x.shape)
        found, size, at = (dx * way).sum(), np.abs(dx * way).sum(), {}
        for name, values in layer.parameters().items():
            own = rng.normal(size=values.shape) if only in (name, "all") else np.zeros(values.shape)
            at[name] = values + 1e-30j * own
            found += (grads[name] * own).sum()
            size += np.abs(grads[name] * own).sum()
        y = rows_of_twin(twin, layer, x + 1e-30j * way, at, lengths)
        slope = (y * dy).sum().imag / 1e-30
        assert abs(found - slope) <= 1e-10 * max(size, 1e-3), only


@pytest.mark.parametrize("case", CASES)
def test_single_precision_follows_double(machine, case):
    lengths, results = (7, 3, 0, 5), []
    layer, x, dy, _ = build(case, "float32", lengths)
    config = {**layer.config(), "dtype": "float64"}
    double = type(layer)(**config)
    double.load_parameters(layer.parameters())
    for own, kind in ((layer, "float32"), (double, "float64")):
        dx, _, grads = own.backward(own.forward(x.astype(kind), lengths=lengths)[2], dy.astype(kind))
        assert {array.dtype for array in (dx, *grads.values())} == {np.dtype(kind)}
        results.append((dx, *grads.values()))
    for found, expected in zip(*results, strict=True):
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4 * np.abs(expected).max() + 1e-6)


BIG = {
    "dense": lambda dtype: clstm.Dense(40, 60, activation="sigmoid", dtype=dtype, rng=0),
    "norm": lambda dtype: clstm.LayerNorm(40, dtype=dtype),
    "conv": lambda dtype: clstm.Conv1d(40, 30, 5, stride=2, dtype=dtype, rng=0),
    "dropout": lambda dtype: clstm.Dropout(0.3),
    "dropout-sequence": lambda dtype: clstm.Dropout(0.3, per="sequence"),
}


def run(layer, x, lengths, noise):
    """y, dx and gradients for dy = y."""
    y, _, tape = layer.forward(x, lengths=lengths, **({"noise": noise} if layer.takes_noise else {}))
    dx, _, grads = layer.backward(tape, y)
    return y, dx, *grads.values()


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("lengths", [None, (50, 7, 0, 31) * 16])
@pytest.mark.parametrize("name", BIG)
def test_bits_depend_neither_on_threads_nor_on_the_other_rows(isa, name, lengths, dtype):
    layer = BIG[name](dtype)
    x = normal(np.random.default_rng(0), dtype, 64, 50, 40)
    results = []
    for threads in (1, 2, 3):
        with settings(isa, "native", threads):
            results.append(run(layer, x, lengths, 5))
    for other in results[1:]:
        for found, expected in zip(other, results[0], strict=True):
            same_bits(found, expected)
    with settings(isa, "native"):
        for rows in (slice(0, 1), slice(1, 7), slice(7, None)):
            own = None if lengths is None else lengths[rows]
            part = run(layer, x[rows], own, clstm.Noise(5, rows=np.arange(64)[rows]))
            for found, expected in zip(part[:2], results[0][:2], strict=True):
                same_bits(found, expected[rows])


@pytest.mark.parametrize("name", BIG)
def test_strides_are_taken_as_they_are(name):
    layer, rng = BIG[name]("float64"), np.random.default_rng(0)
    memory = rng.normal(size=(8, 20, 80))
    for x in (memory[::2, ::3, 1:41], memory[::-1, ::-1, :40], memory[:, :, ::2], memory[:1, :1, :40]):
        for found, expected in zip(run(layer, x, None, 3), run(layer, x.copy(), None, 3), strict=True):
            same_bits(found, expected)


@pytest.mark.parametrize("name", BIG)
def test_gradients_are_added_and_dx_is_not_computed_if_nobody_wants_it(name):
    layer = BIG[name]("float64")
    x = normal(np.random.default_rng(0), "float64", 3, 9, 40)
    options = {"noise": 1} if layer.takes_noise else {}
    y, _, tape = layer.forward(x, **options)
    _, _, grads = layer.backward(tape, y)
    before = {key: np.ones_like(values) for key, values in grads.items()}
    none, _, added = layer.backward(layer.forward(x, **options)[2], y, grads=before, need_dx=False)
    assert none is None
    for key, gradient in added.items():
        close(gradient, 1 + grads[key], 1e-13)
    with pytest.raises(ValueError, match="tape"):
        layer.backward(tape, y)


@pytest.mark.parametrize("name", ["dense", "norm", "dropout", "dropout-sequence"])
def test_x_without_a_time_axis(name):
    layer = BIG[name]("float64")
    x = normal(np.random.default_rng(0), "float64", 5, 40)
    for found, expected in zip(run(layer, x, None, 1)[:2], run(layer, x[:, None], None, 1)[:2], strict=True):
        same_bits(found, expected[:, 0])
    with pytest.raises(ValueError, match="lengths: expected None, because x has no time axis"):
        layer(x, lengths=[1] * 5)


# What a layer is in a network


def a_network(tied=None):
    layers = [
        clstm.Embedding(9, 6, padding_index=0, rng=0),
        clstm.Conv1d(6, 8, 3, stride=2, activation="relu", rng=1),
        clstm.Dropout(0.2, per="sequence"),
        clstm.LSTM(8, 6, rng=2, bidirectional=True, merge="sum"),
        clstm.LayerNorm(6),
        clstm.Dropout(0.3),
        clstm.Dense(6, 9, rng=3),
    ]
    return clstm.Network(layers, tied=tied)


def test_lists_are_what_lengths_are():
    rng, net = np.random.default_rng(0), a_network()
    x = [rng.integers(0, 9, size=count) for count in (8, 3, 0, 1, 13)]
    lengths, whole = [len(row) for row in x], np.full((5, 13), 77)
    for n, row in enumerate(x):
        whole[n, : len(row)] = row
    y, _, tape = net.forward(x, noise=3)
    expected, _, other = net.forward(whole, lengths=lengths, noise=3)
    after = net.lengths_after(np.array(lengths))
    assert [len(row) for row in y] == after.tolist() == [4, 2, 0, 1, 7]
    for n, row in enumerate(y):
        same_bits(row, expected[n, : len(row)])
        assert (expected[n, len(row) :] == 0).all()
    for n, row in enumerate(net(x)):
        same_bits(row, net(whole, lengths=lengths)[n, : len(row)])
    dy = rng.normal(size=expected.shape).astype("float32")
    grads = net.backward(tape, [dy[n, : len(row)] for n, row in enumerate(y)])[2]
    again = net.backward(other, pad(dy, after))[2]
    for name, gradient in grads.items():
        np.testing.assert_allclose(gradient, again[name], rtol=0, atol=2e-5)


def test_dropout_has_the_masks_of_the_caller_in_every_form():
    rng, net = np.random.default_rng(0), clstm.Network([clstm.Dropout(0.5), clstm.GRU(3, 4, rng=0)])
    x = rng.normal(size=(4, 6, 3)).astype("float32")
    mask = rng.random((4, 6)) < 0.6
    resets = rng.random((4, 6)) < 0.3
    y, _, tape = net.forward(x, mask=mask, resets=resets, noise=9)
    masked = net.layers[0].forward(x, noise=clstm.Noise(9).for_layer(0))[0]
    close(y, net.layers[1](masked, mask=mask, resets=resets)[0], 1e-6)
    dx, _, _ = net.backward(tape, np.ones_like(y))
    assert ((dx == 0) >= (masked == 0)).all()
    assert (dx[~mask] == 0).all()


def test_a_mask_with_holes_has_no_place_for_fewer_steps_but_pools_have():
    x, mask = np.zeros((2, 6, 3), np.float32), np.ones((2, 6), bool)
    mask[0, 2] = False
    conv = clstm.Conv1d(3, 4, 3, stride=2, rng=0)
    with pytest.raises(ValueError, match="mask: expected None, because a layer changes the number of steps"):
        clstm.Network([conv])(x, mask=mask)
    net = clstm.Network([copy.deepcopy(conv), clstm.Pool("mean")])
    same_bits(net(x, mask=mask), net([x[0][mask[0]], x[1]]))
    causal = clstm.Network([clstm.Conv1d(3, 4, 3, padding="causal", rng=0)])
    y = causal(x + np.arange(6)[:, None], mask=mask)
    same_bits(y[0][mask[0]], causal([(x + np.arange(6)[:, None])[0][mask[0]]])[0])
    with pytest.raises(ValueError, match="resets: expected None, because this layer does not know them"):
        clstm.Network([copy.deepcopy(conv), clstm.LSTM(4, 2, rng=0)])(x, resets=mask)
    with pytest.raises(ValueError, match="bptt: expected None, because a layer looks at several steps at once"):
        clstm.Trainer(clstm.Network([copy.deepcopy(conv), clstm.LSTM(4, 2, rng=0)]), bptt=3)


class Half(clstm.Layer):
    """Every second step, of a layer that somebody has written."""

    bidirectional = False

    def lengths_after(self, lengths):
        return None if lengths is None else (lengths + 1) // 2

    def forward(self, x, state=None, lengths=None):
        return np.ascontiguousarray(x[:, ::2]), None, clstm.Tape(self, x.shape)

    def backward(self, tape, dy, dstate=None, grads=None, need_dx=True):
        dx = np.zeros(tape.take(), dy.dtype)
        dx[:, ::2] = dy
        return dx, None, {}


def test_a_layer_of_ones_own_may_change_the_number_of_steps():
    net = clstm.Network([Half(), clstm.GRU(3, 4, rng=0)])
    x = [normal(np.random.default_rng(n), "float32", n, 3) for n in (5, 2, 8)]
    y, _, tape = net.forward(x)
    for row, given in zip(y, x, strict=True):
        same_bits(row, net.layers[1](given[None, ::2].copy())[0][0])
    dx = net.backward(tape, y)[0]
    assert [row.shape for row in dx] == [row.shape for row in x]
    assert all((row[1::2] == 0).all() and (row[::2] != 0).any() for row in dx)
    with pytest.raises(ValueError, match="resets: expected None, because a layer changes the number of steps"):
        net(x, resets=[np.ones(len(row), bool) for row in x])


def test_attention_pools_lists():
    net = clstm.Network([clstm.GRU(3, 4, rng=0), clstm.AttentionPool(4, 5, rng=0)])
    x = [normal(np.random.default_rng(n), "float32", n, 3) for n in (5, 2, 8, 0)]
    y, _, tape = net.forward(x)
    for n in range(3):
        close(y[n : n + 1], net(x[n][None]), 1e-6)
    assert (y[3] == 0).all()
    assert [row.shape for row in net.backward(tape, y)[0]] == [row.shape for row in x]


def test_networks_and_ensembles_hand_lengths_on():
    members = [clstm.Network([clstm.Conv1d(3, 4, 3, stride=2, rng=k), clstm.LSTM(4, 4, rng=k)]) for k in range(2)]
    x = normal(np.random.default_rng(0), "float32", 3, 9, 3)
    lengths = (9, 4, 1)
    expected = sum(member(x, lengths=lengths) for member in members) / 2
    ensemble = clstm.Ensemble(members)
    net = clstm.Network([ensemble, clstm.Conv1d(4, 4, 2, stride=2, padding="valid", rng=0), clstm.Pool("last")])
    assert net.layers[0].lengths_after(np.array(lengths)).tolist() == [5, 2, 1]
    assert net.lengths_after(np.array(lengths)) is None
    close(ensemble(x, lengths=lengths), expected, 1e-6)
    assert net.mixes_steps
    y, _, tape = net.forward(x, lengths=lengths, memory=10**9)
    assert (y[2] == 0).all()
    assert (y[:2] != 0).any()
    dx = net.backward(tape, np.ones_like(y))[0]
    assert (dx[1, 4:] == 0).all()
    with pytest.raises(ValueError, match=r"layers\[1\]: expected a layer that gives as many steps as layers\[0\]"):
        clstm.Ensemble([clstm.Conv1d(3, 4, 3, stride=2), clstm.Conv1d(3, 4, 3)])


def test_memory_is_that_of_the_steps_that_are_left():
    layers = [clstm.Conv1d(3, 16, 5, stride=10, rng=0), clstm.LSTM(16, 16, rng=0)]
    x = np.zeros((2, 1000, 3), np.float32)
    needed = clstm.Network([clstm.LSTM(16, 16, rng=0)])
    with pytest.raises(ValueError, match="memory: expected at least") as of_the_lstm:
        needed.forward(np.zeros((2, 100, 16), np.float32), memory=1)
    with pytest.raises(ValueError, match="memory: expected at least") as of_both:
        clstm.Network(layers).forward(x, memory=1)
    assert str(of_both.value) == str(of_the_lstm.value)


@pytest.mark.parametrize("tied", [None, {"6.weight": "0.weight"}, {"0.weight": "6.weight"}])
def test_files_copies_and_pickles(tmp_path, tied):
    net, x = a_network(tied), np.random.default_rng(0).integers(0, 9, size=(3, 10))
    net.save(tmp_path / "net.safetensors")
    for other in (
        copy.deepcopy(net),
        pickle.loads(pickle.dumps(net)),
        clstm.load(tmp_path / "net.safetensors"),
        eval(repr(net), dict(vars(clstm))),
    ):
        assert repr(other) == repr(net)
        assert other.config() == net.config()
        assert other.tied == (tied or {})
        other.load_parameters(net.parameters())
        same_bits(other(x), net(x))
        assert not np.shares_memory(other.flat_parameters, net.flat_parameters)
        assert other.flat_parameters.size == net.flat_parameters.size
        first, last = other.layers[0].parameters()["weight"], other.layers[6].parameters()["weight"]
        assert np.shares_memory(first, last) == (tied is not None)
        assert np.shares_memory(other.flat_parameters, first)
        flat, by_name = other.zeros_like_parameters()
        flat[:] = np.arange(flat.size)
        other.flat_parameters[:] = flat
        np.testing.assert_equal(by_name, other.parameters())


# Embedding


@pytest.mark.parametrize("num", [6, 50], ids=["looked up once", "looked up"])
@pytest.mark.parametrize("form", ["lengths", "list"])
def test_the_padding_index_gets_no_gradient(num, form):
    rng = np.random.default_rng(0)
    plain = clstm.Network([clstm.Embedding(num, 4, rng=0), clstm.LSTM(4, 5, rng=1)])
    net = clstm.Network([clstm.Embedding(num, 4, padding_index=3, rng=0), clstm.LSTM(4, 5, rng=1)])
    assert (net.parameters()["0.weight"][3] == 0).all()
    plain.flat_parameters = net.flat_parameters
    x = rng.integers(0, 6, size=(4, 10))
    x, options = (list(x), {}) if form == "list" else (x, {"lengths": [10, 2, 0, 7]})
    results = []
    for each in (plain, net):
        y, _, tape = each.forward(x, **options)
        dy = [np.ones_like(row) for row in y] if form == "list" else np.ones_like(y)
        grads = {name: np.full_like(values, 0.5) for name, values in each.parameters().items()}
        results.append(each.backward(tape, dy, grads=grads)[2])
    expected, found = results
    assert (expected["0.weight"][3] != 0.5).all()
    expected["0.weight"][3] = 0.5
    np.testing.assert_equal(found, expected)


def test_an_embedding_of_given_vectors():
    vectors = np.random.default_rng(0).normal(size=(5, 3))
    embedding = clstm.Embedding.of(vectors, dtype="float64", padding_index=4)
    assert embedding.config() == {"num_embeddings": 5, "dim": 3, "padding_index": 4, "dtype": "float64"}
    same_bits(embedding.parameters()["weight"], vectors)
    same_bits(embedding([[4, 0]]), vectors[[[4, 0]]])
    vectors[:] = 7
    assert not (embedding.flat_parameters == 7).any()
    embedding.reset_parameters(1)
    assert (embedding.parameters()["weight"][4] == 0).all()


# Tying


def language_model(tied, dtype="float64"):
    layers = [
        clstm.Embedding(7, 4, rng=0, dtype=dtype),
        clstm.GRU(4, 4, rng=1, dtype=dtype),
        clstm.Dense(4, 7, rng=2, dtype=dtype),
    ]
    return clstm.Network(layers, tied=tied)


@pytest.mark.parametrize("pair", [("2.weight", "0.weight"), ("0.weight", "2.weight")])
def test_gradients_of_both_uses_add_up(pair):
    given_up, stays = pair
    free, net = language_model(None), language_model({given_up: stays})
    names = list(net.parameters())
    assert sorted(names) == sorted(set(free.parameters()) - {given_up})
    assert sum(values.size for values in net.parameters().values()) == net.flat_parameters.size
    same_bits(net.parameters()[stays], free.parameters()[stays])  # its values are those that both start with
    free.load_parameters({**net.parameters(), given_up: net.parameters()[stays]})
    rng = np.random.default_rng(0)
    x, dy = rng.integers(0, 7, size=(3, 11)), rng.normal(size=(3, 11, 7))
    y, _, tape = net.forward(x)
    expected, _, other = free.forward(x)
    same_bits(y, expected)
    grads, of_free = net.backward(tape, dy)[2], free.backward(other, dy)[2]
    assert list(grads) == names
    close(grads[stays], of_free[stays] + of_free[given_up], 1e-13)
    for name in set(names) - {stays}:
        same_bits(grads[name], of_free[name])
    net.parameters()[stays][2, 1] = 9
    assert net.layers[0].parameters()["weight"][2, 1] == net.layers[2].parameters()["weight"][2, 1] == 9


def test_ties_in_nested_networks():
    inner = language_model({"2.weight": "0.weight"})
    expected = inner(np.arange(7)[None])
    outer = clstm.Network([inner, clstm.LayerNorm(7, dtype="float64"), clstm.Dense(7, 2, rng=0, dtype="float64")])
    assert "0.0.weight" in outer.parameters()
    assert "0.2.weight" not in outer.parameters()
    same_bits(inner(np.arange(7)[None]), expected)
    first, last = inner.layers[0].parameters()["weight"], inner.layers[2].parameters()["weight"]
    assert np.shares_memory(first, last)
    assert np.shares_memory(first, outer.flat_parameters)
    head = clstm.Network([clstm.GRU(4, 4, rng=1), clstm.Dense(4, 7, rng=2)])
    net = clstm.Network([clstm.Embedding(7, 4, rng=0), head], tied={"1.1.weight": "0.weight"})
    assert np.shares_memory(net.parameters()["0.weight"], head.layers[1].parameters()["weight"])
    again = copy.deepcopy(net)
    assert np.shares_memory(again.layers[0].flat_parameters, again.layers[1].layers[1].parameters()["weight"])
    same_bits(again([[1, 2, 3]]), net([[1, 2, 3]]))


def test_a_tied_network_learns():
    net, rng = language_model({"2.weight": "0.weight"}, "float32"), np.random.default_rng(0)
    x = (np.arange(12) + rng.integers(0, 7, size=(64, 1))) % 7
    trainer = clstm.Trainer(net, loss="cross_entropy", optimizer=clstm.Adam(0.03), rng=0)
    history = trainer.fit(x[:, :-1], x[:, 1:], epochs=15, batch_size=8, progress=False)
    assert history["loss"][-1] < 0.2 * history["loss"][0]
    assert np.shares_memory(net.layers[0].flat_parameters, net.layers[2].parameters()["weight"])


@pytest.mark.parametrize(
    ("tied", "error", "message"),
    [
        ([("2.weight", "0.weight")], TypeError, "a dict from names to names of parameters"),
        ({"2.weight": 0}, TypeError, "a dict from names to names of parameters"),
        ({"2.weights": "0.weight"}, ValueError, r"one of '2.weight', '2.bias', got '2.weights'"),
        ({"3.weight": "0.weight"}, ValueError, r"a parameter of layers\[0\] to layers\[2\], got '3.weight'"),
        ({"02.weight": "0.weight"}, ValueError, "one of '2.weight', '2.bias', got '02.weight'"),
        ({"weight": "0.weight"}, ValueError, "got 'weight'"),
        ({"2.weight": "2.bias"}, ValueError, "parameters of two layers, got '2.weight' and '2.bias' of one"),
        ({"2.bias": "0.weight"}, ValueError, r"one shape, got '2.bias' with \(7,\) and '0.weight' with \(7, 4\)"),
        ({"1.weight_hh_l0": "1.weight_ih_l0"}, ValueError, "parameters of two layers"),
        ({"2.weight": "0.weight", "0.weight": "2.weight"}, ValueError, "each parameter once, got '0.weight' twice"),
    ],
)
def test_ties_that_are_refused(tied, error, message):
    with pytest.raises(error, match=f"tied: expected.*{message}"):
        language_model(tied)


def test_one_of_two_that_are_tied_is_alone_in_its_layer():
    layers = [clstm.GRU(4, 4, rng=0), clstm.GRU(4, 4, rng=1)]
    before = layers[0].flat_parameters.copy()
    with pytest.raises(ValueError, match="tied: expected that one of the two is the only parameter of its layer"):
        clstm.Network(layers, tied={"1.weight_hh_l0": "0.weight_hh_l0"})
    same_bits(layers[0].flat_parameters, before)
    clstm.Network(layers)  # they are free


def test_a_file_with_a_wrong_tie_is_refused(tmp_path):
    path = tmp_path / "net.safetensors"
    language_model({"2.weight": "0.weight"}).save(path)
    content = path.read_bytes()
    path.write_bytes(content.replace(rb"{\"2.weight\": \"0.weight\"}", rb"{\"2.weight\": \"1.weight\"}"))
    with pytest.raises(ValueError, match=r"tied: expected one of '1\.weight_ih_l0'"):
        clstm.load(path)


# Dropout


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_dropout_multiplies_by_masks_of_the_right_share(isa, dtype):
    x = np.ones((30, 40, 50), dtype)
    with settings(isa):
        for per, axes in (("element", 0), ("sequence", 1)):
            layer = clstm.Dropout(0.3, per=per)
            y, _, tape = layer.forward(x, noise=1)
            kept = y != 0
            np.testing.assert_array_equal(y[kept], np.asarray(1 / 0.7, dtype))
            assert abs(kept.mean() - 0.7) < (0.01 if per == "element" else 0.05)
            assert (kept == kept[:, :1]).all() == bool(axes)
            dy = normal(np.random.default_rng(0), dtype, 30, 40, 50)
            same_bits(layer.backward(tape, dy)[0], dy * y)
    assert (clstm.Dropout(0.0).forward(x)[0] == 1).all()


@pytest.mark.parametrize("per", ["element", "sequence"])
def test_dropout_of_a_sequence_that_is_cut(per):
    layer, x = clstm.Dropout(0.5, per=per), np.ones((3, 10, 8), np.float32)
    whole = layer.forward(x, noise=4)[0]
    rest = layer.forward(x[:, 6:], noise=clstm.Noise(4, first_step=6))[0]
    same_bits(rest, whole[:, 6:])
    assert (layer.forward(x, noise=5)[0] != whole).any()
    assert (layer.forward(x)[0] != layer.forward(x)[0]).any()


def test_dropout_is_nothing_in_inference():
    x = normal(np.random.default_rng(0), "float64", 3, 5, 4)
    layer = clstm.Dropout(0.9)
    same_bits(layer(x), x)
    assert not np.shares_memory(layer(x), x)
    y = layer(pad(x, (5, 2, 0)), lengths=(5, 2, 0))
    same_bits(y, np.where(np.arange(5)[:, None] < np.reshape((5, 2, 0), (3, 1, 1)), x, 0))
    net = clstm.Network([clstm.Dropout(0.9), clstm.GRU(4, 3, rng=0, dtype="float64")])
    same_bits(net(x), net.layers[1](x)[0])
    same_bits(net(list(x))[1], net.layers[1](x)[0][1])
    assert net.takes_noise


# Bad input


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: clstm.Dense(2, 3, activation="gelu"), ValueError, "activation: expected one of 'sigmoid', 'tanh'"),
        (lambda: clstm.Dense(2, 3, activation=3), TypeError, "activation: expected one of"),
        (lambda: clstm.Conv1d(2, 3, 0), ValueError, "width: expected an int of at least 1, got 0"),
        (lambda: clstm.Conv1d(2, 3, 2, stride=1.5), TypeError, "stride: expected an int of at least 1"),
        (lambda: clstm.Conv1d(2, 3, 2, dilation=0), ValueError, "dilation: expected"),
        (
            lambda: clstm.Conv1d(2, 3, 2, padding="full"),
            ValueError,
            "padding: expected one of 'same', 'causal', 'valid'",
        ),
        (lambda: clstm.LayerNorm(0), ValueError, "size: expected"),
        (lambda: clstm.LayerNorm(2, epsilon=-1), ValueError, "epsilon: expected a number of at least 0, got -1"),
        (lambda: clstm.LayerNorm(2, scale=1), TypeError, "scale: expected True or False"),
        (lambda: clstm.Dropout(1.0), ValueError, r"rate: expected a number in \[0, 1\), got 1.0"),
        (lambda: clstm.Dropout("half"), TypeError, "rate: expected a number"),
        (lambda: clstm.Dropout(0.5, per="step"), ValueError, "per: expected one of 'element', 'sequence'"),
        (
            lambda: clstm.Embedding(3, 2, padding_index=3),
            ValueError,
            "padding_index: expected an int from 0 to 2, got 3",
        ),
        (lambda: clstm.Embedding(3, 2, padding_index=-1), ValueError, "padding_index: expected an int from 0 to 2"),
        (lambda: clstm.Embedding.of(np.zeros(3)), ValueError, r"vectors: expected shape \(num_embeddings, dim\)"),
        (
            lambda: clstm.Embedding.of([[1.0, np.nan]]),
            ValueError,
            r"vectors: expected finite values, got nan at \[0, 1\]",
        ),
        (lambda: clstm.Embedding.of([[1e300]]), ValueError, r"vectors: expected finite values, got inf at \[0, 0\]"),
        (lambda: clstm.Embedding.of([["a"]]), TypeError, "vectors: expected an array"),
        (
            lambda: clstm.Conv1d(3, 2, 3, padding="valid")(np.zeros((1, 2, 3))),
            ValueError,
            "x: expected at least 3 steps",
        ),
        (lambda: clstm.Conv1d(3, 2, 3)(np.zeros((1, 3))), ValueError, r"x: expected shape \(N, T, 3\)"),
        (
            lambda: clstm.Conv1d(3, 2, 3)(np.zeros((1, 4, 3)), lengths=[5]),
            ValueError,
            "lengths: expected a number of steps",
        ),
        (lambda: clstm.LayerNorm(3)(np.zeros((1, 4))), ValueError, "x: expected shape"),
        (lambda: clstm.Dropout(0.5)(np.zeros((1, 4, 3)), state=1), ValueError, "state: expected None, because Dropout"),
        (
            lambda: clstm.Dropout(0.5).forward(np.zeros((1, 4, 3)), noise=-1),
            ValueError,
            "noise: expected an int from 0",
        ),
    ],
)
def test_what_is_refused(make, error, message):
    with pytest.raises(error, match=message):
        make()


@pytest.mark.parametrize("name", BIG)
def test_backward_refuses_what_does_not_fit(name):
    layer = BIG[name]("float32")
    y, _, tape = layer.forward(np.zeros((2, 6, 40), np.float32))
    with pytest.raises(ValueError, match="dy: expected shape"):
        layer.backward(tape, y[:, 1:])
    with pytest.raises(ValueError, match="dstate: expected None"):
        layer.backward(tape, y, dstate=y)
    with pytest.raises(ValueError, match="grads: expected"):
        layer.backward(tape, y, grads={"nothing": y})
    layer.backward(tape, y)


@pytest.mark.parametrize("block", [1, 2500])
def test_gradients_of_windows_in_blocks_are_those_in_one(monkeypatch, block):
    layer = BIG["conv"]("float64")
    x = normal(np.random.default_rng(0), "float64", 7, 20, 40)
    expected = run(layer, x, (20, 3, 0, 8, 19, 20, 1), None)
    monkeypatch.setattr("clstm.conv.BLOCK", block)
    found = run(layer, x, (20, 3, 0, 8, 19, 20, 1), None)
    same_bits(found[1], expected[1])
    for a, b in zip(found, expected, strict=True):
        close(a, b, 1e-13)


def test_lists_without_a_step():
    net = a_network()
    empty = [np.zeros(0, int), np.zeros(0, int)]
    y, _, tape = net.forward(empty, noise=1)
    assert [row.shape for row in y] == [(0, 9), (0, 9)]
    assert not any(values.any() for values in net.backward(tape, y)[2].values())
    assert [row.shape for row in net(empty)] == [(0, 9), (0, 9)]
    with pytest.raises(TypeError, match="lengths: expected an array of integers"):
        net.lengths_after([1.5])


def test_rows_that_are_too_short_for_a_window_give_nothing():
    conv = clstm.Conv1d(3, 2, 4, padding="valid", rng=0)
    y, _, tape = conv.forward(np.full((2, 2, 3), np.nan), lengths=[0, 0])
    same_bits(y, np.zeros((2, 1, 2), np.float32))
    dx, _, grads = conv.backward(tape, np.full((2, 1, 2), np.nan))
    assert not dx.any()
    assert not any(values.any() for values in grads.values())
