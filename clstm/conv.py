"""Conv1d: products with a window of steps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from . import _arrays, _core
from .dense import check_activation, gradient_of_argument
from .layer import Tape, _DrawnLayer, look
from .sequences import prefix

if TYPE_CHECKING:
    from typing import Literal

    from numpy.typing import ArrayLike, DTypeLike

PADDINGS = ("same", "causal", "valid")
BLOCK = 1 << 20  # elements of the gradient of windows that are kept at a time


class Conv1d(_DrawnLayer):
    """A convolution over time: y at a step is an affine map of the features of a window of steps, f(w . window + b).

    Window s belongs to step ``s stride`` of x and has ``width`` steps, ``dilation`` apart, so that it reaches over
    ``(width - 1) dilation + 1`` steps. What lies outside of a sequence, before step 0 or beyond its length, counts as
    zeros.

    Parameters
    ----------
    input_size, output_size : int
        Features it takes and gives.
    width : int
        Steps of a window.
    stride : int, default 1
        Steps from one window to the next.
    dilation : int, default 1
        Steps from one step in a window to the next.
    padding : str, default "same"
        Where windows lie. "same": around their step, with the greater part behind it if the reach is even. "causal":
        they end there, so that y never depends on later steps. Both give ceil(T / stride) steps. "valid": they begin
        there and lie within the sequence, which gives floor((T - reach) / stride) + 1 steps.
    bias : bool, default True
        Whether there is a bias b.
    activation : str, optional
        f, as for `Dense`. None: the identity.
    dtype : str or dtype, default "float32"
        "float32" or "float64".
    rng : int or numpy.random.Generator, optional
        Seed or generator for the starting weights; None: fresh entropy.

    Notes
    -----
    Parameters: ``weight`` (output_size, width, input_size), which starts Glorot uniform over width input_size and width
    output_size, and ``bias`` (output_size,), which starts at zero, both as in Keras. The weight of
    ``torch.nn.Conv1d`` is this one with its last two axes exchanged; its ``padding`` is (reach - 1) // 2 for an odd
    reach here.

    Where y has other steps than x, it has other lengths: `lengths_after` says which, and a `Network` hands these on to
    the layers that follow. Of a `mask` with holes, a network takes the valid steps side by side, as recurrent layers
    see them. `resets` and `bptt` would cut windows, and are refused.

    Results are the same bits for every number of threads, and a row of y does not depend on the rest of the batch.

    Examples
    --------
    Frames of a recording, one for two after the layer:

    >>> import numpy as np, clstm
    >>> conv = clstm.Conv1d(13, 32, 5, stride=2, activation="relu", rng=0)
    >>> conv(np.ones((4, 101, 13)), lengths=[101, 100, 3, 0]).shape
    (4, 51, 32)
    >>> conv.lengths_after([101, 100, 3, 0])
    array([51, 50,  2,  0])
    """

    axes = "sequence"
    bidirectional = False
    _positional = ("input_size", "output_size", "width")

    def __init__(
        self,
        input_size: int,
        output_size: int,
        width: int,
        *,
        stride: int = 1,
        dilation: int = 1,
        padding: Literal["same", "causal", "valid"] = "same",
        bias: bool = True,
        activation: str | None = None,
        dtype: DTypeLike = "float32",
        rng: int | np.random.Generator | None = None,
    ) -> None:
        self.input_size = _arrays.size("input_size", input_size)
        self.output_size = _arrays.size("output_size", output_size)
        self.width = _arrays.size("width", width)
        self.stride = _arrays.size("stride", stride)
        self.dilation = _arrays.size("dilation", dilation)
        self.padding = _arrays.choice("padding", padding, PADDINGS)
        self.bias = _arrays.flag("bias", bias)
        self.activation = check_activation(activation)
        self.dtype = _arrays.dtype(dtype)
        self._reach = (self.width - 1) * self.dilation + 1
        self._left = {"same": (self._reach - 1) // 2, "causal": self._reach - 1, "valid": 0}[self.padding]
        self.mixes_steps = self._reach > 1 or self.stride > 1
        super().__init__(dtype, rng)

    def config(self) -> dict[str, Any]:
        """The arguments that make a layer of the same configuration."""
        names = ("input_size", "output_size", "width", "stride", "dilation", "padding", "bias", "activation")
        return {**{name: getattr(self, name) for name in names}, "dtype": self.dtype.name}

    @staticmethod
    def parameter_shapes(
        input_size,
        output_size,
        width,
        *,
        stride=1,
        dilation=1,
        padding="same",
        bias=True,
        activation=None,
        dtype="float32",
    ):
        """The names and shapes of the parameters."""
        out = _arrays.size("output_size", output_size)
        yield "weight", (out, _arrays.size("width", width), _arrays.size("input_size", input_size))
        if _arrays.flag("bias", bias):
            yield "bias", (out,)

    def _draw(self, rng, parameters):
        weight = parameters["weight"]
        limit = np.sqrt(6 / (self.width * (self.input_size + self.output_size)))
        weight[...] = rng.uniform(-limit, limit, weight.shape)
        if self.bias:
            parameters["bias"][...] = 0

    def lengths_after(self, lengths: ArrayLike | None) -> np.ndarray | None:
        """Valid steps of each row of y, by those of x."""
        if lengths is None or (self.stride == 1 and self.padding != "valid"):
            return lengths
        lengths = _arrays.integers("lengths", lengths)
        short = self._reach - 1 if self.padding == "valid" else 0
        return np.maximum(0, (lengths - short + self.stride - 1) // self.stride)

    # Windows

    def _steps(self, T, lengths):
        """Steps of y; at least one, be it one of no row."""
        found = int(self.lengths_after(np.array(T)))
        if found == 0 and lengths is None:
            expected = f"at least {self._reach} steps, over which a window reaches, or lengths"
            raise _arrays.wrong(ValueError, "x", expected, T)
        return max(found, 1)

    def _in_zeros(self, x, steps, lengths):
        """x with zeros wherever windows reach beyond it or its lengths: step t at left + t."""
        N, T, F = x.shape
        total = max(self._left + T, (steps - 1) * self.stride + self._reach)
        if total == T and lengths is None and (x.strides[1] == F * x.itemsize or T == 1):
            return x
        found = np.zeros((N, total, F), self.dtype)
        inner = found[:, self._left : self._left + T]
        if lengths is None:
            inner[...] = x
        else:
            np.copyto(inner, x, where=prefix(lengths, T)[:, :, np.newaxis])
        return found

    def _windows(self, x, steps):
        """Those of `_in_zeros`, (N, steps, width F): without a copy, where their steps are neighbours."""
        N, _, F = x.shape
        row, step, feature = x.strides
        strides = row, self.stride * step, self.dilation * step, feature
        if self.dilation == 1 or self.width == 1:
            strides = row, self.stride * step, feature
            return np.lib.stride_tricks.as_strided(x, (N, steps, self.width * F), strides, writeable=False)
        apart = np.lib.stride_tricks.as_strided(x, (N, steps, self.width, F), strides, writeable=False)
        return np.ascontiguousarray(apart).reshape(N, steps, -1)

    def _fold(self, windows, to):
        """Adds the gradients of windows to those of the steps from which they come."""
        N, steps, _ = windows.shape
        windows = windows.reshape(N, steps, self.width, -1)
        for k in range(self.width):
            first = k * self.dilation
            to[:, first : first + (steps - 1) * self.stride + 1 : self.stride] += windows[:, :, k]

    def forward(
        self, x: ArrayLike, state: None = None, lengths: ArrayLike | None = None
    ) -> tuple[np.ndarray, None, Tape]:
        """y (N, steps, output_size) of x (N, T, input_size).

        Parameters
        ----------
        x : array_like, (N, T, input_size)
        state : None
            There is none; the argument is part of the protocol.
        lengths : array_like of int, (N,), optional
            Valid steps of each row, 0 to T; None: all T. Later ones are never read, and count as zeros.

        Returns
        -------
        y : ndarray, (N, steps, output_size)
            As many steps as `lengths_after` gives for T, but at least one. Zero from `lengths_after` of the lengths on.
        state : None
        tape : Tape
        """
        x = _arrays.steps("x", x, self.dtype, self.input_size)
        _arrays.absent("state", state, "Conv1d has none")
        N, T, _ = x.shape
        lengths = _arrays.lengths(lengths, N, T)
        steps = self._steps(T, lengths)
        x = self._in_zeros(x, steps, lengths)
        y = np.empty((N, steps, self.output_size), self.dtype)
        weight = self._views["weight"].reshape(self.output_size, -1)
        _core.dense_forward(weight, self._views.get("bias"), self._windows(x, steps), y)
        kept = None
        if self.activation is not None:
            kept = _core.activate(self.activation, y)
            y[...] = kept
        if lengths is not None:
            y[~prefix(self.lengths_after(lengths), steps)] = 0
        return y, None, Tape(self, (x, T, lengths, y.shape, kept))

    def backward(
        self,
        tape: Tape,
        dy: ArrayLike | None,
        dstate: None = None,
        grads: dict[str, np.ndarray] | None = None,
        need_dx: bool = True,
    ) -> tuple[np.ndarray | None, None, dict[str, np.ndarray]]:
        """dx (N, T, input_size) of dy (N, steps, output_size); adds to the gradients of weight and bias.

        Parameters
        ----------
        tape : Tape
            From `forward` of this layer, whose parameters have not been changed since. It is used up.
        dy : array_like, the shape of y
            Gradient of the loss with respect to y; not read beyond the lengths of y.
        dstate : None
        grads : dict of ndarray, optional
            The keys of `parameters`; gradients are added to these arrays. None: to fresh zeros.
        need_dx : bool, default True
            False: dx is None and is not computed.

        Returns
        -------
        dx : ndarray, (N, T, input_size)
            Zero beyond the lengths.
        dstate : None
        grads : dict of ndarray
        """
        x, T, lengths, shape, kept = look(tape, self)
        dy = _arrays.of_shape("dy", dy, self.dtype, shape)
        _arrays.absent("dstate", dstate, "Conv1d has no state")
        grads = self._gradients(grads)
        tape.take()
        if lengths is not None:
            dy = np.where(prefix(self.lengths_after(lengths), shape[1])[:, :, np.newaxis], dy, self.dtype.type(0))
        dz = gradient_of_argument(self.activation, kept, dy)
        dx = self._back(x, dz, grads, need_dx)
        if dx is None:
            return None, None, grads
        dx = np.ascontiguousarray(dx[:, self._left : self._left + T])
        if lengths is not None:
            dx[~prefix(lengths, T)] = 0
        return dx, None, grads

    def _back(self, x, dz, grads, need_dx):
        """The gradient of `_in_zeros`, or None, in blocks of rows that bound the memory of the windows."""
        N, steps, _ = dz.shape
        weight = self._views["weight"].reshape(self.output_size, -1)
        own = grads["weight"].reshape(weight.shape), grads.get("bias")
        dx = np.zeros(x.shape, self.dtype) if need_dx else None
        rows = max(1, BLOCK // (steps * weight.shape[1]))
        for first in range(0, N, rows):
            part = slice(first, first + rows)
            windows = self._windows(x[part], steps)
            gradient = np.empty(windows.shape, self.dtype) if need_dx else None
            _core.dense_backward(weight, windows, dz[part], gradient, *own)
            if need_dx:
                self._fold(gradient, dx[part])
        return dx
