"""A training of STFT in sizes that can be chosen; as a program, it says how much memory two steps of it take."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from avzsl.data.batches import BatchSampler
from avzsl.data.tables import FeatureTable, Pool, Ragged
from avzsl.methods.stft import Stft, StftConfig
from avzsl.training.loop import Position, TrainConfig, build_method, build_optimiser, train_step
from avzsl.types import Dimensions

COLUMNS, TEXT = 512, 300


@dataclass(frozen=True)
class Load:
    """What STFT is trained on: videos, classes, segments of each, time steps, pairs in a batch."""

    videos: int = 3000
    classes: int = 50
    segments: int = 1
    time_steps: int = 8
    pairs: int = 256
    columns: int = COLUMNS


def training(load: Load, seed: int) -> Callable[[], object]:
    """A training step of STFT, to be called again and again."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(load.videos) % load.classes
    offsets = torch.arange(0, load.videos * load.segments + 1, load.segments) if load.segments > 1 else None
    rows = [torch.randn(load.videos * load.segments, load.columns, generator=generator) for _ in range(2)]
    pool = Pool(
        FeatureTable(Ragged(rows[0], offsets), Ragged(rows[1], offsets)), labels,
        torch.randn(load.classes, TEXT, generator=generator), tuple(map(str, range(load.classes))),
        tuple(map(str, range(load.videos))),
    )  # fmt: skip
    config = StftConfig(time_steps=load.time_steps, hidden=load.columns, heads=8)
    sizes = Dimensions(load.columns, load.columns, TEXT)
    method = build_method(lambda: Stft(config, sizes), seed, torch.device("cpu")).train()
    train = TrainConfig(batch_size=load.pairs)
    optimiser = build_optimiser(method, train)
    assert optimiser is not None
    sampler, steps = BatchSampler(pool, load.pairs, train.batches, seed), iter(range(10**9))

    def step() -> object:
        number = next(steps)
        batch = sampler.batch(1, 0, number)
        return train_step(method, optimiser, batch, train.learning_rate, Position(seed, 1, 0, number))

    return step


def peak_memory() -> float:
    """Peak resident memory of this process in MiB."""
    try:
        for line in Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith("VmHWM:"):
                return float(line.split()[1]) / 2**10
    except OSError:
        pass
    # Where there is no such file; on Linux this number would also hold the parent's peak.
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)


def _child(text: str) -> None:
    """What the child process does."""
    values = json.loads(text)
    torch.set_num_threads(values.pop("threads"))
    step = training(Load(**values), 0)
    step(), step()
    sys.stdout.write(f"{peak_memory():.0f}\n")


if __name__ == "__main__":
    _child(sys.argv[1])
