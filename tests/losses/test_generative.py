"""Terms of the variational autoencoder and the gradient penalty against numbers worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from avzsl.losses.generative import bernoulli_loss, gradient_penalty, normal_divergence


def test_terms_of_the_autoencoder_by_hand() -> None:
    """-(0.6 ln 0.8 + 0.4 ln 0.2) - ln 0.9 - (0.8 + 0.2) ln 0.5; ½ (0.25 + 0) + ½ (1 + 2 - 1 - ln 2)."""
    wanted, rebuilt = torch.tensor([[0.6, 0.0, 0.8]]), torch.tensor([[0.8, 0.1, 0.5]])
    mean, log_variance = torch.tensor([[0.5, -1.0]]), torch.tensor([[0.0, math.log(2)]])
    assert bernoulli_loss(rebuilt, wanted).item() == pytest.approx(1.576169, abs=1e-6)
    assert normal_divergence(mean, log_variance).item() == pytest.approx(0.778426, abs=1e-6)


def test_a_generator_that_says_one_half_costs_ln_2_an_entry_whatever_is_wanted() -> None:
    wanted = torch.rand(64, 1024, generator=torch.Generator().manual_seed(0))
    half = torch.full_like(wanted, 0.5)
    assert bernoulli_loss(half[:1], wanted[:1]).item() == pytest.approx(709.782713, rel=1e-6)
    assert bernoulli_loss(half, wanted).item() == pytest.approx(45426.0936, rel=1e-6)


def test_terms_are_sums_over_the_batch() -> None:
    torch.manual_seed(0)
    rebuilt, wanted, mean, log_variance = torch.rand(4, 3), torch.rand(4, 3), torch.randn(4, 2), torch.randn(4, 2)
    total = sum(
        -(x * math.log(p) + (1 - x) * math.log(1 - p))
        for p, x in zip(rebuilt.flatten().tolist(), wanted.flatten().tolist(), strict=True)
    )
    assert bernoulli_loss(rebuilt, wanted).item() == pytest.approx(total, rel=1e-5)
    pairs = zip(mean.flatten().tolist(), log_variance.flatten().tolist(), strict=True)
    total = sum(0.5 * (m * m + math.exp(v) - v - 1) for m, v in pairs)
    assert normal_divergence(mean, log_variance).item() == pytest.approx(total, rel=1e-5)
    assert normal_divergence(torch.zeros(4, 2), torch.zeros(4, 2)).item() == 0


def test_logarithms_of_nothing_stop_at_minus_100() -> None:
    assert bernoulli_loss(torch.tensor([[0.0, 1.0]]), torch.tensor([[1.0, 0.0]])).item() == 200


class TwoUnits(nn.Module):
    """f(u) = (1, -2) · LeakyReLU([[1, 2], [-1, 1]] u)."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Parameter(torch.tensor([[1.0, 2], [-1, 1]]))
        self.outer = nn.Parameter(torch.tensor([1.0, -2]))

    def forward(self, rows: Tensor) -> Tensor:
        return nn.functional.leaky_relu(rows @ self.inner.T, 0.2) @ self.outer


X, FAKE = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0]])


@pytest.mark.parametrize(("share", "penalty"), [(0.25, 40.0), (0.75, 12.679419)])
def test_gradient_penalty_by_hand(share: float, penalty: float) -> None:
    """At (0.25, 0.75) both units are on: slope (1, 2) - 2 (-1, 1) = (3, 0); at (0.75, 0.25) the second leaks."""
    critic = TwoUnits()
    found = 10 * gradient_penalty(critic, X, FAKE, torch.tensor([[share]]))
    assert found.item() == pytest.approx(penalty, abs=1e-5)
    if share == 0.25:
        loss = critic(FAKE).mean() - critic(X).mean() + found
        assert loss.item() == pytest.approx(0 - 1.4 + 40, abs=1e-5)


def test_the_penalty_of_a_linear_critic_is_that_of_its_slope() -> None:
    slope = torch.tensor([3.0, 4.0])
    share = torch.rand(20, 1, generator=torch.Generator().manual_seed(0))
    rows = torch.randn(20, 2, generator=torch.Generator().manual_seed(1))
    found = gradient_penalty(lambda u: u @ slope.requires_grad_(), rows, rows.flip(0), share)
    assert 10 * found.item() == pytest.approx(160, rel=1e-6)


def test_each_row_has_its_own_share_and_the_mean_is_over_rows() -> None:
    critic = TwoUnits()
    real, fake, share = X.expand(2, 2), FAKE.expand(2, 2), torch.tensor([[0.25], [0.75]])
    single = [gradient_penalty(critic, X, FAKE, s.unsqueeze(0)).item() for s in share]
    assert gradient_penalty(critic, real, fake, share).item() == pytest.approx(sum(single) / 2)


def test_the_penalty_is_differentiable_by_the_critic_and_by_nothing_else() -> None:
    critic, fake, share = TwoUnits(), FAKE.clone().requires_grad_(), torch.tensor([[0.75]])
    gradient_penalty(critic, X, fake, share).backward()  # type: ignore[no-untyped-call]
    assert fake.grad is None
    step = 1e-3
    for parameter in critic.parameters():
        assert parameter.grad is not None
        flat, slopes = parameter.data.view(-1), parameter.grad.view(-1)
        for k in range(len(flat)):
            values = []
            for sign in (1, -1):
                flat[k] += sign * step
                values.append(gradient_penalty(critic, X, FAKE, share).item())
                flat[k] -= sign * step
            assert slopes[k].item() == pytest.approx((values[0] - values[1]) / (2 * step), abs=2e-2)


def test_the_penalty_can_be_looked_at_without_a_graph() -> None:
    with torch.no_grad():
        assert gradient_penalty(TwoUnits(), X, FAKE, torch.tensor([[0.25]])).item() == pytest.approx(4)
