"""The convolution between spiking blocks: few channels, kernel 4, stride 2, so that it halves the positions.

PyTorch's backward pass for so few channels is several times slower than its forward pass. Here the kernel's four taps
are split into two pairs, which makes the input [2p - 1, 2p] of tap pairs a matrix with twice the channels and half the
positions; both gradients are then small matrix products, taken in chunks that fit the cache.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

from avzsl.nn.chunks import chunks

KERNEL, STRIDE, PADDING = 4, 2, 1


def halving_convolution(inputs: Tensor, weight: Tensor, fast: bool = True) -> Tensor:
    """Convolve and halve (Eq. 6 without the batch norm).

    Args:
        inputs: [M, C_in, P] float, P even.
        weight: [C_out, C_in, 4].
        fast: hand-derived backward pass; the forward pass is the same either way.

    Returns:
        [M, C_out, P / 2].
    """
    if fast:
        return _FastConvolution.apply(inputs, weight)  # type: ignore[no-untyped-call, no-any-return]
    return functional.conv1d(inputs, weight, stride=STRIDE, padding=PADDING)


class _FastConvolution(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, inputs: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(inputs, weight)
        return functional.conv1d(inputs, weight, stride=STRIDE, padding=PADDING)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None]:
        inputs, weight = ctx.saved_tensors
        want_inputs, want_weight = ctx.needs_input_grad
        gradient = gradients[0].contiguous()
        to_inputs = torch.empty_like(inputs, memory_format=torch.contiguous_format) if want_inputs else None
        to_weight = torch.zeros_like(weight) if want_weight else None
        for chunk in chunks(len(inputs), inputs[0].numel(), inputs.device):
            if to_inputs is not None:
                _inputs_backward(gradient[chunk], weight, to_inputs[chunk])
            if to_weight is not None:
                to_weight += _weight_backward(inputs[chunk], gradient[chunk])
        return to_inputs, to_weight


def _inputs_backward(gradient: Tensor, weight: Tensor, out: Tensor) -> None:
    """The input's gradient [m, C_in, P] of an output gradient [m, C_out, P / 2], into `out`."""
    rows, channels, positions = out.shape
    half = positions // 2
    # tap j of output p reads position 2p - 1 + j: taps 0 and 2 the odd ones, taps 1 and 3 the even ones
    first, second = (weight[:, :, j : j + 2].permute(2, 1, 0).reshape(2 * channels, -1) for j in (0, 2))
    pairs = out.new_empty(rows, 2 * channels, half + 1)
    pairs[:, :, half:] = 0
    pairs[:, :, :half] = torch.bmm(first.expand(rows, -1, -1), gradient)
    pairs[:, :, 1:] += torch.bmm(second.expand(rows, -1, -1), gradient)
    out[:, :, 1::2] = pairs[:, :channels, 1:]
    out[:, :, 0::2] = pairs[:, channels:, :half]


def _weight_backward(inputs: Tensor, gradient: Tensor) -> Tensor:
    """The weight's gradient [C_out, C_in, 4] of inputs [m, C_in, P] and an output gradient [m, C_out, P / 2]."""
    rows, channels, positions = inputs.shape
    half = positions // 2
    pairs = inputs.new_zeros(rows, 2 * channels, half + 1)
    pairs[:, :channels, 1:] = inputs[:, :, 1::2]
    pairs[:, channels:, :half] = inputs[:, :, 0::2]
    sums = [torch.bmm(gradient, part.transpose(1, 2)).sum(dim=0) for part in (pairs[:, :, :half], pairs[:, :, 1:])]
    # [C_out, 2 * C_in] of each pair of taps -> [C_out, C_in, 4]
    return torch.cat([pair.reshape(-1, 2, channels).transpose(1, 2) for pair in sums], dim=2)
