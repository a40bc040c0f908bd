"""How a layer becomes a .safetensors file and comes back: its class and configuration as metadata, its parameters.

A file names classes by their bare names. Those that exist are registered when they are defined, so that reading a file
never imports anything.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import _arrays, safetensors

if TYPE_CHECKING:
    import os

    from .layer import Layer

FORMAT = 1  # of the model file; a newer one is refused

_registry: dict[str, type[Layer]] = {}  # class name -> class: what a model file may name


def register(cls):
    """Lets files name this class; the names of clstm's own layers are taken."""
    known = _registry.get(cls.__name__)
    if known is not None and known.__module__.startswith("clstm.") and cls.__module__ != known.__module__:
        raise TypeError(f"class {cls.__name__}: expected a name that is free, got that of a layer of clstm")
    _registry[cls.__name__] = cls


def save(layer, path, metadata=None):
    """`Layer.save`: what it promises stands there."""
    from json import dumps  # costs a millisecond that not every program has to spend

    from . import __version__

    parameters = _arrays.new_parameters(layer._views, layer._shapes, layer._flat.dtype)
    model = {"format": FORMAT, "clstm": __version__, **describe(layer)}
    safetensors.write(path, parameters, {**(metadata or {}), "clstm": dumps(model, allow_nan=False)})


def describe(layer):
    """Class and configuration, as they stand in a file."""
    return {"class": type(layer).__name__, "config": layer.config()}


def described(description):
    """The class and configuration that a description names; raises ValueError if it is none."""
    if not isinstance(description, dict) or not {"class", "config"} <= description.keys():
        raise ValueError("a layer is described by its class and its config")
    name, config = description["class"], description["config"]
    if not isinstance(name, str) or name not in _registry:
        raise ValueError(f"unknown class {name!r:.80}; known are {', '.join(sorted(_registry))}")
    if not isinstance(config, dict):
        raise ValueError(f"the config of {name} is no object")
    return _registry[name], config


def build(description):
    """The layer that `describe` was given, but for its parameters."""
    cls, config = described(description)
    return cls.from_config(config)


def shapes_of(description):
    """The names and shapes of its parameters, one by one, without building it."""
    cls, config = described(description)
    yield from cls.parameter_shapes(**config)


def load(path: str | os.PathLike[str]) -> Layer:
    """Reads a layer or network that `save` wrote.

    Nothing in the file is executed or imported: the classes it names have to be known already, layers of your own
    by importing their module first. Everything is checked before it is used, sizes before anything is allocated.

    Parameters
    ----------
    path : str or path-like

    Returns
    -------
    Layer
        Of the class that was saved, usually a `Network`.

    Raises
    ------
    ValueError
        The file is damaged, not from clstm, or from a newer version; the message has the file and the reason.
    OSError
        The file cannot be read.

    Examples
    --------
    >>> import os, tempfile, clstm
    >>> folder = tempfile.TemporaryDirectory()
    >>> path = os.path.join(folder.name, "model.safetensors")
    >>> clstm.Network([clstm.LSTM(3, 8), clstm.Dense(8, 1)]).save(path)
    >>> clstm.load(path)
    Network([LSTM(3, 8), Dense(8, 1)])
    >>> folder.cleanup()
    """
    with safetensors.Reader(path) as reader:
        try:
            model = model_of(reader)
            check_shapes(reader, shapes_of(model))
            layer = build(model)
            check_dtypes(reader, layer)
            layer.load_parameters({name: reader.read(name) for name in layer._shapes})
        except safetensors.FormatError:
            raise
        except RecursionError:
            raise reader.error("its configuration is nested too deeply") from None
        except (TypeError, ValueError, KeyError, AttributeError, OverflowError) as error:
            raise reader.error(error) from error
    return layer


def model_of(reader):
    """The description of the model in a file."""
    import json

    if "clstm" not in reader.metadata:
        raise reader.error("no model of clstm: its metadata have no entry 'clstm'")
    model = json.loads(reader.metadata["clstm"])
    if not isinstance(model, dict) or type(model.get("format")) is not int or model["format"] < 1:
        raise reader.error("its description has no format number")
    if model["format"] > FORMAT:
        raise reader.error(
            f"written in format {model['format']} by clstm {model.get('clstm')!r:.40}; this one reads up to {FORMAT}"
        )
    return model


def check_shapes(reader, shapes):
    """Compares what the configuration needs with what is in the file, before anything is made of either."""
    expected = 0
    for name, shape in shapes:
        if name not in reader.entries:
            raise reader.error(f"tensor {name!r} is missing")
        if reader.entries[name][1] != shape:
            raise reader.error(f"tensor {name!r}: expected shape {shape}, got {reader.entries[name][1]}")
        expected += 1
    if expected != len(reader.entries):
        raise reader.error(f"expected {expected} tensors, got {len(reader.entries)}")


def check_dtypes(reader, layer):
    """All tensors have the dtype of the layer."""
    for name, (dtype, *_) in reader.entries.items():
        if dtype.newbyteorder("=") != layer._flat.dtype:
            raise reader.error(f"tensor {name!r}: expected dtype {layer._flat.dtype}, got {dtype.newbyteorder('=')}")
