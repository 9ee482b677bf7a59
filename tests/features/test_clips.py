"""Features of single files: in order, errors in their place."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from avzsl.errors import DataError, MediaError
from avzsl.features.builtin import BuiltinExtractor
from avzsl.features.clips import extract_clips, media_files
from avzsl.types import ClipFeatures


class _Named(BuiltinExtractor):
    """Knows one thing about a file: the length of its name."""

    def extract(self, path: Path) -> ClipFeatures:
        if path.stem == "broken":
            raise MediaError(f"{path}: broken")
        return ClipFeatures(np.full((1, 2), len(path.stem), np.float32), None, 1.0)


def test_results_keep_the_order_and_a_broken_file_is_its_own_result() -> None:
    paths = [Path("a.mp4"), Path("broken.mp4"), Path("abc.mp4")]
    found = list(extract_clips(paths, _Named()))
    assert [path for path, _ in found] == paths
    first, second, third = (result for _, result in found)
    assert isinstance(first, ClipFeatures)
    assert isinstance(third, ClipFeatures)
    assert (first.audio[0, 0], third.audio[0, 0]) == (1, 3)
    assert isinstance(second, MediaError)
    assert "broken.mp4" in str(second)


def test_folders_stand_for_the_media_files_below_them(tmp_path: Path) -> None:
    for name in ("b/2.MP4", "b/1.webm", "b/readme.md", "a.wav"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")
    found = media_files([tmp_path / "a.wav", tmp_path / "b", tmp_path / "absent.mp4"])
    assert [p.name for p in found] == ["a.wav", "1.webm", "2.MP4", "absent.mp4"]
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="empty holds no video or audio files"):
        media_files([tmp_path / "empty"])
