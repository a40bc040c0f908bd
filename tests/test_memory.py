"""How many bytes calls need, as docs/explanation/memory_layout.md says, by the allocator's own count."""

import tracemalloc

import numpy as np
import pytest

import clstm
from clstm import _core

N, I, H = 4, 3, 48  # H is whole cache lines in both precisions
SMALL = 40_000  # what does not grow with T: weights, plans, Python's own objects


@pytest.fixture(autouse=True)
def one_thread_of_our_own():
    """Working memory of each thread would be counted too."""
    before = clstm.get_num_threads()
    clstm.set_num_threads(1)
    yield
    clstm.set_num_threads(before)


def peak_of(call):
    """The most bytes that are allocated at once during a call, and what it returns."""
    tracemalloc.start()
    try:
        result = call()
        return tracemalloc.get_traced_memory()[1], result
    finally:
        tracemalloc.stop()


def growth(prepare, T=400):
    """Bytes for each further step, of calls with T and with 3 T steps; `prepare(steps)` gives the call."""
    peak_of(prepare(T))  # the first of all calls makes what is made once
    (short, _), (long, _) = (peak_of(prepare(steps)) for steps in (T, 3 * T))
    return (long - short) / (2 * T)


def sequences(T, dtype, features=I):
    return np.zeros((N, T, features), dtype)


def layer(**options):
    """A new one: a layer keeps working memory for its next call."""
    return clstm.LSTM(I, H, rng=0, **options)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_training_keeps_gates_c_and_h_and_nothing_else(dtype, bidirectional):
    D, itemsize = 1 + bidirectional, np.dtype(dtype).itemsize

    def prepare(T):
        lstm, x = layer(bidirectional=bidirectional, dtype=dtype), sequences(T, dtype)
        return lambda: lstm.forward(x)

    y, tape = N * D * H * itemsize, N * D * 6 * H * itemsize
    plan = 16  # how many rows are alive, and where the step stands
    assert growth(prepare) == pytest.approx(y + tape + plan, abs=2)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_backward_of_a_layer_needs_nothing_that_grows_but_dx(dtype):
    def prepare(T):
        lstm, x, dy = layer(dtype=dtype), sequences(T, dtype), sequences(T, dtype, H)
        tape, grads = lstm.forward(x)[2], lstm.zeros_like_parameters()[1]
        return lambda: lstm.backward(tape, dy, grads=grads)

    assert growth(prepare) == pytest.approx(N * I * np.dtype(dtype).itemsize, abs=2)


@pytest.mark.parametrize("num_layers", [1, 2, 5])
def test_inference_keeps_no_tape(num_layers):
    def prepare(T):
        lstm, x = layer(num_layers=num_layers), sequences(T, "float32")
        return lambda: lstm(x)

    between = 0 if num_layers == 1 else 2 * N * H * 4
    assert growth(prepare) == pytest.approx(N * H * 4 + 16 + between, abs=2)


def test_of_short_sequences_only_their_steps_are_kept():
    x = sequences(1000, "float32")
    first, second = layer(), layer()
    full, _ = peak_of(lambda: first.forward(x))
    short, _ = peak_of(lambda: second.forward(x, lengths=[1000, 10, 10, 10]))
    assert full - short == pytest.approx(3 * 990 * 6 * H * 4, rel=0.002)


def test_the_next_call_uses_the_working_memory_of_the_last_but_not_one_that_is_far_too_large():
    x = sequences(20_000, "float32")
    between = 2 * x.shape[1] * N * H * 4  # outputs of layers, of a call with several
    lstm = layer(num_layers=2)
    large, _ = peak_of(lambda: lstm(x))
    again, _ = peak_of(lambda: lstm(x))
    assert again < large - between + SMALL
    lstm = layer(num_layers=2)
    tracemalloc.start()
    try:
        lstm(x)
        held = tracemalloc.get_traced_memory()[0]
        lstm(x[:, :10])
        assert held > between > tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()


def test_the_next_step_of_training_uses_the_tape_of_the_last():
    lstm = clstm.LSTM(I, H, rng=0)
    x, dy = sequences(1000, "float32"), sequences(1000, "float32", H)
    tape_bytes = N * 1000 * 6 * H * 4
    first, (_, _, tape) = peak_of(lambda: lstm.forward(x))
    assert first > tape_bytes
    lstm.backward(tape, dy)
    again, (_, _, tape) = peak_of(lambda: lstm.forward(x))
    assert again < first - tape_bytes + SMALL
    beside, _ = peak_of(lambda: lstm.forward(x))  # its tape is in use
    assert beside > tape_bytes


def test_a_much_shorter_sequence_does_not_hold_a_long_tape_and_inference_lets_go_of_it():
    lstm = clstm.LSTM(I, H, rng=0)
    x, dy = sequences(1000, "float32"), sequences(1000, "float32", H)
    tape_bytes = N * 1000 * 6 * H * 4
    for release in (lambda: lstm.forward(x[:, :100]), lambda: lstm(x[:, :100])):
        tracemalloc.start()
        try:
            lstm.backward(lstm.forward(x)[2], dy)
            held = tracemalloc.get_traced_memory()[0]
            release()
            assert tracemalloc.get_traced_memory()[0] < held - tape_bytes + SMALL
        finally:
            tracemalloc.stop()


def test_parameters_of_a_layer_start_a_cache_line():
    flat = clstm.LSTM(I, H, rng=0).flat_parameters
    assert _core.address(flat) % 64 == 0
