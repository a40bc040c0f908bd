"""The results as they are kept in the JSON file, and what follows from them: best peer, ratios, share of the limit.

{"format": 1, "date", "machine": {...}, "options": {...}, "limits": {threads: {"float32", "float64", "read"}},
 "rows": [{"kind", "name", "work", "threads", "shape", "dtype", "steps", "flops", "weight_bytes", "date",
           "engines": {name: {"median_s", "min_s", "spread", "samples", "quiet", "first_s", "difference", "version"}},
           "skipped": {name: why}, "best_peer", "ratio"}]}

An engine whose results differ from the reference has "invalid": true, and its time counts for nothing.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from .engines import is_own

FORMAT = 1
NOISY = 1.15  # a median so much above the least sample is marked


def write_whole(path: str | os.PathLike, text: str) -> None:
    """Writes a file; a run that is killed leaves the last complete one."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(path.name + ".new")
    beside.write_text(text, encoding="utf-8")
    beside.replace(path)


class Results:
    """Everything that was measured.

    Parameters
    ----------
    found : dict
        As above.
    """

    def __init__(self, found: dict) -> None:
        self.found = found

    @classmethod
    def read(cls, path: str | os.PathLike) -> Results:
        """Reads a file that `write` wrote.

        Raises
        ------
        ValueError
            It is of another kind.
        """
        found = json.loads(Path(path).read_text(encoding="utf-8"))
        if not isinstance(found, dict) or found.get("format") != FORMAT:
            raise ValueError(f"{path}: expected results of the benchmark in format {FORMAT}")
        return cls(found)

    def write(self, path: str | os.PathLike) -> None:
        write_whole(path, json.dumps(self.found, indent=1) + "\n")

    def put(self, record: dict) -> None:
        """Adds a row, in the place of an earlier measurement of the same."""
        rows = {key_of(row): row for row in self.rows}
        rows[key_of(record)] = record
        self.found["rows"] = list(rows.values())

    @property
    def rows(self) -> list[dict]:
        return self.found["rows"]

    @property
    def threads(self) -> list[int]:
        return sorted({row["threads"] for row in self.rows})

    def of_kind(self, kind: str, threads: int | None = None) -> list[dict]:
        return [row for row in self.rows if row["kind"] == kind and threads in (None, row["threads"])]

    def row(self, kind: str, name: str, threads: int) -> dict | None:
        return next((row for row in self.of_kind(kind, threads) if row["name"] == name), None)

    def seconds(self, kind: str, name: str, threads: int, engine: str = "clstm") -> float | None:
        """The median of an engine; None if it was not measured, or is not valid."""
        row = self.row(kind, name, threads)
        return None if row is None else seconds_of(row, engine)

    def limit_seconds(self, row: dict) -> float | None:
        """What the row would take at the limit: products at the peak, or for a step reading the weights once."""
        limits = self.found["limits"].get(str(row["threads"]))
        if limits is None:
            return None
        if row["work"] == "step":
            return row["weight_bytes"] / (1e9 * read_rate(limits["read"], row["weight_bytes"]))
        return row["flops"] / (1e9 * limits[row["dtype"]])

    def fraction(self, row: dict, engine: str = "clstm") -> float | None:
        """Limit / time, which is 1 at the limit."""
        limit, seconds = self.limit_seconds(row), seconds_of(row, engine)
        return None if limit is None or seconds is None else limit / seconds


def key_of(row):
    return row["kind"], row["name"], row["threads"]


def read_rate(rates, size):
    """GB/s of the smallest array that was measured and is not smaller than this."""
    measured = {1024 * int(kib): rate for kib, rate in rates.items()}
    fitting = [bytes_ for bytes_ in measured if bytes_ >= size]
    return measured[min(fitting)] if fitting else measured[max(measured)]


def seconds_of(row, engine):
    facts = row["engines"].get(engine)
    return None if facts is None or facts.get("invalid") else facts.get("median_s")


def gigaflops(row, engine):
    seconds = seconds_of(row, engine)
    return None if seconds is None else row["flops"] / seconds * 1e-9


def best_peer(row: dict) -> str | None:
    """The fastest valid engine that is not clstm."""
    peers = {name: seconds_of(row, name) for name in row["engines"] if not is_own(name)}
    peers = {name: seconds for name, seconds in peers.items() if seconds is not None}
    return min(peers, key=peers.get) if peers else None


def ratio(row: dict, peer: str | None = None, own: str = "clstm") -> float | None:
    """How many times faster clstm is than a peer, by default the best; None if one of them is missing."""
    peer = best_peer(row) if peer is None else peer
    theirs, ours = (None if name is None else seconds_of(row, name) for name in (peer, own))
    return None if theirs is None or ours is None else theirs / ours


def is_noisy(facts: dict) -> bool:
    return facts.get("quiet") is False or facts["median_s"] > NOISY * facts["min_s"]
