"""A process of its own for each engine, so that thread pools, allocators and settings cannot disturb each other.

The parent talks to it through a pipe: ("load", row), ("time", repeats, inner), ("limits", seconds), None to end. Each
answer is ("ok", what was asked for), ("not available", why) or ("error", why).
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import time
import traceback
from itertools import repeat
from pathlib import Path

from . import data, limits, machine
from .engines import NotAvailable, engine_class

BLOCK = 0.005  # seconds that a sample takes at least: below, calls are timed in groups
STEPS_COMPARED = 5  # the state has to be right, too
COUNTS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NPROC")  # JAX reads the last


class Worker:
    """The parent's end of one process.

    Parameters
    ----------
    engine : str or None
        None: it measures limits only.
    threads : int
    """

    def __init__(self, engine: str | None, threads: int) -> None:
        environment = dict.fromkeys(COUNTS, str(threads)) | ({} if engine is None else engine_class(engine).environment)
        if threads == 1:
            environment["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false"
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=serve, args=(theirs, engine, threads), daemon=True)
        with changed_environment(environment):
            self.process.start()
        theirs.close()  # so that the end of the process is seen

    def ask(self, *message):
        """The status and the answer; a process that died is an error like others."""
        try:
            self.pipe.send(message)
            return self.pipe.recv()
        except (EOFError, OSError):
            self.process.join()
            return "error", f"its process died with exit code {self.process.exitcode}"

    def close(self):
        with contextlib.suppress(OSError):
            self.pipe.send(None)
        self.process.join(10)
        if self.process.is_alive():
            self.process.terminate()


@contextlib.contextmanager
def changed_environment(values):
    before = dict(os.environ)
    os.environ.update(values)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def serve(pipe, name, threads):
    """What the process does; an interrupt is the parent's affair."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    machine.pin(threads)
    served = Served(name, threads)
    while (message := pipe.recv()) is not None:
        try:
            pipe.send(("ok", getattr(served, message[0])(*message[1:])))
        except NotAvailable as reason:
            pipe.send(("not available", str(reason)))
        except Exception as error:
            pipe.send(("error", described(error)))


def described(error):
    """One line: what, and where in the benchmark."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "bench" in Path(frame.filename).parts]
    text = str(error).strip().partition("\n")[0]
    return f"{type(error).__name__}: {text} ({Path(frames[-1].filename).name}:{frames[-1].lineno})"


class Served:
    """An engine and the row that it is at."""

    def __init__(self, name, threads):
        self.name, self.threads = name, threads
        self.engine = self.row = self.call = None

    def load(self, row):
        """Prepares a row, runs it once, and warms up; returns what came out and how long a call takes."""
        if self.engine is None:
            self.engine = engine_class(self.name)(self.threads)
        self.call = None  # frees what the last row held
        made = data.make(row)
        started = time.perf_counter()
        self.row = row
        with self.engine.around(row):
            self.call, arrays = getattr(self.engine, row.work)(row, made)
            result = self.call()
            first = time.perf_counter() - started
            for _ in range(STEPS_COMPARED - 1 if row.work == "step" else 0):
                result = self.call()
            arrays = arrays(result)
        facts = {"first_s": first, "version": self.engine.version(), "arrays": copied(arrays)}
        return facts if row.work == "memory" else facts | {"estimate_s": self.warm_up(row.seconds / 2)}

    def warm_up(self, seconds):
        """Calls until caches, branch predictors and allocators have settled; returns the seconds of one call."""
        end, inner, each = time.perf_counter() + seconds, 1, None
        while each is None or time.perf_counter() < end:
            each = self.time(1, inner)[0]
            inner = max(1, int(BLOCK / max(each, 1e-9)))
        return each

    def time(self, repeats, inner):
        """Seconds of a call, for each of some samples of `inner` calls."""
        if self.engine.many is not None:
            return [self.engine.many(inner) for _ in range(repeats)]
        call, clock, samples = self.call, time.perf_counter, []
        with self.engine.around(self.row):
            for _ in repeat(None, repeats):
                started = clock()
                for _ in repeat(None, inner):
                    call()
                samples.append((clock() - started) / inner)
        return samples

    def limits(self, seconds):
        return limits.measure(self.threads, seconds)


def copied(arrays):
    """As NumPy's own arrays, which can be sent, and do not change when the engine goes on."""
    return {name: value.copy() if hasattr(value, "copy") else value for name, value in arrays.items()}
