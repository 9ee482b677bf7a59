"""`avzsl spikes`: who fires, and what it would cost a chip."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from avzsl.cli._options import Data, Device, Json, Quiet, Run, Trust
from avzsl.cli._output import print_json, print_table
from avzsl.cli._progress import show_progress


def spikes(
    run: Run,
    data: Data,
    out: Annotated[Path | None, typer.Option(help="Folder for tables and page; RUN/spikes when absent.")] = None,
    clips: Annotated[
        int, typer.Option(help="Clips to draw: the first of a class, unseen and seen classes in turn.", min=0)
    ] = 2,
    clip: Annotated[list[str] | None, typer.Option(help="Name of a test clip to draw instead. Repeatable.")] = None,
    precision: Annotated[str, typer.Option(help="Number format of the energies: fp32, fp16 or int8.")] = "fp32",
    device: Device = "auto",
    trust: Trust = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Count the spikes of a trained model on its test set.

    Firing rates, synaptic operations and energy, beside the same network without spikes; a page with pictures.

    Energies follow from counts and from constants of a 45 nm chip; nothing is measured.

    \b
    Examples:
      avzsl spikes runs/world --data data/World
      avzsl spikes runs/world --data data/World --clip "red ball 3" --out spikes
    """
    from avzsl.experiments.spikes import survey_spikes
    from avzsl.report.spike_tables import read_survey, write_tables

    folder = run / "spikes" if out is None else out
    with show_progress(quiet=quiet):
        survey = survey_spikes(
            run, data, shown=clips, clips=clip or (), precision=precision, device=device, trust=trust
        )
    written = [survey.write(folder), *write_tables(folder), *_page(folder)]
    record = read_survey(folder)
    print_json(record) if json else _show(record, written)


def _page(folder: Path) -> list[Path]:
    """The page needs extra packages; the tables do not."""
    from avzsl.errors import MissingExtraError
    from avzsl.report.spike_page import write_page

    try:
        return [write_page(folder)]
    except MissingExtraError as error:
        print(f"warning: no spikes.html, because {error}", file=sys.stderr)
        return []


def _show(record: dict[str, Any], written: list[Path]) -> None:
    from avzsl.report import spike_tables
    from avzsl.report.spike_findings import findings

    print(spike_tables.title_of(record))
    for label, value in spike_tables.facts(record):
        print(f"  {label}: {value}")
    for text in filter(None, (spike_tables.simulated(record), *findings(record))):
        print(f"- {text}")
    for table in (spike_tables.rate_table(record), spike_tables.energy_table(record)):
        print(f"\n{table.title}. {table.note}")
        print_table(table.header, table.rows)
    print("written:")
    for path in written:
        print(f"  {path}")
