"""Class names, ids and text vectors of a benchmark folder (docs/protocol.md sections 3, 4, 5 and 6)."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from avzsl.errors import DataError, SettingError, nearest_name
from avzsl.features.store import read_word_vectors
from avzsl.files import read_text
from avzsl.layout import SPLITS, Layout
from avzsl.types import TextVectors

TEXT_ASSIGNMENTS = ("by_name", "by_sorted_rank")
# These two write one class name in two ways (`HandstandPushups`, `HandStandPushups`), so case is ignored (P14).
_CASE_IGNORED = ("ucf", "activitynet")


@dataclass(frozen=True)
class ClassIndex:
    """Ids of class names: the rank in the sorted list of all_class.txt (docs/protocol.md section 4).

    Attributes:
        names: every name of all_class.txt, sorted by code point; the position is the id.
        case_ignored: whether names are looked up without regard to case.
        source: file the names come from, for messages.
    """

    names: tuple[str, ...]
    case_ignored: bool
    source: Path

    def key(self, name: str) -> str:
        """What two spellings of one class have in common."""
        return name.casefold() if self.case_ignored else name

    def numbers(self) -> dict[str, int]:
        """Key of every name to its id."""
        return {self.key(name): number for number, name in enumerate(self.names)}

    def ids(self, names: Sequence[str], where: Path) -> list[int]:
        """Ids of names, in the order given.

        Raises:
            DataError: a name is not in all_class.txt.
        """
        known = self.numbers()
        found = []
        for name in names:
            if self.key(name) not in known:
                raise DataError(f"{where}: class '{name}' is not in {self.source}{nearest_name(name, self.names)}")
            found.append(known[self.key(name)])
        return found


@dataclass(frozen=True)
class SplitClasses:
    """Class ids of every split, each sorted (letters of docs/protocol.md section 5).

    Attributes:
        training_1: T1, the classes of stage-1 training.
        validation_unseen: V.
        training_2: T2 = T1 + V.
        test_unseen: U.
    """

    training_1: tuple[int, ...]
    validation_unseen: tuple[int, ...]
    training_2: tuple[int, ...]
    test_unseen: tuple[int, ...]

    @property
    def used(self) -> tuple[int, ...]:
        """Every class that occurs, sorted."""
        return tuple(sorted({*self.training_2, *self.test_unseen}))


def ignores_case(layout: Layout) -> bool:
    """Whether class names of this dataset are looked up without regard to case (P14)."""
    return layout.stem in _CASE_IGNORED


def read_class_index(layout: Layout) -> ClassIndex:
    """The ids of all classes of a dataset.

    Raises:
        DataError: the file is missing or empty, or two names are the same.
    """
    names = tuple(sorted(read_lines(layout.all_class)))
    index = ClassIndex(names, ignores_case(layout), layout.all_class)
    if not names:
        raise DataError(f"{layout.all_class} holds no class names; download or write the class split again")
    taken: dict[str, str] = {}
    for name in names:
        key = index.key(name)
        if key in taken:
            raise DataError(f"{layout.all_class} names a class twice: '{taken[key]}' and '{name}'; remove one of them")
        taken[key] = name
    return index


def read_split_classes(layout: Layout, index: ClassIndex) -> SplitClasses:
    """The classes of every split, checked against each other.

    Raises:
        DataError: a split file is missing or empty, or the splits contradict each other.
    """
    sets = {}
    for split in (name for name in SPLITS if name != "stage_2_train"):
        path = layout.split_txt(split)
        sets[split] = set(index.ids(read_lines(path), path))
        if not sets[split] and split != "stage_1_val_seen" and split != "stage_2_test_seen":
            raise DataError(f"{path} names no class; download or write the class split again")
    train, unseen = sets["stage_1_train"], sets["stage_1_val_unseen"]
    both, test = train | unseen, sets["stage_2_test_unseen"]
    path = layout.split_txt("stage_2_train")
    if path.is_file():
        _same(layout, index, set(index.ids(read_lines(path), path)), both)
    _disjoint(layout, index, "stage_1_val_unseen", unseen & train, "stage_1_train")
    _disjoint(layout, index, "stage_2_test_unseen", test & both, "stage 2 training")
    _inside(layout, index, "stage_1_val_seen", sets["stage_1_val_seen"] - train, "stage_1_train")
    _inside(layout, index, "stage_2_test_seen", sets["stage_2_test_seen"] - both, "stage 2 training")
    ordered = [tuple(sorted(ids)) for ids in (train, unseen, both, test)]
    return SplitClasses(*ordered)


def _same(layout: Layout, index: ClassIndex, given: set[int], expected: set[int]) -> None:
    if given != expected:
        name = index.names[min(given ^ expected)]
        raise DataError(
            f"{layout.split_txt('stage_2_train')} must list the classes of stage_1_train and stage_1_val_unseen,"
            f" but '{name}' is only in one of the two"
        )


def _disjoint(layout: Layout, index: ClassIndex, split: str, shared: set[int], other: str) -> None:
    if shared:
        raise DataError(
            f"{layout.split_txt(split)}: class '{index.names[min(shared)]}' is also in {other},"
            " so it is not unseen; take it out of one of them"
        )


def _inside(layout: Layout, index: ClassIndex, split: str, strange: set[int], other: str) -> None:
    if strange:
        raise DataError(
            f"{layout.split_txt(split)}: class '{index.names[min(strange)]}' is not in {other},"
            " so it is not seen; move it to the unseen split"
        )


def read_vector_keys(layout: Layout, index: ClassIndex) -> dict[int, str]:
    """Class id to key of its word vector (`manual` in the class-name csv).

    Raises:
        DataError: the file or a column is missing, a class is unknown or listed twice.
    """
    path = layout.class_names_csv
    rows = read_class_csv(path)
    ids = index.ids([row["original"].strip() for row in rows], path)
    keys: dict[int, str] = {}
    for number, row in zip(ids, rows, strict=True):
        if number in keys:
            raise DataError(f"{path}: class '{index.names[number]}' is listed twice; remove one of the rows")
        keys[number] = row["manual"].strip()
    return keys


def read_class_csv(path: Path) -> list[dict[str, str]]:
    """The rows of the class-name csv with `original` and `manual`.

    Raises:
        DataError: the file or a column is missing.
    """
    return _read_csv(path, ("original", "manual"))


def read_text_vectors(
    layouts: Sequence[Layout], index: ClassIndex, used: Sequence[int], assignment: str
) -> TextVectors:
    """Text vectors of the classes in use, in order of their ids (docs/protocol.md section 6).

    `by_name` gives class c the vector called `manual(c)`. `by_sorted_rank` repeats what the public loaders do (P1):
    class id k gets the vector whose key has rank k among the sorted keys.

    Args:
        layouts: folders that may hold the vectors, the preferred one first.
        index: ids of all classes.
        used: ids, sorted.
        assignment: one of `TEXT_ASSIGNMENTS`.

    Raises:
        DataError: no vectors, or none for a class in use.
        SettingError: unknown assignment.
    """
    if assignment not in TEXT_ASSIGNMENTS:
        raise SettingError(f"unknown text assignment '{assignment}'{nearest_name(assignment, TEXT_ASSIGNMENTS)}")
    path = find_word_vectors(layouts)
    vectors = read_word_vectors(path)
    if assignment == "by_sorted_rank":
        if len(vectors.names) != len(index.names):
            raise DataError(
                f"{path} has {len(vectors.names)} vectors for {len(index.names)} classes, so ranks mean nothing;"
                " use the text assignment by_name"
            )
        keys: Mapping[int, str] = dict(enumerate(sorted(vectors.names)))
    else:
        keys = read_vector_keys(layouts[0], index)
    rows = {name: row for row, name in enumerate(vectors.names)}
    picked = []
    for number in used:
        key = keys.get(number)
        if key is None or key not in rows:
            called = "" if key is None or key == index.names[number] else f" (called '{key}' there)"
            source = layouts[0].class_names_csv if key is None else path
            raise DataError(f"{source} has nothing for class '{index.names[number]}'{called}; add it or extract again")
        picked.append(rows[key])
    return TextVectors(
        tuple(index.names[number] for number in used), vectors.vectors[torch.tensor(picked)], vectors.encoder
    )


def find_word_vectors(layouts: Sequence[Layout]) -> Path:
    """The word-vector file: ours before the distributed one, the averaged folder before the temporal one.

    Raises:
        DataError: there is none.
    """
    for layout in layouts:
        for folder in (layout.family_dir, layout.temporal_dir):
            for name in (layout.word_vectors_safetensors.name, layout.word_vectors.name):
                path = folder / "text" / name
                if path.is_file():
                    return path
    raise DataError(
        f"there are no word vectors at {layouts[0].word_vectors}; download them or extract the features again"
    )


def read_split_csv(path: Path) -> list[dict[str, str]]:
    """The clips of a split as rows with `filename`, `label` and `label_code` (more for VGGSound).

    Nothing in training needs them; they serve checks and feature extraction.

    Raises:
        DataError: the file or a column is missing.
    """
    return _read_csv(path, ("filename", "label", "label_code"))


def read_lines(path: Path) -> list[str]:
    """Stripped, non-empty lines of a UTF-8 file.

    Raises:
        DataError: missing or unreadable.
    """
    return [line.strip() for line in _read_text(path).splitlines() if line.strip()]


def _read_csv(path: Path, columns: Sequence[str]) -> list[dict[str, str]]:
    reader = csv.DictReader(_read_text(path).splitlines())
    try:
        missing = [c for c in columns if c not in (reader.fieldnames or ())]
        if missing:
            raise DataError(f"{path} has no column '{missing[0]}'; it needs: {', '.join(columns)}")
        rows = list(reader)
    except csv.Error as error:
        raise DataError(f"{path} is damaged ({error}); download it again") from error
    for number, row in enumerate(rows, start=2):
        if any(row[c] is None for c in columns):
            raise DataError(f"{path}: line {number} has too few columns; quote names that hold commas")
    return rows


def _read_text(path: Path) -> str:
    try:
        return read_text(path, "utf-8-sig")
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}; check the benchmark folder") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 text ({error.reason}); download it again") from error
