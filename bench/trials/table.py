"""The table: our figures beside the published ones."""

from __future__ import annotations

import statistics

from ..report import render
from ..tables import MISSING, Table
from ..tasks_1997 import published
from .experiments import EXPERIMENTS, Experiment
from .results import Results, needed

HEADER = [
    *("task", "cell", "weights", "solved", "median", "mean", "most", "test"),
    *("published: weights", "solved", "mean", "test"),
]
NOTE = (
    "Cells: that of 1997; the modern LSTM with a forget gate; a small one, with about as many weights as in the paper; "
    "a plain RNN. Median, mean and most: sequences until the task was solved, in the trials that solved it. Test: "
    "wrong of 2560 fresh sequences, in the worst trial that solved the task, unless it says otherwise. Published: the "
    "paper of 1997, but for the last tasks."
)
SETTINGS_HEADER = ["task", "cell", "H", "loss", "sequences of an update", "optimiser", "learning rate", "start"]
SETTINGS_NOTE = (
    "n: sequences so far. Start: weights are uniform in the range that is given, and otherwise those of Keras; biases "
    "of gates are those of the cells in turn."
)


def text(results: Results) -> str:
    """The table, and what was left out."""
    parts = [render(table(results))]
    for task, why in results.found["missing"].items():
        parts.append(f"left out: {task}: {why}")
    return "\n\n".join(parts)


def table(results: Results) -> Table:
    """A row for each task and cell for which there are trials."""
    rows = []
    for experiment in EXPERIMENTS:
        for cell in experiment.settings:
            trials = results.of(experiment.name, cell)
            if trials:
                rows.append(row(experiment, cell, trials))
    return Table("The tasks of 1997, and later ones", HEADER, rows, NOTE)


def page(results: Results) -> str:
    """Markdown for docs/explanation/tasks_1997.md: the table, and the settings."""
    facts = results.found["machine"]
    seconds = sum(trial["seconds"] for trial in results.trials)
    where = (
        f"{len(results.trials)} trials of {results.found['date'][:10]}, {seconds / 60:.0f} minutes of one core "
        f"({facts['cpu']}, shared with other work), Python {facts['python']}."
    )
    tables = [f"#{render(made)}" for made in (table(results), settings_table(results))]  # of the third level
    return "\n\n".join([where, *tables]) + "\n"


def settings_table(results: Results) -> Table:
    """How each network learns."""
    rows = []
    for experiment in EXPERIMENTS:
        for cell, chosen in experiment.settings.items():
            if results.of(experiment.name, cell):
                rows.append([experiment.title, cell, *learning(chosen)])
    return Table("Settings", SETTINGS_HEADER, rows, SETTINGS_NOTE)


def learning(chosen):
    """Settings as text."""
    rate = f"{chosen.learning_rate:g}"
    if chosen.halved_after is not None:
        rate += f" / (1 + n / {chosen.halved_after})"
    optimizer = chosen.optimizer
    if chosen.clip_norm is not None:
        optimizer += f", norm up to {chosen.clip_norm:g}"
    return [
        str(chosen.hidden),
        ", ".join(outputs(chosen)),
        str(chosen.batch),
        optimizer,
        rate,
        ", ".join(start(chosen)) or "Keras",
    ]


def outputs(chosen):
    """The loss, and what is special about what it sees."""
    yield chosen.loss.replace("_", "-")
    for name, squashing in (("g", chosen.g), ("h", chosen.h)):
        if squashing is not None:
            yield f"{name} {squashing}"
    if chosen.direct:
        yield "outputs see inputs"


def start(chosen):
    """What is said about starting weights."""
    if chosen.interval is not None:
        yield f"\u00b1{chosen.interval:g}"
    if chosen.input_interval is not None:
        yield f"inputs of i and g \u00b1{chosen.input_interval:g}"
    if chosen.chrono is not None:
        yield f"Chrono({chosen.chrono})"
    for name, biases in (("i", chosen.input_bias), ("o", chosen.output_bias)):
        if biases is not None:
            yield f"bias of {name} {' '.join(f'{bias:g}' for bias in biases)}"


def row(experiment, cell, trials):
    ours = [grouped(trials[0]["weights"]), share(trials), *(map(count, needed(trials) or unsolved(experiment, trials)))]
    return [experiment.title, cell, *ours, tested(trials), *theirs(experiment)]


def share(trials):
    """How many trials solved the task."""
    if trials[0]["solved"] is None:
        return MISSING
    return f"{sum(trial['solved'] for trial in trials)} of {len(trials)}"


def unsolved(experiment, trials):
    """What stands where nothing was solved: how long it was tried."""
    longest = max(trial["sequences"] for trial in trials)
    return (MISSING, MISSING, f"> {grouped(longest)}" if experiment.judged else grouped(longest))


def count(value):
    return value if isinstance(value, str) else grouped(round(value))


def grouped(value):
    return f"{value:,}"


def tested(trials):
    """What the tests after the trials found."""
    found = [trial["test"] for trial in trials if trial["test"] and trial["solved"] is not False]
    found = found or [trial["test"] for trial in trials if trial["test"]]
    if not found:
        return MISSING
    if "accuracy" in found[0]:
        return f"{100 * statistics.median(test['accuracy'] for test in found):.1f} % right (median)"
    if "of_baseline" in found[0]:
        return f"{max(test['of_baseline'] for test in found):.2f} of the memoryless loss (worst)"
    return grouped(max(test["wrong"] for test in found))


def theirs(experiment: Experiment) -> list[str]:
    """The published figures."""
    if not experiment.row:
        return [MISSING, MISSING, MISSING, experiment.published or MISSING]
    (found,) = (result for result in published.results(experiment.row[0]) if result[2:4] == ("LSTM", experiment.row[1]))
    solved = MISSING if found.success is None else f"{found.success:g} %"
    wrong = found.more.get("wrong")
    if "misclassified" in found.more:
        wrong = round(2560 * found.more["misclassified"])
    return [grouped(found.weights), solved, grouped(found.sequences), MISSING if wrong is None else grouped(wrong)]
