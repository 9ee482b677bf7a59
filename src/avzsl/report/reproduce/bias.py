"""HM against the bias, with the point that validation chose."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from avzsl.report.charts import TITLES
from avzsl.report.reproduce.figures import Numbers, Plate, Section, notice_of, title_of, write_figures

Record = Mapping[str, Any]
MARKS = {
    "chosen": ("*", "chosen on validation (stage 1)"),
    "best": ("o", "best on this test"),
    "none": ("x", "without bias"),
}
READING = (
    "The bias is taken off the scores of seen classes. Validation classes choose it in stage 1; the test set is judged"
    " at that one point, the star.",
    "The curves and the best point of the test are only looked at: choosing there would choose on test labels. The gap"
    " between the two is what validation could not know.",
)


def write_bias(record: Record, folder: Path) -> list[Path]:
    """Everything of the item."""
    return write_figures(record, folder, [_section(panel) for panel in record["panels"]], READING)


def _section(panel: Record) -> Section:
    notes = tuple(text for text in (panel["reason"],) if text)
    base = {"title": title_of(panel), "notice": notice_of(panel), "facts": panel["facts"]}
    if not panel["runs"]:
        return Section(**base, notes=notes)
    rows = tuple(
        (
            str(run["seed"]),
            *(f"{run['marks'][mark][key]:.{digits}f}" for mark in MARKS for key, digits in _SHOWN),
            f"{run['marks']['best']['hm'] - run['marks']['chosen']['hm']:.2f}",
        )
        for run in panel["runs"]
    )
    header = ("seed", *(f"{key} {mark}" for mark in MARKS for key in ("bias", "S", "U", "HM")), "HM lost to choosing")
    table = Numbers("points", "The marked points", header, rows)
    lost = [run["marks"]["best"]["hm"] - run["marks"]["chosen"]["hm"] for run in panel["runs"]]
    won = [run["marks"]["chosen"]["hm"] - run["marks"]["none"]["hm"] for run in panel["runs"]]
    said = (
        f"HM at the chosen bias lies {sum(lost) / len(lost):.2f} below the best of the test, mean over seeds.",
        f"It lies {sum(won) / len(won):.2f} above HM without any bias.",
    )
    plate = Plate("", (8.4, 3.7), lambda figure, colours: draw_bias(figure, panel, colours))
    return Section(**base, said=said, plates=(plate,), tables=(table,), notes=notes)


# Dash and width of each curve.
_CURVES: Mapping[str, tuple[Any, float]] = {"hm": ("-", 2.6), "seen": ((0, (1, 1)), 1.8), "unseen": ("--", 1.8)}
_SHOWN = (("bias", 3), ("seen", 1), ("unseen", 1), ("hm", 1))


def draw_bias(figure: Any, panel: Record, colours: Mapping[str, str]) -> str:
    """S, U and HM of the first seed to the left, HM of every seed to the right; returns the drawing in words."""
    left, right = figure.subplots(1, 2, sharey=True)
    first = panel["runs"][0]
    for score, (dash, thick) in _CURVES.items():
        left.plot(
            first["curve"]["bias"], first["curve"][score], linestyle=dash, linewidth=thick, color=colours[score],
            label=TITLES[score],
        )  # fmt: skip
    _marks(left, first, colours, named=True)
    left.set(xlabel="bias taken off seen classes", ylabel="mean per-class accuracy, %", title=f"seed {first['seed']}")
    left.set_ylim(bottom=0)
    dashes = ("-", "--", "-.", ":")
    for number, run in enumerate(panel["runs"]):
        right.plot(
            run["curve"]["bias"], run["curve"]["hm"], linestyle=dashes[number % 4], color=colours[f"c{number % 6}"],
            linewidth=1.4, label=f"HM, seed {run['seed']}",
        )  # fmt: skip
        _marks(right, run, colours, named=False)
    right.set(xlabel="bias taken off seen classes", title="HM of every seed")
    handles, texts = left.get_legend_handles_labels()
    others, names = right.get_legend_handles_labels()
    figure.legend([*handles, *others], [*texts, *names], loc="outside lower center", ncols=3, fontsize=8.5)
    figure.suptitle(f"HM against the bias, {title_of(panel)}: {panel['method']}", fontsize=10)
    told = "; ".join(
        f"seed {run['seed']}: chosen {run['marks']['chosen']['bias']:.3g}, HM {run['marks']['chosen']['hm']:.1f}; best"
        f" {run['marks']['best']['bias']:.3g}, HM {run['marks']['best']['hm']:.1f}"
        for run in panel["runs"]
    )
    return f"Seen, unseen and harmonic mean on the test set against the bias. {told}."


def _marks(axes: Any, run: Record, colours: Mapping[str, str], *, named: bool) -> None:
    for mark, (marker, label) in MARKS.items():
        point = run["marks"][mark]
        inside = {"markerfacecolor": "none"} if marker == "o" else {}
        axes.plot(
            [point["bias"]], [point["hm"]], marker, color=colours["ink"], markersize=11 if marker == "*" else 7,
            label=label if named else None, zorder=5, **inside,
        )  # fmt: skip
