"""Norm, ReLU and dropout as one node against the three modules."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from avzsl.nn.dense import norm_relu_dropout
from avzsl.nn.dropout import Dropout
from avzsl.nn.mlp import DenseLayers, RowNorm, dense


def run(rows: Tensor, norm: nn.BatchNorm1d, drop: Dropout, pull: Tensor, fast: bool) -> list[Tensor]:
    """Result, gradients of rows, scale and shift, and the statistics afterwards, from one seed."""
    rows = rows.clone().requires_grad_()
    norm.zero_grad()
    torch.manual_seed(9)
    result = norm_relu_dropout(rows, norm, drop, fast)
    result.backward(pull)
    return [
        result.detach(),
        *(x.grad.clone() for x in (rows, norm.weight, norm.bias)),
        *map(Tensor.clone, norm.buffers()),
    ]  # type: ignore[union-attr]


def pair(width: int, rate: float, dtype: torch.dtype, momentum: float = 0.1) -> tuple[RowNorm, Dropout]:
    norm = RowNorm(width, momentum=momentum).to(dtype)
    nn.init.uniform_(norm.weight, -1, 2)
    nn.init.normal_(norm.bias)
    return norm, Dropout(rate)


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize(("dtype", "limit"), [(torch.float32, 1e-5), (torch.float64, 1e-13)])
def test_one_node_equals_three_modules(seed: int, dtype: torch.dtype, limit: float) -> None:
    torch.manual_seed(seed)
    count, width = (int(torch.randint(2, 60, ())) for _ in range(2))
    rate = (0.0, 0.2, 0.5, 0.9)[seed % 4]
    rows, pull = (3 * torch.randn(count, width, dtype=dtype) for _ in range(2))
    norm, drop = pair(width, rate, dtype, momentum=0.99)
    before = {name: value.clone() for name, value in norm.state_dict().items()}
    fast = run(rows, norm, drop, pull, True)
    norm.load_state_dict(before)
    plain = run(rows, norm, drop, pull, False)
    for found, wanted in zip(fast, plain, strict=True):
        assert found.shape == wanted.shape
        assert float((found - wanted).abs().max()) <= limit * max(1.0, float(wanted.abs().max()))
    assert torch.equal(fast[0] == 0, plain[0] == 0)
    assert not torch.equal(norm.running_mean, before["running_mean"])  # type: ignore[arg-type]


@pytest.mark.parametrize(("norm_trains", "drop_trains"), [(False, True), (True, False), (False, False)])
def test_modules_may_be_in_different_modes(norm_trains: bool, drop_trains: bool) -> None:
    torch.manual_seed(1)
    norm, drop = pair(7, 0.5, torch.float64)
    norm.train(norm_trains)
    drop.train(drop_trains)
    rows, pull = torch.randn(2, 20, 7, dtype=torch.float64)
    before = {name: value.clone() for name, value in norm.state_dict().items()}
    fast = run(rows, norm, drop, pull, True)
    norm.load_state_dict(before)
    for found, wanted in zip(fast, run(rows, norm, drop, pull, False), strict=True):
        assert torch.allclose(found.double(), wanted.double(), atol=1e-12)


def test_gradient_is_the_slope() -> None:
    torch.manual_seed(2)
    norm, drop = pair(3, 0.5, torch.float64)
    rows = torch.randn(6, 3, dtype=torch.float64, requires_grad=True)

    def mapped(values: Tensor) -> Tensor:
        torch.manual_seed(3)
        return norm_relu_dropout(values, norm, drop)

    assert torch.autograd.gradcheck(mapped, (rows,))


def test_one_row_and_hooked_modules_take_the_modules_themselves() -> None:
    torch.manual_seed(4)
    norm, drop = pair(5, 0.5, torch.float32)
    assert norm_relu_dropout(torch.randn(1, 5), norm, drop).shape == (1, 5)
    seen: list[Tensor] = []
    handle = drop.register_forward_hook(lambda module, given, result: seen.append(result))
    result = norm_relu_dropout(torch.randn(4, 5), norm, drop)
    handle.remove()
    assert len(seen) == 1 and seen[0] is result


def test_layers_in_a_row_equal_the_plain_sequence() -> None:
    torch.manual_seed(5)
    layers = DenseLayers(*dense(6, 8, 0.5), nn.Linear(8, 4), nn.ReLU()).double()
    plain = nn.Sequential(*layers)
    rows = torch.randn(9, 6, dtype=torch.float64)
    for mode in (True, False):
        layers.train(mode)
        torch.manual_seed(6)
        found = layers(rows)
        torch.manual_seed(6)
        assert torch.allclose(found, plain(rows), atol=1e-13)
    assert list(layers.state_dict()) == list(plain.state_dict())


@pytest.mark.parametrize("rate", [0.0, 0.4])
def test_the_gradient_can_be_differentiated_again(rate: float) -> None:
    torch.manual_seed(7)
    norm, drop = pair(3, rate, torch.float64)
    rows = torch.randn(6, 3, dtype=torch.float64, requires_grad=True)
    given = (rows, norm.weight, norm.bias)
    found = []
    for fast in (True, False):
        torch.manual_seed(8)
        first = torch.autograd.grad(norm_relu_dropout(rows, norm, drop, fast).square().sum(), given, create_graph=True)
        found.append(torch.autograd.grad(sum(g.pow(3).sum() for g in first), given))
    for ours, theirs in zip(*found, strict=True):
        assert torch.allclose(ours, theirs, rtol=1e-10, atol=1e-10) and theirs.abs().max() > 0.1


@pytest.mark.parametrize("place", [1, 2, 3])
def test_hooks_of_each_layer_are_called(place: int) -> None:
    layers, seen = DenseLayers(*dense(4, 4, 0.5)), []
    layers[place].register_forward_hook(lambda *given: seen.append("forward"))
    layers[place].register_full_backward_pre_hook(lambda *given: seen.append("backward"))
    layers(torch.randn(5, 4)).sum().backward()
    assert seen == ["forward", "backward"]
    with_global = nn.modules.module.register_module_forward_hook(lambda module, *_: seen.append(type(module).__name__))
    DenseLayers(*dense(4, 4, 0.5))(torch.randn(5, 4))
    with_global.remove()
    assert seen[2:] == ["Linear", "RowNorm", "ReLU", "Dropout", "DenseLayers"]
