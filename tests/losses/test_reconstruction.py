"""The squared error against numbers worked by hand."""

from __future__ import annotations

import torch

from avzsl.losses.reconstruction import squared_error


def test_squared_error_by_hand() -> None:
    rows = torch.tensor([[1.0, 2.0, 0.0], [0.0, 0.0, 1.0]])
    targets = torch.tensor([[0.0, 0.0, 2.0], [0.0, 0.0, 4.0]])
    # 1 + 4 + 4 = 9 and 9
    assert squared_error(rows, targets).item() == 9.0
    assert squared_error(rows[:1] * 0, targets[:1]).item() == 4.0


def test_gradient_points_at_the_target_and_shrinks_with_the_batch() -> None:
    rows = torch.zeros(2, 3, requires_grad=True)
    squared_error(rows, torch.ones(2, 3)).backward()
    assert rows.grad is not None
    assert rows.grad.tolist() == [[-1.0] * 3] * 2
