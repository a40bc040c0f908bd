"""How calls run: threads, products, instruction set. What is set counts for calls that start later.

Two environment variables are read at import: ``CLSTM_NUM_THREADS``, and ``CLSTM_ISA`` (baseline, avx2 or avx512; neon
on ARM), which is for tests: the best instruction set of the machine is found without it.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from . import _arrays, _core

if TYPE_CHECKING:
    from typing import Literal

MOST_THREADS = 1024


def set_num_threads(n: int) -> None:
    """Sets how many threads a call may use; results are the same bits for any number.

    Parameters
    ----------
    n : int
        1 to 1024. The default is the number of processors that this process may use, or what the environment variable
        CLSTM_NUM_THREADS says.

    Examples
    --------
    >>> import clstm
    >>> before = clstm.get_num_threads()
    >>> clstm.set_num_threads(1)
    >>> clstm.get_num_threads()
    1
    >>> clstm.set_num_threads(before)
    """
    n = _arrays.size("n", n)
    if n > MOST_THREADS:
        raise _arrays.wrong(ValueError, "n", f"at most {MOST_THREADS} threads", n)
    _core.set_threads(n)


def get_num_threads() -> int:
    """How many threads a call may use.

    Returns
    -------
    int
    """
    return _core.get_threads()


def set_backend(name: Literal["auto", "native", "blas"]) -> None:
    """Chooses what computes matrix products.

    Parameters
    ----------
    name : str
        "native": the kernels of clstm. "blas": the BLAS of SciPy, which is imported now; the bits of a result may then
        depend on the batch and on the threads of the BLAS. "auto", the default: per product whatever measures fastest
        while bits depend on neither; today that is always "native".

    Raises
    ------
    ValueError
        There is no such backend.
    ImportError
        SciPy cannot be imported, or its BLAS is not as expected. The backend stays what it was.

    Examples
    --------
    >>> import clstm
    >>> clstm.set_backend("native")
    >>> clstm.set_backend("auto")
    """
    _arrays.choice("name", name, _core.BACKENDS)
    if name == "blas" and not _core.blas_loaded():
        load_blas()
    _core.set_backend(name)


def load_blas():
    """Takes the products from SciPy, which costs its import and is done when they are first wanted."""
    from scipy.linalg import cython_blas

    _core.load_blas(cython_blas.__pyx_capi__)


def show_config(mode: Literal["stdout", "dict"] = "stdout") -> dict[str, Any] | None:
    """Prints, or returns, what clstm runs on. Looks for SciPy's BLAS by importing it.

    Parameters
    ----------
    mode : str
        "stdout": prints. "dict": returns a dict.

    Returns
    -------
    dict or None

    Examples
    --------
    >>> import clstm
    >>> sorted(clstm.show_config(mode="dict"))
    ['backend', 'blas', 'isa', 'isas available', 'processors', 'threads', 'versions']
    """
    _arrays.choice("mode", mode, ("stdout", "dict"))
    found = configuration()
    if mode == "dict":
        return found
    for name, value in found.items():
        if isinstance(value, dict):
            value = ", ".join(f"{key} {entry}" for key, entry in value.items())
        elif isinstance(value, list):
            value = ", ".join(value)
        print(f"{name + ':':16} {value}")
    return None


def configuration():
    """What `show_config` shows."""
    import platform

    import numpy

    from . import __version__

    scipy, blas = blas_of_scipy()
    return {
        "versions": {
            "clstm": __version__,
            "Python": platform.python_version(),
            "NumPy": numpy.__version__,
            "SciPy": scipy,
        },
        "isa": _core.get_isa(),
        "isas available": _core.available_isas(),
        "backend": _core.get_backend(),
        "threads": _core.get_threads(),
        "processors": _core.cpu_count(),
        "blas": blas,
    }


def blas_of_scipy():
    """SciPy's version, and its BLAS by name or why there is none."""
    try:
        import scipy

        if not _core.blas_loaded():
            load_blas()
    except ImportError as error:
        return "not found", f"not found: {error}"
    try:
        blas = scipy.show_config(mode="dicts")["Build Dependencies"]["blas"]
        return scipy.__version__, f"{blas['name']} {blas['version']}"
    except (TypeError, KeyError):  # an older SciPy does not tell
        return scipy.__version__, "found"


def read_environment(environment):
    """Applies the environment variables; raises ValueError for what cannot be."""
    threads = environment.get("CLSTM_NUM_THREADS")
    if threads:
        if not (threads.isascii() and threads.isdigit() and len(threads) < 9 and 1 <= int(threads) <= MOST_THREADS):
            raise _arrays.wrong(ValueError, "CLSTM_NUM_THREADS", f"an int from 1 to {MOST_THREADS}", repr(threads))
        _core.set_threads(int(threads))
    isa = environment.get("CLSTM_ISA")
    if isa:
        if isa not in _core.available_isas():
            known = " or ".join(map(repr, _core.available_isas()))
            raise _arrays.wrong(ValueError, "CLSTM_ISA", f"{known} on this machine", repr(isa))
        _core.set_isa(isa)


read_environment(os.environ)
