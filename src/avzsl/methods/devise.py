"""DeViSE, deep visual-semantic embedding: every wrong class that comes too close counts."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from avzsl.losses.ranking import summed_violations
from avzsl.methods._base import register
from avzsl.methods._compatibility import CompatibilityMethod


@register("devise")
class Devise(CompatibilityMethod):
    """Deep visual-semantic embedding (Frome et al., NeurIPS 2013) on clips with sound.

    One linear map into text space, trained so that the true class leads every wrong one by a margin of 0.1 in dot
    product. As in the tables of the benchmark, all violations of a clip are summed (the paper stops at the first one it
    draws) and the optimiser is Adam.
    """

    title: ClassVar[str] = "DeViSE"
    year: ClassVar[int] = 2013
    venue: ClassVar[str] = "NeurIPS"
    citation: ClassVar[str] = (
        "Frome, Corrado, Shlens, Bengio, Dean, Ranzato and Mikolov, DeViSE: A Deep Visual-Semantic Embedding Model,"
        " NeurIPS 2013"
    )

    def ranking_loss(self, scores: Tensor, labels: Tensor) -> Tensor:
        """The sum of the violations of each clip."""
        return summed_violations(scores, labels, self.config.margin)
