"""A method of your own in forty lines: clips and class names on one sphere, learnt as a classifier is.

avzsl --use examples/own_method.py train sphere --data data/World --out runs/sphere --set epochs=10 --set batches=80
"""

from dataclasses import dataclass

import torch
from torch import nn

from avzsl.methods import EmbeddingMethod, both_averaged, register
from avzsl.types import Batch, Clips, Dimensions


@dataclass(frozen=True)
class SphereConfig:
    """Settings; each is one `--set` away."""

    temperature: float = 0.05
    dropout: float = 0.1


@register("sphere")
class Sphere(EmbeddingMethod):
    """One linear map from sound and picture to the sphere of text vectors; softmax over the training classes."""

    Config = SphereConfig
    title, year, venue, citation = "Sphere", 2026, "example", "The example of avzsl for a method of your own."

    def __init__(self, config: SphereConfig, dimensions: Dimensions) -> None:
        super().__init__(config, dimensions)
        width = (dimensions.audio or 0) + (dimensions.visual or 0)
        layers = nn.BatchNorm1d(width), nn.Dropout(config.dropout), nn.Linear(width, dimensions.text)
        self.encode = nn.Sequential(*layers)

    def embed_clips(self, clips: Clips) -> torch.Tensor:
        """Where clips lie, [B, d_w]; a clip is decided by the nearest class."""
        rows = torch.cat(both_averaged(clips, self.dimensions), dim=1)  # [B, d_a + d_v]
        return nn.functional.normalize(self.encode(rows), dim=1)

    def embed_classes(self, classes: torch.Tensor) -> torch.Tensor:
        """Where class names lie, [C, d_w]."""
        return nn.functional.normalize(classes, dim=1)

    def loss_terms(self, batch: Batch) -> dict[str, torch.Tensor]:
        """The loss of B clips against all C training classes."""
        cosine = self.embed_clips(batch.clips) @ self.embed_classes(batch.classes).T  # [B, C]
        return {"loss": nn.functional.cross_entropy(cosine / self.config.temperature, batch.labels)}
