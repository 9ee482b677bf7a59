"""Thresholds that follow what moves and what a clip is about.

Our reconstruction: the papers of AVMST and MDFT say that semantic (and motion) cues adjust the firing threshold, and
give no formula that could be read.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


class SemanticThreshold(nn.Module):
    """V_th = ½ + σ(ω_m m + ω_s e + b): 1 before training, always between ½ and 1½."""

    def __init__(self) -> None:
        super().__init__()
        self.motion = nn.Parameter(torch.zeros(()))
        self.semantic = nn.Parameter(torch.zeros(()))
        self.bias = nn.Parameter(torch.zeros(()))

    def forward(self, motion: Tensor, entropy: Tensor) -> Tensor:
        """Thresholds of shares m and entropies e in 0..1, of any shapes that broadcast."""
        return 0.5 + torch.sigmoid(self.motion * motion + self.semantic * entropy + self.bias)


def normalised_entropy(values: Tensor) -> Tensor:
    """Entropy of softmax(values) over the last axis, as a share of the largest possible one.

    Args:
        values: [..., d].

    Returns:
        [..., 1] in 0..1; 1 where all values are equal.
    """
    logarithms = torch.log_softmax(values, -1)
    entropy = -(logarithms.exp() * logarithms).sum(-1, keepdim=True)
    return entropy / math.log(max(values.shape[-1], 2))
