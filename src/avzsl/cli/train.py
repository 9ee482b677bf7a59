"""`avzsl train`: a benchmark folder to a run folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from avzsl.cli._options import Data, Device, Json, Quiet, Trust, Trusted
from avzsl.cli._output import print_json, print_next, print_scores
from avzsl.cli._progress import show_progress

if TYPE_CHECKING:
    from avzsl.experiments.result import Result


def train(
    method: Annotated[str, typer.Argument(metavar="METHOD", help="See 'avzsl methods'.", show_default=False)],
    data: Data,
    out: Annotated[Path, typer.Option(help="Run folder; a stopped run in it is continued.")],
    preset: Annotated[str | None, typer.Option(help="Settings to start from; see 'avzsl methods'.")] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="One setting; wins over the preset. Repeatable."),
    ] = None,
    family: Annotated[str | None, typer.Option(help="Feature family: main, cls or another.")] = None,
    temporal: Annotated[
        bool | None,
        typer.Option("--temporal/--averaged", help="One row per segment, or one per video.", show_default=False),
    ] = None,
    mode: Annotated[str | None, typer.Option(help="clean, or reference to repeat published quirks.")] = None,
    seed: Annotated[int, typer.Option(help="Of everything random.")] = 42,
    device: Device = "auto",
    fresh: Annotated[bool, typer.Option("--fresh", help="Forget what is in the run folder and start over.")] = False,
    trust: Trust = False,
    trusted: Trusted = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Train a method in two stages and judge it once on the test set.

    Stage 1 chooses the epoch and the bias on validation classes, stage 2 trains again on all training classes. Ctrl-C
    saves and stops; the same command continues and ends in the same numbers.

    \b
    Examples:
      avzsl train stft --preset demo --data data/World --out runs/world
      avzsl train stft --preset ucf_cls --data data/UCF --out runs/ucf --mode reference
      avzsl train ridge --data data/World --out runs/ridge --set penalty=0.1
    """
    from avzsl.experiments.run import run_training

    options: dict[str, dict[str, Any]] = {
        "data": {"family": family, "temporal": temporal, "trust": trust or None},
        "protocol": {"mode": mode},
    }
    with show_progress(quiet=quiet):
        result = run_training(
            data, method, out=out, preset=preset, assignments=settings or (), options=options, seed=seed, device=device,
            fresh=fresh, trusted=trusted,
        )  # fmt: skip
    if json:
        print_json(result.as_dict() | {"run": str(out), "trained": result.trained})
    else:
        _show(result, out)


def _show(result: Result, out: Path) -> None:
    from avzsl.methods import METHODS
    from avzsl.types import SIMULATED

    if not result.trained:
        print(f"{out} is finished; this is its result (start over with --fresh)")
    print_scores(
        result.as_dict(),
        f"{result.method} on {result.benchmark} ({result.family} features, {result.mode} mode, seed {result.seed})",
    )
    kind = METHODS.get(result.method)
    if kind.note:
        print(f"  {kind.title}: {kind.note}")
    print(
        f"  epoch {result.epoch} and bias {result.bias:g} were chosen on validation"
        f" (HM {result.validation['hm']:.2f} %)"
    )
    if result.published:
        numbers = ", ".join(f"{k} {v}" for k, v in result.published.items() if k in ("seen", "unseen", "hm", "zsl"))
        print(f"  published: {numbers}")
    if result.published_note:
        print(f"  {result.published_note}")
    if result.simulated:
        what = "features are simulated" if result.extractor.get("name") == SIMULATED else "videos are generated"
        print(f"  the {what}; these numbers say nothing about real ones")
    print(f"  {result.seconds:.0f} s; digest {result.digest}; everything is in {out}")
    print_next("avzsl", "report", out)
