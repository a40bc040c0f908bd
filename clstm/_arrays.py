"""What may come in: arguments checked and converted, with errors that name the argument, what was expected, what came.

Numbers and arrays alike follow one rule: a value of a wrong kind (text, complex, objects) is a TypeError, a value of
the right kind that does not fit (shape, range, not finite) is a ValueError. An array of the right dtype whose last axis
is contiguous is taken as it is; any other real array is converted, by one copy.
"""

from __future__ import annotations

import operator
import sys
from typing import Any

import numpy as np

from . import _core

DTYPES: dict[str, np.dtype] = {"float32": np.dtype(np.float32), "float64": np.dtype(np.float64)}
REAL_KINDS = "fiub"


def wrong(error: type[Exception], name: str, expected: str, got: object) -> Exception:
    """An exception with the one form of message that all arguments have."""
    return error(f"{name}: expected {expected}, got {got}")


def kind(value: object) -> str:
    """The type of a value, for a message."""
    return type(value).__name__


# Numbers and options


def size(name: str, value: Any) -> int:
    """An int of at least 1."""
    if isinstance(value, (bool, np.bool_)) or not hasattr(value, "__index__"):
        raise wrong(TypeError, name, "an int of at least 1", f"{value!r} ({kind(value)})")
    value = operator.index(value)
    if value < 1:
        raise wrong(ValueError, name, "an int of at least 1", value)
    return value


def whole(name: str, value: Any, end: int) -> int:
    """An int from 0 to end - 1."""
    expected = f"an int from 0 to {end - 1}"
    if isinstance(value, (bool, np.bool_)) or not hasattr(value, "__index__"):
        raise wrong(TypeError, name, expected, f"{value!r} ({kind(value)})")
    value = operator.index(value)
    if not 0 <= value < end:
        raise wrong(ValueError, name, expected, value)
    return value


def size_or_0(name: str, value: Any) -> int:
    """A size, or 0 for none."""
    return 0 if type(value) is int and value == 0 else size(name, value)


def flag(name: str, value: Any) -> bool:
    """True or False."""
    if not isinstance(value, (bool, np.bool_)):
        raise wrong(TypeError, name, "True or False", f"{value!r} ({kind(value)})")
    return bool(value)


def choice(name: str, value: Any, options: tuple[str, ...]) -> str:
    """One of some strings."""
    if not isinstance(value, str):
        raise wrong(TypeError, name, f"one of {', '.join(map(repr, options))}", f"{value!r} ({kind(value)})")
    if value not in options:
        raise wrong(ValueError, name, f"one of {', '.join(map(repr, options))}", repr(value))
    return value


def activation(name: str, value: Any) -> str:
    """The name of an activation that a cell can have."""
    return choice(name, value, _core.ACTIVATIONS[1:-1])


def limit(name: str, value: Any) -> float | None:
    """A positive number, or None."""
    if value is None:
        return None
    found = number(name, value, "a positive number or None")
    if not 0 < found < np.inf:
        raise wrong(ValueError, name, "a positive number or None", value)
    return found


def positive(name: str, value: Any) -> float:
    """A finite number above 0."""
    found = number(name, value, "a finite number above 0")
    if not 0 < found < np.inf:
        raise wrong(ValueError, name, "a finite number above 0", value)
    return found


def share(name: str, value: Any) -> float:
    """A number between 0 and 1, and neither of them."""
    found = number(name, value, "a number between 0 and 1")
    if not 0 < found < 1:
        raise wrong(ValueError, name, "a number between 0 and 1", value)
    return found


def number(name: str, value: Any, expected: str) -> float:
    """A real number that is none of True and False."""
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, float, np.integer, np.floating)):
        raise wrong(TypeError, name, expected, f"{value!r} ({kind(value)})")
    return float(value)


def rate(name: str, value: Any) -> float:
    """The probability of being dropped."""
    found = number(name, value, "a number in [0, 1)")
    if not 0 <= found < 1:
        raise wrong(ValueError, name, "a number in [0, 1)", value)
    return found


def deviation(name: str, value: Any) -> float:
    """A standard deviation."""
    found = number(name, value, "a number of at least 0")
    if not 0 <= found < np.inf:
        raise wrong(ValueError, name, "a number of at least 0", value)
    return found


def dtype(value: Any) -> np.dtype:
    """float32 or float64, by name, type or dtype."""
    expected = " or ".join(map(repr, DTYPES))
    if isinstance(value, str) and value not in DTYPES:
        raise wrong(ValueError, "dtype", expected, repr(value))
    try:
        found = None if value is None else np.dtype(value)
    except (TypeError, ValueError):
        found = None
    if found is None:
        raise wrong(TypeError, "dtype", expected, f"{value!r} ({kind(value)})")
    if found not in DTYPES.values():
        raise wrong(ValueError, "dtype", expected, repr(found))
    return found


def generator(rng: Any) -> np.random.Generator:
    """A numpy Generator from an int seed, a Generator, or None (fresh entropy)."""
    if isinstance(rng, np.random.Generator):
        return rng
    if rng is None:
        return np.random.default_rng()
    if isinstance(rng, (bool, np.bool_)) or not hasattr(rng, "__index__"):
        raise wrong(TypeError, "rng", "an int, a numpy.random.Generator or None", f"{rng!r} ({kind(rng)})")
    if operator.index(rng) < 0:
        raise wrong(ValueError, "rng", "a seed of at least 0", operator.index(rng))
    return np.random.default_rng(operator.index(rng))


# Arrays


def array_of(name: str, value: Any) -> np.ndarray:
    """Any value as a plain ndarray of numbers of some kind."""
    if type(value) is np.ndarray:
        return value
    if isinstance(value, np.ma.MaskedArray):
        raise wrong(
            TypeError, name, "an array without a mask (steps are left out by lengths or mask)", "a masked array"
        )
    try:
        return np.asarray(value)
    except ValueError as error:  # rows of unequal length
        raise wrong(ValueError, name, "an array", f"{kind(value)} that is none: {error}") from error


def real(name: str, value: Any, dtype: np.dtype) -> np.ndarray:
    """An array of real numbers in `dtype`; as it is, if that is what it has."""
    array = array_of(name, value)
    if array.dtype != dtype:
        if array.dtype.kind not in REAL_KINDS:
            raise wrong(TypeError, name, "an array of real numbers", f"dtype {array.dtype}")
        return array.astype(dtype, order="C")
    return array


def has_unit_stride(array: np.ndarray) -> bool:
    """Whether the core can step through an array as it is."""
    itemsize, flags = array.itemsize, array.flags
    if flags.c_contiguous and flags.aligned:
        return True
    *strides, last = array.strides
    fits = (last == itemsize or array.shape[-1] == 1) and not any(stride % itemsize for stride in strides)
    return fits and flags.aligned


def unit_stride(array: np.ndarray) -> np.ndarray:
    """The array itself if the core can step through it, otherwise a contiguous copy."""
    return array if has_unit_stride(array) else array.copy(order="C")


def contiguous(array: np.ndarray) -> np.ndarray:
    """The array itself if it is contiguous, otherwise a copy."""
    flags = array.flags
    return array if flags.c_contiguous and flags.aligned else array.copy(order="C")


def steps(name: str, value: Any, dtype: np.dtype, features: int | None, axes: str = "NT") -> np.ndarray:
    """Real features for each position: (N, T, features), or (N, features) with axes "N", either with axes "N?"."""
    array = real(name, value, dtype)
    shape = array.shape
    fits = array.ndim == 1 + len(axes) or (axes == "N?" and array.ndim == 2)
    if not fits or (features is not None and shape[-1] != features) or 0 in shape:
        last = "features" if features is None else features
        forms = {"NT": f"(N, T, {last})", "N": f"(N, {last})", "N?": f"(N, T, {last}) or (N, {last})"}
        least = "at least 1 of each" if features is None or axes == "NT" else "N at least 1"
        raise wrong(ValueError, name, f"shape {forms[axes]} with {least}", f"shape {shape}")
    return unit_stride(array)


def of_shape(name: str, value: Any, dtype: np.dtype, shape: tuple[int, ...], strided: bool = False) -> np.ndarray:
    """A real array of exactly this shape; contiguous, or only in its last axis if it may be strided."""
    array = real(name, value, dtype)
    if array.shape != shape:
        raise wrong(ValueError, name, f"shape {shape}", f"shape {array.shape}")
    return unit_stride(array) if strided else contiguous(array)


def output(name: str, value: Any, dtype: np.dtype, shape: tuple[int, ...], strided: bool = False) -> np.ndarray:
    """Checks an array to be written into: exactly this dtype and shape; contiguous, or only in its last axis."""
    if not isinstance(value, np.ndarray) or isinstance(value, np.ma.MaskedArray) or value.dtype != dtype:
        got = f"dtype {value.dtype}" if type(value) is np.ndarray else kind(value)
        raise wrong(TypeError, name, f"an array of {dtype}", got)
    if value.shape != shape:
        raise wrong(ValueError, name, f"shape {shape}", f"shape {value.shape}")
    fits = has_unit_stride(value) if strided else value.flags.c_contiguous
    if not (fits and value.flags.behaved):
        form = "a writeable array whose last axis is contiguous" if strided else "a contiguous, writeable array"
        raise wrong(ValueError, name, form, "another one")
    return value


def integers(name: str, value: Any) -> np.ndarray:
    """An array of integers of any kind; an empty list has none that are not."""
    array = array_of(name, value)
    if array.dtype.kind not in "iu" and not (array.size == 0 and array.dtype.kind == "f"):
        raise wrong(TypeError, name, "an array of integers", f"dtype {array.dtype}")
    return array


def indices(name: str, value: Any) -> np.ndarray:
    """Integers of shape (N, T) or (N,); their range is for the core to check."""
    array = integers(name, value)
    if array.ndim not in (1, 2) or array.size == 0:
        raise wrong(ValueError, name, "shape (N, T) or (N,) with at least 1 of each", f"shape {array.shape}")
    return array


def in_range(name: str, array: np.ndarray, count: int, what: str, valid: Any = True, first: int = 0) -> None:
    """Raises for the first of the valid integers outside 0 .. count-1, with its place in an array of which this one has
    the rows from `first` on."""
    bad = ((array < 0) | (array >= count)) & valid
    if bad.any():
        place = [int(axis) for axis in np.argwhere(bad)[0]]
        value, place[0] = array[tuple(place)], place[0] + first
        raise wrong(ValueError, name, f"{what} from 0 to {count - 1}", f"{value} at {place}")


def lengths(value: Any, N: int, T: int, name: str = "lengths", of: str = "x") -> np.ndarray | None:
    """Sequence lengths as a fresh intp array (N,), each 0 .. T; None stays None."""
    if value is None:
        return None
    array = integers(name, value)
    if array.shape != (N,):
        raise wrong(ValueError, name, f"shape ({N},), one for each row of {of}", f"shape {array.shape}")
    in_range(name, array, T + 1, "a number of steps")
    return array.astype(np.intp)


def absent(name: str, value: Any, because: str) -> None:
    """For an argument of the protocol that a layer has no use for: it must be None."""
    if value is not None:
        raise wrong(ValueError, name, f"None, because {because}", kind(value))


def pair(name: str, value: Any) -> list | tuple:
    """The two members of a state (h, c)."""
    members: list | tuple
    if isinstance(value, np.ndarray) and value.ndim > 0:
        members = list(value)
    elif isinstance(value, (tuple, list)):
        members = value
    else:
        raise wrong(TypeError, name, "a pair (h, c) or None", kind(value))
    if len(members) != 2:
        raise wrong(ValueError, name, "a pair (h, c)", f"{len(members)} members")
    return members


def state(name: str, value: Any, dtype: np.dtype, shapes: list[tuple[int, ...]]) -> tuple[np.ndarray | None, ...]:
    """(h, c), each contiguous of its shape; None, or a member that is None, stays None."""
    if value is None:
        return None, None
    return tuple(
        None if member is None else of_shape(f"{name}[{k}]", member, dtype, shape)
        for k, (member, shape) in enumerate(zip(pair(name, value), shapes, strict=True))
    )


# Parameters


def aligned_zeros(count: int, dtype: np.dtype) -> np.ndarray:
    """A flat array of zeros that starts a cache line."""
    size = count * dtype.itemsize
    if size > sys.maxsize - 64:
        raise MemoryError(f"{count} parameters of {dtype} do not fit into memory")
    memory = np.zeros(size + 64, np.uint8)
    start = -_core.address(memory) % 64
    return memory[start : start + size].view(dtype)


def places(shapes: dict[str, tuple[int, ...]]) -> list[tuple[str, slice, tuple[int, ...]]]:
    """The name, the place and the shape of arrays that follow each other in a flat one."""
    found, start = [], 0
    for name, shape in shapes.items():
        stop = start + count_of(shape)
        found.append((name, slice(start, stop), shape))
        start = stop
    return found


def views(flat: np.ndarray, places: list[tuple[str, slice, tuple[int, ...]]]) -> dict[str, np.ndarray]:
    """The dict of these arrays."""
    return {name: flat[place] if len(shape) == 1 else flat[place].reshape(shape) for name, place, shape in places}


def count_of(shape: tuple[int, ...]) -> int:
    """How many elements a shape has, exact at any size."""
    count = 1
    for length in shape:
        count *= length
    return count


def same_names(name: str, given: Any, expected: dict[str, Any]) -> None:
    """Raises unless `given` is a dict with exactly the expected names."""
    if not isinstance(given, dict):
        raise wrong(TypeError, name, "a dict of arrays", kind(given))
    if given.keys() != expected.keys():
        missing = [key for key in expected if key not in given]
        extra = [key for key in given if key not in expected]
        told = [f"{what} {some(keys)}" for what, keys in (("without", missing), ("with unknown", extra)) if keys]
        raise wrong(ValueError, name, f"the names {some(list(expected))}", f"a dict {' and '.join(told)}")


def some(names: list) -> str:
    """A few of many names, for a message."""
    shown = ", ".join(map(repr, names[:6])) or "none"
    return shown if len(names) <= 6 else f"{shown} and {len(names) - 6} more"


def gradients(grads: Any, shapes: dict[str, tuple[int, ...]], dtype: np.dtype) -> dict[str, np.ndarray]:
    """Checks arrays that gradients will be added to: exactly these, writeable in place."""
    same_names("grads", grads, shapes)
    for key, shape in shapes.items():
        output(f"grads[{key!r}]", grads[key], dtype, shape)
    return grads


def new_parameters(values: Any, shapes: dict[str, tuple[int, ...]], dtype: np.dtype) -> dict[str, np.ndarray]:
    """Values for all parameters, checked and converted, sharing nothing with what they may replace."""
    same_names("parameters", values, shapes)
    found = {}
    for key, shape in shapes.items():
        name = f"parameters[{key!r}]"
        with np.errstate(over="ignore"):  # is found as infinity below
            array = of_shape(name, values[key], dtype, shape)
        finite(name, array)
        found[key] = array.copy()
    return found


def finite(name: str, array: np.ndarray) -> None:
    """Raises for the first number that is not finite, with its place."""
    bad = ~np.isfinite(array)
    if bad.any():
        place = tuple(int(axis) for axis in np.argwhere(bad)[0])
        raise wrong(ValueError, name, "finite values", f"{array[place]} at {list(place)}")
