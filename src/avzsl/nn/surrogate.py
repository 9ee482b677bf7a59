"""Surrogate gradients: what backpropagation sees in place of the derivative of a spike.

A spike is s = 1[x >= 0] with x the membrane potential above its threshold. Its derivative is zero almost everywhere, so
the backward pass uses that of a smooth curve, the surrogate's `primitive`. The forward pass is never smoothed.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from avzsl.registry import Registry


@dataclass(frozen=True)
class Surrogate:
    """A smooth stand-in for the step function.

    Attributes:
        primitive: `(x, alpha)` to the smooth curve, any shape; it documents the surrogate and tests the derivative.
        derivative_: `(x, alpha)` to its derivative. May overwrite `x`, which the callers own: the backward pass of a
            whole sequence must not allocate at each step.
        alpha: default sharpness; larger is steeper.
    """

    primitive: Callable[[Tensor, float], Tensor]
    derivative_: Callable[[Tensor, float], Tensor]
    alpha: float

    def sharpness(self, alpha: float | None) -> float:
        """`alpha`, or the default where it is None."""
        return self.alpha if alpha is None else alpha


SURROGATES: Registry[Surrogate] = Registry("surrogate")


def _atan(x: Tensor, alpha: float) -> Tensor:
    return torch.atan(math.pi / 2 * alpha * x) / math.pi + 0.5


def _atan_derivative_(x: Tensor, alpha: float) -> Tensor:
    # (a/2) / (1 + (pi a x / 2)^2), written as 1 / (2/a + (c x)^2) to save a pass over the data
    return x.mul_(math.pi / 2 * alpha * math.sqrt(2 / alpha)).square_().add_(2 / alpha).reciprocal_()


def _sigmoid(x: Tensor, alpha: float) -> Tensor:
    return torch.sigmoid(alpha * x)


def _sigmoid_derivative_(x: Tensor, alpha: float) -> Tensor:
    y = x.mul_(alpha).sigmoid_()
    return y.addcmul_(y, y, value=-1).mul_(alpha)


def _fast_sigmoid(x: Tensor, alpha: float) -> Tensor:
    return x / (1 + alpha * x.abs())


def _fast_sigmoid_derivative_(x: Tensor, alpha: float) -> Tensor:
    return x.abs_().mul_(alpha).add_(1).square_().reciprocal_()


def _rectangle(x: Tensor, alpha: float) -> Tensor:
    return (alpha * x + 0.5).clamp(0, 1)


def _rectangle_derivative_(x: Tensor, alpha: float) -> Tensor:
    return x.abs_().lt_(0.5 / alpha).mul_(alpha)


def _straight_through(x: Tensor, alpha: float) -> Tensor:
    return alpha * x


def _straight_through_derivative_(x: Tensor, alpha: float) -> Tensor:
    return x.fill_(alpha)


SURROGATES.register("atan")(Surrogate(_atan, _atan_derivative_, 2.0))
SURROGATES.register("sigmoid")(Surrogate(_sigmoid, _sigmoid_derivative_, 4.0))
SURROGATES.register("fast_sigmoid")(Surrogate(_fast_sigmoid, _fast_sigmoid_derivative_, 25.0))
SURROGATES.register("rectangle")(Surrogate(_rectangle, _rectangle_derivative_, 1.0))
SURROGATES.register("straight_through")(Surrogate(_straight_through, _straight_through_derivative_, 1.0))


def derivative(x: Tensor, surrogate: str = "atan", alpha: float | None = None) -> Tensor:
    """The surrogate derivative at `x`, which stays as it is.

    Args:
        x: any shape, membrane potential minus threshold.
        surrogate: a name in `SURROGATES`.
        alpha: sharpness; None = the surrogate's default.

    Raises:
        SettingError: no surrogate has that name.
    """
    found = SURROGATES.get(surrogate)
    return found.derivative_(x.detach().clone(), found.sharpness(alpha))


class _Spike(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, surrogate: str, alpha: float | None) -> Tensor:
        ctx.save_for_backward(x)
        ctx.surrogate, ctx.alpha = surrogate, alpha
        return (x >= 0).to(x.dtype)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (x,) = ctx.saved_tensors
        return gradients[0] * derivative(x, ctx.surrogate, ctx.alpha), None, None


def spike(x: Tensor, surrogate: str = "atan", alpha: float | None = None) -> Tensor:
    """s = 1[x >= 0], with the surrogate's derivative in the backward pass.

    Args:
        x: any shape, membrane potential minus threshold.
        surrogate: a name in `SURROGATES`.
        alpha: sharpness; None = the surrogate's default.

    Returns:
        Exact zeros and ones in the shape and dtype of `x`.

    Raises:
        SettingError: no surrogate has that name.
    """
    SURROGATES.get(surrogate)
    spikes: Tensor = _Spike.apply(x, surrogate, alpha)  # type: ignore[no-untyped-call]
    return spikes
