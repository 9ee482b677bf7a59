"""Tucker fusion beside the full bilinear form and tensorly, forward and backward."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor, nn

from avzsl.nn.tucker import TuckerFusion
from benchmarks.compare import Missing, Outcome, Variant, compare, optional
from benchmarks.context import Context
from benchmarks.floors import bilinear_flops, tucker_flops
from benchmarks.record import Comparison, Floor, Kind
from benchmarks.sections.rates import REFERENCE_NAME, REFERENCE_SIZE, reference_flops, reference_product

OURS = "avzsl TuckerFusion"
FLOOR = (
    f"FLOPs of the form's own products / rate of a {REFERENCE_NAME} ({REFERENCE_SIZE}) in the same rounds; Tucker:"
    " 6 B (d_s r + d_t r + r^3 + r^2 + r d_o), full: 6 B (d_s d_t d_o + d_t d_o), forward and backward"
)


def run(context: Context) -> list[Comparison]:
    """The published size, and a small one for `nn.Bilinear`, which needs minutes at the published one."""
    small = _compare(
        context, context.pick(256, 256, 4), context.pick(64, 64, 6), context.pick(16, 16, 3), bilinear=True
    )
    if context.size == "tiny":
        return [small]
    width = context.pick(512, 128, 6)
    return [small, _compare(context, 256, width, context.pick(60, 32, 3), bilinear=False)]


def _compare(context: Context, batch: int, width: int, rank: int, *, bilinear: bool) -> Comparison:
    torch.manual_seed(context.seed)
    fusion = TuckerFusion(width, width, width, rank)
    case = Case(fusion, context.normal(batch, width), context.normal(batch, width, stream=1), context)
    tucker = tucker_flops(batch, width, width, width, rank)
    full = bilinear_flops(batch, width, width, width)
    variants: list[Variant | Missing] = [
        case.variant(OURS, fusion, list(fusion.parameters()), tucker, "ours"),
        case.variant("full tensor, einsum", *case.full(), full, "other"),
    ]
    variants.append(optional("tensorly multi_mode_dot, clip by clip", partial(case.tensorly, tucker)))
    if bilinear:
        variants.append(case.variant("nn.Bilinear", *case.bilinear(), full, "other"))
    else:
        variants.append(Missing("nn.Bilinear", f"takes minutes at {width} columns; see the small size"))
    return compare(
        f"{width} x {width} -> {width}, core {rank}^3, {batch} clips", [*variants, reference_product(context)],
        context.plan, context.seed, reference=OURS, floor=FLOOR,
    )  # fmt: skip


class Case:
    """Two vectors for each clip, [B, d] each, and the fusion whose numbers the other forms repeat."""

    def __init__(self, fusion: TuckerFusion, semantic: Tensor, temporal: Tensor, context: Context) -> None:
        self.fusion, self.context = fusion, context
        self.inputs = [semantic.requires_grad_(), temporal.requires_grad_()]
        self.gradient = context.normal(len(semantic), fusion.output_factor.shape[0], stream=2)

    def variant(
        self, name: str, form: Callable[[Tensor, Tensor], Tensor], weights: Sequence[Tensor], flops: int, kind: Kind
    ) -> Variant:
        """Forward and backward to the inputs and to the form's own weights."""
        own = len(weights) == len(list(self.fusion.parameters()))

        def call() -> tuple[Tensor, tuple[Tensor, ...]]:
            out = form(*self.inputs)
            return out, torch.autograd.grad(out, [*self.inputs, *weights], self.gradient)

        def outcome() -> Outcome:
            out, found = call()
            close = {"outputs": out.detach(), "gradient of R": found[0], "gradient of S": found[1]}
            if own:
                names = (name for name, _ in self.fusion.named_parameters())
                close |= {f"gradient of {n}": g for n, g in zip(names, found[2:], strict=True)}
            return Outcome(close=close)

        floor = Floor(REFERENCE_NAME, flops / reference_flops(self.context))
        return Variant(
            name, call, outcome, kind=kind, floor=floor, cells={"parameters": sum(map(torch.numel, weights))}
        )

    def assembled(self) -> Tensor:
        """The full tensor [d_s, d_t, d_o]."""
        f = self.fusion
        factors = (f.core(), f.semantic_factor, f.temporal_factor, f.output_factor)
        return torch.einsum("abc,ia,jb,kc->ijk", *(x.detach() for x in factors))

    def full(self) -> tuple[Callable[[Tensor, Tensor], Tensor], list[Tensor]]:
        """The full tensor as one parameter, and what it does."""
        weight = self.assembled().requires_grad_()
        return (lambda r, s: torch.einsum("bi,bj,ijk->bk", r, s, weight)), [weight]

    def bilinear(self) -> tuple[nn.Bilinear, list[Tensor]]:
        """The same in PyTorch's own layer."""
        tensor = self.assembled()
        layer = nn.Bilinear(tensor.shape[0], tensor.shape[1], tensor.shape[2], bias=False)
        with torch.no_grad():
            layer.weight.copy_(tensor.permute(2, 0, 1))
        return layer, [layer.weight]

    def tensorly(self, flops: int) -> Variant:
        """tensorly contracts one clip at a time: it knows tensors, not batches."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from tensorly import backend_context
            from tensorly.tenalg import multi_mode_dot
        f = self.fusion

        def form(semantic: Tensor, temporal: Tensor) -> Tensor:
            r, s = semantic @ f.semantic_factor, temporal @ f.temporal_factor
            core = f.core()
            with backend_context("pytorch"):  # a setting of the whole process otherwise
                clips = [multi_mode_dot(core, [r[b], s[b]], modes=[0, 1]) for b in range(len(r))]
            fused: Tensor = torch.stack(clips) @ f.output_factor.T
            return fused

        return self.variant("", form, list(f.parameters()), flops, "other")
