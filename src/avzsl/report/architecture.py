"""The drawing of a model, from the record that was read from the built model."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from avzsl.report.layers import Layout, lay_out

Record = Mapping[str, Any]
BOX = 1.72
"""Inches across a box."""
LINE = 0.125
PAD = 0.07
ROW_GAP = 0.32
LETTERS = 32
MOST_LINES = 5
# Colour and line of a part by what reaches it; nothing is told by colour alone.
MARKS = {
    "audio": ("c0", "-"),
    "visual": ("c1", (0, (5, 1.5))),
    "text": ("c2", (0, (1.2, 1.2))),
    "several": ("ink", "-"),
}
WORDS = {"audio": "sound alone", "visual": "picture alone", "text": "text alone", "several": "several"}


def box_lines(part: Record) -> list[str]:
    """The words in a box: what it is, what is inside, what it costs and gives."""
    if part["kind"] == "input":
        return [part["key"], f"{part['shape']} columns"]
    if part["kind"] == "loss":
        return [f"loss: {part['type'].replace('_', ' ')}"]
    title = part["key"].replace(".", " · ").replace("_", " ")
    if part["visit"]:
        title = f"{part['path'].replace('.', ' · ').replace('_', ' ')}, used again"
    inside = _wrapped(part["inside"])
    if len(inside) > MOST_LINES:
        inside = [*inside[:MOST_LINES], "…"]
    # A second use has the same weights: its layers stand in the first box.
    lines = [title, part["type"], *([] if part["visit"] else inside)]
    weights = "the same weights" if part["visit"] else f"{count_text(part['parameters'])} parameters"
    cost = [weights, *([f"{flops_text(part['inference'])} per clip"] if part["inference"] else [])]
    return [*lines, *cost, *textwrap.wrap(f"gives {part['shape']}", LETTERS)]


def _wrapped(items: Sequence[str]) -> list[str]:
    """Items with dots between them, on lines that end between two items."""
    lines: list[str] = []
    for item in items:
        if lines and len(lines[-1]) + len(item) + 3 <= LETTERS:
            lines[-1] += f" · {item}"
        else:
            lines.append(item)
    return lines


def count_text(number: int) -> str:
    """Parameters as people write them."""
    return f"{number / 1e6:.2f} M" if number >= 100_000 else f"{number:,}"


def flops_text(number: int) -> str:
    """Operations in mega."""
    return f"{number / 1e6:.2f} MFLOP"


def lane_of(parts: Sequence[Record]) -> dict[str, str]:
    """Which inputs reach each part: one of `MARKS`."""
    reach: dict[str, set[str]] = {}
    for part in parts:  # sources stand before what they feed
        own = {part["key"]} if part["kind"] == "input" else set()
        reach[part["key"]] = own.union(*(reach[source] for source in part["sources"]))
    return {key: next(iter(names)) if len(names) == 1 else "several" for key, names in reach.items()}


def size_of(record: Record) -> tuple[float, float]:
    """Inches that the drawing needs."""
    layout, heights = _plan(record)
    return (max(layout.x.values()) - min(layout.x.values()) + 1.15) * BOX, _bottom(layout, heights) + 1.0


def draw_architecture(figure: Any, record: Record, colour: Mapping[str, str]) -> None:
    """Boxes with arrows, from the inputs at the top to the losses at the bottom.

    Args:
        figure: a canvas of `size_of(record)` inches.
        record: one panel of the item.
        colour: names to colours.
    """
    layout, heights = _plan(record)
    width, height = size_of(record)
    figure.set_layout_engine("none")
    axes = figure.add_axes((0, 0, 1, 1))
    left = min(layout.x.values()) * BOX - 0.575 * BOX
    axes.set(xlim=(left, left + width), ylim=(-height + 0.62, 0.62))
    axes.axis("off")
    lanes = lane_of(record["parts"])
    tops = _tops(layout, heights)
    by_key = {part["key"]: part for part in record["parts"]}
    for route in layout.routes.values():
        _arrow(axes, layout, tops, heights, route, *_mark(colour, lanes[route[0]]))
    for key, part in by_key.items():
        _box(axes, layout.x[key] * BOX, tops[layout.row_of[key]], part, lanes[key], colour)
    axes.text(left + 0.1, 0.5, title_of(record), fontsize=9, weight="bold", color=colour["ink"], va="top")
    axes.text(left + 0.1, 0.33, totals(record), fontsize=6.5, color=colour["ink"], va="top")
    _legend(axes, left + 0.1, -height + 0.8, lanes, colour)


def title_of(record: Record) -> str:
    """Method and sizes."""
    return f"{record['title']}: {record['inputs']}"


def totals(record: Record) -> str:
    """The sums, as `avzsl profile` prints them."""
    return (
        f"{count_text(record['parameters'])} parameters ({record['parameters']:,}) · one clip"
        f" {flops_text(record['inference'])} · training forward of {record['pairs']} pairs"
        f" {record['training'] / 1e9:.2f} GFLOP · 2 per multiply-add"
    )


def words_of(record: Record) -> str:
    """The drawing for those who do not see it."""
    said = [
        f"{part['key']} takes {' and '.join(part['sources'])}" for part in record["parts"] if part["kind"] != "input"
    ]
    return f"{title_of(record)}. {totals(record)}. {'; '.join(said)}."


def _plan(record: Record) -> tuple[Layout, dict[str, float]]:
    layout = lay_out({part["key"]: part["sources"] for part in record["parts"]})
    return layout, {part["key"]: len(box_lines(part)) * LINE + 2 * PAD for part in record["parts"]}


def _tops(layout: Layout, heights: Mapping[str, float]) -> list[float]:
    """Upper edge of each row, downwards from 0."""
    tops, at = [], 0.0
    for row in layout.rows:
        tops.append(at)
        at -= max((heights[key] for key in row), default=0.0) + ROW_GAP
    return tops


def _bottom(layout: Layout, heights: Mapping[str, float]) -> float:
    return -_tops(layout, heights)[-1] + max(heights[key] for key in layout.rows[-1])


def _mark(colour: Mapping[str, str], lane: str) -> tuple[str, Any]:
    name, dash = MARKS[lane]
    return colour[name], dash


def _arrow(
    axes: Any, layout: Layout, tops: Sequence[float], heights: Mapping[str, float], route: Sequence[str], colour: str,
    dash: Any,
) -> None:  # fmt: skip
    """From under a box, between the boxes of the rows it passes, to the top of another."""
    source, *between, target = route
    points = [(layout.x[source] * BOX, tops[layout.row_of[source]] - heights[source])]
    for key in between:
        row = layout.row_of[key]
        lowest = max((heights[k] for k in layout.rows[row]), default=0.0)
        points += [(layout.x[key] * BOX, tops[row] + 0.02), (layout.x[key] * BOX, tops[row] - lowest - 0.02)]
    points.append((layout.x[target] * BOX, tops[layout.row_of[target]]))
    # Arrows into one box end apart, each on the side that it comes from.
    shift = max(-0.4 * BOX, min(0.4 * BOX, points[-2][0] - points[-1][0])) if len(points) > 1 else 0.0
    points[-1] = (points[-1][0] + 0.7 * shift, points[-1][1])
    axes.plot(*zip(*points, strict=True), linestyle=dash, color=colour, linewidth=0.9, zorder=1, solid_capstyle="butt")
    (x0, y0), (x1, y1) = points[-2:]
    length = ((x1 - x0) ** 2 + (y1 - y0) ** 2) ** 0.5 or 1.0
    back = (x1 - 0.06 * (x1 - x0) / length, y1 - 0.06 * (y1 - y0) / length)
    axes.annotate(
        "", (x1, y1), back, arrowprops={"arrowstyle": "-|>", "color": colour, "lw": 0.9, "mutation_scale": 7,
                                        "shrinkA": 0, "shrinkB": 0}, zorder=3,
    )  # fmt: skip


def _box(axes: Any, x: float, top: float, part: Record, lane: str, colour: Mapping[str, str]) -> None:
    from matplotlib.patches import FancyBboxPatch

    lines = box_lines(part)
    height = len(lines) * LINE + 2 * PAD
    edge, dash = _mark(colour, lane)
    rounded = 0.02 if part["kind"] == "module" else 0.12
    axes.add_patch(
        FancyBboxPatch(
            (x - BOX / 2, top - height), BOX, height, boxstyle=f"round,pad=0,rounding_size={rounded}",
            facecolor="none", edgecolor=edge, linestyle=dash,
            linewidth=1.1, zorder=2,
        )
    )  # fmt: skip
    for number, text in enumerate(lines):
        axes.text(
            x, top - PAD - LINE * (number + 0.5), text, ha="center", va="center", zorder=4,
            fontsize=7.2 if number == 0 else 6.1, weight="bold" if number == 0 else "normal", color=colour["ink"],
        )  # fmt: skip


def _legend(axes: Any, x: float, y: float, lanes: Mapping[str, str], colour: Mapping[str, str]) -> None:
    at = x
    for lane in MARKS:
        if lane in lanes.values():
            edge, dash = _mark(colour, lane)
            axes.plot([at, at + 0.35], [y, y], linestyle=dash, color=edge, linewidth=1.1)
            axes.text(at + 0.42, y, WORDS[lane], fontsize=6.5, va="center", color=colour["ink"])
            at += 1.25
