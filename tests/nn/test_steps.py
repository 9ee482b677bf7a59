"""Which segment a time step sees."""

from __future__ import annotations

import torch

from avzsl.nn.steps import schedule

CPU = torch.device("cpu")


def test_step_t_sees_segment_floor_of_its_share() -> None:
    plan = schedule(torch.Size([2, 3]), None, 8, CPU)
    assert plan.places.T.tolist() == [[0, 0, 0, 1, 1, 1, 2, 2]] * 2
    assert plan.single.tolist() == [False, False]
    assert schedule(torch.Size([1, 10]), None, 4, CPU).places.T.tolist() == [[0, 2, 5, 7]]


def test_real_segments_count_alone_wherever_they_stand() -> None:
    mask = torch.tensor([[True, True, False, False], [False, True, False, True], [False, False, True, False]])
    plan = schedule(torch.Size([3, 4]), mask, 4, CPU)
    assert plan.places.T.tolist() == [[0, 0, 1, 1], [1, 1, 3, 3], [2, 2, 2, 2]]
    assert plan.single.tolist() == [False, False, True]
    values = torch.arange(12.0).view(3, 4, 1)
    assert plan.pick(values).squeeze(2).T.tolist() == [[0, 0, 1, 1], [5, 5, 7, 7], [10, 10, 10, 10]]


def test_one_segment_is_one_distinct_step() -> None:
    plan = schedule(torch.Size([3, 1]), torch.ones(3, 1, dtype=torch.bool), 8, CPU)
    assert plan.places.shape == (1, 3) and plan.single.all()
    assert plan.pick(torch.tensor([[[4.0]], [[5.0]], [[6.0]]])).flatten().tolist() == [4, 5, 6]
