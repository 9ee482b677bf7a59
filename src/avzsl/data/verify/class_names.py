"""The names of the classes: all_class.txt, and the csv that says what their word vectors are called."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from avzsl.data.classes import ClassIndex, ignores_case, read_class_csv, read_lines
from avzsl.data.verify.findings import Findings, count, nearest, some
from avzsl.errors import DataError
from avzsl.layout import Layout


def check_class_names(layout: Layout, findings: Findings) -> ClassIndex:
    """The ids of all classes; what is in the way of a clean list becomes a finding."""
    path = layout.all_class
    names: list[str] = []
    with findings.heed("class-names", path):
        names = read_lines(path)
        if not names:
            findings.add(
                "error", "class-names", path, "holds no class names", "download or write the class split again"
            )
    if not names:  # for the checks that follow
        with contextlib.suppress(DataError):
            names = sorted({row["original"].strip() for row in read_class_csv(layout.class_names_csv)})
    ignored = ignores_case(layout)
    index = ClassIndex((), ignored, path)
    kept: dict[str, str] = {}
    for name in names:
        other = kept.get(index.key(name))
        if other is None:
            kept[index.key(name)] = name
        else:
            what = f"names a class twice: '{other}' and '{name}'" if other != name else f"names '{name}' twice"
            findings.add("error", "duplicate-class", path, what, "remove one of the lines")
    if not ignored:
        for first, second in _alike(kept.values()):
            findings.add(
                "warning",
                "case",
                path,
                f"'{first}' and '{second}' differ by case only",
                "give one of them another name: some disks keep only one file for both",
            )
    return ClassIndex(tuple(sorted(kept.values())), ignored, path)


def check_class_csv(layout: Layout, index: ClassIndex, findings: Findings) -> dict[int, str]:
    """Class id to key of its word vector."""
    path = layout.class_names_csv
    keys: dict[int, str] = {}
    originals: list[str] = []
    known = KnownNames(index, findings)
    with findings.heed("class-csv", path):
        for row in read_class_csv(path):
            name = row["original"].strip()
            originals.append(name)
            number = known.find(name, path)
            if number in keys:
                findings.add("error", "duplicate-class", path, f"lists '{name}' twice", "remove one of the rows")
            elif number is not None:
                keys[number] = row["manual"].strip()
        tell_case(originals, index, path, findings)
        shared = Counter(keys.values())
        for key in sorted(key for key, times in shared.items() if times > 1):
            names = [index.names[number] for number in sorted(keys) if keys[number] == key]
            findings.add(
                "warning",
                "shared-vector",
                path,
                f"{some(names)} all use the word vector '{key}', so no method can tell them apart",
                "give each class a vector of its own",
            )
    return keys


class KnownNames:
    """Looks names up and makes a finding of an unknown one."""

    def __init__(self, index: ClassIndex, findings: Findings) -> None:
        self.index, self.findings = index, findings
        self.numbers = index.numbers()

    def find(self, name: str, path: Path) -> int | None:
        """The id of a name that stands in a file; None when no class has it."""
        number = self.numbers.get(self.index.key(name))
        if number is None:
            tell_unknown(name, self.index, path, self.findings)
        return number


def tell_unknown(name: str, index: ClassIndex, path: Path | str, findings: Findings, what: str = "") -> None:
    """An error for a class name that all_class.txt does not have, with the nearest that it has."""
    if not index.names:
        return  # one finding says so already
    near = nearest(name, index.names)
    alike = near is not None and near.casefold() == name.casefold()
    meant = "" if near is None else f"is '{near}' meant{' (case counts here)' if alike else ''}? "
    findings.add(
        "error",
        "unknown-class",
        path,
        what or f"class '{name}' is not in {index.source}",
        f"{meant}correct the name, or add it to all_class.txt",
    )


def tell_case(names: Iterable[str], index: ClassIndex, path: Path, findings: Findings) -> None:
    """P14: one class written in two ways, which UCF and ActivityNet do."""
    spelt = {index.key(name): name for name in index.names}
    odd = sorted({name for name in names if spelt.get(index.key(name), name) != name})
    if odd:
        listed = ", ".join(f"'{name}' for '{spelt[index.key(name)]}'" for name in odd[:3])
        findings.add(
            "note", "case", path, f"spells {count(len(odd), 'class', 'classes')} with other capitals: {listed} (P14)"
        )


def _alike(names: Iterable[str]) -> list[tuple[str, str]]:
    folded: dict[str, str] = {}
    pairs = []
    for name in sorted(names):
        other = folded.setdefault(name.casefold(), name)
        if other != name:
            pairs.append((other, name))
    return pairs
