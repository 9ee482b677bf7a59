"""The decision rule against plain loops over Python numbers."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from avzsl.decision import CHUNK, calibrate, decide, embedding_scores, top_k
from avzsl.errors import ModelError


def plain_ranking(scores: list[float], seen: list[bool], bias: float, candidates: list[bool]) -> list[int]:
    """Columns best first; among equals the lower column first."""
    columns = [c for c in range(len(scores)) if candidates[c]]
    return sorted(columns, key=lambda c: (-(scores[c] - (bias if seen[c] else 0.0)), c))


@st.composite
def cases(draw: st.DrawFn) -> tuple[Tensor, Tensor, float, Tensor]:
    """Scores on a coarse grid, so that ties between and within the groups are common."""
    clips, classes = draw(st.integers(1, 5)), draw(st.integers(1, 6))
    values = st.integers(-6, 2).map(lambda n: n / 4)
    scores = draw(st.lists(st.lists(values, min_size=classes, max_size=classes), min_size=clips, max_size=clips))
    flags = st.lists(st.booleans(), min_size=classes, max_size=classes)
    bias = draw(st.integers(0, 8)) / 4
    return torch.tensor(scores), torch.tensor(draw(flags)), bias, torch.tensor(draw(flags.filter(any)))


@given(cases())
@settings(max_examples=200, deadline=None)
def test_decisions_and_rankings_equal_a_plain_loop_with_ties(case: tuple[Tensor, Tensor, float, Tensor]) -> None:
    scores, seen, bias, candidates = case
    columns, values = top_k(scores, seen, bias, 3, candidates)
    chosen = decide(scores, seen, bias, candidates)
    for row in range(len(scores)):
        expected = plain_ranking(scores[row].tolist(), seen.tolist(), bias, candidates.tolist())[:3]
        assert columns[row].tolist() == expected
        assert chosen[row] == expected[0]
        assert values[row].tolist() == [float(scores[row, c]) - (bias if seen[c] else 0) for c in expected]


def test_rounding_a_bias_away_makes_no_ties() -> None:
    """In float32 both lowered scores would be equal, and the worse class, having the lower column, would win."""
    scores = torch.tensor([[-0.10000001, -0.1, -9.0]])
    assert scores[0, 0] < scores[0, 1] and scores[0, 0] - 3 == scores[0, 1] - 3
    seen = torch.tensor([True, True, False])
    assert decide(scores, seen, 3.0).tolist() == [1]


def test_distances_equal_a_plain_loop() -> None:
    generator = torch.Generator().manual_seed(0)
    clips, classes = torch.randn(7, 5, generator=generator), torch.randn(4, 5, generator=generator)
    scores = embedding_scores(clips, classes)
    for i, clip in enumerate(clips.tolist()):
        for j, other in enumerate(classes.tolist()):
            assert scores[i, j] == pytest.approx(-math.dist(clip, other), rel=1e-6)


def test_distances_of_close_points_far_from_the_origin_are_exact() -> None:
    """The matrix-product shortcut is off by up to some 1e-3 here (P20)."""
    clips = torch.full((40, 64), 10.0)
    classes = clips[:30].clone()
    classes[:, 0] += 2**-10
    assert torch.equal(embedding_scores(clips, classes), torch.full((40, 30), -(2.0**-10)))
    assert (torch.cdist(clips, classes) - 2**-10).abs().max() > 1e-4


@pytest.mark.parametrize("chunk", [1, 3, 64, 1000])
def test_the_chunk_size_changes_no_bit(chunk: int) -> None:
    generator = torch.Generator().manual_seed(1)
    clips, classes = torch.randn(130, 19, generator=generator), torch.randn(31, 19, generator=generator)
    assert torch.equal(embedding_scores(clips, classes, chunk), embedding_scores(clips, classes))


def test_no_clips_give_no_scores_and_no_decisions() -> None:
    scores = embedding_scores(torch.zeros(0, 3), torch.zeros(2, 3))
    assert scores.shape == (0, 2)
    assert decide(scores, torch.tensor([True, False]), 1.0).shape == (0,)


def test_half_precision_is_scored_in_float32_and_double_stays_double() -> None:
    clips, classes = torch.ones(1, 2), torch.zeros(1, 2)
    assert embedding_scores(clips.half(), classes.half()).dtype == torch.float32
    assert embedding_scores(clips.double(), classes.double()).dtype == torch.float64


def test_the_bias_is_taken_off_seen_classes_only() -> None:
    scores = torch.tensor([[-1.0, -2.0]])
    assert calibrate(scores, torch.tensor([True, False]), 0.5).tolist() == [[-1.5, -2.0]]


def test_a_score_that_is_not_a_number_is_refused() -> None:
    scores = torch.tensor([[1.0, math.nan]])
    with pytest.raises(ModelError, match="learning rate"):
        decide(scores, torch.tensor([True, False]), 0.0)
    with pytest.raises(ModelError, match="learning rate"):
        top_k(scores, torch.tensor([True, False]), 0.0, 1)


def test_nothing_to_choose_from_is_refused() -> None:
    scores, seen = torch.zeros(1, 2), torch.tensor([True, False])
    with pytest.raises(ValueError, match="no class"):
        decide(scores, seen, 0.0, torch.tensor([False, False]))
    with pytest.raises(ValueError, match="at least one"):
        top_k(scores, seen, 0.0, 0)


def test_blocks_of_rows_come_back_in_order() -> None:
    scores = torch.randn(2 * CHUNK + 500, 7, generator=torch.Generator().manual_seed(0))
    seen, candidates = torch.arange(7) < 4, torch.arange(7) != 2
    wanted = calibrate(scores.double(), seen, 0.25).masked_fill(~candidates, -torch.inf).argmax(1)
    assert torch.equal(decide(scores, seen, 0.25, candidates), wanted)
    assert decide(scores[:0], seen, 0.25).shape == (0,)
