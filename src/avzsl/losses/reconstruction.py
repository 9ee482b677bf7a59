"""Projection and reconstruction losses (Eq. 17-18)."""

from __future__ import annotations

from torch import Tensor


def squared_error(rows: Tensor, targets: Tensor) -> Tensor:
    """Mean over rows of the squared Euclidean distance to the target.

    It is L_p (Eq. 17) between clips F_av and their texts F_tex in the joint space, and L_r (Eq. 18) between
    reconstructions F_rec(F_av) and the text vectors w.

    Our reading: the printed equations average a signed difference; a squared norm, summed over the entries and averaged
    over the samples, is what 1/n Σ then says.

    Args:
        rows: [B, D].
        targets: [B, D].

    Returns:
        Scalar.
    """
    return (rows - targets).square().sum(1).mean()
