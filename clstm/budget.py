"""Memory for training on long sequences: how many bytes are kept from forward to backward, by the number of chunks that
time is cut into, and how a budget is shared out. What is done with it stands in `checkpoints.py`.

What counts is the tape, or in its place the states at the borders of chunks, the largest tape of a chunk, and for
bidirectional stacks the sequences between layers. What the caller gets or gave (x, y, dy, dx) does not, nor does the
working memory of a call.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from . import _arrays, _core

if TYPE_CHECKING:
    from collections.abc import Iterator


class Part(NamedTuple):
    """What goes through time by itself: a stack in one direction, or one layer and direction of a bidirectional one.

    It has its own place in what belongs to the whole: the flat parameters, the list of gradients, the first axis of the
    states, and the features of y; and its number of the first layer, by which masks are drawn.
    """

    core: Any
    weights: slice
    gradients: slice
    states: slice
    features: slice
    reverse: bool
    first_layer: int

    def noise(self, noise: tuple | None, step: int) -> tuple | None:
        """The noise of the whole, as the core takes it, for this part from a step on."""
        if noise is None:
            return None
        seed, rows, first_step, *_ = noise
        return seed, rows, first_step + step, self.first_layer, self.states.start


def parts_of(layer: Any) -> list[list[Part]]:
    """Those of a recurrent layer, in levels: the parts of one read the same, and give what the next level reads."""
    core, R, L = layer._core, layer._size_h, layer.num_layers
    if not layer.bidirectional:
        return [[Part(core, slice(None), slice(None), slice(0, L), slice(None), layer.go_backwards, 0)]]
    learned = layer.learned_state * len(layer._kind.states)  # behind those that the core knows
    arrays, start, levels = len(layer._shapes) // layer._states - learned, 0, []
    for k in range(L):
        description = {**core.description, "input_size": 2 * R if k else layer.input_size, "num_layers": 1, "behind": 0}
        description["show_c"] &= k == L - 1
        each, level = layer.hidden_size if description["show_c"] else R, []
        for d in range(2):
            own = _core.Stack({**description, "directions": 1, "go_backwards": d == 1})
            index, stop = 2 * k + d, start + own.parameters
            gradients = slice(index * arrays, (index + 1) * arrays)
            states, features = slice(index, index + 1), slice(d * each, (d + 1) * each)
            level.append(Part(own, slice(start, stop), gradients, states, features, d == 1, k))
            start = stop
        levels.append(level)
    return levels


class Call(NamedTuple):
    """A call of forward, so far as memory depends on it."""

    layer: Any
    N: int
    T: int
    lengths: np.ndarray | None
    noise: tuple | None  # as the core takes it
    with_state: bool  # whether there is an initial state, of which a copy is kept

    @property
    def longest(self) -> int:
        """Steps of the longest row."""
        return self.T if self.lengths is None else int(self.lengths.max())

    def usual(self) -> int:
        """Bytes of the tape of all steps."""
        return self.layer._core.tape_size(self.N, self.T, self.lengths, self.noise)

    def in_chunks(self) -> Iterator[tuple[int, int]]:
        """For 2, 3, .. chunks, their number and the bytes that are kept; ends where more of them never need less."""
        levels, layer, longest = parts_of(self.layer), self.layer, self.longest
        number = layer.dtype.itemsize
        state = sum(_arrays.count_of(shape) for shape in layer._state_shapes(layer._states, self.N)) * number
        between = (len(levels) - 1) * self.N * self.T * layer._width * number
        least = None
        for count in range(2, longest + 1):
            borders = between + (count - 1 + self.with_state) * state
            if least is not None and borders >= least:
                return
            found = borders + self._tape_of_chunk(levels, -(-longest // count))
            least = found if least is None else min(least, found)
            yield count, found

    def _tape_of_chunk(self, levels, steps):
        """Bytes of the largest tape of so many steps. No piece of time has more steps of rows than [0, steps), and no
        level others than the first or the last."""
        lengths = None if self.lengths is None else np.minimum(self.lengths, steps)
        parts = levels[0][0], levels[-1][0]
        return max(part.core.tape_size(self.N, steps, lengths, part.noise(self.noise, 0)) for part in parts)

    def least(self) -> int:
        """The fewest bytes that do."""
        return min([self.usual(), *(found for _, found in self.in_chunks())])

    def chunks(self, memory: int) -> int:
        """The fewest chunks that fit a budget, which means the fewest steps that are computed twice; 1: the usual
        tape fits."""
        if self.usual() <= memory:
            return 1
        for count, found in self.in_chunks():
            if found <= memory:
                return count
        raise too_small(self.least(), memory)


def too_small(least, memory):
    return _arrays.wrong(ValueError, "memory", f"at least {least} bytes for these sequences", memory)


# Networks


def shares(net: Any, x: np.ndarray, lengths: np.ndarray | None, state: list, memory: Any) -> list[int | None]:
    """Of a budget for a network, or None, that of each layer; None for those that are not recurrent.

    Each gets the least that it needs, and of what is left the same fraction of what it could use.
    """
    if memory is None:
        return [None] * len(net.layers)
    memory = _arrays.size("memory", memory)
    needs = needs_of_layers(net, x.shape, lengths, state)
    if not any(needs):
        raise not_recurrent(net)
    least, usual = (sum(need[i] for need in needs if need) for i in range(2))
    if memory < least:
        raise too_small(least, memory)
    fraction = 1.0 if memory >= usual else (memory - least) / (usual - least)
    return [need and need[0] + int(fraction * (need[1] - need[0])) for need in needs]


def not_recurrent(net):
    return _arrays.wrong(ValueError, "memory", "None, because no layer is recurrent", repr(net))


def needs_of_layers(net: Any, shape: tuple[int, ...], lengths: np.ndarray | None, states: Any) -> list:
    """`needs_of` each layer of a network; one that makes fewer steps of sequences does so for those that follow."""
    from .ensemble import Ensemble  # which needs this module

    found = []
    for layer, own in zip(net.layers, states, strict=False):
        found.append(needs_of(layer, shape, lengths, own))
        if layer.mixes_steps and not layer.removes_time and not isinstance(net, Ensemble):
            shape = shape[0], max(1, int(layer.lengths_after(np.array(shape[1]))))
            lengths = layer.lengths_after(lengths)
    return found


def needs_of(layer: Any, shape: tuple[int, ...], lengths: np.ndarray | None, state: Any) -> tuple[int, int] | None:
    """The least and the usual number of bytes of a layer or network, by the shape of x, and by a state or None for each
    layer or for all; None if nothing is recurrent."""
    from .network import Network  # which needs this module
    from .recurrent import RecurrentLayer

    if isinstance(layer, Network):
        own = state if isinstance(state, (list, tuple)) else [state] * len(layer.layers)
        needs = [need for need in needs_of_layers(layer, shape, lengths, own) if need]
        return (sum(need[0] for need in needs), sum(need[1] for need in needs)) if needs else None
    if not isinstance(layer, RecurrentLayer):
        return None
    N, T = shape[:2]
    call = Call(layer, N, T, lengths, ANY_NOISE if layer.takes_noise else None, state is not None)
    return call.least(), call.usual()


ANY_NOISE = (0, None, 0, 0, 0)  # all take the same memory
ANY_MEMORY = sys.maxsize


def check_batches(net: Any, memory: int, rows: int, steps: int) -> None:
    """Raises if a budget is too small for some batch of so many rows and steps, with or without a state."""
    needs = needs_of(net, (rows, steps), None, True)
    if not needs:
        raise not_recurrent(net)
    if memory < needs[0]:
        for_batches = f"at least {needs[0]} bytes for batches of {rows} rows with {steps} steps"
        raise _arrays.wrong(ValueError, "memory", for_batches, memory)
