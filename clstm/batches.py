"""Checked data, and the batches that are cut from it."""

from __future__ import annotations

import numpy as np


class Data:
    """Checked arrays that belong together.

    Parameters
    ----------
    x, y : ndarray
    lengths : ndarray of int, (N,), or None
        Valid steps of each row of x.
    mask : ndarray of int, (N,), or None
        The same of y; None where y has no time axis.
    """

    def __init__(self, x, y, lengths, mask):
        self.x, self.y, self.lengths, self.mask = x, y, lengths, mask
        self.rows = len(x)
        self.weight = self.rows if mask is None else int(mask.sum())  # of its mean loss, in a mean over several

    def batch(self, rows, trim=True):
        """Some of the rows; with `trim` only as many steps as the longest of them has."""
        if self.lengths is None:
            return Data(self.x[rows], self.y[rows], None, None)
        lengths = self.lengths[rows]
        steps = max(1, int(lengths.max())) if trim else self.x.shape[1]
        if self.mask is None:
            return Data(self.x[rows, :steps], self.y[rows], lengths, None)
        return Data(self.x[rows, :steps], self.y[rows, :steps], lengths, lengths)

    def pieces(self, bptt):
        """Pieces of bptt steps, in order, each with the number of its first step; None: all steps are one.

        Rows that have ended have the length 0 in later pieces.
        """
        if bptt is None or bptt >= self.x.shape[1]:
            return [(0, self)]
        return [(begin, self._piece(begin, bptt)) for begin in range(0, self.x.shape[1], bptt)]

    def _piece(self, begin, steps):
        part = slice(begin, begin + steps)
        x, y = self.x[:, part], self.y[:, part]
        if self.lengths is not None:
            lengths = np.clip(self.lengths - begin, 0, x.shape[1])
            return Data(x, y, lengths, lengths)
        piece = Data(x, y, None, None)
        piece.weight *= x.shape[1]  # the last one may be shorter
        return piece

    def suspicion(self):
        """What a loss or gradient that is not finite comes from, so far as that can be seen."""
        for name, array, lengths in (("x", self.x, self.lengths), ("y", self.y, self.mask)):
            if array.dtype.kind == "f":
                valid = array if lengths is None else array[np.arange(array.shape[1]) < lengths[:, np.newaxis]]
                if not np.isfinite(valid).all():
                    return f"because {name} holds NaN or infinities"
        return "though x and y are finite: a smaller learning_rate or a clip_norm may help"
