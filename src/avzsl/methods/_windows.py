"""Windows of clips that are longer than a method wants: which segments of sound and picture it looks at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from avzsl.types import Clips


@dataclass(frozen=True)
class Window:
    """A stretch of a clip.

    Attributes:
        audio: L_a, segments of sound.
        visual: L_v, segments of picture.
        ratio: seconds of one visual segment over seconds of one audio segment.
    """

    audio: int
    visual: int
    ratio: float

    @staticmethod
    def of(visual: int, audio_step: float, visual_step: float, rule: Literal["quotient", "product"]) -> Window:
        """A window of so many visual segments, and the audio segments beside them.

        Args:
            visual: L_v.
            audio_step: seconds of one audio segment.
            visual_step: seconds of one visual segment.
            rule: `"quotient"` = as many audio segments as last as long, L_v · visual_step / audio_step; `"product"` =
                L_v · visual_step · audio_step, the public code of TCaF.
        """
        length = visual * visual_step / audio_step if rule == "quotient" else visual * visual_step * audio_step
        return Window(max(1, round(length)), visual, visual_step / audio_step)


def shortened(audio: Tensor, visual: Tensor, audio_mask: Tensor | None, visual_mask: Tensor | None) -> Clips:
    """Clips without the segments at the end that are padding for all of them; masks are always there.

    Args:
        audio: [B, L_a, d_a].
        visual: [B, L_v, d_v].
        audio_mask: [B, L_a] bool, True for a real segment; None when all are real.
        visual_mask: [B, L_v] bool, likewise.
    """
    parts = []
    for values, mask in ((audio, audio_mask), (visual, visual_mask)):
        if mask is None:
            mask = torch.ones(values.shape[:2], dtype=torch.bool, device=values.device)
        else:
            longest = int(_lengths(mask).max())
            values, mask = values[:, :longest], mask[:, :longest]
        parts.append((values, mask))
    return Clips(parts[0][0], parts[1][0], parts[0][1], parts[1][1])


def cut(clips: Clips, window: Window, *, random: bool, last: bool = True, full: bool = False) -> Clips:
    """One window of each clip; what is shorter stays whole.

    The picture decides: a clip of n_v > L_v visual segments is cut at a random place or in the middle, its sound, where
    it is longer than L_a, at the segment nearest in time, but not so late that the window would pass its end. Of a clip
    whose picture fits, longer sound loses its end. Source: the public code of Mercea et al. (TCaF), ECCV 2022.

    Args:
        clips: with both modalities and both masks.
        window: what to keep.
        random: draw the place, from torch's global generator; otherwise the middle.
        last: the last window of a clip can be drawn too.
        full: pad with zeros up to the window where all clips are shorter.
    """
    assert clips.audio is not None and clips.visual is not None
    assert clips.audio_mask is not None and clips.visual_mask is not None
    spare = _lengths(clips.visual_mask) - window.visual
    if random:
        # On the CPU whatever the device, so that the device does not change what is drawn.
        draws = torch.rand(len(clips), dtype=torch.float64).to(spare.device)
        start = torch.where(spare > 0, (draws * (spare + int(last))).long(), 0)
    else:
        start = spare.clamp(min=0) // 2
    beside = (start * window.ratio).round().long()  # a tie goes to the even segment
    beside = torch.minimum(beside, _lengths(clips.audio_mask) - window.audio).clamp(min=0)
    audio, audio_mask = _stretch(clips.audio, clips.audio_mask, beside, window.audio, full)
    visual, visual_mask = _stretch(clips.visual, clips.visual_mask, start, window.visual, full)
    return Clips(audio, visual, audio_mask, visual_mask)


def _lengths(mask: Tensor) -> Tensor:
    """Segments up to the last real one, [B] int64."""
    return (mask * torch.arange(1, mask.shape[1] + 1, device=mask.device)).amax(1)


def _stretch(values: Tensor, mask: Tensor, start: Tensor, length: int, full: bool) -> tuple[Tensor, Tensor]:
    """`length` segments of each clip from its `start` on."""
    there = min(length, values.shape[1])
    if there < values.shape[1]:
        places = start.unsqueeze(1) + torch.arange(there, device=start.device)  # [B, L]
        rows = torch.arange(len(values), device=start.device).unsqueeze(1)
        values, mask = values[rows, places], mask[rows, places]
    if full and there < length:
        values = functional.pad(values, (0, 0, 0, length - there))
        mask = functional.pad(mask, (0, length - there))
    return values, mask
