"""A leaderboard's record to tables: for a terminal, Markdown, CSV and one HTML page with a picture.

Everything is taken from the record; nothing is computed again but how it looks.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import avzsl
from avzsl.files import write_json, write_text
from avzsl.report.charts import TITLES
from avzsl.report.drawing import COLOUR, Picture, canvas, short, to_svg
from avzsl.report.page import environment

NAME = "leaderboard"
SCORES = {"seen": "S", "unseen": "U", "hm": "HM", "zsl": "ZSL"}
HEADER = (
    "rank", "method", "S", "U", "HM", "95 %", "ZSL", "95 %", "p beside first", "runs", "features", "preset", "settings",
)  # fmt: skip
TEXTS = ("method", "features", "preset", "settings")
MARKERS = {"hm": "D", "zsl": "^"}
WIDTH = 8.4

Record = Mapping[str, Any]


def write_leaderboard(record: Record, folder: Path) -> list[Path]:
    """Write `leaderboard.json`, `.md` and `.csv`; they need no extra package.

    Raises:
        OutputError: the folder cannot be written to.
    """
    paths = [folder / f"{NAME}.{end}" for end in ("json", "md", "csv")]
    write_json(paths[0], record)
    write_text(paths[1], markdown(record))
    write_text(paths[2], comma_separated(record))
    return paths


def write_page(record: Record, folder: Path) -> Path:
    """Write `leaderboard.html`, one file that needs no network.

    Raises:
        OutputError: the folder cannot be written to.
        MissingExtraError: jinja2 or matplotlib is not installed.
    """
    tables = [
        {
            "title": title_of(table), "key": f"table{number}", "simulated": simulated(table), "facts": facts(table),
            "rows": [cells(row, "\u00a0±\u00a0") for row in table["rows"]], "notes": notes(table),
            "picture": interval_picture(table, f"intervals{number}"),
        }
        for number, table in enumerate(record["tables"])
    ]  # fmt: skip
    page = environment().get_template("leaderboard.html").render(
        tables=tables, header=HEADER, texts=TEXTS, problems=record["problems"], how=how(record),
        version=avzsl.__version__,
    )  # fmt: skip
    path = folder / f"{NAME}.html"
    write_text(path, page.encode("utf-8", "replace").decode("utf-8"))
    return path


def title_of(table: Record) -> str:
    """Benchmark, features and mode in a few words."""
    key = table["key"]
    return f"{key['benchmark']}, {key['features'].split(',')[0]} features, {key['mode']} mode"


def simulated(table: Record) -> str:
    """A sentence where clips or features were made by a program, else nothing."""
    if not table["simulated"]:
        return ""
    what = "features" if table["drawn"] else "clips"
    return f"Simulated: the {what} were made by a program, so these numbers say nothing about real videos."


def facts(table: Record) -> list[tuple[str, str]]:
    """What the numbers depend on: equal for all rows."""
    classes = f"{table['seen_classes']} seen and {table['unseen_classes']} unseen classes"
    prints = "; ".join(f"{form} {value[:12]}" for form, value in table["fingerprints"].items())
    judged = f"{table['test_clips']} clips of {classes} ({table['evaluated'] or 'not the same for any two'})"
    return [
        *table["key"].items(), ("test", judged), ("fingerprint", prints),
        ("ZSL by guessing", f"{table['zsl_chance']:.2f} %"),
    ]  # fmt: skip


def how(record: Record) -> str:
    """How the intervals were made."""
    return (
        f"Percent: mean and sample standard deviation over the runs of a row (its seeds). The intervals hold"
        f" {100 * record['confidence']:.0f} % of {record['draws']} test sets whose classes were drawn again: how far"
        " the mean of these runs would move on other classes of the same kind. p: two-sided, of the difference in HM to"
        " the first row, by swapping the two methods' outcomes class by class on the same clips; not corrected for the"
        " number of rows, and absent where the seeds are not the same."
    )


def cells(row: Record, plus: str = " +- ") -> tuple[str, ...]:
    """One row as texts in the order of `HEADER`."""
    seeds = ", ".join(map(str, row["seeds"]))
    return (
        "-" if row["rank"] is None else str(row["rank"]), str(row["method"]), _score(row, "seen", plus),
        _score(row, "unseen", plus), _score(row, "hm", plus), _interval(row, "hm"), _score(row, "zsl", plus),
        _interval(row, "zsl"), "-" if row["p_first"] is None else f"{row['p_first']:.4f}",
        f"{len(row['runs'])} (seed{'s' * (len(row['runs']) > 1)} {seeds})", str(row["features"]),
        str(row["preset"] or "none"), str(row["label"] or "-"),
    )  # fmt: skip


def _score(row: Record, score: str, plus: str) -> str:
    numbers = row[score]
    return f"{numbers['mean']:.1f}" + ("" if numbers["sd"] is None else f"{plus}{numbers['sd']:.1f}")


def _interval(row: Record, score: str) -> str:
    return f"{row[score]['low']:.1f}..{row[score]['high']:.1f}"


def notes(table: Record) -> list[str]:
    """Why rows have no rank, and what must be said of single methods."""
    said = [f"{row['method']} ({row['runs'][0]}): {row['reason']}" for row in table["rows"] if row["reason"]]
    said += list(dict.fromkeys(f"{row['method']}: {row['note']}" for row in table["rows"] if row["note"]))
    said += [
        f"{row['method']}: published HM {row['published']['hm']:.2f}, ZSL {row['published']['zsl']:.2f}"
        f" ({row['published_note']})"
        for row in table["rows"] if {"hm", "zsl"} <= set(row["published"])
    ]  # fmt: skip
    return [*said, *table["notes"]]


def markdown(record: Record) -> str:
    """All tables for a page."""
    text = []
    for table in record["tables"]:
        text += [f"## {title_of(table)}", ""]
        if simulated(table):
            text += [f"**{simulated(table)}**", ""]
        text += [f"- {label}: {value}" for label, value in facts(table)]
        text += ["", f"| {' | '.join(HEADER)} |", "|" + "---|" * len(HEADER)]
        for row in table["rows"]:
            text.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells(row, " ± ")) + " |")
        text += ["", *(f"- {note}" for note in notes(table))]
        text += [""] if notes(table) else []
    if record["problems"]:
        text += ["## Left out", "", *(f"- {problem}" for problem in record["problems"]), ""]
    return "\n".join([*text, how(record), ""])


def comma_separated(record: Record) -> str:
    """One row per table and method, with plain numbers."""
    numbers = [f"{score}_{part}" for score in SCORES for part in ("mean", "sd", "low", "high")]
    names = [
        *record["tables"][0]["key"], "evaluated", "simulated", "zsl_chance", "rank", "method", "settings", "seeds",
        *numbers, "p_first", "features", "preset", "bias_search", "yardstick", "state", "reason", "runs",
    ]  # fmt: skip
    # The feature family of a table and the form of a row would both be 'features'.
    names = ["form" if name == "features" and place > 6 else name for place, name in enumerate(names)]
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    for table in record["tables"]:
        for row in table["rows"]:
            own = {name: row[name] for name in names if name in row and name not in table["key"]}
            own |= {f"{score}_{part}": row[score][part] for score in SCORES for part in ("mean", "sd", "low", "high")}
            own |= {name: table[name] for name in ("evaluated", "simulated", "zsl_chance")}
            own |= {"form": row["features"], "settings": row["label"], "seeds": " ".join(map(str, row["seeds"]))}
            writer.writerow({**table["key"], **own, "runs": " ".join(row["runs"])})
    return text.getvalue()


def interval_picture(table: Record, name: str) -> Picture | None:
    """Rows in the order of the table, HM left and ZSL right: mean with interval, and a ring for each run."""
    rows = [row for row in table["rows"] if row["state"] == "ranked"]
    if not rows:
        return None
    with canvas(WIDTH, 1.5 + 0.3 * len(rows)) as figure:
        panels = figure.subplots(1, 2, sharey=True)
        for axes, score in zip(panels, MARKERS, strict=True):
            for place, row in enumerate(rows):
                _mark(axes, place, row, score)
            if score == "zsl":
                axes.axvline(
                    table["zsl_chance"], color=COLOUR["soft"], linewidth=1.2, linestyle=":", label="guessing"
                )  # fmt: skip
            axes.set(xlabel=f"{TITLES[score]}, %", xlim=(0, None))
            axes.tick_params(axis="y", length=0)
        names = [
            f"{row['rank']}. {short(row['title'] + (' ' + row['label'] if row['label'] else ''), 34)}" for row in rows
        ]
        panels[0].set_yticks(range(len(rows)), names)
        panels[0].set_ylim(len(rows) - 0.5, -0.5)
        marks: dict[str, Any] = {}
        for axes in panels:
            marks |= {text: mark for mark, text in zip(*axes.get_legend_handles_labels(), strict=True)}
        figure.legend(list(marks.values()), list(marks), loc="outside lower center", ncols=3)
        text = (
            f"HM and ZSL of {len(rows)} rows: a large mark is the mean of the runs (empty for a linear or training-free"
            " method), a ring one run, the line the 95 % interval over classes."
        )
        return Picture(to_svg(figure, name, text, wide=True), text, wide=True)


def _mark(axes: Any, place: int, row: Record, score: str) -> None:
    numbers = row[score]
    axes.plot(
        [numbers["low"], numbers["high"]], [place, place], "-", color=COLOUR[score], linewidth=2, clip_on=False,
        label=f"95 % interval of {score.upper()}", solid_capstyle="butt",
    )  # fmt: skip
    axes.plot(
        [numbers["mean"]], [place], MARKERS[score], color=COLOUR[score], markersize=8, clip_on=False,
        fillstyle="none" if row["yardstick"] else "full", label=f"mean {score.upper()}",
    )  # fmt: skip
    axes.plot(
        numbers["values"], [place] * len(numbers["values"]), "o", color=COLOUR["ink"], markersize=3.5,
        fillstyle="none", markeredgewidth=0.8, clip_on=False, label="one run",
    )  # fmt: skip
