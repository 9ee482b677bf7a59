"""Which classes a figure shows: by name and split alone, never by how well they were recognised."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

# Sec. IV-F and the caption of Fig. 4: five categories of two parents. The text names basketball, basketballdunk and
# PlayingCello; of the others, those of the benchmark's test that fit the parents.
PARENTS: Mapping[str, tuple[str, ...]] = {
    "Sports": ("Basketball", "BasketballDunk", "CricketShot", "SoccerPenalty", "TableTennisShot"),
    "Instrument": ("PlayingCello", "PlayingFlute", "PlayingSitar", "PlayingDhol"),
}
SIZES = (3, 2)
# Sec. IV-G, Fig. 5.
QUERIES = ("CricketShot", "BoxingPunchingBag")
_COMMON = 0.5  # a word in more classes than this share tells nothing


@dataclass(frozen=True)
class Chosen:
    """A class that is shown: its column, its name and what it has in common with its neighbours."""

    column: int
    name: str
    parent: str


def words(name: str) -> tuple[str, ...]:
    """The words of a class name in lower case; those of CamelCase names too."""
    split = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name)
    return tuple(word.lower() for word in re.findall(r"[^\W_]+", split) if len(word) > 2)


def choose_family(names: Sequence[str], seen: Sequence[bool], sizes: Sequence[int] = SIZES) -> list[Chosen]:
    """Classes of two parents: the paper's where they are there, else classes that share a word.

    Of the words that few enough classes share, the one with the most unseen classes wins, then the one with the most
    classes, then the alphabet; the second parent has none of the first's classes. Unseen classes come first. Where no
    word is shared, unseen classes stand without a parent.
    """
    published = [
        [Chosen(names.index(name), name, parent) for name in own if name in names] for parent, own in PARENTS.items()
    ]
    if all(len(found) >= size for found, size in zip(published, sizes, strict=True)):
        return [one for found, size in zip(published, sizes, strict=True) for one in found[:size]]
    taken: list[Chosen] = []
    for size in sizes:
        word, columns = _shared(names, seen, size, {one.column for one in taken}, {one.parent for one in taken})
        taken += [Chosen(column, names[column], word) for column in columns]
    return taken


def _shared(
    names: Sequence[str], seen: Sequence[bool], size: int, without: set[int], used: set[str]
) -> tuple[str, list[int]]:
    free = [column for column in range(len(names)) if column not in without]
    order = sorted(free, key=lambda c: (bool(seen[c]), names[c].casefold(), c))
    found: dict[str, list[int]] = {}
    for column in order:
        for word in dict.fromkeys(words(names[column])):
            found.setdefault(word, []).append(column)
    # The other parent's classes must not have the word either, or the two would overlap.
    barred = {word for column in without for word in words(names[column])} | used
    fitting = {w: c for w, c in found.items() if len(c) >= size and len(c) <= _COMMON * len(names) and w not in barred}
    if not fitting:
        return "", order[:size]
    best = min(fitting, key=lambda w: (-sum(not seen[c] for c in fitting[w]), -len(fitting[w]), w))
    return best, fitting[best][:size]


def choose_queries(names: Sequence[str], seen: Sequence[bool], each: int = 2) -> list[int]:
    """Columns to search for: the paper's two where they are there, filled up with classes evenly spaced by name.

    As many seen ones as unseen ones.
    """
    columns: list[int] = []
    for part in (True, False):
        own = sorted((c for c in range(len(names)) if bool(seen[c]) == part), key=lambda c: names[c].casefold())
        picked = [c for c in own if names[c] in QUERIES][:each]
        rest = [c for c in own if c not in picked]
        missing = min(each - len(picked), len(rest))
        picked += [rest[(2 * i + 1) * len(rest) // (2 * missing)] for i in range(missing)]
        columns += sorted(picked, key=lambda c: names[c].casefold())
    return columns
