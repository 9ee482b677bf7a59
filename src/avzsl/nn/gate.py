"""From a convolution's output to the neurons' current: batch norm (Eq. 6) and global-local pooling (Eq. 7) in one go.

`normalised_gate` with `fast=False` is these formulas as they stand. The fast form is one autograd node that keeps the
convolution's output and the result and recomputes the rest in chunks that fit the cache, or in compiled code.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from avzsl.nn import compiled
from avzsl.nn.chunks import chunks
from avzsl.nn.pooling import gated, pooled

if TYPE_CHECKING:
    import ctypes


def normalised_gate(
    values: Tensor, norm: nn.BatchNorm1d, beta: Tensor, gate: bool = True, fast: bool = True
) -> tuple[Tensor, Tensor]:
    """Normalise, pool and gate; in training mode the running statistics of `norm` move as they do in PyTorch.

    Args:
        values: [M, C, P] a convolution's output.
        norm: batch norm over C channels, whose weights and statistics are used.
        beta: scalar in (0, 1), the share of the maximum in P_all.
        gate: False = a plain logistic instead of Eq. 7.
        fast: hand-derived backward pass; the forward pass is the same either way.

    Returns:
        The current [M, C, P] in (0, 1) and P_all [M, C, 1].
    """
    if norm.training:
        with torch.no_grad():
            mean, variance = _fast_statistics(values) if fast else batch_statistics(values)
            _track(norm, mean, variance, values.numel() // values.shape[1])
    else:
        assert norm.running_mean is not None and norm.running_var is not None
        mean, variance = norm.running_mean, norm.running_var
    if fast:
        out, pool = _FastGate.apply(  # type: ignore[no-untyped-call]
            values, norm.weight, norm.bias, beta, mean, variance, norm.eps, norm.training, gate
        )
        return out, pool
    if norm.training:
        mean, variance = batch_statistics(values)
    inverse = torch.rsqrt(variance + norm.eps)
    scale = norm.weight * inverse
    # not addcmul, which rounds once instead of twice where the processor can
    current = values * scale[:, None] + (norm.bias - mean * scale)[:, None]
    pool = pooled(current, beta)
    return (gated(current, pool) if gate else torch.sigmoid(current)), pool


def batch_statistics(values: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and (biased) variance [C] over rows and positions of [M, C, P].

    Summed in double precision, so that the order of the sum is lost in the rounding to single precision.
    """
    mean = values.mean(dim=(0, 2), dtype=torch.float64)
    variance = (values - mean[:, None]).square().mean(dim=(0, 2))
    return mean.to(values.dtype), variance.to(values.dtype)


def _fast_statistics(values: Tensor) -> tuple[Tensor, Tensor]:
    """The same without gradient."""
    library = compiled.library_for(values)
    if library is None:
        return batch_statistics(values)
    rows, channels, positions = values.shape
    values, sums = values.contiguous(), torch.empty(2, channels, dtype=torch.float64, device="cpu")
    size = compiled.sizes(rows, channels, positions)
    given = map(compiled.pointer, (values, sums))
    compiled.call(library, "channel_sums", values.dtype, *size, *given, compiled.threads())
    mean, squares = sums / (rows * positions)  # of the distances to the first value, which keep their digits
    variance = (squares - mean.square()).clamp(min=0)
    return (values[0, :, 0] + mean).to(values.dtype), variance.to(values.dtype)


def _track(norm: nn.BatchNorm1d, mean: Tensor, variance: Tensor, count: int) -> None:
    assert norm.running_mean is not None and norm.running_var is not None and norm.num_batches_tracked is not None
    momentum = 0.1 if norm.momentum is None else norm.momentum
    norm.num_batches_tracked += 1
    norm.running_mean.lerp_(mean, momentum)
    norm.running_var.lerp_(variance * (count / max(1, count - 1)), momentum)  # unbiased, as PyTorch keeps it


class _FastGate(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        values: Tensor,
        weight: Tensor,
        bias: Tensor,
        beta: Tensor,
        mean: Tensor,
        variance: Tensor,
        eps: float,
        training: bool,
        gate: bool,
    ) -> tuple[Tensor, Tensor]:
        inverse = torch.rsqrt(variance + eps)
        scale = weight * inverse
        shift = bias - mean * scale
        out = torch.empty_like(values, memory_format=torch.contiguous_format)
        pool = values.new_empty((*values.shape[:2], 1))
        library = _library_for(values, beta, scale, shift)
        values = values.contiguous()
        for rows in chunks(len(values), values[0].numel(), values.device):
            if library is None:
                current = torch.mul(values[rows], scale[:, None], out=out[rows]).add_(shift[:, None])
                pool[rows] = pooled(current, beta)
                if gate:
                    current.add_(pool[rows] * current)
            else:
                current = out[rows]
                compiled.call(
                    library,
                    "gate_forward",
                    values.dtype,
                    *compiled.sizes(len(current), *values.shape[1:]),
                    *map(compiled.pointer, (values[rows], scale, shift)),
                    *compiled.numbers((0.5 + beta).item(), (1.5 - beta).item()),
                    *compiled.sizes(gate),
                    *map(compiled.pointer, (current, pool[rows])),
                    compiled.threads(),
                )
            current.sigmoid_()
        ctx.training, ctx.gate = training, gate
        ctx.save_for_backward(values, weight, beta, mean, inverse, scale, shift, out, pool)
        return out, pool

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        values, weight, beta, mean, inverse, scale, shift, out, pool = ctx.saved_tensors
        from_out, from_pool = gradients
        library = _library_for(values, beta, scale, shift, weight, mean, inverse)
        if library is not None and from_out.dtype == from_pool.dtype == values.dtype:
            return (*_compiled_backward(library, ctx, from_out, from_pool), None, None, None, None, None)
        to_current = torch.empty_like(values)
        total, moment = torch.zeros_like(mean), torch.zeros_like(mean)  # sum g and sum g (x - mean), per channel
        to_beta = torch.zeros_like(beta)
        for rows in chunks(len(values), values[0].numel(), values.device):
            current = torch.mul(values[rows], scale[:, None]).add_(shift[:, None])
            g, g_beta = _gate_backward(
                current, out[rows], pool[rows], from_out[rows], from_pool[rows], beta, ctx.gate, to_current[rows]
            )
            to_beta += g_beta
            total += g.sum(dim=(0, 2))
            moment += torch.sub(values[rows], mean[:, None], out=current).mul_(g).sum(dim=(0, 2))
        to_weight, to_bias = moment * inverse, total
        # I = scale x + shift; in training mean and variance depend on x, too
        slope = constant = None
        if ctx.training:
            count = values.numel() // values.shape[1]
            slope = -weight * inverse**3 * moment / count
            constant = -scale * total / count - slope * mean
        for rows in chunks(len(values), values[0].numel(), values.device):
            g = to_current[rows].mul_(scale[:, None])
            if slope is not None and constant is not None:
                g.addcmul_(values[rows], slope[:, None]).add_(constant[:, None])
        return to_current, to_weight, to_bias, to_beta, None, None, None, None, None


def _gate_backward(
    current: Tensor,
    out: Tensor,
    pool: Tensor,
    from_out: Tensor,
    from_pool: Tensor,
    beta: Tensor,
    gate: bool,
    result: Tensor,
) -> tuple[Tensor, Tensor]:
    """The gradients of the current [m, C, P], written into `result`, and of beta.

    Equal maxima share the gradient of P_max: a convolution of spikes has many, and no one of them is special.
    """
    positions = current.shape[2]
    inner = torch.addcmul(out, out, out, value=-1, out=result).mul_(from_out)  # sigma' g
    to_pool = from_pool
    if gate:
        to_pool = (inner * current).sum(dim=-1, keepdim=True).add_(from_pool)
        inner.mul_(pool + 1)
    top, average = current.amax(dim=-1, keepdim=True), current.mean(dim=-1, keepdim=True)
    largest = torch.eq(current, top).to(current.dtype)
    share = to_pool * (0.5 + beta) / largest.sum(dim=-1, keepdim=True)
    inner.addcmul_(largest, share).add_(to_pool * ((1.5 - beta) / positions))
    return inner, (to_pool * (top - average)).sum()


def _library_for(values: Tensor, beta: Tensor, *by_channel: Tensor) -> ctypes.CDLL | None:
    """The compiled library, where there is one number for each channel and one beta."""
    fits = beta.dim() == 0 and all(one.shape == values.shape[1:2] for one in by_channel)
    return compiled.library_for(values, beta, *by_channel) if fits else None


def _compiled_backward(
    library: ctypes.CDLL, ctx: Any, from_out: Tensor, from_pool: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The gradients of values, weight, bias and beta by `gate_backward` of the compiled library."""
    values, weight, beta, mean, inverse, scale, shift, out, pool = (part.contiguous() for part in ctx.saved_tensors)
    rows, channels, positions = values.shape
    to_values = torch.empty_like(values)
    sums = torch.empty(2 * channels + 1, dtype=torch.float64, device="cpu")
    given = (values, out, pool, from_out.contiguous(), from_pool.contiguous(), weight, mean, inverse, scale, shift)
    compiled.call(
        library,
        "gate_backward",
        values.dtype,
        *compiled.sizes(rows, channels, positions),
        *map(compiled.pointer, given),
        *compiled.numbers(beta.item()),
        *compiled.sizes(ctx.gate, ctx.training),
        *map(compiled.pointer, (to_values, sums)),
        compiled.threads(),
    )
    total, moment, to_beta = sums[:channels], sums[channels:-1], sums[-1]
    return to_values, (moment * inverse).to(weight.dtype), total.to(weight.dtype), to_beta.to(beta.dtype)
