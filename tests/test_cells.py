"""Every kind of cell with every option: proof of every result against the NumPy twin (`reference_cells.py`), on every
instruction set and backend; and the properties that no twin is needed for.

Wherever rows have lengths, the padding that goes in is full of NaN, and arrays that go in are read-only.
"""

from dataclasses import replace
from itertools import cycle

import numpy as np
import pytest
import reference_cells as twin
from cases import (
    LAYERS,
    TOLERANCE,
    Case,
    close,
    doubles,
    given,
    members,
    native,
    same_bits,
    same_results,
    settings,
    tolerance_of,
)

import clstm
from clstm import _core

CELLS = {"lstm": clstm.LSTMCell, "gru": clstm.GRUCell, "rnn": clstm.RNNCell}
ACTIVATIONS = [*twin.ACTIVATIONS]


# Every option alone, then some together; sizes go through the edges of vectors and tiles

BACKWARDS = [
    Case(kind, (("go_backwards", True), *more), N, T, I, H, L=2, lengths=lengths, seed=2500 + H)
    for kind, more in (
        ("lstm", ()),
        ("gru", ()),
        ("gru", (("reset_after", False),)),
        ("rnn", ()),
        ("lstm", (("peephole", True),)),
        ("lstm", (("layer_norm", True), ("proj_size", 7))),
    )
    for N, T, I, H, lengths in (
        (6, 8, 5, 17, (8, 3, 0, 1, 5, 8)),
        (3, 5, 6, 9, None),
        (9, 70, 2, 20, (70, 3, 70, 41, 0, 69, 1, 70, 30)),
        (5, 30, 40, 64, None),
    )
]
LIMITED = {"clip": 0.7, "gradient_clip": 0.3}
OPTIONS = [
    ("lstm", {"peephole": True}),
    ("lstm", {"coupled": True}),
    ("lstm", {"forget_gate": False}),
    ("lstm", {"clip": 0.7}),
    ("lstm", {"cell_clip": 0.4}),
    ("lstm", {"gradient_clip": 0.3}),
    *[("lstm", {f"{place}_activation": name}) for place in ("gate", "candidate", "output") for name in ACTIVATIONS],
    ("lstm", {"peephole": True, "coupled": True, "cell_clip": 0.5}),
    ("lstm", {"peephole": True, "forget_gate": False, **LIMITED}),
    ("lstm", {"peephole": True, **LIMITED, "cell_clip": 0.5, "output_activation": "identity"}),
    (
        "lstm",
        {
            "forget_gate": False,
            "candidate_activation": "centered_sigmoid_2",
            "output_activation": "centered_sigmoid_1",
        },
    ),
    ("lstm", {"proj_size": 4}),
    ("lstm", {"proj_size": 17, "peephole": True, "cell_clip": 0.5}),
    ("lstm", {"proj_size": 1, "coupled": True, "clip": 0.7}),
    ("lstm", {"layer_norm": True}),
    ("lstm", {"layer_norm": True, "peephole": True, **LIMITED, "cell_clip": 0.5, "output_activation": "relu"}),
    ("lstm", {"layer_norm": True, "coupled": True, "output_activation": "sigmoid"}),
    ("lstm", {"layer_norm": True, "proj_size": 5}),
    ("lstm", {"layer_norm": True, "proj_size": 16, "peephole": True, "coupled": True, "cell_clip": 0.5}),
    ("lstm", {"output": "c"}),
    ("lstm", {"output": "c", "peephole": True, "coupled": True, "cell_clip": 0.5}),
    ("lstm", {"output": "c", "proj_size": 4, "gradient_clip": 0.3}),
    ("lstm", {"output": "c", "layer_norm": True, "proj_size": 16}),
    ("gru", {"reset_after": False}),
    ("gru", {"reset_after": False, "clip": 0.7, "candidate_activation": "relu"}),
    ("gru", {"reset_after": False, "gradient_clip": 0.3, "gate_activation": "hard_sigmoid"}),
    ("gru", {}),
    ("gru", {"clip": 0.7}),
    ("gru", {"gradient_clip": 0.3}),
    *[("gru", {"candidate_activation": name}) for name in ACTIVATIONS],
    *[
        ("gru", {"gate_activation": name, "clip": 1.5}) for name in ACTIVATIONS
    ],  # without limit, some grow beyond bounds
    ("gru", {**LIMITED, "gate_activation": "hard_sigmoid"}),
    ("rnn", {}),
    ("rnn", {"clip": 0.7}),
    ("rnn", {"gradient_clip": 0.3}),
    *[("rnn", {"activation": name}) for name in ACTIVATIONS],
    ("rnn", {**LIMITED, "activation": "relu"}),
]
SIZES = cycle([(3, 5, 6, 9), (1, 4, 1, 1), (7, 3, 16, 17), (2, 1, 17, 33), (5, 6, 3, 16), (6, 4, 5, 20), (4, 3, 2, 7)])
EVERY_OPTION = [
    Case(
        kind,
        tuple(options.items()),
        *sizes,
        L=1 + k % 2,
        bidirectional=k % 3 == 0,
        lengths=tuple((sizes[1], 0, 1, sizes[1] - 1)[n % 4] for n in range(sizes[0])) if k % 4 < 2 else None,
        with_state=k % 5 > 0,
        bias=k % 6 < 5,
        seed=1000 + k,
    )
    for k, ((kind, options), sizes) in enumerate(zip(OPTIONS, SIZES, strict=False))
]
SHOWS_H = [case for case in EVERY_OPTION if ("output", "c") not in case.options]  # what a stream and a cell can be
COUPLED = (("coupled", True), ("peephole", True))
STAGES = [  # a step of more than one
    ("gru", (("reset_after", False),)),
    ("lstm", (("proj_size", 10),)),
    ("lstm", (("layer_norm", True),)),
    ("lstm", (("layer_norm", True), ("proj_size", 33), ("peephole", True))),
]
EVERY_SIZE = [
    Case(kind, options, N, T, I, H, L=2, bidirectional=True, seed=2000 + H)
    for kind, options in (("gru", ()), ("rnn", ()), ("lstm", COUPLED), *STAGES)
    for H, (N, T, I) in zip(
        (1, 2, 3, 5, 7, 8, 9, 13, 14, 15, 16, 17, 22, 30, 31, 32, 33, 48, 50, 63, 64, 65),
        cycle([(3, 5, 6), (1, 4, 1), (7, 3, 16), (2, 1, 17), (5, 6, 3), (13, 2, 2)]),
        strict=False,
    )
]
EDGES = [
    case
    for kind, options in (("gru", ()), ("rnn", ()), ("lstm", COUPLED), ("lstm", (("peephole", True),)), *STAGES)
    for case in (
        Case(kind, options, N=1, T=1, I=1, H=1, seed=3000),
        Case(kind, options, N=3, T=4, L=2, bidirectional=True, lengths=(0, 0, 0), seed=3001),
        Case(kind, options, N=4, T=9, H=17, bidirectional=True, lengths=(9, 1, 0, 5), seed=3002),
        Case(kind, options, N=40, T=7, I=3, H=16, L=2, seed=3003),
        Case(kind, options, N=2, T=150, I=2, H=8, seed=3004),
        Case(kind, options, N=3, T=4, I=130, H=65, bidirectional=True, lengths=(4, 2, 3), seed=3005),
        Case(kind, options, N=1, T=3, I=270, H=260, seed=3006),
        Case(kind, options, N=3, T=3, I=40, H=40, seed=3007),
        Case(kind, options, N=8, T=14, I=150, H=160, lengths=(14, 13, 14, 2, 0, 14, 14, 14), seed=3008),
        Case(kind, options, N=9, T=70, I=2, H=20, lengths=(70, 3, 70, 41, 0, 69, 1, 70, 30), seed=3009),
        Case(kind, options, N=5, T=60, I=6, H=50, L=2, bidirectional=True, seed=3010),
    )
    if not (case.T == 150 and "layer_norm" in dict(options))  # in which float32 is chaotic
]


def prove(case, dtype, bptt=None):
    layer, x, state, dy, dstate = case.build(dtype)
    y, final, tape = layer.forward(x, given(state), case.lengths)
    dx, dinitial, grads = layer.backward(tape, dy, given(dstate), bptt=bptt)

    expected_y, expected_final, twin_tape = twin.forward(
        doubles(x), doubles(layer.parameters()), case.twin(bptt=bptt), state=doubles(state), lengths=case.lengths
    )
    expected_dx, expected_dinitial, expected_grads = twin.backward(twin_tape, doubles(dy), doubles(dstate))

    tolerance = tolerance_of(case, dtype)
    results = (y, *members(final), dx, *members(dinitial))
    expected = (expected_y, *expected_final, expected_dx, *expected_dinitial)
    assert all(array.dtype == dtype for array in (*results, *grads.values()))
    for found, wanted in zip(results, expected, strict=True):
        close(found, wanted, tolerance)
    close(dx[:, 0], expected_dx[:, 0], tolerance)  # step 0
    assert list(grads) == list(layer.parameters())
    for name, gradient in grads.items():
        close(gradient, expected_grads[name], tolerance)


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("case", EVERY_OPTION + EVERY_SIZE + EDGES + BACKWARDS, ids=str)
def test_everything_is_that_of_the_twin(machine, case, dtype):
    prove(case, dtype)


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("bptt", [1, 3, 100])
@pytest.mark.parametrize(
    "case",
    [
        Case(kind, options, N=7, T=11, I=5, H=H, L=2, bidirectional=True, lengths=lengths, seed=3500)
        for kind, options in (("lstm", ()), ("lstm", (("peephole", True),)), ("gru", ()), ("rnn", ()))
        for H, lengths in ((17, (11, 3, 0, 7, 2, 6, 11)), (64, None))
    ]
    + [Case(kind, N=9, T=40, I=2, H=20, lengths=(40, 3, 40, 21, 0, 39, 1, 40, 30), seed=3501) for kind in LAYERS],
    ids=str,
)
def test_truncated_gradients_are_those_of_the_twin(machine, case, bptt, dtype):
    prove(case, dtype, bptt)


@pytest.mark.parametrize("kind", LAYERS)
def test_truncation_is_cutting_time_by_hand(kind):
    case = Case(kind, N=4, T=10, seed=3600)
    layer, x, state, dy, dstate = case.build("float64")
    net = clstm.Network([layer, clstm.Dense(case.H, case.H, dtype="float64", rng=0)])
    _, final, tape = net.forward(x, [given(state), None])
    _, dinitial, grads = net.backward(tape, dy, [given(dstate), None], bptt=4)
    sums, carried, dfirst = net.zeros_like_parameters()[1], given(state), None
    for begin in (0, 4, 8):
        part = slice(begin, begin + 4)
        _, after, tape = net.forward(x[:, part], [carried, None])
        _, dbefore, _ = net.backward(tape, dy[:, part], [given(dstate) if begin == 8 else None, None], sums)
        carried, dfirst = after[0], dfirst or dbefore
    same_results(carried, final[0])
    for found, expected in zip(members(dinitial[0]), members(dfirst[0]), strict=True):
        close(found, expected, 1e-12)
    for name, gradient in grads.items():
        close(gradient, sums[name], 1e-12)


def test_bptt_is_checked():
    rnn = clstm.RNN(2, 3, rng=0)
    y, _, tape = rnn.forward(np.zeros((1, 5, 2)))
    for wrong, error in ((0, ValueError), (-3, ValueError), (2.5, TypeError), (True, TypeError)):
        with pytest.raises(error, match="bptt: expected an int of at least 1"):
            rnn.backward(tape, y, bptt=wrong)
    rnn.backward(tape, y, bptt=1)


@pytest.mark.parametrize("case", EVERY_OPTION, ids=str)
def test_parameters_are_those_of_the_twin(case):
    shapes = {name: values.shape for name, values in case.build("float32")[0].parameters().items()}
    assert shapes == dict(twin.parameter_shapes(case.twin(), case.I))


TYPICAL = [
    Case(kind, options, N=6, T=8, I=5, H=17, L=2, bidirectional=True, lengths=(8, 3, 0, 1, 5, 8), seed=4000)
    for kind, options in (
        ("gru", ()),
        ("rnn", ()),
        ("lstm", (("coupled", True),)),
        ("lstm", (("forget_gate", False), ("peephole", True))),
        ("lstm", (("peephole", True), ("cell_clip", 0.5))),
    )
]


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("case", TYPICAL, ids=str)
def test_trace_is_that_of_the_twin(machine, case, dtype):
    layer, x, state, _, _ = case.build(dtype)
    trace = layer.trace(x, given(state), case.lengths)
    _, _, tape = twin.forward(
        doubles(x), doubles(layer.parameters()), case.twin(), state=doubles(state), lengths=case.lengths
    )
    for index in range(4):
        expected = twin.trace(tape, index)
        assert sorted(trace) == sorted(expected)
        for name, values in expected.items():
            found = getattr(trace[index], name)
            assert found.dtype == dtype
            close(found, values, TOLERANCE[dtype])


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("case", [*EVERY_OPTION, *EDGES], ids=str)
def test_inference_has_the_bits_of_forward(machine, case, dtype):
    layer, x, state, _, _ = case.build(dtype)
    y, final, _ = layer.forward(x, given(state), case.lengths)
    same_results(layer(x, given(state), case.lengths), (y, final))


@pytest.mark.parametrize("kind", LAYERS)
def test_backwards_is_the_reverse_direction_and_the_last_step_is_the_first(kind):
    case = Case(kind, N=4, T=6, lengths=(6, 2, 0, 5), bidirectional=True, seed=2600)
    both, x, _, _, _ = case.build("float64")
    one = LAYERS[kind](case.I, case.H, go_backwards=True, dtype="float64", rng=0)
    named = {name: values for name, values in both.parameters().items() if name.endswith("_reverse")}
    one.load_parameters({name.removesuffix("_reverse"): values for name, values in named.items()})
    y, state = one(x, lengths=case.lengths)
    same_bits(y, np.ascontiguousarray(both(x, lengths=case.lengths)[0][:, :, case.H :]))
    net = clstm.Network([one, clstm.Pool("last")])
    assert net.go_backwards is False  # there is no time any more
    same_bits(net(x, lengths=case.lengths), members(state)[0][0])
    trace = one.trace(x, lengths=case.lengths)
    same_bits(trace.h[0], y)
    with pytest.raises(ValueError, match=r"layer: expected one with go_backwards=False \(a stream cannot"):
        one.stream()
    with pytest.raises(ValueError, match="go_backwards: expected False, because bidirectional=True goes both ways"):
        LAYERS[kind](2, 3, go_backwards=True, bidirectional=True)


def run(layer, x, state, dy, dstate, lengths=None, **options):
    """Everything that forward and backward return."""
    y, final, tape = layer.forward(x, given(state), lengths, **options)
    return y, final, *layer.backward(tape, dy, given(dstate))


@pytest.mark.parametrize("isa", _core.available_isas())
@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize(
    "case",
    [replace(case, N=32, T=12, I=24, H=48, lengths=(12, 5, 9, 0) * 8) for case in TYPICAL]
    + [replace(case, N=1, T=50, I=30, H=160, L=1, bidirectional=False, lengths=None) for case in TYPICAL],
    ids=str,
)
def test_bits_do_not_depend_on_threads(isa, dtype, case):
    layer, x, state, dy, dstate = case.build(dtype)
    with settings(isa, "native", threads=1):
        alone = run(layer, x, state, dy, dstate, case.lengths)
    for threads in (2, 3, 8):
        with settings(isa, "native", threads):
            same_results(run(layer, x, state, dy, dstate, case.lengths), alone)


@pytest.mark.parametrize("isa", _core.available_isas())
@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("case", TYPICAL, ids=str)
@pytest.mark.parametrize("first", [1, 2, 5])
def test_rows_do_not_depend_on_the_rest_of_the_batch(isa, dtype, case, first):
    layer, x, state, dy, dstate = case.build(dtype)
    with settings(isa, "native"):
        y, final, dx, dinitial, grads = run(layer, x, state, dy, dstate, case.lengths)
        sums = layer.zeros_like_parameters()[1]
        for rows in (slice(0, first), slice(first, None)):
            part = run(
                layer,
                x[rows],
                tuple(s[:, rows] for s in state),
                dy[rows],
                tuple(s[:, rows] for s in dstate),
                case.lengths[rows],
            )
            same_bits(part[0], y[rows])
            same_bits(part[2], dx[rows])
            for found, whole in ((part[1], final), (part[3], dinitial)):
                for a, b in zip(members(found), members(whole), strict=True):
                    same_bits(a, b[:, rows])
            for name in sums:
                sums[name] += part[4][name]
    for name in grads:
        close(sums[name], grads[name], 1e-5 if dtype == "float32" else 1e-13)


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("case", [replace(case, L=1, bidirectional=False, lengths=None) for case in TYPICAL], ids=str)
def test_time_can_be_cut_where_the_state_is_carried_over(dtype, case):
    layer, x, state, dy, dstate = case.build(dtype)
    with native():
        y, final, dx, dinitial, grads = run(layer, x, state, dy, dstate)
        y_1, between, tape_1 = layer.forward(x[:, :3], given(state))
        y_2, end, tape_2 = layer.forward(x[:, 3:], between)
        sums = layer.zeros_like_parameters()[1]
        dx_2, dbetween, _ = layer.backward(tape_2, dy[:, 3:], given(dstate), sums)
        dx_1, dstart, _ = layer.backward(tape_1, dy[:, :3], dbetween, sums)
    same_bits(np.concatenate([y_1, y_2], axis=1), y)
    same_results(end, final)
    same_bits(np.concatenate([dx_1, dx_2], axis=1), dx)
    same_results(dstart, dinitial)
    for name in grads:
        close(sums[name], grads[name], 1e-5 if dtype == "float32" else 1e-13)


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("case", [*SHOWS_H, *EVERY_SIZE], ids=str)
def test_a_stream_and_a_cell_have_the_bits_of_the_layer(isa, case, dtype):
    case = replace(case, L=1, bidirectional=False, lengths=None, with_state=True)
    layer, x, state, _, _ = case.build(dtype)
    y, final = layer(x, given(state))
    stream = layer.stream(case.N)
    stream.reset(given(state))
    cell = CELLS[case.kind](case.I, case.H, bias=case.bias, **dict(case.options), dtype=dtype, rng=0)
    cell.load_parameters({name.removesuffix("_l0"): values for name, values in layer.parameters().items()})
    carried = given(tuple(s[0] for s in state))
    for t in range(case.T):
        same_bits(stream.step(x[:, t]), y[:, t])
        carried = cell(x[:, t], carried)
        same_bits(members(carried)[0], y[:, t])
    for found, of_cell, whole in zip(members(stream.state), members(carried), members(final), strict=True):
        same_bits(found, whole)
        same_bits(of_cell, whole[0])


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("case", [case for case in SHOWS_H if case.kind != "lstm" or case.H < 17], ids=str)
def test_backward_of_a_cell_is_that_of_the_layer(machine, case, dtype):
    case = replace(case, T=1, L=1, bidirectional=False, lengths=None, with_state=True)
    layer, x, state, dy, dstate = case.build(dtype)
    expected = run(layer, x, state, dy, dstate)
    cell = CELLS[case.kind](case.I, case.H, bias=case.bias, **dict(case.options), dtype=dtype, rng=0)
    cell.load_parameters({name.removesuffix("_l0"): values for name, values in layer.parameters().items()})
    y, _, tape = cell.forward(x[:, 0], given(tuple(s[0] for s in state)))
    dx, dinitial, grads = cell.backward(tape, dy[:, 0], given(tuple(s[0] for s in dstate)))
    same_bits(y, expected[0][:, 0])
    same_bits(dx, expected[2][:, 0])
    same_results(members(dinitial), tuple(s[0] for s in members(expected[3])))
    same_results({name + "_l0": gradient for name, gradient in grads.items()}, expected[4])
