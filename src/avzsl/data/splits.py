"""Load a benchmark folder: features, labels, text vectors and the seen / unseen splits of both stages."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from avzsl.data.classes import ClassIndex, SplitClasses, read_class_index, read_split_classes, read_text_vectors
from avzsl.data.family import choose_layouts, find_dataset
from avzsl.data.reading import Collected, Reading, read_split, require_folders
from avzsl.data.tables import EvaluationSet, FeatureTable, Pool
from avzsl.errors import DataError, SettingError, nearest_name
from avzsl.features.store import FeatureReader
from avzsl.layout import Layout
from avzsl.types import Dimensions, ExtractorIdentity, TextVectors

MODES = ("clean", "reference")
# In this order every pool and evaluation set is one piece of the table, so none of them copies features. The
# stage_2_train folder is never opened: stage 2 trains on the first three, as the public trainers do.
_ORDER = ("stage_1_train", "stage_1_val_seen", "stage_1_val_unseen", "stage_2_test_seen", "stage_2_test_unseen")
_TRAINING = {1: _ORDER[:1], 2: _ORDER[:3]}
_EVALUATION = {1: _ORDER[1:3], 2: _ORDER[3:]}


@dataclass(frozen=True)
class Split:
    """One split: its clips are rows `start` to `stop`, its classes are columns of `Benchmark.classes`."""

    start: int
    stop: int
    classes: tuple[int, ...]

    def __len__(self) -> int:
        return self.stop - self.start


@dataclass(frozen=True, eq=False)
class Benchmark:
    """A loaded benchmark.

    Attributes:
        name: dataset name, the name of its folder.
        root: its folder.
        family: feature family that was read.
        temporal: whether clips have one row per segment.
        max_segments: longest clip after averaging; None = as stored.
        mode: `"clean"` or `"reference"`.
        text_assignment: how text vectors were given to classes.
        text_lookup: how training finds a class's vector: `"by_id"` or `"by_set_order"` (P2).
        classes: text vectors of all classes in use, in order of their ids.
        class_ids: [C] int64, id of each of these classes.
        splits: split name to rows and classes.
        features: all clips of the five splits that are read.
        labels: [N] int64, columns of `classes`.
        clip_names: N names.
        identity: who made the features; name `"unknown"` when the files do not say.
        fingerprint: SHA-256 of features, clip names, labels, splits and text vectors as 64 hexadecimal digits.
        dimensions: columns of one audio, visual and text vector.
    """

    name: str
    root: Path
    family: str
    temporal: bool
    max_segments: int | None
    mode: str
    text_assignment: str
    text_lookup: str
    classes: TextVectors
    class_ids: Tensor
    splits: Mapping[str, Split]
    features: FeatureTable
    labels: Tensor
    clip_names: tuple[str, ...]
    identity: ExtractorIdentity
    fingerprint: str
    dimensions: Dimensions

    def training(self, stage: int) -> Pool:
        """What stage 1 or 2 trains on."""
        start, stop, columns = self._piece(_TRAINING[_check_stage(stage)])
        labels = self._relabel(start, stop, columns)
        vectors = self.classes.vectors[torch.tensor(columns)]
        if self.text_lookup == "by_set_order":
            vectors = _shuffle_by_set(vectors, self.class_ids[torch.tensor(columns)], labels)
        names = tuple(self.classes.names[c] for c in columns)
        return Pool(self.features.span(start, stop), labels, vectors, names, self.clip_names[start:stop])

    def evaluation(self, stage: int) -> EvaluationSet:
        """What judges stage 1 (validation) or stage 2 (test)."""
        start, stop, columns = self._piece(_EVALUATION[_check_stage(stage)])
        seen = set(self.splits[_TRAINING[stage][0]].classes) | set(self.splits[_TRAINING[stage][-1]].classes)
        return EvaluationSet(
            features=self.features.span(start, stop),
            labels=self._relabel(start, stop, columns),
            classes=self.classes.vectors[torch.tensor(columns)],
            class_names=tuple(self.classes.names[c] for c in columns),
            seen=torch.tensor([c in seen for c in columns]),
            clip_names=self.clip_names[start:stop],
        )

    def _piece(self, splits: Sequence[str]) -> tuple[int, int, list[int]]:
        pieces = [self.splits[s] for s in splits]
        return pieces[0].start, pieces[-1].stop, sorted({c for piece in pieces for c in piece.classes})

    def _relabel(self, start: int, stop: int, columns: Sequence[int]) -> Tensor:
        position = torch.full((len(self.class_ids),), -1)
        position[torch.tensor(columns)] = torch.arange(len(columns))
        return position[self.labels[start:stop]]


def load_benchmark(
    root: Path | str,
    *,
    family: str | None = None,
    temporal: bool = False,
    mode: str = "clean",
    text_assignment: str | None = None,
    text_lookup: str | None = None,
    trust: bool = False,
    max_segments: int | None = None,
    trusted: bool = False,
) -> Benchmark:
    """Load a benchmark folder as the field distributes it, or as this package writes it.

    Feature files are opened in a child process with limits on time and memory, because damage makes the HDF5 library
    hang or crash.

    Args:
        root: the dataset folder, or its parent when that holds exactly one.
        family: `"main"`, `"cls"` or another name; None = the one that is there (`"main"` of several).
        temporal: one row per segment instead of one per clip.
        mode: `"clean"`, or `"reference"` to repeat what published numbers rest on (docs/quirks.md).
        text_assignment: `"by_name"` or `"by_sorted_rank"` (P1); None = by mode.
        text_lookup: `"by_id"` or `"by_set_order"` (P2); None = by mode.
        trust: read temporal features from the public pickles (with an unpickler that runs no code).
        max_segments: average clips of more segments down to this many.
        trusted: the files are known to be sound; open them in this process, which is faster.

    Raises:
        DataError: something is missing, damaged or contradicts something else.
        SettingError: an option is unknown or out of range.
    """
    reference = _check_choice("mode", mode, MODES) == "reference"
    text_assignment = text_assignment or ("by_sorted_rank" if reference else "by_name")
    text_lookup = text_lookup or ("by_set_order" if reference else "by_id")
    _check_choice("text lookup", text_lookup, ("by_id", "by_set_order"))
    if max_segments is not None and (max_segments < 1 or not temporal):
        way_on = "ask for temporal features too" if max_segments >= 1 else "it must be at least 1"
        raise SettingError(f"max_segments is {max_segments}; {way_on}")
    dataset = find_dataset(Path(root))
    index = read_class_index(dataset)
    with FeatureReader(trusted=trusted) as files:
        reading = Reading(files, temporal, trust, max_segments)
        layout, folder = choose_layouts(dataset, family, index, reading)
        require_folders(folder, _ORDER, reading)
        classes = read_split_classes(layout, index)
        text = read_text_vectors((folder, layout), index, classes.used, text_assignment)
        collected, splits = _read_splits(folder, index, classes, reading)
    columns = {number: column for column, number in enumerate(classes.used)}
    block_sizes = torch.tensor([len(names) for names in collected.names])
    labels = torch.tensor([columns[number] for number in collected.class_ids]).repeat_interleave(block_sizes)
    audio, visual = collected.joined("audio"), collected.joined("visual")
    return Benchmark(
        name=layout.name,
        root=layout.root,
        family=layout.family,
        temporal=temporal,
        max_segments=max_segments,
        mode=mode,
        text_assignment=text_assignment,
        text_lookup=text_lookup,
        classes=text,
        class_ids=torch.tensor(classes.used),
        splits=splits,
        features=FeatureTable(audio, visual),
        labels=labels,
        clip_names=tuple(name for names in collected.names for name in names),
        identity=collected.identity or ExtractorIdentity("unknown", profile="unknown"),
        fingerprint=collected.fingerprint(text.vectors, (text_lookup, str(max_segments))),
        dimensions=Dimensions(audio.data.shape[1], visual.data.shape[1], text.vectors.shape[1]),
    )


def _read_splits(
    layout: Layout, index: ClassIndex, classes: SplitClasses, reading: Reading
) -> tuple[Collected, dict[str, Split]]:
    wanted = dict(
        zip(
            _ORDER,
            (
                classes.training_1,
                classes.training_1,
                classes.validation_unseen,
                classes.training_2,
                classes.test_unseen,
            ),
            strict=True,
        )
    )
    columns = {number: column for column, number in enumerate(classes.used)}
    collected, splits, row = Collected(), {}, 0
    for split, numbers in wanted.items():
        first = len(collected.names)
        absent = read_split(collected, layout, split, numbers, index, reading)
        if absent:
            _refuse_or_warn(split, [index.names[number] for number in absent], layout, reading)
        clips = sum(len(names) for names in collected.names[first:])
        if clips == 0:
            raise DataError(f"{layout.features_dir('audio', split, temporal=reading.temporal)} holds no clips")
        splits[split] = Split(row, row + clips, tuple(columns[number] for number in numbers))
        row += clips
    _warn_of_leaks(collected, splits)
    return collected, splits


def _refuse_or_warn(split: str, absent: Sequence[str], layout: Layout, reading: Reading) -> None:
    """A class without clips cannot be learnt, but it can be left out of the means of an evaluation (P19)."""
    some = ", ".join(f"'{name}'" for name in absent[:3]) + (", ..." if len(absent) > 3 else "")
    folder = layout.features_dir("audio", split, temporal=reading.temporal)
    if split in _TRAINING[2] and split != "stage_1_val_seen":
        raise DataError(
            f"{folder} has no file for {len(absent)} class(es) of the split ({some}); extract or download them"
        )
    warnings.warn(
        f"{split} has no clips of {len(absent)} class(es) ({some}); they stay candidates but are left out of the means",
        stacklevel=4,
    )


def _warn_of_leaks(collected: Collected, splits: Mapping[str, Split]) -> None:
    """Say so when a clip is trained on and judged; no published split does that (docs/protocol.md section 5)."""
    names = [name for block in collected.names for name in block]
    of_class = [number for block, number in zip(collected.names, collected.class_ids, strict=True) for _ in block]
    clips = list(zip(of_class, names, strict=True))
    for stage, evaluation in _EVALUATION.items():
        trained = set(clips[: splits[_TRAINING[stage][-1]].stop])
        judged = clips[splits[evaluation[0]].start : splits[evaluation[-1]].stop]
        shared = [name for number, name in judged if (number, name) in trained]
        if shared:
            warnings.warn(
                f"{len(shared)} clip(s) are both trained on and judged in stage {stage}, for example '{shared[0]}';"
                " seen scores will be too high",
                stacklevel=4,
            )


def _shuffle_by_set(vectors: Tensor, ids: Tensor, labels: Tensor) -> Tensor:
    """P2: the public sampler takes row p of the sorted table, p being the place of the id in a hash set's order."""
    order = list(set(ids[labels].tolist()))
    rows = [order.index(number) if number in order else column for column, number in enumerate(ids.tolist())]
    return vectors[torch.tensor(rows)]


def _check_stage(stage: int) -> int:
    if stage not in _TRAINING:
        raise SettingError(f"there is no stage {stage}; choose 1 or 2")
    return stage


def _check_choice(what: str, value: str, choices: Sequence[str]) -> str:
    if value not in choices:
        raise SettingError(f"unknown {what} '{value}'{nearest_name(value, choices)}")
    return value
