"""The tables of the report, each made from the rows of one kind."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

from . import sweeps
from .results import Results, best_peer, gigaflops, is_noisy, ratio, seconds_of
from .variants import SIZES, VARIANTS

COMPARED = {
    "train": "Training: forward, backward, all gradients",
    "forward": "Inference over whole sequences",
    "step": "One step of one sequence",
    "float64": "Training in float64",
    "ragged": "Training with sequences of different lengths",
    "epoch": "An epoch of training, with embedding, output layer, loss, clipping and Adam",
}
MISSING = "-"
SHOWN_SWEEP = 20  # sizes of a table of a sweep, at most


class Table(NamedTuple):
    """Text in cells; a note may follow."""

    title: str
    header: list[str]
    rows: list[list[str]]
    note: str = ""


def all_tables(results: Results) -> list[Table]:
    """Every table; those for which nothing was measured have no rows."""
    tables = [limit_table(results)]
    for kind, title in COMPARED.items():
        for threads in results.threads:
            rows = results.of_kind(kind, threads)
            heading = f"{title} ({threads} thread{'s' * (threads > 1)})"
            tables += [summary_table(results, rows, heading), engine_table(rows, heading)]
    tables += [ragged_table(results), loss_table(results), scaling_table(results)]
    tables += variant_tables(results)
    tables += [isa_table(results), rate_table(results), denormal_table(results), memory_table(results)]
    return tables + [sweep_table(results, sweep) for sweep in sweeps.SWEEPS] + [cliff_table(results)]


# Cells


def times(value):
    return MISSING if value is None else f"{value:.2f}x"


def percent(value):
    return MISSING if value is None else f"{100 * value:.0f} %"


def number(value, digits=1):
    return MISSING if value is None else f"{value:.{digits}f}"


def unit_of(seconds):
    return (1e6, "us") if seconds < 1e-3 else (1e3, "ms") if seconds < 1 else (1, "s")


def duration(row, engine):
    """The median of an engine, in the unit that fits; ~ marks a noisy one, ! one with other results."""
    facts = row["engines"].get(engine)
    if facts is None:
        return MISSING
    factor, unit = unit_of(facts["median_s"])
    marks = "!" * bool(facts.get("invalid")) + "~" * is_noisy(facts)
    return f"{marks}{facts['median_s'] * factor:.3g} {unit}"


# Against the peers


def summary_table(results, rows, title):
    """clstm, the best peer, and the limit."""
    header = ["row", "clstm", "GFLOP/s", "of limit", "best peer", "its time", "ratio", "largest difference"]
    cells = []
    for row in rows:
        peer = best_peer(row)
        cells.append([
            row["name"],
            duration(row, "clstm"),
            number(gigaflops(row, "clstm")),
            percent(results.fraction(row)),
            peer or MISSING,
            MISSING if peer is None else duration(row, peer),
            times(ratio(row)),
            largest_difference(row),
        ])  # fmt: skip
    return Table(title, header, cells)


def largest_difference(row):
    """Between the engines' results; ! if one is not valid."""
    differences = [facts["difference"] for facts in row["engines"].values() if "difference" in facts]
    wrong = any(facts.get("invalid") for facts in row["engines"].values())
    return "!" * wrong + f"{max(differences):.0e}" if differences else MISSING


def engine_table(rows, title):
    """The time of everyone."""
    names = list(dict.fromkeys(name for row in rows for name in row["engines"]))
    cells = [[row["name"], *(duration(row, name) for name in names)] for row in rows]
    return Table(f"{title}: all engines", ["row", *names], cells if len(names) > 1 else [])


def ragged_table(results):
    """Padding costs nothing if a valid step takes as long as where all sequences are equally long."""
    cells = []
    for threads in results.threads:
        for row in results.of_kind("ragged", threads):
            for engine in row["engines"]:
                seconds = seconds_of(row, engine)
                if seconds is not None:
                    each = number(seconds / row["steps"] * 1e6, 3)
                    cells.append([row["name"], str(threads), engine, duration(row, engine), str(row["steps"]), each])
    header = ["lengths", "threads", "engine", "time", "valid steps", "us per valid step"]
    return Table("Different lengths: time follows the sum of the lengths", header, cells)


def loss_table(results):
    cells = []
    for row in results.of_kind("epoch"):
        for engine, facts in row["engines"].items():
            losses = [number(facts[key], 6) for key in ("loss", "loss_after")]
            cells.append([row["name"], str(row["threads"]), engine, duration(row, engine), *losses])
    header = ["row", "threads", "engine", "time", "mean loss of the epoch", "loss on the first batch after it"]
    return Table("Epochs: all engines start with the same weights and see the same batches", header, cells)


# clstm with itself


def limit_table(results):
    cells = []
    for threads, limits in results.found["limits"].items():
        for dtype in ("float32", "float64"):
            cells.append([f"matrix product {dtype}", threads, number(limits[dtype], 0), "GFLOP/s"])
        for kib, rate in limits["read"].items():
            cells.append([f"reading {kib} KiB", threads, number(rate, 0), "GB/s"])
    return Table("Limits of the machine", ["limit", "threads", "rate", "unit"], cells)


def scaling_table(results):
    """One thread against the others."""
    more = [threads for threads in results.threads if threads > 1]
    cells = []
    for row in [row for kind in COMPARED for row in results.of_kind(kind, 1)]:
        gains = [scaling(results, row, threads) for threads in more]
        if any(gain is not None for gain in gains):
            cells.append([f"{row['kind']}:{row['name']}", *map(times, gains)])
    header = ["row", *(f"{threads} threads against 1" for threads in more)]
    return Table("clstm with more threads", header, cells)


def scaling(results, row, threads):
    alone, together = (results.seconds(row["kind"], row["name"], n) for n in (1, threads))
    return None if alone is None or together is None else alone / together


def variant_tables(results):
    """What each variant costs, and loops in PyTorch; a table of each for each number of threads."""
    counts = sorted({row["threads"] for row in results.of_kind("variant")})
    loops = [partial(loop_table, engine=engine) for engine in LOOPS]
    return [table(results, threads) for threads in counts for table in (cost_table, *loops)]


def cost_table(results, threads):
    cells = []
    for name in VARIANTS:
        rows = [results.row("variant", f"{size}-{name}", threads) for size in SIZES]
        if any(cost(row) is not None for row in rows):
            cells.append([name, *(f"{noise_mark(row, 'clstm', 'clstm-plain')}{times(cost(row))}" for row in rows)])
    title = f"Variants: time of training by that of the plain LSTM ({threads} thread{'s' * (threads > 1)})"
    return Table(title, ["", *SIZES], cells)


LOOPS = {"torch-loop": "a loop in PyTorch", "torch-loop-tuned": "a loop with all that can be before it taken out"}


def loop_table(results, threads, engine):
    cells = []
    for name, variant in VARIANTS.items():
        rows = [results.row("variant", f"{size}-{name}", threads) for size in SIZES]
        if variant.loop and any(loop_ratio(row, engine) is not None for row in rows):
            cells.append([name, *(against_loop(row, engine) for row in rows)])
    title = f"Variants: clstm, {LOOPS[engine]}, ratio ({threads} thread{'s' * (threads > 1)})"
    return Table(title, ["", *SIZES], cells)


def against_loop(row, engine):
    if loop_ratio(row, engine) is None:
        return MISSING
    return f"{duration(row, 'clstm')}, {duration(row, engine)}, {times(loop_ratio(row, engine))}"


def noise_mark(row, *engines):
    return "~" * (cost(row) is not None and any(is_noisy(row["engines"][name]) for name in engines))


def cost(row):
    """The time of a variant by that of the plain LSTM beside it."""
    return None if row is None else ratio(row, "clstm", "clstm-plain")


def loop_ratio(row, engine="torch-loop"):
    """How many times faster a variant is than a loop in PyTorch."""
    return None if row is None else ratio(row, engine)


def isa_table(results):
    cells = []
    for row in results.of_kind("isa"):
        rates = [number(gigaflops(row, engine)) for engine in ("clstm", "clstm-avx2")]
        share = ratio(row, "clstm", "clstm-avx2")
        cells.append([row["name"], *rates, percent(share), percent(results.fraction(row, "clstm-avx2"))])
    header = ["row", "clstm GFLOP/s", "forced AVX2 GFLOP/s", "AVX2 against the best", "AVX2 of limit"]
    return Table("Instruction sets, training, 1 thread", header, cells)


def rate_table(results):
    cells = []
    for row in results.of_kind("float64"):
        rates = [gigaflops(found, "clstm") if found else None for found in (row, single(results, row))]
        share = None if None in rates else rates[0] / rates[1]
        cells.append([row["name"], str(row["threads"]), *map(number, rates), percent(share)])
    header = ["row", "threads", "float64 GFLOP/s", "float32 GFLOP/s", "float64 against float32"]
    return Table("Precisions", header, cells)


def single(results, row):
    return results.row("train", row["name"], row["threads"])


def denormal_table(results):
    cells = []
    for threads in results.threads:
        for work in ("forward", "train"):
            steady, decaying = (results.row("denormals", f"{work}-{data}", threads) for data in ("steady", "decaying"))
            for engine in (steady or decaying or {"engines": ()})["engines"]:
                found = slowdown(results, work, threads, engine)
                both = [duration(row, engine) if row else MISSING for row in (steady, decaying)]
                cells.append([work, str(threads), engine, *both, times(found)])
    header = ["work", "threads", "engine", "steady input", "decaying input", "decaying against steady"]
    return Table("Denormal numbers", header, cells)


def slowdown(results, work, threads, engine="clstm"):
    """The time of decaying input by that of steady input: 1 is good, more is a trap."""
    decaying, steady = (
        results.seconds("denormals", f"{work}-{data}", threads, engine) for data in ("decaying", "steady")
    )
    return None if decaying is None or steady is None else decaying / steady


def memory_table(results):
    """Beside what has to be kept: four gates, c and h of each step."""
    cells = []
    for row in results.of_kind("memory"):
        found = row["engines"]["clstm"]["bytes"]
        _, _, _, H, L, D = row["shape"]
        steps = row["steps"] * L * D
        each = [number(found["tape"] / steps / 4 / H, 2), number(found["tape"] / 1024, 0)]
        scratch = [number(found[key] / 1024, 0) for key in ("forward_scratch", "inference_scratch", "backward_peak")]
        cells.append([row["name"], *each, *scratch])
    header = ["row", "tape, numbers by H and step", "tape KiB", "scratch forward KiB", "inference KiB", "backward KiB"]
    note = "Gates, c and h are 6 numbers for each unit and step. Backward: its results are counted in."
    return Table("Memory beside the results, float32", header, cells, note)


def sweep_table(results, sweep):
    """What a step of one sequence costs, and how much that is above the least of all smaller sizes."""
    cells = []
    for threads in results.threads:
        for engine in sweeps.engines(results, sweep, threads):
            points = sweeps.points(results, sweep, threads, engine)
            growth = sweeps.growth(points)
            for point in points[:: -(-len(points) // SHOWN_SWEEP)]:
                found = growth[point.size]
                judged = "yes" if found <= sweeps.LINEAR else "no"
                each = number(point.cost * 1e9, 1)
                cells.append([f"{sweep.symbol} = {point.size}", str(threads), engine, each, times(found), judged])
    header = [sweep.symbol, "threads", "engine", "ns per step of a sequence", "against the least before", "linear"]
    return Table(sweep.title, header, cells if sweep.is_linear else [])


def cliff_table(results):
    """The sizes that take longer than a larger one."""
    cells = []
    for engine in sweeps.engines(results, sweeps.H_SWEEP, 1):
        points = sweeps.points(results, sweeps.H_SWEEP, 1, engine)
        for size, excess in sweeps.cliffs(points).items():
            cells.append([f"H = {size}", engine, times(excess)])
        if points and not cells:
            cells.append(["none", engine, MISSING])
    title = f"Cliffs: sizes that take {sweeps.CLIFF:.2f} times as long as a larger one, or longer"
    return Table(title, ["size", "engine", "time against the larger"], cells)
