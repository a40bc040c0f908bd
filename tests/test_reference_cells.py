"""Proof of the reference of all cells: every gradient of every option against the complex step; the forward against
formulas written out a second time, one row and one step at a time, and against what must not or must change it.

All arrays that go in are read-only, and wherever rows have lengths their padding is full of NaN: one read of the
padding, or one write into an argument, fails a test.
"""

import math
import random
from dataclasses import dataclass, fields, replace
from functools import partial
from itertools import product
from typing import NamedTuple

import numpy as np
import pytest
import reference
from cases import pad, read_only
from reference import complex_step, sigmoid
from reference_cells import (
    ACTIVATIONS,
    Options,
    backward,
    backward_with_totals,
    cells,
    forward,
    gradient_norms,
    is_valid,
    layer_norm_forward,
    parameter_shapes,
    state_gradients,
    trace,
)

KINDS = ("lstm", "gru", "rnn")
NOISES = ("added", "input", "recurrent", "weight", "zone_h", "zone_c")
LENGTHS = (1, 3, 0)
LSTM, GRU, RNN = (partial(Options, kind, 2) for kind in KINDS)


def close(actual, expected, tolerance=1e-10):
    """Equal to `tolerance` of the largest entry, or of 1e-4 if all are smaller; shape too; no NaN.

    Where all is that small, larger numbers have cancelled out (a gate is saturated, or the units of a layer norm are
    nearly equal), and what they were rounded by remains.
    """
    assert actual.shape == expected.shape
    assert np.isfinite(actual).all()
    largest = np.abs(expected).max(initial=1e-4)
    assert np.abs(actual - expected).max(initial=0) <= tolerance * largest


def all_close(actual, expected, tolerance=1e-10):
    """`close` for dicts with the same keys and for tuples."""
    if isinstance(expected, dict):
        assert list(actual) == list(expected)
        actual, expected = actual.values(), expected.values()
    for a, b in zip(actual, expected, strict=True):
        close(a, b, tolerance)


def normal(rng, *shape):
    return read_only(rng.standard_normal(shape))


class Problem(NamedTuple):
    """What goes into one forward and backward."""

    x: np.ndarray
    params: dict
    options: Options
    given: dict
    dy: np.ndarray
    dstate: tuple
    dc_all: np.ndarray

    def forward(self, **changed):
        return forward(self.x, self.params, self.options, **self.given | changed)

    def backward(self, tape):
        return backward(tape, self.dy, self.dstate, self.dc_all)


@dataclass(frozen=True)
class Case:
    """Options, sizes, kinds of noise and the seed of one problem; its str is the test id."""

    options: Options
    N: int = 2
    T: int = 3
    I: int = 2
    lengths: tuple = None
    noise: tuple = ()
    with_state: bool = True
    seed: int = 1

    def __str__(self):
        standard = Options(self.options.kind, 0)
        names = [field.name for field in fields(Options)[2:]]
        changed = [name for name in names if getattr(self.options, name) != getattr(standard, name)]
        return "-".join(
            [
                self.options.kind,
                *(f"{name}={getattr(self.options, name)}" for name in changed),
                *self.noise,
                f"N{self.N}-T{self.T}-I{self.I}-H{self.options.hidden_size}",
                "state" if self.with_state else "nostate",
                "lengths" + "_".join(map(str, self.lengths)) if self.lengths else "full",
                f"seed{self.seed}",
            ]
        )

    @property
    def number(self):
        """Of pairs of a layer and a direction."""
        return self.options.num_layers * len(self.options.suffixes)

    def pad(self, array):
        return array if self.lengths is None else pad(array, self.lengths)

    def masks(self, rng, key):
        """The arrays of one kind of noise, in all the forms they may have."""
        options, N, T = self.options, self.N, self.T
        rows, R = len(options.gates) * options.hidden_size, options.output_size

        def dropout(*shape):
            return read_only(rng.choice([0, 0.5, 2.0], size=shape))

        if key == "added":
            return self.pad(normal(rng, N, T, self.I))
        if key == "input":
            widths = [self.I, options.merged_size, options.merged_size]
            forms = [self.pad(dropout(N, T, widths[0])), dropout(N, 1, widths[1]), None]
            return forms[: options.num_layers]
        if key in ("recurrent", "weight"):
            shape = (N, R) if key == "recurrent" else (rows, R)
            return [None if index == 3 else dropout(*shape) for index in range(self.number)]
        size = R if key == "zone_h" else options.hidden_size
        every = [self.pad(read_only(rng.random((N, T, size)))) for _ in range(self.number)]
        return [(zone, 0.25, None)[index % 3] for index, zone in enumerate(every)]

    def build(self):
        rng, options = np.random.default_rng(self.seed), self.options
        N, T, D = self.N, self.T, len(options.suffixes)
        params = {name: normal(rng, *shape) for name, shape in parameter_shapes(options, self.I)}
        state, dstate = (tuple(normal(rng, self.number, N, size) for size in options.state_sizes) for _ in range(2))
        if not self.with_state:
            state = tuple(read_only(np.zeros_like(part)) for part in state)
        noise = {key: self.masks(rng, key) for key in self.noise}
        lstm = options.kind == "lstm"
        return Problem(
            self.pad(normal(rng, N, T, self.I)),
            params,
            options,
            {"state": state, "lengths": self.lengths, "noise": noise},
            self.pad(normal(rng, N, T, options.y_size)),
            dstate,
            self.pad(normal(rng, N, T, D * options.hidden_size)) if lstm else None,
        )


def options_of(kind):
    """Each option alone, and what only means something beside another one."""
    common = [
        {},
        {"bias": False},
        {"go_backwards": True},
        {"num_layers": 2},
        {"num_layers": 2, "go_backwards": True},
        {"clip": 0.5},
        *({"candidate_activation": name} for name in ACTIVATIONS),
        *({"bidirectional": True, "merge": merge} for merge in ("concat", "sum", "mean", "product")),
        *({"bidirectional": True, "merge": merge, "num_layers": 2} for merge in ("concat", "product")),
    ]
    gates = [{"gate_activation": name} for name in ACTIVATIONS]
    lstm = [
        {"peephole": True},
        {"coupled": True},
        {"coupled": True, "peephole": True},
        {"forget_gate": False},
        {"forget_gate": False, "peephole": True},
        {"proj_size": 1},
        {"proj_size": 3},
        {"proj_size": 3, "bidirectional": True, "merge": "sum", "num_layers": 2},
        {"layer_norm": True},
        {"layer_norm": True, "bias": False},
        {"layer_norm": True, "hidden_size": 1},
        {"layer_norm": True, "hidden_size": 3, "peephole": True},
        {"cell_clip": 0.6},
        {"cell_clip": 0.6, "peephole": True},
        {"clip": 0.5, "peephole": True},
        {"output": "c"},
        {"output": "c", "proj_size": 3, "cell_clip": 0.6},
        {"output": "c", "layer_norm": True, "bidirectional": True},
        {"output": "c", "proj_size": 3, "bidirectional": True, "merge": "product", "num_layers": 2},
        *({"output_activation": name} for name in ACTIVATIONS),
    ]
    gru = [{"reset_after": False}, {"reset_after": False, "bias": False}, {"reset_after": False, "clip": 0.5}]
    return common + {"lstm": gates + lstm, "gru": gates + gru, "rnn": []}[kind]


def every_option():
    for kind in KINDS:
        for changed in options_of(kind):
            options = Options(kind, **{"hidden_size": 2} | changed)
            yield Case(options, T=2)
            if not any(name.endswith("activation") for name in changed):
                yield Case(options, N=3, lengths=LENGTHS)


def every_noise():
    for kind, noise, lengths in product(KINDS, NOISES, (None, LENGTHS)):
        if noise != "zone_c" or kind == "lstm":
            options = Options(kind, 2, num_layers=2, bidirectional=lengths is None)
            yield Case(options, N=3 if lengths else 2, T=3 if lengths else 2, lengths=lengths, noise=(noise,))


def drawn(seed):
    """A random combination of everything."""
    draw = random.Random(seed)
    kind, L = draw.choice(["lstm", "lstm", "lstm", "gru", "rnn"]), draw.choice([1, 1, 1, 2, 2, 3])
    bidirectional = draw.random() < 0.3 and L < 3
    many = L * (1 + bidirectional) > 2  # the complex step takes each parameter by itself: many are made smaller
    N, T = draw.randint(1, 3), draw.randint(1, 3 if many else 4)

    def often():
        return draw.random() < 0.5

    options = {
        "hidden_size": draw.randint(1, 2 if many else 3),
        "num_layers": L,
        "bidirectional": bidirectional,
        "bias": draw.random() < 0.7,
        "merge": draw.choice(["concat", "sum", "mean", "product"]),
        "go_backwards": often() and not bidirectional,
        "clip": draw.choice([None, None, 1.5]),
        "gate_activation": draw.choice(["sigmoid", *ACTIVATIONS]),
        "candidate_activation": draw.choice(["tanh", *ACTIVATIONS]),
    }
    if kind == "lstm":
        forget = draw.choice([{}, {}, {"coupled": True}, {"forget_gate": False}])
        options |= forget | {
            "peephole": often(),
            "proj_size": draw.choice([0, 0, 1, 2, 3]),
            "layer_norm": draw.random() < 0.3,
            "cell_clip": draw.choice([None, None, 0.9]),
            "output_activation": draw.choice(["tanh", *ACTIVATIONS]),
            "output": "h" if seed % 3 else "c",
        }
    if kind == "gru":
        options["reset_after"] = often()
    return Case(
        Options(kind, **options),
        N=N,
        T=T,
        I=draw.randint(1, 3),
        lengths=tuple(draw.randint(0, T) for _ in range(N)) if often() else None,
        noise=tuple(key for key in NOISES if draw.random() < 0.4 and (key != "zone_c" or kind == "lstm")),
        with_state=draw.random() < 0.7,
        seed=seed,
    )


DRAWN = [drawn(seed) for seed in range(100, 200)]
EVERYTHING = [
    Case(
        LSTM(num_layers=2, bidirectional=True, merge="product", peephole=True, proj_size=3, layer_norm=True, clip=2.0),
        N=4,
        T=4,
        lengths=(2, 4, 0, 1),
        noise=NOISES,
    ),
    Case(GRU(num_layers=2, bidirectional=True, merge="sum"), N=4, T=4, lengths=(2, 4, 0, 1), noise=NOISES[:-1]),
    Case(RNN(num_layers=2, go_backwards=True), N=4, T=4, lengths=(2, 4, 0, 1), noise=NOISES[:-1]),
]


@pytest.mark.parametrize("case", [*every_option(), *every_noise(), *DRAWN], ids=str)
def test_every_gradient_is_the_complex_step(case):
    problem = case.build()
    x, params, options, given, dy, dstate, dc_all = problem
    valid = is_valid(x, np.array(case.lengths or [case.T] * case.N))
    parts = len(dstate)

    def loss(x, *values):
        state, moved = values[:parts], dict(zip(params, values[parts:], strict=True))
        y, final, tape = forward(x, moved, options, **given | {"state": state})
        total = (dy * y)[valid].sum() + sum((d * part).sum() for d, part in zip(dstate, final))
        return total if dc_all is None else total + (dc_all * cells(tape))[valid].sum()

    *_, tape = problem.forward(**({} if case.with_state else {"state": None}))
    dx, dstate_0, grads = problem.backward(tape)

    assert list(grads) == list(params)
    exact = complex_step(loss, np.where(valid[:, :, None], x, 0), *given["state"], *params.values())
    for gradient, expected in zip([dx, *dstate_0, *grads.values()], exact, strict=True):
        close(gradient, expected)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_the_derivative_of_an_activation_is_the_complex_step(name):
    z = np.array([-7.0, -2.9, -2.6, -0.4, 0.1, 0.7, 2.6, 2.9, 7])
    (exact,) = complex_step(lambda z: ACTIVATIONS[name].value(z).sum(), z)
    np.testing.assert_allclose(ACTIVATIONS[name].derivative(ACTIVATIONS[name].value(z)), exact, rtol=1e-10)


def test_activations_by_hand():
    by_hand = {
        "sigmoid": 1 / (1 + math.exp(-1.5)),
        "tanh": math.tanh(1.5),
        "relu": 1.5,
        "hard_sigmoid": 0.75,
        "hard_sigmoid_0.2": 0.8,
        "identity": 1.5,
        "centered_sigmoid_2": 4 / (1 + math.exp(-1.5)) - 2,
        "centered_sigmoid_1": 2 / (1 + math.exp(-1.5)) - 1,
    }
    far_left = {"sigmoid": 0, "tanh": -1, "relu": 0, "hard_sigmoid": 0, "hard_sigmoid_0.2": 0, "identity": -800}
    far_left |= {"centered_sigmoid_2": -2, "centered_sigmoid_1": -1}
    assert list(by_hand) == list(far_left) == list(ACTIVATIONS)
    for name, activation in ACTIVATIONS.items():
        assert activation.value(np.array(1.5)) == pytest.approx(by_hand[name], rel=1e-14)
        assert activation.value(np.array(-800.0)) == far_left[name]
    at_zero = {name: activation.value(np.array(0.0)) for name, activation in ACTIVATIONS.items()}
    slopes = {name: float(activation.derivative(at_zero[name])) for name, activation in ACTIVATIONS.items()}
    assert slopes == {
        "sigmoid": 0.25,
        "tanh": 1,
        "relu": 0,
        "hard_sigmoid": 1 / 6,
        "hard_sigmoid_0.2": 0.2,
        "identity": 1,
        "centered_sigmoid_2": 1,
        "centered_sigmoid_1": 0.5,
    }


def test_layer_norm_by_hand():
    # mean 3, deviations -2 -1 0 3, variance 14 / 4
    normal = np.array([-2, -1, 0, 3]) / math.sqrt(3.5 + 1e-5)
    gain = np.array([1, 2, 3, 4.0])
    close(layer_norm_forward(np.array([[1.0, 2, 3, 6]]), gain), gain * normal[None], 1e-15)


def test_parameters_and_their_order():
    lstm = LSTM(num_layers=2, bidirectional=True, peephole=True, proj_size=3, layer_norm=True)
    own = "weight_ih weight_hh bias peephole weight_hr gain_ih gain_hh gain_c bias_c".split()
    places = ["l0", "l0_reverse", "l1", "l1_reverse"]
    assert [name for name, _ in parameter_shapes(lstm, 5)] == [f"{name}_{place}" for place in places for name in own]
    shapes = dict(parameter_shapes(lstm, 5))
    assert shapes["weight_ih_l0"] == (8, 5)
    assert shapes["weight_ih_l1_reverse"] == (8, 6)
    assert shapes["weight_hh_l1"] == (8, 3)
    assert shapes["peephole_l0"] == (3, 2)
    assert shapes["weight_hr_l0"] == (3, 2)
    assert [shapes[f"{name}_l0"] for name in own[5:]] == [(8,), (8,), (2,), (2,)]
    assert dict(parameter_shapes(replace(lstm, merge="sum"), 5))["weight_ih_l1_reverse"] == (8, 3)

    for options in (LSTM(coupled=True, peephole=True), LSTM(forget_gate=False, peephole=True)):
        shapes = dict(parameter_shapes(options, 5))
        assert (shapes["weight_ih_l0"], shapes["peephole_l0"]) == ((6, 5), (2, 2))
    assert dict(parameter_shapes(GRU(), 5)) == {
        "weight_ih_l0": (6, 5),
        "weight_hh_l0": (6, 2),
        "bias_l0": (6,),
        "bias_hn_l0": (2,),
    }
    assert "bias_hn_l0" not in dict(parameter_shapes(GRU(reset_after=False), 5))
    assert list(parameter_shapes(GRU(bias=False), 5)) == [("weight_ih_l0", (6, 5)), ("weight_hh_l0", (6, 2))]
    assert dict(parameter_shapes(RNN(), 5)) == {"weight_ih_l0": (2, 5), "weight_hh_l0": (2, 2), "bias_l0": (2,)}


def written_out_lstm(options, w, x, u, h_prev, c_prev, zone_h, zone_c):
    """One step of one row, straight from the equations."""

    def normalised(a):
        return (a - np.mean(a)) / np.sqrt(np.var(a) + 1e-5)

    def clip(a):
        return np.clip(a, -options.clip, options.clip)

    if options.layer_norm:
        z = w["gain_ih"] * normalised(w["weight_ih"] @ x) + w["gain_hh"] * normalised(w["weight_hh"] @ u) + w["bias"]
    else:
        z = w["weight_ih"] @ x + w["weight_hh"] @ u + w["bias"]
    if options.coupled or not options.forget_gate:
        (z_i, z_g, z_o), (p_i, p_o) = np.split(z, 3), w["peephole"]
        i = sigmoid(clip(z_i + p_i * c_prev))
        f = 1 - i if options.coupled else 1
    else:
        (z_i, z_f, z_g, z_o), (p_i, p_f, p_o) = np.split(z, 4), w["peephole"]
        i = sigmoid(clip(z_i + p_i * c_prev))
        f = sigmoid(clip(z_f + p_f * c_prev))
    c_new = np.clip(f * c_prev + i * np.tanh(clip(z_g)), -options.cell_clip, options.cell_clip)
    o = sigmoid(clip(z_o + p_o * c_new))
    v = w["gain_c"] * normalised(c_new) + w["bias_c"] if options.layer_norm else c_new
    m = o * 2 * (sigmoid(v) - 0.5)  # centered_sigmoid_1
    h_new = w["weight_hr"] @ m
    return zone_h * h_prev + (1 - zone_h) * h_new, zone_c * c_prev + (1 - zone_c) * c_new


@pytest.mark.parametrize("layer_norm", [False, True], ids=["plain", "layernorm"])
@pytest.mark.parametrize("forget", [{}, {"coupled": True}, {"forget_gate": False}], ids=["f", "coupled", "no_f"])
def test_an_lstm_with_all_options_written_out(forget, layer_norm):
    options = Options(
        "lstm",
        3,
        peephole=True,
        proj_size=2,
        layer_norm=layer_norm,
        clip=1.1,
        cell_clip=0.7,
        output_activation="centered_sigmoid_1",
        **forget,
    )
    x, params, _, given, *_ = Case(options, N=2, T=4, noise=NOISES, seed=2).build()
    y, (h, c), tape = forward(x, params, options, **given)
    w, noise = {name.removesuffix("_l0"): value for name, value in params.items()}, given["noise"]
    w["weight_hh"] = w["weight_hh"] * noise["weight"][0]
    for n in range(2):
        h_n, c_n = given["state"][0][0, n], given["state"][1][0, n]
        for t in range(4):
            x_t = (x + noise["added"])[n, t] * noise["input"][0][n, t]
            u, zones = h_n * noise["recurrent"][0][n], (noise["zone_h"][0][n, t], noise["zone_c"][0][n, t])
            h_n, c_n = written_out_lstm(options, w, x_t, u, h_n, c_n, *zones)
            close(y[n, t], h_n, 1e-13)
            close(cells(tape)[n, t], c_n, 1e-13)
        close(h[0, n], h_n, 1e-13)
        close(c[0, n], c_n, 1e-13)


@pytest.mark.parametrize("bias", [True, False], ids=["bias", "nobias"])
@pytest.mark.parametrize("reset_after", [True, False], ids=["after", "before"])
def test_a_gru_written_out(reset_after, bias):
    options = Options("gru", 2, reset_after=reset_after, bias=bias, clip=0.9, gate_activation="hard_sigmoid")
    x, params, _, given, *_ = Case(options, T=4, noise=NOISES[:-1], seed=3).build()
    y, (h,), _ = forward(x, params, options, **given)
    noise, w_hh = given["noise"], params["weight_hh_l0"] * given["noise"]["weight"][0]
    b, b_hn = params.get("bias_l0", np.zeros(6)), params.get("bias_hn_l0", np.zeros(2))

    def gate(a):
        return np.clip(np.clip(a, -0.9, 0.9) / 6 + 0.5, 0, 1)

    for n in range(2):
        h_n = given["state"][0][0, n]
        for t in range(4):
            x_r, x_z, x_n = np.split(params["weight_ih_l0"] @ ((x + noise["added"]) * noise["input"][0])[n, t] + b, 3)
            w_r, w_z, w_n = w_hh[:2], w_hh[2:4], w_hh[4:]
            u = h_n * noise["recurrent"][0][n]
            r, z = gate(x_r + w_r @ u), gate(x_z + w_z @ u)
            from_state = r * (w_n @ u + b_hn) if reset_after else w_n @ (r * u)
            h_new = (1 - z) * np.tanh(np.clip(x_n + from_state, -0.9, 0.9)) + z * h_n
            zone = noise["zone_h"][0][n, t]
            h_n = zone * h_n + (1 - zone) * h_new
            close(y[n, t], h_n, 1e-13)
        close(h[0, n], h_n, 1e-13)


def test_an_rnn_written_out():
    options = Options("rnn", 2, clip=0.9, candidate_activation="relu")
    x, params, _, given, *_ = Case(options, T=4, noise=NOISES[:-1], seed=4).build()
    y, (h,), _ = forward(x, params, options, **given)
    noise, w_hh = given["noise"], params["weight_hh_l0"] * given["noise"]["weight"][0]
    for n in range(2):
        h_n = given["state"][0][0, n]
        for t in range(4):
            x_t = ((x + noise["added"]) * noise["input"][0])[n, t]
            a = params["weight_ih_l0"] @ x_t + w_hh @ (h_n * noise["recurrent"][0][n]) + params["bias_l0"]
            zone = noise["zone_h"][0][n, t]
            h_n = zone * h_n + (1 - zone) * np.clip(a, 0, 0.9)
            close(y[n, t], h_n, 1e-13)
        close(h[0, n], h_n, 1e-13)


@pytest.mark.parametrize("lengths", [None, LENGTHS], ids=["full", "lengths"])
@pytest.mark.parametrize("bias", [True, False], ids=["bias", "nobias"])
@pytest.mark.parametrize("bidirectional", [False, True], ids=["D1", "D2"])
def test_the_plain_lstm_is_that_of_the_reference(bidirectional, bias, lengths):
    options = LSTM(num_layers=2, bidirectional=bidirectional, bias=bias)
    x, params, _, given, dy, dstate, _ = Case(options, N=3, lengths=lengths, seed=5).build()
    y, state, tape = forward(x, params, options, state=given["state"], lengths=lengths)
    sizes = {"hidden_size": 2, "num_layers": 2, "bidirectional": bidirectional}
    expected_y, expected_state, other = reference.lstm_forward(
        x, params, state=given["state"], lengths=lengths, **sizes
    )
    close(y, expected_y, 1e-14)
    all_close(state, expected_state, 1e-14)
    dx, dstate_0, grads = backward(tape, dy, dstate)
    expected_dx, expected_dstate, expected_grads = reference.lstm_backward(other, dy, dstate)
    close(dx, expected_dx, 1e-14)
    all_close(dstate_0, expected_dstate, 1e-14)
    all_close(grads, expected_grads, 1e-14)
    for layer, direction in product(range(2), range(1 + bidirectional)):
        seen = trace(tape, layer * (1 + bidirectional) + direction)
        all_close(seen, reference.trace(other, layer, direction)._asdict(), 1e-14)


def test_the_coupled_lstm_is_one_whose_forget_gate_mirrors_its_input_gate():
    """1 - sigmoid(z_i) = sigmoid(-z_i): the weights of f are those of i with the opposite sign."""
    x, params, coupled, given, dy, dstate, dc_all = Case(LSTM(coupled=True, peephole=True), seed=6).build()

    def mirrored(name, value):
        if name == "peephole_l0":
            return np.stack([value[0], -value[0], value[1]])
        return np.concatenate([value[:2], -value[:2], value[2:]])

    full = {name: mirrored(name, value) for name, value in params.items()}
    y, state, tape = forward(x, params, coupled, **given)
    expected_y, expected_state, full_tape = forward(x, full, LSTM(peephole=True), **given)
    close(y, expected_y, 1e-14)
    all_close(state, expected_state, 1e-14)
    all_close(trace(tape), trace(full_tape), 1e-14)

    dx, dstate_0, grads = backward(tape, dy, dstate, dc_all)
    expected_dx, expected_dstate, expected_grads = backward(full_tape, dy, dstate, dc_all)
    close(dx, expected_dx, 1e-14)
    all_close(dstate_0, expected_dstate, 1e-14)
    for name, gradient in expected_grads.items():
        one = 1 if name == "peephole_l0" else 2
        folded = np.concatenate([gradient[:one] - gradient[one : 2 * one], gradient[2 * one :]])
        close(grads[name], folded, 1e-13)


def test_no_forget_gate_is_one_that_is_wide_open():
    x, params, options, given, *_ = Case(LSTM(forget_gate=False, peephole=True), seed=7).build()
    wide_open = {name: np.concatenate([v[:2], np.zeros_like(v[:2]), v[2:]]) for name, v in params.items()}
    wide_open["bias_l0"][2:4] = 50
    wide_open["peephole_l0"] = np.stack([params["peephole_l0"][0], np.zeros(2), params["peephole_l0"][1]])
    y, state, tape = forward(x, params, options, **given)
    expected_y, expected_state, expected_tape = forward(x, wide_open, LSTM(peephole=True), **given)
    close(y, expected_y, 1e-12)
    all_close(state, expected_state, 1e-12)
    all_close(trace(tape), trace(expected_tape), 1e-12)


@pytest.mark.parametrize("reset_after", [True, False], ids=["after", "before"])
def test_a_gru_with_its_update_gate_shut_keeps_h(reset_after):
    x, params, options, given, *_ = Case(GRU(reset_after=reset_after), T=4, seed=8).build()
    bias = params["bias_l0"].copy()
    bias[2:4] = 500
    y, (h,), _ = forward(x, params | {"bias_l0": bias}, options, **given)
    np.testing.assert_array_equal(h, given["state"][0])
    np.testing.assert_array_equal(y, np.repeat(h[0][:, None], 4, axis=1))


@pytest.mark.parametrize("kind", KINDS)
def test_zone_1_keeps_the_state_and_zone_0_changes_nothing(kind):
    options = Options(kind, 2)
    problem = Case(options, seed=9).build()
    y, state, _ = problem.forward(noise={"zone_h": [1], "zone_c": [1]})
    all_close(state, problem.given["state"], 0)
    close(y, np.repeat(state[0][0][:, None], 3, axis=1), 0)
    nothing = {"zone_h": [0], "zone_c": [np.zeros((2, 3, 2))], "recurrent": [np.ones((2, 2))]}
    y, state, _ = problem.forward(noise=nothing)
    expected_y, expected_state, _ = problem.forward(noise=None)
    close(y, expected_y, 0)
    all_close(state, expected_state, 0)


@pytest.mark.parametrize("kind", KINDS)
def test_one_form_of_a_mask_is_another_written_out(kind):
    problem = Case(Options(kind, 2), seed=10).build()
    rows, ones = np.array([0.5, 2])[:, None, None], np.ones((2, 3, 2))
    short = {"input": [rows], "zone_h": [0.25], "zone_c": [0.75]}
    full = {"input": [rows * ones], "zone_h": [0.25 * ones], "zone_c": [0.75 * ones]}
    np.testing.assert_equal(problem.forward(noise=short)[:2], problem.forward(noise=full)[:2])


@pytest.mark.parametrize("lengths", [None, LENGTHS], ids=["full", "lengths"])
@pytest.mark.parametrize("kind", KINDS)
def test_merging_the_halves_of_concat(kind, lengths):
    options = Options(kind, 2, bidirectional=True)
    x, params, _, given, dy, dstate, dc_all = Case(options, N=3, lengths=lengths, seed=11).build()
    y, state, tape = forward(x, params, options, **given)
    ahead, back = np.split(y, 2, axis=2)
    half = dy[:, :, :2]
    by_hand = {
        "sum": (ahead + back, (half, half)),
        "mean": ((ahead + back) / 2, (half / 2, half / 2)),
        "product": (ahead * back, (half * back, half * ahead)),
    }
    for merge, (expected_y, halves) in by_hand.items():
        merged_y, merged_state, merged_tape = forward(x, params, replace(options, merge=merge), **given)
        close(merged_y, expected_y, 1e-15)
        all_close(merged_state, state, 0)
        dx, dstate_0, grads = backward(merged_tape, half, dstate, dc_all)
        expected = backward(tape, np.concatenate(halves, axis=2), dstate, dc_all)
        close(dx, expected[0], 1e-14)
        all_close(dstate_0, expected[1], 1e-14)
        all_close(grads, expected[2], 1e-14)


@pytest.mark.parametrize("merge", ["concat", "sum", "mean", "product"])
@pytest.mark.parametrize("kind", KINDS)
def test_one_direction_is_merged_with_nothing(kind, merge):
    problem = Case(Options(kind, 2, num_layers=2), seed=12).build()
    merged = problem._replace(options=replace(problem.options, merge=merge))
    np.testing.assert_equal(problem.forward()[:2], merged.forward()[:2])


@pytest.mark.parametrize("kind", KINDS)
def test_going_backwards_is_going_forwards_on_flipped_rows(kind):
    x, params, options, given, dy, dstate, dc_all = Case(Options(kind, 2, num_layers=2), seed=13).build()

    def flip(array):
        return None if array is None else array[:, ::-1]

    y, state, tape = forward(x, params, replace(options, go_backwards=True), **given)
    flipped_y, expected_state, expected_tape = forward(flip(x), params, options, **given)
    close(y, flip(flipped_y), 1e-14)
    all_close(state, expected_state, 1e-14)
    dx, dstate_0, grads = backward(tape, dy, dstate, dc_all)
    flipped_dx, expected_dstate, expected_grads = backward(expected_tape, flip(dy), dstate, flip(dc_all))
    close(dx, flip(flipped_dx), 1e-14)
    all_close(dstate_0, expected_dstate, 1e-14)
    all_close(grads, expected_grads, 1e-13)


def test_projection_by_the_identity_is_no_projection():
    x, params, options, given, dy, dstate, dc_all = Case(LSTM(proj_size=2), seed=14).build()
    plain = {name: value for name, value in params.items() if name != "weight_hr_l0"}
    y, state, tape = forward(x, plain | {"weight_hr_l0": np.eye(2)}, options, **given)
    expected_y, expected_state, expected_tape = forward(x, plain, LSTM(), **given)
    close(y, expected_y, 1e-15)
    all_close(state, expected_state, 1e-15)
    dx, dstate_0, grads = backward(tape, dy, dstate, dc_all)
    expected_dx, expected_dstate, expected_grads = backward(expected_tape, dy, dstate, dc_all)
    close(dx, expected_dx, 1e-14)
    all_close(dstate_0, expected_dstate, 1e-14)
    all_close({name: grads[name] for name in plain}, expected_grads, 1e-14)


@pytest.mark.parametrize("kind", KINDS)
def test_limits_that_are_never_reached_change_nothing(kind):
    problem = Case(Options(kind, 2), seed=15).build()
    far = replace(problem.options, clip=1e3, gradient_clip=1e3, cell_clip=1e3 if kind == "lstm" else None)
    limited = problem._replace(options=far)
    (*results, tape), (*limited_results, limited_tape) = problem.forward(), limited.forward()
    np.testing.assert_equal(results, limited_results)
    np.testing.assert_equal(problem.backward(tape), limited.backward(limited_tape))


@pytest.mark.parametrize("case", EVERYTHING, ids=str)
def test_two_directions_are_two_networks_and_two_layers_too(case):
    """The stack is put together again from single layers in single directions, forward and backward."""
    problem = case.build()
    x, params, options, given, dy, dstate, dc_all = problem
    y, state, tape = problem.forward()
    dx, dstate_0, grads = problem.backward(tape)
    totals = state_gradients(tape, dy, dstate, dc_all)
    D, valid = len(options.suffixes), is_valid(x, np.array(case.lengths))[:, :, None]

    singles, between = {}, x
    for layer in range(options.num_layers):
        for direction, suffix in enumerate(options.suffixes):
            index = layer * D + direction
            noise = {"added": given["noise"]["added"]} if layer == 0 else {}
            for key in given["noise"]:
                if key != "added":
                    noise[key] = [given["noise"][key][layer if key == "input" else index]]
            place = f"_l{layer}{suffix}"
            own = {name.replace(place, "_l0"): v for name, v in params.items() if name.endswith(place)}
            backwards = options.go_backwards or direction == 1
            one = replace(options, num_layers=1, bidirectional=False, go_backwards=backwards)
            own_state = tuple(part[index : index + 1] for part in given["state"])
            result = forward(between, own, one, state=own_state, lengths=case.lengths, noise=noise)
            all_close(result[1], tuple(part[index : index + 1] for part in state), 0)
            all_close(trace(result[2]), trace(tape, index), 0)
            singles[index] = result
        outputs = [singles[layer * D + direction][0] for direction in range(D)]
        merged = {"concat": np.concatenate(outputs, axis=2), "sum": sum(outputs), "product": math.prod(outputs)}
        between = merged[options.merge]
    close(y, between, 0)

    for layer in reversed(range(options.num_layers)):
        outputs = [singles[layer * D + direction][0] for direction in range(D)]
        below = 0
        for direction, suffix in enumerate(options.suffixes):
            index, place = layer * D + direction, f"_l{layer}{suffix}"
            dy_k = dy * outputs[1 - direction] if options.merge == "product" else dy
            own_dc = None
            if dc_all is not None and layer == options.num_layers - 1:
                own_dc = np.split(dc_all, D, axis=2)[direction]
            arguments = singles[index][2], dy_k, tuple(part[index : index + 1] for part in dstate), own_dc
            dx_k, dstate_k, grads_k = backward(*arguments)
            all_close(dstate_k, tuple(part[index : index + 1] for part in dstate_0), 1e-13)
            for name, gradient in grads_k.items():
                close(grads[name.replace("_l0", place)], gradient, 1e-13)
            all_close(totals[index], state_gradients(*arguments)[0], 1e-13)
            below = below + dx_k
        dy = np.where(valid, below, np.nan)
    close(dx, np.where(valid, dy, 0), 1e-13)


def row_of(case, problem, n):
    """Row n by itself and without its padding."""
    row, length = slice(n, n + 1), case.lengths[n]

    def cut_out(key, value):
        if value is None or np.ndim(value) == 0 or key == "weight":
            return value
        return value[row] if value.ndim == 2 or value.shape[1] == 1 else value[row, :length]

    noise = {key: [cut_out(key, v) for v in arrays] for key, arrays in problem.given["noise"].items() if key != "added"}
    if "added" in problem.given["noise"]:
        noise["added"] = problem.given["noise"]["added"][row, :length]
    return problem._replace(
        x=problem.x[row, :length],
        given={"state": tuple(part[:, row] for part in problem.given["state"]), "noise": noise},
        dy=problem.dy[row, :length],
        dstate=tuple(part[:, row] for part in problem.dstate),
        dc_all=None if problem.dc_all is None else problem.dc_all[row, :length],
    )


@pytest.mark.parametrize("backward_options", [{}, {"bptt": 2, "gradient_clip": 0.05}], ids=["exact", "bptt2-clip"])
@pytest.mark.parametrize("case", EVERYTHING, ids=str)
def test_each_row_is_what_it_would_be_alone_and_unpadded(case, backward_options):
    case = replace(case, options=replace(case.options, **backward_options))
    problem = case.build()
    y, state, tape = problem.forward()
    dx, dstate_0, grads = problem.backward(tape)
    sums = {name: np.zeros_like(value) for name, value in problem.params.items()}
    for n, length in enumerate(case.lengths):
        row = slice(n, n + 1)
        alone = row_of(case, problem, n)
        y_n, state_n, tape_n = alone.forward()
        dx_n, dstate_n, grads_n = alone.backward(tape_n)
        close(y[row, :length], y_n, 1e-13)
        all_close([part[:, row] for part in state], state_n, 1e-13)
        close(dx[row, :length], dx_n, 1e-13)
        all_close([part[:, row] for part in dstate_0], dstate_n, 1e-13)
        for name in sums:
            sums[name] += grads_n[name]
    all_close(grads, sums, 1e-12)


@pytest.mark.parametrize("value", [0.0, 1e300, np.inf])
@pytest.mark.parametrize("case", EVERYTHING, ids=str)
def test_what_stands_in_the_padding_changes_no_bit(case, value):
    problem = case.build()
    y, state, tape = problem.forward()
    gradients = backward_with_totals(tape, problem.dy, problem.dstate, problem.dc_all)

    def fill(array):
        return pad(array, case.lengths, value) if np.shape(array)[:2] == (case.N, case.T) else array

    noise = {key: fill(v) if key == "added" else [fill(m) for m in v] for key, v in problem.given["noise"].items()}
    dc_all = None if problem.dc_all is None else fill(problem.dc_all)
    filled = problem._replace(
        x=fill(problem.x), given=problem.given | {"noise": noise}, dy=fill(problem.dy), dc_all=dc_all
    )
    filled_y, filled_state, filled_tape = filled.forward()
    filled_gradients = backward_with_totals(filled_tape, filled.dy, filled.dstate, filled.dc_all)
    np.testing.assert_equal((filled_y, filled_state, filled_gradients), (y, state, gradients))
    for result in (y, gradients[0], *(values for index in range(2) for values in trace(tape, index).values())):
        np.testing.assert_array_equal(pad(result, case.lengths, 0.0), result)


@pytest.mark.parametrize("case", EVERYTHING, ids=str)
def test_a_row_of_length_zero_hands_its_state_and_its_gradient_through(case):
    problem = case.build()
    empty = case.lengths.index(0)
    _, state, tape = problem.forward()
    _, dstate_0, _ = problem.backward(tape)
    for before, after in zip(problem.given["state"] + problem.dstate, state + dstate_0, strict=True):
        np.testing.assert_array_equal(before[:, empty], after[:, empty])


@pytest.mark.parametrize("case", EVERYTHING, ids=str)
def test_float32_stays_float32(case):
    def single(arrays):
        return tuple(None if a is None or np.ndim(a) == 0 else a.astype(np.float32) for a in arrays)

    problem = case.build()
    (x, dy, dc_all), dstate = single((problem.x, problem.dy, problem.dc_all)), single(problem.dstate)
    params = dict(zip(problem.params, single(problem.params.values())))
    given = problem.given | {"state": single(problem.given["state"])}
    for name in ACTIVATIONS:
        limits = {"clip": 1.0, "gradient_clip": 1.0}
        options = replace(problem.options, candidate_activation=name, gate_activation=name, **limits)
        y, state, tape = forward(x, params, options, **given)
        dx, dstate_0, grads = backward(tape, dy, dstate, dc_all)
        norms = [values for parts in gradient_norms(tape, dy, dstate, dc_all) for values in parts]
        results = [y, dx, *state, *dstate_0, *grads.values(), *trace(tape).values(), *norms]
        assert {result.dtype for result in results} == {np.dtype(np.float32)}


@pytest.mark.parametrize("kind", KINDS)
def test_no_state_is_a_zero_state_and_no_dstate_a_zero_gradient(kind):
    problem = Case(Options(kind, 2, num_layers=2, bidirectional=True), with_state=False, seed=16).build()
    y, state, tape = problem.forward()
    y_none, state_none, tape_none = forward(problem.x, problem.params, problem.options)
    np.testing.assert_equal((y, state), (y_none, state_none))
    zeros = problem.given["state"]
    dc_all = np.zeros((2, 3, 4)) if kind == "lstm" else None
    np.testing.assert_equal(backward(tape, problem.dy, zeros, dc_all), backward(tape_none, problem.dy))


TRACED = [
    *EVERYTHING,
    Case(LSTM(coupled=True, cell_clip=0.5), N=3, lengths=LENGTHS),
    Case(LSTM(forget_gate=False, bidirectional=True), N=3, lengths=LENGTHS),
    Case(GRU(reset_after=False), N=3, lengths=LENGTHS),
]


@pytest.mark.parametrize("case", TRACED, ids=str)
def test_the_trace_obeys_the_equations(case):
    problem = case.build()
    options, names = problem.options, {"lstm": "ifgoch", "gru": "rznh", "rnn": "h"}[problem.options.kind]
    y, state, tape = problem.forward()
    D, noise = len(options.suffixes), problem.given["noise"]
    for index, (n, length) in product(range(case.number), enumerate(case.lengths)):
        seen = trace(tape, index)
        assert "".join(seen) == names
        old = [part[index, n] for part in problem.given["state"]]
        order = range(length)
        for t in reversed(order) if options.go_backwards or index % D else order:
            now = {name: values[n, t] for name, values in seen.items()}
            for k, part in enumerate("hc"[: len(old)]):
                zone = noise.get(f"zone_{part}", [None] * case.number)[index]
                zone = 0 if zone is None else zone if np.ndim(zone) == 0 else zone[n, t]
                if part == "c":
                    bound = options.cell_clip or np.inf
                    new = np.clip(now["f"] * old[1] + now["i"] * now["g"], -bound, bound)
                    if options.coupled:
                        np.testing.assert_array_equal(now["f"], 1 - now["i"])
                    if not options.forget_gate:
                        np.testing.assert_array_equal(now["f"], 1)
                elif options.kind == "gru":
                    new = (1 - now["z"]) * now["n"] + now["z"] * old[0]
                else:
                    new = (now["h"] - zone * old[0]) / (1 - zone)
                close(now[part], zone * old[k] + (1 - zone) * new, 1e-14)
            old = [now[part] for part in "hc"[: len(old)]]
        for part, expected in zip(old, state):
            np.testing.assert_array_equal(part, expected[index, n])
    last = [trace(tape, case.number - D + direction) for direction in range(D)]
    if D == 1 or options.merge == "concat":
        np.testing.assert_array_equal(np.concatenate([seen["h"] for seen in last], axis=2), y)
    if options.kind == "lstm":
        np.testing.assert_array_equal(np.concatenate([seen["c"] for seen in last], axis=2), cells(tape))


BPTT_OPTIONS = [
    LSTM(num_layers=2, peephole=True, layer_norm=True),
    LSTM(num_layers=2, proj_size=1, go_backwards=True),
    GRU(num_layers=2),
    GRU(reset_after=False, go_backwards=True),
    RNN(num_layers=2),
    RNN(go_backwards=True),
]


@pytest.mark.parametrize("length", [1, 2, 3])
@pytest.mark.parametrize("options", BPTT_OPTIONS, ids=lambda o: f"{o.kind}{'-backwards' * o.go_backwards}")
def test_bptt_is_cutting_the_sequence_by_hand(options, length):
    T, keys = 5, ("zone_h", "zone_c")[: len(options.state_sizes)]
    x, params, options, given, dy, dstate, dc_all = Case(options, T=T, noise=keys, seed=17).build()
    *_, tape = forward(x, params, replace(options, bptt=length), **given)
    dx, dstate_0, grads = backward(tape, dy, dstate, dc_all)

    order = list(range(T))[:: -1 if options.go_backwards else 1]
    state, pieces = given["state"], []
    for start in range(0, T, length):
        steps = sorted(order[start : start + length])
        own = {key: [z if np.ndim(z) == 0 else z[:, steps] for z in given["noise"][key]] for key in keys}
        _, state, piece = forward(x[:, steps], params, options, state=state, noise=own)
        pieces.append((steps, piece))

    sums = {name: np.zeros_like(value) for name, value in params.items()}
    zeros = tuple(np.zeros_like(part) for part in dstate)
    for k, (steps, piece) in enumerate(pieces):
        final = dstate if k == len(pieces) - 1 else zeros  # only the last piece sees the gradient of the final state
        dc_steps = None if dc_all is None else dc_all[:, steps]
        dx_k, dstate_k, grads_k = backward(piece, dy[:, steps], final, dc_steps)
        close(dx[:, steps], dx_k, 1e-13)
        if k == 0:
            all_close(dstate_0, dstate_k, 1e-13)
        for name in sums:
            sums[name] += grads_k[name]
    all_close(grads, sums, 1e-13)


@pytest.mark.parametrize("case", EVERYTHING, ids=str)
def test_bptt_over_all_steps_and_a_huge_gradient_clip_change_nothing(case):
    problem = case.build()
    *_, tape = problem.forward()
    exact = problem.backward(tape)
    for changed in ({"bptt": case.T}, {"bptt": case.T + 5}, {"gradient_clip": 1e30}):
        same = problem._replace(options=replace(problem.options, **changed))
        *_, tape = same.forward()
        np.testing.assert_equal(same.backward(tape), exact)


def test_bptt_of_one_step_carries_nothing_but_to_the_initial_state():
    problem = Case(LSTM(peephole=True, bptt=1), noise=("zone_h", "zone_c"), seed=18).build()
    *_, tape = problem.forward()
    totals_h, _ = state_gradients(tape, problem.dy, problem.dstate, problem.dc_all)[0]
    close(totals_h[:, :-1], problem.dy[:, :-1], 0)
    close(totals_h[:, -1], problem.dy[:, -1] + problem.dstate[0][0], 0)
    _, (dh_0, dc_0), _ = problem.backward(tape)
    assert np.all(dh_0 != 0)
    assert np.all(dc_0 != 0)


def clamp_by_hand(value, bound):
    return max(-bound, min(bound, value))


@pytest.mark.parametrize("bound", [0.02, 0.05, 1e9])
def test_gradient_clip_of_an_lstm_step_by_hand(bound):
    w, v, b = (0.3, -0.8, 1.1, 0.6), (0.5, 0.4, -0.7, 0.2), (0.1, 0.9, -0.2, 0.3)
    p_i, p_f, p_o = 0.7, -0.4, 0.9
    x, h, c, dy, dh, dc = 1.2, -0.6, 0.8, 1.5, -0.4, 0.7
    z_i, z_f, z_g, z_o = (w[k] * x + v[k] * h + b[k] for k in range(4))
    i = 1 / (1 + math.exp(-(z_i + p_i * c)))
    f = 1 / (1 + math.exp(-(z_f + p_f * c)))
    g = math.tanh(z_g)
    new_c = f * c + i * g
    o = 1 / (1 + math.exp(-(z_o + p_o * new_c)))
    shown = math.tanh(new_c)
    da_o = clamp_by_hand((dy + dh) * shown * o * (1 - o), bound)
    dnew_c = dc + (dy + dh) * o * (1 - shown**2) + da_o * p_o
    da_i = clamp_by_hand(dnew_c * g * i * (1 - i), bound)
    da_f = clamp_by_hand(dnew_c * c * f * (1 - f), bound)
    da_g = clamp_by_hand(dnew_c * i * (1 - g**2), bound)
    da = da_i, da_f, da_g, da_o

    params = {
        "weight_ih_l0": np.array(w)[:, None],
        "weight_hh_l0": np.array(v)[:, None],
        "bias_l0": np.array(b),
        "peephole_l0": np.array([[p_i], [p_f], [p_o]]),
    }
    options, one = Options("lstm", 1, peephole=True, gradient_clip=bound), partial(np.full, (1, 1, 1))
    *_, tape = forward(one(x), params, options, state=(one(h), one(c)))
    dx, (dh_0, dc_0), grads = backward(tape, one(dy), (one(dh), one(dc)))
    close(dx, one(sum(d * k for d, k in zip(da, w))), 1e-13)
    close(dh_0, one(sum(d * k for d, k in zip(da, v))), 1e-13)
    close(dc_0, one(dnew_c * f + da_i * p_i + da_f * p_f), 1e-13)
    close(grads["weight_ih_l0"], np.array(da)[:, None] * x, 1e-13)
    close(grads["weight_hh_l0"], np.array(da)[:, None] * h, 1e-13)
    close(grads["bias_l0"], np.array(da), 1e-13)
    close(grads["peephole_l0"], np.array([[da_i * c], [da_f * c], [da_o * new_c]]), 1e-13)


@pytest.mark.parametrize("reset_after", [True, False], ids=["after", "before"])
@pytest.mark.parametrize("bound", [0.02, 0.1, 1e9])
def test_gradient_clip_of_a_gru_step_by_hand(bound, reset_after):
    w, v, b, b_hn = (0.3, -0.8, 1.1), (0.5, 0.4, -0.7), (0.1, 0.9, -0.2), 0.35 if reset_after else 0
    x, h, dy = 1.2, -0.6, 1.5
    r = 1 / (1 + math.exp(-(w[0] * x + v[0] * h + b[0])))
    z = 1 / (1 + math.exp(-(w[1] * x + v[1] * h + b[1])))
    n = math.tanh(w[2] * x + b[2] + r * (v[2] * h + b_hn))  # with one unit both forms are the same, but for the bias
    da_n = clamp_by_hand(dy * (1 - z) * (1 - n**2), bound)
    da_r = clamp_by_hand(da_n * (v[2] * h + b_hn) * r * (1 - r), bound)
    da_z = clamp_by_hand(dy * (h - n) * z * (1 - z), bound)

    params = {"weight_ih_l0": np.array(w)[:, None], "weight_hh_l0": np.array(v)[:, None], "bias_l0": np.array(b)}
    if reset_after:
        params["bias_hn_l0"] = np.array([b_hn])
    options, one = Options("gru", 1, reset_after=reset_after, gradient_clip=bound), partial(np.full, (1, 1, 1))
    *_, tape = forward(one(x), params, options, state=(one(h),))
    dx, (dh_0,), grads = backward(tape, one(dy))
    close(dx, one(da_r * w[0] + da_z * w[1] + da_n * w[2]), 1e-13)
    close(dh_0, one(dy * z + da_r * v[0] + da_z * v[1] + da_n * r * v[2]), 1e-13)
    close(grads["weight_ih_l0"], np.array([[da_r], [da_z], [da_n]]) * x, 1e-13)
    close(grads["weight_hh_l0"], np.array([[da_r], [da_z], [da_n * r]]) * h, 1e-13)
    close(grads["bias_l0"], np.array([da_r, da_z, da_n]), 1e-13)
    if reset_after:
        close(grads["bias_hn_l0"], np.array([da_n * r]), 1e-13)


@pytest.mark.parametrize("bound", [0.1, 1e9])
def test_gradient_clip_of_an_rnn_step_by_hand(bound):
    n = math.tanh(0.3 * 1.2 + 0.5 * -0.6 + 0.1)
    da = clamp_by_hand(1.5 * (1 - n**2), bound)
    one = partial(np.full, (1, 1, 1))
    params = {"weight_ih_l0": np.array([[0.3]]), "weight_hh_l0": np.array([[0.5]]), "bias_l0": np.array([0.1])}
    *_, tape = forward(one(1.2), params, Options("rnn", 1, gradient_clip=bound), state=(one(-0.6),))
    dx, (dh_0,), grads = backward(tape, one(1.5))
    close(dx, one(da * 0.3), 1e-13)
    close(dh_0, one(da * 0.5), 1e-13)
    close(grads["bias_l0"], np.array([da]), 1e-13)


@pytest.mark.parametrize("bound", [0.01, 0.2])
@pytest.mark.parametrize("kind", KINDS)
def test_gradient_clip_bounds_the_gradient_of_the_bias(kind, bound):
    """One step, one row: the gradient of the bias is that of the pre-activations."""
    problem = Case(Options(kind, 3, gradient_clip=bound), N=1, T=1, seed=19).build()
    *_, tape = problem.forward()
    _, _, grads = problem.backward(tape)
    *_, tape = problem._replace(options=Options(kind, 3)).forward()
    _, _, exact = problem.backward(tape)
    assert np.abs(grads["bias_l0"]).max() == bound
    assert np.abs(exact["bias_l0"]).max() > bound


NORMED = [
    Case(LSTM(peephole=True), T=4, seed=40),
    Case(LSTM(peephole=True), T=4, noise=("zone_h", "zone_c"), seed=41),
    Case(LSTM(go_backwards=True), T=4, N=3, lengths=(1, 4, 0), noise=("zone_h", "zone_c"), seed=42),
    Case(GRU(), T=4, noise=("zone_h",), seed=43),
    Case(GRU(reset_after=False, go_backwards=True), T=4, N=3, lengths=(1, 4, 0), seed=44),
    Case(RNN(), T=4, seed=45),
    Case(RNN(), T=4, N=3, lengths=(1, 4, 0), noise=("zone_h",), seed=46),
]


@pytest.mark.parametrize("case", NORMED, ids=str)
def test_state_gradients_are_those_of_a_sequence_cut_there(case):
    """What comes back to the state after step t is the gradient of the initial state of what follows."""
    problem = case.build()
    _, params, options, given, dy, dstate, dc_all = problem
    _, state, tape = problem.forward()
    seen, totals = trace(tape), state_gradients(tape, dy, dstate, dc_all)[0]
    lengths = case.lengths or (case.T,) * case.N
    for n, length in enumerate(lengths):
        alone = row_of(replace(case, lengths=lengths), problem, n)
        for t in range(length):
            later = slice(0, t) if options.go_backwards else slice(t + 1, length)
            noise = {key: [z[:, later] for z in zones] for key, zones in alone.given["noise"].items()}
            after = tuple(seen[part][None, n : n + 1, t] for part in "hc"[: len(state)])
            *_, rest = forward(alone.x[:, later], params, options, state=after, noise=noise)
            dc_later = None if dc_all is None else alone.dc_all[:, later]
            _, carried, _ = backward(rest, alone.dy[:, later], alone.dstate, dc_later)
            dh = carried[0][0, 0] + dy[n, t]
            close(totals[0][n, t], dh, 1e-12)
            if options.kind == "lstm":
                before = t + 1 if options.go_backwards else t - 1
                c_prev = seen["c"][n, before] if 0 <= before < length else given["state"][1][0, n]
                f, i, g, o = (seen[gate][n, t] for gate in "figo")
                shown = np.tanh(f * c_prev + i * g)  # the cell before zoneout
                dh_new = dh * (1 - given["noise"]["zone_h"][0][n, t]) if given["noise"] else dh
                dc = carried[1][0, 0] + dc_all[n, t] + dh_new * o * (1 - shown**2)
                if options.peephole:
                    dc = dc + dh_new * shown * o * (1 - o) * params["peephole_l0"][-1]
                close(totals[1][n, t], dc, 1e-12)
        for total in totals:
            np.testing.assert_array_equal(total[n, length:], 0)
    norms = gradient_norms(tape, dy, dstate, dc_all)[0]
    for norm, total in zip(norms, totals, strict=True):
        expected = [math.sqrt(sum(value**2 for value in total[:, t].ravel())) for t in range(case.T)]
        close(norm, np.array(expected), 1e-14)


@pytest.mark.parametrize("kind", KINDS)
def test_the_state_gradient_of_a_lower_layer(kind):
    """Adding to h of the first layer after step t is adding to the input of the second and to what follows."""
    problem = Case(Options(kind, 2, num_layers=2), T=3, seed=47).build()
    x, params, options, given, dy, dstate, dc_all = problem
    *_, tape = problem.forward()
    lower = trace(tape, 0)
    upper = {name.replace("_l1", "_l0"): value for name, value in params.items() if "_l1" in name}
    one = replace(options, num_layers=1)
    *_, upper_tape = forward(lower["h"], upper, one, state=tuple(part[1:] for part in given["state"]))
    from_above, _, _ = backward(upper_tape, dy, tuple(part[1:] for part in dstate), dc_all)
    own = {name: value for name, value in params.items() if "_l0" in name}
    *_, lower_tape = forward(x, own, one, state=tuple(part[:1] for part in given["state"]))
    expected = gradient_norms(lower_tape, from_above, tuple(part[:1] for part in dstate))
    all_close(gradient_norms(tape, dy, dstate, dc_all)[0], expected[0], 1e-13)


@pytest.mark.parametrize("kind", KINDS)
def test_an_option_that_would_mean_nothing_is_refused(kind):
    refused = [
        {"bidirectional": True, "go_backwards": True},
        {"merge": "max"},
        {"coupled": True, "forget_gate": False},
    ]
    if kind != "lstm":
        refused += [{"peephole": True}, {"proj_size": 1}, {"layer_norm": True}, {"cell_clip": 1.0}]
    if kind != "gru":
        refused += [{"reset_after": False}]
    for changed in refused:
        with pytest.raises(AssertionError):
            Options(kind, 2, **changed)
