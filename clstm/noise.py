"""Noise: what makes the random masks of a call, so that they can be had again."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np

from . import _arrays

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

SEEDS = 2**64


class Noise:
    """What the random masks of one call of `forward` are made of: a seed, and where rows and steps stand.

    Masks are a function of the seed, of the place in the network, of the number of a row and of the time. They do not
    depend on threads, and a batch or a sequence that is computed in parts gets the same ones if each part says which
    rows and steps it has.

    Parameters
    ----------
    seed : int
        0 to 2**64 - 1.
    rows : array_like of int, (N,), optional
        A number for each row; None: 0 to N-1.
    first_step : int, default 0
        The time of the first step.

    Examples
    --------
    The second half of a batch, with the masks that it would have in the whole:

    >>> import numpy as np, clstm
    >>> gru = clstm.GRU(3, 4, recurrent_dropout=0.5, rng=0)
    >>> x = np.ones((6, 5, 3), np.float32)
    >>> y = gru.forward(x, noise=7)[0]
    >>> bool((gru.forward(x[3:], noise=clstm.Noise(7, rows=[3, 4, 5]))[0] == y[3:]).all())
    True
    """

    __slots__ = ("first_step", "rows", "seed")

    def __init__(self, seed: int, rows: ArrayLike | None = None, first_step: int = 0) -> None:
        self.seed = _arrays.whole("seed", seed, SEEDS)
        self.rows = None if rows is None else _arrays.integers("rows", rows).astype(np.int64)
        if self.rows is not None and self.rows.ndim != 1:
            raise _arrays.wrong(ValueError, "rows", "shape (N,)", f"shape {self.rows.shape}")
        self.first_step = _arrays.whole("first_step", first_step, 2**31)

    def for_layer(self, k: int) -> Noise:
        """That of layer k of a network: another seed, mixed so that no two places in nested networks share one."""
        found = Noise.__new__(Noise)
        found.seed = mixed((self.seed + (k + 1) * 0x9E3779B97F4A7C15) % SEEDS)
        found.rows, found.first_step = self.rows, self.first_step
        return found

    def core(self, N: int) -> tuple[int, np.ndarray | None, int, int, int] | None:
        """As the core takes it, for N rows: clstm_noise in its order; None: nothing is random."""
        if self.rows is not None and len(self.rows) != N:
            raise _arrays.wrong(ValueError, "noise", f"{N} rows", f"{len(self.rows)}")
        return self.seed, self.rows, self.first_step, 0, 0

    def __repr__(self):
        rows = "" if self.rows is None else f", rows={self.rows.tolist()}"
        first = f", first_step={self.first_step}" if self.first_step else ""
        return f"Noise({self.seed}{rows}{first})"


def mixed(z: int) -> int:
    """An integer below 2^64 from another, one to one: the finaliser of SplitMix64 (Steele, Lea and Flood 2014)."""
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 % SEEDS
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB % SEEDS
    return z ^ (z >> 31)


class _Silence(Noise):
    """Nothing random, as in inference."""

    __slots__ = ()

    def for_layer(self, k):
        return self

    def core(self, N):
        return None


SILENCE = _Silence(0)

# The options of a recurrent layer that have to do with noise, and their checks
OPTIONS = {
    **dict.fromkeys(("dropout", "input_dropout", "recurrent_dropout", "weight_drop", "zoneout_h"), _arrays.rate),
    "input_noise": _arrays.deviation,
}


def noise_of(value: Any) -> Noise:
    """A Noise, from one or from a seed; of None, one that nobody knows."""
    if value is None:
        return Noise(int.from_bytes(os.urandom(8), "little"))
    return value if isinstance(value, Noise) else Noise(_arrays.whole("noise", value, SEEDS))


class Drawn:
    """What the core draws for a layer, for some rows and steps."""

    def __init__(self, layer: Any, N: int, T: int, noise: Noise) -> None:
        self.layer = layer
        self.seed, rows, first, *_ = noise.core(N)
        self.rows = range(N) if rows is None else rows.tolist()
        self.steps = range(first, first + T)

    def one(self, kind: str, index: int, row: int, step: int, n: int) -> np.ndarray:
        """(n,)"""
        mask = np.empty(n, self.layer.dtype)
        self.layer._core.noise(kind, index, self.seed, row, step, mask)
        return mask

    def each(self, kind: str, index: int, n: int) -> np.ndarray:
        """Of each step: (N, T, n)"""
        return np.array([[self.one(kind, index, row, step, n) for step in self.steps] for row in self.rows])

    def once(self, kind: str, index: int, n: int) -> np.ndarray:
        """For all steps: (N, n)"""
        return np.array([self.one(kind, index, row, 0, n) for row in self.rows])

    def matrix(self, kind: str, index: int, rows: int, n: int) -> np.ndarray:
        """Of a weight matrix: (rows, n)"""
        return np.array([self.one(kind, index, row, 0, n) for row in range(rows)])

    def input(self, k: int, n: int, options: dict[str, Any]) -> np.ndarray:
        """By which the input of layer k is multiplied: (N, T, n)"""
        mask = np.ones((len(self.rows), len(self.steps), n), self.layer.dtype)
        if options["input_dropout"]:
            mask *= self.once("input", k, n)[:, np.newaxis]
        if options["dropout"] and k:
            mask *= self.each("dropout", k, n)
        return mask


def masks_of(layer: Any, N: int, T: int, noise: Noise) -> dict[str, Any]:
    """What is random in `forward` of a recurrent layer: see its `masks`."""
    options, H, R, drawn, found = layer._options, layer.hidden_size, layer._size_h, Drawn(layer, N, T, noise), {}
    if options["input_noise"]:
        found["added"] = drawn.each("added", 0, layer.input_size)
    if options["input_dropout"] or options["dropout"]:
        widths = [layer.input_size] + [layer._width] * (layer.num_layers - 1)
        found["input"] = [drawn.input(k, n, options) for k, n in enumerate(widths)]
    G = len(layer._kind.gates(options))
    draws = {
        "recurrent": ("recurrent_dropout", lambda k: drawn.once("recurrent", k, R)),
        "weight": ("weight_drop", lambda k: drawn.matrix("weight", k, G * H, R)),
        "zone_h": ("zoneout_h", lambda k: drawn.each("zone_h", k, R)),
        "zone_c": ("zoneout_c", lambda k: drawn.each("zone_c", k, H)),
    }
    for name, (option, draw) in draws.items():
        if options.get(option):
            found[name] = [draw(k) for k in range(layer._states)]
    return found
