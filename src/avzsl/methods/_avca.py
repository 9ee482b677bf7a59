"""The network that AVCA and the Hyper methods share, and its training passes.

Source: the public code of Mercea et al., CVPR 2022. Where that code does more than its paper needs (M2 to M4), a
setting decides.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from avzsl.config import quirk
from avzsl.decision import embedding_scores
from avzsl.errors import SettingError
from avzsl.losses.cross_attention import Pair, Trio, cross_attention_losses
from avzsl.methods._base import EmbeddingMethod
from avzsl.methods._inputs import both_averaged, both_sizes
from avzsl.nn.layers import OneLayer, TransformerLayer, TwoLayer
from avzsl.types import Batch, Clips, Dimensions


@dataclass(frozen=True)
class AvcaConfig:
    """Settings of AVCA.

    Attributes:
        encoder_hidden: units between the two layers of an encoder.
        token: width of what the encoders say of a modality; a token of the attention.
        heads: of the attention.
        head_width: of one head.
        attention_hidden: units of the feed-forward part beside the attention.
        projection_hidden: units between the two layers of a projection into the joint space.
        embedding: size of the joint space.
        encoder_dropout: rate in encoders and attention (r_enc).
        projection_dropout: rate in the projections of clips (r_proj).
        decoder_dropout: rate in the projection of text and in all decoders (r_dec).
        momentum: weight of the newest batch in the running statistics of the second norm of encoders and projections;
            0.99 in most published settings (M5).
        output: what decides: `"visual"`, the distance of the visual branch alone, or `"sum"`, that of both branches
            together (M6). The visual branch has looked at the sound, too.
        frozen_positions: M2, the table of positions stays as it was drawn.
        unused_passes: M3, three passes whose results nobody uses, but which move normalisation statistics.
        extra_pass: M4, after each step the clips pass once more in training mode, which moves statistics again.
    """

    encoder_hidden: int = 512
    token: int = 300
    heads: int = 3
    head_width: int = 100
    attention_hidden: int = 64
    projection_hidden: int = 512
    embedding: int = 64
    encoder_dropout: float = 0.2
    projection_dropout: float = 0.2
    decoder_dropout: float = 0.1
    momentum: float = 0.1
    output: Literal["visual", "sum"] = "visual"
    frozen_positions: bool = quirk("M2", clean=False, reference=True)
    unused_passes: bool = quirk("M3", clean=False, reference=True)
    extra_pass: bool = quirk("M4", clean=False, reference=True)

    def __post_init__(self) -> None:
        for name in (
            "encoder_hidden", "token", "heads", "head_width", "attention_hidden", "projection_hidden", "embedding",
        ):  # fmt: skip
            if getattr(self, name) < 1:
                raise SettingError(f"{name} is {getattr(self, name)}; it must be at least 1")
        for name in ("encoder_dropout", "projection_dropout", "decoder_dropout"):
            if not 0 <= getattr(self, name) < 1:
                raise SettingError(f"{name} is {getattr(self, name)}; it must lie in [0, 1)")
        if not 0 < self.momentum <= 1:
            raise SettingError(f"momentum is {self.momentum}; it must lie in (0, 1]")
        if self.output not in ("visual", "sum"):
            raise SettingError(f"output is '{self.output}'; it is 'visual' or 'sum'")


class Passes(NamedTuple):
    """Everything one training step computes, positives and negatives (⁻); names as in `cross_attention_losses`."""

    words: Tensor
    tokens: Pair
    negative_tokens: Pair
    joint: Trio
    negative_joint: Trio
    decoded: Trio
    negative_decoded: Pair
    rebuilt: Pair

    def losses(self) -> dict[str, Tensor]:
        """The five groups of losses and their sum."""
        return cross_attention_losses(
            words=self.words,
            joint=self.joint,
            negative_joint=self.negative_joint,
            decoded=self.decoded,
            negative_decoded=self.negative_decoded,
            tokens=self.tokens,
            rebuilt=self.rebuilt,
        )


class AvcaNetwork(EmbeddingMethod):
    """Two encoders, attention between their tokens, projections into a joint space with text, decoders back.

    All parts end in ReLU and dropout, so no embedding is negative, while text vectors have negative entries: a text
    vector is never rebuilt exactly (M7).
    """

    config: AvcaConfig

    def __init__(self, config: AvcaConfig, dimensions: Dimensions) -> None:
        super().__init__(config, dimensions)
        audio, visual = both_sizes(dimensions, self.title)
        token, joint, text = config.token, config.embedding, dimensions.text
        encode, project, decode = config.encoder_dropout, config.projection_dropout, config.decoder_dropout
        # In the order of the public code, so that equal seeds give equal weights.
        self.audio_encoder = TwoLayer(audio, config.encoder_hidden, token, encode, config.momentum)
        self.visual_encoder = TwoLayer(visual, config.encoder_hidden, token, encode, config.momentum)
        self.attention = TransformerLayer(token, config.heads, config.head_width, config.attention_hidden, encode)
        self.word_projection = OneLayer(text, joint, decode)
        self.word_decoder = OneLayer(joint, text, decode)
        self.audio_projection = TwoLayer(token, config.projection_hidden, joint, project, config.momentum)
        self.visual_projection = TwoLayer(token, config.projection_hidden, joint, project, config.momentum)
        self.audio_rebuilder = OneLayer(joint, token, decode)
        self.visual_rebuilder = OneLayer(joint, token, decode)
        self.position = nn.Parameter(torch.randn(2, token), requires_grad=not config.frozen_positions)

    def loss_terms(self, batch: Batch) -> dict[str, Tensor]:
        """The five groups of losses, each of weight 1."""
        return self.training_passes(batch).losses()

    def updates(self, batch: Batch) -> Iterator[dict[str, Tensor]]:
        """One step; then, with `extra_pass`, the clips once more through the new weights."""
        yield self.fit_step(batch)
        if self.config.extra_pass:
            with torch.no_grad():
                tokens = self._encode(*both_averaged(batch.clips, self.dimensions))
                self.word_projection(batch.classes[batch.labels])
                attended = self._attend(tokens)
                self.visual_projection(attended.visual)
                self.audio_projection(attended.audio)

    def training_passes(self, batch: Batch) -> Passes:
        """Positives and negatives through every part.

        Each call of a part is a batch of its own for its norms, and the order of the calls is that of the public code:
        running statistics and, for one random stream, dropout depend on it.
        """
        tokens = self._encode(*both_averaged(batch.clips, self.dimensions))
        negative_tokens = self._encode(*both_averaged(batch.negatives, self.dimensions))
        return self.passes_after_encoders(batch, tokens, negative_tokens)

    def passes_after_encoders(self, batch: Batch, tokens: Pair, negative_tokens: Pair) -> Passes:
        """All passes of a training step but those of the encoders.

        Args:
            batch: for its texts.
            tokens: φ of its clips, each [B, token].
            negative_tokens: φ of its negatives.
        """
        words, negative_words = batch.classes[batch.labels], batch.classes[batch.negative_labels]
        theta_words, negative_theta_words = self.word_projection(words), self.word_projection(negative_words)
        rho_words = self.word_decoder(theta_words)
        if self.config.unused_passes:
            self.word_decoder(negative_theta_words)
        attended, negative_attended = self._attend(tokens), self._attend(negative_tokens)
        theta_visual = self.visual_projection(attended.visual)
        negative_theta_visual = self.visual_projection(negative_attended.visual)
        theta_audio = self.audio_projection(attended.audio)
        negative_theta_audio = self.audio_projection(negative_attended.audio)
        rebuilt_visual, rebuilt_audio = self.visual_rebuilder(theta_visual), self.audio_rebuilder(theta_audio)
        if self.config.unused_passes:
            self.audio_projection(rebuilt_audio)
            self.visual_projection(rebuilt_visual)
        rho_audio, negative_rho_audio = self.word_decoder(theta_audio), self.word_decoder(negative_theta_audio)
        rho_visual, negative_rho_visual = self.word_decoder(theta_visual), self.word_decoder(negative_theta_visual)
        return Passes(
            words,
            tokens,
            negative_tokens,
            Trio(theta_audio, theta_visual, theta_words),
            Trio(negative_theta_audio, negative_theta_visual, negative_theta_words),
            Trio(rho_audio, rho_visual, rho_words),
            Pair(negative_rho_audio, negative_rho_visual),
            Pair(rebuilt_audio, rebuilt_visual),
        )

    def embed_clips(self, clips: Clips) -> Tensor:
        """θ_v, the visual branch after the attention, [B, D]."""
        return self.branches(clips).visual

    def embed_classes(self, classes: Tensor) -> Tensor:
        """θ_w, [C, D]."""
        embedded: Tensor = self.word_projection(classes)
        return embedded

    def branches(self, clips: Clips) -> Pair:
        """θ_a and θ_v, each [B, D]."""
        attended = self._attend(self._encode(*both_averaged(clips, self.dimensions)))
        return Pair(self.audio_projection(attended.audio), self.visual_projection(attended.visual))

    def class_scores(self, clips: Clips, classes: Tensor) -> Tensor:
        """Negative distances [B, C] of the branch that decides, or the sum of both."""
        return self.mode_scores(clips, classes)["both"]

    def mode_scores(self, clips: Clips, classes: Tensor) -> dict[str, Tensor]:
        """`"both"`; and, when both branches decide together, each of them."""
        return self.scorer(classes)(clips)

    def scorer(self, classes: Tensor) -> Callable[[Clips], dict[str, Tensor]]:
        """`mode_scores` for classes [C, d_w] that are embedded once."""
        words = self.embed_classes(classes)

        def score(clips: Clips) -> dict[str, Tensor]:
            branches = self.branches(clips)
            visual = embedding_scores(branches.visual, words)
            if self.config.output == "visual":
                return {"both": visual}
            audio = embedding_scores(branches.audio, words)
            return {"both": audio + visual, "audio": audio, "visual": visual}

        return score

    def _encode(self, audio: Tensor, visual: Tensor) -> Pair:
        """φ_a and φ_v, each [B, token]."""
        return Pair(self.audio_encoder(audio), self.visual_encoder(visual))

    def _attend(self, tokens: Pair) -> Pair:
        """What the projections see, each [B, token]: a token plus what the attention made of it and its position."""
        placed = torch.stack([tokens.audio + self.position[0], tokens.visual + self.position[1]], 1)
        seen = self.attention(placed)
        return Pair(tokens.audio + seen[:, 0], tokens.visual + seen[:, 1])
