"""Results on stdout: tables for people, JSON for programs."""

from __future__ import annotations

import json
import shlex
from collections.abc import Collection, Mapping, Sequence
from typing import Any


def print_json(value: Any) -> None:
    """Pure JSON, nothing else on stdout."""
    print(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False, default=str))


def print_scores(scores: Mapping[str, float], title: str) -> None:
    """The four numbers of a result, in percent, with what guessing gives."""
    print(title)
    for key, name in (("seen", "seen (S)"), ("unseen", "unseen (U)"), ("hm", "HM"), ("zsl", "ZSL")):
        chance = f"   chance {scores['zsl_chance']:.2f}" if key == "zsl" else ""
        print(f"  {name:<12}{scores[key]:6.2f} %{chance}")


def print_next(*words: object) -> None:
    """The command that a newcomer would give now."""
    print(f"  next: {shlex.join(str(word) for word in words)}")


def print_table(header: Sequence[str], rows: Sequence[Sequence[str]], ruled: Collection[int] = ()) -> None:
    """Columns as wide as they must be; numbers to the right, texts to the left.

    Args:
        header: one text per column.
        rows: texts.
        ruled: rows below which a line is drawn.
    """
    lines = [list(header), *(list(row) for row in rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(header))]
    right = [all(_is_number(row[i]) for row in rows) and bool(rows) for i in range(len(header))]
    for number, line in enumerate(lines, start=-1):
        cells = [c.rjust(w) if r else c.ljust(w) for c, w, r in zip(line, widths, right, strict=True)]
        print("  ".join(cells).rstrip())
        if number in ruled:
            print("-" * (sum(widths) + 2 * (len(widths) - 1)))


def _is_number(text: str) -> bool:
    return text.replace(",", "").replace(".", "", 1).replace("%", "").strip().lstrip("-").isdigit() or text in ("", "-")
