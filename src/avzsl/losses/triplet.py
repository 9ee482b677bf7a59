"""Triplet loss between clips and texts (Eq. 16)."""

from __future__ import annotations

import torch
from torch import Tensor


def distance(first: Tensor, second: Tensor) -> Tensor:
    """Euclidean distance of each row [B, D] to the row beside it, [B]. Equal rows have distance 0 and gradient 0."""
    norms: Tensor = torch.linalg.vector_norm(first - second, dim=1)
    return norms


def triplet(anchor: Tensor, positive: Tensor, negative: Tensor, margin: float = 1.0) -> Tensor:
    """Mean over rows of [margin + d(anchor, positive) - d(anchor, negative)]₊.

    Args:
        anchor: [B, D].
        positive: [B, D], should be near.
        negative: [B, D], should be far.
        margin: γ.

    Returns:
        Scalar.
    """
    return torch.relu(margin + distance(anchor, positive) - distance(anchor, negative)).mean()


def cross_modal_triplet(
    clips: Tensor, texts: Tensor, negative_clips: Tensor, negative_texts: Tensor, margin: float = 1.0
) -> Tensor:
    """L_t of Eq. 16: a text against two clips plus a clip against two texts.

        [γ + d(F_av⁺, F_tex⁺) - d(F_av⁻, F_tex⁺)]₊ + [γ + d(F_tex⁺, F_av⁺) - d(F_tex⁻, F_av⁺)]₊

    Our reading: printed, the equation subtracts vectors, its two signs contradict each other and γ is not stated; this
    is the triplet loss of the methods it is compared with, Euclidean, γ = 1, averaged over pairs.

    Args:
        clips: F_av⁺, [B, D].
        texts: F_tex⁺, [B, D], of the clips' own classes.
        negative_clips: F_av⁻, [B, D], of other classes.
        negative_texts: F_tex⁻, [B, D], of those classes.
        margin: γ.

    Returns:
        Scalar.
    """
    return triplet(texts, clips, negative_clips, margin) + triplet(clips, texts, negative_texts, margin)
