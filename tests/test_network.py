"""Network: the same numbers as its layers by hand, one flat buffer, checks at construction."""

import copy
import gc
import pickle
import weakref
from itertools import pairwise

import numpy as np
import pytest
import reference
import reference_training as training

import clstm

LENGTHS = [5, 2, 0, 1]


def layers(dtype="float64"):
    """Embedding, two-way LSTM, Dense on each step, LSTM, Pool, Dense."""
    return [
        clstm.Embedding(7, 3, dtype=dtype, rng=1),
        clstm.LSTM(3, 4, bidirectional=True, dtype=dtype, rng=2),
        clstm.Dense(8, 5, dtype=dtype, rng=3),
        clstm.LSTM(5, 6, num_layers=2, dtype=dtype, rng=4),
        clstm.Pool("last"),
        clstm.Dense(6, 2, dtype=dtype, rng=5),
    ]


@pytest.fixture
def x(rng):
    return rng.integers(0, 7, size=(4, 5))


def of_layer(parameters, k):
    """The parameters of layers[k] by their own names."""
    return {name.removeprefix(f"{k}."): values for name, values in parameters.items() if name.startswith(f"{k}.")}


# Numbers


@pytest.mark.parametrize("lengths", [None, LENGTHS], ids=str)
def test_a_network_is_its_layers_in_a_row(x, rng, lengths):
    net, alone = clstm.Network(layers()), layers()
    y, states, tape = net.forward(x, lengths=lengths)
    value, tapes = x, []
    for k, layer in enumerate(alone):
        value, state, own = layer.forward(value, None, lengths if k < 5 else None)
        np.testing.assert_equal(states[k], state)
        tapes.append(own)
    np.testing.assert_array_equal(y, value)
    np.testing.assert_array_equal(net(x, lengths=lengths), y)

    dy = rng.normal(size=y.shape)
    dx, dstates, grads = net.backward(tape, dy)
    for k in reversed(range(6)):
        dy, dstate, own = alone[k].backward(tapes[k], dy)
        np.testing.assert_equal(dstates[k], dstate)
        for name, gradient in of_layer(grads, k).items():
            # Behind an embedding, an LSTM sums in another order: see test_symbols.py
            np.testing.assert_allclose(gradient, own[name], rtol=1e-12 if k < 2 else 0, atol=1e-15 if k < 2 else 0)
    assert dx is None
    assert list(grads) == list(net.parameters())


@pytest.mark.parametrize("lengths", [None, LENGTHS], ids=str)
def test_a_network_is_that_of_the_reference(x, rng, lengths):
    net = clstm.Network(layers())
    y, _, tape = net.forward(x, lengths=lengths)
    dy = rng.normal(size=y.shape)
    _, _, grads = net.backward(tape, dy)

    p = [of_layer(net.parameters(), k) for k in range(6)]
    a0 = training.embedding_forward(x, p[0]["weight"])
    a1, _, tape1 = reference.lstm_forward(a0, p[1], hidden_size=4, bidirectional=True, lengths=lengths)
    a2 = training.dense_forward(a1, p[2]["weight"], p[2]["bias"])
    a3, _, tape3 = reference.lstm_forward(a2, p[3], hidden_size=6, num_layers=2, lengths=lengths)
    a4 = training.pool_forward(a3, "last", lengths)
    np.testing.assert_allclose(y, training.dense_forward(a4, p[5]["weight"], p[5]["bias"]), atol=1e-12)

    d4, dw5, db5 = training.dense_backward(dy, a4, p[5]["weight"])
    d2, _, g3 = reference.lstm_backward(tape3, training.pool_backward(d4, a3, "last", lengths))
    d1, dw2, db2 = training.dense_backward(d2, a1, p[2]["weight"])
    d0, _, g1 = reference.lstm_backward(tape1, d1)
    g0 = training.embedding_backward(d0, x, p[0]["weight"])
    expected = [{"weight": g0}, g1, {"weight": dw2, "bias": db2}, g3, {}, {"weight": dw5, "bias": db5}]
    for k, own in enumerate(expected):
        for name, gradient in own.items():
            np.testing.assert_allclose(grads[f"{k}.{name}"], gradient, atol=1e-12)


def test_padding_never_changes_a_result(x, rng):
    dense_first = clstm.Network([clstm.Dense(3, 4, rng=0), clstm.LSTM(4, 5, rng=1), clstm.Dense(5, 2, rng=2)])
    values = rng.normal(size=(4, 5, 3)).astype("float32")
    padding = np.arange(5) >= np.reshape(LENGTHS, (-1, 1))
    found = []
    for filler in (0, np.nan, 1e30):
        values[padding] = filler
        y, _, tape = dense_first.forward(values, lengths=LENGTHS)
        dy = np.ones_like(y)
        dy[padding] = filler
        found.append((y, *dense_first.backward(tape, dy)))
        assert not y[padding].any()
    np.testing.assert_equal(found[1], found[0])
    np.testing.assert_equal(found[2], found[0])

    net = clstm.Network(layers("float32"))
    expected = net(x, lengths=LENGTHS)
    np.testing.assert_array_equal(net(np.where(padding, -99, x), lengths=LENGTHS), expected)


def test_states_are_carried_from_call_to_call(rng):
    net = clstm.Network([clstm.LSTM(3, 4, rng=0), clstm.Dense(4, 4, rng=1), clstm.LSTM(4, 2, rng=2)])
    x, dy = rng.normal(size=(2, 6, 3)).astype("float32"), rng.normal(size=(2, 6, 2)).astype("float32")
    whole, last = net.infer(x)
    first, states = net.infer(x[:, :2])
    second, end = net.infer(x[:, 2:], states)
    np.testing.assert_array_equal(np.concatenate([first, second], axis=1), whole)
    np.testing.assert_equal(end, last)
    assert states[1] is None

    _, states, tape_1 = net.forward(x[:, :2])
    _, _, tape_2 = net.forward(x[:, 2:], states)
    flat, grads = net.zeros_like_parameters()
    _, dstates, _ = net.backward(tape_2, dy[:, 2:], None, grads)
    net.backward(tape_1, dy[:, :2], dstates, grads)
    _, _, tape = net.forward(x)
    expected = net.backward(tape, dy)[2]
    for name in expected:
        np.testing.assert_allclose(grads[name], expected[name], rtol=1e-4, atol=1e-5)
    assert flat.any()


def test_dy_may_be_absent_where_the_state_has_a_gradient(rng):
    net = clstm.Network([clstm.LSTM(3, 4, dtype="float64", rng=0), clstm.Dense(4, 2, dtype="float64", rng=1)])
    x, dstate = rng.normal(size=(2, 6, 3)), [(np.ones((1, 2, 4)), None), None]
    y, _, tape = net.forward(x)
    one = net.backward(tape, None, dstate)
    _, _, tape = net.forward(x)
    np.testing.assert_equal(one, net.backward(tape, np.zeros_like(y), dstate))


def test_gradients_are_added_to_those_that_are_passed(x):
    net = clstm.Network(layers())
    y, _, tape = net.forward(x)
    fresh = net.backward(tape, np.ones_like(y))[2]
    flat, grads = net.zeros_like_parameters()
    for _ in range(2):
        _, _, tape = net.forward(x)
        assert net.backward(tape, np.ones_like(y), grads=grads)[2] is grads
    expected = np.concatenate([gradient.reshape(-1) for gradient in fresh.values()])
    np.testing.assert_allclose(flat, 2 * expected, rtol=1e-12, atol=1e-15)
    for name in reversed(list(grads)):  # the order of the dict does not matter
        grads[name] = grads.pop(name)
    _, _, tape = net.forward(x)
    net.backward(tape, np.ones_like(y), grads=grads)
    np.testing.assert_allclose(flat, 3 * expected, rtol=1e-12, atol=1e-15)


def test_dx_can_be_left_out(rng):
    net = clstm.Network([clstm.LSTM(3, 4, rng=0), clstm.Dense(4, 2, rng=1)])
    x = rng.normal(size=(2, 6, 3)).astype("float32")
    y, _, tape = net.forward(x)
    dx, dstate, grads = net.backward(tape, np.ones_like(y))
    assert dx.shape == x.shape
    _, _, tape = net.forward(x)
    less = net.backward(tape, np.ones_like(y), need_dx=False)
    assert less[0] is None
    np.testing.assert_equal(less[1:], (dstate, grads))


def test_fresh_gradients_are_one_flat_buffer(x):
    net = clstm.Network(layers())
    y, _, tape = net.forward(x)
    grads = list(net.backward(tape, np.ones_like(y))[2].values())
    for one, next_one in pairwise(grads):
        assert one.ctypes.data + one.nbytes == next_one.ctypes.data


def test_any_input_dtype_that_is_real_is_converted(rng):
    net = clstm.Network([clstm.Pool("mean"), clstm.Dense(3, 2, dtype="float64", rng=0)])
    x = rng.integers(0, 5, size=(2, 4, 3))
    for dtype in ("float32", "float64", "int8"):
        assert net(x.astype(dtype)).dtype == np.float64
        np.testing.assert_array_equal(net(x.astype(dtype)), net(x))


# Parameters


def test_parameters_are_views_of_one_flat_buffer(x):
    net = clstm.Network(layers())
    names = list(net.parameters())
    assert names[:3] == ["0.weight", "1.weight_ih_l0", "1.weight_hh_l0"]
    assert names[-2:] == ["5.weight", "5.bias"]
    assert net.flat_parameters.size == sum(values.size for values in net.parameters().values())
    assert net.flat_parameters.ctypes.data % 64 == 0
    net.flat_parameters[:] = np.arange(net.flat_parameters.size)
    start = 0
    for values in net.parameters().values():
        np.testing.assert_array_equal(values.reshape(-1), np.arange(start, start + values.size))
        start += values.size
    for k, layer in enumerate(net.layers):
        for name, values in layer.parameters().items():
            assert values.ctypes.data == net.parameters()[f"{k}.{name}"].ctypes.data
    before, home = net(x), net.flat_parameters
    net.flat_parameters *= 0
    assert (net(x) != before).any()
    net.flat_parameters = np.arange(net.flat_parameters.size)
    np.testing.assert_array_equal(net(x), before)
    assert net.flat_parameters is home
    with pytest.raises(ValueError, match="flat_parameters: expected shape"):
        net.flat_parameters = [1, 2]


def test_layers_keep_their_values_when_they_join():
    alone = layers()
    before = [layer.flat_parameters.copy() for layer in alone]
    net = clstm.Network(alone)
    np.testing.assert_array_equal(net.flat_parameters, np.concatenate(before))
    assert net.layers == tuple(alone)
    assert len(net) == 6
    assert net[1] is alone[1]
    assert list(net) == alone


def test_networks_nest(x):
    flat = clstm.Network(layers())
    first, second = clstm.Network(layers()[:2]), clstm.Network(layers()[2:])
    outer = clstm.Network([first, second])
    np.testing.assert_array_equal(outer.flat_parameters, flat.flat_parameters)
    assert list(outer.parameters())[1] == "0.1.weight_ih_l0"
    assert np.shares_memory(first.layers[1].parameters()["weight_hh_l0"], outer.flat_parameters)
    np.testing.assert_array_equal(outer(x, lengths=LENGTHS), flat(x, lengths=LENGTHS))
    y, states, tape = outer.forward(x, lengths=LENGTHS)
    _, _, grads = outer.backward(tape, np.ones_like(y), [None, [None, (states[1][1][0], None), None, None]])
    _, states, tape = flat.forward(x, lengths=LENGTHS)
    dstate = [None, None, None, (states[3][0], None), None, None]
    expected = flat.backward(tape, np.ones_like(y), dstate)[2]
    np.testing.assert_equal(list(grads.values()), list(expected.values()))
    assert outer.takes_indices
    assert outer.removes_time
    assert outer.output_size == 2


# Pool after a bidirectional LSTM


def last_of_both(y, H):
    return np.concatenate([y[:, -1, :H], y[:, 0, H:]], axis=1)


def test_pool_last_takes_each_direction_where_it_ends(rng):
    x = rng.normal(size=(2, 6, 3)).astype("float32")

    def both():
        return clstm.LSTM(3, 4, bidirectional=True, rng=0)

    y, _ = both()(x)
    np.testing.assert_array_equal(clstm.Network([both(), clstm.Pool("last")])(x), last_of_both(y, 4))
    told = clstm.Network([both(), clstm.Pool("last", bidirectional=False)])
    np.testing.assert_array_equal(told(x), y[:, -1])
    alone = clstm.Pool("last")
    np.testing.assert_array_equal(alone(y), y[:, -1])
    np.testing.assert_array_equal(clstm.Pool("last", bidirectional=True)(y), last_of_both(y, 4))

    dense = clstm.Network([both(), clstm.Dense(8, 2, rng=1), clstm.Pool("last")])
    assert not dense.bidirectional  # Dense mixes the directions
    np.testing.assert_array_equal(dense(x), dense.layers[1](y)[:, -1])
    outer = clstm.Network([both(), clstm.Network([clstm.Pool("last")])])
    np.testing.assert_array_equal(outer(x), last_of_both(y, 4))
    inner = clstm.Network([clstm.Network([both()]), clstm.Pool("last")])
    np.testing.assert_array_equal(inner(x), last_of_both(y, 4))
    assert inner.layers[0].bidirectional
    assert not inner.bidirectional


def test_a_pool_leaves_what_its_network_told_it_behind(rng):
    y = rng.normal(size=(2, 6, 8))
    net = clstm.Network([clstm.LSTM(3, 4, bidirectional=True, dtype="float64"), clstm.Pool("last")])
    pool = net.layers[1]
    np.testing.assert_array_equal(pool(y), last_of_both(y, 4))
    np.testing.assert_array_equal(copy.deepcopy(pool)(y), y[:, -1])
    assert pool.config() == {"mode": "last", "bidirectional": None}
    again = pickle.loads(pickle.dumps(net))
    np.testing.assert_array_equal(again.layers[1](y), last_of_both(y, 4))


# Construction


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (list, "layers: expected at least one layer"),
        (lambda: [clstm.LSTM(3, 4), clstm.Dense(5, 1)], r"layers\[1\]: Dense\(5, 1\) takes 5 features, but 4 arrive"),
        (lambda: [clstm.LSTM(3, 4, bidirectional=True), clstm.LSTM(4, 4)], "takes 4 features, but 8 arrive"),
        (lambda: [clstm.Embedding(5, 3), clstm.LSTM(4, 4)], "takes 4 features, but 3 arrive"),
        (lambda: [clstm.LSTM(3, 4), clstm.Pool("max"), clstm.Dense(3, 1)], "takes 3 features, but 4 arrive"),
        (lambda: [clstm.Pool("mean"), clstm.Pool("last")], r"layers\[1\]: Pool\('last'\) takes sequences"),
        (lambda: [clstm.Pool("mean"), clstm.LSTM(3, 4)], "takes sequences, but no time axis arrives"),
        (lambda: [clstm.LSTMCell(3, 4), clstm.LSTM(4, 4)], "takes sequences, but no time axis arrives"),
        (lambda: [clstm.LSTM(3, 4), clstm.LSTMCell(4, 4)], "takes single steps, but sequences arrive"),
        (lambda: [clstm.LSTM(3, 4), clstm.Embedding(5, 3)], "takes indices and has to be the first"),
        (lambda: [clstm.LSTM(3, 4), clstm.Dense(4, 1, dtype="float64")], r"layers\[1\]: expected dtype float32"),
        (lambda: [clstm.Pool("mean"), clstm.Dense(4, 1), clstm.Dense(1, 1, dtype="float64")], "layers.1. has"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_layers_that_do_not_fit_are_refused(wrong, message):
    alone = wrong()
    before = [layer.flat_parameters for layer in alone]
    with pytest.raises(ValueError, match=message):
        clstm.Network(alone)
    assert all(layer.flat_parameters is flat for layer, flat in zip(alone, before, strict=True))
    if alone:
        clstm.Network([alone[0]])  # is still free


@pytest.mark.parametrize(
    "wrong", [None, 3, "LSTM", clstm.Pool("last"), [clstm.LSTM], [None], [clstm.Pool("max"), "Dense"], {}], ids=str
)
def test_what_is_no_layer_is_refused(wrong):
    with pytest.raises(TypeError, match=r"layers(\[\d\])?: expected"):
        clstm.Network(wrong)


def test_a_layer_that_was_not_constructed_is_refused():
    class Lazy(clstm.Layer):
        def __init__(self):
            pass

    with pytest.raises(TypeError, match=r"layers\[0\]: expected a layer that has called"):
        clstm.Network([Lazy()])


def test_a_layer_is_in_one_network_once():
    lstm = clstm.LSTM(3, 3, rng=0)
    with pytest.raises(ValueError, match=r"layers\[1\]: expected each layer once"):
        clstm.Network([lstm, lstm])
    net = clstm.Network([lstm])
    with pytest.raises(ValueError, match=r"layers\[0\]: expected a layer that is in no network .* got LSTM\(3, 3\)"):
        clstm.Network([lstm])
    with pytest.raises(ValueError, match=r"layers\[1\]: expected a layer that is in no network"):
        clstm.Network([clstm.Dense(3, 3), lstm])
    clstm.Network([copy.deepcopy(lstm)])
    outer = clstm.Network([net])
    with pytest.raises(ValueError, match=r"layers\[0\]: expected a layer that is in no network"):
        clstm.Network([net])
    del net, outer
    gc.collect()
    assert clstm.Network([lstm]).layers == (lstm,)  # its network is gone


def test_a_network_does_not_keep_itself_alive():
    net = clstm.Network(layers())
    alive = weakref.ref(net)
    del net
    assert alive() is None


def test_sizes_of_the_network():
    net = clstm.Network([clstm.Pool("mean"), clstm.Dense(3, 4)])
    assert (net.input_size, net.output_size, net.axes, net.removes_time) == (3, 4, "sequence", True)
    net = clstm.Network([clstm.Dense(3, 4), clstm.Dense(4, 2)])
    assert (net.input_size, net.output_size, net.axes, net.removes_time) == (3, 2, "any", False)
    net = clstm.Network([clstm.LSTMCell(3, 4), clstm.Dense(4, 2)])
    assert (net.input_size, net.output_size, net.axes, net.removes_time) == (3, 2, "step", False)
    net = clstm.Network([clstm.Embedding(9, 3)])
    assert (net.input_size, net.output_size, net.axes, net.takes_indices) == (None, 3, "any", True)


def test_a_network_of_cells_runs_step_by_step(rng):
    net = clstm.Network([clstm.LSTMCell(3, 4, rng=0), clstm.Dense(4, 2, rng=1)])
    lstm = clstm.LSTM(3, 4)
    lstm.load_parameters({f"{name}_l0": p for name, p in net.layers[0].parameters().items()})
    x, states = rng.normal(size=(2, 6, 3)).astype("float32"), None
    expected = net.layers[1](lstm(x)[0])
    for t in range(6):
        y, states = net.infer(x[:, t], states)
        np.testing.assert_array_equal(y, expected[:, t])


# Copies and files


def test_a_layer_taken_from_a_network_is_free():
    net = clstm.Network(layers())
    pair, again = pickle.loads(pickle.dumps((net.layers[1], net)))
    assert again.layers[1] is pair  # pickled together, they stay together
    assert np.shares_memory(pair.flat_parameters, again.flat_parameters)
    free = pickle.loads(pickle.dumps(net.layers[1]))
    clstm.Network([free])
    again.flat_parameters[:] = 0
    assert net.flat_parameters.any()


def test_save_replaces_a_file(tmp_path, x):
    path = tmp_path / "net.safetensors"
    path.write_bytes(b"what was there before")
    net = clstm.Network(layers())
    net.save(path)
    again = clstm.load(path)
    np.testing.assert_array_equal(again(x), net(x))
    assert repr(again) == repr(net)
    assert [entry.name for entry in tmp_path.iterdir()] == ["net.safetensors"]
