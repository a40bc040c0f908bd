"""LSTMCell: one step at a time, the T = 1 case of the sequence."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from . import _arrays
from .layer import Tape, look
from .lstm import _LSTM

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, DTypeLike

    _StateLike = tuple[ArrayLike, ArrayLike]
    _State = tuple[np.ndarray, np.ndarray]


class LSTMCell(_LSTM):
    """One step of one LSTM layer: an `LSTM` with T = 1 and no axis for it.

    Parameters
    ----------
    input_size, hidden_size : int
        I and H.
    bias : bool, default True
        Whether there is a bias b.
    dtype : str or dtype, default "float32"
        "float32" or "float64".
    rng : int or numpy.random.Generator, optional
        Seed or generator for the starting weights; None: fresh entropy.

    Notes
    -----
    Parameters: ``weight_ih`` (4H, I), ``weight_hh`` (4H, H), ``bias`` (4H,). Equations and starting weights are those
    of `LSTM`.

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

    axes = "step"
    bidirectional = False
    _positional = ("input_size", "hidden_size")

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        bias: bool = True,
        dtype: DTypeLike = "float32",
        rng: int | np.random.Generator | None = None,
    ) -> None:
        self.input_size = _arrays.size("input_size", input_size)
        self.hidden_size = self.output_size = _arrays.size("hidden_size", hidden_size)
        self.bias = _arrays.flag("bias", bias)
        self.dtype = _arrays.dtype(dtype)
        self._start(1, False, dtype, rng)

    def config(self) -> dict[str, Any]:
        """The arguments that make a cell of the same configuration."""
        return {
            "input_size": self.input_size,
            "hidden_size": self.hidden_size,
            "bias": self.bias,
            "dtype": self.dtype.name,
        }

    @staticmethod
    def parameter_shapes(input_size, hidden_size, *, bias=True, dtype="float32"):
        """The names and shapes of the parameters."""
        H = _arrays.size("hidden_size", hidden_size)
        yield "weight_ih", (4 * H, _arrays.size("input_size", input_size))
        yield "weight_hh", (4 * H, H)
        if _arrays.flag("bias", bias):
            yield "bias", (4 * H,)

    def _checked(self, x, state, lengths):
        """x (N, 1, I), (h, c) and no lengths as the core takes them."""
        x = _arrays.steps("x", x, self.dtype, self.input_size, axes="N")
        _arrays.absent("lengths", lengths, "x has no time axis")
        return x[:, None], _arrays.state("state", state, self.dtype, (x.shape[0], self.hidden_size)), None

    def __call__(
        self,
        x: ArrayLike,
        state: _StateLike | None = None,
        lengths: ArrayLike | None = None,
        *,
        out: _State | None = None,
    ) -> _State:
        """Inference: one step, with the parameters as they are now.

        Who takes many steps with the same parameters is better served by `LSTM.stream`, which packs them once.

        Parameters
        ----------
        x : array_like, (N, I)
        state : (h, c), each array_like (N, H), optional
            None is zeros.
        lengths : None
            There is no time axis; the argument is part of the protocol.
        out : (h, c), each ndarray (N, H), optional
            Where to write the result: contiguous, of the cell's dtype. They may be those of `state`, or overlap x or
            `state` in any way, but not each other: all is read before they are written. With `out`, and arguments
            that need no conversion, a call allocates nothing.

        Returns
        -------
        h, c : ndarray, each (N, H)
            `out`, or new arrays.
        """
        if lengths is None:
            after = self._core.step(self._flat, x, state, out)
            if after is not None:
                return after
        return self._convert_and_step(x, state, lengths, out)

    def _convert_and_step(self, x, state, lengths, out):
        """The same for arguments that do not fit as they are, or not at all."""
        x = _arrays.steps("x", x, self.dtype, self.input_size, axes="N")
        _arrays.absent("lengths", lengths, "x has no time axis")
        shape = (x.shape[0], self.hidden_size)
        state = _arrays.state("state", state, self.dtype, shape)
        if out is None:
            return self._core.step(self._flat, x, state, None)
        h, c = (_arrays.output(f"out[{k}]", part, self.dtype, shape) for k, part in enumerate(_arrays.pair("out", out)))
        if np.may_share_memory(h, c):
            raise _arrays.wrong(ValueError, "out", "two arrays that do not overlap", "arrays that do")
        self._core.step(self._flat, x, state, (np.asarray(h), np.asarray(c)))
        return out

    def infer(
        self, x: ArrayLike, state: _StateLike | None = None, lengths: ArrayLike | None = None
    ) -> tuple[np.ndarray, _State]:
        """h as the output, and the state (h, c)."""
        h, c = self(x, state, lengths)
        return h.copy(), (h, c)

    def forward(
        self, x: ArrayLike, state: _StateLike | None = None, lengths: ArrayLike | None = None
    ) -> tuple[np.ndarray, _State, Tape]:
        """One step and a tape for `backward`.

        Returns
        -------
        y : ndarray, (N, H)
            The output, which is h.
        (h, c) : ndarray, each (N, H)
        tape : Tape
        """
        checked = self._checked(x, state, lengths)
        y, (h, c), core_tape = self._run(checked, keep=True)
        return y[:, 0], (h[0], c[0]), Tape(self, (checked[0], core_tape))

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
        dstate : (dh, dc), each array_like (N, H), optional
            Gradient with respect to the state after the step, added to that by way of y; None is zero.
        grads : dict of ndarray, optional
            The keys of `parameters`; gradients are added to these arrays. None: to fresh zeros.
        need_dx : bool, default True
            False: dx is None and is not computed.

        Returns
        -------
        dx : ndarray, (N, I)
        (dh, dc) : ndarray, each (N, H)
            Gradient with respect to the state before the step.
        grads : dict of ndarray
        """
        saved = look(tape, self)
        shape = (saved[0].shape[0], self.hidden_size)
        if dy is not None:
            dy = _arrays.of_shape("dy", dy, self.dtype, shape)[:, None]
        elif dstate is None:
            raise _arrays.wrong(TypeError, "dy", "an array, or None if dstate is given", "None")
        dh_dc = _arrays.state("dstate", dstate, self.dtype, shape)
        grads = self._gradients(grads)
        dx, (dh, dc) = self._run_back(tape, saved, dy, dh_dc, grads, need_dx)
        return None if dx is None else dx[:, 0], (dh[0], dc[0]), grads
