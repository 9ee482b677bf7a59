"""The integrate-and-fire neuron against numbers by hand, a plain loop and spikingjelly."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from avzsl.nn.integrate import INTEGRATING, BranchState, SpikingBranch, integrate, integrate_under
from avzsl.nn.lif import LifParameters, LifState

both_ways = pytest.mark.parametrize("fast", [False, True])


@both_ways
def test_a_constant_current_fires_at_every_whole_multiple(fast: bool) -> None:
    run = integrate(torch.full((10, 1), 0.35, dtype=torch.float64), fast=fast)
    # 0.35, 0.7, 1.05 fires; the same again twice; the last step leaves 0.35
    assert run.spikes.flatten().nonzero().flatten().tolist() == [2, 5, 8]
    assert run.charged.flatten().tolist() == pytest.approx([0.35, 0.7, 1.05] * 3 + [0.35])
    assert run.state.membrane.item() == pytest.approx(0.35)
    currents = torch.tensor([0.25, 0.5, 1.0, 1.7, 0.0, -3.0], dtype=torch.float64)
    rates = integrate(currents.expand(10, -1), fast=fast).spikes.mean(0)
    assert rates.tolist() == pytest.approx([0.2, 0.5, 1.0, 1.0, 0.0, 0.0])


def test_number_of_spikes_of_a_constant_current_has_a_closed_form() -> None:
    currents = torch.linspace(0.013, 1.9, 200, dtype=torch.float64)
    found = integrate(currents.expand(10, -1)).spikes.sum(0).tolist()
    assert found == [10 // math.ceil(1 / x) for x in currents.tolist()]


def test_reaching_the_threshold_exactly_fires() -> None:
    assert integrate(torch.tensor([[0.5], [0.5]])).spikes.flatten().tolist() == [0, 1]
    assert integrate(torch.tensor([[0.5], [0.5]]), threshold=0.5).spikes.flatten().tolist() == [1, 1]


@both_ways
@pytest.mark.parametrize(("detach", "expected"), [(False, 1.58688507), (True, 2.82938791)])
def test_gradient_of_one_spike_with_and_without_that_of_its_reset(fast: bool, detach: bool, expected: float) -> None:
    x = torch.tensor([0.6], dtype=torch.float64, requires_grad=True)
    params = LifParameters(surrogate="sigmoid", detach_reset=detach)
    integrate(x.expand(3, -1), params, fast=fast).spikes.sum().backward()
    assert x.grad is not None
    assert x.grad.item() == pytest.approx(expected, abs=1e-8)


def _everything(current: Tensor, membrane: Tensor, params: LifParameters, fast: bool) -> list[Tensor]:
    """Spikes, last potential and the gradients of a weighted sum of both."""
    leaves = [x.clone().requires_grad_() for x in (current, membrane)]
    run = integrate(leaves[0], params, 0.7, LifState(leaves[1]), fast)
    weights = torch.randn(run.spikes.shape, generator=torch.Generator().manual_seed(5), dtype=current.dtype)
    ((run.spikes * weights).sum() + (run.state.membrane * weights[0]).sum()).backward()
    return [run.spikes.detach(), run.charged.detach(), run.state.membrane.detach(), *(x.grad for x in leaves)]  # type: ignore[misc]


@pytest.mark.parametrize("reset", ["hard", "soft", "none"])
@pytest.mark.parametrize("detach", [False, True])
def test_fast_and_plain_agree(reset: str, detach: bool) -> None:
    generator = torch.Generator().manual_seed(0)
    current = 0.8 * torch.randn(7, 4, 5, generator=generator, dtype=torch.float64) + 0.3
    membrane = torch.randn(4, 5, generator=generator, dtype=torch.float64)
    params = LifParameters(reset=reset, detach_reset=detach, surrogate="sigmoid", v_reset=-0.1)  # type: ignore[arg-type]
    plain, fast = (_everything(current, membrane, params, way) for way in (False, True))
    assert 0.1 < plain[0].mean() < 0.9
    for a, b in zip(plain, fast, strict=True):
        assert torch.allclose(a, b, atol=1e-12)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("same", [False, True])
def test_one_node_equals_the_plain_loop_for_any_shape(seed: int, same: bool) -> None:
    torch.manual_seed(seed)
    steps, *shape = (int(torch.randint(1, 9, ())) for _ in range(2 + seed % 3))
    threshold = 0.5 + float(torch.rand(()))
    runs = []
    current, start = 2 * torch.rand(1 if same else steps, *shape), torch.rand(*shape)
    pull, last_pull = torch.randn(steps, *shape), torch.randn(*shape)
    for fast in (False, True):
        given, before = current.clone().requires_grad_(), start.clone().requires_grad_()
        run = integrate(given, threshold=threshold, state=LifState(before), fast=fast, steps=steps if same else None)
        (run.spikes * pull).sum().add((run.state.membrane * last_pull).sum()).backward()
        runs.append((run.spikes, run.charged, run.state.membrane, given.grad, before.grad))
    for number, (plain, fast_one) in enumerate(zip(*runs, strict=True)):
        assert plain is not None and fast_one is not None and plain.shape == fast_one.shape
        if number < 3:
            assert torch.equal(plain, fast_one)
        else:
            assert float((plain - fast_one).abs().max()) <= 1e-5 * max(1.0, float(plain.abs().max()))


def test_a_repeated_current_is_one_current() -> None:
    for current, steps in ((torch.ones(2, 3), 4), (torch.ones(1, 3), 0)):
        with pytest.raises(ValueError, match="one current for at least one step"):
            integrate(current, steps=steps)


def test_spikingjelly_agrees() -> None:
    neuron = pytest.importorskip("spikingjelly.activation_based.neuron")
    current = torch.randn(6, 3, 4, generator=torch.Generator().manual_seed(2), dtype=torch.float64) + 0.4
    results = []
    for way in ("ours", "theirs"):
        x = current.clone().requires_grad_()
        if way == "ours":
            spikes = integrate(x).spikes
        else:
            node = neuron.IFNode()
            spikes = torch.stack([node(now) for now in x])
        (spikes * torch.arange(72, dtype=torch.float64).view(6, 3, 4)).sum().backward()
        assert x.grad is not None
        results.append((spikes.detach(), x.grad))
    assert torch.equal(results[0][0], results[1][0])
    assert torch.allclose(results[0][1], results[1][1], atol=1e-12)


def test_a_sequence_can_be_cut_and_continued() -> None:
    current = torch.randn(6, 5, generator=torch.Generator().manual_seed(0)) + 0.3
    whole, first = integrate(current), integrate(current[:2])
    second = integrate(current[2:], state=first.state)
    assert torch.equal(whole.spikes, torch.cat([first.spikes, second.spikes]))
    assert torch.equal(whole.state.membrane, second.state.membrane)
    assert not torch.equal(second.spikes, integrate(current[2:]).spikes)


def test_no_time_step_is_refused() -> None:
    with pytest.raises(ValueError, match="T >= 1"):
        integrate(torch.zeros(0, 3))


def test_a_rule_sees_the_share_of_the_step_before() -> None:
    shares: list[list[float]] = []

    def rule(share: Tensor) -> Tensor:
        shares.append(share.flatten().tolist())
        return 1 + share

    current = torch.tensor([[1.0, 0.25], [0.25, 0.25]]).expand(4, 2, 2)
    run, thresholds = integrate_under(current, rule)
    # row 0: 1.0 fires against 1, so the next threshold is 1.5 and 1.0 waits; 2.0 fires against 1 again. Its neighbour
    # reaches 1.0 at the last step, against 1.5; the same neuron of row 1 does so against 1.
    assert run.spikes[:, 0].T.tolist() == [[1, 0, 1, 0], [0, 0, 0, 0]]
    assert run.spikes[:, 1].T.tolist() == [[0, 0, 0, 1], [0, 0, 0, 1]]
    assert shares == [[0, 0], [0.5, 0], [0, 0], [0.5, 0]]
    assert thresholds.squeeze(2).tolist() == [[1, 1], [1.5, 1], [1, 1], [1.5, 1]]


def _branch() -> SpikingBranch:
    torch.manual_seed(0)
    branch = SpikingBranch(6, 8, 5).double()
    for layer in (branch.first, branch.second):
        nn.init.normal_(layer.weight, 0.1, 0.4)
    return branch


def test_a_branch_is_two_layers_step_by_step() -> None:
    branch = _branch()
    rows = torch.randn(3, 6, dtype=torch.float64)
    hidden, output = torch.zeros(3, 8, dtype=torch.float64), torch.zeros(3, 5, dtype=torch.float64)
    run = branch(rows, 7)
    for t in range(7):
        hidden = hidden + rows @ branch.first.weight.T + branch.first.bias
        fired = (hidden >= 1).double()
        assert torch.equal(run.spikes[0][t], fired)
        assert torch.allclose(run.charged[0][t], hidden)
        hidden = hidden * (1 - fired)
        output = output + fired @ branch.second.weight.T + branch.second.bias
        fired = (output >= 1).double()
        assert torch.equal(run.spikes[1][t], fired)
        output = output * (1 - fired)
    assert torch.allclose(run.state.hidden.membrane, hidden) and torch.allclose(run.state.output.membrane, output)
    assert run.spikes[1].sum() > 5
    assert all(torch.equal(t, torch.ones(7, 3, 1, dtype=torch.float64)) for t in run.thresholds)


def test_a_branch_can_be_continued_and_a_constant_rule_is_a_threshold() -> None:
    branch = _branch()
    rows = torch.randn(3, 6, dtype=torch.float64)
    whole, first = branch(rows, 5), branch(rows, 2)
    second = branch(rows, 3, first.state)
    assert isinstance(first.state, BranchState)
    for layer in range(2):
        assert torch.equal(whole.spikes[layer], torch.cat([first.spikes[layer], second.spikes[layer]]))
    ruled, fixed = branch(rows, 5, rule=lambda share: 0.8 + 0 * share), branch(rows, 5, threshold=0.8)
    for layer in range(2):
        assert torch.equal(ruled.spikes[layer], fixed.spikes[layer])
        assert torch.equal(ruled.thresholds[layer], fixed.thresholds[layer])
    assert not torch.equal(fixed.spikes[0], whole.spikes[0])


def test_a_branch_has_the_parameters_of_the_public_code() -> None:
    assert sum(p.numel() for p in SpikingBranch(512, 512, 300).parameters()) == 416_556
    assert INTEGRATING.reset == "hard" and not INTEGRATING.detach_reset
