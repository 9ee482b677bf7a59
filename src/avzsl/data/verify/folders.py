"""Folders and files of a benchmark: what is there, under which spelling, and what nothing reads."""

from __future__ import annotations

from pathlib import Path

from avzsl.data.verify.findings import Findings, count, nearest, some
from avzsl.layout import FOLDERS, SPLITS, Layout

_SPLIT_FOLDERS = {"main_split": "main", "cls_split": "cls"}
_TEMPORAL = ("_non_averaged", "_no_averaged")
# What an extraction leaves beside the data, and what desktops scatter.
_OURS = ("class-split", "class_split", "features", "extract.json", "skipped.csv", "word-vectors")
_TEXT = "text"


def check_folders(dataset: Layout, findings: Findings) -> None:
    """The top of the folder, and the class split."""
    root = dataset.root
    if dataset.class_split_dir.name == "class_split":
        findings.add(
            "note", "spelling", dataset.class_split_dir, "is spelt with an underscore; it is read all the same (P17)"
        )
    elif (root / "class_split").is_dir():
        findings.add(
            "warning", "spelling", root / "class_split", "lies beside class-split, and only that one is read (P17)",
            "remove one of the two folders",
        )  # fmt: skip
    _tell_foreign(root, _OURS, findings)
    split = dataset.class_split_dir
    known = (dataset.all_class.name, dataset.class_names_csv.name, *_SPLIT_FOLDERS)
    _tell_foreign(split, known, findings)
    for name in _SPLIT_FOLDERS:
        if (split / name).is_dir():
            _tell_foreign(split / name, [f"{s}.{ending}" for s in SPLITS for ending in ("txt", "csv")], findings)
    if (root / "features").is_dir():
        _check_features(root / "features", findings)


def _check_features(features: Path, findings: Findings) -> None:
    for folder in sorted(p for p in features.iterdir() if not p.name.startswith(".")):
        if family_of(folder) is None:
            near = nearest(folder.name, ("main_features", "cls_features", "main_features_non_averaged"))
            mend = f"is '{near}' meant? rename it" if near is not None and folder.is_dir() else "remove it or rename it"
            findings.add(
                "warning" if folder.is_dir() else "note", "foreign-file", folder, "is read by nothing: names of feature"
                " folders are <family>_features and <family>_features_non_averaged", mend,
            )  # fmt: skip
            continue
        if folder.name.endswith(_TEMPORAL[1]):
            twin = folder.with_name(folder.name.removesuffix(_TEMPORAL[1]) + _TEMPORAL[0])
            if twin.is_dir():
                what, mend = (
                    f"lies beside {twin.name}, and only that one is read (P17)",
                    "remove one of the two folders",
                )
                findings.add("warning", "spelling", folder, what, mend)
            else:
                findings.add("note", "spelling", folder, "is an older spelling; it is read all the same (P17)")
        _tell_foreign(folder, (*FOLDERS.values(), _TEXT), findings)
        for modality in FOLDERS.values():
            if (folder / modality).is_dir():
                _tell_splits(folder / modality, findings)


def _tell_splits(folder: Path, findings: Findings) -> None:
    for path in sorted(folder.iterdir()):
        if path.name not in SPLITS and not path.name.startswith("."):
            near = nearest(path.name, SPLITS)
            findings.add(
                "warning" if path.is_dir() else "note", "foreign-file", path, "is no split, so nothing reads it",
                f"is '{near}' meant? rename it" if near is not None else "remove it",
            )  # fmt: skip


def _tell_foreign(folder: Path, known: tuple[str, ...] | list[str], findings: Findings) -> None:
    foreign = [p.name for p in sorted(folder.iterdir()) if p.name not in known and not p.name.startswith(".")]
    left = [p.name for p in sorted(folder.iterdir()) if ".partial" in p.name]
    if foreign:
        findings.add(
            "note",
            "foreign-file",
            folder,
            f"{count(len(foreign), 'entry', 'entries')} that nothing reads: {some(foreign)}",
        )
    if left:
        what = f"{count(len(left), 'piece')} of an extraction that was killed or still runs: {some(left)}"
        findings.add("note", "left-over", folder, what, "run the same 'avzsl extract' again; it clears them away")


def family_of(folder: Path) -> str | None:
    """Name of the feature family a folder holds; None when it is no feature folder."""
    if not folder.is_dir():
        return None
    family, middle, ending = folder.name.partition("_features")
    return family if family and middle and ending in ("", *_TEMPORAL) else None


def families_of(dataset: Layout) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Families with a folder of features, and those with a split folder only."""
    features = dataset.root / "features"
    folders = sorted(features.iterdir()) if features.is_dir() else []
    found = tuple(
        sorted({name for name in map(family_of, folders) if name is not None}, key=lambda name: name != "main")
    )
    lists = [family for folder, family in _SPLIT_FOLDERS.items() if (dataset.class_split_dir / folder).is_dir()]
    if any(name != "cls" for name in found) and "main" in lists:
        lists.remove("main")  # every family but `cls` goes by main_split
    return found, tuple(family for family in lists if family not in found)
