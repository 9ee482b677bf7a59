"""Random Fourier features of a time stamp."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


class TimeEmbedding(nn.Module):
    """φ(t) = W [sin(2πtf), cos(2πtf)] + b with random frequencies f that are drawn once and not trained.

    Source: the public code of Mercea et al. (TCaF), ECCV 2022. It treats a time stamp as a point (t, t) of a plane, so
    a frequency is the sum of two draws and has twice the variance of one.

    Args:
        width: of the embedding; even.
        scale: deviation of one draw.
    """

    frequencies: Tensor

    def __init__(self, width: int, scale: float) -> None:
        super().__init__()
        # A buffer: saved with the weights, for a trained model is worth nothing with other frequencies.
        self.register_buffer("frequencies", scale * torch.randn(2, width // 2))
        self.linear = nn.Linear(width, width)

    def waves(self, times: Tensor) -> Tensor:
        """Sines and cosines [L, width] of times [L]."""
        angles = 2 * math.pi * times.unsqueeze(1) * self.frequencies.sum(0)
        return torch.cat([angles.sin(), angles.cos()], 1)

    def forward(self, times: Tensor) -> Tensor:
        """Embed times [L] in seconds (or any other unit) as [L, width]."""
        embedded: Tensor = self.linear(self.waves(times))
        return embedded
