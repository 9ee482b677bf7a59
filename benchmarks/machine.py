"""The machine: what it is, what it is busy with, and what is installed."""

from __future__ import annotations

import hashlib
import os
import platform
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

import avzsl

PACKAGES = ("torch", "numpy", "spikingjelly", "snntorch", "norse", "tensorly", "av", "h5py")
# Environment variables that change speed.
SPEED_VARIABLES = (
    "OMP_NUM_THREADS", "MKL_NUM_THREADS", "AVZSL_KERNELS", "MALLOC_MMAP_MAX_", "MALLOC_TRIM_THRESHOLD_", "LD_PRELOAD",
)  # fmt: skip
# A load above this many runnable processes makes wall times useless.
BUSY = 1.0


def describe(threads: int) -> dict[str, Any]:
    """Plain JSON values: processor, memory, versions, threads."""
    versions = {"python": platform.python_version(), "avzsl": avzsl.__version__}
    for name in PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            versions[name] = "absent"
    return {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_gib": _memory(),
        "system": platform.platform(terse=True),
        "capability": torch.backends.cpu.get_cpu_capability(),
        "threads": threads,
        "versions": versions,
        "environment": {name: os.environ[name] for name in SPEED_VARIABLES if name in os.environ},
    }


def load() -> float:
    """Load average of the last minute; 0 where the system has none."""
    try:
        return round(os.getloadavg()[0], 2)
    except (OSError, AttributeError):
        return 0.0


def is_busy(at_start: float) -> bool:
    """Whether somebody else was computing when the suite started."""
    return at_start > BUSY


def code_hash() -> str:
    """Hash of the package's and the suite's sources: whether a stored section was measured with this code."""
    digest = hashlib.sha256()
    for root in (Path(avzsl.__file__).parent, Path(__file__).parent):
        for path in sorted(p for p in root.rglob("*") if p.suffix in (".py", ".c", ".toml")):
            digest.update(str(path.relative_to(root)).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _memory() -> float | None:
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1)
    except (AttributeError, OSError, ValueError):
        return None
