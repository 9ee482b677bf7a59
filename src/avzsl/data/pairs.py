"""Class-balanced pairs of clips (docs/protocol.md sections 7.2 and 7.3), drawn a whole batch at a time."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from avzsl.errors import DataError


@dataclass(frozen=True, eq=False)
class LabelIndex:
    """Clips sorted by class, so that "a random clip of class c" is one look-up.

    Attributes:
        rows: [N] int64, clips in order of their labels.
        starts: [K] int64, where each class that has clips begins in `rows`.
        counts: [K] int64, its number of clips.
        labels: [K] int64, its label.
    """

    rows: Tensor
    starts: Tensor
    counts: Tensor
    labels: Tensor

    @staticmethod
    def of(labels: Tensor) -> LabelIndex:
        """Index of labels [N] int64.

        Raises:
            DataError: fewer than two classes have clips, so no clip has a negative partner.
        """
        present, counts = torch.unique(labels.cpu(), return_counts=True)
        if len(present) < 2:
            raise DataError(f"the training clips have {len(present)} class(es); pairs of clips need at least two")
        return LabelIndex(labels.cpu().argsort(stable=True), counts.cumsum(0) - counts, counts, present)


def sample_pairs(index: LabelIndex, batch: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Draw clips and, for each, a clip of another class.

    A clip i of class y is drawn with probability `1 / (C * n_y)`, independently and with replacement, C being the
    number of classes that have clips. Its partner's class is uniform over the other C - 1 classes, the partner uniform
    within that class.

    Args:
        index: clips by class.
        batch: number of pairs B.
        generator: a CPU generator; four draws of B numbers are taken from it.

    Returns:
        Rows of the clips and of their partners, [B] int64 each.
    """
    classes = len(index.counts)
    own = torch.randint(classes, (batch,), generator=generator)
    clips = _within(index, own, generator)
    other = torch.randint(classes - 1, (batch,), generator=generator)
    other = other + (other >= own)  # skips the own class, the rest stay equally likely
    return clips, _within(index, other, generator)


def _within(index: LabelIndex, classes: Tensor, generator: torch.Generator) -> Tensor:
    counts = index.counts[classes]
    # In float64 the share of every clip is exact to 1e-11 even for a million clips.
    offsets = (torch.rand(len(classes), generator=generator, dtype=torch.float64) * counts).long()
    return index.rows[index.starts[classes] + torch.minimum(offsets, counts - 1)]
