"""WordEncoder: a vector for each word, of the word itself and of its characters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from . import _arrays, _core
from ._steps import placed, valid_steps
from .dropout import Dropout
from .encoder_decoder_parts import _Parts
from .layer import LATER, Tape, look
from .model_file import shapes_of
from .noise import noise_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import ArrayLike, DTypeLike

KINDS = ("lstm", "conv")
WIDTH = 3  # characters that a convolution sees at once


class WordEncoder(_Parts):
    """A vector for each word: its own, one that is made of its characters, and some of categories such as its case.

    The characters are read by an LSTM in both directions, whose final states are taken (Lample et al. 2016), or by a
    convolution whose greatest values are (Ma and Hovy 2016). So words that training has never seen have a meaning too.
    Of equal words in a batch one is read. Words themselves are given as numbers in the features of x::

        x[n, t] = word, category_1, .., category_K, character_1, .., character_C

    where the character 0 stands behind the last. y[n, t] is one vector behind the other.

    Parameters
    ----------
    num_words : int
        How many different words there are; number 0 is the unknown one.
    dim : int
        Size of the vector of a word.
    num_characters : int
        How many different characters there are, with 0 for none.
    character_dim : int
        Size of the vector of a character.
    character_size : int
        Features of what is made of the characters; even for "lstm", half for each direction.
    max_characters : int, default 20
        C
    characters : str, default "lstm"
        What reads them: "lstm" or "conv", a `Conv1d` of width 3 and a `Pool` "max".
    categories : sequence of int, default ()
        How many values each of the K categories has, from 0 on.
    category_dim : int, default 5
        Size of their vectors.
    word_dropout : float, default 0.0
        In training rare words become the unknown one with this probability, so that its vector is learnt (Lample et al.
        2016). Their characters stay.
    first_rare : int, default 1
        Words of this number or a larger one are rare: of a vocabulary that is sorted by frequency, the seldom ones.
    dtype : str or dtype, default "float32"
        "float32" or "float64".
    rng : int or numpy.random.Generator, optional
        Seed or generator for the starting weights; None: fresh entropy.

    Notes
    -----
    Parameters: ``words.weight``, those of the network ``characters``, and ``category_0.weight`` and so on.

    x holds numbers of symbols, so that its gradient is zero.

    Examples
    --------
    Two words, of which the second one has one character:

    >>> import clstm
    >>> encoder = clstm.WordEncoder(100, 8, 30, 4, 6, max_characters=3, rng=0)
    >>> encoder([[[7, 2, 5, 2], [9, 3, 0, 0]]]).shape
    (1, 2, 14)
    """

    _positional = ("num_words", "dim", "num_characters", "character_dim", "character_size")

    def __init__(
        self,
        num_words: int,
        dim: int,
        num_characters: int,
        character_dim: int,
        character_size: int,
        *,
        max_characters: int = 20,
        characters: str = "lstm",
        categories: Iterable[int] = (),
        category_dim: int = 5,
        word_dropout: float = 0.0,
        first_rare: int = 1,
        dtype: DTypeLike = "float32",
        rng: int | np.random.Generator | None = None,
    ) -> None:
        self._config = checked_config(locals())
        self._dropout = Dropout(self._config["word_dropout"])
        super().__init__(descriptions(self._config))
        if rng is not LATER:
            self.reset_parameters(rng)

    def config(self) -> dict[str, Any]:
        """The arguments that make a layer of the same configuration."""
        return dict(self._config)

    @staticmethod
    def parameter_shapes(num_words, dim, num_characters, character_dim, character_size, **options):
        """The names and shapes of the parameters of all parts."""
        values = (num_words, dim, num_characters, character_dim, character_size)
        usual = {name: value for name, value in WordEncoder.__init__.__kwdefaults__.items() if name != "rng"}
        config = checked_config({**usual, **dict(zip(WordEncoder._positional, values, strict=True)), **options})
        for name, description in descriptions(config).items():
            for own, shape in shapes_of(description):
                yield f"{name}.{own}", shape

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> WordEncoder:
        """A layer with this configuration, its parameters zero."""
        return cls(**config, rng=LATER)

    def part(self, name: str) -> Any:
        """The part with this name: "words", "characters", "category_0" ..

        Parameters
        ----------
        name : str

        Returns
        -------
        Layer
        """
        return self.layers[self._labels.index(_arrays.choice("name", name, self._labels))]

    @property
    def takes_noise(self) -> bool:
        """Whether words are dropped in training."""
        return self._config["word_dropout"] > 0

    def _follow(self):
        config = self._config
        self._widths = [layer.output_size for layer in self.layers]
        self.takes_indices, self.axes, self.removes_time, self._refers = False, "sequence", False, False
        self.input_size = 1 + len(config["categories"]) + config["max_characters"]
        self.output_size = sum(self._widths)

    def lengths_after(self, lengths: Any) -> Any:
        """As many steps as there are."""
        return lengths

    # Running

    def _read(self, x, lengths):
        """Symbols (valid steps, features) as integers, and the mask of the valid steps."""
        x = _arrays.steps("x", x, self.dtype, self.input_size)
        valid = valid_steps(lengths, x.shape[:2])
        rows = x.reshape(-1, self.input_size) if valid is None else x[valid]
        with np.errstate(invalid="ignore"):  # of NaN, which is found below
            symbols = rows.astype(np.int64)
        config = self._config
        sizes = [config["num_words"], *config["categories"], *[config["num_characters"]] * config["max_characters"]]
        bad = (symbols != rows) | (symbols < 0) | (symbols >= sizes)
        if bad.any():
            row, feature = (int(axis) for axis in np.argwhere(bad)[0])
            expected = f"integers from 0 to {sizes[feature] - 1} as feature {feature}"
            raise _arrays.wrong(ValueError, "x", expected, rows[row, feature])
        return symbols, valid, x.shape

    def _dropped(self, words, valid, shape, noise):
        """Words with the unknown one, 0, in the place of some rare ones."""
        mask = self._dropout.forward(np.ones((*shape[:2], 1), self.dtype), noise=noise)[0][..., 0]
        mask = mask.reshape(-1) if valid is None else mask[valid]
        return np.where((mask == 0) & (words >= self._config["first_rare"]), 0, words)

    def _run(self, x, lengths, tapes=None, noise=None):
        """y, and what backward needs besides the tapes."""
        symbols, valid, shape = self._read(x, lengths)
        y = np.zeros((len(symbols), self.output_size), self.dtype)
        first = 1 + len(self._config["categories"])
        inverse = None
        if len(symbols):
            words = symbols[:, 0] if noise is None else self._dropped(symbols[:, 0], valid, shape, noise)
            distinct, inverse = distinct_rows(symbols[:, first:])
            parts = [self._part_run("words", tapes, words)[0], self._spelt(distinct, tapes)[inverse]]
            parts += [self._part_run(f"category_{k}", tapes, symbols[:, 1 + k])[0] for k in range(first - 1)]
            np.concatenate(parts, axis=1, out=y)
        return placed(y[np.newaxis], valid, (*shape[:2], self.output_size)), (valid, shape, inverse)

    def _spelt(self, spellings, tapes):
        """A vector for each row of characters."""
        lengths = (spellings != 0).sum(axis=1)
        spellings = spellings[:, : max(1, int(lengths.max()))]
        return self._part_run("characters", tapes, spellings, None, lengths)[0]

    def infer(self, x: ArrayLike, state: None = None, lengths: ArrayLike | None = None) -> tuple[np.ndarray, None]:
        """`forward` without a tape and without anything random."""
        _arrays.absent("state", state, "WordEncoder has none")
        return self._run(x, lengths)[0], None

    def __call__(self, x: ArrayLike, state: None = None, lengths: ArrayLike | None = None) -> np.ndarray:
        """y alone."""
        return self.infer(x, state, lengths)[0]

    def forward(  # type: ignore[override]
        self, x: ArrayLike, state: None = None, lengths: ArrayLike | None = None, *, noise: Any = None
    ) -> tuple[np.ndarray, None, Tape]:
        """The vectors of words, and a tape.

        Parameters
        ----------
        x : array_like, (N, T, 1 + K + C)
            Numbers of symbols, see above.
        state : None
        lengths : array_like of int, (N,), optional
            Valid steps of each row. Later ones are not read, and zero in y.
        noise : int or Noise, optional
            Seed of the words that are dropped; None: fresh entropy.

        Returns
        -------
        y : ndarray, (N, T, dim + character_size + K category_dim)
        state : None
        tape : Tape
        """
        _arrays.absent("state", state, "WordEncoder has none")
        noise = noise_of(noise) if self.takes_noise or noise is not None else None
        tapes: dict[str, Any] = {}
        y, saved = self._run(x, lengths, tapes, noise if self.takes_noise else None)
        return y, None, Tape(self, (tapes, *saved))

    def backward(  # type: ignore[override]
        self,
        tape: Tape,
        dy: ArrayLike | None,
        dstate: None = None,
        grads: dict[str, np.ndarray] | None = None,
        need_dx: bool = True,
    ) -> tuple[np.ndarray | None, None, dict[str, np.ndarray]]:
        """Adds the gradients of the parameters.

        Parameters
        ----------
        tape : Tape
            From `forward` of this layer. It is used up.
        dy : array_like, (N, T, features)
            Gradient of the loss with respect to y; not read beyond the lengths.
        dstate : None
        grads : dict of ndarray, optional
            The keys of `parameters`; gradients are added to these arrays. None: to fresh zeros.
        need_dx : bool, default True
            False: dx is None.

        Returns
        -------
        dx : ndarray, (N, T, 1 + K + C)
            Zero.
        dstate : None
        grads : dict of ndarray
        """
        _, valid, shape, inverse = look(tape, self)
        dy = _arrays.of_shape("dy", dy, self.dtype, (*shape[:2], self.output_size))
        _arrays.absent("dstate", dstate, "WordEncoder has no state")
        grads = self._gradients(grads)
        tapes = tape.take()[0]
        rows = dy.reshape(-1, self.output_size) if valid is None else dy[valid]
        stops = np.cumsum(self._widths)[:-1]
        for name, part in zip(self._labels, np.split(rows, stops, axis=1), strict=True):
            if name not in tapes:
                break  # no step was valid
            part = np.ascontiguousarray(part)
            if name == "characters":
                part = summed(part, inverse)
            self.part(name).backward(tapes[name], part, None, self._own(grads, name), False)
        return np.zeros(shape, self.dtype) if need_dx else None, None, grads


def distinct_rows(rows):
    """The different rows (U, C) of integers, and for each row which of them it is."""
    packed = np.ascontiguousarray(rows.astype(np.int32)).view(f"V{4 * rows.shape[1]}")[:, 0]
    _, first, inverse = np.unique(packed, return_index=True, return_inverse=True)
    return rows[first], inverse.reshape(-1).astype(np.int64)


def summed(rows, index):
    """The sums of the rows that have the same index."""
    found = np.zeros((int(index.max()) + 1, rows.shape[1]), rows.dtype)
    _core.embedding_backward(index, rows, found)
    return found


def checked_config(config):
    """The arguments of a `WordEncoder`, but for rng, as a file can hold them."""
    found = {name: _arrays.size(name, config[name]) for name in (*WordEncoder._positional, "max_characters")}
    found["characters"] = _arrays.choice("characters", config["characters"], KINDS)
    if found["characters"] == "lstm" and found["character_size"] % 2:
        expected = "an even number, half of it for each direction"
        raise _arrays.wrong(ValueError, "character_size", expected, found["character_size"])
    if isinstance(config["categories"], str) or not hasattr(config["categories"], "__iter__"):
        raise _arrays.wrong(TypeError, "categories", "a list of int", _arrays.kind(config["categories"]))
    found["categories"] = [_arrays.size(f"categories[{k}]", one) for k, one in enumerate(config["categories"])]
    found["category_dim"] = _arrays.size("category_dim", config["category_dim"])
    found["word_dropout"] = _arrays.rate("word_dropout", config["word_dropout"])
    found["first_rare"] = _arrays.size("first_rare", config["first_rare"])
    if found["num_words"] > 1 << 24:  # more do not fit exactly into x of float32
        raise _arrays.wrong(ValueError, "num_words", "no more than 16777216", found["num_words"])
    return {**found, "dtype": _arrays.dtype(config["dtype"]).name}


def descriptions(config):
    """The parts by name, as a model file describes layers."""
    dtype, size, dim = config["dtype"], config["character_size"], config["character_dim"]
    layers = [embedding(config["num_characters"], dim, dtype)]
    if config["characters"] == "lstm":
        sizes = {"input_size": dim, "hidden_size": size // 2, "bidirectional": True, "dtype": dtype}
        layers += [{"class": "LSTM", "config": sizes}, {"class": "Pool", "config": {"mode": "last"}}]
    else:
        sizes = {"input_size": dim, "output_size": size, "width": WIDTH, "dtype": dtype}
        layers += [{"class": "Conv1d", "config": sizes}, {"class": "Pool", "config": {"mode": "max"}}]
    return {
        "words": embedding(config["num_words"], config["dim"], dtype),
        "characters": {"class": "Network", "config": {"layers": layers}},
        **{
            f"category_{k}": embedding(count, config["category_dim"], dtype)
            for k, count in enumerate(config["categories"])
        },
    }


def embedding(count, dim, dtype):
    """An embedding."""
    return {"class": "Embedding", "config": {"num_embeddings": count, "dim": dim, "dtype": dtype}}
