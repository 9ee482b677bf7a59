"""Global-local pooling (Eq. 7) and the time-step factor (Eq. 8)."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable


def pooled(current: Tensor, beta: Tensor) -> Tensor:
    """P_all = (P_max + P_avg) / 2 + beta P_max + (1 - beta) P_avg (Eq. 7, first line).

    Args:
        current: [..., C, P] current of C channels at P positions.
        beta: scalar in (0, 1).

    Returns:
        [..., C, 1].
    """
    # amax lets equal maxima share the gradient; a convolution of spikes has many
    largest = current.amax(dim=-1, keepdim=True)
    # in double precision, so that no order of the sum can turn a spike further on
    average = current.mean(dim=-1, keepdim=True, dtype=torch.float64).to(current.dtype)
    return (0.5 + beta) * largest + (1.5 - beta) * average


def gated(current: Tensor, pool: Tensor) -> Tensor:
    """sigma(P_all * I + I), in the shape [..., C, P] of `current` (Eq. 7, second line)."""
    return torch.sigmoid(current + pool * current)


class GlobalLocalPooling(nn.Module):
    """GLP (Eq. 7): the current of each channel, sharpened by its own maximum and mean.

    Our reading: beta is one number per block, kept in (0, 1) by a logistic; it starts at 0.5.
    """

    def __init__(self) -> None:
        super().__init__()
        self.beta_logit = nn.Parameter(torch.zeros(()))

    @property
    def beta(self) -> Tensor:
        """The learned share of the maximum, a scalar in (0, 1)."""
        return torch.sigmoid(self.beta_logit)

    def forward(self, current: Tensor) -> tuple[Tensor, Tensor]:
        """Pool and gate.

        Args:
            current: [..., C, P].

        Returns:
            The gated current [..., C, P] in (0, 1) and P_all [..., C, 1].
        """
        pool = pooled(current, self.beta)
        return gated(current, pool), pool


# Neurons within this share of the largest count as largest: sums of e and 1 round differently in a different order.
TIE = 1e-6


def time_step_factor(spikes: Tensor) -> Tensor:
    """w(t) = max_i softmax_t(s_i)(t) (Eq. 8): the weight of each time step.

    Our reading: the maximum runs over the neurons, so that each sample has one number per step. Many neurons reach it
    together, for they only have T bits each; they share its gradient.

    Args:
        spikes: [T, B, N] output of the last block.

    Returns:
        [T, B]; the T weights of a sample lie in (0, 1) and need not sum to 1.
    """
    share = torch.softmax(spikes, dim=0)
    with torch.no_grad():
        largest = (share >= share.amax(dim=-1, keepdim=True) * (1 - TIE)).to(share.dtype)
        largest /= largest.sum(dim=-1, keepdim=True)
    return (share * largest).sum(dim=-1)


def weighted_sum(spikes: Tensor, weights: Tensor) -> Tensor:
    """S = sum_t w(t) s(t) (Eq. 8).

    Args:
        spikes: [T, B, N].
        weights: [T, B].

    Returns:
        [B, N].
    """
    return (spikes * weights[:, :, None]).sum(dim=0)


def summarise(spikes: Tensor, fast: bool = True) -> tuple[Tensor, Tensor]:
    """`time_step_factor` and `weighted_sum` of zeros and ones.

    Args:
        spikes: [T, B, N] exact zeros and ones.
        fast: one autograd node; same numbers but for rounding.

    Returns:
        S [B, N] and w [T, B].
    """
    if fast:
        summary, weights = _FastSummary.apply(spikes)  # type: ignore[no-untyped-call]
        return summary, weights
    weights = time_step_factor(spikes)
    return weighted_sum(spikes, weights), weights


def _shares(spikes: Tensor) -> Tensor:
    """softmax_t(s) [T, B, N] of zeros and ones; e^s = 1 + (e - 1) s makes equal neurons equal to the last bit."""
    unit = (spikes.sum(dim=0) * (math.e - 1) + len(spikes)).reciprocal_()
    return torch.addcmul(unit, spikes, unit, value=math.e - 1)


class _FastSummary(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, spikes: Tensor) -> tuple[Tensor, Tensor]:
        weights = _shares(spikes).amax(dim=-1)
        ctx.save_for_backward(spikes, weights)
        return weighted_sum(spikes, weights), weights

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        spikes, weights = ctx.saved_tensors
        from_summary, from_weights = gradients
        to_weights = (spikes * from_summary).sum(dim=-1).add_(from_weights)
        shares = _shares(spikes)
        largest = torch.eq(shares, weights[:, :, None]).to(shares.dtype)
        # softmax: d p(t) / d s(u) = p(t) (1[t = u] - p(u)), and p(t) = w(t) where it counts
        largest.mul_((to_weights * weights / largest.sum(dim=-1))[:, :, None])
        return largest.sub_(shares.mul_(largest.sum(dim=0))).addcmul_(from_summary, weights[:, :, None])
