"""Methods of your own: a Python file or module whose classes join the registry."""

from __future__ import annotations

import hashlib
import importlib
import os
import re
import sys
import traceback
from pathlib import Path
from types import ModuleType

from avzsl.errors import AvzslError, SettingError
from avzsl.methods._base import METHODS

# Files and modules to import, separated as paths are.
VARIABLE = "AVZSL_USE"
# What was used so far, in order: other processes that work for this one use it too.
_USED: list[str] = []


def use(place: Path | str) -> tuple[str, ...]:
    """Import a Python file, or a module by its dotted name, so that whatever it registers is known everywhere.

    **This runs the code in it.** Nothing else in this package does, and a stored model never asks for it: only the user
    says which files to use. A file that is used again is run again, and its classes take the place of their former
    selves.

    Args:
        place: `methods/mine.py` or `my_package.methods`.

    Returns:
        Names of the methods that it registered.

    Raises:
        SettingError: there is no such file or module, or running it failed; the message says where.
    """
    text = str(place)
    path = Path(text)
    is_file = text.endswith(".py") or path.is_file() or len(path.parts) > 1
    if not is_file and not re.fullmatch(r"\w+(\.\w+)*", text):
        raise SettingError(f"'{text}' is neither a Python file nor a module; use a .py file or a dotted name")
    if is_file and not path.is_file():
        raise SettingError(f"there is no Python file {path}; check the path")
    before = set(METHODS)
    module = _run_file(path.resolve()) if is_file else _import_module(text)
    said = str(path.resolve()) if is_file else text
    if said not in _USED:
        _USED.append(said)
    name = module.__name__
    return tuple(n for n in METHODS if n not in before or f"{METHODS.get(n).__module__}.".startswith(f"{name}."))


def used() -> tuple[str, ...]:
    """What `use` was called with, files by their full paths."""
    return tuple(_USED)


def use_named_in_environment() -> None:
    """Use what the variable `AVZSL_USE` names."""
    for place in os.environ.get(VARIABLE, "").split(os.pathsep):
        if place.strip():
            use(place.strip())


def _run_file(path: Path) -> ModuleType:
    # The name tells two files of one stem apart; settings dataclasses look their types up under it.
    stem, code = re.sub(r"\W", "_", path.stem), hashlib.sha256(str(path).encode()).hexdigest()[:8]
    module = ModuleType(f"avzsl_own_{stem}_{code}")
    module.__file__ = str(path)
    _look_in(path.parent)
    sys.modules[module.__name__] = module
    try:
        # Not through the import system: that would keep compiled files, and may miss a change within a second.
        exec(compile(path.read_bytes(), str(path), "exec"), module.__dict__)
    except (Exception, SystemExit) as error:
        del sys.modules[module.__name__]
        raise SettingError(f"cannot use {path}{_line(error, path)}: {_reason(error)}") from error
    return module


def _import_module(name: str) -> ModuleType:
    _look_in(Path.cwd())
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and f"{name}.".startswith(f"{error.name}."):
            raise SettingError(
                f"there is no module '{name}' and no file of that name; give the path of a .py file"
            ) from error
        raise SettingError(f"cannot use module {name}: {_reason(error)}") from error
    except (Exception, SystemExit) as error:
        raise SettingError(f"cannot use module {name}: {_reason(error)}") from error


def _look_in(folder: Path) -> None:
    """Let the file import its neighbours, as `python FILE` would; at the end, so that it hides no installed package."""
    if str(folder) not in sys.path:
        sys.path.append(str(folder))


def _line(error: BaseException, path: Path) -> str:
    if isinstance(error, SyntaxError) and error.filename == str(path):
        return f", line {error.lineno}"
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
    return f", line {lines[-1]}" if lines else ""


def _reason(error: BaseException) -> str:
    if isinstance(error, AvzslError):
        return str(error)
    if isinstance(error, SystemExit):
        return "it ends the program; put what should only run as a script under if __name__ == '__main__'"
    text = error.msg if isinstance(error, SyntaxError) else str(error)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
