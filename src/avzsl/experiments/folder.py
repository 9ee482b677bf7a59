"""The run folder before training: may it be used, does it belong to the same settings, what is in it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from avzsl.errors import DataError, OutputError, SettingError
from avzsl.files import LOCK, is_leftover, read_json, sweep, write_json

SETTINGS = "settings.json"


@dataclass(frozen=True)
class Kind:
    """A kind of folder that is written over time.

    Attributes:
        name: in messages.
        settings: the file that marks such a folder and says what belongs in it.
        pieces: everything that may lie in it; `--fresh` removes these and nothing else.
    """

    name: str
    settings: str
    pieces: Sequence[str]


RUN = Kind("run", SETTINGS, (
    SETTINGS, "epochs.jsonl", "state", "model.json", "model.safetensors", "result.json", "evaluation.json",
    "evaluation.safetensors", "report.json", "report.safetensors", "report.html", "thumbnails",
))  # fmt: skip


def check_folder(folder: Path, *, fresh: bool, kind: Kind = RUN) -> None:
    """Refuse a folder that is not ours to write in, before anything slow begins. Changes nothing.

    Raises:
        OutputError: a file is in the way.
        SettingError: the folder holds something else than such a folder does.
    """
    if not folder.exists():
        above = next(p for p in (folder, *folder.absolute().parents) if p.exists())
        if not above.is_dir():
            raise OutputError(f"cannot write {folder}: {above} is a file; choose another folder")
        return
    if not folder.is_dir():
        raise OutputError(f"cannot write {folder}: it is a file; choose another folder")
    if not (folder / kind.settings).is_file() and any(not _is_leftover(path) for path in folder.iterdir()):
        clears = f"--fresh only clears {kind.name} folders; choose another folder"
        way_on = "choose another folder" if not fresh else clears
        raise SettingError(f"{folder} is not empty and holds no {kind.name}; {way_on}")


def claim_folder(folder: Path, record: Mapping[str, Any], *, fresh: bool, kind: Kind = RUN) -> None:
    """Make the folder that of the run (or the benchmark) described by `record`: settings, data fingerprint, seed.

    Raises:
        SettingError: it belongs to a run with other settings; the message says which one differs.
        OutputError: it cannot be written to.
    """
    path = folder / kind.settings
    if fresh:
        _clear(folder, kind)
    if path.is_file():
        try:
            stored = read_json(path)
        except DataError as error:
            raise SettingError(f"{path} is damaged; choose another folder or start over with --fresh") from error
        if not isinstance(stored, Mapping):
            raise SettingError(f"{path} is damaged; choose another folder or start over with --fresh")
        differing = list(_differences(stored, record, ""))
        if differing:
            name, before, now = differing[0]
            more = f" (and {len(differing) - 1} more differ)" if len(differing) > 1 else ""
            raise SettingError(
                f"{folder} belongs to a {kind.name} with {name} = {before}, now it is {now}{more};"
                " choose another folder, or start over with --fresh"
            )
        return
    write_json(path, record)


def tidy(folder: Path) -> None:
    """Drop what only an unfinished run needs, and what killed processes left behind."""
    shutil.rmtree(folder / "state", ignore_errors=True)
    sweep(folder)


def _is_leftover(path: Path) -> bool:
    """A temporary file or the lock of `avzsl.files`, of a process that was killed."""
    return path.name == LOCK or is_leftover(path)


def _clear(folder: Path, kind: Kind) -> None:
    try:
        # The settings go last: as long as they are there, the folder is known to be ours.
        for name in reversed(kind.pieces):
            path = folder / name
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(f"cannot clear {folder}: {error.strerror or error}; choose another folder") from error


def _differences(before: Any, now: Any, path: str) -> Iterator[tuple[str, str, str]]:
    if isinstance(before, Mapping) and isinstance(now, Mapping):
        for key in {**before, **now}:
            yield from _differences(before.get(key), now.get(key), f"{path}.{key}" if path else key)
    elif before != now:
        yield path.removeprefix("settings."), _short(before), _short(now)


def _short(value: Any) -> str:
    text = str(value)
    return f"{text[:12]}..." if len(text) > 40 else text
