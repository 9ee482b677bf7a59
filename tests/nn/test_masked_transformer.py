"""The mask over pairs of tokens, the layer against loops over single numbers, and what may change what."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from avzsl.nn.masked_transformer import MaskedLayer, MaskedTransformer, token_mask

AUDIO = torch.tensor([[True, False]])
VISUAL = torch.tensor([[True, True, False]])


def rows(mask: Tensor) -> list[str]:
    return ["".join(str(int(value)) for value in row) for row in mask[0].tolist()]


def test_masks_by_hand() -> None:
    """One class token, two audio and three visual segments, the last of each padding."""
    assert rows(token_mask(AUDIO, VISUAL)) == ["110110", "100110", "000000", "110000", "110000", "000000"]
    assert rows(token_mask(AUDIO, VISUAL, "self")) == ["110110", "110000", "000000", "100110", "100110", "000000"]
    assert rows(token_mask(AUDIO, VISUAL, "both")) == ["110110", "110110", "000000", "110110", "110110", "000000"]


@pytest.mark.parametrize("attention", ["cross", "self", "both"])
def test_masks_of_many_clips_are_those_of_each(attention: str) -> None:
    generator = torch.Generator().manual_seed(0)
    audio, visual = (torch.rand(5, n, generator=generator) < 0.7 for n in (4, 3))
    whole = token_mask(audio, visual, attention)  # type: ignore[arg-type]
    for b in range(5):
        for i in range(8):
            for j in range(8):
                real = [True, *audio[b].tolist(), *visual[b].tolist()]
                kinds = "c" + "a" * 4 + "v" * 3
                pair = kinds[i] + kinds[j]
                allowed = {"cross": pair not in ("aa", "vv"), "self": pair not in ("av", "va"), "both": True}[attention]
                assert bool(whole[b, i, j]) == (real[i] and real[j] and allowed)


def _layer_norm(row: list[float], weight: list[float], bias: list[float]) -> list[float]:
    mean = sum(row) / len(row)
    variance = sum((v - mean) ** 2 for v in row) / len(row)
    return [(v - mean) / math.sqrt(variance + 1e-5) * w + b for v, w, b in zip(row, weight, bias, strict=True)]


def _times(weight: Tensor, row: list[float], bias: Tensor | None = None) -> list[float]:
    shift = [0.0] * len(weight) if bias is None else bias.tolist()
    return [
        sum(w * v for w, v in zip(line, row, strict=True)) + b for line, b in zip(weight.tolist(), shift, strict=True)
    ]


def _by_loops(layer: MaskedLayer, tokens: Tensor, mask: Tensor, heads: int, width: int) -> Tensor:
    expected = torch.empty_like(tokens)
    key_weight, value_weight = layer.keys_values.weight.chunk(2)
    norm = layer.norm.weight.tolist(), layer.norm.bias.tolist()
    for item in range(len(tokens)):
        lines = [_layer_norm(row, *norm) for row in tokens[item].tolist()]
        for i, row in enumerate(tokens[item].tolist()):
            mixed: list[float] = []
            for head in range(heads):
                part = slice(head * width, (head + 1) * width)
                query = _times(layer.query.weight[part], lines[i])
                scores = []
                for j, line in enumerate(lines):
                    score = sum(q * k for q, k in zip(query, _times(key_weight[part], line), strict=True))
                    allowed = float(mask[item, i, j])
                    # A row that may look at nothing looks at everything alike.
                    scores.append(allowed * math.exp(score / math.sqrt(width)) if mask[item, i].any() else 1.0)
                values = [_times(value_weight[part], line) for line in lines]
                mixed += [
                    sum(s * v[c] for s, v in zip(scores, values, strict=True)) / sum(scores) for c in range(width)
                ]
            middle = [a + b for a, b in zip(row, _times(layer.output.weight, mixed, layer.output.bias), strict=True)]
            hidden = _times(layer.expand.weight, _layer_norm(middle, *norm), layer.expand.bias)
            hidden = [v * 0.5 * (1 + math.erf(v / math.sqrt(2))) for v in hidden]
            last = _times(layer.shrink.weight, hidden, layer.shrink.bias)
            expected[item, i] = torch.tensor([a + b for a, b in zip(middle, last, strict=True)])
    return expected


def random_layer(dropout: float = 0.0) -> MaskedLayer:
    torch.manual_seed(0)
    layer = MaskedLayer(6, 2, 3, 4, dropout).double()
    with torch.no_grad():
        layer.norm.weight.uniform_(0.5, 1.5)
        layer.norm.bias.uniform_(-1, 1)
    return layer


@pytest.mark.parametrize("attention", ["cross", "self", "both"])
def test_layer_equals_loops_padding_included(attention: str) -> None:
    layer = random_layer()
    audio = torch.tensor([[True, True], [True, False]])
    visual = torch.tensor([[True, True, True], [True, True, False]])
    mask = token_mask(audio, visual, attention)  # type: ignore[arg-type]
    tokens = torch.randn(2, 6, 6).double()
    expected = _by_loops(layer, tokens, mask, 2, 3)
    assert torch.allclose(layer(tokens, mask), expected, atol=1e-12)
    assert torch.allclose(layer(tokens, mask, 1), expected[:, :1], atol=1e-12)


def test_a_segment_moves_the_other_modality_and_the_class_token_alone() -> None:
    layer, mask = random_layer(), token_mask(torch.ones(1, 3, dtype=torch.bool), torch.ones(1, 2, dtype=torch.bool))
    tokens = torch.randn(1, 6, 6).double()
    other = tokens.clone()
    other[0, 2, 0] += 1  # the second of three audio segments; a layer norm would not see the same shift of all entries
    moved = (layer(tokens, mask) != layer(other, mask)).any(2)[0].tolist()
    assert moved == [True, False, True, False, True, True]


def test_transformer_reads_the_class_token_of_all_layers() -> None:
    torch.manual_seed(0)
    transformer = MaskedTransformer(6, 3, 2, 3, 4, 0.0).double()
    tokens, mask = torch.randn(2, 6, 6).double(), token_mask(AUDIO.expand(2, -1), VISUAL.expand(2, -1))
    expected = tokens
    for layer in transformer.layers:
        expected = layer(expected, mask)
    assert torch.allclose(transformer(tokens, mask), expected[:, 0], atol=1e-12)


def test_padding_reaches_neither_the_class_token_nor_a_gradient() -> None:
    torch.manual_seed(0)
    transformer = MaskedTransformer(6, 2, 2, 3, 4, 0.0)
    tokens, mask = torch.randn(1, 6, 6), token_mask(AUDIO, VISUAL)
    other = tokens.clone()
    other[0, [2, 5]] = 1e4
    assert torch.equal(transformer(tokens, mask), transformer(other, mask))
    other.requires_grad_()
    transformer(other, mask).sum().backward()
    assert other.grad is not None and other.grad.isfinite().all()
    assert (other.grad[0] != 0).any(1).tolist() == [True, True, False, True, True, False]


def test_dropout_follows_attention_hidden_units_and_output() -> None:
    layer = random_layer(0.5).train()
    found: list[int] = []
    layer.dropout.register_forward_hook(lambda _, given, __: found.append(given[0].shape[2]))
    layer(torch.randn(1, 6, 6).double(), token_mask(AUDIO, VISUAL))
    assert found == [6, 4, 6]
