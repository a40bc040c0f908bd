"""Bad arguments of layers: each error names the argument, what was expected and what came; nothing is half changed."""

from fractions import Fraction

import numpy as np
import pytest

import clstm
from clstm import _core

N, T, I, H = 3, 5, 4, 6


@pytest.fixture
def lstm():
    return clstm.LSTM(I, H, num_layers=2, rng=0)


@pytest.fixture
def cell():
    return clstm.LSTMCell(I, H, rng=0)


@pytest.fixture
def net():
    return clstm.Network([clstm.Embedding(7, I, rng=0), clstm.LSTM(I, H, rng=1), clstm.Dense(H, 2, rng=2)])


def zeros(*shape, dtype="float32"):
    return np.zeros(shape, dtype)


def refuses(error, message, function, *arguments, **options):
    """Calls, and checks the exception and that its message has the form of all messages."""
    with pytest.raises(error, match=message) as raised:
        function(*arguments, **options)
    assert type(raised.value) is error
    assert ": expected " in str(raised.value)
    assert ", got " in str(raised.value)


# What is no array of real numbers is a TypeError, whatever the argument

NOT_REAL = {
    "complex": (np.zeros((N, T, I), complex), "dtype complex128"),
    "object": (np.zeros((N, T, I), object), "dtype object"),
    "text": (np.full((N, T, I), "1.5"), "dtype <U3"),
    "bytes": (np.full((N, T, I), b"1"), r"dtype \|S1"),
    "dates": (np.zeros((N, T, I), "M8[s]"), r"dtype datetime64\[s\]"),
    "durations": (np.zeros((N, T, I), "m8[s]"), r"dtype timedelta64\[s\]"),
    "records": (np.zeros((N, T, I), [("a", "f4")]), r"dtype \[\('a', '<f4'\)\]"),
    "None": (None, "dtype object"),
    "a string": ("text", "dtype <U4"),
    "a list of None": ([[[None]]], "dtype object"),
    "fractions": ([[[Fraction(1, 2)]]], "dtype object"),
    "a set": ({1, 2}, "dtype object"),
    "a dict": ({"x": 1}, "dtype object"),
    "masked": (np.ma.masked_array(np.zeros((N, T, I))), "a masked array"),
}


@pytest.mark.parametrize("name", NOT_REAL)
def test_what_is_no_array_of_real_numbers_is_a_type_error(lstm, cell, name):
    value, got = NOT_REAL[name]
    message = f"x: expected an array.*, got {got}"
    for layer in (lstm, cell, clstm.Dense(I, 2), clstm.Pool("max"), clstm.Network([clstm.LSTM(I, H)])):
        for function in (layer, layer.forward, layer.infer):
            refuses(TypeError, message, function, value)
    refuses(TypeError, message, lstm.trace, value)
    good = zeros(2, N, H)
    x = zeros(N, T, I)
    if value is not None:
        state_message = rf"state\[1\]: expected an array.*, got {got}"
        refuses(TypeError, state_message, lstm, x, (good, value))
        _, _, tape = lstm.forward(x)
        refuses(TypeError, f"dy: expected an array.*, got {got}", lstm.backward, tape, value)
        refuses(TypeError, r"dstate\[0\]: expected an array.*", lstm.backward, tape, zeros(N, T, H), (value, good))
        parameters = {**lstm.parameters(), "bias_l1": value}
        refuses(TypeError, r"parameters\['bias_l1'\]: expected an array.*", lstm.load_parameters, parameters)


def test_rows_of_unequal_length_are_no_array(lstm):
    refuses(ValueError, "x: expected an array, got list that is none", lstm, [[[1, 2, 3, 4]], [[1, 2]]])


# Shapes of x

SHAPES = [
    (),
    (I,),
    (T, I),
    (1, N, T, I),
    (N, T, I + 1),
    (N, T, I - 1),
    (N, T, 0),
    (0, T, I),
    (N, 0, I),
    (0,),
    (0, 0, 0),
]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_wrong_shapes_of_x(lstm, shape):
    for function in (lstm, lstm.forward, lstm.infer, lstm.trace, clstm.Network([clstm.LSTM(I, H)])):
        with pytest.raises(ValueError, match=r"x: expected shape \(N, T, 4\)") as error:
            function(zeros(*shape))
        assert str(error.value).endswith(f"got shape {shape}")


@pytest.mark.parametrize("shape", [(), (I,), (N, T, I), (N, I + 1), (0, I), (N, 0)], ids=str)
def test_wrong_shapes_of_x_for_a_cell(cell, shape):
    for function in (cell, cell.forward, cell.infer):
        with pytest.raises(ValueError, match=r"x: expected shape \(N, 4\) with N at least 1, got") as error:
            function(zeros(*shape))
        assert str(error.value).endswith(f"got shape {shape}")


@pytest.mark.parametrize("shape", [(), (I,), (1, N, T, I), (N, T, 5), (N, 3), (0, I), (N, 0, I), (0, T, I)], ids=str)
def test_wrong_shapes_of_x_for_dense(shape):
    refuses(ValueError, r"x: expected shape \(N, T, 4\) or \(N, 4\) with", clstm.Dense(I, 2), zeros(*shape))


@pytest.mark.parametrize("shape", [(), (I,), (N, I), (1, N, T, I), (0, T, I), (N, 0, I), (N, T, 0)], ids=str)
def test_wrong_shapes_of_x_for_pool(shape):
    refuses(ValueError, r"x: expected shape \(N, T, features\) with", clstm.Pool("mean"), zeros(*shape))


def test_pool_of_two_directions_needs_an_even_number_of_features():
    pool = clstm.Pool("last", bidirectional=True)
    refuses(ValueError, "x: expected an even number of features, from two directions, got 3", pool, zeros(2, 2, 3))


# Indices


@pytest.mark.parametrize(
    "value", [[[0.0, 1.0]], [[True]], [["a"]], [[None]], [[1j]], np.zeros((1, 1), "M8[s]")], ids=str
)
def test_indices_are_integers(net, value):
    refuses(TypeError, "x: expected an array of integers, got dtype", clstm.Embedding(7, 2), value)
    refuses(TypeError, "x: expected an array of integers, got dtype", net, value)


@pytest.mark.parametrize("value", [3, [[[1]]], [], [[]], np.zeros((0, 3), int), np.zeros((2, 0), int)], ids=str)
def test_wrong_shapes_of_indices(value):
    refuses(ValueError, r"x: expected shape \(N, T\) or \(N,\)", clstm.Embedding(7, 2), value)


@pytest.mark.parametrize("dtype", ["int64", "int8", "uint64", ">i2"])
@pytest.mark.parametrize("bad", [7, 100, -1, 2**63, 2**64 - 1])
def test_indices_out_of_range(net, bad, dtype):
    if not np.iinfo(dtype).min <= bad <= np.iinfo(dtype).max:
        return
    x = np.zeros((2, 3), dtype)
    x[1, 2] = bad
    message = rf"x: expected an index from 0 to 6, got {bad} at \[1, 2\]"
    refuses(ValueError, message, clstm.Embedding(7, 2), x)
    refuses(ValueError, r"in layers\[0\] \(Embedding\): " + message, net, x)
    refuses(ValueError, message, clstm.Embedding(7, 2), x, lengths=[0, 3])
    clstm.Embedding(7, 2)(x, lengths=[3, 2])  # in the padding, anything may stand


def test_a_network_refuses_indices_without_the_axis_it_needs(net):
    refuses(ValueError, r"x: expected shape \(N, T\), got shape \(3,\)", net, [1, 2, 3])


# Lengths

BAD_LENGTHS = [
    ([5, 5], ValueError, r"shape \(3,\), one for each row of x, got shape \(2,\)"),
    ([5, 5, 5, 5], ValueError, r"shape \(3,\), one for each row of x, got shape \(4,\)"),
    ([[5, 5, 5]], ValueError, r"shape \(3,\), one for each row of x, got shape \(1, 3\)"),
    (5, ValueError, r"shape \(3,\), one for each row of x, got shape \(\)"),
    ([], ValueError, r"shape \(3,\), one for each row of x, got shape \(0,\)"),
    ([5, -1, 5], ValueError, r"a number of steps from 0 to 5, got -1 at \[1\]"),
    ([5, 5, 6], ValueError, r"a number of steps from 0 to 5, got 6 at \[2\]"),
    (np.array([5, 2**64 - 1, 5], "u8"), ValueError, r"a number of steps from 0 to 5, got 18446744073709551615 at"),
    ([5, 2**63 - 1, 5], ValueError, "a number of steps from 0 to 5, got 9223372036854775807 at"),
    (np.array([5, -(2**63), 5]), ValueError, "a number of steps from 0 to 5, got -9223372036854775808 at"),
    ([5.0, 5.0, 5.0], TypeError, "an array of integers, got dtype float64"),
    ([True, True, False], TypeError, "an array of integers, got dtype bool"),
    (["5", "5", "5"], TypeError, "an array of integers, got dtype <U1"),
    ([None, 5, 5], TypeError, "an array of integers, got dtype object"),
    ([[1, 2], [3]], ValueError, "an array, got list that is none"),
]


@pytest.mark.parametrize(("lengths", "error", "message"), BAD_LENGTHS, ids=str)
def test_bad_lengths(lstm, lengths, error, message):
    x, index = zeros(N, T, I), np.zeros((N, T), int)
    layers = [lstm, clstm.Dense(I, 2), clstm.Pool("last"), clstm.Network([clstm.LSTM(I, H)])]
    for layer, value in [*((layer, x) for layer in layers), (clstm.Embedding(2, 2), index)]:
        for function in (layer, layer.forward):
            refuses(error, f"lengths: expected {message}", function, value, lengths=lengths)
    refuses(error, f"lengths: expected {message}", lstm.trace, x, lengths=lengths)


def test_lengths_without_a_time_axis(cell):
    message = "lengths: expected None, because x has no time axis, got list"
    for layer in (cell, clstm.Dense(I, 2), clstm.Network([clstm.Dense(I, 2)])):
        refuses(ValueError, message, layer, zeros(N, I), lengths=[1] * N)
    refuses(ValueError, message, clstm.Embedding(3, 2), [0, 1], lengths=[1, 1])


# States


@pytest.mark.parametrize("name", ["state", "dstate"])
def test_bad_states(lstm, name):
    x, dy, good = zeros(N, T, I), zeros(N, T, H), zeros(2, N, H)

    def call(value):
        return lstm(x, value) if name == "state" else lstm.backward(lstm.forward(x)[2], dy, value)

    for wrong in [(2, N, H + 1), (2, N + 1, H), (1, N, H), (N, H), (2, N * H), (0, N, H), ()]:
        shape = f"shape {wrong}".replace("(", r"\(").replace(")", r"\)")
        refuses(ValueError, rf"{name}\[0\]: expected shape \(2, 3, 6\), got {shape}", call, (zeros(*wrong), good))
        refuses(ValueError, rf"{name}\[1\]: expected shape \(2, 3, 6\), got {shape}", call, (good, zeros(*wrong)))
    for wrong in [(), (good,), (good, good, good), zeros(3, 2, N, H)]:
        refuses(ValueError, rf"{name}: expected a pair \(h, c\), got {len(wrong)} members", call, wrong)
    for wrong in [3, "hc", {"h": good, "c": good}, np.float32(3)]:
        refuses(TypeError, rf"{name}: expected a pair \(h, c\) or None, got", call, wrong)
    call((good, good))
    call([good, good])
    call(np.stack([good, good]))


def test_bad_states_of_a_cell(cell):
    x, good = zeros(N, I), zeros(N, H)
    refuses(ValueError, r"state\[0\]: expected shape \(3, 6\), got shape \(1, 3, 6\)", cell, x, (good[None], good))
    refuses(ValueError, r"state\[1\]: expected shape \(3, 6\), got shape \(2, 6\)", cell, x, (good, good[:2]))


@pytest.mark.parametrize("layer", [clstm.Dense(I, 2), clstm.Pool("max")], ids=repr)
def test_layers_without_memory_refuse_states(layer):
    x = zeros(N, T, I)
    refuses(ValueError, "state: expected None, because .* has none, got tuple", layer, x, (1, 2))
    y, _, tape = layer.forward(x)
    refuses(ValueError, "dstate: expected None, because .* has no state, got tuple", layer.backward, tape, y, (1, 2))
    layer.backward(tape, y)


def test_bad_states_of_a_network():
    net = clstm.Network([clstm.LSTM(I, H), clstm.Dense(H, 2)])
    x, good = zeros(N, T, I), zeros(1, N, H)
    y, _, tape = net.forward(x)
    for name, call in (("state", lambda s: net(x, s)), ("dstate", lambda s: net.backward(tape, y, s))):
        refuses(ValueError, f"{name}: expected a list of 2, one for each layer, got 1 entries", call, [None])
        refuses(TypeError, f"{name}: expected a list of 2, one for each layer, got int", call, 3)
    wrong = r"expected shape \(1, 3, 6\), got shape \(3, 6\)"
    refuses(ValueError, rf"in layers\[0\] \(LSTM\): state\[1\]: {wrong}", net, x, [(good, good[0]), None])
    refuses(ValueError, rf"dstate\[0\]\[1\]: {wrong}", net.backward, tape, y, [(good, good[0]), None])
    refuses(ValueError, r"dstate\[0\]: expected 2 entries, got 3", net.backward, tape, y, [(good,) * 3, None])
    refuses(ValueError, r"dstate\[0\]: expected 2 entries, got ndarray", net.backward, tape, y, [good, None])
    refuses(ValueError, r"dstate\[1\]: expected None, because", net.backward, tape, y, [None, good])
    net.backward(tape, y, [(good, None), None])


# Tapes and gradients


def layers_with_input():
    yield clstm.LSTM(I, H), zeros(N, T, I)
    yield clstm.LSTMCell(I, H), zeros(N, I)
    yield clstm.Dense(I, 2), zeros(N, T, I)
    yield clstm.Embedding(7, 2), np.zeros((N, T), int)
    yield clstm.Pool("max"), zeros(N, T, I)
    yield clstm.Network([clstm.Dense(I, 2), clstm.Pool("mean")]), zeros(N, T, I)


@pytest.fixture(params=range(6), ids=[type(layer).__name__ for layer, _ in layers_with_input()])
def layer_and_x(request):
    return list(layers_with_input())[request.param]


def test_a_tape_of_another_layer(layer_and_x, request):
    layer, x = layer_and_x
    y, _, tape = layer.forward(x)
    other, _ = list(layers_with_input())[request.node.callspec.params["layer_and_x"]]
    name = type(layer).__name__
    message = f"tape: expected one of this {name}, got one of another {name}"
    refuses(ValueError, message, other.backward, tape, y)
    stranger = clstm.LSTM(1, 1) if name != "LSTM" else clstm.Dense(1, 1)
    message = f"tape: expected one of this {type(stranger).__name__}, got one of a {name}"
    refuses(ValueError, message, stranger.backward, tape, y)
    layer.backward(tape, y)
    message = "tape: expected one that backward has not used, got one that is used up"
    refuses(ValueError, message, layer.backward, tape, y)


@pytest.mark.parametrize("wrong", [None, 3, "tape", (1, 2), object], ids=repr)
def test_what_is_no_tape(layer_and_x, wrong):
    layer, x = layer_and_x
    y, _, _ = layer.forward(x)
    refuses(TypeError, "tape: expected the tape that forward returned, got", layer.backward, wrong, y)


def test_dy_of_the_wrong_shape(layer_and_x):
    layer, x = layer_and_x
    y, _, tape = layer.forward(x)
    for wrong in (y[:-1], y[..., :-1], y[None], zeros(), zeros(0), np.concatenate([y, y])):
        refuses(ValueError, "dy: expected shape .*, got shape", layer.backward, tape, wrong)
    refuses(TypeError, "dy: expected an array", layer.backward, tape, None)
    refuses(TypeError, "dy: expected an array of real numbers, got dtype complex64", layer.backward, tape, y * 1j)
    layer.backward(tape, y)


def test_bad_gradients(layer_and_x):
    layer, x = layer_and_x
    if not layer.parameters():
        return
    y, _, tape = layer.forward(x)
    flat, good = layer.zeros_like_parameters()
    name, first = next(iter(good.items()))
    quoted = name.replace(".", r"\.")

    def refused(error, message, grads):
        refuses(error, message, layer.backward, tape, np.ones_like(y), None, grads)

    refused(TypeError, "grads: expected a dict of arrays, got list", [first])
    refused(
        ValueError,
        f"grads: expected the names '{quoted}'.* without '{quoted}'",
        {**good} and dict(list(good.items())[1:]),
    )
    refused(ValueError, "grads: expected the names .* with unknown 'other'", {**good, "other": first})
    refused(TypeError, rf"grads\['{quoted}'\]: expected an array of float32, got list", {**good, name: first.tolist()})
    refused(TypeError, "expected an array of float32, got dtype float64", {**good, name: first.astype("float64")})
    refused(TypeError, "expected an array of float32, got dtype >f4", {**good, name: first.astype(">f4")})
    refused(ValueError, "expected shape .*, got shape", {**good, name: first.reshape(-1, *first.shape)[:, :1]})
    refused(ValueError, "expected a contiguous, writeable array", {**good, name: np.asfortranarray(first)})
    strided = np.zeros((*first.shape[:-1], 2 * first.shape[-1]), "float32")[..., ::2]
    refused(ValueError, "expected a contiguous, writeable array", {**good, name: strided})
    frozen = first.copy()
    frozen.flags.writeable = False
    refused(ValueError, "expected a contiguous, writeable array", {**good, name: frozen})
    assert not flat.any()
    layer.backward(tape, y, None, good)


# Parameters


def test_load_parameters_changes_all_or_nothing(net):
    before = net.flat_parameters.copy()
    new = {name: np.ones_like(values) for name, values in net.parameters().items()}
    last, shape = "2.bias", new["2.bias"].shape

    def refused(error, message, parameters):
        refuses(error, message, net.load_parameters, parameters)
        np.testing.assert_array_equal(net.flat_parameters, before)

    for value in (np.nan, np.inf, -np.inf):
        refused(ValueError, r"parameters\['2.bias'\]: expected finite values, got", {**new, last: [0, value]})
    refused(ValueError, r"expected finite values, got inf at \[1\]", {**new, last: [0, 1e300]})  # not in float32
    refused(ValueError, r"parameters\['2.bias'\]: expected shape \(2,\), got shape \(3,\)", {**new, last: zeros(3)})
    refused(ValueError, r"expected shape \(2,\), got shape \(1, 2\)", {**new, last: zeros(1, *shape)})
    refused(TypeError, r"parameters\['2.bias'\]: expected an array of real", {**new, last: zeros(2, dtype="c8")})
    refused(ValueError, "parameters: expected the names .* without '0.weight'", dict(list(new.items())[1:]))
    refused(ValueError, "parameters: expected the names .* with unknown 'bias'", {**new, "bias": zeros(2)})
    refused(ValueError, "parameters: expected the names .* without .* and 0 more|without", {})
    refused(TypeError, "parameters: expected a dict of arrays, got list", list(new.values()))
    net.load_parameters(new)
    assert (net.flat_parameters == 1).all()


def test_nan_in_the_input_is_data(lstm):
    x = np.full((N, T, I), np.nan)
    assert np.isnan(lstm(x)[0]).all()
    assert np.isnan(clstm.Dense(I, 2)(x)).all()


# Construction

SIZES = [
    (0, ValueError),
    (-1, ValueError),
    (-(10**30), ValueError),
    (1.0, TypeError),
    (2.5, TypeError),
    ("3", TypeError),
    (None, TypeError),
    (True, TypeError),
    (np.True_, TypeError),
    ([3], TypeError),
    (np.nan, TypeError),
    (3j, TypeError),
]


@pytest.mark.parametrize(("value", "error"), SIZES, ids=repr)
def test_sizes(value, error):
    def refused(name, function, *arguments, **options):
        refuses(error, f"{name}: expected an int of at least 1, got", function, *arguments, **options)

    refused("input_size", clstm.LSTM, value, 3)
    refused("hidden_size", clstm.LSTM, 3, value)
    refused("num_layers", clstm.LSTM, 3, 4, num_layers=value)
    refused("input_size", clstm.LSTMCell, value, 3)
    refused("hidden_size", clstm.LSTMCell, 3, value)
    refused("input_size", clstm.Dense, value, 3)
    refused("output_size", clstm.Dense, 3, value)
    refused("num_embeddings", clstm.Embedding, value, 3)
    refused("dim", clstm.Embedding, 3, value)
    refused("n", clstm.set_num_threads, value)


def test_sizes_may_be_integers_of_any_kind():
    lstm = clstm.LSTM(np.int8(3), np.uint64(4), num_layers=np.int32(2))
    assert lstm.config()["hidden_size"] == 4
    assert type(lstm.hidden_size) is int


@pytest.mark.parametrize("value", [None, 1, 0, "yes", 1.0, [True]], ids=repr)
def test_flags(value):
    for function, name in (
        (lambda **o: clstm.LSTM(2, 3, **o), "bidirectional"),
        (lambda **o: clstm.LSTM(2, 3, **o), "bias"),
        (lambda **o: clstm.LSTMCell(2, 3, **o), "bias"),
        (lambda **o: clstm.Dense(2, 3, **o), "bias"),
    ):
        refuses(TypeError, f"{name}: expected True or False, got", function, **{name: value})
    if value is not None:
        refuses(TypeError, "bidirectional: expected True or False", clstm.Pool, "last", bidirectional=value)


@pytest.mark.parametrize(
    ("value", "error"),
    [
        ("float16", ValueError),
        ("bfloat16", ValueError),
        ("f4,f8", ValueError),
        ("", ValueError),
        (np.int32, ValueError),
        (np.complex64, ValueError),
        (">f4", ValueError),
        (np.dtype(">f8"), ValueError),
        (object, ValueError),
        (None, TypeError),
        (3, TypeError),
        ([], ValueError),
    ],
    ids=repr,
)
def test_dtypes(value, error):
    for make in (clstm.LSTM, clstm.LSTMCell, clstm.Dense, clstm.Embedding):
        refuses(error, "dtype: expected 'float32' or 'float64', got", make, 2, 3, dtype=value)


@pytest.mark.parametrize("value", ["float64", np.float64, float, np.dtype("f8")], ids=repr)
def test_dtypes_may_be_given_in_any_way(value):
    assert clstm.LSTM(2, 3, dtype=value).dtype == np.float64


@pytest.mark.parametrize(
    ("value", "error"),
    [(-1, ValueError), (1.5, TypeError), ("seed", TypeError), (True, TypeError), (np.random.RandomState(1), TypeError)],
    ids=str,
)
def test_rng(value, error):
    for make in (clstm.LSTM, clstm.LSTMCell, clstm.Dense, clstm.Embedding):
        refuses(error, "rng: expected", make, 2, 3, rng=value)
    refuses(error, "rng: expected", clstm.LSTM(2, 3).reset_parameters, value)


def test_choices():
    refuses(ValueError, "mode: expected one of 'last', 'mean', 'max', got 'first'", clstm.Pool, "first")
    refuses(TypeError, "mode: expected one of 'last', 'mean', 'max', got None", clstm.Pool, None)
    refuses(ValueError, "name: expected one of 'auto', 'native', 'blas', got 'cuda'", clstm.set_backend, "cuda")
    refuses(TypeError, "name: expected one of 'auto', 'native', 'blas', got 3", clstm.set_backend, 3)
    refuses(ValueError, "mode: expected one of 'stdout', 'dict', got 'text'", clstm.show_config, "text")
    refuses(ValueError, "n: expected at most 1024 threads, got 1025", clstm.set_num_threads, 1025)
    refuses(ValueError, "n: expected at most 1024 threads", clstm.set_num_threads, 10**30)


def test_options_that_exclude_each_other_are_both_named():
    with pytest.raises(ValueError, match=r"coupled: expected False, because forget_gate=False .*, got True"):
        clstm.LSTM(2, 3, coupled=True, forget_gate=False)
    for make in (clstm.GRU, clstm.RNN, clstm.GRUCell, clstm.RNNCell):
        for option in ("peephole", "coupled", "forget_gate", "cell_clip", "output_activation", "zoneout_c"):
            message = f"{option}: expected a layer that has it, an LSTM, got {option}=True for {make.__name__}"
            with pytest.raises(ValueError, match=message):
                make(2, 3, **{option: True})


@pytest.mark.parametrize(
    ("option", "wrong", "error", "message"),
    [
        ("clip", 0, ValueError, "a positive number or None, got 0"),
        ("cell_clip", np.nan, ValueError, "a positive number or None, got nan"),
        ("gradient_clip", np.inf, ValueError, "a positive number or None, got inf"),
        ("clip", True, TypeError, r"a positive number or None, got True \(bool\)"),
        ("clip", "1", TypeError, r"a positive number or None, got '1' \(str\)"),
        ("peephole", 1, TypeError, r"True or False, got 1 \(int\)"),
        ("gate_activation", "gelu", ValueError, "one of 'sigmoid', 'tanh', .*, got 'gelu'"),
        ("candidate_activation", "exp", ValueError, "one of 'sigmoid', 'tanh', .*, got 'exp'"),
        ("output_activation", None, TypeError, r"one of 'sigmoid', 'tanh', .*, got None \(NoneType\)"),
    ],
)
def test_options_are_checked(option, wrong, error, message):
    for make in (clstm.LSTM, clstm.LSTMCell):
        with pytest.raises(error, match=f"{option}: expected {message}"):
            make(2, 3, **{option: wrong})


def test_unknown_options_are_refused():
    for make in (clstm.LSTM, clstm.GRU, clstm.RNN, clstm.LSTMCell, clstm.GRUCell, clstm.RNNCell):
        with pytest.raises(TypeError, match="momentum"):
            make(2, 3, momentum=0)
    with pytest.raises(TypeError):
        clstm.LSTM(2, 3, 4)  # keyword-only after the sizes


@pytest.mark.parametrize("make", [clstm.LSTM, clstm.LSTMCell, clstm.Dense, clstm.Embedding])
def test_more_parameters_than_memory_are_a_memory_error(make):
    with pytest.raises(MemoryError):
        make(10**11, 10**11)
    with pytest.raises(MemoryError):
        make(10**30, 10**30)


def test_more_steps_than_memory_are_an_error_and_not_a_crash():
    lstm = clstm.LSTM(1, 64, rng=0)
    x = np.broadcast_to(np.float32(1), (1, 1, 1))
    huge = np.broadcast_to(x, (2**20, 2**40, 1))
    for function in (lstm, lstm.forward, lstm.trace, clstm.Dense(1, 64)):
        with pytest.raises((MemoryError, ValueError, OverflowError)):
            function(huge)
    assert np.isfinite(lstm(x)[0]).all()


# The core asserts what it is given, too: a mistake above it must not write out of bounds


def test_the_core_refuses_arrays_that_do_not_fit():
    sizes = {"dtype": "float32", "input_size": I, "hidden_size": H, "num_layers": 1, "directions": 1}
    stack = _core.Stack({**sizes, "cell": "lstm", "bias": True})
    flat = zeros(stack.parameters)
    x, y, h, c = zeros(N, T, I), zeros(N, T, H), zeros(1, N, H), zeros(1, N, H)
    frozen = y.copy()
    frozen.flags.writeable = False
    good = [flat, x, None, None, None, y, h, c]
    stack.forward(*good)
    for place, wrong in [
        (0, flat[1:]),
        (0, flat.astype("float64")),
        (1, x[:, :, 1:]),
        (1, x.astype("float64")),
        (1, x.astype(">f4")),
        (1, x[..., None]),
        (1, zeros(N, T, 2 * I)[:, :, ::2]),
        (2, np.zeros(N + 1, np.intp)),
        (2, np.zeros(N, np.int16)),
        (2, np.array([T + 1, 0, 0], np.intp)),
        (2, np.array([-1, 0, 0], np.intp)),
        (3, h[:, 1:]),
        (5, y[1:]),
        (5, frozen),
        (6, zeros(1, N, H + 1)),
        (7, zeros(1, H, 2 * N)[:, :, ::2]),
    ]:
        arguments = list(good)
        arguments[place] = wrong
        with pytest.raises(ValueError, match=r"expected|length"):
            stack.forward(*arguments)
    other = _core.Stack({**sizes, "hidden_size": H + 1, "cell": "lstm", "bias": True})
    tape = stack.forward(*good)
    with pytest.raises(ValueError, match="another stack"):
        other.backward(zeros(other.parameters), tape, x, y, None, None, None, None, None, [])
    with pytest.raises(ValueError, match="another stack"):
        other.read_tape(tape, 0, [], None, None)
    with pytest.raises(ValueError, match="grads"):
        stack.backward(flat, tape, x, y, None, None, None, None, None, [])
    with pytest.raises(TypeError):
        stack.backward(flat, None, x, y, None, None, None, None, None, [])


def test_the_core_checks_names_and_dtypes():
    for function in (
        _core.global_norm,
        lambda a: _core.scale(a, 2),
        lambda a: _core.loss(0, a, a, None, None, False, True),
    ):
        with pytest.raises(TypeError, match="float32 or float64, got int64"):
            function(np.arange(3))
    with pytest.raises(ValueError, match=r"not in tuple"):
        _core.activate("gelu", zeros(3))
    with pytest.raises(ValueError, match="instruction set"):
        _core.activate("tanh", zeros(3), "avx1024")
    with pytest.raises(ValueError, match="instruction set"):
        _core.set_isa("mmx")
    with pytest.raises(ValueError, match="at least one thread"):
        _core.set_threads(0)
    with pytest.raises(ImportError, match="no sgemm"):
        _core.load_blas({})
