"""What is written of an item whose record is drawn: PNG and SVG, a page, Markdown, and its numbers as CSV."""

from __future__ import annotations

import csv
import io
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import avzsl
from avzsl.errors import MissingExtraError
from avzsl.files import write_text
from avzsl.report.drawing import COLOUR, PRINT, Picture, canvas, save_figure, to_svg
from avzsl.report.page import environment
from avzsl.report.reproduce import sheets
from avzsl.report.reproduce.texts import escape

Record = Mapping[str, Any]
Colours = Mapping[str, str]
MISSING = "–"


@dataclass(frozen=True)
class Plate:
    """One drawing.

    Attributes:
        key: part of its file's name.
        size: inches.
        draw: draws into a canvas with the given colours, and returns the drawing in words.
    """

    key: str
    size: tuple[float, float]
    draw: Callable[[Any, Colours], str]


@dataclass(frozen=True)
class Numbers:
    """A table: its name (part of the file's name), what it shows, and texts."""

    key: str
    caption: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    folded: bool = False


@dataclass(frozen=True)
class Section:
    """What stands on the page of one panel of the record."""

    title: str
    notice: str = ""
    said: tuple[str, ...] = ()
    plates: tuple[Plate, ...] = ()
    tables: tuple[Numbers, ...] = ()
    notes: tuple[str, ...] = ()
    facts: Sequence[tuple[str, str]] = field(default=())


def write_figures(record: Record, folder: Path, sections: Sequence[Section], reading: Sequence[str]) -> list[Path]:
    """Write everything of an item.

    Args:
        record: of the item.
        folder: of the item.
        sections: what it shows, one for each panel.
        reading: how to read it, sentences.

    Raises:
        OutputError: the folder cannot be written to.
    """
    name, drawn, page = record["item"], {}, []
    try:
        drawn = _save(record, folder, sections)
        page = [_write_page(record, folder, sections, reading)]
    except MissingExtraError as error:  # the texts need no extra package
        warnings.warn(f"no page and no pictures, because {error}", stacklevel=2)
    texts = {f"{name}.md": markdown(record, sections, reading, drawn)}
    for place, section in enumerate(sections):
        for table in section.tables:
            texts[f"{_stem(record, sections, place, table.key)}.csv"] = comma_separated(table)
    for file, text in texts.items():
        write_text(folder / file, text.encode("utf-8", "replace").decode("utf-8"))
    return [*page, *(folder / file for file in texts), *(path for paths in drawn.values() for path in paths)]


def notice_of(panel: Record) -> str:
    """Why a panel is no reproduction; empty when it is one."""
    return "" if panel["comparable"] else f"No reproduction: {'; '.join(panel['reasons'])}."


def title_of(panel: Record) -> str:
    """What a panel is about, and whether its data are real."""
    return f"{panel['label']} (simulated)" if made(panel) else str(panel["label"])


def made(panel: Record) -> bool:
    """Whether the data were made by a program."""
    return any("simulated" in reason for reason in panel["reasons"])


def markdown(
    record: Record, sections: Sequence[Section], reading: Sequence[str], drawn: Mapping[tuple[int, str], list[Path]]
) -> str:
    """The item without its page."""
    text = [f"# {escape(sheets.title_of(record))}", "", f"{escape(record['caption'])}.", ""]
    for place, section in enumerate(sections):
        text += [f"## {escape(section.title)}", ""]
        text += [f"**{escape(section.notice)}**", ""] if section.notice else []
        text += [f"- {escape(said)}" for said in section.said] + ([""] if section.said else [])
        for plate in section.plates:
            files = drawn.get((place, plate.key), [])
            text += [f"![{escape(section.title)}]({files[0].name})", ""] if files else []
        for table in section.tables:
            text += [f"{escape(table.caption)}", "", f"| {' | '.join(map(escape, table.header))} |"]
            text += ["|" + "---|" * len(table.header)]
            text += [f"| {' | '.join(escape(cell) for cell in row)} |" for row in table.rows] + [""]
        text += [f"- {escape(note)}" for note in section.notes] + ([""] if section.notes else [])
    text += ["## How to read this", "", *(f"- {escape(said)}" for said in reading), ""]
    if record["contradictions"]:
        text += ["## Where the paper contradicts itself", "", *(f"- {escape(t)}" for t in record["contradictions"]), ""]
    return "\n".join(text)


def comma_separated(table: Numbers) -> str:
    """A table as CSV."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(table.header)
    writer.writerows(table.rows)
    return text.getvalue()


def _stem(record: Record, sections: Sequence[Section], place: int, key: str) -> str:
    number = [str(place + 1)] if len(sections) > 1 else []
    return "-".join([record["item"], *number, *([key] if key else [])])


def _save(record: Record, folder: Path, sections: Sequence[Section]) -> dict[tuple[int, str], list[Path]]:
    written = {}
    for place, section in enumerate(sections):
        for plate in section.plates:
            with canvas(*plate.size, colours=PRINT) as figure:
                plate.draw(figure, PRINT)
                written[place, plate.key] = save_figure(figure, folder / _stem(record, sections, place, plate.key))
    return written


def _write_page(record: Record, folder: Path, sections: Sequence[Section], reading: Sequence[str]) -> Path:
    shown = [
        {"section": section, "pictures": [_picture(p, f"picture{place}-{i}") for i, p in enumerate(section.plates)]}
        for place, section in enumerate(sections)
    ]
    text = (
        environment()
        .get_template("reproduce_figure.html")
        .render(
            record=record, title=sheets.title_of(record), shown=shown, reading=reading, version=avzsl.__version__
        )
    )  # fmt: skip
    path = folder / f"{record['item']}.html"
    write_text(path, text.encode("utf-8", "replace").decode("utf-8"))
    return path


def _picture(plate: Plate, name: str) -> Picture:
    with canvas(*plate.size) as figure:
        words = plate.draw(figure, COLOUR)
        return Picture(to_svg(figure, name, words, wide=True), words, wide=True)
