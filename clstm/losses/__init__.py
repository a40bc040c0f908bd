"""Losses: how far a prediction is from its target, and the gradient of that with respect to the prediction.

They are means over all elements that count: with lengths, steps beyond the end of a row do not, whatever stands there.
Functions such as `mse` and `cross_entropy` are for training loops of your own. A trainer uses the classes: they check
all targets once, before the first step.
"""

from __future__ import annotations

from typing import Any

from .. import _arrays
from .base import Computed, Loss
from .classification import CrossEntropy, cross_entropy
from .regression import MSE, mse

NAMED = {loss.name: loss for loss in (MSE, CrossEntropy)}


def make(loss: Any) -> Loss:
    """The loss that a trainer was given."""
    return loss if isinstance(loss, Loss) else NAMED[_arrays.choice("loss", loss, tuple(NAMED))]()


__all__ = ["MSE", "Computed", "CrossEntropy", "Loss", "cross_entropy", "make", "mse"]
