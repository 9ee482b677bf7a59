"""The smallest benchmark folder that loads, with its files in several shapes of HDF5."""

from __future__ import annotations

import csv
from pathlib import Path

import h5py
import numpy as np
import torch

from avzsl.features.store import write_class_file, write_word_vectors
from avzsl.features.store.temporal import write_temporal_file
from avzsl.layout import FOLDERS, SPLITS, Layout
from avzsl.types import ExtractorIdentity, TextVectors

CLASSES = ("ant", "bee", "bug", "cat")
_OF_SPLIT = {
    "stage_1_train": ("ant", "bug"),
    "stage_1_val_seen": ("ant", "bug"),
    "stage_1_val_unseen": ("bee",),
    "stage_2_train": ("ant", "bee", "bug"),
    "stage_2_test_seen": ("ant", "bee", "bug"),
    "stage_2_test_unseen": ("cat",),
}
SIZES = {"audio": 4, "visual": 5}
IDENTITY = ExtractorIdentity("hostile", profile="clean", settings={"rate": 16000}, version=1)


def write_benchmark(root: Path) -> Layout:
    """Write averaged and temporal features, lists and word vectors."""
    layout, random = Layout(root), np.random.default_rng(0)
    layout.split_dir.mkdir(parents=True)
    layout.all_class.write_text("\n".join(CLASSES) + "\n")
    rows = [("original", "manual"), *((name, name) for name in CLASSES)]
    with layout.class_names_csv.open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    for split in SPLITS:
        names = _OF_SPLIT[split]
        layout.split_txt(split).write_text("\n".join(names) + "\n")
        for modality in FOLDERS:
            for name in names if split != "stage_2_train" else ():
                clips = [f"{split} {name} {n} é" for n in range(3)]
                data = np.random.default_rng([len(split), len(name)]).random((3, SIZES[modality]))
                write_class_file(layout.features_file(modality, split, name), data, clips, IDENTITY)
                lengths = [random.random((1 + n, SIZES[modality])) for n in range(3)]
                path = layout.root / "features/main_features_non_averaged" / FOLDERS[modality] / split / f"{name}.h5"
                write_temporal_file(path, lengths, clips, IDENTITY, 1.0)
    vectors = torch.nn.functional.normalize(torch.from_numpy(random.random((4, 6))).float())
    write_word_vectors(layout.word_vectors_safetensors, TextVectors(CLASSES, vectors, "hash-ngram"))
    return layout


def other_shapes(path: Path) -> list[bytes]:
    """The same content as other writers store it: newer format, chunks with compression, fixed-width names."""
    with h5py.File(path) as file:
        content = {name: np.asarray(file[name]) for name in file}
        about = dict(file.attrs)
    names = [name.decode() if isinstance(name, bytes) else str(name) for name in content.pop("video_urls")]
    found = []
    for number in range(3):
        with h5py.File(path.name, "w", "core", backing_store=False, libver=("earliest", "latest")[number == 0]) as file:
            for name, values in content.items():
                packed = {"chunks": True, "compression": "gzip", "shuffle": True} if number == 1 else {}
                kind = np.float64 if number == 2 and name == "data" else values.dtype
                file.create_dataset(name, data=values.astype(kind), fletcher32=number == 1, **packed)
            urls = np.array([name.encode() for name in names]) if number == 2 else names
            file.create_dataset("video_urls", data=urls, dtype=None if number == 2 else h5py.string_dtype())
            file.attrs.update(about)
            file.flush()
            found.append(file.id.get_file_image())
    return found
