"""What the project promises itself: the figures a run is compared with. Ratios are clstm against the best peer, medians
of one run."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from . import sweeps
from .results import Results, gigaflops, ratio
from .rows import STEP_SIZES
from .tables import COMPARED, Table, cost, loop_ratio, number, scaling, slowdown
from .variants import VARIANTS

TRAINING = {  # ratio with 1 thread, with 2 threads
    "small": (1.25, 1.15),
    "char-LM": (1.2, 1.3),
    "PTB-medium": (1.12, 1.05),
    "row-MNIST": (1.2, 1.1),
    "pixel-MNIST": (1.6, 1.6),
    "wide": (1.04, 1.04),
    "bidirectional": (1.1, 1.1),
    "tiny": (4, 4),
    "batch-1": (1.5, 1.5),
}
PEAK = {  # share of the sgemm peak, training, 1 thread
    "char-LM": 0.95,
    "PTB-medium": 0.95,
    "wide": 0.95,
    "small": 0.85,
    "row-MNIST": 0.85,
    "bidirectional": 0.85,
}
INFERENCE = dict.fromkeys(TRAINING, 1.0) | {"small": 1.3, "tiny": 1.3, "batch-1": 1.3}
STEP_MICROSECONDS = {16: 0.7, 32: 1.0, 64: 2.2}
STEP_LIMIT = {128: 1.2, 256: 1.2, 512: 1.2}  # time by that of reading the weights once
ABOVE_KERNEL_MICROSECONDS = 0.5
TWO_THREADS = {"char-LM": 1.85, "PTB-medium": 1.85, "wide": 1.85, "bidirectional": 1.85}
NEVER_BELOW = 1.0  # two threads against one, any row
NOISE = 0.03  # of the least of many ratios that are 1 where a second thread is not used
PACKED, PADDED = 4.0, 2.0  # ragged training, against PyTorch's two ways
FOLLOWS_LENGTHS = 1.15  # a valid step against one where all lengths are equal: edges of a batch cost a little
EPOCH = {"char-LM": 1.25, "tiny": 5.0}
LARGE = ("char-LM", "PTB-medium", "wide", "bidirectional", "row-MNIST", "pixel-MNIST")
AVX2 = 0.88
FLOAT64_RATE, FLOAT64_TORCH = 0.45, 1.4
DENORMALS = 1.1
NO_COST = ("peephole", "coupled", "clip", "cell_clip", "zoneout", "dropout", "input_dropout")
VARIANT_COST = {  # time by that of the plain LSTM, char-LM
    **dict.fromkeys((*NO_COST, "recurrent_dropout", "weight_drop"), 1.1),
    "layer_norm": 1.35,
    "GRU": 0.85,
    "proj_size": 1.0,
}
LOOPS = {"char-LM": 1.9, "small": 5, "batch-1": 12, "tiny": 25}  # a loop in PyTorch


class Target(NamedTuple):
    """`seen` is None where the rows are missing; it should be at least, or else at most, `wanted`."""

    name: str
    wanted: float
    seen: float | None
    at_least: bool = True

    @property
    def verdict(self) -> str:
        if self.seen is None:
            return "not measured"
        met = self.seen >= self.wanted if self.at_least else self.seen <= self.wanted
        return "met" if met else "missed"


def all_targets(results: Results) -> list[Target]:
    """Every target, with the figure that was seen."""
    makers = (training, inference, steps, two_threads, ragged, epochs, instruction_sets, float64, shapes, denormals)
    return [target for maker in (*makers, variants) for target in maker(results)]


def judged(targets: list[Target]) -> list[tuple[str, str, str, str]]:
    """Name, what is wanted, what was seen and the verdict of each target."""
    found = []
    for target in targets:
        sense = "at least" if target.at_least else "at most"
        found.append((target.name, f"{sense} {target.wanted:g}", number(target.seen, 3), target.verdict))
    return found


def table(targets: list[Target]) -> Table:
    rows = [list(row) for row in judged(targets)]
    verdicts = [row[-1] for row in rows]
    counted = ", ".join(f"{verdicts.count(verdict)} {verdict}" for verdict in ("met", "missed", "not measured"))
    return Table("Targets", ["target", "wanted", "seen", "verdict"], rows, counted)


def ratio_of(results, kind, name, threads, peer=None):
    row = results.row(kind, name, threads)
    return None if row is None else ratio(row, peer)


def least(values):
    """The least of those that are known; None if none is."""
    known = [value for value in values if value is not None]
    return min(known) if known else None


def training(results) -> Iterator[Target]:
    for name, wanted in TRAINING.items():
        for threads in (1, 2):
            seen = ratio_of(results, "train", name, threads)
            yield Target(f"training {name}, {threads} thr: against the best peer", wanted[threads - 1], seen)
    for name, wanted in PEAK.items():
        row = results.row("train", name, 1)
        yield Target(f"training {name}, 1 thr: share of sgemm peak", wanted, row and results.fraction(row))


def inference(results):
    for name, wanted in INFERENCE.items():
        for threads in (1, 2):
            seen = ratio_of(results, "forward", name, threads)
            yield Target(f"inference {name}, {threads} thr: against the best peer", wanted, seen)


def steps(results):
    for H in STEP_SIZES:
        seconds = results.seconds("step", f"H={H}", 1)
        microseconds = None if seconds is None else 1e6 * seconds
        if H in STEP_MICROSECONDS:
            yield Target(f"one step H={H}: us", STEP_MICROSECONDS[H], microseconds, at_least=False)
        else:
            yield Target(
                f"one step H={H}: by reading the weights", STEP_LIMIT[H], by_reading(results, H), at_least=False
            )
        kernel = results.seconds("step", f"H={H}", 1, "clstm-kernel")
        above = None if None in (seconds, kernel) else 1e6 * (seconds - kernel)
        yield Target(f"one step H={H}: us above the kernel", ABOVE_KERNEL_MICROSECONDS, above, at_least=False)


def by_reading(results, H):
    """The time of a step by that of reading its weights."""
    row = results.row("step", f"H={H}", 1)
    share = row and results.fraction(row)
    return 1 / share if share else None


def two_threads(results):
    for name, wanted in TWO_THREADS.items():
        row = results.row("train", name, 1)
        yield Target(f"training {name}: 2 threads against 1", wanted, row and scaling(results, row, 2))
    rows = [row for kind in COMPARED for row in results.of_kind(kind, 1)]
    seen = least(scaling(results, row, 2) for row in rows)
    yield Target(f"least of all rows, 2 threads against 1 (less {NOISE:.0%} noise)", NEVER_BELOW - NOISE, seen)


def ragged(results):
    for name in ("unsorted", "sorted"):
        for threads in (1, 2):
            for peer, wanted in (("torch-packed", PACKED), ("torch-padded", PADDED)):
                seen = ratio_of(results, "ragged", name, threads, peer)
                yield Target(f"ragged {name}, {threads} thr: against {peer}", wanted, seen)
        seen = by_equal(results, name)
        yield Target(f"ragged {name}: a valid step against equal lengths", FOLLOWS_LENGTHS, seen, at_least=False)


def by_equal(results, name):
    rows = [results.row("ragged", lengths, 1) for lengths in (name, "equal")]
    rates = [row and gigaflops(row, "clstm") for row in rows]
    return None if None in rates else rates[1] / rates[0]


def epochs(results):
    for name, wanted in EPOCH.items():
        for threads in (1, 2):
            seen = ratio_of(results, "epoch", name, threads)
            yield Target(f"epoch {name}, {threads} thr: against the best peer", wanted, seen)


def instruction_sets(results):
    for name in LARGE:
        row = results.row("isa", name, 1)
        yield Target(f"AVX2 {name}: against the best instruction set", AVX2, row and ratio(row, "clstm", "clstm-avx2"))


def float64(results):
    for row in results.of_kind("float64", 1):
        name = row["name"]
        if name in LARGE:
            both = gigaflops(row, "clstm"), gigaflops(results.row("train", name, 1) or row, "clstm")
            share = None if None in both or results.row("train", name, 1) is None else both[0] / both[1]
            yield Target(f"float64 {name}: rate against float32", FLOAT64_RATE, share)
        yield Target(f"float64 {name}: against torch", FLOAT64_TORCH, ratio(row, "torch"))


def shapes(results):
    for sweep in (sweeps.T_SWEEP, sweeps.N_SWEEP):
        growth = sweeps.growth(sweeps.points(results, sweep, 1))
        seen = max(growth.values(), default=None)
        yield Target(f"linear in {sweep.symbol}: largest growth of cost", sweeps.LINEAR, seen, at_least=False)
    points = sweeps.points(results, sweeps.H_SWEEP, 1)
    seen = len(sweeps.cliffs(points)) if points else None
    yield Target("sizes H that take longer than a larger one", 0, seen, at_least=False)


def denormals(results):
    for work in ("forward", "train"):
        seen = slowdown(results, work, 1)
        yield Target(f"decaying input against steady input, {work}", DENORMALS, seen, at_least=False)


def variants(results):
    for threads in (1, 2):
        for name, wanted in VARIANT_COST.items():
            seen = cost(results.row("variant", f"char-LM-{name}", threads))
            yield Target(f"{name} char-LM, {threads} thr: against the plain LSTM", wanted, seen, at_least=False)
        for size, wanted in LOOPS.items():
            for name in [name for name, variant in VARIANTS.items() if variant.loop]:
                seen = loop_ratio(results.row("variant", f"{size}-{name}", threads))
                yield Target(f"{name} {size}, {threads} thr: against a loop in PyTorch", wanted, seen)
