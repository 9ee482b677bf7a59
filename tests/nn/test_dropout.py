"""Masks of 16 bits: their shares, what they do to values and gradients, and where they come from."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from avzsl.nn.dropout import DROP_ALL, Dropout, drop_steps, dropout, keep


@pytest.mark.parametrize("rate", [0.1, 0.2, 0.5, 0.8])
def test_each_number_is_dropped_with_the_rate(rate: float) -> None:
    torch.manual_seed(0)
    found = dropout(torch.ones(1000, 1000), rate)
    dropped = float((found == 0).double().mean())
    assert abs(dropped - rate) < 5 * math.sqrt(rate * (1 - rate) / 1e6)
    assert found.unique().tolist() == pytest.approx([0, 1 / (1 - rate)], rel=1e-6)


def test_neighbours_in_any_direction_are_independent() -> None:
    torch.manual_seed(1)
    mask = keep(torch.empty(1000, 1003), drop_steps(0.5))
    for shift in ((0, 1), (0, 2), (0, 3), (0, 4), (1, 0), (1, 1)):
        together = float((mask * mask.roll(shift, (0, 1))).mean())
        assert abs(together - 0.25) < 5 * math.sqrt(0.25 * 0.75 / 1e6), shift


def test_shares_are_exact_to_the_last_step() -> None:
    """All 2^16 values of the bits, once each, so the share is counted and not estimated."""
    every = torch.arange(-DROP_ALL // 2, DROP_ALL // 2, dtype=torch.int16)
    for rate in (0.2, 0.5, 1e-9, 0.3):
        steps = drop_steps(rate)
        assert abs(steps / DROP_ALL - rate) <= 1 / DROP_ALL
        assert int((every < steps - DROP_ALL // 2).sum()) == steps
    assert (drop_steps(0.0), drop_steps(1e-9), drop_steps(1.0)) == (0, 1, DROP_ALL)


def test_the_mean_stays() -> None:
    torch.manual_seed(2)
    assert float(dropout(torch.ones(4000, 1000), 0.3).double().mean()) == pytest.approx(1, abs=2e-3)


@pytest.mark.parametrize("shape", [(), (1,), (3,), (5, 7), (2, 3, 4), (0, 4)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_any_shape_and_the_gradient_takes_the_same_mask(shape: tuple[int, ...], dtype: torch.dtype) -> None:
    torch.manual_seed(3)
    values = torch.rand(shape, dtype=dtype) + 1
    found = dropout(values.requires_grad_(), 0.5)
    found.sum().backward()
    assert found.shape == shape and found.dtype == dtype and values.grad is not None
    assert torch.allclose(values.grad * values, found)
    assert set(values.grad.unique().tolist()) <= {0.0, 2.0}


def test_draws_follow_from_torchs_seed() -> None:
    values = torch.ones(50, 50)
    torch.manual_seed(4)
    first, second = dropout(values, 0.5), dropout(values, 0.5)
    torch.manual_seed(4)
    assert torch.equal(dropout(values, 0.5), first) and not torch.equal(first, second)


def test_nothing_happens_outside_training_or_at_rate_zero() -> None:
    values = torch.randn(4, 4)
    state = torch.get_rng_state()
    assert Dropout(0.5).eval()(values) is values and dropout(values, 0.0) is values
    assert torch.equal(torch.get_rng_state(), state)
    assert float(Dropout(1.0)(values).abs().max()) == 0
    assert isinstance(Dropout(0.5), nn.Dropout)


def test_masks_lie_where_the_values_do_whatever_the_default_device_is() -> None:
    torch.set_default_device("meta")
    try:
        assert dropout(torch.ones(6, device="cpu"), 0.5).device.type == "cpu"
    finally:
        torch.set_default_device(None)
    every = torch.func.vmap(lambda row: dropout(row, 0.5), randomness="different")(torch.ones(64, 64))
    assert len(every.unique(dim=0)) == 64
