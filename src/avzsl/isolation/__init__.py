"""Work on files from strangers in child processes, with limits on time and memory.

A library written in C can hang, crash or ask for all the memory there is when a file is damaged. Here that costs a
child: it is ended and replaced, its item becomes an error of one sentence, and everything else goes on.

    run_isolated   many items, several children, results in order (videos)
    Helper         one child that is asked for one thing after the other (feature files)
"""

from __future__ import annotations

from avzsl.isolation.helper import Helper
from avzsl.isolation.limits import allowance, memory_is_limited
from avzsl.isolation.parcel import Parcel
from avzsl.isolation.pool import run_isolated

__all__ = ["Helper", "Parcel", "allowance", "memory_is_limited", "run_isolated"]
