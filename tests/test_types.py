"""Clips carry their event tensors wherever they go."""

from __future__ import annotations

import pytest
import torch

from avzsl.types import Clips


def clips(rows: int, first: float = 0.0) -> Clips:
    """Ragged clips whose events hold the number of the clip."""
    numbers = torch.arange(rows) + first
    mask = torch.tensor([[True, False]]).expand(rows, -1)
    events = numbers[:, None, None, None, None].expand(-1, 3, 2, 4, 5)
    return Clips(torch.zeros(rows, 1, 6), torch.zeros(rows, 2, 7), None, mask, events)


def numbers(found: Clips) -> list[float]:
    assert found.events is not None
    assert found.events.shape[1:] == (3, 2, 4, 5)
    return found.events[:, 0, 0, 0, 0].tolist()


def test_events_follow_their_clips() -> None:
    assert numbers(clips(4).rows(torch.tensor([2, 0]))) == [2, 0]
    assert numbers(clips(4).rows(slice(1, 3))) == [1, 2]
    assert numbers(Clips.stack(clips(2), clips(3, 10))) == [0, 1, 10, 11, 12]
    moved = clips(2).to("meta")
    assert moved.events is not None and moved.events.device.type == "meta"
    assert moved.visual_mask is not None and moved.visual_mask.device.type == "meta"


def test_events_belong_to_the_picture() -> None:
    assert clips(2).only("audio").events is None
    assert numbers(clips(2).only("visual")) == [0, 1]
    assert numbers(clips(2).only("both")) == [0, 1]


def test_clips_without_events_stay_without() -> None:
    plain = Clips(torch.zeros(2, 1, 6), torch.zeros(2, 2, 7))
    assert plain.events is None and plain.rows(slice(0, 1)).events is None
    assert Clips.stack(plain, plain).events is None
    with pytest.raises(ValueError, match="with events to clips without"):
        Clips.stack(clips(2), plain)
    with pytest.raises(ValueError, match="with events to clips without"):
        Clips.stack(plain, clips(2).only("both"))


def test_events_of_another_shape_are_refused() -> None:
    audio, visual = torch.zeros(2, 1, 6), torch.zeros(2, 2, 7)
    with pytest.raises(ValueError, match=r"must be \[B, T, 2, H, W\], got \(2, 3, 1, 4, 5\)"):
        Clips(audio, visual, events=torch.zeros(2, 3, 1, 4, 5))
    with pytest.raises(ValueError, match=r"got \(2, 3, 2, 4\)"):
        Clips(audio, visual, events=torch.zeros(2, 3, 2, 4))
    with pytest.raises(ValueError, match="3 event tensors need as many visual rows"):
        Clips(audio, visual, events=torch.zeros(3, 3, 2, 4, 5))
    with pytest.raises(ValueError, match="need as many visual rows"):
        Clips(audio, None, events=torch.zeros(2, 3, 2, 4, 5))
