"""The drawing of the model."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from avzsl.report.architecture import count_text, draw_architecture, size_of, words_of
from avzsl.report.reproduce.figures import Numbers, Plate, Section, write_figures

Record = Mapping[str, Any]
READING = (
    "The drawing is read from the built model: boxes are its modules, arrows follow the gradient graph of one training"
    " step. Another number of time steps, another rank or width, or a part left out changes it.",
    "Operations are those of matrix products, convolutions and attention for one clip, 2 per multiply-add; class names"
    " are embedded beforehand and cost nothing per clip.",
    "A part that is used again has the same weights; they count once.",
)


def write_architecture(record: Record, folder: Path) -> list[Path]:
    """Everything of the item."""
    return write_figures(record, folder, [_section(panel) for panel in record["panels"]], READING)


def _section(panel: Record) -> Section:
    def draw(figure: Any, colours: Mapping[str, str]) -> str:
        draw_architecture(figure, panel, colours)
        return words_of(panel)

    rows = [
        (part["key"], part["type"], f"{part['parameters']:,}", f"{part['inference'] / 1e6:.3f}", part["shape"])
        for part in panel["parts"] if part["kind"] == "module"
    ]  # fmt: skip
    held = sum(part["parameters"] for part in panel["parts"])
    rest = ("outside modules", "", f"{panel['parameters'] - held:,}", f"{panel['outside'] / 1e6:.3f}", "")
    total = ("total", "", f"{panel['parameters']:,}", f"{panel['inference'] / 1e6:.3f}", "")
    table = Numbers("parts", "Parts", ("part", "type", "parameters", "MFLOP per clip", "gives"), (*rows, rest, total))
    settings = Numbers(
        "settings", "Settings", ("setting", "value"),
        tuple((name, str(value)) for name, value in panel["settings"].items()), folded=True,
    )  # fmt: skip
    said = f"{count_text(panel['parameters'])} parameters, {panel['inference'] / 1e6:.2f} MFLOP per clip."
    title = f"{panel['title']}, {panel['label']}"
    return Section(title, said=(said,), plates=(Plate("", size_of(panel), draw),), tables=(table, settings))
