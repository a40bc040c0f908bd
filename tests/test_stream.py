"""Streams, and the single step of a cell: the bits of the LSTM over whole sequences, when weights are read, the arrays
that go in and come out, and what two threads may do."""

import copy
import gc
import pickle
import sys
import threading
import tracemalloc

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest
from cases import same_bits

import clstm
from clstm import _core

DTYPES = ["float32", "float64"]


def normal(seed, dtype, *shape):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def an_lstm(I=3, H=5, L=1, dtype="float32", **options):
    lstm = clstm.LSTM(I, H, num_layers=L, dtype=dtype, rng=0, **options)
    lstm.flat_parameters[...] += normal(1, dtype, lstm.flat_parameters.size) / 8  # biases are not zero then
    return lstm


def run(stream, x):
    """The outputs of the steps of x (N, T, I), as one array (N, T, H)."""
    return np.stack([stream.step(x[:, t]).copy() for t in range(x.shape[1])], axis=1)


def same_as_lstm(stream, lstm, x, state=None):
    """Takes the steps of x from `state`, and compares outputs and state with those of the LSTM."""
    stream.reset(state)
    y, (h, c) = lstm(x, state)
    same_bits(run(stream, x), y)
    for found, expected in zip(stream.state, (h, c), strict=True):
        same_bits(found, expected)


# The bits


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize(
    ("N", "I", "H", "L"),
    [(1, 1, 1, 1), (1, 16, 16, 2), (2, 3, 17, 3), (3, 9, 8, 1), (5, 2, 33, 2), (7, 50, 65, 1), (1, 40, 290, 2)],
)
def test_steps_have_the_bits_of_the_sequence(isa, dtype, threads, N, I, H, L):
    clstm.set_num_threads(threads)
    lstm = an_lstm(I, H, L, dtype)
    x = normal(2, dtype, N, 4, I)
    state = normal(3, dtype, L, N, H), normal(4, dtype, L, N, H)
    stream = lstm.stream(N)
    same_as_lstm(stream, lstm, x)
    same_as_lstm(stream, lstm, x, state)
    same_as_lstm(stream, lstm, x, (None, state[1]))


@hypothesis.given(
    sizes=st.tuples(st.integers(1, 7), st.integers(1, 6), st.integers(1, 40), st.integers(1, 40), st.integers(1, 3)),
    dtype=st.sampled_from(DTYPES),
    bias=st.booleans(),
    cut=st.integers(0, 6),
)
def test_any_stream_has_the_bits_of_the_sequence_wherever_it_is_cut(sizes, dtype, bias, cut):
    N, T, I, H, L = sizes
    lstm = an_lstm(I, H, L, dtype, bias=bias)
    x = normal(2, dtype, N, T, I)
    same_as_lstm(lstm.stream(N), lstm, x)
    first, second = lstm.stream(N), lstm.stream(N)  # the second goes on where the first was cut
    before = [first.step(x[:, t]).copy() for t in range(min(cut, T))]
    second.state = first.state
    after = [second.step(x[:, t]).copy() for t in range(min(cut, T), T)]
    same_bits(np.stack(before + after, axis=1), lstm(x)[0])


def test_a_stream_does_not_use_a_blas():
    lstm, x = an_lstm(4, 20), normal(2, "float32", 3, 5, 4)
    expected = lstm(x)[0]
    clstm.set_backend("blas")
    same_bits(run(lstm.stream(3), x), expected)


def test_a_stream_keeps_the_settings_it_was_made_with():
    lstm, x = an_lstm(4, 20), normal(2, "float32", 3, 5, 4)
    _core.set_isa(_core.available_isas()[0])
    stream, expected = lstm.stream(3), lstm(x)[0]
    _core.set_isa(_core.available_isas()[-1])
    stream.reload()
    same_bits(run(stream, x), expected)


# When weights are read


def test_weights_are_read_when_the_stream_is_made_and_at_reload(isa):
    lstm, x = an_lstm(3, 20, 2), normal(2, "float32", 1, 6, 3)
    stream = lstm.stream()
    before, _ = lstm(x)
    lstm.parameters()["weight_hh_l1"][...] *= 2
    lstm.parameters()["bias_l0"][...] = 1
    same_bits(run(stream, x), before)
    state = stream.state
    stream.reload()
    for found, expected in zip(stream.state, state, strict=True):
        same_bits(found, expected)  # reload leaves the state alone
    same_bits(run(stream, x), lstm(x, state)[0])
    assert not np.array_equal(lstm(x)[0], before)


def test_reload_reads_the_live_parameters_also_after_the_layer_has_moved():
    lstm, x = an_lstm(), normal(2, "float32", 1, 4, 3)
    stream = lstm.stream()
    net = clstm.Network([lstm, clstm.Dense(5, 2, rng=0)])
    net.parameters()["0.weight_ih_l0"][...] += 1
    stream.reload()
    same_as_lstm(stream, net[0], x)
    net.load_parameters({name: values * 2 for name, values in net.parameters().items()})
    stream.reload()
    same_as_lstm(stream, net[0], x)


def test_a_stream_outlives_the_name_of_its_layer():
    x = normal(2, "float32", 1, 4, 3)
    stream = an_lstm().stream()
    gc.collect()
    same_as_lstm(stream, an_lstm(), x)
    stream.reload()
    same_as_lstm(stream, an_lstm(), x)


def test_streams_of_one_layer_are_independent():
    lstm, x = an_lstm(L=2), normal(2, "float32", 1, 6, 3)
    a, b = lstm.stream(), lstm.stream()
    expected = lstm(x)[0][0]
    for t in range(6):
        same_bits(a.step(x[0, t]), expected[t])
        if t % 2:
            same_bits(b.step(x[0, t // 2]), expected[t // 2])


# Arrays that go in and come out


def test_the_output_is_the_streams_own_array_until_out_is_passed():
    lstm, x = an_lstm(), normal(2, "float32", 1, 3, 3)
    stream, expected = lstm.stream(), lstm(x)[0]
    first = stream.step(x[:, 0])
    kept = first.copy()
    assert stream.step(x[:, 1]) is first
    assert not np.array_equal(first, kept)
    out = np.full((1, 5), np.nan, np.float32)
    assert stream.step(x[:, 2], out=out) is out
    same_bits(out, expected[:, 2])
    same_bits(first, expected[:, 1])


def test_a_stream_of_one_row_takes_vectors_and_matrices():
    lstm, x = an_lstm(), normal(2, "float32", 1, 4, 3)
    stream, expected = lstm.stream(), lstm(x)[0][0]
    assert stream.step(x[0, 0]).shape == (5,)
    assert stream.step(x[:, 1]).shape == (1, 5)
    out = np.empty(5, np.float32)
    assert stream.step(x[0, 2], out) is out
    same_bits(out, expected[2])
    same_bits(stream.step(x[0, 3].tolist()), expected[3])


@pytest.mark.parametrize("dtype", DTYPES)
def test_x_of_any_layout_and_real_dtype_is_taken(dtype):
    lstm = an_lstm(4, 6, dtype=dtype)
    values = np.arange(12).reshape(3, 4) % 5
    good = values.astype(dtype)
    unaligned = np.empty(good.nbytes + 1, np.uint8)[1:].view(dtype).reshape(3, 4)
    unaligned[...] = good
    variants = {
        "rows apart": np.repeat(good, 2, axis=0)[::2],
        "columns apart": np.repeat(good, 2, axis=1)[:, ::2],
        "rows backwards": good[::-1].copy()[::-1],
        "columns backwards": good[:, ::-1].copy()[:, ::-1],
        "Fortran": np.asfortranarray(good),
        "unaligned": unaligned,
        "byte-swapped": good.astype(good.dtype.newbyteorder()),
        "float16": good.astype(np.float16),
        "float64": good.astype(np.float64),
        "int8": values.astype(np.int8),
        "a list": values.tolist(),
        "a subclass": good.view(np.recarray),
    }
    read_only = good.copy()
    read_only.flags.writeable = False
    variants["read-only"] = read_only
    expected = lstm(good[:, np.newaxis])[0][:, 0]
    for name, x in variants.items():
        before = copy.deepcopy(x)
        y = lstm.stream(3).step(x)
        np.testing.assert_array_equal(y, expected, err_msg=name)
        np.testing.assert_array_equal(x, before, err_msg=name)


def test_out_may_have_rows_apart_and_be_any_array():
    lstm, x = an_lstm(), normal(2, "float32", 3, 4, 3)
    stream, expected = lstm.stream(3), lstm(x)[0]
    y = np.full((3, 4, 5), np.nan, np.float32)
    for t in range(4):
        stream.step(x[:, t], out=y[:, t])
    same_bits(y, expected)
    stream.reset()
    out = np.empty((3, 5), np.float32).view(np.recarray)
    assert stream.step(x[:, 0], out) is out
    same_bits(np.asarray(out), expected[:, 0])


@pytest.mark.parametrize("N", [1, 3])
def test_out_may_overlap_x(N):
    lstm = an_lstm(20, 20)
    twin, stream = lstm.stream(N), lstm.stream(N)
    x = normal(2, "float32", N, 20)
    expected = twin.step(x.copy()).copy()
    same_bits(stream.step(x, out=x), expected)
    memory = normal(3, "float32", N * 20 + 7)
    x, out = memory[: N * 20].reshape(N, 20), memory[7:].reshape(N, 20)
    expected = twin.step(x.copy()).copy()
    same_bits(stream.step(x, out=out), expected)


def test_an_output_may_be_the_next_input():
    lstm = an_lstm(5, 5)
    y = expected = normal(2, "float32", 1, 5)
    stream, state = lstm.stream(), None
    for _ in range(4):
        y = stream.step(y)
        expected, state = lstm(expected[:, np.newaxis], state)
        expected = expected[:, 0]
        same_bits(y, expected)


@pytest.mark.parametrize("I", [1, 4])
def test_sizes_of_one_need_no_particular_strides(I):
    lstm = an_lstm(I, 1)
    x = normal(2, "float32", 3, I)
    odd = np.lib.stride_tricks.as_strided(x, x.shape, (x.strides[0], 4 if I > 1 else 12))
    out = np.lib.stride_tricks.as_strided(np.empty((3, 2), np.float32), (3, 1), (8, 12))
    y = lstm.stream(3).step(odd, out=out)
    same_bits(y, lstm(x[:, np.newaxis])[0][:, 0])


# The state


def test_the_state_is_a_copy_and_can_be_set():
    lstm, x = an_lstm(L=2), normal(2, "float32", 2, 3, 3)
    stream = lstm.stream(2)
    assert all(not part.any() for part in stream.state)
    run(stream, x)
    h, c = stream.state
    assert h.shape == c.shape == (2, 2, 5)
    assert h.dtype == c.dtype == np.float32
    h[...] = c[...] = np.nan  # of no consequence
    assert np.isfinite(stream.state).all()
    other = normal(5, "float32", 2, 2, 2, 5)
    stream.state = other
    same_bits(np.stack(stream.state), other)
    stream.reset((other[0].astype("float64"), None))
    same_bits(stream.state[0], other[0])
    assert not stream.state[1].any()
    stream.state = None
    assert not stream.state[0].any()


def test_a_bad_state_changes_nothing():
    stream = an_lstm(L=2).stream(2)
    good = normal(5, "float32", 2, 2, 2, 5)
    stream.state = good
    for error, message, value in (
        (ValueError, r"state\[1\]: expected shape \(2, 2, 5\), got shape \(2, 1, 5\)", (good[0], good[1][:, :1])),
        (ValueError, r"state: expected a pair \(h, c\), got 1 members", (good[0],)),
        (TypeError, r"state: expected a pair \(h, c\) or None, got int", 3),
        (TypeError, r"state\[0\]: expected an array of real numbers, got dtype complex", (good[0] * 1j, None)),
    ):
        with pytest.raises(error, match=message):
            stream.reset(value)
        with pytest.raises(error, match=message):
            stream.state = value
    same_bits(np.stack(stream.state), good)


# Bad input


def refuses(error, message, function, *arguments, **options):
    with pytest.raises(error, match=message) as raised:
        function(*arguments, **options)
    assert type(raised.value) is error
    assert ": expected " in str(raised.value)
    assert ", got " in str(raised.value)


def zeros(*shape, dtype="float32"):
    return np.zeros(shape, dtype)


BAD_X = [
    (ValueError, r"shape \(2, 3\), got shape \(3,\)", zeros(3)),
    (ValueError, r"shape \(2, 3\), got shape \(1, 3\)", zeros(1, 3)),
    (ValueError, r"shape \(2, 3\), got shape \(2, 4\)", zeros(2, 4)),
    (ValueError, r"shape \(2, 3\), got shape \(2, 1, 3\)", zeros(2, 1, 3)),
    (ValueError, r"shape \(2, 3\), got shape \(0, 3\)", zeros(0, 3)),
    (ValueError, r"shape \(2, 3\), got shape \(\)", 1.5),
    (TypeError, "an array of real numbers, got dtype complex128", zeros(2, 3, dtype="complex128")),
    (TypeError, "an array of real numbers, got dtype object", None),
    (TypeError, "an array of real numbers, got dtype datetime64", zeros(2, 3, dtype="M8[s]")),
    (TypeError, "an array without a mask", np.ma.masked_array(zeros(2, 3))),
    (TypeError, "an array of real numbers, got dtype <U1", [["a"] * 3] * 2),
    (ValueError, "an array, got list that is none", [[1, 2, 3], [1]]),
]

NARROW = zeros(2, 10)[:, ::2]
FROZEN = zeros(2, 5)
FROZEN.flags.writeable = False
BAD_OUT = [
    (ValueError, r"shape \(2, 5\), got shape \(5,\)", zeros(5)),
    (ValueError, r"shape \(2, 5\), got shape \(2, 6\)", zeros(2, 6)),
    (TypeError, "an array of float32, got dtype float64", zeros(2, 5, dtype="float64")),
    (TypeError, "an array of float32, got list", [[0.0] * 5] * 2),
    (TypeError, "an array of float32, got MaskedArray", np.ma.masked_array(zeros(2, 5))),
    (ValueError, "a writeable array whose last axis is contiguous, got another one", NARROW),
    (ValueError, "a writeable array whose last axis is contiguous, got another one", FROZEN),
]


def test_bad_arrays_of_a_step_change_nothing():
    stream = an_lstm().stream(2)
    stream.step(np.ones((2, 3), np.float32))
    before = np.stack(stream.state)
    for error, message, x in BAD_X:
        refuses(error, f"x: expected {message}", stream.step, x)
    for error, message, out in BAD_OUT:
        for x in (zeros(2, 3), zeros(2, 3).tolist()):
            refuses(error, f"out: expected {message}", stream.step, x, out=out)
    same_bits(np.stack(stream.state), before)
    one = an_lstm().stream()
    refuses(ValueError, r"x: expected shape \(1, 3\) or \(3,\), got shape \(2, 3\)", one.step, zeros(2, 3))
    refuses(ValueError, r"out: expected shape \(5,\), got shape \(1, 5\)", one.step, zeros(3), out=zeros(1, 5))
    refuses(ValueError, r"out: expected shape \(1, 5\), got shape \(5,\)", one.step, zeros(1, 3), out=zeros(5))


def test_what_no_stream_can_be_made_of():
    both = clstm.LSTM(3, 5, bidirectional=True, rng=0)
    message = r"layer: expected one with bidirectional=False \(a stream cannot see the future\), got LSTM\(3, 5, bidir"
    refuses(ValueError, message, both.stream)
    refuses(TypeError, "layer: expected an LSTM, GRU or RNN, got LSTMCell", clstm.Stream, clstm.LSTMCell(3, 5, rng=0))
    refuses(ValueError, "batch: expected an int of at least 1, got 0", an_lstm().stream, 0)
    refuses(TypeError, r"batch: expected an int of at least 1, got 1.5 \(float\)", an_lstm().stream, 1.5)
    with pytest.raises(OverflowError, match="too large"):
        _core.StackStream(an_lstm()._core, an_lstm().flat_parameters, 2**55, zeros(1, 5))


def test_a_stream_tells_what_it_is_and_is_not_copied():
    stream = an_lstm(L=2).stream(4)
    assert repr(stream) == "Stream(LSTM(3, 5, num_layers=2), batch=4)"
    assert stream.batch == 4
    for function in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(TypeError, match="cannot be copied or pickled"):
            function(stream)


# Memory


def allocated(function, times):
    """The most bytes that are allocated at any time during so many calls, beyond what was there before."""
    function()
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        for _ in range(times):
            function()
        return tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("N", [1, 3])
def test_steps_allocate_nothing(N):
    """But what Python and NumPy need for a moment to hand an array over: some hundred bytes, whatever the sizes."""
    lstm = clstm.LSTM(200, 200, num_layers=2, rng=0)
    stream, x, out = lstm.stream(N), np.zeros((N, 200), np.float32), np.empty((N, 200), np.float32)
    assert allocated(lambda: stream.step(x), 50) < 300
    assert allocated(lambda: stream.step(x, out), 50) < 300
    cell = clstm.LSTMCell(200, 200, rng=0)
    state = np.zeros((N, 200), np.float32), np.zeros((N, 200), np.float32)
    assert allocated(lambda: cell(x, state, out=state), 50) < 300


def test_streams_free_their_memory():
    lstm = clstm.LSTM(100, 100, rng=0)
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        for _ in range(5):
            stream = lstm.stream()
        held = tracemalloc.get_traced_memory()[0] - before
        del stream
        gc.collect()
        left = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert 4 * 100 * 200 * 4 < held < 2 * 4 * 112 * 200 * 4
    assert left < 4000


# Threads


@pytest.mark.parametrize(("H", "N"), [(8, 1), (120, 40)], ids=["the GIL kept", "the GIL released"])
def test_two_threads_in_one_stream_are_told(H, N):
    """Whatever is refused changes nothing: repeated until it is taken, the state is that of so many steps."""
    lstm = an_lstm(4, H)
    stream = lstm.stream(N)
    x = np.ones((N, 4), np.float32)
    barrier = threading.Barrier(3)

    def until_taken(act, *arguments):
        while True:
            try:
                return act(*arguments)
            except RuntimeError as error:
                if str(error) != "another thread is working on the same stream":
                    raise

    def steps():
        out = np.empty((N, H), np.float32)
        barrier.wait()
        for k in range(50):
            until_taken(stream.step, x, out)
            if k % 10 == 0:
                until_taken(stream.reload)

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        threads = [threading.Thread(target=steps) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(before)
    alone = lstm.stream(N)
    for _ in range(3 * 50):
        alone.step(x)
    same_bits(np.stack(stream.state), np.stack(alone.state))


def test_threads_with_streams_of_their_own_may_share_a_layer():
    lstm, x = an_lstm(4, 120, 2), normal(2, "float32", 8, 30, 4)
    expected = lstm(x)[0]
    found = [None] * 4

    def steps(k):
        found[k] = run(lstm.stream(8), x)

    threads = [threading.Thread(target=steps, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for y in found:
        same_bits(y, expected)


# The single step of a cell


@pytest.mark.parametrize("backend", ["native", "blas"])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize(("N", "I", "H"), [(1, 1, 1), (3, 9, 17), (7, 40, 64), (1, 300, 300), (64, 170, 200)])
def test_a_cell_has_the_bits_of_a_sequence_of_one_step(isa, backend, dtype, threads, N, I, H):
    clstm.set_backend(backend)
    clstm.set_num_threads(threads)
    lstm = an_lstm(I, H, dtype=dtype)
    cell = clstm.LSTMCell(I, H, dtype=dtype, rng=1)
    cell.flat_parameters[...] = lstm.flat_parameters
    x, state = normal(2, dtype, N, I), (normal(3, dtype, N, H), normal(4, dtype, N, H))
    for before in (None, state, (state[0], None), (None, state[1])):
        long = None if before is None else tuple(None if part is None else part[np.newaxis] for part in before)
        _, (h, c) = lstm(x[:, np.newaxis], long)
        found = cell(x, before)
        same_bits(found[0], h[0])
        same_bits(found[1], c[0])
        y, after, _ = cell.forward(x, before)
        same_bits(y, h[0])
        same_bits(after[1], c[0])


def test_a_cell_reads_its_parameters_in_every_call():
    cell, x = clstm.LSTMCell(3, 5, rng=0), normal(2, "float32", 2, 3)
    before = cell(x)
    cell.parameters()["weight_ih"][...] *= 2
    after = cell(x)
    assert not np.array_equal(after[0], before[0])
    same_bits(after[0], cell.forward(x)[0])


@pytest.mark.parametrize("N", [1, 4])
def test_a_cell_writes_into_out(N):
    cell, x = clstm.LSTMCell(3, 20, rng=0), normal(2, "float32", N, 3)
    state = normal(3, "float32", N, 20), normal(4, "float32", N, 20)
    expected = cell(x, state)
    out = np.empty((N, 20), np.float32), np.empty((N, 20), np.float32)
    assert cell(x, state, out=out) is out
    for found, wanted in zip(out, expected, strict=True):
        same_bits(found, wanted)
    pair = [np.empty((N, 20), np.float32), np.empty((N, 20), np.float32).view(np.recarray)]
    assert cell(x.tolist(), list(state), out=pair) is pair
    for found, wanted in zip(pair, expected, strict=True):
        same_bits(np.asarray(found), wanted)


@pytest.mark.parametrize("N", [1, 4])
def test_out_of_a_cell_may_be_the_state_or_overlap_what_goes_in(N):
    cell = clstm.LSTMCell(20, 20, rng=0)
    x, h, c = (normal(seed, "float32", N, 20) for seed in (2, 3, 4))
    expected = cell(x, (h, c))

    def check(x, state, out):
        for found, wanted in zip(cell(x, state, out=out), expected, strict=True):
            same_bits(found, wanted)

    state = h.copy(), c.copy()
    check(x, state, state)
    state = h.copy(), c.copy()
    check(x, state, state[::-1])
    both = x.copy()
    check(both, (h, c), (both, np.empty_like(c)))
    memory = np.concatenate([h.ravel(), c.ravel(), np.zeros(9, np.float32)])
    size = N * 20
    parts = memory[:size].reshape(N, 20), memory[size : 2 * size].reshape(N, 20)
    check(x, parts, (memory[9 : size + 9].reshape(N, 20), memory[size + 9 :].reshape(N, 20)))


def test_bad_out_of_a_cell_changes_nothing():
    cell, x = clstm.LSTMCell(3, 5, rng=0), zeros(2, 3)
    h, c = np.ones((2, 5), np.float32), np.ones((2, 5), np.float32)
    apart = np.ones((2, 10), np.float32)[:, :5]
    for error, message, out in (
        (TypeError, r"out: expected a pair \(h, c\) or None, got int", 3),
        (ValueError, r"out: expected a pair \(h, c\), got 1 members", (h,)),
        (TypeError, r"out\[1\]: expected an array of float32, got NoneType", (h, None)),
        (TypeError, r"out\[0\]: expected an array of float32, got dtype float64", (h.astype("float64"), c)),
        (ValueError, r"out\[1\]: expected shape \(2, 5\), got shape \(1, 5\)", (h, c[:1])),
        (ValueError, r"out\[1\]: expected a contiguous, writeable array, got another one", (h, FROZEN)),
        (ValueError, r"out\[0\]: expected a contiguous, writeable array, got another one", (apart, c)),
        (ValueError, "out: expected two arrays that do not overlap, got arrays that do", (h, h)),
    ):
        refuses(error, message, cell, x, (h, c), out=out)
    assert (h == 1).all()
    assert (c == 1).all()


def test_threads_may_share_a_cell():
    """One of them finds the spare working memory, the others make their own."""
    cell = clstm.LSTMCell(60, 120, rng=0)
    xs = [normal(seed, "float32", 8, 60) for seed in range(4)]
    expected = [cell(x) for x in xs]
    wrong = []
    barrier = threading.Barrier(4)

    def steps(k):
        barrier.wait()
        for _ in range(40):
            if not all(np.array_equal(a, b) for a, b in zip(cell(xs[k]), expected[k], strict=True)):
                wrong.append(k)

    threads = [threading.Thread(target=steps, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
