"""LSTMClassifier: which class a whole sequence belongs to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .. import _arrays
from .base import generator_of
from .fitting import stratified, weights_of
from .inputs import checked
from .labels import classes_of, codes_of, label_array
from .pooled import PooledEstimator, counted

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import ArrayLike


class LSTMClassifier(PooledEstimator):
    """Tells the class of a whole sequence.

    An LSTM reads it, what it gives is pooled over time, and a dense layer makes a score for each class of that.
    Channels are scaled inside, by the mean and the deviation of the training data alone.

    Parameters
    ----------
    pooling : str, default "last"
        What of the steps goes to the dense layer: the "last" one, their "mean" or "max", or a mean whose weights are
        learned ("attention", see `AttentionPool`).
    class_weight : dict, "balanced" or None
        How often each class counts, besides `sample_weight`: a dict by class, where 1 is left out, or "balanced", which
        lets all classes have the same say. None: as they are.
    hidden_size : int, default 64
        Units of each layer and direction.
    num_layers : int, default 1
    bidirectional : bool, default True
        Whether sequences are read in both directions.
    dropout : float, default 0.4
        The share of features that is dropped in training, between layers and before the dense one.
    epochs : int, default 40
        How often each sequence is used; with `patience` at most.
    batch_size : int, default 32
    learning_rate : float, default 1e-2
        Of `AdamW`. It rises to this value and falls again, by `OneCycle`; with `patience` it stays.
    weight_decay : float, default 1e-2
    clip_norm : float or None, default 1.0
        Gradients of a larger norm are scaled down to it.
    validation_fraction : float, default 0.1
        The share of the sequences of each class that `patience` is judged by.
    patience : int, optional
        Training ends after so many epochs in which the loss on the validation part has not fallen, and the best weights
        are taken. None: there is no validation part, and training takes all epochs.
    networks : int, default 1
        How many are trained, from different starting weights; the mean of their scores counts.
    impute : str, optional
        NaN is a missing value, and filled in within its sequence: "forward" by the last value before it, "linear" by a
        line between its neighbours, "mean" by the mean of the training data, as the others do at the ends. None: NaN is
        an error.
    random_state : int, numpy.random.Generator, numpy.random.RandomState or None
        For starting weights, order and dropout. The same int gives the same bits, with any number of threads.
    progress : bool, default False
        Whether to show a bar.

    Attributes
    ----------
    classes_ : ndarray, (K,)
        Sorted.
    net_ : Network or Ensemble
        (N, T, C) to scores (N, K).
    scaler_ : Scaler
        ``mean`` and ``deviation`` of each channel.
    history_ : list of dict
        What `Trainer.fit` gave for each network.
    n_features_in_ : int
        Columns of a table of windows, otherwise channels.
    n_steps_in_ : int or None
        Steps of each window; None: sequences may have any length.
    feature_names_in_ : ndarray of str
        Only if `fit` was given a DataFrame whose columns have names.

    Raises
    ------
    TypeError, ValueError
        From `fit`: a parameter or an argument does not fit; an estimator that was fitted before stays as it was.

    Notes
    -----
    X has one of three forms: 2-D (N, T), where each row is a window of one channel; 3-D (N, T, C); or a list of N
    arrays (T_n, C), or (T_n,), of unequal length. All have the same channels in training and prediction, and rows of a
    table the same number of columns. A channel that is constant in training is harmless: it is shifted to 0.

    Examples
    --------
    Is a wave slow or fast, in recordings of unequal length?

    >>> import numpy as np
    >>> from clstm.estimators import LSTMClassifier
    >>> rng = np.random.default_rng(0)
    >>> y = np.repeat(["slow", "fast"], 30)
    >>> X = [np.sin(np.arange(rng.integers(12, 24)) * (1.0 if name == "fast" else 0.5)) for name in y]
    >>> model = LSTMClassifier(hidden_size=16, batch_size=8, random_state=0).fit(X[::2], y[::2])
    >>> model.score(X[1::2], y[1::2])
    1.0
    >>> model.predict_proba(X[:3]).shape
    (3, 2)
    """

    kind = "classifier"
    _targets = "labels"
    classes_: np.ndarray

    def __init__(
        self,
        pooling: str = "last",
        class_weight: Mapping[Any, float] | str | None = None,
        hidden_size: int = 64,
        num_layers: int = 1,
        bidirectional: bool = True,
        dropout: float = 0.4,
        epochs: int = 40,
        batch_size: int = 32,
        learning_rate: float = 1e-2,
        weight_decay: float = 1e-2,
        clip_norm: float | None = 1.0,
        validation_fraction: float = 0.1,
        patience: int | None = None,
        networks: int = 1,
        impute: str | None = None,
        random_state: Any = None,
        progress: bool = False,
    ) -> None:
        self.class_weight = class_weight
        super().__init__(
            pooling,
            hidden_size,
            num_layers,
            bidirectional,
            dropout,
            epochs,
            batch_size,
            learning_rate,
            weight_decay,
            clip_norm,
            validation_fraction,
            patience,
            networks,
            impute,
            random_state,
            progress,
        )

    def fit(self, X: Any, y: ArrayLike, sample_weight: ArrayLike | None = None) -> LSTMClassifier:
        """Learns from sequences and their classes.

        Parameters
        ----------
        X : array_like (N, T) or (N, T, C), DataFrame, or list of arrays (T_n, C) or (T_n,)
        y : array_like, (N,)
            Of ints, texts or booleans; at least two different ones.
        sample_weight : array_like, (N,), optional
            How much each sequence counts; at least 0. One of weight 0 is as if it was not there.

        Returns
        -------
        LSTMClassifier
            Itself.
        """
        recipe = self._recipe()
        sequences = checked(X, missing=self.impute is not None)
        classes, codes = classes_of(self._labels(y, sequences))
        if len(classes) < 2:
            raise _arrays.wrong(ValueError, "y", "at least 2 classes", f"1 class, {classes[0]!r}")
        weight = self._weights(sample_weight, codes, classes)
        rng = generator_of(self.random_state)
        rows, held = counted(weight, len(codes)), None
        if recipe.patience is not None:
            rows, held = stratified(rows, codes, recipe.validation_fraction, rng)
        learnt, weight_of = sequences.take(rows), lambda part: None if weight is None else weight[part]
        self._begin(learnt, weight_of(rows), self.impute)
        self.classes_ = classes
        held = None if held is None else (sequences.take(held), codes[held], weight_of(held))
        self._train(recipe, rng, learnt, codes[rows], weight_of(rows), len(classes), "cross_entropy", held)
        return self

    def partial_fit(
        self, X: Any, y: ArrayLike, classes: ArrayLike | None = None, sample_weight: ArrayLike | None = None
    ) -> LSTMClassifier:
        """Learns more: one epoch of what it is given.

        The first call makes the networks, and the scaling, which stays. After `fit` it goes on with what that has
        learnt. The learning rate is constant, and there is no early stopping. How to optimise is kept from call to
        call, also by pickle, but not in a file of `save`.

        Parameters
        ----------
        X, y, sample_weight
            As for `fit`, but that y need not have two classes.
        classes : array_like, (K,)
            All classes that there are. Needed in the first call.

        Returns
        -------
        LSTMClassifier
            Itself.
        """
        recipe = self._recipe()
        if self.class_weight == "balanced":
            because = "None or a dict for partial_fit, because a part does not say how frequent classes are"
            raise _arrays.wrong(ValueError, "class_weight", because, "'balanced'")
        first = not self.__sklearn_is_fitted__()
        sequences = checked(X, missing=self.impute is not None) if first else self._known(X)
        if classes is None and first:
            raise _arrays.wrong(ValueError, "classes", "all classes that there are, in the first call", "None")
        known = self.classes_ if classes is None else classes_of(label_array("classes", classes))[0]
        if not first and not np.array_equal(known, self.classes_):
            raise _arrays.wrong(ValueError, "classes", f"those of the first call, {self.classes_.tolist()}", known)
        codes = codes_of(self._labels(y, sequences), known)
        weight = self._weights(sample_weight, codes, known)
        rows = counted(weight, len(codes))
        sequences, codes, weight = sequences.take(rows), codes[rows], None if weight is None else weight[rows]
        if first:
            self._begin(sequences, weight, self.impute)
            self.classes_ = known
        self._train_more(recipe, sequences, codes, weight, len(known), "cross_entropy")
        return self

    def predict(self, X: Any) -> np.ndarray:
        """The most probable class of each sequence.

        Parameters
        ----------
        X
            As for `fit`.

        Returns
        -------
        y : ndarray, (N,)
        """
        found = self._outputs(self._known(X)).argmax(axis=1)
        return self.classes_[found]

    def predict_proba(self, X: Any) -> np.ndarray:
        """The probability of each class.

        Parameters
        ----------
        X
            As for `fit`.

        Returns
        -------
        p : ndarray, (N, K)
            In the order of `classes_`; each row has the sum 1.
        """
        scores = self._outputs(self._known(X))
        p = np.exp(scores - scores.max(axis=1, keepdims=True))
        return p / p.sum(axis=1, keepdims=True)

    def score(self, X: Any, y: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
        """The share of sequences whose class is found.

        Parameters
        ----------
        X, y, sample_weight
            As for `fit`; all labels are among `classes_`.

        Returns
        -------
        float
        """
        sequences = self._known(X)
        codes = codes_of(self._labels(y, sequences), self.classes_)
        weight = weights_of(sample_weight, len(codes))
        return float(np.average(self._outputs(sequences).argmax(axis=1) == codes, weights=weight))

    def _labels(self, y, sequences):
        return label_array("y", self._check_y(y, sequences))

    def _weights(self, sample_weight, codes, classes):
        """Weights of sequences times those of their classes, or None."""
        weight, given = weights_of(sample_weight, len(codes)), self.class_weight
        if given is None:
            return weight
        factors = np.ones(len(classes))
        if isinstance(given, dict):
            places = codes_of(label_array("class_weight", list(given)), classes, "class_weight")
            factors[places] = [_arrays.deviation(f"class_weight[{name!r}]", value) for name, value in given.items()]
        else:
            _arrays.choice("class_weight", given, ("balanced",))
            counts = np.bincount(codes, weight, len(classes))
            factors = np.where(counts > 0, counts.sum() / len(classes) / np.where(counts > 0, counts, 1), 0)
        total = factors[codes] if weight is None else weight * factors[codes]
        if not total.any():
            raise _arrays.wrong(
                ValueError, "class_weight", "at least one weight above 0 for a label in y", "zeros only"
            )
        return total
