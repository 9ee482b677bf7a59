"""What SJE, DeViSE and ALE share: one linear map from a clip to text space, taught to rank classes by dot product.

Source: the public code of Mercea et al., CVPR 2022, which brings the three image methods to clips with sound. They
differ in the ranking loss alone. APN takes its input and its decision from here.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from avzsl.config import quirk
from avzsl.decision import embedding_scores
from avzsl.errors import SettingError
from avzsl.methods._base import Method
from avzsl.methods._inputs import both_averaged, both_sizes
from avzsl.nn.dropout import dropout
from avzsl.nn.products import Linear
from avzsl.types import Batch, Clips, Dimensions


@dataclass(frozen=True)
class CompatibilityConfig:
    """Settings of SJE, DeViSE and ALE.

    Attributes:
        normalise: bring picture and sound, side by side, to length 1 together.
        dropout: rate on them.
        margin: m, the lead that the true class should have.
        euclidean_decision: Q1, decide by distance to the text vectors although training ranks by dot product.
        text_dropout: Q8, the same dropout on the text vectors of the training classes, one mask for the whole batch.
    """

    normalise: bool = False
    dropout: float = 0.2
    margin: float = 0.1
    euclidean_decision: bool = quirk("Q1", clean=False, reference=True)
    text_dropout: bool = quirk("Q8", clean=False, reference=True)

    def __post_init__(self) -> None:
        if not 0 <= self.dropout < 1:
            raise SettingError(f"dropout is {self.dropout}; it must lie in [0, 1)")
        if not 0 <= self.margin < float("inf"):
            raise SettingError(f"margin is {self.margin}; it must be 0 or more, and finite")


class CompatibilityMethod(Method):
    """p = W x and s_k = p · t_k, for x = [visual; audio], with a ranking loss on s.

    The text vectors of classes that are not trained on never enter the loss.
    """

    Config = CompatibilityConfig
    config: CompatibilityConfig

    def __init__(self, config: CompatibilityConfig, dimensions: Dimensions) -> None:
        super().__init__(config, dimensions)
        self.map = Linear(sum(both_sizes(dimensions, self.title)), dimensions.text, bias=False)

    @abstractmethod
    def ranking_loss(self, scores: Tensor, labels: Tensor) -> Tensor:
        """The loss of scores [B, C] for the true columns [B]."""

    def fit_step(self, batch: Batch) -> dict[str, Tensor]:
        return {"loss": self.ranking_loss(self.training_scores(batch.clips, batch.classes), batch.labels)}

    def training_scores(self, clips: Clips, classes: Tensor) -> Tensor:
        """Scores s [B, C] that the loss sees, with dropout in training mode."""
        # The order of the two draws is that of the public code.
        projected = self.project(clips)
        if self.config.text_dropout:
            classes = dropout(classes, self.config.dropout, self.training)
        return projected @ classes.T

    def project(self, clips: Clips) -> Tensor:
        """p, [B, d_w]."""
        rows = picture_then_sound(clips, self.dimensions, self.config.normalise)
        projected: Tensor = self.map(dropout(rows, self.config.dropout, self.training))
        return projected

    def class_scores(self, clips: Clips, classes: Tensor) -> Tensor:
        return compatibility(self.project(clips), classes, self.config.euclidean_decision)


def picture_then_sound(clips: Clips, dimensions: Dimensions, normalise: bool) -> Tensor:
    """Averaged visual and audio features side by side in this order, [B, d_v + d_a].

    Args:
        clips: B clips with both modalities.
        dimensions: sizes that the method was built for.
        normalise: divide by the length of the whole row, so the modality with larger numbers keeps the larger share.

    Raises:
        ModelError: a modality is missing or of another size.
    """
    audio, visual = both_averaged(clips, dimensions)
    rows = torch.cat([visual, audio], 1)
    return nn.functional.normalize(rows, dim=1) if normalise else rows


def compatibility(projected: Tensor, classes: Tensor, euclidean: bool) -> Tensor:
    """Scores [B, C] of projected clips [B, d_w] against text vectors [C, d_w].

    Args:
        projected: p.
        classes: t.
        euclidean: -‖p - t_k‖ instead of p · t_k. Between text vectors of length 1 both name the same class; they differ
            once a bias is taken off some of them, because distances differ by 2 at most, however long p is (Q1).
    """
    return embedding_scores(projected, classes) if euclidean else projected @ classes.T
