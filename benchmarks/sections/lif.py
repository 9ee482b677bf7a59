"""LIF neurons, forward and backward, beside those of spikingjelly, snnTorch and norse."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor

from avzsl.nn.lif import LifParameters, lif
from avzsl.nn.threshold import ThresholdRule, dynamic_lif
from benchmarks.compare import Missing, Outcome, Variant, compare, optional
from benchmarks.context import Context, kernels, without_kernels
from benchmarks.floors import dynamic_bytes, neuron_bytes
from benchmarks.record import Comparison, Floor, Kind
from benchmarks.sections.rates import copy_of

THRESHOLD = 0.9
# tau 2, hard reset to 0 with its gradient, arctangent of sharpness 2: what all libraries here can do.
PARAMETERS = LifParameters()
ALPHA = 2.0
COPY = "copy of as many bytes"
EAGER = "spikingjelly LIFNode, multi-step"
# Channels that a dynamic threshold is shared by when the layer has no channels of its own.
CHANNELS = 8
QUICK: list[tuple[int, ...]] = [(8, 256, 512), (16, 256, 512), (8, 256, 64, 32)]
FLOOR = (
    "the time of a copy that moves as many bytes: 5 float32 for each neuron and step (forward: read the current, write"
    " the spikes; backward: read their gradient and the current, write the current's gradient) = 20 B; a dynamic"
    " threshold adds 3 float32 for each channel and step (the gate twice, its gradient once)"
)


def run(context: Context) -> list[Comparison]:
    """One comparison for each number of steps and shape."""
    full: list[tuple[int, ...]] = [(T, *shape) for shape in ((256, 512), (256, 64, 32)) for T in (4, 8, 16)]
    shapes: list[tuple[int, ...]] = context.pick(full, QUICK, [(4, 8, 16)])
    return [_compare(context, shape) for shape in shapes]


def _compare(context: Context, shape: tuple[int, ...]) -> Comparison:
    steps, batch = shape[:2]
    neurons = torch.Size(shape[1:]).numel()
    # Multiples of 1/16 keep every membrane exact in float32 for 16 steps, whatever the order of the operations, and
    # never meet the threshold exactly: so spikes must be equal to the last one.
    numbers = torch.randint(-24, 64, shape, generator=context.generator())
    layer = Layer(numbers / 16, context.normal(*shape, stream=1))
    bytes_fixed = neuron_bytes(steps, neurons)
    channels = shape[2] if len(shape) == 4 else min(CHANNELS, shape[2])
    bytes_dynamic = dynamic_bytes(steps, neurons, batch * channels)
    fixed = Floor(COPY, 1.0)
    variants: list[Variant | Missing] = [
        *_foreign(context, layer, steps * neurons, fixed),
        *_ours(layer, steps * neurons, fixed),
        *_dynamic(context, layer, channels, steps * neurons, Floor(COPY, bytes_dynamic / bytes_fixed)),
        Variant(COPY, copy_of(bytes_fixed), work=steps * neurons, kind="machine"),
    ]
    return compare(
        f"[{', '.join(map(str, shape))}]", variants, context.plan, context.seed, unit="ns per neuron-step", scale=1e9,
        reference=EAGER, floor=FLOOR,
        notes=(f"{bytes_fixed / 2**20:.1f} MiB must move, {bytes_dynamic / 2**20:.1f} MiB with a dynamic threshold.",),
    )  # fmt: skip


class Layer:
    """Input currents and the gradient that arrives at the spikes, both [T, B, ...]."""

    def __init__(self, current: Tensor, gradient: Tensor) -> None:
        self.current, self.gradient = current, gradient

    def variant(
        self,
        forward: Callable[[Tensor], Tensor],
        work: float,
        *,
        halved: bool = False,
        gradients: bool = True,
        **kind: Any,
    ) -> Variant:
        """Forward and backward of `forward`, which takes currents and gives spikes.

        Args:
            forward: a neuron.
            work: neuron-steps.
            halved: the library does not divide its input by tau, so it gets the half; its gradient is twice ours.
            gradients: whether the surrogate is ours, so that gradients can be compared.
            kind: `name`, `kind` and `floor` of the variant.
        """
        leaf = (self.current / 2 if halved else self.current).clone().requires_grad_()

        def call() -> tuple[Tensor, Tensor]:
            spikes = forward(leaf)
            (found,) = torch.autograd.grad(spikes, leaf, self.gradient)
            return spikes, found

        def outcome() -> Outcome:
            spikes, found = call()
            close = {"gradients": found / 2 if halved else found} if gradients else {}
            return Outcome({"spikes": spikes.detach()}, close)

        return Variant(kind.pop("name", ""), call, outcome, "fixed", work, **kind)


def _ours(layer: Layer, work: float, floor: Floor) -> Iterator[Variant]:
    def neuron(current: Tensor, fast: bool) -> Tensor:
        return lif(current, PARAMETERS, THRESHOLD, fast=fast).spikes

    yield layer.variant(partial(neuron, fast=False), work, name="avzsl, plain loop", kind="ours, plain", floor=floor)
    yield layer.variant(partial(neuron, fast=True), work, name="avzsl", kind="ours", floor=floor)
    if kernels()[0]:
        off = layer.variant(
            partial(neuron, fast=True), work, name="avzsl, kernels off", kind="ours, plain", floor=floor
        )
        yield _off(off)


def _off(variant: Variant) -> Variant:
    """The same without compiled kernels."""
    call, outcome = variant.call, variant.outcome

    def plain_call() -> object:
        with without_kernels():
            return call()

    def plain_outcome() -> Outcome:
        assert outcome is not None
        with without_kernels():
            return outcome()

    return Variant(
        variant.name, plain_call, plain_outcome, variant.group, variant.work, variant.kind, variant.floor, variant.cells
    )


def _dynamic(context: Context, layer: Layer, channels: int, work: float, floor: Floor) -> Iterator[Variant]:
    steps, batch = layer.current.shape[:2]
    current = layer.current.reshape(steps, batch, channels, -1).clone().requires_grad_()
    gate = torch.sigmoid(context.normal(steps, batch, channels, 1, stream=2)).requires_grad_()
    gradient = layer.gradient.reshape(current.shape)
    order, rule = tuple(range(steps)), ThresholdRule(THRESHOLD)

    def variant(name: str, fast: bool) -> Variant:
        def call() -> tuple[Tensor, ...]:
            spikes = dynamic_lif(current, gate, order, PARAMETERS, rule, fast).spikes
            return spikes, *torch.autograd.grad(spikes, (current, gate), gradient)

        def outcome() -> Outcome:
            spikes, to_current, to_gate = call()
            return Outcome({"spikes": spikes.detach()}, {"gradients": to_current, "gradients of the gates": to_gate})

        kind: Kind = "ours" if fast and "off" not in name else "ours, plain"
        return Variant(name, call, outcome, "dynamic", work, kind, floor)

    yield variant("avzsl, dynamic threshold, plain loop", False)
    yield variant("avzsl, dynamic threshold", True)
    if kernels()[0]:
        yield _off(variant("avzsl, dynamic threshold, kernels off", True))


def _foreign(context: Context, layer: Layer, work: float, floor: Floor) -> Iterator[Variant | Missing]:
    def build(make: Callable[[], Callable[[Tensor], Tensor]], **how: Any) -> Callable[[], Variant]:
        return lambda: layer.variant(make(), work, kind="other", floor=floor, **how)

    yield optional(EAGER, build(_spikingjelly_multi))
    yield optional("spikingjelly LIFNode, loop of single steps", build(_spikingjelly_single))
    compiled = "spikingjelly LIFNode, multi-step, torch.compile"
    if context.size == "tiny" or (context.size == "quick" and layer.current.shape != QUICK[0]):
        yield Missing(compiled, "left out to save time; full size only")
    else:
        yield optional(compiled, build(_spikingjelly_compiled))
    yield from (optional(f"spikingjelly LIFNode, {name}", partial(_cuda_only, name)) for name in ("CUDA", "Triton"))
    yield optional("snnTorch Leaky, loop", build(_snntorch, halved=True))
    # norse has no arctangent surrogate
    yield optional("norse lif_box, loop", build(_norse, gradients=False))


def _node(step_mode: str) -> Any:
    from spikingjelly.activation_based import neuron, surrogate

    return neuron.LIFNode(
        tau=2.0, v_threshold=THRESHOLD, v_reset=0.0, surrogate_function=surrogate.ATan(alpha=ALPHA), step_mode=step_mode
    )


def _spikingjelly_multi() -> Callable[[Tensor], Tensor]:
    node = _node("m")

    def forward(current: Tensor) -> Tensor:
        node.reset()
        spikes: Tensor = node(current)
        return spikes

    return forward


def _spikingjelly_single() -> Callable[[Tensor], Tensor]:
    node = _node("s")

    def forward(current: Tensor) -> Tensor:
        node.reset()
        return torch.stack([node(now) for now in current])

    return forward


def _spikingjelly_compiled() -> Callable[[Tensor], Tensor]:
    return torch.compile(_spikingjelly_multi(), dynamic=False)


def _cuda_only(name: str) -> Variant:
    raise RuntimeError(
        f"spikingjelly chooses its {name} kernels for tensors on a CUDA card; this suite runs on the CPU"
    )


def _snntorch() -> Callable[[Tensor], Tensor]:
    import snntorch
    from snntorch import surrogate

    leaky = snntorch.Leaky(
        beta=0.5, threshold=THRESHOLD, spike_grad=surrogate.atan(alpha=ALPHA), reset_mechanism="zero", reset_delay=False
    )

    def forward(current: Tensor) -> Tensor:
        membrane, steps = torch.zeros_like(current[0]), []
        for now in current:
            spikes, membrane = leaky(now, membrane)
            steps.append(spikes)
        return torch.stack(steps)

    return forward


def _norse() -> Callable[[Tensor], Tensor]:
    from norse.torch.functional import lif_box

    parameters = lif_box.LIFBoxParameters(tau_mem_inv=torch.tensor(0.5), v_th=torch.tensor(THRESHOLD))

    def forward(current: Tensor) -> Tensor:
        state, steps = lif_box.LIFBoxFeedForwardState(v=torch.zeros_like(current[0])), []
        for now in current:
            spikes, state = lif_box.lif_box_feed_forward_step(now, state, parameters, dt=1.0)
            steps.append(spikes)
        return torch.stack(steps)

    return forward
