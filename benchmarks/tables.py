"""The record as Markdown, ready to be pasted into docs/speed.md."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from benchmarks.machine import is_busy
from benchmarks.record import Comparison, Row
from benchmarks.suite import Bench, Section


def as_markdown(bench: Bench) -> str:
    """The whole page."""
    parts = ["# Speed, as measured", header(bench)]
    parts += [section_text(section) for section in bench.sections.values()]
    return "\n\n".join(parts) + "\n"


def header(bench: Bench) -> str:
    """The machine, what it was busy with, and how it was measured."""
    machine, versions = bench.machine, bench.machine["versions"]
    lines = [
        f"- machine: {machine['processor']}, {machine['cores']} cores, {machine['memory_gib']} GiB,"
        f" {machine['system']}, {machine['capability']}",
        f"- threads: {machine['threads']}",
        "- versions: " + ", ".join(f"{name} {version}" for name, version in versions.items()),
        f"- compiled kernels: {bench.kernels}",
        f"- matrix products: {bench.products}",
        f"- load average: {bench.load[0]:g} at the start, {bench.load[1]:g} at the end",
    ]
    if machine["environment"]:
        lines.append("- environment: " + ", ".join(f"{k}={v}" for k, v in machine["environment"].items()))
    if is_busy(bench.load[0]):
        lines.insert(
            0, "**Busy machine**: others were computing when this began. Wall times mean little; ratios are better.\n"
        )
    if bench.settings["size"] != "full":
        lines.append(f"- size: {bench.settings['size']}: few rounds, few cases; not for publication")
    if bench.stale:
        lines.append(f"- measured with older code: {', '.join(bench.stale)} (--fresh --only NAME measures again)")
    lines.append(
        "- every variant of a table was measured in turns in one process; numbers are medians; '/ floor' and"
        " '/ reference' are ratios of wall times (below 1 is faster)"
    )
    return "\n".join(lines)


def section_text(section: Section) -> str:
    """A section with all its tables."""
    parts = [f"## {section.title}"]
    if section.error:
        parts.append(f"**Failed**: {section.error}")
    if is_busy(section.load[0]):
        parts.append(f"Load average when this section began: {section.load[0]:g}.")
    lines = [remarks(comparison) for comparison in section.comparisons]
    # What is said of every table alike is said once.
    count = Counter(line for own in lines for line in dict.fromkeys(own))
    shared = [line for line, times in count.items() if times > 1]
    for comparison, own in zip(section.comparisons, lines, strict=True):
        parts.append(table(comparison))
        left = [line for line in own if line not in shared]
        if left:
            parts.append("\n".join(f"- {line}" for line in left))
    if shared:
        parts.append("Of all these tables:\n\n" + "\n".join(f"- {line}" for line in shared))
    return "\n\n".join(parts)


def remarks(comparison: Comparison) -> list[str]:
    """The lines below a table."""
    found = [f"Not here: {row.name} ({row.missing})." for row in comparison.rows if row.times is None]
    if comparison.checked:
        found.append(f"Checked before timing: {comparison.checked}.")
    if comparison.floor:
        found.append(f"Floor: {comparison.floor}.")
    return [*found, *comparison.notes]


def table(comparison: Comparison) -> str:
    """One comparison."""
    extra = list(dict.fromkeys(key for row in comparison.rows for key in row.cells))
    floors = any(row.floor is not None for row in comparison.rows)
    heads = ["", comparison.unit, "by CPU time" if comparison.rate else "CPU"]
    heads += ["floor", "/ floor"] if floors else []
    heads += [f"/ {comparison.reference}"] if comparison.reference else []
    heads += [*extra, "rounds"]
    rows = [_cells(comparison, row, extra, floors) for row in comparison.rows if row.times is not None]
    lines = [
        f"### {comparison.name}",
        "",
        _line(heads),
        _line(["---", *["---:"] * (len(heads) - 1)]),
        *map(_line, rows),
    ]
    return "\n".join(lines)


def _cells(comparison: Comparison, row: Row, extra: Sequence[str], floors: bool) -> list[str]:
    assert row.times is not None
    bold = "**" if row.kind == "ours" else ""
    cells = [f"{bold}{row.name}{bold}", number(comparison.shown(row)), number(comparison.shown(row, cpu=True))]
    cells += [number(comparison.shown_floor(row)), number(comparison.times_floor(row))] if floors else []
    cells += [number(comparison.times_reference(row))] if comparison.reference else []
    cells += [value if isinstance(value, str) else number(value) for value in (row.cells.get(key, "") for key in extra)]
    return [*cells, str(len(row.times.wall))]


def number(value: float | None) -> str:
    """Three digits that count, no exponent, thousands apart; whole numbers as they are."""
    if value is None:
        return ""
    if isinstance(value, int):
        return f"{value:,}"
    if value == 0:
        return "0"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    digits = 2 if abs(value) >= 1 else 3
    text = f"{value:.{digits}g}" if abs(value) < 1 else f"{value:.{1 if abs(value) >= 10 else 2}f}"
    return f"{value:.6f}".rstrip("0") if "e" in text else text


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
