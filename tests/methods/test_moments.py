"""Sums over clips in blocks against tables of everything at once."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from avzsl.methods import _moments
from avzsl.methods._linear import class_shares, hidden_groups, side_by_side, standardised
from avzsl.methods._moments import Moments, folded, weighted_statistics
from avzsl.types import Clips


def problem(seed: int) -> tuple[Tensor, Tensor, Tensor, int]:
    """Rows far from zero, labels with an empty class, weights, number of classes."""
    torch.manual_seed(seed)
    classes, count, width = 9, int(torch.randint(20, 60, ())), int(torch.randint(2, 8, ()))
    labels = torch.randint(classes - 1, (count,))
    labels[:8] = torch.arange(8)
    return torch.randn(count, width).double() + 50, labels, class_shares(labels, classes, seed % 2 == 0), classes


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("block", [1, 7, 1000])
def test_what_is_shown_has_the_moments_of_its_own_table(seed: int, block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_moments, "BLOCK", block)
    rows, labels, share, classes = problem(seed)
    groups = list(hidden_groups(labels, classes, 4))
    found = list(folded(rows.__getitem__, labels, share, groups, classes))
    assert len(found) == len(groups) == 4
    for (mask, wanted_classes), (hidden, candidates, mean, shown) in zip(groups, found, strict=True):
        assert torch.equal(hidden, mask.nonzero().squeeze(1)) and torch.equal(candidates, wanted_classes)
        part = share[~mask] / share[~mask].sum()
        assert torch.allclose(mean, part @ rows[~mask])
        x = rows[~mask] - mean
        assert torch.allclose(shown.gram, x.T @ (x * part.unsqueeze(1)), atol=1e-9)
        for k in range(classes):
            own = labels[~mask] == k
            assert shown.weights[k].item() == pytest.approx(part[own].sum().item(), abs=1e-12)
            assert torch.allclose(shown.sums[k], part[own] @ x[own], atol=1e-9)
        assert not shown.weights[candidates].any() and not shown.sums[candidates].any()


def test_sums_of_some_classes_alone_keep_the_table() -> None:
    rows, labels, share, classes = problem(1)
    everything = Moments.of(rows.__getitem__, torch.arange(len(rows)), labels, share, classes)
    few = everything.only(torch.arange(classes) < 4)
    assert torch.equal(few.sums, everything.sums[:4]) and torch.equal(few.gram, everything.gram)
    assert torch.allclose(everything.gram, rows.T @ (rows * share.unsqueeze(1)))


@pytest.mark.parametrize("block", [1, 5, 1000])
def test_statistics_do_not_depend_on_the_blocks(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_moments, "BLOCK", block)
    rows, _, share, _ = problem(3)
    rows[:, 0] = 7
    mean, scale = weighted_statistics(rows.__getitem__, share)
    assert torch.allclose(mean, share @ rows)
    deviation = (share @ (rows - share @ rows).square()).sqrt()
    assert torch.allclose(scale[1:], deviation[1:]) and scale[0] == 1


def test_rows_are_made_of_clips_when_asked_for() -> None:
    torch.manual_seed(4)
    clips = Clips(torch.randn(11, 3, 4) + 5, torch.randn(11, 2, 3), torch.arange(3) < torch.randint(1, 4, (11, 1)))
    sizes, share = {"audio": 4, "visual": 3}, torch.full((11,), 1 / 11).double()
    rows, mean, scale = standardised(clips, sizes, share)
    raw = side_by_side(clips, sizes, torch.zeros(7)).double()
    assert torch.allclose(mean, raw.mean(0)) and torch.allclose(scale, raw.std(0, unbiased=False))
    index = torch.tensor([3, 3, 10])
    assert torch.allclose(rows(index), (raw[index] - mean) / scale)
