from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from avzsl import decision
from avzsl.report import analysis
from avzsl.report.records import StoredScores


def stored(scores: list[list[float]], labels: list[int], seen: list[bool]) -> StoredScores:
    names = tuple("ABCDEFGH"[: len(seen)])
    return StoredScores(
        np.array(scores), np.array(labels), np.array(seen), names, tuple(str(i) for i in range(len(labels)))
    )


@pytest.fixture
def worked() -> StoredScores:
    """The worked example of the benchmark's description: one-dimensional embeddings, A and B seen, C and D unseen."""
    classes = np.array([0.0, 10.0, 1.5, 7.9])
    clips = np.array([0.2, -0.5, 0.6, 9.6, 10.3, 0.5, 1.4, -0.3, 9.2, 8.5, 9.9, 4.5])
    labels = [0, 0, 0, 1, 1, 2, 2, 2, 3, 3, 3, 3]
    scores = -np.abs(clips[:, None] - classes)
    return stored(scores.tolist(), labels, [True, True, False, False])


def test_the_worked_example_gives_its_table(worked: StoredScores) -> None:
    curve = analysis.curve_of(worked, np.array([0.0, 0.4, 0.6, 1.2, 1.4, 1.6, 2.0, 2.2]), 0.6)
    assert curve.seen == pytest.approx([1, 0.8333, 0.8333, 0.6667, 0.4167, 0.25, 0.25, 0], abs=1e-4)
    assert curve.unseen == pytest.approx([0.2917, 0.2917, 0.5833, 0.5833, 0.5833, 0.75, 0.875, 0.875], abs=1e-4)
    assert curve.hm == pytest.approx([0.4516, 0.4321, 0.6863, 0.6222, 0.4861, 0.375, 0.3889, 0], abs=1e-4)
    alone = analysis.recall(worked.labels, analysis.decide(worked, 0.6, unseen_only=True), 4)
    assert alone[2:] == pytest.approx([1.0, 0.75])


def test_decisions_are_those_of_the_evaluation(worked: StoredScores) -> None:
    scores, seen = torch.from_numpy(worked.scores), torch.from_numpy(worked.seen)
    for bias in (0.0, 0.5, 3.0):
        assert analysis.decide(worked, bias).tolist() == decision.decide(scores, seen, bias).tolist()
    only = decision.decide(scores, seen, 0.0, candidates=~seen)
    assert analysis.decide(worked, 0.0, unseen_only=True).tolist() == only.tolist()


def test_scores_among_unseen_classes_decide_there_and_nowhere_else(worked: StoredScores) -> None:
    own = np.where(worked.seen, -np.inf, worked.scores[:, [0, 1, 3, 2]])  # the two unseen classes change places
    both = replace(worked, zsl_scores=own)
    assert analysis.decide(both, 0.6).tolist() == analysis.decide(worked, 0.6).tolist()
    swapped = {2: 3, 3: 2}
    alone = analysis.decide(worked, 0.6, unseen_only=True).tolist()
    assert analysis.decide(both, 0.6, unseen_only=True).tolist() == [swapped[c] for c in alone]


def test_more_clips_than_a_block_are_all_decided() -> None:
    draw = np.random.default_rng(0)
    many = stored(draw.normal(size=(analysis.ROWS + 5, 3)).tolist(), [0] * (analysis.ROWS + 5), [True, False, False])
    assert analysis.decide(many, 0.0).tolist() == many.scores.argmax(1).tolist()


def test_a_class_without_clips_has_no_recall() -> None:
    values = analysis.recall(np.array([0, 0, 2]), np.array([0, 1, 2]), 3)
    assert values[0] == 0.5 and np.isnan(values[1]) and values[2] == 1.0
    assert analysis.mean_of(values, np.array([True, True, False])) == 0.5
    assert np.isnan(analysis.mean_of(values, np.array([False, True, False])))


def test_confusions_are_counted_and_sorted() -> None:
    test = stored([[0.0] * 3] * 6, [0, 0, 0, 0, 1, 2], [True, True, False])
    counts = analysis.confusion_counts(test.labels, np.array([0, 2, 2, 1, 1, 0]), 3)
    assert counts.tolist() == [[1, 1, 2], [0, 1, 0], [1, 0, 0]]
    found = [(c.true, c.predicted, c.count, c.share) for c in analysis.confusions(test, counts, 2)]
    assert found == [("A", "C", 2, 0.5), ("A", "B", 1, 0.25)]


def test_every_clip_goes_somewhere() -> None:
    test = stored([[0.0] * 3] * 4, [0, 0, 1, 2], [True, True, False])
    seen, unseen = analysis.destinations(test, np.array([0, 1, 2, 0]))
    assert (seen.clips, seen.right, seen.same_part, seen.other_part) == pytest.approx((3, 1 / 3, 1 / 3, 1 / 3))
    assert (unseen.clips, unseen.right, unseen.same_part, unseen.other_part) == (1, 0.0, 0.0, 1.0)


def test_grouped_rows_still_add_up_to_one() -> None:
    matrix = np.random.default_rng(1).dirichlet(np.ones(10), size=10)
    small, seen = analysis.coarse(matrix, 7, 4)
    assert small.shape == (4, 4) and seen == 3
    assert small.sum(axis=1) == pytest.approx(np.ones(4))
    # Groups are 0-2, 3-5, 6 and 7-9: none mixes seen and unseen classes.
    assert small[2, 3] == pytest.approx(matrix[6, 7:].sum())
    assert small[0, 1] == pytest.approx(matrix[:3, 3:6].sum(axis=1).mean())
