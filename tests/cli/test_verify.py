"""`avzsl verify` as a user meets it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from avzsl.cli import main

CAT = "features/main_features/audio/stage_1_train/cat.h5"


@pytest.fixture
def folder(toy_benchmark: Path, tmp_path: Path) -> Path:
    shutil.copytree(toy_benchmark, tmp_path / "Toy")
    return tmp_path / "Toy"


def test_a_clean_folder_is_shown_with_its_counts(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from avzsl.data.splits import load_benchmark

    assert main(["verify", str(folder)]) == 0
    out, err = capsys.readouterr()
    lines = out.splitlines()
    assert err == ""
    assert lines[0] == f"{folder}: no errors, no warnings, 2 notes"
    assert "family main: 6 seen and 2 unseen classes in the test" in lines
    assert "  averaged features: 5 audio, 7 visual columns, by toy-extractor (clean)" in lines
    assert f"  fingerprint {load_benchmark(folder).fingerprint}" in lines
    assert [line.split() for line in lines if "stage_2_test_unseen  " in line] == [
        ["stage_2_test_unseen", "2", "8", "4", "to", "4"]
    ]
    assert lines.index("notes: what is where, and after '>' how to mend it") > lines.index(
        "findings  kind          number"
    )


def test_an_error_is_exit_code_1_and_stands_before_the_notes(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / CAT).write_bytes(b"bad")
    assert main(["verify", str(folder), "-q"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].endswith(": 1 error, no warnings, 2 notes")
    place = lines.index(f"  {CAT}")
    assert lines[place - 1] == "errors: what is where, and after '>' how to mend it"
    assert lines[place + 1].startswith("      is damaged or not HDF5")
    mend = lines.index("    > extract or download it again")
    # how much HDF5 says, and so how many lines it takes, depends on its version
    assert all(line.startswith("      ") for line in lines[place + 1 : mend])
    assert ["error", "damaged-file", "1"] in [line.split() for line in lines]
    assert not any("fingerprint" in line for line in lines)


def test_json_is_all_of_it_and_nothing_else(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for path in (folder / "features/main_features/video").rglob("*.h5"):
        path.write_bytes(b"bad")
    assert main(["verify", str(folder), "--json"]) == 1
    out, err = capsys.readouterr()
    assert err == ""
    record = json.loads(out)
    assert (record["errors"], record["warnings"], record["notes"]) == (18, 0, 2)
    assert (record["name"], record["stem"], record["simulated"]) == ("Toy", "toy", None)
    (facts,) = record["families"]
    assert facts["averaged"]["columns"] == {"audio": 5, "visual": None}
    assert facts["text"]["by_rank"]["of"] == 8
    first = record["findings"][0]
    assert list(first) == ["severity", "kind", "where", "what", "mend", "family"]
    assert first["where"] == "features/main_features/video/stage_1_train/apple.h5"
    assert main(["verify", str(folder)]) == 1
    shown = capsys.readouterr().out
    assert shown.count("is damaged or not HDF5") == 5
    assert "  and 13 more damaged-file of family main; --json lists all\n" in shown


def test_a_warning_is_exit_code_0(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "class_split").mkdir()
    assert main(["verify", str(folder)]) == 0
    assert "1 warning," in capsys.readouterr().out


def test_a_folder_without_features_says_so(avca: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", str(avca / "UCF"), "--family", "cls"]) == 1
    out = capsys.readouterr().out
    assert "there are no features of family 'cls'" in out
    assert "family cls: 42 seen and 6 unseen classes in the test; classes and clips as published\n" in out
    assert "would be wrong for 79 of 101 classes" in " ".join(out.split())


def test_no_benchmark_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", str(tmp_path)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: ") and "is no benchmark folder" in err and err.count("\n") == 1


def test_a_name_with_brackets_is_shown_as_it_is(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / CAT).rename((folder / CAT).with_name("[red]cat.h5"))
    assert main(["verify", str(folder)]) == 1
    assert "[red]cat.h5" in capsys.readouterr().out


@pytest.mark.slow
def test_a_freshly_extracted_world_is_clean(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("av")
    videos, data = str(tmp_path / "videos"), str(tmp_path / "World")
    assert main(["world", videos, "--classes", "10", "--clips", "4", "--seconds", "2", "-q"]) == 0
    assert main(["extract", videos, "--out", data, "--text", "hash-ngram", "-q"]) == 0
    capsys.readouterr()
    assert main(["verify", data, "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert (record["errors"], record["warnings"], record["simulated"]) == (0, 0, True)
    (facts,) = record["families"]
    assert facts["averaged"]["fingerprint"] and facts["temporal"]["fingerprint"]
