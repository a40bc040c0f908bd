"""LayerNorm: features with mean 0 and variance 1 at each step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from . import _arrays, _core
from ._steps import placed, rows_of, valid_steps
from .layer import Layer, Tape, look

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, DTypeLike


class LayerNorm(Layer):
    """Layer normalisation over the features of each step (Ba, Kiros and Hinton 2016).

    At each step, with the mean and the variance of its F features::

        y = weight (x - mean) / sqrt(variance + epsilon) + bias

    Parameters
    ----------
    size : int
        F, the features of x and of y.
    epsilon : float, default 1e-5
        At least 0, as in ``torch.nn.LayerNorm``.
    scale, bias : bool, default True
        Whether there is a weight, and a bias; else they are 1 and 0.
    dtype : str or dtype, default "float32"
        "float32" or "float64". Sums are in float64.

    Notes
    -----
    Parameters: ``weight`` (F,), which starts at 1, and ``bias`` (F,), which starts at 0.

    Normalisation inside a recurrent layer, of its pre-activations, is the option `layer_norm` of `LSTM`.

    Examples
    --------
    >>> import numpy as np, clstm
    >>> y = clstm.LayerNorm(3, dtype="float64")([[1.0, 2.0, 6.0]])
    >>> y.round(3)
    array([[-0.926, -0.463,  1.389]])
    """

    _positional = ("size",)

    def __init__(
        self,
        size: int,
        *,
        epsilon: float = 1e-5,
        scale: bool = True,
        bias: bool = True,
        dtype: DTypeLike = "float32",
    ) -> None:
        self.input_size = self.output_size = _arrays.size("size", size)
        self.epsilon = _arrays.deviation("epsilon", epsilon)
        self.scale = _arrays.flag("scale", scale)
        self.bias = _arrays.flag("bias", bias)
        super().__init__(dtype)
        if self.scale:
            self._views["weight"][...] = 1

    def config(self) -> dict[str, Any]:
        """The arguments that make a layer of the same configuration."""
        return {
            "size": self.input_size,
            "epsilon": self.epsilon,
            "scale": self.scale,
            "bias": self.bias,
            "dtype": self.dtype.name,
        }

    @staticmethod
    def parameter_shapes(size, *, epsilon=1e-5, scale=True, bias=True, dtype="float32"):
        """The names and shapes of the parameters."""
        size = _arrays.size("size", size)
        if _arrays.flag("scale", scale):
            yield "weight", (size,)
        if _arrays.flag("bias", bias):
            yield "bias", (size,)

    def forward(
        self, x: ArrayLike, state: None = None, lengths: ArrayLike | None = None
    ) -> tuple[np.ndarray, None, Tape]:
        """y, in the shape of x.

        Parameters
        ----------
        x : array_like, (N, T, size) or (N, size)
        state : None
            There is none; the argument is part of the protocol.
        lengths : array_like of int, (N,), optional
            Valid steps of each row, for x with a time axis. Later ones are not read, and zero in y.

        Returns
        -------
        y : ndarray
        state : None
        tape : Tape
        """
        x = _arrays.steps("x", x, self.dtype, self.input_size, axes="N?")
        _arrays.absent("state", state, "LayerNorm has none")
        valid = valid_steps(lengths, x.shape[:-1])
        rows, views = rows_of(x, valid), self._views
        y, moments = np.empty(rows.shape, self.dtype), np.empty((*rows.shape[:-1], 2))
        if y.size:
            _core.layer_norm_forward(self.epsilon, rows, views.get("weight"), views.get("bias"), moments, y)
        return placed(y, valid, x.shape), None, Tape(self, (rows, valid, moments, x.shape))

    def _flat_run(self, x, state, sequences, keep):
        """y, state and tape of sequences side by side in x: one long row."""
        return self.forward(x, state)

    def backward(
        self,
        tape: Tape,
        dy: ArrayLike | None,
        dstate: None = None,
        grads: dict[str, np.ndarray] | None = None,
        need_dx: bool = True,
    ) -> tuple[np.ndarray | None, None, dict[str, np.ndarray]]:
        """dx of dy; adds to the gradients of weight and bias.

        With u = weight dy, v the normalised x, and means over the features::

            dx = (u - mean(u) - v mean(u v)) / sqrt(variance + epsilon)

        Parameters
        ----------
        tape : Tape
            From `forward` of this layer, whose parameters have not been changed since. It is used up.
        dy : array_like, the shape of y
            Gradient of the loss with respect to y; not read beyond the lengths.
        dstate : None
        grads : dict of ndarray, optional
            The keys of `parameters`; gradients are added to these arrays. None: to fresh zeros.
        need_dx : bool, default True
            False: dx is None and is not computed.

        Returns
        -------
        dx : ndarray, the shape of x
        dstate : None
        grads : dict of ndarray
        """
        rows, valid, moments, shape = look(tape, self)
        dy = _arrays.of_shape("dy", dy, self.dtype, shape)
        _arrays.absent("dstate", dstate, "LayerNorm has no state")
        grads = self._gradients(grads)
        tape.take()
        dx = np.empty(rows.shape, self.dtype) if need_dx else None
        if rows.size:
            own = grads.get("weight"), grads.get("bias")
            _core.layer_norm_backward(rows, self._views.get("weight"), moments, rows_of(dy, valid), dx, *own)
        return (placed(dx, valid, shape) if need_dx else None), None, grads
