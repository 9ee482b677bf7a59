"""Linear maps by the faster of the two product libraries that PyTorch carries.

On x86 PyTorch multiplies float32 matrices with MKL, which holds back on processors of other makers than Intel: where
they have AVX-512, oneDNN does the same sums in less than half the time (measured on a Zen 5: 103 against 230 GFLOP/s on
one core; never tried on others). PyTorch gives oneDNN its float32 products only in compiled inference, so it is called
by name here. Both add in another order, nothing else differs.

`AVZSL_PRODUCTS=off` leaves all products to PyTorch's choice. Whatever oneDNN cannot do (another type or device, small
products, tracing) goes there anyway.
"""

from __future__ import annotations

import functools
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.flop_counter import register_flop_formula

from avzsl.nn.eager import plainly

SWITCH = "AVZSL_PRODUCTS"
# Multiply-adds below which the longer call costs more than the faster product saves (2 against 12 µs, and the graph's).
SMALLEST = 2**20

_plain = 0


class Linear(nn.Linear):
    """`torch.nn.Linear` whose products go through `linear`; the same weights under the same names."""

    def forward(self, rows: Tensor) -> Tensor:
        """Map [..., inputs] to [..., outputs]."""
        return linear(rows, self.weight, self.bias)


def linear(rows: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """rows weightᵀ + bias, as `torch.nn.functional.linear`; can be differentiated any number of times.

    Args:
        rows: [..., k].
        weight: [n, k].
        bias: [n] or None.

    Returns:
        [..., n].
    """
    if not _takes(rows, weight, bias):
        return functional.linear(rows, weight, bias)
    flat = rows.reshape(-1, rows.shape[-1])
    if torch.is_grad_enabled() and (
        flat.requires_grad or weight.requires_grad or (bias is not None and bias.requires_grad)
    ):
        result: Tensor = _Product.apply(flat, weight, bias)  # type: ignore[no-untyped-call]
    else:
        result = _onednn(flat, weight, bias)
    return result.view(*rows.shape[:-1], len(weight))


@contextmanager
def plain() -> Iterator[None]:
    """PyTorch's own products inside the block."""
    global _plain
    _plain += 1
    try:
        yield
    finally:
        _plain -= 1


def status() -> tuple[bool, str]:
    """Whether products go to oneDNN, and a sentence about it."""
    said = _reason()
    return not said, said or "float32 products of linear maps go to oneDNN, which is faster than MKL on this processor"


class _Product(torch.autograd.Function):
    """a bᵀ + c. Its gradients are products of the same kind, so it can be differentiated again."""

    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor, c: Tensor | None) -> Tensor:
        ctx.save_for_backward(a, b)
        return _onednn(a, b, c)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (g,), (a, b) = gradients, ctx.saved_tensors
        to_a, to_b, to_c = ctx.needs_input_grad
        return (
            linear(g, b.T) if to_a else None,
            linear(g.T, a.T) if to_b else None,
            g.sum(0) if to_c else None,
        )


def _takes(rows: Tensor, weight: Tensor, bias: Tensor | None) -> bool:
    given = (rows, weight) if bias is None else (rows, weight, bias)
    if not plainly(*given) or any(one.device.type != "cpu" or one.dtype != torch.float32 for one in given):
        return False
    if weight.dim() != 2 or rows.shape[-1] != weight.shape[1] or rows.numel() * len(weight) < SMALLEST:
        return False
    if bias is not None and bias.shape != weight.shape[:1]:
        return False
    return not (_plain or torch.is_autocast_enabled("cpu") or _reason())


def _onednn(rows: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    # a bias it reads without looking at its stride
    rows, weight, bias = _packed(rows), _packed(weight), None if bias is None else bias.contiguous()
    result: Tensor = torch.ops.mkldnn._linear_pointwise.default(rows, weight, bias, "none", [], "")
    return result


def _packed(matrix: Tensor) -> Tensor:
    """A matrix without gaps, as it is or transposed: for the column slice of a larger one oneDNN has a plain loop only,
    a thousand times slower than its product."""
    return matrix if matrix.is_contiguous() or matrix.T.is_contiguous() else matrix.contiguous()


@functools.cache
def _reason() -> str:
    """Why oneDNN is not used; empty where it is."""
    if os.environ.get(SWITCH, "").lower() in ("off", "0", "no", "false"):
        return f"switched off by {SWITCH}"
    if platform.machine().lower() not in ("x86_64", "amd64") or torch.backends.cpu.get_cpu_capability() != "AVX512":
        return "PyTorch's own products are taken on this processor"
    if _maker() in ("GenuineIntel", ""):
        return "PyTorch's own products are taken on this processor: MKL is made for it"
    try:
        generator = torch.Generator().manual_seed(0)
        rows, weight = torch.randn(2, 3, 5, generator=generator, dtype=torch.float32, device="cpu").unbind()
        apart = (_onednn(rows.T, weight.T, None) - rows.T @ weight).abs().max()
    except (AttributeError, RuntimeError) as error:
        return f"this PyTorch offers no oneDNN product: {str(error).splitlines()[0]}"
    return "" if float(apart) < 1e-5 else "oneDNN's product is wrong here"


def _maker() -> str:
    """Who made the processor, as it says itself; empty where that cannot be found out."""
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("vendor_id"):
                return line.partition(":")[2].strip()
    return "GenuineIntel" if "GenuineIntel" in platform.processor() else ""


def _operations(rows: torch.Size, weight: torch.Size, *_: Any, **__: Any) -> int:
    """FLOPs of [m, k] rows and [n, k] weights, for PyTorch's counter of operations."""
    return 2 * rows.numel() * weight[0]


with suppress(AttributeError):  # a PyTorch without oneDNN
    register_flop_formula(torch.ops.mkldnn._linear_pointwise)(_operations)
