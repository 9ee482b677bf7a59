"""Batch norm · ReLU · dropout behind a linear map, in one autograd node.

In training, the plain chain is three nodes that keep four tables between them. This one keeps the linear map's result
and its own: what is positive there passed the ReLU and survived the dropout, so no mask is kept.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from avzsl.nn.dropout import DROP_ALL, drop_steps, keep
from avzsl.nn.eager import plainly


def norm_relu_dropout(rows: Tensor, norm: nn.BatchNorm1d, dropout: nn.Dropout, fast: bool = True) -> Tensor:
    """dropout(relu(norm(rows))), each of the two modules in its own mode.

    Args:
        rows: [N, d].
        norm: over columns; its running statistics move as in its own forward pass.
        dropout: its rate.
        fast: one node where that can be done: on a CPU, for a norm in training mode and two rows or more, unless
            somebody hooked into one of the modules. The same values and gradients but for rounding; the same draws.
    """
    steps = drop_steps(dropout.p) if dropout.training else 0
    if not (fast and _takes(rows, norm)) or steps >= DROP_ALL or any(map(hooked, (norm, dropout))):
        plain: Tensor = dropout(functional.relu(norm(rows)))
        return plain
    assert norm.num_batches_tracked is not None
    norm.num_batches_tracked.add_(1)
    result: Tensor = _NormReluDropout.apply(  # type: ignore[no-untyped-call]
        rows,
        norm.weight,
        norm.bias,
        norm.running_mean,
        norm.running_var,
        norm.momentum,
        norm.eps,
        dropout.p if dropout.training else 0.0,
    )
    return result


def _takes(rows: Tensor, norm: nn.BatchNorm1d) -> bool:
    if not norm.training or not norm.affine or not norm.track_running_stats or norm.momentum is None or len(rows) < 2:
        return False
    return rows.device.type == "cpu" and plainly(rows, norm.weight)


def hooked(module: nn.Module) -> bool:
    """Whether somebody waits for a call of this module, or of every module."""
    own = (module._forward_hooks, module._forward_pre_hooks, module._backward_hooks, module._backward_pre_hooks)
    return any(own) or bool(torch.nn.modules.module._has_any_global_hook())  # type: ignore[no-untyped-call]


class _NormReluDropout(torch.autograd.Function):
    """The growth of what dropout leaves is in the scale and shift of the norm: relu(g x) = g relu(x) for g > 0."""

    @staticmethod
    def forward(
        ctx: Any,
        rows: Tensor,
        weight: Tensor,
        bias: Tensor,
        running_mean: Tensor,
        running_var: Tensor,
        momentum: float,
        eps: float,
        rate: float,
    ) -> Tensor:
        ctx.grown, ctx.eps = 1 / (1 - rate), eps
        result, mean, inverse = torch.native_batch_norm(
            rows, weight * ctx.grown, bias * ctx.grown, running_mean, running_var, True, momentum, eps
        )
        result.relu_()
        if rate:
            result.mul_(keep(result, drop_steps(rate)))
        ctx.save_for_backward(rows, weight, mean, inverse, result)
        return result

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        rows, weight, mean, inverse, result = ctx.saved_tensors
        passed = torch.ops.aten.threshold_backward(gradients[0], result, 0)
        to_rows, to_weight, to_bias = torch.ops.aten.native_batch_norm_backward(
            passed, rows, weight * ctx.grown, None, None, mean, inverse, True, ctx.eps, list(ctx.needs_input_grad[:3])
        )
        for value in (to_weight, to_bias):
            if value is not None:
                value.mul_(ctx.grown)
        return to_rows, to_weight, to_bias, None, None, None, None, None
