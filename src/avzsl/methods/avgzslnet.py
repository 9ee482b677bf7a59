"""AVGZSLNet: one space for sound, picture and text, from which a decoder must find back to the text vector."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from avzsl.config import quirk
from avzsl.methods._base import register
from avzsl.methods._joint_embedding import Encoders, JointEmbedding, Triple, check_settings, two_layers
from avzsl.types import Batch, Dimensions


@dataclass(frozen=True)
class AvgzslnetConfig:
    """Settings of AVGZSLNet; the defaults are those of the benchmark.

    Attributes:
        hidden: width between the layers of the nets for sound and picture.
        text_hidden: the same of the net for text.
        embedding: size of the joint space.
        decoder_hidden: width between the layers of the decoder.
        encoder_dropout: of the three nets. The scripts of the benchmark set none, so it is the high default of
            their parser (M9).
        decoder_dropout: of the decoder.
        margin: of the triplet losses.
        bare_root: the reconstruction error is a root without an epsilon, whose gradient is not a number at 0 (M10).
    """

    hidden: int = 1024
    text_hidden: int = 300
    embedding: int = 64
    decoder_hidden: int = 64
    encoder_dropout: float = 0.8
    decoder_dropout: float = 0.5
    margin: float = 1.0
    bare_root: bool = quirk("M10", clean=False, reference=True)

    def __post_init__(self) -> None:
        sizes = ("hidden", "text_hidden", "embedding", "decoder_hidden")
        check_settings(self, sizes, ("encoder_dropout", "decoder_dropout"))


@register("avgzslnet")
class Avgzslnet(JointEmbedding):
    """AVGZSLNet (Mazumder et al., WACV 2021), as in the public code of Mercea et al. 2022.

    Three nets put sound a, picture v and text t into one space, and one decoder G takes each of them to unit vectors
    in the space of text vectors w. With a⁻, v⁻, t⁻ of a clip of another class and
    T(x, p, n) = mean of max(0, D(x, p) - D(x, n) + γ), D the Euclidean distance, a batch costs

        mean of ‖G(t) - w‖ + ‖G(a) - w‖ + ‖G(v) - w‖
        + T(G(t), G(a), G(a⁻)) + T(G(t), G(v), G(v⁻))
        + T(t, a, a⁻) + T(a, t, t⁻) + T(t, v, v⁻) + T(v, t, t⁻).

    A clip is decided by the sum of its distances by sound and by picture to a class; the decoder only teaches. Where a
    modality is missing the other one counts twice, so that the bias keeps its scale (our extension).
    """

    Config = AvgzslnetConfig
    title: ClassVar[str] = "AVGZSLNet"
    year: ClassVar[int] = 2021
    venue: ClassVar[str] = "WACV"
    citation: ClassVar[str] = (
        "Mazumder, Singh, Parida and Namboodiri, AVGZSLNet: Audio-Visual Generalized Zero-Shot Learning by "
        "Reconstructing Label Features from Multi-Modal Embeddings, WACV 2021"
    )
    config: AvgzslnetConfig

    def __init__(self, config: AvgzslnetConfig, dimensions: Dimensions) -> None:
        super().__init__(config, dimensions)
        self.encoders = Encoders(
            dimensions,
            self.title,
            hidden=config.hidden,
            text_hidden=config.text_hidden,
            embedding=config.embedding,
            dropout=config.encoder_dropout,
            rectified=False,
        )
        self.decoder = two_layers(config.embedding, config.decoder_hidden, dimensions.text, config.decoder_dropout)

    def fit_step(self, batch: Batch) -> dict[str, Tensor]:
        """The loss and its seven terms; `text_audio` is the triplet with a text between two sounds, and so on."""
        own, other = self.encoders.pairs(batch)
        # In this order: the running statistics of the decoder weigh the last pass most.
        decoded = Triple(audio=self.decode(own.audio), visual=self.decode(own.visual), text=self.decode(own.text))
        decoded_other = self.decode(other.audio), self.decode(other.visual)
        words = batch.classes[batch.labels]
        config = self.config
        terms = loss_terms(words, own, other, decoded, decoded_other, margin=config.margin, bare_root=config.bare_root)
        return {"loss": torch.stack(list(terms.values())).sum(), **terms}

    def decode(self, rows: Tensor) -> Tensor:
        """Unit vectors [B, d_w] in the space of text vectors, from embeddings [B, D]."""
        return functional.normalize(self.decoder(rows), dim=1)

    def join(self, scores: dict[str, Tensor], rows: dict[str, Tensor]) -> Tensor:
        """The sum of the scores by sound and by picture [B, C]."""
        found = list(scores.values())
        return found[0] + found[-1]  # the same twice where a modality is missing


def loss_terms(
    words: Tensor,
    own: Triple,
    other: Triple,
    decoded: Triple,
    decoded_other: tuple[Tensor, Tensor],
    *,
    margin: float = 1.0,
    bare_root: bool = False,
) -> dict[str, Tensor]:
    """The seven terms of the loss.

    Args:
        words: text vectors w, [B, d_w].
        own: a, v, t of the clips, [B, D] each.
        other: the same of clips of other classes.
        decoded: G of `own`, [B, d_w] each.
        decoded_other: G of sound and picture of `other`.
        margin: γ.
        bare_root: see `reconstruction_error`.
    """

    def triplet(anchor: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
        return functional.triplet_margin_loss(anchor, positive, negative, margin=margin)

    errors = [reconstruction_error(rows, words, bare_root) for rows in (decoded.text, decoded.audio, decoded.visual)]
    return {
        "reconstruction": torch.stack(errors).sum(),
        "decoded_audio": triplet(decoded.text, decoded.audio, decoded_other[0]),
        "decoded_visual": triplet(decoded.text, decoded.visual, decoded_other[1]),
        "text_audio": triplet(own.text, own.audio, other.audio),
        "audio_text": triplet(own.audio, own.text, other.text),
        "text_visual": triplet(own.text, own.visual, other.visual),
        "visual_text": triplet(own.visual, own.text, other.text),
    }


def reconstruction_error(rows: Tensor, words: Tensor, bare_root: bool = False) -> Tensor:
    """Mean over rows of the Euclidean distance to the text vector.

    Args:
        rows: [B, d_w].
        words: [B, d_w].
        bare_root: leave out the 1e-12 under the root, as the public code does (M10). Then the gradient of a row that
            is rebuilt exactly is not a number.
    """
    squares = (rows - words).square().sum(1)
    return (squares if bare_root else squares + 1e-12).sqrt().mean()
