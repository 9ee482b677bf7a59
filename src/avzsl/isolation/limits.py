"""How much memory a process may ask for; only Linux knows a limit that holds and leaves others alone."""

from __future__ import annotations

import os
import sys
from pathlib import Path

# Of the machine's memory, what one child may ask for at most.
_SHARE = 0.75
_STATUS = Path("/proc/self/statm")


def memory_is_limited() -> bool:
    """Whether children are held to a limit of memory here; elsewhere they are held to a limit of time alone."""
    return sys.platform == "linux" and _STATUS.exists()


def allowance(size: int) -> int:
    """`size` bytes, or what this machine can spare if that is less."""
    try:
        machine = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):  # Windows
        return size
    return min(size, int(_SHARE * machine)) if machine > 0 else size


def limit_memory(size: int | None) -> None:
    """Let this process ask for `size` bytes more than it holds now; None = as much as it likes.

    Counted is what it writes to and shares with nobody (RLIMIT_DATA): stacks and unused reservations of many threads,
    files that are mapped, and memory handed to the parent do not count.
    """
    if sys.platform != "linux" or not memory_is_limited():
        return
    import resource

    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    wanted = resource.RLIM_INFINITY if size is None else _held() + size
    if hard != resource.RLIM_INFINITY and (wanted == resource.RLIM_INFINITY or wanted > hard):
        wanted = hard
    resource.setrlimit(resource.RLIMIT_DATA, (wanted, hard))


def _held() -> int:
    """Bytes of private writable memory of this process."""
    return int(_STATUS.read_text(encoding="ascii").split()[5]) * os.sysconf("SC_PAGE_SIZE")
