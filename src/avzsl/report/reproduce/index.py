"""The page that links every item in a folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import avzsl
from avzsl.errors import AvzslError
from avzsl.files import write_text
from avzsl.report.page import environment
from avzsl.report.reproduce import sheets
from avzsl.report.reproduce.texts import escape

Record = Mapping[str, Any]


def write_index(out: Path, records: Mapping[str, Record], *, page: bool = True) -> list[Path]:
    """Write `index.md` and, with the extra packages, `index.html`.

    Args:
        out: folder of the reproduction.
        records: of every item in it, in the order of the paper.
        page: False where the extra packages are missing.

    Raises:
        OutputError: the folder cannot be written to.
    """
    entries = [_entry(out, name, record) for name, record in records.items()]
    quick = any(record["quick"] for record in records.values())
    title = "Tables and figures of the STFT paper" + (" (quick)" if quick else "")
    lines = [f"# {title}", ""]
    for entry in entries:
        lines += [
            f"## [{escape(entry['title'])}]({entry['link'] or entry['files'][0]})",
            "",
            escape(entry["caption"]),
            "",
        ]
        lines += [f"- {escape(text)}" for text in entry["said"]] + [""]
    write_text(out / "index.md", "\n".join(lines))
    written = [out / "index.md"]
    if page:
        text = (
            environment()
            .get_template("reproduce_index.html")
            .render(title=title, entries=entries, folder=out.name or out.resolve().name, version=avzsl.__version__)
        )
        write_text(out / "index.html", text.encode("utf-8", "replace").decode("utf-8"))
        written.insert(0, out / "index.html")
    return written


def _entry(out: Path, name: str, record: Record) -> dict[str, Any]:
    """What the index says of one item, whatever its kind."""
    files = sorted(path.name for path in (out / name).iterdir() if path.is_file() and not path.name.startswith("."))
    link = f"{name}/{name}.html" if f"{name}.html" in files else ""
    said: list[str] = []
    for panel in record.get("panels", ()):
        try:
            said += [
                sheets.panel_title(panel) + ("" if panel["comparable"] else ": no reproduction"),
                *sheets.summary(panel),
            ]
        except (KeyError, TypeError):
            continue  # panels of another kind say nothing here
    if "reason" in record:
        said.append(str(record["reason"]))
    pictures = [f"{name}/{file}" for file in files if file.endswith(".png")]
    return {
        "title": sheets.title_of(record), "caption": record["caption"], "link": link, "said": said,
        "files": [f"{name}/{file}" for file in files], "picture": pictures[0] if pictures else "",
    }  # fmt: skip


def known_records(out: Path, names: Mapping[str, Record]) -> dict[str, Record]:
    """The given records, and those of items that an earlier command left in the folder."""
    from avzsl.report.reproduce.write import read_record

    found: dict[str, Record] = {}
    for path in sorted(out.glob("*/*.json")):
        if path.stem == path.parent.name and path.stem not in names:
            try:
                found[path.stem] = read_record(out, path.stem)
            except AvzslError:
                continue  # of another version; its own command mends it
    return {**found, **names}
