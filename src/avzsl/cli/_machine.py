"""What the machine offers: cores, memory, disk, threads, the temp folder, NVIDIA's driver."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
GIB = 2**30
_CGROUP = Path("/sys/fs/cgroup")


def usable_cores() -> int:
    """Cores that this process may use, a container's share included."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)
    with contextlib.suppress(OSError, ValueError):
        quota, period = (_CGROUP / "cpu.max").read_text().split()[:2]
        cores = min(cores, max(1, round(int(quota) / int(period))))
    return cores


def odd_threads(settings: Mapping[str, str], cores: int) -> list[str]:
    """What is odd about the thread settings of the environment, as sentences.

    Args:
        settings: environment variables.
        cores: cores that may be used.
    """
    odd, numbers = [], {}
    for name in THREADS:
        text = settings.get(name)
        if text is None:
            continue
        first = text.split(",")[0].strip()  # OpenMP allows one number per level of nesting
        if not first.isdecimal() or int(first) < 1:
            odd.append(f"{name} is '{text}', which is no number of threads")
            continue
        numbers[name] = int(first)
        if numbers[name] > cores:
            odd.append(f"{name} is {text}, but only {cores} core{'' if cores == 1 else 's'} may be used")
    if len(set(numbers.values())) > 1:
        odd.append(", ".join(f"{name} is {number}" for name, number in numbers.items()) + ": they should be the same")
    return odd


def memory() -> tuple[int | None, int | None]:
    """Bytes of memory in all and free, a container's limit included; None where the system does not say."""
    total = free = None
    with contextlib.suppress(OSError, ValueError, IndexError):
        rows = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text().splitlines() if ":" in line)
        total, free = (int(rows[name].split()[0]) * 1024 for name in ("MemTotal", "MemAvailable"))
    if total is None and hasattr(os, "sysconf"):
        with contextlib.suppress(OSError, ValueError):
            total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    with contextlib.suppress(OSError, ValueError):
        limit = int((_CGROUP / "memory.max").read_text())
        used = int((_CGROUP / "memory.current").read_text())
        total = limit if total is None else min(total, limit)
        free = max(0, limit - used) if free is None else min(free, max(0, limit - used))
    return total, free


def free_disk(folder: Path) -> int | None:
    """Free bytes on the disk of a folder."""
    try:
        return shutil.disk_usage(folder).free
    except OSError:
        return None


def try_temp() -> str | None:
    """Why nothing can be written to the temp folder; None when it can."""
    try:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "probe"
            path.write_bytes(b"x" * 4096)
            return None if path.read_bytes() == b"x" * 4096 else "a file is read back differently"
    except OSError as error:
        return error.strerror or str(error)


def nvidia_cards() -> list[str]:
    """Cards with their driver, as NVIDIA's own tool lists them; none when it is not there."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return []
    query = [tool, "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader"]
    try:
        done = subprocess.run(query, capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return []
    return [line.strip() for line in done.stdout.splitlines() if line.strip()] if done.returncode == 0 else []
