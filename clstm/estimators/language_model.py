"""Language models: a network that reads a text, symbol by symbol, and says each time what may come next.

Characters and words differ in how a text becomes symbols and symbols become a text; all the rest is one.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from .. import _arrays, sampling
from ..dense import Dense
from ..dropout import Dropout
from ..embedding import Embedding
from ..lstm import LSTM
from ..network import Network
from ..recurrent import RecurrentLayer
from ..schedules import Cosine
from ..text import Vocabulary
from . import state
from .base import Estimator, generator_of
from .fitting import Recipe, trained, trainer_of
from .streams import PADDING, rows_of, side_by_side, split, steps_of_epoch

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..trace import Trace

END, UNKNOWN = "<end>", "<unk>"  # more than a character, and no word: no text has them
WARMUP = 0.05  # the share of all steps in which the learning rate rises
PIECES = 64  # of `bptt` symbols, the least that a stream is long: a short text has fewer streams
SCORES = 2**21  # how many are computed at a time where no gradient is wanted

state.registered(Vocabulary)


class LanguageModel(Estimator, ABC):
    """All of a language model but what its symbols are."""

    _noun: ClassVar[str]  # what a symbol is, for messages

    def fit(self, X: str | Iterable[str], y: None = None) -> LanguageModel:
        """Learns a text, from new weights on.

        Parameters
        ----------
        X : str or list of str
            One text; or several, each of which ends for itself: what is generated ends then, too.
        y : None
            There for scikit-learn.

        Returns
        -------
        CharLM or WordLM
            Itself.

        Raises
        ------
        TypeError, ValueError
            A parameter or the text does not fit; the message has its name.
        """
        recipe, rng = self._checked(), generator_of(self.random_state)
        tokens = self._tokenised(X)
        vocabulary = self._counted(tokens)
        sequences = self._numbered(X, tokens, vocabulary)
        validation = None
        if recipe.patience is not None:
            sequences, validation = split(sequences, recipe.validation_fraction, rng)
            validation = side_by_side(rows_of(validation, longest=max(self.bptt, SCORES // (32 * len(vocabulary)))))
        x, y = side_by_side(rows_of(sequences, recipe.batch_size, PIECES * self.bptt))
        steps = recipe.epochs * steps_of_epoch(x, recipe.batch_size, self.bptt)
        schedule = Cosine(steps, warmup=min(round(WARMUP * steps), steps - 1))

        def fit(trainer, arguments):
            trainer.fit(x, y, validation=validation, max_padding=PADDING, **arguments)

        net, (history,) = trained(
            lambda rng: self._network(len(vocabulary), rng),
            fit,
            recipe,
            rng,
            loss="cross_entropy",
            schedule=schedule,
            bptt=self.bptt,
        )
        self.net_, self.history_, self.vocabulary_ = net, history, vocabulary
        self.ends_, self._trainer = not isinstance(X, str), None
        return self

    def partial_fit(self, X: str | Iterable[str], y: None = None) -> LanguageModel:
        """Learns more text, in one pass with a constant learning rate; the first call makes the network.

        The symbols are those of the first text. After `fit`, a lower ``learning_rate`` than there, set by
        `set_params`, keeps what is known.

        Parameters
        ----------
        X : str or list of str
            As for `fit`.
        y : None
            There for scikit-learn.

        Returns
        -------
        CharLM or WordLM
            Itself.

        Raises
        ------
        TypeError, ValueError
            As for `fit`, and where a symbol is not known; nothing has changed then.
        """
        recipe = self._checked()
        tokens = self._tokenised(X)
        fitted = self.__sklearn_is_fitted__()
        vocabulary = self.vocabulary_ if fitted else self._counted(tokens)
        x, y = side_by_side(rows_of(self._numbered(X, tokens, vocabulary), recipe.batch_size, PIECES * self.bptt))
        rng = generator_of(self.random_state)
        net = self.net_ if fitted else self._network(len(vocabulary), rng)
        trainer = vars(self).get("_trainer") or trainer_of(net, "cross_entropy", recipe, rng)
        trainer.optimizer.learning_rate = recipe.learning_rate
        trainer.optimizer.weight_decay = recipe.weight_decay
        trainer.clip_norm, trainer.bptt = recipe.clip_norm, self.bptt
        trainer.fit(x, y, epochs=1, batch_size=recipe.batch_size, max_padding=PADDING, progress=recipe.progress)
        self.net_, self.vocabulary_, self._trainer = net, vocabulary, trainer
        self.ends_ = not isinstance(X, str) or (fitted and self.ends_)
        self.history_ = {name: list(values) for name, values in trainer.history.items()}
        return self

    def log_probabilities(self, X: str) -> np.ndarray:
        """The logarithm of the probability of each symbol of a text, given all before it.

        Parameters
        ----------
        X : str

        Returns
        -------
        ndarray of float64, (n,)
        """
        self._check_fitted()
        if not isinstance(X, str):
            raise _arrays.wrong(TypeError, "X", "a str", _arrays.kind(X))
        (sequence,) = self._numbered(X, self._tokenised(X), self.vocabulary_)
        return self._log_probabilities(sequence)

    def score(self, X: str | Iterable[str], y: None = None) -> float:
        """The mean logarithm of the probability of a symbol: minus the cross-entropy in nats per symbol.

        The state is carried over all of a text. The ends of several texts are symbols too.

        Parameters
        ----------
        X : str or list of str
        y : None
            There for scikit-learn.

        Returns
        -------
        float
            At most 0; larger is better.
        """
        self._check_fitted()
        sequences = self._numbered(X, self._tokenised(X), self.vocabulary_)
        return float(np.concatenate([self._log_probabilities(sequence) for sequence in sequences]).mean())

    def perplexity(self, X: str | Iterable[str]) -> float:
        """exp(-score): among how many equally probable symbols the next one is, so to speak.

        Parameters
        ----------
        X : str or list of str

        Returns
        -------
        float
        """
        return math.exp(-self.score(X))

    def generate(
        self,
        length: int,
        prompt: str = "",
        *,
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float | None = None,
        random_state: Any = None,
    ) -> str:
        """Writes a text: each symbol that is drawn is read as the next one.

        Parameters
        ----------
        length : int
            How many symbols; a model of several texts may end earlier.
        prompt : str
            What the text begins with; empty: a new text.
        temperature, top_k, top_p
            As for `clstm.sampling.probabilities`: how daring it is.
        random_state : int, Generator, RandomState or None
            What is drawn with.

        Returns
        -------
        str
            Without the prompt.
        """
        self._check_fitted()
        length, rng = _arrays.size("length", length), generator_of(random_state)
        options = dict(
            zip(("temperature", "top_k", "top_p"), sampling.checked_options(temperature, top_k, top_p), strict=True)
        )
        if not isinstance(prompt, str):
            raise _arrays.wrong(TypeError, "prompt", "a str", _arrays.kind(prompt))
        vocabulary = self.vocabulary_
        read = self._encoded("prompt", self._tokens(prompt), vocabulary)
        end, written = vocabulary.number(END), []
        never = [] if self.ends_ else [end]
        never += [] if vocabulary.unknown is None else [vocabulary.number(UNKNOWN)]
        y, net_state = self.net_.infer(np.concatenate([[end], read])[np.newaxis])
        logits, writer = y[:, -1], sampling.Writer(self.net_, net_state, 1)
        while True:
            logits = logits.copy()
            logits[:, never] = -np.inf
            symbol = sampling.sample(logits, **options, rng=rng)
            if symbol[0] == end:
                break
            written.append(int(symbol[0]))
            if len(written) == length:
                break
            logits = writer.step(symbol)
        return self._text(vocabulary.decode(np.array(written, np.int64)))

    def trace(self, X: str) -> Trace:
        """The gates and states of the LSTM at each symbol of a text.

        Parameters
        ----------
        X : str

        Returns
        -------
        Trace
            Its arrays are (num_layers, 1, n, hidden_size); ``[:, :, t]`` is what reading symbol t has made.
        """
        self._check_fitted()
        if not isinstance(X, str):
            raise _arrays.wrong(TypeError, "X", "a str", _arrays.kind(X))
        (sequence,) = self._numbered(X, self._tokenised(X), self.vocabulary_)
        embedding = self.net_.layers[0]
        lstm = next(layer for layer in self.net_.layers if isinstance(layer, RecurrentLayer))
        _, before = lstm.infer(embedding(sequence[np.newaxis, :1]))
        return lstm.trace(embedding(sequence[np.newaxis, 1:]), before)

    # How it is made

    def _checked(self):
        """The recipe; all other parameters are checked too."""
        recipe = Recipe.of(self)
        for name in ("embedding_size", "hidden_size", "num_layers", "bptt", "min_count"):
            _arrays.size(name, getattr(self, name))
        _arrays.rate("dropout", self.dropout)
        if self.vocabulary_size is not None:
            _arrays.size("vocabulary_size", self.vocabulary_size)
        if _arrays.flag("tied", self.tied) and self.embedding_size != self.hidden_size:
            expected = f"False where embedding_size={self.embedding_size} is not hidden_size={self.hidden_size}"
            raise _arrays.wrong(ValueError, "tied", expected, self.tied)
        return recipe

    def _network(self, count, rng):
        """Embedding, LSTM, scores; dropout between all of them."""
        H, rate, layers = self.hidden_size, self.dropout, self.num_layers

        def drop():
            return [Dropout(rate)] if rate else []

        parts = [
            Embedding(count, self.embedding_size, rng=rng),
            *drop(),
            LSTM(self.embedding_size, H, num_layers=layers, dropout=rate if layers > 1 else 0, rng=rng),
            *drop(),
            Dense(H, count, rng=rng),
        ]
        return Network(parts, tied={f"{len(parts) - 1}.weight": "0.weight"} if self.tied else None)

    # Texts as numbers

    @abstractmethod
    def _tokens(self, text: str) -> list[str]:
        """The symbols of a text."""

    @abstractmethod
    def _text(self, tokens: list[str]) -> str:
        """The text of symbols."""

    def _tokenised(self, X):
        """The tokens of each text."""
        if isinstance(X, str):
            X = [X]
        elif isinstance(X, (bytes, dict)) or not hasattr(X, "__iter__"):
            raise _arrays.wrong(TypeError, "X", "a str or a list of str", _arrays.kind(X))
        found = []
        for k, text in enumerate(X):
            if not isinstance(text, str):
                raise _arrays.wrong(TypeError, f"X[{k}]", "a str", f"{text!r:.40} ({_arrays.kind(text)})")
            found.append(self._tokens(text))
            if not found[-1]:
                raise _arrays.wrong(ValueError, f"X[{k}]", f"at least one {self._noun}", f"{text!r:.40}")
        if not found:
            raise _arrays.wrong(ValueError, "X", "at least one text", "none")
        return found

    def _counted(self, tokens):
        """The vocabulary of some texts."""
        rare = self.min_count > 1 or self.vocabulary_size is not None
        return Vocabulary.count(
            [token for text in tokens for token in text],
            min_count=self.min_count,
            max_size=self.vocabulary_size,
            special=(END, UNKNOWN) if rare else (END,),
            unknown=UNKNOWN if rare else None,
        )

    def _encoded(self, name, tokens, vocabulary):
        """Numbers of tokens; an unknown one is an error with its place."""
        if vocabulary.unknown is None:
            for place, token in enumerate(tokens):
                if token not in vocabulary:
                    expected = f"only {self._noun}s that fit has seen (with min_count=2 it would take others)"
                    raise _arrays.wrong(ValueError, name, expected, f"{token!r} at position {place}")
        return vocabulary.encode(tokens)

    def _numbered(self, X, tokens, vocabulary):
        """Each text as numbers, after a first END; several texts end with one, too."""
        end = np.array([vocabulary.number(END)])
        last = [] if isinstance(X, str) else [end]
        return [
            np.concatenate([end, self._encoded("X" if isinstance(X, str) else f"X[{k}]", text, vocabulary), *last])
            for k, text in enumerate(tokens)
        ]

    def _log_probabilities(self, sequence):
        """Of all symbols of a sequence but the first."""
        found, net_state = [], None
        piece = max(1, SCORES // len(self.vocabulary_))
        for begin in range(0, len(sequence) - 1, piece):
            x, y = (sequence[k : k + piece] for k in (begin, begin + 1))
            logits, net_state = self.net_.infer(x[np.newaxis, : len(y)], net_state)
            found.append(np.take_along_axis(sampling.log_softmax(logits[0]), y[:, np.newaxis], axis=1)[:, 0])
        return np.concatenate(found)
