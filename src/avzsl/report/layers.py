"""Where the boxes of a layered drawing stand: rows by the longest way to an end, places by their neighbours.

The usual method for drawings of directed graphs (Sugiyama, Tagawa and Toda, 1981), small: boxes as late as possible,
dummies where an arrow passes a row, rows put in order by the mean place of the neighbours, no randomness.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

SWEEPS = 12
RELAXATIONS = 60


@dataclass(frozen=True)
class Layout:
    """Rows of boxes from top to bottom.

    Attributes:
        rows: keys row by row, from left to right; dummies are not among them.
        x: place of each box and dummy, in units of a box width.
        row_of: row of each box and dummy.
        routes: arrow (source, target) to the keys it passes, ends included.
    """

    rows: tuple[tuple[str, ...], ...]
    x: Mapping[str, float]
    row_of: Mapping[str, int]
    routes: Mapping[tuple[str, str], tuple[str, ...]]


def lay_out(sources: Mapping[str, Sequence[str]], gap: float = 1.12, narrow: float = 0.3) -> Layout:
    """Place the boxes of a graph without cycles.

    Args:
        sources: key of each box to the keys it takes from.
        gap: least distance of two boxes' middles, in box widths.
        narrow: room for an arrow that passes a row, beside a box.

    Raises:
        ValueError: the arrows go round in a circle.
    """
    targets: dict[str, list[str]] = {key: [] for key in sources}
    for key, given in sources.items():
        for source in given:
            targets[source].append(key)
    height = _heights(targets)
    top = max(height.values(), default=0)
    row_of = {key: top - height[key] for key in sources}
    routes: dict[tuple[str, str], tuple[str, ...]] = {}
    for key, given in sources.items():
        for source in given:
            between = [f"{source}>{key}@{row}" for row in range(row_of[source] + 1, row_of[key])]
            row_of |= {name: row_of[source] + 1 + i for i, name in enumerate(between)}
            routes[source, key] = (source, *between, key)
    links = [pair for route in routes.values() for pair in itertools.pairwise(route)]
    up, down = _neighbours(row_of, [(b, a) for a, b in links]), _neighbours(row_of, links)
    rows = [[key for key in row_of if row_of[key] == row] for row in range(top + 1)]
    _order(rows, up, down)
    widths = {key: narrow if "@" in key else 1.0 for key in row_of}
    x = _places(rows, up, down, widths, gap)
    shown = tuple(tuple(key for key in row if key in sources) for row in rows)
    return Layout(shown, x, row_of, routes)


def _heights(targets: Mapping[str, Sequence[str]]) -> dict[str, int]:
    """Longest way from each box to an end."""
    found: dict[str, int] = {}
    waiting: set[str] = set()

    def height(key: str) -> int:
        if key in waiting:
            raise ValueError("the arrows go round in a circle")
        if key not in found:
            waiting.add(key)
            found[key] = 1 + max((height(t) for t in targets[key]), default=-1)
            waiting.discard(key)
        return found[key]

    for key in targets:
        height(key)
    return found


def _neighbours(keys: Mapping[str, int], links: Sequence[tuple[str, str]]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {key: [] for key in keys}
    for one, other in links:
        found[one].append(other)
    return found


def _order(rows: list[list[str]], up: Mapping[str, list[str]], down: Mapping[str, list[str]]) -> None:
    """Sort each row by the mean place of its neighbours above, then below, again and again."""
    for sweep in range(SWEEPS):
        beside, order = (up, rows[1:]) if sweep % 2 == 0 else (down, rows[-2::-1])
        for row in order:
            place = {key: i / max(len(r) - 1, 1) for r in rows for i, key in enumerate(r)}
            means = {
                key: sum(place[n] for n in beside[key]) / len(beside[key]) if beside[key] else place[key] for key in row
            }
            row.sort(key=lambda key: means[key])


def _places(
    rows: Sequence[Sequence[str]], up: Mapping[str, list[str]], down: Mapping[str, list[str]],
    widths: Mapping[str, float], gap: float,
) -> dict[str, float]:  # fmt: skip
    x: dict[str, float] = {}
    for row in rows:
        at = 0.0
        for i, key in enumerate(row):
            at += gap * (widths[row[i - 1]] + widths[key]) / 2 if i else 0.0
            x[key] = at
        middle = at / 2
        for key in row:
            x[key] -= middle
    for _ in range(RELAXATIONS):
        for row in rows:
            wanted = [_mean([x[n] for n in (*up[key], *down[key])], x[key]) for key in row]
            for key, value in zip(row, _apart(wanted, [widths[key] for key in row], gap), strict=True):
                x[key] = value
    return x


def _mean(values: Sequence[float], otherwise: float) -> float:
    return sum(values) / len(values) if values else otherwise


def _apart(wanted: Sequence[float], widths: Sequence[float], gap: float) -> list[float]:
    """Nearest places to the wanted ones (least squares) that keep the order and the distances."""
    offsets, at = [0.0], 0.0
    for one, other in itertools.pairwise(widths):
        at += gap * (one + other) / 2
        offsets.append(at)
    groups: list[list[float]] = []  # neighbours that touch: [sum, count]
    for value, offset in zip(wanted, offsets, strict=True):
        groups.append([value - offset, 1])
        while len(groups) > 1 and groups[-2][0] / groups[-2][1] > groups[-1][0] / groups[-1][1]:
            total, count = groups.pop()
            groups[-1] = [groups[-1][0] + total, groups[-1][1] + count]
    free = [total / count for total, count in groups for _ in range(int(count))]
    return [value + offset for value, offset in zip(free, offsets, strict=True)]
