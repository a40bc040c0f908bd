"""Stream: a recurrent layer that takes one step at a time and remembers its state."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from . import _arrays, _core
from .sequences import flags

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from .recurrent import RecurrentLayer, _State, _StateLike


class Stream:
    """A recurrent layer that takes one step in each call, for data that come one after another.

    ``layer.stream()`` makes one. A step gives the same bits as the same step of the layer over the whole sequence, and
    allocates nothing: weights are packed, and all memory is prepared, when the stream is made.

    Parameters
    ----------
    layer : LSTM, GRU or RNN
        Of one direction: a stream cannot see the future.
    batch : int, default 1
        N, the rows of a step.

    Attributes
    ----------
    layer : LSTM, GRU or RNN
    batch : int
    state : (h, c) or h
        State after the last step, copies (L, N, H) each. It can be set, as by `reset`.

    Raises
    ------
    TypeError, ValueError
        Naming the argument, what was expected and what came.
    RuntimeError
        Another thread is working on the stream. Nothing has changed then.

    Notes
    -----
    **Weights** are read when the stream is made, and by `reload`. What is written into the parameters of the layer in
    between, by training or by hand, does not reach the stream before `reload`. The instruction set and the number of
    threads are also those of the moment when the stream was made; the backend is always the native one.

    **Threads.** Only one thread at a time may use a stream; several streams of one layer do not disturb each other.
    Steps that take more than some ten microseconds release the GIL.

    A stream can be neither copied nor pickled: make another one and set its state.

    Examples
    --------
    >>> import numpy as np, clstm
    >>> lstm = clstm.LSTM(3, 4, rng=0)
    >>> x = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
    >>> stream = lstm.stream()
    >>> for x_t in x:
    ...     y_t = stream.step(x_t)
    >>> y_t.shape
    (4,)
    >>> y, (h, c) = lstm(x[np.newaxis])
    >>> bool((y_t == y[0, -1]).all() and (stream.state[1] == c).all())
    True
    """

    __slots__ = ("__weakref__", "_core", "batch", "layer")

    def __init__(self, layer: RecurrentLayer, batch: int = 1) -> None:
        from .recurrent import RecurrentLayer  # which imports this file

        if not isinstance(layer, RecurrentLayer):
            raise _arrays.wrong(TypeError, "layer", "an LSTM, GRU or RNN", _arrays.kind(layer))
        if layer.bidirectional or layer.go_backwards:
            way = "bidirectional" if layer.bidirectional else "go_backwards"
            expected = f"one with {way}=False (a stream cannot see the future)"
            raise _arrays.wrong(ValueError, "layer", expected, layer)
        if layer.output not in ("h", "last"):
            expected = "one whose output is 'h' or 'last' (the stream has a state of its own)"
            raise _arrays.wrong(ValueError, "layer", expected, layer)
        self.layer = layer
        self.batch = _arrays.size("batch", batch)
        y = np.empty((self.batch, layer.output_size), layer.dtype)
        self._core = _core.StackStream(layer._core, layer._flat, self.batch, y)
        if layer.learned_state:
            self.reset()

    def step(self, x: ArrayLike, out: np.ndarray | None = None, *, reset: ArrayLike | None = None) -> np.ndarray:
        """Takes one step.

        Parameters
        ----------
        x : array_like, (N, I), or (I,) if the batch is 1
            A NumPy array of the layer's dtype whose last axis is contiguous is taken as it is, any other is converted.
        out : ndarray, (N, H), or (H,) if that is the form of x, optional
            Where to write y: of the layer's dtype, its last axis contiguous. It may overlap x.
        reset : array_like of bool, (N,), optional
            Rows that begin anew with this step: their state returns to the initial one before it. If the batch is 1,
            also True or False.

        Returns
        -------
        y : ndarray, (N, H) or (H,)
            `out`. Without `out` it is **one array that belongs to the stream: the next step overwrites it**. Copy what
            you want to keep, or pass `out`. It may be the x of the next step.
        """
        first = () if reset is None else self._first(reset)
        y = self._core.step(x, out, *first)
        return self._convert_and_step(x, out, first) if y is None else y

    def _first(self, reset):
        """Flags of the rows that begin anew, and h and c from which they do."""
        reset = _arrays.array_of("reset", reset)
        reset = flags("reset", reset.reshape(1) if self.batch == 1 and reset.ndim == 0 else reset, (self.batch,))
        return _arrays.contiguous(reset), *self.layer._initial_state(1)

    def _convert_and_step(self, x, out, first):
        """The same for arguments that do not fit as they are, or not at all."""
        layer, N = self.layer, self.batch
        x = _arrays.real("x", x, layer.dtype)
        one_row = N == 1 and x.ndim == 1
        lead = () if one_row else (N,)
        if x.shape != (*lead, layer.input_size):
            forms = f"shape ({N}, {layer.input_size})" + (f" or ({layer.input_size},)" if N == 1 else "")
            raise _arrays.wrong(ValueError, "x", forms, f"shape {x.shape}")
        x = _arrays.unit_stride(x)
        if out is None:
            return self._core.step(x, None, *first)
        _arrays.output("out", out, layer.dtype, (*lead, layer.output_size), strided=True)
        self._core.step(x, np.asarray(out), *first)
        return out

    def reset(self, state: _StateLike | None = None) -> None:
        """Sets the state.

        Parameters
        ----------
        state : (h, c) or h, each array_like (L, N, H), optional
            None is zeros, or what the layer has learned (`learned_state`); a member that is None is zeros.
        """
        self._core.reset(*self.layer._given_state(state, self.batch))

    @property
    def state(self) -> _State:
        h, c = self.layer._new_state(self.batch)
        self._core.state(h, c)
        return self.layer._state(h, c)

    @state.setter
    def state(self, state: _StateLike | None) -> None:
        self.reset(state)

    def reload(self) -> None:
        """Reads the parameters of the layer again; the state stays."""
        self._core.reload(self.layer._flat)

    def __repr__(self):
        return f"Stream({self.layer!r}, batch={self.batch})"

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        raise TypeError("a Stream cannot be copied or pickled: make another one and set its state")
