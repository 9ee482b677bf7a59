"""Metrics against the worked example of docs/protocol.md section 8.1, plain loops, scikit-learn and invariances."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from avzsl.errors import DataError, ModelError
from avzsl.evaluation.metrics import (
    BIAS_GRID,
    bias_curve,
    class_results,
    evaluate_scores,
    exact_best_bias,
    harmonic_mean,
    per_class_recall,
    warn_if_at_end,
    zsl_chance,
)


class Case(NamedTuple):
    """Scores [N, C], labels [N], seen [C]."""

    scores: Tensor
    labels: Tensor
    seen: Tensor


def worked_example(factor: float = 1.0) -> Case:
    """Section 8.1: one-dimensional embeddings; `factor` 2 doubles every distance."""
    classes = torch.tensor([0, 10, 1.5, 7.9], dtype=torch.float64)
    clips = {0: [0.2, -0.5, 0.6], 1: [9.6, 10.3], 2: [0.5, 1.4, -0.3], 3: [9.2, 8.5, 9.9, 4.5]}
    labels = torch.tensor([c for c, places in clips.items() for _ in places])
    places = torch.tensor([p for group in clips.values() for p in group], dtype=torch.float64)
    scores = -factor * (places.unsqueeze(1) - classes).abs()
    return Case(scores, labels, torch.tensor([True, True, False, False]))


# beta, R_A, R_B, R_C, R_D, S, U, HM as printed
TABLE = [
    *((b, 1, 1, 1 / 3, 1 / 4, 1.0000, 0.2917, 0.4516) for b in (0, 0.2)),
    (0.4, 2 / 3, 1, 1 / 3, 1 / 4, 0.8333, 0.2917, 0.4321),
    *((b, 2 / 3, 1, 2 / 3, 1 / 2, 0.8333, 0.5833, 0.6863) for b in (0.6, 0.8, 1.0)),
    (1.2, 1 / 3, 1, 2 / 3, 1 / 2, 0.6667, 0.5833, 0.6222),
    (1.4, 1 / 3, 1 / 2, 2 / 3, 1 / 2, 0.4167, 0.5833, 0.4861),
    *((b, 0, 1 / 2, 1, 1 / 2, 0.2500, 0.7500, 0.3750) for b in (1.6, 1.8)),
    (2.0, 0, 1 / 2, 1, 3 / 4, 0.2500, 0.8750, 0.3889),
    *((b, 0, 0, 1, 3 / 4, 0, 0.8750, 0) for b in (2.2, 2.4, 2.6, 2.8, 3.0)),
]


@pytest.mark.parametrize("row", TABLE, ids=lambda row: f"bias {row[0]}")
def test_the_worked_example_is_met_digit_for_digit(row: tuple[float, ...]) -> None:
    result = evaluate_scores(*worked_example(), bias=row[0])
    assert result.recall.tolist() == pytest.approx(row[1:5], abs=1e-12)
    assert [round(v, 4) for v in (result.seen, result.unseen, result.hm)] == list(row[5:8])
    assert result.zsl == 0.875
    assert result.zsl_recall[2:].tolist() == [1, 0.75] and result.zsl_recall[:2].isnan().all()


def test_the_worked_example_chooses_the_first_maximum() -> None:
    curve = bias_curve(*worked_example())
    assert curve.best == 0.6
    assert curve.grid.tolist() == [row[0] for row in TABLE]
    assert round(float(curve.hm.max()), 6) == 0.686275
    for column, values in ((5, curve.seen), (6, curve.unseen), (7, curve.hm)):
        assert [round(v, 4) for v in values.tolist()] == [row[column] for row in TABLE]


def test_doubled_distances_double_the_chosen_bias() -> None:
    curve = bias_curve(*worked_example(2.0))
    assert curve.best == 1.2
    assert round(float(curve.hm.max()), 6) == 0.686275
    assert round(evaluate_scores(*worked_example(2.0), bias=0.8).hm, 4) == 0.4321


def test_the_grid_is_the_published_one() -> None:
    assert BIAS_GRID == (0, 0.2, 0.4, 0.6, 0.8, 1.0, 1.2, 1.4, 1.6, 1.8, 2.0, 2.2, 2.4, 2.6, 2.8, 3.0)


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Scores on the grid of the biases, so that a bias often makes a tie; some classes may have no clips."""
    seen = torch.tensor(draw(st.permutations([True, False, *draw(st.lists(st.booleans(), max_size=4))])))
    count, clips = len(seen), draw(st.integers(2, 12))
    pick = st.integers(0, count - 1)
    first = [int(seen.int().argmax()), int((~seen).int().argmax())]
    labels = torch.tensor(first + draw(st.lists(pick, min_size=clips - 2, max_size=clips - 2)))
    values = st.integers(-12, 0)
    rows = draw(st.lists(st.lists(values, min_size=count, max_size=count), min_size=clips, max_size=clips))
    return Case(torch.tensor(rows, dtype=torch.float32) / 4, labels, seen)


QUARTERS = tuple(n / 4 for n in range(13))


def plain(case: Case, bias: float, only_unseen: bool = False) -> list[float]:
    """Recall per class by loops over Python numbers; NaN for a class without clips."""
    scores, labels, seen = case.scores.tolist(), case.labels.tolist(), case.seen.tolist()
    hits, counts = [0] * len(seen), [0] * len(seen)
    for row, label in zip(scores, labels, strict=True):
        best, best_score = -1, -math.inf
        for c, score in enumerate(row):
            if only_unseen and seen[c]:
                continue
            lowered = score - bias if seen[c] else score
            if lowered > best_score:
                best, best_score = c, lowered
        counts[label] += 1
        hits[label] += best == label
    return [h / n if n else math.nan for h, n in zip(hits, counts, strict=True)]


def mean(values: list[float], flags: list[bool], wanted: bool) -> float:
    kept = [v for v, f in zip(values, flags, strict=True) if f == wanted and not math.isnan(v)]
    return sum(kept) / len(kept)


@given(cases())
@settings(max_examples=150, deadline=None)
def test_numbers_equal_a_plain_loop_with_ties(case: Case) -> None:
    seen = case.seen.tolist()
    curve = bias_curve(*case, grid=QUARTERS)
    zsl = mean(plain(case, 0.0, only_unseen=True), seen, False)
    for place, bias in enumerate(QUARTERS):
        recall = plain(case, bias)
        result = evaluate_scores(*case, bias=bias)
        assert result.recall.tolist() == pytest.approx(recall, nan_ok=True, abs=1e-12)
        expected = (mean(recall, seen, True), mean(recall, seen, False))
        assert (result.seen, result.unseen) == pytest.approx(expected, abs=1e-12)
        assert (float(curve.seen[place]), float(curve.unseen[place])) == pytest.approx(expected, abs=1e-12)
        assert result.zsl == pytest.approx(zsl, abs=1e-12)
        assert float(curve.hm[place]) == pytest.approx(result.hm, abs=1e-12)
    hms = curve.hm.tolist()
    assert curve.best == QUARTERS[hms.index(max(hms))]


def test_the_curve_equals_deciding_at_every_bias() -> None:
    generator = torch.Generator().manual_seed(3)
    labels = torch.randint(20, (300,), generator=generator)
    scores = -4 * torch.rand(300, 20, generator=generator)
    scores[torch.arange(300), labels] += 1
    seen = torch.arange(20) % 3 != 1
    curve = bias_curve(scores, labels, seen)
    results = [evaluate_scores(scores, labels, seen, bias) for bias in BIAS_GRID]
    assert curve.seen.tolist() == [r.seen for r in results]
    assert curve.unseen.tolist() == [r.unseen for r in results]
    assert curve.hm.tolist() == [r.hm for r in results]
    assert len(set(curve.hm.tolist())) > 10


@given(cases())
@settings(max_examples=100, deadline=None)
def test_invariances_of_section_11(case: Case) -> None:
    scores, labels, seen = case
    curve = bias_curve(*case)
    shifted = scores + torch.arange(len(scores)).unsqueeze(1).float()
    assert torch.equal(bias_curve(shifted, labels, seen).hm, curve.hm)
    order = torch.arange(len(labels)).flip(0)
    assert torch.allclose(bias_curve(scores[order], labels[order], seen).hm, curve.hm, atol=1e-12)
    twice = torch.cat([torch.arange(len(labels)), (labels == labels[0]).nonzero().flatten()])
    assert torch.allclose(bias_curve(scores[twice], labels[twice], seen).hm, curve.hm, atol=1e-12)
    far = evaluate_scores(*case, bias=1e6)
    assert far.seen == 0 and far.hm == 0 and far.unseen == pytest.approx(far.zsl)
    assert (curve.hm <= 2 * torch.minimum(curve.seen, curve.unseen) + 1e-12).all()
    assert (curve.hm[(curve.seen == 0) | (curve.unseen == 0)] == 0).all()
    assert (curve.unseen <= far.zsl + 1e-12).all()
    assert (curve.seen.diff() <= 1e-12).all() and (curve.unseen.diff() >= -1e-12).all()


@given(cases())
@settings(max_examples=150, deadline=None)
def test_the_exact_search_is_no_worse_than_a_dense_grid(case: Case) -> None:
    """Scores are quarters, so steps of an eighth meet every gap and the inside of every interval."""
    bias, hm = exact_best_bias(*case)
    dense = torch.arange(-40, 41, dtype=torch.float64) / 8
    assert hm == pytest.approx(float(bias_curve(*case, grid=dense).hm.max()), abs=1e-9)
    assert evaluate_scores(*case, bias=bias).hm == hm


def test_the_exact_search_takes_the_lowest_of_equal_intervals() -> None:
    bias, hm = exact_best_bias(*worked_example())
    assert round(hm, 6) == 0.686275
    assert 0.5 < bias < 1.1  # the interval of the worked example, between its thresholds


def test_recall_equals_balanced_accuracy() -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    random = np.random.default_rng(0)
    labels = random.integers(0, 7, 200)
    predictions = np.where(random.random(200) < 0.6, labels, random.integers(0, 7, 200))
    recall = per_class_recall(torch.tensor(predictions), torch.tensor(labels), 7)
    assert float(recall.mean()) == pytest.approx(metrics.balanced_accuracy_score(labels, predictions))


def test_a_class_that_is_predicted_but_absent_does_not_count_as_zero() -> None:
    """Targets [0, 1, 1], predictions [0, 0, 2] of 5 classes: 0.5, where macro-averaging libraries say 0.333."""
    recall = per_class_recall(torch.tensor([0, 0, 2]), torch.tensor([0, 1, 1]), 5)
    assert recall[:2].tolist() == [1, 0] and recall[2:].isnan().all()
    assert float(recall.nanmean()) == 0.5


def test_harmonic_mean_of_numbers_and_tensors() -> None:
    assert harmonic_mean(0.5, 0.25) == pytest.approx(1 / 3)
    assert harmonic_mean(0.0, 0.0) == 0
    assert harmonic_mean(torch.tensor([1.0, 0.0]), torch.tensor([1.0, 0.3])).tolist() == [1, 0]


@pytest.mark.parametrize(
    ("unseen", "percent"),
    [(9, 11.11), (6, 16.67), (50, 2.00), (48, 2.08), (69, 1.45), (64, 1.56)],
)
def test_chance_levels_of_section_11(unseen: int, percent: float) -> None:
    seen = torch.tensor([True] * 5 + [False] * unseen)
    assert round(100 * zsl_chance(seen), 2) == percent


def test_class_results_carry_names_and_both_recalls() -> None:
    case = worked_example()
    result = evaluate_scores(*case, bias=0.6)
    rows = class_results(result, case.labels, ("A", "B", "C", "D"), case.seen)
    assert [(r.name, r.seen, r.clips) for r in rows] == [
        ("A", True, 3),
        ("B", True, 2),
        ("C", False, 3),
        ("D", False, 4),
    ]
    assert rows[3].recall == 0.5 and rows[3].zsl_recall == 0.75
    assert math.isnan(rows[0].zsl_recall)


def test_scores_for_the_zero_shot_number_move_nothing_else() -> None:
    scores = torch.tensor([[5.0, 0, 1], [0, 1, 2], [0, 2, 1], [9, 2, 1]])
    labels, seen = torch.tensor([0, 1, 2, 2]), torch.tensor([True, False, False])
    plain = evaluate_scores(scores, labels, seen, 0.5)
    assert plain.zsl == 0 and plain.seen == 1
    own = torch.tensor([[-torch.inf, 0, 1], [-torch.inf, 2, 1], [-torch.inf, 1, 2], [-torch.inf, 2, 1]])
    found = evaluate_scores(scores, labels, seen, 0.5, own)
    assert found.zsl == 0.75 and found.zsl_recall[1:].tolist() == [1, 0.5]
    assert (found.seen, found.unseen, found.hm) == (plain.seen, plain.unseen, plain.hm)
    assert torch.equal(found.recall, plain.recall)
    with pytest.raises(ModelError, match="diverged"):
        evaluate_scores(scores, labels, seen, 0.5, own * torch.nan)


def test_an_evaluation_without_one_of_the_parts_is_refused() -> None:
    scores, labels, seen = worked_example()
    for keep, word in ((seen[labels], "an unseen"), (~seen[labels], "a seen")):
        for judge in (lambda *a: evaluate_scores(*a, bias=0.0), bias_curve, exact_best_bias):
            with pytest.raises(DataError, match=word):
                judge(scores[keep], labels[keep], seen)


def test_scores_that_are_not_numbers_are_refused() -> None:
    scores, labels, seen = worked_example()
    scores[1, 1] = math.nan
    for judge in (lambda *a: evaluate_scores(*a, bias=0.0), bias_curve, exact_best_bias):
        with pytest.raises(ModelError, match="not numbers"):
            judge(scores, labels, seen)


def test_p24_a_best_bias_at_the_end_of_the_grid_warns() -> None:
    scores, labels, seen = worked_example(10.0)
    curve = bias_curve(scores, labels, seen)
    assert curve.best != 3.0
    warn_if_at_end(curve, "x")
    scores[:, :2] += 20.0
    far = bias_curve(scores, labels, seen, grid=(0.0, 10.0, 25.0))
    assert far.best == 25.0
    with pytest.warns(UserWarning, match="end of the grid"):
        warn_if_at_end(far, "output 'both'")
