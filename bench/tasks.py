"""What people do with LSTMs, on real data: runs the tasks of bench/applications, and prints what each reaches, beside
its target and simpler methods, with its time and memory.

Each seed of each task has a process of its own. A line tells its figures when it ends; the table at the end has the
median of the seeds. Both are in the JSON file, and the table in a Markdown file beside it, after each seed. Ends with
code 1 if a task failed or missed its target.
"""

from __future__ import annotations

import argparse
import datetime
import importlib
import json
import operator
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
if __package__ in (None, ""):  # run as a script
    sys.path[0] = str(ROOT)

from bench import machine  # noqa: E402
from bench.report import render  # noqa: E402
from bench.results import write_whole  # noqa: E402
from bench.tables import MISSING, Table  # noqa: E402

FOLDER = ROOT / "bench" / "applications"
OUT = "build/bench/tasks.json"
KIND, FORMAT = "applications", 1
PACKAGES = ("numpy", "scipy", "scikit-learn", "optuna", "seqeval", "sacrebleu")
OPERATORS = {">=": operator.ge, "<=": operator.le}
CONDITION = re.compile(r"\s*(\S.*?)\s*(>=|<=)\s*(-?\d+(?:\.\d+)?)\s*")
HEADER = ["task", "figure", "median", "seeds", "target", "", "others", "time", "memory"]
NOTE = (
    "Median: of all seeds. Others: what simpler or published methods reach on the same split. Time: of one core, for "
    "training and testing once, the median; memory: the most that a process took, Python and its libraries included."
)


class Condition(NamedTuple):
    """What a figure has to reach: `figure` `sign` `value`."""

    figure: str
    sign: str
    value: float

    def holds(self, found: float) -> bool:
        """Whether this figure reaches it; NaN never does."""
        return OPERATORS[self.sign](found, self.value)


def conditions(target: str) -> list[Condition]:
    """The conditions of a text such as ``"windows found >= 4, false alarms <= 2"``."""
    parts = [CONDITION.fullmatch(part) for part in target.split(",")]
    if None in parts:
        raise ValueError(
            f"TARGET is {target!r}; expected 'figure >= number' or 'figure <= number', separated by commas"
        )
    return [Condition(part[1], part[2], float(part[3])) for part in parts]


def names(folder=FOLDER) -> list[str]:
    """All tasks."""
    return sorted(path.stem for path in Path(folder).glob("*.py") if not path.stem.startswith("_"))


# One task with one seed, in a process of its own


def work(folder, task, seed, out):
    """Runs a task, and writes what it reached, and what that took, to a file."""
    sys.path[:0] = [str(folder), str(ROOT / "docs" / "data")]
    module = importlib.import_module(task)
    started, used = time.perf_counter(), cpu_seconds()
    figures = {name: float(value) for name, value in module.run(seed).items()}
    missing = [condition.figure for condition in conditions(module.TARGET) if condition.figure not in figures]
    if missing:
        raise ValueError(f"{task}.run returned {', '.join(figures)}; TARGET names {', '.join(missing)}")
    found = {
        "figures": figures,
        "seconds": round(time.perf_counter() - started, 2),
        "cpu_seconds": round(cpu_seconds() - used, 2),
        "peak_mib": peak_mib(),
        "title": (module.__doc__ or "").strip().partition("\n")[0].rstrip("."),
        "target": module.TARGET,
        "unit": getattr(module, "UNIT", ""),
        "baselines": dict(getattr(module, "BASELINES", {})),
    }
    Path(out).write_text(json.dumps(found), encoding="utf-8")


def cpu_seconds():
    """Of this process, and of those that it waited for."""
    spent = os.times()
    return spent.user + spent.system + spent.children_user + spent.children_system


def peak_mib():
    """The most memory that this process had, or one that it waited for; None on Windows."""
    try:
        import resource
    except ImportError:
        return None
    most = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return round(most / (2**20 if sys.platform == "darwin" else 2**10))


def run_in_process(task, seed, threads, folder=FOLDER) -> dict:
    """What `work` finds; {"failed": the last lines of its errors} if it fails."""
    with tempfile.TemporaryDirectory() as temporary:
        out = Path(temporary) / "found.json"
        done = subprocess.run(
            [sys.executable, str(Path(__file__).resolve()), "--work", str(folder), task, str(seed), str(out)],
            env={**os.environ, "CLSTM_NUM_THREADS": str(threads), "OPENBLAS_NUM_THREADS": str(threads)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        if done.returncode or not out.exists():
            return {"failed": "\n".join(done.stderr.strip().splitlines()[-8:]) or f"exit code {done.returncode}"}
        return json.loads(out.read_text(encoding="utf-8"))


# Results


def new_results(threads) -> dict:
    """Without tasks, of this machine."""
    return {
        "format": FORMAT,
        "kind": KIND,
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "machine": machine.facts(),
        "versions": {name: found for name in PACKAGES if (found := installed(name))},
        "threads": threads,
        "tasks": {},
    }


def installed(package):
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def read(path) -> dict:
    """A file that `write` wrote; ends the program with a message if it is none."""
    try:
        found = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        sys.exit(f"bench: {error}")
    if not isinstance(found, dict) or (found.get("kind"), found.get("format")) != (KIND, FORMAT):
        sys.exit(f"bench: {path}: expected results of the tasks in format {FORMAT}")
    return found


def write(results, path):
    """JSON, and the table as Markdown beside it."""
    write_whole(path, json.dumps(results, indent=1) + "\n")
    write_whole(Path(path).with_suffix(".md"), page(results))


def rows(task, trials) -> list[list[str]]:
    """The rows of a task: one for each figure of its target."""
    done = [trial for trial in trials.values() if "failed" not in trial]
    if not done:
        return [[task, "failed", *[MISSING] * (len(HEADER) - 2)]]
    last, made = done[-1], []
    for number, condition in enumerate(conditions(last["target"])):
        found = [trial["figures"][condition.figure] for trial in done]
        median = statistics.median(found)
        unit = f" ({last['unit']})" if last["unit"] and not number else ""
        others = (
            "; ".join(f"{name}: {figure(value)}" for name, value in last["baselines"].items()) if not number else ""
        )
        made.append(
            [
                "" if number else task,
                condition.figure + unit,
                figure(median),
                " ".join(map(figure, found)),
                f"{condition.sign} {figure(condition.value)}",
                verdict(condition.holds(median), len(done) < len(trials)),
                others or MISSING,
                "" if number else seconds(statistics.median(trial["cpu_seconds"] for trial in done)),
                "" if number else memory(done),
            ]
        )
    return made


def verdict(holds, incomplete):
    return "failed" if incomplete else "met" if holds else "missed"


def memory(trials):
    most = [trial["peak_mib"] for trial in trials if trial["peak_mib"] is not None]
    return f"{max(most)} MiB" if most else MISSING


def seconds(value):
    return f"{value:.0f} s" if value >= 10 else f"{value:.1f} s"


def figure(value):
    return f"{value:.4g}"


def table(results) -> Table:
    """All tasks that were run."""
    made = [row for task in sorted(results["tasks"]) for row in rows(task, results["tasks"][task]["seeds"])]
    return Table("Each task", HEADER, made, NOTE)


def page(results) -> str:
    """The table as Markdown, with when and where it was measured."""
    facts = results["machine"]
    packages = ", ".join(f"{name} {found}" for name, found in results["versions"].items())
    threads = f"{results['threads']} thread{'s' * (results['threads'] > 1)}"
    where = f"{results['date'][:10]}, {facts['cpu']}, {threads}, Python {facts['python']}, {packages}."
    return f"{where}\n\n#{render(unbroken(table(results)))}\n"


def unbroken(table):
    """Figures stay in one line with their units and signs."""
    rows = [
        [re.sub(r"(?<=\d) (?=s$|MiB$)|(?<=[<>]=) ", "\N{NO-BREAK SPACE}", cell) for cell in row] for row in table.rows
    ]
    return table._replace(rows=rows)


def is_met(results) -> bool:
    """Whether no task failed and none missed its target."""
    return all(row[HEADER.index("target") + 1] == "met" for row in table(results).rows)


# The command


def parser(folder=FOLDER) -> argparse.ArgumentParser:
    found = argparse.ArgumentParser(
        prog="bench tasks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    found.add_argument("--tasks", type=some_of(names(folder)), help=f"default: all, {', '.join(names(folder))}")
    found.add_argument("--seeds", type=count, default=3, help="how many: 0, 1, ...; default: 3")
    found.add_argument("--threads", type=count, default=1, help="of clstm; default: 1")
    found.add_argument("--update", action="store_true", help="keeps the other tasks of the JSON file")
    found.add_argument("--report", action="store_true", help="prints the table of the JSON file, and runs nothing")
    found.add_argument("--out", default=OUT, help=f"JSON file; default: {OUT}")
    return found


def some_of(known):
    """A type of arguments: some of these names, with commas between them."""

    def listed(text):
        wanted = [part.strip() for part in text.split(",") if part.strip()]
        unknown = [name for name in wanted if name not in known]
        if unknown or not wanted:
            raise argparse.ArgumentTypeError(f"no task is named {', '.join(unknown)!r}; there are {', '.join(known)}")
        return wanted

    return listed


def count(text):
    if not (text.isascii() and text.isdigit() and int(text) > 0):
        raise argparse.ArgumentTypeError(f"expected a number from 1, got {text!r}")
    return int(text)


def main(arguments=None, folder=FOLDER) -> int:
    """The command; returns the exit code."""
    args = parser(folder).parse_args(arguments)
    if args.report:
        results = read(args.out)
    else:
        results = new_results(args.threads)
        if args.update and Path(args.out).exists():
            results["tasks"] = read(args.out)["tasks"]
        run(results, args, folder)
    print("\n" + render(table(results)))
    return 0 if is_met(results) else 1


def run(results, args, folder):
    """Runs the tasks, prints a line for each seed, and writes everything after each."""
    for task in args.tasks or names(folder):
        seeds = results["tasks"][task] = {"seeds": {}}
        for seed in range(args.seeds):
            found = run_in_process(task, seed, args.threads, folder)
            seeds["seeds"][str(seed)] = found
            print(line(task, seed, found), flush=True)
            write(results, args.out)


def line(task, seed, found) -> str:
    """A seed in one line."""
    start = f"{task} {seed}".ljust(28)
    if "failed" in found:
        return f"{start} failed:\n{found['failed']}"
    figures = ", ".join(f"{name} {figure(value)}" for name, value in found["figures"].items())
    peak = "" if found["peak_mib"] is None else f", {found['peak_mib']} MiB"
    return f"{start} {figures}; {found['seconds']:.1f} s ({found['cpu_seconds']:.1f} s of one core){peak}"


if __name__ == "__main__":
    if sys.argv[1:2] == ["--work"]:
        folder, task, seed, out = sys.argv[2:]
        work(folder, task, int(seed), out)
    else:
        try:
            sys.exit(main())
        except KeyboardInterrupt:  # what was measured is in the file
            sys.exit(130)
