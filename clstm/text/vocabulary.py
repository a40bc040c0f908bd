"""Which symbol has which number."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import _arrays

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import ArrayLike


class Vocabulary:
    """Symbols, such as words or characters, and their numbers from 0 on.

    `count` makes one from a text.

    Parameters
    ----------
    symbols : iterable of str
        In the order of their numbers; each once. A str is one of characters, here and below.
    unknown : str, optional
        The one of them that stands for all others. None: others are an error.

    Attributes
    ----------
    symbols : tuple of str
    unknown : str or None

    Raises
    ------
    TypeError, ValueError
        No symbols, one that is no str or is there twice, or `unknown` is none of them.

    Examples
    --------
    >>> from clstm.text import Vocabulary, words
    >>> vocabulary = Vocabulary.count(words("to be or not to be"), special=("<pad>", "<unk>"), unknown="<unk>")
    >>> vocabulary.symbols
    ('<pad>', '<unk>', 'be', 'to', 'not', 'or')
    >>> vocabulary.encode(["to", "see"])
    array([3, 1])
    >>> vocabulary.decode([4, 3, 2])
    ['not', 'to', 'be']
    """

    __slots__ = ("_numbers", "symbols", "unknown")

    def __init__(self, symbols: Iterable[str], *, unknown: str | None = None) -> None:
        self.symbols = checked_symbols("symbols", symbols)
        if not self.symbols:
            raise _arrays.wrong(ValueError, "symbols", "at least one", "none")
        self._numbers = {symbol: number for number, symbol in enumerate(self.symbols)}
        if len(self._numbers) < len(self.symbols):
            twice = next(symbol for number, symbol in enumerate(self.symbols) if self._numbers[symbol] != number)
            raise _arrays.wrong(ValueError, "symbols", "each once", f"{twice!r} again")
        if unknown is not None and unknown not in self._numbers:
            raise _arrays.wrong(ValueError, "unknown", "one of the symbols, or None", repr(unknown))
        self.unknown = unknown

    @classmethod
    def count(
        cls,
        symbols: Iterable[str],
        *,
        min_count: int = 1,
        max_size: int | None = None,
        special: Iterable[str] = (),
        unknown: str | None = None,
    ) -> Vocabulary:
        """The vocabulary of a text: frequent symbols first, equally frequent ones in the order of their characters.

        Parameters
        ----------
        symbols : iterable of str
            All tokens of the text.
        min_count : int
            Symbols that occur less often are left out.
        max_size : int, optional
            The most frequent ones that make, with the special ones, no more than so many. None: all.
        special : iterable of str
            What comes first, such as padding, whether the text has it or not. (A token of the text with the same name
            is taken for it.)
        unknown : str, optional
            One of `special`.

        Returns
        -------
        Vocabulary

        Raises
        ------
        TypeError, ValueError
            An argument does not fit, or nothing is left.
        """
        special = checked_symbols("special", special, text=False)
        min_count = _arrays.size("min_count", min_count)
        if max_size is not None and _arrays.size("max_size", max_size) <= len(special):
            raise _arrays.wrong(ValueError, "max_size", f"more than the {len(special)} special symbols", max_size)
        if unknown is not None and unknown not in special:
            raise _arrays.wrong(ValueError, "unknown", "one of special, or None", repr(unknown))
        counts = Counter(checked_symbols("symbols", symbols))
        for symbol in special:
            counts.pop(symbol, None)
        frequent = sorted((symbol for symbol in counts if counts[symbol] >= min_count), key=lambda s: (-counts[s], s))
        if not frequent:
            raise _arrays.wrong(ValueError, "symbols", f"one {min_count} times or more", f"{len(counts)} others")
        left = None if max_size is None else max_size - len(special)
        return cls((*special, *frequent[:left]), unknown=unknown)

    def __len__(self) -> int:
        return len(self.symbols)

    def __iter__(self) -> Iterator[str]:
        return iter(self.symbols)

    def __contains__(self, symbol: object) -> bool:
        return isinstance(symbol, str) and symbol in self._numbers

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Vocabulary):
            return NotImplemented
        return self.symbols == other.symbols and self.unknown == other.unknown

    def __hash__(self) -> int:
        return hash((self.symbols, self.unknown))

    def __repr__(self):
        return f"<Vocabulary of {_arrays.some(list(self.symbols))}>"

    def number(self, symbol: str) -> int:
        """The number of a symbol.

        Raises
        ------
        ValueError
            It is not known, and `unknown` is None.
        """
        return int(self.encode([symbol])[0])

    def encode(self, symbols: Iterable[str]) -> np.ndarray:
        """The numbers of symbols.

        Parameters
        ----------
        symbols : iterable of str

        Returns
        -------
        ndarray of int64, (n,)

        Raises
        ------
        TypeError
            A symbol is no str.
        ValueError
            A symbol is not known, and `unknown` is None; the message has its place.
        """
        symbols = checked_symbols("symbols", symbols)
        absent = -1 if self.unknown is None else self._numbers[self.unknown]
        numbers = self._numbers
        found = np.fromiter((numbers.get(symbol, absent) for symbol in symbols), np.int64, len(symbols))
        if self.unknown is None and found.size and found.min() < 0:
            place = int(found.argmin())
            expected = f"symbols among {_arrays.some(list(self.symbols))}"
            raise _arrays.wrong(ValueError, f"symbols[{place}]", expected, repr(symbols[place]))
        return found

    def decode(self, numbers: ArrayLike) -> list[str]:
        """The symbols of numbers.

        Parameters
        ----------
        numbers : array_like of int, (n,)

        Returns
        -------
        list of str

        Raises
        ------
        TypeError, ValueError
            Other numbers than those from 0 to len(vocabulary) - 1.
        """
        numbers = _arrays.integers("numbers", numbers)
        if numbers.ndim != 1:
            raise _arrays.wrong(ValueError, "numbers", "shape (n,)", f"shape {numbers.shape}")
        _arrays.in_range("numbers", numbers, len(self), "a symbol")
        return [self.symbols[number] for number in numbers]

    def state(self) -> dict[str, Any]:
        """What a file holds of it."""
        return {"symbols": list(self.symbols), "unknown": self.unknown}

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Vocabulary:
        """The vocabulary that `state` described."""
        return cls(state["symbols"], unknown=state["unknown"])


def checked_symbols(name: str, values: Any, text: bool = True) -> tuple[str, ...]:
    """A tuple of str from an iterable of them; a str itself stands for its characters, or is refused."""
    if (isinstance(values, str) and not text) or isinstance(values, (bytes, dict)) or not hasattr(values, "__iter__"):
        raise _arrays.wrong(TypeError, name, "a list of str", _arrays.kind(values))
    values = tuple(values)
    for place, value in enumerate(values):
        if not isinstance(value, str):
            raise _arrays.wrong(TypeError, f"{name}[{place}]", "a str", f"{value!r} ({_arrays.kind(value)})")
    return values
