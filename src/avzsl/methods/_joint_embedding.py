"""What CJME and AVGZSLNet share: three small nets into one space, distances there, and answers from one modality alone.

Source: the public code of Mercea et al., CVPR 2022, which holds both methods as the benchmark tables use them.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from avzsl.decision import embedding_scores
from avzsl.errors import SettingError
from avzsl.methods._base import Method
from avzsl.methods._inputs import both_averaged, both_sizes, given_averages
from avzsl.nn.mlp import DenseLayers, dense
from avzsl.nn.products import Linear
from avzsl.types import Batch, Clips, Dimensions


def check_settings(config: Any, sizes: tuple[str, ...], dropouts: tuple[str, ...]) -> None:
    """Refuse settings out of range.

    Args:
        config: settings with a `margin`.
        sizes: names of those that must be at least 1.
        dropouts: names of rates.

    Raises:
        SettingError: a value that makes no net.
    """
    for name in sizes:
        if getattr(config, name) < 1:
            raise SettingError(f"{name} is {getattr(config, name)}; it must be at least 1")
    for name in dropouts:
        if not 0 <= getattr(config, name) < 1:
            raise SettingError(f"{name} is {getattr(config, name)}; it must lie in [0, 1)")
    if not 0 <= config.margin < float("inf"):
        raise SettingError(f"margin is {config.margin}; it must be 0 or more, and finite")


def two_layers(inputs: int, hidden: int, outputs: int, dropout: float, *, rectified: bool = False) -> DenseLayers:
    """Linear · BatchNorm · ReLU · Dropout · Linear, and a last ReLU if `rectified`."""
    last = [nn.ReLU()] if rectified else []
    return DenseLayers(*dense(inputs, hidden, dropout), Linear(hidden, outputs), *last)


@dataclass(frozen=True)
class Triple:
    """Embeddings of B clips and of the text of their classes, [B, D] each."""

    audio: Tensor
    visual: Tensor
    text: Tensor


class Encoders(nn.Module):
    """One net for each of sound, picture and text, all three into one space of D dimensions.

    Args:
        dimensions: sizes of the features; both modalities must be there.
        title: of the method, for errors.
        hidden: width between the layers of the nets for sound and picture.
        text_hidden: the same of the net for text.
        embedding: D.
        dropout: rate of all three.
        rectified: end in ReLU.

    Raises:
        SettingError: the features have only one modality.
    """

    def __init__(
        self,
        dimensions: Dimensions,
        title: str,
        *,
        hidden: int,
        text_hidden: int,
        embedding: int,
        dropout: float,
        rectified: bool,
    ) -> None:
        super().__init__()
        audio, visual = both_sizes(dimensions, title)
        self.dimensions = dimensions
        self.sizes = {"audio": audio, "visual": visual}
        self.audio = two_layers(audio, hidden, embedding, dropout, rectified=rectified)
        self.visual = two_layers(visual, hidden, embedding, dropout, rectified=rectified)
        self.text = two_layers(dimensions.text, text_hidden, embedding, dropout, rectified=rectified)

    def forward(self, audio: Tensor, visual: Tensor, words: Tensor) -> Triple:
        """Embed averaged features [B, d_a], [B, d_v] and text vectors [B, d_w] of the same clips."""
        return Triple(self.audio(audio), self.visual(visual), self.text(words))

    def pairs(self, batch: Batch) -> tuple[Triple, Triple]:
        """Embed clips and negatives of a batch, one after the other.

        Two passes, so every batch norm sees two batches a step, as in the public code.
        """
        positive = self(*both_averaged(batch.clips, self.dimensions), batch.classes[batch.labels])
        negative = self(*both_averaged(batch.negatives, self.dimensions), batch.classes[batch.negative_labels])
        return positive, negative

    def scores(self, rows: dict[str, Tensor], columns: Tensor) -> dict[str, Tensor]:
        """Negative distances [B, C] of each modality that is there.

        Args:
            rows: `"audio"`, `"visual"` or both, averaged features [B, d].
            columns: class embeddings [C, D].
        """
        nets = {"audio": self.audio, "visual": self.visual}
        return {name: embedding_scores(nets[name](values), columns) for name, values in rows.items()}


class JointEmbedding(Method):
    """A method that scores by each modality in one space with the text, and joins the two into the reported output."""

    encoders: Encoders

    @abstractmethod
    def join(self, scores: dict[str, Tensor], rows: dict[str, Tensor]) -> Tensor:
        """The reported scores [B, C].

        Args:
            scores: negative distances [B, C] of each modality that is there, audio first.
            rows: their averaged features [B, d].
        """

    def class_scores(self, clips: Clips, classes: Tensor) -> Tensor:
        """Scores of the reported output [B, C]."""
        return self.mode_scores(clips, classes)["both"]

    def mode_scores(self, clips: Clips, classes: Tensor) -> dict[str, Tensor]:
        """Negative distances [B, C] by each modality that is there, and the reported ones under `"both"`."""
        return self.scorer(classes)(clips)

    def scorer(self, classes: Tensor) -> Callable[[Clips], dict[str, Tensor]]:
        """`mode_scores` for classes [C, d_w] that are embedded once."""
        columns = self.encoders.text(classes)

        def score(clips: Clips) -> dict[str, Tensor]:
            rows = given_averages(clips, self.encoders.sizes)
            scores = self.encoders.scores(rows, columns)
            return scores | {"both": self.join(scores, rows)}

        return score
