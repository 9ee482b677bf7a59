"""ALE, attribute label embedding: violations count the less, the more of them a clip has."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from avzsl.losses.ranking import ranked_violations
from avzsl.methods._base import register
from avzsl.methods._compatibility import CompatibilityMethod


@register("ale")
class Ale(CompatibilityMethod):
    """Attribute label embedding (Akata et al., TPAMI 2016) on clips with sound.

    One linear map into text space, trained with a weighted approximate ranking loss in dot product. As in the tables of
    the benchmark, the margin is 0.1 (1 in the paper), the rank is the exact number of violations instead of a sampled
    estimate, and the optimiser is Adam.
    """

    title: ClassVar[str] = "ALE"
    year: ClassVar[int] = 2016
    venue: ClassVar[str] = "TPAMI"
    citation: ClassVar[str] = (
        "Akata, Perronnin, Harchaoui and Schmid, Label-Embedding for Image Classification, TPAMI 38(7), 2016"
    )

    def ranking_loss(self, scores: Tensor, labels: Tensor) -> Tensor:
        """The violations of each clip, weighted by their number."""
        return ranked_violations(scores, labels, self.config.margin)
