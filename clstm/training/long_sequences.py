"""What a trainer has for long sequences, `bptt` and `memory`, and which networks they are for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .. import _arrays, budget
from ..network import Network

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ..layer import Layer


class OptionalSize:
    """An attribute of a trainer that is an int of at least 1 or None, checked whenever it is set."""

    def __init__(self, check: Callable[[Layer], None]) -> None:
        self.check = check

    def __set_name__(self, owner: Any, name: str) -> None:
        self.name = name

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        return self if instance is None else instance.__dict__[self.name]

    def __set__(self, instance: Any, value: Any) -> None:
        if value is not None:
            value = _arrays.size(self.name, value)
            self.check(instance.net)
        instance.__dict__[self.name] = value


def check_cuttable(net: Layer) -> None:
    """Raises for a network that cannot be trained in pieces of time, and names the layer."""
    for layer in layers_of(net):
        if layer.removes_time:
            raise _arrays.wrong(ValueError, "bptt", "None, because a layer removes time", repr(layer))
        if layer.bidirectional or layer.go_backwards:
            raise _arrays.wrong(ValueError, "bptt", "None, because a layer reads sequences from their end", repr(layer))
        if layer.mixes_steps:
            raise _arrays.wrong(ValueError, "bptt", "None, because a layer looks at several steps at once", repr(layer))
        if layer.axes == "step":
            raise _arrays.wrong(ValueError, "bptt", "None, because a layer takes single steps", repr(layer))


def check_recurrent(net: Layer) -> None:
    """Raises for a network that has no use for a budget."""
    budget.check_batches(net, budget.ANY_MEMORY, 1, 1)


def layers_of(net: Layer) -> Iterator[Layer]:
    """The layers of a network, and of the networks in it."""
    if not isinstance(net, Network):
        yield net
        return
    for layer in net.layers:
        yield from layers_of(layer)
