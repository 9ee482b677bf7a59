"""One- and two-layer nets and the transformer layer, against loops over single numbers."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from avzsl.nn.layers import OneLayer, TransformerLayer, TwoLayer


def _norm_rows(rows: Tensor) -> Tensor:
    """Batch norm in training mode, entry by entry, before its scale and shift."""
    result = torch.empty_like(rows)
    for column in range(rows.shape[1]):
        values = rows[:, column].tolist()
        mean = sum(values) / len(values)
        variance = sum((v - mean) ** 2 for v in values) / len(values)
        for row, v in enumerate(values):
            result[row, column] = (v - mean) / math.sqrt(variance + 1e-5)
    return result


def test_one_layer_is_linear_norm_relu() -> None:
    torch.manual_seed(0)
    net, rows = OneLayer(3, 4, 0.0).double(), torch.randn(5, 3).double()
    expected = _norm_rows(rows @ net.linear.weight.T + net.linear.bias).clamp(min=0)
    assert torch.allclose(net(rows), expected, atol=1e-12)
    assert (expected > 0).any() and (expected == 0).any()


def test_two_layers_are_one_after_the_other() -> None:
    torch.manual_seed(0)
    net, rows = TwoLayer(3, 6, 4, 0.0).double(), torch.randn(5, 3).double()
    hidden = _norm_rows(rows @ net.first.linear.weight.T + net.first.linear.bias).clamp(min=0)
    expected = _norm_rows(hidden @ net.second.linear.weight.T + net.second.linear.bias).clamp(min=0)
    assert torch.allclose(net(rows), expected, atol=1e-12)


def test_parameter_counts_are_those_of_the_public_nets() -> None:
    def count(net: torch.nn.Module) -> int:
        return sum(p.numel() for p in net.parameters())

    assert count(TwoLayer(512, 512, 300, 0.2)) == 418_180
    assert count(TwoLayer(4096, 512, 300, 0.2)) == 2_253_188
    assert count(TwoLayer(300, 512, 64, 0.2)) == 188_096
    assert count(OneLayer(300, 64, 0.1)) == 19_392
    assert count(OneLayer(64, 300, 0.1)) == 20_100
    assert count(TransformerLayer(300, 3, 100, 64, 0.2)) == 400_264


def test_momentum_is_that_of_the_second_norm_alone() -> None:
    net = TwoLayer(1, 1, 1, 0.0, momentum=0.99)
    torch.nn.init.ones_(net.first.linear.weight)
    torch.nn.init.zeros_(net.first.linear.bias)
    net(torch.tensor([[1.0], [3.0]]))
    assert net.first.norm.running_mean is not None and net.second.norm.running_mean is not None
    assert net.first.norm.running_mean.item() == pytest.approx(0.2)  # 0.9 * 0 + 0.1 * 2
    # The worked example of the spec: batches (1, 3) and (5, 9) with weight 0.99.
    norm = net.second.norm
    norm.running_mean.zero_()
    norm.running_var.fill_(1.0)  # type: ignore[union-attr, operator]
    for batch, mean, variance in (((1.0, 3.0), 1.98, 1.99), ((5.0, 9.0), 6.9498, 7.9399)):
        norm(torch.tensor([[value] for value in batch]))
        assert norm.running_mean.item() == pytest.approx(mean)
        assert norm.running_var.item() == pytest.approx(variance)  # type: ignore[union-attr]


def test_dropout_follows_each_layer() -> None:
    torch.manual_seed(0)
    net, rows = TwoLayer(4, 200, 200, 0.5), torch.randn(64, 4)
    one = net.first(rows)
    assert 0.7 < float((one == 0).float().mean()) < 0.8  # half are negative, half of the rest is dropped
    assert torch.equal(net.eval()(rows), net(rows))


def _layer_norm(row: list[float]) -> list[float]:
    mean = sum(row) / len(row)
    variance = sum((v - mean) ** 2 for v in row) / len(row)
    return [(v - mean) / math.sqrt(variance + 1e-5) for v in row]


def _times(weight: Tensor, row: list[float], bias: Tensor | None = None) -> list[float]:
    shift = [0.0] * len(weight) if bias is None else bias.tolist()
    return [
        sum(w * v for w, v in zip(line, row, strict=True)) + b for line, b in zip(weight.tolist(), shift, strict=True)
    ]


def test_transformer_layer_equals_loops() -> None:
    torch.manual_seed(0)
    heads, width = 2, 3
    layer = TransformerLayer(6, heads, width, 4, 0.0).double()
    tokens = torch.randn(2, 3, 6).double()
    expected = torch.empty_like(tokens)
    for item in range(2):
        rows = tokens[item].tolist()
        joint = [_times(layer.queries_keys_values.weight, _layer_norm(row)) for row in rows]
        for i, row in enumerate(rows):
            mixed: list[float] = []
            for head in range(heads):
                parts = [
                    [j[block * heads * width + head * width :][:width] for j in joint] for block in range(3)
                ]  # query, key, value of every token
                scores = [
                    math.exp(sum(q * k for q, k in zip(parts[0][i], key, strict=True)) / math.sqrt(width))
                    for key in parts[1]
                ]
                mixed += [
                    sum(s * value[c] for s, value in zip(scores, parts[2], strict=True)) / sum(scores)
                    for c in range(width)
                ]
            middle = [a + b for a, b in zip(row, _times(layer.output.weight, mixed, layer.output.bias), strict=True)]
            hidden = _times(layer.expand.weight, _layer_norm(middle), layer.expand.bias)
            hidden = [v * 0.5 * (1 + math.erf(v / math.sqrt(2))) for v in hidden]
            last = _times(layer.shrink.weight, hidden, layer.shrink.bias)
            expected[item, i] = torch.tensor([a + b for a, b in zip(middle, last, strict=True)])
    assert torch.allclose(layer(tokens), expected, atol=1e-12)
