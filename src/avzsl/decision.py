"""From scores to a class: distance, calibrated stacking, ranking. Evaluation and prediction share this one rule.

Scores are `[B, C]`, higher is better. The bias is taken off the scores of seen classes (the field writes the same
rule as "added to the distance of seen classes"), so a larger bias favours unseen ones. Ties go to the lowest column.

Comparisons are made in float64, so that subtracting a bias never makes two float32 scores equal by rounding.
"""

from __future__ import annotations

import torch
from torch import Tensor

from avzsl.errors import ModelError

# Rows per block: 1024 x 64 floats against 300 classes stay in a CPU cache.
CHUNK = 1024


def embedding_scores(clips: Tensor, classes: Tensor, chunk: int = CHUNK) -> Tensor:
    """Negative Euclidean distances, computed from differences.

    The usual shortcut over a matrix product loses up to some 1e-3 for close points (P20) and depends on how many rows
    are scored together; this one does neither.

    Args:
        clips: [B, D] clip embeddings.
        classes: [C, D] class embeddings.
        chunk: rows per block; changes the memory used, never the result.

    Returns:
        [B, C] in float32, or in float64 when both inputs are.
    """
    kind = torch.float64 if clips.dtype == classes.dtype == torch.float64 else torch.float32
    clips, classes = clips.to(kind), classes.to(kind)
    blocks = [
        torch.cdist(block, classes, compute_mode="donot_use_mm_for_euclid_dist")
        for block in torch.split(clips, max(chunk, 1))
    ]
    return -torch.cat(blocks)


def calibrate(scores: Tensor, seen: Tensor, bias: float) -> Tensor:
    """Calibrated stacking: [B, C] scores with `bias` taken off the columns where `seen` [C] is True."""
    return torch.where(seen, scores - bias, scores)


def decide(scores: Tensor, seen: Tensor, bias: float, candidates: Tensor | None = None) -> Tensor:
    """The chosen column for every clip.

    Args:
        scores: [B, C].
        seen: [C] bool, True for a seen class.
        bias: taken off the scores of seen classes.
        candidates: [C] bool, the classes that may be chosen; None = all.

    Returns:
        [B] int64.

    Raises:
        ModelError: a score is not a number.
        ValueError: there is no candidate.
    """
    blocks = [_calibrated(block, seen, bias, candidates).argmax(dim=1) for block in torch.split(scores, CHUNK)]
    return torch.cat(blocks)


def top_k(scores: Tensor, seen: Tensor, bias: float, k: int, candidates: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """The k best columns per clip, best first, and their calibrated scores.

    Args:
        scores: [B, C].
        seen: [C] bool.
        bias: taken off the scores of seen classes.
        k: how many; cut to the number of candidates.
        candidates: [C] bool; None = all.

    Returns:
        Columns [B, k] int64 and scores [B, k] in the type of `scores`.

    Raises:
        ModelError: a score is not a number.
        ValueError: there is no candidate, or k is below 1.
    """
    if k < 1:
        raise ValueError(f"k is {k}; ask for at least one class")
    values = _calibrated(scores, seen, bias, candidates)
    allowed = scores.shape[1] if candidates is None else int(candidates.sum())
    # A stable sort keeps the lower column first among equals, as `decide` does; `topk` promises nothing.
    ordered, columns = values.sort(dim=1, descending=True, stable=True)
    k = min(k, allowed)
    return columns[:, :k], ordered[:, :k].to(scores.dtype)


def _calibrated(scores: Tensor, seen: Tensor, bias: float, candidates: Tensor | None) -> Tensor:
    if scores.isnan().any():
        raise ModelError("the model's scores are not numbers; it diverged: train again with a lower learning rate")
    values = calibrate(scores.double(), seen, bias)
    if candidates is not None:
        if not candidates.any():
            raise ValueError("no class is left to choose from")
        values = values.masked_fill(~candidates, -torch.inf)
    return values
