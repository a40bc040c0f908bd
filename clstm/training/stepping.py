"""One step of training: forward, loss, backward, clipping, update.

Weights change in one place, `Stepper.update`. What is not finite is found before, or undone after, so that the weights
are always good ones, and fit the optimiser's state.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from .. import _core
from ..layer import CheckedGradients
from ..noise import Noise
from ..optimizers import LARGEST_NORM
from ..optimizers.clipping import Clipping, clip_each_norm, clip_norm, clip_value

if TYPE_CHECKING:
    from .trainer import Trainer


class Done(NamedTuple):
    """What is known of a batch, or of a piece of one, when its gradient has been computed.

    `loss` is the mean, whatever the reduction, so that batches can be compared; `norm` is that of the gradient before
    clipping, or None if more batches are to be added before the update.
    """

    loss: float
    weight: float
    norm: float | None


class Stepper:
    """What makes the steps of a trainer; holds the gradient.

    Parameters
    ----------
    trainer : Trainer
    """

    def __init__(self, trainer: Trainer) -> None:
        self.trainer, self.net = trainer, trainer.net
        self.gradient, gradients = self.net.zeros_like_parameters()
        self.gradients = CheckedGradients(gradients)
        self.largest = LARGEST_NORM[self.gradient.dtype]
        self.prefix = place_of(self.net, trainer.loss.layer)
        self.stops = Clipping.stops(self.net._shapes)
        self.clear()

    def clear(self) -> None:
        """Forgets batches that wait to be added to."""
        self.waiting, self.weight, self.latest = 0, 0.0, None

    def seed(self) -> int | None:
        """Of what is random in a batch."""
        return int(self.trainer.rng.integers(2**63)) if self.net.takes_noise else None

    def run(self, batch: Any, state: Any = None, seed: int | None = None, first: int = 0, last: bool = True) -> tuple:
        """The step of a batch: `Done`, the prediction, and the state behind it.

        Parameters
        ----------
        batch : Batch
        state
            Before the first step.
        seed : int, optional
        first : int
            The time of the first step.
        last : bool
            Whether no other batch may be waited for, to be added to this one.
        """
        prediction, state, tape = self.forward(batch, state, seed, first)
        return self.backward(batch, prediction, tape, last), prediction, state

    def forward(self, batch, state=None, seed=None, first=0):
        """Prediction, state and tape."""
        options = dict(batch.options)
        if self.trainer.memory is not None:
            options["memory"] = self.trainer.memory
        if seed is not None:
            options["noise"] = Noise(seed, first_step=first) if first else seed
        return self.net.forward(batch.x, state, batch.lengths, **options)

    def backward(self, batch, prediction, tape, last=True):
        """The rest of the step: what is known of it."""
        trainer, loss = self.trainer, self.trainer.loss
        if not self.waiting:
            self.gradient.fill(0)
        means = trainer.accumulate > 1 and loss.reduction != "sum"
        own = None if loss.layer is None else self._gradients_of_loss(means)
        value, dy, weight = loss.compute(prediction, batch.y, batch.valid, batch.weight, grads=own)
        if not math.isfinite(value):
            self.clear()
            raise FloatingPointError(f"the loss is {value}, {batch.suspicion()}; this step was not taken")
        if means:
            dy *= weight
            self.weight += weight
            for name, gradient in (own or {}).items():
                self._in_layer(name)[...] += weight * gradient
        self.net.backward(tape, dy, None, self.gradients, False)
        mean = value / weight if loss.reduction == "sum" and weight else value
        self.waiting, self.latest = self.waiting + 1, batch
        if self.waiting < trainer.accumulate and not last:
            return Done(mean, weight, None)
        return Done(mean, weight, self.finish(batch))

    def finish(self, batch: Any) -> float:
        """The step of the batches that wait, of which `batch` is the last: the norm of their gradient."""
        if self.trainer.accumulate > 1 and self.trainer.loss.reduction != "sum":
            _core.scale(self.gradient, 1 / self.weight if self.weight else 0.0)
        self.clear()
        return self.update(batch)

    def _gradients_of_loss(self, apart):
        """Those of the parameters that the loss has in a layer, by their names there: to be added to, or zeros."""
        names = self.trainer.loss.layer.parameters()
        return {name: np.zeros_like(self._in_layer(name)) if apart else self._in_layer(name) for name in names}

    def _in_layer(self, name):
        """The gradient of a parameter of the layer of the loss, by its name there."""
        return self.gradients[self.prefix + name]

    def update(self, batch: Any) -> float:
        """The step of the optimiser; returns the norm of the gradient before it is clipped."""
        trainer, gradient = self.trainer, self.gradient
        norm = _core.global_norm(gradient)
        if not norm <= self.largest:
            raise FloatingPointError(
                f"the norm of the gradient is {norm}, {batch.suspicion()}; this step was not taken"
            )
        known: float | None = norm
        if trainer.clip_value is not None:
            clip_value(gradient, trainer.clip_value)
            known = None
        if trainer.clip_each_norm is not None:
            clip_each_norm(gradient, self.stops, trainer.clip_each_norm)
            known = None
        if trainer.clip_norm is not None:
            clip_norm(gradient, trainer.clip_norm, known)
        optimizer, state, schedule = trainer.optimizer, trainer.optimizer_state, trainer.schedule
        state.rate = schedule.rate(trainer.steps if schedule.per == "step" else trainer.epoch)
        if optimizer.is_ordinary(state.rate):
            optimizer.update(self.net.flat_parameters, gradient, state)
        else:
            self._update_carefully(optimizer)
        trainer.steps += 1
        return norm

    def _update_carefully(self, optimizer):
        """An update that may overflow, or is not our own: undone if it fails."""
        weights, state = self.net.flat_parameters, self.trainer.optimizer_state
        old_weights, old_state = weights.copy(), state.copy()
        try:
            optimizer.update(weights, self.gradient, state)
            if not (np.isfinite(weights).all() and state.is_finite()):
                raise FloatingPointError(f"{optimizer!r} makes a parameter infinite or NaN; this step was undone")
        except BaseException:
            weights[...] = old_weights
            self.trainer.optimizer_state = old_state
            raise


def place_of(net: Any, layer: Any) -> str:
    """What stands in a network before the names of the parameters of one of its layers."""
    if layer is None or net is layer:
        return ""
    for k, inner in enumerate(getattr(net, "layers", ())):
        if inner is layer or (hasattr(inner, "layers") and layer in inner.layers):
            return f"{k}.{place_of(inner, layer)}"
    raise LookupError(f"{layer!r} is no layer of {net!r}")
