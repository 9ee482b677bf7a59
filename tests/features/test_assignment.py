from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from avzsl.errors import AvzslError, DataError, SettingError
from avzsl.features.assignment import assign_splits, check_splits, split_classes
from avzsl.features.catalog import VideoItem


def videos(counts: list[int], split: str | None = None) -> list[VideoItem]:
    return [
        VideoItem(Path(f"{c}/{k}.mp4"), f"class {c:02d}", split, f"{c}_{k}")
        for c, count in enumerate(counts)
        for k in range(count)
    ]


def test_forty_classes_are_shared_out_60_20_20_with_a_tenth_held_out() -> None:
    items = assign_splits(videos([25] * 40))
    classes = split_classes(items)
    sizes = {split: len(names) for split, names in classes.items()}
    assert sizes == {
        "stage_1_train": 24,
        "stage_1_val_seen": 24,
        "stage_1_val_unseen": 8,
        "stage_2_train": 0,
        "stage_2_test_seen": 32,
        "stage_2_test_unseen": 8,
    }
    assert Counter(i.split for i in items) == {
        "stage_1_train": 24 * 19,
        "stage_1_val_seen": 24 * 3,
        "stage_1_val_unseen": 8 * 22,
        "stage_2_test_seen": 32 * 3,
        "stage_2_test_unseen": 8 * 25,
    }


def test_the_choice_follows_the_seed_and_not_the_order_of_files() -> None:
    items = videos([5] * 12)
    chosen = {i.name: i.split for i in assign_splits(items, seed=3)}
    assert chosen == {i.name: i.split for i in assign_splits(items[::-1], seed=3)}
    assert chosen != {i.name: i.split for i in assign_splits(items, seed=4)}


def test_the_caller_chooses_the_unseen_classes() -> None:
    items = assign_splits(videos([4] * 8), unseen=["class 01", "class 06", "class 07"])
    assert split_classes(items)["stage_2_test_unseen"] == {"class 01", "class 06", "class 07"}
    marked = [replace(i, split="unseen" if i.class_name < "class 02" else "seen") for i in videos([4] * 8)]
    assert split_classes(assign_splits(marked))["stage_2_test_unseen"] == {"class 00", "class 01"}


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 9), min_size=1, max_size=14), st.integers(0, 5))
def test_any_data_set_gets_valid_splits_or_a_clear_refusal(counts: list[int], seed: int) -> None:
    try:
        items = assign_splits(videos(counts), seed=seed)
    except AvzslError as error:
        assert isinstance(error, DataError) and (len(counts) < 6 or min(counts) < 3)
        return
    check_splits(items)
    classes = split_classes(items)
    assert classes["stage_1_train"] | classes["stage_1_val_unseen"] == classes["stage_2_test_seen"]
    assert all(i.split for i in items)


@pytest.mark.parametrize(
    ("counts", "unseen", "kind", "message"),
    [
        ([3] * 5, None, DataError, "5 classes"),
        ([1] * 8, None, DataError, "has 1 video"),
        ([2] * 8, None, DataError, "stage_1_val_seen has no videos"),
        ([3] * 8, ["class 1"], SettingError, "did you mean 'class 01'"),
        ([3] * 8, ["class 01"], SettingError, "too few"),
        ([3] * 8, [f"class 0{i}" for i in range(5)], SettingError, "leave 3 for training"),
    ],
)
def test_what_cannot_make_a_benchmark_is_refused(
    counts: list[int], unseen: list[str] | None, kind: type[AvzslError], message: str
) -> None:
    with pytest.raises(kind, match=message):
        assign_splits(videos(counts), unseen=unseen)


def given_splits() -> list[VideoItem]:
    return assign_splits(videos([4] * 14))


def test_splits_of_a_table_are_kept_and_checked() -> None:
    items = given_splits()
    assert assign_splits(items) == items
    with pytest.raises(SettingError, match="cannot be chosen"):
        assign_splits(items, unseen=["class 01", "class 02"])


def moved(wanted: str, to: str) -> list[VideoItem]:
    """The given splits with one class's clips of `wanted` moved to `to`."""
    items = given_splits()
    name = min(i.class_name for i in items if i.split == wanted)
    return [replace(i, split=to) if i.class_name == name and i.split == wanted else i for i in items]


@pytest.mark.parametrize(
    ("wanted", "to", "message"),
    [
        ("stage_1_val_seen", "stage_1_val_unseen", "is in stage_1_val_unseen and in stage_1_train"),
        ("stage_2_test_seen", "stage_2_test_unseen", "is in stage_2_test_unseen and in training"),
        ("stage_1_train", "stage_1_val_seen", "in stage_1_val_seen but not in stage_1_train"),
        ("stage_2_test_unseen", "stage_2_test_seen", "in stage_2_test_seen but not in training"),
    ],
)
def test_contradictions_of_a_table_are_named(wanted: str, to: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        assign_splits(moved(wanted, to))


@pytest.mark.parametrize("split", ["stage_1_train", "stage_1_val_unseen", "stage_2_test_unseen", "stage_1_val_seen"])
def test_a_split_without_enough_classes_is_named(split: str) -> None:
    items = [i for i in given_splits() if i.split != split]
    with pytest.raises(DataError, match=split):
        check_splits(items)


def test_a_seed_below_zero_is_refused() -> None:
    with pytest.raises(SettingError, match="seed is -1; it must be 0 or more"):
        assign_splits(videos([4] * 14), seed=-1)
