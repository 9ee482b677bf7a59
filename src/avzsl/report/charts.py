"""The line charts and the confusion matrix."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from avzsl.report.analysis import class_order, coarse, shares
from avzsl.report.drawing import COLOUR, WIDTH, Picture, canvas, cells, short, to_svg
from avzsl.report.records import Array, Curve, StoredScores

# Colour, dash and marker of each score: nothing is told by colour alone.
LINES = {"seen": ("-", "o"), "unseen": ("--", "s"), "hm": ("-", "D"), "zsl": (":", "^")}
TITLES = {"seen": "seen (S)", "unseen": "unseen (U)", "hm": "harmonic mean (HM)", "zsl": "zero-shot (ZSL)"}
NAMED_CLASSES = 60
"""Up to this many classes, the matrix has one labelled row per class."""
SHADES = 20
_LOSS_DASHES = ("-", "--", ":", "-.")


def bias_picture(curve: Curve, name: str, title: str, faint: bool, chosen: float | None) -> Picture:
    """S, U and HM against the bias; `faint` for the curve that nothing was chosen on."""
    with canvas(WIDTH, 3.3) as figure:
        axes = figure.subplots()
        for score in ("hm", "seen", "unseen"):
            dash, marker = LINES[score]
            values = 100 * getattr(curve, score)
            axes.plot(
                curve.grid, values, dash, color=COLOUR[score], label=TITLES[score], alpha=0.55 if faint else 1.0,
                marker=marker, markersize=3.5, linewidth=1.2 if faint else 1.8,
            )  # fmt: skip
        if chosen is not None and math.isfinite(chosen):
            axes.axvline(chosen, color=COLOUR["ink"], linewidth=1, linestyle=(0, (2, 2)))
            peak = float(np.interp(chosen, curve.grid, 100 * curve.hm))
            if math.isfinite(peak):
                axes.plot([chosen], [peak], "*", color=COLOUR["ink"], markersize=11, label=f"chosen bias {chosen:.3g}")
        axes.set(xlabel="bias taken off seen classes", ylabel="mean per-class accuracy, %", title=title, ylim=(0, None))
        figure.legend(loc="outside lower center", ncols=2)
        best = int(np.nanargmax(curve.hm)) if np.isfinite(curve.hm).any() else 0
        text = (
            f"{title}: the harmonic mean peaks at {100 * curve.hm[best]:.1f} % with bias {curve.grid[best]:.3g}; "
            f"seen goes from {100 * curve.seen[0]:.1f} to {100 * curve.seen[-1]:.1f} % and unseen goes from "
            f"{100 * curve.unseen[0]:.1f} to {100 * curve.unseen[-1]:.1f} %."
        )
        return Picture(to_svg(figure, name, text), text)


def series_picture(
    name: str, title: str, ylabel: str, epochs: Array, series: Mapping[str, Array], mark: float | None, scores: bool
) -> Picture:
    """Values by epoch; the marked epoch is the one that was selected."""
    with canvas(WIDTH, 3.3) as figure:
        axes = figure.subplots()
        for i, (key, values) in enumerate(series.items()):
            dash, marker = LINES.get(key, (_LOSS_DASHES[i % 4], "o")) if scores else (_LOSS_DASHES[i % 4], "o")
            colour = key if scores else ("ink" if i == 0 else f"c{(i - 1) % 6}")
            label = TITLES.get(key, key) if scores else short(key, 20)
            few = len(epochs) <= 20
            axes.plot(
                epochs, values, dash, color=COLOUR[colour], label=label, marker=marker if few else None, markersize=3.5
            )
        drawn = np.concatenate([np.asarray(v)[np.isfinite(v)] for v in series.values()])
        if scores:
            axes.set_ylim(0, None)
        elif len(drawn) and drawn.min() > 0 and drawn.max() / drawn.min() > 50:
            axes.set_yscale("log")
            _plain_ticks(axes)
        if mark is not None:
            axes.axvline(
                mark, color=COLOUR["ink"], linewidth=1, linestyle=(0, (2, 2)), label=f"selected epoch {mark:g}"
            )
        _whole_numbers(axes, epochs)
        axes.set(xlabel="epoch", ylabel=ylabel, title=title)
        figure.legend(loc="outside lower center", ncols=2)
        text = f"{title}: " + "; ".join(f"{TITLES.get(k, k)} {_first_last(v)}" for k, v in series.items()) + "."
        return Picture(to_svg(figure, name, text), text)


def _first_last(values: Array) -> str:
    known = np.asarray(values)[np.isfinite(values)]
    return f"from {known[0]:.4g} to {known[-1]:.4g}" if len(known) else "not a number"


def _whole_numbers(axes: Any, epochs: Array) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8, min_n_ticks=1))
    if len(set(epochs)) == 1:
        axes.set_xlim(epochs[0] - 1, epochs[0] + 1)


def confusion_picture(test: StoredScores, counts: Array) -> Picture:
    """True classes by row, predicted classes by column, seen before unseen."""
    order = class_order(test)
    matrix = shares(counts)[np.ix_(order, order)]
    seen, classes = int(test.seen.sum()), len(order)
    if classes <= NAMED_CLASSES:
        names = [short(test.class_names[c], 22) for c in order]
        wide = classes > 20
        step = 0.17 if wide else 0.22
        side = max(3.4, step * classes)
        with canvas(side + 1.9, side + 1.7) as figure:
            axes = _matrix(figure, matrix, np.sqrt(matrix), seen, classes <= 14)
            size = 7.5 if wide else 9
            axes.set_xticks(range(classes), names, rotation=90, fontsize=size)
            axes.set_yticks(range(classes), names, fontsize=size)
            text = (
                f"Confusion matrix of {classes} classes, one row per true class. A stronger colour is a larger share."
            )
            return Picture(to_svg(figure, "confusion", text, wide=True), text, wide=True)
    small, groups = coarse(matrix, seen, NAMED_CLASSES)
    size = -(-classes // NAMED_CLASSES)
    with canvas(6.6, 6.2) as figure:
        axes = _matrix(figure, small, small / max(float(small.max()), 1e-9), groups, False)
        middles = [(groups - 1) / 2, (groups + len(small) - 1) / 2]
        labels = [f"{seen} seen classes", f"{classes - seen} unseen classes"]
        axes.set_xticks(middles, labels)
        axes.set_yticks(middles, labels, rotation=90, va="center")
        text = (
            f"Confusion matrix of {classes} classes in the order of their names, {size} neighbours to a cell. "
            "The diagonal therefore also holds mistakes between neighbours."
        )
        return Picture(to_svg(figure, "confusion", text), text)


def _matrix(figure: Any, matrix: Array, strength: Array, seen: int, numbers: bool) -> Any:
    axes = figure.subplots()
    last = len(matrix)
    # Twenty shades, each one path: the figure stays small with any number of classes.
    levels = np.round(SHADES * strength).astype(int)
    for level in range(1, SHADES + 1):
        rows, columns = np.nonzero(levels == level)
        cells(axes, rows, columns, "heat", alpha=level / SHADES)
    if numbers:
        for row, column in zip(*np.nonzero(matrix >= 0.005), strict=True):
            strong = strength[row, column] > 0.5
            axes.text(
                column, row, f"{100 * matrix[row, column]:.0f}", ha="center", va="center", fontsize=8,
                color=COLOUR["heat-ink" if strong else "ink"],
            )  # fmt: skip
    axes.axhline(seen - 0.5, color=COLOUR["ink"], linewidth=1)
    axes.axvline(seen - 0.5, color=COLOUR["ink"], linewidth=1)
    axes.set(xlim=(-0.5, last - 0.5), ylim=(last - 0.5, -0.5), xlabel="predicted class", ylabel="true class")
    axes.set_aspect("equal")
    axes.grid(False)
    axes.tick_params(length=0)
    for side in ("top", "right"):
        axes.spines[side].set_visible(True)
    return axes


def _plain_ticks(axes: Any) -> None:
    """Numbers instead of powers: text in figures is not read as formulas."""
    from matplotlib.ticker import FuncFormatter, NullFormatter

    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())


def number_columns(records: Sequence[Mapping[str, Any]], keys: Sequence[str]) -> dict[str, Array]:
    """Columns of floats from records; what is missing or no number is NaN, and a column of only NaN is left out."""
    columns = {}
    for key in keys:
        values = np.array([_number(record.get(key)) for record in records], dtype=float)
        if np.isfinite(values).any():
            columns[key] = values
    return columns


def _number(value: Any) -> float:
    ok = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if ok else math.nan
