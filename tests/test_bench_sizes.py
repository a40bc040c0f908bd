"""`python -m bench sizes`: what the libraries take to install and import, without installing anything here."""

import importlib
import importlib.util
import json
import sys
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
sizes = importlib.import_module("bench.sizes")


def test_files_are_counted_and_links_are_not(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "one").write_bytes(bytes(100))
    (tmp_path / "two").write_bytes(bytes(23))
    (tmp_path / "link").symlink_to(tmp_path / "two")
    assert sizes.size(tmp_path) == 123


@pytest.mark.skipif(sys.platform == "win32", reason="it measures with the module resource, which Windows lacks")
def test_an_import_in_a_fresh_process_takes_time_and_memory():
    seconds, memory, version = sizes.imported(sys.executable, "numpy")
    assert 0 < seconds < 60
    assert 10 < memory < 1000
    assert version == np.__version__


def test_a_command_that_fails_shows_its_errors():
    with pytest.raises(SystemExit, match=r"(?s)failed:.*ZeroDivisionError"):
        sizes.call(sys.executable, "-c", "1 / 0")


def test_libraries_are_measured_again_and_the_others_kept(tmp_path, monkeypatch, capsys):
    out, page = tmp_path / "sizes.json", tmp_path / "sizes.md"
    one = {
        "version": "1.0",
        "download": 53.4e6,
        "on_disk": 171.6e6,
        "import_seconds": 0.127,
        "import_mib": 34.2,
        "trains": True,
    }
    monkeypatch.setattr(sizes, "measured", lambda library: {**one, "trains": library.trains})
    assert sizes.main(["--libraries", "JAX, ONNX Runtime", "--out", str(out)]) == 0
    monkeypatch.setattr(sizes, "measured", lambda library: {**one, "version": "2.0"})
    assert sizes.main(["--libraries", "clstm,JAX", "--out", str(out), "--page", str(page)]) == 0
    found = json.loads(out.read_text())["libraries"]
    assert [(name, row["version"], row["trains"]) for name, row in found.items()] == [
        ("clstm", "2.0", True),
        ("ONNX Runtime", "1.0", False),
        ("JAX", "2.0", True),
    ]
    assert "| ONNX Runtime |     1.0 |    53 MB |  172 MB | 0.13 s | 34 MiB |     no |" in page.read_text(
        encoding="utf-8"
    ).replace("\N{NO-BREAK SPACE}", " ")
    with pytest.raises(SystemExit):
        sizes.main(["--libraries", "numpy", "--out", str(out)])
    assert "no library is named numpy; there are clstm, ONNX Runtime" in capsys.readouterr().err
