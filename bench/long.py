"""Checkpoints in time: what a budget of memory costs in time, and what is really held.

    python -m bench.long                             T = 10,000, N 8, I 32, H 128
    python -m bench.long --steps 1000 --rounds 3     another length, fewer turns

A step of training (forward, and backward with all gradients) with the usual tape and with smaller budgets, on one
thread. Time: the budgets take turns in one process, each with a layer of its own, so that each finds the memory of its
last step again; the ratio is the median of those to the usual step of the same turn. Memory: each budget in a process
of its own, by what the system says that it held at most, less what it held before the step; that includes y and dx,
which do not depend on the budget, and are shown in the first line.
"""

from __future__ import annotations

import argparse
import copy
import json
import statistics
import subprocess
import sys
from time import perf_counter

import numpy as np

import clstm
from clstm.budget import Call

FRACTIONS = (2, 5, 20, 50)


class Problem:
    """A layer, a batch, and the gradient of its outputs."""

    def __init__(self, T: int, N: int, I: int, H: int) -> None:
        clstm.set_num_threads(1)
        rng = np.random.default_rng(0)
        self.x = rng.standard_normal((N, T, I), np.float32)  # no larger array before
        self.dy = rng.standard_normal((N, T, H), np.float32)
        self.layer = clstm.LSTM(I, H, rng=0)
        self.call = Call(self.layer, N, T, None, None, False)
        self.results = self.dy.nbytes + self.x.nbytes  # y and dx are as large

    def budgets(self) -> dict[str, int]:
        """By name, the usual tape first."""
        usual, least = self.call.usual(), self.call.least()
        found = {f"1/{k}": usual // k for k in FRACTIONS if usual // k > least}
        return {"usual": usual, **found, "least": least}

    def step(self, layer: clstm.LSTM, memory: int, steps: int | None = None) -> None:
        """One step of training, of some of the time."""
        _, _, tape = layer.forward(self.x[:, :steps], memory=memory)
        layer.backward(tape, self.dy[:, :steps])


def times_of(problem: Problem, rounds: int) -> dict[str, list[float]]:
    """Seconds of a step by budget, one for each turn; the first turn, which is not counted, fetches memory."""
    budgets = problem.budgets()
    layers = {name: copy.deepcopy(problem.layer) for name in budgets}
    times: dict[str, list[float]] = {name: [] for name in budgets}
    for turn in range(rounds + 1):
        for name, memory in budgets.items():
            started = perf_counter()
            problem.step(layers[name], memory)
            if turn:
                times[name].append(perf_counter() - started)
    return times


def held_by(problem: Problem, memory: int) -> int:
    """Bytes by which this process has grown at most in a step; to be asked once in a process."""
    import resource  # Windows has none

    unit = 1 if sys.platform == "darwin" else 1024
    problem.step(problem.layer, 10**12, steps=2)  # makes what is made once
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    problem.step(problem.layer, memory)
    return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * unit


def held_in_processes(problem: Problem, sizes: list[int]) -> dict[str, int]:
    """The same for each budget, in a process of its own."""
    found = {}
    for name, memory in problem.budgets().items():
        command = [sys.executable, __file__, "--held", str(memory), "--sizes", *map(str, sizes)]
        found[name] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return found


def report(problem: Problem, times: dict[str, list[float]], held: dict[str, int]) -> str:
    """A line for each budget."""
    lines = [f"y and dx: {problem.results / 1e6:.1f} MB", "budget    chunks      MB   part   held MB      ms  ratio"]
    for name, memory in problem.budgets().items():
        ratio = statistics.median(own / usual for own, usual in zip(times[name], times["usual"], strict=True))
        part = problem.call.usual() / memory
        sizes = f"{memory / 1e6:7.1f} {f'1/{part:.0f}':>6} {held[name] / 1e6:9.1f}"
        lines.append(f"{name:8} {problem.call.chunks(memory):7} {sizes} {1e3 * min(times[name]):7.0f} {ratio:6.2f}")
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    """The command; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, help="T; the other sizes are as usual")
    parser.add_argument("--sizes", type=int, nargs=4, metavar=("T", "N", "I", "H"), default=[10_000, 8, 32, 128])
    parser.add_argument("--rounds", type=int, default=7, help="turns of the budgets; default: 7")
    parser.add_argument("--held", type=int, metavar="BYTES", help=argparse.SUPPRESS)  # for the process of one budget
    args = parser.parse_args(arguments)
    sizes = [args.steps or args.sizes[0], *args.sizes[1:]]
    problem = Problem(*sizes)
    if args.held:
        print(held_by(problem, args.held))
        return 0
    held = held_in_processes(problem, sizes)  # first: a process inherits the maximum of the one that starts it
    print(report(problem, times_of(problem, args.rounds), held))
    return 0


if __name__ == "__main__":
    sys.exit(main())
