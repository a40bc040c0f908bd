"""RepeatLast: what a sequence ends with, at each of its steps; between the two halves of an autoencoder."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from . import _arrays
from .layer import Layer, Tape, look
from .pool import Pool

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


class RepeatLast(Layer):
    """At each step of a sequence, the features of its last step: ``Pool("last")`` and a repetition in one.

    Between two recurrent layers it makes an autoencoder of sequences: the first has to put all it has read into the
    vector that it ends with, and the second has nothing else to go by (Srivastava, Mansimov and Salakhutdinov 2015).

    Parameters
    ----------
    bidirectional : bool, default False
        Whether the second half of the features comes from a reverse direction, which ends at step 0; they are taken
        there then.

    Examples
    --------
    >>> import clstm
    >>> from clstm import RepeatLast
    >>> RepeatLast()([[[1.0], [2.0], [3.0]]])
    array([[[3.],
            [3.],
            [3.]]], dtype=float32)
    >>> layers = [clstm.LSTM(3, 8, rng=0), RepeatLast(), clstm.LSTM(8, 8, rng=1), clstm.Dense(8, 3, rng=2)]
    >>> autoencoder = clstm.Network(layers)
    """

    axes = "sequence"
    mixes_steps = True

    def __init__(self, *, bidirectional: bool = False) -> None:
        self._pool = Pool("last", bidirectional=_arrays.flag("bidirectional", bidirectional))
        super().__init__()

    def config(self) -> dict[str, Any]:
        """The arguments that make a layer of the same configuration."""
        return {"bidirectional": self._pool.bidirectional}

    @staticmethod
    def parameter_shapes(*, bidirectional=False):
        """None."""
        return iter(())

    def _share_after(self, share):
        return 0  # every step has seen the whole sequence, whatever the direction

    def forward(
        self, x: ArrayLike, state: None = None, lengths: ArrayLike | None = None
    ) -> tuple[np.ndarray, None, Tape]:
        """y (N, T, F) of x (N, T, F); arguments as for `Pool`. Steps beyond the lengths are zero.

        Returns
        -------
        y : ndarray, (N, T, F)
        state : None
        tape : Tape
        """
        x = x if isinstance(x, np.ndarray) else _arrays.real("x", x, np.dtype(np.float32))
        last, _, tape = self._pool.forward(x, state, lengths)
        N, T = x.shape[:2]
        valid = None if lengths is None else np.arange(T) < _arrays.lengths(lengths, N, T)[:, np.newaxis]
        y = np.repeat(last[:, np.newaxis], T, axis=1)
        if valid is not None:
            y[~valid] = 0
        return y, None, Tape(self, (tape, valid, y.shape, y.dtype))

    def backward(
        self,
        tape: Tape,
        dy: ArrayLike | None,
        dstate: None = None,
        grads: dict[str, np.ndarray] | None = None,
        need_dx: bool = True,
    ) -> tuple[np.ndarray | None, None, dict[str, np.ndarray]]:
        """dx (N, T, F) of dy (N, T, F): at the last step the sum of dy over all steps, elsewhere 0."""
        _, valid, shape, dtype = look(tape, self)
        dy = _arrays.of_shape("dy", dy, dtype, shape)
        _arrays.absent("dstate", dstate, "RepeatLast has no state")
        grads = self._gradients(grads)
        inner = tape.take()[0]
        if not need_dx:
            return None, None, grads
        total = dy.sum(axis=1) if valid is None else dy.sum(axis=1, where=valid[:, :, np.newaxis])
        return self._pool.backward(inner, total)[0], None, grads
