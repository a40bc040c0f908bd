"""The layers around an LSTM: Embedding before it, Pool and Dense behind it; and Ensemble, several networks as one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from . import _arrays, _core
from .layer import Layer, Tape, _DrawnLayer, glorot_uniform, look
from .network import Network, _in_layer, shapes_in

if TYPE_CHECKING:
    from typing import Literal

    from numpy.typing import ArrayLike, DTypeLike


class Dense(_DrawnLayer):
    """An affine map of the features, y = x w^T + b, at each step alike.

    Parameters
    ----------
    input_size, output_size : int
        Features it takes and gives.
    bias : bool, default True
        Whether there is a bias b.
    dtype : str or dtype, default "float32"
        "float32" or "float64".
    rng : int or numpy.random.Generator, optional
        Seed or generator for the starting weights; None: fresh entropy.

    Notes
    -----
    Parameters: ``weight`` (output_size, input_size), which starts Glorot uniform (Glorot and Bengio 2010), and ``bias``
    (output_size,), which starts at zero, both as in Keras.

    Examples
    --------
    >>> import numpy as np, clstm
    >>> dense = clstm.Dense(4, 2, rng=0)
    >>> dense(np.ones((3, 4))).shape, dense(np.ones((3, 5, 4))).shape
    ((3, 2), (3, 5, 2))
    """

    bidirectional = False
    _positional = ("input_size", "output_size")

    def __init__(
        self,
        input_size: int,
        output_size: int,
        *,
        bias: bool = True,
        dtype: DTypeLike = "float32",
        rng: int | np.random.Generator | None = None,
    ) -> None:
        self.input_size = _arrays.size("input_size", input_size)
        self.output_size = _arrays.size("output_size", output_size)
        self.bias = _arrays.flag("bias", bias)
        self.dtype = _arrays.dtype(dtype)
        super().__init__(dtype, rng)

    def config(self) -> dict[str, Any]:
        """The arguments that make a layer of the same configuration."""
        return {
            "input_size": self.input_size,
            "output_size": self.output_size,
            "bias": self.bias,
            "dtype": self.dtype.name,
        }

    @staticmethod
    def parameter_shapes(input_size, output_size, *, bias=True, dtype="float32"):
        """The names and shapes of the parameters."""
        out = _arrays.size("output_size", output_size)
        yield "weight", (out, _arrays.size("input_size", input_size))
        if _arrays.flag("bias", bias):
            yield "bias", (out,)

    def _draw(self, rng, parameters):
        parameters["weight"][...] = glorot_uniform(rng, parameters["weight"].shape)
        if self.bias:
            parameters["bias"][...] = 0

    def forward(
        self, x: ArrayLike, state: None = None, lengths: ArrayLike | None = None
    ) -> tuple[np.ndarray, None, Tape]:
        """y = x w^T + b

        Parameters
        ----------
        x : array_like, (N, T, input_size) or (N, input_size)
        state : None
            There is none; the argument is part of the protocol.
        lengths : array_like of int, (N,), optional
            Valid steps of each row, for x with a time axis. Later ones are not read, and zero in y.

        Returns
        -------
        y : ndarray, (N, T, output_size) or (N, output_size)
        state : None
        tape : Tape
        """
        x = _arrays.steps("x", x, self.dtype, self.input_size, axes="N?")
        _arrays.absent("state", state, "Dense has none")
        valid = valid_steps(lengths, x.shape[:-1])
        rows = rows_of(x, valid)
        y = np.empty((*rows.shape[:-1], self.output_size), self.dtype)
        views = self._views
        if y.size:
            _core.dense_forward(views["weight"], views.get("bias"), rows, y)
        y = placed(y, valid, (*x.shape[:-1], self.output_size))
        return y, None, Tape(self, (rows, valid, y.shape))

    def backward(
        self,
        tape: Tape,
        dy: ArrayLike | None,
        dstate: None = None,
        grads: dict[str, np.ndarray] | None = None,
        need_dx: bool = True,
    ) -> tuple[np.ndarray | None, None, dict[str, np.ndarray]]:
        """dx = dy w; adds dy^T x to the gradient of w and the sum of dy to that of b.

        Parameters
        ----------
        tape : Tape
            From `forward` of this layer, whose parameters have not been changed since. It is used up.
        dy : array_like, (N, T, output_size) or (N, output_size)
            Gradient of the loss with respect to y; not read beyond the lengths.
        dstate : None
        grads : dict of ndarray, optional
            The keys of `parameters`; gradients are added to these arrays. None: to fresh zeros.
        need_dx : bool, default True
            False: dx is None and is not computed.

        Returns
        -------
        dx : ndarray, the shape of x
        dstate : None
        grads : dict of ndarray
        """
        rows, valid, shape = look(tape, self)
        dy = _arrays.of_shape("dy", dy, self.dtype, shape)
        _arrays.absent("dstate", dstate, "Dense has no state")
        grads = self._gradients(grads)
        tape.take()
        dx = np.empty(rows.shape, self.dtype) if need_dx else None
        if rows.size:
            _core.dense_backward(
                self._views["weight"], rows, rows_of(dy, valid), dx, grads["weight"], grads.get("bias")
            )
        return (placed(dx, valid, (*shape[:-1], self.input_size)) if need_dx else None), None, grads


class Embedding(_DrawnLayer):
    """A vector for each of a number of symbols.

    Parameters
    ----------
    num_embeddings : int
        How many symbols there are; indices are 0 to num_embeddings - 1.
    dim : int
        Size of a vector.
    dtype : str or dtype, default "float32"
        "float32" or "float64".
    rng : int or numpy.random.Generator, optional
        Seed or generator for the starting weights; None: fresh entropy.

    Notes
    -----
    Parameter: ``weight`` (num_embeddings, dim), which starts uniform in +-0.05, as in Keras.

    Examples
    --------
    >>> import clstm
    >>> embedding = clstm.Embedding(10, 4, rng=0)
    >>> embedding([[1, 2, 3], [3, 2, 1]]).shape
    (2, 3, 4)
    """

    takes_indices = True
    bidirectional = False
    _positional = ("num_embeddings", "dim")

    def __init__(
        self,
        num_embeddings: int,
        dim: int,
        *,
        dtype: DTypeLike = "float32",
        rng: int | np.random.Generator | None = None,
    ) -> None:
        self.num_embeddings = _arrays.size("num_embeddings", num_embeddings)
        self.dim = self.output_size = _arrays.size("dim", dim)
        self.dtype = _arrays.dtype(dtype)
        super().__init__(dtype, rng)

    def config(self) -> dict[str, Any]:
        """The arguments that make a layer of the same configuration."""
        return {"num_embeddings": self.num_embeddings, "dim": self.dim, "dtype": self.dtype.name}

    @staticmethod
    def parameter_shapes(num_embeddings, dim, *, dtype="float32"):
        """The names and shapes of the parameters."""
        yield "weight", (_arrays.size("num_embeddings", num_embeddings), _arrays.size("dim", dim))

    def _draw(self, rng, parameters):
        parameters["weight"][...] = rng.uniform(-0.05, 0.05, parameters["weight"].shape)

    def forward(
        self, x: ArrayLike, state: None = None, lengths: ArrayLike | None = None
    ) -> tuple[np.ndarray, None, Tape]:
        """y[n, t] = weight[x[n, t]]

        Parameters
        ----------
        x : array_like of int, (N, T) or (N,)
            Any integers from 0 to num_embeddings - 1.
        state : None
            There is none; the argument is part of the protocol.
        lengths : array_like of int, (N,), optional
            Valid steps of each row, for x with a time axis. Later ones may be any integers, and are zero in y.

        Returns
        -------
        y : ndarray, (N, T, dim) or (N, dim)
        state : None
        tape : Tape
        """
        x = _arrays.indices("x", x)
        _arrays.absent("state", state, "Embedding has none")
        valid = valid_steps(lengths, x.shape)
        index = _arrays.contiguous(x if valid is None else x[valid])
        index = index.astype(np.int64, copy=False)  # what does not fit becomes negative
        y = np.empty((*index.shape, self.dim), self.dtype)
        try:
            if index.size:
                _core.embedding_forward(self._views["weight"], index, y)
        except ValueError:
            _arrays.in_range("x", x, self.num_embeddings, "an index", True if valid is None else valid)
            raise
        y = y if valid is None else scattered(y, valid)
        return y, None, Tape(self, (index, valid, y.shape))

    def backward(
        self,
        tape: Tape,
        dy: ArrayLike | None,
        dstate: None = None,
        grads: dict[str, np.ndarray] | None = None,
        need_dx: bool = True,
    ) -> tuple[np.ndarray | None, None, dict[str, np.ndarray]]:
        """Adds dy[n, t] to row x[n, t] of the gradient of the weight.

        Parameters
        ----------
        tape : Tape
            From `forward` of this layer. It is used up.
        dy : array_like, (N, T, dim) or (N, dim)
            Gradient of the loss with respect to y; not read beyond the lengths.
        dstate : None
        grads : dict of ndarray, optional
            The keys of `parameters`; gradients are added to these arrays. None: to fresh zeros.
        need_dx : bool, default True
            Indices have no gradient: dx is always None.

        Returns
        -------
        dx, dstate : None
        grads : dict of ndarray
        """
        index, valid, shape = look(tape, self)
        dy = _arrays.of_shape("dy", dy, self.dtype, shape)
        _arrays.absent("dstate", dstate, "Embedding has no state")
        grads = self._gradients(grads)
        tape.take()
        if index.size:
            _core.embedding_backward(index, dy if valid is None else dy[valid], grads["weight"])
        return None, None, grads


class Pool(Layer):
    """One vector for a whole sequence, made of its valid steps.

    Parameters
    ----------
    mode : str
        "last": the features at the last valid step. "mean", "max": over the valid steps.
    bidirectional : bool, optional
        For "last", whether the second half of the features comes from a reverse direction, which ends at step 0; they
        are taken there then. None: as the layer before says, in a `Network`; False where there is none.

    Notes
    -----
    A sequence of length 0 gives zeros. The gradient of "max" goes to the first of several greatest steps. A NaN among
    the valid steps makes "mean" and "max" NaN.

    The layer has no dtype: it computes in that of x, or in that of its network.

    Examples
    --------
    >>> import clstm
    >>> x = [[[1.0, 8.0], [2.0, 7.0], [3.0, 9.0]]]
    >>> clstm.Pool("mean")(x)
    array([[2., 8.]], dtype=float32)
    >>> clstm.Pool("last")(x, lengths=[2])
    array([[2., 7.]], dtype=float32)
    """

    axes = "sequence"
    removes_time = True
    _positional = ("mode",)

    def __init__(self, mode: Literal["last", "mean", "max"], *, bidirectional: bool | None = None) -> None:
        self.mode = _arrays.choice("mode", mode, _core.POOLS)
        self.bidirectional = None if bidirectional is None else _arrays.flag("bidirectional", bidirectional)
        super().__init__()

    def config(self) -> dict[str, Any]:
        """The arguments that make a layer of the same configuration."""
        return {"mode": self.mode, "bidirectional": self.bidirectional}

    @staticmethod
    def parameter_shapes(mode, *, bidirectional=None):
        """None."""
        return iter(())

    def _split(self, features):
        """The first feature of the reverse direction."""
        both = self.bidirectional
        network = self._network()
        if both is None and network is not None:
            both = network._reverse_arrives_at(self)
        if not both or self.mode != "last":
            return features
        if features % 2:
            raise _arrays.wrong(ValueError, "x", "an even number of features, from two directions", features)
        return features // 2

    def forward(
        self, x: ArrayLike, state: None = None, lengths: ArrayLike | None = None
    ) -> tuple[np.ndarray, None, Tape]:
        """y (N, F) of x (N, T, F).

        Parameters
        ----------
        x : array_like, (N, T, F)
            An array of float64 stays float64, whatever else becomes float32.
        state : None
            There is none; the argument is part of the protocol.
        lengths : array_like of int, (N,), optional
            Valid steps of each row, 0 to T; None: all T. Later ones are never read.

        Returns
        -------
        y : ndarray, (N, F)
        state : None
        tape : Tape
        """
        is_double = isinstance(x, np.ndarray) and x.dtype == np.float64
        x = _arrays.steps("x", x, _arrays.DTYPES["float64" if is_double else "float32"], None)
        _arrays.absent("state", state, "Pool has none")
        N, T, F = x.shape
        lengths = _arrays.lengths(lengths, N, T)
        split = self._split(F)
        y = np.empty((N, F), x.dtype)
        _core.pool_forward(self.mode, split, x, lengths, y)
        return y, None, Tape(self, (x, lengths, split))

    def backward(
        self,
        tape: Tape,
        dy: ArrayLike | None,
        dstate: None = None,
        grads: dict[str, np.ndarray] | None = None,
        need_dx: bool = True,
    ) -> tuple[np.ndarray | None, None, dict[str, np.ndarray]]:
        """dx (N, T, F) of dy (N, F).

        Parameters
        ----------
        tape : Tape
            From `forward` of this layer. It is used up.
        dy : array_like, (N, F)
            Gradient of the loss with respect to y.
        dstate : None
        grads : dict, optional
            An empty one: there are no parameters.
        need_dx : bool, default True
            False: dx is None and is not computed.

        Returns
        -------
        dx : ndarray, (N, T, F)
            Zero beyond the lengths.
        dstate : None
        grads : dict
        """
        x, lengths, split = look(tape, self)
        dy = _arrays.of_shape("dy", dy, x.dtype, (x.shape[0], x.shape[2]))
        _arrays.absent("dstate", dstate, "Pool has no state")
        grads = self._gradients(grads)
        tape.take()
        if not need_dx:
            return None, None, grads
        dx = np.empty(x.shape, x.dtype)
        _core.pool_backward(self.mode, split, x, lengths, dy, dx)
        return dx, None, grads


class Ensemble(Network):
    """Layers side by side: each takes the same x, and y is the mean of what they give.

    The mean of networks that were trained from different starting weights errs less than each of them. To train them
    one by one, do it before they join: their parameters then move into the one buffer of the ensemble, which is a layer
    like any other, and can be trained as a whole too.

    Parameters
    ----------
    layers : sequence of Layer
        At least one, usually networks; all of the same sizes, axes and dtype.

    Examples
    --------
    >>> import numpy as np, clstm
    >>> from clstm.layers import Ensemble
    >>> members = [clstm.Network([clstm.LSTM(1, 4, rng=k), clstm.Pool("last")]) for k in range(3)]
    >>> x = np.ones((2, 5, 1), np.float32)
    >>> mean = sum(member(x) for member in members) / 3
    >>> bool(np.allclose(Ensemble(members)(x), mean))
    True
    """

    def __repr__(self):
        return f"Ensemble([{', '.join(map(repr, self.layers))}])"

    def _follow(self):
        """All members fit the first; what it is, the ensemble is."""
        first = self.layers[0]
        for name in ("input_size", "output_size", "axes", "removes_time", "takes_indices", "bidirectional"):
            for k, layer in enumerate(self.layers):
                expected, got = getattr(first, name), getattr(layer, name)
                if got != expected:
                    raise _arrays.wrong(ValueError, f"layers[{k}].{name}", f"{expected!r} as layers[0] has", repr(got))
            if name != "bidirectional":  # a property of networks
                setattr(self, name, getattr(first, name))

    @property
    def bidirectional(self):
        """Whether half of what the members give was computed backward in time."""
        return self.layers[0].bidirectional

    def _reverse_arrives_at(self, target):
        outer = self._network()
        return outer is not None and outer._reverse_arrives_at(self)

    def infer(
        self, x: ArrayLike, state: list[Any] | None = None, lengths: ArrayLike | None = None
    ) -> tuple[np.ndarray, list[Any]]:
        """y, and the list of the states of the members."""
        x, state, lengths = self._checked(x, state, lengths)
        outputs, states = [], []
        for k, layer in enumerate(self.layers):
            with _in_layer(k, layer):
                y, after = layer.infer(x, state[k], lengths)
            outputs.append(y)
            states.append(after)
        return mean_of(outputs), states

    def forward(
        self, x: ArrayLike, state: list[Any] | None = None, lengths: ArrayLike | None = None
    ) -> tuple[np.ndarray, list[Any], Tape]:
        """The same, and a tape for `backward`."""
        x, state, lengths = self._checked(x, state, lengths)
        outputs, states, tapes = [], [], []
        for k, layer in enumerate(self.layers):
            with _in_layer(k, layer):
                y, after, tape = layer.forward(x, state[k], lengths)
            outputs.append(y)
            states.append(after)
            tapes.append(tape)
        return mean_of(outputs), states, Tape(self, (tapes, outputs[0].shape, shapes_in(states)))

    def _run_back(self, tapes, dy, dstate, grads, need_dx):
        dy = dy / len(self.layers)
        values = iter([grads[name] for name in self._shapes])
        options = {} if need_dx else {"need_dx": False}
        parts = []
        for k, layer in enumerate(self.layers):
            own = {name: next(values) for name in layer._shapes}
            with _in_layer(k, layer):
                part, dstate[k], _ = layer.backward(tapes[k], dy, dstate[k], own, **options)
            parts.append(part)
        return (None if parts[0] is None else sum(parts[1:], parts[0])), dstate, grads


def mean_of(arrays):
    """The mean of arrays of one shape, summed in their order."""
    return sum(arrays[1:], arrays[0]) / len(arrays)


# Layers without memory compute the valid steps only: they are put side by side, and the results put in their places.


def valid_steps(lengths, shape):
    """Mask of the steps (N, T) that are no padding; None if all are valid or if there is no time axis."""
    if len(shape) == 1:
        _arrays.absent("lengths", lengths, "x has no time axis")
        return None
    lengths = _arrays.lengths(lengths, *shape)
    if lengths is None or (lengths == shape[1]).all():
        return None
    return np.arange(shape[1]) < lengths[:, None]


def rows_of(x, valid):
    """The features at all valid steps with three axes: (N, T, F), (N, 1, F) or (1, valid steps, F)."""
    if valid is not None:
        return x[valid][None]
    return x if x.ndim == 3 else x[:, None]


def placed(rows, valid, shape):
    """`rows_of` undone: an array of this shape, zero at steps that are not valid."""
    return rows.reshape(shape) if valid is None else scattered(rows[0], valid)


def scattered(rows, valid):
    """Rows (valid steps, F) at their places in (N, T, F), zero elsewhere."""
    found = np.zeros((*valid.shape, rows.shape[-1]), rows.dtype)
    found[valid] = rows
    return found
