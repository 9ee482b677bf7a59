"""Means, spreads and ranks of a benchmark's cells: plain arithmetic on the records of `experiments.cells`."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

SCORES = ("seen", "unseen", "hm", "zsl")
RANKED_BY = "hm"

Record = Mapping[str, Any]


def build_rows(entries: Sequence[Record], cells: Sequence[Record], blocks: Sequence[str]) -> list[dict[str, Any]]:
    """One row per method, best harmonic mean first; methods that cannot be ranked follow, with the reason.

    Args:
        entries: what is known of each method: `method`, `title`, `yardstick`, `reason` and more, kept in its row.
        cells: records of cells, each with `method`, `block`, `state`, `reason` and `result`.
        blocks: names of the blocks (a data folder with a seed) in which all methods compete.

    Returns:
        The entries, each with `state` (`"ranked"`, `"incomplete"`, `"other videos"`, `"failed"` or `"cannot run"`),
        `rank`, `mean_rank`, `done`, `seconds`, and for each score `mean`, `sd` (over blocks, of a sample; None for one
        block) and `values`.
    """
    found: dict[str, dict[str, Record]] = {entry["method"]: {} for entry in entries}
    reasons: dict[str, str] = {}
    for cell in cells:
        if cell["result"] is not None:
            found[cell["method"]][cell["block"]] = cell["result"]
        elif cell["reason"]:
            reasons.setdefault(cell["method"], cell["reason"])
    judged = _judged_on(found.values())
    rows = []
    for entry in entries:
        results = found[entry["method"]]
        state, reason = _state(entry, results, judged, blocks, reasons.get(entry["method"], ""))
        numbers = {score: summarise({b: results[b][score] for b in blocks if b in results}) for score in SCORES}
        seconds = summarise({b: r["seconds"] for b, r in results.items()})["mean"]
        rows.append({**entry, **numbers, "state": state, "reason": reason, "done": len(results), "seconds": seconds})
    ranked = [row for row in rows if row["state"] == "ranked"]
    places = rank({row["method"]: row[RANKED_BY]["mean"] for row in ranked})
    mean_places = mean_ranks([{row["method"]: row[RANKED_BY]["values"][b] for row in ranked} for b in blocks])
    for row in rows:
        row["rank"], row["mean_rank"] = places.get(row["method"]), mean_places.get(row["method"])
    order = ("ranked", "other videos", "incomplete", "failed", "cannot run")

    def key(row: Record) -> tuple[int, float, bool, str]:
        # Of equals, yardsticks come first: whoever stands above one has really passed it.
        return order.index(row["state"]), -(row[RANKED_BY]["mean"] or 0.0), not row["yardstick"], row["method"]

    return sorted(rows, key=key)


def best_yardsticks(rows: Iterable[Record]) -> dict[str, dict[str, Any]]:
    """For each score, the best ranked method that does not learn by gradient steps; empty where there is none."""
    known = [row for row in rows if row["yardstick"] and row["state"] == "ranked"]
    if not known:
        return {}
    best = {score: max(known, key=lambda row: row[score]["mean"]) for score in SCORES}
    return {s: {"method": r["method"], "title": r["title"], "mean": r[s]["mean"]} for s, r in best.items()}


def mark_below(rows: Sequence[dict[str, Any]], best: Mapping[str, Record]) -> None:
    """Add `below`: score to whether a learned method's mean fails to pass the best yardstick's."""
    for row in rows:
        learned = not row["yardstick"]
        row["below"] = {
            score: learned and score in best and row[score]["mean"] is not None
            and row[score]["mean"] <= best[score]["mean"]
            for score in SCORES
        }  # fmt: skip


def summarise(values: Mapping[str, float]) -> dict[str, Any]:
    """Mean and sample standard deviation; None where there are too few values."""
    numbers = list(values.values())
    return {
        "mean": round(statistics.fmean(numbers), 6) if numbers else None,
        "sd": round(statistics.stdev(numbers), 6) if len(numbers) > 1 else None,
        "values": dict(values),
    }


def rank(values: Mapping[str, float]) -> dict[str, int]:
    """1 for the largest; equal values share a rank, and the next one is skipped."""
    return {name: 1 + sum(other > value for other in values.values()) for name, value in values.items()}


def mean_ranks(blocks: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Rank in each block, averaged over blocks; within a block, equal values share the mean of their ranks."""
    found: dict[str, list[float]] = {}
    for values in blocks:
        ties = Counter(values.values())
        for name, place in rank(values).items():
            found.setdefault(name, []).append(place + (ties[values[name]] - 1) / 2)
    return {name: round(statistics.fmean(places), 4) for name, places in found.items()}


def _judged_on(found: Iterable[Mapping[str, Record]]) -> dict[str, str]:
    """Block to the test clips that most methods were judged on."""
    counts: dict[str, Counter[str]] = {}
    for results in found:
        for block, result in results.items():
            counts.setdefault(block, Counter())[result["evaluated"]] += 1
    return {block: most.most_common(1)[0][0] for block, most in counts.items()}


def _state(
    entry: Record, results: Mapping[str, Record], judged: Mapping[str, str], blocks: Sequence[str], reason: str
) -> tuple[str, str]:
    if entry["reason"]:
        return "cannot run", entry["reason"]
    if not results:
        return ("failed", reason) if reason else ("incomplete", "not run yet")
    other = [block for block, result in results.items() if result["evaluated"] != judged[block]]
    if other:
        return "other videos", "it was judged on other videos than most methods, so it cannot be ranked with them"
    if len(results) < len(blocks):
        how_many = f"{len(results)} of {len(blocks)} runs are done"
        return "incomplete", f"{how_many}; {reason}" if reason else how_many
    return "ranked", ""
