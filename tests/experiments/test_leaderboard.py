"""Which runs share a row, which share a table, and which are not ranked."""

from __future__ import annotations

import json
import shutil
import statistics
from pathlib import Path
from typing import Any

import pytest

from avzsl.errors import DataError, SettingError
from avzsl.experiments.leaderboard import build_leaderboard


def rows_of(record: dict[str, Any], table: int = 0) -> list[tuple[Any, ...]]:
    return [(row["rank"], row["method"], row["seeds"]) for row in record["tables"][table]["rows"]]


def test_seeds_share_a_row_and_rows_are_ranked_by_mean_hm(store_run: Any, tmp_path: Path) -> None:
    for seed in (0, 1, 2):
        store_run(f"runs/good/{seed}", method="eszsl", seed=seed, skill=3.0)
        store_run(f"runs/poor/{seed}", method="ridge", seed=seed, skill=0.5)
    record = build_leaderboard([tmp_path / "runs"], draws=200)
    assert rows_of(record) == [(1, "eszsl", [0, 1, 2]), (2, "ridge", [0, 1, 2])]
    stored = [json.loads((tmp_path / f"runs/poor/{s}/result.json").read_text())["hm"] for s in (0, 1, 2)]
    poor = record["tables"][0]["rows"][1]
    assert poor["hm"]["mean"] == pytest.approx(statistics.fmean(stored), abs=1e-5)
    assert poor["hm"]["sd"] == pytest.approx(statistics.stdev(stored), abs=1e-5)
    assert poor["hm"]["low"] < poor["hm"]["mean"] < poor["hm"]["high"]
    assert poor["p_first"] < 0.05 and record["tables"][0]["rows"][0]["p_first"] is None
    assert record["problems"] == []


def test_other_settings_are_another_row_that_says_what_differs(store_run: Any, tmp_path: Path) -> None:
    store_run("runs/a", skill=2.0)
    store_run("runs/b", skill=1.0, settings={"method": {"width": 16}})
    rows = build_leaderboard([tmp_path / "runs"], draws=20)["tables"][0]["rows"]
    assert [row["label"] for row in rows] == ["width=8", "width=16"]


@pytest.mark.parametrize(
    "change",
    [
        {"benchmark": "Other"},
        {"family": "cls"},
        {"extractor": {"name": "toy", "profile": "clean", "settings": {"rate": 8}, "version": 1}},
        {"text_assignment": "by_sorted_rank"},
        {"text_encoder": "other"},
        {"mode": "reference"},
        {"quirks": {"average_biases": True}},
        {"classes": 15},
        {"word": "kind"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_runs_that_do_not_compare_stand_in_tables_of_their_own(
    store_run: Any, tmp_path: Path, change: dict[str, Any]
) -> None:
    store_run("runs/a")
    store_run("runs/b", method="eszsl", **change)
    record = build_leaderboard([tmp_path / "runs"], draws=20)
    assert sorted(len(table["rows"]) for table in record["tables"]) == [1, 1]
    assert all(table["rows"][0]["rank"] == 1 for table in record["tables"])


def test_averaged_and_temporal_features_of_the_same_clips_share_a_table(store_run: Any, tmp_path: Path) -> None:
    store_run("runs/a")
    store_run("runs/b", method="tcaf", temporal=True, fingerprint="e" * 64)
    (table,) = build_leaderboard([tmp_path / "runs"], draws=20)["tables"]
    assert {row["features"] for row in table["rows"]} == {"averaged", "temporal"}
    assert all(row["rank"] for row in table["rows"])


def test_a_run_judged_on_other_videos_is_not_ranked_and_the_videos_are_named(store_run: Any, tmp_path: Path) -> None:
    names = [f"clip {i:03d}" for i in range(72)]
    store_run("runs/a", skill=0.5)
    store_run("runs/b", method="eszsl", skill=0.2)
    store_run("runs/c", method="stft", skill=5.0, clips=[*names[:71], "fox"])
    (table,) = build_leaderboard([tmp_path / "runs"], draws=20)["tables"]
    last = table["rows"][-1]
    assert (last["method"], last["rank"], last["state"]) == ("stft", None, "other videos")
    assert "1 only in this run (such as fox) and 1 only in that one (such as clip 071)" in last["reason"]
    assert sorted(row["rank"] for row in table["rows"][:-1]) == [1, 2]


def test_two_runs_on_different_videos_are_not_ranked_at_all(store_run: Any, tmp_path: Path) -> None:
    store_run("runs/a")
    store_run("runs/b", method="eszsl", clips=[f"other {i:03d}" for i in range(72)])
    (table,) = build_leaderboard([tmp_path / "runs"], draws=20)["tables"]
    assert [row["rank"] for row in table["rows"]] == [None, None]
    assert all("only in" in row["reason"] for row in table["rows"])


def test_seeds_of_one_method_on_different_videos_do_not_share_a_row(store_run: Any, tmp_path: Path) -> None:
    store_run("runs/a"), store_run("runs/b", seed=1)
    store_run("runs/c", seed=2, clips=[f"other {i:03d}" for i in range(72)])
    (table,) = build_leaderboard([tmp_path / "runs"], draws=20)["tables"]
    assert [(row["seeds"], row["rank"]) for row in table["rows"]] == [([0, 1], 1), ([2], None)]


def test_other_contents_of_the_features_are_not_ranked(store_run: Any, tmp_path: Path) -> None:
    store_run("runs/a"), store_run("runs/b", seed=1)
    store_run("runs/c", method="eszsl", fingerprint="d" * 64, skill=9.0)
    (table,) = build_leaderboard([tmp_path / "runs"], draws=20)["tables"]
    assert (table["rows"][-1]["state"], table["rows"][-1]["rank"]) == ("other data", None)


def test_a_copy_of_a_run_counts_once(store_run: Any, tmp_path: Path) -> None:
    store_run("runs/a"), store_run("runs/b", seed=1)
    shutil.copytree(tmp_path / "runs/a", tmp_path / "runs/copy")
    record = build_leaderboard([tmp_path / "runs", tmp_path / "runs/b"], draws=20)
    assert rows_of(record) == [(1, "ridge", [0, 1])]
    assert any("copy is the same run as" in note for note in record["tables"][0]["notes"])


def test_unfinished_and_damaged_runs_are_told(store_run: Any, tmp_path: Path) -> None:
    store_run("runs/a")
    (store_run("runs/b", seed=1) / "result.json").unlink()
    store_run("runs/c", seed=2, hm=99.0)
    record = build_leaderboard([tmp_path / "runs"], draws=20)
    assert rows_of(record) == [(1, "ridge", [0])]
    assert any(p.endswith("b: not finished") for p in record["problems"])
    assert any("says hm 99.00" in p for p in record["problems"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="holds no run"):
        build_leaderboard([tmp_path / "empty"])
    with pytest.raises(DataError, match="there is no folder"):
        build_leaderboard([tmp_path / "nowhere"])
    with pytest.raises(SettingError, match="none of the runs can be ranked"):
        build_leaderboard([tmp_path / "runs/c"])
