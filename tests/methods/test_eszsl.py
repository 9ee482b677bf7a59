"""ESZSL against least squares written out, dense inverses, its own gradient and a world it must solve."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor

from avzsl.config import load_preset
from avzsl.errors import ModelError, SettingError
from avzsl.methods._moments import Moments
from avzsl.methods.eszsl import Eszsl, EszslConfig, choose_penalties, fit_eszsl
from avzsl.types import Batch, Clips, Dimensions

SIZES = Dimensions(10, 8, 6)


def world(noise: float, classes: int = 30, clips: int = 8, seed: int = 0) -> tuple[Clips, Tensor, Tensor]:
    """Clips whose features are a linear map of their class vector plus noise."""
    generator = torch.Generator().manual_seed(seed)
    words = torch.nn.functional.normalize(torch.randn(classes, 6, generator=generator), dim=1)
    labels = torch.arange(classes).repeat_interleave(clips)
    parts = []
    for number, size in enumerate((10, 8)):
        drawn = torch.randn(6, size, generator=torch.Generator().manual_seed(90 + number))
        parts.append((words[labels] @ drawn + noise * torch.randn(len(labels), size, generator=generator)).unsqueeze(1))
    return Clips(5 + 3 * parts[0], parts[1]), labels, words


def solved(clips: Clips, labels: Tensor, words: Tensor, **settings: object) -> Eszsl:
    method = Eszsl(EszslConfig(**settings), SIZES)  # type: ignore[arg-type]
    assert method.solve(clips, labels, words) is True
    return method


def accuracy(method: Eszsl, clips: Clips, labels: Tensor, classes: Tensor) -> float:
    return float((method.class_scores(clips, classes).argmax(1) == labels).float().mean())


def problem(seed: int = 0) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Rows [12, 4] that are not centred, labels of 5 classes, text vectors [5, 3], and weights."""
    generator = torch.Generator().manual_seed(seed)
    rows = 1 + torch.randn(12, 4, generator=generator, dtype=torch.float64)
    share = 0.5 + torch.rand(12, generator=generator, dtype=torch.float64)
    words = torch.randn(5, 3, generator=generator, dtype=torch.float64)
    return rows, torch.arange(12) % 5, words, share / share.sum()


def signs(labels: Tensor, classes: int) -> Tensor:
    """Y: 1 at the class of a clip, -1 elsewhere."""
    wanted = -torch.ones(len(labels), classes, dtype=torch.float64)
    wanted[torch.arange(len(labels)), labels] = 1
    return wanted


# The closed form


def moments(rows: Tensor, labels: Tensor, share: Tensor) -> Moments:
    return Moments.of(rows.__getitem__, torch.arange(len(rows)), labels, share, int(labels.max()) + 1)


def test_fit_by_hand() -> None:
    """x = 1 and -1, s = 1 and -1/2: X C Y B S = 3/4, gram 1, S B S = 5/8; V = (3/4) / ((1 + 1) (5/8 + 3/8))."""
    rows, words = torch.tensor([[1.0], [-1.0]]).double(), torch.tensor([[1.0], [-0.5]]).double()
    found = fit_eszsl(moments(rows, torch.tensor([0, 1]), torch.tensor([0.5, 0.5]).double()), words, 1.0, 0.375)
    assert found.item() == pytest.approx(0.375)


def test_fit_is_the_least_squares_solution_of_the_whole_objective() -> None:
    """Every squared term is one row of a system in the 12 entries of V."""
    rows, labels, words, share = problem()
    gamma, lam, equal = 0.3, 0.7, 1 / 5
    system, right = [], []
    wanted = signs(labels, 5)
    for n, k in itertools.product(range(12), range(5)):
        system.append((share[n] * equal).sqrt() * torch.outer(rows[n], words[k]).flatten())
        right.append((share[n] * equal).sqrt() * wanted[n, k])
    for k, i in itertools.product(range(5), range(4)):
        system.append((gamma * equal) ** 0.5 * torch.outer(torch.eye(4).double()[i], words[k]).flatten())
    for n, j in itertools.product(range(12), range(3)):
        system.append((lam * share[n]).sqrt() * torch.outer(rows[n], torch.eye(3).double()[j]).flatten())
    system += list((gamma * lam) ** 0.5 * torch.eye(12).double())
    right += [torch.zeros((), dtype=torch.float64)] * (len(system) - len(right))
    best = torch.linalg.lstsq(torch.stack(system), torch.stack(right).unsqueeze(1)).solution.view(4, 3)
    assert torch.allclose(fit_eszsl(moments(rows, labels, share), words, gamma, lam), best)


def test_fit_is_the_formula_of_the_paper_with_penalties_per_clip_and_class() -> None:
    rows, labels, words, _ = problem(1)
    gamma, lam = 0.2, 0.05
    x, s, y = rows.T, words.T, signs(labels, 5)
    left = torch.linalg.inv(x @ x.T + 12 * gamma * torch.eye(4))
    paper = left @ x @ y @ s.T @ torch.linalg.inv(s @ s.T + 5 * lam * torch.eye(3))
    equal = torch.full((12,), 1 / 12, dtype=torch.float64)
    assert torch.allclose(fit_eszsl(moments(rows, labels, equal), words, gamma, lam), paper)


def test_closed_form_is_where_the_gradient_vanishes() -> None:
    clips, labels, words = world(0.5, classes=6)
    batch = Batch(clips, labels, clips, labels, words)
    method = Eszsl(EszslConfig(feature_penalty=0.2, text_penalty=0.1), SIZES)
    sizes = []
    for step in range(2):
        if step:
            method.solve(clips, labels, words)
        method.zero_grad()
        terms = method.fit_step(batch)
        terms["loss"].backward()
        assert method.weight.grad is not None
        sizes.append(float(method.weight.grad.abs().max()))
    assert sizes[0] > 1e-2
    assert sizes[1] < 1e-6
    assert terms["loss"].item() == pytest.approx((terms["error"] + terms["decay"]).item())
    assert terms["decay"].item() > 1e-3


# The choice of the penalties


@pytest.mark.parametrize("noise", [0.6, 1.2])
def test_penalties_are_the_best_at_naming_hidden_classes(noise: float) -> None:
    clips, labels, words = world(noise, classes=12, clips=3)
    assert clips.audio is not None
    rows, words = clips.audio.squeeze(1).double(), words.double()
    rows = (rows - rows.mean(0)) / rows.std(0) + 0.8 * (labels % 3).unsqueeze(1)  # what is hidden lies apart
    share = torch.full((36,), 1 / 36, dtype=torch.float64)
    grid = ((1e-4, 1e-1, 100.0), (1e-5, 1e-2, 10.0))
    recalls = {}
    for gamma, lam in itertools.product(*grid):
        right = 0
        for fold in range(3):
            shown = [c for c in range(12) if c % 3 != fold]
            kept = torch.tensor([int(label) in shown for label in labels])
            centre = rows[kept].mean(0)
            own = torch.tensor([shown.index(int(label)) for label in labels[kept]])
            equal = torch.full((len(own),), 1 / len(own), dtype=torch.float64)
            weight = fit_eszsl(moments(rows[kept] - centre, own, equal), words[shown], gamma, lam)
            for row, label in zip(rows[~kept], labels[~kept], strict=True):
                projected = (row - centre) @ weight
                right += max(range(fold, 12, 3), key=lambda c: float(projected @ words[c])) == int(label)
        recalls[gamma, lam] = right
    assert max(recalls.values()) > min(recalls.values())
    expected = max(pair for pair, right in recalls.items() if right == max(recalls.values()))
    assert choose_penalties(rows.__getitem__, labels, words, share, 3, grid) == expected


def test_a_penalty_that_is_given_is_kept_and_the_other_is_chosen_and_stored() -> None:
    clips, labels, words = world(1.5)
    for settings in ({}, {"feature_penalty": 0.5}, {"text_penalty": 0.5}):
        found = solved(clips, labels, words, **settings)
        stored = {"feature_penalty": found.feature_penalty.item(), "text_penalty": found.text_penalty.item()}
        assert stored.items() >= settings.items()
        assert all(value != 1 for value in stored.values())  # what an untrained method would say
        assert torch.allclose(found.weight, solved(clips, labels, words, **stored).weight, atol=1e-6)


def test_too_few_classes_to_hide_any_take_the_largest_but_one() -> None:
    clips, labels, words = world(0.1, classes=3)
    method = solved(clips, labels, words)
    assert (method.feature_penalty.item(), method.text_penalty.item()) == (1, 1)
    assert solved(clips, labels, words, text_penalty=0.25).text_penalty.item() == 0.25


# The method


def test_unseen_classes_are_named_in_a_linear_world() -> None:
    clips, labels, words = world(0.1)
    method = solved(clips, labels, words)
    unseen, unseen_labels, unseen_words = world(0.1, classes=8, seed=1)
    assert accuracy(method, unseen, unseen_labels, unseen_words) > 0.9


def test_scores_are_those_of_standardised_rows() -> None:
    clips, labels, words = world(0.4, classes=6)
    method = solved(clips, labels, words, feature_penalty=0.1, text_penalty=0.2)
    assert clips.audio is not None and clips.visual is not None
    raw = torch.cat([clips.audio, clips.visual], 2).squeeze(1).double()
    rows = (raw - raw.mean(0)) / raw.std(0, unbiased=False)
    share = torch.full((48,), 1 / 48, dtype=torch.float64)
    weight = fit_eszsl(moments(rows, labels, share), words.double(), 0.1, 0.2)
    assert torch.allclose(method.class_scores(clips, words).double(), rows @ weight @ words.double().T, atol=1e-5)


def test_balance_makes_copies_of_a_class_irrelevant() -> None:
    clips, labels, words = world(0.5, classes=6)
    more = torch.cat([torch.arange(len(labels)), torch.arange(8), torch.arange(8)])
    weights = {}
    for balanced in (True, False):
        for rows in (torch.arange(len(labels)), more):
            method = solved(
                clips.rows(rows), labels[rows], words, feature_penalty=0.1, text_penalty=0.1, balanced=balanced
            )
            weights[balanced, len(rows)] = method.weight.detach()
    assert torch.allclose(weights[True, 48], weights[True, 64], atol=1e-6)
    assert not torch.allclose(weights[False, 48], weights[False, 64], atol=1e-4)


def test_a_missing_modality_counts_as_average() -> None:
    clips, labels, words = world(0.1)
    assert clips.audio is not None
    method = solved(clips, labels, words)
    mean = clips.audio.mean(0, keepdim=True).expand_as(clips.audio)
    found = method.class_scores(clips.only("visual"), words)
    assert torch.allclose(found, method.class_scores(Clips(mean, clips.visual), words), atol=1e-5)
    assert float((found.argmax(1) == labels).float().mean()) > 0.5


def test_one_modality_ignores_the_other() -> None:
    clips, labels, words = world(0.1)
    method = solved(clips, labels, words, modality="audio")
    assert method.weight.shape == (10, 6)
    assert torch.equal(method.class_scores(clips, words), method.class_scores(clips.only("audio"), words))
    with pytest.raises(ModelError, match="no audio"):
        method.class_scores(clips.only("visual"), words)


def test_wrong_settings_are_named() -> None:
    with pytest.raises(SettingError, match="feature_penalty is -1"):
        EszslConfig(feature_penalty=-1)
    with pytest.raises(SettingError, match="text_penalty is nan"):
        EszslConfig(text_penalty=float("nan"))
    with pytest.raises(SettingError, match="folds is 1"):
        EszslConfig(folds=1)
    with pytest.raises(SettingError, match="none of it"):
        Eszsl(EszslConfig(modality="visual"), Dimensions(10, None, 6))


def test_its_preset_searches_the_bias_over_all_numbers() -> None:
    assert load_preset("eszsl", "default")["protocol"] == {"bias_search": "exact"}
