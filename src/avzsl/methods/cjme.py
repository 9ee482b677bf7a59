"""CJME, Coordinated Joint Multimodal Embeddings: one space for sound, picture and text, and trust in one per clip."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from avzsl.config import quirk
from avzsl.errors import SettingError
from avzsl.methods._base import register
from avzsl.methods._inputs import both_averaged
from avzsl.methods._joint_embedding import Encoders, JointEmbedding, check_settings
from avzsl.nn.mlp import RowNorm
from avzsl.types import Batch, Dimensions


@dataclass(frozen=True)
class CjmeConfig:
    """Settings of CJME; the defaults are those of the benchmark.

    Attributes:
        hidden: width between the layers of the nets for sound and picture.
        text_hidden: the same of the net for text.
        embedding: size of the joint space.
        dropout: of all three nets.
        margin: of the triplet losses.
        indifference: nats by which the entropies of the two modalities must differ before one is trusted more.
        decoupled_attention: the weights of the clips and their triplet losses are averaged apart (M1).
        table_in_training: the table of training classes passes the text net in training mode (M11).
    """

    hidden: int = 1024
    text_hidden: int = 300
    embedding: int = 64
    dropout: float = 0.2
    margin: float = 1.0
    indifference: float = 0.1
    decoupled_attention: bool = quirk("M1", clean=False, reference=True)
    table_in_training: bool = quirk("M11", clean=False, reference=True)

    def __post_init__(self) -> None:
        check_settings(self, ("hidden", "text_hidden", "embedding"), ("dropout",))
        if not self.indifference >= 0:
            raise SettingError(f"indifference is {self.indifference}; it must not be negative")


@register("cjme")
class Cjme(JointEmbedding):
    """Coordinated Joint Multimodal Embeddings (Parida et al., WACV 2020), as in the public code of Mercea et al. 2022.

    Three nets ending in ReLU put sound a, picture v and text t into one space. Attention looks at the raw features of a
    clip and says how far the picture is to be trusted: α in (0, 1), against 1 - α for the sound. With a⁻ and v⁻ of a
    clip of another class, D the Euclidean distance, margin γ and [x]₊ = max(0, x), a batch costs

        mean of (1 - α) [γ + D(t, a) - D(t, a⁻)]₊ + α [γ + D(t, v) - D(t, v⁻)]₊
        + mean squared error between a and v
        + mean squared error between α and s.

    s is 1 where the sound leaves the class more open than the picture does, by the entropy of a softmax over dot
    products with all training classes; 0 where it is the other way round; 1/2 where the two hardly differ. It carries
    no gradient.

    Both triplets stand on the text: they rank clips for a class, and nothing ranks classes for a clip.

    A clip is decided by its picture where α ≥ 1/2 and by its sound elsewhere: training weighs, testing chooses (M12).
    Where a modality is missing the other one decides (our extension).
    """

    Config = CjmeConfig
    title: ClassVar[str] = "CJME"
    year: ClassVar[int] = 2020
    venue: ClassVar[str] = "WACV"
    citation: ClassVar[str] = (
        "Parida, Matiyali, Guha and Sharma, Coordinated Joint Multimodal Embeddings for Generalized Audio-Visual "
        "Zero-shot Classification and Retrieval of Videos, WACV 2020"
    )
    one_sided: ClassVar[bool] = True
    config: CjmeConfig

    def __init__(self, config: CjmeConfig, dimensions: Dimensions) -> None:
        super().__init__(config, dimensions)
        self.encoders = Encoders(
            dimensions,
            self.title,
            hidden=config.hidden,
            text_hidden=config.text_hidden,
            embedding=config.embedding,
            dropout=config.dropout,
            rectified=True,
        )
        width = (dimensions.audio or 0) + (dimensions.visual or 0)
        self.attention = nn.Sequential(RowNorm(width), nn.Linear(width, 1), nn.Sigmoid())

    def fit_step(self, batch: Batch) -> dict[str, Tensor]:
        """The loss and its three terms: `triplet`, `agreement` of a and v, `attention` against s."""
        # The text of the negatives enters no loss; its pass counts in the statistics of the text net, as published.
        own, other = self.encoders.pairs(batch)
        trust = self.trust(*both_averaged(batch.clips, self.dimensions))
        table = self.class_table(batch.classes)
        audio, visual = (
            functional.triplet_margin_loss(own.text, mine, theirs, margin=self.config.margin, reduction="none")
            for mine, theirs in ((own.audio, other.audio), (own.visual, other.visual))
        )
        wanted = wanted_trust(entropies(own.audio, table), entropies(own.visual, table), self.config.indifference)
        terms = {
            "triplet": weigh(trust, audio, visual, decoupled=self.config.decoupled_attention),
            "agreement": functional.mse_loss(own.audio, own.visual),
            "attention": functional.mse_loss(trust, wanted),
        }
        return {"loss": torch.stack(list(terms.values())).sum(), **terms}

    def trust(self, audio: Tensor, visual: Tensor) -> Tensor:
        """α [B], how far the picture is to be trusted, from averaged features [B, d_a] and [B, d_v]."""
        weights: Tensor = self.attention(torch.cat([audio, visual], 1))
        return weights.squeeze(1)

    def class_table(self, classes: Tensor) -> Tensor:
        """Embeddings [C, D] of the text vectors [C, d_w] of all training classes, for the entropies; no gradient.

        Clean: in evaluation mode. With `table_in_training` (M11) in the mode of the method, so that in training the
        table is subject to dropout and moves the running statistics.
        """
        net = self.encoders.text
        training = net.training
        net.train(training and self.config.table_in_training)
        try:
            with torch.no_grad():
                table: Tensor = net(classes)
        finally:
            net.train(training)
        return table

    def join(self, scores: dict[str, Tensor], rows: dict[str, Tensor]) -> Tensor:
        """By picture or by sound, as the attention says of each clip; by the one that is there, if one is missing."""
        if len(scores) == 1:
            return next(iter(scores.values()))
        by_picture = self.trust(rows["audio"], rows["visual"]) >= 0.5
        return torch.where(by_picture.unsqueeze(1), scores["visual"], scores["audio"])


def entropies(rows: Tensor, table: Tensor) -> Tensor:
    """How open the class is: entropy [B], in nats, of a softmax over dot products; no gradient.

    Args:
        rows: [B, D].
        table: [C, D].
    """
    logs = functional.log_softmax(rows.detach() @ table.detach().T, dim=1)
    return -(logs.exp() * logs).sum(1)


def wanted_trust(audio: Tensor, visual: Tensor, indifference: float = 0.1) -> Tensor:
    """s [B]: 0 where the picture is the more uncertain one, 1 where the sound is, 1/2 where they hardly differ.

    Args:
        audio: entropies [B].
        visual: likewise.
        indifference: nats; a difference up to this counts as none.
    """
    return 0.5 + 0.5 * ((audio - visual > indifference).to(audio) - (visual - audio > indifference).to(audio))


def weigh(trust: Tensor, audio: Tensor, visual: Tensor, *, decoupled: bool = False) -> Tensor:
    """Mean over clips of (1 - α) times the loss by sound plus α times the loss by picture.

    Args:
        trust: α, [B].
        audio: [B] losses.
        visual: likewise.
        decoupled: multiply the means instead (M1). The public code multiplies a column by a row; the mean of the B x B
            table is the product of the two means, so α learns nothing about single clips here.
    """
    if decoupled:
        return (1 - trust).mean() * audio.mean() + trust.mean() * visual.mean()
    return ((1 - trust) * audio + trust * visual).mean()
