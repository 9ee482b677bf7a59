"""Stop between two steps when the user presses Ctrl-C or a cluster sends SIGTERM, instead of inside one."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from avzsl import stop


class Interrupted(KeyboardInterrupt):
    """Training was stopped from outside and everything done so far is saved; the text says where."""


@contextmanager
def stop_requests() -> Iterator[Callable[[], bool]]:
    """Yield a function that says whether a stop was asked for; a second request stops at once.

    Signals can only be caught in the main thread; elsewhere the function always answers no.

    Raises:
        Interrupted: a stop was asked for and nobody has asked the function since.
        KeyboardInterrupt: a stop was asked for before and its exception got lost, or a second time.
    """
    stop.check()
    asked = answered = False

    def was_asked() -> bool:
        nonlocal answered
        answered = asked
        return asked

    if threading.current_thread() is not threading.main_thread():
        yield was_asked
        return

    def note(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        if asked:
            raise KeyboardInterrupt
        asked = True

    before: dict[int, Any] = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield was_asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if asked and not answered:
        raise Interrupted("stopped when training had just ended; give the same command again to continue")
