"""Embedding: a vector for each symbol."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from . import _arrays, _core
from ._steps import scattered, valid_steps
from .layer import LATER, Tape, _DrawnLayer, look

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, DTypeLike


class Vectors:
    """The vectors of symbols which nobody has looked up: how a network hands them on to a recurrent layer.

    That multiplies each vector once, instead of once for each step that has its symbol, and gives the gradient back
    by symbol, in the same form.

    Parameters
    ----------
    vectors : ndarray, (num_embeddings, dim)
    symbols : ndarray of int64, (N, T)
    """

    __slots__ = ("symbols", "vectors")

    def __init__(self, vectors, symbols):
        self.vectors, self.symbols = vectors, symbols

    @property
    def shape(self):
        """That of the array they stand for, (N, T, dim)."""
        return (*self.symbols.shape, self.vectors.shape[1])


class Embedding(_DrawnLayer):
    """A vector for each of a number of symbols.

    Parameters
    ----------
    num_embeddings : int
        How many symbols there are; indices are 0 to num_embeddings - 1.
    dim : int
        Size of a vector.
    padding_index : int, optional
        A symbol that means nothing: its vector starts at zero, and gets no gradient here, so that training leaves it as
        it is, as `padding_idx` of PyTorch. None: there is none.
    dtype : str or dtype, default "float32"
        "float32" or "float64".
    rng : int or numpy.random.Generator, optional
        Seed or generator for the starting weights; None: fresh entropy.

    Notes
    -----
    Parameter: ``weight`` (num_embeddings, dim), which starts uniform in +-0.05, as in Keras.

    Vectors that are there already are taken by `of`. To share them with the output layer, see `tied` of `Network`. To
    keep them as they are during training, let the optimiser have a group with the rate 0 for them.

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
        padding_index: int | None = None,
        dtype: DTypeLike = "float32",
        rng: int | np.random.Generator | None = None,
    ) -> None:
        self.num_embeddings = _arrays.size("num_embeddings", num_embeddings)
        self.dim = self.output_size = _arrays.size("dim", dim)
        self.padding_index = (
            None if padding_index is None else _arrays.whole("padding_index", padding_index, self.num_embeddings)
        )
        self.dtype = _arrays.dtype(dtype)
        super().__init__(dtype, rng)

    def config(self) -> dict[str, Any]:
        """The arguments that make a layer of the same configuration."""
        return {
            "num_embeddings": self.num_embeddings,
            "dim": self.dim,
            **({} if self.padding_index is None else {"padding_index": self.padding_index}),
            "dtype": self.dtype.name,
        }

    @classmethod
    def of(cls, vectors: ArrayLike, *, padding_index: int | None = None, dtype: DTypeLike = "float32") -> Embedding:
        """An embedding that starts with given vectors, such as those that another model has learned.

        Parameters
        ----------
        vectors : array_like, (num_embeddings, dim)
            Finite numbers, which are copied; also that of `padding_index` is taken as it is.
        padding_index, dtype
            As for `Embedding`.

        Returns
        -------
        Embedding

        Examples
        --------
        >>> import clstm
        >>> embedding = clstm.Embedding.of([[0.0, 0.0], [1.0, 2.0], [3.0, 4.0]], padding_index=0)
        >>> embedding
        Embedding(3, 2, padding_index=0)
        >>> embedding([[2, 0]])
        array([[[3., 4.],
                [0., 0.]]], dtype=float32)
        """
        dtype = _arrays.dtype(dtype)
        with np.errstate(over="ignore"):  # is found as infinity below
            vectors = _arrays.real("vectors", vectors, dtype)
        if vectors.ndim != 2 or 0 in vectors.shape:
            form = "shape (num_embeddings, dim) with at least 1 of each"
            raise _arrays.wrong(ValueError, "vectors", form, f"shape {vectors.shape}")
        _arrays.finite("vectors", vectors)
        found = cls(*vectors.shape, padding_index=padding_index, dtype=dtype, rng=LATER)
        found._views["weight"][...] = vectors
        return found

    @staticmethod
    def parameter_shapes(num_embeddings, dim, *, padding_index=None, dtype="float32"):
        """The names and shapes of the parameters."""
        yield "weight", (_arrays.size("num_embeddings", num_embeddings), _arrays.size("dim", dim))

    def _draw(self, rng, parameters):
        parameters["weight"][...] = rng.uniform(-0.05, 0.05, parameters["weight"].shape)
        if self.padding_index is not None:
            parameters["weight"][self.padding_index] = 0

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

    def _refer(self, x, state, lengths):
        """`forward`, but y may be `Vectors`: where the symbols are few, so that multiplying all of them costs less."""
        if 2 * self.num_embeddings > x.size:
            return self.forward(x, state, lengths)
        _arrays.absent("state", state, "Embedding has none")
        valid = valid_steps(lengths, x.shape)
        symbols = _arrays.contiguous(x).astype(np.int64, copy=False)
        # As unsigned numbers, negative ones are the largest
        if valid is not None or symbols.view(np.uint64).max() >= self.num_embeddings:
            _arrays.in_range("x", x, self.num_embeddings, "an index", True if valid is None else valid)
        y = Vectors(self._views["weight"], symbols)
        return y, None, Tape(self, (symbols, valid, y.shape))

    def _flat_run(self, x, state, sequences, keep):
        """y, state and tape of sequences side by side in x: one long row."""
        return self.forward(x, state)

    def backward(
        self,
        tape: Tape,
        dy: ArrayLike | None,
        dstate: None = None,
        grads: dict[str, np.ndarray] | None = None,
        need_dx: bool = True,
    ) -> tuple[np.ndarray | None, None, dict[str, np.ndarray]]:
        """Adds dy[n, t] to row x[n, t] of the gradient of the weight, but for `padding_index`.

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
        if type(dy) is not Vectors:
            dy = _arrays.of_shape("dy", dy, self.dtype, shape)
        _arrays.absent("dstate", dstate, "Embedding has no state")
        grads = self._gradients(grads)
        tape.take()
        gradient, padding = grads["weight"], self.padding_index
        before = None if padding is None else gradient[padding].copy()
        if type(dy) is Vectors:
            gradient += dy.vectors
        elif index.size:
            _core.embedding_backward(index, dy if valid is None else dy[valid], gradient)
        if padding is not None:
            gradient[padding] = before
        return None, None, grads
