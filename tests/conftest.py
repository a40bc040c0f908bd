"""What all tests share: the line that says which build is tested, a seeded generator, and how random tests behave."""

import importlib.util

import hypothesis
import numpy as np
import pytest

import clstm

# The default finds the same examples on every machine; `--hypothesis-profile=explore` looks for new ones.
hypothesis.settings.register_profile("repeatable", derandomize=True, deadline=None, database=None)
hypothesis.settings.register_profile("explore", deadline=None, max_examples=1000)
hypothesis.settings.load_profile("repeatable")


def pytest_report_header():
    """Says which build is tested, because the same tests run on many."""
    config = clstm.show_config(mode="dict")
    return [f"clstm: {clstm.__file__}", *(f"{name}: {value}" for name, value in config.items())]


def pytest_collection_modifyitems(items):
    """Comparing with PyTorch needs PyTorch; its absence is the only reason for which a test is skipped."""
    if importlib.util.find_spec("torch") is None:
        absent = pytest.mark.skip(reason="PyTorch is not installed: `python3 dev.py compare` installs it")
        for item in items:
            if item.get_closest_marker("compare"):
                item.add_marker(absent)


@pytest.fixture
def rng():
    """A NumPy generator with the same seed in every test."""
    return np.random.default_rng(20260101)
