"""Two methods on the same clips: is one better?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from avzsl.errors import DataError
from avzsl.evaluation.paired import PERMUTATIONS, Difference, compare
from avzsl.evaluation.statistics import DRAWS, Level, join
from avzsl.experiments.finished import FinishedRun, changed_settings, clip_difference, find_runs, key_of

ALPHA = 0.05


def compare_runs(
    first: Path | str,
    second: Path | str,
    *,
    draws: int = DRAWS,
    permutations: int = PERMUTATIONS,
    level: Level = "classes",
    seed: int = 0,
) -> dict[str, Any]:
    """Paired test of two runs, or of two folders that hold the seeds of one method each.

    Args:
        first, second: run folders, or folders above several runs that differ in nothing but the seed.
        draws: test sets of the bootstrap.
        permutations: random swaps where there are too many to look at all.
        level: what the bootstrap draws: `"classes"`, `"clips"` or `"both"`.
        seed: of everything random here.

    Returns:
        Plain JSON values (docs/statistics.md).

    Raises:
        DataError: the runs were judged on different clips or classes, or cannot be paired.
        ModelError: no finished run there, or a damaged one.
        SettingError: wrong numbers.
    """
    sides = [_side(Path(place)) for place in (first, second)]
    check_same_clips(*sides)
    one, two = (join([run.decisions() for run in side]) for side in sides)
    found = compare(one, two, np.random.default_rng(seed), draws=draws, permutations=permutations, level=level)
    about = sides[0][0]
    return {
        "first": _about(sides[0]), "second": _about(sides[1]), "benchmark": about.result.benchmark,
        "simulated": any(run.result.simulated for side in sides for run in side), "evaluated": about.result.evaluated,
        "clips": len(about.evidence.clip_names), "seen_classes": int(about.evidence.seen.sum()),
        "unseen_classes": int((~about.evidence.seen).sum()), "zsl_chance": about.result.zsl_chance,
        "level": level, "draws": draws, "permutations": permutations, "seed": seed,
        "differences": {name: as_dict(difference) for name, difference in found.items()},
        "notes": _notes(sides),
    }  # fmt: skip


def as_dict(difference: Difference) -> dict[str, Any]:
    """Plain JSON values, scores in percent."""
    values = asdict(difference)
    interval = values.pop("interval")
    values |= {key: round(100 * values[key], 6) for key in ("first", "second")}
    return values | {
        "difference": round(100 * interval["value"], 6),
        "low": round(100 * interval["low"], 6),
        "high": round(100 * interval["high"], 6),
    }


def check_same_clips(first: Sequence[FinishedRun], second: Sequence[FinishedRun]) -> None:
    """Refuse runs that were judged on different clips, or that call different classes seen.

    Raises:
        DataError: with the clips that differ.
    """
    one, two = first[0], second[0]
    apart = clip_difference(one.evidence, two.evidence)
    if apart:
        raise DataError(
            f"{one.path} and {two.path} were judged on different clips, so nothing can be paired: {apart}; compare runs"
            " on the same test set"
        )
    if one.split != two.split:
        raise DataError(
            f"{one.path} and {two.path} do not have the same seen and unseen classes, so they cannot compare"
        )


def _side(place: Path) -> list[FinishedRun]:
    """The runs of one side in the order of their seeds."""
    runs, problems = find_runs([place])
    if not runs:
        raise DataError(f"{place} holds no finished run: {problems[0]}")
    groups = {run.group: run for run in runs}
    if len(groups) > 1:
        few = list(groups.values())[:2]
        raise DataError(
            f"{place} holds runs of different settings, such as {few[0].path} and {few[1].path}; give one run, or a"
            " folder of runs that differ in nothing but the seed"
        )
    for run in runs[1:]:
        check_same_clips(runs[:1], [run])
    return sorted(runs, key=lambda run: (run.result.seed, str(run.path)))


def _about(side: Sequence[FinishedRun]) -> dict[str, Any]:
    run = side[0]
    return {
        "method": run.result.method, "preset": run.result.preset, "runs": [str(r.path) for r in side],
        "seeds": [r.result.seed for r in side],
    }  # fmt: skip


def _notes(sides: Sequence[Sequence[FinishedRun]]) -> list[str]:
    """What else differs and may be the reason for a difference."""
    one, two = sides[0][0], sides[1][0]
    notes = [
        f"{name} differs: {value} and {other}"
        for (name, value), other in zip(key_of(one).items(), key_of(two).values(), strict=True)
        if value != other
    ]
    seeds = [[run.result.seed for run in side] for side in sides]
    if len(seeds[0]) == len(seeds[1]) and seeds[0] != seeds[1]:
        notes.append(f"the seeds differ ({seeds[0]} and {seeds[1]}); runs are paired in this order")
    if len(sides[0]) == 1:
        notes.append("one run of each: what another seed would change is not in these numbers")
    if one.result.method == two.result.method and one.group != two.group:
        changes = changed_settings([one.settings, two.settings])
        notes.append(f"settings that differ: {changes[0]} and {changes[1]}")
    return notes
