"""What the paper prints: `published/stft.toml`, with every table, row and column named."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

from avzsl.config import parse_toml


@dataclass(frozen=True)
class PublishedRow:
    """One row of a table.

    Attributes:
        key: its name here; that of a registered method where the row is a method.
        label: the paper's words.
        numbers: benchmark to column to number; scores in percent.
    """

    key: str
    label: str
    numbers: Mapping[str, Mapping[str, float]]


@dataclass(frozen=True)
class Published:
    """A table or figure of the paper.

    Attributes:
        name: `"table4"`.
        number: `"Table IV"`.
        caption: what it shows.
        family: feature family, `"main"` or `"cls"`.
        benchmarks: stems of the benchmarks it has numbers of.
        columns: its columns of numbers; empty for a figure.
        rows: its rows.
        full: benchmark to the key of the row that the others are compared with.
        contradictions: what in it contradicts the rest of the paper.
    """

    name: str
    number: str
    caption: str
    family: str
    benchmarks: tuple[str, ...]
    columns: tuple[str, ...]
    rows: tuple[PublishedRow, ...]
    full: Mapping[str, str]
    contradictions: tuple[str, ...]

    def row(self, key: str) -> PublishedRow | None:
        """The row of that key; None when the paper has none."""
        return next((row for row in self.rows if row.key == key), None)

    def number_of(self, key: str, benchmark: str, column: str) -> float | None:
        """One number; None when the paper has none."""
        row = self.row(key)
        return None if row is None else row.numbers.get(benchmark, {}).get(column)


@cache
def published(name: str) -> Published:
    """A table or figure by its name.

    Raises:
        KeyError: the paper has none of that name.
    """
    return _items()[name]


def benchmark_title(stem: str) -> str:
    """`"UCF"` for `"ucf"`."""
    title: str = _file()["benchmarks"][stem]
    return title


def paper() -> dict[str, Any]:
    """Title, authors, venue and year."""
    about: dict[str, Any] = _file()["paper"]
    return about


@cache
def _file() -> dict[str, Any]:
    path = resources.files("avzsl") / "published" / "stft.toml"
    return parse_toml(path.read_text(encoding="utf-8"), "published/stft.toml")


@cache
def _items() -> dict[str, Published]:
    values = _file()
    found = {}
    for name, item in values["items"].items():
        benchmarks, columns = tuple(item["benchmarks"]), tuple(item.get("columns", ()))
        full = item.get("full", {})
        found[name] = Published(
            name=name,
            number=item["number"],
            caption=item["caption"],
            family=item["family"],
            benchmarks=benchmarks,
            columns=columns,
            rows=tuple(
                PublishedRow(
                    row["key"],
                    row["label"],
                    {b: dict(zip(columns, map(float, row[b]), strict=True)) for b in benchmarks},
                )
                for row in item.get("rows", ())
            ),
            full=full if isinstance(full, dict) else dict.fromkeys(benchmarks, full),
            contradictions=tuple(c["text"] for c in values["contradictions"] if name in c["items"]),
        )
    return found
