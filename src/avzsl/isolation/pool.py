"""Run a function over items in child processes, so that one bad file cannot stop the rest.

A decoder written in C can hang or crash on a damaged file. Here the child that does so is ended and replaced,
and its item is reported as a `MediaError`; everything else goes on.
"""

from __future__ import annotations

import collections
import itertools
import multiprocessing.connection
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Generic, TypeVar

from avzsl.errors import AvzslError, MediaError, SettingError
from avzsl.isolation.child import Child, attempt, cause, unpack

T = TypeVar("T")
R = TypeVar("R")

# Items handed out beyond the one that is yielded next, per child; bounds the results that wait for their turn.
_AHEAD = 4
# Children that die one after the other before they take an item: the fault is not an item's.
_FAILED_STARTS = 3


def run_isolated(
    function: Callable[[T], R], items: Iterable[T], *, workers: int, timeout: float, memory: int | None = None
) -> Iterator[tuple[T, R | MediaError]]:
    """Yield (item, result) in the order of `items`, each computed in a child process.

    A `MediaError` or an unexpected exception of the function becomes that item's result, as do a timeout and a
    crash. Any other `AvzslError` (a wrong setting, a missing package, a full disk) is raised here, because it
    would meet every item.

    Args:
        function: called with one item; it and its results must be picklable. Progress that it reports is dropped.
        items: read lazily.
        workers: number of child processes; 0 computes in this process, without limits.
        timeout: seconds one item may take.
        memory: bytes a child may ask for, where the system can hold it to that; None = any number.

    Raises:
        SettingError: `workers` is negative or `timeout` is not positive.
        AvzslError: raised by the function (see above), or the children cannot be started.
    """
    if workers < 0 or not timeout > 0:
        raise SettingError(f"workers ({workers}) must be 0 or more and timeout ({timeout}) greater than 0 seconds")
    if workers == 0:
        return ((item, unpack(attempt(function, item), item)) for item in items)
    return iter(_Run(function, items, workers, timeout, memory))


class _Run(Generic[T, R]):
    """One pass over the items: who works on what, and which results wait for their turn."""

    def __init__(
        self, function: Callable[[T], R], items: Iterable[T], workers: int, timeout: float, memory: int | None
    ) -> None:
        self.function, self.workers, self.timeout, self.memory = function, workers, timeout, memory
        self.source = enumerate(items)
        self.drawn: collections.deque[T] = collections.deque()  # not yet yielded
        self.queue: collections.deque[tuple[int, T]] = collections.deque()  # not yet given to a child
        self.results: dict[int, tuple[str, Any]] = {}
        self.children: list[Child] = []
        self.failed_starts = 0

    def __iter__(self) -> Iterator[tuple[T, R | MediaError]]:
        try:
            for following in itertools.count():
                self._draw()
                if not self.drawn:
                    return
                while following not in self.results:
                    self._give()
                    for child in _due(self.children):
                        self._hear(child)
                item = self.drawn.popleft()
                # The other children go on while the caller works on this result.
                self._draw()
                self._give()
                yield item, unpack(self.results.pop(following), item)
        finally:
            for child in self.children:
                child.kill()

    def _draw(self) -> None:
        while len(self.drawn) < _AHEAD * self.workers:
            entry = next(self.source, None)
            if entry is None:
                return
            self.queue.append(entry)
            self.drawn.append(entry[1])

    def _give(self) -> None:
        """Start as many children as there is work for, and hand out items to those that are free."""
        free = [c for c in self.children if c.position is None]
        while len(self.children) < self.workers and len(self.queue) > len(free):
            free.append(Child(self.function, self.children))
            self.children.append(free[-1])
        for child in free:
            if child.ready and self.queue:
                child.give(*self.queue.popleft(), self.timeout, self.memory)

    def _hear(self, child: Child) -> None:
        """Take the answer of a child, or end it when it died or took too long."""
        answer = child.answer() if child.pipe.poll() else None
        if answer is not None:
            self.failed_starts, child.ready = 0, True
            if child.position is not None:
                self.results[child.position] = answer
            child.position = None
            if child.astray:
                self.children.remove(child)
                child.kill()
            return
        self.children.remove(child)
        late = time.monotonic() >= child.deadline and child.process.is_alive()
        code = child.kill() if late else child.end()
        if child.position is not None:
            self.results[child.position] = ("trouble", f"took longer than {self.timeout:g} s" if late else cause(code))
            return
        self.failed_starts += 1
        if self.failed_starts >= _FAILED_STARTS:
            raise AvzslError(
                f"worker processes cannot start ({cause(code)}); use workers=0, or put the code that starts them"
                " under if __name__ == '__main__'"
            )


def _due(children: list[Child]) -> list[Child]:
    """Wait until a child has answered, died or run out of time, and return those."""
    busy = [c for c in children if c.position is not None or not c.ready]
    if not busy:
        return []
    handles: dict[Any, Child] = {}
    for child in busy:
        handles[child.pipe] = handles[child.process.sentinel] = child
    patience = max(0.0, min(c.deadline for c in busy) - time.monotonic())
    due = {id(c): c for c in (handles[h] for h in multiprocessing.connection.wait(list(handles), patience))}
    now = time.monotonic()
    due.update({id(c): c for c in busy if now >= c.deadline})
    return list(due.values())
