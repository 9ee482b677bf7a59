"""One picture of all ratios: how many times its floor each variant took, or how many times the reference."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from avzsl.files import atomic_path, write_text
from benchmarks.machine import is_busy
from benchmarks.record import Comparison
from benchmarks.suite import Bench

# Okabe and Ito's colours, which the colour-blind tell apart; shapes say it a second time.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#999999", "#7A5195", "#B2912F")
SHAPES = {"ours": "o", "ours, plain": "D", "other": "s", "machine": "x"}
LINE, HEAD = 0.27, 0.95  # inches
WIDTH = 11.0
# Names that differ from line to line say nothing in a legend; such a panel has dots without names.
MOST_NAMES = 14


@dataclass(frozen=True)
class Dot:
    """One variant on one line."""

    line: str
    name: str
    kind: str
    ratio: float


def dots(comparison: Comparison) -> tuple[str, list[Dot]]:
    """What the ratios are ratios to (empty = none worth showing), and the dots of a comparison."""
    rows = [row for row in comparison.rows if row.times is not None]
    if any(row.floor is not None for row in rows):
        pairs = [(row, comparison.times_floor(row)) for row in rows]
        to = "its floor"
    elif comparison.reference and not comparison.rate and any(row.kind != "ours" for row in rows):
        pairs = [(row, comparison.times_reference(row)) for row in rows]
        to = f"'{comparison.reference}'"
    else:
        return "", []
    own = len({row.name for row, ratio in pairs if ratio is not None})
    # A comparison of many things, each against a floor of its own, becomes a line for each.
    spread = own > MOST_NAMES - 2 and all(row.kind in ("ours", "machine") for row in rows)
    return to, [
        Dot(row.name if spread else comparison.name, "" if spread else row.name, row.kind, ratio)
        for row, ratio in pairs
        if ratio is not None
    ]


def panels(bench: Bench) -> list[tuple[str, str, list[Dot]]]:
    """Title, what the ratios are to, and dots of every panel: sections, split where ratios mean different things."""
    found: dict[tuple[str, str], list[Dot]] = {}
    for section in bench.sections.values():
        for comparison in section.comparisons:
            to, points = dots(comparison)
            if points:
                found.setdefault((section.title, to), []).extend(points)
    return [(title, to, points) for (title, to), points in found.items()]


def draw(bench: Bench, folder: Path) -> None:
    """Write `bench.png` and `bench.svg`.

    Raises:
        OutputError: the folder cannot be written to.
    """
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    shown = panels(bench)
    heights = [HEAD + LINE * max(_lines(points), _names(points) * 0.72) for _, _, points in shown] or [1.0]
    figure, axes = pyplot.subplots(
        len(heights), 1, figsize=(WIDTH, sum(heights) + 0.7), squeeze=False, height_ratios=heights, layout="constrained"
    )
    warning = "BUSY MACHINE: " if is_busy(bench.load[0]) else ""
    figure.suptitle(
        f"{warning}time as a multiple of the floor or of a reference (log scale, less is faster)\n"
        f"{bench.machine['processor']}, {bench.machine['threads']} threads, size {bench.settings['size']}",
        fontsize=10,
    )
    for axis, (title, to, points) in zip(axes[:, 0], shown, strict=False):
        _panel(axis, title, to, points)
    if not shown:
        axes[0, 0].text(0.5, 0.5, "no ratios were measured yet", ha="center", va="center")
        axes[0, 0].set_axis_off()
    text = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": "avzsl"}):
        figure.savefig(text, format="svg", metadata={"Date": None})
    write_text(folder / "bench.svg", text.getvalue())
    with atomic_path(folder / "bench.png") as temporary:
        figure.savefig(temporary, format="png", dpi=130)
    pyplot.close(figure)


def _panel(axis: Any, title: str, to: str, points: Sequence[Dot]) -> None:
    lines = list(dict.fromkeys(point.line for point in points))
    names = list(dict.fromkeys(point.name for point in points))
    for number, name in enumerate(names):
        own = [point for point in points if point.name == name]
        kind = own[0].kind
        axis.scatter(
            [point.ratio for point in own], [lines.index(point.line) for point in own], marker=SHAPES[kind],
            s=62 if kind == "ours" else 36, color=COLOURS[number % len(COLOURS)], label=name or None, zorder=3,
            facecolors=None if kind in ("ours", "machine") else "none", linewidths=1.4,
        )  # fmt: skip
    axis.axvline(1, color="#555555", linewidth=1, zorder=1)
    axis.set_xscale("log")
    ratios = [point.ratio for point in points]
    axis.set_xlim(min(0.8, min(ratios) / 1.25), max(2.0, max(ratios) * 1.25))
    axis.xaxis.set_major_formatter(_plain_numbers())
    axis.xaxis.set_minor_formatter(_few_numbers())
    axis.tick_params(axis="x", which="both", labelsize=8)
    axis.set_yticks(range(len(lines)), [_shortened(line) for line in lines], fontsize=8)
    axis.set_ylim(len(lines) - 0.4, -0.6)
    axis.grid(axis="x", which="both", color="#E3E3E3", linewidth=0.6, zorder=0)
    axis.grid(axis="y", color="#EEEEEE", linewidth=0.6, zorder=0)
    axis.set_title(f"{title}: times {to}", loc="left", fontsize=9, fontweight="bold")
    for side in ("top", "right", "left"):
        axis.spines[side].set_visible(False)
    if names != [""]:
        axis.legend(loc="upper left", bbox_to_anchor=(1.01, 1.02), fontsize=7, frameon=False, borderaxespad=0)


def _plain_numbers() -> Any:
    from matplotlib.ticker import FuncFormatter

    return FuncFormatter(lambda value, _: f"{value:g}")


def _few_numbers() -> Any:
    """Labels at 2 and 5 between the powers of ten."""
    from matplotlib.ticker import FuncFormatter

    return FuncFormatter(lambda value, _: f"{value:g}" if f"{value:e}"[0] in "25" else "")


def _lines(points: Sequence[Dot]) -> int:
    return len({point.line for point in points})


def _names(points: Sequence[Dot]) -> int:
    return len({point.name for point in points})


def _shortened(line: str) -> str:
    return line if len(line) <= 48 else line[:47] + "…"
