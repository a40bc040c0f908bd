"""The parts of an `EncoderDecoder`: its arguments checked, and what is made of them."""

from __future__ import annotations

from typing import Any

import numpy as np

from . import _arrays
from .attention import SCORES
from .layer import CheckedGradients, Layer
from .model_file import build
from .network import Network
from .noise import OPTIONS as NOISES

CELLS = {"lstm": "LSTM", "gru": "GRU"}
PARTS = ("encoder", "bridge_h", "bridge_c", "decoder", "attention", "combine", "output")
SIZES = ("source_symbols", "target_symbols", "dim", "hidden_size", "num_layers")


def checked_config(config):
    """The arguments of an `EncoderDecoder`, but for rng, as a file can hold them."""
    found = {name: _arrays.size(name, config[name]) for name in SIZES}
    found["bidirectional"] = _arrays.flag("bidirectional", config["bidirectional"])
    found["merge"] = config["merge"]  # the layer looks at it
    found["cell"] = _arrays.choice("cell", config["cell"], tuple(CELLS))
    score = config["attention"]
    found["attention"] = None if score is None else _arrays.choice("attention", score, SCORES)
    for name, check in {**NOISES, "zoneout_c": _arrays.rate}.items():
        found[name] = check(name, config[name])
    found |= checked_special(config["start"], config["end"], config["padding"], found["target_symbols"])
    return {**found, "dtype": _arrays.dtype(config["dtype"]).name}


def checked_special(start, end, padding, count):
    """The symbols with a meaning of their own, which are not the same."""
    start, end = _arrays.whole("start", start, count), _arrays.whole("end", end, count)
    if end == start:
        raise _arrays.wrong(ValueError, "end", "another symbol than the start", end)
    if padding is not None:
        padding = _arrays.whole("padding", padding, 2**31)
        if padding in (start, end):
            raise _arrays.wrong(ValueError, "padding", "another symbol than start and end, or None", padding)
    return {"start": start, "end": end, "padding": padding}


def memory_size(config):
    """Features of what the encoder gives at each step."""
    both = config["bidirectional"] and config["merge"] == "concat"
    return 2 * config["hidden_size"] if both else config["hidden_size"]


def descriptions(config):
    """The parts by name, as a model file describes layers."""
    H, M, score = config["hidden_size"], memory_size(config), config["attention"]
    both = config["bidirectional"]
    found = {"encoder": reader(config, "source_symbols", bidirectional=both, merge=config["merge"])}
    if both:
        for member in "hc" if config["cell"] == "lstm" else "h":
            found[f"bridge_{member}"] = dense(config, 2 * H, H)
    found["decoder"] = reader(config, "target_symbols")
    if score is not None:
        if score == "dot" and M != H:
            expected = "'general' or 'additive' with two directions side by side (merge='sum' adds them)"
            raise _arrays.wrong(ValueError, "attention", expected, "'dot'")
        sizes = {"query_size": H, "memory_size": M, "score": score, "dtype": config["dtype"]}
        found["attention"] = {"class": "Attention", "config": sizes}
        found["combine"] = dense(config, M + H, H, bias=False)
    return {**found, "output": dense(config, H, config["target_symbols"])}


def dense(config, input_size, output_size, bias=True):
    """A `Dense` layer."""
    sizes = {"input_size": input_size, "output_size": output_size, "bias": bias, "dtype": config["dtype"]}
    return {"class": "Dense", "config": sizes}


def reader(config, symbols, **more):
    """An embedding with a stack of recurrent layers."""
    dim, dtype = config["dim"], config["dtype"]
    noises = {name: config[name] for name in (*NOISES, "zoneout_c") if config[name]}  # not every cell knows all
    stack = {"input_size": dim, "hidden_size": config["hidden_size"], "num_layers": config["num_layers"]}
    layers = [
        {"class": "Embedding", "config": {"num_embeddings": config[symbols], "dim": dim, "dtype": dtype}},
        {"class": CELLS[config["cell"]], "config": {**stack, **noises, **more, "dtype": dtype}},
    ]
    return {"class": "Network", "config": {"layers": layers}}


def lengths_by(padding, array):
    """Of each row, the symbols up to the last that is no padding."""
    valid = array != padding
    last = array.shape[1] - valid[:, ::-1].argmax(axis=1)
    return np.where(valid.any(axis=1), last, 0)


def padded(name, parts):
    """Arrays of symbols (T_n,) as one, (N, longest), and their lengths."""
    arrays = [_arrays.integers(f"{name}[{n}]", part) for n, part in enumerate(parts)]
    for n, array in enumerate(arrays):
        if array.ndim != 1:
            raise _arrays.wrong(ValueError, f"{name}[{n}]", "shape (T,)", f"shape {array.shape}")
    lengths = np.array([len(array) for array in arrays], np.intp)
    found = np.zeros((len(arrays), max(1, lengths.max())), np.int64)
    for row, array in zip(found, arrays, strict=True):
        row[: len(array)] = array
    return found, lengths


class _Parts(Network):
    """A network whose layers have names, and do not stand in a row.

    Parameters
    ----------
    described : dict
        The parts by name, as `descriptions` gives them.
    """

    bidirectional = False
    go_backwards = False
    takes_resets = False
    __repr__ = Layer.__repr__

    def __init__(self, described: dict[str, Any]) -> None:
        self._labels = tuple(described)
        super().__init__([build(description) for description in described.values()])

    def reset_parameters(self, rng: int | np.random.Generator | None = None) -> None:
        """Draws new starting values for all parameters.

        Parameters
        ----------
        rng : int or numpy.random.Generator, optional
            Seed or generator; None: fresh entropy. Both precisions draw the same numbers.
        """
        rng = _arrays.generator(rng)
        for part in self.layers:
            for layer in part.layers if isinstance(part, Network) else (part,):
                if layer.flat_parameters.size:
                    layer.reset_parameters(rng)

    def part(self, name: str) -> Any:
        """The part with this name, see the notes; None if this network has none.

        Parameters
        ----------
        name : str

        Returns
        -------
        Layer or None
        """
        name = _arrays.choice("name", name, PARTS)
        return self.layers[self._labels.index(name)] if name in self._labels else None

    # The place of the parts, which do not stand in a row

    def _named_shapes(self):
        for name, layer in zip(self._labels, self.layers, strict=True):
            for own, shape in layer._shapes.items():
                yield f"{name}.{own}", shape

    def _adopt(self):
        super()._adopt()
        self._names_of = [
            [(own, f"{name}.{own}") for own in layer._shapes]
            for name, layer in zip(self._labels, self.layers, strict=True)
        ]

    def _follow(self):
        self.takes_indices, self.input_size, self.output_size = True, None, self.layers[-1].output_size
        self.axes, self.removes_time, self._refers = "sequence", False, False

    def _check_share(self, share):
        pass

    def _share_after(self, share):
        return 0

    def _reverse_share(self, target):
        return 0

    # Running

    def _part_run(self, name, tapes, *arguments, **options):
        """What a part gives, and its state; its tape, if tapes are kept."""
        if tapes is None:
            return self.part(name).infer(*arguments, **options)
        y, state, tapes[name] = self.part(name).forward(*arguments, **options)
        return y, state

    def _own(self, grads, name):
        """The gradients of a part, by its names."""
        return CheckedGradients((own, grads[full]) for own, full in self._names_of[self._labels.index(name)])

    def _part_back(self, name, tapes, dy, dstate, grads):
        return self.part(name).backward(tapes[name], dy, dstate, self._own(grads, name))
