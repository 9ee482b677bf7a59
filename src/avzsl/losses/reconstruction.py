"""Projection and reconstruction losses (Eq. 17-18).

Our reading: printed, both equations average a signed difference, which nothing bounds; the difference is squared. What
the average runs over decides how the losses weigh against the triplet loss, whose margin is 1, so each is brought to a
scale of 1. In the joint space every one of the p entries is of order 1, so L_p averages over entries, as the mean
squared errors of the compared methods do; summed over entries it would outweigh the triplet loss by far and draw all
classes together before they part. Text vectors have length 1 as a whole, so L_r sums over entries: it is the share of a
text vector that the reconstruction misses.
"""

from __future__ import annotations

from torch import Tensor


def projection_loss(clips: Tensor, texts: Tensor) -> Tensor:
    """L_p = mean over rows and entries of (F_av - F_tex)² (Eq. 17).

    Args:
        clips: F_av, [B, p].
        texts: F_tex of the clips' own classes, [B, p].

    Returns:
        Scalar.
    """
    return (clips - texts).square().mean()


def reconstruction_loss(rebuilt: Tensor, words: Tensor) -> Tensor:
    """L_r = mean over rows of ‖F_rec - w‖² (Eq. 18).

    Args:
        rebuilt: F_rec, [B, d_w].
        words: text vectors w of the clips' own classes, [B, d_w], of unit length.

    Returns:
        Scalar; 1 is what a reconstruction that is always zero misses.
    """
    return (rebuilt - words).square().sum(1).mean()
