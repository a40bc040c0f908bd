"""All recurrent cells with all their options in plain NumPy: the slow, obviously right twin of the C core's cells.

``reference.py`` is the plain LSTM, made to be read first; this file is the same idea for every cell kind and every
option. It is built from the same levels, each of which only composes the one below it::

    lstm_step_forward    lstm_step_backward      one time step of one kind; the same for gru and rnn
    sequence_forward     sequence_backward       T steps, one layer, one direction: masks, zoneout, lengths
    forward              backward                L layers, D directions: the merge of the outputs

What the kinds have in common (the walk through the steps, the masks on the weights and the state, zoneout, the cut of
the gradient) stands once, in the sequence; a step only knows how a new state is made from an old one. A state is a
tuple: (h, c) for the LSTM, (h,) for the others. The masks of all noise are given as arrays, so nothing here is random.

Words: those of ``reference.py``, and R for the size of h and of a direction's output (the projection size, or H), G
for the number of gate blocks, `index` for layer * D + direction. `a` is a pre-activation that was limited by `clip`.

Everything but `gradient_clip` and `bptt` is exactly differentiable and proven by `complex_step`
(``test_reference_cells.py``): no absolute value, no maximum, and comparisons of the real part only, so that an
infinitesimal step into the complex plane changes no decision. Arrays keep the dtype they come in.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from typing import NamedTuple

import numpy as np
from reference import directions, sigmoid

EPSILON = 1e-5  # of layer normalisation, as in PyTorch and ONNX


@dataclass(frozen=True)
class Options:
    """What a stack of recurrent layers is.

    Parameters
    ----------
    kind : "lstm", "gru" or "rnn"
    hidden_size, num_layers : int
    bidirectional, bias : bool
    merge : "concat", "sum", "mean" or "product"
        How the outputs of the two directions become the output of each layer.
    output : "h" or "c"
        What the last layer gives; the others give h. c: LSTM only.
    go_backwards : bool
        The single direction walks from the last valid step to the first; y stays in the order of time.
    clip : float or None
        Bound of what goes into the activations of the gates and of the candidate.
    gate_activation, candidate_activation : str
        A key of `ACTIVATIONS`; the RNN only has the candidate's.
    peephole, coupled, forget_gate, proj_size, layer_norm, cell_clip, output_activation
        LSTM only: gates that see c; f = 1 - i; without a forget gate f = 1; size of the projection or 0; normalised
        products and cell; bound of c; the activation through which o shows the cell.
    reset_after : bool
        GRU only: the reset gate works after the product with weight_hh, or before it.
    gradient_clip : float or None
        Backward: bound of the gradient of each pre-activation at each step.
    bptt : int or None
        Backward: nothing goes back over the border of two pieces of so many steps.
    """

    kind: str
    hidden_size: int
    num_layers: int = 1
    bidirectional: bool = False
    bias: bool = True
    merge: str = "concat"
    output: str = "h"
    go_backwards: bool = False
    clip: float | None = None
    gate_activation: str = "sigmoid"
    candidate_activation: str = "tanh"
    peephole: bool = False
    coupled: bool = False
    forget_gate: bool = True
    proj_size: int = 0
    layer_norm: bool = False
    cell_clip: float | None = None
    output_activation: str = "tanh"
    reset_after: bool = True
    gradient_clip: float | None = None
    bptt: int | None = None

    def __post_init__(self):
        """An option that would mean nothing is a mistake in a test."""
        assert self.merge in ("concat", "sum", "mean", "product")
        assert self.output == "h" or (self.output == "c" and self.kind == "lstm")
        assert not (self.go_backwards and self.bidirectional)
        assert self.forget_gate or not self.coupled
        of_the_lstm = self.peephole, self.coupled, not self.forget_gate, self.proj_size, self.layer_norm, self.cell_clip
        assert self.kind == "lstm" or not any(of_the_lstm)
        assert self.kind == "gru" or self.reset_after

    @property
    def gates(self):
        """The gate blocks in their order in every weight matrix."""
        if self.kind == "lstm":
            return "igo" if self.coupled or not self.forget_gate else "ifgo"
        return {"gru": "rzn", "rnn": "n"}[self.kind]

    @property
    def suffixes(self):
        """The suffix of the parameter names of each direction."""
        return directions(self.bidirectional)

    @property
    def output_size(self):
        """R: the size of h."""
        return self.proj_size or self.hidden_size

    @property
    def merged_size(self):
        """The number of features that a layer hands to the next one."""
        return self.output_size * (len(self.suffixes) if self.merge == "concat" else 1)

    @property
    def y_size(self):
        """The number of features of y."""
        size = self.hidden_size if self.output == "c" else self.output_size
        return size * (len(self.suffixes) if self.merge == "concat" else 1)

    def shown(self, layer):
        """Which part of its state a layer gives, by number."""
        return int(self.output == "c" and layer == self.num_layers - 1)

    @property
    def state_sizes(self):
        """The number of units of each part of the state."""
        return (self.output_size, self.hidden_size) if self.kind == "lstm" else (self.hidden_size,)


class Activation(NamedTuple):
    """A function of z, and its derivative as a function of the value y that it has there."""

    value: Callable
    derivative: Callable


class LSTMStep(NamedTuple):
    """What one LSTM step saves: x (N, I), u (N, R), `a` by gate, `shown` = output_activation(v), the others (N, H)."""

    x: np.ndarray
    u: np.ndarray
    c_prev: np.ndarray
    a: dict
    i: np.ndarray
    f: np.ndarray
    g: np.ndarray
    o: np.ndarray
    c: np.ndarray
    shown: np.ndarray


class GRUStep(NamedTuple):
    """What one GRU step saves: x (N, I), `a` by gate, all others (N, H)."""

    x: np.ndarray
    u: np.ndarray
    h_prev: np.ndarray
    a: dict
    r: np.ndarray
    z: np.ndarray
    n: np.ndarray


class RNNStep(NamedTuple):
    """What one RNN step saves: x (N, I), all others (N, H)."""

    x: np.ndarray
    u: np.ndarray
    a: np.ndarray
    n: np.ndarray


class StepGradients(NamedTuple):
    """What the backward of one step returns.

    `dx` (N, I) and `du` (N, R) go to the input and to the masked h that the products saw, `dstate_prev` to the state
    before the step by all other ways. `dstate_within` is what comes to the new state from inside the same step (to c
    through h; 0 for h). `dweights` holds this step's share of the weight gradients, summed over the batch.
    """

    dx: np.ndarray
    du: np.ndarray
    dstate_prev: tuple
    dstate_within: tuple
    dweights: dict


class Masks(NamedTuple):
    """The noise of one layer in one direction, in full shape.

    input (N, T, width), recurrent (N, R) and weight (G H, R) multiply; `zones` holds, for each part of the state, how
    much of the old value is kept, (N, T, R) and (N, T, H).
    """

    input: np.ndarray
    recurrent: np.ndarray
    weight: np.ndarray
    zones: tuple


class SequenceTape(NamedTuple):
    """What one layer in one direction saves.

    `weights` are by short name, weight_hh with its mask; `states` holds the state after each step, (N, T, R) and
    (N, T, H), zero in the padding; `steps` holds ``(t, rows, step)`` in the order in which the steps were computed;
    `reverse` says that this was from the last one to the first.
    """

    x: np.ndarray
    lengths: np.ndarray
    weights: dict
    masks: Masks
    states: tuple
    steps: list
    reverse: bool


class Tape(NamedTuple):
    """What the stack saves: one `SequenceTape` for each index."""

    options: Options
    params: dict
    lengths: np.ndarray
    sequences: list


def clamp(z, low, high):
    """low where z is below it, high where z is above it, z otherwise."""
    return np.where(z.real < low, low, np.where(z.real > high, high, z))


def between(z, low, high):
    """The derivative of `clamp`: 1 strictly inside, 0 outside."""
    return ((low < z.real) & (z.real < high)).astype(z.real.dtype)


def limit(a, bound):
    """clamp(a, -bound, bound), or a itself without a bound."""
    return a if bound is None else clamp(a, -bound, bound)


def inside(a, bound):
    """The derivative of `limit`, which can be seen from the limited value too."""
    return np.ones_like(a.real) if bound is None else between(a, -bound, bound)


ACTIVATIONS = {
    "sigmoid": Activation(sigmoid, lambda y: y * (1 - y)),
    "tanh": Activation(np.tanh, lambda y: 1 - y**2),
    "relu": Activation(lambda z: clamp(z, 0, np.inf), lambda y: between(y, 0, np.inf)),
    "hard_sigmoid": Activation(lambda z: clamp(z / 6 + 0.5, 0, 1), lambda y: between(y, 0, 1) / 6),
    "hard_sigmoid_0.2": Activation(lambda z: clamp(0.2 * z + 0.5, 0, 1), lambda y: 0.2 * between(y, 0, 1)),
    "identity": Activation(lambda z: z, np.ones_like),
    # The squashing functions g and h of Hochreiter and Schmidhuber 1997, with the ranges (-2, 2) and (-1, 1)
    "centered_sigmoid_2": Activation(lambda z: 4 * sigmoid(z) - 2, lambda y: 1 - y**2 / 4),
    "centered_sigmoid_1": Activation(lambda z: 2 * sigmoid(z) - 1, lambda y: (1 - y**2) / 2),
}


def pre_activation_backward(options, activation, dy, y, a):
    """Through y = activation(a), a = limit(z): the gradient dz, all (N, H).

    The gradient of `a` is where `gradient_clip` works, so everything further back is made from the clamped one.
    """
    da = limit(dy * ACTIVATIONS[activation].derivative(y), options.gradient_clip)
    return da * inside(a, options.clip)


def normalise(a):
    """(a - mean) / sqrt(var + epsilon) of each row, and the factor 1 / sqrt(var + epsilon) (N, 1)."""
    deviation = a - a.mean(axis=1, keepdims=True)
    variance = (deviation**2).mean(axis=1, keepdims=True)  # biased: divided by the number of units
    factor = 1 / np.sqrt(variance + EPSILON)
    return deviation * factor, factor


def layer_norm_forward(a, gain):
    """LN(a; gain) = gain (a - mean(a)) / sqrt(var(a) + epsilon) over the units of each row (Ba, Kiros, Hinton 2016).

    Parameters
    ----------
    a : (N, U)
    gain : (U,)
    """
    normal, _ = normalise(a)
    return gain * normal


def layer_norm_backward(dy, a, gain):
    """Gradients of `layer_norm_forward`: da (N, U), dgain (U,)."""
    normal, factor = normalise(a)
    dgain = (dy * normal).sum(axis=0)
    # All units of a row share its mean and its variance: both take their part out of the gradient
    dnormal = dy * gain
    through_mean = dnormal.mean(axis=1, keepdims=True)
    through_variance = normal * (dnormal * normal).mean(axis=1, keepdims=True)
    return factor * (dnormal - through_mean - through_variance), dgain


def products_forward(options, weights, x, u):
    """z (N, G H) = weight_ih x + weight_hh u + b, each of the products normalised with `layer_norm`."""
    from_input = x @ weights["weight_ih"].T
    from_state = u @ weights["weight_hh"].T
    if options.layer_norm:
        from_input = layer_norm_forward(from_input, weights["gain_ih"])
        from_state = layer_norm_forward(from_state, weights["gain_hh"])
    return from_input + from_state + weights.get("bias", 0)


def products_backward(options, weights, x, u, dz):
    """Gradients of `products_forward`: dx, du, and a dict of those of the weights."""
    d_input, d_state, dweights = dz, dz, {"bias": dz.sum(axis=0)}
    if options.layer_norm:
        from_input, from_state = x @ weights["weight_ih"].T, u @ weights["weight_hh"].T
        d_input, dweights["gain_ih"] = layer_norm_backward(dz, from_input, weights["gain_ih"])
        d_state, dweights["gain_hh"] = layer_norm_backward(dz, from_state, weights["gain_hh"])
    dweights["weight_ih"] = d_input.T @ x
    dweights["weight_hh"] = d_state.T @ u
    return d_input @ weights["weight_ih"], d_state @ weights["weight_hh"], dweights


def peepholes(options, weights):
    """The peephole weights (H,) by gate, 0 where there are none."""
    gates = [gate for gate in options.gates if gate != "g"]
    return dict(zip(gates, weights["peephole"])) if options.peephole else dict.fromkeys(gates, 0)


def lstm_step_forward(options, weights, x, u, state):
    """One time step of an LSTM layer.

    Parameters
    ----------
    options : Options
    weights : dict
        By short name: ``weight_ih``, ...
    x : (N, I)
    u : (N, R)
        What the product with weight_hh sees of the old h: h_prev with its mask.
    state : (h_prev, c_prev)

    Returns
    -------
    (h, c) : (N, R), (N, H)
        The new state.
    tape : LSTMStep
    """
    _, c_prev = state
    gate, candidate = ACTIVATIONS[options.gate_activation].value, ACTIVATIONS[options.candidate_activation].value
    p, a = peepholes(options, weights), {}
    # z = weight_ih x + weight_hh u + b, for all gates at once
    z = dict(zip(options.gates, np.split(products_forward(options, weights, x, u), len(options.gates), axis=1)))

    a["i"] = limit(z["i"] + p["i"] * c_prev, options.clip)
    i = gate(a["i"])

    if options.coupled:
        f = 1 - i
    elif options.forget_gate:
        a["f"] = limit(z["f"] + p["f"] * c_prev, options.clip)
        f = gate(a["f"])
    else:
        f = np.ones_like(i)

    a["g"] = limit(z["g"], options.clip)
    g = candidate(a["g"])

    c = limit(f * c_prev + i * g, options.cell_clip)

    a["o"] = limit(z["o"] + p["o"] * c, options.clip)  # o sees the new cell
    o = gate(a["o"])

    # h = weight_hr (o activation(v)), where v is c, or c normalised
    v = layer_norm_forward(c, weights["gain_c"]) + weights["bias_c"] if options.layer_norm else c
    shown = ACTIVATIONS[options.output_activation].value(v)
    h = o * shown
    if options.proj_size:
        h = h @ weights["weight_hr"].T
    return (h, c), LSTMStep(x, u, c_prev, a, i, f, g, o, c, shown)


def lstm_output_backward(options, weights, tape, dh):
    """From h back to the cell: the last lines of `lstm_step_forward`, read upwards.

    Returns
    -------
    dc : (N, H)
        What reaches the new cell through h.
    dz_o : (N, H)
    dweights : dict
        The gradients of weight_hr, gain_c and bias_c.
    """
    dweights = {}
    # h = weight_hr m, m = o shown
    dm = dh
    if options.proj_size:
        dm = dh @ weights["weight_hr"]
        dweights["weight_hr"] = dh.T @ (tape.o * tape.shown)
    do = dm * tape.shown
    dshown = dm * tape.o

    # shown = activation(v), v = c or gain_c normal(c) + bias_c
    dv = dshown * ACTIVATIONS[options.output_activation].derivative(tape.shown)
    dc = dv
    if options.layer_norm:
        dc, dweights["gain_c"] = layer_norm_backward(dv, tape.c, weights["gain_c"])
        dweights["bias_c"] = dv.sum(axis=0)

    # o = gate(z_o + p_o c)
    dz_o = pre_activation_backward(options, options.gate_activation, do, tape.o, tape.a["o"])
    dc = dc + dz_o * peepholes(options, weights)["o"]
    return dc, dz_o, dweights


def lstm_cell_backward(options, tape, dc):
    """From the new cell back to the gates i, f and g: dz by gate, and dc_prev by way of f, all (N, H)."""
    # c = limit(f c_prev + i g)
    dc = dc * inside(tape.c, options.cell_clip)
    dc_prev = dc * tape.f
    df = dc * tape.c_prev
    di = dc * tape.g
    dg = dc * tape.i

    dz = {}
    if options.coupled:
        di = di - df  # f = 1 - i
    elif options.forget_gate:
        dz["f"] = pre_activation_backward(options, options.gate_activation, df, tape.f, tape.a["f"])
    dz["i"] = pre_activation_backward(options, options.gate_activation, di, tape.i, tape.a["i"])
    dz["g"] = pre_activation_backward(options, options.candidate_activation, dg, tape.g, tape.a["g"])
    return dz, dc_prev


def lstm_step_backward(options, weights, tape, dstate):
    """Chain rule through one time step: `lstm_step_forward` read from its last line to its first.

    Parameters
    ----------
    options : Options
    weights : dict
    tape : LSTMStep
    dstate : (dh, dc), each (N, H)
        Gradient with respect to the new state; that of c without what comes through h of this step.

    Returns
    -------
    StepGradients
    """
    dh, dc = dstate
    dc_within, dz_o, dweights = lstm_output_backward(options, weights, tape, dh)
    dz, dc_prev = lstm_cell_backward(options, tape, dc + dc_within)
    dz["o"] = dz_o

    # z_i and z_f saw p c_prev, z_o saw p c
    p = peepholes(options, weights)
    seen = {gate: tape.c if gate == "o" else tape.c_prev for gate in p}
    dc_prev = dc_prev + sum(dz[gate] * p[gate] for gate in p if gate != "o")
    if options.peephole:
        dweights["peephole"] = np.stack([(dz[gate] * seen[gate]).sum(axis=0) for gate in p])

    dz = np.concatenate([dz[gate] for gate in options.gates], axis=1)
    dx, du, dproducts = products_backward(options, weights, tape.x, tape.u, dz)
    return StepGradients(dx, du, (0, dc_prev), (0, dc_within), dweights | dproducts)


def gru_step_forward(options, weights, x, u, state):
    """One time step of a GRU layer; parameters and results as in `lstm_step_forward`, the state is (h,)."""
    (h_prev,) = state
    gate, candidate = ACTIVATIONS[options.gate_activation].value, ACTIVATIONS[options.candidate_activation].value
    x_r, x_z, x_n = np.split(x @ weights["weight_ih"].T + weights.get("bias", 0), 3, axis=1)
    w_r, w_z, w_n = np.split(weights["weight_hh"], 3)
    a = {}

    a["r"] = limit(x_r + u @ w_r.T, options.clip)
    r = gate(a["r"])
    a["z"] = limit(x_z + u @ w_z.T, options.clip)
    z = gate(a["z"])

    if options.reset_after:
        a["n"] = limit(x_n + r * (u @ w_n.T + weights.get("bias_hn", 0)), options.clip)
    else:
        a["n"] = limit(x_n + (r * u) @ w_n.T, options.clip)
    n = candidate(a["n"])

    h = (1 - z) * n + z * h_prev
    return (h,), GRUStep(x, u, h_prev, a, r, z, n)


def gru_candidate_backward(options, weights, tape, dz_n):
    """Through the state's part of z_n: the gradients dr, du, of the n block of weight_hh, and of bias_hn."""
    r, u = tape.r, tape.u
    _, _, w_n = np.split(weights["weight_hh"], 3)
    if options.reset_after:
        # z_n = ... + r q, q = w_n u + bias_hn
        q = u @ w_n.T + weights.get("bias_hn", 0)
        dr = dz_n * q
        dq = dz_n * r
        return dr, dq @ w_n, dq.T @ u, dq.sum(axis=0)
    # z_n = ... + w_n q, q = r u
    dq = dz_n @ w_n
    dr = dq * u
    du = dq * r
    return dr, du, dz_n.T @ (r * u), None


def gru_step_backward(options, weights, tape, dstate):
    """Chain rule through one time step of a GRU; parameters and result as in `lstm_step_backward`."""
    (dh,) = dstate
    x, u, h_prev, a, r, z, n = tape
    w_r, w_z, _ = np.split(weights["weight_hh"], 3)

    # h = (1 - z) n + z h_prev
    dn = dh * (1 - z)
    dz = dh * (h_prev - n)
    dh_prev = dh * z

    dz_n = pre_activation_backward(options, options.candidate_activation, dn, n, a["n"])
    dr, du, dw_n, dbias_hn = gru_candidate_backward(options, weights, tape, dz_n)
    dz_r = pre_activation_backward(options, options.gate_activation, dr, r, a["r"])
    dz_z = pre_activation_backward(options, options.gate_activation, dz, z, a["z"])

    # z_r = weight_ih_r x + w_r u + b_r, z_z likewise
    du = du + dz_r @ w_r + dz_z @ w_z
    dz_all = np.concatenate([dz_r, dz_z, dz_n], axis=1)
    dweights = {
        "weight_ih": dz_all.T @ x,
        "weight_hh": np.concatenate([dz_r.T @ u, dz_z.T @ u, dw_n]),
        "bias": dz_all.sum(axis=0),
        "bias_hn": dbias_hn,
    }
    return StepGradients(dz_all @ weights["weight_ih"], du, (dh_prev,), (0,), dweights)


def rnn_step_forward(options, weights, x, u, state):
    """One time step of an RNN layer; parameters and results as in `lstm_step_forward`, the state is (h,)."""
    # h = candidate(weight_ih x + weight_hh u + b)
    a = limit(products_forward(options, weights, x, u), options.clip)
    n = ACTIVATIONS[options.candidate_activation].value(a)
    return (n,), RNNStep(x, u, a, n)


def rnn_step_backward(options, weights, tape, dstate):
    """Chain rule through one time step of an RNN; parameters and result as in `lstm_step_backward`."""
    (dh,) = dstate
    dz = pre_activation_backward(options, options.candidate_activation, dh, tape.n, tape.a)
    dx, du, dweights = products_backward(options, weights, tape.x, tape.u, dz)
    return StepGradients(dx, du, (0,), (0,), dweights)


STEP_FORWARD = {"lstm": lstm_step_forward, "gru": gru_step_forward, "rnn": rnn_step_forward}
STEP_BACKWARD = {"lstm": lstm_step_backward, "gru": gru_step_backward, "rnn": rnn_step_backward}


def sequence_forward(options, weights, x, state, lengths, masks, reverse):
    """All time steps of one layer in one direction.

    Step t works on the rows that are still alive, ``lengths > t``, and leaves the others alone, as in ``reference.py``.

    Parameters
    ----------
    options : Options
    weights : dict
        By short name; weight_hh as it is in the parameters, without its mask.
    x : (N, T, I)
    state : tuple of (N, R), (N, H)
    lengths : (N,) of int
    masks : Masks
    reverse : bool
        Walk from the last step to the first.

    Returns
    -------
    state : tuple of (N, R), (N, H)
        After the last step of each row.
    tape : SequenceTape
    """
    N, T, _ = x.shape
    weights = weights | {"weight_hh": weights["weight_hh"] * masks.weight}
    dtype = np.result_type(x, *state, *weights.values())
    state = tuple(part.astype(dtype) for part in state)
    states = tuple(np.zeros((N, T, part.shape[1]), dtype) for part in state)
    steps = []
    for t in reversed(range(T)) if reverse else range(T):
        rows = np.flatnonzero(lengths > t)
        x_t = x[rows, t] * masks.input[rows, t]
        old = tuple(part[rows] for part in state)
        u = old[0] * masks.recurrent[rows]
        new, step = STEP_FORWARD[options.kind](options, weights, x_t, u, old)
        for k, zone in enumerate(masks.zones):
            # zoneout: the part `zone` of the old state is kept (Krueger et al. 2017)
            state[k][rows] = zone[rows, t] * old[k] + (1 - zone[rows, t]) * new[k]
            states[k][rows, t] = state[k][rows]
        steps.append((t, rows, step))
    return state, SequenceTape(x, lengths, weights, masks, states, steps, reverse)


def is_cut(options, tape, rows, t):
    """Whether `bptt` cuts the way back from step t to the one before it in the order of the walk, for each row.

    Each row counts its own valid steps: neither padding nor other rows change where it is cut.
    """
    done = tape.lengths[rows] - 1 - t if tape.reverse else np.full(len(rows), t)
    return np.zeros(len(rows), bool) if options.bptt is None else (done > 0) & (done % options.bptt == 0)


def sequence_backward(options, tape, dstates, dstate):
    """Back-propagation through time, for one layer in one direction.

    Walks the steps of `sequence_forward` in the opposite order, carrying `dstate` from each step to the one before it.

    Parameters
    ----------
    options : Options
    tape : SequenceTape
    dstates : tuple of (N, T, R), (N, T, H)
        Gradient with respect to the state after each step, without what comes back from later steps. Not read in the
        padding.
    dstate : tuple of (N, R), (N, H)
        Gradient with respect to the final state.

    Returns
    -------
    dx : (N, T, I)
        Zero in the padding.
    dstate : tuple of (N, R), (N, H)
    dweights : dict
    totals : tuple of (N, T, R), (N, T, H)
        The whole gradient with respect to the state after each step; zero in the padding.
    """
    x, _, weights, masks, _, steps, _ = tape
    dtype = np.result_type(x, *weights.values(), *dstates, *dstate)
    dstate = tuple(part.astype(dtype) for part in dstate)
    dx = np.zeros(x.shape, dtype)
    dweights = {name: np.zeros(weight.shape, dtype) for name, weight in weights.items()}
    totals = tuple(np.zeros(part.shape, dtype) for part in dstates)
    for t, rows, step in reversed(steps):
        # The state after the step is used twice: as output and by the next step
        after = tuple(output[rows, t] + later[rows] for output, later in zip(dstates, dstate))
        new = tuple((1 - zone[rows, t]) * part for zone, part in zip(masks.zones, after))
        step_gradients = STEP_BACKWARD[options.kind](options, weights, step, new)

        cut = is_cut(options, tape, rows, t)[:, None]
        for k, zone in enumerate(masks.zones):
            before = zone[rows, t] * after[k] + step_gradients.dstate_prev[k]
            if k == 0:  # only h goes into the product
                before = before + step_gradients.du * masks.recurrent[rows]
            dstate[k][rows] = np.where(cut, 0, before)
            totals[k][rows, t] = after[k] + step_gradients.dstate_within[k]

        dx[rows, t] = step_gradients.dx * masks.input[rows, t]
        for name in dweights:
            dweights[name] += step_gradients.dweights[name]
    dweights["weight_hh"] *= masks.weight
    return dx, dstate, dweights, totals


def merge_forward(options, outputs):
    """The output of a layer from the outputs (N, T, R) of its directions."""
    if len(outputs) == 1:
        return outputs[0]
    ahead, back = outputs
    if options.merge == "concat":
        return np.concatenate([ahead, back], axis=2)
    if options.merge == "product":
        return ahead * back
    return (ahead + back) / (2 if options.merge == "mean" else 1)


def merge_backward(options, dy, outputs):
    """The gradient (N, T, R) of the output of each direction."""
    if len(outputs) == 1:
        return [dy]
    ahead, back = outputs
    if options.merge == "concat":
        return np.split(dy, 2, axis=2)
    if options.merge == "product":
        return [dy * back, dy * ahead]
    return [dy / (2 if options.merge == "mean" else 1)] * 2


def weight_shapes(options, width):
    """The shapes of the weights of one layer in one direction, by short name; `width` is the size of its input."""
    H, R, rows = options.hidden_size, options.output_size, len(options.gates) * options.hidden_size
    shapes = {"weight_ih": (rows, width), "weight_hh": (rows, R)}
    if options.bias:
        shapes["bias"] = (rows,)
    if options.kind == "gru" and options.bias and options.reset_after:
        shapes["bias_hn"] = (H,)
    if options.peephole:
        shapes["peephole"] = (len(options.gates) - 1, H)
    if options.proj_size:
        shapes["weight_hr"] = (R, H)
    if options.layer_norm:
        shapes |= {"gain_ih": (rows,), "gain_hh": (rows,), "gain_c": (H,), "bias_c": (H,)}
    return shapes


def parameter_shapes(options, input_size):
    """Yields (name, shape) of every parameter, in their order: layer, direction, weight."""
    for layer, suffix in product(range(options.num_layers), options.suffixes):
        width = options.merged_size if layer else input_size
        for name, shape in weight_shapes(options, width).items():
            yield f"{name}_l{layer}{suffix}", shape


def layer_weights(options, params, layer, suffix):
    """The weights of one layer in one direction, by short name."""
    return {name: params[f"{name}_l{layer}{suffix}"] for name in weight_shapes(options, 0)}


def layer_masks(options, noise, layer, index, x):
    """The `Masks` of one layer in one direction; what `noise` does not hold changes nothing."""
    N, T, width = x.shape

    def full(key, number, neutral, *shape):
        given = noise[key][number] if key in noise else None
        return np.broadcast_to(np.asarray(neutral if given is None else given, x.dtype), shape)

    return Masks(
        full("input", layer, 1, N, T, width),
        full("recurrent", index, 1, N, options.output_size),
        full("weight", index, 1, len(options.gates) * options.hidden_size, options.output_size),
        tuple(full(f"zone_{part}", index, 0, N, T, size) for part, size in zip("hc", options.state_sizes)),
    )


def is_valid(x, lengths):
    """Which steps are no padding, (N, T)."""
    return np.arange(x.shape[1]) < lengths[:, None]


def forward(x, params, options, *, state=None, lengths=None, noise=None):
    """A stack of recurrent layers.

    Parameters
    ----------
    x : (N, T, I)
    params : dict
        The names and shapes of `parameter_shapes`.
    options : Options
    state : tuple of (L*D, N, R), (L*D, N, H), or None
        (h, c) of an LSTM, (h,) of the others; None is zeros.
    lengths : (N,) of int, or None
        Valid steps of each row, 0 to T; None is T for all. A row of length 0 keeps its state.
    noise : dict or None
        Arrays under any of these keys, each constant for `backward`:

        - "added" (N, T, I): added to x;
        - "input", for each layer: multiplies the layer's input, broadcast to (N, T, width);
        - "recurrent", for each index (N, R): multiplies the old h where it meets weight_hh, the same in all steps;
        - "weight", for each index (G H, R): multiplies weight_hh;
        - "zone_h", "zone_c", for each index (N, T, R) and (N, T, H), or a number: how much of the old state is kept.

        In the lists, None changes nothing.

    Returns
    -------
    y : (N, T, y size)
        Output of the last layer; zero in the padding.
    state : tuple of (L*D, N, R), (L*D, N, H)
        After the last step of each row.
    tape : Tape
    """
    N, T, _ = x.shape
    suffixes = options.suffixes
    noise = {} if noise is None else noise
    lengths = np.full(N, T) if lengths is None else np.asarray(lengths)
    if state is None:
        state = tuple(np.zeros((options.num_layers * len(suffixes), N, size), x.dtype) for size in options.state_sizes)

    y = x
    if "added" in noise:
        valid = is_valid(x, lengths)
        y = np.zeros_like(x)
        y[valid] = x[valid] + noise["added"][valid]

    final, sequences = [], []
    for layer in range(options.num_layers):
        outputs = []
        for suffix in suffixes:
            index = len(sequences)
            state_k, sequence = sequence_forward(
                options,
                layer_weights(options, params, layer, suffix),
                y,
                tuple(part[index] for part in state),
                lengths,
                layer_masks(options, noise, layer, index, y),
                reverse=options.go_backwards or suffix == "_reverse",
            )
            outputs.append(sequence.states[options.shown(layer)])
            final.append(state_k)
            sequences.append(sequence)
        y = merge_forward(options, outputs)
    return y, tuple(map(np.stack, zip(*final))), Tape(options, params, lengths, sequences)


def backward_with_totals(tape, dy, dstate=None, dc_all=None):
    """`backward`, and the totals of `sequence_backward` for each index."""
    options, params, lengths, sequences = tape
    suffixes = options.suffixes
    D, N, T = len(suffixes), len(dy), dy.shape[1]
    if dstate is None:
        dstate = tuple(np.zeros((len(sequences), N, size), dy.dtype) for size in options.state_sizes)
    dy = np.where(is_valid(dy, lengths)[:, :, None], dy, 0)

    dstate_0, totals, grads = [None] * len(sequences), [None] * len(sequences), {}
    for layer in reversed(range(options.num_layers)):
        own = sequences[layer * D : (layer + 1) * D]
        shown = options.shown(layer)
        doutputs = merge_backward(options, dy, [sequence.states[shown] for sequence in own])
        dx = 0
        for direction, suffix in enumerate(suffixes):
            index = layer * D + direction
            dstates = [np.zeros((N, T, size), dy.dtype) for size in options.state_sizes]
            dstates[shown] = doutputs[direction]
            if dc_all is not None and layer == options.num_layers - 1:
                dstates[1] = dstates[1] + np.split(dc_all, D, axis=2)[direction]
            dx_k, dstate_0[index], dweights, totals[index] = sequence_backward(
                options, own[direction], dstates, tuple(part[index] for part in dstate)
            )
            dx = dx + dx_k  # both directions read the same input
            grads |= {f"{name}_l{layer}{suffix}": gradient for name, gradient in dweights.items()}
        dy = dx  # the input of this layer is the output of the one below
    return dx, tuple(map(np.stack, zip(*dstate_0))), {name: grads[name] for name in params}, totals


def backward(tape, dy, dstate=None, dc_all=None):
    """Gradients of everything that `forward` took, but the noise; exact without `gradient_clip` and `bptt`.

    Parameters
    ----------
    tape : Tape
    dy : (N, T, y size)
        Not read in the padding.
    dstate : tuple of (L*D, N, R), (L*D, N, H), or None
        Gradient with respect to the final state; None is zeros.
    dc_all : (N, T, D*H) or None
        LSTM only: gradient with respect to `cells`. Not read in the padding.

    Returns
    -------
    dx : (N, T, I)
        Zero in the padding.
    dstate : tuple of (L*D, N, R), (L*D, N, H)
        Gradient with respect to the initial state.
    grads : dict
        The keys and shapes of `params`.
    """
    dx, dstate, grads, _ = backward_with_totals(tape, dy, dstate, dc_all)
    return dx, dstate, grads


def state_gradients(tape, dy, dstate=None, dc_all=None):
    """The whole gradient with respect to the state after each step, for each index.

    That of h after step t is what comes from the output (of this step, or from the layer above) and from later steps.
    That of c is what comes from the output, `dc_all` and later steps, and what comes through h of the same step. With
    zoneout the c that h shows is the one before it is mixed with the old one; its share is added all the same.

    Returns
    -------
    list over index of tuple of (N, T, R), (N, T, H)
        In the order of time; zero in the padding.
    """
    return backward_with_totals(tape, dy, dstate, dc_all)[3]


def gradient_norms(tape, dy, dstate=None, dc_all=None):
    """The norms of `state_gradients` over batch and units: a list over index of tuples of (T,), for h and for c."""
    gradients = state_gradients(tape, dy, dstate, dc_all)
    return [tuple(np.sqrt((part**2).sum(axis=(0, 2))) for part in parts) for parts in gradients]


def trace(tape, index=0):
    """What each step of one layer in one direction computed.

    Parameters
    ----------
    tape : Tape
    index : int
        layer * D + direction.

    Returns
    -------
    dict of (N, T, H) or (N, T, R)
        ``i f g o c h`` of an LSTM (f is 1 - i or 1 where there is no such gate), ``r z n h`` of a GRU, ``h`` of an
        RNN; ``[:, t]`` is what step t computed, h and c as they are after zoneout; zero in the padding.
    """
    sequence = tape.sequences[index]
    N, T, _ = sequence.x.shape

    def collect(name):
        values = np.zeros((N, T, tape.options.hidden_size), sequence.states[0].dtype)
        for t, rows, step in sequence.steps:
            values[rows, t] = getattr(step, name)
        return values

    gates = {"lstm": "ifgo", "gru": "rzn", "rnn": ""}[tape.options.kind]
    seen = {gate: collect(gate) for gate in gates}
    if tape.options.kind == "lstm":
        seen["c"] = sequence.states[1]
    seen["h"] = sequence.states[0]
    return seen


def cells(tape):
    """c after each step of the last layer, both directions side by side: (N, T, D*H); zero in the padding."""
    last = tape.sequences[-len(tape.options.suffixes) :]
    return np.concatenate([sequence.states[1] for sequence in last], axis=2)
