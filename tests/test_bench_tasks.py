"""`python -m bench tasks`: each task in a process of its own, its figures beside its target; and the real tasks."""

import importlib
import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def load_bench():
    """The folder of the source tree as a package, without the tree on the path: an installed clstm stays what it is."""
    spec = importlib.util.spec_from_file_location("bench", ROOT / "bench" / "__init__.py")
    package = importlib.util.module_from_spec(spec)
    sys.modules["bench"] = package
    spec.loader.exec_module(package)


load_bench()
tasks = importlib.import_module("bench.tasks")

SLEEPY = '''"""Counting sheep: how many?

It needs no data.
"""
import os

TARGET = "sheep >= 11, wolves <= 0"
UNIT = "heads"
BASELINES = {"a shepherd": 9.5}


def run(seed):
    held = bytearray(48 * 2**20)  # so that the memory of this process is seen
    print("noise that is not to be read as a result")
    return {"sheep": [12, 10, 11][seed], "wolves": 0, "threads": int(os.environ["CLSTM_NUM_THREADS"])}
'''
BROKEN = '''"""A task that fails with one seed."""
TARGET = "error <= -0.5"


def run(seed):
    if seed == 1:
        raise RuntimeError("no such wolf")
    return {"error": -1.25}
'''


@pytest.fixture
def folder(tmp_path):
    """Of two tasks."""
    made = tmp_path / "applications"
    made.mkdir()
    (made / "__init__.py").write_text("")
    (made / "sheep.py").write_text(SLEEPY)
    (made / "broken.py").write_text(BROKEN)
    return made


def test_figures_of_each_seed_their_median_and_what_it_took(folder, tmp_path, capsys):
    out = tmp_path / "deep" / "tasks.json"
    assert tasks.main(["--tasks", "sheep", "--threads", "2", "--out", str(out)], folder) == 0
    printed = capsys.readouterr().out
    assert "sheep 0                      sheep 12, wolves 0, threads 2; " in printed
    found = json.loads(out.read_text())
    seeds = found["tasks"]["sheep"]["seeds"]
    assert [seed["figures"]["sheep"] for seed in seeds.values()] == [12, 10, 11]
    assert seeds["0"]["title"] == "Counting sheep: how many?"
    if sys.platform != "win32":
        assert all(48 < seed["peak_mib"] < 2000 for seed in seeds.values())
    table = tasks.table(found)
    assert [row[:7] for row in table.rows] == [
        ["sheep", "sheep (heads)", "11", "12 10 11", ">= 11", "met", "a shepherd: 9.5"],
        ["", "wolves", "0", "0 0 0", "<= 0", "met", "-"],
    ]
    page = out.with_suffix(".md").read_text()
    assert "### Each task\n\n| task " in page
    assert ", 2 threads, Python 3." in page.splitlines()[0]


def test_a_seed_that_fails_is_told_and_the_others_count_no_more(folder, tmp_path, capsys):
    out = tmp_path / "tasks.json"
    assert tasks.main(["--tasks", "broken", "--seeds", "2", "--out", str(out)], folder) == 1
    assert "RuntimeError: no such wolf" in capsys.readouterr().out
    assert [row[5] for row in tasks.table(tasks.read(out)).rows] == ["failed"]


def test_a_missed_target_is_code_1_and_update_keeps_the_others(folder, tmp_path, capsys):
    out = str(tmp_path / "tasks.json")
    assert tasks.main(["--tasks", "broken", "--seeds", "1", "--out", out], folder) == 0
    (folder / "sheep.py").write_text(SLEEPY.replace("sheep >= 11", "sheep >= 13"))
    assert tasks.main(["--tasks", "sheep", "--seeds", "1", "--update", "--out", out], folder) == 1
    assert [(row[0], row[5]) for row in tasks.table(tasks.read(out)).rows] == [
        ("broken", "met"),
        ("sheep", "missed"),
        ("", "met"),
    ]
    before = Path(out).read_text()
    capsys.readouterr()
    assert tasks.main(["--report", "--out", out], folder) == 1
    assert "| sheep  | sheep (heads) |" in capsys.readouterr().out
    assert Path(out).read_text() == before


def test_a_figure_that_the_target_names_has_to_be_there(folder):
    (folder / "sheep.py").write_text(SLEEPY.replace('"wolves": 0', '"foxes": 0'))
    found = tasks.run_in_process("sheep", 0, 1, folder)
    assert "sheep.run returned sheep, foxes, threads; TARGET names wolves" in found["failed"]


def test_conditions_are_read_and_hold_for_numbers_only():
    assert tasks.conditions("nats per character <= 1.55") == [tasks.Condition("nats per character", "<=", 1.55)]
    below = tasks.Condition("rmse", "<=", 20)
    assert below.holds(20)
    assert not below.holds(20.1)
    assert not below.holds(float("nan"))
    for wrong in ("", "accuracy > 3", ">= 3", "accuracy >= much", "a >= 1,"):
        with pytest.raises(ValueError, match=r"expected 'figure >= number'"):
            tasks.conditions(wrong)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--tasks", "wolf"], "no task is named 'wolf'; there are broken, sheep"),
        (["--tasks", ","], "no task is named ''"),
        (["--seeds", "0"], "expected a number from 1, got '0'"),
    ],
)
def test_bad_arguments_are_named(folder, capsys, arguments, message):
    with pytest.raises(SystemExit):
        tasks.main(arguments, folder)
    assert message in capsys.readouterr().err


def test_files_of_something_else_are_refused(tmp_path):
    path = tmp_path / "tasks.json"
    path.write_text('{"kind": "tasks", "format": 1}')
    with pytest.raises(SystemExit, match="expected results of the tasks in format 1"):
        tasks.read(path)
    with pytest.raises(SystemExit, match="No such file"):
        tasks.read(tmp_path / "nothing.json")


@pytest.mark.parametrize("command", [["bench/tasks.py"], ["-m", "bench", "tasks"]])
def test_it_is_a_script_and_a_command(command):
    done = subprocess.run([sys.executable, *command, "--help"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "usage: bench tasks" in done.stdout


OPTIONAL = ("sacrebleu", "seqeval", "sklearn")


@pytest.mark.parametrize("name", tasks.names())
def test_each_task_has_what_the_command_asks_of_it(name):
    spec = importlib.util.spec_from_file_location(f"bench.applications.{name}", tasks.FOLDER / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except ModuleNotFoundError as error:
        if error.name not in OPTIONAL:
            raise
        pytest.skip(f"needs {error.name}, of the extra `tasks`")
    assert module.__doc__.strip().partition("\n")[0]
    assert tasks.conditions(module.TARGET)
    assert callable(module.run)
    assert all(isinstance(value, (int, float)) for value in module.BASELINES.values())
    assert module.BASELINES


def test_the_table_of_the_documentation_is_that_of_its_figures():
    path = ROOT / "docs" / "_drawings" / "tasks.json"
    results = tasks.read(path)
    assert path.with_suffix(".md").read_text(encoding="utf-8") == tasks.page(results)
    assert set(results["tasks"]) <= set(tasks.names())
