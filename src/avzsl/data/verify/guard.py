"""Let a child process open feature files first: some damage makes the HDF5 library hang or crash, and us with it."""

from __future__ import annotations

import contextlib
import json
import queue
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from avzsl.progress import track

# Seconds a file may take, and bytes that are worth one second more (a slow network disk).
LIMIT, _BYTES = 30.0, 2_000_000
_START, _STOP = 60.0, 5.0
# Opens what it is told, line by line. It imports nothing of ours, so that it starts quickly; large plain tables are not
# read to the end, for nothing in them leads the library astray. What claims more than its file can hold is skipped.
_CHILD = """
import json, os, sys
sys.path[:] = json.loads(sys.stdin.readline())
import h5py
print("ready", flush=True)

def look(size, name, item):
    if isinstance(item, h5py.Dataset) and item.shape is not None and item.nbytes < 2**26 + 1100 * size:
        item[()] if item.chunks or item.nbytes < 2**22 else item[:1]

for line in sys.stdin:
    path = json.loads(line)
    try:
        with h5py.File(path, "r") as file:
            size = os.path.getsize(path)
            file.visititems(lambda name, item: look(size, name, item))
            dict(file.attrs)
    except Exception:
        pass  # the reader in the parent says what is wrong
    print("done", flush=True)
"""


def dangerous_files(paths: Sequence[Path], limit: float = LIMIT) -> dict[Path, str]:
    """The files that nobody should open in this process, with what happened to the child that did.

    Args:
        paths: HDF5 files.
        limit: seconds one small file may take.
    """
    found: dict[Path, str] = {}
    child: _Child | None = None
    try:
        for path in track(paths, "opening files"):
            child = child or _Child()
            trouble = child.open(path, limit)
            if trouble is not None:
                found[path] = trouble
                child.end()
                child = None
    except OSError:
        pass  # no child can be had here; then files are read without this care
    finally:
        if child is not None:
            child.end()
    return found


class _Child:
    """A process that opens files, and a thread that waits for its answers."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", _CHILD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            text=True,
        )  # fmt: skip
        self.answers: queue.Queue[str] = queue.Queue()
        self.thread = threading.Thread(target=self._listen, daemon=True)
        self.thread.start()
        self._say(sys.path)
        if not self._answer(_START):
            self.end()
            raise OSError("the child does not start")

    def open(self, path: Path, limit: float) -> str | None:
        """What went wrong when the child opened a file; None when nothing did."""
        self._say(str(path))
        answer = self._answer(limit + path.stat().st_size / _BYTES)
        if answer is None:
            return f"reading it takes more than {limit:g} s"
        return None if answer else "reading it crashes the HDF5 library"

    def end(self) -> None:
        """Stop the process, whatever it does."""
        self.process.kill()
        self.process.wait(_STOP)
        self.thread.join(_STOP)
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()

    def _answer(self, seconds: float) -> str | None:
        """What the child says; empty when it is dead, None when it says nothing in time."""
        try:
            return self.answers.get(timeout=seconds)
        except queue.Empty:
            return None

    def _say(self, words: object) -> None:
        with contextlib.suppress(OSError):  # a dead child is noticed when its answer is awaited
            assert self.process.stdin is not None
            self.process.stdin.write(json.dumps(words) + "\n")
            self.process.stdin.flush()

    def _listen(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.answers.put(line)
        self.answers.put("")
