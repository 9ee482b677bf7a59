"""Every number here is worked out by hand."""

from __future__ import annotations

import pytest

from avzsl.experiments.reproduce import numbers


def test_mean_spread_difference_and_verdict() -> None:
    found = numbers.score({"0": 30.0, "1": 32.0, "2": 34.0}, 28.5, comparable=True)
    assert found == {
        "published": 28.5, "mean": 32.0, "sd": 2.0, "values": {"0": 30.0, "1": 32.0, "2": 34.0}, "difference": 3.5,
        "band": 4.0, "verdict": "within the band",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("values", "published", "difference", "band", "verdict"),
    [
        ({"0": 30.0}, 29.0, 1.0, 1.0, "within the band"),  # one seed has no spread: the least band
        ({"0": 30.0}, 28.99, 1.01, 1.0, "above"),
        ({"0": 30.0}, 31.5, -1.5, 1.0, "below"),
        ({"0": 29.9, "1": 30.1}, 31.5, -1.5, 1.0, "below"),  # a small spread does not narrow the band
        ({"0": 29.0, "1": 31.0}, 27.0, 3.0, 2 * 2**0.5, "above"),
    ],
)
def test_the_band_is_the_larger_of_a_point_and_two_deviations(
    values: dict[str, float], published: float, difference: float, band: float, verdict: str
) -> None:
    found = numbers.score(values, published, comparable=True)
    assert found["difference"] == pytest.approx(difference)
    assert found["band"] == pytest.approx(band, abs=1e-5)
    assert found["verdict"] == verdict


def test_numbers_that_mean_something_else_have_no_difference() -> None:
    found = numbers.score({"0": 30.0}, 30.0, comparable=False)
    assert (found["difference"], found["band"], found["verdict"]) == (None, None, "not comparable")
    assert numbers.score({"0": 30.0}, None, comparable=True)["verdict"] == ""
    assert numbers.score({}, 30.0, comparable=True) == {
        "published": 30.0, "mean": None, "sd": None, "values": {}, "difference": None, "band": None, "verdict": "",
    }  # fmt: skip


def test_an_order_is_paired_by_seed() -> None:
    found = numbers.order({"0": 30.0, "1": 40.0, "2": 50.0}, {"0": 29.0, "1": 38.0, "3": 9.0}, 2.5, 1)
    assert found["values"] == {"0": 1.0, "1": 2.0}
    assert (found["mean"], found["paper"]) == (1.5, 2.5)
    assert found["sd"] == pytest.approx(0.5**0.5, abs=1e-6)
    # 1.5 -+ 12.706 * sqrt(0.5) / sqrt(2) = 1.5 -+ 6.353
    assert found["seeds"] == pytest.approx([-4.853, 7.853])
    assert found["verdict"] == "leans the paper's way"


@pytest.mark.parametrize(
    ("differences", "classes", "sign", "verdict"),
    [
        ((4.9, 5.0, 5.1), (1.0, 9.0), 1, "holds"),
        ((4.9, 5.0, 5.1), (-1.0, 9.0), 1, "leans the paper's way"),  # other classes may tell otherwise
        ((4.9, 5.0, 5.1), None, 1, "holds"),
        ((1.0, 5.0, 9.0), (1.0, 9.0), 1, "leans the paper's way"),  # other seeds may
        ((4.9, 5.0, 5.1), (1.0, 9.0), -1, "reversed"),
        ((1.0, 5.0, 9.0), (1.0, 9.0), -1, "leans the other way"),
        ((-4.9, -5.0, -5.1), (-9.0, -1.0), -1, "holds"),
        ((5.0,), (1.0, 9.0), 1, "same sign, one seed"),
        ((5.0,), (1.0, 9.0), -1, "other sign, one seed"),
        ((0.0, 0.0, 0.0), (-1.0, 1.0), 1, "no difference"),
        ((4.9, 5.0, 5.1), (1.0, 9.0), 0, ""),
    ],
)
def test_words_for_an_order(
    differences: tuple[float, ...], classes: tuple[float, float] | None, sign: int, verdict: str
) -> None:
    better = {str(seed): 10.0 + d for seed, d in enumerate(differences)}
    worse = {str(seed): 10.0 for seed in range(len(differences))}
    found = numbers.order(better, worse, None, sign, classes)
    assert found["verdict"] == verdict
    assert found["classes"] == (None if classes is None else list(classes))


def test_an_order_without_a_common_seed_is_not_known() -> None:
    found = numbers.order({"0": 1.0}, {"1": 1.0}, 2.0, 1)
    assert (found["mean"], found["seeds"], found["verdict"]) == (None, None, "")


def test_student_quantiles_are_those_of_scipy() -> None:
    stats = pytest.importorskip("scipy.stats")
    for freedom in range(1, 60):
        assert numbers.student(freedom) == pytest.approx(stats.t.ppf(0.975, freedom), abs=1e-3)


def test_pairs_in_the_papers_order_are_counted() -> None:
    # (1, 2), (1, 3), (2, 3) in the paper; ours swaps the last two; the fourth ties with the third in the paper.
    assert numbers.count_pairs([(1.0, 10.0), (2.0, 30.0), (3.0, 20.0)]) == (2, 3)
    assert numbers.count_pairs([(3.0, 20.0), (3.0, 10.0)]) == (0, 0)
    assert numbers.count_pairs([(1.0, 5.0), (2.0, 5.0)]) == (0, 1)  # equal here is not the paper's order
