"""A panel of results as sheets of text, which every format prints in its own way."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Record = Mapping[str, Any]

# Title and digits of each column; percent where it is a score.
COLUMNS = {
    "seen": ("S", 2), "unseen": ("U", 2), "hm": ("HM", 2), "zsl": ("ZSL", 2), "parameters": ("parameters, M", 2),
    "gflops": ("training, GFLOPs", 2), "clip": ("one clip, MFLOPs", 1),
}  # fmt: skip
MISSING = "–"
MINUS = "−"
# In the order in which they are counted up; the last ones have no clear side.
VERDICTS = (
    "holds", "leans the paper's way", "same sign, one seed", "no difference", "leans the other way",
    "other sign, one seed", "reversed",
)  # fmt: skip


@dataclass(frozen=True)
class Row:
    """One line.

    Attributes:
        label: first cell.
        cells: the others.
        strong: it is the one that others are compared with.
    """

    label: str
    cells: tuple[str, ...]
    strong: bool = False


@dataclass(frozen=True)
class Sheet:
    """A table of texts with groups of columns.

    Attributes:
        first: title of the first column.
        groups: titles with the titles below them; a single empty one below means that there is no second level.
        rows: lines.
        words: how many of the last columns are words and no numbers.
    """

    first: str
    groups: tuple[tuple[str, tuple[str, ...]], ...]
    rows: tuple[Row, ...]
    words: int = 0

    @property
    def names(self) -> list[str]:
        """One title per column after the first."""
        return [f"{title} {below}".strip() for title, parts in self.groups for below in parts]

    @property
    def starts(self) -> frozenset[int]:
        """Columns after the first in which a group of several begins."""
        found, at = set(), 0
        for _, parts in self.groups:
            if len(parts) > 1:
                found.add(at)
            at += len(parts)
        return frozenset(found)


def result_sheet(panel: Record) -> Sheet:
    """The paper's numbers and ours."""
    columns = panel["columns"]
    printed = {c: any(row["scores"][c]["published"] is not None for row in panel["rows"]) for c in columns}
    groups = []
    for column in columns:
        parts = ["paper"] * printed[column] + ["ours"]
        groups.append((COLUMNS[column][0], tuple(parts) if len(parts) > 1 else ("",)))
    rows = []
    for row in panel["rows"]:
        cells: list[str] = []
        for column in columns:
            numbers, digits = row["scores"][column], COLUMNS[column][1]
            cells += [number(numbers["published"], digits)] * printed[column]
            cells.append(spread(numbers, digits))
        rows.append(Row(row["label"], tuple(cells), row["reference"]))
    return Sheet("", tuple(groups), tuple(rows))


def verdict_sheet(panel: Record) -> Sheet | None:
    """Ours minus the paper's, with the verdict; None where the two do not compare."""
    if not panel["comparable"]:
        return None
    columns = [c for c in panel["columns"] if any(row["scores"][c]["published"] is not None for row in panel["rows"])]
    rows = [
        Row(row["label"], tuple(judged(row["scores"][c], COLUMNS[c][1]) for c in columns), row["reference"])
        for row in panel["rows"]
    ]
    return Sheet("ours − paper", tuple((COLUMNS[c][0], ("",)) for c in columns), tuple(rows), len(columns))


def order_sheet(panel: Record) -> Sheet | None:
    """Whether the paper's order holds, comparison by comparison; None where there is none."""
    if not panel["orders"]:
        return None
    labels = {row["key"]: row["label"] for row in panel["rows"]}
    told = any(entry["where"] for entry in panel["orders"])
    groups = [(title, ("",)) for title in ("score", "paper", "ours", "95 % over seeds", "95 % over classes", "order")]
    rows = []
    for entry in panel["orders"]:
        cells = (
            COLUMNS[entry["score"]][0],
            signed(entry["paper"]) if entry["paper"] is not None else "better" if entry["sign"] > 0 else "worse",
            spread(entry, 2, sign=True), between(entry["seeds"]), between(entry["classes"]),
            entry["verdict"] or MISSING, *([entry["where"]] if told else []),
        )  # fmt: skip
        rows.append(Row(f"{labels[entry['better']]} {MINUS} {labels[entry['worse']]}", cells))
    return Sheet("difference", tuple([*groups, ("said in", ("",))] if told else groups), tuple(rows), 1 + told)


def title_of(record: Record) -> str:
    """`"Table IV (quick)"`."""
    return f"{record['number']} (quick)" if record["quick"] else str(record["number"])


def panel_title(panel: Record) -> str:
    """What a panel shows, and on what."""
    made = " (simulated)" if any("simulated" in reason for reason in panel["reasons"]) else ""
    return f"{panel['title']}: {panel['label']}{made}" if panel["title"] else f"{panel['label']}{made}"


def notice(panel: Record) -> str:
    """Why these numbers are no reproduction; empty when they are one."""
    if panel["comparable"]:
        return ""
    printed = any(numbers["published"] is not None for row in panel["rows"] for numbers in row["scores"].values())
    beside = f" The paper's numbers ({panel['paper']}) stand beside ours to show its order, not for comparison."
    return f"No reproduction: {'; '.join(panel['reasons'])}.{beside if printed else ''}"


def summary(panel: Record) -> list[str]:
    """What came out, in sentences."""
    said = []
    for score in ("hm", "zsl"):
        entries = [entry for entry in panel["orders"] if entry["score"] == score]
        counts = Counter(entry["verdict"] for entry in entries)
        if not entries:
            continue
        parts = [f"{counts[verdict]} × {verdict}" for verdict in VERDICTS if counts[verdict]]
        if counts[""]:
            parts.append(f"{counts['']} × not known")
        many = f"{len(entries)} comparison{'s' * (len(entries) > 1)}"
        said.append(f"{COLUMNS[score][0]}, the paper's order in {many}: {', '.join(parts)}.")
    for score, (agreeing, total) in panel["pairs"].items():
        if total:
            said.append(f"{COLUMNS[score][0]}: {agreeing} of {total} pairs of methods stand in the paper's order.")
    if panel["comparable"]:
        for column in panel["columns"]:
            counts = Counter(row["scores"][column]["verdict"] for row in panel["rows"])
            total = sum(count for verdict, count in counts.items() if verdict)
            if total:
                said.append(f"{COLUMNS[column][0]}: {counts['within the band']} of {total} numbers within the band.")
    return said


def notes(panel: Record) -> list[str]:
    """What must be said of single rows."""
    return [*(f"{row['label']}: {row['reason']}" for row in panel["rows"] if row["reason"]), *panel["notes"]]


def settings_of(panel: Record) -> list[tuple[str, str]]:
    """Each row's label and what was run for it."""
    return [
        (row["label"], " ".join([row["method"], f"preset {row['preset'] or 'none'}", *row["settings"]]))
        for row in panel["rows"]
    ]


def number(value: float | None, digits: int) -> str:
    """A number as the paper prints it."""
    return MISSING if value is None else f"{value:.{digits}f}".replace("-", MINUS)


def signed(value: float | None, digits: int = 2) -> str:
    """The same with its sign."""
    return MISSING if value is None else f"{value:+.{digits}f}".replace("-", MINUS)


def spread(numbers: Record, digits: int, sign: bool = False) -> str:
    """Mean and standard deviation."""
    mean = signed(numbers["mean"], digits) if sign else number(numbers["mean"], digits)
    return mean if numbers["sd"] is None else f"{mean} ± {numbers['sd']:.{digits}f}"


def judged(numbers: Record, digits: int) -> str:
    """Difference and verdict."""
    if numbers["difference"] is None:
        return MISSING
    return f"{signed(numbers['difference'], digits)} {numbers['verdict']}"


def between(interval: Sequence[float] | None) -> str:
    """An interval."""
    return MISSING if interval is None else f"[{number(interval[0], 1)}, {number(interval[1], 1)}]"
