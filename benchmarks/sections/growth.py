"""How much memory training STFT takes, and how its time grows with videos, classes, segments and time steps."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

from benchmarks.compare import Missing, Variant, compare
from benchmarks.context import Context
from benchmarks.load import Load, training
from benchmarks.record import Comparison

Axes = dict[str, tuple[int, ...]]
AXES: Axes = {
    "videos": (3000, 12000, 48000),
    "classes": (50, 150, 450),
    "segments": (1, 2, 4, 8),
    "time_steps": (2, 4, 8, 16),
}
QUICK: Axes = {"videos": (3000, 12000), "classes": (50, 450), "segments": (1, 4), "time_steps": (4, 16)}
# Each measurement of memory costs a start of Python.
MEASURED = ("videos", "segments")
TINY: Axes = {"videos": (20, 40), "segments": (1, 2)}


def run(context: Context) -> list[Comparison]:
    """One comparison for each axis; the step in this process, the memory in a child process of its own."""
    axes = context.pick(AXES, QUICK, TINY)
    base = context.pick(Load(), Load(pairs=64), Load(20, 4, 1, 2, 4, 16))
    return [_axis(context, axis, [replace(base, **{axis: value}) for value in values]) for axis, values in axes.items()]


def _axis(context: Context, axis: str, loads: Sequence[Load]) -> Comparison:
    values = [float(getattr(load, axis)) for load in loads]
    variants: list[Variant | Missing] = []
    for value, load in zip(values, loads, strict=True):
        measured = context.size == "full" or (axis in MEASURED and load == loads[-1])
        cells: dict[str, float | str] = {"peak memory, MiB": peak(load, context.threads) if measured else ""}
        variants.append(Variant(f"{value:,.0f}", training(load, context.seed), cells=cells))
    plan = replace(context.plan, seconds=context.pick(10.0, 1.0, 0.5))
    found = compare(f"{axis.replace('_', ' ')}", variants, plan, context.seed)
    times = [row.times.median for row in found.rows if row.times is not None]
    fixed = {k: v for k, v in asdict(loads[0]).items() if k != axis}
    notes = (
        f"Time grows as {axis.replace('_', ' ')} to the power {slope(values, times):.2f} (log-log fit); 1 is linear.",
        "A training step of STFT with " + ", ".join(f"{k.replace('_', ' ')} {v:,}" for k, v in fixed.items()) + ".",
    )
    return replace(found, notes=notes)


def peak(load: Load, threads: int) -> float | str:
    """Peak resident memory in MiB of a process that loads avzsl and trains two steps; why not where it failed."""
    command = [sys.executable, "-m", "benchmarks.load", json.dumps(asdict(load) | {"threads": threads})]
    root = Path(__file__).resolve().parents[2]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(root), os.environ.get("PYTHONPATH", "")])}
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, cwd=root, env=environment)
    if done.returncode:
        return (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1][:80]
    return float(done.stdout)


def slope(sizes: Sequence[float], times: Sequence[float]) -> float:
    """The power that times grow with: least squares on the logarithms."""
    x, y = ([math.log(value) for value in values] for values in (sizes, times))
    mean_x, mean_y = sum(x) / len(x), sum(y) / len(y)
    return sum((a - mean_x) * (b - mean_y) for a, b in zip(x, y, strict=True)) / sum((a - mean_x) ** 2 for a in x)
