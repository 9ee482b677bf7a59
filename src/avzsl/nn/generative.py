"""Parts of networks that make features: an encoder, a generator and a critic, each with one hidden layer.

All three may look at the text vector of a class beside a feature. Sizes and initial weights follow the public code of
Mercea et al., CVPR 2022.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from avzsl.nn.products import Linear

# Standard deviation of the first weights of critics and softmax classifiers.
SPREAD = 0.02


class FeatureEncoder(nn.Module):
    """Where a feature lies in the latent space: the mean and the log-variance of a normal distribution.

    Args:
        features: d, width of a feature.
        text: d_w, width of a text vector.
        hidden: units of the hidden layer (ReLU).
        latent: d_z, width of the latent space.
    """

    def __init__(self, features: int, text: int, hidden: int, latent: int) -> None:
        super().__init__()
        self.hidden = Linear(features + text, hidden)
        self.mean = Linear(hidden, latent)
        self.log_variance = Linear(hidden, latent)

    def forward(self, features: Tensor, words: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log-variance, [N, d_z] each, of features [N, d] of classes with text vectors [N, d_w]."""
        rows = functional.relu(self.hidden(torch.cat([features, words], 1)))
        return self.mean(rows), self.log_variance(rows)


class FeatureGenerator(nn.Module):
    """Features of a class out of noise; it is the decoder of the autoencoder too. No feature leaves (0, 1).

    Args:
        features: d, width of a feature.
        text: d_w, width of a text vector.
        hidden: units of the hidden layer (ReLU).
        latent: d_z, width of the noise.
    """

    def __init__(self, features: int, text: int, hidden: int, latent: int) -> None:
        super().__init__()
        self.hidden = Linear(latent + text, hidden)
        self.output = Linear(hidden, features)

    def forward(self, noise: Tensor, words: Tensor) -> Tensor:
        """Features [N, d] from noise [N, d_z] and text vectors [N, d_w]."""
        rows = functional.relu(self.hidden(torch.cat([noise, words], 1)))
        return torch.sigmoid(self.output(rows))


class Critic(nn.Module):
    """How real a feature looks, as one number without bounds (Wasserstein critic).

    Args:
        features: d, width of a feature.
        text: d_w, width of the text vector it is told; 0 = it is told none.
        hidden: units of the hidden layer (LeakyReLU of slope 0.2).
    """

    def __init__(self, features: int, text: int, hidden: int) -> None:
        super().__init__()
        self.hidden = Linear(features + text, hidden)
        self.output = Linear(hidden, 1)
        for layer in (self.hidden, self.output):
            nn.init.normal_(layer.weight, 0.0, SPREAD)
            nn.init.zeros_(layer.bias)

    def forward(self, features: Tensor, words: Tensor | None = None) -> Tensor:
        """One number [N] for each feature [N, d] of classes with text vectors [N, d_w]."""
        rows = features if words is None else torch.cat([features, words], 1)
        result: Tensor = self.output(functional.leaky_relu(self.hidden(rows), 0.2)).squeeze(1)
        return result
