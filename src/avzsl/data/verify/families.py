"""One feature family: which folders are meant, its splits, its word vectors, its features."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch

from avzsl.data.classes import ClassIndex
from avzsl.data.family import PUBLISHED_SIZES, choose_layouts
from avzsl.data.reading import PICKLES, Reading
from avzsl.data.verify.contents import (
    check_against_lists,
    check_leaks,
    check_lengths,
    check_repetitions,
    check_temporal,
)
from avzsl.data.verify.findings import Findings, count
from avzsl.data.verify.lists import SplitLists, check_splits
from avzsl.data.verify.published import PUBLISHED, compare
from avzsl.data.verify.survey import Survey, survey
from avzsl.data.verify.vectors import check_word_vectors
from avzsl.errors import DataError
from avzsl.features.store import FeatureReader
from avzsl.layout import FEATURE_SUFFIX, FOLDERS, Layout
from avzsl.types import TextVectors


@dataclass
class Dataset:
    """What all families of a folder share.

    Attributes:
        layout: its paths.
        index: ids of all classes.
        keys: class id to key of its word vector.
        sound: whether nothing so far would stop the loader.
        record: what `avzsl extract` wrote about its work.
        files: opens feature files, in a child process or here.
        lists: folder of split files to what they say, read once.
    """

    layout: Layout
    index: ClassIndex
    keys: Mapping[int, str]
    sound: bool
    record: Mapping[str, Any]
    files: FeatureReader
    lists: dict[str, tuple[SplitLists, bool]] = field(default_factory=dict)

    def splits(self, layout: Layout, findings: Findings) -> tuple[SplitLists, bool]:
        """The splits of a family, and whether the loader would take them; findings are made the first time."""
        key = layout.split_dir.name
        if key not in self.lists:
            before = findings.errors
            lists = check_splits(layout, self.index, findings)
            self.lists[key] = lists, findings.errors == before
        return self.lists[key]


@dataclass(frozen=True)
class FamilyFacts:
    """What was found about one feature family.

    Attributes:
        family: its name.
        classes: split name to number of classes in its list.
        text: encoder, number and columns of the word vectors, and how many a loader by rank (P1) would get wrong.
        averaged: what the averaged features hold; None when there are none.
        temporal: what the temporal features hold; None when there are none.
        published: whether classes and clips are those of the published benchmark; None when it is none.
    """

    family: str
    classes: Mapping[str, int]
    text: Mapping[str, Any] = field(default_factory=dict)
    averaged: Mapping[str, Any] | None = None
    temporal: Mapping[str, Any] | None = None
    published: bool | None = None


def check_family(
    dataset: Dataset,
    name: str,
    findings: Findings,
    *,
    alone: bool = False,
    trust: bool = False,
    missing: str | None = None,
) -> FamilyFacts:
    """Check one family.

    Args:
        dataset: what all families share.
        name: family whose folders are there, or that is asked for.
        findings: takes what is wrong.
        alone: no other family has features, and nobody asked for this one; a swapped folder is read as what it holds.
        trust: read pickles.
        missing: there are no features; the severity of that.
    """
    plain = Layout(dataset.layout.root, name, dataset.layout.given_stem)
    chosen = {} if missing else _choose(dataset, plain, alone, trust, findings.of(name))
    layout, folder = next(iter(chosen.values()), (plain, plain))
    own = findings.of(layout.family)
    lists, lists_sound = dataset.splits(layout, findings)
    if not chosen:
        own.add(
            missing or "error", "missing-features", plain.family_dir, f"there are no features of family '{name}'",
            "download them, or make features from videos with 'avzsl extract'",
        )  # fmt: skip
    before = own.errors
    # Nobody misses the word vectors of a family that is of no interest.
    wanted = missing != "note"
    vectors, text = (
        check_word_vectors((folder, layout), dataset.index, dataset.keys, lists, own) if wanted else (None, {})
    )
    used = None
    if vectors is not None and dataset.sound and lists_sound and own.errors == before:
        used = _in_order(vectors, dataset.keys, lists)
    surveys = {
        temporal: survey(place, dataset.index, lists, used, Reading(dataset.files, temporal, trust), own)
        for temporal, (_, place) in chosen.items()
        if _readable(place, temporal, trust, own)
    }
    for found in surveys.values():
        _check_survey(found, layout, dataset, lists, own)
    if len(surveys) == 2:
        check_temporal(surveys[False], surveys[True], dataset.index, own)
    _check_record(dataset, layout.family, vectors, next(iter(surveys.values()), None), own)
    sizes = {split: len(numbers) for split, numbers in lists.classes.items() if split in lists.listed}
    clips, counted = _count_clips(next(iter(surveys.values()), None), lists)
    same = compare(layout, len(dataset.index.names), sizes, clips, counted, own)
    kinds = {temporal: found.facts() for temporal, found in surveys.items()}
    return FamilyFacts(layout.family, sizes, text, kinds.get(False), kinds.get(True), same)


def _choose(
    dataset: Dataset, plain: Layout, alone: bool, trust: bool, findings: Findings
) -> dict[bool, tuple[Layout, Layout]]:
    """Temporal or not to the loader's choice of lists and features, for what is there (P16)."""
    chosen = {}
    for temporal, base in ((False, plain.family_dir), (True, plain.temporal_dir)):
        if not base.is_dir():
            continue
        chosen[temporal] = plain, plain
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            # What is refused here, a damaged file or swapped columns, is told where the files are read.
            with contextlib.suppress(DataError):
                chosen[temporal] = choose_layouts(
                    dataset.layout,
                    None if alone else plain.family,
                    dataset.index,
                    Reading(dataset.files, temporal, trust),
                )
        for warning in caught:
            findings.add(
                "warning", "swapped-families", base, f"{warning.message} (P16)", "give the folders each other's names"
            )  # fmt: skip
    return chosen


def _readable(folder: Layout, temporal: bool, trust: bool, findings: Findings) -> bool:
    """Whether files can be read: pickles only when they are trusted."""
    if not temporal:
        return True
    pickles = [p for ending in PICKLES for p in folder.temporal_dir.glob(f"*/*/*{ending}")]
    lonely = [p for p in pickles if not p.with_suffix(FEATURE_SUFFIX).exists()]
    if lonely and not trust:
        findings.add(
            "warning", "pickles", folder.temporal_dir,
            f"{count(len(lonely), 'file is a pickle', 'files are pickles')}; they were not read",
            "give --trust, here and when training, if you trust their origin (no code in them is run)",
        )  # fmt: skip
    return trust or not lonely


def _in_order(vectors: TextVectors, keys: Mapping[int, str], lists: SplitLists) -> TextVectors:
    """The vectors of the classes in use, in order of their ids: what the loader's fingerprint takes in."""
    rows = {name: row for row, name in enumerate(vectors.names)}
    picked = [rows[keys[number]] for number in lists.used]
    return TextVectors(
        tuple(keys[number] for number in lists.used), vectors.vectors[torch.tensor(picked)], vectors.encoder
    )


def _check_survey(found: Survey, layout: Layout, dataset: Dataset, lists: SplitLists, findings: Findings) -> None:
    check_leaks(found, findings)
    check_repetitions(found, dataset.index, findings)
    check_against_lists(found, dataset.index, lists, findings)
    if found.reading.temporal:
        check_lengths(found, findings)
    sizes = tuple(found.width(modality) for modality in FOLDERS)
    expected = PUBLISHED_SIZES.get(layout.family)
    if layout.stem not in PUBLISHED or found.identity is not None or expected is None or None in sizes:
        return
    others = [family for family, columns in PUBLISHED_SIZES.items() if columns == sizes and columns != expected]
    columns = "/".join(map(str, sizes))
    if others:
        findings.add(
            "error", "swapped-families", found.base,
            f"holds {columns} columns, the sizes of family '{others[0]}' (P16)",
            f"put the features of '{layout.family}' there, or ask for family '{others[0]}'",
        )  # fmt: skip
    elif sizes != expected:
        findings.add(
            "warning", "not-as-published", found.base,
            f"has {columns} columns, the published features of '{layout.family}' {'/'.join(map(str, expected))}",
            "numbers on these features do not compare with published tables",
        )  # fmt: skip


def _check_record(
    dataset: Dataset, family: str, vectors: TextVectors | None, found: Survey | None, findings: Findings
) -> None:
    """Does `extract.json` tell of these files?"""
    record = dataset.record
    if record.get("family") != family:
        return
    path = dataset.layout.root / "extract.json"
    if found is not None and found.identity is not None and record.get("extractor") != found.identity.as_dict():
        what, mend = "names another extractor than the feature files", "extract again, so that it tells of these files"
        findings.add("warning", "record", path, what, mend)
    if vectors is not None and record.get("text_encoder") not in (None, vectors.encoder):
        what = f"names the text encoder '{record['text_encoder']}', the word vectors '{vectors.encoder}'"
        findings.add("warning", "record", path, what, "extract again, so that it tells of these files")


def _count_clips(found: Survey | None, lists: SplitLists) -> tuple[dict[str, int], str]:
    """Clips of each split, out of the features or else out of the csv files, and which of the two."""
    if found is not None and found.clips:
        return {split: sum(of_class.values()) for split, of_class in found.counts.items()}, "with features"
    counts = {
        split: sum(len(clips.get(number, ())) for number in lists.classes.get(split, ()))
        for split, clips in lists.clips.items()
    }
    return counts, "in its csv"
