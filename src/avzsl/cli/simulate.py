"""`avzsl simulate`: a benchmark folder with drawn features, where the real ones cannot be had."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from avzsl.cli._options import Json, Quiet
from avzsl.cli._output import print_json, print_next
from avzsl.cli._progress import show_progress


def simulate(
    like: Annotated[Path, typer.Option(help="Published benchmark folder with class splits; needs no features.")],
    out: Annotated[Path, typer.Option(help="Benchmark folder to write; its name becomes the data set's.")],
    family: Annotated[str, typer.Option(help="Sizes of the features: main (512, 512) or cls (128, 4096).")] = "main",
    temporal: Annotated[bool, typer.Option("--temporal", help="Also write one row per second.")] = False,
    seed: Annotated[int, typer.Option(help="Of everything; the same seed gives the same files.")] = 0,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Strength of a part: text, residual, clip... Repeatable."),
    ] = None,
    vectors: Annotated[Path | None, typer.Option(help="Word vectors; those in or beside LIKE when absent.")] = None,
    clips: Annotated[
        int | None, typer.Option(help="Clips to make up per class of a split that has no list of them.")
    ] = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Draw features for the classes and clips of a published benchmark.

    The splits, clip names and word vectors are the real ones; the features are random numbers in which a class's word
    vector can be found again in part. They show that software works, and nothing about real videos: every result made
    on them says "simulated".

    \b
    Examples:
      avzsl simulate --like UCF --out simulated/UCF
      avzsl simulate --like UCF --out simulated/UCF --family cls --temporal --set residual=1
    """
    from avzsl.config import fill, place_assignments
    from avzsl.simulate.benchmark import simulate_benchmark
    from avzsl.simulate.model import SimulationConfig

    given = place_assignments(settings or (), {"simulation": SimulationConfig})["simulation"]
    config = fill(SimulationConfig, given, "[simulation]")
    with show_progress(quiet=quiet):
        found = simulate_benchmark(
            like, out, family=family, temporal=temporal, seed=seed, config=config, vectors=vectors, clips=clips
        )
    if json:
        print_json(asdict(found))
        return
    total = sum(found.splits.values())
    print(f"simulated features of {total} clips of {found.classes} classes in {out}, as in {found.like}")
    print("  " + ", ".join(f"{split} {count}" for split, count in found.splits.items()))
    if found.made_up:
        print(f"  clips made up, because nobody lists them: {', '.join(found.made_up)}")
    print("  they say nothing about real videos, and every result made on them says so")
    print_next("avzsl", "train", "ridge", "--data", out, "--out", f"runs/{found.out.name}-ridge")
