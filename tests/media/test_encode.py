"""What is written can be read back, the same input gives the same bytes, and nonsense is refused."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from avzsl.errors import MediaError, OutputError
from avzsl.media.decode import read_clip
from avzsl.media.encode import write_clip


def _smooth(frames: int = 24) -> np.ndarray:
    y, x = np.mgrid[:64, :96]
    picture = np.stack([x * 2, y * 3, (x + y)], -1)
    return np.stack([np.roll(picture, k, 1) for k in range(frames)]).astype(np.uint8)


def _noise(samples: int = 16000) -> np.ndarray:
    return np.random.default_rng(0).uniform(-0.3, 0.3, samples).astype(np.float32)


def test_pictures_survive_within_what_the_codec_loses(tmp_path: Path) -> None:
    frames = _smooth()[:, :, :64]
    write_clip(tmp_path / "a.mp4", frames, 12, None, 16000)
    clip = read_clip(tmp_path / "a.mp4", frame_rate=12, size=64, audio_rate=16000)
    assert clip.frames is not None and clip.frames.shape == frames.shape
    assert np.abs(clip.frames.astype(int) - frames).mean() < 6


def test_the_file_is_h264_and_aac_in_mp4_with_its_index_first(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    write_clip(path, _smooth(), 29.97, _noise(), 16000)
    data = path.read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")
    with av.open(str(path)) as container:
        video, audio = container.streams.video[0], container.streams.audio[0]
        assert (video.codec_context.name, video.codec_context.pix_fmt, audio.codec_context.name) == (
            "h264", "yuv420p", "aac",
        )  # fmt: skip
        assert float(video.average_rate) == pytest.approx(29.97)
        assert (video.frames, audio.codec_context.sample_rate, audio.codec_context.layout.name) == (24, 16000, "mono")


def test_the_same_input_gives_the_same_bytes(tmp_path: Path) -> None:
    rough = np.random.default_rng(0).normal(0, 6, (48, 64, 96, 3))
    frames = np.clip(_smooth(48) * 0.8 + rough, 0, 255).astype(np.uint8)
    seen = set()
    for name in range(15):
        write_clip(tmp_path / f"{name}.mp4", frames, 12, _noise(64000), 16000)
        seen.add((tmp_path / f"{name}.mp4").read_bytes())
    assert len(seen) == 1


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"frames": np.zeros((0, 64, 64, 3), np.uint8)}, "F >= 1"),
        ({"frames": np.zeros((5, 64, 64), np.uint8)}, "F, H, W, 3"),
        ({"frames": np.zeros((5, 64, 64, 3), np.float32)}, "uint8"),
        ({"frames": np.zeros((5, 63, 64, 3), np.uint8)}, "even"),
        ({"frame_rate": 0.0}, "frame_rate"),
        ({"frame_rate": float("nan")}, "frame_rate"),
        ({"audio": np.zeros((2, 100), np.float32)}, r"\[N\]"),
        ({"audio": np.zeros(100, np.int16)}, "floating"),
        ({"audio": np.full(100, np.nan, np.float32)}, "NaN"),
        ({"audio_rate": 12345}, "16000"),
    ],
)
def test_nonsense_is_refused_and_leaves_no_file(tmp_path: Path, change: dict[str, object], reason: str) -> None:
    settings: dict[str, object] = {"frames": _smooth(), "frame_rate": 12, "audio": _noise(), "audio_rate": 16000}
    with pytest.raises(MediaError, match=reason) as caught:
        write_clip(tmp_path / "bad.mp4", **{**settings, **change})  # type: ignore[arg-type]
    assert "bad.mp4" in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_in_the_way_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").mkdir()
    with pytest.raises(OutputError, match=r"a\.mp4"):
        write_clip(tmp_path / "a.mp4", _smooth(), 12, None, 16000)


def test_empty_sound_is_no_sound(tmp_path: Path) -> None:
    write_clip(tmp_path / "a.mp4", _smooth(), 12, np.zeros(0, np.float32), 16000)
    with av.open(str(tmp_path / "a.mp4")) as container:
        assert not container.streams.audio
