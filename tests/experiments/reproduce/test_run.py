"""One small table from end to end: trained, stopped, continued, read back."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from avzsl.errors import SettingError
from avzsl.experiments.cells import Cell, Loader, Outcome
from avzsl.experiments.reproduce import costs, run
from avzsl.experiments.reproduce.context import Request
from avzsl.experiments.reproduce.estimate import Estimate, duration
from avzsl.experiments.reproduce.run import plan_reproduction, run_reproduction
from avzsl.experiments.workers import run_cells
from avzsl.training.interrupt import Interrupted

Requests = Callable[..., Request]


def results(out: Path) -> dict[str, int]:
    """Every finished training and when it was written."""
    return {str(path.parent.relative_to(out)): path.stat().st_mtime_ns for path in out.glob("runs/*/*/result.json")}


def test_a_table_from_end_to_end_and_again(request_for: Requests, tmp_path: Path) -> None:
    out, request = tmp_path / "out", request_for("table4")
    record = run_reproduction(request, out)
    assert record["items"] == ["table4"] and record["trainings"] == 10 and not record["failed"]
    stored = json.loads((out / "table4" / "table4.json").read_text())
    assert stored == record["records"][0] and stored["kind"] == "results" and stored["quick"] is True
    (panel,) = stored["panels"]
    assert [row["done"] for row in panel["rows"]] == [2] * 5
    assert len(panel["orders"]) == 8 and all(entry["classes"] and entry["seeds"] for entry in panel["orders"])
    first = results(out)
    assert len(first) == 10
    # The numbers are those in the run folders.
    run_folders = {json.loads((out / name / "settings.json").read_text())["settings"]["method"]["pooling"]: out / name
                   for name in first if name.endswith("seed-1")}  # fmt: skip
    glp = json.loads((run_folders[False] / "result.json").read_text())
    assert panel["rows"][0]["scores"]["zsl"]["values"]["1"] == glp["zsl"]
    # The same command reads back; another item trains only what is its own.
    assert run_reproduction(request, out)["records"] == record["records"]
    assert results(out) == first
    more = run_reproduction(replace(request, items=("table3",)), out)
    assert more["trainings"] == 8 and len(results(out)) == 16
    assert {name: when for name, when in results(out).items() if name in first} == first
    assert plan_reproduction(replace(request, items=("table3", "table4")), out)["left"] == 0
    # More seeds join.
    plan = plan_reproduction(replace(request, seeds=(0, 1, 5)), out)
    assert (plan["finished"], plan["left"]) == (10, 5) and plan["seconds_left"] > 0


def test_a_stop_keeps_and_records_what_is_done(
    request_for: Requests, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, request = tmp_path / "out", request_for("table4")

    def stopped(cells: Sequence[Cell], jobs: int, load: Loader) -> Iterator[tuple[Cell, Outcome]]:
        for number, pair in enumerate(run_cells(cells, jobs, load)):
            if number == 3:
                raise KeyboardInterrupt
            yield pair

    monkeypatch.setattr(run, "run_cells", stopped)
    with pytest.raises(Interrupted, match="stopped with 3 of 10 trainings finished"):
        run_reproduction(request, out)
    rows = json.loads((out / "table4" / "table4.json").read_text())["panels"][0]["rows"]
    assert [row["done"] for row in rows] == [1, 1, 1, 0, 0] and rows[4]["reason"] == "not run yet"
    before = results(out)
    monkeypatch.setattr(run, "run_cells", run_cells)
    whole = run_reproduction(request, out)
    assert {name: when for name, when in results(out).items() if name in before} == before
    fresh = run_reproduction(request, tmp_path / "other")

    def scores(record: dict[str, Any]) -> list[Any]:
        return [row["scores"] for row in record["records"][0]["panels"][0]["rows"]]

    assert scores(whole) == scores(fresh)


def test_a_folder_belongs_to_one_way_of_running(
    request_for: Requests, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(costs, "count", lambda *_: {"parameters": 1.0, "gflops": 1.0, "clip": 1.0})
    out = tmp_path / "out"
    request = request_for("table10", data=())
    run_reproduction(request, out)
    with pytest.raises(SettingError, match="belongs to a reproduction with quick = True, now it is False"):
        run_reproduction(replace(request, quick=False), out)
    run_reproduction(replace(request, quick=False), out, fresh=True)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").write_text("x")
    with pytest.raises(SettingError, match="is not empty and holds no reproduction"):
        run_reproduction(request, tmp_path / "full")


def test_fresh_forgets_trainings(request_for: Requests, tmp_path: Path) -> None:
    out, request = tmp_path / "out", request_for("table9", seeds=(0,))
    run_reproduction(request, out)
    before = results(out)
    run_reproduction(request, out, fresh=True)
    assert results(out).keys() == before.keys() and all(results(out)[name] > when for name, when in before.items())


def test_a_failed_training_is_recorded_and_the_rest_goes_on(request_for: Requests, tmp_path: Path) -> None:
    request = request_for("table9", seeds=(0,))
    request = replace(request, assignments=(*request.assignments, "stft:learning_rate=1e30"))
    record = run_reproduction(request, tmp_path / "out")
    assert record["failed"] and "loss" in record["failed"][0]["reason"]
    assert record["failed"][0]["method"] == "stft"


def test_an_item_without_its_features_is_recorded_with_the_reason(request_for: Requests, tmp_path: Path) -> None:
    from tests.conftest import TOY_EXTRACTOR, write_toy_benchmark

    write_toy_benchmark(tmp_path / "UCF", TOY_EXTRACTOR)
    request = request_for("table9", "table11", data=(tmp_path / "UCF",), seeds=(0,), family=None)
    request = replace(request, assignments=(*request.assignments, "audio_columns=0", "visual_columns=0"))
    record = run_reproduction(request, tmp_path / "out")
    assert list(record["refused"]) == ["table11"]
    assert record["records"][1]["kind"] == "refused" and "VGGish" in record["records"][1]["reason"]


def test_an_estimate_is_the_mean_of_what_was_finished(tmp_path: Path) -> None:
    def cell(method: str, number: int) -> Cell:
        return Cell(tmp_path, "d", method, number, tmp_path / f"{method}-{number}")

    left = [cell("a", 0), cell("a", 1), cell("b", 0)]
    estimate = Estimate(jobs=2)
    assert estimate.seconds(left) is None and estimate.seconds([]) == 0.0
    estimate.add("a", 10.0)
    assert estimate.seconds(left) == 15.0  # 30 seconds of work on two processes
    estimate.add("b", 50.0)
    assert estimate.seconds(left) == 50.0  # no job can be split
    estimate.add("a", 20.0)
    assert estimate.seconds([cell("a", 2), cell("a", 3)]) == 15.0
    assert [duration(s) for s in (40, 600, 7200)] == ["40 s", "10 min", "2.0 h"]
