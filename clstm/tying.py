"""Parameters that two layers of a network share, such as vectors of an embedding and the weight of an output layer.

Each layer keeps its parameters in a flat array of its own, a part of that of its network. One of two that are tied is
the only parameter of its layer, so that the flat array of that layer can be a part of the other's: the parameter is
there once, and neither layer has to know of it.
"""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Any, NamedTuple

from . import _arrays

if TYPE_CHECKING:
    from collections.abc import Callable


class Tie(NamedTuple):
    """A parameter of two layers."""

    names: tuple[str, str]  # in the network: the one that is given up, and the one that stays
    inner: int  # the layer that stands in the parameter ..
    outer: int  # .. of this one, ..
    parameter: str  # .. which is called so there
    outer_stays: bool  # whether it is the one that stays, and both start with its values


def find(tied: Any, count: int, shapes_of: Callable[[int], dict[str, tuple[int, ...]]]) -> tuple[Tie, ...]:
    """The ties of a network of so many layers, or an error; `shapes_of` are the parameters of a layer."""
    if tied is None:
        return ()
    if not isinstance(tied, dict) or not all(isinstance(name, str) for pair in tied.items() for name in pair):
        raise _arrays.wrong(TypeError, "tied", "a dict from names to names of parameters, or None", repr(tied))
    found = tuple(tie_of(pair, count, shapes_of) for pair in tied.items())
    seen: set[str] = set()
    for name in chain(*tied.items()):
        if name in seen:
            raise _arrays.wrong(ValueError, "tied", "each parameter once", f"{name!r} twice")
        seen.add(name)
    return found


def tie_of(pair, count, shapes_of):
    """That of two names."""
    (k, name), (j, other) = (place_of(full, count, shapes_of) for full in pair)
    if k == j:
        raise _arrays.wrong(ValueError, "tied", "parameters of two layers", f"{pair[0]!r} and {pair[1]!r} of one")
    own, others = shapes_of(k), shapes_of(j)
    if own[name] != others[other]:
        got = f"{pair[0]!r} with {own[name]} and {pair[1]!r} with {others[other]}"
        raise _arrays.wrong(ValueError, "tied", "parameters of one shape", got)
    if len(own) == 1:
        return Tie(pair, k, j, other, True)
    if len(others) == 1:
        return Tie(pair, j, k, name, False)
    expected = "that one of the two is the only parameter of its layer, as that of an Embedding"
    raise _arrays.wrong(ValueError, "tied", expected, f"{pair[0]!r} and {pair[1]!r}")


def place_of(full, count, shapes_of):
    """The layer and the name there of a parameter of the network."""
    number, _, name = full.partition(".")
    if number.isdecimal() and number.isascii() and len(number) < 10 and int(number) < count:
        names = shapes_of(int(number))
        if name in names and full == f"{int(number)}.{name}":
            return int(number), name
        known = f"one of {_arrays.some([f'{int(number)}.{name}' for name in names])}"
    else:
        known = f"the name of a parameter of layers[0] to layers[{count - 1}]"
    raise _arrays.wrong(ValueError, "tied", known, repr(full))


def named(ties: tuple[Tie, ...], k: int, name: str) -> str:
    """What a parameter of layer k is called in the network."""
    full = f"{k}.{name}"
    for tie in ties:
        if full == tie.names[0]:
            return tie.names[1]
    return full


def place(ties: tuple[Tie, ...], layers: tuple) -> None:
    """Moves the inner layers into the outer ones, which are in their places."""
    for tie in ties:
        inner, outer = layers[tie.inner], layers[tie.outer]
        slot = next(outer._flat[where] for name, where, _ in outer._places if name == tie.parameter)
        if tie.outer_stays:
            inner._flat[...] = slot
        inner._move(slot)
