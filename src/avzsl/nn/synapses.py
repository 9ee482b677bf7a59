"""What a spiking layer is made of, said so that its costs can be counted: its spikes, and what it takes to make them.

A method describes its layers with these records (`Method.spike_layers`); who counts them needs to know no method. The
counts are of arithmetic and of numbers moved, never of time.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor


@dataclass(frozen=True)
class Synapses:
    """Weights on the way to a layer, and what arrives at them for B clips.

    A *row* is what one forward pass of the weights sees: a clip, or one token of a clip. A *pass* is one product of a
    row with all weights.

    Attributes:
        name: of the weights, such as `"convolution"`.
        fan_out: how many targets one spike of each source reaches: [N], or [T, R, N] where other spikes decide.
        spikes: [T, R, N] bool, the spikes that arrive; None where floats do.
        passes: [B] passes made with floats, each a dense product; 0 where spikes arrive.
        twin: [B] passes that the same network without time steps makes.
        nominal: multiply-adds of one pass as they are usually counted, taps over padding included.
        outputs: numbers that one pass gives.
        weights: numbers stored; 0 where spikes meet spikes.
        owner: [R] int64, the clip of each row; None = one row for each clip.
    """

    name: str
    fan_out: Tensor
    spikes: Tensor | None
    passes: Tensor
    twin: Tensor
    nominal: int
    outputs: int
    weights: int
    owner: Tensor | None = None

    @property
    def taps(self) -> int:
        """Multiply-adds of one pass that touch a real input: fewer than `nominal` at padded borders."""
        return int(self.fan_out.sum()) if self.fan_out.dim() == 1 else self.nominal

    def operations(self) -> Tensor:
        """Synaptic operations of each clip, [B] float64: each spike counted once for every target it reaches."""
        if self.spikes is None:
            return torch.zeros(len(self.passes), dtype=torch.float64, device=self.passes.device)
        fan_out = self.fan_out.double().to(self.spikes.device)
        if fan_out.dim() == 1:
            reached = (self.spikes.double() @ fan_out).sum(0)
        else:
            reached = (self.spikes.double() * fan_out).sum((0, 2))
        return by_clip(reached, self.owner, len(self.passes))


@dataclass(frozen=True)
class Upkeep:
    """Float arithmetic that a layer needs whether or not anything fires; amounts are per value.

    Attributes:
        name: such as `"norm"`, `"pooling"`, `"neurons"`.
        values: [B] how many values are treated.
        twin: [B] how many the same network without time steps treats; 0 for what it does not have.
        macs: multiply-adds.
        adds: additions and comparisons.
        special: exponentials, logarithms, divisions and roots.
        reads, writes: numbers fetched from and put into the layer's memory.
    """

    name: str
    values: Tensor
    twin: Tensor
    macs: float = 0.0
    adds: float = 0.0
    special: float = 0.0
    reads: float = 0.0
    writes: float = 0.0


@dataclass(frozen=True)
class SpikeLayer:
    """Spiking neurons of one kind, what they did for B clips, and what that takes.

    Attributes:
        name: unique in the method, such as `"audio block 1"`.
        module: the method's attribute that holds it. All products inside that module are described by some layer.
        modality: `"audio"`, `"visual"` or `"both"`.
        spikes: [T, R, N] bool.
        synapses: on the way to it, in order.
        upkeep: of it.
        index: number of the `SpikeTrace` of this modality that shows the same neurons; None where there is none.
        owner: [R] int64, the clip of each row; None = one row for each clip.
    """

    name: str
    module: str
    modality: str
    spikes: Tensor
    synapses: tuple[Synapses, ...]
    upkeep: tuple[Upkeep, ...] = field(default=())
    index: int | None = None
    owner: Tensor | None = None


def by_clip(rows: Tensor, owner: Tensor | None, clips: int) -> Tensor:
    """Sum rows [R] over the clips that own them, [B]."""
    if owner is None:
        return rows
    return rows.new_zeros(clips).index_add(0, owner.to(rows.device), rows)


def axis_taps(size: int, kernel: int, stride: int, padding: int) -> Tensor:
    """How many outputs of a convolution along one axis each input position reaches, [size] int64."""
    outputs = (size + 2 * padding - kernel) // stride + 1
    places = (torch.arange(outputs)[:, None] * stride - padding + torch.arange(kernel)).flatten()
    return torch.bincount(places[(places >= 0) & (places < size)], minlength=size)


def convolution_fan_out(weight: torch.Size, sizes: Sequence[int], stride: int, padding: int) -> Tensor:
    """Targets of a spike at each channel and position of a convolution's input, [C_in * sizes] int64.

    Args:
        weight: [C_out, C_in, kernel, ...].
        sizes: of the input along each axis.
        stride, padding: the same along each axis.
    """
    reached = torch.ones(weight[1], dtype=torch.long) * weight[0]
    for size, kernel in zip(sizes, weight[2:], strict=True):
        reached = reached[..., None] * axis_taps(size, kernel, stride, padding)
    return reached.flatten()


def convolution(
    weight: torch.Size,
    sizes: Sequence[int],
    stride: int,
    padding: int,
    *,
    spikes: Tensor | None,
    passes: Tensor,
    twin: Tensor,
    name: str = "convolution",
) -> Synapses:
    """The synapses of a convolution [C_out, C_in, kernel, ...] over an input of these `sizes`."""
    outputs = weight[0] * math.prod(
        (size + 2 * padding - kernel) // stride + 1 for size, kernel in zip(sizes, weight[2:], strict=True)
    )
    return Synapses(
        name, convolution_fan_out(weight, sizes, stride, padding), spikes, passes, twin,
        nominal=outputs * math.prod(weight[1:]), outputs=outputs, weights=math.prod(weight),
    )  # fmt: skip


def linear(
    weight: torch.Size,
    *,
    spikes: Tensor | None,
    passes: Tensor,
    twin: Tensor,
    name: str = "linear",
    owner: Tensor | None = None,
) -> Synapses:
    """The synapses of a matrix [outputs, inputs]."""
    outputs, inputs = weight
    return Synapses(
        name, torch.full((inputs,), outputs), spikes, passes, twin,
        nominal=inputs * outputs, outputs=outputs, weights=inputs * outputs, owner=owner,
    )  # fmt: skip


def norm(values: Tensor, twin: Tensor) -> Upkeep:
    """A normalisation in evaluation mode: one multiply-add, in place."""
    return Upkeep("norm", values, twin, macs=1, reads=1, writes=1)


def leaky(values: Tensor) -> Upkeep:
    """Leaky neurons at every step: difference, leak, comparison with the threshold; current and membrane move."""
    return Upkeep("neurons", values, torch.zeros_like(values), macs=1, adds=2, reads=2, writes=1)


def integrating(values: Tensor) -> Upkeep:
    """Neurons without a leak: addition and comparison."""
    return Upkeep("neurons", values, torch.zeros_like(values), adds=2, reads=2, writes=1)


def summing(values: Tensor, name: str = "mean over time") -> Upkeep:
    """Counting spikes over time."""
    return Upkeep(name, values, torch.zeros_like(values), adds=1, reads=1, writes=1)


def semantic_threshold(steps: Tensor) -> Upkeep:
    """`SemanticThreshold` and the share and entropy it is given: a few operations at each step of a clip."""
    return Upkeep("threshold", steps, torch.zeros_like(steps), macs=2, adds=2, special=1, reads=1, writes=1)
