"""Checkpoints in time: training on long sequences in less memory than their tape takes.

Forward keeps the states at the borders of chunks of time and forgets the rest. Backward goes through the chunks from
the last to the first, makes the tape of each again from the state before it, and uses it up before it makes the next
one (Griewank 1992; for networks Chen et al. 2016, in time Gruslys et al. 2016). The price is a second forward over all
chunks but the last, whose tape is kept.

(a) What goes through time by itself is a `Part`: a stack in one direction as a whole; of a bidirectional one each layer
    and direction, because a layer needs all steps of both directions below it. The sequences between them are kept.
(b) Chunks are the same pieces of time for all rows, and lengths are clipped to them. So a row may have no step in a
    chunk: one that has ended, or that the reverse direction has not reached yet. It hands on the state as it came.
(c) Forward has the bits of the whole, because steps do not depend on how time is cut. Gradients of weights are sums
    over time that are added up by chunk: they agree with those of the whole to the last digits of the precision.
(d) Truncation (`bptt`) counts the steps of each row in its own order. Where that count and the chunks do not fit,
    chunks are cut further, and what rows would hand back is cleared here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from . import _arrays
from .budget import Call, parts_of
from .embedding import Vectors

if TYPE_CHECKING:
    from .budget import Part


def run(layer: Any, checked: tuple, noise: tuple | None, memory: Any) -> tuple:
    """`_run` of a recurrent layer in training, within a budget in bytes, or None for the usual tape."""
    x, state, lengths, _ = checked
    if memory is not None:
        if layer.merge != "concat":
            raise _arrays.wrong(ValueError, "memory", f"None, because of merge={layer.merge!r}", memory)
        with_state = any(member is not None for member in state)
        call = Call(layer, *x.shape[:2], lengths, noise, with_state)
        count = call.chunks(_arrays.size("memory", memory))
        if count > 1:
            y, final = layer._output.room(layer, call.N, call.T), layer._new_state(call.N)
            found = Checkpoints(call, x, count)
            found.forward(state, y, final)
            return layer._output.of(layer, y, *final), *final, found
    return layer._run(checked, True, noise)


class Checkpoints:
    """What stands in the place of a tape: the states before the chunks, and the tape of the last one.

    States are pairs (h, c), of which c is None if the cell has none.
    """

    def __init__(self, call: Call, x: Any, count: int) -> None:
        self.layer, self.noise, self.N = call.layer, call.noise, call.N
        self.longest = call.longest
        self.ends = np.full(call.N, call.T, np.intp) if call.lengths is None else call.lengths
        self.steps = -(-self.longest // count)
        self.levels = parts_of(call.layer)
        self.inputs = [x]  # what each level reads
        self.borders: list = []  # the state before each chunk, in the order of computation, of all parts
        self.kept: Any = None  # the tape of the last of them

    def chunks(self, part: Part) -> list[tuple[int, int]]:
        """[begin, end) of each, in the order of computation. The last is a full one, because its tape is kept."""
        if part.reverse:
            begins = range((self.longest - 1) // self.steps * self.steps, -1, -self.steps)
            return [(begin, min(begin + self.steps, self.longest)) for begin in begins]
        return [(max(end - self.steps, 0), end) for end in range(self.longest, 0, -self.steps)][::-1]

    # Forward

    def forward(self, state: tuple, y: np.ndarray | None, final: tuple) -> None:
        """Writes y, if it is wanted, and the final state."""
        width = self.layer._width
        for level in self.levels:
            top = level is self.levels[-1]
            x, to = self.inputs[-1], y if top else np.empty((*self.inputs[0].shape[:2], width), self.layer.dtype)
            for part in level:
                self._forward_part(part, x, state, to, final, keep=top and part is level[-1])
            if not top:
                self.inputs.append(to)
        if y is not None:
            y[:, self.longest :] = 0

    def _forward_part(self, part, x, state, y, final, keep):
        before = tuple(None if member is None else member[part.states].copy() for member in state)
        chunks = self.chunks(part)
        for chunk in chunks:
            self.borders.append(before)
            after, kept = self._new_state(part), keep and chunk is chunks[-1]
            # Inference is shorter, but nothing is random in it
            tape = self._forward_piece(part, x, chunk, before, y, after, kept or self.noise is not None)
            if kept:
                self.kept = tape
            elif tape is not None:
                part.core.release(tape)
            before = after
        write(final, part, before)
        self._leave(part)

    def _forward_piece(self, part, x, piece, before, y, after, keep):
        """Writes y and the state after a piece of time, unless None; returns its tape, or None."""
        begin, end = piece
        values, symbols, _ = self._values(x, begin, end)
        lengths = np.clip(self.ends - begin, 0, end - begin)
        return part.core.forward(
            self.layer._flat[part.weights],
            values,
            None if lengths.min() == end - begin else lengths,
            *before,
            None if y is None else y[:, begin:end, part.features],
            *after,
            keep,
            symbols,
            part.noise(self.noise, begin),
        )

    def _new_state(self, part):
        shapes = self.layer._state_shapes(part.states.stop - part.states.start, self.N)
        arrays = [np.empty(shape, self.layer.dtype) for shape in shapes]
        return arrays[0], arrays[1] if len(arrays) == 2 else None

    def _values(self, x, begin, end):
        """Steps of x as the core takes them: numbers, or vectors with symbols that refer to them; and the symbols that
        these are the vectors of. That is None for all, unless there are more of them than steps."""
        if type(x) is not Vectors:
            return x[:, begin:end], None, None
        symbols = np.ascontiguousarray(x.symbols[:, begin:end])
        if len(x.vectors) <= symbols.size:
            return x.vectors, symbols, None
        valid = np.arange(begin, end) < self.ends[:, np.newaxis]
        used, places = np.unique(np.where(valid, symbols, 0), return_inverse=True)
        return x.vectors[used], places.reshape(symbols.shape).astype(np.int64, copy=False), used

    # Backward

    def backward(self, dy: Any, dfinal: tuple, dx: Any, dinitial: tuple, grads: list[np.ndarray], bptt: int) -> None:
        """Writes dx and dinitial, adds to grads. It is used up then."""
        for level in reversed(self.levels):
            x = self.inputs.pop()
            to = np.empty_like(x) if self.inputs else dx
            if to is not None and type(x) is Vectors:
                to[...] = 0
            elif to is not None:
                to[:, self.longest :] = 0
            for part in reversed(level):
                add = type(x) is Vectors or part is not level[-1]
                self._back_part(part, x, dy, dfinal, to, dinitial, grads, bptt, add)
            dy = to

    def _back_part(self, part, x, dy, dfinal, dx, dinitial, grads, bptt, add):
        dstate = tuple(None if member is None else member[part.states] for member in dfinal)
        for chunk in reversed(self.chunks(part)):
            pieces, inside = self._pieces(part, *chunk, bptt)
            tapes = self._tapes(part, x, pieces)
            for begin, end in reversed(pieces):
                values, _, used = self._values(x, begin, end)
                own = None if dx is None else np.empty_like(values) if add else dx[:, begin:end]
                dfrom = None if dy is None else dy[:, begin:end, part.features]
                before = self._new_state(part)
                weights, gradients = self.layer._flat[part.weights], grads[part.gradients]
                part.core.backward(weights, tapes.pop(), values, dfrom, *dstate, own, *before, gradients, inside)
                if bptt:
                    self._cut(part, end if part.reverse else begin, before, bptt)
                if own is not None and add:
                    add_to(dx[:, begin:end] if type(x) is not Vectors else dx, own, used)
                dstate = before
        write(dinitial, part, dstate)
        self._leave(part)

    def _leave(self, part):
        """A stack that was made for one part has no next call that its memory could be kept for."""
        if part.core is not self.layer._core:
            part.core.let_go()

    def _tapes(self, part, x, pieces):
        """The tapes of the pieces of a chunk: made again from the state before it, if there is none."""
        before, kept, self.kept = self.borders.pop(), self.kept, None
        if kept is not None and len(pieces) == 1:
            return [kept]
        kept, tapes = None, []
        for piece in pieces:
            after = (None, None) if piece is pieces[-1] else self._new_state(part)
            tapes.append(self._forward_piece(part, x, piece, before, None, after, True))
            before = after
        return tapes

    # Truncation

    def _pieces(self, part, begin, end, bptt):
        """A chunk cut where rows are, in the order of computation; and the truncation inside the pieces, 0 for none.

        A row of n steps is cut at the multiples of bptt, the reverse direction at times that are as many below n. If
        that is the same for all rows, one cut is enough: from there on, the core counts as they do.
        """
        if not bptt:
            return [(begin, end)], 0
        phases = {int(n) % bptt for n in self.ends if n > begin} if part.reverse else {0}
        cuts = sorted(t for phase in phases for t in range(begin + 1 + (phase - begin - 1) % bptt, end, bptt))
        if len(phases) == 1:
            cuts = cuts[-1:] if part.reverse else cuts[:1]
        pieces = list(zip([begin, *cuts], [*cuts, end], strict=True))
        return pieces[::-1] if part.reverse else pieces, bptt if len(phases) == 1 else 0

    def _cut(self, part, border, dstate, bptt):
        """Clears what rows hand back over a border in time, if they go on there after a multiple of bptt steps."""
        done = self.ends - border if part.reverse else np.full_like(self.ends, border)
        rows = (self.ends > border) & (done > 0) & (done % bptt == 0)
        for member in dstate:
            if member is not None:
                member[:, rows] = 0


def add_to(dx, own, used):
    """dx += own, which may be of some rows only, each of them once."""
    if used is None:
        dx += own
    else:
        dx[used] += own


def write(to, part, state):
    """Puts the state of a part into that of the whole."""
    for whole, own in zip(to, state, strict=True):
        if whole is not None:
            whole[part.states] = own
