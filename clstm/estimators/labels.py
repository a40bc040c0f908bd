"""Labels of classes, as people write them and as numbers."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from .. import _arrays
from .base import sklearn_or


def label_array(name: str, y: Any) -> np.ndarray:
    """Labels as an array (N,); raises for what are no labels."""
    array = _arrays.array_of(name, y)
    if array.ndim == 2 and array.shape[1] == 1:
        category = sklearn_or("DataConversionWarning", DataConversionWarning)
        warnings.warn(
            f"A column-vector {name} was passed when a 1d array was expected. Its column is taken.",
            category,
            stacklevel=4,
        )
        array = array[:, 0]
    if array.ndim != 1 or len(array) == 0:
        raise _arrays.wrong(ValueError, name, "shape (N,)", f"shape {array.shape}")
    if array.dtype.kind == "f":
        _arrays.finite(name, array)
        if (array != np.floor(array)).any():
            text = f"Unknown label type: continuous, as {array[array != np.floor(array)][0]}"
            raise _arrays.wrong(ValueError, name, "labels of classes", text)
    elif array.dtype.kind not in "iubUSO":
        raise _arrays.wrong(TypeError, name, "labels: ints, texts or booleans", f"dtype {array.dtype}")
    return array


def classes_of(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The classes, sorted, and the number of that of each label."""
    try:
        return np.unique(labels, return_inverse=True)
    except TypeError as error:
        kinds = sorted({_arrays.kind(label) for label in labels})
        raise _arrays.wrong(TypeError, "y", "labels of one type", f"a mixture of {', '.join(kinds)}") from error


def codes_of(labels: np.ndarray, classes: np.ndarray, name: str = "y") -> np.ndarray:
    """The number of the class of each label; raises for one that is unknown."""
    number = {label: k for k, label in enumerate(classes.tolist())}
    codes = [number.get(label, -1) for label in labels.tolist()]
    if -1 in codes:
        n = codes.index(-1)
        known = _arrays.some(classes.tolist())
        raise _arrays.wrong(ValueError, name, f"labels of the classes {known}", f"{labels.tolist()[n]!r} at [{n}]")
    return np.array(codes, np.intp)


class DataConversionWarning(UserWarning):
    """An argument was converted, and may not have been meant so."""
