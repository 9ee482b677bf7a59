"""Projection and reconstruction losses against numbers worked by hand."""

from __future__ import annotations

import pytest
import torch

from avzsl.losses.reconstruction import projection_loss, reconstruction_loss

ROWS = torch.tensor([[1.0, 2.0, 0.0], [0.0, 0.0, 1.0]])
TARGETS = torch.tensor([[0.0, 0.0, 2.0], [0.0, 0.0, 2.0]])


def test_projection_loss_by_hand() -> None:
    # squares 1 + 4 + 4 and 1, over six entries
    assert projection_loss(ROWS, TARGETS).item() == pytest.approx(10 / 6)


def test_reconstruction_loss_by_hand() -> None:
    # squared norms 9 and 1, over two rows
    assert reconstruction_loss(ROWS, TARGETS).item() == 5.0


def test_rebuilding_nothing_misses_all_of_a_unit_vector() -> None:
    torch.manual_seed(0)
    words = torch.nn.functional.normalize(torch.randn(4, 300), dim=1)
    assert reconstruction_loss(torch.zeros(4, 300), words).item() == pytest.approx(1)


@pytest.mark.parametrize("loss", [projection_loss, reconstruction_loss])
def test_gradient_leads_both_sides_towards_each_other(loss: object) -> None:
    rows, targets = torch.zeros(2, 3, requires_grad=True), torch.ones(2, 3, requires_grad=True)
    loss(rows, targets).backward()  # type: ignore[operator]
    assert rows.grad is not None and targets.grad is not None
    assert (rows.grad < 0).all()
    assert torch.equal(rows.grad, -targets.grad)
