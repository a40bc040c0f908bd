"""What a recurrent layer gives as y: how its two directions are put together, and which of its states are given.

An `Output` says how y is made of what the core computes, and how the gradient of y becomes gradients that the core
takes. The states of all steps, h or c, come from the core; those of the end are made here of the final state.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from . import _arrays, _core
from .options import width_of

MERGES = _core.MERGES


def merge(name: str, value: Any) -> str:
    """How two directions become one output."""
    return _arrays.choice(name, value, MERGES)


def output(name: str, value: Any) -> str:
    """Which states are y."""
    return _arrays.choice(name, value, tuple(OUTPUTS))


def refuse(cls: Any, options: dict[str, Any], bidirectional: bool) -> None:
    """Raises where there are no two directions to merge, or no c to show."""
    if options["merge"] != MERGES[0] and not bidirectional:
        expected = f"{MERGES[0]!r}, because bidirectional=False leaves nothing to merge"
        raise _arrays.wrong(ValueError, "merge", expected, repr(options["merge"]))
    if options["output"] == "c" and "c" not in cls._kind.states:
        names = ", ".join(repr(name) for name in OUTPUTS if name != "c")
        raise _arrays.wrong(ValueError, "output", f"one of {names}, because {cls.__name__} has no c", "'c'")


class Output:
    """All hidden states of the last layer: y (N, T, F)."""

    removes_time = False

    def size(self, layer: Any) -> int:
        """Features of y."""
        return layer._width

    def shape(self, layer: Any, N: int, T: int) -> tuple[int, ...]:
        """Of y."""
        return N, T, layer.output_size

    def room(self, layer: Any, N: int, T: int) -> np.ndarray | None:
        """The array in which the core writes the states of all steps; None: they are not wanted."""
        return np.empty(self.shape(layer, N, T), layer.dtype)

    def of(self, layer: Any, steps: Any, h: np.ndarray, c: np.ndarray | None) -> np.ndarray:
        """y, of what the core has written."""
        return steps

    def saved(self, layer: Any, h: np.ndarray) -> np.ndarray | None:
        """What `back` will need of the final h."""
        return None

    def back(self, layer: Any, dy: np.ndarray | None, dstate: tuple, saved: Any) -> tuple[np.ndarray | None, tuple]:
        """The gradients of the states of all steps that the core gave, and of the final state."""
        return dy, dstate


class Cells(Output):
    """All cell states of the last layer, which the core shows in the place of the hidden ones: y (N, T, F)."""

    def size(self, layer):
        return width_of(layer.hidden_size, layer.bidirectional, layer._options)


class _OfTheEnd(Output):
    """An output without time, which is made of the final state."""

    removes_time = True

    def shape(self, layer, N, T):
        return N, layer.output_size

    def room(self, layer, N, T):
        return None

    def back(self, layer, dy, dstate, saved):
        if dy is None:
            return None, dstate
        shapes = layer._state_shapes(*layer._lead(len(dy)))
        found = [
            np.zeros(shape, layer.dtype) if given is None else given.copy()
            for given, shape in zip(dstate, shapes, strict=False)
        ]
        dh, dc = found[0], found[1] if len(found) == 2 else None
        self.add(layer, dy, dh, dc, saved)
        return None, (dh, dc)

    def add(self, layer, dy, dh, dc, saved):
        """Adds the gradient of y to that of the final state."""
        raise NotImplementedError


class Last(_OfTheEnd):
    """The final h of the last layer: the directions side by side, or merged."""

    def of(self, layer, steps, h, c):
        if layer.merge == "concat":
            return side_by_side(h[-layer._directions :])
        ahead, back = h[-2:]
        if layer.merge == "product":
            return ahead * back
        return ahead + back if layer.merge == "sum" else (ahead + back) / 2

    def saved(self, layer, h):
        return h[-2:].copy() if layer.merge == "product" else None

    def add(self, layer, dy, dh, dc, saved):
        last = dh[-layer._directions :]
        if layer.merge == "concat":
            last += apart(dy, len(last))
        elif layer.merge == "product":
            last += dy * saved[::-1]
        else:
            last += dy if layer.merge == "sum" else dy / 2


class State(_OfTheEnd):
    """The final state of all layers and directions: their h side by side, then their c."""

    def size(self, layer):
        return sum(layer._states * shape[-1] for shape in layer._state_shapes())

    def of(self, layer, steps, h, c):
        return side_by_side(h) if c is None else np.concatenate([side_by_side(h), side_by_side(c)], axis=1)

    def add(self, layer, dy, dh, dc, saved):
        of_h = layer._states * dh.shape[-1]
        dh += apart(dy[:, :of_h], layer._states)
        if dc is not None:
            dc += apart(dy[:, of_h:], layer._states)


OUTPUTS: dict[str, Output] = {"h": Output(), "c": Cells(), "last": Last(), "state": State()}


def side_by_side(states):
    """(S, N, H) as (N, S*H)"""
    return states.transpose(1, 0, 2).reshape(states.shape[1], -1)


def apart(y, count):
    """(N, S*H) as (S, N, H)"""
    return y.reshape(len(y), count, -1).transpose(1, 0, 2)


# Options of all recurrent layers that have to do with what they start from and what they give, and their checks
OPTIONS = {"merge": merge, "output": output, "learned_state": _arrays.flag}
