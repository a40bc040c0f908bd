"""Layers in a row, with all their parameters in one buffer."""

from __future__ import annotations

from _thread import RLock
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np

from . import _arrays, budget, losses, tying
from .embedding import Embedding
from .gradient_flow import GradientFlow, flow_of_loss
from .layer import CheckedGradients, Layer, Tape, look
from .model_file import build, describe, shapes_of
from .noise import Noise, noise_of
from .recurrent import RecurrentLayer
from .running import in_layer, like, reads_vectors, run_layer, run_layer_back, steps_after
from .sequences import ROWS, Flat, of_network, refuse_memory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from numpy.typing import ArrayLike

    from .losses import Loss

_joining = RLock()  # a layer is found free and taken in one go


class Network(Layer):
    """Layers in a row: each takes what the one before it gives.

    The network is itself a layer. Its parameters are those of its layers, moved into one flat buffer, and belong to
    it from then on: a layer is in one network only. (A copy of a layer, by ``copy.deepcopy``, is free.)

    Parameters
    ----------
    layers : sequence of Layer
        At least one. Sizes have to follow each other; dtypes have to be the same.
    tied : dict of str, optional
        Parameters that are one: ``{"2.weight": "0.weight"}`` has layer 2 use the weight of layer 0, with whose values
        both start, and which alone is in `parameters`. Its gradient is the sum of those of both uses. The usual case is
        an output layer that shares the vectors of an `Embedding` (Press and Wolf 2017; Inan, Khosravi and Socher 2017).
        Shapes have to be the same, and one of the two has to be the only parameter of its layer. None: each layer has
        its own.

    Attributes
    ----------
    layers : tuple of Layer
    tied : dict of str
    dtype : numpy.dtype
    flat_parameters : ndarray
        All parameters one after another.
    input_size, output_size : int or None
        Features of x (None: any number, or x holds indices) and of y.

    Raises
    ------
    TypeError, ValueError
        A layer is none, is in another network or here twice, or does not fit the one before it. All layers are as
        they were then.

    Examples
    --------
    >>> import numpy as np, clstm
    >>> net = clstm.Network([clstm.LSTM(3, 8, rng=0), clstm.Pool("last"), clstm.Dense(8, 2, rng=0)])
    >>> x = np.ones((4, 10, 3), np.float32)
    >>> net(x).shape
    (4, 2)
    >>> y, state, tape = net.forward(x, lengths=[10, 7, 1, 10])
    >>> dx, dstate, grads = net.backward(tape, np.ones_like(y))
    >>> list(grads)
    ['0.weight_ih_l0', '0.weight_hh_l0', '0.bias_l0', '2.weight', '2.bias']

    A language model whose symbols have the same vectors where they come in and where they go out:

    >>> layers = [clstm.Embedding(50, 8, rng=0), clstm.LSTM(8, 8, rng=0), clstm.Dense(8, 50, rng=0)]
    >>> list(clstm.Network(layers, tied={"2.weight": "0.weight"}).parameters())
    ['1.weight_ih_l0', '1.weight_hh_l0', '1.bias_l0', '0.weight', '2.bias']
    """

    _ties: tuple[tying.Tie, ...] = ()

    def __init__(self, layers: Iterable[Layer], *, tied: dict[str, str] | None = None) -> None:
        if isinstance(layers, (Layer, str, dict)) or not hasattr(layers, "__iter__"):
            raise _arrays.wrong(TypeError, "layers", "a list of layers", _arrays.kind(layers))
        self.layers = tuple(layers)
        if not self.layers:
            raise _arrays.wrong(ValueError, "layers", "at least one layer", "an empty list")
        with _joining:
            for k, layer in enumerate(self.layers):
                self._check_free(k, layer)
            self._follow()
            self._check_share(0)
            dtype = self._common_dtype()
            self._ties = tying.find(tied, len(self.layers), lambda k: self.layers[k]._shapes)
            super().__init__(dtype)
            self._adopt()

    def __len__(self) -> int:
        return len(self.layers)

    def __getitem__(self, index):
        return self.layers[index]

    def __repr__(self):
        tied = f", tied={self.tied!r}" if self._ties else ""
        return f"{type(self).__name__}([{', '.join(map(repr, self.layers))}]{tied})"

    @property
    def tied(self):
        """Names of parameters that are others, and of those others."""
        return dict(tie.names for tie in self._ties)

    def config(self) -> dict[str, Any]:
        """The descriptions of the layers, from which `clstm.load` makes the network again."""
        layers = [describe(layer) for layer in self.layers]
        return {"layers": layers, "tied": self.tied} if self._ties else {"layers": layers}

    @staticmethod
    def parameter_shapes(layers, *, tied=None):
        """The names and shapes of the parameters of all layers."""
        if not isinstance(layers, list):
            raise ValueError("the layers of a Network are no list")
        # No more than a layer can have that is the inner of a tie, or the outer of a sensible one
        ties = tying.find(tied, len(layers), lambda k: dict(islice(shapes_of(layers[k]), 1000)))
        return names_and_shapes(ties, map(shapes_of, layers))

    def _named_shapes(self):
        return names_and_shapes(self._ties, (layer._shapes.items() for layer in self.layers))

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Network:
        """A network with this configuration, its parameters without meaning yet."""
        return cls([build(description) for description in config["layers"]], tied=config.get("tied"))

    # Construction

    def _check_free(self, k, layer):
        if not isinstance(layer, Layer):
            raise _arrays.wrong(TypeError, f"layers[{k}]", "a Layer", _arrays.kind(layer))
        if not hasattr(layer, "_flat"):
            raise _arrays.wrong(TypeError, f"layers[{k}]", "a layer that has called Layer.__init__", "one that has not")
        for j in range(k):
            if self.layers[j] is layer:
                raise _arrays.wrong(
                    ValueError, f"layers[{k}]", "each layer once (copy.deepcopy makes another)", f"layers[{j}] again"
                )
        if layer._network() is not None:
            free = "a layer that is in no network (copy.deepcopy makes one)"
            raise _arrays.wrong(ValueError, f"layers[{k}]", free, f"{layer!r}, which is in one")

    def _common_dtype(self):
        """The dtype of all layers that have one."""
        dtype = first = None
        for k, layer in enumerate(self.layers):
            if dtype is None and layer.dtype is not None:
                dtype, first = layer.dtype, k
            elif layer.dtype is not None and layer.dtype != dtype:
                raise _arrays.wrong(ValueError, f"layers[{k}]", f"dtype {dtype} as layers[{first}] has", layer.dtype)
        return dtype or "float32"

    def _follow(self):
        """Walks along the row, checks that sizes and axes follow each other, and finds those of the network."""
        self.takes_indices = self.layers[0].takes_indices
        self.input_size, self.axes, self.removes_time = None, "any", False
        width = None  # how many features arrive; None: not known yet
        for k, layer in enumerate(self.layers):
            if layer.takes_indices and k > 0:
                raise self._does_not_fit(k, "takes indices and has to be the first layer")
            self._follow_axes(k, layer)
            if layer.input_size is not None:
                if width is None and not self.takes_indices:
                    self.input_size = layer.input_size
                elif width not in (None, layer.input_size):
                    raise self._does_not_fit(k, f"takes {layer.input_size} features, but {width} arrive")
                width = layer.input_size
            if layer.output_size is not None:
                width = layer.output_size
        self.output_size = width
        # Then the recurrent layer takes the vectors as they stand in the embedding, see `Embedding._refer`
        self._refers = type(self.layers[0]) is Embedding and len(self.layers) > 1 and reads_vectors(self.layers[1])

    def _follow_axes(self, k, layer):
        if layer.axes == "sequence" and (self.removes_time or self.axes == "step"):
            raise self._does_not_fit(k, "takes sequences, but no time axis arrives")
        if layer.axes == "step" and self.axes == "sequence" and not self.removes_time:
            raise self._does_not_fit(k, "takes single steps, but sequences arrive")
        if layer.axes != "any" and not self.removes_time:
            self.axes = layer.axes
        self.removes_time = self.removes_time or layer.removes_time

    def _does_not_fit(self, k, why):
        before = f" after layers[{k - 1}] {self.layers[k - 1]!r}" if k else ""
        return ValueError(f"layers[{k}]: {self.layers[k]!r} {why}{before}")

    def _adopt(self):
        """Moves the parameters of the layers into the buffer of the network."""
        self._place_layers(self._flat)
        for layer in self.layers:
            layer._join(self)
        # The parameters of each layer: their names there and here
        self._names_of = [
            [(name, tying.named(self._ties, k, name)) for name in layer._shapes] for k, layer in enumerate(self.layers)
        ]

    def _place_layers(self, flat):
        start, inner = 0, {tie.inner for tie in self._ties}
        for k, layer in enumerate(self.layers):
            if k in inner:
                continue
            stop = start + layer._flat.size
            layer._move(flat[start:stop])
            start = stop
        tying.place(self._ties, self.layers)

    def _move(self, flat):
        self._place_layers(flat)
        self._place(flat)

    def __getstate__(self):
        state = super().__getstate__()
        del state["_flat"]  # the layers bring their own values
        return state

    def __setstate__(self, state):
        vars(self).update(state)
        count = sum(map(_arrays.count_of, self._shapes.values()))
        self._place(_arrays.aligned_zeros(count, self.dtype))
        self._adopt()

    @property
    def takes_noise(self):
        """Whether anything in a layer is random in training."""
        return any(layer.takes_noise for layer in self.layers)

    @property
    def takes_resets(self):
        """Whether flags that reset a state mean anything to a layer."""
        return any(isinstance(layer, RecurrentLayer) or getattr(layer, "takes_resets", False) for layer in self.layers)

    @property
    def mixes_steps(self):
        """Whether a layer does."""
        return any(layer.mixes_steps for layer in self.layers)

    def lengths_after(self, lengths: ArrayLike | None) -> np.ndarray | None:
        """Valid steps of each row of y, by those of x; None where y has no time axis."""
        found = None if lengths is None else _arrays.integers("lengths", lengths)
        for layer in self.layers:
            found = None if layer.removes_time else layer.lengths_after(found)
        return found

    @property
    def bidirectional(self):
        """Whether half of what the last layer gives was computed backward in time."""
        return self._reverse_share(None) == 0.5

    @property
    def go_backwards(self):
        """Whether all of it was."""
        return self._reverse_share(None) == 1

    def _reverse_share(self, target):
        """Of what a layer takes, the share that was computed backward in time, see `Layer._share_after`; for None, of
        what the network gives."""
        outer = self._network()
        share = 0 if outer is None else outer._reverse_share(self)
        for layer in self.layers:
            if layer is target:
                break
            share = layer._share_after(share)
        return share

    def _share_after(self, share):
        for layer in self.layers:
            share = layer._share_after(share)
        return share

    def _check_share(self, share):
        for k, layer in enumerate(self.layers):
            with in_layer(k, layer):
                layer._check_share(share)
            share = layer._share_after(share)

    # Running

    def _checked(self, x, state, lengths, mask=None, resets=None):
        """x, the list of states, and what of x is valid: lengths, which are None if x has no time axis, or `Flat`."""
        x, steps = of_network(self, x, lengths, mask, resets)
        if state is None:
            state = [None] * len(self.layers)
        return x, self._list("state", state), steps

    def _list(self, name, value):
        """One entry for each layer."""
        expected = f"a list of {len(self.layers)}, one for each layer"
        if not isinstance(value, (list, tuple)):
            raise _arrays.wrong(TypeError, name, expected, _arrays.kind(value))
        if len(value) != len(self.layers):
            raise _arrays.wrong(ValueError, name, expected, f"{len(value)} entries")
        return value

    def __call__(
        self,
        x: ArrayLike | list[np.ndarray],
        state: list[Any] | None = None,
        lengths: ArrayLike | None = None,
        *,
        mask: ArrayLike | None = None,
        resets: ArrayLike | None = None,
    ) -> Any:
        """Inference.

        Parameters
        ----------
        x : array_like, or list of ndarray
            What the first layer takes: (N, T, F), (N, F) or integers (N, T); or sequences of unequal length, (T_n, F)
            or integers (T_n,) each.
        state : list, optional
            The state of each layer, as `infer` and `forward` return it; None is the start.
        lengths : array_like of int, (N,), optional
            Valid steps of each row; they reach all layers for which there is still a time axis.
        mask : array_like of bool, (N, T), optional
            The same for any shape, see `LSTM`.
        resets : array_like of bool, (N, T), or list of (T_n,), optional
            Where recurrent layers return to their initial state, see `LSTM`.

        Returns
        -------
        y : ndarray, or list of ndarray
            What the last layer gives: a list for a list, if there is still a time axis.
        """
        return self.infer(x, state, lengths, mask=mask, resets=resets)[0]

    def infer(
        self,
        x: ArrayLike | list[np.ndarray],
        state: list[Any] | None = None,
        lengths: ArrayLike | None = None,
        *,
        mask: ArrayLike | None = None,
        resets: ArrayLike | None = None,
    ) -> tuple[Any, list[Any]]:
        """The same as calling the network, but returns y and the list of states."""
        x, state, steps = self._checked(x, state, lengths, mask, resets)
        y, states, _, steps = self._run(x, state, steps, False, [{}] * len(self.layers))
        return form_of(steps).give(y), states

    def forward(
        self,
        x: ArrayLike | list[np.ndarray],
        state: list[Any] | None = None,
        lengths: ArrayLike | None = None,
        *,
        mask: ArrayLike | None = None,
        resets: ArrayLike | None = None,
        noise: int | Noise | None = None,
        memory: int | None = None,
    ) -> tuple[Any, list[Any], Tape]:
        """The same numbers as calling the network, but for what is random in training, and a tape for `backward`.

        Parameters
        ----------
        x, state, lengths, mask, resets
            As in `__call__`. The tape refers to x: do not change it before backward.
        noise : int or Noise, optional
            Seed of all that is random in layers that have dropout, zoneout or noise; None: fresh entropy.
        memory : int, optional
            Bytes for the tapes of all recurrent layers, each of which gets a share: see `LSTM.forward`.

        Returns
        -------
        y : ndarray, or list of ndarray
        state : list
            For each layer; None for layers without memory.
        tape : Tape
        """
        x, state, steps = self._checked(x, state, lengths, mask, resets)
        refuse_memory(memory, steps)
        shares = budget.shares(self, x, None if isinstance(steps, Flat) else steps, state, memory)
        y, states, tapes, after = self._run(x, state, steps, True, self._options(noise, shares))
        forms = form_of(after), form_of(steps)  # of y, of x
        return forms[0].give(y), states, Tape(self, (tapes, y.shape, list(states), *forms))

    def _run(self, x, state, steps, keep, options):
        """y, states and tapes of all layers, and what of y is valid; `options` are those of forward of each."""
        states, tapes = [], []
        for k in range(len(self.layers)):
            x, after, tape = self._run_one(k, x, state[k], steps, keep, options[k])
            states.append(after)
            tapes.append(tape)
            steps = steps_after(self.layers[k], steps)
        return x, states, tapes, steps

    def _run_one(self, k, x, state, steps, keep, options):
        """y, state and tape of layer k."""
        layer = self.layers[k]
        with in_layer(k, layer):
            if k == 0 and self._refers:
                return layer._refer(x, state, None if isinstance(steps, Flat) else steps)
            return run_layer(layer, x, state, steps, keep, options)

    def _flat_run(self, x, state, sequences, keep, noise=None):
        """y, states and tape of sequences side by side in x."""
        state = [None] * len(self.layers) if state is None else self._list("state", state)
        count = len(self.layers)
        options = self._options(noise, [None] * count) if keep else [{}] * count
        y, states, tapes, _ = self._run(x, state, sequences, keep, options)
        return y, states, Tape(self, (tapes, y.shape, list(states), ROWS, ROWS))

    def _options(self, noise, shares):
        """What forward of each layer is given besides the usual arguments; it is checked if anything was asked for."""
        noise = noise_of(noise) if self.takes_noise or noise is not None else None
        options = [{"noise": noise.for_layer(k)} if layer.takes_noise else {} for k, layer in enumerate(self.layers)]
        for own, share in zip(options, shares, strict=True):
            if share is not None:
                own["memory"] = share
        return options

    def _options_back(self, k, need_dx, bptt):
        """What backward of a layer is given that is not as usual."""
        options = {} if need_dx else {"need_dx": False}
        if bptt is not None and isinstance(self.layers[k], RecurrentLayer | Network):
            options["bptt"] = bptt
        return options

    def backward(
        self,
        tape: Tape,
        dy: ArrayLike | list[np.ndarray] | None,
        dstate: list[Any] | None = None,
        grads: dict[str, np.ndarray] | None = None,
        need_dx: bool = True,
        *,
        bptt: int | None = None,
    ) -> tuple[Any, list[Any], dict[str, np.ndarray]]:
        """Exact gradients of everything, from the last layer to the first.

        Parameters
        ----------
        tape : Tape
            From `forward` of this network, whose parameters have not been changed since. It is used up.
        dy : array_like, list of ndarray, or None
            Gradient of the loss with respect to y. None is zero, if dstate is given.
        dstate : list, optional
            For each layer the gradient with respect to its final state; None, there or for all, is zero.
        grads : dict of ndarray, optional
            The keys of `parameters`; gradients are added to these arrays. None: to fresh zeros, which are views of one
            flat buffer laid out as `flat_parameters`.
        need_dx : bool, default True
            False: dx is None and is not computed.
        bptt : int, optional
            Truncates back-propagation in all recurrent layers, see `LSTM.backward`; None: all the way.

        Returns
        -------
        dx : ndarray, list of ndarray, or None
            Gradient with respect to x; None if x holds indices.
        dstate : list
            For each layer the gradient with respect to its initial state.
        grads : dict of ndarray
        """
        return self._back(tape, dy, dstate, grads, need_dx, bptt, lambda k: self.layers[k].backward)

    def _flow_back(self, flows, name, tape, dy, dstate=None, grads=None, need_dx=True, bptt=None):
        place = f"{name}.{{}}" if name else "{}"
        return self._back(
            tape, dy, dstate, grads, need_dx, bptt, lambda k: partial(self.layers[k]._flow_back, flows, place.format(k))
        )

    def _back(self, tape, dy, dstate, grads, need_dx, bptt, backward):
        """`backward`; that of layer k is `backward(k)`."""
        _, shape, states, form, form_of_x = look(tape, self)
        if dy is not None:
            dy = form.gradient("dy", dy, self.dtype, shape)
        elif dstate is None:
            raise _arrays.wrong(TypeError, "dy", "an array, or None if dstate is given", "None")
        else:
            dy = np.zeros(shape, self.dtype)
        if dstate is None:
            dstate = [None] * len(self.layers)
        else:
            dstate = self._list("dstate", dstate)
            dstate = [like(f"dstate[{k}]", entry, states[k], self.dtype) for k, entry in enumerate(dstate)]
        grads = self._gradients(grads)
        bptt = None if bptt is None else _arrays.size("bptt", bptt)
        dx, dstate, grads = self._run_back(tape.take()[0], dy, dstate, grads, need_dx, bptt, backward)
        return form_of_x.give(dx), dstate, grads

    def _run_back(self, tapes, dy, dstate, grads, need_dx, bptt, backward):
        parts = self._parts_of(grads)
        for k in reversed(range(len(self.layers))):
            layer, own = self.layers[k], parts[k]
            options = self._options_back(k, need_dx or k > 0, bptt)
            with in_layer(k, layer):
                dy, dstate[k], _ = run_layer_back(layer, backward(k), tapes[k], dy, dstate[k], own, options)
        return dy, dstate, grads

    def _parts_of(self, grads):
        """The gradients of each layer, by their names there."""
        owner, parts = getattr(grads, "parts", (None, None))
        if owner is not self:
            parts = [CheckedGradients((name, grads[full]) for name, full in names) for names in self._names_of]
            if type(grads) is CheckedGradients:
                grads.parts = self, parts
        return parts

    def gradient_flow(
        self,
        x: ArrayLike,
        y: ArrayLike,
        loss: str | Loss | Callable[..., Any] = "mse",
        lengths: ArrayLike | None = None,
        *,
        noise: int | Noise | None = None,
        bptt: int | None = None,
    ) -> dict[str, GradientFlow]:
        """How much of the gradient of a loss arrives at each step of each recurrent layer.

        Parameters
        ----------
        x, lengths
            As in `__call__`.
        y : array_like
            Targets, as for `Trainer.fit`.
        loss : str, Loss or callable, default "mse"
            As for `Trainer`.
        noise : int or Noise, optional
            Seed of what is random in training; None: nothing is, as in inference.
        bptt : int, optional
            Truncates back-propagation, as in `backward`.

        Returns
        -------
        dict of GradientFlow
            By the place of the layer, "0", "1" .., or "1.0" for a network in the network.

        Raises
        ------
        TypeError, ValueError
            An argument does not fit, or no layer is recurrent.

        Examples
        --------
        >>> import numpy as np, clstm
        >>> net = clstm.Network([clstm.GRU(3, 8, rng=0), clstm.Pool("last"), clstm.Dense(8, 1, rng=0)])
        >>> net.gradient_flow(np.ones((4, 10, 3)), np.zeros((4, 1)))
        {'0': GradientFlow(h, each (1, 4, 10) float64)}
        """
        return flow_of_loss(self, losses.make(loss), x, y, lengths, noise, bptt)


def names_and_shapes(ties, shapes_of_layers):
    """Those of the parameters of a network, by the names and shapes of the parameters of each of its layers."""
    inner = {tie.inner for tie in ties}
    for k, shapes in enumerate(shapes_of_layers):
        for name, shape in () if k in inner else shapes:
            yield tying.named(ties, k, name), shape


def form_of(steps):
    """What makes the caller's array of that of a layer, and the way back."""
    return steps if isinstance(steps, Flat) else ROWS
