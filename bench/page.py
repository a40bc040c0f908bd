"""The figures of the documentation, as Markdown tables that docs/explanation/performance.md includes."""

from __future__ import annotations

from pathlib import Path

from .engines import ENGINES
from .report import render
from .results import Results, best_peer, gigaflops, ratio
from .tables import MISSING, Table, duration, number, percent, times, variant_tables

UNBROKEN = "\N{NO-BREAK SPACE}"


def write(results: Results, folder: Path) -> list[Path]:
    """Writes the tables to ``speed.md``, and those of the variants to ``variants.md``; of what was measured.

    Parameters
    ----------
    results : Results
    folder : Path

    Returns
    -------
    list of Path
        The files.
    """
    folder.mkdir(parents=True, exist_ok=True)
    makers = (training, inference, steps, others)
    pages = {"speed": [maker(results) for maker in makers], "variants": variant_tables(results)}
    written = []
    for name, tables in pages.items():
        texts = [f"#{render(unbroken(table))}" for table in tables if table.rows]  # third level, within a section
        if texts:
            written.append(folder / f"{name}.md")
            written[-1].write_text("\n\n".join([machine(results), *texts]) + "\n", encoding="utf-8")
    return written


def unbroken(table):
    """Figures stay in one line."""
    rows = [[row[0], *(cell.replace(" ", UNBROKEN) for cell in row[1:])] for row in table.rows]
    return table._replace(rows=rows)


def machine(results):
    """One sentence: when, where, with which versions, and what the machine can do."""
    facts, limits = results.found["machine"], results.found["limits"]
    measured = f"Measured on {results.found['date'][:10]} on {facts['cpu']}; versions: {', '.join(packages(results))}."
    if not limits:
        return measured
    threads = sorted(limits)
    peak = ", ".join(f"{limits[key]['float32']:.0f}" for key in threads)
    return f"{measured} Peak of sgemm: {peak} GFLOP/s with {', '.join(threads)} thread{'s' * (threads != ['1'])}."


def packages(results):
    """Each with its version. A way of using one stands for it only where nothing else does."""
    found = {name: facts["version"] for row in results.rows for name, facts in row["engines"].items()}
    bases = {name: name.partition("-")[0] for name in found}
    shown = [name for name, base in bases.items() if name == base or (base in ENGINES and base not in found)]
    return sorted({f"{bases[name]} {found[name]}" for name in shown})


def compared(results, kind, title):
    """clstm and the best peer, one thread and two."""
    header = ["", "T N I H L D", "1 thread", "GFLOP/s", "of sgemm", "best peer", "ratio", "2 threads", "ratio"]
    cells = []
    for row in results.of_kind(kind, 1):
        second = results.row(kind, row["name"], 2)
        peer = best_peer(row)
        cells.append([
            row["name"],
            " ".join(map(str, row["shape"])),
            duration(row, "clstm"),
            number(gigaflops(row, "clstm"), 0),
            percent(results.fraction(row)),
            MISSING if peer is None else f"{peer} {duration(row, peer)}",
            times(ratio(row)),
            MISSING if second is None else duration(second, "clstm"),
            times(second and ratio(second)),
        ])  # fmt: skip
    return Table(title, header, cells)


def training(results):
    return compared(results, "train", "Training: forward, backward, all gradients, float32")


def inference(results):
    return compared(results, "forward", "Inference over whole sequences, float32")


def steps(results):
    """A single step, beside the kernel alone and reading the weights once."""
    cells = []
    for row in results.of_kind("step", 1):
        limit, peer = results.limit_seconds(row), best_peer(row)
        cells.append([
            row["name"],
            duration(row, "clstm"),
            duration(row, "clstm-kernel"),
            MISSING if limit is None else f"{1e6 * limit:.3g} us",
            MISSING if peer is None else f"{peer} {duration(row, peer)}",
            times(ratio(row)),
        ])  # fmt: skip
    header = ["", "from Python", "the kernel", "reading the weights", "best peer", "ratio"]
    return Table("One step of one sequence, 1 thread, I = H", header, cells)


def others(results):
    """What is left: rows of other kinds, against the best peer."""
    kinds = {"ragged": "lengths of 20 to 200", "float64": "training, float64", "epoch": "an epoch through Trainer"}
    cells = []
    for kind, what in kinds.items():
        for row in results.of_kind(kind, 1):
            if best_peer(row) is None:
                continue
            second = results.row(kind, row["name"], 2)
            peer = best_peer(row)
            cells.append([
                f"{what}: {row['name']}",
                duration(row, "clstm"),
                f"{peer} {duration(row, peer)}",
                times(ratio(row)),
                MISSING if second is None else duration(second, "clstm"),
                times(second and ratio(second)),
            ])  # fmt: skip
    return Table("Other rows", ["", "1 thread", "best peer", "ratio", "2 threads", "ratio"], cells)
