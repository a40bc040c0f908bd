"""Builds the one extension module, clstm._core. All metadata is in pyproject.toml."""

import os
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

# No fast-math and no fusing: the code says fma where it means it. No -march: instruction sets are chosen inside the
# files and at run time. -g0: debug information would make the wheel five times as large. Without tables for unwinding,
# which only debuggers and profilers would read, it is 3 % smaller. The kernels, where the time goes, gain 3 % from -O3;
# the rest would only grow. dev.py ctest reads these too.
# fmt: off
CORE_FLAGS = [
    "-std=gnu11", "-O2", "-g0", "-ffp-contract=off", "-fno-math-errno", "-fvisibility=hidden", "-pthread",
    "-fno-unwind-tables", "-fno-asynchronous-unwind-tables",
]
# fmt: on
KERNEL_FLAGS = ["-O3"]
SMALL_FLAGS = ["-Os"]
CORE_WARNINGS = ["-Wall", "-Wextra", "-Wno-psabi"]
CLANG_CL_FLAGS = ["/clang:-O2", "/clang:-ffp-contract=off", "/clang:-fno-math-errno"]
CLANG_CL_KERNEL_FLAGS = ["/clang:-O3"]
CLANG_CL_SMALL_FLAGS = ["/clang:-Os"]
CLANG_CL_TARGETS = {"win-amd64": "x86_64-pc-windows-msvc", "win-arm64": "aarch64-pc-windows-msvc"}

CORE = sorted(path.as_posix() for path in Path("src_c").rglob("*.c") if "tests" not in path.parts)
HEADERS = sorted(path.as_posix() for path in [*Path("src_c").rglob("*.h"), *Path("clstm").glob("*.px[di]")])


class BuildExt(build_ext):
    """Compiles files side by side, each for the speed that is asked of it: see `level_of`."""

    def initialize_options(self):
        super().initialize_options()
        self.cython_c_in_temp = True  # the generated C stays out of the source tree

    def build_extensions(self):
        flags, levels, warnings = CORE_FLAGS, {"kernels": KERNEL_FLAGS, "small": SMALL_FLAGS}, CORE_WARNINGS
        if self.compiler.compiler_type == "msvc":
            flags = [*CLANG_CL_FLAGS, "--target=" + CLANG_CL_TARGETS[self.plat_name]]
            levels, warnings = {"kernels": CLANG_CL_KERNEL_FLAGS, "small": CLANG_CL_SMALL_FLAGS}, ["/W4"]
            if not self.compiler.initialized:
                self.compiler.initialize(self.plat_name)
            self.compiler.cc = clang_cl()
        if os.environ.get("CLSTM_WERROR"):
            warnings = [*warnings, "-Werror"]
        compile_files = self.compiler.compile

        x86 = self.plat_name.endswith(("x86_64", "amd64"))

        def compile_one(source, options):
            own = levels.get(level_of(Path(source), x86), [])
            options["extra_postargs"] = flags + own + (warnings if source in CORE else [])
            return compile_files([source], **options)[0]

        def compile_side_by_side(sources, **options):
            with ThreadPoolExecutor(os.cpu_count()) as pool:
                return list(pool.map(lambda source: compile_one(source, dict(options)), sources))

        self.compiler.compile = compile_side_by_side
        super().build_extensions()


def level_of(path, x86):
    """Which flags a file gets besides the usual ones.

    Kernels are for speed, but those of double precision, where -O3 brings little, and the baseline on x86-64, where it
    is for processors from before 2013 (on ARM it is all there is). What puts calls of kernels in order, and generated
    C, which hands addresses over, would be a twentieth of the wheel larger, and some microseconds faster in each call.
    """
    if path.suffix == ".c" and "kernels" in path.parts:
        if x86 and path.name.startswith("baseline"):
            return "small"
        return "usual" if path.stem.endswith("_f64") else "kernels"
    return "small" if path.stem.startswith("stack_") or path.as_posix() not in CORE else "usual"


def clang_cl():
    """cl has no vector types, so that on Windows the compiler is clang-cl, with the linker of Visual Studio."""
    llvm = Path(os.environ.get("PROGRAMFILES", "C:/Program Files"), "LLVM", "bin")
    found = shutil.which("clang-cl") or shutil.which("clang-cl", path=llvm)
    return found or sys.exit("clstm is built with clang-cl on Windows, and there is none: install LLVM")


# Names of local functions are 2 % of the wheel; the one that Python asks for stays (on macOS, -s is ignored)
strip = "-Wl,-x" if sys.platform == "darwin" else "-Wl,-s"
link_args = [] if sys.platform == "win32" else ["-pthread", strip]
core = Extension("clstm._core", ["clstm/_core.pyx", *CORE], ["src_c"], depends=HEADERS, extra_link_args=link_args)
setup(ext_modules=[core], cmdclass={"build_ext": BuildExt})
