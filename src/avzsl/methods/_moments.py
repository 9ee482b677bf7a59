"""Weighted sums over clips, all that the closed forms ask of a training set, taken in blocks of rows.

A table of averaged features in float64 is as large as all other memory of a run together, and each fold of a search
for penalties would need it again. Sums of the hidden classes are taken once and subtracted from those of all.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

# From the indices [n] of clips to their rows [n, d], float64.
Rows = Callable[[Tensor], Tensor]
# Rows at once: 70 MB of 4,224 columns.
BLOCK = 2048


def blocks(index: Tensor) -> Iterator[Tensor]:
    """Indices [N] in blocks."""
    yield from torch.split(index, BLOCK)


def everyone(labels: Tensor) -> Tensor:
    """Indices of all rows that have labels [N]."""
    return torch.arange(len(labels), device=labels.device)


def weighted_statistics(rows: Rows, share: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and deviation [d] of rows under weights [N]; a column that is constant has deviation 1."""
    index = everyone(share)
    mean = sum((share[some] @ rows(some) for some in blocks(index)), share.new_zeros(()))
    square = sum((share[some] @ (rows(some) - mean).square() for some in blocks(index)), share.new_zeros(()))
    scale = square.sqrt()
    return mean, torch.where(scale > 1e-8 * (1 + mean.abs()), scale, torch.ones_like(scale))


@dataclass(frozen=True)
class Moments:
    """Sums over the clips n of some classes, with weights c_n.

    Attributes:
        weights: [K] Σ c of each class; 0 for a class without clips here.
        sums: [K, d] Σ c x of each class.
        gram: [d, d] Σ c x xᵀ over all of them.
    """

    weights: Tensor
    sums: Tensor
    gram: Tensor

    @staticmethod
    def of(rows: Rows, index: Tensor, labels: Tensor, share: Tensor, classes: int) -> Moments:
        """The sums over some clips.

        Args:
            rows: features.
            index: [n] which clips.
            labels: [N] int64, of all clips.
            share: [N] float64 weights, of all clips.
            classes: K.
        """
        width = rows(index[:1]).shape[1]
        weights = torch.zeros(classes, dtype=torch.float64, device=labels.device)
        sums, gram = weights.new_zeros(classes, width), weights.new_zeros(width, width)
        for some in blocks(index):
            values, c = rows(some), share[some]
            weighted = values * c.unsqueeze(1)
            weights.index_add_(0, labels[some], c)
            sums.index_add_(0, labels[some], weighted)
            gram.addmm_(values.T, weighted)
        return Moments(weights, sums, gram)

    def plus(self, other: Moments) -> Moments:
        """Of the clips of both."""
        return Moments(self.weights + other.weights, self.sums + other.sums, self.gram + other.gram)

    def without(self, classes: Tensor, part: Moments) -> Moments:
        """Of all classes but some [k], whose clips have the sums `part`."""
        # What is left of a hidden class is rounding, not clips.
        weights = (self.weights - part.weights).index_fill(0, classes, 0.0)
        sums = (self.sums - part.sums).index_fill(0, classes, 0.0)
        return Moments(weights, sums, self.gram - part.gram)

    def only(self, classes: Tensor) -> Moments:
        """The same with the sums of some classes ([K] bool) alone; the others have no clips."""
        return Moments(self.weights[classes], self.sums[classes], self.gram)

    def centred(self) -> tuple[Tensor, Moments]:
        """The weighted mean [d], and the sums of x - mean under weights that sum to 1."""
        total = self.weights.sum()
        mean = self.sums.sum(0) / total
        sums = (self.sums - self.weights.unsqueeze(1) * mean) / total
        return mean, Moments(self.weights / total, sums, self.gram / total - torch.outer(mean, mean))


def folded(
    rows: Rows, labels: Tensor, share: Tensor, groups: list[tuple[Tensor, Tensor]], classes: int
) -> Iterator[tuple[Tensor, Tensor, Tensor, Moments]]:
    """Hide each group of classes in turn.

    Args:
        rows: features.
        labels: [N] int64.
        share: [N] float64 weights.
        groups: mask [N] of the hidden clips and the hidden classes; every clip is in one group.
        classes: K.

    Yields:
        Indices of the hidden clips, the hidden classes, and of what is shown the weighted mean [d] and the centred
        moments.
    """
    index = [hidden.nonzero().squeeze(1) for hidden, _ in groups]
    parts = [Moments.of(rows, hidden, labels, share, classes) for hidden in index]
    everything = functools.reduce(Moments.plus, parts)
    for hidden, (_, candidates), part in zip(index, groups, parts, strict=True):
        yield hidden, candidates, *everything.without(candidates, part).centred()
