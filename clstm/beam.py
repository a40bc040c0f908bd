"""Beam search: the most probable sequences of symbols, as far as a search with a few hypotheses finds them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from . import _arrays

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ["Hypothesis", "beam_search", "take_rows"]


class Hypothesis(NamedTuple):
    """What `beam_search` has found for a row.

    Attributes
    ----------
    symbols : ndarray of int64
        Without start and end.
    score : float
        log_probability divided by the length penalty: the greater, the better.
    log_probability : float
        The sum over all symbols, the end included.
    ended : bool
        Whether the end was reached.
    """

    symbols: np.ndarray
    score: float
    log_probability: float
    ended: bool


def beam_search(
    step: Callable[[np.ndarray, Any], tuple[np.ndarray, Any]],
    state: Any,
    *,
    rows: int = 1,
    width: int = 4,
    start: int,
    end: int | None = None,
    max_steps: int,
    length_penalty: float = 0.0,
    best: int = 1,
    excluded: Iterable[int] = (),
    reorder: Callable[[Any, np.ndarray], Any] | None = None,
) -> list[list[Hypothesis]]:
    """Searches sequences of great probability, keeping `width` of them alive at each step.

    Of all continuations of the living hypotheses of a row by one symbol, the `width` most probable are kept; those that
    end are put aside (Sutskever, Vinyals and Le 2014). Hypotheses of n symbols, the end included, are ranked by (Wu et
    al. 2016)::

        score = log_probability / ((5 + n) / 6) ** length_penalty

    A row is done when no living hypothesis can become better than the `best` that have ended, or none lives. The search
    is exhaustive if `width` is at least the number of all continuations that there are in any step.

    Parameters
    ----------
    step : callable
        ``log_probabilities, state = step(symbols, state)``: with symbols (B,), the last of each of B = rows * width
        hypotheses, log_probabilities (B, C) of what comes next. Those of row n are n * width .. (n + 1) * width - 1.
    state
        What step carries on, of `rows` rows; see `reorder`.
    rows : int, default 1
        N: how many searches are done side by side.
    width : int, default 4
        Hypotheses of a row that are alive. With 1, each symbol is the most probable one.
    start : int
        The symbol before the first.
    end : int, optional
        The symbol that ends a hypothesis. None: there is none, and all have `max_steps` symbols.
    max_steps : int
        The most symbols that are found, the end included.
    length_penalty : float, default 0.0
        At least 0; the greater, the more long sequences are preferred. 0: ranked by probability.
    best : int, default 1
        How many hypotheses are wanted for each row, at most `width`.
    excluded : iterable of int
        Symbols that are never chosen.
    reorder : callable, optional
        ``state = reorder(state, index)``: the state whose row b is row index[b] of the given one. The first call makes
        B rows of N. None: `take_rows`, for arrays with the rows on axis 1, as the states of recurrent layers are, and
        None, in tuples, lists and dicts of any depth.

    Returns
    -------
    list of list of Hypothesis
        For each row up to `best`, the best first. Those that have not ended after `max_steps` come behind those that
        have.

    Raises
    ------
    TypeError, ValueError
        Naming the argument, what was expected and what came.

    Examples
    --------
    After an a, b is likely to come, and the end after a b:

    >>> import numpy as np
    >>> from clstm.beam import beam_search
    >>> table = np.log([[0.1, 0.6, 0.3], [0.3, 0.1, 0.6], [1.0, 1.0, 1.0]])  # a, b, end
    >>> found = beam_search(lambda last, state: (table[last], None), None, start=0, end=2, max_steps=5, best=2)
    >>> [(symbols.tolist(), round(float(np.exp(score)), 3)) for symbols, score, _, _ in found[0]]
    [([1], 0.36), ([], 0.3)]
    """
    N, W = _arrays.size("rows", rows), _arrays.size("width", width)
    max_steps, best = _arrays.size("max_steps", max_steps), _arrays.size("best", best)
    if best > W:
        raise _arrays.wrong(ValueError, "best", f"at most {W}, which is the width", best)
    power = _arrays.deviation("length_penalty", length_penalty)
    reorder = take_rows if reorder is None else reorder
    search = Search(N, W, end, max_steps, power, best)
    last, excluded = np.full(N * W, start, np.int64), list(excluded)
    state = reorder(state, np.repeat(np.arange(N), W))
    for t in range(max_steps):
        log_probabilities, state = step(last, state)
        log_probabilities = checked_step(log_probabilities, N * W, excluded)
        parents, last = search.advance(t, log_probabilities)
        if not np.isfinite(search.alive).any():
            break
        state = reorder(state, parents)
    return search.found()


class Search:
    """The hypotheses of all rows."""

    def __init__(self, N: int, W: int, end: int | None, max_steps: int, power: float, best: int) -> None:
        self.end, self.max_steps, self.power, self.best = end, max_steps, power, best
        self.alive = np.full((N, W), -np.inf)  # log-probabilities; minus infinity: there is none
        self.alive[:, 0] = 0
        self.symbols = np.zeros((N, W, max_steps), np.int64)
        self.steps = 0
        self.ended: list[list[Hypothesis]] = [[] for _ in range(N)]

    def advance(self, t: int, log_probabilities: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Takes a step; returns for each hypothesis the one that it goes on with, and its last symbol."""
        N, W = self.alive.shape
        parents, last = np.arange(N * W).reshape(N, W), np.zeros((N, W), np.int64)
        total = self.alive[:, :, np.newaxis] + log_probabilities.reshape(N, W, -1)
        for n in range(N):
            if np.isfinite(self.alive[n]).any():
                self.advance_row(n, t, total[n], parents[n], last[n])
        self.steps = t + 1
        return parents.ravel(), last.ravel()

    def advance_row(self, n: int, t: int, total: np.ndarray, parents: np.ndarray, last: np.ndarray) -> None:
        """The same for row n with the log-probabilities (W, C) of its continuations."""
        before, first = self.symbols[n].copy(), parents[0]
        self.alive[n] = -np.inf
        slot = 0
        for place in greatest(total.ravel(), len(parents)):
            parent, symbol = divmod(int(place), total.shape[1])
            if symbol == self.end:
                self.ended[n].append(self.hypothesis(before[parent, :t], total[parent, symbol], t + 1, True))
                continue
            self.symbols[n, slot] = before[parent]
            self.symbols[n, slot, t] = last[slot] = symbol
            parents[slot], self.alive[n, slot] = first + parent, total[parent, symbol]
            slot += 1
        self.ended[n] = ranked(self.ended[n], self.best)
        if len(self.ended[n]) == self.best and self.bound(n) <= self.ended[n][-1].score:
            self.alive[n] = -np.inf

    def penalty(self, length: int) -> float:
        """That of Wu et al."""
        return ((5 + length) / 6) ** self.power

    def bound(self, n: int) -> float:
        """No living hypothesis of row n can get a greater score: a log-probability only falls, and the longest one is
        divided by most."""
        return self.alive[n].max() / self.penalty(self.max_steps)

    def hypothesis(self, symbols: np.ndarray, total: float, length: int, ended: bool) -> Hypothesis:
        """One of `length` symbols, the end included."""
        return Hypothesis(symbols.copy(), float(total / self.penalty(length)), float(total), ended)

    def found(self) -> list[list[Hypothesis]]:
        """The best of each row."""
        for n, row in enumerate(self.ended):
            living = np.flatnonzero(np.isfinite(self.alive[n]))
            symbols = self.symbols[n, :, : self.steps]
            more = [self.hypothesis(symbols[w], self.alive[n, w], self.steps, False) for w in living]
            self.ended[n] = row + ranked(more, self.best - len(row))
        return self.ended


def ranked(hypotheses, count):
    """The best of them, the best first."""
    return sorted(hypotheses, key=lambda hypothesis: -hypothesis.score)[:count]


def greatest(values, count):
    """The places of the greatest values, the greatest first, of equal ones the first one first; none that is minus
    infinity."""
    least = np.partition(values, -count)[-count] if count < len(values) else -np.inf
    places = np.flatnonzero((values >= least) & (values > -np.inf))
    return places[np.argsort(-values[places], kind="stable")][:count]


def checked_step(log_probabilities, B, excluded):
    """What step has given, without the symbols that are excluded."""
    found = np.array(_arrays.real("step", log_probabilities, np.dtype(np.float64)))
    if found.ndim != 2 or len(found) != B:
        raise _arrays.wrong(ValueError, "step", f"log-probabilities of shape ({B}, C)", f"shape {found.shape}")
    if not (found <= 1e-6).all():  # NaN neither; rounding makes a sure symbol a little more than sure
        worst = found.max()
        raise _arrays.wrong(ValueError, "step", "log-probabilities, which are at most 0", f"{worst}")
    found[:, excluded] = -np.inf
    return found


def take_rows(state: Any, index: np.ndarray) -> Any:
    """Rows of a state, on axis 1 of each array: of None, an array, or tuples, lists and dicts of such."""
    if state is None:
        return None
    if isinstance(state, dict):
        return {name: take_rows(entry, index) for name, entry in state.items()}
    if isinstance(state, (tuple, list)):
        found = [take_rows(entry, index) for entry in state]
        return found if isinstance(state, list) else tuple(found)
    return np.take(state, index, axis=1)
