"""A run folder as training and inspection leave it, made of numbers drawn here."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import numpy as np
import pytest
from safetensors.numpy import save_file

MakeRun = Callable[..., Path]


@pytest.fixture
def make_run(tmp_path: Path) -> MakeRun:
    def make(classes: int = 8, per_class: int = 4, names: list[str] | None = None, folder: str = "run") -> Path:
        run = tmp_path / folder
        run.mkdir()
        _write_run(run, classes, per_class, names)
        return run

    return make


@pytest.fixture
def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    """Replace what takes long, drawing and t-SNE, for tests that look at the words of the page."""
    from avzsl.report import charts, space, spikes
    from avzsl.report.drawing import Picture

    svg = '<svg role="img" aria-label="figure"></svg>'
    for module in (charts, space, spikes):
        monkeypatch.setattr(module, "canvas", lambda *_: contextlib.nullcontext(MagicMock()))
        monkeypatch.setattr(module, "to_svg", lambda *_, **__: svg)
    monkeypatch.setattr(spikes, "raster_pictures", lambda _: [Picture(svg, "raster")])
    monkeypatch.setattr(space, "_tsne", lambda points, _: np.asarray(points)[:, :2])


def _write_run(run: Path, classes: int, per_class: int, names: list[str] | None) -> None:
    draw = np.random.default_rng(3)
    unseen = max(1, classes // 4)
    names = names or [f"class number {i:03d}" for i in range(classes)]
    seen = np.arange(classes) < classes - unseen
    labels = np.repeat(np.arange(classes), per_class)
    centres = draw.normal(size=(classes, 16)) * 1.2
    clips = (centres[labels] + draw.normal(size=(len(labels), 16)) * 1.5).astype(np.float32)
    scores = -np.linalg.norm(clips[:, None] - centres.astype(np.float32), axis=2)
    scores = (scores + 1.0 * seen).astype(np.float32)
    bias = 0.8
    joint = (scores - bias * seen).argmax(1) == labels
    recall = np.array([joint[labels == c].mean() for c in range(classes)])
    alone = np.where(seen, -np.inf, scores).argmax(1) == labels
    s, u = recall[seen].mean(), recall[~seen].mean()
    zsl = np.mean([alone[labels == c].mean() for c in np.nonzero(~seen)[0]])
    result: dict[str, Any] = {
        "method": "stft", "benchmark": "world", "family": "main", "mode": "clean", "seed": 7, "epoch": 6, "bias": bias,
        "seen": 100 * s, "unseen": 100 * u, "hm": 200 * s * u / (s + u), "zsl": 100 * zsl, "zsl_chance": 100 / unseen,
        "seconds": 83.4, "fingerprint": "ab" * 32, "extractor": {"name": "builtin"}, "text_encoder": "minilm",
        "versions": {"python": "3.11.2", "torch": "2.13.0"}, "quirks": {"bias_average": False},
        "counts": {"test_clips": len(labels), "classes": classes}, "simulated": True,
    }  # fmt: skip
    (run / "result.json").write_text(json.dumps(result))
    settings = {"method": {"name": "stft", "time_steps": 8}, "train": {"epochs": 12, "schedule": "constant"}}
    (run / "settings.json").write_text(json.dumps(settings))
    _write_epochs(run)
    tensors = {
        "scores": scores, "labels": labels, "seen": seen, "embeddings": clips,
        "class_embeddings": centres.astype(np.float32),
    }  # fmt: skip
    save_file(tensors, run / "evaluation.safetensors")
    grid = np.linspace(0, 3, 16)
    curve_seen, curve_unseen = 0.8 - 0.4 * grid**2 / 3, 0.2 + 0.4 * np.sqrt(grid)
    curve_seen = np.clip(curve_seen, 0, 1)
    hm = 2 * curve_seen * curve_unseen / (curve_seen + curve_unseen)
    curve = {"grid": grid, "seen": curve_seen, "unseen": curve_unseen, "hm": hm}
    evaluation = {
        "class_names": names, "clip_names": [f"clip_{i:04d}" for i in range(len(labels))],
        "curve": {k: v.tolist() for k, v in curve.items()} | {"best": bias},
    }  # fmt: skip
    (run / "evaluation.json").write_text(json.dumps(evaluation))
    _write_inspection(run, draw, names, seen, labels)


def _write_epochs(run: Path) -> None:
    lines = []
    for stage in (1, 2):
        for epoch in range(12):
            fall = 0.8**epoch
            record = {
                "stage": stage, "epoch": epoch + 1, "learning_rate": 1e-4, "loss": 1.4 * fall + 0.1, "triplet": fall,
                "projection": 0.3 * fall, "reconstruction": 0.2 * fall, "seconds": 2.5,
            }  # fmt: skip
            if stage == 1:
                s, u = 0.8 * (1 - fall), 0.5 * (1 - fall) * (1 - 0.02 * abs(epoch - 6))
                hm = 2 * s * u / (s + u) if s + u else 0.0
                record |= {"seen": s, "unseen": u, "hm": hm, "zsl": min(1.0, u * 1.2), "bias": 0.8}
            lines.append(json.dumps(record))
    (run / "epochs.jsonl").write_text("\n".join(lines) + "\n")


def _write_inspection(run: Path, draw: Any, names: list[str], seen: Any, labels: Any) -> None:
    from PIL import Image

    examples = []
    (run / "thumbnails").mkdir()
    for i in np.nonzero(~seen[labels])[0][:6]:
        for part, size in (("frames", (448, 112)), ("sound", (448, 70))):
            buffer = io.BytesIO()
            across = np.linspace(0, 255, size[0])[None, :, None] * np.ones((size[1], 1, 3)) * draw.uniform(0.3, 1, 3)
            Image.fromarray(across.astype(np.uint8)).save(buffer, "JPEG")
            (run / "thumbnails" / f"{i}.{part}.jpg").write_bytes(buffer.getvalue())
        pictures = {part: f"thumbnails/{i}.{part}.jpg" for part in ("frames", "sound")}
        examples.append({"clip": f"clip_{i:04d}"} | pictures)
    baselines = [
        {"name": f"ridge ({m})", "seen": 40.0, "unseen": 20.5, "hm": 27.1, "zsl": 33.3} for m in ("audio", "both")
    ]
    spikes = {"clip": examples[0]["clip"], "class_name": names[int(np.nonzero(~seen)[0][0])], "rate_clips": 16}
    extra = {"examples": examples, "baselines": baselines, "spikes": spikes}
    (run / "report.json").write_text(json.dumps(extra))
    arrays: dict[str, Any] = {}
    for modality in ("audio", "visual"):
        for block, neurons in enumerate((2048, 1024, 512)):
            rate = draw.uniform(0.1, 0.3, size=(8, 1))
            arrays[f"spikes.{modality}.{block}"] = (draw.uniform(size=(8, neurons)) < rate).astype(np.uint8)
            arrays[f"threshold.{modality}.{block}"] = (0.5 + 0.1 * draw.normal(size=(8, 8)).cumsum(0)).astype(
                np.float32
            )
            arrays[f"rates.{modality}.{block}"] = rate[:, 0].astype(np.float32)
    save_file(arrays, run / "report.safetensors")
