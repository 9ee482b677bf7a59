"""Say what a media file holds, and correct what its header claims by what can be decoded."""

from __future__ import annotations

import contextlib
import itertools
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

from avzsl.errors import MediaError
from avzsl.media._container import Limits, MediaInfo, OpenMedia, decode, open_media, time_of, trouble_types

# Gaps between so many pictures are looked at to tell whether the frame rate varies.
_GAPS = 2000


def varying(times: list[Fraction]) -> bool:
    """Whether the gaps between presentation times (seconds, any order) differ by more than 1.5x."""
    ordered = sorted(set(times))
    gaps = [b - a for a, b in itertools.pairwise(ordered)]
    return len(gaps) > 1 and max(gaps) > 1.5 * min(gaps)


def probe(path: Path | str, limits: Limits | None = None) -> MediaInfo:
    """What the file holds; pictures are counted by decoding where the header does not say.

    Raises:
        MediaError: the file is missing, broken, too large, or nothing in it can be decoded.
        MissingExtraError: PyAV is not installed.
    """
    limits = Limits() if limits is None else limits
    with open_media(path, limits) as media:
        info, pictures = media.header, 0
        first: dict[int, Any] = {}
        counting = media.video is not None and not (info.frames and info.fps and info.duration)
        times: list[Fraction] = []
        for stream, frame in decode(media):
            first.setdefault(stream.index, frame)
            if stream is media.video:
                pictures += 1
                stamp = time_of(frame)
                if stamp is not None:
                    times.append(stamp)
            # One decoded frame proves that a stream works; without a count in the header all of them are needed.
            if stream is not media.video or not counting:
                media.finished.add(stream.index)
        if not first:
            raise MediaError(f"{path}: nothing in it can be decoded{''.join(f'; {w}' for w in media.trouble())}")
        info = with_streams(info, video=_first(first, media.video), audio=_first(first, media.audio))
        if counting and info.has_video:
            info = counted(info, pictures, times)
        elif info.has_video:
            times = _packet_times(media)
        notes = (*info.warnings, *media.trouble())
        if varying(times):
            notes = (*notes, "the frame rate varies")
        return replace(info, warnings=notes)


def _first(first: dict[int, Any], stream: Any | None) -> Any | None:
    return None if stream is None else first.get(stream.index)


def with_streams(info: MediaInfo, *, video: Any | None, audio: Any | None) -> MediaInfo:
    """Correct a header by the first decoded frame of each stream (None: nothing could be decoded)."""
    notes = list(info.warnings)
    if video is None:
        notes.append("no picture" if not info.has_video else "no picture can be decoded")
        info = replace(info, has_video=False, width=0, height=0, fps=0.0, frames=0, duration=info.audio_duration)
    else:
        turned = turns(video) % 2 == 1
        width, height = (video.height, video.width) if turned else (video.width, video.height)
        info = replace(info, width=width, height=height)
    if audio is None:
        notes.append("no sound" if not info.has_audio else "no sound can be decoded")
        info = replace(info, has_audio=False, audio_rate=0, audio_channels=0, audio_duration=0.0)
    return replace(info, warnings=tuple(notes))


def counted(info: MediaInfo, frames: int, times: list[Fraction]) -> MediaInfo:
    """Fill rate, count and duration from what was decoded (`times` in seconds)."""
    span = float(max(times) - min(times)) if times else 0.0
    fps = info.fps or ((frames - 1) / span if span > 0 else 25.0)
    return replace(info, frames=frames, fps=fps, duration=frames / fps)


def turns(frame: Any) -> int:
    """Quarter turns, counter-clockwise, that bring a decoded frame upright."""
    return round(float(getattr(frame, "rotation", 0) or 0) / 90) % 4


def _packet_times(media: OpenMedia) -> list[Fraction]:
    """Presentation times of the first pictures, read without decoding."""
    times: list[Fraction] = []
    with contextlib.suppress(*trouble_types()):
        media.container.seek(0)
        for packet in media.container.demux(media.video):
            if packet.pts is not None and packet.time_base is not None:
                times.append(packet.pts * packet.time_base)
            if len(times) >= _GAPS:
                break
    return times
