"""A batch is a function of its place in the run and of nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch

from avzsl.data.batches import BatchSampler
from avzsl.data.tables import FeatureTable, Pool, Ragged
from avzsl.errors import DataError, SettingError
from avzsl.types import Batch

if TYPE_CHECKING:
    from tests.conftest import TinyBenchmark


def same(first: Batch, second: Batch) -> bool:
    assert first.clips.audio is not None and second.clips.audio is not None
    return first.clips.audio.shape == second.clips.audio.shape and torch.equal(first.clips.audio, second.clips.audio)


def test_a_batch_does_not_depend_on_the_batches_before_it(tiny_benchmark: TinyBenchmark) -> None:
    pool = tiny_benchmark.benchmark.training(1)
    walked = list(BatchSampler(pool, 8, 5, seed=3).epoch(1, 2))
    assert len(walked) == len(BatchSampler(pool, 8, 5, seed=3)) == 5
    assert same(walked[4], BatchSampler(pool, 8, 5, seed=3).batch(1, 2, 4))


def test_a_jump_to_the_third_epoch_meets_the_pairs_of_those_who_walked_there(tiny_benchmark: TinyBenchmark) -> None:
    pool = tiny_benchmark.benchmark.training(1)
    walker, jumper = BatchSampler(pool, 8, 5, seed=3), BatchSampler(pool, 8, 5, seed=3)
    walked = [[torch.stack(walker.rows(1, epoch, step)) for step in range(5)] for epoch in range(4)]
    torch.manual_seed(99)  # nothing of it may matter
    jumped = [torch.stack(jumper.rows(1, 3, step)) for step in (4, 2, 0, 3, 1)]
    assert all(torch.equal(jumped[place], walked[3][step]) for place, step in enumerate((4, 2, 0, 3, 1)))
    assert not any(torch.equal(walked[3][0], other) for epoch in walked[:3] for other in epoch)


def test_the_pairs_of_a_position_are_the_same_in_every_process(tiny_benchmark: TinyBenchmark) -> None:
    """Pinned: a resumed run would otherwise continue with other pairs after an update of this package."""
    rows = BatchSampler(tiny_benchmark.benchmark.training(1), 4, 5, seed=3).rows(1, 3, 2)
    assert [row.tolist() for row in rows] == [[26, 36, 35, 68], [70, 68, 18, 29]]


def test_seed_stage_epoch_and_step_all_change_the_batch(tiny_benchmark: TinyBenchmark) -> None:
    pool = tiny_benchmark.benchmark.training(1)
    base = BatchSampler(pool, 8, 5, seed=3).rows(1, 2, 3)
    for seed, stage, epoch, step in (
        (4, 1, 2, 3),
        (3, 2, 2, 3),
        (3, 1, 3, 3),
        (3, 1, 2, 4),
        (3, 1, 3, 2),
        (2, 1, 3, 3),
    ):
        other = BatchSampler(pool, 8, 5, seed=seed).rows(stage, epoch, step)
        assert not torch.equal(torch.cat(base), torch.cat(other))


@pytest.mark.parametrize("kind", ["benchmark", "temporal"])
def test_audio_and_visual_features_are_of_the_drawn_clip(tiny_benchmark: TinyBenchmark, kind: str) -> None:
    pool = getattr(tiny_benchmark, kind).training(2)
    sampler = BatchSampler(pool, 16, 1, seed=0)
    batch = sampler.batch(2, 0, 0)
    rows, negative_rows = sampler.rows(2, 0, 0)
    for clips, labels, drawn in (
        (batch.clips, batch.labels, rows),
        (batch.negatives, batch.negative_labels, negative_rows),
    ):
        assert torch.equal(labels, pool.labels[drawn])
        for place, row in enumerate(drawn):
            alone = pool.features.clips(row.view(1))
            for name in ("audio", "visual"):
                values, mask = getattr(clips, name)[place], getattr(clips, f"{name}_mask")
                kept = values if mask is None else values[mask[place]]
                assert torch.equal(kept, getattr(alone, name)[0])
    assert (batch.labels != batch.negative_labels).all()
    assert torch.equal(batch.classes, pool.classes)


def test_labels_need_not_be_contiguous_or_all_present() -> None:
    features = FeatureTable(Ragged(torch.arange(4.0).view(4, 1)), None)
    pool = Pool(features, torch.tensor([5, 2, 5, 2]), torch.zeros(7, 2), tuple("abcdefg"), tuple("wxyz"))
    batch = BatchSampler(pool, 32, 1, seed=0).batch(1, 0, 0)
    assert set(batch.labels.tolist()) == {2, 5}


def test_the_sampler_leaves_the_global_generator_alone(tiny_benchmark: TinyBenchmark) -> None:
    state = torch.get_rng_state()
    BatchSampler(tiny_benchmark.benchmark.training(1), 4, 1, seed=0).batch(1, 0, 0)
    assert torch.equal(state, torch.get_rng_state())


@pytest.mark.parametrize(
    ("name", "sizes"), [("batch_size", (0, 1, 0)), ("batches_per_epoch", (1, 0, 0)), ("seed", (1, 1, -1))]
)
def test_sizes_out_of_range_are_refused(tiny_benchmark: TinyBenchmark, name: str, sizes: tuple[int, int, int]) -> None:
    with pytest.raises(SettingError, match=name):
        BatchSampler(tiny_benchmark.benchmark.training(1), *sizes)


def test_a_pool_of_one_class_is_refused() -> None:
    pool = Pool(
        FeatureTable(Ragged(torch.zeros(3, 1)), None), torch.zeros(3).long(), torch.zeros(1, 2), ("a",), ("x",) * 3
    )
    with pytest.raises(DataError, match=r"1 class\(es\)"):
        BatchSampler(pool, 4, 1, seed=0)
