"""What is said about the machine."""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path

import pytest

from avzsl.cli import _machine
from avzsl.cli._machine import free_disk, memory, nvidia_cards, odd_threads, try_temp, usable_cores


@pytest.mark.parametrize(
    ("settings", "cores", "odd"),
    [
        ({}, 2, []),
        ({"OMP_NUM_THREADS": "1"}, 2, []),
        ({"OMP_NUM_THREADS": "2,1", "MKL_NUM_THREADS": "2"}, 2, []),
        ({"OMP_NUM_THREADS": "lots"}, 2, ["OMP_NUM_THREADS is 'lots', which is no number of threads"]),
        ({"OMP_NUM_THREADS": "0"}, 2, ["OMP_NUM_THREADS is '0', which is no number of threads"]),
        ({"OMP_NUM_THREADS": ""}, 2, ["OMP_NUM_THREADS is '', which is no number of threads"]),
        ({"MKL_NUM_THREADS": "8"}, 1, ["MKL_NUM_THREADS is 8, but only 1 core may be used"]),
        (
            {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "2"}, 2,
            ["OMP_NUM_THREADS is 1, MKL_NUM_THREADS is 2: they should be the same"],
        ),
    ],
)  # fmt: skip
def test_odd_thread_settings(settings: dict[str, str], cores: int, odd: list[str]) -> None:
    assert odd_threads(settings, cores) == odd


def test_cores_and_memory_of_a_container_are_its_share(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_machine, "_CGROUP", tmp_path)
    whole, (total, free) = usable_cores(), memory()
    assert 1 <= whole <= (os.cpu_count() or 1)
    assert total is None or free is None or 0 < free <= total
    (tmp_path / "cpu.max").write_text("100000 100000\n")
    (tmp_path / "memory.max").write_text("1000000\n")
    (tmp_path / "memory.current").write_text("400000\n")
    assert usable_cores() == 1
    assert memory() == (1_000_000, 600_000)
    (tmp_path / "cpu.max").write_text("max 100000\n")
    (tmp_path / "memory.max").write_text("max\n")
    assert usable_cores() == whole
    assert memory()[0] == total


def test_a_temp_folder_that_cannot_be_written_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert try_temp() is None
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
    assert try_temp() == "No such file or directory"


def test_free_disk(tmp_path: Path) -> None:
    assert (free_disk(tmp_path) or 0) > 0
    assert free_disk(tmp_path / "gone") is None


@pytest.mark.skipif(os.name == "nt", reason="a shell script")
@pytest.mark.parametrize(
    ("script", "cards"),
    [
        ("echo 'NVIDIA H200, 143771 MiB, 570.86'", ["NVIDIA H200, 143771 MiB, 570.86"]),
        ("echo 'no devices were found'; exit 6", []),
        ("", []),
    ],
)
def test_cards_are_those_of_nvidias_tool(
    script: str, cards: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tool = tmp_path / "nvidia-smi"
    tool.write_text(f"#!/bin/sh\n{script}\n")
    tool.chmod(tool.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    assert nvidia_cards() == cards


def test_without_nvidias_tool_there_are_no_cards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert nvidia_cards() == []
