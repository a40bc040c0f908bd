"""What a network gives and how good it is, computed in batches whose size changes no bit."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from .. import _arrays
from ..sequences import is_list
from .checks import check_symbols, checked_parts, checked_x
from .data import Batches, source_of
from .order import Plan

if TYPE_CHECKING:
    from .data import Fit

LOSS_ROWS = 32  # rows whose losses are summed in one go; a constant, so that batches do not change the bits


class Validation(NamedTuple):
    """Data to validate with."""

    source: Any
    batch_size: int


def validation_of(fit: Fit, validation: Any, batch_size: Any) -> Validation:
    """The data that `fit` of a trainer was given to validate with, checked."""
    batch_size = _arrays.size("batch_size", batch_size)
    try:
        if isinstance(validation, (tuple, list)):
            if not 2 <= len(validation) <= 4:
                expected = "a tuple (x, y), (x, y, lengths) or (x, y, lengths, sample_weight)"
                raise _arrays.wrong(ValueError, "validation", expected, f"{len(validation)} entries")
            x, y, lengths, weight = *validation, *[None] * (4 - len(validation))
            return Validation(source_of(fit, x, y, lengths, None, weight), batch_size)
        if not (callable(validation) or hasattr(validation, "__iter__")) or isinstance(validation, (np.ndarray, str)):
            expected = "a tuple (x, y) or (x, y, lengths), or an iterable of batches"
            raise _arrays.wrong(TypeError, "validation", expected, _arrays.kind(validation))
        source = Batches(fit, validation, None)
        if not source.again:
            expected = "an iterable that can be gone through again and again, or a callable that makes one"
            raise _arrays.wrong(ValueError, "validation", expected, _arrays.kind(validation))
        return Validation(source, batch_size)
    except (TypeError, ValueError) as error:
        if str(error).startswith("validation: "):
            raise
        raise type(error)(f"in validation: {error}") from error


def scores(trainer: Any, source: Any, batch_size: int, metrics: tuple) -> dict[str, float]:
    """The mean loss, of sums over fixed groups of rows, and metrics."""
    batch_size = math.ceil(batch_size / LOSS_ROWS) * LOSS_ROWS
    if metrics:
        from copy import deepcopy  # nothing else in clstm or NumPy needs it

        metrics = deepcopy(metrics)
    for metric in metrics:
        metric.reset()
    terms, weights = [], []
    for rows in source.epoch(1, None, Plan(batch_size, False, None), 0)[1]:
        batch = rows.batch()
        prediction = trainer.net.infer(batch.x, None, batch.lengths, **batch.options)[0]
        for metric in metrics:
            metric.update(prediction, batch.y, batch.valid, batch.weight)
        for first in range(0, len(batch), LOSS_ROWS):
            chosen = slice(first, first + LOSS_ROWS)
            part = batch.part(chosen)
            found = trainer.loss.compute(prediction[chosen], part.y, part.valid, part.weight, gradient=False)
            terms.append(found.weight * found.loss if trainer.loss.reduction == "mean" else found.loss)
            weights.append(found.weight)
    total = math.fsum(weights)
    return {"loss": math.fsum(terms) / total if total else 0.0, **{metric.name: metric.result() for metric in metrics}}


def infer(net, x, lengths, mask):
    """What a network gives."""
    options = {} if mask is None else {"mask": mask}
    return net.infer(x, None, lengths, **options)[0]


def predictions(net: Any, x: Any, lengths: Any, mask: Any, batch_size: int) -> Any:
    """What a network gives for all rows, or for a list of sequences."""
    if getattr(net, "takes_target", False):
        expected = "one that needs no target; this one writes by its methods greedy, beam and sample"
        raise _arrays.wrong(TypeError, "net", expected, repr(net))
    if net.axes != "step" and is_list(x, 1 if net.takes_indices else 2):
        _arrays.absent("lengths", lengths, "x is a list, whose arrays have their own")
        _arrays.absent("mask", mask, "x is a list, of steps that are all valid")
        parts = checked_parts(net, x)
        found = [net(parts[start : start + batch_size]) for start in range(0, len(parts), batch_size)]
        return np.concatenate(found) if net.removes_time else [part for batch in found for part in batch]
    x, has_time = checked_x(net, x)
    if lengths is not None:
        if not has_time:
            raise _arrays.wrong(ValueError, "lengths", "None, because x has no time axis", _arrays.kind(lengths))
        lengths = _arrays.lengths(lengths, *x.shape[:2])
    check_symbols(net, x, lengths, mask)

    def of_rows(rows):
        own = (None if array is None else array[rows] for array in (lengths, mask))
        return infer(net, x[rows], *own)

    first = of_rows(slice(batch_size))
    found = np.empty((len(x), *first.shape[1:]), first.dtype)
    found[:batch_size] = first
    for start in range(batch_size, len(x), batch_size):
        rows = slice(start, start + batch_size)
        found[rows] = of_rows(rows)
    return found
