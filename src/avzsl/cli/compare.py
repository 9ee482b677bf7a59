"""`avzsl compare`: two methods on the same clips."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from avzsl.cli._options import Json
from avzsl.cli._output import print_json, print_table

_NAMES = {"seen": "S", "unseen": "U", "hm": "HM", "zsl": "ZSL"}
_HELP = "A run folder, or one above the seeds of one method."


def compare(
    run_a: Annotated[Path, typer.Argument(metavar="RUN_A", help=_HELP, show_default=False)],
    run_b: Annotated[Path, typer.Argument(metavar="RUN_B", help=_HELP, show_default=False)],
    level: Annotated[
        str, typer.Option(help="What the bootstrap draws: classes, the clips within them (clips), or both.")
    ] = "classes",
    draws: Annotated[int, typer.Option(help="Test sets that the bootstrap draws.")] = 2000,
    permutations: Annotated[int, typer.Option(help="Random swaps, where there are too many to look at all.")] = 10_000,
    seed: Annotated[int, typer.Option(help="Of what is drawn here.")] = 0,
    json: Json = False,
) -> None:
    """Test whether one of two trained methods is better on the same clips.

    The difference with an interval (paired bootstrap over classes), a p-value (the two methods' outcomes swapped class
    by class), and the classes that each wins. Runs that were judged on different clips are refused.

    \b
    Examples:
      avzsl compare runs/stft runs/ridge
      avzsl compare runs/benchmark/runs/stft runs/benchmark/runs/ridge     # three seeds of each
    """
    from avzsl.experiments.compare import compare_runs

    record = compare_runs(run_a, run_b, draws=draws, permutations=permutations, level=level, seed=seed)  # type: ignore[arg-type]
    print_json(record) if json else _show(record)


def _show(record: dict[str, Any]) -> None:
    names = [
        f"{s['method']} ({len(s['runs'])} run{'s' * (len(s['runs']) > 1)})" for s in (record["first"], record["second"])
    ]
    classes = f"{record['seen_classes']} seen and {record['unseen_classes']} unseen classes"
    print(f"first {names[0]}, second {names[1]}, on {record['benchmark']}: {record['clips']} test clips of {classes}")
    rows = [
        [
            _NAMES[score], f"{d['first']:.2f}", f"{d['second']:.2f}", f"{d['difference']:+.2f}",
            f"{d['low']:+.2f} .. {d['high']:+.2f}", f"{d['p_value']:.4f}{'' if d['exact'] else '~'}",
            f"{d['wins']} : {d['losses']}", f"{d['p_sign']:.4f}",
        ]
        for score, d in record["differences"].items()
    ]  # fmt: skip
    print_table(["", "first", "second", "difference", "95 % interval", "p", "classes won", "p of these"], rows)
    for score in ("hm", "zsl"):
        print(f"  {verdict(record, score)}")
    if record["simulated"]:
        print("  simulated data: these numbers say nothing about real videos")
    for note in record["notes"]:
        print(f"  {note}")


def verdict(record: dict[str, Any], score: str) -> str:
    """One sentence on one score."""
    from avzsl.experiments.compare import ALPHA

    difference = record["differences"][score]
    p = f"p = {difference['p_value']:.4f}"
    if difference["p_value"] >= ALPHA:
        return f"{_NAMES[score]}: no difference shown ({p}); that is not the same as no difference"
    better = "first" if difference["difference"] > 0 else "second"
    return f"{_NAMES[score]}: the {better} ({record[better]['method']}) is better ({p})"
