"""LSTMRegressor: one number, or a few, for a whole sequence."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .. import _arrays
from .base import generator_of
from .fitting import held_out, weights_of
from .inputs import checked, moments, real
from .pooled import PooledEstimator, counted

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


class LSTMRegressor(PooledEstimator):
    """Tells one number, or a few, of a whole sequence.

    As `LSTMClassifier`, but it learns numbers, by the mean of squared errors; they are scaled inside too.

    Parameters
    ----------
    pooling : str, default "last"
    hidden_size : int, default 64
    num_layers : int, default 1
    bidirectional : bool, default True
    dropout : float, default 0.0
    epochs : int, default 40
    batch_size : int, default 32
    learning_rate : float, default 1e-2
    weight_decay : float, default 1e-2
    clip_norm : float or None, default 1.0
    validation_fraction : float, default 0.1
    patience : int, optional
    networks : int, default 1
        How many are trained; the mean of what they tell counts.
    impute : str, optional
    random_state : int, numpy.random.Generator, numpy.random.RandomState or None
    progress : bool, default False
        All as for `LSTMClassifier`.

    Attributes
    ----------
    target_mean_, target_deviation_ : ndarray, (K,)
        Of each of K targets in training.
    n_outputs_ : int or None
        K; None: y was (N,).
    net_, scaler_, history_, n_features_in_, n_steps_in_, feature_names_in_
        As for `LSTMClassifier`.

    Raises
    ------
    TypeError, ValueError
        From `fit`: a parameter or an argument does not fit; an estimator that was fitted before stays as it was.

    Examples
    --------
    How high does a noisy wave go?

    >>> import numpy as np
    >>> from clstm.estimators import LSTMRegressor
    >>> rng = np.random.default_rng(0)
    >>> y = rng.uniform(1, 3, 100)
    >>> X = y[:, None] * np.sin(np.arange(20) + rng.uniform(0, 6, (100, 1))) + 0.1 * rng.normal(size=(100, 20))
    >>> model = LSTMRegressor(pooling="max", hidden_size=16, random_state=0).fit(X[:60], y[:60])
    >>> model.score(X[60:], y[60:]) > 0.9
    True
    """

    kind = "regressor"
    target_mean_: np.ndarray
    target_deviation_: np.ndarray
    n_outputs_: int | None

    def __init__(
        self,
        pooling: str = "last",
        hidden_size: int = 64,
        num_layers: int = 1,
        bidirectional: bool = True,
        dropout: float = 0.0,
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

    def __sklearn_tags__(self):
        """As for all estimators; y may have several columns."""
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags

    def fit(self, X: Any, y: ArrayLike, sample_weight: ArrayLike | None = None) -> LSTMRegressor:
        """Learns from sequences and their numbers.

        Parameters
        ----------
        X : array_like (N, T) or (N, T, C), DataFrame, or list of arrays (T_n, C) or (T_n,)
        y : array_like, (N,) or (N, K)
            Finite.
        sample_weight : array_like, (N,), optional
            How much each sequence counts; at least 0. One of weight 0 is as if it was not there.

        Returns
        -------
        LSTMRegressor
            Itself.
        """
        recipe = self._recipe()
        sequences = checked(X, missing=self.impute is not None)
        target = self._numbers(y, sequences)
        weight = weights_of(sample_weight, len(target))
        rng = generator_of(self.random_state)
        rows, held = counted(weight, len(target)), None
        if recipe.patience is not None:
            train, rest = held_out(len(rows), recipe.validation_fraction, rng)
            rows, held = rows[train], rows[rest]
        learnt, weight_of = sequences.take(rows), lambda part: None if weight is None else weight[part]
        self._begin(learnt, weight_of(rows), self.impute)
        self._scale_target(target[rows], weight_of(rows))
        scaled = self._scaled(target)
        held = None if held is None else (sequences.take(held), scaled[held], weight_of(held))
        self._train(recipe, rng, learnt, scaled[rows], weight_of(rows), scaled.shape[1], "mse", held)
        return self

    def partial_fit(self, X: Any, y: ArrayLike, sample_weight: ArrayLike | None = None) -> LSTMRegressor:
        """Learns more: one epoch of what it is given.

        The first call makes the networks, and the scaling of X and y, which stays. After `fit` it goes on with what
        that has learnt. The learning rate is constant, and there is no early stopping.

        Parameters
        ----------
        X, y, sample_weight
            As for `fit`.

        Returns
        -------
        LSTMRegressor
            Itself.
        """
        recipe = self._recipe()
        first = not self.__sklearn_is_fitted__()
        sequences = checked(X, missing=self.impute is not None) if first else self._known(X)
        target = self._numbers(y, sequences)
        weight = weights_of(sample_weight, len(target))
        rows = counted(weight, len(target))
        sequences, target, weight = sequences.take(rows), target[rows], None if weight is None else weight[rows]
        if first:
            self._begin(sequences, weight, self.impute)
            self._scale_target(target, weight)
        elif self._form(target) != self.n_outputs_:
            expected = "shape (N,)" if self.n_outputs_ is None else f"shape (N, {self.n_outputs_})"
            raise _arrays.wrong(ValueError, "y", f"{expected}, as in the first call", f"shape {target.shape}")
        scaled = self._scaled(target)
        self._train_more(recipe, sequences, scaled, weight, scaled.shape[1], "mse")
        return self

    def predict(self, X: Any) -> np.ndarray:
        """The numbers of each sequence.

        Parameters
        ----------
        X
            As for `fit`.

        Returns
        -------
        y : ndarray, (N,) or (N, K)
            As y of `fit`, float64.
        """
        return self._predicted(self._known(X))

    def score(self, X: Any, y: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
        """R², the share of the variance that is explained; the mean over several targets.

        Parameters
        ----------
        X, y, sample_weight
            As for `fit`.

        Returns
        -------
        float
            At most 1; 0 for the mean, below for worse. A target that is constant gives 1 if it is met, otherwise 0.
        """
        sequences = self._known(X)
        truth = self._numbers(y, sequences)
        predicted = self._predicted(sequences)
        if truth.shape != predicted.shape:
            raise _arrays.wrong(ValueError, "y", f"shape {predicted.shape}", f"shape {truth.shape}")
        weight = weights_of(sample_weight, len(truth))
        error = np.average((truth - predicted) ** 2, axis=0, weights=weight)
        spread = np.average((truth - np.average(truth, axis=0, weights=weight)) ** 2, axis=0, weights=weight)
        shares = 1 - error / np.where(spread > 0, spread, 1)
        return float(np.mean(np.where(spread > 0, shares, error == 0)))

    def _predicted(self, sequences):
        found = self._outputs(sequences) * self.target_deviation_ + self.target_mean_
        return found[:, 0] if self.n_outputs_ is None else found

    def _numbers(self, y, sequences):
        array = real("y", self._check_y(y, sequences))
        if array.ndim not in (1, 2) or array.size == 0:
            raise _arrays.wrong(ValueError, "y", "shape (N,) or (N, K)", f"shape {array.shape}")
        _arrays.finite("y", array)
        return array

    def _form(self, target):
        return None if target.ndim == 1 else target.shape[1]

    def _scale_target(self, target, weight):
        self.n_outputs_ = self._form(target)
        columns = target.reshape(len(target), -1)
        weights = None if weight is None else weight[:, None]
        self.target_mean_, self.target_deviation_ = moments("y", columns, weights, "column")

    def _scaled(self, target):
        return ((target.reshape(len(target), -1) - self.target_mean_) / self.target_deviation_).astype(np.float32)
