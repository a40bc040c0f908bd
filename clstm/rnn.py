"""The plain recurrent network over sequences."""

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
    limits = {name: options[name] or 0 for name in ("clip", "gradient_clip")}
    return {**limits, "candidate_activation": options["activation"]}


KIND = Kind(
    name="rnn",
    states=("h",),
    options={
        "activation": _arrays.activation,
        "clip": _arrays.limit,
        "gradient_clip": _arrays.limit,
        "go_backwards": _arrays.flag,
        **noise.OPTIONS,
        **outputs.OPTIONS,
    },
    gates=lambda options: ("h",),
    blocks=lambda options: ("",),
    extra_shapes=lambda options, H: {},
    core=core_options,
)


class RNN(RecurrentLayer):
    """A stack of plain recurrent layers (Elman 1990) over sequences, in one direction or both.

    For each layer, direction and step t::

        h_t = tanh(w_ih x_t + w_hh h_{t-1} + b)

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
    activation : str, default "tanh"
        "relu" or any other that `LSTM` names.
    clip : float, optional
        Limits the argument of the activation to +-clip (ONNX ``clip``).
    gradient_clip : float, optional
        Limits the gradient of that argument to +-gradient_clip in each step of `backward` (Graves 2013). The gradient
        is not exact then, where that happens.
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
        rules by parameter and gate that go over those of a scheme (its key "like"; "keras"), as in ``{"bias.h":
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

    Parameters, for k = 0 .. L-1, and again with the suffix ``_reverse`` if bidirectional: ``weight_ih_l{k}`` (H, I or
    D*H), ``weight_hh_l{k}`` (H, H), ``bias_l{k}`` (H,). Starting weights are those of Keras: Glorot uniform,
    orthogonal, zero.

    Examples
    --------
    >>> import numpy as np, clstm
    >>> rnn = clstm.RNN(3, 4, activation="relu", rng=0)
    >>> y, h = rnn(np.ones((2, 5, 3), np.float32))
    >>> y.shape, h.shape
    ((2, 5, 4), (1, 2, 4))
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
        activation: str = "tanh",
        clip: float | None = None,
        gradient_clip: float | None = None,
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
