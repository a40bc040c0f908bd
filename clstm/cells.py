"""Cells: one step at a time, the T = 1 case of the sequence."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from . import _arrays
from .gru import GRU
from .layer import look
from .lstm import LSTM
from .rnn import RNN
from .sequences import ROWS
from .stack import _Recurrent

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, DTypeLike

    from .init import _Init
    from .layer import Tape
    from .noise import Noise

    _StateLike = tuple[ArrayLike, ArrayLike] | ArrayLike
    _State = tuple[np.ndarray, np.ndarray] | np.ndarray


class RecurrentCell(_Recurrent):
    """One step of one layer, without an axis for time: what `LSTMCell`, `GRUCell` and `RNNCell` share.

    The state is (h, c) for an LSTM and h alone for the others, each an array (N, H). With a projection,
    `proj_size` stands for H in all shapes of h. The cell is not made by itself, but by the class of its kind.
    """

    axes = "step"

    def config(self) -> dict[str, Any]:
        """The arguments that make a cell of the same configuration."""
        return {k: v for k, v in super().config().items() if k not in ("num_layers", "bidirectional")}

    @classmethod
    def parameter_shapes(cls, input_size, hidden_size, *, bias=True, dtype="float32", **options):
        """The names and shapes of the parameters."""
        for name, shape in cls._shapes_of(input_size, hidden_size, 1, False, bias, options):
            yield name.removesuffix("_l0"), shape

    def _checked(self, x, state, lengths):
        """x (N, 1, I), (h, c), no lengths as the core takes them, and the form, as of a layer."""
        x = _arrays.steps("x", x, self.dtype, self.input_size, axes="N")
        _arrays.absent("lengths", lengths, "x has no time axis")
        return x[:, None], self._given_state(state, x.shape[0]), None, ROWS

    def _lead(self, N):
        return (N,)

    def __call__(
        self,
        x: ArrayLike,
        state: _StateLike | None = None,
        lengths: ArrayLike | None = None,
        *,
        out: _State | None = None,
    ) -> _State:
        """Inference: one step, with the parameters as they are now.

        Who takes many steps with the same parameters is better served by the `stream` of the layer, which packs them
        once.

        Parameters
        ----------
        x : array_like, (N, I)
        state : (h, c) or h, each array_like (N, H), optional
            None is zeros, or what the cell has learned (`learned_state`).
        lengths : None
            There is no time axis; the argument is part of the protocol.
        out : (h, c) or h, each ndarray (N, H), optional
            Where to write the result: contiguous, of the cell's dtype. They may be those of `state`, or overlap x or
            `state` in any way, but not each other: all is read before they are written. With `out`, and arguments
            that need no conversion, a call allocates nothing.

        Returns
        -------
        state : (h, c) or h, each ndarray (N, H)
            `out`, or new arrays.
        """
        if lengths is None and (state is not None or not self.learned_state):
            after = self._core.step(self._flat, x, state, out)
            if after is not None:
                return after
        return self._convert_and_step(x, state, lengths, out)

    def _convert_and_step(self, x, state, lengths, out):
        """The same for arguments that do not fit as they are, or not at all."""
        x = _arrays.steps("x", x, self.dtype, self.input_size, axes="N")
        _arrays.absent("lengths", lengths, "x has no time axis")
        shapes = self._state_shapes(x.shape[0])
        state = self._given_state(state, x.shape[0])
        state = state if len(shapes) == 2 else state[0]
        if out is None:
            return self._core.step(self._flat, x, state, None)
        if len(shapes) == 1:
            self._core.step(self._flat, x, state, np.asarray(_arrays.output("out", out, self.dtype, shapes[0])))
            return out
        pair = _arrays.pair("out", out)
        h, c = (_arrays.output(f"out[{k}]", pair[k], self.dtype, shape) for k, shape in enumerate(shapes))
        if np.may_share_memory(h, c):
            raise _arrays.wrong(ValueError, "out", "two arrays that do not overlap", "arrays that do")
        self._core.step(self._flat, x, state, (np.asarray(h), np.asarray(c)))
        return out

    def infer(
        self, x: ArrayLike, state: _StateLike | None = None, lengths: ArrayLike | None = None
    ) -> tuple[np.ndarray, _State]:
        """h as the output, and the state."""
        state = self(x, state, lengths)
        h = state[0] if len(self._kind.states) == 2 else state
        return h.copy(), state

    def forward(
        self,
        x: ArrayLike,
        state: _StateLike | None = None,
        lengths: ArrayLike | None = None,
        *,
        noise: int | Noise | None = None,
    ) -> tuple[np.ndarray, _State, Tape]:
        """One step and a tape for `backward`.

        Parameters
        ----------
        x, state, lengths
            As in `__call__`. The tape refers to x: do not change it before backward.
        noise : int or Noise, optional
            Seed of the masks of dropout, zoneout and noise, if the cell has any; None: fresh entropy. For masks that
            are the same in all steps of a sequence, the seed is the same, and `Noise.first_step` counts the steps.

        Returns
        -------
        y : ndarray, (N, H)
            The output, which is h.
        state : (h, c) or h, each ndarray (N, H)
        tape : Tape
        """
        checked = self._checked(x, state, lengths)
        y, h, c, tape = self._forward(checked, state is None, noise)
        return y[:, 0], self._state(h[0], None if c is None else c[0]), tape

    def backward(
        self,
        tape: Tape,
        dy: ArrayLike | None,
        dstate: _StateLike | None = None,
        grads: dict[str, np.ndarray] | None = None,
        need_dx: bool = True,
    ) -> tuple[np.ndarray | None, _State, dict[str, np.ndarray]]:
        """Exact gradients of one step; back-propagation through time is to call it from the last step to the first.

        Parameters
        ----------
        tape : Tape
            From `forward` of this cell, whose parameters have not been changed since. It is used up.
        dy : array_like, (N, H), or None
            Gradient of the loss with respect to y. None is zero, if dstate is given.
        dstate : (dh, dc) or dh, each array_like (N, H), optional
            Gradient with respect to the state after the step, added to that by way of y; None is zero.
        grads : dict of ndarray, optional
            The keys of `parameters`; gradients are added to these arrays. None: to fresh zeros.
        need_dx : bool, default True
            False: dx is None and is not computed.

        Returns
        -------
        dx : ndarray, (N, I)
        dstate : (dh, dc) or dh, each ndarray (N, H)
            Gradient with respect to the state before the step.
        grads : dict of ndarray
        """
        saved = look(tape, self)
        N = saved.rows
        if dy is not None:
            dy = _arrays.of_shape("dy", dy, self.dtype, (N, self.output_size))[:, None]
        elif dstate is None:
            raise _arrays.wrong(TypeError, "dy", "an array, or None if dstate is given", "None")
        dstate = self._members("dstate", dstate, N)
        grads = self._gradients(grads)
        dx, dh, dc = self._run_back(tape, saved, dy, dstate, grads, need_dx)
        return None if dx is None else dx[:, 0], self._state(dh[0], None if dc is None else dc[0]), grads


class LSTMCell(RecurrentCell):
    """One step of one LSTM layer: an `LSTM` with T = 1 and no axis for it.

    Parameters
    ----------
    input_size, hidden_size : int
        I and H.
    bias : bool, default True
        Whether there is a bias b.
    peephole, coupled, forget_gate, clip, cell_clip, proj_size, layer_norm, gradient_clip
        As in `LSTM`.
    gate_activation, candidate_activation, output_activation
        As in `LSTM`.
    input_dropout, recurrent_dropout, weight_drop, zoneout_h, zoneout_c, input_noise
        As in `LSTM`; they are at work in `forward` alone.
    learned_state : bool, default False
        As in `LSTM`: ``h0`` (H,), and ``c0`` (H,) of an `LSTMCell`, are the state where none is given.
    init : str, dict or function, default "keras"
        How parameters start, as in `LSTM`.
    dtype : str or dtype, default "float32"
        "float32" or "float64".
    rng : int or numpy.random.Generator, optional
        Seed or generator for the starting weights; None: fresh entropy.

    Notes
    -----
    Parameters: ``weight_ih`` (4H, I), ``weight_hh`` (4H, H), ``bias`` (4H,), and those of options, as in `LSTM`.
    Equations and starting weights are those of `LSTM`.

    Examples
    --------
    >>> import numpy as np, clstm
    >>> cell = clstm.LSTMCell(3, 4, rng=0)
    >>> state = None
    >>> for x in np.ones((5, 2, 3), np.float32):
    ...     state = h, c = cell(x, state)
    >>> h.shape
    (2, 4)
    """

    _kind = LSTM._kind

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
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
        input_dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        weight_drop: float = 0.0,
        zoneout_h: float = 0.0,
        zoneout_c: float = 0.0,
        input_noise: float = 0.0,
        learned_state: bool = False,
        init: _Init = "keras",
        dtype: DTypeLike = "float32",
        rng: int | np.random.Generator | None = None,
    ) -> None:
        self._start(locals())


class GRUCell(RecurrentCell):
    """One step of one layer of gated recurrent units: a `GRU` with T = 1 and no axis for it.

    Parameters
    ----------
    input_size, hidden_size : int
        I and H.
    bias : bool, default True
        Whether there are biases.
    reset_after, clip, gradient_clip, gate_activation, candidate_activation
        As in `GRU`.
    input_dropout, recurrent_dropout, weight_drop, zoneout_h, input_noise
        As in `GRU`; they are at work in `forward` alone.
    learned_state : bool, default False
        As in `LSTM`: ``h0`` (H,), and ``c0`` (H,) of an `LSTMCell`, are the state where none is given.
    init : str, dict or function, default "keras"
        How parameters start, as in `GRU`.
    dtype : str or dtype, default "float32"
        "float32" or "float64".
    rng : int or numpy.random.Generator, optional
        Seed or generator for the starting weights; None: fresh entropy.

    Notes
    -----
    Parameters: ``weight_ih`` (3H, I), ``weight_hh`` (3H, H), ``bias`` (3H,), ``bias_hn`` (H,). Equations and starting
    weights are those of `GRU`.

    Examples
    --------
    >>> import numpy as np, clstm
    >>> cell = clstm.GRUCell(3, 4, rng=0)
    >>> h = None
    >>> for x in np.ones((5, 2, 3), np.float32):
    ...     h = cell(x, h)
    >>> h.shape
    (2, 4)
    """

    _kind = GRU._kind

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        bias: bool = True,
        reset_after: bool = True,
        clip: float | None = None,
        gradient_clip: float | None = None,
        gate_activation: str = "sigmoid",
        candidate_activation: str = "tanh",
        input_dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        weight_drop: float = 0.0,
        zoneout_h: float = 0.0,
        input_noise: float = 0.0,
        learned_state: bool = False,
        init: _Init = "keras",
        dtype: DTypeLike = "float32",
        rng: int | np.random.Generator | None = None,
        **refused: Any,
    ) -> None:
        self._start(locals())


class RNNCell(RecurrentCell):
    """One step of one plain recurrent layer: an `RNN` with T = 1 and no axis for it.

    Parameters
    ----------
    input_size, hidden_size : int
        I and H.
    bias : bool, default True
        Whether there is a bias b.
    activation, clip, gradient_clip
        As in `RNN`.
    input_dropout, recurrent_dropout, weight_drop, zoneout_h, input_noise
        As in `RNN`; they are at work in `forward` alone.
    learned_state : bool, default False
        As in `LSTM`: ``h0`` (H,), and ``c0`` (H,) of an `LSTMCell`, are the state where none is given.
    init : str, dict or function, default "keras"
        How parameters start, as in `RNN`.
    dtype : str or dtype, default "float32"
        "float32" or "float64".
    rng : int or numpy.random.Generator, optional
        Seed or generator for the starting weights; None: fresh entropy.

    Notes
    -----
    Parameters: ``weight_ih`` (H, I), ``weight_hh`` (H, H), ``bias`` (H,). Starting weights are those of `RNN`.

    Examples
    --------
    >>> import numpy as np, clstm
    >>> cell = clstm.RNNCell(3, 4, rng=0)
    >>> cell(np.ones((2, 3), np.float32)).shape
    (2, 4)
    """

    _kind = RNN._kind

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        bias: bool = True,
        activation: str = "tanh",
        clip: float | None = None,
        gradient_clip: float | None = None,
        input_dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        weight_drop: float = 0.0,
        zoneout_h: float = 0.0,
        input_noise: float = 0.0,
        learned_state: bool = False,
        init: _Init = "keras",
        dtype: DTypeLike = "float32",
        rng: int | np.random.Generator | None = None,
        **refused: Any,
    ) -> None:
        self._start(locals())
