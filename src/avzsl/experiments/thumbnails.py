"""Small pictures of clips for the report: a strip of frames and a spectrogram, as JPEG bytes."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray

from avzsl.errors import MissingExtraError

FRAMES = 4
HEIGHT = 120
WIDTH = 480
SOUND_HEIGHT = 72
QUALITY = 82
WINDOW_SECONDS = 0.046
DECIBELS = 70.0
# Dark blue over red to light yellow: lightness rises evenly, so it reads without colour too.
_RAMP = np.array([(8, 8, 32), (70, 20, 110), (180, 50, 100), (250, 140, 70), (255, 245, 190)], dtype=np.float64)


def frame_strip(frames: NDArray[Any]) -> bytes | None:
    """Four frames from beginning to end, side by side.

    Args:
        frames: [F, H, W, 3] uint8.

    Returns:
        A JPEG, or None when there is no frame.

    Raises:
        MissingExtraError: Pillow is not installed.
    """
    if frames.ndim != 4 or frames.shape[-1] != 3 or 0 in frames.shape:
        return None
    image = _pillow()
    chosen = np.linspace(0, len(frames) - 1, FRAMES).round().astype(int)
    width = max(1, round(HEIGHT * frames.shape[2] / frames.shape[1]))
    strip = image.new("RGB", (FRAMES * width, HEIGHT))
    for i, index in enumerate(chosen):
        frame = image.fromarray(np.ascontiguousarray(frames[index], dtype=np.uint8))
        strip.paste(frame.resize((width, HEIGHT)), (i * width, 0))
    return _jpeg(strip)


def still(frames: NDArray[Any]) -> bytes | None:
    """The middle frame.

    Args:
        frames: [F, H, W, 3] uint8.

    Returns:
        A JPEG, or None when there is no frame.

    Raises:
        MissingExtraError: Pillow is not installed.
    """
    if frames.ndim != 4 or frames.shape[-1] != 3 or 0 in frames.shape:
        return None
    frame = np.ascontiguousarray(frames[len(frames) // 2], dtype=np.uint8)
    width = max(1, round(HEIGHT * frame.shape[1] / frame.shape[0]))
    return _jpeg(_pillow().fromarray(frame).resize((width, HEIGHT)))


def spectrogram(sound: tuple[NDArray[Any], int]) -> bytes | None:
    """Loudness by time (left to right) and pitch (upwards, logarithmic from 60 Hz).

    Args:
        sound: waveform [N] float and its rate in Hz.

    Returns:
        A JPEG, or None when the waveform is shorter than one window.

    Raises:
        MissingExtraError: Pillow is not installed.
    """
    wave, rate = np.nan_to_num(np.asarray(sound[0], dtype=np.float64)), sound[1]
    window = max(16, round(WINDOW_SECONDS * rate))
    if wave.ndim != 1 or len(wave) < window:
        return None
    starts = np.linspace(0, len(wave) - window, WIDTH).astype(int)
    pieces = wave[starts[:, None] + np.arange(window)] * np.hanning(window)
    power = np.abs(np.fft.rfft(pieces, axis=1)) ** 2
    pitch = np.geomspace(min(60.0, rate / 8), rate / 2, SOUND_HEIGHT)
    rows = np.clip((pitch * window / rate).round().astype(int), 0, power.shape[1] - 1)
    level = 10 * np.log10(power[:, rows].T + 1e-12)
    top = max(float(level.max()), -60.0)  # silence stays dark
    strength = np.clip((level - top + DECIBELS) / DECIBELS, 0, 1)[::-1]
    colour = np.stack([np.interp(strength, np.linspace(0, 1, len(_RAMP)), _RAMP[:, c]) for c in range(3)], axis=-1)
    return _jpeg(_pillow().fromarray(colour.round().astype(np.uint8)))


def _pillow() -> Any:
    try:
        from PIL import Image
    except ImportError as error:
        raise MissingExtraError("pillow", "report", "pictures in the report") from error
    return Image


def _jpeg(picture: Any) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=QUALITY)
    return buffer.getvalue()
