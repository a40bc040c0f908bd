"""Objects shared by threads, tapes that threads race for, the pool, and children of fork."""

import multiprocessing
import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import clstm
from clstm import _core


def net():
    return clstm.Network(
        [clstm.LSTM(8, 48, num_layers=2, bidirectional=True, rng=0), clstm.Pool("mean"), clstm.Dense(96, 3, rng=1)]
    )


def an_x(seed=0):
    return np.random.default_rng(seed).normal(size=(24, 20, 8)).astype("float32")


def whole_step(net, x, lengths=None):
    y, _, tape = net.forward(x, lengths=lengths)
    return y, *net.backward(tape, np.ones_like(y))


def together(function, count):
    """Calls function(k) in `count` threads that start at the same moment; returns the results or exceptions."""
    barrier = threading.Barrier(count)

    def run(k):
        barrier.wait()
        try:
            return function(k)
        except ValueError as error:
            return error

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(run, range(count)))


@pytest.mark.parametrize("threads", [1, 2, 4])
def test_threads_may_share_a_network(threads):
    clstm.set_num_threads(threads)
    shared = net()
    xs = [an_x(seed) for seed in range(6)]
    lengths = np.random.default_rng(1).integers(0, 21, size=24)
    expected = [whole_step(shared, x, lengths) for x in xs]
    for found in (together(lambda k: [whole_step(shared, xs[k], lengths) for _ in range(5)], 6),):
        for results, one in zip(found, expected, strict=True):
            for result in results:
                np.testing.assert_equal(result, one)


def test_threads_may_share_a_layer_and_its_inputs():
    lstm = clstm.LSTM(8, 33, rng=0)
    x = an_x()
    expected = lstm(x), whole_step(lstm, x)
    for _ in range(3):
        for found in together(lambda k: (lstm(x), whole_step(lstm, x)), 4):
            np.testing.assert_equal(found, expected)


@pytest.mark.parametrize(
    ("make", "x"),
    [
        (lambda: clstm.LSTM(8, 16, rng=0), an_x()),
        (lambda: clstm.LSTMCell(8, 16, rng=0), an_x()[:, 0]),
        (lambda: clstm.Dense(8, 16, rng=0), an_x()),
        (lambda: clstm.Embedding(9, 16, rng=0), np.arange(8).reshape(2, 4)),
        (lambda: clstm.Pool("max"), an_x()),
        (net, an_x()),
    ],
    ids=["LSTM", "LSTMCell", "Dense", "Embedding", "Pool", "Network"],
)
def test_of_threads_that_race_for_a_tape_one_wins(make, x):
    layer = make()
    expected = whole_step(layer, x)
    for _ in range(20):
        y, _, tape = layer.forward(x)
        flat, grads = layer.zeros_like_parameters()
        dy = np.ones_like(y)
        found = together(lambda k, tape=tape, dy=dy, grads=grads: layer.backward(tape, dy, grads=grads), 4)
        winners = [result for result in found if not isinstance(result, ValueError)]
        assert len(winners) == 1
        np.testing.assert_equal(winners[0][2], expected[3])  # added once
        assert all("used up" in str(result) for result in found if isinstance(result, ValueError))
        assert flat.size == layer.flat_parameters.size


def test_settings_may_be_changed_while_others_compute():
    shared = clstm.LSTM(8, 48, num_layers=2, rng=0)
    x = an_x()
    expected = {}
    for isa in _core.available_isas():
        _core.set_isa(isa)
        expected[isa] = shared(x)[0]
    stop = threading.Event()

    def change():
        k = 0
        while not stop.is_set():
            clstm.set_num_threads(1 + k % 4)
            _core.set_isa(_core.available_isas()[k % len(expected)])
            clstm.set_backend(("auto", "native")[k % 2])
            k += 1

    changing = threading.Thread(target=change)
    changing.start()
    try:
        for _ in range(100):
            y, _ = shared(x)
            assert any((y == one).all() for one in expected.values())  # each call runs with one setting
    finally:
        stop.set()
        changing.join()


def test_the_gil_is_released_while_the_core_computes():
    lstm = clstm.LSTM(64, 256, rng=0)
    x = np.zeros((8, 80, 64), np.float32)
    clstm.set_num_threads(1)
    running, seen = threading.Event(), threading.Event()
    calls = []

    def compute():
        running.set()
        while not seen.is_set() and len(calls) < 100:
            calls.append(lstm(x))

    before = sys.getswitchinterval()
    sys.setswitchinterval(1000)  # nobody gives the GIL away unless by releasing it
    try:
        thread = threading.Thread(target=compute)
        thread.start()
        running.wait()
        seen.set()
        thread.join()
    finally:
        sys.setswitchinterval(before)
    assert len(calls) < 100


def test_the_pool_has_the_threads_it_was_told_and_starts_again():
    shared, x = net(), np.concatenate([an_x()] * 4)
    clstm.set_num_threads(1)
    _core.threads_stop()
    expected = shared(x)
    assert _core.threads_running() == 0
    clstm.set_num_threads(3)
    np.testing.assert_array_equal(shared(x), expected)
    assert 1 <= _core.threads_running() <= 2
    _core.threads_stop()
    assert _core.threads_running() == 0
    np.testing.assert_array_equal(shared(x), expected)
    assert _core.threads_running() >= 1


def test_training_has_the_same_bits_with_any_number_of_threads():
    found = []
    for threads in (1, 2, 2, 5):
        clstm.set_num_threads(threads)
        trained = net()
        trainer = clstm.Trainer(trained, loss="mse", learning_rate=0.01, rng=3)
        trainer.fit(an_x(), np.ones((24, 3)), epochs=2, batch_size=8, progress=False)
        found.append(trained.flat_parameters)
    for other in found[1:]:
        np.testing.assert_array_equal(other, found[0])


def in_child(queue, shared, x):
    queue.put((shared(x), _core.threads_running()))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_a_child_of_fork_makes_its_own_pool():
    clstm.set_num_threads(2)
    shared, x = net(), np.concatenate([an_x()] * 4)
    expected = shared(x)
    context = multiprocessing.get_context("fork")
    for _ in range(3):
        queue = context.Queue()
        child = context.Process(target=in_child, args=(queue, shared, x))
        child.start()
        y, running = queue.get(timeout=60)
        child.join(60)
        assert child.exitcode == 0
        np.testing.assert_array_equal(y, expected)
        assert running >= 1
    np.testing.assert_array_equal(shared(x), expected)
