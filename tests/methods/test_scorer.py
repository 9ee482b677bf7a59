"""Classes are embedded once for all blocks of clips, and nobody's own way to score is passed over."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

import avzsl.methods
from avzsl.data.tables import EvaluationSet, FeatureTable, Ragged
from avzsl.evaluation.protocol import score_evaluation_set
from avzsl.methods._base import METHODS, EmbeddingMethod, Method
from avzsl.types import Batch, Clips, Dimensions

assert avzsl.methods
SIZES = Dimensions(audio=6, visual=6, text=4)


def evaluation(count: int = 10, classes: int = 5) -> EvaluationSet:
    torch.manual_seed(0)
    table = FeatureTable(Ragged(torch.rand(count, 6)), Ragged(torch.rand(count, 6)))
    names = tuple(f"c{k}" for k in range(classes))
    return EvaluationSet(
        table,
        torch.arange(count) % classes,
        torch.nn.functional.normalize(torch.randn(classes, 4), dim=1),
        names,
        torch.arange(classes) < 3,
        tuple(f"v{n}" for n in range(count)),
    )


def counted(method: EmbeddingMethod, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    calls: list[int] = []
    real = method.embed_classes

    def embed(classes: Tensor) -> Tensor:
        calls.append(len(classes))
        return real(classes)

    monkeypatch.setattr(method, "embed_classes", embed)
    return calls


@pytest.mark.parametrize(
    ("name", "settings", "outputs"),
    [("avca", {}, 1), ("avca", {"output": "sum"}, 3), ("hyper_single", {}, 1), ("tcaf", {}, 1), ("mdft", {}, 1)],
)
def test_classes_are_embedded_once_for_all_blocks(
    name: str, settings: dict[str, Any], outputs: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind = METHODS.get(name)
    torch.manual_seed(1)
    method = kind(kind.Config(**settings), SIZES)
    assert isinstance(method, EmbeddingMethod)
    test, calls = evaluation(), counted(method, monkeypatch)
    scores = score_evaluation_set(method, test, chunk=3)
    assert calls == [5] and len(scores) == outputs
    method.eval()
    with torch.inference_mode():
        whole = method.mode_scores(test.features.clips(None), test.classes)
    for output, values in whole.items():
        assert torch.allclose(scores[output], values, atol=1e-5)


class _Own(EmbeddingMethod):
    """Embeds by cutting off."""

    Config = dict
    title = "own"

    def loss_terms(self, batch: Batch) -> dict[str, Tensor]:
        raise NotImplementedError

    def embed_clips(self, clips: Clips) -> Tensor:
        assert clips.audio is not None
        return clips.audio.mean(1)[:, :4]

    def embed_classes(self, classes: Tensor) -> Tensor:
        return classes


class _OwnScores(_Own):
    def class_scores(self, clips: Clips, classes: Tensor) -> Tensor:
        return self.embed_clips(clips) @ classes.T


class _OwnModes(_Own):
    def mode_scores(self, clips: Clips, classes: Tensor) -> dict[str, Tensor]:
        return {"both": self.embed_clips(clips) @ classes.T, "audio": -self.embed_clips(clips) @ classes.T}


@pytest.mark.parametrize("kind", [_OwnScores, _OwnModes])
def test_a_method_that_scores_its_own_way_is_asked(kind: type[Method]) -> None:
    method, test = kind({}, SIZES).eval(), evaluation()
    clips = test.features.clips(None)
    assert clips.audio is not None
    found = method.scorer(test.classes)(clips)
    assert torch.equal(found["both"], clips.audio.mean(1)[:, :4] @ test.classes.T)
    assert set(found) == set(method.mode_scores(clips, test.classes))
