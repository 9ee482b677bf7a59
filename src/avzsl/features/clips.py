"""Features of single files for prediction: nothing is stored, and a file that cannot be read becomes its error."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from avzsl.errors import DataError, MediaError
from avzsl.features._base import Extractor
from avzsl.features.catalog import MEDIA_SUFFIXES
from avzsl.progress import track
from avzsl.types import ClipFeatures


def extract_clips(
    paths: Sequence[Path], extractor: Extractor, *, workers: int = 0, timeout: float = 120.0
) -> Iterator[tuple[Path, ClipFeatures | MediaError]]:
    """Yield every path with its features, or with the reason why there are none, in the order given.

    Args:
        paths: media files.
        extractor: makes the rows.
        workers: child processes; 0 works in this one, without a time limit.
        timeout: seconds one file may take.
    """
    from avzsl.media.isolate import run_isolated

    outcomes = run_isolated(extractor.extract, paths, workers=workers, timeout=timeout)
    return track(outcomes, "reading videos", len(paths))


def media_files(paths: Sequence[Path]) -> list[Path]:
    """The files themselves; a folder stands for the media files in it and below, sorted.

    Raises:
        DataError: no paths, or a folder without any media file.
    """
    found: list[Path] = []
    for path in paths:
        if not path.is_dir():
            found.append(path)
            continue
        inside = sorted(p for p in path.rglob("*") if p.suffix.lower() in MEDIA_SUFFIXES and p.is_file())
        if not inside:
            raise DataError(f"{path} holds no video or audio files; give files or a folder of them")
        found += inside
    if not found:
        raise DataError("no videos were given; name at least one file")
    return found
