"""Faults in all_class.txt and in the class-name csv."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from avzsl.data.verify import verify_benchmark

ALL = "class-split/all_class.txt"
CSV = "class-split/toy_w2v_class_names.csv"


def _replace(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_a_missing_list_is_told_once_and_the_rest_is_checked(folder: Path, expect: Any) -> None:
    (folder / ALL).unlink()
    (folder / "features/main_features/audio/stage_1_train/cat.h5").write_bytes(b"bad")
    expect(folder, "error", "class-names", ALL, "cannot read", "No such file", "check the", also=["damaged-file"])


def test_an_empty_list_is_an_error(folder: Path, expect: Any) -> None:
    (folder / ALL).write_text("\n\n")
    expect(folder, "error", "class-names", ALL, "holds no class names", "download or write the class split again")


def test_a_list_that_is_not_text_is_an_error(folder: Path, expect: Any) -> None:
    (folder / ALL).write_bytes(b"\xff\xfe apple")
    expect(folder, "error", "class-names", ALL, "is not UTF-8 text", "download it again")


def test_a_class_named_twice_is_an_error(folder: Path, expect: Any) -> None:
    (folder / ALL).write_text((folder / ALL).read_text() + "\nbell\n")
    expect(folder, "error", "duplicate-class", ALL, "names 'bell' twice", "remove one of the lines")


def test_names_that_differ_by_case_only_are_a_warning(folder: Path, expect: Any) -> None:
    (folder / ALL).write_text((folder / ALL).read_text() + "\nBELL\n")
    expect(folder, "warning", "case", ALL, "'BELL' and 'bell' differ by case only", "give one of them another name")


def test_where_case_is_ignored_they_are_one_class(folder: Path, expect: Any) -> None:
    (folder / CSV).rename(folder / "class-split/ucf_w2v_class_names.csv")
    (folder / ALL).write_text((folder / ALL).read_text() + "\nBELL\n")
    text = folder / "features/main_features/text"
    (text / "word_embeddings_toy_normed.safetensors").rename(text / "word_embeddings_ucf_normed.safetensors")
    expect(
        folder, "error", "duplicate-class", ALL, "names a class twice: 'bell' and 'BELL'", also=["not-as-published"]
    )  # fmt: skip


def test_another_spelling_is_a_note_where_case_is_ignored(folder: Path) -> None:
    (folder / CSV).rename(folder / "class-split/ucf_w2v_class_names.csv")
    _replace(folder / "class-split/main_split/stage_1_train.txt", "bell", "Bell")
    (finding,) = (f for f in verify_benchmark(folder).findings if f.kind == "case")
    assert (finding.severity, finding.where) == ("note", "class-split/main_split")
    assert finding.what == "spells 1 class with other capitals: 'Bell' for 'bell' (P14)"


def test_a_csv_without_its_column_is_an_error(folder: Path, expect: Any) -> None:
    _replace(folder / CSV, "original,manual", "name,manual")
    expect(folder, "error", "class-csv", CSV, "has no column 'original'", "it needs: original, manual")


def test_a_missing_csv_is_an_error(folder: Path, expect: Any) -> None:
    (folder / CSV).unlink()
    expect(folder, "error", "class-csv", CSV, "No such file")


def test_an_unknown_class_is_told_with_the_nearest_name(folder: Path, expect: Any) -> None:
    _replace(folder / CSV, "apple,", "aple,")
    found = expect(
        folder, "error", "unknown-class", CSV, "class 'aple' is not in class-split/all_class.txt", "is 'apple' meant?",
        also=["no-vector"],
    )  # fmt: skip
    assert "case" not in found.mend


def test_an_unknown_class_that_differs_by_case_is_told_so(folder: Path, expect: Any) -> None:
    _replace(folder / CSV, "apple,", "Apple,")
    expect(folder, "error", "unknown-class", CSV, "is 'apple' meant (case counts here)?", also=["no-vector"])


def test_a_class_listed_twice_is_an_error(folder: Path, expect: Any) -> None:
    (folder / CSV).write_text((folder / CSV).read_text() + "apple,apple\n")
    expect(folder, "error", "duplicate-class", CSV, "lists 'apple' twice", "remove one of the rows")


def test_one_vector_for_two_classes_is_a_warning(folder: Path, expect: Any) -> None:
    _replace(folder / CSV, "apple,apple", "apple,bell")
    expect(folder, "warning", "shared-vector", CSV, "'apple', 'bell' all use the word vector 'bell'", "of its own")


def test_a_copy_of_the_folder_is_as_good(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "elsewhere" / "Toy")
    first, second = verify_benchmark(folder), verify_benchmark(tmp_path / "elsewhere")
    assert first.findings == second.findings
    assert second.root == tmp_path / "elsewhere" / "Toy"
