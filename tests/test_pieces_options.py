"""Masks, resets and lists beside options that change cells, outputs and what is kept: each piece alone, or the same
sequences in another form."""

import numpy as np
import pytest
from cases import close, normal, same_bits
from test_pieces import (
    FORMS,
    Alone,
    H,
    I,
    N,
    T,
    as_list,
    build,
    compare,
    like,
    members,
    pieces_of,
    problem,
    refused,
    run,
)

import clstm

CELLS = [
    ("lstm", {"proj_size": 4}),
    ("lstm", {"layer_norm": True}),
    ("lstm", {"layer_norm": True, "proj_size": 5, "peephole": True}),
    ("gru", {"reset_after": False}),
    ("lstm", {"output": "c"}),
    ("lstm", {"output": "c", "proj_size": 4}),
]
TWO = ["sum", "mean", "product"]


def nearly(found, expected):
    close(found, expected, 1e-12)


def ids(options):
    return "-".join(f"{name}={value}" for name, value in options[1].items())


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("way", ["forward", "backwards", "two"])
@pytest.mark.parametrize("cell", CELLS, ids=ids)
def test_cells_of_two_stages_and_what_they_show(cell, way, form, rng):
    layer = build(cell[0], way, **cell[1])
    x, valid, resets, state, dy, dstate = problem(rng, layer, form)
    found = run(layer, x, state, dy, dstate, mask=valid, resets=resets)
    compare(layer, found, Alone(layer, x, valid, resets, state, dy, dstate), nearly)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("merge", TWO)
@pytest.mark.parametrize("kind", ["lstm", "gru"])
def test_merged_directions(kind, merge, form, rng):
    layer = build(kind, "two", merge=merge)
    x, valid, resets, state, dy, dstate = problem(rng, layer, form)
    found = run(layer, x, state, dy, dstate, mask=valid, resets=resets)
    compare(layer, found, Alone(layer, x, valid, resets, state, dy, dstate), nearly)


@pytest.mark.parametrize("merge", TWO)
def test_merged_lists_are_arrays_with_lengths(merge, rng):
    layer, x = build(way="two", merge=merge), normal(rng, "float64", N, T, I)
    lengths = [3, T, 0, 1, 5, T]
    y, state = layer([row[:n] for row, n in zip(x, lengths, strict=True)])
    expected = layer(x, lengths=lengths)
    for n, part in enumerate(y):
        same_bits(part, expected[0][n, : lengths[n]])
    same_bits(state[0], expected[1][0])


# The last hidden states, and the final state, as y


def of_the_end(layer, state):
    """y and its way back: what its gradient adds to that of h and c."""
    h, c = members(state) if isinstance(layer, clstm.LSTM) else (state, None)
    last = h[-layer._directions :]
    if layer.output == "state":
        parts = [a.transpose(1, 0, 2).reshape(N, -1) for a in members(state)]
        y = np.concatenate(parts, axis=1)
    else:
        y = {
            "concat": lambda: np.concatenate(list(last), axis=1),
            "sum": lambda: last.sum(axis=0),
            "mean": lambda: last.mean(axis=0),
            "product": lambda: last[0] * last[-1],
        }[layer.merge]()

    def back(dy):
        dh, dc = np.zeros_like(h), None if c is None else np.zeros_like(c)
        if layer.output == "state":
            count = h.shape[0] * h.shape[2]
            dh += dy[:, :count].reshape(N, len(h), -1).transpose(1, 0, 2)
            if c is not None:
                dc += dy[:, count:].reshape(N, len(c), -1).transpose(1, 0, 2)
        elif layer.merge == "concat":
            dh[-layer._directions :] += dy.reshape(N, layer._directions, -1).transpose(1, 0, 2)
        else:
            dh[-2:] += {"sum": dy, "mean": dy / 2, "product": dy * last[::-1]}[layer.merge]
        return (dh,) if c is None else (dh, dc)

    return y, back


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    "options",
    [
        *({"way": way, "output": output} for way in ("forward", "backwards", "two") for output in ("last", "state")),
        *({"way": "two", "output": "last", "merge": merge} for merge in TWO),
        {"way": "two", "output": "state", "proj_size": 4},
        {"way": "both", "output": "last", "kind": "gru"},
    ],
    ids=str,
)
def test_outputs_of_the_end(options, form, rng):
    """Those of the final state that the layer returns, and gradients by way of it."""
    layer, steps = build(**options), build(**{**options, "output": "h"})
    x, valid, resets, state, _, dstate = problem(rng, steps, form)
    y, after, tape = layer.forward(x, state, mask=valid, resets=resets)
    _, expected, other = steps.forward(x, state, mask=valid, resets=resets)
    for a, b in zip(members(after), members(expected), strict=True):
        same_bits(a, b)
    wanted, back = of_the_end(layer, after)
    close(y, wanted, 1e-14)
    dy = normal(rng, "float64", *y.shape)
    dx, dgiven, grads = layer.backward(tape, dy, dstate)
    more = [a + b for a, b in zip(members(dstate), back(dy), strict=True)]
    dx2, dgiven2, grads2 = steps.backward(other, None, like(layer, more))
    close(dx, dx2, 1e-12)
    for a, b in zip(members(dgiven), members(dgiven2), strict=True):
        close(a, b, 1e-12)
    for name in grads:
        close(grads[name], grads2[name], 1e-12)


@pytest.mark.parametrize("output", ["last", "state"])
def test_outputs_of_the_end_of_lists(output, rng):
    """y has no time: it is one array, and so is its gradient."""
    layer, lengths = build(way="two", output=output), [3, T, 0, 1, 5, T]
    x = normal(rng, "float64", N, T, I)
    y, _, tape = layer.forward([row[:n] for row, n in zip(x, lengths, strict=True)])
    expected, _, other = layer.forward(x, None, lengths)
    same_bits(y, expected)
    dy = normal(rng, "float64", *y.shape)
    dx, _, grads = layer.backward(tape, dy)
    dx2, _, grads2 = layer.backward(other, dy)
    assert [len(part) for part in dx] == lengths
    close(np.concatenate(dx), dx2[np.arange(T) < np.array(lengths)[:, None]], 1e-13)
    for name in grads:
        close(grads[name], grads2[name], 1e-13)


# Learned states


@pytest.mark.parametrize("with_state", [True, False])
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("way", ["forward", "backwards", "two"])
@pytest.mark.parametrize("cell", [("lstm", {"proj_size": 4}), ("gru", {})], ids=str)
def test_learned_states_start_each_piece(cell, way, form, with_state, rng):
    layer, plain = (build(cell[0], way, learned_state=learned, **cell[1]) for learned in (True, False))
    for values in layer.parameters().values():
        values[...] = normal(rng, "float64", *values.shape) / 2
    for name, values in plain.parameters().items():
        values[...] = layer.parameters()[name]
    x, valid, resets, state, dy, dstate = problem(rng, layer, form)
    initial = members(layer._state(*layer._initial_state(1)))
    if not with_state:
        state = None
    rows = like(layer, [np.repeat(a, N, axis=1) for a in initial]) if state is None else state
    alone = Alone(plain, x, valid, resets, rows, dy, dstate, initial=initial)
    y, after, tape = layer.forward(x, state, mask=valid, resets=resets)
    dx, dgiven, grads = layer.backward(tape, dy, dstate)
    close(y, alone.y, 1e-12)
    close(dx, alone.dx, 1e-12)
    for a, b in zip(members(after) + members(dgiven), members(alone.state) + members(alone.dstate), strict=True):
        close(a, b, 1e-12)
    for name, values in alone.grads.items():
        close(grads[name], values, 1e-12)
    learned = list(grads)[len(alone.grads) :]
    for k, name in enumerate(learned):
        index, member = divmod(k, len(initial))
        expected = alone.dinitial[member][index].copy()
        if not with_state:
            expected += members(alone.dstate)[member][index].sum(axis=0)
        close(grads[name], expected, 1e-11)


# The flow of gradients


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("way", ["forward", "backwards"])
def test_gradient_flow_of_pieces(way, form, rng):
    layer = build("lstm", way, proj_size=4)
    x, valid, resets, _, dy, _ = problem(rng, layer, form)
    flow = layer.gradient_flow(x, dy, mask=valid, resets=resets)
    expected = {name: np.zeros((1, N, T)) for name in "hc"}
    for n, (pieces, _) in enumerate(pieces_of(valid, resets)):
        for times in pieces:
            own = layer.gradient_flow(x[n : n + 1, times], dy[n : n + 1, times])
            for name in "hc":
                expected[name][:, n, times] = getattr(own, name)[:, 0]
    for name in "hc":
        close(getattr(flow, name), expected[name], 1e-13)


def test_gradient_flow_of_lists_is_padded(rng):
    layer, lengths = build("gru", "two"), [3, 7, 0, 1, 5, 7]
    x, dy = normal(rng, "float64", N, 7, I), normal(rng, "float64", N, 7, layer.output_size)
    cut = [[row[:n] for row, n in zip(a, lengths, strict=True)] for a in (x, dy)]
    same_bits(layer.gradient_flow(*cut).h, layer.gradient_flow(x, dy, lengths=lengths).h)


def test_networks_refuse_lists_where_flow_is_looked_at(rng):
    net = clstm.Network([clstm.GRU(I, H, rng=0)])
    x = normal(rng, "float32", N, T, I)
    refused(lambda: net.gradient_flow(as_list(x), np.zeros((N, T, H))), TypeError, "x", "list")


# Budgets of memory


@pytest.mark.parametrize("of_network", [False, True])
def test_memory_is_refused_by_name(of_network, rng):
    layer = build()
    target = clstm.Network([layer]) if of_network else layer
    x, valid, resets, *_ = problem(rng, layer, "holes-resets")
    refused(lambda: target.forward(x, mask=valid, memory=10**6), ValueError, "memory", "mask")
    refused(lambda: target.forward(x, resets=resets, memory=10**6), ValueError, "memory", "resets")
    refused(lambda: target.forward(as_list(x), memory=10**6), ValueError, "memory", "list")


@pytest.mark.parametrize("of_network", [False, True])
def test_memory_goes_with_masks_that_are_lengths(of_network, rng):
    layer = build()
    target = clstm.Network([layer]) if of_network else layer
    x, lengths = normal(rng, "float64", N, 40, I), np.array([3, 40, 0, 1, 25, 40])
    mask, flags = np.arange(40) < lengths[:, None], np.zeros((N, 40), bool)
    memory = layer._core.tape_size(N, 40, lengths) // 2
    y, _, tape = target.forward(x, mask=mask, resets=flags, memory=memory)
    expected, _, other = target.forward(x, lengths=lengths)
    same_bits(y, expected)
    dy = normal(rng, "float64", *y.shape)
    close(target.backward(tape, dy)[0], target.backward(other, dy)[0], 1e-12)


# Networks


def test_networks_of_attention_and_of_last_states(rng):
    """What a mask skips, no layer sees: as if the valid steps stood together."""
    x, valid, *_ = problem(rng, build(), "holes")
    counts = valid.sum(axis=1)
    together = np.zeros((N, T, I))
    for n in range(N):
        together[n, : counts[n]] = x[n, valid[n]]
    nets = [
        [
            clstm.LSTM(I, H, dtype="float64", bidirectional=True, merge="sum", rng=0),
            clstm.AttentionPool(H, 3, rng=1, dtype="float64"),
        ],
        [
            clstm.GRU(I, H, dtype="float64", learned_state=True, output="last", rng=0),
            clstm.Dense(H, 2, rng=1, dtype="float64"),
        ],
    ]
    for layers in nets:
        net = clstm.Network(layers)
        y, _, tape = net.forward(x, mask=valid)
        expected, _, other = net.forward(together, lengths=counts)
        close(y, expected, 1e-13)
        dy = normal(rng, "float64", *y.shape)
        dx, _, grads = net.backward(tape, dy)
        dx2, _, grads2 = net.backward(other, dy)
        assert not dx[~valid].any()
        close(dx[valid], dx2[np.arange(T) < counts[:, None]], 1e-12)
        for name in grads:
            close(grads[name], grads2[name], 1e-12)


def test_networks_hand_resets_to_last_states(rng):
    net = clstm.Network([clstm.LSTM(I, H, dtype="float64", output="last", learned_state=True, rng=0)])
    x, valid, resets, *_ = problem(rng, build(), "holes-resets")
    same_bits(net(x, mask=valid, resets=resets), net.layers[0](x, mask=valid, resets=resets)[0])


# Streams


@pytest.mark.parametrize("cell", [("lstm", {"proj_size": 4}), ("gru", {})], ids=str)
def test_streams_reset_rows_to_learned_states(cell, rng):
    layer = build(cell[0], learned_state=True, **cell[1])
    for values in layer.parameters().values():
        values[...] = normal(rng, "float64", *values.shape) / 2
    x, resets = normal(rng, "float64", N, T, I), rng.random((N, T)) < 0.3
    expected, stream = layer(x, resets=resets)[0], layer.stream(N)
    for t in range(T):
        close(stream.step(x[:, t], reset=resets[:, t]), expected[:, t], 1e-13)
