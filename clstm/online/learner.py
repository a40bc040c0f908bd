"""What learns: a network, its optimiser, the last inputs and targets, and the state of the network behind them.

The gradient of each step goes back over the last `bptt` inputs (truncated back-propagation through time, Williams and
Peng 1990), from the state that the network had before them, which is carried on and never computed again.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import losses, optimizers
from ..dense import Dense
from ..layer import CheckedGradients
from ..lstm import LSTM
from ..network import Network
from ..optimizers import LARGEST_NORM
from ..optimizers.clipping import clip_norm

REAL = np.dtype(np.float32)


class Learner:
    """Learns targets (C,) from inputs (F,), one after another.

    Parameters
    ----------
    features, channels : int
        F and C.
    hidden_size, num_layers, bptt, every : int
    optimizer : Optimizer
    clip : float or None
    rng : numpy.random.Generator or None
        None: the weights are about to be loaded.
    """

    def __init__(self, features, channels, *, hidden_size, num_layers, bptt, every, optimizer, clip, rng=None) -> None:
        lstm = LSTM(features, hidden_size, num_layers=num_layers, rng=rng)
        self.net = Network([lstm, Dense(hidden_size, channels, rng=0)])
        self.net.layers[1].flat_parameters = np.zeros_like(self.net.layers[1].flat_parameters)
        self.bptt, self.every, self.clip = bptt, every, clip
        self.optimizer = optimizer
        self.optimizer_state = optimizer.state_for(self.net._shapes)
        self.loss = losses.Huber()
        self.inputs, self.targets = np.zeros((bptt, features), REAL), np.zeros((bptt, channels), REAL)
        self.count = self.events = 0  # rows of `inputs` that are in use; all that were ever learnt
        self.before: Any = None  # the state before the first of these rows
        self.state: Any = None  # .. and behind the last
        self._prepare()

    def _prepare(self):
        self.gradient, gradients = self.net.zeros_like_parameters()
        self.gradients = CheckedGradients(gradients)

    def learn(self, x: np.ndarray, target: np.ndarray) -> None:
        """Takes an input and its target; NaN where that is not known, which has no error."""
        if self.count == self.bptt:
            self.before = self._after(self.inputs[:1], self.before)
            self.inputs[:-1], self.targets[:-1] = self.inputs[1:], self.targets[1:]
        else:
            self.count += 1
        self.inputs[self.count - 1], self.targets[self.count - 1] = x, target
        self.events += 1
        if self.events % self.every:
            self.state = self._after(self.inputs[self.count - 1 : self.count], self.state)
        else:
            self._step()

    def _after(self, rows, state):
        return self.net.infer(rows[np.newaxis], state)[1]

    def _step(self):
        """One step of the optimiser, on the rows that are kept."""
        x, target = self.inputs[: self.count], self.targets[: self.count]
        y, state, tape = self.net.forward(x[np.newaxis], self.before)
        target = np.where(np.isnan(target), y[0], target)
        dy = self.loss.compute(y, target[np.newaxis]).gradient
        self.gradient.fill(0)
        self.net.backward(tape, dy, None, self.gradients, False)
        norm = float(np.sqrt(np.square(self.gradient, dtype=np.float64).sum()))
        if not norm <= LARGEST_NORM[REAL]:
            raise FloatingPointError(f"the norm of the gradient is {norm}; this event was not learnt")
        if self.clip is not None:
            clip_norm(self.gradient, self.clip, norm)
        self.optimizer.update(self.net.flat_parameters, self.gradient, self.optimizer_state)
        self.state = state

    def predict(self, x: np.ndarray, state: Any) -> tuple[np.ndarray, Any]:
        """What the network gives for an input behind `state`, and the state behind it; nothing is learnt."""
        y, state = self.net.infer(x[np.newaxis, np.newaxis], state)
        return y[0, 0].astype(np.float64), state

    def __getstate__(self):
        return {name: value for name, value in vars(self).items() if name not in ("gradient", "gradients")}

    def __setstate__(self, state):
        vars(self).update(state)
        self._prepare()

    def kept(self) -> dict[str, Any]:
        """What a file keeps."""
        return {
            "parameters": self.net.parameters(),
            "optimizer": {"numbers": self.optimizer_state.numbers(), "arrays": self.optimizer_state.arrays()},
            "inputs": self.inputs[: self.count],
            "targets": self.targets[: self.count],
            "events": self.events,
            "before": self.before,
            "state": self.state,
        }

    def load(self, kept: dict[str, Any]) -> None:
        """Takes what `kept` gave."""
        self.net.load_parameters(kept["parameters"])
        state = kept["optimizer"]
        self.optimizer_state = optimizers.OptimizerState.restored(state["arrays"], state["numbers"])
        self.count, self.events = len(kept["inputs"]), kept["events"]
        self.inputs[: self.count], self.targets[: self.count] = kept["inputs"], kept["targets"]
        self.before, self.state = kept["before"], kept["state"]
