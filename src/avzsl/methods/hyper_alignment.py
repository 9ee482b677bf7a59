"""Hyper-alignment: AVCA whose encoders are aligned in a hyperbolic space of one fixed curvature."""

from __future__ import annotations

from typing import ClassVar, final

from torch import Tensor

from avzsl.losses.cross_attention import Pair
from avzsl.methods._base import register
from avzsl.methods._hyper import HyperConfig, HyperNetwork


@register("hyper_alignment")
@final
class HyperAlignment(HyperNetwork):
    """AVCA with alignment at the curvature that the settings name, chosen for each data set."""

    Config = HyperConfig
    title: ClassVar[str] = "Hyper-alignment"
    year: ClassVar[int] = 2023
    venue: ClassVar[str] = "ICCV"
    note: ClassVar[str] = "one method under three names in the last public code"
    citation: ClassVar[str] = (
        "Hong, Hayder, Han, Fang, Harandi and Petersson, Hyperbolic Audio-visual Zero-shot Learning, ICCV 2023"
    )

    def curvatures(self, tokens: Pair) -> Tensor:
        """c₀, [1, 1]."""
        return tokens.visual.new_full((1, 1), self.config.curvature)
