"""Beyond the paper: is a class recognised the better the nearer its name lies to a class that was trained on?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from avzsl.evaluation.correlation import LEAST, correlate
from avzsl.evaluation.statistics import join, recalls
from avzsl.experiments.evidence import read_evidence
from avzsl.experiments.reproduce.context import SUBJECT, Context, Place, Training
from avzsl.experiments.reproduce.items import ITEMS, Found
from avzsl.experiments.reproduce.panels import heading
from avzsl.experiments.reproduce.published import published
from avzsl.experiments.reproduce.space import about


@dataclass(frozen=True)
class NameStudy:
    """Recall per class against the similarity of its text vector to the nearest other seen class."""

    name: str = "names"

    def trainings(self, context: Context) -> Sequence[Training]:
        """All seeds."""
        return [t for place in context.places(published(self.name)) for t in context.trainings(place, SUBJECT)]

    def collect(self, context: Context, found: Found) -> dict[str, Any]:
        """A point for each class, means over seeds, and the rank correlations."""
        item = published(self.name)
        panels = [self._panel(context, found, place) for place in context.places(item)]
        return {"kind": "names", "panels": panels} | heading(item, context)

    def _panel(self, context: Context, found: Found, place: Place) -> dict[str, Any]:
        trainings = context.trainings(place, SUBJECT)
        done = [t for t in trainings if found.result(t) is not None]
        reason = next((found.reason(t) for t in trainings if found.result(t) is None), "")
        panel = about(place, found) | {"method": SUBJECT, "reason": reason, "seeds_done": [t.seed for t in done]}
        if not done:
            return panel
        runs = [read_evidence(context.run_folder(t)) for t in done]
        # Decisions stand in the order of the names; so must everything else.
        every, alone = (values.mean(0) for values in recalls(join([run.decisions() for run in runs])))
        test = place.benchmark.evaluation(2)
        names = sorted(runs[0].class_names)
        columns = [test.class_names.index(name) for name in names]
        similarity, neighbour = nearest_seen(test.classes[columns], test.seen[columns])
        classes = [
            {
                "name": name, "seen": bool(test.seen[column]), "similarity": round(float(similarity[i]), 6),
                "nearest": names[int(neighbour[i])], "recall": _number(every[i]), "zsl_recall": _number(alone[i]),
            }
            for i, (name, column) in enumerate(zip(names, columns, strict=True))
        ]  # fmt: skip
        return panel | {
            "classes": classes,
            "correlations": correlations_of(classes),
            "encoder": place.about["text_encoder"],
        }


def nearest_seen(vectors: Tensor, seen: Tensor) -> tuple[Tensor, Tensor]:
    """Cosine similarity of each class to the nearest other seen class [C], and that class's place [C].

    Args:
        vectors: [C, d_w].
        seen: [C] bool, at least two of them True.
    """
    units = torch.nn.functional.normalize(vectors.double(), dim=1)
    cosine = (units @ units.T).masked_fill(~seen, -torch.inf).fill_diagonal_(-torch.inf)
    best = cosine.max(dim=1)
    return best.values, best.indices


def correlations_of(classes: Sequence[dict[str, Any]], seed: int = 0) -> dict[str, Any]:
    """Rank correlation of similarity and recall: unseen classes among all and among unseen ones, seen classes."""
    found: dict[str, Any] = {}
    for key, seen, score in (("unseen", False, "recall"), ("zsl", False, "zsl_recall"), ("seen", True, "recall")):
        own = [c for c in classes if c["seen"] == seen and c[score] is not None]
        if len(own) < LEAST:
            continue
        told = correlate(
            np.array([c["similarity"] for c in own]), np.array([c[score] for c in own]), np.random.default_rng(seed)
        )
        interval = told.interval
        found[key] = {
            "value": round(interval.value, 4), "low": round(interval.low, 4), "high": round(interval.high, 4),
            "p_value": round(told.p_value, 6), "classes": told.pairs,
        }  # fmt: skip
    return found


def _number(value: float) -> float | None:
    return None if np.isnan(value) else round(100 * float(value), 4)


ITEMS.register("names")(NameStudy())
