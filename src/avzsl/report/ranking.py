"""A benchmark's `benchmark.json` to tables: for a terminal, Markdown, CSV and one HTML page with a picture.

Everything is taken from the file; nothing is computed again but how it looks.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import avzsl
from avzsl.errors import DataError
from avzsl.files import read_json, write_text
from avzsl.report.comparison import comparison_picture
from avzsl.report.page import environment

RESULTS = "benchmark.json"
SCORES = {"seen": "S", "unseen": "U", "hm": "HM", "zsl": "ZSL"}
HEADER = (
    "rank", "method", "year", *SCORES.values(), "mean rank", "parameters", "s/run", "features", "preset",
)  # fmt: skip
# A learned method's number with this mark does not pass the best linear or training-free method.
MARK = "*"
_FINGERPRINT = 12

Record = Mapping[str, Any]


@dataclass(frozen=True)
class Line:
    """One row of a table as it is shown.

    Attributes:
        cells: texts in the order of `HEADER`.
        method: registered name.
        yardstick: it is no learned method.
        best: it is the yardstick that others are measured by: those below it in the table rank behind it.
        note: why it has no rank.
    """

    cells: tuple[str, ...]
    method: str
    yardstick: bool
    best: bool
    note: str


def read_benchmark(folder: Path) -> dict[str, Any]:
    """What `avzsl benchmark` stored.

    Raises:
        DataError: there is nothing, or it is damaged.
    """
    path = folder / RESULTS
    record = read_json(path)
    if not isinstance(record, dict) or not isinstance(record.get("tables"), list) or record.get("format") != 1:
        raise DataError(f"{path} is no benchmark of this version; give the same 'avzsl benchmark' command again")
    return record


def write_tables(folder: Path) -> list[Path]:
    """Write `benchmark.md` and `benchmark.csv` beside `benchmark.json`; they need no extra package.

    Raises:
        DataError: `benchmark.json` is missing or damaged.
        OutputError: the folder cannot be written to.
    """
    record = read_benchmark(folder)
    paths = [folder / "benchmark.md", folder / "benchmark.csv"]
    write_text(paths[0], markdown(record))
    write_text(paths[1], comma_separated(record))
    return paths


def write_page(folder: Path) -> Path:
    """Write `benchmark.html`, one file that needs no network.

    Raises:
        DataError: `benchmark.json` is missing or damaged.
        OutputError: the folder cannot be written to.
        MissingExtraError: jinja2 or matplotlib is not installed.
    """
    record = read_benchmark(folder)
    tables = [
        {
            "title": title_of(table),
            "key": f"table{number}",
            "simulated": simulated(table),
            "facts": facts(table),
            "lines": lines(table, "\u00a0±\u00a0"),
            "legend": legend(table),
            "notes": notes(table),
            "picture": comparison_picture(table, f"comparison{number}"),
            "header": HEADER,
        }
        for number, table in enumerate(record["tables"])
    ]
    page = environment().get_template("benchmark.html").render(
        tables=tables, title=f"{len(record['tables'][0]['rows'])} methods on {title_of(record['tables'][-1])}",
        how=how(record), folder=folder.name or folder.resolve().name, version=avzsl.__version__,
    )  # fmt: skip
    path = folder / "benchmark.html"
    write_text(path, page.encode("utf-8", "replace").decode("utf-8"))
    return path


def title_of(table: Record) -> str:
    """What was judged on."""
    names = [str(data["label"]) for data in table["data"]]
    return names[0] if len(names) == 1 else f"{len(names)} data folders together"


def simulated(table: Record) -> str:
    """A sentence where clips or features were made by a program, else nothing."""
    made = [data for data in table["data"] if data["simulated"]]
    if not made:
        return ""
    what = "features" if all(data["extractor"] == "simulated" for data in made) else "clips"
    return f"Simulated: the {what} were made by a program, so these numbers say nothing about real videos."


def facts(table: Record) -> list[tuple[str, str]]:
    """What the numbers depend on, as label and value."""
    seeds = ("seeds", ", ".join(map(str, table["seeds"])))
    if len(table["data"]) > 1:  # each has a table of its own, which says more
        return [("benchmarks", ", ".join(data["label"] for data in table["data"])), seeds]
    (data,) = table["data"]
    made = " (simulated)" if data["simulated"] else ""
    prints = "; ".join(f"{kind} {value[:_FINGERPRINT]}" for kind, value in data["fingerprints"].items())
    classes = f"{data['seen_classes']} seen and {data['unseen_classes']} unseen classes"
    return [
        ("benchmark", f"{data['label']}, {data['family']} features{made}"),
        ("fingerprint", prints),
        ("extractor", f"{data['extractor']}; text {data['text_encoder']}"),
        ("mode", str(data["mode"])),
        ("test", f"{data['test_clips']} clips of {classes}"),
        ("ZSL by guessing", f"{data['zsl_chance']:.2f} %"),
        seeds,
    ]


def how(record: Record) -> str:
    """On what machine the seconds were spent."""
    results = [cell["result"] for cell in record["cells"] if cell["result"] is not None]
    devices = " and ".join(sorted({result["device"] for result in results})) or record["device"]
    threads = " or ".join(sorted({str(result["versions"].get("threads", "?")) for result in results}) or ["?"])
    beside = f"; {record['jobs']} runs at a time slow each other down" if record["jobs"] > 1 else ""
    return f"Seconds per run are of the clock, on {devices} with {threads} thread(s){beside}."


def lines(table: Record, plus: str = " +- ") -> list[Line]:
    """The rows, as texts."""
    best = table["yardsticks"].get("hm", {}).get("method")
    return [
        Line(
            cells=(
                "-" if row["rank"] is None else str(row["rank"]), str(row["method"]), str(row["year"]),
                *(score_text(row, score, plus) for score in SCORES),
                "-" if row["mean_rank"] is None else f"{row['mean_rank']:.1f}", count_text(row["parameters"]),
                "-" if row["seconds"] is None else f"{row['seconds']:.1f}", row["features"] or "-", row["preset"],
            ),
            method=str(row["method"]), yardstick=bool(row["yardstick"]), best=row["method"] == best,
            note=f"{row['method']}: {row['reason']}" if row["reason"] else "",
        )
        for row in table["rows"]
    ]  # fmt: skip


def score_text(row: Record, score: str, plus: str) -> str:
    """Mean, standard deviation, and the mark of a number that does not pass the yardstick."""
    numbers = row[score]
    if numbers["mean"] is None:
        return "-"
    spread = "" if numbers["sd"] is None else f"{plus}{numbers['sd']:.1f}"
    marked = MARK if score in ("hm", "zsl") and row["below"][score] else ""
    return f"{numbers['mean']:.1f}{spread}{marked}"


def count_text(number: int | None) -> str:
    """Parameters as people write them."""
    if number is None:
        return "-"
    return f"{number / 1e6:.2f} M" if number >= 10_000 else f"{number:,}"


def legend(table: Record) -> list[str]:
    """How to read the table."""
    blocks = len(table["data"]) * len(table["seeds"])
    runs = f"{blocks} runs" + (f" ({len(table['data'])} data folders)" if len(table["data"]) > 1 else "")
    text = [
        "Percent, " + (f"mean and sample standard deviation over {runs}." if blocks > 1 else "of a single run.")
        + " Ranked by mean HM; the mean rank is over the runs one by one."
    ]  # fmt: skip
    best = table["yardsticks"]
    if best:
        same = best["hm"]["method"] == best["zsl"]["method"]
        who = f"{best['hm']['title']} (HM {best['hm']['mean']:.1f}"
        who += f", ZSL {best['zsl']['mean']:.1f})" if same else ")"
        who += "" if same else f" and {best['zsl']['title']} (ZSL {best['zsl']['mean']:.1f})"
        text.append(f"{MARK} does not pass the best linear or training-free method: {who}.")
    return text


def notes(table: Record) -> list[str]:
    """What must be said of single methods, and of published numbers."""
    said = [line.note for line in lines(table) if line.note]
    said += [f"{row['method']}: {row['note']}" for row in table["rows"] if row["note"]]
    said += [f"{row['method']}: {text}" for row in table["rows"] for text in row["warnings"]]
    published = dict.fromkeys(row["published_note"] for row in table["rows"] if row["published_note"])
    return [*said, *(f"published numbers: {text}" for text in published)]


def markdown(record: Record) -> str:
    """All tables for a page."""
    text = []
    for table in record["tables"]:
        text += [f"## {title_of(table)}", ""]
        if simulated(table):
            text += [f"**{simulated(table)}**", ""]
        text += [f"- {label}: {value}" for label, value in facts(table)]
        text += ["", f"| {' | '.join(HEADER)} |", "|" + "---|" * len(HEADER)]
        for line in lines(table, " ± "):
            cells = [cell.replace("|", "\\|").replace(MARK, f"\\{MARK}") for cell in line.cells]
            text.append("| " + " | ".join(f"**{cell}**" if line.best else cell for cell in cells) + " |")
        for said in legend(table):
            text += ["", f"\\{said}" if said.startswith(MARK) else said]
        text += ["", *(f"- {note}" for note in notes(table))]
        text += [""] if notes(table) else []
    return "\n".join([*text, how(record), ""])


def comma_separated(record: Record) -> str:
    """One row per table and method, with plain numbers."""
    numbers = [f"{score}_{part}" for score in SCORES for part in ("mean", "sd")]
    names = [
        "data", "rank", "mean_rank", "method", "title", "year", "state", *numbers, "runs", "parameters", "seconds",
        "features", "preset", "yardstick", "below_hm", "below_zsl", "simulated", "zsl_chance", "reason",
    ]  # fmt: skip
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    for table in record["tables"]:
        chances: Sequence[float] = [data["zsl_chance"] for data in table["data"]]
        for row in table["rows"]:
            writer.writerow(
                {name: row[name] for name in names if name in row}
                | {f"{score}_{part}": row[score][part] for score in SCORES for part in ("mean", "sd")}
                | {
                    "data": table["label"], "runs": row["done"], "below_hm": row["below"]["hm"],
                    "below_zsl": row["below"]["zsl"], "simulated": any(d["simulated"] for d in table["data"]),
                    "zsl_chance": chances[0] if len(set(chances)) == 1 else "",
                }
            )  # fmt: skip
    return text.getvalue()
