"""Carry a stop past the argument parser, which would drop the sentence that says where the run stands."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

# Verbs that keep what they have done; the others begin anew.
_CONTINUED = ("demo", "world", "extract", "train", "benchmark")


class Stopped(Exception):  # noqa: N818 - stopping is no error
    """A verb was stopped from outside; the text may say what was saved."""


def telling(verb: Callable[..., Any]) -> Callable[..., Any]:
    """The verb, with `KeyboardInterrupt` turned into `Stopped`."""

    @functools.wraps(verb)
    def run(*args: Any, **kwargs: Any) -> Any:
        try:
            return verb(*args, **kwargs)
        except KeyboardInterrupt as stop:
            kept = verb.__name__ in _CONTINUED
            raise Stopped(str(stop) or f"stopped{'; the same command goes on where it was' if kept else ''}") from stop

    return run
