"""The same seed gives the same bytes, for every method; a GPU names the same classes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch

import avzsl.methods
from avzsl.config import preset_names
from avzsl.decision import decide
from avzsl.errors import SettingError
from avzsl.experiments.run import run_training
from avzsl.methods._base import METHODS
from avzsl.methods._checkpoint import load_model
from avzsl.types import Clips

from ..conftest import TOY_EXTRACTOR, write_toy_benchmark

if TYPE_CHECKING:
    from tests.conftest import TinyBenchmark

assert avzsl.methods
every_method = pytest.mark.parametrize("name", METHODS.names())
RESULTS = ("model.safetensors", "model.json", "evaluation.safetensors", "evaluation.json")
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # trained far too shortly


def _train(name: str, data: Path, out: Path) -> dict[str, bytes]:
    """The demo preset, cut to two epochs of two batches."""
    assignments = ["epochs=2", "batches=2", "batch_size=16"]
    preset = "demo" if "demo" in preset_names(name) else None
    try:
        run_training(data, name, out=out, preset=preset, assignments=assignments, seed=5, device="cpu")
    except SettingError as error:
        if "of one length" not in str(error):
            raise
        even = out.with_name("Even")  # features as wide as the text vectors
        if not even.exists():
            write_toy_benchmark(even, TOY_EXTRACTOR, audio=6, visual=6)
        run_training(even, name, out=out, preset=preset, assignments=assignments, seed=5, device="cpu")
    return {file: (out / file).read_bytes() for file in RESULTS}


@every_method
def test_training_twice_gives_the_same_bytes(name: str, tiny_benchmark: TinyBenchmark, tmp_path: Path) -> None:
    first = _train(name, tiny_benchmark.root, tmp_path / "a")
    torch.randn(7)  # where the global generator stands must not matter
    second = _train(name, tiny_benchmark.root, tmp_path / "b")
    assert [file for file in RESULTS if first[file] != second[file]] == []


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@every_method
def test_a_gpu_predicts_what_the_cpu_predicts(name: str, tiny_benchmark: TinyBenchmark, tmp_path: Path) -> None:
    _train(name, tiny_benchmark.root, tmp_path / "a")
    generator = torch.Generator().manual_seed(4)
    picked = []
    for device in ("cpu", "cuda"):
        method, card = load_model(tmp_path / "a", device)
        sizes, steps = card.dimensions, 3 if card.temporal else 1
        generator.manual_seed(4)
        rows = [torch.randn(5000, steps, width or 1, generator=generator) for width in (sizes.audio, sizes.visual)]
        clips = Clips(*rows).to(torch.device(device))
        with torch.inference_mode():
            scores = method.scorer(card.classes.vectors.to(device))(clips)["both"].float().cpu()
        picked.append(decide(scores, torch.tensor(card.seen), card.bias))
    assert (picked[0] == picked[1]).float().mean() >= 0.999
