"""Nearest class: cosines by hand, what it refuses to compare, and a run without any weights."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from avzsl.errors import ModelError, SettingError
from avzsl.experiments.run import run_training
from avzsl.methods._checkpoint import load_model
from avzsl.methods.nearest import Nearest, NearestConfig
from avzsl.types import Batch, Clips, Dimensions, ExtractorIdentity

from ..conftest import write_toy_benchmark

TEXTS = torch.tensor([[1.0, 0.0], [0.6, 0.8], [-2.0, 0.0]])
CLIPS = Clips(torch.tensor([[[3.0, 4.0]], [[0.0, 2.0]]]), torch.tensor([[[5.0, 0.0]], [[-1.0, 0.0]]]))
AUDIO = [[0.6, 1.0, -0.6], [0.0, 0.8, 0.0]]  # 0.6 · 0.6 + 0.8 · 0.8 = 1
VISUAL = [[1.0, 0.6, -1.0], [-1.0, -0.6, 1.0]]
BOTH = [[0.8, 0.8, -0.8], [-0.5, 0.1, 0.5]]


def make(modality: str = "auto", audio: int | None = 2, visual: int | None = 2, text: int = 2) -> Nearest:
    return Nearest(NearestConfig(modality), Dimensions(audio, visual, text))  # type: ignore[arg-type]


def test_scores_are_cosines_averaged_over_modalities() -> None:
    found = make().mode_scores(CLIPS, TEXTS)
    assert {name: scores.tolist() for name, scores in found.items()} == {
        "both": [pytest.approx(row, abs=1e-6) for row in BOTH],
        "audio": [pytest.approx(row, abs=1e-6) for row in AUDIO],
        "visual": [pytest.approx(row, abs=1e-6) for row in VISUAL],
    }
    assert torch.equal(make().class_scores(CLIPS, TEXTS), found["both"])


@pytest.mark.parametrize(("modality", "rows"), [("audio", AUDIO), ("visual", VISUAL), ("both", BOTH)])
def test_a_setting_picks_the_modality(modality: str, rows: list[list[float]]) -> None:
    assert torch.allclose(make(modality).class_scores(CLIPS, TEXTS), torch.tensor(rows), atol=1e-6)


def test_what_is_missing_is_left_out_of_the_average() -> None:
    assert torch.allclose(make().class_scores(CLIPS.only("audio"), TEXTS), torch.tensor(AUDIO), atol=1e-6)
    assert set(make().mode_scores(CLIPS.only("visual"), TEXTS)) == {"both", "visual"}
    with pytest.raises(ModelError, match="these clips have no visual, all that this model looks at"):
        make("visual").class_scores(CLIPS.only("audio"), TEXTS)


def test_segments_are_averaged_before_the_comparison() -> None:
    ragged = Clips(torch.tensor([[[6.0, 0.0], [0.0, 8.0], [9.0, 9.0]]]), None, torch.tensor([[True, True, False]]))
    assert make().class_scores(ragged, TEXTS)[0].tolist() == pytest.approx(AUDIO[0])


def test_the_loss_for_the_log_is_the_distance_from_the_own_class() -> None:
    labels = torch.tensor([1, 2])
    terms = make().fit_step(Batch(CLIPS, labels, CLIPS, labels, TEXTS))
    assert terms["loss"].item() == pytest.approx(1 - (0.8 + 0.5) / 2)


@pytest.mark.parametrize(
    ("sizes", "modality", "used"),
    [((2, 2), "auto", ["audio", "visual"]), ((2, 5), "auto", ["audio"]), ((None, 2), "auto", ["visual"]),
     ((5, 2), "visual", ["visual"]), ((2, 2), "both", ["audio", "visual"])],
)  # fmt: skip
def test_only_features_as_long_as_a_text_vector_are_compared(
    sizes: tuple[int | None, int | None], modality: str, used: list[str]
) -> None:
    assert list(make(modality, *sizes).sizes) == used


@pytest.mark.parametrize(
    ("sizes", "modality"),
    [((5, 7), "auto"), ((5, 2), "both"), ((2, 5), "visual"), ((None, 2), "audio"), ((None, 2), "both")],
)
def test_features_of_other_sizes_are_refused_with_the_sizes(sizes: tuple[int | None, int], modality: str) -> None:
    audio = "no" if sizes[0] is None else sizes[0]
    with pytest.raises(
        SettingError,
        match=rf"there are {audio} columns of audio, {sizes[1]} columns of visual and 2 of text "
        rf"\(modality is '{modality}'\); ridge learns a map",
    ):
        make(modality, *sizes)


def test_a_run_without_weights_is_judged_stored_and_read_back(tmp_path: Path) -> None:
    write_toy_benchmark(tmp_path / "Toy", ExtractorIdentity("toy-extractor"), audio=6)
    result = run_training(tmp_path / "Toy", "nearest", out=tmp_path / "run", preset="default")
    assert 0 <= result.zsl <= 100
    method, card = load_model(tmp_path / "run")
    assert isinstance(method, Nearest)
    assert list(method.sizes) == ["audio"] and not method.state_dict()
    clips = Clips(torch.randn(3, 1, 6), None)
    wanted = torch.nn.functional.cosine_similarity(clips.audio, card.classes.vectors, dim=2)  # type: ignore[arg-type]
    assert torch.allclose(method.class_scores(clips, card.classes.vectors), wanted, atol=1e-6)


def test_a_benchmark_without_a_shared_space_says_why_it_is_left_out(toy_benchmark: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="5 columns of audio, 7 columns of visual and 6 of text"):
        run_training(toy_benchmark, "nearest", out=tmp_path / "run", preset="default")
