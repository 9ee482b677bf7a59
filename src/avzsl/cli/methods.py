"""`avzsl methods`: what can be trained, with which presets and settings."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from avzsl.cli._options import Json
from avzsl.cli._output import print_json, print_table


def methods(
    name: Annotated[
        str | None, typer.Argument(metavar="METHOD", help="Show the settings of this one.", show_default=False)
    ] = None,
    markdown: Annotated[bool, typer.Option("--markdown", help="A table for a page, as in the README.")] = False,
    json: Json = False,
) -> None:
    """List the methods, or the settings of one.

    \b
    Examples:
      avzsl methods
      avzsl methods stft
    """
    import avzsl.methods
    from avzsl.config import plain, preset_names
    from avzsl.evaluation.protocol import ProtocolConfig
    from avzsl.experiments.settings import DataConfig
    from avzsl.methods._base import METHODS
    from avzsl.training.loop import TrainConfig

    assert avzsl.methods
    chosen = METHODS.names() if name is None else (METHODS.get(name).name,)
    rows: list[dict[str, Any]] = []
    for key in chosen:
        kind = METHODS.get(key)
        rows.append(
            {
                "name": key, "title": kind.title, "year": kind.year, "venue": kind.venue, "inputs": kind.inputs,
                "presets": list(preset_names(key)), "citation": kind.citation,
                "settings": {
                    "method": plain(kind.Config()), "train": plain(TrainConfig()), "data": plain(DataConfig()),
                    "protocol": plain(ProtocolConfig()),
                },
            }
        )  # fmt: skip
    if json:
        print_json(rows if name is None else rows[0])
    elif markdown:
        print("| method | year | venue | features | presets |\n|---|---|---|---|---|")
        for r in rows:
            title, presets = f"{r['title']} (`{r['name']}`)", ", ".join(r["presets"])
            print(f"| {title} | {r['year']} | {r['venue']} | {r['inputs']} | {presets} |")
    elif name is None:
        cells = [[r["name"], str(r["year"]), r["inputs"], ", ".join(r["presets"]) or "-", r["title"]] for r in rows]
        print_table(["method", "year", "features", "presets", "title"], cells)
    else:
        _show(rows[0])


def _show(row: dict[str, Any]) -> None:
    print(f"{row['name']}: {row['title']} ({row['venue']} {row['year']})")
    print(f"  features: {row['inputs']}; presets: {', '.join(row['presets']) or 'none'}")
    for section, values in row["settings"].items():
        print(f"  [{section}]")
        for key, value in values.items():
            print(f"    {key} = {'(by itself)' if value is None else value}")
