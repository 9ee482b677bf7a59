"""SJE, structured joint embedding: the wrong class that comes closest counts."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from avzsl.losses.ranking import largest_violation
from avzsl.methods._base import register
from avzsl.methods._compatibility import CompatibilityMethod


@register("sje")
class Sje(CompatibilityMethod):
    """Structured joint embedding (Akata et al., CVPR 2015) on clips with sound.

    One linear map into text space, trained so that the true class leads the best wrong one by a margin in dot product:
    the multiclass structured SVM. As in the tables of the benchmark, the margin is 0.1 (1 in the paper) and the
    optimiser Adam.
    """

    title: ClassVar[str] = "SJE"
    year: ClassVar[int] = 2015
    venue: ClassVar[str] = "CVPR"
    citation: ClassVar[str] = (
        "Akata, Reed, Walter, Lee and Schiele, Evaluation of Output Embeddings for Fine-Grained Image Classification,"
        " CVPR 2015"
    )

    def ranking_loss(self, scores: Tensor, labels: Tensor) -> Tensor:
        """The largest violation of each clip."""
        return largest_violation(scores, labels, self.config.margin)
