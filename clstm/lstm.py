"""LSTM over sequences, and the look inside."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from . import _arrays, _core
from .embedding import Vectors
from .layer import Tape, _DrawnLayer, glorot_uniform, look
from .stream import Stream

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, DTypeLike

    _StateLike = tuple[ArrayLike, ArrayLike]
    _State = tuple[np.ndarray, np.ndarray]


class Trace:
    """What an LSTM did: its gates and states at every step.

    Attributes
    ----------
    i, f, g, o : ndarray, (L*D, N, T, H)
        Input gate, forget gate, candidate and output gate after their activations. The first axis is that of the
        state: layer by layer, forward direction first; `[:, :, t]` is what was computed at step t.
    c, h : ndarray, (L*D, N, T, H)
        Cell state and hidden state after the step.

    All are zero beyond the lengths. An index selects in all six at once: ``trace[0].f`` are the forget gates
    (N, T, H) of the first layer.
    """

    __slots__ = ("c", "f", "g", "h", "i", "o")

    def __init__(
        self, i: np.ndarray, f: np.ndarray, g: np.ndarray, o: np.ndarray, c: np.ndarray, h: np.ndarray
    ) -> None:
        self.i, self.f, self.g, self.o, self.c, self.h = i, f, g, o, c, h

    def __getitem__(self, index: Any) -> Trace:
        return Trace(*(array[index] for array in (self.i, self.f, self.g, self.o, self.c, self.h)))

    def __repr__(self):
        return f"Trace(i f g o c h, each {self.i.shape} {self.i.dtype})"


class _LSTM(_DrawnLayer):
    """What sequence and cell share: a cell is a sequence of one step."""

    hidden_size: int
    bias: bool

    def _start(self, num_layers, bidirectional, dtype, rng):
        """Completes the construction."""
        self._directions = 2 if bidirectional else 1
        self._states = num_layers * self._directions
        super().__init__(dtype, rng)
        self._core = _core.Stack(
            self.dtype.name, self.input_size, self.hidden_size, num_layers, self._directions, self.bias
        )

    def _draw(self, rng, parameters):
        H = self.hidden_size
        for name, values in parameters.items():
            if name.startswith("weight_ih"):
                values[...] = glorot_uniform(rng, values.shape)
            elif name.startswith("weight_hh"):
                values[...] = orthogonal(rng, values.shape)
            else:
                values[...] = 0
                values[H : 2 * H] = 1

    def _run(self, checked, keep):
        """y, (h, c) and the core's tape, or None for it, of what `_checked` returned."""
        x, state, lengths = checked
        N, T, _ = x.shape
        y = np.empty((N, T, self._directions * self.hidden_size), self.dtype)
        h = np.empty((self._states, N, self.hidden_size), self.dtype)
        c = np.empty_like(h)
        values, symbols = (x.vectors, x.symbols) if type(x) is Vectors else (x, None)
        return y, (h, c), self._core.forward(self._flat, values, lengths, *state, y, h, c, keep, symbols)

    def _run_back(self, tape, saved, dy, dstate, grads, need_dx):
        """dx (N, T, I) and (dh, dc) of arguments that are checked; adds to grads and uses the tape up."""
        x, core_tape = saved
        values = x.vectors if type(x) is Vectors else x
        dx = np.empty(values.shape, self.dtype) if need_dx else None
        dh = np.empty((self._states, x.shape[0], self.hidden_size), self.dtype)
        dc = np.empty_like(dh)
        tape.take()
        try:
            self._core.backward(self._flat, core_tape, values, dy, *dstate, dx, dh, dc, list(grads.values()))
        except Exception:
            tape.put_back(saved)  # the core refuses before it writes
            raise
        if dx is not None and values is not x:
            dx = Vectors(dx, x.symbols)
        return dx, (dh, dc)


class LSTM(_LSTM):
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
        L.
    bidirectional : bool, default False
        Whether each layer also reads the sequence from its end, with parameters of its own. D is 2 then, else 1.
    bias : bool, default True
        Whether there is a bias b.
    dtype : str or dtype, default "float32"
        "float32" or "float64", of parameters and results.
    rng : int or numpy.random.Generator, optional
        Seed or generator for the starting weights; None: fresh entropy.

    Attributes
    ----------
    input_size, hidden_size, num_layers, output_size : int
        output_size is D*H.
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
    PyTorch's, whose two biases are one here.

    Starting weights are those of Keras: Glorot uniform for the input (Glorot and Bengio 2010), orthogonal for the
    recurrent matrix (Saxe, McClelland and Ganguli 2014), zero for the bias but 1 for that of the forget gate
    (Jozefowicz, Zaremba and Sutskever 2015).

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

    axes = "sequence"
    _positional = ("input_size", "hidden_size")

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        num_layers: int = 1,
        bidirectional: bool = False,
        bias: bool = True,
        dtype: DTypeLike = "float32",
        rng: int | np.random.Generator | None = None,
    ) -> None:
        self.input_size = _arrays.size("input_size", input_size)
        self.hidden_size = _arrays.size("hidden_size", hidden_size)
        self.num_layers = _arrays.size("num_layers", num_layers)
        self.bidirectional = _arrays.flag("bidirectional", bidirectional)
        self.bias = _arrays.flag("bias", bias)
        self.dtype = _arrays.dtype(dtype)
        self.output_size = (2 if self.bidirectional else 1) * self.hidden_size
        self._start(self.num_layers, self.bidirectional, dtype, rng)

    def config(self) -> dict[str, Any]:
        """The arguments that make an LSTM of the same configuration."""
        return {
            "input_size": self.input_size,
            "hidden_size": self.hidden_size,
            "num_layers": self.num_layers,
            "bidirectional": self.bidirectional,
            "bias": self.bias,
            "dtype": self.dtype.name,
        }

    @staticmethod
    def parameter_shapes(input_size, hidden_size, *, num_layers=1, bidirectional=False, bias=True, dtype="float32"):
        """The names and shapes of the parameters."""
        width = _arrays.size("input_size", input_size)
        H = _arrays.size("hidden_size", hidden_size)
        suffixes = ("", "_reverse") if _arrays.flag("bidirectional", bidirectional) else ("",)
        _arrays.flag("bias", bias)
        for k in range(_arrays.size("num_layers", num_layers)):
            for suffix in suffixes:
                yield f"weight_ih_l{k}{suffix}", (4 * H, width)
                yield f"weight_hh_l{k}{suffix}", (4 * H, H)
                if bias:
                    yield f"bias_l{k}{suffix}", (4 * H,)
            width = len(suffixes) * H

    def _checked(self, x, state, lengths):
        """x, (h, c) and lengths as the core takes them."""
        if type(x) is not Vectors:
            x = _arrays.steps("x", x, self.dtype, self.input_size)
        N, T, _ = x.shape
        shape = (self._states, N, self.hidden_size)
        return x, _arrays.state("state", state, self.dtype, shape), _arrays.lengths(lengths, N, T)

    def __call__(
        self, x: ArrayLike, state: _StateLike | None = None, lengths: ArrayLike | None = None
    ) -> tuple[np.ndarray, _State]:
        """Inference: runs over whole sequences.

        Parameters
        ----------
        x : array_like, (N, T, I)
            An array of the layer's dtype whose last axis is contiguous is taken as it is, any other is copied once.
        state : (h, c), each array_like (L*D, N, H), optional
            State before the first step; None is zeros.
        lengths : array_like of int, (N,), optional
            Valid steps of each row, 0 to T; None: all T. What comes after is never read.

        Returns
        -------
        y : ndarray, (N, T, D*H)
            Hidden states of the last layer, forward direction first; zero beyond the lengths.
        (h, c) : ndarray, each (L*D, N, H)
            State after the last valid step of each row (for the reverse direction, step 0). Of a row of length 0 it
            is the initial one.

        Raises
        ------
        TypeError
            An argument is of a kind that cannot be converted: complex numbers, objects, text.
        ValueError
            A shape or a length does not fit.
        """
        return self.infer(x, state, lengths)

    def infer(
        self, x: ArrayLike, state: _StateLike | None = None, lengths: ArrayLike | None = None
    ) -> tuple[np.ndarray, _State]:
        """The same as calling the layer."""
        y, after, _ = self._run(self._checked(x, state, lengths), keep=False)
        return y, after

    def forward(
        self, x: ArrayLike, state: _StateLike | None = None, lengths: ArrayLike | None = None
    ) -> tuple[np.ndarray, _State, Tape]:
        """The same numbers as calling the layer, and a tape for `backward`.

        Parameters
        ----------
        x, state, lengths
            As in `__call__`. The tape refers to x: do not change it before backward.

        Returns
        -------
        y : ndarray, (N, T, D*H)
        (h, c) : ndarray, each (L*D, N, H)
        tape : Tape
        """
        checked = self._checked(x, state, lengths)
        y, after, core_tape = self._run(checked, keep=True)
        return y, after, Tape(self, (checked[0], core_tape))

    def backward(
        self,
        tape: Tape,
        dy: ArrayLike | None,
        dstate: _StateLike | None = None,
        grads: dict[str, np.ndarray] | None = None,
        need_dx: bool = True,
    ) -> tuple[np.ndarray | None, _State, dict[str, np.ndarray]]:
        """Exact back-propagation through time.

        Parameters
        ----------
        tape : Tape
            From `forward` of this layer, whose parameters have not been changed since. It is used up.
        dy : array_like, (N, T, D*H), or None
            Gradient of the loss with respect to y; not read beyond the lengths. None is zero, if dstate is given.
        dstate : (dh, dc), each array_like (L*D, N, H), optional
            Gradient with respect to the final state; None is zero.
        grads : dict of ndarray, optional
            The keys of `parameters`; gradients are added to these arrays. None: to fresh zeros.
        need_dx : bool, default True
            False: dx is None and is not computed.

        Returns
        -------
        dx : ndarray, (N, T, I)
            Zero beyond the lengths.
        (dh, dc) : ndarray, each (L*D, N, H)
            Gradient with respect to the initial state.
        grads : dict of ndarray

        Raises
        ------
        ValueError
            The tape is used up or of another layer, or a shape does not fit. Nothing has changed then.
        """
        saved = look(tape, self)
        N, T, _ = saved[0].shape
        if dy is not None:
            dy = _arrays.of_shape("dy", dy, self.dtype, (N, T, self._directions * self.hidden_size), strided=True)
        elif dstate is None:
            raise _arrays.wrong(TypeError, "dy", "an array, or None if dstate is given", "None")
        dh_dc = _arrays.state("dstate", dstate, self.dtype, (self._states, N, self.hidden_size))
        grads = self._gradients(grads)
        return *self._run_back(tape, saved, dy, dh_dc, grads, need_dx), grads

    def trace(self, x: ArrayLike, state: _StateLike | None = None, lengths: ArrayLike | None = None) -> Trace:
        """Runs over x and returns the gates and states of every step.

        Parameters
        ----------
        x, state, lengths
            As in `__call__`.

        Returns
        -------
        Trace
            ``trace.i``, ``.f``, ``.g``, ``.o``, ``.c``, ``.h``, each (L*D, N, T, H), also where L*D is 1;
            ``trace[k]`` is that of one layer and direction, (N, T, H).

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
        checked = self._checked(x, state, lengths)
        core_tape = self._run(checked, keep=True)[2]
        N, T, _ = checked[0].shape
        trace = Trace(*(np.empty((self._states, N, T, self.hidden_size), self.dtype) for _ in range(6)))
        for k in range(self._states):
            at = trace[k]
            self._core.read_tape(core_tape, k, at.i, at.f, at.g, at.o, at.c, at.h)
        return trace

    def stream(self, batch: int = 1) -> Stream:
        """A stream of this LSTM, which takes one step at a time.

        Parameters
        ----------
        batch : int, default 1
            The rows of a step.

        Returns
        -------
        Stream
            It reads the parameters now, and again when its `reload` is called; its state is zero.

        Raises
        ------
        ValueError
            The LSTM is bidirectional: a stream cannot see the future.

        Examples
        --------
        >>> import numpy as np, clstm
        >>> stream = clstm.LSTM(3, 4, rng=0).stream()
        >>> stream.step(np.ones(3, np.float32)).shape
        (4,)
        """
        return Stream(self, batch)


def orthogonal(rng, shape):
    """A random matrix (rows, columns) with orthonormal columns, all directions equally likely (Mezzadri 2007)."""
    q, r = np.linalg.qr(rng.standard_normal(shape))
    return q * np.sign(np.diagonal(r))
