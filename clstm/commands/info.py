"""`clstm info`: what a model file holds, without building anything of it, so that its layers may be unknown."""

from __future__ import annotations

import json
import math
import os
from typing import NamedTuple

from .. import safetensors
from ..estimators.base import ENTRY as ESTIMATOR
from ..forecasting.file import ENTRY as FORECASTER
from ..training.checkpoint import ENTRY as CHECKPOINT
from .errors import CommandError, reason
from .text import field, print_json, shortened

DESCRIPTION = """\
Tell what is in a model file: what it does, its layers and their parameters,
its options, and which version of clstm has written it.
"""
EXAMPLES = """\
examples:
  clstm info airline.safetensors
      what `clstm forecast --save airline.safetensors` has written
  clstm info airline.safetensors --json
      the same for another program
"""
USUAL = {("bias", True), ("num_layers", 1)}
MODEL = "clstm"  # the name of a network among the metadata


class Layer(NamedTuple):
    """A layer of a file: its place, such as "0.1", its class and configuration, and how many parameters it has."""

    place: str
    name: str
    config: dict
    parameters: int


def add_arguments(parser):
    """What `clstm info` takes."""
    parser.add_argument("model", metavar="MODEL", help="a .safetensors file")
    parser.add_argument("--json", action="store_true", help="print everything as JSON")


def run(args):
    """The command; raises `CommandError`."""
    try:
        with safetensors.Reader(args.model) as reader:
            found = document(reader)
    except OSError as error:
        raise CommandError(f"cannot read {args.model!r}: {reason(error)}") from error
    except safetensors.FormatError as error:
        raise CommandError(str(error)) from error
    except (TypeError, ValueError, KeyError, AttributeError, RecursionError) as error:
        raise CommandError(f"{args.model}: damaged, or written by a newer clstm: {error!r:.200}") from error
    found = {"file": args.model, "bytes": os.path.getsize(args.model), **found}
    if args.json:
        print_json(found)
    else:
        print(*lines(found), sep="\n")


def document(reader):
    """What a file holds, as a dict for JSON."""
    metadata = reader.metadata
    found = {"holds": None, "clstm": None, "options": {}, "learnt": {}, "layers": []}
    if MODEL in metadata:
        model = json.loads(metadata[MODEL])
        layers = [layer._asdict() for layer in layers_of(model, sizes_of(reader))]
        found |= {"holds": model["class"], "clstm": model["clstm"], "layers": layers}
    if ESTIMATOR in metadata:
        entry = unpacked(json.loads(metadata[ESTIMATOR]))
        found |= {"holds": entry["class"], "options": entry["params"], "learnt": entry["learnt"]}
    elif FORECASTER in metadata:
        entry = json.loads(metadata[FORECASTER])
        found |= {"holds": "Forecaster", "options": entry["options"], "learnt": entry["plan"]}
    elif CHECKPOINT in metadata:
        found |= {"holds": "checkpoint of a training", "clstm": json.loads(metadata[CHECKPOINT])["clstm"]}
    found["dtypes"] = sorted({str(dtype) for dtype, *_ in reader.entries.values()})
    found["parameters"] = sum(sizes_of(reader).values())
    found["tensors"] = {name: list(shape) for name, (_, shape, _, _) in reader.entries.items()}
    return found


def sizes_of(reader):
    """How many numbers each tensor has."""
    return {name: math.prod(shape) for name, (_, shape, _, _) in reader.entries.items()}


def layers_of(model, sizes, place=""):
    """The layers of a network, one by one, those inside others behind them."""
    prefix = f"{place}." if place else ""
    parameters = sum(size for name, size in sizes.items() if name.startswith(prefix))
    inner = model["config"].get("layers", [])
    config = {name: value for name, value in model["config"].items() if name != "layers"}
    yield Layer(place, model["class"], config, parameters)
    for k, layer in enumerate(inner):
        yield from layers_of(layer, sizes, f"{prefix}{k}")


def unpacked(value):
    """What `clstm.estimators.state` has packed, as values of JSON: arrays are flat lists, objects are their states."""
    if isinstance(value, list):
        return [unpacked(part) for part in value]
    if not isinstance(value, dict):
        return value
    if "dict" in value:
        return {str(unpacked(key)): unpacked(part) for key, part in value["dict"]}
    for form in ("array", "objects", "tuple", "scalar", "state", "float"):
        if form in value:
            return unpacked(value[form])
    raise ValueError(f"no value is written as {value!r:.80}")


# Text


def lines(found):
    """The report."""
    writer = f", written by clstm {found['clstm']}" if found["clstm"] else ""
    size = f"{found['bytes']:,} bytes; {found['parameters']:,} parameters"
    told = [
        shortened(found["file"], 78),
        field("holds", f"{found['holds'] or 'tensors, which clstm has not written'}{writer}"),
        field("size", f"{size}, {' and '.join(found['dtypes']) or 'none'}"),
    ]
    if found["options"]:
        told.append(field("options", ", ".join(f"{name}={summary(value)}" for name, value in found["options"].items())))
    heads = ["learnt", *[""] * len(found["learnt"])]
    for head, (name, value) in zip(heads, found["learnt"].items()):
        told.append(field(head, shortened(f"{name} = {summary(value)}", 62)))
    return told + (["", *layer_lines(found["layers"])] if found["layers"] else [])


def layer_lines(layers):
    """The table of the layers; of an ensemble the first member only."""
    rows, ensembles = [["parameters", "layer"]], []
    for layer in layers:
        place, name = layer["place"], layer["name"]
        if any(place.startswith(outer) and not f"{place}.".startswith(f"{outer}0.") for outer in ensembles):
            continue
        prefix = f"{place}." if place else ""
        config = [f"{key}={value}" for key, value in layer["config"].items() if is_told(key, value)]
        if name == "Ensemble":
            ensembles.append(prefix)
            members = [other for other in layers if other["place"].rpartition(".")[0] == place and other != layer]
            config = [f"{len(members)} networks, of which the first follows"]
        indent = "  " * len(prefix.split(".")[1:])
        rows.append([f"{layer['parameters']:,}", shortened(f"{indent}{place} {name}({', '.join(config)})", 62)])
    return [f"  {number:>12}  {text}".rstrip() for number, text in rows]


def is_told(name, value):
    """Whether an option of a layer is not what it usually is."""
    return name != "dtype" and value not in (None, False, 0, "same") and (name, value) not in USUAL


def summary(value):
    """A value in a few letters."""
    if isinstance(value, (list, dict)) and len(text := json.dumps(value, ensure_ascii=False)) > 60:
        what = "values" if isinstance(value, list) else "entries"
        return f"{len(value)} {what}: {shortened(text, 44)}"
    return shortened(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False), 60)
