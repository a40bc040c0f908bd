"""A tag for each word of a sentence: names, parts of speech."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .. import _arrays
from ..crf import CRF
from ..dense import Dense
from ..dropout import Dropout
from ..ensemble import Ensemble, mean_of
from ..layer import LATER
from ..losses import CRFLoss
from ..lstm import LSTM
from ..network import Network
from ..schedules import Cosine
from ..text import Vocabulary
from ..word_encoder import KINDS, WordEncoder
from .base import Estimator, generator_of
from .fitting import Recipe, held_out, trained, weights_of
from .sentences import (
    MAX_CHARACTERS,
    NONE,
    SHAPES,
    UNKNOWN,
    checked_sentences,
    checked_tags,
    checked_vectors,
    encoded,
    start_of,
    vocabulary_of,
)
from .state import registered

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import ArrayLike

registered(Vocabulary)

BATCH = 64  # sentences that are tagged at a time
PADDING = 0.2  # the largest share of it in a batch of training


class LSTMTagger(Estimator):
    """Gives each word of a sentence a tag: a bidirectional LSTM over words and their characters, and a CRF.

    The vector of a word is its own, what an LSTM or a convolution makes of its characters, and one for its shape (small
    letters, a capital in front, a number, ...), see `clstm.WordEncoder`. An LSTM reads these vectors in
    both directions, and a conditional random field chooses the whole path of tags (Lample et al. 2016; Ma and Hovy
    2016).

    Parameters
    ----------
    crf : bool
        Whether the tags are chosen together. False: each by itself, which is faster, and hardly worse where a tag says
        little about the next one.
    tag_bias : dict from str to float, optional
        What is added to the scores of tags in predictions (logit adjustment, Menon et al. 2021): ``{"O": -1.0}`` finds
        more names, and more that are none. It may be changed after `fit`.
    word_dim : int
        Size of the vectors of words, where none are given.
    min_count : int
        Words that training has more seldom are unknown, but for their characters and shape.
    characters : str
        What reads them: "lstm" or "conv".
    character_dim, character_size : int
        Size of the vectors of characters, and of what is made of them.
    word_dropout : float
        How often, in training, a word that occurs once is taken for unknown.
    hidden_size, num_layers : int
        Of the LSTM over the words.
    bidirectional : bool
    dropout : float
        Of the vectors of words, and of what the layers of the LSTM give.
    epochs, batch_size : int
    learning_rate : float
        Of the first epoch; it falls along a cosine.
    weight_decay : float
        Of AdamW.
    clip_norm : float or None
    validation_fraction : float
        Of the sentences, for early stopping.
    patience : int, optional
        After so many epochs in which the loss of the validation part gets no better, training ends, and the best
        weights stay. None: all sentences train, all epochs long.
    networks : int
        How many are trained. With several the means of their scores count.
    random_state : int, numpy.random.Generator, numpy.random.RandomState or None
    progress : bool

    Attributes
    ----------
    classes_ : ndarray of str, (C,)
        The tags, sorted.
    words_, characters_ : Vocabulary
        Words are in small letters, with 0 for each digit.
    net_ : Network or Ensemble
    history_ : list of dict
        For each network, what `Trainer.fit` gives.

    Notes
    -----
    If all tags are O, B-x and I-x, and no I-x of the training data follows anything but B-x and I-x, the CRF never lets
    it.

    The how-to page *Tagging with an estimator* has the trials by which the defaults were chosen.

    Examples
    --------
    >>> from clstm.estimators import LSTMTagger
    >>> sentences = [["the", "cat", "sleeps"], ["a", "dog", "barks"], ["the", "dog", "sleeps"]]
    >>> tags = [["DET", "NOUN", "VERB"]] * 3
    >>> tagger = LSTMTagger(hidden_size=8, epochs=20, random_state=0).fit(sentences, tags)
    >>> tagger.predict([["a", "cat", "barks"]])
    [['DET', 'NOUN', 'VERB']]
    """

    def __init__(
        self,
        crf: bool = True,
        tag_bias: dict[str, float] | None = None,
        word_dim: int = 100,
        min_count: int = 1,
        characters: str = "lstm",
        character_dim: int = 25,
        character_size: int = 64,
        word_dropout: float = 0.5,
        hidden_size: int = 64,
        num_layers: int = 1,
        bidirectional: bool = True,
        dropout: float = 0.5,
        epochs: int = 12,
        batch_size: int = 16,
        learning_rate: float = 1e-2,
        weight_decay: float = 1e-2,
        clip_norm: float | None = 1.0,
        validation_fraction: float = 0.1,
        patience: int | None = None,
        networks: int = 1,
        random_state: Any = None,
        progress: bool = False,
    ) -> None:
        self.crf = crf
        self.tag_bias = tag_bias
        self.word_dim = word_dim
        self.min_count = min_count
        self.characters = characters
        self.character_dim = character_dim
        self.character_size = character_size
        self.word_dropout = word_dropout
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
        self.networks = networks
        self.random_state = random_state
        self.progress = progress

    # Learning

    def fit(
        self,
        sentences: list[list[str]],
        tags: list[list[str]],
        sample_weight: ArrayLike | None = None,
        *,
        vectors: Mapping[str, ArrayLike] | None = None,
    ) -> LSTMTagger:
        """Learns from sentences whose tags are known.

        Parameters
        ----------
        sentences : list of list of str
            Tokens, as `clstm.text.words` makes them, or any other tokeniser.
        tags : list of list of str
            One for each token.
        sample_weight : array_like, (N,), optional
            How much each sentence counts.
        vectors : mapping from str to array_like, (D,), optional
            Vectors of words that are known already, such as those of GloVe or of another tagger's `word_vectors`, to
            start with; D takes the place of `word_dim`. All their words are known from then on, those without a vector
            start at random. Words in small letters, with 0 for each digit, are looked up if the word itself is not
            there.

        Returns
        -------
        LSTMTagger
            Itself.

        Raises
        ------
        TypeError, ValueError
            A parameter or argument does not fit; the message has the place.
        """
        recipe, config = Recipe.of(self), self._checked_config()
        sentences = checked_sentences("sentences", sentences)
        tags = checked_tags(tags, sentences)
        weight = weights_of(sample_weight, len(sentences))
        known = None if vectors is None else checked_vectors(vectors)
        if recipe.patience is not None and len(sentences) < 2:
            raise _arrays.wrong(ValueError, "sentences", "at least 2, to train on some and validate on others", 1)
        rng = generator_of(self.random_state)
        classes = np.array(sorted({tag for row in tags for tag in row}))
        bias_of(self.tag_bias, classes)
        words, first_rare = vocabulary_of(sentences, config["min_count"], known or {})
        distinct = {word for row in sentences for word in row}
        characters = Vocabulary.count("".join(distinct), special=(NONE, UNKNOWN), unknown=UNKNOWN)
        x = encoded(sentences, words, characters)
        number = {tag: k for k, tag in enumerate(classes.tolist())}
        y = [np.array([number[tag] for tag in row]) for row in tags]
        config |= {"classes": classes.tolist(), "forbidden": forbidden_of(number, y), "first_rare": first_rare}
        config |= {"num_words": len(words), "num_characters": len(characters)}
        start = None if known is None else start_of(words, known)
        rows, validation = self._split(len(x), recipe, rng)

        def fit(trainer, arguments):
            some = None if validation is None else [[part[n] for n in validation] for part in (x, y)]
            if some is not None and weight is not None:
                some += [None, weight[validation]]
            trainer.fit(
                *([part[n] for n in rows] for part in (x, y)),
                sample_weight=None if weight is None else weight[rows],
                validation=some,
                max_padding=PADDING,
                **arguments,
            )

        loss = CRFLoss(reduction="token_mean") if config["crf"] else "cross_entropy"
        schedule = Cosine(recipe.epochs, per="epoch") if recipe.epochs > 1 else None
        self.net_, self.history_ = trained(
            lambda child: network_of(config, start, child), fit, recipe, rng, loss=loss, schedule=schedule
        )
        self.classes_, self.words_, self.characters_ = classes, words, characters
        return self

    def _checked_config(self):
        """The parameters of the network, checked."""
        sizes = ("word_dim", "min_count", "character_dim", "character_size", "hidden_size", "num_layers")
        config = {name: _arrays.size(name, getattr(self, name)) for name in sizes}
        config |= {name: _arrays.flag(name, getattr(self, name)) for name in ("crf", "bidirectional")}
        config |= {name: _arrays.rate(name, getattr(self, name)) for name in ("word_dropout", "dropout")}
        config["characters"] = _arrays.choice("characters", self.characters, KINDS)
        if config["characters"] == "lstm" and config["character_size"] % 2:
            expected = 'an even number for characters="lstm", half of it for each direction'
            raise _arrays.wrong(ValueError, "character_size", expected, config["character_size"])
        return config

    @staticmethod
    def _split(count, recipe, rng):
        """The sentences that train, and those that validate."""
        if recipe.patience is None:
            return range(count), None
        return held_out(count, recipe.validation_fraction, rng)

    # Tagging

    def _scores(self, sentences):
        """For each sentence the scores (T_n, C) of the tags of its words."""
        self._check_fitted()
        bias = bias_of(self.tag_bias, self.classes_)
        x = encoded(checked_sentences("sentences", sentences), self.words_, self.characters_)
        order = np.argsort([len(part) for part in x], kind="stable")
        found: list[Any] = [None] * len(x)
        for start in range(0, len(x), BATCH):
            chosen = order[start : start + BATCH]
            for n, scores in zip(chosen, self.net_([x[n] for n in chosen]), strict=True):
                found[n] = scores + bias
        return found

    def _crf(self):
        """The CRF of the network, with the mean scores of those of several; None if there is none."""
        nets = self.net_.layers if isinstance(self.net_, Ensemble) else [self.net_]
        last = [net.layers[-1] for net in nets]
        if not isinstance(last[0], CRF) or len(last) == 1:
            return last[0] if isinstance(last[0], CRF) else None
        found = CRF(**last[0].config(), rng=LATER)
        found.flat_parameters = mean_of([layer.flat_parameters for layer in last])
        return found

    def predict(self, sentences: list[list[str]]) -> list[list[str]]:
        """The tags of sentences: the most probable path, or without CRF the most probable tag of each word.

        Parameters
        ----------
        sentences : list of list of str

        Returns
        -------
        list of list of str

        Raises
        ------
        TypeError, ValueError
            Something else, or a sentence without tokens.
        """
        scores = self._scores(sentences)
        crf = self._crf()
        paths = [part.argmax(axis=1) for part in scores] if crf is None else crf.decode(scores)
        return [self.classes_[path].tolist() for path in paths]

    def predict_marginals(self, sentences: list[list[str]]) -> list[np.ndarray]:
        """How probable each tag is for each word, over all paths.

        Parameters
        ----------
        sentences : list of list of str

        Returns
        -------
        list of ndarray, (T_n, C)
            In the order of `classes_`; the sum over the tags is 1.
        """
        scores = self._scores(sentences)
        crf = self._crf()
        return list(map(softmax, scores)) if crf is None else crf.marginals(scores)

    def word_vectors(self) -> dict[str, np.ndarray]:
        """What it has learnt of each word, for the `vectors` of another tagger; of several networks, the first.

        Returns
        -------
        dict from str to ndarray, (D,)
            With that of unknown words as "<unk>".
        """
        self._check_fitted()
        net = self.net_.layers[0] if isinstance(self.net_, Ensemble) else self.net_
        return dict(zip(self.words_, net.layers[0].part("words").parameters()["weight"].copy(), strict=True))

    def score(self, sentences: list[list[str]], tags: list[list[str]], sample_weight: ArrayLike | None = None) -> float:
        """The share of words whose tag is right.

        Parameters
        ----------
        sentences, tags : list of list of str
        sample_weight : array_like, (N,), optional
            How much each word of a sentence counts.

        Returns
        -------
        float

        Raises
        ------
        TypeError, ValueError
            Something does not fit, or there is a tag that training did not have.
        """
        self._check_fitted()
        sentences = checked_sentences("sentences", sentences)
        tags = checked_tags(tags, sentences, set(self.classes_.tolist()))
        weight = weights_of(sample_weight, len(tags))
        found = self.predict(sentences)
        right = [sum(map(str.__eq__, own, row)) for own, row in zip(found, tags, strict=True)]
        return float(np.average(np.divide(right, list(map(len, tags))), weights=weighted(weight, tags)))


def bias_of(value, classes):
    """What is added to the score of each tag, (C,)."""
    found = np.zeros(len(classes), np.float32)
    if value is not None and not isinstance(value, dict):
        raise _arrays.wrong(TypeError, "tag_bias", "a dict from tags to numbers, or None", _arrays.kind(value))
    tags = classes.tolist()
    for tag, bias in (value or {}).items():
        if tag not in tags:
            raise _arrays.wrong(ValueError, "tag_bias", f"tags of the training data: {_arrays.some(tags)}", repr(tag))
        found[tags.index(tag)] = number = _arrays.number(f"tag_bias[{tag!r}]", bias, "a finite number")
        if not np.isfinite(number):
            raise _arrays.wrong(ValueError, f"tag_bias[{tag!r}]", "a finite number", bias)
    return found


def weighted(weight, tags):
    """How much each sentence counts where each of its words does."""
    lengths = np.array(list(map(len, tags)), float)
    return lengths if weight is None else lengths * weight


def softmax(scores):
    """Probabilities of the last axis."""
    found = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return found / found.sum(axis=-1, keepdims=True)


# The network


def network_of(config, start, rng):
    """The network, with given vectors of words if there are some."""
    dropout, count = config["dropout"], len(config["classes"])
    own = ("num_words", "num_characters", "character_dim", "character_size", "characters", "word_dropout", "first_rare")
    options = {name: config[name] for name in own}
    dim = config["word_dim"] if start is None else start.shape[1]
    encoder = WordEncoder(dim=dim, max_characters=MAX_CHARACTERS, categories=[len(SHAPES) + 1], **options, rng=rng)
    if start is not None:
        given = ~np.isnan(start)
        encoder.part("words").parameters()["weight"][given] = start[given]
    sizes = {"num_layers": config["num_layers"], "bidirectional": config["bidirectional"], "dropout": dropout}
    if config["num_layers"] == 1:
        del sizes["dropout"]  # it is between layers
    lstm = LSTM(encoder.output_size, config["hidden_size"], **sizes, rng=rng)
    layers = [encoder, Dropout(dropout), lstm, Dropout(dropout), Dense(lstm.output_size, count, rng=rng)]
    return Network([*layers, CRF(count, forbidden=config["forbidden"], rng=rng)] if config["crf"] else layers)


def forbidden_of(number, paths):
    """Of tags in the form BIO, what never follows each other; None if the data do that, or have another form."""
    if not all(tag == "O" or tag[:2] in ("B-", "I-") for tag in number):
        return None
    rules = {
        (k, j)
        for after, j in number.items()
        if after[:2] == "I-"
        for before, k in [("start", "start"), *number.items()]
        if before[:2] not in ("B-", "I-") or before[2:] != after[2:]
    }
    pairs = {pair for path in paths for pair in zip(["start", *path[:-1].tolist()], path.tolist(), strict=True)}
    return None if rules & pairs or not rules else sorted(rules, key=str)
