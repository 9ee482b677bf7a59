"""AVCA with hyperbolic alignment, which Hyper-alignment, Hyper-single and Hyper-multiple share.

Source: the public code of Hong et al., ICCV 2023. Its versions of 2023 compare lengths in the tangent space
(`gram="norm_outer"`), the last one, of 2024, angles (`gram="cosine"`). The map into the tangent space changes lengths
only, so with angles the curvature, and all that predicts it, has no effect whatever.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from avzsl.errors import SettingError
from avzsl.losses.alignment import alignment_loss
from avzsl.losses.cross_attention import Pair
from avzsl.methods._avca import AvcaConfig, AvcaNetwork
from avzsl.nn.hyperbolic import BOUNDARY, clip_radius, to_tangent
from avzsl.nn.products import Linear
from avzsl.types import Batch, Dimensions


@dataclass(frozen=True)
class HyperConfig(AvcaConfig):
    """Settings of AVCA and of the alignment.

    Attributes:
        curvature: c₀; the ball has curvature -c₀, or one between -c₀ and 0 where it is predicted.
        gram: what makes two clips alike in a modality: `"cosine"`, the angle, as in the last public version, or
            `"norm_outer"`, the product of their lengths, as in the versions before (H1, H2).
        align_weight: of the alignment in the loss (H8).
        boundary: how far from the edge of the ball features are clipped, as a share of its radius.
    """

    curvature: float = 0.2
    gram: Literal["cosine", "norm_outer"] = "cosine"
    align_weight: float = 1e-3
    boundary: float = BOUNDARY

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.curvature < float("inf"):
            raise SettingError(f"curvature is {self.curvature}; it must be above 0 and finite")
        if self.gram not in ("cosine", "norm_outer"):
            raise SettingError(f"gram is '{self.gram}'; it is 'cosine' or 'norm_outer'")
        if not 0 <= self.align_weight < float("inf"):
            raise SettingError(f"align_weight is {self.align_weight}; it must be 0 or more, and finite")
        if not 0 < self.boundary < 1:
            raise SettingError(f"boundary is {self.boundary}; it must lie between 0 and 1")


@dataclass(frozen=True)
class AdaptiveConfig(HyperConfig):
    """Settings of a method that predicts curvatures.

    Attributes:
        train_head: train what predicts them; off, it stays as it was drawn, as in the first public version (H3). With
            `gram="cosine"` nothing could train it, and it stays so in either case (H4).
    """

    train_head: bool = True


class HyperNetwork(AvcaNetwork):
    """AVCA with one more loss: pairs of clips shall be as alike in sound as in picture, seen in hyperbolic space.

    The encoders' outputs, before attention and after dropout, are taken as points of a ball, clipped into it and mapped
    to the tangent space at its centre. Positives and negatives are aligned apart. At test time all is as in AVCA.
    """

    config: HyperConfig

    @abstractmethod
    def curvatures(self, tokens: Pair) -> Tensor:
        """Curvatures c of clips, [B, N], or [1, N] where all clips share them."""

    def loss_terms(self, batch: Batch) -> dict[str, Tensor]:
        """Losses of AVCA and the alignment; for the log the share of features that are `clipped`.

        When all features are, the lengths are the same for both modalities, and `gram="norm_outer"` has no gradient.
        """
        passes = self.training_passes(batch)
        terms = passes.losses()
        positive, clipped = self._align(passes.tokens)
        negative, negative_clipped = self._align(passes.negative_tokens)
        loss = terms["loss"] + self.config.align_weight * (positive + negative)
        log = {"alignment": positive + negative, "clipped": (clipped + negative_clipped) / 2}
        return terms | log | {"loss": loss}

    def _align(self, tokens: Pair) -> tuple[Tensor, Tensor]:
        """Alignment loss, a mean over the N curvatures, and the share of features outside the ball."""
        losses, clipped = [], []
        for curvature in torch.split(self.curvatures(tokens), 1, dim=1):
            audio, visual = (to_tangent(rows, curvature, self.config.boundary) for rows in tokens)
            losses.append(alignment_loss(visual, audio, self.config.gram))
            radius = clip_radius(curvature.detach(), self.config.boundary)
            clipped += [torch.linalg.vector_norm(rows.detach(), dim=1, keepdim=True) > radius for rows in tokens]
        return torch.stack(losses).mean(), torch.cat(clipped).to(losses[0].dtype).mean()


class AdaptiveNetwork(HyperNetwork):
    """Curvatures predicted from a clip's own features: c₀ · sigmoid(W [φ_v; φ_a] + b).

    Audio and picture of a clip share them.
    """

    config: AdaptiveConfig

    def __init__(self, config: AdaptiveConfig, dimensions: Dimensions, curvatures: int) -> None:
        super().__init__(config, dimensions)
        self.head = Linear(2 * config.token, curvatures)
        # Adam would still shrink weights without a gradient, by their decay alone.
        self.head.requires_grad_(config.train_head and config.gram == "norm_outer")

    def curvatures(self, tokens: Pair) -> Tensor:
        """[B, N], between 0 and c₀."""
        logits: Tensor = self.head(torch.cat([tokens.visual, tokens.audio], 1))
        return self.config.curvature * torch.sigmoid(logits)
