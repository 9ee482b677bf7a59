"""The page of a run that training wrote: a key that is renamed there or here is noticed."""

from __future__ import annotations

import json
import re
import warnings
from pathlib import Path

import numpy as np
import pytest

from avzsl.data.splits import load_benchmark
from avzsl.experiments.inspect import inspect_run
from avzsl.experiments.run import run_training
from avzsl.report import write_report

SMALL = [
    "hidden=32", "heads=2", "head_width=8", "attention_hidden=8", "head_hidden=16", "slots=1", "time_steps=3", "rank=4",
    "largest_rank=4", "epochs=3", "batches=4", "batch_size=16",
]  # fmt: skip


def train(data: Path, out: Path, method: str, assignments: list[str]) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # so short a training may choose a bias at the end of its grid
        run_training(data, method, out=out, assignments=assignments, device="cpu")
    return out


def test_every_section_of_a_trained_run_is_there(toy_benchmark: Path, tmp_path: Path) -> None:
    run = train(toy_benchmark, tmp_path / "run", "stft", SMALL)
    frames = np.zeros((4, 8, 8, 3), dtype=np.uint8)
    inspect_run(run, load_benchmark(toy_benchmark), examples=3, frames_of=lambda _: frames)
    content = write_report(run).read_text()
    assert 'class="missing"' not in content
    result = json.loads((run / "result.json").read_text())
    assert result["epoch"] == int(re.search(r"marks the selected epoch, (\d+)", content)[1])  # type: ignore[index]
    assert f"mean {result['seen']:.2f} %" in content and "not of the same run" not in content
    for words in ("Stage 1, 3 epochs", f"Stage 2, {result['epoch']} epoch", "Mean over", "data:image/jpeg"):
        assert words in content
    assert content.count('id="epochs-validation-1-axes_1"') == 1, "validation scores of stage 1 are drawn"


@pytest.mark.usefixtures("plain")
def test_a_method_in_closed_form_has_a_page_too(toy_benchmark: Path, tmp_path: Path) -> None:
    run = train(toy_benchmark, tmp_path / "run", "ridge", [])
    inspect_run(run, load_benchmark(toy_benchmark), examples=3)
    content = write_report(run).read_text()
    assert "no spiking neurons" in content and content.count('class="missing"') == 1
