"""Tables and picture from given times."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.clock import Times
from benchmarks.plot import dots, draw, panels
from benchmarks.record import Comparison, Floor, Row
from benchmarks.suite import Bench, Section
from benchmarks.tables import as_markdown, number, table


def _times(seconds: float) -> Times:
    return Times((seconds,) * 3, (seconds / 2,) * 3)


def _comparison(name: str = "[8, 256]") -> Comparison:
    return Comparison(
        name,
        (
            Row("theirs", _times(0.012), kind="other", floor=Floor("copy", 1.0), cells={"parameters": 134217728}),
            Row("ours", _times(0.003), floor=Floor("copy", 1.0)),
            Row("gone", None, kind="other", missing="ImportError: none"),
            Row("copy", _times(0.0015), kind="machine"),
        ),
        reference="theirs", checked="spikes equal", floor="a copy", notes=(f"of {name}",),
    )  # fmt: skip


def _bench(load: float = 0.2, size: str = "full", code: str = "now") -> Bench:
    machine = {
        "processor": "Some CPU", "cores": 2, "memory_gib": 8.0, "system": "Linux", "capability": "AVX2", "threads": 2,
        "versions": {"torch": "2.0"}, "environment": {},
    }  # fmt: skip
    bench = Bench({"size": size, "threads": 2, "seed": 0}, machine, "none", "none", [load, 0.4], "now")
    comparisons = [_comparison(), _comparison("[16, 256]")]
    bench.sections["lif"] = Section("lif", "LIF neurons", comparisons, 1.0, 1.0, (load, 0.4), code)
    return bench


def test_a_table_says_medians_ratios_and_floors() -> None:
    lines = table(_comparison()).splitlines()
    assert lines[2] == "|  | ms | CPU | floor | / floor | / theirs | parameters | rounds |"
    assert lines[4] == "| theirs | 12.0 | 6.00 | 1.50 | 8.00 | 1.00 | 134,217,728 | 3 |"
    assert lines[5] == "| **ours** | 3.00 | 1.50 | 1.50 | 2.00 | 0.25 |  | 3 |"
    assert lines[6] == "| copy | 1.50 | 0.75 |  |  | 0.125 |  | 3 |"
    assert len(lines) == 7


def test_what_is_said_of_all_tables_is_said_once() -> None:
    page = as_markdown(_bench())
    assert page.count("Not here: gone (ImportError: none).") == 1
    assert page.count("Checked before timing: spikes equal.") == 1
    assert page.count("Floor: a copy.") == 1
    assert "- of [8, 256]" in page
    assert "- of [16, 256]" in page


@pytest.mark.parametrize(("load", "busy"), [(0.9, False), (1.0, False), (1.1, True)])
def test_a_busy_machine_is_told_at_the_top(load: float, busy: bool) -> None:
    page = as_markdown(_bench(load))
    assert ("**Busy machine**" in page.split("## ")[0]) == busy
    assert f"load average: {load:g} at the start, 0.4 at the end" in page


def test_a_quick_run_and_old_code_are_told() -> None:
    assert "not for publication" in as_markdown(_bench(size="quick"))
    assert "measured with older code: lif" in as_markdown(_bench(code="before"))
    assert "older code" not in as_markdown(_bench())


def test_a_failed_section_says_why() -> None:
    bench = _bench()
    bench.sections["lif"].error = "variants disagree: spikes"
    assert "**Failed**: variants disagree: spikes" in as_markdown(bench)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (None, ""), (0.0, "0"), (1234567.0, "1,234,567"), (123.4, "123"), (12.34, "12.3"), (1.234, "1.23"),
        (0.1234, "0.123"), (0.001234, "0.00123"), (0.00001, "0.00001"), (256, "256"), (134217728, "134,217,728"),
    ],
)  # fmt: skip
def test_numbers(value: float | None, said: str) -> None:
    assert number(value) == said


def test_dots_are_ratios_to_the_floor_where_there_is_one() -> None:
    to, points = dots(_comparison())
    assert to == "its floor"
    assert {(p.name, round(p.ratio, 6)) for p in points} == {("theirs", 8.0), ("ours", 2.0)}
    rows = tuple(Row(r.name, r.times, kind=r.kind) for r in _comparison().rows)
    to, points = dots(Comparison("x", rows, reference="theirs"))
    assert to == "'theirs'"
    assert {(p.name, round(p.ratio, 6)) for p in points} == {("theirs", 1.0), ("ours", 0.25), ("copy", 0.125)}
    assert dots(Comparison("x", rows)) == ("", [])


def test_the_picture_shows_each_section(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    bench = _bench(load=3.0)
    assert [(title, len(points)) for title, _, points in panels(bench)] == [("LIF neurons", 4)]
    draw(bench, tmp_path)
    assert (tmp_path / "bench.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    assert "<svg" in (tmp_path / "bench.svg").read_text()
    bench.sections.clear()
    draw(bench, tmp_path)  # nothing to show is no error
