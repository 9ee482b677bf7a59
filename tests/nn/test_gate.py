from __future__ import annotations

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from avzsl.nn import chunks, compiled
from avzsl.nn.gate import normalised_gate
from avzsl.nn.pooling import gated, pooled


def _norm(channels: int, generator: torch.Generator) -> nn.BatchNorm1d:
    norm = nn.BatchNorm1d(channels).double()
    for values in (norm.weight, norm.bias, norm.running_mean):
        values.data = torch.randn(channels, generator=generator, dtype=torch.float64)
    norm.running_var.copy_(torch.rand(channels, generator=generator) + 0.5)
    return norm


@settings(max_examples=40, deadline=None)
@given(
    sizes=st.tuples(st.sampled_from([1, 2, 5, 40, 70]), st.integers(1, 3), st.integers(2, 8)),
    training=st.booleans(),
    gate=st.booleans(),
    integers=st.booleans(),
    chunk=st.sampled_from([1, 100_000]),
    seed=st.integers(0, 10_000),
)
def test_both_forms_are_batch_norm_then_pooling(
    sizes: tuple[int, int, int], training: bool, gate: bool, integers: bool, chunk: int, seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    values = torch.randn(sizes, generator=generator, dtype=torch.float64) + 0.7
    if integers:  # equal maxima
        values = values.round()
        values[..., 0] += 0.25
    values.requires_grad_()
    beta = torch.tensor(0.3, dtype=torch.float64, requires_grad=True)
    norm = _norm(sizes[1], generator).train(training)
    a, b = (torch.randn(*s, generator=generator, dtype=torch.float64) for s in (sizes, (*sizes[:2], 1)))
    results = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chunks, "CHUNK_ELEMENTS", chunk)
        for form in ("pytorch", "plain", "fast"):
            own = copy.deepcopy(norm)
            if form == "pytorch":
                current = own(values)
                pool = pooled(current, beta)
                out = gated(current, pool) if gate else current.sigmoid()
            else:
                out, pool = normalised_gate(values, own, beta, gate, fast=form == "fast")
            loss = (out * a).sum() + (pool * b).sum()
            found = torch.autograd.grad(loss, (values, own.weight, own.bias, beta))
            results.append((out, pool, own.running_mean, own.running_var, own.num_batches_tracked, *found))
    for form in results[1:]:
        for ours, theirs in zip(form, results[0], strict=True):
            assert torch.allclose(ours, theirs, atol=1e-6, rtol=1e-6)
    assert torch.allclose(results[1][0], results[2][0], rtol=1e-13, atol=1e-13)


def test_forward_passes_are_equal_to_the_last_bit_in_single_precision() -> None:
    generator = torch.Generator().manual_seed(0)
    for sizes in ((64, 4, 32), (7, 3, 21), (1, 1, 2)):
        values, norm = torch.randn(sizes, generator=generator), nn.BatchNorm1d(sizes[1])
        forms = [normalised_gate(values, norm, torch.tensor(0.4), fast=fast) for fast in (False, True)]
        with compiled.without():
            forms.append(normalised_gate(values, norm, torch.tensor(0.4)))
        for form in forms[1:]:
            assert torch.equal(form[0], forms[0][0])
            assert torch.equal(form[1], forms[0][1])
