"""The step of clstm's C core, called from C: what a step from Python costs above it is the price of the call."""

from __future__ import annotations

import ctypes
from pathlib import Path

import numpy as np

from .. import c_library, limits
from .base import NotAvailable, array_of
from .own import Clstm

CORE = Path(__file__).parents[2] / "src_c"
OPTIONS = ["-std=gnu11", "-O3", "-ffp-contract=off", "-fno-math-errno", "-pthread", "-Wno-psabi", f"-I{CORE}"]


class ClstmKernel(Clstm):
    """A stream of the core, built from the sources of the clone."""

    works = ("step",)
    dtypes = ("float32",)

    def __init__(self, threads):
        super().__init__(threads)
        header = CORE / "clstm.h"
        if not header.exists() or "clstm_stream_step" not in header.read_text(encoding="utf-8"):
            raise NotAvailable("the sources of the core are not there, or have no streams")
        sources = sorted(file for file in CORE.rglob("*.c") if "tests" not in file.relative_to(CORE).parts)
        self.library = c_library.build_and_load("kernel", [*sources, Path(__file__).with_suffix(".c")], OPTIONS)
        size, pointer = ctypes.c_ssize_t, ctypes.c_void_p
        self.library.kernel_bytes.restype = ctypes.c_size_t
        self.library.kernel_bytes.argtypes = [ctypes.c_int, size, size]
        self.library.kernel_load.argtypes = [ctypes.c_int, size, size, *[pointer] * 4]
        self.library.kernel_steps.restype = ctypes.c_double
        self.library.kernel_steps.argtypes = [pointer, pointer, size, pointer, size, size]

    def step(self, row, data):
        I, H = row.shape.I, row.shape.H
        memory = limits.aligned(self.library.kernel_bytes(self.threads, I, H))
        weights = [array.ctypes.data for array in data.weights[0][0]]
        if not memory.size or self.library.kernel_load(self.threads, I, H, *weights, memory.ctypes.data):
            raise NotAvailable("the core refuses")
        x, h = data.x.copy(), np.empty((1, H), np.float32)
        kept = memory, x, h

        def many(steps):
            memory, x, h = (array.ctypes.data for array in kept)
            return self.library.kernel_steps(memory, x, I, h, H, steps)

        self.many = many
        return (lambda: many(1) and h), array_of("h", np.array)
