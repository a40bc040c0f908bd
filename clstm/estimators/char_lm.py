"""CharLM: a language model of characters."""

from __future__ import annotations

from typing import Any

from ..text import characters
from .language_model import LanguageModel


class CharLM(LanguageModel):
    """A language model of characters.

    Embedding, LSTM and scores of the next character (Graves 2013), trained by truncated back-propagation through time
    with Adam, a warm-up and half a cosine of the learning rate (Loshchilov and Hutter 2017). One text is read in
    `batch_size` streams side by side, whose state is carried on from piece to piece.

    Parameters
    ----------
    min_count : int
        Characters that occur less often become one, the unknown; others that come later, too. 1: there is no unknown,
        and other characters are an error.
    vocabulary_size : int, optional
        How many characters are known at most, the end and the unknown among them. None: all.
    embedding_size : int
        Length of the vector of a character.
    tied : bool
        Whether the output has the weights of the embedding (Press and Wolf 2017); both have one size then.
    bptt : int
        Characters of a piece: so far back goes the gradient.
    hidden_size, num_layers : int
        Of the LSTM.
    dropout : float
        Of what the LSTM is given, between its layers, and of what it gives.
    epochs, batch_size : int
        How often the text is read, and in how many streams at most: each is at least 64 pieces long.
    learning_rate, weight_decay, clip_norm : float
        Of AdamW. `clip_norm` may be None.
    validation_fraction : float
        The last part of the text, or some of several texts, which tell when to stop if `patience` says so.
    patience : int, optional
        After so many epochs without a better validation loss, training stops, and the best weights count. None: all of
        the text trains, in all epochs.
    random_state : int, Generator, RandomState or None
    progress : bool
        Whether to show a bar.

    Attributes
    ----------
    net_ : Network
    vocabulary_ : clstm.text.Vocabulary
    ends_ : bool
        Whether texts end: it has learnt several.
    history_ : dict of list
        What `clstm.Trainer.fit` gives.

    Notes
    -----
    Settings were chosen on tinyshakespeare, where they take some ten minutes on one core: fewer epochs or a smaller
    network are the way to a first look.

    Examples
    --------
    >>> from clstm.estimators import CharLM
    >>> text = "she sells sea shells by the sea shore. " * 30
    >>> model = CharLM(hidden_size=32, num_layers=1, epochs=60, random_state=0).fit(text)
    >>> model.generate(33, "she sells sea ", temperature=0)
    'shells by the sea shore. she sell'
    >>> model.perplexity("the sea shells") < 3
    True
    """

    _noun = "character"

    def __init__(
        self,
        min_count: int = 1,
        vocabulary_size: int | None = None,
        embedding_size: int = 64,
        tied: bool = False,
        bptt: int = 64,
        hidden_size: int = 128,
        num_layers: int = 2,
        dropout: float = 0.0,
        epochs: int = 40,
        batch_size: int = 32,
        learning_rate: float = 4e-3,
        weight_decay: float = 0.0,
        clip_norm: float | None = 1.0,
        validation_fraction: float = 0.1,
        patience: int | None = None,
        random_state: Any = None,
        progress: bool = False,
    ) -> None:
        self.min_count = min_count
        self.vocabulary_size = vocabulary_size
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
        return characters(text)

    def _text(self, tokens: list[str]) -> str:
        return "".join(tokens)
