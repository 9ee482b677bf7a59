"""`avzsl predict`: name videos."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from avzsl.cli._options import Device, Json, Quiet, Run, Trusted
from avzsl.cli._output import print_json
from avzsl.cli._progress import show_progress

if TYPE_CHECKING:
    from avzsl.predict.predictor import Prediction


def predict(
    run: Run,
    videos: Annotated[
        list[Path], typer.Argument(metavar="VIDEO...", help="Files, or folders of them.", show_default=False)
    ],
    classes: Annotated[
        str | None,
        typer.Option(help='Names to choose from: "dog, red ball" (quote a name with a comma) or @file, one per line.'),
    ] = None,
    unseen_only: Annotated[
        bool, typer.Option("--unseen-only", help="Choose among classes it was not trained on.")
    ] = False,
    bias: Annotated[float | None, typer.Option(help="Taken off seen classes; the validated one when absent.")] = None,
    top_k: Annotated[int, typer.Option(help="Guesses per video.")] = 5,
    vectors: Annotated[Path | None, typer.Option(help="Word-vector file, for models trained on such a file.")] = None,
    workers: Annotated[int, typer.Option(help="Processes that read videos; 0 = this one, without limits.")] = 1,
    timeout: Annotated[float, typer.Option(help="Seconds one video may take.")] = 120.0,
    trusted: Trusted = False,
    device: Device = "auto",
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Name the class of videos.

    The classes to choose from are the model's own or any names you write.

    Scores rank the classes of one video; they are not probabilities. A video without sound or without picture is judged
    by what is there if the method can do so (stft does), and named with the reason otherwise. So is a broken one; the
    others go on, and the exit code is then 1.

    \b
    Examples:
      avzsl predict runs/world my.mp4
      avzsl predict runs/world holiday/ --classes "barking dog, red ball" --top-k 1
      avzsl predict runs/world my.mp4 --classes @names.txt --json
    """
    from avzsl.experiments.run import choose_device
    from avzsl.predict.classes import parse_class_list
    from avzsl.predict.predictor import Predictor

    names = None if classes is None else parse_class_list(classes)
    predictor = Predictor.open(run, device=choose_device(device), vectors=vectors)
    with show_progress(quiet=quiet):
        found = predictor.predict(
            videos,
            names,
            k=top_k,
            unseen_only=unseen_only,
            bias=bias,
            workers=workers,
            timeout=timeout,
            trusted=trusted,
        )
    if json:
        print_json([prediction.as_dict() for prediction in found])
    else:
        for prediction in found:
            _show(prediction)
    broken = sum(prediction.error is not None for prediction in found)
    if broken:
        print(f"error: {broken} of {len(found)} files could not be read; their reasons are above", file=sys.stderr)
        raise typer.Exit(1)


def _show(found: Prediction) -> None:
    if found.error is not None:
        reason = found.error.removeprefix(str(found.path)).removeprefix(":").strip()
        print(f"{found.path}\n  not read: {reason}")
        return
    notes = [f"{n} only" for n in found.used] if len(found.used) == 1 else []
    notes += found.warnings
    print(f"{found.path}{'  (' + ', '.join(notes) + ')' if notes else ''}")
    for guess in found.guesses:
        print(f"  {guess.score:9.4f}  {guess.name}{'' if guess.seen else '  (unseen in training)'}")
