"""The picture of a benchmark: every method's HM and ZSL, one dot per run and a mark at the mean."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from avzsl.report.charts import TITLES
from avzsl.report.drawing import COLOUR, Picture, canvas, short, to_svg

WIDTH = 8.4
# Marker of the mean; nothing is told by colour alone.
MARKERS = {"hm": "D", "zsl": "^"}
LEGEND = ("mean HM", "mean ZSL", "one run", "best linear or training-free", "guessing", "published")

Record = Mapping[str, Any]


def comparison_picture(table: Record, name: str) -> Picture | None:
    """Methods by row in the order of the table, HM to the left and ZSL to the right; None without any numbers.

    Args:
        table: one of the tables of `benchmark.json`.
        name: unique on the page.
    """
    rows = [row for row in table["rows"] if row["hm"]["mean"] is not None]
    if not rows:
        return None
    with canvas(WIDTH, 1.5 + 0.3 * len(rows)) as figure:
        panels = figure.subplots(1, 2, sharey=True)
        for axes, score in zip(panels, MARKERS, strict=True):
            _panel(axes, table, rows, score)
        panels[0].set_yticks(range(len(rows)), [_label(row) for row in rows])
        panels[0].set_ylim(len(rows) - 0.5, -0.5)
        marks: dict[str, Any] = {}
        for axes in panels:
            marks |= {text: mark for mark, text in zip(*axes.get_legend_handles_labels(), strict=True)}
        shown = [text for text in LEGEND if text in marks]
        figure.legend([marks[text] for text in shown], shown, loc="outside lower center", ncols=3)
        text = _words(table, rows)
        return Picture(to_svg(figure, name, text, wide=True), text, wide=True)


def _panel(axes: Any, table: Record, rows: list[Record], score: str) -> None:
    for place, row in enumerate(rows):
        values = list(row[score]["values"].values())
        # An empty mark is a method that is no learned one; a learned one's stands for both in the legend.
        axes.plot(
            [row[score]["mean"]], [place], MARKERS[score], color=COLOUR[score], markersize=8, clip_on=False,
            fillstyle="none" if row["yardstick"] else "full", label=f"mean {score.upper()}",
        )  # fmt: skip
        axes.plot(
            values, [place] * len(values), "o", color=COLOUR["ink"], markersize=3.5, fillstyle="none",
            markeredgewidth=0.8, clip_on=False, label="one run",
        )  # fmt: skip
        if score in row["published"]:
            axes.plot([row["published"][score]], [place], "x", color=COLOUR["ink"], markersize=7, label="published")
    best = table["yardsticks"].get(score)
    if best is not None:
        axes.axvline(
            best["mean"], color=COLOUR["ink"], linewidth=1.2, linestyle="--", label="best linear or training-free"
        )
    chances = {data["zsl_chance"] for data in table["data"]}
    if score == "zsl" and len(chances) == 1:
        axes.axvline(chances.pop(), color=COLOUR["soft"], linewidth=1.2, linestyle=":", label="guessing")
    axes.set(xlabel=f"{TITLES[score]}, %", xlim=(0, None))
    axes.tick_params(axis="y", length=0)


def _label(row: Record) -> str:
    place = f"{row['rank']}. " if row["rank"] is not None else ""
    return f"{place}{short(row['title'], 22)}"


def _words(table: Record, rows: list[Record]) -> str:
    """The picture for those who do not see it."""
    best = rows[0]
    text = (
        f"HM and ZSL of {len(rows)} methods; a small ring is one run, a large mark the mean, empty for a linear or"
        f" training-free method. {best['title']} comes first with HM {best['hm']['mean']:.1f} %."
    )
    behind = [row["title"] for row in rows if row["below"]["hm"]]
    if table["yardsticks"]:
        text += f" {len(behind)} learned method(s) do not pass the best linear or training-free one (dashed line)."
    return text
