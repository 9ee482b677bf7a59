"""The adaptive rank: scores and operations against fixed ranks."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from avzsl.report.reproduce.figures import Numbers, Plate, Section, notice_of, title_of, write_figures

Record = Mapping[str, Any]
SCORES = {"hm": "HM", "zsl": "ZSL"}
LABELS = {
    "served": "adaptive training, served at a rank",
    "clip": "adaptive training, rank by clip",
    "trained": "trained at the rank",
}
# Colour, line and marker; nothing is told by colour alone.
MARKS = {"served": ("c0", "-", "o"), "clip": ("c1", "none", "*"), "trained": ("c2", "--", "s")}
READING = (
    "One training with rank = adaptive serves at any smaller rank (nested dropout over the components). By clip: as"
    " many components as hold 95 % of the energy of the clip's own spikes.",
    "All rows of the adaptive model use the bias that its validation chose with ranks by clip.",
    "Operations are of one clip, counted while the model runs, 2 per multiply-add. By clip, the model masks components"
    " so that clips of different ranks share a batch, which saves nothing; 'fusion' then counts what each clip would"
    " cost at its own rank, and 'judging' what it costs to find that rank (without the eigenvalues).",
)


def write_rank(record: Record, folder: Path) -> list[Path]:
    """Everything of the item."""
    return write_figures(record, folder, [_section(panel) for panel in record["panels"]], READING)


def fusion_of(row: Record) -> float:
    """Operations of the fusion of one clip, at its own rank where it has one."""
    return float(row["operations"].get("own_fusion", row["operations"]["fusion"]))


def total_of(row: Record) -> float:
    """Operations of one clip in all: fusion, judging and the rest."""
    operations = row["operations"]
    rest = operations["whole"] - operations["fusion"] - operations.get("judging", 0)
    return float(rest + fusion_of(row) + operations.get("judging", 0))


def _section(panel: Record) -> Section:
    notes = tuple(text for text in (panel["reason"],) if text)
    base = {"title": title_of(panel), "notice": notice_of(panel), "facts": panel["facts"]}
    if not panel["rows"]:
        return Section(**base, notes=notes)
    table = Numbers(
        "ranks", "Scores and operations",
        ("kind", "rank", "S", "U", "HM", "ZSL", "fusion, MFLOP", "judging, MFLOP", "one clip, MFLOP"),
        tuple(_row(row) for row in panel["rows"]),
    )  # fmt: skip
    used = panel["used"]
    asked = "; ".join(f"seed {seed}: mean {u['mean']:.1f}, {u['least']} to {u['most']}" for seed, u in used.items())
    said = [f"Components that clips ask for, of {panel['largest']}: {asked}."] if used else []
    said += _findings(panel["rows"])
    plate = Plate("", (8.6, 3.9), lambda figure, colours: draw_rank(figure, panel, colours))
    return Section(**base, said=tuple(said), plates=(plate,), tables=(table,), notes=notes)


def _findings(rows: Sequence[Record]) -> list[str]:
    """What by clip costs and scores beside the full rank, in sentences."""
    clip = next((row for row in rows if row["kind"] == "clip"), None)
    full = max((row for row in rows if row["kind"] == "served"), key=lambda row: row["rank"], default=None)
    if clip is None or full is None:
        return []
    fusion = fusion_of(clip) + clip["operations"].get("judging", 0)
    share = fusion / fusion_of(full)
    more = "costs more than it saves" if share >= 1 else "saves"
    return [
        f"By clip, fusing and judging take {share:.2f} times the operations of fusing at full rank: adapting {more}.",
        *(
            f"{name}: {_mean(clip, score):.1f} by clip, {_mean(full, score):.1f} at full rank (the same weights)."
            for score, name in SCORES.items()
        ),
    ]


def _mean(row: Record, score: str) -> float:
    return statistics.fmean(row["scores"][score].values())


def _row(row: Record) -> tuple[str, ...]:
    def text(score: str) -> str:
        values = list(row["scores"][score].values())
        spread = f" ± {statistics.stdev(values):.1f}" if len(values) > 1 else ""
        return f"{statistics.fmean(values):.1f}{spread}"

    rank = f"{row['rank']:.1f}" if row["kind"] == "clip" else f"{row['rank']:g}"
    judging = row["operations"].get("judging", 0)
    return (
        LABELS[row["kind"]], rank, *(text(score) for score in ("seen", "unseen", "hm", "zsl")),
        f"{fusion_of(row) / 1e6:.4f}", f"{judging / 1e6:.4f}", f"{total_of(row) / 1e6:.3f}",
    )  # fmt: skip


def draw_rank(figure: Any, panel: Record, colours: Mapping[str, str]) -> str:
    """Scores against the rank to the left, HM against operations to the right; returns the drawing in words."""
    panels = figure.subplots(1, 3)
    for axes, score in zip(panels[:2], SCORES, strict=True):
        _scores(axes, panel["rows"], score, lambda row: row["rank"], colours, apart=0.008)
        axes.set(xlabel="rank (components used)", ylabel=f"{SCORES[score]}, %")
        axes.set_ylim(bottom=0)
    _scores(
        panels[2],
        panel["rows"],
        "hm",
        lambda row: (fusion_of(row) + row["operations"].get("judging", 0)) / 1e6,
        colours,
    )
    panels[2].set(xlabel="fusion + judging, MFLOP", ylabel="HM, %")
    panels[2].set_ylim(bottom=0)
    handles, texts = panels[0].get_legend_handles_labels()
    figure.legend(handles, texts, loc="outside lower center", ncols=3, fontsize=8.5)
    figure.suptitle(f"Adaptive rank, {title_of(panel)}; bars: one standard deviation over seeds", fontsize=10)
    told = "; ".join(
        f"{LABELS[row['kind']]} {row['rank']:.3g}: HM {_mean(row, 'hm'):.1f}, ZSL {_mean(row, 'zsl'):.1f}"
        for row in panel["rows"]
    )
    return f"HM and ZSL against the rank, and HM against operations. {told}."


def _scores(
    axes: Any, rows: Sequence[Record], score: str, place: Any, colours: Mapping[str, str], apart: float = 0.0
) -> None:
    for kind, (colour, dash, marker) in MARKS.items():
        own = sorted((row for row in rows if row["kind"] == kind), key=place)
        if not own:
            continue
        values = [list(row["scores"][score].values()) for row in own]
        spread = [statistics.stdev(v) if len(v) > 1 else 0.0 for v in values]
        # Bars of different kinds at one rank stand side by side.
        shift = apart * max(place(row) for row in rows) * (list(MARKS).index(kind) - 1) if any(spread) else 0.0
        axes.errorbar(
            [place(row) + shift for row in own], [statistics.fmean(v) for v in values], spread, linestyle=dash,
            marker=marker, color=colours[colour], markersize=12 if marker == "*" else 5, capsize=2.5, elinewidth=1,
            markeredgecolor=colours["ink"] if marker == "*" else colours[colour], label=LABELS[kind],
            zorder=4 if marker == "*" else 3,
        )  # fmt: skip
