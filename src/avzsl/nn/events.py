"""Events: what a camera that reports changes of brightness alone would have seen.

`event_tensor` makes events of frames by the standard event-camera model. `feature_events` is the nearest thing to it
for benchmarks that ship feature vectors instead of frames.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

CONTRAST = 0.2  # C: change of log intensity that makes one event
FLOOR = 1e-3  # keeps the logarithm of black finite


class Crossings(NamedTuple):
    """What happens between frames, pixel by pixel; times count in frames.

    Attributes:
        counts: [F - 1, H, W] int64 number of events, negative where the pixel grew darker.
        references: [F, H, W] the log intensity that each pixel compares with, after each frame.
        first: [F - 1, H, W] time of the first event, meaningful where there is one.
        spacing: [F - 1, H, W] time between two events, likewise.
    """

    counts: Tensor
    references: Tensor
    first: Tensor
    spacing: Tensor


def crossings(frames: Tensor, contrast: float = CONTRAST, floor: float = FLOOR) -> Crossings:
    """Events by the standard event-camera model.

    Every pixel holds a reference log intensity, that of the first frame. When the next frame is n whole steps of C away
    from it, the pixel emits n events and the reference moves by as many steps towards the frame. In between, the log
    intensity is a straight line, which gives each event its time.

    Args:
        frames: [F, H, W] grey intensity in 0..1.
        contrast: C, above 0.
        floor: added to the intensity before the logarithm; 0 if nothing is black.

    Raises:
        ValueError: wrong shape, no frame, or a contrast that is not positive.
    """
    if frames.dim() != 3 or len(frames) == 0:
        raise ValueError(f"frames must be [F, H, W] with at least one frame, got {tuple(frames.shape)}")
    if not contrast > 0:
        raise ValueError(f"contrast is {contrast}; it must be positive")
    logs = (frames.double() + floor).log()
    reference = logs[0]
    references, counts, first, spacing = [reference], [], [], []
    for k in range(1, len(logs)):
        away = logs[k] - reference
        sign = away.sign()
        count = (away.abs() / contrast).floor()
        change = logs[k] - logs[k - 1]
        # The distance to the first level from where the line starts, not from the reference; a pixel that stands still
        # divides by zero here, and has no events.
        first.append(k - 1 + (reference + sign * contrast - logs[k - 1]) / change)
        spacing.append(contrast / change.abs())
        counts.append((sign * count).long())
        reference = reference + sign * count * contrast
        references.append(reference)
    nothing = logs[:0]
    return Crossings(
        torch.stack(counts) if counts else nothing.long(),
        torch.stack(references),
        torch.stack(first) if first else nothing,
        torch.stack(spacing) if spacing else nothing,
    )


def event_tensor(frames: Tensor, time_steps: int = 8, contrast: float = CONTRAST, floor: float = FLOOR) -> Tensor:
    """Frames to a binary event tensor: did this pixel get brighter (0) or darker (1) in this part of the clip?

    Args:
        frames: [F, H, W] grey intensity in 0..1.
        time_steps: T equal parts from the first frame to the last.
        contrast, floor: as for `crossings`.

    Returns:
        [T, 2, H, W] float32 zeros and ones.

    Raises:
        ValueError: as for `crossings`, or there is no time step.
    """
    if time_steps < 1:
        raise ValueError(f"time_steps is {time_steps}; it must be at least 1")
    found = crossings(frames, contrast, floor)
    intervals = len(found.counts)
    shape = frames.shape[1:]
    events = torch.zeros(time_steps, 2, shape.numel(), device=frames.device)
    for count, first, spacing in zip(found.counts, found.first, found.spacing, strict=True):
        number = count.abs()
        for j in range(int(number.max()) if number.numel() else 0):
            rows = (number > j).flatten().nonzero().squeeze(1)
            time = (first + j * spacing).flatten()[rows]
            part = (time * time_steps / intervals).floor().long().clamp(0, time_steps - 1)
            darker = (count.flatten()[rows] < 0).long()
            events[part, darker, rows] = 1
    return events.view(time_steps, 2, *shape)


def feature_events(steps: Tensor, places: Tensor, single: Tensor) -> Tensor:
    """Stand-in for events where there are no frames: jumps of feature vectors.

    An entry has an event where it moved by more than one standard deviation of its clip's movements since the step
    before, upwards in the first half of the columns, downwards in the second. A clip of one segment has no movement:
    its vector itself enters, positive and negative parts side by side.

    Args:
        steps: [D, B, d] the vector that each step sees; D = 1 where all clips have one segment, else T.
        places: [D, B] which segment it is; two steps of the same segment are no movement.
        single: [B] bool, True for a clip of one segment.

    Returns:
        [D, B, 2 d].
    """
    still = torch.cat([steps.clamp(min=0), (-steps).clamp(min=0)], 2)
    if len(steps) == 1:
        return still
    moved = (places.diff(dim=0) != 0).unsqueeze(2)  # [D - 1, B, 1]
    jumps = steps.diff(dim=0) * moved
    entries = (moved.sum(0) * steps.shape[2]).clamp(min=1)  # [B, 1]
    mean = jumps.sum((0, 2)).unsqueeze(1) / entries
    variance = ((jumps - mean).square() * moved).sum((0, 2)).unsqueeze(1) / entries
    limit = variance.sqrt()
    found = torch.cat([jumps > limit, jumps < -limit], 2).to(steps.dtype)
    found = torch.cat([torch.zeros_like(found[:1]), found])
    return torch.where(single[:, None], still, found)
