"""What the machine does with matrix products and copies: the rates that floors are made of."""

from __future__ import annotations

from collections.abc import Callable

import torch

from benchmarks.clock import Call, Plan, interleave
from benchmarks.compare import Variant, compare
from benchmarks.context import Context, using_threads
from benchmarks.floors import product_flops
from benchmarks.record import Comparison

TORCH, ONEDNN = "PyTorch's choice", "oneDNN"
# Rows, inner size and columns of products in a training step of STFT (256 pairs, 512 columns), and one larger one.
PRODUCTS = {
    "a linear map": (512, 512, 512),
    "gradient of its weights": (512, 512, 512),
    "a Tucker factor": (512, 512, 60),
    "the Tucker core": (512, 60, 3600),
    "a head": (512, 512, 128),
    "large": (2048, 2048, 2048),
}
COPIES = {"1 MiB": 2**20, "8 MiB": 2**23, "256 MiB": 2**28}
# The product that floors of whole training steps are measured with, in the same rounds.
REFERENCE = (1024, 1024, 1024)
REFERENCE_NAME = "square matrix product"
REFERENCE_SIZE = "1024 x 1024 x 1024, by the faster library here"


def run(context: Context) -> list[Comparison]:
    """Rates at one thread and at all of them."""
    numbers = sorted({1, context.threads})
    products = context.pick(PRODUCTS, PRODUCTS, {"small": (16, 16, 16)})
    copies = context.pick(COPIES, COPIES, {"4 KiB": 2**12})
    gemm = [
        Variant(
            f"{what}, [{m}, {k}] x [{k}, {n}], {library}, {_threads(number)}",
            _with_threads(number, product(context, m, k, n, library, transposed="gradient" in what)),
            work=product_flops(m, k, n),
            kind="machine",
        )
        for number in numbers
        for library in libraries(context)
        for what, (m, k, n) in products.items()
    ]
    moved = [
        Variant(
            f"{name} to another {name}, {_threads(number)}",
            _with_threads(number, copy_of(2 * size)),
            work=2 * size,
            kind="machine",
        )
        for number in numbers
        for name, size in copies.items()
    ]
    return [
        compare("Matrix products in float32", gemm, context.plan, context.seed, unit="GFLOP/s", scale=1e-9, rate=True),
        compare(
            "Copies", moved, context.plan, context.seed, unit="GB/s", scale=1e-9, rate=True,
            notes=("Bytes read and bytes written are both counted; 1 GB is 10^9 bytes.",),
        ),
    ]  # fmt: skip


def product(context: Context, m: int, k: int, n: int, library: str, *, transposed: bool = False) -> Call:
    """A matrix product [m, k] x [k, n]; `transposed` with the left one stored as for the gradient of a weight."""
    left = context.normal(k, m).T if transposed else context.normal(m, k)
    right = context.normal(k, n, stream=1)
    if library == TORCH:
        out = torch.empty(m, n)
        return lambda: torch.mm(left, right, out=out)
    weight = right.T.contiguous()  # as nn.Linear stores it
    onednn = torch.ops.mkldnn._linear_pointwise.default
    return lambda: onednn(left, weight, None, "none", [], "")


def libraries(context: Context) -> list[str]:
    """The product libraries that work here: PyTorch's own choice, and oneDNN called by name."""
    small = context.normal(3, 4), context.normal(4, 5, stream=1)
    try:
        there = torch.allclose(product(context, 3, 4, 5, ONEDNN)(), small[0] @ small[1], atol=1e-5)  # type: ignore[arg-type]
    except (AttributeError, RuntimeError):
        there = False
    return [TORCH, ONEDNN] if there else [TORCH]


def reference_product(context: Context) -> Variant:
    """The row that floors of matrix products refer to: by the faster of the libraries, as tried at this moment."""
    size = context.pick(REFERENCE, REFERENCE, (32, 32, 32))
    calls = {name: product(context, *size, name) for name in libraries(context)}
    tried = interleave(calls, Plan(rounds=5, fewest=5, seconds=1.0), context.seed)
    fastest = min(tried, key=lambda name: min(tried[name].wall))
    return Variant(REFERENCE_NAME, calls[fastest], kind="machine", cells={"library": fastest})


def reference_flops(context: Context) -> int:
    """FLOPs of one call of `reference_product`."""
    return product_flops(*context.pick(REFERENCE, REFERENCE, (32, 32, 32)))


def copy_of(moved: int) -> Call:
    """A copy that moves so many bytes, half of them read and half written, between memory that is there."""
    source = torch.ones(max(1, moved // 8))
    target = torch.zeros_like(source)
    return lambda: target.copy_(source)


def _with_threads(number: int, call: Call) -> Callable[[], object]:
    def run_it() -> object:
        with using_threads(number):
            return call()

    return run_it


def _threads(number: int) -> str:
    return "1 thread" if number == 1 else f"{number} threads"
