"""Which rows make up the batches of an epoch, and in which order: reproducible from a generator alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

POOL = 100  # batches whose rows are sorted by length together: enough to find alike ones, few enough to stay random


class Plan(NamedTuple):
    """How rows become batches.

    Parameters
    ----------
    batch_size : int
    shuffle : bool
    max_padding : float or None
        The largest share of padding in a batch, whose rows are of similar length then; None: rows as they come.
    """

    batch_size: int
    shuffle: bool
    max_padding: float | None

    def batches(self, rows: int, lengths: np.ndarray | None, rng: np.random.Generator) -> Sequence[slice | np.ndarray]:
        """What to take of `rows` rows for each batch of an epoch."""
        starts = range(0, rows, self.batch_size)
        if self.max_padding is None or lengths is None:
            if not self.shuffle:
                return [slice(start, min(start + self.batch_size, rows)) for start in starts]
            order = rng.permutation(rows)
            return [order[start : start + self.batch_size] for start in starts]
        order = rng.permutation(rows) if self.shuffle else np.arange(rows)
        found = []
        for start in range(0, rows, self.batch_size * POOL):
            pool = order[start : start + self.batch_size * POOL]
            found += self._alike(pool[np.argsort(lengths[pool], kind="stable")], lengths)
        return [found[k] for k in rng.permutation(len(found))] if self.shuffle else found

    def _alike(self, pool, lengths):
        """Batches of rows that are sorted by length; one is closed before it has too much padding."""
        found, first, valid = [], 0, 0
        for k, row in enumerate(pool):
            longest, count = int(lengths[row]), k - first
            padding = (count + 1) * longest - valid - longest
            if count == self.batch_size or padding > self.max_padding * (count + 1) * longest:
                found.append(pool[first:k])
                first, valid = k, 0
            valid += longest
        return [*found, pool[first:]]
