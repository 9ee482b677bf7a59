"""The spiking networks of this package, described layer by layer for counting (`avzsl.nn.synapses`)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from avzsl.nn.convolution import PADDING, STRIDE
from avzsl.nn.integrate import BranchRun, SpikingBranch
from avzsl.nn.motion import ConvolutionalMotion, MotionLayer, MotionRun
from avzsl.nn.spikformer import SpikingReasoningBlock
from avzsl.nn.spiking import SpikingBlock, SpikingEncoder
from avzsl.nn.synapses import (
    SpikeLayer,
    Synapses,
    Upkeep,
    convolution,
    integrating,
    leaky,
    linear,
    norm,
    semantic_threshold,
    summing,
)


def encoder_layers(
    encoder: SpikingEncoder, features: Tensor, mask: Tensor | None, modality: str, module: str
) -> list[SpikeLayer]:
    """Run an encoder in evaluation mode on B clips and describe its blocks.

    The first block sees floats. Its convolution is counted once for each distinct segment that a clip's time steps see,
    min(L, T) of L real ones, however the batch is put together.

    Args:
        encoder: in evaluation mode.
        features: [B, L, d].
        mask: [B, L] bool, or None.
        modality: for names.
        module: attribute of the method that holds the encoder.
    """
    with torch.no_grad():
        spikes = [run.spikes.flatten(2).bool() for run in encoder._run(features, mask)]  # [T, B, N] of each block
    config, device = encoder.config, features.device
    real = torch.full((len(features),), features.shape[1], device=device) if mask is None else mask.sum(1)
    distinct = real.clamp(1, config.time_steps)
    steps = torch.full_like(distinct, config.time_steps)
    nothing = torch.zeros_like(distinct)
    layers = []
    for k, block in enumerate(encoder.blocks):
        assert isinstance(block, SpikingBlock)
        seen = distinct if k == 0 else steps  # inputs whose current has to be made
        synapses: list[Synapses] = []
        if k == 0 and encoder.map is not None:
            synapses.append(linear(encoder.map.weight.shape, spikes=None, passes=distinct, twin=distinct, name="map"))
        synapses.append(
            convolution(
                block.weight.shape, (config.positions // STRIDE**k,), STRIDE, PADDING,
                spikes=spikes[k - 1] if k else None, passes=nothing if k else distinct, twin=distinct,
            )
        )  # fmt: skip
        neurons, channels = spikes[k].shape[2], len(block.weight)
        upkeep = [norm(neurons * seen, neurons * distinct), *_gate(encoder, neurons * seen, neurons * distinct)]
        upkeep.append(leaky(neurons * steps))
        if config.dynamic_threshold:
            upkeep += _threshold(neurons * steps, channels * steps)
        if k + 1 == len(encoder.blocks):
            upkeep.append(_summary(encoder, neurons * steps))
        layers.append(
            SpikeLayer(f"{modality} block {k + 1}", module, modality, spikes[k], tuple(synapses), tuple(upkeep), k)
        )
    return layers


def _gate(encoder: SpikingEncoder, values: Tensor, twin: Tensor) -> list[Upkeep]:
    """Eq. 7: maximum and sum over positions, one multiply-add and a logistic. Without it, the logistic alone."""
    config = encoder.config
    found = []
    if config.pooling or config.dynamic_threshold:
        found.append(Upkeep("pooling", values, twin if config.pooling else torch.zeros_like(twin), adds=2, reads=1))
    found.append(Upkeep("gate", values, twin, macs=float(config.pooling), special=1, reads=1, writes=1))
    return found


def _threshold(neurons: Tensor, channels: Tensor) -> list[Upkeep]:
    """Eq. 9: spikes are counted, and each channel's threshold is multiplied and clamped."""
    nothing = torch.zeros_like(neurons)
    return [
        Upkeep("spike count", neurons, nothing, adds=1),
        Upkeep("threshold", channels, nothing, macs=2, adds=2, special=1, reads=1, writes=1),
    ]


def _summary(encoder: SpikingEncoder, values: Tensor) -> Upkeep:
    """Eq. 8: shares over time, their maximum and the weighted sum; without TSF the sum alone."""
    nothing = torch.zeros_like(values)
    if not encoder.config.time_step_factor:
        return Upkeep("mean over time", values, nothing, adds=1, reads=1, writes=1)
    special = 1 / encoder.config.time_steps  # one reciprocal for each neuron
    return Upkeep("time-step factor", values, nothing, macs=1, adds=2, special=special, reads=2, writes=1)


@contextmanager
def recorded_inputs(module: nn.Module) -> Iterator[list[tuple[Any, ...]]]:
    """A list that receives the inputs of every call of a module inside the block."""
    calls: list[tuple[Any, ...]] = []
    handle = module.register_forward_pre_hook(lambda _, inputs: calls.append(inputs))
    try:
        yield calls
    finally:
        handle.remove()


def reasoning_layers(
    block: SpikingReasoningBlock, rows: Tensor, mask: Tensor, modality: str, module: str
) -> list[SpikeLayer]:
    """Run a spiking attention in evaluation mode on the N tokens of B clips and describe its layers.

    Queries, keys and values are made of floats, and so are the hidden units of the MLP, which see tokens plus spikes.
    Between spikes there are no weights: a spike of a value meets those of the keys of its own token and head, one
    addition for each, and a spike of a query adds up a row of the sums that these left.

    Args:
        block: in evaluation mode.
        rows: [T or 1, N, h], as for its `forward`.
        mask: [B, L] bool.
        modality: `"both"` where tokens of both modalities meet.
        module: attribute of the method that holds the block.
    """
    with torch.no_grad():
        run = block.run(rows, mask)
    owner, tokens = mask.nonzero()[:, 0], mask.sum(1)
    steps = tokens * block.time_steps
    nothing = torch.zeros_like(tokens)
    fired = {name: getattr(run, name).bool() for name in run._fields if name != "rows"}
    what = "joint" if modality == "both" else modality

    def through(name: str, spikes: Tensor | None, passes: Tensor) -> Synapses:
        weight = block.linear[name].weight
        assert isinstance(weight, Tensor)
        return linear(weight.shape, spikes=spikes, passes=passes, twin=tokens, owner=owner)

    def layer(name: str, synapses: Sequence[Synapses], normed: Tensor | None, *more: Upkeep) -> SpikeLayer:
        width = fired[name].shape[2]
        upkeep = [*more, leaky(width * steps)]
        if normed is not None:
            upkeep.insert(0, norm(width * normed, width * tokens))
        return SpikeLayer(f"{what} {name}", module, modality, fired[name], tuple(synapses), tuple(upkeep), owner=owner)

    width = rows.shape[2]
    head = width // block.heads
    beside = fired["key"].unflatten(2, (block.heads, head)).sum(3, keepdim=True)  # keys of the same token and head
    beside = beside.expand(*beside.shape[:3], head).flatten(2)
    same = torch.full((width,), head)
    products = [
        Synapses(name, fan_out, fired[spikes], nothing, tokens, width * head, width, 0, owner)
        for name, fan_out, spikes in (("keys by values", beside, "value"), ("queries by sums", same, "query"))
    ]
    seen = tokens * len(rows)  # one pass for each token where every step sees the same
    scale = Upkeep("scale", width * steps, width * tokens, macs=1, reads=1, writes=1)
    adding = Upkeep("residual", width * steps, width * tokens, adds=1, reads=1, writes=1)
    return [
        *(layer(name, [through(name, None, seen)], seen) for name in ("query", "key", "value")),
        layer("attended", products, None, scale),
        layer("output", [through("output", fired["attended"], nothing)], steps, adding),
        layer("first", [through("first", None, steps)], steps),
        layer("second", [through("second", fired["first"], nothing)], steps, adding, summing(width * steps)),
    ]


def branch_layers(
    branch: SpikingBranch, runs: Sequence[BranchRun], modality: str, module: str, governed: bool
) -> list[SpikeLayer]:
    """Describe both layers of a spiking branch of AVMST that ran in several parts, one after the other.

    Args:
        branch: whose weights the parts went through, or weights of the same sizes.
        runs: the parts, for the same B clips.
        modality: for names.
        module: attribute of the method that holds the branches.
        governed: the thresholds followed the spikes.
    """
    spikes = [torch.cat([run.spikes[k] for run in runs]).bool() for k in range(2)]  # [T, B, N]
    one = torch.ones(spikes[0].shape[1], dtype=torch.long, device=spikes[0].device)
    steps = one * len(spikes[0])
    first, second = branch.first.weight.shape, branch.second.weight.shape
    arriving = (
        linear(first, spikes=None, passes=one * len(runs), twin=one),  # each part multiplies its features once
        linear(second, spikes=spikes[0], passes=torch.zeros_like(one), twin=one),
    )
    layers = []
    for k, synapses in enumerate(arriving):
        neurons = spikes[k].shape[2]
        upkeep = [integrating(neurons * steps)]
        if governed:
            upkeep += [summing(neurons * steps, "spike count"), semantic_threshold(steps)]
        if k == 1:
            upkeep.append(summing(neurons * steps))
        layers.append(
            SpikeLayer(f"{modality} layer {k + 1}", module, modality, spikes[k], (synapses,), tuple(upkeep), k)
        )
    return layers


def motion_layers(
    stream: MotionLayer | ConvolutionalMotion,
    run: MotionRun,
    inputs: Tensor,
    floats: Tensor,
    modality: str,
    module: str,
    governed: bool,
) -> list[SpikeLayer]:
    """Describe the layers of a motion stream of MDFT.

    Args:
        stream: in evaluation mode.
        run: what it did for B clips.
        inputs: [D, B, ...] what it saw, D = T, or 1 where every step sees the same.
        floats: [B] bool, clips whose inputs are no zeros and ones.
        modality: for names.
        module: attribute of the method that holds the stream.
        governed: the thresholds follow motion and knowledge.
    """
    spikes = [layer.spikes.flatten(2).bool() for layer in run.layers]
    one = torch.ones_like(floats, dtype=torch.long)
    steps = one * len(spikes[0])
    nothing = torch.zeros_like(one)
    passes = torch.where(floats, len(inputs), 0)  # of the first layer; the others see spikes, or their mean
    arriving = None if bool(floats.all()) else (inputs.flatten(2) != 0) & ~floats[:, None]
    if arriving is not None and len(arriving) == 1:
        arriving = arriving.expand(len(spikes[0]), -1, -1)
    twin = one * len(inputs)
    found: list[Synapses] = []
    last = stream
    if isinstance(stream, ConvolutionalMotion):
        last, sizes = stream.last, inputs.shape[3:]
        for k, conv in enumerate(stream.convolutions):
            assert isinstance(conv, nn.Conv2d)
            found.append(
                convolution(
                    conv.weight.shape, sizes, conv.stride[0], int(conv.padding[0]),
                    spikes=spikes[k - 1] if k else arriving, passes=nothing if k else passes, twin=twin,
                )
            )  # fmt: skip
            sizes = run.layers[k].spikes.shape[3:]
        found.append(linear(last.linear.weight.shape, spikes=None, passes=steps, twin=twin))  # of means over positions
    else:
        found.append(linear(stream.linear.weight.shape, spikes=arriving, passes=passes, twin=twin))
    layers = []
    for k, synapses in enumerate(found):
        neurons = spikes[k].shape[2]
        seen = one * len(inputs) if k == 0 else steps
        upkeep = [norm(neurons * seen, neurons * twin), leaky(neurons * steps)]
        if governed:
            upkeep.append(semantic_threshold(steps))
        if k + 1 == len(found):
            upkeep.append(summing(neurons * steps))
        if k + 2 == len(found):
            upkeep.append(summing(neurons * steps, "mean over positions"))
        layers.append(
            SpikeLayer(f"{modality} motion {k + 1}", module, modality, spikes[k], (synapses,), tuple(upkeep), k)
        )
    return layers
