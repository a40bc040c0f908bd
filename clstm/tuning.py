"""tune: finds hyper-parameters of an estimator, by Optuna or, without it, by scikit-learn's successive halving."""

from __future__ import annotations

import importlib.util
import math
import re
import sys
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import numpy as np

from . import _arrays
from .callbacks import Callback

if TYPE_CHECKING:
    from collections.abc import Mapping

FOLDS = 3
TENTHS = 10  # points of a training at which it is judged
UNITS = {"s": 1, "min": 60, "h": 3600}
BUDGET = "an int, the number of trials, a timedelta, or a text such as '90s', '10min' or '2h'"
MISSING = 'tune needs scikit-learn, and is at its best with Optuna: pip install "clstm-toolkit[tune]"'


class Tuning:
    """What `tune` has found.

    Attributes
    ----------
    best_params_ : dict
        Of the parameters that were tried.
    best_score_ : float
        Their mean over the folds of the cross-validation.
    best_estimator_ : Estimator
        With these parameters, fitted to all data.
    trials_ : list of dict
        A row for each trial, in the order in which they were made: "state" ("complete", "pruned" or "failed"), "score"
        (NaN if it was not finished), "seconds" and what was tried. ``pandas.DataFrame(trials_)`` is a table of it.
    """

    def __init__(
        self, best_params: dict[str, Any], best_score: float, best_estimator: Any, trials: list[dict[str, Any]]
    ) -> None:
        self.best_params_, self.best_score_ = best_params, best_score
        self.best_estimator_, self.trials_ = best_estimator, trials

    def __repr__(self):
        return f"Tuning({len(self.trials_)} trials, best score {self.best_score_:.4g} with {self.best_params_})"


def tune(
    estimator: Any,
    X: Any,
    y: Any = None,
    *,
    budget: int | str | timedelta = 20,
    space: Mapping[str, Any] | None = None,
    scoring: Any = None,
    cv: Any = None,
    random_state: Any = None,
    n_jobs: int | None = None,
    progress: bool = True,
) -> Tuning:
    """Finds hyper-parameters of an estimator by cross-validation on the data that it is given.

    With Optuna (Akiba et al. 2019), trials are proposed by its TPE sampler, the first one by the estimator's own
    parameters; trials that fall behind the median of the others are given up (pruned), after a tenth of their training
    where the estimator lets itself be looked at meanwhile, otherwise after a fold. Without Optuna it is scikit-learn's
    successive halving: all trials are made with few epochs, and the best third of them with three times as many, and
    so on; `epochs` is not searched then.

    Parameters
    ----------
    estimator : Estimator
        It stays as it is.
    X, y
        What its `fit` takes. The test part does not belong here.
    budget : int, str or datetime.timedelta, default 20
        How many trials, or how long: '90s', '10min', '2h'. A trial that has begun when the time is over is finished,
        and the best parameters are fitted to all data after that. Successive halving needs a number of trials.
    space : dict, optional
        What to try, by the names of parameters: a list of values, or a tuple ``(low, high)`` for a range, of ints if
        both are ints, or ``(low, high, "log")`` for one that is searched on a logarithmic scale. None: what is around
        the estimator's own parameters.
    scoring : str or callable, optional
        As in scikit-learn; larger is better. None: the estimator's `score`.
    cv : int, splitter or iterable, optional
        As in scikit-learn. None: 3 folds, which have the same share of each class for a classifier; without y, 3 splits
        in time, each of which is fitted to what lies before the part that is scored.
    random_state : int, numpy.random.Generator, numpy.random.RandomState or None
        For proposals and folds, and for the estimator if it has none itself. The same int gives the same result,
        whatever `n_jobs` is.
    n_jobs : int, optional
        Processes for folds, or, without Optuna, for trials; as in joblib.
    progress : bool, default True
        Whether to show a bar.

    Returns
    -------
    Tuning

    Raises
    ------
    ImportError
        There is no scikit-learn.
    TypeError, ValueError
        An argument does not fit.
    RuntimeError
        No trial came to its end: each training failed.

    Examples
    --------
    ::

        found = clstm.tune(LSTMClassifier(), X, y, budget="10min", random_state=0)
        print(found.best_params_, found.best_score_)
        found.best_estimator_.predict(X_new)
    """
    if not installed("sklearn"):
        raise ImportError(MISSING)
    from .estimators.base import Estimator, generator_of

    if not isinstance(estimator, Estimator):
        raise _arrays.wrong(TypeError, "estimator", "an estimator of clstm.estimators", _arrays.kind(estimator))
    trials, seconds = checked_budget(budget)
    space = checked_space(estimator, estimator._search_space() if space is None else space)
    progress = _arrays.flag("progress", progress)
    rng = generator_of(random_state)
    seed = int(rng.integers(2**31))
    if random_state is not None and getattr(estimator, "random_state", 0) is None:
        estimator = type(estimator)(**(estimator.get_params() | {"random_state": int(rng.integers(2**31))}))
    task = Task(estimator, X, y, scoring, cv, seed, n_jobs)
    if installed("optuna"):
        return by_optuna(task, space, trials, seconds, seed, progress)
    if trials is None:
        raise _arrays.wrong(ValueError, "budget", "a number of trials, because Optuna is not installed", budget)
    return by_halving(task, space, trials, seed, n_jobs, progress)


def installed(name: str) -> bool:
    """Whether a package can be imported."""
    if name in sys.modules:
        return sys.modules[name] is not None
    return importlib.util.find_spec(name) is not None


# What is asked for


def checked_budget(budget: Any) -> tuple[int | None, float | None]:
    """The number of trials, or seconds; the other is None."""
    if isinstance(budget, timedelta):
        seconds = budget.total_seconds()
    elif isinstance(budget, str):
        match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(s|min|h)\s*", budget)
        if match is None:
            raise _arrays.wrong(ValueError, "budget", BUDGET, repr(budget))
        seconds = float(match[1]) * UNITS[match[2]]
    elif hasattr(budget, "__index__"):
        return _arrays.size("budget", budget), None
    else:
        raise _arrays.wrong(TypeError, "budget", BUDGET, f"{budget!r} ({_arrays.kind(budget)})")
    if seconds <= 0:
        raise _arrays.wrong(ValueError, "budget", "more than no time", repr(budget))
    return None, seconds


def checked_space(estimator: Any, space: Any) -> dict[str, list | tuple]:
    """The space, if all of it can be searched."""
    if not isinstance(space, dict) or not space:
        raise _arrays.wrong(TypeError, "space", "a dict of what to try for each parameter", f"{space!r:.80}")
    known = estimator.get_params()
    for name, values in space.items():
        if name not in known:
            raise _arrays.wrong(ValueError, "space", f"parameters of {type(estimator).__name__}", f"{name!r:.80}")
        (check_range if isinstance(values, tuple) else check_choices)(f"space[{name!r}]", values)
    return dict(space)


def check_choices(name: str, values: Any) -> None:
    """Raises for all but a list of values."""
    if not isinstance(values, list) or not values:
        expected = "a list of values, or a tuple (low, high) or (low, high, 'log')"
        raise _arrays.wrong(TypeError, name, expected, f"{values!r:.80}")
    for value in values:
        if value is not None and not isinstance(value, (bool, int, float, str)):
            raise _arrays.wrong(
                TypeError, name, "values that are numbers, texts, True, False or None", f"{value!r:.80}"
            )


def check_range(name: str, values: tuple) -> None:
    """Raises for all but (low, high) and (low, high, "log")."""
    if len(values) not in (2, 3) or (len(values) == 3 and values[2] != "log"):
        raise _arrays.wrong(ValueError, name, "(low, high) or (low, high, 'log')", f"{values!r:.80}")
    low, high = (_arrays.number(name, value, "a range of numbers") for value in values[:2])
    if not (-np.inf < low < high < np.inf) or (len(values) == 3 and low <= 0):
        least = " with low above 0" if len(values) == 3 else ""
        raise _arrays.wrong(ValueError, name, f"a range (low, high) with low below high{least}", f"{values!r:.80}")


def is_whole(values: tuple) -> bool:
    """Whether a range is one of ints."""
    return all(isinstance(value, (int, np.integer)) for value in values[:2])


# Cross-validation


class Task:
    """What is scored: an estimator, data, and how they are split."""

    def __init__(self, estimator: Any, X: Any, y: Any, scoring: Any, cv: Any, seed: int, n_jobs: int | None) -> None:
        from sklearn.metrics import check_scoring
        from sklearn.model_selection import check_cv

        if scoring is None and not hasattr(estimator, "score"):
            raise _arrays.wrong(ValueError, "scoring", f"a scorer, because {type(estimator).__name__} has none", "None")
        self.estimator, self.X, self.y, self.n_jobs = estimator, X, y, n_jobs
        self.scorer = check_scoring(estimator, scoring)
        if cv is None:
            cv = folds_of(estimator, y, seed)
        splitter = check_cv(cv, y, classifier=has_classes(estimator, y))
        self.splits = list(splitter.split(np.zeros(len(X)), y))

    def fold(self, params, number, watch=None):
        """The score of one fold; `watch` is called with the model and what is held out, and gives a callback."""
        from sklearn.base import clone

        train, test = self.splits[number]
        model = clone(self.estimator).set_params(**params)
        held = [part(data, test) for data in (self.X, self.y) if data is not None]
        if watch is not None:
            model._callbacks = [watch(model, lambda: self.scorer(model, *held))]
        model.fit(*[part(data, train) for data in (self.X, self.y) if data is not None])
        return float(self.scorer(model, *held))

    def final(self, params):
        """The estimator with some parameters, fitted to all data."""
        from sklearn.base import clone

        model = clone(self.estimator).set_params(**params)
        return model.fit(*[data for data in (self.X, self.y) if data is not None])


def folds_of(estimator: Any, y: Any, seed: int) -> Any:
    """Three folds that suit an estimator."""
    from sklearn.model_selection import KFold, StratifiedKFold, TimeSeriesSplit

    if y is None:
        return TimeSeriesSplit(FOLDS)
    kind = StratifiedKFold if has_classes(estimator, y) else KFold
    return kind(FOLDS, shuffle=True, random_state=seed)


def has_classes(estimator: Any, y: Any) -> bool:
    """Whether there is one class for each row; a tagger has several."""
    return estimator.kind == "classifier" and all(np.ndim(label) == 0 for label in y)


def part(data: Any, rows: np.ndarray) -> Any:
    """Some rows of an array, a DataFrame, a list, or a text, of which rows follow each other."""
    if isinstance(data, str):
        if not np.array_equal(rows, np.arange(rows[0], rows[-1] + 1)):
            raise _arrays.wrong(ValueError, "cv", "parts of X in one piece, because it is a text", "others")
        return data[rows[0] : rows[-1] + 1]
    if hasattr(data, "iloc"):
        return data.iloc[rows]
    return data[rows] if isinstance(data, np.ndarray) else [data[n] for n in rows]


# With Optuna


class Pruning(Callback):
    """Reports the score on what is held out to Optuna while a network learns, and stops one that falls behind.

    Parameters
    ----------
    trial : optuna.Trial
    model : Estimator
        The one that is learning; it has set all but its network.
    score : callable
        The score of the model on what is held out.

    Attributes
    ----------
    pruned : bool
        Whether the trial is not worth going on with.

    Notes
    -----
    Trainings of different length are compared after the same share of their epochs, by tenths, because their learning
    rate falls over the whole length. Of several networks, the first one is looked at.
    """

    def __init__(self, trial: Any, model: Any, score: Any) -> None:
        self.trial, self.model, self.score = trial, model, score
        self.pruned, self.tenth, self.first = False, 0, None

    def on_step_end(self, trainer, logs):
        """Whether the trial is given up already."""
        return self.pruned

    def on_epoch_end(self, trainer, logs):
        """Reports, at each tenth."""
        self.first = self.first or trainer
        tenth = TENTHS * logs["epoch"] // self.model.epochs
        if trainer is self.first and tenth > self.tenth:
            self.tenth = tenth
            self.model.net_ = trainer.net
            self.trial.report(self.score(), tenth)
            del self.model.net_
            self.pruned = self.trial.should_prune()
        return self.pruned


def by_optuna(task, space, trials, seconds, seed, progress):
    """Trials by Optuna's TPE sampler, pruned by the median."""
    import optuna

    def proposed(trial):
        return {name: suggested(trial, name, values) for name, values in space.items()}

    def objective(trial):
        from joblib import Parallel, delayed

        params, watched = proposed(trial), []

        def watch(model, score):
            watched.append(Pruning(trial, model, score))
            return watched[0]

        scores = [task.fold(params, 0, None if task.estimator._callbacks is None else watch)]
        if watched and watched[0].pruned:
            raise optuna.TrialPruned
        trial.report(scores[0], TENTHS + 1)
        if trial.should_prune():
            raise optuna.TrialPruned
        others = range(1, len(task.splits))
        scores += Parallel(task.n_jobs)(delayed(task.fold)(params, number) for number in others)
        return float(np.mean(scores))

    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        study = optuna.create_study(
            direction="maximize",
            sampler=optuna.samplers.TPESampler(seed=seed),
            pruner=optuna.pruners.MedianPruner(n_startup_trials=5, n_warmup_steps=2),
        )
        study.enqueue_trial(
            {name: getattr(task.estimator, name) for name in space if within(task.estimator, name, space)}
        )
        visible = progress and sys.stderr is not None and sys.stderr.isatty()
        study.optimize(
            objective, n_trials=trials, timeout=seconds, catch=(FloatingPointError,), show_progress_bar=visible
        )
    finally:
        optuna.logging.set_verbosity(level)
    complete = [trial for trial in study.trials if trial.state == optuna.trial.TrialState.COMPLETE]
    if not complete:
        raise RuntimeError(f"no trial of {len(study.trials)} came to its end; is the learning rate too large?")
    table = [row_of(trial) for trial in study.trials]
    return Tuning(study.best_params, study.best_value, task.final(study.best_params), table)


def suggested(trial, name, values):
    """A value that Optuna proposes."""
    if isinstance(values, list):
        return trial.suggest_categorical(name, values)
    suggest = trial.suggest_int if is_whole(values) else trial.suggest_float
    return suggest(name, *values[:2], log=len(values) == 3)


def within(estimator, name, space):
    """Whether the estimator's own value is one that can be tried."""
    value, values = getattr(estimator, name), space[name]
    if isinstance(values, list):
        return any(type(value) is type(one) and value == one for one in values)
    fits = isinstance(value, int) if is_whole(values) else isinstance(value, (int, float))
    return fits and not isinstance(value, bool) and values[0] <= value <= values[1]


def row_of(trial):
    """A trial of Optuna as a row of the table."""
    state = {"COMPLETE": "complete", "PRUNED": "pruned", "FAIL": "failed"}[trial.state.name]
    score = trial.value if state == "complete" else np.nan
    return {"state": state, "score": score, "seconds": trial.duration.total_seconds(), **trial.params}


# Without Optuna


def by_halving(task, space, trials, seed, n_jobs, progress):
    """Successive halving over epochs (Jamieson and Talwalkar 2016), by thirds."""
    from sklearn.experimental import enable_halving_search_cv  # noqa: F401
    from sklearn.model_selection import HalvingRandomSearchCV

    if isinstance(task.X, str):
        raise _arrays.wrong(TypeError, "X", "sequences, because Optuna, which takes a text, is not installed", "a str")
    searched = {name: distribution(values) for name, values in space.items() if name != "epochs"}
    if not searched:
        raise _arrays.wrong(ValueError, "space", "more than epochs, because Optuna is not installed", "epochs only")
    lists = [values for values in searched.values() if isinstance(values, list)]
    most = math.prod(map(len, lists)) if len(lists) == len(searched) else trials  # that differ
    search = HalvingRandomSearchCV(
        task.estimator,
        searched,
        n_candidates=min(trials, most),
        resource="epochs",
        min_resources="exhaust",
        max_resources=task.estimator.epochs,
        scoring=task.scorer,
        cv=task.splits,
        random_state=seed,
        n_jobs=n_jobs,
        refit=False,
        verbose=int(progress),
    )
    search.fit(task.X, task.y)
    found = search.cv_results_
    seconds = (found["mean_fit_time"] + found["mean_score_time"]) * len(task.splits)
    table = []
    for row, params in enumerate(found["params"]):
        score, last = float(found["mean_test_score"][row]), found["iter"][row] == search.n_iterations_ - 1
        state = "failed" if np.isnan(score) else "complete" if last else "pruned"
        table.append({"state": state, "score": score, "seconds": float(seconds[row]), **plain(params)})
    best = plain(search.best_params_)
    return Tuning(best, float(search.best_score_), task.final(best), table)


def plain(params):
    """Parameters without scalars of NumPy."""
    return {name: value.item() if isinstance(value, np.generic) else value for name, value in params.items()}


def distribution(values):
    """What scikit-learn draws from: a list, or a distribution of SciPy."""
    from scipy import stats

    if isinstance(values, list):
        return values
    low, high = values[:2]
    if len(values) == 2:
        return stats.randint(low, high + 1) if is_whole(values) else stats.uniform(low, high - low)
    if is_whole(values):
        return np.unique(np.geomspace(low, high, 50).round().astype(int)).tolist()
    return stats.loguniform(low, high)
