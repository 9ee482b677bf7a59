"""Progress on stderr: bars on a terminal, now and then a line elsewhere, so that a pipe stays clean."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator
from typing import Any

from avzsl import progress

# Seconds between two lines when stderr is a file.
EVERY = 30.0


@contextlib.contextmanager
def show_progress(*, quiet: bool) -> Iterator[None]:
    """Show the progress of everything inside the block."""
    if quiet:
        yield
    elif not sys.stderr.isatty():
        with progress.listen(Lines()):
            yield
    else:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (
            TextColumn("{task.description}"), BarColumn(bar_width=24), MofNCompleteColumn(), TimeRemainingColumn(),
            TextColumn("[dim]{task.fields[note]}"),
        )  # fmt: skip
        with Progress(*columns, console=Console(stderr=True), transient=True) as bars, progress.listen(Bars(bars)):
            yield


class Bars:
    """One bar per task; it goes when the task ends."""

    def __init__(self, bars: Any) -> None:
        self._bars = bars

    @contextlib.contextmanager
    def task(self, name: str, total: int | None) -> Iterator[progress.Task]:
        """Draw a bar."""
        number = self._bars.add_task(name, total=total, note="")
        try:
            yield _Bar(self._bars, number)
        finally:
            self._bars.remove_task(number)


class _Bar:
    def __init__(self, bars: Any, number: Any) -> None:
        self._bars, self._number = bars, number

    def advance(self, steps: int = 1, note: str = "") -> None:
        fields = {"note": _plain(note)} if note else {}
        self._bars.update(self._number, advance=steps, **fields)


class Lines:
    """A line every half minute per task."""

    @contextlib.contextmanager
    def task(self, name: str, total: int | None) -> Iterator[progress.Task]:
        """Begin to count."""
        yield _Line(name, total)


class _Line:
    def __init__(self, name: str, total: int | None) -> None:
        self._name, self._total, self._done, self._said = name, total, 0, time.monotonic()

    def advance(self, steps: int = 1, note: str = "") -> None:
        self._done += steps
        if time.monotonic() - self._said >= EVERY:
            self._said = time.monotonic()
            of = "" if self._total is None else f"/{self._total}"
            print(f"{self._name}: {self._done}{of}{', ' if note else ''}{note}", file=sys.stderr, flush=True)


def _plain(text: str) -> str:
    # Square brackets in a class name are not markup.
    return text.replace("[", r"\[")
