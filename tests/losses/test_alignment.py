"""Alignment of two modalities, in both of its public versions: numbers worked out by hand, and what follows."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from avzsl.losses.alignment import Gram, alignment_loss, similarities
from avzsl.nn.hyperbolic import to_tangent

VISUAL = [[1.0, 2], [3, 1], [0, 2]]
AUDIO = [[2.0, 1], [1, 1], [4, 0.5]]


def rows(values: list[list[float]]) -> Tensor:
    return torch.tensor(values, dtype=torch.float64, requires_grad=True)


def test_cosines_by_hand() -> None:
    table = similarities(rows(VISUAL), "cosine")
    assert table.diagonal().tolist() == pytest.approx([1, 1, 1])
    found = [table[0, 1].item(), table[0, 2].item(), table[1, 2].item()]
    assert found == pytest.approx([0.7071067812, 0.8944271910, 0.3162277660])
    table = similarities(rows(AUDIO), "cosine")
    found = [table[0, 1].item(), table[0, 2].item(), table[1, 2].item()]
    assert found == pytest.approx([0.9486832981, 0.9429903336, 0.7893522174])


def test_products_of_lengths_by_hand() -> None:
    table = similarities(rows(VISUAL), "norm_outer")
    lengths = [math.sqrt(5), math.sqrt(10), 2]
    assert table.tolist() == [pytest.approx([x * y for y in lengths]) for x in lengths]


@pytest.mark.parametrize("curvature", [0.01, 0.04, 0.5, 4])
def test_with_cosines_every_curvature_gives_the_same(curvature: float) -> None:
    loss = alignment_loss(to_tangent(rows(VISUAL), curvature), to_tangent(rows(AUDIO), curvature))
    assert loss.item() == pytest.approx(0.0632365197315, abs=1e-12)
    assert alignment_loss(rows(VISUAL), rows(AUDIO)).item() == pytest.approx(0.0632365197315, abs=1e-12)


@pytest.mark.parametrize(
    ("curvature", "expected"),
    [(0.01, 40.4659432906), (0.04, 116.4644684127), (0.1, 4759.6287390551), (0.5, 0), (4, 0)],
)
def test_with_lengths_the_curvature_decides_until_all_is_clipped(curvature: float, expected: float) -> None:
    loss = alignment_loss(to_tangent(rows(VISUAL), curvature), to_tangent(rows(AUDIO), curvature), "norm_outer")
    assert loss.item() == pytest.approx(expected, rel=1e-9, abs=1e-20)


def test_lengths_in_a_flat_space() -> None:
    assert alignment_loss(rows(VISUAL), rows(AUDIO), "norm_outer").item() == pytest.approx(31.8502861017)


def test_gradients_with_cosines() -> None:
    visual, audio = rows(VISUAL), rows(AUDIO)
    bend = torch.tensor(0.04, dtype=torch.float64, requires_grad=True)
    alignment_loss(to_tangent(visual, bend), to_tangent(audio, bend)).backward()
    assert visual.grad is not None and audio.grad is not None and bend.grad is not None
    expected = [[-0.0265070748, 0.0132535374], [0.0275406959, -0.0826220878], [-0.1045696361, 0]]
    assert torch.allclose(visual.grad, torch.tensor(expected).double(), atol=1e-8)
    expected = [[-0.0053538143, 0.0107076287], [0.0815252263, -0.0815252263], [-0.0041932733, 0.0335461860]]
    assert torch.allclose(audio.grad, torch.tensor(expected).double(), atol=1e-8)
    assert abs(bend.grad.item()) < 1e-12
    assert (visual.grad * visual).sum(1).abs().max() < 1e-12  # a row can only turn


def test_gradients_with_lengths() -> None:
    visual, audio = rows(VISUAL), rows(AUDIO)
    bend = torch.tensor(0.04, dtype=torch.float64, requires_grad=True)
    alignment_loss(to_tangent(visual, bend), to_tangent(audio, bend), "norm_outer").backward()
    assert visual.grad is not None and audio.grad is not None and bend.grad is not None
    expected = [[0.6818091740, 1.3636183480], [39.7834045032, 13.2611348344], [0, -40.9124991619]]
    assert torch.allclose(visual.grad, torch.tensor(expected).double(), atol=2e-6)
    expected = [[19.1506520757, 9.5753260379], [-9.9315592824, -9.9315592824], [213.1127599633, 26.6390949954]]
    assert torch.allclose(audio.grad, torch.tensor(expected).double(), atol=1e-5)
    assert bend.grad.item() == pytest.approx(6026.5202651819)


def test_no_gradient_when_all_lengths_are_clipped() -> None:
    visual, audio = rows(VISUAL), rows(AUDIO)
    alignment_loss(to_tangent(visual, 4.0), to_tangent(audio, 4.0), "norm_outer").backward()
    assert visual.grad is not None and visual.grad.abs().max() < 1e-12
    assert audio.grad is not None and audio.grad.abs().max() < 1e-12


@pytest.mark.parametrize("gram", ["cosine", "norm_outer"])
def test_what_holds_for_both_versions(gram: Gram) -> None:
    torch.manual_seed(0)
    first, second = torch.rand(2, 7, 5, dtype=torch.float64).unbind()
    loss = alignment_loss(first, second, gram)
    order = torch.randperm(7)
    assert alignment_loss(second, first, gram).item() == pytest.approx(loss.item())
    assert alignment_loss(first[order], second[order], gram).item() == pytest.approx(loss.item())
    assert alignment_loss(first, first.clone(), gram).item() == 0
    assert loss > 1e-3


def test_angles_do_not_see_lengths_and_lengths_do_not_see_angles() -> None:
    torch.manual_seed(0)
    first, second = torch.rand(2, 7, 5, dtype=torch.float64).unbind()
    longer = first * torch.linspace(0.1, 3, 7).unsqueeze(1)
    turned = first.clone()
    turned[0] = first[0, [1, 2, 3, 4, 0]] * torch.tensor([1, -1, 1, 1, -1])
    cosine, lengths = alignment_loss(first, second), alignment_loss(first, second, "norm_outer")
    assert 0 <= cosine <= 1
    assert torch.allclose(alignment_loss(longer, second), cosine)
    assert torch.allclose(alignment_loss(turned, second, "norm_outer"), lengths)
    assert not torch.allclose(alignment_loss(longer, second, "norm_outer"), lengths)
    assert not torch.allclose(alignment_loss(turned, second), cosine)


def test_a_row_of_zeros_is_like_no_other() -> None:
    first = torch.tensor([[0.0, 0], [1, 1]], requires_grad=True)
    loss = alignment_loss(first, torch.tensor([[1.0, 0], [1, 1]]))
    loss.backward()
    # (0 - 1)² + 2 (0 - 1/√2)² over four pairs
    assert loss.item() == pytest.approx((1 + 2 * 0.5) / 4)
    assert first.grad is not None and first.grad.isfinite().all()
