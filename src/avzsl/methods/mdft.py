"""MDFT, the Motion-Decoupled Spiking Transformer, as far as it can be rebuilt from what is published."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal, NamedTuple, final

import torch
from torch import Tensor, nn
from torch.nn.functional import mse_loss, triplet_margin_loss

from avzsl.errors import ModelError, SettingError
from avzsl.methods._base import EmbeddingMethod, register
from avzsl.methods._inputs import both_sizes, segments
from avzsl.nn.events import feature_events
from avzsl.nn.joint_learning import JointLearningUnit
from avzsl.nn.layers import TransformerLayer, TwoLayer
from avzsl.nn.lif import LifParameters
from avzsl.nn.motion import ConvolutionalMotion, MotionLayer, MotionRun, sound_changes
from avzsl.nn.semantic_threshold import SemanticThreshold, normalised_entropy
from avzsl.nn.spiking_layers import motion_layers
from avzsl.nn.steps import Schedule, schedule
from avzsl.nn.synapses import SpikeLayer
from avzsl.types import Batch, Clips, Dimensions, SpikeTrace


@dataclass(frozen=True)
class MdftConfig:
    """Settings of MDFT; all of them ours but for the three losses and the two streams.

    Attributes:
        events: what the visual motion stream sees: `"proxy"`, jumps of the visual features, or `"frames"`, the event
            tensors that clips carry (`avzsl.nn.events.event_tensor`).
        hidden: d, width of encoders, tokens and motion streams.
        heads, head_width: of all attentions.
        attention_hidden: units of the MLPs beside the attentions.
        head_hidden: hidden width of the three heads.
        embedding: size of the joint space.
        time_steps: T.
        tau: membrane time constant, in steps.
        dynamic_threshold: thresholds follow motion and joint knowledge; off, they are 1.
        encoder_dropout: of encoders and fusion (r_enc).
        projection_dropout: of the head of clips and the reconstruction (r_proj).
        text_dropout: of the head of texts (r_w).
        margin: of the triplet loss.
        alpha: weight of the triplet loss.
        beta: weight of projection and reconstruction loss.
    """

    events: Literal["proxy", "frames"] = "proxy"
    hidden: int = 512
    heads: int = 8
    head_width: int = 64
    attention_hidden: int = 128
    head_hidden: int = 512
    embedding: int = 64
    time_steps: int = 8
    tau: float = 2.0
    dynamic_threshold: bool = True
    encoder_dropout: float = 0.2
    projection_dropout: float = 0.25
    text_dropout: float = 0.1
    margin: float = 1.0
    alpha: float = 0.5
    beta: float = 0.5

    def __post_init__(self) -> None:
        if self.events not in ("proxy", "frames"):
            raise SettingError(f"events is '{self.events}'; it is 'proxy' or 'frames'")
        for name in (
            "hidden", "heads", "head_width", "attention_hidden", "head_hidden", "embedding", "time_steps",
        ):  # fmt: skip
            if getattr(self, name) < 1:
                raise SettingError(f"{name} is {getattr(self, name)}; it must be at least 1")
        for name in ("encoder_dropout", "projection_dropout", "text_dropout"):
            if not 0 <= getattr(self, name) < 1:
                raise SettingError(f"{name} is {getattr(self, name)}; it must lie in [0, 1)")
        if not self.tau >= 1:
            raise SettingError(f"tau is {self.tau}; it must be at least 1 time step")
        if not self.margin >= 0:
            raise SettingError(f"margin is {self.margin}; it must not be negative")
        if not (self.alpha >= 0 and self.beta >= 0 and self.alpha + self.beta > 0):
            raise SettingError(f"alpha is {self.alpha} and beta {self.beta}; one must be positive, none negative")


class _Given(NamedTuple):
    """One modality: features [B, L, d], mask [B, L] or None, and which segment each step sees."""

    features: Tensor
    mask: Tensor | None
    plan: Schedule


class _Joint(NamedTuple):
    """θ [B, D], what both motion streams saw and did, and the thresholds [T, B, 1] they fired against, by modality.

    `floats` [B] tells for which clips a stream saw something else than zeros and ones.
    """

    theta: Tensor
    motion: dict[str, MotionRun]
    thresholds: dict[str, Tensor]
    seen: dict[str, Tensor]
    floats: dict[str, Tensor]


@register("mdft")
@final
class Mdft(EmbeddingMethod):
    """Motion-Decoupled Spiking Transformer (Li et al., ACM Multimedia 2023), our reconstruction.

    A context stream, dense, carries joint knowledge of sound and picture through T steps. A motion stream, spiking,
    sees events of the picture and changes of the sound; its thresholds follow motion and knowledge. One transformer
    layer fuses the four results.

    The text of the conference paper could not be had. Two streams, events, the recurrent unit's attentions, dynamic
    thresholds and the names of the losses are theirs, by the abstracts and summaries; everything else is ours.
    """

    Config = MdftConfig
    title: ClassVar[str] = "MDFT"
    year: ClassVar[int] = 2023
    venue: ClassVar[str] = "ACM MM"
    citation: ClassVar[str] = (
        "Li et al., Motion-Decoupled Spiking Transformer for Audio-Visual Zero-Shot Learning, ACM Multimedia 2023"
    )
    note: ClassVar[str] = "our reconstruction"
    config: MdftConfig

    def __init__(self, config: MdftConfig, dimensions: Dimensions) -> None:
        super().__init__(config, dimensions)
        audio, visual = both_sizes(dimensions, self.title)
        d, heads, p = config.hidden, config.head_hidden, config.embedding
        neuron = LifParameters(tau=config.tau, surrogate="sigmoid")
        self.audio_encoder = TwoLayer(audio, d, d, config.encoder_dropout)
        self.visual_encoder = TwoLayer(visual, d, d, config.encoder_dropout)
        self.context = JointLearningUnit(d, config.heads, config.head_width, config.attention_hidden)
        self.visual_motion: ConvolutionalMotion | MotionLayer
        if config.events == "frames":
            self.visual_motion = ConvolutionalMotion(d, neuron)
        else:
            self.visual_motion = MotionLayer(2 * visual, d, neuron)
        self.audio_motion = MotionLayer(d, d, neuron)
        if config.dynamic_threshold:
            self.thresholds = nn.ModuleDict({"audio": SemanticThreshold(), "visual": SemanticThreshold()})
        self.types = nn.Parameter(torch.zeros(4, d))
        self.fusion = TransformerLayer(
            d, config.heads, config.head_width, config.attention_hidden, config.encoder_dropout
        )
        self.clip_head = TwoLayer(d, heads, p, config.projection_dropout)
        self.text_head = TwoLayer(dimensions.text, heads, p, config.text_dropout)
        self.reconstruction_head = TwoLayer(p, heads, dimensions.text, config.projection_dropout)

    def loss_terms(self, batch: Batch) -> dict[str, Tensor]:
        """Triplet, projection and reconstruction loss, and for the log the firing rates.

        Positives and negatives pass together; the last two losses take all of them.
        """
        pairs = len(batch.clips)
        joint = self._joint(Clips.stack(batch.clips, batch.negatives))
        words = batch.classes[torch.cat([batch.labels, batch.negative_labels])]
        clips, texts = joint.theta, self.text_head(words)
        mine, other, text, other_text = clips[:pairs], clips[pairs:], texts[:pairs], texts[pairs:]
        terms = {
            "triplet": triplet_margin_loss(text, mine, other, margin=self.config.margin)
            + triplet_margin_loss(mine, text, other_text, margin=self.config.margin),
            "projection": mse_loss(clips, texts),
            "reconstruction": mse_loss(self.reconstruction_head(clips), words),
        }
        loss = self.config.alpha * terms["triplet"]
        loss = loss + self.config.beta * (terms["projection"] + terms["reconstruction"])
        rates = {
            f"rate_{name}": torch.stack([layer.spikes.detach().mean() for layer in run.layers]).mean()
            for name, run in joint.motion.items()
        }
        return {"loss": loss} | terms | rates

    def embed_clips(self, clips: Clips) -> Tensor:
        """θ, [B, D]."""
        return self._joint(clips).theta

    def embed_classes(self, classes: Tensor) -> Tensor:
        """θ_w, [C, D]."""
        embedded: Tensor = self.text_head(classes)
        return embedded

    def spike_traces(self, clips: Clips) -> tuple[SpikeTrace, ...]:
        """What each layer of both motion streams did for the first clip."""
        with torch.no_grad():
            joint = self._joint(clips.rows(slice(0, 1)))
        return tuple(
            SpikeTrace(
                name,
                block,
                layer.spikes[:, 0].flatten(1).bool(),
                joint.thresholds[name][:, 0],
                layer.charged[:, 0].flatten(1),
            )
            for name, run in joint.motion.items()
            for block, layer in enumerate(run.layers)
        )

    def spike_layers(self, clips: Clips) -> tuple[SpikeLayer, ...]:
        """The layers of both motion streams. Events are spikes, but not where a clip has one segment."""
        joint = self._joint(clips)
        layers: list[SpikeLayer] = []
        for name, run in joint.motion.items():
            stream = self.audio_motion if name == "audio" else self.visual_motion
            layers += motion_layers(
                stream, run, joint.seen[name], joint.floats[name], name, f"{name}_motion", self.config.dynamic_threshold
            )
        return tuple(layers)

    def _joint(self, clips: Clips) -> _Joint:
        heard = self._given(clips, "audio", self.dimensions.audio)
        looked = self._given(clips, "visual", self.dimensions.visual)
        audio = heard.plan.pick(_encode(self.audio_encoder, heard))
        visual = looked.plan.pick(_encode(self.visual_encoder, looked))
        context = self.context(audio, visual, self.config.time_steps)
        events = self._events(clips, looked)
        thresholds = self._thresholds(events, context.knowledge[1:])
        changes = sound_changes(audio, context.knowledge[:-1], heard.plan.single)
        motion = {
            "audio": self.audio_motion(changes, thresholds["audio"]),
            "visual": self.visual_motion(events, thresholds["visual"]),
        }
        tokens = [context.audio, context.visual, motion["audio"].summary, motion["visual"].summary]
        fused = self.fusion(torch.stack(tokens, 1) + self.types).mean(1)
        always = torch.ones_like(heard.plan.single)
        floats = {"audio": always, "visual": looked.plan.single if self.config.events == "proxy" else ~always}
        return _Joint(self.clip_head(fused), motion, thresholds, {"audio": changes, "visual": events}, floats)

    def _given(self, clips: Clips, name: str, size: int | None) -> _Given:
        features, mask = segments(clips, name, size)
        return _Given(features, mask, schedule(features.shape, mask, self.config.time_steps, features.device))

    def _events(self, clips: Clips, looked: _Given) -> Tensor:
        """[T, B, 2, H, W] events of frames, or [D, B, 2 d_v] their stand-in."""
        if self.config.events == "proxy":
            return feature_events(looked.plan.pick(looked.features), looked.plan.places, looked.plan.single)
        if clips.events is None:
            raise ModelError("events is 'frames', but these clips carry no event tensors; use events = 'proxy'")
        if clips.events.shape[1] != self.config.time_steps:
            raise ModelError(
                f"the events have {clips.events.shape[1]} time steps, this model was built for {self.config.time_steps}"
            )
        return clips.events.transpose(0, 1)

    def _thresholds(self, events: Tensor, knowledge: Tensor) -> dict[str, Tensor]:
        """V_th of each step and clip, [T, B, 1], from the share of active events and the entropy of the knowledge."""
        if not self.config.dynamic_threshold:
            return dict.fromkeys(("audio", "visual"), torch.ones_like(knowledge[..., :1]))
        share = (events != 0).flatten(2).to(knowledge.dtype).mean(2, keepdim=True)
        entropy = normalised_entropy(knowledge)
        return {name: rule(share, entropy) for name, rule in self.thresholds.items()}


def _encode(encoder: TwoLayer, given: _Given) -> Tensor:
    """Encoded real segments in their places, [B, L, d]; padded ones are 0."""
    if given.mask is None:
        rows: Tensor = encoder(given.features.flatten(0, 1))
        return rows.view(*given.features.shape[:2], -1)
    rows = encoder(given.features[given.mask])
    return rows.new_zeros(*given.mask.shape, rows.shape[1]).index_put((given.mask,), rows)
