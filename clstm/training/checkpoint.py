"""Checkpoints: everything that a training consists of, in one file, from which it goes on to the same bits.

A checkpoint is a nested value of dicts, lists, numbers, texts and arrays. In the file, a safetensors file, its arrays
are tensors; the rest is JSON in the metadata, with names of tensors where arrays were, and a checksum of all of it.
Nothing in it is executed. JSON keeps floats to the bit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .. import safetensors

if TYPE_CHECKING:
    import os

FORMAT = 1  # a newer one is refused
ENTRY, CHECKSUM = "clstm checkpoint", "checksum"


def write(path: str | os.PathLike[str], value: dict[str, Any]) -> None:
    """Writes a checkpoint that is complete or not there; see `safetensors.write`."""
    import json

    from .. import __version__

    tensors: dict[str, np.ndarray] = {}
    text = json.dumps({"format": FORMAT, "clstm": __version__, **packed(value, "", tensors)})
    safetensors.write(path, tensors, {ENTRY: text, CHECKSUM: checksum(text, tensors)})


def read(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Reads a checkpoint.

    Raises
    ------
    ValueError
        The file is damaged, of a newer version, or no checkpoint; the message has the file and the reason.
    OSError
        The file cannot be read.
    """
    import json

    with safetensors.Reader(path) as reader:
        if ENTRY not in reader.metadata:
            raise reader.error("no checkpoint of clstm: its metadata have no entry 'clstm checkpoint'")
        text = reader.metadata[ENTRY]
        tensors = {name: reader.read(name) for name in reader.entries}
        if reader.metadata.get(CHECKSUM) != checksum(text, tensors):
            raise reader.error("its checksum does not fit its content: it was altered or damaged")
        found = json.loads(text)
        if found["format"] > FORMAT:
            raise reader.error(
                f"written in format {found['format']} by clstm {found['clstm']}; this reads up to {FORMAT}"
            )
        return unpacked(found, tensors)


def checksum(text: str, tensors: dict[str, np.ndarray]) -> str:
    """Of all that a file holds."""
    from hashlib import blake2b

    digest = blake2b(text.encode(), digest_size=16)
    for name in sorted(tensors):
        array = safetensors.little_endian(name, tensors[name])
        digest.update(f"\n{name} {array.dtype.str} {array.shape}\n".encode())
        digest.update(array.reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def packed(value: Any, name: str, tensors: dict[str, np.ndarray]) -> Any:
    """A value without its arrays, which go to `tensors` under names that begin with `name`."""
    if isinstance(value, np.ndarray):
        tensors[name] = value
        return {"tensor": name}
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, dict):
        return {key: packed(entry, f"{name}.{key}" if name else key, tensors) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        entries = [packed(entry, f"{name}.{k}", tensors) for k, entry in enumerate(value)]
        return {"tuple": entries} if isinstance(value, tuple) else entries
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise TypeError(
        f"{name}: expected what a checkpoint can hold, numbers, texts, arrays, lists and dicts, got {value!r}"
    )


def unpacked(value: Any, tensors: dict[str, np.ndarray]) -> Any:
    """The other way."""
    if isinstance(value, list):
        return [unpacked(entry, tensors) for entry in value]
    if not isinstance(value, dict):
        return value
    if value.keys() == {"tensor"}:
        return tensors[value["tensor"]]
    if value.keys() == {"tuple"}:
        return tuple(unpacked(entry, tensors) for entry in value["tuple"])
    return {key: unpacked(entry, tensors) for key, entry in value.items()}


# Generators


def generator_state(rng: np.random.Generator) -> dict[str, Any]:
    """What makes a generator that goes on in the same way."""
    return dict(rng.bit_generator.state)


def generator_of(state: dict[str, Any]) -> np.random.Generator:
    """A generator that goes on from a state."""
    name = state["bit_generator"]
    known = ("PCG64", "PCG64DXSM", "MT19937", "Philox", "SFC64")
    if name not in known:
        raise ValueError(f"rng: expected a bit generator of {', '.join(known)}, got {name!r}")
    bits = getattr(np.random, name)()
    bits.state = state
    return np.random.Generator(bits)
