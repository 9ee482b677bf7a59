"""Media file to frames and waveform, on one clock, in bounded memory."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from avzsl.errors import MediaError, SettingError
from avzsl.media._container import Limits, MediaInfo, OpenMedia, decode, open_media
from avzsl.media._probe import counted, probe, varying, with_streams
from avzsl.media._timeline import FrameSampler, SoundCollector

__all__ = ["Limits", "MediaClip", "MediaInfo", "probe", "read_clip"]

# Streams that start further apart than this have clocks that mean nothing to each other.
_APART = Fraction(60)


@dataclass(frozen=True)
class MediaClip:
    """A decoded clip; sound and picture start at the same moment.

    Attributes:
        info: what the file holds, counted where it was read to its end, with every warning.
        frames: [F, size, size, 3] uint8 RGB, upright; None when there is no picture.
        frame_rate: frames per second of `frames`.
        audio: [N] float32 mono in [-1, 1]; None when there is no sound.
        audio_rate: Hz.
    """

    info: MediaInfo
    frames: npt.NDArray[np.uint8] | None
    frame_rate: float
    audio: npt.NDArray[np.float32] | None
    audio_rate: int


def read_clip(
    path: Path | str,
    *,
    frame_rate: float,
    size: int,
    audio_rate: int,
    max_seconds: float = 600.0,
    limits: Limits | None = None,
) -> MediaClip:
    """Decode a file to frames at a fixed rate and mono sound at a fixed rate.

    Pictures are brought upright, their short side becomes `size` and the centre square is kept. A stream
    that starts later than the other is led in by its first picture, or by silence. A damaged or cut-off file
    gives what could be decoded, with a warning.

    Args:
        path: the file.
        frame_rate: output frames per second.
        size: side of the output square, pixels.
        audio_rate: output samples per second, Hz.
        max_seconds: what lies behind is left out, with a warning.
        limits: what the file may cost.

    Raises:
        MediaError: the file is missing, broken or too large, or holds no picture and no sound.
        MissingExtraError: PyAV is not installed.
        SettingError: a rate, the size or the time is not positive.
    """
    if not (frame_rate > 0 and size > 0 and audio_rate > 0 and max_seconds > 0):
        raise SettingError(
            f"frame_rate ({frame_rate}), size ({size}), audio_rate ({audio_rate}) and max_seconds ({max_seconds}) must"
            " be greater than 0"
        )
    limits = Limits() if limits is None else limits
    seconds = min(max_seconds, limits.max_seconds)
    with open_media(path, limits) as media:
        pictures = FrameSampler(
            media.path,
            rate=Fraction(frame_rate).limit_denominator(1001),
            size=size,
            most=max(1, min(math.ceil(seconds * frame_rate), limits.max_memory // (3 * size * size))),
            fps=media.header.fps,
            duration=media.header.duration,
            limits=limits,
            aspect=_pixel_aspect(media.video),
        )
        sound = SoundCollector(rate=audio_rate, most=max(1, math.ceil(seconds * audio_rate)))
        _collect(media, pictures, sound)
        frames, audio = pictures.finish(), sound.finish()
        if frames is None and audio is None:
            raise MediaError(f"{path}: nothing in it can be decoded{''.join(f'; {w}' for w in media.trouble())}")
        info = _info(media, pictures, sound)
    frames, audio, apart = _align(frames, pictures, audio, sound)
    notes = info.warnings
    if apart:
        notes = (*notes, "picture and sound carry unrelated clocks and were laid side by side")
    if audio is not None and not audio.any():
        notes = (*notes, "the sound is digital silence")
    return MediaClip(replace(info, warnings=notes), frames, frame_rate, audio, audio_rate)


def _pixel_aspect(stream: Any | None) -> float:
    """Width of a pixel over its height; 1 where the file does not say or says nonsense."""
    ratio = None if stream is None else stream.sample_aspect_ratio
    return float(ratio) if ratio is not None and 0.1 < ratio < 10 else 1.0


def _collect(media: OpenMedia, pictures: FrameSampler, sound: SoundCollector) -> None:
    for stream, frame in decode(media):
        taker = pictures if stream is media.video else sound
        taker.add(frame)
        if taker.full:
            media.finished.add(stream.index)


def _info(media: OpenMedia, pictures: FrameSampler, sound: SoundCollector) -> MediaInfo:
    """The header, corrected by what was really decoded."""
    info, header = with_streams(media.header, video=pictures.first, audio=sound.first), media.header
    notes = [*info.warnings, *media.trouble()]
    cut = (pictures.full and pictures.seconds * float(pictures.rate) > pictures.most) or sound.count > sound.most
    video_cut = media.video is not None and media.video.index in media.finished
    if info.has_video and not video_cut:
        if pictures.source < 0.95 * header.frames - 1:
            notes.append(f"only {pictures.source} of {header.frames} announced pictures can be decoded")
        info = replace(counted(info, pictures.source, pictures.times), duration=pictures.seconds)
    if cut:
        notes.append(f"only the first {pictures.most / float(pictures.rate):.6g} s were read")
    if pictures.jumps:
        notes.append(f"the picture's clock stands still or jumps {pictures.jumps} times")
    elif varying(pictures.times):
        notes.append("the frame rate varies")
    if sound.invalid:
        notes.append(f"{sound.invalid} blocks of sound hold invalid samples; these became silence")
    return replace(info, warnings=tuple(notes))


def _align(
    frames: npt.NDArray[np.uint8] | None,
    pictures: FrameSampler,
    audio: npt.NDArray[np.float32] | None,
    sound: SoundCollector,
) -> tuple[npt.NDArray[np.uint8] | None, npt.NDArray[np.float32] | None, bool]:
    """Let both start at the earlier of their two first moments; True when they are too far apart for that."""
    if frames is None or audio is None or pictures.start is None or sound.start is None:
        return frames, audio, False
    late = pictures.start - sound.start
    if abs(late) > _APART:
        return frames, audio, True
    if late > 0:
        missing = math.floor(late * pictures.rate + Fraction(1, 2))
        if missing:
            frames = np.concatenate([np.repeat(frames[:1], missing, axis=0), frames])[: pictures.most]
    else:
        silence = np.zeros(round(-late * sound.rate), dtype=np.float32)
        audio = np.concatenate([silence, audio])[: sound.most]
    return frames, audio, False
