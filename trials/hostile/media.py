"""Damaged video and audio files, read as `extract` and `predict` read them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import torch

from avzsl.errors import MediaError
from avzsl.features._base import create_extractor
from avzsl.features.clips import extract_clips
from avzsl.types import ClipFeatures
from trials.hostile import attempt as attempts
from trials.hostile.attempt import Attempt, judge_message
from trials.hostile.mutate import mutate_bytes

# Seconds that a video may take in the child.
SECONDS = 10.0
# Files read by one child.
_BATCH = 25
# Ending, container, codec of the picture, codec of the sound.
_KINDS = (
    ("mp4", "mp4", "libx264", "aac"), ("mp4", "mp4", "libx264", None), ("m4v", "mp4", "mpeg4", "aac"),
    ("mkv", "matroska", "libx264", "libopus"), ("webm", "webm", "libvpx", "libopus"),
    ("avi", "avi", "mpeg4", "libmp3lame"),
    ("avi", "avi", "mjpeg", "pcm_s16le"), ("mov", "mov", "libx264", "pcm_s16le"), ("ts", "mpegts", "mpeg2video", "mp2"),
    ("flv", "flv", "flv", "libmp3lame"), ("gif", "gif", "gif", None), ("wmv", "asf", "wmv2", "libmp3lame"),
    ("wav", "wav", None, "pcm_s16le"), ("wav", "wav", None, "pcm_f32le"), ("mp3", "mp3", None, "libmp3lame"),
    ("flac", "flac", None, "flac"), ("ogg", "ogg", None, "libopus"), ("m4a", "mp4", None, "aac"),
    ("aac", "adts", None, "aac"), ("aiff", "aiff", None, "pcm_s16be"), ("ac3", "ac3", None, "ac3"),
)  # fmt: skip


class Subject:
    """Clips of a second in every container and codec that can be written here; copies are damaged."""

    limit = 120.0

    def __init__(self, base: Path) -> None:
        torch.set_num_threads(1)
        av.logging.set_level(None)
        self.base, self.folder = base, base / "clips"
        self.folder.mkdir()
        self.extractor: Any = create_extractor("builtin")
        made = [_make(base / f"good-{n}.{kind[0]}", *kind[1:]) for n, kind in enumerate(_KINDS)]
        self.good = {path.name: path.read_bytes() for path in made}
        self.sound = {path.name: self._rows(path) for path in made}

    def attempts(self, numbers: range, seed: int) -> Iterator[Attempt]:
        """One damaged file each, read in batches."""
        for start in range(numbers.start, numbers.stop, _BATCH):
            yield from self._batch(range(start, min(start + _BATCH, numbers.stop)), seed)

    def _batch(self, numbers: range, seed: int) -> Iterator[Attempt]:
        paths, whats, names = [], [], sorted(self.good)
        for number in numbers:
            random = np.random.default_rng([seed, 5, number])
            name, other = (names[int(random.integers(0, len(names)))] for _ in range(2))
            path = self.folder / f"{number}{Path(name).suffix}"
            if random.random() < 0.004:
                what = attempts.put_oddity(path, number)
            else:
                what, content = mutate_bytes(self.good[name], random, self.good[other])
                attempts.put(path, content)
            paths.append(path)
            whats.append((what, name))
        attempts.tell(self.base, paths[0])
        before = attempts.listing(self.folder)
        outcomes: list[tuple[str, str]] = []
        started = time.monotonic()
        for (_, found), (_, name) in zip(self._read(paths), whats, strict=True):
            outcomes.append(self._judge(found, name, time.monotonic() - started))
            started = time.monotonic()
        after = attempts.listing(self.folder)
        for number, path, (what, name), (outcome, detail) in zip(numbers, paths, whats, outcomes, strict=True):
            if before.get(str(path)) != after.get(str(path)) or len(before) != len(after):
                outcome, detail = "files changed", f"after: {outcome} {detail}"
            found = Attempt(number, f"{what} of {name}", outcome, detail)
            attempts.keep_fault(self.base, path, found)
            attempts.remove(path)
            yield found

    def _read(self, paths: list[Path]) -> Iterator[tuple[Path, ClipFeatures | MediaError]]:
        return extract_clips(paths, self.extractor, workers=1, timeout=SECONDS)

    def _judge(self, found: ClipFeatures | MediaError, name: str, seconds: float) -> tuple[str, str]:
        if seconds > 3 * SECONDS:
            return "hang", f"{seconds:.0f} s"
        if isinstance(found, MediaError):
            kind, detail = judge_message(str(found))
            return ("exception", detail) if ": unexpected " in detail else (kind, detail)
        rows = [found.audio, found.visual]
        if any(r is not None and (r.ndim != 2 or not len(r) or not np.isfinite(r).all()) for r in rows):
            return "wrong result", "rows that are empty or not finite"
        if any("\n" in text or len(text) > attempts.LONGEST for text in found.warnings):
            return "bad message", repr(found.warnings)[:300]
        same = [r if r is None else r.tobytes() for r in rows] == self.sound[name]
        return ("same" if same else "other"), ""

    def _rows(self, path: Path) -> list[bytes | None]:
        ((_, found),) = self._read([path])
        assert isinstance(found, ClipFeatures), found
        return [None if rows is None else rows.tobytes() for rows in (found.audio, found.visual)]


def _make(path: Path, container: str, picture: str | None, sound: str | None) -> Path:
    """A second of moving colours and of a tone."""
    with av.open(str(path), "w", format=container) as out:
        streams = []  # all must be known before the first packet is written
        if picture is not None:
            streams.append((_picture_stream(out, picture), _pictures))
        if sound is not None:
            rate = {"libopus": 48000, "ac3": 48000, "mp2": 48000, "libmp3lame": 44100}.get(sound, 16000)
            streams.append((out.add_stream(sound, rate=rate, layout="mono"), _tone))
        for stream, frames in streams:
            for frame in [*frames(stream), None]:
                for packet in stream.encode(frame):
                    out.mux(packet)
    return path


def _picture_stream(out: Any, codec: str) -> Any:
    stream = out.add_stream(codec, rate=25)
    stream.width = stream.height = 64
    stream.pix_fmt = {"gif": "rgb8", "mjpeg": "yuvj420p"}.get(codec, "yuv420p")
    return stream


def _pictures(stream: Any) -> Iterator[Any]:
    x, y = np.meshgrid(np.arange(64), np.arange(64))
    for n in range(20):
        picture = np.stack([4 * x + 20 * n, 4 * y, 2 * (x + y) + 9 * n], axis=2) % 256
        frame = av.VideoFrame.from_ndarray(picture.astype(np.uint8), format="rgb24")
        yield frame.reformat(format=stream.pix_fmt)


def _tone(stream: Any) -> Iterator[Any]:
    rate, context = stream.rate, stream.codec_context
    tone = (0.4 * np.sin(2 * np.pi * 440 * np.arange(rate) / rate)).astype(np.float32)[None]
    frame = av.AudioFrame.from_ndarray(tone, format="fltp", layout="mono")
    frame.rate = rate
    resampler = av.AudioResampler(
        format=context.format.name, layout="mono", rate=rate, frame_size=context.frame_size or 1024
    )
    yield from [*resampler.resample(frame), *resampler.resample(None)]
