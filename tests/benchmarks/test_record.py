"""Ratios, rates and floors from given times."""

from __future__ import annotations

import pytest

from benchmarks.clock import Times
from benchmarks.record import Comparison, Floor, Row


def _times(seconds: float, cpu: float | None = None) -> Times:
    return Times((seconds, seconds / 2, seconds * 9), ((cpu or seconds),) * 3)  # the median is `seconds`


COMPARISON = Comparison(
    "neurons",
    (
        Row("theirs", _times(0.8, 1.5), 1e6, "other", Floor("copy", 1.0)),
        Row("ours", _times(0.1), 1e6, "ours", Floor("copy", 1.5)),
        Row("half the work", _times(0.2), 5e5, "ours, plain"),
        Row("absent", None, 1e6, "other", Floor("copy", 1.0), "ImportError: no"),
        Row("copy", _times(0.04), 1e6, "machine"),
    ),
    unit="ns per step",
    scale=1e9,
    reference="theirs",
)


def test_numbers_by_hand() -> None:
    theirs, ours, half, absent, copy = COMPARISON.rows
    assert COMPARISON.shown(theirs) == pytest.approx(800)  # 0.8 s for a million steps
    assert COMPARISON.shown(theirs, cpu=True) == pytest.approx(1500)
    assert COMPARISON.shown(half) == pytest.approx(400)
    assert COMPARISON.shown(absent) is None
    assert COMPARISON.shown_floor(theirs) == pytest.approx(40)
    assert COMPARISON.shown_floor(ours) == pytest.approx(60)
    assert COMPARISON.times_floor(theirs) == pytest.approx(20)
    assert COMPARISON.times_floor(ours) == pytest.approx(0.1 / 0.06)
    assert COMPARISON.times_floor(half) is None
    assert COMPARISON.times_floor(absent) is None
    assert COMPARISON.times_reference(theirs) == 1
    assert COMPARISON.times_reference(ours) == pytest.approx(0.125)
    assert COMPARISON.times_reference(half) == pytest.approx(0.5)  # a quarter of the time for half the work
    assert COMPARISON.times_reference(absent) is None
    assert COMPARISON.times_reference(copy) == pytest.approx(0.05)


def test_a_rate_is_work_over_time_and_its_floor_a_ceiling() -> None:
    rates = Comparison(
        "products",
        (Row("a", _times(0.5), 2e9, floor=Floor("b", 0.5)), Row("b", _times(0.2), 2e9)),
        unit="GFLOP/s", scale=1e-9, rate=True, reference="b",
    )  # fmt: skip
    a, b = rates.rows
    assert (rates.shown(a), rates.shown(b)) == (pytest.approx(4), pytest.approx(10))
    assert rates.shown_floor(a) == pytest.approx(20)  # 2 GFLOP in 0.1 s
    assert rates.times_floor(a) == pytest.approx(5)
    assert rates.times_reference(a) == pytest.approx(2.5)


def test_a_missing_reference_gives_no_ratios() -> None:
    found = Comparison("x", (Row("gone", None), Row("here", _times(1.0))), reference="gone")
    assert found.times_reference(found.rows[1]) is None


def test_it_goes_to_json_and_back_with_the_numbers_beside_the_times() -> None:
    import json

    stored = json.loads(json.dumps(COMPARISON.as_dict()))
    assert stored["rows"][1]["found"] == {
        "median": pytest.approx(100), "cpu median": pytest.approx(100), "floor": pytest.approx(60),
        "times floor": pytest.approx(5 / 3), "times reference": pytest.approx(0.125),
    }  # fmt: skip
    assert stored["rows"][0]["times"]["wall"] == [0.8, 0.4, 7.2]
    assert Comparison.from_dict(stored) == COMPARISON
