"""Scores to numbers (docs/protocol.md section 8): S, U, HM, ZSL, and how they move with the bias.

All means are over classes, not over clips. A class without clips is left out of them (P19).
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import overload

import torch
from torch import Tensor

from avzsl.decision import decide
from avzsl.errors import DataError, ModelError
from avzsl.types import BiasCurve, Gzsl

# 16 equally spaced values, 5 per unit (docs/protocol.md section 8).
BIAS_GRID = tuple(step / 5 for step in range(16))
# Keeps HM defined where S = U = 0; the published formula's constant.
_EPSILON = 2.2e-16


@dataclass(frozen=True)
class ClassResult:
    """How one class fared.

    Attributes:
        name: class name.
        seen: whether it was trained on.
        clips: how many clips of it were judged.
        recall: share of them decided right among all classes; NaN without clips.
        zsl_recall: the same among unseen classes only; NaN for seen classes.
    """

    name: str
    seen: bool
    clips: int
    recall: float
    zsl_recall: float


def per_class_recall(predictions: Tensor, labels: Tensor, classes: int) -> Tensor:
    """Share of right decisions per class, [C] float64, NaN for a class without clips.

    Args:
        predictions: [N] int64 columns.
        labels: [N] int64 columns.
        classes: number of columns C.
    """
    return _recall((predictions == labels).unsqueeze(0), labels, classes)[0]


@overload
def harmonic_mean(seen: float, unseen: float) -> float: ...
@overload
def harmonic_mean(seen: Tensor, unseen: Tensor) -> Tensor: ...
def harmonic_mean(seen: float | Tensor, unseen: float | Tensor) -> float | Tensor:
    """HM = 2 S U / (S + U + 2.2e-16); 0 when either is 0."""
    return 2 * seen * unseen / (seen + unseen + _EPSILON)


def zsl_chance(seen: Tensor) -> float:
    """What guessing gives in the zero-shot setting: 1 / number of unseen classes."""
    return 1 / int((~seen).sum())


def evaluate_scores(scores: Tensor, labels: Tensor, seen: Tensor, bias: float, zero_shot: Tensor | None = None) -> Gzsl:
    """All numbers of one set of scores at one bias.

    Args:
        scores: [N, C], higher is better.
        labels: [N] int64, column of each clip's class.
        seen: [C] bool, True for a class that was trained on.
        bias: taken off the scores of seen classes; 0 is 0 (P7).
        zero_shot: [N, C], scores that decide among the unseen classes for ZSL; None = `scores`.

    Raises:
        DataError: no clip of a seen class, or none of an unseen one.
        ModelError: a score is not a number.
    """
    count = scores.shape[1]
    _check_parts(labels, seen)
    recall = per_class_recall(decide(scores, seen, bias), labels, count)
    zsl = torch.full((count,), torch.nan, dtype=torch.float64)
    of_unseen = ~seen[labels]
    among_unseen = scores if zero_shot is None else zero_shot
    chosen = decide(among_unseen[of_unseen], seen, bias, candidates=~seen)
    zsl[~seen] = per_class_recall(chosen, labels[of_unseen], count)[~seen]
    seen_mean, unseen_mean = float(recall[seen].nanmean()), float(recall[~seen].nanmean())
    return Gzsl(
        seen=seen_mean,
        unseen=unseen_mean,
        hm=harmonic_mean(seen_mean, unseen_mean),
        zsl=float(zsl.nanmean()),
        bias=bias,
        recall=recall,
        zsl_recall=zsl,
    )


def bias_curve(scores: Tensor, labels: Tensor, seen: Tensor, grid: Sequence[float] | Tensor = BIAS_GRID) -> BiasCurve:
    """Seen, unseen and harmonic mean at every bias of a grid; the first maximum of HM is the best.

    The bias moves all seen classes alike, so only the best seen and the best unseen class of each clip matter. They are
    found once, whatever the length of the grid.

    Args:
        scores: [N, C].
        labels: [N] int64.
        seen: [C] bool.
        grid: biases [K].

    Raises:
        DataError: no clip of a seen class, or none of an unseen one.
        ModelError: a score is not a number.
    """
    _check_parts(labels, seen)
    biases = torch.as_tensor(grid, dtype=torch.float64)
    rivals = _Rivals.of(scores, labels, seen)
    lowered = rivals.seen_score - biases.unsqueeze(1)  # [K, N]
    ahead = (lowered > rivals.unseen_score) | ((lowered == rivals.unseen_score) & rivals.seen_first)
    right = torch.where(ahead, rivals.seen_right, rivals.unseen_right)
    recall = _recall(right, labels, len(seen))
    seen_mean, unseen_mean = recall[:, seen].nanmean(dim=1), recall[:, ~seen].nanmean(dim=1)
    hm = harmonic_mean(seen_mean, unseen_mean)
    return BiasCurve(biases, seen_mean, unseen_mean, hm, best=float(biases[hm.argmax()]))


def exact_best_bias(scores: Tensor, labels: Tensor, seen: Tensor) -> tuple[float, float]:
    """The bias with the highest HM of all real numbers, and that HM, by sorting (O(N log N)).

    A clip changes sides at one bias only: the gap between its best seen and its best unseen score. Between two
    neighbouring gaps nothing changes, so one bias per interval (and the gaps themselves, where ties decide) is enough.
    The lowest of equally good intervals wins; its middle is returned, or a point 1 beyond the outermost gap.

    Raises:
        DataError: no clip of a seen class, or none of an unseen one.
        ModelError: a score is not a number.
    """
    _check_parts(labels, seen)
    rivals = _Rivals.of(scores, labels, seen)
    gaps, place = torch.unique(rivals.seen_score - rivals.unseen_score, return_inverse=True)
    # Positions 2k are the intervals below gap k, 2k + 1 the gap itself, 2M the interval above the last gap.
    positions = 2 * len(gaps) + 1
    is_seen = seen[labels]
    counts = torch.bincount(labels, minlength=len(seen))
    share = 1.0 / counts[labels].double()
    last_seen = 2 * place + rivals.seen_first.long()  # the clip goes to its seen class up to this position
    lost = torch.zeros(positions + 1, dtype=torch.float64)
    lost.index_add_(0, last_seen + 1, share * (rivals.seen_right & is_seen))
    won = torch.zeros(positions + 1, dtype=torch.float64)
    won.index_add_(0, last_seen + 1, share * (rivals.unseen_right & ~is_seen))
    start = float((share * (rivals.seen_right & is_seen)).sum())
    seen_mean = (start - lost.cumsum(0)[:positions]).clamp(min=0) / int((counts[seen] > 0).sum())
    unseen_mean = won.cumsum(0)[:positions] / int((counts[~seen] > 0).sum())
    hm = harmonic_mean(seen_mean, unseen_mean)
    # Running sums carry rounding noise of 1e-13; equal values must still go to the first.
    first = int((hm >= hm.max() - 1e-11).int().argmax())
    edges = torch.cat([gaps[:1] - 1, gaps, gaps[-1:] + 1])
    bias = float(gaps[first // 2]) if first % 2 else float(edges[first // 2] + edges[first // 2 + 1]) / 2
    if first in (0, positions - 1):
        bias = float(edges[0] if first == 0 else edges[-1])
    return bias, evaluate_scores(scores, labels, seen, bias).hm


def class_results(gzsl: Gzsl, labels: Tensor, class_names: Sequence[str], seen: Tensor) -> list[ClassResult]:
    """The recalls of a result with the names they belong to (P11: the generalised and the zero-shot ones)."""
    counts = torch.bincount(labels, minlength=len(class_names)).tolist()
    columns = zip(class_names, seen.tolist(), counts, gzsl.recall.tolist(), gzsl.zsl_recall.tolist(), strict=True)
    return [ClassResult(*values) for values in columns]


def warn_if_at_end(curve: BiasCurve, where: str) -> None:
    """Warn when the best bias is the largest of the grid: the scores may need a wider one (P24)."""
    if len(curve.grid) > 1 and curve.best == float(curve.grid[-1]):
        warnings.warn(
            f"the best bias of {where} is {curve.best:g}, the end of the grid; a larger one may be better"
            " (bias_search exact looks at all)",
            stacklevel=3,
        )


@dataclass(frozen=True, eq=False)
class _Rivals:
    """For each of N clips: its best seen and its best unseen class.

    Attributes:
        seen_score, unseen_score: [N] float64.
        seen_right, unseen_right: [N] bool, whether that class is the clip's own.
        seen_first: [N] bool, whether the seen class has the lower column and so wins a tie.
    """

    seen_score: Tensor
    unseen_score: Tensor
    seen_right: Tensor
    unseen_right: Tensor
    seen_first: Tensor

    @staticmethod
    def of(scores: Tensor, labels: Tensor, seen: Tensor) -> _Rivals:
        if scores.isnan().any():
            raise ModelError("the model's scores are not numbers; it diverged: train again with a lower learning rate")
        columns = torch.arange(len(seen), device=scores.device)
        # `max` names the first of equal values, hence the lowest column.
        seen_score, seen_class = scores[:, seen].max(dim=1)
        unseen_score, unseen_class = scores[:, ~seen].max(dim=1)
        seen_class, unseen_class = columns[seen][seen_class], columns[~seen][unseen_class]
        return _Rivals(
            seen_score.double(),
            unseen_score.double(),
            seen_class == labels,
            unseen_class == labels,
            seen_class < unseen_class,
        )


def _recall(right: Tensor, labels: Tensor, classes: int) -> Tensor:
    """Recall [K, C] float64 of K decisions [K, N] bool."""
    hits = torch.zeros(len(right), classes, dtype=torch.float64, device=labels.device)
    hits.index_add_(1, labels, right.double())
    return hits / torch.bincount(labels, minlength=classes)  # 0 / 0 is NaN


def _check_parts(labels: Tensor, seen: Tensor) -> None:
    of_seen = seen[labels]
    for there, part in ((of_seen.any(), "a seen"), ((~of_seen).any(), "an unseen")):
        if not there:
            raise DataError(f"no clip of {part} class to judge; both kinds are needed for the harmonic mean")
