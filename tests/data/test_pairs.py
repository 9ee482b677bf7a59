"""Shares of clips, classes and negatives (docs/protocol.md sections 7.2, 7.3 and 11.5)."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from avzsl.data.pairs import LabelIndex, sample_pairs
from avzsl.errors import DataError


def draw(labels: torch.Tensor, batch: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    return sample_pairs(LabelIndex.of(labels), batch, torch.Generator().manual_seed(seed))


def test_classes_of_10_and_1000_clips_are_drawn_equally_often() -> None:
    labels = torch.tensor([0] * 10 + [1] * 1000)
    shares, repeated = [], []
    for seed in range(200):
        clips, _ = draw(labels, 256, seed)
        shares.append(float((labels[clips] == 0).double().mean()))
        repeated.append(len(clips.unique()) < 256)
    # The standard error of the mean share is 0.5 / sqrt(256 * 200) = 0.0022.
    assert sum(shares) / len(shares) == pytest.approx(0.5, abs=0.01)
    assert all(repeated)


def test_every_clip_has_the_share_of_its_class() -> None:
    labels = torch.tensor([2, 0, 1, 1, 2, 1, 1])
    clips, negatives = draw(labels, 60_000)
    share = torch.bincount(clips, minlength=7) / len(clips)
    expected = torch.tensor([1 / 6, 1 / 3, 1 / 12, 1 / 12, 1 / 6, 1 / 12, 1 / 12])
    assert torch.allclose(share.double(), expected.double(), atol=0.01)
    for own in range(3):
        others = negatives[labels[clips] == own]
        parts = torch.bincount(labels[others], minlength=3) / len(others)
        assert parts[own] == 0
        assert parts.sort().values[1:].tolist() == pytest.approx([0.5, 0.5], abs=0.02)
    of_one = torch.bincount(negatives[labels[negatives] == 1], minlength=7)[labels == 1].double()
    assert (of_one / of_one.sum()).tolist() == pytest.approx([0.25] * 4, abs=0.02)


@given(st.lists(st.integers(0, 5), min_size=2, max_size=30).filter(lambda x: len(set(x)) > 1), st.integers(0, 99))
@settings(max_examples=80, deadline=None)
def test_a_negative_is_never_of_the_own_class(values: list[int], seed: int) -> None:
    labels = torch.tensor(values)
    clips, negatives = draw(labels, 64, seed)
    assert (labels[clips] != labels[negatives]).all()
    assert clips.min() >= 0 and max(int(clips.max()), int(negatives.max())) < len(values)


def test_a_class_with_one_clip_is_drawn_without_end() -> None:
    """The public sampler looks for a second clip of the class and never returns (P9)."""
    clips, negatives = draw(torch.tensor([0, 1, 1]), 32)
    assert {*clips.tolist(), *negatives.tolist()} == {0, 1, 2}


def test_the_same_generator_state_gives_the_same_pairs() -> None:
    labels = torch.arange(50) % 7
    first, second, third = draw(labels, 16, 4), draw(labels, 16, 4), draw(labels, 16, 5)
    assert torch.equal(torch.cat(first), torch.cat(second))
    assert not torch.equal(torch.cat(first), torch.cat(third))


@pytest.mark.parametrize("labels", [[], [3, 3, 3]])
def test_a_single_training_class_is_refused(labels: list[int]) -> None:
    with pytest.raises(DataError, match="at least two"):
        LabelIndex.of(torch.tensor(labels, dtype=torch.int64))
