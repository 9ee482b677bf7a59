"""The spiking attention block against numbers worked out from the published block, and against plain loops."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from avzsl.nn.spikformer import SpikingReasoningBlock

ORDER = ("query", "key", "value", "output", "first", "second")


def fill(shape: torch.Size, k: int, around: float = 0.0, size: float = 0.5) -> Tensor:
    n = torch.arange(math.prod(shape), dtype=torch.float64)
    return (around + size * torch.sin(0.7 * (n + 1) + 1.3 * k)).view(shape)


def reference_block(scale: float) -> SpikingReasoningBlock:
    """Width 8, 2 heads, MLP 16, T = 4, every parameter from a sine; its outputs below are known."""
    block = SpikingReasoningBlock(8, 2, 16, 4, scale).double().eval()
    with torch.no_grad():
        for layer, name in enumerate(ORDER):
            linear, norm = block.linear[name], block.norm[name]
            linear.weight.copy_(5 * fill(linear.weight.shape, 4 * layer))
            linear.bias.copy_(fill(linear.bias.shape, 4 * layer + 1))
            norm.weight.copy_(fill(norm.weight.shape, 4 * layer + 2, 1.0, 0.1))
            norm.bias.copy_(fill(norm.bias.shape, 4 * layer + 3))
    return block


def reference_input() -> Tensor:
    n = torch.arange(4 * 1 * 3 * 8, dtype=torch.float64)
    return (torch.sin(1.1 * n + 0.3) > 0).double().view(4, 3, 8)


KNOWN = {
    0.125: (
        [23, 24, 18, 17],
        [[1.25, 1, 0.75, 0.5, 0.75, 1, 0.75, 0.75], [0.5, 0.75, 1.5, 1, 0.75, 0.25, 1, 1],
         [1, 1.5, 1, 0.25, 0.25, 1, 1, 1]],
    ),
    1.0: (
        [32, 27, 21, 17],
        [[1.75, 1.25, 0.75, 0.5, 0.5, 1, 1, 1], [0.5, 0.75, 1.5, 1.25, 1.25, 0.5, 1.25, 1.25],
         [1.25, 1.5, 1, 0.75, 0.5, 1, 1.25, 1]],
    ),
}  # fmt: skip


@pytest.mark.parametrize("scale", KNOWN)
def test_block_reproduces_known_numbers(scale: float) -> None:
    block = reference_block(scale)
    x = reference_input()
    spikes = [int(block._fire(name, x).sum()) for name in ("query", "key", "value")]
    assert spikes == [24, 25, 23]
    result = block(x, torch.ones(1, 3, dtype=torch.bool))
    sums, mean = KNOWN[scale]
    assert result.sum((1, 2)).tolist() == sums
    assert torch.allclose(result.mean(0), torch.tensor(mean, dtype=torch.float64))


def test_training_mode_reproduces_known_numbers() -> None:
    block = reference_block(1.0).train()
    result = block(reference_input(), torch.ones(1, 3, dtype=torch.bool))
    assert result.sum((1, 2)).tolist() == [13, 13, 14, 11]


@pytest.mark.parametrize(("width", "expected"), [(300, 1_088_100), (512, 3_159_552)])
def test_size_is_that_of_the_published_block(width: int, expected: int) -> None:
    block = SpikingReasoningBlock(width, 4, 4 * width, 4, scale=0.125)
    assert sum(p.numel() for p in block.parameters()) == expected


def test_repeating_the_input_equals_saying_it_once() -> None:
    torch.manual_seed(0)
    block = SpikingReasoningBlock(8, 2, 4, 5).double().eval()
    rows, mask = torch.randn(1, 6, 8, dtype=torch.float64), torch.ones(2, 3, dtype=torch.bool)
    assert torch.allclose(block(rows, mask), block(rows.expand(5, -1, -1), mask))


def test_learned_scale_starts_at_one_over_the_root_of_the_number_of_tokens() -> None:
    torch.manual_seed(0)
    mask = torch.tensor([[1, 0, 1, 1, 1], [1, 1, 1, 1, 0]], dtype=torch.bool)  # four tokens each, not five
    query, key, value = ((torch.rand(6, 8, 16) < 0.5).float() for _ in range(3))
    spikes = {
        scale: SpikingReasoningBlock(16, 2, 4, 6, scale)._attend(query, key, value, mask)
        for scale in (None, 0.5, 5**-0.5, 1.0)
    }
    assert torch.equal(spikes[None], spikes[0.5])
    assert not torch.equal(spikes[0.5], spikes[5**-0.5])
    assert not torch.equal(spikes[0.5], spikes[1.0])


def test_gradients_are_those_of_the_published_neuron() -> None:
    """Decayed input, reset left out of the gradient, sigmoid surrogate of sharpness 4, written out step by step."""
    block, leaf = reference_block(1.0), reference_input().requires_grad_()
    weights = fill(torch.Size((4, 3, 8)), 5)
    spikes = block._fire("query", leaf)
    ours = torch.autograd.grad((spikes * weights).sum(), leaf)[0]
    membrane, steps = torch.zeros(3, 8, dtype=torch.float64), []
    for x in leaf:
        membrane = membrane + (block.norm["query"](block.linear["query"](x)) - membrane) / 2
        smooth = torch.sigmoid(4 * (membrane - 1))
        fired = (membrane >= 1).double()
        steps.append(fired + smooth - smooth.detach())
        membrane = membrane * (1 - fired)
    theirs = torch.autograd.grad((torch.stack(steps) * weights).sum(), leaf)[0]
    assert torch.equal(spikes, torch.stack(steps).round())
    assert torch.allclose(ours, theirs, atol=1e-10)


def test_padding_changes_nothing() -> None:
    torch.manual_seed(0)
    block = SpikingReasoningBlock(8, 2, 4, 4).eval()
    tokens = 3 * torch.randn(2, 4, 8)
    mask = torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0]], dtype=torch.bool)
    whole = block.over_segments(tokens, mask)
    assert torch.allclose(whole[1, :2], block.over_segments(tokens[1:, :2])[0], atol=1e-6)
    assert not whole[1, 2:].any()


def test_order_of_tokens_is_carried_through() -> None:
    torch.manual_seed(0)
    block = SpikingReasoningBlock(8, 2, 4, 4).eval()
    tokens = 3 * torch.randn(2, 3, 8)
    assert torch.allclose(
        block.over_segments(tokens)[:, [2, 0, 1]], block.over_segments(tokens[:, [2, 0, 1]]), atol=1e-6
    )


def test_learned_scale_keeps_the_attention_alive_and_gradients_reach_everything() -> None:
    torch.manual_seed(0)
    block = SpikingReasoningBlock(16, 2, 8, 4).train()
    block.over_modalities(torch.randn(32, 2, 16)).square().sum().backward()
    for name, parameter in block.named_parameters():
        assert parameter.grad is not None, name
        # a bias before a batch norm is taken off again: its gradient is zero up to rounding
        if not (name.startswith("linear") and name.endswith("bias")):
            assert parameter.grad.abs().sum() > 1e-4, name
