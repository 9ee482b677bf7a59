"""STFT, the Spiking Tucker Fusion Transformer: semantic and temporal paths, fused and reasoned over jointly."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar, Literal, get_args, get_origin, get_type_hints

import torch
from torch import Tensor, nn

from avzsl.errors import SettingError, nearest_name
from avzsl.losses.reconstruction import projection_loss, reconstruction_loss
from avzsl.losses.triplet import cross_modal_triplet
from avzsl.methods._base import EmbeddingMethod, register
from avzsl.methods._inputs import given_segments
from avzsl.nn.attention import ReasoningBlock
from avzsl.nn.latent import LatentCombiner, align
from avzsl.nn.mlp import ProjectionHead, ReconstructionHead, SegmentEncoder, masked_mean
from avzsl.nn.spikformer import SpikingReasoningBlock
from avzsl.nn.spiking import SpikingConfig, SpikingEncoder, SpikingOutput
from avzsl.nn.spiking_layers import encoder_layers, reasoning_layers, recorded_inputs
from avzsl.nn.synapses import SpikeLayer
from avzsl.nn.tucker import TuckerFusion, energy_rank
from avzsl.types import Batch, Clips, Dimensions, SpikeTrace


@dataclass(frozen=True)
class StftConfig:
    """Settings of STFT; every ablation that the paper prints is one of them away.

    Attributes:
        modality: use both modalities or one alone, the other dropped (Fig. 3c).
        paths: both paths fused, the transformer alone, or the spiking network alone (Table IX).
        spiking: the temporal path is a spiking network or, full-float, an MLP (Table VI).
        reasoning: attention in floats or, full-spike, in spikes (Table VI).
        hidden: h, width of encoders, slots and tokens; a multiple of 8.
        heads, head_width: of the attention; a spiking attention divides `hidden` by `heads` instead.
        attention_hidden: units of the MLP beside the attention.
        head_hidden: hidden width of the three heads (Our reading: 128, which Table X leaves room for).
        embedding: p, size of the joint space.
        latent_combiner: LKC (Table IV); off, the encoders' outputs go straight to the attention.
        slots: n, number of latent knowledge slots (Table VII).
        time_steps: T (Fig. 3).
        tau: membrane time constant, in time steps.
        threshold: V_th, of the first step when it is dynamic.
        dynamic_threshold: DTH (Table IV); off, every step fires against `threshold` (Fig. 3c).
        threshold_sign: `"text"` raises the threshold with the information, `"printed"` as Eq. 9 is printed.
        pooling: GLP (Table IV).
        time_step_factor: TSF (Table IV, Fig. 3); off, the mean over time steps.
        channels: of the last spiking block.
        rank: Tucker rank (Fig. 3b), or `"adaptive"`: each clip uses as many components as its spikes need.
        largest_rank: size of the core when `rank` is adaptive.
        serving_rank: with an adaptive rank, use this fixed number of components outside training; 0 = by clip.
        slice_rank: rank of the core's slices; 0 = a free core.
        encoder_dropout: d_enc.
        decoder_dropout: d_dec.
        text_dropout: d_tex.
        margin: γ of Eq. 16 (not stated; 1 in the methods it is compared with).
        alpha: weight of L_t (Table V).
        beta: weight of L_p + L_r (Table V).
        projection_loss: L_p (Table III).
        reconstruction_loss: L_r (Table III).
    """

    modality: Literal["both", "audio", "visual"] = "both"
    paths: Literal["both", "transformer", "snn"] = "both"
    spiking: Literal["snn", "mlp"] = "snn"
    reasoning: Literal["transformer", "spiking_attention"] = "transformer"
    hidden: int = 512
    heads: int = 8
    head_width: int = 64
    attention_hidden: int = 64
    head_hidden: int = 128
    embedding: int = 64
    latent_combiner: bool = True
    slots: int = 4
    time_steps: int = 8
    tau: float = 2.0
    threshold: float = 0.5
    dynamic_threshold: bool = True
    threshold_sign: Literal["text", "printed"] = "text"
    pooling: bool = True
    time_step_factor: bool = True
    channels: int = 8
    rank: int | Literal["adaptive"] = 60
    largest_rank: int = 60
    serving_rank: int = 0
    slice_rank: int = 0
    encoder_dropout: float = 0.2
    decoder_dropout: float = 0.25
    text_dropout: float = 0.1
    margin: float = 1.0
    alpha: float = 0.5
    beta: float = 0.5
    projection_loss: bool = True
    reconstruction_loss: bool = True

    def __post_init__(self) -> None:
        for name, hint in get_type_hints(StftConfig).items():
            value = getattr(self, name)
            if get_origin(hint) is Literal and value not in get_args(hint):
                raise SettingError(f"{name} is '{value}'{nearest_name(str(value), get_args(hint))}")
        for name in ("heads", "head_width", "attention_hidden", "head_hidden", "embedding", "slots", "largest_rank"):
            if getattr(self, name) < 1:
                raise SettingError(f"{name} is {getattr(self, name)}; it must be at least 1")
        for name in ("encoder_dropout", "decoder_dropout", "text_dropout"):
            if not 0 <= getattr(self, name) < 1:
                raise SettingError(f"{name} is {getattr(self, name)}; it must lie in [0, 1)")
        if self.reasoning == "spiking_attention" and self.hidden % self.heads:
            raise SettingError(f"hidden is {self.hidden}; a spiking attention needs a multiple of heads = {self.heads}")
        if not self.margin >= 0:
            raise SettingError(f"margin is {self.margin}; it must not be negative")
        if not (self.alpha >= 0 and self.beta >= 0 and self.alpha + self.beta > 0):
            raise SettingError(f"alpha is {self.alpha} and beta {self.beta}; one must be positive, none negative")
        self._check_rank()
        try:
            self.spiking_config()
        except ValueError as error:
            raise SettingError(str(error).replace("positions is", "hidden is")) from error

    def _check_rank(self) -> None:
        adaptive = self.rank == "adaptive"
        if not adaptive and (isinstance(self.rank, str) or self.rank < 1):
            raise SettingError(f"rank is {self.rank}; it must be at least 1, or 'adaptive'")
        if adaptive and (self.spiking != "snn" or self.paths != "both"):
            raise SettingError("rank is 'adaptive'; that needs spiking = 'snn' and paths = 'both' to judge the spikes")
        if self.serving_rank and not adaptive:
            raise SettingError("serving_rank needs rank = 'adaptive', which trains for every smaller rank")
        if not 0 <= self.serving_rank <= self.core_rank:
            raise SettingError(f"serving_rank is {self.serving_rank}; it must lie in 0..{self.core_rank}")
        if self.slice_rank < 0:
            raise SettingError(f"slice_rank is {self.slice_rank}; it must be positive, or 0 for a free core")

    @property
    def core_rank(self) -> int:
        """R, the size of the core."""
        return self.largest_rank if isinstance(self.rank, str) else self.rank

    def spiking_config(self) -> SpikingConfig:
        """Settings of the spiking encoder."""
        return SpikingConfig(
            time_steps=self.time_steps,
            tau=self.tau,
            threshold=self.threshold,
            pooling=self.pooling,
            dynamic_threshold=self.dynamic_threshold,
            threshold_sign=self.threshold_sign,
            time_step_factor=self.time_step_factor,
            channels=self.channels,
            positions=self.hidden,
        )


@dataclass(frozen=True)
class _Joint:
    """Z_av of B clips [B, h], the spiking outputs by modality, and the mean number of components used."""

    values: Tensor
    spiking: Mapping[str, SpikingOutput]
    rank: Tensor | None


@register("stft")
class Stft(EmbeddingMethod):
    """Spiking Tucker Fusion Transformer (Li et al., IEEE TIP 2024), Eq. 1-18.

    Each modality takes two paths. The semantic one encodes segments, reads them through latent knowledge slots that
    both modalities share (Eq. 1-3) and attends over them (Eq. 4). The temporal one feeds the same features to a spiking
    network (Eq. 5-9). Tucker fusion joins the two (Eq. 10-13), a cross-modal transformer joins the modalities (Eq. 14),
    and a head puts the sum beside the class texts (Eq. 15).

    Our reading, beyond what the parts say of themselves:
        the spiking network sees the raw features, on each modality's own timeline; the semantic path aligns the two
        timelines first (`avzsl.nn.latent.align`), since one update of the slots needs both;
        the transformer path ends in the mean over real segments, one R for each clip;
        positives and negatives pass the encoders together, so batch norm sees one batch;
        L_p and L_r take all 2 B clips of a batch, each against its own class;
        alone, a path goes into Eq. 14 without fusion;
        a modality missing at test time is left out of Eq. 14, and Z_av is scaled to the usual number of terms.
    """

    Config = StftConfig
    title: ClassVar[str] = "STFT"
    year: ClassVar[int] = 2024
    venue: ClassVar[str] = "IEEE TIP"
    citation: ClassVar[str] = (
        "@article{li2024stft, title={Spiking Tucker Fusion Transformer for Audio-Visual Zero-Shot Learning}, "
        "author={Li, Wenrui and Wang, Penghong and Xiong, Ruiqin and Fan, Xiaopeng}, "
        "journal={IEEE Transactions on Image Processing}, year={2024}}"
    )
    config: StftConfig

    def __init__(self, config: StftConfig, dimensions: Dimensions) -> None:
        super().__init__(config, dimensions)
        sizes = {"audio": dimensions.audio, "visual": dimensions.visual}
        wanted = {name: size for name, size in sizes.items() if size and config.modality in ("both", name)}
        if not wanted:
            raise SettingError(f"modality is '{config.modality}', but these features have none of it")
        self.sizes: dict[str, int] = wanted
        self._build_semantic_path()
        self._build_temporal_path()
        hidden, heads, p = config.hidden, config.head_hidden, config.embedding
        self.position = nn.Parameter(0.02 * torch.randn(len(wanted), hidden))  # one for each modality
        self.clip_head = ProjectionHead(hidden, heads, p, config.decoder_dropout)
        self.text_head = ProjectionHead(dimensions.text, heads, p, config.text_dropout)
        if config.reconstruction_loss:
            self.reconstruction_head = ReconstructionHead(p, heads, dimensions.text, config.decoder_dropout)

    def _build_semantic_path(self) -> None:
        config, hidden = self.config, self.config.hidden
        if config.paths != "snn":
            self.encoders = nn.ModuleDict(
                {name: SegmentEncoder(size, hidden, config.encoder_dropout) for name, size in self.sizes.items()}
            )
            if config.latent_combiner:
                self.latent = LatentCombiner(hidden, config.slots, tuple(self.sizes))
        self.attention: ReasoningBlock | SpikingReasoningBlock
        if config.reasoning == "transformer":
            self.attention = ReasoningBlock(hidden, config.heads, config.head_width, config.attention_hidden)
        else:
            self.attention = SpikingReasoningBlock(hidden, config.heads, config.attention_hidden, config.time_steps)

    def _build_temporal_path(self) -> None:
        config, hidden = self.config, self.config.hidden
        if config.paths == "transformer":
            return
        if config.spiking == "snn":
            self.spiking = nn.ModuleDict(
                {name: SpikingEncoder(size, config.spiking_config()) for name, size in self.sizes.items()}
            )
            width = config.channels * hidden // 8
        else:
            self.spiking = nn.ModuleDict(
                {name: SegmentEncoder(size, hidden, config.encoder_dropout) for name, size in self.sizes.items()}
            )
            width = hidden
        if config.paths == "both":
            self.fusion = nn.ModuleDict(
                {name: TuckerFusion(hidden, width, hidden, config.core_rank, config.slice_rank) for name in self.sizes}
            )
        else:
            same = width == hidden
            self.widen = nn.ModuleDict(
                {name: nn.Identity() if same else nn.Linear(width, hidden) for name in self.sizes}
            )

    def loss_terms(self, batch: Batch) -> dict[str, Tensor]:
        """Losses of Eq. 16-18, and for the log the firing rates (`rate_audio`, ...) and the `rank` used if adaptive."""
        pairs = len(batch.clips)
        joint = self._joint(Clips.stack(batch.clips, batch.negatives))
        clips = self.clip_head(joint.values)
        words = batch.classes[torch.cat([batch.labels, batch.negative_labels])]
        texts = self.text_head(words)
        terms = {
            "triplet": cross_modal_triplet(
                clips[:pairs], texts[:pairs], clips[pairs:], texts[pairs:], self.config.margin
            )
        }
        loss = self.config.alpha * terms["triplet"]
        if self.config.projection_loss:
            terms["projection"] = projection_loss(clips, texts)
            loss = loss + self.config.beta * terms["projection"]
        if self.config.reconstruction_loss:
            terms["reconstruction"] = reconstruction_loss(self.reconstruction_head(clips), words)
            loss = loss + self.config.beta * terms["reconstruction"]
        log = {f"rate_{name}": torch.stack(out.rates).mean() for name, out in joint.spiking.items()}
        if joint.rank is not None:
            log["rank"] = joint.rank
        return {"loss": loss} | terms | log

    def embed_clips(self, clips: Clips) -> Tensor:
        """F_av of Eq. 15, [B, p]."""
        embedded: Tensor = self.clip_head(self._joint(clips).values)
        return embedded

    def embed_classes(self, classes: Tensor) -> Tensor:
        """F_tex, [C, p]."""
        embedded: Tensor = self.text_head(classes)
        return embedded

    def components_used(self, clips: Clips) -> Tensor:
        """How many components of the Tucker core each clip uses, the mean over its modalities, [B] float."""
        if self.config.paths != "both":
            raise SettingError("there is no Tucker fusion with paths = 'transformer' or 'snn'")
        given = self._given(clips)
        outputs = {name: self.spiking[name](*pair) for name, pair in given.items()}
        keeps = [self._keep(name, out) for name, out in outputs.items()]
        ranks = [keep if isinstance(keep, Tensor) else torch.full((len(clips),), keep) for keep in keeps]
        return torch.stack([rank.to(clips.device, torch.float32) for rank in ranks]).mean(0)

    def spike_traces(self, clips: Clips) -> tuple[SpikeTrace, ...]:
        """What each spiking block of each modality did for the first clip; empty without a spiking network."""
        if self.config.paths == "transformer" or self.config.spiking == "mlp":
            return ()
        traces = []
        for name, (features, mask) in self._given(clips).items():
            encoder = self.spiking[name]
            assert isinstance(encoder, SpikingEncoder)
            for block, trace in enumerate(encoder.trace(features, mask)):
                traces.append(SpikeTrace(name, block, trace.spikes, trace.threshold, trace.membrane))
        return tuple(traces)

    def spike_layers(self, clips: Clips) -> tuple[SpikeLayer, ...]:
        """The spiking blocks of each modality; with a spiking attention its layers, too, once for each use of it."""
        given = self._given(clips)
        layers: list[SpikeLayer] = []
        if self.config.paths != "transformer" and self.config.spiking == "snn":
            for name, (features, mask) in given.items():
                encoder = self.spiking[name]
                assert isinstance(encoder, SpikingEncoder)
                layers += encoder_layers(encoder, features, mask, name, "spiking")
        if isinstance(self.attention, SpikingReasoningBlock):
            with recorded_inputs(self.attention) as calls:
                self._joint(clips)
            uses = [*(given if self.config.paths != "snn" else ()), "both"]  # Eq. 4 of each modality, then Eq. 14
            for name, (rows, mask) in zip(uses, calls, strict=True):
                layers += reasoning_layers(self.attention, rows, mask, name, "attention")
        return tuple(layers)

    def without_spikes(self) -> Stft | None:
        """The MLP of Table VI in the place of the spiking network, a float attention in that of a spiking one."""
        rank = self.config.core_rank
        config = replace(self.config, spiking="mlp", reasoning="transformer", rank=rank, serving_rank=0)
        return None if config == self.config else Stft(config, self.dimensions)

    def _given(self, clips: Clips) -> dict[str, tuple[Tensor, Tensor | None]]:
        """Features and mask of each modality that this model uses and these clips have, checked."""
        return given_segments(clips, self.sizes)

    def _joint(self, clips: Clips) -> _Joint:
        """Everything before the heads."""
        given = self._given(clips)
        semantic = self._semantic(given) if self.config.paths != "snn" else {}
        summaries, outputs = self._temporal(given) if self.config.paths != "transformer" else ({}, {})
        if self.config.paths == "both":
            tokens, rank = self._fuse(semantic, summaries, outputs)
        else:
            tokens, rank = semantic or {name: self.widen[name](s) for name, s in summaries.items()}, None
        places = [list(self.sizes).index(name) for name in tokens]
        stacked = torch.stack(list(tokens.values()), 1) + self.position[places]
        reasoned = self.attention.over_modalities(stacked)  # Z, [B, M, h]
        values = reasoned.sum(1) * (len(self.sizes) / len(tokens))
        return _Joint(values, outputs, rank)

    def _semantic(self, given: Mapping[str, tuple[Tensor, Tensor | None]]) -> dict[str, Tensor]:
        """Encoders, LKC and self-attention (Eq. 1-4), averaged over segments: R of each modality, [B, h]."""
        encoded = {name: self.encoders[name](*pair) for name, pair in given.items()}
        masks = [mask for _, mask in given.values()]
        if len(encoded) == 2:
            encoded["audio"], encoded["visual"], mask = align(encoded["audio"], encoded["visual"], masks[0], masks[1])
        else:
            mask = masks[0]
        if self.config.latent_combiner:
            encoded = self.latent(encoded, mask)
        return {name: masked_mean(self.attention.over_segments(x, mask), mask) for name, x in encoded.items()}

    def _temporal(
        self, given: Mapping[str, tuple[Tensor, Tensor | None]]
    ) -> tuple[dict[str, Tensor], dict[str, SpikingOutput]]:
        """S of each modality, [B, N], and what the spiking networks said about it (nothing for the MLP)."""
        if self.config.spiking == "mlp":
            return {n: masked_mean(self.spiking[n](*pair), pair[1]) for n, pair in given.items()}, {}
        outputs: dict[str, SpikingOutput] = {n: self.spiking[n](*pair) for n, pair in given.items()}
        return {n: out.summary for n, out in outputs.items()}, outputs

    def _fuse(
        self, semantic: Mapping[str, Tensor], summaries: Mapping[str, Tensor], outputs: Mapping[str, SpikingOutput]
    ) -> tuple[dict[str, Tensor], Tensor | None]:
        if self.config.rank != "adaptive":
            return {name: self.fusion[name](semantic[name], summaries[name]) for name in semantic}, None
        core = self.config.core_rank
        # Nested dropout: one random leading part for the whole batch makes every leading part a model of its own.
        drawn = int(torch.randint(1, core + 1, ())) if self.training else None
        keeps = {name: drawn or self._keep(name, outputs[name]) for name in semantic}
        fused = {name: self.fusion[name](semantic[name], summaries[name], keeps[name]) for name in semantic}
        used = [torch.as_tensor(keep, dtype=torch.float32).mean().cpu() for keep in keeps.values()]
        return fused, torch.stack(used).mean()

    def _keep(self, name: str, output: SpikingOutput) -> int | Tensor:
        """Components of the core to use outside training: one number, or one for each clip."""
        if self.config.rank != "adaptive":
            return self.config.core_rank
        if self.config.serving_rank:
            return self.config.serving_rank
        fusion = self.fusion[name]
        assert isinstance(fusion, TuckerFusion)
        return energy_rank(fusion.project_steps(output.spikes))
