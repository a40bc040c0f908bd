"""WordLM: a language model of words."""

from __future__ import annotations

import re
from typing import Any

from ..text import words
from .language_model import LanguageModel


class WordLM(LanguageModel):
    """A language model of words, as `CharLM` is one of characters.

    Words, numbers and signs are those of `clstm.text.words`; the end of a line is a symbol, too. In texts that are
    generated, signs such as a comma follow the word without a space.

    Parameters
    ----------
    min_count : int
        Words that occur less often become one, the unknown; others that come later, too. 1: there is no unknown, and
        other words are an error. The unknown is never generated.
    vocabulary_size : int, optional
        How many words are known at most, the end and the unknown among them. None: all.
    lower : bool
        Whether letters are made small.
    embedding_size, tied, bptt, hidden_size, num_layers, dropout
        As of `CharLM`.
    epochs, batch_size, learning_rate, weight_decay, clip_norm, validation_fraction, patience, random_state, progress
        As of `CharLM`.

    Attributes
    ----------
    net_, vocabulary_, ends_, history_
        As of `CharLM`.

    Notes
    -----
    The perplexity counts an unknown word as the one symbol that it is: models of different vocabularies cannot be
    compared by it.

    Settings were chosen on the first 200 000 characters of tinyshakespeare and 40 000 that follow.

    Examples
    --------
    >>> from clstm.estimators import WordLM
    >>> text = "She sells sea shells, by the sea shore.\\n" * 30
    >>> model = WordLM(min_count=1, hidden_size=32, embedding_size=32, epochs=60, random_state=0).fit(text)
    >>> print(model.generate(14, "She sells", temperature=0))
    sea shells, by the sea shore.
    She sells sea shells,
    """

    _noun = "word"

    def __init__(
        self,
        min_count: int = 2,
        vocabulary_size: int | None = None,
        lower: bool = False,
        embedding_size: int = 128,
        tied: bool = True,
        bptt: int = 32,
        hidden_size: int = 128,
        num_layers: int = 1,
        dropout: float = 0.5,
        epochs: int = 10,
        batch_size: int = 32,
        learning_rate: float = 1e-2,
        weight_decay: float = 0.0,
        clip_norm: float | None = 1.0,
        validation_fraction: float = 0.1,
        patience: int | None = None,
        random_state: Any = None,
        progress: bool = False,
    ) -> None:
        self.min_count = min_count
        self.vocabulary_size = vocabulary_size
        self.lower = lower
        self.embedding_size = embedding_size
        self.tied = tied
        self.bptt = bptt
        self.hidden_size = hidden_size
        self.num_layers = num_layers
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

    def _tokens(self, text: str) -> list[str]:
        lines = [words(line, lower=self.lower) for line in text.split("\n")]
        return [token for k, line in enumerate(lines) for token in (["\n"] * (k > 0) + line)]

    def _text(self, tokens: list[str]) -> str:
        # No space before a sign that closes, after one that opens, or around the end of a line
        joined = re.sub(r" ([,.;:!?%)\]}»”’])", r"\1", " ".join(tokens))
        return re.sub(r" ?\n ?", "\n", re.sub(r"([(\[{«“]) ", r"\1", joined))
