"""The command `python -m bench tasks_1997`: networks of clstm learn the tasks of the LSTM paper of 1997, and a few
later ones; the table has their figures beside the published ones. docs/explanation/tasks_1997.md tells what is what.

Trials run beside each other, each in a process of its own with one thread; they are the same bits every time. Each is
in the JSON file when it ends.
"""

from __future__ import annotations

import argparse
import contextlib
import multiprocessing
import signal
import sys
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

import clstm

from . import table
from .experiments import EXPERIMENTS, named
from .results import Results
from .settings import CELLS
from .trial import run

OUT = "build/bench/tasks_1997.json"
QUICK_SEEDS, QUICK_LIMIT = 1, 2000
EXAMPLES = f"""examples:
  python -m bench tasks_1997                          everything; about ten minutes on two cores
  python -m bench tasks_1997 --only adding,order2     two tasks
  python -m bench tasks_1997 --only reber --seeds 5   fewer trials
  python -m bench tasks_1997 --cells modern --update  some cells again; keeps the other trials of the JSON file
  python -m bench tasks_1997 --quick                  does it run at all? Hardly a task is solved
  python -m bench tasks_1997 --report                 prints the table of the JSON file
  python -m bench tasks_1997 --report --out docs/_drawings/tasks_1997.json --page docs/_drawings/tasks_1997.md

tasks: {", ".join(experiment.name for experiment in EXPERIMENTS)}
cells: {", ".join(f"{name} ({title})" for name, title in CELLS.items())}"""


def parser() -> argparse.ArgumentParser:
    found = argparse.ArgumentParser(
        prog="bench tasks_1997",
        description=__doc__,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    tasks = [experiment.name for experiment in EXPERIMENTS]
    found.add_argument("--only", type=some_of("task", tasks), default=tasks, metavar="TASK,..", help="default: all")
    found.add_argument(
        "--cells", type=some_of("cell", CELLS), default=list(CELLS), metavar="CELL,..", help="default: all"
    )
    found.add_argument("--seeds", type=count, help="trials of each task and cell; default: as in the paper, about")
    found.add_argument("--quick", action="store_true", help="one short trial of each task and cell")
    found.add_argument("--jobs", type=count, default=clstm.get_num_threads(), help="processes; default: one per core")
    found.add_argument("--update", action="store_true", help="keeps what is in the JSON file and not run again now")
    found.add_argument("--report", action="store_true", help="prints the table of the JSON file, and runs nothing")
    found.add_argument("--page", metavar="FILE", help="also writes the table, and the settings, as Markdown")
    found.add_argument("--out", default=OUT, help=f"JSON file; default: {OUT}")
    return found


def some_of(what, names):
    """A type of arguments: some of these names, with commas between them."""

    def listed(text):
        wanted = [part.strip() for part in text.split(",") if part.strip()]
        unknown = [name for name in wanted if name not in names]
        if unknown or not wanted:
            raise argparse.ArgumentTypeError(f"no {what} is named {', '.join(unknown)!r}; there are {', '.join(names)}")
        return wanted

    return listed


def count(text):
    if not (text.isascii() and text.isdigit() and int(text) > 0):
        raise argparse.ArgumentTypeError(f"expected a number from 1, got {text!r}")
    return int(text)


def main(arguments=None) -> int:
    """The command; returns the exit code."""
    args = parser().parse_args(arguments)
    results = read(args.out) if args.report else measured(args)
    print("\n" + table.text(results))
    if args.page:
        Path(args.page).write_text(table.page(results), encoding="utf-8")
    return 0


def read(path):
    try:
        return Results.read(path)
    except (OSError, ValueError) as error:
        sys.exit(f"bench: {error}")


def measured(args):
    """Runs the trials, prints a line for each, and writes the results after each."""
    results = Results.new()
    if args.update:
        with contextlib.suppress(FileNotFoundError):
            results = Results.read(args.out)
            results.stamp()
    trials = wanted(args)
    if not trials:
        parser().error(f"{', '.join(args.only)}: no trials with {', '.join(args.cells)}")
    with ProcessPoolExecutor(min(args.jobs, len(trials)), multiprocessing.get_context("spawn"), prepared) as pool:
        running = {pool.submit(run, *trial): trial for trial in trials}
        try:
            for done in as_completed(running):
                collect(results, done, running[done])
                results.write(args.out)
        finally:  # if the command is interrupted, those that wait are not begun
            pool.shutdown(wait=False, cancel_futures=True)
    return results


def prepared():
    """Of a process for trials: one thread; it ends without a word when the command is interrupted."""
    clstm.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def wanted(args) -> list[tuple]:
    """The arguments of `trial.run` for all trials, those of the longest tasks first."""
    found = []
    for experiment in map(named, args.only):
        for cell in experiment.settings:
            if cell in args.cells:
                seeds = args.seeds or (QUICK_SEEDS if args.quick else experiment.seeds[cell])
                found += [(experiment.name, cell, seed, QUICK_LIMIT if args.quick else None) for seed in range(seeds)]
    return sorted(found, key=lambda trial: -named(trial[0]).minutes)


def collect(results, done, trial):
    """Puts a trial into the results, or why there is none."""
    task, cell, seed, _ = trial
    try:
        found = done.result()
    except ImportError as error:  # of data that come with a package
        if task not in results.found["missing"]:
            print(f"{task}: left out: {error}", flush=True)
        results.found["missing"][task] = str(error)
        return
    results.put(found)
    outcome = {True: "solved after", False: "not solved after", None: "ends after"}[found["solved"]]
    test = ", ".join(f"{name} {value:.4g}" for name, value in found["test"].items())
    line = f"{task} {cell} {seed}".ljust(24)
    print(f"{line} {outcome} {found['sequences']:,} sequences, {found['seconds']} s; test: {test}", flush=True)
