"""Losses of networks that make features: variational autoencoder (Kingma and Welling, 2014) and WGAN-GP.

WGAN-GP: Gulrajani et al., *Improved Training of Wasserstein GANs*, NeurIPS 2017.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional


def bernoulli_loss(rebuilt: Tensor, wanted: Tensor) -> Tensor:
    """-Σ [x log x̂ + (1 - x) log(1 - x̂)], summed over all entries; logarithms stop at -100.

    Args:
        rebuilt: [N, d], x̂ in [0, 1].
        wanted: [N, d], x in [0, 1]; in between it is met best by x̂ = x, where its entropy is left.
    """
    return functional.binary_cross_entropy(rebuilt, wanted, reduction="sum")


def normal_divergence(mean: Tensor, log_variance: Tensor) -> Tensor:
    """KL(N(μ, σ²) ‖ N(0, 1)) = -½ Σ (1 + log σ² - μ² - σ²), summed over all entries of [N, d_z]."""
    return -0.5 * (1 + log_variance - mean.square() - log_variance.exp()).sum()


def gradient_penalty(critic: Callable[[Tensor], Tensor], real: Tensor, fake: Tensor, share: Tensor) -> Tensor:
    """Mean over rows of (‖∇_u D(u)‖₂ - 1)² at u = α x + (1 - α) x̃, to be differentiated by the critic's weights.

    Args:
        critic: [N, d] to [N].
        real: x, [N, d].
        fake: x̃, [N, d]; no gradient goes back to it.
        share: α, [N, 1] in [0, 1].
    """
    with torch.enable_grad():
        between = (share * real + (1 - share) * fake).detach().requires_grad_()
        # A view, because torch's FLOP counter cannot follow a leaf into a module here.
        (slope,) = torch.autograd.grad(critic(between.view_as(between)).sum(), between, create_graph=True)
        result: Tensor = (slope.norm(dim=1) - 1).square().mean()
        return result
