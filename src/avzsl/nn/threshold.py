"""Dynamic thresholds (DTH, Eq. 9): the more a block's spikes say, the more it takes to fire the next one."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from avzsl.nn import compiled
from avzsl.nn.chunks import chunks
from avzsl.nn.lif import (
    LifParameters,
    LifState,
    charge,
    compiled_for,
    fire,
    reset,
    reset_,
    start_state,
    step_backward_,
)
from avzsl.nn.surrogate import SURROGATES


@dataclass(frozen=True)
class ThresholdRule:
    """How the threshold moves.

    Attributes:
        start: V_th at the first step.
        dynamic: False = `start` at every step.
        sign: `"text"` raises the threshold with the entropy, `"printed"` lowers it as Eq. 9 is printed.
        clamp: the threshold stays within [start / clamp, start * clamp].
    """

    start: float = 0.5
    dynamic: bool = True
    sign: Literal["text", "printed"] = "text"
    clamp: float = 4.0

    def __post_init__(self) -> None:
        if not self.start > 0:
            raise ValueError(f"the threshold is {self.start}; it must be positive")
        if self.sign not in ("text", "printed"):
            raise ValueError(f"the threshold's sign is '{self.sign}'; choose text or printed")
        if not self.clamp >= 1:
            raise ValueError(f"the threshold's clamp is {self.clamp}; it must be at least 1")

    @property
    def direction(self) -> float:
        """+1 or -1, the sign of H in the factor."""
        return 1.0 if self.sign == "text" else -1.0

    @property
    def bounds(self) -> tuple[float, float]:
        """Lowest and highest threshold."""
        return self.start / self.clamp, self.start * self.clamp


class DynamicRun(NamedTuple):
    """A block's whole sequence.

    Attributes:
        spikes: [T, B, C, P] exact zeros and ones.
        charged: [T, B, C, P] membrane before the reset, without gradient; empty where it was not asked for.
        thresholds: [T, B, C, 1] what each step fired against, without gradient.
    """

    spikes: Tensor
    charged: Tensor
    thresholds: Tensor


def spike_entropy(spikes: Tensor) -> Tensor:
    """Normalised entropy H in [0, 1] of one block's spikes at one step (Eq. 9).

    p = s / sum(s) and H = -sum p log p / log N. Our reading: for zeros and ones that is log n / log N with n the number
    of spikes, and this is the form we differentiate. The general form has slope 0 at a neuron that fired and an
    infinite one at a neuron that did not, neither of which can train anything; here each spike adds 1 / (n log N).
    No spikes, no entropy: H = 0 with slope 0.

    Args:
        spikes: [B, C, P] zeros and ones.

    Returns:
        [B, 1, 1].
    """
    return _entropy(spikes.sum(dim=(1, 2), keepdim=True), spikes.shape[1] * spikes.shape[2])


def _entropy(count: Tensor, neurons: int) -> Tensor:
    """H of a number of spikes. In double precision: single-precision logarithms differ in their last bit by place."""
    return (count.double().clamp(min=1).log() / math.log(max(neurons, 2))).to(count.dtype)


def next_threshold(threshold: Tensor, gate: Tensor, entropy: Tensor, rule: ThresholdRule) -> Tensor:
    """V_th^t = (sigma(P_all) + H) V_th^(t-1), clamped (Eq. 9).

    Our reading: the spikes of step t set the threshold that step t + 1 fires against, for they must be known first; the
    clamp is ours, too, since nothing else bounds a product of T factors.

    Args:
        threshold: [B, C, 1] of this step.
        gate: [B, C, 1] sigma(P_all) of this step.
        entropy: [B, 1, 1] of this step's spikes.
        rule: sign and bounds.

    Returns:
        [B, C, 1].
    """
    return (torch.add(gate, entropy, alpha=rule.direction) * threshold).clamp(*rule.bounds)


def dynamic_lif(
    current: Tensor,
    gate: Tensor,
    steps: tuple[int, ...],
    params: LifParameters,
    rule: ThresholdRule,
    fast: bool = True,
    keep_charged: bool = True,
) -> DynamicRun:
    """Run a block of neurons whose threshold follows its own spikes.

    Args:
        current: [D, B, C, P] current of the D distinct inputs.
        gate: [D, B, C, 1] sigma(P_all).
        steps: for each of the T time steps, which of the D inputs it sees; ascending, each at least once.
        params: constants of the neuron.
        rule: how the threshold moves.
        fast: one autograd node for the whole sequence instead of the plain loop: same spikes, same gradients.
        keep_charged: return the membranes, too; without them the compiled form moves a third less memory.

    Raises:
        ValueError: the steps are not ascending, or do not see each input.
    """
    if sorted({*steps}) != list(range(len(current))) or sorted(steps) != list(steps):
        raise ValueError(f"steps {steps} of {len(current)} inputs; each at least once and ascending, please")
    if fast:
        fits = gate.shape == (*current.shape[:3], 1)
        form = _CompiledDynamicLif if fits and compiled_for(params, current, gate) is not None else _FastDynamicLif
        run = form.apply(current, gate, steps, params, rule, keep_charged)  # type: ignore[no-untyped-call]
        return DynamicRun(*run)
    threshold = torch.full_like(gate[0], rule.start)
    state = start_state(current[0], params)
    spike_steps, charged_steps, threshold_steps = [], [], []
    for d in steps:
        u = charge(current[d], state, params)
        s = fire(u, threshold, params)
        state = LifState(reset(u, s, threshold, params))
        spike_steps.append(s)
        charged_steps.append(u.detach())
        threshold_steps.append(threshold.detach())
        if rule.dynamic:
            threshold = next_threshold(threshold, gate[d], spike_entropy(s), rule)
    return DynamicRun(torch.stack(spike_steps), torch.stack(charged_steps), torch.stack(threshold_steps))


class _FastDynamicLif(torch.autograd.Function):
    """The plain loop as one node. The batch goes through in chunks that fit the cache."""

    @staticmethod
    def forward(
        ctx: Any,
        current: Tensor,
        gate: Tensor,
        steps: tuple[int, ...],
        params: LifParameters,
        rule: ThresholdRule,
        keep_charged: bool,  # kept anyway: the backward pass needs them
    ) -> tuple[Tensor, Tensor, Tensor]:
        shape, gate_shape = (len(steps), *current.shape[1:]), (len(steps), *gate.shape[1:])
        spikes, charged = current.new_empty(shape), current.new_empty(shape)
        thresholds = current.new_full(gate_shape, rule.start)
        drive = current + params.v_rest if params.v_rest else current
        for rows in chunks(current.shape[1], current[0, 0].numel(), current.device):
            membrane = torch.full_like(drive[0, rows], params.v_rest)
            for t, d in enumerate(steps):
                u, s, threshold = charged[t, rows], spikes[t, rows], thresholds[t, rows]
                torch.lerp(membrane, drive[d, rows], 1 / params.tau, out=u)
                torch.ge(u, threshold, out=s)
                if t + 1 == len(steps):
                    break
                reset_(u, s, threshold, params, out=membrane)
                if rule.dynamic:
                    thresholds[t + 1, rows] = next_threshold(threshold, gate[d, rows], spike_entropy(s), rule)
        ctx.steps, ctx.params, ctx.rule = steps, params, rule
        ctx.distinct = len(current)
        ctx.save_for_backward(gate, spikes, charged, thresholds)
        ctx.mark_non_differentiable(charged, thresholds)
        ctx.set_materialize_grads(False)
        return spikes, charged, thresholds

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        gate, spikes, charged, thresholds = ctx.saved_tensors
        from_spikes = gradients[0]
        if from_spikes is None:
            return None, None, None, None, None, None
        to_current = spikes.new_empty((ctx.distinct, *spikes.shape[1:]))
        to_gate = torch.zeros_like(gate)
        for rows in chunks(spikes.shape[1], spikes[0, 0].numel(), spikes.device):
            _backward_chunk(
                *(whole[:, rows] for whole in (from_spikes, gate, spikes, charged, thresholds, to_current, to_gate)),
                steps=ctx.steps,
                params=ctx.params,
                rule=ctx.rule,
            )
        return to_current, to_gate if ctx.rule.dynamic else None, None, None, None, None


class _CompiledDynamicLif(torch.autograd.Function):
    """The same by the compiled library, which computes the membranes again instead of keeping them."""

    @staticmethod
    def forward(
        ctx: Any,
        current: Tensor,
        gate: Tensor,
        steps: tuple[int, ...],
        params: LifParameters,
        rule: ThresholdRule,
        keep_charged: bool,
    ) -> tuple[Tensor, Tensor, Tensor]:
        current, gate = current.contiguous(), gate.contiguous()
        spikes = current.new_empty((len(steps), *current.shape[1:]))
        charged = torch.empty_like(spikes) if keep_charged else current.new_empty(0)
        thresholds = current.new_full((len(steps), *gate.shape[1:]), rule.start)
        ctx.steps, ctx.params, ctx.rule = steps, params, rule
        ctx.library = compiled.library_for(current)  # kept: it may be switched off when the gradients are due
        places, entropy, _ = _tables(steps, current.shape[2] * current.shape[3], current.dtype)
        _CompiledDynamicLif._call(
            ctx,
            "dynamic_forward",
            current,
            (places, current, gate, entropy, spikes, charged if keep_charged else None, thresholds),
        )
        ctx.save_for_backward(current, gate, thresholds)
        ctx.mark_non_differentiable(charged, thresholds)
        ctx.set_materialize_grads(False)
        return spikes, charged, thresholds

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        current, gate, thresholds = ctx.saved_tensors
        if gradients[0] is None:
            return None, None, None, None, None, None
        places, entropy, slope = _tables(ctx.steps, current.shape[2] * current.shape[3], current.dtype)
        to_current, to_gate = torch.empty_like(current), torch.zeros_like(gate)
        given = (places, current, gate, thresholds, entropy, slope, gradients[0].contiguous(), to_current, to_gate)
        _CompiledDynamicLif._call(ctx, "dynamic_backward", current, given)
        return to_current, to_gate if ctx.rule.dynamic else None, None, None, None, None

    @staticmethod
    def _call(ctx: Any, name: str, current: Tensor, tensors: tuple[Tensor | None, ...]) -> None:
        rows, channels, positions = current.shape[1:]
        shape = (len(ctx.steps), rows, channels, positions)
        settings = compiled.neurons(
            ctx.params, SURROGATES.get(ctx.params.surrogate).sharpness(ctx.params.alpha), shape, ctx.rule
        )
        compiled.call(ctx.library, name, current.dtype, compiled.reference(settings), *map(compiled.pointer, tensors))


@functools.lru_cache(maxsize=64)
def _tables(steps: tuple[int, ...], neurons: int, dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
    """The steps [T] int64, and H and dH/ds [N + 1] of every possible number of spikes."""
    count = torch.arange(neurons + 1, dtype=dtype, device="cpu")
    slope = (count > 0) / (count.clamp(min=1) * math.log(max(neurons, 2)))
    return torch.tensor(steps, dtype=torch.int64, device="cpu"), _entropy(count, neurons), slope.to(dtype)


def _backward_chunk(
    from_spikes: Tensor,
    gate: Tensor,
    spikes: Tensor,
    charged: Tensor,
    thresholds: Tensor,
    to_current: Tensor,
    to_gate: Tensor,
    *,
    steps: tuple[int, ...],
    params: LifParameters,
    rule: ThresholdRule,
) -> None:
    """Backpropagation through time for some rows of the batch; fills `to_current` and adds into `to_gate`."""
    from_state = torch.zeros_like(spikes[0])
    to_threshold = torch.zeros_like(gate[0])
    for t in reversed(range(len(steps))):
        d, u, s, threshold = steps[t], charged[t], spikes[t], thresholds[t]
        g_s = from_spikes[t]
        if rule.dynamic:
            if t + 1 < len(steps):
                factor = torch.add(gate[d], spike_entropy(s), alpha=rule.direction)
                to_factor, to_threshold = _product_backward(to_threshold, factor, threshold, rule)
                to_gate[d].add_(to_factor)
                g_s = g_s + to_factor.sum(dim=1, keepdim=True).mul_(_entropy_slope(s)).mul_(rule.direction)
            if params.reset == "soft":
                to_threshold = to_threshold - (from_state * s).sum(dim=-1, keepdim=True)
        to_x, to_u = step_backward_(u, s, threshold, g_s, from_state, params)
        if rule.dynamic:
            to_threshold = to_threshold - to_x.sum(dim=-1, keepdim=True)
        if t + 1 < len(steps) and steps[t + 1] == d:
            to_current[d].add_(to_u, alpha=1 / params.tau)
        else:
            torch.mul(to_u, 1 / params.tau, out=to_current[d])
        from_state = to_u.mul_(1 - 1 / params.tau)


def _product_backward(
    gradient: Tensor, factor: Tensor, threshold: Tensor, rule: ThresholdRule
) -> tuple[Tensor, Tensor]:
    """The gradients [B, C, 1] of the factor and of the threshold of `next_threshold`."""
    low, high = rule.bounds
    product = factor * threshold
    inside = gradient * ((product >= low) & (product <= high))
    return inside * threshold, inside * factor


def _entropy_slope(spikes: Tensor) -> Tensor:
    """dH/ds [B, 1, 1] of `spike_entropy`: 1 / (n log N), or 0 where nothing fired."""
    neurons = spikes.shape[1] * spikes.shape[2]
    count = spikes.sum(dim=(1, 2), keepdim=True)
    return (count > 0) / (count.clamp(min=1) * math.log(max(neurons, 2)))
