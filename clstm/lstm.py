"""LSTM over sequences."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from . import _arrays, noise, outputs
from .recurrent import Kind, RecurrentLayer

if TYPE_CHECKING:
    from numpy.typing import DTypeLike

    from .init import _Init


def gates_of(options):
    """The blocks of the weight matrices; i g o where f is no gate."""
    if options["coupled"] and not options["forget_gate"]:
        raise _arrays.wrong(ValueError, "coupled", "False, because forget_gate=False leaves nothing to couple", True)
    if options["layer_norm"] and not options["forget_gate"]:
        expected = "False, because forget_gate=False is the cell of 1997, which nobody has normalised"
        raise _arrays.wrong(ValueError, "layer_norm", expected, True)
    return ("i", "g", "o") if options["coupled"] or not options["forget_gate"] else ("i", "f", "g", "o")


def extra_shapes(options, H):
    """The parameters that only some LSTMs have, in the order of the core."""
    gates, shapes = len(gates_of(options)), {}
    if options["peephole"]:
        shapes["peephole"] = (gates - 1, H)
    if options["proj_size"]:
        shapes["weight_hr"] = (options["proj_size"], H)
    if options["layer_norm"]:
        shapes.update({"gain_ih": (gates * H,), "gain_hh": (gates * H,), "gain_c": (H,), "bias_c": (H,)})
    return shapes


def core_options(options):
    """The options by the names of the core."""
    return {
        "peephole": options["peephole"],
        "coupled": options["coupled"],
        "no_forget": not options["forget_gate"],
        "projection_size": options["proj_size"],
        "layer_norm": options["layer_norm"],
        **{name: options[name] or 0 for name in ("clip", "cell_clip", "gradient_clip")},
        "zoneout_c": options["zoneout_c"],
        **{name: options[name] for name in ("gate_activation", "candidate_activation", "output_activation")},
    }


KIND = Kind(
    name="lstm",
    states=("h", "c"),
    options={
        "peephole": _arrays.flag,
        "coupled": _arrays.flag,
        "forget_gate": _arrays.flag,
        "clip": _arrays.limit,
        "cell_clip": _arrays.limit,
        "proj_size": _arrays.size_or_0,
        "layer_norm": _arrays.flag,
        "gradient_clip": _arrays.limit,
        "gate_activation": _arrays.activation,
        "candidate_activation": _arrays.activation,
        "output_activation": _arrays.activation,
        "go_backwards": _arrays.flag,
        **noise.OPTIONS,
        **outputs.OPTIONS,
        "zoneout_c": _arrays.rate,
    },
    gates=gates_of,
    blocks=gates_of,
    extra_shapes=extra_shapes,
    core=core_options,
)


class LSTM(RecurrentLayer):
    """A stack of LSTM layers over sequences, in one direction or both.

    For each layer, direction and step t (Hochreiter and Schmidhuber 1997, with the forget gate of Gers, Schmidhuber
    and Cummins 2000)::

        z_t = w_ih x_t + w_hh h_{t-1} + b                      split into z_i z_f z_g z_o
        i = sigmoid(z_i)   f = sigmoid(z_f)   g = tanh(z_g)   o = sigmoid(z_o)
        c_t = f c_{t-1} + i g                                  h_t = o tanh(c_t)

    Layer 0 reads x, layer k > 0 the outputs of layer k-1, forward direction first.

    Parameters
    ----------
    input_size, hidden_size : int
        I and H.
    num_layers : int, default 1
        The number of layers, L.
    bidirectional : bool, default False
        Whether each layer also reads the sequence from its end, with parameters of its own. D is 2 then, else 1.
    bias : bool, default True
        Whether there is a bias b.
    peephole : bool, default False
        Whether the gates see the cell state (Gers and Schmidhuber 2000): z_i + p_i c_{t-1}, z_f + p_f c_{t-1} and
        z_o + p_o c_t stand in the place of z_i, z_f, z_o.
    coupled : bool, default False
        Whether f = 1 - i, without a forget gate of its own (CIFG: Greff et al. 2017).
    forget_gate : bool, default True
        False: f = 1, as in 1997. Excludes `coupled`.
    clip : float, optional
        Limits the arguments of the activations of gates and candidate to +-clip (ONNX ``clip``).
    cell_clip : float, optional
        Limits the cell state to +-cell_clip (TensorFlow ``cell_clip``).
    proj_size : int, default 0
        P, the size of h if that is projected: h_t = w_hr (o tanh(c_t)), of P elements instead of H (Sak, Senior and
        Beaufays 2014); y and everything else that reads h has that size. 0: no projection.
    layer_norm : bool, default False
        Layer normalisation (Ba, Kiros and Hinton 2016). With N(a) = (a - mean) / sqrt(variance + 1e-5) over the
        elements of a row, z_t = gain_ih N(w_ih x_t) + gain_hh N(w_hh h_{t-1}) + b, over all gates together, and h_t = o
        tanh(gain_c N(c_t) + bias_c). Excludes ``forget_gate=False``.
    gradient_clip : float, optional
        Limits the gradients of those arguments to +-gradient_clip in each step of `backward` (Graves 2013). The
        gradient is not exact then, where that happens.
    gate_activation, candidate_activation, output_activation : str
        Of i, f, o; of g; of c on its way to h. "sigmoid", "tanh", "relu", "hard_sigmoid" (x/6 + 1/2 between 0 and 1, as
        in PyTorch and Keras 3), "hard_sigmoid_0.2" (0.2 x + 1/2, as in ONNX and Keras 2), "identity", and the squashing
        functions of 1997, "centered_sigmoid_2" (4 sigmoid(x) - 2, for g) and "centered_sigmoid_1" (2 sigmoid(x) - 1,
        for the output).
    go_backwards : bool, default False
        The one direction goes from the last valid step of each row to the first; excludes `bidirectional`. y stays in
        the order of time: y[:, t] belongs to x[:, t], as in ONNX, where Keras returns the order of computation.
    dropout : float, default 0
        Between layers: rate of what layer k > 0 reads, anew in each step, as in PyTorch. What is kept is divided by
        1 - rate, here and below. All of this is at work in `forward` alone; it does not slow training down.
    input_dropout, recurrent_dropout : float, default 0
        Of what each layer reads, and of h_{t-1} on its way into the product with ``weight_hh``: one mask for all
        steps of a row (Gal and Ghahramani 2016).
    weight_drop : float, default 0
        Of the elements of ``weight_hh``, one mask for a call (Merity, Keskar and Socher 2018).
    zoneout_h, zoneout_c : float, default 0
        Probability that a unit keeps its h or its c of the step before (Krueger et al. 2017); the expectation is used
        in inference.
    input_noise : float, default 0
        Standard deviation of what is added to x.
    merge : str, default "concat"
        How the two directions of each layer are put together, for the layer above and for y: "concat", side by side;
        "sum", "mean" or "product" of the two, which have H features. Only with `bidirectional`.
    output : str, default "h"
        What y is: "h", the hidden states of the last layer at all steps; "c", its cell states at all steps; "last", its
        final h, (N, D*H), or (N, H) if merged: those after the last valid step of each row, for the reverse direction
        step 0; "state", the final h of all layers and directions, and then their c, side by side. See
        docs/explanation/outputs.md.
    learned_state : bool, default False
        Whether the state that a row starts from where none is given is a parameter instead of zero:
        ``h0_l{k}`` and ``c0_l{k}`` (H,), for each layer and direction. They start at zero, and stand behind all other
        parameters.
    init : str, dict or function, default "keras"
        How parameters start, see `clstm.init`: "keras", "pytorch" (everything uniform in +-1/sqrt(H)), a dict of
        rules by parameter and gate that go over those of a scheme (its key "like"; "keras"), as in ``{"bias.f":
        2.0}`` or ``{"like": "pytorch", "weight_hh": "orthogonal"}``, or a function ``init(name, shape, rng)``.
    dtype : str or dtype, default "float32"
        "float32" or "float64", of parameters and results.
    rng : int or numpy.random.Generator, optional
        Seed or generator for the starting weights; None: fresh entropy.

    Attributes
    ----------
    input_size, hidden_size, num_layers, output_size : int
        output_size is D*H, but for `merge` and `output`.
    bidirectional, bias : bool
    dtype : numpy.dtype

    Raises
    ------
    TypeError, ValueError
        Naming the argument, what was expected and what came.

    Notes
    -----
    Parameters, for k = 0 .. L-1, and again with the suffix ``_reverse`` if bidirectional: ``weight_ih_l{k}`` (4H, I or
    D*H), ``weight_hh_l{k}`` (4H, H), ``bias_l{k}`` (4H,); rows in the order of the gates i f g o. Names and order are
    PyTorch's, whose two biases are one here. Without a forget gate of its own (coupled, or forget_gate False) the gates
    are i g o, and there are 3H rows. Peepholes are ``peephole_l{k}`` (3, H) in the order i f o, or (2, H), i o. With a
    projection, ``weight_hr_l{k}`` is (P, H), and ``weight_hh_l{k}`` (4H, P). Of layer normalisation there are
    ``gain_ih_l{k}`` and ``gain_hh_l{k}`` (4H,), ``gain_c_l{k}`` and ``bias_c_l{k}`` (H,).

    Starting weights are those of Keras: Glorot uniform for the input (Glorot and Bengio 2010), orthogonal for the
    recurrent matrix (Saxe, McClelland and Ganguli 2014), zero for the bias but 1 for that of the forget gate
    (Jozefowicz, Zaremba and Sutskever 2015); peepholes start at zero, gains at 1, a projection as Glorot uniform.

    Results are the same bits for every number of threads, and a row does not depend on the rest of the batch.

    Examples
    --------
    >>> import numpy as np, clstm
    >>> lstm = clstm.LSTM(3, 4, rng=0)
    >>> x = np.ones((2, 5, 3), np.float32)
    >>> y, (h, c) = lstm(x)
    >>> y.shape, h.shape, c.shape
    ((2, 5, 4), (1, 2, 4), (1, 2, 4))
    >>> y, state, tape = lstm.forward(x, lengths=[5, 3])
    >>> dx, (dh, dc), grads = lstm.backward(tape, np.ones_like(y))
    >>> {name: gradient.shape for name, gradient in grads.items()}
    {'weight_ih_l0': (16, 3), 'weight_hh_l0': (16, 4), 'bias_l0': (16,)}
    """

    _kind = KIND

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        num_layers: int = 1,
        bidirectional: bool = False,
        bias: bool = True,
        peephole: bool = False,
        coupled: bool = False,
        forget_gate: bool = True,
        clip: float | None = None,
        cell_clip: float | None = None,
        proj_size: int = 0,
        layer_norm: bool = False,
        gradient_clip: float | None = None,
        gate_activation: str = "sigmoid",
        candidate_activation: str = "tanh",
        output_activation: str = "tanh",
        go_backwards: bool = False,
        dropout: float = 0.0,
        input_dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        weight_drop: float = 0.0,
        zoneout_h: float = 0.0,
        zoneout_c: float = 0.0,
        input_noise: float = 0.0,
        merge: str = "concat",
        output: str = "h",
        learned_state: bool = False,
        init: _Init = "keras",
        dtype: DTypeLike = "float32",
        rng: int | np.random.Generator | None = None,
    ) -> None:
        self._start(locals())

    def _derived(self, arrays, valid):
        """With f where it is no gate."""
        i = arrays["i"]
        if "f" not in arrays:
            f = 1 - i if self.coupled else np.ones_like(i)
            arrays["f"] = f if valid is None else f * valid
        return {name: arrays[name] for name in "ifgoch"}
