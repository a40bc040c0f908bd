"""The trials as they are kept in a JSON file.

{"format": 1, "kind": "tasks", "date", "machine": {...}, "versions": {...}, "missing": {task: why},
 "trials": [what `trial.run` gives, ...]}
"""

from __future__ import annotations

import datetime
import json
import os
import statistics
from pathlib import Path

import numpy as np

import clstm

from .. import machine
from ..results import write_whole

FORMAT = 1


class Results:
    """All trials of a run, in the order of the table.

    Parameters
    ----------
    found : dict
        As above.
    """

    def __init__(self, found: dict) -> None:
        self.found = found

    @classmethod
    def new(cls) -> Results:
        """Without trials, of this machine."""
        facts = {"format": FORMAT, "kind": "tasks", "missing": {}, "trials": []}
        results = cls(facts)
        results.stamp()
        return results

    @classmethod
    def read(cls, path: str | os.PathLike) -> Results:
        """Reads a file that `write` wrote.

        Raises
        ------
        ValueError
            It is of another kind.
        """
        found = json.loads(Path(path).read_text(encoding="utf-8"))
        if not isinstance(found, dict) or (found.get("kind"), found.get("format")) != ("tasks", FORMAT):
            raise ValueError(f"{path}: expected trials of the tasks in format {FORMAT}")
        return cls(found)

    def stamp(self) -> None:
        """Notes when and where trials are run."""
        self.found |= {
            "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
            "machine": machine.facts(),
            "versions": {"clstm": clstm.__version__, "numpy": np.__version__},
        }

    def write(self, path: str | os.PathLike) -> None:
        """Writes the file, a trial on each line."""
        lines = ",\n  ".join(json.dumps(trial) for trial in self.trials)
        head = json.dumps({name: value for name, value in self.found.items() if name != "trials"}, indent=1)
        write_whole(path, f'{head[:-2]},\n "trials": [\n  {lines}\n ]\n}}\n')

    @property
    def trials(self) -> list[dict]:
        return self.found["trials"]

    def put(self, trial: dict) -> None:
        """Adds a trial, in the place of an earlier one of the same task, cell and seed."""
        others = [other for other in self.trials if key_of(other) != key_of(trial)]
        self.found["trials"] = sorted([*others, trial], key=key_of)
        self.found["missing"].pop(trial["task"], None)

    def of(self, task: str, cell: str) -> list[dict]:
        """The trials of a row of the table."""
        return [trial for trial in self.trials if (trial["task"], trial["cell"]) == (task, cell)]


def key_of(trial):
    return trial["task"], trial["cell"], trial["seed"]


def needed(trials: list[dict]) -> tuple[float, float, int] | None:
    """Median, mean and maximum of the sequences that those trials needed which solved their task."""
    counts = [trial["sequences"] for trial in trials if trial["solved"]]
    return (statistics.median(counts), statistics.fmean(counts), max(counts)) if counts else None
