"""Ensemble: several networks as one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from . import _arrays, budget
from .layer import CheckedGradients, Tape
from .network import Network, _in_layer

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from .noise import Noise


class Ensemble(Network):
    """Layers side by side: each takes the same x, and y is the mean of what they give.

    The mean of networks that were trained from different starting weights errs less than each of them. To train them
    one by one, do it before they join: their parameters then move into the one buffer of the ensemble, which is a layer
    like any other, and can be trained as a whole too.

    Parameters
    ----------
    layers : sequence of Layer
        At least one, usually networks; all of the same sizes, axes and dtype.

    Examples
    --------
    >>> import numpy as np, clstm
    >>> members = [clstm.Network([clstm.LSTM(1, 4, rng=k), clstm.Pool("last")]) for k in range(3)]
    >>> x = np.ones((2, 5, 1), np.float32)
    >>> mean = sum(member(x) for member in members) / 3
    >>> bool(np.allclose(clstm.Ensemble(members)(x), mean))
    True
    """

    def __repr__(self):
        return f"Ensemble([{', '.join(map(repr, self.layers))}])"

    def _follow(self):
        """All members fit the first; what it is, the ensemble is."""
        first = self.layers[0]
        for name in ("input_size", "output_size", "axes", "removes_time", "takes_indices"):
            for k, layer in enumerate(self.layers):
                expected, got = getattr(first, name), getattr(layer, name)
                if got != expected:
                    raise _arrays.wrong(ValueError, f"layers[{k}].{name}", f"{expected!r} as layers[0] has", repr(got))
            setattr(self, name, getattr(first, name))
        for k, layer in enumerate(self.layers):
            if any(layer._share_after(share) != first._share_after(share) for share in (0, 0.5, 1)):
                expected = "a layer whose directions stand in y as those of layers[0] do"
                raise _arrays.wrong(ValueError, f"layers[{k}]", expected, layer)

    @property
    def bidirectional(self):
        """Whether half of what the members give was computed backward in time."""
        return self.layers[0].bidirectional

    @property
    def go_backwards(self):
        """Whether all of it was."""
        return self.layers[0].go_backwards

    def _reverse_share(self, target):
        outer = self._network()
        return 0 if outer is None else outer._reverse_share(self)

    def _share_after(self, share):
        return self.layers[0]._share_after(share)

    def _check_share(self, share):
        for k, layer in enumerate(self.layers):
            with _in_layer(k, layer):
                layer._check_share(share)

    def infer(
        self, x: ArrayLike, state: list[Any] | None = None, lengths: ArrayLike | None = None
    ) -> tuple[np.ndarray, list[Any]]:
        """y, and the list of the states of the members."""
        x, state, lengths = self._checked(x, state, lengths)
        outputs, states = [], []
        for k, layer in enumerate(self.layers):
            with _in_layer(k, layer):
                y, after = layer.infer(x, state[k], lengths)
            outputs.append(y)
            states.append(after)
        return mean_of(outputs), states

    def forward(
        self,
        x: ArrayLike,
        state: list[Any] | None = None,
        lengths: ArrayLike | None = None,
        *,
        noise: int | Noise | None = None,
        memory: int | None = None,
    ) -> tuple[np.ndarray, list[Any], Tape]:
        """The same, and a tape for `backward`. Each member has noise of its own, and a share of the memory."""
        x, state, lengths = self._checked(x, state, lengths)
        options = self._options(noise, budget.shares(self, x, lengths, state, memory))
        outputs, states, tapes = [], [], []
        for k, layer in enumerate(self.layers):
            with _in_layer(k, layer):
                y, after, tape = layer.forward(x, state[k], lengths, **options[k])
            outputs.append(y)
            states.append(after)
            tapes.append(tape)
        return mean_of(outputs), states, Tape(self, (tapes, outputs[0].shape, list(states)))

    def _run_back(self, tapes, dy, dstate, grads, need_dx, bptt, backward):
        dy = dy / len(self.layers)
        parts = []
        for k, layer in enumerate(self.layers):
            own = CheckedGradients((name, grads[full]) for name, full in self._names_of[k])
            with _in_layer(k, layer):
                part, dstate[k], _ = backward(k)(tapes[k], dy, dstate[k], own, **self._options_back(k, need_dx, bptt))
            parts.append(part)
        return (None if parts[0] is None else sum(parts[1:], parts[0])), dstate, grads


def mean_of(arrays):
    """The mean of arrays of one shape, summed in their order."""
    return sum(arrays[1:], arrays[0]) / len(arrays)
