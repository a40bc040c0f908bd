"""Pool: one vector for a sequence."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from . import _arrays, _core
from .layer import MIXED, Layer, Tape, look

if TYPE_CHECKING:
    from typing import Literal

    from numpy.typing import ArrayLike


class Pool(Layer):
    """One vector for a whole sequence, made of its valid steps.

    Parameters
    ----------
    mode : str
        "last": the features at the last valid step. "mean", "max": over the valid steps.
    bidirectional : bool, optional
        For "last", whether the second half of the features comes from a reverse direction, which ends at step 0; they
        are taken there then. None: as the layer before says, in a `Network`; False where there is none. After a layer
        whose directions are merged, None is refused: no step has what both of them end with. Let that layer have
        ``output="last"``, and no pool.

    Notes
    -----
    A sequence of length 0 gives zeros. The gradient of "max" goes to the first of several greatest steps. A NaN among
    the valid steps makes "mean" and "max" NaN.

    The layer has no dtype: it computes in that of x, or in that of its network.

    Examples
    --------
    >>> import clstm
    >>> x = [[[1.0, 8.0], [2.0, 7.0], [3.0, 9.0]]]
    >>> clstm.Pool("mean")(x)
    array([[2., 8.]], dtype=float32)
    >>> clstm.Pool("last")(x, lengths=[2])
    array([[2., 7.]], dtype=float32)
    """

    axes = "sequence"
    removes_time = True
    _positional = ("mode",)

    def __init__(self, mode: Literal["last", "mean", "max"], *, bidirectional: bool | None = None) -> None:
        if mode == "attention":
            raise _arrays.wrong(
                ValueError,
                "mode",
                f"one of {', '.join(map(repr, _core.POOLS))} (AttentionPool is a layer of its own)",
                repr(mode),
            )
        self.mode = _arrays.choice("mode", mode, _core.POOLS)
        self.bidirectional = None if bidirectional is None else _arrays.flag("bidirectional", bidirectional)
        super().__init__()

    def config(self) -> dict[str, Any]:
        """The arguments that make a layer of the same configuration."""
        return {"mode": self.mode, "bidirectional": self.bidirectional}

    @staticmethod
    def parameter_shapes(mode, *, bidirectional=None):
        """None."""
        return iter(())

    def _check_share(self, share):
        if self.mode == "last" and self.bidirectional is None and share is MIXED:
            expected = (
                '"mean" or "max" after a layer with merge (its output="last" merges what each direction ends with)'
            )
            raise _arrays.wrong(ValueError, "mode", expected, '"last"')

    def _split(self, features):
        """The first feature of the reverse direction."""
        share, network = 0.5 if self.bidirectional else 0, self._network()
        if self.bidirectional is None and network is not None:
            share = network._reverse_share(self)
        if self.mode != "last" or share == 0:
            return features
        if share == 1:
            return 0
        if features % 2:
            raise _arrays.wrong(ValueError, "x", "an even number of features, from two directions", features)
        return features // 2

    def forward(
        self, x: ArrayLike, state: None = None, lengths: ArrayLike | None = None
    ) -> tuple[np.ndarray, None, Tape]:
        """y (N, F) of x (N, T, F).

        Parameters
        ----------
        x : array_like, (N, T, F)
            An array of float64 stays float64, whatever else becomes float32.
        state : None
            There is none; the argument is part of the protocol.
        lengths : array_like of int, (N,), optional
            Valid steps of each row, 0 to T; None: all T. Later ones are never read.

        Returns
        -------
        y : ndarray, (N, F)
        state : None
        tape : Tape
        """
        is_double = isinstance(x, np.ndarray) and x.dtype == np.float64
        x = _arrays.steps("x", x, _arrays.DTYPES["float64" if is_double else "float32"], None)
        _arrays.absent("state", state, "Pool has none")
        N, T, F = x.shape
        lengths = _arrays.lengths(lengths, N, T)
        split = self._split(F)
        y = np.empty((N, F), x.dtype)
        _core.pool_forward(self.mode, split, x, lengths, y)
        return y, None, Tape(self, (x, lengths, split, None))

    def _flat_run(self, x, state, sequences, keep):
        """y (N, F), state and tape of sequences side by side in x (1, steps, F)."""
        _arrays.absent("state", state, "Pool has none")
        F, lengths, pieces = x.shape[2], sequences.counts, sequences.whole()
        split = self._split(F)
        y = np.empty((len(lengths), F), x.dtype)
        _core.pool_forward(self.mode, split, x, lengths, y, pieces)
        return y, None, Tape(self, (x, lengths, split, pieces))

    def backward(
        self,
        tape: Tape,
        dy: ArrayLike | None,
        dstate: None = None,
        grads: dict[str, np.ndarray] | None = None,
        need_dx: bool = True,
    ) -> tuple[np.ndarray | None, None, dict[str, np.ndarray]]:
        """dx (N, T, F) of dy (N, F).

        Parameters
        ----------
        tape : Tape
            From `forward` of this layer. It is used up.
        dy : array_like, (N, F)
            Gradient of the loss with respect to y.
        dstate : None
        grads : dict, optional
            An empty one: there are no parameters.
        need_dx : bool, default True
            False: dx is None and is not computed.

        Returns
        -------
        dx : ndarray, (N, T, F)
            Zero beyond the lengths.
        dstate : None
        grads : dict
        """
        x, lengths, split, pieces = look(tape, self)
        N = x.shape[0] if pieces is None else len(lengths)
        dy = _arrays.of_shape("dy", dy, x.dtype, (N, x.shape[2]))
        _arrays.absent("dstate", dstate, "Pool has no state")
        grads = self._gradients(grads)
        tape.take()
        if not need_dx:
            return None, None, grads
        dx = (np.empty if lengths is None or lengths.any() else np.zeros)(x.shape, x.dtype)
        _core.pool_backward(self.mode, split, x, lengths, dy, dx, pieces)
        return dx, None, grads
