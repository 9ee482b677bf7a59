"""`avzsl extract`: videos to a benchmark folder."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from avzsl.cli._options import Json, Quiet, Trusted
from avzsl.cli._output import print_json, print_next
from avzsl.cli._progress import show_progress


def extract(
    videos: Annotated[
        Path,
        typer.Argument(
            metavar="VIDEOS", help="One folder per class, or a csv with path,class[,split].", show_default=False
        ),
    ],
    out: Annotated[Path, typer.Option(help="Benchmark folder to write; its name becomes the data set's.")],
    extractor: Annotated[str, typer.Option(help="What turns a video into numbers.")] = "builtin",
    text: Annotated[
        str, typer.Option(help="What turns a class name into numbers: minilm, hash-ngram, or a file.")
    ] = "minilm",
    unseen: Annotated[
        str | None, typer.Option(help='Classes kept for the test: "a, b" or @file; chosen by seed when absent.')
    ] = None,
    missing: Annotated[str, typer.Option(help="A video without sound: skip, error or silence.")] = "skip",
    strict: Annotated[bool, typer.Option("--strict", help="Stop at the first video that cannot be used.")] = False,
    workers: Annotated[int, typer.Option(help="Processes that read videos; 0 = this one, without limits.")] = 1,
    timeout: Annotated[float, typer.Option(help="Seconds one video may take.")] = 300.0,
    family: Annotated[str | None, typer.Option(help="Name of the feature family; the extractor's when absent.")] = None,
    seed: Annotated[int, typer.Option(help="Of the choice of splits.")] = 0,
    trusted: Trusted = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Turn videos into the features of a benchmark folder.

    Splits come from the csv when it names them, and from --unseen and --seed otherwise. Broken videos are left out and
    listed in skipped.csv. A stopped run is continued by the same command.

    \b
    Examples:
      avzsl extract videos --out data/World --workers 2
      avzsl extract clips.csv --out data/Mine --text hash-ngram --unseen "kite, red ball"
    """
    from avzsl.features._base import create_extractor
    from avzsl.features.pipeline import extract_dataset
    from avzsl.features.text import create_text_encoder
    from avzsl.predict.classes import parse_class_list

    kept = None if unseen is None else parse_class_list(unseen)
    with show_progress(quiet=quiet):
        found = extract_dataset(
            videos,
            out,
            extractor=create_extractor(extractor),
            text_encoder=create_text_encoder(text),
            workers=workers,
            timeout=timeout,
            trusted=trusted,
            strict=strict,
            missing=missing,
            unseen=kept,
            seed=seed,
            family=family,
        )
    if json:
        print_json(asdict(found))
        return
    print(f"{found.clips} videos of {len(found.classes)} classes in {out} ({found.seconds:.0f} s)")
    print(f"  {found.cached} were extracted before, {found.filled} got silence, {len(found.skipped)} left out")
    for skipped in found.skipped[:10]:
        print(f"  left out {skipped.path}: {skipped.reason}")
    if len(found.skipped) > 10:
        print(f"  and {len(found.skipped) - 10} more, see {out / 'skipped.csv'}")
    for note in found.warnings:
        print(f"  note: {note}")
    print_next("avzsl", "train", "stft", "--preset", "demo", "--data", out, "--out", f"runs/{found.out.name}")
