"""Which videos there are, which class each belongs to and, when a table says so, which split."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from avzsl.errors import DataError, nearest_name
from avzsl.files import read_text
from avzsl.layout import SPLITS

TABLE = "videos.csv"
_SUFFIXES = (
    ".3gp .aac .avi .flac .flv .gif .m2ts .m4a .m4v .mkv .mov .mp3 .mp4 .mpeg .mpg .mts .mxf .oga .ogg .ogv .opus .ts"
    " .vob .wav .webm .wmv"
)
MEDIA_SUFFIXES = frozenset(_SUFFIXES.split(" "))
# A split may be written short; `seen` and `unseen` mark whole classes and leave the rest to `assign_splits`.
SHORT_SPLITS = {
    "train": "stage_1_train",
    "val_seen": "stage_1_val_seen",
    "val_unseen": "stage_1_val_unseen",
    "test_seen": "stage_2_test_seen",
    "test_unseen": "stage_2_test_unseen",
}
CLASS_MARKS = ("seen", "unseen")
# File systems allow 255 bytes for a name; the ending and the temporary name while writing take some of them.
_LONGEST_NAME = 200


@dataclass(frozen=True)
class VideoItem:
    """One video to extract.

    Attributes:
        path: where it lies.
        class_name: what it shows.
        split: one of `layout.SPLITS`, `"seen"` or `"unseen"` for its class, or None when nobody said.
        name: unique in the data set; stored beside its features.
    """

    path: Path
    class_name: str
    split: str | None
    name: str


@dataclass(frozen=True)
class Skipped:
    """A file that was left out, at which stage (`"list"`, `"extract"`, `"modality"`) and why."""

    path: Path
    stage: str
    reason: str


def list_videos(source: Path, skipped: list[Skipped] | None = None) -> list[VideoItem]:
    """The videos of a folder with one sub-folder per class, or of a table.

    A table is a csv file with the columns `path`, `class` and perhaps `split`; paths count from the table's folder. A
    folder that holds `videos.csv` is read through it.

    Args:
        source: folder or csv file.
        skipped: receives what was left out of a folder (hidden files are left out without a word).

    Returns:
        Items sorted by class and path (folder) or in the order of the table.

    Raises:
        DataError: no such folder, no videos, a row that cannot be used (with its number), a class name that no file
            can have.
    """
    source, skipped = Path(source), [] if skipped is None else skipped
    if source.is_dir():
        table = source / TABLE
        rows = _read_table(table) if table.is_file() else list(_walk(source, skipped))
    elif source.is_file() and source.suffix.lower() in (".csv", ".tsv", ".txt"):
        rows = _read_table(source)
    elif source.is_file():
        raise DataError(f"{source} is neither a folder nor a csv file; give a folder with one sub-folder per class")
    else:
        raise DataError(f"there is no folder or csv file {source}; check the path")
    if not rows:
        raise DataError(f"{source} {_why_none(source, skipped)}")
    check_class_names((item.class_name for item in rows), source)
    return _with_unique_names(rows)


def _why_none(source: Path, skipped: Sequence[Skipped]) -> str:
    if source.is_file() or (source / TABLE).is_file():
        return "has no rows below its header; write one row per video"
    loose = sum(entry.path.parent == source and _is_media(entry.path) for entry in skipped)
    if loose:
        return f"holds {loose} videos, but none in a sub-folder; move them into one sub-folder per class"
    return "holds no videos; expected one sub-folder per class with video files in it"


def check_class_names(names: Iterable[str], where: Path) -> None:
    """Refuse class names that cannot be file names on every system.

    Raises:
        DataError: says which name and what is wrong with it.
    """
    folded: dict[str, str] = {}
    for name in sorted(set(names)):
        problem = _name_problem(name)
        if problem:
            raise DataError(f"{where}: class name {name!r} {problem}; each class becomes a file, so rename it")
        other = folded.setdefault(name.casefold(), name)
        if other != name:
            raise DataError(f"{where}: class names '{other}' and '{name}' differ in case only; rename one of them")


def _name_problem(name: str) -> str | None:
    if not name:
        return "is empty"
    if name != name.strip():
        return "begins or ends with a space"
    if name.startswith("."):
        return "begins with a full stop"
    if "/" in name or "\\" in name:
        return "holds a slash"
    if any(ord(c) < 32 or ord(c) == 127 or c in "\x85\u2028\u2029" for c in name):
        return "holds a control character"
    try:
        size = len(name.encode("utf-8"))
    except UnicodeEncodeError:
        return "is not valid Unicode"
    return f"has {size} bytes, {_LONGEST_NAME} is the most" if size > _LONGEST_NAME else None


def _walk(folder: Path, skipped: list[Skipped]) -> Iterator[VideoItem]:
    try:
        entries = sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))
        for entry in entries:
            if entry.is_dir():
                yield from _class_folder(entry, skipped)
            elif _is_media(entry):
                skipped.append(Skipped(entry, "list", "lies outside the class folders"))
    except OSError as error:
        raise DataError(f"cannot list {error.filename or folder}: {error.strerror}; check its permissions") from error


def _class_folder(folder: Path, skipped: list[Skipped]) -> Iterator[VideoItem]:
    found = 0
    for path in sorted(folder.rglob("*")):
        if path.is_dir() or any(part.startswith(".") for part in path.relative_to(folder).parts):
            continue
        if _is_media(path):
            found += 1
            yield VideoItem(path, folder.name, None, path.stem)
        else:
            skipped.append(Skipped(path, "list", f"'{path.suffix}' is not the ending of a video file"))
    if not found:
        skipped.append(Skipped(folder, "list", "holds no videos, so it is not a class"))


def _is_media(path: Path) -> bool:
    return path.suffix.lower() in MEDIA_SUFFIXES


def _read_table(path: Path) -> list[VideoItem]:
    try:
        text = read_text(path, "utf-8-sig")
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}; check the path") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 (byte {error.start}); save it as 'CSV UTF-8'") from error
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=_delimiter(text))
    try:
        columns = [c.strip().lower() for c in reader.fieldnames or ()]
        for needed in ("path", "class"):
            if needed not in columns:
                raise DataError(
                    f"{path} has no column '{needed}' (it has: {', '.join(columns) or 'nothing'}); the first row must"
                    " be: path,class or path,class,split"
                )
        reader.fieldnames = columns
        rows = [_row(path, reader.line_num, row) for row in reader if any(_filled(cell) for cell in row.values())]
    except csv.Error as error:
        raise DataError(f"{path}: row {reader.line_num} is not csv ({error}); correct or remove it") from error
    _check_table(path, rows)
    return [item for _, item in rows]


def _delimiter(text: str) -> str:
    """The comma, or what spreadsheets of many countries and .tsv files put in its place, as the header has it."""
    header = text.split("\n", 1)[0]
    return "," if "," in header else next((c for c in ";\t" if c in header), ",")


def _filled(cell: str | list[str] | None) -> bool:
    """Whether somebody wrote something; spreadsheets end tables with rows of empty cells."""
    return any(part.strip() for part in cell) if isinstance(cell, list) else bool(cell and cell.strip())


def _row(table: Path, number: int, row: dict[str, str | None]) -> tuple[int, VideoItem]:
    if any(not isinstance(key, str) and _filled(value) for key, value in row.items()):
        raise DataError(
            f"{table}: row {number} has more cells than the first row; put a name that holds a comma in double quotes"
        )
    values = {key: (value or "").strip() for key, value in row.items() if isinstance(key, str) and _is_text(value)}
    given, class_name = values.get("path", ""), values.get("class", "")
    if not given or not class_name:
        raise DataError(f"{table}: row {number} has no {'path' if not given else 'class'}; fill it in or remove it")
    if "\0" in given:
        raise DataError(f"{table}: row {number}: the path holds a NUL character; correct or remove the row")
    path = Path(given) if Path(given).is_absolute() else table.parent / given
    if not _is_file(path):
        raise DataError(f"{table}: row {number}: there is no file {path}; paths count from the table's folder")
    return number, VideoItem(path, class_name, _split(table, number, values.get("split", "")), path.stem)


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name longer than the system allows
        return False


def _is_text(value: object) -> bool:
    return value is None or isinstance(value, str)


def _split(table: Path, number: int, text: str) -> str | None:
    if not text:
        return None
    word = SHORT_SPLITS.get(text.lower(), text.lower())
    if word == "stage_2_train":
        raise DataError(
            f"{table}: row {number}: stage_2_train is the union of the three stage_1 splits; name the one of these "
            "that the clip belongs to"
        )
    if word not in SPLITS and word not in CLASS_MARKS:
        known = [*(s for s in SPLITS if s != "stage_2_train"), *SHORT_SPLITS, *CLASS_MARKS]
        raise DataError(f"{table}: row {number}: unknown split '{text}'{nearest_name(text, known)}")
    return word


def _check_table(table: Path, rows: Sequence[tuple[int, VideoItem]]) -> None:
    seen: dict[Path, int] = {}
    marks: dict[str, tuple[int, str]] = {}
    kinds: dict[str, int] = {}
    for number, item in rows:
        first = seen.setdefault(item.path.resolve(), number)
        if first != number:
            raise DataError(f"{table}: rows {first} and {number} name the same file {item.path}; remove one")
        kind = "no split" if item.split is None else "a class mark" if item.split in CLASS_MARKS else "a split"
        kinds.setdefault(kind, number)
        if len(kinds) > 1:
            (one, two), (row, other) = list(kinds)[:2], list(kinds.values())[:2]
            raise DataError(f"{table}: row {row} has {one} but row {other} has {two}; use one way for all rows")
        if item.split in CLASS_MARKS:
            before = marks.setdefault(item.class_name, (number, item.split))
            if before[1] != item.split:
                raise DataError(f"{table}: class '{item.class_name}' is {before[1]} in row {before[0]} but {item.split}"
                                f" in row {number}")  # fmt: skip


def _with_unique_names(items: Sequence[VideoItem]) -> list[VideoItem]:
    """Names as short as they can be: the file's, with its folder's in front and its ending where two files share it."""
    stems = [item.path.stem for item in items]
    in_folder = [f"{item.path.parent.name}_{item.path.stem}" for item in items]
    whole = [f"{item.path.parent.name}_{item.path.name}" for item in items]
    names = stems
    for longer in (in_folder, whole):
        counts = Counter(names)
        names = [more if counts[name] > 1 else name for name, more in zip(names, longer, strict=True)]
    taken: set[str] = set()
    for place, name in enumerate(names):
        number = 1
        while names[place] in taken:
            number += 1
            names[place] = f"{name}_{number}"
        taken.add(names[place])
    return [replace(item, name=name) for item, name in zip(items, names, strict=True)]
