"""The paired test against all swaps written out, scipy, and false alarms where nothing differs."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from avzsl.errors import DataError, SettingError
from avzsl.evaluation import paired
from avzsl.evaluation.metrics import harmonic_mean
from avzsl.evaluation.paired import compare, sign_test
from avzsl.evaluation.statistics import SCORES, Decisions, join, recalls, scores_of


def drawn(seed: int, seen: int = 3, unseen: int = 4, clips: int = 5, better: float = 0.0) -> Decisions:
    draw = np.random.default_rng(seed)
    labels = np.repeat(np.arange(seen + unseen), clips)
    flags = np.arange(seen + unseen) < seen
    right = draw.random(len(labels)) < 0.5 + better
    alone = draw.random(len(labels)) < 0.5 + better
    return Decisions(labels, flags, right[None], (alone & ~flags[labels])[None])


def by_hand(first: Decisions, second: Decisions, score: str) -> float:
    """p-value from a loop over every swap of whole classes, seeds swapped together."""
    observed, count, total = 0.0, 0, 0
    classes = len(first.seen)
    for swaps in itertools.product((False, True), repeat=classes):
        moved = np.array(swaps)[first.labels]
        one = Decisions(
            first.labels, first.seen, np.where(moved, second.right, first.right),
            np.where(moved, second.zsl_right, first.zsl_right),
        )  # fmt: skip
        two = Decisions(
            first.labels, first.seen, np.where(moved, first.right, second.right),
            np.where(moved, first.zsl_right, second.zsl_right),
        )  # fmt: skip
        change = abs(float((scores_of(one)[score] - scores_of(two)[score]).mean()))
        if not any(swaps):
            observed = change
        count += change >= observed - 1e-12
        total += 1
    return count / total


@pytest.mark.parametrize("runs", [1, 2])
@pytest.mark.parametrize("seed", range(4))
def test_p_values_agree_with_a_loop_over_all_swaps(seed: int, runs: int) -> None:
    first = join([drawn(10 * seed + r) for r in range(runs)])
    second = join([drawn(100 + 10 * seed + r, better=0.25) for r in range(runs)])
    found = compare(first, second, np.random.default_rng(0), draws=10)
    for score in SCORES:
        assert found[score].exact
        assert found[score].p_value == pytest.approx(by_hand(first, second, score))


def test_random_swaps_come_near_to_all_swaps(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = drawn(1, 6, 6), drawn(2, 6, 6, better=0.2)
    exact = compare(first, second, np.random.default_rng(0), draws=10)
    monkeypatch.setattr(paired, "MOST_EXACT", 0)
    rough = compare(first, second, np.random.default_rng(0), draws=10, permutations=20_000)
    for score in SCORES:
        assert not rough[score].exact
        assert rough[score].p_value == pytest.approx(exact[score].p_value, abs=0.02)


def test_a_random_p_value_counts_the_observed_assignment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paired, "MOST_EXACT", 0)
    found = compare(drawn(0, 12, 12), drawn(1, 12, 12, better=0.5), np.random.default_rng(0), draws=2, permutations=99)
    assert found["seen"].p_value == pytest.approx(1 / 100)


def test_zsl_agrees_with_the_paired_permutation_test_of_scipy() -> None:
    stats = pytest.importorskip("scipy.stats")
    first, second = drawn(5, 2, 10, 7), drawn(6, 2, 10, 7, better=0.15)
    one, two = (recalls(d)[1][0][2:] for d in (first, second))
    theirs = stats.permutation_test(
        (one, two), lambda a, b: np.mean(a - b), permutation_type="samples", n_resamples=np.inf
    )
    found = compare(first, second, np.random.default_rng(0), draws=10)["zsl"]
    assert found.p_value == pytest.approx(theirs.pvalue)
    assert found.first - found.second == pytest.approx(theirs.statistic)


def test_sign_test_agrees_with_scipy() -> None:
    stats = pytest.importorskip("scipy.stats")
    for wins, losses in ((0, 1), (3, 3), (1, 8), (12, 30), (40, 41)):
        assert sign_test(wins, losses) == pytest.approx(stats.binomtest(wins, wins + losses).pvalue)
    assert sign_test(0, 0) == 1.0


def test_signs_and_differences_by_hand() -> None:
    labels, seen = np.repeat(np.arange(4), 2), np.array([True, True, False, False])
    one = np.array([1, 1, 1, 0, 1, 0, 0, 0], dtype=bool)  # recalls 1, 1/2 | 1/2, 0
    two = np.array([1, 0, 0, 1, 1, 1, 0, 0], dtype=bool)  # recalls 1/2, 1/2 | 1, 0
    unseen = ~seen[labels]
    first = Decisions(labels, seen, one[None], (one & unseen)[None])
    second = Decisions(labels, seen, two[None], (two & unseen)[None])
    found = compare(first, second, np.random.default_rng(0), draws=10)
    assert [(found[s].wins, found[s].losses, found[s].ties) for s in SCORES] == [
        (1, 0, 1), (0, 1, 1), (1, 1, 2), (0, 1, 1),
    ]  # fmt: skip
    assert found["hm"].first == pytest.approx(harmonic_mean(3 / 4, 1 / 4))
    assert found["hm"].second == pytest.approx(harmonic_mean(1 / 2, 1 / 2))
    # Two classes differ: of the four assignments two have a difference of HM as large as the observed 0.125 ...
    assert found["hm"].p_value == pytest.approx(by_hand(first, second, "hm"))
    # ... and of a single differing class both do.
    assert found["seen"].p_value == 1.0


def test_a_method_does_not_differ_from_itself() -> None:
    found = compare(drawn(3), drawn(3), np.random.default_rng(0), draws=50)
    for difference in found.values():
        assert difference.p_value == 1.0 and difference.p_sign == 1.0
        assert (difference.interval.low, difference.interval.high) == (0.0, 0.0)
        assert difference.wins == difference.losses == 0


def test_swapping_the_methods_turns_the_sign_and_keeps_the_p_value() -> None:
    first, second = drawn(7), drawn(8, better=0.3)
    one = compare(first, second, np.random.default_rng(0), draws=4000)
    two = compare(second, first, np.random.default_rng(0), draws=4000)
    for score in SCORES:
        assert one[score].p_value == two[score].p_value
        assert one[score].interval.value == pytest.approx(-two[score].interval.value)
        assert one[score].interval.low == pytest.approx(-two[score].interval.high, abs=0.02)
        assert (one[score].wins, one[score].losses) == (two[score].losses, two[score].wins)


def test_false_alarms_are_as_rare_as_the_level_says() -> None:
    """Methods of equal skill: p < 0.05 in about 5 of 100 cases, and in nearly all where one is much better."""
    alarms = dict.fromkeys(SCORES, 0)
    for seed in range(150):
        pair = drawn(2 * seed, 8, 8, 6), drawn(2 * seed + 1, 8, 8, 6)
        found = compare(*pair, np.random.default_rng(seed), draws=2, permutations=500)
        for score in SCORES:
            alarms[score] += found[score].p_value < 0.05
    assert all(count <= 16 for count in alarms.values()), alarms
    strong = compare(drawn(0, 8, 8, 6), drawn(1, 8, 8, 6, better=0.4), np.random.default_rng(0), draws=200)
    assert all(d.p_value < 0.01 and d.interval.high < 0 for d in strong.values())


def test_runs_that_cannot_be_paired_are_refused() -> None:
    with pytest.raises(DataError, match="2 run"):
        compare(join([drawn(1), drawn(2)]), drawn(3), np.random.default_rng(0))
    with pytest.raises(DataError, match="different clips"):
        compare(drawn(1), drawn(1, seen=4, unseen=3), np.random.default_rng(0))
    with pytest.raises(SettingError, match="permutations is 0"):
        compare(drawn(1), drawn(2), np.random.default_rng(0), permutations=0)
