"""Attention against loops over heads, queries and keys."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from avzsl.nn.attention import FeedForward, MultiHeadAttention, ReasoningBlock


def plain_attention(block: MultiHeadAttention, queries: Tensor, keys: Tensor, mask: Tensor | None) -> Tensor:
    q, k, v = block.query(queries).detach(), block.key(keys).detach(), block.value(keys)
    size = q.shape[2] // block.heads
    rows = []
    for b in range(len(q)):
        for i in range(q.shape[1]):
            joined = []
            for head in range(block.heads):
                part = slice(head * size, (head + 1) * size)
                allowed = [j for j in range(k.shape[1]) if mask is None or mask[b, j]]
                weights = [math.exp(float(q[b, i, part] @ k[b, j, part]) / math.sqrt(size)) for j in allowed]
                total = sum(weights)
                joined.append(sum(w / total * v[b, j, part] for w, j in zip(weights, allowed, strict=True)))
            rows.append(block.output(torch.cat(joined)))
    return torch.stack(rows).view(len(q), q.shape[1], -1)


@pytest.mark.parametrize("masked", [False, True])
def test_attention_agrees_with_plain_loops(masked: bool) -> None:
    torch.manual_seed(0)
    block = MultiHeadAttention(6, 2, 4).double()
    queries, keys = torch.randn(2, 3, 6, dtype=torch.float64), torch.randn(2, 4, 6, dtype=torch.float64)
    mask = torch.tensor([[1, 1, 0, 1], [1, 0, 0, 0]], dtype=torch.bool) if masked else None
    assert torch.allclose(block(queries, keys, mask), plain_attention(block, queries, keys, mask), atol=1e-10)


def test_the_shortcut_for_one_key_is_exact() -> None:
    torch.manual_seed(0)
    block = MultiHeadAttention(6, 2, 4).double()
    queries, key = torch.randn(2, 3, 6, dtype=torch.float64), torch.randn(2, 1, 6, dtype=torch.float64)
    assert torch.allclose(block(queries, key), plain_attention(block, queries, key, None), atol=1e-12)


def test_masked_keys_change_nothing() -> None:
    torch.manual_seed(0)
    block = ReasoningBlock(8, 2, 4, 3).eval()
    segments = torch.randn(2, 5, 8)
    mask = torch.tensor([[1, 1, 1, 0, 0], [1, 1, 0, 0, 0]], dtype=torch.bool)
    other = torch.where(mask.unsqueeze(2), segments, torch.tensor(50.0))
    assert torch.allclose(block.over_segments(segments, mask)[mask], block.over_segments(other, mask)[mask])
    alone = block.over_segments(segments[1:, :2])
    assert torch.allclose(block.over_segments(segments, mask)[1, :2], alone[0], atol=1e-6)


def test_feed_forward_is_residual_around_a_normalised_mlp() -> None:
    torch.manual_seed(0)
    feed = FeedForward(6, 3).double()
    x = torch.randn(4, 6, dtype=torch.float64)
    norm, first, _, second = feed.layers
    centred = (x - x.mean(1, keepdim=True)) / torch.sqrt(x.var(1, unbiased=False, keepdim=True) + norm.eps)
    hidden = first(centred)
    gelu = hidden * 0.5 * (1 + torch.erf(hidden / math.sqrt(2)))
    assert torch.allclose(feed(x), second(gelu) + x)


def test_segments_and_modalities_differ_by_the_residual_around_attention() -> None:
    torch.manual_seed(0)
    block = ReasoningBlock(8, 2, 4, 3).double()
    tokens = torch.randn(2, 2, 8, dtype=torch.float64)
    attended = plain_attention(block.attend, tokens, tokens, None)
    assert torch.allclose(block.over_segments(tokens), block.feed(attended))
    assert torch.allclose(block.over_modalities(tokens), block.feed(attended + tokens))


def test_shared_block_has_the_size_the_budget_counts() -> None:
    block = ReasoningBlock(512, 8, 64, 64)
    attention = 4 * (512 * 512 + 512)
    assert sum(p.numel() for p in block.attend.parameters()) == attention
    assert sum(p.numel() for p in block.feed.parameters()) == 512 * 64 + 64 + 64 * 512 + 512 + 2 * 512
