"""The spatial-temporal spiking network of STFT (Sec. III-B): three convolutional blocks over T time steps."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from avzsl.nn.convolution import KERNEL, STRIDE, halving_convolution
from avzsl.nn.gate import normalised_gate
from avzsl.nn.lif import LifParameters
from avzsl.nn.pooling import GlobalLocalPooling, summarise
from avzsl.nn.threshold import DynamicRun, ThresholdRule, dynamic_lif

BLOCKS = 3


@dataclass(frozen=True)
class SpikingConfig:
    """Settings of the spiking encoder.

    Attributes:
        time_steps: T (Fig. 3 tries 2, 4, 8, 16).
        tau: membrane time constant, in steps.
        threshold: V_th at the first step, and at all of them without the dynamic one.
        v_rest, v_reset: resting and reset potential.
        reset: hard, soft or none.
        detach_reset: leave the reset out of the gradient.
        surrogate: a name in `avzsl.nn.surrogate.SURROGATES`.
        alpha: sharpness of the surrogate; None = its default.
        pooling: global-local pooling (Eq. 7). Off, the current passes through a logistic alone.
        dynamic_threshold: DTH (Eq. 9).
        threshold_sign: `"text"` or `"printed"`, see `ThresholdRule`.
        threshold_clamp: the threshold stays within this factor of `threshold`.
        time_step_factor: TSF (Eq. 8). Off, the mean over the steps.
        channels: of the second and third block; the first has half as many.
        positions: width of the feature vector the first block sees; other widths are mapped to it first.
        fast: hand-derived backward passes; False runs the plain loops (same numbers, for checking).
    """

    time_steps: int = 8
    tau: float = 2.0
    threshold: float = 0.5
    v_rest: float = 0.0
    v_reset: float = 0.0
    reset: Literal["hard", "soft", "none"] = "hard"
    detach_reset: bool = False
    surrogate: str = "atan"
    alpha: float | None = None
    pooling: bool = True
    dynamic_threshold: bool = True
    threshold_sign: Literal["text", "printed"] = "text"
    threshold_clamp: float = 4.0
    time_step_factor: bool = True
    channels: int = 8
    positions: int = 512
    fast: bool = True

    def __post_init__(self) -> None:
        if self.time_steps < 1:
            raise ValueError(f"time_steps is {self.time_steps}; it must be at least 1")
        if self.channels < 2:
            raise ValueError(f"channels is {self.channels}; it must be at least 2")
        if self.positions < 2 * STRIDE**BLOCKS or self.positions % STRIDE**BLOCKS:
            raise ValueError(f"positions is {self.positions}; it must be a multiple of {STRIDE**BLOCKS}, 16 or more")
        self.neuron(), self.rule()  # they check the rest

    def neuron(self) -> LifParameters:
        """The constants of the neurons."""
        return LifParameters(
            self.tau, self.v_rest, self.v_reset, self.reset, self.detach_reset, self.surrogate, self.alpha
        )

    def rule(self) -> ThresholdRule:
        """How the thresholds move."""
        return ThresholdRule(self.threshold, self.dynamic_threshold, self.threshold_sign, self.threshold_clamp)


class SpikingOutput(NamedTuple):
    """What the encoder says about B clips.

    Attributes:
        summary: [B, N] the spikes of the last block, weighted over time (S in Eq. 8).
        spikes: [B, T, N] of the last block, exact zeros and ones.
        rates: for each block [T], the share of neurons that fired at each step, over the batch; without gradient.
        weights: [B, T] of the time steps.
    """

    summary: Tensor
    spikes: Tensor
    rates: tuple[Tensor, ...]
    weights: Tensor


class BlockTrace(NamedTuple):
    """What one block did for one clip.

    Attributes:
        spikes: [T, N] bool.
        threshold: [T, C] what each channel fired against.
        membrane: [T, N] before the reset.
    """

    spikes: Tensor
    threshold: Tensor
    membrane: Tensor


class SpikingBlock(nn.Module):
    """Convolution over the feature axis, batch norm, GLP, LIF (Eq. 5-7, 9).

    Args:
        inputs: channels that come in.
        outputs: channels of neurons.
        config: settings.
    """

    def __init__(self, inputs: int, outputs: int, config: SpikingConfig) -> None:
        super().__init__()
        self.params, self.rule, self.fast = config.neuron(), config.rule(), config.fast
        # no bias: the batch norm takes it off again
        self.weight = nn.Parameter(torch.empty(outputs, inputs, KERNEL))
        nn.init.kaiming_uniform_(self.weight, a=5**0.5)  # as nn.Conv1d does
        self.norm = nn.BatchNorm1d(outputs)
        self.pooling = GlobalLocalPooling()
        self.gate = config.pooling

    def current(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """The neurons' input current and sigma(P_all).

        Args:
            inputs: [D, B, C_in, P_in] features or spikes.

        Returns:
            [D, B, C, P] in (0, 1) and [D, B, C, 1].
        """
        values = halving_convolution(inputs.flatten(0, 1), self.weight, self.fast)  # [D * B, C, P]
        current, pool = normalised_gate(values, self.norm, self.pooling.beta, self.gate, self.fast)
        D, B = inputs.shape[:2]
        return current.view(D, B, *current.shape[1:]), torch.sigmoid(pool).view(D, B, *pool.shape[1:])

    def forward(self, inputs: Tensor, steps: tuple[int, ...], keep_charged: bool = False) -> DynamicRun:
        """Run T steps from rest.

        Args:
            inputs: [D, B, C_in, P_in], D distinct inputs.
            steps: which of them each of the T steps sees.
            keep_charged: return the membranes, too.
        """
        current, gate = self.current(inputs)
        return dynamic_lif(current, gate, steps, self.params, self.rule, self.fast, keep_charged)


class SpikingEncoder(nn.Module):
    """Features of one modality to a spike train and its summary (Sec. III-B).

    Time step t sees segment floor(t L / T) of the clip's L real segments ('direct encoding': features enter as
    currents, not as spikes). The first block has no memory before its neurons, so its convolution runs once per
    *distinct* segment wherever that changes nothing: always in eval mode, and in training where every segment is seen
    equally often, so that the batch statistics are the same. Copies are not samples: the running variance then uses
    n / (n - 1) of the n distinct values, not of T / L times as many.

    Our reading: the features enter as they are when they are `positions` wide; else a linear map and a batch norm (over
    the segments that are seen) bring them there, and that map is not counted as part of the spiking network.

    Args:
        dimension: width d of the incoming features.
        config: settings.

    Attributes:
        width: N, neurons of the last block and size of the summary.
    """

    def __init__(self, dimension: int, config: SpikingConfig) -> None:
        super().__init__()
        self.config = config
        self.map: nn.Linear | None = None
        if dimension != config.positions:
            self.map = nn.Linear(dimension, config.positions, bias=False)
            self.map_norm = nn.BatchNorm1d(config.positions)
        sizes = (1, max(1, config.channels // 2), config.channels, config.channels)
        self.blocks = nn.ModuleList(SpikingBlock(sizes[k], sizes[k + 1], config) for k in range(BLOCKS))
        self.width = config.channels * config.positions // STRIDE**BLOCKS

    def forward(self, features: Tensor, mask: Tensor | None = None) -> SpikingOutput:
        """Encode B clips, each from rest.

        Args:
            features: [B, L, d] float.
            mask: [B, L] bool, True for a real segment; None = all real. A clip without any counts its first one.
        """
        runs = self._run(features, mask)
        spikes = runs[-1].spikes.flatten(2)  # [T, B, N]
        if self.config.time_step_factor:
            summary, weights = summarise(spikes, self.config.fast)
        else:
            weights = spikes.new_full(spikes.shape[:2], 1 / len(spikes))
            summary = spikes.mean(dim=0)
        rates = tuple(run.spikes.detach().mean(dim=(1, 2, 3)) for run in runs)
        return SpikingOutput(summary, spikes.transpose(0, 1), rates, weights.transpose(0, 1))

    def trace(self, features: Tensor, mask: Tensor | None = None) -> list[BlockTrace]:
        """What every block does for the first clip, with the statistics of eval mode.

        Args:
            features, mask: as in `forward`; rows after the first are ignored.
        """
        with torch.no_grad(), _evaluating(self):
            runs = self._run(features[:1], None if mask is None else mask[:1], keep_charged=True)
        return [
            BlockTrace(run.spikes[:, 0].flatten(1).bool(), run.thresholds[:, 0, :, 0], run.charged[:, 0].flatten(1))
            for run in runs
        ]

    def _run(self, features: Tensor, mask: Tensor | None, keep_charged: bool = False) -> list[DynamicRun]:
        inputs, steps = self._schedule(features, mask)
        if self.map is not None:
            inputs = self._mapped(inputs)
        values = inputs.unsqueeze(2)  # [D, B, 1, positions]
        runs = []
        for block in self.blocks:
            run: DynamicRun = block(values, steps, keep_charged)
            runs.append(run)
            values, steps = run.spikes, tuple(range(self.config.time_steps))
        return runs

    def _schedule(self, features: Tensor, mask: Tensor | None) -> tuple[Tensor, tuple[int, ...]]:
        """The D distinct inputs [D, B, d], and which of them each step sees."""
        if features.dim() != 3 or 0 in features.shape[:2]:
            raise ValueError(
                f"features must be [B, L, d] with at least one clip and segment, got {tuple(features.shape)}"
            )
        T, L = self.config.time_steps, features.shape[1]
        seen = [t * L // T for t in range(T)]
        if mask is None or L == 1:
            # in training the batch norms may see each segment once only where all of them would be seen equally often
            if L < T and (not self.training or T % L == 0):
                return features.transpose(0, 1), tuple(seen)
            return features[:, seen].transpose(0, 1), tuple(range(T))
        real = mask.sum(dim=1, keepdim=True).clamp(min=1)  # [B, 1]
        order = mask.to(torch.uint8).argsort(dim=1, descending=True, stable=True)  # real ones first
        place = torch.arange(T, device=features.device) * real // T  # [B, T]
        rows = torch.arange(len(features), device=features.device)[:, None]
        return features[rows, order.gather(1, place)].transpose(0, 1), tuple(range(T))

    def _mapped(self, inputs: Tensor) -> Tensor:
        """Linear map and batch norm over all D * B rows; a single row is normalised by the running statistics."""
        assert self.map is not None
        rows = self.map(inputs.flatten(0, 1))
        with _evaluating(self.map_norm, len(rows) == 1):
            rows = self.map_norm(rows)
        return rows.unflatten(0, inputs.shape[:2])  # type: ignore[no-any-return]


@contextmanager
def _evaluating(module: nn.Module, when: bool = True) -> Iterator[None]:
    """Eval mode inside the block."""
    training = module.training
    if when:
        module.eval()
    try:
        yield
    finally:
        module.train(training)
