"""The plateau rule against PyTorch's scheduler with the benchmark's constants."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from avzsl.training.schedule import Plateau


def _torch_rates(values: list[float], rate: float) -> list[float]:
    optimiser = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=rate)
    schedule = torch.optim.lr_scheduler.ReduceLROnPlateau(
        optimiser, mode="max", factor=0.1, patience=3, threshold=1e-4, cooldown=0, min_lr=0
    )
    rates = []
    for value in values:
        schedule.step(value)
        rates.append(optimiser.param_groups[0]["lr"])
    return rates


@settings(deadline=None, max_examples=50)
@given(st.lists(st.sampled_from([0.0, 0.1, 0.10000999, 0.1001, 0.2, 0.3]), min_size=1, max_size=40))
def test_rates_equal_those_of_pytorch(values: list[float]) -> None:
    state, rates = Plateau(1e-3), []
    for value in values:
        state = state.after(value)
        rates.append(state.rate)
    assert rates == _torch_rates(values, 1e-3)


def test_the_rate_falls_after_the_fourth_epoch_without_improvement() -> None:
    state = Plateau(1.0)
    rates = []
    for value in (0.5, 0.5, 0.4, 0.5, 0.5, 0.5):
        state = state.after(value)
        rates.append(state.rate)
    assert rates == pytest.approx([1, 1, 1, 1, 0.1, 0.1])


def test_the_state_survives_json() -> None:
    state = Plateau(1e-3).after(0.2).after(0.1)
    assert Plateau(**state.as_dict()) == state
