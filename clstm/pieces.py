"""Pieces: the sequences of a call where they are not simply the rows of its arrays.

Flags that reset the state cut a row into pieces between which nothing is carried; a mask leaves steps out; lists of
unequal sequences stand one behind another in one long row. All of that is one thing to the core: a batch whose rows
are pieces, each with the places of its steps. No step is copied for it, and pieces of one row are computed side by
side, as rows are.

The core has a state for each piece, its caller one for each row. Of a row, the given state starts the piece that comes
first in the order of a direction, and the returned one is that after the piece that comes last. All other pieces start
from the layer's initial state.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from . import _arrays, checkpoints
from .embedding import Vectors


class Pieces:
    """Pieces of the rows of a call, in their order.

    Parameters
    ----------
    counts : ndarray of intp, (N,)
        Valid steps of each row.
    level : ndarray of intp, (sum of counts,), or None
        For each valid step, the resets of its row up to it: where that changes, a piece begins. None: no resets.

    Attributes
    ----------
    number : ndarray of intp, (P,)
        The row of each piece. A row without a valid step has one, of length 0.
    lengths : ndarray of intp, (P,)
    first, last : ndarray of intp, (N,)
        Of the pieces of each row.
    fresh : ndarray of bool, (N,)
        Rows that a reset keeps from their given state.
    shape : tuple of int
        (rows, times) of the arrays in which the steps stand.
    row, start, time, noise_time
        Where, as `clstm_pieces` of the core has them.
    valid : ndarray of bool, `shape`, or None
        Steps that are in a piece; None: all are.
    """

    def __init__(self, counts: np.ndarray, level: np.ndarray | None) -> None:
        ends, filled = np.cumsum(counts), counts > 0
        total, firsts = int(ends[-1]), (ends - counts)[filled]
        begins = np.zeros(total, bool)
        begins[firsts] = True
        self.fresh = np.zeros(len(counts), bool)
        if level is not None:
            begins[1:] |= level[1:] != level[:-1]
            self.fresh[filled] = level[firsts] > 0
        start = np.flatnonzero(begins)
        in_row = np.bincount(np.searchsorted(ends, start, side="right"), minlength=len(counts))
        in_row = np.maximum(in_row, 1)
        self.last = np.cumsum(in_row) - 1
        self.first = self.last - in_row + 1
        self.number = np.repeat(np.arange(len(counts), dtype=np.intp), in_row)
        self.start, self.lengths = np.zeros((2, len(self.number)), np.intp)
        self.start[filled[self.number]] = start
        self.lengths[filled[self.number]] = np.diff(start, append=total)
        self.row = np.zeros_like(self.number)
        self.shape = 1, max(total, 1)  # an array has at least one step, be it that of no sequence
        self.time = self.noise_time = None
        self.valid = None if total else np.zeros((1, 1), bool)

    @classmethod
    def of_rows(cls, valid: np.ndarray | None, shape: tuple[int, int], resets: np.ndarray | None) -> Pieces:
        """Those of the rows of arrays (N, T, F), by their valid steps (None: all) and their resets, (N, T) each."""
        counts = np.full(shape[0], shape[1], np.intp) if valid is None else valid.sum(axis=1)
        level = None if resets is None else level_of(resets, valid)
        found = cls(counts, level)
        found.row, found.shape, found.valid = found.number, shape, valid
        if valid is None:
            found.start -= found.number * shape[1]
            return found
        time = np.ascontiguousarray(np.nonzero(valid)[1])
        begins = found.start[found.lengths > 0]
        ends = begins + found.lengths[found.lengths > 0] - 1
        if (time[ends] - time[begins] == ends - begins).all():  # no holes
            found.start[found.lengths > 0] = time[begins]
        else:
            found.time = time
        return found

    @property
    def rows(self) -> int:
        """N, the rows of the caller."""
        return len(self.first)

    def core(self) -> tuple:
        """As the core takes them."""
        return *self.shape, self.row, self.start, self.time, self.noise_time

    def noise(self, noise: tuple | None) -> tuple | None:
        """The noise of a call with N rows as it is for the pieces: they have the number of their row."""
        if noise is None:
            return None
        seed, rows, *rest = noise
        return seed, (self.number if rows is None else rows[self.number]).astype(np.int64), *rest

    def array(self, features: int, dtype: Any) -> np.ndarray:
        """An array for outputs, zero where the core does not write."""
        return (np.empty if self.valid is None else np.zeros)((*self.shape, features), dtype)

    # States: those of rows (L*D, N, H), those of pieces (L*D, P, H); of projected ones, H is R

    def entrances(self, layer: Any) -> tuple[np.ndarray, np.ndarray]:
        """For each layer and direction (L*D, N): the piece that a row's given state starts, and whether it does."""
        back = reverses(layer)
        return np.where(back, self.last, self.first), back | ~self.fresh

    def given(self, layer: Any) -> np.ndarray:
        """The pieces that a given state starts, (L*D, P)."""
        at, used = self.entrances(layer)
        found = np.zeros((len(at), len(self.number)), bool)
        index, row = np.nonzero(np.broadcast_to(used, at.shape))
        found[index, at[index, row]] = True
        return found

    def exits(self, layer: Any) -> np.ndarray:
        """The piece from which the returned state of a row comes, (L*D, N)."""
        return np.where(reverses(layer), self.first, self.last)

    def spread(self, values: np.ndarray | None, at: np.ndarray, used: Any = True, others: Any = None) -> Any:
        """Values of rows, where used, at some of the pieces; elsewhere `others`, which are of all pieces, or zero."""
        if values is None:
            return others
        found = others
        if found is None:
            found = np.zeros((len(at), len(self.number), values.shape[-1]), values.dtype)
        index, row = np.nonzero(np.broadcast_to(used, at.shape))
        found[index, at[index, row]] = values[index, row]
        return found

    @staticmethod
    def collect(values: np.ndarray | None, at: np.ndarray, used: Any = True) -> Any:
        """Values of some of the pieces, zero where they are not used, as those of rows."""
        if values is None:
            return None
        found = values[np.arange(len(at))[:, np.newaxis], at]
        if used is not True:
            found[~used] = 0
        return found


def reverses(layer):
    """Whether each layer and direction goes backward in time, (L*D, 1)."""
    back = np.full(layer._states, layer.go_backwards)
    back[1::2] |= layer.bidirectional
    return back[:, np.newaxis]


def level_of(resets, valid):
    """For each valid step of rows (N, T), the resets of its row up to it: those of steps that are not valid count for
    the next that is."""
    level = np.cumsum(resets, axis=1, dtype=np.intp)
    return level.ravel() if valid is None else level[valid]


# Calls of the core


class Saved(NamedTuple):
    """What forward of a recurrent layer keeps for backward."""

    x: Any
    core_tape: Any
    steps: np.ndarray | Pieces | None  # that are valid: lengths, pieces, or all
    form: Any  # in which the sequences came, see sequences.py
    from_start: bool  # no state was given
    of_output: np.ndarray | None  # see `outputs.Output.saved`

    @property
    def rows(self):
        """N of the caller."""
        return rows_of(self.x, self.steps)


def rows_of(x, steps):
    """N of the caller, of x as the core takes it."""
    return steps.rows if type(steps) is Pieces else x.shape[0]


def refuse_memory(memory, steps, x, resets):
    """Raises if there is a budget for what is no plain array with lengths."""
    if memory is not None and type(steps) is Pieces:
        cause = "x is a list" if isinstance(x, (list, tuple)) else "of resets" if resets is not None else "of the mask"
        raise _arrays.wrong(ValueError, "memory", f"None, because {cause}", memory)


def run(layer, checked, keep, noise=None):
    """y, h, c and the core's tape, or None for it, of what `_checked` of a recurrent layer or cell returned."""
    x, state, steps, _ = checked
    N, T, _ = x.shape
    values, symbols = (x.vectors, x.symbols) if type(x) is Vectors else (x, None)
    if type(steps) is Pieces:
        to, h, c, core_tape = run_pieces(layer, values, symbols, state, steps, keep, noise)
    else:
        to = layer._output.room(layer, N, T)
        h, c = layer._new_state(N)
        core_tape = layer._core.forward(layer._flat, values, steps, *state, to, h, c, keep, symbols, noise)
    return layer._output.of(layer, to, h, c), h, c, core_tape


def run_pieces(layer, values, symbols, state, pieces, keep, noise):
    """The states of all steps, or None if they are not wanted, h and c of rows, and the core's tape."""
    count = len(pieces.number)
    to = None if layer.removes_time else pieces.array(layer.output_size, layer.dtype)
    h, c = layer._new_state(count)
    initial, (at, used) = layer._initial_state(count), pieces.entrances(layer)
    state = [pieces.spread(own, at, used, other) for own, other in zip(state, initial, strict=True)]
    core_tape = layer._core.forward(
        *(layer._flat, values, pieces.lengths, *state, to, h, c, keep, symbols, pieces.noise(noise), pieces.core())
    )
    at = pieces.exits(layer)
    return to, pieces.collect(h, at), pieces.collect(c, at), core_tape


def run_back(layer, tape, saved, dy, dstate, grads, need_dx, bptt=0, whole=()):
    """dx (N, T, I), dh and dc of arguments that are checked; adds to grads and uses the tape up. `whole`, for each
    member of the state, gets the gradients of those after each step; of pieces, it is not written between them."""
    x, core_tape, steps = saved.x, saved.core_tape, saved.steps
    cut = type(steps) is Pieces
    values = x.vectors if type(x) is Vectors else x
    dx = None
    if need_dx:
        dx = steps.array(x.shape[2], layer.dtype) if cut and values is x else np.empty(values.shape, layer.dtype)
    dh, dc = layer._new_state(len(steps.number) if cut else x.shape[0])
    dsteps, dfinal = layer._output.back(layer, dy, dstate, saved.of_output)
    if cut:
        dfinal = [steps.spread(member, steps.exits(layer)) for member in dfinal]
    count = len(grads) - layer.learned_state * layer._states * len(layer._kind.states)
    own = list(grads.values())[:count]
    tape.take()
    if type(core_tape) is checkpoints.Checkpoints:
        core_tape.backward(dsteps, dfinal, dx, (dh, dc), own, bptt)
    else:
        try:
            arrays = (dsteps, *dfinal, dx, dh, dc, own)
            layer._core.backward(layer._flat, core_tape, values, *arrays, bptt, *whole)
        except Exception:
            tape.put_back(saved)  # the core refuses before it writes
            raise
    if layer.learned_state and (cut or saved.from_start):
        given = steps.given(layer) if cut and not saved.from_start else None
        layer._add_initial(grads, without(dh, given), without(dc, given))
    if dx is not None and values is not x:
        dx = Vectors(dx, x.symbols)
    if cut:
        at, used = steps.entrances(layer)
        dh, dc = steps.collect(dh, at, used), steps.collect(dc, at, used)
    return dx, dh, dc


def without(values, flags):
    """Values with zeros where there are flags; None for either is none."""
    return values if values is None or flags is None else np.where(flags[..., np.newaxis], 0, values)
