"""The command `avzsl`: one file per verb. Only this room prints and knows exit codes.

0 = done, 1 = some videos could not be read or the reader of our output went away, 2 = the request or the data are
wrong (one line on stderr says how), 130 = stopped from outside.
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

from avzsl import stop
from avzsl.cli._stop import Stopped
from avzsl.errors import AvzslError, nearest_name

# Name of a verb = name of its module and of the function in it, with _ for -.
VERBS = (
    "demo", "world", "extract", "simulate", "train", "evaluate", "predict", "benchmark", "reproduce", "profile",
    "spikes", "methods", "check-method", "report", "compare", "leaderboard", "verify", "doctor",
)  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    # A service may have closed them; then there is nobody to tell.
    sys.stdout, sys.stderr = sys.stdout or _nowhere(), sys.stderr or _nowhere()
    with stop.heed(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("default", UserWarning)
        warnings.showwarning = _show_warning
        try:
            from avzsl.cli._app import build

            code = build()(given, prog_name="avzsl", standalone_mode=False)
            sys.stdout.flush()
            return code if isinstance(code, int) else 0
        except (KeyboardInterrupt, Stopped) as told:
            return _fail(str(told) or "stopped", 130, word="stopped")
        except BrokenPipeError:
            # The reader (`| head`) has seen enough. What is still buffered must not complain at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 1
        except AvzslError as error:
            return _fail(str(error))
        except OSError as error:
            place = f" {error.filename}" if error.filename else ""
            return _fail(f"cannot use{place or ' a file'}: {error.strerror or error}; check the path and the disk")
        except MemoryError:
            return _fail("out of memory; a smaller batch_size or fewer segments (--set max_segments=...) need less")
        except Exception as error:
            return _usage_or_crash(error)


def _nowhere() -> TextIO:
    return Path(os.devnull).open("w", encoding="utf-8")


def _usage_or_crash(error: Exception) -> int:
    """Errors of the argument parser have a sentence of their own; anything else is a fault of ours."""
    if type(error).__name__ == "OutOfMemoryError":
        return _fail("the graphics card is out of memory; try a smaller batch_size, or --device cpu")
    message = getattr(error, "format_message", None)
    if message is None:
        if type(error).__name__ == "Abort":
            return _fail("stopped", 130, word="stopped")
        raise error
    text = " ".join(str(message()).split())
    context = getattr(error, "ctx", None)
    path = getattr(context, "command_path", "avzsl") or "avzsl"
    if text.startswith("No such command"):
        name = text.split("'")[1]
        text, path = f"unknown verb '{name}'{nearest_name(name, VERBS)}", "avzsl"
    return _fail(f"{text.rstrip('.')} (see '{path} --help')")


def _fail(message: str, code: int = 2, *, word: str = "error") -> int:
    text = " ".join(message.split())
    # "stopped: stopped in stage 1" would say it twice.
    print(text if text.startswith(word) else f"{word}: {text}", file=sys.stderr)
    return code


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    print(f"warning: {' '.join(str(message).split())}", file=sys.stderr)
