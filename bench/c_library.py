"""Compiles the small C programs of the benchmark, which time what Python would disturb."""

from __future__ import annotations

import ctypes
import hashlib
import os
import shlex
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

FOLDER = Path("build/bench")  # libraries are kept there: the core takes a minute


def build_and_load(name: str, sources: list[Path], options: list[str]) -> ctypes.CDLL:
    """A shared library from C files, built when it is missing or a file has changed.

    Parameters
    ----------
    name : str
    sources : list of Path
    options : list of str
        For the compiler.

    Raises
    ------
    FileNotFoundError
        There is no C compiler.
    RuntimeError
        It fails.
    """
    compiler = find_compiler()
    digest = hashlib.sha256(" ".join([compiler, *options]).encode())
    for source in sources:
        digest.update(source.read_bytes())
    target = FOLDER.resolve() / f"{name}-{digest.hexdigest()[:16]}.so"
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        build([*shlex.split(compiler), "-fPIC", *options], sources, target)
    return ctypes.CDLL(str(target))


def find_compiler():
    for name in (os.environ.get("CC"), "cc", "gcc", "clang"):
        if name and shutil.which(shlex.split(name)[0]):
            return name
    raise FileNotFoundError("no C compiler found (tried $CC, cc, gcc and clang)")


def build(command, sources, target):
    folder = target.with_suffix(".objects")
    folder.mkdir(exist_ok=True)
    objects = [folder / f"{number}.o" for number in range(len(sources))]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(lambda pair: execute([*command, "-c", pair[0], "-o", pair[1]]), zip(sources, objects)))
    unfinished = target.with_suffix(".new")
    execute([*command, "-shared", *objects, "-o", unfinished, "-lm", "-pthread"])
    unfinished.replace(target)
    shutil.rmtree(folder)


def execute(command):
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(map(str, command))}: {done.stderr.strip() or done.returncode}")
