"""Masks of any shape, resets and lists of sequences, against the simplest that can be said of them: each piece alone
through the same layer."""

import tracemalloc
from copy import copy
from functools import partial

import numpy as np
import pytest
from cases import TOLERANCE, close, native, normal, read_only, same_bits, same_results, settings
from hypothesis import given
from hypothesis import strategies as st

import clstm

KINDS = {"lstm": clstm.LSTM, "gru": clstm.GRU, "rnn": clstm.RNN}
WAYS = {
    "forward": {},
    "backwards": {"go_backwards": True},
    "both": {"bidirectional": True},
    "two": {"bidirectional": True, "num_layers": 2},
}
N, T, I, H = 6, 9, 5, 9


def build(kind="lstm", way="forward", dtype="float64", **options):
    return KINDS[kind](I, H, dtype=dtype, rng=3, **WAYS[way], **options)


def members(state):
    """The arrays of a state."""
    return state if isinstance(state, tuple) else (state,)


def like(layer, arrays):
    """A state of these arrays."""
    return tuple(arrays) if isinstance(layer, clstm.LSTM) else arrays[0]


def random_state(layer, rng, rows=N):
    return like(layer, [normal(rng, layer.dtype, *shape) for shape in layer._state_shapes(layer._states, rows)])


def reverse(layer):
    """Which members of the first axis of a state go backward in time."""
    back = np.zeros(layer._states, bool)
    back[1::2] = layer.bidirectional
    return back | layer.go_backwards


def pieces_of(valid, resets):
    """For each row: the times of its pieces, and whether a reset stands before the first valid step."""
    rows = []
    for n in range(len(valid)):
        pieces, pending, fresh = [], False, False
        for t in range(valid.shape[1]):
            pending |= bool(resets[n, t])
            if not valid[n, t]:
                continue
            if not pieces:
                fresh = pending
            if pending or not pieces:
                pieces.append([])
            pieces[-1].append(t)
            pending = False
        rows.append((pieces, fresh))
    return rows


class Alone:
    """What comes out if each piece runs alone; `initial`, of one row, is where a piece starts that no state is given,
    and `dinitial` the gradient of that."""

    def __init__(self, layer, x, valid, resets, state, dy, dstate, noise=None, bptt=None, initial=(0, 0)):
        back = reverse(layer)
        D = layer.output_size
        self.y, self.dx = np.zeros((*valid.shape, D), layer.dtype), np.zeros(x.shape, layer.dtype)
        self.grads = layer.zeros_like_parameters()[1]
        given, dfinal = members(state), members(dstate)
        final, dgiven = [a.copy() for a in given], [a.copy() for a in dfinal]  # as of a row without steps
        self.dinitial = [np.zeros((len(a), a.shape[2])) for a in given]
        for n, (pieces, fresh) in enumerate(pieces_of(valid, resets)):
            for array in dgiven if pieces else ():
                array[:, n] = 0
            for p, times in enumerate(pieces):
                enters = np.where(back, p == len(pieces) - 1, p == 0 and not fresh)
                leaves = np.where(back, p == 0, p == len(pieces) - 1)
                start = [
                    np.where(enters[:, None, None], a[:, n : n + 1], other).astype(a.dtype)
                    for a, other in zip(given, initial, strict=False)
                ]
                end = [np.where(leaves[:, None, None], a[:, n : n + 1], 0).astype(a.dtype) for a in dfinal]
                own = {} if noise is None else {"noise": clstm.Noise(noise, rows=[n], first_step=times[0])}
                y, after, tape = layer.forward(x[n : n + 1, times], like(layer, start), **own)
                dx, dstart, _ = layer.backward(tape, dy[n : n + 1, times], like(layer, end), self.grads, bptt=bptt)
                self.y[n, times], self.dx[n, times] = y[0], dx[0]
                for k in range(len(given)):
                    final[k][leaves, n] = members(after)[k][leaves, 0]
                    dgiven[k][enters, n] = members(dstart)[k][enters, 0]
                    self.dinitial[k][~enters] += members(dstart)[k][~enters, 0]
        self.state, self.dstate = like(layer, final), like(layer, dgiven)


def holes(rng):
    valid = rng.random((N, T)) < 0.6
    valid[1], valid[2, 3:] = False, False
    return valid


def left(rng):
    return np.arange(T) >= np.array([0, T, 3, 1, 8, 5])[:, None]


def everything(rng):
    return np.ones((N, T), bool)


def some_resets(rng):
    resets = rng.random((N, T)) < 0.3
    resets[0, 0] = resets[2, 3] = True
    resets[3] = True
    return resets


def none(rng):
    return np.zeros((N, T), bool)


FORMS = {
    "holes": (holes, none),
    "left": (left, none),
    "resets": (everything, some_resets),
    "holes-resets": (holes, some_resets),
    "left-resets": (left, some_resets),
}


def problem(rng, layer, form):
    """Everything that a call takes; NaN where nothing is valid."""
    valid, resets = (make(rng) for make in FORMS[form])
    x, dy = normal(rng, layer.dtype, N, T, I), normal(rng, layer.dtype, N, T, layer.output_size)
    x, dy = (read_only(np.where(valid[..., None], a, np.nan).astype(layer.dtype)) for a in (x, dy))
    return x, valid, resets, random_state(layer, rng), dy, random_state(layer, rng)


def compare(layer, found, alone, same=same_bits):
    """The results of forward and backward with those of pieces alone."""
    y, state, dx, dstate, grads = found
    same(y, alone.y)
    same(dx, alone.dx)
    for a, b in zip(members(state) + members(dstate), members(alone.state) + members(alone.dstate), strict=True):
        same(a, b)
    for name, gradient in grads.items():
        close(gradient, alone.grads[name], 1e-12 if layer.dtype == np.float64 else 1e-5)


def run(layer, x, state, dy, dstate, bptt=None, **options):
    y, after, tape = layer.forward(x, state, **options)
    dx, dstart, grads = layer.backward(tape, dy, dstate, bptt=bptt)
    return y, after, dx, dstart, grads


# Masks and resets of one layer


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", KINDS)
def test_pieces_are_sequences_of_their_own(kind, way, form, dtype, rng):
    layer = build(kind, way, dtype)
    x, valid, resets, state, dy, dstate = problem(rng, layer, form)
    with native():
        found = run(layer, x, state, dy, dstate, mask=valid, resets=resets)
        compare(layer, found, Alone(layer, x, valid, resets, state, dy, dstate))
        y, after = layer.infer(x, state, mask=valid, resets=resets)
    same_results((y, after), found[:2])


@pytest.mark.parametrize("form", ["holes-resets", "left"])
def test_on_every_machine(machine, form, rng):
    layer = build("lstm", "two", peephole=True)
    x, valid, resets, state, dy, dstate = problem(rng, layer, form)
    found = run(layer, x, state, dy, dstate, mask=valid, resets=resets)
    compare(layer, found, Alone(layer, x, valid, resets, state, dy, dstate), lambda a, b: close(a, b, 1e-12))


def test_no_state_is_zeros(rng):
    layer = build("gru", "both")
    x, valid, resets, state, dy, _ = problem(rng, layer, "holes-resets")
    zeros = np.zeros_like(state)
    same_results(
        run(layer, x, None, dy, None, mask=valid, resets=resets),
        run(layer, x, zeros, dy, zeros, mask=valid, resets=resets),
    )


def test_resets_with_lengths(rng):
    layer = build("lstm", "both")
    x, _, resets, state, dy, dstate = problem(rng, layer, "resets")
    lengths = np.array([T, 0, 1, 4, 7, T])
    valid = np.arange(T) < lengths[:, None]
    x, dy = (np.where(valid[..., None], a, np.nan) for a in (x, dy))
    found = run(layer, x, state, dy, dstate, lengths=lengths, resets=resets)
    compare(layer, found, Alone(layer, x, valid, resets, state, dy, dstate))


def test_a_mask_that_is_lengths_becomes_lengths(rng):
    layer = build("lstm", "two")
    x, _, _, state, dy, dstate = problem(rng, layer, "resets")
    lengths = np.array([T, 0, 1, 4, 7, T])
    mask = np.arange(T) < lengths[:, None]
    tape = layer.forward(x, mask=mask, resets=np.zeros((N, T), bool))[2]
    np.testing.assert_array_equal(tape.look(layer).steps, lengths)
    assert layer.forward(x, mask=np.ones((N, T), bool))[2].look(layer).steps is None
    same_results(
        run(layer, x, state, dy, dstate, mask=mask.tolist()), run(layer, x, state, dy, dstate, lengths=lengths)
    )


def test_a_reset_at_the_first_step_shuts_out_the_given_state(rng):
    x, flag = normal(rng, "float64", 1, T, I), np.zeros((1, T), bool)
    flag[0, 0] = True
    for way, shut in (("forward", True), ("backwards", False)):
        layer = build("gru", way)
        state = random_state(layer, rng, 1)
        y, after, tape = layer.forward(x, state, resets=flag)
        same_results((y, after), layer(x, None if shut else state))
        assert (layer.backward(tape, np.ones_like(y))[1] == 0).all() == shut


def test_bptt_counts_from_each_reset(rng):
    layer = build("lstm", "both")
    x, valid, resets, state, dy, dstate = problem(rng, layer, "holes-resets")
    alone = Alone(layer, x, valid, resets, state, dy, dstate, bptt=2)
    compare(layer, run(layer, x, state, dy, dstate, bptt=2, mask=valid, resets=resets), alone)


def test_results_do_not_depend_on_threads(rng):
    layer = clstm.LSTM(40, 70, num_layers=2, bidirectional=True, rng=0)
    x = normal(rng, "float32", 40, 60, 40)
    mask, resets = rng.random((2, 40, 60)) < np.array([0.8, 0.1])[:, None, None]
    results = []
    for threads in (1, 3):
        with settings(threads=threads):
            y, state, tape = layer.forward(x, mask=mask, resets=resets)
            results.append((y, state, *layer.backward(tape, np.ones_like(y))))
    same_results(*results)


@given(seed=st.integers(0, 10**6), cut=st.integers(1, T - 1))
def test_time_can_be_cut_anywhere(seed, cut):
    """With the state carried on, also where nothing is valid on one side, or a reset stands at the cut."""
    rng = np.random.default_rng(seed)
    layer = build()
    x, mask, resets = normal(rng, "float64", N, T, I), rng.random((N, T)) < 0.5, rng.random((N, T)) < 0.2
    resets &= mask  # the flag of a skipped step counts for the next valid one, which a cut may take away
    y, state = layer(x, mask=mask, resets=resets)
    first, carried = layer(x[:, :cut], mask=mask[:, :cut], resets=resets[:, :cut])
    second, last = layer(x[:, cut:], carried, mask=mask[:, cut:], resets=resets[:, cut:])
    same_results((np.concatenate([first, second], axis=1), last), (y, state))


def test_any_strides(rng):
    layer = build("gru", "both")
    x, valid, resets, state, dy, dstate = problem(rng, layer, "holes-resets")
    expected = run(layer, x, state, dy, dstate, mask=valid, resets=resets)
    turned, wide = np.ascontiguousarray(x.swapaxes(0, 1)).swapaxes(0, 1), np.repeat(x, 2, axis=1)[:, ::2]
    for other in (turned, wide):
        with_flags = {"mask": np.asfortranarray(valid), "resets": resets[::-1][::-1]}
        same_results(run(layer, other, state, dy, dstate, **with_flags), expected)


# Noise

NOISE = {"dropout": 0.3, "recurrent_dropout": 0.4, "zoneout_h": 0.2, "input_dropout": 0.2, "input_noise": 0.5}


@pytest.mark.parametrize("form", ["resets", "left", "left-resets"])
@pytest.mark.parametrize("way", WAYS)
def test_masks_of_noise_are_those_of_row_and_time(way, form, rng):
    layer = build("lstm", way, weight_drop=0.3, zoneout_c=0.3, **NOISE)
    x, valid, resets, state, dy, dstate = problem(rng, layer, form)
    found = run(layer, x, state, dy, dstate, mask=valid, resets=resets, noise=7)
    compare(layer, found, Alone(layer, x, valid, resets, state, dy, dstate, noise=7))


def test_noise_with_holes(rng):
    """Step by step, each with the noise of its time."""
    layer = build("gru", **NOISE)
    x, valid, resets, state, _, _ = problem(rng, layer, "holes-resets")
    y, after, _ = layer.forward(x, state, mask=valid, resets=resets, noise=clstm.Noise(7, rows=range(9, 9 + N)))
    for n, (pieces, fresh) in enumerate(pieces_of(valid, resets)):
        h = state[:, n : n + 1]
        for p, times in enumerate(pieces):
            h = np.zeros_like(h) if p or fresh else h
            for t in times:
                noise = clstm.Noise(7, rows=[9 + n], first_step=t)
                y_t, h, _ = layer.forward(x[n : n + 1, [t]], h, noise=noise)
                same_bits(y[n, t], y_t[0, 0])
        same_bits(after[:, n], h[:, 0])


def test_noise_of_lists_and_of_networks_is_that_of_arrays(rng):
    layer = build("lstm", "two", **NOISE)
    x, valid, resets, state, dy, dstate = problem(rng, layer, "holes-resets")
    first = clstm.Noise(7).for_layer(0)
    y, after, dx, dstart, _ = run(layer, x, state, dy, dstate, mask=valid, resets=resets, noise=first)
    net = clstm.Network([layer])
    found = run(net, x, [state], dy, [dstate], mask=valid, resets=resets, noise=7)
    same_results((found[0], found[1][0], found[2], found[3][0]), (y, after, dx, dstart))
    lengths = [4, 0, T, 1, 7, 2]
    x = np.nan_to_num(x)
    parts = [x[n, :length] for n, length in enumerate(lengths)]
    y = layer.forward(x, lengths=lengths, noise=7)[0]
    for n, part in enumerate(layer.forward(parts, noise=7)[0]):
        same_bits(part, y[n, : lengths[n]])


# Lists

LENGTHS = [4, 0, T, 1, T, 5]


def as_list(array):
    return [array[n, :length] for n, length in enumerate(LENGTHS)]


def padded(parts):
    found = np.zeros((N, T, parts[0].shape[-1]), parts[0].dtype)
    for n, part in enumerate(parts):
        found[n, : len(part)] = part
    return found


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", KINDS)
def test_lists_are_arrays_with_lengths(kind, way, dtype, rng):
    layer = build(kind, way, dtype)
    x, _, resets, state, dy, dstate = problem(rng, layer, "resets")
    for flags in (None, resets):
        own = {} if flags is None else {"resets": as_list(flags)}
        expected = run(layer, x, state, dy, dstate, lengths=LENGTHS, resets=flags)
        y, after, dx, dstart, grads = run(layer, as_list(x), state, as_list(dy), dstate, **own)
        assert [part.shape for part in y] == [(length, layer.output_size) for length in LENGTHS]
        assert [part.shape for part in dx] == [(length, I) for length in LENGTHS]
        same_results((padded(y), after, padded(dx), dstart), expected[:4])
        same_results(tuple(map(padded, [run(layer, tuple(as_list(x)), state, dy, dstate, **own)[2]])), (padded(dx),))
        for name, gradient in grads.items():
            close(gradient, expected[4][name], 1e-12 if dtype == "float64" else 1e-5)
        same_results(tuple(layer(as_list(x), state, **own)[0]), tuple(y))


def test_lists_of_nothing(rng):
    layer = build("lstm", "both")
    state, dstate = random_state(layer, rng, 2), random_state(layer, rng, 2)
    x = [np.zeros((0, I))] * 2
    y, after, tape = layer.forward(x, state, resets=[np.zeros(0, bool)] * 2)
    same_results(after, state)
    assert [part.shape for part in y] == [(0, 2 * H)] * 2
    dx, dstart, grads = layer.backward(tape, y, dstate)
    same_results(dstart, dstate)
    assert [part.shape for part in dx] == [(0, I)] * 2
    assert not any(gradient.any() for gradient in grads.values())


def test_nested_lists_of_numbers_are_one_array(rng):
    layer = build()
    x = normal(rng, "float64", 2, 3, I)
    same_results(layer(x.tolist()), layer(x))


def test_memory_is_that_of_the_valid_steps():
    """One long sequence among many short ones: padded, they would take 60 times as much."""
    layer = clstm.GRU(8, 16, rng=0)
    x = [np.ones((4000, 8), np.float32), *[np.ones((10, 8), np.float32)] * 250]
    net = clstm.Network([layer, clstm.Dense(16, 8, rng=0)])
    step = 4 * (8 + 6 * 16)  # bytes of x, tape and y for one of the 6500 steps
    for run_it in (lambda: layer.forward(x), lambda: net.forward(x)):
        run_it()
        tracemalloc.start()
        try:
            kept = run_it()
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert peak < 5 * 6500 * step, f"{peak / 6500 / step} times the steps"
        del kept


# Traces


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("form", FORMS)
def test_traces(kind, form, rng):
    layer = build(kind, "two")
    x, valid, resets, state, _, _ = problem(rng, layer, form)
    trace = layer.trace(x, state, mask=valid, resets=resets)
    y = layer(x, state, mask=valid, resets=resets)[0]
    same_bits(trace[2].h, y[..., :H])
    same_bits(trace[3].h, y[..., H:])
    for n, (pieces, fresh) in enumerate(pieces_of(valid, resets)):
        if pieces and fresh:  # of the first layer and direction, which sees no more than that
            alone = layer.trace(x[n : n + 1, pieces[0]])
            for name in trace:
                same_bits(getattr(trace[0], name)[n, pieces[0]], getattr(alone[0], name)[0])
    gates = [name for name in trace if name not in "hc"]
    for name in gates:
        assert not getattr(trace, name)[:, ~valid].any()
        np.testing.assert_allclose(
            trace.saturation(name, high=-2)[1], np.ones((4, H))
        )  # of the valid steps, all are larger


def test_traces_of_lists_are_padded(rng):
    layer = build("lstm", "both")
    x, _, resets, state, _, _ = problem(rng, layer, "resets")
    found, expected = (
        layer.trace(as_list(x), state, resets=as_list(resets)),
        layer.trace(x, state, lengths=LENGTHS, resets=resets),
    )
    for name in expected:
        same_bits(getattr(found, name), getattr(expected, name))
    same_results(tuple(found.saturation("f")), tuple(expected.saturation("f")))


# Networks


def networks():
    """Every layer that has a say in which steps are valid."""
    pools = [[clstm.Pool(mode)] for mode in ("last", "mean", "max")]
    tails = [[], [clstm.Dense(2 * H, 4, dtype="float64", rng=1)], *pools]
    for tail in tails:
        yield clstm.Network([build("lstm", "both"), *tail])
        vectors = [clstm.Embedding(7, I, dtype="float64", rng=2), build("gru", "both")]
        yield clstm.Network([*vectors, *map(copy, tail)])
    yield clstm.Network([build(), clstm.Network([clstm.Dense(H, I, dtype="float64", rng=1), build("rnn")])])
    yield clstm.Network([build("rnn", "backwards"), clstm.Pool("last"), clstm.Dense(H, 2, dtype="float64", rng=1)])
    yield clstm.Ensemble([clstm.Network([build("gru", "both"), clstm.Pool("last")]) for _ in range(2)])
    yield clstm.Network([clstm.Embedding(70, I, dtype="float64", rng=2), clstm.Dense(I, 3, dtype="float64", rng=2)])


def network_input(net, rng):
    return rng.integers(0, 7, (N, T)) if net.takes_indices else normal(rng, "float64", N, T, I)


@pytest.mark.parametrize("k", range(14))
def test_networks_skip_what_a_mask_skips(k, rng):
    """Against rows that are pushed together, with lengths."""
    net = list(networks())[k]
    x, mask = network_input(net, rng), holes(rng)
    lengths = mask.sum(axis=1)
    together, dy_together = np.zeros_like(x), None
    for n in range(N):
        together[n, : lengths[n]] = x[n, mask[n]]
    x = np.where(mask if net.takes_indices else mask[..., None], x, 99 if net.takes_indices else np.nan)
    expected, states, tape_together = net.forward(together, lengths=lengths)
    y, after, tape = net.forward(x, mask=mask)
    same_results(tuple(_flatten(after)), tuple(_flatten(states)))
    dy = normal(rng, "float64", *y.shape)
    dy_together = dy
    if not net.removes_time:
        dy_together = np.zeros_like(dy)
        for n in range(N):
            same_bits(y[n, mask[n]], expected[n, : lengths[n]])
            dy_together[n, : lengths[n]] = dy[n, mask[n]]
        assert not y[~mask].any()
        dy = np.where(mask[..., None], dy, np.nan)
    else:
        same_bits(y, expected)
    dx, _, grads = net.backward(tape, dy)
    dx_together, _, grads_together = net.backward(tape_together, dy_together)
    for name in grads:
        close(grads[name], grads_together[name], 1e-12)
    if dx is not None:
        assert not dx[~mask].any()
        for n in range(N):
            close(dx[n, mask[n]], dx_together[n, : lengths[n]], 1e-12) if lengths[n] else None
    same_results((net(x, mask=mask),), (y,))


def _flatten(states):
    for state in states:
        if isinstance(state, (list, tuple)):
            yield from _flatten(state)
        elif state is not None:
            yield state


@pytest.mark.parametrize("k", range(14))
def test_networks_take_lists(k, rng):
    net = list(networks())[k]
    x = network_input(net, rng)
    expected, _, tape_padded = net.forward(x, lengths=LENGTHS)
    y, _, tape = net.forward(as_list(x))
    dy = normal(rng, "float64", *expected.shape)
    if net.removes_time:
        same_bits(y, expected)
    else:
        assert [len(part) for part in y] == LENGTHS
        same_bits(padded(y), expected)
    dx, _, grads = net.backward(tape, dy if net.removes_time else as_list(dy))
    dx_padded, _, grads_padded = net.backward(tape_padded, dy)
    for name in grads:
        close(grads[name], grads_padded[name], 1e-12)
    if dx is not None:
        close(padded(dx), dx_padded, 1e-12)
    same_results(
        (net(as_list(x)),) if net.removes_time else tuple(net(as_list(x))), (y,) if net.removes_time else tuple(y)
    )


def test_networks_hand_resets_on(rng):
    layers = build("lstm", "both"), clstm.GRU(2 * H, H, dtype="float64", rng=5)
    x, mask, resets = normal(rng, "float64", N, T, I), holes(rng), some_resets(rng)
    for own in ({"mask": mask}, {}, {"lengths": LENGTHS}):
        middle, first = layers[0](x, resets=resets, **own)
        expected = layers[1](middle, resets=resets, **own)
        y, states = clstm.Network(map(copy, layers)).infer(x, resets=resets, **own)
        same_results((y, states[0], states[1]), (expected[0], first, expected[1]))


class Square(clstm.Layer):
    """A layer that knows nothing but lengths."""

    def forward(self, x, state=None, lengths=None):
        assert np.isfinite(x).all()
        assert lengths is None or x.shape[1] == max(lengths.max(), 1)
        return x * x, None, clstm.Tape(self, x)

    def backward(self, tape, dy, dstate=None, grads=None, need_dx=True):
        return 2 * tape.take() * dy, None, {}


class Carrying(Square):
    axes = "sequence"


def test_layers_of_others_get_lengths(rng):
    plain, net = build("gru"), clstm.Network([Square(), build("gru"), Square()])
    x, mask = normal(rng, "float64", N, T, I), holes(rng)
    x = np.where(mask[..., None], x, np.nan)
    dy = np.where(mask[..., None], normal(rng, "float64", N, T, H), np.nan)
    h, _, tape = plain.forward(x * x, mask=mask)
    y, _, net_tape = net.forward(x, mask=mask, resets=np.zeros((N, T), bool))
    close(y, h * h, 1e-15)
    dx = plain.backward(tape, 2 * h * dy)[0]
    close(net.backward(net_tape, dy)[0], np.where(mask[..., None], 2 * x * dx, 0), 1e-14)


# Streams


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("rows", [1, 3])
def test_streams_reset_rows(kind, rows, rng):
    layer = KINDS[kind](I, H, num_layers=2, rng=0)
    x, resets = normal(rng, "float32", rows, T, I), rng.random((rows, T)) < 0.4
    state = random_state(layer, rng, rows)
    y, after = layer(x, state, resets=resets)
    stream = layer.stream(rows)
    stream.state = state
    out = np.empty((rows, H), np.float32)
    for t in range(T):
        options = {"reset": resets[:, t], **({"out": out} if t % 2 else {})}
        same_bits(stream.step(x[:, t].astype("float64") if t % 3 else x[:, t], **options), y[:, t])
    same_results(stream.state, after)
    if rows == 1:
        stream.state = state
        for t in range(T):
            same_bits(stream.step(x[0, t], reset=bool(resets[0, t])), y[0, t])


def test_a_stream_that_refuses_has_not_reset(rng):
    stream = build().stream(2)
    stream.step(normal(rng, "float64", 2, I))
    before = stream.state
    for x, reset, error in (
        (np.zeros((2, I + 1)), [True, True], ValueError),
        (np.zeros((2, I)), [True], ValueError),
        (np.zeros((2, I)), [1, 0], TypeError),
        (np.zeros((2, I)), True, ValueError),
    ):
        with pytest.raises(error, match=r"^(x|reset): expected"):
            stream.step(x, reset=reset)
        same_results(stream.state, before)


# Bad input


def refused(call, error, *words):
    with pytest.raises(error) as found:
        call()
    for word in words:
        assert word in str(found.value), str(found.value)


@pytest.mark.parametrize("method", ["__call__", "infer", "forward", "trace"])
def test_bad_masks_and_resets_are_refused_by_name(method, rng):
    layer = build()
    call = getattr(layer, method)
    x, mask = np.zeros((2, 3, I)), np.array([[True, False, True]] * 2)
    refused(lambda: call(x, lengths=[1, 2], mask=mask), ValueError, "mask: expected None", "lengths")
    for value, error, words in (
        (mask.astype(int), TypeError, ("booleans", "int")),
        (mask[:1], ValueError, ("shape (2, 3)", "(1, 3)")),
        (mask[0], ValueError, ("shape (2, 3)", "(3,)")),
        ("yes", TypeError, ("booleans",)),
        (np.ma.array(mask), TypeError, ("without a mask",)),
    ):
        refused(partial(call, x, mask=value), error, "mask: expected", *words)
        refused(partial(call, x, resets=value), error, "resets: expected", *words)
    refused(lambda: call(x, state=np.zeros((1, 3, H)), mask=mask), ValueError, "state")


@pytest.mark.parametrize("target", ["layer", "network"])
def test_bad_lists_are_refused_by_name(target):
    layer = build()
    call = layer if target == "layer" else clstm.Network([layer])
    x = [np.zeros((2, I)), np.zeros((3, I))]
    refused(lambda: call([x[0], np.zeros((3, I + 1))]), ValueError, f"x[1]: expected shape (T, {I})", "(3, 6)")
    refused(lambda: call([x[0], np.zeros(I)]), ValueError, "x[1]: expected shape")
    refused(lambda: call([x[0], np.zeros((3, I), complex)]), TypeError, "x[1]: expected")
    refused(lambda: call(x, lengths=[2, 3]), ValueError, "lengths: expected None", "x is a list")
    refused(lambda: call(x, mask=[[True] * 2, [True] * 3]), ValueError, "mask: expected None", "x is a list")
    refused(lambda: call(x, resets=[[True] * 2]), ValueError, "resets: expected a list of 2")
    refused(lambda: call(x, resets=np.zeros((2, 3), bool)), TypeError, "resets: expected a list of 2")
    refused(lambda: call(x, resets=[[True] * 2, [True] * 2]), ValueError, "resets[1]: expected shape (3,)")
    refused(lambda: call(x, resets=[[True] * 2, [1] * 3]), TypeError, "resets[1]: expected", "booleans")
    refused(lambda: call([]), ValueError, "x: expected")


def test_bad_gradients_of_lists_are_refused_and_change_nothing(rng):
    layer = build()
    y, _, tape = layer.forward([np.zeros((2, I)), np.zeros((3, I))])
    refused(lambda: layer.backward(tape, [y[0]]), ValueError, "dy: expected 2 arrays")
    refused(lambda: layer.backward(tape, [y[0], y[0]]), ValueError, "dy[1]: expected shape (3, 9)", "(2, 9)")
    refused(lambda: layer.backward(tape, np.zeros((2, 2, H))), ValueError, "dy: expected shape (2, 3, 9)")
    refused(lambda: layer.backward(tape, y, np.zeros((1, 3, H))), ValueError, "dstate")
    layer.backward(tape, y)


def test_what_a_network_has_no_use_for_is_refused_by_name(rng):
    x, flags = np.zeros((2, 3, I)), np.array([[True, False, True]] * 2)
    dense = clstm.Network([clstm.Dense(I, 2, dtype="float64", rng=0)])
    for name in ("mask", "resets"):
        refused(partial(dense, x[:, 0], **{name: flags}), ValueError, f"{name}: expected None", "time axis")
    refused(lambda: dense(x, resets=flags), ValueError, "resets: expected None", "no layer")
    net = clstm.Network([build(), Carrying()])
    refused(lambda: net(x, resets=flags), ValueError, "layers[1] (Carrying)", "resets: expected None")
    words = clstm.Network([clstm.Embedding(5, I, dtype="float64", rng=0), build()])
    refused(lambda: words([np.array([1, 2]), np.array([1, 5])]), ValueError, "x[1]: expected an index", "5 at [1]")
    refused(lambda: words([[1, 2, 7]] * 2, mask=flags), ValueError, "x: expected an index", "7 at [0, 2]")
    assert words([[1, 7, 2]] * 2, mask=flags).shape == (2, 3, H)
    refused(lambda: words([np.array([1.5])]), TypeError, "x[0]: expected", "integers")
