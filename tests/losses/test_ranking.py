"""The three ranking losses against numbers worked out by hand, plain loops and the relations between them."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from avzsl.losses.ranking import largest_violation, ranked_violations, summed_violations, violations

Loss = Callable[[Tensor, Tensor, float], Tensor]
LOSSES: dict[str, Loss] = {"devise": summed_violations, "sje": largest_violation, "ale": ranked_violations}
every_loss = pytest.mark.parametrize("name", LOSSES)

SCORES = [[0.50, 0.45, 0.30, 0.70], [0.20, 0.90, 0.10, 0.85]]
LABELS = torch.tensor([0, 1])
# name: loss, gradient of the first row of scores, of the second
BY_HAND = {
    "devise": (0.2, [-1, 0.5, 0, 0.5], [0, -0.5, 0, 0.5]),
    "sje": (0.175, [-0.5, 0, 0, 0.5], [0, -0.5, 0, 0.5]),
    "ale": ((0.75 * 0.35 + 0.05) / 2, [-0.75, 0.375, 0, 0.375], [0, -0.5, 0, 0.5]),
}


def loop(name: str, scores: Tensor, labels: Tensor, margin: float) -> float:
    """The same with one clip and one class at a time."""
    total = 0.0
    for row, label in zip(scores.tolist(), labels.tolist(), strict=True):
        found = [max(0.0, margin + s - row[label]) for k, s in enumerate(row) if k != label]
        above = sum(h > 0 for h in found)
        harmonic = sum(1 / j for j in range(1, above + 1))
        total += {"devise": sum(found), "sje": max(found), "ale": sum(found) * harmonic / max(above, 1)}[name]
    return total / len(scores)


def draw(clips: int = 40, classes: int = 7, seed: int = 0, spread: float = 0.2) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    scores = spread * torch.randn(clips, classes, generator=generator, dtype=torch.float64)
    return scores, torch.randint(classes, (clips,), generator=generator)


def gradient(name: str, scores: Tensor, labels: Tensor) -> Tensor:
    scores = scores.clone().requires_grad_()
    LOSSES[name](scores, labels, 0.1).backward()
    assert scores.grad is not None
    return scores.grad


@every_loss
def test_losses_and_gradients_by_hand(name: str) -> None:
    loss, *rows = BY_HAND[name]
    scores = torch.tensor(SCORES, dtype=torch.float64)
    assert LOSSES[name](scores, LABELS, 0.1).item() == pytest.approx(loss, abs=1e-12)
    assert torch.allclose(gradient(name, scores, LABELS), torch.tensor(rows, dtype=torch.float64))


def test_violations_by_hand() -> None:
    found = violations(torch.tensor(SCORES), LABELS, 0.1)
    assert torch.allclose(found, torch.tensor([[0, 0.05, 0, 0.30], [0, 0, 0, 0.05]]), atol=1e-6)


@pytest.mark.parametrize(("name", "loss"), [("devise", 2.9), ("sje", 0.1), ("ale", 0.396165)])
def test_equal_scores_of_30_classes(name: str, loss: float) -> None:
    found = LOSSES[name](torch.full((5, 30), 0.3), torch.arange(5), 0.1)
    assert found.item() == pytest.approx(loss, abs=1e-6)


@every_loss
def test_losses_equal_plain_loops(name: str) -> None:
    for seed in range(3):
        scores, labels = draw(seed=seed)
        assert LOSSES[name](scores, labels, 0.15).item() == pytest.approx(loop(name, scores, labels, 0.15), abs=1e-12)


@every_loss
def test_gradients_equal_finite_differences(name: str) -> None:
    scores, labels = draw(clips=6)
    found, step = gradient(name, scores, labels), 1e-6
    for i in range(6):
        for k in range(7):
            up, down = scores.clone(), scores.clone()
            up[i, k] += step
            down[i, k] -= step
            slope = (loop(name, up, labels, 0.1) - loop(name, down, labels, 0.1)) / (2 * step)
            assert float(found[i, k]) == pytest.approx(slope, abs=1e-6)


@pytest.mark.parametrize(
    ("rank", "weight"), [(1, 1), (2, 0.75), (3, 0.611111), (5, 0.456667), (29, 0.136609), (206, 0.028677)]
)
def test_weight_of_ale_falls_with_the_number_of_violations(rank: int, weight: float) -> None:
    scores = torch.zeros(1, 210, dtype=torch.float64)
    scores[0, 0] = 0.5
    scores[0, 1 : rank + 1] = 0.9  # each 0.5 too high with the margin
    found = ranked_violations(scores, torch.tensor([0]), 0.1)
    assert found.item() == pytest.approx(weight * rank * 0.5, abs=1e-6 * rank)


def test_how_the_three_compare() -> None:
    scores, labels = draw(clips=200)
    devise, sje, ale = (LOSSES[n](scores, labels, 0.1).item() for n in ("devise", "sje", "ale"))
    assert sje < devise and ale < devise
    # Neither of SJE and ALE bounds the other: one clip for each order.
    first, second = torch.tensor(SCORES[:1]), torch.tensor([[0.0, 0.2, 0.2, 0.2]])
    own = torch.tensor([0])
    assert largest_violation(first, own, 0.1).item() == pytest.approx(0.30, abs=1e-6)
    assert ranked_violations(first, own, 0.1).item() == pytest.approx(0.2625, abs=1e-6)
    assert largest_violation(second, own, 0.1) < ranked_violations(second, own, 0.1)


def test_with_one_violation_at_most_the_three_agree() -> None:
    scores = torch.tensor([[0.5, 0.45, 0.1], [0.9, 0.2, 0.1], [0.3, 0.1, 0.8]])
    labels = torch.tensor([0, 0, 0])
    found = [LOSSES[name](scores, labels, 0.1).item() for name in LOSSES]
    assert found == pytest.approx(3 * [(0.05 + 0.0 + 0.6) / 3])


@every_loss
def test_a_lead_of_the_margin_costs_nothing(name: str) -> None:
    scores = torch.tensor([[0.5, 0.375, 0.0], [0.0, 0.25, 0.125]])  # leads of exactly an eighth
    labels = torch.tensor([0, 1])
    assert LOSSES[name](scores, labels, 0.125).item() == 0
    assert LOSSES[name](scores, labels, 0.126).item() > 0


@every_loss
def test_a_number_added_to_all_scores_of_a_clip_changes_nothing(name: str) -> None:
    scores, labels = draw()
    moved = scores + torch.arange(len(scores)).unsqueeze(1)
    assert LOSSES[name](moved, labels, 0.1).item() == pytest.approx(LOSSES[name](scores, labels, 0.1).item())
    assert gradient(name, scores, labels).sum(1).abs().max() < 1e-12
    assert gradient(name, scores, labels).abs().max() > 0
