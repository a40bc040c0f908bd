"""Attention: for each query a weighted mean of a memory, whose weights the query decides."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from . import _arrays, _core
from ._steps import placed, rows_of
from .init import glorot_uniform
from .layer import Tape, _DrawnLayer, look
from .sequences import prefix

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, DTypeLike

SCORES = ("dot", "general", "additive")


class Memory(NamedTuple):
    """What queries are compared with, and what is worked out of it once for all queries."""

    values: np.ndarray  # (N, S, M)
    keys: np.ndarray  # (N, S, K)
    lengths: np.ndarray | None
    valid: np.ndarray | None  # mask of the valid steps; None: all


class Saved(NamedTuple):
    """On the tape."""

    memory: Memory
    query: np.ndarray
    projected: np.ndarray
    lengths: np.ndarray | None
    valid: np.ndarray | None
    weights: np.ndarray


class Attention(_DrawnLayer):
    """For each query a weighted mean of a memory, as a decoder looks at the states of an encoder.

    With the query q_t and the steps m_s of the memory of the same row::

        a_ts = exp(e_ts) / sum over r of exp(e_tr)     context_t = sum over s of a_ts m_s

        "dot"       e_ts = q_t . m_s                       Luong, Pham and Manning (2015)
        "general"   e_ts = (W q_t) . m_s                   the same
        "additive"  e_ts = v . tanh(W_q q_t + W_m m_s)     Bahdanau, Cho and Bengio (2015)

    Parameters
    ----------
    query_size, memory_size : int
        Q and M, the features of queries and of the memory. For "dot" they are the same.
    attention_size : int, optional
        A, the length of v, for "additive" alone; None: query_size.
    score : str, default "dot"
        "dot", "general" or "additive".
    scale : bool, default False
        For "dot" alone, whether scores are divided by sqrt(Q), as Vaswani et al. (2017) do.
    dtype : str or dtype, default "float32"
        "float32" or "float64".
    rng : int or numpy.random.Generator, optional
        Seed or generator for the starting weights; None: fresh entropy.

    Attributes
    ----------
    query_size, memory_size : int
    attention_size : int or None
    input_size, output_size : int
        Q and M.
    score : str
    scale : bool
    dtype : numpy.dtype

    Raises
    ------
    TypeError, ValueError
        Naming the argument, what was expected and what came.

    Notes
    -----
    Parameters: of "general" ``weight`` (M, Q); of "additive" ``weight_query`` (A, Q), ``weight_memory`` (A, M) and
    ``vector`` (A,). They start Glorot uniform (Glorot and Bengio 2010). "dot" has none.

    Steps beyond the lengths are never read. A query beyond its length, or over a memory of length 0, has zero weights,
    a zero context and no gradient. The tanh of "additive" are computed again in `backward`, so that nothing of size
    (N, T, S, A) ever exists. Results are the same bits for every number of threads, and a row does not depend on the
    rest of the batch.

    It takes two sequences, so that it cannot stand in a `Network`; `EncoderDecoder` has one inside.

    Examples
    --------
    >>> import numpy as np, clstm
    >>> attention = clstm.Attention(4, 6, score="general", rng=0)
    >>> rng = np.random.default_rng(0)
    >>> query, memory = rng.normal(size=(2, 3, 4)), rng.normal(size=(2, 5, 6))
    >>> context, weights, tape = attention.forward(query, memory, lengths=[5, 2])
    >>> context.shape, weights.shape
    ((2, 3, 6), (2, 3, 5))
    >>> weights[1, 0].round(2)
    array([0.02, 0.98, 0.  , 0.  , 0.  ], dtype=float32)
    >>> dquery, dmemory, grads = attention.backward(tape, np.ones_like(context))
    >>> dquery.shape, dmemory.shape, list(grads)
    ((2, 3, 4), (2, 5, 6), ['weight'])
    """

    axes = "sequence"
    bidirectional = False
    _positional = ("query_size", "memory_size")

    def __init__(
        self,
        query_size: int,
        memory_size: int,
        attention_size: int | None = None,
        *,
        score: str = "dot",
        scale: bool = False,
        dtype: DTypeLike = "float32",
        rng: int | np.random.Generator | None = None,
    ) -> None:
        self.query_size = self.input_size = _arrays.size("query_size", query_size)
        self.memory_size = self.output_size = _arrays.size("memory_size", memory_size)
        self.score = _arrays.choice("score", score, SCORES)
        self.attention_size = attention_size_of(score, attention_size, self.query_size)
        self.scale = _arrays.flag("scale", scale)
        check_dot(score, self.query_size, self.memory_size)
        if self.scale and score != "dot":
            raise _arrays.wrong(ValueError, "scale", f'False, because the score is "{score}" and not "dot"', True)
        self.dtype = _arrays.dtype(dtype)
        super().__init__(dtype, rng)

    def config(self) -> dict[str, Any]:
        """The arguments that make a layer of the same configuration."""
        return {
            "query_size": self.query_size,
            "memory_size": self.memory_size,
            "attention_size": self.attention_size,
            "score": self.score,
            "scale": self.scale,
            "dtype": self.dtype.name,
        }

    @staticmethod
    def parameter_shapes(query_size, memory_size, attention_size=None, *, score="dot", scale=False, dtype="float32"):
        """The names and shapes of the parameters."""
        Q, M = _arrays.size("query_size", query_size), _arrays.size("memory_size", memory_size)
        if _arrays.choice("score", score, SCORES) == "general":
            yield "weight", (M, Q)
        A = attention_size_of(score, attention_size, Q)
        if score == "additive":
            yield "weight_query", (A, Q)
            yield "weight_memory", (A, M)
            yield "vector", (A,)

    def _draw(self, rng, parameters):
        for name, values in parameters.items():
            shape = values.shape if name != "vector" else (1, values.size)
            values[...] = glorot_uniform(rng, shape).reshape(values.shape)

    # Parts, which a decoder calls by themselves: the memory stays, queries come one after another

    def _remember(self, memory, lengths):
        """The `Memory` of an array."""
        memory = _arrays.steps("memory", memory, self.dtype, self.memory_size)
        N, S = memory.shape[:2]
        lengths = _arrays.lengths(lengths, N, S, of="memory")
        valid = None if lengths is None or (lengths == S).all() else prefix(lengths, S)
        keys = self._projected("weight_memory", memory, valid) if self.score == "additive" else memory
        return Memory(memory, keys, lengths, valid)

    def _attend(self, query, memory, lengths=None):
        """The context, and all that backward needs."""
        query = _arrays.steps("query", query, self.dtype, self.query_size)
        N, T = query.shape[:2]
        if N != len(memory.values):
            raise _arrays.wrong(ValueError, "query", f"{len(memory.values)} rows, as the memory has", N)
        lengths = _arrays.lengths(lengths, N, T, "query_lengths", "query")
        valid = None if lengths is None or (lengths == T).all() else prefix(lengths, T)
        projected = query
        if self.score != "dot":
            projected = self._projected("weight" if self.score == "general" else "weight_query", query, valid)
        context = np.empty((N, T, self.memory_size), self.dtype)
        weights = np.empty((N, T, memory.values.shape[1]), self.dtype)
        _core.attend_forward(*self._call(projected, memory, lengths), weights, context)
        return context, Saved(memory, query, projected, lengths, valid, weights)

    def _call(self, projected, memory, lengths):
        """The first arguments of both calls of the core."""
        score = "additive" if self.score == "additive" else "product"
        scale = self.query_size**-0.5 if self.scale else 1.0
        vector = self._views.get("vector")
        return score, scale, projected, memory.keys, memory.values, vector, lengths, memory.lengths

    def _projected(self, name, array, valid):
        """The product of a weight with the valid steps, zero elsewhere."""
        weight, rows = self._views[name], rows_of(array, valid)
        found = np.empty((*rows.shape[:-1], len(weight)), self.dtype)
        if rows.size:
            _core.dense_forward(weight, None, rows, found)
        return placed(found, valid, (*array.shape[:-1], len(weight)))

    def _projected_back(self, name, array, valid, dprojected, grads, need_dx):
        """Gradient of the array; adds to that of the weight."""
        rows = rows_of(array, valid)
        darray = np.empty(rows.shape, self.dtype) if need_dx else None
        if rows.size:
            dprojected = np.ascontiguousarray(rows_of(dprojected, valid))
            _core.dense_backward(self._views[name], rows, dprojected, darray, grads[name], None)
        return placed(darray, valid, array.shape) if need_dx else None

    # The protocol

    def __call__(  # type: ignore[override]
        self,
        query: ArrayLike,
        memory: ArrayLike,
        lengths: ArrayLike | None = None,
        *,
        query_lengths: ArrayLike | None = None,
    ) -> np.ndarray:
        """The context alone; arguments as of `forward`."""
        return self.infer(query, memory, lengths, query_lengths=query_lengths)[0]

    def infer(  # type: ignore[override]
        self,
        query: ArrayLike,
        memory: ArrayLike,
        lengths: ArrayLike | None = None,
        *,
        query_lengths: ArrayLike | None = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """`forward` without a tape: the context and the weights."""
        context, saved = self._attend(query, self._remember(memory, lengths), query_lengths)
        return context, saved.weights

    def forward(  # type: ignore[override]
        self,
        query: ArrayLike,
        memory: ArrayLike,
        lengths: ArrayLike | None = None,
        *,
        query_lengths: ArrayLike | None = None,
    ) -> tuple[np.ndarray, np.ndarray, Tape]:
        """The context of each query.

        Parameters
        ----------
        query : array_like, (N, T, Q)
        memory : array_like, (N, S, M)
        lengths : array_like of int, (N,), optional
            Valid steps of each row of the memory, 0 to S; None: all S.
        query_lengths : array_like of int, (N,), optional
            Those of the queries, 0 to T; None: all T.

        Returns
        -------
        context : ndarray, (N, T, M)
        weights : ndarray, (N, T, S)
            Of each valid query positive with the sum 1, but zero beyond the length of the memory. They belong to the
            tape: do not change them before backward.
        tape : Tape
        """
        context, saved = self._attend(query, self._remember(memory, lengths), query_lengths)
        return context, saved.weights, Tape(self, saved)

    def backward(  # type: ignore[override]
        self,
        tape: Tape,
        dcontext: ArrayLike,
        dweights: ArrayLike | None = None,
        grads: dict[str, np.ndarray] | None = None,
        need_dx: bool = True,
    ) -> tuple[np.ndarray | None, np.ndarray | None, dict[str, np.ndarray]]:
        """Exact gradients of everything.

        With da_ts = dcontext_t . m_s + dweights_ts, the scores have the gradient::

            de_ts = a_ts (da_ts - sum over r of a_tr da_tr)

        Parameters
        ----------
        tape : Tape
            From `forward` of this layer, whose parameters have not been changed since. It is used up.
        dcontext : array_like, (N, T, M)
            Gradient of the loss with respect to the context; not read beyond the lengths of the queries.
        dweights : array_like, (N, T, S), optional
            That with respect to the weights, for a loss that looks at them; not read beyond the lengths. None: zero.
        grads : dict of ndarray, optional
            The keys of `parameters`; gradients are added to these arrays. None: to fresh zeros.
        need_dx : bool, default True
            False: dquery and dmemory are None.

        Returns
        -------
        dquery : ndarray, (N, T, Q)
        dmemory : ndarray, (N, S, M)
            Both zero beyond the lengths.
        grads : dict of ndarray
        """
        saved = look(tape, self)
        dcontext = _arrays.of_shape("dcontext", dcontext, self.dtype, (*saved.query.shape[:2], self.memory_size))
        if dweights is not None:
            dweights = _arrays.of_shape("dweights", dweights, self.dtype, saved.weights.shape)
        grads = self._gradients(grads)
        tape.take()
        return self._back(saved, dcontext, dweights, grads, need_dx)

    def _back(self, saved, dcontext, dweights, grads, need_dx):
        memory = saved.memory
        dprojected = np.empty(saved.projected.shape, self.dtype) if need_dx or self.score != "dot" else None
        dvalues = dkeys = np.empty(memory.values.shape, self.dtype) if need_dx else None  # one gets the sum of both
        if self.score == "additive":
            dkeys = np.empty(memory.keys.shape, self.dtype)
        call = self._call(saved.projected, memory, saved.lengths)
        given = saved.weights, dcontext, dweights
        _core.attend_backward(*call, *given, dprojected, dkeys, dvalues, grads.get("vector"))
        if self.score != "dot":
            name = "weight" if self.score == "general" else "weight_query"
            dprojected = self._projected_back(name, saved.query, saved.valid, dprojected, grads, need_dx)
        if self.score == "additive":
            dkeys = self._projected_back("weight_memory", memory.values, memory.valid, dkeys, grads, need_dx)
            if need_dx:
                dvalues += dkeys
        return dprojected if need_dx else None, dvalues, grads


def attention_size_of(score, attention_size, query_size):
    """A, which only additive scores have."""
    if score != "additive":
        _arrays.absent("attention_size", attention_size, f'the score is "{score}" and not "additive"')
        return None
    return query_size if attention_size is None else _arrays.size("attention_size", attention_size)


def check_dot(score, query_size, memory_size):
    """Raises for a product of vectors that are not equally long."""
    if score == "dot" and query_size != memory_size:
        expected = f'{query_size}, as query_size, because the score is "dot" ("general" takes any)'
        raise _arrays.wrong(ValueError, "memory_size", expected, memory_size)
