"""Alignment of two modalities: clips that are alike in one shall be alike in the other.

Source: the public code of Hong et al., ICCV 2023, which has had two meanings of "alike".
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import normalize

from avzsl.nn.products import linear

Gram = Literal["cosine", "norm_outer"]


def alignment_loss(first: Tensor, second: Tensor, gram: Gram = "cosine") -> Tensor:
    """Mean over all pairs (i, j) of the squared difference of two tables of similarity, the diagonal included.

    Args:
        first: [B, D], one modality.
        second: [B, D'], the other.
        gram: what a similarity is, see `similarities`.

    Returns:
        Scalar.
    """
    apart: Tensor = similarities(first, gram) - similarities(second, gram)
    return apart.square().mean()


def similarities(rows: Tensor, gram: Gram) -> Tensor:
    """Similarity of every two rows, [B, B].

    Args:
        rows: [B, D].
        gram: `"cosine"` of the angle between two rows (a row of zeros is like none); or `"norm_outer"`, the product of
            their lengths, which no direction enters.
    """
    if gram == "cosine":
        directions = normalize(rows, dim=1)
        return linear(directions, directions)
    lengths: Tensor = torch.linalg.vector_norm(rows, dim=1)
    return lengths.outer(lengths)
