"""AttentionPool: a weighted mean of a sequence whose weights are learned."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from . import _arrays, _core
from ._steps import placed, rows_of, valid_steps
from .init import glorot_uniform
from .layer import Tape, _DrawnLayer, look

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, DTypeLike


class AttentionPool(_DrawnLayer):
    """One vector for a whole sequence: a weighted mean of its valid steps, whose weights the steps themselves decide.

    For each step t, with the score of Bahdanau, Cho and Bengio (2015), in which a vector v that is learned takes the
    place of a query (Yang et al. 2016)::

        u_t = tanh(W x_t + b)     a_t = exp(v . u_t) / sum over s of exp(v . u_s)     y = sum over t of a_t x_t

    Parameters
    ----------
    input_size : int
        F, the features of x and of y.
    attention_size : int
        A, the length of u_t.
    dtype : str or dtype, default "float32"
        "float32" or "float64".
    rng : int or numpy.random.Generator, optional
        Seed or generator for the starting weights; None: fresh entropy.

    Attributes
    ----------
    input_size, attention_size, output_size : int
        output_size is input_size.
    dtype : numpy.dtype

    Raises
    ------
    TypeError, ValueError
        Naming the argument, what was expected and what came.

    Notes
    -----
    Parameters: ``weight`` (A, F) and ``vector`` (A,), which start Glorot uniform (Glorot and Bengio 2010), and ``bias``
    (A,), which starts at zero.

    A sequence of length 0 gives zeros. Results are the same bits for every number of threads, and a row does not depend
    on the rest of the batch.

    Examples
    --------
    >>> import numpy as np, clstm
    >>> pool = clstm.AttentionPool(4, 8, rng=0)
    >>> x = np.random.default_rng(0).normal(size=(2, 5, 4))
    >>> pool(x, lengths=[5, 3]).shape
    (2, 4)
    >>> weights = pool.weights(x, lengths=[5, 3])
    >>> weights.shape, bool(np.allclose(weights.sum(axis=1), 1))
    ((2, 5), True)
    >>> weights[1, 3:]
    array([0., 0.], dtype=float32)
    """

    axes = "sequence"
    removes_time = True
    _positional = ("input_size", "attention_size")

    def __init__(
        self,
        input_size: int,
        attention_size: int,
        *,
        dtype: DTypeLike = "float32",
        rng: int | np.random.Generator | None = None,
    ) -> None:
        self.input_size = self.output_size = _arrays.size("input_size", input_size)
        self.attention_size = _arrays.size("attention_size", attention_size)
        self.dtype = _arrays.dtype(dtype)
        super().__init__(dtype, rng)

    def config(self) -> dict[str, Any]:
        """The arguments that make a layer of the same configuration."""
        return {
            "input_size": self.input_size,
            "attention_size": self.attention_size,
            "dtype": self.dtype.name,
        }

    @staticmethod
    def parameter_shapes(input_size, attention_size, *, dtype="float32"):
        """The names and shapes of the parameters."""
        size = _arrays.size("attention_size", attention_size)
        yield "weight", (size, _arrays.size("input_size", input_size))
        yield "bias", (size,)
        yield "vector", (size,)

    def _draw(self, rng, parameters):
        parameters["weight"][...] = glorot_uniform(rng, parameters["weight"].shape)
        parameters["bias"][...] = 0
        parameters["vector"][...] = glorot_uniform(rng, (1, self.attention_size))[0]

    def _run(self, x, state, lengths):
        """y, the weights, and what `backward` needs besides them."""
        x = _arrays.steps("x", x, self.dtype, self.input_size)
        _arrays.absent("state", state, "AttentionPool has none")
        N, T, F = x.shape
        lengths = _arrays.lengths(lengths, N, T)
        valid = valid_steps(lengths, (N, T))
        rows, views = rows_of(x, valid), self._views
        u = np.empty((*rows.shape[:-1], self.attention_size), self.dtype)
        scores = np.empty((*rows.shape[:-1], 1), self.dtype)
        if rows.size:
            _core.dense_forward(views["weight"], views["bias"], rows, u)
            u = _core.activate("tanh", u)
            _core.dense_forward(views["vector"][np.newaxis], None, u, scores)
        y, weights = np.empty((N, F), self.dtype), np.empty((N, T), self.dtype)
        _core.attention_forward(placed(scores, valid, (N, T, 1)), x, lengths, weights, y)
        return y, weights, (x, lengths, valid, rows, u)

    def weights(self, x: ArrayLike, lengths: ArrayLike | None = None) -> np.ndarray:
        """How much each step counts, for looking at it.

        Parameters
        ----------
        x : array_like, (N, T, F)
        lengths : array_like of int, (N,), optional
            As in `forward`.

        Returns
        -------
        a : ndarray, (N, T)
            Positive, with the sum 1 in each row, but zero beyond the lengths.
        """
        return self._run(x, None, lengths)[1]

    def forward(
        self, x: ArrayLike, state: None = None, lengths: ArrayLike | None = None
    ) -> tuple[np.ndarray, None, Tape]:
        """y (N, F) of x (N, T, F).

        Parameters
        ----------
        x : array_like, (N, T, F)
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
        y, weights, saved = self._run(x, state, lengths)
        return y, None, Tape(self, (weights, *saved))

    def backward(
        self,
        tape: Tape,
        dy: ArrayLike | None,
        dstate: None = None,
        grads: dict[str, np.ndarray] | None = None,
        need_dx: bool = True,
    ) -> tuple[np.ndarray | None, None, dict[str, np.ndarray]]:
        """dx (N, T, F) of dy (N, F); adds to the gradients of weight, bias and vector.

        With da_t = dy . x_t and the scores s_t = v . u_t::

            ds_t = a_t (da_t - sum over r of a_r da_r)     dz_t = ds_t v (1 - u_t^2)     dx_t = a_t dy + W^T dz_t

        Parameters
        ----------
        tape : Tape
            From `forward` of this layer, whose parameters have not been changed since. It is used up.
        dy : array_like, (N, F)
            Gradient of the loss with respect to y.
        dstate : None
        grads : dict of ndarray, optional
            The keys of `parameters`; gradients are added to these arrays. None: to fresh zeros.
        need_dx : bool, default True
            False: dx is None and is not computed.

        Returns
        -------
        dx : ndarray, (N, T, F)
            Zero beyond the lengths.
        dstate : None
        grads : dict of ndarray
        """
        weights, x, lengths, valid, rows, u = look(tape, self)
        dy = _arrays.of_shape("dy", dy, self.dtype, (x.shape[0], self.input_size))
        _arrays.absent("dstate", dstate, "AttentionPool has no state")
        grads = self._gradients(grads)
        tape.take()
        dscores = np.empty(weights.shape, self.dtype)
        dx = np.empty(x.shape, self.dtype) if need_dx else None
        _core.attention_backward(weights, x, lengths, dy, dscores, dx)
        drows = np.zeros(rows.shape, self.dtype) if need_dx else None
        if rows.size:
            dscores = rows_of(dscores[..., np.newaxis], valid)
            dz, vector = np.empty(u.shape, self.dtype), self._views["vector"][np.newaxis]
            _core.dense_backward(vector, u, dscores, dz, grads["vector"][np.newaxis], None)
            dz *= 1 - u * u
            _core.dense_backward(self._views["weight"], rows, dz, drows, grads["weight"], grads["bias"])
        if need_dx:
            dx += placed(drows, valid, x.shape)
        return dx, None, grads
