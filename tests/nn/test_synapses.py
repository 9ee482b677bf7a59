"""Synaptic operations against a loop over every spike and every weight."""

from __future__ import annotations

from itertools import product

import pytest
import torch
from torch import Tensor

from avzsl.nn.synapses import Synapses, axis_taps, by_clip, convolution, convolution_fan_out, linear


def spikes_of(*shape: int, rate: float = 0.3, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed)) < rate


def brute_convolution(
    spikes: Tensor, weight: Tensor, size: tuple[int, ...], stride: int, padding: int
) -> tuple[Tensor, Tensor]:
    """Add each weight that each spike meets into its target, [B]-wise counts and the currents themselves."""
    T, B, _ = spikes.shape
    outputs = [(n + 2 * padding - k) // stride + 1 for n, k in zip(size, weight.shape[2:], strict=True)]
    images = spikes.view(T, B, weight.shape[1], *size)
    current = torch.zeros(T, B, len(weight), *outputs, dtype=torch.float64)
    counts = torch.zeros(B, dtype=torch.float64)
    for place in images.nonzero().tolist():
        t, b, source, *at = place
        for target, *tap in product(*(range(n) for n in (len(weight), *weight.shape[2:]))):
            moved = [(p + padding - j) / stride for p, j in zip(at, tap, strict=True)]
            if all(m.is_integer() and 0 <= m < n for m, n in zip(moved, outputs, strict=True)):
                current[(t, b, target, *(int(m) for m in moved))] += float(weight[(target, source, *tap)])
                counts[b] += 1
    return counts, current


@pytest.mark.parametrize(
    ("kernel", "stride", "padding", "size"), [(4, 2, 1, 8), (3, 1, 1, 5), (3, 2, 0, 7), (5, 3, 2, 9)]
)
def test_a_spike_of_a_convolution_reaches_fewer_targets_at_the_border(
    kernel: int, stride: int, padding: int, size: int
) -> None:
    weight = torch.randn(3, 2, kernel, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    spikes = spikes_of(4, 3, 2 * size)
    counts, current = brute_convolution(spikes, weight, (size,), stride, padding)
    described = convolution(
        weight.shape,
        (size,),
        stride,
        padding,
        spikes=spikes,
        passes=torch.zeros(3, dtype=torch.long),
        twin=torch.ones(3),
    )
    assert torch.equal(described.operations(), counts)
    # the loop adds up what the convolution gives, so it has met every weight that there is to meet
    dense = torch.nn.functional.conv1d(spikes.view(12, 2, size).double(), weight, stride=stride, padding=padding)
    assert torch.allclose(current.flatten(0, 1), dense)
    assert described.outputs == dense[0].numel() and described.weights == weight.numel()
    assert described.nominal == dense[0].numel() * 2 * kernel >= described.taps


def test_two_axes_are_counted_like_one() -> None:
    weight = torch.randn(2, 2, 3, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    spikes = spikes_of(2, 2, 2 * 5 * 4)
    counts, current = brute_convolution(spikes, weight, (5, 4), 2, 1)
    described = convolution(
        weight.shape, (5, 4), 2, 1, spikes=spikes, passes=torch.zeros(2, dtype=torch.long), twin=torch.ones(2)
    )
    assert torch.equal(described.operations(), counts)
    dense = torch.nn.functional.conv2d(spikes.view(4, 2, 5, 4).double(), weight, stride=2, padding=1)
    assert torch.allclose(current.flatten(0, 1), dense)


def test_fan_out_is_the_gradient_of_a_sum_over_unit_weights() -> None:
    inputs = torch.zeros(1, 3, 16, requires_grad=True)
    torch.nn.functional.conv1d(inputs, torch.ones(5, 3, 4), stride=2, padding=1).sum().backward()
    assert inputs.grad is not None
    assert torch.equal(convolution_fan_out(torch.Size((5, 3, 4)), (16,), 2, 1).float(), inputs.grad.flatten())
    # output o reads positions 2 o - 1 to 2 o + 2: the first and the last position are met once, all others twice
    assert axis_taps(16, 4, 2, 1).tolist() == [1, *[2] * 14, 1]


def test_every_spike_meets_a_whole_row_of_a_matrix() -> None:
    spikes = spikes_of(3, 2, 6)
    described = linear(torch.Size((5, 6)), spikes=spikes, passes=torch.zeros(2), twin=torch.ones(2))
    assert torch.equal(described.operations(), 5.0 * spikes.sum((0, 2)).double())
    assert (described.taps, described.nominal, described.weights, described.outputs) == (30, 30, 30, 5)


def test_rows_count_for_the_clip_that_owns_them() -> None:
    spikes = torch.zeros(2, 3, 4, dtype=torch.bool)
    spikes[0, 0, 0] = spikes[1, 1, 2] = spikes[1, 2, 1] = spikes[0, 2, 3] = True
    described = linear(
        torch.Size((10, 4)), spikes=spikes, passes=torch.zeros(2), twin=torch.ones(2), owner=torch.tensor([0, 0, 1])
    )
    assert described.operations().tolist() == [20, 20]
    assert by_clip(torch.tensor([1.0, 2, 4]), torch.tensor([1, 1, 0]), 2).tolist() == [4, 3]


def test_where_spikes_meet_spikes_the_fan_out_is_theirs() -> None:
    first, second = spikes_of(2, 3, 4, seed=3), spikes_of(2, 3, 4, seed=4)
    meeting = second.sum(2, keepdim=True).expand(-1, -1, 4)
    described = Synapses("meet", meeting, first, torch.zeros(3), torch.ones(3), 16, 4, 0)
    by_hand = torch.zeros(3)
    for t, r, i, j in product(range(2), range(3), range(4), range(4)):
        by_hand[r] += bool(first[t, r, i]) and bool(second[t, r, j])
    assert described.operations().tolist() == by_hand.tolist()
    assert described.taps == 16


def test_floats_cause_no_synaptic_operations() -> None:
    described = linear(torch.Size((5, 6)), spikes=None, passes=torch.ones(3), twin=torch.ones(3))
    assert described.operations().tolist() == [0, 0, 0]
