"""Children get no more memory and no more time than they are given, and hand arrays over unchanged."""

from __future__ import annotations

import json
import multiprocessing
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from avzsl.errors import AvzslError, DataError, MediaError
from avzsl.isolation import Helper, Parcel, allowance, memory_is_limited, run_isolated
from avzsl.isolation.child import Child
from avzsl.isolation.parcel import receive_parcel, send_parcel

limited = pytest.mark.skipif(not memory_is_limited(), reason="only Linux limits memory")


def _fill(size: int) -> int:
    return int(np.ones(size, np.uint8)[-1]) * size


@limited
def test_an_item_that_fills_the_memory_is_an_error_and_the_next_goes_on() -> None:
    sizes = [2**20, 2**30, 2**20]
    results = [result for _, result in run_isolated(_fill, sizes, workers=1, timeout=20, memory=2**28)]
    assert results[0] == results[2] == 2**20
    assert isinstance(results[1], MediaError) and "more memory" in str(results[1])


@limited
def test_each_call_of_a_helper_has_its_own_limit() -> None:
    helper = Helper(_fill, trouble=DataError)
    try:
        assert helper(2**28, timeout=20, memory=2**29) == 2**28
        with pytest.raises(DataError, match="more memory"):
            helper(2**28, timeout=20, memory=2**27)
        assert helper(2**28, timeout=20) == 2**28
    finally:
        helper.close()


def test_no_machine_gives_more_than_it_has() -> None:
    assert allowance(1000) == 1000
    assert allowance(2**62) < 2**50


ARRAYS = {
    "large": np.arange(2**19, dtype=np.float32).reshape(-1, 64),
    "empty": np.zeros((0, 3), np.int64),
    "one": np.array(7, np.int64),
    "flipped": np.arange(2**18, dtype=np.int64).reshape(2, -1).T,
}


def _sent(arrays: dict[str, Any]) -> Parcel:
    """What arrives of a parcel, sent through a real pipe."""
    ours, theirs = multiprocessing.Pipe()
    sender = threading.Thread(target=send_parcel, args=(theirs, Parcel(arrays, {"names": ["ü", "\ud800"]})))
    sender.start()
    kind, header = ours.recv()
    assert kind == "parcel"
    found = receive_parcel(ours, header, None)
    sender.join()
    return found


@pytest.mark.parametrize("names", [("large", "empty", "one", "flipped"), ("one",), ("empty",), ("empty", "one")])
@pytest.mark.parametrize("shared", [True, False])
def test_arrays_arrive_unchanged_and_can_be_written_to(
    names: tuple[str, ...], shared: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not shared:
        monkeypatch.setattr("avzsl.isolation.parcel._shared", lambda _: None)
    found = _sent({name: ARRAYS[name] for name in names})
    assert found.about == {"names": ["ü", "\ud800"]}
    for name in names:
        assert found.arrays[name].dtype == ARRAYS[name].dtype
        np.testing.assert_array_equal(found.arrays[name], ARRAYS[name])
        found.arrays[name][...] = 0


@pytest.mark.parametrize(
    ("arrays", "most"),
    [
        ([["data", "float64", [2]]], None),
        ([["data", "object", [2]]], None),
        ([["data", "float32", [-1]]], None),
        ([["data", "float32", [2.5]]], None),
        ([["data", "float32", [2**40, 2**40]]], 2**30),
        ([["data", "float32", [3]]], None),  # 8 bytes were sent
    ],
)
def test_a_header_that_does_not_fit_is_refused(arrays: list[Any], most: int | None) -> None:
    ours, theirs = multiprocessing.Pipe()
    theirs.send_bytes(bytes(8))
    header = json.dumps({"arrays": arrays, "about": {}, "shared": False})
    with pytest.raises(ValueError, match="it sent"):
        receive_parcel(ours, header, most)


def test_more_than_was_allowed_is_not_even_asked_for() -> None:
    ours, _ = multiprocessing.Pipe()  # nothing will ever come
    header = json.dumps({"arrays": [["data", "float32", [1000]]], "about": {}, "shared": False})
    with pytest.raises(ValueError, match="more than 3999 bytes"):
        receive_parcel(ours, header, 3999)


def _nonsense(item: str) -> Any:
    return Parcel({"data": np.ones(3, np.float16)}) if item == "bad" else Parcel({"data": np.ones(3, np.float32)})


def test_a_child_that_talks_nonsense_is_replaced() -> None:
    helper = Helper(_nonsense, trouble=DataError)
    try:
        assert len(helper("good", timeout=20).arrays["data"]) == 3
        with pytest.raises(DataError, match="makes no sense"):
            helper("bad", timeout=20)
        assert helper._child is None
        assert len(helper("good", timeout=20).arrays["data"]) == 3
    finally:
        helper.close()
    results = [type(r).__name__ for _, r in run_isolated(_nonsense, ["good", "bad", "good"], workers=1, timeout=20)]
    assert results == ["Parcel", "MediaError", "Parcel"]


def test_a_child_that_dies_at_its_start_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Child, "answer", lambda self: None)
    with pytest.raises(AvzslError, match="does not start"):
        Helper(_fill, trouble=DataError)(1, timeout=1)


def test_a_script_that_reads_at_its_top_is_not_run_again_in_the_child(tmp_path: Path) -> None:
    """Another thread makes the child start from a clean process, which would run the script first."""
    script = tmp_path / "script.py"
    script.write_text(
        "import os, threading, time\n"
        "threading.Thread(target=time.sleep, args=(30,), daemon=True).start()\n"
        "from avzsl.isolation import Helper\n"
        "from avzsl.errors import DataError\n"
        "print('begin', flush=True)\n"
        "helper = Helper(os.path.basename, trouble=DataError)\n"
        "print(helper('a/b', timeout=20), flush=True)\n"
        "helper.close()\n"
        "os._exit(0)\n"
    )
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=60)
    assert done.stdout.split() == ["begin", "b"], done.stderr
