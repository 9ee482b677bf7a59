"""The command as a user meets it: exit codes, one-line errors, JSON that is only JSON."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from avzsl.cli import VERBS, main
from avzsl.features.store import read_class_file, write_class_file
from avzsl.methods._base import Method
from avzsl.training.interrupt import Interrupted
from avzsl.types import ExtractorIdentity

FAST = ["--set", "epochs=2", "--set", "batches=3", "--set", "batch_size=16", "--set", "learning_rate=0.02"]


@pytest.fixture
def data(toy_benchmark: Path, toy: type[Method]) -> Path:
    return toy_benchmark


@pytest.fixture
def run(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    assert main(["train", "toy", "--data", str(data), "--out", str(tmp_path / "run"), *FAST, "--device", "cpu"]) == 0
    capsys.readouterr()
    return tmp_path / "run"


def _error(capsys: pytest.CaptureFixture[str], arguments: list[str], code: int = 2) -> str:
    """Run, expect one line on stderr and nothing on stdout, and give back that line."""
    assert main(arguments) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1, err
    assert err.startswith("error: ")
    return err


def test_the_bare_command_and_help_list_every_verb(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    bare = capsys.readouterr().out
    assert main(["--help"]) == 0
    assert capsys.readouterr().out == bare
    assert all(f"\n  {verb} " in bare for verb in VERBS)


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help_with_an_example(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([verb, "--help"]) == 0
    text = capsys.readouterr().out
    assert f"avzsl {verb}" in text
    assert "Example" in text
    assert "--json" in text


def test_the_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    import avzsl

    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"avzsl {avzsl.__version__}\n"


def test_help_needs_neither_torch_nor_other_heavy_packages() -> None:
    code = (
        "import sys; from avzsl.cli import main; assert main(['--help']) == 0; assert main(['train', '--help']) == 0;"
        "heavy = {'torch', 'numpy', 'h5py', 'av', 'matplotlib', 'jinja2', 'rich'} & set(sys.modules);"
        "sys.exit(str(heavy) if heavy else 0)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["trian"], "unknown verb 'trian'; did you mean 'train'? (see 'avzsl --help')"),
        (["zzz"], "unknown verb 'zzz'; choose one of: "),
        (["train"], "METHOD"),
        (["train", "toy", "--out", "x"], "--data"),
        (["train", "toy", "--bogus"], "--bogus"),
        (["train", "toy", "--data", "nowhere", "--out", "OUT"], "there is no folder nowhere; check the path"),
        (["train", "toi", "--data", "DATA", "--out", "OUT"], "unknown method 'toi'; did you mean 'toy'?"),
        (["train", "toy", "--data", "DATA", "--out", "OUT", "--set", "epohcs=2"], "did you mean 'epochs'?"),
        (["train", "toy", "--data", "DATA", "--out", "OUT", "--set", "epochs"], "write --set key=value"),
        (["train", "toy", "--data", "DATA", "--out", "OUT", "--preset", "ucf"], "has no preset 'ucf'"),
        (["train", "toy", "--data", "DATA", "--out", "OUT", "--mode", "cleen"], "cleen"),
        (["train", "toy", "--data", "DATA", "--out", "OUT", "--device", "gpu"], "unknown device 'gpu'"),
        (["train", "toy", "--data", "DATA", "--out", "OUT", "--family", "cls"], "cls"),
        (["train", "toy", "--data", "DATA", "--out", "FILE"], "is a file; choose another folder"),
        (["train", "toy", "--data", "DATA", "--out", "FULL"], "is not empty and holds no run"),
        (["train", "toy", "--data", "DATA", "--out", "OUT", "--seed", "many"], "--seed"),
        (["evaluate", "FULL", "--data", "DATA"], "no model in"),
        (["predict", "FULL", "a.mp4"], "no model in"),
        (["report", "FULL"], "holds no finished or running training"),
        (["report", "FULL", "--videos", "x"], "--videos needs --data"),
        (["methods", "toi"], "did you mean 'toy'?"),
        (["profile", "stft", "--preset", "vgsound"], "has no preset 'vgsound'; did you mean 'vggsound'?"),
        (["profile", "stft", "--family", "odd"], "the sizes of family 'odd' are not known"),
        (["profile", "stft", "--segments", "0"], "must be at least 1"),
        (["world", "OUT", "--classes", "1"], "1"),
        (["world", "FULL"], "is not a generated world"),
        (["extract", "nowhere", "--out", "OUT", "--text", "hash-ngram"], "there is no folder or csv file nowhere"),
        (["extract", "FULL", "--out", "OUT", "--extractor", "builtn"], "did you mean 'builtin'?"),
        (["extract", "FULL", "--out", "OUT", "--text", "mini"], "unknown text encoder 'mini'"),
        (["extract", "FULL", "--out", "OUT", "--text", "hash-ngram", "--unseen", "a,,b"], "has an empty name"),
    ],
)
def test_a_wrong_request_is_one_line_and_writes_nothing(
    arguments: list[str], message: str, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").write_text("x")
    places = {"DATA": data, "OUT": tmp_path / "out", "FILE": tmp_path / "file", "FULL": tmp_path / "full"}
    assert message in _error(capsys, [str(places.get(a, a)) for a in arguments])
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "full"]
    assert [p.name for p in (tmp_path / "full").iterdir()] == ["notes.txt"]


def test_training_prints_the_scores_and_repeats_them_when_it_is_done(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["train", "toy", "--data", str(data), "--out", str(tmp_path / "run"), *FAST, "--device", "cpu"]
    assert main(arguments) == 0
    out, err = capsys.readouterr()
    assert err == ""
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    for key in ("seen", "unseen", "hm", "zsl"):
        assert f"{result[key]:.2f} %" in out
    assert "chance 50.00" in out
    assert main(arguments) == 0
    again = capsys.readouterr().out
    assert "is finished; this is its result" in again
    assert again.splitlines()[1:] == out.splitlines()
    assert main([*arguments, "--json"]) == 0
    stored = json.loads(capsys.readouterr().out)
    assert (stored["trained"], stored["hm"]) == (False, result["hm"])
    assert "seed = 42, now it is 7" in _error(capsys, [*arguments, "--seed", "7"])


def test_evaluating_prints_what_training_found(run: Path, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    result = json.loads((run / "result.json").read_text())
    before = sorted(p.name for p in run.iterdir())
    assert main(["evaluate", str(run), "--data", str(data), "--json", "--device", "cpu"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert {k: found[k] for k in ("seen", "unseen", "hm", "zsl", "bias")} == {
        k: result[k] for k in ("seen", "unseen", "hm", "zsl", "bias")
    }
    assert main(["evaluate", str(run), "--data", str(data), "--device", "cpu"]) == 0
    assert f"{result['hm']:.2f} %" in capsys.readouterr().out
    assert sorted(p.name for p in run.iterdir()) == before


def test_features_of_another_extractor_are_refused(
    run: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copied = Path(shutil.copytree(data, tmp_path / "Toy"))
    for path in sorted((copied / "features").rglob("*.h5")):
        stored = read_class_file(path)
        write_class_file(path, stored.data, list(stored.names), ExtractorIdentity("other"))
    assert "another extractor than the model's" in _error(capsys, ["evaluate", str(run), "--data", str(copied)])


@pytest.mark.parametrize("name", ["model.json", "model.safetensors"])
def test_a_damaged_model_is_refused(run: Path, data: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    (run / name).write_bytes((run / name).read_bytes()[:-20])
    assert f"{name} is damaged" in _error(capsys, ["evaluate", str(run), "--data", str(data)])


def test_a_damaged_feature_file_is_named(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    copied = Path(shutil.copytree(data, tmp_path / "Toy"))
    path = next((copied / "features").rglob("cat.h5"))
    path.write_bytes(path.read_bytes()[:100])
    assert "cat.h5" in _error(capsys, ["train", "toy", "--data", str(copied), "--out", str(tmp_path / "run"), *FAST])
    assert not (tmp_path / "run").exists()


def test_a_full_disk_is_one_line(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(source: Any, target: Any) -> None:
        raise OSError(28, "No space left on device", str(target))

    monkeypatch.setattr(os, "replace", full)
    line = _error(capsys, ["train", "toy", "--data", str(data), "--out", str(tmp_path / "run"), *FAST])
    assert "No space left on device; free some disk space and run the same command again" in line
    assert not [p for p in (tmp_path / "run").rglob("*") if p.is_file()]


@pytest.mark.parametrize(
    ("raised", "code", "message"),
    [
        (
            PermissionError(13, "Permission denied", "/somewhere"),
            2,
            "error: cannot use /somewhere: Permission denied; ",
        ),
        (MemoryError(), 2, "error: out of memory; "),
        (Interrupted("stopped before stage 1, epoch 2, step 3; everything is saved"), 130, "stopped before stage 1, "),
        (KeyboardInterrupt(), 130, "stopped; the same command goes on where it was"),
    ],
)
def test_what_comes_from_outside_is_one_line_too(
    raised: BaseException, code: int, message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*args: Any, **options: Any) -> None:
        raise raised

    monkeypatch.setattr("avzsl.experiments.run.run_training", fail)
    assert main(["train", "toy", "--data", "x", "--out", "y"]) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(message)
    assert err.count("\n") == 1


def test_our_own_mistakes_are_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: Any, **options: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("avzsl.experiments.run.run_training", fail)
    with pytest.raises(ZeroDivisionError):
        main(["train", "toy", "--data", "x", "--out", "y"])


def test_a_reader_that_goes_away_is_no_trouble() -> None:
    command = f"{sys.executable} -m avzsl methods stft --json | head -c 1; exit ${{PIPESTATUS[0]}}"
    result = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=60)
    assert result.stdout == "{"
    assert result.stderr == ""


def test_warnings_are_one_line_each(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    copied = Path(shutil.copytree(data, tmp_path / "Toy"))
    for path in (copied / "features").rglob("goat.h5"):
        path.unlink()
    assert main(["train", "toy", "--data", str(copied), "--out", str(tmp_path / "run"), *FAST]) == 0
    err = capsys.readouterr().err
    assert "warning: " in err
    assert all(line.startswith("warning: ") for line in err.splitlines())
    assert "'goat'" in err


def test_the_methods_and_their_settings_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["methods", "--json"]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert rows["stft"]["year"] == 2024
    assert "ucf" in rows["stft"]["presets"]
    assert rows["stft"]["settings"]["train"]["epochs"] == 60
    assert main(["methods"]) == 0
    listing = capsys.readouterr().out
    assert all(name in listing for name in rows)
    assert main(["methods", "stft"]) == 0
    assert "time_steps = 8" in capsys.readouterr().out


def test_one_method_says_with_which_settings_it_was_counted_and_what_it_has_without_a_preset(
    toy: type[Method], capsys: pytest.CaptureFixture[str]
) -> None:
    """The preset ucf of STFT has 3 slots, its defaults have 4; TCaF takes temporal features alone."""
    assert main(["methods", "stft"]) == 0
    shown = capsys.readouterr().out
    assert "parameters: 4,271,203 at 512/512/300 columns, preset ucf\n" in shown
    assert "    slots = 4\n" in shown.partition("  settings without a preset:\n")[2]
    assert main(["methods", "tcaf"]) == 0
    assert "    temporal = True\n" in capsys.readouterr().out
    assert main(["methods", "toy"]) == 0
    assert "at 512/512/300 columns\n" in capsys.readouterr().out


def test_a_reconstruction_is_called_one_beside_its_numbers(
    data: Path, tmp_path: Path, toy: type[Method], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(toy, "note", "our reconstruction")
    assert main(["train", "toy", "--data", str(data), "--out", str(tmp_path / "run"), *FAST, "--device", "cpu"]) == 0
    assert "\n  Toy: our reconstruction\n" in capsys.readouterr().out


def test_the_profile_adds_up_and_stands_beside_the_paper(capsys: pytest.CaptureFixture[str]) -> None:
    small = ["profile", "stft", "--preset", "vggsound", "--set", "hidden=64", "--set", "heads=2", "--set", "rank=8"]
    assert main([*small, "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    for total in ("parameters", "training_flops", "inference_flops"):
        assert sum(m[total] for m in record["modules"]) == record[total] > 0
    assert record["paper"] == {"parameters": 4.16e6, "gflops": 4.27}
    assert set(record["firing_rates"]) == {"audio", "visual"}
    assert main(small) == 0
    text = capsys.readouterr().out
    assert f"{record['parameters']:,}" in text
    assert "paper (Table X): 4.16 M parameters, 4.27 GFLOPs" in text
    assert main(["profile", "ridge", "--family", "cls", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["paper"] == {}


def test_a_report_is_written(run: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", str(run), "--data", str(data), "--out", str(tmp_path / "page.html"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"report": str(tmp_path / "page.html")}
    assert "toy" in (tmp_path / "page.html").read_text()


def test_videos_are_named(run: Path, readable: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, seed in (("one.mp4", 1), ("two.mp4", 2)):
        (tmp_path / name).write_text(str(seed))
    videos = [str(tmp_path / "one.mp4"), str(tmp_path / "two.mp4")]
    base = ["predict", str(run), *videos, "--workers", "0", "--device", "cpu"]
    assert main([*base, "--classes", 'apple, "fish, fried", red kite', "--top-k", "2", "--json"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    found = json.loads(out)
    assert [len(f["guesses"]) for f in found] == [2, 2]
    assert {g["name"] for f in found for g in f["guesses"]} <= {"apple", "fish, fried", "red kite"}
    assert main([*base, "--unseen-only", "--top-k", "9"]) == 0
    text = capsys.readouterr().out
    assert text.count("goat  (unseen in training)") == text.count("horn  (unseen in training)") == 2
    assert "apple" not in text
    (tmp_path / "names.txt").write_text("fish, fried\nkite\n")
    assert main([*base, "--classes", f"@{tmp_path / 'names.txt'}", "--bias", "100"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "kite" in lines[1]
    assert "fish, fried" in lines[2]


def test_a_broken_video_is_named_and_the_exit_code_tells(
    run: Path, readable: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "one.mp4").write_text("1")
    videos = [str(tmp_path / "absent.mp4"), str(tmp_path / "one.mp4")]
    assert main(["predict", str(run), *videos, "--workers", "0"]) == 1
    printed = capsys.readouterr()
    assert printed.err == "error: 1 of 2 files could not be read; their reasons are above\n"
    out = printed.out.splitlines()
    assert out[:2] == [videos[0], "  not read: there is no such file"]
    assert out[2] == videos[1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--classes", "dog, dog"], "class 'dog' is given twice"),
        (["--classes", ""], "the class list is empty"),
        (["--classes", "@nothing.txt"], "check the path after @"),
        (["--classes", "apple", "--unseen-only"], "leave out --unseen-only"),
        (["--top-k", "0"], "k is 0; ask for at least one class"),
        (["--bias", "nan"], "bias is nan"),
        (["--timeout", "0", "--workers", "1"], "timeout"),
    ],
)
def test_a_wrong_prediction_request_is_one_line(
    run: Path, readable: None, tmp_path: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "one.mp4").write_text("1")
    line = _error(capsys, ["predict", str(run), str(tmp_path / "one.mp4"), "--workers", "0", *arguments])
    assert message in line


def test_a_stop_says_whether_the_command_goes_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stop(*args: Any, **options: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("avzsl.report.write_report", stop)
    monkeypatch.setattr("avzsl.world.render.generate_world", stop)
    assert main(["report", "x"]) == main(["world", "x"]) == 130
    assert capsys.readouterr().err == "stopped\nstopped; the same command goes on where it was\n"


@pytest.mark.skipif(sys.platform == "win32", reason="sends signals")
def test_a_request_to_end_is_a_stop_and_leaves_no_half_file(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "avzsl", "world", str(tmp_path / "w"), "--classes", "12", "--clips", "40"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as child:
        while not list(tmp_path.rglob("*.mp4")):
            assert child.poll() is None
            time.sleep(0.02)
        child.terminate()
        _, err = child.communicate(timeout=60)
    assert (child.returncode, err) == (130, "stopped; the same command goes on where it was\n")
    assert not list(tmp_path.rglob("*.partial*"))


@pytest.mark.skipif(sys.platform == "win32", reason="needs a shell")
@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-"])
def test_closed_streams_are_no_trouble(closed: str) -> None:
    result = subprocess.run(
        ["sh", "-c", f"{sys.executable} -m avzsl methods {closed}"], capture_output=True, text=True, timeout=60
    )
    assert (result.returncode, result.stderr) == (0, "")
    assert ("stft" in result.stdout) == (not closed.startswith(">&-"))


@pytest.mark.parametrize("verb", ["extract", "train"])
def test_a_finished_step_names_the_next_one(
    verb: str, data: Path, readable: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "my runs"
    if verb == "extract":
        for name in ("a", "b", "c", "d", "e", "f"):
            (tmp_path / "videos" / name).mkdir(parents=True)
            for clip in range(3):
                (tmp_path / "videos" / name / f"{clip}.mp4").write_text(str(clip))
        arguments = ["extract", str(tmp_path / "videos"), "--extractor", "toy-extractor", "--text", "hash-ngram"]
        assert main([*arguments, "--workers", "0", "--out", str(out)]) == 0
        expected = f"  next: avzsl train stft --preset demo --data '{out}' --out 'runs/my runs'"
    else:
        assert main(["train", "toy", "--data", str(data), "--out", str(out), *FAST]) == 0
        expected = f"  next: avzsl report '{out}'"
    assert capsys.readouterr().out.splitlines()[-1] == expected
