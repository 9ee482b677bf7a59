"""Averages of both modalities, and the refusals of clips that lack one."""

from __future__ import annotations

import pytest
import torch

from avzsl.errors import ModelError, SettingError
from avzsl.methods._inputs import both_averaged, both_sizes, segments
from avzsl.types import Clips, Dimensions

SIZES = Dimensions(2, 1, 3)
AUDIO = torch.tensor([[[1.0, 2.0], [3.0, 6.0]], [[5.0, 5.0], [100.0, 100.0]]])
VISUAL = torch.tensor([[[1.0], [2.0], [6.0]], [[4.0], [0.0], [0.0]]])
MASK = torch.tensor([[True, True], [True, False]])


def test_only_real_segments_are_averaged() -> None:
    audio, visual = both_averaged(Clips(AUDIO, VISUAL, MASK, None), SIZES)
    assert audio.tolist() == [[2.0, 4.0], [5.0, 5.0]]
    assert visual.tolist() == [[3.0], [pytest.approx(4 / 3)]]


def test_segments_come_with_their_mask() -> None:
    clips = Clips(AUDIO, VISUAL, MASK, None)
    assert segments(clips, "audio", 2) == (clips.audio, clips.audio_mask)
    assert segments(clips, "visual", 1) == (clips.visual, None)


@pytest.mark.parametrize(
    ("clips", "words"),
    [
        (Clips(AUDIO, None), "no visual features"),
        (Clips(None, VISUAL), "no audio features"),
        (Clips(AUDIO[:, :, :1], VISUAL), "audio features have 1 columns, this model was built for 2"),
        (Clips(AUDIO, VISUAL, torch.tensor([[True, True], [False, False]])), "a clip has no audio segment"),
        (Clips(AUDIO[:, :0], VISUAL), "a clip has no audio segment"),
    ],
)
def test_clips_that_lack_something_are_refused(clips: Clips, words: str) -> None:
    with pytest.raises(ModelError, match=words):
        both_averaged(clips, SIZES)


def test_features_of_one_modality_are_refused_when_the_method_is_built() -> None:
    assert both_sizes(SIZES, "Toy") == (2, 1)
    for dimensions in (Dimensions(None, 4, 3), Dimensions(4, None, 3)):
        with pytest.raises(SettingError, match="Toy needs sound and picture"):
            both_sizes(dimensions, "Toy")
