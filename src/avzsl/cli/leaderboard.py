"""`avzsl leaderboard`: runs from anywhere, in tables of those that compare."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from avzsl.cli._options import Json
from avzsl.cli._output import print_json, print_table


def leaderboard(
    runs: Annotated[
        list[Path],
        typer.Argument(metavar="RUNS...", help="Run or benchmark folders, or ones above.", show_default=False),
    ],
    out: Annotated[Path | None, typer.Option(help="Folder for leaderboard.html, .md, .csv and .json.")] = None,
    draws: Annotated[int, typer.Option(help="Test sets that the bootstrap draws for the intervals.")] = 2000,
    seed: Annotated[int, typer.Option(help="Of the bootstrap.")] = 0,
    json: Json = False,
) -> None:
    """Rank finished runs that compare.

    Runs are found in and below the folders, whether 'avzsl train' or 'avzsl benchmark' wrote them. Those that differ in
    benchmark, split, features, text vectors, mode or protocol stand in tables of their own; one that was judged on
    other videos is not ranked, and the note says which videos differ. Seeds of one method with the same settings share
    a row: mean, standard deviation, and a bootstrap interval over classes.

    \b
    Examples:
      avzsl leaderboard runs
      avzsl leaderboard runs/benchmark runs/mine --out leaderboard
    """
    from avzsl.experiments.leaderboard import build_leaderboard
    from avzsl.report.leaderboard import write_leaderboard

    record = build_leaderboard(runs, draws=draws, seed=seed)
    written = [] if out is None else [*write_leaderboard(record, out), *_page(record, out)]
    if json:
        print_json(record)
    else:
        _show(record, written)


def _page(record: dict[str, Any], out: Path) -> list[Path]:
    """The page needs extra packages; the tables do not."""
    from avzsl.errors import MissingExtraError
    from avzsl.report.leaderboard import write_page

    try:
        return [write_page(record, out)]
    except MissingExtraError as error:
        print(f"warning: no leaderboard.html, because {error}", file=sys.stderr)
        return []


def _show(record: dict[str, Any], written: list[Path]) -> None:
    from avzsl.report.leaderboard import HEADER, cells, facts, how, notes, simulated, title_of

    for number, table in enumerate(record["tables"]):
        print(f"{chr(10) if number else ''}{title_of(table)}")
        for label, value in facts(table):
            print(f"  {label}: {value}")
        print_table(HEADER, [cells(row) for row in table["rows"]])
        for text in (simulated(table), *notes(table)):
            if text:
                print(f"  {text}")
    for problem in record["problems"]:
        print(f"left out: {problem}")
    print(how(record))
    for path in written:
        print(f"written: {path}")
