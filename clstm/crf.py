"""CRF: a distribution over whole paths of tags, in the place of one over the tags of each step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from . import _arrays, _core
from ._steps import placed, rows_of, valid_steps
from .layer import Tape, _DrawnLayer, look
from .sequences import is_list

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import ArrayLike, DTypeLike

START_SCALE = 0.1  # parameters start evenly between -0.1 and 0.1


class CRF(_DrawnLayer):
    """A linear-chain conditional random field, the last layer of a network that gives each step a tag.

    What arrives, a score for each tag at each step, becomes a distribution over whole paths of tags (Lafferty, McCallum
    and Pereira 2001; behind an LSTM: Huang, Xu and Yu 2015, Lample et al. 2016). It knows which tag likes to follow
    which. The score of a path y_0 .. y_{T-1}, and its probability, are::

        s(y) = start[y_0] + sum_t emissions[t, y_t] + sum_{t>0} transitions[y_{t-1}, y_t] + end[y_{T-1}]
        p(y) = exp(s(y)) / Z          Z = sum over all paths of exp(s)

    As a layer it hands the emissions through unchanged, and gradients too: `clstm.losses.CRFLoss`, for a trainer
    ``loss="crf"``, is what trains it, `decode` and `marginals` are what makes predictions of the emissions.

    Parameters
    ----------
    num_tags : int
        C, the features of the emissions.
    forbidden : iterable of pairs (from, to), optional
        Tags that never follow each other: each is a number, 0 to C-1, or "start" for `from`, where `to` may not be the
        first tag, or "end" for `to`, where `from` may not be the last. Their scores are -infinity, whatever the
        parameters say. At least one tag has to stay a first one, and one a last one.
    dtype : str or dtype, default "float32"
        "float32" or "float64".
    rng : int or numpy.random.Generator, optional
        Seed or generator for the starting parameters; None: fresh entropy.

    Attributes
    ----------
    num_tags, input_size, output_size : int
        All are C.
    forbidden : list of [from, to], or None
    dtype : numpy.dtype

    Raises
    ------
    TypeError, ValueError
        Naming the argument, what was expected and what came.

    Notes
    -----
    Parameters: ``transitions`` (C, C), by the tag before and the tag after, ``start`` (C,) and ``end`` (C,). They start
    evenly spread between -0.1 and 0.1, those of what is forbidden at 0.

    Everything is computed in log space and in double precision, and stays exact where scores are far apart. Results are
    the same bits for every number of threads, and a row does not depend on the rest of the batch.

    Examples
    --------
    Noisy observations of a machine that never goes from off (0) to hot (2) or back without being on (1):

    >>> import numpy as np, clstm
    >>> crf = clstm.CRF(3, forbidden=[(0, 2), (2, 0), ("start", 2)], dtype="float64", rng=0)
    >>> emissions = np.array([[[1.0, 0.0, 3.0], [0.0, 0.0, 2.0], [0.0, 1.0, 2.0]]])
    >>> emissions.argmax(axis=2)
    array([[2, 2, 2]])
    >>> crf.decode(emissions)
    [array([1, 2, 2])]
    >>> crf.marginals(emissions)[0, 0].round(2)
    array([0.3, 0.7, 0. ])
    >>> crf.log_likelihood(emissions, [[1, 2, 2]]).round(2)
    array([-0.81])
    """

    axes = "sequence"
    _positional = ("num_tags",)

    def __init__(
        self,
        num_tags: int,
        *,
        forbidden: Iterable[tuple[Any, Any]] | None = None,
        dtype: DTypeLike = "float32",
        rng: int | np.random.Generator | None = None,
    ) -> None:
        self.num_tags = self.input_size = self.output_size = _arrays.size("num_tags", num_tags)
        self.forbidden = pairs("forbidden", forbidden, self.num_tags)
        self._masks = None if self.forbidden is None else masks_of(self.forbidden, self.num_tags)
        super().__init__(dtype, rng)

    def config(self) -> dict[str, Any]:
        """The arguments that make a layer of the same configuration."""
        return {"num_tags": self.num_tags, "forbidden": self.forbidden, "dtype": self.dtype.name}

    @staticmethod
    def parameter_shapes(num_tags, *, forbidden=None, dtype="float32"):
        """The names and shapes of the parameters."""
        C = _arrays.size("num_tags", num_tags)
        yield "transitions", (C, C)
        yield "start", (C,)
        yield "end", (C,)

    def _draw(self, rng, parameters):
        for k, values in enumerate(parameters.values()):
            values[...] = rng.uniform(-START_SCALE, START_SCALE, values.shape)
            if self._masks is not None:
                values[self._masks[k]] = 0

    def _scores(self):
        """Transitions, start and end, -infinity where they are forbidden."""
        values = tuple(self._views.values())
        if self._masks is None:
            return values
        never = self.dtype.type(-np.inf)
        return tuple(np.where(mask, never, own) for mask, own in zip(self._masks, values, strict=True))

    # As a layer

    def forward(
        self, x: ArrayLike, state: None = None, lengths: ArrayLike | None = None
    ) -> tuple[np.ndarray, None, Tape]:
        """y = x

        Parameters
        ----------
        x : array_like, (N, T, num_tags)
            Emissions.
        state : None
            There is none; the argument is part of the protocol.
        lengths : array_like of int, (N,), optional
            Valid steps of each row. Later ones are not read, and zero in y.

        Returns
        -------
        y : ndarray, (N, T, num_tags)
            x itself, if all steps are valid and the dtype is that of the layer.
        state : None
        tape : Tape
        """
        x = _arrays.steps("x", x, self.dtype, self.num_tags)
        _arrays.absent("state", state, "CRF has none")
        valid = valid_steps(lengths, x.shape[:2])
        return only_valid(x, valid), None, Tape(self, (valid, x.shape))

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
        """dx = dy; adds nothing: the gradients of the parameters come from the loss.

        Parameters
        ----------
        tape : Tape
            From `forward` of this layer. It is used up.
        dy : array_like, (N, T, num_tags)
            Gradient of the loss with respect to y; not read beyond the lengths.
        dstate : None
        grads : dict of ndarray, optional
            The keys of `parameters`, returned as they are. None: fresh zeros.
        need_dx : bool, default True
            False: dx is None.

        Returns
        -------
        dx : ndarray, (N, T, num_tags)
            Zero beyond the lengths.
        dstate : None
        grads : dict of ndarray
        """
        valid, shape = look(tape, self)
        dy = _arrays.of_shape("dy", dy, self.dtype, shape)
        _arrays.absent("dstate", dstate, "CRF has no state")
        grads = self._gradients(grads)
        tape.take()
        return only_valid(dy, valid) if need_dx else None, None, grads

    # As a distribution

    def _emissions(self, emissions, lengths):
        """Emissions (N, T, C) and lengths, and whether they came as a list."""
        if not is_list(emissions, 2):
            emissions = _arrays.contiguous(_arrays.steps("emissions", emissions, self.dtype, self.num_tags))
            return emissions, _arrays.lengths(lengths, *emissions.shape[:2]), False
        _arrays.absent("lengths", lengths, "emissions is a list, whose arrays have their own")
        parts = []
        for n, part in enumerate(emissions):
            part = _arrays.real(f"emissions[{n}]", part, self.dtype)
            if part.ndim != 2 or part.shape[1] != self.num_tags:
                raise _arrays.wrong(ValueError, f"emissions[{n}]", f"shape (T, {self.num_tags})", f"shape {part.shape}")
            parts.append(part)
        lengths = np.array([len(part) for part in parts], np.intp)
        return padded(parts, lengths, (self.num_tags,), self.dtype), lengths, True

    def decode(self, emissions: ArrayLike | list[np.ndarray], lengths: ArrayLike | None = None) -> list[np.ndarray]:
        """The most probable path of each row, by the algorithm of Viterbi (1967).

        Parameters
        ----------
        emissions : array_like, (N, T, num_tags), or list of (T_n, num_tags)
            What the network gives.
        lengths : array_like of int, (N,), optional
            Valid steps of each row, 0 to T; None: all T. Later ones are never read.

        Returns
        -------
        paths : list of ndarray of int, (T_n,)
            Of equally probable ones, that with the lowest last tag, of these that with the lowest before it, and so on.
        """
        return self.best(emissions, lengths)[0]

    def best(
        self, emissions: ArrayLike | list[np.ndarray], lengths: ArrayLike | None = None
    ) -> tuple[list[np.ndarray], np.ndarray]:
        """The paths of `decode`, and their scores.

        Parameters
        ----------
        emissions, lengths
            As for `decode`.

        Returns
        -------
        paths : list of ndarray of int, (T_n,)
        scores : ndarray of float64, (N,)
            s(y) of each; less `log_partition`, it is the logarithm of its probability. 0 for a row of length 0.
        """
        emissions, lengths, _ = self._emissions(emissions, lengths)
        paths, scores = np.empty(emissions.shape[:2], np.int64), np.empty(len(emissions))
        _core.crf_best(self._scores(), emissions, lengths, paths, scores)
        return cut(paths, lengths), scores

    def marginals(
        self, emissions: ArrayLike | list[np.ndarray], lengths: ArrayLike | None = None
    ) -> np.ndarray | list[np.ndarray]:
        """The probability of each tag at each step, over all paths.

        Parameters
        ----------
        emissions, lengths
            As for `decode`.

        Returns
        -------
        p : ndarray, (N, T, num_tags), or list of (T_n, num_tags)
            The sum over the tags of a step is 1; zero beyond the lengths. NaN where all paths of a row are forbidden.
            A list for a list.
        """
        emissions, lengths, listed = self._emissions(emissions, lengths)
        found = np.empty_like(emissions)
        _core.crf_marginals(self._scores(), emissions, lengths, found, None)
        return cut(found, lengths) if listed else found

    def log_partition(self, emissions: ArrayLike | list[np.ndarray], lengths: ArrayLike | None = None) -> np.ndarray:
        """log Z, of each row.

        Parameters
        ----------
        emissions, lengths
            As for `decode`.

        Returns
        -------
        log_z : ndarray of float64, (N,)
            0 for a row of length 0, -infinity where all paths are forbidden.
        """
        emissions, lengths, _ = self._emissions(emissions, lengths)
        found = np.empty(len(emissions))
        _core.crf_marginals(self._scores(), emissions, lengths, None, found)
        return found

    def log_likelihood(
        self,
        emissions: ArrayLike | list[np.ndarray],
        tags: ArrayLike | list[np.ndarray],
        lengths: ArrayLike | None = None,
    ) -> np.ndarray:
        """log p of given paths.

        Parameters
        ----------
        emissions, lengths
            As for `decode`.
        tags : array_like of int, (N, T), or list of (T_n,)
            0 to num_tags-1; not read beyond the lengths.

        Returns
        -------
        log_p : ndarray of float64, (N,)
            0 for a row of length 0, -infinity for a path that is forbidden, NaN where all are.
        """
        emissions, lengths, listed = self._emissions(emissions, lengths)
        tags = self._tags(tags, emissions.shape[:2], lengths, listed)
        rows = np.empty(len(emissions))
        _core.crf_loss(self._scores(), emissions, tags, lengths, gradient=False, rows=rows)
        return np.negative(rows, out=rows)

    def _tags(self, tags, shape, lengths, listed):
        """Paths as the core takes them."""
        if listed and not isinstance(tags, (list, tuple)):
            raise _arrays.wrong(TypeError, "tags", "a list of arrays, as emissions is one", _arrays.kind(tags))
        if listed:
            if len(tags) != shape[0]:
                raise _arrays.wrong(ValueError, "tags", f"{shape[0]} arrays, one for each of emissions", len(tags))
            parts = [_arrays.integers(f"tags[{n}]", part) for n, part in enumerate(tags)]
            for n, part in enumerate(parts):
                if part.shape != (lengths[n],):
                    raise _arrays.wrong(ValueError, f"tags[{n}]", f"shape ({lengths[n]},)", f"shape {part.shape}")
                _arrays.in_range(f"tags[{n}]", part, self.num_tags, "a tag")
            return padded(parts, lengths, (), np.int64)
        tags = _arrays.integers("tags", tags)
        if tags.shape != shape:
            raise _arrays.wrong(ValueError, "tags", f"shape {shape}, to fit emissions", f"shape {tags.shape}")
        _arrays.in_range("tags", tags, self.num_tags, "a tag", True if lengths is None else within(lengths, shape[1]))
        return np.ascontiguousarray(tags, np.int64)


# Forbidden pairs


def pairs(name, value, num_tags):
    """A list of [from, to], or None."""
    if value is None:
        return None
    if isinstance(value, (str, dict)) or not hasattr(value, "__iter__"):
        raise _arrays.wrong(TypeError, name, "pairs (from, to), or None", _arrays.kind(value))
    found = []
    for k, pair in enumerate(value):
        place = f"{name}[{k}]"
        if isinstance(pair, str) or not hasattr(pair, "__len__"):
            raise _arrays.wrong(TypeError, place, "a pair (from, to)", f"{pair!r} ({_arrays.kind(pair)})")
        if len(pair) != 2:
            raise _arrays.wrong(ValueError, place, "a pair (from, to)", repr(pair))
        found.append([end_of(place, end, own, num_tags) for end, own in zip(pair, ("start", "end"), strict=True)])
        if found[-1] == ["start", "end"]:
            raise _arrays.wrong(ValueError, place, "a tag on one side at least", repr(pair))
    return found or None


def end_of(name, value, word, num_tags):
    """A tag, or the word that stands for what is before the first one or after the last."""
    if isinstance(value, str):
        if value != word:
            expected = f"a tag or {word!r} as the {'first' if word == 'start' else 'second'} of a pair"
            raise _arrays.wrong(ValueError, name, expected, repr(value))
        return word
    return _arrays.whole(name, value, num_tags)


def masks_of(forbidden, num_tags):
    """Flags of transitions, start and end."""
    masks = np.zeros((num_tags, num_tags), bool), np.zeros(num_tags, bool), np.zeros(num_tags, bool)
    for before, after in forbidden:
        if before == "start":
            masks[1][after] = True
        elif after == "end":
            masks[2][before] = True
        else:
            masks[0][before, after] = True
    for mask, which in zip(masks[1:], ("first", "last"), strict=True):
        if mask.all():
            raise _arrays.wrong(ValueError, "forbidden", f"a tag that may be the {which}", "none")
    return masks


# Rows of unequal length


def only_valid(steps, valid):
    """Steps (N, T, C) as they are, or with zeros at those that are not valid."""
    return steps if valid is None else placed(rows_of(steps, valid), valid, steps.shape)


def padded(parts, lengths, last, dtype):
    """(N, longest, *last) with zeros behind the end of each."""
    found = np.zeros((len(parts), max(1, int(lengths.max())), *last), dtype)
    for row, part in zip(found, parts, strict=True):
        row[: len(part)] = part
    return found


def cut(rows, lengths):
    """A list of what is valid in each, views."""
    return list(rows) if lengths is None else [row[:length] for row, length in zip(rows, lengths, strict=True)]


def within(lengths, T):
    """Flags of the valid steps, (N, T)."""
    return np.arange(T) < lengths[:, np.newaxis]
