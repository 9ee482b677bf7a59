"""Fig. 5: a class name as a query, the test videos nearest to it, two methods side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from avzsl.experiments.evidence import Evidence, read_evidence
from avzsl.experiments.reproduce.chosen import choose_queries
from avzsl.experiments.reproduce.context import SUBJECT, Context, Place, Training
from avzsl.experiments.reproduce.items import ITEMS, Found
from avzsl.experiments.reproduce.panels import heading
from avzsl.experiments.reproduce.published import published
from avzsl.experiments.reproduce.space import about
from avzsl.experiments.thumbnails import still
from avzsl.files import atomic_path
from avzsl.methods._base import METHODS

# The figure compares with the method of its Table X.
RIVAL = "mdft"
SHOWN = 5


@dataclass(frozen=True)
class Figure5:
    """Videos found for class names, of the paper's method and of the one that the figure shows beside it."""

    name: str = "fig5"
    methods: tuple[str, ...] = (RIVAL, SUBJECT)

    def trainings(self, context: Context) -> Sequence[Training]:
        """The first seed of each."""
        places = context.places(published(self.name))
        return [context.trainings(place, method)[0] for place in places for method in self.methods]

    def collect(self, context: Context, found: Found) -> dict[str, Any]:
        """Rank the clips of every query; thumbnails are written beside the record."""
        item = published(self.name)
        panels = [self._panel(context, found, place) for place in context.places(item)]
        return {"kind": "retrieval", "panels": panels} | heading(item, context)

    def _panel(self, context: Context, found: Found, place: Place) -> dict[str, Any]:
        trainings = {method: context.trainings(place, method)[0] for method in self.methods}
        reasons = [f"{m}: {found.reason(t)}" for m, t in trainings.items() if found.result(t) is None]
        panel = about(place, found) | {"seed": context.seeds[0], "reason": "; ".join(reasons)}
        sides = {m: read_evidence(context.run_folder(t)) for m, t in trainings.items() if found.result(t) is not None}
        if not sides:
            return panel
        first = next(iter(sides.values()))
        columns = choose_queries(first.class_names, first.seen.tolist())
        queries: list[dict[str, Any]] = [
            {
                "name": first.class_names[column], "seen": bool(first.seen[column]),
                "clips": int((first.labels == column).sum()),
                "found": {m: nearest(e, e.class_names.index(first.class_names[column])) for m, e in sides.items()},
            }
            for column in columns
        ]  # fmt: skip
        shown = {entry["clip"] for query in queries for own in query["found"].values() for entry in own}
        return panel | {
            "methods": {m: METHODS.get(m).title for m in sides}, "queries": queries, "shown": SHOWN,
            "precision": {m: mean_precision(e) for m, e in sides.items()},
            "thumbnails": self._thumbnails(context, place, sorted(shown)),
        }  # fmt: skip

    def _thumbnails(self, context: Context, place: Place, clips: Sequence[str]) -> dict[str, str]:
        """Clip to the file name of its picture, for those that have one."""
        frames_of = context.request.frames_of
        if frames_of is None:
            return {}
        files = {}
        for number, clip in enumerate(clips):
            frames = frames_of(clip)
            picture = None if frames is None else still(frames)
            if picture is not None:
                files[clip] = f"{place.label}-{number:02d}.jpg"
                with atomic_path(context.folder / self.name / files[clip]) as temporary:
                    temporary.write_bytes(picture)
        return files


def nearest(evidence: Evidence, column: int, most: int = SHOWN) -> list[dict[str, Any]]:
    """The test clips that score highest for a class, best first; of equals, the first in the order of names.

    The bias is the same for every clip of a query and changes nothing.
    """
    scores = evidence.scores[:, column].double().tolist()
    order = sorted(range(len(scores)), key=lambda row: (-scores[row], evidence.clip_names[row]))
    return [
        {
            "clip": evidence.clip_names[row], "class": evidence.class_names[int(evidence.labels[row])],
            "right": int(evidence.labels[row]) == column, "score": round(scores[row], 6),
        }
        for row in order[:most]
    ]  # fmt: skip


def mean_precision(evidence: Evidence, most: int = SHOWN) -> Mapping[str, float | None]:
    """Share of right clips among the first ones, in percent, mean over seen and over unseen classes with clips.

    A class with fewer clips than are shown can have all of its own first: the share is of what can be right.
    """
    counts = torch.bincount(evidence.labels, minlength=len(evidence.class_names))
    found: dict[str, list[float]] = {"seen": [], "unseen": []}
    for column in torch.nonzero(counts).flatten().tolist():
        right = sum(entry["right"] for entry in nearest(evidence, column, most))
        part = "seen" if evidence.seen[column] else "unseen"
        found[part].append(right / min(most, int(counts[column])))
    return {part: round(100 * sum(v) / len(v), 4) if v else None for part, v in found.items()}


ITEMS.register("fig5")(Figure5())
