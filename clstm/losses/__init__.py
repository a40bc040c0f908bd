"""Losses: how far a prediction is from its target, and the gradient of that with respect to the prediction.

They are means over all steps that count, by their weights: with lengths, steps beyond the end of a row do not count,
whatever stands there. Functions such as `mse` and `cross_entropy` are for training loops of your own. A trainer uses
the classes: they check all targets once, before the first step.
"""

from __future__ import annotations

from typing import Any

from .. import _arrays
from .base import Computed, Loss, checked_weight
from .classification import BinaryCrossEntropy, CrossEntropy, binary_cross_entropy, cross_entropy
from .connectionist import CTC, ctc
from .crf import CRFLoss
from .own import OwnLoss, described
from .regression import MAE, MSE, GaussianNLL, Huber, Quantile, gaussian_nll, huber, mae, mse, quantile

NAMED = {
    loss.name: loss for loss in (MSE, MAE, Huber, Quantile, GaussianNLL, BinaryCrossEntropy, CrossEntropy, CTC, CRFLoss)
}  # that can be made without arguments


def make(loss: Any) -> Loss:
    """The loss that a trainer was given: by its name, as an object, or as a function of one's own."""
    if isinstance(loss, Loss):
        return loss
    if isinstance(loss, str):
        return NAMED[_arrays.choice("loss", loss, tuple(NAMED))]()
    if isinstance(loss, type) or not callable(loss):
        names = ", ".join(map(repr, NAMED))
        got = described(loss) if isinstance(loss, type) else f"{loss!r} ({_arrays.kind(loss)})"
        raise _arrays.wrong(TypeError, "loss", f"one of {names}, a Loss or a function (prediction, target)", got)
    return OwnLoss(loss)


def from_config(name: str, config: dict[str, Any]) -> Loss:
    """The loss with this name and this configuration, what its `config` returned, perhaps by way of JSON."""
    return NAMED[_arrays.choice("name", name, tuple(NAMED))](**config)


__all__ = [
    "CTC",
    "MAE",
    "MSE",
    "BinaryCrossEntropy",
    "CRFLoss",
    "Computed",
    "CrossEntropy",
    "GaussianNLL",
    "Huber",
    "Loss",
    "OwnLoss",
    "Quantile",
    "binary_cross_entropy",
    "checked_weight",
    "cross_entropy",
    "ctc",
    "from_config",
    "gaussian_nll",
    "huber",
    "mae",
    "make",
    "mse",
    "quantile",
]
