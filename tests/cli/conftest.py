"""Fixtures of the command line's tests."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from avzsl.types import ExtractorIdentity


@pytest.fixture
def readable(monkeypatch: pytest.MonkeyPatch) -> None:
    """An extractor and a text encoder for the toy model: a `.mp4` here is a numpy seed in a text file."""
    from avzsl.errors import MediaError
    from avzsl.features._base import EXTRACTORS, Extractor
    from avzsl.features.text import TEXT_ENCODERS, HashNgramEncoder
    from avzsl.types import ClipFeatures

    @dataclass(frozen=True)
    class Config:
        rate: int = 2

    class SeedExtractor(Extractor):
        name = "toy-extractor"
        audio_dim, visual_dim, step_seconds = 5, 7, 1.0  # type: ignore[assignment]

        @property
        def identity(self) -> ExtractorIdentity:
            return ExtractorIdentity("toy-extractor", settings={"rate": self.config.rate})

        def extract(self, path: Path) -> ClipFeatures:
            if not path.is_file():
                raise MediaError(f"{path}: there is no such file")
            random = np.random.default_rng(int(path.read_text()))
            audio = random.normal(size=(1, 5)).astype(np.float32)
            return ClipFeatures(audio, random.normal(size=(1, 7)).astype(np.float32), 1.0)

    SeedExtractor.Config = Config

    class ToyText(HashNgramEncoder):
        name, dim = "toy-text", 6

    monkeypatch.setitem(EXTRACTORS._entries, "toy-extractor", SeedExtractor)
    monkeypatch.setitem(TEXT_ENCODERS._entries, "toy-text", ToyText)
