"""The trials of `python -m bench tasks_1997`: how they learn, when they end, what is kept and printed."""

import importlib
import importlib.util
import json
import subprocess
import sys
from concurrent.futures import Future
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[1]


def load_bench():
    """The folder of the source tree as a package, without the tree on the path: an installed clstm stays what it is."""
    spec = importlib.util.spec_from_file_location("bench", ROOT / "bench" / "__init__.py")
    package = importlib.util.module_from_spec(spec)
    sys.modules["bench"] = package
    spec.loader.exec_module(package)


load_bench()
bench, published, sequences, command, experiments, learner, problems, results_, settings_, table, trial = (
    importlib.import_module(f"bench.{name}")
    for name in (
        *("__main__", "tasks_1997.published", "tasks_1997.sequences", "trials.command", "trials.experiments"),
        *("trials.learner", "trials.problems", "trials.results", "trials.settings", "trials.table", "trials.trial"),
    )
)
Settings, Results = settings_.Settings, results_.Results


def generators(seed=0):
    return np.random.default_rng(seed), np.random.default_rng(seed + 1)


# A task that takes a second: was the first number positive?


def first_sign(count, rng):
    x = rng.choice([-1, 1], size=(count, 3, 1)).astype(np.float32)
    lengths = np.full(count, 3, np.int64)
    labels = (x[:, 0, 0] > 0).astype(np.int64)
    return sequences.Sequences(x, sequences.one_hot(labels, 2), lengths, sequences.last(lengths, 3), labels)


def short(rng, test_rng):
    criterion = importlib.import_module("bench.tasks_1997.criteria").Recent
    return problems.OnLine(first_sign, lambda: criterion(0.3, size=100), rng, test_rng, 1, 2)


@pytest.fixture
def tiny(monkeypatch):
    """A suite of one task, which one cell learns and the other cannot: it hardly moves."""
    learns = Settings(hidden=4, limit=4000, batch=8, loss="cross_entropy", learning_rate=0.05, clip_norm=1.0)
    old = Settings(hidden=2, limit=200, loss="logistic", optimizer="sgd", learning_rate=1e-6, interval=0.2)
    found = experiments.Experiment(
        "tiny", "first sign", short, {"1997": old, "modern": learns}, {"1997": 2, "modern": 3}, ("6a", "2 symbols")
    )
    for module in (experiments, command, table):
        monkeypatch.setattr(module, "EXPERIMENTS", (found,))
    return found


def test_a_trial_that_solves_its_task(tiny):
    found = trial.run("tiny", "modern", 0)
    assert found["solved"] is True
    assert 100 <= found["sequences"] < 4000
    assert found["sequences"] % 8 == 0
    assert found["test"] == {"wrong": 0, "of": 2560}
    assert found["weights"] == 4 * 4 * (1 + 4 + 1) + 2 * (4 + 1)
    assert found["settings"]["batch"] == 8


def test_a_trial_that_does_not(tiny):
    found = trial.run("tiny", "1997", 0)
    assert (found["solved"], found["sequences"]) == (False, 200)
    assert found["test"]["wrong"] > 0
    assert trial.run("tiny", "1997", 0, limit=50)["sequences"] == 50
    assert trial.run("tiny", "1997", 0, limit=500)["sequences"] == 200


def test_a_trial_gives_the_same_every_time(tiny):
    first, second, other = (trial.run("tiny", "modern", seed) for seed in (1, 1, 2))
    for found in (first, second, other):
        del found["seconds"], found["seed"]
    assert first == second
    assert first != other


def test_a_trial_that_diverges_ends_unsolved(tiny, monkeypatch):
    wild = tiny.settings["modern"].but(loss="mse", optimizer="sgd", learning_rate=1e30, clip_norm=None)
    monkeypatch.setitem(tiny.settings, "modern", wild)
    with np.errstate(all="ignore"):
        found = trial.run("tiny", "modern", 0)
    assert (found["solved"], found["test"], found["diverged"]) == (False, {}, True)
    assert found["sequences"] < 4000


# The learner


@pytest.mark.parametrize("cell", settings_.CELLS)
@pytest.mark.parametrize("loss", settings_.LOSSES)
@pytest.mark.parametrize(
    ("at_end", "direct"), [(True, False), (False, False), (False, True)], ids=["end", "every-step", "direct"]
)
def test_the_gradient_is_that_of_the_loss(cell, loss, at_end, direct):
    """A step of SGD moves along the difference quotient of what the loss says."""
    batch = small_batch(at_end)
    one = learner.Learner(
        cell, Settings(3, 1, loss, 1, "sgd", 1.0, interval=0.5, direct=direct), 2, 2, at_end, generators()[0]
    )
    weights = one.parts[-1].layer.flat_parameters
    old = weights.copy()
    for k in (0, weights.size - 1):
        quotient = (value_of(one, batch, loss, weights, k, 1e-2) - value_of(one, batch, loss, weights, k, -1e-2)) / 2e-2
        one.learn(batch)
        assert old[k] - weights[k] == pytest.approx(quotient, rel=2e-2, abs=2e-4)
        weights[:] = old


def small_batch(at_end):
    rng = np.random.default_rng(5)
    lengths = np.array([4, 2, 3])
    x = rng.standard_normal((3, 4, 2)).astype(np.float32)
    x[~sequences.valid(lengths, 4)] = np.nan
    labels = rng.integers(2, size=3 if at_end else (3, 4))
    mask = sequences.last(lengths, 4) if at_end else sequences.valid(lengths, 4)
    return sequences.Sequences(x, sequences.one_hot(labels, 2), lengths, mask, labels)


def value_of(one, batch, loss, weights, k, change):
    """The loss by its formula, with one weight changed."""
    kept = weights[k]
    weights[k] = kept + change
    y = one.outputs(batch).astype(np.float64)
    weights[k] = kept
    where = np.ones(3, bool) if y.ndim == 2 else batch.mask
    if loss == "logistic":
        return 0.5 * np.sum((y - batch.y)[where] ** 2) / len(batch)
    if loss == "mse":
        return np.mean((y - batch.y)[where] ** 2)
    return -np.mean(np.log(np.sum(y * batch.y, axis=-1)[where]))


def test_the_norm_is_clipped_over_all_parts():
    batch = small_batch(False)
    plain = Settings(3, 1, "logistic", 1, "sgd", 1.0, interval=0.5, direct=True)
    moves = []
    for clip in (None, 1e9, 1e-3):
        one = learner.Learner("modern", plain.but(clip_norm=clip), 2, 2, False, generators()[0])
        old = [part.layer.flat_parameters.copy() for part in one.parts]
        one.learn(batch)
        moves.append(np.concatenate([part.layer.flat_parameters - kept for part, kept in zip(one.parts, old)]))
    np.testing.assert_array_equal(moves[0], moves[1])
    assert np.linalg.norm(moves[2]) == pytest.approx(1e-3, rel=1e-3)
    np.testing.assert_allclose(moves[2] * np.linalg.norm(moves[0]) / 1e-3, moves[0], rtol=1e-2, atol=1e-4)


def test_the_learning_rate_halves():
    one = learner.Learner(
        "rnn", Settings(3, 1, batch=3, learning_rate=0.8, halved_after=3), 2, 2, True, generators()[0]
    )
    rates = []
    for _ in range(4):
        one.learn(small_batch(True))
        rates.append(one.optimizer.learning_rate)
    assert rates == [0.8, 0.4, pytest.approx(0.8 / 3), 0.2]


def test_starting_weights():
    plain = Settings(4, 1, interval=0.25, input_bias=(-3, -6), output_bias=(-1, -2, -3, -4))
    one = learner.Learner("1997", plain, 2, 2, True, generators()[0])
    values = one.parts[0].layer.parameters()
    i, g, o = values["0.bias_l0"].reshape(3, 4)
    assert (i.tolist(), o.tolist()) == ([-3, -6, -3, -6], [-1, -2, -3, -4])
    for part in (g, values["0.weight_ih_l0"], values["0.weight_hh_l0"], values["2.weight"], values["2.bias"]):
        assert (np.abs(part) <= 0.25).all()
        assert len(np.unique(part)) == part.size
    assert one.weights == 3 * 4 * (2 + 4 + 1) + 2 * (4 + 1)


def test_the_old_cell_is_that_of_1997():
    layer = learner.Learner("1997", Settings(4, 1), 2, 2, True, generators()[0]).parts[0].layer[0]
    assert not layer.forget_gate
    assert (layer.candidate_activation, layer.output_activation) == ("centered_sigmoid_2", "centered_sigmoid_1")


def test_other_squashing_functions():
    chosen = Settings(4, 1, g="sigmoid", h="identity")
    for cell in ("1997", "modern"):
        layer = learner.Learner(cell, chosen, 2, 2, True, generators()[0]).parts[0].layer[0]
        assert (layer.candidate_activation, layer.output_activation) == ("sigmoid", "identity")


# Problems


@pytest.mark.parametrize("experiment", experiments.EXPERIMENTS, ids=lambda experiment: experiment.name)
def test_each_problem_fits_its_networks(experiment):
    """A few updates with each kind of cell, a look, and a test."""
    for module in {"digits-rows": ("sklearn",), "digits-pixels": ("sklearn",), "mnist1d": ("mnist1d",)}.get(
        experiment.name, ()
    ):
        pytest.importorskip(module)
    assert set(experiment.settings) == set(experiment.seeds)
    assert set(experiment.settings) <= set(settings_.CELLS)
    for cell, chosen in experiment.settings.items():
        problem = experiment.problem(*generators())
        one = learner.Learner(cell, chosen, problem.inputs, problem.outputs, problem.at_end, generators(2)[0])
        for _ in range(3):
            batch = problem.batch(4)
            assert len(batch) == 4
            outputs = one.learn(batch)
            assert outputs.shape == batch.y.shape
            assert not problem.is_solved(one, outputs, batch)
    assert one.seen == 12


def test_batches_do_not_depend_on_how_often_a_network_is_looked_at():
    data = []
    for looks in (False, True):
        problem = problems.distracting(*generators(), q=5, p=4)
        one = learner.Learner("rnn", Settings(3, 1), problem.inputs, problem.outputs, True, generators(2)[0])
        for _ in range(2):
            if looks:
                problem.look(one)
            batch = problem.batch(200)
        data.append(batch)
    np.testing.assert_array_equal(data[0].x, data[1].x)


def test_a_batch_has_no_steps_that_are_all_padding():
    problem = problems.Reber(*generators())
    batches = [problem.batch(2) for _ in range(200)]
    assert len({batch.x.shape[1] for batch in batches}) > 5
    for batch in batches:
        steps = batch.lengths.max()
        assert batch.x.shape == batch.labels.shape == batch.mask.shape == (2, steps)
        assert batch.y.shape == batch.expected.shape == (2, steps, 7)


class Oracle:
    """Knows the targets of some tasks, but for the sequences of which it is told to be wrong."""

    def __init__(self, wrong=0):
        self.wrong, self.seen = wrong, 0

    def outputs(self, data):
        found = np.array(data.judged, np.float32)
        found[: self.wrong] = 1 - found[: self.wrong]
        return found


@pytest.mark.parametrize(
    "make",
    [
        problems.Reber,
        lambda *rngs: problems.regular(*rngs, p=5),
        lambda *rngs: problems.irregular(*rngs, p=5),
        lambda *rngs: problems.distracting(*rngs, q=5, p=5),
        lambda *rngs: problems.signal(*rngs, variant="clean", N=3),
        lambda *rngs: problems.signal(*rngs, variant="noisy_targets", N=3),
    ],
    ids=["reber", "2a", "2b", "2c", "3a", "3c"],
)
def test_what_is_perfect_is_solved(make):
    problem = make(*generators())
    assert problem.look(Oracle())
    assert not problem.look(Oracle(wrong=1))
    assert problem.test(Oracle()) == {"wrong": 0, "of": 2560}
    assert problem.test(Oracle(wrong=1))["wrong"] >= 1


def test_a_look_every_so_many_sequences():
    problem = problems.signal(*generators(), variant="clean", N=3)
    one = Oracle()
    looks = []
    for _ in range(60):
        batch = problem.batch(8)
        one.seen += 8
        looks.append(problem.is_solved(one, None, batch))
    assert [8 * (k + 1) for k, solved in enumerate(looks) if solved] == [104, 200, 304, 400]


def test_the_memoryless_strategy_does_not_solve_copying():
    problem = problems.Copying(*generators(), T=10)

    class Memoryless(Oracle):
        def outputs(self, data):
            given = np.zeros(data.y.shape)
            given[:, :20, 8] = 1
            given[:, 20:, :8] = 1 / 8
            return given

    assert not problem.look(Memoryless())
    assert problem.test(Memoryless())["of_baseline"] == pytest.approx(1)
    assert problem.look(Oracle())
    assert problem.test(Oracle()) == {"of_baseline": 0, "copied": 1}


def test_an_epoch_has_each_digit_once():
    data = first_sign(10, generators()[0])
    data.x[:, 0, 0] = np.arange(10)
    problem = problems.Digits(data, data, *generators())
    for _ in range(3):
        batches = [problem.batch(4) for _ in range(3)]
        assert [len(batch) for batch in batches] == [4, 4, 2]
        assert sorted(np.concatenate([batch.x[:, 0, 0] for batch in batches])) == list(range(10))


# The table of experiments


def test_names_are_unique():
    names = [experiment.name for experiment in experiments.EXPERIMENTS]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize(
    "experiment", [each for each in experiments.EXPERIMENTS if each.row], ids=lambda experiment: experiment.name
)
def test_the_1997_cell_is_set_up_as_in_the_paper(experiment):
    row, old = published.conditions(experiment.row[0]), experiment.settings["1997"]
    assert table.theirs(experiment)[0] == f"{row.weights:,}"
    if experiment.name in ("lag", "lag-irregular"):  # where that does not learn
        assert (old.direct, old.h) == (row.connections == "B", "identity" if row.h is None else None)
        return
    assert old.hidden == row.blocks * row.cells
    assert (old.batch, old.interval) == (1, row.interval)
    if old.optimizer == "sgd":
        assert old.learning_rate == row.learning_rate
    if experiment.name == "multiplication":  # whose input gates start as for adding
        row = row._replace(input_gate_bias=published.conditions("4-1").input_gate_bias)
    for ours, theirs in ((old.input_bias, row.input_gate_bias), (old.output_bias, row.output_gate_bias)):
        by_cell = None if theirs in (None, "random") else tuple(np.repeat(theirs, row.cells))
        assert ours == by_cell


# Results and table


def test_results_are_kept(tmp_path):
    results, path = Results.new(), tmp_path / "a" / "tasks.json"
    one = {"task": "adding", "cell": "modern", "seed": 1, "solved": True, "sequences": 16, "test": {"wrong": 0}}
    results.put(one)
    results.put(one | {"seed": 0, "sequences": 24})
    results.put(one | {"sequences": 32})
    results.write(path)
    again = Results.read(path)
    assert again.found == results.found
    assert [(found["seed"], found["sequences"]) for found in again.of("adding", "modern")] == [(0, 24), (1, 32)]
    assert results_.needed(again.trials) == (28, 28, 32)
    assert results_.needed([one | {"solved": False}]) is None


def test_a_file_of_another_kind_is_refused(tmp_path):
    path = tmp_path / "x.json"
    for text in ('{"format": 1, "rows": []}', "[]", '{"kind": "tasks", "format": 99}', "no JSON"):
        path.write_text(text)
        with pytest.raises(ValueError):  # noqa: PT011  (a broken file has json's own message)
            Results.read(path)
    path.write_text("[]")
    with pytest.raises(SystemExit, match="expected trials of the tasks in format 1"):
        command.main(["--report", "--out", str(path)])


def row_of(text, cell):
    """The cells of the row of the printed table about this kind of cell."""
    rows = [[part.strip() for part in line.strip("|").split("|")] for line in text.splitlines() if line[:1] == "|"]
    (found,) = (row for row in rows if row[1] == cell)
    return found


def test_the_table(tiny):
    results = Results.new()
    common = {"task": "tiny", "weights": 1234, "seconds": 1.0}
    for seed, (solved, count, wrong) in enumerate([(True, 1000, 2), (True, 4000, 0), (False, 9000, 99)]):
        results.put(
            {**common, "cell": "modern", "seed": seed, "solved": solved, "sequences": count, "test": {"wrong": wrong}}
        )
    assert row_of(table.text(results), "modern") == [
        *("first sign", "modern", "1,234", "2 of 3", "2,500", "2,500", "4,000", "2"),
        *("156", "-", "31,390", "1"),
    ]
    results.found["trials"] = []
    results.put({**common, "cell": "1997", "seed": 0, "solved": False, "sequences": 200, "test": {"wrong": 7}})
    assert row_of(table.text(results), "1997")[1:8] == ["1997", "1,234", "0 of 1", "-", "-", "> 200", "7"]
    results.found["trials"] = []
    results.found["missing"]["mnist1d"] = "not there"
    assert "first sign" not in table.text(results)
    assert table.text(results).endswith("left out: mnist1d: not there")


def test_settings_as_text():
    assert table.learning(Settings(4, 1)) == ["4", "mse", "1", "adam", "0.01", "Keras"]
    rich = Settings(
        *(6, 1, "cross_entropy", 8, "sgd", 0.5, 5000, 0.2, 0.1, 4, 100),
        input_bias=(-1, -2),
        output_bias=(-3,),
        g="sigmoid",
        h="identity",
        direct=True,
    )
    assert table.learning(rich) == [
        *("6", "cross-entropy, g sigmoid, h identity, outputs see inputs", "8", "sgd, norm up to 0.2"),
        *("0.5 / (1 + n / 5000)", "\u00b10.1, inputs of i and g \u00b14, Chrono(100), bias of i -1 -2, bias of o -3"),
    ]


@pytest.mark.parametrize(
    ("tests", "text"),
    [
        ([{"accuracy": 0.5}, {"accuracy": 0.9}, {"accuracy": 0.75}], "75.0 % right (median)"),
        ([{"of_baseline": 0.25}, {"of_baseline": 0.5}], "0.50 of the memoryless loss (worst)"),
        ([{"wrong": 1}, {"wrong": 1024}], "1,024"),
        ([{}], "-"),
    ],
)
def test_tests_as_text(tests, text):
    assert table.tested([{"test": found, "solved": None} for found in tests]) == text


# The command


def test_the_command(tiny, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(command, "ProcessPoolExecutor", Here)
    out = tmp_path / "tasks.json"
    assert bench.main(["tasks_1997", "--quick", "--jobs", "1", "--out", str(out)]) == 0
    text = capsys.readouterr().out
    assert row_of(text, "1997")[:4] == ["first sign", "1997", "30", "0 of 1"]
    kept = json.loads(out.read_text())["trials"]
    assert [(found["cell"], found["seed"]) for found in kept] == [("1997", 0), ("modern", 0)]
    assert kept[1]["settings"]["limit"] == command.QUICK_LIMIT

    assert command.main(["--cells", "modern", "--seeds", "2", "--update", "--out", str(out)]) == 0
    capsys.readouterr()
    assert len(Results.read(out).trials) == 3
    assert command.main(["--report", "--out", str(out)]) == 0
    assert "2 of 2" in capsys.readouterr().out
    assert command.main(["--cells", "modern", "--out", str(out)]) == 0  # without --update all else is gone
    assert len(Results.read(out).trials) == tiny.seeds["modern"]


class Here:
    """A pool of processes that is none."""

    def __init__(self, jobs, context, initializer):
        assert initializer is command.prepared

    def __enter__(self):
        return self

    def __exit__(self, *error):
        pass

    def shutdown(self, wait, cancel_futures):
        pass

    def submit(self, function, *arguments):
        future = Future()
        try:
            future.set_result(function(*arguments))
        except ImportError as error:
            future.set_exception(error)
        return future


def test_the_longest_tasks_come_first():
    args = command.parser().parse_args(["--only", "adding,copy", "--seeds", "2"])
    assert [found[:3] for found in command.wanted(args)][:3] == [
        *(("copy", "modern", 0), ("copy", "modern", 1)),
        ("adding", "1997", 0),
    ]


def test_a_package_that_is_not_there_is_named_once(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(command, "ProcessPoolExecutor", Here)
    monkeypatch.setitem(sys.modules, "mnist1d.data", None)
    out = tmp_path / "tasks.json"
    assert command.main(["--only", "mnist1d", "--seeds", "3", "--out", str(out)]) == 0
    text = capsys.readouterr().out
    assert text.count("pip install mnist1d") == 2  # while it runs, and below the table
    assert "pip install mnist1d" in Results.read(out).found["missing"]["mnist1d"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--only", "addition"], "no task is named 'addition'; there are reber"),
        (["--only", ","], "no task is named"),
        (["--cells", "1998,modern"], "no cell is named '1998'; there are 1997, modern, small, rnn"),
        (["--seeds", "0"], "expected a number from 1, got '0'"),
        (["--jobs", "two"], "expected a number from 1, got 'two'"),
        (["--only", "copy", "--cells", "rnn"], "copy: no trials with rnn"),
        (["--speed"], "unrecognized arguments: --speed"),
    ],
)
def test_bad_arguments(arguments, message, capsys, tmp_path):
    with pytest.raises(SystemExit) as error:
        command.main([*arguments, "--out", str(tmp_path / "tasks.json")])
    assert error.value.code == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "tasks.json").exists()


def test_a_report_of_no_file(tmp_path):
    with pytest.raises(SystemExit, match="nowhere"):
        command.main(["--report", "--out", str(tmp_path / "nowhere.json")])


# The figures of the documentation


@pytest.fixture(scope="module")
def documented():
    return Results.read(ROOT / "docs" / "_drawings" / "tasks_1997.json")


def test_the_page_is_made_of_the_file(documented):
    written = (ROOT / "docs" / "_drawings" / "tasks_1997.md").read_text(encoding="utf-8")
    assert table.page(documented) == written


def test_documented_trials_had_the_settings_of_today(documented):
    for found in documented.trials:
        chosen = experiments.named(found["task"]).settings[found["cell"]]
        assert found["settings"] == json.loads(json.dumps(chosen.record())), (found["task"], found["cell"])


@pytest.mark.parametrize("task", ["adding", "order2", "order3"])
@pytest.mark.parametrize("cell", ["modern", "small"])
def test_the_modern_cell_needs_no_more_sequences_than_the_paper(documented, task, cell):
    trials = documented.of(task, cell)
    published_for = experiments.named(task).row
    row = next(row for row in published.results(published_for[0]) if row.setting == published_for[1])
    assert len(trials) >= 10
    assert all(found["solved"] and found["sequences"] <= row.sequences for found in trials)


def test_the_cell_of_1997_learnt_the_embedded_reber_grammar(documented):
    trials = documented.of("reber", "1997")
    assert len(trials) == 30
    assert sum(found["solved"] for found in trials) >= 0.95 * 30


def test_the_contrasts(documented):
    assert all(found["solved"] for found in documented.of("adding-400", "modern"))
    plain = documented.of("adding-400", "rnn")
    assert len(plain) >= 3
    assert not any(found["solved"] for found in plain)
    copying = documented.of("copy", "modern")
    assert copying
    assert all(found["test"]["of_baseline"] < 0.9 for found in copying)


@pytest.mark.slow
def test_processes_of_their_own(tmp_path):
    """The command as it is called, with two processes: the trials are those of one process."""
    out = tmp_path / "tasks.json"
    arguments = ["--only", "order2", "--cells", "modern", "--seeds", "2", "--jobs", "2", "--out", str(out)]
    subprocess.run([sys.executable, "-m", "bench", "tasks_1997", *arguments], cwd=ROOT, check=True)
    for found in Results.read(out).trials:
        expected = trial.run("order2", "modern", found["seed"])
        for one in (found, expected):
            del one["seconds"]
        assert json.loads(json.dumps(expected)) == found
        assert found["solved"]
        assert found["sequences"] <= 31_390


@pytest.mark.slow
def test_the_cell_of_1997_learns_the_embedded_reber_grammar():
    found = trial.run("reber", "1997", 0)
    assert found["solved"]
    assert found["sequences"] < 24_100
