"""What recurrent layers and cells share: their construction, states and parameters.

A kind of cell (`lstm.py`, `gru.py`, `rnn.py`) says what it is made of in a `Kind`; the layers of all kinds are one
class of `recurrent.py`, their cells one of `cells.py`, which know of kinds no more than that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from . import _arrays, _core, checkpoints, init, outputs
from .layer import Tape, _DrawnLayer
from .noise import OPTIONS as NOISE_OPTIONS
from .noise import noise_of
from .options import checked_options, defaults_of, places_of, refuse, size_of_h, width_of
from .pieces import Saved, rows_of, run, run_back

if TYPE_CHECKING:
    from collections.abc import Callable


class Kind(NamedTuple):
    """What Python has to know of a kind of cell."""

    name: str  # that of the core
    states: tuple[str, ...]  # what is carried from step to step: h, or h and c
    options: dict[str, Callable[[str, Any], Any]]  # the check of each option, which returns its value
    gates: Callable[[dict[str, Any]], tuple[str, ...]]  # names of the blocks of the weight matrices, by the options
    blocks: Callable[[dict[str, Any]], tuple[str, ...]]  # names of those on the tape, in order; "" is not shown
    extra_shapes: Callable[[dict[str, Any], int], dict[str, tuple[int, ...]]]  # of parameters that only it has
    core: Callable[[dict[str, Any]], dict[str, Any]]  # the options as the core names them


class _Recurrent(_DrawnLayer):
    """What sequences and cells share: a cell is a sequence of one step."""

    _kind: Kind
    hidden_size: int
    bias: bool
    _positional = ("input_size", "hidden_size")

    def _start(self, arguments):
        """Checks everything and completes the construction, from the local variables of `__init__`."""
        refuse(type(self), arguments.get("refused", {}))
        self.input_size = _arrays.size("input_size", arguments["input_size"])
        self.hidden_size = _arrays.size("hidden_size", arguments["hidden_size"])
        self.num_layers = _arrays.size("num_layers", arguments.get("num_layers", 1))
        self.bidirectional = _arrays.flag("bidirectional", arguments.get("bidirectional", False))
        self.bias = _arrays.flag("bias", arguments["bias"])
        options = {name: arguments[name] for name in self._kind.options if name in arguments}
        self._options = checked_options(type(self), options)
        vars(self).update(self._options)
        if self.bidirectional and self.go_backwards:
            raise _arrays.wrong(ValueError, "go_backwards", "False, because bidirectional=True goes both ways", True)
        outputs.refuse(type(self), self._options, self.bidirectional)
        self.dtype = _arrays.dtype(arguments["dtype"])
        self._directions = 2 if self.bidirectional else 1
        self._states = self.num_layers * self._directions
        self._size_h = size_of_h(self.hidden_size, self._options)
        self._width = width_of(self._size_h, self.bidirectional, self._options)  # of what a layer gives to the next
        self._output = outputs.OUTPUTS[self.output]
        self._sizes = (self._size_h, self.hidden_size)[: len(self._kind.states)]  # of h, and of c if there is one
        self.output_size, self.removes_time = self._output.size(self), self._output.removes_time
        self.takes_noise = any(self._options.get(name) for name in (*NOISE_OPTIONS, "zoneout_c"))
        names = dict.fromkeys(init.base_of(name) for name, _ in self._named_shapes())
        self._init = init.checked(arguments["init"], tuple(names), self._kind.gates(self._options))
        super().__init__(self.dtype, arguments["rng"])
        description = {
            "cell": self._kind.name,
            "dtype": self.dtype.name,
            "input_size": self.input_size,
            "hidden_size": self.hidden_size,
            "num_layers": self.num_layers,
            "directions": self._directions,
            "bias": self.bias,
        }
        shared = {name: self._options[name] for name in ("go_backwards", "merge", *NOISE_OPTIONS)}
        learned = sum(shape[-1] for shape in self._state_shapes()) * self.learned_state
        shared["behind"] = self._states * learned
        shared["show_c"] = self.output == "c"
        self._core = _core.Stack({**description, **shared, **self._kind.core(self._options)})

    def config(self) -> dict[str, Any]:
        """The arguments that make a layer of the same configuration; options that are as usual are left out."""
        sizes = ("input_size", "hidden_size", "num_layers", "bidirectional", "bias")
        usual = defaults_of(type(self))
        options = {name: self._options[name] for name in usual if self._options[name] != usual[name]}
        return {**{name: getattr(self, name) for name in sizes}, **options, "dtype": self.dtype.name}

    @classmethod
    def _shapes_of(cls, input_size, hidden_size, num_layers, bidirectional, bias, options):
        """The names and shapes of the parameters; the suffix of a layer and direction is that of an LSTM."""
        kind = cls._kind
        width = _arrays.size("input_size", input_size)
        H = _arrays.size("hidden_size", hidden_size)
        both = _arrays.flag("bidirectional", bidirectional)
        options = checked_options(cls, {**defaults_of(cls), **options})
        outputs.refuse(cls, options, both)
        rows = len(kind.gates(options)) * H
        extra = kind.extra_shapes({**options, "bias": _arrays.flag("bias", bias)}, H)
        num_layers, R = _arrays.size("num_layers", num_layers), size_of_h(H, options)
        for index, place in enumerate(places_of(num_layers, both)):
            if index == 1 + both:
                width = width_of(R, both, options)
            yield f"weight_ih{place}", (rows, width)
            yield f"weight_hh{place}", (rows, R)
            if bias:
                yield f"bias{place}", (rows,)
            for name, shape in extra.items():
                yield f"{name}{place}", shape
        if options["learned_state"]:  # behind all that the core knows
            for place in places_of(num_layers, both):
                for member, size in zip(kind.states, (R, H), strict=False):
                    yield f"{member}0{place}", (size,)

    def _draw(self, rng, parameters):
        init.draw(self._init, rng, parameters, self._kind.gates(self._options), self.hidden_size)

    # States: (h, c), or h alone

    def _state_shapes(self, *lead):
        """Of h, and of c if there is one."""
        return [(*lead, size) for size in self._sizes]

    def _lead(self, N):
        """The first axes of a state of N rows."""
        return self._states, N

    def _members(self, name, state, N):
        """h and c as the core takes them, each an array or None."""
        if state is None:
            return None, None
        shapes = self._state_shapes(*self._lead(N))
        if len(shapes) == 2:
            return _arrays.state(name, state, self.dtype, shapes)
        return _arrays.of_shape(name, state, self.dtype, shapes[0]), None

    def _initial_state(self, N):
        """h and c of N rows that start where no state is given; None is zero."""
        if not self.learned_state:
            return None, None
        learned = self._flat[self._core.parameters :].reshape(self._states, 1, -1)
        members = np.split(learned, [self._size_h], axis=2) if len(self._kind.states) == 2 else [learned]
        shapes = self._state_shapes(*self._lead(N))
        rows = [np.repeat(own, N, axis=1).reshape(shape) for own, shape in zip(members, shapes, strict=True)]
        return rows[0], rows[1] if len(rows) == 2 else None

    def _given_state(self, state, N):
        """h and c from which a call starts."""
        return self._initial_state(N) if state is None else self._members("state", state, N)

    def _add_initial(self, grads, dh, dc):
        """Adds to the gradients of the learned initial state those of all that started from it, summed in their
        order."""
        members = [member for member in (dh, dc) if member is not None]
        own = list(grads.values())[-self._states * len(members) :]
        for index, gradient in enumerate(own):
            k, member = divmod(index, len(members))
            gradient += members[member][k].sum(axis=0, dtype=np.float64).astype(self.dtype)

    def _new_state(self, N):
        h, *c = [np.empty((self._states, N, size), self.dtype) for size in self._sizes]
        return h, c[0] if c else None

    def _state(self, h, c):
        return h if c is None else (h, c)

    def _noise(self, noise, N):
        """The noise of a call of forward as the core takes it; None if nothing is random."""
        if noise is None and not self.takes_noise:
            return None
        found = noise_of(noise).core(N)
        return found if self.takes_noise else None

    def _forward(self, checked, from_start, noise, memory=None):
        """y, h, c and the tape for `backward`, of what `_checked` returned."""
        x, _, steps, form = checked
        rows = rows_of(x, steps)
        y, h, c, core_tape = checkpoints.run(self, checked, self._noise(noise, rows), memory)
        saved = Saved(x, core_tape, steps, form, from_start, self._output.saved(self, h))
        return y, h, c, Tape(self, saved)

    _run, _run_back = run, run_back
