from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from avzsl.errors import MediaError
from avzsl.features.cache import FeatureCache
from avzsl.types import ClipFeatures, ExtractorIdentity

IDENTITY = ExtractorIdentity("x")


@pytest.fixture
def video(tmp_path: Path) -> Path:
    path = tmp_path / "v.mp4"
    path.write_bytes(b"abc")
    return path


def test_features_survive_and_a_missing_modality_stays_missing(tmp_path: Path, video: Path) -> None:
    cache = FeatureCache(tmp_path / "cache", IDENTITY)
    features = ClipFeatures(None, np.arange(6, dtype=np.float32).reshape(2, 3), 0.5, ("short",))
    file = cache.file(video)
    assert cache.read(file) is None
    cache.write(file, features)
    back = cache.read(file)
    assert back is not None and back.audio is None and back.step_seconds == 0.5 and back.warnings == ("short",)
    np.testing.assert_array_equal(back.visual, features.visual)


def test_the_key_changes_with_the_video_and_with_the_extractor(tmp_path: Path, video: Path) -> None:
    cache = FeatureCache(tmp_path, IDENTITY)
    before = video.stat()
    files = {cache.file(video)}
    video.write_bytes(b"abd")  # as long as before, and as old
    os.utime(video, ns=(before.st_atime_ns, before.st_mtime_ns))
    files.add(cache.file(video))
    assert len(files) == 2
    os.utime(video, ns=(1, 1))
    (tmp_path / "other").mkdir()
    moved = video.rename(tmp_path / "other" / "w.MP4")
    assert cache.file(moved) in files
    files.add(cache.file(moved.rename(tmp_path / "w.mkv")))
    moved = tmp_path / "w.mkv"
    for identity in (ExtractorIdentity("x", version=2), ExtractorIdentity("x", settings={"size": 1})):
        files.add(FeatureCache(tmp_path, identity).file(moved))
    assert len(files) == 5
    moved.write_bytes(bytes(3 << 20))
    files.add(cache.file(moved))
    moved.write_bytes(bytes((3 << 20) - 1) + b"x")
    files.add(cache.file(moved))
    assert len(files) == 7


def test_a_damaged_entry_counts_as_absent(tmp_path: Path, video: Path) -> None:
    cache = FeatureCache(tmp_path, IDENTITY)
    file = cache.file(video)
    cache.write(file, ClipFeatures(np.ones((1, 2), np.float32), None, 1.0))
    whole = file.read_bytes()
    for content in (b"", whole[:-2], b"x" * 50):
        file.write_bytes(content)
        assert cache.read(file) is None


def test_a_vanished_video_is_a_media_error(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match=r"gone\.mp4"):
        FeatureCache(tmp_path, IDENTITY).file(tmp_path / "gone.mp4")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes with names")
def test_a_pipe_or_a_folder_is_a_media_error_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.mp4")
    (tmp_path / "folder.mp4").mkdir()
    for name in ("pipe.mp4", "folder.mp4"):
        with pytest.raises(MediaError, match="a folder or a device"):
            FeatureCache(tmp_path, IDENTITY).file(tmp_path / name)


def test_what_killed_processes_left_is_swept_and_nothing_else(tmp_path: Path, video: Path) -> None:
    cache = FeatureCache(tmp_path / "cache", IDENTITY)
    file = cache.file(video)
    cache.write(file, ClipFeatures(np.ones((1, 2), np.float32), None, 1.0))
    torn = file.with_name(f".{file.name}.x1.partial.safetensors")
    torn.write_bytes(b"half")
    cache.sweep()
    assert file.exists() and not torn.exists()
