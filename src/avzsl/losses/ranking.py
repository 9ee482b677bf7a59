"""Ranking losses of compatibility methods: the true class should beat every other by a margin m, in dot product.

With h_ik = [m + s_ik - s_i,y_i]₊ for the wrong classes k of clip i, and 0 for its own class, they differ in what they
make of a clip's violations h_i: the sum (DeViSE), the largest (SJE), or the sum with a weight that falls with their
number (ALE). All average over clips. Adding a number to all scores of a clip changes nothing.

The three follow the public code of Mercea et al., CVPR 2022, not the first papers: DeViSE there sums over all wrong
classes instead of stopping at the first violation, and ALE counts violations instead of estimating a rank from samples.
"""

from __future__ import annotations

import torch
from torch import Tensor


def violations(scores: Tensor, labels: Tensor, margin: float) -> Tensor:
    """h: by how much each wrong class comes too close to the true one.

    Args:
        scores: s, [B, C], higher is better.
        labels: y, [B] int64, columns of `scores`.
        margin: m.

    Returns:
        [B, C], not negative, 0 at the true class.
    """
    own = labels.unsqueeze(1)
    excess = margin + scores - scores.gather(1, own)
    return torch.relu(excess).scatter(1, own, 0.0)


def summed_violations(scores: Tensor, labels: Tensor, margin: float) -> Tensor:
    """DeViSE (Frome et al., NeurIPS 2013): mean over clips of Σ_k h_ik.

    Args:
        scores: [B, C].
        labels: [B] int64.
        margin: m.

    Returns:
        Scalar.
    """
    return violations(scores, labels, margin).sum(1).mean()


def largest_violation(scores: Tensor, labels: Tensor, margin: float) -> Tensor:
    """SJE (Akata et al., CVPR 2015): mean over clips of max_k h_ik.

    Args:
        scores: [B, C].
        labels: [B] int64.
        margin: m.

    Returns:
        Scalar.
    """
    return violations(scores, labels, margin).max(1).values.mean()


def ranked_violations(scores: Tensor, labels: Tensor, margin: float) -> Tensor:
    """ALE (Akata et al., TPAMI 2016): mean over clips of H(r_i) / r_i · Σ_k h_ik.

    r_i is the number of violations of clip i and H(r) = 1 + 1/2 + ... + 1/r, so each violation weighs less the more
    there are. The weight is 0 without any, and no gradient passes through it.

    Args:
        scores: [B, C].
        labels: [B] int64.
        margin: m.

    Returns:
        Scalar.
    """
    found = violations(scores, labels, margin)
    rank = (found > 0).sum(1)
    counts = torch.arange(scores.shape[1], dtype=scores.dtype, device=scores.device)
    harmonic = torch.cat([counts[:1], counts[1:].reciprocal()]).cumsum(0)
    weight = harmonic[rank] / rank.clamp(min=1)
    return (weight * found.sum(1)).mean()
