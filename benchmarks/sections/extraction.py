"""From video files to a benchmark folder, in multiples of real time."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

from benchmarks.compare import Missing, Outcome, Variant, compare, optional
from benchmarks.context import Context
from benchmarks.footage import extract, world
from benchmarks.record import Comparison


def run(context: Context) -> list[Comparison]:
    """With one worker and with two."""
    videos, clips, seconds = world(context)

    def variant(workers: int) -> Variant:
        out = context.folder / f"extracted-{workers}"

        def call() -> None:
            shutil.rmtree(out, ignore_errors=True)
            extract(videos, out, workers)

        def outcome() -> Outcome:
            call()
            return Outcome({"feature files": contents(out)})

        return Variant("", call, outcome, work=clips * seconds)

    names = {1: "1 worker", 2: "2 workers"}
    variants: list[Variant | Missing] = [optional(name, lambda n=n: variant(n)) for n, name in names.items()]  # type: ignore[misc]
    plan = replace(context.plan, warmups=0, fewest=context.pick(3, 1, 1), rounds=context.pick(5, 1, 1))
    found = compare(
        f"{clips} videos of {seconds:g} s, 96 x 96 pixels, 12 frames/s, 16 kHz", variants, plan, context.seed,
        unit="x real time", scale=1.0, rate=True,
        notes=("From files to a benchmark folder, nothing cached.",),
    )  # fmt: skip
    return [found]


def contents(folder: Path) -> dict[str, bytes]:
    """Path to bytes of all feature files."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*.h5"))}
