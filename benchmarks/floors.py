"""What an operation needs at least: bytes that must move, and FLOPs of matrix products."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from avzsl.nn.convolution import as_library_call

M = TypeVar("M", bound=nn.Module)
FLOAT = 4  # bytes


def neuron_bytes(steps: int, neurons: int) -> int:
    """Bytes that a spiking layer must move, forward and backward.

    Forward: read the current, write the spikes. Backward: read the gradient of the spikes, read the current again (the
    membrane follows from it), write the gradient of the current. Five float32 numbers for each neuron and step.

    Args:
        steps: T.
        neurons: in all, over the batch.
    """
    return 5 * FLOAT * steps * neurons


def dynamic_bytes(steps: int, neurons: int, gates: int) -> int:
    """The same with a dynamic threshold: the gate of each channel is read twice, its gradient written.

    Args:
        steps: T.
        neurons: in all, over the batch.
        gates: channels in all, over the batch.
    """
    return neuron_bytes(steps, neurons) + 3 * FLOAT * steps * gates


def block_bytes(distinct: int, steps: int, inputs: int, neurons: int, *, first: bool) -> int:
    """Bytes that a spiking block must move between memory and itself, forward and backward.

    Forward: read the inputs, write the spikes. Backward: read the gradient of the spikes, read the inputs again, write
    the gradient of the inputs; the first block writes none, for its inputs are the features.

    Args:
        distinct: D distinct inputs.
        steps: T.
        inputs: numbers in one input, over the batch.
        neurons: in all, over the batch.
        first: whether nobody asks for the gradient of the inputs.
    """
    return FLOAT * (2 * steps * neurons + (2 if first else 3) * distinct * inputs)


def tucker_flops(batch: int, semantic: int, temporal: int, outputs: int, rank: int) -> int:
    """FLOPs of Tucker fusion, forward and backward with gradients to everything.

    Forward: two projections, the core times one of them, that matrix times the other, and the way out; backward twice
    as much.
    """
    forward = semantic * rank + temporal * rank + rank * rank * rank + rank * rank + rank * outputs
    return 3 * 2 * batch * forward


def bilinear_flops(batch: int, semantic: int, temporal: int, outputs: int) -> int:
    """FLOPs of the full bilinear form, forward and backward with gradients to everything.

    Forward: the tensor times one vector, and that matrix times the other; backward twice as much.
    """
    return 3 * 2 * batch * (semantic * temporal * outputs + temporal * outputs)


def product_flops(rows: int, inner: int, columns: int) -> int:
    """FLOPs of a matrix product, 2 for each multiply-add."""
    return 2 * rows * inner * columns


def count_flops(run: Callable[[], object]) -> int:
    """FLOPs of the matrix products, convolutions and attentions in `run()`, backward passes included.

    Work hidden in compiled kernels is not seen; `plainly` makes a copy of a model without them. STFT's convolutions are
    PyTorch's own meanwhile.
    """
    ops = torch.ops.aten
    forgotten = {
        ops._scaled_dot_product_flash_attention_for_cpu: _attention,
        ops._scaled_dot_product_flash_attention_for_cpu_backward: _attention_backward,
    }
    with as_library_call(), FlopCounterMode(display=False, custom_mapping=forgotten) as counter:
        run()
    return int(counter.get_total_flops())


def _attention(query: torch.Size, key: torch.Size, value: torch.Size, *_: Any, **__: Any) -> int:
    """Scores and mixing of [B, heads, L, width] shapes."""
    return 2 * query[0] * query[1] * query[2] * key[2] * (query[3] + value[3])


def _attention_backward(
    gradient: torch.Size, query: torch.Size, key: torch.Size, value: torch.Size, *_: Any, **__: Any
) -> int:
    """Two products for each of the forward pass; making the scores again is not needed."""
    return 2 * _attention(query, key, value)


def plainly(module: M) -> M:
    """A copy of a module that runs its plain loops: every switch `fast` in it, or in its settings, is off."""
    plain = copy.deepcopy(module)
    for part in plain.modules():
        if isinstance(getattr(part, "fast", None), bool):
            part.fast = False  # type: ignore[assignment]
        config = getattr(part, "config", None)
        if dataclasses.is_dataclass(config) and isinstance(getattr(config, "fast", None), bool):
            part.config = dataclasses.replace(config, fast=False)  # type: ignore[type-var, assignment]
    return plain
