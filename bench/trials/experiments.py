"""The table of experiments: each task with what is published about it, and the settings of each kind of cell.

The 1997 cell has as many cells as the paper, its range of starting weights and its biases of gates, and learns on-line,
from one sequence after the other: by gradient descent at a learning rate of the paper where that is enough, elsewhere
by Adam. What differs from the paper is told in docs/explanation/tasks_1997.md.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from . import problems
from .settings import Settings


@dataclass(frozen=True)
class Experiment:
    """A task of the suite.

    Attributes
    ----------
    name : str
        For the command line.
    title : str
        For the table.
    problem : callable
        ``problem(rng, test_rng)`` gives a `problems.Problem`.
    settings : dict of Settings
        By kind of cell; the order is that of the table.
    seeds : dict of int
        How many trials, by kind of cell.
    row : tuple of str
        Task and setting of the row of `published.RESULTS` that it is compared with; empty: there is none.
    published : str
        What is published about a task that the paper of 1997 does not have.
    judged : bool
        Whether there is a criterion for "solved".
    minutes : float
        About how long a trial takes; long ones are started first.
    """

    name: str
    title: str
    problem: Callable[..., problems.Problem]
    settings: dict[str, Settings]
    seeds: dict[str, int]
    row: tuple[str, ...] = ()
    published: str = ""
    judged: bool = True
    minutes: float = 0.1


OLD = Settings(hidden=4, limit=100_000, loss="logistic", optimizer="sgd", learning_rate=0.1, interval=0.2)
OLD_ADAM = OLD.but(optimizer="adam", learning_rate=0.01)
OLD_SIGNAL = OLD_ADAM.but(hidden=3, interval=0.1, input_bias=(-1, -3, -5), output_bias=(-2, -4, -6))
OLD_LAG = OLD_ADAM.but(loss="cross_entropy", input_bias=(-5,), h="identity", direct=True)
NEW = Settings(hidden=16, limit=100_000, batch=8, clip_norm=1.0)
CLASSES = NEW.but(loss="cross_entropy", batch=4)
LAG = CLASSES.but(chrono=1000, h="identity", direct=True)

# fmt: off
EXPERIMENTS = (
    Experiment(
        "reber", "embedded Reber grammar", problems.Reber,
        {
            "1997": OLD.but(hidden=6, learning_rate=0.5, output_bias=(-1, -1, -2, -2, -3, -3)),
            "modern": CLASSES.but(batch=1),
            "small": CLASSES.but(hidden=5, batch=1),
        },
        {"1997": 30, "modern": 10, "small": 10}, ("1-5", "3 blocks of 2"),
    ),
    Experiment(
        "lag", "long lag 100, regular (2a)", partial(problems.regular, p=100),
        {
            "1997": OLD_LAG.but(learning_rate=0.003),
            "modern": LAG,
        },
        {"1997": 10, "modern": 10}, ("2a", "p=100"),
    ),
    Experiment(
        "lag-irregular", "long lag 100, irregular (2b)", partial(problems.irregular, p=100),
        {
            "1997": OLD_LAG.but(halved_after=10_000),
            "modern": LAG,
        },
        {"1997": 5, "modern": 5}, ("2b", "p=100"), minutes=0.5,
    ),
    Experiment(
        "lag-distracting", "long lag 50, distractors (2c)", partial(problems.distracting, q=50, p=50),
        {
            "1997": OLD_ADAM.but(hidden=2),
            "modern": CLASSES.but(chrono=100),
        },
        {"1997": 10, "modern": 10}, ("2c-1", "q=50, p=50"),
    ),
    Experiment(
        "signal", "2-sequence, no noise on the signal (3a)", partial(problems.signal, variant="clean", N=3),
        {
            "1997": OLD_SIGNAL,
            "modern": NEW.but(chrono=100),
        },
        {"1997": 10, "modern": 10}, ("3a", "T=100, N=3"),
    ),
    Experiment(
        "signal-noisy", "2-sequence, noise on the signal (3b)", partial(problems.signal, variant="noisy", N=3),
        {
            "1997": OLD_SIGNAL,
            "modern": NEW.but(chrono=100),
        },
        {"1997": 10, "modern": 10}, ("3b", "T=100, N=3"),
    ),
    Experiment(
        "signal-targets", "2-sequence, noise on the target (3c)",
        partial(problems.signal, variant="noisy_targets", N=3),
        {
            "1997": OLD_SIGNAL.but(halved_after=5000),
            "modern": NEW.but(chrono=100, halved_after=5000),
        },
        {"1997": 10, "modern": 10}, ("3c", "T=100, N=3"),
    ),
    Experiment(
        "adding", "adding, T=100 (4)", partial(problems.addition, T=100),
        {
            "1997": OLD_ADAM.but(interval=0.1, input_bias=(-3, -3, -6, -6), halved_after=20_000),
            "modern": NEW.but(chrono=100, clip_norm=0.2, halved_after=5000),
            "small": NEW.but(hidden=4, chrono=100, clip_norm=0.2, halved_after=20_000),
        },
        {"1997": 10, "modern": 10, "small": 10}, ("4-1", "T=100"),
    ),
    Experiment(
        "adding-400", "adding, T=400", partial(problems.addition, T=400),
        {
            "modern": NEW.but(chrono=400, clip_norm=0.2, halved_after=5000),
            "rnn": NEW.but(limit=60_000, clip_norm=0.2, learning_rate=0.001),
        },
        {"modern": 5, "rnn": 5},
    ),
    Experiment(
        "multiplication", "multiplication, T=100, n_seq=13 (5)", partial(problems.multiplication, n_seq=13),
        {
            "1997": OLD_ADAM.but(limit=300_000, interval=0.1, input_bias=(-3, -3, -6, -6), halved_after=100_000),
            "modern": NEW.but(chrono=100, clip_norm=0.2, halved_after=5000),
        },
        {"1997": 10, "modern": 10}, ("5", "T=100, n_seq=13"), minutes=0.2,
    ),
    Experiment(
        "order2", "temporal order, 2 symbols (6a)", partial(problems.order, relevant=2),
        {
            "1997": OLD.but(learning_rate=0.5, interval=0.1, input_bias=(-2, -2, -4, -4)),
            "modern": CLASSES.but(chrono=100),
            "small": CLASSES.but(hidden=3, chrono=100),
        },
        {"1997": 20, "modern": 20, "small": 10}, ("6a", "2 symbols"),
    ),
    Experiment(
        "order3", "temporal order, 3 symbols (6b)", partial(problems.order, relevant=3),
        {
            "1997": OLD_ADAM.but(hidden=6, clip_norm=1.0, interval=0.1, input_bias=(-2, -2, -4, -4, -6, -6)),
            "modern": CLASSES.but(chrono=100),
            "small": CLASSES.but(hidden=5, chrono=100),
        },
        {"1997": 10, "modern": 10, "small": 10}, ("6b", "3 symbols"),
    ),
    Experiment(
        "copy", "copy memory, T=1000", partial(problems.Copying, T=1000),
        {"modern": CLASSES.but(
                hidden=64, limit=100_000, batch=16, learning_rate=0.005, input_interval=4, chrono=1500
            )},
        {"modern": 3}, minutes=1.5,
    ),
    Experiment(
        "digits-rows", "digits of scikit-learn, by rows", partial(problems.images, load="rows"),
        {"modern": CLASSES.but(hidden=64, batch=32, limit=40_000)},
        {"modern": 5}, judged=False,
    ),
    Experiment(
        "digits-pixels", "digits of scikit-learn, by pixels", partial(problems.images, load="pixels"),
        {"modern": CLASSES.but(hidden=64, batch=32, limit=80_000, chrono=64)},
        {"modern": 5}, judged=False,
    ),
    Experiment(
        "mnist1d", "MNIST-1D", problems.signals,
        {"modern": CLASSES.but(hidden=64, batch=32, limit=200_000, chrono=40)},
        {"modern": 5}, published="GRU: 91 % right", judged=False,
    ),
)
# fmt: on


def named(name: str) -> Experiment:
    """The experiment of this name."""
    return next(experiment for experiment in EXPERIMENTS if experiment.name == name)
