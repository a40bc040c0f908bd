"""What one step of training takes, and what all sources of batches need."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..sequences import prefix

if TYPE_CHECKING:
    from ..layer import Layer
    from ..losses import Loss

NOTHING: dict[str, Any] = {}


class Batch:
    """What one step of training takes.

    Parameters
    ----------
    x : ndarray
    y
        What the loss takes as a target.
    lengths : ndarray of intp, (N,), or None
        Valid steps of each row of x.
    valid : ndarray of intp, (N,), or None
        Valid steps of each row of the prediction; None where it has no time axis.
    weight : ndarray, (N,) or (N, T), or None
        For the loss.
    options : dict
        What else the network is given: a mask (N, T), or the target and its lengths.
    """

    __slots__ = ("lengths", "options", "valid", "weight", "x", "y")

    def __init__(self, x, y, lengths=None, valid=None, weight=None, options=NOTHING):
        self.x, self.y, self.lengths, self.valid, self.weight, self.options = x, y, lengths, valid, weight, options

    def __len__(self):
        return len(self.x)

    def part(self, rows):
        """Some of the rows, with as many steps."""
        own = (None if array is None else array[rows] for array in (self.lengths, self.valid, self.weight))
        return Batch(self.x[rows], self.y[rows], *own, {name: array[rows] for name, array in self.options.items()})

    def suspicion(self):
        """What a loss or gradient that is not finite comes from, so far as that can be seen."""
        for name, array, lengths in (("x", self.x, self.lengths), ("y", self.y, self.valid)):
            if isinstance(array, np.ndarray) and array.dtype.kind == "f":
                seen = array if lengths is None else array[prefix(lengths, array.shape[1])]
                if not np.isfinite(seen[self.options["mask"]] if "mask" in self.options else seen).all():
                    return f"because {name} holds NaN or infinities"
        return "though x and y are finite: a smaller learning_rate or a clip_norm may help"


class Rows:
    """Chosen rows of a source, of which a batch is made; or of which pieces of time are made."""

    __slots__ = ("index", "source")

    def __init__(self, source, index):
        self.source, self.index = source, index

    @property
    def steps(self):
        """Of the longest of them, at least 1; None if there is no time axis."""
        return self.source.steps_of(self.index)

    def batch(self, begin=0, end=None):
        """The batch, or its steps from `begin` to `end`."""
        return self.source.batch(self.index, begin, self.steps if end is None else end)


class Fit:
    """How a network and a loss belong together, which all sources of a training need.

    Parameters
    ----------
    net : Layer
    loss : Loss
    """

    def __init__(self, net: Layer, loss: Loss) -> None:
        self.net, self.loss = net, loss

    def after(self, lengths):
        """Lengths, or a number of steps, behind the network."""
        return lengths if lengths is None else self.net.lengths_after(lengths)

    def shape_of(self, x, lengths, mask):
        """The shape of a prediction for all rows, as the first row tells."""
        first = (array if array is None else array[:1] for array in (lengths, mask))
        lengths, mask = first
        options = {} if mask is None else {"mask": mask}
        return (len(x), *self.net.infer(x[:1], None, lengths, **options)[0].shape[1:])
