"""Children that hang, crash, raise or die are replaced; everything else goes on in order."""

from __future__ import annotations

import faulthandler
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from avzsl import progress
from avzsl.errors import AvzslError, MediaError, MissingExtraError, SettingError
from avzsl.isolation import run_isolated


def _double(item: int) -> int:
    return 2 * item


def _trouble(item: str) -> str:
    if item == "hang":
        time.sleep(60)
    if item == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if item == "segfault":
        faulthandler.disable()  # pytest's own report of the crash is not wanted here
        os.kill(os.getpid(), signal.SIGSEGV)
    if item == "exit":
        os._exit(3)
    if item == "media":
        raise MediaError("film.mp4: is empty")
    if item == "bug":
        raise KeyError("frames")
    if item == "lambda":
        return lambda: None  # type: ignore[return-value]
    if item == "setting":
        raise SettingError("unknown extractor")
    if item == "extra":
        raise MissingExtraError("av", "video", "reading")
    return item.upper()


def _slow_first(item: int) -> tuple[int, int]:
    time.sleep(0.2 if item == 0 else 0)
    return item, os.getpid()


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_results_come_in_the_order_of_the_items(workers: int) -> None:
    results = list(run_isolated(_slow_first, range(20), workers=workers, timeout=20))
    assert [item for item, _ in results] == list(range(20))
    assert [value[0] for _, value in results] == list(range(20))  # type: ignore[index]
    pids = {value[1] for _, value in results}  # type: ignore[index]
    assert (os.getpid() in pids) == (workers == 0)
    assert len(pids) <= max(1, workers)


def test_bad_items_become_errors_and_the_others_go_on() -> None:
    items = ["a", "hang", "b", "kill", "segfault", "c", "exit", "media", "bug", "lambda", "d"]
    start = time.monotonic()
    results = dict(run_isolated(_trouble, items, workers=2, timeout=1.0))
    assert time.monotonic() - start < 15
    assert list(results) == items
    assert [results[k] for k in "abcd"] == ["A", "B", "C", "D"]
    messages = {k: str(v) for k, v in results.items() if isinstance(v, MediaError)}
    assert messages["hang"] == "hang: took longer than 1 s"
    assert "SIGKILL" in messages["kill"] and "memory" in messages["kill"] and messages["kill"].startswith("kill:")
    assert "SIGSEGV" in messages["segfault"]
    assert "exit code 3" in messages["exit"]
    assert messages["media"] == "film.mp4: is empty"
    assert "KeyError" in messages["bug"]
    assert "cannot be sent back" in messages["lambda"]


@pytest.mark.parametrize("workers", [0, 1])
def test_errors_that_would_meet_every_item_are_raised(workers: int) -> None:
    with pytest.raises(SettingError, match="unknown extractor"):
        list(run_isolated(_trouble, ["a", "setting"], workers=workers, timeout=5))
    with pytest.raises(MissingExtraError, match=r"avzsl\[video\]"):
        list(run_isolated(_trouble, ["extra"], workers=workers, timeout=5))


def test_items_are_drawn_lazily() -> None:
    drawn = []

    def source():  # type: ignore[no-untyped-def]
        for i in range(1000):
            drawn.append(i)
            yield i

    running = run_isolated(_double, source(), workers=1, timeout=5)
    assert next(running) == (0, 0)
    assert len(drawn) <= 6
    running.close()  # type: ignore[attr-defined]


def test_children_are_gone_when_the_caller_stops_early() -> None:
    running = run_isolated(_slow_first, range(100), workers=2, timeout=5)
    pids = {next(running)[1][1] for _ in range(5)}  # type: ignore[index]
    running.close()  # type: ignore[attr-defined]
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_no_child_is_started_without_items() -> None:
    assert list(run_isolated(_trouble, [], workers=4, timeout=1)) == []


def test_progress_of_the_function_does_not_reach_the_parent() -> None:
    class Refusing:
        def task(self, name: str, total: int | None) -> object:
            raise AssertionError("called from a child")

    def tracked(item: int) -> int:
        return sum(progress.track(range(item), "inner"))

    with progress.listen(Refusing()):  # type: ignore[arg-type]
        assert dict(run_isolated(tracked, [3], workers=1, timeout=5)) == {3: 3}


@pytest.mark.parametrize(("workers", "timeout"), [(-1, 1.0), (1, 0.0), (1, float("nan"))])
def test_senseless_settings_are_refused(workers: int, timeout: float) -> None:
    with pytest.raises(SettingError):
        run_isolated(_double, [1], workers=workers, timeout=timeout)


def test_torch_works_in_children_after_the_parent_used_threads() -> None:
    import torch

    def multiply(size: int) -> float:
        return float((torch.ones(size, size) @ torch.ones(size, size)).sum())

    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        multiply(600)
        assert dict(run_isolated(multiply, [600], workers=1, timeout=20)) == {600: 600.0**3}
    finally:
        torch.set_num_threads(before)


_SCRIPT = """
import sys, threading, os, time
{thread}
from avzsl.isolation import run_isolated
from {module} import {function} as f
for item, result in run_isolated(f, {items}, workers=2, timeout=20):
    print(item, result, flush=True)
"""


def _start(module: str, function: str, items: str, thread: str = "", **options: object) -> subprocess.Popen[str]:
    code = _SCRIPT.format(module=module, function=function, items=items, thread=thread)
    return subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options
    )  # type: ignore[call-overload]


@pytest.mark.parametrize("thread", ["", "threading.Thread(target=time.sleep, args=(60,), daemon=True).start()"])
def test_it_works_in_a_bare_interpreter_with_and_without_other_threads(thread: str) -> None:
    out, err = _start("os.path", "basename", "['a/b', 'c/d', None]", thread).communicate(timeout=60)
    lines = out.splitlines()
    assert lines[:2] == ["a/b b", "c/d d"], err
    assert lines[2].startswith("None None: unexpected TypeError")


def _children_of(pid: int) -> list[int]:
    return [int(p) for p in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGKILL])
def test_children_end_with_the_parent(ending: signal.Signals) -> None:
    parent = _start("time", "sleep", "[0, 50, 50]")
    try:
        assert parent.stdout is not None and parent.stdout.readline() == "0 None\n"
        children = _children_of(parent.pid)
        assert len(children) == 2
        parent.send_signal(ending)
        _, err = parent.communicate(timeout=20)
        assert ("KeyboardInterrupt" in err) == (ending is signal.SIGINT)
        deadline = time.monotonic() + 10
        while any(Path(f"/proc/{c}").exists() and "Z" not in _state(c) for c in children):
            assert time.monotonic() < deadline, "a child outlives its parent"
            time.sleep(0.05)
    finally:
        parent.kill()


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return "Z"


def test_a_function_that_children_cannot_find_ends_in_an_error() -> None:
    """With another thread running, children are not forked and must import the function."""
    stop = threading.Event()
    other = threading.Thread(target=stop.wait)
    other.start()
    try:
        with pytest.raises(AvzslError, match="importable"):
            list(run_isolated(lambda item: item, [1], workers=1, timeout=5))
    finally:
        stop.set()
        other.join()
