"""APN, attribute prototype network: regress the text vector of the class and classify by what was regressed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from avzsl.config import quirk
from avzsl.methods._base import Method, register
from avzsl.methods._compatibility import compatibility, picture_then_sound
from avzsl.methods._inputs import both_sizes
from avzsl.nn.products import linear
from avzsl.types import Batch, Clips, Dimensions

# Weights start uniform between 0 and this (public code).
_START = 2e-4


@dataclass(frozen=True)
class ApnConfig:
    """Settings of APN.

    Attributes:
        normalise: bring picture and sound, side by side, to length 1 together.
        euclidean_decision: Q1, decide by distance to the text vectors although training ranks by dot product.
        double_softmax: Q9, cross-entropy of probabilities, so that softmax is taken twice.
        local_branch: Q10, train prototypes too, although no decision ever looks at them.
    """

    normalise: bool = False
    euclidean_decision: bool = quirk("Q1", clean=False, reference=True)
    double_softmax: bool = quirk("Q9", clean=False, reference=True)
    local_branch: bool = quirk("Q10", clean=False, reference=True)


@register("apn")
class Apn(Method):
    """Attribute prototype network (Xu et al., NeurIPS 2020) on clips with sound.

        x = [visual; audio], g = A x, o_k = g · t_k, L = CE(o, y) + MSE(g, t_y)

    The text vector stands for the attributes. Our reading of what the method is without pictures' positions: prototypes
    are compared with every position of a feature map to find where an attribute shows; a clip's averaged features have
    one position, so a prototype is one more linear map. In the public code of Mercea et al., CVPR 2022, it shares
    nothing with A and decides nothing, so it is left out here (Q10). The terms that decorrelate groups of attributes
    and keep attention maps compact have no counterpart (Q11).
    """

    Config = ApnConfig
    title: ClassVar[str] = "APN"
    year: ClassVar[int] = 2020
    venue: ClassVar[str] = "NeurIPS"
    citation: ClassVar[str] = (
        "Xu, Xian, Wang, Schiele and Akata, Attribute Prototype Network for Zero-Shot Learning, NeurIPS 2020"
    )
    note: ClassVar[str] = "without attention maps"
    falling: ClassVar[str] = "wrong"  # under Q9 the loss has a floor not far below its start
    config: ApnConfig

    def __init__(self, config: ApnConfig, dimensions: Dimensions) -> None:
        super().__init__(config, dimensions)
        shape = dimensions.text, sum(both_sizes(dimensions, self.title))
        if config.local_branch:
            self.prototypes = nn.Parameter(_START * torch.rand(shape))
        self.map = nn.Parameter(_START * torch.rand(shape))

    def fit_step(self, batch: Batch) -> dict[str, Tensor]:
        """Both losses of the map, those of the prototypes, and for the log the share of clips that are named wrong."""
        rows = picture_then_sound(batch.clips, self.dimensions, self.config.normalise)
        regressed = linear(rows, self.map)
        logits = regressed @ batch.classes.T
        terms = self._terms(regressed, logits, batch)
        if self.config.local_branch:
            local = linear(rows, self.prototypes)
            found = self._terms(local, local @ batch.classes.T, batch)
            terms |= {f"local_{name}": value for name, value in found.items()}
        wrong = (logits.argmax(1) != batch.labels).float().mean()
        return {"loss": torch.stack(list(terms.values())).sum()} | terms | {"wrong": wrong}

    def _terms(self, regressed: Tensor, logits: Tensor, batch: Batch) -> dict[str, Tensor]:
        """Both losses of regressed text vectors [B, d_w] and their scores [B, C]."""
        if self.config.double_softmax:
            logits = logits.softmax(1)
        return {
            "classes": nn.functional.cross_entropy(logits, batch.labels),
            "regression": nn.functional.mse_loss(regressed, batch.classes[batch.labels]),
        }

    def class_scores(self, clips: Clips, classes: Tensor) -> Tensor:
        """Scores [B, C] of the regressed text vectors."""
        rows = picture_then_sound(clips, self.dimensions, self.config.normalise)
        return compatibility(linear(rows, self.map), classes, self.config.euclidean_decision)
