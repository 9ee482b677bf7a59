"""Videos in, a benchmark folder out: list, extract in child processes, average, write, put in place."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from avzsl.errors import DataError, MediaError, SettingError, nearest_name
from avzsl.features._base import Extractor
from avzsl.features.assignment import assign_splits, check_splits, split_classes
from avzsl.features.benchmark import Contents, Extracted, replace_benchmark, write_benchmark
from avzsl.features.cache import FeatureCache
from avzsl.features.catalog import Skipped, VideoItem, list_videos
from avzsl.features.clips import video_limits
from avzsl.features.text import TextEncoder, phrase
from avzsl.isolation import run_isolated
from avzsl.layout import SPLITS, STAGE_1_SPLITS, Layout
from avzsl.progress import task
from avzsl.types import ClipFeatures, TextVectors

MISSING_POLICIES = ("skip", "error", "silence")
CACHE_FOLDER = ".avzsl-cache"


@dataclass(frozen=True)
class ExtractReport:
    """What an extraction did.

    Attributes:
        out: the benchmark folder.
        clips: videos in it.
        cached: how many of these were extracted before, by an earlier run or as a copy of the same bytes.
        classes: names of its classes, sorted.
        splits: clips per split.
        skipped: what was left out.
        filled: clips whose missing sound was replaced by silence.
        warnings: what a reader should know.
        seconds: time it took.
    """

    out: Path
    clips: int
    cached: int
    classes: tuple[str, ...]
    splits: dict[str, int]
    skipped: tuple[Skipped, ...]
    filled: int
    warnings: tuple[str, ...]
    seconds: float


@dataclass(frozen=True)
class _Found:
    """What a child process reports about one video; the rows themselves stay in the cache."""

    file: Path
    has_audio: bool
    has_visual: bool
    cached: bool


class _ExtractOne:
    """Extracts one video into the cache; called in child processes."""

    def __init__(self, extractor: Extractor, cache: FeatureCache) -> None:
        self.extractor, self.cache = extractor, cache

    def __call__(self, item: VideoItem) -> _Found:
        file = self.cache.file(item.path)
        features = self.cache.read(file)
        cached = features is not None
        if features is None:
            features = self.extractor.extract(item.path)
            _check(item.path, features)
            self.cache.write(file, features)
        return _Found(file, features.audio is not None, features.visual is not None, cached)


def _check(path: Path, features: ClipFeatures) -> None:
    if features.audio is None and features.visual is None:
        raise MediaError(f"{path} has neither picture nor sound")
    for name, rows in (("audio", features.audio), ("visual", features.visual)):
        if rows is not None and (rows.ndim != 2 or len(rows) == 0):
            raise MediaError(f"{path}: the extractor gave {name} of shape {rows.shape}")
        if rows is not None and not np.isfinite(rows).all():
            raise MediaError(f"{path}: the extractor gave NaN or infinity in {name}")


def extract_dataset(
    videos: Path | Sequence[VideoItem],
    out: Path,
    *,
    extractor: Extractor,
    text_encoder: TextEncoder,
    workers: int = 1,
    timeout: float = 300.0,
    trusted: bool = False,
    strict: bool = False,
    missing: str = "skip",
    unseen: Sequence[str] | None = None,
    seed: int = 0,
    family: str | None = None,
) -> ExtractReport:
    """Extract a folder or table of videos into a benchmark folder (docs/protocol.md section 2).

    Features of single videos are kept below `out`, so a run that was stopped goes on where it was, and the benchmark's
    own files change only when everything went well.

    Args:
        videos: what `list_videos` accepts, or its result.
        out: benchmark folder; its name becomes the data set's.
        extractor: makes the rows.
        text_encoder: makes the class vectors.
        workers: child processes; 0 works in this one, without limits.
        timeout: seconds one video may take.
        trusted: the videos are known to be sound: no limit on memory, and no child process for one worker.
        strict: stop at the first video that cannot be used, instead of leaving it out.
        missing: what to do with a video that lacks sound: `"skip"` it, stop with an `"error"`, or hear `"silence"`.
            A video without picture is skipped, or an error.
        unseen: classes nobody sees before the test; chosen by `seed` when None and the table does not say.
        seed: of the choice of splits.
        family: name of the feature family; the extractor's name when None.

    Raises:
        DataError: the videos cannot make a benchmark (too few classes, wrong table).
        MediaError: a video cannot be used and `strict` (or `missing="error"`) says to stop.
        OutputError: `out` cannot be written; what was there stays.
        SettingError: an argument is wrong.
    """
    if missing not in MISSING_POLICIES:
        raise SettingError(f"unknown policy '{missing}' for missing sound{nearest_name(missing, MISSING_POLICIES)}")
    if family is not None and not re.fullmatch(r"\w[\w.+-]*", family):
        raise SettingError(f"family '{family}' becomes part of a folder's name; use letters, digits, '_' and '-'")
    started = time.monotonic()
    out = Path(out).resolve()
    _refuse_inside(out, videos)
    skipped: list[Skipped] = []
    items = list_videos(videos, skipped) if isinstance(videos, (str, Path)) else list(videos)
    items = assign_splits(items, unseen=unseen, seed=seed)
    # Before the long part: a missing text encoder or a folder that is not ours should show at once.
    vectors, phrases = encode_classes(sorted({item.class_name for item in items}), text_encoder)
    with replace_benchmark(out) as staging:
        cache = FeatureCache(out / CACHE_FOLDER, extractor.identity)
        cache.sweep()
        found = _extract_all(
            items, _ExtractOne(extractor, cache), video_limits(workers, trusted), timeout, strict, skipped
        )
        policy = "error" if strict else missing
        usable = _with_both_modalities(items, found, extractor, policy, skipped)
        _check_what_is_left([entry.item for entry in usable], skipped)
        record = {"seed": seed, "missing": missing, "simulated": _is_generated(videos)}
        contents = Contents(usable, extractor, cache, vectors, phrases, skipped, record)
        layout = Layout(staging, family or extractor.name, given_stem=Layout(out).stem)
        write_benchmark(layout, contents)
    splits = Counter(entry.item.split for entry in usable)
    splits["stage_2_train"] = sum(splits[split] for split in STAGE_1_SPLITS)
    return ExtractReport(
        out=out,
        clips=len(usable),
        cached=sum(found[entry.item.name].cached for entry in usable),
        classes=tuple(sorted({entry.item.class_name for entry in usable})),
        splits={split: splits[split] for split in SPLITS},
        skipped=tuple(skipped),
        filled=sum(entry.silent for entry in usable),
        warnings=_lost_classes(items, usable),
        seconds=time.monotonic() - started,
    )


def _refuse_inside(out: Path, videos: object) -> None:
    """What is written below a folder of classes would be taken for a class the next time."""
    if isinstance(videos, (str, Path)) and Path(videos).is_dir() and out.is_relative_to(Path(videos).resolve()):
        raise SettingError(f"{out} lies in the folder of the videos; choose a folder outside of {videos}")


def _check_what_is_left(items: Sequence[VideoItem], skipped: Sequence[Skipped]) -> None:
    try:
        check_splits(items)
    except DataError as error:
        lost = [entry for entry in skipped if entry.stage != "list"]
        if not lost:
            raise
        first = f"{lost[0].path}: {lost[0].reason}"
        raise DataError(f"{error}; {len(lost)} videos could not be used, the first is {first}") from error


def _is_generated(videos: object) -> bool:
    """Whether the videos came from `avzsl world`, which leaves its card beside them."""
    if not isinstance(videos, (str, Path)):
        return False
    folder = Path(videos) if Path(videos).is_dir() else Path(videos).parent
    return (folder / "world.json").is_file()


def encode_classes(names: Sequence[str], encoder: TextEncoder) -> tuple[TextVectors, dict[str, str]]:
    """Vectors of class names, and the phrase that stands for each (`PlayingPiano` is encoded as 'Playing Piano').

    Returns:
        Vectors named by phrase; class name to phrase.
    """
    phrases = {name: phrase(name) for name in names}
    readings = Counter(phrases.values())
    # Classes that read the same, or like another's own name, keep their own spelling.
    phrases = {
        name: words if readings[words] == 1 and (words == name or words not in phrases) else name
        for name, words in phrases.items()
    }
    return encoder.encode(list(phrases.values())), phrases


def _extract_all(
    items: Sequence[VideoItem],
    extract: _ExtractOne,
    limits: tuple[int, int | None],
    timeout: float,
    strict: bool,
    skipped: list[Skipped],
) -> dict[str, _Found]:
    found: dict[str, _Found] = {}
    with task("extracting features", len(items)) as running:
        workers, memory = limits
        for item, result in run_isolated(extract, items, workers=workers, timeout=timeout, memory=memory):
            if isinstance(result, MediaError):
                if strict:
                    raise result
                # The path has a column of its own.
                reason = str(result).removeprefix(str(item.path)).removeprefix(":").strip()
                skipped.append(Skipped(item.path, "extract", reason))
            else:
                found[item.name] = result
            running.advance(note=item.class_name)
    return found


def _with_both_modalities(
    items: Sequence[VideoItem],
    found: dict[str, _Found],
    extractor: Extractor,
    missing: str,
    skipped: list[Skipped],
) -> list[Extracted]:
    """Clips that have what the extractor can give, with silence where the policy says so."""
    usable = []
    for item in items:
        rows = found.get(item.name)
        if rows is None:
            continue
        lacks_sound = extractor.audio_dim is not None and not rows.has_audio
        lacks_picture = extractor.visual_dim is not None and not rows.has_visual
        silent = lacks_sound and missing == "silence" and not lacks_picture
        if lacks_picture or (lacks_sound and not silent):
            reason = "has no picture" if lacks_picture else "has no sound"
            if missing == "error":
                silence = "" if lacks_picture else " or 'silence'"
                raise MediaError(f"{item.path} {reason}; leave it out, or choose 'skip'{silence} for missing sound")
            skipped.append(Skipped(item.path, "modality", reason))
            continue
        usable.append(Extracted(item, rows.file, silent))
    return usable


def _lost_classes(items: Sequence[VideoItem], usable: Sequence[Extracted]) -> tuple[str, ...]:
    """Warnings about classes that are gone from a split because none of their clips there could be used."""
    before, after = split_classes(items), split_classes(entry.item for entry in usable)
    left = {entry.item.class_name for entry in usable}
    notes = []
    for split, names in before.items():
        for name in sorted(names - after[split]):
            where = f"{split}" if name in left else "the data set"
            notes.append(f"class '{name}' has no usable videos and is left out of {where}")
    return tuple(dict.fromkeys(notes))
