"""Rank correlation against scipy, numbers by hand and its own false alarms."""

from __future__ import annotations

import numpy as np
import pytest

from avzsl.errors import DataError
from avzsl.evaluation.correlation import correlate, ranks, spearman


def test_equal_values_share_the_mean_of_their_ranks() -> None:
    assert ranks(np.array([5.0, 1.0, 5.0, 3.0])).tolist() == [3.5, 1.0, 3.5, 2.0]
    assert ranks(np.array([[1.0, 1.0, 1.0], [3.0, 2.0, 1.0]])).tolist() == [[2.0, 2.0, 2.0], [3.0, 2.0, 1.0]]


@pytest.mark.parametrize("ties", [False, True])
def test_spearman_agrees_with_scipy(ties: bool) -> None:
    stats = pytest.importorskip("scipy.stats")
    draw = np.random.default_rng(0)
    for _ in range(20):
        one, two = draw.normal(size=(2, 15))
        if ties:
            one, two = one.round(), (two + one).round()
        assert spearman(one, two) == pytest.approx(stats.spearmanr(one, two).statistic)
        rows = draw.normal(size=(3, 15))
        expected = [stats.spearmanr(rows[i], one).statistic for i in range(3)]
        assert spearman(rows, np.broadcast_to(one, (3, 15))) == pytest.approx(np.array(expected))


def test_what_does_not_vary_has_no_correlation() -> None:
    assert spearman(np.ones(5), np.arange(5)) == 0


def test_p_value_agrees_with_the_permutation_test_of_scipy() -> None:
    stats = pytest.importorskip("scipy.stats")
    draw = np.random.default_rng(3)
    one = draw.normal(size=12)
    two = one + 1.5 * draw.normal(size=12)
    ours = correlate(one, two, np.random.default_rng(0), draws=20_000)
    theirs = stats.permutation_test(
        (one,), lambda x: stats.spearmanr(x, two).statistic, permutation_type="pairings", n_resamples=2000,
        rng=np.random.default_rng(1),
    )  # fmt: skip
    assert ours.p_value == pytest.approx(theirs.pvalue, abs=0.03)
    assert ours.pairs == 12


def test_interval_covers_a_strong_relation_and_the_sign_turns_with_the_list() -> None:
    one = np.arange(30.0)
    two = one + np.random.default_rng(1).normal(size=30) * 4
    up = correlate(one, two, np.random.default_rng(0), draws=500)
    down = correlate(one, -two, np.random.default_rng(0), draws=500)
    assert 0.7 < up.interval.low < up.interval.value < up.interval.high <= 1
    assert down.interval.value == pytest.approx(-up.interval.value)
    assert up.p_value < 0.01


def test_unrelated_lists_are_seldom_called_related() -> None:
    draw = np.random.default_rng(2)
    alarms = sum(correlate(*draw.normal(size=(2, 16)), draw, draws=200).p_value < 0.05 for _ in range(200))
    assert 2 <= alarms <= 20


def test_two_pairs_are_too_few() -> None:
    with pytest.raises(DataError, match="at least 3 pairs, there are 2"):
        correlate(np.arange(2.0), np.arange(2.0), np.random.default_rng(0))
