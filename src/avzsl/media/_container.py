"""Open a media file and say what is in it, whatever state the file is in.

Everything goes through PyAV, which brings its own FFmpeg. A file that cannot be used raises one kind of
error, `MediaError`, that names the file and the reason.
"""

from __future__ import annotations

import contextlib
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

from avzsl.errors import MediaError, MissingExtraError

# Containers that hold recordings. Play lists are left out on purpose: they would make the reader open other files.
_FORMATS = (
    "mov,mp4,m4a,3gp,matroska,webm,avi,mpegts,mpeg,mpegvideo,flv,asf,ogg,wav,w64,aiff,caf,mp3,flac,aac,ac3,eac3,"
    "amr,gif,h264,hevc,m4v,mjpeg,mxf,dv,rm,ivf,nut,au"
)
# Pixels up to which one thread decodes faster than several.
_SMALL = 320 * 240
# An average rate above this is a time base that was mistaken for a frame rate.
_FASTEST = 1000.0


@dataclass(frozen=True)
class Limits:
    """What one file may cost.

    Attributes:
        max_seconds: seconds of one clip that are read at most; the rest is left out with a warning.
        max_pixels: pixels of one decoded frame; a larger picture is refused.
        max_bytes: bytes of the file; a larger file is refused.
        max_memory: bytes of the returned frames; what does not fit is left out with a warning.
    """

    max_seconds: float = 3600.0
    max_pixels: int = 7680 * 4320
    max_bytes: int = 16 * 1024**3
    max_memory: int = 4 * 1024**3


@dataclass(frozen=True)
class MediaInfo:
    """What a media file holds.

    Attributes:
        path: the file.
        has_video: at least one picture can be decoded.
        has_audio: at least some sound can be decoded.
        width: pixels as shown, rotation applied; 0 without pictures.
        height: likewise.
        fps: average frame rate; 0.0 without pictures.
        frames: number of pictures, from the header or counted.
        duration: seconds of the picture, or of the sound where there is no picture.
        audio_rate: Hz; 0 without sound.
        audio_channels: 0 without sound.
        audio_duration: seconds; 0.0 when unknown or without sound.
        warnings: what a reader should know.
    """

    path: Path
    has_video: bool
    has_audio: bool
    width: int
    height: int
    fps: float
    frames: int
    duration: float
    audio_rate: int
    audio_channels: int
    audio_duration: float
    warnings: tuple[str, ...] = ()


@dataclass
class OpenMedia:
    """An open file, its first picture and sound stream, and the trouble met so far."""

    path: Path
    container: Any
    video: Any | None
    audio: Any | None
    header: MediaInfo
    damaged: int = 0
    stopped: str | None = None
    finished: set[int] = field(default_factory=set)

    def trouble(self) -> tuple[str, ...]:
        """Warnings about damage met while decoding."""
        found = []
        if self.damaged:
            packets = "1 damaged packet was" if self.damaged == 1 else f"{self.damaged} damaged packets were"
            found.append(f"{packets} left out")
        if self.stopped is not None:
            found.append(f"the file breaks off early ({self.stopped})")
        return tuple(found)


def library() -> Any:
    """The `av` package.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        import av
    except ImportError as error:
        raise MissingExtraError("av", "video", "reading and writing video") from error
    return av


def trouble_types() -> tuple[type[Exception], ...]:
    """What PyAV raises when a file is broken (its own errors, and plain ones where it wraps badly)."""
    return (library().error.FFmpegError, OSError, ValueError, RuntimeError, EOFError)


def reason_of(error: Exception) -> str:
    """A short readable reason from a PyAV error."""
    if isinstance(error, library().error.InvalidDataError):
        return "the data is not valid"
    return str(getattr(error, "strerror", None) or error or type(error).__name__)


@contextlib.contextmanager
def open_media(path: Path | str, limits: Limits) -> Iterator[OpenMedia]:
    """Open a file for decoding and close it afterwards.

    Raises:
        MediaError: missing, not a regular file, empty, too large, no readable header, no picture and no sound.
        MissingExtraError: PyAV is not installed.
    """
    path = Path(path)
    av = library()
    _check_file(path, limits)
    try:
        # The prefix keeps names such as "concat:a|b" from being read as a protocol.
        container = av.open(
            f"file:{path}",
            metadata_errors="replace",
            options={"format_whitelist": _FORMATS, "protocol_whitelist": "file"},
        )
    except trouble_types() as error:
        raise MediaError(
            f"{path}: not a readable video or sound file ({reason_of(error)}); it may be damaged, cut off before its"
            " index was written, or of another kind than its name says"
        ) from error
    with container:
        video, audio, notes = _streams(av, container)
        if video is None and audio is None:
            raise MediaError(f"{path}: holds neither a picture nor a sound stream{''.join(f'; {n}' for n in notes)}")
        if video is not None:
            check_picture(path, video.codec_context.width, video.codec_context.height, limits)
        yield OpenMedia(path, container, video, audio, _header(path, container, video, audio, notes))


def time_of(frame: Any) -> Fraction | None:
    """Seconds on the file's clock; None where a frame, or its stream, has no clock."""
    return None if frame.pts is None or frame.time_base is None else frame.pts * Fraction(frame.time_base)


def _check_file(path: Path, limits: Limits) -> None:
    try:
        status = path.stat()
    except OSError as error:
        raise MediaError(f"{path}: cannot be read ({error.strerror or error}); check the path") from error
    if not stat.S_ISREG(status.st_mode):
        raise MediaError(f"{path}: is a folder or a device, not a file; give a video file")
    if status.st_size == 0:
        raise MediaError(f"{path}: is empty (0 bytes); copy or download it again")
    if status.st_size > limits.max_bytes:
        raise MediaError(f"{path}: has {status.st_size} bytes, more than the {limits.max_bytes} allowed; cut it first")


def check_picture(path: Path, width: int, height: int, limits: Limits) -> None:
    """Refuse pictures that would need too much memory.

    Raises:
        MediaError: more pixels than allowed.
    """
    if width * height > limits.max_pixels:
        raise MediaError(
            f"{path}: a picture of {width} x {height} pixels is more than the {limits.max_pixels} allowed; scale it"
        )


def _streams(av: Any, container: Any) -> tuple[Any | None, Any | None, list[str]]:
    """First usable picture and sound stream; a cover image is no video."""
    notes: list[str] = []
    chosen: dict[str, Any] = {}
    for stream in container.streams:
        if stream.type not in ("video", "audio") or stream.type in chosen:
            continue
        if stream.type == "video" and av.stream.Disposition.attached_pic in stream.disposition:
            continue
        if stream.codec_context is None or stream.codec_context.codec is None:
            notes.append(f"no decoder for its {stream.type} stream")
            continue
        chosen[stream.type] = stream
    if "video" in chosen:
        context = chosen["video"].codec_context
        # Starting threads costs more than decoding a short clip of small pictures.
        if context.width * context.height > _SMALL:
            chosen["video"].thread_type = "AUTO"
        else:
            context.thread_count = 1
    return chosen.get("video"), chosen.get("audio"), notes


def _header(path: Path, container: Any, video: Any | None, audio: Any | None, notes: list[str]) -> MediaInfo:
    whole = float(container.duration / 1_000_000) if container.duration else 0.0
    seconds = {s.type: _seconds(s, whole) for s in (video, audio) if s is not None}
    fps = 0.0 if video is None else _frame_rate(video)
    frames = 0 if video is None else int(video.frames or 0)
    duration = seconds.get("video", seconds.get("audio", 0.0))
    return MediaInfo(
        path=path,
        has_video=video is not None,
        has_audio=audio is not None,
        width=0 if video is None else video.codec_context.width,
        height=0 if video is None else video.codec_context.height,
        fps=fps,
        frames=frames,
        duration=duration,
        audio_rate=0 if audio is None else int(audio.codec_context.sample_rate or 0),
        audio_channels=0 if audio is None else int(audio.codec_context.layout.nb_channels),
        audio_duration=seconds.get("audio", 0.0),
        warnings=tuple(notes),
    )


def _seconds(stream: Any, whole: float) -> float:
    if stream.duration is None or stream.time_base is None:
        return whole
    return max(0.0, float(stream.duration * stream.time_base))


def _frame_rate(video: Any) -> float:
    for rate in (video.average_rate, video.guessed_rate, video.base_rate):
        if rate is not None and 0 < float(rate) <= _FASTEST:
            return float(rate)
    return 0.0


def decode(media: OpenMedia) -> Iterator[tuple[Any, Any]]:
    """Yield (stream, decoded frame) in file order; damage is counted in `media`, never raised.

    Streams whose index is put into `media.finished` meanwhile are no longer decoded; when all are, it ends.
    """
    trouble = trouble_types()
    streams = [s for s in (media.video, media.audio) if s is not None]
    packets = media.container.demux(*streams)
    while any(s.index not in media.finished for s in streams):
        try:
            packet = next(packets)
        except StopIteration:
            return
        except trouble as error:
            media.stopped = reason_of(error)
            break
        if packet.stream.index in media.finished:
            continue
        try:
            frames = packet.decode()
        except trouble:
            media.damaged += 1
            continue
        for frame in frames:
            yield packet.stream, frame
    if media.stopped is not None:
        yield from _drain([s for s in streams if s.index not in media.finished], trouble)


def _drain(streams: list[Any], trouble: tuple[type[Exception], ...]) -> Iterator[tuple[Any, Any]]:
    """Frames that the decoders still hold when reading broke off."""
    for stream in streams:
        with contextlib.suppress(*trouble):
            for frame in stream.codec_context.decode(None):
                yield stream, frame
