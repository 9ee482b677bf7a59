"""Sections one after the other: what is finished stays."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from avzsl.errors import DataError, OutputError, SettingError
from benchmarks.clock import Times
from benchmarks.compare import DisagreementError
from benchmarks.context import Context
from benchmarks.record import Comparison, Floor, Row
from benchmarks.suite import Bench, Section, run


class Measured:
    """Sections that count how often they were measured."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.failing: dict[str, BaseException] = {}
        names = ("machine", "lif", "steps")
        self.sections = {name: (f"title of {name}", lambda _, name=name: self.measure(name)) for name in names}

    def measure(self, name: str) -> list[Comparison]:
        self.calls.append(name)
        if name in self.failing:
            raise self.failing[name]
        row = Row("ours", Times((0.2, 0.1, 0.3), (0.2, 0.2, 0.2)), floor=Floor("copy", 2.0))
        return [Comparison(f"table of {name}", (row, Row("copy", Times((0.05,), (0.05,)), kind="machine")))]


def _context(size: str = "tiny", seed: int = 0) -> Context:
    return Context(size, 1, seed, Path())  # type: ignore[arg-type]


def test_finished_sections_are_not_measured_again(tmp_path: Path) -> None:
    suite = Measured()
    run(tmp_path, _context(), suite.sections, only=["lif"])
    assert suite.calls == ["machine", "lif"]
    first = json.loads((tmp_path / "bench.json").read_text())["sections"]["lif"]
    bench = run(tmp_path, _context(), suite.sections)
    assert suite.calls == ["machine", "lif", "steps"]
    assert list(bench.sections) == ["machine", "lif", "steps"]
    assert json.loads((tmp_path / "bench.json").read_text())["sections"]["lif"] == first


def test_a_run_that_was_stopped_goes_on_with_the_section_it_stopped_in(tmp_path: Path) -> None:
    suite = Measured()
    suite.failing["lif"] = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, _context(), suite.sections)
    assert list(json.loads((tmp_path / "bench.json").read_text())["sections"]) == ["machine"]
    suite.failing.clear()
    run(tmp_path, _context(), suite.sections)
    assert suite.calls == ["machine", "lif", "lif", "steps"]


def test_fresh_measures_again_what_was_asked_for(tmp_path: Path) -> None:
    suite = Measured()
    run(tmp_path, _context(), suite.sections)
    run(tmp_path, _context(), suite.sections, only=["steps"], fresh=True)
    assert suite.calls == ["machine", "lif", "steps", "steps"]
    run(tmp_path, _context(), suite.sections, fresh=True)
    assert suite.calls[4:] == ["machine", "lif", "steps"]


def test_a_section_that_fails_is_told_and_tried_again_and_stops_no_other(tmp_path: Path) -> None:
    suite = Measured()
    suite.failing["lif"] = DisagreementError("spikes of 'b' is not that of 'a'")
    bench = run(tmp_path, _context(), suite.sections)
    assert suite.calls == ["machine", "lif", "steps"]
    assert bench.sections["lif"].error == "variants disagree: spikes of 'b' is not that of 'a'"
    assert bench.sections["lif"].comparisons == []
    suite.failing.clear()
    assert run(tmp_path, _context(), suite.sections).sections["lif"].error == ""
    assert suite.calls == ["machine", "lif", "steps", "lif"]


def test_other_settings_need_another_folder_or_fresh(tmp_path: Path) -> None:
    suite = Measured()
    run(tmp_path, _context(), suite.sections)
    with pytest.raises(SettingError, match=r"other settings \(size tiny, threads 1, seed 0\); choose another --out"):
        run(tmp_path, _context(seed=1), suite.sections)
    bench = run(tmp_path, _context(seed=1), suite.sections, only=["lif"], fresh=True)
    assert list(bench.sections) == ["machine", "lif"]


def test_another_machine_needs_fresh(tmp_path: Path) -> None:
    suite = Measured()
    run(tmp_path, _context(), suite.sections)
    path = tmp_path / "bench.json"
    stored = json.loads(path.read_text())
    stored["machine"]["versions"]["torch"] = "0.1"
    path.write_text(json.dumps(stored))
    with pytest.raises(SettingError, match="another machine or with other versions"):
        run(tmp_path, _context(), suite.sections)


def test_sections_measured_with_other_code_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    suite = Measured()
    run(tmp_path, _context(), suite.sections, only=["lif"])
    monkeypatch.setattr("benchmarks.suite.code_hash", lambda: "another")
    assert run(tmp_path, _context(), suite.sections).stale == ["machine", "lif"]


def test_an_unknown_section_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=r"unknown section 'steqs'.*steps"):
        run(tmp_path, _context(), Measured().sections, only=["steqs"])


def test_a_damaged_record_is_an_error_until_fresh(tmp_path: Path) -> None:
    (tmp_path / "bench.json").write_text("{")
    with pytest.raises(DataError, match="not valid JSON"):
        run(tmp_path, _context(), Measured().sections)
    (tmp_path / "bench.json").write_text("{}")
    with pytest.raises(SettingError, match="damaged"):
        run(tmp_path, _context(), Measured().sections)
    run(tmp_path, _context(), Measured().sections, fresh=True)


def test_two_at_a_time_are_refused(tmp_path: Path) -> None:
    from avzsl.files import lock_folder

    with lock_folder(tmp_path), pytest.raises(OutputError, match="in use"):
        run(tmp_path, _context(), Measured().sections)


def test_the_record_goes_to_json_and_back(tmp_path: Path) -> None:
    bench = run(tmp_path, _context(), Measured().sections)
    stored = json.loads((tmp_path / "bench.json").read_text())
    assert Bench.from_dict(stored) == bench
    assert stored["sections"]["lif"]["comparisons"][0]["rows"][0]["found"]["times floor"] == 2.0
    assert isinstance(bench.sections["lif"], Section)
