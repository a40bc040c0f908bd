"""The limits of the machine: the rate of matrix products, and how fast caches and memory can be read.

Products: the BLAS that SciPy carries, called from C through the address that `scipy.linalg.cython_blas` exports, on
square matrices. Reads: an own loop that adds what it reads up in vector registers, from one, two, four or eight places
at once, of which the best counts.
"""

from __future__ import annotations

import ctypes
import statistics
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from . import c_library

GEMM_SIZES = (1024, 2048)
BLOCKS = 7  # of repetitions, of which the median counts
READ_KIB = (16, 32, 128, 512, 2048, 8192, 262_144)  # the middle ones are the weights of one step at H = 32 to 512
STREAMS = (1, 2, 4, 8)
ALIGNMENT = 64


def measure(threads: int, seconds: float = 0.4) -> dict:
    """Measures all limits with some threads.

    Parameters
    ----------
    threads : int
        For the BLAS, the environment of the process has to say the same. Reads: each thread has an array of its own.
    seconds : float
        For each figure.

    Returns
    -------
    dict
        "float32" and "float64": GFLOP/s; "read": {KiB: GB/s}, of all threads together.

    Raises
    ------
    FileNotFoundError
        There is no C compiler.
    """
    library = build()
    found = {dtype: product_rate(library, dtype, seconds) for dtype in ("float32", "float64")}
    with ThreadPoolExecutor(threads) as pool:
        found["read"] = {kib: read_rate(library, kib * 1024, threads, pool, seconds) for kib in READ_KIB}
    return found


def best_of(measured: list[dict]) -> dict:
    """The higher figure of each limit: other work on the machine can only lower one."""
    first = measured[0]
    best = {name: max(one[name] for one in measured) for name in first if name != "read"}
    return {**best, "read": {kib: max(one["read"][kib] for one in measured) for kib in first["read"]}}


def build():
    """Compiles limits.c for this very processor and loads it."""
    options = ["-O2", "-march=native", "-funroll-loops"]
    library = c_library.build_and_load("limits", [Path(__file__).with_name("limits.c")], options)
    pointer, number, size = ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t
    library.run_gemm.restype = library.run_read.restype = ctypes.c_double
    library.run_gemm.argtypes = [pointer, number, ctypes.c_longlong, *[pointer] * 5, number]
    library.run_read.argtypes = [pointer, size, number, number, pointer]
    return library


def blas_address(name):
    from scipy.linalg import cython_blas

    capsule = cython_blas.__pyx_capi__[name]
    get_name, get_pointer = ctypes.pythonapi.PyCapsule_GetName, ctypes.pythonapi.PyCapsule_GetPointer
    get_name.restype, get_name.argtypes = ctypes.c_char_p, [ctypes.py_object]
    get_pointer.restype, get_pointer.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    return get_pointer(capsule, get_name(capsule))


def product_rate(library, dtype, seconds):
    """GFLOP/s of the better of two sizes, and of B and its transpose."""
    gemm = blas_address("sgemm" if dtype == "float32" else "dgemm")
    one, zero = np.ones(1, dtype), np.zeros(1, dtype)
    rates = []
    for n in GEMM_SIZES:
        rng = np.random.default_rng(3)
        a, b = (rng.standard_normal((n, n)).astype(dtype) for _ in range(2))
        arrays = [one, zero, a, b, np.empty_like(a)]
        for transposed in (0, 1):
            addresses = [array.ctypes.data for array in arrays]
            spent = median_seconds(lambda r: library.run_gemm(gemm, transposed, n, *addresses, r), seconds)  # noqa: B023
            rates.append(2e-9 * n**3 / spent)
    return max(rates)


def read_rate(library, size, threads, pool, seconds):
    """GB/s of all threads, with the best number of streams."""
    arrays = [aligned(size) for _ in range(threads)]
    sinks = [ctypes.c_float() for _ in arrays]

    def read(streams, repeats):
        """The slowest thread counts; they run without the interpreter's lock."""

        def one(array, sink):
            return library.run_read(array.ctypes.data, size, streams, repeats, ctypes.addressof(sink))

        return one(arrays[0], sinks[0]) if threads == 1 else max(pool.map(one, arrays, sinks))

    spent = [median_seconds(lambda r: read(streams, r), seconds / len(STREAMS)) for streams in STREAMS]  # noqa: B023
    return threads * size * 1e-9 / min(spent)


def aligned(size):
    """So many bytes, all ones: pages that were never written would all be the same one."""
    raw = np.ones(size + ALIGNMENT, np.uint8)
    start = -raw.ctypes.data % ALIGNMENT
    return raw[start : start + size]


def median_seconds(run, seconds):
    """The median of blocks of `run(repeats)`, which returns the seconds of one repetition, in about so much time."""
    run(1)
    repeats = max(1, int(seconds / BLOCKS / max(run(1), 1e-9)))
    return statistics.median(run(repeats) for _ in range(BLOCKS))
