"""A linear softmax classifier and how it is trained, with the gradient written out.

The gradient of the mean negative log-likelihood is (softmax(x Wᵀ + b) - onehot(y)) / n by the scores, so no graph is
needed.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from avzsl.nn.generative import SPREAD
from avzsl.nn.products import linear


@dataclass(frozen=True)
class Softmax:
    """Weight [C, d] and bias [C] of a classifier."""

    weight: Tensor
    bias: Tensor

    @staticmethod
    def drawn(classes: int, width: int, generator: torch.Generator, device: torch.device) -> Softmax:
        """First weights from N(0, 0.02²), bias 0; drawn on the CPU, so that the device changes no number."""
        weight = SPREAD * torch.randn(classes, width, generator=generator)
        return Softmax(weight.to(device), torch.zeros(classes, device=device))

    def log_probabilities(self, rows: Tensor) -> Tensor:
        """[N, C] of rows [N, d]."""
        return functional.log_softmax(linear(rows, self.weight, self.bias), 1)


@dataclass(frozen=True)
class SoftmaxTraining:
    """How a classifier is trained.

    Attributes:
        epochs: passes over the rows.
        batch: rows per step; the last batch of a pass is what is left.
        rate: learning rate of Adam with betas (0.5, 0.999).
    """

    epochs: int = 30
    batch: int = 1000
    rate: float = 1e-3


def equal_weights(labels: Tensor) -> Tensor:
    """Weights [N] of mean 1 that let every class that is there count alike, however many rows [N] it has."""
    counts = torch.bincount(labels)
    return len(labels) / (int((counts > 0).sum()) * counts[labels].float())


def train_softmax(
    start: Softmax,
    rows: Tensor,
    labels: Tensor,
    order: Tensor,
    training: SoftmaxTraining,
    weights: Tensor | None = None,
) -> Softmax:
    """Minimise the mean negative log-likelihood, from `start`; also inside `torch.inference_mode`.

    Args:
        start: is left as it is.
        rows: [N, d].
        labels: [N] int64.
        order: [N] int64, the permutation in which every pass visits the rows.
        training: how.
        weights: [N], of each row in the mean; None = all 1.
    """
    with torch.inference_mode(False), torch.no_grad():
        weight, bias = start.weight.clone(), start.bias.clone()
        adam = torch.optim.Adam([weight, bias], training.rate, betas=(0.5, 0.999), fused=True)
        for _ in range(training.epochs):
            for index in torch.split(order, training.batch):
                inputs, wanted = rows[index], labels[index].unsqueeze(1)
                error = linear(inputs, weight, bias).softmax(1)
                error.scatter_add_(1, wanted, -torch.ones_like(wanted, dtype=error.dtype))
                error *= 1 / len(index) if weights is None else weights[index].unsqueeze(1) / len(index)
                weight.grad, bias.grad = linear(error.T, inputs.T), error.sum(0)
                adam.step()
    return Softmax(weight, bias)
