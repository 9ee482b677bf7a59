"""The same settings give the same files, whoever renders them and however often it is interrupted."""

from __future__ import annotations

import csv
import json
from collections import defaultdict
from pathlib import Path

import pytest

from avzsl.errors import OutputError, SettingError
from avzsl.media.decode import read_clip
from avzsl.world import render
from avzsl.world.render import WorldSummary, generate_world

SMALL = {"classes": 10, "clips": 4, "seconds": 1.0}


def _make(out: Path, **changes: object) -> WorldSummary:
    return generate_world(out, **{**SMALL, "workers": 0, **changes})  # type: ignore[arg-type]


def _bytes(out: Path) -> dict[str, bytes]:
    return {str(p.relative_to(out)): p.read_bytes() for p in sorted(out.rglob("*")) if p.is_file()}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("world") / "deep" / "new"
    _make(out)
    return out


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_the_same_seed_gives_the_same_bytes_whatever_the_workers(world: Path, tmp_path: Path) -> None:
    _make(tmp_path / "again", workers=2)
    first, second = _bytes(world), _bytes(tmp_path / "again")
    assert first.keys() == second.keys() and len(first) == 43
    assert [name for name in first if first[name] != second[name]] == []


def test_another_seed_gives_another_world(world: Path, tmp_path: Path) -> None:
    _make(tmp_path, seed=1)
    assert _rows(tmp_path / "classes.csv") != _rows(world / "classes.csv")


def test_the_lists_name_every_file_once_and_nothing_else(world: Path) -> None:
    rows = _rows(world / "videos.csv")
    assert list(rows[0]) == ["path", "class", "split"]
    assert sorted(r["path"] for r in rows) == sorted(str(p.relative_to(world)) for p in world.rglob("*.mp4"))
    assert all(Path(r["path"]).parent.name == r["class"] for r in rows)
    assert len({Path(r["path"]).stem for r in rows}) == len(rows), "clip names are unique in the world"
    classes = _rows(world / "classes.csv")
    assert list(classes[0]) == ["name", "colour", "object", "motion", "rhythm", "pitch", "timbre", "part"]
    assert {c["name"] for c in classes} == {r["class"] for r in rows} and len(classes) == 10
    card = json.loads((world / "world.json").read_text(encoding="utf-8"))
    assert card["generated"] is True and card["seed"] == 0 and card["version"] == render.VERSION


def test_the_splits_relate_as_the_protocol_demands(world: Path) -> None:
    classes: dict[str, set[str]] = defaultdict(set)
    clips: dict[str, set[str]] = defaultdict(set)
    for row in _rows(world / "videos.csv"):
        classes[row["split"]].add(row["class"])
        clips[row["split"]].add(row["path"])
    part = {c["name"]: c["part"] for c in _rows(world / "classes.csv")}
    t1, v, u = ({n for n in part if part[n] == p} for p in ("train", "val", "unseen"))
    assert classes["stage_1_train"] == classes["stage_1_val_seen"] == t1
    assert classes["stage_1_val_unseen"] == v and classes["stage_2_test_seen"] == t1 | v
    assert classes["stage_2_test_unseen"] == u
    assert len(clips) == 5 and sum(map(len, clips.values())) == 40 == len(set().union(*clips.values()))


def test_a_clip_has_the_promised_picture_and_sound(world: Path) -> None:
    clip = read_clip(next(iter(world.rglob("*.mp4"))), frame_rate=12, size=96, audio_rate=16000)
    assert clip.frames is not None and clip.frames.shape == (12, 96, 96, 3)
    assert clip.audio is not None and abs(len(clip.audio) - 16000) < 1500 and clip.audio.any()
    assert clip.info.fps == 12 and (clip.info.width, clip.info.height) == (96, 96) and clip.info.warnings == ()


def test_an_interrupted_world_is_finished_and_whole_clips_are_kept(
    world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = []

    def interrupt(job: object) -> None:
        if len(drawn) == 7:
            raise KeyboardInterrupt
        drawn.append(job)
        original(job)  # type: ignore[arg-type]

    original = render._render
    monkeypatch.setattr(render, "_render", interrupt)
    with pytest.raises(KeyboardInterrupt):
        _make(tmp_path)
    assert not (tmp_path / "videos.csv").exists()
    monkeypatch.setattr(render, "_render", original)
    kept = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*.mp4")}
    torn = next(iter(kept)).parent / ".c000_001.mp4.x1.partial.mp4"  # as a killed process leaves it
    torn.write_bytes(b"half")
    summary = _make(tmp_path)
    assert not torn.exists()
    assert (summary.kept, summary.rendered) == (7, 33)
    assert all(p.stat().st_mtime_ns == time for p, time in kept.items())
    assert _bytes(tmp_path) == _bytes(world)
    again = _make(tmp_path)
    assert (again.kept, again.rendered) == (40, 0) and again.splits == summary.splits


def test_the_summary_counts_what_was_made(world: Path, tmp_path: Path) -> None:
    summary = _make(world)
    assert summary.out == world and summary.classes == 10 and summary.parts == {"train": 4, "val": 2, "unseen": 4}
    assert summary.splits == {
        "stage_1_train": 8, "stage_1_val_seen": 4, "stage_1_val_unseen": 6, "stage_2_test_seen": 6,
        "stage_2_test_unseen": 16,
    }  # fmt: skip
    assert summary.size == sum(p.stat().st_size for p in world.rglob("*.mp4"))


@pytest.mark.parametrize("change", [{"seed": 1}, {"classes": 12}, {"clips": 5}, {"seconds": 2.0}])
def test_a_world_of_other_settings_is_left_alone(world: Path, change: dict[str, object]) -> None:
    before = _bytes(world)
    with pytest.raises(SettingError, match=rf"other settings \({next(iter(change))} .*choose another folder"):
        _make(world, **change)
    assert _bytes(world) == before


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("dear", encoding="utf-8")
    with pytest.raises(OutputError, match="empty folder"):
        _make(tmp_path)
    with pytest.raises(OutputError, match="empty folder"):
        _make(tmp_path / "thesis.txt")
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_damaged_card_is_named(tmp_path: Path) -> None:
    (tmp_path / "world.json").write_text("{", encoding="utf-8")
    with pytest.raises(OutputError, match=r"world\.json is damaged"):
        _make(tmp_path)


@pytest.mark.parametrize(
    "bad",
    [
        {"classes": 9},
        {"classes": 201},
        {"clips": 3},
        {"clips": 0},
        {"seed": -1},
        {"seconds": 0.5},
        {"seconds": float("nan")},
    ],
)
def test_senseless_settings_are_refused_before_anything_is_written(tmp_path: Path, bad: dict[str, object]) -> None:
    with pytest.raises(SettingError):
        _make(tmp_path / "new", **bad)
    assert not (tmp_path / "new").exists()
