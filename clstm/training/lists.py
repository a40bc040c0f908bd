"""Sequences of unequal length, padded batch by batch: each an array, or pairs of which one is to be written."""

from __future__ import annotations

import numpy as np

from .. import _arrays
from ..losses import checked_weight
from ..losses.targets import Ragged
from ..sequences import is_list
from .arrays import Arrays
from .batches import Batch
from .checks import check_symbols_of, checked_parts


class Lists(Arrays):
    """Sequences of unequal length, each an array of its own.

    Parameters
    ----------
    fit : Fit
    x : list of ndarray
        (T_n, F), or indices (T_n,).
    y
        For a prediction at each step a list of targets as long as the sequences, otherwise what the loss takes.
    weight : array_like (N,), or list of (T_n,), optional
    """

    def __init__(self, fit, x, y, lengths=None, mask=None, weight=None):
        self.fit, net = fit, fit.net
        _arrays.absent("lengths", lengths, "x is a list, whose arrays have their own")
        _arrays.absent("mask", mask, "x is a list, of steps that are all valid")
        self.parts = checked_parts(net, x)
        self.rows, self.mask, self.has_time = len(self.parts), None, True
        self.lengths = np.array([len(part) for part in self.parts], np.intp)
        if not self.lengths.any():
            raise _arrays.wrong(ValueError, "x", "at least one step", "none")
        self.keeps_time = not net.removes_time
        self.cuts_y = self.keeps_time and fit.loss.aligned
        self.starts = np.cumsum(self.lengths) - self.lengths
        longest = int(self.lengths.argmax())
        shape = fit.shape_of(self.parts[longest][np.newaxis], None, None)[1:]
        self.y, self.weight = (self._stepwise if self.cuts_y else self._rowwise)(y, shape, weight)

    def _rowwise(self, y, shape, weight):
        """Targets and weights of whole rows."""
        valid = self.fit.after(self.lengths) if self.keeps_time else None
        y = self.fit.loss.checked(y, (self.rows, *shape), valid, "y")
        if weight is not None:
            weight = checked_weight("sample_weight", weight, self.rows, None, self.fit.net.flat_parameters.dtype)
        return y, weight

    def _stepwise(self, y, shape, weight):
        """Targets and weights of all steps side by side, which are cut out for batches."""
        if (self.fit.after(self.lengths) != self.lengths).any():
            raise _arrays.wrong(ValueError, "x", "one array with lengths, because a layer changes the steps", "a list")
        y = self._checked_steps(self._joined("y", y), shape)
        if self.fit.loss.of_sequences:
            if weight is not None:
                weight = checked_weight("sample_weight", weight, self.rows, None, self.fit.net.flat_parameters.dtype)
            return y, weight
        if isinstance(weight, (list, tuple)) and is_list(weight, 1):
            joined = self._joined("sample_weight", weight)[np.newaxis]
            dtype = self.fit.net.flat_parameters.dtype
            return y, checked_weight("sample_weight", joined, 1, joined.shape[1], dtype)[0]
        if weight is not None:
            dtype = self.fit.net.flat_parameters.dtype
            weight = np.repeat(checked_weight("sample_weight", weight, self.rows, None, dtype), self.lengths)
        return y, weight

    def _checked_steps(self, y, shape):
        """Targets of all steps side by side, checked: those of whole sequences one by one."""
        loss = self.fit.loss
        if not loss.of_sequences:
            return loss.checked(y[np.newaxis], (1, len(y), *shape[1:]), None, "y")[0]
        parts = [(n, part) for n, part in enumerate(np.split(y, self.starts[1:])) if len(part)]
        shapes = [(1, len(part), *shape[1:]) for _, part in parts]
        every = zip(parts, shapes, strict=True)
        return np.concatenate([loss.checked(part[np.newaxis], own, None, f"y[{n}]")[0] for (n, part), own in every])

    def _joined(self, name, parts):
        """A list of arrays with as many steps as those of x, one after another."""
        if not isinstance(parts, (list, tuple)) or len(parts) != self.rows:
            got = f"{len(parts)} of them" if isinstance(parts, (list, tuple)) else _arrays.kind(parts)
            raise _arrays.wrong(ValueError, name, f"a list of {self.rows} arrays, as x is one", got)
        arrays = [_arrays.array_of(f"{name}[{n}]", part) for n, part in enumerate(parts)]
        for n, (array, steps) in enumerate(zip(arrays, self.lengths, strict=True)):
            if array.shape[:1] != (steps,) or array.shape[1:] != arrays[0].shape[1:]:
                expected = f"shape {(int(steps), *arrays[0].shape[1:])}, to fit x[{n}]"
                raise _arrays.wrong(ValueError, f"{name}[{n}]", expected, f"shape {array.shape}")
        return np.concatenate(arrays)

    def _padded(self, joined, chosen, begin, end):
        """Steps of chosen rows of an array of all steps, zero where there are none."""
        found = np.zeros((len(chosen), end - begin, *joined.shape[1:]), joined.dtype)
        for row, n in enumerate(chosen):
            steps = joined[self.starts[n] + begin : self.starts[n] + min(end, self.lengths[n])]
            found[row, : len(steps)] = steps
        return found

    def batch(self, index, begin, end):
        """Some rows from one step to another."""
        chosen = np.arange(self.rows)[index]
        first = self.parts[0]
        x = np.zeros((len(chosen), end - begin, *first.shape[1:]), first.dtype)
        for row, n in enumerate(chosen):
            steps = self.parts[n][begin:end]
            x[row, : len(steps)] = steps
        lengths = np.clip(self.lengths[index] - begin, 0, end - begin)
        if not self.cuts_y:
            weight = None if self.weight is None else self.weight[index]
            valid = self.fit.after(lengths) if self.keeps_time else None
            return Batch(x, self.y[index], lengths, valid, weight)
        weight = self.weight
        if weight is not None:
            rows = self.fit.loss.of_sequences
            weight = weight[index] if rows else self._padded(weight, chosen, begin, end)
        return Batch(x, self._padded(self.y, chosen, begin, end), lengths, lengths, weight)

    def describe(self):
        """What has to be the same where a training goes on."""
        return {"rows": self.rows, "shape": [int(self.lengths.sum()), *self.parts[0].shape[1:]]}


class Pairs:
    """Sequences of symbols, and others that are to be written, for a network that is given both (`takes_target`).

    Parameters
    ----------
    fit : Fit
    x : array_like of int, (N, S), or list of (S_n,)
    y : array_like of int, (N, T), list of (T_n,), or tuple (array, lengths)
        Of an array, what is padding behind the last symbol is not valid.
    lengths : array_like of int, (N,), optional
        Of x.
    """

    cuts_y = False

    def __init__(self, fit, x, y, lengths=None, mask=None, weight=None):
        self.fit, net = fit, fit.net
        _arrays.absent("mask", mask, "this network is given the target too")
        self.x = self._sequences("x", x if lengths is None else (_arrays.array_of("x", x), lengths))
        self.y = self._sequences("y", y)
        self.rows = len(self.x)
        if len(self.y) != self.rows:
            raise _arrays.wrong(ValueError, "y", f"{self.rows} rows, as x has", len(self.y))
        check_symbols_of("x", self.x, net.source_symbols)
        shape = (self.rows, self.y.values.shape[1], net.target_symbols)
        self.values = fit.loss.checked(self.y.values, shape, self.y.lengths, "y")
        if weight is not None:
            weight = checked_weight("sample_weight", weight, self.rows, shape[1], net.flat_parameters.dtype)
        self.weight, self.lengths = weight, np.maximum(self.x.lengths, self.y.lengths)

    def _sequences(self, name, value):
        """Symbols with the lengths that they come with, or that padding at the end says."""
        found = Ragged.of(name, value)
        padding = self.fit.net.padding
        if isinstance(value, (list, tuple, Ragged)) or padding is None:
            return found
        real = found.values != padding
        return Ragged(found.values, np.where(real.any(axis=1), real.shape[1] - real[:, ::-1].argmax(axis=1), 0))

    @property
    def longest(self):
        """Symbols of the longest source."""
        return self.x.values.shape[1]

    def steps_of(self, index):
        """Symbols of the longest source of some rows."""
        return max(1, int(self.x.lengths[index].max()))

    def batch(self, index, begin, end):
        """Some rows; they are never cut in time."""
        x, y = self.x[index], self.y[index]
        steps = max(1, y.values.shape[1])
        values = self.values[index][:, :steps]
        weight = None if self.weight is None else self.weight[index]
        if weight is not None and weight.ndim == 2:
            weight = np.ascontiguousarray(weight[:, :steps])
        options = {"target": values, "target_lengths": y.lengths}
        return Batch(x.values, values, x.lengths, y.lengths, weight, options)

    epoch, count = Arrays.epoch, Arrays.count

    def describe(self):
        """What has to be the same where a training goes on."""
        return {"rows": self.rows, "shape": [int(self.x.lengths.sum()), int(self.y.lengths.sum())]}
