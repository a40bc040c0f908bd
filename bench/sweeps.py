"""What the sweeps tell: whether cost is linear, and whether a size is slower than it should be.

Here the least time of a size counts, not the median: sizes are compared with each other, not engines that were timed in
the same moments, and slow spells of the machine strike some sizes more than others.
"""

from __future__ import annotations

from typing import NamedTuple

from .results import Results, seconds_of

LINEAR = 1.2  # cost may grow by so much above the least of all smaller sizes: caches have levels
CLIFF = 1.15  # a size may take so much longer than a larger one


class Sweep(NamedTuple):
    """The kind of its rows, the letter that is varied, its place in the shape, and whether cost has to be linear."""

    kind: str
    symbol: str
    axis: int
    is_linear: bool
    title: str


T_SWEEP = Sweep("sweep-T", "T", 0, True, "Cost against the number of steps (N 16, I 64, H 64)")
N_SWEEP = Sweep("sweep-N", "N", 1, True, "Cost against the batch (T 50, I 128, H 128)")
H_SWEEP = Sweep("sweep-H", "H", 3, False, "Cost against the size of the layer (T 20, N 16, I = H)")
SWEEPS = (T_SWEEP, N_SWEEP, H_SWEEP)


class Point(NamedTuple):
    """A size, the least seconds of the whole row, those for one step of one sequence, and GFLOP/s."""

    size: int
    seconds: float
    cost: float
    rate: float


def engines(results: Results, sweep: Sweep, threads: int) -> list[str]:
    return list(dict.fromkeys(name for row in results.of_kind(sweep.kind, threads) for name in row["engines"]))


def points(results: Results, sweep: Sweep, threads: int, engine: str = "clstm") -> list[Point]:
    """What was measured, by size."""
    found = []
    for row in results.of_kind(sweep.kind, threads):
        if seconds_of(row, engine) is not None:
            seconds = row["engines"][engine]["min_s"]
            size = row["shape"][sweep.axis]
            found.append(Point(size, seconds, seconds / row["steps"], row["flops"] / seconds * 1e-9))
    return sorted(found)


def growth(points: list[Point]) -> dict[int, float]:
    """Of each size: its cost by the least cost of all sizes up to it."""
    found, least = {}, float("inf")
    for point in points:
        least = min(least, point.cost)
        found[point.size] = point.cost / least
    return found


def cliffs(points: list[Point]) -> dict[int, float]:
    """The sizes that take longer than a larger one, and how many times."""
    found, least = {}, float("inf")
    for point in reversed(points):
        least = min(least, point.seconds)
        if point.seconds > CLIFF * least:
            found[point.size] = point.seconds / least
    return dict(sorted(found.items()))
