"""Trace: what a recurrent layer did, and what can be read from that."""

from __future__ import annotations

from typing import Any

import numpy as np

from . import _arrays

KEEPS = {"f": "forget gate", "z": "update gate"}  # gates by which the state of the step before is multiplied
BETWEEN_0_AND_1 = "iforz"


class ByName:
    """Arrays with names, whose first axis is that of layers and directions; an index selects in all at once."""

    __slots__ = ("_arrays",)
    _noun: str  # what a message calls it

    def __init__(self, arrays: dict[str, np.ndarray]) -> None:
        self._arrays = arrays

    def __getattr__(self, name: str) -> np.ndarray:
        try:
            return object.__getattribute__(self, "_arrays")[name]
        except (AttributeError, KeyError):
            raise AttributeError(f"this {self._noun} has {', '.join(self)}, but no {name}") from None

    def __iter__(self):
        return iter(object.__getattribute__(self, "_arrays"))

    def __dir__(self):
        return [*super().__dir__(), *self]

    def __repr__(self):
        first = next(iter(self._arrays.values()))
        return f"{type(self).__name__}({' '.join(self)}, each {first.shape} {first.dtype})"

    def _select(self, index):
        return {name: array[index] for name, array in self._arrays.items()}


class Trace(ByName):
    """What a recurrent layer did: its gates and states at every step.

    Attributes
    ----------
    i, f, g, o, c, h : ndarray, (L*D, N, T, H), of h (L*D, N, T, P) with a projection
        Of an LSTM: input gate, forget gate, candidate and output gate after their activations, cell state and hidden
        state after the step.
    r, z, n, h : ndarray, (L*D, N, T, H)
        Of a GRU: reset gate, update gate, candidate, hidden state.
    h : ndarray, (L*D, N, T, H)
        Of an RNN.

    The first axis is that of the state: layer by layer, forward direction first; `[:, :, t]` is what was computed at
    step t. All are zero beyond the lengths. An index selects in all at once: ``trace[0].f`` are the forget gates
    (N, T, H) of the first layer.

    Examples
    --------
    >>> import numpy as np, clstm
    >>> lstm = clstm.LSTM(3, 4, init={"weight_ih": 0, "weight_hh": 0, "bias.f": 3}, rng=0)
    >>> trace = lstm.trace(np.ones((2, 5, 3)))
    >>> trace[0].f.shape
    (2, 5, 4)
    >>> left, right = trace.saturation("f")
    >>> right
    array([[1., 1., 1., 1.]])
    >>> trace.half_life().round(2)
    array([[14.27, 14.27, 14.27, 14.27]])
    """

    __slots__ = ("_valid",)
    _noun = "trace"

    def __init__(self, arrays: dict[str, np.ndarray], valid: np.ndarray | None = None) -> None:
        super().__init__(arrays)
        self._valid = None if valid is None else {k: np.broadcast_to(valid, v.shape) for k, v in arrays.items()}

    def __getitem__(self, index: Any) -> Trace:
        chosen = Trace(self._select(index))
        if self._valid is not None:
            chosen._valid = {name: valid[index] for name, valid in self._valid.items()}
        return chosen

    def __getstate__(self):
        return self._arrays, self._valid

    def __setstate__(self, state):
        self._arrays, self._valid = state

    def saturation(
        self, name: str, low: float | None = None, high: float | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """How often each unit of a gate is nearly shut and nearly open (Karpathy, Johnson and Fei-Fei 2015).

        Parameters
        ----------
        name : str
            "i", "f", "o" .., of those that the trace has.
        low, high : float, optional
            Values below `low` are saturated to the left, those above `high` to the right. None: 0.1 and 0.9 for gates,
            -0.9 and 0.9 for candidates and states.

        Returns
        -------
        left, right : ndarray, (L*D, H)
            Shares of the valid steps of all rows; NaN where there are none.
        """
        values = self._arrays[_arrays.choice("name", name, tuple(self))]
        low, high = saturation_limits(name, low, high)
        return self._mean(name, values < low), self._mean(name, values > high)

    def half_life(self) -> np.ndarray:
        """After how many steps a unit has forgotten half of what it held, by its mean forget gate.

        A state that is multiplied by f in each step has halved after log 2 / -log(abs(f)) of them; of many f, the mean
        is that of their logarithms. It tells what the gate lets pass, not what else is added. Of a GRU, the update gate
        takes the place of f. (With an activation that lets f be negative, the state changes its sign too.)

        Returns
        -------
        half_life : ndarray, (L*D, H)
            In steps: infinite where the state does not shrink, zero where f was ever 0; NaN where there are no valid
            steps.

        Raises
        ------
        ValueError
            The trace is of a plain RNN, which has no such gate.
        """
        name = next((name for name in KEEPS if name in self), None)
        if name is None:
            raise _arrays.wrong(ValueError, "trace", f"one with a {' or '.join(KEEPS.values())}", repr(self))
        with np.errstate(divide="ignore"):
            rate = -self._mean(name, np.log(np.abs(self._arrays[name], dtype=np.float64)))
            return np.log(2) / np.where(rate < 0, 0, np.abs(rate))

    def _mean(self, name, values):
        """Over the valid steps of all rows: (.., N, T, H) to (.., H)."""
        if values.ndim < 3:
            raise _arrays.wrong(ValueError, "trace", "one with the axes of rows, steps and units", repr(self))
        if self._valid is None:
            return values.mean(axis=(-3, -2), dtype=np.float64)
        valid = self._valid[name]
        count = valid.sum(axis=(-3, -2))
        with np.errstate(invalid="ignore"):
            return np.where(valid, values, 0).sum(axis=(-3, -2), dtype=np.float64) / count


def saturation_limits(name, low, high):
    """Where a gate or state counts as saturated, for None and for numbers."""
    low = (0.1 if name in BETWEEN_0_AND_1 else -0.9) if low is None else _arrays.number("low", low, "a number")
    return low, 0.9 if high is None else _arrays.number("high", high, "a number")
