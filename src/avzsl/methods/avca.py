"""AVCA, audio-visual cross-attention: two tokens look at each other before they meet the text in a joint space."""

from __future__ import annotations

from typing import ClassVar, final

from avzsl.methods._avca import AvcaConfig, AvcaNetwork
from avzsl.methods._base import register


@register("avca")
@final
class Avca(AvcaNetwork):
    """Encoders, one layer of attention over the pair of tokens, projections, decoders; five groups of losses.

    A clip is decided by the distance of its visual branch to the class embeddings. The audio branch is trained and then
    not asked; sound counts through the attention.
    """

    Config = AvcaConfig
    title: ClassVar[str] = "AVCA"
    year: ClassVar[int] = 2022
    venue: ClassVar[str] = "CVPR"
    citation: ClassVar[str] = (
        "Mercea, Riesch, Koepke and Akata, Audio-visual Generalised Zero-shot Learning with Cross-modal Attention and "
        "Language, CVPR 2022"
    )
