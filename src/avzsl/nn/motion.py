"""The motion streams of MDFT: spiking layers over events, with thresholds given from outside.

Our reconstruction: no source states a layer of it. Three convolutional blocks are what STFT uses, by the same first
author.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from avzsl.nn.lif import LifParameters, lif
from avzsl.nn.mlp import RowNorm

CHANNELS = (32, 64, 128)
# spikingjelly's LIFNode: hard reset to 0, its gradient included, sigmoid surrogate of sharpness 4.
LEAKY = LifParameters(surrogate="sigmoid")


class LayerRun(NamedTuple):
    """One layer's spikes and its potentials before the reset, [T, B, ...]."""

    spikes: Tensor
    charged: Tensor


class MotionRun(NamedTuple):
    """Mean spikes [B, outputs] of a stream's last layer, and what every layer did."""

    summary: Tensor
    layers: tuple[LayerRun, ...]


class MotionLayer(nn.Module):
    """Linear without bias · BatchNorm · LIF over T steps; its summary is the mean over time.

    Args:
        inputs: width of a row.
        outputs: neurons.
        params: constants of the neuron.
    """

    def __init__(self, inputs: int, outputs: int, params: LifParameters = LEAKY) -> None:
        super().__init__()
        self.params = params
        self.linear = nn.Linear(inputs, outputs, bias=False)
        self.norm = RowNorm(outputs)

    def forward(self, rows: Tensor, thresholds: Tensor) -> MotionRun:
        """Run T steps from rest.

        Args:
            rows: [D, B, inputs], D = T, or 1 where every step sees the same.
            thresholds: [T, B, 1].
        """
        current = self.norm(self.linear(rows.flatten(0, 1))).unflatten(0, rows.shape[:2])
        run = lif(current.expand(len(thresholds), -1, -1), self.params, thresholds, fast=True)
        return MotionRun(run.spikes.mean(0), (LayerRun(run.spikes, run.charged),))


class ConvolutionalMotion(nn.Module):
    """Three blocks of Conv 3x3 of stride 2 · BatchNorm · LIF, the mean over positions, and a `MotionLayer`.

    Args:
        outputs: neurons of the last layer.
        params: constants of the neuron.
    """

    def __init__(self, outputs: int, params: LifParameters = LEAKY) -> None:
        super().__init__()
        self.params = params
        sizes = (2, *CHANNELS)
        self.convolutions = nn.ModuleList(
            nn.Conv2d(sizes[k], sizes[k + 1], 3, stride=2, padding=1, bias=False) for k in range(len(CHANNELS))
        )
        self.norms = nn.ModuleList(nn.BatchNorm2d(channels) for channels in CHANNELS)
        self.last = MotionLayer(CHANNELS[-1], outputs, params)

    def forward(self, events: Tensor, thresholds: Tensor) -> MotionRun:
        """Run T steps from rest.

        Args:
            events: [T, B, 2, H, W] zeros and ones.
            thresholds: [T, B, 1], the same for all layers.
        """
        values, layers = events, []
        for convolution, norm in zip(self.convolutions, self.norms, strict=True):
            current = norm(convolution(values.flatten(0, 1))).unflatten(0, values.shape[:2])
            run = lif(current, self.params, thresholds[..., None, None], fast=True)
            layers.append(LayerRun(run.spikes, run.charged))
            values = run.spikes
        found: MotionRun = self.last(values.mean((3, 4)), thresholds)
        return MotionRun(found.summary, (*layers, *found.layers))


def sound_changes(steps: Tensor, knowledge: Tensor, single: Tensor) -> Tensor:
    """What the discrepancy analysis block looks at (ours): how the sound differs from what was.

    A sequence is compared with its own step before (0 at the first), a clip of one segment with the joint knowledge of
    the step before.

    Args:
        steps: [D, B, d] encoded sound, D = T or 1.
        knowledge: [T, B, d] h_0 to h_{T-1}.
        single: [B] bool, True for a clip of one segment.

    Returns:
        [T, B, d].
    """
    against_knowledge = steps - knowledge
    if len(steps) == 1:
        return against_knowledge
    changes = torch.cat([torch.zeros_like(steps[:1]), steps.diff(dim=0)])
    return torch.where(single[:, None], against_knowledge, changes)
