"""Dropout with masks that are drawn 16 bits at a time.

Where it does not run on a processor by Intel, PyTorch draws 64 bits for each number: ten times as long as all else that
dropout does, on one thread only, and with AVCA a quarter of a training step.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from avzsl.nn.eager import plainly

# Rates are multiples of one over this.
DROP_ALL = 2**16


class Dropout(nn.Dropout):
    """`torch.nn.Dropout` with the masks of `keep`."""

    def forward(self, values: Tensor) -> Tensor:
        """Drop in training mode; any shape."""
        return dropout(values, self.p, self.training)


def dropout(values: Tensor, rate: float, training: bool = True) -> Tensor:
    """Each number becomes 0 with probability `rate`, the others grow to 1 / (1 - rate); nothing outside training.

    Args:
        values: any shape.
        rate: the mask's is the nearest multiple of 2⁻¹⁶ on a CPU.
        training: whether to do anything.
    """
    if not training or rate == 0:
        return values
    steps = drop_steps(rate)
    if values.device.type != "cpu" or steps >= DROP_ALL or not plainly(values):
        return functional.dropout(values, rate)
    return values * keep(values, steps).mul_(1 / (1 - rate))


def drop_steps(rate: float) -> int:
    """A rate as a multiple of 2⁻¹⁶, at least one of them unless it is 0."""
    return max(round(rate * DROP_ALL), int(rate > 0))


def keep(like: Tensor, steps: int) -> Tensor:
    """A mask in the shape and type of `like`: 0 with probability steps / 2¹⁶, else 1; from torch's global generator.

    Args:
        like: on the CPU.
        steps: in 0..2¹⁶.
    """
    count = like.numel()
    bits = torch.empty((count + 3) // 4, dtype=torch.int64, device="cpu").random_(-(2**63), None).view(torch.int16)
    mask = torch.empty(like.shape, dtype=like.dtype, device="cpu")
    return torch.ge(bits[:count].view(like.shape), steps - DROP_ALL // 2, out=mask)
