"""Data that fit a network: arrays, lists of sequences, symbols."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .. import _arrays
from ..sequences import prefix

if TYPE_CHECKING:
    from collections.abc import Iterator


def checked_x(net, x):
    """x as an array that fits the network, and whether it has a time axis."""
    x = _arrays.array_of("x", x)
    features = net.input_size
    if not net.takes_indices and features is not None and x.shape[-1:] != (features,):
        raise _arrays.wrong(ValueError, "x", f"{features} features in the last axis", f"shape {x.shape}")
    if x.ndim == 0 or 0 in x.shape:
        raise _arrays.wrong(ValueError, "x", "at least one row and no empty axis", f"shape {x.shape}")
    return x, x.ndim + net.takes_indices == 3


def checked_parts(net, x):
    """A list of sequences that fit the network."""
    parts = []
    features = None if net.takes_indices else net.input_size
    for n, part in enumerate(x):
        array = _arrays.array_of(f"x[{n}]", part)
        if array.ndim != 2 - net.takes_indices or (features is not None and array.shape[1] != features):
            form = "(T,)" if net.takes_indices else f"(T, {'features' if features is None else features})"
            raise _arrays.wrong(ValueError, f"x[{n}]", f"shape {form}", f"shape {array.shape}")
        if net.takes_indices:
            check_symbols(net, array, None, None, f"x[{n}]")
        parts.append(array)
    kinds = {(part.shape[1:], part.dtype) for part in parts}
    if len(kinds) > 1:
        dtype = np.result_type(*(part.dtype for part in parts))
        if len({shape for shape, _ in kinds}) > 1:
            raise _arrays.wrong(ValueError, "x", "arrays with the same features", f"{sorted(s for s, _ in kinds)}")
        parts = [part.astype(dtype) for part in parts]
    return parts


def check_symbols(net, x, lengths, mask, name="x"):
    """Raises for indices that the network has no symbols for; reads a block of rows at a time."""
    symbols = number_of_symbols(net)
    if symbols is None:
        return
    x = _arrays.integers(name, x)
    for rows in blocks_of(x):
        valid = True
        if mask is not None:
            valid = mask[rows]
        elif lengths is not None:
            valid = prefix(lengths[rows], x.shape[1])
        _arrays.in_range(name, x[rows], symbols, "an index", valid, rows.start)


def check_symbols_of(name, sequences, symbols):
    """The same of sequences whose padding may be anything."""
    for rows in blocks_of(sequences.values):
        values = sequences.values[rows]
        valid = prefix(sequences.lengths[rows], values.shape[1])
        _arrays.in_range(name, values, symbols, "an index", valid, rows.start)


def blocks_of(array, elements=1 << 20) -> Iterator[slice]:
    """Slices of rows, so many elements each, so that nothing as large as a memory-mapped array is made."""
    rows = max(1, elements // max(1, array[:1].size))
    for start in range(0, len(array), rows):
        yield slice(start, min(start + rows, len(array)))


def number_of_symbols(net: Any) -> int | None:
    """How many different indices a network takes, as its first layer says; None if it does not say."""
    while hasattr(net, "layers") and net.takes_indices:
        net = net.layers[0]
    return getattr(net, "num_embeddings", None) if net.takes_indices else None
