"""Data of a training: what `fit` may be given, in one form.

Everything becomes a *source*, which hands out batches: chosen rows, from one step to another.

(a) `Arrays` are rows of arrays, which may be memory-mapped and larger than memory.
(b) `Lists` are sequences of unequal length, padded batch by batch.
(c) `Pairs` are sequences to be read and sequences to be written, for a network that is given both.
(d) `Batches` come from anybody's iterable, in the size and order in which it gives them.

Everything that can be checked is checked when a source is made: before the first step, completely but for (d).
"""

from __future__ import annotations

import inspect

import numpy as np

from .. import _arrays
from ..sequences import is_list
from .arrays import Arrays
from .batches import Fit, Rows
from .lists import Lists, Pairs


class Batches:
    """Batches of somebody's making.

    Parameters
    ----------
    fit : Fit
    batches : iterable or callable
        Of (x, y), (x, y, lengths), (x, y, lengths, sample_weight), or dicts of these names and "mask". A callable
        makes an iterable; if it takes an argument, that is the number of the epoch.
    steps : int or None
        How many batches an epoch has; None: until there are no more.
    """

    names = ("x", "y", "lengths", "sample_weight", "mask")

    def __init__(self, fit, batches, steps):
        self.fit, self.batches, self.steps = fit, batches, steps
        self.rows = self.mask = None
        self.again = callable(batches) or iter(batches) is not batches
        self.going = None if self.again else batches  # an iterator, which goes on from epoch to epoch
        self.takes_epoch = callable(batches) and len(inspect.signature(batches).parameters) > 0

    def epoch(self, epoch, rng, plan, done):
        """The batches of an epoch from `done` on, and how many there are in all, or None."""
        return self.steps, self._from(epoch, done)

    def _from(self, epoch, done):
        given = self._start(epoch)
        if done and self.again:
            for k in range(done):
                self._next(given, k)
        k = done
        while self.steps is None or k < self.steps:
            item = self._next(given, k)
            if item is None:
                return
            yield self._rows(item, k)
            k += 1

    def _start(self, epoch):
        if not self.again:
            return self.going
        made = (
            self.batches if not callable(self.batches) else self.batches(epoch) if self.takes_epoch else self.batches()
        )
        return iter(made)

    def _next(self, given, k):
        """Batch k of an epoch, or None behind the last."""
        item = next(given, None)
        if item is None and (k == 0 or self.steps is not None):
            wanted = "at least one batch" if self.steps is None else f"{self.steps} batches in each epoch"
            raise _arrays.wrong(ValueError, "x", f"a source of {wanted}", f"one that ends after {k}")
        return item

    def _rows(self, item, k):
        """A batch as rows of a source of its own, checked like any other."""
        if not isinstance(item, dict):
            if not isinstance(item, (tuple, list)) or not 2 <= len(item) <= 4:
                got = f"{len(item)} entries" if isinstance(item, (tuple, list)) else _arrays.kind(item)
                raise _arrays.wrong(
                    TypeError,
                    f"x, batch {k + 1}",
                    "(x, y), (x, y, lengths), (x, y, lengths, sample_weight) or a dict",
                    got,
                )
            item = dict(zip(self.names, item, strict=False))
        if not {"x", "y"} <= item.keys() <= set(self.names):
            raise _arrays.wrong(
                ValueError,
                f"x, batch {k + 1}",
                f"x, y and some of {', '.join(self.names[2:])}",
                ", ".join(map(str, item)),
            )
        try:
            source = rows_source(
                self.fit, item["x"], item["y"], item.get("lengths"), item.get("mask"), item.get("sample_weight")
            )
        except (TypeError, ValueError) as error:
            raise type(error)(f"in batch {k + 1} of the source: {error}") from error
        return Rows(source, slice(None))

    def count(self, plan):
        """How many batches an epoch has, or None if that is not known."""
        return self.steps

    def describe(self):
        """What has to be the same where a training goes on."""
        return {"steps": self.steps}


def rows_source(fit, x, y, lengths, mask, weight):
    """The source of arrays, of lists of sequences, or of pairs of them."""
    if getattr(fit.net, "takes_target", False):
        return Pairs(fit, x, y, lengths, mask, weight)
    listed = fit.net.axes != "step" and is_list(x, 1 if fit.net.takes_indices else 2)
    return (Lists if listed else Arrays)(fit, x, y, lengths, mask, weight)


def source_of(fit, x, y, lengths=None, mask=None, weight=None, steps=None):
    """The source of whatever `fit` of a trainer is given."""
    if y is not None:
        _arrays.absent("steps_per_epoch", steps, "x and y are arrays or lists, which have an end")
        return rows_source(fit, x, y, lengths, mask, weight)
    if not (callable(x) or hasattr(x, "__iter__")) or isinstance(x, (np.ndarray, str, dict)):
        raise _arrays.wrong(TypeError, "y", "targets, unless x is an iterable of batches", "None")
    for name, value in (("lengths", lengths), ("mask", mask), ("sample_weight", weight)):
        _arrays.absent(name, value, "x is an iterable of batches, which have their own")
    return Batches(fit, x, None if steps is None else _arrays.size("steps_per_epoch", steps))


__all__ = ["Arrays", "Batches", "Fit", "Lists", "Pairs", "Rows", "rows_source", "source_of"]
