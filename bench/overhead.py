"""What the trainer's own Python costs in each step, on the smallest row of the benchmark: a network of an LSTM and an
output layer, cross-entropy, Adam.

    python -m bench overhead

Steps of `Trainer.fit` are timed beside the same calls of network, loss and optimiser in a bare loop; the difference is
the trainer's: cutting batches, checks, sums for the history, callbacks. With sizes of one nearly nothing is computed,
so that the whole step is overhead. A profile shows where it goes.
"""

from __future__ import annotations

import argparse
import cProfile
import pstats
from time import perf_counter

import numpy as np

import clstm
from clstm import _core

CLASSES = 4
SIZES = {"tiny": (16, 50, 8, 16, 300), "next to nothing": (1, 1, 1, 1, 1500)}  # N, T, I, H, steps


class Task:
    """A trainer, its data, and two ways through them."""

    def __init__(self, N: int, T: int, features: int, H: int, steps: int) -> None:
        rng = np.random.default_rng(0)
        net = clstm.Network([clstm.LSTM(features, H, rng=0), clstm.Dense(H, CLASSES, rng=1)])
        self.trainer = clstm.Trainer(net, "cross_entropy", "adam", rng=0)
        self.x = rng.standard_normal((N * steps, T, features)).astype(np.float32)
        self.y = rng.integers(CLASSES, size=(N * steps, T))
        self.N, self.steps = N, steps

    def fit(self) -> None:
        """An epoch of the trainer."""
        self.trainer.fit(self.x, self.y, epochs=1, batch_size=self.N, shuffle=False, progress=False)

    def bare(self) -> None:
        """The same steps by hand."""
        trainer, net, stepper = self.trainer, self.trainer.net, self.trainer._stepper
        for start in range(0, len(self.x), self.N):
            rows = slice(start, start + self.N)
            prediction, _, tape = net.forward(self.x[rows])
            _, dy, _ = trainer.loss.compute(prediction, self.y[rows])
            stepper.gradient.fill(0)
            net.backward(tape, dy, None, stepper.gradients, False)
            _core.global_norm(stepper.gradient)
            trainer.optimizer.update(net.flat_parameters, stepper.gradient, trainer.optimizer_state)

    def microseconds(self, run, rounds: int) -> float:
        """Of a step, the least of some rounds."""
        times = []
        for _ in range(rounds):
            started = perf_counter()
            run()
            times.append(perf_counter() - started)
        return 1e6 * min(times) / self.steps


def main(arguments: list[str]) -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="bench overhead", description=__doc__.split("\n\n")[0])
    parser.add_argument("--rounds", type=int, default=15, help="default: 15")
    parser.add_argument("--lines", type=int, default=15, help="of the profile; default: 15")
    args = parser.parse_args(arguments)
    clstm.set_num_threads(1)
    for name, sizes in SIZES.items():
        task = Task(*sizes)
        whole, bare = (task.microseconds(run, args.rounds) for run in (task.fit, task.bare))
        print(f"{name:16} {whole:7.1f} us a step, by hand {bare:7.1f} us: the trainer takes {whole - bare:.1f} us")
    profile = cProfile.Profile()
    profile.runcall(task.fit)
    print(f"\n{name}, {task.steps} steps, under a profiler, which makes calls several times as dear:")
    pstats.Stats(profile).sort_stats("tottime").print_stats(args.lines)
    return 0
