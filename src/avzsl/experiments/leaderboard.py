"""Runs from anywhere, in tables of those that compare: seeds put together, intervals, ranks."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import avzsl
from avzsl.errors import SettingError
from avzsl.evaluation.paired import PERMUTATIONS, compare
from avzsl.evaluation.statistics import DRAWS, SCORES, as_percent, intervals, join
from avzsl.experiments.finished import FinishedRun, changed_settings, clip_difference, find_runs, key_of
from avzsl.experiments.ranking import RANKED_BY, rank, summarise
from avzsl.methods._base import METHODS

FORMAT = 1


def build_leaderboard(places: Sequence[Path], *, draws: int = DRAWS, seed: int = 0) -> dict[str, Any]:
    """Read every finished run in or below some folders and rank what compares.

    Args:
        places: run folders, benchmark folders, or folders above them.
        draws: test sets of the bootstrap.
        seed: of the bootstrap.

    Returns:
        Plain JSON values (docs/statistics.md): `tables`, and `problems` with runs that were left out.

    Raises:
        DataError: a folder is not there, or holds no run.
        SettingError: nothing to rank is left, or draws is below 1.
    """
    runs, problems = find_runs(places)
    if not runs:
        raise SettingError(f"none of the runs can be ranked, the first because {problems[0]}")
    keyed: dict[str, list[FinishedRun]] = {}
    for run in runs:
        keyed.setdefault(json.dumps(key_of(run)), []).append(run)
    tables = [_table(json.loads(key), own, draws, seed) for key, own in sorted(keyed.items())]
    return {
        "format": FORMAT, "package": avzsl.__version__, "draws": draws, "seed": seed, "confidence": 0.95,
        "level": "classes", "tables": tables, "problems": problems,
    }  # fmt: skip


def _table(key: Mapping[str, str], runs: Sequence[FinishedRun], draws: int, seed: int) -> dict[str, Any]:
    """One ranking."""
    judged = _most_common(run.result.evaluated for run in runs)
    groups: dict[str, list[FinishedRun]] = {}
    for run in runs:
        # Runs on other clips never share a row with the rest, however alike their settings are.
        groups.setdefault(f"{run.group} {run.result.evaluated}", []).append(run)
    sides, notes = [], []
    for group in groups.values():
        side, said = _without_copies(group)
        sides.append(side)
        notes += said
    labels = _labels(sides)
    standard = next((run for run in runs if run.result.evaluated == judged), runs[0])
    rows = [_row(side, label, draws, seed) for side, label in zip(sides, labels, strict=True)]
    prints = _fingerprints(runs, judged)
    for row, side in zip(rows, sides, strict=True):
        row["state"], row["reason"] = _state(side[0], runs, judged, prints)
    ranked = [row for row in rows if row["state"] == "ranked"]
    places = rank({str(i): row[RANKED_BY]["mean"] for i, row in enumerate(ranked)})
    for i, row in enumerate(ranked):
        row["rank"] = places[str(i)]
    order = sorted(range(len(rows)), key=lambda i: _order(rows[i]))
    _beside_first([sides[i] for i in order], [rows[i] for i in order], seed)
    evidence = standard.evidence
    return {
        "key": dict(key), "evaluated": judged, "test_clips": len(evidence.clip_names),
        "seen_classes": int(evidence.seen.sum()), "unseen_classes": int((~evidence.seen).sum()),
        "zsl_chance": standard.result.zsl_chance, "simulated": any(run.result.simulated for run in runs),
        "drawn": standard.result.extractor.get("name") == "simulated", "fingerprints": prints,
        "rows": [rows[i] for i in order], "notes": notes,
    }  # fmt: skip


def _row(side: Sequence[FinishedRun], label: str, draws: int, seed: int) -> dict[str, Any]:
    """The seeds of one method with one set of settings."""
    result = side[0].result
    values = {s: {f"{run.result.seed}#{i}": getattr(run.result, s) for i, run in enumerate(side)} for s in SCORES}
    # A generator of its own for every row: all rows meet the same resampled classes.
    found = as_percent(intervals(join([run.decisions() for run in side]), np.random.default_rng(seed), draws))
    scores = {s: summarise(values[s]) | {"low": found[s]["low"], "high": found[s]["high"]} for s in SCORES}
    for score in scores.values():
        score["values"] = list(score["values"].values())
    kind = METHODS.get(result.method) if result.method in METHODS.names() else None
    return {
        "method": result.method, "title": kind.title if kind else result.method, "label": label,
        "note": kind.note if kind else "", "yardstick": bool(kind and kind.yardstick), "rank": None, "p_first": None,
        "seeds": [run.result.seed for run in side], "runs": [str(run.path) for run in side],
        "features": "temporal" if result.temporal else "averaged", "preset": result.preset,
        "bias_search": str(side[0].settings.get("protocol", {}).get("bias_search", "unknown")),
        "published": dict(result.published), "published_note": result.published_note, **scores,
    }  # fmt: skip


def _without_copies(group: Sequence[FinishedRun]) -> tuple[list[FinishedRun], list[str]]:
    """One run for each digest, in the order of the seeds."""
    kept: dict[str, FinishedRun] = {}
    notes = []
    for run in sorted(group, key=lambda run: (run.result.seed, str(run.path))):
        if run.result.digest in kept:
            notes.append(f"{run.path} is the same run as {kept[run.result.digest].path} and counts once")
        else:
            kept[run.result.digest] = run
    runs = list(kept.values())
    twice = [seed for seed, count in Counter(run.result.seed for run in runs).items() if count > 1]
    notes += [
        f"{runs[0].result.method}: seed {seed} is there {count} times with different numbers"
        for seed, count in ((seed, sum(run.result.seed == seed for run in runs)) for seed in twice)
    ]
    return runs, notes


def _labels(sides: Sequence[Sequence[FinishedRun]]) -> list[str]:
    """What tells rows of the same method apart; empty where there is one."""
    labels = [""] * len(sides)
    methods = [side[0].result.method for side in sides]
    for method, count in Counter(methods).items():
        if count > 1:
            places = [i for i, name in enumerate(methods) if name == method]
            texts = changed_settings([sides[i][0].settings for i in places])
            for i, text in zip(places, texts, strict=True):
                labels[i] = text
    return labels


def _state(
    run: FinishedRun, runs: Sequence[FinishedRun], judged: str | None, prints: Mapping[str, str]
) -> tuple[str, str]:
    """Whether a row can be ranked, and why not."""
    own = run.result
    if own.evaluated != judged:
        # Beside the ranked runs, or where no test set is that of most runs, beside the first on another one.
        other = next(r for r in runs if r.result.evaluated == (judged or r.result.evaluated) != own.evaluated)
        apart = clip_difference(run.evidence, other.evidence)
        apart = apart.replace("the first", "this run").replace("the second", "that one")
        return "other videos", f"judged on other videos than {other.path}: {apart}"
    form = "temporal" if own.temporal else "averaged"
    if own.fingerprint != prints[form]:
        return "other data", (
            f"the contents of its {form} features differ from those of most runs (fingerprint {own.fingerprint[:12]},"
            f" not {prints[form][:12]})"
        )
    return "ranked", ""


def _most_common(values: Any) -> str | None:
    """The value of most runs; None where two are as frequent."""
    (first, count), *others = Counter(values).most_common(2)
    return None if others and others[0][1] == count else str(first)


def _fingerprints(runs: Sequence[FinishedRun], judged: str | None) -> dict[str, str]:
    """Of the features of most ranked runs, averaged and temporal ones apart."""
    found: dict[str, Counter[str]] = {}
    for run in runs:
        if judged in (None, run.result.evaluated):
            form = "temporal" if run.result.temporal else "averaged"
            found.setdefault(form, Counter())[run.result.fingerprint] += 1
    return {form: counts.most_common(1)[0][0] for form, counts in found.items()}


def _order(row: Mapping[str, Any]) -> tuple[bool, float, bool, str, str]:
    # Of equals, yardsticks come first: whoever stands above one has really passed it.
    return row["state"] != "ranked", -row[RANKED_BY]["mean"], not row["yardstick"], row["method"], row["label"]


def _beside_first(sides: Sequence[Sequence[FinishedRun]], rows: Sequence[dict[str, Any]], seed: int) -> None:
    """Add `p_first`: of the difference in HM to the first row, where both have the same seeds."""
    first = next(((side, row) for side, row in zip(sides, rows, strict=True) if row["state"] == "ranked"), None)
    if first is None:
        return
    best = join([run.decisions() for run in first[0]])
    for side, row in zip(sides, rows, strict=True):
        if row is first[1] or row["state"] != "ranked" or row["seeds"] != first[1]["seeds"]:
            continue
        found = compare(
            best, join([run.decisions() for run in side]), np.random.default_rng(seed), draws=1,
            permutations=PERMUTATIONS,
        )  # fmt: skip
        row["p_first"] = round(found[RANKED_BY].p_value, 6)
