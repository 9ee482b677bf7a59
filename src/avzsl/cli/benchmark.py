"""`avzsl benchmark`: many methods, several seeds, one table."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from avzsl.cli._options import Device, Json, Quiet, Trust, Trusted
from avzsl.cli._output import print_json, print_table
from avzsl.cli._progress import show_progress


def benchmark(
    data: Annotated[list[Path], typer.Option(help="Benchmark folder. Several are ranked one by one and together.")],
    out: Annotated[Path, typer.Option(help="Folder for runs and tables; a stopped benchmark in it is continued.")],
    methods: Annotated[str, typer.Option(help="Names with commas, or all.")] = "all",
    seeds: Annotated[str, typer.Option(help="A number of seeds (3 is 0,1,2), or a list such as 0,5,7.")] = "3",
    preset: Annotated[
        str | None, typer.Option(help="For all methods; chosen for each when absent: the benchmark's own, or demo.")
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="KEY=VALUE", help="One setting of all methods; METHOD:KEY=VALUE of one. Repeatable."
        ),
    ] = None,
    family: Annotated[str | None, typer.Option(help="Feature family: main, cls or another.")] = None,
    mode: Annotated[str | None, typer.Option(help="clean, or reference to repeat published quirks.")] = None,
    jobs: Annotated[int, typer.Option(help="Runs at a time, each in a process of its own.")] = 1,
    device: Device = "auto",
    fresh: Annotated[bool, typer.Option("--fresh", help="Forget what is in the folder and start over.")] = False,
    trust: Trust = False,
    trusted: Trusted = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Train methods with several seeds on the same videos, and rank them.

    Each run has a folder of its own, as 'avzsl train' makes it. A method that fails, or that cannot run on these data,
    stands in the table with the reason. Ctrl-C keeps everything; the same command goes on, and more methods or seeds
    may join. Tables and a page with a picture are in OUT: benchmark.json, .csv, .md and .html.

    \b
    Examples:
      avzsl benchmark --data data/World --out runs/benchmark
      avzsl benchmark --data data/UCF --out runs/ucf --methods ridge,stft --seeds 5 --mode reference --jobs 2
      avzsl --use my_method.py benchmark --data data/World --out runs/benchmark --methods ridge,my_method
    """
    from avzsl.experiments.benchmark import Request, run_benchmark
    from avzsl.report.ranking import write_tables

    request = Request(
        data=tuple(data), methods=_names(methods), seeds=_seeds(seeds), preset=preset,
        assignments=tuple(settings or ()), mode=mode, family=family, device=device, jobs=jobs, trust=trust,
        trusted=trusted,
    )  # fmt: skip
    with show_progress(quiet=quiet):
        record = run_benchmark(request, out, fresh=fresh)
    written = [out / "benchmark.json", *write_tables(out), *_page(out)]
    if json:
        print_json(record)
    else:
        _show(record, written)
    failed = [cell for cell in record["cells"] if cell["state"] == "failed"]
    if failed:
        first = f"{failed[0]['method']}, seed {failed[0]['seed']}: {failed[0]['reason']}"
        print(f"error: {len(failed)} of {len(record['cells'])} runs failed, the first is {first}", file=sys.stderr)
        raise typer.Exit(1)


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _seeds(text: str) -> tuple[int, ...]:
    """`3` is 0, 1, 2; `0,5,7` and `7,` are lists."""
    from avzsl.errors import SettingError

    try:
        numbers = [int(part) for part in text.split(",") if part.strip()]
    except ValueError as error:
        raise SettingError(f"--seeds is '{text}'; give a number of seeds, or seeds with commas") from error
    if "," not in text and numbers:
        if numbers[0] < 1:
            raise SettingError(f"--seeds is {numbers[0]}; give at least one seed (one certain seed is '{numbers[0]},')")
        return tuple(range(numbers[0]))
    return tuple(numbers)


def _page(out: Path) -> list[Path]:
    """The page needs extra packages; the tables do not."""
    from avzsl.errors import MissingExtraError
    from avzsl.report.ranking import write_page

    try:
        return [write_page(out)]
    except MissingExtraError as error:
        print(f"warning: no benchmark.html, because {error}", file=sys.stderr)
        return []


def _show(record: dict[str, Any], written: list[Path]) -> None:
    from avzsl.report import ranking

    for number, table in enumerate(record["tables"]):
        print(f"{chr(10) if number else ''}{ranking.title_of(table)}")
        for label, value in ranking.facts(table):
            print(f"  {label}: {value}")
        lines = ranking.lines(table)
        # A line below the best method that does not learn: who stands beneath it was not worth the training here.
        ruled = [place for place, line in enumerate(lines) if line.best and len(lines) > 1]
        print_table(ranking.HEADER, [line.cells for line in lines], ruled)
        for text in (*ranking.legend(table), ranking.simulated(table), *ranking.notes(table)):
            if text:
                print(f"  {text}")
    print(f"{ranking.how(record)}")
    print("written:")
    for path in written:
        print(f"  {path}")
