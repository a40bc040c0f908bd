"""The safetensors file format: named arrays and a few strings, and nothing that could be executed.

A file is the length of a JSON header (8 bytes, little-endian), the header, and the raw little-endian data. The header
has for each tensor ``{"dtype": "F32", "shape": [2, 3], "data_offsets": [begin, end]}``, offsets counted from the end
of the header, and under ``__metadata__`` a dict of strings. Tensors fill the data without gap or overlap.

Source: https://github.com/huggingface/safetensors, "Format". This is a reader and writer of its own, so that clstm
needs nothing but NumPy to save a model. A file is never trusted: everything in the header is checked against the size
of the file before anything is allocated for it, and whatever is wrong is a ValueError with the file and the reason.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import ArrayLike

DTYPES = {
    "F64": "<f8",
    "F32": "<f4",
    "F16": "<f2",
    "I64": "<i8",
    "I32": "<i4",
    "I16": "<i2",
    "I8": "|i1",
    "U64": "<u8",
    "U32": "<u4",
    "U16": "<u2",
    "U8": "|u1",
    "BOOL": "|b1",
}
NAMES = {np.dtype(code): name for name, code in DTYPES.items()}
LARGEST_HEADER = 100_000_000  # bytes; the limit of the format's own library
MOST_AXES = 32


class FormatError(ValueError):
    """A file that is no safetensors file, or not the one that was hoped for."""


class Reader:
    """An open file whose header has passed all checks.

    Parameters
    ----------
    path : str or path-like

    Attributes
    ----------
    metadata : dict of str
    entries : dict
        For each tensor ``(dtype, shape, begin, end)``, begin and end counted from the start of the file.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = os.fsdecode(path)
        self._file = open(self.path, "rb")
        try:
            start, size, header = self._read_header()
            self.metadata = self._checked_metadata(header.pop("__metadata__", {}))
            self.entries = {name: self._checked_entry(name, entry, start) for name, entry in header.items()}
            self._check_coverage(start, size)
        except BaseException:
            self._file.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self._file.close()

    def error(self, reason: object) -> FormatError:
        """The exception for something wrong with this file."""
        return FormatError(f"{self.path}: {reason}")

    def read(self, name: str) -> np.ndarray:
        """The tensor `name` as a new array in the byte order of the machine."""
        dtype, shape, begin, _ = self.entries[name]
        array = np.empty(shape, dtype)
        self._file.seek(begin)
        if array.size and self._file.readinto(array.reshape(-1).view(np.uint8).data) != array.nbytes:
            raise self.error(f"tensor {name!r} ends early: the file was cut while it was read")
        return array.astype(dtype.newbyteorder("="), copy=False)

    def _read_header(self):
        size = os.fstat(self._file.fileno()).st_size
        if size < 8:
            raise self.error(f"no safetensors file: expected at least 8 bytes, got {size}")
        length = int.from_bytes(self._file.read(8), "little")
        if length > LARGEST_HEADER:
            raise self.error(f"no safetensors file: a header of {length} bytes is larger than {LARGEST_HEADER}")
        if length > size - 8:
            raise self.error(f"cut off or no safetensors file: a header of {length} bytes in a file of {size}")
        header = self._parsed(self._file.read(length))
        if not isinstance(header, dict):
            raise self.error(f"the header is no JSON object but {type(header).__name__}")
        return 8 + length, size, header

    def _parsed(self, text):
        import json  # costs more than the rest of this module

        def unique(pairs):
            found = dict(pairs)
            if len(found) != len(pairs):
                raise ValueError("a key occurs twice")
            return found

        def no_constant(name):
            raise ValueError(f"{name} is no JSON")

        try:
            return json.loads(text.decode("utf-8"), object_pairs_hook=unique, parse_constant=no_constant)
        except RecursionError:
            raise self.error("the header is nested too deeply") from None
        except ValueError as error:
            raise self.error(f"the header is no valid JSON: {error}") from error

    def _checked_metadata(self, metadata):
        if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
            raise self.error("__metadata__ is no dict of strings")
        return metadata

    def _checked_entry(self, name, entry, start):
        if not isinstance(entry, dict) or entry.keys() != {"dtype", "shape", "data_offsets"}:
            raise self.error(f"tensor {name!r} has not exactly dtype, shape and data_offsets")
        code, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
        if not isinstance(code, str) or code not in DTYPES:
            raise self.error(f"tensor {name!r} has dtype {code!r:.80}; known are {', '.join(DTYPES)}")
        if not are_sizes(shape) or len(shape) > MOST_AXES:
            raise self.error(f"tensor {name!r} has the shape {shape!r:.80}")
        if not are_sizes(offsets) or len(offsets) != 2 or offsets[0] > offsets[1]:
            raise self.error(f"tensor {name!r} has the data_offsets {offsets!r:.80}")
        dtype, count = np.dtype(DTYPES[code]), 1
        for axis in shape:
            count *= axis
        if offsets[1] - offsets[0] != count * dtype.itemsize:
            needed = count * dtype.itemsize
            raise self.error(
                f"tensor {name!r} of shape {shape!r:.80} needs {needed} bytes, its data_offsets are {offsets!r:.80}"
            )
        return dtype, tuple(shape), start + offsets[0], start + offsets[1]

    def _check_coverage(self, start, size):
        """The data of the tensors, put in order, follow each other from the header to the end of the file."""
        reached = start
        for name, (_, _, begin, end) in sorted(self.entries.items(), key=lambda item: item[1][2:]):
            if begin != reached:
                problem = "overlaps the one before it" if begin < reached else "leaves a gap before it"
                raise self.error(f"tensor {name!r} {problem}")
            reached = end
        if reached != size:
            raise self.error(f"expected {reached} bytes, the file has {size}")


def are_sizes(value):
    """Whether a value is a list of ints from 0 to the largest size."""
    return isinstance(value, list) and all(type(entry) is int and 0 <= entry < 2**63 for entry in value)


def read(path: str | os.PathLike[str]) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """All tensors of a file.

    Parameters
    ----------
    path : str or path-like

    Returns
    -------
    tensors : dict of ndarray
    metadata : dict of str

    Raises
    ------
    ValueError
        The file is damaged or of another format, or has a dtype that NumPy has not (bfloat16).
    OSError
        It cannot be opened.
    """
    with Reader(path) as reader:
        return {name: reader.read(name) for name in reader.entries}, reader.metadata


def write(
    path: str | os.PathLike[str], tensors: Mapping[str, ArrayLike], metadata: Mapping[str, str] | None = None
) -> None:
    """Writes tensors to a file that is complete or not there at all.

    The data go to a temporary file in the same folder, which is synced and then takes the place of `path`. If anything
    fails, `path` is what it was before.

    Parameters
    ----------
    path : str or path-like
    tensors : dict of ndarray
    metadata : dict of str, optional

    Raises
    ------
    TypeError
        A dtype that the format has not, or metadata that are no strings.
    OSError
        The file cannot be written.

    Examples
    --------
    >>> import numpy as np, os, tempfile
    >>> from clstm import safetensors
    >>> folder = tempfile.TemporaryDirectory()
    >>> path = os.path.join(folder.name, "two.safetensors")
    >>> safetensors.write(path, {"a": np.arange(3.0)}, {"made by": "hand"})
    >>> safetensors.read(path)
    ({'a': array([0., 1., 2.])}, {'made by': 'hand'})
    >>> folder.cleanup()
    """
    arrays = {name: little_endian(name, tensors[name]) for name in tensors}
    names = sorted(arrays, key=lambda name: (-arrays[name].itemsize, name))  # so that all data are aligned
    header = header_of(arrays, names, metadata or {})
    path = os.fsdecode(path)
    folder, name = os.path.split(os.path.realpath(path))  # through a symbolic link, which stays
    temporary = os.path.join(folder, f"{temporary_stem(name)}{os.urandom(8).hex()}.tmp")
    try:
        with open(temporary, "xb") as file:
            file.write(len(header).to_bytes(8, "little"))
            file.write(header)
            for tensor in names:
                file.write(arrays[tensor].reshape(-1).view(np.uint8).data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, os.path.join(folder, name))
    except BaseException as error:
        remove(temporary)
        if isinstance(error, OSError):
            error.filename = path  # what the caller asked for, not the temporary file
            if error.filename2 is not None:
                error.filename2 = None
        raise
    sync_folder(folder)


def little_endian(name, value):
    """An array as it stands in the file."""
    array = np.asarray(value)
    dtype = array.dtype.newbyteorder("<")
    if dtype not in NAMES:
        raise TypeError(f"tensors[{name!r}]: expected a dtype of safetensors, got {array.dtype}")
    return np.ascontiguousarray(array, dtype).reshape(array.shape)


def header_of(arrays, names, metadata):
    """The JSON header, filled with spaces to a multiple of 8 bytes."""
    import json  # costs more than the rest of this module

    for key, value in metadata.items():
        if not (isinstance(key, str) and isinstance(value, str)):
            raise TypeError(f"metadata: expected strings, got {key!r}: {value!r}")
    if "__metadata__" in arrays:
        raise ValueError("tensors: expected any name but '__metadata__', which the format keeps for itself")
    header = {"__metadata__": metadata} if metadata else {}
    begin = 0
    for name in names:
        array = arrays[name]
        end = begin + array.nbytes
        header[name] = {"dtype": NAMES[array.dtype], "shape": list(array.shape), "data_offsets": [begin, end]}
        begin = end
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode("utf-8")
    return text + b" " * (-len(text) % 8)


def remove_temporaries(path: str) -> None:
    """Removes what writers of this path have left that were killed; nobody may be writing it."""
    folder, name = os.path.split(os.path.realpath(path))
    if not os.path.isdir(folder):
        return
    stem = temporary_stem(name)
    for entry in os.listdir(folder):
        if entry.startswith(stem) and entry.endswith(".tmp") and len(entry) == len(stem) + 20:
            remove(os.path.join(folder, entry))


def temporary_stem(name):
    """How the names of temporary files begin, whose end is random; no longer than a name may be."""
    return f".{name[:200]}-"


def remove(path):
    """Removes a file if it is there."""
    try:
        os.remove(path)
    except OSError:
        pass


def sync_folder(folder):
    """Makes a rename survive a power cut; on Windows there is nothing to do."""
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError:  # some file systems have no such thing
        pass
    finally:
        os.close(handle)
