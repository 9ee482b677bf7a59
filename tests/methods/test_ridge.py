"""The linear baseline against normal equations written out, scikit-learn and a world it must solve."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from avzsl.errors import ModelError, SettingError
from avzsl.methods._moments import Moments
from avzsl.methods.ridge import Ridge, RidgeConfig, choose_penalty, fit_ridge
from avzsl.types import Batch, Clips, Dimensions


def world(noise: float, classes: int = 30, clips: int = 8, seed: int = 0) -> tuple[Clips, Tensor, Tensor]:
    """Clips whose features are a linear map of their class vector plus noise."""
    generator = torch.Generator().manual_seed(seed)
    words = torch.nn.functional.normalize(torch.randn(classes, 6, generator=generator), dim=1)
    maps = torch.randn(2, 6, 10, generator=torch.Generator().manual_seed(99))
    labels = torch.arange(classes).repeat_interleave(clips)
    audio, visual = ((words[labels] @ m + noise * torch.randn(len(labels), 10, generator=generator)) for m in maps)
    return Clips(5 + 3 * audio.unsqueeze(1), visual.unsqueeze(1)), labels, words


def moments(rows: Tensor, labels: Tensor, share: Tensor) -> Moments:
    return Moments.of(rows.__getitem__, torch.arange(len(rows)), labels, share, int(labels.max()) + 1)


def accuracy(method: Ridge, clips: Clips, labels: Tensor, classes: Tensor) -> float:
    return float((method.class_scores(clips, classes).argmax(1) == labels).float().mean())


def test_fit_agrees_with_scikit_learn() -> None:
    linear_model = pytest.importorskip("sklearn.linear_model")
    torch.manual_seed(0)
    rows, targets = torch.randn(40, 5, dtype=torch.float64), torch.randn(40, 3, dtype=torch.float64)
    share = torch.rand(40, dtype=torch.float64)
    share /= share.sum()
    rows -= share @ rows
    weight, offset = fit_ridge(moments(rows, torch.arange(40), share), targets, 0.3)
    model = linear_model.Ridge(alpha=0.3).fit(rows.numpy(), targets.numpy(), sample_weight=share.numpy())
    assert torch.allclose(weight, torch.from_numpy(model.coef_.T))
    assert torch.allclose(offset, torch.from_numpy(model.intercept_))


def test_fit_by_hand() -> None:
    rows = torch.tensor([[-1.0], [1.0]], dtype=torch.float64)
    targets = torch.tensor([[1.0], [5.0]], dtype=torch.float64)
    # gram 1, cross ((-1)(-2) + 1·2) / 2 = 2, λ = 1: weight 2 / (1 + 1) = 1, offset 3
    share = torch.tensor([0.5, 0.5], dtype=torch.float64)
    weight, offset = fit_ridge(moments(rows, torch.arange(2), share), targets, 1.0)
    assert weight.item() == pytest.approx(1)
    assert offset.item() == 3


def test_unseen_classes_are_named_in_a_linear_world() -> None:
    clips, labels, words = world(0.1)
    method = Ridge(RidgeConfig(), Dimensions(10, 10, 6))
    assert method.solve(clips, labels, words) is True
    unseen, unseen_labels, unseen_words = world(0.1, classes=8, seed=1)
    assert accuracy(method, unseen, unseen_labels, unseen_words) > 0.9


def test_closed_form_is_where_the_gradient_vanishes() -> None:
    clips, labels, words = world(0.5, classes=6)
    method = Ridge(RidgeConfig(penalty=0.2), Dimensions(10, 10, 6))
    batch = Batch(clips, labels, clips, labels, words)
    sizes = []
    for solved in (False, True):
        if solved:
            method.solve(clips, labels, words)
        method.zero_grad()
        method.fit_step(batch)["loss"].backward()
        sizes.append([float(p.grad.abs().max()) for p in method.parameters() if p.grad is not None])
    assert min(sizes[0]) > 1e-2
    assert max(sizes[1]) < 1e-5


def test_balance_makes_copies_of_a_class_irrelevant() -> None:
    clips, labels, words = world(0.5, classes=6)
    more = torch.cat([torch.arange(len(labels)), torch.arange(8), torch.arange(8)])
    weights = []
    for rows in (torch.arange(len(labels)), more):
        for balanced in (True, False):
            method = Ridge(RidgeConfig(penalty=0.1, balanced=balanced), Dimensions(10, 10, 6))
            method.solve(clips.rows(rows), labels[rows], words)
            weights.append(method.weight.detach())
    assert torch.allclose(weights[0], weights[2], atol=1e-6)
    assert not torch.allclose(weights[1], weights[3], atol=1e-4)


@pytest.mark.parametrize("noise", [0.5, 1.0])
def test_penalty_is_the_best_at_naming_hidden_classes(noise: float) -> None:
    clips, labels, words = world(noise, clips=3)
    assert clips.audio is not None
    rows, words = clips.audio.squeeze(1).double(), words.double()
    rows = (rows - rows.mean(0)) / rows.std(0)
    share = torch.full((len(labels),), 1 / len(labels), dtype=torch.float64)
    penalties = (1e-6, 1e-2, 1.0, 100.0)
    recalls = []
    for penalty in penalties:
        right = 0.0
        for fold in range(5):
            hidden = labels % 5 == fold
            centre = rows[~hidden].mean(0)
            equal = torch.full((int((~hidden).sum()),), 1 / int((~hidden).sum()), dtype=torch.float64)
            shown = moments(rows[~hidden] - centre, torch.arange(len(equal)), equal)
            weight, offset = fit_ridge(shown, words[labels[~hidden]], penalty)
            for row, label in zip(rows[hidden], labels[hidden], strict=True):
                guess = (row - centre) @ weight + offset
                best = max(range(fold, 30, 5), key=lambda c: float(guess @ words[c]) / float(words[c].norm()))
                right += best == int(label)
        recalls.append(right)
    assert max(recalls) > min(recalls)
    expected = max(p for p, r in zip(penalties, recalls, strict=True) if r == max(recalls))
    assert choose_penalty(rows.__getitem__, labels, words, share, 5, penalties) == expected


def test_features_are_standardised_with_balanced_training_statistics() -> None:
    clips, labels, words = world(0.5, classes=3)
    rows = torch.cat([torch.arange(len(labels)), torch.arange(8)])  # the first class twice as often
    method = Ridge(RidgeConfig(penalty=0.1, modality="audio"), Dimensions(10, 10, 6))
    method.solve(clips.rows(rows), labels[rows], words)
    assert clips.audio is not None
    once = clips.audio.squeeze(1)  # by class each clip weighs as if it were there once
    assert torch.allclose(method.mean, once.mean(0), atol=1e-5)
    assert torch.allclose(method.scale, once.std(0, unbiased=False), atol=1e-5)


def test_constant_columns_do_no_harm() -> None:
    clips, labels, words = world(0.1)
    assert clips.audio is not None
    clips.audio[:, :, 3] = 7.0
    method = Ridge(RidgeConfig(), Dimensions(10, 10, 6))
    method.solve(clips, labels, words)
    assert method.weight.isfinite().all()
    assert accuracy(method, clips, labels, words) > 0.9


def test_a_missing_modality_counts_as_average() -> None:
    clips, labels, words = world(0.1)
    assert clips.audio is not None
    method = Ridge(RidgeConfig(), Dimensions(10, 10, 6))
    method.solve(clips, labels, words)
    mean = clips.audio.mean(0, keepdim=True).expand_as(clips.audio)
    assert torch.allclose(
        method.embed_clips(clips.only("visual")), method.embed_clips(Clips(mean, clips.visual)), atol=1e-5
    )


def test_segments_are_averaged_and_a_clip_without_any_is_refused() -> None:
    clips, labels, words = world(0.1)
    assert clips.audio is not None and clips.visual is not None
    method = Ridge(RidgeConfig(), Dimensions(10, 10, 6))
    method.solve(clips, labels, words)
    audio = torch.cat([clips.audio - 1, clips.audio + 1, torch.full_like(clips.audio, 1e6)], 1)
    mask = torch.tensor([True, True, False]).repeat(len(labels), 1)
    ragged = Clips(audio, clips.visual, mask)
    assert torch.allclose(method.embed_clips(ragged), method.embed_clips(clips), atol=1e-5)
    mask[3] = False
    with pytest.raises(ModelError, match="a clip has no audio segment"):
        method.embed_clips(ragged)


def test_one_modality_ignores_the_other() -> None:
    clips, labels, words = world(0.1)
    method = Ridge(RidgeConfig(modality="audio"), Dimensions(10, 10, 6))
    method.solve(clips, labels, words)
    assert torch.equal(method.embed_clips(clips), method.embed_clips(clips.only("audio")))
    with pytest.raises(ModelError, match="no audio"):
        method.embed_clips(clips.only("visual"))


def test_wrong_settings_are_named() -> None:
    with pytest.raises(SettingError, match="penalty is -1"):
        RidgeConfig(penalty=-1)
    with pytest.raises(SettingError, match="penalty is nan"):
        RidgeConfig(penalty=float("nan"))
    with pytest.raises(SettingError, match="none of it"):
        Ridge(RidgeConfig(modality="audio"), Dimensions(None, 10, 6))
