"""Windows of long clips: a table by hand, draws, and what stays as it is."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from avzsl.methods._windows import Window, cut, shortened
from avzsl.types import Clips


def numbered(audio: int, visual: int) -> tuple[Tensor, Tensor]:
    """One clip whose segments carry their own number, counted from 1."""
    return torch.arange(1.0, audio + 1).view(1, -1, 1), torch.arange(1.0, visual + 1).view(1, -1, 1)


def block(*lengths: tuple[int, int]) -> Clips:
    """Clips of so many audio and visual segments."""
    clips = [Clips(*numbered(*pair)) for pair in lengths]
    whole = clips[0]
    for clip in clips[1:]:
        whole = Clips.stack(whole, clip)
    return kept(whole)


def kept(clips: Clips) -> Clips:
    assert clips.audio is not None and clips.visual is not None
    return shortened(clips.audio, clips.visual, clips.audio_mask, clips.visual_mask)


def real(clips: Clips, item: int = 0) -> tuple[list[int], list[int]]:
    """Numbers of the real segments of a clip; all others must stand behind them and be zero."""
    found = []
    for values, mask in ((clips.audio, clips.audio_mask), (clips.visual, clips.visual_mask)):
        assert values is not None and mask is not None
        assert not values[item][~mask[item]].any()
        assert mask[item].tolist() == sorted(mask[item].tolist(), reverse=True)
        found.append([int(value) for value in values[item][mask[item]].flatten().tolist()])
    return found[0], found[1]


CLS: Any = (0.96, 0.64)
SELAVI: Any = (1.0, 1.0)


@pytest.mark.parametrize(
    ("visual", "audio", "length", "steps", "visual_start", "audio_start", "padding"),
    [
        (350, 233, 300, CLS, 25, 17, (0, 0)),
        (100, 66, 60, CLS, 20, 13, (0, 0)),
        (80, 30, 60, CLS, 10, 0, (0, 7)),
        (40, 27, 60, CLS, 0, 0, (20, 10)),
        (350, 350, 300, SELAVI, 25, 25, (0, 0)),
    ],
)
def test_windows_of_the_public_code(
    visual: int, audio: int, length: int, steps: Any, visual_start: int, audio_start: int, padding: tuple[int, int]
) -> None:
    window = Window.of(length, *steps, "product")
    found = cut(block((audio, visual)), window, random=False, full=True)
    assert found.audio is not None and found.visual is not None
    assert (found.audio.shape[1], found.visual.shape[1]) == (window.audio, window.visual)
    heard, looked = real(found)
    assert looked == list(range(visual_start + 1, visual_start + 1 + length - padding[0]))
    assert heard == list(range(audio_start + 1, audio_start + 1 + window.audio - padding[1]))


def test_audio_segments_of_a_window() -> None:
    lengths = {
        (60, CLS, "product"): 37, (300, CLS, "product"): 184, (60, CLS, "quotient"): 40, (300, CLS, "quotient"): 200,
        (60, SELAVI, "product"): 60, (300, SELAVI, "quotient"): 300, (1, (4.0, 1.0), "quotient"): 1,
    }  # fmt: skip
    for (length, steps, rule), audio in lengths.items():
        assert Window.of(length, *steps, rule).audio == audio


def test_the_middle_of_each_clip_is_its_own() -> None:
    found = cut(block((10, 10), (3, 4), (9, 9), (2, 7)), Window(4, 4, 1.0), random=False)
    assert real(found, 0) == ([4, 5, 6, 7], [4, 5, 6, 7])
    assert real(found, 1) == ([1, 2, 3], [1, 2, 3, 4])
    assert real(found, 2) == ([3, 4, 5, 6], [3, 4, 5, 6])  # the earlier of two middles
    assert real(found, 3) == ([1, 2], [2, 3, 4, 5])  # sound that fits stays whole


def test_sound_is_cut_at_the_nearest_segment_but_not_past_its_end() -> None:
    def starts(audio: int, visual: int, ratio: float) -> tuple[int, int]:
        heard, looked = real(cut(block((audio, visual)), Window(2, 4, ratio), random=False))
        return heard[0] - 1, looked[0] - 1

    assert starts(20, 10, 0.5) == (2, 3)  # 1.5 goes to the even neighbour
    assert starts(20, 14, 0.5) == (2, 5)  # and so does 2.5
    assert starts(3, 14, 0.5) == (1, 5)  # one segment more than the window
    assert starts(20, 4, 0.5) == (0, 0)  # the picture fits, so sound loses its end


def test_draws_reach_every_window_or_all_but_the_last() -> None:
    torch.manual_seed(0)
    clips = block((8, 8), (1, 1), (6, 6))
    for last, furthest in ((True, (4, 0, 2)), (False, (3, 0, 1))):
        drawn = [cut(clips, Window(4, 4, 1.0), random=True, last=last) for _ in range(60)]
        for item, most in enumerate(furthest):
            starts = {real(found, item)[1][0] - 1 for found in drawn}
            assert starts == set(range(most + 1))
            assert all(real(found, item)[0] == real(found, item)[1] for found in drawn)
    # One segment too many: without the last window there is only one place.
    assert real(cut(block((5, 5)), Window(4, 4, 1.0), random=True, last=False)) == ([1, 2, 3, 4], [1, 2, 3, 4])


def test_draws_come_from_the_global_generator_and_the_middle_draws_nothing() -> None:
    clips, window = block((40, 40)), Window(4, 4, 1.0)
    torch.manual_seed(3)
    first = real(cut(clips, window, random=True))
    torch.manual_seed(3)
    assert real(cut(clips, window, random=True)) == first
    state = torch.get_rng_state()
    cut(clips, window, random=False)
    assert torch.equal(torch.get_rng_state(), state)


def test_shorter_clips_stay_or_are_padded_to_the_window() -> None:
    clips = block((3, 2), (1, 2))
    same = cut(clips, Window(6, 5, 1.0), random=True)
    assert same.audio is not None and clips.audio is not None and torch.equal(same.audio, clips.audio)
    full = cut(clips, Window(6, 5, 1.0), random=True, full=True)
    assert full.audio is not None and full.visual is not None
    assert (full.audio.shape, full.visual.shape) == ((2, 6, 1), (2, 5, 1))
    assert real(full, 0) == ([1, 2, 3], [1, 2]) and real(full, 1) == ([1], [1, 2])


def test_padding_of_all_clips_is_dropped_and_a_gap_is_not() -> None:
    audio, visual = numbered(5, 4)
    gap = torch.tensor([[True, False, True, False, False]])
    found = shortened(audio, visual, gap, None)
    assert found.audio is not None and found.visual is not None and found.visual_mask is not None
    assert found.audio.shape[1] == 3 and found.visual.shape[1] == 4
    assert found.visual_mask.all()
    assert found.audio_mask is not None and found.audio_mask.tolist() == [[True, False, True]]
