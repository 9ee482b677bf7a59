"""ESZSL, an embarrassingly simple approach to zero-shot learning: a bilinear score with a closed form."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from avzsl.methods._base import Method, register
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
class EszslConfig:
    """Settings of ESZSL.

    Attributes:
        modality: use both modalities, side by side, or one alone.
        feature_penalty: γ, on features of unit variance and weights of clips that sum to 1; 0 = choose it from
            `PENALTIES` by hiding groups of training classes and asking which γ and λ name them best.
        text_penalty: λ, on text vectors with weights of classes that sum to 1; 0 = choose it.
        folds: number of groups of classes for that choice.
        balanced: every class weighs the same, however many clips it has; off, every clip weighs the same.
    """

    modality: Literal["both", "audio", "visual"] = "both"
    feature_penalty: float = 0.0
    text_penalty: float = 0.0
    folds: int = 5
    balanced: bool = True

    def __post_init__(self) -> None:
        check_penalty("feature_penalty", self.feature_penalty)
        check_penalty("text_penalty", self.text_penalty)
        check_folds(self.folds)


@register("eszsl")
class Eszsl(Method):
    """ESZSL (Romera-Paredes and Torr, ICML 2015) on clips with sound.

        L(V) = Σ_n c_n Σ_k b_k (x_nᵀ V s_k - y_nk)² + γ Σ_k b_k ‖V s_k‖² + λ Σ_n c_n ‖Vᵀ x_n‖² + γ λ ‖V‖²

    with y_nk = 1 for the class of clip n and -1 for the others, and s_k the text vectors of the training classes. A
    clip is decided by xᵀ V s. Features are averaged over segments and standardised with training statistics, as for
    ridge regression. Our reading: weights c of clips and b of classes sum to 1, where the paper has 1 each, so that a
    penalty means the same for few clips and many. A modality that is missing at test time counts as average.
    """

    Config = EszslConfig
    title: ClassVar[str] = "ESZSL"
    year: ClassVar[int] = 2015
    venue: ClassVar[str] = "ICML"
    citation: ClassVar[str] = (
        "Romera-Paredes and Torr, An Embarrassingly Simple Approach to Zero-Shot Learning, ICML 2015"
    )
    yardstick: ClassVar[bool] = True
    config: EszslConfig

    def __init__(self, config: EszslConfig, dimensions: Dimensions) -> None:
        super().__init__(config, dimensions)
        self.sizes = used_sizes(dimensions, config.modality)
        width = sum(self.sizes.values())
        self.weight = nn.Parameter(torch.zeros(width, dimensions.text))
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("scale", torch.ones(width))
        self.register_buffer("feature_penalty", torch.tensor(config.feature_penalty or PENALTIES[-2]))
        self.register_buffer("text_penalty", torch.tensor(config.text_penalty or PENALTIES[-2]))

    mean: Tensor
    scale: Tensor
    feature_penalty: Tensor
    text_penalty: Tensor

    def solve(self, clips: Clips, labels: Tensor, classes: Tensor) -> bool:
        """Fit the map; that is all the training there is."""
        share, words = class_shares(labels, len(classes), self.config.balanced), classes.double()
        rows, mean, scale = standardised(clips, self.sizes, share)
        features, text = self.config.feature_penalty, self.config.text_penalty
        if not (features and text):
            grid = (features,) if features else PENALTIES, (text,) if text else PENALTIES
            features, text = choose_penalties(rows, labels, words, share, self.config.folds, grid)
        with torch.no_grad():
            moments = Moments.of(rows, everyone(labels), labels, share, len(words))
            self.weight.copy_(fit_eszsl(moments, words, features, text))
            self.mean.copy_(mean)
            self.scale.copy_(scale)
            self.feature_penalty.fill_(features)
            self.text_penalty.fill_(text)
        return True

    def fit_step(self, batch: Batch) -> dict[str, Tensor]:
        """The same objective by gradient steps, for whoever feeds batches instead of calling `solve`."""
        projected, words = self._project(batch.clips), batch.classes
        wanted = 2.0 * nn.functional.one_hot(batch.labels, len(words)) - 1
        error = (projected @ words.T - wanted).square().mean()
        of_features = (self.weight @ words.T).square().sum(0).mean()
        of_text = projected.square().sum(1).mean()
        decay = self.feature_penalty * of_features + self.text_penalty * of_text
        decay = decay + self.feature_penalty * self.text_penalty * self.weight.square().sum()
        return {"loss": error + decay, "error": error, "decay": decay}

    def class_scores(self, clips: Clips, classes: Tensor) -> Tensor:
        """xᵀ V s, [B, C]."""
        return self._project(clips) @ classes.T

    def _project(self, clips: Clips) -> Tensor:
        """Vᵀ x, [B, d_w]."""
        return (side_by_side(clips, self.sizes, self.mean) - self.mean) / self.scale @ self.weight


def fit_eszsl(moments: Moments, classes: Tensor, feature_penalty: float, text_penalty: float) -> Tensor:
    """V = (X C Xᵀ + γ I)⁻¹ X C Y B Sᵀ (S B Sᵀ + λ I)⁻¹, with diagonal C and B of the weights of clips and classes.

    Args:
        moments: of the rows of Xᵀ, with weights that sum to 1.
        classes: Sᵀ, [K, d_w] float64; every class weighs 1 / K.
        feature_penalty: γ > 0.
        text_penalty: λ > 0.

    Returns:
        [d, d_w].
    """
    gram, cross, text = _products(moments, classes)
    # The second inverse stands on the right: transposed, it is solved for like the first.
    return penalised_solve(text, penalised_solve(gram, cross, feature_penalty).T, text_penalty).T


def choose_penalties(
    rows: Rows,
    labels: Tensor,
    classes: Tensor,
    share: Tensor,
    folds: int,
    grid: tuple[Sequence[float], Sequence[float]] = (PENALTIES, PENALTIES),
) -> tuple[float, float]:
    """The γ and λ that name hidden classes best: the zero-shot question, asked inside the training classes.

    The map is fitted on the clips and the text vectors of the other classes. The score is the recall averaged over
    classes; the larger γ wins a tie, then the larger λ. With too few classes to hide any, the largest but one of each.

    Args:
        rows: features.
        labels: [N] int64.
        classes: [C, d_w] float64.
        share: [N] weights of the rows.
        folds: number of groups of classes.
        grid: candidates for γ and for λ.
    """
    groups = list(hidden_groups(labels, len(classes), folds))
    if not groups:
        first, second = (sorted(values)[-2:][0] for values in grid)
        return first, second
    recall = {(features, text): 0.0 for features in grid[0] for text in grid[1]}
    for hidden, candidates, mean, moments in folded(rows, labels, share, groups, len(classes)):
        shown = torch.ones(len(classes), dtype=torch.bool, device=labels.device).index_fill(0, candidates, False)
        gram, cross, of_text = _products(moments.only(shown), classes[shown])
        maps = torch.stack([penalised_solve(gram, cross, features) for features in grid[0]])  # [γ, d, d_w]
        found = torch.cat([(rows(some) - mean) @ maps for some in blocks(hidden)], 1)
        for features, projected in zip(grid[0], found, strict=True):
            for text in grid[1]:
                scores = projected @ penalised_solve(of_text, classes[candidates].T, text)
                recall[features, text] += balanced_recall(scores, candidates, labels[hidden]) / len(groups)
    best = max(recall.values())
    return max(pair for pair, value in recall.items() if value >= best - 1e-12)


def _products(moments: Moments, classes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """X C Xᵀ, X C Y B Sᵀ and S B Sᵀ, without ever making Y: it is -1 everywhere and 2 more at the true class."""
    cross = 2 * moments.sums.T @ classes - torch.outer(moments.sums.sum(0), classes.sum(0))
    return moments.gram, cross / len(classes), classes.T @ classes / len(classes)
