"""Pictures of results: curves over a grid of settings, or a line of dots for each row."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from avzsl.report.drawing import short
from avzsl.report.reproduce.sheets import COLUMNS, panel_title

Record = Mapping[str, Any]
Colours = Mapping[str, str]

# Colour, dash and marker of each curve: nothing is told by colour alone.
_CURVES = (
    ("c0", "-", "o"), ("c1", "--", "s"), ("c2", "-.", "^"), ("c3", ":", "D"), ("c4", (0, (5, 1)), "v"),
    ("c5", (0, (1, 1)), "P"),
)  # fmt: skip
_SCORES = ("hm", "zsl")
_MARKERS = {"hm": "D", "zsl": "^"}


def size_of(panel: Record) -> tuple[float, float]:
    """Inches of the panel's picture."""
    return (8.4, 3.9) if "chart" in panel else (8.4, 1.7 + 0.3 * len(panel["rows"]))


def has_picture(panel: Record) -> bool:
    """Whether there is anything to draw: scores of at least one row."""
    return all(score in panel["columns"] for score in _SCORES) and any(
        row["scores"]["hm"]["mean"] is not None for row in panel["rows"]
    )


def draw(figure: Any, panel: Record, colours: Colours, title: str) -> str:
    """Draw a panel's picture into a figure of `drawing.canvas`; returns it in words.

    Args:
        figure: to draw into.
        panel: of the record.
        colours: of `report.drawing`.
        title: of the item.
    """
    said = _sweep(figure, panel, colours) if "chart" in panel else _dots(figure, panel, colours)
    # A figure leaves its page; what its numbers are must go with it.
    figure.suptitle(f"{title}, {panel_title(panel)}", fontsize=10)
    figure.get_layout_engine().set(wspace=0.06)
    return said


def _sweep(figure: Any, panel: Record, colours: Colours) -> str:
    """HM to the left, ZSL to the right; bars are one standard deviation over seeds."""
    chart = panel["chart"]
    rows = {row["key"]: row["scores"] for row in panel["rows"]}
    ticks, apart = chart["ticks"], chart["apart"]
    for axes, score in zip(figure.subplots(1, 2), _SCORES, strict=True):
        for curve, series in enumerate(chart["series"]):
            colour, dash, marker = _CURVES[curve % len(_CURVES)]
            # Side by side, so that bars do not hide each other.
            shift = 0.06 * (curve - (len(chart["series"]) - 1) / 2)
            known = [
                (x, rows[key][score]) for x, key in enumerate(series["keys"]) if rows[key][score]["mean"] is not None
            ]
            joined = [pair for pair in known if pair[0] < len(ticks) - apart]
            axes.plot(
                [x + shift for x, _ in joined], [n["mean"] for _, n in joined], color=colours[colour], linestyle=dash
            )
            axes.errorbar(
                [x + shift for x, _ in known], [n["mean"] for _, n in known], [n["sd"] or 0.0 for _, n in known],
                fmt=marker, color=colours[colour], markersize=6, capsize=2.5, elinewidth=1,
            )  # fmt: skip
            axes.plot([], [], color=colours[colour], linestyle=dash, marker=marker, markersize=6, label=series["label"])
        if apart:
            axes.axvline(len(ticks) - apart - 0.5, color=colours["soft"], linewidth=0.8, linestyle=(0, (2, 2)))
        axes.set_xticks(range(len(ticks)), ticks)
        axes.set(xlabel=chart["axis"], ylabel=f"{COLUMNS[score][0]}, %", xlim=(-0.5, len(ticks) - 0.5))
        _guessing(axes, panel, score, colours, vertical=False)
        axes.set_ylim(max(0.0, axes.get_ylim()[0]), None)
    _legend(figure, 4)
    return _words(panel, f"Curves over {chart['axis']}; marks are means over seeds, bars one standard deviation.")


def _dots(figure: Any, panel: Record, colours: Colours) -> str:
    """A line for each row: rings are runs, the mark is their mean, a cross the paper's number where it compares."""
    rows = panel["rows"]
    for axes, score in zip(figure.subplots(1, 2, sharey=True), _SCORES, strict=True):
        for place, row in enumerate(rows):
            numbers = row["scores"][score]
            if numbers["mean"] is None:
                continue
            values = list(numbers["values"].values())
            axes.plot([numbers["mean"]], [place], _MARKERS[score], color=colours[score], markersize=8, clip_on=False,
                      label=f"mean {COLUMNS[score][0]}")  # fmt: skip
            axes.plot(values, [place] * len(values), "o", color=colours["ink"], markersize=3.5, fillstyle="none",
                      markeredgewidth=0.8, clip_on=False, label="one run")  # fmt: skip
            if panel["comparable"] and numbers["published"] is not None:
                axes.plot([numbers["published"]], [place], "x", color=colours["ink"], markersize=8, clip_on=False,
                          label="paper")  # fmt: skip
            if row["reference"]:
                axes.axvline(
                    numbers["mean"], color=colours["soft"], linewidth=1.0, linestyle="--", label=f"{row['label']}"
                )
        _guessing(axes, panel, score, colours, vertical=True)
        axes.set(xlabel=f"{COLUMNS[score][0]}, %", xlim=(0, None))
        axes.tick_params(axis="y", length=0)
        axes.set_yticks(range(len(rows)), [short(row["label"], 26) for row in rows])
        axes.set_ylim(len(rows) - 0.5, -0.5)
    _legend(figure, 6)
    return _words(
        panel, "A ring is one run, a mark their mean; the dashed line is the row the others are compared with."
    )


def _guessing(axes: Any, panel: Record, score: str, colours: Colours, *, vertical: bool) -> None:
    if score == "zsl" and panel["chance"] is not None:
        line = axes.axvline if vertical else axes.axhline
        line(panel["chance"], color=colours["soft"], linewidth=1.2, linestyle=":", label="guessing")


def _legend(figure: Any, columns: int) -> None:
    marks: dict[str, Any] = {}
    for axes in figure.axes:
        marks |= {text: mark for mark, text in zip(*axes.get_legend_handles_labels(), strict=True)}
    figure.legend(list(marks.values()), list(marks), loc="outside lower center", ncols=columns, fontsize=9)


def _words(panel: Record, what: str) -> str:
    known = [row for row in panel["rows"] if row["scores"]["hm"]["mean"] is not None]
    best = max(known, key=lambda row: row["scores"]["hm"]["mean"])
    return f"{what} The highest mean HM is {best['scores']['hm']['mean']:.1f} %, of {best['label']}."
