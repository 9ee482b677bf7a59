"""Spearman's rank correlation with a bootstrap interval and a permutation test."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from avzsl.errors import DataError
from avzsl.evaluation.statistics import CONFIDENCE, DRAWS, Array, Interval, interval_of

LEAST = 3


@dataclass(frozen=True)
class Correlation:
    """How strongly two lists rise together.

    Attributes:
        interval: rank correlation in [-1, 1] with its bootstrap interval over the pairs.
        p_value: two-sided, by shuffling one list against the other.
        pairs: how many.
    """

    interval: Interval
    p_value: float
    pairs: int


def ranks(values: Array) -> Array:
    """1 for the smallest; equal values share the mean of their ranks. [..., n] along the last axis."""
    order = np.sort(values, axis=-1)
    # Below a value, plus half of those that equal it.
    flat, sorted_ = values.reshape(-1, values.shape[-1]), order.reshape(-1, values.shape[-1])
    found = np.empty(flat.shape)
    for row, (own, known) in enumerate(zip(flat, sorted_, strict=True)):
        found[row] = (np.searchsorted(known, own, "left") + np.searchsorted(known, own, "right") + 1) / 2
    return found.reshape(values.shape)


def pearson(first: Array, second: Array) -> Array:
    """Correlation along the last axis; 0 where one of the lists does not vary."""
    one = first - first.mean(-1, keepdims=True)
    two = second - second.mean(-1, keepdims=True)
    size = np.sqrt((one**2).sum(-1) * (two**2).sum(-1))
    product = (one * two).sum(-1)
    found: Array = np.divide(product, size, out=np.zeros_like(product), where=size > 1e-12)
    return found


def spearman(first: Array, second: Array) -> Array:
    """Rank correlation along the last axis."""
    return pearson(ranks(np.asarray(first, float)), ranks(np.asarray(second, float)))


def correlate(
    first: Array, second: Array, generator: np.random.Generator, draws: int = DRAWS, confidence: float = CONFIDENCE
) -> Correlation:
    """Rank correlation of two lists of n numbers.

    Args:
        first, second: [n].
        generator: source of randomness.
        draws: resampled lists for the interval, and shuffles for the p-value.
        confidence: of the interval.

    Raises:
        DataError: fewer than three pairs.
    """
    first, second = np.asarray(first, float), np.asarray(second, float)
    count = len(first)
    if count < LEAST:
        raise DataError(f"a rank correlation needs at least {LEAST} pairs, there are {count}")
    value = float(spearman(first, second))
    rows = generator.integers(0, count, size=(draws, count))
    drawn = spearman(first[rows], second[rows])
    one, two = ranks(first), ranks(second)
    shuffled = generator.permuted(np.broadcast_to(two, (draws, count)), axis=1)
    as_large = int((np.abs(pearson(np.broadcast_to(one, (draws, count)), shuffled)) >= abs(value) - 1e-12).sum())
    return Correlation(interval_of(value, drawn, confidence), (as_large + 1) / (draws + 1), count)
