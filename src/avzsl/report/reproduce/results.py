"""Everything that is written of an item whose record holds panels of results."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import avzsl
from avzsl.errors import MissingExtraError
from avzsl.files import write_text
from avzsl.report.drawing import COLOUR, PRINT, Picture, canvas, save_figure, to_svg
from avzsl.report.page import environment
from avzsl.report.reproduce import sheets
from avzsl.report.reproduce.charts import draw, has_picture, size_of
from avzsl.report.reproduce.latex import latex
from avzsl.report.reproduce.texts import markdown, order_rows, result_rows

Record = Mapping[str, Any]


def write_results(record: Record, folder: Path) -> list[Path]:
    """Markdown, CSV, LaTeX and, with the extra packages, pictures and a page.

    Raises:
        OutputError: the folder cannot be written to.
    """
    name = record["item"]
    pictures: dict[int, list[Path]] = {}
    page: list[Path] = []
    try:
        pictures = _save_pictures(record, folder)
        page = [_write_page(record, folder)]
    except MissingExtraError as error:  # the texts need no extra package
        warnings.warn(f"no page and no pictures, because {error}", stacklevel=2)
    texts = {f"{name}.md": markdown(record, {n: [p.name for p in paths] for n, paths in pictures.items()})}
    texts |= {f"{name}.csv": result_rows(record), f"{name}.tex": latex(record)}
    if any(panel["orders"] for panel in record["panels"]):
        texts[f"{name}-order.csv"] = order_rows(record)
    for file, text in texts.items():
        write_text(folder / file, text.encode("utf-8", "replace").decode("utf-8"))
    return [*page, *(folder / file for file in texts), *(path for paths in pictures.values() for path in paths)]


def _save_pictures(record: Record, folder: Path) -> dict[int, list[Path]]:
    """A PNG and an SVG for each panel that has one."""
    written = {}
    several = len({panel["label"] for panel in record["panels"]}) > 1
    for place, panel in enumerate(record["panels"]):
        if not has_picture(panel):
            continue
        stem = "-".join([record["item"], *([panel["chart"]["key"]] if "chart" in panel else []),
                         *([panel["label"]] if several else [])])  # fmt: skip
        with canvas(*size_of(panel), colours=PRINT) as figure:
            draw(figure, panel, PRINT, sheets.title_of(record))
            written[place] = save_figure(figure, folder / stem)
    return written


def _write_page(record: Record, folder: Path) -> Path:
    panels = [
        {
            "title": sheets.panel_title(panel), "notice": sheets.notice(panel), "summary": sheets.summary(panel),
            "results": sheets.result_sheet(panel), "verdicts": sheets.verdict_sheet(panel),
            "orders": sheets.order_sheet(panel), "notes": sheets.notes(panel), "facts": panel["facts"],
            "settings": sheets.settings_of(panel),
            "picture": _picture(panel, f"picture{place}", sheets.title_of(record)),
        }
        for place, panel in enumerate(record["panels"])
    ]  # fmt: skip
    text = (
        environment()
        .get_template("reproduce.html")
        .render(record=record, title=sheets.title_of(record), panels=panels, version=avzsl.__version__)
    )
    path = folder / f"{record['item']}.html"
    write_text(path, text.encode("utf-8", "replace").decode("utf-8"))
    return path


def _picture(panel: Record, name: str, title: str) -> Picture | None:
    if not has_picture(panel):
        return None
    with canvas(*size_of(panel)) as figure:
        words = draw(figure, panel, COLOUR, title)
        return Picture(to_svg(figure, name, words, wide=True), words, wide=True)
