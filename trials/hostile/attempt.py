"""One damaged input and what became of it."""

from __future__ import annotations

import hashlib
import os
import stat
import traceback
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from avzsl.errors import AvzslError

# Longest sentence that is still a message.
LONGEST = 2500
# Outcomes that are faults; the others are as promised.
FAULTS = ("exception", "bad message", "files changed", "wrong result", "hang", "crash")


class WrongResultError(Exception):
    """A check of the trial found that what was returned cannot be right."""


@dataclass(frozen=True)
class Attempt:
    """What became of one input.

    Attributes:
        number: of the input; with the seed it decides everything.
        mutation: what was done to which file.
        outcome: `"same"` (the result of the undamaged file), `"other"` (a result that fits the damaged file),
            `"refused"` (one line), `"refused: time"`, `"refused: crash"`, `"refused: memory"` (likewise, after a child
            process was lost) or one of `FAULTS`.
        detail: the message.
    """

    number: int
    mutation: str
    outcome: str
    detail: str = ""


def run(number: int, mutation: str, call: Callable[[], bool], folder: Path) -> Attempt:
    """Call an entry point and judge what it does.

    Args:
        number: of the input.
        mutation: named in the outcome.
        call: the entry point; True when the result is that of the undamaged file.
        folder: what it reads; nothing in it may change.
    """
    before = listing(folder)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        outcome, detail = _outcome(call)
    after = listing(folder)
    if before != after:
        changed = sorted(name for name in {**before, **after} if before.get(name) != after.get(name))
        outcome, detail = "files changed", f"{changed[:3]} after: {outcome} {detail}"
    return Attempt(number, mutation, outcome, detail)


def _outcome(call: Callable[[], bool]) -> tuple[str, str]:
    try:
        return ("same" if call() else "other"), ""
    except AvzslError as error:
        return judge_message(str(error))
    except WrongResultError as error:
        return "wrong result", str(error)
    except BaseException as error:  # also SystemExit: nothing else may leave an entry point
        place = traceback.extract_tb(error.__traceback__)[-1]
        text = f"{type(error).__name__}: {str(error)[:300]} at {Path(place.filename).name}:{place.lineno}"
        return "exception", text


def judge_message(text: str) -> tuple[str, str]:
    """Whether a refusal is one line of bearable length."""
    if not text.strip() or "\n" in text or "\r" in text or len(text) > LONGEST or "Traceback" in text:
        return "bad message", f"{len(text)} characters: {text[:200]!r}"
    for kind, words in (("time", ("takes more than", "took longer than")), ("memory", ("more memory than",)),
                        ("crash", ("ended by signal", "exit code"))):  # fmt: skip
        if any(word in text for word in words):
            return f"refused: {kind}", text[:300]
    return "refused", text[:300]


def listing(folder: Path) -> dict[str, Any]:
    """Every path below a folder with what it is and a hash of its content."""
    found: dict[str, Any] = {}
    for root, folders, files in os.walk(folder):
        for name in folders + files:
            path = os.path.join(root, name)
            kind = os.lstat(path).st_mode
            if stat.S_ISREG(kind):
                with open(path, "rb") as file:  # noqa: PTH123
                    found[path] = hashlib.blake2b(file.read(), digest_size=16).digest()
            else:
                found[path] = stat.S_IFMT(kind)
    return found


def tell(base: Path, path: Path) -> None:
    """Say which file is damaged now, for the case that nobody comes back from it."""
    (base / "at-work").write_text(str(path))


def keep_fault(base: Path, path: Path, attempt: Attempt) -> None:
    """Copy the damaged file of a fault, before it is put right again."""
    if attempt.outcome in FAULTS and path.is_file():
        (base / f"damaged-{attempt.number}-{path.name}").write_bytes(path.read_bytes())


def put(path: Path, content: bytes) -> None:
    """Write a damaged file in the place of a good one."""
    if path.is_symlink() or not path.is_file():
        remove(path)
    path.write_bytes(content)


def remove(path: Path) -> None:
    """Take away whatever lies at a path."""
    if path.is_dir() and not path.is_symlink():
        path.rmdir()
    else:
        path.unlink(missing_ok=True)


def put_oddity(path: Path, number: int) -> str:
    """Something in the place of a file that is no file."""
    remove(path)
    kind = ("folder", "pipe", "link to itself", "link to nothing", "link to a device", "nothing")[number % 6]
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "link to itself":
        path.symlink_to(path)
    elif kind == "link to nothing":
        path.symlink_to("/nonexistent/file")
    elif kind == "link to a device":
        path.symlink_to("/dev/zero")
    return kind
