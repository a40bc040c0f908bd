"""The LSTM in plain NumPy: the slow, obviously right twin of the C core.

Nothing here is fast and nothing is clever. Each function does one thing; the formula stands in the
comment and the code below it says the same. Forward and backward are written for one step, then
for one sequence, then for a stack of layers in one or two directions; each level only composes the
one below it::

    step_forward      step_backward         one time step, one layer
    sequence_forward  sequence_backward     T steps, one layer, one direction
    lstm_forward      lstm_backward         L layers, D directions

The proof goes in two strides. `complex_step` differentiates the forward functions to the last
digit without knowing anything about the chain rule, and so proves the backward functions
(``test_reference.py``). These in turn prove the C core.

Words: T time steps, N batch, I input size, H hidden size, L layers, D directions. `z` is a
pre-activation, `h` the hidden state, `c` the cell state, and `d<name>` the gradient of the loss
with respect to `<name>`. The gates stand in the order i f g o, H rows each, in every weight matrix.

Forward uses no absolute value, maximum or comparison of values, so that it also runs in complex
numbers, which `complex_step` needs. Arrays keep the dtype they come in.
"""

from typing import NamedTuple

import numpy as np


class StepTape(NamedTuple):
    """What one step saves for its backward: x (N, I), all others (N, H)."""

    x: np.ndarray
    h_prev: np.ndarray
    c_prev: np.ndarray
    i: np.ndarray
    f: np.ndarray
    g: np.ndarray
    o: np.ndarray
    c: np.ndarray
    h: np.ndarray


class SequenceTape(NamedTuple):
    """What one layer in one direction saves: input, output, weights, and its steps.

    `steps` holds ``(t, rows, StepTape)`` in the order in which the steps were computed; `rows` are
    the rows of the batch that took part in step t.
    """

    x: np.ndarray
    y: np.ndarray
    w_ih: np.ndarray
    w_hh: np.ndarray
    steps: list


class LSTMTape(NamedTuple):
    """What the stack saves: one `SequenceTape` for each layer and direction, layer major."""

    sequences: list
    num_layers: int
    bidirectional: bool
    params: dict


class Trace(NamedTuple):
    """Gates and states at every step of one layer in one direction, each (N, T, H)."""

    i: np.ndarray
    f: np.ndarray
    g: np.ndarray
    o: np.ndarray
    c: np.ndarray
    h: np.ndarray


def sigmoid(z):
    """Logistic function, 1 / (1 + exp(-z)), in the form that cannot overflow."""
    return (1 + np.tanh(z / 2)) / 2


def step_forward(x, h_prev, c_prev, w_ih, w_hh, b):
    """One time step of one layer.

    Parameters
    ----------
    x : (N, I)
    h_prev, c_prev : (N, H)
        The state before the step.
    w_ih : (4H, I)
    w_hh : (4H, H)
    b : (4H,) or 0

    Returns
    -------
    h, c : (N, H)
        The state after the step. `h` is also the output of the step.
    tape : StepTape
    """
    # z = w_ih x + w_hh h_prev + b, for all four gates at once
    z = x @ w_ih.T + h_prev @ w_hh.T + b
    z_i, z_f, z_g, z_o = np.split(z, 4, axis=1)

    i = sigmoid(z_i)  # how much of the candidate enters the cell
    f = sigmoid(z_f)  # how much of the old cell stays
    g = np.tanh(z_g)  # the candidate
    o = sigmoid(z_o)  # how much of the cell is shown

    c = f * c_prev + i * g
    h = o * np.tanh(c)
    return h, c, StepTape(x, h_prev, c_prev, i, f, g, o, c, h)


def step_backward(tape, dh, dc, w_ih, w_hh):
    """Chain rule through one time step: `step_forward` read from its last line to its first.

    Parameters
    ----------
    tape : StepTape
    dh, dc : (N, H)
        Gradient of the loss with respect to the state after the step. `dh` is the sum of what
        comes from the output and what comes back from the next step.
    w_ih : (4H, I)
    w_hh : (4H, H)

    Returns
    -------
    dx : (N, I)
    dh_prev, dc_prev : (N, H)
    dw_ih : (4H, I)
    dw_hh : (4H, H)
    db : (4H,)
        This step's share of the weight gradients, summed over the batch.
    """
    x, h_prev, c_prev, i, f, g, o, c, _ = tape
    tanh_c = np.tanh(c)

    # h = o tanh(c). The cell reaches the loss by two ways: through h, and directly (dc).
    do = dh * tanh_c
    dc = dc + dh * o * (1 - tanh_c**2)

    # c = f c_prev + i g
    df = dc * c_prev
    dc_prev = dc * f
    di = dc * g
    dg = dc * i

    # sigmoid' = s (1 - s) and tanh' = 1 - tanh^2, both written with the value already known
    dz_i = di * i * (1 - i)
    dz_f = df * f * (1 - f)
    dz_g = dg * (1 - g**2)
    dz_o = do * o * (1 - o)
    dz = np.concatenate([dz_i, dz_f, dz_g, dz_o], axis=1)

    # z = w_ih x + w_hh h_prev + b
    dx = dz @ w_ih
    dh_prev = dz @ w_hh
    dw_ih = dz.T @ x
    dw_hh = dz.T @ h_prev
    db = dz.sum(axis=0)
    return dx, dh_prev, dc_prev, dw_ih, dw_hh, db


def sequence_forward(x, h0, c0, w_ih, w_hh, b, lengths, reverse=False):
    """All time steps of one layer in one direction.

    Row n has the valid steps 0 .. lengths[n] - 1. Step t works on the rows that are still alive,
    ``lengths > t``, and leaves the others alone: padding is never read. In the reverse direction
    the same rule makes row n keep its initial state until it starts at step lengths[n] - 1.

    Parameters
    ----------
    x : (N, T, I)
    h0, c0 : (N, H)
    w_ih : (4H, I)
    w_hh : (4H, H)
    b : (4H,) or 0
    lengths : (N,) of int
    reverse : bool
        Walk from the last step to the first.

    Returns
    -------
    y : (N, T, H)
        The hidden state after each step; zero in the padding.
    h, c : (N, H)
        The state after the last valid step of each row.
    tape : SequenceTape
    """
    N, T, _ = x.shape
    dtype = np.result_type(x, h0, c0, w_ih, w_hh, b)
    h, c = h0.astype(dtype), c0.astype(dtype)
    y = np.zeros((N, T, h0.shape[1]), dtype)
    steps = []
    for t in reversed(range(T)) if reverse else range(T):
        rows = np.flatnonzero(lengths > t)
        h[rows], c[rows], step = step_forward(x[rows, t], h[rows], c[rows], w_ih, w_hh, b)
        y[rows, t] = h[rows]
        steps.append((t, rows, step))
    return y, h, c, SequenceTape(x, y, w_ih, w_hh, steps)


def sequence_backward(tape, dy, dh, dc):
    """Back-propagation through time, for one layer in one direction.

    Walks the steps of `sequence_forward` in the opposite order, carrying (dh, dc) from each step
    to the one before it.

    Parameters
    ----------
    tape : SequenceTape
    dy : (N, T, H)
        Not read in the padding.
    dh, dc : (N, H)
        Gradient with respect to the final state.

    Returns
    -------
    dx : (N, T, I)
        Zero in the padding.
    dh0, dc0 : (N, H)
    dw_ih : (4H, I)
    dw_hh : (4H, H)
    db : (4H,)
    """
    x, _, w_ih, w_hh, steps = tape
    dtype = np.result_type(x, w_ih, w_hh, dy, dh, dc)
    dh, dc = dh.astype(dtype), dc.astype(dtype)
    dx = np.zeros(x.shape, dtype)
    dw_ih = np.zeros(w_ih.shape, dtype)
    dw_hh = np.zeros(w_hh.shape, dtype)
    db = np.zeros(len(w_hh), dtype)
    for t, rows, step in reversed(steps):
        # h_t is used twice: as the output y_t and by the next step
        dh_t = dy[rows, t] + dh[rows]
        gradients = step_backward(step, dh_t, dc[rows], w_ih, w_hh)
        dx[rows, t], dh[rows], dc[rows], dw_ih_t, dw_hh_t, db_t = gradients
        # the same weights serve every step, so their gradients add up
        dw_ih += dw_ih_t
        dw_hh += dw_hh_t
        db += db_t
    return dx, dh, dc, dw_ih, dw_hh, db


def directions(bidirectional):
    """The suffix that each direction has in the parameter names."""
    return ("", "_reverse") if bidirectional else ("",)


def lstm_forward(
    x,
    params,
    *,
    hidden_size,
    num_layers=1,
    bidirectional=False,
    state=None,
    lengths=None,
):
    """A stack of LSTM layers.

    Parameters
    ----------
    x : (N, T, I)
    params : dict
        For each layer k, ``weight_ih_l{k}`` (4H, I or D*H), ``weight_hh_l{k}`` (4H, H) and
        ``bias_l{k}`` (4H,), which may be absent; the same names with the suffix ``_reverse`` for
        the backward direction.
    hidden_size, num_layers : int
    bidirectional : bool
    state : (h0, c0), each (L*D, N, H), or None
        Layer major, direction minor; None is zeros.
    lengths : (N,) of int, or None
        Valid steps of each row, 0 to T; None is T for all. A row of length 0 keeps its state.

    Returns
    -------
    y : (N, T, D*H)
        Output of the last layer, forward direction first; zero in the padding.
    (h, c) : each (L*D, N, H)
        State after the last valid step of each row.
    tape : LSTMTape
    """
    N, T, _ = x.shape
    suffixes = directions(bidirectional)
    if state is None:
        zeros = np.zeros((num_layers * len(suffixes), N, hidden_size), x.dtype)
        state = zeros, zeros
    lengths = np.full(N, T) if lengths is None else np.asarray(lengths)

    y, h, c, sequences = x, [], [], []
    for layer in range(num_layers):
        outputs = []
        for suffix in suffixes:
            k = len(sequences)  # layer * D + direction
            name = f"l{layer}{suffix}"
            y_k, h_k, c_k, sequence = sequence_forward(
                y,
                state[0][k],
                state[1][k],
                params[f"weight_ih_{name}"],
                params[f"weight_hh_{name}"],
                params.get(f"bias_{name}", 0),
                lengths,
                reverse=suffix == "_reverse",
            )
            outputs.append(y_k)
            h.append(h_k)
            c.append(c_k)
            sequences.append(sequence)
        y = np.concatenate(outputs, axis=2)  # both directions side by side feed the next layer
    return y, (np.stack(h), np.stack(c)), LSTMTape(sequences, num_layers, bidirectional, params)


def lstm_backward(tape, dy, dstate=None):
    """Exact gradients of everything that `lstm_forward` took.

    Parameters
    ----------
    tape : LSTMTape
    dy : (N, T, D*H)
        Not read in the padding.
    dstate : (dh, dc), each (L*D, N, H), or None
        Gradient with respect to the final state; None is zeros.

    Returns
    -------
    dx : (N, T, I)
        Zero in the padding.
    (dh0, dc0) : each (L*D, N, H)
    grads : dict
        The keys and shapes of `params`.
    """
    suffixes = directions(tape.bidirectional)
    D, N, H = len(suffixes), len(dy), dy.shape[2] // len(suffixes)
    if dstate is None:
        zeros = np.zeros((tape.num_layers * D, N, H), dy.dtype)
        dstate = zeros, zeros

    dh0, dc0 = [None] * len(tape.sequences), [None] * len(tape.sequences)
    grads = {}
    for layer in reversed(range(tape.num_layers)):
        dx = 0
        for direction, suffix in enumerate(suffixes):
            k = layer * D + direction
            dy_k = dy[:, :, direction * H : (direction + 1) * H]
            dx_k, dh0[k], dc0[k], dw_ih, dw_hh, db = sequence_backward(
                tape.sequences[k], dy_k, dstate[0][k], dstate[1][k]
            )
            dx = dx + dx_k  # both directions read the same input
            grads[f"weight_ih_l{layer}{suffix}"] = dw_ih
            grads[f"weight_hh_l{layer}{suffix}"] = dw_hh
            grads[f"bias_l{layer}{suffix}"] = db
        dy = dx  # the input of this layer is the output of the one below
    grads = {name: grads[name] for name in tape.params}  # no bias, no gradient
    return dx, (np.stack(dh0), np.stack(dc0)), grads


def trace(tape, layer=0, direction=0):
    """The gates and states at every step of one layer in one direction.

    Parameters
    ----------
    tape : LSTMTape
    layer, direction : int

    Returns
    -------
    Trace
        ``i f g o c h``, each (N, T, H); ``[:, t]`` is what step t computed; zero in the padding.
    """
    sequence = tape.sequences[layer * len(directions(tape.bidirectional)) + direction]

    def collect(name):
        values = np.zeros_like(sequence.y)
        for t, rows, step in sequence.steps:
            values[rows, t] = getattr(step, name)
        return values

    return Trace(*map(collect, Trace._fields))


def complex_step(function, *arrays, step=1e-30):
    """Derivative of a real function of arrays, exact to rounding, by a step into the complex plane.

    For analytic f, f(x + i s) = f(x) + i s f'(x) - s^2 f''(x) / 2 - ..., so Im f(x + i s) / s is
    f'(x) with an error of order s^2. Nothing is subtracted, so s can be as small as 1e-30, where
    that error is far below rounding; a difference quotient would have lost every digit.

    Parameters
    ----------
    function : callable
        Takes the arrays, returns a scalar; complex for complex arrays.
    *arrays : ndarray of float
    step : float

    Returns
    -------
    list of ndarray
        For each array the gradient, in its shape.
    """
    gradients = []
    for k, array in enumerate(arrays):
        gradient = np.zeros(array.shape)
        for index in np.ndindex(array.shape):
            moved = array.astype(np.complex128)
            moved[index] += 1j * step
            value = function(*arrays[:k], moved, *arrays[k + 1 :])
            gradient[index] = value.imag / step
        gradients.append(gradient)
    return gradients
