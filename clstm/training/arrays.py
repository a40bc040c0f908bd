"""Rows of arrays, which may be memory-mapped and larger than memory: only what a batch takes is read."""

from __future__ import annotations

import numpy as np

from .. import _arrays
from ..losses import checked_weight
from ..sequences import flags
from .batches import NOTHING, Batch, Rows
from .checks import check_symbols, checked_x


class Arrays:
    """Rows of arrays.

    Parameters
    ----------
    fit : Fit
    x, y : array_like
    lengths : array_like of int, (N,), optional
    mask : array_like of bool, (N, T), optional
    weight : array_like, (N,) or (N, T), optional
    """

    def __init__(self, fit, x, y, lengths=None, mask=None, weight=None):
        self.fit, net = fit, fit.net
        self.x, self.has_time = checked_x(net, x)
        self.rows = len(self.x)
        self.lengths = self._lengths(lengths)
        self.mask = self._mask(mask, lengths)
        check_symbols(net, self.x, self.lengths, self.mask)
        self.keeps_time = self.has_time and not net.removes_time
        shape = fit.shape_of(self.x, self.lengths, self.mask)
        valid = fit.after(self.lengths) if self.keeps_time else None
        self.cuts_y = self.keeps_time and fit.loss.aligned
        self.y = fit.loss.checked(y, shape, valid, "y")
        self.weight = self._weight(weight, shape)
        if valid is not None and not valid.any():
            raise _arrays.wrong(ValueError, "lengths", "at least one valid step", "zeros only")

    def _lengths(self, lengths):
        if lengths is None:
            return None
        if not self.has_time:
            raise _arrays.wrong(ValueError, "lengths", "None, because x has no time axis", _arrays.kind(lengths))
        return _arrays.lengths(lengths, *self.x.shape[:2])

    def _mask(self, mask, lengths):
        if mask is None:
            return None
        if not self.has_time:
            raise _arrays.wrong(ValueError, "mask", "None, because x has no time axis", _arrays.kind(mask))
        if lengths is not None:
            expected = "None where lengths are given, since a mask says alone which steps are valid"
            raise _arrays.wrong(ValueError, "mask", expected, _arrays.kind(mask))
        mask = flags("mask", mask, self.x.shape[:2])
        if not mask.any():
            raise _arrays.wrong(ValueError, "mask", "at least one valid step", "none")
        return mask

    def _weight(self, weight, shape):
        """Those of the loss: of the caller, and 0 where a mask says that a step is not valid."""
        steps = shape[1] if self.cuts_y and not self.fit.loss.of_sequences else None
        if weight is not None:
            weight = checked_weight("sample_weight", weight, self.rows, steps, self.fit.net.flat_parameters.dtype)
        if self.mask is None or not self.keeps_time:
            return weight
        if steps != self.x.shape[1]:
            raise _arrays.wrong(ValueError, "mask", f"None, because of the loss {self.fit.loss!r}", "a mask")
        own = self.mask.astype(self.fit.net.flat_parameters.dtype)
        return own if weight is None else own * (weight if weight.ndim == 2 else weight[:, np.newaxis])

    @property
    def longest(self):
        """Steps of the longest row; None if there is no time axis."""
        return self.steps_of(slice(None))

    def steps_of(self, index):
        """Of the longest of some rows."""
        if not self.has_time:
            return None
        return self.x.shape[1] if self.lengths is None else max(1, int(self.lengths[index].max()))

    def batch(self, index, begin, end):
        """Some rows, from one step to another if there is a time axis."""
        if not self.has_time:
            return Batch(self.x[index], self.y[index], weight=None if self.weight is None else self.weight[index])
        whole = begin == 0 and end == self.x.shape[1]
        x = self.x[index] if whole else self.x[index, begin:end]
        lengths = self.lengths
        if lengths is not None:
            lengths = lengths[index] if whole else np.clip(lengths[index] - begin, 0, end - begin)
        options = NOTHING if self.mask is None else {"mask": self.mask[index, begin:end]}
        y, weight = self.y, self.weight
        if self.cuts_y and not whole:
            end = self.fit.after(end)
            y = y[index, begin:end]
            weight = None if weight is None else weight[index, begin:end] if weight.ndim == 2 else weight[index]
        else:
            y, weight = y[index], None if weight is None else weight[index]
        return Batch(x, y, lengths, self.fit.after(lengths) if self.keeps_time else None, weight, options)

    def epoch(self, epoch, rng, plan, done):
        """The batches of an epoch from `done` on, and how many there are in all."""
        chosen = plan.batches(self.rows, self.lengths, rng)
        return len(chosen), (Rows(self, index) for index in chosen[done:])

    def count(self, plan):
        """How many batches an epoch has, or None if that is not known."""
        return None if plan.max_padding is not None and self.lengths is not None else -(-self.rows // plan.batch_size)

    def describe(self):
        """What has to be the same where a training goes on."""
        return {"rows": self.rows, "shape": list(self.x.shape[1:])}
