"""LSTM and LSTMCell: proof of every result against the NumPy reference, on every instruction set and backend, and the
properties that no reference is needed for.

Wherever rows have lengths, the padding that goes in is full of NaN, and arrays that go in are read-only.
"""

from dataclasses import replace
from itertools import cycle, product

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest
import reference
from cases import TOLERANCE, Case, close, doubles, native, normal, read_only, same_bits, same_results, settings

import clstm
from clstm import _core

# All options in all combinations, while the sizes go through the edges of vectors and tiles
SIZES = [
    (H, N, T, I)
    for (H, (N, T, I)) in zip(
        (1, 7, 8, 9, 15, 16, 17, 31, 33) * 3,
        cycle([(3, 5, 6), (1, 4, 1), (7, 3, 16), (2, 1, 17), (5, 6, 3)]),
        strict=False,
    )
]
EVERY_OPTION = [
    Case(
        "lstm",
        (),
        *(N, T, I, H, L, bidirectional, with_state),
        lengths=tuple((T, 0, 1, T - 1)[n % 4] for n in range(N)) if ragged else None,
        bias=bias,
        seed=seed,
    )
    for seed, ((L, bidirectional, with_state, ragged, bias), (H, N, T, I)) in enumerate(
        zip(product((1, 2), *[(False, True)] * 4), cycle(SIZES), strict=False)
    )
]
EVERY_SIZE = [Case(N=N, T=T, I=I, H=H, L=2, bidirectional=True, seed=100 + k) for k, (H, N, T, I) in enumerate(SIZES)]
EDGES = [
    Case(N=1, T=1, I=1, H=1, seed=200),
    Case(N=2, T=3, H=9, L=3, bidirectional=True, lengths=(3, 2), seed=201),
    Case(N=3, T=4, L=2, bidirectional=True, lengths=(0, 0, 0), seed=202),
    Case(N=1, T=4, L=2, bidirectional=True, lengths=(0,), seed=203),
    Case(N=4, T=9, H=17, bidirectional=True, lengths=(9, 1, 0, 5), seed=204),
    Case(N=40, T=7, I=3, H=16, L=2, seed=205),
    Case(N=2, T=150, I=2, H=8, seed=206),
    Case(N=3, T=4, I=130, H=65, bidirectional=True, lengths=(4, 2, 3), seed=207),
    Case(N=1, T=3, I=270, H=260, seed=208),  # a single row takes several panels at once, also of the widest vectors
    Case(N=3, T=3, I=40, H=40, seed=209),  # and so do three
    Case(N=8, T=14, I=150, H=160, lengths=(14, 13, 14, 2, 0, 14, 14, 14), seed=210),  # inputs multiplied in chunks
    Case(N=9, T=70, I=2, H=20, lengths=(70, 3, 70, 41, 0, 69, 1, 70, 30), seed=211),  # backward in several chunks
    Case(N=5, T=60, I=6, H=50, L=2, bidirectional=True, seed=212),  # the same in both directions
    Case(N=6, T=3, I=1, H=100, seed=213),  # the last units fill a part of a vector; so does the input
    Case(N=2, T=3, I=9, H=201, seed=214),
]
CASES = EVERY_OPTION + EVERY_SIZE + EDGES
TYPICAL = Case(N=6, T=8, I=5, H=17, L=2, bidirectional=True, lengths=(8, 3, 0, 1, 5, 8), seed=300)
FULL = replace(TYPICAL, lengths=None)
ONE_WAY = replace(FULL, bidirectional=False)


# Proof against the reference


def prove(case, dtype):
    lstm, x, state, dy, dstate = case.build(dtype)
    y, final, tape = lstm.forward(x, state, case.lengths)
    dx, dinitial, grads = lstm.backward(tape, dy, dstate)

    expected_y, expected_final, reference_tape = reference.lstm_forward(
        doubles(x), doubles(lstm.parameters()), state=doubles(state), lengths=case.lengths, **case.sizes()
    )
    expected_dx, expected_dinitial, expected_grads = reference.lstm_backward(
        reference_tape, doubles(dy), doubles(dstate)
    )

    tolerance = TOLERANCE[dtype]
    assert all(array.dtype == dtype for array in (y, *final, dx, *dinitial, *grads.values()))
    close(y, expected_y, tolerance)
    close(final[0], expected_final[0], tolerance)
    close(final[1], expected_final[1], tolerance)
    close(dx, expected_dx, tolerance)
    close(dx[:, 0], expected_dx[:, 0], tolerance)  # step 0
    close(dinitial[0], expected_dinitial[0], tolerance)
    close(dinitial[1], expected_dinitial[1], tolerance)
    assert list(grads) == list(lstm.parameters())
    for name, gradient in grads.items():
        close(gradient, expected_grads[name], tolerance)


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_everything_is_that_of_the_reference(machine, case, dtype):
    prove(case, dtype)


@hypothesis.given(data=st.data())
@hypothesis.settings(max_examples=200)
def test_everything_is_that_of_the_reference_for_random_configurations(data):
    sizes = st.integers(1, 40)
    N, T = data.draw(st.integers(1, 9), "N"), data.draw(st.integers(1, 9), "T")
    ragged = st.lists(st.integers(0, T), min_size=N, max_size=N).map(tuple)
    case = Case(
        N=N,
        T=T,
        I=data.draw(sizes, "I"),
        H=data.draw(sizes, "H"),
        L=data.draw(st.integers(1, 3), "L"),
        bidirectional=data.draw(st.booleans(), "bidirectional"),
        with_state=data.draw(st.booleans(), "with_state"),
        lengths=data.draw(st.none() | ragged, "lengths"),
        bias=data.draw(st.booleans(), "bias"),
        seed=data.draw(st.integers(0, 10**6), "seed"),
    )
    isa = data.draw(st.sampled_from(_core.available_isas()), "isa")
    with settings(isa, data.draw(st.sampled_from(["native", "blas"]), "backend"), data.draw(st.integers(1, 3))):
        prove(case, data.draw(st.sampled_from(list(TOLERANCE)), "dtype"))


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("case", [TYPICAL, FULL], ids=str)
def test_trace_is_that_of_the_reference(machine, case, dtype):
    lstm, x, state, _, _ = case.build(dtype)
    trace = lstm.trace(x, state, case.lengths)
    _, _, tape = reference.lstm_forward(
        doubles(x), doubles(lstm.parameters()), state=doubles(state), lengths=case.lengths, **case.sizes()
    )
    for layer, direction in product(range(case.L), range(2)):
        expected = reference.trace(tape, layer, direction)
        for name in "ifgoch":
            actual = getattr(trace[2 * layer + direction], name)
            assert actual.dtype == dtype
            close(actual, getattr(expected, name), TOLERANCE[dtype])
    assert trace.f.shape == (case.L * 2, case.N, case.T, case.H)


# Properties


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("case", [*EVERY_OPTION, *EDGES], ids=str)
def test_inference_has_the_bits_of_forward(machine, case, dtype):
    lstm, x, state, _, _ = case.build(dtype)
    y, final, _ = lstm.forward(x, state, case.lengths)
    same_results(lstm(x, state, case.lengths), (y, final))
    same_results(lstm.infer(x, state, case.lengths), (y, final))


def run(lstm, x, state, dy, dstate, lengths=None):
    """Everything that forward and backward return."""
    y, final, tape = lstm.forward(x, state, lengths)
    return y, final, *lstm.backward(tape, dy, dstate)


LARGE = Case(N=32, T=12, I=24, H=48, L=2, bidirectional=True, lengths=(12, 5, 9, 0) * 8, seed=400)  # enough for threads


ONE_ROW = Case(N=1, T=70, I=70, H=160, seed=401)  # enough for threads to share its units
FEW_ROWS = Case(N=3, T=40, I=3, H=261, bidirectional=True, lengths=(40, 11, 25), seed=402)


@pytest.mark.parametrize("isa", _core.available_isas())
@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize(
    "case", [LARGE, replace(LARGE, lengths=None), replace(LARGE, N=1, lengths=None), ONE_ROW, FEW_ROWS], ids=str
)
def test_bits_do_not_depend_on_threads(isa, dtype, case):
    lstm, x, state, dy, dstate = case.build(dtype)
    with settings(isa, "native", threads=1):
        alone = run(lstm, x, state, dy, dstate, case.lengths)
        alone_inferred = lstm(x, state, case.lengths)
    for threads in (2, 3, 8):
        with settings(isa, "native", threads):
            same_results(run(lstm, x, state, dy, dstate, case.lengths), alone)
            same_results(lstm(x, state, case.lengths), alone_inferred)


@pytest.mark.parametrize("isa", _core.available_isas())
@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("case", [TYPICAL, LARGE], ids=str)
def test_rows_do_not_depend_on_their_order(isa, dtype, case):
    lstm, x, state, dy, dstate = case.build(dtype)
    order = np.random.default_rng(5).permutation(case.N)
    lengths = np.array(case.lengths)
    with settings(isa, "native"):
        y, final, dx, dinitial, grads = run(lstm, x, state, dy, dstate, lengths)
        permuted = run(
            lstm,
            x[order],
            tuple(s[:, order] for s in state),
            dy[order],
            tuple(s[:, order] for s in dstate),
            lengths[order],
        )
    same_bits(permuted[0], y[order])
    same_results(permuted[1], tuple(s[:, order] for s in final))
    same_bits(permuted[2], dx[order])
    same_results(permuted[3], tuple(s[:, order] for s in dinitial))
    for name in grads:  # sums over the batch, in another order
        close(permuted[4][name], grads[name], 1e-5 if dtype == "float32" else 1e-13)


@pytest.mark.parametrize("isa", _core.available_isas())
@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("case", [TYPICAL, LARGE], ids=str)
@pytest.mark.parametrize("first", [1, 2, 5])
def test_rows_do_not_depend_on_the_rest_of_the_batch(isa, dtype, case, first):
    lstm, x, state, dy, dstate = case.build(dtype)
    with settings(isa, "native"):
        y, final, dx, dinitial, grads = run(lstm, x, state, dy, dstate, case.lengths)
        inferred = lstm(x, state, case.lengths)
        sums = lstm.zeros_like_parameters()[1]
        for rows in (slice(0, first), slice(first, None)):
            lengths = case.lengths[rows]
            part_state = tuple(s[:, rows] for s in state)
            part = run(lstm, x[rows], part_state, dy[rows], tuple(s[:, rows] for s in dstate), lengths)
            same_bits(part[0], y[rows])
            same_results(part[1], tuple(s[:, rows] for s in final))
            same_bits(part[2], dx[rows])
            same_results(part[3], tuple(s[:, rows] for s in dinitial))
            same_bits(lstm(x[rows], part_state, lengths)[0], inferred[0][rows])
            for name in sums:
                sums[name] += part[4][name]
    for name in grads:
        close(sums[name], grads[name], 1e-5 if dtype == "float32" else 1e-13)


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("case", [ONE_WAY, replace(LARGE, bidirectional=False, lengths=None)], ids=str)
@pytest.mark.parametrize("cut", [1, 4])
def test_time_can_be_cut_where_the_state_is_carried_over(dtype, case, cut):
    lstm, x, state, dy, dstate = case.build(dtype)
    with native():
        y, final, dx, dinitial, grads = run(lstm, x, state, dy, dstate)
        y_1, between, tape_1 = lstm.forward(x[:, :cut], state)
        y_2, end, tape_2 = lstm.forward(x[:, cut:], between)
        sums = lstm.zeros_like_parameters()[1]
        dx_2, dbetween, _ = lstm.backward(tape_2, dy[:, cut:], dstate, sums)
        dx_1, dstart, _ = lstm.backward(tape_1, dy[:, :cut], dbetween, sums)
    same_bits(np.concatenate([y_1, y_2], axis=1), y)
    same_results(end, final)
    same_bits(np.concatenate([dx_1, dx_2], axis=1), dx)
    same_results(dstart, dinitial)
    for name in grads:
        close(sums[name], grads[name], 1e-5 if dtype == "float32" else 1e-13)


@pytest.mark.parametrize("case", [TYPICAL], ids=str)
def test_backward_is_linear(machine, case):
    lstm, x, state, dy, dstate = case.build("float64")
    rng = np.random.default_rng(7)
    dy_2 = case.pad(rng.normal(size=dy.shape))
    dstate_2 = tuple(rng.normal(size=s.shape) for s in dstate)

    def back(dy, dstate):
        dx, dinitial, grads = lstm.backward(lstm.forward(x, state, case.lengths)[2], dy, dstate)
        return [dx, *dinitial, *grads.values()]

    both = back(2 * dy - 3 * dy_2, tuple(2 * a - 3 * b for a, b in zip(dstate, dstate_2, strict=True)))
    for sum_of_two, one, two in zip(both, back(dy, dstate), back(dy_2, dstate_2), strict=True):
        close(sum_of_two, 2 * one - 3 * two, 1e-12)


@pytest.mark.parametrize("case", [TYPICAL], ids=str)
def test_absent_gradients_are_zero_gradients(machine, case):
    lstm, x, state, dy, dstate = case.build("float64")

    def back(*arguments, **options):
        return lstm.backward(lstm.forward(x, state, case.lengths)[2], *arguments, **options)

    zeros = tuple(np.zeros_like(s) for s in dstate)
    same_results(back(dy), back(dy, zeros))
    same_results(back(None, dstate), back(np.zeros_like(dy), dstate))
    same_results(back(dy, (dstate[0], None)), back(dy, (dstate[0], zeros[1])))


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("case", [TYPICAL], ids=str)
def test_gradients_are_added_to_those_that_are_passed(machine, case, dtype):
    lstm, x, state, dy, dstate = case.build(dtype)
    _, _, tape = lstm.forward(x, state, case.lengths)
    fresh = lstm.backward(tape, dy, dstate)[2]
    flat, passed = lstm.zeros_like_parameters()
    flat[:] = np.random.default_rng(3).normal(size=flat.size)
    before = {name: array.copy() for name, array in passed.items()}
    _, _, tape = lstm.forward(x, state, case.lengths)
    returned = lstm.backward(tape, dy, dstate, passed)[2]
    assert returned is passed
    for name, array in passed.items():
        assert np.shares_memory(array, flat)
        close(array - before[name], fresh[name], 1e-5 if dtype == "float32" else 1e-13)


@pytest.mark.parametrize("case", [TYPICAL], ids=str)
def test_dx_can_be_left_out(machine, case):
    lstm, x, state, dy, dstate = case.build("float64")
    whole = lstm.backward(lstm.forward(x, state, case.lengths)[2], dy, dstate)
    less = lstm.backward(lstm.forward(x, state, case.lengths)[2], dy, dstate, need_dx=False)
    assert less[0] is None
    same_results(less[1:], whole[1:])


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("case", [TYPICAL], ids=str)
def test_padding_never_changes_a_result(machine, case, dtype):
    lstm, x, state, dy, dstate = case.build(dtype)
    expected = run(lstm, case.pad(x, 0), state, case.pad(dy, 0), dstate, case.lengths)
    for value in (np.nan, np.inf, 1e30):
        same_results(run(lstm, case.pad(x, value), state, case.pad(dy, value), dstate, case.lengths), expected)
    padding = np.arange(case.T) >= np.reshape(case.lengths, (-1, 1))
    assert not expected[0][padding].any()
    assert not expected[2][padding].any()


def test_a_row_of_length_0_keeps_its_state(machine):
    lstm, x, state, dy, dstate = TYPICAL.build("float64")
    row = TYPICAL.lengths.index(0)
    _, final, _, dinitial, _ = run(lstm, x, state, dy, dstate, TYPICAL.lengths)
    for member in range(2):
        same_bits(final[member][:, row], state[member][:, row])
        same_bits(dinitial[member][:, row], dstate[member][:, row])


def test_full_lengths_are_no_lengths(machine):
    lstm, x, state, dy, dstate = FULL.build("float32")
    expected = run(lstm, x, state, dy, dstate)
    same_results(run(lstm, x, state, dy, dstate, [FULL.T] * FULL.N), expected)


def test_more_padding_changes_nothing(machine):
    lstm, x, state, dy, dstate = TYPICAL.build("float64")
    expected = run(lstm, x, state, dy, dstate, TYPICAL.lengths)
    more = [(0, 0), (0, 5), (0, 0)]
    y, final, dx, dinitial, grads = run(lstm, np.pad(x, more), state, np.pad(dy, more), dstate, TYPICAL.lengths)
    same_results((y[:, : TYPICAL.T], final, dx[:, : TYPICAL.T], dinitial), expected[:4])
    same_results(grads, expected[4])


def test_nan_in_a_row_stays_in_that_row(machine):
    lstm, x, state, _, _ = FULL.build("float32")
    spoilt = x.copy()
    spoilt[2, 3] = np.nan
    expected, y = lstm(x, state)[0], lstm(spoilt, state)[0]
    assert np.isnan(y[2]).all()  # layer 1 sees what the reverse direction of layer 0 brings from step 3
    same_bits(y[[0, 1, 3, 4, 5]], expected[[0, 1, 3, 4, 5]])


# Memory


def variants(array):
    """The same values in other places and other strides."""
    N, T, F = array.shape

    def filled(shape, *index):
        memory = np.full(shape, np.nan, array.dtype)
        memory[index] = array
        return memory[index]

    yield "offset", offset(array, array.itemsize)
    yield "unaligned", offset(array, 1)
    yield "time stride", filled((N, 2 * T, F), slice(None), slice(None, None, 2))
    yield "batch stride", filled((3 * N, T, F), slice(None, None, 3))
    yield "feature window", filled((N, T, F + 3), slice(None), slice(None), slice(2, F + 2))
    yield "time major", np.ascontiguousarray(array.swapaxes(0, 1)).swapaxes(0, 1)
    yield "backward in time", np.ascontiguousarray(array[:, ::-1])[:, ::-1]
    yield "backward in the batch", np.ascontiguousarray(array[::-1])[::-1]
    yield "feature stride", filled((N, T, 2 * F), slice(None), slice(None), slice(None, None, 2))
    yield "Fortran order", np.asfortranarray(array)
    yield "big-endian", array.astype(array.dtype.newbyteorder())


def offset(array, bytes_):
    """A copy that starts so many bytes behind an aligned address."""
    memory = np.zeros(array.nbytes + bytes_ + 64, np.uint8)
    start = -memory.ctypes.data % 64 + bytes_
    copy = memory[start : start + array.nbytes].view(array.dtype).reshape(array.shape)
    copy[...] = array
    return copy


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("case", [TYPICAL, ONE_WAY, replace(FULL, I=1)], ids=str)
def test_place_and_strides_do_not_matter(machine, case, dtype):
    lstm, x, state, dy, dstate = case.build(dtype)
    expected = run(lstm, x, state, dy, dstate, case.lengths)
    for (_, other_x), (_, other_dy) in zip(variants(x), variants(dy), strict=True):
        np.testing.assert_array_equal(other_x, x)
        same_results(run(lstm, read_only(other_x), state, read_only(other_dy), dstate, case.lengths), expected)
        same_bits(lstm(other_x, state, case.lengths)[0], expected[0])


def test_a_broadcast_input_is_that_many_equal_rows(machine):
    lstm, x, _, _, _ = FULL.build("float32")
    rows = np.broadcast_to(x[:1], x.shape)
    same_bits(lstm(rows)[0], lstm(rows.copy())[0])
    steps = np.broadcast_to(x[:, :1], x.shape)
    same_bits(lstm(steps)[0], lstm(steps.copy())[0])


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_what_has_a_unit_last_stride_is_taken_without_a_copy(dtype):
    lstm, x, _, _, _ = ONE_WAY.build(dtype)
    copied = {"unaligned", "feature stride", "Fortran order", "big-endian"}
    for name, other in variants(x):
        _, _, tape = lstm.forward(other)
        taken = tape.look(lstm).x
        assert np.shares_memory(taken, other) == (name not in copied), name


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_other_real_dtypes_are_converted(dtype):
    lstm = clstm.LSTM(3, 4, dtype=dtype, rng=0)
    numbers = np.arange(24).reshape(2, 4, 3) % 2
    expected = lstm(numbers.astype(dtype))
    for other in (bool, np.int8, np.uint16, np.int64, np.float16, np.float32, np.float64, np.longdouble):
        same_results(lstm(numbers.astype(other)), expected)
    same_results(lstm(numbers.tolist()), expected)


def test_parameters_and_gradients_start_a_cache_line():
    lstm = clstm.LSTM(3, 5)
    assert lstm.flat_parameters.ctypes.data % 64 == 0
    flat, _ = lstm.zeros_like_parameters()
    assert flat.ctypes.data % 64 == 0
    assert lstm.flat_parameters.size == sum(p.size for p in lstm.parameters().values())


def test_x_and_states_are_not_changed_and_results_are_fresh(machine):
    lstm, x, state, dy, dstate = FULL.build("float32")
    x, dy = x.copy(), dy.copy()
    arrays = [x, dy, *state, *dstate, *lstm.parameters().values()]
    before = [array.copy() for array in arrays]
    results = run(lstm, x, state, dy, dstate)
    for array, old in zip(arrays, before, strict=True):
        same_bits(array, old)
    fresh = [results[0], *results[1], results[2], *results[3], *results[4].values()]
    assert not any(np.shares_memory(a, b) for a in fresh for b in arrays)


def test_parameters_are_live_views():
    lstm = clstm.LSTM(3, 4, rng=0)
    x = np.ones((1, 2, 3), np.float32)
    before, _ = lstm(x)
    for values in lstm.parameters().values():
        values[...] = 0
    assert before.any()
    assert not lstm(x)[0].any()
    lstm.flat_parameters[:] = 1
    assert lstm(x)[0].all()


# The tape


def test_a_tape_is_used_once():
    lstm, x, state, dy, dstate = FULL.build("float32")
    _, _, tape = lstm.forward(x, state)
    lstm.backward(tape, dy, dstate)
    with pytest.raises(ValueError, match=r"tape: .* used up"):
        lstm.backward(tape, dy, dstate)


def test_a_refused_backward_leaves_tape_and_gradients():
    lstm, x, state, dy, dstate = FULL.build("float32")
    expected = run(lstm, x, state, dy, dstate)
    _, _, tape = lstm.forward(x, state)
    flat, grads = lstm.zeros_like_parameters()
    for bad in [
        (dy[:, 1:], dstate, grads),
        (dy, dstate[:1], grads),
        (dy, (dstate[0], dstate[1][1:]), grads),
        (dy, dstate, dict(list(grads.items())[1:])),
    ]:
        with pytest.raises(ValueError, match="expected"):
            lstm.backward(tape, *bad)
    assert not flat.any()
    same_results(lstm.backward(tape, dy, dstate), expected[2:])


def test_lengths_may_be_changed_after_forward():
    lstm, x, state, dy, dstate = TYPICAL.build("float32")
    expected = run(lstm, x, state, dy, dstate, TYPICAL.lengths)
    lengths = np.array(TYPICAL.lengths)
    _, _, tape = lstm.forward(x, state, lengths)
    lengths[:] = 10**6
    same_results(lstm.backward(tape, dy, dstate), expected[2:])


def test_settings_may_be_changed_between_forward_and_backward():
    lstm, x, state, dy, dstate = LARGE.build("float32")
    isas = _core.available_isas()
    for isa, backend in product(isas, ("native", "blas")):
        with settings(isa, backend, threads=2):
            expected = run(lstm, x, state, dy, dstate, LARGE.lengths)
            _, _, tape = lstm.forward(x, state, LARGE.lengths)
        with settings(isas[0] if isa == isas[-1] else isas[-1], "native", threads=7):
            same_results(lstm.backward(tape, dy, dstate), expected[2:])


# The cell


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("with_state", [False, True])
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize(("N", "I", "H"), [(1, 1, 1), (3, 5, 17), (20, 16, 8)])
def test_a_cell_is_a_sequence_of_one_step(machine, N, I, H, bias, with_state, dtype):
    cell = clstm.LSTMCell(I, H, bias=bias, dtype=dtype, rng=1)
    lstm = clstm.LSTM(I, H, bias=bias, dtype=dtype)
    lstm.load_parameters({f"{name}_l0": values for name, values in cell.parameters().items()})
    rng = np.random.default_rng(2)
    x = normal(rng, dtype, N, I)
    h, c, dy, dh, dc = (normal(rng, dtype, N, H) for _ in range(5))
    state, states = ((h, c), (h[None], c[None])) if with_state else (None, None)

    y, final, tape = cell.forward(x, state)
    same_results(cell(x, state), final)
    same_bits(y, final[0])
    dx, dinitial, grads = cell.backward(tape, dy, (dh, dc))

    y_1, final_1, tape_1 = lstm.forward(x[:, None], states)
    dx_1, dinitial_1, grads_1 = lstm.backward(tape_1, dy[:, None], (dh[None], dc[None]))
    same_bits(y, y_1[:, 0])
    same_results(final, tuple(s[0] for s in final_1))
    same_bits(dx, dx_1[:, 0])
    same_results(dinitial, tuple(s[0] for s in dinitial_1))
    assert [f"{name}_l0" for name in grads] == list(grads_1)
    same_results(tuple(grads.values()), tuple(grads_1.values()))


def test_back_propagation_through_time_by_hand_is_that_of_the_layer():
    N, T, I, H = 2, 6, 3, 5
    cell = clstm.LSTMCell(I, H, dtype="float64", rng=1)
    lstm = clstm.LSTM(I, H, dtype="float64")
    lstm.load_parameters({f"{name}_l0": values for name, values in cell.parameters().items()})
    rng = np.random.default_rng(2)
    x, dy = rng.normal(size=(N, T, I)), rng.normal(size=(N, T, H))
    state, tapes = None, []
    for t in range(T):
        _, state, tape = cell.forward(x[:, t], state)
        tapes.append(tape)
    _, grads = cell.zeros_like_parameters()
    dstate, dx = None, np.empty_like(x)
    for t in reversed(range(T)):
        dx[:, t], dstate, _ = cell.backward(tapes[t], dy[:, t], dstate, grads)
    expected_dx, expected_dstate, expected = lstm.backward(lstm.forward(x)[2], dy)
    close(dx, expected_dx, 1e-13)
    close(dstate[0], expected_dstate[0][0], 1e-13)
    close(dstate[1], expected_dstate[1][0], 1e-13)
    for name in grads:
        close(grads[name], expected[f"{name}_l0"], 1e-13)


# Starting weights


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_starting_weights_are_those_of_the_docstring(dtype):
    H = 24
    lstm = clstm.LSTM(10, H, num_layers=2, bidirectional=True, dtype=dtype, rng=3)
    for name, values in lstm.parameters().items():
        if "weight_ih" in name:
            limit = np.sqrt(6 / (4 * H + values.shape[1]))
            assert 0.9 * limit < np.abs(values).max() <= np.float32(limit)
            assert abs(values.mean()) < 0.1 * limit
        elif "weight_hh" in name:
            product_ = values.astype(float).T @ values
            np.testing.assert_allclose(product_, np.eye(H), atol=1e-6 if dtype == "float32" else 1e-14)
        else:
            np.testing.assert_array_equal(values, np.repeat([0, 1, 0, 0], H))


def test_a_seed_gives_the_same_weights_in_both_precisions():
    single, double = (clstm.LSTM(3, 4, dtype=dtype, rng=5) for dtype in ("float32", "float64"))
    np.testing.assert_array_equal(single.flat_parameters, double.flat_parameters.astype(np.float32))
    again = clstm.LSTM(3, 4, rng=np.random.default_rng(5))
    np.testing.assert_array_equal(single.flat_parameters, again.flat_parameters)
    other, fresh, fresh_again = clstm.LSTM(3, 4, rng=6), clstm.LSTM(3, 4), clstm.LSTM(3, 4)
    assert (single.flat_parameters != other.flat_parameters).any()
    assert (fresh.flat_parameters != fresh_again.flat_parameters).any()


def test_names_and_shapes_of_parameters():
    lstm = clstm.LSTM(3, 4, num_layers=2, bidirectional=True)
    assert {name: values.shape for name, values in lstm.parameters().items()} == {
        "weight_ih_l0": (16, 3),
        "weight_hh_l0": (16, 4),
        "bias_l0": (16,),
        "weight_ih_l0_reverse": (16, 3),
        "weight_hh_l0_reverse": (16, 4),
        "bias_l0_reverse": (16,),
        "weight_ih_l1": (16, 8),
        "weight_hh_l1": (16, 4),
        "bias_l1": (16,),
        "weight_ih_l1_reverse": (16, 8),
        "weight_hh_l1_reverse": (16, 4),
        "bias_l1_reverse": (16,),
    }
    assert list(clstm.LSTM(3, 4, bias=False).parameters()) == ["weight_ih_l0", "weight_hh_l0"]
    assert list(clstm.LSTMCell(3, 4).parameters()) == ["weight_ih", "weight_hh", "bias"]


# Numbers that fade away


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_denormal_numbers_are_zero_inside_and_only_there(machine, dtype):
    least = np.finfo(dtype).tiny
    lstm = clstm.LSTM(3, 17, dtype=dtype, rng=0)
    x, dy = np.full((2, 5, 3), least / 4), np.full((2, 5, 17), least / 4)
    assert x.dtype.type(least) / 4 > 0
    for faint, nothing in ((x, np.zeros_like(x)), (-x, np.zeros_like(x))):
        (y, final, tape), (y_0, final_0, tape_0) = lstm.forward(faint), lstm.forward(nothing)
        same_results((y, final), (y_0, final_0))
        same_results(lstm(faint), lstm(nothing))
        same_results(lstm.backward(tape, dy), lstm.backward(tape_0, np.zeros_like(dy)))
        same_bits(lstm.stream(batch=2).step(faint[:, 0]), lstm.stream(batch=2).step(nothing[:, 0]))
    assert np.asarray(least, dtype) / 4 > 0  # afterwards, the mode is what it was
