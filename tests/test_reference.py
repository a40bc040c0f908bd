"""Proof of the reference: every gradient against the complex step, the forward against arithmetic
done by hand and against its own symmetries, the optimisers against worked numbers.

All arrays that go in are read-only, and wherever rows have lengths their padding is full of NaN:
one read of the padding, or one write into an argument, fails a test.
"""

import math
from dataclasses import dataclass
from functools import partial
from itertools import product

import cases
import numpy as np
import pytest
import reference_training as training
from cases import pad, read_only
from reference import complex_step, lstm_backward, lstm_forward, sigmoid, trace


def assert_close(actual, expected):
    """Equal to rounding; shape and dtype too; no NaN on either side."""
    strictly = {"equal_nan": False, "strict": True}
    np.testing.assert_allclose(actual, expected, rtol=1e-12, atol=1e-14, **strictly)


def normal(rng, *shape):
    return read_only(rng.standard_normal(shape))


@dataclass(frozen=True)
class Case(cases.Case):
    """A problem for the reference, small because the complex step takes each parameter by itself."""

    T: int = 4
    I: int = 5
    H: int = 2

    def sizes(self):
        return super().sizes() | {"lengths": self.lengths}

    def params(self, rng):
        params = {}
        D = 1 + self.bidirectional
        for layer, suffix in product(range(self.L), ("", "_reverse")[:D]):
            width = self.I if layer == 0 else D * self.H
            params[f"weight_ih_l{layer}{suffix}"] = normal(rng, 4 * self.H, width)
            params[f"weight_hh_l{layer}{suffix}"] = normal(rng, 4 * self.H, self.H)
            if self.bias:
                params[f"bias_l{layer}{suffix}"] = normal(rng, 4 * self.H)
        return params

    def build(self):
        """x, params, state, dy, dstate; x and dy with NaN in the padding."""
        rng = np.random.default_rng(self.seed)
        D = 1 + self.bidirectional
        x, dy = normal(rng, self.N, self.T, self.I), normal(rng, self.N, self.T, D * self.H)
        if self.lengths is not None:
            x, dy = pad(x, self.lengths), pad(dy, self.lengths)
        h0, c0, dh, dc = (normal(rng, self.L * D, self.N, self.H) for _ in range(4))
        if not self.with_state:
            h0, c0 = read_only(np.zeros_like(h0)), read_only(np.zeros_like(c0))
        return x, self.params(rng), (h0, c0), dy, (dh, dc)


EVERY_OPTION = [
    Case(L=L, bidirectional=bidirectional, with_state=state, lengths=lengths, bias=bias)
    for L, bidirectional, state, lengths, bias in product(
        (1, 2), (False, True), (False, True), (None, (1, 4, 0)), (False, True)
    )
]
two_layers_two_ways = partial(Case, L=2, bidirectional=True)
EDGE_SIZES = [
    two_layers_two_ways(N=1, seed=2),
    two_layers_two_ways(N=1, lengths=(2,), seed=3),
    two_layers_two_ways(N=1, lengths=(0,), seed=4),
    two_layers_two_ways(T=1, seed=5),
    two_layers_two_ways(T=1, lengths=(1, 0, 1), seed=6),
    two_layers_two_ways(I=1, seed=7),
    two_layers_two_ways(H=1, seed=8),
    two_layers_two_ways(H=1, lengths=(3, 0, 1), seed=9),
    two_layers_two_ways(N=1, T=1, I=1, H=1, seed=10),
    two_layers_two_ways(N=4, T=6, I=2, H=3, lengths=(6, 1, 0, 4), seed=11),
    two_layers_two_ways(T=3, lengths=(0, 0, 0), seed=12),
]
EVERYTHING = two_layers_two_ways(N=4, T=5, I=2, H=3, lengths=(2, 5, 0, 1), seed=20)


def test_complex_step_finds_derivatives_known_in_closed_form():
    x, y = np.array([[0.5, -2.0, 3.0]]), np.array(0.7)
    dx, dy = complex_step(lambda x, y: (x**3).sum() * np.sin(y), x, y)
    assert_close(dx, 3 * x**2 * np.sin(y))
    assert_close(dy, np.array((x**3).sum() * np.cos(0.7)))


def test_sigmoid_is_the_logistic_function_and_saturates():
    z = np.array([-3.0, -0.5, 0.0, 1.0, 4.0])
    assert_close(sigmoid(z), 1 / (1 + np.exp(-z)))
    np.testing.assert_array_equal(sigmoid(np.array([-np.inf, -800, 800, np.inf])), [0, 0, 1, 1])


def test_one_unit_by_hand():
    params = {
        "weight_ih_l0": np.array([[0.1], [0.2], [0.3], [0.4]]),
        "weight_hh_l0": np.array([[-0.5], [0.6], [-0.7], [0.8]]),
        "bias_l0": np.array([0.01, 1.02, 0.03, -0.04]),
    }
    h, c = 0.25, -0.75
    y, (h_n, c_n), _ = lstm_forward(
        np.array([[[1.5], [-2.0]]]),
        params,
        hidden_size=1,
        state=(np.full((1, 1, 1), h), np.full((1, 1, 1), c)),
    )
    for t, x in enumerate((1.5, -2.0)):
        i = 1 / (1 + math.exp(-(0.1 * x - 0.5 * h + 0.01)))
        f = 1 / (1 + math.exp(-(0.2 * x + 0.6 * h + 1.02)))
        g = math.tanh(0.3 * x - 0.7 * h + 0.03)
        o = 1 / (1 + math.exp(-(0.4 * x + 0.8 * h - 0.04)))
        c = f * c + i * g
        h = o * math.tanh(c)
        assert y[0, t, 0] == pytest.approx(h, rel=1e-14)
    assert h_n[0, 0, 0] == pytest.approx(h, rel=1e-14)
    assert c_n[0, 0, 0] == pytest.approx(c, rel=1e-14)


@pytest.mark.parametrize("case", EVERY_OPTION + EDGE_SIZES, ids=str)
def test_every_gradient_is_the_complex_step(case):
    x, params, state, dy, dstate = case.build()
    valid = ~np.isnan(dy)

    def loss(x, h0, c0, *values):
        moved = dict(zip(params, values, strict=True))
        y, (h, c), _ = lstm_forward(x, moved, state=(h0, c0), **case.sizes())
        return (dy * y)[valid].sum() + (dstate[0] * h).sum() + (dstate[1] * c).sum()

    given = state if case.with_state else None
    _, _, tape = lstm_forward(x, params, state=given, **case.sizes())
    dx, (dh0, dc0), grads = lstm_backward(tape, dy, dstate)

    assert list(grads) == list(params)
    exact_dx, exact_dh0, exact_dc0, *exact = complex_step(loss, x, *state, *params.values())
    assert_close(dx, exact_dx)
    assert_close(dh0, exact_dh0)
    assert_close(dc0, exact_dc0)
    for name, gradient in zip(params, exact, strict=True):
        assert_close(grads[name], gradient)


@pytest.mark.parametrize("case", [EVERYTHING], ids=str)
def test_no_state_is_a_zero_state_and_no_dstate_a_zero_gradient(case):
    x, params, state, dy, _ = case.build()
    zeros = tuple(np.zeros_like(s) for s in state)
    y, final, tape = lstm_forward(x, params, **case.sizes())
    y_zeros, final_zeros, tape_zeros = lstm_forward(x, params, state=zeros, **case.sizes())
    np.testing.assert_array_equal(y, y_zeros)
    np.testing.assert_array_equal(final, final_zeros)

    dx, dstate0, grads = lstm_backward(tape, dy)
    dx_zeros, dstate0_zeros, grads_zeros = lstm_backward(tape_zeros, dy, zeros)
    np.testing.assert_array_equal(dx, dx_zeros)
    np.testing.assert_array_equal(dstate0, dstate0_zeros)
    np.testing.assert_equal(grads, grads_zeros)


@pytest.mark.parametrize("case", [Case(lengths=(2, 4, 0), seed=21)], ids=str)
def test_the_reverse_direction_is_the_forward_direction_on_reversed_rows(case):
    x, params, (h0, c0), *_ = case.build()
    both = params | {f"{name}_reverse": value for name, value in params.items()}
    options = case.sizes() | {"bidirectional": True}
    twice = np.concatenate([h0, h0]), np.concatenate([c0, c0])
    y, (h, c), _ = lstm_forward(x, both, state=twice, **options)
    for n, length in enumerate(case.lengths):
        row = slice(n, n + 1)
        y_n, (h_n, c_n), _ = lstm_forward(
            x[row, :length][:, ::-1], params, state=(h0[:, row], c0[:, row]), hidden_size=case.H
        )
        assert_close(y[row, :length, case.H :], y_n[:, ::-1])
        assert_close(h[1:, row], h_n)
        assert_close(c[1:, row], c_n)


@pytest.mark.parametrize("case", [EVERYTHING], ids=str)
def test_the_second_layer_reads_the_first_layers_output(case):
    x, params, (h0, c0), *_ = case.build()
    y, (h, c), _ = lstm_forward(x, params, state=(h0, c0), **case.sizes())
    options = case.sizes() | {"num_layers": 1}
    between = x
    for layer in (0, 1):
        own = {name.replace("l1", "l0"): p for name, p in params.items() if f"l{layer}" in name}
        part = slice(2 * layer, 2 * layer + 2)
        between, (h_l, c_l), _ = lstm_forward(between, own, state=(h0[part], c0[part]), **options)
        np.testing.assert_array_equal(h[part], h_l)
        np.testing.assert_array_equal(c[part], c_l)
    np.testing.assert_array_equal(y, between)


@pytest.mark.parametrize("case", [EVERYTHING], ids=str)
def test_each_row_is_what_it_would_be_alone_and_unpadded(case):
    x, params, (h0, c0), dy, (dh, dc) = case.build()
    y, (h, c), tape = lstm_forward(x, params, state=(h0, c0), **case.sizes())
    dx, (dh0, dc0), grads = lstm_backward(tape, dy, (dh, dc))
    sums = {name: np.zeros_like(value) for name, value in params.items()}
    for n, length in enumerate(case.lengths):
        row = slice(n, n + 1)
        y_n, state_n, tape_n = lstm_forward(
            x[row, :length],
            params,
            state=(h0[:, row], c0[:, row]),
            **case.sizes() | {"lengths": None},
        )
        dx_n, dstate_n, grads_n = lstm_backward(tape_n, dy[row, :length], (dh[:, row], dc[:, row]))
        assert_close(y[row, :length], y_n)
        assert_close(h[:, row], state_n[0])
        assert_close(c[:, row], state_n[1])
        assert_close(dx[row, :length], dx_n)
        assert_close(dh0[:, row], dstate_n[0])
        assert_close(dc0[:, row], dstate_n[1])
        for name in params:
            sums[name] += grads_n[name]
    for name in params:
        assert_close(grads[name], sums[name])


@pytest.mark.parametrize("value", [0.0, 1e300, np.inf])
@pytest.mark.parametrize("case", [EVERYTHING], ids=str)
def test_what_stands_in_the_padding_changes_no_bit(case, value):
    x, params, state, dy, dstate = case.build()
    results = []
    for filler in (np.nan, value):
        x_filled, dy_filled = pad(x, case.lengths, filler), pad(dy, case.lengths, filler)
        y, final, tape = lstm_forward(x_filled, params, state=state, **case.sizes())
        results.append((y, final, *lstm_backward(tape, dy_filled, dstate)))
    np.testing.assert_equal(*results)
    y, _, dx, _, _ = results[0]
    for result in (y, dx):
        np.testing.assert_array_equal(pad(result, case.lengths, 0.0), result)


@pytest.mark.parametrize("case", [EVERYTHING], ids=str)
def test_a_row_of_length_zero_hands_its_state_and_its_gradient_through(case):
    x, params, state, dy, dstate = case.build()
    empty = case.lengths.index(0)
    _, final, tape = lstm_forward(x, params, state=state, **case.sizes())
    _, dstate0, _ = lstm_backward(tape, dy, dstate)
    for before, after in zip(state + dstate, final + dstate0, strict=True):
        np.testing.assert_array_equal(before[:, empty], after[:, empty])


@pytest.mark.parametrize("cut", range(6))
@pytest.mark.parametrize("case", [Case(T=5, L=2, seed=22)], ids=str)
def test_cutting_the_sequence_with_carried_state_changes_nothing(case, cut):
    x, params, state, dy, dstate = case.build()
    y, final, tape = lstm_forward(x, params, state=state, **case.sizes())
    dx, dstate0, grads = lstm_backward(tape, dy, dstate)

    y_a, carried, tape_a = lstm_forward(x[:, :cut], params, state=state, **case.sizes())
    y_b, final_b, tape_b = lstm_forward(x[:, cut:], params, state=carried, **case.sizes())
    dx_b, dcarried, grads_b = lstm_backward(tape_b, dy[:, cut:], dstate)
    dx_a, dstate0_a, grads_a = lstm_backward(tape_a, dy[:, :cut], dcarried)

    assert_close(np.concatenate([y_a, y_b], axis=1), y)
    assert_close(np.stack(final_b), np.stack(final))
    assert_close(np.concatenate([dx_a, dx_b], axis=1), dx)
    assert_close(np.stack(dstate0_a), np.stack(dstate0))
    for name in params:
        assert_close(grads_a[name] + grads_b[name], grads[name])


@pytest.mark.parametrize(("layer", "direction"), [(0, 0), (0, 1), (1, 0), (1, 1)])
@pytest.mark.parametrize("case", [EVERYTHING], ids=str)
def test_the_trace_obeys_the_equations(case, layer, direction):
    x, params, state, *_ = case.build()
    y, (_, c), tape = lstm_forward(x, params, state=state, **case.sizes())
    seen = trace(tape, layer, direction)
    k = 2 * layer + direction
    for n, length in enumerate(case.lengths):
        c_prev = state[1][k, n]
        order = range(length)
        for t in reversed(order) if direction else order:
            assert_close(seen.c[n, t], seen.f[n, t] * c_prev + seen.i[n, t] * seen.g[n, t])
            c_prev = seen.c[n, t]
        np.testing.assert_array_equal(c_prev, c[k, n])
    assert_close(seen.h, seen.o * np.tanh(seen.c))
    for values in seen:
        np.testing.assert_array_equal(pad(values, case.lengths, 0.0), values)
    if layer == 1:
        np.testing.assert_array_equal(seen.h, np.split(y, 2, axis=2)[direction])


@pytest.mark.parametrize("case", [EVERYTHING], ids=str)
def test_float32_stays_float32(case):
    def single(arrays):
        return tuple(a.astype(np.float32) for a in arrays)

    x, params, state, dy, dstate = case.build()
    params = dict(zip(params, single(params.values()), strict=True))
    (x, dy), state, dstate = single((x, dy)), single(state), single(dstate)
    y, final, tape = lstm_forward(x, params, state=state, **case.sizes())
    dx, dstate0, grads = lstm_backward(tape, dy, dstate)
    results = [y, dx, *final, *dstate0, *grads.values(), *trace(tape)]
    assert {result.dtype for result in results} == {np.dtype(np.float32)}


@pytest.mark.parametrize("with_bias", [True, False], ids=["bias", "nobias"])
@pytest.mark.parametrize("leading", [(), (3,), (2, 3)], ids=["I4-O2", "N3-I4-O2", "N2-T3-I4-O2"])
@pytest.mark.parametrize("seed", [30], ids="seed{}".format)
def test_dense_gradients_are_the_complex_step(leading, with_bias, seed):
    rng = np.random.default_rng(seed)
    x, w, dy = normal(rng, *leading, 4), normal(rng, 2, 4), normal(rng, *leading, 2)
    b = normal(rng, 2) if with_bias else np.zeros(2)
    assert_close(training.dense_forward(x, w, b), np.einsum("...i,oi->...o", x, w) + b)
    exact = complex_step(lambda x, w, b: (dy * training.dense_forward(x, w, b)).sum(), x, w, b)
    for gradient, expected in zip(training.dense_backward(dy, x, w), exact, strict=True):
        assert_close(gradient, expected)
    if not with_bias:
        np.testing.assert_array_equal(training.dense_forward(x, w), training.dense_forward(x, w, b))


@pytest.mark.parametrize("seed", [31], ids="N2-T3-V4-E3-seed{}".format)
def test_embedding_gradient_is_the_complex_step(seed):
    rng = np.random.default_rng(seed)
    indices = np.array([[0, 2, 2], [3, 2, 0]])  # repeated indices; 1 never occurs
    w, dy = normal(rng, 4, 3), normal(rng, 2, 3, 3)
    np.testing.assert_array_equal(training.embedding_forward(indices, w)[1, 0], w[3])
    (exact,) = complex_step(lambda w: (dy * training.embedding_forward(indices, w)).sum(), w)
    assert_close(training.embedding_backward(dy, indices, w), exact)


@pytest.mark.parametrize("bidirectional", [False, True], ids=["D1", "D2"])
@pytest.mark.parametrize("lengths", [None, (2, 4, 0, 1)], ids=["full", "lengths2_4_0_1"])
@pytest.mark.parametrize("mode", ["last", "mean", "max"])
@pytest.mark.parametrize("seed", [32], ids="N4-T4-F6-seed{}".format)
def test_pool_gradient_is_the_complex_step(mode, lengths, bidirectional, seed):
    rng = np.random.default_rng(seed)
    x, dy = normal(rng, 4, 4, 6), normal(rng, 4, 6)
    x = x if lengths is None else pad(x, lengths)
    how = mode, lengths, bidirectional
    (exact,) = complex_step(lambda x: (dy * training.pool_forward(x, *how)).sum(), x)
    assert_close(training.pool_backward(dy, x, *how), exact)


def test_pool_by_hand():
    x = np.array([[[1.0, 8.0], [5.0, 8.0], [3.0, 2.0]], [[7.0, 7.0]] * 3])
    lengths = [3, 0]
    np.testing.assert_array_equal(training.pool_forward(x, "last", lengths), [[3, 2], [0, 0]])
    np.testing.assert_array_equal(training.pool_forward(x, "last", lengths, True), [[3, 8], [0, 0]])
    np.testing.assert_array_equal(training.pool_forward(x, "mean", lengths), [[3, 6], [0, 0]])
    np.testing.assert_array_equal(training.pool_forward(x, "max", lengths), [[5, 8], [0, 0]])
    dx = training.pool_backward(np.ones((2, 2)), x, "max", lengths)
    np.testing.assert_array_equal(dx, [[[0, 1], [1, 0], [0, 0]], [[0, 0]] * 3])  # the first 8


@pytest.mark.parametrize(
    ("shape", "lengths"),
    [((3, 2), None), ((3, 4, 2), None), ((3, 4, 2), (1, 4, 0)), ((3, 4, 2), (0, 0, 0))],
    ids=["N3-F2", "N3-T4-F2", "N3-T4-F2-lengths1_4_0", "N3-T4-F2-lengths0_0_0"],
)
@pytest.mark.parametrize("loss", [training.mse, training.cross_entropy], ids=lambda f: f.__name__)
@pytest.mark.parametrize("seed", [33], ids="seed{}".format)
def test_loss_gradient_is_the_complex_step(loss, shape, lengths, seed):
    rng = np.random.default_rng(seed)
    prediction, target = normal(rng, *shape), normal(rng, *shape)
    if lengths is not None:
        prediction, target = pad(prediction, lengths), pad(target, lengths)
    if loss is training.cross_entropy:
        target = np.where(np.isnan(target[..., 0]), -99, rng.integers(shape[-1], size=shape[:-1]))
    (exact,) = complex_step(lambda p: loss(p, target, lengths)[0], prediction)
    value, gradient = loss(prediction, target, lengths)
    assert np.isfinite(value)
    assert_close(gradient, exact)


def test_losses_by_hand():
    prediction, target = np.array([[[1.0], [2.0]], [[5.0], [9.0]]]), np.zeros((2, 2, 1))
    assert training.mse(prediction, target)[0] == (1 + 4 + 25 + 81) / 4
    assert training.mse(prediction, target, lengths=[2, 1])[0] == (1 + 4 + 25) / 3
    assert training.mse(prediction, target, lengths=[0, 0])[0] == 0

    logits = np.log([[[1.0, 3.0], [1.0, 1.0]], [[2.0, 6.0], [1.0, 9.0]]]) + 1000
    target = np.array([[1, 0], [0, 0]])  # probabilities 3/4, 1/2, 1/4, 1/10
    by_hand = [
        (training.cross_entropy(logits, target), -math.log(3 / 4 / 2 / 4 / 10) / 4),
        (training.cross_entropy(logits, target, lengths=[2, 1]), -math.log(3 / 4 / 2 / 4) / 3),
        (training.cross_entropy(logits[:, 1], target[:, 1]), -math.log(1 / 2 / 10) / 2),
    ]
    for (loss, _), expected in by_hand:
        assert loss == pytest.approx(expected, rel=1e-12)


SGD = training.sgd_step
ADAM = partial(training.adam_step, lr=0.1, betas=(0.5, 0.75), eps=1.0)
ADAMW = partial(ADAM, decoupled=True)
DECAYED = 0.95 - 1 / 15
RMSPROP = partial(training.rmsprop_step, lr=0.1, alpha=0.75, eps=1.0)
ADAGRAD = partial(training.adagrad_step, lr=0.1, eps=1.0)


@pytest.mark.parametrize(
    ("step", "options", "start", "gradients", "expected"),
    [
        (SGD, {"lr": 0.1}, 1, (1, 2), (0.9, 0.7)),
        # v = 1, then 0.9 + 2 = 2.9
        (SGD, {"lr": 0.1, "momentum": 0.9}, 1, (1, 2), (0.9, 0.61)),
        # update 1 + 0.9 * 1 = 1.9, then 2 + 0.9 * 2.9 = 4.61
        (SGD, {"lr": 0.1, "momentum": 0.9, "nesterov": True}, 1, (1, 2), (0.81, 0.349)),
        # g = 1 + 0.1 * 2 = 1.2, then 0.14; v = 1.2 / 2 + 0.14 = 0.74
        (SGD, {"lr": 0.5, "momentum": 0.5, "weight_decay": 0.1}, 2, (1, 0), (1.4, 1.03)),
        # v = 1, then 1 / 2 + 2 / 2 = 1.5
        (SGD, {"lr": 0.1, "momentum": 0.5, "dampening": 0.5}, 1, (1, 2), (0.9, 0.75)),
        # m = 1, v = 1, corrected 2 and 4: 0.1 * 2 / (2 + 1) = 1/15;
        # m = -1/2, v = 7/4, corrected -2/3 and 4: 0.1 * -2/3 / 3 = -1/45
        (ADAM, {}, 1, (2, -2), (14 / 15, 43 / 45)),
        # the decay joins the gradient: 1.5 + 0.5 * 1 = 2, then -2
        (ADAM, {"weight_decay": 0.5}, 1, (1.5, -2 - 7 / 15), (14 / 15, 43 / 45)),
        # the decay takes 0.1 * 0.5 of the parameter, and the gradient knows nothing of it
        (ADAMW, {"weight_decay": 0.5}, 1, (2, -2), (DECAYED, 0.95 * DECAYED + 1 / 45)),
        # as Adam; then m = 1/2, v = 3/4, but the largest is 1: corrected 2/3 and 16/7
        (partial(ADAM, amsgrad=True), {}, 1, (2, 0), (14 / 15, 14 / 15 - 1 / 15 / (4 / math.sqrt(7) + 1))),
        # mean squares 1 and 1: 2 / (1 + 1) = 1, then 1 / 2
        (RMSPROP, {}, 1, (2, 1), (0.9, 0.85)),
        # 1, then 1 / 2 + 1 / 2 = 1
        (RMSPROP, {"momentum": 0.5}, 1, (2, 1), (0.9, 0.8)),
        # mean squares 1 and 7/4, means 1/2 and 7/8: variances 3/4 and 63/64
        (
            partial(RMSPROP, centered=True),
            {},
            1,
            (2, 2),
            (1 - 0.2 / (math.sqrt(3 / 4) + 1), 1 - 0.2 / (math.sqrt(3 / 4) + 1) - 0.2 / (math.sqrt(63 / 64) + 1)),
        ),
        # sums 9 and 25: 3 / (3 + 1), then 4 / (5 + 1)
        (ADAGRAD, {}, 1, (3, 4), (0.925, 0.925 - 1 / 15)),
        (ADAGRAD, {"lr_decay": 1}, 1, (3, 4), (0.925, 0.925 - 1 / 30)),
        # sums 16 and 25
        (ADAGRAD, {"initial": 7}, 1, (3, 3), (0.94, 0.89)),
        # rates 1/2 and 1/3: 1 - 1/2 - 1/2 = 0, then 0 - 3/3
        (training.asgd_step, {"lr": 0.5, "lambd": 1, "alpha": 1}, 1, (1, 3), (0.0, -1.0)),
    ],
    ids=["sgd", "momentum", "nesterov", "sgd-decay", "dampening", "adam", "adam-decay", "adamw", "amsgrad", "rmsprop"]
    + ["rmsprop-momentum", "rmsprop-centered", "adagrad", "adagrad-decay", "adagrad-initial", "asgd"],
)
def test_optimisers_by_hand(step, options, start, gradients, expected):
    params, state = {"w": read_only(np.array([[float(start)]])), "b": np.array([7.0])}, {}
    for gradient, value in zip(gradients, expected, strict=True):
        grads = {"w": np.array([[float(gradient)]]), "b": np.array([1.0])}
        params, state = step(params, grads, state, **options)
        assert_close(params["w"], np.array([[value]]))
    assert params["b"] < 7


def test_averages_by_hand():
    params, state, found = {"w": np.array([0.0])}, {}, []
    for gradient in (-2, -2, 2, -2, -4):
        grads = {"w": np.array([float(gradient)])}
        params, state = training.asgd_step(params, grads, state, lr=0.5, lambd=0, t0=1)
        found.append(state["average"]["w"][0])
    # the weights 1 2 1 2 4; up to the third step the last, then the mean of what follows on the second
    assert_close(np.array(found), np.array([1, 2, 1, 3 / 2, 7 / 3]))


def test_clipping_by_hand():
    grads = {"a": np.array([3.0]), "b": np.array([[0.0, 4.0]])}
    clipped, norm = training.clip_by_global_norm(grads, max_norm=1.0)
    assert norm == 5
    assert_close(clipped["a"], np.array([3 / 5.000001]))
    assert_close(clipped["b"], np.array([[0, 4 / 5.000001]]))
    untouched, _ = training.clip_by_global_norm(grads, max_norm=10.0)
    np.testing.assert_equal(untouched, grads)
