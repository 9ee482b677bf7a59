"""Share clips out to the splits of the two-stage protocol when nobody has done so (docs/protocol.md section 5)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from avzsl.errors import DataError, SettingError, nearest_name
from avzsl.features.catalog import CLASS_MARKS, VideoItem
from avzsl.layout import SPLITS

# Shares of the classes that stage 1 does not see (V) and that nobody sees before the test (U).
_VALIDATION, _UNSEEN = 0.2, 0.2
# Share of a seen class's clips kept for each of its evaluations.
_HELD_OUT = 0.12
_FEWEST = 2


def assign_splits(items: Sequence[VideoItem], *, unseen: Sequence[str] | None = None, seed: int = 0) -> list[VideoItem]:
    """Give every clip a split: those of the table where it has them, otherwise a seeded choice.

    About 60 % of the classes are met in stage 1 (T1), 20 % in stage 2 (V) and 20 % in the test only (U). Of each class
    of T1 some clips are kept for `stage_1_val_seen` and `stage_2_test_seen`, of each class of V for
    `stage_2_test_seen`: 12 % each, at least one.

    Args:
        items: clips; order does not matter.
        unseen: classes of U, when the caller wants to choose them.
        seed: of the choice.

    Returns:
        The items in their order, each with one of `layout.SPLITS`.

    Raises:
        DataError: too few classes, or a seen class with too few clips.
        SettingError: `unseen` names no class, or contradicts the table.
    """
    if seed < 0:
        raise SettingError(f"seed is {seed}; it must be 0 or more")
    given = {item.split for item in items if item.split not in (None, *CLASS_MARKS)}
    if given:
        if unseen is not None:
            raise SettingError(
                "the table names a split for every video, so unseen classes cannot be chosen as well; leave out the"
                " unseen classes here, or the column 'split' there"
            )
        check_splits(items)
        return list(items)
    clips: dict[str, list[VideoItem]] = defaultdict(list)
    for item in items:
        clips[item.class_name].append(item)
    if unseen is None and any(item.split == "unseen" for item in items):
        unseen = sorted({item.class_name for item in items if item.split == "unseen"})
    parts = _class_parts(sorted(clips), unseen, seed)
    splits: dict[str, str] = {}
    for number, name in enumerate(sorted(clips)):
        generator = np.random.default_rng([seed, number])
        ordered = sorted(item.name for item in clips[name])
        shuffled = [ordered[i] for i in generator.permutation(len(ordered))]
        splits.update(_class_splits(name, parts[name], shuffled))
    assigned = [replace(item, split=splits[item.name]) for item in items]
    check_splits(assigned)
    return assigned


def _class_parts(names: Sequence[str], unseen: Sequence[str] | None, seed: int) -> dict[str, str]:
    """Class name to `"T1"`, `"V"` or `"U"`."""
    least = 3 * _FEWEST
    if len(names) < least:
        raise DataError(
            f"there are {len(names)} classes; training, validation and test need {least} at least; add classes"
        )
    shuffled = [names[i] for i in np.random.default_rng(seed).permutation(len(names))]
    if unseen is None:
        last = shuffled[-max(_FEWEST, round(_UNSEEN * len(names))) :]
    else:
        last = list(dict.fromkeys(unseen))
        for name in last:
            if name not in names:
                raise SettingError(f"unseen class '{name}' is not in the videos{nearest_name(name, names)}")
        if len(last) < _FEWEST:
            raise SettingError(f"{len(last)} unseen class is too few; name {_FEWEST} at least")
    rest = [name for name in shuffled if name not in last]
    validation = max(_FEWEST, round(_VALIDATION * len(names)))
    if len(rest) < 2 * _FEWEST:
        raise SettingError(f"{len(last)} unseen classes leave {len(rest)} for training; leave {2 * _FEWEST} at least")
    validation = min(validation, len(rest) - _FEWEST)
    cut = len(rest) - validation
    return {**dict.fromkeys(rest[:cut], "T1"), **dict.fromkeys(rest[cut:], "V"), **dict.fromkeys(last, "U")}


def _class_splits(name: str, part: str, clips: Sequence[str]) -> dict[str, str]:
    """Clip name to split, for one class."""
    if part == "U":
        return dict.fromkeys(clips, "stage_2_test_unseen")
    if len(clips) < _FEWEST:
        raise DataError(
            f"class '{name}' has {len(clips)} video, but a class seen in training needs {_FEWEST} at least;"
            " add videos or remove the class"
        )
    held = max(1, round(_HELD_OUT * len(clips)))
    test, rest = clips[:held], clips[held:]
    splits = dict.fromkeys(test, "stage_2_test_seen")
    if part == "V":
        return {**splits, **dict.fromkeys(rest, "stage_1_val_unseen")}
    held = min(held, len(rest) - 1)  # a class of two clips goes without validation
    return {
        **splits,
        **dict.fromkeys(rest[:held], "stage_1_val_seen"),
        **dict.fromkeys(rest[held:], "stage_1_train"),
    }


def check_splits(items: Sequence[VideoItem]) -> None:
    """Check what the protocol needs: enough classes, disjoint parts, something in every split.

    Raises:
        DataError: says which split or class.
    """
    classes = split_classes(items)
    train, validation, test = (
        classes[split] for split in ("stage_1_train", "stage_1_val_unseen", "stage_2_test_unseen")
    )
    for split, found in (("stage_1_train", train), ("stage_1_val_unseen", validation), ("stage_2_test_unseen", test)):
        if len(found) < _FEWEST:
            raise DataError(
                f"{split} has {len(found)} class(es) with usable videos, but needs {_FEWEST} at least; add videos, or"
                " leave the splits to the program (no column 'split', no unseen classes)"
            )
    _disjoint("stage_1_val_unseen", validation, "stage_1_train", train)
    _disjoint("stage_2_test_unseen", test, "training", train | validation)
    _inside("stage_1_val_seen", classes["stage_1_val_seen"], "stage_1_train", train)
    _inside("stage_2_test_seen", classes["stage_2_test_seen"], "training", train | validation)
    for split in ("stage_1_val_seen", "stage_2_test_seen"):
        if not classes[split]:
            raise DataError(
                f"{split} has no videos; classes of stage_1_train need three videos each to fill every split"
            )


def split_classes(items: Iterable[VideoItem]) -> Mapping[str, set[str]]:
    """Classes that occur in each split."""
    classes: dict[str, set[str]] = {split: set() for split in SPLITS}
    for item in items:
        if item.split is not None:
            classes[item.split].add(item.class_name)
    return classes


def _disjoint(split: str, found: set[str], other: str, others: set[str]) -> None:
    if found & others:
        name = min(found & others)
        raise DataError(
            f"class '{name}' is in {split} and in {other}, so it is not unseen; move its videos to one of them"
        )


def _inside(split: str, found: set[str], other: str, others: set[str]) -> None:
    if found - others:
        name = min(found - others)
        raise DataError(
            f"class '{name}' is in {split} but not in {other}, so it is not seen; move it to an unseen split"
        )
