"""How far back the gradient reaches: the size of what each step of a recurrent layer gets of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from . import _arrays
from .noise import SILENCE, noise_of
from .sequences import is_list
from .trace import ByName

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from .layer import Layer
    from .losses import Loss
    from .noise import Noise


class GradientFlow(ByName):
    """The norms of dL/dh_t and dL/dc_t: how much of the gradient of a loss arrives at each step.

    They are total derivatives. What moves h_t moves the loss through the output of step t (or the layer above) and
    through all later steps; what moves c_t does so through h_t and through all later steps. Norms are Euclidean, over
    the units.

    Attributes
    ----------
    h : ndarray of float64, (L*D, N, T)
        The norm of dL/dh_t.
    c : ndarray of float64, (L*D, N, T)
        Of an LSTM: the norm of dL/dc_t.

    The first axis is that of the state: layer by layer, forward direction first; `[:, :, t]` belongs to the state after
    step t, in the order of time for both directions. All are zero beyond the lengths. An index selects in all at once:
    ``flow[0].h`` are the norms (N, T) of the first layer.

    Examples
    --------
    A loss that looks at the last of 30 steps alone: how much of its gradient arrives at the first one?

    >>> import numpy as np, clstm
    >>> x = np.random.default_rng(0).normal(size=(8, 30, 2))
    >>> dy = np.zeros((8, 30, 4))
    >>> dy[:, -1] = 1
    >>> flow = clstm.LSTM(2, 4, rng=0).gradient_flow(x, dy)
    >>> flow.h.shape, flow[0].c.shape
    ((1, 8, 30), (8, 30))
    >>> h = flow.over_batch("h")[0]
    >>> f"{h[-1]:.2f} at the last step, {h[0] / h[-1]:.0e} of it at the first"
    '5.66 at the last step, 4e-04 of it at the first'
    """

    __slots__ = ()
    _noun = "gradient flow"

    def __getitem__(self, index: Any) -> GradientFlow:
        return GradientFlow(self._select(index))

    def __getstate__(self):
        return self._arrays

    def __setstate__(self, state):
        self._arrays = state

    def over_batch(self, name: str) -> np.ndarray:
        """The norms over units and rows together.

        Parameters
        ----------
        name : str
            "h" or, of an LSTM, "c".

        Returns
        -------
        norms : ndarray, (L*D, T)
        """
        norms = self._arrays[_arrays.choice("name", name, tuple(self))]
        if norms.ndim < 2:
            raise _arrays.wrong(ValueError, "flow", "one with the axes of rows and steps", repr(self))
        return np.hypot.reduce(norms, axis=-2)


def norms_of(gradients: dict[str, np.ndarray]) -> GradientFlow:
    """The gradient flow of dL/dh and dL/dc (L*D, N, T, H); no square of a small number is lost."""
    return GradientFlow({name: np.hypot.reduce(d, axis=-1, dtype=np.float64) for name, d in gradients.items()})


def flow_of_loss(
    net: Layer,
    loss: Loss,
    x: ArrayLike,
    y: ArrayLike,
    lengths: ArrayLike | None,
    noise: int | Noise | None,
    bptt: int | None,
) -> dict[str, GradientFlow]:
    """The gradient flow of each recurrent layer of a network, by its place; see `Network.gradient_flow`."""
    noise = SILENCE if noise is None else noise_of(noise)
    bptt = None if bptt is None else _arrays.size("bptt", bptt)
    if is_list(x, 1 if net.takes_indices else 2):
        raise _arrays.wrong(TypeError, "x", "one array, with lengths", "a list of arrays")
    prediction, _, tape = net.forward(x, None, lengths, **({"noise": noise} if net.takes_noise else {}))
    with_time = lengths is not None and not net.removes_time
    valid = net.lengths_after(_arrays.lengths(lengths, *np.shape(x)[:2])) if with_time else None
    loss.attach(net)
    target = loss.checked(y, prediction.shape, valid, "y")
    flows: dict[str, GradientFlow] = {}
    _, dy = loss(prediction, target, valid)
    options = {} if bptt is None else {"bptt": bptt}
    net._flow_back(flows, "", tape, dy, None, net.zeros_like_parameters()[1], need_dx=False, **options)
    if not flows:
        raise _arrays.wrong(ValueError, "net", "a network with a recurrent layer", repr(net))
    return dict(sorted(flows.items(), key=lambda item: [int(part) for part in item[0].split(".")]))
