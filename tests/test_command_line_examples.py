"""The examples that each subcommand's help shows, run as they stand there, in their order."""

import importlib
import json
import re
import shlex
from pathlib import Path

import command_line_files
import pytest

from clstm.commands import COMMANDS, bench

FASTER = {  # what is added to an example that trains
    "forecast": "--epochs 1 --set networks=1",
    "generate": "--epochs 1 --set hidden_size=8 --set embedding_size=8",
    "translate": "--epochs 1 --set dim=8 --set hidden_size=8 --set beam_width=1",
    # So that it hears something
    "transcribe": "--epochs 40 --set hidden_size=8 --set learning_rate=0.03 --set batch_size=4",
    "bench": "--seconds 0.001",
    "info": "",
}


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def examples(name):
    """The command lines of a help text."""
    text = importlib.import_module(f"clstm.commands.{name}").EXAMPLES
    return re.findall(r"^  clstm (.*)$", text, re.MULTILINE)


def run_example(name, line):
    """Runs it with its redirections, quicker than by default; returns what it has printed."""
    line, _, target = line.partition(" > ")
    line, _, source = line.partition(" < ")
    faster = "" if "--model" in line else FASTER.get(name, "--epochs 1 --set hidden_size=8")
    stdin = Path(source).read_text() if source else ""
    code, out, err = command_line_files.run(*shlex.split(f"{line} {faster}"), stdin=stdin)
    assert (code, err) == (0, ""), line
    if name != "generate" and "--json" not in line:  # generated lines are as long as they are
        assert max(map(len, out.splitlines()), default=0) <= 80, line
    if target:
        Path(target).write_text(out)
    if "--json" in line:
        assert isinstance(json.loads(out), dict)
    for option in ("--plot", "--save"):
        if option in line:
            assert Path(shlex.split(line)[shlex.split(line).index(option) + 1]).stat().st_size > 100
    return out


@pytest.mark.parametrize("name", COMMANDS)
def test_the_examples_of_the_help_run(name, monkeypatch):
    monkeypatch.setattr(bench, "SIZES", (bench.Size(5, 2, 3, 4),))
    monkeypatch.setattr(bench, "STREAMS", (4,))
    monkeypatch.setattr(bench, "MATRIX", 16)
    found = examples(name)
    assert len(found) >= 2
    command_line_files.FILES[name]()
    assert all(run_example(name, line) for line in found)


@pytest.mark.parametrize("name", COMMANDS)
def test_help_fits_into_80_columns(name, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit) as left:
        command_line_files.main([name, "--help"])
    assert left.value.code == 0
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= 80
    assert out.startswith(f"usage: clstm {name} ")
    assert all(f"  clstm {line}\n" in out for line in examples(name))
