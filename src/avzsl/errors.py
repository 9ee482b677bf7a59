"""Every error a user can meet, and the sentence it should show.

A message says what is wrong, where, and how to go on. The command line prints it as one line without a
traceback; a Python caller catches `AvzslError` or one of its kinds.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

# A longer list of names would bury the message.
_LONGEST = 400


class AvzslError(Exception):
    """Base class of every error that this package raises on purpose."""


class SettingError(AvzslError):
    """A setting, a preset or a name is unknown or out of range."""


class DataError(AvzslError):
    """A benchmark folder or a feature file is missing, damaged or contradicts another one."""


class MediaError(AvzslError):
    """A video or audio file cannot be read or written."""


class ModelError(AvzslError):
    """A saved model is missing, damaged or does not fit the data it is asked to judge."""


class OutputError(AvzslError):
    """A result cannot be written (no permission, no space, a folder in the way)."""


class MissingExtraError(AvzslError):
    """An optional package is needed for what was asked and is not installed."""

    def __init__(self, package: str, extra: str, purpose: str) -> None:
        super().__init__(f"{purpose} needs the package '{package}'; install it with: pip install 'avzsl[{extra}]'")


def nearest_name(name: str, choices: Iterable[str]) -> str:
    """The end of an 'unknown name' message: the nearest choice, or all (of not too many) when none is near.

    Args:
        name: what the user wrote.
        choices: what would have been accepted.

    Returns:
        A phrase that starts with `; `, such as `; did you mean 'avca'?`.
    """
    known = sorted(set(choices))
    near = difflib.get_close_matches(name.lower(), [c.lower() for c in known], n=1, cutoff=0.6)
    if near:
        original = next(c for c in known if c.lower() == near[0])
        return f"; did you mean '{original}'?"
    listed = ", ".join(known)
    if len(listed) > _LONGEST:
        return f"; it is none of {len(known)} known names such as '{known[0]}' and '{known[1]}'"
    return f"; choose one of: {listed}" if known else ""
