"""Every clip has one use, as in section 5 of the protocol."""

from __future__ import annotations

from collections import Counter

import pytest

from avzsl.errors import SettingError
from avzsl.world.split import split_of


def _count(part: str, clips: int) -> Counter[str]:
    return Counter(split_of(part, clip, clips) for clip in range(clips))


def test_the_default_number_of_clips_is_divided_as_the_protocol_does() -> None:
    assert _count("train", 24) == {"stage_1_train": 18, "stage_1_val_seen": 3, "stage_2_test_seen": 3}
    assert _count("val", 24) == {"stage_1_val_unseen": 21, "stage_2_test_seen": 3}
    assert _count("unseen", 24) == {"stage_2_test_unseen": 24}


@pytest.mark.parametrize("clips", [4, 5, 7, 8, 11, 24, 100])
def test_every_split_gets_a_clip_of_every_class(clips: int) -> None:
    train, val = _count("train", clips), _count("val", clips)
    assert len(train) == 3 and len(val) == 2
    assert train["stage_1_train"] >= clips / 2
    assert train["stage_1_val_seen"] == train["stage_2_test_seen"] == val["stage_2_test_seen"]


@pytest.mark.parametrize("clips", [0, 3])
def test_too_few_clips_are_refused(clips: int) -> None:
    with pytest.raises(SettingError, match="at least 4"):
        split_of("train", 0, clips)
