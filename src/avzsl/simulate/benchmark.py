"""Write a complete benchmark folder with simulated features for the classes, clips and splits of another one."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

import avzsl
from avzsl.data.classes import (
    ClassIndex,
    find_word_vectors,
    read_class_index,
    read_split_classes,
    read_split_csv,
    read_vector_keys,
)
from avzsl.data.family import PUBLISHED_SIZES, find_dataset
from avzsl.errors import DataError, SettingError, nearest_name
from avzsl.features.benchmark import RECORD, replace_benchmark
from avzsl.features.store import read_word_vectors, write_class_file, write_temporal_file, write_word_vectors
from avzsl.files import write_bytes, write_json, write_text
from avzsl.layout import FOLDERS, SPLITS, STAGE_1_SPLITS, Layout
from avzsl.progress import track
from avzsl.simulate.model import STEP_SECONDS, VERSION, Floats, SimulationConfig, Simulator, seconds_of
from avzsl.types import SIMULATED, ExtractorIdentity, TextVectors

# Split to class name to clip names.
Lists = Mapping[str, Mapping[str, Sequence[str]]]


@dataclass(frozen=True)
class SimulationReport:
    """What was written.

    Attributes:
        out: the benchmark folder.
        like: the folder whose classes and clips it has.
        family: feature family.
        classes: number of classes.
        splits: clips per split.
        columns: of audio and visual rows.
        made_up: splits whose clips are named by us, because no list named them.
    """

    out: Path
    like: Path
    family: str
    classes: int
    splits: Mapping[str, int]
    columns: Mapping[str, int]
    made_up: tuple[str, ...]


def simulate_benchmark(
    like: Path | str,
    out: Path | str,
    *,
    family: str = "main",
    temporal: bool = False,
    seed: int = 0,
    config: SimulationConfig | None = None,
    vectors: Path | str | None = None,
    clips: int | None = None,
) -> SimulationReport:
    """Draw features for every clip that a published benchmark names, and write them in the layout of the field.

    Args:
        like: folder with class splits; its features, if there are any, are not looked at.
        out: folder to write; what an earlier simulation wrote there is replaced.
        family: `"main"` (512 and 512 columns) or `"cls"` (128 and 4096).
        temporal: also write one row per second.
        seed: of everything; the same seed gives the same bytes.
        config: strengths; None = the defaults.
        vectors: word-vector file; None = the one in or beside `like`.
        clips: names so many clips per class of a split that has no list of them; None = such a split is an error.

    Raises:
        SettingError: an unknown family or a number out of range.
        DataError: `like` is no benchmark, or lacks a list or a vector.
        OutputError: `out` cannot be written, or holds something else.
    """
    if family not in PUBLISHED_SIZES:
        raise SettingError(f"the sizes of family '{family}' are not known{nearest_name(family, PUBLISHED_SIZES)}")
    if seed < 0:
        raise SettingError(f"seed is {seed}; it must be at least 0")
    if clips is not None and clips < 1:
        raise SettingError(f"clips is {clips}; it must be at least 1")
    found = find_dataset(Path(like))
    source = Layout(found.root, family, found.given_stem)
    index = read_class_index(source)
    lists, made_up = _clip_lists(source, index, clips)
    words = read_word_vectors(Path(vectors) if vectors is not None else _vectors_of(source))
    names = sorted({name for classes in lists.values() for name in classes})
    rows = _vectors_by_class(source, index, names, words)
    columns = dict(zip(FOLDERS, PUBLISHED_SIZES[family], strict=True))
    config = config or SimulationConfig()
    settings = asdict(config) | {"seed": seed, "columns": columns}
    identity = ExtractorIdentity(SIMULATED, settings=settings, version=VERSION)
    target = Path(out).resolve()
    with replace_benchmark(target) as staging:
        layout = Layout(staging, family, source.stem)
        _copy_split(source, layout, index, lists, made_up)
        write_word_vectors(layout.word_vectors_safetensors, words)
        simulators = [Simulator(config, m, size, words.vectors.shape[1], seed) for m, size in columns.items()]
        _write_features(layout, lists, rows, simulators, identity, temporal)
        write_text(staging / "skipped.csv", "path,stage,reason\n")
        record = {
            "package": avzsl.__version__, "extractor": identity.as_dict(), "text_encoder": words.encoder,
            "family": family, "classes": len(names), "clips": sum(map(len, _all_clips(lists).values())), "seed": seed,
            "simulated": True, "like": source.name,
        }  # fmt: skip
        write_json(staging / RECORD, record)
    splits = {split: sum(map(len, classes.values())) for split, classes in lists.items()}
    return SimulationReport(target, source.root, family, len(names), splits, columns, made_up)


def _clip_lists(layout: Layout, index: ClassIndex, clips: int | None) -> tuple[Lists, tuple[str, ...]]:
    """The clips of every split and class, and which splits have no list."""
    classes = read_split_classes(layout, index)
    members = {
        "stage_1_train": classes.training_1,
        "stage_1_val_seen": classes.training_1,
        "stage_1_val_unseen": classes.validation_unseen,
        "stage_2_test_seen": classes.training_2,
        "stage_2_test_unseen": classes.test_unseen,
    }
    lists: dict[str, dict[str, list[str]]] = {}
    made_up = []
    for split, numbers in members.items():
        path = layout.split_csv(split)
        lists[split] = {index.names[number]: [] for number in numbers}
        if path.is_file():
            rows = read_split_csv(path)
            for row, number in zip(rows, index.ids([row["label"] for row in rows], path), strict=True):
                if index.names[number] in lists[split]:  # the lists of family cls name dropped classes too
                    lists[split][index.names[number]].append(row["filename"])
        elif clips is None:
            raise DataError(
                f"{path} is missing, so nobody knows the clips of {split}; get it, or pass --clips with the number of"
                " clips to make up for each class"
            )
        else:
            made_up.append(split)
            for name, members_of_class in lists[split].items():
                members_of_class += [f"{re.sub(r'[^0-9A-Za-z]+', '_', name)}_{split}_{n:04d}" for n in range(clips)]
        lists[split] = {name: found for name, found in lists[split].items() if found}
    return lists, tuple(made_up)


def _vectors_of(layout: Layout) -> Path:
    """The word vectors in the folder, or where their publishers keep them: in a folder `word-vectors` beside it."""
    families = sorted(p.name.removesuffix("_features") for p in (layout.root / "features").glob("*_features"))
    layouts = [layout, *(Layout(layout.root, family, layout.given_stem) for family in families)]
    for folder in (layout.root, layout.root.parent):
        for name in (layout.word_vectors.name, layout.word_vectors_safetensors.name):
            path = folder / "word-vectors" / name
            if path.is_file():
                return path
    try:
        return find_word_vectors(layouts)
    except DataError as error:
        raise DataError(f"{layout.root} has no {layout.word_vectors.name}; give its path with --vectors") from error


def _vectors_by_class(layout: Layout, index: ClassIndex, names: Sequence[str], words: TextVectors) -> dict[str, Floats]:
    """Class name to its own text vector, the right one by name (P1)."""
    keys, places = read_vector_keys(layout, index), {name: row for row, name in enumerate(words.names)}
    found = {}
    for name, number in zip(names, index.ids(names, layout.all_class), strict=True):
        key = keys.get(number)
        if key is None or key not in places:
            raise DataError(f"there is no word vector for class '{name}'; check {layout.class_names_csv.name}")
        found[name] = words.vectors[places[key]].double().numpy()
    return found


def _copy_split(source: Layout, layout: Layout, index: ClassIndex, lists: Lists, made_up: Sequence[str]) -> None:
    layout.split_dir.mkdir(parents=True)
    pairs = [(source.all_class, layout.all_class), (source.class_names_csv, layout.class_names_csv)]
    for split in SPLITS:
        pairs.append((source.split_txt(split), layout.split_txt(split)))
        pairs.append((source.split_csv(split), layout.split_csv(split)))
    for old, new in pairs:
        if old.is_file():
            write_bytes(new, old.read_bytes())
    for split in made_up:
        text = io.StringIO(newline="")
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(("filename", "label", "label_code"))
        for name, clips in lists[split].items():
            (number,) = index.ids([name], source.all_class)
            writer.writerows((clip, name, number) for clip in clips)
        write_text(layout.split_csv(split), text.getvalue())


def _write_features(
    layout: Layout,
    lists: Lists,
    vectors: Mapping[str, Floats],
    simulators: Sequence[Simulator],
    identity: ExtractorIdentity,
    temporal: bool,
) -> None:
    """Averaged rows of all six splits, and the rows of every second of the five that hold different clips."""
    config, seed = simulators[0].config, simulators[0].seed
    everything = {**lists, "stage_2_train": _all_clips({s: lists[s] for s in STAGE_1_SPLITS})}
    groups = [(split, name) for split in SPLITS for name in sorted(everything[split])]
    for split, name in track(groups, "simulating features"):
        clips = everything[split][name]
        lengths = [seconds_of(config, name, clip, seed) for clip in clips]
        for simulator in simulators:
            centre = simulator.centre(name, vectors[name])
            rows = [simulator.rows(centre, name, c, n) for c, n in zip(clips, lengths, strict=True)]
            means = np.stack([block.mean(axis=0, dtype=np.float64) for block in rows])
            write_class_file(layout.features_file(simulator.modality, split, name), means, clips, identity)
            if temporal and split != "stage_2_train":
                path = layout.temporal_file(simulator.modality, split, name)
                write_temporal_file(path, rows, clips, identity, STEP_SECONDS)


def _all_clips(lists: Lists) -> dict[str, list[str]]:
    """Class name to its clips in all the given splits."""
    found: dict[str, list[str]] = {}
    for classes in lists.values():
        for name, clips in classes.items():
            found.setdefault(name, []).extend(clips)
    return found
