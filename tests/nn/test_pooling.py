from __future__ import annotations

import math

import pytest
import torch

from avzsl.nn.pooling import GlobalLocalPooling, gated, pooled, time_step_factor, weighted_sum


def test_pooling_starts_at_a_half_and_has_the_hand_worked_value() -> None:
    pooling = GlobalLocalPooling()
    current = torch.tensor([[[1.0, 3.0, -1.0]]])  # max 3, mean 1
    out, pool = pooling(current)
    assert pooling.beta.item() == 0.5
    assert pool.tolist() == [[[pytest.approx(0.5 * 4 + 0.5 * 3 + 0.5 * 1)]]]  # 4
    assert out[0, 0].tolist() == pytest.approx([1 / (1 + math.exp(-5 * i)) for i in (1, 3, -1)])


def test_beta_moves_the_pool_from_mean_to_maximum() -> None:
    current = torch.tensor([[1.0, 3.0, -1.0]])
    assert pooled(current, torch.tensor(0.0)).item() == pytest.approx(0.5 * 4 + 1)
    assert pooled(current, torch.tensor(1.0)).item() == pytest.approx(0.5 * 4 + 3)


def test_fast_gate_has_the_values_and_gradients_of_the_plain_one() -> None:
    generator = torch.Generator().manual_seed(0)
    start = torch.randn(2, 3, 4, 5, generator=generator, dtype=torch.float64)
    weights = torch.randn(2, 3, 4, 5, generator=generator, dtype=torch.float64)
    results = []
    for fast in (False, True):
        pooling = GlobalLocalPooling(fast).double()
        current = start.clone().requires_grad_()
        out, pool = pooling(current)
        loss = (out * weights).sum() + pool.square().sum()
        results.append((out, *torch.autograd.grad(loss, (current, pooling.beta_logit))))
    assert torch.equal(results[0][0], results[1][0])
    assert all(torch.allclose(a, b, atol=1e-12) for a, b in zip(*results, strict=True))


def test_gradient_of_the_gate_is_the_finite_difference() -> None:
    current = torch.randn(2, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1), requires_grad=True)
    beta = torch.tensor(0.3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda i, b: gated(i, pooled(i, b)), (current, beta))


def test_time_step_factor_of_two_steps_worked_by_hand() -> None:
    # three neurons over T = 2: (1, 0), (1, 1), (0, 0); softmax over time gives (e/(e+1), 1/(e+1)), a half, a half
    spikes = torch.tensor([[[1.0, 1.0, 0.0]], [[0.0, 1.0, 0.0]]])
    high = math.e / (math.e + 1)
    weights = time_step_factor(spikes)
    assert weights[:, 0].tolist() == pytest.approx([high, 0.5])
    assert weighted_sum(spikes, weights)[0].tolist() == pytest.approx([high, high + 0.5, 0.0])


def test_time_step_factor_gradient_is_the_finite_difference() -> None:
    values = torch.randn(3, 2, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(2), requires_grad=True)
    assert torch.autograd.gradcheck(lambda s: weighted_sum(s, time_step_factor(s)), (values,))


def test_silent_neurons_weigh_all_steps_alike() -> None:
    assert torch.allclose(time_step_factor(torch.zeros(4, 3, 7)), torch.full((4, 3), 0.25))
