"""Run folders as training leaves them, with scores drawn here and numbers that follow from them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from avzsl.evaluation.metrics import evaluate_scores, zsl_chance
from avzsl.experiments.result import Result, percent, write_result
from avzsl.files import hash_bytes, write_json, write_tensors

StoreRun = Callable[..., Path]


@pytest.fixture
def store_run(tmp_path: Path) -> StoreRun:
    """Writes a finished run: `store_run("runs/stft/seed-0", method="stft", seed=0, skill=1.5)`."""

    def store(
        place: str, *, method: str = "ridge", seed: int = 0, skill: float = 1.0, draw: int | None = None,
        classes: int = 12, per_class: int = 6, clips: list[str] | None = None, settings: dict[str, Any] | None = None,
        word: str = "class",
        **changes: Any,
    ) -> Path:  # fmt: skip
        folder = tmp_path / place
        random = torch.Generator().manual_seed(seed if draw is None else draw)
        labels = torch.arange(classes * per_class) % classes
        scores = torch.randn(len(labels), classes, generator=random)
        scores[torch.arange(len(labels)), labels] += skill
        seen = torch.arange(classes) < classes - classes // 3
        names = clips or [f"clip {i:03d}" for i in range(len(labels))]
        bias = 0.3
        gzsl = evaluate_scores(scores, labels, seen, bias)
        write_tensors(folder / "evaluation.safetensors", {"scores": scores, "labels": labels, "seen": seen})
        curve = {"grid": [0.0], "seen": [0.5], "unseen": [0.5], "hm": [0.5], "best": 0.0}
        written = {"class_names": [f"{word} {c}" for c in range(classes)], "clip_names": names, "bias": bias}
        write_json(folder / "evaluation.json", written | {"curve": curve})
        result = Result(
            **{
                "method": method, "preset": "demo", "benchmark": "Toy", "family": "main", "temporal": False,
                "mode": "clean", "seed": seed, "seen": percent(gzsl.seen), "unseen": percent(gzsl.unseen),
                "hm": percent(gzsl.hm), "zsl": percent(gzsl.zsl), "zsl_chance": percent(zsl_chance(seen)),
                "bias": bias, "epoch": 3, "validation": {"hm": 1.0}, "counts": {}, "quirks": {"average_biases": False},
                "text_assignment": "by_name", "text_encoder": "toy",
                "extractor": {"name": "toy", "profile": "clean", "settings": {}, "version": 1}, "fingerprint": "f" * 64,
                "evaluated": hash_bytes(*(n.encode() for n in sorted(names)))[:16], "seconds": 1.0,
            }
            | changes
        )  # fmt: skip
        write_result(folder, result)
        chosen = {"method": {"width": 8}, "train": {"epochs": 3}, "protocol": {"bias_search": "grid"}} | (
            settings or {}
        )
        write_json(folder / "settings.json", {"method": method, "seed": seed, "settings": chosen})
        return folder

    return store
