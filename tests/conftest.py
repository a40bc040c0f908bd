"""What all tests share: the line that says which build is tested, a seeded generator, and how random tests behave."""

import functools
import inspect
import itertools

import hypothesis
import numpy as np
import pytest
from cases import settings

import clstm
from clstm import _core

# The default finds the same examples on every machine; `--hypothesis-profile=explore` looks for new ones.
hypothesis.settings.register_profile("repeatable", derandomize=True, deadline=None, database=None)
hypothesis.settings.register_profile("explore", deadline=None, max_examples=1000)
hypothesis.settings.load_profile("repeatable")


def with_strict(assertion):
    """NumPy before 2.0 has assertions without the argument `strict`, which asks for equal shapes and dtypes."""

    @functools.wraps(assertion)
    def checked(actual, desired, *args, strict=False, **kwargs):
        if strict:
            actual, desired = np.asanyarray(actual), np.asanyarray(desired)
            assert (actual.shape, actual.dtype) == (desired.shape, desired.dtype)
        assertion(actual, desired, *args, **kwargs)

    return checked


for name in ("assert_allclose", "assert_array_equal"):
    if "strict" not in inspect.signature(getattr(np.testing, name)).parameters:
        setattr(np.testing, name, with_strict(getattr(np.testing, name)))


def pytest_addoption(parser):
    group = parser.getgroup("clstm")
    group.addoption("--combinations", type=int, default=200, help="random combinations of options; default: 200")
    group.addoption("--combinations-seed", type=int, default=0, help="what they are drawn by; default: 0")


def pytest_report_header():
    """Says which build is tested, because the same tests run on many."""
    config = clstm.show_config(mode="dict")
    return [f"clstm: {clstm.__file__}", *(f"{name}: {value}" for name, value in config.items())]


@pytest.fixture
def rng():
    """A NumPy generator with the same seed in every test."""
    return np.random.default_rng(20260101)


@pytest.fixture(autouse=True)
def settings_stay():
    """What a test sets is as before when it ends."""
    with settings():
        yield


def machines():
    """Each instruction set with each backend. BLAS with another set than the best one is among the slow tests: what is
    special to such a set, native products and activations, is there without BLAS too."""
    sets = _core.available_isas()
    for isa, backend in itertools.product(sets, ("native", "blas")):
        slow = backend == "blas" and isa != sets[-1]
        yield pytest.param(f"{isa}-{backend}", marks=[pytest.mark.slow] if slow else [])


@pytest.fixture(params=machines())
def machine(request):
    """Each instruction set with each backend."""
    isa, backend = request.param.split("-")
    with settings(isa, backend):
        yield request.param


@pytest.fixture(params=_core.available_isas())
def isa(request):
    """Each instruction set."""
    with settings(request.param):
        yield request.param
