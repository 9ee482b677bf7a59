"""Products by oneDNN against PyTorch's own, in float64 where rounding could hide a fault."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import torch
from torch import Tensor, nn
from torch.autograd import forward_ad
from torch.fx.experimental.proxy_tensor import make_fx
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from avzsl.nn import products
from avzsl.nn.products import Linear, linear

needs_onednn = pytest.mark.skipif(not products.status()[0], reason=products.status()[1])


def apart(found: Tensor, wanted: Tensor) -> float:
    """Largest difference as a share of the largest number."""
    return float(((found - wanted).abs().max() / wanted.abs().max()).detach())


def shapes(count: int) -> list[tuple[int, int, int]]:
    draw = torch.Generator().manual_seed(5)
    return [tuple(torch.randint(100, 400, (3,), generator=draw).tolist()) for _ in range(count)]  # type: ignore[misc]


@pytest.mark.parametrize("shape", [*shapes(8), (1, 700, 2000), (2000, 1, 700), (700, 2000, 1)])
@pytest.mark.parametrize("bias", [True, False])
def test_values_and_gradients_are_those_of_the_plain_product(shape: tuple[int, int, int], bias: bool) -> None:
    torch.manual_seed(sum(shape))
    rows, inputs, outputs = shape
    tensors = [torch.randn(rows, inputs), torch.randn(outputs, inputs), torch.randn(outputs)][: 2 + bias]
    pull = torch.randn(rows, outputs)
    exact = [tensor.double().requires_grad_() for tensor in tensors]
    wanted = functional.linear(*exact)
    wanted.backward(pull.double())
    given = [tensor.requires_grad_() for tensor in tensors]
    found = linear(*given)
    found.backward(pull)
    assert apart(found.double(), wanted) < 1e-5
    for mine, theirs in zip(given, exact, strict=True):
        assert mine.grad is not None and theirs.grad is not None
        assert mine.grad.shape == mine.shape and apart(mine.grad.double(), theirs.grad) < 1e-5


@needs_onednn
def test_large_float32_products_go_to_onednn_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[torch.Size, torch.Size]] = []
    real = products._onednn

    def watched(rows: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        calls.append((rows.shape, weight.shape))
        return real(rows, weight, bias)

    monkeypatch.setattr(products, "_onednn", watched)
    rows, weight = torch.randn(2, 128, 256), torch.randn(128, 256, requires_grad=True)
    linear(rows, weight).sum().backward()
    assert calls == [((256, 256), (128, 256)), ((128, 256), (256, 256))]  # forward, and the gradient of the weights
    calls.clear()
    linear(rows.double(), weight.double())
    linear(rows[:, :8], weight)
    with products.plain():
        linear(rows, weight)
    assert calls == []
    with torch.no_grad():
        linear(rows, weight)
    assert len(calls) == 1


def test_leading_dimensions_and_strides_do_not_matter() -> None:
    torch.manual_seed(1)
    weight, rows = torch.randn(200, 150).T, torch.randn(150, 9, 200).transpose(0, 1)
    found = linear(rows, weight)
    assert found.shape == (9, 150, 150)
    assert apart(found, rows @ weight.T) < 1e-5
    expanded = torch.randn(1, 200).expand(300, -1)
    assert apart(linear(expanded, weight), expanded @ weight.T) < 1e-5


def test_second_derivatives_are_those_of_the_plain_product() -> None:
    torch.manual_seed(2)
    first, second = torch.randn(96, 120), torch.randn(128, 120)

    def penalty(dtype: torch.dtype) -> list[Tensor]:
        rows, weight = (x.to(dtype).requires_grad_() for x in (first, second))
        (slope,) = torch.autograd.grad(linear(rows, weight).tanh().sum(), rows, create_graph=True)
        return list(torch.autograd.grad(slope.norm(dim=1).square().sum(), (rows, weight)))

    for found, wanted in zip(penalty(torch.float32), penalty(torch.float64), strict=True):
        assert apart(found.double(), wanted) < 1e-4


def test_module_is_torchs_with_other_products() -> None:
    torch.manual_seed(3)
    theirs = nn.Linear(200, 120)
    torch.manual_seed(3)
    mine = Linear(200, 120)
    assert all(torch.equal(value, theirs.state_dict()[name]) for name, value in mine.state_dict().items())
    rows = torch.randn(64, 200)
    assert apart(mine(rows), theirs(rows)) < 1e-5


def test_counter_of_operations_sees_the_products() -> None:
    layer, rows = Linear(256, 128), torch.randn(300, 256)
    with FlopCounterMode(display=False) as counter:
        layer(rows).sum().backward()
    assert counter.get_total_flops() == 2 * 2 * 300 * 256 * 128


def test_switch_in_the_environment_leaves_products_to_pytorch() -> None:
    code = "from avzsl.nn import products; print(products.status())"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=os.environ | {products.SWITCH: "off"}
    )
    assert done.stdout.strip() == "(False, 'switched off by AVZSL_PRODUCTS')"


@pytest.mark.parametrize(("maker", "used"), [("AuthenticAMD", True), ("GenuineIntel", False), ("", False)])
def test_only_processors_of_other_makers_take_it(maker: str, used: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(products, "_maker", lambda: maker)
    monkeypatch.setattr(products.platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX512")
    monkeypatch.setattr(products, "_onednn", lambda rows, weight, bias: rows @ weight.T)
    assert (products._reason.__wrapped__() == "") == used
    if used:
        monkeypatch.setattr(products, "_onednn", lambda rows, weight, bias: rows @ weight.T + 1e-3)
        assert products._reason.__wrapped__() == "oneDNN's product is wrong here"


@needs_onednn
def test_a_bias_with_gaps_or_of_another_shape_or_type() -> None:
    rows, weight = torch.randn(64, 256), torch.randn(128, 256)
    bias = torch.randn(128, 2)[:, 0]
    assert apart(linear(rows, weight, bias), functional.linear(rows, weight, bias)) < 1e-5
    assert linear(rows, weight, torch.ones(1)).shape == (64, 128)  # PyTorch spreads it
    for wrong in (torch.ones(3), torch.ones(128, dtype=torch.float64)):
        with pytest.raises(RuntimeError, match=r"expanded size|dtype"):
            linear(rows, weight, wrong)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # tracing, which others still do
@pytest.mark.parametrize("learned", [True, False])
def test_whatever_follows_pytorchs_operations_still_can(learned: bool) -> None:
    module, rows = Linear(256, 128).requires_grad_(learned), torch.randn(64, 256)
    plain = functional.linear(rows, module.weight, module.bias)
    assert apart(torch.func.jvp(module, (rows,), (rows,))[1], plain - module.bias) < 1e-5
    assert apart(torch.func.grad(lambda given: module(given).sum())(rows), module.weight.sum(0).expand(64, -1)) < 1e-4
    with forward_ad.dual_level():
        assert forward_ad.unpack_dual(module(forward_ad.make_dual(rows, rows))).tangent is not None
    assert "mkldnn" not in str(torch.jit.trace(module, rows).inlined_graph)  # type: ignore[no-untyped-call]
    assert "mkldnn" not in make_fx(module)(rows).code
    assert torch.fx.symbolic_trace(nn.Sequential(module))(rows).shape == (64, 128)
    with torch.autocast("cpu", torch.bfloat16):
        found = module(rows)
    assert found.dtype == torch.bfloat16 and "Product" not in str(found.grad_fn)
