"""Features of single files for prediction: nothing is stored, and a file that cannot be read becomes its error."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from avzsl.errors import DataError, MediaError
from avzsl.features._base import Extractor
from avzsl.features.catalog import MEDIA_SUFFIXES
from avzsl.isolation import allowance, run_isolated
from avzsl.progress import track
from avzsl.types import ClipFeatures

# Bytes that the extraction of one video may ask for; decoded pictures alone may take 4 GiB.
_MEMORY = 8 * 1024**3


def extract_clips(
    paths: Sequence[Path], extractor: Extractor, *, workers: int = 1, timeout: float = 120.0, trusted: bool = False
) -> Iterator[tuple[Path, ClipFeatures | MediaError]]:
    """Yield every path with its features, or with the reason why there are none, in the order given.

    Args:
        paths: media files.
        extractor: makes the rows.
        workers: child processes; 0 works in this one, without limits.
        timeout: seconds one file may take.
        trusted: the files are known to be sound: no limit on memory, and no child process for one worker.
    """
    workers, memory = video_limits(workers, trusted)
    outcomes = run_isolated(extractor.extract, paths, workers=workers, timeout=timeout, memory=memory)
    return track(outcomes, "reading videos", len(paths))


def video_limits(workers: int, trusted: bool) -> tuple[int, int | None]:
    """Child processes to use, and bytes of memory that each may ask for."""
    if trusted:
        return (0 if workers == 1 else workers), None
    return workers, allowance(_MEMORY)


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
