from __future__ import annotations

import csv
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from avzsl.errors import DataError, MediaError, OutputError, SettingError
from avzsl.features._base import Extractor
from avzsl.features.pipeline import encode_classes, extract_dataset
from avzsl.features.store import read_class_file, read_temporal_file, read_word_vectors
from avzsl.features.text import create_text_encoder
from avzsl.files import LOCK, lock_folder, read_json
from avzsl.layout import SPLITS, Layout
from avzsl.types import ClipFeatures, ExtractorIdentity


class ToyExtractor(Extractor):
    """Reads files that say what to give: 'audio=2 visual=3', 'hang', 'crash', or anything else for an error."""

    name = "toy"
    calls = 0
    audio_dim = 2
    visual_dim = 3
    step_seconds = 0.5
    identity = ExtractorIdentity("toy")

    def __init__(self) -> None:
        super().__init__(None)

    def extract(self, path: Path) -> ClipFeatures:
        type(self).calls += 1
        text = path.read_text()
        if text == "hang":
            time.sleep(60)
        if text == "crash":
            os._exit(3)
        if "=" not in text:
            raise MediaError(f"{path} is broken")
        counts = {key: int(value) for key, value in (part.split("=") for part in text.split())}
        first = float(counts.get("first", 1)) if "nan" not in counts else np.nan

        def rows(modality: str, columns: int) -> Any:
            if modality not in counts:
                return None
            ramp = np.arange(counts[modality], dtype=np.float32)[:, None]
            return (ramp + np.full(columns, first)).astype(np.float32)

        return ClipFeatures(rows("audio", 2), rows("visual", 3), 0.5)


@pytest.fixture
def videos(tmp_path: Path) -> Path:
    """Seven classes of four videos; every video has as many rows as its number + 1."""
    ToyExtractor.calls = 0
    for c in range(7):
        for k in range(4):
            put(
                tmp_path / "videos",
                f"Class {c}, etc/{'x' * (c + 1)}{k}.mp4",
                f"audio={k + 1} visual={k + 1} first={c + 2}",
            )
    return tmp_path / "videos"


def put(root: Path, path: str, text: str) -> Path:
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_text(text)
    return root / path


def extract(videos: Path, out: Path, **options: Any) -> Any:
    options = {"workers": 0} | options  # its calls are counted
    return extract_dataset(
        videos, out, extractor=ToyExtractor(), text_encoder=create_text_encoder("hash-ngram"), **options
    )


def everything(folder: Path) -> dict[str, bytes]:
    files = (p for p in sorted(folder.rglob("*")) if p.is_file() and ".avzsl-cache" not in p.parts)
    return {str(p.relative_to(folder)): p.read_bytes() for p in files}


def test_a_benchmark_folder_is_complete_and_consistent(videos: Path, tmp_path: Path) -> None:
    out = tmp_path / "My World"
    report = extract(videos, out)
    assert report.clips == 28 and report.cached == 0 and len(report.classes) == 7 and not report.skipped
    layout = Layout(out, "toy")
    names = layout.all_class.read_text().splitlines()
    assert names == sorted(names) == list(report.classes)
    clips: dict[str, set[str]] = {}
    for split in SPLITS:
        with layout.split_csv(split).open() as file:
            rows = list(csv.DictReader(file))
        assert [*rows[0]] == ["filename", "label", "label_code"]
        assert all(names[int(row["label_code"])] == row["label"] for row in rows)
        classes = layout.split_txt(split).read_text().splitlines()
        assert classes == sorted({row["label"] for row in rows})
        clips[split] = {row["filename"] for row in rows}
        assert len(clips[split]) == report.splits[split]
        for name in classes:
            audio = read_class_file(layout.features_file("audio", split, name))
            visual = read_class_file(layout.features_file("visual", split, name))
            assert audio.names == visual.names == tuple(r["filename"] for r in rows if r["label"] == name)
            assert audio.identity == visual.identity == ToyExtractor.identity
    assert clips["stage_2_train"] == set.union(*(clips[s] for s in SPLITS[:3]))
    vectors = read_word_vectors(layout.word_vectors_safetensors)
    assert vectors.names == tuple(names) and vectors.encoder == "hash-ngram"
    record = read_json(out / "extract.json")
    assert record["extractor"] == ToyExtractor.identity.as_dict() and record["clips"] == 28
    assert (out / "skipped.csv").read_text() == "path,stage,reason\n"
    assert not list(out.glob(".partial*"))


def test_averages_and_segments_hold_what_the_extractor_gave(videos: Path, tmp_path: Path) -> None:
    extract(videos, tmp_path / "out")
    layout = Layout(tmp_path / "out", "toy")
    name = layout.split_txt("stage_2_test_unseen").read_text().splitlines()[0]
    averaged = read_class_file(layout.features_file("audio", "stage_2_test_unseen", name))
    temporal = read_temporal_file(layout.temporal_file("audio", "stage_2_test_unseen", name))
    assert averaged.names == temporal.names and temporal.step_seconds == 0.5
    length = len(averaged.names[0])
    # Video k has the rows length, length + 1, ... length + k.
    np.testing.assert_allclose(averaged.data[:, 0], [length + k / 2 for k in range(4)])
    assert temporal.offsets.tolist() == [0, 1, 3, 6, 10]
    assert temporal.data[3:6, 1].tolist() == [length, length + 1, length + 2]


def test_the_folder_is_read_by_the_data_room(videos: Path, tmp_path: Path) -> None:
    from avzsl.data.splits import load_benchmark

    report = extract(videos, tmp_path / "out")
    for temporal in (False, True):
        benchmark = load_benchmark(tmp_path / "out", temporal=temporal)
        assert benchmark.identity == ToyExtractor.identity
        assert len(benchmark.training(2).labels) == report.splits["stage_2_train"]


def test_a_second_run_reads_kept_features_and_writes_the_same_files(videos: Path, tmp_path: Path) -> None:
    extract(videos, tmp_path / "out")
    before, calls = everything(tmp_path / "out"), ToyExtractor.calls
    assert calls == 28
    put(videos, "Class 0, etc/x0.mp4", "audio=9 visual=9")
    report = extract(videos, tmp_path / "out")
    assert ToyExtractor.calls == calls + 1 and report.cached == 27
    put(videos, "Class 0, etc/x0.mp4", "audio=1 visual=1 first=2")
    extract(videos, tmp_path / "out")
    assert everything(tmp_path / "out") == before


def test_children_give_the_same_files(videos: Path, tmp_path: Path) -> None:
    extract(videos, tmp_path / "one" / "out")
    report = extract(videos, tmp_path / "two" / "out", workers=2, timeout=30.0)
    assert report.clips == 28
    assert everything(tmp_path / "one" / "out") == everything(tmp_path / "two" / "out")


def test_videos_that_cannot_be_used_are_left_out_by_name(videos: Path, tmp_path: Path) -> None:
    put(videos, "Class 0, etc/broken.mp4", "garbage")
    put(videos, "Class 1, etc/hangs.mp4", "hang")
    put(videos, "Class 2, etc/crashes.mp4", "crash")
    put(videos, "Class 3, etc/nan.mp4", "audio=1 visual=1 nan=1")
    put(videos, "Class 4, etc/mute.mp4", "visual=1")
    put(videos, "Class 5, etc/blind.mp4", "audio=1")
    put(videos, "Class 6, etc/empty.mp4", "nothing=1")
    put(videos, "Class 6, etc/note.txt", "")
    report = extract(videos, tmp_path / "out", workers=1, timeout=1.0)
    assert report.clips == 28
    with (tmp_path / "out" / "skipped.csv").open() as file:
        rows = {Path(row["path"]).stem: (row["stage"], row["reason"]) for row in csv.DictReader(file)}
    assert {name: stage for name, (stage, _) in rows.items()} == {
        "broken": "extract",
        "hangs": "extract",
        "crashes": "extract",
        "nan": "extract",
        "empty": "extract",
        "mute": "modality",
        "blind": "modality",
        "note": "list",
    }
    assert "longer than 1 s" in rows["hangs"][1] and "exit code 3" in rows["crashes"][1]
    assert "NaN" in rows["nan"][1] and rows["mute"][1] == "has no sound" and rows["blind"][1] == "has no picture"


def test_strict_stops_at_the_first_and_leaves_the_old_benchmark(videos: Path, tmp_path: Path) -> None:
    extract(videos, tmp_path / "out")
    before = everything(tmp_path / "out")
    put(videos, "Class 3, etc/a.mp4", "garbage")
    with pytest.raises(MediaError, match=r"a\.mp4 is broken"):
        extract(videos, tmp_path / "out", strict=True)
    assert everything(tmp_path / "out") == before
    with pytest.raises(MediaError):
        extract(videos, tmp_path / "new", strict=True)
    assert everything(tmp_path / "new") == {}


@pytest.mark.parametrize("missing", ["error", "silence"])
def test_missing_sound_follows_the_policy(videos: Path, tmp_path: Path, missing: str) -> None:
    put(videos, "Class 3, etc/mute.mp4", "visual=4")
    if missing == "error":
        with pytest.raises(MediaError, match=r"mute\.mp4 has no sound"):
            extract(videos, tmp_path / "out", missing=missing)
        return
    report = extract(videos, tmp_path / "out", missing=missing)
    assert report.clips == 29 and report.filled == 1
    assert read_json(tmp_path / "out" / "extract.json")["silent"] == ["mute"]
    layout = Layout(tmp_path / "out", "toy")
    for path in (tmp_path / "out").rglob("audio/*/Class 3, etc.h5"):
        if "non_averaged" in str(path):
            file = read_temporal_file(path)
            if "mute" in file.names:
                row = file.names.index("mute")
                assert not file.data[file.offsets[row] : file.offsets[row + 1]].any()
                assert file.offsets[row + 1] - file.offsets[row] == 4
                break
    else:
        pytest.fail(f"no file of {layout.temporal_dir} lists the mute clip")


def test_a_wrong_policy_is_refused(videos: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="did you mean 'silence'"):
        extract(videos, tmp_path / "out", missing="silense")


def test_a_class_without_usable_videos_is_left_out_with_a_warning(videos: Path, tmp_path: Path) -> None:
    for c in range(7, 12):
        for k in range(3):
            put(videos, f"Class {c}, etc/{c}-{k}.mp4", "garbage" if c == 9 else "audio=1 visual=1")
    report = extract(videos, tmp_path / "out")
    assert "Class 9, etc" not in report.classes and len(report.classes) == 11
    assert "class 'Class 9, etc' has no usable videos and is left out of the data set" in report.warnings
    assert "Class 9, etc" not in Layout(tmp_path / "out").all_class.read_text()


def test_too_few_usable_classes_are_an_error_and_nothing_is_written(videos: Path, tmp_path: Path) -> None:
    for path in videos.rglob("*.mp4"):
        if path.parent.name not in ("Class 0, etc", "Class 1, etc"):
            path.write_text("garbage")
    with pytest.raises(DataError, match="usable videos"):
        extract(videos, tmp_path / "out")
    assert everything(tmp_path / "out") == {}


def test_a_benchmark_that_no_extraction_wrote_is_not_overwritten(videos: Path, tmp_path: Path) -> None:
    put(tmp_path / "out", "features/main_features/audio/x.h5", "precious")
    with pytest.raises(OutputError, match="no extraction has written"):
        extract(videos, tmp_path / "out")
    assert everything(tmp_path / "out") == {"features/main_features/audio/x.h5": b"precious"}


def test_a_file_in_the_way_is_an_output_error(videos: Path, tmp_path: Path) -> None:
    put(tmp_path, "out", "a file")
    with pytest.raises(OutputError, match="cannot write"):
        extract(videos, tmp_path / "out")
    assert (tmp_path / "out").read_text() == "a file"


@pytest.mark.parametrize("failing", ["class_files.new_hdf5", "vectors.write_bytes"])
def test_a_full_disk_keeps_the_old_benchmark(
    videos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    extract(videos, tmp_path / "out")
    before = everything(tmp_path / "out")
    put(videos, "Class 0, etc/more.mp4", "audio=1 visual=1")

    def full(*_: Any, **__: Any) -> Any:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(f"avzsl.features.store.{failing}", full)
    with pytest.raises(OutputError, match="No space left"):
        extract(videos, tmp_path / "out")
    assert everything(tmp_path / "out") == before


@pytest.mark.parametrize("moves", range(8))
def test_being_stopped_while_files_change_places_keeps_one_complete_benchmark(
    videos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moves: int
) -> None:
    out = tmp_path / "out"
    extract(videos, out)
    before = everything(out)
    put(videos, "Class 0, etc/more.mp4", "audio=1 visual=1")
    rename, done = Path.rename, []

    class Killed(BaseException):
        pass

    def stop(self: Path, target: Path) -> Path:
        if len(done) == moves:
            raise Killed
        done.append(self)
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", stop)
    monkeypatch.setattr("avzsl.features.benchmark.shutil.rmtree", lambda *_, **__: None)  # as a killed process
    with pytest.raises(Killed):
        extract(videos, out)
    monkeypatch.undo()
    # The next run that fails early brings the old state back; the next that succeeds is complete.
    put(videos, "Class 1, etc/bad.mp4", "garbage")
    with pytest.raises(MediaError):
        extract(videos, out, strict=True)
    assert everything(out) == before
    report = extract(videos, out)
    assert report.clips == 29 and not list(out.glob(".partial*"))


def test_class_names_become_phrases_and_stay_apart() -> None:
    encoder = create_text_encoder("hash-ngram")
    vectors, phrases = encode_classes(["PlayPiano", "Play Piano", "play_harp"], encoder)
    assert phrases == {"PlayPiano": "PlayPiano", "Play Piano": "Play Piano", "play_harp": "play harp"}
    assert vectors.names == ("PlayPiano", "Play Piano", "play harp")


@pytest.mark.slow
def test_a_generated_world_becomes_a_benchmark_with_its_own_splits(tmp_path: Path) -> None:
    from avzsl.data.splits import load_benchmark
    from avzsl.features._base import create_extractor
    from avzsl.world.render import generate_world

    world = generate_world(tmp_path / "world", classes=10, clips=5, seed=1, seconds=1.0, workers=0)
    report = extract_dataset(
        tmp_path / "world",
        tmp_path / "data",
        extractor=create_extractor("builtin"),
        text_encoder=create_text_encoder("hash-ngram"),
        workers=1,
    )
    assert report.clips == 50 and not report.skipped and not report.warnings
    assert {split: count for split, count in report.splits.items() if split != "stage_2_train"} == world.splits
    benchmark = load_benchmark(tmp_path / "data", temporal=True)
    assert benchmark.identity == create_extractor("builtin").identity
    assert len(benchmark.training(2).class_names) + world.parts["unseen"] == 10


def test_two_extractions_into_one_folder_do_not_meet(videos: Path, tmp_path: Path) -> None:
    with lock_folder(tmp_path / "out"), pytest.raises(OutputError, match="out is in use by another run"):
        extract(videos, tmp_path / "out")
    extract(videos, tmp_path / "out")
    assert not (tmp_path / "out" / LOCK).exists()


@pytest.mark.parametrize("family", ["", "a/b", "..", ".x", "a b"])
def test_a_family_that_is_no_part_of_a_folder_name_is_refused(videos: Path, tmp_path: Path, family: str) -> None:
    with pytest.raises(SettingError, match="becomes part of a folder's name"):
        extract(videos, tmp_path / "out", family=family)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("out", [".", "data", "Class 0, etc/data"])
def test_the_benchmark_may_not_lie_among_the_videos(videos: Path, out: str) -> None:
    """Its folders would be taken for classes by the next extraction."""
    before = sorted(videos.rglob("*"))
    with pytest.raises(SettingError, match="lies in the folder of the videos; choose a folder outside"):
        extract(videos, videos / out)
    assert sorted(videos.rglob("*")) == before


def test_when_too_little_is_left_the_first_loss_is_named(videos: Path, tmp_path: Path) -> None:
    for path in videos.rglob("*.mp4"):
        path.write_text("broken")
    with pytest.raises(DataError, match=r"28 videos could not be used, the first is .*\.mp4: is broken") as caught:
        extract(videos, tmp_path / "out")
    assert str(caught.value).count("x0.mp4") == 1


def test_a_full_disk_names_the_file_as_the_user_knows_it(
    videos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, *rest: Any) -> None:
        raise OutputError(f"cannot write {path}: No space left on device")

    monkeypatch.setattr("avzsl.features.benchmark.write_class_file", full)
    out = tmp_path / "out"
    with pytest.raises(OutputError) as caught:
        extract(videos, out)
    assert str(caught.value).startswith(f"cannot write {out / 'features' / 'toy_features' / 'audio'}")
    assert [p.name for p in out.iterdir()] == [".avzsl-cache"]
