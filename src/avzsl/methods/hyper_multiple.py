"""Hyper-multiple: AVCA whose encoders are aligned in several hyperbolic spaces at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

from avzsl.errors import SettingError
from avzsl.methods._base import register
from avzsl.methods._hyper import AdaptiveConfig, AdaptiveNetwork
from avzsl.types import Dimensions


@dataclass(frozen=True)
class HyperMultipleConfig(AdaptiveConfig):
    """Settings of Hyper-multiple.

    Attributes:
        spaces: N, number of curvatures for each clip; their alignment losses are averaged.
    """

    spaces: int = 2

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.spaces < 1:
            raise SettingError(f"spaces is {self.spaces}; it must be at least 1")


@register("hyper_multiple")
@final
class HyperMultiple(AdaptiveNetwork):
    """AVCA with alignment at several curvatures for each clip, predicted from its features."""

    Config = HyperMultipleConfig
    title: ClassVar[str] = "Hyper-multiple"
    year: ClassVar[int] = 2023
    venue: ClassVar[str] = "ICCV"
    note: ClassVar[str] = "one method under three names in the last public code"
    citation: ClassVar[str] = (
        "Hong, Hayder, Han, Fang, Harandi and Petersson, Hyperbolic Audio-visual Zero-shot Learning, ICCV 2023"
    )

    def __init__(self, config: HyperMultipleConfig, dimensions: Dimensions) -> None:
        super().__init__(config, dimensions, config.spaces)
