"""What an installed clstm promises as a package: its version, what it brings along, and that importing it is cheap."""

import importlib.metadata
import os
import subprocess
import sys
from pathlib import Path

import clstm


def in_a_new_process(*arguments):
    """Runs Python in a folder without a clstm, and returns what it prints and what it reports."""
    import_path = str(Path(clstm.__file__).parents[1])
    code = f"import sys; sys.path.insert(0, {import_path!r}); " + arguments[-1]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    command = [sys.executable, *arguments[:-1], "-c", code]
    ran = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    return ran.stdout, ran.stderr


def test_the_version_is_that_of_the_distribution():
    assert clstm.__version__ == importlib.metadata.version("clstm-toolkit")


def test_the_package_is_marked_as_typed_and_brings_its_data():
    package = Path(clstm.__file__).parent
    assert (package / "py.typed").is_file()
    assert (package / "_core.pyi").is_file()
    assert (package / "data" / "airline.csv").is_file()


def test_numpy_and_scipy_are_all_it_needs():
    required = [line for line in importlib.metadata.requires("clstm-toolkit") if "extra ==" not in line]
    assert sorted(line.split(">")[0] for line in required) == ["numpy", "scipy"]


def test_importing_it_loads_neither_scipy_nor_what_is_optional():
    loaded, _ = in_a_new_process("import clstm; print(*sys.modules)")
    assert not {"scipy", "tqdm", "matplotlib", "pandas", "safetensors"}.intersection(loaded.split())


def test_importing_it_costs_at_most_30_ms_more_than_importing_numpy():
    """The best of some runs, because what else the machine does can only add to it."""
    costs = []
    for _ in range(5):
        _, report = in_a_new_process("-X", "importtime", "import numpy, clstm")
        (line,) = [line for line in report.splitlines() if line.endswith("| clstm")]
        costs.append(int(line.split("|")[1]) / 1000)
    assert min(costs) <= 30, costs
