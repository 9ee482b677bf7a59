"""Intervals against exact enumeration, closed forms, scipy and their own coverage."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import torch

from avzsl.errors import DataError, SettingError
from avzsl.evaluation.metrics import evaluate_scores, harmonic_mean
from avzsl.evaluation.statistics import (
    SCORES,
    Decisions,
    decisions_of,
    interval_of,
    intervals,
    join,
    recalls,
    resample,
    scores_of,
)

# Two seen classes of 2 and 3 clips, three unseen ones of 1, 2 and 4; one run.
LABELS = np.repeat(np.arange(5), [2, 3, 1, 2, 4])
SEEN = np.array([True, True, False, False, False])
RIGHT = np.array([1, 0, 1, 1, 0, 1, 0, 0, 1, 1, 1, 0], dtype=bool)
ALONE = np.array([0, 0, 0, 0, 0, 1, 1, 0, 1, 1, 1, 1], dtype=bool)


def tiny() -> Decisions:
    return Decisions(LABELS, SEEN, RIGHT[None], ALONE[None])


def random_scores(seed: int, classes: int = 9, clips: int = 60) -> tuple[Any, Any, Any]:
    draw = torch.Generator().manual_seed(seed)
    labels = torch.arange(clips) % classes
    scores = torch.randn(clips, classes, generator=draw)
    scores[torch.arange(clips), labels] += 1.2
    return scores, labels, torch.arange(classes) < classes - 3


def test_scores_by_hand() -> None:
    every, alone = recalls(tiny())
    assert np.allclose(every[0], [1 / 2, 2 / 3, 1, 0, 3 / 4])
    assert np.allclose(alone[0], [np.nan, np.nan, 1, 1 / 2, 1], equal_nan=True)
    found = {name: float(v[0]) for name, v in scores_of(tiny()).items()}
    assert found["seen"] == pytest.approx(7 / 12)
    assert found["unseen"] == pytest.approx(7 / 12)
    assert found["hm"] == pytest.approx(7 / 12)
    assert found["zsl"] == pytest.approx(5 / 6)


@pytest.mark.parametrize("zero_shot", [False, True])
def test_scores_are_those_of_the_evaluation(zero_shot: bool) -> None:
    scores, labels, seen = random_scores(1)
    other = random_scores(2)[0] if zero_shot else None
    gzsl = evaluate_scores(scores, labels, seen, 0.37, other)
    found = scores_of(decisions_of(scores, labels, seen, 0.37, other))
    assert {name: float(v[0]) for name, v in found.items()} == pytest.approx(
        {name: getattr(gzsl, name) for name in SCORES}
    )


def test_a_class_without_clips_is_left_out() -> None:
    seen = np.append(SEEN, False)
    wider = Decisions(LABELS, seen, RIGHT[None], ALONE[None])
    assert {k: v.tolist() for k, v in scores_of(wider).items()} == {k: v.tolist() for k, v in scores_of(tiny()).items()}
    assert wider.classes(False).tolist() == [2, 3, 4]


def enumerate_classes() -> dict[str, list[float]]:
    """The four scores of all 2^2 * 3^3 equally likely draws of classes."""
    every, alone = (values[0] for values in recalls(tiny()))
    found: dict[str, list[float]] = {name: [] for name in SCORES}
    for s in itertools.product((0, 1), repeat=2):
        for u in itertools.product((2, 3, 4), repeat=3):
            seen, unseen = float(every[list(s)].mean()), float(every[list(u)].mean())
            for name, value in zip(
                SCORES, (seen, unseen, harmonic_mean(seen, unseen), float(alone[list(u)].mean())), strict=True
            ):
                found[name].append(value)
    return found


def test_drawing_classes_agrees_with_all_draws_there_are() -> None:
    draws = 40_000
    drawn = resample(tiny(), np.random.default_rng(0), draws)
    for name, exact in enumerate_classes().items():
        values = drawn[name][:, 0]
        assert values.mean() == pytest.approx(np.mean(exact), abs=5 * np.std(exact) / np.sqrt(draws))
        for limit in np.unique(np.round(exact, 9)):
            share = float(np.mean(np.array(exact) <= limit + 1e-9))
            assert np.mean(values <= limit + 1e-9) == pytest.approx(share, abs=5 * np.sqrt(0.25 / draws))
    # HM is made of S and U of the same draw, not of draws of its own.
    assert np.allclose(drawn["hm"], harmonic_mean(*(torch.from_numpy(drawn[n]) for n in ("seen", "unseen"))).numpy())


def test_drawing_clips_has_the_variance_of_binomials() -> None:
    drawn = resample(tiny(), np.random.default_rng(0), 40_000, "clips")
    rate, size = np.array([1 / 2, 2 / 3]), np.array([2, 3])
    assert drawn["seen"].mean() == pytest.approx(7 / 12, abs=0.005)
    assert drawn["seen"].var() == pytest.approx((rate * (1 - rate) / size).sum() / 4, rel=0.05)
    # Recalls of 1 and 0 cannot move by drawing clips; those of 3/4 and 1/2 do.
    assert drawn["unseen"].var() == pytest.approx(3 / 16 / 4 / 9, rel=0.05)
    assert drawn["zsl"].var() == pytest.approx(1 / 4 / 2 / 9, rel=0.05)


def test_drawing_both_adds_the_two_variances() -> None:
    drawn = resample(tiny(), np.random.default_rng(0), 40_000, "both")
    every = recalls(tiny())[0][0]
    rate, size = every[:2], np.array([2, 3])
    # Law of total variance over two drawn classes; clips of a class drawn twice are drawn twice as often.
    within = (rate * (1 - rate) / size).mean() / 2
    assert drawn["seen"].var() == pytest.approx(rate.var() / 2 + within, rel=0.05)


def test_interval_of_zsl_agrees_with_scipy() -> None:
    stats = pytest.importorskip("scipy.stats")
    scores, labels, seen = random_scores(3, classes=40, clips=400)
    seen = torch.arange(40) < 20
    decisions = decisions_of(scores, labels, seen, 0.2)
    ours = intervals(decisions, np.random.default_rng(0), 20_000)["zsl"]
    values = recalls(decisions)[1][0][20:]
    theirs = stats.bootstrap(
        (values,), np.mean, n_resamples=20_000, method="percentile", rng=np.random.default_rng(1)
    ).confidence_interval
    assert ours.low == pytest.approx(theirs.low, abs=0.006)
    assert ours.high == pytest.approx(theirs.high, abs=0.006)
    assert ours.value == pytest.approx(values.mean())


@pytest.mark.parametrize("level", ["classes", "clips", "both"])
def test_runs_meet_the_same_test_sets(level: Any) -> None:
    twice = join([tiny(), tiny()])
    drawn = resample(twice, np.random.default_rng(0), 50, level)
    for values in drawn.values():
        assert np.array_equal(values[:, 0], values[:, 1])
        assert values[:, 0].std() > 0


def test_the_same_generator_gives_the_same_interval() -> None:
    first, second, other = (intervals(tiny(), np.random.default_rng(seed), 200) for seed in (4, 4, 5))
    assert first == second
    assert first["hm"] != other["hm"]


def test_quantiles_cut_the_same_share_on_both_sides() -> None:
    found = interval_of(0.5, np.arange(101) / 100, 0.9)
    assert (found.low, found.high) == pytest.approx((0.05, 0.95))


def test_intervals_over_classes_cover_what_they_claim() -> None:
    """Recalls of new classes are drawn from one distribution; its mean must lie inside about 95 times of 100."""
    draw = np.random.default_rng(0)
    labels = np.repeat(np.arange(60), 6)
    seen = np.arange(60) < 30
    hits = {"classes": 0, "clips": 0}
    for _ in range(200):
        recall = draw.beta(2, 3, 60)[labels]
        right = draw.random(len(labels)) < recall
        decisions = Decisions(labels, seen, right[None], (right & ~seen[labels])[None])
        for level in hits:
            found = intervals(decisions, draw, 300, level)["zsl"]  # type: ignore[arg-type]
            hits[level] += found.low <= 0.4 <= found.high
    assert 180 <= hits["classes"] <= 198
    assert hits["clips"] < 170  # other clips of the same classes say too little about other classes


def test_wrong_requests_are_refused() -> None:
    with pytest.raises(SettingError, match="did you mean 'classes'"):
        resample(tiny(), np.random.default_rng(0), 5, "class")  # type: ignore[arg-type]
    with pytest.raises(SettingError, match="draws is 0"):
        resample(tiny(), np.random.default_rng(0), 0)
    with pytest.raises(SettingError, match="confidence is 1"):
        intervals(tiny(), np.random.default_rng(0), 5, confidence=1)
    with pytest.raises(DataError, match="different clips"):
        join([tiny(), Decisions(LABELS[::-1].copy(), SEEN, RIGHT[None], ALONE[None])])
    with pytest.raises(DataError, match="unseen"):
        decisions_of(torch.zeros(2, 2), torch.tensor([0, 0]), torch.tensor([True, False]), 0.0)
