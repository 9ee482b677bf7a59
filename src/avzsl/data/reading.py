"""Read the feature files of one split, class by class, and check that they belong together."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from avzsl.data.classes import ClassIndex
from avzsl.data.tables import Ragged, average_segments
from avzsl.errors import DataError
from avzsl.features.store import FeatureReader, check_same_clips, read_temporal_pickle
from avzsl.layout import FEATURE_SUFFIX, FOLDERS, Layout, class_of_file
from avzsl.types import ExtractorIdentity

# The public splitting script for temporal features writes pickles; its reader takes any ending.
PICKLES = (".pkl", ".pickle")


@dataclass(frozen=True)
class Reading:
    """How feature files are read.

    Attributes:
        files: opens them, in a child process or here.
        temporal: one row per segment instead of one per clip.
        trust: read pickles.
        max_segments: longest clip after averaging neighbouring segments; None = as stored.
    """

    files: FeatureReader
    temporal: bool = False
    trust: bool = False
    max_segments: int | None = None


@dataclass
class Collected:
    """Blocks of features, class by class, before they are joined; only `read_split` adds to it.

    Attributes:
        blocks: modality to tables of one class each.
        class_ids: id of the class of each block.
        names: clip names of each block.
        identity: who made the features; None until a file says.
        digest: running hash of everything read.
    """

    blocks: dict[str, list[Ragged]] = field(default_factory=lambda: {m: [] for m in FOLDERS})
    class_ids: list[int] = field(default_factory=list)
    names: list[tuple[str, ...]] = field(default_factory=list)
    identity: ExtractorIdentity | None = None
    first_file: Path | None = None
    digest: Any = field(default_factory=hashlib.sha256)

    def joined(self, modality: str) -> Ragged:
        """All blocks of a modality as one table; the blocks are given up on the way to save memory."""
        blocks = self.blocks[modality]
        rows = sum(len(block.data) for block in blocks)
        data = torch.empty(rows, blocks[0].data.shape[1])
        offsets = None if blocks[0].offsets is None else [torch.zeros(1, dtype=torch.int64)]
        filled = 0
        blocks.reverse()
        while blocks:  # giving up each block once it is copied keeps the peak near one copy of the features
            block = blocks.pop()
            data[filled : filled + len(block.data)] = block.data
            if offsets is not None and block.offsets is not None:
                offsets.append(block.offsets[1:] + filled)
            filled += len(block.data)
        return Ragged(data, None if offsets is None else torch.cat(offsets))

    def fingerprint(self, text: Tensor, options: Sequence[str]) -> str:
        """The hash of all that was read, of the text vectors [C, d_w] given to classes, and of options."""
        digest = self.digest.copy()
        hash_piece(digest, "text", Ragged(text))
        for option in options:
            hash_piece(digest, option)
        return str(digest.hexdigest())


def read_split(
    collected: Collected, layout: Layout, split: str, classes: Sequence[int], index: ClassIndex, reading: Reading
) -> list[int]:
    """Add the clips of one split, classes in order of their ids.

    Returns:
        The classes that have no file in either modality.

    Raises:
        DataError: a folder, a modality or a class of a modality is missing, or files contradict each other.
    """
    files = {m: _list_files(layout, m, split, index, reading.temporal) for m in FOLDERS}
    hash_piece(collected.digest, split)
    absent = []
    for number in classes:
        paths = {m: files[m].get(number) for m in FOLDERS}
        if all(path is None for path in paths.values()):
            absent.append(number)
            continue
        for modality, path in paths.items():
            if path is None:
                other = next(m for m in FOLDERS if m != modality)
                raise DataError(
                    f"class '{index.names[number]}' has {other} but no {modality} features in"
                    f" {layout.features_dir(modality, split, temporal=reading.temporal)}; extract or download it again"
                )
        _read_class(collected, number, {m: p for m, p in paths.items() if p is not None}, index, reading)
    return absent


def require_folders(layout: Layout, splits: Sequence[str], reading: Reading) -> None:
    """Say at once which folder is missing, before anything is read.

    Raises:
        DataError: a folder of a modality or split is not there.
    """
    for modality in FOLDERS:
        for split in splits:
            folder = layout.features_dir(modality, split, temporal=reading.temporal)
            if not folder.is_dir():
                raise DataError(_missing_folder(layout, folder, modality, reading.temporal))


def feature_sizes(layout: Layout, split: str, index: ClassIndex, reading: Reading) -> tuple[int, int] | None:
    """Columns of audio and visual features that carry no maker's name, looked up in one file each; else None."""
    sizes = []
    for modality in FOLDERS:
        files = _list_files(layout, modality, split, index, reading.temporal)
        if not files:
            return None
        smallest = min(files.values(), key=lambda path: (path.stat().st_size, path.name))
        table, _, identity = read_file(smallest, reading)
        if identity is not None:
            return None
        sizes.append(table.data.shape[1])
    return sizes[0], sizes[1]


def _list_files(layout: Layout, modality: str, split: str, index: ClassIndex, temporal: bool) -> Mapping[int, Path]:
    folder = layout.features_dir(modality, split, temporal=temporal)
    endings = (FEATURE_SUFFIX, *PICKLES) if temporal else (FEATURE_SUFFIX,)
    paths = [p for p in sorted(folder.iterdir()) if p.suffix in endings and not p.name.startswith(".")]
    files: dict[int, Path] = {}
    for number, path in zip(index.ids([class_of_file(p) for p in paths], folder), paths, strict=True):
        # Sorting puts our .h5 before a .pkl of the same class, and the first one counts.
        other = files.setdefault(number, path)
        if other is not path and other.suffix == path.suffix:
            raise DataError(f"{folder} has two files for one class: '{other.name}' and '{path.name}'; remove one")
    return files


def _missing_folder(layout: Layout, folder: Path, modality: str, temporal: bool) -> str:
    base = layout.temporal_dir if temporal else layout.family_dir
    other = layout.family_dir if temporal else layout.temporal_dir
    if not base.is_dir() and other.is_dir():
        if temporal:
            return (
                f"{layout.root} holds averaged features only ({other.name}), {base.name} is missing;"
                " leave out the temporal option, or extract temporal features"
            )
        return (
            f"{layout.root} holds temporal features only ({other.name}), {base.name} is missing;"
            " ask for temporal features with max_segments 1 to average them"
        )
    if not base.is_dir():
        families = sorted(p.name for p in (layout.root / "features").glob("*_features"))
        found = f" (there is: {', '.join(families)})" if families else ""
        named = f"ask for family '{families[0].removesuffix('_features')}', or " if families else ""
        return f"there is no folder {base}{found}; {named}download the features or extract them"
    if not (base / FOLDERS[modality]).is_dir():
        return f"{base} has no {modality} features (folder '{FOLDERS[modality]}'); download or extract them"
    return f"there is no folder {folder}; download the features of this split or extract them again"


def _read_class(
    collected: Collected, number: int, paths: Mapping[str, Path], index: ClassIndex, reading: Reading
) -> None:
    names: dict[str, tuple[str, ...]] = {}
    tables: dict[str, Ragged] = {}
    for modality, path in paths.items():
        tables[modality], names[modality], identity = read_file(path, reading)
        table = tables[modality]
        _check_identity(collected, identity, path)
        blocks = collected.blocks[modality]
        if blocks and blocks[0].data.shape[1] != table.data.shape[1]:
            raise DataError(
                f"{path} has {table.data.shape[1]} columns, but the {modality} files before it have"
                f" {blocks[0].data.shape[1]}; do not mix extractors in one folder"
            )
        if table.offsets is not None and reading.max_segments is not None:
            table = average_segments(table.data, table.offsets, reading.max_segments)
        blocks.append(table)
    check_same_clips(paths["audio"], names["audio"], paths["visual"], names["visual"])
    hash_class(collected.digest, index.names[number], tables, names["audio"])
    collected.class_ids.append(number)
    collected.names.append(names["audio"])


def read_file(path: Path, reading: Reading) -> tuple[Ragged, tuple[str, ...], ExtractorIdentity | None]:
    """Rows, clip names and maker of one feature file.

    Raises:
        DataError: the file is missing, damaged, holds NaN or infinity, or is a pickle that nobody trusts.
    """
    if not reading.temporal:
        file = reading.files.averaged(path)
        return Ragged(torch.from_numpy(file.data)), file.names, file.identity
    pickled = path.suffix in PICKLES
    clips = read_temporal_pickle(path, trust=reading.trust) if pickled else reading.files.temporal(path)
    return Ragged(torch.from_numpy(clips.data), torch.from_numpy(clips.offsets)), clips.names, clips.identity


def _check_identity(collected: Collected, identity: ExtractorIdentity | None, path: Path) -> None:
    if collected.first_file is None:
        collected.first_file, collected.identity = path, identity
    elif identity != collected.identity:
        raise DataError(
            f"{path} was made by {_describe(identity)}, but {collected.first_file} by {_describe(collected.identity)};"
            " extract both with the same extractor and settings"
        )


def _describe(identity: ExtractorIdentity | None) -> str:
    if identity is None:
        return "an extractor that left no name"
    return f"'{identity.name}' ({identity.profile}, version {identity.version}, {dict(identity.settings)})"


def hash_class(digest: Any, name: str, tables: Mapping[str, Ragged], clips: Sequence[str]) -> None:
    """Add one class of one split to the hash: its name, the rows of each modality as stored, and its clip names."""
    hash_piece(digest, name)
    for modality, table in tables.items():
        hash_piece(digest, modality, table)
    hash_piece(digest, "\n".join(clips))


def hash_piece(digest: Any, text: str, table: Ragged | None = None) -> None:
    """Add to a hash; every piece is preceded by its length, numbers are little-endian whatever the machine."""
    pieces: list[Any] = [text.encode()]
    if table is not None:
        pieces.append(np.ascontiguousarray(table.data.numpy(), dtype="<f4"))
        pieces.append(np.asarray(table.data.shape, dtype="<i8"))
        if table.offsets is not None:
            pieces.append(np.ascontiguousarray(table.offsets.numpy(), dtype="<i8"))
    for piece in pieces:
        view = memoryview(piece).cast("B")
        digest.update(len(view).to_bytes(8, "little"))
        digest.update(view)
