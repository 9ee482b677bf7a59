"""Results as Markdown and as CSV."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping, Sequence
from typing import Any

from avzsl.report.reproduce import sheets
from avzsl.report.reproduce.sheets import Sheet

Record = Mapping[str, Any]

_RESULT_NAMES = (
    "item", "panel", "data", "paper_benchmark", "comparable", "quick", "row", "label", "method", "preset", "settings",
    "score", "published", "mean", "sd", "runs", "difference", "band", "verdict", "reason",
)  # fmt: skip
_ORDER_NAMES = (
    "item", "panel", "data", "quick", "better", "worse", "score", "paper", "mean", "sd", "seeds_low", "seeds_high",
    "classes_low", "classes_high", "verdict", "said_in",
)  # fmt: skip


def markdown(record: Record, pictures: Mapping[int, Sequence[str]]) -> str:
    """A page of an item.

    Args:
        record: of the item.
        pictures: panel number to names of picture files beside the page.
    """
    text = [f"# {escape(sheets.title_of(record))}", "", escape(record["caption"]), ""]
    for place, panel in enumerate(record["panels"]):
        text += [f"## {escape(sheets.panel_title(panel))}", ""]
        text += [f"**{escape(sheets.notice(panel))}**", ""] if not panel["comparable"] else []
        text += [f"- {escape(said)}" for said in sheets.summary(panel)]
        text += [""] if sheets.summary(panel) else []
        text += [f"![{escape(sheets.panel_title(panel))}]({name})" for name in pictures.get(place, ())[:1]]
        text += [""] if pictures.get(place) else []
        text += [*table(sheets.result_sheet(panel)), ""]
        verdicts = sheets.verdict_sheet(panel)
        if verdicts is not None:
            text += ["### Difference and verdict", "", *table(verdicts), ""]
        order = sheets.order_sheet(panel)
        if order is not None:
            text += ["### The paper's order", "", *table(order), ""]
        text += [f"- {escape(note)}" for note in sheets.notes(panel)]
        text += [""] if sheets.notes(panel) else []
        text += [f"- {escape(label)}: {escape(value)}" for label, value in panel["facts"]] + [""]
    text += [escape(rule) + "\n" for rule in record["rules"]]
    if record["contradictions"]:
        text += ["## Where the paper contradicts itself", ""]
        text += [f"- {escape(said)}" for said in record["contradictions"]] + [""]
    return "\n".join(text)


def table(sheet: Sheet) -> list[str]:
    """A sheet as lines of Markdown."""
    lines = ["| " + " | ".join(escape(name) for name in (sheet.first, *sheet.names)) + " |"]
    lines.append("|---|" + "---|" * len(sheet.names))
    for row in sheet.rows:
        cells = [escape(cell) for cell in (row.label, *row.cells)]
        lines.append("| " + " | ".join(f"**{cell}**" if row.strong else cell for cell in cells) + " |")
    return lines


def escape(text: str) -> str:
    """Text that Markdown shows as it is, on one line."""
    return re.sub(r"([\\|*_<>\[\]`#])", r"\\\1", " ".join(str(text).split()))


def result_rows(record: Record) -> str:
    """One row for each number, as CSV."""
    rows = [
        {
            "item": record["item"], "panel": panel["title"], "data": panel["label"], "paper_benchmark": panel["paper"],
            "comparable": panel["comparable"], "quick": record["quick"], "row": row["key"], "label": row["label"],
            "method": row["method"], "preset": row["preset"], "settings": " ".join(row["settings"]),
            "score": column, "runs": row["done"], "reason": row["reason"],
        } | {name: row["scores"][column][name] for name in ("published", "mean", "sd", "difference", "band", "verdict")}
        for panel in record["panels"] for row in panel["rows"] for column in panel["columns"]
    ]  # fmt: skip
    return comma_separated(_RESULT_NAMES, rows)


def order_rows(record: Record) -> str:
    """One row for each comparison, as CSV."""
    rows = [
        {
            "item": record["item"], "panel": panel["title"], "data": panel["label"], "quick": record["quick"],
            "seeds_low": (entry["seeds"] or [None])[0], "seeds_high": (entry["seeds"] or [None])[-1],
            "classes_low": (entry["classes"] or [None])[0], "classes_high": (entry["classes"] or [None])[-1],
            "said_in": entry["where"],
        } | {name: entry[name] for name in ("better", "worse", "score", "paper", "mean", "sd", "verdict")}
        for panel in record["panels"] for entry in panel["orders"]
    ]  # fmt: skip
    return comma_separated(_ORDER_NAMES, rows)


def comma_separated(names: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows under a header."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
