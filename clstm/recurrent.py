"""Recurrent layers over whole sequences: forward, backward, and the look inside."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from . import _arrays
from .embedding import Vectors
from .gradient_flow import GradientFlow, norms_of
from .layer import MIXED, Tape, look
from .noise import SILENCE, Noise, masks_of, noise_of
from .pieces import Pieces, refuse_memory
from .sequences import ROWS, Listed, is_list, prefix, steps_of
from .stack import Kind, _Recurrent
from .stream import Stream
from .trace import Trace

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    _StateLike = tuple[ArrayLike, ArrayLike] | ArrayLike
    _State = tuple[np.ndarray, np.ndarray] | np.ndarray

__all__ = ["Kind", "RecurrentLayer"]


class RecurrentLayer(_Recurrent):
    """A stack of recurrent layers over sequences, in one direction or both: what `LSTM`, `GRU` and `RNN` share.

    The state is (h, c) for an LSTM and h alone for the others; each is an array (L*D, N, H), layer by layer, forward
    direction first. With a projection, `proj_size` stands for H in all shapes of h, also those of y and of gradients.
    The stack is not made by itself, but by the class of its kind.
    """

    axes = "sequence"

    @classmethod
    def parameter_shapes(
        cls, input_size, hidden_size, *, num_layers=1, bidirectional=False, bias=True, dtype="float32", **options
    ):
        """The names and shapes of the parameters."""
        return cls._shapes_of(input_size, hidden_size, num_layers, bidirectional, bias, options)

    def _share_after(self, share):
        return MIXED if self.merge != "concat" and not self.removes_time else super()._share_after(share)

    def _checked(self, x, state, lengths, mask=None, resets=None):
        """x, (h, c), valid steps as the core takes them, and the form in which the sequences came."""
        if is_list(x, 2):
            form = Listed.of(x, lengths, mask, resets, self.dtype, self.input_size)
            return self._checked_flat(form.x, state, form, form)
        if type(x) is not Vectors:
            x = _arrays.steps("x", x, self.dtype, self.input_size)
        steps = steps_of(lengths, mask, resets, x.shape[:2])
        return x, self._given_state(state, x.shape[0]), steps, ROWS

    def _checked_flat(self, x, state, sequences, form=ROWS):
        """The same of sequences side by side in x (1, steps, I)."""
        return x, self._given_state(state, len(sequences.counts)), sequences.pieces, form

    def _form_of_y(self, form):
        """Where there is no time, y is one array in any form of x."""
        return ROWS if self.removes_time else form

    def __call__(
        self,
        x: ArrayLike | list[np.ndarray],
        state: _StateLike | None = None,
        lengths: ArrayLike | None = None,
        *,
        mask: ArrayLike | None = None,
        resets: ArrayLike | None = None,
    ) -> tuple[Any, _State]:
        """Inference: runs over whole sequences.

        Parameters
        ----------
        x : array_like, (N, T, I), or list of ndarray, (T_n, I) each
            An array of the layer's dtype whose last axis is contiguous is taken as it is, any other is copied once.
        state : (h, c) or h, each array_like (L*D, N, H), optional
            State before the first step; None is zeros, or what the layer has learned (`learned_state`).
        lengths : array_like of int, (N,), optional
            Valid steps of each row, 0 to T; None: all T. What comes after is never read.
        mask : array_like of bool, (N, T), optional
            The same for any shape: True is a valid step. Others are skipped: the state passes by them.
        resets : array_like of bool, (N, T), or list of (T_n,), optional
            True: before this step the state returns to the layer's initial one, and nothing crosses that boundary,
            backward in time neither. See :doc:`/explanation/sequences`.

        Returns
        -------
        y : ndarray, (N, T, D*H), or list of (T_n, D*H)
            Hidden states of the last layer, forward direction first; zero at steps that are not valid.
            `merge`, `output` and `proj_size` make it another: (N, T, H), (N, D*H) ..
        state : (h, c) or h, each ndarray (L*D, N, H)
            State after the last valid step of each row (for the reverse direction, the first). Of a row without a
            valid step it is the given one.

        Raises
        ------
        TypeError
            An argument is of a kind that cannot be converted: complex numbers, objects, text.
        ValueError
            A shape or a length does not fit, or there is more than one of a list, lengths and a mask.
        """
        return self.infer(x, state, lengths, mask=mask, resets=resets)

    def infer(
        self,
        x: ArrayLike | list[np.ndarray],
        state: _StateLike | None = None,
        lengths: ArrayLike | None = None,
        *,
        mask: ArrayLike | None = None,
        resets: ArrayLike | None = None,
    ) -> tuple[Any, _State]:
        """The same as calling the layer."""
        checked = self._checked(x, state, lengths, mask, resets)
        y, h, c, _ = self._run(checked, keep=False)
        return self._form_of_y(checked[3]).give(y), self._state(h, c)

    def forward(
        self,
        x: ArrayLike | list[np.ndarray],
        state: _StateLike | None = None,
        lengths: ArrayLike | None = None,
        *,
        mask: ArrayLike | None = None,
        resets: ArrayLike | None = None,
        noise: int | Noise | None = None,
        memory: int | None = None,
    ) -> tuple[Any, _State, Tape]:
        """The same numbers as calling the layer, but for what is random in training, and a tape for `backward`.

        Parameters
        ----------
        x, state, lengths, mask, resets
            As in `__call__`. The tape refers to x: do not change it before backward.
        noise : int or Noise, optional
            Seed of the masks of dropout, zoneout and noise, if the layer has any; None: fresh entropy.
        memory : int, optional
            Bytes that the tape may take. If it would take more, only states at some steps are kept, and backward
            computes the others again: see docs/explanation/long_sequences.md. ValueError if it is too small for
            that, or together with a list, resets, or a mask that is more than lengths.

        Returns
        -------
        y : ndarray or list
            As from `__call__`.
        state : (h, c) or h, each ndarray (L*D, N, H)
        tape : Tape
        """
        checked = self._checked(x, state, lengths, mask, resets)
        refuse_memory(memory, checked[2], x, resets)
        y, h, c, tape = self._forward(checked, state is None, noise, memory)
        return self._form_of_y(checked[3]).give(y), self._state(h, c), tape

    def _flat_run(self, x, state, sequences, keep, noise=None):
        """y, state and tape (if it is to be kept) of sequences side by side in x (1, steps, I)."""
        checked = self._checked_flat(x, state, sequences)
        if keep:
            y, h, c, tape = self._forward(checked, state is None, noise)
        else:
            (y, h, c, _), tape = self._run(checked, keep=False), None
        return y, self._state(h, c), tape

    def backward(
        self,
        tape: Tape,
        dy: ArrayLike | list[np.ndarray] | None,
        dstate: _StateLike | None = None,
        grads: dict[str, np.ndarray] | None = None,
        need_dx: bool = True,
        *,
        bptt: int | None = None,
    ) -> tuple[Any, _State, dict[str, np.ndarray]]:
        """Exact back-propagation through time, or truncated.

        Parameters
        ----------
        tape : Tape
            From `forward` of this layer, whose parameters have not been changed since. It is used up.
        dy : array_like, the shape of y, or list of (T_n, D*H), or None
            Gradient of the loss with respect to y, not read at steps that are not valid; of a list, in that form or
            padded to (N, longest, D*H). None is zero, if dstate is given.
        dstate : (dh, dc) or dh, each array_like (L*D, N, H), optional
            Gradient with respect to the final state; None is zero.
        grads : dict of ndarray, optional
            The keys of `parameters`; gradients are added to these arrays. None: to fresh zeros.
        need_dx : bool, default True
            False: dx is None and is not computed.
        bptt : int, optional
            Truncated back-propagation: of the steps of a direction, counted in its own order from 0 in each row, and
            again from each reset, none hands anything back to the one before it if its number is a multiple of bptt.
            So gradients are those of pieces of bptt steps between which the state is carried on, and nothing else.
            None: all the way.

        Returns
        -------
        dx : ndarray, (N, T, I), or list of (T_n, I)
            Zero at steps that are not valid.
        dstate : (dh, dc) or dh, each ndarray (L*D, N, H)
            Gradient with respect to the initial state; zero where a reset before the first step kept it out.
        grads : dict of ndarray

        Raises
        ------
        ValueError
            The tape is used up or of another layer, or a shape does not fit. Nothing has changed then.
        """
        return self._back(tape, dy, dstate, grads, need_dx, bptt)

    def _back(self, tape, dy, dstate, grads, need_dx, bptt, whole=()):
        """`backward`; for `whole` see `_run_back`."""
        saved = look(tape, self)
        N = saved.rows
        if dy is not None:
            arrays = (N, 0) if self.removes_time else saved.x.shape[:2]
            shape = self._output.shape(self, *arrays)
            dy = self._form_of_y(saved.form).gradient("dy", dy, self.dtype, shape)
        elif dstate is None:
            raise _arrays.wrong(TypeError, "dy", "an array, or None if dstate is given", "None")
        dstate = self._members("dstate", dstate, N)
        grads = self._gradients(grads)
        bptt = 0 if bptt is None else _arrays.size("bptt", bptt)
        dx, dh, dc = self._run_back(tape, saved, dy, dstate, grads, need_dx, bptt, whole)
        return saved.form.give(dx), self._state(dh, dc), grads

    def _flow_back(self, flows, name, tape, dy, dstate=None, grads=None, need_dx=True, bptt=None):
        shapes = self._state_shapes(self._states, *look(tape, self).x.shape[:2])
        whole = {name: np.zeros(shape, self.dtype) for name, shape in zip(self._kind.states, shapes, strict=True)}
        found = self._back(tape, dy, dstate, grads, need_dx, bptt, tuple(whole.values()))
        flows[name or "0"] = norms_of(whole)
        return found

    def gradient_flow(
        self,
        x: ArrayLike | list[np.ndarray],
        dy: ArrayLike | list[np.ndarray] | None,
        state: _StateLike | None = None,
        lengths: ArrayLike | None = None,
        *,
        mask: ArrayLike | None = None,
        resets: ArrayLike | None = None,
        dstate: _StateLike | None = None,
        noise: int | Noise | None = None,
        bptt: int | None = None,
    ) -> GradientFlow:
        """Runs over x and back, and returns how much of the gradient arrives at each step.

        Parameters
        ----------
        x, state, lengths, mask, resets
            As in `__call__`. A list is padded: T is that of its longest array.
        dy, dstate, bptt
            As in `backward`.
        noise : int or Noise, optional
            Seed of what is random in training; None: nothing is, as in inference and `trace`.

        Returns
        -------
        GradientFlow
            The norms of dL/dh_t and, of an LSTM, of dL/dc_t: ``flow.h``, ``flow.c``, each (L*D, N, T).

        Examples
        --------
        >>> import numpy as np, clstm
        >>> rnn = clstm.RNN(3, 4, rng=0)
        >>> flow = rnn.gradient_flow(np.ones((2, 5, 3)), None, dstate=np.ones((1, 2, 4)))
        >>> flow.h[0, 0].round(2)  # dstate alone: less and less of it, the further back
        array([0.14, 0.44, 0.78, 1.31, 2.  ])
        """
        if is_list(x, 2):
            form = Listed.of(x, lengths, mask, resets, self.dtype, self.input_size)
            if dy is not None and not self.removes_time:
                dy = form.pad(form.gradient("dy", dy, self.dtype, (*form.shape, self.output_size)))
            x, lengths, mask, resets = form.padded()
        checked = self._checked(x, state, lengths, mask, resets)
        tape = self._forward(checked, state is None, SILENCE if noise is None else noise)[-1]
        flows: dict[str, GradientFlow] = {}
        self._flow_back(flows, "0", tape, dy, dstate, need_dx=False, bptt=bptt)
        return flows["0"]

    def trace(
        self,
        x: ArrayLike | list[np.ndarray],
        state: _StateLike | None = None,
        lengths: ArrayLike | None = None,
        *,
        mask: ArrayLike | None = None,
        resets: ArrayLike | None = None,
    ) -> Trace:
        """Runs over x and returns the gates and states of every step.

        Parameters
        ----------
        x, state, lengths, mask, resets
            As in `__call__`. A list is padded: T is that of its longest array.

        Returns
        -------
        Trace
            Of an LSTM ``trace.i``, ``.f``, ``.g``, ``.o``, ``.c``, ``.h``, of a GRU ``.r``, ``.z``, ``.n``, ``.h``,
            of an RNN ``.h``: each (L*D, N, T, H), also where L*D is 1; ``trace[k]`` is that of one layer and
            direction, (N, T, H).

        Examples
        --------
        >>> import numpy as np, clstm
        >>> lstm = clstm.LSTM(3, 4, rng=0)
        >>> x = np.ones((2, 5, 3), np.float32)
        >>> trace = lstm.trace(x)
        >>> trace.f.shape, trace[0].f.shape
        ((1, 2, 5, 4), (2, 5, 4))
        >>> bool((trace[0].h == lstm(x)[0]).all())
        True
        """
        if is_list(x, 2):
            form = Listed.of(x, lengths, mask, resets, self.dtype, self.input_size)
            x, lengths, mask, resets = form.padded()
        checked = x, _, steps, _ = self._checked(x, state, lengths, mask, resets)
        core_tape = self._run(checked, keep=True)[-1]
        valid = steps.valid if type(steps) is Pieces else None if steps is None else prefix(steps, x.shape[1])
        return self._kind_trace(core_tape, *x.shape[:2], valid)

    def _kind_trace(self, core_tape, N, T, valid):
        """The trace of a tape."""
        kind, lead = self._kind, (self._states, N, T)
        shown = dict.fromkeys(name for name in self._blocks() if name and name != "h")
        states = dict(zip(kind.states, self._state_shapes(*lead), strict=True))
        shapes = {**dict.fromkeys(shown, (*lead, self.hidden_size)), **dict(reversed(states.items()))}
        arrays = {name: np.zeros(shape, self.dtype) for name, shape in shapes.items()}
        for k in range(self._states):
            gates = [arrays[name][k] if name else None for name in self._blocks()]
            c = arrays["c"][k] if "c" in arrays else None
            self._core.read_tape(core_tape, k, gates, c, arrays["h"][k])
        valid = None if valid is None else valid[..., np.newaxis]
        return Trace(self._derived(arrays, valid), valid)

    def _blocks(self):
        """Names of the blocks on the tape."""
        return self._kind.blocks(self._options)

    def _derived(self, arrays, valid):
        """The arrays of a trace, with those that are on no tape."""
        return arrays

    def masks(self, N: int, T: int, noise: int | Noise) -> dict[str, Any]:
        """What is random in `forward` with this noise, as arrays.

        Parameters
        ----------
        N, T : int
            Of x.
        noise : int or Noise

        Returns
        -------
        dict
            Of what the layer has: "added" (N, T, I), which is added to x; "input", for each layer what its input is
            multiplied by (N, T, I or D*H); and for each layer and direction "recurrent" (N, H), which multiplies h on
            its way to the product, "weight", which multiplies ``weight_hh`` and has its shape, "zone_h" and "zone_c"
            (N, T, H), 1 where the old state is kept.

        Examples
        --------
        >>> import clstm
        >>> gru = clstm.GRU(3, 4, recurrent_dropout=0.5, rng=0)
        >>> gru.masks(1, 5, noise=7)["recurrent"][0]
        array([[2., 0., 0., 2.]], dtype=float32)
        """
        return masks_of(self, _arrays.size("N", N), _arrays.size("T", T), noise_of(noise))

    def stream(self, batch: int = 1) -> Stream:
        """A stream of this layer, which takes one step at a time.

        Parameters
        ----------
        batch : int, default 1
            The rows of a step.

        Returns
        -------
        Stream
            It reads the parameters now, and again when its `reload` is called; its state is the initial one.

        Raises
        ------
        ValueError
            The layer is bidirectional: a stream cannot see the future; or its output is "c" or "state".

        Examples
        --------
        >>> import numpy as np, clstm
        >>> stream = clstm.LSTM(3, 4, rng=0).stream()
        >>> stream.step(np.ones(3, np.float32)).shape
        (4,)
        """
        return Stream(self, batch)
