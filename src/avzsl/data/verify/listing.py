"""Which feature files of a family there are, by split, modality and class."""

from __future__ import annotations

from pathlib import Path

from avzsl.data.classes import ClassIndex
from avzsl.data.reading import PICKLES, Reading
from avzsl.data.verify.class_names import tell_unknown
from avzsl.data.verify.findings import Findings, count, some
from avzsl.data.verify.lists import SplitLists
from avzsl.layout import FEATURE_SUFFIX, FOLDERS, SPLITS, Layout, class_of_file

# What the loader opens, in its order. It makes stage_2_train out of the first three.
READ = tuple(split for split in SPLITS if split != "stage_2_train")
AGAIN = "extract or download it again"


def judged_classes(lists: SplitLists, split: str) -> tuple[int, ...]:
    """Classes whose clips are read for a split: a seen evaluation split has those that were trained on."""
    return lists.classes.get(
        {"stage_1_val_seen": "stage_1_train", "stage_2_test_seen": "stage_2_train"}.get(split, split), ()
    )


def list_files(
    base: Path, folder: Layout, reading: Reading, index: ClassIndex, lists: SplitLists, findings: Findings
) -> dict[tuple[str, str], dict[int, Path]]:
    """Split and modality to class id to file."""
    files: dict[tuple[str, str], dict[int, Path]] = {}
    for modality, name in FOLDERS.items():
        if not (base / name).is_dir():
            findings.add(
                "error", "missing-folder", base / name, f"there are no {modality} features",
                "download or extract them; a method that needs one modality only still needs both here",
            )  # fmt: skip
        for split in READ:
            place = folder.features_dir(modality, split, temporal=reading.temporal)
            files[split, modality] = _list_folder(
                place, split, reading, index, lists, findings, told=modality == "audio"
            )
    return files


def _list_folder(
    folder: Path,
    split: str,
    reading: Reading,
    index: ClassIndex,
    lists: SplitLists,
    findings: Findings,
    *,
    told: bool,
) -> dict[int, Path]:
    if not folder.is_dir():
        if folder.parent.is_dir():
            findings.add("error", "missing-folder", folder, "is not there", f"features of this split: {AGAIN}")
        return {}
    endings = (FEATURE_SUFFIX, *PICKLES) if reading.temporal else (FEATURE_SUFFIX,)
    files: dict[int, Path] = {}
    numbers, judged, foreign = index.numbers(), judged_classes(lists, split), []
    for path in sorted(folder.iterdir()):
        name = class_of_file(path)
        number = numbers.get(index.key(name))
        if path.suffix not in endings or path.name.startswith("."):
            foreign.append(path.name)
        elif number is None:
            what = f"is of class '{name}', which is not in {index.source}"
            tell_unknown(name, index, path, findings, what)
        elif number in files and files[number].suffix == path.suffix:
            what = f"has two files for one class: '{files[number].name}' and '{path.name}'"
            findings.add("error", "duplicate-class", folder, what, "remove one of them")
        else:
            files.setdefault(number, path)
    if foreign:
        what = f"{count(len(foreign), 'file')} that nothing reads: {some(foreign)}"
        findings.add("note", "foreign-file", folder, what)
    # The files of the other modality are the same ones, or it is told that one is missing.
    extra = [] if not told else [index.names[number] for number in files if number not in judged]
    if extra:
        what = f"holds {count(len(extra), 'class', 'classes')} that {split}.txt does not list: {some(extra)} (P15)"
        findings.add("note", "extra-class", folder, what, "the list decides: they are left alone")
    return files
