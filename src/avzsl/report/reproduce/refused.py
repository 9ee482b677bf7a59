"""The page of an item that cannot be worked out on the data at hand."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from avzsl.files import write_text
from avzsl.report.reproduce import sheets
from avzsl.report.reproduce.texts import escape


def write_refused(record: Mapping[str, Any], folder: Path) -> list[Path]:
    """Say what the item is and what it lacks; no page of an earlier command stays beside it.

    Raises:
        OutputError: the folder cannot be written to.
    """
    name = record["item"]
    for path in folder.glob(f"{name}*"):
        if path.suffix != ".json":
            path.unlink(missing_ok=True)
    text = [f"# {escape(sheets.title_of(record))}", "", escape(record["caption"]), "", escape(record["reason"]), ""]
    write_text(folder / f"{name}.md", "\n".join(text))
    return [folder / f"{name}.md"]
