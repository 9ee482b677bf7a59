"""The convolution between spiking blocks: few channels, kernel 4, stride 2, so that it halves the positions.

PyTorch's own convolution is made for many channels and several times slower than it need be for four or eight. On a CPU
the products are added here in a fixed order, channel by channel and tap by tap, so that plain, fast and compiled forms
give the same bits: a spike further on is a comparison, and one rounding can turn it. On a graphics card all forms are
PyTorch's.

For the fast form's gradients the kernel's four taps are split into two pairs, which makes the input [2p - 1, 2p] of tap
pairs a matrix with twice the channels and half the positions; both gradients are then small matrix products, taken in
chunks that fit the cache. The compiled form takes the taps one by one.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

from avzsl.nn import compiled
from avzsl.nn.chunks import chunks

KERNEL, STRIDE, PADDING = 4, 2, 1

_as_library_call = False


def halving_convolution(inputs: Tensor, weight: Tensor, fast: bool = True) -> Tensor:
    """Convolve and halve (Eq. 6 without the batch norm).

    Args:
        inputs: [M, C_in, P] float, P even.
        weight: [C_out, C_in, 4].
        fast: hand-derived gradients, and compiled code where there is some; the same values, bit for bit.

    Returns:
        [M, C_out, P / 2].

    Raises:
        ValueError: the shapes do not fit; compiled code would not notice.
    """
    if inputs.dim() != 3 or inputs.shape[2] % STRIDE or weight.shape[1:] != (inputs.shape[1], KERNEL):
        raise ValueError(
            f"inputs {tuple(inputs.shape)} and weight {tuple(weight.shape)}; [M, C, P] with P even and "
            f"[C_out, C, {KERNEL}], please"
        )
    if _as_library_call or (not fast and inputs.device.type != "cpu"):
        return functional.conv1d(inputs, weight, stride=STRIDE, padding=PADDING)
    if fast:
        return _FastConvolution.apply(inputs, weight)  # type: ignore[no-untyped-call, no-any-return]
    padded = functional.pad(inputs, (PADDING, PADDING))
    out = inputs.new_zeros(len(inputs), len(weight), inputs.shape[2] // STRIDE)
    for channel in range(inputs.shape[1]):
        for tap in range(KERNEL):
            seen = padded[:, channel, None, tap : tap + inputs.shape[2] : STRIDE]
            out = out + weight[:, channel, tap, None] * seen
    return out


@contextmanager
def as_library_call() -> Iterator[None]:
    """Inside, the convolution is PyTorch's own call, for counters of operations that listen to PyTorch."""
    global _as_library_call
    before, _as_library_call = _as_library_call, True
    try:
        yield
    finally:
        _as_library_call = before


class _FastConvolution(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, inputs: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(inputs, weight)
        if inputs.device.type != "cpu":
            return functional.conv1d(inputs, weight, stride=STRIDE, padding=PADDING)
        rows, channels, positions = inputs.shape
        out = inputs.new_empty(rows, len(weight), positions // STRIDE)
        library = compiled.library_for(inputs, weight)
        if library is not None:
            inputs, weight = inputs.contiguous(), weight.contiguous()
            compiled.call(
                library,
                "convolution_forward",
                inputs.dtype,
                *compiled.sizes(rows, channels, len(weight), positions // STRIDE),
                *map(compiled.pointer, (inputs, weight, out)),
                compiled.threads(),
            )
            return out
        for chunk in chunks(rows, inputs[0].numel() if rows else 0, inputs.device):
            _in_order(inputs[chunk], weight, out[chunk])
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None]:
        inputs, weight = ctx.saved_tensors
        want_inputs, want_weight = ctx.needs_input_grad
        gradient = gradients[0].contiguous()
        to_inputs = torch.empty_like(inputs, memory_format=torch.contiguous_format) if want_inputs else None
        to_weight = torch.zeros_like(weight, memory_format=torch.contiguous_format) if want_weight else None
        library = compiled.library_for(inputs, weight, gradient)
        if library is not None:
            rows, channels, positions = inputs.shape
            inputs, weight = inputs.contiguous(), weight.contiguous()
            compiled.call(
                library,
                "convolution_backward",
                inputs.dtype,
                *compiled.sizes(rows, channels, len(weight), positions // STRIDE),
                *map(compiled.pointer, (inputs, weight, gradient, to_inputs, to_weight)),
                compiled.threads(),
            )
            return to_inputs, to_weight
        for chunk in chunks(len(inputs), inputs[0].numel() if len(inputs) else 0, inputs.device):
            if to_inputs is not None:
                _inputs_backward(gradient[chunk], weight, to_inputs[chunk])
            if to_weight is not None:
                to_weight += _weight_backward(inputs[chunk], gradient[chunk])
        return to_inputs, to_weight


def _in_order(inputs: Tensor, weight: Tensor, out: Tensor) -> None:
    """The convolution of [m, C_in, P] into `out` [m, C_out, P / 2], products added in the order of the plain form."""
    half = inputs.shape[2] // STRIDE
    padded = functional.pad(inputs, (PADDING, PADDING))
    odd, even = padded[:, :, 0::2].contiguous(), padded[:, :, 1::2].contiguous()  # positions 2p - 1 and 2p, p to P / 2
    taps = (odd[:, :, :half], even[:, :, :half], odd[:, :, 1:], even[:, :, 1:])
    out.zero_()
    for channel in range(inputs.shape[1]):
        for tap, seen in enumerate(taps):
            out.add_(weight[:, channel, tap, None] * seen[:, channel, None])


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
