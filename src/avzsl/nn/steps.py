"""Which segment of a clip each time step of a network sees."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Schedule(NamedTuple):
    """The plan of B clips.

    Attributes:
        places: [D, B] int64, the segment that each step sees; D = T, or 1 where there is one segment.
        single: [B] bool, True for a clip of one real segment.
    """

    places: Tensor
    single: Tensor

    def pick(self, values: Tensor) -> Tensor:
        """What each step sees of [B, L, d] values, [D, B, d]."""
        return values[torch.arange(len(values), device=values.device), self.places]


def schedule(shape: torch.Size, mask: Tensor | None, time_steps: int, device: torch.device) -> Schedule:
    """Step t sees the real segment number floor(t n / T) of the n real ones; padding is never looked at.

    Args:
        shape: [B, L, ...] of the features; L at least 1.
        mask: [B, L] bool, True for a real segment, at least one for each clip; None = all real.
        time_steps: T.
        device: of the result.
    """
    clips, segments = shape[:2]
    if segments == 1:
        one = torch.zeros(1, clips, dtype=torch.long, device=device)
        return Schedule(one, torch.ones(clips, dtype=torch.bool, device=device))
    steps = torch.arange(time_steps, device=device)[:, None]
    if mask is None:
        return Schedule(
            (steps * segments // time_steps).expand(-1, clips),
            torch.zeros(clips, dtype=torch.bool, device=device),
        )
    real = mask.sum(1)
    order = mask.to(torch.uint8).argsort(dim=1, descending=True, stable=True)  # real ones first
    places = order.gather(1, (steps * real // time_steps).T).T
    return Schedule(places, real == 1)
