"""Every block of code in the documentation is run, and what it shows is what it gives.

A page is Markdown: README.md and docs/**/*.md. Its blocks are taken in order, in one namespace and one empty folder:

    python    is run
    pycon     is run as a doctest: what stands below a prompt has to come out
    console   `$ clstm ...` is run, and what stands below it has to come out; any other command is listed in ELSEWHERE,
              with what runs it
    indented  each line is a command, as in console, without prompt and output
    {name}    is a directive of Sphinx: one of those in DIRECTIVES, none of which holds code

Whatever else looks like code fails here: another language, an unknown directive, code inside a directive. The examples
in docstrings are run too, and counted, so that none is overlooked.
"""

import contextlib
import doctest
import importlib
import io
import pkgutil
import re
import shlex
import sys
from pathlib import Path
from typing import NamedTuple

import pytest
from command_line_files import run as run_clstm

import clstm

ROOT = Path(__file__).resolve().parent.parent
PAGES = [
    ROOT / "README.md",
    *sorted(page for page in (ROOT / "docs").rglob("*.md") if "_build" not in page.relative_to(ROOT).parts),
]

# Commands that no page can run, and what does
ELSEWHERE = {
    "pip install clstm-toolkit": "dev.py dist installs the wheel",
    'pip install "clstm-toolkit[cli]"': "dev.py test and demo install this extra",
    "pip install .": "dev.py dist installs the source distribution, which is the same",
    "python3 dev.py demo": "docs/reference/command_line.md has the command that it runs",
    "python3 dev.py test": "is how this test is run",
    "python3 dev.py bench tasks": "tests/test_bench_tasks.py runs invented ones, and looks at the real ones",
    "python3 dev.py bench tasks_1997": "tests/test_bench_trials.py runs a part of it",
}

# Directives whose content is not code, or is code of this repository that other tests run
DIRECTIVES = {"c-header", "drawing", "eval-rst", "include", "literalinclude", "toctree"}


class Block(NamedTuple):
    """A block of a page: its kind, its first line, counted from 1, and its text."""

    kind: str
    line: int
    text: str


class Mistake(AssertionError):
    """A block that no rule covers, or that does not do what it shows."""


def blocks(text):
    """The blocks of a page. Indented text is a block of the kind "indented", unless it goes on with a list."""
    found, fence, in_list = [], None, False
    lines = text.splitlines()
    for number, line in enumerate(lines, 1):
        mark = re.match(r" {0,3}(`{3,}|~{3,}|:{3,})\s*(\S*)", line)
        if fence is not None:
            if mark and mark.group(1).startswith(fence) and not mark.group(2):
                fence = None
            else:
                found[-1] = found[-1]._replace(text=found[-1].text + line + "\n")
        elif mark:
            fence = mark.group(1)
            found.append(Block(mark.group(2), number + 1, ""))
        elif line.strip() and not line.startswith(" "):
            in_list = bool(re.match(r"([-*+]|\d+\.)\s", line))
        elif line.startswith("    ") and not in_list:
            after_blank = number == 1 or not lines[number - 2].strip()
            if found and found[-1].kind == "indented" and not after_blank:
                found[-1] = found[-1]._replace(text=found[-1].text + line[4:] + "\n")
            elif after_blank:
                found.append(Block("indented", number, line[4:] + "\n"))
    if fence is not None:
        raise Mistake("a block is never closed")
    return found


class Checker(doctest.OutputChecker):
    """Numbers with a decimal point agree if they differ by at most one in the last digit shown: results differ in
    their last bits from one instruction set to the next. A number like 4e-16 is the size of rounding errors; any other
    below 1e-13 will do."""

    NUMBER = re.compile(r"(?<![\w.])[-+]?(?:\d+\.\d*(?:e[-+]?\d+)?|\d+e-\d+)(?![\w.])")

    def check_output(self, want, got, optionflags):
        """Whether `got` is what was wanted: lines of it that agree with the wanted one are as good as equal."""
        wanted, lines = want.splitlines(), []
        for line in got.splitlines():
            while wanted and wanted[0].strip() == "...":
                wanted.pop(0)
            lines.append(wanted.pop(0) if wanted and self.alike(wanted[0], line) else line)
        return super().check_output(want, "\n".join(lines) + "\n", optionflags)

    def alike(self, want, got):
        """Whether two lines differ in nothing but numbers, and these agree."""
        wanted, found = self.NUMBER.findall(want), self.NUMBER.findall(got)
        texts = [" ".join(self.NUMBER.sub("#", line).split()) for line in (want, got)]
        return texts[0] == texts[1] and all(map(self.agree, wanted, found))

    @staticmethod
    def agree(want, got):
        """Whether two numbers agree, as texts."""
        if re.fullmatch(r"\de-1[4-9]", want):
            return abs(float(got)) < 1e-13
        digits, _, exponent = want.partition("e")
        unit = 10.0 ** (int(exponent or 0) - len(digits.partition(".")[2]))
        return abs(float(want) - float(got)) <= 1.001 * unit


def sales(path):
    """Writes the file that pages take for the reader's own: six years of months, with a trend and a season."""
    with path.open("w", encoding="utf-8") as file:
        print("month,units", file=file)
        for k in range(72):
            print(f"{2018 + k // 12}-{k % 12 + 1:02},{100 + k + 20 * (k % 12 in (10, 11)) + k * 7 % 5}", file=file)


FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def run_python(block, page, namespace):
    """Runs a block; errors show the line of the page."""
    code = compile("\n" * (block.line - 1) + block.text, page, "exec")
    exec(code, namespace)


def run_pycon(block, page, namespace):
    """Runs a block as a doctest."""
    test = doctest.DocTestParser().get_doctest(block.text, namespace, page, page, block.line - 1)
    if not test.examples:
        raise Mistake(f"{page}:{block.line}: a pycon block without a prompt")
    output = []
    runner = doctest.DocTestRunner(Checker(), verbose=False, optionflags=FLAGS)
    runner.run(test, out=output.append, clear_globs=False)
    namespace.update(test.globs)  # a doctest works on a copy
    if runner.failures:
        raise Mistake("".join(output))


def run_console(block, page, namespace):
    """Runs `$ clstm ...` and compares what it writes; everything else has to be listed."""
    if not block.text.startswith("$ "):
        raise Mistake(f"{page}:{block.line}: a console block begins with a prompt, `$ `")
    for piece in re.split(r"^\$ ", block.text, flags=re.MULTILINE)[1:]:
        command, _, want = piece.partition("\n")
        run_command(command, want, f"{page}:{block.line}")


def run_indented(block, page, namespace):
    """Runs a block of commands, one a line."""
    for command in block.text.split("\n"):
        if command:
            run_command(command, "", f"{page}:{block.line}")


def run_command(command, want, where):
    """Runs a command if it is clstm's own, and compares its output if it is shown."""
    if not command.startswith("clstm "):
        if command not in ELSEWHERE:
            raise Mistake(f"{where}: no test runs {command!r}")
        return
    code, out, err = run_clstm(*shlex.split(command)[1:])
    if code or (want and not Checker().check_output(want, out, FLAGS)):
        raise Mistake(f"{where}: {command}\nexpected\n{want}\ngot\n{out}{err}")


RUNNERS = {"python": run_python, "pycon": run_pycon, "console": run_console, "indented": run_indented}


def run_page(text, page, namespace):
    """Runs all blocks of a page in order; returns how many there were of each kind that is run."""
    ran = dict.fromkeys(RUNNERS, 0)
    for block in blocks(text):
        if block.kind in RUNNERS:
            RUNNERS[block.kind](block, page, namespace)
            ran[block.kind] += 1
        elif block.kind.strip("{}") not in DIRECTIVES or not block.kind.startswith("{"):
            raise Mistake(f"{page}:{block.line}: no rule runs a block of the kind {block.kind!r}")
        elif re.search(r"^\s*>>> |::\s*$|\b(code|code-block|doctest|testcode)::", block.text, re.MULTILINE):
            raise Mistake(f"{page}:{block.line}: code inside {block.kind}, where nothing runs it")
    return ran


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_block_of_a_page_runs_and_shows_what_it_gives(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "agg")
    monkeypatch.setenv("COLUMNS", "80")  # a terminal as wide as the pages
    monkeypatch.setitem(sys.modules, "sacrebleu", None)  # pages show what commands say without it
    sales(Path("sales.csv"))
    with contextlib.redirect_stdout(io.StringIO()):
        run_page(page.read_text(encoding="utf-8"), page.relative_to(ROOT).as_posix(), {"__name__": "__main__"})


def test_the_pages_that_teach_have_blocks():
    for name in ("README.md", "docs/quickstart.md", "docs/tutorials/one_step_by_hand.md"):
        assert any(block.kind in ("python", "pycon") for block in blocks((ROOT / name).read_text(encoding="utf-8")))


def rows_of_tables(text):
    """The cells of all rows of Markdown tables."""
    text = text.replace("\N{NO-BREAK SPACE}", " ").replace("~", "")
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line[:1] == "|"]


def test_the_speeds_of_the_first_page_are_those_that_were_measured():
    page = (ROOT / "docs" / "index.md").read_text(encoding="utf-8")
    shown = rows_of_tables(page.partition("## How fast")[2].partition("## ")[0])[2:]
    assert shown
    measured = rows_of_tables((ROOT / "docs" / "_drawings" / "speed.md").read_text(encoding="utf-8"))
    for what, ours, other, ratio in shown:
        name = re.search(r"\((\S+)\)$", what)[1]
        other = re.search(r"[\d.]+ \w+$", other)[0]
        assert any(
            (row[0] == name or row[0].endswith(f": {name}"))
            and ours in row
            and ratio in row
            and any(cell.endswith(other) for cell in row)
            for row in measured
        ), what


@pytest.mark.parametrize(
    "text",
    [
        "```python\n1 / 0\n```\n",
        "```pycon\n>>> 1 + 1\n3\n```\n",
        "```pycon\n>>> 1.5 + 1\n2.7\n```\n",
        "```pycon\n>>> 1e-3\n4e-16\n```\n",
        "```pycon\nno prompt\n```\n",
        "```python\na = 1\n```\n\n```python\nassert a == 2\n```\n",
        "```console\n$ rm -r everything\n```\n",
        "```console\n$ clstm no-such-command\n```\n",
        "```console\nclstm forecast\n```\n",
        "```ruby\nputs 1\n```\n",
        "```\nno language\n```\n",
        "~~~{code-block} python\nprint(1)\n~~~\n",
        "```{doctest}\n>>> 1\n1\n```\n",
        "```{eval-rst}\n.. code-block:: python\n\n   print(1)\n```\n",
        "```{eval-rst}\nAn example::\n\n   print(1)\n```\n",
        "Text\n\n    indented()\n",
        "```python\nnever closed\n",
    ],
)
def test_a_block_that_no_rule_covers_or_that_shows_something_else_fails(text, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises((Mistake, ZeroDivisionError, AssertionError)):
        run_page(text, "a page", {})


def test_blocks_share_a_namespace_and_are_counted():
    text = "```python\na=1\n```\n\n- a list\n\n    that goes on\n\n```pycon\n>>> a + 0.5\n1.4\n>>> 3e-15\n2e-16\n```\n"
    assert run_page(text, "a page", {}) == {"python": 1, "pycon": 1, "console": 0, "indented": 0}


MODULES = [clstm.__name__, *(module.name for module in pkgutil.walk_packages(clstm.__path__, "clstm."))]


@pytest.mark.parametrize("name", MODULES)
def test_every_example_in_the_docstrings_of_a_module_runs(name, tmp_path, monkeypatch):
    """Counted in the source, where there is one: an example that doctest does not find is one that nothing runs."""
    if name == "clstm.__main__":  # importing it may run it
        module_text = Path(importlib.util.find_spec(name).origin).read_text(encoding="utf-8")
        assert ">>> " not in module_text
        return
    monkeypatch.chdir(tmp_path)
    module = importlib.import_module(name)
    runner = doctest.DocTestRunner(Checker(), verbose=False, optionflags=FLAGS)
    output = []
    for test in doctest.DocTestFinder(exclude_empty=True).find(module, name):
        runner.run(test, out=output.append)
    assert not runner.failures, "".join(output)
    if module.__file__.endswith(".py"):
        source = Path(module.__file__).read_text(encoding="utf-8")
        assert runner.tries == len(re.findall(r"^\s*>>> ", source, re.MULTILINE))
