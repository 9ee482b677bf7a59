"""Thresholds from motion and meaning: worked examples, and what a higher one does."""

from __future__ import annotations

import pytest
import torch

from avzsl.nn.lif import LifState, lif
from avzsl.nn.motion import LEAKY
from avzsl.nn.semantic_threshold import SemanticThreshold, normalised_entropy


def test_threshold_is_one_before_training() -> None:
    rule = SemanticThreshold()
    assert torch.equal(rule(torch.rand(4, 3, 1), torch.rand(4, 3, 1)), torch.ones(4, 3, 1))


def test_threshold_of_a_worked_example_and_its_bounds() -> None:
    rule = SemanticThreshold().double()
    with torch.no_grad():
        rule.motion.fill_(2.0)
        rule.semantic.fill_(-1.0)
        m, e = torch.tensor(0.3, dtype=torch.float64), torch.tensor(0.5, dtype=torch.float64)
        assert rule(m, e).item() == pytest.approx(1.02497919, abs=1e-8)
        assert rule(m, torch.zeros(())).item() > rule(m, e).item()
        rule.bias.fill_(30.0)
        assert rule(m, e).item() == pytest.approx(1.5)
        rule.bias.fill_(-30.0)
        assert rule(m, e).item() == pytest.approx(0.5)


def test_entropy_is_a_share_of_the_largest() -> None:
    values = torch.tensor([[2.0, 0, 0, -2], [3, 3, 3, 3], [900, 0, 0, 0]], dtype=torch.float64)
    assert normalised_entropy(values).flatten().tolist() == pytest.approx([0.52706534, 1, 0], abs=1e-8)
    assert normalised_entropy(torch.zeros(2, 3, 1)).tolist() == torch.zeros(2, 3, 1).tolist()


def test_from_equal_state_a_higher_threshold_never_fires_more() -> None:
    torch.manual_seed(0)
    current, membrane = 2 * torch.randn(1, 500), torch.rand(500)
    counts = [lif(current, LEAKY, v, LifState(membrane)).spikes.sum().item() for v in (0.5, 0.8, 1.0, 1.2, 1.5)]
    assert counts == sorted(counts, reverse=True)
    assert counts[0] > counts[-1]


def test_every_weight_gets_a_gradient() -> None:
    rule = SemanticThreshold()
    share, entropy = torch.rand(5, 3, 1), torch.rand(5, 3, 1)
    lif(torch.rand(5, 3, 20) * 3, LEAKY, rule(share, entropy), fast=True).spikes.sum().backward()
    for parameter in rule.parameters():
        assert parameter.grad is not None and abs(parameter.grad.item()) > 1e-4
