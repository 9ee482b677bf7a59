"""Faults in the split files."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest

from avzsl.data.verify import verify_benchmark

SPLITS = "class-split/main_split"
TRAIN = ("apple", "bell", "cat", "dog")


def _write(folder: Path, split: str, *names: str) -> str:
    (folder / SPLITS / f"{split}.txt").write_text("\n".join(names) + "\n")
    return f"{SPLITS}/{split}.txt"


def _write_csv(folder: Path, split: str, rows: list[tuple[str, str, int]]) -> str:
    with (folder / SPLITS / f"{split}.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("filename", "label", "label_code"), *rows])
    return f"{SPLITS}/{split}.csv"


def _clips(split: str, classes: tuple[str, ...], count: int) -> list[tuple[str, str, int]]:
    """What the toy benchmark holds."""
    codes = sorted(("apple", "bell", "cat", "dog", "egg", "fish, fried", "goat", "horn"))
    return [(f"{name} {split} {i}", name, codes.index(name)) for name in classes for i in range(count)]


@pytest.mark.parametrize("split", ["stage_1_train", "stage_1_val_seen", "stage_2_test_unseen"])
def test_a_missing_list_is_an_error(split: str, folder: Path, expect: Any) -> None:
    (folder / SPLITS / f"{split}.txt").unlink()
    also = {"stage_1_train": ["not-seen", "no-clips"], "stage_2_test_unseen": ["no-clips"]}
    where = f"{SPLITS}/{split}.txt"
    expect(
        folder, "error", "missing-list", where, "cannot read", "check the benchmark folder", also=also.get(split, [])
    )


def test_the_list_that_follows_from_two_others_may_be_missing(folder: Path) -> None:
    (finding,) = (f for f in verify_benchmark(folder).findings if f.kind == "missing-list")
    assert (finding.severity, finding.where) == ("note", f"{SPLITS}/stage_2_train.txt")


def test_a_list_that_is_not_text_is_an_error(folder: Path, expect: Any) -> None:
    path = folder / SPLITS / "stage_1_val_seen.txt"
    path.write_bytes(b"\xff\xff")
    expect(folder, "error", "split-list", f"{SPLITS}/stage_1_val_seen.txt", "is not UTF-8 text")


def test_an_empty_list_of_unseen_classes_is_an_error(folder: Path, expect: Any) -> None:
    where = _write(folder, "stage_2_test_unseen")
    expect(folder, "error", "split-list", where, "names no class", also=["no-clips"])


def test_an_empty_list_of_seen_classes_is_a_warning(folder: Path, expect: Any) -> None:
    where = _write(folder, "stage_1_val_seen")
    expect(folder, "warning", "split-list", where, "names no class")


def test_an_unknown_class_is_told_with_the_nearest_name(folder: Path, expect: Any) -> None:
    where = _write(folder, "stage_2_test_unseen", "goat", "hron")
    expect(folder, "error", "unknown-class", where, "class 'hron' is not in class-split/all_class.txt", "is 'horn'")


def test_a_class_listed_twice_is_a_warning(folder: Path, expect: Any) -> None:
    where = _write(folder, "stage_1_train", *TRAIN, "bell")
    expect(folder, "warning", "duplicate-class", where, "lists 'bell' twice", "remove one of the lines")


def test_an_unseen_class_that_is_trained_on_is_an_error(folder: Path, expect: Any) -> None:
    where = _write(folder, "stage_2_test_unseen", "goat", "horn", "cat")
    expect(
        folder, "error", "not-unseen", where, "'cat' is also trained on (in stage_2_train), so it is not unseen",
        "take it out of one of the lists", also=["class-without-clips"],
    )  # fmt: skip


def test_a_validation_class_that_is_trained_on_is_an_error(folder: Path, expect: Any) -> None:
    where = _write(folder, "stage_1_val_unseen", "egg", "fish, fried", "dog")
    expect(folder, "error", "not-unseen", where, "'dog'", "in stage_1_train", also=["class-without-clips"])


def test_a_seen_class_that_nobody_trains_on_is_an_error(folder: Path, expect: Any) -> None:
    where = _write(folder, "stage_1_val_seen", *TRAIN, "goat")
    expect(folder, "error", "not-seen", where, "'goat' is not in stage_1_train, so it is not seen", "the unseen split")


def test_a_seen_list_that_leaves_out_a_class_is_a_note(folder: Path, expect: Any) -> None:
    where = _write(folder, "stage_1_val_seen", "apple", "bell", "cat")
    expect(folder, "note", "split-list", where, "leaves out 1 class of stage_1_train ('dog')", "judged all the same")


def test_a_union_that_is_none_is_an_error(folder: Path, expect: Any) -> None:
    where = _write(folder, "stage_2_train", *TRAIN, "egg")
    expect(
        folder, "error", "split-relation", where, "'fish, fried' is only in one of the two", "from the other two lists"
    )


def test_clip_lists_that_fit_are_no_finding(folder: Path, expect: Any) -> None:
    _write_csv(folder, "stage_1_train", _clips("stage_1_train", TRAIN, 6))
    _write_csv(folder, "stage_1_val_seen", _clips("stage_1_val_seen", TRAIN, 3))
    where = f"{SPLITS}"
    found = expect(folder, "note", "missing-csv", where, "'stage_1_val_unseen.csv', 'stage_2_train.csv'", "and 1 more")
    assert found.mend == ""


def test_a_clip_list_without_its_column_is_a_warning(folder: Path, expect: Any) -> None:
    where = f"{SPLITS}/stage_1_train.csv"
    (folder / where).write_text("name,label,label_code\n")
    expect(folder, "warning", "split-csv", where, "has no column 'filename'")


def test_a_wrong_code_is_a_warning(folder: Path, expect: Any) -> None:
    rows = _clips("stage_1_train", TRAIN, 6)
    rows[2] = (*rows[2][:2], 5)
    where = _write_csv(folder, "stage_1_train", rows)
    expect(
        folder, "warning", "label-code", where, "1 row with a label_code", "'apple stage_1_train 2'", "mix up classes"
    )


def test_an_unknown_class_in_a_clip_list_is_a_warning(folder: Path, expect: Any) -> None:
    where = _write_csv(
        folder, "stage_1_train", [*_clips("stage_1_train", TRAIN, 6), ("x", "zebra", 1), ("y", "yak", 2)]
    )
    expect(folder, "warning", "unknown-class", where, "2 rows of classes that are not in all_class.txt: 'yak', 'zebra'")


def test_a_clip_listed_twice_is_a_warning(folder: Path, expect: Any) -> None:
    rows = _clips("stage_1_train", TRAIN, 6)
    where = _write_csv(folder, "stage_1_train", [*rows, rows[0]])
    expect(folder, "warning", "duplicate-clip", where, "1 clip more than once: 'apple stage_1_train 0'", "other rows")


def test_a_clip_list_that_shares_clips_with_training_is_a_warning(folder: Path, expect: Any) -> None:
    _write_csv(folder, "stage_1_train", _clips("stage_1_train", TRAIN, 6))
    shared = ("bell stage_1_train 4", "bell", 1)
    where = _write_csv(
        folder, "stage_2_test_seen", [*_clips("stage_2_test_seen", (*TRAIN, "egg", "fish, fried"), 3), shared]
    )
    expect(
        folder, "warning", "clip-in-two-splits", where, "1 clip also in what stage 2 trains on: 'bell stage_1_train 4'",
        also=["missing-clips"],
    )  # fmt: skip


def test_a_clip_list_that_is_no_union_is_a_warning(folder: Path, expect: Any) -> None:
    _write(folder, "stage_2_train", *TRAIN, "egg", "fish, fried")
    parts = [
        _clips("stage_1_train", TRAIN, 6), _clips("stage_1_val_seen", TRAIN, 3),
        _clips("stage_1_val_unseen", ("egg", "fish, fried"), 5),
    ]  # fmt: skip
    for split, rows in zip(("stage_1_train", "stage_1_val_seen", "stage_1_val_unseen"), parts, strict=True):
        _write_csv(folder, split, rows)
    where = _write_csv(folder, "stage_2_train", [row for part in parts for row in part][:-1])
    expect(folder, "warning", "split-relation", where, "is not the union", "'fish, fried stage_1_val_unseen 4'")
