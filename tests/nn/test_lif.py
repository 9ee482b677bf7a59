from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from avzsl.errors import SettingError
from avzsl.nn.lif import LifParameters, LifState, lif, lif_step


def test_membrane_of_a_hand_worked_sequence_with_hard_reset() -> None:
    # tau 2, V_th 1: U = V + (I - V) / 2
    # I = 1.2: U .6; I = 1.6: U .6 + .5 = 1.1, fires, V = 0; I = 1: U .5; I = 1: U .75; I = 1.25: U 1, which fires
    run = lif(torch.tensor([1.2, 1.6, 1.0, 1.0, 1.25], dtype=torch.float64), LifParameters(), 1.0)
    assert run.charged.tolist() == pytest.approx([0.6, 1.1, 0.5, 0.75, 1.0])
    assert run.spikes.tolist() == [0, 1, 0, 0, 1]
    assert run.state.membrane.item() == 0


def test_membrane_of_a_hand_worked_sequence_with_soft_reset() -> None:
    run = lif(torch.tensor([3.0, 0.0, 2.0], dtype=torch.float64), LifParameters(reset="soft"), 1.0)
    # U 1.5 fires, V = .5; U .25; U .25 + .875 = 1.125 fires, V = .125
    assert run.charged.tolist() == pytest.approx([1.5, 0.25, 1.125])
    assert run.spikes.tolist() == [1, 0, 1]
    assert run.state.membrane.item() == pytest.approx(0.125)


def test_membrane_of_a_hand_worked_sequence_without_reset_and_with_rest() -> None:
    run = lif(torch.tensor([4.0, 0.0], dtype=torch.float64), LifParameters(tau=4.0, v_rest=-1.0, reset="none"), 0.1)
    # from rest -1: U = -1 + (4 - 0) / 4 = 0, silent; U = 0 + (0 - (0 + 1)) / 4 = -.25
    assert run.charged.tolist() == pytest.approx([0.0, -0.25])
    assert run.spikes.tolist() == [0, 0]


def test_reset_potential_is_hit_exactly() -> None:
    state = LifState(torch.tensor([0.3, 0.3]))
    for fast in (False, True):
        run = lif(torch.tensor([[7.7, 0.0]]), LifParameters(v_reset=-0.1), 1.0, state, fast)
        assert run.state.membrane[0] == torch.tensor(-0.1)


def test_threshold_may_differ_by_step_and_neuron() -> None:
    current = torch.full((3, 2), 1.0)
    threshold = torch.tensor([[0.5, 0.6], [0.4, 0.7], [9.0, 0.1]])
    # neuron 0: U .5 fires, .5 fires, .5 silent; neuron 1: U .5, .75 fires, then .5 fires
    for fast in (False, True):
        run = lif(current, LifParameters(), threshold, fast=fast)
        assert run.spikes.tolist() == [[1, 0], [1, 1], [0, 1]]


def test_a_sequence_can_be_cut_and_continued() -> None:
    current = torch.randn(6, 5, generator=torch.Generator().manual_seed(0)) + 1
    for fast in (False, True):
        whole = lif(current, LifParameters(), 0.6, fast=fast)
        first = lif(current[:2], LifParameters(), 0.6, fast=fast)
        second = lif(current[2:], LifParameters(), 0.6, first.state, fast=fast)
        assert torch.equal(whole.spikes, torch.cat([first.spikes, second.spikes]))
        assert torch.equal(whole.state.membrane, second.state.membrane)


def test_lif_is_the_repetition_of_lif_step() -> None:
    current = torch.randn(4, 3, generator=torch.Generator().manual_seed(1)) + 1
    state, spikes = None, []
    for now in current:
        s, state = lif_step(now, state, LifParameters(), 0.5)
        spikes.append(s)
    assert torch.equal(torch.stack(spikes), lif(current, LifParameters(), 0.5).spikes)


def _run(
    current: Tensor, threshold: Tensor | float, membrane: Tensor, params: LifParameters, fast: bool
) -> list[Tensor]:
    """Spikes, last membrane and all gradients of a weighted sum of both."""
    leaves = [x.clone().requires_grad_() for x in (current, membrane)]
    if isinstance(threshold, Tensor):
        leaves.append(threshold.clone().requires_grad_())
        threshold = leaves[2]
    run = lif(leaves[0], params, threshold, LifState(leaves[1]), fast)
    generator = torch.Generator().manual_seed(2)
    weights = torch.randn(run.spikes.shape, generator=generator, dtype=current.dtype)
    loss = (run.spikes * weights).sum() + (run.state.membrane * weights[0]).sum()
    return [run.spikes.detach(), run.state.membrane.detach(), *torch.autograd.grad(loss, leaves)]


@settings(max_examples=60, deadline=None)
@given(
    sizes=st.tuples(st.integers(1, 6), st.integers(1, 4), st.integers(1, 3), st.integers(1, 5)),
    threshold=st.sampled_from(["number", "channel", "sample", "step", "full"]),
    reset=st.sampled_from(["hard", "soft", "none"]),
    detach=st.booleans(),
    tau=st.sampled_from([1.0, 1.5, 2.0, 7.0]),
    v=st.sampled_from([(0.0, 0.0), (-0.2, 0.1)]),
    seed=st.integers(0, 10_000),
)
def test_fast_form_has_the_spikes_and_gradients_of_the_loop(
    sizes: tuple[int, ...], threshold: str, reset: str, detach: bool, tau: float, v: tuple[float, float], seed: int
) -> None:
    T, B, C, P = sizes
    generator = torch.Generator().manual_seed(seed)
    shape = {"channel": (C, 1), "sample": (B, 1, 1), "step": (T, B, C, 1), "full": (T, B, C, P)}.get(threshold)
    level = 0.4 if shape is None else 0.2 + 0.5 * torch.rand(shape, generator=generator, dtype=torch.float64)
    current = torch.randn(sizes, generator=generator, dtype=torch.float64) + 0.5
    membrane = torch.randn(sizes[1:], generator=generator, dtype=torch.float64)
    params = LifParameters(tau, v[0], v[1], reset, detach)  # type: ignore[arg-type]
    plain, fast = (_run(current, level, membrane, params, fast) for fast in (False, True))
    assert torch.equal(plain[0], fast[0])
    for ours, theirs in zip(plain[1:], fast[1:], strict=True):
        assert torch.allclose(ours, theirs, atol=1e-11)


def test_fast_form_agrees_in_single_precision() -> None:
    generator = torch.Generator().manual_seed(3)
    current, membrane = torch.randn(8, 16, 64, generator=generator) + 0.5, torch.zeros(16, 64)
    plain, fast = (_run(current, 0.5, membrane, LifParameters(), fast) for fast in (False, True))
    assert torch.equal(plain[0], fast[0])
    assert (plain[2] - fast[2]).abs().max() <= 1e-6 * plain[2].abs().max()


@pytest.mark.parametrize("fast", [False, True])
@pytest.mark.parametrize("detach", [False, True])
@pytest.mark.parametrize("v_reset", [0.0, -0.25, None])
def test_agrees_with_spikingjelly_in_spikes_and_gradients(fast: bool, detach: bool, v_reset: float | None) -> None:
    neuron = pytest.importorskip("spikingjelly.activation_based.neuron")
    from spikingjelly.activation_based import surrogate

    node = neuron.LIFNode(
        tau=2.0, decay_input=True, v_threshold=0.7, v_reset=v_reset, surrogate_function=surrogate.ATan(),
        detach_reset=detach, step_mode="m",
    )  # fmt: skip
    generator = torch.Generator().manual_seed(4)
    current = torch.randn(8, 16, 64, generator=generator) + 0.5
    weights = torch.randn(8, 16, 64, generator=generator)
    # spikingjelly has one constant for rest and reset, and starts from it
    rest = 0.0 if v_reset is None else v_reset
    params = LifParameters(v_rest=rest, v_reset=rest, reset="soft" if v_reset is None else "hard", detach_reset=detach)
    results = []
    for function in (node, lambda x: lif(x, params, 0.7, fast=fast).spikes):
        leaf = current.clone().requires_grad_()
        spikes = function(leaf)
        results.append((spikes.detach(), torch.autograd.grad((spikes * weights).sum(), leaf)[0]))
    (theirs, their_gradient), (ours, our_gradient) = results
    assert 0.05 < ours.mean() < 0.6
    assert torch.equal(ours, theirs)
    assert (our_gradient - their_gradient).abs().max() <= 1e-6 * their_gradient.abs().max()


@pytest.mark.parametrize("fast", [False, True])
def test_agrees_with_snntorch_in_spikes_and_gradients(fast: bool) -> None:
    snntorch = pytest.importorskip("snntorch")
    from snntorch import surrogate

    leaky = snntorch.Leaky(
        beta=0.5, threshold=0.7, spike_grad=surrogate.atan(alpha=2.0), reset_mechanism="zero", reset_delay=False
    )
    generator = torch.Generator().manual_seed(5)
    current = torch.randn(8, 16, 64, generator=generator) + 0.5
    weights = torch.randn(8, 16, 64, generator=generator)

    def theirs(x: Tensor) -> Tensor:
        membrane, steps = torch.zeros_like(x[0]), []
        for now in x / 2:  # snntorch does not decay its input
            s, membrane = leaky(now, membrane)
            steps.append(s)
        return torch.stack(steps)

    results = []
    for function in (theirs, lambda x: lif(x, LifParameters(), 0.7, fast=fast).spikes):
        leaf = current.clone().requires_grad_()
        spikes = function(leaf)
        results.append((spikes.detach(), torch.autograd.grad((spikes * weights).sum(), leaf)[0]))
    assert torch.equal(results[0][0], results[1][0])
    assert (results[0][1] - results[1][1]).abs().max() <= 1e-6 * results[0][1].abs().max()


@pytest.mark.parametrize("fast", [False, True])
@pytest.mark.parametrize("reset", ["hard", "soft", "none"])
def test_rate_falls_when_the_threshold_rises(reset: str, fast: bool) -> None:
    current = torch.rand(12, 500, generator=torch.Generator().manual_seed(6))
    params = LifParameters(reset=reset)  # type: ignore[arg-type]
    rates = [lif(current, params, level, fast=fast).spikes.mean().item() for level in (0.2, 0.3, 0.4, 0.5, 0.6)]
    assert rates == sorted(rates, reverse=True)
    assert rates[0] > rates[-1] + 0.1


def test_impossible_settings_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        LifParameters(tau=0.5)
    with pytest.raises(ValueError, match="hard, soft or none"):
        LifParameters(reset="gentle")  # type: ignore[arg-type]
    with pytest.raises(SettingError, match="unknown surrogate"):
        LifParameters(surrogate="atam")
    with pytest.raises(ValueError, match="T >= 1"):
        lif(torch.zeros(0, 3), LifParameters())
