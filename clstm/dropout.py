"""Dropout: a layer that leaves out some of what it is given, in training."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from . import _arrays, _core
from .layer import Layer, Tape, look
from .noise import Noise, noise_of

if TYPE_CHECKING:
    from typing import Literal

    from numpy.typing import ArrayLike

PER = ("element", "sequence")


class Dropout(Layer):
    """Multiplies what it is given by a random mask in training, and gives it as it is in inference.

    Elements of the mask are 0 with the probability `rate`, and else 1 / (1 - rate).

    Parameters
    ----------
    rate : float
        In [0, 1).
    per : str, default "element"
        "element": each element at each step is left out by itself (Hinton et al. 2012; ``torch.nn.Dropout``).
        "sequence": a feature is left out at all steps of a row or at none (Gal and Ghahramani 2016).

    Notes
    -----
    `forward` takes the seed of the masks as `noise`, as recurrent layers do. Masks depend neither on threads nor on
    padding, nor on how batches and sequences are cut, see `Noise`.

    The layer has no dtype: it computes in that of x, or in that of its network.

    Examples
    --------
    >>> import numpy as np, clstm
    >>> x = np.ones((1, 3, 4))
    >>> clstm.Dropout(0.5, per="sequence").forward(x, noise=2)[0]
    array([[[2., 2., 0., 0.],
            [2., 2., 0., 0.],
            [2., 2., 0., 0.]]])
    >>> bool((clstm.Dropout(0.5)(x) == x).all())
    True
    """

    takes_noise = True
    _positional = ("rate",)

    def __init__(self, rate: float, *, per: Literal["element", "sequence"] = "element") -> None:
        self.rate = _arrays.rate("rate", rate)
        self.per = _arrays.choice("per", per, PER)
        super().__init__()

    def config(self) -> dict[str, Any]:
        """The arguments that make a layer of the same configuration."""
        return {"rate": self.rate, "per": self.per}

    @staticmethod
    def parameter_shapes(rate, *, per="element"):
        """None."""
        return iter(())

    def _masked(self, noise, x, lengths, pieces):
        """x (N, T, F) times its mask; `noise` as the core takes it, None: x."""
        valid = pieces is None or pieces.valid is None
        y = (np.empty if valid else np.zeros)(x.shape, x.dtype)
        if pieces is not None:
            lengths, pieces = pieces.lengths, pieces.core()
        _core.dropout(self.rate, self.per == "sequence", noise, x, y, lengths, pieces)
        return y

    def _checked(self, x, state, lengths):
        """x (N, T, F) and (N, F) alike with three axes, its shape, and the lengths."""
        is_double = isinstance(x, np.ndarray) and x.dtype == np.float64
        x = _arrays.steps("x", x, _arrays.DTYPES["float64" if is_double else "float32"], None, axes="N?")
        _arrays.absent("state", state, "Dropout has none")
        if x.ndim == 2:
            _arrays.absent("lengths", lengths, "x has no time axis")
            return x[:, np.newaxis], x.shape, None
        return x, x.shape, _arrays.lengths(lengths, *x.shape[:2])

    def forward(
        self,
        x: ArrayLike,
        state: None = None,
        lengths: ArrayLike | None = None,
        *,
        noise: int | Noise | None = None,
    ) -> tuple[np.ndarray, None, Tape]:
        """y = x times a mask.

        Parameters
        ----------
        x : array_like, (N, T, F) or (N, F)
            An array of float64 stays float64, whatever else becomes float32.
        state : None
            There is none; the argument is part of the protocol.
        lengths : array_like of int, (N,), optional
            Valid steps of each row, for x with a time axis. Later ones are not read, and zero in y.
        noise : int or Noise, optional
            Seed of the mask; None: fresh entropy.

        Returns
        -------
        y : ndarray, the shape of x
        state : None
        tape : Tape
        """
        x, shape, lengths = self._checked(x, state, lengths)
        drawn = noise_of(noise).core(len(x))
        y = self._masked(drawn, x, lengths, None)
        return y.reshape(shape), None, Tape(self, (drawn, lengths, None, shape, x.dtype))

    def infer(self, x: ArrayLike, state: None = None, lengths: ArrayLike | None = None) -> tuple[np.ndarray, None]:
        """x as it is, but zero beyond the lengths, in an array of its own."""
        x, shape, lengths = self._checked(x, state, lengths)
        return self._masked(None, x, lengths, None).reshape(shape), None

    def _flat_run(self, x, state, sequences, keep, noise=None):
        """y, state and tape of sequences side by side in x (1, steps, F)."""
        _arrays.absent("state", state, "Dropout has none")
        pieces = sequences.pieces
        drawn = pieces.noise(noise_of(noise).core(pieces.rows)) if keep else None
        return self._masked(drawn, x, None, pieces), None, Tape(self, (drawn, None, pieces, x.shape, x.dtype))

    def backward(
        self,
        tape: Tape,
        dy: ArrayLike | None,
        dstate: None = None,
        grads: dict[str, np.ndarray] | None = None,
        need_dx: bool = True,
    ) -> tuple[np.ndarray | None, None, dict[str, np.ndarray]]:
        """dx = dy times the mask of forward.

        Parameters
        ----------
        tape : Tape
            From `forward` of this layer. It is used up.
        dy : array_like, the shape of y
            Gradient of the loss with respect to y; not read beyond the lengths.
        dstate : None
        grads : dict, optional
            An empty one: there are no parameters.
        need_dx : bool, default True
            False: dx is None and is not computed.

        Returns
        -------
        dx : ndarray, the shape of x
        dstate : None
        grads : dict
        """
        drawn, lengths, pieces, shape, dtype = look(tape, self)
        dy = _arrays.of_shape("dy", dy, dtype, shape)
        _arrays.absent("dstate", dstate, "Dropout has no state")
        grads = self._gradients(grads)
        tape.take()
        if not need_dx:
            return None, None, grads
        rows = dy if dy.ndim == 3 else dy[:, np.newaxis]
        return self._masked(drawn, rows, lengths, pieces).reshape(shape), None, grads
