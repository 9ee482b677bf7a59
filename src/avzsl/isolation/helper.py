"""One child process that is asked for one thing after the other."""

from __future__ import annotations

import multiprocessing.connection
import time
from collections.abc import Callable
from typing import Any

from avzsl.errors import AvzslError
from avzsl.isolation.child import Child, cause, unpack


class Helper:
    """Calls a function in a child, which starts with the first call and is replaced when it hangs or crashes.

    Args:
        function: called with one item; both must be picklable. A `Parcel` is the cheapest way to return large arrays.
        trouble: kind of error for a hang, a crash, or an exception that the function did not mean to raise.
    """

    def __init__(self, function: Callable[[Any], Any], *, trouble: type[AvzslError]) -> None:
        self.function, self.trouble = function, trouble
        self._child: Child | None = None

    def __call__(self, item: Any, *, timeout: float, memory: int | None = None) -> Any:
        """The result for one item.

        Args:
            item: handed to the function.
            timeout: seconds it may take.
            memory: bytes it may ask for, where the system can hold it to that; None = any number.

        Raises:
            AvzslError: raised by the function, or of the kind `trouble`.
        """
        child = self._child or self._start()
        child.give(0, item, timeout, memory)
        late = not _wait(child)
        answer = None if late else child.answer()
        if answer is None:
            code = child.kill() if late else child.end()
            self._child = None
            answer = "trouble", f"reading it takes more than {timeout:.3g} s" if late else f"it crashes: {cause(code)}"
        elif child.astray:
            self.close()
        return self._result(answer, item)

    def close(self) -> None:
        """End the child."""
        if self._child is not None:
            self._child.kill()
            self._child = None

    def _start(self) -> Child:
        try:
            child = Child(self.function, quiet=True)
        except OSError as error:
            raise AvzslError(f"cannot start a process to read files in ({error}); {_WAY_ON}") from error
        answer = child.answer() if _wait(child) else None
        if answer is None:
            raise AvzslError(f"the process to read files in does not start: {cause(child.kill())}; {_WAY_ON}")
        self._child = child
        return child

    def _result(self, answer: tuple[str, Any], item: Any) -> Any:
        if answer[0] == "trouble":
            raise self.trouble(answer[1])
        value = unpack(answer, item)
        if isinstance(value, AvzslError):
            raise value
        return value


_WAY_ON = "if you know where the files come from, read them in this one with --trusted (trusted=True)"


def _wait(child: Child) -> bool:
    """Wait until the child has answered or died; False when its time is over first."""
    patience = max(0.0, child.deadline - time.monotonic())
    return bool(multiprocessing.connection.wait([child.pipe, child.process.sentinel], patience))
