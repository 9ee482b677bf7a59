"""The built-in extractor: numbers one can compute without any trained network, one row per second."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from avzsl.errors import MediaError
from avzsl.features._base import Extractor, FloatArray, register
from avzsl.features.audio import audio_dim, audio_rows
from avzsl.features.visual import visual_dim, visual_rows
from avzsl.types import ClipFeatures, ExtractorIdentity

if TYPE_CHECKING:
    from avzsl.media.decode import MediaClip

# Raise this whenever a number that the extractor gives changes.
VERSION = 1
# Frames that may lack at the end of a second: containers seldom hold whole seconds.
_SLACK = 1.5


@dataclass(frozen=True)
class BuiltinConfig:
    """How media is read.

    Attributes:
        frame_rate: frames per second.
        size: side of the square picture, pixels.
        audio_rate: samples per second.
    """

    frame_rate: int = 12
    size: int = 96
    audio_rate: int = 16000

    def __post_init__(self) -> None:
        if not (2 <= self.frame_rate <= 60 and 32 <= self.size <= 512 and 8000 <= self.audio_rate <= 48000):
            raise ValueError("frame_rate must be 2 to 60, size 32 to 512 and audio_rate 8000 to 48000")


@register("builtin")
class BuiltinExtractor(Extractor):
    """Colour, shape and motion of the foreground; spectrum, pitch, overtones and rhythm of the sound.

    Audio and visual rows are aligned: both have `max(1, floor(duration))` rows of one second.
    """

    Config = BuiltinConfig
    config: BuiltinConfig

    def __init__(self, config: BuiltinConfig | None = None) -> None:
        super().__init__(config or BuiltinConfig())

    @property
    def identity(self) -> ExtractorIdentity:
        """The settings and the version of the numbers."""
        return ExtractorIdentity(self.name, "clean", dataclasses.asdict(self.config), VERSION)

    @property
    def audio_dim(self) -> int:
        """Columns of an audio row."""
        return audio_dim()

    @property
    def visual_dim(self) -> int:
        """Columns of a visual row."""
        return visual_dim(self.config.frame_rate)

    @property
    def step_seconds(self) -> float:
        """One row per second."""
        return 1.0

    def extract(self, path: Path) -> ClipFeatures:
        """Features of one file; a modality that the file lacks is None.

        Raises:
            MediaError: the file cannot be read or has neither picture nor sound.
        """
        from avzsl.media.decode import read_clip

        clip = read_clip(
            path,
            frame_rate=self.config.frame_rate,
            size=self.config.size,
            audio_rate=self.config.audio_rate,
        )
        return self.describe(clip)

    def describe(self, clip: MediaClip) -> ClipFeatures:
        """Features of a clip that is read already.

        Raises:
            MediaError: it has neither picture nor sound.
        """
        seconds = max(
            0.0 if clip.frames is None else len(clip.frames) / clip.frame_rate,
            0.0 if clip.audio is None else len(clip.audio) / clip.audio_rate,
        )
        if seconds == 0:
            raise MediaError(f"{clip.info.path} has neither picture nor sound; leave it out")
        slack = _SLACK / self.config.frame_rate
        segments = max(1, int(seconds + slack))
        audio = visual = None
        if clip.audio is not None:
            audio = audio_rows(clip.audio, clip.audio_rate, segments)
        if clip.frames is not None and len(clip.frames):
            visual = visual_rows(clip.frames, self.config.frame_rate, segments)
        short = ("shorter than a second",) if seconds < 1 - slack else ()
        return ClipFeatures(audio, visual, self.step_seconds, (*clip.info.warnings, *short))

    def silence(self, rows: int) -> FloatArray:
        """What silence sounds like, [rows, d_a]."""
        return audio_rows(np.zeros(0, np.float32), self.config.audio_rate, rows).astype(np.float32)
