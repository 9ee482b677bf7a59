"""Faults in the word vectors, and what a loader by rank would do with the published ones."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from avzsl.data.verify import verify_benchmark
from avzsl.features.store import read_word_vectors, write_word_vectors
from avzsl.types import TextVectors

VECTORS = "features/main_features/text/word_embeddings_toy_normed.safetensors"
CSV = "class-split/toy_w2v_class_names.csv"


def _change(folder: Path, rows: dict[str, torch.Tensor]) -> None:
    vectors = read_word_vectors(folder / VECTORS)
    data = vectors.vectors.clone()
    for name, row in rows.items():
        data[vectors.names.index(name)] = row
    write_word_vectors(folder / VECTORS, replace(vectors, vectors=data))


def test_missing_vectors_are_an_error(folder: Path, expect: Any) -> None:
    (folder / VECTORS).unlink()
    where = "features/main_features/text/word_embeddings_toy_normed.npy"
    expect(folder, "error", "word-vectors", where, "there are no word vectors", "download them or extract the features")


def test_vectors_beside_the_folder_are_checked_and_told(folder: Path, expect: Any) -> None:
    (folder.parent / "word-vectors").mkdir()
    place = folder.parent / "word-vectors" / "word_embeddings_toy_normed.safetensors"
    (folder / VECTORS).rename(place)
    found = expect(folder, "error", "misplaced-vectors", str(place), "where the loader does not look")
    assert found.mend == f"copy them to {VECTORS}"
    assert verify_benchmark(folder).families[0].text["vectors"] == 8


def test_damaged_vectors_are_an_error(folder: Path, expect: Any) -> None:
    (folder / VECTORS).write_bytes((folder / VECTORS).read_bytes()[:100])
    expect(folder, "error", "word-vectors", VECTORS, "is damaged or holds no word vectors", "extract it again")


def test_a_class_without_a_vector_is_an_error_with_the_nearest_name(folder: Path, expect: Any) -> None:
    (folder / CSV).write_text((folder / CSV).read_text().replace("apple,apple", "apple,appel"))
    expect(
        folder, "error", "no-vector", VECTORS, "has no vector for class 'apple' (called 'appel')",
        "is 'apple' meant? correct the column 'manual'",
    )  # fmt: skip
    (finding,) = (f for f in verify_benchmark(folder).findings if f.kind == "unused-vector")
    assert finding.what == "1 vector belongs to no class: 'apple'"


def test_a_class_without_a_row_is_an_error(folder: Path, expect: Any) -> None:
    (folder / CSV).write_text((folder / CSV).read_text().replace("cat,cat\n", "").replace("cat,cat\r\n", ""))
    expect(folder, "error", "no-vector", CSV, "has no row that says which vector class 'cat' has", "add one")


def test_a_class_of_no_split_may_lack_its_vector(folder: Path, expect: Any) -> None:
    (folder / "class-split/all_class.txt").write_text((folder / "class-split/all_class.txt").read_text() + "\nzebra\n")
    expect(folder, "note", "no-vector", CSV, "class 'zebra'")


def test_vectors_that_are_not_of_length_1_are_a_warning(folder: Path, expect: Any) -> None:
    _change(folder, {"cat": torch.full((6,), 0.5), "dog": torch.full((6,), 1.0)})
    expect(
        folder, "warning", "not-unit", VECTORS, "2 vectors are not of length 1; 'dog' has 2.449", also=["same-vector"]
    )


def test_two_classes_with_one_vector_are_a_warning(folder: Path, expect: Any) -> None:
    vectors = read_word_vectors(folder / VECTORS)
    _change(folder, {"horn": vectors.vectors[vectors.names.index("goat")]})
    expect(
        folder,
        "warning",
        "same-vector",
        VECTORS,
        "'goat', 'horn' have the same vector",
        "no method can tell them apart",
    )


def test_a_shift_by_rank_is_counted_and_shown(folder: Path) -> None:
    """The vectors of goat and horn change names such that only their ranks move."""
    (folder / CSV).write_text((folder / CSV).read_text().replace("goat,goat", "goat,zoo goat"))
    vectors = read_word_vectors(folder / VECTORS)
    names = tuple("zoo goat" if name == "goat" else name for name in vectors.names)
    write_word_vectors(folder / VECTORS, TextVectors(names, vectors.vectors, vectors.encoder))
    found = verify_benchmark(folder)
    (finding,) = (f for f in found.findings if f.kind == "by-rank")
    assert (finding.severity, finding.where) == ("note", VECTORS)
    assert "would be wrong for 2 of 8 classes, 2 of them in the test-unseen split" in finding.what
    assert "'goat' that of 'horn' instead of 'zoo goat'" in finding.what
    assert found.families[0].text["by_rank"]["stage_2_train"] == 0
    assert not found.of("error") and not found.of("warning")


def test_ranks_mean_nothing_when_vectors_and_classes_differ_in_number(folder: Path) -> None:
    (folder / "class-split/all_class.txt").write_text((folder / "class-split/all_class.txt").read_text() + "\naardvark")
    found = verify_benchmark(folder)
    assert "by_rank" not in found.families[0].text
    assert not any(f.kind == "by-rank" for f in found.findings)


@pytest.mark.parametrize(
    ("dataset", "counts"),
    [
        ("UCF", {"main": (79, 101, 23, 8, 31, 5), "cls": (79, 101, 23, 8, 31, 4)}),
        ("ActivityNet", {"main": (8, 200, 5, 2, 7, 1), "cls": (8, 200, 5, 2, 7, 1)}),
        ("VGGSound", {"main": (205, 309, 84, 51, 135, 42), "cls": (205, 309, 84, 51, 135, 38)}),
    ],
)
def test_published_lists_without_features(dataset: str, counts: dict[str, tuple[int, ...]], avca: Path) -> None:
    """The counts of P1, for all classes, T1, V, T2 and U; and nothing wrong but what is not there."""
    found = verify_benchmark(avca / dataset)
    assert {facts.family: tuple(facts.text["by_rank"].values()) for facts in found.families} == counts
    assert {f.kind for f in found.findings if f.severity != "note"} == {"missing-features", "misplaced-vectors"}
    assert [facts.published for facts in found.families] == [True, True]
    shown = {f.where for f in found.findings if f.kind == "missing-features"}
    assert shown == {"features/main_features", "features/cls_features"}


def test_the_classes_a_loader_by_rank_gets_wrong_are_those_the_loader_gets_wrong(publish: Any) -> None:
    """Oracle: load both ways and compare vectors."""
    from avzsl.data.splits import load_benchmark

    root = publish("UCF", sizes=(5, 6))
    right = load_benchmark(root, text_assignment="by_name").classes
    wrong = load_benchmark(root, text_assignment="by_sorted_rank").classes
    differ = int((right.vectors != wrong.vectors).any(dim=1).sum())
    (facts,) = (facts for facts in verify_benchmark(root).families if facts.family == "main")
    assert differ == facts.text["by_rank"]["stage_2_train"] + facts.text["by_rank"]["stage_2_test_unseen"] == 36


def test_a_pickled_npy_is_read_too(folder: Path, tmp_path: Path) -> None:
    vectors = read_word_vectors(folder / VECTORS)
    path = (folder / VECTORS).with_suffix(".npy")
    content = dict(zip(vectors.names, vectors.vectors.numpy(), strict=True))
    np.save(path, np.array(content, dtype=object), allow_pickle=True)
    shutil.move(folder / VECTORS, tmp_path)
    found = verify_benchmark(folder)
    assert found.families[0].text["encoder"] == "vectors:word_embeddings_toy_normed"
    assert not found.of("error") and not found.of("warning")
