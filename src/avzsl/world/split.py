"""Divide the clips of a world among the splits of the two-stage protocol."""

from __future__ import annotations

from avzsl.errors import SettingError

FEWEST_CLIPS = 4
# Share of a seen class that is held back for each evaluation; the public benchmarks hold back about a tenth.
_HELD = 1 / 8


def split_of(part: str, clip: int, clips: int) -> str:
    """The split of one clip.

    Classes of `"train"` give clips to stage_1_train, stage_1_val_seen and stage_2_test_seen; classes of
    `"val"` are unseen in stage 1 and seen in stage 2, so they give to stage_1_val_unseen and
    stage_2_test_seen; classes of `"unseen"` are met in the test alone. The training data of stage 2 is the
    union of the stage-1 splits. Clips of a class are drawn alike, so going by their numbers is fair.

    Args:
        part: part of the clip's class, `"train"`, `"val"` or `"unseen"`.
        clip: number of the clip in its class, from 0.
        clips: clips per class.

    Raises:
        SettingError: too few clips for every split to get one.
    """
    if clips < FEWEST_CLIPS:
        raise SettingError(f"a world needs at least {FEWEST_CLIPS} clips per class, not {clips}")
    if part == "unseen":
        return "stage_2_test_unseen"
    held = max(1, round(clips * _HELD))
    if clip >= clips - held:
        return "stage_2_test_seen"
    if part == "val":
        return "stage_1_val_unseen"
    return "stage_1_val_seen" if clip >= clips - 2 * held else "stage_1_train"
