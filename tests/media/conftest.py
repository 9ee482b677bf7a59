"""Small media files of every kind, made on the spot."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest


def numbered(count: int, *, height: int = 64, width: int = 80) -> np.ndarray:
    """Frames that carry their number as ten black or white columns: [F, H, W, 3] uint8."""
    bits = (np.arange(count)[:, None] >> np.arange(10)) & 1
    columns = np.repeat(bits, width // 10, axis=1)[:, None, :, None] * 255
    return np.broadcast_to(columns, (count, height, width // 10 * 10, 3)).astype(np.uint8)


def read_number(frame: np.ndarray, *, columns: int = 10) -> int:
    """The number drawn by `numbered` into a whole frame [H, W, 3]."""
    width = frame.shape[1] // columns
    middle = frame[frame.shape[0] // 2, width // 2 :: width, 0][:columns]
    return int(sum(1 << i for i, value in enumerate(middle) if value > 127))


def sine(frequency: float, seconds: float, rate: int, level: float = 0.4) -> np.ndarray:
    """[N] float32."""
    return (level * np.sin(2 * np.pi * frequency * np.arange(round(seconds * rate)) / rate)).astype(np.float32)


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., Path]:
    """Write a file with any container, codec, time stamps and sound layout."""

    def write(
        name: str,
        frames: np.ndarray | None = None,
        *,
        rate: Fraction | int = 25,
        codec: str = "libx264",
        pixels: str = "yuv420p",
        pts: Sequence[int] | None = None,
        audio: np.ndarray | None = None,
        audio_rate: int = 16000,
        audio_codec: str = "aac",
        sample_format: str = "fltp",
        layout: str = "mono",
        audio_start: float = 0.0,
        prepare: Callable[[Any], None] | None = None,
    ) -> Path:
        path = tmp_path / name
        with av.open(str(path), "w") as container:
            video = sound = None
            if frames is not None:
                video = container.add_stream(codec, rate=rate)
                video.height, video.width, video.pix_fmt = *frames.shape[1:3], pixels
                if prepare is not None:
                    prepare(video)
            if audio is not None:
                sound = container.add_stream(audio_codec, rate=audio_rate, layout=layout)
            if video is not None and frames is not None:
                for i, picture in enumerate(frames):
                    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
                    frame.pts, frame.time_base = (i if pts is None else pts[i]), 1 / Fraction(rate)
                    container.mux(video.encode(frame))
                container.mux(video.encode(None))
            if sound is not None and audio is not None:
                samples = audio[None] if audio.ndim == 1 else audio
                for start in range(0, samples.shape[1], 1024):
                    block = np.ascontiguousarray(samples[:, start : start + 1024])
                    if not sample_format.endswith("p"):
                        block = np.ascontiguousarray(block.T.reshape(1, -1))
                    frame = av.AudioFrame.from_ndarray(block, format=sample_format, layout=layout)
                    frame.sample_rate, frame.time_base = audio_rate, Fraction(1, audio_rate)
                    frame.pts = start + round(audio_start * audio_rate)
                    container.mux(sound.encode(frame))
                container.mux(sound.encode(None))
        return path

    return write
