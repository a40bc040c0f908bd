"""The protocol that cells, layers and networks share.

A layer has a configuration (`config`), which with the class says all but the numbers; parameters, which are views of
one flat buffer; and three ways to run: `forward` for training, `backward`, and `infer` without a tape. What forward
saves for backward is an explicit `Tape`, so that nothing is hidden in a layer and threads may share one.
"""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

import numpy as np

from . import _arrays, model_file

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator

    from numpy.typing import ArrayLike

    from .network import Network


class Tape:
    """What `forward` of a layer saves for its `backward`, which uses it up.

    A tape holds the input `x` itself and not a copy: do not change it before backward. Of several threads that call
    backward with one tape, one succeeds.

    Parameters
    ----------
    layer : Layer
    saved : object
        Whatever the layer needs.
    """

    __slots__ = ("_layer", "_saved")

    def __init__(self, layer: Layer, saved: Any) -> None:
        self._layer = layer
        self._saved = [saved]  # taking the last element of a list is one operation, for which threads queue

    def look(self, layer: Layer) -> Any:
        """What was saved, to check other arguments by it before it is taken."""
        if self._layer is not layer:
            raise _arrays.wrong(ValueError, "tape", f"one of this {kind_of(layer)}", f"one of {owner_of(self, layer)}")
        try:
            return self._saved[0]
        except IndexError:
            raise used_up() from None

    def take(self) -> Any:
        """What was saved, once."""
        try:
            return self._saved.pop()
        except IndexError:
            raise used_up() from None

    def put_back(self, saved: Any) -> None:
        """Undoes `take`, for a backward that failed before it changed anything."""
        self._saved.append(saved)

    def __repr__(self):
        return f"<{'tape' if self._saved else 'used tape'} of {self._layer!r}>"


def used_up():
    """The exception for the second use of a tape."""
    return _arrays.wrong(ValueError, "tape", "one that backward has not used", "one that is used up")


def owner_of(tape, layer):
    other = kind_of(tape._layer)
    return f"another {other}" if other == kind_of(layer) else f"a {other}"


def kind_of(layer):
    return type(layer).__name__


def look(tape, layer):
    """What a tape of this layer holds; refuses other tapes, used ones, and whatever is no tape."""
    if not isinstance(tape, Tape):
        raise _arrays.wrong(TypeError, "tape", "the tape that forward returned", _arrays.kind(tape))
    return tape.look(layer)


class CheckedGradients(dict):
    """Arrays that gradients are added to, by name, which have been checked, so that nobody does it again.

    A network that is given them step after step finds those of its layers in `parts`, and the network they are for.
    """

    __slots__ = ("parts",)
    parts: tuple[Network, list[CheckedGradients]]


class Layer:
    """What all layers share; the base class for layers of your own.

    A layer of your own sets its sizes as attributes, calls ``super().__init__(dtype)``, which makes the parameters
    that `parameter_shapes` names, and writes `config`, `forward` and `backward`. It then works inside a `Network`,
    with a `Trainer`, in copies, pickles and model files. (`load` finds its class by name, so that the module that
    defines it has to be imported before; of several classes with one name, it takes the one defined last.)

    Parameters
    ----------
    dtype : str or dtype, optional
        "float32" or "float64". None, for layers without parameters, takes whatever the input has.

    Attributes
    ----------
    dtype : numpy.dtype or None
    input_size, output_size : int or None
        Features it takes and gives. None for input_size: any number; for output_size: as many as it takes.
    axes : str
        "sequence" takes x (N, T, F) only, "step" takes (N, F) only, "any" takes both.
    removes_time : bool
        Whether x (N, T, F) becomes y (N, F).
    takes_indices : bool
        Whether x holds integers, without an axis of features.
    mixes_steps : bool
        Whether a step of y depends on several steps of x without a state that carries them, so that sequences cannot be
        cut between two calls.
    takes_noise : bool
        Whether `forward` has an argument `noise` that it needs; a network hands it on.
    bidirectional : bool or None
        Whether the second half of the features it gives was computed backward in time; None: as what it takes.
    go_backwards : bool
        Whether all of them were.

    Examples
    --------
    A layer that multiplies each feature by a number it learns:

    >>> import numpy as np, clstm
    >>> class Scale(clstm.Layer):
    ...     def __init__(self, size, *, dtype="float32"):
    ...         self.input_size = self.output_size = size
    ...         super().__init__(dtype)
    ...         self.parameters()["weight"][:] = 1
    ...     def config(self) -> dict[str, Any]:
    ...         return {"size": self.input_size, "dtype": self.dtype.name}
    ...     @staticmethod
    ...     def parameter_shapes(size, *, dtype="float32"):
    ...         yield "weight", (size,)
    ...     def forward(self, x, state=None, lengths=None):
    ...         return x * self.parameters()["weight"], None, clstm.Tape(self, x)
    ...     def backward(self, tape, dy, dstate=None, grads=None, need_dx=True):
    ...         x = tape.take()
    ...         grads = self.zeros_like_parameters()[1] if grads is None else grads
    ...         grads["weight"] += (dy * x).sum(axis=(0, 1))
    ...         return dy * self.parameters()["weight"], None, grads
    >>> net = clstm.Network([Scale(3), clstm.LSTM(3, 4, rng=0)])
    >>> net
    Network([Scale(size=3), LSTM(3, 4)])
    >>> net(np.ones((2, 5, 3))).shape
    (2, 5, 4)
    """

    dtype: Any = None
    input_size: int | None = None
    output_size: int | None = None
    axes: str = "any"
    removes_time: bool = False
    takes_indices: bool = False
    mixes_steps: bool = False
    takes_noise: bool = False
    bidirectional: bool | None = None
    go_backwards: bool = False

    _positional: tuple[str, ...] = ()  # the names of `config` that repr writes without their names
    _owner: weakref.ref[Network] | None = None  # weak reference to the network it is in

    def __init_subclass__(cls, **options):
        super().__init_subclass__(**options)
        if cls.__name__.startswith("_"):
            return
        model_file.register(cls)

    def __init__(self, dtype: Any = None) -> None:
        self.dtype = None if dtype is None else _arrays.dtype(dtype)
        self._shapes = dict(self._named_shapes())
        self._places = _arrays.places(self._shapes)
        count = sum(map(_arrays.count_of, self._shapes.values()))
        self._place(_arrays.aligned_zeros(count, self.dtype or np.dtype(np.float32)))

    # What a layer of one's own writes

    def config(self) -> dict[str, Any]:
        """The arguments that, given to the class, make a layer of the same configuration.

        Returns
        -------
        dict
            Of what JSON knows: numbers, strings, booleans, None, lists and dicts.
        """
        return {}

    @staticmethod
    def parameter_shapes(**config: Any) -> Iterator[tuple[str, tuple[int, ...]]]:
        """The names and shapes of the parameters of a layer with this configuration, without making one.

        Yields
        ------
        name : str
        shape : tuple of int
        """
        return iter(())

    def forward(
        self, x: ArrayLike, state: Any = None, lengths: ArrayLike | None = None
    ) -> tuple[np.ndarray, Any, Tape]:
        """Runs the layer and saves what backward needs.

        Parameters
        ----------
        x : array_like
        state : optional
            What the layer carries over time, as an earlier call returned it; None is the start. Layers without
            memory take and return None.
        lengths : array_like of int, (N,), optional
            Valid steps of each row of x, 0 to T; None: all T. Later steps are never read; they are zero in y.

        Returns
        -------
        y : ndarray
        state
        tape : Tape
        """
        raise NotImplementedError(f"{kind_of(self)} has no forward")

    def backward(
        self,
        tape: Tape,
        dy: ArrayLike | None,
        dstate: Any = None,
        grads: dict[str, np.ndarray] | None = None,
        need_dx: bool = True,
    ) -> tuple[np.ndarray | None, Any, dict[str, np.ndarray]]:
        """Exact gradients of all that `forward` took, from those of all that it returned.

        Parameters
        ----------
        tape : Tape
            From `forward` of this layer. It is used up.
        dy : array_like
            Gradient of the loss with respect to y. Not read beyond the lengths.
        dstate : optional
            Gradient with respect to the returned state, in its form. None is zero.
        grads : dict of ndarray, optional
            The keys of `parameters`; gradients are added to these arrays. None: to fresh zeros.
        need_dx : bool, default True
            False: dx is not computed.

        Returns
        -------
        dx : ndarray or None
            Gradient with respect to x.
        dstate
            Gradient with respect to the state that forward took.
        grads : dict of ndarray
        """
        raise NotImplementedError(f"{kind_of(self)} has no backward")

    def _flow_back(self, flows, name, *arguments, **options):
        """`backward`, and the gradient flow of all that is recurrent in this layer into the dict `flows`; `name` is the
        place of the layer."""
        return self.backward(*arguments, **options)

    def infer(self, x: ArrayLike, state: Any = None, lengths: ArrayLike | None = None) -> tuple[np.ndarray, Any]:
        """`forward` without a tape: the same numbers, less memory. Returns y and the state."""
        y, state, _ = self.forward(x, state, lengths)
        return y, state

    def __call__(self, x: ArrayLike, state: Any = None, lengths: ArrayLike | None = None) -> Any:
        """Runs the layer and returns y."""
        return self.infer(x, state, lengths)[0]

    def lengths_after(self, lengths: Any) -> Any:
        """Valid steps of each row of y, by those of x: for layers whose y has other steps than x.

        Parameters
        ----------
        lengths : array_like of int, or None
            Any shape; None: all steps.

        Returns
        -------
        ndarray of int, or None
            Of the same shape. A layer that keeps the steps returns `lengths` itself.
        """
        return lengths

    # The place in a network

    def _share_after(self, share):
        """Of what the layer gives, the share that was computed backward in time: 0, 1/2 or 1, or MIXED, if that of
        what it takes is `share`."""
        if self.removes_time:
            return 0
        if self.bidirectional is None:
            return share
        return 1 if self.go_backwards else 0.5 if self.bidirectional else 0

    def _check_share(self, share):
        """Raises if the layer cannot take what is so composed."""

    # Parameters

    def parameters(self) -> dict[str, np.ndarray]:
        """The parameters by name.

        Returns
        -------
        dict of ndarray
            Live views: what is written into them is used by the next call. When the layer joins a network, its
            parameters move into the network's buffer, and views taken before are views no more.
        """
        return dict(self._views)

    @property
    def flat_parameters(self) -> np.ndarray:
        """All parameters one after another in one array, of which `parameters` are views."""
        return self._flat

    @flat_parameters.setter
    def flat_parameters(self, values: ArrayLike) -> None:
        # Sets values, not the buffer; `net.flat_parameters *= 2`, which is done by now, comes here too
        if values is not self._flat:
            self._flat[...] = _arrays.of_shape("flat_parameters", values, self._flat.dtype, self._flat.shape)

    def zeros_like_parameters(self) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Arrays for gradients, or for whatever else goes with each parameter.

        Returns
        -------
        flat : ndarray
            Zeros, laid out as `flat_parameters`.
        by_name : dict of ndarray
            Views of it, with the keys and shapes of `parameters`.
        """
        flat = _arrays.aligned_zeros(self._flat.size, self._flat.dtype)
        return flat, _arrays.views(flat, self._places)

    def load_parameters(self, parameters: dict[str, ArrayLike]) -> None:
        """Sets all parameters, or none if anything is wrong.

        Parameters
        ----------
        parameters : dict of array_like
            The keys and shapes of `parameters`; real and finite values.

        Raises
        ------
        TypeError, ValueError
            Naming the parameter, what was expected and what came.
        """
        new = _arrays.new_parameters(parameters, self._shapes, self._flat.dtype)
        for name, view in self._views.items():
            view[...] = new[name]

    def _named_shapes(self):
        """The names and shapes of its own parameters."""
        return self.parameter_shapes(**self.config())

    def _gradients(self, grads):
        """The arrays to add to: those that were passed, checked, or fresh ones."""
        if grads is None:
            return self.zeros_like_parameters()[1]
        if type(grads) is CheckedGradients:
            return grads
        return _arrays.gradients(grads, self._shapes, self._flat.dtype)

    def _place(self, flat):
        """Makes `flat`, which holds the values already, the home of the parameters."""
        self._flat, self._views = flat, _arrays.views(flat, self._places)

    def _move(self, flat):
        """Takes the parameters with their values to another buffer."""
        flat[...] = self._flat
        self._place(flat)

    # Copies, texts, files

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Layer:
        """A layer with this configuration; a class that draws starting weights leaves them zero."""
        return cls(**config)

    def __repr__(self):
        defaults = type(self).__init__.__kwdefaults__ or {}
        config = self.config()
        given = [repr(config.pop(name)) for name in self._positional]
        given += [f"{name}={value!r}" for name, value in config.items() if (name, value) not in defaults.items()]
        return f"{kind_of(self)}({', '.join(given)})"

    def __copy__(self):
        from copy import deepcopy  # not everybody copies, and nothing else in clstm or NumPy needs it

        return deepcopy(self)

    def __getstate__(self):
        """Everything but the place of the parameters: a copy of a layer in a network is free."""
        state = {name: value for name, value in vars(self).items() if name not in ("_views", "_owner")}
        state["_flat"] = self._flat.copy()
        return state

    def __setstate__(self, state):
        values = state.pop("_flat")
        vars(self).update(state)
        self._flat = values
        self._move(_arrays.aligned_zeros(values.size, values.dtype))

    def save(self, path: str | os.PathLike[str], *, metadata: dict[str, str] | None = None) -> None:
        """Writes configuration and parameters to a .safetensors file, from which `clstm.load` makes the layer again.

        The file is complete or not there: it is written beside `path`, synced and renamed. If anything fails, an
        older file at `path` stays as it was.

        Parameters
        ----------
        path : str or path-like
        metadata : dict of str, optional
            What else the file should say about the model, as `safetensors.read` returns it. `load` does not look at it.

        Raises
        ------
        ValueError
            A parameter is not finite; nothing is written.
        OSError
            The file cannot be written.
        """
        model_file.save(self, path, metadata)

    def _network(self):
        """The network it is in, or None."""
        return None if self._owner is None else self._owner()

    def _join(self, network):
        self._owner = weakref.ref(network)


MIXED = None  # every feature comes from both directions, see `Layer._share_after`


class _RandomStart:
    """Passed as rng: parameters stay zero, because others are about to come."""


LATER = _RandomStart()


class _DrawnLayer(Layer):
    """A layer whose parameters start as random numbers."""

    def __init__(self, dtype, rng):
        super().__init__(dtype)
        if rng is not LATER:
            self.reset_parameters(rng)

    def reset_parameters(self, rng: int | np.random.Generator | None = None) -> None:
        """Draws new starting values for all parameters.

        Parameters
        ----------
        rng : int or numpy.random.Generator, optional
            Seed or generator; None: fresh entropy. Both precisions draw the same numbers.
        """
        self._draw(_arrays.generator(rng), self._views)

    def _draw(self, rng, parameters):
        raise NotImplementedError(f"{kind_of(self)} has no starting values")

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Layer:
        """A layer with this configuration, its parameters zero."""
        return cls(**config, rng=LATER)
