"""Run a function over items in child processes, so that one bad file cannot stop the rest.

A decoder written in C can hang or crash on a damaged file. Here the child that does so is ended and replaced,
and its item is reported as a `MediaError`; everything else goes on.
"""

from __future__ import annotations

import collections
import contextlib
import contextvars
import itertools
import multiprocessing
import multiprocessing.connection
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Generic, TypeVar

from avzsl import errors
from avzsl.errors import AvzslError, MediaError, SettingError

T = TypeVar("T")
R = TypeVar("R")

# Seconds a child may take until it has imported what the function needs.
_START = 120.0
# Items handed out beyond the one that is yielded next, per child; bounds the results that wait for their turn.
_AHEAD = 4
# Children that die one after the other before they take an item: the fault is not an item's.
_FAILED_STARTS = 3


def run_isolated(
    function: Callable[[T], R], items: Iterable[T], *, workers: int, timeout: float
) -> Iterator[tuple[T, R | MediaError]]:
    """Yield (item, result) in the order of `items`, each computed in a child process.

    A `MediaError` or an unexpected exception of the function becomes that item's result, as do a timeout and a
    crash. Any other `AvzslError` (a wrong setting, a missing package, a full disk) is raised here, because it
    would meet every item.

    Args:
        function: called with one item; it and its results must be picklable. Progress that it reports is dropped.
        items: read lazily.
        workers: number of child processes; 0 computes in this process, without a time limit.
        timeout: seconds one item may take.

    Raises:
        SettingError: `workers` is negative or `timeout` is not positive.
        AvzslError: raised by the function (see above), or the children cannot be started.
    """
    if workers < 0 or not timeout > 0:
        raise SettingError(f"workers ({workers}) must be 0 or more and timeout ({timeout}) greater than 0 seconds")
    # A child of a pool may not have children of its own.
    if workers == 0 or multiprocessing.current_process().daemon:
        return ((item, _unpack(_attempt(function, item), item)) for item in items)
    return iter(_Run(function, items, workers, timeout))


class _Child:
    """One child process and the item it works on."""

    def __init__(self, function: Callable[[Any], Any], siblings: Iterable[_Child]) -> None:
        context = _context(function)
        self.pipe, theirs = context.Pipe()
        # Only a forked child inherits these; it must let go of them to notice when this process ends.
        inherited = [c.pipe for c in siblings] + [self.pipe] if context.get_start_method() == "fork" else []
        self.process = context.Process(target=_serve, args=(function, theirs, inherited), daemon=True)
        with warnings.catch_warnings():
            # Python 3.12 warns of every fork beside native threads; those of BLAS and OpenMP sleep here.
            warnings.simplefilter("ignore", DeprecationWarning)
            try:
                self.process.start()
            except (AttributeError, TypeError, ValueError, ImportError) as error:
                raise AvzslError(
                    f"{function} cannot be sent to a child process ({error}); it must be importable: define it at the"
                    " top of a module, or use workers=0"
                ) from error
        theirs.close()
        self.position: int | None = None
        self.ready = False
        self.deadline = time.monotonic() + _START

    def give(self, position: int, item: Any, timeout: float) -> None:
        self.position, self.deadline = position, time.monotonic() + timeout
        # A child that died meanwhile is noticed when its answer is awaited.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.pipe.send(item)

    def answer(self) -> tuple[str, Any] | None:
        """What the child sent; None when it is dead."""
        try:
            answer: tuple[str, Any] = self.pipe.recv()
            return answer
        except (EOFError, OSError):
            return None

    def kill(self) -> int | None:
        """End the child at once."""
        self.process.kill()
        return self.end()

    def end(self) -> int | None:
        """Wait a moment for the child to end, then make it; the exit code."""
        # An exit code that is there already says more than the signal sent now.
        self.process.join(0.2 if self.process.is_alive() else 0)
        if self.process.is_alive():
            self.process.kill()
        self.process.join()
        code: int | None = self.process.exitcode
        self.process.close()
        self.pipe.close()
        return code


class _Run(Generic[T, R]):
    """One pass over the items: who works on what, and which results wait for their turn."""

    def __init__(self, function: Callable[[T], R], items: Iterable[T], workers: int, timeout: float) -> None:
        self.function, self.workers, self.timeout = function, workers, timeout
        self.source = enumerate(items)
        self.drawn: collections.deque[T] = collections.deque()  # not yet yielded
        self.queue: collections.deque[tuple[int, T]] = collections.deque()  # not yet given to a child
        self.results: dict[int, tuple[str, Any]] = {}
        self.children: list[_Child] = []
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
                yield item, _unpack(self.results.pop(following), item)
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
            free.append(_Child(self.function, self.children))
            self.children.append(free[-1])
        for child in free:
            if child.ready and self.queue:
                child.give(*self.queue.popleft(), self.timeout)

    def _hear(self, child: _Child) -> None:
        """Take the answer of a child, or end it when it died or took too long."""
        answer = child.answer() if child.pipe.poll() else None
        if answer is not None:
            self.failed_starts, child.ready = 0, True
            if child.position is not None:
                self.results[child.position] = answer
            child.position = None
            return
        self.children.remove(child)
        late = time.monotonic() >= child.deadline and child.process.is_alive()
        code = child.kill() if late else child.end()
        if child.position is not None:
            self.results[child.position] = ("media", f"took longer than {self.timeout:g} s" if late else _cause(code))
            return
        self.failed_starts += 1
        if self.failed_starts >= _FAILED_STARTS:
            raise AvzslError(
                f"worker processes cannot start ({_cause(code)}); use workers=0, or put the code that starts them"
                " under if __name__ == '__main__'"
            )


def _due(children: list[_Child]) -> list[_Child]:
    """Wait until a child has answered, died or run out of time, and return those."""
    busy = [c for c in children if c.position is not None or not c.ready]
    if not busy:
        return []
    handles: dict[Any, _Child] = {}
    for child in busy:
        handles[child.pipe] = handles[child.process.sentinel] = child
    patience = max(0.0, min(c.deadline for c in busy) - time.monotonic())
    due = {id(c): c for c in (handles[h] for h in multiprocessing.connection.wait(list(handles), patience))}
    now = time.monotonic()
    due.update({id(c): c for c in busy if now >= c.deadline})
    return list(due.values())


def _cause(code: int | None) -> str:
    if code is None or code >= 0:
        return f"its process ended with exit code {code}"
    name = signal.Signals(-code).name if -code in list(signal.Signals) else str(-code)
    hint = "; perhaps memory ran out" if name == "SIGKILL" else ""
    return f"its process was ended by signal {name}{hint}"


def _context(function: Callable[[Any], Any]) -> Any:
    """How children are made.

    A fork starts at once and needs no importable main module, but copies locks that other threads hold. So
    it is used on Linux while this is the only Python thread; otherwise children come from a clean server
    process, which imports the function's module once.
    """
    if sys.platform == "linux" and threading.active_count() == 1:
        return multiprocessing.get_context("fork")
    if sys.platform == "win32":
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    module = getattr(function, "__module__", None) or getattr(type(function), "__module__", None)
    if module not in (None, "__main__", "functools", "builtins"):
        context.set_forkserver_preload([module])
    return context


def _serve(function: Callable[[Any], Any], pipe: Any, inherited: list[Any]) -> None:
    """Life of a child: answer items until the pipe closes."""
    for other in inherited:
        other.close()
    # Ctrl-C reaches the whole group; the parent alone decides what happens then.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # A fork inherits what its parent does on a request to end; a child just ends.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if "torch" in sys.modules:
        # The parent's OpenMP threads do not exist here; a parallel region would wait for them for ever.
        sys.modules["torch"].set_num_threads(1)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_leave_with, args=(parent.sentinel,), daemon=True).start()
    with contextlib.suppress(EOFError, OSError):
        pipe.send(("ready", None))
        while True:
            item = pipe.recv()
            # An empty context: a progress listener of the parent must not be called from here.
            answer = contextvars.Context().run(_attempt, function, item)
            try:
                pipe.send(answer)
            except OSError:
                return
            except Exception as error:
                pipe.send(("media", f"its result cannot be sent back ({type(error).__name__}: {error})"))


def _leave_with(sentinel: Any) -> None:
    """End this process when the parent ends, even in the middle of an item."""
    import os

    multiprocessing.connection.wait([sentinel])
    os._exit(1)


def _attempt(function: Callable[[Any], Any], item: Any) -> tuple[str, Any]:
    """The result, or an error as plain values (its class may not survive pickling)."""
    try:
        return "result", function(item)
    except MediaError as error:
        return "error", str(error)
    except AvzslError as error:
        return "raise", (type(error).__name__, str(error))
    except Exception as error:
        return "media", f"unexpected {type(error).__name__}: {error}"


def _unpack(answer: tuple[str, Any], item: Any) -> Any:
    kind, value = answer
    if kind == "result":
        return value
    if kind == "error":
        return MediaError(value)
    if kind == "raise":
        name, message = value
        known = getattr(errors, name, AvzslError)
        error = AvzslError.__new__(known)
        Exception.__init__(error, message)
        raise error
    return MediaError(f"{_name(item)}: {value}")


def _name(item: Any) -> str:
    """What to call an item in a message."""
    path = getattr(item, "path", item)
    return next(iter(itertools.islice(str(path).splitlines(), 1)), "")[:300]
