"""A trained toy model, an extractor for it and small media files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from avzsl.errors import MediaError
from avzsl.experiments.run import run_training
from avzsl.features._base import EXTRACTORS, Extractor
from avzsl.features.text import TEXT_ENCODERS, HashNgramEncoder
from avzsl.methods._base import Method
from avzsl.types import ClipFeatures, ExtractorIdentity


@dataclass(frozen=True)
class TextFileConfig:
    rate: int = 2


class TextFileExtractor(Extractor):
    """Reads numbers from a text file: one line per row, `audio | visual`; either side may be missing."""

    Config = TextFileConfig
    name = "toy-extractor"

    @property
    def identity(self) -> ExtractorIdentity:
        return ExtractorIdentity(self.name, settings={"rate": self.config.rate})

    @property
    def audio_dim(self) -> int:
        return 5

    @property
    def visual_dim(self) -> int:
        return 7

    @property
    def step_seconds(self) -> float:
        return 1.0

    def extract(self, path: Path) -> ClipFeatures:
        if not path.is_file():
            raise MediaError(f"{path}: no such file")
        try:
            sides = [[side.split() for side in line.split("|")] for line in path.read_text().splitlines()]
            audio, visual = ([[float(v) for v in row[side]] for row in sides] for side in (0, 1))
        except (ValueError, IndexError) as error:
            raise MediaError(f"{path}: not numbers ({error})") from error
        warnings = () if audio[0] else ("no sound",)
        return ClipFeatures(
            np.array(audio, np.float32) if audio[0] else None,
            np.array(visual, np.float32) if visual[0] else None,
            1.0,
            warnings,
        )


class ToyText(HashNgramEncoder):
    """Six numbers per name."""

    name = "toy-text"
    dim = 6


@pytest.fixture
def registered(monkeypatch: pytest.MonkeyPatch, toy: type[Method]) -> None:
    monkeypatch.setitem(EXTRACTORS._entries, "toy-extractor", TextFileExtractor)
    monkeypatch.setitem(TEXT_ENCODERS._entries, "toy-text", ToyText)


@pytest.fixture
def run(registered: None, toy_benchmark: Path, tmp_path: Path) -> Path:
    options = {"train": {"epochs": 2, "batches": 10, "batch_size": 16, "learning_rate": 0.02}}
    run_training(toy_benchmark, "toy", out=tmp_path / "run", options=options, device="cpu")
    return tmp_path / "run"


def write_clip(path: Path, audio: Any, visual: Any) -> Path:
    """Write what `TextFileExtractor` reads; rows [L, d] or None."""
    rows = len(audio if audio is not None else visual)
    lines = []
    for i in range(rows):
        sides = ["" if side is None else " ".join(repr(float(v)) for v in side[i]) for side in (audio, visual)]
        lines.append(" | ".join(sides))
    path.write_text("\n".join(lines))
    return path


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    random = np.random.default_rng(0)
    return write_clip(tmp_path / "clip.mp4", random.normal(size=(3, 5)), random.normal(size=(3, 7)))
