"""Seq2Seq: texts in, texts out."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import _arrays, losses, schedules
from ..attention import SCORES
from ..encoder_decoder import EncoderDecoder
from ..text import Vocabulary, characters, words
from . import state
from .base import Estimator, generator_of
from .fitting import Recipe, held_out, trained

if TYPE_CHECKING:
    from collections.abc import Sequence

state.registered(Vocabulary)

PADDING, START, END, UNKNOWN = SPECIAL = ("<pad>", "<s>", "</s>", "<unk>")  # 0 to 3 in both vocabularies
TOKENS = {"words": words, "characters": characters}
SIDES = ("source", "target", "both")
ROWS = 64  # that are translated at a time
MAX_PADDING = 0.1
WARMUP = 1000  # steps, at most, in which the learning rate rises: a decoder that learns too fast gets stuck
LAST_RATE = 0.02  # the learning rate of the end, as a part of that of the beginning
Text = str | list[str]

# No space before signs that close, nor behind signs that open; 7:45
CLOSES = re.compile(r"(?<! ) (?=[^\w\s(\[{«„–—&/+=$€£#@-])")
OPENS = re.compile(r"([(\[{«„$€£#@]) ")
CLOCK = re.compile(r"(?<=\d): (?=\d\d\b)")


class Seq2Seq(Estimator):
    """Turns texts into other texts: an encoder reads, a decoder with attention writes (Bahdanau, Cho and Bengio 2015;
    Luong, Pham and Manning 2015).

    Parameters
    ----------
    tokens : str or None, default "words"
        What sources and targets are made of: "words" (see `clstm.text.words`), "characters"; None: they are lists of
        tokens, as a tokeniser of your own gives them.
    lowercase : str or None, default None
        Of which side letters are made small: "source", "target", "both".
    min_count : int, default 1
        Tokens that occur less often in training are unknown, which saves time and helps where many occur once.
    replace_unknown : bool, default False
        False: unknown tokens of targets do not count in training, and known ones are written instead. True: they are
        learnt, and where one would be written, the token of the source at which the decoder looks most is copied
        (Luong, Sutskever, Le, Vinyals and Zaremba 2015), which is right for names and numbers.
    attention_score : str or None, default "additive"
        See `EncoderDecoder`; without attention nothing can be replaced. "general" and "dot" are a little faster, but
        may get stuck looking at one place, above all with a large learning rate.
    beam_width : int, default 4
        Beginnings that are kept in the search; 1 is greedy.
    length_penalty : float, default 0.6
        How much long outputs are preferred, see `clstm.beam.beam_search`.
    label_smoothing : float, default 0.0
        See `clstm.losses.CrossEntropy`.
    dim : int, default 128
        Length of the vectors of tokens.
    hidden_size : int, default 128
        Units of each layer of encoder (in each direction) and decoder.
    num_layers : int, default 1
        Layers of both.
    bidirectional : bool, default True
        Whether the encoder also reads from the end.
    dropout : float, default 0.1
        Rate of what the layers read and, from the second layer on, of what goes from one to the next.
    epochs, batch_size, learning_rate, weight_decay, clip_norm : default 12, 32, 3e-3, 1e-2, 1.0
        Of the training by `AdamW`; the rate rises over the first steps, and falls by half a cosine.
    validation_fraction : float, default 0.1
        Part of the sources, with all their targets, that early stopping looks at. Without `patience` all are learnt.
    patience : int or None, default None
        Epochs without a better loss, after which training stops.
    random_state : int, Generator, RandomState or None
        Seed of starting weights, order, dropout and held-out sources.
    progress : bool, default False
        Whether to show a bar.

    Attributes
    ----------
    net_ : EncoderDecoder
    source_vocabulary_, target_vocabulary_ : Vocabulary
    history_ : dict of list
        What each epoch gave, see `Trainer.fit`.
    max_length_ : int
        Tokens of the longest target.

    Examples
    --------
    Dates in another form, character by character:

    >>> from clstm.estimators import Seq2Seq
    >>> import numpy as np
    >>> days = [(day, month) for day in range(1, 29) for month in range(1, 13)]
    >>> order = np.random.default_rng(0).permutation(len(days))
    >>> sources = [f"{days[n][0]}/{days[n][1]}" for n in order]
    >>> targets = [f"{days[n][1]:02d}-{days[n][0]:02d}" for n in order]
    >>> options = {"batch_size": 16, "epochs": 20, "learning_rate": 0.01, "dropout": 0.0, "random_state": 0}
    >>> model = Seq2Seq("characters", dim=16, hidden_size=32, **options)
    >>> model.fit(sources[:250], targets[:250]).score(sources[250:], targets[250:]) > 0.9
    True
    >>> model.predict(["24/12"])
    ['12-24']
    """

    net_: EncoderDecoder

    def __init__(
        self,
        tokens: str | None = "words",
        lowercase: str | None = None,
        min_count: int = 1,
        replace_unknown: bool = False,
        attention_score: str | None = "additive",
        beam_width: int = 4,
        length_penalty: float = 0.6,
        label_smoothing: float = 0.0,
        dim: int = 128,
        hidden_size: int = 128,
        num_layers: int = 1,
        bidirectional: bool = True,
        dropout: float = 0.1,
        epochs: int = 12,
        batch_size: int = 32,
        learning_rate: float = 3e-3,
        weight_decay: float = 1e-2,
        clip_norm: float | None = 1.0,
        validation_fraction: float = 0.1,
        patience: int | None = None,
        random_state: Any = None,
        progress: bool = False,
    ) -> None:
        self.tokens = tokens
        self.lowercase = lowercase
        self.min_count = min_count
        self.replace_unknown = replace_unknown
        self.attention_score = attention_score
        self.beam_width = beam_width
        self.length_penalty = length_penalty
        self.label_smoothing = label_smoothing
        self.dim = dim
        self.hidden_size = hidden_size
        self.num_layers = num_layers
        self.bidirectional = bidirectional
        self.dropout = dropout
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.clip_norm = clip_norm
        self.validation_fraction = validation_fraction
        self.patience = patience
        self.random_state = random_state
        self.progress = progress

    # Learning

    def fit(self, sources: Sequence[Text], targets: Sequence[Text]) -> Seq2Seq:
        """Learns from pairs.

        Parameters
        ----------
        sources, targets : sequence of str, or of lists of str
            As many of both; a source may come several times, with several targets. None is empty.

        Returns
        -------
        Seq2Seq
            Itself.

        Raises
        ------
        TypeError, ValueError
            A parameter, a source or a target does not fit; the message has its name and place.
        """
        self._check()
        recipe, rng = Recipe.of(self), generator_of(self.random_state)
        loss = losses.CrossEntropy(label_smoothing=self.label_smoothing)
        xs, ys = self._pairs(sources, targets)
        vocabularies = [self._vocabulary(self._lowered(xs)), self._vocabulary(ys)]
        x = [vocabularies[0].encode(text) for text in self._lowered(xs)]
        y = [np.append(vocabularies[1].encode(text), SPECIAL.index(END)) for text in ys]
        train, validation = self._split(xs, recipe, rng)

        def chosen(rows):
            ours = [y[n] for n in rows]
            return [x[n] for n in rows], ours, None, None if self.replace_unknown else known_of(ours)

        def fit(trainer, arguments):
            if validation is not None:
                arguments["validation"] = chosen(validation)
            *pair, _, weight = chosen(train)
            trainer.fit(*pair, sample_weight=weight, max_padding=MAX_PADDING, **arguments)

        steps = recipe.epochs * -(-len(train) // recipe.batch_size)
        schedule = schedules.Cosine(steps, warmup=min(WARMUP, steps // 8), end=LAST_RATE)
        make = self._maker(*map(len, vocabularies))
        net, histories = trained(make, fit, recipe, rng, loss=loss, metrics=["accuracy"], schedule=schedule)
        self.net_, self.history_ = net, histories[0]
        self.source_vocabulary_, self.target_vocabulary_ = vocabularies
        self.max_length_ = max(map(len, ys))
        return self

    def _vocabulary(self, texts):
        """That of one side."""
        tokens = [token for text in texts for token in text]
        most = max(Counter(tokens).values())
        if self.min_count > most:
            expected = f"at most {most}, as often as any token occurs"
            raise _arrays.wrong(ValueError, "min_count", expected, self.min_count)
        return Vocabulary.count(tokens, min_count=self.min_count, special=SPECIAL, unknown=UNKNOWN)

    def _maker(self, source_symbols, target_symbols):
        """Makes a network from a generator."""

        def make(rng):
            return EncoderDecoder(
                source_symbols,
                target_symbols,
                self.dim,
                self.hidden_size,
                num_layers=self.num_layers,
                bidirectional=self.bidirectional,
                attention=self.attention_score,
                dropout=self.dropout,
                input_dropout=self.dropout,
                start=SPECIAL.index(START),
                end=SPECIAL.index(END),
                padding=SPECIAL.index(PADDING),
                rng=rng,
            )

        return make

    def _split(self, xs, recipe, rng):
        """The rows that train, and those that validate or None; no source is in both."""
        if recipe.patience is None:
            return np.arange(len(xs)), None
        numbers: dict[tuple[str, ...], int] = {}
        group = np.array([numbers.setdefault(tuple(text), len(numbers)) for text in xs])
        _, chosen = held_out(len(numbers), recipe.validation_fraction, rng)
        is_chosen = np.isin(group, chosen)
        return np.flatnonzero(~is_chosen), np.flatnonzero(is_chosen)

    # Checks

    def _check(self):
        """Raises for a parameter that neither `Recipe` nor `EncoderDecoder` looks at before anything is done."""
        for name, options in (("tokens", tuple(TOKENS)), ("lowercase", SIDES), ("attention_score", SCORES)):
            if getattr(self, name) is not None:
                _arrays.choice(name, getattr(self, name), options)
        _arrays.size("min_count", self.min_count)
        if _arrays.flag("replace_unknown", self.replace_unknown) and self.attention_score is None:
            raise _arrays.wrong(ValueError, "replace_unknown", "False, because without attention nobody looks", True)
        self._check_search()
        for name in ("dim", "hidden_size", "num_layers"):
            _arrays.size(name, getattr(self, name))
        _arrays.flag("bidirectional", self.bidirectional)
        _arrays.rate("dropout", self.dropout)

    def _check_search(self):
        _arrays.size("beam_width", self.beam_width)
        _arrays.deviation("length_penalty", self.length_penalty)

    def _pairs(self, sources, targets):
        """Tokens of both sides; the target's as they are learnt."""
        xs, ys = self._tokens("sources", sources), self._tokens("targets", targets)
        if len(xs) != len(ys):
            raise _arrays.wrong(ValueError, "targets", f"{len(xs)}, as many as sources", len(ys))
        if self.lowercase in ("target", "both"):
            ys = [[token.lower() for token in text] for text in ys]
        return xs, ys

    def _lowered(self, xs):
        """Sources as the network reads them."""
        if self.lowercase in ("source", "both"):
            return [[token.lower() for token in text] for text in xs]
        return xs

    def _tokens(self, name, texts):
        """Lists of tokens; at least one text, and a token of each."""
        if isinstance(texts, (str, bytes, dict)) or not hasattr(texts, "__len__"):
            raise _arrays.wrong(TypeError, name, "a list of texts", _arrays.kind(texts))
        if not len(texts):
            raise _arrays.wrong(ValueError, name, "at least one text", "none")
        return [self._tokens_of(f"{name}[{n}]", text) for n, text in enumerate(texts)]

    def _tokens_of(self, name, text):
        if self.tokens is None:
            found = checked_list(name, text)
        elif isinstance(text, str):
            found = TOKENS[self.tokens](text)
        else:
            raise _arrays.wrong(TypeError, name, "a str (lists of tokens with tokens=None)", _arrays.kind(text))
        if not found:
            raise _arrays.wrong(ValueError, name, "at least one token", repr(text))
        return found

    # Writing

    def predict(self, sources: Sequence[Text]) -> list[Text]:
        """The text that the beam search finds for each source.

        Parameters
        ----------
        sources : sequence of str, or of lists of str

        Returns
        -------
        list of str, or of lists of str
            As the targets were. Words are put together as they are usually written: no space before a full stop.

        Raises
        ------
        NotFittedError
        TypeError, ValueError
            A source does not fit.
        """
        self._check_fitted()
        self._check_search()
        return [self._joined(text) for text in self._written(self._tokens("sources", sources))]

    def _written(self, xs):
        """Lists of tokens. Sources of equal length are read together, so that none depends on others."""
        lengths = np.array([len(text) for text in xs])
        found: list = [None] * len(xs)
        for length in np.unique(lengths):
            rows = np.flatnonzero(lengths == length)
            for begin in range(0, len(rows), ROWS):
                some = rows[begin : begin + ROWS]
                for n, text in zip(some, self._write([xs[n] for n in some]), strict=True):
                    found[n] = text
        return found

    def _write(self, xs):
        """The same for sources of one length."""
        x = np.stack([self.source_vocabulary_.encode(text) for text in self._lowered(xs)])
        return self._texts(xs, x, self._symbols(x))

    def _symbols(self, x):
        """What the decoder writes for rows (N, S)."""
        max_steps = max(2 * x.shape[1] + 10, self.max_length_ + 1)
        if self.beam_width == 1:
            return self.net_.greedy(x, max_steps=max_steps).symbols
        options = {"width": self.beam_width, "length_penalty": self.length_penalty}
        return self.net_.beam(x, max_steps=max_steps, **options).symbols

    def _texts(self, xs, x, symbols):
        """Tokens of what is written, unknown ones copied from where the decoder looks most."""
        unknown = SPECIAL.index(UNKNOWN)
        texts = list(map(self.target_vocabulary_.decode, symbols))
        rows = [n for n, row in enumerate(symbols) if unknown in row] if self.replace_unknown else []
        if rows:
            for n, looks in zip(rows, self._looks(x[rows], [symbols[n] for n in rows]), strict=True):
                for t in np.flatnonzero(symbols[n] == unknown):
                    texts[n][t] = xs[n][int(looks[t].argmax())]
        return texts

    def _looks(self, x, symbols):
        """The weights of attention while these symbols and the end are written."""
        return self.net_.attention_weights(x, [np.append(row, SPECIAL.index(END)) for row in symbols])

    def attention(self, source: Text) -> tuple[list[str], list[str], np.ndarray]:
        """Where the decoder looks while it writes.

        Parameters
        ----------
        source : str, or list of str

        Returns
        -------
        source_tokens : list of S str
        target_tokens : list of T str
            What is written, unknown tokens as `predict` gives them.
        weights : ndarray, (T, S)
            Each row has the sum 1.

        Raises
        ------
        NotFittedError
        TypeError, ValueError
            The source does not fit, or there is no attention.
        """
        self._check_fitted()
        if self.net_.part("attention") is None:
            raise _arrays.wrong(ValueError, "attention_score", "another one at fit", None)
        tokens = self._tokens_of("source", source)
        x = self.source_vocabulary_.encode(self._lowered([tokens])[0])[np.newaxis]
        symbols = self._symbols(x)
        (text,) = self._texts([tokens], x, symbols)
        return tokens, text, self._looks(x, symbols)[0, : len(text)]

    def score(self, sources: Sequence[Text], targets: Sequence[Text]) -> float:
        """The share of sources for which exactly the target is written, tokens compared. For translations, which can be
        right in other words, give what `predict` returns to sacrebleu.

        Parameters
        ----------
        sources, targets : sequence of str, or of lists of str

        Returns
        -------
        float
        """
        self._check_fitted()
        self._check_search()
        xs, ys = self._pairs(sources, targets)
        return float(np.mean([a == b for a, b in zip(self._written(xs), ys, strict=True)]))

    def _joined(self, tokens):
        if self.tokens is None:
            return tokens
        return "".join(tokens) if self.tokens == "characters" else sentence_of(tokens)


def sentence_of(tokens: list[str]) -> str:
    """Words and signs as a text."""
    return CLOCK.sub(":", OPENS.sub(r"\1", CLOSES.sub("", " ".join(tokens))))


def checked_list(name, tokens):
    """A list of str that are no special symbols."""
    if isinstance(tokens, (str, bytes, dict)) or not hasattr(tokens, "__iter__"):
        raise _arrays.wrong(TypeError, name, "a list of str (texts with tokens='words')", _arrays.kind(tokens))
    tokens = list(tokens)
    for t, token in enumerate(tokens):
        if not isinstance(token, str):
            raise _arrays.wrong(TypeError, f"{name}[{t}]", "a str", _arrays.kind(token))
        if token in SPECIAL:
            raise _arrays.wrong(ValueError, f"{name}[{t}]", f"none of {', '.join(SPECIAL)}", repr(token))
    return tokens


def known_of(rows):
    """(N, longest): 1 where a token is known, else 0."""
    found = np.zeros((len(rows), max(map(len, rows))), np.float32)
    for known, row in zip(found, rows, strict=True):
        known[: len(row)] = row != SPECIAL.index(UNKNOWN)
    return found
