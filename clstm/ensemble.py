"""Ensemble: several networks as one."""

from __future__ import annotations

import numpy as np

from . import _arrays
from .layer import CheckedGradients
from .network import Network
from .running import in_layer, run_layer_back, steps_after

PROBE = np.arange(1024)  # lengths at which members are compared


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

            if not np.array_equal(layer.lengths_after(PROBE), first.lengths_after(PROBE)):
                raise _arrays.wrong(
                    ValueError, f"layers[{k}]", "a layer that gives as many steps as layers[0]", repr(layer)
                )

    def lengths_after(self, lengths):
        """Valid steps of each row of y, by those of x; None where y has no time axis."""
        return None if self.removes_time else self.layers[0].lengths_after(lengths)

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
            with in_layer(k, layer):
                layer._check_share(share)

    _refers = False

    def _run(self, x, state, steps, keep, options):
        """The mean of what the members give, their states, their tapes, and what is valid of it. Each member has noise
        of its own, and a share of the memory."""
        runs = [self._run_one(k, x, state[k], steps, keep, options[k]) for k in range(len(self.layers))]
        outputs, states, tapes = (list(parts) for parts in zip(*runs, strict=True))
        return mean_of(outputs), states, tapes, steps_after(self.layers[0], steps)

    def _run_back(self, tapes, dy, dstate, grads, need_dx, bptt, backward):
        dy = dy / len(self.layers)
        parts = []
        for k, layer in enumerate(self.layers):
            own = CheckedGradients((name, grads[full]) for name, full in self._names_of[k])
            with in_layer(k, layer):
                options = self._options_back(k, need_dx, bptt)
                part, dstate[k], _ = run_layer_back(layer, backward(k), tapes[k], dy, dstate[k], own, options)
            parts.append(part)
        return (None if parts[0] is None else sum(parts[1:], parts[0])), dstate, grads


def mean_of(arrays):
    """The mean of arrays of one shape, summed in their order."""
    return sum(arrays[1:], arrays[0]) / len(arrays)
