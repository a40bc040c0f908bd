"""What recurrent layers share: running over sequences, one step at a time, and the look inside.

A kind of cell (`lstm.py`, `gru.py`, `rnn.py`) says what it is made of in a `Kind`; the layers of all kinds are one
class of this file, their cells one of `cells.py`, which know of kinds no more than that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from . import _arrays, _core, checkpoints, init
from .embedding import Vectors
from .gradient_flow import GradientFlow, norms_of
from .layer import MIXED, Tape, _DrawnLayer, look
from .noise import OPTIONS as NOISE_OPTIONS
from .noise import SILENCE, Noise, masks_of, noise_of
from .outputs import OUTPUTS, refuse_merge
from .stream import Stream
from .trace import Trace

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import ArrayLike

    _StateLike = tuple[ArrayLike, ArrayLike] | ArrayLike
    _State = tuple[np.ndarray, np.ndarray] | np.ndarray


class Kind(NamedTuple):
    """What Python has to know of a kind of cell."""

    name: str  # that of the core
    states: tuple[str, ...]  # what is carried from step to step: h, or h and c
    options: dict[str, Callable[[str, Any], Any]]  # the check of each option, which returns its value
    gates: Callable[[dict[str, Any]], tuple[str, ...]]  # names of the blocks of the weight matrices, by the options
    blocks: Callable[[dict[str, Any]], tuple[str, ...]]  # names of those on the tape, in order; "" is not shown
    extra_shapes: Callable[[dict[str, Any], int], dict[str, tuple[int, ...]]]  # of parameters that only it has
    core: Callable[[dict[str, Any]], dict[str, Any]]  # the options as the core names them


class Saved(NamedTuple):
    """What forward keeps for backward."""

    x: Any
    core_tape: Any
    from_start: bool  # no state was given
    of_output: np.ndarray | None  # see `outputs.Output.saved`


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
        refuse_merge(self._options, self.bidirectional)
        self.dtype = _arrays.dtype(arguments["dtype"])
        self._directions = 2 if self.bidirectional else 1
        self._states = self.num_layers * self._directions
        self._size_h = size_of_h(self.hidden_size, self._options)
        self._width = width_of(self._size_h, self.bidirectional, self._options)  # of the output of a layer
        self._output = OUTPUTS[self.output]
        self.output_size, self.removes_time = self._output.size(self), self._output.removes_time
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
        self._core = _core.Stack({**description, **shared, **self._kind.core(self._options)})

    @property
    def takes_noise(self):
        """Whether anything in it is random in training."""
        return any(self._options.get(name) for name in (*NOISE_OPTIONS, "zoneout_c"))

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
        refuse_merge(options, both)
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
        return [(*lead, size) for size in (self._size_h, self.hidden_size)[: len(self._kind.states)]]

    def _lead(self, N):
        """The first axes of a state of N rows."""
        return self._states, N

    def _members(self, name, state, N):
        """h and c as the core takes them, each an array or None."""
        shapes = self._state_shapes(*self._lead(N))
        if len(shapes) == 2:
            return _arrays.state(name, state, self.dtype, shapes)
        return None if state is None else _arrays.of_shape(name, state, self.dtype, shapes[0]), None

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
        """Adds to the gradients of the learned initial state those of all rows, summed in their order."""
        members = [member for member in (dh, dc) if member is not None]
        own = list(grads.values())[-self._states * len(members) :]
        for index, gradient in enumerate(own):
            k, member = divmod(index, len(members))
            gradient += members[member][k].sum(axis=0, dtype=np.float64).astype(self.dtype)

    def _new_state(self, N):
        arrays = [np.empty(shape, self.dtype) for shape in self._state_shapes(self._states, N)]
        return arrays[0], arrays[1] if len(arrays) == 2 else None

    def _state(self, h, c):
        return h if c is None else (h, c)

    def _noise(self, noise, N):
        """The noise of a call of forward as the core takes it; None if nothing is random."""
        if noise is None and not self.takes_noise:
            return None
        found = noise_of(noise).core(N)
        return found if self.takes_noise else None

    def _run(self, checked, keep, noise=None):
        """y, h, c and the core's tape, or None for it, of what `_checked` returned."""
        x, state, lengths = checked
        N, T, _ = x.shape
        steps = self._output.room(self, N, T)
        h, c = self._new_state(N)
        values, symbols = (x.vectors, x.symbols) if type(x) is Vectors else (x, None)
        core_tape = self._core.forward(self._flat, values, lengths, *state, steps, h, c, keep, symbols, noise)
        return self._output.of(self, steps, h, c), h, c, core_tape

    def _forward(self, checked, from_start, noise, memory=None):
        """y, h, c and the tape for `backward`, of what `_checked` returned."""
        y, h, c, core_tape = checkpoints.run(self, checked, self._noise(noise, checked[0].shape[0]), memory)
        return y, h, c, Tape(self, Saved(checked[0], core_tape, from_start, self._output.saved(self, h)))

    def _run_back(self, tape, saved, dy, dstate, grads, need_dx, bptt=0, whole=()):
        """dx (N, T, I), dh and dc of arguments that are checked; adds to grads and uses the tape up. `whole`, for each
        member of the state, gets the gradients of those after each step."""
        x, core_tape = saved.x, saved.core_tape
        values = x.vectors if type(x) is Vectors else x
        dx = np.empty(values.shape, self.dtype) if need_dx else None
        dh, dc = self._new_state(x.shape[0])
        dsteps, dfinal = self._output.back(self, dy, dstate, saved.of_output)
        count = len(grads) - self.learned_state * self._states * len(self._kind.states)
        own = list(grads.values())[:count]
        tape.take()
        if type(core_tape) is checkpoints.Checkpoints:
            core_tape.backward(dsteps, dfinal, dx, (dh, dc), own, bptt)
        else:
            try:
                arrays = (dsteps, *dfinal, dx, dh, dc, own)
                self._core.backward(self._flat, core_tape, values, *arrays, bptt, *whole)
            except Exception:
                tape.put_back(saved)  # the core refuses before it writes
                raise
        if self.learned_state and saved.from_start:
            self._add_initial(grads, dh, dc)
        if dx is not None and values is not x:
            dx = Vectors(dx, x.symbols)
        return dx, dh, dc


class RecurrentLayer(_Recurrent):
    """A stack of recurrent layers over sequences, in one direction or both: what `LSTM`, `GRU` and `RNN` share.

    The state is (h, c) for an LSTM and h alone for the others; each is an array (L*D, N, H), layer by layer, forward
    direction first. The stack is not made by itself, but by the class of its kind.
    """

    axes = "sequence"

    @classmethod
    def parameter_shapes(
        cls, input_size, hidden_size, *, num_layers=1, bidirectional=False, bias=True, dtype="float32", **options
    ):
        """The names and shapes of the parameters."""
        return cls._shapes_of(input_size, hidden_size, num_layers, bidirectional, bias, options)

    def _share_after(self, share):
        return MIXED if self.merge != "concat" and not self.removes_time else super()._share_after(share)

    def _checked(self, x, state, lengths):
        """x, (h, c) and lengths as the core takes them."""
        if type(x) is not Vectors:
            x = _arrays.steps("x", x, self.dtype, self.input_size)
        N, T, _ = x.shape
        return x, self._given_state(state, N), _arrays.lengths(lengths, N, T)

    def __call__(
        self, x: ArrayLike, state: _StateLike | None = None, lengths: ArrayLike | None = None
    ) -> tuple[np.ndarray, _State]:
        """Inference: runs over whole sequences.

        Parameters
        ----------
        x : array_like, (N, T, I)
            An array of the layer's dtype whose last axis is contiguous is taken as it is, any other is copied once.
        state : (h, c) or h, each array_like (L*D, N, H), optional
            State before the first step; None is zeros, or what the layer has learned (`learned_state`).
        lengths : array_like of int, (N,), optional
            Valid steps of each row, 0 to T; None: all T. What comes after is never read.

        Returns
        -------
        y : ndarray, (N, T, D*H)
            Hidden states of the last layer, forward direction first; zero beyond the lengths. `merge` and `output` make
            it another: (N, T, H), (N, D*H) ..
        state : (h, c) or h, each ndarray (L*D, N, H)
            State after the last valid step of each row (for the reverse direction, step 0). Of a row of length 0 it
            is the initial one.

        Raises
        ------
        TypeError
            An argument is of a kind that cannot be converted: complex numbers, objects, text.
        ValueError
            A shape or a length does not fit.
        """
        return self.infer(x, state, lengths)

    def infer(
        self, x: ArrayLike, state: _StateLike | None = None, lengths: ArrayLike | None = None
    ) -> tuple[np.ndarray, _State]:
        """The same as calling the layer."""
        y, h, c, _ = self._run(self._checked(x, state, lengths), keep=False)
        return y, self._state(h, c)

    def forward(
        self,
        x: ArrayLike,
        state: _StateLike | None = None,
        lengths: ArrayLike | None = None,
        *,
        noise: int | Noise | None = None,
        memory: int | None = None,
    ) -> tuple[np.ndarray, _State, Tape]:
        """The same numbers as calling the layer, but for what is random in training, and a tape for `backward`.

        Parameters
        ----------
        x, state, lengths
            As in `__call__`. The tape refers to x: do not change it before backward.
        noise : int or Noise, optional
            Seed of the masks of dropout, zoneout and noise, if the layer has any; None: fresh entropy.
        memory : int, optional
            Bytes that the tape may take. If it would take more, only states at some steps are kept, and backward
            computes the others again: see docs/explanation/long_sequences.md. ValueError if it is too small for that.

        Returns
        -------
        y : ndarray
            As from `__call__`.
        state : (h, c) or h, each ndarray (L*D, N, H)
        tape : Tape
        """
        checked = self._checked(x, state, lengths)
        y, h, c, tape = self._forward(checked, state is None, noise, memory)
        return y, self._state(h, c), tape

    def backward(
        self,
        tape: Tape,
        dy: ArrayLike | None,
        dstate: _StateLike | None = None,
        grads: dict[str, np.ndarray] | None = None,
        need_dx: bool = True,
        *,
        bptt: int | None = None,
    ) -> tuple[np.ndarray | None, _State, dict[str, np.ndarray]]:
        """Exact back-propagation through time, or truncated.

        Parameters
        ----------
        tape : Tape
            From `forward` of this layer, whose parameters have not been changed since. It is used up.
        dy : array_like, the shape of y, or None
            Gradient of the loss with respect to y; not read beyond the lengths. None is zero, if dstate is given.
        dstate : (dh, dc) or dh, each array_like (L*D, N, H), optional
            Gradient with respect to the final state; None is zero.
        grads : dict of ndarray, optional
            The keys of `parameters`; gradients are added to these arrays. None: to fresh zeros.
        need_dx : bool, default True
            False: dx is None and is not computed.
        bptt : int, optional
            Truncated back-propagation: of the steps of a direction, counted in its own order from 0 in each row, none
            hands anything back to the one before it if its number is a multiple of bptt. So gradients are those of
            pieces of bptt steps between which the state is carried on, and nothing else. None: all the way.

        Returns
        -------
        dx : ndarray, (N, T, I)
            Zero beyond the lengths.
        dstate : (dh, dc) or dh, each ndarray (L*D, N, H)
            Gradient with respect to the initial state.
        grads : dict of ndarray

        Raises
        ------
        ValueError
            The tape is used up or of another layer, or a shape does not fit. Nothing has changed then.
        """
        return self._back(tape, dy, dstate, grads, need_dx, bptt)

    def _back(self, tape, dy, dstate, grads, need_dx, bptt, whole=()):
        """`backward`; for `whole` see `_run_back`."""
        saved = look(tape, self)
        N, T, _ = saved.x.shape
        if dy is not None:
            dy = _arrays.of_shape("dy", dy, self.dtype, self._output.shape(self, N, T), strided=True)
        elif dstate is None:
            raise _arrays.wrong(TypeError, "dy", "an array, or None if dstate is given", "None")
        dstate = self._members("dstate", dstate, N)
        grads = self._gradients(grads)
        bptt = 0 if bptt is None else _arrays.size("bptt", bptt)
        dx, dh, dc = self._run_back(tape, saved, dy, dstate, grads, need_dx, bptt, whole)
        return dx, self._state(dh, dc), grads

    def _flow_back(self, flows, name, tape, dy, dstate=None, grads=None, need_dx=True, bptt=None):
        shapes = self._state_shapes(self._states, *look(tape, self).x.shape[:2])
        whole = {name: np.empty(shape, self.dtype) for name, shape in zip(self._kind.states, shapes, strict=True)}
        found = self._back(tape, dy, dstate, grads, need_dx, bptt, tuple(whole.values()))
        flows[name or "0"] = norms_of(whole)
        return found

    def gradient_flow(
        self,
        x: ArrayLike,
        dy: ArrayLike | None,
        state: _StateLike | None = None,
        lengths: ArrayLike | None = None,
        *,
        dstate: _StateLike | None = None,
        noise: int | Noise | None = None,
        bptt: int | None = None,
    ) -> GradientFlow:
        """Runs over x and back, and returns how much of the gradient arrives at each step.

        Parameters
        ----------
        x, state, lengths
            As in `__call__`.
        dy, dstate, bptt
            As in `backward`.
        noise : int or Noise, optional
            Seed of what is random in training; None: nothing is, as in inference and `trace`.

        Returns
        -------
        GradientFlow
            The norms of dL/dh_t and, of an LSTM, of dL/dc_t: ``flow.h``, ``flow.c``, each (L*D, N, T).

        Examples
        --------
        >>> import numpy as np, clstm
        >>> rnn = clstm.RNN(3, 4, rng=0)
        >>> flow = rnn.gradient_flow(np.ones((2, 5, 3)), None, dstate=np.ones((1, 2, 4)))
        >>> flow.h[0, 0].round(2)  # dstate alone: less and less of it, the further back
        array([0.14, 0.44, 0.78, 1.31, 2.  ])
        """
        checked = self._checked(x, state, lengths)
        tape = self._forward(checked, state is None, SILENCE if noise is None else noise)[-1]
        flows: dict[str, GradientFlow] = {}
        self._flow_back(flows, "0", tape, dy, dstate, need_dx=False, bptt=bptt)
        return flows["0"]

    def trace(self, x: ArrayLike, state: _StateLike | None = None, lengths: ArrayLike | None = None) -> Trace:
        """Runs over x and returns the gates and states of every step.

        Parameters
        ----------
        x, state, lengths
            As in `__call__`.

        Returns
        -------
        Trace
            Of an LSTM ``trace.i``, ``.f``, ``.g``, ``.o``, ``.c``, ``.h``, of a GRU ``.r``, ``.z``, ``.n``, ``.h``,
            of an RNN ``.h``: each (L*D, N, T, H), also where L*D is 1; ``trace[k]`` is that of one layer and
            direction, (N, T, H).

        Examples
        --------
        >>> import numpy as np, clstm
        >>> lstm = clstm.LSTM(3, 4, rng=0)
        >>> x = np.ones((2, 5, 3), np.float32)
        >>> trace = lstm.trace(x)
        >>> trace.f.shape, trace[0].f.shape
        ((1, 2, 5, 4), (2, 5, 4))
        >>> bool((trace[0].h == lstm(x)[0]).all())
        True
        """
        checked = self._checked(x, state, lengths)
        core_tape = self._run(checked, keep=True)[-1]
        return self._kind_trace(core_tape, *checked[0].shape[:2], checked[2])

    def _kind_trace(self, core_tape, N, T, lengths):
        """The trace of a tape."""
        kind, lead = self._kind, (self._states, N, T)
        shown = dict.fromkeys(name for name in self._blocks() if name and name != "h")
        states = dict(zip(kind.states, self._state_shapes(*lead), strict=True))
        shapes = {**dict.fromkeys(shown, (*lead, self.hidden_size)), **dict(reversed(states.items()))}
        arrays = {name: np.empty(shape, self.dtype) for name, shape in shapes.items()}
        for k in range(self._states):
            gates = [arrays[name][k] if name else None for name in self._blocks()]
            c = arrays["c"][k] if "c" in arrays else None
            self._core.read_tape(core_tape, k, gates, c, arrays["h"][k])
        valid = None if lengths is None else (np.arange(T) < lengths[:, np.newaxis])[..., np.newaxis]
        return Trace(self._derived(arrays, valid), valid)

    def _blocks(self):
        """Names of the blocks on the tape."""
        return self._kind.blocks(self._options)

    def _derived(self, arrays, valid):
        """The arrays of a trace, with those that are on no tape."""
        return arrays

    def masks(self, N: int, T: int, noise: int | Noise) -> dict[str, Any]:
        """What is random in `forward` with this noise, as arrays.

        Parameters
        ----------
        N, T : int
            Of x.
        noise : int or Noise

        Returns
        -------
        dict
            Of what the layer has: "added" (N, T, I), which is added to x; "input", for each layer what its input is
            multiplied by (N, T, I or D*H); and for each layer and direction "recurrent" (N, H), which multiplies h on
            its way to the product, "weight" (G*H, H), which multiplies ``weight_hh``, "zone_h" and "zone_c" (N, T,
            H), 1 where the old state is kept.

        Examples
        --------
        >>> import clstm
        >>> gru = clstm.GRU(3, 4, recurrent_dropout=0.5, rng=0)
        >>> gru.masks(1, 5, noise=7)["recurrent"][0]
        array([[2., 0., 0., 2.]], dtype=float32)
        """
        return masks_of(self, _arrays.size("N", N), _arrays.size("T", T), noise_of(noise))

    def stream(self, batch: int = 1) -> Stream:
        """A stream of this layer, which takes one step at a time.

        Parameters
        ----------
        batch : int, default 1
            The rows of a step.

        Returns
        -------
        Stream
            It reads the parameters now, and again when its `reload` is called; its state is the initial one.

        Raises
        ------
        ValueError
            The layer is bidirectional: a stream cannot see the future; or its output is "state".

        Examples
        --------
        >>> import numpy as np, clstm
        >>> stream = clstm.LSTM(3, 4, rng=0).stream()
        >>> stream.step(np.ones(3, np.float32)).shape
        (4,)
        """
        return Stream(self, batch)


def defaults_of(cls):
    """The options of a class and their defaults."""
    usual = cls.__init__.__kwdefaults__
    return {name: usual[name] for name in cls._kind.options if name in usual}


def checked_options(cls, options):
    """The options of a cell, each checked."""
    kind = cls._kind
    if cls.axes == "step":
        options = {**OF_SEQUENCES, **options}
    for name in options:
        if name not in kind.options:
            raise TypeError(f"{cls.__name__} got an unexpected option {name!r}")
    return {name: check(name, options[name]) for name, check in kind.options.items()}


# Options that mean nothing for one step, and their values
OF_SEQUENCES = {"dropout": 0.0, "go_backwards": False, "merge": "concat", "output": "h"}


def places_of(num_layers, bidirectional):
    """The suffixes of the parameters of each layer and direction; one by one, since a file may claim any number."""
    for k in range(num_layers):
        yield f"_l{k}"
        if bidirectional:
            yield f"_l{k}_reverse"


def width_of(R, bidirectional, options):
    """What a layer gives at each step."""
    return 2 * R if bidirectional and options["merge"] == "concat" else R


def size_of_h(hidden_size, options):
    """The elements of h: those of the projection if there is one."""
    return options.get("proj_size") or hidden_size


def refuse(cls, options):
    """Raises for options that the kind of a layer does not have, by the name of both."""
    for name, value in options.items():
        if name in LSTM_ONLY:
            raise ValueError(f"{name}: expected a layer that has it, an LSTM, got {name}={value!r} for {cls.__name__}")
        raise TypeError(f"{cls.__name__} got an unexpected argument {name!r}")


LSTM_ONLY = (
    "peephole",
    "coupled",
    "forget_gate",
    "proj_size",
    "layer_norm",
    "cell_clip",
    "output_activation",
    "zoneout_c",
)
