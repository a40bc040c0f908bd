"""A network that learns from batches of sequences: the public parts of clstm, put together by hand.

`clstm.Trainer` would do the same; but a trial judges the outputs that each sequence got before it was learnt from, and
those are inside of a trainer's step.
"""

from __future__ import annotations

import numpy as np

import clstm
from clstm.losses import cross_entropy, mse
from clstm.optimizers import OptimizerState

from ..tasks_1997.sequences import Sequences, one_hot, valid
from .settings import Settings

SQUASHING = ("candidate_activation", "output_activation")
OLD = {"forget_gate": False, **dict(zip(SQUASHING, ("centered_sigmoid_2", "centered_sigmoid_1")))}
ROWS = 250  # sequences for which outputs are computed at a time


class Learner:
    """A recurrent layer, an output layer, a loss and an optimiser.

    Parameters
    ----------
    cell : str
        "1997", "modern" or "rnn".
    settings : Settings
    inputs, outputs : int
        Features, or symbols; and output units.
    at_end : bool
        Whether there are outputs at the end of a sequence only.
    rng : numpy.random.Generator
        For the starting weights.
    """

    def __init__(
        self, cell: str, settings: Settings, inputs: int, outputs: int, at_end: bool, rng: np.random.Generator
    ) -> None:
        self.settings, self.inputs = settings, inputs
        self.parts = [Part(network(cell, settings, inputs, outputs, at_end, rng))]
        if settings.direct:
            self.parts.append(Part(dense(settings, inputs, outputs, rng, bias=False)))
        self.loss = LOSSES[settings.loss]
        self.optimizer = {"adam": clstm.Adam, "sgd": clstm.SGD}[settings.optimizer](settings.learning_rate)
        self.seen = 0

    @property
    def weights(self) -> int:
        """How many weights there are, biases included."""
        return sum(part.layer.flat_parameters.size for part in self.parts)

    def learn(self, batch: Sequences) -> np.ndarray:
        """One update; returns the outputs before it.

        Parameters
        ----------
        batch : Sequences

        Returns
        -------
        ndarray, (N, K) or (N, T, K)

        Raises
        ------
        FloatingPointError
            An output is not finite: this will never be a solution.
        """
        settings, x = self.settings, self._features(batch)
        runs = [part.layer.forward(x, None, batch.lengths) for part in self.parts]
        outputs, dz = self.loss(sum(z for z, _, _ in runs), batch)
        if not np.isfinite(outputs).all():
            raise FloatingPointError(f"an output is not finite after {self.seen} sequences")
        for part, (_, _, tape) in zip(self.parts, runs, strict=True):
            part.gradient.fill(0)
            part.layer.backward(tape, dz, None, part.gradients, need_dx=False)
        if settings.clip_norm is not None:
            self._clip(settings.clip_norm)
        if settings.halved_after is not None:
            self.optimizer.learning_rate = settings.learning_rate / (1 + self.seen / settings.halved_after)
        for part in self.parts:
            self.optimizer.update(part.layer.flat_parameters, part.gradient, part.state)
        self.seen += len(batch)
        return outputs

    def _clip(self, longest):
        norm = float(np.sqrt(sum(np.vdot(part.gradient, part.gradient) for part in self.parts)))
        if norm > longest:
            for part in self.parts:
                part.gradient *= longest / norm

    def outputs(self, data: Sequences) -> np.ndarray:
        """What the network gives now."""
        found = []
        for start in range(0, len(data), ROWS):
            part = data.take(slice(start, start + ROWS))
            x = self._features(part)
            found.append(self.loss(sum(each.layer(x, None, part.lengths) for each in self.parts), part)[0])
        return np.concatenate(found)

    def _features(self, data):
        return data.x if data.x.ndim == 3 else one_hot(data.x, self.inputs)


class Part:
    """A layer with what belongs to it while it is trained; what the parts give is added up."""

    def __init__(self, layer: clstm.Layer) -> None:
        self.layer = layer
        self.gradient, self.gradients = layer.zeros_like_parameters()
        self.state = OptimizerState()


def network(cell, settings, inputs, outputs, at_end, rng):
    """The recurrent layer, the last step of each sequence if `at_end`, and the output layer."""
    kind = clstm.RNN if cell == "rnn" else clstm.LSTM
    options = dict(OLD) if cell == "1997" else {}
    options |= {name: value for name, value in zip(SQUASHING, (settings.g, settings.h)) if value is not None}
    recurrent = kind(inputs, settings.hidden, init=starts(settings), rng=rng, **options)
    output = dense(settings, settings.hidden, outputs, rng)
    return clstm.Network([recurrent, clstm.Pool("last"), output] if at_end else [recurrent, output])


def dense(settings, inputs, outputs, rng, bias=True):
    """An output layer."""
    layer = clstm.Dense(inputs, outputs, bias=bias, rng=rng)
    if settings.interval is not None:
        layer.flat_parameters[...] = rng.uniform(-settings.interval, settings.interval, layer.flat_parameters.size)
    return layer


def starts(settings):
    """The argument `init` of the recurrent layer."""
    rules = {}
    if settings.interval is not None:
        rules |= dict.fromkeys(("weight_ih", "weight_hh", "bias"), clstm.init.Uniform(settings.interval))
    if settings.input_interval is not None:
        rules |= dict.fromkeys(("weight_ih.i", "weight_ih.g"), clstm.init.Uniform(settings.input_interval))
    if settings.chrono is not None:
        rules["bias"] = clstm.init.Chrono(settings.chrono)
    for gate, biases in (("i", settings.input_bias), ("o", settings.output_bias)):
        if biases is not None:
            rules[f"bias.{gate}"] = in_turn(biases)
    return rules or "keras"


def in_turn(values):
    """A rule that gives these values to the cells, from the first one again where there are more cells."""
    return lambda rng, shape: np.resize(values, shape)


# Losses: outputs and the gradient of z, for a batch; z is not read where nothing counts


def squared(z, batch):
    """Linear outputs, and the mean squared error over sequences, steps and outputs."""
    return z, mse(z, batch.y, lengths_for(z, batch))[1]


def lengths_for(z, batch):
    """What a loss has to know where there are outputs at every step."""
    return batch.lengths if z.ndim == 3 else None


def classes(z, batch):
    """Probabilities of the classes, and the cross-entropy, a mean over sequences and steps."""
    dz = cross_entropy(z, batch.labels, lengths_for(z, batch))[1]
    e = np.exp(z - z.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True), dz


def logistic(z, batch):
    """y = 1 / (1 + exp(-z)), and 1/2 sum (y - target)^2 of a sequence; a mean over the sequences."""
    y = 0.5 + 0.5 * np.tanh(0.5 * z)
    dz = (y - batch.y) * y * (1 - y) / len(batch)
    if z.ndim == 3:
        dz *= valid(batch.lengths, z.shape[1])[..., np.newaxis]
    return y, dz


LOSSES = {"mse": squared, "cross_entropy": classes, "logistic": logistic}
