"""From `<out>/<item>/<item>.json` to the item's pages.

A kind of record has one writer: a function that takes the record and the item's folder and gives the paths that it
wrote. A new kind is one entry in `WRITERS`.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from avzsl.errors import DataError
from avzsl.files import read_json
from avzsl.report.reproduce.bias import write_bias
from avzsl.report.reproduce.index import known_records, write_index
from avzsl.report.reproduce.model import write_architecture
from avzsl.report.reproduce.names import write_names
from avzsl.report.reproduce.rank import write_rank
from avzsl.report.reproduce.refused import write_refused
from avzsl.report.reproduce.results import write_results
from avzsl.report.reproduce.retrieval import write_retrieval
from avzsl.report.reproduce.space import write_space

Record = Mapping[str, Any]
Writer = Callable[[Record, Path], list[Path]]
WRITERS: dict[str, Writer] = {
    "results": write_results, "refused": write_refused, "space": write_space, "retrieval": write_retrieval,
    "architecture": write_architecture, "rank": write_rank, "bias": write_bias, "names": write_names,
}  # fmt: skip


def write_items(out: Path, items: Iterable[str], order: Iterable[str] = ()) -> list[Path]:
    """Write the pages of items, and the page that links them and those of earlier commands.

    Args:
        out: folder of the reproduction.
        items: whose pages to write.
        order: of the index; items that are not in it come last.

    Raises:
        DataError: a record is missing or damaged.
        OutputError: the folder cannot be written to.
    """
    written: list[Path] = []
    records: dict[str, Record] = {}
    for name in items:
        records[name] = read_record(out, name)
        written += WRITERS[records[name]["kind"]](records[name], out / name)
    known, places = known_records(out, records), list(order)
    ordered = sorted(known, key=lambda name: places.index(name) if name in places else len(places))
    page = all(importlib.util.find_spec(package) is not None for package in ("jinja2", "matplotlib"))
    return [*write_index(out, {name: known[name] for name in ordered}, page=page), *written]


def read_record(out: Path, item: str) -> dict[str, Any]:
    """What `avzsl reproduce` stored of an item.

    Raises:
        DataError: there is nothing, or it is damaged.
    """
    path = out / item / f"{item}.json"
    record = read_json(path)
    if not isinstance(record, dict) or record.get("format") != 1 or record.get("kind") not in WRITERS:
        raise DataError(f"{path} is no record of this version; give the same 'avzsl reproduce' command again")
    return record
