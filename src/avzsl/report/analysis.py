"""The arithmetic of the report: plain numpy on stored scores, no model and no torch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from avzsl.report.records import Array, Curve, StoredScores

ROWS = 2048
"""Clips per block, so that a large test set needs little memory beside its scores."""


@dataclass(frozen=True)
class Confusion:
    """One kind of mistake: clips of one class taken for another."""

    true: str
    predicted: str
    count: int
    share: float
    true_seen: bool
    predicted_seen: bool


@dataclass(frozen=True)
class Destination:
    """Where the clips of the seen (or unseen) classes went, as shares of the clips that add up to one."""

    part: str
    clips: int
    right: float
    same_part: float
    other_part: float


def decide(test: StoredScores, bias: float, unseen_only: bool = False) -> Array:
    """Column of the best class of every clip, [N] int; the lowest column wins ties.

    Args:
        test: stored scores.
        bias: taken off the scores of seen classes.
        unseen_only: only unseen classes are candidates; `zsl_scores` decide where they are there.
    """
    own = test.zsl_scores if unseen_only else None
    scores = test.scores if own is None else own.astype(np.float64)
    shift = np.where(test.seen, np.inf if unseen_only else bias, 0.0)
    decisions = np.empty(len(test.labels), dtype=np.int64)
    for start in range(0, len(decisions), ROWS):
        block = np.nan_to_num(scores[start : start + ROWS], nan=-1e300, neginf=-1e300) - shift
        decisions[start : start + ROWS] = block.argmax(axis=1)
    return decisions


def ranking(test: StoredScores, row: int, bias: float, most: int) -> list[tuple[int, float]]:
    """The best columns of one clip, best first, with their scores after the bias."""
    scores = np.where(test.seen, test.scores[row] - bias, test.scores[row])
    order = np.argsort(-np.nan_to_num(scores, nan=-1e300, neginf=-1e300), kind="stable")[:most]
    return [(int(c), float(scores[c])) for c in order]


def recall(labels: Array, decisions: Array, classes: int) -> Array:
    """Share of the clips of each class that were recognised, [C] float; NaN for a class without clips."""
    counts = np.bincount(labels, minlength=classes).astype(float)
    hits = np.bincount(labels[labels == decisions], minlength=classes).astype(float)
    empty: Array = np.full(classes, np.nan)
    return np.divide(hits, counts, out=empty, where=counts > 0)


def mean_of(values: Array, chosen: Array) -> float:
    """Mean of the chosen values that are numbers; NaN when there are none."""
    kept = values[chosen & np.isfinite(values)]
    return float(kept.mean()) if len(kept) else float("nan")


def harmonic(seen: float, unseen: float) -> float:
    """Harmonic mean; zero when both are zero."""
    return 0.0 if seen + unseen == 0 else 2 * seen * unseen / (seen + unseen)


def curve_of(test: StoredScores, grid: Array, best: float) -> Curve:
    """Seen, unseen and harmonic mean of the test set at every bias of `grid`, only to be looked at."""
    rows = []
    for bias in grid:
        values = recall(test.labels, decide(test, float(bias)), len(test.class_names))
        seen, unseen = mean_of(values, test.seen), mean_of(values, ~test.seen)
        rows.append((seen, unseen, harmonic(seen, unseen)))
    table = np.array(rows).reshape(-1, 3)
    return Curve(grid, table[:, 0], table[:, 1], table[:, 2], best)


def confusion_counts(labels: Array, decisions: Array, classes: int) -> Array:
    """[C, C] int, true class by row, predicted class by column."""
    return np.bincount(labels * classes + decisions, minlength=classes * classes).reshape(classes, classes)


def confusions(test: StoredScores, counts: Array, most: int) -> list[Confusion]:
    """The most frequent mistakes, most clips first, then by name."""
    wrong = counts.copy()
    np.fill_diagonal(wrong, 0)
    totals, names, seen = counts.sum(axis=1), test.class_names, test.seen
    pairs = sorted(zip(*np.nonzero(wrong), strict=True), key=lambda p: (-wrong[p], names[p[0]], names[p[1]]))
    return [
        Confusion(names[t], names[p], int(wrong[t, p]), wrong[t, p] / totals[t], bool(seen[t]), bool(seen[p]))
        for t, p in pairs[:most]
    ]


def destinations(test: StoredScores, decisions: Array) -> list[Destination]:
    """Seen clips, then unseen clips: recognised, lost within the part, lost to the other part."""
    found = []
    for part, flag in (("seen", True), ("unseen", False)):
        chosen = test.seen[test.labels] == flag
        total = int(chosen.sum())
        if total == 0:
            continue
        right = float((decisions == test.labels)[chosen].mean())
        same = float((test.seen[decisions] == flag)[chosen].mean())
        found.append(Destination(part, total, right, same - right, 1.0 - same))
    return found


def class_order(test: StoredScores) -> Array:
    """Columns in the order of figures: seen classes by name, then unseen classes by name."""
    names = test.class_names
    return np.array(sorted(range(len(names)), key=lambda c: (not test.seen[c], names[c].casefold(), c)))


def shares(counts: Array) -> Array:
    """Rows of counts as shares; a row without clips becomes zeros."""
    totals = counts.sum(axis=1, keepdims=True)
    return np.divide(counts, totals, out=np.zeros(counts.shape), where=totals > 0)


def coarse(matrix: Array, seen: int, cells: int) -> tuple[Array, int]:
    """Put neighbouring classes together so that at most about `cells` rows are left.

    Args:
        matrix: [C, C] shares, rows and columns in figure order, the first `seen` of them seen.
        seen: number of seen classes; no group mixes seen and unseen ones.
        cells: wanted number of rows.

    Returns:
        The smaller matrix (mean over the rows of a group, sum over its columns, so rows still add up to one)
        and the number of seen groups in it.
    """
    classes = len(matrix)
    size = max(1, -(-classes // cells))
    starts = [*range(0, seen, size), *range(seen, classes, size)]
    summed = np.add.reduceat(np.add.reduceat(matrix, starts, axis=0), starts, axis=1)
    lengths = np.diff([*starts, classes])
    return summed / lengths[:, None], len(range(0, seen, size))
