"""`avzsl reproduce`: the tables and figures of the STFT paper."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from avzsl.cli._options import Device, Json, Quiet, Trust, Trusted
from avzsl.cli._output import print_json, print_table
from avzsl.cli._progress import show_progress
from avzsl.cli.benchmark import _seeds


def reproduce(
    items: Annotated[
        list[str],
        typer.Argument(metavar="ITEM...", help="table2 ... table11, fig3, fig3a ... or all.", show_default=False),
    ],
    out: Annotated[Path, typer.Option(help="Folder for runs and pages; a stopped reproduction in it is continued.")],
    data: Annotated[
        list[Path] | None,
        typer.Option(help="Benchmark folder. Of several, an item takes those that the paper has it for."),
    ] = None,
    seeds: Annotated[str, typer.Option(help="A number of seeds (3 is 0,1,2), or a list such as 0,5,7.")] = "",
    jobs: Annotated[int, typer.Option(help="Trainings at a time, each in a process of its own.")] = 1,
    quick: Annotated[
        bool, typer.Option("--quick", help="2 seeds, short trainings, thin grids: a look, no result.")
    ] = False,
    plan: Annotated[
        bool, typer.Option("--plan", help="Say what would be trained and about how long; do nothing.")
    ] = False,
    preset: Annotated[
        str | None, typer.Option(help="For all methods; chosen for each when absent: the benchmark's own, or demo.")
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="KEY=VALUE", help="One setting of all methods; METHOD:KEY=VALUE of one. Repeatable."
        ),
    ] = None,
    family: Annotated[str | None, typer.Option(help="Feature family, if not the item's own.")] = None,
    videos: Annotated[Path | None, typer.Option(help="The videos of the data, for the pictures of fig5.")] = None,
    mode: Annotated[str | None, typer.Option(help="clean, or reference to repeat published quirks.")] = None,
    device: Device = "auto",
    fresh: Annotated[bool, typer.Option("--fresh", help="Forget what is in the folder and start over.")] = False,
    trust: Trust = False,
    trusted: Trusted = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Work out tables and figures of the STFT paper, with the paper's numbers beside ours.

    Trains what is missing; items share trainings. Each item gets Markdown, CSV, LaTeX and a page in OUT/ITEM, and
    OUT/index.html links them. Only the published features make a number a reproduction; on other data the pages say
    what the data are, and whether the paper's order holds there.

    \b
    Examples:
      avzsl reproduce table4 --data data/UCF --out runs/paper
      avzsl reproduce all --data data/World --out runs/look --quick
      avzsl reproduce all --data data/UCF --data data/VGGSound --out runs/paper --jobs 2 --plan
    """
    from avzsl.experiments.reproduce.all import item_names
    from avzsl.experiments.reproduce.context import Request
    from avzsl.experiments.reproduce.run import chosen_items, plan_reproduction, run_reproduction
    from avzsl.report.reproduce import write_items

    request = Request(
        items=chosen_items(items), data=tuple(data or ()), seeds=_seeds(seeds or ("2" if quick else "3")),
        preset=preset, assignments=tuple(settings or ()), mode=mode, family=family, quick=quick, device=device,
        jobs=jobs, trust=trust, trusted=trusted, frames_of=None if videos is None else _frames_of(videos),
    )  # fmt: skip
    if plan:
        found = plan_reproduction(request, out)
        print_json(found) if json else _show_plan(found)
        return
    with show_progress(quiet=quiet):
        record = run_reproduction(request, out, fresh=fresh)
    written = write_items(out, record["items"], item_names())
    print_json(record) if json else _show(record, written)
    if record["failed"]:
        first = record["failed"][0]
        which = f"{first['method']}, seed {first['seed']}: {first['reason']}"
        print(
            f"error: {len(record['failed'])} of {record['trainings']} trainings failed, the first is {which}",
            file=sys.stderr,
        )
        raise typer.Exit(1)


def _frames_of(videos: Path) -> Callable[[str], Any]:
    from avzsl.cli.report import _readers

    return _readers(videos)[0]


def _show_plan(plan: dict[str, Any]) -> None:
    for name, count in plan["items"].items():
        lost = plan["cannot_run"].get(name)
        print(f"  {name}: {count} trainings" + (f"; {lost} cannot run on these data" if lost else ""))
    for name, reason in plan["refused"].items():
        print(f"  {name}: left out, {reason}")
    print(
        f"{plan['trainings']} different trainings, {plan['finished']} finished, {plan['left']} left: {plan['estimate']}"
    )


def _show(record: dict[str, Any], written: list[Path]) -> None:
    from avzsl.report.reproduce import sheets

    for entry in record["records"]:
        print(f"{sheets.title_of(entry)}: {entry['caption']}")
        if "reason" in entry:
            print(f"  left out: {entry['reason']}")
        for panel in entry["panels"] if entry["kind"] == "results" else ():
            print(f"  {sheets.panel_title(panel)}")
            for sheet in filter(None, (sheets.result_sheet(panel), sheets.verdict_sheet(panel))):
                print_table([sheet.first, *sheet.names], [[row.label, *row.cells] for row in sheet.rows])
            for text in (sheets.notice(panel), *sheets.summary(panel)):
                if text:
                    print(f"  {text}")
        print()
    print("written:")
    for path in written:
        if path.suffix == ".html":
            print(f"  {path}")
    print(f"  and {sum(path.suffix != '.html' for path in written)} other files beside them")
