"""Spiking self-attention (Zhou et al., Spikformer, ICLR 2023), for the full-spike ablation of Table VI."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from avzsl.nn.lif import LifParameters, lif
from avzsl.nn.mlp import RowNorm

# As published: decayed input, hard reset left out of the gradient, sigmoid surrogate.
NEURON = LifParameters(tau=2.0, detach_reset=True, surrogate="sigmoid", alpha=4.0)
THRESHOLD = 1.0
ATTENTION_THRESHOLD = 0.5


class ReasoningRun(NamedTuple):
    """What every layer of a `SpikingReasoningBlock` fired over T steps for N tokens, and what came out.

    Attributes:
        query, key, value, attended, output, second: [T, N, h] zeros and ones.
        first: [T, N, hidden] zeros and ones.
        rows: [T, N, h] the block's output, floats.
    """

    query: Tensor
    key: Tensor
    value: Tensor
    attended: Tensor
    output: Tensor
    first: Tensor
    second: Tensor
    rows: Tensor


class SpikingReasoningBlock(nn.Module):
    """A Spikformer block in the place of `ReasoningBlock`: attention and MLP whose every activation is a spike.

        q, k, v = LIF(BN(Linear(x)))
        y = LIF((q kᵀ) v · scale)          threshold ½, per head and time step
        x = x + LIF(BN(Linear(y)))
        x = x + LIF(BN(Linear(LIF(BN(Linear(x))))))

    Our reading: one block replaces the float block in both its uses (Eq. 4 and Eq. 14); its input is repeated for all
    time steps and its output is averaged over them. With few tokens and sparse spikes the published scale 0.125 leaves
    the attention silent, so the scale is by default learned, starting at 1 / √(number of tokens).

    Args:
        width: h.
        heads: number of heads; must divide `width`.
        hidden: units of the MLP.
        time_steps: T.
        scale: a fixed scale (published: 0.125), or None to learn it.
    """

    def __init__(self, width: int, heads: int, hidden: int, time_steps: int, scale: float | None = None) -> None:
        super().__init__()
        self.heads = heads
        self.time_steps = time_steps
        sizes = {
            "query": (width, width), "key": (width, width), "value": (width, width),
            "output": (width, width), "first": (width, hidden), "second": (hidden, width),
        }  # fmt: skip
        self.linear = nn.ModuleDict({name: nn.Linear(*size) for name, size in sizes.items()})
        self.norm = nn.ModuleDict({name: RowNorm(size[1]) for name, size in sizes.items()})
        self.fixed_scale = scale
        self.scale = None if scale is not None else nn.Parameter(torch.ones(()))

    def over_segments(self, segments: Tensor, mask: Tensor | None = None) -> Tensor:
        """Float tokens [B, L, h], with a mask [B, L] of the real ones, to float tokens [B, L, h], zero where padded."""
        if mask is None:
            mask = torch.ones(segments.shape[:2], dtype=torch.bool, device=segments.device)
        rows: Tensor = self(segments[mask].unsqueeze(0), mask).mean(0)
        refined = rows.new_zeros(segments.shape)
        refined[mask] = rows
        return refined

    def over_modalities(self, tokens: Tensor) -> Tensor:
        """Float tokens [B, M, h], one for each modality, to float tokens [B, M, h]."""
        return self.over_segments(tokens)

    def forward(self, rows: Tensor, mask: Tensor) -> Tensor:
        """Run all time steps.

        Args:
            rows: [T, N, h] the N real tokens of all clips, in order; [1, N, h] when every step sees the same.
            mask: [B, L] bool, where they stand; N of its entries are True.

        Returns:
            [T, N, h].
        """
        return self.run(rows, mask).rows

    def run(self, rows: Tensor, mask: Tensor) -> ReasoningRun:
        """`forward`, with the spikes of every layer."""
        query, key, value = (self._fire(name, rows) for name in ("query", "key", "value"))
        attended = self._attend(query, key, value, mask)
        output = self._fire("output", attended)
        rows = rows + output
        first = self._fire("first", rows)
        second = self._fire("second", first)
        return ReasoningRun(query, key, value, attended, output, first, second, rows + second)

    def _fire(self, name: str, rows: Tensor) -> Tensor:
        """LIF(BN(Linear(rows))): [T or 1, N, in] to spikes [T, N, out]."""
        current = self.norm[name](self.linear[name](rows.flatten(0, 1)))
        current = current.view(len(rows), rows.shape[1], -1).expand(self.time_steps, -1, -1)
        return lif(current, NEURON, THRESHOLD, fast=True).spikes

    def _attend(self, query: Tensor, key: Tensor, value: Tensor, mask: Tensor) -> Tensor:
        steps = len(query)

        def split(rows: Tensor) -> Tensor:  # [T, N, h] to [T, B, heads, L, head_width], nothing where padded
            padded = rows.new_zeros(steps, *mask.shape, rows.shape[2])
            padded[:, mask] = rows
            return padded.view(steps, *mask.shape, self.heads, -1).transpose(2, 3)

        # Counts of coinciding spikes need no softmax, so the cheaper order of the two products is free.
        mixed = split(query) @ (split(key).transpose(3, 4) @ split(value))
        if self.scale is None:
            assert self.fixed_scale is not None
            mixed = mixed * self.fixed_scale
        else:
            tokens = mask.sum(1).view(1, -1, 1, 1, 1)
            mixed = mixed * (self.scale / tokens.to(mixed.dtype).sqrt())
        gathered = mixed.transpose(2, 3).flatten(3)[:, mask]  # [T, N, h]
        return lif(gathered, NEURON, ATTENTION_THRESHOLD, fast=True).spikes
