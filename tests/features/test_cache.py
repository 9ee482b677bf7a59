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
    files = {cache.file(video)}
    assert cache.file(video) in files
    os.utime(video, ns=(1, 1))
    files.add(cache.file(video))
    video.write_bytes(b"abcd")
    os.utime(video, ns=(1, 1))
    files.add(cache.file(video))
    moved = video.rename(tmp_path / "w.mp4")
    files.add(cache.file(moved))
    for identity in (ExtractorIdentity("x", version=2), ExtractorIdentity("x", settings={"size": 1})):
        files.add(FeatureCache(tmp_path, identity).file(moved))
    assert len(files) == 6


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
