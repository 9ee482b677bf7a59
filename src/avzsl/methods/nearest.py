"""Nearest class: compare features with text vectors as they are, where both share a space."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from avzsl.errors import SettingError
from avzsl.methods._base import Method, register
from avzsl.methods._inputs import given_averages
from avzsl.types import Batch, Clips, Dimensions


@dataclass(frozen=True)
class NearestConfig:
    """Settings of the nearest-class baseline.

    Attributes:
        modality: which features to compare; `"auto"` takes each modality whose vectors are as long as a text vector.
    """

    modality: Literal["auto", "both", "audio", "visual"] = "auto"


@register("nearest")
class Nearest(Method):
    """Cosine similarity of a clip's averaged features with the text vector of a class; nothing is trained.

    This makes sense for features and text vectors of encoders that were trained together. Vectors of one length are all
    that can be checked: whether they lie in one space, the user has to know. With both modalities the two similarities
    are averaged, and over the one that is there where the other is missing.
    """

    Config = NearestConfig
    title: ClassVar[str] = "Nearest class"
    year: ClassVar[int] = 2021
    venue: ClassVar[str] = "ICML"
    citation: ClassVar[str] = (
        "Radford et al., Learning Transferable Visual Models From Natural Language Supervision, ICML 2021"
    )
    note: ClassVar[str] = "for features in the space of the texts"
    yardstick: ClassVar[bool] = True
    checked_with: ClassVar[Dimensions | None] = Dimensions(12, 12, 12)
    config: NearestConfig

    def __init__(self, config: NearestConfig, dimensions: Dimensions) -> None:
        super().__init__(config, dimensions)
        sizes = {"audio": dimensions.audio, "visual": dimensions.visual}
        fitting = tuple(name for name, size in sizes.items() if size == dimensions.text)
        wanted = {"auto": fitting, "both": tuple(sizes)}.get(config.modality, (config.modality,))
        if not wanted or set(wanted) - set(fitting):
            found = ", ".join(f"{size or 'no'} columns of {name}" for name, size in sizes.items())
            raise SettingError(
                "the nearest class needs features and text vectors of one length, but there are"
                f" {found} and {dimensions.text} of text (modality is '{config.modality}'); ridge learns a map instead"
            )
        self.sizes = dict.fromkeys(wanted, dimensions.text)

    def solve(self, clips: Clips, labels: Tensor, classes: Tensor) -> bool:
        """There is nothing to fit."""
        return True

    def fit_step(self, batch: Batch) -> dict[str, Tensor]:
        """How far clips are from their own class, for the log; no weight follows from it."""
        scores = self.class_scores(batch.clips, batch.classes)
        return {"loss": 1 - scores.gather(1, batch.labels.unsqueeze(1)).mean()}

    def class_scores(self, clips: Clips, classes: Tensor) -> Tensor:
        """Cosines [B, C], averaged over the modalities that are there."""
        return self.mode_scores(clips, classes)["both"]

    def mode_scores(self, clips: Clips, classes: Tensor) -> dict[str, Tensor]:
        """The average under `"both"`, and each modality by itself."""
        texts = nn.functional.normalize(classes, dim=1)
        given = given_averages(clips, self.sizes)
        single = {name: nn.functional.normalize(rows, dim=1) @ texts.T for name, rows in given.items()}
        return {"both": torch.stack(list(single.values())).mean(0)} | single
