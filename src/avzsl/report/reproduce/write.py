"""From `<out>/<item>/<item>.json` to the item's pages.

A kind of record has one writer: a function that takes the record and the item's folder and gives the paths that it
wrote. A new kind is one entry in `WRITERS`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from avzsl.errors import DataError
from avzsl.files import read_json

Record = Mapping[str, Any]
Writer = Callable[[Record, Path], list[Path]]


def write_items(out: Path, items: Iterable[str]) -> list[Path]:
    """Write the pages of items.

    Raises:
        DataError: a record is missing or damaged.
        OutputError: the folder cannot be written to.
    """
    written = []
    for name in items:
        record = read_record(out, name)
        writer = WRITERS.get(record["kind"])
        if writer is not None:
            written += writer(record, out / name)
    return written


def read_record(out: Path, item: str) -> dict[str, Any]:
    """What `avzsl reproduce` stored of an item.

    Raises:
        DataError: there is nothing, or it is damaged.
    """
    path = out / item / f"{item}.json"
    record = read_json(path)
    if not isinstance(record, dict) or record.get("format") != 1 or "kind" not in record:
        raise DataError(f"{path} is no record of this version; give the same 'avzsl reproduce' command again")
    return record


WRITERS: dict[str, Writer] = {}
