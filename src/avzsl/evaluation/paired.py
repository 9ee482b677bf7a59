"""Is one method better than another on the same clips? A paired bootstrap, a permutation test, and a sign test.

The pairs are classes. Permutation: if the two methods were alike, it would not matter which of them got which of its
two outcomes in a class, so these are swapped, class by class, and the difference of the scores is taken again (HM too,
which is no mean over classes). Sign: how many classes does each method win.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from avzsl.errors import DataError, SettingError
from avzsl.evaluation.statistics import (
    CONFIDENCE,
    DRAWS,
    SCORES,
    Array,
    Decisions,
    Interval,
    Level,
    harmonic,
    interval_of,
    join,
    recalls,
    resample,
    scores_of,
)

PERMUTATIONS = 10_000
MOST_EXACT = 16
"""Up to this many classes with a difference, all 2^n swaps are looked at."""
_CHUNK = 4096
# Two sums of the same numbers in another order must count as equal.
_ROUNDING = 1e-12


@dataclass(frozen=True)
class Difference:
    """First method minus second, in one score, as fractions.

    Attributes:
        score: one of `SCORES`.
        first, second: the scores, means over the runs.
        interval: of the difference, by paired bootstrap.
        p_value: two-sided, by permutation over classes.
        exact: whether all swaps were looked at.
        wins, losses, ties: classes in which the first method has the higher, lower, same recall.
        p_sign: two-sided, of wins against losses.
    """

    score: str
    first: float
    second: float
    interval: Interval
    p_value: float
    exact: bool
    wins: int
    losses: int
    ties: int
    p_sign: float


def compare(
    first: Decisions,
    second: Decisions,
    generator: np.random.Generator,
    *,
    draws: int = DRAWS,
    permutations: int = PERMUTATIONS,
    level: Level = "classes",
    confidence: float = CONFIDENCE,
) -> dict[str, Difference]:
    """The difference of two methods in each score.

    Args:
        first, second: M runs of each, on the same clips in the same order; run i of the one is paired with run i of the
            other (the same seed).
        generator: source of randomness.
        draws: test sets of the bootstrap.
        permutations: random swaps where there are too many to look at all.
        level: what the bootstrap draws.
        confidence: of the intervals.

    Raises:
        DataError: different clips, classes or numbers of runs.
        SettingError: no permutations.
    """
    if permutations < 1:
        raise SettingError(f"permutations is {permutations}; it must be at least 1")
    if first.runs != second.runs:
        raise DataError(f"{first.runs} run(s) cannot be paired with {second.runs}; give as many of each, seed by seed")
    drawn = resample(join([first, second]), generator, draws, level)
    values = scores_of(first), scores_of(second)
    found = {}
    for score in SCORES:
        one, two = float(values[0][score].mean()), float(values[1][score].mean())
        change = drawn[score][:, : first.runs].mean(1) - drawn[score][:, first.runs :].mean(1)
        p_value, exact = _permute(first, second, score, generator, permutations)
        wins, losses, ties = count_signs(first, second, score)
        found[score] = Difference(
            score, one, two, interval_of(one - two, change, confidence), p_value, exact,
            wins, losses, ties, sign_test(wins, losses),
        )  # fmt: skip
    return found


def count_signs(first: Decisions, second: Decisions, score: str) -> tuple[int, int, int]:
    """Classes won, lost and drawn by the first method; for HM the classes of both parts count."""
    columns = _columns(first, score)
    change = np.nanmean(_recall(first, score)[:, columns] - _recall(second, score)[:, columns], axis=0)
    wins, losses = int((change > _ROUNDING).sum()), int((change < -_ROUNDING).sum())
    return wins, losses, len(columns) - wins - losses


def sign_test(wins: int, losses: int) -> float:
    """Two-sided p-value of so unequal a number of wins if both sides were as likely; ties do not count."""
    trials = wins + losses
    tail = sum(math.comb(trials, k) for k in range(min(wins, losses) + 1))
    return min(1.0, 2 * tail / (1 << trials))


def _columns(decisions: Decisions, score: str) -> Array:
    parts = {"seen": (True,), "unseen": (False,), "hm": (True, False), "zsl": (False,)}[score]
    return np.concatenate([decisions.classes(part) for part in parts])


def _recall(decisions: Decisions, score: str) -> Array:
    return recalls(decisions)[1 if score == "zsl" else 0]


def _permute(
    first: Decisions, second: Decisions, score: str, generator: np.random.Generator, permutations: int
) -> tuple[float, bool]:
    """Two-sided p-value, and whether it is exact."""
    one, two = _recall(first, score), _recall(second, score)
    columns = _columns(first, score)
    # A class in which nothing differs looks the same swapped: leaving it out changes no difference.
    differing = columns[np.any(one[:, columns] != two[:, columns], axis=0)]
    exact = len(differing) <= MOST_EXACT
    total = 2 ** len(differing) if exact else permutations
    observed = abs(float(_swapped(first, one, two, differing, score, np.zeros((1, len(differing))))[0]))
    as_large = 0
    for start in range(0, total, _CHUNK):
        rows = min(_CHUNK, total - start)
        if exact:
            swaps = (np.arange(start, start + rows)[:, None] >> np.arange(len(differing))) & 1
        else:
            swaps = generator.integers(0, 2, size=(rows, len(differing)))
        changes = _swapped(first, one, two, differing, score, swaps.astype(float))
        as_large += int((np.abs(changes) >= observed - _ROUNDING).sum())
    # The observed assignment is one of the possible ones, so a random p-value is never 0.
    return (as_large / total, True) if exact else ((as_large + 1) / (total + 1), False)


def _swapped(decisions: Decisions, one: Array, two: Array, differing: Array, score: str, swaps: Array) -> Array:
    """Difference of the scores, mean over runs, after swapping classes: [R] for swaps [R, D] of 0 and 1."""
    sides = []
    for own, other in ((one, two), (two, one)):
        parts = {}
        for seen in (True, False):
            columns = decisions.classes(seen)
            inside = decisions.seen[differing] == seen
            chosen = differing[inside]
            moved = swaps[:, inside] @ (other - own)[:, chosen].T / len(columns)  # [R, M]
            parts[seen] = own[:, columns].mean(1) + moved
        sides.append({"seen": parts[True], "hm": harmonic(parts[True], parts[False])}.get(score, parts[False]))
    return (sides[0] - sides[1]).mean(1)  # type: ignore[no-any-return]
