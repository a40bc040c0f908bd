"""What it takes to have an LSTM at all: bytes to download, bytes on disk, and the time and memory of an import.

    python -m bench sizes --page docs/_drawings/sizes.md

Each library is installed by pip, with everything it needs, into an environment of its own, and imported there in fresh
processes; the least of ten times counts. PyTorch is the build without CUDA, where pip knows an index that has it.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import statistics
import subprocess
import sys
import tempfile
import venv
from pathlib import Path
from typing import NamedTuple

from . import machine
from .page import unbroken
from .report import render
from .results import write_whole
from .tables import Table

ROOT = Path(__file__).resolve().parents[1]
OUT = "build/bench/sizes.json"
ROUNDS = 10
MB = 1e6
CLSTM = "clstm"


class Library(NamedTuple):
    """What pip installs, what is imported, and whether it can train; `note` is for the table."""

    requirements: list[str]
    module: str
    trains: bool = True


LIBRARIES = {
    CLSTM: Library([str(ROOT)], "clstm"),
    "ONNX Runtime": Library(["onnxruntime"], "onnxruntime", trains=False),
    "JAX": Library(["jax"], "jax"),
    "PyTorch": Library(["torch==2.13.0"], "torch"),
    "Keras on TensorFlow": Library(["keras", "tensorflow-cpu"], "keras"),
}
HEADER = ["", "version", "download", "on disk", "import", "memory", "trains"]
NOTE = (
    "Each with all that pip installs for it. Download: wheels, as pip gets them. On disk: after installation, without "
    "compiled Python files. Import: time of the processor, the least of ten fresh processes. Memory: the most of such "
    "a process, resident."
)
IMPORT = """
import sys, time
started = time.process_time()
import {module}
seconds = time.process_time() - started
import importlib.metadata, json, resource
mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)
print(json.dumps([seconds, mib, str({module}.__version__)]))
"""


def measured(library: Library) -> dict:
    """Installs a library and measures it; a failure of pip or of the import raises."""
    with tempfile.TemporaryDirectory(prefix="bench-sizes-") as temporary:
        wheels, place = Path(temporary) / "wheels", Path(temporary) / "venv"
        pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
        call(*pip, "wheel", "--wheel-dir", wheels, *library.requirements)
        venv.create(place)
        python = place / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
        options = ("--no-compile", "--no-deps", "--no-index")
        call(*pip, "--python", python, "install", *options, *wheels.iterdir())
        on_disk = size(place)
        found = [imported(python, library.module) for _ in range(ROUNDS + 1)][1:]  # the first one compiles
        seconds, memory, versions = zip(*found)
        return {
            "version": versions[0],
            "download": size(wheels),
            "on_disk": on_disk,
            "import_seconds": min(seconds),
            "import_mib": statistics.median(memory),
            "trains": library.trains,
        }


def imported(python, module):
    """Seconds, MiB and version of an import in a fresh process."""
    return json.loads(call(python, "-c", IMPORT.format(module=module)).splitlines()[-1])


def call(*command):
    """Runs a command and returns what it prints; a failure shows its errors. Python keeps what it compiles."""
    env = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, env=env)
    if done.returncode:
        raise SystemExit(f"bench: {' '.join(map(str, command[:5]))} ... failed:\n{done.stderr}")
    return done.stdout


def size(folder):
    """Bytes of all files of a folder; links do not count."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink())


def table(found: dict) -> Table:
    """A row for each library."""
    rows = [
        [
            name,
            one["version"],
            f"{one['download'] / MB:.0f} MB",
            f"{one['on_disk'] / MB:.0f} MB",
            f"{one['import_seconds']:.2f} s",
            f"{one['import_mib']:.0f} MiB",
            "yes" if one["trains"] else "no",
        ]
        for name, one in found["libraries"].items()
    ]
    return Table("What an import costs", HEADER, rows, NOTE)


def page(found: dict) -> str:
    """The table as Markdown, with when and where it was measured."""
    facts = found["machine"]
    where = f"Measured on {found['date'][:10]} on {facts['cpu']}, {facts['system']}, Python {facts['python']}."
    return f"{where}\n\n#{render(unbroken(table(found)))}\n"


def main(arguments=None) -> int:
    """The command; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="bench sizes", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--libraries", help=f"some of: {', '.join(LIBRARIES)}; default: all; keeps the others")
    parser.add_argument("--out", default=OUT, help=f"JSON file; default: {OUT}")
    parser.add_argument("--page", metavar="FILE", help="also writes the table as Markdown")
    args = parser.parse_args(arguments)
    wanted = [name.strip() for name in args.libraries.split(",")] if args.libraries else list(LIBRARIES)
    if unknown := [name for name in wanted if name not in LIBRARIES]:
        parser.error(f"no library is named {', '.join(unknown)}; there are {', '.join(LIBRARIES)}")
    kept = json.loads(Path(args.out).read_text(encoding="utf-8"))["libraries"] if Path(args.out).exists() else {}
    found = {"date": datetime.date.today().isoformat(), "machine": machine.facts(), "libraries": {}}
    for name in LIBRARIES:
        if name in wanted or name in kept:
            found["libraries"][name] = measured(LIBRARIES[name]) if name in wanted else kept[name]
            print(name, found["libraries"][name], flush=True)
            write_whole(args.out, json.dumps(found, indent=1) + "\n")
    print("\n" + render(table(found)))
    if args.page:
        Path(args.page).write_text(page(found), encoding="utf-8")
    return 0
