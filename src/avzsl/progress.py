"""Progress that the library reports and somebody else shows.

Library code wraps its long loops in `track`. Nothing is printed unless a listener is set; the command line
sets one that draws bars. Each report is also where a request to stop is noticed (`avzsl.stop`).
"""

from __future__ import annotations

import contextlib
import contextvars
from collections.abc import Iterable, Iterator, Sized
from typing import Protocol, TypeVar

from avzsl import stop

T = TypeVar("T")


class Task(Protocol):
    """One running task of a listener."""

    def advance(self, steps: int = 1, note: str = "") -> None:
        """Say that `steps` more are done; `note` is a short text beside the bar."""


class Listener(Protocol):
    """Whoever shows progress."""

    def task(self, name: str, total: int | None) -> contextlib.AbstractContextManager[Task]:
        """Start a task of `total` steps (None = unknown)."""


class _Silent:
    def advance(self, steps: int = 1, note: str = "") -> None:
        stop.check()


class _Told:
    def __init__(self, shown: Task) -> None:
        self._shown = shown

    def advance(self, steps: int = 1, note: str = "") -> None:
        self._shown.advance(steps, note)
        stop.check()


_listener: contextvars.ContextVar[Listener | None] = contextvars.ContextVar("avzsl_progress", default=None)


@contextlib.contextmanager
def listen(listener: Listener) -> Iterator[None]:
    """Send all progress inside the block to `listener`."""
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)


@contextlib.contextmanager
def task(name: str, total: int | None = None) -> Iterator[Task]:
    """A task whose steps are reported by hand with `advance`.

    Raises:
        KeyboardInterrupt: from `advance`, when a stop was asked for and its exception got lost.
    """
    listener = _listener.get()
    if listener is None:
        yield _Silent()
    else:
        with listener.task(name, total) as running:
            yield _Told(running)


def track(items: Iterable[T], name: str, total: int | None = None) -> Iterator[T]:
    """Yield the items and report one step after each."""
    if total is None and isinstance(items, Sized):
        total = len(items)
    with task(name, total) as running:
        for item in items:
            yield item
            running.advance()
