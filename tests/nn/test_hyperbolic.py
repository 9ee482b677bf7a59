"""The map into the tangent space: numbers worked out by hand, and the two maps it is made of, written out."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from avzsl.nn.hyperbolic import clip_radius, to_tangent

LIMIT = math.atanh(0.999)  # 3.8002011672501994


def row(*values: float) -> Tensor:
    return torch.tensor([values], dtype=torch.float64)


@pytest.mark.parametrize(
    ("curvature", "given", "expected"),
    [
        (0.01, (3, 4), (3.295836866, 4.3944491547)),
        (0.01, (9, 12), (22.8012070035, 30.401609338)),
        (0.2, (3, 4), (5.0985048829, 6.7980065105)),
        (0.2, (9, 12), (5.0985048829, 6.7980065105)),
        (0.46, (3, 4), (3.3618545633, 4.4824727511)),
        (0.46, (9, 12), (3.3618545633, 4.4824727511)),
        (0.01, (0.3, -0.4), (0.3002503757, -0.4003338342)),
        (0.46, (0.3, -0.4), (0.3123651182, -0.4164868243)),
    ],
)
def test_hand_sized_rows(curvature: float, given: tuple[float, ...], expected: tuple[float, ...]) -> None:
    assert to_tangent(row(*given), curvature)[0].tolist() == pytest.approx(expected, abs=1e-9)


def test_clip_radius_by_hand() -> None:
    assert clip_radius(0.01).item() == pytest.approx(9.99)
    for curvature, radius in ((0.2, 2.2338319095), (0.46, 1.4729451420)):
        assert clip_radius(torch.tensor(curvature, dtype=torch.float64)).item() == pytest.approx(radius, abs=1e-10)


def written_out(rows: Tensor, curvature: Tensor) -> Tensor:
    """Clip, then logarithmic map at the centre, as two maps."""
    length = rows.norm(dim=1, keepdim=True)
    radius = 0.999 / curvature.sqrt()
    inside = torch.where(length > radius, rows / length * radius, rows)
    scaled = curvature.sqrt() * inside.norm(dim=1, keepdim=True)
    return 0.5 * torch.log((1 + scaled) / (1 - scaled)) / scaled * inside


def test_values_and_gradients_are_those_of_the_two_maps_with_a_curvature_for_each_row() -> None:
    torch.manual_seed(0)
    found = []
    start = torch.randn(40, 6, dtype=torch.float64) * torch.logspace(-2, 1, 40, dtype=torch.float64).unsqueeze(1)
    bend = torch.rand(40, 1, dtype=torch.float64) + 0.01
    weights = torch.randn(40, 6, dtype=torch.float64)
    for function in (to_tangent, written_out):
        rows, curvature = start.clone().requires_grad_(), bend.clone().requires_grad_()
        result = function(rows, curvature)
        (result * weights).sum().backward()
        found.append((result.detach(), rows.grad, curvature.grad))
    for one, other in zip(*found, strict=True):
        assert one is not None and other is not None
        assert torch.allclose(one, other, rtol=1e-8, atol=1e-10)
    clipped = start.norm(dim=1, keepdim=True) > clip_radius(bend)
    assert 5 < int(clipped.sum()) < 35  # both sides of the radius were tried
    gradient = found[0][1]
    assert gradient is not None
    # A clipped row can only turn.
    assert torch.allclose((gradient * start).sum(1)[clipped.squeeze(1)], torch.tensor(0.0).double(), atol=1e-12)


def test_rows_keep_their_direction_and_stay_below_the_limit() -> None:
    torch.manual_seed(0)
    rows = 5 * torch.randn(50, 4, dtype=torch.float64)
    for curvature in (0.01, 0.2, 2.0):
        mapped = to_tangent(rows, curvature)
        assert torch.allclose(torch.cosine_similarity(mapped, rows), torch.ones(50).double())
        lengths = mapped.norm(dim=1)
        assert (lengths <= LIMIT / curvature**0.5 + 1e-9).all()
        assert (lengths >= rows.norm(dim=1).clamp(max=0.999 / curvature**0.5)).all()
    assert torch.allclose(to_tangent(rows, 1e-9), rows, rtol=1e-5)  # a flat space


def test_the_boundary_is_a_share_of_the_radius() -> None:
    assert to_tangent(row(3, 4), 1.0, boundary=0.5).norm().item() == pytest.approx(math.atanh(0.5))
    assert clip_radius(4.0, boundary=0.5).item() == pytest.approx(0.25)


def test_a_row_of_zeros_stays_and_has_a_gradient() -> None:
    rows = torch.zeros(1, 3, requires_grad=True)
    mapped = to_tangent(rows, 0.2)
    mapped.sum().backward()
    assert mapped.tolist() == [[0, 0, 0]]
    assert rows.grad is not None and rows.grad.tolist() == [[pytest.approx(1)] * 3]  # near the centre all is flat


def test_no_curvature_is_a_flat_space_with_finite_gradients() -> None:
    rows, curvature = torch.tensor([[3.0, 4.0]], requires_grad=True), torch.zeros(1, 1, requires_grad=True)
    mapped = to_tangent(rows, curvature)
    mapped.square().sum().backward()
    assert mapped.tolist() == [pytest.approx([3, 4])]
    assert rows.grad is not None and rows.grad.tolist() == [pytest.approx([6, 8])]
    assert curvature.grad is not None and curvature.grad.item() == 0
