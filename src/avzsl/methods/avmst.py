"""AVMST, the Modality-Fusion Spiking Transformer: AVCA with a spiking branch beside each encoder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Literal, NamedTuple, final

import torch
from torch import Tensor, nn

from avzsl.config import quirk
from avzsl.errors import SettingError
from avzsl.losses.cross_attention import Pair
from avzsl.methods._avca import AvcaConfig, AvcaNetwork
from avzsl.methods._base import register
from avzsl.methods._inputs import both_averaged, both_sizes
from avzsl.nn.integrate import BranchRun, BranchState, SpikingBranch
from avzsl.nn.semantic_threshold import SemanticThreshold, normalised_entropy
from avzsl.nn.spiking_layers import branch_layers
from avzsl.nn.synapses import SpikeLayer
from avzsl.types import Batch, Clips, Dimensions, SpikeTrace


@dataclass(frozen=True)
class AvmstConfig(AvcaConfig):
    """Settings of AVMST: those of AVCA and of the spiking branches.

    Attributes:
        time_steps: T.
        gate_scale: factor of the softmax over a branch's rates; `token` gives a gate of mean 1 (V6).
        dynamic_threshold: thresholds follow semantic cues, as the abstract says and the public code does not (V7); our
            reconstruction, `SemanticThreshold`. Off, they are 1.
        frozen_branches: V1, the spiking branches stay as they were drawn.
        visual_loop: V2, `"audio"` sends visual features through the audio branch from the second time step on.
        reset: potentials start from 0 before every sequence, or (V4) before every `"forward"` pass only.
        fusion_token: which of two fused tokens goes on, the `"first"`; or (V5) `"by_modality"`, the first of sound and
            the second of picture.
    """

    time_steps: int = 10
    gate_scale: float = 1.0
    dynamic_threshold: bool = False
    frozen_branches: bool = quirk("V1", clean=False, reference=True)
    visual_loop: Literal["visual", "audio"] = quirk("V2", clean="visual", reference="audio")
    reset: Literal["sequence", "forward"] = quirk("V4", clean="sequence", reference="forward")
    fusion_token: Literal["first", "by_modality"] = quirk("V5", clean="first", reference="by_modality")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.time_steps < 1:
            raise SettingError(f"time_steps is {self.time_steps}; it must be at least 1")
        if not 0 < self.gate_scale < float("inf"):
            raise SettingError(f"gate_scale is {self.gate_scale}; it must be above 0 and finite")
        for name, choices in (
            ("visual_loop", ("visual", "audio")), ("reset", ("sequence", "forward")),
            ("fusion_token", ("first", "by_modality")),
        ):  # fmt: skip
            if getattr(self, name) not in choices:
                raise SettingError(f"{name} is '{getattr(self, name)}'; it is {' or '.join(map(repr, choices))}")


class _Fused(NamedTuple):
    """φ′ of both modalities, and the runs of their spiking branches in the order of time."""

    tokens: Pair
    runs: dict[str, list[BranchRun]]


@register("avmst")
@final
class Avmst(AvcaNetwork):
    """Modality-Fusion Spiking Transformer Network (Li et al., ICME 2023), after its public code.

    Beside each encoder a spiking branch sees the same averaged features T times, and the softmax of its firing rates
    gates the encoder's token. The transformer fuses each token with its gated copy; then the same transformer lets
    sound and picture look at each other, and all that follows is AVCA.

    Our reading: the public code has no training; losses, settings and passes are those of the AVCA code that it ships
    with.
    """

    Config = AvmstConfig
    title: ClassVar[str] = "AVMST"
    year: ClassVar[int] = 2023
    venue: ClassVar[str] = "ICME"
    citation: ClassVar[str] = (
        "Li, Ma, Deng, Man and Fan, Modality-Fusion Spiking Transformer Network for Audio-Visual Zero-Shot Learning, "
        "ICME 2023"
    )
    note: ClassVar[str] = "the released code, which is not of the published size"
    checked_with: ClassVar[Dimensions | None] = Dimensions(audio=24, visual=24, text=12)  # V2 needs equal widths
    config: AvmstConfig

    def __init__(self, config: AvmstConfig, dimensions: Dimensions) -> None:
        super().__init__(config, dimensions)
        audio, visual = both_sizes(dimensions, self.title)
        if config.visual_loop == "audio" and audio != visual:
            raise SettingError(
                f"visual_loop is 'audio', as in the public code: visual features go through the audio branch, but they"
                f" have {visual} columns and audio features {audio}; use clean mode, or visual_loop = 'visual'"
            )
        sizes = {"audio": audio, "visual": visual}
        self.spiking = nn.ModuleDict(
            {name: SpikingBranch(size, config.encoder_hidden, config.token) for name, size in sizes.items()}
        ).requires_grad_(not config.frozen_branches)
        if config.dynamic_threshold:
            self.thresholds = nn.ModuleDict({name: SemanticThreshold() for name in sizes})

    def loss_terms(self, batch: Batch) -> dict[str, Tensor]:
        """AVCA's five groups of losses, and for the log the firing rates (`rate_audio`, `rate_visual`)."""
        potentials: dict[str, BranchState] = {}
        fused = self._fused(*both_averaged(batch.clips, self.dimensions), potentials)
        negative = self._fused(*both_averaged(batch.negatives, self.dimensions), potentials)
        rates = {f"rate_{name}": _mean_rate(runs) for name, runs in fused.runs.items()}
        return self.passes_after_encoders(batch, fused.tokens, negative.tokens).losses() | rates

    def firing_rates(self, clips: Clips) -> Pair:
        """Share of the T steps at which each output neuron of a branch fired, [B, token] of each modality."""
        runs = self._fused(*both_averaged(clips, self.dimensions), {}).runs
        return Pair(_output_rates(runs["audio"]), _output_rates(runs["visual"]))

    def spike_traces(self, clips: Clips) -> tuple[SpikeTrace, ...]:
        """What both layers of both branches did for the first clip."""
        with torch.no_grad():
            found = self._fused(*both_averaged(clips.rows(slice(0, 1)), self.dimensions), {}).runs
        return tuple(
            SpikeTrace(
                name,
                layer,
                torch.cat([run.spikes[layer] for run in runs])[:, 0].bool(),
                torch.cat([run.thresholds[layer] for run in runs])[:, 0],
                torch.cat([run.charged[layer] for run in runs])[:, 0],
            )
            for name, runs in found.items()
            for layer in range(2)
        )

    def spike_layers(self, clips: Clips) -> tuple[SpikeLayer, ...]:
        """Both layers of both branches; a modality that goes through two branches has a part in each."""
        runs = self._fused(*both_averaged(clips, self.dimensions), {}).runs
        layers: list[SpikeLayer] = []
        for name, parts in runs.items():
            branch = self.spiking[name]
            assert isinstance(branch, SpikingBranch)  # both branches have the same sizes where one stands for the other
            layers += branch_layers(branch, parts, name, "spiking", self.config.dynamic_threshold)
        return tuple(layers)

    def _encode(self, audio: Tensor, visual: Tensor) -> Pair:
        return self._fused(audio, visual, {}).tokens

    def _fused(self, audio: Tensor, visual: Tensor, potentials: dict[str, BranchState]) -> _Fused:
        """Encoders, spiking branches, and each token fused with its gated copy.

        Args:
            audio, visual: [B, d_a] and [B, d_v].
            potentials: where the branches leave theirs. The public code resets them after positives and negatives, so
                the same record goes from one to the other; it never outlives a call of the method.
        """
        tokens = super()._encode(audio, visual)
        runs = self._spikes({"audio": audio, "visual": visual}, tokens, potentials)
        fused = []
        for place, (name, token) in enumerate(tokens._asdict().items()):
            gate = self.config.gate_scale * torch.softmax(_output_rates(runs[name]), 1)
            pair = self.attention(torch.stack([token, token * gate], 1) + self.position[place])
            fused.append(pair[:, place if self.config.fusion_token == "by_modality" else 0])
        return _Fused(Pair(*fused), runs)

    def _spikes(
        self, rows: dict[str, Tensor], tokens: Pair, potentials: dict[str, BranchState]
    ) -> dict[str, list[BranchRun]]:
        steps = self.config.time_steps
        plan = {"audio": [("audio", steps)], "visual": [("visual", steps)]}
        if self.config.visual_loop == "audio":
            plan["visual"] = [("visual", 1), ("audio", steps - 1)]
        runs: dict[str, list[BranchRun]] = {name: [] for name in plan}
        for name, parts in plan.items():
            for branch, count in parts:
                if count:
                    before = potentials.get(branch) if self.config.reset == "forward" else None
                    run = self.spiking[branch](rows[name], count, before, self._rule(branch, getattr(tokens, name)))
                    potentials[branch] = run.state
                    runs[name].append(run)
        return runs

    def _rule(self, branch: str, tokens: Tensor) -> Callable[[Tensor], Tensor] | None:
        if not self.config.dynamic_threshold:
            return None
        threshold, entropy = self.thresholds[branch], normalised_entropy(tokens)
        return lambda share: threshold(share, entropy)


def _output_rates(runs: list[BranchRun]) -> Tensor:
    """Mean over all time steps of the output layer's spikes, [B, token]."""
    return _joined([run.spikes[1] for run in runs]).mean(0)


def _mean_rate(runs: list[BranchRun]) -> Tensor:
    """Share of neurons that fire at a step, the mean over both layers, without gradient."""
    layers = [_joined([run.spikes[layer].detach() for run in runs]).mean() for layer in range(2)]
    return torch.stack(layers).mean()


def _joined(parts: list[Tensor]) -> Tensor:
    """Parts of a sequence one after the other; a single one as it is (copying costs as much as reading)."""
    return parts[0] if len(parts) == 1 else torch.cat(parts)
