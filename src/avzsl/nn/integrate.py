"""The integrate-and-fire neuron: one that forgets nothing between its spikes; and a small network of them.

It shares threshold, surrogate and reset with the leaky neuron of `avzsl.nn.lif` and differs in the charge alone:
U[t] = V[t-1] + I[t]. A constant current I in (0, V_th] therefore fires at every ceil(V_th / I)-th step.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from avzsl.nn.lif import LifParameters, LifRun, LifState, fire, reset, reset_, step_backward_
from avzsl.nn.products import Linear
from avzsl.nn.surrogate import SURROGATES

# What spikingjelly's IFNode does: hard reset to 0, its gradient included, sigmoid surrogate of sharpness 4.
INTEGRATING = LifParameters(surrogate="sigmoid")


def integrate(
    current: Tensor,
    params: LifParameters = INTEGRATING,
    threshold: float = 1.0,
    state: LifState | None = None,
    fast: bool = True,
    steps: int | None = None,
) -> LifRun:
    """A whole sequence of time steps against one threshold.

    Args:
        current: [T, ...] input current, or [1, ...] where `steps` says how often it comes.
        params: reset and surrogate of the neuron; the leak (`tau`, `v_rest`) does not apply.
        threshold: V_th.
        state: to continue from; None = a potential of 0.
        fast: one autograd node instead of one per operation, as in `avzsl.nn.lif.lif`.
        steps: T of a current that is the same at every step; None = as many as `current` has.

    Raises:
        ValueError: there is no time step.
    """
    if current.dim() == 0 or len(current) == 0:
        raise ValueError(f"current must be [T, ...] with T >= 1, got {tuple(current.shape)}")
    if steps is not None and (len(current) != 1 or steps < 1):
        raise ValueError(
            f"{steps} steps of a current {tuple(current.shape)}; one current for at least one step, please"
        )
    if not fast:
        current = current if steps is None else current.expand(steps, *current.shape[1:])
        return integrate_under(current, lambda _: threshold, params, state).run
    membrane = torch.zeros_like(current[0]) if state is None else state.membrane
    spikes, charged, last = _FastIntegrate.apply(  # type: ignore[no-untyped-call]
        current, membrane, threshold, params, steps or len(current)
    )
    return LifRun(spikes, charged, LifState(last))


class GovernedRun(NamedTuple):
    """A sequence whose threshold changed from step to step: the run, and the threshold of each step [T, ...]."""

    run: LifRun
    thresholds: Tensor


def integrate_under(
    current: Tensor,
    rule: Callable[[Tensor], Tensor | float],
    params: LifParameters = INTEGRATING,
    state: LifState | None = None,
) -> GovernedRun:
    """The plain loop, with a threshold that may follow the neurons' own spikes.

    Args:
        current: [T, B, ..., N] input current.
        rule: from the share of each row's N neurons that fired in the step before, [B, ..., 1] and 0 at the first step,
            to the threshold of this step.
        params, state: as for `integrate`.
    """
    membrane = torch.zeros_like(current[0]) if state is None else state.membrane
    share = torch.zeros_like(current[0][..., :1])
    spikes, charged, thresholds = [], [], []
    for now in current:
        threshold = torch.as_tensor(rule(share), dtype=current.dtype, device=current.device)
        u = membrane + now
        s = fire(u, threshold, params)
        membrane = reset(u, s, threshold, params)
        share = s.mean(-1, keepdim=True)
        spikes.append(s)
        charged.append(u)
        thresholds.append(threshold.expand_as(share))
    run = LifRun(torch.stack(spikes), torch.stack(charged), LifState(membrane))
    return GovernedRun(run, torch.stack(thresholds))


class _FastIntegrate(torch.autograd.Function):
    """The plain loop with a constant threshold as one node; nothing saved but U and s."""

    @staticmethod
    def forward(
        ctx: Any, current: Tensor, membrane: Tensor, threshold: float, params: LifParameters, steps: int
    ) -> tuple[Tensor, Tensor, Tensor]:
        charged, spikes = (current.new_empty(steps, *current.shape[1:]) for _ in range(2))
        v, same = membrane.clone(), len(current) == 1
        for t in range(steps):
            torch.add(v, current[0 if same else t], out=charged[t])
            torch.ge(charged[t], threshold, out=spikes[t])
            reset_(charged[t], spikes[t], threshold, params, out=v)
        ctx.threshold, ctx.params, ctx.same = threshold, params, same
        ctx.save_for_backward(charged, spikes)
        ctx.mark_non_differentiable(charged)
        ctx.set_materialize_grads(False)
        return spikes, charged, v

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        from_spikes, _, from_last = gradients
        charged, spikes = ctx.saved_tensors
        nothing = torch.zeros_like(charged[0])
        to_current = torch.zeros_like(charged[:1]) if ctx.same else torch.empty_like(charged)
        from_state = nothing.clone() if from_last is None else from_last.clone()
        step = _sigmoid_backward_ if _is_published(ctx.params) else step_backward_
        for t in reversed(range(len(charged))):
            g_s = nothing if from_spikes is None else from_spikes[t]
            _, from_state = step(charged[t], spikes[t], ctx.threshold, g_s, from_state, ctx.params)
            if ctx.same:  # U = V + I: both receive the gradient of U
                to_current[0] += from_state
            else:
                to_current[t] = from_state
        return to_current, from_state, None, None, None


def _is_published(params: LifParameters) -> bool:
    return (params.surrogate, params.reset, params.detach_reset, params.v_reset) == ("sigmoid", "hard", False, 0.0)


def _sigmoid_backward_(
    charged: Tensor,
    spikes: Tensor,
    threshold: Tensor | float,
    from_spikes: Tensor,
    from_state: Tensor,
    params: LifParameters,
) -> tuple[Tensor, Tensor]:
    """`step_backward_` of the published neuron (hard reset to 0, sigmoid surrogate) in fewer passes over the data."""
    alpha = SURROGATES.get("sigmoid").alpha if params.alpha is None else params.alpha
    smooth = charged.sub(threshold).mul_(alpha).sigmoid_()
    through_spikes = torch.addcmul(from_spikes, from_state, charged, value=-1)
    to_x = torch.ops.aten.sigmoid_backward(through_spikes, smooth).mul_(alpha)
    from_state.addcmul_(from_state, spikes, value=-1)
    return to_x, from_state.add_(to_x)


class BranchState(NamedTuple):
    """Potentials of both layers of a branch, [B, hidden] and [B, outputs]."""

    hidden: LifState
    output: LifState


class BranchRun(NamedTuple):
    """A branch's whole sequence.

    Attributes:
        spikes: of the hidden and of the output layer, [T, B, hidden] and [T, B, outputs].
        charged: their potentials before the reset.
        thresholds: [T, B, 1] of each layer.
        state: what to pass on to continue.
    """

    spikes: tuple[Tensor, Tensor]
    charged: tuple[Tensor, Tensor]
    thresholds: tuple[Tensor, Tensor]
    state: BranchState


class SpikingBranch(nn.Module):
    """Linear · IF · Linear · IF, fed the same rows at every time step. No normalisation, no dropout.

    Source: the public code of Li et al., ICME 2023.

    Args:
        inputs: width of a row.
        hidden: neurons of the first layer.
        outputs: neurons of the second.
    """

    def __init__(self, inputs: int, hidden: int, outputs: int) -> None:
        super().__init__()
        self.first = Linear(inputs, hidden)
        self.second = Linear(hidden, outputs)

    def forward(
        self,
        rows: Tensor,
        steps: int,
        state: BranchState | None = None,
        rule: Callable[[Tensor], Tensor] | None = None,
        threshold: float = 1.0,
    ) -> BranchRun:
        """Run `steps` time steps.

        Args:
            rows: [B, inputs], the same at every step.
            steps: T, at least 1.
            state: to continue from; None = all potentials 0.
            rule: makes the thresholds of each layer follow its own spikes, see `integrate_under`; None = `threshold`.
            threshold: V_th without a rule.
        """
        first, second = (None, None) if state is None else state
        hidden = _layer(self.first(rows).unsqueeze(0), steps, first, rule, threshold)
        output = _layer(self.second(hidden.run.spikes), None, second, rule, threshold)
        return BranchRun(
            (hidden.run.spikes, output.run.spikes),
            (hidden.run.charged, output.run.charged),
            (hidden.thresholds, output.thresholds),
            BranchState(hidden.run.state, output.run.state),
        )


def _layer(
    current: Tensor,
    steps: int | None,
    state: LifState | None,
    rule: Callable[[Tensor], Tensor] | None,
    threshold: float,
) -> GovernedRun:
    """One layer of neurons; `steps` as in `integrate`."""
    if rule is not None:
        return integrate_under(current if steps is None else current.expand(steps, -1, -1), rule, state=state)
    run = integrate(current, threshold=threshold, state=state, steps=steps)
    return GovernedRun(run, run.spikes.new_full((*run.spikes.shape[:-1], 1), threshold))
