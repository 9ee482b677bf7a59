"""A benchmark as a whole: cells, failures, choices, resuming, several at a time."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import warnings
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from avzsl.data.splits import load_benchmark
from avzsl.errors import AvzslError, DataError, SettingError
from avzsl.experiments import tables, workers
from avzsl.experiments.benchmark import Request, label_folders, run_benchmark
from avzsl.experiments.cells import Loader
from avzsl.experiments.choice import assignments_of, choose_preset
from avzsl.experiments.result import read_result
from avzsl.experiments.run import run_training
from avzsl.experiments.settings import assemble
from avzsl.experiments.tables import Place
from avzsl.methods import METHODS, Method, _own, use
from avzsl.training.interrupt import Interrupted

if TYPE_CHECKING:
    from tests.conftest import TinyBenchmark

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "own_method.py"
FAST = ("epochs=2", "batches=3", "batch_size=16", "learning_rate=0.02")
WRONG = '''
import os, signal, sys
sys.path.insert(0, {examples!r})
import own_method
from avzsl.methods import register

@register("crash")
class Crash(own_method.Sphere):
    """Raises something of its own."""
    title = "Crash"
    def loss_terms(self, batch):
        raise RuntimeError("shapes do\\n not fit")

@register("killed")
class Killed(own_method.Sphere):
    """Ends its process."""
    title = "Killed"
    def loss_terms(self, batch):
        os.kill(os.getpid(), signal.SIGKILL)
'''


@pytest.fixture(autouse=True)
def _as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(METHODS, "_entries", dict(METHODS._entries))
    monkeypatch.setattr(_own, "_USED", [])
    monkeypatch.setattr(sys, "path", list(sys.path))


@pytest.fixture
def data(toy_benchmark: Path, toy: type[Method]) -> Path:
    return toy_benchmark


def _request(data: Path, **changes: Any) -> Request:
    values: dict[str, Any] = {"methods": ("toy", "ridge"), "seeds": (0, 1), "assignments": FAST, "device": "cpu"}
    return Request(**{"data": (data,), **values, **changes})


def _wrong(tmp_path: Path) -> Path:
    path = tmp_path / "wrong.py"
    path.write_text(WRONG.format(examples=str(EXAMPLE.parent)))
    return path


def _rows(record: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {row["method"]: row for row in record["tables"][0]["rows"]}


def test_every_cell_is_the_run_that_train_would_make(data: Path, tmp_path: Path) -> None:
    record = run_benchmark(_request(data), tmp_path / "b")
    for method in ("toy", "ridge"):
        for seed in (0, 1):
            run = tmp_path / "b" / "runs" / method / f"seed-{seed}"
            alone = run_training(
                data, method, out=tmp_path / f"{method}-{seed}", assignments=FAST, seed=seed, device="cpu",
                preset={"ridge": "default"}.get(method),
            )  # fmt: skip
            assert read_result(run).digest == alone.digest
            stored = json.loads(run.with_name(f"seed-{seed}.json").read_text())
            assert (stored["state"], stored["result"]["digest"]) == ("done", alone.digest)
    assert json.loads((tmp_path / "b" / "benchmark.json").read_text()) == record
    rows, values = _rows(record), {}
    for cell in record["cells"]:
        values.setdefault(cell["method"], []).append(cell["result"]["hm"])
    assert rows["toy"]["hm"]["mean"] == pytest.approx(sum(values["toy"]) / 2)
    assert (rows["toy"]["preset"], rows["ridge"]["preset"]) == ("none", "default")
    assert (rows["toy"]["yardstick"], rows["ridge"]["yardstick"]) == (False, True)
    assert rows["ridge"]["parameters"] == 12 * 6 + 6
    assert rows["ridge"]["features"] == "averaged"
    about = record["tables"][0]["data"][0]
    assert (about["test_clips"], about["seen_classes"], about["unseen_classes"], about["zsl_chance"]) == (26, 6, 2, 50)
    assert about["extractor"] == "toy-extractor" and about["text_encoder"] == "toy-text"
    assert about["fingerprints"] == {"averaged": load_benchmark(data).fingerprint}
    assert about["simulated"] is False


def test_a_finished_benchmark_is_read_back_and_more_may_join(data: Path, tmp_path: Path) -> None:
    first = run_benchmark(_request(data), tmp_path / "b")
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "b" / "runs").rglob("model.safetensors")}
    assert run_benchmark(_request(data), tmp_path / "b") == first
    more = run_benchmark(_request(data, seeds=(0, 1, 2)), tmp_path / "b")
    assert {p: p.stat().st_mtime_ns for p in before} == before
    assert [cell for cell in more["cells"] if cell["seed"] < 2] == first["cells"]
    assert len(more["cells"]) == 6


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"assignments": (*FAST[:-1], "learning_rate=0.1")}, "belongs to a benchmark with settings = "),
        ({"mode": "reference"}, "belongs to a benchmark with data.Toy.averaged = "),
        ({"preset": "demo"}, "belongs to a benchmark with preset = None, now it is demo"),
    ],
)
def test_other_settings_are_refused_in_the_same_folder(
    data: Path, tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    request = _request(data, methods=("ridge",), seeds=(0,))
    run_benchmark(request, tmp_path / "b")
    others = _request(data, methods=("ridge", "sje"), seeds=(0,), **change)
    with pytest.raises(SettingError, match=message):
        run_benchmark(others, tmp_path / "b")
    (tmp_path / "b" / "notes.txt").write_text("mine")
    record = run_benchmark(
        _request(data, methods=("ridge",), seeds=(0,), **{**change, "preset": None}), tmp_path / "b", fresh=True
    )
    assert [row["state"] for row in record["tables"][0]["rows"]] == ["ranked"]
    assert (tmp_path / "b" / "notes.txt").read_text() == "mine"


def test_a_folder_of_something_else_is_left_alone(data: Path, tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "notes.txt").write_text("mine")
    with pytest.raises(SettingError, match="b is not empty and holds no benchmark; choose another folder"):
        run_benchmark(_request(data), tmp_path / "b")
    with pytest.raises(SettingError, match="--fresh only clears benchmark folders"):
        run_benchmark(_request(data), tmp_path / "b", fresh=True)


def test_a_method_that_fails_is_told_and_the_others_go_on(data: Path, tmp_path: Path) -> None:
    use(_wrong(tmp_path))
    request = _request(
        data, methods=("crash", "ridge", "toy"), seeds=(0,), assignments=(*FAST, "toy:learning_rate=1e30")
    )
    record = run_benchmark(request, tmp_path / "b")
    rows = _rows(record)
    assert rows["ridge"]["rank"] == 1
    assert (rows["crash"]["state"], rows["crash"]["reason"]) == ("failed", "RuntimeError: shapes do not fit")
    assert (rows["toy"]["state"], "training diverged" in rows["toy"]["reason"]) == ("failed", True)
    stored = json.loads((tmp_path / "b" / "runs" / "crash" / "seed-0.json").read_text())
    assert (stored["state"], stored["result"]) == ("failed", None)


def test_a_method_that_cannot_run_on_these_data_is_told_before_anything_is_trained(
    data: Path, toy: type[Method], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(toy, "inputs", "temporal")
    record = run_benchmark(_request(data, seeds=(0,)), tmp_path / "b")
    row = _rows(record)["toy"]
    assert row["state"] == "cannot run"
    assert "holds averaged features only" in row["reason"]
    assert not (tmp_path / "b" / "runs" / "toy").exists()
    with pytest.raises(SettingError, match=r"no method can run on .*Toy: toy: .*averaged features only"):
        run_benchmark(_request(data, methods=("toy",)), tmp_path / "c")


def test_features_of_other_sizes_than_a_preset_is_for_are_no_failure(data: Path, tmp_path: Path) -> None:
    request = _request(data, seeds=(0,), assignments=(*FAST, "toy:audio_columns=9"))
    row = _rows(run_benchmark(request, tmp_path / "b"))["toy"]
    assert (row["state"], "audio has 5 columns" in row["reason"]) == ("cannot run", True)


def test_a_temporal_method_takes_temporal_features_and_ranks_with_the_others(
    tiny_benchmark: TinyBenchmark, toy: type[Method], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(toy, "inputs", "temporal")
    record = run_benchmark(_request(tiny_benchmark.root, seeds=(0,)), tmp_path / "b")
    rows = _rows(record)
    assert (rows["toy"]["features"], rows["ridge"]["features"]) == ("temporal", "averaged")
    assert {row["state"] for row in rows.values()} == {"ranked"}
    prints = record["tables"][0]["data"][0]["fingerprints"]
    assert prints == {
        "averaged": tiny_benchmark.benchmark.fingerprint,
        "temporal": tiny_benchmark.temporal.fingerprint,
    }


def test_temporal_features_of_fewer_test_clips_are_not_ranked_with_averaged_ones(
    tiny_benchmark: TinyBenchmark, toy: type[Method], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = Path(shutil.copytree(tiny_benchmark.root, tmp_path / "Tiny"))
    for path in (root / "features" / "main_features_non_averaged").rglob("stage_2_test_seen/harp.h5"):
        path.unlink()
    monkeypatch.setattr(toy, "inputs", "temporal")
    request = _request(root, methods=("toy", "ridge", "sje"), seeds=(0,))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        rows = _rows(run_benchmark(request, tmp_path / "b"))
    assert (rows["toy"]["state"], rows["toy"]["rank"]) == ("other videos", None)
    assert {rows["ridge"]["rank"], rows["sje"]["rank"]} == {1, 2}


def test_what_is_said_on_the_way_is_kept_with_the_cell_and_not_shown(data: Path, tmp_path: Path) -> None:
    assignments = ("epochs=1", "batches=1", "batch_size=2", "learning_rate=1e-9")
    request = _request(data, methods=("toy",), seeds=(3,), assignments=assignments)
    record = run_benchmark(request, tmp_path / "b")
    said = record["cells"][0]["warnings"]
    again = run_benchmark(request, tmp_path / "b")  # read back: nothing is said anew, but it is not forgotten
    assert again["cells"][0]["warnings"] == said == _rows(again)["toy"]["warnings"]
    assert len(said) > 0


@pytest.mark.parametrize(
    ("columns", "family", "root", "method", "expected"),
    [
        ((512, 512), "main", "UCF", "stft", "ucf"),
        ((128, 4096), "cls", "VGGSound", "stft", "vggsound_cls"),
        ((512, 512), "main", "ActivityNet", "stft", "activitynet"),
        ((260, 355), "builtin", "UCF", "stft", "demo"),
        ((512, 513), "main", "UCF", "stft", "demo"),
        ((512, 512), "main", "Mine", "stft", "demo"),
        ((512, 512), "main", "UCF", "ridge", "default"),
        ((512, 512), "main", "UCF", "toy", None),
    ],
)
def test_presets_are_chosen_by_benchmark_and_columns(
    tiny_benchmark: TinyBenchmark, tmp_path: Path, columns: tuple[int, int], family: str, root: str, method: str,
    expected: str | None,
) -> None:  # fmt: skip
    from avzsl.types import Dimensions

    (tmp_path / root / "class-split").mkdir(parents=True)
    loaded = replace(
        tiny_benchmark.benchmark, root=tmp_path / root, family=family, dimensions=Dimensions(*columns, 300)
    )
    assert choose_preset(method, loaded) == expected


def test_a_preset_that_is_asked_for_is_taken_where_there_is_one(data: Path, tmp_path: Path) -> None:
    preset = tmp_path / "mine.toml"
    preset.write_text("[train]\nepochs = 1\nbatches = 2\nbatch_size = 8\n")
    record = run_benchmark(_request(data, preset=str(preset), assignments=(), seeds=(0,)), tmp_path / "a")
    assert {row["preset"] for row in record["tables"][0]["rows"]} == {str(preset)}
    settings = json.loads((tmp_path / "a" / "runs" / "toy" / "seed-0" / "settings.json").read_text())
    assert settings["settings"]["train"]["batches"] == 2
    with pytest.raises(SettingError, match="none of the methods has a preset 'defalt'; did you mean 'default'"):
        run_benchmark(_request(data, preset="defalt"), tmp_path / "b")
    record = run_benchmark(_request(data, preset="default", seeds=(0,)), tmp_path / "b")
    assert {row["method"]: row["preset"] for row in record["tables"][0]["rows"]} == {"ridge": "default", "toy": "none"}


def test_settings_may_be_for_one_method() -> None:
    given = ("epochs=2", "ridge:penalty=0.5", "stft:method.modality=audio", "note=a:b")
    assert assignments_of("ridge", given) == ("epochs=2", "penalty=0.5", "note=a:b")
    assert assignments_of("stft", given) == ("epochs=2", "method.modality=audio", "note=a:b")
    with pytest.raises(SettingError, match="unknown method 'rigde'; did you mean 'ridge'"):
        assignments_of("ridge", ("rigde:penalty=1",))


@pytest.mark.parametrize(
    ("change", "kind", "message"),
    [
        ({"methods": ("toi",)}, SettingError, "unknown method 'toi'; did you mean 'toy'"),
        ({"methods": ("toy", "toy")}, SettingError, "method toy is given twice"),
        ({"methods": ()}, SettingError, "at least one data folder, one method and one seed"),
        ({"seeds": (1, 1)}, SettingError, "seed 1 is given twice"),
        ({"seeds": (-1,)}, SettingError, "seed is -1; it must be at least 0"),
        ({"jobs": 0}, SettingError, "jobs is 0"),
        ({"device": "gpu"}, SettingError, "unknown device 'gpu'"),
        ({"mode": "cleen"}, SettingError, "cleen"),
        ({"assignments": ("epohcs=2",)}, SettingError, "unknown setting 'epohcs'; did you mean 'epochs'"),
        ({"family": "cls"}, DataError, "there is no folder .*cls_features"),
        ({"data": (Path("nowhere"),)}, DataError, "there is no folder nowhere"),
    ],
)
def test_a_wrong_request_stops_before_anything_is_written(
    data: Path, tmp_path: Path, change: dict[str, Any], kind: type[Exception], message: str
) -> None:
    with pytest.raises(kind, match=message):
        run_benchmark(
            _request(**{"data": data, **change}) if "data" not in change else Request(**change), tmp_path / "b"
        )
    assert not (tmp_path / "b").exists()


def test_folders_of_one_name_are_told_apart() -> None:
    assert label_folders([Path("/a/World")]) == {"World": Path("/a/World")}
    assert label_folders([Path("/a/World"), Path("/b/UCF")]) == {"World": Path("/a/World"), "UCF": Path("/b/UCF")}
    paths = [Path("/x/0/World"), Path("/x/1/World"), Path("/x/1/UCF")]
    assert list(label_folders(paths)) == ["0-World", "1-World", "1-UCF"]
    with pytest.raises(SettingError, match="a data folder is given twice"):
        label_folders([Path("/a/World"), Path("/a/../a/World")])


def test_several_folders_are_ranked_one_by_one_and_together(data: Path, tmp_path: Path) -> None:
    other = Path(shutil.copytree(data, tmp_path / "Other" / "Toy"))
    shutil.copytree(data, tmp_path / "One" / "Toy")
    request = replace(_request(data), data=(tmp_path / "One" / "Toy", other))
    record = run_benchmark(request, tmp_path / "b")
    assert [table["label"] for table in record["tables"]] == ["One-Toy", "Other-Toy", "all"]
    together = {row["method"]: row for row in record["tables"][2]["rows"]}
    assert len(together["toy"]["hm"]["values"]) == 4
    means = [_rows({"tables": [table]})["toy"]["hm"]["mean"] for table in record["tables"]]
    assert means[2] == pytest.approx((means[0] + means[1]) / 2)
    assert (tmp_path / "b" / "runs" / "Other-Toy" / "toy" / "seed-1" / "result.json").is_file()


def test_published_numbers_are_of_one_data_folder() -> None:
    places = [Place(label, Path(label), {}, ()) for label in ("A", "B")]
    result = {"published": {"hm": 12.5}, "published_note": "from one run"}
    cells = [{"method": "ridge", "warnings": ["w"], "result": result}] * 2
    one, several = (tables._entry("ridge", chosen, cells) for chosen in (places[:1], places))
    assert (one["published"], several["published"]) == ({"hm": 12.5}, {})
    assert one["warnings"] == ["w"]


def test_the_same_features_are_loaded_once(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    real = workers.run_cell.__globals__["load_for"]
    monkeypatch.setitem(
        workers.run_cell.__globals__,
        "load_for",
        lambda settings, path, **how: read.append(settings.method) or real(settings, path, **how),
    )
    run_benchmark(_request(data), tmp_path / "b")
    assert len(read) == 1
    load = Loader()
    first = load(assemble("ridge"), data)
    assert load(assemble("ridge", options={"protocol": {"mode": "reference"}}), data) is not first
    assert load(assemble("ridge", preset="default"), data) is first


def test_a_stop_keeps_what_is_done_and_the_same_command_ends_in_the_same_numbers(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = run_benchmark(_request(data), tmp_path / "whole")
    real, done = workers.run_cell, []

    def stopping(cell: Any, load: Any) -> Any:
        if len(done) == 2:
            raise Interrupted("in the middle")
        done.append(cell)
        return real(cell, load)

    monkeypatch.setattr(workers, "run_cell", stopping)
    with pytest.raises(
        Interrupted, match=r"stopped with 2 of 4 runs finished; all are kept in .*; the same command goes"
    ):
        run_benchmark(_request(data), tmp_path / "b")
    half = json.loads((tmp_path / "b" / "benchmark.json").read_text())
    assert [row["state"] for row in half["tables"][0]["rows"]] == ["incomplete", "incomplete"]
    monkeypatch.setattr(workers, "run_cell", real)
    again = run_benchmark(_request(data), tmp_path / "b")
    digests = [[cell["result"]["digest"] for cell in record["cells"]] for record in (whole, again)]
    assert digests[0] == digests[1]


@pytest.mark.skipif(sys.platform == "win32", reason="sends signals")
def test_several_runs_at_a_time_give_the_same_numbers_and_a_dead_process_is_told(
    toy_benchmark: Path, tmp_path: Path
) -> None:
    """One after the other, then in two processes, of which one method kills its own."""
    use(EXAMPLE)
    request = _request(toy_benchmark, methods=("ridge", "sphere"), seeds=(0, 1))
    one = run_benchmark(request, tmp_path / "one")
    use(_wrong(tmp_path))
    two = run_benchmark(_request(toy_benchmark, methods=("killed", "ridge", "sphere"), jobs=2), tmp_path / "two")
    assert _rows(two)["killed"]["reason"] == "its process was ended by signal SIGKILL; perhaps memory ran out"
    scores = [
        {(cell["method"], cell["seed"]): cell["result"]["hm"] for cell in record["cells"] if cell["result"]}
        for record in (one, two)
    ]
    assert scores[0] == pytest.approx(scores[1], abs=1e-4)
    stored = json.loads((tmp_path / "two" / "runs" / "killed" / "seed-0.json").read_text())
    assert stored["state"] == "failed"


@pytest.mark.skipif(sys.platform == "win32", reason="sends signals")
@pytest.mark.parametrize(("number", "jobs"), [(signal.SIGTERM, 1), (signal.SIGINT, 2), (signal.SIGTERM, 2)])
def test_a_request_to_end_saves_the_runs_under_way_and_leaves_no_process(
    toy_benchmark: Path, tmp_path: Path, number: signal.Signals, jobs: int
) -> None:
    out = tmp_path / "b"
    # An epoch without end: its state is only saved by a stop that waits for the step.
    long = ["--set", "epochs=1", "--set", "batches=1000000", "--set", "batch_size=16"]
    command = [
        sys.executable, "-m", "avzsl", "--use", str(EXAMPLE), "benchmark", "--data", str(toy_benchmark),
        "--out", str(out), "--methods", "sphere", "--seeds", "2", "--jobs", str(jobs), "--quiet", *long,
    ]  # fmt: skip
    # A session of its own, so that the signal can go to the whole group as a terminal's Ctrl-C does.
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True) as child:
        deadline = time.monotonic() + 120
        while len(list(out.rglob("settings.json"))) < jobs:
            assert child.poll() is None and time.monotonic() < deadline
            time.sleep(0.05)
        time.sleep(2)
        assert not list(out.rglob("state.safetensors"))
        os.killpg(child.pid, number) if number == signal.SIGINT else child.send_signal(number)
        _, err = child.communicate(timeout=60)
    assert child.returncode == 130
    assert err.startswith("stopped with 0 of 2 runs finished; all are kept in") and err.count("\n") == 1
    assert len(list(out.rglob("state.safetensors"))) == jobs
    assert not [p for p in out.rglob("*") if ".partial" in p.name or p.name == ".avzsl.lock"]
    alive = subprocess.run(["ps", "-A", "-o", "ppid=,args="], capture_output=True, text=True).stdout.splitlines()
    assert not [line for line in alive if line.split(None, 1)[0] == str(child.pid)]


def test_workers_that_cannot_start_are_an_error(toy_benchmark: Path, tmp_path: Path) -> None:
    path = tmp_path / "once.py"
    path.write_text(EXAMPLE.read_text())
    use(path)
    path.write_text("raise SystemExit\n")  # a worker meets another file than its parent did
    request = _request(toy_benchmark, methods=("ridge", "sphere"), jobs=2)
    with pytest.raises(
        AvzslError, match=r"a worker process cannot start: cannot use .*once\.py, line 1: it ends the program"
    ):
        run_benchmark(request, tmp_path / "b")


def test_a_damaged_record_of_the_extraction_shows_before_anything_is_trained(data: Path, tmp_path: Path) -> None:
    copied = Path(shutil.copytree(data, tmp_path / "Toy"))
    (copied / "extract.json").write_text("{")
    with pytest.raises(DataError, match=r"extract\.json is not valid JSON"):
        run_benchmark(_request(copied), tmp_path / "b")
    assert not (tmp_path / "b").exists()
