"""`avzsl world`: render the generated benchmark."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from avzsl.cli._options import Json, Quiet
from avzsl.cli._output import print_json, print_next
from avzsl.cli._progress import show_progress


def world(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="New or empty folder for the videos.", show_default=False)],
    classes: Annotated[int, typer.Option(help="Number of classes, seen and unseen.")] = 40,
    clips: Annotated[int, typer.Option(help="Videos per class.")] = 24,
    seconds: Annotated[float, typer.Option(help="Length of a video.")] = 4.0,
    seed: Annotated[int, typer.Option(help="Source of everything; the same seed gives the same files.")] = 0,
    workers: Annotated[int, typer.Option(help="Processes that render; 0 = this one.")] = 0,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Render a small benchmark of generated videos with sound.

    Classes are combinations of attributes (a red ball that bounces and beeps); some are kept for validation and some
    are never trained on. A stopped run is continued by the same command.

    \b
    Examples:
      avzsl world videos
      avzsl world videos --classes 20 --clips 8 --seed 1 --workers 2
    """
    from avzsl.world.render import generate_world

    with show_progress(quiet=quiet):
        made = generate_world(out, classes=classes, clips=clips, seed=seed, seconds=seconds, workers=workers)
    if json:
        print_json(asdict(made))
        return
    print(f"{sum(made.splits.values())} videos of {made.classes} classes in {made.out} ({made.size / 1e6:.1f} MB)")
    print(f"  {made.rendered} rendered in {made.seconds:.0f} s, {made.kept} were there already")
    print("  classes: " + ", ".join(f"{count} {part}" for part, count in made.parts.items()))
    print_next("avzsl", "extract", out, "--out", "data/World")
