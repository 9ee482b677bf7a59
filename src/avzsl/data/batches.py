"""Training batches as a pure function of (seed, stage, epoch, step)."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from avzsl.data.pairs import LabelIndex, sample_pairs
from avzsl.data.tables import Pool
from avzsl.errors import SettingError
from avzsl.types import Batch


class BatchSampler:
    """Class-balanced batches of pairs from one pool.

    Every batch has a generator of its own, so a batch does not depend on those drawn before it: a resumed run sees what
    an uninterrupted one would have seen, and audio and visual features always come from the same clip. Numbers are
    drawn on the CPU whatever the pool's device, so the device does not change them either.

    Args:
        pool: where clips come from.
        batch_size: pairs per batch (256 in the published protocol).
        batches_per_epoch: batches per epoch (500 in the published protocol; an epoch is no pass over the data).
        seed: any whole number from 0.

    Raises:
        DataError: fewer than two classes have clips.
        SettingError: a size or the seed is out of range.
    """

    def __init__(self, pool: Pool, batch_size: int, batches_per_epoch: int, seed: int) -> None:
        for name, value, least in (
            ("batch_size", batch_size, 1),
            ("batches_per_epoch", batches_per_epoch, 1),
            ("seed", seed, 0),
        ):
            if value < least:
                raise SettingError(f"{name} is {value}; it must be at least {least}")
        self.pool = pool
        self.batch_size = batch_size
        self.batches_per_epoch = batches_per_epoch
        self.seed = seed
        self._index = LabelIndex.of(pool.labels)

    def __len__(self) -> int:
        return self.batches_per_epoch

    def batch(self, stage: int, epoch: int, step: int) -> Batch:
        """The batch at one place of the run; numbers count from 0 (stages from 1)."""
        rows = torch.cat(self.rows(stage, epoch, step)).to(self.pool.features.device)
        # One gather for both halves: ragged clips are then padded to one length as well.
        clips = self.pool.features.clips(rows)
        labels = self.pool.labels.index_select(0, rows)
        half = self.batch_size
        return Batch(
            clips=clips.rows(slice(None, half)),
            labels=labels[:half],
            negatives=clips.rows(slice(half, None)),
            negative_labels=labels[half:],
            classes=self.pool.classes,
        )

    def rows(self, stage: int, epoch: int, step: int) -> tuple[Tensor, Tensor]:
        """Rows of the clips and of their negatives in the pool, [B] int64 each, on the CPU."""
        generator = torch.Generator().manual_seed(_mix(self.seed, stage, epoch, step))
        return sample_pairs(self._index, self.batch_size, generator)

    def epoch(self, stage: int, epoch: int) -> Iterator[Batch]:
        """All batches of one epoch in order."""
        for step in range(self.batches_per_epoch):
            yield self.batch(stage, epoch, step)


def _mix(*numbers: int) -> int:
    """One seed out of several numbers, such that neighbouring numbers give unrelated streams."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> np.uint64(1))
