"""LSTMTextClassifier: classes of texts, such as praise and blame."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import _arrays
from ..attention_pool import AttentionPool
from ..dense import Dense
from ..dropout import Dropout
from ..embedding import Embedding
from ..ensemble import Ensemble
from ..lstm import LSTM
from ..network import Network
from ..pool import Pool
from ..sampling import log_softmax
from ..text import Vocabulary, characters, words
from . import state
from .base import Estimator, generator_of
from .fitting import Recipe, children, stratified, trained, trainer_of, weights_of
from .labels import classes_of, codes_of, label_array

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import ArrayLike

UNKNOWN = "<unk>"  # no token of a text
TOKENS = {"words": words, "characters": characters}
POOLINGS = ("last", "mean", "max", "attention")
PREDICTED = 256  # texts at a time

state.registered(Vocabulary)


class LSTMTextClassifier(Estimator):
    """Tells of which class a text is.

    Word vectors, an LSTM in both directions, pooling, and a dense layer, all learned from the texts alone. Small data
    are learned by heart within a few epochs. What helps against that: small layers, dropout of whole words (Iyyer et
    al. 2015), of elements of the vectors for a whole text (Gal and Ghahramani 2016) and before the dense layer, few
    epochs, and several networks whose mean counts.

    Parameters
    ----------
    tokens : str
        "words": those of `clstm.text.words`. "characters". Texts that are lists of str already are taken as they are.
    lower : bool
        Whether letters are made small.
    min_count : int
        Tokens that occur less often are unknown, as all others that come later.
    embedding_size : int
        Length of the vector of a token.
    pooling : str
        How the steps of the LSTM become one vector: "last", "mean", "max" or "attention" (Yang et al. 2016).
    word_dropout : float
        The share of the tokens that are taken for unknown in training, anew each time.
    embedding_dropout : float
        Of elements of the vectors, the same ones in all of a text.
    hidden_size, num_layers, bidirectional
        Of the LSTM.
    dropout : float
        Between the layers of the LSTM, and before the dense layer.
    epochs, batch_size : int
    learning_rate, weight_decay, clip_norm : float
        Of AdamW. `clip_norm` may be None.
    validation_fraction : float
        The share of texts that tell when to stop, if `patience` says so.
    patience : int, optional
        After so many epochs without a better validation loss, training stops, and the best weights count. None: all
        texts train, in all epochs.
    networks : int
        How many are trained; their mean counts.
    random_state : int, Generator, RandomState or None
    progress : bool
        Whether to show a bar.

    Attributes
    ----------
    net_ : Network or Ensemble
    classes_ : ndarray
        The labels, sorted.
    vocabulary_ : clstm.text.Vocabulary
    history_ : list of dict
        What `clstm.Trainer.fit` gives, for each network.

    Notes
    -----
    A text without a token is read as one unknown token.

    Examples
    --------
    >>> from clstm.estimators import LSTMTextClassifier
    >>> texts = ["works well", "a great phone", "great sound", "poor sound", "a poor phone", "does not work"] * 5
    >>> labels = ["good", "good", "good", "bad", "bad", "bad"] * 5
    >>> model = LSTMTextClassifier(networks=2, random_state=0).fit(texts, labels)
    >>> model.predict(["a great sound", "a poor thing"])
    array(['good', 'bad'], dtype='<U4')
    """

    kind = "classifier"
    classes_: np.ndarray
    vocabulary_: Vocabulary

    def __init__(
        self,
        tokens: str = "words",
        lower: bool = True,
        min_count: int = 1,
        embedding_size: int = 16,
        pooling: str = "max",
        word_dropout: float = 0.1,
        embedding_dropout: float = 0.3,
        hidden_size: int = 16,
        num_layers: int = 1,
        bidirectional: bool = True,
        dropout: float = 0.5,
        epochs: int = 6,
        batch_size: int = 32,
        learning_rate: float = 5e-3,
        weight_decay: float = 1e-2,
        clip_norm: float | None = 1.0,
        validation_fraction: float = 0.1,
        patience: int | None = None,
        networks: int = 5,
        random_state: Any = None,
        progress: bool = False,
    ) -> None:
        self.tokens = tokens
        self.lower = lower
        self.min_count = min_count
        self.embedding_size = embedding_size
        self.pooling = pooling
        self.word_dropout = word_dropout
        self.embedding_dropout = embedding_dropout
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

    def __sklearn_tags__(self):
        """As for all estimators; it takes texts."""
        tags = super().__sklearn_tags__()
        tags.input_tags.string, tags.input_tags.two_d_array, tags.input_tags.three_d_array = True, False, False
        return tags

    def fit(self, X: Iterable[str], y: ArrayLike, sample_weight: ArrayLike | None = None) -> LSTMTextClassifier:
        """Learns from texts, from new weights on.

        Parameters
        ----------
        X : list of str, or of list of str
            Texts, or their tokens.
        y : array_like, (N,)
            Their labels: at least two classes.
        sample_weight : array_like, (N,), optional
            How much each text counts; at least 0.

        Returns
        -------
        LSTMTextClassifier
            Itself.

        Raises
        ------
        TypeError, ValueError
            A parameter, a text or a label does not fit; the message has its name.
        """
        recipe, rng = self._checked(), generator_of(self.random_state)
        tokens = self._tokenised(X)
        classes, target = classes_of(labels_of(y, len(tokens)))
        weight = weights_of(sample_weight, len(tokens))
        if len(classes) < 2:
            raise _arrays.wrong(ValueError, "y", "labels of at least 2 classes", f"one class: {classes[0]!r}")
        vocabulary = self._counted(tokens)
        x, validation = [vocabulary.encode(text or [UNKNOWN]) for text in tokens], None
        if recipe.patience is not None:
            train, rest = stratified(np.arange(len(x)), target, recipe.validation_fraction, rng)
            validation = ([x[k] for k in rest], target[rest], None, None if weight is None else weight[rest])
            x, target = [x[k] for k in train], target[train]
            weight = None if weight is None else weight[train]

        def fit(trainer, arguments):
            trainer.fit(
                partial(self._batches, x, target, weight, recipe.batch_size, trainer.rng),
                validation=validation,
                **arguments,
            )

        self.net_, self.history_ = trained(
            lambda rng: self._network(len(vocabulary), len(classes), rng), fit, recipe, rng, loss="cross_entropy"
        )
        self.classes_, self.vocabulary_, self._trainers = classes, vocabulary, None
        return self

    def partial_fit(
        self,
        X: Iterable[str],
        y: ArrayLike,
        classes: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
    ) -> LSTMTextClassifier:
        """Learns from more texts, in one pass; the first call makes the networks, and the vocabulary of its texts.

        Parameters
        ----------
        X, y, sample_weight
            As for `fit`.
        classes : array_like, optional
            All labels that will ever come, in the first call; None: those of its y.

        Returns
        -------
        LSTMTextClassifier
            Itself.

        Raises
        ------
        TypeError, ValueError
            As for `fit`, and for a label that is not among the classes; nothing has changed then.
        """
        recipe = self._checked()
        tokens, fitted = self._tokenised(X), self.__sklearn_is_fitted__()
        y, weight = labels_of(y, len(tokens)), weights_of(sample_weight, len(tokens))
        given = None if classes is None else classes_of(label_array("classes", classes))[0]
        known = self.classes_ if fitted else classes_of(y)[0] if given is None else given
        if fitted and given is not None and not np.array_equal(given, known):
            raise _arrays.wrong(ValueError, "classes", f"those of the first call, {known.tolist()}", given)
        if len(known) < 2:
            raise _arrays.wrong(ValueError, "classes", "at least 2", known.tolist())
        target = codes_of(y, known)
        vocabulary = self.vocabulary_ if fitted else self._counted(tokens)
        x = [vocabulary.encode(text or [UNKNOWN]) for text in tokens]
        trainers = vars(self).get("_trainers") or self._trainers_of(recipe, len(vocabulary), len(known))
        for trainer in trainers:
            trainer.optimizer.learning_rate, trainer.optimizer.weight_decay = recipe.learning_rate, recipe.weight_decay
            trainer.clip_norm = recipe.clip_norm
            trainer.fit(
                partial(self._batches, x, target, weight, recipe.batch_size, trainer.rng),
                epochs=1,
                progress=recipe.progress,
            )
        if not fitted:
            nets = [trainer.net for trainer in trainers]
            self.net_ = nets[0] if len(nets) == 1 else Ensemble(nets)
        self.classes_, self.vocabulary_, self._trainers = known, vocabulary, trainers
        self.history_ = [{name: list(values) for name, values in trainer.history.items()} for trainer in trainers]
        return self

    def predict_proba(self, X: Iterable[str]) -> np.ndarray:
        """The probability of each class.

        Parameters
        ----------
        X : list of str, or of list of str

        Returns
        -------
        ndarray of float64, (N, classes)
            In the order of `classes_`.
        """
        self._check_fitted()
        x = [self.vocabulary_.encode(text or [UNKNOWN]) for text in self._tokenised(X)]
        scores = [self.net_(x[first : first + PREDICTED]) for first in range(0, len(x), PREDICTED)]
        return np.exp(log_softmax(np.concatenate(scores)))

    def predict(self, X: Iterable[str]) -> np.ndarray:
        """The most probable class of each text.

        Parameters
        ----------
        X : list of str, or of list of str

        Returns
        -------
        ndarray, (N,)
            Labels.
        """
        probabilities = self.predict_proba(X)
        return self.classes_[probabilities.argmax(axis=1)]

    def score(self, X: Iterable[str], y: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
        """The accuracy: the share of texts whose class is found.

        Parameters
        ----------
        X, y, sample_weight
            As for `fit`; labels that `fit` has not seen are never found.

        Returns
        -------
        float
        """
        found = self.predict(X)
        right = found == labels_of(y, len(found))
        return float(np.average(right, weights=weights_of(sample_weight, len(found))))

    # How it is made

    def _checked(self):
        """The recipe; all other parameters are checked too."""
        _arrays.choice("tokens", self.tokens, tuple(TOKENS))
        _arrays.choice("pooling", self.pooling, POOLINGS)
        _arrays.flag("lower", self.lower)
        _arrays.flag("bidirectional", self.bidirectional)
        for name in ("min_count", "embedding_size", "hidden_size", "num_layers"):
            _arrays.size(name, getattr(self, name))
        for name in ("word_dropout", "embedding_dropout", "dropout"):
            _arrays.rate(name, getattr(self, name))
        return Recipe.of(self)

    def _network(self, count, outputs, rng):
        """From numbers of tokens to scores of classes."""
        between = self.dropout if self.num_layers > 1 else 0.0
        embedding = Embedding(count, self.embedding_size, rng=rng)
        lstm = LSTM(
            self.embedding_size,
            self.hidden_size,
            num_layers=self.num_layers,
            bidirectional=self.bidirectional,
            dropout=between,
            rng=rng,
        )
        F = lstm.output_size
        pool = AttentionPool(F, self.hidden_size, rng=rng) if self.pooling == "attention" else Pool(self.pooling)
        first = [Dropout(self.embedding_dropout, per="sequence")] if self.embedding_dropout else []
        last = [Dropout(self.dropout)] if self.dropout else []
        return Network([embedding, *first, lstm, pool, *last, Dense(F, outputs, rng=rng)])

    def _trainers_of(self, recipe, count, outputs):
        """One for each network: new ones, or those of `fit`."""
        nets = None
        if self.__sklearn_is_fitted__():
            nets = list(self.net_.layers) if isinstance(self.net_, Ensemble) else [self.net_]
        rngs = children(generator_of(self.random_state), recipe.networks if nets is None else len(nets))
        if nets is None:
            nets = [self._network(count, outputs, rng) for rng in rngs]
        return [trainer_of(net, "cross_entropy", recipe, rng) for net, rng in zip(nets, rngs, strict=True)]

    # Texts as numbers

    def _tokenised(self, X):
        """The tokens of each text."""
        if isinstance(X, (str, bytes, dict)) or not hasattr(X, "__iter__"):
            raise _arrays.wrong(TypeError, "X", "a list of str", _arrays.kind(X))
        found = []
        for k, text in enumerate(X):
            if isinstance(text, str):
                found.append(TOKENS[self.tokens](text, lower=self.lower))
                continue
            listed = list(text) if isinstance(text, (list, tuple, np.ndarray)) and np.ndim(text) == 1 else None
            if listed is None or not all(isinstance(token, str) for token in listed):
                raise _arrays.wrong(TypeError, f"X[{k}]", "a str, or a list of str", f"{text!r:.40}")
            found.append([token.lower() for token in listed] if self.lower else listed)
        if not found:
            raise _arrays.wrong(ValueError, "X", "at least one text", "none")
        return found

    def _counted(self, tokens):
        """The vocabulary of some texts."""
        every = [token for text in tokens for token in text]
        if not every:
            raise _arrays.wrong(ValueError, "X", "at least one token", "empty texts")
        return Vocabulary.count(every, min_count=self.min_count, special=(UNKNOWN,), unknown=UNKNOWN)

    def _batches(self, x, target, weight, batch_size, rng) -> Iterator[tuple]:
        """The batches of an epoch, in a new order, with other words left out."""
        order = rng.permutation(len(x))
        for first in range(0, len(x), batch_size):
            rows = order[first : first + batch_size]
            lengths = np.array([len(x[k]) for k in rows])
            batch = np.zeros((len(rows), lengths.max()), np.int64)  # 0 is the number of UNKNOWN
            for row, k in enumerate(rows):
                batch[row, : lengths[row]] = x[k]
            if self.word_dropout:
                batch[rng.random(batch.shape) < self.word_dropout] = 0
            yield batch, target[rows], lengths, None if weight is None else weight[rows]


def labels_of(y: ArrayLike, count: int) -> np.ndarray:
    """Labels, one for each text."""
    labels = label_array("y", y)
    if len(labels) != count:
        raise _arrays.wrong(ValueError, "y", f"{count} labels, one for each text", len(labels))
    return labels
