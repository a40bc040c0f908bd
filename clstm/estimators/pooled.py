"""What classifier and regressor share: networks that make one vector of a whole sequence, and what they learn it by."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import _arrays
from ..attention_pool import AttentionPool
from ..dense import Dense
from ..dropout import Dropout
from ..ensemble import Ensemble
from ..lstm import LSTM
from ..network import Network
from ..pool import Pool
from ..schedules import OneCycle
from ..training.evaluation import predictions
from .base import Estimator, generator_of
from .fitting import Recipe, children, trained, trainer_of
from .inputs import IMPUTE, Scaler, checked

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..callbacks import Callback

POOLINGS = ("last", "mean", "max", "attention")
PREDICTED = 256  # rows at a time


class PooledEstimator(Estimator):
    """Learns from whole sequences, by LSTM, pooling and a dense layer."""

    _callbacks: Iterable[Callback] = ()  # that a search has set, to look at each epoch
    _targets = "targets"
    scaler_: Scaler
    n_features_in_: int

    def __init__(
        self,
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
    ):
        self.pooling = pooling
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
        self.impute = impute
        self.random_state = random_state
        self.progress = progress

    def _search_space(self):
        """What `clstm.tune` tries."""
        poolings = list(dict.fromkeys(["last", "mean", "max", self.pooling]))
        sizes = [self.batch_size, 2 * self.batch_size]
        own = {"pooling": poolings, "bidirectional": [False, True], "batch_size": sizes}
        return own | super()._search_space()

    def __sklearn_tags__(self):
        """As for all estimators; missing values are taken if they are filled in."""
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = self.impute is not None
        return tags

    # What comes in

    def _recipe(self):
        """The parameters, checked."""
        _arrays.choice("pooling", self.pooling, POOLINGS)
        _arrays.size("hidden_size", self.hidden_size)
        _arrays.size("num_layers", self.num_layers)
        _arrays.flag("bidirectional", self.bidirectional)
        _arrays.rate("dropout", self.dropout)
        if self.impute is not None:
            _arrays.choice("impute", self.impute, IMPUTE)
        return Recipe.of(self)

    def _known(self, X):
        """Sequences like those that fit saw."""
        self._check_fitted()
        sequences = checked(X, missing=self.scaler_.impute is not None)
        self._check_names(sequences)
        if sequences.windows and self.n_steps_in_ is not None and sequences.features != self.n_features_in_:
            text = f"X has {sequences.features} features, but {type(self).__name__} is expecting {self.n_features_in_}"
            raise ValueError(f"{text} features as input")
        expected, found = len(self.scaler_.mean), sequences.channels
        if found != expected:
            raise _arrays.wrong(ValueError, "X", f"sequences of {expected} channels, as fit saw", found)
        return sequences

    def _check_names(self, sequences):
        """Columns of a table are those that fit saw; in scikit-learn's words."""
        known, given = getattr(self, "feature_names_in_", None), sequences.names
        name = type(self).__name__
        if known is None or given is None:
            if given is not None:
                warnings.warn(f"X has feature names, but {name} was fitted without feature names", stacklevel=4)
            if known is not None and sequences.windows:
                warnings.warn(
                    f"X does not have valid feature names, but {name} was fitted with feature names", stacklevel=4
                )
            return
        if np.array_equal(known, given):
            return
        told = "The feature names should match those that were passed during fit.\n"
        unseen, missing = sorted(set(given) - set(known)), sorted(set(known) - set(given))
        for title, names in (("unseen at fit time", unseen), ("seen at fit time, yet now missing", missing)):
            if names:
                more = ["..."] if len(names) > 5 else []
                told += f"Feature names {title}:\n" + "".join(f"- {one}\n" for one in names[:5] + more)
        if not unseen and not missing:
            told += "Feature names must be in the same order as they were in fit.\n"
        raise ValueError(told)

    def _check_y(self, y, sequences):
        """An array of targets, one for each sequence."""
        if y is None:
            name = type(self).__name__
            raise ValueError(f"y: {name} requires y to be passed, but the target y is None")
        if hasattr(y, "tocsr"):
            raise _arrays.wrong(TypeError, "y", f"{self._targets} that are dense", f"sparse {_arrays.kind(y)}")
        array = _arrays.array_of("y", y)
        count = len(sequences.x)
        if array.ndim == 0 or len(array) != count:
            expected = f"{count} {self._targets}, one for each sequence of X"
            raise _arrays.wrong(ValueError, "y", expected, f"shape {array.shape}")
        return array

    # Learning

    def _begin(self, sequences, weight, impute):
        """Sets what does not need training; an earlier network goes, so that nothing is left that does not fit."""
        scaler = Scaler.learn(sequences, impute, weight)  # raises where a channel has no value
        for name in ("net_", "feature_names_in_", "_trainers"):
            vars(self).pop(name, None)
        self.scaler_ = scaler
        self.n_features_in_ = sequences.features
        self.n_steps_in_ = sequences.x.shape[1] if sequences.windows else None
        if sequences.names is not None:
            self.feature_names_in_ = sequences.names

    def _network(self, outputs, rng):
        """LSTM, pooling, dropout and a dense layer."""
        C, H = len(self.scaler_.mean), self.hidden_size
        between = self.dropout if self.num_layers > 1 else 0.0
        lstm = LSTM(C, H, num_layers=self.num_layers, bidirectional=self.bidirectional, dropout=between, rng=rng)
        F = lstm.output_size
        pool = AttentionPool(F, H, rng=rng) if self.pooling == "attention" else Pool(self.pooling)
        last = [Dropout(self.dropout)] if self.dropout > 0 else []
        return Network([lstm, pool, *last, Dense(F, outputs, rng=rng)])

    def _train(self, recipe, rng, sequences, target, weight, outputs, loss, held):
        """Trains new networks; `held` are the sequences, targets and weights to validate with, or None."""
        x = self.scaler_(sequences)
        options: dict[str, Any] = {}
        if held is None:  # with early stopping nobody knows which epoch is the last
            options["schedule"] = OneCycle(max(2, recipe.epochs * -(-len(x) // recipe.batch_size)))
        validation = None if held is None else (self.scaler_(held[0]), held[1], None, held[2])

        def fit(trainer, arguments):
            trainer.fit(x, target, sample_weight=weight, validation=validation, **arguments)

        self.net_, self.history_ = trained(
            lambda child: self._network(outputs, child),
            fit,
            recipe,
            rng,
            loss=loss,
            callbacks=self._callbacks,
            **options,
        )

    def _train_more(self, recipe, sequences, target, weight, outputs, loss):
        """One more epoch for each network; the first call makes them."""
        if "_trainers" not in vars(self):
            rng = generator_of(self.random_state)
            if "net_" not in vars(self):
                nets = [self._network(outputs, child) for child in children(rng, recipe.networks)]
                self.net_ = nets[0] if len(nets) == 1 else Ensemble(nets)
            nets = self.net_.layers if isinstance(self.net_, Ensemble) else [self.net_]
            rngs = children(rng, len(nets))
            self._trainers = [trainer_of(net, loss, recipe, child) for net, child in zip(nets, rngs, strict=True)]
        x = self.scaler_(sequences)
        for trainer in self._trainers:
            trainer.fit(
                x, target, sample_weight=weight, epochs=1, batch_size=recipe.batch_size, progress=recipe.progress
            )
        self.history_ = [dict(trainer.history) for trainer in self._trainers]

    # Telling

    def _outputs(self, sequences):
        """What the network gives for each sequence that was checked (N, outputs), float64."""
        return predictions(self.net_, self.scaler_(sequences), None, None, PREDICTED).astype(np.float64)


def counted(weight: np.ndarray | None, count: int) -> np.ndarray:
    """The rows that count at all: one of weight 0 is as if it was not there."""
    return np.arange(count) if weight is None else np.flatnonzero(weight)
