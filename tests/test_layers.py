"""Dense, Embedding, Pool against the reference; layers of one's own; configuration, copies and texts of all layers."""

import copy
import pickle
from itertools import product

import numpy as np
import pytest
import reference_training as training

import clstm
from clstm import _core

TOLERANCE = {"float64": 1e-10, "float32": 1e-4}
LENGTHS = [None, (5, 0, 1, 4), (0, 0, 0, 0), (5, 5, 5, 5)]


def close(actual, expected, dtype):
    """Equal to the tolerance of the dtype, relative to the largest value."""
    assert actual.dtype == dtype
    assert actual.shape == expected.shape
    assert np.isfinite(actual).all()
    error = np.abs(actual - expected).max(initial=0)
    assert error <= TOLERANCE[dtype] * np.abs(expected).max(initial=0), f"error {error}"


def padding_of(lengths, T):
    return np.arange(T) >= np.reshape(lengths, (-1, 1))


def padded(array, lengths, value):
    """A read-only copy of array (N, T, ...) with `value` in the padding."""
    array = array.copy()
    if lengths is not None:
        array[padding_of(lengths, array.shape[1])] = value
    array.flags.writeable = False
    return array


# Dense


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("lengths", LENGTHS, ids=str)
@pytest.mark.parametrize(("inputs", "outputs"), [(1, 1), (1, 7), (17, 1), (8, 16), (33, 9), (70, 65)])
def test_dense_is_that_of_the_reference(machine, rng, inputs, outputs, lengths, bias, dtype):
    dense = clstm.Dense(inputs, outputs, bias=bias, dtype=dtype, rng=rng)
    w = dense.parameters()["weight"].astype(float)
    b = 0
    if bias:
        dense.parameters()["bias"][:] = rng.normal(size=outputs)
        b = dense.parameters()["bias"].astype(float)
    x = padded(rng.normal(size=(4, 5, inputs)).astype(dtype), lengths, np.nan)
    dy = padded(rng.normal(size=(4, 5, outputs)).astype(dtype), lengths, np.nan)
    y, state, tape = dense.forward(x, lengths=lengths)
    dx, dstate, grads = dense.backward(tape, dy)
    assert state is None
    assert dstate is None
    np.testing.assert_array_equal(dense(x, lengths=lengths), y)

    valid = np.ones((4, 5), bool) if lengths is None else ~padding_of(lengths, 5)
    for whole, part in ((y, x[valid] @ w.T + b), (dx, dy[valid] @ w)):
        expected = np.zeros(whole.shape)
        expected[valid] = part
        close(whole, expected, dtype)
    expected_dx, expected_dw, expected_db = training.dense_backward(dy[valid].astype(float), x[valid].astype(float), w)
    close(dx[valid], expected_dx, dtype)
    close(grads["weight"], expected_dw, dtype)
    if bias:
        close(grads["bias"], expected_db, dtype)
    assert list(grads) == list(dense.parameters())


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_dense_takes_x_without_a_time_axis(machine, rng, dtype):
    dense = clstm.Dense(5, 3, dtype=dtype, rng=rng)
    x, dy = rng.normal(size=(4, 5)).astype(dtype), rng.normal(size=(4, 3)).astype(dtype)
    y, _, tape = dense.forward(x)
    dx, _, grads = dense.backward(tape, dy)
    y_1, _, tape = dense.forward(x[:, None])
    dx_1, _, grads_1 = dense.backward(tape, dy[:, None])
    np.testing.assert_array_equal(y, y_1[:, 0])
    np.testing.assert_array_equal(dx, dx_1[:, 0])
    np.testing.assert_equal(grads, grads_1)


def test_dense_takes_strides(machine, rng):
    dense = clstm.Dense(3, 2, dtype="float64", rng=rng)
    memory = rng.normal(size=(8, 10, 5))
    for x in (memory[::2, ::5, 1:4], memory[::-1, ::-1, :3], memory[:, :, ::2], memory.T[:3].T, memory[:, :1, 1:4]):
        y, _, tape = dense.forward(x)
        dy = rng.normal(size=(*x.shape[:2], 4))[:, :, ::2]
        expected_dx, expected_dw, _ = training.dense_backward(dy, x, dense.parameters()["weight"])
        dx, _, grads = dense.backward(tape, dy)
        close(y, training.dense_forward(x, dense.parameters()["weight"]), "float64")
        close(dx, expected_dx, "float64")
        close(grads["weight"], expected_dw, "float64")


def test_dense_rows_and_threads_do_not_change_bits(rng):
    before = _core.get_threads()
    dense = clstm.Dense(40, 30, rng=rng)
    x, dy = rng.normal(size=(70, 60, 40)).astype("float32"), rng.normal(size=(70, 60, 30)).astype("float32")
    found = []
    for threads in (1, 2, 3):
        _core.set_threads(threads)
        y, _, tape = dense.forward(x)
        found.append((y, *dense.backward(tape, dy)))
        np.testing.assert_array_equal(dense(x[3:11]), y[3:11])
    _core.set_threads(before)
    np.testing.assert_equal(found[1], found[0])
    np.testing.assert_equal(found[2], found[0])


def test_dense_starts_glorot_uniform_and_zero():
    dense = clstm.Dense(30, 50, rng=1)
    limit = np.sqrt(6 / 80)
    assert 0.95 * limit < np.abs(dense.parameters()["weight"]).max() <= np.float32(limit)
    assert not dense.parameters()["bias"].any()


# Embedding


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("lengths", LENGTHS, ids=str)
@pytest.mark.parametrize("integer", ["int64", "uint64", "int8", ">i4"])
def test_embedding_is_that_of_the_reference(rng, lengths, integer, dtype):
    embedding = clstm.Embedding(6, 3, dtype=dtype, rng=rng)
    w = embedding.parameters()["weight"]
    x = padded(rng.integers(0, 6, size=(4, 5)).astype(integer), lengths, 77)
    dy = padded(rng.normal(size=(4, 5, 3)).astype(dtype), lengths, np.nan)
    y, _, tape = embedding.forward(x, lengths=lengths)
    dx, _, grads = embedding.backward(tape, dy)
    assert dx is None
    np.testing.assert_array_equal(embedding(x, lengths=lengths), y)
    valid = np.ones((4, 5), bool) if lengths is None else ~padding_of(lengths, 5)
    expected = np.zeros(y.shape, dtype)
    expected[valid] = w[x[valid].astype(int)]
    np.testing.assert_array_equal(y, expected, strict=True)
    index = x[valid].astype(int)
    close(grads["weight"], training.embedding_backward(dy[valid].astype(float), index, w.astype(float)), dtype)


def test_embedding_takes_lists_strides_and_single_steps(rng):
    embedding = clstm.Embedding(9, 2, rng=rng)
    w = embedding.parameters()["weight"]
    x = rng.integers(0, 9, size=(6, 8))
    np.testing.assert_array_equal(embedding(x.tolist()), w[x])
    np.testing.assert_array_equal(embedding(x[::2, ::-3]), w[x[::2, ::-3]])
    np.testing.assert_array_equal(embedding(x[:, 0]), w[x[:, 0]])
    _, _, tape = embedding.forward(x[:, 0])
    _, _, grads = embedding.backward(tape, np.ones((6, 2)))
    np.testing.assert_array_equal(grads["weight"][:, 0], np.bincount(x[:, 0], minlength=9))


def test_embedding_starts_uniform():
    values = clstm.Embedding(100, 10, rng=1).parameters()["weight"]
    assert 0.049 < np.abs(values).max() <= np.float32(0.05)


# Pool


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("lengths", LENGTHS, ids=str)
@pytest.mark.parametrize(("mode", "bidirectional"), [("last", False), ("last", True), ("mean", False), ("max", True)])
def test_pool_is_that_of_the_reference(rng, mode, bidirectional, lengths, dtype):
    pool = clstm.Pool(mode, bidirectional=bidirectional)
    x = padded(rng.normal(size=(4, 5, 6)).astype(dtype), lengths, np.nan)
    dy = rng.normal(size=(4, 6)).astype(dtype)
    y, _, tape = pool.forward(x, lengths=lengths)
    dx, _, grads = pool.backward(tape, dy)
    close(y, training.pool_forward(x.astype(float), mode, lengths, bidirectional), dtype)
    close(dx, training.pool_backward(dy.astype(float), x.astype(float), mode, lengths, bidirectional), dtype)
    assert grads == {}
    np.testing.assert_array_equal(pool(x, lengths=lengths), y)


@pytest.mark.parametrize("mode", ["last", "mean", "max"])
def test_pool_takes_strides(rng, mode):
    pool = clstm.Pool(mode)
    memory = rng.normal(size=(8, 10, 6))
    for x in (memory[::2, ::-3, 1:4], memory[:, :, ::2], np.broadcast_to(memory[:1], memory.shape)):
        y, _, tape = pool.forward(x)
        dy = rng.normal(size=y.shape)
        close(y, training.pool_forward(x, mode), "float64")
        close(pool.backward(tape, dy)[0], training.pool_backward(dy, x, mode), "float64")


def test_max_sends_its_gradient_to_the_first_of_equals():
    pool = clstm.Pool("max")
    x = np.array([[[1.0, 5.0], [3.0, 5.0], [3.0, 2.0]]])
    _, _, tape = pool.forward(x)
    np.testing.assert_array_equal(pool.backward(tape, [[1, 2]])[0], [[[0, 2], [1, 0], [0, 0]]])


def test_nan_propagates_through_mean_and_max_but_not_from_the_padding():
    x = np.array([[[1.0], [np.nan], [2.0]]])
    assert np.isnan(clstm.Pool("max")(x)).all()
    assert np.isnan(clstm.Pool("mean")(x)).all()
    assert clstm.Pool("max")(x, lengths=[1]) == 1
    assert clstm.Pool("last")(x) == 2


def test_pool_computes_in_the_dtype_of_x():
    numbers = [[[1, 2], [3, 4]]]
    for dtype in ("float32", "int64", "float16", "bool"):
        assert clstm.Pool("mean")(np.array(numbers, dtype)).dtype == np.float32
    assert clstm.Pool("mean")(numbers).dtype == np.float32
    assert clstm.Pool("mean")(np.array(numbers, "float64")).dtype == np.float64


# All layers


def every_layer():
    yield clstm.LSTM(3, 4, rng=0)
    yield clstm.LSTM(3, 4, num_layers=2, bidirectional=True, bias=False, dtype="float64", rng=0)
    yield clstm.LSTMCell(3, 4, rng=0)
    yield clstm.LSTMCell(3, 4, bias=False, dtype=np.float64, rng=0)
    yield clstm.Dense(3, 4, rng=0)
    yield clstm.Dense(3, 4, bias=False, dtype="float64", rng=0)
    yield clstm.Dense(3, 4, activation="tanh", rng=0)
    yield clstm.Embedding(5, 3, rng=0)
    yield clstm.Embedding(5, 3, padding_index=2, dtype="float64", rng=0)
    yield clstm.Conv1d(3, 4, 2, rng=0)
    yield clstm.Conv1d(
        3, 4, 2, stride=2, dilation=2, padding="valid", bias=False, activation="relu", dtype="float64", rng=0
    )
    yield clstm.LayerNorm(3)
    yield clstm.LayerNorm(3, epsilon=0.1, scale=False, dtype="float64")
    yield clstm.Pool("last")
    yield clstm.Pool("max", bidirectional=True)
    yield clstm.Network([clstm.Embedding(5, 3, rng=0), clstm.LSTM(3, 4, bidirectional=True, rng=1), clstm.Pool("last")])
    tied = [clstm.Embedding(5, 3, rng=0), clstm.GRU(3, 3, rng=1), clstm.Dense(3, 5, rng=2)]
    yield clstm.Network(tied, tied={"2.weight": "0.weight"})
    inner = clstm.Network([clstm.LSTM(3, 4, dtype="float64", rng=0)])
    yield clstm.Network([inner, clstm.Dense(4, 1, dtype="float64", rng=1)])


EVERY_LAYER = [pytest.param(k, id=repr(layer)) for k, layer in enumerate(every_layer())]


@pytest.fixture(params=EVERY_LAYER)
def layer(request):
    return list(every_layer())[request.param]


def an_input(layer, rng):
    """An x that the layer takes."""
    if layer.takes_indices:
        return rng.integers(0, 5, size=(2, 6))
    shape = {"sequence": (2, 6, 3), "step": (2, 3), "any": (2, 6, 3)}[layer.axes]
    return rng.normal(size=shape).astype(layer.dtype or "float32")


def same_layer(actual, expected, rng):
    """Equal in class, configuration, parameters and what it computes, and nothing shared."""
    assert type(actual) is type(expected)
    assert actual.config() == expected.config()
    assert actual.dtype == expected.dtype
    np.testing.assert_equal(actual.parameters(), expected.parameters())
    assert list(actual.parameters()) == list(expected.parameters())
    assert not np.shares_memory(actual.flat_parameters, expected.flat_parameters)
    assert actual.flat_parameters.size == 0 or actual.flat_parameters.ctypes.data % 64 == 0
    x = an_input(expected, rng)
    np.testing.assert_equal(actual(x), expected(x))
    y, _, tape = actual.forward(x)
    gradients = actual.backward(tape, np.ones_like(y))
    _, _, tape = expected.forward(x)
    np.testing.assert_equal(gradients, expected.backward(tape, np.ones_like(y)))


def test_repr_can_be_evaluated(layer):
    again = eval(repr(layer), dict(vars(clstm)))
    assert type(again) is type(layer)
    assert again.config() == layer.config()
    assert repr(again) == repr(layer)


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_pickle_keeps_everything(layer, rng, protocol):
    same_layer(pickle.loads(pickle.dumps(layer, protocol)), layer, rng)


@pytest.mark.parametrize("function", [copy.copy, copy.deepcopy])
def test_copies_share_nothing(layer, rng, function):
    layer.note = "kept"
    again = function(layer)
    same_layer(again, layer, rng)
    assert again.note == "kept"
    before = layer.flat_parameters.copy()
    again.flat_parameters[:] = 7
    np.testing.assert_array_equal(layer.flat_parameters, before)
    assert all((values == 7).all() for values in again.parameters().values())


def test_a_saved_layer_is_loaded_again(layer, rng, tmp_path):
    path = tmp_path / "layer.safetensors"
    layer.save(path)
    same_layer(clstm.load(path), layer, rng)
    layer.save(str(path))
    same_layer(clstm.load(str(path)), layer, rng)


def test_load_parameters_sets_all_values(layer):
    new = {name: np.arange(values.size).reshape(values.shape) for name, values in layer.parameters().items()}
    layer.load_parameters(new)
    np.testing.assert_equal(layer.parameters(), new)
    assert layer.flat_parameters.sum() == sum(values.sum() for values in new.values())


def test_load_parameters_takes_its_own_views_in_another_order():
    cell = clstm.LSTMCell(4, 4, rng=0)
    own = cell.parameters()
    a, b = own["weight_ih"].copy(), own["weight_hh"].copy()
    cell.load_parameters({**own, "weight_ih": own["weight_hh"], "weight_hh": own["weight_ih"]})
    np.testing.assert_array_equal(cell.parameters()["weight_ih"], b)
    np.testing.assert_array_equal(cell.parameters()["weight_hh"], a)


def test_zeros_like_parameters_are_laid_out_as_they_are(layer):
    flat, by_name = layer.zeros_like_parameters()
    assert flat.shape == layer.flat_parameters.shape
    assert flat.dtype == layer.flat_parameters.dtype
    flat[:] = np.arange(flat.size)
    layer.flat_parameters[:] = flat
    np.testing.assert_equal(by_name, layer.parameters())


def test_reset_parameters_draws_anew():
    lstm = clstm.LSTM(3, 4, rng=1)
    first = lstm.flat_parameters.copy()
    lstm.reset_parameters(rng=2)
    assert (lstm.flat_parameters != first).any()
    lstm.reset_parameters(rng=1)
    np.testing.assert_array_equal(lstm.flat_parameters, first)


# Layers of one's own


class Stretch(clstm.Layer):
    """Multiplies each feature by a number it learns."""

    def __init__(self, size, *, start=1.0, dtype="float32"):
        self.input_size = self.output_size = size
        self.start = start
        super().__init__(dtype)
        self.parameters()["weight"][:] = start

    def config(self):
        return {"size": self.input_size, "start": self.start, "dtype": self.dtype.name}

    @staticmethod
    def parameter_shapes(size, *, start=1.0, dtype="float32"):
        yield "weight", (size,)

    def forward(self, x, state=None, lengths=None):
        return x * self.parameters()["weight"], None, clstm.Tape(self, x)

    def backward(self, tape, dy, dstate=None, grads=None, need_dx=True):
        x = tape.take()
        grads = self.zeros_like_parameters()[1] if grads is None else grads
        grads["weight"] += (dy * x).reshape(-1, self.input_size).sum(axis=0)
        return dy * self.parameters()["weight"] if need_dx else None, None, grads


def test_a_layer_of_ones_own_works_everywhere(rng, tmp_path):
    net = clstm.Network([Stretch(3, start=2.0), clstm.LSTM(3, 4, rng=0), Stretch(4), clstm.Pool("last")])
    assert repr(net) == "Network([Stretch(size=3, start=2.0), LSTM(3, 4), Stretch(size=4), Pool('last')])"
    x = rng.normal(size=(2, 5, 3)).astype("float32")
    y, _, tape = net.forward(x, lengths=[5, 2])
    _, _, grads = net.backward(tape, np.ones_like(y), need_dx=False)
    assert all(gradient.any() for gradient in grads.values())
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(net))(x), net(x))
    net.save(tmp_path / "own.safetensors")
    np.testing.assert_array_equal(clstm.load(tmp_path / "own.safetensors")(x), net(x))


def test_a_layer_of_ones_own_may_be_defined_again_but_not_under_a_name_of_clstm():
    def define(name, bases=(clstm.Layer,)):
        return type(name, bases, {"__module__": __name__})

    define("DefinedTwice")
    assert define("DefinedTwice").__name__ == "DefinedTwice"
    with pytest.raises(TypeError, match="LSTM: expected a name that is free"):
        define("LSTM", (clstm.LSTM,))
    define("_LSTM", (clstm.LSTM,))


def test_a_layer_says_what_it_lacks():
    class Empty(clstm.Layer):
        pass

    with pytest.raises(NotImplementedError, match="Empty has no forward"):
        Empty()([1])
    with pytest.raises(NotImplementedError, match="Empty has no backward"):
        Empty().backward(None, [1])


# Docstrings


@pytest.mark.parametrize(("name", "method"), list(product(["LSTM", "Network"], ["forward", "backward", "__call__"])))
def test_public_methods_are_documented(name, method):
    assert getattr(getattr(clstm, name), method).__doc__
