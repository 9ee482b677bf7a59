"""Counts, sets and codes of the real class splits (docs/protocol.md sections 4 to 6 and 11)."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch

from avzsl.data.classes import (
    ClassIndex,
    SplitClasses,
    read_class_index,
    read_split_classes,
    read_split_csv,
    read_text_vectors,
    read_vector_keys,
)
from avzsl.errors import DataError, SettingError
from avzsl.features.store import read_word_vectors, write_word_vectors
from avzsl.layout import FAMILIES, SPLITS, Layout
from avzsl.types import TextVectors

# all ids, T1, V, T2, U main, U cls
CLASSES = {
    "UCF": (101, 30, 12, 42, 9, 6),
    "ActivityNet": (200, 99, 51, 150, 50, 48),
    "VGGSound": (309, 138, 69, 207, 69, 64),
}
CLIPS = {
    "UCF": (3174, 353, 1467, 4994, 555, 1267),
    "ActivityNet": (9204, 1023, 4307, 14534, 1615, 4199),
    "VGGSound": (None, 7817, 3102, None, 9032, 3450),
}
CLS_CLIPS = {"UCF": 845, "ActivityNet": 4052, "VGGSound": 3200}
# ids with a wrong vector under by_sorted_rank: of all, among T1, V, T2, U main, U cls
WRONG = {"UCF": (79, 23, 8, 31, 5, 4), "ActivityNet": (8, 5, 2, 7, 1, 1), "VGGSound": (205, 84, 51, 135, 42, 38)}
VECTORS = {"UCF": "ucf", "ActivityNet": "activity", "VGGSound": "vggsound"}


def read(avca: Path, dataset: str, family: str = "main") -> tuple[Layout, ClassIndex, SplitClasses]:
    layout = Layout(avca / dataset, family)
    index = read_class_index(layout)
    return layout, index, read_split_classes(layout, index)


@pytest.mark.parametrize("dataset", CLASSES)
def test_class_counts_of_section_5(avca: Path, dataset: str) -> None:
    _, index, main = read(avca, dataset)
    _, _, cls = read(avca, dataset, "cls")
    counts = tuple(map(len, (index.names, main.training_1, main.validation_unseen, main.training_2, main.test_unseen)))
    assert (*counts, len(cls.test_unseen)) == CLASSES[dataset]
    assert (cls.training_1, cls.validation_unseen) == (main.training_1, main.validation_unseen)
    assert set(cls.test_unseen) < set(main.test_unseen)
    assert len(main.used) == counts[3] + counts[4]
    assert not set(main.training_1) & set(main.validation_unseen)
    assert set(main.training_2) == set(main.training_1) | set(main.validation_unseen)
    assert not set(main.training_2) & set(main.test_unseen)


@pytest.mark.parametrize("dataset", CLASSES)
def test_seen_evaluation_lists_equal_the_training_lists(avca: Path, dataset: str) -> None:
    for family in FAMILIES:
        layout, index, classes = read(avca, dataset, family)
        for split, expected in (
            ("stage_1_val_seen", classes.training_1),
            ("stage_2_test_seen", classes.training_2),
            ("stage_2_train", classes.training_2),
        ):
            path = layout.split_txt(split)
            names = [line.strip() for line in path.read_text().split("\n") if line.strip()]
            assert sorted(index.ids(names, path)) == list(expected)


@pytest.mark.parametrize("dataset", CLASSES)
def test_clip_counts_label_codes_and_clip_sets_of_the_csvs(avca: Path, dataset: str) -> None:
    layout, index, classes = read(avca, dataset)
    cls = read(avca, dataset, "cls")[2]
    clips: dict[str, set[str]] = {}
    for split, count in zip(SPLITS, CLIPS[dataset], strict=True):
        if count is None:
            assert not layout.split_csv(split).exists()
            continue
        rows = read_split_csv(layout.split_csv(split))
        assert len(rows) == count
        codes = index.ids([row["label"] for row in rows], layout.split_csv(split))
        assert codes == [int(row["label_code"]) for row in rows]
        clips[split] = {row["filename"] for row in rows}
        if split == "stage_2_test_unseen":
            assert sum(code in cls.test_unseen for code in codes) == CLS_CLIPS[dataset]
            assert set(codes) == set(classes.test_unseen)
    if dataset != "VGGSound":
        union = clips["stage_1_train"] | clips["stage_1_val_seen"] | clips["stage_1_val_unseen"]
        assert clips["stage_2_train"] == union
        assert not clips["stage_1_train"] & clips["stage_1_val_seen"]
    assert not clips["stage_2_test_seen"] & (clips["stage_1_val_seen"] | clips["stage_1_val_unseen"])


@pytest.mark.parametrize(
    ("dataset", "name", "number"),
    [
        ("UCF", "Archery", 2),
        ("UCF", "PlayingDhol", 60),
        ("UCF", "WritingOnBoard", 99),
        ("ActivityNet", "Canoeing", 23),
        ("VGGSound", "wind noise", 302),
    ],
)
def test_class_ids_of_section_4(avca: Path, dataset: str, name: str, number: int) -> None:
    assert read_class_index(Layout(avca / dataset)).ids([name], Path("x")) == [number]


def test_case_is_ignored_for_ucf_and_activitynet_and_not_for_vggsound(avca: Path) -> None:
    ucf, activitynet, vggsound = (read_class_index(Layout(avca / d)) for d in ("UCF", "ActivityNet", "VGGSound"))
    assert activitynet.ids(["canoeing"], Path("x")) == [23]
    assert ucf.ids(["HandStandPushups"], Path("x")) == ucf.ids(["HandstandPushups"], Path("x"))
    with pytest.raises(DataError, match=r"'Wind Noise' is not in .*did you mean 'wind noise'"):
        vggsound.ids(["Wind Noise"], Path("x"))


@pytest.mark.parametrize("dataset", CLASSES)
def test_wrong_vectors_of_section_6(avca: Path, dataset: str) -> None:
    layout, index, main = read(avca, dataset)
    cls = read(avca, dataset, "cls")[2]
    names = read_word_vectors(avca / "word-vectors" / f"word_embeddings_{VECTORS[dataset]}_normed.npy").names
    keys = read_vector_keys(layout, index)
    assert set(keys.values()) == set(names)
    wrong = {number for number, key in enumerate(sorted(names)) if key != keys[number]}
    groups = (main.training_1, main.validation_unseen, main.training_2, main.test_unseen, cls.test_unseen)
    assert (len(wrong), *(len(wrong & set(group)) for group in groups)) == WRONG[dataset]


def test_text_vectors_by_name_and_by_rank(avca: Path, tmp_path: Path) -> None:
    root = tmp_path / "UCF"
    shutil.copytree(avca / "UCF" / "class-split", root / "class-split")
    layout = Layout(root)
    layout.word_vectors.parent.mkdir(parents=True)
    shutil.copy(avca / "word-vectors" / layout.word_vectors.name, layout.word_vectors)
    index = read_class_index(layout)
    used = range(len(index.names))
    raw = read_word_vectors(layout.word_vectors)
    rows = {name: raw.vectors[i] for i, name in enumerate(raw.names)}
    right = read_text_vectors((layout,), index, used, "by_name")
    shifted = read_text_vectors((layout,), index, used, "by_sorted_rank")
    place = right.names.index
    assert right.names == shifted.names == index.names
    assert torch.equal(right.vectors[place("CleanAndJerk")], rows["Weight Lifting"])
    for name, key in (
        ("CuttingInKitchen", "Diving"),
        ("PlayingFlute", "Playing Guitar"),
        ("PlayingSitar", "Playing Tabla"),
        ("ShavingBeard", "Shotput"),
        ("Typing", "Uneven Bars"),
    ):
        assert torch.equal(shifted.vectors[place(name)], rows[key])
    assert int((right.vectors != shifted.vectors).any(dim=1).sum()) == 79
    with pytest.raises(SettingError, match="did you mean 'by_name'"):
        read_text_vectors((layout,), index, used, "byname")


def small(root: Path, names: dict[str, str], **splits: list[str]) -> Layout:
    """A class split of `names` (class to vector key) with the given split lists."""
    layout = Layout(root)
    layout.split_dir.mkdir(parents=True)
    layout.all_class.write_text("\n".join(names))
    layout.class_names_csv.write_text("original,manual\n" + "".join(f'"{a}","{b}"\n' for a, b in names.items()))
    lists = {
        "stage_1_train": ["a", "b"],
        "stage_1_val_seen": ["a", "b"],
        "stage_1_val_unseen": ["c"],
        "stage_2_train": ["a", "b", "c"],
        "stage_2_test_seen": ["a", "b", "c"],
        "stage_2_test_unseen": ["d"],
    }
    for split, classes in {**lists, **splits}.items():
        layout.split_txt(split).write_text("\n".join(classes) + "\n")
    return layout


@pytest.mark.parametrize(
    ("splits", "message"),
    [
        ({"stage_1_val_unseen": ["b"]}, "'b' is only in one of the two|'c' is only in one"),
        ({"stage_1_val_unseen": ["b", "c"]}, "'b' is also in stage_1_train"),
        ({"stage_2_test_unseen": ["c", "d"]}, "'c' is also in stage 2 training"),
        ({"stage_1_val_seen": ["a", "c"]}, "'c' is not in stage_1_train"),
        ({"stage_2_test_seen": ["d"]}, "'d' is not in stage 2 training"),
        ({"stage_2_train": ["a", "c"]}, "'b' is only in one of the two"),
        ({"stage_2_test_unseen": []}, "names no class"),
        ({"stage_1_train": ["a", "bb"]}, "class 'bb' is not in"),
    ],
)
def test_splits_that_contradict_each_other_are_refused(
    tmp_path: Path, splits: dict[str, list[str]], message: str
) -> None:
    layout = small(tmp_path / "x", dict(zip("abcd", "abcd", strict=True)), **splits)
    with pytest.raises(DataError, match=message) as caught:
        read_split_classes(layout, read_class_index(layout))
    assert "\n" not in str(caught.value)


def test_a_missing_stage_2_list_is_the_union_of_the_stage_1_lists(tmp_path: Path) -> None:
    layout = small(tmp_path / "x", dict(zip("abcd", "abcd", strict=True)))
    layout.split_txt("stage_2_train").unlink()
    assert read_split_classes(layout, read_class_index(layout)).training_2 == (0, 1, 2)


def test_names_that_repeat_and_lists_that_are_missing_are_refused(tmp_path: Path) -> None:
    layout = small(tmp_path / "x", {"a": "a"})
    layout.all_class.write_text("a\nb\na\n")
    with pytest.raises(DataError, match="names a class twice: 'a'"):
        read_class_index(layout)
    layout.all_class.write_text("\n \n")
    with pytest.raises(DataError, match="no class names"):
        read_class_index(layout)
    layout.all_class.unlink()
    with pytest.raises(DataError, match=r"cannot read .*all_class.txt"):
        read_class_index(layout)


def test_spellings_that_differ_in_case_only_are_one_class_for_ucf(tmp_path: Path) -> None:
    layout = small(tmp_path / "UCF", {"a": "a", "A": "A"})
    with pytest.raises(DataError, match="twice: 'A' and 'a'"):
        read_class_index(layout)
    assert len(read_class_index(small(tmp_path / "other", {"a": "a", "A": "A"})).names) == 2


@pytest.mark.parametrize("assignment", ["by_name", "by_sorted_rank"])
def test_a_class_without_a_vector_is_named(tmp_path: Path, assignment: str) -> None:
    layout = small(tmp_path / "x", {"a": "a", "b": "big b"})
    write_word_vectors(layout.word_vectors_safetensors, TextVectors(("a",), torch.ones(1, 2), "e"))
    message = (
        r"nothing for class 'b' \(called 'big b' there\)" if assignment == "by_name" else "1 vectors for 2 classes"
    )
    with pytest.raises(DataError, match=message):
        read_text_vectors((layout,), read_class_index(layout), (0, 1), assignment)


def test_damaged_class_name_csvs_are_refused(tmp_path: Path) -> None:
    layout = small(tmp_path / "x", {"a": "a", "b": "b"})
    index = read_class_index(layout)
    write_word_vectors(layout.word_vectors_safetensors, TextVectors(("a", "b"), torch.eye(2), "e"))
    for text, message in (
        ("name,manual\na,a\n", "no column 'original'"),
        ("original,manual\na,a\na,b\n", "'a' is listed twice"),
        ("original,manual\na\n", "line 2 has too few columns"),
        ("original,manual\na,a\n", "has nothing for class 'b'"),
    ):
        layout.class_names_csv.write_text(text)
        with pytest.raises(DataError, match=message):
            read_text_vectors((layout,), index, (0, 1), "by_name")


def test_missing_word_vectors_are_named(tmp_path: Path) -> None:
    layout = small(tmp_path / "x", {"a": "a"})
    with pytest.raises(DataError, match=r"no word vectors at .*word_embeddings_x_normed\.npy"):
        read_text_vectors((layout,), read_class_index(layout), (0,), "by_name")
