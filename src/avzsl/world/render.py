"""Generate the benchmark: choose the classes, render every clip, write the lists."""

from __future__ import annotations

import csv
import io
import time
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from avzsl import progress
from avzsl.errors import DataError, OutputError, SettingError
from avzsl.files import lock_folder, read_json, write_json, write_text
from avzsl.isolation import run_isolated
from avzsl.media.encode import write_clip
from avzsl.world.picture import draw_frames
from avzsl.world.scenes import PARTS, Look, SceneClass, Sound, choose_classes
from avzsl.world.sound import play
from avzsl.world.split import FEWEST_CLIPS, split_of

# Raised whenever the same seed gives other clips than before.
VERSION = 1
SIZE = 96  # pixels
FRAME_RATE = 12.0  # frames per second
AUDIO_RATE = 16000  # Hz
_SHORTEST, _LONGEST = 1.0, 60.0  # seconds
_PATIENCE = 120.0  # seconds a child may spend on one clip


@dataclass(frozen=True)
class WorldSummary:
    """What was made.

    Attributes:
        out: the folder.
        classes: number of classes.
        parts: number of classes in `"train"`, `"val"` and `"unseen"`.
        splits: number of clips in each split.
        rendered: clips rendered now.
        kept: clips that were there already.
        seconds: time it took.
        size: bytes of all clips.
    """

    out: Path
    classes: int
    parts: dict[str, int]
    splits: dict[str, int]
    rendered: int
    kept: int
    seconds: float
    size: int


@dataclass(frozen=True)
class _Job:
    """One clip to render."""

    path: Path
    look: Look
    sound: Sound
    seed: tuple[int, ...]
    seconds: float


def generate_world(
    out: Path | str, *, classes: int = 40, clips: int = 24, seed: int = 0, seconds: float = 4.0, workers: int = 0
) -> WorldSummary:
    """Write a benchmark of generated videos with sound: the same settings give the same bytes.

    `OUT/<class name>/<clip>.mp4` are the videos, `OUT/videos.csv` (path, class, split) says what each is used
    for, `OUT/classes.csv` what each class is made of, `OUT/world.json` how all of it was made. An interrupted
    run goes on where it stopped. The bytes hold for one machine and one version of numpy and PyAV: others
    may round or encode differently.

    Args:
        out: a folder that is empty, missing, or holds a world of the same settings.
        classes: number of classes, 10 to 200.
        clips: clips per class, 4 or more.
        seed: source of everything.
        seconds: length of a clip.
        workers: number of processes; 0 renders in this one.

    Raises:
        SettingError: a number is out of range, or `out` holds a world of other settings.
        OutputError: `out` holds something else, or cannot be written.
        MissingExtraError: PyAV is not installed.
    """
    started = time.monotonic()
    out = Path(out)
    if seed < 0:
        raise SettingError(f"seed must be 0 or more, not {seed}")
    if clips < FEWEST_CLIPS:
        raise SettingError(f"a world needs at least {FEWEST_CLIPS} clips per class, not {clips}")
    if not _SHORTEST <= seconds <= _LONGEST:
        raise SettingError(f"clips must be {_SHORTEST:g} to {_LONGEST:g} seconds long, not {seconds}")
    chosen = choose_classes(classes, np.random.default_rng([seed, 0]))
    places = _places(chosen, clips)
    _claim(out, _settings(classes=classes, clips=clips, seed=seed, seconds=seconds))
    jobs = [
        _Job(out / place, scene.look, scene.sound, (seed, zlib.crc32(scene.name.encode()), clip), seconds)
        for place, scene, clip, _ in places
    ]
    with lock_folder(out):
        _sweep(out)
        missing = [job for job in jobs if not _complete(job.path)]
        for _, result in progress.track(
            run_isolated(_render, missing, workers=workers, timeout=_PATIENCE), "render", total=len(missing)
        ):
            if isinstance(result, Exception):
                raise result
        _write_lists(out, chosen, places)
    splits: dict[str, int] = {}
    for *_, split in places:
        splits[split] = splits.get(split, 0) + 1
    return WorldSummary(
        out=out,
        classes=len(chosen),
        parts={part: sum(scene.part == part for scene in chosen) for part in PARTS},
        splits=splits,
        rendered=len(missing),
        kept=len(jobs) - len(missing),
        seconds=time.monotonic() - started,
        size=sum(job.path.stat().st_size for job in jobs),
    )


def _places(chosen: Sequence[SceneClass], clips: int) -> list[tuple[str, SceneClass, int, str]]:
    """(path inside the world, class, clip number, split) of every clip."""
    return [
        (f"{scene.name}/c{index:03d}_{clip:03d}.mp4", scene, clip, split_of(scene.part, clip, clips))
        for index, scene in enumerate(chosen)
        for clip in range(clips)
    ]


def _settings(*, classes: int, clips: int, seed: int, seconds: float) -> dict[str, Any]:
    return {
        "generated": True,
        "version": VERSION,
        "seed": seed,
        "classes": classes,
        "clips": clips,
        "seconds": float(seconds),
        "size": SIZE,
        "frame_rate": FRAME_RATE,
        "audio_rate": AUDIO_RATE,
    }


def _claim(out: Path, settings: dict[str, Any]) -> None:
    """Make the folder this world's own, or find that it is already.

    Raises:
        SettingError: it holds a world of other settings.
        OutputError: it holds something else.
    """
    card = out / "world.json"
    if card.exists():
        try:
            there = read_json(card)
        except DataError as error:
            raise OutputError(f"{card} is damaged; delete the folder {out} or choose another") from error
        other = sorted(k for k in settings if not isinstance(there, dict) or there.get(k) != settings[k])
        if other:
            says = ", ".join(f"{k} {there.get(k) if isinstance(there, dict) else '?'} not {settings[k]}" for k in other)
            raise SettingError(
                f"{out} holds a world of other settings ({says}); choose another folder, delete this one, or use its"
                " settings"
            )
        return
    try:
        strange = out.exists() and (not out.is_dir() or any(out.iterdir()))
    except OSError as error:
        raise OutputError(f"cannot read {out}: {error.strerror or error}; choose another folder") from error
    if strange:
        raise OutputError(f"{out} is not empty and is not a generated world; choose a new or an empty folder")
    write_json(card, settings)


def _sweep(out: Path) -> None:
    """Remove what a killed run left half-written."""
    for partial in out.glob("*/.*.partial.mp4"):
        partial.unlink(missing_ok=True)


def _complete(path: Path) -> bool:
    """Files appear under their final name only when they are whole, so to exist is enough."""
    try:
        return path.stat().st_size > 0
    except OSError:
        return False


def _render(job: _Job) -> None:
    generator = np.random.default_rng(job.seed)
    frames = draw_frames(job.look, generator, frames=round(job.seconds * FRAME_RATE), frame_rate=FRAME_RATE, size=SIZE)
    audio = play(job.sound, generator, seconds=job.seconds, rate=AUDIO_RATE)
    write_clip(job.path, frames, FRAME_RATE, audio, AUDIO_RATE)


def _write_lists(out: Path, chosen: Sequence[SceneClass], places: Sequence[tuple[str, SceneClass, int, str]]) -> None:
    _write_csv(
        out / "classes.csv",
        ["name", *chosen[0].attributes(), "part"],
        [[scene.name, *scene.attributes().values(), scene.part] for scene in chosen],
    )
    # Last: a world is whole when this list is there.
    _write_csv(
        out / "videos.csv", ["path", "class", "split"], [[path, scene.name, split] for path, scene, _, split in places]
    )


def _write_csv(path: Path, header: list[str], rows: list[list[str]]) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    write_text(path, text.getvalue())
