"""A file that hangs or crashes the HDF5 library is found by a child, and the rest is checked all the same."""

from __future__ import annotations

import functools
import struct
from pathlib import Path
from typing import Any

import pytest

import avzsl.data.verify
from avzsl.data.verify import guard, verify_benchmark
from avzsl.data.verify.guard import dangerous_files


def _hang(path: Path) -> None:
    """Shrink the free space that a heap of names tells of: HDF5 2.0 then looks for its end for ever."""
    content = bytearray(path.read_bytes())
    place = content.index(b"GCOL") + 16
    while struct.unpack_from("<H", content, place)[0] != 0:
        place += 16 + -(-struct.unpack_from("<Q", content, place + 8)[0] // 8) * 8
    size = struct.unpack_from("<Q", content, place + 8)[0]
    struct.pack_into("<Q", content, place + 8, size - 23)
    path.write_bytes(content)


def test_good_files_and_plainly_damaged_ones_are_no_danger(folder: Path) -> None:
    paths = sorted(folder.rglob("*.h5"))
    paths[0].write_bytes(b"bad")
    paths[1].write_bytes(paths[1].read_bytes()[:2000])
    assert dangerous_files(paths) == {}


def test_a_file_that_hangs_the_library_is_a_finding(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(avzsl.data.verify, "dangerous_files", functools.partial(dangerous_files, limit=1.0))
    path = folder / "features/main_features/audio/stage_1_train/cat.h5"
    _hang(path)
    if not dangerous_files([path], limit=1.0):
        pytest.skip("this version of HDF5 does not hang")
    (folder / "features/main_features/video/stage_1_train/dog.h5").write_bytes(b"bad")
    first, second = verify_benchmark(folder).of("error")
    assert (first.kind, first.where) == ("damaged-file", "features/main_features/audio/stage_1_train/cat.h5")
    assert first.what == "is damaged: reading it takes more than 1 s"
    assert second.where == "features/main_features/video/stage_1_train/dog.h5"


def test_a_hang_and_a_crash_cost_one_child_each(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = """
import json, os, sys, time
json.loads(sys.stdin.readline())
print("ready", flush=True)
for line in sys.stdin:
    path = os.path.basename(json.loads(line))
    if "hang" in path:
        time.sleep(60)
    if "crash" in path:
        os._exit(139)
    print("done", flush=True)
"""
    monkeypatch.setattr(guard, "_CHILD", code)
    started = []
    child = guard._Child
    monkeypatch.setattr(guard, "_Child", lambda: started.append(child()) or started[-1])
    paths = [tmp_path / name for name in ("a", "hang", "b", "crash", "c", "crash 2")]
    for path in paths:
        path.write_bytes(b"")
    assert dangerous_files(paths, limit=0.5) == {
        paths[1]: "reading it takes more than 0.5 s",
        paths[3]: "reading it crashes the HDF5 library",
        paths[5]: "reading it crashes the HDF5 library",
    }
    assert len(started) == 3
    assert all(used.process.poll() is not None and not used.thread.is_alive() for used in started)


@pytest.mark.parametrize("code", ["raise SystemExit(1)", "import nothing_of_this_name"])
def test_without_a_child_files_are_read_without_this_care(
    code: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guard, "_CHILD", code)
    assert dangerous_files(sorted(folder.rglob("*.h5"))) == {}

    def refuse(*_: Any, **__: Any) -> None:
        raise PermissionError("no processes here")

    monkeypatch.setattr(guard.subprocess, "Popen", refuse)
    assert not verify_benchmark(folder).of("error")


def test_a_large_claim_does_not_fill_the_memory(tmp_path: Path) -> None:
    import h5py

    with h5py.File(tmp_path / "claims.h5", "w") as file:
        file.create_dataset("data", shape=(2**30,), dtype="f8", chunks=(2**20,))
    assert dangerous_files([tmp_path / "claims.h5"], limit=1.0) == {}
