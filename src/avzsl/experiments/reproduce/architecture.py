"""The drawing of the model, read from the model that is built for the data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch

from avzsl.data.family import PUBLISHED_SIZES
from avzsl.experiments.choice import assignments_of
from avzsl.experiments.reproduce.context import SUBJECT, Context, Training
from avzsl.experiments.reproduce.items import ITEMS, Found
from avzsl.experiments.reproduce.panels import heading
from avzsl.experiments.reproduce.published import published
from avzsl.experiments.settings import Settings, assemble
from avzsl.methods._architecture import read_architecture
from avzsl.methods._base import METHODS
from avzsl.types import Dimensions

# Sizes without data: the benchmark of Table X, with word2vec.
PRESET, TEXT = "vggsound", 300


@dataclass(frozen=True)
class ArchitectureItem:
    """Boxes and arrows with sizes, parameters and operations."""

    name: str = "architecture"

    def trainings(self, context: Context) -> Sequence[Training]:
        """None: weights do not matter."""
        return ()

    def collect(self, context: Context, found: Found) -> dict[str, Any]:
        """One drawing in the sizes of the paper's features, and one for each data folder with others."""
        item, request = published(self.name), context.request
        settings = assemble(
            SUBJECT, preset=request.preset or PRESET, assignments=assignments_of(SUBJECT, request.assignments)
        )
        audio, visual = PUBLISHED_SIZES["main"]
        panels = [draw(settings, Dimensions(audio, visual, TEXT), f"sizes of {PRESET}")]
        for place in context.places(item) if request.data else ():
            training = context.trainings(place, SUBJECT)[0]
            choice = context.choice(training)
            if not choice.reason:
                own = assemble(SUBJECT, preset=choice.preset, assignments=choice.assignments, options=choice.options)
                panels.append(draw(own, place.benchmark.dimensions, place.label))
        return {"kind": "architecture", "panels": panels} | heading(item, context)


def draw(settings: Settings, dimensions: Dimensions, label: str) -> dict[str, Any]:
    """The record of one model."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        method = METHODS.get(settings.method)(settings.config, dimensions)
        found = read_architecture(method)
    sizes = {"audio": dimensions.audio, "visual": dimensions.visual, "text": dimensions.text}
    return asdict(found) | {
        "label": label, "inputs": ", ".join(f"{size} {name}" for name, size in sizes.items() if size) + " columns",
        "settings": asdict(settings.config),
    }  # fmt: skip


ITEMS.register("architecture")(ArchitectureItem())
