"""A request to stop: it raises at once, and where that gets lost, the next report of progress raises."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from typing import Any

import pytest

from avzsl import progress, stop
from avzsl.training.interrupt import Interrupted, stop_requests

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="sends signals")


def _swallow(number: int) -> None:
    """What a library written in C does now and then."""
    with pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), number)


class _Listener:
    """Counts what is reported."""

    def __init__(self) -> None:
        self.steps = 0

    def task(self, name: str, total: int | None) -> Any:
        return contextlib.nullcontext(self)

    def advance(self, steps: int = 1, note: str = "") -> None:
        self.steps += steps


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("listened", [False, True])
def test_a_request_whose_exception_is_lost_stops_at_the_next_item(number: int, listened: bool) -> None:
    done, listener = [], _Listener()

    def work() -> None:
        for item in progress.track(range(9), "work"):
            if item == 3:
                _swallow(number)
            done.append(item)

    with stop.heed(), pytest.raises(KeyboardInterrupt):
        if listened:
            with progress.listen(listener):
                work()
        else:
            work()
    assert done == [0, 1, 2, 3]
    assert listener.steps == (4 if listened else 0)


def test_a_note_is_read_once_and_does_not_outlive_its_block() -> None:
    with stop.heed():
        _swallow(signal.SIGTERM)
        with pytest.raises(KeyboardInterrupt):
            stop.check()
        stop.check()
        _swallow(signal.SIGTERM)
    stop.check()
    with stop.heed():
        stop.check()


def test_handlers_are_put_back_and_those_of_others_left_alone() -> None:
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    with stop.heed():
        assert signal.getsignal(signal.SIGINT) is signal.getsignal(signal.SIGTERM) is stop.note
        with stop.heed():
            pass
        assert signal.getsignal(signal.SIGTERM) is stop.note
    assert {number: signal.getsignal(number) for number in before} == before
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        with stop.heed():
            assert signal.getsignal(signal.SIGTERM) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGTERM, before[signal.SIGTERM])


def test_another_thread_catches_no_signals() -> None:
    found: list[Any] = []

    def run() -> None:
        with stop.heed(), stop_requests() as asked:
            found.append((signal.getsignal(signal.SIGTERM), asked()))

    before = signal.getsignal(signal.SIGTERM)
    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert found == [(before, False)]


def test_a_request_that_was_lost_before_training_stops_it_before_its_first_step() -> None:
    with stop.heed():
        _swallow(signal.SIGTERM)
        with pytest.raises(KeyboardInterrupt), stop_requests():
            raise AssertionError("training began")


def test_a_request_after_the_last_question_is_not_lost() -> None:
    with pytest.raises(Interrupted, match="give the same command again"), stop_requests() as asked:
        assert not asked()
        os.kill(os.getpid(), signal.SIGTERM)
    with stop_requests() as asked:
        os.kill(os.getpid(), signal.SIGTERM)
        assert asked()
