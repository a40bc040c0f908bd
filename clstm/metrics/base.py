"""What all metrics share: the protocol by which a trainer uses them, and what counts."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

from .. import _arrays


class Metric:
    """A figure over all that `update` was shown since `reset`. It can be copied and pickled at any time.

    A metric of your own is a class with the three methods; the attributes have these defaults. What it adds up is in
    attributes whose names begin with an underscore, so that a checkpoint in the middle of an epoch can keep it.

    Attributes
    ----------
    name : str
        By which a history knows it.
    greater_is_better : bool
    """

    name: str
    greater_is_better: bool = False

    def reset(self) -> None:
        """Forgets all batches."""
        raise NotImplementedError

    def update(self, prediction: Any, target: Any, lengths: Any = None, weight: Any = None) -> None:
        """Takes another batch.

        Parameters
        ----------
        prediction : array_like
            What the network gives.
        target : array_like
            As the losses take it: class numbers without the last axis of the prediction, or real numbers in its shape
            (a last axis of 1 may be missing).
        lengths : array_like of int, (N,), optional
            Valid steps of each row; what stands beyond them is not read.
        weight : array_like, (N,) or (N, T), optional
            Of each row or step; 0 takes it out.
        """
        raise NotImplementedError

    def result(self) -> float:
        """The figure; NaN where nothing has counted."""
        raise NotImplementedError

    def state(self) -> dict[str, Any]:
        """What has been added up since `reset`: numbers and arrays."""
        return {name: value for name, value in vars(self).items() if name.startswith("_")}

    def load_state(self, state: dict[str, Any]) -> None:
        """Takes back what `state` gave."""
        vars(self).update(state)

    def config(self) -> dict[str, Any] | None:
        """The arguments that make an equal metric, of what JSON knows; None if there are others, such as functions."""
        names = inspect.signature(type(self)).parameters
        found = {name: getattr(self, name, NotImplemented) for name in names}
        simple = all(value is None or isinstance(value, (bool, int, float, str)) for value in found.values())
        return found if simple else None


class Function(Metric):
    """A function as a metric: the mean of what it gives for each batch, by the rows of the batch.

    So it depends on the batches, unless the function itself is a mean over rows.

    Parameters
    ----------
    function : callable
        ``function(prediction, target) -> float``. It gets `lengths` or `weight` if it has parameters of these names;
        if not, rows of unequal length, or weights, are refused.
    name : str, optional
        Default: the name of the function.
    greater_is_better : bool, default False

    Examples
    --------
    >>> import numpy as np
    >>> from clstm.metrics import Function
    >>> bias = Function(lambda prediction, target: np.mean(prediction - target), "bias")
    >>> bias.update(np.array([1.0, 2.0]), np.array([0.0, 0.0]))
    >>> bias.update(np.array([3.0]), np.array([0.0]))
    >>> bias.result()
    2.0
    """

    def __init__(
        self, function: Callable[..., float], name: str | None = None, *, greater_is_better: bool = False
    ) -> None:
        if not callable(function):
            raise _arrays.wrong(TypeError, "function", "a function (prediction, target) -> float", repr(function))
        self.function = function
        self.name = name or getattr(function, "__name__", type(function).__name__)
        self.greater_is_better = _arrays.flag("greater_is_better", greater_is_better)
        known = _parameters_of(function)
        self._takes = tuple(key for key in ("lengths", "weight") if key in known)
        self.reset()

    def reset(self):
        """See `Metric`."""
        self._sum, self._rows = 0.0, 0

    def update(self, prediction, target, lengths=None, weight=None):
        """See `Metric`."""
        given = {"lengths": lengths, "weight": weight}
        if lengths is not None and np.all(np.asarray(lengths) == np.shape(prediction)[1]):
            given["lengths"] = lengths if "lengths" in self._takes else None
        for key, value in given.items():
            if key not in self._takes:
                _arrays.absent(key, value, f"{self.name} has no parameter of that name")
        found = self.function(prediction, target, **{key: given[key] for key in self._takes})
        value = _arrays.number(
            self.name,
            found.item() if np.ndim(found) == 0 and hasattr(found, "item") else found,
            "a function that returns a number",
        )
        rows = len(prediction)
        self._sum += value * rows
        self._rows += rows

    def result(self):
        """See `Metric`."""
        return ratio(self._sum, self._rows)

    def __repr__(self):
        return f"Function({self.name})"


def _parameters_of(function):
    """The names of a function's parameters; none where Python cannot say, as for some functions written in C."""
    try:
        return inspect.signature(function).parameters
    except (TypeError, ValueError):
        return {}


def ratio(over, under):
    """over / under as a float; NaN for 0 / 0."""
    return float(over / under) if under else float("nan")


def importance(shape, lengths, weight):
    """The weight of each element of an array of this shape, (N, ...) or (N, T, ...); 0 beyond the lengths."""
    found = np.ones(shape)
    if weight is not None:
        found *= _column(_weights(weight, shape), len(shape))
    if lengths is not None:
        if len(shape) < 2:
            raise _arrays.wrong(ValueError, "lengths", "None, because there is no axis of time", "lengths")
        alive = np.arange(shape[1]) < _arrays.lengths(lengths, *shape[:2])[:, np.newaxis]
        found *= _column(alive, len(shape))
    return found


def _column(array, axes):
    return array.reshape(array.shape + (1,) * (axes - array.ndim))


def _weights(weight, shape):
    weight = _arrays.real("weight", weight, np.dtype(np.float64))
    if weight.shape not in (shape[:1], shape[:2]):
        raise _arrays.wrong(ValueError, "weight", f"shape {shape[:1]} or {shape[:2]}", f"shape {weight.shape}")
    if not (np.isfinite(weight) & (weight >= 0)).all():
        raise _arrays.wrong(ValueError, "weight", "finite numbers of at least 0", "others")
    return weight


def prediction_of(value):
    """A prediction as an array of real numbers with at least one axis, of the precision that it has."""
    array = _arrays.array_of("prediction", value)
    single = array.dtype != np.float64
    array = _arrays.real("prediction", array, np.dtype(np.float32 if single else np.float64))
    if array.ndim == 0:
        raise _arrays.wrong(ValueError, "prediction", "at least 1 axis", "a number")
    return array


def does_not_fit(shape, target):
    """The error for a target whose shape does not fit the prediction's."""
    return _arrays.wrong(ValueError, "target", f"a shape that fits the prediction's, {shape}", f"shape {target.shape}")
