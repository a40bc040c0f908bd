"""tune: what it finds, by Optuna and without it, how it splits, prunes and repeats itself, and what it refuses."""

import sys
from datetime import timedelta

import numpy as np
import pytest

from clstm.estimators import LSTMClassifier, LSTMRegressor
from clstm.estimators.base import Estimator
from clstm.tuning import checked_budget, distribution, part, tune

optuna = pytest.importorskip("optuna")
pytest.importorskip("sklearn", minversion="1.6")

SMALL = {"hidden_size": 4, "batch_size": 8, "bidirectional": False, "dropout": 0.0}
SPACE = {"learning_rate": [1e-6, 3e-2]}


@pytest.fixture
def waves(rng):
    """Slow and fast waves of unequal length."""
    y = np.tile(["slow", "fast"], 12)
    return [np.sin(np.arange(rng.integers(8, 14)) * (1.2 if name == "fast" else 0.4)) for name in y], y


@pytest.fixture(params=["optuna", "halving"])
def library(request, monkeypatch):
    """With Optuna, and without."""
    if request.param == "halving":
        monkeypatch.setitem(sys.modules, "optuna", None)
    return request.param


def test_it_finds_what_is_better(waves, library):
    X, y = waves
    model = LSTMClassifier(epochs=9, **SMALL)
    found = tune(model, X, y, budget=5, space=SPACE, random_state=0, progress=False)
    assert found.best_params_["learning_rate"] == 3e-2
    assert found.best_score_ == max(row["score"] for row in found.trials_ if row["state"] == "complete")
    assert found.best_estimator_.learning_rate == 3e-2
    assert found.best_estimator_.score(X, y) > 0.8
    assert "net_" not in vars(model)
    assert model.learning_rate == 1e-2
    assert repr(found).startswith(f"Tuning({len(found.trials_)} trials, best score ")


def test_a_seed_gives_the_same(waves, library):
    found = [
        tune(LSTMClassifier(epochs=3, **SMALL), *waves, budget=3, random_state=1, n_jobs=n_jobs, progress=False)
        for n_jobs in (None, 1)
    ]
    assert found[0].best_params_ == found[1].best_params_
    for a, b in zip(found[0].trials_, found[1].trials_, strict=True):
        assert a.keys() == b.keys()
        np.testing.assert_equal(a | {"seconds": 0}, b | {"seconds": 0})
    np.testing.assert_array_equal(*(one.best_estimator_.predict_proba(waves[0]) for one in found))


def test_the_first_trial_has_the_parameters_of_the_estimator(rng):
    X = rng.normal(size=(12, 4))
    model = LSTMRegressor(epochs=2, **SMALL)
    found = tune(model, X, X[:, -1], budget=1, cv=2, random_state=0, progress=False)
    assert found.best_params_.items() <= model.get_params().items()
    assert set(found.best_params_) == set(model._search_space())


def test_the_score_is_that_of_cross_validation(rng):
    from sklearn.model_selection import KFold, cross_val_score

    X = rng.normal(size=(24, 4))
    y = X.sum(axis=1)
    model = LSTMRegressor(epochs=3, random_state=0, **SMALL)
    splits = KFold(4, shuffle=True, random_state=0)
    options = {"scoring": "neg_mean_absolute_error", "cv": splits}
    found = tune(model, X, y, budget=1, space={"epochs": [3]}, progress=False, **options)
    assert found.best_score_ == pytest.approx(cross_val_score(model, X, y, **options).mean())


class Weather(Estimator):
    """Scores are known: the learning rate, in each epoch a tenth of it more; counts epochs that are made."""

    made = 0

    def __init__(self, learning_rate=1.0, epochs=20):
        self.learning_rate = learning_rate
        self.epochs = epochs

    _callbacks = ()

    def fit(self, X, y=None):
        """Learns nothing."""
        self.last_, trainer = X[-1], type("Trainer", (), {"net": None})
        for epoch in range(1, self.epochs + 1):
            type(self).made += 1
            self.now_ = self.learning_rate * epoch / self.epochs
            if any(callback.on_epoch_end(trainer, {"epoch": epoch}) for callback in self._callbacks):
                break
        self.net_ = None
        return self

    def score(self, X, y=None):
        """What has been learnt; what is held out follows what was learnt."""
        assert X[0] == self.last_ + 1
        return self.now_


def test_trials_that_fall_behind_are_pruned_and_time_splits_are_the_default_without_targets():
    Weather.made = 0
    space = {"learning_rate": [1.0, 0.01, 2.0]}
    found = tune(Weather(), np.arange(40), budget=30, space=space, random_state=0, progress=False)
    states = [row["state"] for row in found.trials_]
    pruned = [row for row in found.trials_ if row["state"] == "pruned"]
    assert found.best_params_ == {"learning_rate": 2.0}
    assert found.best_score_ == 2.0
    assert pruned
    assert all(row["learning_rate"] < 2 and np.isnan(row["score"]) for row in pruned)
    assert states[:5] == ["complete"] * 5
    # Those that are complete make all epochs of three folds, and one is fitted at the end; the rest stops early
    assert len(pruned) <= Weather.made - 20 - 60 * states.count("complete") <= 12 * len(pruned)


def test_a_text_is_cut_in_time():
    assert part("abcdef", np.array([2, 3])) == "cd"
    with pytest.raises(ValueError, match="cv: expected parts of X in one piece"):
        part("abcdef", np.array([2, 4]))


def test_trainings_that_fail(waves):
    X, _ = waves
    model = LSTMRegressor(epochs=20, clip_norm=None, **SMALL)
    numbers = np.arange(24.0)
    space = {"learning_rate": [1e30, 1e-2]}
    found = tune(model, X, numbers, budget=6, space=space, random_state=0, progress=False)
    assert {row["state"] for row in found.trials_} >= {"failed", "complete"}
    assert found.best_params_ == {"learning_rate": 1e-2}
    with pytest.raises(RuntimeError, match="no trial of 2 came to its end"):
        tune(model, X, numbers, budget=2, space={"learning_rate": [1e30]}, progress=False)


@pytest.mark.parametrize(
    ("budget", "expected"),
    [
        (7, (7, None)),
        (np.int64(7), (7, None)),
        ("90s", (None, 90)),
        ("1.5 min", (None, 90)),
        ("2h", (None, 7200)),
        (timedelta(minutes=3), (None, 180)),
    ],
    ids=str,
)
def test_budgets(budget, expected):
    assert checked_budget(budget) == expected


def test_a_budget_of_time_ends(waves):
    found = tune(LSTMClassifier(epochs=1, **SMALL), *waves, budget="0.1s", space=SPACE, random_state=0, progress=False)
    assert found.trials_


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"budget": 0}, "budget: expected an int of at least 1, got 0"),
        ({"budget": 2.5}, "budget: expected an int, the number of trials, a timedelta, or a text"),
        ({"budget": "10"}, "budget: expected an int, the number of trials.*got '10'"),
        ({"budget": timedelta(0)}, "budget: expected more than no time"),
        ({"space": {}}, "space: expected a dict of what to try"),
        ({"space": {"depth": [1]}}, "space: expected parameters of LSTMClassifier, got 'depth'"),
        ({"space": {"epochs": []}}, r"space\['epochs'\]: expected a list of values"),
        ({"space": {"epochs": 5}}, r"space\['epochs'\]: expected a list of values"),
        ({"space": {"epochs": [[1]]}}, r"space\['epochs'\]: expected values that are numbers, texts"),
        ({"space": {"epochs": (1,)}}, r"space\['epochs'\]: expected \(low, high\)"),
        ({"space": {"epochs": (5, 1)}}, r"space\['epochs'\]: expected a range \(low, high\) with low below high"),
        ({"space": {"dropout": (0, 1.0, "log")}}, r"space\['dropout'\]: expected a range.*with low above 0"),
        ({"space": {"dropout": (0.1, 1.0, "lin")}}, r"space\['dropout'\]: expected \(low, high\)"),
        ({"space": {"dropout": ("a", 1.0)}}, r"space\['dropout'\]: expected a range of numbers"),
        ({"progress": 1}, "progress: expected True or False"),
        ({"random_state": "x"}, "random_state: expected an int"),
    ],
    ids=str,
)
def test_what_is_refused(waves, options, message):
    with pytest.raises((TypeError, ValueError), match=message):
        tune(LSTMClassifier(), *waves, **options)


def test_estimators_that_are_refused(waves):
    from sklearn.linear_model import Ridge

    with pytest.raises(TypeError, match=r"estimator: expected an estimator of clstm.estimators, got Ridge"):
        tune(Ridge(), *waves)

    class Silent(Weather):
        score = None

        def __getattribute__(self, name):
            if name == "score":
                raise AttributeError(name)
            return super().__getattribute__(name)

    with pytest.raises(ValueError, match="scoring: expected a scorer, because Silent has none"):
        tune(Silent(), np.arange(9))


def test_without_libraries(waves, monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(ValueError, match="budget: expected a number of trials, because Optuna is not installed"):
        tune(LSTMClassifier(), *waves, budget="1s")
    with pytest.raises(ValueError, match="space: expected more than epochs, because Optuna is not installed"):
        tune(LSTMClassifier(), *waves, space={"epochs": [1]})
    with pytest.raises(TypeError, match="X: expected sequences, because Optuna, which takes a text, is not installed"):
        tune(Weather(), "abcdefgh", space={"learning_rate": [1.0]})
    monkeypatch.setitem(sys.modules, "sklearn", None)
    with pytest.raises(ImportError, match=r'pip install "clstm-toolkit\[tune\]"'):
        tune(LSTMClassifier(), *waves)


def test_halving_leaves_a_third(waves, monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    space = {
        "learning_rate": (1e-3, 1e-1, "log"),
        "hidden_size": (2, 6),
        "batch_size": (8, 16, "log"),
        "dropout": (0.0, 0.3),
    }
    found = tune(LSTMClassifier(epochs=9), *waves, budget=9, space=space, random_state=0, progress=False)
    assert [row["epochs"] for row in found.trials_] == [1] * 9 + [3] * 3 + [9]
    assert [row["state"] for row in found.trials_] == ["pruned"] * 12 + ["complete"]
    assert {type(value) for row in found.trials_ for value in row.values()} <= {int, float, str}
    for row in found.trials_:
        assert 1e-3 <= row["learning_rate"] <= 1e-1
        assert 2 <= row["hidden_size"] <= 6
    assert distribution((2, 5, "log")) == [2, 3, 4, 5]


def test_estimators_without_targets(rng):
    from clstm.estimators import CharLM, LSTMForecaster

    series = np.sin(np.arange(90) / 2) + 0.1 * rng.normal(size=90)
    model = LSTMForecaster(horizon=2, window=8, hidden_size=4, networks=1, epochs=1)
    found = tune(model, series, budget=1, random_state=0, progress=False)
    assert found.best_estimator_.predict().shape == (2,)
    text = "so it goes on and on, and " * 20
    found = tune(CharLM(hidden_size=4, epochs=1), text, budget=2, space={"hidden_size": [4, 8]}, progress=False)
    assert found.best_score_ < 0


def test_targets_of_several_parts(rng):
    from clstm.estimators import LSTMTagger

    words, tags = [["a", "b"], ["b"]] * 6, [["X", "Y"], ["Y"]] * 6
    found = tune(LSTMTagger(hidden_size=4, epochs=1), words, tags, budget=1, cv=2, random_state=0, progress=False)
    assert 0 <= found.best_score_ <= 1
