"""Folders under other names, and files that nothing reads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from avzsl.data.verify import verify_benchmark
from avzsl.data.verify.folders import family_of
from avzsl.errors import DataError

MAIN = "features/main_features"


def test_a_clean_folder_has_notes_at_most(folder: Path) -> None:
    found = verify_benchmark(folder)
    assert {f.kind for f in found.findings} == {"missing-list", "missing-csv"}
    assert {f.severity for f in found.findings} == {"note"}


def test_a_folder_that_is_no_benchmark_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is no benchmark folder"):
        verify_benchmark(tmp_path)
    with pytest.raises(DataError, match="there is no folder"):
        verify_benchmark(tmp_path / "nowhere")


def test_an_underscore_is_a_note(folder: Path, expect: Any) -> None:
    (folder / "class-split").rename(folder / "class_split")
    expect(folder, "note", "spelling", "class_split", "spelt with an underscore", "(P17)")


def test_both_spellings_at_once_are_a_warning(folder: Path, expect: Any) -> None:
    (folder / "class_split").mkdir()
    expect(folder, "warning", "spelling", "class_split", "only that one is read (P17)", "remove one of the two folders")


def test_the_older_spelling_of_temporal_folders_is_a_note(tiny_copy: Path) -> None:
    features = tiny_copy / "features"
    (features / "main_features_non_averaged").rename(features / "main_features_no_averaged")
    found = verify_benchmark(tiny_copy)
    (finding,) = (f for f in found.findings if f.kind == "spelling")
    assert (finding.severity, finding.where) == ("note", "features/main_features_no_averaged")
    assert found.families[0].temporal is not None


def test_both_temporal_folders_at_once_are_a_warning(tiny_copy: Path) -> None:
    (tiny_copy / "features" / "main_features_no_averaged").mkdir()
    (finding,) = (f for f in verify_benchmark(tiny_copy).findings if f.kind == "spelling")
    assert (finding.severity, finding.where) == ("warning", "features/main_features_no_averaged")
    assert finding.what == "lies beside main_features_non_averaged, and only that one is read (P17)"


@pytest.mark.parametrize(
    ("place", "what"),
    [
        ("notes.txt", "1 entry that nothing reads: 'notes.txt'"),
        ("class-split/old.csv", "1 entry that nothing reads: 'old.csv'"),
        ("class-split/main_split/extra.txt", "1 entry that nothing reads: 'extra.txt'"),
        (f"{MAIN}/readme", "1 entry that nothing reads: 'readme'"),
        (f"{MAIN}/audio/stage_1_train/cat.npy", "1 file that nothing reads: 'cat.npy'"),
    ],
)
def test_a_foreign_file_is_a_note(place: str, what: str, folder: Path, expect: Any) -> None:
    (folder / place).write_text("x")
    assert expect(folder, "note", "foreign-file", str(Path(place).parent), what).mend == ""


def test_a_foreign_folder_among_splits_is_a_warning_with_the_nearest_name(folder: Path, expect: Any) -> None:
    (folder / MAIN / "audio" / "stage1_train").mkdir()
    expect(
        folder, "warning", "foreign-file", f"{MAIN}/audio/stage1_train", "is no split, so nothing reads it",
        "is 'stage_1_train' meant? rename it",
    )  # fmt: skip


def test_a_misspelt_feature_folder_is_a_warning_with_the_nearest_name(folder: Path, expect: Any) -> None:
    (folder / "features" / "cls_feature").mkdir()
    expect(folder, "warning", "foreign-file", "features/cls_feature", "is read by nothing", "is 'cls_features' meant?")


def test_what_a_killed_extraction_left_is_a_note(folder: Path, expect: Any) -> None:
    (folder / ".partial-abc").mkdir()
    expect(folder, "note", "left-over", ".", "1 piece of an extraction that was killed", "run the same 'avzsl extract'")


@pytest.mark.parametrize(
    ("name", "family"),
    [
        ("main_features", "main"),
        ("cls_features_non_averaged", "cls"),
        ("my own_features_no_averaged", "my own"),
        ("main_features_old", None),
        ("_features", None),
        ("features", None),
    ],
)
def test_names_of_feature_folders(name: str, family: str | None, tmp_path: Path) -> None:
    (tmp_path / name).mkdir()
    assert family_of(tmp_path / name) == family
