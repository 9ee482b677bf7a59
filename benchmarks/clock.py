"""Time several variants in one process, in turns, so that whatever else the machine does falls on all of them."""

from __future__ import annotations

import gc
import math
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import median
from typing import Any

Call = Callable[[], object]


@dataclass(frozen=True)
class Plan:
    """How long to measure.

    Attributes:
        rounds: every variant is measured once in each.
        fewest: rounds that are made even when the time is up.
        seconds: time for one comparison; no round starts later.
        least: a measurement lasts at least this many seconds; short calls are repeated until it does.
        warmups: calls before the first round; 0 for long calls, which are then timed one by one.
    """

    rounds: int
    fewest: int
    seconds: float
    least: float = 0.005
    warmups: int = 2


@dataclass(frozen=True)
class Times:
    """What one variant took, in seconds for one call.

    Attributes:
        wall: of each round, by the clock on the wall.
        cpu: of each round, by all threads of this process and by child processes that ended in it.
        repeats: calls that were timed together in each round.
    """

    wall: tuple[float, ...]
    cpu: tuple[float, ...]
    repeats: int = 1

    @property
    def median(self) -> float:
        """Of the wall times."""
        return median(self.wall)

    @property
    def cpu_median(self) -> float:
        """Of the CPU times."""
        return median(self.cpu)

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {"wall": list(self.wall), "cpu": list(self.cpu), "repeats": self.repeats}

    @staticmethod
    def from_dict(values: Mapping[str, Any]) -> Times:
        """Inverse of `as_dict`."""
        return Times(tuple(values["wall"]), tuple(values["cpu"]), int(values["repeats"]))


def interleave(calls: Mapping[str, Call], plan: Plan, seed: int) -> dict[str, Times]:
    """Measure every call in every round, in an order that is shuffled anew each time.

    Args:
        calls: name to what is timed.
        plan: how long.
        seed: of the orders.
    """
    repeats = {name: _repeats(call, plan) for name, call in calls.items()}
    wall: dict[str, list[float]] = {name: [] for name in calls}
    cpu: dict[str, list[float]] = {name: [] for name in calls}
    order, shuffler, started = list(calls), random.Random(seed), time.perf_counter()
    collecting = gc.isenabled()
    try:
        for turn in range(plan.rounds):
            if turn >= plan.fewest and time.perf_counter() - started > plan.seconds:
                break
            shuffler.shuffle(order)
            gc.collect()
            gc.disable()
            for name in order:
                seconds = _timed(calls[name], repeats[name])
                wall[name].append(seconds[0])
                cpu[name].append(seconds[1])
            gc.enable()
    finally:
        (gc.enable if collecting else gc.disable)()
    return {name: Times(tuple(wall[name]), tuple(cpu[name]), repeats[name]) for name in calls}


def _repeats(call: Call, plan: Plan) -> int:
    """Warm up, and see how many calls fill a measurement; one where nothing is to be warmed up."""
    if plan.warmups == 0:
        return 1
    seconds = math.inf
    for _ in range(plan.warmups):
        seconds = min(seconds, _timed(call, 1)[0])
    return max(1, min(1000, math.ceil(plan.least / max(seconds, 1e-9))))


def _timed(call: Call, repeats: int) -> tuple[float, float]:
    """Wall and CPU seconds of one call, the mean of several in a row."""
    cpu, wall = cpu_seconds(), time.perf_counter()
    for _ in range(repeats):
        call()
    wall, cpu = time.perf_counter() - wall, cpu_seconds() - cpu
    return wall / repeats, cpu / repeats


def cpu_seconds() -> float:
    """CPU time of all threads of this process and of the child processes that have ended."""
    own = time.process_time()
    try:
        import resource
    except ImportError:  # not on Windows
        return own
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return own + children.ru_utime + children.ru_stime
