"""The triplet loss against numbers worked by hand and against torch's own."""

from __future__ import annotations

import pytest
import torch

from avzsl.losses.triplet import cross_modal_triplet, distance, triplet


def test_distance_by_hand() -> None:
    first = torch.tensor([[0.0, 0.0], [1.0, 1.0]])
    second = torch.tensor([[3.0, 4.0], [1.0, -1.0]])
    assert distance(first, second).tolist() == [5.0, 2.0]


def test_triplet_by_hand() -> None:
    anchor = torch.tensor([[0.0, 0.0], [0.0, 0.0]])
    positive = torch.tensor([[3.0, 4.0], [1.0, 0.0]])  # 5 and 1 away
    negative = torch.tensor([[0.0, 2.0], [0.0, 9.0]])  # 2 and 9 away
    # [1 + 5 - 2] = 4 and [1 + 1 - 9] = 0
    assert triplet(anchor, positive, negative).item() == 2.0
    assert triplet(anchor, positive, negative, margin=8.5).item() == pytest.approx((11.5 + 0.5) / 2)


def test_triplet_agrees_with_torch() -> None:
    torch.manual_seed(0)
    a, p, n = torch.randn(3, 16, 5, dtype=torch.float64)
    expected = torch.nn.functional.triplet_margin_loss(a, p, n, margin=0.7, eps=0.0)
    assert torch.allclose(triplet(a, p, n, 0.7), expected)


def test_cross_modal_triplet_by_hand() -> None:
    clip, text = torch.tensor([[0.0, 0.0]]), torch.tensor([[3.0, 4.0]])  # 5 apart
    other_clip, other_text = torch.tensor([[3.0, 1.0]]), torch.tensor([[0.0, 2.0]])
    # text against clips: 1 + 5 - 3 = 3; clip against texts: 1 + 5 - 2 = 4
    assert cross_modal_triplet(clip, text, other_clip, other_text).item() == 7.0


def test_each_side_pushes_its_own_negative() -> None:
    torch.manual_seed(0)
    parts = [torch.randn(4, 3, requires_grad=True) for _ in range(4)]
    cross_modal_triplet(*parts, margin=10.0).backward()
    clips, texts, negative_clips, negative_texts = parts
    # the negative clip is pushed away from the text, so a step against the gradient increases their distance
    for negative, anchor in ((negative_clips, texts), (negative_texts, clips)):
        assert negative.grad is not None
        moved = negative - 0.1 * negative.grad
        assert (distance(moved, anchor) > distance(negative, anchor)).all()


def test_equal_rows_have_a_finite_gradient() -> None:
    rows = torch.zeros(3, 4, requires_grad=True)
    triplet(rows, torch.zeros(3, 4), torch.zeros(3, 4)).backward()
    assert rows.grad is not None and not rows.grad.any()


def test_fulfilled_pairs_push_no_more() -> None:
    rows = torch.zeros(1, 2, requires_grad=True)
    loss = triplet(rows, torch.tensor([[0.5, 0.0]]), torch.tensor([[3.0, 0.0]]))
    loss.backward()
    assert loss.item() == 0
    assert rows.grad is not None and not rows.grad.any()
