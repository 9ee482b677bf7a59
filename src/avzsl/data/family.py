"""Find the dataset folder and decide which features in it are meant."""

from __future__ import annotations

import warnings
from pathlib import Path

from avzsl.data.classes import ClassIndex
from avzsl.data.reading import Reading, feature_sizes
from avzsl.errors import DataError
from avzsl.layout import FAMILIES, Layout

# Stems of the published benchmarks; presets for them are named so, with `_cls` for the second family.
PUBLISHED_STEMS = ("ucf", "activitynet", "vggsound")
# Columns of the audio and visual features of the published families (docs/protocol.md section 1).
PUBLISHED_SIZES = {"main": (512, 512), "cls": (128, 4096)}
_CLASS_FOLDERS = ("class-split", "class_split")
_NAMES_ENDING = "_w2v_class_names.csv"


def find_dataset(root: Path) -> Layout:
    """The layout of the dataset at `root`, or of the only dataset inside `root`; its family is still open.

    Raises:
        DataError: there is none, or more than one.
    """
    if not root.is_dir():
        raise DataError(f"there is no folder {root}; check the path")
    root = root.resolve()  # so that `.` has a name
    if not _is_dataset(root):
        inside = sorted(path for path in root.iterdir() if path.is_dir() and _is_dataset(path))
        if not inside:
            raise DataError(
                f"{root} is no benchmark folder: neither it nor a folder in it has '{_CLASS_FOLDERS[0]}';"
                " 'avzsl extract' makes one from videos"
            )
        if len(inside) > 1:
            raise DataError(f"{root} holds several benchmarks; give one of: {', '.join(str(path) for path in inside)}")
        root = inside[0]
    layout = Layout(root)
    if not layout.class_names_csv.is_file():
        # A renamed folder: the class-name file still says which dataset this is.
        files = sorted(layout.class_split_dir.glob(f"*{_NAMES_ENDING}"))
        if len(files) == 1:
            layout = Layout(root, given_stem=files[0].name.removesuffix(_NAMES_ENDING))
    return layout


def choose_layouts(dataset: Layout, family: str | None, index: ClassIndex, reading: Reading) -> tuple[Layout, Layout]:
    """Where the class split lies and where the features lie; they differ when two folders were swapped.

    The public UCF splitting script writes the features of either family into the folder of the other (P16). The
    published families are told apart by their columns, so a swapped folder is read as what it holds.

    Raises:
        DataError: no features, several families to choose from, or features of another family than asked for.
    """
    chosen = family or _only_family(dataset, reading)
    layout = _with_family(dataset, chosen)
    if dataset.stem not in PUBLISHED_STEMS or chosen not in FAMILIES:
        return layout, layout
    other = "cls" if chosen == "main" else "main"
    swapped = _with_family(dataset, other)
    there = (layout.temporal_dir if reading.temporal else layout.family_dir).is_dir()
    if not there and _sizes(swapped, index, reading) == PUBLISHED_SIZES[chosen]:
        # Only the other folder is there, and it holds what is asked for.
        warnings.warn(
            f"family '{chosen}' is read from {swapped.family_dir.name}, which holds its columns", stacklevel=4
        )
        return layout, swapped
    if _sizes(layout, index, reading) != PUBLISHED_SIZES[other]:
        return layout, layout
    columns = "/".join(str(size) for size in PUBLISHED_SIZES[other])
    holds = f"{layout.family_dir} holds {columns} columns, the sizes of family '{other}'"
    if family is None:
        warnings.warn(f"{holds}; it is read as that", stacklevel=4)
        return swapped, layout
    if _sizes(swapped, index, reading) != PUBLISHED_SIZES[chosen]:
        raise DataError(f"{holds}; ask for family '{other}' or put the features of '{chosen}' there")
    warnings.warn(f"{holds}; family '{chosen}' is read from {swapped.family_dir.name}", stacklevel=4)
    return layout, swapped


def _only_family(dataset: Layout, reading: Reading) -> str:
    """The family whose folder is there; `main` when it is one of several."""
    folders = [path.name for path in sorted((dataset.root / "features").glob("*_features*")) if path.is_dir()]
    found = sorted({name.partition("_features")[0] for name in folders})
    matching = [
        f
        for f in found
        if (_with_family(dataset, f).temporal_dir if reading.temporal else _with_family(dataset, f).family_dir).is_dir()
    ]
    found = matching or found
    if not found or "main" in found:
        return "main"
    if len(found) > 1:
        raise DataError(f"{dataset.root} holds several feature families; choose one of: {', '.join(found)}")
    return found[0]


def _with_family(dataset: Layout, family: str) -> Layout:
    return Layout(dataset.root, family, dataset.given_stem)


def _sizes(layout: Layout, index: ClassIndex, reading: Reading) -> tuple[int, int] | None:
    folder = layout.features_dir("audio", "stage_2_test_unseen", temporal=reading.temporal)
    if (
        not folder.is_dir()
        or not layout.features_dir("visual", "stage_2_test_unseen", temporal=reading.temporal).is_dir()
    ):
        return None
    return feature_sizes(layout, "stage_2_test_unseen", index, reading)


def _is_dataset(path: Path) -> bool:
    return any((path / name).is_dir() for name in _CLASS_FOLDERS)
