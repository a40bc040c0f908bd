"""Dense: a product and a bias at each step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from . import _arrays, _core
from ._steps import placed, rows_of, valid_steps
from .init import glorot_uniform
from .layer import Tape, _DrawnLayer, look

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, DTypeLike


def check_activation(value: Any) -> str | None:
    """The name of an activation, or None."""
    return None if value is None else _arrays.activation("activation", value)


def gradient_of_argument(activation: str | None, y: np.ndarray | None, dy: np.ndarray) -> np.ndarray:
    """dz of y = f(z) and dy; without an activation dy itself."""
    if activation is None:
        return dy
    dz = np.empty(dy.shape, dy.dtype)
    _core.activate_backward(activation, y, dy, dz)
    return dz


class Dense(_DrawnLayer):
    """An affine map of the features at each step alike, y = f(x w^T + b), f the identity or an activation.

    Parameters
    ----------
    input_size, output_size : int
        Features it takes and gives.
    bias : bool, default True
        Whether there is a bias b.
    activation : str, optional
        f, by its name: "sigmoid", "tanh", "relu" or any other that a cell can have, see
        `candidate_activation` of `LSTM`. None: the identity.
    dtype : str or dtype, default "float32"
        "float32" or "float64".
    rng : int or numpy.random.Generator, optional
        Seed or generator for the starting weights; None: fresh entropy.

    Notes
    -----
    Parameters: ``weight`` (output_size, input_size), which starts Glorot uniform (Glorot and Bengio 2010), and ``bias``
    (output_size,), which starts at zero, both as in Keras. The weight may be that of an `Embedding` too, see `tied` of
    `Network`.

    Examples
    --------
    >>> import numpy as np, clstm
    >>> dense = clstm.Dense(4, 2, rng=0)
    >>> dense(np.ones((3, 4))).shape, dense(np.ones((3, 5, 4))).shape
    ((3, 2), (3, 5, 2))
    >>> bool((clstm.Dense(4, 2, activation="relu", rng=0)(np.ones((3, 4))) >= 0).all())
    True
    """

    bidirectional = False
    _positional = ("input_size", "output_size")

    def __init__(
        self,
        input_size: int,
        output_size: int,
        *,
        bias: bool = True,
        activation: str | None = None,
        dtype: DTypeLike = "float32",
        rng: int | np.random.Generator | None = None,
    ) -> None:
        self.input_size = _arrays.size("input_size", input_size)
        self.output_size = _arrays.size("output_size", output_size)
        self.bias = _arrays.flag("bias", bias)
        self.activation = check_activation(activation)
        self.dtype = _arrays.dtype(dtype)
        super().__init__(dtype, rng)

    def config(self) -> dict[str, Any]:
        """The arguments that make a layer of the same configuration."""
        return {
            "input_size": self.input_size,
            "output_size": self.output_size,
            "bias": self.bias,
            **({} if self.activation is None else {"activation": self.activation}),
            "dtype": self.dtype.name,
        }

    @staticmethod
    def parameter_shapes(input_size, output_size, *, bias=True, activation=None, dtype="float32"):
        """The names and shapes of the parameters."""
        out = _arrays.size("output_size", output_size)
        yield "weight", (out, _arrays.size("input_size", input_size))
        if _arrays.flag("bias", bias):
            yield "bias", (out,)

    def _draw(self, rng, parameters):
        parameters["weight"][...] = glorot_uniform(rng, parameters["weight"].shape)
        if self.bias:
            parameters["bias"][...] = 0

    def forward(
        self, x: ArrayLike, state: None = None, lengths: ArrayLike | None = None
    ) -> tuple[np.ndarray, None, Tape]:
        """y = f(x w^T + b)

        Parameters
        ----------
        x : array_like, (N, T, input_size) or (N, input_size)
        state : None
            There is none; the argument is part of the protocol.
        lengths : array_like of int, (N,), optional
            Valid steps of each row, for x with a time axis. Later ones are not read, and zero in y.

        Returns
        -------
        y : ndarray, (N, T, output_size) or (N, output_size)
        state : None
        tape : Tape
        """
        x = _arrays.steps("x", x, self.dtype, self.input_size, axes="N?")
        _arrays.absent("state", state, "Dense has none")
        valid = valid_steps(lengths, x.shape[:-1])
        rows = rows_of(x, valid)
        y = np.empty((*rows.shape[:-1], self.output_size), self.dtype)
        views = self._views
        if y.size:
            _core.dense_forward(views["weight"], views.get("bias"), rows, y)
        kept = None
        if self.activation is not None:
            kept = y = _core.activate(self.activation, y)
            if valid is None:  # else y is in two places anyway, of which the caller has the other
                y = kept.copy()
        y = placed(y, valid, (*x.shape[:-1], self.output_size))
        return y, None, Tape(self, (rows, valid, y.shape, kept))

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
        """dx = dz w; adds dz^T x to the gradient of w and the sum of dz to that of b; dz = dy f'(x w^T + b).

        Parameters
        ----------
        tape : Tape
            From `forward` of this layer, whose parameters have not been changed since. It is used up.
        dy : array_like, (N, T, output_size) or (N, output_size)
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
        rows, valid, shape, kept = look(tape, self)
        dy = _arrays.of_shape("dy", dy, self.dtype, shape)
        _arrays.absent("dstate", dstate, "Dense has no state")
        grads = self._gradients(grads)
        tape.take()
        dx = np.empty(rows.shape, self.dtype) if need_dx else None
        if rows.size:
            dz = gradient_of_argument(self.activation, kept, rows_of(dy, valid))
            _core.dense_backward(self._views["weight"], rows, dz, dx, grads["weight"], grads.get("bias"))
        return (placed(dx, valid, (*shape[:-1], self.input_size)) if need_dx else None), None, grads
