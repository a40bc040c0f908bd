"""What an installed clstm is as a package: its version, its files, and what it needs."""

import importlib.metadata
from pathlib import Path

import clstm


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
