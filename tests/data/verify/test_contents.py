"""Leaks, repetitions and gaps between clips."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from avzsl.data.verify import verify_benchmark

MAIN = "features/main_features"


def _copy(
    folder: Path, source: tuple[str, str, int], target: tuple[str, str, int], *, rows: tuple[str, ...], name: bool
) -> None:
    """Give the clip `target` (split, class, row) the rows of `source` in some modalities, and its name."""
    for modality in ("audio", "video"):
        with h5py.File(folder / MAIN / modality / source[0] / f"{source[1]}.h5") as file:
            row, url = file["data"][source[2]], file["video_urls"][source[2]]
        with h5py.File(folder / MAIN / modality / target[0] / f"{target[1]}.h5", "r+") as file:
            if modality in rows:
                file["data"][target[2]] = row
            if name:
                file["video_urls"][target[2]] = url


BOTH = ("audio", "video")


def test_a_clip_in_training_and_test_is_an_error(folder: Path, expect: Any) -> None:
    _copy(folder, ("stage_1_train", "cat", 2), ("stage_2_test_seen", "cat", 1), rows=(), name=True)
    expect(
        folder, "error", "leak", f"{MAIN}/audio/stage_2_test_seen",
        "1 clip is both trained on and judged in stage 2: 'cat stage_1_train 2'", "scores would be too high",
        refused=False,
    )  # fmt: skip


def test_a_clip_in_training_and_validation_is_an_error_of_stage_1(folder: Path, expect: Any) -> None:
    _copy(folder, ("stage_1_train", "cat", 2), ("stage_1_val_seen", "cat", 1), rows=(), name=True)
    expect(folder, "error", "leak", f"{MAIN}/audio/stage_1_val_seen", "judged in stage 1", refused=False)


def test_validation_clips_are_trained_on_in_stage_2(folder: Path, expect: Any) -> None:
    _copy(folder, ("stage_1_val_unseen", "egg", 2), ("stage_2_test_seen", "egg", 1), rows=(), name=True)
    expect(folder, "error", "leak", f"{MAIN}/audio/stage_2_test_seen", "judged in stage 2", refused=False)


def test_the_same_features_under_another_name_are_a_leak(folder: Path, expect: Any) -> None:
    _copy(folder, ("stage_1_train", "cat", 2), ("stage_2_test_seen", "dog", 1), rows=BOTH, name=False)
    expect(
        folder, "error", "leak", f"{MAIN}/audio/stage_2_test_seen",
        "1 judged clip has exactly the features of a clip that stage 2 trains on",
        "'dog stage_2_test_seen 1' those of 'cat stage_1_train 2' (stage_1_train)",
        refused=False, also=["same-features"],
    )  # fmt: skip


def test_a_leak_of_one_modality_is_none(folder: Path) -> None:
    _copy(folder, ("stage_1_train", "cat", 2), ("stage_2_test_seen", "dog", 1), rows=("audio",), name=False)
    assert not any(f.kind == "leak" for f in verify_benchmark(folder).findings)


def test_clips_that_share_some_columns_are_different(folder: Path) -> None:
    for modality in BOTH:
        with h5py.File(folder / MAIN / modality / "stage_1_train/cat.h5", "r+") as file:
            file["data"][2, :-1] = file["data"][3, :-1]
    assert not any(f.kind == "same-features" for f in verify_benchmark(folder).findings)


def test_the_same_features_within_a_split_are_a_warning(folder: Path, expect: Any) -> None:
    _copy(folder, ("stage_1_train", "cat", 2), ("stage_1_train", "cat", 5), rows=BOTH, name=False)
    _copy(folder, ("stage_1_train", "cat", 2), ("stage_1_train", "apple", 0), rows=BOTH, name=False)
    expect(
        folder, "warning", "same-features", f"{MAIN}/audio/stage_1_train",
        "3 clips in 1 group have the same features in both modalities, 1 group of them across classes:"
        " 'apple stage_1_train 0', 'cat stage_1_train 2', 'cat stage_1_train 5'",
        "keep one of them",
    )  # fmt: skip


def test_the_same_sound_is_a_note(folder: Path, expect: Any) -> None:
    _copy(folder, ("stage_1_train", "cat", 2), ("stage_1_train", "cat", 5), rows=("audio",), name=False)
    where = f"{MAIN}/audio/stage_1_train"
    expect(folder, "note", "same-features", where, "2 clips in 1 group have features of the same sound", "cat stage")


def test_the_same_picture_is_a_note(folder: Path, expect: Any) -> None:
    _copy(folder, ("stage_1_train", "cat", 2), ("stage_1_train", "cat", 5), rows=("video",), name=False)
    where = f"{MAIN}/audio/stage_1_train"
    expect(folder, "note", "same-features", where, "2 clips in 1 group have features of the same picture")


def test_a_name_in_two_classes_is_a_note(folder: Path, expect: Any) -> None:
    _copy(folder, ("stage_1_train", "cat", 2), ("stage_1_train", "dog", 2), rows=(), name=True)
    expect(
        folder, "note", "name-in-two-classes", MAIN, "1 clip name occurs in more than one class:"
        " 'cat stage_1_train 2' in 'cat', 'dog'",
    )  # fmt: skip


def _list(folder: Path, split: str, names: list[str], label: str, code: int) -> None:
    path = folder / "class-split/main_split" / f"{split}.csv"
    old = path.read_text() if path.is_file() else "filename,label,label_code\n"
    with path.open("w", newline="") as file:
        file.write(old)
        csv.writer(file).writerows([name, label, code] for name in names)


def test_clips_without_features_are_a_warning(folder: Path, expect: Any) -> None:
    for code, name in ((6, "goat"), (7, "horn")):
        _list(folder, "stage_2_test_unseen", [f"{name} stage_2_test_unseen {i}" for i in range(5)], name, code)
    expect(
        folder, "warning", "missing-clips", f"{MAIN}/audio/stage_2_test_unseen",
        "2 of 10 clips that stage_2_test_unseen.csv lists have no features: 'goat/goat stage_2_test_unseen 4', 'horn/",
        "do not compare with scores on all",
    )  # fmt: skip


def test_clips_that_no_list_names_are_a_warning(folder: Path, expect: Any) -> None:
    for code, name in ((6, "goat"), (7, "horn")):
        _list(folder, "stage_2_test_unseen", [f"{name} stage_2_test_unseen {i}" for i in range(3)], name, code)
    expect(
        folder, "warning", "unlisted-clips", f"{MAIN}/audio/stage_2_test_unseen",
        "2 clips that stage_2_test_unseen.csv does not list: 'goat/goat stage_2_test_unseen 3'",
    )  # fmt: skip


def test_a_clip_that_only_averaged_features_have_is_a_warning(tiny_copy: Path) -> None:
    for modality in ("audio", "video"):
        path = tiny_copy / f"features/main_features_non_averaged/{modality}/stage_1_train/siren.h5"
        with h5py.File(path) as file:
            offsets, data, names = file["offsets"][:-1], file["data"][()], file["video_urls"][:-1]
        with h5py.File(path, "w") as file:
            file["offsets"], file["data"], file["video_urls"] = offsets, data[: offsets[-1]], names
    found = verify_benchmark(tiny_copy)
    (finding,) = found.of("warning")
    assert (finding.kind, finding.where) == ("temporal-differs", "features/main_features")
    assert finding.what == (
        "1 clip that main_features_non_averaged lacks (198 averaged, 197 temporal):"
        " 'siren/stage_1_train_siren_11 (stage_1_train)'"
    )


def test_temporal_features_of_another_extractor_are_a_warning(tiny_copy: Path) -> None:
    identity = '{"name": "other", "profile": "clean", "settings": {}, "version": 1}'
    for path in (tiny_copy / "features/main_features_non_averaged").rglob("*.h5"):
        with h5py.File(path, "r+") as file:
            file.attrs["extractor"] = identity
    (finding,) = verify_benchmark(tiny_copy).of("warning")
    assert (finding.kind, finding.where) == ("temporal-differs", "features/main_features_non_averaged")
    assert finding.what == "was not made by the extractor of main_features"


def test_unequal_lengths_are_counted(tiny_copy: Path) -> None:
    lengths = {}
    for modality in ("audio", "video"):
        paths = sorted((tiny_copy / "features/main_features_non_averaged" / modality).rglob("*.h5"))
        lengths[modality] = np.concatenate([np.diff(h5py.File(path)["offsets"][()]) for path in paths])
    uneven = int((lengths["audio"] != lengths["video"]).sum())
    (finding,) = (f for f in verify_benchmark(tiny_copy).findings if f.kind == "unequal-lengths")
    assert (finding.severity, finding.where) == ("note", "features/main_features_non_averaged")
    assert finding.what.startswith(f"{uneven} of 198 clips have different numbers of audio and visual rows, at most")
