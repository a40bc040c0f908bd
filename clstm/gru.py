"""GRU over sequences."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import _arrays, noise, outputs
from .recurrent import Kind, RecurrentLayer

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import DTypeLike

    from .init import _Init


def core_options(options):
    """The options by the names of the core."""
    return {
        "reset_before": not options["reset_after"],
        **{name: options[name] or 0 for name in ("clip", "gradient_clip")},
        **{name: options[name] for name in ("gate_activation", "candidate_activation")},
    }


KIND = Kind(
    name="gru",
    states=("h",),
    options={
        "reset_after": _arrays.flag,
        "clip": _arrays.limit,
        "gradient_clip": _arrays.limit,
        "gate_activation": _arrays.activation,
        "candidate_activation": _arrays.activation,
        "go_backwards": _arrays.flag,
        **noise.OPTIONS,
        **outputs.OPTIONS,
    },
    gates=lambda options: ("r", "z", "n"),
    blocks=lambda options: ("r", "z", "", "n") if options["reset_after"] else ("r", "z", "n"),
    extra_shapes=lambda options, H: {"bias_hn": (H,)} if options["bias"] and options["reset_after"] else {},
    core=core_options,
)


class GRU(RecurrentLayer):
    """A stack of gated recurrent units over sequences, in one direction or both.

    For each layer, direction and step t (Cho et al. 2014, with the reset after the product, as in PyTorch, cuDNN and
    the default of Keras)::

        r = sigmoid(w_ir x_t + w_hr h_{t-1} + b_r)
        z = sigmoid(w_iz x_t + w_hz h_{t-1} + b_z)
        n = tanh(w_in x_t + b_n + r (w_hn h_{t-1} + b_hn))
        h_t = (1 - z) n + z h_{t-1}

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
        Whether there are biases.
    reset_after : bool, default True
        False: the reset comes before the product, n = tanh(w_in x_t + b_n + w_hn (r h_{t-1})), as in the article and as
        ONNX's default. There is no ``bias_hn`` then.
    clip : float, optional
        Limits the arguments of the activations to +-clip (ONNX ``clip``).
    gradient_clip : float, optional
        Limits the gradients of those arguments to +-gradient_clip in each step of `backward` (Graves 2013). The
        gradient is not exact then, where that happens.
    gate_activation, candidate_activation : str
        Of r and z; of n. The names are those of `LSTM`.
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
    zoneout_h : float, default 0
        Probability that a unit keeps its h of the step before (Krueger et al. 2017); the expectation is used in
        inference.
    input_noise : float, default 0
        Standard deviation of what is added to x.
    merge : str, default "concat"
        How the two directions of each layer are put together, for the layer above and for y: "concat", side by side;
        "sum", "mean" or "product" of the two, which have H features. Only with `bidirectional`.
    output : str, default "h"
        What y is: "h", the hidden states of the last layer at all steps; "last", its final ones, (N, D*H), or (N, H) if
        merged: those after the last valid step of each row, for the reverse direction step 0; "state", the final h of
        all layers and directions, and then their c if there are any, side by side. See docs/explanation/outputs.md.
    learned_state : bool, default False
        Whether the state that a row starts from where none is given is a parameter instead of zero:
        ``h0_l{k}`` (H,), for each layer and direction. They start at zero, and stand behind all other parameters.
    init : str, dict or function, default "keras"
        How parameters start, see `clstm.init`: "keras", "pytorch" (everything uniform in +-1/sqrt(H)), a dict of
        rules by parameter and gate that go over those of a scheme (its key "like"; "keras"), as in ``{"bias.z":
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
        Naming the argument, what was expected and what came; also for options that only an `LSTM` has.

    Notes
    -----
    The state is h alone, an array (L*D, N, H).

    Parameters, for k = 0 .. L-1, and again with the suffix ``_reverse`` if bidirectional: ``weight_ih_l{k}`` (3H, I or
    D*H), ``weight_hh_l{k}`` (3H, H), ``bias_l{k}`` (3H,), rows in the order of the gates r z n; and ``bias_hn_l{k}``
    (H,), the bias inside the reset, which cannot be merged with the other. PyTorch's ``bias_ih`` and ``bias_hh`` are
    added up but for that.

    Starting weights are those of Keras: Glorot uniform for the input, orthogonal for the recurrent matrix, zero for the
    biases.

    Examples
    --------
    >>> import numpy as np, clstm
    >>> gru = clstm.GRU(3, 4, rng=0)
    >>> x = np.ones((2, 5, 3), np.float32)
    >>> y, h = gru(x)
    >>> y.shape, h.shape
    ((2, 5, 4), (1, 2, 4))
    >>> y, h, tape = gru.forward(x, lengths=[5, 3])
    >>> dx, dh, grads = gru.backward(tape, np.ones_like(y))
    >>> {name: gradient.shape for name, gradient in grads.items()}
    {'weight_ih_l0': (12, 3), 'weight_hh_l0': (12, 4), 'bias_l0': (12,), 'bias_hn_l0': (4,)}
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
        reset_after: bool = True,
        clip: float | None = None,
        gradient_clip: float | None = None,
        gate_activation: str = "sigmoid",
        candidate_activation: str = "tanh",
        go_backwards: bool = False,
        dropout: float = 0.0,
        input_dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        weight_drop: float = 0.0,
        zoneout_h: float = 0.0,
        input_noise: float = 0.0,
        merge: str = "concat",
        output: str = "h",
        learned_state: bool = False,
        init: _Init = "keras",
        dtype: DTypeLike = "float32",
        rng: int | np.random.Generator | None = None,
        **refused: Any,
    ) -> None:
        self._start(locals())
