"""Folders that look like the distributed benchmarks, with the real class names and tiny random features."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import h5py
import numpy as np
import pytest

if TYPE_CHECKING:
    from tests.conftest import TinyBenchmark

VECTOR_FILES = {
    "UCF": "word_embeddings_ucf_normed.npy",
    "ActivityNet": "word_embeddings_activity_normed.npy",
    "VGGSound": "word_embeddings_vggsound_normed.npy",
}
SPLITS_READ = ("stage_1_train", "stage_1_val_seen", "stage_1_val_unseen", "stage_2_test_seen", "stage_2_test_unseen")
Publish = Callable[..., Path]


def classes_of(root: Path, split: str, family: str = "main") -> list[str]:
    """Class names of a split, read the plain way."""
    text = (root / "class-split" / f"{family}_split" / f"{split}.txt").read_text()
    return [line.strip() for line in text.split("\n") if line.strip()]


def clip_count(name: str, split: str) -> int:
    """1 to 3 clips, depending on class and split."""
    return 1 + (len(name) + len(split)) % 3


@pytest.fixture
def publish(avca: Path, tmp_path: Path) -> Publish:
    """Write a benchmark folder exactly as distributed: fixed-width names, float64, all main classes in test-unseen."""

    def write(
        dataset: str,
        family: str = "main",
        *,
        folder: str | None = None,
        sizes: tuple[int, int] = (3, 4),
        splits: Sequence[str] = SPLITS_READ,
    ) -> Path:
        root = tmp_path / dataset
        if not root.is_dir():
            shutil.copytree(avca / dataset / "class-split", root / "class-split")
        features = root / "features" / (folder or f"{family}_features")
        for split in splits:
            names = classes_of(root, split)  # of family main: cls test-unseen folders hold more than their list (P15)
            for modality, size in zip(("audio", "video"), sizes, strict=True):
                (features / modality / split).mkdir(parents=True)
                for name in names:
                    count = clip_count(name, split)
                    random = np.random.default_rng([len(name), sum(map(ord, name + split)), size])
                    with h5py.File(features / modality / split / f"{name}.h5", "w") as file:
                        file["data"] = random.normal(size=(count, size))
                        file["video_urls"] = np.array([f"{split}_{name}_{i}" for i in range(count)], dtype="S80")
        (features / "text").mkdir()
        shutil.copy(avca / "word-vectors" / VECTOR_FILES[dataset], features / "text")
        return root

    return write


@pytest.fixture
def tiny_copy(tiny_benchmark: TinyBenchmark, tmp_path: Path) -> Path:
    """A copy of the tiny benchmark's folder, to be damaged."""
    shutil.copytree(tiny_benchmark.root, tmp_path / "Tiny")
    return tmp_path / "Tiny"
