"""A small generated world, its features, and a model trained on them for a moment."""

from __future__ import annotations

from pathlib import Path

from avzsl.experiments.run import run_training
from avzsl.features._base import Extractor, create_extractor
from avzsl.features.clips import media_files
from avzsl.features.pipeline import ExtractReport, extract_dataset
from avzsl.features.text import create_text_encoder
from avzsl.world.render import generate_world
from benchmarks.context import Context

EXTRACTOR = "builtin"
# Spelling decides here, not meaning; loading a language model is no part of what is measured.
TEXT = "hash-ngram"


def world(context: Context) -> tuple[Path, int, float]:
    """A folder of generated videos, their number and the seconds of one; made once."""
    clips, seconds = context.pick(6, 4, 4), context.pick(6.0, 4.0, 1.0)
    folder = context.folder / f"world-{context.size}"
    generate_world(folder, classes=10, clips=clips, seconds=seconds, seed=context.seed)
    return folder, len(media_files([folder])), seconds


def extractor() -> Extractor:
    """The built-in one."""
    return create_extractor(EXTRACTOR)


def extract(videos: Path, out: Path, workers: int) -> ExtractReport:
    """What `avzsl extract` does."""
    return extract_dataset(
        videos, out, extractor=extractor(), text_encoder=create_text_encoder(TEXT), workers=workers, strict=True
    )


def model(context: Context) -> Path:
    """A run folder with an STFT that saw two batches: prediction takes as long as after a long training."""
    videos, _, _ = world(context)
    data, run = context.folder / f"data-{context.size}" / "World", context.folder / f"run-{context.size}"
    extract(videos, data, workers=1)
    run_training(
        data, "stft", out=run, preset="demo", assignments=("epochs=1", "batches=2", "batch_size=16"), seed=context.seed
    )
    return run
