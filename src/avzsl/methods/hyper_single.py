"""Hyper-single: AVCA whose encoders are aligned in a hyperbolic space with a curvature of each clip's own."""

from __future__ import annotations

from typing import ClassVar, final

from avzsl.methods._base import register
from avzsl.methods._hyper import AdaptiveConfig, AdaptiveNetwork
from avzsl.types import Dimensions


@register("hyper_single")
@final
class HyperSingle(AdaptiveNetwork):
    """AVCA with alignment at one curvature for each clip, predicted from its features."""

    Config = AdaptiveConfig
    title: ClassVar[str] = "Hyper-single"
    year: ClassVar[int] = 2023
    venue: ClassVar[str] = "ICCV"
    note: ClassVar[str] = "one method under three names in the last public code"
    citation: ClassVar[str] = (
        "Hong, Hayder, Han, Fang, Harandi and Petersson, Hyperbolic Audio-visual Zero-shot Learning, ICCV 2023"
    )

    def __init__(self, config: AdaptiveConfig, dimensions: Dimensions) -> None:
        super().__init__(config, dimensions, 1)
