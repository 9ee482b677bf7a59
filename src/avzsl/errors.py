"""Every error a user can meet, and the sentence it should show.

A message says what is wrong, where, and how to go on. The command line prints it as one line without a
traceback; a Python caller catches `AvzslError` or one of its kinds.
"""

from __future__ import annotations

import difflib
import unicodedata
from collections.abc import Iterable

# A longer list of names would bury the message.
_LONGEST = 400
# Characters of a whole message; what a file brings into it, such as a name, may have millions.
_MESSAGE = 2000
# Marks that turn the direction of a line around.
_TURNS = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"


class AvzslError(Exception):
    """Base class of every error that this package raises on purpose."""

    def __init__(self, *args: object) -> None:
        super().__init__(*(one_line(a) if isinstance(a, str) else a for a in args))


def one_line(text: str) -> str:
    """A message as one line of bearable length that any terminal can show.

    Parts of it may come from a file: control characters become spaces, halves of characters are spelt out, and of a
    very long text beginning and end remain.
    """
    if len(text) > _MESSAGE:
        text = f"{text[: _MESSAGE // 2]} [...] {text[-_MESSAGE // 4 :]}"
    if text.isprintable():
        return text
    odd = ("Cc", "Zl", "Zp")  # control characters, separators of lines and paragraphs
    plain = "".join(" " if unicodedata.category(c) in odd or c in _TURNS else c for c in text)
    return plain.encode("utf-8", "backslashreplace").decode("utf-8")


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
