"""`avzsl methods`: what can be trained, with which presets and settings."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from avzsl.cli._options import Json
from avzsl.cli._output import print_json, print_table

if TYPE_CHECKING:
    from avzsl.methods import Method

# Columns of an audio, a visual and a text vector where parameters are counted: the published main features.
_SIZES = (512, 512, 300)
_SCORES = ("seen", "unseen", "hm", "zsl")


def methods(
    name: Annotated[
        str | None, typer.Argument(metavar="METHOD", help="Show the settings of this one.", show_default=False)
    ] = None,
    markdown: Annotated[bool, typer.Option("--markdown", help="A table for a page, as in the README.")] = False,
    json: Json = False,
) -> None:
    """List the methods, or the settings, presets, published numbers and quirks of one.

    Parameters are counted at the sizes of the published main features (512 audio, 512 visual and 300 text columns),
    with the settings of the preset ucf where there is one.

    \b
    Examples:
      avzsl methods
      avzsl methods stft
    """
    from avzsl.methods import METHODS

    chosen = METHODS.names() if name is None else (METHODS.get(name).name,)
    rows = sorted((_row(METHODS.get(key)) for key in chosen), key=lambda row: (row["year"], row["name"]))
    if json:
        print_json(rows if name is None else rows[0])
    elif markdown:
        print("| method | year | venue | features | parameters | note |\n|---|---|---|---|---|---|")
        for r in rows:
            title = f"{r['title']} (`{r['name']}`)"
            print(f"| {title} | {r['year']} | {r['venue']} | {r['inputs']} | {_count(r['parameters'])} | {r['note']} |")
    elif name is None:
        cells = [
            [r["name"], str(r["year"]), r["venue"], r["inputs"], _count(r["parameters"]), str(len(r["presets"])),
             f"{r['title']}{', ' if r['note'] else ''}{r['note']}"]
            for r in rows
        ]  # fmt: skip
        print_table(["method", "year", "venue", "features", "parameters", "presets", "title"], cells)
    else:
        _show(rows[0])


def _row(kind: type[Method]) -> dict[str, Any]:
    """All that is known of a method without training it."""
    from avzsl.config import load_preset, preset_names, quirk_names, reference_values
    from avzsl.experiments.settings import assemble

    reference, presets = reference_values(kind.Config), preset_names(kind.name)
    return {
        "name": kind.name, "title": kind.title, "year": kind.year, "venue": kind.venue, "inputs": kind.inputs,
        "note": kind.note, "yardstick": kind.yardstick, "parameters": _parameters(kind), "presets": list(presets),
        "published": {preset: load_preset(kind.name, preset).get("paper", {}) for preset in presets},
        "quirks": [
            {"id": number, "setting": field, "reference": reference[field]}
            for field, number in quirk_names(kind.Config).items()
        ],
        "citation": kind.citation,
        "settings": assemble(kind.name).as_dict()["settings"],
    }  # fmt: skip


def _parameters(kind: type[Method]) -> int | None:
    """None for a method that cannot be built for such features."""
    from avzsl.config import preset_names
    from avzsl.errors import AvzslError
    from avzsl.experiments.settings import assemble
    from avzsl.methods._profile import count_parameters
    from avzsl.types import Dimensions

    settings = assemble(kind.name, preset=_counted_with(preset_names(kind.name)))
    audio, visual, text = _SIZES
    sizes = Dimensions(settings.data.audio_columns or audio, settings.data.visual_columns or visual, text)
    try:
        return count_parameters(kind, settings.config, sizes)
    except AvzslError:
        return None


def _counted_with(presets: Iterable[str]) -> str | None:
    """The preset whose settings parameters are counted with."""
    return next((preset for preset in ("ucf", "default") if preset in presets), None)


def _count(parameters: int | None) -> str:
    """Parameters as people write them."""
    if parameters is None:
        return "-"
    return f"{parameters / 1e6:.2f} M" if parameters >= 10_000 else f"{parameters:,}"


def _show(row: dict[str, Any]) -> None:
    print(f"{row['name']}: {row['title']} ({row['venue']} {row['year']}){', ' if row['note'] else ''}{row['note']}")
    count = "-" if row["parameters"] is None else f"{row['parameters']:,}"
    preset = _counted_with(row["presets"])
    sizes = f"{'/'.join(map(str, _SIZES))} columns{'' if preset is None else f', preset {preset}'}"
    print(f"  features: {row['inputs']}; parameters: {count} at {sizes}")
    print(f"  {row['citation']}")
    print("  presets, with their published numbers in percent:" if row["presets"] else "  presets: none")
    for preset, paper in row["published"].items():
        scores = ", ".join(f"{key} {paper[key]:g}" for key in _SCORES if key in paper)
        note = f"{'; ' if scores else ''}{paper['note']}" if "note" in paper else ""
        print(f"    {preset:<16}{scores}{note}".rstrip())
    if row["quirks"]:
        print("  quirks of the public code, on in reference mode (docs/quirks.md):")
        for quirk in row["quirks"]:
            print(f"    {quirk['id']:<6}{quirk['setting']} = {quirk['reference']}")
    print("  settings without a preset:")
    for section, values in row["settings"].items():
        print(f"  [{section}]")
        for key, value in values.items():
            print(f"    {key} = {'(by itself)' if value is None else value}")
