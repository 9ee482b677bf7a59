"""The three spiking blocks of STFT: convolution, batch norm, pooling and neurons, forward and backward."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Tensor

from avzsl.nn.spiking import SpikingBlock, SpikingConfig, SpikingEncoder
from benchmarks.compare import Missing, Outcome, Variant, compare
from benchmarks.context import Context, kernels, without_kernels
from benchmarks.floors import block_bytes
from benchmarks.record import Comparison, Floor
from benchmarks.sections.rates import copy_of

T = TypeVar("T")
COPY = "copy of as many bytes"
PLAIN = "plain loops"
FLOOR = (
    "the time of a copy that moves as many bytes: 4 B for each spike written, gradient of a spike read, input read"
    " (once forward, once backward) and gradient of an input written (not in the first block)"
)


def run(context: Context) -> list[Comparison]:
    """Each block at STFT's size, then all three as the encoder runs them."""
    config = SpikingConfig(positions=context.pick(512, 512, 16), time_steps=context.pick(8, 8, 2))
    clips = context.pick(512, 512, 4)
    channels = (1, config.channels // 2, config.channels, config.channels)
    found = []
    for number in range(3):
        positions = config.positions >> number
        distinct = 1 if number == 0 else config.time_steps
        inputs = context.normal(distinct, clips, channels[number], positions, stream=number)
        if number:
            inputs = (inputs > 1).float()  # spikes of the block before
        found.append(_block(context, config, number, inputs, channels[number + 1]))
    return [*found, _encoder(context, config, clips)]


def _block(context: Context, config: SpikingConfig, number: int, inputs: Tensor, outputs: int) -> Comparison:
    distinct, clips, channels, positions = inputs.shape
    steps = (0,) * config.time_steps if distinct == 1 else tuple(range(distinct))
    gradient = context.normal(config.time_steps, clips, outputs, positions // 2, stream=9)
    neurons = clips * outputs * positions // 2
    moved = block_bytes(distinct, config.time_steps, inputs[0].numel(), neurons, first=number == 0)

    def variant(name: str, fast: bool) -> Variant:
        torch.manual_seed(context.seed)
        block = SpikingBlock(channels, outputs, dataclasses.replace(config, fast=fast))
        leaf = inputs.clone().requires_grad_(number > 0)
        leaves = [*block.parameters(), *([leaf] if number else [])]
        names = [*(n for n, _ in block.named_parameters()), *(["the inputs"] if number else [])]

        def call() -> tuple[Tensor, tuple[Tensor, ...]]:
            spikes = block(leaf, steps).spikes
            return spikes, torch.autograd.grad(spikes, leaves, gradient)

        def outcome() -> Outcome:
            spikes, found = call()
            return Outcome(
                {"spikes": spikes.detach()}, {f"gradient of {n}": g for n, g in zip(names, found, strict=True)}
            )

        return Variant(name, call, outcome, kind="ours" if fast else "ours, plain", floor=Floor(COPY, 1.0))

    return compare(
        f"block {number + 1}: {channels} to {outputs} channels, {positions} to {positions // 2} positions,"
        f" {clips} clips, T = {config.time_steps}",
        [variant(PLAIN, False), *_with_and_without(variant("fast", True)),
         Variant(COPY, copy_of(moved), kind="machine")],
        context.plan, context.seed, reference=PLAIN, floor=FLOOR,
        notes=(f"{moved / 2**20:.1f} MiB must move.",),
    )  # fmt: skip


def _encoder(context: Context, config: SpikingConfig, clips: int) -> Comparison:
    features = context.normal(clips, 1, config.positions)
    width = config.channels * config.positions // 8
    gradient = context.normal(clips, width, stream=9)

    def variant(name: str, fast: bool) -> Variant:
        torch.manual_seed(context.seed)
        encoder = SpikingEncoder(config.positions, dataclasses.replace(config, fast=fast))
        leaves = list(encoder.parameters())

        def call() -> tuple[Tensor, tuple[Tensor, ...]]:
            out = encoder(features)
            return out.spikes, torch.autograd.grad(out.summary, leaves, gradient)

        def outcome() -> Outcome:
            spikes, found = call()
            names = (name for name, _ in encoder.named_parameters())
            return Outcome({"spikes": spikes.detach()}, dict(zip(names, found, strict=True)))

        return Variant(name, call, outcome, kind="ours" if fast else "ours, plain")

    return compare(
        f"all three and the summary: {clips} clips, T = {config.time_steps}",
        [variant(PLAIN, False), *_with_and_without(variant("fast", True))],
        context.plan, context.seed, reference=PLAIN,
    )  # fmt: skip


def _with_and_without(variant: Variant) -> list[Variant | Missing]:
    """A variant, and the same without compiled kernels; why there are none where there are none."""
    there, why = kernels()
    if not there:
        return [variant, Missing("fast, compiled kernels", why, "ours")]
    assert variant.outcome is not None
    return [
        variant,
        dataclasses.replace(
            variant,
            name=f"{variant.name}, kernels off",
            call=_plainly(variant.call),
            outcome=_plainly(variant.outcome),
            kind="ours, plain",
        ),
    ]


def _plainly(call: Callable[[], T]) -> Callable[[], T]:
    def run_it() -> T:
        with without_kernels():
            return call()

    return run_it
