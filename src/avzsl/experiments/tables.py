"""The tables of a benchmark as plain records: what was judged on what, and a row for each method."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from avzsl.data.splits import Benchmark
from avzsl.evaluation.metrics import zsl_chance
from avzsl.experiments.choice import Choice
from avzsl.experiments.ranking import Record, best_yardsticks, build_rows, mark_below
from avzsl.experiments.result import percent
from avzsl.experiments.run import clip_hash, is_simulated
from avzsl.methods._base import METHODS

# Label of the table over several data folders.
TOGETHER = "all"


@dataclass(frozen=True)
class Place:
    """A data folder of a benchmark.

    Attributes:
        label: its short name.
        path: where it lies.
        about: what is judged there, from `describe`.
        choices: how each method takes part in it.
    """

    label: str
    path: Path
    about: Record
    choices: tuple[Choice, ...]


def block_name(label: str, seed: int) -> str:
    """What the runs of all methods on one data folder with one seed are called."""
    return f"{label}, seed {seed}"


def build_table(
    places: Sequence[Place], methods: Sequence[str], seeds: Sequence[int], cells: Sequence[Record]
) -> dict[str, Any]:
    """One ranking: over the seeds of a data folder, or over several folders and their seeds.

    Args:
        places: one data folder, or several.
        methods: registered names.
        seeds: of the runs.
        cells: records of all cells there are, of other folders too.
    """
    labels = [place.label for place in places]
    own = [cell for cell in cells if cell["data"] in labels]
    rows = build_rows(
        [_entry(method, places, own) for method in methods],
        own,
        [block_name(n, seed) for n in labels for seed in seeds],
    )
    best = best_yardsticks(rows)
    mark_below(rows, best)
    return {
        "label": labels[0] if len(places) == 1 else TOGETHER,
        "data": [{**place.about, "fingerprints": _fingerprints(place, own)} for place in places],
        "seeds": list(seeds),
        "yardsticks": best,
        "rows": rows,
    }


def describe(label: str, path: Path, benchmark: Benchmark) -> dict[str, Any]:
    """What is judged on what; numbers of two tables compare only where these agree.

    Raises:
        DataError: the record of how the data came about is damaged.
    """
    test = benchmark.evaluation(2)
    return {
        "label": label, "path": str(path), "benchmark": benchmark.name, "family": benchmark.family,
        "mode": benchmark.mode, "extractor": benchmark.identity.name, "profile": benchmark.identity.profile,
        "text_encoder": benchmark.classes.encoder, "columns": {
            "audio": benchmark.dimensions.audio, "visual": benchmark.dimensions.visual,
            "text": benchmark.dimensions.text,
        },
        "fingerprints": {"temporal" if benchmark.temporal else "averaged": benchmark.fingerprint},
        "evaluated": clip_hash(test), "test_clips": len(test),
        "seen_classes": int(test.seen.sum()), "unseen_classes": int((~test.seen).sum()),
        "zsl_chance": percent(zsl_chance(test.seen)), "simulated": is_simulated(benchmark),
    }  # fmt: skip


def _fingerprints(place: Place, cells: Sequence[Record]) -> dict[str, str]:
    """Of the features that were used: averaged, temporal or both."""
    results = [cell["result"] for cell in cells if cell["data"] == place.label and cell["result"] is not None]
    used = {"temporal" if result["temporal"] else "averaged": result["fingerprint"] for result in results}
    return used or dict(place.about["fingerprints"])


def _entry(method: str, places: Sequence[Place], cells: Sequence[Record]) -> dict[str, Any]:
    """What is known of a method beside its numbers."""
    kind = METHODS.get(method)
    choices = [choice for place in places for choice in place.choices if choice.method == method]
    own = [cell for cell in cells if cell["method"] == method]
    results: list[Mapping[str, Any]] = [cell["result"] for cell in own if cell["result"] is not None]
    return {
        "method": method, "title": kind.title, "year": kind.year, "venue": kind.venue, "note": kind.note,
        "yardstick": kind.yardstick,
        "reason": next((choice.reason for choice in choices if choice.reason), ""),
        "features": _joined(choice.features for choice in choices),
        "preset": _joined(choice.preset or "none" for choice in choices),
        "parameters": max((c.parameters for c in choices if c.parameters is not None), default=None),
        # Papers have one number per benchmark, so several folders together have none.
        "published": dict(results[0]["published"]) if results and len(places) == 1 else {},
        "published_note": str(results[0]["published_note"]) if results else "",
        "warnings": list(dict.fromkeys(text for cell in own for text in cell["warnings"])),
    }  # fmt: skip


def _joined(texts: Iterable[str]) -> str:
    return ", ".join(dict.fromkeys(text for text in texts if text))
