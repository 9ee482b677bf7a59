"""Bring decoded pictures and sound onto a regular clock while they arrive, in bounded memory."""

from __future__ import annotations

import math
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from avzsl.errors import MediaError
from avzsl.media._container import Limits, check_picture, library, time_of, trouble_types
from avzsl.media._probe import turns

# A jump of the clock by more than this is a fault of the file unless the header announces so long a picture.
_JUMP = Fraction(10)
# Pictures per second; a header may claim less, which would round to none at all.
_SLOWEST = Fraction(1, 100_000)
# Missing sound shorter than this is rounding of the container's clock, not a gap.
_GAP = 0.1


class FrameSampler:
    """Frames at a fixed rate, reduced to a square of `size` pixels as soon as they are chosen.

    The rule is that of libavfilter's `fps` filter with its default rounding: a picture of time t gets the
    number round(t * rate), of several with one number the last stays, and each is held until the next.

    Args:
        rate: output frames per second.
        size: side of the square, pixels.
        most: output frames at most.
        fps: frame rate the header announces, used where pictures carry no time.
        duration: seconds the header announces.
        aspect: width of a pixel over its height.
    """

    def __init__(
        self,
        path: Path,
        *,
        rate: Fraction,
        size: int,
        most: int,
        fps: float,
        duration: float,
        limits: Limits,
        aspect: float = 1.0,
    ) -> None:
        self.path, self.rate, self.size, self.most, self.limits = path, rate, size, most, limits
        self.aspect = aspect
        self.source = 0
        self.times: list[Fraction] = []
        self.start: Fraction | None = None
        self.first: Any | None = None
        self.count = 0
        self.jumps = 0
        self._gap = 1 / max(Fraction(fps).limit_denominator(100_000), _SLOWEST) if fps > 0 else Fraction(1, 25)
        self._longest = max(_JUMP, Fraction(duration).limit_denominator(1000))
        self._last: Fraction | None = None
        self._shift = Fraction(0)
        self._held: Any | None = None
        self._end = Fraction(0)
        self._frames = np.empty((0, size, size, 3), dtype=np.uint8)
        self._reformatter = library().video.reformatter.VideoReformatter()

    @property
    def full(self) -> bool:
        """Nothing more fits."""
        return self.count >= self.most

    def add(self, frame: Any) -> None:
        """Take the next decoded picture."""
        check_picture(self.path, frame.width, frame.height, self.limits)
        time = self._time(frame)
        if self.first is None:
            self.first = frame
        self.source += 1
        if self._held is not None:
            self._hold(until=math.floor(time * self.rate + Fraction(1, 2)))
        self._held, self._last = frame, time
        step = Fraction(frame.duration or 0) * frame.time_base if frame.time_base else Fraction(0)
        self._end = time + (step if 0 < step <= self._longest else self._gap)

    def finish(self) -> npt.NDArray[np.uint8] | None:
        """All frames, [F, size, size, 3]; None when not one picture arrived."""
        if self._held is not None:
            self._hold(until=max(1, math.floor(self._end * self.rate + Fraction(1, 2))))
            self._held = None
        self._frames.resize((self.count, self.size, self.size, 3), refcheck=False)
        return self._frames if self.count else None

    @property
    def seconds(self) -> float:
        """Time from the first picture to the end of the last."""
        return float(self._end)

    def _time(self, frame: Any) -> Fraction:
        """Seconds since the first picture, repaired where the file's clock is missing, stands or jumps."""
        stamp = time_of(frame)
        if self._last is None:
            self.start = stamp
            self._shift = -(stamp or Fraction(0))
            if stamp is not None:
                self.times.append(Fraction(0))
            return Fraction(0)
        expected = self._last + self._gap
        if stamp is None:
            return expected
        time = stamp + self._shift
        self.times.append(time)
        if time <= self._last or time > max(self._longest, self._last + _JUMP):
            self._shift += expected - time
            self.jumps += 1
            return expected
        return time

    def _hold(self, until: int) -> None:
        until = min(until, self.most)
        if until <= self.count:
            return
        picture = self._reduce(self._held)
        if until > len(self._frames):
            # `resize` asks the allocator to grow the block in place, so the clip never lies in memory twice.
            room = min(self.most, max(until, 64, len(self._frames) * 3 // 2))
            self._frames.resize((room, self.size, self.size, 3), refcheck=False)
        self._frames[self.count : until] = picture
        self.count = until

    def _reduce(self, frame: Any) -> npt.NDArray[np.uint8]:
        """Short side to `size`, centre crop, upright: [size, size, 3]."""
        wide, high = frame.width * self.aspect, float(frame.height)
        scale = self.size / min(wide, high)
        width, height = max(self.size, round(wide * scale)), max(self.size, round(high * scale))
        if width * height > self.limits.max_pixels:
            raise MediaError(f"{self.path}: a picture of {frame.width} x {frame.height} pixels is too narrow to use")
        try:
            small = self._reformatter.reformat(frame, width, height, "rgb24", interpolation="BILINEAR")
            pixels = small.to_ndarray()
        except trouble_types() as error:
            raise MediaError(f"{self.path}: its pictures cannot be turned into RGB ({error})") from error
        top, left = (height - self.size) // 2, (width - self.size) // 2
        square = pixels[top : top + self.size, left : left + self.size]
        return np.rot90(square, turns(frame))


class SoundCollector:
    """Mono sound at a fixed rate, with gaps filled by silence.

    Args:
        rate: output samples per second.
        most: output samples at most.
    """

    def __init__(self, *, rate: int, most: int) -> None:
        self.rate, self.most = rate, most
        self.start: Fraction | None = None
        self.count = 0
        self.invalid = 0
        self.first: Any | None = None
        self._blocks: list[npt.NDArray[np.int16]] = []
        self._resampler: Any | None = None
        self._kind: tuple[Any, ...] | None = None
        self._heard = 0.0

    @property
    def full(self) -> bool:
        """Nothing more fits."""
        return self.count >= self.most

    def add(self, frame: Any) -> None:
        """Take the next decoded block of sound."""
        if not frame.samples or not frame.sample_rate:
            return
        stamp = time_of(frame)
        if self.first is None:
            self.first = frame
            self.start = stamp
        elif stamp is not None and self.start is not None:
            self._fill(float(stamp - self.start))
        kind = (frame.format.name, frame.layout.name, frame.sample_rate)
        if kind != self._kind:
            self._flush()
            # 16 bits, because only then does FFmpeg scale a mix-down so that it cannot clip: (L + R) / 2.
            self._resampler = library().AudioResampler("s16", "mono", self.rate)
            self._kind = kind
        self._heard += frame.samples / frame.sample_rate
        self._push(self._valid(frame))

    def finish(self) -> npt.NDArray[np.float32] | None:
        """All samples in [-1, 1), [N]; None when no sound arrived."""
        self._flush()
        if not self.count:
            return None
        samples: npt.NDArray[np.float32] = np.concatenate(self._blocks)[: self.most].astype(np.float32)
        samples /= 32768
        return samples

    def _fill(self, time: float) -> None:
        gap = time - self._heard
        if _GAP < gap <= max(float(_JUMP), self.most / self.rate):
            self._flush()
            self._keep(np.zeros(min(round(gap * self.rate), self.most), dtype=np.int16))
            self._heard += gap

    def _valid(self, frame: Any) -> Any:
        """The same block; samples that are no numbers become silence."""
        if not frame.format.name.startswith(("flt", "dbl")):
            return frame
        samples = frame.to_ndarray()
        if np.isfinite(samples).all():
            return frame
        self.invalid += 1
        clean = library().AudioFrame.from_ndarray(
            np.nan_to_num(samples, nan=0.0, posinf=0.0, neginf=0.0), frame.format.name, frame.layout.name
        )
        clean.sample_rate, clean.pts, clean.time_base = frame.sample_rate, frame.pts, frame.time_base
        return clean

    def _push(self, frame: Any | None) -> None:
        assert self._resampler is not None
        if frame is not None:
            # The place on the clock is kept here; the resampler would refuse or stretch odd time stamps.
            frame.pts = None
        for block in self._resampler.resample(frame):
            self._keep(block.to_ndarray().reshape(-1))

    def _keep(self, samples: npt.NDArray[np.int16]) -> None:
        self._blocks.append(samples)
        self.count += len(samples)

    def _flush(self) -> None:
        if self._resampler is not None:
            self._push(None)
            self._resampler = None
            self._kind = None
