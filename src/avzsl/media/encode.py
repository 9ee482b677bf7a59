"""Frames and waveform to an MP4 file: H.264 and AAC, the same bytes for the same input."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from avzsl.errors import MediaError
from avzsl.files import atomic_path
from avzsl.media._container import library, reason_of, trouble_types

# A constant quantiser and no look-ahead: x264's look-ahead (B-frames, macroblock tree, rate control) was seen to give
# other bytes for the same pictures now and then, even in one thread. No dates and no version strings either.
_X264 = "threads=1:lookahead-threads=1:sliced-threads=0:qp=26:bframes=0:mbtree=0:weightp=0:scenecut=0:keyint=48"
_VIDEO = {"preset": "ultrafast", "threads": "1", "x264-params": _X264}
_CONTAINER = {"fflags": "+bitexact", "movflags": "+faststart"}
_AAC_RATES = (7350, 8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 64000, 88200, 96000)
_BLOCK = 1024  # samples of one AAC frame


def write_clip(
    path: Path | str,
    frames: npt.NDArray[np.uint8],
    frame_rate: float,
    audio: npt.NDArray[np.float32] | None,
    audio_rate: int,
) -> None:
    """Write one clip atomically.

    Args:
        path: the file to make; an old one is replaced.
        frames: [F, H, W, 3] uint8 RGB, F >= 1, even H and W (the colour planes have half the size).
        frame_rate: frames per second.
        audio: [N] float32 mono in [-1, 1], or None for a file without sound.
        audio_rate: Hz, one that AAC knows.

    Raises:
        MediaError: the arrays do not have these shapes, types and values, or the encoder refuses them.
        OutputError: the file cannot be written.
        MissingExtraError: PyAV is not installed.
    """
    path = Path(path)
    _check(path, frames, frame_rate, audio, audio_rate)
    av = library()
    with atomic_path(path) as temporary:
        try:
            with av.open(f"file:{temporary}", "w", format="mp4", container_options=_CONTAINER) as container:
                _write(av, container, frames, frame_rate, audio, audio_rate)
        except OSError:
            raise  # no space, no permission: `atomic_path` says what to do
        except trouble_types() as error:
            raise MediaError(f"{path}: cannot be encoded ({reason_of(error)})") from error


def _write(
    av: Any,
    container: Any,
    frames: npt.NDArray[np.uint8],
    frame_rate: float,
    audio: npt.NDArray[np.float32] | None,
    audio_rate: int,
) -> None:
    video = container.add_stream("libx264", rate=Fraction(frame_rate).limit_denominator(1001), options=dict(_VIDEO))
    video.height, video.width = frames.shape[1:3]
    video.pix_fmt = "yuv420p"
    sound = None
    if audio is not None and len(audio):
        sound = container.add_stream("aac", rate=audio_rate, layout="mono")
        sound.bit_rate = 64_000
    for pixels in frames:
        container.mux(video.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")))
    container.mux(video.encode(None))
    if sound is None or audio is None:
        return
    for start in range(0, len(audio), _BLOCK):
        block = np.ascontiguousarray(audio[None, start : start + _BLOCK], dtype=np.float32)
        frame = av.AudioFrame.from_ndarray(block, format="fltp", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = audio_rate, start, Fraction(1, audio_rate)
        container.mux(sound.encode(frame))
    container.mux(sound.encode(None))


def _check(
    path: Path,
    frames: npt.NDArray[np.uint8],
    frame_rate: float,
    audio: npt.NDArray[np.float32] | None,
    audio_rate: int,
) -> None:
    if frames.ndim != 4 or frames.shape[3] != 3 or frames.dtype != np.uint8 or not frames.size:
        raise MediaError(f"{path}: frames must be [F, H, W, 3] uint8 with F >= 1, got {frames.shape} {frames.dtype}")
    if frames.shape[1] % 2 or frames.shape[2] % 2:
        raise MediaError(f"{path}: H.264 needs an even height and width, got {frames.shape[1]} x {frames.shape[2]}")
    if not 0 < frame_rate <= 1000:
        raise MediaError(f"{path}: frame_rate must lie between 0 and 1000 per second, got {frame_rate}")
    if audio is None:
        return
    if audio.ndim != 1 or not np.issubdtype(audio.dtype, np.floating):
        raise MediaError(f"{path}: audio must be [N] floating point, got {audio.shape} {audio.dtype}")
    if not np.isfinite(audio).all():
        raise MediaError(f"{path}: audio holds NaN or infinite samples; remove them first")
    if audio_rate not in _AAC_RATES:
        raise MediaError(f"{path}: AAC has no rate of {audio_rate} Hz; choose one of {', '.join(map(str, _AAC_RATES))}")
