"""Ridge regression from averaged features to text vectors: the linear yardstick that every method should pass."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from avzsl.losses.reconstruction import reconstruction_loss
from avzsl.methods._base import EmbeddingMethod, register
from avzsl.methods._linear import (
    PENALTIES,
    balanced_recall,
    check_folds,
    check_penalty,
    class_shares,
    hidden_groups,
    penalised_solve,
    side_by_side,
    standardised,
    used_sizes,
)
from avzsl.methods._moments import Moments, Rows, blocks, everyone, folded
from avzsl.types import Batch, Clips, Dimensions


@dataclass(frozen=True)
class RidgeConfig:
    """Settings of the ridge baseline.

    Attributes:
        modality: use both modalities, side by side, or one alone.
        penalty: λ, on features of unit variance and weights of clips that sum to 1; 0 = choose it from `PENALTIES` by
            hiding groups of training classes and asking which λ names them best.
        folds: number of groups of classes for that choice.
        distance: `"cosine"` compares directions, `"euclidean"` the predicted vector itself.
        balanced: every class weighs the same, however many clips it has; off, every clip weighs the same.
    """

    modality: Literal["both", "audio", "visual"] = "both"
    penalty: float = 0.0
    folds: int = 5
    distance: Literal["cosine", "euclidean"] = "cosine"
    balanced: bool = True

    def __post_init__(self) -> None:
        check_penalty("penalty", self.penalty)
        check_folds(self.folds)


@register("ridge")
class Ridge(EmbeddingMethod):
    """Linear zero-shot baseline in closed form.

    Features are averaged over segments, standardised with training statistics, and mapped to the text vector of the
    clip's class by W = argmin Σ_n c_n ‖Wᵀ x_n - (w_{y_n} - w̄)‖² + λ ‖W‖², with w̄ the weighted mean of the targets. A
    clip is decided by its distance to the class vectors. A modality that is missing at test time counts as average: it
    contributes zero after standardisation.
    """

    Config = RidgeConfig
    title: ClassVar[str] = "Ridge"
    year: ClassVar[int] = 1970
    venue: ClassVar[str] = "Technometrics"
    citation: ClassVar[str] = (
        "Hoerl and Kennard, Ridge Regression: Biased Estimation for Nonorthogonal Problems, Technometrics 12(1), 1970"
    )
    yardstick: ClassVar[bool] = True
    config: RidgeConfig

    def __init__(self, config: RidgeConfig, dimensions: Dimensions) -> None:
        super().__init__(config, dimensions)
        self.sizes = used_sizes(dimensions, config.modality)
        width = sum(self.sizes.values())
        self.weight = nn.Parameter(torch.zeros(width, dimensions.text))
        self.offset = nn.Parameter(torch.zeros(dimensions.text))
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("scale", torch.ones(width))
        self.register_buffer("penalty", torch.tensor(config.penalty or PENALTIES[-2]))

    mean: Tensor
    scale: Tensor
    penalty: Tensor

    def solve(self, clips: Clips, labels: Tensor, classes: Tensor) -> bool:
        """Fit the map; that is all the training there is."""
        share, words = class_shares(labels, len(classes), self.config.balanced), classes.double()
        rows, mean, scale = standardised(clips, self.sizes, share)
        penalty = self.config.penalty or choose_penalty(rows, labels, words, share, self.config.folds)
        weight, offset = fit_ridge(Moments.of(rows, everyone(labels), labels, share, len(words)), words, penalty)
        with torch.no_grad():
            for target, value in zip(
                (self.weight, self.offset, self.mean, self.scale), (weight, offset, mean, scale), strict=True
            ):
                target.copy_(value)
            self.penalty.fill_(penalty)
        return True

    def loss_terms(self, batch: Batch) -> dict[str, Tensor]:
        """The same objective by gradient steps, for whoever feeds batches instead of calling `solve`."""
        error = reconstruction_loss(self._predict(batch.clips), batch.classes[batch.labels])
        decay = self.penalty * self.weight.square().sum()
        return {"loss": error + decay, "error": error, "decay": decay}

    def embed_clips(self, clips: Clips) -> Tensor:
        """Predicted text vectors [B, d_w], of length 1 for the cosine distance."""
        return self._directed(self._predict(clips))

    def embed_classes(self, classes: Tensor) -> Tensor:
        """The text vectors themselves [C, d_w]."""
        return self._directed(classes)

    def _directed(self, rows: Tensor) -> Tensor:
        # Between vectors of length 1, Euclidean distance ranks as cosine does.
        return nn.functional.normalize(rows, dim=1) if self.config.distance == "cosine" else rows

    def _predict(self, clips: Clips) -> Tensor:
        rows = (side_by_side(clips, self.sizes, self.mean) - self.mean) / self.scale
        return rows @ self.weight + self.offset


def fit_ridge(moments: Moments, targets: Tensor, penalty: float) -> tuple[Tensor, Tensor]:
    """Weighted ridge regression with an offset that is not penalised.

    Args:
        moments: of rows of weighted mean 0, with weights that sum to 1.
        targets: [K, d_w], that of each class.
        penalty: λ > 0.

    Returns:
        Weight [d, d_w] and offset [d_w].
    """
    centre = moments.weights @ targets
    return penalised_solve(moments.gram, moments.sums.T @ (targets - centre), penalty), centre


def choose_penalty(
    rows: Rows, labels: Tensor, classes: Tensor, share: Tensor, folds: int, penalties: Sequence[float] = PENALTIES
) -> float:
    """The λ that names hidden classes best: the zero-shot question, asked inside the training classes.

    Class c is hidden in fold c mod `folds`; the map is fitted on the clips of the other classes and has to name the
    hidden clips among the hidden classes. The score is the recall averaged over classes; the larger λ wins a tie.

    Args:
        rows: features.
        labels: [N] int64.
        classes: [C, d_w] float64.
        share: [N] weights of the rows.
        folds: number of groups.
        penalties: candidates.
    """
    groups = list(hidden_groups(labels, len(classes), folds))
    if not groups:
        return sorted(penalties)[-2] if len(penalties) > 1 else penalties[0]
    recall = dict.fromkeys(sorted(penalties), 0.0)
    for hidden, candidates, mean, shown in folded(rows, labels, share, groups, len(classes)):
        words = nn.functional.normalize(classes[candidates], dim=1)
        fits = [fit_ridge(shown, classes, penalty) for penalty in recall]
        maps = torch.stack([weight @ words.T for weight, _ in fits])  # [penalties, d, candidates]
        offsets = torch.stack([offset @ words.T for _, offset in fits]).unsqueeze(1)
        scores = torch.cat([(rows(some) - mean) @ maps + offsets for some in blocks(hidden)], 1)
        for penalty, values in zip(recall, scores, strict=True):
            recall[penalty] += balanced_recall(values, candidates, labels[hidden]) / len(groups)
    best = max(recall.values())
    return max(penalty for penalty, value in recall.items() if value >= best - 1e-12)
