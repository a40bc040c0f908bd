"""One trial: a network with random starting weights learns a task until it is solved, or the limit is reached."""

from __future__ import annotations

import time

import numpy as np

from .experiments import named
from .learner import Learner


def run(name: str, cell: str, seed: int, limit: int | None = None) -> dict:
    """Runs a trial; the same arguments give the same bits, but for the seconds.

    Parameters
    ----------
    name : str
        Of the experiment.
    cell : str
    seed : int
        Of the starting weights, of what is learnt, and of what is tested: three streams of random numbers.
    limit : int, optional
        Another limit than that of the settings, if it is less.

    Returns
    -------
    dict
        "task", "cell", "seed"; "solved": bool, or None where there is no criterion; "sequences": how many came until it
        was solved, or in all; "test": what the problem's test found; "weights"; "settings"; "seconds" of processor
        time; "diverged" if outputs were not finite.

    Raises
    ------
    ImportError
        The data come with a package that is not installed.
    """
    experiment = named(name)
    settings = experiment.settings[cell]
    if limit is not None:
        settings = settings.but(limit=min(limit, settings.limit))
    weights_rng, rng, test_rng = map(np.random.default_rng, np.random.SeedSequence(seed).spawn(3))
    problem = experiment.problem(rng, test_rng)
    learner = Learner(cell, settings, problem.inputs, problem.outputs, problem.at_end, weights_rng)
    started = time.process_time()
    found = {"task": name, "cell": cell, "seed": seed}
    try:
        solved = learn(problem, learner)
        outcome = {"solved": solved if experiment.judged else None, "test": problem.test(learner)}
    except FloatingPointError:
        outcome = {"solved": False, "test": {}, "diverged": True}
    seconds = round(time.process_time() - started, 1)
    more = {"sequences": learner.seen, "weights": learner.weights, "settings": settings.record(), "seconds": seconds}
    return found | outcome | more


def learn(problem, learner):
    """Trains until the task is solved, or the limit is reached; returns which."""
    settings = learner.settings
    while learner.seen < settings.limit:
        batch = problem.batch(settings.batch)
        outputs = learner.learn(batch)
        if problem.is_solved(learner, outputs, batch):
            return True
    return False
