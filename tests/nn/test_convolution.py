from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from avzsl.nn import chunks
from avzsl.nn.convolution import halving_convolution


@settings(max_examples=40, deadline=None)
@given(
    rows=st.sampled_from([1, 2, 7, 40]),
    channels=st.tuples(st.integers(1, 5), st.integers(1, 5)),
    half=st.integers(1, 9),
    chunk=st.sampled_from([1, 100_000]),
    seed=st.integers(0, 10_000),
)
def test_fast_form_has_the_values_and_gradients_of_pytorch(
    rows: int, channels: tuple[int, int], half: int, chunk: int, seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.randn(rows, channels[0], 2 * half, generator=generator, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(channels[1], channels[0], 4, generator=generator, dtype=torch.float64, requires_grad=True)
    weights = torch.randn(rows, channels[1], half, generator=generator, dtype=torch.float64)
    results = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chunks, "CHUNK_ELEMENTS", chunk)
        for fast in (False, True):
            out = halving_convolution(inputs, weight, fast)
            results.append((out, *torch.autograd.grad((out * weights).sum(), (inputs, weight))))
    assert torch.equal(results[0][0], results[1][0])
    assert all(torch.allclose(a, b, atol=1e-11) for a, b in zip(*results, strict=True))


def test_positions_are_halved_and_the_taps_are_where_they_should_be() -> None:
    # out[p] = sum_j w[j] x[2p - 1 + j], zeros outside
    inputs = torch.tensor([[[1.0, 2.0, 3.0, 4.0]]])
    weight = torch.tensor([[[1.0, 10.0, 100.0, 1000.0]]])
    assert halving_convolution(inputs, weight).tolist() == [[[0 + 10 + 200 + 3000, 2 + 30 + 400 + 0]]]


def test_only_the_wanted_gradient_is_made() -> None:
    inputs, weight = torch.randn(2, 1, 8), torch.randn(3, 1, 4, requires_grad=True)
    halving_convolution(inputs, weight).sum().backward()
    assert inputs.grad is None
    assert weight.grad is not None
