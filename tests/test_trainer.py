"""The trainer: each step against a composition of the NumPy references, the loop around it, and what stops it."""

import copy
import io
import math
import pickle
import sys

import numpy as np
import pytest
import reference
import reference_training

import clstm
from clstm.callbacks import CallbackError
from clstm.losses import cross_entropy, mse
from clstm.optimizers import Optimizer

TOLERANCE = {"float32": 1e-4, "float64": 1e-10}


# The networks of these tests, and what the references make of them


def tagger(dtype="float32", **options):
    """Indices to scores of 3 classes, at each step."""
    lstm = clstm.LSTM(4, 5, dtype=dtype, rng=1, **options)
    return clstm.Network(
        [clstm.Embedding(6, 4, dtype=dtype, rng=0), lstm, clstm.Dense(lstm.output_size, 3, dtype=dtype, rng=2)]
    )


def reader(dtype="float32", mode="mean", **options):
    """Sequences of 2 features to one vector of 3."""
    lstm = clstm.LSTM(2, 5, dtype=dtype, rng=1, **options)
    return clstm.Network([lstm, clstm.Pool(mode), clstm.Dense(lstm.output_size, 3, dtype=dtype, rng=2)])


def follower(dtype="float32", rng=1):
    """Sequences of 2 features to sequences of 1."""
    return clstm.Network([clstm.LSTM(2, 5, dtype=dtype, rng=rng), clstm.Dense(5, 1, dtype=dtype, rng=rng)])


def tagger_data(rng, N=8, T=6):
    return rng.integers(6, size=(N, T)), rng.integers(3, size=(N, T))


def reader_data(rng, N=8, T=6, dtype="float32"):
    return rng.standard_normal((N, T, 2)).astype(dtype), rng.standard_normal((N, 3)).astype(dtype)


def follower_data(rng, N=8, T=6, dtype="float32"):
    return rng.standard_normal((N, T, 2)).astype(dtype), rng.standard_normal((N, T, 1)).astype(dtype)


def float64_parameters(net):
    return {name: values.astype(float) for name, values in net.parameters().items()}


def parameters_of(params, k):
    """Those of layer k, under its own names."""
    return {name.split(".", 1)[1]: values for name, values in params.items() if name.startswith(f"{k}.")}


def lstm_options(lstm):
    return {"hidden_size": lstm.hidden_size, "num_layers": lstm.num_layers, "bidirectional": lstm.bidirectional}


def reference_tagger(net, params, x, y, lengths=None, loss=reference_training.cross_entropy):
    """Loss and gradients of Embedding, LSTM, Dense."""
    embedding, dense = params["0.weight"], parameters_of(params, 2)
    embedded = reference_training.embedding_forward(x, embedding)
    h, _, tape = reference.lstm_forward(
        embedded, parameters_of(params, 1), lengths=lengths, **lstm_options(net.layers[1])
    )
    logits = reference_training.dense_forward(h, dense["weight"], dense["bias"])
    value, dy = loss(logits, y, lengths)
    dh, dweight, dbias = reference_training.dense_backward(dy, h, dense["weight"])
    dx, _, dlstm = reference.lstm_backward(tape, dh)
    grads = {"0.weight": reference_training.embedding_backward(dx, x, embedding)}
    grads |= {f"1.{name}": gradient for name, gradient in dlstm.items()}
    return value, grads | {"2.weight": dweight, "2.bias": dbias}


def reference_reader(net, params, x, y, lengths=None, loss=reference_training.mse):
    """Loss and gradients of LSTM, Pool, Dense."""
    lstm, pool, dense = net.layers[0], net.layers[1], parameters_of(params, 2)
    h, _, tape = reference.lstm_forward(x, parameters_of(params, 0), lengths=lengths, **lstm_options(lstm))
    pooling = {"mode": pool.mode, "lengths": lengths, "bidirectional": lstm.bidirectional}
    vector = reference_training.pool_forward(h, **pooling)
    value, dy = loss(reference_training.dense_forward(vector, dense["weight"], dense["bias"]), y)
    dvector, dweight, dbias = reference_training.dense_backward(dy, vector, dense["weight"])
    dh = reference_training.pool_backward(dvector, h, **pooling)
    _, _, dlstm = reference.lstm_backward(tape, dh)
    grads = {f"0.{name}": gradient for name, gradient in dlstm.items()}
    return value, grads | {"2.weight": dweight, "2.bias": dbias}


def relative_error(found, expected):
    """The largest over all names, each relative to the largest element of that name."""
    assert found.keys() == expected.keys()
    return max(np.abs(found[name] - expected[name]).max() / np.abs(expected[name]).max() for name in expected)


def trained(net):
    """A copy of the weights, to compare with."""
    return net.flat_parameters.copy()


@pytest.fixture
def threads():
    """Sets the number of threads, and sets it back."""
    before = clstm.get_num_threads()
    yield clstm.set_num_threads
    clstm.set_num_threads(before)


@pytest.fixture
def terminal(monkeypatch):
    """Puts a stderr that says it is one in place, and returns it. (In the test: pytest sets stderr before it.)"""

    class Terminal(io.StringIO):
        def isatty(self):
            return True

    def start():
        monkeypatch.setattr(sys, "stderr", Terminal())
        return sys.stderr

    return start


# One step, against the references

LENGTHS = [6, 1, 0, 4, 6, 2, 3, 5]
STACKS = {"one": {}, "two-both": {"num_layers": 2, "bidirectional": True}, "no-bias": {"bias": False}}


@pytest.mark.parametrize("lengths", [None, LENGTHS], ids=["full", "padded"])
@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("stack", STACKS.values(), ids=STACKS)
def test_gradients_of_a_tagger_are_those_of_the_reference(rng, stack, dtype, lengths):
    net, (x, y) = tagger(dtype, **stack), tagger_data(rng)
    logits, _, tape = net.forward(x, lengths=lengths)
    loss, dy = cross_entropy(logits, y, lengths)
    dx, _, grads = net.backward(tape, dy)
    expected_loss, expected = reference_tagger(net, float64_parameters(net), x, y, lengths)
    assert dx is None
    assert loss == pytest.approx(expected_loss, rel=TOLERANCE[dtype])
    assert relative_error(grads, expected) < TOLERANCE[dtype]


@pytest.mark.parametrize("lengths", [None, LENGTHS], ids=["full", "padded"])
@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("mode", ["last", "mean", "max"])
@pytest.mark.parametrize("stack", STACKS.values(), ids=STACKS)
def test_gradients_of_a_reader_are_those_of_the_reference(rng, stack, mode, dtype, lengths):
    net, (x, y) = reader(dtype, mode, **stack), reader_data(rng, dtype=dtype)
    prediction, _, tape = net.forward(x, lengths=lengths)
    loss, dy = mse(prediction, y)
    _, _, grads = net.backward(tape, dy)
    expected_loss, expected = reference_reader(net, float64_parameters(net), x.astype(float), y.astype(float), lengths)
    assert loss == pytest.approx(expected_loss, rel=TOLERANCE[dtype])
    assert relative_error(grads, expected) < TOLERANCE[dtype]


@pytest.mark.parametrize(
    ("make", "data", "compute"),
    [(tagger, tagger_data, reference_tagger), (reader, reader_data, reference_reader)],
    ids=["tagger", "reader"],
)
def test_the_composed_reference_is_the_complex_step(rng, make, data, compute):
    """Of the whole network, from its parameters to its loss: so what the two tests above compare with is true."""
    net, (x, y) = make("float64"), data(rng, N=2, T=3)
    params = float64_parameters(net)
    _, expected = compute(net, params, x, y, [3, 2])
    for name, gradient in expected.items():

        def loss(values, name=name):
            return compute(net, params | {name: values}, x, y, [3, 2])[0]

        (found,) = reference.complex_step(loss, params[name])
        np.testing.assert_allclose(found, gradient, rtol=1e-10, atol=1e-13)


OPTIMIZERS = {
    "sgd": (clstm.SGD(0.1), reference_training.sgd_step, {"lr": 0.1}),
    "nesterov": (
        clstm.SGD(0.1, momentum=0.9, nesterov=True, weight_decay=0.1),
        reference_training.sgd_step,
        {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.1},
    ),
    "adam": (clstm.Adam(0.01), reference_training.adam_step, {"lr": 0.01}),
    "adamw": (
        clstm.AdamW(0.01, weight_decay=0.1),
        reference_training.adam_step,
        {"lr": 0.01, "weight_decay": 0.1, "decoupled": True},
    ),
}


@pytest.mark.parametrize("clip_norm", [None, 0.02, 100.0])
@pytest.mark.parametrize("lengths", [None, LENGTHS], ids=["full", "padded"])
@pytest.mark.parametrize("optimizer", OPTIMIZERS.values(), ids=OPTIMIZERS)
@pytest.mark.parametrize("make", [tagger, reader], ids=["tagger", "reader"])
def test_three_steps_are_those_of_the_reference(rng, make, optimizer, lengths, clip_norm):
    net = make("float64")
    x, y = tagger_data(rng) if make is tagger else reader_data(rng, dtype="float64")
    compute = reference_tagger if make is tagger else reference_reader
    ours, step, options = optimizer
    trainer = clstm.Trainer(net, "cross_entropy" if make is tagger else "mse", ours, clip_norm=clip_norm)
    params, state, norms = float64_parameters(net), {}, []
    for _ in range(3):
        expected_loss, grads = compute(net, params, x, y, lengths)
        if clip_norm is not None:
            grads, norm = reference_training.clip_by_global_norm(grads, clip_norm)
            norms.append(norm)
        params, state = step(params, grads, state, **options)
        assert trainer.step(x, y, lengths) == pytest.approx(expected_loss, rel=1e-10)
    assert relative_error(net.parameters(), params) < 1e-9
    assert trainer.optimizer_state.step == 3
    assert all((norm > clip_norm) == (clip_norm == 0.02) for norm in norms)  # so both sides are tried


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw"])
def test_a_name_means_the_defaults_of_the_class(rng, optimizer):
    kinds = {"sgd": clstm.SGD, "adam": clstm.Adam, "adamw": clstm.AdamW}
    assert repr(clstm.Trainer(reader(), optimizer=optimizer).optimizer) == repr(kinds[optimizer]())
    assert repr(clstm.Trainer(reader(), optimizer=optimizer, learning_rate=0.5).optimizer) == repr(
        kinds[optimizer](0.5)
    )


# fit


@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("lengths", [None, LENGTHS[:7]], ids=["full", "padded"])
def test_fit_is_a_loop_over_step(rng, shuffle, lengths):
    """To the bit, with a last batch that is smaller, and the losses weighted by what they are means of."""
    (x, y), net = follower_data(rng, N=7), follower()
    twin, order = copy.deepcopy(net), np.random.default_rng(5)
    trainer = clstm.Trainer(net, clip_norm=0.3, rng=5)
    history = trainer.fit(x, y, epochs=2, batch_size=3, lengths=lengths, shuffle=shuffle)
    by_hand, losses = clstm.Trainer(twin, clip_norm=0.3), []
    lengths = None if lengths is None else np.array(lengths)
    for _ in range(2):
        rows = order.permutation(7) if shuffle else np.arange(7)
        terms, weights = [], []
        for batch in (rows[:3], rows[3:6], rows[6:]):
            longest = 6 if lengths is None else lengths[batch].max()
            some = None if lengths is None else lengths[batch]
            terms.append(by_hand.step(x[batch, :longest], y[batch, :longest], some))
            weights.append(len(batch) if some is None else some.sum())
        losses.append(np.average(terms, weights=weights))
    np.testing.assert_array_equal(net.flat_parameters, twin.flat_parameters)
    np.testing.assert_allclose(history["loss"], losses, rtol=1e-14)
    assert trainer.optimizer_state.step == 6


def test_the_history_of_an_epoch(rng):
    x, y = follower_data(rng)
    held_out = follower_data(rng, N=5)
    trainer = clstm.Trainer(follower(), learning_rate=0.05, rng=0)
    history = trainer.fit(x, y, epochs=3, batch_size=8, validation=held_out)
    assert history["epoch"] == [1, 2, 3]
    assert history["learning_rate"] == [0.05] * 3
    assert history["val_loss"][-1] == trainer.evaluate(*held_out)
    assert all(seconds > 0 for seconds in history["seconds"])
    assert {len(values) for values in history.values()} == {3}


def test_loss_and_norm_of_an_epoch_are_means_over_its_batches(rng):
    """Seen with a learning rate of 0, where all batches meet the same network. Clipping does not show."""
    x, y = follower_data(rng)
    net, norms = follower(), []
    for rows in (slice(0, 4), slice(4, 8)):
        _, dy = mse(net(x[rows]), y[rows])
        _, _, grads = net.backward(net.forward(x[rows])[2], dy)
        norms.append(math.sqrt(sum((gradient.astype(float) ** 2).sum() for gradient in grads.values())))
    trainer = clstm.Trainer(net, learning_rate=0, clip_norm=0.01)
    history = trainer.fit(x, y, epochs=2, batch_size=4, shuffle=False)
    assert history["gradient_norm"] == [pytest.approx(np.mean(norms), rel=1e-5)] * 2
    assert history["loss"] == [pytest.approx(trainer.evaluate(x, y), rel=1e-6)] * 2


def test_a_second_fit_goes_on(rng):
    """Two fits of two epochs are one of four, to the bit: weights, optimiser, generator, history."""
    x, y = follower_data(rng)
    once, twice = (clstm.Trainer(follower(), rng=3) for _ in range(2))
    whole = once.fit(x, y, epochs=4, batch_size=3)
    first = twice.fit(x, y, epochs=2, batch_size=3)
    second = twice.fit(x, y, epochs=2, batch_size=3)
    np.testing.assert_array_equal(once.net.flat_parameters, twice.net.flat_parameters)
    assert first["epoch"] == [1, 2]
    assert second["epoch"] == [1, 2, 3, 4]
    assert second["loss"] == whole["loss"]
    assert first["loss"] == whole["loss"][:2]
    assert twice.epoch == 4
    assert twice.history == second


def test_epochs_without_validation_have_nan_in_the_history(rng):
    x, y = follower_data(rng)
    trainer = clstm.Trainer(follower(), rng=3)
    trainer.fit(x, y, epochs=1)
    trainer.fit(x, y, epochs=1, validation=(x, y))
    history = trainer.fit(x, y, epochs=1)
    assert [math.isnan(value) for value in history["val_loss"]] == [True, False, True]


def test_validation_with_lengths_ignores_padding(rng):
    x, y = follower_data(rng)
    padded = x.copy(), y.copy(), LENGTHS
    for array in padded[:2]:
        array[np.arange(6) >= np.array(LENGTHS)[:, None]] = np.nan
    trainer = clstm.Trainer(follower(), rng=3)
    history = trainer.fit(x, y, epochs=1, validation=padded)
    assert history["val_loss"] == [trainer.evaluate(x, y, LENGTHS)]
    assert history["val_loss"][0] != trainer.evaluate(x, y)


def test_the_learning_rate_may_change_between_epochs(rng):
    x, y = follower_data(rng)
    rates = [0.1, 0.01, 0.0]

    def schedule(trainer, logs):
        trainer.optimizer.learning_rate = rates[min(logs["epoch"], 2)]

    trainer = clstm.Trainer(follower(), learning_rate=rates[0], rng=0)
    before_last = []
    history = trainer.fit(
        x, y, epochs=3, callbacks=[schedule, lambda trainer, logs: before_last.append(trained(trainer.net))]
    )
    assert history["learning_rate"] == rates
    np.testing.assert_array_equal(before_last[1], before_last[2])
    assert (before_last[0] != before_last[1]).any()


def test_another_optimiser_starts_anew(rng):
    x, y = follower_data(rng)
    trainer = clstm.Trainer(follower(), rng=0)
    trainer.step(x, y)
    trainer.optimizer = clstm.SGD(0.1)
    assert trainer.optimizer_state.step == 0
    loss = trainer.step(x, y)
    assert trainer.step(x, y) < loss


@pytest.mark.parametrize(
    ("make", "data"),
    [(tagger, tagger_data), (reader, reader_data), (follower, follower_data)],
    ids=["tagger", "reader", "follower"],
)
@pytest.mark.parametrize("dtype", TOLERANCE)
def test_padding_changes_no_bit(rng, make, data, dtype):
    """Neither how much there is nor what stands in it: NaN, or indices that do not exist."""
    loss = "cross_entropy" if make is tagger else "mse"
    x, y = data(rng)
    if make is not tagger:
        x, y = x.astype(dtype), y.astype(dtype)
    padding = np.arange(6) >= np.array(LENGTHS)[:, None]
    clean, dirty = make(dtype), make(dtype)
    first = clstm.Trainer(clean, loss, rng=0).fit(x, y, epochs=2, batch_size=3, lengths=LENGTHS)
    x, y = (np.concatenate([array, array], 1) if array.ndim > 1 else array for array in (x, y))
    padding = np.concatenate([padding, np.ones_like(padding)], 1)
    x[padding] = -(10**6) if make is tagger else np.nan
    if make is tagger:
        y[padding] = 10**6
    elif make is follower:
        y[padding] = np.inf
    else:
        y = y[:, :3]
    second = clstm.Trainer(dirty, loss, rng=0).fit(x, y, epochs=2, batch_size=3, lengths=LENGTHS)
    np.testing.assert_array_equal(clean.flat_parameters, dirty.flat_parameters)
    assert first["loss"] == second["loss"]


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_the_same_run_gives_the_same_bits_twice_and_with_more_threads(rng, threads, dtype):
    x = rng.integers(20, size=(70, 25))
    y, lengths = rng.integers(5, size=(70, 25)), rng.integers(1, 26, 70)
    found, histories = [], []
    for count in (1, 1, 2):
        threads(count)
        net = clstm.Network(
            [
                clstm.Embedding(20, 16, dtype=dtype, rng=0),
                clstm.LSTM(16, 32, num_layers=2, bidirectional=True, dtype=dtype, rng=1),
                clstm.Dense(64, 5, dtype=dtype, rng=2),
            ]
        )
        trainer = clstm.Trainer(net, "cross_entropy", "adamw", clip_norm=0.5, rng=4)
        history = trainer.fit(x, y, epochs=2, batch_size=32, lengths=lengths, validation=(x, y, lengths))
        found.append(trained(net))
        histories.append((history["loss"], history["val_loss"], history["gradient_norm"]))
    for weights, history in zip(found[1:], histories[1:], strict=True):
        np.testing.assert_array_equal(weights, found[0])
        assert history == histories[0]


def test_another_seed_gives_another_order(rng):
    x, y = follower_data(rng)
    runs = []
    for seed in (1, 1, np.random.default_rng(1), 2):
        trainer = clstm.Trainer(follower(), rng=seed)
        trainer.fit(x, y, epochs=1, batch_size=2)
        runs.append(trained(trainer.net))
    np.testing.assert_array_equal(runs[0], runs[1])
    np.testing.assert_array_equal(runs[0], runs[2])
    assert (runs[0] != runs[3]).any()


@pytest.mark.parametrize("kind", ["float64", "strided", "list", "read-only", "fortran", "integers"])
def test_data_of_other_layouts_and_types_are_taken(rng, kind):
    x, y = (np.round(4 * array) for array in follower_data(rng))
    expected = follower()
    clstm.Trainer(expected, rng=0).fit(x, y, epochs=1, batch_size=3)
    if kind == "float64":
        x, y = x.astype(float), y.astype(float)
    elif kind == "strided":
        x, y = np.repeat(x, 2, 0)[::2], np.repeat(y, 3, 1)[:, ::3]
    elif kind == "list":
        x, y = x.tolist(), y.tolist()
    elif kind == "read-only":
        x.flags.writeable = y.flags.writeable = False
    elif kind == "fortran":
        x, y = np.asfortranarray(x), np.asfortranarray(y)
    else:
        x, y = x.astype(np.int16), y.astype(np.int8)
    found = follower()
    clstm.Trainer(found, rng=0).fit(x, y, epochs=1, batch_size=3)
    np.testing.assert_array_equal(found.flat_parameters, expected.flat_parameters)


def test_data_stay_as_they_are(rng):
    x, y = follower_data(rng)
    before = x.copy(), y.copy()
    clstm.Trainer(follower(), clip_norm=0.1).fit(x, y, lengths=LENGTHS, shuffle=False, validation=(x, y))
    np.testing.assert_array_equal(x, before[0])
    np.testing.assert_array_equal(y, before[1])


# It learns


def test_it_learns_to_add(rng):
    """The adding problem: two of 12 numbers are marked, their sum is wanted. A constant guess reaches 1/6."""
    N, T = 1000, 12
    numbers, marks = rng.random((N, T)), np.zeros((N, T))
    marks[np.arange(N), rng.integers(0, T // 2, N)] = 1
    marks[np.arange(N), rng.integers(T // 2, T, N)] = 1
    x, y = np.stack([numbers, marks], 2), (numbers * marks).sum(1)
    net = clstm.Network([clstm.LSTM(2, 16, rng=0), clstm.Pool("last"), clstm.Dense(16, 1, rng=1)])
    trainer = clstm.Trainer(net, learning_rate=0.01, clip_norm=1.0, rng=2)
    trainer.fit(x[:900], y[:900], epochs=40)
    assert trainer.evaluate(x[900:], y[900:]) < 0.01


def test_it_learns_to_repeat_what_came_before(rng):
    """Each step asks for the symbol of two steps ago; guessing costs log 5 = 1.6."""
    x = rng.integers(5, size=(200, 15))
    y = np.roll(x, 2, axis=1)
    y[:, :2] = 0
    lengths = rng.integers(3, 16, 200)
    net = clstm.Network([clstm.Embedding(5, 8, rng=0), clstm.LSTM(8, 24, rng=1), clstm.Dense(24, 5, rng=2)])
    trainer = clstm.Trainer(net, "cross_entropy", learning_rate=0.02, rng=3)
    trainer.fit(x[:180], y[:180], epochs=12, batch_size=16, lengths=lengths[:180])
    assert trainer.evaluate(x[180:], y[180:], lengths[180:]) < 0.1


@pytest.mark.parametrize("optimizer", [clstm.SGD(0.2, momentum=0.9), clstm.AdamW(0.02)], ids=["sgd", "adamw"])
def test_it_learns_to_follow_a_wave(optimizer):
    wave = np.sin(0.4 * np.arange(400, dtype=np.float32)).reshape(10, 40, 1)
    net = clstm.Network([clstm.LSTM(1, 8, rng=0), clstm.Dense(8, 1, rng=1)])
    trainer = clstm.Trainer(net, optimizer=optimizer, clip_norm=1.0, rng=2)
    history = trainer.fit(wave[:, :-1], wave[:, 1:], epochs=60, batch_size=5)
    assert history["loss"][0] > 0.1
    assert history["loss"][-1] < 0.01


# evaluate and predict


@pytest.mark.parametrize("padded", [False, True], ids=["full", "padded"])
@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("make", [tagger, reader, follower], ids=["tagger", "reader", "follower"])
def test_batches_change_no_bit_of_evaluate_and_predict(rng, make, dtype, padded):
    data = {tagger: tagger_data, reader: reader_data, follower: follower_data}[make]
    x, y = data(rng, N=101)
    lengths = rng.integers(0, 7, 101) if padded else None
    trainer = clstm.Trainer(make(dtype), "cross_entropy" if make is tagger else "mse")
    whole = trainer.net(x, lengths=lengths)
    for batch_size in (1, 7, 32, 64, 100, 101, 1000):
        np.testing.assert_array_equal(trainer.predict(x, lengths, batch_size=batch_size), whole)
    losses = {trainer.evaluate(x, y, lengths, batch_size=size) for size in (1, 7, 32, 64, 100, 101, 1000)}
    assert len(losses) == 1
    compute = cross_entropy if make is tagger else mse
    expected, _ = compute(whole, y, None if make is reader else lengths)
    assert losses.pop() == pytest.approx(expected, rel=1e-7)


def test_evaluate_and_predict_change_nothing(rng):
    x, y = follower_data(rng)
    trainer = clstm.Trainer(follower(), rng=0)
    trainer.step(x, y)
    weights, state = trained(trainer.net), trainer.rng.bit_generator.state
    trainer.evaluate(x, y)
    trainer.predict(x)
    np.testing.assert_array_equal(trainer.net.flat_parameters, weights)
    assert trainer.rng.bit_generator.state == state
    assert trainer.optimizer_state.step == 1
    assert trainer.epoch == 0


def test_any_layer_can_be_trained(rng):
    x = rng.standard_normal((8, 6, 2)).astype(np.float32)
    for layer, y in (
        (clstm.LSTM(2, 3, rng=0), rng.standard_normal((8, 6, 3))),
        (clstm.Dense(2, 1, rng=0), rng.standard_normal((8, 6))),
    ):
        trainer = clstm.Trainer(layer, learning_rate=0.01)
        history = trainer.fit(x, y / 5, epochs=30)
        assert history["loss"][-1] < 0.9 * history["loss"][0]
        assert trainer.predict(x).shape[:2] == (8, 6)


def test_rows_without_time_can_be_trained(rng):
    x = rng.standard_normal((50, 3))
    y = x @ [1.0, -2.0, 0.5] + 0.25
    trainer = clstm.Trainer(clstm.Network([clstm.Dense(3, 1, dtype="float64", rng=0)]), learning_rate=0.1, rng=0)
    trainer.fit(x, y, epochs=200)
    assert trainer.evaluate(x, y) < 1e-6
    assert trainer.predict(x).shape == (50, 1)


# Loss and gradient that are not finite


@pytest.mark.parametrize("where", ["x", "y"])
def test_nan_in_the_data_stops_and_keeps_the_last_good_weights(rng, where):
    x, y = follower_data(rng)
    twin = follower()
    by_hand = clstm.Trainer(twin)
    for rows in (slice(0, 2), slice(2, 4)):
        by_hand.step(x[rows], y[rows])
    {"x": x, "y": y}[where][5, 3] = np.nan
    trainer = clstm.Trainer(follower(), rng=0)
    with pytest.raises(FloatingPointError, match=f"epoch 1, batch 3: the loss is nan, because {where} holds NaN"):
        trainer.fit(x, y, batch_size=2, shuffle=False)
    np.testing.assert_array_equal(trainer.net.flat_parameters, twin.flat_parameters)
    assert trainer.optimizer_state.step == 2
    for name, buffer in trainer.optimizer_state.buffers.items():
        np.testing.assert_array_equal(buffer, by_hand.optimizer_state.buffers[name])
    assert trainer.epoch == 0
    assert trainer.history["epoch"] == []


def test_padding_is_not_blamed(rng):
    x, y = reader_data(rng)
    x[0, 4:], y[5, 1] = np.nan, np.inf
    with pytest.raises(FloatingPointError, match="the loss is inf, because y holds NaN or infinities"):
        clstm.Trainer(reader()).fit(x, y, lengths=[4, 6, 6, 6, 6, 6, 6, 6])


def test_after_a_stop_training_goes_on_as_if_it_had_not_been_tried(rng):
    x, y = follower_data(rng)
    bad = x.copy()
    bad[5] = np.inf
    bad[5, 0] = np.nan
    once, again = clstm.Trainer(follower(), rng=0), clstm.Trainer(follower(), rng=0)
    once.fit(x, y, epochs=1)
    again.fit(x, y, epochs=1)
    with pytest.raises(FloatingPointError, match="epoch 2, batch 1: "):
        again.fit(bad, y, epochs=1)
    with pytest.raises(FloatingPointError, match=r"^the loss is nan"):
        again.step(bad, y)
    once.step(x, y)
    again.step(x, y)
    np.testing.assert_array_equal(once.net.flat_parameters, again.net.flat_parameters)


def test_a_gradient_that_is_not_finite_stops(rng):
    """The loss is summed in double and still finite, where the gradient leaves float32."""
    x, y = follower_data(rng)
    for value in (1e30, 3e38):
        y[3, 2] = value
        trainer = clstm.Trainer(follower())
        before = trained(trainer.net)
        with pytest.raises(FloatingPointError, match=r"the norm of the gradient is .*x and y are finite: a smaller"):
            trainer.step(x, y)
        np.testing.assert_array_equal(trainer.net.flat_parameters, before)
        assert trainer.optimizer_state.step == 0


@pytest.mark.parametrize(
    "optimizer", [clstm.SGD(1e38), clstm.SGD(1e30, momentum=0.9), clstm.Adam(3e38), clstm.AdamW(1, weight_decay=1e39)]
)
def test_a_step_that_overflows_is_undone(rng, optimizer):
    x, y = follower_data(rng)
    rate, optimizer.learning_rate = optimizer.learning_rate, 0.01 * (optimizer.learning_rate > 1)
    trainer = clstm.Trainer(follower(), optimizer=optimizer)
    trainer.step(x, y)
    before, state = trained(trainer.net), trainer.optimizer_state.copy()
    optimizer.learning_rate = rate
    with pytest.raises(FloatingPointError, match="makes a parameter infinite or NaN; this step was undone"):
        trainer.step(x, 1e12 * y)
    np.testing.assert_array_equal(trainer.net.flat_parameters, before)
    assert trainer.optimizer_state.step == state.step == 1
    for name, buffer in state.buffers.items():
        np.testing.assert_array_equal(trainer.optimizer_state.buffers[name], buffer)
    optimizer.learning_rate = 0.01
    assert optimizer.weight_decay > 1 or math.isfinite(trainer.step(x, y))


def test_training_that_diverges_ends_with_finite_weights(rng):
    x, y = follower_data(rng)
    net = clstm.Network([clstm.Dense(2, 4, rng=0), clstm.Dense(4, 1, rng=1)])
    trainer = clstm.Trainer(net, optimizer="sgd", learning_rate=1e3, rng=0)
    with pytest.raises(FloatingPointError, match=r"epoch \d+, batch 1"):
        trainer.fit(x, y, epochs=1000)
    assert np.isfinite(net.flat_parameters).all()
    assert trainer.optimizer_state.step == trainer.epoch > 1


def test_an_optimiser_of_ones_own_that_fails_is_undone(rng):
    class Failing(Optimizer):
        def update(self, weights, gradient, state):
            weights += 1
            state.step += 1
            state.buffer("junk", weights)
            raise RuntimeError("no more")

    x, y = follower_data(rng)
    trainer = clstm.Trainer(follower(), optimizer=Failing())
    before = trained(trainer.net)
    with pytest.raises(RuntimeError, match="no more"):
        trainer.fit(x, y)
    np.testing.assert_array_equal(trainer.net.flat_parameters, before)
    assert trainer.optimizer_state.step == 0
    assert not trainer.optimizer_state.buffers


def test_an_optimiser_of_ones_own_trains(rng):
    class SignDescent(Optimizer):
        def update(self, weights, gradient, state):
            weights -= 0.01 * np.sign(gradient)
            state.step += 1

    x, y = follower_data(rng)
    history = clstm.Trainer(follower(), optimizer=SignDescent(), rng=0).fit(x, y, epochs=20)
    assert history["loss"][-1] < history["loss"][0]
    assert math.isnan(history["learning_rate"][0])


# Callbacks


def test_callbacks_see_each_epoch_and_may_stop(rng):
    x, y = follower_data(rng)
    trainer, seen = clstm.Trainer(follower(), rng=0), []

    def third(trainer_, logs):
        assert trainer_ is trainer
        assert trainer.epoch == logs["epoch"]
        assert logs == {name: values[-1] for name, values in trainer.history.items()}
        return logs["epoch"] >= 3

    def collect(trainer, logs):
        seen.append(logs)

    history = trainer.fit(x, y, epochs=100, callbacks=[third, collect], validation=(x, y))
    assert history["epoch"] == [1, 2, 3]
    assert [logs["epoch"] for logs in seen] == [1, 2, 3]
    assert set(seen[0]) == {"epoch", "loss", "val_loss", "learning_rate", "gradient_norm", "seconds"}


def test_a_callback_may_change_its_logs(rng):
    x, y = follower_data(rng)
    seen = []
    callbacks = [lambda trainer, logs: logs.clear(), lambda trainer, logs: seen.append(logs["epoch"])]
    history = clstm.Trainer(follower()).fit(x, y, epochs=2, callbacks=callbacks)
    assert history["epoch"] == seen == [1, 2]


def test_an_exception_of_a_callback_names_the_epoch_and_leaves_all_consistent(rng):
    x, y = follower_data(rng)

    def second(trainer, logs):
        if logs["epoch"] == 2:
            raise KeyError("why")

    trainer, twin = clstm.Trainer(follower(), rng=0), clstm.Trainer(follower(), rng=0)
    with pytest.raises(CallbackError, match="after epoch 2, which is complete: KeyError") as caught:
        trainer.fit(x, y, epochs=5, batch_size=3, callbacks=[second])
    assert isinstance(caught.value.__cause__, KeyError)
    assert trainer.history["epoch"] == [1, 2]
    trainer.fit(x, y, epochs=2, batch_size=3)
    twin.fit(x, y, epochs=4, batch_size=3)
    np.testing.assert_array_equal(trainer.net.flat_parameters, twin.net.flat_parameters)
    assert trainer.history["loss"] == twin.history["loss"]


# The progress bar


def fit_in_nine_steps(rng, **options):
    x, y = follower_data(rng)
    return clstm.Trainer(follower(), rng=0).fit(x, y, epochs=3, batch_size=3, **options)


def test_on_a_terminal_there_is_a_bar(rng, terminal):
    screen = terminal()
    fit_in_nine_steps(rng)
    assert "epoch 3: 100%" in screen.getvalue()
    assert " 9/9 " in screen.getvalue()
    assert "loss=" in screen.getvalue()


def test_with_progress_false_there_is_none(rng, terminal):
    screen = terminal()
    fit_in_nine_steps(rng, progress=False)
    assert screen.getvalue() == ""


def test_without_tqdm_there_is_none(rng, terminal, monkeypatch):
    monkeypatch.setitem(sys.modules, "tqdm", None)  # what makes an import fail
    screen = terminal()
    assert fit_in_nine_steps(rng)["epoch"] == [1, 2, 3]
    assert screen.getvalue() == ""


def test_without_a_terminal_there_is_none(rng, monkeypatch):
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    fit_in_nine_steps(rng)
    assert stream.getvalue() == ""
    monkeypatch.setattr(sys, "stderr", None)
    assert fit_in_nine_steps(rng)["epoch"] == [1, 2, 3]


def test_the_bar_ends_its_line_when_training_fails(rng, terminal):
    x, y = follower_data(rng)
    y[5] = np.nan
    screen = terminal()
    with pytest.raises(FloatingPointError):
        clstm.Trainer(follower(), rng=0).fit(x, y, epochs=3, batch_size=3)
    assert screen.getvalue().endswith("\n")


# Bad input: named, and nothing is changed by it

X, Y = np.ones((8, 6, 2), np.float32), np.ones((8, 6, 1), np.float32)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"x": X[:, :, :1]}, ValueError, r"x: expected 2 features.*got shape \(8, 6, 1\)"),
        ({"x": X[:, 0]}, ValueError, "x: expected shape"),
        ({"x": X[:0], "y": Y[:0]}, ValueError, r"x: .*at least one row.*got shape \(0, 6, 2\)"),
        ({"x": X[:, :0], "y": Y[:, :0]}, ValueError, r"x: .*got shape \(8, 0, 2\)"),
        ({"x": X.astype(complex)}, TypeError, "x: .*real numbers.*complex"),
        ({"x": X.astype(object)}, TypeError, "x: .*real numbers.*object"),
        ({"x": X.astype(str)}, TypeError, "x: .*real numbers"),
        ({"x": [[[1.0, 2.0]], [[1.0]]]}, ValueError, "x: expected an array"),
        ({"x": 3.0}, ValueError, "x: "),
        ({"y": Y[:7]}, ValueError, r"y: expected shape \(8, 6, 1\).*got shape \(7, 6, 1\)"),
        ({"y": Y[:, 0]}, ValueError, r"y: expected shape \(8, 6, 1\)"),
        ({"y": Y.astype(complex)}, TypeError, "y: .*real numbers.*complex"),
        ({"y": np.full((8, 6, 1), "a")}, TypeError, "y: .*real numbers"),
        ({"epochs": 0}, ValueError, "epochs: .*at least 1, got 0"),
        ({"epochs": 1.5}, TypeError, "epochs: .*int"),
        ({"epochs": True}, TypeError, "epochs: .*int"),
        ({"batch_size": 0}, ValueError, "batch_size: .*at least 1, got 0"),
        ({"batch_size": -3}, ValueError, "batch_size: .*got -3"),
        ({"batch_size": "32"}, TypeError, "batch_size: .*int"),
        ({"shuffle": 1}, TypeError, "shuffle: expected True or False"),
        ({"progress": None}, TypeError, "progress: expected True or False"),
        ({"callbacks": print}, TypeError, "callbacks: expected a list or tuple"),
        ({"callbacks": [print, 3]}, TypeError, r"callbacks\[1\]: expected a Callback or a callable, got int"),
        ({"lengths": [6] * 7}, ValueError, r"lengths: expected shape \(8,\)"),
        ({"lengths": [6] * 7 + [7]}, ValueError, r"lengths: .*0 to 6, got 7 at \[7\]"),
        ({"lengths": [6] * 7 + [-1]}, ValueError, r"lengths: .*got -1 at \[7\]"),
        ({"lengths": [6.0] * 8}, TypeError, "lengths: .*integers"),
        ({"lengths": [0] * 8}, ValueError, "lengths: .*at least one valid step"),
        ({"validation": X}, TypeError, "validation: expected a tuple"),
        ({"validation": (X,)}, ValueError, "validation: .*got 1 entries"),
        ({"validation": (X, Y, None, None, None)}, ValueError, "validation: .*got 5 entries"),
        ({"validation": (X[:3], Y)}, ValueError, r"in validation: y: expected shape \(3, 6, 1\)"),
        ({"validation": (X[:, :, :1], Y)}, ValueError, "in validation: x: expected 2 features"),
        ({"validation": (X, Y.astype(str))}, TypeError, "in validation: y: "),
        ({"validation": (X, Y, [9] * 8)}, ValueError, "in validation: lengths: .*got 9"),
    ],
)
def test_bad_arguments_of_fit_are_named_and_change_nothing(change, error, message):
    trainer = clstm.Trainer(follower(), rng=0)
    weights, state = trained(trainer.net), trainer.rng.bit_generator.state
    with pytest.raises(error, match=message):
        trainer.fit(**{"x": X, "y": Y, "epochs": 1, "batch_size": 2} | change)
    np.testing.assert_array_equal(trainer.net.flat_parameters, weights)
    assert trainer.rng.bit_generator.state == state
    assert trainer.epoch == trainer.optimizer_state.step == 0


@pytest.mark.parametrize(
    ("which", "place", "value", "error", "message"),
    [
        ("y", (7, 5), 3, ValueError, r"y: expected one of 3 classes, from 0 to 2, got 3 at \[7, 5\]"),
        ("y", (7, 5), -1, ValueError, r"y: .*3 classes.*got -1 at \[7, 5\]"),
        ("x", (7, 5), 6, ValueError, r"x: .*0 to 5, got 6 at \[7, 5\]"),
        ("x", (7, 5), -1, ValueError, r"x: .*got -1 at \[7, 5\]"),
        ("y", ..., 0.5, TypeError, "y: .*integers.*float64"),
        ("x", ..., 0.5, TypeError, "x: .*integers.*float64"),
    ],
)
def test_indices_and_classes_are_checked_before_the_first_step(rng, which, place, value, error, message):
    """Though it is the last batch in which they would be met."""
    data = dict(zip("xy", tagger_data(rng), strict=True))
    if place is ...:
        data[which] = np.full((8, 6), value)
    else:
        data[which][place] = value
    trainer = clstm.Trainer(tagger(), "cross_entropy", rng=0)
    weights = trained(trainer.net)
    for call in (
        lambda: trainer.fit(**data, batch_size=1, shuffle=False),
        lambda: trainer.evaluate(**data),
        lambda: trainer.step(**data),
    ):
        with pytest.raises(error, match=message):
            call()
    np.testing.assert_array_equal(trainer.net.flat_parameters, weights)
    if place is not ...:  # in the padding it may be anything
        trainer.fit(**data, lengths=[6] * 7 + [5], epochs=1)
        assert trainer.epoch == 1


def test_lengths_where_there_is_no_time_are_refused():
    trainer = clstm.Trainer(clstm.Dense(2, 1, rng=0))
    for call in (trainer.fit, trainer.step, trainer.evaluate):
        with pytest.raises(ValueError, match=r"lengths: .*no time axis"):
            call(X[:, 0], Y[:, 0], lengths=[1] * 8)
    with pytest.raises(ValueError, match=r"lengths: .*no time axis"):
        trainer.predict(X[:, 0], lengths=[1] * 8)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_parameters_that_are_not_finite_are_named(rng, value):
    x, y = follower_data(rng)
    trainer = clstm.Trainer(follower(), rng=0)
    trainer.net.parameters()["0.weight_hh_l0"][3, 1] = value
    for call in (trainer.fit, trainer.step):
        with pytest.raises(ValueError, match=rf"0\.weight_hh_l0.*finite values, got {value} at \[3, 1\]"):
            call(x, y)
    assert trainer.optimizer_state.step == 0


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"net": "net"}, TypeError, "net: expected a Network or another Layer, got str"),
        ({"net": clstm.LSTM}, TypeError, "net: expected a Network"),
        ({"net": clstm.Pool("last")}, ValueError, "net: expected a layer with parameters"),
        ({"loss": "rmse"}, ValueError, "loss: expected one of 'mse', 'mae', .*'cross_entropy'.*, got 'rmse'"),
        ({"loss": 3}, TypeError, "loss: expected one of"),
        ({"loss": clstm.losses.MSE}, TypeError, "loss: .*got the class MSE"),
        ({"optimizer": "lion"}, ValueError, "optimizer: expected one of 'sgd', .*'ntasgd', got 'lion'"),
        ({"loss": abs}, TypeError, "function: expected a function .*got the parameters"),
        ({"optimizer": clstm.Adam}, TypeError, "optimizer: .*got the class Adam"),
        ({"optimizer": None}, TypeError, "optimizer: expected one of"),
        ({"optimizer": clstm.SGD(0.1), "learning_rate": 0.1}, ValueError, "learning_rate: expected None"),
        ({"learning_rate": math.nan}, ValueError, "learning_rate: expected a finite number.*got nan"),
        ({"learning_rate": -0.1}, ValueError, "learning_rate: .*got -0.1"),
        ({"learning_rate": "fast"}, TypeError, "learning_rate: "),
        ({"clip_norm": 0}, ValueError, "clip_norm: expected a finite number, above 0, or None, got 0"),
        ({"clip_norm": math.inf}, ValueError, "clip_norm: .*got inf"),
        ({"clip_norm": "1"}, TypeError, "clip_norm: "),
        ({"rng": -1}, ValueError, "rng: "),
        ({"rng": "seed"}, TypeError, "rng: "),
    ],
)
def test_bad_arguments_of_the_trainer_are_named(arguments, error, message):
    with pytest.raises(error, match=message):
        clstm.Trainer(**{"net": follower()} | arguments)


def test_attributes_are_checked_when_they_are_set(rng):
    trainer = clstm.Trainer(follower(), clip_norm=1)
    with pytest.raises(ValueError, match="clip_norm"):
        trainer.clip_norm = -1
    with pytest.raises(ValueError, match="optimizer"):
        trainer.optimizer = "best"
    with pytest.raises(ValueError, match="learning_rate"):
        trainer.optimizer.learning_rate = math.inf
    assert trainer.clip_norm == 1
    assert trainer.optimizer.learning_rate == 0.001
    trainer.clip_norm = None
    assert trainer.clip_norm is None


# Copies


@pytest.mark.parametrize(
    "twin_of", [copy.deepcopy, lambda trainer: pickle.loads(pickle.dumps(trainer))], ids=["deepcopy", "pickle"]
)
def test_a_copy_goes_on_in_the_same_way_and_apart(rng, twin_of):
    x, y = follower_data(rng)
    trainer = clstm.Trainer(follower(), clip_norm=0.5, rng=0)
    trainer.fit(x, y, epochs=1, batch_size=3)
    twin, before = twin_of(trainer), trained(trainer.net)
    found = twin.fit(x, y, epochs=2, batch_size=3)
    np.testing.assert_array_equal(trainer.net.flat_parameters, before)
    expected = trainer.fit(x, y, epochs=2, batch_size=3)
    np.testing.assert_array_equal(twin.net.flat_parameters, trainer.net.flat_parameters)
    assert found["loss"] == expected["loss"]
