"""Long sequences: forward within a budget of memory, whose results are the bits of the usual forward and whose
gradients are those of the whole tape to the last digits; and the trainer that cuts time.

Budgets go from the least possible to one byte less than the usual tape.
"""

import pickle
import tracemalloc
from dataclasses import replace
from itertools import cycle

import numpy as np
import pytest
from cases import TOLERANCE, close, native, pad, same_bits, same_results, settings
from test_cells import LAYERS, LIMITED, OPTIONS, Case, given, members
from test_noise import EVERYTHING

import clstm
from clstm.budget import ANY_NOISE, Call
from clstm.optimizers import SGD, Optimizer

SEED = 20
ULPS = {"float64": 1e-12, "float32": 1e-4}
RAGGED = 23, 0, 5, 22, 17
KINDS = [("lstm", ()), ("lstm", (("peephole", True),)), ("gru", ()), ("rnn", ())]
# What a stack may look like: layers, both directions, from the end
SHAPES = [(1, False, False), (3, False, False), (2, False, True), (1, True, False), (3, True, False)]


def stack(kind, options, shape, **sizes):
    L, bidirectional, backwards = shape
    backwards = (("go_backwards", True),) if backwards else ()
    case = Case(kind, (*options, *backwards), N=5, T=23, I=6, H=9, L=L, bidirectional=bidirectional, seed=SEED)
    return replace(case, **sizes)


def call_of(case, layer):
    """What its memory depends on."""
    lengths = None if case.lengths is None else np.array(case.lengths, np.intp)
    return Call(layer, case.N, case.T, lengths, ANY_NOISE if layer.takes_noise else None, case.with_state)


def budgets(call):
    """Few bytes, and many."""
    least, usual = call.least(), call.usual()
    assert least < usual
    return least, (least + usual) // 2, usual - 1


def run(case, dtype, lengths=None, bptt=None, **options):
    layer, x, state, dy, dstate = case.build(dtype)
    if layer.takes_noise:
        options["noise"] = clstm.Noise(SEED, rows=np.arange(7, 7 + case.N), first_step=3)
    y, final, tape = layer.forward(x, given(state), case.lengths, **options)
    return (y, *members(final)), layer.backward(tape, dy, given(dstate), bptt=bptt)


def agree(case, dtype, memory, bptt=None):
    """Results are the same bits, gradients differ by rounding."""
    (results, gradients), (expected, wanted) = run(case, dtype, bptt=bptt, memory=memory), run(case, dtype, bptt=bptt)
    same_results(results, expected)
    (dx, dstate, grads), (wanted_dx, wanted_dstate, wanted_grads) = gradients, wanted
    close(dx, wanted_dx, ULPS[dtype])
    for found, exact in zip(members(dstate), members(wanted_dstate), strict=True):
        close(found, exact, ULPS[dtype])
    assert list(grads) == list(wanted_grads)
    for name, gradient in grads.items():
        close(gradient, wanted_grads[name], ULPS[dtype])


# Results and gradients are those of the usual tape

EVERY_OPTION = [
    stack(kind, tuple(options.items()), shape, lengths=RAGGED if k % 2 else None, with_state=k % 3 > 0, bias=k % 5 > 0)
    for k, ((kind, options), shape) in enumerate(zip(OPTIONS, cycle(SHAPES), strict=False))
]
EVERY_SHAPE = [
    stack(kind, options, shape, lengths=lengths, with_state=with_state)
    for kind, options in KINDS
    for shape in SHAPES
    for lengths, with_state in ((None, True), (RAGGED, False))
]
EVERY_NOISE = [
    stack(kind, tuple(options.items()), shape, lengths=lengths)
    for kind, options in (
        *[(kind, {name: rate}) for kind in ("lstm", "gru") for name, rate in EVERYTHING.items()],
        ("lstm", {**EVERYTHING, "peephole": True, **LIMITED}),
    )
    if kind == "lstm" or "zoneout_c" not in options
    for shape, lengths in ((SHAPES[1], RAGGED), (SHAPES[2], None), (SHAPES[4], RAGGED))
]


@pytest.mark.parametrize("case", EVERY_OPTION + EVERY_SHAPE + EVERY_NOISE, ids=str)
def test_chunks_of_time_give_what_the_tape_gives(case):
    with native():
        for memory in budgets(call_of(case, case.build("float64")[0])):
            agree(case, "float64", memory)


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("case", EVERY_SHAPE[:10], ids=str)
def test_on_every_machine(machine, case, dtype):
    memory = budgets(call_of(case, case.build(dtype)[0]))[0]
    if machine.endswith("native"):
        agree(case, dtype, memory)
        return
    found, expected = run(case, dtype, memory=memory), run(case, dtype)
    for a, b in zip(found[0] + (found[1][0],), expected[0] + (expected[1][0],), strict=True):
        close(a, b, ULPS[dtype])  # products of a BLAS depend on how many rows they have


@pytest.mark.parametrize("bptt", [1, 4, 7, 22, 100])
@pytest.mark.parametrize(
    "case",
    [
        *EVERY_SHAPE[:10],
        stack("lstm", (), SHAPES[2], lengths=(23, 16, 9, 2, 0)),  # all cut at the same times, if bptt is 7
        stack("gru", tuple(EVERYTHING.items())[:5], SHAPES[4], lengths=RAGGED),
    ],
    ids=str,
)
def test_truncation_counts_as_in_the_whole(case, bptt):
    with native():
        for memory in budgets(call_of(case, case.build("float64")[0])):
            agree(case, "float64", memory, bptt)


@pytest.mark.parametrize("case", EVERY_SHAPE[:10], ids=str)
def test_bits_do_not_depend_on_threads(case):
    case = replace(case, N=10, H=40, lengths=case.lengths and case.lengths * 2)
    results = []
    for threads in (1, 2, 3):
        with settings(backend="native", threads=threads):
            results.append(run(case, "float32", memory=call_of(case, case.build("float32")[0]).least()))
    same_results(results[0], results[1])
    same_results(results[0], results[2])


def test_rows_without_any_step():
    case = stack("lstm", (), SHAPES[0], lengths=(0,) * 5)
    layer, x, state, _, _ = case.build("float64")
    usual = call_of(case, layer).usual()
    y, final, _ = layer.forward(x, state, case.lengths, memory=usual)
    assert (y == 0).all()
    same_results(final, state)
    with pytest.raises(
        ValueError, match=f"memory: expected at least {usual} bytes for these sequences, got {usual - 1}"
    ):
        layer.forward(x, state, case.lengths, memory=usual - 1)


@pytest.mark.parametrize("shape", SHAPES)
def test_padding_in_every_row_is_never_read(shape):
    agree_with = stack("lstm", (), shape, lengths=(11, 0, 5, 2, 7))
    with native():
        agree(agree_with, "float64", call_of(agree_with, agree_with.build("float64")[0]).least())


def test_what_is_not_wanted_is_not_needed():
    """No gradient of x, none of y, gradients that are added to, an initial state that is changed after forward."""
    case = stack("lstm", (), SHAPES[3])
    layer, x, state, _, dstate = case.build("float64")
    memory = call_of(case, layer).least()
    (_, _, tape), h = layer.forward(x, state), state[0].copy()
    _, dinitial, grads = layer.backward(tape, None, dstate)
    _, _, tape = layer.forward(x, (h, state[1]), memory=memory)
    h[:] = np.nan
    sums = {name: np.ones_like(values) for name, values in grads.items()}
    dx, found, same = layer.backward(tape, None, dstate, sums, need_dx=False)
    assert dx is None
    assert same is sums
    for a, b in zip(found, dinitial, strict=True):
        close(a, b, 1e-12)
    for name, values in grads.items():
        close(sums[name] - 1, values, 1e-10)
    with pytest.raises(ValueError, match="tape: expected one that backward has not used"):
        layer.backward(tape, None, dstate)


def test_half_a_state_and_x_with_strides():
    case = stack("lstm", (), SHAPES[1])
    layer, x, state, dy, _ = case.build("float64")
    memory = call_of(case, layer).least()
    wide = np.full((5, 46, 7), np.nan)
    wide[:, ::2, :6] = x
    for options in ({}, {"memory": memory}):
        y, _, tape = layer.forward(wide[:, ::2, :6], (None, state[1]), **options)
        dx, _, _ = layer.backward(tape, dy)
        if not options:
            expected = y, dx
    same_bits(y, expected[0])
    close(dx, expected[1], 1e-12)


# The budget


@pytest.mark.parametrize("case", EVERY_SHAPE, ids=str)
def test_a_budget_is_used_and_never_exceeded(case):
    case = replace(case, T=100, lengths=case.lengths and (100, 0, 30, 99, 60))
    call = call_of(case, case.build("float32")[0])
    found = dict(call.in_chunks())
    assert call.chunks(call.usual()) == 1
    assert call.least() == min(found.values())
    for memory in (call.least(), *range(call.least(), call.usual(), call.usual() // 20)):
        count = call.chunks(memory)
        assert found[count] <= memory
        assert all(found[fewer] > memory for fewer in range(2, count))


def test_the_least_grows_with_the_root_of_time():
    """One level: borders of 2 H numbers each, and a tape of 6 H for each step of a chunk: 2 sqrt(12 T) H at least."""
    lstm = clstm.LSTM(3, 64, rng=0)
    for T in (100, 1000, 10_000):
        call = Call(lstm, 4, T, None, None, False)
        assert call.least() == pytest.approx(2 * np.sqrt(12 * T) * 4 * 64 * 4, rel=0.1)
        assert call.usual() == pytest.approx(6 * T * 4 * 64 * 4, rel=0.02)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("noise", [{}, {"recurrent_dropout": 0.3, "dropout": 0.2}], ids=str)
def test_what_is_allocated_is_what_was_counted(shape, noise):
    """From forward to backward, by the allocator's own count, beside results and working memory. That is of packed
    weights, and of two sequences between layers: of a chunk, or of all steps if both directions have to be there."""
    case = stack("lstm", tuple(noise.items()), shape, N=4, T=3000, H=48, with_state=False)
    layer, x, _, dy, _ = case.build("float32")
    call = call_of(case, layer)
    grads = layer.zeros_like_parameters()[1]
    with settings(threads=1):
        layer.backward(layer.forward(x[:, :2])[2], dy[:, :2], grads=grads)  # makes what is made once
        for memory in budgets(call)[:2]:
            layer(x[:, :2])  # lets go of the tape of the call before
            chunk = x.shape[0] * -(-3000 // call.chunks(memory)) * 48 * 4
            slack = 500_000 + 2 * (layer.num_layers > 1) * (dy.nbytes if layer.bidirectional else chunk)
            tracemalloc.start()
            try:
                y, _, tape = layer.forward(x, memory=memory)
                held = tracemalloc.get_traced_memory()[0] - y.nbytes
                tracemalloc.reset_peak()
                dx = layer.backward(tape, dy, grads=grads)[0]
                peak = tracemalloc.get_traced_memory()[1] - y.nbytes - dx.nbytes
            finally:
                tracemalloc.stop()
            assert held < memory + slack
            assert peak < memory + slack < call.usual()


def test_budgets_that_are_none():
    layer, x = clstm.GRU(2, 3, rng=0), np.zeros((4, 50, 2), np.float32)
    for wrong, error in ((0, ValueError), (-3, ValueError), (2.5, TypeError), (True, TypeError), ("1 MB", TypeError)):
        with pytest.raises(error, match="memory: expected an int of at least 1"):
            layer.forward(x, memory=wrong)
    with pytest.raises(ValueError, match=r"memory: expected at least \d+ bytes for these sequences, got 100"):
        layer.forward(x, memory=100)
    one = x[:, :1]  # time that cannot be cut
    with pytest.raises(ValueError, match=r"memory: expected at least \d+ bytes"):
        layer.forward(one, memory=1)


# In networks


def symbol_data(net, rng, N=6, T=40, symbols=5):
    """Symbols in the form of an embedding, and a gradient."""
    return rng.integers(symbols, size=(N, T)), rng.standard_normal((N, T, net.output_size))


def a_network(**options):
    """Symbols to sequences, through two recurrent layers of different kinds and a network in a network."""
    inner = clstm.Network([clstm.GRU(7, 6, dtype="float64", rng=3), clstm.Dense(6, 4, dtype="float64", rng=4)])
    layers = [
        clstm.Embedding(options.pop("symbols", 5), 8, dtype="float64", rng=0),
        clstm.LSTM(8, 7, num_layers=2, dtype="float64", rng=1, **options),
        clstm.Dense(7 * (1 + options.get("bidirectional", False)), 7, dtype="float64", rng=2),
        inner,
    ]
    return clstm.Network(layers)


def needs_of(net, shape):
    return clstm.budget.needs_of(net, shape, None, None)


@pytest.mark.parametrize("lengths", [None, (40, 0, 3, 39, 20, 11)], ids=str)
@pytest.mark.parametrize(
    "options",
    [{}, {"bidirectional": True}, {"go_backwards": True}, {"dropout": 0.3, "weight_drop": 0.2}, {"symbols": 60}],
    ids=str,
)
def test_layers_of_a_network_share_a_budget(options, lengths):
    net = a_network(**options)
    x, dy = symbol_data(net, np.random.default_rng(0), symbols=options.get("symbols", 5))
    if lengths is not None:
        x = np.where(np.arange(40) < np.reshape(lengths, (-1, 1)), x, -(10**6))
    least, usual = needs_of(net, x.shape)
    noise = {"noise": 5} if net.takes_noise else {}
    with native():
        y, final, tape = net.forward(x, lengths=lengths, **noise)
        _, _, wanted = net.backward(tape, dy)
        for memory in (least, (least + usual) // 2, usual):
            found, state, tape = net.forward(x, lengths=lengths, memory=memory, **noise)
            same_bits(found, y)
            same_results(members(state[1]), members(final[1]))
            _, _, grads = net.backward(tape, dy)
            for name, values in wanted.items():
                close(grads[name], values, 1e-12)
    with pytest.raises(
        ValueError, match=f"memory: expected at least {least} bytes for these sequences, got {least - 1}"
    ):
        net.forward(x, memory=least - 1)


@pytest.mark.parametrize("symbols", [5, 110])
def test_symbols_are_looked_up_by_chunk(symbols):
    """Few of them are multiplied as they are, of many those that a chunk has."""
    net = a_network(symbols=symbols)
    x, dy = symbol_data(net, np.random.default_rng(0), symbols=symbols)
    _, _, tape = net.forward(x, memory=needs_of(net, x.shape)[0])
    assert type(tape._saved[0][0][1]._saved[0][0]) is clstm.embedding.Vectors
    _, _, grads = net.backward(tape, dy)
    _, _, tape = net.forward(x)
    _, _, wanted = net.backward(tape, dy)
    close(grads["0.weight"], wanted["0.weight"], 1e-12)


def test_shares_are_in_proportion_to_what_can_be_used():
    net = clstm.Network([clstm.LSTM(3, 64, rng=0), clstm.Dense(64, 3, rng=0), clstm.RNN(3, 16, rng=0)])
    x = np.zeros((4, 1000, 3), np.float32)
    large, small = (needs_of(layer, x.shape) for layer in (net[0], net[2]))
    half = (sum(large) + sum(small)) // 2
    shares = clstm.budget.shares(net, x, None, [None] * 3, half)
    assert shares[1] is None
    assert abs(shares[0] - sum(large) // 2) <= 2
    assert abs(shares[2] - sum(small) // 2) <= 2
    assert sum(share for share in shares if share) <= half


def test_members_of_an_ensemble_share_a_budget():
    ensemble = clstm.Ensemble([clstm.Network([clstm.GRU(3, 4, rng=k)]) for k in range(2)])
    x = np.ones((2, 60, 3), np.float32)
    y, _, tape = ensemble.forward(x, memory=needs_of(ensemble, x.shape)[0])
    same_bits(y, ensemble.forward(x)[0])
    assert ensemble.backward(tape, np.ones_like(y))[0].shape == x.shape


def test_a_network_without_recurrence_has_no_use_for_memory():
    net = clstm.Network([clstm.Dense(3, 4, rng=0)])
    with pytest.raises(ValueError, match=r"memory: expected None, because no layer is recurrent, got Network\(\[Dense"):
        net.forward(np.ones((2, 5, 3)), memory=1000)
    with pytest.raises(ValueError, match="memory: expected None, because no layer is recurrent"):
        clstm.Trainer(net, memory=1000)


# The trainer


class Recorder(Optimizer):
    """Keeps gradients and changes nothing."""

    def __init__(self):
        self.gradients = []

    def update(self, weights, gradient, state):
        self.gradients.append(gradient.copy())


def follower(dtype="float64", **options):
    """Sequences of 2 features to sequences of 3."""
    layers = [clstm.LSTM(2, 5, num_layers=2, dtype=dtype, rng=1, **options), clstm.GRU(5, 4, dtype=dtype, rng=2)]
    return clstm.Network([*layers, clstm.Dense(4, 3, dtype=dtype, rng=3)])


def data(N=6, T=17, dtype="float64", lengths=None):
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((N, T, 2)).astype(dtype), rng.standard_normal((N, T, 3)).astype(dtype)
    return (x, y) if lengths is None else (pad(x, lengths), pad(y, lengths))


NOISY = {"dropout": 0.2, "recurrent_dropout": 0.3, "weight_drop": 0.1, "zoneout_h": 0.1}
LENGTHS = [None, (17, 0, 3, 16, 10, 1)]


@pytest.mark.parametrize("lengths", LENGTHS, ids=str)
@pytest.mark.parametrize("options", [{}, NOISY], ids=str)
def test_pieces_as_long_as_the_sequences_change_nothing(options, lengths):
    x, y = data(lengths=lengths)
    results = []
    for bptt in (None, 17, 1000):
        trainer = clstm.Trainer(follower(**options), learning_rate=0.05, clip_norm=1.0, bptt=bptt, rng=0)
        history = trainer.fit(x, y, epochs=3, batch_size=4, lengths=lengths)
        del history["seconds"]
        results.append((trainer.net.flat_parameters, history))
    for weights, history in results[1:]:
        same_bits(weights, results[0][0])
        assert history == results[0][1]


@pytest.mark.parametrize("lengths", LENGTHS, ids=str)
@pytest.mark.parametrize("options", [{}, NOISY], ids=str)
@pytest.mark.parametrize("bptt", [1, 5, 16])
def test_gradients_of_the_pieces_are_those_of_truncation(bptt, options, lengths):
    """Without updates between them; the loss of each is a mean over its own steps."""
    net, (x, y) = follower(**options), data(lengths=lengths)
    recorder = Recorder()
    trainer = clstm.Trainer(net, optimizer=recorder, bptt=bptt, rng=0)
    loss = trainer.fit(x, y, epochs=1, batch_size=6, lengths=lengths, shuffle=False)["loss"][0]
    ends = np.full(6, 17) if lengths is None else np.array(lengths)
    weights = [int(np.clip(ends - begin, 0, bptt).sum()) for begin in range(0, 17, bptt)]
    assert len(recorder.gradients) == len(weights)
    noise = {"noise": int(np.random.default_rng(0).integers(2**63))} if options else {}
    prediction, _, tape = net.forward(x, lengths=lengths, **noise)
    whole, dy = clstm.losses.mse(prediction, np.nan_to_num(y), lengths)
    assert loss == pytest.approx(whole, rel=1e-12)
    _, _, grads = net.backward(tape, dy, bptt=bptt)
    found = sum(weight * gradient for weight, gradient in zip(weights, recorder.gradients, strict=True)) / sum(weights)
    close(found, np.concatenate([values.ravel() for values in grads.values()]), 1e-12)


def test_each_piece_is_a_step_from_the_state_before_it():
    x, y = data(T=10)
    net, trained = follower(), follower()
    trainer = clstm.Trainer(trained, optimizer=SGD(0.1), bptt=4)
    loss = trainer.step(x, y)
    by_hand = clstm.Trainer(net, optimizer=SGD(0.1))
    state, losses = None, []
    for begin in (0, 4, 8):
        part = slice(begin, begin + 4)
        prediction, state, tape = net.forward(x[:, part], state)
        found, dy = clstm.losses.mse(prediction, y[:, part])
        losses.append(found * prediction.shape[1] / 10)
        _, _, grads = net.backward(tape, dy)
        flat = np.concatenate([values.ravel() for values in grads.values()])
        by_hand.optimizer.update(net.flat_parameters, flat, by_hand.optimizer_state)
    close(trained.flat_parameters, net.flat_parameters, 1e-13)
    assert loss == pytest.approx(sum(losses), rel=1e-13)


def test_symbols_and_classes_are_cut_too():
    net = clstm.Network([clstm.Embedding(5, 4, rng=0), clstm.LSTM(4, 8, rng=1), clstm.Dense(8, 5, rng=2)])
    text = np.random.default_rng(0).integers(5, size=(8, 31))
    text[:, 1::2] = text[:, :-1:2]
    trainer = clstm.Trainer(net, "cross_entropy", learning_rate=0.05, bptt=10, rng=0)
    history = trainer.fit(text[:, :-1], text[:, 1:], epochs=20, batch_size=4, validation=(text[:, :-1], text[:, 1:]))
    assert history["val_loss"][-1] < history["val_loss"][0] * 0.8
    assert trainer.optimizer_state.step == 20 * 2 * 3


@pytest.mark.parametrize("bptt", [None, 30])
@pytest.mark.parametrize("lengths", [None, (90, 0, 3, 89, 50, 1)], ids=str)
def test_training_within_a_budget(lengths, bptt):
    x, y = data(T=90, lengths=lengths)
    results = []
    for memory in (None, 60_000):
        net = follower(**NOISY)
        trainer = clstm.Trainer(net, learning_rate=0.01, memory=memory, bptt=bptt, rng=0)
        trainer.fit(x, y, epochs=2, batch_size=4, lengths=lengths)
        results.append(net.flat_parameters)
    assert needs_of(net, (4, 30 if bptt else 90))[1] > 60_000
    close(results[1], results[0], 1e-9)


def test_a_budget_too_small_is_found_before_anything_changes():
    x, y = data(T=90)
    trainer = clstm.Trainer(follower(), memory=5000, rng=0)
    before, rng = trainer.net.flat_parameters.copy(), trainer.rng.bit_generator.state
    with pytest.raises(
        ValueError, match=r"memory: expected at least \d+ bytes for batches of 4 rows with 90 steps, got 5000"
    ):
        trainer.fit(x, y, batch_size=4)
    same_bits(trainer.net.flat_parameters, before)
    assert trainer.rng.bit_generator.state == rng


def test_what_cannot_be_cut_is_refused_by_name():
    for layer, why in (
        (
            clstm.LSTM(2, 3, bidirectional=True, rng=0),
            "reads sequences from their end, got LSTM(2, 3, bidirectional=True",
        ),
        (clstm.GRU(2, 3, go_backwards=True, rng=0), "reads sequences from their end, got GRU(2, 3, go_backwards=True"),
    ):
        nets = clstm.Network([clstm.Network([layer])]), clstm.Network([clstm.LSTM(3, 3, rng=0)])
        for net in (layer, nets[0]):
            with pytest.raises(ValueError, match="bptt: expected None, because a layer") as error:
                clstm.Trainer(net, bptt=5)
            assert why in str(error.value)
    net = clstm.Network([clstm.LSTM(2, 3, rng=0), clstm.Pool("last")])
    with pytest.raises(ValueError, match=r"bptt: expected None, because a layer removes time, got Pool\('last'\)"):
        clstm.Trainer(net, bptt=5)
    with pytest.raises(ValueError, match="bptt: expected None, because a layer takes single steps, got LSTMCell"):
        clstm.Trainer(clstm.LSTMCell(2, 3, rng=0), bptt=5)
    trainer = clstm.Trainer(clstm.Network([clstm.Dense(2, 3, rng=0)]), bptt=5)
    with pytest.raises(ValueError, match="bptt: expected None, because x has no time axis, got 5"):
        trainer.fit(np.ones((4, 2)), np.ones((4, 3)))
    for name in ("bptt", "memory"):
        trainer = clstm.Trainer(follower())
        for wrong, error in ((0, ValueError), (2.5, TypeError), (True, TypeError), ("5", TypeError)):
            with pytest.raises(error, match=f"{name}: expected an int of at least 1"):
                setattr(trainer, name, wrong)
        assert getattr(trainer, name) is None
    assert repr(clstm.Trainer(clstm.GRU(2, 3, rng=0), bptt=7, memory=10**6)).endswith(", bptt=7, memory=1000000)")


def test_a_piece_that_is_not_finite_is_named():
    x, y = data(dtype="float64")
    x = x.copy()
    x[2, 12] = np.nan
    trainer = clstm.Trainer(follower(), bptt=5, rng=0)
    with pytest.raises(FloatingPointError, match="epoch 1, batch 1: piece from step 10 on: the loss is nan, because x"):
        trainer.fit(x, y, batch_size=6)
    assert trainer.optimizer_state.step == 2


def test_a_copy_of_a_trainer_goes_on_in_pieces():
    x, y = data()
    first = clstm.Trainer(follower(**NOISY), bptt=5, memory=10**5, rng=0)
    first.fit(x, y, epochs=1, batch_size=4)
    second = pickle.loads(pickle.dumps(first))
    for trainer in (first, second):
        trainer.fit(x, y, epochs=2, batch_size=4)
    assert (second.bptt, second.memory, second.optimizer_state.step) == (5, 10**5, 3 * 2 * 4)
    same_bits(second.net.flat_parameters, first.net.flat_parameters)


@pytest.mark.parametrize("kind", LAYERS)
def test_a_layer_alone_is_trained_in_pieces(kind):
    layer, x = LAYERS[kind](2, 3, dtype="float64", rng=0), data()[0]
    trainer = clstm.Trainer(layer, bptt=5, memory=5000, rng=0)
    history = trainer.fit(x, np.zeros((6, 17, 3)), epochs=3)
    assert history["loss"][-1] < history["loss"][0]
