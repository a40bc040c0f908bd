#!/usr/bin/env python3
"""The one command file of clstm, for developers and for CI; `python3 dev.py --help` lists the commands.

Needs Python 3.10 or later and a C compiler, nothing else. Everything is installed into `.venv` beside this file (the
environment variable CLSTM_VENV names another place), which is made when it is missing and never has to be activated.
clstm itself is installed there in editable mode, and again whenever a file that the build reads has changed.
"""

import argparse
import ast
import hashlib
import json
import os
import platform
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent
VENV = Path(os.environ.get("CLSTM_VENV") or ROOT / ".venv").resolve()
STAMP = VENV / "clstm-dev.json"  # what was installed last; also says that this file made the environment
WINDOWS = sys.platform == "win32"
WHEEL_LIMIT = 1_000_000  # bytes
# How pytest shares all tests: more processes would each collect all of them and have little to run
SHARED = ["-n", str(min(os.cpu_count() or 1, 8)), "--dist", "worksteal"]


# Running things


def run(*command, cwd=ROOT, env=None):
    """Runs a command where everyone can see it; a failure ends this program with the same exit code."""
    code = call(*command, cwd=cwd, env=env)
    if code:
        sys.exit(code)


def call(*command, cwd=ROOT, env=None):
    command = [str(part) for part in command]
    print("$", " ".join(map(shlex.quote, command)), flush=True)
    return subprocess.run(command, cwd=cwd, env={**os.environ, **(env or {})}).returncode


def works(*command):
    """Whether a command succeeds, without a word."""
    try:
        return subprocess.run([str(part) for part in command], capture_output=True).returncode == 0
    except OSError:
        return False


def stop(message):
    sys.exit(f"dev.py: {message}")


# The virtual environment


def python_of(venv):
    return venv / ("Scripts/python.exe" if WINDOWS else "bin/python")


def make_venv(venv):
    """Makes a virtual environment, also where Python came without ensurepip (Debian without python3-venv)."""
    if works(sys.executable, "-m", "venv", "--clear", venv):
        return
    if works(sys.executable, "-m", "venv", "--clear", "--without-pip", venv) and works(*pip_of(venv), "--version"):
        return
    shutil.rmtree(venv, ignore_errors=True)
    stop(
        f"{sys.executable} can make no virtual environment: it has neither ensurepip nor pip 22.3 or later. "
        "On Debian and Ubuntu, `apt install python3-venv` helps."
    )


def pip_of(venv):
    """The pip inside the environment or, if there is none, the pip of this Python working on the environment."""
    if works(python_of(venv), "-m", "pip", "--version"):
        return [python_of(venv), "-m", "pip"]
    return [sys.executable, "-m", "pip", "--python", python_of(venv)]


def pip_install(venv, *what):
    """Without bytecode: it is made when a module is first imported, and for all of SciPy it takes half of the time."""
    run(*pip_of(venv), "install", "--quiet", "--no-compile", "--disable-pip-version-check", *what)


def need_compiler():
    """Finds a C compiler, and Python's headers; says what is missing before a build fails with a page of text."""
    if WINDOWS:
        return  # setup.py looks for clang-cl
    if compiler() is None:
        stop("no C compiler found (tried $CC, cc, gcc and clang): install gcc or clang")
    headers = Path(sysconfig.get_path("include"))
    if not (headers / "Python.h").exists():
        stop(f"{headers} has no Python.h: install Python's headers (on Debian and Ubuntu: apt install python3-dev)")
    if "CC" not in os.environ and not works(*shlex.split(sysconfig.get_config_var("CC") or "cc"), "--version"):
        os.environ["CC"] = compiler()  # this Python was built with a compiler that is not on this machine


def compiler():
    for name in (os.environ.get("CC"), "cc", "gcc", "clang"):
        if name and shutil.which(shlex.split(name)[0]):
            return name
    return None


# Installing clstm into it


def prepare(*extras):
    """Makes sure that .venv exists and holds clstm, built from the files as they are now, with these extras."""
    stamp = read_stamp()
    if stamp.get("python") != this_python():
        remake_venv()
        stamp = {}
    old_extras = set(stamp.get("extras", []))
    extras = sorted(old_extras.union(extras))
    build = fingerprint()
    if stamp.get("build") != build or stamp.get("module") != built_module():
        need_compiler()
        pip_install(VENV, "--editable", f"{ROOT}[{','.join(extras)}]")
    elif old_extras != set(extras):
        pip_install(VENV, f"clstm-toolkit[{','.join(extras)}]")  # is there already: brings only what the extras need
    else:
        return
    STAMP.write_text(json.dumps({"python": this_python(), "extras": extras, "build": build, "module": built_module()}))


def remake_venv():
    need_compiler()
    if VENV.exists() and not STAMP.exists() and any(VENV.iterdir()):
        stop(f"{VENV} was not made by dev.py: remove it, or let CLSTM_VENV name another place")
    print(f"making {VENV} with Python {platform.python_version()}", flush=True)
    make_venv(VENV)
    STAMP.write_text("{}")


def read_stamp():
    try:
        return json.loads(STAMP.read_text())
    except (OSError, ValueError):
        return {}


def this_python():
    return sysconfig.get_config_var("EXT_SUFFIX")  # version, implementation, architecture, free-threaded or not


def built_module():
    """When the extension module was built that an editable install leaves in the source tree; None if there is none."""
    module = ROOT / "clstm" / f"_core{this_python()}"
    return module.stat().st_mtime_ns if module.exists() else None


def fingerprint():
    """Changes when a file changes that the build reads. Python files are used where they are and do not count."""
    files = [ROOT / "pyproject.toml", ROOT / "setup.py", *core_sources(), *(ROOT / "src_c").rglob("*.h")]
    files += [*(ROOT / "clstm").glob("*.pyx"), *(ROOT / "clstm").glob("*.px[di]")]
    digest = hashlib.sha256()
    for file in sorted(files):
        digest.update(file.relative_to(ROOT).as_posix().encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()


def core_sources():
    return sorted(file for file in (ROOT / "src_c").rglob("*.c") if "tests" not in file.relative_to(ROOT).parts)


def c_files():
    return sorted(file.relative_to(ROOT) for folder in ("src_c", "bench") for file in (ROOT / folder).rglob("*.[ch]"))


# demo, test, compare, docs, bench


def demo(args):
    """Installs clstm and forecasts the airline series: the main job. Writes airline.png."""
    prepare("cli")
    run(python_of(VENV), "-m", "clstm", "forecast", "--plot", "airline.png", *args.rest)


def test(args):
    """Runs the tests; --all also the slow ones. Other arguments go to pytest: `dev.py test -k lengths`; without them,
    the tests are shared by the processors."""
    prepare("test")
    run_pytest(VENV, *(["-m", ""] if args.all else []), *(args.rest or SHARED))


def run_pytest(venv, *options, cwd=ROOT):
    """Each process with a BLAS of one thread: more of them would wait for each other."""
    run(python_of(venv), "-m", "pytest", *options, cwd=cwd, env={"OPENBLAS_NUM_THREADS": "1"})


def compare(args):
    """Runs the tests that compare clstm with PyTorch, Keras and ONNX Runtime, which it installs."""
    prepare("compare")
    run_pytest(VENV, "-m", "compare", *args.rest)


def docs(args):
    """Runs the tutorials and builds the documentation into docs/_build/html; a warning is an error."""
    prepare("docs")
    run(python_of(VENV), "-m", "sphinx", "-W", "--keep-going", "-b", "html", *args.rest, "docs", "docs/_build/html")


def bench(args):
    """Measures speed; --peers installs PyTorch, Keras, JAX and others to compare with. Other arguments go to the
    benchmark: `dev.py bench --rows train`; `python3 -m bench --help` tells them. `dev.py bench tasks` is another
    one: what people do with LSTMs, on real data; and `dev.py bench tasks_1997`: the tasks of the LSTM paper of 1997.
    Both install what they need."""
    needs = {"tasks": ["tasks"], "tasks_1997": ["tasks-1997"]}.get(args.rest[0] if args.rest else None, [])
    prepare("bench", *(["peers"] if args.peers else []), *needs)
    run(python_of(VENV), "-m", "bench", *args.rest)


# check


def checks():
    """The checks by name; each is also a hook of pre-commit."""
    tools = python_of(VENV).parent
    return {
        "ruff": [tools / "ruff", "check"],
        "ruff-format": [tools / "ruff", "format", "--check", "--diff"],
        "codespell": [tools / "codespell"],
        "cython-lint": [tools / "cython-lint", "clstm"],
        "clang-format": [tools / "clang-format", "--dry-run", "-Werror", *c_files()],
        "stubtest": [
            *(python_of(VENV), "-m", "mypy.stubtest", "clstm", "--mypy-config-file", "pyproject.toml"),
            *("--allowlist", ".ci/stubtest-allowlist.txt", "--ignore-unused-allowlist", "--ignore-disjoint-bases"),
        ],
    }


def check(args):
    """Formatting, spelling, likely bugs, and stubs against the built module; --fix repairs what a tool can repair."""
    unknown = set(args.names).difference(checks())
    if unknown:
        stop(f"no check is named {', '.join(unknown)}; there are {', '.join(checks())}")
    prepare("lint")
    if args.fix:
        tools = python_of(VENV).parent
        run(tools / "ruff", "check", "--fix-only", "--quiet")
        run(tools / "ruff", "format", "--quiet")
        run(tools / "clang-format", "-i", *c_files())
    wanted = args.names or list(checks())
    path = os.pathsep.join([str(python_of(VENV).parent), os.environ.get("PATH", "")])  # cython-lint calls pycodestyle
    failed = [name for name in wanted if call(*checks()[name], env={"PATH": path})]
    if failed:
        stop(f"failed: {', '.join(failed)} (`dev.py check --fix` repairs what a tool can repair)")
    print("checks passed:", ", ".join(wanted))


# ctest

SANITIZERS = {
    "plain": [],
    "address": ["-g", "-O1", "-fno-omit-frame-pointer", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"],
    "thread": ["-g", "-O1", "-fsanitize=thread"],
}


def ctest(args):
    """Builds the C core without Python and runs src_c/tests/*.c as it is, under ASan and UBSan, and under TSan."""
    if compiler() is None:
        stop("no C compiler found (tried $CC, cc, gcc and clang): install gcc or clang")
    if unknown := set(args.kinds).difference(SANITIZERS):
        stop(f"ctest knows {', '.join(SANITIZERS)}, not {', '.join(sorted(unknown))}")
    passed = 0
    for kind in args.kinds or (["plain"] if WINDOWS else SANITIZERS):  # Windows has no ThreadSanitizer
        programs = build_c_tests(kind)
        run_side_by_side([[*without_address_randomisation(kind), program] for program in programs])
        passed += len(programs)
    print(f"C tests: {passed} passed")


def build_c_tests(kind):
    """Compiles the core and each src_c/tests/*.c, a program with its own main, and returns the programs."""
    folder = ROOT / "build" / "ctest" / kind
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    flags = [*from_setup("CORE_FLAGS"), *from_setup("CORE_WARNINGS"), "-Werror", "-Isrc_c"]
    compile_c, of_kernels = [*shlex.split(compiler()), *flags], from_setup("KERNEL_FLAGS")
    core = core_sources()
    # The largest first: it takes longest, and would run alone at the end
    tests = sorted((ROOT / "src_c" / "tests").glob("*.c"), key=lambda file: -file.stat().st_size)
    objects = {source: folder / f"{number}_{source.stem}.o" for number, source in enumerate([*core, *tests])}
    programs = {test: folder / test.stem for test in tests}
    print(f"compiling {len(objects)} files ({kind}): {' '.join(compile_c)}", flush=True)
    own = {source: [*(of_kernels if source.parent.name == "kernels" else []), *SANITIZERS[kind]] for source in objects}
    run_side_by_side([[*compile_c, *own[source], "-c", source, "-o", objects[source]] for source in objects])
    link, core_objects = [*compile_c, *SANITIZERS[kind]], [objects[source] for source in core]
    run_side_by_side([[*link, objects[test], *core_objects, "-lm", "-o", programs[test]] for test in tests])
    return list(programs.values())


def run_side_by_side(commands):
    """Runs commands on all processors; what each prints stays together, and those that fail are shown."""

    def finish(command):
        done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        print(done.stdout, end="", flush=True)
        return done.returncode

    commands = [[str(part) for part in command] for command in commands]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        codes = list(pool.map(finish, commands))
    failed = [shlex.join(command) for command, code in zip(commands, codes, strict=True) if code]
    if failed:
        stop("\n".join(["failed:", *failed]))


def from_setup(name):
    """A constant of setup.py, which is read and not imported: it needs setuptools and would start a build."""
    for node in ast.parse((ROOT / "setup.py").read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and node.targets[0].id == name:
            return ast.literal_eval(node.value)
    raise LookupError(f"setup.py has no {name}")


def without_address_randomisation(kind):
    """ThreadSanitizer of older compilers cannot start where newer kernels randomise addresses more than it knows."""
    setarch = ["setarch", platform.machine(), "-R"]
    return setarch if kind == "thread" and works(*setarch, "true") else []


# dist

# The tests that could tell a wheel from the source tree: files and data that are there, the module and its threads, the
# commands, and whatever pages and docstrings show. All others run in the tree, by `dev.py test`
FROM_WHEEL = ("packaging", "config", "threads", "network", "command_line", "datasets", "docs")


def dist(args):
    """Builds the sdist, from it the wheel, looks at the wheel, and tests it after install, outside the source tree."""
    prepare("dist")
    folder = ROOT / "dist"
    shutil.rmtree(folder, ignore_errors=True)
    run(python_of(VENV), "-m", "build", "--outdir", folder)  # the wheel is built from the sdist
    (wheel,) = folder.glob("*.whl")
    (sdist,) = folder.glob("*.tar.gz")
    with tempfile.TemporaryDirectory(prefix="clstm-dist-") as temporary:
        inspect_wheel(wheel, Path(temporary))
        test_installed(wheel, sdist, Path(temporary), *(f"tests/test_{name}.py" for name in FROM_WHEEL), *SHARED)
    print(f"{wheel.name} ({wheel.stat().st_size} bytes), built from {sdist.name}, passes its tests")


def inspect_wheel(wheel, temporary):
    """Small, without sources, and with a module that exports nothing but its initialisation."""
    size = wheel.stat().st_size
    if size >= WHEEL_LIMIT:
        stop(f"{wheel.name} has {size} bytes; {WHEEL_LIMIT} are too many")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        unwanted = [name for name in names if name.endswith((".c", ".h", ".pyx", ".pxd", ".pxi"))]
        missing = {"clstm/py.typed", "clstm/_core.pyi", "clstm/data/airline.csv"}.difference(names)
        (module,) = [name for name in names if name.startswith("clstm/_core.") and name.endswith((".so", ".pyd"))]
        archive.extract(module, temporary)
    if unwanted or missing:
        stop(f"{wheel.name} lacks {sorted(missing)} and has {unwanted}, which it should not")
    exported = exported_names(temporary / module)
    if exported not in ({"PyInit__core"}, None):
        stop(f"{module} exports {sorted(exported)}, expected only PyInit__core")
    print(f"{wheel.name}: {size} bytes, exports {exported or 'not looked at'}")


def exported_names(module):
    if WINDOWS:
        return None  # a .pyd exports only what it is told to, and no nm comes with Visual Studio
    options = ["-gU"] if sys.platform == "darwin" else ["-D", "--defined-only"]
    listing = subprocess.run(["nm", *options, str(module)], capture_output=True, text=True, check=True).stdout
    return {line.split()[-1].removeprefix("_" if sys.platform == "darwin" else "") for line in listing.splitlines()}


def test_installed(wheel, sdist, folder, *options):
    """Installs a wheel into a clean environment and runs the sdist's tests on it, with no clstm folder in sight."""
    folder /= "installed"
    with tarfile.open(sdist) as archive:
        archive.extractall(folder, **({"filter": "data"} if hasattr(tarfile, "data_filter") else {}))
    (tree,) = folder.iterdir()
    shutil.rmtree(tree / "clstm")
    venv = folder / "venv"
    make_venv(venv)
    pip_install(venv, f"{wheel}[test]")
    run_pytest(venv, *options, cwd=tree)


# The command line


def main():
    if sys.version_info < (3, 10):  # noqa: UP036  (this file is what tells so)
        stop(f"clstm needs Python 3.10 or later, this is {platform.python_version()}")
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, usage="dev.py COMMAND [ARGUMENT ...]"
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for command in (demo, test, check, ctest, docs, dist, compare, bench):
        sub = commands.add_parser(command.__name__, help=command.__doc__, description=command.__doc__)
        sub.set_defaults(run=command)
        if command is test:
            sub.add_argument("--all", action="store_true", help="the slow tests too")
        if command is bench:
            sub.add_argument("--peers", action="store_true", help="installs what there is to compare with")
        if command is check:
            sub.add_argument("--fix", action="store_true", help="repair what a tool can repair")
            sub.add_argument("names", nargs="*", metavar="NAME", help=", ".join(checks()))
        if command is ctest:
            sub.add_argument("kinds", nargs="*", metavar="KIND", help=", ".join(SANITIZERS))
    args, args.rest = parser.parse_known_args()
    if args.rest and args.run not in (demo, test, compare, docs, bench):
        parser.error(f"unknown arguments: {' '.join(args.rest)}")
    args.run(args)


if __name__ == "__main__":
    main()
