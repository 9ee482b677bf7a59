"""Trying things in a child: what works, and packages that fail in every way."""

from __future__ import annotations

import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from avzsl.cli import _probe
from avzsl.cli._probe import PROBES, run


def _fake(folder: Path, name: str, text: str) -> None:
    (folder / f"{name}.py").write_text(text)


def test_a_module_of_this_path_is_found_whatever_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "there").mkdir()
    _fake(tmp_path / "there", "good_one", "print('hello')")
    _fake(tmp_path, "json", "raise SystemExit('the module of another folder')")
    monkeypatch.syspath_prepend(str(tmp_path / "there"))
    monkeypatch.chdir(tmp_path)
    found = run("import", "good_one")
    assert (found.error, found.value) == (None, {})
    assert 0 < found.seconds < 60


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (
            "raise ImportError('libx.so.1: cannot open shared object file')",
            "ImportError: libx.so.1: cannot open shared",
        ),
        ("raise RuntimeError('one\\n  two')", "RuntimeError: one two"),
        ("raise SystemExit(3)", "SystemExit: 3"),
        ("import os; os._exit(3)", "ends with exit code 3"),
        ("import os, sys; sys.stderr.write('first\\nlast words\\n'); os._exit(4)", "ends with exit code 4: last words"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "dies of signal 9"),
        ("raise ValueError('x' * 1000)", "ValueError: xxx"),
    ],
)
def test_a_package_that_breaks_is_told_on_one_line(
    text: str, error: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _fake(tmp_path, "bad_one", text)
    monkeypatch.syspath_prepend(str(tmp_path))
    found = run("import", "bad_one")
    assert found.error is not None and found.error.startswith(error)
    assert "\n" not in found.error and len(found.error) <= 200


def test_a_package_that_hangs_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _fake(tmp_path, "slow_one", "import time; time.sleep(60)")
    monkeypatch.syspath_prepend(str(tmp_path))
    started = time.monotonic()
    assert run("import", "slow_one", limit=1.0).error == "takes more than 1 s"
    assert time.monotonic() - started < 20


def test_a_system_without_processes_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise PermissionError("not here")

    monkeypatch.setattr(_probe.subprocess, "run", refuse)
    assert run("import", "json").error == "no child process can be started (not here)"


def test_a_lazy_package_is_loaded_as_the_verbs_use_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The bare import of transformers passes even where its models cannot be loaded."""
    _fake(tmp_path, "transformers", "def __getattr__(name): raise RuntimeError(f'operator torchvision::nms, {name}')")
    monkeypatch.syspath_prepend(str(tmp_path))
    error = run("import", "transformers").error
    assert error is not None and error.startswith("RuntimeError: operator torchvision::nms")


@pytest.mark.parametrize("name", ["torch", "hdf5", "cuda", "package"])
def test_what_the_core_does_works_here(name: str) -> None:
    value = PROBES[name]()
    assert value
    assert name != "torch" or value["threads"] >= 1
    assert name != "package" or (value["methods"] >= 10 and value["presets"] >= value["methods"])


def test_the_round_trip_through_a_video_works_here() -> None:
    pytest.importorskip("av")
    assert PROBES["video"]() == {}


def test_a_wrong_product_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.setattr(torch.Tensor, "__matmul__", lambda a, b: torch.matmul(a, b) * 1.01)
    with pytest.raises(ArithmeticError, match=r"on the CPU is wrong"):
        PROBES["torch"]()


def test_a_picture_or_sound_that_comes_back_changed_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("av")
    from dataclasses import replace

    from avzsl.media import decode

    real = decode.read_clip
    monkeypatch.setattr(decode, "read_clip", lambda *a, **k: replace(real(*a, **k), frames=real(*a, **k).frames * 0))
    with pytest.raises(ArithmeticError, match=r"H.264"):
        PROBES["video"]()
    monkeypatch.setattr(decode, "read_clip", lambda *a, **k: replace(real(*a, **k), audio=None))
    with pytest.raises(ArithmeticError, match=r"AAC"):
        PROBES["video"]()


def test_every_card_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cards that are not there: the first computes, the second gives nonsense, the third does not start."""
    import torch

    names = ["first", "second", "third"]
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: len(names))
    properties = lambda number: SimpleNamespace(name=names[number], total_memory=2**30)  # noqa: E731
    monkeypatch.setattr(torch.cuda, "get_device_properties", properties)
    real = torch.Tensor.to

    def to(self: torch.Tensor, device: str) -> torch.Tensor:
        if device == "cuda:2":
            raise RuntimeError("no kernel image is available")
        return real(self, "cpu") * (2 if device == "cuda:1" else 1)

    monkeypatch.setattr(torch.Tensor, "to", to)
    assert PROBES["cuda"]()["devices"] == [
        {"name": "first", "memory": 2**30, "error": None},
        {"name": "second", "memory": 2**30, "error": "a matrix product on it is wrong"},
        {"name": "third", "memory": 2**30, "error": "RuntimeError: no kernel image is available"},
    ]
