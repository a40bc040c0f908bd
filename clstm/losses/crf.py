"""The loss of a conditional random field."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .. import _arrays, _core
from .base import Computed, Loss, check_shape
from .options import Option

if TYPE_CHECKING:
    from typing import Literal

    from ..crf import CRF
    from ..layer import Layer

REDUCTIONS = _core.CRF_REDUCTIONS
BLOCK = 1 << 20  # elements of a target that are checked at once


class CRFLoss(Loss):
    """-log p of the right path of tags, for a network whose last layer is a `clstm.CRF`.

    The gradient at an emission is the marginal less 1 where the tag is right, that of a transition how often it is
    expected less how often it is there (Lafferty, McCallum and Pereira 2001).

    Parameters
    ----------
    reduction : str, default "mean"
        "mean": over the rows, by their weights. "token_mean": the sum divided by the steps of all rows, by the weights
        of their rows. "sum".

    Attributes
    ----------
    layer : CRF or None
        After `attach`.

    Notes
    -----
    Rows of length 0 have no part in it. Weights are those of rows: a path as a whole is right or wrong, so that single
    steps cannot have any.

    Examples
    --------
    A step of training by hand:

    >>> import numpy as np, clstm
    >>> net = clstm.Network([clstm.LSTM(4, 8, rng=0), clstm.Dense(8, 3, rng=1), clstm.CRF(3, rng=2)])
    >>> loss = clstm.losses.CRFLoss()
    >>> loss.attach(net)
    >>> rng = np.random.default_rng(0)
    >>> x, tags = rng.normal(size=(2, 5, 4)), rng.integers(3, size=(2, 5))
    >>> y, _, tape = net.forward(x)
    >>> target = loss.checked(tags, y.shape)
    >>> flat, grads = net.zeros_like_parameters()
    >>> of_layer = {name: grads["2." + name] for name in loss.layer.parameters()}
    >>> found = loss.compute(y, target, grads=of_layer)
    >>> print(f"{found.loss:.3f} for {found.weight:.0f} rows")
    5.399 for 2 rows
    >>> _ = net.backward(tape, found.gradient, grads=grads)
    >>> net.flat_parameters -= 0.1 * flat
    """

    name = "crf"
    least_axes = 2
    of_sequences = True
    layer: CRF | None = None
    reduction = Option(lambda name, value: _arrays.choice(name, value, REDUCTIONS))

    def __init__(self, *, reduction: Literal["mean", "token_mean", "sum"] = "mean") -> None:
        self.reduction = reduction

    def attach(self, net: Layer) -> None:
        """Finds the CRF that a network ends with, which may be the last of a network in it, or the layer itself."""
        from ..crf import CRF
        from ..network import Network  # which needs the losses itself

        last = net
        while isinstance(last, Network):
            last = last.layers[-1]
        if not isinstance(last, CRF):
            raise _arrays.wrong(
                ValueError, "net", "a network whose last layer is a CRF, for the loss 'crf'", repr(last)
            )
        self.layer = last

    def _attached(self):
        """The layer."""
        if self.layer is None:
            raise _arrays.wrong(ValueError, "loss", "one that `attach` has given the CRF of a network", "none")
        return self.layer

    def checked(self, target, shape, lengths=None, name="target"):
        """An array of tags (N, T), which may be a memory-mapped one: it is looked at part by part."""
        layer = self._attached()
        if len(shape) != 3 or shape[2] != layer.num_tags:
            raise _arrays.wrong(ValueError, "prediction", f"shape (N, T, {layer.num_tags})", f"shape {shape}")
        target = _arrays.integers(name, target)
        check_shape(target, tuple(shape[:2]), name)
        rows = max(1, BLOCK // shape[1])
        for start in range(0, shape[0], rows):
            some = None if lengths is None else lengths[start : start + rows]
            check_tags(name, np.asarray(target[start : start + rows]), start, layer, some)
        return target

    def compute(self, prediction, target, lengths=None, weight=None, *, gradient=True, grads=None):
        """-log p of the paths `target`; adds the gradients of transitions, start and end to `grads`."""
        layer = self._attached()
        if weight is not None and weight.ndim != 1:
            expected = f"shape ({len(prediction)},), a weight for each row, since a path has one as a whole"
            raise _arrays.wrong(ValueError, "weight", expected, f"shape {weight.shape}")
        loss, found, total = _core.crf_loss(
            layer._scores(),
            _arrays.contiguous(prediction),
            np.ascontiguousarray(target, np.int64),
            lengths,
            weight if weight is None else _arrays.contiguous(weight),
            self.reduction,
            gradient,
            None if grads is None else tuple(grads[name] for name in layer.parameters()),
        )
        return Computed(loss, found, total)


def check_tags(name, tags, first, layer, lengths):
    """Raises for the first tag of some rows, from row `first` on, that is none or is forbidden there."""
    N, T = tags.shape
    valid = np.ones((N, T), bool) if lengths is None else np.arange(T) < lengths[:, np.newaxis]
    bad = ((tags < 0) | (tags >= layer.num_tags)) & valid
    if bad.any():
        n, t = (int(axis) for axis in np.argwhere(bad)[0])
        expected = f"one of {layer.num_tags} tags, from 0 to {layer.num_tags - 1}"
        raise _arrays.wrong(ValueError, name, expected, f"{tags[n, t]} at {[first + n, t]}")
    if layer._masks is None:
        return
    between, start, end = layer._masks
    tags = np.where(valid, tags, 0)
    last = valid.copy()
    last[:, :-1] &= ~valid[:, 1:]
    bad = last & end[tags]
    bad[:, 0] |= valid[:, 0] & start[tags[:, 0]]
    bad[:, 1:] |= valid[:, 1:] & between[tags[:, :-1], tags[:, 1:]]
    if bad.any():
        n, t = (int(axis) for axis in np.argwhere(bad)[0])
        raise _arrays.wrong(ValueError, name, "a path that is not forbidden", f"{tags[n, t]} at {[first + n, t]}")
