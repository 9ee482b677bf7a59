"""Results as LaTeX tables for the booktabs package, ready to be put into a paper."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from avzsl.report.reproduce import sheets
from avzsl.report.reproduce.sheets import Sheet

Record = Mapping[str, Any]

_SPECIAL = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#", "%": r"\%", "_": r"\_",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "±": r"$\pm$", "−": "$-$", "–": "--", "α": r"$\alpha$", "β": r"$\beta$", "×": r"$\times$", "↑": r"$\uparrow$",
    "\u00a0": "~", "·": r"$\cdot$",
}  # fmt: skip


def latex(record: Record) -> str:
    """One table for each panel, and one for its order; a comment in front says what the file needs."""
    title = sheets.title_of(record)
    text = ["% needs \\usepackage{booktabs}", ""]
    for panel in record["panels"]:
        about = [f"{title}. {record['caption']}. {sheets.panel_title(panel)}.", sheets.notice(panel)]
        text += [*table(sheets.result_sheet(panel), " ".join(filter(None, about)), f"tab:{record['item']}"), ""]
        verdicts = sheets.verdict_sheet(panel)
        if verdicts is not None:
            said = f"{title}, difference and verdict. {sheets.panel_title(panel)}. {record['rules'][0]}"
            text += [*table(verdicts, said, f"tab:{record['item']}-verdict"), ""]
        order = sheets.order_sheet(panel)
        if order is not None:
            said = f"{title}, whether the paper's order holds. {sheets.panel_title(panel)}. {' '.join(record['rules'])}"
            text += [*table(order, said, f"tab:{record['item']}-order"), ""]
    return "\n".join(text)


def table(sheet: Sheet, caption: str, label: str) -> list[str]:
    """A sheet as a floating table."""
    columns = "l" + "".join("r" * len(parts) for _, parts in sheet.groups)
    lines = [
        r"\begin{table*}", r"\centering", rf"\caption{{{escape(caption)}}}", rf"\label{{{label}}}",
        rf"\begin{{tabular}}{{{columns}}}", r"\toprule", *_head(sheet), r"\midrule",
    ]  # fmt: skip
    for row in sheet.rows:
        cells = [escape(cell) for cell in (row.label, *row.cells)]
        lines.append(" & ".join(rf"\textbf{{{cell}}}" if row.strong else cell for cell in cells) + r" \\")
    return [*lines, r"\bottomrule", r"\end{tabular}", r"\end{table*}"]


def _head(sheet: Sheet) -> list[str]:
    if all(parts == ("",) for _, parts in sheet.groups):
        return [" & ".join(escape(name) for name in (sheet.first, *sheet.names)) + r" \\"]
    upper, rules, at = ["" if not sheet.first else escape(sheet.first)], [], 2
    for title, parts in sheet.groups:
        upper.append(rf"\multicolumn{{{len(parts)}}}{{c}}{{{escape(title)}}}")
        rules.append(rf"\cmidrule(lr){{{at}-{at + len(parts) - 1}}}")
        at += len(parts)
    lower = ["", *(escape(below) for _, parts in sheet.groups for below in parts)]
    return [" & ".join(upper) + r" \\", " ".join(rules), " & ".join(lower) + r" \\"]


def escape(text: str) -> str:
    """Text that LaTeX prints as it is; letters it does not know become a question mark."""
    kept = "".join(_SPECIAL.get(letter, letter if letter.isascii() else "?") for letter in " ".join(text.split()))
    return kept
