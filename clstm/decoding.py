"""Decoders: what the outputs of a network say.

Networks that were trained by `clstm.losses.CTC` say a class or the blank at each step. `ctc_greedy` reads the most
probable path, `ctc_beam` searches for the most probable labels, which many paths read as.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from . import _arrays, _core

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

__all__ = ["ctc_beam", "ctc_greedy"]


def ctc_greedy(logits: ArrayLike, lengths: ArrayLike | None = None, *, blank: int = 0) -> list[np.ndarray]:
    """The labels that the most probable path of each row reads as: equal neighbours merged, then blanks removed.

    Fast, and right where the network is sure. Other labels may be more probable, because more paths read as them.

    Parameters
    ----------
    logits : array_like, (N, T, C)
        Scores, or probabilities, or logarithms of those: only the largest counts, the first of equal ones.
    lengths : array_like of int, (N,), optional
        Valid steps of each row; default: T.
    blank : int, default 0

    Returns
    -------
    list of ndarray of int64
        The labels of each row.

    Examples
    --------
    >>> import numpy as np
    >>> from clstm.decoding import ctc_greedy
    >>> path = [1, 1, 0, 1, 2, 2, 0]
    >>> ctc_greedy(np.eye(3)[[path]])
    [array([1, 1, 2])]
    """
    logits, lengths, blank = _checked(logits, lengths, blank)
    path = logits.argmax(axis=2)
    begins = np.ones(path.shape, bool)
    begins[:, 1:] = path[:, 1:] != path[:, :-1]
    said = begins & (path != blank)
    if lengths is not None:
        said &= np.arange(path.shape[1]) < lengths[:, np.newaxis]
    return [row[wanted].astype(np.int64) for row, wanted in zip(path, said, strict=True)]


def ctc_beam(
    logits: ArrayLike,
    lengths: ArrayLike | None = None,
    *,
    blank: int = 0,
    width: int = 16,
    best: int = 1,
    prune: float = 0.0,
    language_model: Callable[[tuple[int, ...]], ArrayLike] | None = None,
    language_weight: float = 1.0,
) -> list[list[tuple[np.ndarray, float]]]:
    """The most probable labels of each row, by prefix beam search (Graves 2012; Hannun et al. 2014).

    After each step, the `width` most probable beginnings are kept, each with the probability of all the kept paths that
    read as it. If none had to be dropped, the result is exact. The time grows with T, `width` and C.

    Parameters
    ----------
    logits : array_like, (N, T, C)
        Scores, not normalised. An array of float64 stays float64, whatever else becomes float32; probabilities are in
        double precision in any case.
    lengths : array_like of int, (N,), optional
        Valid steps of each row; default: T.
    blank : int, default 0
    width : int, default 16
    best : int, default 1
        How many labellings of each row are wanted, at most `width`.
    prune : float, default 0.0
        A class with a probability below this at a step is not appended there; 0 to 1. With many classes, 1e-3 saves
        most of the time.
    language_model : callable, optional
        ``language_model(labels)`` gets a beginning as a tuple of int, and returns (C,) logarithms: what is added to the
        logarithm of the probability when each class is appended to it. What it gives for the blank is not used. It is
        called once for each beginning that comes into a beam, by one thread.
    language_weight : float, default 1.0
        By which what it returns is multiplied.

    Returns
    -------
    list of list of (ndarray of int64, float)
        For each row, labels and the logarithm of their probability, with what the language model has added; the best
        first. There are fewer than `best` where no others are possible, and none where logits are NaN.

    Examples
    --------
    The best path is two blanks, with probability 0.6 * 0.6, but three paths read as "1":

    >>> import numpy as np
    >>> from clstm.decoding import ctc_beam, ctc_greedy
    >>> logits = np.log([[[0.6, 0.4], [0.6, 0.4]]])
    >>> ctc_greedy(logits)
    [array([], dtype=int64)]
    >>> for labels, log_probability in ctc_beam(logits, best=2)[0]:
    ...     print(labels, round(np.exp(log_probability), 4))
    [1] 0.64
    [] 0.36
    """
    logits, lengths, blank = _checked(logits, lengths, blank)
    width, best = _arrays.size("width", width), _arrays.size("best", best)
    if best > width:
        raise _arrays.wrong(ValueError, "best", f"at most width, {width}", best)
    found = _arrays.number("prune", prune, "a number from 0 to 1")
    if not 0 <= found <= 1:
        raise _arrays.wrong(ValueError, "prune", "a number from 0 to 1", prune)
    model = None if language_model is None else _model(language_model, language_weight, logits.shape[2])
    N, T, _ = logits.shape
    labels, ends, scores = np.empty((N, best, T), np.int64), np.empty((N, best), np.intp), np.empty((N, best))
    _core.ctc_beam(_arrays.contiguous(logits), lengths, blank, width, found, labels, ends, scores, model)
    return [
        [(labels[n, k, : ends[n, k]].copy(), float(scores[n, k])) for k in range(best) if ends[n, k] >= 0]
        for n in range(N)
    ]


def _checked(logits, lengths, blank):
    logits = _arrays.array_of("logits", logits)
    logits = _arrays.real("logits", logits, _arrays.DTYPES["float64" if logits.dtype == np.float64 else "float32"])
    if logits.ndim != 3 or 0 in logits.shape:
        raise _arrays.wrong(ValueError, "logits", "shape (N, T, C) with at least 1 of each", f"shape {logits.shape}")
    return logits, _arrays.lengths(lengths, *logits.shape[:2]), _arrays.whole("blank", blank, logits.shape[2])


def _model(function, weight, classes):
    """The caller's function, what it returns checked and multiplied."""
    if not callable(function):
        raise _arrays.wrong(TypeError, "language_model", "a function of a tuple of labels", _arrays.kind(function))
    weight = _arrays.number("language_weight", weight, "a number")
    if not np.isfinite(weight):
        raise _arrays.wrong(ValueError, "language_weight", "a finite number", weight)

    def scores(labels):
        name = f"language_model({labels})"
        given = _arrays.of_shape(name, function(labels), _arrays.DTYPES["float64"], (classes,))
        found = given * weight if weight else np.zeros(classes)
        if not (found < np.inf).all():
            raise _arrays.wrong(ValueError, name, "numbers below infinity, or -infinity", given[~(found < np.inf)][0])
        return found

    return scores
