"""Write a benchmark folder beside the old one and put it in place when it is complete."""

from __future__ import annotations

import contextlib
import csv
import io
import shutil
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import avzsl
from avzsl.errors import MediaError, OutputError
from avzsl.features._base import Extractor, FloatArray
from avzsl.features.cache import FeatureCache
from avzsl.features.catalog import Skipped, VideoItem
from avzsl.features.store import write_class_file, write_temporal_file, write_word_vectors
from avzsl.files import lock_folder, reason, write_json, write_text
from avzsl.layout import SPLITS, STAGE_1_SPLITS, Layout
from avzsl.progress import track
from avzsl.types import ClipFeatures, TextVectors

RECORD = "extract.json"
_PARTIAL = ".partial-"
_PIECES = ("class-split", "features", "skipped.csv", RECORD)


@dataclass(frozen=True)
class Extracted:
    """A clip whose rows lie in the cache; `silent` when its missing sound is to be silence."""

    item: VideoItem
    file: Path
    silent: bool


@dataclass(frozen=True)
class Contents:
    """Everything a benchmark folder is made of.

    Attributes:
        clips: clips with their splits and the place of their rows.
        extractor: made the rows.
        cache: holds the rows.
        vectors: class vectors, named by phrase.
        phrases: class name to phrase; may hold classes that have lost all their clips.
        skipped: goes to `skipped.csv`.
        record: goes to `extract.json`, beside what follows from the rest.
    """

    clips: Sequence[Extracted]
    extractor: Extractor
    cache: FeatureCache
    vectors: TextVectors
    phrases: Mapping[str, str]
    skipped: Sequence[Skipped]
    record: Mapping[str, Any]


@contextlib.contextmanager
def replace_benchmark(out: Path) -> Iterator[Path]:
    """Yield a folder in which to build; when the block ends well, its content takes the place of what is in `out`.

    Raises:
        OutputError: `out` cannot be written, is in use by another extraction, or holds a benchmark that was not made by
            an extraction.
    """
    if out.exists() and not out.is_dir():
        raise OutputError(f"cannot write {out}: it is a file; choose another folder")
    # Without the lock, the pieces of another extraction at work would be taken for those of a killed one.
    with lock_folder(out):
        yield from _replace(out)


def _replace(out: Path) -> Iterator[Path]:
    staging: Path | None = None
    try:
        for left in sorted(out.glob(f"{_PARTIAL}*")):  # of a run that was killed
            _restore(left, out)
            shutil.rmtree(left)
        foreign = [name for name in _PIECES[:2] if (out / name).exists() and not (out / RECORD).exists()]
        if foreign:
            raise OutputError(
                f"{out} has a folder '{foreign[0]}' that no extraction has written; choose another folder"
            )
        staging = Path(tempfile.mkdtemp(prefix=_PARTIAL, dir=out))
        (staging / "new").mkdir()
        yield staging / "new"
        _put_in_place(staging, out)
    except OSError as error:
        if staging is not None:
            _restore(staging, out)
        raise OutputError(f"cannot write {out}: {reason(error)}; check the folder and its disk") from error
    except OutputError as error:
        # Where it is built is nobody's business.
        if staging is None:
            raise
        raise OutputError(str(error).replace(str(staging / "new"), str(out))) from error
    finally:
        if staging is not None:
            shutil.rmtree(staging, ignore_errors=True)


def _put_in_place(staging: Path, out: Path) -> None:
    """Move the old pieces away and the new ones in; the record comes last, so that it marks completeness."""
    old = staging / "old"
    old.mkdir()
    for name in _PIECES:
        if (out / name).exists():
            (out / name).rename(old / name)
    for name in _PIECES:
        (staging / "new" / name).rename(out / name)


def _restore(staging: Path, out: Path) -> None:
    """Undo `_put_in_place` when it was stopped half-way."""
    old, new = staging / "old", staging / "new"
    if not old.is_dir() or not (new / RECORD).exists():
        return  # not begun, or complete
    for name in _PIECES:
        if not (new / name).exists():
            _remove(out / name)
        if (old / name).exists():
            (old / name).rename(out / name)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def write_benchmark(layout: Layout, contents: Contents) -> None:
    """Write every file of a benchmark folder below `layout.root`."""
    clips, vectors, phrases = contents.clips, contents.vectors, contents.phrases
    names = sorted({clip.item.class_name for clip in clips})
    _write_class_split(layout, names, phrases, clips)
    kept = [vectors.names.index(phrases[name]) for name in names]
    used = TextVectors(tuple(phrases[name] for name in names), vectors.vectors[kept], vectors.encoder)
    write_word_vectors(layout.word_vectors_safetensors, used)
    _write_features(layout, clips, contents.extractor, contents.cache)
    rows = [(str(s.path), s.stage, s.reason) for s in contents.skipped]
    write_text(layout.root / "skipped.csv", _csv(("path", "stage", "reason"), rows))
    record = {
        "package": avzsl.__version__,
        "extractor": contents.extractor.identity.as_dict(),
        "text_encoder": vectors.encoder,
        "family": layout.family,
        "classes": len(names),
        "clips": len(clips),
        "silent": sorted(clip.item.name for clip in clips if clip.silent),
        "skipped": len(contents.skipped),
        **contents.record,
    }
    write_json(layout.root / RECORD, record)


def _of_split(clips: Sequence[Extracted], split: str) -> list[Extracted]:
    wanted = STAGE_1_SPLITS if split == "stage_2_train" else (split,)
    return sorted((c for c in clips if c.item.split in wanted), key=lambda c: (c.item.class_name, c.item.name))


def _write_class_split(
    layout: Layout, names: Sequence[str], phrases: Mapping[str, str], clips: Sequence[Extracted]
) -> None:
    write_text(layout.all_class, "".join(f"{name}\n" for name in names))
    write_text(layout.class_names_csv, _csv(("original", "manual"), [(name, phrases[name]) for name in names]))
    codes = {name: code for code, name in enumerate(names)}
    for split in SPLITS:
        rows = [(c.item.name, c.item.class_name, codes[c.item.class_name]) for c in _of_split(clips, split)]
        write_text(layout.split_txt(split), "".join(f"{name}\n" for name in sorted({row[1] for row in rows})))
        write_text(layout.split_csv(split), _csv(("filename", "label", "label_code"), rows))


def _write_features(layout: Layout, clips: Sequence[Extracted], extractor: Extractor, cache: FeatureCache) -> None:
    """Averaged rows of all six splits; all rows of the five that hold different clips."""
    groups: dict[tuple[str, str], list[Extracted]] = defaultdict(list)
    for split in SPLITS:
        for clip in _of_split(clips, split):
            groups[split, clip.item.class_name].append(clip)
    for (split, name), members in track(groups.items(), "writing features", len(groups)):
        features = [_read(clip, extractor, cache) for clip in members]
        means = [extractor.average(f) for f in features]
        clip_names = [clip.item.name for clip in members]
        for place, modality, step in ((0, "audio", extractor.audio_step), (1, "visual", extractor.visual_step)):
            if getattr(features[0], modality) is None:
                continue
            data = np.stack([np.asarray(mean[place]) for mean in means])
            write_class_file(layout.features_file(modality, split, name), data, clip_names, extractor.identity)
            if split != "stage_2_train":
                rows = [getattr(f, modality) for f in features]
                path = layout.temporal_file(modality, split, name)
                write_temporal_file(path, rows, clip_names, extractor.identity, step)


def _read(clip: Extracted, extractor: Extractor, cache: FeatureCache) -> ClipFeatures:
    features = cache.read(clip.file)
    if features is None:
        raise MediaError(f"the kept features of {clip.item.path} are gone ({clip.file}); run the same command again")
    # What the extractor can give of one modality only is dropped for all clips alike.
    audio = features.audio if extractor.audio_dim is not None else None
    visual = features.visual if extractor.visual_dim is not None else None
    if clip.silent:
        audio = _silence(extractor, features)
    return ClipFeatures(audio, visual, features.step_seconds, features.warnings)


def _silence(extractor: Extractor, features: ClipFeatures) -> FloatArray:
    seconds = len(features.visual) * extractor.visual_step
    return extractor.silence(max(1, round(seconds / extractor.audio_step)))


def _csv(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue()
