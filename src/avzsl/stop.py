"""A request to stop that cannot get lost.

Python raises `KeyboardInterrupt` wherever the main thread happens to be when a signal arrives, and libraries written in
C drop it now and then. Seen in about one of 200 moments of rendering clips: PyAV runs a little Python while it makes
the traceback of an error that it expects and handles itself (the resampler that wants more input), NumPy while it turns
a text into a scalar, and both forget what that raises. So the handler here also leaves a note, and every loop that
reports progress reads it between two items.
"""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Any

# A plain variable: a handler that waits for a lock which the interrupted code holds would wait for ever.
_asked = False


def note(number: int, frame: FrameType | None) -> None:
    """The handler of a signal: leave a note and raise.

    Raises:
        KeyboardInterrupt: always.
    """
    global _asked
    _asked = True
    raise KeyboardInterrupt


def check() -> None:
    """Read the note that a request has left.

    Raises:
        KeyboardInterrupt: a stop was asked for since the last call.
    """
    global _asked
    if _asked:
        _asked = False
        raise KeyboardInterrupt


@contextlib.contextmanager
def heed() -> Iterator[None]:
    """Let Ctrl-C and a cluster's request to end (SIGTERM) be the same inside the block, and leave a note.

    Signals that somebody else already handles (or ignores) are left alone, as they are in other threads than the main
    one, where Python cannot catch them.
    """
    global _asked
    usual: dict[int, Any] = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL}
    if threading.current_thread() is not threading.main_thread():
        usual = {}
    usual = {number: handler for number, handler in usual.items() if signal.getsignal(number) == handler}
    _asked = False
    for number in usual:
        signal.signal(number, note)
    try:
        yield
    finally:
        for number, handler in usual.items():
            signal.signal(number, handler)
        _asked = False
