"""Sampling: symbols drawn from the scores that a network gives, and texts made of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from . import _arrays
from .layer import Layer
from .network import Network
from .recurrent import RecurrentLayer

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

__all__ = ["generate", "probabilities", "sample"]


def sample(
    logits: ArrayLike,
    *,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    rng: int | np.random.Generator | None = None,
) -> np.ndarray:
    """Draws a symbol for each row of scores, with the `probabilities` that these options make of them.

    Parameters
    ----------
    logits : array_like, (N, C)
        Scores of the C symbols, as a `Dense` layer gives them. Minus infinity: never.
    temperature, top_k, top_p
        As for `probabilities`.
    rng : int or numpy.random.Generator, optional
        Seed or generator; None: fresh entropy. One number is drawn for each row, unless the temperature is 0. An int
        makes the same draw in each call: who calls more than once passes a generator.

    Returns
    -------
    symbols : ndarray of int64, (N,)

    Examples
    --------
    >>> import numpy as np
    >>> from clstm import sampling
    >>> logits = np.log([[0.5, 0.3, 0.2]])
    >>> rng = np.random.default_rng(0)
    >>> [int(sampling.sample(logits, rng=rng)[0]) for _ in range(10)]
    [1, 0, 0, 0, 2, 2, 1, 1, 1, 2]
    >>> sampling.sample(logits, temperature=0)
    array([0])
    """
    weights = probabilities(logits, temperature=temperature, top_k=top_k, top_p=top_p)
    rng = _arrays.generator(rng)
    if temperature == 0:
        return weights.argmax(axis=1)
    # The symbol at which the sum of probabilities passes a random part of their whole sum. Rounding may make this part
    # the whole: it is the last symbol that has a probability then.
    sums = weights.cumsum(axis=1)
    passed = (sums <= rng.random(len(sums))[:, np.newaxis] * sums[:, -1:]).sum(axis=1)
    last = weights.shape[1] - 1 - (weights[:, ::-1] > 0).argmax(axis=1)
    return np.minimum(passed, last)


def probabilities(
    logits: ArrayLike, *, temperature: float = 1.0, top_k: int | None = None, top_p: float | None = None
) -> np.ndarray:
    """What `sample` draws by.

    The scores are divided by the temperature, all but the `top_k` greatest are left out, the rest becomes probabilities
    by softmax, of these all but the smallest set of the most probable whose sum is at least `top_p` are left out, and
    what is left is divided by its sum. Of equal scores, the one of the lower symbol counts as the greater.

    Parameters
    ----------
    logits : array_like, (N, C)
        Scores of C symbols. Minus infinity: never.
    temperature : float, default 1.0
        At least 0. Below 1, what is probable becomes more so; 0: the greatest score has probability 1.
    top_k : int, optional
        How many symbols may be drawn (Fan, Lewis and Dauphin 2018). None, or more than there are: all.
    top_p : float, optional
        More than 0, at most 1 (nucleus sampling: Holtzman et al. 2020). None: all.

    Returns
    -------
    p : ndarray of float64, (N, C)

    Raises
    ------
    TypeError, ValueError
        An argument does not fit, or a score is NaN or infinity, or all of a row are minus infinity.

    Examples
    --------
    >>> import numpy as np
    >>> from clstm import sampling
    >>> logits = np.log([[0.5, 0.3, 0.15, 0.05]])
    >>> sampling.probabilities(logits, top_p=0.6).round(3)
    array([[0.625, 0.375, 0.   , 0.   ]])
    >>> sampling.probabilities(logits, temperature=0.5, top_k=3).round(3)
    array([[0.69 , 0.248, 0.062, 0.   ]])
    """
    logits = _arrays.real("logits", logits, np.dtype(np.float64))
    temperature, top_k, top_p = checked_options(temperature, top_k, top_p)
    if logits.ndim != 2 or 0 in logits.shape:
        raise _arrays.wrong(ValueError, "logits", "shape (N, C) with at least 1 of each", f"shape {logits.shape}")
    best = logits.max(axis=1, keepdims=True)
    if not np.isfinite(best).all():  # NaN is the maximum of its row
        row = int(np.flatnonzero(~np.isfinite(best))[0])
        expected = "finite numbers or minus infinity, and not this alone"
        raise _arrays.wrong(ValueError, "logits", expected, f"{best[row, 0]} as the greatest of row {row}")
    if temperature == 0:
        return (np.arange(logits.shape[1]) == logits.argmax(axis=1)[:, np.newaxis]).astype(np.float64)
    with np.errstate(over="ignore"):  # a low temperature makes them minus infinity
        weights = np.exp((logits - best) / temperature)
    if top_k is not None and top_k < weights.shape[1]:
        order = np.argsort(-logits, axis=1, kind="stable")
        np.put_along_axis(weights, order[:, top_k:], 0.0, axis=1)
    weights /= weights.sum(axis=1, keepdims=True)
    if top_p is not None and top_p < 1:
        order = np.argsort(-weights, axis=1, kind="stable")
        ordered = np.take_along_axis(weights, order, axis=1)
        before = np.cumsum(ordered, axis=1) - ordered  # those that are more probable
        np.put_along_axis(weights, order, np.where(before < top_p, ordered, 0.0), axis=1)
        weights /= weights.sum(axis=1, keepdims=True)
    return weights


def checked_options(temperature, top_k, top_p):
    """The three of them."""
    temperature = _arrays.deviation("temperature", temperature)
    top_k = None if top_k is None else _arrays.size("top_k", top_k)
    if top_p is not None:
        top_p = _arrays.number("top_p", top_p, "a number in (0, 1]")
        if not 0 < top_p <= 1:
            raise _arrays.wrong(ValueError, "top_p", "a number in (0, 1]", top_p)
    return temperature, top_k, top_p


def log_softmax(logits: np.ndarray) -> np.ndarray:
    """The logarithms of the probabilities (N, C) of scores, in float64."""
    scores = logits.astype(np.float64)
    scores -= scores.max(axis=1, keepdims=True)
    return scores - np.log(np.exp(scores).sum(axis=1, keepdims=True))


# Texts


def generate(
    net: Layer,
    prompt: ArrayLike,
    steps: int,
    *,
    lengths: ArrayLike | None = None,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    rng: int | np.random.Generator | None = None,
) -> np.ndarray:
    """Lets a network that predicts the next symbol write on: each symbol that is drawn is its next input.

    Parameters
    ----------
    net : Layer
        Takes symbols (N, T) and gives the scores (N, T, C) of the symbol that comes after each, for example
        ``Network([Embedding(C, 32), LSTM(32, 128), Dense(128, C)])``. Its recurrent layers read forward only.
    prompt : array_like of int, (N, T) or (T,)
        What it reads before; at least one symbol.
    steps : int
        How many symbols it writes.
    lengths : array_like of int, (N,), optional
        Symbols of each row of the prompt, 1 to T; None: all T.
    temperature, top_k, top_p
        As for `probabilities`.
    rng : int or numpy.random.Generator, optional
        Seed or generator; None: fresh entropy.

    Returns
    -------
    symbols : ndarray of int64, (N, steps) or (steps,)
        Without the prompt.

    Raises
    ------
    TypeError, ValueError
        Naming the argument, what was expected and what came.

    Notes
    -----
    The prompt is read at once; then the state is carried on from step to step, by a `Stream` of each recurrent layer.

    Examples
    --------
    >>> import clstm
    >>> from clstm import sampling
    >>> net = clstm.Network([clstm.Embedding(5, 8, rng=0), clstm.LSTM(8, 16, rng=1), clstm.Dense(16, 5, rng=2)])
    >>> sampling.generate(net, [0, 1, 2], 8, rng=3)
    array([0, 1, 3, 2, 0, 2, 2, 0])
    """
    if not isinstance(net, Layer):
        raise _arrays.wrong(TypeError, "net", "a Network or another Layer", _arrays.kind(net))
    options = dict(zip(("temperature", "top_k", "top_p"), checked_options(temperature, top_k, top_p), strict=True))
    steps, rng = _arrays.size("steps", steps), _arrays.generator(rng)
    symbols = _arrays.indices("prompt", prompt)
    rows = symbols if symbols.ndim == 2 else symbols[np.newaxis]
    lengths = _arrays.lengths(lengths, *rows.shape, of="prompt")
    if lengths is not None and not lengths.all():
        raise _arrays.wrong(ValueError, "lengths", "at least 1 in each row", "0")
    check_writer(net)
    y, state = net.infer(rows, None, lengths)
    check_scores(net, y, rows.shape)
    logits = y[:, -1] if lengths is None else y[np.arange(len(y)), lengths - 1]
    written = np.empty((len(rows), steps), np.int64)
    writer = Writer(net, state, len(rows))
    for step in range(steps):
        written[:, step] = sample(logits, **options, rng=rng)
        if step + 1 < steps:
            logits = writer.step(written[:, step])
    return written if symbols.ndim == 2 else written[0]


def check_writer(net):
    """Raises for a network that does not take symbols one after another."""
    if not net.takes_indices:
        raise _arrays.wrong(ValueError, "net", "one that takes symbols, like an Embedding", repr(net))
    for layer in recurrent_layers(net):
        if layer.bidirectional or layer.go_backwards:
            raise _arrays.wrong(ValueError, "net", "one that reads forward only", repr(layer))


def recurrent_layers(net):
    """Those of a network, in networks within it too."""
    if isinstance(net, Network):
        for layer in net.layers:
            yield from recurrent_layers(layer)
    elif isinstance(net, RecurrentLayer):
        yield net


def check_scores(net, y, shape):
    """Raises unless y (N, T, C) has a score for each symbol that the network takes."""
    if y.ndim != 3 or y.shape[:2] != shape:
        raise _arrays.wrong(ValueError, "net", "one that gives scores (N, T, C)", f"shape {y.shape}")
    count = getattr(net.layers[0] if isinstance(net, Network) else net, "num_embeddings", y.shape[2])
    if y.shape[2] > count:
        raise _arrays.wrong(ValueError, "net", f"scores of at most the {count} symbols that it takes", y.shape[2])


class Writer:
    """A network that takes one step at a time for N rows: its recurrent layers in one direction are streams; where a
    layer has a state and is none of these, the network runs as it is, with T = 1."""

    def __init__(self, net: Any, state: Any, N: int) -> None:
        self.net, self.state, self.parts = net, state, None
        layers = net.layers if isinstance(net, Network) else (net,)
        states = state if isinstance(net, Network) else [state]
        if all(can_step(layer, own) for layer, own in zip(layers, states, strict=True)):
            self.parts = [part_of(layer, own, N) for layer, own in zip(layers, states, strict=True)]

    def step(self, symbols: np.ndarray) -> np.ndarray:
        """The scores (N, C) after one more symbol of each row."""
        if self.parts is None:
            y, self.state = self.net.infer(symbols[:, np.newaxis], self.state)
            return y[:, 0]
        x = symbols
        for part in self.parts:
            x = part(x)
        return x


def can_step(layer, state):
    """Whether `part_of` knows how."""
    if isinstance(layer, RecurrentLayer):
        return layer.output == "h" and type(layer).infer is RecurrentLayer.infer
    return state is None and layer.axes == "any"


def part_of(layer, state, N):
    """A function that takes x (N, F), or (N,), and gives y."""
    if not isinstance(layer, RecurrentLayer):
        return lambda x: layer.infer(x)[0]
    stream = layer.stream(N)
    stream.state = state
    return stream.step
