"""Global-local pooling (Eq. 7) and the time-step factor (Eq. 8)."""

from __future__ import annotations

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
    # max(...), not amax: of several equal maxima one alone carries the gradient, as in max pooling
    largest = current.max(dim=-1, keepdim=True).values
    return (0.5 + beta) * largest + (1.5 - beta) * current.mean(dim=-1, keepdim=True)


def gated(current: Tensor, pool: Tensor) -> Tensor:
    """sigma(P_all * I + I), in the shape [..., C, P] of `current` (Eq. 7, second line)."""
    return torch.sigmoid(torch.addcmul(current, pool, current))


class GlobalLocalPooling(nn.Module):
    """GLP (Eq. 7): the current of each channel, sharpened by its own maximum and mean.

    Our reading: beta is one number per block, kept in (0, 1) by a logistic; it starts at 0.5.

    Args:
        fast: the gate in one autograd node with in-place operations; same numbers.
    """

    def __init__(self, fast: bool = True) -> None:
        super().__init__()
        self.fast = fast
        self.beta_logit = nn.Parameter(torch.zeros(()))

    @property
    def beta(self) -> Tensor:
        """The learned share of the maximum, a scalar in (0, 1)."""
        return torch.sigmoid(self.beta_logit)

    def pool(self, current: Tensor) -> Tensor:
        """P_all [..., C, 1] of a current [..., C, P]."""
        return pooled(current, self.beta)

    def forward(self, current: Tensor) -> tuple[Tensor, Tensor]:
        """Pool and gate.

        Args:
            current: [..., C, P].

        Returns:
            The gated current [..., C, P] in (0, 1) and P_all [..., C, 1].
        """
        pool = self.pool(current)
        if not self.fast:
            return gated(current, pool), pool
        return _FastGate.apply(current, pool), pool  # type: ignore[no-untyped-call]


class _FastGate(torch.autograd.Function):
    """`gated` as one node that saves two tensors instead of four."""

    @staticmethod
    def forward(ctx: Any, current: Tensor, pool: Tensor) -> Tensor:
        out = torch.addcmul(current, pool, current).sigmoid_()
        ctx.save_for_backward(current, pool, out)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor]:
        current, pool, out = ctx.saved_tensors
        inner = torch.addcmul(out, out, out, value=-1).mul_(gradients[0])  # sigma' g
        to_pool = (inner * current).sum(dim=-1, keepdim=True)
        return inner.mul_(pool + 1), to_pool


def time_step_factor(spikes: Tensor) -> Tensor:
    """w(t) = max_i softmax_t(s_i)(t) (Eq. 8): the weight of each time step.

    Our reading: the maximum runs over the neurons, so that each sample has one number per step.

    Args:
        spikes: [T, B, N] output of the last block.

    Returns:
        [T, B]; the T weights of a sample lie in (0, 1) and need not sum to 1.
    """
    return torch.softmax(spikes, dim=0).max(dim=-1).values


def weighted_sum(spikes: Tensor, weights: Tensor) -> Tensor:
    """S = sum_t w(t) s(t) (Eq. 8).

    Args:
        spikes: [T, B, N].
        weights: [T, B].

    Returns:
        [B, N].
    """
    return torch.einsum("tbn,tb->bn", spikes, weights)
