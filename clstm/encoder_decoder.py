"""EncoderDecoder: one sequence of symbols becomes another one."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from . import _arrays, _core, losses
from .decoder_steps import Source, Writes, mixed
from .encoder_decoder_parts import _Parts, checked_config, descriptions, lengths_by, padded
from .layer import LATER, Tape, look
from .model_file import shapes_of
from .noise import SILENCE, noise_of
from .sampling import checked_options
from .sequences import is_list, prefix

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, DTypeLike

    from .gradient_flow import GradientFlow
    from .noise import Noise


class Call(NamedTuple):
    """Checked arguments."""

    x: np.ndarray
    lengths: np.ndarray | None
    target: np.ndarray
    target_lengths: np.ndarray | None


class Saved(NamedTuple):
    """On the tape: that of each part by its name, and what stands between them."""

    tapes: dict[str, Any]
    y_shape: tuple[int, ...]
    u: np.ndarray | None


class EncoderDecoder(Writes, _Parts):
    """An encoder reads a sequence of symbols, a decoder writes another one (Sutskever, Vinyals and Le 2014).

    The encoder is an embedding and a stack of recurrent layers. Its final state is the initial one of the decoder,
    which is an embedding and a stack of the same kind, and sees at each step the symbol before the one that it has to
    give. With attention it looks at all states of the encoder (Luong, Pham and Manning 2015)::

        h_t = decoder(target_{t-1}, h_{t-1})                  target_{-1} is the symbol `start`
        context_t = attention(h_t, states of the encoder)
        u_t = tanh(W_c [context_t; h_t])                      y_t = W u_t + b

    and without it y_t = W h_t + b. In training all h_t are computed at once, because the inputs are the right symbols
    (teacher forcing); what is written without a target is found step by step.

    Parameters
    ----------
    source_symbols, target_symbols : int
        How many symbols there are; they are numbered from 0.
    dim : int
        Length of the vectors of symbols.
    hidden_size : int
        H, of the recurrent layers of both.
    num_layers : int, default 1
        Of both.
    bidirectional : bool, default False
        Whether the encoder also reads from the end. Then a `Dense` layer without activation makes the initial states of
        the decoder of the final ones of both directions, [h; h_reverse]: one for h and, of an LSTM, one for c; each is
        the same for all layers.
    merge : str, default "concat"
        How the two directions of the encoder become the states that attention looks at: "concat", "sum", "mean" or
        "product".
    cell : str, default "lstm"
        "lstm" or "gru".
    attention : str or None, default "general"
        The score of `Attention`: "dot", "general", "additive"; None: there is no attention. "dot" needs states of the
        encoder of H features: it excludes two directions that are concatenated. At high learning rates a score that
        is a product can grow until attention looks at a single place and learns no more; "additive" is bounded, and
        what `clstm.estimators.Seq2Seq` takes.
    dropout, input_dropout, recurrent_dropout, weight_drop, zoneout_h, zoneout_c, input_noise : float, default 0.0
        Those of the recurrent layers, see `LSTM`, in both; zoneout_c is for "lstm" alone.
    start, end : int, default 1 and 2
        The symbols of the target before its first and behind its last. A target holds the end, as its last valid
        symbol, but not the start.
    padding : int or None, default 0
        The symbol that fills shorter rows, of source and target. Where no lengths are given, what stands behind the
        last symbol that is another one is not valid. None: where no lengths are given, all is valid. A decoder writes
        neither the start nor the padding.
    dtype : str or dtype, default "float32"
        "float32" or "float64".
    rng : int or numpy.random.Generator, optional
        Seed or generator for the starting weights; None: fresh entropy.

    Attributes
    ----------
    scheduled : float
        The rate of scheduled sampling in `forward`, where it is not told another; 0, unless it is set. It is a setting
        of training and not saved.
    takes_target : bool
        True: training gives `forward` the target too.
    start, end : int
    padding : int or None

    Raises
    ------
    TypeError, ValueError
        Naming the argument, what was expected and what came.

    Notes
    -----
    Parameters are those of the parts, with names like ``encoder.1.weight_ih_l0``: ``encoder`` and ``decoder`` (0 is the
    embedding, 1 the recurrent layer), ``bridge_h``, ``bridge_c``, ``attention``, ``combine`` (W_c) and ``output``.
    `part` gives a part by its name.

    The decoder does not see u of the step before (the article's input feeding), by which steps would have to be
    computed one by one.

    Examples
    --------
    >>> import numpy as np, clstm
    >>> net = clstm.EncoderDecoder(12, 12, 8, 16, bidirectional=True, rng=0)
    >>> x = [[5, 4, 3, 0], [7, 8, 9, 11]]  # 0 is the padding
    >>> target = [[3, 4, 5, 2, 0], [11, 9, 8, 7, 2]]  # 2 is the end
    >>> y, _, tape = net.forward(x, target=target)
    >>> y.shape
    (2, 5, 12)
    >>> loss, dy = clstm.losses.cross_entropy(y, target, lengths=[4, 5])
    >>> _, _, grads = net.backward(tape, dy)
    >>> [len(symbols) for symbols in net.greedy(x, max_steps=3).symbols]  # it has learnt nothing yet
    [3, 3]
    """

    takes_target = True
    _positional = ("source_symbols", "target_symbols", "dim", "hidden_size")

    def __init__(
        self,
        source_symbols: int,
        target_symbols: int,
        dim: int,
        hidden_size: int,
        *,
        num_layers: int = 1,
        bidirectional: bool = False,
        merge: str = "concat",
        cell: str = "lstm",
        attention: str | None = "general",
        dropout: float = 0.0,
        input_dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        weight_drop: float = 0.0,
        zoneout_h: float = 0.0,
        zoneout_c: float = 0.0,
        input_noise: float = 0.0,
        start: int = 1,
        end: int = 2,
        padding: int | None = 0,
        dtype: DTypeLike = "float32",
        rng: int | np.random.Generator | None = None,
    ) -> None:
        self._config = checked_config(locals())
        self.source_symbols, self.target_symbols = self._config["source_symbols"], self._config["target_symbols"]
        self.start, self.end, self.padding = (self._config[name] for name in ("start", "end", "padding"))
        never = (self.start, self.padding)
        self._never = [symbol for symbol in never if symbol is not None and symbol < self.target_symbols]
        self._scheduled = 0.0
        super().__init__(descriptions(self._config))
        if rng is not LATER:
            self.reset_parameters(rng)

    def config(self) -> dict[str, Any]:
        """The arguments that make a network of the same configuration."""
        return dict(self._config)

    @staticmethod
    def parameter_shapes(source_symbols, target_symbols, dim, hidden_size, **options):
        """The names and shapes of the parameters of all parts."""
        sizes = dict(zip(EncoderDecoder._positional, (source_symbols, target_symbols, dim, hidden_size), strict=True))
        usual = {name: value for name, value in EncoderDecoder.__init__.__kwdefaults__.items() if name != "rng"}
        for name in options:
            if name not in usual:
                raise TypeError(f"EncoderDecoder got an unexpected option {name!r}")
        for name, description in descriptions(checked_config({**usual, **sizes, **options})).items():
            for own, shape in shapes_of(description):
                yield f"{name}.{own}", shape

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> EncoderDecoder:
        """A network with this configuration, its parameters zero."""
        return cls(**config, rng=LATER)

    @property
    def scheduled(self) -> float:
        """The rate of scheduled sampling."""
        return self._scheduled

    @scheduled.setter
    def scheduled(self, rate: float) -> None:
        self._scheduled = _arrays.rate("scheduled", rate)

    @property
    def takes_noise(self) -> bool:
        """Whether anything is random in training."""
        return self._scheduled > 0 or any(layer.takes_noise for layer in self.layers)

    # Arguments

    def _symbols(self, name, value, lengths, count, lengths_name):
        """Symbols (N, T) and their lengths, from an array or a list of arrays."""
        if is_list(value, 1):
            _arrays.absent(lengths_name, lengths, f"{name} is a list, whose arrays have their own")
            value, lengths = padded(name, value)
        array = _arrays.indices(name, value)
        if array.ndim != 2:
            raise _arrays.wrong(ValueError, name, "shape (N, T)", f"shape {array.shape}")
        if lengths is None and self.padding is not None:
            lengths = lengths_by(self.padding, array)
        lengths = _arrays.lengths(lengths, *array.shape, name=lengths_name, of=name)
        valid = True if lengths is None else prefix(lengths, array.shape[1])
        _arrays.in_range(name, array, count, "a symbol", valid)
        return array.astype(np.int64, copy=False), lengths

    def _source(self, x, lengths):
        return self._symbols("x", x, lengths, self.source_symbols, "lengths")

    def _checked(self, x, state, lengths, target, target_lengths):
        _arrays.absent("state", state, "the encoder begins anew with each sequence")
        if target is None:
            raise _arrays.wrong(
                TypeError, "target", "the symbols to be written (greedy, sample and beam do without)", "None"
            )
        x, lengths = self._source(x, lengths)
        target, target_lengths = self._symbols("target", target, target_lengths, self.target_symbols, "target_lengths")
        if len(target) != len(x):
            raise _arrays.wrong(ValueError, "target", f"{len(x)} rows, as x has", len(target))
        return Call(x, lengths, target, target_lengths)

    def _noises(self, noise):
        """The arguments of forward of each part."""
        if noise is None and not self.takes_noise:
            return {}, None
        noise = noise_of(noise)
        parts = zip(self._labels, self.layers, strict=True)
        return {name: {"noise": noise.for_layer(k)} for k, (name, part) in enumerate(parts) if part.takes_noise}, noise

    # Running

    def _encode(self, x, lengths, tapes=None, options=None):
        """What the encoder gives."""
        memory, states = self._part_run("encoder", tapes, x, None, lengths, **(options or {}))
        state = states[1]
        if self._config["bidirectional"]:
            members = [self._bridge(name, member, tapes) for name, member in self._bridges(state)]
            state = tuple(members) if len(members) == 2 else members[0]
        return Source(memory, state, lengths)

    def _bridges(self, state):
        """The parts that are bridges, each with its member of a state."""
        return list(zip(("bridge_h", "bridge_c"), state if isinstance(state, tuple) else (state,), strict=False))

    def _bridge(self, name, final, tapes):
        """(L, N, H) of (L*2, N, H)"""
        L, N, H = len(final) // 2, *final.shape[1:]
        sides = final.reshape(L, 2, N, H).swapaxes(1, 2).reshape(L, N, 2 * H)
        return self._part_run(name, tapes, sides)[0]

    def _bridge_back(self, name, dinitial, tapes, grads):
        L, N, H = dinitial.shape
        dsides = self._part_back(name, tapes, dinitial, None, grads)[0]
        return dsides.reshape(L, N, 2, H).swapaxes(1, 2).reshape(2 * L, N, H)

    def _decode(self, inputs, source, steps, tapes=None, options=None):
        """y, u (None without attention), and the weights of the attention."""
        state = [None, source.state]
        h, _ = self._part_run("decoder", tapes, inputs, state, steps, **(options or {}))
        if self.part("attention") is None:
            return *self._scores(h, None, steps, tapes), None
        given = h, source.memory, source.lengths
        context, weights = self._part_run("attention", tapes, *given, query_lengths=steps)
        return *self._scores(h, context, steps, tapes), weights

    def _scores(self, h, context, steps=None, tapes=None):
        """y and u of h and the context."""
        if context is None:
            return self._part_run("output", tapes, h, None, steps)[0], None
        u, _ = self._part_run("combine", tapes, np.concatenate([context, h], axis=2), None, steps)
        u = _core.activate("tanh", u)
        return self._part_run("output", tapes, u, None, steps)[0], u

    def _teacher(self, target):
        """The target, one step later."""
        inputs = np.empty_like(target)
        inputs[:, 0], inputs[:, 1:] = self.start, target[:, :-1]
        return inputs

    def _known(self, inputs, lengths):
        """Inputs whose invalid ones are symbols too, for a pass over all steps of all rows."""
        return inputs if lengths is None else np.where(prefix(lengths, inputs.shape[1]), inputs, self.start)

    def __call__(  # type: ignore[override]
        self,
        x: ArrayLike | list[np.ndarray],
        state: None = None,
        lengths: ArrayLike | None = None,
        *,
        target: ArrayLike | list[np.ndarray] | None = None,
        target_lengths: ArrayLike | None = None,
    ) -> np.ndarray:
        """The scores y alone; arguments as of `forward`."""
        return self.infer(x, state, lengths, target=target, target_lengths=target_lengths)[0]

    def infer(  # type: ignore[override]
        self,
        x: ArrayLike | list[np.ndarray],
        state: None = None,
        lengths: ArrayLike | None = None,
        *,
        target: ArrayLike | list[np.ndarray] | None = None,
        target_lengths: ArrayLike | None = None,
    ) -> tuple[np.ndarray, None]:
        """`forward` without a tape and without anything random."""
        call = self._checked(x, state, lengths, target, target_lengths)
        return self._looked(call)[0], None

    def _looked(self, call):
        """y and the weights of the attention."""
        source = self._encode(call.x, call.lengths)
        y, _, weights = self._decode(self._teacher(call.target), source, call.target_lengths)
        return y, weights

    def forward(  # type: ignore[override]
        self,
        x: ArrayLike | list[np.ndarray],
        state: None = None,
        lengths: ArrayLike | None = None,
        *,
        target: ArrayLike | list[np.ndarray] | None = None,
        target_lengths: ArrayLike | None = None,
        noise: int | Noise | None = None,
        scheduled: float | None = None,
        temperature: float = 0.0,
        rng: int | np.random.Generator | None = None,
    ) -> tuple[np.ndarray, None, Tape]:
        """The scores of each symbol at each step of the target, and a tape for `backward`.

        Parameters
        ----------
        x : array_like of int, (N, S), or list of (S_n,)
            The source.
        state : None
            The encoder begins anew with each sequence; the argument is part of the protocol.
        lengths : array_like of int, (N,), optional
            Valid symbols of each row of x, 0 to S; None: as the padding says.
        target : array_like of int, (N, T), or list of (T_n,)
            What is to be written, with the end and without the start. Symbol t is what y has to predict at step t, and
            the input of the decoder at step t + 1.
        target_lengths : array_like of int, (N,), optional
            Valid symbols of each row of it, 0 to T; None: as the padding says. Later ones are never read.
        noise : int or Noise, optional
            Seed of all that is random in the layers; None: fresh entropy.
        scheduled : float, optional
            The probability, at least 0 and less than 1, with which an input of the decoder is not the symbol of the
            target, but the one that the decoder itself would write (scheduled sampling: Bengio et al. 2015). Those are
            found step by step, without dropout; then the pass for training goes over the mixed inputs, whose gradients
            are exact, because symbols are constants. None: the attribute `scheduled`.
        temperature : float, default 0.0
            Of these symbols: 0 takes the most probable one, 1 draws by the probabilities of the model.
        rng : int or numpy.random.Generator, optional
            Seed or generator of scheduled sampling; None: by the seed of `noise`.

        Returns
        -------
        y : ndarray, (N, T, target_symbols)
            Zero beyond the lengths of the target.
        state : None
        tape : Tape
        """
        call = self._checked(x, state, lengths, target, target_lengths)
        rate = self._scheduled if scheduled is None else _arrays.rate("scheduled", scheduled)
        temperature = checked_options(temperature, None, None)[0]
        options, noise = self._noises(noise)
        tapes: dict[str, Any] = {}
        source = self._encode(call.x, call.lengths, tapes, options.get("encoder"))
        inputs = self._teacher(call.target)
        if rate:
            rng = _arrays.generator(rng if rng is not None or noise is None else noise.seed)
            inputs = mixed(self, source, self._known(inputs, call.target_lengths), rate, temperature, rng)
        y, u, _ = self._decode(inputs, source, call.target_lengths, tapes, options.get("decoder"))
        return y, None, Tape(self, Saved(tapes, y.shape, u))

    def backward(  # type: ignore[override]
        self,
        tape: Tape,
        dy: ArrayLike,
        dstate: None = None,
        grads: dict[str, np.ndarray] | None = None,
        need_dx: bool = True,
    ) -> tuple[None, None, dict[str, np.ndarray]]:
        """Exact gradients of everything.

        Parameters
        ----------
        tape : Tape
            From `forward` of this network, whose parameters have not been changed since. It is used up.
        dy : array_like, (N, T, target_symbols)
            Gradient of the loss with respect to y; not read beyond the lengths of the target.
        dstate : None
        grads : dict of ndarray, optional
            The keys of `parameters`; gradients are added to these arrays. None: to fresh zeros, which are views of one
            flat buffer laid out as `flat_parameters`.
        need_dx : bool, default True
            Symbols have no gradient: dx is always None.

        Returns
        -------
        dx, dstate : None
        grads : dict of ndarray
        """
        return self._parts_back(tape, dy, dstate, grads, lambda name: self.part(name).backward)

    def _flow_back(self, flows, name, tape, dy, dstate=None, grads=None, need_dx=True, bptt=None):
        place = f"{name}." if name else ""
        return self._parts_back(
            tape, dy, dstate, grads, lambda own: partial(self.part(own)._flow_back, flows, f"{place}{own}")
        )

    def _parts_back(self, tape, dy, dstate, grads, backward):
        """`backward`; that of encoder and decoder is `backward(name)`."""
        dy = _arrays.of_shape("dy", dy, self.dtype, look(tape, self).y_shape)
        _arrays.absent("dstate", dstate, "EncoderDecoder has no state")
        grads = self._gradients(grads)
        saved = tape.take()
        tapes, dmemory = saved.tapes, None
        dh = self._part_back("output", tapes, dy, None, grads)[0]
        if saved.u is not None:
            dh *= 1 - saved.u * saved.u
            dsides = self._part_back("combine", tapes, dh, None, grads)[0]
            width = self.part("attention").memory_size
            dquery, dmemory, _ = self._part_back("attention", tapes, dsides[:, :, :width], None, grads)
            dh = dsides[:, :, width:] + dquery
        dstates = backward("decoder")(tapes["decoder"], dh, None, self._own(grads, "decoder"), need_dx=False)[1]
        dstate = dstates[1]
        if self._config["bidirectional"]:
            members = [self._bridge_back(name, member, tapes, grads) for name, member in self._bridges(dstate)]
            dstate = tuple(members) if len(members) == 2 else members[0]
        backward("encoder")(tapes["encoder"], dmemory, [None, dstate], self._own(grads, "encoder"), need_dx=False)
        return None, None, grads

    def gradient_flow(  # type: ignore[override]
        self,
        x: ArrayLike,
        target: ArrayLike,
        lengths: ArrayLike | None = None,
        *,
        target_lengths: ArrayLike | None = None,
        noise: int | Noise | None = None,
    ) -> dict[str, GradientFlow]:
        """How much of the gradient of the cross-entropy arrives at each step of encoder and decoder.

        Parameters
        ----------
        x, lengths, target, target_lengths
            As in `forward`.
        noise : int or Noise, optional
            Seed of what is random in training; None: nothing is, as in inference.

        Returns
        -------
        dict of GradientFlow
            "decoder.1" and "encoder.1".
        """
        call = self._checked(x, None, lengths, target, target_lengths)
        noise = SILENCE if noise is None else noise
        y, _, tape = self.forward(
            call.x,
            None,
            call.lengths,
            target=call.target,
            target_lengths=call.target_lengths,
            noise=noise,
            scheduled=0.0,
        )
        _, dy = losses.cross_entropy(y, call.target, lengths=call.target_lengths)
        flows: dict[str, GradientFlow] = {}
        self._flow_back(flows, "", tape, dy)
        return flows
