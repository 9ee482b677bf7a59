"""Means, spreads and ranks against numbers worked out by hand."""

from __future__ import annotations

from typing import Any

import pytest

from avzsl.experiments.ranking import best_yardsticks, build_rows, mark_below, mean_ranks, rank, summarise

BLOCKS = ("A, seed 0", "A, seed 1")


def _entry(method: str, yardstick: bool = False, reason: str = "") -> dict[str, Any]:
    return {"method": method, "title": method.title(), "yardstick": yardstick, "reason": reason}


def _cell(method: str, block: str, hm: float, zsl: float = 10.0, **changes: Any) -> dict[str, Any]:
    result = {"seen": 50.0, "unseen": 40.0, "hm": hm, "zsl": zsl, "evaluated": "abc", "seconds": 2.0}
    return {"method": method, "block": block, "state": "done", "reason": "", "result": result | changes}


def _failed(method: str, block: str, reason: str) -> dict[str, Any]:
    return {"method": method, "block": block, "state": "failed", "reason": reason, "result": None}


def _rows(entries: list[dict[str, Any]], cells: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {row["method"]: row for row in build_rows(entries, cells, BLOCKS)}


def test_mean_and_sample_deviation_by_hand() -> None:
    assert summarise({"a": 1.0, "b": 2.0, "c": 6.0}) == {
        "mean": 3.0, "sd": 2.645751, "values": {"a": 1.0, "b": 2.0, "c": 6.0},
    }  # fmt: skip
    assert summarise({"a": 4.0})["sd"] is None
    assert summarise({})["mean"] is None


def test_equal_values_share_a_rank_and_the_next_is_skipped() -> None:
    assert rank({"a": 3.0, "b": 5.0, "c": 3.0, "d": 1.0}) == {"b": 1, "a": 2, "c": 2, "d": 4}


def test_mean_ranks_split_ties_within_a_block() -> None:
    blocks = [{"a": 3.0, "b": 5.0, "c": 3.0}, {"a": 9.0, "b": 1.0, "c": 2.0}]
    assert mean_ranks(blocks) == {"a": (2.5 + 1) / 2, "b": (1 + 3) / 2, "c": (2.5 + 2) / 2}


def test_rows_are_in_the_order_of_their_mean_with_both_ranks() -> None:
    entries = [_entry("a"), _entry("b"), _entry("c")]
    cells = [
        _cell("a", BLOCKS[0], 10.0), _cell("a", BLOCKS[1], 30.0), _cell("b", BLOCKS[0], 20.0),
        _cell("b", BLOCKS[1], 24.0), _cell("c", BLOCKS[0], 5.0, seconds=4.0), _cell("c", BLOCKS[1], 6.0),
    ]  # fmt: skip
    rows = build_rows(entries, cells, BLOCKS)
    assert [(row["method"], row["rank"], row["mean_rank"]) for row in rows] == [
        ("b", 1, 1.5),
        ("a", 2, 1.5),
        ("c", 3, 3),
    ]
    assert rows[1]["hm"]["mean"] == 20.0
    assert rows[1]["hm"]["sd"] == pytest.approx(200**0.5, abs=1e-6)
    assert rows[2]["seconds"] == 3.0
    assert {row["state"] for row in rows} == {"ranked"}


def test_a_method_judged_on_other_videos_keeps_its_numbers_and_has_no_rank() -> None:
    cells = [_cell(m, b, 10.0) for m in "ab" for b in BLOCKS] + [_cell("c", b, 90.0, evaluated="xyz") for b in BLOCKS]
    rows = _rows([_entry("a"), _entry("b"), _entry("c")], cells)
    assert (rows["c"]["state"], rows["c"]["rank"], rows["c"]["hm"]["mean"]) == ("other videos", None, 90.0)
    assert "other videos" in rows["c"]["reason"]
    assert rows["a"]["rank"] == rows["b"]["rank"] == 1


def test_unfinished_and_failed_methods_have_no_rank_and_say_why() -> None:
    entries = [_entry("a"), _entry("half"), _entry("late"), _entry("broken"), _entry("never", reason="needs sound")]
    cells = [
        *(_cell("a", b, 10.0) for b in BLOCKS), _cell("half", BLOCKS[0], 80.0),
        _failed("half", BLOCKS[1], "it diverged"), *(_failed("broken", b, "it fell over") for b in BLOCKS),
    ]  # fmt: skip
    rows = build_rows(entries, cells, BLOCKS)
    assert [(row["method"], row["state"], row["rank"], row["reason"]) for row in rows] == [
        ("a", "ranked", 1, ""),
        ("half", "incomplete", None, "1 of 2 runs are done; it diverged"),
        ("late", "incomplete", None, "not run yet"),
        ("broken", "failed", None, "it fell over"),
        ("never", "cannot run", None, "needs sound"),
    ]


def test_learned_methods_are_measured_by_the_best_that_do_not_learn_score_by_score() -> None:
    entries = [_entry("line", yardstick=True), _entry("near", yardstick=True), _entry("deep"), _entry("even")]
    cells = [
        *(_cell("line", b, 30.0, zsl=20.0) for b in BLOCKS), *(_cell("near", b, 10.0, zsl=40.0) for b in BLOCKS),
        *(_cell("deep", b, 35.0, zsl=39.0) for b in BLOCKS), *(_cell("even", b, 30.0, zsl=50.0) for b in BLOCKS),
    ]  # fmt: skip
    rows = build_rows(entries, cells, BLOCKS)
    best = best_yardsticks(rows)
    assert (best["hm"], best["zsl"]["method"]) == ({"method": "line", "title": "Line", "mean": 30.0}, "near")
    mark_below(rows, best)
    assert [row["method"] for row in rows] == ["deep", "line", "even", "near"]
    below = {row["method"]: (row["below"]["hm"], row["below"]["zsl"]) for row in rows}
    assert below == {"line": (False, False), "near": (False, False), "deep": (False, True), "even": (True, False)}


def test_without_a_yardstick_nothing_is_marked() -> None:
    rows = build_rows([_entry("a")], [_cell("a", b, 1.0) for b in BLOCKS], BLOCKS)
    assert best_yardsticks(rows) == {}
    mark_below(rows, {})
    assert not any(rows[0]["below"].values())
    rows = build_rows([_entry("line", yardstick=True)], [], BLOCKS)  # not finished: it measures nobody
    assert best_yardsticks(rows) == {}
