"""The machine: what it is, whether it is quiet, and how a process stays on a core of its own."""

from __future__ import annotations

import os
import platform
import subprocess
import time
from pathlib import Path

CPUS = Path("/sys/devices/system/cpu")
GLANCE = 0.1  # seconds over which the load is looked at
BUSY = 0.1  # of all processors: more than that is somebody else's work


def facts() -> dict:
    """What a reader of the results has to know."""
    return {
        "cpu": cpu_model(),
        "cores": len(physical_cores()),
        "processors": os.cpu_count(),
        "caches": caches(),
        "memory_gib": memory_gib(),
        "system": platform.platform(terse=True),
        "python": platform.python_version(),
        "revision": revision(),
    }


def cpu_model():
    for line in read(Path("/proc/cpuinfo")).splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def caches():
    """Size of each level that the first processor sees, {"L1": bytes, ...}."""
    found = {}
    for index in sorted(CPUS.glob("cpu0/cache/index*")):
        size = read(index / "size").strip()
        if read(index / "type").strip() != "Instruction" and size.endswith("K"):
            found[f"L{read(index / 'level').strip()}"] = int(size[:-1]) * 1024
    return found


def memory_gib():
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1)
    except (AttributeError, ValueError, OSError):  # Windows
        return None


def revision():
    """The commit that is measured; None outside a clone."""
    command = ["git", "describe", "--always", "--dirty"]
    try:
        done = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()


def read(path):
    try:
        return path.read_text()
    except OSError:
        return ""


def physical_cores() -> list[int]:
    """One processor of each core that this process may use: two that share a core would share its arithmetic."""
    allowed = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else range(os.cpu_count() or 1)
    cores = {}
    for cpu in allowed:
        siblings = read(CPUS / f"cpu{cpu}" / "topology" / "thread_siblings_list").strip()
        cores[siblings or cpu] = cpu
    return list(cores.values())


def pin(threads: int) -> bool:
    """Keeps this process on as many cores as it has threads, the last ones; False where that cannot be done."""
    cores = physical_cores()
    if not hasattr(os, "sched_setaffinity") or len(cores) < threads:
        return False
    os.sched_setaffinity(0, cores[-threads:])
    return True


def load():
    """The share of all processors' time that was used during a glance; None where the system does not say."""
    before = processor_times()
    if before is None:
        return None
    time.sleep(GLANCE)
    spent = [after - earlier for earlier, after in zip(before, processor_times())]
    idle = spent[3] + spent[4]  # idle, and waiting for disks
    return 1 - idle / max(1, sum(spent))


def processor_times():
    line = read(Path("/proc/stat")).partition("\n")[0]
    return [int(value) for value in line.split()[1:9]] or None


class Patience:
    """Waits for a quiet machine, but not for ever.

    Parameters
    ----------
    each : float
        Seconds of one wait, at most.
    altogether : float
        Seconds of all waits: on a machine that is never quiet, the benchmark ends nevertheless, and says so.
    """

    def __init__(self, each: float, altogether: float) -> None:
        self.each, self.left = each, altogether

    def wait(self) -> bool | None:
        """Whether the machine is quiet now; None where it cannot be known."""
        started = time.monotonic()
        quiet = self.look_until(started + min(self.each, self.left))
        self.left = max(0, self.left - max(0, time.monotonic() - started - 2 * GLANCE))
        return quiet

    def look_until(self, end):
        while True:
            found = load()
            if found is None or found <= BUSY:
                return None if found is None else True
            if time.monotonic() >= end:
                return False
