"""Settings, the environment, and what an import costs. What happens at import is seen in processes of their own."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import clstm
from clstm import _core


def python(code, **environment):
    """Runs code in a new Python that finds the same clstm, where only these variables of clstm are set."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("CLSTM_")}
    path = os.pathsep.join(filter(None, [str(Path(clstm.__file__).parent.parent), inherited.get("PYTHONPATH")]))
    environment = {**inherited, "PYTHONPATH": path, **environment}
    return subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=120)


# Threads and backends


def test_the_number_of_threads():
    for n in (1, 3, 1024, np.int64(2)):
        clstm.set_num_threads(n)
        assert clstm.get_num_threads() == n


def test_backends_agree():
    lstm = clstm.LSTM(5, 20, dtype="float64", rng=0)
    x = np.random.default_rng(0).normal(size=(6, 7, 5))
    found = {}
    for backend in ("auto", "native", "blas"):
        clstm.set_backend(backend)
        assert _core.get_backend() == backend
        found[backend] = lstm(x)[0]
    np.testing.assert_array_equal(found["auto"], found["native"])
    np.testing.assert_allclose(found["blas"], found["native"], rtol=0, atol=1e-13)


def test_a_blas_with_another_signature_is_refused():
    with pytest.raises(ImportError, match="no sgemm"):
        _core.load_blas({})
    from scipy.linalg import cython_blas

    functions = cython_blas.__pyx_capi__
    with pytest.raises(ImportError, match="dgemm of an unknown signature"):
        _core.load_blas({"sgemm": functions["sgemm"], "dgemm": functions["ddot"]})
    with pytest.raises(ValueError, match="PyCapsule"):
        _core.load_blas({"sgemm": 3, "dgemm": functions["dgemm"]})


def test_without_scipy_the_backend_blas_is_an_import_error():
    code = (
        "import sys; sys.modules['scipy'] = None; import clstm, numpy as np\n"
        "try: clstm.set_backend('blas')\n"
        "except ImportError: print('refused')\n"
        "print(clstm._core.get_backend(), clstm.LSTM(2, 3)(np.zeros((1, 1, 2)))[0].shape)\n"
        "print(clstm.show_config(mode='dict')['blas'])"
    )
    result = python(code)
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith("refused\nauto (1, 1, 3)\nnot found: ")


# The environment


@pytest.mark.parametrize("isa", _core.available_isas())
def test_the_environment_chooses_the_instruction_set(isa):
    result = python("import clstm; print(clstm.show_config(mode='dict')['isa'])", CLSTM_ISA=isa)
    assert result.stdout.strip() == isa, result.stderr


def test_the_environment_chooses_the_number_of_threads():
    for threads in ("1", "7", "1024"):
        assert (
            python("import clstm; print(clstm.get_num_threads())", CLSTM_NUM_THREADS=threads).stdout.strip() == threads
        )


def test_without_them_the_machine_chooses():
    code = "import clstm; print(clstm.get_num_threads(), clstm._core.cpu_count(), clstm._core.get_isa())"
    for environment in ({}, {"CLSTM_ISA": "", "CLSTM_NUM_THREADS": ""}):
        threads, processors, isa = python(code, **environment).stdout.split()
        assert threads == processors
        assert isa == _core.available_isas()[-1]
    if hasattr(os, "sched_getaffinity"):
        assert 1 <= int(processors) <= len(os.sched_getaffinity(0))


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("CLSTM_ISA", "avx1024", r"CLSTM_ISA: expected 'baseline'.* on this machine, got 'avx1024'|'neon'"),
        ("CLSTM_ISA", "AVX2", "CLSTM_ISA: expected .* got 'AVX2'"),
        ("CLSTM_NUM_THREADS", "two", "CLSTM_NUM_THREADS: expected an int from 1 to 1024, got 'two'"),
        ("CLSTM_NUM_THREADS", "0", "CLSTM_NUM_THREADS: expected an int from 1 to 1024, got '0'"),
        ("CLSTM_NUM_THREADS", "-1", "CLSTM_NUM_THREADS: expected"),
        ("CLSTM_NUM_THREADS", "1.5", "CLSTM_NUM_THREADS: expected"),
        ("CLSTM_NUM_THREADS", "1" * 5000, "CLSTM_NUM_THREADS: expected"),
        ("CLSTM_NUM_THREADS", "²", "CLSTM_NUM_THREADS: expected"),
    ],
)
def test_a_bad_environment_is_a_value_error_at_import(name, value, message):
    result = python("import clstm", **{name: value})
    assert result.returncode == 1
    assert re.search(f"ValueError: {message}", result.stderr)


# show_config


def test_show_config_returns_a_dict():
    clstm.set_num_threads(3)
    clstm.set_backend("native")
    found = clstm.show_config(mode="dict")
    assert found["threads"] == 3
    assert found["backend"] == "native"
    assert found["isa"] in found["isas available"] == _core.available_isas()
    assert found["processors"] >= 1
    assert found["versions"]["clstm"] == clstm.__version__
    assert found["versions"]["NumPy"] == np.__version__
    assert "not found" not in found["blas"]


def test_show_config_prints(capsys):
    assert clstm.show_config() is None
    printed = capsys.readouterr().out
    for name, value in clstm.show_config(mode="dict").items():
        assert f"{name}:" in printed
        assert str(value) in printed or isinstance(value, (dict, list))
    assert f"clstm {clstm.__version__}" in printed


# Import


def test_an_import_brings_nothing_but_numpy():
    """What keeps it cheap; a time would depend on the machine."""
    code = "import numpy, sys; before = set(sys.modules); import clstm; print(*sorted(set(sys.modules) - before))"
    brought = python(code).stdout.split()
    foreign = {name.split(".")[0] for name in brought if "ython" not in name} - {"clstm", "__future__"}
    # Small modules that another version of NumPy may not have imported yet
    assert foreign <= {"dataclasses", "inspect", "weakref", "typing", "_thread"}, brought


def test_public_names():
    for name in clstm.__all__:
        assert getattr(clstm, name).__doc__
    assert {"LSTM", "LSTMCell", "Embedding", "Dense", "Pool", "Network", "Trainer", "Layer", "load"} <= set(
        clstm.__all__
    )
    assert {"set_num_threads", "get_num_threads", "set_backend", "show_config"} <= set(clstm.__all__)


# The activations of the kernels


@pytest.mark.parametrize("isa", [None, *_core.available_isas()])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_activations_can_be_asked_for(isa, dtype):
    x = np.linspace(-20, 20, 1001).astype(dtype).reshape(7, 143)
    tolerance = 1e-6 if dtype == "float32" else 1e-14
    wide = x.astype(float)
    for name, expected in (("exp", np.exp(wide)), ("tanh", np.tanh(wide)), ("sigmoid", 1 / (1 + np.exp(-wide)))):
        y = _core.activate(name, x, isa)
        assert y.dtype == dtype
        np.testing.assert_allclose(y, expected, rtol=tolerance)
