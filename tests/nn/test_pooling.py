from __future__ import annotations

import math

import pytest
import torch

from avzsl.nn.pooling import GlobalLocalPooling, gated, pooled, summarise, time_step_factor, weighted_sum


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


def test_fast_summary_has_the_values_and_gradients_of_the_plain_one() -> None:
    generator = torch.Generator().manual_seed(3)
    for rate in (0.0, 0.05, 0.3, 0.9, 1.0):
        spikes = (torch.rand(6, 4, 20, generator=generator) < rate).double().requires_grad_()
        a, b = (torch.randn(*size, generator=generator, dtype=torch.float64) for size in ((4, 20), (6, 4)))
        results = []
        for fast in (False, True):
            summary, weights = summarise(spikes, fast)
            found = torch.autograd.grad((summary * a).sum() + (weights * b).sum(), spikes)[0]
            results.append((summary, weights, found))
        assert all(torch.allclose(x, y, atol=1e-12) for x, y in zip(*results, strict=True))


def test_neurons_that_reach_the_maximum_together_share_its_gradient() -> None:
    spikes = torch.zeros(4, 1, 3)
    spikes[0, 0, 0] = spikes[1, 0, 1] = 1  # two neurons fired once, at different steps; both sum in another order
    spikes.requires_grad_()
    for fast in (False, True):
        gradient = torch.autograd.grad(summarise(spikes, fast)[1][2].sum(), spikes)[0]
        # at step 2 the silent neuron leads with 1/4: d(1/4) = 1/4 (1 - 1/4) of its own s(2)
        assert gradient[2, 0].tolist() == pytest.approx([0, 0, 3 / 16])
        gradient = torch.autograd.grad(summarise(spikes, fast)[1].sum(), spikes)[0]
        assert gradient[0, 0, 0].item() == pytest.approx(gradient[1, 0, 1].item())
