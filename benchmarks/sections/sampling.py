"""Class-balanced batches of pairs, beside a DataLoader that fetches clip after clip."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, WeightedRandomSampler

from avzsl.data.batches import BatchSampler
from avzsl.data.tables import Pool
from avzsl.types import Batch, Clips
from benchmarks.compare import Missing, Outcome, Variant, compare, optional
from benchmarks.context import Context
from benchmarks.record import Comparison
from benchmarks.sections.steps import Trainee
from benchmarks.simulated import ucf_like

OURS = "avzsl BatchSampler"
STEP = "training step of STFT on such a batch"


class PairDataset(Dataset[dict[str, Any]]):
    """Clip by clip: a drawn clip, and one of another class, drawn until its class differs."""

    def __init__(self, pool: Pool, seed: int) -> None:
        audio, visual = pool.features.audio, pool.features.visual
        assert audio is not None and visual is not None
        self.audio, self.visual, self.labels = audio.data, visual.data, pool.labels
        self.generator = torch.Generator().manual_seed(seed)

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, row: int) -> dict[str, Any]:
        other = row
        while int(self.labels[other]) == int(self.labels[row]):
            other = int(torch.randint(len(self), (), generator=self.generator))
        return self.item(row, other)

    def item(self, row: int, other: int) -> dict[str, Any]:
        """The pair of two given clips."""
        return {
            "positive": {"audio": self.audio[row], "visual": self.visual[row], "label": int(self.labels[row])},
            "negative": {"audio": self.audio[other], "visual": self.visual[other], "label": int(self.labels[other])},
        }


def run(context: Context) -> list[Comparison]:
    """Fetch batches of 256 pairs from 3,174 clips of 30 classes."""
    pairs = context.pick(256, 256, 4)
    data = ucf_like(context.generator(), share=context.pick(1.0, 1.0, 0.01))
    sampler = BatchSampler(data.pool, pairs, 500, context.seed)
    dataset = PairDataset(data.pool, context.seed)
    steps = iter(range(10**9))

    def ours() -> Batch:
        return sampler.batch(1, 0, next(steps))

    def same(batch: Batch) -> Outcome:
        """The features and labels of one batch; random draws differ, so both fetch the same rows."""
        tables = [batch.clips.audio, batch.clips.visual, batch.negatives.audio, batch.negatives.visual]
        labels = {"labels": batch.labels, "labels of the negatives": batch.negative_labels}
        return Outcome(labels | {f"features {n}": t for n, t in enumerate(tables)})

    def fetched(rows: tuple[Tensor, Tensor]) -> Batch:
        items = [dataset.item(int(row), int(other)) for row, other in zip(*rows, strict=True)]
        return _as_batch(torch.utils.data.default_collate(items), data.pool)

    variants: list[Variant | Missing] = [
        Variant(OURS, ours, lambda: same(sampler.batch(1, 0, 0))),
        Variant(
            "DataLoader, clip by clip, no workers", partial(next, _batches(dataset, data.pool, pairs, 0, context.seed)),
            lambda: same(fetched(sampler.rows(1, 0, 0))), kind="other",
        ),
    ]  # fmt: skip
    if context.size == "full":
        workers = partial(_with_workers, dataset, data.pool, pairs, context.seed)
        variants.append(optional("DataLoader, clip by clip, 2 workers", workers))
    trainee = Trainee.of("stft", data, context, pairs=pairs)
    variants.append(Variant(STEP, trainee.step, kind="ours"))
    found = compare(
        f"a batch of {pairs} pairs from {len(data.pool)} clips", variants, context.plan, context.seed,
        reference=OURS, notes=("The CPU time of DataLoader's workers, which go on between batches, is not shown.",),
    )  # fmt: skip
    return [_with_shares(found)]


def _with_shares(found: Comparison) -> Comparison:
    """Say how much of a training step each way of fetching takes."""
    step = found.row(STEP).times
    assert step is not None
    rows = []
    for row in found.rows:
        if row.times is not None and row.name != STEP:
            row = replace(row, cells={"share of an STFT step, %": 100 * row.times.median / step.median})
        rows.append(row)
    return replace(found, rows=tuple(rows))


def _batches(dataset: PairDataset, pool: Pool, pairs: int, workers: int, seed: int) -> Iterator[Batch]:
    """Batches without end; every class is drawn as often."""
    counts = torch.bincount(pool.labels)
    sampler = WeightedRandomSampler(
        (1.0 / counts[pool.labels]).tolist(), 10**5, generator=torch.Generator().manual_seed(seed)
    )
    loader: DataLoader[dict[str, Any]] = DataLoader(
        dataset, pairs, sampler=sampler, num_workers=workers, drop_last=True, persistent_workers=workers > 0
    )
    while True:
        for items in loader:
            yield _as_batch(items, pool)


def _with_workers(dataset: PairDataset, pool: Pool, pairs: int, seed: int) -> Variant:
    return Variant("", partial(next, _batches(dataset, pool, pairs, 2, seed)), kind="other")


def _as_batch(items: Any, pool: Pool) -> Batch:
    """Stacked items as a method takes them."""
    one, other = items["positive"], items["negative"]
    return Batch(
        Clips(one["audio"].unsqueeze(1), one["visual"].unsqueeze(1)), one["label"],
        Clips(other["audio"].unsqueeze(1), other["visual"].unsqueeze(1)), other["label"],
        pool.classes,
    )  # fmt: skip
