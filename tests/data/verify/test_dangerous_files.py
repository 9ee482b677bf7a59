"""A file that hangs the HDF5 library is a finding, and the rest is checked all the same."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from avzsl.data.verify import verify_benchmark
from avzsl.features.store import reader


def _hang(path: Path) -> None:
    """Shrink the free space that a heap of names tells of: HDF5 2.0 then looks for its end for ever."""
    content = bytearray(path.read_bytes())
    place = content.index(b"GCOL") + 16
    while struct.unpack_from("<H", content, place)[0] != 0:
        place += 16 + -(-struct.unpack_from("<Q", content, place + 8)[0] // 8) * 8
    size = struct.unpack_from("<Q", content, place + 8)[0]
    struct.pack_into("<Q", content, place + 8, size - 23)
    path.write_bytes(content)


def test_a_file_that_hangs_the_library_is_a_finding(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "SECONDS", 1.0)
    _hang(folder / "features/main_features/audio/stage_1_train/cat.h5")
    (folder / "features/main_features/video/stage_1_train/dog.h5").write_bytes(b"bad")
    findings = {finding.where: finding for finding in verify_benchmark(folder).of("error")}
    first = findings.get("features/main_features/audio/stage_1_train/cat.h5")
    if first is None:
        pytest.skip("this version of HDF5 does not hang")
    assert (first.kind, first.what) == ("damaged-file", "is damaged: reading it takes more than 1 s")
    assert sorted(findings)[1:] == ["features/main_features/video/stage_1_train/dog.h5"]


def test_trusted_files_are_opened_here(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("avzsl.isolation.helper.Child", lambda *_, **__: pytest.fail("a child"))
    assert not verify_benchmark(folder, trusted=True).of("error")
