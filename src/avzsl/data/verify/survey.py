"""The feature files of one family, averaged or temporal: read one after the other, never all at once."""

from __future__ import annotations

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from avzsl.data.classes import ClassIndex
from avzsl.data.reading import Collected, Reading, hash_class, hash_piece
from avzsl.data.tables import Ragged
from avzsl.data.verify.files import ColumnRanges, FeatureFile, hash_clips, read_leniently, tell_zeros
from avzsl.data.verify.findings import Findings, count, some
from avzsl.data.verify.listing import AGAIN, READ, judged_classes, list_files
from avzsl.data.verify.lists import STAGES, SplitLists
from avzsl.data.verify.uniform import check_uniform
from avzsl.features.store import check_same_clips
from avzsl.layout import FOLDERS, Layout
from avzsl.progress import task
from avzsl.types import ExtractorIdentity, TextVectors


@dataclass(frozen=True)
class SeenClip:
    """A clip that was met: its split, class and name, and a hash of its rows (None = zeros only, or not read)."""

    split: str
    number: int
    name: str
    audio: bytes | None
    visual: bytes | None


@dataclass
class Survey:
    """What the feature files of one kind hold.

    Attributes:
        folder: layout of the folder that was read.
        reading: averaged or temporal.
        clips: every clip.
        columns: modality to width to the files of that width.
        dtypes: modality to stored type to number of files.
        makers: description of an extractor to the files that it made.
        identity: the maker of the first file.
        segments: modality to number of rows of each clip, clips in the same order; empty for averaged features.
        fingerprint: the loader's, when it would load this; else None.
    """

    folder: Layout
    reading: Reading
    clips: list[SeenClip] = field(default_factory=list)
    columns: dict[str, defaultdict[int, list[Path]]] = field(
        default_factory=lambda: {m: defaultdict(list) for m in FOLDERS}
    )
    dtypes: dict[str, Counter[str]] = field(default_factory=lambda: {m: Counter() for m in FOLDERS})
    makers: dict[str, list[Path]] = field(default_factory=lambda: defaultdict(list))
    identity: ExtractorIdentity | None = None
    segments: dict[str, list[int]] = field(default_factory=lambda: {m: [] for m in FOLDERS})
    fingerprint: str | None = None

    @property
    def base(self) -> Path:
        """The folder of these features."""
        return self.folder.temporal_dir if self.reading.temporal else self.folder.family_dir

    @property
    def counts(self) -> dict[str, dict[int, int]]:
        """Split name to class id to number of clips."""
        found: dict[str, dict[int, int]] = {}
        for clip in self.clips:
            of_class = found.setdefault(clip.split, {})
            of_class[clip.number] = of_class.get(clip.number, 0) + 1
        return found

    def width(self, modality: str) -> int | None:
        """Columns of a modality: those of most files."""
        files = {width: len(paths) for width, paths in self.columns[modality].items()}
        return max(files, key=lambda width: files[width], default=None)

    def facts(self) -> dict[str, Any]:
        """Plain JSON values."""
        splits = {
            split: {
                "classes": len(of_class), "clips": sum(of_class.values()), "fewest": min(of_class.values()),
                "median": median(of_class.values()), "most": max(of_class.values()),
            }
            for split, of_class in self.counts.items()
        }  # fmt: skip
        lengths = {
            modality: {"fewest": min(rows), "median": median(rows), "most": max(rows)}
            for modality, rows in self.segments.items()
            if rows
        }
        return {
            "folder": self.base.name, "splits": splits, "columns": {m: self.width(m) for m in FOLDERS},
            "types": {m: dict(self.dtypes[m]) for m in FOLDERS}, "segments": lengths,
            "extractor": None if self.identity is None else self.identity.as_dict(), "fingerprint": self.fingerprint,
        }  # fmt: skip


def survey(
    folder: Layout,
    index: ClassIndex,
    lists: SplitLists,
    text: TextVectors | None,
    reading: Reading,
    findings: Findings,
) -> Survey:
    """Read every feature file that the loader would read, and tell what is wrong with each.

    Args:
        folder: where the features lie.
        index: ids of all classes.
        lists: classes and clips of the splits.
        text: vectors of the classes in use in order of their ids, for the fingerprint; None = there is none.
        reading: averaged or temporal, and whether to read pickles.
        findings: takes what is wrong.
    """
    found = Survey(folder, reading)
    before, digest = findings.errors, hashlib.sha256()
    ranges = {modality: ColumnRanges() for modality in FOLDERS}
    files = list_files(found.base, folder, reading, index, lists, findings)
    total = sum(len(of_folder) for of_folder in files.values())
    with task(f"{folder.family}, {'temporal' if reading.temporal else 'averaged'}", total) as running:
        for split in READ:
            hash_piece(digest, split)
            absent = []
            for number in judged_classes(lists, split):
                paths = {m: files[split, m][number] for m in FOLDERS if number in files[split, m]}
                if paths:
                    pair = {m: read_leniently(path, reading, findings) for m, path in paths.items()}
                    running.advance(len(pair), split)
                    _take(found, split, number, pair, ranges, findings)
                    _pair_up(split, index.names[number], pair, folder, reading, digest, findings)
                else:
                    absent.append(index.names[number])
            _tell_absent(found, split, absent, findings)
    check_uniform(found, ranges, findings)
    if text is not None and findings.errors == before:
        found.fingerprint = Collected(digest=digest).fingerprint(text.vectors, ("by_id", "None"))
    return found


def _take(
    found: Survey,
    split: str,
    number: int,
    pair: Mapping[str, FeatureFile],
    ranges: Mapping[str, ColumnRanges],
    findings: Findings,
) -> None:
    """Add the clips of one class of one split to what is known."""
    hashes: dict[str, dict[str, bytes | None]] = {}
    for modality, file in pair.items():
        if file.table is None:
            continue
        of_clips = hash_clips(file.table)
        tell_zeros(file, of_clips, findings)
        hashes[modality] = dict(zip(file.names, of_clips, strict=True))
        found.columns[modality][file.table.data.shape[1]].append(file.path)
        found.makers[_describe(file.identity)].append(file.path)
        found.identity = found.identity or file.identity
        if file.dtype is not None:
            found.dtypes[modality][file.dtype] += 1
        if split in STAGES[1][0]:
            ranges[modality].add(file.table.data)
    lengths = {m: f.table.offsets.diff().tolist() for m, f in pair.items() if f.table and f.table.offsets is not None}
    if len(lengths) == len(FOLDERS) and len({len(rows) for rows in lengths.values()}) == 1:
        for modality, rows in lengths.items():
            found.segments[modality] += rows
    for name in dict.fromkeys(name for file in pair.values() for name in file.names):
        known = {modality: hashes.get(modality, {}).get(name) for modality in FOLDERS}
        found.clips.append(SeenClip(split, number, name, **known))


def _pair_up(
    split: str,
    name: str,
    pair: Mapping[str, FeatureFile],
    folder: Layout,
    reading: Reading,
    digest: Any,
    findings: Findings,
) -> None:
    """Do the two files of a class belong together? Also goes on with the loader's hash."""
    for modality in FOLDERS:
        if modality not in pair:
            other = next(iter(pair.values())).path
            place = folder.features_dir(modality, split, temporal=reading.temporal) / other.name
            if place.parent.is_dir():  # else one finding says it for all classes
                what = f"is missing, but {other} is there"
                findings.add("error", "missing-modality", place, what, f"this class: {AGAIN}")
            return
    audio, visual = pair["audio"], pair["visual"]
    if audio.names and visual.names:
        with findings.heed("modality-mismatch", audio.path):
            check_same_clips(audio.path, audio.names, visual.path, visual.names)
    tables: dict[str, Ragged] = {m: file.table for m, file in pair.items() if file.table is not None}
    if len(tables) == len(FOLDERS):
        hash_class(digest, name, {m: tables[m] for m in FOLDERS}, audio.names)


def _tell_absent(found: Survey, split: str, absent: Sequence[str], findings: Findings) -> None:
    """P19: an error where classes are trained on, a warning where they are only judged."""
    folder = found.folder.features_dir("audio", split, temporal=found.reading.temporal)
    if not folder.is_dir():
        return
    if not any(clip.split == split for clip in found.clips):
        findings.add("error", "no-clips", folder, "there are no clips of this split", f"this split: {AGAIN}")
    elif absent:
        trained = split in ("stage_1_train", "stage_1_val_unseen")
        findings.add(
            "error" if trained else "warning", "class-without-clips", folder,
            f"no file for {count(len(absent), 'class', 'classes')} of the split: {some(absent)}"
            + ("" if trained else " (P19)"),
            "extract or download them" if trained
            else "they stay candidates but are left out of the means; extract or download them if they should count",
        )  # fmt: skip


def _describe(identity: ExtractorIdentity | None) -> str:
    if identity is None:
        return "an extractor that left no name"
    settings = json.dumps(dict(identity.settings), sort_keys=True, default=str)
    return f"'{identity.name}' (profile {identity.profile}, version {identity.version}, {settings})"
