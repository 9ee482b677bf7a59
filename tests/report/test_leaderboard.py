"""The tables of a leaderboard as people and programs read them."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import pytest

from avzsl.report.leaderboard import HEADER, cells, comma_separated, markdown, write_leaderboard, write_page


def numbers(mean: float, sd: float | None, values: list[float]) -> dict[str, Any]:
    return {"mean": mean, "sd": sd, "low": mean - 5, "high": mean + 4, "values": values}


def row(method: str, rank: int | None, hm: float, **changes: Any) -> dict[str, Any]:
    values = [hm - 1, hm + 1]
    scores = {score: numbers(hm, 1.4, values) for score in ("seen", "unseen", "hm", "zsl")}
    return {
        "method": method, "title": method.upper(), "label": "", "note": "", "yardstick": False, "rank": rank,
        "p_first": None, "seeds": [0, 1], "runs": [f"runs/{method}/0", f"runs/{method}/1"], "features": "averaged",
        "preset": "demo", "bias_search": "grid", "published": {}, "published_note": "", "state": "ranked",
        "reason": "", **scores,
    } | changes  # fmt: skip


@pytest.fixture
def record() -> dict[str, Any]:
    key = {"benchmark": "Toy|1", "split": "8 seen and 4 unseen classes (ab)", "features": "main, by toy clean (cd)",
           "text": "minilm, by_name", "mode": "clean", "protocol": "two stages, quirks: none"}  # fmt: skip
    table = {
        "key": key, "evaluated": "0123", "test_clips": 72, "seen_classes": 8, "unseen_classes": 4, "zsl_chance": 25.0,
        "simulated": True, "drawn": False, "fingerprints": {"averaged": "f" * 64},
        "rows": [
            row("good", 1, 70.0, yardstick=True),
            row("poor", 2, 40.0, label="width=8", p_first=0.0123),
            row("else", None, 90.0, state="other videos", reason="judged on other videos than runs/good/0: 1 only in"),
        ],
        "notes": ["a is the same run as b and counts once"],
    }  # fmt: skip
    return {"confidence": 0.95, "draws": 2000, "tables": [table], "problems": ["runs/x: not finished"]}


def test_cells_stand_under_their_names(record: dict[str, Any]) -> None:
    shown = dict(zip(HEADER[:5], cells(record["tables"][0]["rows"][1]), strict=False))
    assert shown == {"rank": "2", "method": "poor", "S": "40.0 +- 1.4", "U": "40.0 +- 1.4", "HM": "40.0 +- 1.4"}
    assert cells(record["tables"][0]["rows"][1])[5:10] == (
        "35.0..44.0", "40.0 +- 1.4", "35.0..44.0", "0.0123", "2 (seeds 0, 1)",
    )  # fmt: skip
    assert len(cells(record["tables"][0]["rows"][0])) == len(HEADER)
    single = row("one", 1, 5.0, seeds=[3], runs=["r"]) | {"hm": numbers(5.0, None, [5.0])}
    assert cells(single)[4] == "5.0" and cells(single)[9] == "1 (seed 3)"


def test_markdown_has_every_row_the_key_and_what_was_left_out(record: dict[str, Any]) -> None:
    text = markdown(record)
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    assert len(lines) == 4 and all(line.count(" | ") == len(HEADER) - 1 for line in lines)
    assert lines[3].startswith("| - | else |")
    assert "**Simulated: the clips were made by a program" in text
    for value in record["tables"][0]["key"].values():
        assert value in text
    assert "else (runs/else/0): judged on other videos" in text and "runs/x: not finished" in text


def test_csv_has_plain_numbers(record: dict[str, Any]) -> None:
    rows = list(csv.DictReader(io.StringIO(comma_separated(record))))
    assert [r["rank"] for r in rows] == ["1", "2", ""]
    assert rows[1]["hm_mean"] == "40.0" and rows[1]["zsl_low"] == "35.0" and rows[1]["p_first"] == "0.0123"
    assert rows[0]["features"] == "main, by toy clean (cd)" and rows[0]["form"] == "averaged"
    assert rows[1]["settings"] == "width=8" and rows[0]["simulated"] == "True" and rows[0]["seeds"] == "0 1"


def test_the_page_says_simulated_and_draws_ranked_rows_alone(record: dict[str, Any], tmp_path: Path) -> None:
    assert [p.name for p in write_leaderboard(record, tmp_path)] == [
        "leaderboard.json", "leaderboard.md", "leaderboard.csv",
    ]  # fmt: skip
    page = write_page(record, tmp_path).read_text()
    assert "Simulated: the clips were made by a program" in page and "runs/x: not finished" in page
    figure = page[page.index("<svg") : page.index("</svg>")]
    assert "1. GOOD" in figure and "2. POOR width=8" in figure and "ELSE" not in figure
    assert "http" not in page.replace("http://www.w3.org", "")
