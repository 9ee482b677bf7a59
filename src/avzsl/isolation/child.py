"""A child process: how it is started, what is said to it, and its life."""

from __future__ import annotations

import contextlib
import contextvars
import faulthandler
import itertools
import multiprocessing
import multiprocessing.connection
import os
import signal
import sys
import threading
import time
import types
import warnings
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from avzsl import errors
from avzsl.errors import AvzslError, MediaError
from avzsl.isolation.limits import limit_memory
from avzsl.isolation.parcel import Parcel, receive_parcel, send_parcel

# Seconds a child may take until it has imported what the function needs.
START = 120.0


class Child:
    """One child process and the item it works on.

    Args:
        function: what it computes.
        siblings: other children of this process that are alive.
        quiet: what it writes on stderr is dropped; libraries write there when they crash.
    """

    def __init__(
        self,
        function: Callable[[Any], Any],
        siblings: Iterable[Child] = (),
        *,
        quiet: bool = False,
    ) -> None:
        context = _context(function)
        self.memory: int | None = None
        self.pipe, theirs = context.Pipe()
        # Only a forked child inherits these; it must let go of them to notice when this process ends.
        inherited = [c.pipe for c in siblings] + [self.pipe] if context.get_start_method() == "fork" else []
        arguments = (function, theirs, inherited, quiet)
        self.process = context.Process(target=serve, args=arguments, daemon=True)
        alone = contextlib.nullcontext() if context.get_start_method() == "fork" else _without_main(function)
        with warnings.catch_warnings(), alone, _in_any_process():
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
        # It has said something that makes no sense; what follows is not to be trusted.
        self.astray = False
        self.deadline = time.monotonic() + START

    def give(self, position: int, item: Any, timeout: float, memory: int | None) -> None:
        """Hand out an item, with limits of seconds and of bytes of memory (None = any number)."""
        self.position, self.deadline = position, time.monotonic() + timeout
        self.memory = memory
        # A child that died meanwhile is noticed when its answer is awaited.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.pipe.send((item, self.memory))

    def answer(self) -> tuple[str, Any] | None:
        """What the child sent; None when it is dead."""
        try:
            kind, value = self.pipe.recv()
            if kind == "parcel":
                return "result", receive_parcel(self.pipe, value, self.memory)
            return kind, value
        except (EOFError, OSError):
            return None
        except Exception as error:  # a child whose memory is in disorder may say anything
            self.astray = True
            return "trouble", f"the answer of the process that read it makes no sense ({error})"

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


def cause(code: int | None) -> str:
    """How a process ended, by its exit code."""
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


@contextlib.contextmanager
def _in_any_process() -> Iterator[None]:
    """Let a worker of `multiprocessing.Pool` have children too.

    It may not, because they could outlive it; but a child here ends when its parent does.
    """
    settings = multiprocessing.current_process()._config  # type: ignore[attr-defined]
    before = settings.get("daemon")
    settings["daemon"] = False
    try:
        yield
    finally:
        settings["daemon"] = before


@contextlib.contextmanager
def _without_main(function: Callable[[Any], Any]) -> Iterator[None]:
    """Let a child that is not forked leave the user's script alone, unless the function needs something of it.

    It would run the script a second time, and a script that trains or predicts at its top would never come to an end.
    """
    import io
    from multiprocessing.reduction import ForkingPickler

    content, main = io.BytesIO(), sys.modules.get("__main__")
    with contextlib.suppress(Exception):  # what cannot be sent is told when it is sent
        ForkingPickler(content).dump(function)
    if main is None or not content.getvalue() or b"__main__" in content.getvalue():
        yield
        return
    sys.modules["__main__"] = types.ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


def serve(function: Callable[[Any], Any], pipe: Any, inherited: list[Any], quiet: bool) -> None:
    """Life of a child: answer items until the pipe closes."""
    for other in inherited:
        other.close()
    if quiet:
        faulthandler.disable()
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
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
            item, memory = pipe.recv()
            limit_memory(memory)
            # An empty context: a progress listener of the parent must not be called from here.
            answer = contextvars.Context().run(attempt, function, item)
            limit_memory(None)
            try:
                _send(pipe, answer)
            except OSError:
                return
            except Exception as error:
                pipe.send(("trouble", f"its result cannot be sent back ({type(error).__name__}: {error})"))


def _send(pipe: Any, answer: tuple[str, Any]) -> None:
    if isinstance(answer[1], Parcel):
        send_parcel(pipe, answer[1])
    else:
        pipe.send(answer)


def _leave_with(sentinel: Any) -> None:
    """End this process when the parent ends, even in the middle of an item."""
    multiprocessing.connection.wait([sentinel])
    os._exit(1)


def attempt(function: Callable[[Any], Any], item: Any) -> tuple[str, Any]:
    """The result, or an error as plain values (its class may not survive pickling)."""
    try:
        return "result", function(item)
    except MediaError as error:
        return "error", str(error)
    except AvzslError as error:
        return "raise", (type(error).__name__, str(error))
    except MemoryError:
        return "trouble", "it needs more memory than it is given"
    except Exception as error:
        return "trouble", f"unexpected {type(error).__name__}: {error}"


def unpack(answer: tuple[str, Any], item: Any) -> Any:
    """The result, or the item's error as a value; an error that would meet every item is raised.

    Args:
        answer: of `attempt`, or of what happened to the child.
        item: named in messages.
    """
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
