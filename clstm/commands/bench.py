"""`clstm bench`: how fast this machine trains and runs LSTMs, in a few seconds."""

from __future__ import annotations

import platform
import time
from typing import NamedTuple

import numpy as np

from .. import LSTM, get_num_threads, set_num_threads, show_config
from ..config import MOST_THREADS
from ..progress import bar
from .arguments import positive, positive_number
from .errors import UsageError
from .text import field, percent, print_json, table

DESCRIPTION = """\
Measure how fast this machine trains and runs LSTMs: a few sizes, about ten
seconds. For each, the best of several runs.

A training step is forward and exact back-propagation through time, with the
gradients of all weights. GFLOP/s are those of its products alone, so that they
compare with the peak: that of NumPy's product of large matrices, with as many
threads as NumPy takes.
"""
EXAMPLES = """\
examples:
  clstm bench
      with all cores that this process may use
  clstm bench --threads 1
      with one; set OPENBLAS_NUM_THREADS=1 to limit NumPy's peak too
  clstm bench --json > this_machine.json
      for another program
"""


class Size(NamedTuple):
    """T steps of N sequences, I inputs, H hidden units."""

    T: int
    N: int
    I: int
    H: int

    @property
    def flops(self):
        """Of the products, forward; backward takes twice as many."""
        return 2 * 4 * self.H * (self.I + self.H) * self.T * self.N


SIZES = (
    Size(50, 16, 8, 16),
    Size(100, 32, 32, 64),
    Size(28, 128, 28, 128),
    Size(35, 20, 200, 200),
    Size(200, 1, 64, 128),
)
STREAMS = (16, 64, 128, 256)  # hidden units, and inputs, of a layer that takes one step a call
SECONDS = 0.4
STEPS = 100  # in a row, so that the clock can see them
UNITS = ((1, "s"), (1e-3, "ms"), (1e-6, "us"), (1e-9, "ns"))
MATRIX = 768  # rows and columns of those whose product is the peak


def add_arguments(parser):
    """What `clstm bench` takes."""
    parser.add_argument("--threads", type=positive, metavar="N", help="how many to use; default: one for each core")
    text = "seconds to measure for each figure (%(default)s)"
    parser.add_argument("--seconds", type=positive_number, default=SECONDS, metavar="S", help=text)
    parser.add_argument("--json", action="store_true", help="print everything as JSON, and nothing else")


def run(args):
    """The command."""
    before = get_num_threads()
    if args.threads is not None:
        if args.threads > MOST_THREADS:
            raise UsageError(f"argument --threads: expected at most {MOST_THREADS}, got {args.threads}")
        set_num_threads(args.threads)
    try:
        found = measured(args.seconds)
    finally:
        set_num_threads(before)
    if args.json:
        print_json(found)
    else:
        print(*lines(found), sep="\n")


def measured(seconds):
    """All figures, as a dict for JSON."""
    config = show_config("dict")
    rng = np.random.default_rng(0)
    figures = 1 + 2 * len(SIZES) + len(STREAMS)
    with bar(figures, wanted=True, unit="figure") as progress:
        matrices = rng.standard_normal((2, MATRIX, MATRIX)).astype(np.float32)
        peak = 2e-9 * MATRIX**3 / best(lambda: matrices[0] @ matrices[1], seconds)
        progress.update()
        layers = []
        for size in SIZES:
            layers.append(layer_figures(size, seconds, rng))
            progress.update(2)
        streams = []
        for hidden in STREAMS:
            streams.append({"H": hidden, "seconds": step_seconds(hidden, seconds, rng)})
            progress.update()
    return {
        "machine": {"processor": platform.machine(), "system": platform.platform(), **config},
        "numpy_sgemm_gflops": peak,
        "layers": layers,
        "steps": streams,
    }


def layer_figures(size, seconds, rng):
    """Time and rate of training and of inference with one layer."""
    layer = LSTM(size.I, size.H, rng=rng)
    x = rng.standard_normal((size.N, size.T, size.I)).astype(np.float32)
    dy = rng.standard_normal((size.N, size.T, size.H)).astype(np.float32)
    grads = {name: np.zeros_like(value) for name, value in layer.parameters().items()}

    def train():
        _, _, tape = layer.forward(x)
        layer.backward(tape, dy, grads=grads)

    training, inference = best(train, seconds), best(lambda: layer(x), seconds)
    return {
        **size._asdict(),
        "train_seconds": training,
        "train_gflops": 3e-9 * size.flops / training,
        "infer_seconds": inference,
        "infer_gflops": 1e-9 * size.flops / inference,
    }


def step_seconds(hidden, seconds, rng):
    """Of one step of one sequence, whose state is kept between calls."""
    stream = LSTM(hidden, hidden, rng=rng).stream()
    x = rng.standard_normal((1, hidden)).astype(np.float32)
    out = np.empty((1, hidden), np.float32)

    def steps():
        for _ in range(STEPS):
            stream.step(x, out)

    return best(steps, seconds) / STEPS


def best(call, seconds):
    """The least time of a call, of as many as fit, at least three; the first one, which warms up, does not count."""
    call()
    times, end = [], time.perf_counter() + seconds
    while len(times) < 3 or time.perf_counter() < end:
        begin = time.perf_counter()
        call()
        times.append(time.perf_counter() - begin)
    return min(times)


# Text


def lines(found):
    """The report."""
    machine, peak = found["machine"], found["numpy_sgemm_gflops"]
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    rows = [["T", "N", "I", "H", "train", "GFLOP/s", "of peak", "infer", "GFLOP/s"]]
    for row in found["layers"]:
        rate = row["train_gflops"]
        sizes = [str(row[name]) for name in Size._fields]
        training = [duration(row["train_seconds"]), f"{rate:.1f}", percent(rate / peak)]
        rows.append([*sizes, *training, duration(row["infer_seconds"]), f"{row['infer_gflops']:.1f}"])
    steps = [[f"{row['H']} units", duration(row["seconds"])] for row in found["steps"]]
    return [
        "This machine",
        field("system", machine["system"]),
        field("instructions", machine["isa"]),
        field("threads", f"{machine['threads']} of {machine['processors']}"),
        field("versions", versions),
        field("peak", f"{peak:.0f} GFLOP/s, NumPy's product of float32 matrices of {MATRIX} x {MATRIX}"),
        "",
        "One LSTM layer, T steps of N sequences, I inputs, H units",
        "",
        *table(rows),
        "",
        "One step of one sequence, by a call from Python, as many inputs as units",
        "",
        *table(steps),
    ]


def duration(seconds):
    """A time with three digits."""
    scale, unit = next((scale, unit) for scale, unit in UNITS if seconds >= scale or scale == UNITS[-1][0])
    value = seconds / scale
    return f"{value:.{(value < 9.995) + (value < 99.95)}f} {unit}"
