"""What the methods without gradient steps share: averaged features side by side, weights of clips, hidden classes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from avzsl.errors import SettingError
from avzsl.methods._inputs import given_averages
from avzsl.methods._moments import Rows, weighted_statistics
from avzsl.types import Clips, Dimensions

PENALTIES = (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)


def check_penalty(name: str, value: float) -> None:
    """Refuse a penalty out of range.

    Raises:
        SettingError: it is negative or not a number.
    """
    if not value >= 0:
        raise SettingError(f"{name} is {value}; it must be positive, or 0 to choose it from the data")


def check_folds(folds: int) -> None:
    """Refuse fewer than 2 groups.

    Raises:
        SettingError: one group cannot be hidden from the others.
    """
    if folds < 2:
        raise SettingError(f"folds is {folds}; it must be at least 2")


def used_sizes(dimensions: Dimensions, modality: str) -> dict[str, int]:
    """Sizes of the modalities that a setting asks for, `"audio"` first.

    Args:
        dimensions: sizes of the features.
        modality: `"both"`, `"audio"` or `"visual"`; `"both"` takes what is there.

    Raises:
        SettingError: none of it is there.
    """
    sizes = {"audio": dimensions.audio, "visual": dimensions.visual}
    used = {name: size for name, size in sizes.items() if size and modality in ("both", name)}
    if not used:
        raise SettingError(f"modality is '{modality}', but these features have none of it")
    return used


def side_by_side(clips: Clips, sizes: Mapping[str, int], mean: Tensor) -> Tensor:
    """Averaged modalities next to each other, [B, width]; the training mean for one that is missing.

    Args:
        clips: B clips.
        sizes: modality to columns, in order.
        mean: [width].

    Raises:
        ModelError: as `given_averages`.
    """
    given = given_averages(clips, sizes)
    fillers = dict(zip(sizes, torch.split(mean, list(sizes.values())), strict=True))
    return torch.cat([given[name] if name in given else fillers[name].expand(len(clips), -1) for name in sizes], 1)


def standardised(clips: Clips, sizes: Mapping[str, int], share: Tensor) -> tuple[Rows, Tensor, Tensor]:
    """Training rows under weights [N]: standardised, in float64, made when they are asked for.

    Returns:
        The rows, and the mean and deviation [width] that were taken off and divided by.
    """

    def raw(index: Tensor) -> Tensor:
        return side_by_side(clips.rows(index), sizes, torch.zeros(sum(sizes.values()), device=clips.device)).double()

    mean, scale = weighted_statistics(raw, share)
    return lambda index: (raw(index) - mean) / scale, mean, scale


def class_shares(labels: Tensor, classes: int, balanced: bool) -> Tensor:
    """Weights [N] float64 of rows that sum to 1: equal by class, or equal by row."""
    if not balanced:
        return torch.full((len(labels),), 1 / len(labels), dtype=torch.float64, device=labels.device)
    counts = torch.bincount(labels, minlength=classes).double()
    return 1 / (counts[labels] * (counts > 0).sum())


def hidden_groups(labels: Tensor, classes: int, folds: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Hide groups of training classes in turn: the i-th class that has clips is in group i mod `folds`.

    Nothing comes where there are too few classes for two groups of two.

    Args:
        labels: [N] int64.
        classes: number of classes.
        folds: number of groups, if there are two classes for each.

    Yields:
        Mask [N] of the hidden rows, and the hidden classes.
    """
    present = torch.bincount(labels).nonzero().squeeze(1)
    folds = min(folds, len(present) // 2)
    if folds < 2:
        return
    group = torch.full((classes,), -1, dtype=torch.long, device=labels.device)
    group[present] = torch.arange(len(present), device=labels.device) % folds
    for fold in range(folds):
        yield group[labels] == fold, (group == fold).nonzero().squeeze(1)


def balanced_recall(scores: Tensor, candidates: Tensor, labels: Tensor) -> float:
    """Share of rows that are named right, averaged over classes.

    Args:
        scores: [N, K].
        candidates: [K] the class of each column.
        labels: [N] the class of each row.
    """
    right = candidates[scores.argmax(1)] == labels
    return float(class_shares(labels, int(candidates.max()) + 1, True) @ right.double())


def penalised_solve(gram: Tensor, cross: Tensor, penalty: float) -> Tensor:
    """(gram + λ I)⁻¹ cross by Cholesky, for a gram matrix [d, d] and λ > 0."""
    identity = torch.eye(len(gram), dtype=gram.dtype, device=gram.device)
    return torch.cholesky_solve(cross, torch.linalg.cholesky(gram + penalty * identity))
