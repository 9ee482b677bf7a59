"""The Poincaré ball as the Hyper methods use it: clip a vector into the ball, take it to the tangent space at 0.

Source: the public code of Hong et al., ICCV 2023. For a ball of curvature -c (radius 1/√c) both maps change the
length of a vector and keep its direction, so together they are one function of the length:

    g(n) = artanh(√c n) / √c   for √c n ≤ 1 - δ,   artanh(1 - δ) / √c   beyond.

For c → 0 that is n itself.
"""

from __future__ import annotations

import torch
from torch import Tensor

# δ: how far from the edge of the ball, as a share of its radius, vectors are clipped.
BOUNDARY = 1e-3
# Smallest length that is divided by.
SMALLEST = 1e-5
# Less curvature than this is none: a predicted one can come out as 0, where the formula is 0 / 0.
FLATTEST = 1e-12


def to_tangent(rows: Tensor, curvature: Tensor | float, boundary: float = BOUNDARY) -> Tensor:
    """Clip rows into the ball and map them to the tangent space at its centre.

    A row is read as a point of the ball as it is; there is no exponential map before.

    Args:
        rows: [B, D].
        curvature: c ≥ 0, one number or [B, 1], one for each row.
        boundary: δ.

    Returns:
        [B, D], each row a positive multiple of what it was.
    """
    root = torch.as_tensor(curvature, dtype=rows.dtype, device=rows.device).clamp(min=FLATTEST).sqrt()
    scaled: Tensor = root * torch.linalg.vector_norm(rows, dim=1, keepdim=True).clamp(min=SMALLEST)
    return rows * (torch.atanh(scaled.clamp(max=1 - boundary)) / scaled)


def clip_radius(curvature: Tensor | float, boundary: float = BOUNDARY) -> Tensor:
    """Length beyond which `to_tangent` clips, (1 - δ) / √c, in the shape of `curvature`."""
    radius: Tensor = (1 - boundary) / torch.as_tensor(curvature).sqrt()
    return radius
