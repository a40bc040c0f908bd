"""How a network runs one of its layers, which may be of anyone's making, and what it says of errors there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from . import _arrays
from .layer import Layer, Tape
from .recurrent import RecurrentLayer
from .sequences import Flat

if TYPE_CHECKING:
    from collections.abc import Callable


def run_layer(
    layer: Layer, x: Any, state: Any, steps: Any, keep: bool, options: dict[str, Any]
) -> tuple[Any, Any, Any]:
    """y, state and tape (or None, if it is not to be kept) of a layer; `steps` are lengths, None, or `Flat`, by which x
    stands side by side."""
    if not isinstance(steps, Flat):
        return layer.forward(x, state, steps, **options) if keep else (*layer.infer(x, state, steps), None)
    if knows_flat(layer):
        return layer._flat_run(x, state, steps, keep, **options)
    # Of a layer that knows nothing but lengths: what it takes
    resets = steps.padded_resets()
    if resets is not None and layer.axes == "sequence" and not layer.removes_time:
        raise _arrays.wrong(ValueError, "resets", "None, because this layer does not know them", "flags")
    y, after, tape = run_layer(layer, steps.pad(x), state, steps.counts, keep, options)
    given = steps_after(layer, steps)
    return y if layer.removes_time else given.unpad(y), after, PaddedTape(tape, steps, given)


def steps_after(layer: Layer, steps: Any) -> Any:
    """What is valid of what a layer gives, by what is of what it is given, each as for `run_layer`."""
    if layer.removes_time or steps is None:
        return None
    return steps.after(layer.lengths_after(steps.counts)) if isinstance(steps, Flat) else layer.lengths_after(steps)


class PaddedTape(NamedTuple):
    """The tape of a layer that was given padded arrays."""

    tape: Tape
    steps: Flat  # of x
    given: Flat | None  # of y


def run_layer_back(
    layer: Layer, backward: Callable[..., tuple], tape: Any, dy: Any, dstate: Any, grads: Any, options: dict[str, Any]
) -> tuple:
    """What `backward` of a layer returns."""
    if type(tape) is not PaddedTape:
        return backward(tape, dy, dstate, grads, **options)
    dy = dy if layer.removes_time else tape.given.pad(dy)
    dx, dstate, grads = backward(tape.tape, dy, dstate, grads, **options)
    return None if dx is None else tape.steps.unpad(dx), dstate, grads


def knows_flat(layer: Layer) -> bool:
    """Whether `_flat_run` is that of the class that has written the other methods."""
    for cls in type(layer).__mro__:
        if "_flat_run" in vars(cls):
            return True
        if any(name in vars(cls) for name in ("forward", "infer", "backward")):
            return False
    return False


def reads_vectors(layer):
    """Whether a layer takes `Vectors`: it is recurrent, its input is not changed by noise, and nobody has written its
    methods anew."""
    if not isinstance(layer, RecurrentLayer) or layer.input_dropout or layer.input_noise:
        return False
    return all(getattr(type(layer), name) is getattr(RecurrentLayer, name) for name in ("forward", "infer", "backward"))


class in_layer:
    """Puts the place in front of a layer's own complaint about its arguments."""

    __slots__ = ("k", "layer")

    def __init__(self, k, layer):
        self.k, self.layer = k, layer

    def __enter__(self):
        return self

    def __exit__(self, error_type, error, traceback):
        if error_type is ValueError or error_type is TypeError:
            raise error_type(f"in layers[{self.k}] ({type(self.layer).__name__}): {error}") from error


def like(name, value, state, dtype):
    """A gradient in the form of a state; None, at any place, is zero."""
    if value is None:
        return None
    if state is None:
        raise _arrays.wrong(ValueError, name, "None, because this layer has no state", _arrays.kind(value))
    if not isinstance(state, (list, tuple)):
        return _arrays.of_shape(name, value, dtype, np.shape(state))
    if not isinstance(value, (list, tuple)) or len(value) != len(state):
        got = f"{len(value)} entries" if isinstance(value, (list, tuple)) else _arrays.kind(value)
        raise _arrays.wrong(ValueError, name, f"{len(state)} entries", got)
    return [like(f"{name}[{k}]", entry, state[k], dtype) for k, entry in enumerate(value)]
