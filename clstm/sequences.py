"""Sequences as callers have them: rows with lengths or with a mask, or a list of arrays; and flags that reset.

A recurrent layer takes all of them as they are (`steps_of`, `Listed`). A network takes the valid steps out of what is
no plain array with lengths, puts them side by side into one array (1, all steps, F), which it hands from layer to
layer, and gives the last one back in the form in which the first one came.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from . import _arrays
from .embedding import Embedding
from .pieces import Pieces, level_of

# Arguments


def flags(name: str, value: Any, shape: tuple[int, ...]) -> np.ndarray:
    """An array of booleans of this shape."""
    array = _arrays.array_of(name, value)
    if array.dtype != bool and not (array.size == 0 and array.dtype.kind == "f"):
        raise _arrays.wrong(TypeError, name, "an array of booleans", f"dtype {array.dtype}")
    if array.shape != shape:
        raise _arrays.wrong(ValueError, name, f"shape {shape}", f"shape {array.shape}")
    return array


def checked_steps(lengths: Any, mask: Any, shape: tuple[int, int]) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Lengths (N,), or a mask (N, T) that is more than lengths, of which at most one is not None."""
    if mask is None:
        return _arrays.lengths(lengths, *shape), None
    if lengths is not None:
        expected = "None where lengths are given, since a mask says alone which steps are valid"
        raise _arrays.wrong(ValueError, "mask", expected, _arrays.kind(mask))
    mask = flags("mask", mask, shape)
    counts = mask.sum(axis=1, dtype=np.intp)
    if (mask != prefix(counts, shape[1])).any():
        return None, mask
    return (None if (counts == shape[1]).all() else counts), None


def checked_resets(resets: Any, shape: tuple[int, int]) -> np.ndarray | None:
    """Flags (N, T), or None if none is set."""
    if resets is None:
        return None
    resets = flags("resets", resets, shape)
    return resets if resets.any() else None


def steps_of(lengths: Any, mask: Any, resets: Any, shape: tuple[int, int]) -> np.ndarray | Pieces | None:
    """What is computed of rows (N, T): all (None), as many steps as lengths say, or pieces."""
    if lengths is None and mask is None and resets is None:
        return None
    lengths, mask = checked_steps(lengths, mask, shape)
    resets = checked_resets(resets, shape)
    if mask is None and resets is None:
        return lengths
    return Pieces.of_rows(mask if lengths is None else prefix(lengths, shape[1]), shape, resets)


def prefix(lengths: np.ndarray, T: int) -> np.ndarray:
    """The mask (N, T) of lengths."""
    return np.arange(T) < lengths[:, np.newaxis]


def is_list(x: Any, ndim: int) -> bool:
    """Whether x is a list of sequences: of arrays with a time axis, where a nested list is one array."""
    return isinstance(x, (list, tuple)) and any(isinstance(part, np.ndarray) and part.ndim == ndim for part in x)


# Forms


class AsTheyAre:
    """Sequences in one array (N, T, F), which the core takes and gives."""

    def give(self, y):
        """What belongs to the caller of what the core has computed."""
        return y

    def gradient(self, name, dy, dtype, shape):
        """A gradient with respect to that, as the core takes it."""
        return _arrays.of_shape(name, dy, dtype, shape, strided=True)


ROWS = AsTheyAre()


class Flat:
    """Sequences whose valid steps stand side by side in one array (1, all steps, F), row by row.

    Parameters
    ----------
    counts : ndarray of intp, (N,)
        Valid steps of each.
    level : ndarray of intp or None
        As `Pieces` takes it.
    time : ndarray of intp, (all steps,)
        That of each step for the caller.
    """

    checked: Any = True  # the steps of the caller's arrays that count
    listed = False  # whether the caller has them as a list

    def __init__(self, counts: np.ndarray, level: np.ndarray | None, time: np.ndarray) -> None:
        self.counts, self.ends = counts, np.cumsum(counts)
        self.pieces = Pieces(counts, level)
        self.pieces.noise_time = time if len(time) else np.zeros(1, np.intp)
        self.shape = self.pieces.shape

    @property
    def has_resets(self) -> bool:
        """Whether any of them is in more than one piece, or cut off from its given state."""
        return len(self.pieces.number) > len(self.counts) or bool(self.pieces.fresh.any())

    def whole(self) -> tuple:
        """The sequences, whatever the resets, as pieces for the core."""
        return *self.shape, np.zeros_like(self.counts), self.ends - self.counts, None, None

    def after(self, counts: np.ndarray) -> Flat:
        """What a layer gives that makes so many steps of each sequence: with as many as there are, the same."""
        if counts is self.counts:
            return self
        if self.has_resets:
            raise _arrays.wrong(ValueError, "resets", "None, because a layer changes the number of steps", "flags")
        return Resized(counts, self)

    # Other forms of the same steps

    def side_by_side(self, steps: np.ndarray) -> np.ndarray:
        """(all steps, ..) as an array of `shape`, which has one step where there is none."""
        steps = steps if len(steps) else np.zeros((1, *steps.shape[1:]), steps.dtype)
        return steps[np.newaxis]

    def steps(self, flat: np.ndarray) -> np.ndarray:
        """The other way."""
        return flat[0, : self.ends[-1]]

    def pad(self, flat: np.ndarray) -> np.ndarray:
        """(N, longest, ..), zero behind the end of each."""
        valid = prefix(self.counts, self.longest)
        found = np.zeros((*valid.shape, *flat.shape[2:]), flat.dtype)
        found[valid] = self.steps(flat)
        return found

    def unpad(self, padded: np.ndarray) -> np.ndarray:
        """The other way."""
        return self.side_by_side(padded[prefix(self.counts, self.longest)])

    @property
    def longest(self) -> int:
        """At least 1."""
        return max(1, int(self.counts.max()))

    def padded_resets(self) -> np.ndarray | None:
        """The flags (N, longest); None if none is set."""
        if not self.has_resets:
            return None
        flat = np.zeros(self.shape, bool)
        starts = self.pieces.lengths > 0
        starts[self.pieces.first[~self.pieces.fresh]] = False
        flat[0, self.pieces.start[starts]] = True
        return self.pad(flat)

    def padded(self) -> tuple:
        """The same sequences as arguments of a call: x, lengths, mask and resets."""
        return self.pad(self.x), self.counts, None, self.padded_resets()

    def give(self, flat: Any) -> Any:
        """What belongs to the caller of what has been computed."""
        raise NotImplementedError

    def gradient(self, name: str, dy: Any, dtype: np.dtype, shape: tuple[int, ...]) -> np.ndarray:
        """A gradient with respect to that, as an array of `shape` and features."""
        raise NotImplementedError


class Apart(Flat):
    """Those that the caller has as a list."""

    def give(self, flat: Any) -> Any:
        """A list of (T_n, F), views of one array."""
        return None if flat is None else np.split(self.steps(flat), self.ends[:-1])

    def gradient(self, name: str, dy: Any, dtype: np.dtype, shape: tuple[int, ...]) -> np.ndarray:
        """Of a list of (T_n, F), or (N, longest, F)."""
        features = shape[2]
        if not isinstance(dy, (list, tuple)):
            return self.unpad(
                _arrays.of_shape(name, dy, dtype, (len(self.counts), self.longest, features), strided=True)
            )
        if len(dy) != len(self.counts):
            raise _arrays.wrong(ValueError, name, f"{len(self.counts)} arrays", f"{len(dy)}")
        parts = [
            _arrays.of_shape(f"{name}[{n}]", part, dtype, (int(count), features))
            for n, (part, count) in enumerate(zip(dy, self.counts, strict=True))
        ]
        return self.side_by_side(np.concatenate(parts))


class Resized(Apart):
    """Those that a layer has made, which has changed the number of steps.

    Parameters
    ----------
    counts : ndarray of intp, (N,)
        Steps of each.
    source : Flat
        What the layer was given.
    """

    def __init__(self, counts: np.ndarray, source: Flat) -> None:
        counts = counts.astype(np.intp, copy=False)
        starts = np.cumsum(counts) - counts
        super().__init__(counts, None, np.arange(counts.sum(), dtype=np.intp) - np.repeat(starts, counts))
        self.listed = source.listed

    def give(self, flat):
        """A list; there is no array of the caller in which other steps than those of the mask have a place."""
        if not self.listed:
            expected = "None, because a layer changes the number of steps (lists of sequences and lengths can be given)"
            raise _arrays.wrong(ValueError, "mask", expected, "a mask that is more than lengths")
        return super().give(flat)


class Listed(Apart):
    """Those of a list of arrays (T_n, F), or of indices (T_n,)."""

    listed = True

    def __init__(self, parts: list[np.ndarray], lengths: Any, mask: Any, resets: Any) -> None:
        _arrays.absent("lengths", lengths, "x is a list, whose arrays have their own")
        _arrays.absent("mask", mask, "x is a list, of steps that are all valid")
        counts = np.array([len(part) for part in parts], np.intp)
        starts = np.cumsum(counts) - counts
        time = np.arange(counts.sum(), dtype=np.intp) - np.repeat(starts, counts)
        super().__init__(counts, None if resets is None else listed_level(resets, counts, starts), time)
        self.x = self.side_by_side(np.concatenate(parts))

    @classmethod
    def of(cls, x: Any, lengths: Any, mask: Any, resets: Any, dtype: np.dtype | None, features: int | None) -> Listed:
        """That of a list of arrays of a dtype, or of indices, for None; checked."""
        parts = []
        for n, part in enumerate(x):
            name = f"x[{n}]"
            array = _arrays.integers(name, part) if dtype is None else _arrays.real(name, part, dtype)
            if array.ndim != 1 + (dtype is not None) or (features is not None and array.shape[-1] != features):
                form = "(T,)" if dtype is None else f"(T, {'features' if features is None else features})"
                raise _arrays.wrong(ValueError, name, f"shape {form}", f"shape {array.shape}")
            parts.append(array)
        widths = {part.shape[1:] for part in parts}
        if len(widths) > 1:
            raise _arrays.wrong(ValueError, "x", "arrays with the same features", f"{sorted(widths)}")
        return cls(parts, lengths, mask, resets)


def listed_level(resets, counts, starts):
    """For each step, the resets of its row up to it, of a list of flags (T_n,); None if none is set."""
    if not isinstance(resets, (list, tuple)) or len(resets) != len(counts):
        got = f"{len(resets)} of them" if isinstance(resets, (list, tuple)) else _arrays.kind(resets)
        raise _arrays.wrong(
            ValueError if isinstance(resets, (list, tuple)) else TypeError,
            *("resets", f"a list of {len(counts)} arrays of flags, as x is one", got),
        )
    parts = [flags(f"resets[{n}]", part, (int(counts[n]),)) for n, part in enumerate(resets)]
    every = np.concatenate([np.zeros(0, bool), *(part.astype(bool) for part in parts)])
    level = np.cumsum(every, dtype=np.intp)
    before = np.concatenate([[0], level])[starts]
    return level - np.repeat(before, counts) if every.any() else None


class Chosen(Flat):
    """Those of the valid steps of an array (N, T, F), or of indices (N, T)."""

    def __init__(self, x: np.ndarray, lengths: Any, mask: np.ndarray | None, resets: np.ndarray | None) -> None:
        N, T = x.shape[:2]
        valid = mask if lengths is None else prefix(lengths, T)
        counts = np.full(N, T, np.intp) if valid is None else valid.sum(axis=1, dtype=np.intp)
        time = np.tile(np.arange(T, dtype=np.intp), N) if valid is None else np.ascontiguousarray(np.nonzero(valid)[1])
        super().__init__(counts, None if resets is None else level_of(resets, valid), time)
        self.caller, self.valid = (N, T), valid if lengths is not None or valid is None else valid.copy()
        self.checked = True if self.valid is None else self.valid
        self.x = self.take(x)

    def take(self, array: np.ndarray) -> np.ndarray:
        """The valid steps of an array (N, T, ..) side by side."""
        if self.valid is None:
            return array.reshape(1, -1, *array.shape[2:])
        return self.side_by_side(array[self.valid])

    def give(self, flat: Any) -> Any:
        """(N, T, F), zero at steps that are not valid."""
        if flat is None or self.valid is None:
            return None if flat is None else flat.reshape(*self.caller, *flat.shape[2:])
        found = np.zeros((*self.caller, *flat.shape[2:]), flat.dtype)
        found[self.valid] = self.steps(flat)
        return found

    def gradient(self, name: str, dy: Any, dtype: np.dtype, shape: tuple[int, ...]) -> np.ndarray:
        """Of (N, T, F), which is not read at steps that are not valid."""
        return self.take(_arrays.of_shape(name, dy, dtype, (*self.caller, shape[2]), strided=True))


# What a network is given


def of_network(net: Any, x: Any, lengths: Any, mask: Any, resets: Any) -> tuple[np.ndarray, Any]:
    """x as the first layer takes it, and what of it is valid: lengths, None where x has no time axis, or `Flat`."""
    ndim = 1 if net.takes_indices else 2  # of one sequence
    if net.axes != "step" and is_list(x, ndim):
        found = Listed.of(x, lengths, mask, resets, None if net.takes_indices else net.dtype, net.input_size)
        return checked_flat(net, found, {f"x[{n}]": part for n, part in enumerate(x)})
    if net.takes_indices:
        x = _arrays.indices("x", x)
        axes = {"sequence": 2, "step": 1, "any": x.ndim}[net.axes]
        if x.ndim != axes:
            raise _arrays.wrong(ValueError, "x", "shape (N, T)" if axes == 2 else "shape (N,)", f"shape {x.shape}")
    else:
        axes = {"sequence": "NT", "step": "N", "any": "N?"}[net.axes]
        x = _arrays.steps("x", x, net.dtype, net.input_size, axes=axes)
    if x.ndim == ndim:
        for name, value in (("lengths", lengths), ("mask", mask), ("resets", resets)):
            _arrays.absent(name, value, "x has no time axis")
        return x, None
    lengths, mask = checked_steps(lengths, mask, x.shape[:2])
    resets = checked_resets(resets, x.shape[:2])
    if mask is None and resets is None:
        return x, lengths
    return checked_flat(net, Chosen(x, lengths, mask, resets), {"x": x})


def refuse_memory(memory, steps):
    """Raises if there is a budget for a network that is given more than an array with lengths."""
    if memory is not None and isinstance(steps, Flat):
        given = "x is a list" if isinstance(steps, Listed) else "of resets" if steps.has_resets else "of the mask"
        raise _arrays.wrong(ValueError, "memory", f"None, because {given}", memory)


def checked_flat(net, found, arrays):
    """The same of sequences side by side; what is wrong is told by the arrays of the caller, by their names."""
    if found.has_resets and not net.takes_resets:
        raise _arrays.wrong(ValueError, "resets", "None, because no layer of this network knows them", "flags")
    if type(net.layers[0]) is Embedding:
        for name, array in arrays.items():
            _arrays.in_range(name, np.asarray(array), net.layers[0].num_embeddings, "an index", found.checked)
    return found.x, found
