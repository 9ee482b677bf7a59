"""Fig. 5: class names as queries, the videos found by two methods, right and wrong marked."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from avzsl.report.drawing import short
from avzsl.report.reproduce.figures import MISSING, Numbers, Plate, Section, notice_of, title_of, write_figures

Record = Mapping[str, Any]
CELL, ROW, HEAD, SIDE = 1.3, 1.33, 0.36, 1.0
"""Inches: a cell across and down, the line of a query, the column of method names."""
READING = (
    "A query is the name of a class; the test videos that score highest for it stand from left to right. All test"
    " videos take part, of seen and of unseen classes.",
    "A solid frame and a tick: the video is of the class asked for. A dashed frame and a cross: it is of the class"
    " written below it.",
    "A picture is the middle frame; what the method hears is not in it.",
    "The queries are the paper's where the test has these classes, else classes evenly spaced by name; nothing is"
    " chosen by its result. The precision is over all classes, so that no query has to speak for the rest.",
)


def write_retrieval(record: Record, folder: Path) -> list[Path]:
    """Everything of the item."""
    return write_figures(record, folder, [_section(panel, folder) for panel in record["panels"]], READING)


def _section(panel: Record, folder: Path) -> Section:
    notes = tuple(text for text in (panel["reason"],) if text)
    base = {"title": title_of(panel), "notice": notice_of(panel), "facts": panel["facts"]}
    if "queries" not in panel:
        return Section(**base, notes=notes)
    rows = [
        (title, *(MISSING if panel["precision"][m][part] is None else f"{panel['precision'][m][part]:.1f}"
                  for part in ("seen", "unseen")))
        for m, title in panel["methods"].items()
    ]  # fmt: skip
    table = Numbers(
        "precision", f"Right videos among the first {panel['shown']}, percent, mean over all classes",
        ("method", "seen classes", "unseen classes"), tuple(rows),
    )  # fmt: skip
    found = Numbers(
        "found", "What was found", ("query", "method", "place", "video", "its class", "right"),
        tuple(
            (query["name"], panel["methods"][method], str(place), entry["clip"], entry["class"],
             "yes" if entry["right"] else "no")
            for query in panel["queries"] for method, own in query["found"].items()
            for place, entry in enumerate(own, start=1)
        ), folded=True,
    )  # fmt: skip
    if not panel["thumbnails"]:
        notes = (*notes, "No pictures: give the folder of the videos with --videos to have them.")
    plate = Plate("", size_of(panel), lambda figure, colours: draw_retrieval(figure, panel, folder, colours))
    return Section(**base, plates=(plate,), tables=(table, found), notes=notes)


def size_of(panel: Record) -> tuple[float, float]:
    """Inches that the drawing needs."""
    queries = len(panel["queries"])
    return SIDE + CELL * panel["shown"] + 0.1, queries * (HEAD + ROW * len(panel["methods"])) + 0.45


def draw_retrieval(figure: Any, panel: Record, folder: Path, colours: Mapping[str, str]) -> str:
    """Queries from top to bottom, methods below each other; returns the drawing in words."""
    width, height = size_of(panel)
    figure.set_layout_engine("none")
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, width), ylim=(-height, 0))
    axes.axis("off")
    axes.text(
        0.1, -0.1, f"Fig. 5, {title_of(panel)}, seed {panel['seed']}", fontsize=10, va="top", color=colours["ink"]
    )
    at, said = -0.4, []
    for query in panel["queries"]:
        part = "seen" if query["seen"] else "unseen"
        axes.text(0.1, at - 0.06, f"Query: {query['name']}", fontsize=9, weight="bold", va="top", color=colours["ink"])
        axes.text(
            width - 0.1, at - 0.06, f"{part} class, {query['clips']} videos", fontsize=8.5, va="top", ha="right",
            color=colours["ink"],
        )  # fmt: skip
        at -= HEAD
        for method, entries in query["found"].items():
            title = panel["methods"][method]
            axes.text(0.1, at - ROW / 2 + 0.15, title, fontsize=9, va="center", color=colours["ink"])
            right = sum(entry["right"] for entry in entries)
            axes.text(
                0.1, at - ROW / 2 - 0.08, f"{right} of {len(entries)}", fontsize=8, va="center", color=colours["ink"]
            )
            for place, entry in enumerate(entries):
                _cell(axes, SIDE + CELL * place, at, entry, folder, panel["thumbnails"].get(entry["clip"]), colours)
            said.append(f"{query['name']} ({part}), {title}: {right} of {len(entries)} right")
            at -= ROW
    return f"Videos found for class names, best first. {'; '.join(said)}."


def _cell(
    axes: Any, left: float, top: float, entry: Record, folder: Path, picture: str | None, colours: Mapping[str, str]
) -> None:
    from matplotlib.patches import Rectangle

    box = (left + 0.05, top - 1.02, CELL - 0.1, 1.0)
    colour, dash, wide = (colours["c2"], "-", 2.4) if entry["right"] else (colours["c1"], (0, (3, 2)), 1.6)
    if picture is not None and (folder / picture).is_file():
        box = _image(axes, folder / picture, box)  # the frame stands around the picture
    else:
        lines = "\n".join(textwrap.wrap(short(entry["clip"], 54), 18))
        axes.text(left + CELL / 2, top - 0.52, lines, fontsize=6.5, ha="center", va="center", color=colours["ink"])
    axes.add_patch(Rectangle(box[:2], *box[2:], fill=False, edgecolor=colour, linestyle=dash, linewidth=wide, zorder=3))
    axes.text(
        box[0] + 0.08, top - 0.1, "\u2713" if entry["right"] else "\u2717", fontsize=11, weight="bold", ha="center",
        va="center", color="white", zorder=5, bbox={"boxstyle": "round,pad=0.12", "fc": colour, "ec": "white"},
    )  # fmt: skip
    words = "right" if entry["right"] else entry["class"]
    text = "\n".join(textwrap.wrap(short(words, 52), 27))
    axes.text(left + CELL / 2, top - 1.06, text, fontsize=6.2, ha="center", va="top", color=colours["ink"])


def _image(axes: Any, path: Path, box: tuple[float, float, float, float]) -> tuple[float, float, float, float]:
    """A picture in the middle of a box, its shape kept; returns the place it takes."""
    import numpy as np
    from PIL import Image

    with Image.open(path) as image:
        pixels = np.asarray(image.convert("RGB"))
    left, bottom, width, height = box
    scale = min(width / pixels.shape[1], height / pixels.shape[0])
    across, down = pixels.shape[1] * scale, pixels.shape[0] * scale
    x, y = left + (width - across) / 2, bottom + (height - down) / 2
    axes.imshow(pixels, extent=(x, x + across, y, y + down), aspect="auto", interpolation="lanczos", zorder=2)
    return x, y, across, down
