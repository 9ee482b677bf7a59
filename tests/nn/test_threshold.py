from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from avzsl.nn import chunks
from avzsl.nn.lif import LifParameters, lif
from avzsl.nn.threshold import ThresholdRule, dynamic_lif, next_threshold, spike_entropy


def test_entropy_is_that_of_the_normalised_spikes() -> None:
    spikes = (torch.rand(5, 4, 16, generator=torch.Generator().manual_seed(0)) < 0.3).double()
    p = spikes / spikes.sum(dim=(1, 2), keepdim=True)
    expected = -torch.special.xlogy(p, p).sum(dim=(1, 2)) / math.log(64)
    assert torch.allclose(spike_entropy(spikes).flatten(), expected)


def test_entropy_of_silence_and_of_one_spike_is_zero_and_of_all_is_one() -> None:
    spikes = torch.zeros(3, 2, 4)
    spikes[1, 0, 2] = 1
    spikes[2] = 1
    assert spike_entropy(spikes).flatten().tolist() == pytest.approx([0, 0, 1])


def test_entropy_slope_is_one_over_n_log_n_and_zero_for_silence() -> None:
    spikes = torch.zeros(2, 2, 4)
    spikes[1, :, :2] = 1  # n = 4 of N = 8
    spikes.requires_grad_()
    spike_entropy(spikes).sum().backward()
    assert torch.all(spikes.grad[0] == 0)
    assert torch.allclose(spikes.grad[1], torch.full((2, 4), 1 / (4 * math.log(8))))


def test_threshold_follows_the_hand_worked_factor_in_both_signs_and_stays_clamped() -> None:
    level, gate, entropy = torch.tensor([[[0.5]]]), torch.tensor([[[0.9]]]), torch.tensor([[[0.6]]])
    assert next_threshold(level, gate, entropy, ThresholdRule()).item() == pytest.approx(0.75)
    assert next_threshold(level, gate, entropy, ThresholdRule(sign="printed")).item() == pytest.approx(0.15)
    assert next_threshold(2.5 * level, gate, entropy, ThresholdRule(clamp=3.0)).item() == pytest.approx(1.5)
    assert next_threshold(0.1 * level, gate, entropy, ThresholdRule()).item() == pytest.approx(0.125)


def test_two_steps_of_one_channel_worked_by_hand() -> None:
    # two neurons, tau 2, V_th 0.5, currents 1.2 and 0.6: U = .6 fires, .3 does not; n = 1, so H = 0
    # gate .8: V_th = .4 at the second step; U = .6 fires and .3 + .15 = .45 fires; H = 1: V_th = (.8 + 1) .4 = .72
    # third step: U = .6 and .3, both silent
    current, gate = torch.tensor([[[[1.2, 0.6]]]]), torch.tensor([[[[0.8]]]])
    for fast in (False, True):
        run = dynamic_lif(current, gate, (0, 0, 0), LifParameters(), ThresholdRule(), fast)
        assert run.thresholds.flatten().tolist() == pytest.approx([0.5, 0.4, 0.72])
        assert run.spikes.flatten().tolist() == [1, 0, 1, 1, 0, 0]
        assert run.charged.flatten().tolist() == pytest.approx([0.6, 0.3, 0.6, 0.45, 0.6, 0.3])


def test_a_fixed_rule_is_the_plain_neuron() -> None:
    current = torch.randn(4, 3, 2, 8, generator=torch.Generator().manual_seed(1)) + 0.5
    gate = torch.rand(4, 3, 2, 1)
    for fast in (False, True):
        run = dynamic_lif(current, gate, (0, 1, 2, 3), LifParameters(), ThresholdRule(0.6, dynamic=False), fast)
        assert torch.equal(run.spikes, lif(current, LifParameters(), 0.6).spikes)
        assert torch.all(run.thresholds == torch.tensor(0.6))


@settings(max_examples=60, deadline=None)
@given(
    sizes=st.tuples(st.integers(1, 3), st.sampled_from([1, 2, 5, 40]), st.integers(1, 3), st.integers(1, 6)),
    repeats=st.integers(1, 3),
    rule=st.sampled_from(
        [ThresholdRule(), ThresholdRule(sign="printed"), ThresholdRule(clamp=1.3), ThresholdRule(0.3, dynamic=False)]
    ),
    reset=st.sampled_from(["hard", "soft", "none"]),
    detach=st.booleans(),
    surrogate=st.sampled_from(["atan", "sigmoid"]),
    chunk=st.sampled_from([1, 100_000]),
    seed=st.integers(0, 10_000),
)
def test_fast_form_has_the_spikes_and_gradients_of_the_loop(
    sizes: tuple[int, ...],
    repeats: int,
    rule: ThresholdRule,
    reset: str,
    detach: bool,
    surrogate: str,
    chunk: int,
    seed: int,
) -> None:
    generator = torch.Generator().manual_seed(seed)
    current = (torch.randn(sizes, generator=generator, dtype=torch.float64) + 0.5).requires_grad_()
    gate = torch.rand(*sizes[:3], 1, generator=generator, dtype=torch.float64, requires_grad=True)
    params = LifParameters(1.7, -0.05, 0.02, reset, detach, surrogate)  # type: ignore[arg-type]
    steps = tuple(t // repeats for t in range(sizes[0] * repeats))
    weights = torch.randn(len(steps), *sizes[1:], generator=generator, dtype=torch.float64)
    results = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chunks, "CHUNK_ELEMENTS", chunk)
        for fast in (False, True):
            run = dynamic_lif(current, gate, steps, params, rule, fast)
            found = torch.autograd.grad((run.spikes * weights).sum(), (current, gate), materialize_grads=True)
            results.append((run, found))
    (plain, plain_gradients), (fast_run, fast_gradients) = results
    assert torch.equal(plain.spikes, fast_run.spikes)
    assert torch.equal(plain.thresholds, fast_run.thresholds)
    assert all(torch.allclose(a, b, atol=1e-10) for a, b in zip(plain_gradients, fast_gradients, strict=True))


def test_thresholds_carry_gradients_back_to_the_pool() -> None:
    generator = torch.Generator().manual_seed(2)
    current = torch.rand(1, 4, 2, 16, generator=generator) + 0.5
    gate = torch.rand(1, 4, 2, 1, generator=generator, requires_grad=True)
    dynamic_lif(current, gate, (0, 0, 0, 0), LifParameters(), ThresholdRule()).spikes.sum().backward()
    assert gate.grad.abs().max() > 0
    assert gate.grad.sum() < 0  # a larger factor, a higher threshold, fewer spikes


def test_a_silent_block_has_finite_gradients() -> None:
    current, gate = torch.zeros(1, 2, 2, 4, requires_grad=True), torch.full((1, 2, 2, 1), 0.5, requires_grad=True)
    for fast in (False, True):
        run = dynamic_lif(current, gate, (0, 0, 0), LifParameters(), ThresholdRule(), fast)
        assert run.spikes.sum() == 0
        for gradient in torch.autograd.grad(run.spikes.sum(), (current, gate)):
            assert torch.isfinite(gradient).all()


def test_impossible_rules_are_refused() -> None:
    with pytest.raises(ValueError, match="positive"):
        ThresholdRule(start=0.0)
    with pytest.raises(ValueError, match="text or printed"):
        ThresholdRule(sign="paper")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="at least 1"):
        ThresholdRule(clamp=0.5)
