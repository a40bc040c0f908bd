"""The run: a short block of each engine in turn, again and again: whatever else the machine does meets them all."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import itertools
import math
import statistics

import numpy as np

from . import limits, machine, report
from .engines import engine_class, missing_packages
from .results import FORMAT, Results, best_peer, gigaflops, ratio
from .rows import Row
from .worker import BLOCK, Worker

TOLERANCE = {"float32": 1e-4, "float64": 1e-9}  # of arrays, relative to the largest number in them
LOSS_TOLERANCE = 5e-3  # after an epoch of float32 steps, which drift apart, and Keras clips by another norm
NORMALISED = 100  # times as much: what is normalised is a difference of numbers that are nearly equal
BLOCK_WAIT = 60  # seconds that a block waits for a quiet machine


@dataclasses.dataclass(frozen=True)
class Options:
    """What a run is asked for: see the help of the command."""

    engines: tuple[str, ...]
    threads: tuple[int, ...]
    rounds: int
    out: str
    patience: float = 600.0  # seconds of waiting for a quiet machine, in the whole run
    limits: bool = True
    limit_seconds: float = 0.4
    update: bool = False


def run(rows: list[Row], options: Options) -> Results:
    """Measures rows, prints a line for each, and writes the results after each.

    Parameters
    ----------
    rows : list of Row
    options : Options

    Returns
    -------
    Results
    """
    results = start(rows, options)
    patience = machine.Patience(BLOCK_WAIT, options.patience)
    if patience.wait() is False:
        print("the machine is not quiet: figures will be marked", flush=True)
    for threads in options.threads:
        wanted = [row for row in rows if row.threads is None or threads in row.threads]
        if wanted:
            run_with(threads, wanted, results, options, patience)
    return results


def start(rows, options):
    """Empty results, or with `update` the old ones."""
    facts = {
        "date": now(),
        "machine": machine.facts(),
        "options": dataclasses.asdict(options) | {"rows": len(rows)},
    }
    with contextlib.suppress(FileNotFoundError):
        if options.update:
            results = Results.read(options.out)
            results.found |= facts
            return results
    return Results({"format": FORMAT, **facts, "limits": {}, "rows": []})


def now():
    return datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")


def run_with(threads, rows, results, options, patience):
    """All rows with one number of threads; limits are measured before and after, and the better figures count."""
    measured = [measure_limits(threads, options, patience)]
    keep_limits(results, threads, measured)
    with contextlib.ExitStack() as stack:
        team = {}
        for name in installed(options.engines):
            if any(takes_part(name, row) for row in rows):
                team[name] = Worker(name, threads)
                stack.callback(team[name].close)
        for (_, turns), together in itertools.groupby(rows, key=lambda row: (row.kind, row.turns)):
            for record in measure(list(together), turns, threads, team, options, patience):
                results.put(record)
                results.write(options.out)
                print(report.line(results, record), flush=True)
    measured.append(measure_limits(threads, options, patience))
    keep_limits(results, threads, measured)
    results.write(options.out)


def installed(names):
    """Those that can be timed; says which cannot."""
    found = []
    for name in names:
        missing = missing_packages(name)
        if missing:
            print(f"{name} is skipped: {' and '.join(missing)} not installed (extra `peers`)", flush=True)
        else:
            found.append(name)
    return found


def takes_part(name, row):
    return engine_class(name).can(row) and (row.engines is None or name in row.engines) and is_wanted(name, row)


def is_wanted(name, row):
    """An instruction set that is forced is a matter of rows that ask for it."""
    return "CLSTM_ISA" not in engine_class(name).environment or row.engines is not None


def measure_limits(threads, options, patience):
    if not options.limits:
        return None
    worker = Worker(None, threads)
    patience.wait()
    status, found = worker.ask("limits", options.limit_seconds)
    worker.close()
    if status != "ok":
        print(f"limits with {threads} threads: {found}", flush=True)
        return None
    return found


def keep_limits(results, threads, measured):
    """The best of these and, where rows are measured again, of those that the other rows were compared with."""
    measured = [one for one in measured if one is not None]
    earlier = results.found["limits"].get(str(threads))
    if measured and earlier:
        measured.append({**earlier, "read": {int(kib): rate for kib, rate in earlier["read"].items()}})
    if measured:
        best = limits.best_of(measured)
        best["read"] = {str(kib): rate for kib, rate in best["read"].items()}
        results.found["limits"][str(threads)] = best


def measure(rows, turns, threads, team, options, patience):
    """The record of each row, as soon as the last turn comes to it."""
    found = {row.id: [] for row in rows}
    for turn in range(1, turns + 1):
        for row in rows:
            found[row.id].append(measure_once(row, team, options, patience))
            if turn == turns:
                yield finished(row, threads, *joined(found.pop(row.id)))


def measure_once(row, team, options, patience):
    """The facts of each engine, with the samples of its blocks, and why others were skipped."""
    loaded, skipped = {}, {}
    for name, worker in team.items():
        if takes_part(name, row):
            status, answer = worker.ask("load", row)
            if status == "ok":
                loaded[name] = answer
            else:
                skipped[name] = f"{status}: {answer}"
    outputs = {name: facts.pop("arrays") for name, facts in loaded.items()}
    if row.work == "memory":
        return {name: facts | {"bytes": outputs[name]} for name, facts in loaded.items()}, skipped
    compare(row, loaded, outputs)
    return timed(row, loaded, team, options, patience, skipped), skipped


def timed(row, loaded, team, options, patience, skipped):
    """The facts of each engine with its samples, and whether the machine was quiet: one block of each in turn."""
    rounds = min(options.rounds, row.rounds or options.rounds)
    plans = {name: plan(facts.pop("estimate_s"), row.seconds, rounds) for name, facts in loaded.items()}
    blocks, quiet = {name: [] for name in loaded}, {name: [] for name in loaded}
    for _ in range(rounds):
        for name in [name for name in loaded if name not in skipped]:
            calm = patience.wait()
            status, answer = team[name].ask("time", *plans[name])
            if status != "ok":
                skipped[name] = f"{status}: {answer}"
                continue
            quiet[name].append(calm)
            blocks[name].append(answer)
    alive = [name for name in loaded if name not in skipped]
    return {name: loaded[name] | {"blocks": blocks[name], "quiet": quiet[name]} for name in alive}


def joined(turns):
    """Several turns as one: all blocks count, and what spoils a turn spoils all; other facts are those of the first."""
    skipped = {name: why for _, skips in turns for name, why in skips.items()}
    every = {name: [facts[name] for facts, _ in turns] for name in turns[0][0] if name not in skipped}
    return {name: joint(facts) for name, facts in every.items()}, skipped


def joint(turns):
    """The facts of one engine."""
    found = dict(turns[0])
    if any(facts.get("invalid") for facts in turns):
        found["invalid"] = True
    if "blocks" in found:
        found |= summary([block for facts in turns for block in facts["blocks"]])
        quiet = [calm for facts in turns for calm in facts["quiet"]]
        found["quiet"] = None if None in quiet else all(quiet)
        del found["blocks"]
    return found


def plan(estimate, seconds, rounds):
    """How many samples a block has, and how many calls a sample."""
    inner = max(1, int(BLOCK / estimate))
    return max(1, math.ceil(seconds / (rounds * estimate * inner))), inner


def summary(blocks):
    samples = [sample for block in blocks for sample in block]
    medians = [statistics.median(block) for block in blocks]
    return {
        "median_s": statistics.median(samples),
        "min_s": min(samples),
        "spread": max(medians) / min(medians),
        "samples": len(samples),
    }


def compare(row, loaded, outputs):
    """Writes the difference from the reference, which is clstm or the first engine, into the facts of each."""
    if not outputs:
        return
    reference = outputs.get("clstm") or next(iter(outputs.values()))
    for name, found in outputs.items():
        if not engine_class(name).compared:
            continue
        facts = loaded[name]
        if row.work == "epoch":
            facts |= {"loss": found["loss"], "loss_after": found["loss_after"]}
            tolerance = LOSS_TOLERANCE
        else:
            tolerance = TOLERANCE[row.dtype] * (NORMALISED if row.variant == "layer_norm" else 1)
        facts["difference"] = max(difference(row, key, found[key], reference[key]) for key in reference)
        if not facts["difference"] <= tolerance:
            facts["invalid"] = True


def difference(row, key, found, reference):
    """The largest, relative to the largest number of the reference; y counts where it is valid."""
    found = np.asarray(found, np.float64).reshape(np.shape(reference))
    reference = np.asarray(reference, np.float64)
    if key == "y" and row.lengths is not None:
        valid = np.arange(row.shape.T)[:, np.newaxis] < np.array(row.lengths)
        found, reference = found[valid], reference[valid]
    return float(np.abs(found - reference).max() / np.abs(reference).max())


def finished(row, threads, engines, skipped):
    record = {
        "kind": row.kind,
        "name": row.name,
        "work": row.work,
        "threads": threads,
        "shape": list(row.shape),
        "dtype": row.dtype,
        "steps": row.steps,
        "flops": row.flops,
        "weight_bytes": row.weight_bytes,
        "date": now(),
        "engines": engines,
        "skipped": skipped,
    }
    for name in engines:
        if row.work != "memory":
            engines[name]["gflops"] = gigaflops(record, name)
    return record | {"best_peer": best_peer(record), "ratio": ratio(record)}
