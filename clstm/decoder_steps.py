"""The decoder of an `EncoderDecoder`, one step at a time: symbols by greedy choice, by chance, or by beam search."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from . import _arrays
from .attention import SCORES
from .beam import beam_search
from .sampling import checked_options, log_softmax, sample

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import ArrayLike


class Source(NamedTuple):
    """What the encoder gives."""

    memory: np.ndarray  # (N, S, M)
    state: Any  # of the decoder before its first step
    lengths: np.ndarray | None


class Decoded(NamedTuple):
    """The symbols that a decoder has written, and how probable they are.

    Attributes
    ----------
    symbols : list
        For each row of the source an array of int64, without start and end; if several are wanted a list of arrays, the
        best first.
    scores : ndarray of float64, or list of ndarray
        For each row, or each of its arrays, the logarithm of the probability of its symbols, the end included, if it
        was reached; of a beam search divided by the length penalty.
    """

    symbols: list
    scores: Any


class Steps:
    """What a decoder needs to take steps for `width` rows of each row of the source.

    Parameters
    ----------
    net : EncoderDecoder
    source : Source
        What the encoder has given.
    width : int
    """

    def __init__(self, net: Any, source: Any, width: int = 1) -> None:
        self.net, self.N, self.width = net, len(source.memory), width
        embedding, layer = net.part("decoder").layers
        self.embedding, self.stream = embedding, layer.stream(self.N * width)
        self.attention = net.part("attention")
        self.memory = self.attention and self.attention._remember(source.memory, source.lengths)
        self.start = source.state  # of N rows

    def begin(self) -> None:
        """The state of the encoder, for width 1."""
        self.stream.state = self.start

    def logits(self, symbols: np.ndarray) -> np.ndarray:
        """The scores (N * width, C) after one more symbol of each row; what is never chosen has minus infinity."""
        h = self.stream.step(self.embedding.infer(symbols)[0]).reshape(self.N, self.width, -1)
        context = None if self.memory is None else self.attention._attend(h, self.memory)[0]
        found = self.net._scores(h, context)[0].reshape(self.N * self.width, -1)
        found[:, self.net._never] = -np.inf
        return found

    def beam_step(self, symbols: np.ndarray, state: Any) -> tuple[np.ndarray, Any]:
        """As `beam_search` wants it."""
        self.stream.state = state
        return log_softmax(self.logits(symbols)), self.stream.state


def write(net: Any, source: Any, max_steps: int, choose: Callable[[np.ndarray], np.ndarray]) -> Decoded:
    """Symbols that are chosen one by one, until all rows have ended."""
    steps = Steps(net, source)
    steps.begin()
    symbols, scores = np.empty((steps.N, max_steps), np.int64), np.zeros(steps.N)
    counts, last = np.full(steps.N, max_steps), np.full(steps.N, net.start)
    for t in range(max_steps):
        logits = steps.logits(last)
        last = symbols[:, t] = choose(logits)
        alive = counts == max_steps
        scores += np.where(alive, log_softmax(logits)[np.arange(steps.N), last], 0)
        counts[alive & (last == net.end)] = t
        if (counts < max_steps).all():
            break
    return Decoded([row[:count].copy() for row, count in zip(symbols, counts, strict=True)], scores)


def search(net: Any, source: Any, max_steps: int, width: int, length_penalty: float, best: int | None) -> Decoded:
    """The most probable symbols that a beam search finds."""
    steps = Steps(net, source, width)
    found = beam_search(
        steps.beam_step,
        steps.start,
        rows=steps.N,
        width=width,
        start=net.start,
        end=net.end,
        max_steps=max_steps,
        length_penalty=length_penalty,
        best=1 if best is None else best,
    )
    if best is None:
        return Decoded([row[0].symbols for row in found], np.array([row[0].score for row in found]))
    return Decoded(
        [[hypothesis.symbols for hypothesis in row] for row in found],
        [np.array([hypothesis.score for hypothesis in row]) for row in found],
    )


def mixed(net: Any, source: Any, inputs: np.ndarray, rate: float, temperature: float, rng: Any) -> np.ndarray:
    """Inputs (N, T) of the decoder of which each, but for the first, is with the probability `rate` the symbol that the
    decoder itself gives at the step before: scheduled sampling."""
    own = rng.random(inputs.shape) < rate
    own[:, 0] = False
    inputs = inputs.copy()
    steps = Steps(net, source)
    steps.begin()
    for t in range(1, 1 + int(own.any(axis=0).nonzero()[0].max(initial=0))):
        chosen = sample(steps.logits(inputs[:, t - 1]), temperature=temperature, rng=rng)
        inputs[:, t] = np.where(own[:, t], chosen, inputs[:, t])
    return inputs


class Writes:
    """What an `EncoderDecoder` does without a target."""

    def greedy(
        self, x: ArrayLike | list[np.ndarray], lengths: ArrayLike | None = None, *, max_steps: int | None = None
    ) -> Decoded:
        """Writes at each step the most probable symbol.

        Parameters
        ----------
        x : array_like of int, (N, S), or list of (S_n,)
        lengths : array_like of int, (N,), optional
            As in `forward`.
        max_steps : int, optional
            Where to stop if the end does not come; None: at twice the steps of x and 10.

        Returns
        -------
        Decoded
            ``symbols``, a list of N arrays, without start and end, and ``scores`` (N,), the logarithms of their
            probabilities.
        """
        source, max_steps = self._read(x, lengths, max_steps)
        return write(self, source, max_steps, lambda logits: logits.argmax(axis=1))

    def sample(
        self,
        x: ArrayLike | list[np.ndarray],
        lengths: ArrayLike | None = None,
        *,
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float | None = None,
        rng: int | np.random.Generator | None = None,
        max_steps: int | None = None,
    ) -> Decoded:
        """Draws each symbol by its probability.

        Parameters
        ----------
        x, lengths, max_steps
            As in `greedy`.
        temperature, top_k, top_p
            As for `clstm.sampling.probabilities`.
        rng : int or numpy.random.Generator, optional
            Seed or generator; None: fresh entropy.

        Returns
        -------
        Decoded
            As from `greedy`; scores are by the probabilities of the model, whatever the temperature.
        """
        options = dict(zip(("temperature", "top_k", "top_p"), checked_options(temperature, top_k, top_p), strict=True))
        rng = _arrays.generator(rng)
        source, max_steps = self._read(x, lengths, max_steps)
        return write(self, source, max_steps, lambda logits: sample(logits, **options, rng=rng))

    def beam(
        self,
        x: ArrayLike | list[np.ndarray],
        lengths: ArrayLike | None = None,
        *,
        width: int = 4,
        length_penalty: float = 0.0,
        max_steps: int | None = None,
        best: int | None = None,
    ) -> Decoded:
        """Searches the most probable symbols, see `clstm.beam.beam_search`.

        Parameters
        ----------
        x, lengths, max_steps
            As in `greedy`.
        width : int, default 4
            Hypotheses that are kept at each step.
        length_penalty : float, default 0.0
            At least 0; the greater, the longer (Wu et al. 2016; they take 0.6 to 0.7).
        best : int, optional
            How many are wanted of each row, at most `width`. None: the best one, not in a list.

        Returns
        -------
        Decoded
            As from `greedy`, with scores that are divided by the length penalty; with `best`, for each row a list of
            arrays, the best first, and an array of their scores.
        """
        width = _arrays.size("width", width)
        source, max_steps = self._read(x, lengths, max_steps)
        return search(self, source, max_steps, width, length_penalty, best)

    def _read(self, x, lengths, max_steps):
        """What the encoder gives, and how many steps the decoder may take."""
        x, lengths = self._source(x, lengths)
        max_steps = 2 * x.shape[1] + 10 if max_steps is None else _arrays.size("max_steps", max_steps)
        return self._encode(x, lengths), max_steps

    def attention_weights(
        self,
        x: ArrayLike | list[np.ndarray],
        target: ArrayLike | list[np.ndarray],
        lengths: ArrayLike | None = None,
        target_lengths: ArrayLike | None = None,
    ) -> np.ndarray:
        """How much the decoder looks at each symbol of the source while it writes each of the target.

        Parameters
        ----------
        x, target, lengths, target_lengths
            As in `forward`.

        Returns
        -------
        weights : ndarray, (N, T, S)
            Each step of the target has the sum 1; zero beyond the lengths of both.
        """
        if self.part("attention") is None:
            raise _arrays.wrong(ValueError, "attention", f"one of {', '.join(map(repr, SCORES))}", "None")
        return self._looked(self._checked(x, None, lengths, target, target_lengths))[1]
