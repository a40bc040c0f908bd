"""Data of a training: what `fit` may be given, in one form.

Everything becomes a *source*, which hands out `Batch`es: chosen rows, from one step to another.

(a) `Arrays` are rows of arrays, which may be memory-mapped and larger than memory: only what a batch takes is read.
(b) `Lists` are sequences of unequal length, padded batch by batch.
(c) `Pairs` are sequences to be read and sequences to be written, for a network that is given both.
(d) `Batches` come from anybody's iterable, in the size and order in which it gives them.

Everything that can be checked is checked when a source is made: before the first step, completely but for (d).
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import _arrays
from ..losses import checked_weight
from ..losses.targets import Ragged
from ..sequences import flags, is_list, prefix
from .order import Plan

if TYPE_CHECKING:
    from collections.abc import Iterator

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
        """Some rows from one step to another; None is all."""
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
        parts = np.split(y, self.starts[1:])
        shapes = ((1, len(part), *shape[1:]) for part in parts)
        every = enumerate(zip(parts, shapes, strict=True))
        return np.concatenate([loss.checked(part[np.newaxis], own, None, f"y[{n}]")[0] for n, (part, own) in every])

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
            weight = weight[:, :steps]
        options = {"target": values, "target_lengths": y.lengths}
        return Batch(x.values, values, x.lengths, y.lengths, weight, options)

    epoch, count = Arrays.epoch, Arrays.count

    def describe(self):
        """What has to be the same where a training goes on."""
        return {"rows": self.rows, "shape": [int(self.x.lengths.sum()), int(self.y.lengths.sum())]}


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


# Checks


def checked_x(net, x):
    """x as an array that fits the network, and whether it has a time axis."""
    x = _arrays.array_of("x", x)
    features = net.input_size
    if not net.takes_indices and features is not None and x.shape[-1:] != (features,):
        raise _arrays.wrong(ValueError, "x", f"{features} features in the last axis", f"shape {x.shape}")
    if x.ndim == 0 or 0 in x.shape:
        raise _arrays.wrong(ValueError, "x", "at least one row and no empty axis", f"shape {x.shape}")
    return x, x.ndim + net.takes_indices == 3


def checked_parts(net, x):
    """A list of sequences that fit the network."""
    parts = []
    features = None if net.takes_indices else net.input_size
    for n, part in enumerate(x):
        array = _arrays.array_of(f"x[{n}]", part)
        if array.ndim != 2 - net.takes_indices or (features is not None and array.shape[1] != features):
            form = "(T,)" if net.takes_indices else f"(T, {'features' if features is None else features})"
            raise _arrays.wrong(ValueError, f"x[{n}]", f"shape {form}", f"shape {array.shape}")
        if net.takes_indices:
            check_symbols(net, array, None, None, f"x[{n}]")
        parts.append(array)
    kinds = {(part.shape[1:], part.dtype) for part in parts}
    if len(kinds) > 1:
        dtype = np.result_type(*(part.dtype for part in parts))
        if len({shape for shape, _ in kinds}) > 1:
            raise _arrays.wrong(ValueError, "x", "arrays with the same features", f"{sorted(s for s, _ in kinds)}")
        parts = [part.astype(dtype) for part in parts]
    return parts


def check_symbols(net, x, lengths, mask, name="x"):
    """Raises for indices that the network has no symbols for; reads a block of rows at a time."""
    symbols = number_of_symbols(net)
    if symbols is None:
        return
    x = _arrays.integers(name, x)
    for rows in blocks_of(x):
        valid = True
        if mask is not None:
            valid = mask[rows]
        elif lengths is not None:
            valid = prefix(lengths[rows], x.shape[1])
        in_range_from(name, x[rows], symbols, "an index", valid, rows.start)


def check_symbols_of(name, sequences, symbols):
    """The same of sequences whose padding may be anything."""
    for rows in blocks_of(sequences.values):
        values = sequences.values[rows]
        in_range_from(name, values, symbols, "an index", prefix(sequences.lengths[rows], values.shape[1]), rows.start)


def in_range_from(name, array, count, what, valid, first):
    """`_arrays.in_range` of rows from `first` on, whose places are told as those of the whole."""
    bad = ((array < 0) | (array >= count)) & valid
    if bad.any():
        place = [int(axis) for axis in np.argwhere(bad)[0]]
        value, place[0] = array[tuple(place)], place[0] + first
        raise _arrays.wrong(ValueError, name, f"{what} from 0 to {count - 1}", f"{value} at {place}")


def blocks_of(array, elements=1 << 20) -> Iterator[slice]:
    """Slices of rows, so many elements each, so that nothing as large as a memory-mapped array is made."""
    rows = max(1, elements // max(1, array[:1].size))
    for start in range(0, len(array), rows):
        yield slice(start, min(start + rows, len(array)))


def number_of_symbols(net: Any) -> int | None:
    """How many different indices a network takes, as its first layer says; None if it does not say."""
    while hasattr(net, "layers") and net.takes_indices:
        net = net.layers[0]
    return getattr(net, "num_embeddings", None) if net.takes_indices else None


__all__ = ["Arrays", "Batch", "Batches", "Fit", "Lists", "Plan", "Rows", "source_of"]
