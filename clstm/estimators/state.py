"""What an estimator has learnt, as text that JSON can hold, and back; nothing that is read is executed.

Numbers come back as the same bits. Objects take part if their class is registered here, and has a method `state()`,
which gives a dict, and a class method `from_state(dict)`, which makes an object of it or raises.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np

_classes: dict[str, type] = {}  # name -> class: what a file may name
KINDS = "biufUM"  # of dtypes of arrays that are kept


def registered(cls: type) -> type:
    """A decorator: lets files hold objects of this class.

    Parameters
    ----------
    cls : type
        With methods ``state()`` and ``from_state(state)``; its bare name is what a file says.
    """
    _classes[cls.__name__] = cls
    return cls


def written(value: Any) -> str:
    """The text of a value: None, bool, int, float, str, lists, tuples and dicts of them, arrays, registered objects."""
    return json.dumps(_packed(value), allow_nan=False)


def read(text: str) -> Any:
    """The value of a text that `written` gave.

    Raises
    ------
    TypeError, ValueError, KeyError, AttributeError, RecursionError
        The text is something else.
    """
    return _unpacked(json.loads(text))


def _packed(value):
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return value if np.isfinite(value) else {"float": repr(float(value))}
    if isinstance(value, np.generic):
        return {"scalar": _packed(np.asarray(value))}
    if isinstance(value, np.ndarray):
        return _packed_array(value)
    if isinstance(value, tuple):
        return {"tuple": [_packed(part) for part in value]}
    if isinstance(value, list):
        return [_packed(part) for part in value]
    if isinstance(value, dict):
        return {"dict": [[_packed(key), _packed(part)] for key, part in value.items()]}
    name = type(value).__name__
    if _classes.get(name) is type(value):
        return {"object": name, "state": _packed(value.state())}
    raise TypeError(f"a file cannot hold {value!r:.80} ({name})")


def _packed_array(array):
    if array.dtype.kind == "O":  # labels, as scikit-learn's users have them
        return {"objects": [_packed(part) for part in array.ravel().tolist()], "shape": list(array.shape)}
    if array.dtype.kind not in KINDS:
        raise TypeError(f"a file cannot hold an array of {array.dtype}")
    values = array.astype("i8") if array.dtype.kind == "M" else array
    flat = values.ravel().tolist()
    if array.dtype.kind == "f":
        flat = [part if np.isfinite(part) else repr(part) for part in flat]
    return {"array": flat, "dtype": array.dtype.str, "shape": list(array.shape)}


def _unpacked(value):
    if isinstance(value, list):
        return [_unpacked(part) for part in value]
    if not isinstance(value, dict):
        return value
    match value:
        case {"float": str(text)}:
            return float(text)
        case {"scalar": packed}:
            return _unpacked(packed)[()]
        case {"tuple": list(parts)}:
            return tuple(_unpacked(part) for part in parts)
        case {"dict": list(items)}:
            return {_unpacked(key): _unpacked(part) for key, part in items}
        case {"object": str(name), "state": packed}:
            if name not in _classes:
                raise ValueError(f"unknown class {name!r:.80}")
            return _classes[name].from_state(_unpacked(packed))
        case {"objects": list(parts), "shape": list(shape)}:
            array = np.empty(len(parts), object)
            array[:] = [_unpacked(part) for part in parts]
            return array.reshape(shape)
        case {"array": list(flat), "dtype": str(dtype), "shape": list(shape)}:
            return _unpacked_array(flat, np.dtype(dtype), shape)
    raise ValueError(f"no value is written as {value!r:.80}")


def _unpacked_array(flat, dtype, shape):
    if dtype.kind not in KINDS:
        raise ValueError(f"a file holds no array of {dtype}")
    if dtype.kind == "M":
        return np.array(flat, "i8").astype(dtype).reshape(shape)
    if dtype.kind == "f":
        flat = [float(part) for part in flat]
    return np.array(flat, dtype).reshape(shape)
