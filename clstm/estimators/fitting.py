"""How estimators train: the parameters that they share, and several networks whose mean counts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from .. import _arrays, losses
from ..callbacks import EarlyStopping
from ..ensemble import Ensemble
from ..optimizers import AdamW
from ..training.trainer import Trainer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from numpy.typing import ArrayLike

    from ..callbacks import Callback
    from ..layer import Layer


class Recipe(NamedTuple):
    """How networks are trained; what an estimator does not have as a parameter has the value that stands here."""

    epochs: int = 30
    batch_size: int = 32
    learning_rate: float = 5e-3
    weight_decay: float = 1e-2
    clip_norm: float | None = 1.0
    validation_fraction: float = 0.1
    patience: int | None = None
    networks: int = 1
    progress: bool = False

    @classmethod
    def of(cls, estimator: Any) -> Recipe:
        """The recipe that an estimator's parameters make.

        Raises
        ------
        TypeError, ValueError
            A parameter does not fit; the message has its name.
        """
        given = {name: getattr(estimator, name) for name in cls._fields if hasattr(estimator, name)}
        for name, value in given.items():
            given[name] = CHECKS[name](name, value)
        return cls(**given)


def optional(check: Callable) -> Callable:
    """The same check for a parameter that may be None."""
    return lambda name, value: None if value is None else check(name, value)


CHECKS = {
    "epochs": _arrays.size,
    "batch_size": _arrays.size,
    "learning_rate": _arrays.positive,
    "weight_decay": _arrays.deviation,
    "clip_norm": optional(_arrays.positive),
    "validation_fraction": _arrays.share,
    "patience": optional(_arrays.size),
    "networks": _arrays.size,
    "progress": _arrays.flag,
}


def trained(
    make: Callable[[np.random.Generator], Layer],
    fit: Callable[[Trainer, dict[str, Any]], Any],
    recipe: Recipe,
    rng: np.random.Generator,
    *,
    loss: Any,
    callbacks: Iterable[Callback] = (),
    **options: Any,
) -> tuple[Layer, list[dict[str, list]]]:
    """Trains as many networks as the recipe says, one after another.

    Parameters
    ----------
    make : callable
        Makes a network from a generator.
    fit : callable
        Calls ``trainer.fit(x, y, validation=..., **arguments)`` with its data; `arguments` has epochs, batch_size,
        callbacks and progress.
    recipe : Recipe
    rng : numpy.random.Generator
        Each network gets a child of it, so that it is the same however many are trained.
    loss
        As `Trainer` takes it.
    callbacks : iterable of Callback
        Besides early stopping.
    **options
        Of the trainer.

    Returns
    -------
    net : Layer
        The network, or an `Ensemble` of them.
    histories : list of dict
        What `Trainer.fit` gave for each, but for the seconds.
    """
    nets, histories = [], []
    for child in children(rng, recipe.networks):
        net = make(child)
        trainer = trainer_of(net, loss, recipe, child, **options)
        arguments = {
            "epochs": recipe.epochs,
            "batch_size": recipe.batch_size,
            "callbacks": [*stopping(recipe), *callbacks],
            "progress": recipe.progress,
        }
        fit(trainer, arguments)
        nets.append(net)
        # Without the time it took: files of equal seeds are equal
        histories.append({name: list(values) for name, values in trainer.history.items() if name != "seconds"})
    return (nets[0] if len(nets) == 1 else Ensemble(nets)), histories


def trainer_of(net: Layer, loss: Any, recipe: Recipe, rng: np.random.Generator, **options: Any) -> Trainer:
    """A trainer with the recipe's optimiser."""
    optimizer = AdamW(recipe.learning_rate, weight_decay=recipe.weight_decay)
    return Trainer(net, loss, optimizer, **{"clip_norm": recipe.clip_norm, "rng": rng, **options})


def stopping(recipe: Recipe) -> list[Callback]:
    """Early stopping, if it is wanted."""
    return [] if recipe.patience is None else [EarlyStopping("val_loss", patience=recipe.patience)]


def children(rng: np.random.Generator, count: int) -> list[np.random.Generator]:
    """As `Generator.spawn`, which NumPy has from 1.25 on; `BitGenerator.seed_seq` likewise."""
    seeds = getattr(rng.bit_generator, "seed_seq", None) or rng.bit_generator._seed_seq
    return [np.random.default_rng(seed) for seed in seeds.spawn(count)]


def weights_of(sample_weight: ArrayLike | None, count: int) -> np.ndarray | None:
    """How much each row counts (N,), checked; None stays None."""
    if sample_weight is None:
        return None
    return losses.checked_weight("sample_weight", sample_weight, count, None, np.dtype(np.float64))


def held_out(n: int, fraction: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Which of n rows train, and which validate, at random: two sorted arrays of numbers of rows, neither empty."""
    if n < 2:
        raise _arrays.wrong(ValueError, "X", "at least 2 sequences, to train on some and validate on others", n)
    count = min(n - 1, max(1, round(fraction * n)))
    order = rng.permutation(n)
    return np.sort(order[count:]), np.sort(order[:count])


def stratified(
    rows: np.ndarray, codes: np.ndarray, fraction: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Which of some rows train and which validate: a fraction of each class that has at least two."""
    train, held = [], []
    for code in np.unique(codes[rows]):
        own = rows[codes[rows] == code]
        if len(own) < 2:
            train.append(own)
            continue
        one, other = held_out(len(own), fraction, rng)
        train.append(own[one])
        held.append(own[other])
    if not held:
        raise _arrays.wrong(ValueError, "y", "a class with at least 2 sequences, to validate with (patience)", "none")
    return np.sort(np.concatenate(train)), np.sort(np.concatenate(held))
