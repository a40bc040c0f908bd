"""Times clstm beside every other LSTM that is installed, on the same weights and the same work.

Without a command, measures: engines take turns, each in a process of its own, after a check that the machine is quiet;
what the machine can do at most is measured beside them. Prints a line for each row and tables at the end, and writes
everything to a JSON file, tables for the documentation, and plots. bench/README.md tells the method.
"""

from __future__ import annotations

import argparse
import sys
from importlib import import_module
from pathlib import Path

from .engines import ENGINES
from .rows import all_rows, hurried, select

OUT = "build/bench/results.json"
VARIANTS_OUT = "build/bench/variants.json"
# Commands with arguments of their own, and their modules
OTHERS = {
    "tasks": ".tasks",
    "tasks_1997": ".trials.command",
    "losses": ".losses",
    "characters": ".characters",
    "overhead": ".overhead",
    "sizes": ".sizes",
}
EXAMPLES = """examples:
  python -m bench                                        everything; takes the better part of an hour
  python -m bench --rows train:small,step:* --threads 1  some rows
  python -m bench --rows train --engines clstm,torch     one kind, two engines
  python -m bench --rows train:wide --update             measures a row again, and keeps the others
  python -m bench --quick --rows train:tiny              does it run at all?
  python -m bench variants                               what GRU, peepholes, dropout ... cost; loops in PyTorch
  python -m bench report results.json                    prints the tables again
  python -m bench targets results.json                   compares with what the project promises itself
  python -m bench plot results.json --plots docs/_drawings
  python -m bench losses --help                          another command: losses against those of other packages
  python -m bench tasks --help                           another command: what people do with LSTMs, on real data
  python -m bench tasks_1997 --help                      another command: does an LSTM learn what it should?
  python -m bench characters --text tinyshakespeare.txt  another command: a whole training, beside PyTorch
  python -m bench overhead                               another command: what the trainer's own Python costs
  python -m bench sizes                                  another command: what the libraries take to install and import

kinds of rows: {kinds}
engines: {engines}"""


def parser() -> argparse.ArgumentParser:
    kinds = ", ".join(dict.fromkeys(row.kind for row in all_rows()))
    found = argparse.ArgumentParser(
        prog="bench",
        description=__doc__,
        epilog=EXAMPLES.format(kinds=kinds, engines=", ".join(ENGINES)),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = ("run", "variants", "report", "targets", "plot")
    found.add_argument("command", nargs="?", default="run", choices=commands, help="default: run")
    found.add_argument("results", nargs="?", help=f"JSON file for the other commands; default: {OUT}")
    found.add_argument("--rows", type=listed, help="kind:name, with * and ?; kind alone is all of it; default: all")
    found.add_argument("--engines", type=engine_names, default=list(ENGINES), help="default: all that are installed")
    found.add_argument("--threads", type=counts, default=[1, 2], help="default: 1,2")
    found.add_argument("--rounds", type=count, default=7, help="how often the engines take turns; default: 7")
    found.add_argument("--quick", action="store_true", help="hardly measures: figures mean nothing")
    found.add_argument("--sweep-engines", type=engine_names, default=["clstm"], help="default: clstm")
    found.add_argument("--text", metavar="FILE", help="text for the epochs; default: an invented one")
    found.add_argument("--epoch-batches", type=count, help="batches of an epoch; default: 50, and 400 for the tiny one")
    found.add_argument(
        "--wait", type=float, default=600, help="seconds to wait for a quiet machine, in all; default: 600"
    )
    found.add_argument("--no-limits", action="store_true", help="does not measure what the machine can do")
    found.add_argument(
        "--update", action="store_true", help="keeps the rows of the JSON file that are not measured now"
    )
    found.add_argument("--list", action="store_true", help="prints the rows that are selected, and ends")
    found.add_argument("--out", help=f"JSON file; default: {OUT}, and {VARIANTS_OUT} for variants")
    found.add_argument("--plots", metavar="FOLDER", help="default: that of the JSON file")
    return found


def listed(text):
    return [part.strip() for part in text.split(",") if part.strip()]


def engine_names(text):
    names = listed(text)
    unknown = [name for name in names if name not in ENGINES]
    if unknown:
        raise argparse.ArgumentTypeError(f"no engine is named {', '.join(unknown)}; there are {', '.join(ENGINES)}")
    return names


def count(text):
    if not (text.isascii() and text.isdigit() and int(text) > 0):
        raise argparse.ArgumentTypeError(f"expected a number from 1, got {text!r}")
    return int(text)


def counts(text):
    return [count(part) for part in listed(text)]


def selected(args):
    """The rows that are asked for; exits with a message if there are none."""
    if args.text and not Path(args.text).is_file():
        parser().error(f"--text: {args.text} is no file")
    rows = all_rows(args.text, args.epoch_batches, tuple(args.sweep_engines))
    try:
        rows = select(rows, args.rows or (["variant"] if args.command == "variants" else ["*:*"]))
    except ValueError as error:
        parser().error(str(error))
    return [hurried(row) for row in rows] if args.quick else rows


def measure(args, rows):
    from .run import Options, run

    options = Options(
        engines=tuple(args.engines),
        threads=tuple(args.threads),
        rounds=args.rounds,
        out=args.out,
        patience=0 if args.quick else args.wait,
        limits=not args.no_limits,
        limit_seconds=0.02 if args.quick else 0.4,
        update=args.update,
    )
    return run(rows, options)


def main(arguments=None) -> int:
    """The command; returns the exit code, which is 1 if `targets` finds one missed."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if arguments and arguments[0] in OTHERS:
        return import_module(OTHERS[arguments[0]], __package__).main(arguments[1:])
    args = parser().parse_args(arguments)
    measures = args.command in ("run", "variants")
    args.out = args.out or (VARIANTS_OUT if args.command == "variants" else OUT)
    if measures:
        rows = selected(args)
        if args.list:
            print("\n".join(row.id for row in rows))
            return 0
        results = measure(args, rows)
    else:
        results = read(args.results or args.out)
    if measures or args.command == "report":
        from . import report

        print("\n" + report.text(results))
    if measures or args.command == "plot":
        draw(results, args)
    return targets(results, args.command) if args.command in ("targets", "variants") else 0


def read(path):
    from .results import Results

    try:
        return Results.read(path)
    except (OSError, ValueError) as error:
        sys.exit(f"bench: {error}")


def draw(results, args):
    """Tables for the documentation, and plots, if matplotlib is there."""
    from . import page

    folder = Path(args.plots or Path(args.results or args.out).parent)
    for path in page.write(results, folder):
        print(f"tables: {path}")
    try:
        from . import plots
    except ImportError:
        print("\nno plots: matplotlib is not installed (extra `bench`)")
        return
    for path in plots.draw(results, folder):
        print(f"plot: {path}")


def targets(results, command):
    from . import targets
    from .report import render

    found = list(targets.variants(results)) if command == "variants" else targets.all_targets(results)
    print("\n" * (command == "variants") + render(targets.table(found)))
    return int(any(target.verdict == "missed" for target in found))


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:  # what was measured is in the file
        sys.exit(130)
