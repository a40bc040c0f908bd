"""What every engine has to do."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

Job = tuple[Callable[[], Any], Callable[[Any], dict[str, Any]]]


class NotAvailable(Exception):
    """An engine can do this kind of work, but not here: its message says why."""


class Engine:
    """One way of running an LSTM.

    A subclass has a method for each of its `works`, which are named as in `bench.rows`. It gets the row and its data,
    prepares everything outside the timed part (arrays in the form that the engine likes best, traced functions), and
    returns two functions: one without arguments that does the work once and returns what came out, and one that turns
    this into a dict of NumPy arrays, time-major as in `bench.data`, to be compared with those of the other engines: y,
    dx, dw_ih, dw_hh and db of the first layer for "train" (for a variant dx and the gradients of all parameters by
    name), y for "forward", h for "step", loss and loss_after for "epoch".

    Packages are imported where they are used, so that a class can be asked what it does without them.

    Attributes
    ----------
    packages : tuple of str
        What has to be installed.
    works : tuple of str
    environment : dict
        Variables of the process that runs it.
    dtypes : tuple of str
    ragged : bool
        Whether it takes sequences of different lengths.
    compared : bool
        Whether its results have to be those of the others.
    many : callable or None
        ``many(n)`` does the work of the last row n times and returns the seconds of one, for an engine that can do so
        without Python in between.
    """

    packages: tuple[str, ...] = ()
    works: tuple[str, ...] = ()
    environment: dict[str, str] = {}  # noqa: RUF012  (never changed)
    dtypes: tuple[str, ...] = ("float32",)
    ragged = False
    compared = True
    many: Callable[[int], float] | None = None

    def __init__(self, threads: int) -> None:
        self.threads = threads

    @classmethod
    def can(cls, row) -> bool:
        """Whether it can do the work of a row."""
        ragged_fits = row.lengths is None or cls.ragged
        return row.work in cls.works and row.dtype in cls.dtypes and ragged_fits

    def version(self) -> str:
        raise NotImplementedError

    def around(self, row) -> contextlib.AbstractContextManager:
        """What a user puts around many calls, which is not timed."""
        return contextlib.nullcontext()


def array_of(name, convert=None):
    """The second function of a job with one result; without `convert`, NumPy takes it as it is."""

    def arrays(result):
        import numpy as np

        return {name: (convert or np.asarray)(result)}

    return arrays
