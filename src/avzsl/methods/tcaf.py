"""TCaF: temporal and cross-modal attention over the segments of sound and picture, read through one class token."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from avzsl.config import quirk
from avzsl.errors import SettingError
from avzsl.methods._base import EmbeddingMethod, register
from avzsl.methods._inputs import both_sizes, segments
from avzsl.methods._windows import Window, cut, shortened
from avzsl.nn.dropout import Dropout
from avzsl.nn.layers import OneLayer, TwoLayer
from avzsl.nn.masked_transformer import Attention, MaskedTransformer, token_mask
from avzsl.nn.products import Linear
from avzsl.nn.time_embedding import TimeEmbedding
from avzsl.types import Batch, Clips, Dimensions


@dataclass(frozen=True)
class TcafConfig:
    """Settings of TCaF.

    Attributes:
        width: of a token.
        position_width: of the position vector beside the features of a segment; even.
        fourier_scale: deviation of the random frequencies of the time stamps.
        encoder_hidden: hidden width of the encoders of segments.
        head_hidden: hidden width of the projection of the class token and of its decoder.
        embedding: size of the joint space.
        depth: transformer layers.
        heads: of the attention.
        head_width: of one head.
        feed_hidden: units of the feed-forward parts.
        attention: segments look at the other modality (`"cross"`, the paper), at their own (`"self"`) or at both.
        encoder_dropout: of the encoders.
        token_dropout: of the tokens.
        transformer_dropout: of the layers.
        head_dropout: of the projection of the class token and of its decoder.
        text_dropout: of the projection of the texts and of their decoder.
        audio_step: seconds from one audio segment to the next.
        visual_step: seconds from one visual segment to the next.
        audio_divisor: audio features are divided by it: 255 for VGGish features, which are 8-bit codes.
        train_length: in training, longer clips are cut at a random place to so many visual segments; 0 = never.
        test_length: otherwise, longer clips are cut in the middle; 0 = never.
        eval_positions: T1, places of segments outside the loss: time stamps, or the numbers 0, 1, 2, … of the segments.
        visual_norm: T2, visual features get length 1 in each segment (`"feature"`), in each channel along the clip
            (`"time"`), or not at all.
        padding_in_norm: T3, in training the batch norm of the encoders sees padding as segments of zeros.
        divide_any_audio: T4, audio features are divided by 255 whatever `audio_divisor` says.
        audio_rule: T6, how many audio segments go with so many visual ones: quotient or product of the two steps.
        last_window_left_out: T11, the last of the possible places for a random cut is never drawn.
        extra_train_forward: T12, after every step the batch passes the network once more, for its running statistics.
    """

    width: int = 300
    position_width: int = 64
    fourier_scale: float = 10.0
    encoder_hidden: int = 512
    head_hidden: int = 512
    embedding: int = 64
    depth: int = 6
    heads: int = 8
    head_width: int = 64
    feed_hidden: int = 128
    attention: Attention = "cross"
    encoder_dropout: float = 0.3
    token_dropout: float = 0.2
    transformer_dropout: float = 0.3
    head_dropout: float = 0.1
    text_dropout: float = 0.1
    audio_step: float = 1.0
    visual_step: float = 1.0
    audio_divisor: float = 1.0
    train_length: int = 0
    test_length: int = 0
    eval_positions: Literal["seconds", "index"] = quirk("T1", clean="seconds", reference="index")
    visual_norm: Literal["feature", "time", "none"] = quirk("T2", clean="feature", reference="time")
    padding_in_norm: bool = quirk("T3", clean=False, reference=True)
    divide_any_audio: bool = quirk("T4", clean=False, reference=True)
    audio_rule: Literal["quotient", "product"] = quirk("T6", clean="quotient", reference="product")
    last_window_left_out: bool = quirk("T11", clean=False, reference=True)
    extra_train_forward: bool = quirk("T12", clean=False, reference=True)

    def __post_init__(self) -> None:
        sizes = ("width", "encoder_hidden", "head_hidden", "embedding", "depth", "heads", "head_width", "feed_hidden")
        for name in sizes:
            if getattr(self, name) < 1:
                raise SettingError(f"{name} is {getattr(self, name)}; it must be at least 1")
        if self.position_width < 2 or self.position_width % 2:
            raise SettingError(f"position_width is {self.position_width}; it must be even and at least 2")
        for name in ("encoder_dropout", "token_dropout", "transformer_dropout", "head_dropout", "text_dropout"):
            if not 0 <= getattr(self, name) < 1:
                raise SettingError(f"{name} is {getattr(self, name)}; it must lie in [0, 1)")
        for name in ("fourier_scale", "audio_step", "visual_step", "audio_divisor"):
            if not 0 < getattr(self, name) < float("inf"):
                raise SettingError(f"{name} is {getattr(self, name)}; it must be above 0 and finite")
        for name in ("train_length", "test_length"):
            if getattr(self, name) < 0:
                raise SettingError(f"{name} is {getattr(self, name)}; it must be positive, or 0 to keep clips whole")

    def window(self, training: bool) -> Window | None:
        """What a clip is cut to; None = nothing."""
        length = self.train_length if training else self.test_length
        return Window.of(length, self.audio_step, self.visual_step, self.audio_rule) if length else None


@register("tcaf")
class Tcaf(EmbeddingMethod):
    """TCaF (Mercea, Hummel, Koepke and Akata, ECCV 2022), after its public code.

    Every segment is encoded, gets a position vector (modality and time) beside it and becomes a token. A transformer
    lets the tokens of one modality look at those of the other and at a class token, which looks at all; the class token
    alone becomes θ_o in the joint space. Losses: cross-entropy of θ_o against the projections θ_w of all training
    classes, the squared distance of θ_o to the θ_w of its class, and both decoded back to text vectors. Pairs have no
    part in it: a batch's negatives are left alone.

    Our reading:
        visual features get length 1 in each segment. The public code normalises along time, which leaves of a clip of
        one segment only its signs, and makes the size of the features depend on the length of the clip;
        batch norm sees real segments only;
        time stamps are seconds in training and outside;
        a window's time stamps start at 0 wherever it was cut (as in the public code).
    """

    Config = TcafConfig
    title: ClassVar[str] = "TCaF"
    year: ClassVar[int] = 2022
    venue: ClassVar[str] = "ECCV"
    citation: ClassVar[str] = (
        "Mercea, Hummel, Koepke and Akata, Temporal and cross-modal attention for audio-visual zero-shot learning, "
        "ECCV 2022"
    )
    inputs: ClassVar[str] = "temporal"
    config: TcafConfig

    def __init__(self, config: TcafConfig, dimensions: Dimensions) -> None:
        super().__init__(config, dimensions)
        audio, visual = both_sizes(dimensions, self.title)
        width, place, hidden = config.width, config.position_width, config.head_hidden
        self.audio_encoder = TwoLayer(audio, config.encoder_hidden, width, config.encoder_dropout)
        self.visual_encoder = TwoLayer(visual, config.encoder_hidden, width, config.encoder_dropout)
        self.text_head = OneLayer(dimensions.text, config.embedding, config.text_dropout)
        self.text_decoder = OneLayer(config.embedding, dimensions.text, config.text_dropout)
        self.class_token = nn.Parameter(torch.randn(1, width))
        self.modality = nn.Parameter(torch.randn(2, place))  # audio, visual
        self.time = TimeEmbedding(place, config.fourier_scale)
        # Marks padding, which nothing looks at: it changes no result and gets no gradient. The public model has it too.
        self.padding = nn.Parameter(torch.randn(1, place), requires_grad=False)
        self.audio_token = Linear(width + place, width)
        self.visual_token = Linear(width + place, width)
        self.token_dropout = Dropout(config.token_dropout)
        self.transformer = MaskedTransformer(
            width, config.depth, config.heads, config.head_width, config.feed_hidden, config.transformer_dropout
        )
        self.clip_head = TwoLayer(width, hidden, config.embedding, config.head_dropout)
        self.clip_decoder = TwoLayer(config.embedding, hidden, dimensions.text, config.head_dropout)

    def loss_terms(self, batch: Batch) -> dict[str, Tensor]:
        """Cross-entropy, regression and reconstruction loss, all with weight 1."""
        return self._losses(self._windows(batch.clips), batch)

    def updates(self, batch: Batch) -> Iterator[dict[str, Tensor]]:
        """One step, and with `extra_train_forward` another pass of the batch after it."""
        clips = self._windows(batch.clips)
        yield self._losses(clips, batch)
        if self.config.extra_train_forward:
            with torch.no_grad():
                self._embed(clips, self.config.eval_positions)
                self.text_head(batch.classes[batch.labels])

    def embed_clips(self, clips: Clips) -> Tensor:
        """θ_o, [B, D], not negative."""
        return self._embed(self._windows(clips), self.config.eval_positions)

    def embed_classes(self, classes: Tensor) -> Tensor:
        """θ_w, [C, D], not negative."""
        embedded: Tensor = self.text_head(classes)
        return embedded

    def _losses(self, clips: Clips, batch: Batch) -> dict[str, Tensor]:
        words = batch.classes[batch.labels]
        embedded, texts = self._embed(clips, "seconds"), self.text_head(words)
        # A pass of its own: batch norm sees every class once here, and as often as it was drawn above.
        logits = embedded @ self.text_head(batch.classes).T  # [B, C]
        entropy = functional.cross_entropy(logits, batch.labels)
        regression = functional.mse_loss(embedded, texts)
        reconstruction = functional.mse_loss(self.clip_decoder(embedded), words)
        reconstruction = reconstruction + functional.mse_loss(self.text_decoder(texts), words)
        return {
            "loss": entropy + regression + reconstruction,
            "entropy": entropy,
            "regression": regression,
            "reconstruction": reconstruction,
        }

    def _windows(self, clips: Clips) -> Clips:
        """What the network gets to see of the clips, checked, with both masks."""
        config = self.config
        audio, audio_mask = segments(clips, "audio", self.dimensions.audio)
        visual, visual_mask = segments(clips, "visual", self.dimensions.visual)
        short = shortened(audio, visual, audio_mask, visual_mask)
        window = config.window(self.training)
        if window is None:
            return short
        full = self.training and config.padding_in_norm  # padding counts there, so there must be as much of it
        return cut(short, window, random=self.training, last=not config.last_window_left_out, full=full)

    def _embed(self, clips: Clips, positions: Literal["seconds", "index"]) -> Tensor:
        """θ_o of windows."""
        config = self.config
        assert clips.audio is not None and clips.visual is not None
        assert clips.audio_mask is not None and clips.visual_mask is not None
        audio = clips.audio.masked_fill(~clips.audio_mask.unsqueeze(2), 0.0)
        audio = audio / (255.0 if config.divide_any_audio else config.audio_divisor)
        visual = clips.visual.masked_fill(~clips.visual_mask.unsqueeze(2), 0.0)
        if config.visual_norm != "none":
            visual = functional.normalize(visual, dim=1 if config.visual_norm == "time" else 2)
        steps = (config.audio_step, config.visual_step) if positions == "seconds" else (1.0, 1.0)
        heard = self._encode(self.audio_encoder, audio, clips.audio_mask)
        looked = self._encode(self.visual_encoder, visual, clips.visual_mask)
        tokens = [
            self.class_token.expand(len(clips), 1, -1),
            self._tokens(0, heard, clips.audio_mask, steps[0]),
            self._tokens(1, looked, clips.visual_mask, steps[1]),
        ]
        mask = token_mask(clips.audio_mask, clips.visual_mask, config.attention)
        embedded: Tensor = self.clip_head(self.transformer(torch.cat(tokens, 1), mask))
        return embedded

    def _encode(self, encoder: nn.Module, values: Tensor, mask: Tensor) -> Tensor:
        """Encode real segments [B, L, d] as [B, L, width]; padding becomes 0, or what the encoder makes of zeros."""
        if self.training and self.config.padding_in_norm:
            everything: Tensor = encoder(values.flatten(0, 1))
            return everything.view(*mask.shape, -1)
        rows: Tensor = encoder(values[mask])
        encoded = rows.new_zeros(*mask.shape, rows.shape[1])
        encoded[mask] = rows
        return encoded

    def _tokens(self, modality: int, encoded: Tensor, mask: Tensor, step: float) -> Tensor:
        """Tokens [B, L, width] of encoded segments."""
        times = torch.arange(mask.shape[1], device=encoded.device, dtype=encoded.dtype) * step
        place = self.modality[modality] + self.time(times)  # [L, position_width]
        place = torch.where(mask.unsqueeze(2), place, place + self.padding)  # [B, L, position_width]
        project = (self.audio_token, self.visual_token)[modality]
        tokens: Tensor = self.token_dropout(project(torch.cat([encoded, place], 2)))
        return tokens
