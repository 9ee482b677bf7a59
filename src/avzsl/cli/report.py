"""`avzsl report`: one HTML page of a run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from avzsl.cli._options import Json, Quiet, Run
from avzsl.cli._output import print_json
from avzsl.cli._progress import show_progress

if TYPE_CHECKING:
    from collections.abc import Callable

# Pictures per second and their side in pixels: enough for a strip of thumbnails.
_FRAMES, _SIDE, _AUDIO = 4.0, 96, 16000
# Seconds, and bytes of memory, that reading one video may take.
_PATIENCE, _MEMORY = 120.0, 8 * 1024**3


def report(
    run: Run,
    data: Annotated[Path | None, typer.Option(help="Its benchmark folder, to add spikes and example clips.")] = None,
    videos: Annotated[
        Path | None, typer.Option(help="Its videos, to show pictures of the examples (needs --data).")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="The HTML file; RUN/report.html when absent.")] = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Write a page about a run.

    Scores, curves, confusions, the joint space and spikes, in one file that needs no network.

    \b
    Examples:
      avzsl report runs/world
      avzsl report runs/world --data data/World --videos videos
    """
    from avzsl.errors import SettingError
    from avzsl.report import write_report

    if videos is not None and data is None:
        raise SettingError("--videos needs --data, the benchmark folder made of them")
    with show_progress(quiet=quiet):
        if data is not None:
            inspect(run, data, videos)
        written = write_report(run, out)
    print_json({"report": str(written)}) if json else print(written)


def inspect(run: Path, data: Path, videos: Path | None, baselines: dict[str, dict[str, float]] | None = None) -> None:
    """Add to a run folder what its page needs and training did not write.

    Args:
        run: folder of a finished run.
        data: its benchmark folder.
        videos: its videos; None = no pictures.
        baselines: name of another method to its scores in percent.
    """
    from avzsl.experiments.evaluate import load_as_trained
    from avzsl.experiments.inspect import inspect_run
    from avzsl.methods._checkpoint import load_card

    benchmark = load_as_trained(load_card(run), data)
    frames, sound = (None, None) if videos is None else _readers(videos)
    inspect_run(run, benchmark, videos=videos, frames_of=frames, sound_of=sound, baselines=baselines)


def _readers(videos: Path) -> tuple[Callable[[str], Any], Callable[[str], Any]]:
    """Clip name to its pictures, and to its sound; None for a clip that is not there or cannot be read."""
    from functools import lru_cache

    from avzsl.errors import MediaError
    from avzsl.features.catalog import list_videos
    from avzsl.isolation import Helper, allowance

    paths = {item.name: item.path for item in list_videos(videos)}
    # In a child: it is the same videos that extraction reads in one.
    helper = Helper(_read_clip, trouble=MediaError)

    @lru_cache(maxsize=2)
    def read(name: str) -> Any:
        if name not in paths:
            return None
        try:
            return helper(paths[name], timeout=_PATIENCE, memory=allowance(_MEMORY))
        except MediaError:
            return None

    def frames(name: str) -> Any:
        clip = read(name)
        return None if clip is None else clip.frames

    def sound(name: str) -> Any:
        clip = read(name)
        return None if clip is None or clip.audio is None else (clip.audio, clip.audio_rate)

    return frames, sound


def _read_clip(path: Path) -> Any:
    from avzsl.media.decode import read_clip

    return read_clip(path, frame_rate=_FRAMES, size=_SIDE, audio_rate=_AUDIO)
