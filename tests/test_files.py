from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from avzsl.errors import DataError, OutputError
from avzsl.files import (
    LOCK,
    atomic_path,
    lock_folder,
    read_json,
    read_text,
    reason,
    write_json,
    write_tensors,
    write_text,
)


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    write_text(tmp_path / "a.txt", "old")
    with pytest.raises(OutputError, match=r"a\.txt: .*; free some disk space"), atomic_path(tmp_path / "a.txt") as file:
        file.write_text("half of the n")
        raise OSError(errno.ENOSPC, "No space left on device")
    assert (tmp_path / "a.txt").read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


def test_a_number_that_json_cannot_name_is_refused_and_the_old_file_stays(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"a": 1})
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "a.json", {"a": float("nan")})
    assert read_json(tmp_path / "a.json") == {"a": 1}


@pytest.mark.parametrize(("content", "message"), [(b'{"a"', "not valid JSON"), (b"\xff\xfe", "not valid JSON")])
def test_a_damaged_json_file_is_named(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(DataError, match=rf"a\.json is {message}"):
        read_json(tmp_path / "a.json")


def test_the_errors_of_libraries_become_the_systems_words() -> None:
    hdf5 = OSError("Can't close file (file write failed: time = today, errno = 28, error message = 'No space left')")
    assert reason(hdf5) == os.strerror(errno.ENOSPC)
    assert reason(OSError("something else")) == "something else"
    assert reason(OSError(errno.EACCES, "Permission denied", "x")) == "Permission denied"


def test_tensors_come_back_even_when_they_share_memory(tmp_path: Path) -> None:
    from safetensors import safe_open

    whole = torch.arange(6.0).reshape(2, 3)
    write_tensors(tmp_path / "a.safetensors", {"whole": whole, "turned": whole.T}, {"note": "x"})
    with safe_open(tmp_path / "a.safetensors", framework="pt") as stored:
        assert stored.metadata() == {"note": "x"}
        assert torch.equal(stored.get_tensor("turned"), whole.T)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_tensors_on_a_full_disk_are_an_output_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The library's own writer reports a full disk as an error that is no OSError."""
    real = Path.write_bytes
    monkeypatch.setattr(Path, "write_bytes", lambda self, data: real(Path("/dev/full"), data))
    with pytest.raises(OutputError, match="free some disk space"):
        write_tensors(tmp_path / "a.safetensors", {"a": torch.zeros(3)})
    assert list(tmp_path.iterdir()) == []


def test_two_cannot_hold_one_folder_and_nothing_is_left(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with lock_folder(folder):
        expected = rf"run is in use by .*process {os.getpid()}.*choose another"
        with pytest.raises(OutputError, match=expected), lock_folder(folder):
            raise AssertionError("held twice")
        assert (folder / LOCK).exists()  # the one that was refused has not taken it away
        (folder / "work").touch()
    assert [p.name for p in folder.iterdir()] == ["work"]
    with lock_folder(folder):  # free again
        pass


def test_a_folder_in_which_nothing_came_about_goes_again(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), lock_folder(tmp_path / "new"):
        raise ZeroDivisionError
    (tmp_path / "old").mkdir()
    with lock_folder(tmp_path / "old"):
        pass
    assert [p.name for p in tmp_path.iterdir()] == ["old"]


@pytest.mark.skipif(sys.platform == "win32", reason="kills a process")
def test_a_killed_process_holds_nothing(tmp_path: Path) -> None:
    code = (
        "import sys, time\nfrom avzsl.files import lock_folder\n"
        f"with lock_folder({str(tmp_path)!r}):\n    print('held', flush=True)\n    time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "held\n"
        with pytest.raises(OutputError, match=f"process {child.pid}"), lock_folder(tmp_path):
            pass
        child.kill()
    assert (tmp_path / LOCK).exists()
    with lock_folder(tmp_path):
        pass
    assert not (tmp_path / LOCK).exists()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="makes pipes")
def test_a_pipe_or_a_device_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "device").symlink_to("/dev/zero")
    for name in ("pipe", "device", ""):
        with pytest.raises(OSError, match="not a file"):
            read_text(tmp_path / name)
        with pytest.raises(DataError, match="not a file"):
            read_json(tmp_path / name)


def test_half_a_character_in_a_json_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text('{"\\uD800": 1}')
    with pytest.raises(DataError, match="not valid JSON"):
        read_json(path)
    path.write_text('{"a": "\\ud83d\\ude00 \\\\ud800"}')  # a whole one, and a backslash before letters
    assert read_json(path) == {"a": "\U0001f600 \\ud800"}
