"""Recall per class against the similarity of its name to the nearest seen class."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from avzsl.report.reproduce.figures import MISSING, Numbers, Plate, Section, notice_of, title_of, write_figures

Record = Mapping[str, Any]
# Panel: seen or unseen classes, the score, colour, marker.
PANELS = {
    "unseen": ("unseen classes, all candidates", False, "recall", "unseen", "s"),
    "zsl": ("unseen classes among themselves", False, "zsl_recall", "zsl", "^"),
    "seen": ("seen classes, all candidates", True, "recall", "seen", "o"),
}
READING = (
    "A point is a class: the cosine similarity of its text vector to that of the nearest other class that was trained"
    " on, and the share of its clips that were recognised, mean over seeds.",
    "Spearman's rank correlation: 1 = the nearer, the better, always; 0 = no order. The interval draws classes again;"
    " p shuffles recalls over classes. An interval around 0 shows no relation, which is not the same as none.",
)


def write_names(record: Record, folder: Path) -> list[Path]:
    """Everything of the item."""
    return write_figures(record, folder, [_section(panel) for panel in record["panels"]], READING)


def _section(panel: Record) -> Section:
    notes = tuple(text for text in (panel["reason"],) if text)
    base = {"title": title_of(panel), "notice": notice_of(panel), "facts": panel["facts"]}
    if "classes" not in panel:
        return Section(**base, notes=notes)
    table = Numbers(
        "correlation", "Rank correlation of similarity and recall", ("classes", "count", "correlation", "95 %", "p"),
        tuple(
            (PANELS[key][0], str(c["classes"]), f"{c['value']:+.2f}", f"[{c['low']:+.2f}, {c['high']:+.2f}]",
             f"{c['p_value']:.4f}")
            for key, c in panel["correlations"].items()
        ),
    )  # fmt: skip
    every = Numbers(
        "classes", "Every class",
        ("class", "part", "nearest seen class", "similarity", "recall, %", "zero-shot recall, %"),
        tuple(
            (c["name"], "seen" if c["seen"] else "unseen", c["nearest"], f"{c['similarity']:.3f}",
             _percent(c["recall"]), _percent(c["zsl_recall"]))
            for c in sorted(panel["classes"], key=lambda c: (c["seen"], -c["similarity"], c["name"]))
        ), folded=True,
    )  # fmt: skip
    said = tuple(
        f"{PANELS[key][0]}: correlation {c['value']:+.2f} [{c['low']:+.2f}, {c['high']:+.2f}]"
        f" over {c['classes']} classes, p = {c['p_value']:.4f}."
        for key, c in panel["correlations"].items()
    )
    plate = Plate("", (8.6, 3.4), lambda figure, colours: draw_names(figure, panel, colours))
    return Section(**base, said=said, plates=(plate,), tables=(table, every), notes=notes)


def _percent(value: float | None) -> str:
    return MISSING if value is None else f"{value:.1f}"


def draw_names(figure: Any, panel: Record, colours: Mapping[str, str]) -> str:
    """One scatter for each score; returns the drawing in words."""
    said = []
    grid = figure.subplots(1, 3, sharey=True)
    for axes, (key, (title, seen, score, colour, marker)) in zip(grid, PANELS.items(), strict=True):
        own = [c for c in panel["classes"] if c["seen"] == seen and c[score] is not None]
        axes.scatter(
            [c["similarity"] for c in own], [c[score] for c in own], s=26, marker=marker, facecolors="none",
            edgecolors=colours[colour], linewidths=1.2, clip_on=False, zorder=3,
        )  # fmt: skip
        found = panel["correlations"].get(key)
        told = "too few classes"
        if found is not None:
            told = f"ρ = {found['value']:+.2f} [{found['low']:+.2f}, {found['high']:+.2f}]"
        axes.set_title(f"{title}\n{told}", fontsize=9)
        axes.set(xlabel="similarity to the nearest seen name", ylim=(-4, 104))
        said.append(f"{title}: {told}")
    grid[0].set_ylabel("recall, %")
    seeds = ", ".join(map(str, panel["seeds_done"]))
    figure.suptitle(f"Names and recall, {title_of(panel)}: {panel['method']}, mean over seeds {seeds}", fontsize=10)
    return f"Recall of each class against the similarity of its name to the nearest seen class. {'; '.join(said)}."
