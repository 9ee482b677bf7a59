"""Fixtures that more than one room's tests need."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from avzsl.methods._base import EmbeddingMethod
from avzsl.types import Batch, Clips, Dimensions, ExtractorIdentity, TextVectors

if TYPE_CHECKING:
    from avzsl.data.splits import Benchmark

# Two threads on a busy machine are slower than one, and the tests run in parallel processes.
torch.set_num_threads(1)


@pytest.fixture(scope="session")
def avca() -> Path:
    """The real class splits and word vectors, when they lie beside the project; tests skip without them."""
    default = Path(__file__).resolve().parents[2] / "shared" / "data" / "avca"
    folder = Path(os.environ.get("AVZSL_AVCA", default))
    if not folder.is_dir():
        pytest.skip("the real class splits are not here; set AVZSL_AVCA to their folder")
    return folder


@dataclass(frozen=True)
class ToyConfig:
    """Settings of the toy method."""

    width: int = 8
    dropout: float = 0.2


class ToyMethod(EmbeddingMethod):
    """The smallest method with everything that a resumed run must bring back: weights, running statistics, dropout."""

    Config = ToyConfig
    name = "toy"
    title, year, venue, citation = "Toy", 2026, "tests", "none"

    def __init__(self, config: ToyConfig, dimensions: Dimensions) -> None:
        super().__init__(config, dimensions)
        self.audio = torch.nn.Linear(dimensions.audio or 1, config.width)
        self.visual = torch.nn.Linear(dimensions.visual or 1, config.width)
        self.norm = torch.nn.BatchNorm1d(config.width)
        self.dropout = torch.nn.Dropout(config.dropout)
        self.text = torch.nn.Linear(dimensions.text, config.width)

    def embed_clips(self, clips: Clips) -> torch.Tensor:
        parts = [
            layer(values.mean(dim=1))
            for layer, values in ((self.audio, clips.audio), (self.visual, clips.visual))
            if values is not None
        ]
        return self.dropout(self.norm(torch.stack(parts).mean(dim=0)))

    def embed_classes(self, classes: torch.Tensor) -> torch.Tensor:
        return self.text(classes)

    def loss_terms(self, batch: Batch) -> dict[str, torch.Tensor]:
        clips, classes = self.embed_clips(batch.clips), self.embed_classes(batch.classes)
        pull = (clips - classes[batch.labels]).norm(dim=1).mean()
        push = (2 - (clips - classes[batch.negative_labels]).norm(dim=1)).relu().mean()
        return {"loss": pull + push, "pull": pull, "push": push}


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch) -> type[ToyMethod]:
    """A registered toy method, gone again after the test."""
    import avzsl.methods
    from avzsl.methods._base import METHODS

    assert avzsl.methods
    monkeypatch.setitem(METHODS._entries, "toy", ToyMethod)
    return ToyMethod


TOY_EXTRACTOR = ExtractorIdentity("toy-extractor", settings={"rate": 2})
TOY_SPLITS = {
    "stage_1_train": (("apple", "bell", "cat", "dog"), 6),
    "stage_1_val_seen": (("apple", "bell", "cat", "dog"), 3),
    "stage_1_val_unseen": (("egg", "fish, fried"), 5),
    "stage_2_test_seen": (("apple", "bell", "cat", "dog", "egg", "fish, fried"), 3),
    "stage_2_test_unseen": (("goat", "horn"), 4),
}


@pytest.fixture(scope="session")
def toy_benchmark(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A benchmark folder of eight classes whose features follow from their text vectors; copy it before changing it."""
    folder = tmp_path_factory.mktemp("benchmarks") / "Toy"
    write_toy_benchmark(folder, TOY_EXTRACTOR)
    return folder


def write_toy_benchmark(folder: Path, identity: ExtractorIdentity, audio: int = 5, visual: int = 7) -> None:
    """Write one, in the layout of the field."""
    import csv

    from avzsl.features.store import write_class_file, write_word_vectors
    from avzsl.layout import Layout

    layout = Layout(folder, "main")
    names = sorted({name for classes, _ in TOY_SPLITS.values() for name in classes})
    generator = torch.Generator().manual_seed(11)
    vectors = torch.nn.functional.normalize(torch.randn(len(names), 6, generator=generator), dim=1)
    maps = {"audio": torch.randn(6, audio, generator=generator), "visual": torch.randn(6, visual, generator=generator)}
    layout.split_dir.mkdir(parents=True)
    layout.all_class.write_text("\n".join(names))
    with layout.class_names_csv.open("w", newline="") as file:
        csv.writer(file).writerows([("original", "manual"), *((n, n) for n in names)])
    layout.word_vectors_safetensors.parent.mkdir(parents=True)
    write_word_vectors(layout.word_vectors_safetensors, TextVectors(tuple(names), vectors, "toy-text"))
    for split, (classes, count) in TOY_SPLITS.items():
        layout.split_txt(split).write_text("\n".join(classes))
        for name in classes:
            clips = [f"{name} {split} {i}" for i in range(count)]
            for modality, weights in maps.items():
                rows = vectors[names.index(name)] @ weights + 0.4 * torch.randn(
                    count, weights.shape[1], generator=generator
                )
                path = layout.features_file(modality, split, name)
                path.parent.mkdir(parents=True, exist_ok=True)
                write_class_file(path, rows.numpy(), clips, identity)


def write_class_files(folder: Path, split: str, class_name: str, names: list[str], **tables: Any) -> None:
    """Write one class of one split the plain way, with h5py only.

    Args:
        folder: the family's feature folder.
        split: split name.
        class_name: file stem.
        names: clip names.
        tables: `audio=` and `visual=`; an array [n, d], or a list of [T_i, d] for temporal features.
    """
    import h5py

    for modality, table in tables.items():
        path = folder / {"audio": "audio", "visual": "video"}[modality] / split / f"{class_name}.h5"
        path.parent.mkdir(parents=True, exist_ok=True)
        with h5py.File(path, "w") as file:
            if isinstance(table, list):
                file["offsets"] = np.cumsum([0, *(len(rows) for rows in table)])
                file.attrs["step_seconds"] = 1.0
                table = np.concatenate(table)
            file["data"] = table
            file["video_urls"] = np.array([name.encode() for name in names], dtype="S80")


def write_class_split(root: Path, stem: str, names: dict[str, list[str]], family_split: str = "main_split") -> None:
    """Write all_class.txt, the class-name csv and the split lists of a small dataset.

    Args:
        root: dataset folder.
        stem: beginning of the class-name file.
        names: class names under `train`, `validation` and `test`.
    """
    folder = root / "class-split"
    (folder / family_split).mkdir(parents=True, exist_ok=True)
    everything = [name for part in names.values() for name in part]
    (folder / "all_class.txt").write_text("\n".join(everything) + "\n")
    rows = "".join(f'"{name}","{name}"\n' for name in everything)
    (folder / f"{stem}_w2v_class_names.csv").write_text("original,manual\n" + rows)
    both = names["train"] + names["validation"]
    lists = {
        "stage_1_train": names["train"],
        "stage_1_val_seen": names["train"],
        "stage_1_val_unseen": names["validation"],
        "stage_2_train": both,
        "stage_2_test_seen": both,
        "stage_2_test_unseen": names["test"],
    }
    for split, classes in lists.items():
        (folder / family_split / f"{split}.txt").write_text("\n".join(classes))


@dataclass(frozen=True)
class TinyBenchmark:
    """A small averaged and temporal benchmark; audio and visual features are noisy linear maps of the text vectors.

    12 classes (6 trained on, 3 for validation, 3 for the test), 8 columns of text, 10 of audio, 14 of visual features;
    12 clips per class to train on and 6 per class in every evaluation split.

    Attributes:
        root: the dataset folder; holds averaged and temporal features of family `main`.
        benchmark: averaged features, clean mode.
        temporal: the same clips with 2 to 5 audio and 1 to 4 visual segments each.
    """

    root: Path
    benchmark: Benchmark
    temporal: Benchmark


@pytest.fixture(scope="session")
def tiny_benchmark(tmp_path_factory: pytest.TempPathFactory) -> TinyBenchmark:
    """A separable benchmark on disk and in memory; do not write into its folder."""
    from avzsl.data.splits import load_benchmark

    root = tmp_path_factory.mktemp("tiny") / "Tiny"
    names = {
        "train": ["siren", "church bell", "drum, snare", "engine", "typing", "harp"],
        "validation": ["helicopter", "barking dog", "lawn mower"],
        "test": ["rain (heavy)", "flute", "keyboard"],
    }
    write_class_split(root, "tiny", names)
    random = np.random.default_rng(5)
    vectors = {name: random.normal(size=8) for part in names.values() for name in part}
    vectors = {name: (v / np.linalg.norm(v)).astype(np.float32) for name, v in vectors.items()}
    maps = {"audio": random.normal(size=(8, 10)), "visual": random.normal(size=(8, 14))}
    counts = {"stage_1_train": 12}
    for split in (
        "stage_1_train",
        "stage_1_val_seen",
        "stage_1_val_unseen",
        "stage_2_test_seen",
        "stage_2_test_unseen",
    ):
        classes = (root / "class-split" / "main_split" / f"{split}.txt").read_text().split("\n")
        for name in classes:
            clips = [f"{split}_{name}_{i}" for i in range(counts.get(split, 6))]
            centre = {m: vectors[name] @ maps[m] for m in maps}
            segments = {
                m: [
                    (centre[m] + 0.3 * random.normal(size=(int(random.integers(least, least + 4)), len(centre[m]))))
                    for _ in clips
                ]
                for m, least in (("audio", 2), ("visual", 1))
            }
            averaged = {m: np.stack([rows.mean(0) for rows in segments[m]]).astype(np.float32) for m in segments}
            write_class_files(root / "features" / "main_features", split, name, clips, **averaged)
            temporal = {m: [rows.astype(np.float32) for rows in segments[m]] for m in segments}
            write_class_files(root / "features" / "main_features_non_averaged", split, name, clips, **temporal)
    text = root / "features" / "main_features" / "text"
    text.mkdir()
    np.save(text / "word_embeddings_tiny_normed.npy", np.array(vectors, dtype=object), allow_pickle=True)
    return TinyBenchmark(root, load_benchmark(root), load_benchmark(root, temporal=True))
