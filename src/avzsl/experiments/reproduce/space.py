"""Fig. 4: where clips of chosen classes lie, before the model and behind it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from avzsl.data.tables import EvaluationSet
from avzsl.experiments.evidence import Evidence, read_evidence
from avzsl.experiments.reproduce.chosen import Chosen, choose_family
from avzsl.experiments.reproduce.context import SUBJECT, Context, Place, Training
from avzsl.experiments.reproduce.items import ITEMS, Found
from avzsl.experiments.reproduce.panels import facts, heading
from avzsl.experiments.reproduce.published import benchmark_title, published
from avzsl.files import write_tensors

MOST_CLIPS = 60
"""Clips shown of one class, the first ones by name."""


@dataclass(frozen=True)
class Figure4:
    """t-SNE of the inputs and of the embeddings."""

    name: str = "fig4"

    def trainings(self, context: Context) -> Sequence[Training]:
        """The first seed: a map cannot be averaged."""
        return [context.trainings(place, SUBJECT)[0] for place in context.places(published(self.name))]

    def collect(self, context: Context, found: Found) -> dict[str, Any]:
        """Write the vectors beside the record, and say whose they are."""
        item = published(self.name)
        panels = [self._panel(context, found, place) for place in context.places(item)]
        return {"kind": "space", "panels": panels} | heading(item, context)

    def _panel(self, context: Context, found: Found, place: Place) -> dict[str, Any]:
        (training,) = context.trainings(place, SUBJECT)[:1]
        panel = about(place, found) | {"method": SUBJECT, "seed": training.seed, "reason": found.reason(training)}
        if found.result(training) is None:
            return panel
        evidence = read_evidence(context.run_folder(training))
        if evidence.embeddings is None or evidence.class_embeddings is None:
            return panel | {"reason": "the method has no space that clips and classes share"}
        test = place.benchmark.evaluation(2)
        chosen = choose_family(evidence.class_names, evidence.seen.tolist())
        tensors, clips = vectors_of(evidence, test, chosen)
        file = f"{place.label}.safetensors"
        write_tensors(context.folder / self.name / file, tensors)
        return panel | {
            "vectors": file, "clips": clips,
            "classes": [
                {"name": one.name, "parent": one.parent, "seen": bool(evidence.seen[one.column])} for one in chosen
            ],
        }  # fmt: skip


def about(place: Place, found: Found) -> dict[str, Any]:
    """What every panel of a figure begins with."""
    return {
        "label": place.label, "paper": benchmark_title(place.paper), "facts": facts(place, found),
        "comparable": not place.reasons, "reasons": list(place.reasons), "reason": "",
    }  # fmt: skip


def vectors_of(
    evidence: Evidence, test: EvaluationSet, chosen: Sequence[Chosen]
) -> tuple[dict[str, Tensor], list[str]]:
    """Input features (averaged over segments), embeddings and labels of the clips of chosen classes, and their names.

    Args:
        evidence: of a run.
        test: the clips that it was judged on, in any order.
        chosen: classes; labels are places in this list.
    """
    assert evidence.embeddings is not None and evidence.class_embeddings is not None
    place = {name: row for row, name in enumerate(test.clip_names)}
    rows, labels = [], []
    for number, one in enumerate(chosen):
        own = torch.nonzero(evidence.labels == one.column).flatten().tolist()
        own = sorted((r for r in own if evidence.clip_names[r] in place), key=lambda r: evidence.clip_names[r])
        rows += own[:MOST_CLIPS]
        labels += [number] * len(own[:MOST_CLIPS])
    names = [evidence.clip_names[row] for row in rows]
    clips = test.features.clips(torch.tensor([place[name] for name in names], dtype=torch.long))
    tensors = {
        "labels": torch.tensor(labels),
        "embeddings": evidence.embeddings[rows],
        "stars": evidence.class_embeddings[[one.column for one in chosen]],
    }
    for name in ("audio", "visual"):
        values, mask = getattr(clips, name), getattr(clips, f"{name}_mask")
        if values is not None:
            share = torch.ones(values.shape[:2]) if mask is None else mask.float()
            tensors[name] = (values * share.unsqueeze(2)).sum(1) / share.sum(1, keepdim=True).clamp(min=1)
    return tensors, names


ITEMS.register("fig4")(Figure4())
