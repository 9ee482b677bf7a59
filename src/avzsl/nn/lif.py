"""The leaky integrate-and-fire neuron (Eq. 5) with its state in the open.

One step is charge, fire, reset. Nothing is remembered between calls: whoever wants to continue a sequence passes the
state back in. `lif` runs a whole sequence, by the plain loop over `lif_step` or, with `fast=True`, in one autograd node
with hand-derived backpropagation through time: the same spikes, the same gradients, about a third of the time, and less
where the compiled form (`avzsl.nn.compiled`) can be had.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from avzsl.nn import compiled
from avzsl.nn.surrogate import SURROGATES, spike

if TYPE_CHECKING:
    import ctypes


@dataclass(frozen=True)
class LifParameters:
    """Constants of the neuron (names as in spikingjelly where it has them).

    Attributes:
        tau: membrane time constant in time steps, at least 1.
        v_rest: potential the membrane leaks towards.
        v_reset: potential after a spike, for `reset="hard"`.
        reset: `"hard"` puts the membrane to `v_reset`, `"soft"` takes the threshold off, `"none"` leaves it.
        detach_reset: leave the reset out of the gradient.
        surrogate: a name in `avzsl.nn.surrogate.SURROGATES`.
        alpha: sharpness of the surrogate; None = its default.
    """

    tau: float = 2.0
    v_rest: float = 0.0
    v_reset: float = 0.0
    reset: Literal["hard", "soft", "none"] = "hard"
    detach_reset: bool = False
    surrogate: str = "atan"
    alpha: float | None = None

    def __post_init__(self) -> None:
        if not self.tau >= 1:
            raise ValueError(f"tau is {self.tau}; it must be at least 1 time step")
        if self.reset not in ("hard", "soft", "none"):
            raise ValueError(f"reset is '{self.reset}'; choose hard, soft or none")
        SURROGATES.get(self.surrogate)


class LifState(NamedTuple):
    """What a neuron carries from one step to the next.

    Attributes:
        membrane: [...] potential after the reset (V in Eq. 5).
    """

    membrane: Tensor


class LifRun(NamedTuple):
    """A whole sequence.

    Attributes:
        spikes: [T, ...] exact zeros and ones.
        charged: [T, ...] membrane potential before the reset (U); empty where it was not asked for.
        state: what to pass on to continue the sequence.
    """

    spikes: Tensor
    charged: Tensor
    state: LifState


def start_state(current: Tensor, params: LifParameters) -> LifState:
    """The state of a neuron at rest, in the shape, dtype and place of one step's `current`."""
    return LifState(torch.full_like(current, params.v_rest))


def charge(current: Tensor, state: LifState, params: LifParameters) -> Tensor:
    """U[t] = V[t-1] + (I[t] - (V[t-1] - V_rest)) / tau, all [...] (Eq. 5, discretised)."""
    # lerp is the same formula in one pass, and it lets the fast path below repeat it bit by bit
    drive = current + params.v_rest if params.v_rest else current
    return torch.lerp(state.membrane, drive, 1 / params.tau)


def fire(charged: Tensor, threshold: Tensor | float, params: LifParameters) -> Tensor:
    """s[t] = 1[U[t] >= V_th], with the surrogate gradient to both."""
    return spike(charged - threshold, params.surrogate, params.alpha)


def reset(charged: Tensor, spikes: Tensor, threshold: Tensor | float, params: LifParameters) -> Tensor:
    """V[t]: the membrane after the spikes."""
    if params.reset == "none":
        return charged
    fired = spikes.detach() if params.detach_reset else spikes
    if params.reset == "soft":
        return charged - fired * threshold
    # not U - s (U - V_reset): that leaves a rounding error where the neuron fired
    return charged * (1 - fired) + fired * params.v_reset


def lif_step(
    current: Tensor, state: LifState | None, params: LifParameters, threshold: Tensor | float
) -> tuple[Tensor, LifState]:
    """One time step: charge, fire, reset.

    Args:
        current: [...] input current.
        state: of the step before; None = at rest.
        params: constants of the neuron.
        threshold: a number, or a tensor that broadcasts against `current`.

    Returns:
        The spikes [...] and the new state.
    """
    charged = charge(current, start_state(current, params) if state is None else state, params)
    spikes = fire(charged, threshold, params)
    return spikes, LifState(reset(charged, spikes, threshold, params))


def lif(
    current: Tensor,
    params: LifParameters,
    threshold: Tensor | float = 1.0,
    state: LifState | None = None,
    fast: bool = False,
    keep_charged: bool = True,
) -> LifRun:
    """A whole sequence of time steps.

    Args:
        current: [T, ...] input current.
        params: constants of the neuron.
        threshold: a number, or a tensor that broadcasts against `current`, so [T, 1, ...] where it changes each step.
        state: to continue from; None = at rest.
        fast: one autograd node instead of one per operation. Its `charged` carries no gradient of its own.
        keep_charged: return the membranes, too; without them the compiled form moves a third less memory.

    Raises:
        ValueError: there is no time step.
    """
    if current.dim() == 0 or len(current) == 0:
        raise ValueError(f"current must be [T, ...] with T >= 1, got {tuple(current.shape)}")
    state = start_state(current[0], params) if state is None else state
    if isinstance(threshold, Tensor):
        threshold = threshold.reshape((1,) * (current.dim() - threshold.dim()) + tuple(threshold.shape))
    if fast and isinstance(threshold, (int, float)) and compiled_for(params, current, state.membrane) is not None:
        if state.membrane.shape != current.shape[1:]:
            raise ValueError(f"the state is {tuple(state.membrane.shape)}, one step is {tuple(current.shape[1:])}")
        run = _CompiledLif.apply(current, state.membrane, float(threshold), params, keep_charged)  # type: ignore[no-untyped-call]
        return LifRun(run[0], run[1], LifState(run[2]))
    if fast:
        spikes, charged, last = _FastLif.apply(current, state.membrane, threshold, params)  # type: ignore[no-untyped-call]
        return LifRun(spikes, charged, LifState(last))
    spike_steps, charged_steps = [], []
    for t in range(len(current)):
        now = _at(threshold, t)
        u = charge(current[t], state, params)
        s = fire(u, now, params)
        state = LifState(reset(u, s, now, params))
        spike_steps.append(s)
        charged_steps.append(u)
    return LifRun(torch.stack(spike_steps), torch.stack(charged_steps), state)


def compiled_for(params: LifParameters, *tensors: Tensor) -> ctypes.CDLL | None:
    """The compiled library where it has these neurons and takes these tensors."""
    return compiled.library_for(*tensors) if params.surrogate in compiled.SURROGATE_KINDS else None


def _at(threshold: Tensor | float, t: int) -> Tensor | float:
    """The threshold of step t; a leading size of 1 means that all steps share it."""
    if isinstance(threshold, Tensor):
        return threshold[t if len(threshold) > 1 else 0]
    return threshold


def reset_(charged: Tensor, spikes: Tensor, threshold: Tensor | float, params: LifParameters, out: Tensor) -> Tensor:
    """`reset` without autograd, written into `out` [...], bit for bit the same."""
    if params.reset == "none":
        return out.copy_(charged)
    if params.reset == "soft":
        return torch.sub(charged, torch.mul(spikes, threshold, out=out), out=out)
    torch.addcmul(charged, charged, spikes, value=-1, out=out)  # U - U s is exactly U or 0
    return out.add_(spikes, alpha=params.v_reset) if params.v_reset else out


def step_backward_(
    charged: Tensor,
    spikes: Tensor,
    threshold: Tensor | float,
    from_spikes: Tensor,
    from_state: Tensor,
    params: LifParameters,
) -> tuple[Tensor, Tensor]:
    """The hand-derived gradient of one step.

    With g_s and g_V the gradients arriving at s[t] and V[t]: the reset sends g_V (V_reset - U) (hard) or -g_V V_th
    (soft) on to s, then x = U - V_th receives surrogate'(x) g_s, and U receives that and what the reset lets through.

    Args:
        charged, spikes: [...] U[t] and s[t] of the forward pass.
        threshold: V_th of this step.
        from_spikes: [...] g_s; kept.
        from_state: [...] g_V; overwritten.
        params: constants of the neuron.

    Returns:
        The gradients [...] of x (its negative is that of the threshold, but for the soft reset's share) and of U.
    """
    surrogate = SURROGATES.get(params.surrogate)
    alpha = surrogate.alpha if params.alpha is None else params.alpha
    to_x = surrogate.derivative_(charged - threshold, alpha)
    through_spikes = from_spikes
    if params.reset != "none" and not params.detach_reset:
        if params.reset == "hard":
            through_spikes = torch.addcmul(from_spikes, from_state, charged, value=-1)
            if params.v_reset:
                through_spikes.add_(from_state, alpha=params.v_reset)
        else:
            through_spikes = from_spikes - from_state * threshold
    to_x.mul_(through_spikes)
    if params.reset == "hard":
        from_state.addcmul_(from_state, spikes, value=-1)
    return to_x, from_state.add_(to_x)


class _FastLif(torch.autograd.Function):
    """The plain loop of `lif` as one node; in-place operations, nothing saved but U and s."""

    @staticmethod
    def forward(
        ctx: Any, current: Tensor, membrane: Tensor, threshold: Tensor | float, params: LifParameters
    ) -> tuple[Tensor, Tensor, Tensor]:
        drive = current + params.v_rest if params.v_rest else current
        charged, spikes = torch.empty_like(current), torch.empty_like(current)
        v = membrane.clone()
        for t in range(len(current)):
            torch.lerp(v, drive[t], 1 / params.tau, out=charged[t])
            torch.ge(charged[t], _at(threshold, t), out=spikes[t])
            reset_(charged[t], spikes[t], _at(threshold, t), params, out=v)
        ctx.params = params
        ctx.threshold = None if isinstance(threshold, Tensor) else threshold
        ctx.save_for_backward(charged, spikes, *([threshold] if isinstance(threshold, Tensor) else []))
        ctx.mark_non_differentiable(charged)
        ctx.set_materialize_grads(False)
        return spikes, charged, v

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        from_spikes, _, from_last = gradients
        charged, spikes, *rest = ctx.saved_tensors
        threshold = rest[0] if rest else ctx.threshold
        params: LifParameters = ctx.params
        to_current = torch.empty_like(charged)
        to_threshold = torch.zeros_like(rest[0]) if rest and ctx.needs_input_grad[2] else None
        nothing = torch.zeros_like(charged[0])
        from_state = nothing.clone() if from_last is None else from_last.clone()
        for t in reversed(range(len(charged))):
            now = _at(threshold, t)
            from_reset = from_state * spikes[t] if to_threshold is not None and params.reset == "soft" else None
            g_s = nothing if from_spikes is None else from_spikes[t]
            to_x, to_u = step_backward_(charged[t], spikes[t], now, g_s, from_state, params)
            if to_threshold is not None:
                if from_reset is not None:
                    to_x = to_x.add_(from_reset)
                place = to_threshold[t if len(to_threshold) > 1 else 0]
                place.sub_(to_x.sum_to_size(place.shape))
            torch.mul(to_u, 1 / params.tau, out=to_current[t])
            from_state = to_u.mul_(1 - 1 / params.tau)
        return to_current, from_state, to_threshold, None


class _CompiledLif(torch.autograd.Function):
    """The same for one fixed threshold by the compiled library, which computes the membranes again."""

    @staticmethod
    def forward(
        ctx: Any, current: Tensor, membrane: Tensor, threshold: float, params: LifParameters, keep_charged: bool
    ) -> tuple[Tensor, Tensor, Tensor]:
        current, membrane = current.contiguous(), membrane.contiguous()
        spikes, last = torch.empty_like(current), torch.empty_like(membrane)
        charged = torch.empty_like(current) if keep_charged else current.new_empty(0)
        ctx.threshold, ctx.params = threshold, params
        ctx.library = compiled.library_for(current)  # kept: it may be switched off when the gradients are due
        given = (current, membrane, spikes, charged if keep_charged else None, last)
        _CompiledLif._call(ctx, "plain_forward", current, given)
        ctx.save_for_backward(current, membrane)
        ctx.mark_non_differentiable(charged)
        ctx.set_materialize_grads(False)
        return spikes, charged, last

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        current, membrane = ctx.saved_tensors
        from_spikes = torch.zeros_like(current) if gradients[0] is None else gradients[0].contiguous()
        to_membrane = (
            torch.zeros_like(membrane)
            if gradients[2] is None
            else gradients[2].clone(memory_format=torch.contiguous_format)
        )
        to_current = torch.empty_like(current)
        _CompiledLif._call(ctx, "plain_backward", current, (current, membrane, from_spikes, to_current, to_membrane))
        return to_current, to_membrane, None, None, None

    @staticmethod
    def _call(ctx: Any, name: str, current: Tensor, tensors: tuple[Tensor | None, ...]) -> None:
        alpha = SURROGATES.get(ctx.params.surrogate).sharpness(ctx.params.alpha)
        shape = (len(current), 1, 1, compiled.TILE)
        settings = compiled.neurons(ctx.params, alpha, shape, start=ctx.threshold)
        size = compiled.sizes(current[0].numel())
        compiled.call(
            ctx.library, name, current.dtype, compiled.reference(settings), *size, *map(compiled.pointer, tensors)
        )
